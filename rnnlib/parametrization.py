r"""From raw parameters to eigenvalues: :math:`\omega \mapsto \lambda`, the input scale, and where eigenvalues start.

A parametrisation maps two raw parameters :math:`\omega_\nu, \omega_\theta` to a modulus :math:`\nu` and an angle
:math:`\theta`, and :math:`\lambda = \nu e^{i\theta}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Complex, Float, Inexact
    from torch import Tensor

__all__ = ["EXPONENTIAL", "OPTIMAL", "POLAR", "Parametrization", "input_scale", "ring"]


@dataclass(frozen=True)
class Parametrization:
    r"""A change of variables for eigenvalues.

    Attributes:
        name: how figures and tables call it.
        modulus: :math:`\omega_\nu \mapsto \nu`.
        modulus_inverse: :math:`\nu \mapsto \omega_\nu`.
        angle: :math:`(\omega_\theta, \nu) \mapsto \theta`, radians. :math:`\nu` is passed detached: it is held
            constant when the angle is differentiated.
        angle_inverse: :math:`(\theta, \nu) \mapsto \omega_\theta`.
    """

    name: str
    modulus: Callable[[Tensor], Tensor]
    modulus_inverse: Callable[[Tensor], Tensor]
    angle: Callable[[Tensor, Tensor], Tensor]
    angle_inverse: Callable[[Tensor, Tensor], Tensor]

    def eigenvalues(self, omega_nu: Float[Tensor, "*N"], omega_theta: Float[Tensor, "*N"]) -> Complex[Tensor, "*N"]:
        r""":math:`\lambda = \nu e^{i\theta}` from the raw parameters.

        Args:
            omega_nu: raw moduli, any shape.
            omega_theta: raw angles, same shape.

        Returns:
            Complex eigenvalues, same shape.
        """
        nu = self.modulus(omega_nu)
        return torch.polar(nu, self.angle(omega_theta, nu.detach()))

    def parameters(self, lam: Complex[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Float[Tensor, "*N"]]:
        r"""Raw parameters of given eigenvalues, the inverse of :meth:`eigenvalues`.

        Angles are taken in :math:`[0, 2\pi)`, where every parametrisation reaches them.

        Args:
            lam: complex eigenvalues with :math:`0 < |\lambda| < 1`, any shape.

        Returns:
            The pair :math:`(\omega_\nu, \omega_\theta)`, each of the same shape.

        Raises:
            ValueError: an eigenvalue is 0 or not inside the unit circle.
        """
        nu = lam.abs()
        if not bool(((nu > 0) & (nu < 1)).all()):
            raise ValueError(f"lam must lie strictly inside the unit circle and not at 0, got moduli {nu.tolist()}")
        theta = lam.angle().remainder(2 * math.pi)
        return self.modulus_inverse(nu), self.angle_inverse(theta, nu)


def _optimal_stretch(nu: Tensor) -> Tensor:
    return (1 - nu**2) / (nu * torch.sqrt(1 + nu**2))


#: Modulus and angle themselves.
POLAR = Parametrization(
    name="polar",
    modulus=lambda omega: omega,
    modulus_inverse=lambda nu: nu,
    angle=lambda omega, nu: omega,
    angle_inverse=lambda theta, nu: theta,
)

#: :math:`\nu = \exp(-\exp \omega_\nu)`, :math:`\theta = \exp \omega_\theta`, as in the LRU.
EXPONENTIAL = Parametrization(
    name="exponential",
    modulus=lambda omega: torch.exp(-torch.exp(omega)),
    modulus_inverse=lambda nu: torch.log(-torch.log(nu)),
    angle=lambda omega, nu: torch.exp(omega),
    angle_inverse=lambda theta, nu: torch.log(theta),
)

#: :math:`\nu = \tanh \omega_\nu`, :math:`\theta = \omega_\theta (1 - \nu^2) / (\nu \sqrt{1 + \nu^2})`: with gamma and
#: white inputs both curvatures at the optimum are 1 (section 3.1 and appendix C.1).
OPTIMAL = Parametrization(
    name="optimal",
    modulus=torch.tanh,
    modulus_inverse=torch.atanh,
    angle=lambda omega, nu: omega * _optimal_stretch(nu),
    angle_inverse=lambda theta, nu: theta / _optimal_stretch(nu),
)


def input_scale(lam: Inexact[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    r"""The scale :math:`\gamma(\lambda) = \sqrt{1 - |\lambda|^2}` that keeps a unit's variance at 1 for white inputs.

    Args:
        lam: eigenvalues, real or complex, :math:`|\lambda| < 1`, any shape.

    Returns:
        Real scales of the same shape.

    Source: Zucchet and Orvieto (2024), section 3.1.
    """
    modulus = lam.abs()
    # the product form loses no digits as the modulus approaches 1
    return torch.sqrt((1 - modulus) * (1 + modulus))


def ring(
    size: int,
    min_modulus: float = 0.0,
    max_modulus: float = 1.0,
    max_angle: float = math.pi,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.complex64,
) -> Complex[Tensor, "N"]:
    r"""Initial eigenvalues, uniform on the part of a ring with angles in :math:`[-\theta_0, \theta_0]`.

    :math:`|\lambda|^2` is uniform between the squares of the two radii, so that density is uniform over the area.

    Args:
        size: how many, N.
        min_modulus: inner radius, the paper's :math:`\nu_0`.
        max_modulus: outer radius, at most 1.
        max_angle: :math:`\theta_0` in radians, at most pi.
        generator: source of randomness.
        dtype: complex64 or complex128.

    Returns:
        Complex eigenvalues ``(size,)``.

    Raises:
        ValueError: radii or angle out of range.

    Source: Orvieto et al. (2023), Lemma 3.2; Zucchet and Orvieto (2024), appendix D.
    """
    if not 0 <= min_modulus <= max_modulus <= 1:
        raise ValueError(f"need 0 <= min_modulus <= max_modulus <= 1, got {min_modulus} and {max_modulus}")
    if not 0 < max_angle <= math.pi:
        raise ValueError(f"max_angle must be in (0, pi] radians, got {max_angle}")
    real = torch.float64 if dtype == torch.complex128 else torch.float32
    u, v = torch.rand(2, size, generator=generator, dtype=real)
    modulus = torch.sqrt(u * (max_modulus**2 - min_modulus**2) + min_modulus**2)
    modulus = modulus.clamp(max=1 - torch.finfo(real).eps)  # rounding must not put an eigenvalue on the unit circle
    return torch.polar(modulus, (2 * v - 1) * max_angle)
