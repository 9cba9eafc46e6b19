"""The paper's claims as data: each a statement, a measurement of ours, the range accepted beforehand, a verdict.

A claim is a function that returns one number. The range was written down before the number was looked at; a number
outside it shows as "fails", it does not raise.
"""

from . import corrected, deep, gated, landscapes, moments, trained
from .registry import CLAIMS, Claim, evaluate, table

__all__ = ["CLAIMS", "Claim", "corrected", "deep", "evaluate", "gated", "landscapes", "moments", "table", "trained"]
