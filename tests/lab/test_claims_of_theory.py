"""Measures of claims can tell a true statement from a false one."""

import math

import numpy as np
import pytest
import torch

from rnnlib import linear_scan, theory
from rnnlib.lab.claims import fig02, fig06, measures, sec23
from rnnlib.parametrization import EXPONENTIAL, OPTIMAL


def test_a_simulation_agrees_with_the_right_moment_only():
    exact = theory.sensitivity(0.9, 0.5)
    right = measures.simulated_sensitivity(linear_scan, 0.9, 0.5, 3, exact)
    wrong = measures.simulated_sensitivity(linear_scan, 0.9, 0.5, 3, 1.1 * exact)
    assert right.n == 32 and right.low < 1.01 and right.high > 0.99 and wrong.high < 0.97


def test_half_the_width_of_a_basin_is_where_the_loss_is_half_of_its_largest():
    """Along the optimal modulus the loss is 1 - 1 / cosh of the distance, and its largest value 1."""
    for modulus in (0.36, 0.99):
        assert fig06._half_width(OPTIMAL, "modulus", modulus) == pytest.approx(math.acosh(2), abs=1e-3)
    width = fig06._half_width(EXPONENTIAL, "angle", 0.99)
    angle = math.pi / 100 * math.exp(width)
    star = 0.99 * np.exp(1j * math.pi / 100)
    loss = theory.one_dimensional_loss(0.99 * np.exp(1j * angle), star, normalized=True)
    assert loss / theory.one_dimensional_loss(-star, star, normalized=True) == pytest.approx(0.5, abs=2e-3)


def test_steps_that_are_best_for_all_inputs_do_not_spread():
    assert fig02._spread_of_best_steps(lambda lam, rho: 1 / theory.sensitivity(lam, rho)) == pytest.approx(1)


def test_one_eigenvalue_is_slow_and_the_others_stay(monkeypatch):
    seen = []
    monkeypatch.setattr(sec23, "_moments", seen.append)
    sec23._one_slow.__wrapped__(1e-3)
    moduli = np.sort(np.abs(np.linalg.eigvals(seen[0])))[:, ::-1]
    alone = torch.linalg.eigvals(sec23._normal()).abs()
    assert np.allclose(moduli[:, 0], 1 - 1e-3, atol=1e-8) and (moduli[:, 2] < 0.9).all()
    assert len(moduli) == len(alone) == 256
