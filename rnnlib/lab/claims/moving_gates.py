"""Claims of gates that move: closed forms against simulations that are stored, and what follows from them.

The bound of 3 % is the one that was asked of the closed forms before they were derived. Tests had compared some of them
with other simulations when these rows were written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..experiments import moving_gates
from ..statistics import Estimate, furthest, median
from . import fig15
from .measures import furthest as furthest_number
from .measures import load
from .ranges import between, near
from .registry import claim

if TYPE_CHECKING:
    from numpy.typing import NDArray

THREE_PERCENT = near(1.0, 0.03, "within 3 %: what was asked of the closed forms before they were derived")
LONG = np.array([1e4, 1e5])  # time constants, many times longer than a draw lasts
_HOW = (
    "simulated mean squares over closed form, that furthest from 1 of E h² and E (dh)² at T = 1, 4, 16, 64, 256; "
    "medians over 64 groups of 8 units"
)


def _over_closed_form(gates: str) -> Estimate:
    frame, ratios = load("moving_gates").query("gates == @gates"), []
    for T, rows in frame.groupby("T"):
        for quantity, expected in zip(("h2", "s2"), moving_gates.EXPERIMENT.predicted(gates, T), strict=True):
            ratios.append(median(rows[quantity] / float(expected), "groups" if gates != "layer" else "layers"))
    return furthest(*ratios, target=1.0)


@claim(
    "beyond-gates-anew",
    "Where gates are drawn anew at each step, state and sensitivity have the closed forms' second moments",
    kind="beyond",
    source="not in the paper",
    how=_HOW,
    accepted=THREE_PERCENT,
)
def gates_drawn_anew() -> Estimate:
    return _over_closed_form("anew")


@claim(
    "beyond-gates-lasting",
    "So they have where each step keeps the gate of the step before with a probability of 0.95",
    kind="beyond",
    source="not in the paper",
    how=_HOW,
    accepted=THREE_PERCENT,
)
def gates_that_last() -> Estimate:
    return _over_closed_form("lasting")


@claim(
    "beyond-gates-input",
    "So they have where a gate sees the input that it lets in, by the closed forms for that",
    kind="beyond",
    source="not in the paper",
    how=_HOW,
    accepted=THREE_PERCENT,
)
def gates_that_see_their_input() -> Estimate:
    return _over_closed_form("input")


@claim(
    "beyond-gates-layer",
    "The GRU of Figure 15, on white inputs of d features, is a mixture: 1/d of gates that see the input which they let "
    "in, the rest of gates drawn anew",
    kind="beyond",
    source="not in the paper; on D.3, Figure 15",
    how=_HOW.replace("64 groups of 8 units", "64 layers of 256 units and 64 features"),
    accepted=THREE_PERCENT,
)
def gates_of_a_layer() -> Estimate:
    return _over_closed_form("layer")


def _powers(gates: str) -> list[float]:
    """Of T between the two of ``LONG``, of both moments."""
    h2, s2 = moving_gates.EXPERIMENT.predicted(gates, LONG)
    return [float(np.diff(np.log10(moment))[0] / np.diff(np.log10(LONG))[0]) for moment in (h2, s2)]


@claim(
    "beyond-gates-no-power",
    "Noise in the logit of a gate, drawn anew or lasting, changes no power of memory",
    kind="beyond",
    source="not in the paper",
    how="closed forms: power of T from 10,000 to 100,000 minus that of a constant gate, that furthest from 0 of E h² "
    "and E (dh)², both kinds of noise, variance 2",
    accepted=between(-0.1, 0.1, "the same power, as exponents of the field guide: within 0.1"),
)
def powers_of_moving_gates() -> float:
    still = _powers("constant")
    moving = [_powers(gates) for gates in ("anew", "lasting")]
    return furthest_number([a - b for powers in moving for a, b in zip(powers, still, strict=True)], 0.0)


@claim(
    "beyond-gates-own-input-power",
    "A gate that sees the input which it lets in gives the state a mean, so that E h² stops falling with memory, "
    "though E (dh)² falls as before",
    kind="beyond",
    source="not in the paper",
    how="closed forms: power of T from 10,000 to 100,000, of E h² minus 0 and of E (dh)² minus -1, that furthest from "
    "0",
    accepted=between(-0.1, 0.1, "these powers, as exponents of the field guide: within 0.1"),
)
def powers_of_gates_that_see_their_input() -> float:
    return furthest_number([a - b for a, b in zip(_powers("input"), (0.0, -1.0), strict=True)], 0.0)


@claim(
    "beyond-gates-text",
    "On text the closed forms say within a quarter what gates that see the input change: a fast part of it moves a "
    "gate anew at each step, a slow part shifts it for a whole sequence",
    kind="beyond",
    source="not in the paper; on D.3, Figure 15",
    how="log10 of (mean of gates that see the input / constant gates) / the same by closed forms, that furthest from 0 "
    "of h², (dh/db)² and eight bins of log T; 400 networks, paired",
    accepted=between(-np.log10(1.25), np.log10(1.25), "within a quarter; chosen when the means were known"),
)
def gates_on_text() -> Estimate:
    gaps = []
    for quantity in fig15.QUANTITIES:
        _, measured, predicted = effect_on_text(quantity)
        gaps += [
            Estimate(*np.log10([e.value, e.low, e.high] / ratio), e.n, e.unit)
            for e, ratio in zip(measured, predicted, strict=True)
        ]
    return furthest(*gaps)


def effect_on_text(quantity: str) -> tuple[NDArray, list[Estimate], NDArray]:
    """What gates that see the input change on the text of Figure 15.

    Args:
        quantity: ``"h2"`` or ``"s2"``.

    Returns:
        By bins of log T: the time constant; the mean over units whose gates see the input over that of units with
        constant gates, networks paired; the same by the closed forms.
    """
    seen, constant = (fig15._means(gates, quantity) for gates in ("input", "constant"))
    R = load("fig15", "inputs")["autocorrelation"].to_numpy()
    predicted = moving_gates.over_constant_gates_on_text(constant.T, R)[fig15.QUANTITIES.index(quantity)]
    measured = [
        fig15._estimate(lambda s, c, i=i: s[..., i] / c[..., i], seen, constant) for i in range(len(constant.T))
    ]
    return constant.T, measured, predicted
