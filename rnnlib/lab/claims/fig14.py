"""Claims of Figure 14: how diagonal the Jacobians of gated units are, on the stored results at the paper's scale.

The Jacobian of the state after t steps with respect to the first one begins as the identity. Its entries are compared
before it has decayed: at the t at which its Frobenius norm is at least 1/e of the identity's. Later there is little
left of the first state, and two numbers that have both decayed have any ratio.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..statistics import Estimate, difference, largest, median, smallest
from .measures import load
from .ranges import FACTOR_OF_TWO, at_least, at_most, significantly
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TIMES = (1, 16, 256)  # largest time constants
UNITS = "networks"
_SETTING = ["cell", "max_time", "input_scale", "recurrent_scale"]
DECAYED = 1 / math.e
EXACTLY = "zero, up to rounding in double precision"
MUCH_SMALLER = 0.1


def _sizes(setting: tuple[float, float, float], column: str) -> pd.DataFrame:
    """Root mean squares of a GRU with this range of T and these scales: a row a network, a column a t."""
    rows = load("fig14")
    rows = rows[(rows[_SETTING] == ["gru", *setting]).all(axis=1)]
    return rows.pivot_table(column, "network", "t")


def _norms(setting: tuple[float, float, float], units: str = "") -> pd.DataFrame:
    """Frobenius norm of the Jacobian over that of the identity, of all rows, or of those of ``"fast_"`` or ``"slow_"``
    units."""
    diagonal, off = (_sizes(setting, f"{units}{kind}") for kind in ("diagonal", "off"))
    return (diagonal**2 + (_width() - 1) * off**2) ** 0.5


def _off_over_diagonal(setting: tuple[float, float, float], units: str = "") -> NDArray:
    """Of each network, the largest ratio of root mean squares over t at which the Jacobian has not decayed."""
    ratio = _sizes(setting, f"{units}off") / _sizes(setting, f"{units}diagonal")
    return ratio.where(_norms(setting, units) >= DECAYED).max(axis=1).to_numpy()


def _time_constants(setting: tuple[float, float, float], units: str = "") -> NDArray:
    """Of each network, the step at which the diagonal's root mean square has fallen to 1/e, its logarithm taken as
    linear between the stored t and from 1 at t = 0; infinite if it has not."""
    sizes = np.log(_sizes(setting, f"{units}diagonal"))
    t, times = np.array([0, *sizes.columns]), []
    for row in sizes.to_numpy():
        values = np.array([0, *row])
        times.append(math.inf)
        if (values <= -1).any():
            after = int(np.argmax(values <= -1))
            part = (-1 - values[after - 1]) / (values[after] - values[after - 1])
            times[-1] = t[after - 1] + part * (t[after] - t[after - 1])
    return np.array(times)


def _change_of_decay(time: float, units: str = "", recurrent_scale: float = 1) -> NDArray:
    """Of each network, by how many decades gates that see something change the time constant of the diagonal."""
    moving, constant = _time_constants((time, 1, recurrent_scale), units), _time_constants((time, 0, 0), units)
    return np.abs(np.log10(moving / constant))


def _distance(time: float, recurrent_scale: float) -> NDArray:
    """Of each network, the Frobenius norm of the Jacobian minus that with constant gates, over the latter's; the
    largest within the time constant of constant gates."""
    setting = (time, 1, recurrent_scale)
    constant = _sizes((time, 0, 0), "diagonal")
    squares = _sizes(setting, "change") ** 2 + (_width() - 1) * _sizes(setting, "off") ** 2
    return (squares**0.5 / constant).where(constant >= DECAYED).max(axis=1).to_numpy()


def _growth(recurrent_scale: float) -> pd.DataFrame:
    """Decades by which the Frobenius norm of the Jacobian has grown from that of the identity, by network and t."""
    return np.log10(_norms((16, 1, recurrent_scale)))


def _width() -> int:
    return load("fig14").attrs["definition"]["width"]


@claim(
    "fig14-diagonal-with-constant-gates",
    "With gates that ignore input and state the Jacobian is exactly diagonal",
    kind="ours",
    source="exactly: ours; D.2, Figure 14",
    how="the largest off-diagonal entry, scales 0, all times, time constants and networks",
    accepted=at_most(1e-12, EXACTLY),
)
def largest_off_diagonal_of_constant_gates() -> float:
    return load("fig14").query("cell == 'gru' and input_scale == 0")["off_largest"].max()


@claim(
    "fig14-diagonal-with-input-gates",
    "With gates that see the input alone the Jacobian is exactly diagonal",
    kind="ours",
    source="exactly: ours; D.2, Figure 14",
    how="the largest off-diagonal entry with input scale 1 and recurrent scale 0",
    accepted=at_most(1e-12, EXACTLY),
)
def largest_off_diagonal_of_input_gates() -> float:
    rows = load("fig14").query("cell == 'gru' and input_scale == 1 and recurrent_scale == 0")
    return rows["off_largest"].max()


@claim(
    "fig14-off-diagonal-small",
    "At the standard start the off-diagonal entries of a GRU's Jacobian are much smaller than the diagonal ones",
    kind="text",
    source="5, D.2, Figure 14",
    how="root mean squares, off the diagonal over on it, the largest over t before the Jacobian has decayed "
    "(Frobenius norm at least 1/e of the identity's); median over networks, the largest of T in [1, 1], [1, "
    "16] and [1, 256] (measure changed after a number had been seen: it took all t, and divided by a diagonal "
    "that had decayed to 5e-13)",
    accepted=at_most(MUCH_SMALLER, "much smaller: a tenth or less"),
)
def off_diagonal_over_diagonal() -> Estimate:
    return largest(*(median(_off_over_diagonal((time, 1, 1)), UNITS) for time in TIMES))


@claim(
    "fig14-off-diagonal-small-at-start",
    "Off-diagonal entries stay small, at all times, next to the diagonal after one step",
    kind="ours",
    source="ours; on D.2, Figure 14",
    how="largest root mean square off the diagonal over the diagonal's at t = 1, median over networks, the larger "
    "of T in [1, 16] and [1, 256] (added after seeing a small layer)",
    accepted=at_most(0.1, "small: a tenth or less"),
)
def off_diagonal_over_initial_diagonal() -> Estimate:
    settings = [(time, 1, 1) for time in (16, 256)]
    ratios = [_sizes(setting, "off").max(axis=1) / _sizes(setting, "diagonal")[1] for setting in settings]
    return largest(*(median(ratio, UNITS) for ratio in ratios))


@claim(
    "fig14-off-diagonal-together-small",
    "All off-diagonal entries together weigh less than the diagonal",
    kind="ours",
    source="ours; on D.2, Figure 14",
    how="Frobenius norm of what is off the diagonal over that of the diagonal, the largest over t before the "
    "Jacobian has decayed; median over networks, the largest of T in [1, 1], [1, 16] and [1, 256]",
    accepted=at_most(1, "the diagonal holds half of the squared norm or more"),
)
def off_diagonal_norm_over_diagonal_norm() -> Estimate:
    others = math.sqrt(_width() - 1)
    return largest(*(median(others * _off_over_diagonal((time, 1, 1)), UNITS) for time in TIMES))


@claim(
    "fig14-slow-units-more-diagonal",
    "A GRU almost behaves as a diagonal network, above all its slow units",
    kind="text",
    source="5, D.2",
    how="off the diagonal over on it, as for small off-diagonal entries, in the rows of the quarter of units with the "
    "shortest T over that in the quarter with the longest, log10; paired median over networks, the smaller of T in "
    "[1, 16] and [1, 256]",
    accepted=significantly("above all: larger for fast units, beyond chance"),
)
def coupling_of_fast_units_over_slow() -> Estimate:
    pairs = [[np.log10(_off_over_diagonal((time, 1, 1), u)) for u in ("fast_", "slow_")] for time in (16, 256)]
    return smallest(*(median(difference(*pair), UNITS) for pair in pairs))


@claim(
    "fig14-gates-leave-decay",
    "Gates that see input and state leave the decay of the diagonal qualitatively as it is",
    kind="text",
    source="D.2, Figure 14",
    how="the step at which the diagonal's root mean square has fallen to 1/e over that with constant gates of the same "
    "biases, |log10|; median over networks, the largest of T in [1, 1], [1, 16] and [1, 256]",
    accepted=at_most(FACTOR_OF_TWO, "qualitatively the same: within a factor of two"),
)
def change_of_decay() -> Estimate:
    return largest(*(median(_change_of_decay(time), UNITS) for time in TIMES))


@claim(
    "fig14-gates-leave-slow-decay",
    "Such gates change the decay of units with λ near 1 least",
    kind="text",
    source="D.2, Figure 14",
    how="the change of that step, |log10|, of the quarter of units with the shortest T minus that of the quarter "
    "with the longest, T in [1, 256], paired median over networks",
    accepted=significantly("most: the decay of fast units changes more, beyond chance"),
    seen=False,
)
def change_of_fast_decay_minus_slow() -> Estimate:
    return median(difference(_change_of_decay(256, "fast_"), _change_of_decay(256, "slow_")), UNITS)


@claim(
    "fig14-input-gates-closer",
    "Gates that see the input alone are even closer to constant ones",
    kind="text",
    source="D.2, Figure 14",
    how="Frobenius norm of the Jacobian minus that with constant gates, over the latter, the largest while that "
    "diagonal's root mean square is at least 1/e, T in [1, 16]; recurrent scale 1 minus recurrent scale 0, paired "
    "median over networks",
    accepted=significantly("even closer: the distance is smaller, beyond chance"),
    seen=False,
)
def distance_of_usual_gates_minus_input_gates() -> Estimate:
    return median(difference(_distance(16, 1), _distance(16, 0)), UNITS)


@claim(
    "fig14-strength-breaks-diagonality",
    "Recurrent weights of strength 3 and more break the diagonality",
    kind="text",
    source="D.2, Figure 14",
    how="off the diagonal over on it, as for small off-diagonal entries; T in [1, 16], median over networks, the "
    "smallest of strengths 3, 5 and 10",
    accepted=at_least(MUCH_SMALLER, "no longer much smaller: more than the tenth that the standard start may have"),
)
def off_diagonal_over_diagonal_of_strong_weights() -> Estimate:
    return smallest(*(median(_off_over_diagonal((16, 1, scale)), UNITS) for scale in (3, 5, 10)))


@claim(
    "fig14-strength-3-explodes",
    "At recurrent strength 3 the Jacobian then explodes",
    kind="text",
    source="D.2, Figure 14",
    how="log10 of its Frobenius norm after 512 steps over that of the identity; strength 3, T in [1, 16], median over "
    "networks",
    accepted=at_least(1, "explodes: grows by more than a factor of ten"),
)
def growth_at_strength_3() -> Estimate:
    return median(_growth(3).iloc[:, -1], UNITS)


@claim(
    "fig14-larger-strengths-explode",
    "At recurrent strengths beyond 3 the Jacobian explodes",
    kind="text",
    source="D.2, Figure 14",
    how="log10 of its Frobenius norm after 512 steps over that of the identity; T in [1, 16], median over "
    "networks, the smaller of strengths 5 and 10",
    accepted=at_least(1, "explodes: grows by more than a factor of ten"),
    seen=False,
)
def growth_at_larger_strengths() -> Estimate:
    return smallest(*(median(_growth(scale).iloc[:, -1], UNITS) for scale in (5, 10)))


@claim(
    "fig14-explosion-only-there",
    "Weaker recurrent weights do not make it explode",
    kind="text",
    source="D.2, Figure 14",
    how="log10 of its Frobenius norm over that of the identity, the largest over t; T in [1, 16], median over "
    "networks, the larger of strengths 1 and 2",
    accepted=at_most(1, "does not explode: grows by no more than a factor of ten"),
    seen=False,
)
def growth_at_weaker_strengths() -> Estimate:
    return largest(*(median(_growth(scale).max(axis=1), UNITS) for scale in (1, 2)))


@claim(
    "fig14-diagonality-at-strength-2",
    "Weaker recurrent weights do not break the diagonality",
    kind="text",
    source="D.2, Figure 14",
    how="off the diagonal over on it, as for small off-diagonal entries; strength 2, T in [1, 16], median over "
    "networks",
    accepted=at_most(MUCH_SMALLER, "much smaller: a tenth or less, as for the standard start"),
)
def off_diagonal_over_diagonal_at_strength_2() -> Estimate:
    return median(_off_over_diagonal((16, 1, 2)), UNITS)


@claim(
    "fig14-off-diagonal-grows-with-scale",
    "Off-diagonal entries grow with the recurrent scale",
    kind="ours",
    source="ours; on D.2, Figure 14",
    how="their root mean square at scale 3 over that at scale 1, T in [1, 16], the smallest over t, median over "
    "networks",
    accepted=at_least(1.5, "chosen before the numbers of the first run: by half at least"),
)
def growth_with_recurrent_scale() -> Estimate:
    large, usual = (_sizes((16, 1, scale), "off") for scale in (3, 1))
    return median((large / usual).min(axis=1), UNITS)
