"""The registry of claims: what a claim is, how one is added, how a table of them is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and how we measure it.

    Attributes:
        figure: the figure it belongs to, ``fig01`` to ``fig15``.
        statement: what the paper says, in one plain sentence.
        source: where it says so.
        how: what we measure, and on what.
        expected: the number the statement implies.
        tolerance: how far from ``expected`` still counts as agreement.
        measure: returns our number.
    """

    figure: str
    statement: str
    source: str
    how: str
    expected: float
    tolerance: float
    measure: Callable[[], float]

    def verdict(self, measured: float) -> str:
        """``"holds"`` if the number is within tolerance, else ``"fails"`` (NaN fails)."""
        return "holds" if abs(measured - self.expected) <= self.tolerance else "fails"


CLAIMS: list[Claim] = []


def claim(figure: str, statement: str, *, source: str, how: str, expected: float, tolerance: float):
    """Decorator: the function that follows measures this claim. Arguments as the attributes of :class:`Claim`."""

    def register(measure: Callable[[], float]) -> Callable[[], float]:
        CLAIMS.append(Claim(figure, statement, source, how, expected, tolerance, measure))
        return measure

    return register


def evaluate(*figures: str) -> pd.DataFrame:
    """Measure the claims of some figures, or of all.

    Args:
        figures: figure names such as ``"fig01"``; none means all.

    Returns:
        A row a claim, in the order of the figures: figure, claim, expected, tolerance, measured, how,
        source, verdict.

    Raises:
        ValueError: a name has no claims.
    """
    import pandas as pd

    known = sorted({entry.figure for entry in CLAIMS})
    for figure in figures:
        if figure not in known:
            raise ValueError(f"no claims for {figure!r}; choose from {', '.join(known)}")
    rows = []
    for entry in sorted(CLAIMS, key=lambda entry: entry.figure):
        if figures and entry.figure not in figures:
            continue
        measured = float(entry.measure())
        rows.append(
            {
                "figure": entry.figure,
                "claim": entry.statement,
                "expected": entry.expected,
                "tolerance": entry.tolerance,
                "measured": measured,
                "how": entry.how,
                "source": entry.source,
                "verdict": entry.verdict(measured),
            }
        )
    return pd.DataFrame(rows)


def table(*figures: str) -> Styler:
    """The claims of some figures, or of all, as a table to show at the end of a notebook.

    Args:
        figures: as for :func:`evaluate`.

    Returns:
        A pandas Styler: claim, expected number with the accepted range, our number, how, source, verdict.
    """
    frame = evaluate(*figures)
    pairs = zip(frame["expected"], frame["tolerance"], strict=True)
    frame = frame.assign(expected=[f"{target:.4g} ± {slack:g}" for target, slack in pairs]).drop(
        columns=["tolerance"] + ["figure"] * (len(figures) == 1)
    )
    return frame.style.hide(axis="index").format({"measured": "{:.4g}".format})


def slope(moment: Callable[[float], float], eps: float) -> float:
    """Exponent of ``moment(lam)`` in 1 - lam at ``eps``: a centred difference of logarithms over a factor of 1.2."""
    low, high = eps / np.sqrt(1.2), eps * np.sqrt(1.2)
    return np.log(moment(1 - high) / moment(1 - low)) / np.log(high / low)


def furthest(values: list[float], target: float) -> float:
    """The value furthest from ``target``: the claim holds for all if it holds for this one."""
    return max(values, key=lambda value: abs(value - target))
