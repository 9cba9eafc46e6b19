"""The numbers that agree with a claim, and why these."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..statistics import Estimate

FACTOR_OF_TWO = math.log10(2)  # in decades


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included unless they are infinite or ``open``.

    Attributes:
        low: the smallest number that agrees.
        high: the largest.
        text: the range as tables show it.
        reason: why the bounds are where they are.
        open: ``low`` itself does not agree.
    """

    low: float
    high: float
    text: str
    reason: str
    open: bool = False

    def verdict(self, measured: Estimate) -> str:
        """``"holds"`` if the whole interval agrees, ``"fails"`` if none of it does, ``"undecided"`` between.

        An exact number decides always; one that is not finite fails.
        """
        if not measured.n and not math.isfinite(measured.value):
            return "fails"
        if self._agrees(measured.low) and self._agrees(measured.high):
            return "holds"
        if measured.low <= self.high and (measured.high > self.low or self._agrees(measured.high)):
            return "undecided"
        return "fails"

    def _agrees(self, number: float) -> bool:
        return (self.low < number or (number == self.low and not self.open)) and number <= self.high

    def units_to_decide(self, measured: Estimate) -> float:
        """How many units would about decide, if the number stays where it is: an interval narrows as the root of
        them."""
        low, high = (abs(measured.value - bound) for bound in (self.low, self.high))
        distance = min(low, high)
        reach = max(measured.high - measured.value, measured.value - measured.low)
        return measured.n * (reach / distance) ** 2 if distance and math.isfinite(reach) else math.inf

    def __str__(self) -> str:
        return self.text


def _shown(number: float) -> str:
    return f"{number:.4g}".replace("-", "−")


def at_least(bound: float, reason: str) -> Range:
    """The numbers from ``bound`` on."""
    return Range(bound, math.inf, f"≥ {_shown(bound)}", reason)


def at_most(bound: float, reason: str) -> Range:
    """The numbers up to ``bound``."""
    return Range(-math.inf, bound, f"≤ {_shown(bound)}", reason)


def between(low: float, high: float, reason: str) -> Range:
    """The numbers from ``low`` to ``high``."""
    return Range(low, high, f"{_shown(low)} to {_shown(high)}", reason)


def above(bound: float, reason: str) -> Range:
    """The numbers above ``bound``: an interval that ends there does not agree."""
    return Range(bound, math.inf, f"> {_shown(bound)}", reason, open=True)


def significantly(reason: str = "more, beyond chance: the interval of paired differences leaves out 0") -> Range:
    """What the paper's "significantly" asks for, of differences in the direction it names."""
    return above(0.0, reason)


def similar(reason: str = "what the paper calls similar, almost or the same: within a factor of two") -> Range:
    """What the paper's "similar" and "almost" ask for, of ratios in decades."""
    return Range(-FACTOR_OF_TWO, FACTOR_OF_TWO, "within ×2", reason)


def near(target: float, tolerance: float, reason: str) -> Range:
    """The numbers no further than ``tolerance`` from ``target``, the number that the claim implies."""
    return Range(target - tolerance, target + tolerance, f"{_shown(target)} ± {tolerance:g}", reason)
