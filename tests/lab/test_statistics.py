"""Intervals cover what they are of as often as they say, with heavy tails and divergences; the choice of a rate does
not flatter the loss that is reported at it."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlib.lab import statistics
from rnnlib.lab.statistics import Estimate

EXPERIMENTS, TEACHERS = 2000, 32
WIDE, NARROW = np.arange(9), slice(2, 7)  # rates, in half decades; the five of the first look


def simulated(generator: np.random.Generator, teachers: int, chaos: float = 0.3) -> np.ndarray:
    """Decades of loss (teachers, 2 seeds, 9 rates): a teacher has a best rate and a level, both heavy-tailed; runs
    scatter around them, and more of them diverge the larger the rate."""
    best = 4 + 0.8 * generator.standard_t(3, (teachers, 1, 1))
    level = -4 + 1.5 * generator.standard_t(2, (teachers, 1, 1))
    loss = level + 0.4 * (WIDE - best) ** 2 + chaos * generator.standard_t(2, (teachers, 2, len(WIDE)))
    diverges = generator.random(loss.shape) < 1 / (1 + np.exp(-2 * (WIDE - best - 2)))
    return np.where(diverges, math.inf, loss)


def looked_at_twice(decades: np.ndarray) -> tuple[np.ndarray, bool]:
    """The stopping rule: five rates; all nine where more than one choice in twenty lies at an end of the five."""
    chosen, reported = statistics.cross_fit(decades[..., NARROW])
    if np.isin(chosen, (0, 4)).mean() <= 0.05:
        return reported, False
    return statistics.cross_fit(decades)[1], True


def covered(target: float, estimate: Estimate) -> bool:
    return estimate.low <= target <= estimate.high


def population_median(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.5, method="inverted_cdf"))


def test_intervals_of_medians_cover_under_the_stopping_rule():
    generator = np.random.default_rng(1)
    population = simulated(generator, 400_000)
    targets = [population_median(statistics.cross_fit(of)[1].mean(1)) for of in (population[..., NARROW], population)]
    hits, widened = [], []
    for _ in range(EXPERIMENTS):
        reported, wide = looked_at_twice(simulated(generator, TEACHERS))
        hits.append(covered(targets[wide], statistics.median(reported)))
        widened.append(wide)
    assert 0.93 < np.mean(hits) < 0.97
    assert 0.05 < np.mean(widened)  # the rule has been at work


@pytest.mark.parametrize("teachers", [16, 32])
def test_intervals_of_paired_medians_cover(teachers):
    """Two students of the same teachers; a fifth of the runs of the worse one diverge."""
    generator = np.random.default_rng(2)

    def pair(count):
        level = 2 * generator.standard_t(1, (count, 1))
        first = level + 1 + generator.standard_t(2, (count, 2))
        first[generator.random(first.shape) < 0.2] = math.inf
        return first, level + generator.standard_t(2, (count, 2))

    target = population_median(statistics.difference(*pair(400_000)))
    hits = [covered(target, statistics.paired_median(*pair(teachers))) for _ in range(EXPERIMENTS)]
    assert 0.93 < np.mean(hits) < 0.97


def test_intervals_of_quantiles_cover_at_least_so_often():
    generator = np.random.default_rng(3)
    target = float(np.log(1 / 0.9))  # of the exponential distribution, the tenth
    hits = [covered(target, statistics.quantile(generator.exponential(size=60), 0.1)) for _ in range(EXPERIMENTS)]
    assert 0.94 < np.mean(hits) < 0.99


def test_the_choice_of_a_rate_does_not_flatter_what_is_reported():
    """Every rate is equally good, so a fair report has the median of a single run; the best of nine is far below."""
    generator = np.random.default_rng(4)
    decades = generator.standard_t(2, (20_000, 2, 9))
    decades[generator.random(decades.shape) < 0.1] = math.inf
    reported = statistics.cross_fit(decades)[1]
    assert np.median(reported) == pytest.approx(np.median(decades), abs=0.03)
    assert np.median(decades.min(axis=2)) < np.median(decades) - 1


def test_a_run_has_no_part_in_the_choice_of_its_rate():
    generator = np.random.default_rng(5)
    decades = simulated(generator, 50)
    changed = decades.copy()
    changed[:, 1] = simulated(generator, 50)[:, 1]
    before, after = (statistics.cross_fit(of)[0] for of in (decades, changed))
    np.testing.assert_array_equal(before[:, 1], after[:, 1])
    assert (before[:, 0] != after[:, 0]).any()


def test_a_divergence_is_the_worst_outcome_and_two_tie():
    inf = math.inf
    np.testing.assert_array_equal(statistics.difference([inf, inf, 1.0, 2.0], [inf, 0.0, inf, 2.0]), [0, inf, -inf, 0])
    few = statistics.median([inf] * 3 + [1.0] * 7)
    assert few.value == 1.0 and few.low == 1.0 and few.high == inf
    assert statistics.median([inf] * 9 + [1.0]) == Estimate(inf, inf, inf, 10, "teachers")
    # one rate diverges on the other seed, the other does not
    chosen, reported = statistics.cross_fit(np.array([[[-9.0, -1.0], [inf, -2.0]]]))
    assert chosen.tolist() == [[1, 0]] and reported.tolist() == [[-1.0, inf]]


@given(st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(math.inf)), min_size=6, max_size=60), st.randoms())
def test_a_median_lies_in_its_interval_and_does_not_depend_on_the_order(values, random):
    estimate = statistics.median(values)
    assert estimate.low <= estimate.value <= estimate.high and estimate.n == len(values)
    random.shuffle(values)
    assert statistics.median(values) == estimate


def test_medians_of_few_or_of_nothing_have_no_interval():
    for values in ([1.0] * 5, [1.0] * 9 + [math.nan]):
        with pytest.raises(ValueError, match="six teachers or more and no NaN"):
            statistics.median(values)
    with pytest.raises(ValueError, match="35 systems are too few"):
        statistics.quantile(range(35), 0.1, "systems")
    assert statistics.quantile(range(36), 0.1).low == 0
    with pytest.raises(ValueError, match="pair up, got 3 and 4 units"):
        statistics.paired_median([1.0] * 3, [1.0] * 4)


def test_statements_about_several_numbers():
    one, two = Estimate(1.0, 0.0, 3.0, 32, "teachers"), Estimate(2.0, -1.0, 2.5, 32, "teachers")
    assert statistics.smallest(two, one) == Estimate(1.0, -1.0, 2.5, 32, "teachers")
    assert statistics.largest(one, two) == Estimate(2.0, 0.0, 3.0, 32, "teachers")
    near, far = Estimate(0.1, -0.4, 0.2, 32, "teachers"), Estimate(-0.3, -0.35, -0.25, 32, "teachers")
    assert statistics.furthest(near, far) == Estimate(-0.3, -0.4, -0.25, 32, "teachers")
    assert statistics.furthest(near) == Estimate(0.1, 0.0, 0.4, 32, "teachers")
    assert statistics.furthest(one, target=2.0) == Estimate(1.0, 0.0, 2.0, 32, "teachers")


def runs(losses: dict[tuple[str, int, int, float], float]) -> pd.DataFrame:
    rows = [(*key, loss, 10.0, math.isnan(loss)) for key, loss in losses.items()]
    return pd.DataFrame(rows, columns=["student", "teacher", "seed", "rate", "loss", "zero_loss", "diverged"])


def test_tables_of_runs_are_cross_fitted():
    nan = math.nan
    frame = runs(
        {
            ("a", 7, 107, 0.1): 1.0, ("a", 7, 107, 0.01): 0.1, ("a", 7, 107, 0.001): 5.0,
            ("a", 7, 207, 0.1): 0.01, ("a", 7, 207, 0.01): 1.0, ("a", 7, 207, 0.001): 5.0,
            ("a", 3, 103, 0.1): nan, ("a", 3, 103, 0.01): 1.0, ("a", 3, 103, 0.001): 2.0,
            ("a", 3, 203, 0.1): 1.0, ("a", 3, 203, 0.01): 2.0, ("a", 3, 203, 0.001): 2.0,
        }
    )  # fmt: skip
    fitted = statistics.cross_fitted(frame, ["student"]).set_index(["teacher", "repeat"]).sort_index()
    assert fitted["rate"].to_dict() == {(3, 0): 0.1, (3, 1): 0.01, (7, 0): 0.1, (7, 1): 0.01}
    expected = {(3, 0): math.inf, (3, 1): math.log10(0.2), (7, 0): -1.0, (7, 1): -1.0}
    assert fitted["decades"].to_dict() == pytest.approx(expected)
    assert fitted["diverged"].to_dict() == {key: key == (3, 0) for key in expected}
    assert fitted["edge"].to_dict() == {(3, 0): True, (3, 1): False, (7, 0): True, (7, 1): False}
    rows = statistics.by_teacher(fitted.reset_index())
    np.testing.assert_allclose(rows, [[math.inf, math.log10(0.2)], [-1, -1]])


@pytest.mark.parametrize("lacking", [("a", 1, 201, 0.1), ("a", 2, 202, 0.01)])
def test_tables_that_lack_a_run_are_refused(lacking):
    losses = {("a", t, 100 * s + t, rate): 1.0 for t in (1, 2) for s in (1, 2) for rate in (0.1, 0.01)}
    del losses[lacking]
    with pytest.raises(ValueError, match=r"by=\['student'\] must leave one run for each seed"):
        statistics.cross_fitted(runs(losses), ["student"])
    with pytest.raises(ValueError, match="needs two seeds"):
        statistics.cross_fitted(runs({("a", 1, 1, rate): 1.0 for rate in (0.1, 0.01)}), ["student"])
