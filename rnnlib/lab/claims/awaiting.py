"""Hypotheses beyond the paper: on record from the start, and claims like all others once their results are stored."""

from __future__ import annotations

from collections.abc import Callable

from .. import experiments
from ..statistics import Estimate
from .ranges import Range
from .registry import CLAIMS, Claim

HYPOTHESES: list[Claim] = []


def hypothesis(name: str, statement: str, *tables: str, how: str, accepted: Range, seen: bool = True) -> Callable:
    """Decorator: the function that follows measures a hypothesis.

    Args:
        name: its name, which begins with ``beyond-``.
        statement: one plain sentence.
        tables: the stored results that it needs.
        how: as of :class:`Claim`.
        accepted: as of :class:`Claim`.
        seen: as of :class:`Claim`.
    """

    def record(measure: Callable[[], float | Estimate]) -> Callable[[], float | Estimate]:
        HYPOTHESES.append(Claim(name, statement, "beyond", "not in the paper", how, accepted, measure, seen=seen))
        if all((experiments.store.PACKAGED / f"{table}.json").exists() for table in tables):
            CLAIMS.append(HYPOTHESES[-1])
        return measure

    return record
