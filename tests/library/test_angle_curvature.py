"""Curvature along angles in closed form, against automatic differentiation of the loss."""

import math

import numpy as np
import pytest
import torch

from rnnlib import theory

NU, THETA, DECAY = 0.83, 0.7, 0.4


def maps():
    """Raw parameters (a, b) to eigenvalues, written out from the docstring, and the raw parameters of NU and THETA."""
    nu, theta = torch.tensor(NU, dtype=torch.float64), torch.tensor(THETA, dtype=torch.float64)
    z = (1 - torch.polar(nu, theta)) / (1 + torch.polar(nu, theta))

    def stretch(nu):
        return (1 - nu**2) / (nu * torch.sqrt(1 + nu**2))

    def rectangular(a, b):
        """By bisection on the squared modulus, then one step of Newton, which carries the derivative."""
        target = torch.hypot(a, b)
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if 1 / stretch(torch.tensor(middle).double()) < target else (low, middle)
        found = torch.tensor(low, dtype=torch.float64)
        slope = torch.func.grad(lambda nu: 1 / stretch(nu))(found)
        return found + (target - 1 / stretch(found)) / slope, torch.atan2(b, a)

    def cayley(a, b):
        z = torch.complex(a.exp(), -b)
        lam = (1 - z) / (1 + z)
        return lam.abs(), lam.angle()

    def oscillator(a, b):
        """Damped LinOSS: the matrix of a step, its determinant and trace."""
        total = 1 + a.exp()
        determinant, trace = 1 / total, 1 / total + 1 - b / total
        return determinant.sqrt(), torch.acos(trace / (2 * determinant.sqrt()))

    r = 1 / stretch(nu)
    return {
        "polar": (lambda a, b: (a.tanh(), b), (nu.atanh(), theta)),
        "exponential": (lambda a, b: (a.tanh(), b.exp()), (nu.atanh(), theta.log())),
        "half-angle": (lambda a, b: (a.tanh(), 2 * b.atan()), (nu.atanh(), (theta / 2).tan())),
        "optimal": (lambda a, b: (a.tanh(), b * stretch(a.tanh())), (nu.atanh(), theta / stretch(nu))),
        "cayley": (cayley, (z.real.log(), -z.imag)),
        "step": (
            lambda a, b: (torch.exp(-a.exp() * DECAY), a.exp() * b),
            ((-nu.log() / DECAY).log(), -theta * DECAY / nu.log()),
        ),
        "oscillator": (
            oscillator,
            ((nu**-2 - 1).log(), 1 - (2 * nu * theta.cos() - 1) / nu**2),
        ),
        "rectangular": (rectangular, (r * theta.cos(), r * theta.sin())),
    }


def loss(nu, theta):
    return theory.one_dimensional_loss(torch.polar(nu, theta), torch.polar(*star()), normalized=True)


def star():
    return torch.tensor(NU, dtype=torch.float64), torch.tensor(THETA, dtype=torch.float64)


@pytest.mark.parametrize("name", list(maps()))
def test_closed_forms_are_those_of_automatic_differentiation(name):
    eigenvalue, raw = maps()[name]
    np.testing.assert_allclose(torch.stack(eigenvalue(*raw)), [NU, THETA], rtol=1e-12)
    jacobian = torch.stack([torch.stack(row) for row in torch.func.jacrev(eigenvalue, (0, 1))(*raw)])
    hessian = torch.func.jacfwd(torch.func.grad(lambda raw: loss(*eigenvalue(raw[0], raw[1]))))(torch.stack(raw))
    turning = torch.func.grad(torch.func.grad(lambda theta: loss(star()[0], theta)))(star()[1])
    along, through = theory.angle_curvature(name, NU, THETA, decay=DECAY)
    if name == "rectangular":
        across = torch.tensor([-math.sin(THETA), math.cos(THETA)], dtype=torch.float64)
        assert along == pytest.approx(float(across @ hessian @ across)) and through == 0
        return
    assert along == pytest.approx(float(turning * jacobian[1, 1] ** 2), rel=1e-9)
    assert through == pytest.approx(float(turning * jacobian[1, 0] ** 2), rel=1e-9, abs=1e-12)
    if name != "cayley":  # there b moves the modulus, too
        assert along == pytest.approx(float(hessian[1, 1]), rel=1e-9)
    else:
        radial, _ = theory.one_dimensional_curvature(NU, normalized=True)
        assert float(hessian[1, 1]) == pytest.approx(along + radial * float(jacobian[0, 1]) ** 2, rel=1e-9)


def test_no_coordinates_are_flat():
    """The proofs page: the Hessian at the optima is a metric of curvature -(4 + 2/u + 1/u^2), u = (1 + s)/(1 - s) with
    s the squared modulus. By differences of the closed forms, along geodesics that leave 0 at two angles."""
    radius = np.linspace(0.2, 3.0, 2801)  # the distance from 0, of which the modulus is the hyperbolic tangent
    nu = np.tanh(radius)
    radial, around = theory.one_dimensional_curvature(nu, normalized=True)
    np.testing.assert_allclose(np.sqrt(radial) * (1 - nu**2), 1)  # the modulus in units of that distance
    width = np.sqrt(around)
    measured = -np.diff(width, 2) / (radius[1] - radius[0]) ** 2 / width[1:-1]
    u = (1 + nu**2) / (1 - nu**2)
    np.testing.assert_allclose(measured, -(4 + 2 / u + 1 / u**2)[1:-1], rtol=1e-5)


def test_arrays_tensors_and_numbers_alike():
    angle = np.array([0.1, 1.0, 3.0])
    for name in maps():
        found = theory.angle_curvature(name, 0.9, angle)
        tensors = theory.angle_curvature(name, 0.9, torch.tensor(angle))
        assert np.shape(found[0]) == np.shape(found[1]) == (3,)
        np.testing.assert_allclose(torch.stack(tensors), found)
        np.testing.assert_allclose([theory.angle_curvature(name, 0.9, t)[0] for t in angle], found[0])


def test_arguments_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"parametrization must be one of polar, exponential, .*, got 'Polar'"):
        theory.angle_curvature("Polar", 0.9, 0.1)
    for nu in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="modulus must be a modulus"):
            theory.angle_curvature("polar", nu, 0.1)
    for angle in (0.0, math.pi, -1.0):
        with pytest.raises(ValueError, match="angle must be an angle"):
            theory.angle_curvature("polar", 0.9, angle)
    with pytest.raises(ValueError, match="decay must be positive, got 0"):
        theory.angle_curvature("step", 0.9, 0.1, decay=0)
