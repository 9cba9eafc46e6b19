"""Losses, gradients and Hessians of diagonal networks at and around the optimum."""

from __future__ import annotations

import numpy as np
import torch

from .domains import alike, checked, conjugate, correlation, disc, finite, one_kind, squared_modulus, tensors
from .moments import _cross_sensitivity, _generating_function


def one_dimensional_loss(lam, lam_star, rho=0.0, *, normalized=False):
    r"""Loss of one linear unit that imitates another, both driven by the same input,

    .. math:: L = \tfrac{1}{2} \mathrm{E} |h - h^*|^2
              = \tfrac{1}{2} \big[ F(\lambda, \bar\lambda) + F(\lambda^*, \bar\lambda^*)
                - 2 \, \mathrm{Re}\, F(\lambda, \bar\lambda^*) \big].

    With ``normalized`` each input is scaled by :math:`\gamma(\lambda) = \sqrt{1 - |\lambda|^2}` of its own unit.

    Args:
        lam: the student's eigenvalue, real or complex, inside the unit circle.
        lam_star: the teacher's eigenvalue, likewise.
        rho: correlation of consecutive inputs, -1 to 1; white by default.
        normalized: scale the inputs by gamma.

    Returns:
        The loss; for white inputs and ``normalized`` it is
        :math:`1 - \mathrm{Re}[\gamma \gamma^* / (1 - \bar\lambda \lambda^*)]`.

    Source: Zucchet and Orvieto (2024), sections 3.1 and 4.1, appendix C.1.1.
    """
    lam, lam_star, rho = alike(lam=disc("lam", lam), lam_star=disc("lam_star", lam_star), rho=correlation(rho))
    gamma = (1 - squared_modulus(lam)) ** 0.5 if normalized else 1.0
    gamma_star = (1 - squared_modulus(lam_star)) ** 0.5 if normalized else 1.0
    student = gamma**2 * _generating_function(lam, conjugate(lam), rho).real
    teacher = gamma_star**2 * _generating_function(lam_star, conjugate(lam_star), rho).real
    return 0.5 * (student + teacher) - gamma * gamma_star * _generating_function(lam, conjugate(lam_star), rho).real


def one_dimensional_gradient(nu, theta, lam_star, *, normalized=False):
    r"""Derivatives of the white-input loss with respect to the student's modulus and angle.

    With :math:`\lambda = \nu e^{i\theta}`, :math:`z = \lambda \bar\lambda^*` and input scales :math:`\gamma, \gamma^*`
    (1 unless ``normalized``),

    .. math:: \partial_\theta L = \gamma \gamma^* \, \mathrm{Im} \frac{z}{(1 - z)^2}, \qquad
              \nu \, \partial_\nu L = r - \gamma \gamma^* \, \mathrm{Re} \frac{z}{(1 - z)^2},

    where r is :math:`\nu^2 / (1 - \nu^2)^2` without the scales and
    :math:`\nu^2 (\gamma^* / \gamma) \, \mathrm{Re}\, (1 - z)^{-1}` with them.

    Args:
        nu: modulus, in (0, 1).
        theta: angle, radians.
        lam_star: the teacher's eigenvalue, inside the unit circle.
        normalized: inputs scaled by gamma, which is differentiated too.

    Returns:
        The pair (along the modulus, along the angle).

    Source: the derivatives of :func:`one_dimensional_loss`.
    """
    nu = checked("nu", nu, lambda nu: (nu > 0) & (nu < 1), "a modulus, 0 < nu < 1", real=True)
    theta = checked("theta", theta, lambda theta: abs(theta) < float("inf"), "real and finite", real=True)
    nu, theta, lam_star = alike(nu=nu, theta=theta, lam_star=disc("lam_star", lam_star))
    if torch.Tensor in map(type, (nu, theta, lam_star)):
        nu, theta, lam_star = tensors(nu, theta, lam_star)
    exp, sqrt = (torch.exp, torch.sqrt) if isinstance(nu, torch.Tensor) else (np.exp, np.sqrt)
    z = nu * exp(1j * theta) * conjugate(lam_star)
    inverse = 1 / (1 - z)
    coupling = z * inverse**2
    if not normalized:
        return nu / (1 - nu**2) ** 2 - coupling.real / nu, coupling.imag
    gamma, gamma_star = sqrt(1 - nu**2), sqrt(1 - abs(lam_star) ** 2)
    along_nu = nu * gamma_star / gamma * inverse.real - gamma * gamma_star * coupling.real / nu
    return along_nu, gamma * gamma_star * coupling.imag


def one_dimensional_curvature(modulus, *, normalized=False):
    r"""Second derivatives of the white-input loss at the optimum, along the modulus and along the angle.

    Without normalisation, with :math:`s = |\lambda^*|`, they are :math:`(1 + s^2) / (1 - s^2)^3` and :math:`s^2` times
    that; with it, :math:`1 / (1 - s^2)^2` and :math:`s^2 (1 + s^2) / (1 - s^2)^2`. A parametrisation multiplies each by
    the square of its derivative.

    Args:
        modulus: :math:`|\lambda^*|`, in [0, 1).
        normalized: inputs scaled by gamma.

    Returns:
        The pair (along the modulus, along the angle in radians).

    Source: Zucchet and Orvieto (2024), section 3.1 and appendix C.1.
    """
    modulus = checked("modulus", modulus, lambda s: (s >= 0) & (s < 1), "real, 0 <= modulus < 1", real=True)
    square = modulus**2
    if normalized:
        return 1 / (1 - square) ** 2, square * (1 + square) / (1 - square) ** 2
    radial = (1 + square) / (1 - square) ** 3
    return radial, square * radial


def diagonal_hessian(lam, b, c, rho=0.0):
    r"""Hessian with respect to the eigenvalues of a complex diagonal network at the optimum.

    The network is :math:`y = \mathrm{Re}[\sum_i c_i h_i]` with :math:`h_i` driven by :math:`b_i x`, and the loss
    :math:`\frac{1}{2} \mathrm{E}(y - y^*)^2`. With :math:`w_i = b_i c_i`,

    .. math:: A_{ij} = w_i w_j S(\lambda_i, \lambda_j), \qquad B_{ij} = w_i \bar w_j S(\lambda_i, \bar\lambda_j),

    the block of units i and j over (Re, Im) is
    :math:`\frac{1}{2} \begin{pmatrix} \mathrm{Re}(A+B) & \mathrm{Im}(B-A) \\ -\mathrm{Im}(A+B) & \mathrm{Re}(B-A)
    \end{pmatrix}_{ij}`.

    Args:
        lam: eigenvalues, inside the unit circle, ``(n,)``.
        b: input weights ``(n,)``.
        c: output weights ``(n,)``.
        rho: correlation of consecutive inputs, a number from -1 to 1; white by default.

    Returns:
        Symmetric real array ``(2n, 2n)``; rows are the n real parts, then the n imaginary parts.

    Source: Zucchet and Orvieto (2024), appendix C.2.
    """
    lam, b, c = (
        value if isinstance(value, torch.Tensor) else np.asarray(value)
        for value in (disc("lam", lam), finite("b", b), finite("c", c))
    )
    if lam.ndim != 1 or not lam.shape == b.shape == c.shape:
        shapes = ", ".join(str(tuple(value.shape)) for value in (lam, b, c))
        raise ValueError(f"lam, b and c must have one shape (n,), got {shapes}")
    rho = correlation(rho)
    if np.shape(rho) != ():
        raise ValueError(f"rho must be one number, got an array of shape {tuple(np.shape(rho))}")
    lam, b, c, rho = one_kind(lam, b, c, rho)
    w = b * c + 0j  # complex, because PyTorch gives real tensors no imaginary part
    A = w[:, None] * w * _cross_sensitivity(lam[:, None], lam, rho)
    B = w[:, None] * conjugate(w) * _cross_sensitivity(lam[:, None], conjugate(lam), rho)
    join = torch.cat if isinstance(w, torch.Tensor) else np.concatenate
    return 0.5 * join([join([(A + B).real, (B - A).imag], 1), join([-(A + B).imag, (B - A).real], 1)])
