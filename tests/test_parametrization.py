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
@pytest.mark.parametrize("bad", [0.0, 1.0, 1.5])
def test_eigenvalues_without_parameters_are_refused(parametrization, bad):
    with pytest.raises(ValueError, match="strictly inside the unit circle"):
        parametrization.parameters(torch.tensor([0.5, bad], dtype=torch.complex128))


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


@pytest.mark.parametrize("radii", [(-0.1, 1.0), (0.9, 0.8), (0.5, 1.1)])
def test_bad_radii_are_named(radii):
    with pytest.raises(ValueError, match="min_modulus <= max_modulus"):
        ring(3, *radii)


@pytest.mark.parametrize("angle", [0.0, 3.2])
def test_bad_angle_is_named(angle):
    with pytest.raises(ValueError, match="max_angle"):
        ring(3, max_angle=angle)
