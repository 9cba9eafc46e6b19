"""Claims of Figure 1: moments of states and sensitivities, curvature of the loss of one unit."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import torch

from ... import theory
from ...scan import linear_scan
from .. import statistics
from ..statistics import Estimate
from .measures import RHOS, furthest, local_exponent, simulated_sensitivity
from .ranges import above, at_least, at_most, near
from .registry import claim

_LAM_STARS = 1 - np.array([0.64, 0.32, 0.16, 0.08, 0.04, 0.02, 0.01])  # of the figure
_POWER = "the power of the formula, to the curvature that is left this close to 1"


@claim(
    "fig01-closed-forms",
    "A: E|h|² and E|dλ h|² are 1 / (1 − |λ|²) and (1 + |λ|²) / (1 − |λ|²)³ for white inputs, and |1 − λ|⁻² and "
    "|1 − λ|⁻⁴ for constant ones",
    kind="text",
    source="2.2 (Eqs. 5, 6), B.2",
    how="formula / sum of 10,000 terms at λ = .9, .99, .9 exp(iπ/4), the furthest from 1 of the four formulas",
    accepted=near(1, 1e-6, "equal, up to rounding"),
)
def formulas_over_sums() -> float:
    i, ratios = np.arange(10_000), []
    for lam in (0.9, 0.99, 0.9 * np.exp(0.25j * np.pi)):
        square = abs(lam) ** 2
        for weights, white, constant in [
            (lam**i, 1 / (1 - square), abs(1 - lam) ** -2),
            (i * lam ** (i - 1.0), (1 + square) / (1 - square) ** 3, abs(1 - lam) ** -4),
        ]:
            ratios += [white / np.sum(abs(weights) ** 2), constant / abs(weights.sum()) ** 2]
    return furthest(ratios, 1)


@claim(
    "fig01-state-faster-with-correlation",
    "A: E h² goes to infinity as λ → 1, faster for more correlated inputs",
    kind="text",
    source="2.2 (Eq. 5), B.2.1",
    how="growth of E h² from 1 − λ = .1 to 10⁻⁴ over its growth at the next smaller ρ, the smallest of "
    "ρ = 0, .9, .99, .999, 1",
    accepted=above(1, "faster: a larger growth with each larger ρ"),
)
def growth_by_correlation() -> float:
    growth = [theory.state_variance(1 - 1e-4, rho) / theory.state_variance(0.9, rho) for rho in (*RHOS, 1.0)]
    return min(larger / smaller for smaller, larger in itertools.pairwise(growth))


@claim(
    "fig01-sensitivity-diverges-faster",
    "A: the second moment of the sensitivity, E(dλ h)², diverges faster than E h²",
    kind="text",
    source="2.2 (Eq. 6), B.2.2",
    how="power of 1 / (1 − λ) with which it grows, less that of E h², at 1 − λ = 10⁻⁴; the smallest of "
    "ρ = 0, .9, .99, .999, 1",
    accepted=above(0, "faster: a larger power"),
)
def excess_power_of_sensitivity() -> float:
    def power(moment, rho):
        return -local_exponent(lambda lam: moment(lam, rho), 1e-4)

    return min(power(theory.sensitivity, rho) - power(theory.state_variance, rho) for rho in (*RHOS, 1.0))


@claim(
    "fig01-sensitivity-power-3",
    "A: E(dλ h)² grows as (1 − λ)⁻³ for every correlation ρ < 1, not for white inputs alone",
    kind="ours",
    source="2.2; it names no power",
    how="exponent at 1 − λ = 10⁻⁶, the furthest from −3 of ρ = 0, .9, .99, .999",
    accepted=near(-3, 0.01, _POWER),
)
def sensitivity_exponent() -> float:
    return furthest([local_exponent(lambda lam, rho=rho: theory.sensitivity(lam, rho), 1e-6) for rho in RHOS], -3)


@claim(
    "fig01-sensitivity-power-4-at-rho-1",
    "A: for constant inputs (ρ = 1) it is (1 − λ)⁻⁴",
    kind="text",
    source="2.2 (Eq. 6), B.2.2",
    how="exponent at 1 − λ = 10⁻⁴",
    accepted=near(-4, 0.01, _POWER),
)
def sensitivity_exponent_of_constant_input() -> float:
    return local_exponent(lambda lam: theory.sensitivity(lam, 1.0), 1e-4)


@claim(
    "fig01-state-power-2-at-rho-1",
    "A: for constant inputs the state itself, E h², is (1 − λ)⁻² (grey curve)",
    kind="text",
    source="2.2 (Eq. 5), B.2.1",
    how="exponent at 1 − λ = 10⁻⁴",
    accepted=near(-2, 0.01, _POWER),
)
def state_exponent_of_constant_input() -> float:
    return local_exponent(lambda lam: theory.state_variance(lam, 1.0), 1e-4)


@claim(
    "fig01-state-power-1",
    "A: for every ρ < 1, E h² grows as (1 − λ)⁻¹",
    kind="ours",
    source="2.2; it names no power",
    how="exponent at 1 − λ = 10⁻⁶, the furthest from −1 of ρ = 0, .9, .99, .999",
    accepted=near(-1, 0.01, _POWER),
)
def state_exponent() -> float:
    return furthest([local_exponent(lambda lam, rho=rho: theory.state_variance(lam, rho), 1e-6) for rho in RHOS], -1)


@claim(
    "fig01-sensitivity-prefactor",
    "A: the factor in front of (1 − λ)⁻³ is (1 + ρ) / (4 (1 − ρ))",
    kind="ours",
    source="2.2, from its formula",
    how="ratio to it at 1 − λ = 10⁻⁶, the furthest from 1 of ρ = 0, .9, .99, .999",
    accepted=near(1, 0.01, "the limit, to what is left this close to 1"),
)
def sensitivity_over_power_law() -> float:
    eps = 1e-6
    law = {rho: (1 + rho) / (4 * (1 - rho)) * eps**-3 for rho in RHOS}
    return furthest([theory.sensitivity(1 - eps, rho) / law[rho] for rho in RHOS], 1)


@claim(
    "fig01-sensitivity-crossover",
    "A: a correlated input acts like a constant one until 1 − λ ~ 1 − ρ; there the exponent lies between, at −10/3",
    kind="ours",
    source="2.2, from its formula",
    how="exponent at 1 − λ = 1 − ρ = 10⁻³",
    # the exponent of (2 eps + delta) / (2 eps^3 (eps + delta)^2), the formula near 1, at eps = delta
    accepted=near(-10 / 3, 0.01, "the exponent of the formula's limit where 1 − λ = 1 − ρ"),
)
def sensitivity_exponent_at_crossover() -> float:
    return local_exponent(lambda lam: theory.sensitivity(lam, 0.999), 1e-3)


@claim(
    "fig01-sensitivity-simulated",
    "A: the closed form is the second moment of dh/dλ of a running network",
    kind="ours",
    source="2.2 (Eq. 6)",
    how="simulation / closed form at λ = .99, median over groups of eight units; of ρ = 0, .9, .99 the one whose "
    "interval reaches furthest from 1",
    accepted=near(1, 0.06, "equal, to the scatter of a simulation of this length"),
)
def simulated_over_exact_sensitivity() -> Estimate:
    exact = {rho: theory.sensitivity(0.99, rho) for rho in RHOS[:3]}
    return statistics.furthest(
        *(simulated_sensitivity(linear_scan, 0.99, rho, 1, exact[rho]) for rho in exact), target=1
    )


def _curvature_at_optimum(direction: str, lam_star: float, rho: float = 0.0) -> float:
    """Second derivative of the loss at the optimum, by automatic differentiation."""
    star = torch.tensor(lam_star, dtype=torch.complex128)

    def loss(shift):
        lam = star + shift if direction == "radial" else star * torch.polar(torch.ones_like(shift), shift)
        return theory.one_dimensional_loss(lam, star, rho)

    return torch.func.hessian(loss)(torch.tensor(0.0, dtype=torch.float64)).item()


def _smallest_sharpening(rho: float) -> float:
    """Curvature over that of the figure's next shorter memory, the smallest of both cuts."""
    ratios = []
    for direction in ("radial", "angular"):
        curvatures = [_curvature_at_optimum(direction, lam_star, rho) for lam_star in _LAM_STARS]
        ratios += [sharper / flatter for flatter, sharper in itertools.pairwise(curvatures)]
    return min(ratios)


def _flatness(rho: float) -> float:
    """Steepest slope far from λ* = .99 over the steepest near it, the larger of both cuts. Far is the further half of
    the way from the optimum to 0, and of the half circle to the opposite angle."""
    star = _LAM_STARS[-1]
    lam, angle = np.linspace(0, star, 40_001), np.linspace(0, np.pi, 40_001)
    cuts = [
        (lam, theory.one_dimensional_loss(lam, star, rho), lam < star / 2),
        (angle, theory.one_dimensional_loss(star * np.exp(1j * angle), star + 0j, rho), angle > np.pi / 2),
    ]
    slopes = [(np.abs(np.gradient(loss, point)), far) for point, loss, far in cuts]
    return max(slope[far].max() / slope[~far].max() for slope, far in slopes)


@claim(
    "fig01-sharper-minimum",
    "B, C: for white inputs the longer the memory of the teacher, the sharper the minimum",
    kind="text",
    source="4.1, C.1.1, caption of Figure 1",
    how="curvature over that of the figure's next shorter memory, the smallest along the axis and the circle",
    accepted=above(1, "sharper with each longer memory"),
)
def smallest_sharpening_of_white() -> float:
    return _smallest_sharpening(0.0)


@claim(
    "fig01-flat-regions",
    "B, C: far from a sharp minimum the loss is flat",
    kind="text",
    source="4.1, C.1.1, caption of Figure 1",
    how="steepest slope in the further half of the way to 0 and to the opposite angle / steepest in the nearer half, "
    "white inputs, λ* = .99, the larger along the axis and the circle",
    accepted=at_most(0.1, "flat: more than ten times less steep than near the minimum"),
    seen=False,
)
def flatness_of_white() -> float:
    return _flatness(0.0)


@claim(
    "fig01-tedious",
    "B, C: gradient-based learning of a long memory is extremely tedious (text), nearly impossible (caption)",
    kind="text",
    source="4.1, caption of Figure 1",
    how="steps of gradient descent from half of λ* to a hundredth of the loss, rate 1 / curvature at the "
    "optimum: decades of steps at λ* = .99 over those at λ* = .36",
    accepted=at_least(1, "extremely: more than ten times the steps"),
)
def decades_of_steps() -> float:
    def steps(star):
        lam, rate, count = star / 2, (1 - star**2) ** 3 / (1 + star**2), 0

        def loss(lam):
            return (1 / (1 - lam**2) + 1 / (1 - star**2)) / 2 - 1 / (1 - lam * star)

        goal = loss(lam) / 100
        while loss(lam) > goal:
            lam -= rate * (lam / (1 - lam**2) ** 2 - star / (1 - lam * star) ** 2)
            count += 1
        return count

    return np.log10(steps(_LAM_STARS[-1]) / steps(_LAM_STARS[0]))


@claim(
    "fig01-sharper-minimum-correlated",
    "B, C: correlated inputs change nothing qualitatively: minima sharpen with the memory",
    kind="text",
    source="4.1, C.1.1",
    how="as for white inputs, the smallest of ρ = .9, .99",
    accepted=above(1, "sharper with each longer memory"),
    seen=False,
)
def smallest_sharpening_of_correlated() -> float:
    return min(_smallest_sharpening(rho) for rho in (0.9, 0.99))


@claim(
    "fig01-flat-regions-correlated",
    "B, C: nor do they change that the loss is flat far from the minimum",
    kind="text",
    source="4.1, C.1.1",
    how="as for white inputs, the larger of ρ = .9, .99",
    accepted=at_most(0.1, "flat: more than ten times less steep than near the minimum"),
    seen=False,
)
def flatness_of_correlated() -> float:
    return max(_flatness(rho) for rho in (0.9, 0.99))


@claim(
    "fig01-needle-along-real-axis",
    "B: along the real axis the curvature of the minimum grows as (1 − λ*)⁻³",
    kind="ours",
    source="4.1, C.1.1; they name no power",
    how="exponent of the second derivative (automatic differentiation) at 1 − λ* = 10⁻⁴",
    accepted=near(-3, 0.01, _POWER),
)
def radial_curvature_exponent() -> float:
    return local_exponent(functools.partial(_curvature_at_optimum, "radial"), 1e-4)


@claim(
    "fig01-needle-along-circle",
    "C: along the circle |λ| = λ* it grows at the same rate",
    kind="ours",
    source="4.1, C.1.1; they name no power",
    how="exponent of the second derivative in the angle (automatic differentiation) at 1 − λ* = 10⁻⁴",
    accepted=near(-3, 0.01, _POWER),
)
def angular_curvature_exponent() -> float:
    return local_exponent(functools.partial(_curvature_at_optimum, "angular"), 1e-4)
