"""Second moments of the state of a linear unit and of its sensitivity."""

from __future__ import annotations

import numpy as np
import torch

from .domains import alike, conjugate, correlation, disc, finite, one_kind


def generating_function(a, b, rho):
    r"""The cross moment of two states driven by the same input,

    .. math:: F(a, b) = \mathrm{E}[h^{(a)} h^{(b)}] = \sum_{i,j \ge 0} a^i b^j \rho^{|i-j|}
              = \frac{1 - \rho^2 ab}{(1 - ab)(1 - \rho a)(1 - \rho b)}.

    Args:
        a: decay factor of the first state, real or complex, inside the unit circle.
        b: decay factor of the second state, likewise.
        rho: correlation of consecutive inputs, -1 to 1; 0 is white, 1 constant.

    Returns:
        F(a, b).

    Raises:
        ValueError: a or b is not inside the unit circle, rho not in [-1, 1], or the shapes do not broadcast.

    Source: Zucchet and Orvieto (2024), appendix B.2.
    """
    return _generating_function(*alike(a=disc("a", a), b=disc("b", b), rho=correlation(rho)))


def _generating_function(a, b, rho):
    return (1 - rho**2 * a * b) / ((1 - a * b) * (1 - rho * a) * (1 - rho * b))


def state_variance(lam, rho):
    r"""Second moment of the state, :math:`\mathrm{E}|h|^2 = F(\lambda, \bar\lambda)`.

    Args:
        lam: eigenvalue, real or complex, inside the unit circle.
        rho: correlation of consecutive inputs.

    Returns:
        The real moment. For real :math:`\lambda` it is
        :math:`(1 + \rho\lambda) / ((1 - \rho\lambda)(1 - \lambda^2))`.

    Source: Zucchet and Orvieto (2024), section 2.2 and appendix B.2.
    """
    lam, rho = alike(lam=disc("lam", lam), rho=correlation(rho))
    return _generating_function(lam, conjugate(lam), rho).real


def cross_sensitivity(a, b, rho):
    r"""The cross moment of two sensitivities,

    .. math::
        S(a, b) &= \mathrm{E}\big[\mathrm{d}_a h^{(a)} \, \mathrm{d}_b h^{(b)}\big] = \partial_a \partial_b F(a, b) \\
        &= \frac{\begin{gathered} (1 - \rho^2)(1 + ab) + \rho^2 (1 - ab)^3 \\
                 {} + \rho (1 - \rho^2) ab \, (\rho ab (1 + ab) - 2a - 2b) \end{gathered}}
                {(1 - ab)^3 (1 - \rho a)^2 (1 - \rho b)^2}.

    Args:
        a: decay factor of the first state, real or complex, inside the unit circle.
        b: decay factor of the second state, likewise.
        rho: correlation of consecutive inputs.

    Returns:
        S(a, b).

    Source: Zucchet and Orvieto (2024), appendices B.2.2 and C.2.2, corrected: erratum 1 on the errata page.
    """
    return _cross_sensitivity(*alike(a=disc("a", a), b=disc("b", b), rho=correlation(rho)))


def _cross_sensitivity(a, b, rho):
    return _sensitivity_ratio(a, b, rho, 1 - rho**2)


def _sensitivity_ratio(a, b, rho, whiteness):
    ab = a * b
    numerator = whiteness * (1 + ab) + rho**2 * (1 - ab) ** 3
    numerator = numerator + rho * whiteness * ab * (rho * ab * (1 + ab) - 2 * a - 2 * b)
    return numerator / ((1 - ab) ** 3 * (1 - rho * a) ** 2 * (1 - rho * b) ** 2)


def sensitivity(lam, rho):
    r"""Second moment of the sensitivity, :math:`\mathrm{E}|\mathrm{d}_\lambda h|^2 = S(\lambda, \bar\lambda)`.

    With :math:`\varepsilon = 1 - \lambda` and real :math:`\lambda \to 1` it grows as
    :math:`\frac{1 + \rho}{4 (1 - \rho)} \varepsilon^{-3}` for :math:`\rho < 1` and as :math:`\varepsilon^{-4}` for
    :math:`\rho = 1`: the curse of memory.

    Args:
        lam: eigenvalue, real or complex, inside the unit circle.
        rho: correlation of consecutive inputs.

    Returns:
        The real moment.

    Source: Zucchet and Orvieto (2024), section 2.2 and appendix B.2.
    """
    lam, rho = alike(lam=disc("lam", lam), rho=correlation(rho))
    return _cross_sensitivity(lam, conjugate(lam), rho).real


def generating_function_of(R, a, b):
    r"""F for any autocorrelation,

    .. math:: F(a, b) = \frac{R(0) + \sum_{D \ge 1} (a^D + b^D) R(D)}{1 - ab}.

    Args:
        R: autocorrelation at lags 0, 1, 2, ..., shape ``(lags,)``; zero beyond.
        a: decay factor of the first state, real or complex, inside the unit circle.
        b: decay factor of the second state, likewise.

    Returns:
        F(a, b), broadcast. :math:`F(\lambda, \bar\lambda)` is the second moment of the state.

    Raises:
        ValueError: a or b is not inside the unit circle, they do not broadcast, or R is not finite or not ``(lags,)``.

    Source: Zucchet and Orvieto (2024), appendix B.2.
    """
    R, a, b = _with_autocorrelation(R, a, b)
    return (R[0] + _series(R[1:], a) + _series(R[1:], b)) / (1 - a * b)


def _with_autocorrelation(R, a, b):
    """R as a list of its values, and a and b."""
    R = finite("R", R)
    if len(np.shape(R)) != 1 or len(R) == 0:
        raise ValueError(f"R must have shape (lags,) with at least one lag, got shape {tuple(np.shape(R))}")
    a, b = alike(a=disc("a", a), b=disc("b", b))
    R, a, b = one_kind(R, a, b)
    return list(R.unbind() if isinstance(R, torch.Tensor) else np.asarray(R)), a, b


def _series(coefficients, z):
    r""":math:`\sum_{D \ge 1} c_D z^D`, by Horner's rule, for z of any shape."""
    total = 0 * z
    for coefficient in reversed(coefficients):
        total = (total + coefficient) * z
    return total


def cross_sensitivity_of(R, a, b):
    r"""S for any autocorrelation; at :math:`a = b = \lambda` it is the paper's

    .. math:: \mathrm{E}(\mathrm{d}_\lambda h)^2 = \frac{1 + \lambda^2}{(1 - \lambda^2)^3}
              \Big(R(0) &+ 2 \sum_{D \ge 1} \lambda^D R(D)\Big) \\
              &+ \frac{2}{(1 - \lambda^2)^2} \sum_{D \ge 1} D \lambda^D R(D).

    Args:
        R: autocorrelation at lags 0, 1, 2, ..., shape ``(lags,)``; zero beyond.
        a: decay factor of the first state, real or complex, inside the unit circle.
        b: decay factor of the second state, likewise.

    Returns:
        S(a, b), broadcast. :math:`S(\lambda, \bar\lambda)` is the second moment of the sensitivity.

    Raises:
        ValueError: a or b is not inside the unit circle, they do not broadcast, or R is not finite or not ``(lags,)``.

    Source: Zucchet and Orvieto (2024), section 2.2 and appendix B.2.
    """
    R, a, b = _with_autocorrelation(R, a, b)
    lagged = [lag * value for lag, value in enumerate(R)]
    total = R[0] + _series(R[1:], a) + _series(R[1:], b)
    lagged = _series(lagged[1:], a) + _series(lagged[1:], b)
    return total * (1 + a * b) / (1 - a * b) ** 3 + lagged / (1 - a * b) ** 2
