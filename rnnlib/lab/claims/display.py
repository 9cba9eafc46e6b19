"""Claims as a table, as a picture and as a tally."""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.requirements import need
from .registry import KINDS, NOT_RUN, evaluate, measured, select

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..statistics import Estimate
    from .ranges import Range

VERDICTS = ("holds", "fails", "undecided")
_COLORS = {"holds": "#017a59", "fails": "#b84f00", "undecided": "0.4"}  # dark enough for words
_EDGE = 0.5  # how far the axis of a picture of claims reaches beyond what agrees, in widths of it


def number(value: float) -> str:
    """A number as tables show it: three digits, with a power of ten where there are many zeros."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "not a number"
    text = f"{value:.3g}".replace("-", "−")
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    return (
        f"{mantissa} × 10{str(int(exponent.replace('−', '-'))).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    )


def _accepted(row: pd.Series) -> str:
    """The numbers that agree, with powers of ten as :func:`number` writes them."""
    return re.sub(r"[\d.]+e-?\d+", lambda shown: number(float(shown[0])), row["accepted"])


def ours(row: pd.Series) -> str:
    """Our number with its interval and what it is over."""
    if row["verdict"] == NOT_RUN:
        return "–"
    if not row["n"]:
        return number(row["measured"])
    interval = f"{number(row['low'])} to {number(row['high'])}"
    return f"{number(row['measured'])} ({interval}), {row['n']} {row['unit']}"


def factor(estimate: Estimate) -> str:
    """An estimate in decades as a factor with its interval, two digits each: 870 (150 to 9,700).

    Args:
        estimate: of a decimal logarithm; an end may be infinite.
    """
    value, low, high = (_factor(end) for end in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})" if estimate.n else value


def _factor(decades: float) -> str:
    if decades == -math.inf:
        return "0"
    value = 10.0 ** min(decades, 300)
    if not math.isfinite(decades) or not 1e-3 <= value < 1e6:
        return number(float(f"{value:.2g}")) if math.isfinite(decades) else "∞"
    return f"{float(f'{value:.2g}'):,.10g}"


@dataclass(frozen=True)
class Table:
    """Measured claims that show themselves as an HTML table.

    Attributes:
        frame: from :func:`rnnlib.lab.claims.evaluate`.
        paper: whether there is a column for the paper's number.
    """

    frame: pd.DataFrame
    paper: bool = True

    def to_html(self) -> str:
        """The table: claim, the paper's number, ours, the numbers that agree, verdict; details fold out."""
        heads = ("claim", "paper", "ours", "agrees if", "verdict")
        shown = [name for name in heads if self.paper or name != "paper"]
        cells = [dict(zip(heads, _cells(row), strict=True)) for _, row in self.frame.iterrows()]
        # on a phone the book shows a row as a card, whose parts it knows by their classes
        opened = {name: f'<td class="{name.split()[0]}">' for name in shown}
        rows = "".join(f"<tr>{''.join(f'{opened[name]}{row[name]}</td>' for name in shown)}</tr>" for row in cells)
        head = "".join(f"<th>{name}</th>" for name in shown)
        # the classes tell MathJax and Jupyter that dollar signs begin no formula
        return (
            '<table class="claims tex2jax_ignore mathjax_ignore">'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _repr_html_(self) -> str:
        return self.to_html()


def _cells(row: pd.Series) -> tuple[str, ...]:
    text = {name: html.escape(str(value)) for name, value in row.items()}
    known = " (data that bear on it had been seen)" if row["seen"] else ""
    details = (
        f"<details><summary>how</summary>{KINDS[row['kind']]}; {text['source']}.<br>"
        f"Measured: {text['how']}.<br>Range: {text['reason']}; written down in {text['bound']}{known}.</details>"
    )
    decides = f"<br><small>would decide: {text['decides']}</small>" if row["decides"] else ""
    return (
        f'{text["claim"]}<br><code class="claim">{text["name"]}</code>{details}',
        text["paper"],
        html.escape(ours(row)),
        html.escape(_accepted(row)),
        f"{row['verdict']}{decides}",
    )


@dataclass(frozen=True)
class Chapters:
    """Measured claims as one table a figure, each folded under how many of its rows hold."""

    frame: pd.DataFrame

    def to_html(self) -> str:
        """A fold for each figure or section, in the order of the frame."""
        parts = []
        for figure, rows in self.frame.groupby("figure", sort=False):
            counts = ", ".join(f"{n} {v}" for v in VERDICTS if (n := (rows["verdict"] == v).sum()))
            head = f"<summary>{place(figure)}: {counts.replace('holds', 'hold').replace('fails', 'fail')}</summary>"
            parts.append(f"<details>{head}{Table(rows).to_html()}</details>")
        return f'<div class="chapters">{"".join(parts)}</div>'

    def _repr_html_(self) -> str:
        return self.to_html()


def place(figure: str) -> str:
    """What a figure or section is called: ``fig03`` is Figure 3, ``sec23`` section 2.3."""
    if figure == "beyond":
        return "Beyond the paper"
    kind, digits = figure[:3], figure[3:]
    return f"Figure {int(digits)}" if kind == "fig" else f"Section {'.'.join(digits)}"


def table(*names: str) -> Table:
    """Some claims, or all, as a table to show at the end of a notebook.

    Args:
        names: as for :func:`rnnlib.lab.claims.evaluate`.

    Raises:
        RequirementError: pandas or scipy is missing.
        ValueError: a name is neither a figure with claims nor a claim.
    """
    return Table(evaluate(*names))


def hypotheses(*names: str) -> Table:
    """What was supposed beyond the paper, as a table; also what awaits its results.

    Args:
        names: beginnings of their names after ``beyond-``, such as ``"04"``; none means all.

    Raises:
        RequirementError: pandas or scipy is missing.
        ValueError: no hypothesis has a name that begins so.
    """
    from .beyond import HYPOTHESES

    chosen = [entry for entry in HYPOTHESES if entry.name.removeprefix("beyond-").startswith(names or "")]
    for name in names:
        if not any(entry.name.startswith(f"beyond-{name}") for entry in chosen):
            raise ValueError(f"no hypothesis {name!r}; choose from {', '.join(entry.name[7:] for entry in HYPOTHESES)}")
    return Table(measured(chosen), paper=False)


def tally(frame: pd.DataFrame) -> pd.DataFrame:
    """How many claims of each kind hold, fail and are undecided.

    Args:
        frame: from :func:`rnnlib.lab.claims.evaluate`.

    Returns:
        A row a kind, a column a verdict.
    """
    counts = frame.groupby(["kind", "verdict"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=list(KINDS), columns=list(VERDICTS), fill_value=0)
    return counts.rename(index=KINDS).rename_axis(index=None, columns=None)


def picture(*names: str) -> Figure:
    """Claims on one axis: range, dot, interval and verdict of each.

    Every row has a scale of its own, such that its bounds stand at the same places: numbers that agree are in the
    shaded part, which has no end where the range has none. An arrow at the edge is an end of an interval, or a dot,
    that lies beyond the axis; where it is infinite it says so. Rows whose number is exact have a dot without an
    interval.

    Args:
        names: as for :func:`rnnlib.lab.claims.evaluate`.

    Returns:
        The figure, drawn with pyplot.

    Raises:
        RequirementError: matplotlib, pandas or scipy is missing.
        ValueError: a name is neither a figure with claims nor a claim.
    """
    need("matplotlib", extra="book")
    import matplotlib.pyplot as plt

    frame = evaluate(*names)
    accepted = {entry.name: entry.accepted for entry in select(*names)}
    drawn, ax = plt.subplots(figsize=(7.2, 0.5 + 0.3 * len(frame)), layout="constrained")
    ax.set(xlim=(-_EDGE, 1 + _EDGE), ylim=(-0.7, len(frame) - 0.3))
    for place, (_, row) in enumerate(frame[::-1].iterrows()):
        _draw_row(ax, place, row, accepted[row["name"]])
    ax.set_yticks(range(len(frame)), frame["name"][::-1].str.partition("-")[2])
    ax.set_xticks([0.5], ["agrees"])
    ax.tick_params(length=0)
    return drawn


def _draw_row(ax: Axes, place: float, row: pd.Series, accepted: Range) -> None:
    """One claim at the height ``place``; its verdict, number and range in words beside the axis."""
    color, at = _COLORS[row["verdict"]], _scale(accepted, row)
    left, right = np.clip([at(accepted.low), at(accepted.high)], -_EDGE, 1 + _EDGE)
    ax.barh(place, right - left, 0.8, left, color=_COLORS["holds"], alpha=0.12, lw=0)
    low, value, high = (at(row[name]) for name in ("low", "measured", "high"))
    ax.plot(np.clip([low, high], -_EDGE, 1 + _EDGE), [place, place], color=color, lw=2, label="interval")
    for end in {low, high} - {value}:
        _mark_beyond(ax, end, place, color)
    if not _mark_beyond(ax, value, place, color):
        ax.plot(value, place, "o", color=color, ms=6, label="dot")
    words = [(row["verdict"], 6, color), (f"{number(row['measured'])}  ({_accepted(row)})", 58, None)]
    for text, offset, ink in words:
        ax.annotate(
            text,
            (1.0, place),
            (offset, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            **({"color": ink} if ink else {}),
        )


def _mark_beyond(ax: Axes, end: float, place: float, color: str) -> bool:
    """An arrow at the edge of the axis if ``end`` lies beyond it, with its sign if it is infinite."""
    from matplotlib.markers import CARETLEFT, CARETRIGHT

    if -_EDGE <= end <= 1 + _EDGE or math.isnan(end):
        return False
    above = end > 0
    edge, inwards = (1 + _EDGE, -1) if above else (-_EDGE, 1)
    tip = CARETRIGHT if above else CARETLEFT
    ax.plot(edge, place, marker=tip, color=color, ms=7, clip_on=False, label="beyond")
    if math.isinf(end):
        side = "right" if above else "left"
        ax.annotate(number(end), (edge, place), (9 * inwards, 4), textcoords="offset points", ha=side, color=color)
    return True


def _scale(accepted: Range, row: pd.Series) -> Callable[[float], float]:
    """Maps numbers of a row to the axis: what agrees to [0, 1], the rest beyond.

    A one-sided range has its bound at 0 (at least) or 1 (at most), and a unit such that what is finite fits.
    """
    low, high = accepted.low, accepted.high
    ends = [v for v in (row["low"], row["high"], row["measured"]) if math.isfinite(v)]
    if math.isfinite(low) and math.isfinite(high):
        origin, unit = low, high - low or 1.0
    else:
        bound, inwards = (low, 1) if math.isfinite(low) else (high, -1)
        inside = [inwards * (value - bound) for value in ends]
        reach = [1.2 * part if part > 0 else -1.2 * part / _EDGE for part in inside]
        unit = max([*reach, 0.25 * abs(bound)]) or 1.0
        origin = bound if math.isfinite(low) else bound - unit
    return lambda value: (value - origin) / unit
