"""The numbers that agree with a claim."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Finite numbers from ``low`` to ``high``, both included.

    Attributes:
        low: the smallest number that agrees.
        high: the largest.
        text: the range as tables show it.
    """

    low: float
    high: float
    text: str

    def __contains__(self, number: float) -> bool:
        return math.isfinite(number) and self.low <= number <= self.high

    def __str__(self) -> str:
        return self.text


def within(tolerance: float, *, of: float) -> Range:
    """The numbers no further than ``tolerance`` from ``of``, the number that the claim implies."""
    return Range(of - tolerance, of + tolerance, f"{of:.4g} ± {tolerance:g}")


def at_least(bound: float) -> Range:
    """The numbers from ``bound`` on."""
    return Range(bound, math.inf, f"≥ {bound:.4g}")
