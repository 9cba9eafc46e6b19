"""Trajectories in closed form against automatic differentiation and PyTorch's own Adam."""

import numpy as np
import pytest
import torch

from rnnlib import descent, theory

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
