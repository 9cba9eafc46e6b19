"""Claims about moments of states and sensitivities: Figures 1 and 2."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from ... import theory
from ...parametrization import input_scale
from ...scan import linear_scan
from .registry import claim, furthest, slope

if TYPE_CHECKING:
    from torch import Tensor

RHOS = (0.0, 0.9, 0.99, 0.999)  # the input correlations of Figures 1 and 2 below 1


def _simulated_sensitivity(
    states: Callable[[Tensor, Tensor], Tensor], parameter: float, rho: float, seed: int
) -> float:
    """Monte Carlo estimate of the second moment of the derivative of a state with respect to its parameter.

    256 independent units, side by side as channels, run 20,000 steps after a burn-in of 2,000, so for time constants
    up to about 100; derivative by forward-mode automatic differentiation. The inputs are a scan of white noise.

    Args:
        states: maps the parameter of each unit ``(N,)`` and inputs ``(1, T, N)`` to states ``(1, T, N)``.
        parameter: where to differentiate.
        rho: correlation of consecutive inputs.
        seed: seed of the inputs.
    """
    noise = torch.randn(1, 22_001, 256, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = linear_scan(noise.new_full((256,), rho), (1 - rho**2) ** 0.5 * noise[:, 1:], noise[:, 0])
    point = noise.new_full((256,), parameter)
    _, derivative = torch.func.jvp(lambda value: states(value, x), (point,), (torch.ones_like(point),))
    return derivative[:, 2_000:].square().mean().item()


# Figure 1 -------------------------------------------------------------------------------------------------------------


@claim(
    "fig01",
    "A: the second moment of the sensitivity, E(dλ h)², grows as (1 − λ)⁻³ when inputs are not perfectly correlated",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁶, the furthest from −3 of ρ = 0, .9, .99, .999",
    expected=-3,
    tolerance=0.01,
)
def _():
    return furthest([slope(lambda lam, rho=rho: theory.sensitivity(lam, rho), 1e-6) for rho in RHOS], -3)


@claim(
    "fig01",
    "A: it grows as (1 − λ)⁻⁴ when they are (ρ = 1)",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁴",
    expected=-4,
    tolerance=0.01,
)
def _():
    return slope(lambda lam: theory.sensitivity(lam, 1.0), 1e-4)


@claim(
    "fig01",
    "A: the state itself, E h², grows as (1 − λ)⁻² at ρ = 1 (grey curve)",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁴",
    expected=-2,
    tolerance=0.01,
)
def _():
    return slope(lambda lam: theory.state_variance(lam, 1.0), 1e-4)


@claim(
    "fig01",
    "A: for ρ < 1, E h² grows only as (1 − λ)⁻¹",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁶, the furthest from −1 of ρ = 0, .9, .99, .999",
    expected=-1,
    tolerance=0.01,
)
def _():
    return furthest([slope(lambda lam, rho=rho: theory.state_variance(lam, rho), 1e-6) for rho in RHOS], -1)


@claim(
    "fig01",
    "A: the factor in front of (1 − λ)⁻³ is (1 + ρ) / (4 (1 − ρ))",
    source="section 2.2, from its formula",
    how="ratio to it at 1 − λ = 10⁻⁶, the furthest from 1 of ρ = 0, .9, .99, .999",
    expected=1,
    tolerance=0.01,
)
def _():
    eps = 1e-6
    law = {rho: (1 + rho) / (4 * (1 - rho)) * eps**-3 for rho in RHOS}
    return furthest([theory.sensitivity(1 - eps, rho) / law[rho] for rho in RHOS], 1)


@claim(
    "fig01",
    "A: a correlated input acts like a constant one until 1 − λ ~ 1 − ρ; there the exponent lies between, at −10/3",
    source="section 2.2",
    how="exponent at 1 − λ = 1 − ρ = 10⁻³",
    expected=-10 / 3,  # of (2 eps + delta) / (2 eps^3 (eps + delta)^2), the form near 1, at eps = delta
    tolerance=0.01,
)
def _():
    return slope(lambda lam: theory.sensitivity(lam, 0.999), 1e-3)


@claim(
    "fig01",
    "A: the closed form is the second moment of dh/dλ of a running network",
    source="section 2.2",
    how="simulation / closed form at λ = .99, the furthest from 1 of ρ = 0, .9, .99",
    expected=1,
    tolerance=0.06,
)
def _():
    ratios = [
        _simulated_sensitivity(linear_scan, 0.99, rho, seed=1) / theory.sensitivity(0.99, rho) for rho in RHOS[:3]
    ]
    return furthest(ratios, 1)


def _curvature(direction: str, lam_star: float) -> float:
    """Second derivative of the white-input loss at the optimum, by automatic differentiation."""
    star = torch.tensor(lam_star, dtype=torch.complex128)

    def loss(shift):
        lam = star + shift if direction == "radial" else star * torch.polar(torch.ones_like(shift), shift)
        return theory.one_dimensional_loss(lam, star)

    return torch.func.hessian(loss)(torch.tensor(0.0, dtype=torch.float64)).item()


@claim(
    "fig01",
    "B: along the real axis the minimum becomes a needle; its curvature grows as (1 − λ*)⁻³",
    source="section 2.3",
    how="exponent of the second derivative (automatic differentiation) at 1 − λ* = 10⁻⁴",
    expected=-3,
    tolerance=0.01,
)
def _():
    return slope(functools.partial(_curvature, "radial"), 1e-4)


@claim(
    "fig01",
    "C: along the circle |λ| = λ* it sharpens at the same rate",
    source="section 2.3",
    how="exponent of the second derivative in the angle (automatic differentiation) at 1 − λ* = 10⁻⁴",
    expected=-3,
    tolerance=0.01,
)
def _():
    return slope(functools.partial(_curvature, "angular"), 1e-4)


# Figure 2 -------------------------------------------------------------------------------------------------------------


def _normalized_variance(lam: float, rho: float) -> float:
    return (1 - lam**2) * theory.state_variance(lam, rho)


def _normalized_sensitivity(lam: float, rho: float) -> float:
    """Second moment of dh/dnu with gamma and lam = exp(-exp nu), gamma held constant."""
    return (1 - lam**2) * (lam * np.log(lam)) ** 2 * theory.sensitivity(lam, rho)


@claim(
    "fig02",
    "A: with γ = √(1 − λ²) and white inputs, E h² = 1 whatever λ",
    source="section 3.1",
    how="largest |E h² − 1| over λ from .01 to 1 − 10⁻⁶",
    expected=0,
    tolerance=1e-9,
)
def _():
    return np.abs(_normalized_variance(1 - np.logspace(-6, np.log10(0.99), 200), 0.0) - 1).max()


@claim(
    "fig02",
    "A: with γ, E h² levels off at (1 + ρ) / (1 − ρ) for ρ < 1",
    source="section 3.1",
    how="ratio to it at 1 − λ = 10⁻⁶, the furthest from 1 of ρ = 0, .9, .99, .999",
    expected=1,
    tolerance=0.01,
)
def _():
    return furthest([_normalized_variance(1 - 1e-6, rho) / ((1 + rho) / (1 - rho)) for rho in RHOS], 1)


@claim(
    "fig02",
    "B: with γ and λ = exp(−exp ν), E(dν h)² levels off at half of that",
    source="section 3.1",
    how="ratio to (1 + ρ) / (2 (1 − ρ)) at 1 − λ = 10⁻⁶, the furthest from 1 of the four ρ",
    expected=1,
    tolerance=0.01,
)
def _():
    return furthest([_normalized_sensitivity(1 - 1e-6, rho) / ((1 + rho) / (2 * (1 - rho))) for rho in RHOS], 1)


@claim(
    "fig02",
    "A: nothing levels off at ρ = 1: E h² grows as 2 (1 − λ)⁻¹",
    source="section 3.1",
    how="ratio to it at 1 − λ = 10⁻⁴",
    expected=1,
    tolerance=0.01,
)
def _():
    return _normalized_variance(1 - 1e-4, 1.0) / 2e4


@claim(
    "fig02",
    "B: nor does E(dν h)², which grows as 2 (1 − λ)⁻¹ too",
    source="section 3.1",
    how="ratio to it at 1 − λ = 10⁻⁴",
    expected=1,
    tolerance=0.01,
)
def _():
    return _normalized_sensitivity(1 - 1e-4, 1.0) / 2e4


@claim(
    "fig02",
    "B: the closed form is the second moment of dh/dν of a running unit with γ, γ held constant",
    source="section 3.1",
    how="simulation / closed form at λ = .99, the furthest from 1 of ρ = 0, .9, .99",
    expected=1,
    tolerance=0.06,
)
def _():
    def states(nu, x):
        lam = torch.exp(-torch.exp(nu))
        return linear_scan(lam, input_scale(lam.detach()) * x)

    nu = np.log(-np.log(0.99))
    ratios = [_simulated_sensitivity(states, nu, rho, seed=2) / _normalized_sensitivity(0.99, rho) for rho in RHOS[:3]]
    return furthest(ratios, 1)
