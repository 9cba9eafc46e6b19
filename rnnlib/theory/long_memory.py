"""Inputs with long memory: what both moments grow to where correlations fade as a power of the lag."""

from __future__ import annotations

import math

import numpy as np
import torch

from .domains import alike, checked, finite


def power_law_exponents(alpha):
    r"""Exponents of memory, for inputs whose autocorrelation fades as :math:`R(D) \sim D^{-\alpha}`,

    .. math:: \mathrm{E}\,h^2 \sim m^{\max(1,\, 2 - \alpha)}, \qquad
              \mathrm{E}(\mathrm{d}_\lambda h)^2 \sim m^{\max(3,\, 4 - \alpha)}, \qquad m = \frac{1}{1 - \lambda},

    at :math:`\alpha = 1` up to a factor :math:`\ln m`. They go from those of constant inputs, :math:`\alpha = 0`, to
    those of white ones. A unit at an angle that stays away from 0 has the latter, 1 and 3, whatever :math:`\alpha` is.

    Args:
        alpha: at least 0.

    Returns:
        The pair of exponents.

    Source: not in the paper; the proofs page, "Inputs with long memory".
    """
    alpha = _exponent(alpha, lambda alpha: alpha >= 0, "alpha >= 0")
    larger = (1 - alpha) * (alpha < 1)
    return 1 + larger, 3 + larger


def power_law_moments(lam, alpha):
    r"""Second moments of state and sensitivity at long memory, for :math:`R(D) = (1 + D)^{-\alpha}`,

    .. math:: \mathrm{E}\,h^2 \sim \Gamma(1 - \alpha) \, m^{2 - \alpha}, \qquad
              \mathrm{E}(\mathrm{d}_\lambda h)^2 \sim \big(1 - \tfrac{\alpha}{2}\big) \Gamma(1 - \alpha) \,
              m^{4 - \alpha}, \qquad m = \frac{1}{1 - \lambda}.

    They are limits: the ratio to the moments tends to 1 as :math:`\lambda \to 1`. For any :math:`\lambda` there are
    :func:`generating_function_of` and :func:`cross_sensitivity_of`.

    Args:
        lam: eigenvalue, real, in [0, 1).
        alpha: in [0, 1).

    Returns:
        The pair of moments. Divided by each other they are :math:`(1 - \alpha / 2) \, m^2`, so a parameter that moves
        :math:`\lambda` by :math:`1 - \lambda` leaves :math:`1 - \alpha / 2` of the state's moment for all such inputs.

    Source: not in the paper; the proofs page, "Inputs with long memory".
    """
    alpha = _exponent(alpha, lambda alpha: (alpha >= 0) & (alpha < 1), "0 <= alpha < 1")
    lam, alpha = alike(lam=_real(lam), alpha=alpha)
    memory = 1 / (1 - lam)
    state = _gamma(1 - alpha) * memory ** (2 - alpha)
    return state, (1 - alpha / 2) * memory**2 * state


def one_over_f_moments(lam, length):
    r"""The same for 1/f noise with a longest correlation L, :math:`R(D) = 1 - \ln(1 + D) / \ln(1 + L)` up to D = L and
    0 beyond. With :math:`\ell = \ln(L / m) + \gamma_E`, :math:`\gamma_E` Euler's constant,

    .. math:: \mathrm{E}\,h^2 \sim \frac{m^2 \ell}{\ln L}, \qquad
              \mathrm{E}(\mathrm{d}_\lambda h)^2 \sim \frac{m^4 (\ell - \frac{1}{2})}{\ln L}, \qquad
              m = \frac{1}{1 - \lambda}:

    up to logarithms the powers 2 and 4 of constant inputs.

    Args:
        lam: eigenvalue, real, in [0, 1).
        length: L, in steps, above 1.

    Returns:
        The pair of moments, in the limit of :math:`1 \ll m \ll L`.

    Source: not in the paper; the proofs page, "Inputs with long memory".
    """
    domain = "a length in steps, real, finite and above 1"
    length = checked("length", finite("length", length), lambda length: length > 1, domain, real=True)
    lam, length = alike(lam=_real(lam), length=length)
    log = torch.log if isinstance(lam, torch.Tensor) or isinstance(length, torch.Tensor) else np.log
    memory = 1 / (1 - lam)
    ratio, length = (torch.as_tensor(v) if log is torch.log else v for v in (length / memory, length))
    near = log(ratio) + np.euler_gamma
    return memory**2 * near / log(length), memory**4 * (near - 0.5) / log(length)


def _real(lam):
    return checked("lam", lam, lambda lam: (lam >= 0) & (lam < 1), "real, 0 <= lam < 1", real=True)


def _exponent(alpha, inside, domain):
    return checked("alpha", finite("alpha", alpha), inside, f"real, {domain}", real=True)


def _gamma(value):
    if isinstance(value, torch.Tensor):
        return torch.lgamma(value).exp()
    return np.vectorize(math.gamma, otypes=[float])(value)[()]
