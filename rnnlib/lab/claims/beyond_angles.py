"""Parametrisations of the angle: how sharp, and who arrives. Written down before the runs.

What had been seen before: runs of 5,000 and 10,000 steps on 6 and 10 teachers of other draws, memories of 100 and
1,000, which led to the rectangular parametrisation and the scaled steps being here; and runs of 1,000 steps on teachers
28 to 30 of the teacher-student task, which set its rates.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from .. import angles
from ..statistics import Estimate, cross_fit, furthest, largest, median, paired_median, quantile, smallest
from .measures import load, load_with_second_look
from .ranges import FACTOR_OF_TWO, at_least, at_most, between, significantly
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_beyond = functools.partial(claim, kind="beyond", source="not in the paper")

ANGLES = (0.01, 0.03, 0.1, 0.3, 0.7)
_RUNS = "Adam, 10,000 steps, rate chosen by the teacher's other start"
_ARRIVED = "arrived, as in Figure 7: a hundredth of the first loss or less is left"
_AWAY = "far away, as in Figure 7: more than the hundredth that counts as arrived is left"
_TENTH = "quantile .9 over 40 teachers of the first of their two starts"


@functools.cache
def _table(table: str, name: str, memory: float) -> pd.DataFrame:
    """Runs of one parametrisation, in the order of angles, teachers and draws."""
    runs = load(table)
    runs = runs[(runs["angle"] == name) & (runs["memory"] == memory)]
    order = [column for column in ("teacher_angle", "teacher", "draw") if column in runs]
    return runs.sort_values(order)


def _decades(runs: pd.DataFrame, quantity: str) -> NDArray:
    """Decades of the loss that is "left" or of the "steps" to a hundredth; infinite for runs that were lost and never
    got there."""
    values = {"left": runs["left"].fillna(math.inf), "steps": runs["steps"].where(runs["steps"] >= 0, math.inf)}
    return np.log10(values[quantity]).to_numpy()


def chosen(name: str, memory: float, quantity: str = "left") -> NDArray:
    """Of each angle, teacher and draw, what the rate gives that the teacher's other draw chooses.

    Args:
        name: of the parametrisation.
        memory: nominal.
        quantity: "left", decades of the loss that is left, or "steps", decades of steps to a hundredth; the rate is
            chosen by the same.

    Returns:
        Array (angles, teachers, draws).
    """
    runs = _table("angles_one_unit", name, memory)
    return _decades(runs, quantity).reshape(len(ANGLES), -1, runs["draw"].nunique())


def at_the_edge(name: str, memory: float) -> float:
    """Share of runs whose chosen rate is the smallest or largest of the grid."""
    rates = _table("angles_one_unit", name, memory)["rate"]
    grid = load("angles_one_unit", "rates")["rate"]
    return float(rates.isin((grid.min(), grid.max())).mean())


def medians(name: str, memory: float) -> list[Estimate]:
    """Decades of the loss that is left, by angle."""
    return [median(rows) for rows in chosen(name, memory)]


def tenths(name: str, memory: float) -> list[Estimate]:
    """What all but a tenth of the runs stay below, by angle."""
    return [quantile(rows[:, 0], 0.9) for rows in chosen(name, memory)]


@_beyond(
    "beyond-angles-exponents",
    "The curvature that turning an eigenvalue adds grows with memory and with the angle as the closed forms say, in "
    "eleven parametrisations",
    how="measured minus expected exponent, that which is furthest from 0; Hessians by automatic differentiation, "
    "memories of 1,000 and 10,000, angles of .03 and .1",
    accepted=between(-0.1, 0.1, "the field guide's tolerance for exponents"),
    seen=True,
)
def furthest_exponent() -> float:
    table = angles.exponents()
    differences = table["measured"] - table["expected"]
    return float(differences[differences.abs().idxmax()])


@_beyond(
    "beyond-angles-no-flat-chart",
    "No parametrisation bounds the curvature from both sides: over all memories up to m, the largest is at least m "
    "squared times the smallest",
    how="exponent, from m = 1,000 to 10,000, of the largest eigenvalue of the Hessian at memories from 10 to m over "
    "the smallest, angle π/4; the smallest exponent of the six parametrisations with two raw parameters",
    accepted=at_least(1.9, "a square, with the field guide's tolerance; the theorem bars a bounded ratio"),
    seen=False,
)
def spread_of_curvature() -> float:
    return min(spread(name) for name in CHARTS)


#: Parametrisations with two raw parameters whose steps follow a gradient.
CHARTS = ("polar", "exponential", "half-angle", "cayley", "optimal", "rectangular")


def spread(name: str) -> float:
    """Exponent of the largest over the smallest eigenvalue at all memories up to one."""
    ratios = []
    for memory in angles.MEMORIES:
        memories = np.geomspace(10, memory, 13)
        values = [np.linalg.eigvalsh(angles.hessian(name, each, angles.FIXED_ANGLE)) for each in memories]
        ratios.append(np.max(values) / np.min(values))
    return math.log(ratios[1] / ratios[0]) / math.log(angles.MEMORIES[1] / angles.MEMORIES[0])


@_beyond(
    "beyond-angles-optimal-stays-away",
    "The best curvature is the worst path at other angles and memories than Figure 7's: with the optimal angle the "
    "student stays away",
    how="decades from the first loss to the largest in the last tenth of the steps, the smallest median of five angles "
    f"and two memories; 40 teachers each; {_RUNS}",
    accepted=at_least(-2, _AWAY),
    seen=True,
)
def optimal_stays_away() -> Estimate:
    return smallest(*(each for memory in (100, 1000) for each in medians("optimal", memory)))


@_beyond(
    "beyond-angles-held-stays-away",
    "So it does if the modulus is held constant, as the paper derives the parametrisation",
    how=f"the same; {_RUNS}",
    accepted=at_least(-2, _AWAY),
    seen=True,
)
def held_stays_away() -> Estimate:
    return smallest(*(each for memory in (100, 1000) for each in medians("held", memory)))


@_beyond(
    "beyond-angles-polar-arrives",
    "With the polar angle, sharp as it is, students arrive from anywhere",
    how=f"decades from the first loss to the largest in the last tenth of the steps, {_TENTH}, the largest of five "
    f"angles and two memories; {_RUNS}",
    accepted=at_most(-2, _ARRIVED),
    seen=True,
)
def polar_arrives() -> Estimate:
    return largest(*(each for memory in (100, 1000) for each in tenths("polar", memory)))


@_beyond(
    "beyond-angles-rectangular-has-both",
    "At a memory of 100 a parametrisation has both: the rectangular one has a curvature of at most 1, and its students "
    "arrive",
    how=f"decades from the first loss to the largest in the last tenth of the steps, {_TENTH}, the largest of five "
    f"angles; {_RUNS}",
    accepted=at_most(-2, _ARRIVED),
    seen=True,
)
def rectangular_arrives() -> Estimate:
    return largest(*tenths("rectangular", 100))


@_beyond(
    "beyond-angles-rectangular-is-slow",
    "At a memory of 1,000 it has not: its raw parameters are too far from where they have to be",
    how="decades from the first loss to the largest in the last tenth of the steps, the smallest median of the three "
    f"angles from π/10 on; 40 teachers each; {_RUNS}",
    accepted=at_least(-2, _AWAY),
    seen=True,
)
def rectangular_stays_away() -> Estimate:
    return smallest(*medians("rectangular", 1000)[2:])


@_beyond(
    "beyond-angles-scaled-steps-have-both",
    "A rule for steps has both at either memory: polar parameters, and steps of the angle in proportion to 1 − ν²",
    how=f"decades from the first loss to the largest in the last tenth of the steps, {_TENTH}, the largest of five "
    f"angles and two memories; {_RUNS}",
    accepted=at_most(-2, _ARRIVED),
    seen=True,
)
def scaled_arrives() -> Estimate:
    return largest(*(each for memory in (100, 1000) for each in tenths("scaled", memory)))


@_beyond(
    "beyond-angles-scaled-steps-are-faster",
    "At a memory of 1,000 scaled steps are at least twice as fast as the polar angle",
    how="decades of steps to a hundredth of the first loss, polar minus scaled, the smallest median of pairs of five "
    "angles; 40 teachers each, rates chosen for these steps by the teacher's other start",
    accepted=at_least(FACTOR_OF_TWO, "a factor of two: beyond what other rows call the same"),
    seen=True,
)
def gain_of_scaled_steps() -> Estimate:
    return smallest(*_slower("polar", "scaled"))


def _slower(first: str, second: str) -> list[Estimate]:
    pairs = zip(*(chosen(name, 1000, "steps") for name in (first, second)), strict=True)
    return [paired_median(*pair) for pair in pairs]


@_beyond(
    "beyond-angles-step-is-slower",
    "Multiplying the angle by a learned step, as S4 does, tames the raw angle alone: at a memory of 1,000 it takes at "
    "least twice the steps of the polar angle",
    how="the same, times the step (S4) minus polar",
    accepted=at_least(FACTOR_OF_TWO, "a factor of two: beyond what other rows call the same"),
    seen=True,
)
def cost_of_the_step() -> Estimate:
    return smallest(*_slower("step", "polar"))


@_beyond(
    "beyond-angles-oscillator-loses-some",
    "With LinOSS's oscillator a tenth or more of the students do not arrive, at any angle",
    how=f"decades from the first loss to the largest in the last tenth of the steps, {_TENTH}, the smallest of five "
    f"angles, memory 100; {_RUNS}",
    accepted=at_least(-2, _AWAY),
    seen=True,
)
def oscillator_loses_some() -> Estimate:
    return smallest(*tenths("oscillator", 100))


# Fresh teachers, one rate for all angles: written down after the rows above had been measured -------------------------

_FRESH = "200 fresh teachers, one rate for all angles, which the first 40 teachers chose"


def fresh(name: str, memory: float, quantity: str = "left") -> NDArray:
    """As :func:`chosen`, of the fresh teachers (angles, teachers)."""
    return _decades(_table("angles_fresh", name, memory), quantity).reshape(len(ANGLES), -1)


def fresh_tenths(name: str, memory: float) -> list[Estimate]:
    """What all but a tenth of the runs stay below, by angle."""
    return [quantile(rows, 0.9) for rows in fresh(name, memory)]


_FRESH_TENTH = "decades from the first loss to the largest in the last tenth of the steps, quantile .9 over teachers"


@_beyond(
    "beyond-angles-fresh-polar-arrives",
    "With one rate for all angles, nine of ten students with the polar angle arrive",
    how=f"{_FRESH_TENTH}, the largest of five angles and two memories; {_FRESH}",
    accepted=at_most(-2, _ARRIVED),
    seen=True,
)
def fresh_polar_arrives() -> Estimate:
    return largest(*(each for memory in (100, 1000) for each in fresh_tenths("polar", memory)))


@_beyond(
    "beyond-angles-fresh-rectangular-has-both",
    "Does any parametrisation have both? At a memory of 100 one does: the rectangular one has a curvature of at most "
    "1, and nine of ten students arrive",
    how=f"{_FRESH_TENTH}, the largest of five angles; {_FRESH}",
    accepted=at_most(-2, _ARRIVED),
    seen=True,
)
def fresh_rectangular_arrives() -> Estimate:
    return largest(*fresh_tenths("rectangular", 100))


@_beyond(
    "beyond-angles-fresh-none-has-both",
    "At a memory of 1,000 none does: where the curvature does not grow, with rectangular parameters, half of the "
    "students or more do not arrive",
    how="decades from the first loss to the largest in the last tenth of the steps, median over teachers, the largest "
    f"of five angles; {_FRESH}",
    accepted=at_least(-2, _AWAY),
    seen=True,
)
def fresh_rectangular_stays_away() -> Estimate:
    return largest(*(median(rows) for rows in fresh("rectangular", 1000)))


@_beyond(
    "beyond-angles-fresh-polar-alone-arrives",
    "At a memory of 1,000 the polar parametrisation is the only one of nine whose students arrive at all five angles",
    how=f"{_FRESH_TENTH}, the largest of five angles, the smallest of the eight others; {_FRESH}",
    accepted=at_least(-2, _AWAY),
    seen=True,
)
def best_of_the_others() -> Estimate:
    others = [name for name, entry in angles.ANGLES.items() if entry.is_parametrization and name != "polar"]
    return smallest(*(largest(*fresh_tenths(name, 1000)) for name in others))


@_beyond(
    "beyond-angles-fresh-scaled-steps-have-both",
    "The rule for steps has both at either memory, with one rate",
    how=f"{_FRESH_TENTH}, the largest of five angles and two memories; {_FRESH}",
    accepted=at_most(-2, _ARRIVED),
    seen=True,
)
def fresh_scaled_arrives() -> Estimate:
    return largest(*(each for memory in (100, 1000) for each in fresh_tenths("scaled", memory)))


@_beyond(
    "beyond-angles-fresh-scaled-steps-are-faster",
    "At a memory of 1,000 it is at least twice as fast as the polar angle",
    how="decades of steps to a hundredth of the first loss, polar minus scaled, the smallest median of pairs of five "
    f"angles; {_FRESH}",
    accepted=at_least(FACTOR_OF_TWO, "a factor of two: beyond what other rows call the same"),
    seen=True,
)
def fresh_gain_of_scaled_steps() -> Estimate:
    pairs = zip(*(fresh(name, 1000, "steps") for name in ("polar", "scaled")), strict=True)
    return smallest(*(paired_median(*pair) for pair in pairs))


# The teacher-student task ---------------------------------------------------------------------------------------------

_TASK = "median of pairs, 16 teachers, 1,000 steps, a run's rate chosen by the other run on its teacher"


@functools.cache
def decades_of(student: str, theta0: float = 1.0, further: bool = False) -> NDArray:
    """Decades of loss over the zero predictor's, a row a teacher, a column a run.

    Args:
        student: its name.
        theta0: largest angle, in units of pi.
        further: of the three others, also at the rates of their second look, which came after their rows: no row
            counts it.
    """
    if student in _OTHERS:
        runs = (load_with_second_look if further else load)("angles_teachers_others")
    else:
        runs = load_with_second_look("angles_teachers" if theta0 == 1 else "angles_teachers_narrow")
    runs = runs[(runs["student"] == student) & (runs["theta0"] == theta0)]
    runs = runs.assign(run=runs["seed"] // 100)
    values = np.log10(runs["loss"] / runs["zero_loss"]).mask(runs["diverged"], math.inf)
    wide = runs.assign(decades=values).pivot(index=["teacher", "run"], columns="rate", values="decades")
    return cross_fit(wide.to_numpy().reshape(*wide.index.levshape, -1))[1]


_OTHERS = ("lru_cayley", "lru_mamba3", "lru_oscillator")


def cost_over_polar(student: str, theta0: float = 1.0, further: bool = False) -> Estimate:
    """Decades from the polar angle's loss to a student's, median of pairs; arguments as above."""
    return paired_median(decades_of(student, theta0, further), decades_of("lru_polar_angle", theta0))


@_beyond(
    "beyond-angles-task-polar-beats-exponential",
    "On the teacher-student task a polar angle beats the LRU's exponential one",
    how=f"decades of loss, LRU minus LRU with polar angle; {_TASK}",
    accepted=significantly(),
    seen=True,
)
def exponential_over_polar() -> Estimate:
    return cost_over_polar("lru")


@_beyond(
    "beyond-angles-task-optimal-is-worst",
    "There, too, the optimal angle is the worst path: it costs at least a factor of ten",
    how=f"decades of loss, optimal minus polar angle; {_TASK}",
    accepted=at_least(1, "a factor of ten, as in other rows about gaps"),
    seen=True,
)
def optimal_over_polar() -> Estimate:
    return cost_over_polar("lru_optimal_angle")


@_beyond(
    "beyond-angles-task-half-angle-is-stuck",
    "The tangent of half the angle costs at least a factor of ten: near π its angles hardly move",
    how=f"decades of loss, half-angle minus polar angle; {_TASK}",
    accepted=at_least(1, "a factor of ten, as in other rows about gaps"),
    seen=True,
)
def half_angle_over_polar() -> Estimate:
    return cost_over_polar("lru_half_angle")


@_beyond(
    "beyond-angles-task-rectangular-like-lru",
    "The rectangular parametrisation costs at most a factor of two over the LRU",
    how=f"decades of loss, rectangular minus LRU; {_TASK}",
    accepted=at_most(FACTOR_OF_TWO, "a factor of two: what other rows call the same"),
    seen=True,
)
def rectangular_over_lru() -> Estimate:
    return paired_median(decades_of("lru_rectangular"), decades_of("lru"))


_NARROW = (0.0316, 0.1, 0.316)


@_beyond(
    "beyond-angles-narrow-polar-beats-exponential",
    "With smaller angles, too, a polar angle beats the LRU's exponential one",
    how=f"decades of loss, LRU minus LRU with polar angle, the smallest of θ₀/π = .0316, .1 and .316; {_TASK}",
    accepted=significantly(),
    seen=False,
)
def exponential_over_polar_at_smaller_angles() -> Estimate:
    return smallest(*(cost_over_polar("lru", angle) for angle in _NARROW))


@_beyond(
    "beyond-angles-narrow-optimal-costs-little",
    "The optimal angle gets lost on the way to large angles alone: up to π/30 it costs at most a factor of two",
    how=f"decades of loss, optimal minus polar angle, θ₀/π = .0316; {_TASK}",
    accepted=at_most(FACTOR_OF_TWO, "a factor of two: what other rows call the same"),
    seen=False,
)
def optimal_over_polar_at_small_angles() -> Estimate:
    return cost_over_polar("lru_optimal_angle", 0.0316)


@_beyond(
    "beyond-angles-narrow-half-angle-moves",
    "The tangent of half the angle is stuck near π alone: with angles up to π/3 it costs at most a factor of two",
    how=f"decades of loss, half-angle minus polar angle, the largest of θ₀/π = .0316, .1 and .316; {_TASK}",
    accepted=at_most(FACTOR_OF_TWO, "a factor of two: what other rows call the same"),
    seen=False,
)
def half_angle_over_polar_at_smaller_angles() -> Estimate:
    return largest(*(cost_over_polar("lru_half_angle", angle) for angle in _NARROW))


# Three more parametrisations, written down before their runs but for those on teachers 28 to 30, which set their rates;
# the rows above had been measured.


@_beyond(
    "beyond-angles-others-polar-beats",
    "On the task none of the other three beats the polar angle: Cayley's, Mamba-3's and LinOSS's all lose to it",
    how=f"decades of loss, LRU with that angle minus LRU with polar angle, the smallest of the three; {_TASK}",
    accepted=significantly(),
    seen=True,
)
def others_over_polar() -> Estimate:
    return smallest(*map(cost_over_polar, _OTHERS))


@_beyond(
    "beyond-angles-others-steps-shrink",
    "Among small angles it helps if steps shrink with the angle: Mamba-3's angle, as sharp as the exponential one, "
    "beats the polar angle",
    how=f"decades of loss, LRU with polar angle minus LRU with Mamba-3's, θ₀/π = .0316; {_TASK}",
    accepted=significantly(),
    seen=False,
)
def polar_over_mamba3_at_small_angles() -> Estimate:
    return paired_median(decades_of("lru_polar_angle", 0.0316), decades_of("lru_mamba3", 0.0316))


@_beyond(
    "beyond-angles-others-steps-grow",
    "And it harms if they grow: LinOSS's angle, the sharper the smaller it is, loses to the polar angle",
    how=f"decades of loss, LRU with LinOSS's angle minus LRU with polar angle, θ₀/π = .0316; {_TASK}",
    accepted=significantly(),
    seen=False,
)
def oscillator_over_polar_at_small_angles() -> Estimate:
    return cost_over_polar("lru_oscillator", 0.0316)


@_beyond(
    "beyond-angles-others-cayley-like-half-angle",
    "Cayley's angle, near the circle the tangent of half the angle, costs the same as that, within a factor of two, in "
    "any range of angles",
    how="decades of loss, Cayley minus half-angle, that which is furthest from 0 of θ₀/π = .0316, .1, .316 and 1; "
    f"{_TASK}",
    accepted=between(-FACTOR_OF_TWO, FACTOR_OF_TWO, "a factor of two: what other rows call the same"),
    seen=False,
)
def cayley_over_half_angle() -> Estimate:
    return furthest(
        *(paired_median(decades_of("lru_cayley", each), decades_of("lru_half_angle", each)) for each in (*_NARROW, 1.0))
    )
