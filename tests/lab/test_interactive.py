"""The charts to play with: what a browser computes from their expressions is what rnnlib and PyTorch compute."""

from __future__ import annotations

import json

import numpy as np
import pytest
from references import torch_path

from rnnlib.lab import field_guide, interactive
from rnnlib.lab.interactive.models import DIRECTIONS, MODELS

CHARTS = ["landscape", "complex_plane", "optimizer_paths", "models"]


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_small_described_and_need_no_data_from_elsewhere(name):
    chart = getattr(interactive, name)().to_dict()
    text = json.dumps(chart, separators=(",", ":"))  # as it stands in a page
    assert len(text) < 275_000
    assert len(chart["description"]) > 200
    assert '"url"' not in text
    binds = [param["bind"] for param in chart["params"] if "bind" in param]
    controls = [one for bind in binds for one in ([bind] if "input" in bind else bind.values())]  # a bind a field
    assert len(controls) >= 2
    assert all(control["name"] for control in controls), "an input without a label cannot be heard"


def test_every_start_of_the_chart_is_a_row_of_the_field_guide():
    assert set(MODELS) <= {model.name for model in field_guide.MODELS}
    assert {direction for name in MODELS for direction in field_guide.get(name).sensitivity} == set(DIRECTIONS)


@pytest.mark.parametrize("landscape", ["dense", "diagonal"])
@pytest.mark.parametrize("optimizer", ["gradient descent", "sign descent", "Adam"])
def test_paths_are_those_of_pytorch(landscape, optimizer):
    path = interactive.quadratic_paths()[landscape, optimizer, 0]
    # Sign descent depends on the last bit of a gradient near 0: compare before it jumps to and fro.
    steps = 30 if optimizer == "sign descent" else len(path) - 1
    expected = torch_path(landscape, optimizer, 0.001, steps)
    np.testing.assert_allclose(path[: steps + 1], expected, atol=1e-9)


def test_a_diverging_run_ends_inside_the_picture():
    paths = interactive.quadratic_paths()
    for (_, optimizer, k), path in paths.items():
        assert np.isfinite(path).all() and np.abs(path).max() <= 10
        whole = len(path) == len(paths["dense", "Adam", 0])
        assert whole == (optimizer != "gradient descent" or 10 ** (-3 + k / 4) < 2 / 1000)


def losses(landscape: str, optimizer: str, k: int) -> np.ndarray:
    H = {"dense": [[500.5, 499.5], [499.5, 500.5]], "diagonal": [[1000, 0], [0, 1]]}[landscape]
    path = interactive.quadratic_paths()[landscape, optimizer, k]
    return 0.5 * np.einsum("ti,ij,tj->t", path, np.array(H), path)


def test_what_the_page_on_descent_says_of_sign_descent():
    ends = [losses("dense", "sign descent", k)[-1] for k in (3, 4)]  # rates 10^-2.25 and 10^-2
    assert ends == pytest.approx([0.05, 0.5], rel=0.08)


def test_what_the_page_on_descent_says_of_adam():
    """Steps until a thousandth of the loss is left for good, at every rate: the turned valley is slower at its best."""
    needed = {}
    for landscape in ("dense", "diagonal"):
        above = [losses(landscape, "Adam", k) > 1e-3 for k in range(13)]
        needed[landscape] = [len(run) if run[-1] else int(np.flatnonzero(run)[-1]) + 1 for run in above]
    best = {landscape: min(steps) for landscape, steps in needed.items()}
    assert best == {"dense": 293, "diagonal": 66}
    assert [steps.index(best[landscape]) for landscape, steps in needed.items()] == [7, 7]  # 10^-1.25
    assert needed["dense"].count(293) == 1
    assert [steps[:3] for steps in needed.values()] == [[401] * 3] * 2
