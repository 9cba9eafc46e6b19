"""Claims of Figure 6: curvature and basins of the loss of one complex unit in three parametrisations."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from ... import theory
from ...parametrization import EXPONENTIAL, OPTIMAL, POLAR, Parametrization
from .measures import furthest, local_exponent
from .ranges import FACTOR_OF_TWO, at_least, at_most, near
from .registry import claim

_MODULI = 1 - np.array([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])  # of the figure
_ANGLE = math.pi / 100
_LIMIT = "the limit, to what is left this close to 1"
_POWER = "the power of the closed form, to what is left this close to 1"
_SHRINK = "shrink: by more than the factor of two that counts as the same"
_NO_SHRINKING = "not smaller, to a factor of two"


def _curvature_at_optimum(
    parametrization: Parametrization, direction: str, modulus: float, angle: float = _ANGLE, rho: float = 0.0
) -> float:
    """Second derivative of the normalised loss over a raw parameter, by automatic differentiation."""
    star = torch.polar(*torch.tensor([modulus, angle], dtype=torch.float64))
    raw = torch.stack(parametrization.parameters(star))
    unit = torch.tensor([1.0, 0.0] if direction == "modulus" else [0.0, 1.0], dtype=torch.float64)

    def loss(shift):
        lam = parametrization.eigenvalues(*(raw + shift * unit))
        return theory.one_dimensional_loss(lam, star, rho, normalized=True)

    return torch.func.hessian(loss)(torch.tensor(0.0, dtype=torch.float64)).item()


@claim(
    "fig06-both-control",
    "Both the exponential and the optimal form control the Hessian",
    kind="text",
    source="caption of Figure 6, C.1.3",
    how="largest curvature at the optimum over modulus and angle, both forms and the figure's seven λ*, θ* = π/100",
    accepted=at_most(10, "controlled: within a factor of ten of the optimal form's 1"),
)
def largest_curvature_of_exponential_and_optimal() -> float:
    return max(
        _curvature_at_optimum(form, direction, modulus)
        for form in (EXPONENTIAL, OPTIMAL)
        for direction in ("modulus", "angle")
        for modulus in _MODULI
    )


@claim(
    "fig06-exponential-angle",
    "The sensitivity to the angle explodes as |λ| → 1 unless the angle's parametrisation depends on |λ|",
    kind="text",
    source="3.1, B.3.2, 4.3",
    how="exponent of the curvature at the optimum at 1 − ν = 10⁻⁴ with polar and exponential angles, γ; the furthest "
    "from −2",
    accepted=near(-2, 0.01, _POWER),
)
def angle_curvature_exponent() -> float:
    curves = [functools.partial(_curvature_at_optimum, form, "angle") for form in (POLAR, EXPONENTIAL)]
    return furthest([local_exponent(curve, 1e-4) for curve in curves], -2)


@claim(
    "fig06-optimal-both",
    "For white inputs a tanh modulus and an angle scaled by (1 − ν²) / (ν √(1 + ν²)) keep both curvatures "
    "constant, at 1",
    kind="text",
    source="B.3.2, C.1.2",
    how="the furthest from 1 of modulus and angle at the figure's seven λ*",
    accepted=near(1, 1e-6, "constant, up to rounding"),
)
def curvatures_of_optimal() -> float:
    points = [(direction, modulus) for direction in ("modulus", "angle") for modulus in _MODULI]
    return furthest([_curvature_at_optimum(OPTIMAL, direction, modulus) for direction, modulus in points], 1)


@claim(
    "fig06-optimal-input-specific",
    "The optimal form is specific to its inputs: for others it does not keep the curvatures constant",
    kind="text",
    source="B.3.2, C.1.2",
    how="largest / smallest curvature of the optimal form over the figure's seven λ*, ρ = .9; the smaller of "
    "modulus and angle",
    accepted=at_least(2, "not constant: they differ by more than the factor of two that counts as the same"),
    seen=False,
)
def spread_of_curvatures_of_optimal() -> float:
    spreads = []
    for direction in ("modulus", "angle"):
        curvatures = [_curvature_at_optimum(OPTIMAL, direction, modulus, rho=0.9) for modulus in _MODULI]
        spreads.append(max(curvatures) / min(curvatures))
    return min(spreads)


@claim(
    "fig06-modulus-like-real",
    "The modulus of a complex eigenvalue behaves like a real eigenvalue",
    kind="text",
    source="3.1, B.3.2",
    how="curvature along the raw modulus at angles π/100, π/4, π/2 and π / at angle 0, polar and exponential forms, "
    "|λ*| = .9 and .99, white inputs; the furthest from 1",
    accepted=near(1, 1e-6, "the same, up to rounding"),
)
def complex_over_real_modulus() -> float:
    ratios = []
    for form in (POLAR, EXPONENTIAL):
        for modulus in (0.9, 0.99):
            real = _curvature_at_optimum(form, "modulus", modulus, 0.0)
            angles = (_ANGLE, math.pi / 4, math.pi / 2, math.pi)
            ratios += [_curvature_at_optimum(form, "modulus", modulus, angle) / real for angle in angles]
    return furthest(ratios, 1)


def _half_width(parametrization: Parametrization, direction: str, modulus: float) -> float:
    """How far the raw parameter may be off, on the side where this is less, for the loss to stay below half of its
    largest value along the cut: the size of the basin as one sees it in the figure."""
    offsets = torch.linspace(0, 10, 20_001, dtype=torch.float64)
    nu = torch.tensor(modulus, dtype=torch.float64)
    if direction == "modulus":  # of a real eigenvalue, as in the figure
        raw, star = parametrization.modulus_inverse(nu), nu + 0j
        rim = max(theory.one_dimensional_loss(end, modulus, normalized=True) for end in (0.0, 1 - 1e-12))

        def eigenvalues(omega):
            return parametrization.modulus(omega)

    else:
        angle = torch.tensor(_ANGLE, dtype=torch.float64)
        raw, star = parametrization.angle_inverse(angle, nu), torch.polar(nu, angle)
        rim = theory.one_dimensional_loss(-star, star, normalized=True)

        def eigenvalues(omega):
            return torch.polar(nu.expand_as(omega), parametrization.angle(omega, nu))

    outside = [
        theory.one_dimensional_loss(eigenvalues(raw + sign * offsets), star, normalized=True) > rim / 2
        for sign in (1, -1)
    ]
    return min(offsets[side.int().argmax()].item() if side.any() else math.inf for side in outside)


def _widening(parametrization: Parametrization, direction: str) -> float:
    """Decades of a basin's size at the figure's longest memory over that at its shortest."""
    return math.log10(
        _half_width(parametrization, direction, _MODULI[0]) / _half_width(parametrization, direction, _MODULI[-1])
    )


@claim(
    "fig06-basins-modulus",
    "Along the modulus the basins do not shrink as |λ*| → 1, with either form",
    kind="text",
    source="caption of Figure 6, C.1.3",
    how="decades of the half width of the basin, in the raw parameter, at λ* = .99 over that at .36; the "
    "smaller of the exponential and the optimal form",
    accepted=at_least(-FACTOR_OF_TWO, _NO_SHRINKING),
    seen=False,
)
def widening_along_modulus() -> float:
    return min(_widening(form, "modulus") for form in (EXPONENTIAL, OPTIMAL))


@claim(
    "fig06-basins-angle-size",
    "Along the angle the basins shrink as |λ*| → 1: in size, with the exponential form",
    kind="text",
    source="caption of Figure 6, C.1.3",
    how="decades of the half width of the basin, in the raw parameter, at |λ*| = .99 over that at .36, θ* = π/100",
    accepted=at_most(-FACTOR_OF_TWO, _SHRINK),
    seen=False,
)
def widening_along_exponential_angle() -> float:
    return _widening(EXPONENTIAL, "angle")


@claim(
    "fig06-basins-angle-number",
    "Along the angle the basins shrink as |λ*| → 1: in number, with the optimal form",
    kind="text",
    source="caption of Figure 6, C.1.3",
    how="decades of the number of basins in a range of the raw parameter (one in each turn) at |λ*| = .99 over that at "
    ".36",
    accepted=at_most(-FACTOR_OF_TWO, _SHRINK),
)
def thinning_along_optimal_angle() -> float:
    turn = torch.tensor(2 * math.pi, dtype=torch.float64)
    longest, shortest = (OPTIMAL.angle_inverse(turn, torch.tensor(modulus)).item() for modulus in _MODULI[[0, -1]])
    return math.log10(shortest / longest)  # a turn that takes more of the raw parameter leaves room for fewer


@claim(
    "fig06-basins-optimal-angle-size",
    "With the optimal form the basins along the angle become fewer, not smaller",
    kind="ours",
    source="C.1.3",
    how="decades of the half width of the basin, in the raw parameter, at |λ*| = .99 over that at .36",
    accepted=at_least(-FACTOR_OF_TWO, _NO_SHRINKING),
    seen=False,
)
def widening_along_optimal_angle() -> float:
    return _widening(OPTIMAL, "angle")


@claim(
    "fig06-gamma-alone-modulus",
    "With γ alone, curvature along the modulus still grows as (1 − ν)⁻²",
    kind="ours",
    source="3.1, C.1.2; they name no power",
    how="exponent at the optimum at 1 − ν = 10⁻⁴, polar parametrisation",
    accepted=near(-2, 0.01, _POWER),
)
def modulus_curvature_exponent_of_polar() -> float:
    return local_exponent(functools.partial(_curvature_at_optimum, POLAR, "modulus"), 1e-4)


@claim(
    "fig06-exponential-modulus",
    "With the exponential form the curvature along the modulus tends to 1/4",
    kind="ours",
    source="3.1, C.1.2, from their formulas",
    how="curvature at the optimum at 1 − ν = 10⁻⁴",
    accepted=near(0.25, 0.01, _LIMIT),
)
def modulus_curvature_of_exponential() -> float:
    return _curvature_at_optimum(EXPONENTIAL, "modulus", 1 - 1e-4)
