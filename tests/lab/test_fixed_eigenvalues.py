"""The best readout of fixed eigenvalues, against least squares on simulated sequences and the closed form."""

import math

import numpy as np
import pytest
import torch

from rnnlib import linear_scan
from rnnlib.lab import exact, readouts, systems
from rnnlib.lab.direct import outputs
from rnnlib.lab.exact import white_gram

LENGTH = 60


def responses(nu0=0.9, theta0=math.pi, length=LENGTH, teachers=(28, 29)):
    return np.array([systems.teacher(index, nu0, theta0).impulse_response(length).numpy() for index in teachers])


@pytest.mark.parametrize("design", readouts.DESIGNS)
def test_designs_lie_inside_the_circle_and_their_angles(design):
    poles = readouts.DESIGNS[design](48, 0.9, 0.5, 7)
    assert len(np.unique(poles)) == 48 and (np.abs(poles) < 1).all() and (np.abs(np.angle(poles)) <= 0.5).all()
    if design != "ladder":
        assert (np.abs(poles) >= 0.9 - 1e-12).all()
    again = readouts.DESIGNS[design](48, 0.9, 0.5, 8)
    assert (again != poles).any() == (design in readouts.DRAWN)


def test_it_is_least_squares_on_simulated_states():
    """States by the scan over white sequences, the readout by lstsq on them: with many sequences the loss is the one
    that is left, and no readout has less on the whole population."""
    poles = readouts.DESIGNS["random"](6, 0.9, math.pi, 0)
    target = responses()[0]
    loss, _ = readouts.remaining_loss(poles, target[None], (1e-12,))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3000, LENGTH, generator=generator, dtype=torch.float64)
    y = outputs(x, torch.from_numpy(target))
    h = linear_scan(torch.from_numpy(poles), x[..., None].expand(-1, -1, 6).to(torch.complex128))
    features = torch.cat([h.real, h.imag, x[..., None]], -1).flatten(0, 1)
    weights = torch.linalg.lstsq(features, y.flatten()[:, None]).solution[:, 0].numpy()
    k = np.real(poles[None] ** np.arange(LENGTH)[:, None] @ (weights[:6] - 1j * weights[6:12]))
    k[0] += weights[12]
    population = white_gram(LENGTH).numpy()
    reached = ((k - target) ** 2 @ population) / (target**2 @ population)
    assert loss[0, 0] <= reached <= 1.01 * loss[0, 0]
    left = (y.flatten() - features @ torch.from_numpy(weights)).square().mean() / y.square().mean()
    assert left.item() == pytest.approx(loss[0, 0], rel=0.05)


def test_it_is_the_minimum_of_the_exact_loss():
    """Normal equations of the exact engine's population loss, without a cutoff."""
    poles = readouts.DESIGNS["even"](5, 0.9, 2.0, 0)
    target = responses()
    G = torch.diag(exact.white_gram(LENGTH)).numpy()
    powers = poles[None] ** np.arange(LENGTH)[:, None]
    J = np.concatenate([powers.real, powers.imag, np.eye(LENGTH)[:, :1]], axis=1)
    k = J @ np.linalg.solve(J.T @ G @ J, J.T @ G @ target.T)
    losses = exact.loss(torch.from_numpy(k.T), torch.from_numpy(target), torch.from_numpy(G))
    zero = exact.loss(torch.zeros(2, LENGTH, dtype=torch.float64), torch.from_numpy(target), torch.from_numpy(G))
    np.testing.assert_allclose(readouts.remaining_loss(poles, target, (1e-12,))[0][0], losses / zero, rtol=1e-8)


def test_a_larger_cutoff_leaves_more_with_smaller_weights():
    poles = readouts.DESIGNS["random"](40, 0.9, 0.3, 0)
    losses, norms = readouts.remaining_loss(poles, responses(theta0=0.3), (1e-12, 1e-6, 1e-3))
    assert (np.diff(losses, axis=0) > 0).all() and (np.diff(norms, axis=0) < 0).all()


def test_an_infinite_window_is_the_limit_of_long_ones():
    poles, system = readouts.DESIGNS["even"](4, 0.5, math.pi, 0), systems.teacher(28, 0.5)
    target = system.impulse_response(6000).numpy()
    limit = readouts.window_free_loss(poles, system)
    # lags are weighted by 1 - lag / T; the zero predictor's loss there counts lag 0, the skip connection's
    share = (target[1:] ** 2).sum() / (target**2).sum()
    assert readouts.remaining_loss(poles, target[None], (1e-12,))[0][0, 0] / share == pytest.approx(limit, rel=0.01)
