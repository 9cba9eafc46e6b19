"""How sure we are: medians, paired medians and quantiles over independent units, with 95 % intervals.

The unit of replication is the teacher, the network or the system, not the run. A run that diverged is in every number
as the worst outcome there is, an infinite loss; two of them tie. Hence medians and quantiles, with intervals from order
statistics, which hold for every distribution: a mean of losses that spread over decades has no interval worth the name,
and none is given here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and how sure it is.

    Attributes:
        value: the number.
        low: lower end of its 95 % interval; that of an exact number is the number itself.
        high: upper end.
        n: how many independent units it is over; 0 for an exact number.
        unit: what they are, in the plural.
    """

    value: float
    low: float
    high: float
    n: int = 0
    unit: str = ""

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A number that was computed, not sampled: its interval has no width."""
        return cls(value, value, value)


def median(values: ArrayLike, unit: str = "teachers") -> Estimate:
    """Median over units, with an interval from order statistics.

    Whatever the distribution, the median lies between the k-th smallest and the k-th largest of n values with a
    probability that the binomial distribution gives. Between the two k on either side of 95 % the ends are interpolated
    (Hettmansperger and Sheather, 1986), because with 16 values single k would give 92 or 98 %.

    Args:
        values: one row a unit; further columns are repeated runs on it, whose mean counts. They may be infinite.
        unit: what the rows are.

    Returns:
        The median and its interval.

    Raises:
        ValueError: fewer than six units, or a value that is not a number.
    """
    from scipy import stats

    rows = np.asarray(values, dtype=float)
    ordered = np.sort(rows.reshape(len(rows), -1).mean(axis=1))
    n = len(ordered)
    if n < 6 or np.isnan(ordered).any():
        raise ValueError(f"an interval needs six {unit} or more and no NaN, got {n} with {np.isnan(ordered).sum()} NaN")
    k = int(stats.binom.ppf((1 - CONFIDENCE) / 2, n, 0.5))  # the largest with a coverage of at least 95 %
    wider, narrower = (1 - 2 * stats.binom.cdf(rank - 1, n, 0.5) for rank in (k, k + 1))
    excess = (wider - CONFIDENCE) / (wider - narrower)
    inwards = (n - k) * excess / (k + (n - 2 * k) * excess)
    low = _between(ordered[k - 1], ordered[k], inwards)
    high = _between(ordered[n - k], ordered[n - k - 1], inwards)
    return Estimate(_between(ordered[n // 2], ordered[(n - 1) // 2], 0.5), low, high, n, unit)


def _between(outer: float, inner: float, part: float) -> float:
    """What lies ``part`` of the way inwards; where a divergence leaves no number between, the outer value."""
    return float(outer + part * (inner - outer) if np.isfinite([outer, inner]).all() else outer)


def paired_median(first: ArrayLike, second: ArrayLike, unit: str = "teachers") -> Estimate:
    """Median of the differences of two students on the same units.

    Args:
        first: of one, a row a unit, as for :func:`median`.
        second: of the other, in the same order.
        unit: what the rows are.

    Returns:
        The median of first - second and its interval; two infinities tie.

    Raises:
        ValueError: the two do not have the same shape, or as of :func:`median`.
    """
    return median(difference(first, second), unit)


def difference(first: ArrayLike, second: ArrayLike) -> NDArray:
    """first - second of each unit, where two equal infinities differ by 0.

    Args:
        first: a row a unit; the mean over columns counts.
        second: the same of the other.

    Raises:
        ValueError: the two do not have as many units.
    """
    first, second = (np.asarray(rows, dtype=float) for rows in (first, second))
    first, second = (rows.reshape(len(rows), -1).mean(axis=1) for rows in (first, second))
    if first.shape != second.shape:
        raise ValueError(f"first and second must pair up, got {len(first)} and {len(second)} units")
    with np.errstate(invalid="ignore"):
        return np.where(first == second, 0.0, first - second)


def quantile(values: Sequence[float], share: float, unit: str = "teachers") -> Estimate:
    """A quantile and the order statistics that enclose it, whatever the distribution.

    Args:
        values: one a unit.
        share: of the values below it, in (0, 1).
        unit: what they are.

    Raises:
        ValueError: there are too few values for an interval (36 for a tenth on either side), or one is not a number.
    """
    from scipy import stats

    ordered = np.sort(np.asarray(values, dtype=float))
    n, tail = len(ordered), (1 - CONFIDENCE) / 2
    if np.isnan(ordered).any():
        raise ValueError("values must be numbers, got NaN")
    low, high = int(stats.binom.ppf(tail, n, share)), int(stats.binom.isf(tail, n, share)) + 1
    if low < 1 or high > n:
        raise ValueError(f"{n} {unit} are too few for a 95 % interval of the quantile {share:g}")
    value = float(np.quantile(ordered, share, method="inverted_cdf"))
    return Estimate(value, float(ordered[low - 1]), float(ordered[high - 1]), n, unit)


def smallest(*estimates: Estimate) -> Estimate:
    """For a statement that asks several numbers to be large: it holds if the smallest surely is."""
    return _of_all(min, estimates)


def largest(*estimates: Estimate) -> Estimate:
    """For a statement that asks several numbers to be small."""
    return _of_all(max, estimates)


def furthest(*estimates: Estimate, target: float = 0.0) -> Estimate:
    """For a statement that asks several numbers to be near a target: how far from it the furthest of them surely and
    possibly is, on the side where it lies."""
    of = max(estimates, key=lambda estimate: abs(estimate.value - target))
    surely = max(0.0, *(max(e.low - target, target - e.high) for e in estimates))
    possibly = max(max(e.high - target, target - e.low) for e in estimates)
    if of.value >= target:
        return Estimate(of.value, target + surely, target + possibly, of.n, of.unit)
    return Estimate(of.value, target - possibly, target - surely, of.n, of.unit)


def _of_all(choose: Callable, estimates: Sequence[Estimate]) -> Estimate:
    of = choose(estimates, key=lambda estimate: estimate.value)
    low, high = choose(e.low for e in estimates), choose(e.high for e in estimates)
    return Estimate(of.value, low, high, of.n, of.unit)


def cross_fit(decades: NDArray) -> tuple[NDArray, NDArray]:
    """For each run of a teacher the rate that its other runs choose, and what the run gives there.

    Args:
        decades: log losses ``(teachers, seeds, rates)``, infinite where a run diverged; two seeds or more.

    Returns:
        Indices of the rates with the smallest mean over the teacher's other seeds, the first of equal ones, and the
        run's own log losses at these; both ``(teachers, seeds)``. What is reported has no part in the choice, so the
        choice does not flatter it.

    Raises:
        ValueError: there is a single seed.
    """
    seeds = decades.shape[1]
    if seeds < 2:
        raise ValueError("a rate that is not chosen by the run it is reported for needs two seeds of each teacher")
    others = [np.delete(decades, seed, axis=1).mean(axis=1) for seed in range(seeds)]
    chosen = np.stack(others, axis=1).argmin(axis=2)
    return chosen, np.take_along_axis(decades, chosen[..., None], axis=2)[..., 0]


def cross_fitted(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Runs at the rate that the other runs on the same teacher choose, see :func:`cross_fit`.

    Args:
        frame: a table of runs on several teachers, two seeds or more on each.
        by: columns that tell points apart.

    Returns:
        A row a point, teacher and repeat, in this order: ``by``, teacher, repeat (0, 1, ... in the order of seeds),
        rate, decades (log10 of loss / zero predictor's; infinite if the run diverged), diverged, edge (whether the rate
        is the point's smallest or largest).

    Raises:
        ValueError: a teacher with a single seed, or where a seed and rate has no run or more than one.
    """
    import pandas as pd

    parts = []
    for point, group in frame.groupby(list(by), dropna=False):
        runs = group.sort_values(["teacher", "seed", "rate"])
        teachers, rates = np.unique(runs["teacher"]), np.unique(runs["rate"])
        seeds = len(runs) // (len(teachers) * len(rates))
        whole = (
            runs.groupby("teacher")["seed"].nunique().eq(seeds).all() and not runs.duplicated(["seed", "rate"]).any()
        )
        if len(runs) != len(teachers) * seeds * len(rates) or not whole:
            raise ValueError(
                f"by={list(by)} must leave one run for each seed of a teacher at each rate, as many seeds for each; "
                f"{point} has {len(runs)} runs, {len(teachers)} teachers, {len(rates)} rates"
            )
        decades = np.log10(runs["loss"] / runs["zero_loss"]).mask(runs["diverged"], math.inf).to_numpy()
        chosen, reported = cross_fit(decades.reshape(len(teachers), seeds, len(rates)))
        part = pd.DataFrame(
            {
                "teacher": teachers.repeat(seeds),
                "repeat": np.tile(np.arange(seeds), len(teachers)),
                "rate": rates[chosen.ravel()],
                "decades": reported.ravel(),
                "diverged": np.isinf(reported.ravel()),
                "edge": np.isin(chosen.ravel(), (0, len(rates) - 1)) & (len(rates) > 1),
            }
        )
        parts.append(part.assign(**dict(zip(by, point, strict=True))))
    return pd.concat(parts, ignore_index=True)[[*by, "teacher", "repeat", "rate", "decades", "diverged", "edge"]]


def by_teacher(runs: pd.DataFrame, value: str = "decades") -> NDArray:
    """One point's numbers as rows of teachers and columns of repeats, for :func:`median` and :func:`paired_median`.

    Args:
        runs: rows of one point of :func:`cross_fitted`, or with columns teacher and repeat.
        value: which column.
    """
    return runs.pivot(index="teacher", columns="repeat", values=value).to_numpy()
