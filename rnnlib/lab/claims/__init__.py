"""The paper's claims as data: each a statement, a measurement of ours, the range that agrees, a verdict.

A claim is a function that returns one number, or an estimate with an interval, in the file of its figure. It holds if
the interval lies inside the range, fails if it lies outside, and is undecided between; none raises. A statement is what
the paper says, and no bound is moved to make a row pass: ``bounds.json`` names the commit in which each was written.
"""

# each registers its claims
from . import (  # noqa: F401
    beyond,
    beyond_angles,
    beyond_inputs,
    carry_over,
    few_bits,
    fig01,
    fig02,
    fig03,
    fig04,
    fig05,
    fig06,
    fig07,
    fig08,
    fig09,
    fig10,
    fig11,
    fig12,
    fig13,
    fig14,
    fig15,
    fixed_poles,
    moving_gates,
    sec22,
    sec23,
    todays_models,
)
from .beyond import HYPOTHESES
from .display import Chapters, Table, factor, hypotheses, ours, picture, table, tally
from .ranges import Range, above, at_least, at_most, between, near, significantly, similar
from .registry import CLAIMS, KINDS, Claim, claim, evaluate

__all__ = [
    "CLAIMS",
    "HYPOTHESES",
    "KINDS",
    "Chapters",
    "Claim",
    "Range",
    "Table",
    "above",
    "at_least",
    "at_most",
    "between",
    "claim",
    "evaluate",
    "factor",
    "hypotheses",
    "near",
    "ours",
    "picture",
    "significantly",
    "similar",
    "table",
    "tally",
]
