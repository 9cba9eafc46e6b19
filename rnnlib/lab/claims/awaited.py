"""Statements beyond the paper that are on record before their results: claims once these are stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import experiments
from .registry import CLAIMS, Claim

if TYPE_CHECKING:
    from ..statistics import Estimate
    from .ranges import Range

HYPOTHESES: list[Claim] = []


def hypothesis(name: str, statement: str, *needed: str, how: str, accepted: Range, seen: bool) -> Callable:
    """Decorator: the function that follows measures a statement.

    Args:
        name: of the claim, after ``beyond-``.
        statement: what is claimed.
        needed: experiments that must be stored before it can be measured; none for closed forms.
        how: what is measured.
        accepted: the range that agrees.
        seen: whether data that bear on it had been seen, trials included.
    """

    def record(measure: Callable[[], float | Estimate]) -> Callable[[], float | Estimate]:
        claim = Claim(f"beyond-{name}", statement, "beyond", "not in the paper", how, accepted, measure, seen=seen)
        HYPOTHESES.append(claim)
        if all((experiments.store.PACKAGED / f"{each}.json").exists() for each in needed):
            CLAIMS.append(claim)
        return measure

    return record
