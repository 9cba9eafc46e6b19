"""The charts to play with: what a browser computes from their expressions is what rnnlib and PyTorch compute."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from references import torch_eigenvalues, torch_path

from rnnlib.lab import field_guide, interactive
from rnnlib.lab.interactive.models import DIRECTIONS, MODELS

eigenvalue_paths = functools.cache(interactive.eigenvalue_paths)
CHARTS = ["landscape", "complex_plane", "optimizer_paths", "eigenvalue_basis", "models"]


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


@pytest.mark.parametrize(("optimizer", "k"), [("gradient descent", 3), ("Adam", 6), ("Gauss-Newton", 10)])
@pytest.mark.parametrize("angle", [0, 60])
def test_eigenvalues_in_a_turned_basis_go_the_way_of_pytorch(optimizer, k, angle):
    path = eigenvalue_paths()[optimizer, angle, k]
    expected = torch_eigenvalues(optimizer, angle, 10 ** (-3.5 + k / 4), 25)
    np.testing.assert_allclose(path[:26], expected, atol=1e-9)


def left(optimizer: str, angle: int, k: int) -> np.ndarray:
    """Losses over that of the start, from sums over lags; none after the run has diverged."""
    lags = np.arange(600)
    path = eigenvalue_paths()[optimizer, angle, k]
    losses = np.square((path[..., None] ** lags).sum(1) - 0.5**lags - 0.95**lags).sum(1)
    return losses / losses[0]


def test_what_the_page_on_bases_says():
    adam = {(angle, k): left("Adam", angle, k) for angle in range(0, 90, 15) for k in range(15)}
    ends = {at: losses[-1] for at, losses in adam.items() if len(losses) == 201}

    def first(losses):
        return int(np.flatnonzero(losses < 1e-3)[0])

    assert first(adam[0, 6]) == 44 and ends[0, 6] * 2.7 < 1e-5 and ends[45, 6] == pytest.approx(0.03, rel=0.1)
    assert ends[15, 6] > 1e6 * ends[0, 6]
    turned = {at: end for at, end in ends.items() if at[0]}
    assert min(turned, key=turned.get) == (15, 7) and min(turned.values()) == pytest.approx(0.006, rel=0.02)
    at_45 = {k: end for (angle, k), end in turned.items() if angle == 45}
    assert min(at_45, key=at_45.get) == 9 and at_45[9] == pytest.approx(0.01, rel=0.05)
    assert first(adam[0, 9]) == 22
    plain = [left("gradient descent", 0, k) for k in range(15)]
    assert [len(losses) == 201 for losses in plain] == [True] * 4 + [False] * 11
    assert plain[1][-1] == min(plain[k][-1] for k in range(2)) == pytest.approx(0.036, rel=0.02)
    settles = [bool((np.diff(plain[k][-50:]) < 0).all()) for k in range(4)]
    assert settles == [True, True, False, False]
    assert (1 + 0.95**2) / (1 - 0.95**2) ** 3 == pytest.approx(2050, rel=0.002)
    assert first(left("Gauss-Newton", 0, 10)) == 34 and len(left("Gauss-Newton", 0, 14)) == 1


@pytest.mark.parametrize("optimizer", ["gradient descent", "Adam", "Gauss-Newton"])
def test_who_notices_the_angle(optimizer):
    """A quarter turn, which is no path of its own, is a permutation and a sign."""
    paths = eigenvalue_paths()
    k = 1 if optimizer == "gradient descent" else 3  # one at which it settles: else roundings decide
    own, turned = (paths[optimizer, angle, k] for angle in (0, 45))
    assert np.allclose(own, turned, atol=1e-9) is (optimizer != "Adam")
    np.testing.assert_allclose(torch_eigenvalues(optimizer, 90, 10 ** (-3.5 + k / 4), 25), own[:26], atol=1e-6)
