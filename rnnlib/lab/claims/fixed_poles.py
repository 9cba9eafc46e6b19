"""Hypotheses on recurrences that are not learned, beyond the paper: fixed eigenvalues with the best readout.

Written down before the runs that decide them. What had been seen: the learned networks of Figures 3 and 10; the closed
form; least squares on teachers 28 to 31 at eight widths, all angles and memories; on two of them, 2,000 steps of an LRU
with fixed eigenvalues at angles up to .1 pi.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from ..statistics import Estimate, cross_fit, furthest, largest, median, paired_median, smallest
from .few_bits import trained
from .measures import decades, load, load_with_second_look
from .ranges import at_least, at_most, between, similar
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd

_claim = functools.partial(claim, kind="beyond", source="not in the paper")
_COVERING = ("random", "even", "lattice", "other teachers")  # designs that have angles
_ANGLES = (0.01, 0.0316, 0.1, 0.316, 1.0)
_WIDE = (0.1, 0.316, 1.0)
_WINDOW = 300
_LEAST = "least squares in double precision, singular values below 1e-6 of the largest left out"
_LEARNED = "the LRU of Figures 3 and 10 with 64 units, 10,000 steps; 32 teachers, ν₀ = .99"


@functools.cache
def _table(table: str):
    frame = load("fixed_poles", table)
    return frame.set_index(["design", "nu0", "theta0", "width", "teacher"]).sort_index()


def fixed(
    design: str = "random", theta0: float = 1.0, width: int = 64, nu0: float = 0.99, cutoff: str = "loss_6"
) -> np.ndarray:
    """Decades of the loss over the zero predictor's, a row a teacher."""
    return np.log10(_table("runs").loc[(design, nu0, theta0, width), cutoff].to_numpy())


def learned(theta0: float = 1.0, nu0: float = 0.99) -> np.ndarray:
    """The same of the trained LRU, the mean of its two runs on a teacher."""
    table = "fig03a_teachers" if theta0 == 1.0 else "fig10d_teachers"
    return decades(table, "lru", start=nu0, nu0=nu0, theta0=theta0).mean(axis=1)


def units_needed(design: str, theta0: float, nu0: float | None = None) -> np.ndarray:
    """Units that leave a hundredth of the loss, of each teacher, between the widths that were computed: on the window,
    or, with ``nu0``, on an infinite one. The smallest width if that is enough, infinity if the largest is not."""
    frame = _table("runs" if nu0 is None else "endless").loc[(design, 0.99 if nu0 is None else nu0, theta0)]
    wide = frame["loss_6" if nu0 is None else "loss"].unstack("teacher")
    values = np.maximum(np.log10(np.maximum(wide.to_numpy(), 1e-300)), -6)  # a cliff would pull the crossing up
    return np.array([_crossing(np.log(wide.index.to_numpy()), column) for column in values.T])


def _crossing(at: np.ndarray, values: np.ndarray, level: float = -2.0) -> float:
    above = np.flatnonzero(values > level)
    if not len(above):
        return math.exp(at[0])
    last = above[-1]  # beyond it all is below
    if last == len(at) - 1:
        return math.inf
    part = (level - values[last]) / (values[last + 1] - values[last])
    return math.exp(at[last] + part * (at[last + 1] - at[last]))


@_claim(
    "beyond-poles-all-angles",
    "Where the teacher has all angles, learning the eigenvalues of 64 units gains at least three decades",
    how=f"decades from {_LEARNED}, to the best of four designs of 64 fixed eigenvalues on each teacher; {_LEAST}; "
    "median of pairs",
    accepted=at_least(3.0, "orders of magnitude, as between RNN and LRU in Figure 3"),
)
def gain_at_all_angles() -> Estimate:
    return paired_median(np.min([fixed(design) for design in _COVERING], axis=0), learned())


@_claim(
    "beyond-poles-concentrated",
    "Where its angles stay below π/3, it gains nothing: 64 random eigenvalues do better by a factor of ten or more",
    how=f"decades from random fixed eigenvalues to {_LEARNED}; {_LEAST}; the smallest of θ₀/π = .01, .0316, .1 and "
    ".316, medians of pairs",
    accepted=at_least(1.0, "a factor of ten"),
)
def loss_by_learning_when_concentrated() -> Estimate:
    return smallest(*(paired_median(learned(angle), fixed("random", angle)) for angle in _ANGLES[:-1]))


@_claim(
    "beyond-poles-coarse-solution",
    "A readout with small weights is enough for 1e-5 there, up to angles of π/10",
    how="decades of the loss of 64 random fixed eigenvalues over the zero predictor's, singular values below a "
    "thousandth of the largest left out; the largest of θ₀/π = .01, .0316 and .1, medians of 32 teachers",
    accepted=at_most(-5.0, "what the statement says: 1e-5"),
)
def loss_of_a_coarse_solution() -> Estimate:
    return largest(*(median(fixed("random", angle, cutoff="loss_3")) for angle in _ANGLES[:3]))


@_claim(
    "beyond-poles-window",
    "On a window of T steps, T θ₀ / 2π units leave one per cent: one for each angle that the window tells apart",
    how=f"decades from T θ₀ / 2π to the units that random eigenvalues need; {_LEAST}; that of θ₀/π = .1, .316 and 1 "
    "which is furthest from 0, medians of 32 teachers",
    accepted=between(-math.log10(1.5), math.log10(1.5), "a rule of thumb: within a factor of one and a half"),
)
def units_on_the_window() -> Estimate:
    estimates = (np.log10(units_needed("random", angle) / (_WINDOW * angle / 2)) for angle in _WIDE)
    return furthest(*map(median, estimates))


@_claim(
    "beyond-poles-endless",
    "Without a window, one to two units for each radian and step of memory, whatever the memory and the angles",
    how="units that equally spaced eigenvalues need for one per cent over θ₀ m, m = 1 / (1 − ν₀): the furthest from "
    "1.5 of all ν₀ = .9, .99 and .999 and θ₀ for which θ₀ m is 10 to 500; closed form, medians of 32 teachers",
    accepted=between(1.0, 2.0, "what the statement says: one to two"),
)
def units_without_a_window() -> Estimate:
    estimates = []
    for nu0, angle in itertools.product((0.9, 0.99, 0.999), _ANGLES):
        scale = math.pi * angle / (1 - nu0)
        if 10 < scale < 500:
            estimates.append(median(units_needed("even", angle, nu0) / scale))
    return furthest(*estimates, target=1.5)


@_claim(
    "beyond-poles-designs",
    "How the eigenvalues are placed hardly matters, as long as they cover the angles",
    how=f"decades from the units that random eigenvalues need for one per cent to those of another design; {_LEAST}; "
    "that of equally spaced ones, a lattice of four memories and other teachers' eigenvalues, θ₀/π = .1, .316 and 1, "
    "which is furthest from 0, medians of pairs",
    accepted=similar("hardly: within a factor of two"),
)
def spread_of_designs() -> Estimate:
    return furthest(
        *(
            paired_median(*(np.log10(units_needed(name, angle)) for name in (design, "random")))
            for design in _COVERING[1:]
            for angle in _WIDE
        )
    )


@_claim(
    "beyond-poles-ladder",
    "Real eigenvalues, geometric in memory, do not stand in for angles: 512 of them leave half of the loss",
    how=f"decades of the loss over the zero predictor's at θ₀ = π, memories from 1 to 1,000; {_LEAST}; median of 32 "
    "teachers",
    accepted=at_least(math.log10(0.5), "what the statement says: half"),
)
def loss_of_the_ladder() -> Estimate:
    return median(fixed("ladder", width=512))


@_claim(
    "beyond-poles-memory",
    "With all angles, learning gains tenfold or more from memories of three steps on",
    how=f"decades from the LRU of Figure 3 to 64 random fixed eigenvalues; {_LEAST}; the smallest of ν₀ = .68 to .99, "
    "medians of pairs of 32 teachers",
    accepted=at_least(1.0, "a factor of ten"),
)
def gain_over_memories() -> Estimate:
    memories = (0.68, 0.84, 0.92, 0.96, 0.98, 0.99)
    return smallest(*(paired_median(fixed("random", nu0=nu0), learned(nu0=nu0)) for nu0 in memories))


@_claim(
    "beyond-poles-trained-readout",
    "Gradient descent finds the readout, too: with angles up to π/10, fixed eigenvalues train to within a factor of "
    "five of learned ones",
    how="θ₀/π = .1: decades from an LRU that learns its eigenvalues to one that does not, median of pairs; 16 "
    "teachers, 1,000 steps, the rate of a run chosen by the other run on its teacher",
    accepted=at_most(math.log10(5), "a small factor: five, as in Figure 3B"),
)
def cost_of_a_trained_readout() -> Estimate:
    return paired_median(trained("lru, frozen, theta0 .1"), trained("lru, float32, theta0 .1"))


@_claim(
    "beyond-poles-trained-readout-all-angles",
    "With all angles they do not come near: a hundredfold or more",
    how="the same at θ₀ = π",
    accepted=at_least(2.0, "a factor of a hundred"),
)
def cost_at_all_angles() -> Estimate:
    return paired_median(trained("lru, frozen"), trained("lru, float32"))


def at_width(eigenvalues: str, width: int, theta0: float) -> np.ndarray:
    """Decades by teacher, 16 of them.

    Args:
        eigenvalues: ``"learned"``, an LRU's, the mean of its two runs; ``"fixed"``, random ones with the best readout.
        width: number of units: 8, 16, 32, 64 or 128.
        theta0: largest angle, in units of pi.
    """
    if eigenvalues == "fixed":
        return _wide("random", width, theta0)
    return learned(theta0)[:16] if width == 64 else _learned_widths().loc[width, theta0].to_numpy()


@functools.cache
def _learned_widths() -> pd.DataFrame:
    frame = load_with_second_look("learned_poles")
    frame = frame.assign(decades=np.log10(frame["loss"] / frame["zero_loss"]).mask(frame["diverged"], math.inf))
    of = frame.groupby(["width", "theta0"])
    return of.apply(_cross_fitted, include_groups=False)


def _cross_fitted(runs: pd.DataFrame) -> pd.Series:
    import pandas as pd

    wide = runs.assign(run=runs["seed"] // 100).pivot(index=["teacher", "run"], columns="rate", values="decades")
    values = cross_fit(wide.to_numpy().reshape(*wide.index.levshape, -1))[1]
    return pd.Series(values.mean(axis=1), index=wide.index.levels[0])


@_claim(
    "beyond-poles-few-learned-units",
    "At all angles 16 learned units do better than 128 fixed ones, by a factor of ten or more",
    how="decades from an LRU of 16 units, 10,000 steps, to the best of four designs of 128 fixed eigenvalues on each "
    f"teacher; {_LEAST}; median of pairs, 16 teachers, ν₀ = .99",
    accepted=at_least(1.0, "a factor of ten, as in other rows about gaps"),
)
def few_learned_units_over_many_fixed() -> Estimate:
    best = np.min([_wide(design, 128, 1.0) for design in _COVERING], axis=0)
    return paired_median(best, at_width("learned", 16, 1.0))


@_claim(
    "beyond-poles-learned-over-widths",
    "With angles up to π/10 learning gains nothing beyond the border: 32 and 128 random eigenvalues do better by a "
    "factor of ten or more than as many learned ones",
    how=f"decades from random fixed eigenvalues to an LRU, 10,000 steps; {_LEAST}; the smaller of 32 and 128 units, "
    "medians of pairs, 16 teachers, ν₀ = .99",
    accepted=at_least(1.0, "a factor of ten, as in the row at 64 units"),
)
def loss_by_learning_at_other_widths() -> Estimate:
    return smallest(*(paired_median(*(at_width(e, width, 0.1) for e in ("learned", "fixed"))) for width in (32, 128)))


def _wide(design: str, width: int, theta0: float) -> np.ndarray:
    return np.log10(_table("runs").loc[(design, 0.99, theta0, width), "loss_6"].to_numpy())[:16]
