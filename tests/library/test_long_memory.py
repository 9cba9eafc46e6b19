"""Moments for inputs with long memory, against sums over their autocorrelation."""

import math

import numpy as np
import pytest
import torch

from rnnlib import theory


def sums(lam, R):
    """Both moments by the sums of the paper, for one eigenvalue."""
    D = np.arange(1, len(R))
    total = R[0] + 2 * (lam**D * R[1:]).sum().real
    lagged = 2 * (D * lam**D * R[1:]).sum().real
    square = abs(lam) ** 2
    return total / (1 - square), total * (1 + square) / (1 - square) ** 3 + lagged / (1 - square) ** 2


def power_law(alpha, lags):
    return (1.0 + np.arange(lags)) ** -alpha


def test_sums_are_those_of_the_library():
    R = power_law(0.5, 300)
    expected = theory.generating_function_of(R, 0.9, 0.9), theory.cross_sensitivity_of(R, 0.9, 0.9)
    np.testing.assert_allclose(sums(0.9, R), expected)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 0.75])
def test_moments_of_power_laws_at_long_memory(alpha):
    """Sums converge as m^(alpha - 1): at 0.75 slowly, so two of them are extrapolated."""
    ratios = []
    for memory in (1e4, 1.6e5):
        lam = 1 - 1 / memory
        ratios.append(np.divide(sums(lam, power_law(alpha, int(30 * memory))), theory.power_law_moments(lam, alpha)))
    shrinks = 16 ** (alpha - 1)
    np.testing.assert_allclose((ratios[1] - shrinks * ratios[0]) / (1 - shrinks), 1, rtol=2e-3)
    assert (abs(ratios[1] - 1) <= abs(ratios[0] - 1) + 1e-9).all()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.6, 1.6, 3.0])
def test_exponents_of_power_laws(alpha):
    low, high = (sums(1 - 1 / memory, power_law(alpha, int(30 * memory))) for memory in (1e4, 1e5))
    np.testing.assert_allclose(np.log10(np.divide(high, low)), theory.power_law_exponents(alpha), atol=0.03)


def test_a_power_of_one_has_a_logarithm():
    low, high = (sums(1 - 1 / memory, power_law(1.0, int(30 * memory))) for memory in (1e4, 1e5))
    exponents = np.log10(np.divide(high, low)) - theory.power_law_exponents(1.0)
    np.testing.assert_allclose(exponents, math.log10(5 / 4), atol=0.02)


def test_a_turned_eigenvalue_does_not_hear_slow_inputs():
    low, high = (sums((1 - 1 / memory) * np.exp(0.5j), power_law(0.3, int(30 * memory))) for memory in (1e3, 1e4))
    np.testing.assert_allclose(np.log10(np.divide(high, low)), [1, 3], atol=0.03)


def test_moments_of_one_over_f_noise():
    length, memory = 3_000_000, 2000.0
    R = 1 - np.log1p(np.arange(length + 1)) / np.log1p(length)
    lam = 1 - 1 / memory
    np.testing.assert_allclose(theory.one_over_f_moments(lam, length), sums(lam, R), rtol=5e-3)


def test_slow_inputs_leave_relative_sensitivities_below_one():
    alpha, eps = np.array([0.0, 0.5, 0.99]), 1e-3
    state, sensitivity = theory.power_law_moments(1 - eps, alpha)
    np.testing.assert_allclose(eps**2 * sensitivity / state, [1, 0.75, 0.505], rtol=1e-9)


def test_numbers_arrays_and_tensors_alike():
    lam, alpha = [0.9, 0.99], 0.5
    expected = theory.power_law_moments(lam, alpha)
    found = theory.power_law_moments(torch.tensor(lam, dtype=torch.float64), torch.tensor(alpha).double())
    np.testing.assert_allclose(torch.stack(found), expected)
    expected = theory.one_over_f_moments(lam, 1e6)
    for arguments in [(torch.tensor(lam, dtype=torch.float64), 1e6), (lam, torch.tensor(1e6).double())]:
        np.testing.assert_allclose(torch.stack(theory.one_over_f_moments(*arguments)), expected)
    assert theory.power_law_exponents(torch.tensor([0.5, 2.0]))[0].tolist() == [1.5, 1.0]
    assert theory.power_law_exponents(0.25) == (1.75, 3.75)


def test_arguments_out_of_range_are_named():
    for value in (-0.1, math.nan, 1j):
        with pytest.raises(ValueError, match="alpha must be"):
            theory.power_law_exponents(value)
    with pytest.raises(ValueError, match=r"alpha must be real, 0 <= alpha < 1, got 1\.0"):
        theory.power_law_moments(0.5, 1.0)
    for function, other in [(theory.power_law_moments, 0.5), (theory.one_over_f_moments, 100)]:
        with pytest.raises(ValueError, match=r"lam must be real, 0 <= lam < 1, got -0\.5"):
            function(-0.5, other)
    for length in (1, math.inf):
        with pytest.raises(ValueError, match="length must be"):
            theory.one_over_f_moments(0.5, length)
