"""The registry of claims: what a claim is, how one is added, how a table of them is measured."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..experiments.requirements import need
from .ranges import Range

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and how we measure it.

    Attributes:
        name: its figure and a few words, such as ``fig03-block-drop``; it does not change when the statement does.
        statement: what the paper says, in one plain sentence.
        source: where it says so.
        how: what we measure, and on what.
        accepted: the numbers that agree with the statement.
        measure: returns our number.
    """

    name: str
    statement: str
    source: str
    how: str
    accepted: Range
    measure: Callable[[], float]

    @property
    def figure(self) -> str:
        """The figure it belongs to, ``fig01`` to ``fig15``."""
        return self.name.partition("-")[0]

    def verdict(self, measured: float) -> str:
        """``"holds"`` if the number is among those accepted, else ``"fails"``."""
        return "holds" if measured in self.accepted else "fails"


CLAIMS: list[Claim] = []


def claim(name: str, statement: str, *, source: str, how: str, accepted: Range):
    """Decorator: the function that follows measures this claim. Arguments as the attributes of :class:`Claim`.

    Raises:
        ValueError: the name does not begin with a figure, or is another claim's.
    """
    if not re.fullmatch(r"fig\d\d(-[a-z0-9]+)+", name):
        raise ValueError(f"name of a claim {name!r}: give a figure and words, such as 'fig03-block-drop'")
    if any(entry.name == name for entry in CLAIMS):
        raise ValueError(f"name of a claim {name!r}: another claim has it; give this one its own")

    def register(measure: Callable[[], float]) -> Callable[[], float]:
        CLAIMS.append(Claim(name, statement, source, how, accepted, measure))
        return measure

    return register


def _select(names: tuple[str, ...]) -> list[Claim]:
    """The claims of figures and those called by their own names, or all, in the order of the figures."""
    figures = {entry.figure for entry in CLAIMS}
    for name in names:
        siblings = {entry.name for entry in CLAIMS if entry.figure == name.partition("-")[0]}
        if name not in figures | siblings:
            raise ValueError(f"no claims for {name!r}; choose from {', '.join(sorted(siblings or figures))}")
    chosen = [entry for entry in CLAIMS if not names or entry.figure in names or entry.name in names]
    return sorted(chosen, key=lambda entry: entry.figure)


def evaluate(*names: str) -> pd.DataFrame:
    """Measure some claims, or all.

    Args:
        names: figures such as ``"fig01"`` and claims such as ``"fig03-block-drop"``; none means all.

    Returns:
        A row a claim, in the order of the figures: figure, name, claim, accepted (the numbers that agree, in
        words), measured, how, source, verdict.

    Raises:
        RequirementError: pandas is missing.
        ValueError: a name is neither a figure with claims nor a claim.
    """
    need("pandas", extra="lab")
    import pandas as pd

    rows = []
    for entry in _select(names):
        measured = float(entry.measure())
        rows.append(
            {
                "figure": entry.figure,
                "name": entry.name,
                "claim": entry.statement,
                "accepted": str(entry.accepted),
                "measured": measured,
                "how": entry.how,
                "source": entry.source,
                "verdict": entry.verdict(measured),
            }
        )
    return pd.DataFrame(rows)


def table(*names: str) -> Styler:
    """Some claims, or all, as a table to show at the end of a notebook.

    Args:
        names: as for :func:`evaluate`.

    Returns:
        A pandas Styler: name, claim, the numbers that agree, our number, how, source, verdict; of all figures, the
        claims that fail first. Its text shows as it is written: characters of HTML are escaped, and a dollar sign
        begins no formula.

    Raises:
        RequirementError: pandas or jinja2 is missing.
        ValueError: a name is neither a figure with claims nor a claim.
    """
    need("pandas", "jinja2", extra="lab")
    frame = evaluate(*names)
    if not names:
        frame = frame.sort_values("verdict", kind="stable")  # "fails" before "holds"
    styler = frame.drop(columns="figure").style.hide(axis="index")
    styler.format({"measured": "{:.4g}".format}, escape="html")
    return styler.set_table_attributes('class="tex2jax_ignore mathjax_ignore"')  # names that MathJax and Jupyter know
