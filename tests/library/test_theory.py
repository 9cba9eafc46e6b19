"""Closed forms against sums, automatic differentiation and simulation; nothing here is compared with itself."""

import functools
import itertools
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

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


def test_erratum_1_by_sum_and_closed_form():
    _, derivative = powers(0.9)
    exact = pair_sum(derivative, derivative, 0.9 ** np.arange(900.0))
    np.testing.assert_allclose([exact, theory.cross_sensitivity(0.9, 0.9, 0.9)], 3756.954, rtol=1e-6)


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


SHAPES = [((), ()), ((3,), ()), ((), (3,)), ((3,), (3,)), ((2, 1), (3,)), ((0,), (1,)), ((1, 3), (4, 1, 1))]


@pytest.mark.parametrize("complex_R", [False, True])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, np.ndarray.tolist])
@pytest.mark.parametrize("lags", [1, 2, 7])
def test_general_autocorrelations_broadcast(lags, kind, shapes, complex_R):
    rng = np.random.default_rng(0)
    a, b = (np.asarray(rng.uniform(0, 0.9, shape) * np.exp(1j * rng.uniform(-3, 3, shape))) for shape in shapes)
    b = b.real  # one real, one complex
    R = rng.normal(size=lags) + (1j * rng.normal(size=lags) if complex_R else 0)
    long = np.r_[R, np.zeros(900 - lags)]
    pairs = [(x, y) for x, y in np.broadcast(a, b)]
    for function, order in [(theory.generating_function_of, 0), (theory.cross_sensitivity_of, 1)]:
        found = function(R, kind(a), kind(b))
        assert isinstance(found, torch.Tensor) == (kind is torch.tensor)
        expected = np.array([pair_sum(powers(x)[order], powers(y)[order], long) for x, y in pairs], dtype=complex)
        assert np.shape(found) == np.broadcast_shapes(*shapes)
        np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-9)


def test_general_autocorrelations_are_differentiable():
    R, a = torch.tensor([[1.0, 0.3, -0.2], [0.9, -0.5, 0.0]], dtype=torch.float64).requires_grad_()
    a = a[:2]
    for function in (theory.generating_function_of, theory.cross_sensitivity_of):
        assert torch.autograd.gradcheck(lambda R, a, function=function: function(R, a, a[:, None]), (R, a))


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


# Gated units ----------------------------------------------------------------------------------------------------------


def geometric(rho, lags):
    return np.where(np.arange(lags) == 0, 1.0, float(rho) ** np.arange(lags))


@pytest.mark.parametrize("rho", [0, 0.5, 0.99, 1])
@pytest.mark.parametrize("lam", [0.1, 0.5, 0.95])
def test_gated_moments_are_the_sums_over_long_windows(lam, rho):
    steps = 1500
    state, sensitivity = (theory.window_moment(w, geometric(rho, steps)) for w in theory.gated_response(lam, steps))
    assert theory.gated_state_variance(lam, rho) == pytest.approx(state, rel=1e-9)
    # for constant inputs 0, as a difference of large numbers
    assert theory.gated_sensitivity(lam, rho) == pytest.approx(sensitivity, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_gated_sensitivity_is_the_mixed_derivative(rho):
    def f(a, b):
        return (1 - a) * (1 - b) * theory.generating_function(a, b, rho)

    lam = torch.tensor(0.9, dtype=torch.float64)
    slope = torch.func.grad(f)
    mixed = torch.func.grad(lambda b: slope(lam, b))(lam)
    scale = (lam * (1 - lam)) ** 2
    torch.testing.assert_close(theory.gated_sensitivity(lam, rho), scale * mixed)


def test_window_moments_hold_for_simulated_units_of_correlated_inputs():
    rho, steps, count = 0.9, 30, 40_000
    noise = torch.randn(count, steps, 1, dtype=torch.float64)
    first = noise[:, 0].clone()
    noise[:, 1:] *= (1 - rho**2) ** 0.5
    noise[:, 0] = 0
    # the first input is itself a draw of the stationary process
    x = linear_scan(torch.tensor([rho], dtype=torch.float64), noise, first / rho)
    lam = np.array([0.5, 0.9])
    h = linear_scan(torch.tensor(lam), (1 - torch.tensor(lam)) * x)
    inputs = torch.tensor(lam * (1 - lam)) * (torch.cat([torch.zeros(count, 1, 2), h[:, :-1]], 1) - x)
    dh = linear_scan(torch.tensor(lam), inputs)
    for weights, last in zip(theory.gated_response(lam, steps), (h[:, -1], dh[:, -1]), strict=True):
        squares = last.square().numpy()
        error = squares.std(0) / count**0.5
        difference = squares.mean(0) - theory.window_moment(weights, geometric(rho, steps))
        assert (np.abs(difference) < 4 * error).all() and (error < 0.02 * squares.mean(0)).all()


def test_window_moment_of_inputs_that_are_not_stationary():
    moments = np.array([[2.0, 0.5], [0.5, 3.0]])
    assert theory.window_moment(np.array([1.0, -2.0]), moments) == 2 - 2 + 12
    with pytest.raises(ValueError, match="must hold 3 lags"):
        theory.window_moment(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="R must have shape"):
        theory.window_moment(np.ones(3), np.ones((2, 2)))


# Domains --------------------------------------------------------------------------------------------------------------

R = np.array([1.0, 0.5])
DISC = {
    "generating_function": [("a", lambda z: theory.generating_function(z, 0.5, 0.5)),
                            ("b", lambda z: theory.generating_function(0.5, z, 0.5))],
    "cross_sensitivity": [("a", lambda z: theory.cross_sensitivity(z, 0.5, 0.5)),
                          ("b", lambda z: theory.cross_sensitivity(0.5, z, 0.5))],
    "generating_function_of": [("a", lambda z: theory.generating_function_of(R, z, 0.5)),
                               ("b", lambda z: theory.generating_function_of(R, 0.5, z))],
    "cross_sensitivity_of": [("a", lambda z: theory.cross_sensitivity_of(R, z, 0.5)),
                             ("b", lambda z: theory.cross_sensitivity_of(R, 0.5, z))],
    "state_variance": [("lam", lambda z: theory.state_variance(z, 0.5))],
    "sensitivity": [("lam", lambda z: theory.sensitivity(z, 0.5))],
    "one_dimensional_loss": [("lam", lambda z: theory.one_dimensional_loss(z, 0.5)),
                             ("lam_star", lambda z: theory.one_dimensional_loss(0.5, z))],
    "one_dimensional_gradient": [("lam_star", lambda z: theory.one_dimensional_gradient(0.5, 0.1, z))],
    "diagonal_hessian": [("lam", lambda z: theory.diagonal_hessian(np.array([0.5, z]), [1, 1], [1, 1]))],
}  # fmt: skip


@pytest.mark.parametrize("value", [1.0, -1.0, 1.5, 0.8 + 0.6j, 3j, math.nan, math.inf])
@pytest.mark.parametrize(("name", "call"), [*itertools.chain(*DISC.values())])
def test_eigenvalues_outside_the_circle_are_named(name, call, value):
    with pytest.raises(ValueError, match=rf"{name} must be inside the unit circle, \|{name}\| < 1, got") as error:
        call(value)
    assert str(error.value).endswith(str(np.asarray(value, complex if isinstance(value, complex) else float)[()]))


@pytest.mark.parametrize("wrap", [np.array, torch.tensor, list])
@pytest.mark.parametrize("function", [theory.state_variance, theory.sensitivity])
def test_one_value_of_an_array_is_named(function, wrap):
    with pytest.raises(ValueError, match=r"lam must be inside the unit circle, \|lam\| < 1, got -1.25$"):
        function(wrap([0.5] * 1000 + [-1.25, 7.0]), 0.5)


CORRELATED = [
    lambda rho: theory.generating_function(0.5, 0.5, rho),
    lambda rho: theory.cross_sensitivity(0.5, 0.5, rho),
    lambda rho: theory.state_variance(0.5, rho),
    lambda rho: theory.sensitivity(0.5, rho),
    lambda rho: theory.gated_state_variance(0.5, rho),
    lambda rho: theory.gated_sensitivity(0.5, rho),
    lambda rho: theory.one_dimensional_loss(0.5, 0.6, rho),
    lambda rho: theory.diagonal_hessian([0.5], [1], [1], rho),
]


@pytest.mark.parametrize("rho", [1.001, -1.5, math.nan, 0.5j])
@pytest.mark.parametrize("call", CORRELATED)
def test_correlations_out_of_range_are_named(call, rho):
    with pytest.raises(ValueError, match=r"rho must be real, -1 <= rho <= 1, got") as error:
        call(rho)
    assert str(error.value).endswith(str(rho))


@pytest.mark.parametrize("rho", [-1, 1])
@pytest.mark.parametrize("call", CORRELATED)
def test_the_extreme_correlations_belong_to_the_domain(call, rho):
    assert np.isfinite(call(rho)).all()


GATED = [
    lambda lam: theory.gated_state_variance(lam, 0.5),
    lambda lam: theory.gated_sensitivity(lam, 0.5),
    lambda lam: theory.gated_response(lam, 3),
    lambda lam: theory.lstm_response(lam, 3),
]


@pytest.mark.parametrize("lam", [-0.1, 1.0, 2.0, math.nan, 0.5 + 0.1j])
@pytest.mark.parametrize("call", GATED)
def test_gates_out_of_range_are_named(call, lam):
    with pytest.raises(ValueError, match=r"lam must be a real gate, 0 <= lam < 1, got") as error:
        call(lam)
    assert str(error.value).endswith(str(lam))


def test_other_arguments_out_of_range_are_named():
    for nu in (0.0, 1.0, -0.5, math.nan):
        with pytest.raises(ValueError, match=rf"nu must be a modulus, 0 < nu < 1, got {nu}"):
            theory.one_dimensional_gradient(nu, 0.1, 0.5)
    with pytest.raises(ValueError, match="theta must be real and finite, got inf"):
        theory.one_dimensional_gradient(0.5, math.inf, 0.5)
    for modulus in (1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match=f"modulus must be real, 0 <= modulus < 1, got {modulus}"):
            theory.one_dimensional_curvature(modulus)
    for response in (theory.gated_response, theory.lstm_response):
        for steps in (0, -1, 2.5):
            with pytest.raises(ValueError, match=f"steps must be a whole number of at least 1, got {steps}"):
                response(0.5, steps)
    with pytest.raises(ValueError, match=r"R must have shape \(lags,\)"):
        theory.generating_function_of([], 0.5, 0.5)
    with pytest.raises(ValueError, match="R must be finite, got nan"):
        theory.cross_sensitivity_of([1, math.nan], 0.5, 0.5)
    with pytest.raises(ValueError, match="weights must be finite, got nan"):
        theory.window_moment([1, math.nan], [1, 0.5])
    with pytest.raises(ValueError, match=r"lam, b and c must have one shape \(n,\)"):
        theory.diagonal_hessian([0.5, 0.6], [1], [1, 1])
    with pytest.raises(ValueError, match=r"a, b, rho must broadcast, got shapes \(2,\), \(3,\), \(\)"):
        theory.cross_sensitivity(np.zeros(2), np.zeros(3), 0.5)
    with pytest.raises(TypeError, match="lam must be a number, an array or a tensor of numbers, got str"):
        theory.sensitivity("0.5", 0.5)


def test_what_a_transform_hides_is_nan_outside_the_domain():
    lam = torch.tensor([0.5, 1.5, -1.0], dtype=torch.float64)
    for function in (theory.state_variance, theory.sensitivity):
        at_half = functools.partial(function, rho=0.5)
        for transformed in (torch.func.vmap(at_half), make_fx(at_half)(lam[:1].expand(3))):
            assert transformed(lam).isnan().tolist() == [False, True, True]
            torch.testing.assert_close(transformed(lam)[0], at_half(lam[0]))


def test_tensors_and_arrays_mix():
    a, rho = np.array([[0.5], [-0.2]]), torch.tensor([0.1, 0.9], dtype=torch.float64)
    found = theory.sensitivity(a, rho)
    np.testing.assert_allclose(found, theory.sensitivity(a, rho.numpy()))
    assert theory.sensitivity(torch.tensor(0.5), np.float64(0.3)).dtype == torch.float32
    for weights in theory.gated_response(torch.tensor([0.2, 0.9]), 4):
        assert theory.window_moment(weights, [1, 0.5, 0.2, 0.1]).shape == (2,)


# Kinds of numbers -----------------------------------------------------------------------------------------------------


def test_numbers_beside_a_tensor_keep_its_precision():
    """Close to the circle nu / (1 - nu^2)^2 is 2.5e11, of which float32 leaves two digits."""
    for arguments in [(0.999999, torch.tensor([0.3]).double(), 0.5), (0.999999, 0.3, torch.tensor([0.5]).double())]:
        actual = theory.one_dimensional_gradient(*arguments)
        expected = theory.one_dimensional_gradient(*(float(value) for value in (0.999999, arguments[1], arguments[2])))
        assert expected[0] == pytest.approx(2.5e11, rel=1e-5)
        for one, other in zip(actual, expected, strict=True):
            assert one.item() == pytest.approx(other, rel=1e-9)


def test_masked_values_are_not_looked_at():
    masked = np.ma.array([0.5, 1.5, 0.25], mask=[False, True, False])
    actual = theory.sensitivity(masked, 0.5)
    assert list(actual.mask) == [False, True, False]
    np.testing.assert_allclose(actual.compressed(), theory.sensitivity(np.array([0.5, 0.25]), 0.5))
    assert theory.sensitivity(np.ma.array([1.5, 2.0], mask=True), 0.5).mask.all()
    with pytest.raises(ValueError, match=r"lam must be .*, got 2\.5$"):
        theory.sensitivity(np.ma.array([0.5, 1.5, 2.5], mask=[False, True, False]), 0.5)


def test_decimals_are_numbers():
    assert theory.sensitivity(Decimal("0.5"), Decimal("0.25")) == theory.sensitivity(0.5, 0.25)
    assert type(theory.one_dimensional_curvature(Decimal("0.5"))[0]) is float
    for value in ("2", "nan", "snan", "inf"):
        with pytest.raises(ValueError, match="lam must be inside the unit circle"):
            theory.sensitivity(Decimal(value), 0.5)


@pytest.mark.parametrize("value", [10**400, -(10**5000), Fraction(10**400, 3)], ids=["400", "5000", "fraction"])
def test_long_numbers_are_not_printed_whole(value):
    calls = [lambda: theory.sensitivity(value, 0.5), lambda: theory.sensitivity(0.5, value)]
    calls += [lambda: theory.one_dimensional_gradient(0.5, value, 0.5), lambda: theory.gated_response(0.5, -abs(value))]
    for call in calls:
        with pytest.raises(ValueError, match=r"must be .*, got a number beyond the largest float, 1\.8e308$"):
            call()


def test_the_hessian_of_tensors_is_that_of_arrays_and_differentiable():
    lam, b, c = np.array([0.5 + 0.2j, -0.3j]), np.array([1.0, 2.0]), np.array([0.5, 1 - 1j])
    expected = theory.diagonal_hessian(lam, b, c, 0.5)
    rho = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    for arguments in [(torch.tensor(lam), b, c, 0.5), (lam, b, c, rho), (lam, torch.tensor(b), torch.tensor(c), rho)]:
        actual = theory.diagonal_hessian(*arguments)
        np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=1e-12)
    (slope,) = torch.autograd.grad(actual[0, 0], rho)
    step = [theory.diagonal_hessian(lam, b, c, 0.5 + sign * 1e-5)[0, 0] for sign in (1, -1)]
    assert slope.item() == pytest.approx((step[0] - step[1]) / 2e-5, rel=1e-6)
    real = (np.array([0.5, 0.25]), np.ones(2), np.ones(2))
    coarse = theory.diagonal_hessian(*(torch.tensor(value, dtype=torch.bfloat16) for value in real), 0.5)
    np.testing.assert_allclose(coarse.float().numpy(), theory.diagonal_hessian(*real, 0.5), rtol=0.05)
    assert theory.diagonal_hessian(*(torch.tensor(value, device="meta") for value in real)).shape == (4, 4)
