"""One look for all figures: a matplotlib style, a colour per architecture, sequential colours for ordered values."""

from __future__ import annotations

from importlib import resources

from . import checks

#: One colour per architecture and per parametrisation, mostly of seaborn's colour-blind palette.
COLORS = {
    "rnn": "#0173b2",
    "block": "#029e73",
    "block_wide": "#949494",
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
