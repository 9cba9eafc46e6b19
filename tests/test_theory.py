"""Closed forms against sums, automatic differentiation and simulation; nothing here is compared with itself."""

import numpy as np
import pytest
import torch

from rnnlib import linear_scan, theory

RHOS = [0.0, 0.5, 0.9, 0.999, 1.0]
LAMS = [0.3, -0.7, 0.95, 0.6 + 0.5j, -0.2 + 0.9j]


def pair_sum(weights_a, weights_b, R):
    """sum over i, j of a_i b_j R(|i - j|): the second moment by its definition."""
    lag = np.arange(len(weights_a))
    return weights_a @ R[np.abs(lag[:, None] - lag[None, :])] @ weights_b


def powers(lam, terms=900):
    i = np.arange(terms)
    return lam**i, np.r_[0, i[1:] * lam ** (i[1:] - 1)]


@pytest.mark.parametrize("rho", RHOS)
@pytest.mark.parametrize("lam", LAMS)
def test_moments_are_the_double_sums(lam, rho):
    state, derivative = powers(lam)
    R = rho ** np.arange(900.0)
    np.testing.assert_allclose(theory.state_variance(lam, rho), pair_sum(state, state.conj(), R).real, rtol=1e-9)
    np.testing.assert_allclose(theory.sensitivity(lam, rho), pair_sum(derivative, derivative.conj(), R).real, rtol=1e-9)


@pytest.mark.parametrize("rho", RHOS)
def test_cross_sensitivity_is_the_mixed_derivative(rho):
    a, b = torch.tensor([0.8, -0.6], dtype=torch.float64)
    dF_da = torch.func.grad(theory.generating_function, argnums=0)
    torch.testing.assert_close(torch.func.grad(dF_da, argnums=1)(a, b, rho), theory.cross_sensitivity(a, b, rho))


def test_complex_cross_sensitivity_is_the_double_sum():
    a, b, rho = 0.7 + 0.4j, -0.3 + 0.8j, 0.9
    expected = pair_sum(powers(a)[1], powers(b)[1], rho ** np.arange(900.0))
    np.testing.assert_allclose(theory.cross_sensitivity(a, b, rho), expected, rtol=1e-9)


def test_erratum_1_by_sum_closed_form_and_print():
    _, derivative = powers(0.9)
    exact = pair_sum(derivative, derivative, 0.9 ** np.arange(900.0))
    np.testing.assert_allclose([exact, theory.cross_sensitivity(0.9, 0.9, 0.9)], 3756.954, rtol=1e-6)
    np.testing.assert_allclose(theory.cross_sensitivity_as_printed(0.9, 0.9, 0.9), 2271.759, rtol=1e-6)
    ratio = theory.cross_sensitivity(0.9999, 0.9999, 0.5) / theory.cross_sensitivity_as_printed(0.9999, 0.9999, 0.5)
    np.testing.assert_allclose(ratio, 1.5, rtol=1e-3)  # 1 + rho as |lambda| -> 1


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 1.0])
def test_printed_real_formula(rho):
    lam = np.linspace(-0.95, 0.95, 39)
    top = (1 + lam**2) * (1 - lam**2 * rho**2) + 2 * (1 - lam**2) * lam * rho
    np.testing.assert_allclose(theory.sensitivity(lam, rho), top / ((1 - lam**2) ** 3 * (1 - lam * rho) ** 2))
    np.testing.assert_allclose(theory.state_variance(lam, rho), (1 + rho * lam) / ((1 - rho * lam) * (1 - lam**2)))


@pytest.mark.parametrize("lam", LAMS)
def test_general_autocorrelation(lam):
    R = 0.3 * 0.99 ** np.arange(900.0) + 0.7 * np.cos(0.3 * np.arange(900)) * 0.9 ** np.arange(900.0)
    state, derivative = powers(lam)
    conj = np.conj(lam)
    np.testing.assert_allclose(theory.generating_function_of(R, lam, conj), pair_sum(state, state.conj(), R), rtol=1e-9)
    expected = pair_sum(derivative, derivative.conj(), R)
    np.testing.assert_allclose(theory.cross_sensitivity_of(R, lam, conj), expected, rtol=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.9])
@pytest.mark.parametrize("lam", [0.9, 0.5 + 0.7j])
def test_simulation_agrees(lam, rho):
    """32 units, 24,500 steps after the burn-in."""
    dtype = torch.complex128
    noise = torch.randn(1, 25_001, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    decay = noise.new_full((32,), rho)
    x = linear_scan(decay, (1 - rho**2) ** 0.5 * noise[:, 1:], noise[:, 0]).to(dtype)
    point = torch.full((32,), lam, dtype=dtype)
    h, dh = torch.func.jvp(lambda value: linear_scan(value, x), (point,), (torch.ones_like(point),))
    measured = [t[:, 500:].abs().square().mean().item() for t in (h, dh)]
    np.testing.assert_allclose(measured, [theory.state_variance(lam, rho), theory.sensitivity(lam, rho)], rtol=0.02)


def test_limits_as_memory_grows():
    eps = 1e-7
    for rho in [0.0, 0.9, 0.99]:
        law = (1 + rho) / (1 - rho)
        np.testing.assert_allclose(theory.state_variance(1 - eps, rho), law / (2 * eps), rtol=1e-4)
        np.testing.assert_allclose(theory.sensitivity(1 - eps, rho), law / (4 * eps**3), rtol=1e-4)
    np.testing.assert_allclose(theory.sensitivity(1 - 1e-4, 1.0), 1e16, rtol=1e-3)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_loss_is_half_the_mean_squared_difference(rho, normalized):
    lam, lam_star = 0.8 * np.exp(0.4j), 0.9 * np.exp(0.3j)
    gamma, gamma_star = (np.sqrt(1 - abs(v) ** 2) if normalized else 1.0 for v in (lam, lam_star))
    difference = gamma * powers(lam)[0] - gamma_star * powers(lam_star)[0]
    expected = 0.5 * pair_sum(difference, difference.conj(), rho ** np.arange(900.0)).real
    loss = theory.one_dimensional_loss(lam, lam_star, rho, normalized=normalized)
    np.testing.assert_allclose(loss, expected, rtol=1e-9)


def test_constant_input_loss():
    lam, lam_star = 0.7 + 0.2j, 0.9 - 0.1j
    expected = 0.5 * abs(1 / (1 - lam) - 1 / (1 - lam_star)) ** 2
    np.testing.assert_allclose(theory.one_dimensional_loss(lam, lam_star, 1.0), expected)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("modulus", [0.5, 0.9, 0.99])
def test_curvature_by_automatic_differentiation(modulus, normalized):
    star = torch.polar(torch.tensor(modulus, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64))

    def loss(polar):
        return theory.one_dimensional_loss(torch.polar(polar[0], polar[1]), star, normalized=normalized)

    H = torch.func.hessian(loss)(torch.tensor([modulus, 0.7], dtype=torch.float64))
    expected = theory.one_dimensional_curvature(modulus, normalized=normalized)
    np.testing.assert_allclose(H.diagonal(), expected, rtol=1e-8)
    assert abs(H[0, 1]) < 1e-8 * H[0, 0]


def test_diagonal_hessian_by_automatic_differentiation():
    rng = np.random.default_rng(0)
    n, T = 3, 300
    lam = 0.85 * np.exp(1j * rng.uniform(-3, 3, n))
    b, c = (rng.normal(size=n) + 1j * rng.normal(size=n) for _ in range(2))
    steps = torch.arange(T)
    k = torch.tensor(b * c)

    def response(lam):
        return (k[:, None] * lam[:, None] ** steps).sum(0).real

    for rho in [0.0, 0.9]:
        R = torch.tensor(rho, dtype=torch.float64) ** (steps[:, None] - steps[None, :]).abs()

        def loss(parts, R=R):
            difference = response(torch.complex(parts[:n], parts[n:])) - response(torch.tensor(lam))
            return 0.5 * difference @ R @ difference

        H = torch.func.hessian(loss)(torch.tensor(np.r_[lam.real, lam.imag])).numpy()
        np.testing.assert_allclose(theory.diagonal_hessian(lam, b, c, rho), H, atol=1e-6 * np.abs(H).max())


def test_numbers_arrays_and_tensors_alike():
    lam, rho = 0.6 + 0.5j, 0.9
    expected = theory.sensitivity(lam, rho)
    assert isinstance(expected, float)
    np.testing.assert_allclose(theory.sensitivity(np.array([lam]), rho), [expected])
    torch.testing.assert_close(theory.sensitivity(torch.tensor(lam, dtype=torch.complex128), rho).item(), expected)
    assert theory.one_dimensional_loss(lam, 0.9) == pytest.approx(
        theory.one_dimensional_loss(torch.tensor(lam, dtype=torch.complex128), torch.tensor(0.9)).item()
    )
