"""The paper's claims as data: each a statement, a measurement of ours, the range accepted, a verdict.

A claim is a function that returns one number, in the file of its figure. A number outside the range shows as "fails",
it does not raise. No bound is moved to make a row pass; which bounds stood before their numbers were known is on the
page of claims.
"""

# each registers its claims
from . import (  # noqa: F401
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
    sec22,
    sec23,
)
from .ranges import Range, above, at_least, at_most, between, near, significantly, similar
from .registry import CLAIMS, KINDS, Claim, claim, evaluate

__all__ = [
    "CLAIMS",
    "KINDS",
    "Claim",
    "Range",
    "above",
    "at_least",
    "at_most",
    "between",
    "claim",
    "evaluate",
    "near",
    "significantly",
    "similar",
]
