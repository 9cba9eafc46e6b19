"""Units with gates, and finite windows."""

from __future__ import annotations

import operator

import numpy as np
import torch

from .domains import alike, correlation, finite, gate, one_kind, shown
from .moments import _cross_sensitivity, _generating_function


def gated_state_variance(lam, rho):
    r"""Second moment of the state of a gated unit,

    .. math:: h_t = \lambda h_{t-1} + (1 - \lambda) x_t: \qquad \mathrm{E} h^2 = \tilde F(\lambda, \lambda), \quad
              \tilde F(a, b) = (1 - a)(1 - b) F(a, b).

    Its input scale keeps it between 0 and the variance of the input, which it reaches for constant inputs.

    Args:
        lam: the gate, real, in [0, 1).
        rho: correlation of consecutive inputs, -1 to 1.

    Returns:
        The moment, linear in the input's autocorrelation.

    Source: Zucchet and Orvieto (2024), section 5.
    """
    lam, rho = alike(lam=gate(lam), rho=correlation(rho))
    return (1 - lam) ** 2 * _generating_function(lam, lam, rho)


def gated_sensitivity(lam, rho):
    r"""Second moment of a gated unit's sensitivity to the bias of its gate, :math:`\lambda = \sigma(b)`,

    .. math:: \mathrm{E} (\mathrm{d}_b h)^2 = \big(\lambda (1 - \lambda)\big)^2 \partial_a \partial_b \tilde F
              \big|_{a = b = \lambda}, \qquad
              \partial_a \partial_b \tilde F = F - 2 (1 - \lambda) F_a + (1 - \lambda)^2 S.

    Args:
        lam: the gate, real, in [0, 1).
        rho: correlation of consecutive inputs, -1 to 1.

    Returns:
        The moment, linear in the input's autocorrelation; 0 for constant inputs.

    Source: Zucchet and Orvieto (2024), section 5; the form that is right, erratum 8.
    """
    lam, rho = alike(lam=gate(lam), rho=correlation(rho))
    F, F_a = _generating_function_and_slope(lam, rho)
    mixed = F - 2 * (1 - lam) * F_a + (1 - lam) ** 2 * _cross_sensitivity(lam, lam, rho)
    return (lam * (1 - lam)) ** 2 * mixed


def _generating_function_and_slope(lam, rho):
    """F and its derivative in one argument, both at a = b = lam, real."""
    F = _generating_function(lam, lam, rho)
    return F, F * (rho / (1 - (rho * lam) ** 2) + lam / (1 - lam**2))


def gated_response(lam, steps):
    r"""How the state of a gated unit with a constant gate, and its sensitivity, weigh the inputs of a finite window,

    .. math:: h_t = \sum_{i=0}^{T-1} (1 - \lambda) \lambda^i \, x_{t-i}, \qquad
              \mathrm{d}_b h_t = \sum_{i=0}^{T-1} (1 - \lambda) \lambda^i \big((1 - \lambda) i - \lambda\big) x_{t-i}.

    Args:
        lam: the gate :math:`\lambda = \sigma(b)`, real, in [0, 1).
        steps: length of the window, T, at least 1; the state before it is 0.

    Returns:
        The two weights, of the shape of ``lam`` and one more axis ``(..., steps)``; arrays, or tensors for a tensor.
        Their second moments for any inputs are :func:`window_moment`'s.

    Source: derivatives of the recurrence; Zucchet and Orvieto (2024), section 5, with infinitely many steps.
    """
    lam, lag = _gate_and_lags(lam, steps)
    state = (1 - lam) * lam**lag
    return state, state * ((1 - lam) * lag - lam)


def _gate_and_lags(lam, steps):
    """The gate with one more axis, and the lags along it."""
    try:
        whole = 0 if isinstance(steps, bool) else operator.index(steps)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {shown(steps)}")
    lam = gate(lam)
    if isinstance(lam, torch.Tensor):
        return lam[..., None], torch.arange(whole, device=lam.device)
    return np.asarray(lam, float)[..., None], np.arange(whole)


def lstm_response(lam, steps):
    r"""The same for the cell of an LSTM, whose forget gate is :math:`\lambda` and whose input gate starts at
    :math:`1 - \lambda` but does not follow it,

    .. math:: \mathrm{d}_{b_f} c_t = \sum_{i=0}^{T-1} (1 - \lambda)^2 i \lambda^i \, x_{t-i}.

    The rest of a gated unit's sensitivity, :math:`-\lambda h_t`, belongs to the bias of the input gate.

    Args:
        lam: the forget gate, real, in [0, 1).
        steps: length of the window, T, at least 1.

    Returns:
        The two weights, as :func:`gated_response`.

    Source: derivatives of the recurrence; not in the paper.
    """
    lam, lag = _gate_and_lags(lam, steps)
    state = (1 - lam) * lam**lag
    return state, state * (1 - lam) * lag


def window_moment(weights, R):
    r"""Second moment of a weighted sum of the inputs of a finite window,

    .. math:: \mathrm{E} \Big(\sum_{i=0}^{T-1} w_i x_{t-i}\Big)^2 = \sum_{i,j} w_i w_j R(|i - j|).

    Args:
        weights: w, the latest input's first, ``(..., T)``.
        R: autocorrelation at lags 0 to T - 1 at least, shape ``(lags,)``; or the second moments
            :math:`\mathrm{E}[x_{t-i} x_{t-j}]` themselves, ``(T, T)``, where inputs are not stationary.

    Returns:
        The moment, shape ``(...)``.

    Raises:
        ValueError: R has too few lags, or another shape; a value is not finite.

    Source: Zucchet and Orvieto (2024), appendix B.2, cut after T terms.
    """
    weights, R = one_kind(finite("weights", weights), finite("R", R))
    if isinstance(weights, torch.Tensor):
        dtype = torch.promote_types(weights.dtype, R.dtype)
        weights, R = weights.to(dtype), R.to(dtype)
    else:
        weights, R = np.asarray(weights), np.asarray(R)
    if weights.ndim == 0 or weights.shape[-1] == 0:
        raise ValueError(f"weights must have shape (..., T) with T at least 1, got {tuple(weights.shape)}")
    steps = weights.shape[-1]
    if R.ndim == 1:
        if len(R) < steps:
            raise ValueError(f"R must hold {steps} lags, as many as weights, got {len(R)}")
        lag = np.arange(steps)
        R = R[np.abs(lag[:, None] - lag)]
    if R.shape != (steps, steps):
        raise ValueError(f"R must have shape (lags,) or ({steps}, {steps}), got {tuple(R.shape)}")
    return ((weights @ R) * weights).sum(-1)
