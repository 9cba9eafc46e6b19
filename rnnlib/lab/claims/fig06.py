"""Claims of Figure 6: curvature of the loss of one complex unit in three parametrisations."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from ... import theory
from ...parametrization import EXPONENTIAL, OPTIMAL, POLAR, Parametrization
from .measures import furthest, local_exponent
from .ranges import near
from .registry import claim

_OPTIMAL_MODULI = 1 - np.array([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])


def _curvature_at_optimum(parametrization: Parametrization, direction: str, modulus: float) -> float:
    """Second derivative of the normalised loss over a raw parameter at angle pi/100, by automatic differentiation."""
    star = torch.polar(*torch.tensor([modulus, math.pi / 100], dtype=torch.float64))
    raw = torch.stack(parametrization.parameters(star))
    unit = torch.tensor([1.0, 0.0] if direction == "modulus" else [0.0, 1.0], dtype=torch.float64)

    def loss(shift):
        lam = parametrization.eigenvalues(*(raw + shift * unit))
        return theory.one_dimensional_loss(lam, star, normalized=True)

    return torch.func.hessian(loss)(torch.tensor(0.0, dtype=torch.float64)).item()


@claim(
    "fig06-gamma-alone-modulus",
    "With γ alone, curvature along the modulus still grows as (1 − ν)⁻²",
    kind="text",
    source="section 3.1, appendix C.1",
    how="exponent at the optimum at 1 − ν = 10⁻⁴, polar parametrisation",
    accepted=near(-2, 0.01, "TODO"),
)
def modulus_curvature_exponent_of_polar() -> float:
    return local_exponent(functools.partial(_curvature_at_optimum, POLAR, "modulus"), 1e-4)


@claim(
    "fig06-exponential-modulus",
    "The exponential parametrisation controls the modulus: its curvature tends to 1/4",
    kind="text",
    source="section 3.1, appendix C.1",
    how="curvature at the optimum at 1 − ν = 10⁻⁴",
    accepted=near(0.25, 0.01, "TODO"),
)
def modulus_curvature_of_exponential() -> float:
    return _curvature_at_optimum(EXPONENTIAL, "modulus", 1 - 1e-4)


@claim(
    "fig06-exponential-angle",
    "It does not control the angle, whose curvature grows as (1 − ν)⁻²",
    kind="text",
    source="section 3.1, appendix C.1",
    how="exponent at the optimum at 1 − ν = 10⁻⁴",
    accepted=near(-2, 0.01, "TODO"),
)
def angle_curvature_exponent_of_exponential() -> float:
    return local_exponent(functools.partial(_curvature_at_optimum, EXPONENTIAL, "angle"), 1e-4)


@claim(
    "fig06-optimal-both",
    "The optimal parametrisation controls both: its curvatures are 1 at every optimum",
    kind="text",
    source="section 3.1, appendix C.1",
    how="the furthest from 1 of modulus and angle at the figure's seven λ*",
    accepted=near(1, 1e-6, "TODO"),
)
def curvatures_of_optimal() -> float:
    points = [(direction, modulus) for direction in ("modulus", "angle") for modulus in _OPTIMAL_MODULI]
    return furthest([_curvature_at_optimum(OPTIMAL, direction, modulus) for direction, modulus in points], 1)
