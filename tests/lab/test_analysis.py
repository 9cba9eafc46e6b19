"""The points of figures, on tables small enough to do by hand."""

import math

import pandas as pd
import pytest
from matplotlib.figure import Figure

from rnnlib.lab import experiments
from rnnlib.lab.experiments.analysis import best, mark_survivors, provenance, settings


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


def test_points_of_survivors_are_marked():
    frame = runs({("a", 0.1): [1.0, 3.0, None], ("b", 0.1): [5.0, 6.0, 7.0]})
    points = best(frame, ["student"])
    ax = Figure().subplots()
    mark_survivors(ax, [0.5, 0.7], points["loss"], points)
    assert [(text.get_text(), text.xy) for text in ax.texts] == [("2 of 3", (0.5, 2.0))]


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
