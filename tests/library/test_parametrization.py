"""Changes of variables: inverses, the curvature each leaves, initial rings."""

import math

import numpy as np
import pytest
import torch

from rnnlib import theory
from rnnlib.parametrization import EXPONENTIAL, OPTIMAL, POLAR, input_scale, ring

ALL = pytest.mark.parametrize("parametrization", [POLAR, EXPONENTIAL, OPTIMAL], ids=lambda p: p.name)


@ALL
def test_parameters_invert_eigenvalues(parametrization):
    lam = ring(1000, 0.01, 0.9999, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(parametrization.eigenvalues(*parametrization.parameters(lam)), lam, rtol=1e-9, atol=1e-9)


@ALL
@pytest.mark.parametrize("bad", [0.0, 1.0, 1.5, math.nan])
def test_eigenvalues_without_parameters_are_refused(parametrization, bad):
    with pytest.raises(ValueError, match="strictly inside the unit circle") as refusal:
        parametrization.parameters(torch.tensor([0.5] * 998 + [bad] * 2, dtype=torch.complex128))
    message = str(refusal.value)
    assert message.startswith("lam ") and f"2 of 1000 places, first with modulus {bad:g}" in message
    assert len(message) < 200


@ALL
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_real_and_tiny_eigenvalues_have_finite_parameters(parametrization, dtype):
    lam = torch.tensor([0.5, -0.5, 1e-30, -1e-30j, 1 - 2**-24, 0.5 + 1e-45j], dtype=dtype)
    omega = [value.requires_grad_() for value in parametrization.parameters(lam)]
    assert all(bool(value.isfinite().all()) for value in omega)
    again = parametrization.eigenvalues(*omega)
    torch.testing.assert_close(again, lam, rtol=0, atol=10 * torch.finfo(dtype).eps)
    torch.testing.assert_close(again.abs(), lam.abs(), rtol=1e-5, atol=0)
    for gradient in torch.autograd.grad(torch.view_as_real(again).sum(), omega):
        assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("parametrization", [POLAR, OPTIMAL], ids=lambda p: p.name)
@pytest.mark.parametrize("omega_nu", [0.7, 0.0, -0.7])
def test_derivative_by_the_modulus_at_any_sign(parametrization, omega_nu):
    """torch.polar's own is 0 at a modulus of 0 and has the wrong sign at a negative one."""
    omega = torch.tensor(omega_nu, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)

    def by_modulus(transform, omega_nu=omega[0]):
        return transform(lambda value: torch.view_as_real(parametrization.eigenvalues(value, omega[1])))(omega_nu)

    nu = parametrization.modulus(omega[0])
    angle = parametrization.angle(omega[1], nu).item()
    slope = 1.0 if parametrization is POLAR else 1 - math.tanh(omega_nu) ** 2
    expected = slope * torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(by_modulus(transform), expected)


@ALL
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_raw_parameter_gives_nan(parametrization, dtype):
    """Wherever an optimiser may go: values and first and second derivatives are finite."""
    moduli = torch.tensor([0.0, 1e-45, -1e-45, 1e-20, 100.0, -100.0, 1e4, -1e4], dtype=dtype)
    omega = torch.cartesian_prod(moduli, torch.tensor([0.0, 3.0, 100.0, 1e4, -1e4], dtype=dtype))

    def lam(omega):
        return torch.view_as_real(parametrization.eigenvalues(omega[0], omega[1]))

    for function in (lam, torch.func.jacrev(lam), torch.func.jacfwd(lam), torch.func.hessian(lam)):
        assert bool(torch.func.vmap(function)(omega).isfinite().all())


def test_the_optimal_parametrisation_at_zero():
    lam = OPTIMAL.eigenvalues(torch.zeros(3), torch.tensor([0.0, 1.0, -2.0]))
    assert torch.equal(lam, torch.zeros(3, dtype=torch.complex64))


@ALL
def test_raw_parameters_have_one_shape(parametrization):
    with pytest.raises(ValueError, match=r"must have one shape, got \(4, 1\) and \(4,\)"):
        parametrization.eigenvalues(torch.full((4, 1), 0.5), torch.full((4,), 0.5))


def curvature(parametrization, nu, theta):
    lam = torch.polar(*torch.tensor([[nu], [theta]], dtype=torch.float64))[0]
    omega = torch.stack(parametrization.parameters(lam))

    def loss(omega):
        return theory.one_dimensional_loss(parametrization.eigenvalues(omega[0], omega[1]), lam, normalized=True)

    return torch.func.hessian(loss)(omega).diagonal().numpy()


@pytest.mark.parametrize("nu", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("theta", [0.01, 2.0])
def test_curvature_left_at_the_optimum(nu, theta):
    radial, angular = theory.one_dimensional_curvature(nu, normalized=True)
    np.testing.assert_allclose(curvature(POLAR, nu, theta), [radial, angular], rtol=1e-7)
    np.testing.assert_allclose(curvature(OPTIMAL, nu, theta), [1, 1], rtol=1e-7)
    exponential = [(nu * math.log(nu) / (1 - nu**2)) ** 2, theta**2 * angular]
    np.testing.assert_allclose(curvature(EXPONENTIAL, nu, theta), exponential, rtol=1e-7)


def test_modulus_is_held_constant_when_the_angle_is_differentiated():
    omega_nu, omega_theta = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.5, 3.0))
    angle = OPTIMAL.eigenvalues(omega_nu, omega_theta).angle()
    by_nu, by_theta = torch.autograd.grad(angle, [omega_nu, omega_theta])
    nu = math.tanh(1.5)
    assert abs(by_nu) < 1e-12
    assert by_theta.item() == pytest.approx((1 - nu**2) / (nu * math.sqrt(1 + nu**2)))


def test_input_scale_keeps_the_variance_at_one():
    lam = ring(100, 0.0, 0.99, dtype=torch.complex128)
    torch.testing.assert_close(input_scale(lam) ** 2 * theory.state_variance(lam, 0.0), torch.ones(100).double())
    near_one = torch.tensor(1 - 2**-20, dtype=torch.float32)  # exact in single precision
    exact = math.sqrt((2 - 2**-20) * 2**-20)
    assert input_scale(near_one).item() == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_input_scale_on_and_outside_the_unit_circle(dtype):
    """No scale keeps an unbounded variance at 1: gamma is 0 there, and its gradient finite."""
    lam = torch.tensor([1.0, -1.0, 1.5, 1e30], dtype=dtype, requires_grad=True)
    gamma = input_scale(lam)
    assert gamma.tolist() == [0, 0, 0, 0]
    (gradient,) = torch.autograd.grad(gamma.sum(), lam)
    before = torch.tensor(1 - torch.finfo(dtype).eps / 2, dtype=dtype, requires_grad=True)
    (steepest,) = torch.autograd.grad(input_scale(before), before)
    torch.testing.assert_close(gradient, steepest * torch.tensor([1, -1, 0, 0], dtype=dtype), rtol=1e-3, atol=0)
    assert input_scale(torch.tensor(math.nan, dtype=dtype)).isnan()


def test_a_saturated_gate_passes_no_gradient_through_input_scale():
    raw = torch.tensor([-200.0, 0.0], requires_grad=True)
    gate = torch.exp(-5.6 * torch.sigmoid(raw))
    assert gate[0] == 1
    input_scale(gate).sum().backward()
    a = math.exp(-2.8)  # d gamma / d raw = -a / gamma * da, da = -5.6 a / 4
    torch.testing.assert_close(raw.grad, torch.tensor([0.0, a / math.sqrt(1 - a * a) * 1.4 * a]))


@pytest.mark.parametrize("point", [[0.0, 0.0], [1e-30, 0.0], [0.3, -0.4], [0.0, 0.999]])
def test_derivatives_of_input_scale_by_real_and_imaginary_part(point):
    point = torch.tensor(point, dtype=torch.float64)
    square = (point @ point).item()
    gamma = math.sqrt(1 - square)
    gradient = -point / gamma
    hessian = -torch.eye(2, dtype=torch.float64) / gamma - torch.outer(point, point) / gamma**3

    def scale(parts):
        return input_scale(torch.complex(parts[0], parts[1]))

    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(scale)(point), gradient)
    torch.testing.assert_close(torch.func.hessian(scale)(point), hessian)
    vmapped = torch.func.vmap(torch.func.grad(scale))(point.expand(2, 2))
    torch.testing.assert_close(vmapped, gradient.expand(2, 2))


@pytest.mark.parametrize("lam", [0.0, 0.5, -0.5])
def test_derivatives_of_input_scale_by_a_real_eigenvalue(lam):
    lam = torch.tensor(lam, dtype=torch.float64)
    gamma = math.sqrt(1 - lam.item() ** 2)
    assert torch.func.grad(input_scale)(lam).item() == pytest.approx(-lam.item() / gamma)
    assert torch.func.hessian(input_scale)(lam).item() == pytest.approx(-1 / gamma**3)


def test_ring_is_uniform_over_its_area():
    lam = ring(200_000, 0.6, 0.9, math.pi / 4, generator=torch.Generator().manual_seed(0))
    fraction = (lam.abs().square() - 0.36) / (0.81 - 0.36)
    assert 0 <= fraction.min() and fraction.max() <= 1 + 1e-5
    quantiles = torch.linspace(0.1, 0.9, 9)
    torch.testing.assert_close(torch.quantile(fraction, quantiles), quantiles, atol=5e-3, rtol=0)
    assert lam.angle().abs().max() <= math.pi / 4 + 1e-6
    torch.testing.assert_close(
        torch.quantile(lam.angle() / (math.pi / 2) + 0.5, quantiles), quantiles, atol=5e-3, rtol=0
    )


def test_ring_never_touches_the_unit_circle():
    assert ring(1_000_000, 1 - 1e-7, 1.0).abs().max() < 1


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_draws_that_would_give_zero_give_half_a_step(dtype, monkeypatch):
    """torch.rand draws multiples of u, the unit roundoff: a modulus or an angle of exactly 0 stands for less than u."""
    steps = torch.finfo(dtype).eps / 2
    draws = torch.tensor([[0.0, steps, 0.5], [0.25, 0.5, 0.5 + steps]], dtype=dtype.to_real())
    monkeypatch.setattr(torch, "rand", lambda *size, **_: draws)
    lam = ring(3, max_angle=1.0, dtype=dtype)
    torch.testing.assert_close(lam.abs().square(), torch.tensor([steps / 2, steps, 0.5], dtype=dtype.to_real()))
    torch.testing.assert_close(lam.angle(), torch.tensor([-0.5, steps, 2 * steps], dtype=dtype.to_real()))
    for parametrization in (POLAR, EXPONENTIAL, OPTIMAL):
        assert all(bool(omega.isfinite().all()) for omega in parametrization.parameters(lam))


def test_the_smallest_ring_has_no_eigenvalue_at_zero():
    assert ring(1000, 0.0, 1e-30, generator=torch.Generator().manual_seed(0)).abs().min() > 0


def test_ring_has_the_dtype_asked_for_and_else_the_default():
    assert ring(3, dtype=torch.complex64).dtype == torch.complex64
    assert ring(3, dtype=torch.complex128).dtype == torch.complex128
    assert ring(3).dtype == torch.complex64
    torch.set_default_dtype(torch.float64)
    try:
        assert ring(3).dtype == torch.complex128
        assert ring(3, dtype=torch.complex64).dtype == torch.complex64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.complex32, torch.bfloat16, torch.int64, "complex64"]
)
def test_other_dtypes_of_a_ring_are_refused(dtype):
    with pytest.raises(TypeError, match=f"dtype must be torch.complex64 or torch.complex128, got {dtype}"):
        ring(3, dtype=dtype)


def test_a_ring_has_eigenvalues():
    with pytest.raises(ValueError, match="size must be a whole number of at least 1, got 0"):
        ring(0)


@pytest.mark.parametrize("radii", [(-0.1, 1.0), (0.9, 0.8), (0.5, 1.1), (0.0, 0.0), (math.nan, 1.0)])
def test_bad_radii_are_named(radii):
    with pytest.raises(ValueError, match="min_modulus <= max_modulus"):
        ring(3, *radii)


@pytest.mark.parametrize("angle", [0.0, 3.2])
def test_bad_angle_is_named(angle):
    with pytest.raises(ValueError, match="max_angle"):
        ring(3, max_angle=angle)


WRONG = {
    "a number": (lambda: POLAR.parameters(0.5), r"lam must be a tensor of torch.complex64 .*, got 0.5"),
    "whole numbers": (
        lambda: POLAR.parameters(torch.ones(2, dtype=torch.int64)),
        "lam must be .*, got a tensor of torch",
    ),
    "raw whole numbers": (
        lambda: EXPONENTIAL.eigenvalues(torch.ones(2, dtype=torch.int64), torch.ones(2)),
        "omega_nu must be a tensor of torch.float32 or torch.float64, got a tensor of torch.int64",
    ),
    "a raw angle": (lambda: OPTIMAL.eigenvalues(torch.ones(2), 1.0), "omega_theta must be a tensor .*, got 1.0"),
    "two dtypes": (
        lambda: POLAR.eigenvalues(torch.ones(2), torch.ones(2).double()),
        "omega_nu and omega_theta must have one dtype, got torch.float32 and torch.float64",
    ),
    "a scale": (lambda: input_scale(0.5), "lam must be a tensor .*, got 0.5"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_tensor_of_real_numbers_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("omega_theta", [3e38, -3e38])
def test_the_optimal_eigenvalue_of_modulus_0_is_0_at_any_angle(omega_theta):
    omega_nu = torch.zeros(1, requires_grad=True)
    lam = OPTIMAL.eigenvalues(omega_nu, torch.full((1,), omega_theta))
    assert lam.item() == 0
    lam.real.sum().backward()
    assert bool(omega_nu.grad.isfinite().all())
