"""One look for all figures: a matplotlib style, a colour per architecture, sequential colours for ordered values."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks, statistics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

#: The paper's own values, in every figure that shows them.
PAPER = {"color": "0.6", "marker": "D", "ms": 5, "ls": "none", "zorder": 1, "label": "paper"}

#: One colour per architecture and per parametrisation, mostly of seaborn's colour-blind palette.
COLORS = {
    "rnn": "#0173b2",
    "block": "#029e73",
    "block_wide": "#fbafe4",
    "crnn": "#de8f05",
    "crnn_gamma": "#ca9161",
    "lru": "#d55e00",
    "s4d": "#cc78bc",
    "gru": "#56b4e9",
    "lstm": "#8c510a",
    "mingru": "#01665e",
    "polar": "#949494",
    "exponential": "#d55e00",
    "optimal": "#029e73",
}

#: Colour map of each ordered quantity, so that a quantity looks the same on every page.
_MAPS = {"rho": "flare", "lam": "crest", "time": "viridis"}


def use() -> None:
    """Apply the style to every figure drawn from now on."""
    import matplotlib.pyplot as plt

    with resources.as_file(resources.files(__package__) / "rnnlib.mplstyle") as path:
        plt.style.use(path)


def sequence(quantity: str, count: int) -> list[tuple[float, float, float]]:
    """Colours for ``count`` ordered values of a quantity, light to dark.

    Args:
        quantity: ``"rho"`` (input correlation), ``"lam"`` (eigenvalue) or ``"time"``.
        count: how many colours, at least 1.

    Returns:
        RGB triples.

    Raises:
        ValueError: unknown quantity, or count is not a whole number of at least 1.
    """
    import seaborn

    if quantity not in _MAPS:
        raise ValueError(f"unknown quantity {quantity!r}; choose from {', '.join(_MAPS)}")
    return list(seaborn.color_palette(_MAPS[quantity], checks.whole("count", count)))


def replicates(
    ax: Axes,
    x: float,
    decades: ArrayLike,
    *,
    color: str,
    width: float = 0.25,
    cap: float = np.inf,
    horizontal: bool = False,
    **look: Any,
) -> None:
    """Every unit as a dot, their median and its 95 % interval as a bar, on a logarithmic axis.

    Args:
        ax: where.
        x: place of the median; dots lie beside it, within ``width``.
        decades: log10 of what is drawn, a row a unit, whose mean over columns counts.
        color: of dots and bar.
        width: of the dots' strip, in units of x.
        cap: values above it, in decades, are drawn there: a run that diverged has none.
        horizontal: whether values run along the horizontal axis, and x is a height.
        look: further settings of the bar's marker, such as ``label`` and ``mfc``.
    """
    rows = np.asarray(decades, dtype=float)
    means = np.minimum(rows.reshape(len(rows), -1).mean(axis=1), cap)
    beside = x + width * (np.random.default_rng(0).permutation(len(means)) / len(means) - 0.5)
    dots, estimate = (beside, 10**means), statistics.median(rows)
    value, low, high = (10 ** min(end, cap) for end in (estimate.value, estimate.low, estimate.high))
    place, reach = (x, value), [[value - low], [high - value]]
    if horizontal:
        dots, place = dots[::-1], place[::-1]
    ax.plot(*dots, ".", ms=3, color=color, alpha=0.4)
    bar = {"xerr" if horizontal else "yerr": reach, "fmt": "o", "ms": 5, "capsize": 3, "color": color}
    ax.errorbar(*place, **bar | look)


def rows_of_students(ax: Axes, rows: Mapping[str, tuple[str, ArrayLike]], *, cap: float = np.inf) -> None:
    """A row for each student, the first on top: its units, their median and interval, and its name in its colour.

    Args:
        ax: where; its horizontal axis becomes logarithmic. Row k lies at the height -k.
        rows: by label, the student, a key of ``COLORS``, and its decades, a row a unit.
        cap: values above it, in decades, are drawn there.
    """
    for place, (student, decades) in enumerate(rows.values()):
        replicates(ax, -place, decades, color=COLORS[student], width=0.5, cap=cap, horizontal=True, capsize=0)
    ax.set(xscale="log")
    ax.set_yticks(range(0, -len(rows), -1), rows)
    for label, (student, _) in zip(ax.get_yticklabels(), rows.values(), strict=False):  # none beside a shared axis
        label.set_color(COLORS[student])
    ax.tick_params(axis="y", length=0)


def label_ends(
    ax: Axes, labels: Sequence[tuple[float, str, Any]], *, at: float = 1.02, size: float | None = None, **look: Any
) -> None:
    """Name lines at their right ends, in their colours: a reader need not go back and forth to a legend.

    Labels that would overlap are pushed apart, in the order of their heights. Call it last: it needs the final limits.

    Args:
        ax: axes whose limits and scale are set.
        labels: height of each line's end in data coordinates, its label, its colour.
        at: where labels begin, in widths of the axes from its left edge.
        size: of the letters in points; None takes the style's.
        look: further settings of the text, such as ``weight``.
    """
    import matplotlib.pyplot as plt
    from scipy.optimize import isotonic_regression

    if not labels:
        return
    size = plt.rcParams["font.size"] if size is None else size
    ax.figure.draw_without_rendering()  # constrained layout now knows how high the axes are
    to_axes = ax.transScale + ax.transLimits
    ordered = sorted(labels, key=lambda label: label[0])
    heights = np.array([to_axes.transform((ax.get_xlim()[0], height))[1] for height, _, _ in ordered])
    line = 1.25 * size / 72 * ax.figure.dpi / ax.bbox.height
    steps = line * np.arange(len(ordered))
    apart = isotonic_regression(np.clip(heights, 0, 1) - steps).x + steps  # least squares, one line apart or more
    for height, (_, text, color) in zip(apart, ordered, strict=True):
        ax.text(at, height, text, color=color, size=size, va="center", transform=ax.transAxes, **look)
