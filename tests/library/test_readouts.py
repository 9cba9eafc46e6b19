"""The error that fixed eigenvalues leave, against least squares over the terms of the series."""

import numpy as np
import pytest
import torch

from rnnlib import theory

LAM = np.array([0.9 * np.exp(0.7j), 0.8 * np.exp(-0.4j), 0.5])
WEIGHTS = np.array([1.0, 0.3 - 2j, 0.7])


def least_squares(poles, lam, weights, terms=400):
    lags = np.arange(terms)[:, None]
    target = lam**lags @ weights
    return np.linalg.lstsq(poles**lags, target, rcond=None)[1].item()


@pytest.mark.parametrize("count", [1, 3, 6])
def test_it_is_what_least_squares_leaves(count):
    generator = np.random.default_rng(count)
    poles = generator.uniform(0.3, 0.9, count) * np.exp(1j * generator.uniform(-2, 2, count))
    error = theory.readout_error(poles, LAM, WEIGHTS)
    assert error == pytest.approx(least_squares(poles, LAM, WEIGHTS), rel=1e-6)


def test_without_poles_it_is_the_output_s_variance():
    left = theory.readout_error(np.zeros(0), LAM, WEIGHTS)
    assert left == pytest.approx(np.square(np.abs(LAM ** np.arange(600)[:, None] @ WEIGHTS)).sum())


def test_a_pole_at_the_eigenvalue_leaves_nothing():
    assert theory.readout_error(LAM, LAM, WEIGHTS) == pytest.approx(0, abs=1e-12)


def test_pairs_of_poles_for_real_outputs():
    """Conjugate pairs on both sides: real parts of complex units, fitted with real numbers."""
    poles, lam = 0.85 * np.exp(1j * np.array([0.3, 0.8])), 0.9 * np.exp(0.5j)
    lags = np.arange(400)[:, None]
    features = np.concatenate([(poles**lags).real, (poles**lags).imag], axis=1)
    expected = np.linalg.lstsq(features, 2 * (lam ** lags[:, 0] * (1 + 1j)).real, rcond=None)[1].item()
    pairs = [np.r_[value, np.conj(value)] for value in (poles, lam, 1 + 1j)]
    assert theory.readout_error(*pairs) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [3, 10, 40])
def test_equally_spaced_angles(count):
    """The bound of the proofs page, which the angles in the middle between two reach."""
    memory, middle = 12.0, np.pi * np.arange(1, count) / count
    r = np.exp(-1 / memory)
    poles = r * np.exp(1j * np.pi * (np.arange(2 * count) + 0.5) / count)
    share = [theory.readout_error(poles, lam, np.ones(1)) * (1 - r**2) for lam in r * np.exp(1j * middle)[:, None]]
    np.testing.assert_allclose(share, np.cosh(2 * count / memory) ** -2, rtol=1e-8)
    others = [
        theory.readout_error(poles, np.array([r * np.exp(1j * angle)]), np.ones(1)) * (1 - r**2)
        for angle in np.linspace(0, 3, 50)
    ]
    assert max(others) <= share[0] * (1 + 1e-8)


def test_leading_axes_and_tensors():
    poles = np.stack([0.5 * LAM, 0.9 * LAM])
    both = theory.readout_error(poles, LAM, WEIGHTS)
    assert both.shape == (2,)
    assert both[1] == pytest.approx(theory.readout_error(poles[1], LAM, WEIGHTS))
    point = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    error = theory.readout_error(point[None], torch.tensor([0.9], dtype=torch.float64), torch.tensor([1.0]))
    (slope,) = torch.autograd.grad(error, point)
    step = 1e-6
    ends = [theory.readout_error(np.array([0.8 + d]), np.array([0.9]), np.array([1.0])) for d in (-step, step)]
    assert slope.item() == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize(
    ("poles", "lam", "weights", "message"),
    [
        ([1.0], [0.5], [1.0], "poles must be inside the unit circle"),
        ([0.5], [-1.2], [1.0], "lam must be inside the unit circle"),
        ([0.5], [0.5], [np.inf], "weights must be finite"),
        ([0.5], [0.5, 0.6], [1.0], r"poles must have shape \(\.\.\., N\), lam and weights \(\.\.\., n\), got"),
        ([[0.5], [0.4]], [[0.5], [0.4], [0.3]], [1.0], "poles must have shape"),
        (0.5, [0.5], [1.0], "poles must have shape"),
    ],
)
def test_arguments_that_do_not_fit(poles, lam, weights, message):
    with pytest.raises(ValueError, match=message):
        theory.readout_error(poles, lam, weights)
