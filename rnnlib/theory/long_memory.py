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


def spectral_moments(modulus, beta):
    r"""The same for inputs whose spectrum is a power of the distance to a frequency, :math:`S(\omega) \sim |\omega -
    \theta|^{-\beta}`, and a unit with that frequency as its angle, :math:`\lambda = \nu e^{i\theta}`:

    .. math:: \mathrm{E}|h|^2 \sim \frac{m^{1 + \beta}}{2 \cos(\pi \beta / 2)}, \qquad
              \mathrm{E}|\mathrm{d}_\lambda h|^2 \sim \frac{(1 + \beta) \, m^{3 + \beta}}{4 \cos(\pi \beta / 2)}, \qquad
              m = \frac{1}{1 - \nu}.

    White inputs have :math:`\beta = 0`, those of :func:`power_law_moments` :math:`\theta = 0` and :math:`\beta = 1 -
    \alpha`; :math:`\beta \to 1` is 1/f noise, and below 0 a unit hears less the longer it remembers.

    Args:
        modulus: :math:`\nu`, in [0, 1).
        beta: in (-1, 1).

    Returns:
        The pair of moments, in the limit of :math:`\nu \to 1`. Divided by each other they are
        :math:`\frac{1 + \beta}{2} m^2`.

    Source: not in the paper; the proofs page, "Inputs with long memory".
    """
    beta = checked(
        "beta", finite("beta", beta), lambda beta: (beta > -1) & (beta < 1), "real, -1 < beta < 1", real=True
    )
    modulus, beta = alike(modulus=_real(modulus, "modulus"), beta=beta)
    half = beta * (np.pi / 2)
    cos = torch.cos(half) if isinstance(half, torch.Tensor) else np.cos(half)
    memory = 1 / (1 - modulus)
    state = memory ** (1 + beta) / (2 * cos)
    return state, (1 + beta) / 2 * memory**2 * state


def _real(lam, name="lam"):
    return checked(name, lam, lambda lam: (lam >= 0) & (lam < 1), f"real, 0 <= {name} < 1", real=True)


def _exponent(alpha, inside, domain):
    return checked("alpha", finite("alpha", alpha), inside, f"real, {domain}", real=True)


def _gamma(value):
    if isinstance(value, torch.Tensor):
        return torch.lgamma(value).exp()
    return np.vectorize(math.gamma, otypes=[float])(value)[()]
