"""Claims of Figure 1: moments of states and sensitivities, curvature of the loss of one unit."""

from __future__ import annotations

import functools

import torch

from ... import theory
from ...scan import linear_scan
from .measures import RHOS, furthest, local_exponent, simulated_sensitivity
from .ranges import near
from .registry import claim


@claim(
    "fig01-sensitivity-power-3",
    "A: the second moment of the sensitivity, E(dλ h)², grows as (1 − λ)⁻³ when inputs are not perfectly correlated",
    kind="text",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁶, the furthest from −3 of ρ = 0, .9, .99, .999",
    accepted=near(-3, 0.01, "TODO"),
)
def sensitivity_exponent() -> float:
    return furthest([local_exponent(lambda lam, rho=rho: theory.sensitivity(lam, rho), 1e-6) for rho in RHOS], -3)


@claim(
    "fig01-sensitivity-power-4-at-rho-1",
    "A: it grows as (1 − λ)⁻⁴ when they are (ρ = 1)",
    kind="text",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁴",
    accepted=near(-4, 0.01, "TODO"),
)
def sensitivity_exponent_of_constant_input() -> float:
    return local_exponent(lambda lam: theory.sensitivity(lam, 1.0), 1e-4)


@claim(
    "fig01-state-power-2-at-rho-1",
    "A: the state itself, E h², grows as (1 − λ)⁻² at ρ = 1 (grey curve)",
    kind="text",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁴",
    accepted=near(-2, 0.01, "TODO"),
)
def state_exponent_of_constant_input() -> float:
    return local_exponent(lambda lam: theory.state_variance(lam, 1.0), 1e-4)


@claim(
    "fig01-state-power-1",
    "A: for ρ < 1, E h² grows only as (1 − λ)⁻¹",
    kind="text",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁶, the furthest from −1 of ρ = 0, .9, .99, .999",
    accepted=near(-1, 0.01, "TODO"),
)
def state_exponent() -> float:
    return furthest([local_exponent(lambda lam, rho=rho: theory.state_variance(lam, rho), 1e-6) for rho in RHOS], -1)


@claim(
    "fig01-sensitivity-prefactor",
    "A: the factor in front of (1 − λ)⁻³ is (1 + ρ) / (4 (1 − ρ))",
    kind="text",
    source="section 2.2, from its formula",
    how="ratio to it at 1 − λ = 10⁻⁶, the furthest from 1 of ρ = 0, .9, .99, .999",
    accepted=near(1, 0.01, "TODO"),
)
def sensitivity_over_power_law() -> float:
    eps = 1e-6
    law = {rho: (1 + rho) / (4 * (1 - rho)) * eps**-3 for rho in RHOS}
    return furthest([theory.sensitivity(1 - eps, rho) / law[rho] for rho in RHOS], 1)


@claim(
    "fig01-sensitivity-crossover",
    "A: a correlated input acts like a constant one until 1 − λ ~ 1 − ρ; there the exponent lies between, at −10/3",
    kind="text",
    source="section 2.2",
    how="exponent at 1 − λ = 1 − ρ = 10⁻³",
    accepted=near(-10 / 3, 0.01, "TODO"),  # of (2 eps + delta) / (2 eps^3 (eps + delta)^2), near 1, at eps = delta
)
def sensitivity_exponent_at_crossover() -> float:
    return local_exponent(lambda lam: theory.sensitivity(lam, 0.999), 1e-3)


@claim(
    "fig01-sensitivity-simulated",
    "A: the closed form is the second moment of dh/dλ of a running network",
    kind="text",
    source="section 2.2",
    how="simulation / closed form at λ = .99, the furthest from 1 of ρ = 0, .9, .99",
    accepted=near(1, 0.06, "TODO"),
)
def simulated_over_exact_sensitivity() -> float:
    ratios = [simulated_sensitivity(linear_scan, 0.99, rho, seed=1) / theory.sensitivity(0.99, rho) for rho in RHOS[:3]]
    return furthest(ratios, 1)


def _curvature_at_optimum(direction: str, lam_star: float) -> float:
    """Second derivative of the white-input loss at the optimum, by automatic differentiation."""
    star = torch.tensor(lam_star, dtype=torch.complex128)

    def loss(shift):
        lam = star + shift if direction == "radial" else star * torch.polar(torch.ones_like(shift), shift)
        return theory.one_dimensional_loss(lam, star)

    return torch.func.hessian(loss)(torch.tensor(0.0, dtype=torch.float64)).item()


@claim(
    "fig01-needle-along-real-axis",
    "B: along the real axis the minimum becomes a needle; its curvature grows as (1 − λ*)⁻³",
    kind="text",
    source="section 2.3",
    how="exponent of the second derivative (automatic differentiation) at 1 − λ* = 10⁻⁴",
    accepted=near(-3, 0.01, "TODO"),
)
def radial_curvature_exponent() -> float:
    return local_exponent(functools.partial(_curvature_at_optimum, "radial"), 1e-4)


@claim(
    "fig01-needle-along-circle",
    "C: along the circle |λ| = λ* it sharpens at the same rate",
    kind="text",
    source="section 2.3",
    how="exponent of the second derivative in the angle (automatic differentiation) at 1 − λ* = 10⁻⁴",
    accepted=near(-3, 0.01, "TODO"),
)
def angular_curvature_exponent() -> float:
    return local_exponent(functools.partial(_curvature_at_optimum, "angular"), 1e-4)
