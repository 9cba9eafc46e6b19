"""The registry of claims: what a claim is, how one is added, how a table of them is measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.requirements import need

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
        at_least: the statement implies ``expected`` or more: any finite number above it agrees too.
    """

    figure: str
    statement: str
    source: str
    how: str
    expected: float
    tolerance: float
    measure: Callable[[], float]
    at_least: bool = False

    @property
    def accepted(self) -> str:
        """The numbers that agree, as text such as ``"2 ± 0.5"`` or ``"≥ 1"``."""
        return f"≥ {self.expected:.4g}" if self.at_least else f"{self.expected:.4g} ± {self.tolerance:g}"

    def verdict(self, measured: float) -> str:
        """``"holds"`` if the number is finite and among those accepted, else ``"fails"``."""
        above = self.at_least and math.isfinite(measured) and measured > self.expected
        return "holds" if above or abs(measured - self.expected) <= self.tolerance else "fails"


CLAIMS: list[Claim] = []


def claim(
    figure: str,
    statement: str,
    *,
    source: str,
    how: str,
    expected: float | None = None,
    tolerance: float | None = None,
    at_least: float | None = None,
):
    """Decorator: the function that follows measures this claim. Arguments as the attributes of :class:`Claim`.

    Either ``expected`` and ``tolerance``, or ``at_least``, the smallest number that agrees.
    """
    one_sided = at_least is not None
    if one_sided == (expected is not None) or (expected is None) != (tolerance is None):
        raise TypeError("give a claim either expected and tolerance, or at_least")
    target, slack = (at_least, 0.0) if one_sided else (expected, tolerance)

    def register(measure: Callable[[], float]) -> Callable[[], float]:
        CLAIMS.append(Claim(figure, statement, source, how, target, slack, measure, one_sided))
        return measure

    return register


def evaluate(*figures: str) -> pd.DataFrame:
    """Measure the claims of some figures, or of all.

    Args:
        figures: figure names such as ``"fig01"``; none means all.

    Returns:
        A row a claim, in the order of the figures: figure, claim, accepted (the numbers that agree, in words),
        measured, how, source, verdict.

    Raises:
        RequirementError: pandas is missing.
        ValueError: a name has no claims.
    """
    need("pandas", extra="lab")
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
                "accepted": entry.accepted,
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
        A pandas Styler: claim, the numbers that agree, our number, how, source, verdict; of all figures, the
        claims that fail first. Its text shows as it is written: characters of HTML are escaped, and a dollar sign
        begins no formula.

    Raises:
        RequirementError: pandas or jinja2 is missing.
        ValueError: a name has no claims.
    """
    need("pandas", "jinja2", extra="lab")
    frame = evaluate(*figures)
    if not figures:
        frame = frame.sort_values("verdict", kind="stable")  # "fails" before "holds"
    if len(figures) == 1:
        frame = frame.drop(columns="figure")
    styler = frame.style.hide(axis="index").format({"measured": "{:.4g}".format}, escape="html")
    return styler.set_table_attributes('class="tex2jax_ignore mathjax_ignore"')  # names that MathJax and Jupyter know


def slope(moment: Callable[[float], float], eps: float) -> float:
    """Exponent of ``moment(lam)`` in 1 - lam at ``eps``: a centred difference of logarithms over a factor of 1.2."""
    low, high = eps / np.sqrt(1.2), eps * np.sqrt(1.2)
    return np.log(moment(1 - high) / moment(1 - low)) / np.log(high / low)


def furthest(values: list[float], target: float) -> float:
    """The value furthest from ``target``: the claim holds for all if it holds for this one."""
    return max(values, key=lambda value: abs(value - target))
