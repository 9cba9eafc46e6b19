r"""One eigenvalue learned step by step, in every variant of Figure 7 at once.

A unit with eigenvalue :math:`\lambda` imitates one with :math:`\lambda^*`, white inputs, exact loss. Its modulus is
:math:`\nu = \tanh \omega_\nu` throughout; its angle is one of

.. math:: \theta = \omega_\theta \;\text{(polar)}, \qquad \theta = e^{\omega_\theta} \;\text{(exponential)}, \qquad
          \theta = \omega_\theta \frac{1 - \nu^2}{\nu \sqrt{1 + \nu^2}} \;\text{(optimal)}.

Gradients are closed forms in NumPy, so that 12 runs of 50,000 steps take seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import theory
from . import checks

if TYPE_CHECKING:
    from jaxtyping import Complex, Float
    from numpy import ndarray

__all__ = ["ANGLES", "LOSSES", "OPTIMIZERS", "eigenvalues", "raw_parameters", "trajectories"]

#: Parametrisations of the angle.
ANGLES = ("polar", "exponential", "optimal")
#: Sign steps are what the paper's code runs (erratum 2).
OPTIMIZERS = ("sign", "adam")
#: Without and with input scale (erratum 3).
LOSSES = ("plain", "normalized")
_BETAS, _EPS = (0.9, 0.999), 1e-8


def _stretch(nu):
    """Derivative of the optimal angle with respect to its raw parameter."""
    return (1 - nu**2) / (nu * np.sqrt(1 + nu**2))


def _stretch_slope(nu):
    """Derivative of the stretch with respect to the modulus."""
    return -(1 + 3 * nu**2) / (nu**2 * (1 + nu**2) ** 1.5)


def eigenvalues(
    angle: str, omega_nu: Float[ndarray, "*S"], omega_theta: Float[ndarray, "*S"]
) -> Complex[ndarray, "*S"]:
    r"""Eigenvalues :math:`\nu e^{i\theta}` of raw parameters.

    Args:
        angle: one of :data:`ANGLES`.
        omega_nu: raw moduli.
        omega_theta: raw angles.

    Returns:
        Complex eigenvalues.

    Raises:
        ValueError: unknown angle.
    """
    checks.choice("angle", angle, ANGLES)
    omega_nu, omega_theta = np.asarray(omega_nu), np.asarray(omega_theta)
    nu = np.tanh(omega_nu)
    theta = {
        "polar": lambda: omega_theta,
        "exponential": lambda: np.exp(omega_theta),
        "optimal": lambda: omega_theta * _stretch(nu),
    }
    return nu * np.exp(1j * theta[angle]())


def raw_parameters(angle: str, lam: complex) -> tuple[float, float]:
    r"""The raw parameters :math:`(\omega_\nu, \omega_\theta)` of an eigenvalue with an angle in :math:`(0, \pi)`.

    Args:
        angle: one of :data:`ANGLES`.
        lam: the eigenvalue.

    Returns:
        Raw modulus and raw angle.

    Raises:
        ValueError: unknown angle, or an eigenvalue out of range.
    """
    checks.choice("angle", angle, ANGLES)
    nu, theta = _checked_polar("lam", lam)
    raw = {"polar": theta, "exponential": np.log(theta), "optimal": theta / _stretch(nu)}
    return np.arctanh(nu), raw[angle]


def _checked_polar(name: str, lam: complex) -> tuple[float, float]:
    nu, theta = abs(lam), np.angle(lam)
    if not (0 < nu < 1 and 0 < theta < np.pi):
        raise ValueError(f"{name} must have a modulus in (0, 1) and an angle in (0, pi), got {lam}")
    return nu, theta


def trajectories(
    start: complex, star: complex, *, steps: int = 50_000, rate: float = 1e-3, hold_modulus: bool = False
) -> Float[ndarray, "steps+1 3 2 2 2"]:
    r"""Raw parameters over time, for every angle, optimiser and loss.

    The optimisers are Adam (0.9, 0.999, :math:`10^{-8}`) and what the paper's code runs instead (erratum 2): it drops
    the optimiser's state after each step, so every step is Adam's first, ``rate`` times the sign of the gradient. The
    losses are with and without input scale (erratum 3).

    Args:
        start: the student's first eigenvalue, angle in :math:`(0, \pi)`.
        star: the teacher's, likewise.
        steps: how many steps, at least 1.
        rate: learning rate, positive.
        hold_modulus: hold the modulus constant where it appears in the optimal angle, when differentiating. The
            paper's derivation does, its code for this figure does not.

    Returns:
        Array with axes step (0 is the start), angle (:data:`ANGLES`), optimiser (:data:`OPTIMIZERS`), loss
        (:data:`LOSSES`), and (raw modulus, raw angle); NaN from where a run has left the unit disc to rounding.

    Raises:
        ValueError: an argument is out of range.

    Source: Zucchet and Orvieto (2024), Figure 7 and its code.
    """
    _checked_polar("start", start)
    _checked_polar("star", star)
    steps = checks.whole("steps", steps)
    checks.within("rate", rate, "(0, inf)")
    beta1, beta2 = _BETAS
    omega = np.empty((len(ANGLES), 2, 2, 2))
    for i, angle in enumerate(ANGLES):
        omega[i] = raw_parameters(angle, start)
    path = np.empty((steps + 1, *omega.shape))
    path[0] = omega
    first, second = np.zeros_like(omega), np.zeros_like(omega)
    update, gradient = np.empty_like(omega), np.empty_like(omega)
    for step in range(1, steps + 1):
        _gradient(omega, star, hold_modulus, gradient)
        first += (1 - beta1) * (gradient - first)
        second += (1 - beta2) * (gradient**2 - second)
        update[:, 0] = gradient[:, 0] / (np.abs(gradient[:, 0]) + _EPS)
        mean, square = first[:, 1] / (1 - beta1**step), second[:, 1] / (1 - beta2**step)
        update[:, 1] = mean / (np.sqrt(square) + _EPS)
        omega = omega - rate * update
        path[step] = omega
    return path


def _gradient(omega: ndarray, star: complex, hold_modulus: bool, out: ndarray) -> None:
    """Gradient over raw parameters, axes (angle, optimiser, loss, parameter)."""
    omega_nu, omega_theta = omega[..., 0], omega[..., 1]
    nu = np.tanh(omega_nu)
    stretch = _stretch(nu[2])
    theta, slope = omega_theta.copy(), np.ones_like(nu)
    theta[1] = slope[1] = np.exp(omega_theta[1])
    theta[2], slope[2] = omega_theta[2] * stretch, stretch
    # a step may cross 0: a negative modulus is a positive one at the opposite angle; or leave the disc, to rounding
    inside = (nu != 0) & (np.abs(nu) < 1) & np.isfinite(theta)
    modulus, angle = np.where(inside, np.abs(nu), 0.5), np.where(inside, theta, 0.0) + np.pi * (nu < 0)
    along_nu, along_theta = np.empty_like(nu), np.empty_like(nu)
    for i in range(len(LOSSES)):
        along_nu[..., i], along_theta[..., i] = theory.one_dimensional_gradient(
            modulus[..., i], angle[..., i], star, normalized=bool(i)
        )
    along_nu[~inside] = along_theta[~inside] = np.nan
    along_nu *= np.sign(nu)
    out[..., 1] = along_theta * slope
    if not hold_modulus:
        along_nu[2] += along_theta[2] * omega_theta[2] * _stretch_slope(nu[2])
    out[..., 0] = along_nu * (1 - nu**2)
