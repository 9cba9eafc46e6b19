"""The charts to play with: what a browser computes from their expressions is what rnnlib and PyTorch compute."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from rnnlib import interactive

CHARTS = ["landscape", "complex_plane", "descent"]


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_small_described_and_need_no_data_from_elsewhere(name):
    chart = getattr(interactive, name)().to_dict()
    text = json.dumps(chart)
    assert len(text) < 250_000
    assert len(chart["description"]) > 200
    assert '"url"' not in text
    binds = [param["bind"] for param in chart["params"] if "bind" in param]
    controls = [one for bind in binds for one in ([bind] if "input" in bind else bind.values())]  # a bind a field
    assert len(controls) >= 2
    assert all(control["name"] for control in controls), "an input without a label cannot be heard"


def torch_path(landscape: str, optimizer: str, rate: float, steps: int) -> np.ndarray:
    """The same descent by PyTorch's own optimisers, on a bowl written out by hand."""
    H = torch.tensor([[50.5, 49.5], [49.5, 50.5]] if landscape == "dense" else [[100.0, 0.0], [0.0, 1.0]])
    start = [0.1 / 2**0.5 - 0.5**0.5, 0.1 / 2**0.5 + 0.5**0.5] if landscape == "dense" else [0.1, 1.0]
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    make = {"SGD": torch.optim.SGD, "sign descent": torch.optim.SGD, "Adam": torch.optim.Adam}[optimizer]
    stepper, path = make([x], lr=rate), [x.detach().clone()]
    for _ in range(steps):
        x.grad = H.double() @ x.detach()
        if optimizer == "sign descent":
            x.grad = x.grad.sign()
        stepper.step()
        path.append(x.detach().clone())
    return torch.stack(path).numpy()


@pytest.mark.parametrize("landscape", ["dense", "diagonal"])
@pytest.mark.parametrize("optimizer", ["SGD", "sign descent", "Adam"])
def test_paths_are_those_of_pytorch(landscape, optimizer):
    path = interactive.quadratic_paths()[landscape, optimizer, 4]
    # Sign descent depends on the last bit of a gradient near 0: compare before it jumps to and fro.
    steps = 60 if optimizer == "sign descent" else len(path) - 1
    expected = torch_path(landscape, optimizer, 0.01, steps)
    np.testing.assert_allclose(path[: steps + 1], expected, atol=1e-9)


def test_a_diverging_run_ends_inside_the_picture():
    paths = interactive.quadratic_paths()
    for (_, optimizer, k), path in paths.items():
        assert np.isfinite(path).all() and np.abs(path).max() <= 10
        whole = len(path) == len(paths["dense", "Adam", 0])
        assert whole == (optimizer != "SGD" or 10 ** (-3 + k / 4) < 2 / 100)


def test_what_the_page_on_descent_says_of_sign_descent():
    H, paths = np.array([[50.5, 49.5], [49.5, 50.5]]), interactive.quadratic_paths()
    ends = [paths["dense", "sign descent", k][-1] for k in (5, 6)]  # rates 10^-1.75 and 10^-1.5
    assert [0.5 * x @ H @ x for x in ends] == pytest.approx([0.001, 0.5], rel=0.05)
