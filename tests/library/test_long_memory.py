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


def fractional(beta, lags):
    """Autocorrelation of fractional noise, whose spectrum is |2 sin(omega / 2)|^-beta."""
    d, lag = beta / 2, np.arange(1, lags)
    first = math.gamma(1 - 2 * d) / math.gamma(1 - d) ** 2
    return first * np.cumprod(np.append(1.0, (lag - 1 + d) / (lag - d)))


@pytest.mark.parametrize("beta", [-0.4, -0.2, 0.0, 0.5, 0.9])
def test_moments_where_the_spectrum_is_a_power(beta):
    lam = 1 - 1 / 4e3
    expected = theory.spectral_moments(lam, beta)
    np.testing.assert_allclose(np.divide(sums(lam, fractional(beta, 160_000)), expected), 1, rtol=0.015)


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_a_turned_eigenvalue_hears_a_power_at_its_own_frequency(beta):
    """Half of a real wave turns with it; what it hears of the other half is white, and fades in comparison."""
    angle = 0.9
    R = fractional(beta, 160_000)
    moments = sums((1 - 1 / 4e3) * np.exp(1j * angle), R * np.cos(angle * np.arange(len(R))))
    np.testing.assert_allclose(np.multiply(2, moments) / theory.spectral_moments(1 - 1 / 4e3, beta), 1, rtol=0.03)


def test_a_power_of_the_spectrum_is_a_power_of_the_lag():
    lam, alpha = 1 - 1e-4, 0.4
    of_spectrum = 2 * math.gamma(1 - alpha) * math.sin(math.pi * alpha / 2)  # R ~ D^-alpha has this times |omega|^-beta
    expected = theory.power_law_moments(lam, alpha)
    np.testing.assert_allclose(of_spectrum * np.array(theory.spectral_moments(lam, 1 - alpha)), expected)


@pytest.mark.parametrize("lam", [0.9, 0.97 * np.exp(0.4j), -0.8])
def test_no_input_beats_two_bounds(lam):
    """(1 - |lam|)^2 E|h|^2 <= R(0) and (1 - |lam|)^2 E|dh|^2 <= E|h|^2, for random autocorrelations and the worst."""
    generator = np.random.default_rng(1)
    worst = np.cos(np.angle(lam) * np.arange(3000))
    for R in [worst, *(np.correlate(x, x, "full")[49:] for x in generator.standard_normal((20, 50)))]:
        state, sensitivity = sums(lam, R)
        scale = (1 - abs(lam)) ** 2
        assert scale * state <= R[0] * (1 + 1e-9) and scale * sensitivity <= state * (1 + 1e-9)
    assert sums(lam, worst)[0] * scale > 0.49 * worst[0]  # half of a real wave turns with lam


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
    for beta in (-1, 1.0, math.nan):
        with pytest.raises(ValueError, match="beta must be"):
            theory.spectral_moments(0.5, beta)
    with pytest.raises(ValueError, match=r"modulus must be real, 0 <= modulus < 1, got 1\.0"):
        theory.spectral_moments(1.0, 0.5)
    for length in (1, math.inf):
        with pytest.raises(ValueError, match="length must be"):
            theory.one_over_f_moments(0.5, length)
