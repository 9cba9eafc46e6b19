"""Trajectories in closed form against automatic differentiation and PyTorch's own Adam."""

import numpy as np
import pytest
import torch

from rnnlib import theory
from rnnlib.lab import descent

START, STAR = 0.9 * np.exp(0.5j), 0.95 * np.exp(0.3j)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("lam", [0.3 * np.exp(2j), 0.9 * np.exp(0.5j), 0.99 * np.exp(-0.2j)])
def test_gradient_by_automatic_differentiation(lam, normalized):
    polar = torch.tensor([abs(lam), np.angle(lam)], dtype=torch.float64)
    star = torch.tensor(STAR)

    def loss(polar):
        return theory.one_dimensional_loss(torch.polar(polar[0], polar[1]), star, normalized=normalized)

    expected = torch.func.grad(loss)(polar)
    measured = theory.one_dimensional_gradient(abs(lam), np.angle(lam), STAR, normalized=normalized)
    np.testing.assert_allclose(measured, expected, rtol=1e-9)


def student(angle, omega, hold):
    """The eigenvalue in PyTorch, written out from the module's docstring."""
    nu = torch.tanh(omega[0])
    inner = nu.detach() if hold else nu
    theta = {
        "polar": omega[1],
        "exponential": torch.exp(omega[1]),
        "optimal": omega[1] * (1 - inner**2) / (inner * torch.sqrt(1 + inner**2)),
    }[angle]
    return torch.polar(nu, theta)


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("angle", descent.ANGLES)
def test_trajectories_are_those_of_torch(angle, hold):
    steps, rate = 150, 1e-2
    path = descent.trajectories(START, STAR, steps=steps, rate=rate, hold_modulus=hold)
    for j, optimizer in enumerate(descent.OPTIMIZERS):
        for k in range(2):
            omega = torch.tensor(descent.raw_parameters(angle, START), dtype=torch.float64, requires_grad=True)
            expected, adam = [omega.detach().clone()], torch.optim.Adam([omega], lr=rate)
            for _ in range(steps):
                if optimizer == "sign":  # a fresh optimiser for each step: what the paper's code does
                    adam = torch.optim.Adam([omega], lr=rate)
                loss = theory.one_dimensional_loss(student(angle, omega, hold), torch.tensor(STAR), normalized=bool(k))
                adam.zero_grad()
                loss.backward()
                adam.step()
                expected.append(omega.detach().clone())
            measured = path[:, descent.ANGLES.index(angle), j, k]
            np.testing.assert_allclose(measured, torch.stack(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("angle", descent.ANGLES)
def test_raw_parameters_are_inverse(angle):
    lam = 0.97 * np.exp(1.2j)
    np.testing.assert_allclose(descent.eigenvalues(angle, *descent.raw_parameters(angle, lam)), lam)


def test_sign_steps_have_the_length_of_the_rate():
    path = descent.trajectories(START, STAR, steps=15, rate=1e-2)  # before any gradient vanishes
    np.testing.assert_allclose(np.abs(np.diff(path, axis=0))[:, :, 0], 1e-2, rtol=1e-4)


def test_unknown_angles_and_eigenvalues_out_of_range_are_named():
    for call in (lambda: descent.eigenvalues("Polar", 1.0, 1.0), lambda: descent.raw_parameters("Polar", START)):
        with pytest.raises(ValueError, match="angle must be one of polar, exponential, optimal, got 'Polar'"):
            call()
    for lam in (0.5 - 0.1j, 1.2 + 0.1j, 0.5, 0.0, complex("nan")):
        with pytest.raises(ValueError, match=r"lam must have a modulus in \(0, 1\) and an angle in \(0, pi\), got"):
            descent.raw_parameters("polar", lam)
    with pytest.raises(ValueError, match="star must have a modulus"):
        descent.trajectories(START, 1.5 + 0.1j, steps=3)
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        descent.trajectories(START, STAR, steps=0)
    with pytest.raises(ValueError, match=r"rate must be a number in \(0, inf\), got -1"):
        descent.trajectories(START, STAR, steps=3, rate=-1)


def test_a_step_may_cross_the_origin():
    """Adam in PyTorch, with a rate so large that the modulus changes its sign."""
    path = descent.trajectories(START, STAR, steps=5, rate=1.0)
    assert (path[:, 0, 1, 1, 0] < 0).any()
    omega = torch.tensor(descent.raw_parameters("polar", START), dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([omega], lr=1.0)
    for step in range(1, 6):
        nu = torch.tanh(omega[0])
        lam = torch.complex(nu * torch.cos(omega[1]), nu * torch.sin(omega[1]))
        loss = theory.one_dimensional_loss(lam, torch.tensor(STAR), normalized=True)
        adam.zero_grad()
        loss.backward()
        adam.step()
        np.testing.assert_allclose(path[step, 0, 1, 1], omega.detach(), rtol=1e-6)


def test_a_run_that_leaves_the_disc_is_nan_and_alone():
    path = descent.trajectories(START, STAR, steps=60, rate=3.0)
    lost = np.isnan(path).any((0, 4))
    assert lost.any() and not lost.all()
