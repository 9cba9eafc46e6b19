"""The points of figures, on tables small enough to do by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from rnnlib.lab import experiments
from rnnlib.lab.experiments.analysis import (
    best,
    held_out,
    held_out_runs,
    interval,
    mark_survivors,
    provenance,
    settings,
)


def runs(losses, zero=10.0):
    """A table from {(student, rate): losses by seed}; None is a divergence."""
    return pd.DataFrame(
        [
            (student, rate, seed, math.nan if loss is None else loss, zero, loss is None)
            for (student, rate), values in losses.items()
            for seed, loss in enumerate(values)
        ],
        columns=["student", "rate", "seed", "loss", "zero_loss", "diverged"],
    )


def test_best_takes_the_smallest_mean_and_counts_divergences():
    frame = runs(
        {
            ("a", 0.1): [1.0, 3.0, None],
            ("a", 0.01): [3.0, 3.0, 3.0],
            ("b", 0.1): [0.1, None, None],  # most diverge: not chosen, though its mean is smallest
            ("b", 0.01): [5.0, 6.0, 7.0],
        }
    )
    points = best(frame, ["student"]).set_index("student")
    assert points.loc["a", ["rate", "loss", "seeds", "diverged"]].tolist() == [0.1, 2.0, 2, 1]
    assert points.loc["a", "error"] == pytest.approx(1.0)
    assert points.loc["b", ["rate", "loss", "diverged"]].tolist() == [0.01, 6.0, 0]


def test_held_out_chooses_on_the_other_seeds():
    frame = runs({("a", 0.1): [1.0, 1.0, 10.0], ("a", 0.01): [2.0, 2.0, 2.0]})
    # seed 0: others are (1, 10) and (2, 2), in logs 1.15 and .69, so .01; seed 1 the same; seed 2: (1, 1), so .1
    point = held_out(frame, ["student"]).iloc[0]
    assert point["ratio"] == pytest.approx((0.2 * 0.2 * 1.0) ** (1 / 3))
    assert point["low"] <= point["ratio"] <= point["high"] and point["diverged"] == 0
    assert held_out_runs(frame, ["student"])["rate"].tolist() == [0.01, 0.01, 0.1]


def test_a_run_that_alone_diverges_leaves_the_choice_of_all_and_counts_as_zero_predictor():
    """.1 is best for all others, by far, with and without the one divergence."""
    frame = runs({("a", 0.1): [1e-6] * 5 + [None], ("a", 0.01): [1.0] * 6})
    chosen = held_out_runs(frame, ["student"]).set_index("seed")
    assert chosen["rate"].tolist() == [0.1] * 6
    assert chosen["ratio"].tolist() == pytest.approx([1e-7] * 5 + [1.0])
    assert chosen["diverged"].tolist() == [False] * 5 + [True]
    point = held_out(frame, ["student"]).iloc[0]
    assert point["diverged"] == 1 and point["ratio"] == pytest.approx(1e-7 ** (5 / 6))


def test_a_divergence_of_another_seed_counts_as_log_ratio_zero():
    # seed 0 at .01: log10 of .08 on both others, -1.10. At .1: 0 and -2, mean -1, is worse; 0 and -2.3, -1.15, better
    for other, rate in [(0.1, 0.01), (0.05, 0.1)]:
        frame = runs({("a", 0.1): [1.0, None, other], ("a", 0.01): [1.0, 0.8, 0.8]})
        assert held_out_runs(frame, ["student"])["rate"][0] == rate


def test_worse_than_the_zero_predictor_is_as_bad_as_diverged():
    worse, diverged = (
        held_out_runs(runs({("a", 0.1): [1.0, bad, 0.1, bad], ("a", 0.01): [3.0, 3.0, 3.0, 3.0]}), ["student"])
        for bad in (1e7, None)
    )
    assert worse["rate"].tolist() == diverged["rate"].tolist()
    assert worse["ratio"].tolist() == diverged["ratio"].tolist()
    assert not worse["diverged"].any() and diverged["diverged"].any()


@given(st.integers(0, 2**32 - 1), st.integers(3, 6), st.integers(2, 5))
def test_the_rate_of_a_seed_does_not_hang_on_its_own_losses(draw, seeds, rates):
    """Each seed's losses redrawn, divergences among them: its rate stays, its ratio is what it has there."""
    generator = np.random.default_rng(draw)

    def losses(size):
        values = 10 * np.exp(generator.normal(-4, 4, size))  # some above the zero predictor's 10
        return np.where(generator.random(size) < 0.3, np.nan, values)

    def table(values):
        columns = {("a", 10.0**-rate): [None if np.isnan(v) else v for v in values[:, rate]] for rate in range(rates)}
        return held_out_runs(runs(columns), ["student"]).set_index("seed")

    values = losses((seeds, rates))
    before = table(values)
    for seed in range(seeds):
        changed = values.copy()
        changed[seed] = losses(rates)
        after = table(changed).loc[seed]
        own = changed[seed, round(-math.log10(after["rate"]))]
        assert after["rate"] == before.loc[seed, "rate"]
        assert after["diverged"] == np.isnan(own)
        assert after["ratio"] == pytest.approx(1.0 if np.isnan(own) else min(own / 10, 1.0))


def test_held_out_where_all_others_diverged():
    frame = runs({("a", 0.1): [1.0, None, None], ("a", 0.01): [None, None, None]})
    chosen = held_out_runs(frame, ["student"])
    assert chosen["rate"].tolist() == [0.01, 0.1, 0.1]  # the smaller of two that are equally bad
    assert chosen["diverged"].all() and (chosen["ratio"] == 1).all()


@pytest.mark.parametrize(
    "frame",
    [
        runs({("a", 0.1): [1.0]}),
        runs({("a", 0.1): [1.0, 2.0], ("a", 0.01): [1.0]}),
        runs({("a", 0.1): [1.0, 2.0], ("b", 0.1): [1.0, 2.0]}).assign(student="a"),
    ],
    ids=["one seed", "a run is missing", "two points in one"],
)
def test_held_out_needs_one_run_for_each_seed_and_rate(frame):
    with pytest.raises(ValueError, match=r"by=\['student'\] must leave one run .* \('a',\) has \d runs"):
        held_out_runs(frame, ["student"])


def test_points_of_survivors_are_marked():
    frame = runs({("a", 0.1): [1.0, 3.0, None], ("b", 0.1): [5.0, 6.0, 7.0]})
    points = best(frame, ["student"])
    ax = Figure().subplots()
    mark_survivors(ax, [0.5, 0.7], points["loss"], points)
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("2 of 3", (0.5, 2.0))]


@pytest.mark.parametrize(("count", "t"), [(3, 4.3027), (10, 2.2622), (31, 2.0423)])
def test_intervals_have_the_quantiles_of_student_s_t(count, t):
    values = np.random.default_rng(0).standard_normal(count)
    mean, low, high = interval(values)
    reach = t * values.std(ddof=1) / math.sqrt(count)
    assert mean == values.mean()
    assert (mean - low, high - mean) == pytest.approx((reach, reach), rel=1e-4)


def test_intervals_cover_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        _, low, high = interval(generator.standard_normal(10))
        covered += low < 0 < high
    assert 0.91 < covered / 200 < 0.99


def test_settings_count_runs_and_parameters():
    table = settings(experiments.get("fig03a"), experiments.get("fig03b")).set_index(["student", "ν₀"])
    long = "0.99"
    assert table["runs"].sum() == sum(len(experiments.get(name).runs()) for name in ("fig03a", "fig03b"))
    # the counts that Figure 3 of the paper gives
    counts = {"block diagonal": "257", "more neurons": "513", "complex numbers": "385", "LRU": "449"}
    assert {name: table.loc[(name, long), "parameters"] for name in counts} == counts
    assert table.loc[("gamma norm. (authors' start)", long), "parameters"] == "449"
    assert table.loc[("RNN", "0.36, 0.68, 0.84, 0.92, 0.96, 0.98, 0.99"), "parameters"] == "4225"
    assert settings(experiments.get("fig11"))["parameters"].item() == "4225, 2177, 1153, 641, 385, 257"


def test_provenance_says_when_where_and_with_what():
    frame = pd.DataFrame()
    frame.attrs["origin"] = {
        "name": "a",
        "date": "2026-11-23T15:00:00+00:00",
        "device": "a processor, 2 cores",
        "processes": 2,
        "versions": {"torch": "2.9"},
        "commit": "0123456789abcdef",
        "run together": ["a", "b"],
        "seconds, this command": 600.0,
    }
    text = provenance(frame)
    assert text.startswith("a: computed 2026-11-23 in 10 minutes, together with b\n")
    assert text.endswith("on a processor, 2 cores; processes: 2; torch 2.9; commit 0123456789")
    frame.attrs["origin"] |= {"seconds, all processes": 3600.0}  # most of it before an interruption
    assert "computed 2026-11-23 in 30 minutes" in provenance(frame)
    frame.attrs["origin"] |= {"processes": "tcp://host:8786"}  # through Dask
    assert "computed 2026-11-23 in 10 minutes" in provenance(frame)
