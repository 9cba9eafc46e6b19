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

from . import _checks

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

    A layer that holds one can be pickled if its functions can, so define them at the top level of a module.
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

        Raises:
            TypeError: they are not tensors of one real floating-point dtype, float32 or float64.
            ValueError: shapes differ.
        """
        for name, value in [("omega_nu", omega_nu), ("omega_theta", omega_theta)]:
            _check_dtype(name, value, torch.float32, torch.float64)
        if omega_nu.dtype != omega_theta.dtype:
            raise TypeError(
                f"omega_nu and omega_theta must have one dtype, got {omega_nu.dtype} and {omega_theta.dtype}"
            )
        if omega_nu.shape != omega_theta.shape:
            raise ValueError(
                "omega_nu and omega_theta must have one shape, got "
                f"{tuple(omega_nu.shape)} and {tuple(omega_theta.shape)}"
            )
        nu = self.modulus(omega_nu)
        # not torch.polar(nu, angle): its derivative by a modulus of 0 is 0, and by a negative one has the wrong sign
        return nu * torch.polar(torch.ones_like(nu), self.angle(omega_theta, nu.detach()))

    def parameters(self, lam: Complex[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Float[Tensor, "*N"]]:
        r"""Raw parameters of given eigenvalues, the inverse of :meth:`eigenvalues`.

        Angles are taken in :math:`[0, 2\pi)`; the exponential parametrisation, which reaches no angle of 0, takes
        :math:`2\pi` there.

        Args:
            lam: complex eigenvalues with :math:`0 < |\lambda| < 1`, any shape.

        Returns:
            The pair :math:`(\omega_\nu, \omega_\theta)`, each of the same shape.

        Raises:
            TypeError: lam is no tensor of floating-point numbers.
            ValueError: an eigenvalue is 0 or not inside the unit circle.
        """
        _check_dtype("lam", lam, *LAM)
        nu = lam.abs()
        if not nu.is_meta:
            outside = nu[~((nu > 0) & (nu < 1))]
            if len(outside):
                raise ValueError(
                    "lam must lie strictly inside the unit circle and not at 0 (0 < |lam| < 1), but does not in "
                    f"{len(outside)} of {nu.numel()} places, first with modulus {outside[0].item():g}"
                )
        return self._raw(lam)

    def _raw(self, lam: Complex[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Float[Tensor, "*N"]]:
        """:meth:`parameters` without looking at values, which tensors without storage do not have."""
        nu, theta = lam.abs(), lam.angle().remainder(2 * math.pi)
        return self.modulus_inverse(nu), self.angle_inverse(theta, nu)


LAM = (torch.complex64, torch.complex128, torch.float32, torch.float64)


def _check_dtype(name: str, value: Tensor, *dtypes: torch.dtype) -> None:
    if not isinstance(value, torch.Tensor) or value.dtype not in dtypes:
        got = f"a tensor of {value.dtype}" if isinstance(value, torch.Tensor) else _checks.shown(value)
        raise TypeError(f"{name} must be a tensor of {' or '.join(map(str, dtypes))}, got {got}")


def _modulus_itself(nu: Tensor) -> Tensor:
    return nu


def _angle_itself(theta: Tensor, nu: Tensor) -> Tensor:
    return theta


def _exp(omega: Tensor) -> Tensor:
    """exp, constant where its square would overflow: an infinity here makes derivatives NaN (0 times infinity)."""
    return torch.exp(omega.clamp(max=math.log(torch.finfo(omega.dtype).max) / 2))


def _exponential_modulus(omega: Tensor) -> Tensor:
    return torch.exp(-_exp(omega))


def _exponential_modulus_inverse(nu: Tensor) -> Tensor:
    return torch.log(-torch.log(nu))


def _exponential_angle(omega: Tensor, nu: Tensor) -> Tensor:
    return _exp(omega)


def _exponential_angle_inverse(theta: Tensor, nu: Tensor) -> Tensor:
    return torch.log(torch.where(theta == 0, 2 * math.pi, theta))


def _optimal_angle(omega: Tensor, nu: Tensor) -> Tensor:
    limit = torch.finfo(omega.dtype).max  # an infinite angle would make an eigenvalue NaN, also one of modulus 0
    return (omega * _optimal_stretch(nu)).clamp(-limit, limit)


def _optimal_angle_inverse(theta: Tensor, nu: Tensor) -> Tensor:
    return theta / _optimal_stretch(nu)


def _optimal_stretch(nu: Tensor) -> Tensor:
    # Towards nu = 0 the stretch has a pole. Below the machine epsilon angles are all rounding, so it stops there.
    eps = torch.finfo(nu.dtype).eps
    nu = torch.where(nu.abs() < eps, eps, nu)
    return (1 - nu**2) / (nu * torch.sqrt(1 + nu**2))


#: Modulus and angle themselves.
POLAR = Parametrization(
    name="polar",
    modulus=_modulus_itself,
    modulus_inverse=_modulus_itself,
    angle=_angle_itself,
    angle_inverse=_angle_itself,
)

#: :math:`\nu = \exp(-\exp \omega_\nu)`, :math:`\theta = \exp \omega_\theta`, as in the LRU.
EXPONENTIAL = Parametrization(
    name="exponential",
    modulus=_exponential_modulus,
    modulus_inverse=_exponential_modulus_inverse,
    angle=_exponential_angle,
    angle_inverse=_exponential_angle_inverse,
)

#: :math:`\nu = \tanh \omega_\nu`, :math:`\theta = \omega_\theta (1 - \nu^2) / (\nu \sqrt{1 + \nu^2})`: with gamma and
#: white inputs both curvatures at the optimum are 1 (section 3.1 and appendix C.1). Where :math:`|\nu|` is below the
#: machine epsilon the factor is its value there, so that :math:`\omega_\nu = 0` gives :math:`\lambda = 0` and finite
#: derivatives.
OPTIMAL = Parametrization(
    name="optimal",
    modulus=torch.tanh,
    modulus_inverse=torch.atanh,
    angle=_optimal_angle,
    angle_inverse=_optimal_angle_inverse,
)


def input_scale(lam: Inexact[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    r"""The scale :math:`\gamma(\lambda) = \sqrt{1 - |\lambda|^2}` that keeps a unit's variance at 1 for white inputs.

    That is :math:`\gamma = \big(\sum_{t \ge 0} |\lambda|^{2t}\big)^{-1/2}`, hence 0 on the unit circle and outside it,
    where the variance has no bound. Its derivative is infinite on the circle; the one given there is finite, that of
    the last number before 1, so that a gate which saturates at 1 passes on the gradient 0 and not NaN.

    Args:
        lam: eigenvalues, real or complex, any shape.

    Returns:
        Real scales of the same shape, in [0, 1].

    Raises:
        TypeError: lam is no tensor of floating-point numbers.

    Source: Zucchet and Orvieto (2024), section 3.1.
    """
    _check_dtype("lam", lam, torch.bfloat16, torch.float16, *LAM)
    modulus = lam.abs()
    eps = torch.finfo(modulus.dtype).eps
    # The product loses no digits as the modulus approaches 1. The square is smooth at 0, where a modulus is not.
    variance = torch.where(modulus < eps / 4, 1 - (lam * lam.conj()).real, (1 - modulus) * (1 + modulus)).clamp(min=0)
    inside = variance > 0
    return torch.where(inside, torch.sqrt(torch.where(inside, variance, 1)), variance / (2 * math.sqrt(eps)))


def ring(
    size: int,
    min_modulus: float = 0.0,
    max_modulus: float = 1.0,
    max_angle: float = math.pi,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Complex[Tensor, "N"]:
    r"""Initial eigenvalues, uniform on the part of a ring with angles in :math:`[-\theta_0, \theta_0]`.

    :math:`|\lambda|^2` is uniform between the squares of the two radii, so that density is uniform over the area. No
    eigenvalue is 0, lies on the unit circle or has the angle 0, where some parametrisations are infinite.

    Args:
        size: how many, N.
        min_modulus: inner radius, the paper's :math:`\nu_0`.
        max_modulus: outer radius, positive and at most 1.
        max_angle: :math:`\theta_0` in radians, at most pi.
        generator: source of randomness.
        dtype: complex64 or complex128; by default the one of the default dtype.
        device: where to draw, that of the generator.

    Returns:
        Complex eigenvalues ``(size,)``.

    Raises:
        TypeError: the dtype, or the default dtype, is another.
        ValueError: size, radii or angle out of range.

    Source: Orvieto et al. (2023), Lemma 3.2; Zucchet and Orvieto (2024), appendix D.
    """
    size = _checks.whole("size", size)
    _checks.generator(generator)
    for name, value in [("min_modulus", min_modulus), ("max_modulus", max_modulus), ("max_angle", max_angle)]:
        _checks.number(name, value)
    if not 0 <= min_modulus <= max_modulus <= 1 or max_modulus == 0:
        raise ValueError(
            "radii must satisfy 0 <= min_modulus <= max_modulus <= 1 and max_modulus > 0, got "
            f"{min_modulus} and {max_modulus}"
        )
    if not 0 < max_angle <= math.pi:
        raise ValueError(f"max_angle must be in (0, pi] radians, got {max_angle}")
    if dtype is None and torch.get_default_dtype() not in (torch.float32, torch.float64):
        raise TypeError(
            f"complex eigenvalues need a default dtype of float32 or float64, got {torch.get_default_dtype()}: call "
            "torch.set_default_dtype(torch.float32) first"
        )
    if dtype not in (None, torch.complex64, torch.complex128):
        raise TypeError(f"dtype must be torch.complex64 or torch.complex128, got {dtype}")
    real = torch.get_default_dtype() if dtype is None else dtype.to_real()
    eps, tiny = torch.finfo(real).eps, torch.finfo(real).tiny
    # torch.rand draws multiples of eps / 2, and 0 among them: half a step stands for the draws that would give 0
    u, v = torch.rand(2, size, generator=generator, dtype=real, device=device)
    u, direction = u.clamp(min=eps / 4), 2 * v - 1
    modulus = torch.sqrt(u * (max_modulus**2 - min_modulus**2) + min_modulus**2)
    modulus = modulus.clamp(min=tiny, max=1 - eps)  # nor must rounding put an eigenvalue at 0 or on the unit circle
    return torch.polar(modulus, torch.where(direction == 0, eps / 2, direction) * max_angle)
