"""The registry of claims: what a claim is, how one is added, how they are measured."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from ..experiments.requirements import need
from ..statistics import Estimate
from .ranges import Range

if TYPE_CHECKING:
    import pandas as pd

#: Kinds of claims, which are counted apart.
KINDS = {
    "text": "what the paper's text says",
    "picture": "what its pictures show",
    "erratum": "effects of the errors we found",
    "ours": "our own checks and refinements",
    "beyond": "beyond the paper",
}


@dataclass(frozen=True)
class Claim:
    """One claim and how we measure it.

    Attributes:
        name: its figure, or section (``sec23``: 2.3), and a few words, such as ``fig03-block-drop``; it does not change
            when the statement does.
        statement: what the paper says, in one plain sentence, no weaker and no stronger.
        kind: a key of ``KINDS``.
        source: where it says so.
        how: what we measure, and on what.
        accepted: the numbers that agree with the statement, and why these.
        measure: returns our number, or an estimate with an interval.
        paper: the paper's own number for it, as text; empty if it gives none.
        seen: whether data that bear on the number had been seen when the bound was written.
    """

    name: str
    statement: str
    kind: str
    source: str
    how: str
    accepted: Range
    measure: Callable[[], float | Estimate]
    paper: str = ""
    seen: bool = True

    @property
    def figure(self) -> str:
        """The figure it belongs to, ``fig01`` to ``fig15``, ``sec23`` for a section without one, or ``beyond``."""
        return self.name.partition("-")[0]

    def evaluate(self) -> Estimate:
        """Our number; one that was computed, not sampled, has an interval of no width."""
        measured = self.measure()
        return measured if isinstance(measured, Estimate) else Estimate.exact(float(measured))


CLAIMS: list[Claim] = []

#: The verdict of a claim whose results are not stored yet.
NOT_RUN = "not run yet"


def claim(
    name: str,
    statement: str,
    *,
    kind: str,
    source: str,
    how: str,
    accepted: Range,
    paper: str = "",
    seen: bool = True,
):
    """Decorator: the function that follows measures this claim. Arguments as the attributes of :class:`Claim`.

    Raises:
        ValueError: the name does not begin with a figure, a section or "beyond", or is another claim's; or there is no
            such kind.
    """
    if not re.fullmatch(r"((fig|sec)\d\d|beyond)(-[a-z0-9]+)+", name):
        raise ValueError(
            f"name of a claim {name!r}: give a figure or section and words, such as 'fig03-block-drop', or 'beyond' "
            "and words"
        )
    if any(entry.name == name for entry in CLAIMS):
        raise ValueError(f"name of a claim {name!r}: another claim has it; give this one its own")
    if kind not in KINDS:
        raise ValueError(f"kind of a claim {kind!r}: choose from {', '.join(KINDS)}")

    def register(measure: Callable[[], float | Estimate]) -> Callable[[], float | Estimate]:
        CLAIMS.append(Claim(name, statement, kind, source, how, accepted, measure, paper, seen))
        return measure

    return register


@functools.cache
def bounds() -> dict[str, dict[str, str]]:
    """By name of a claim: its range, and commit and day in which this range was first written down."""
    return json.loads((resources.files(__package__) / "bounds.json").read_text(encoding="utf-8"))


def select(*names: str) -> list[Claim]:
    """The claims of figures and those called by their own names, or all, in the order of the figures.

    Raises:
        ValueError: a name is neither a figure with claims nor a claim.
    """
    figures = {entry.figure for entry in CLAIMS}
    for name in names:
        siblings = {entry.name for entry in CLAIMS if entry.figure == name.partition("-")[0]}
        if name not in figures | siblings:
            raise ValueError(f"no claims for {name!r}; choose from {', '.join(sorted(siblings or figures))}")
    chosen = [entry for entry in CLAIMS if not names or entry.figure in names or entry.name in names]
    return sorted(chosen, key=lambda entry: (entry.figure == "beyond", entry.figure))


def evaluate(*names: str) -> pd.DataFrame:
    """Measure some claims, or all.

    Args:
        names: figures such as ``"fig01"`` and claims such as ``"fig03-block-drop"``; none means all.

    Returns:
        A row a claim, in the order of the figures: figure, name, kind, claim, source, paper (its own number), measured,
        low, high (the 95 % interval), n, unit (what the interval is over; 0 for an exact number), accepted (the numbers
        that agree, in words), reason (for these), verdict, decides (what would decide an undecided row), how, bound
        (commit and day in which the range was written), seen (whether data had been seen then).

    Raises:
        RequirementError: pandas or scipy is missing.
        ValueError: a name is neither a figure with claims nor a claim.
    """
    return measured(select(*names))


def measured(entries: Sequence[Claim]) -> pd.DataFrame:
    """Rows as of :func:`evaluate`; a claim that is not in ``CLAIMS`` has no number and the verdict ``NOT_RUN``.

    Raises:
        RequirementError: pandas or scipy is missing.
    """
    need("pandas", "scipy", extra="lab")
    import pandas as pd

    nothing = Estimate.exact(math.nan)
    rows = [_row(e, e.evaluate()) if e in CLAIMS else _row(e, nothing) | {"verdict": NOT_RUN} for e in entries]
    return pd.DataFrame(rows)


def _row(entry: Claim, measured: Estimate) -> dict[str, object]:
    verdict, since = entry.accepted.verdict(measured), bounds().get(entry.name, {})
    enough = entry.accepted.units_to_decide(measured) if verdict == "undecided" else 0.0
    decides = ""
    if verdict == "undecided":
        decides = (
            f"about {round(enough, -1):.0f} {measured.unit}"
            if enough < 1e4
            else f"no number of {measured.unit} in reach"
        )
    return {
        "figure": entry.figure,
        "name": entry.name,
        "kind": entry.kind,
        "claim": entry.statement,
        "source": entry.source,
        "paper": entry.paper,
        "measured": measured.value,
        "low": measured.low,
        "high": measured.high,
        "n": measured.n,
        "unit": measured.unit,
        "accepted": str(entry.accepted).replace("within ×2", "±0.301, a factor of 2"),  # ratios are in decades
        "reason": entry.accepted.reason,
        "verdict": verdict,
        "decides": decides,
        "how": entry.how,
        "bound": f"{since['commit']}, {since['day']}" if since else "not yet committed",
        "seen": entry.seen,
    }
