"""Gates that move: second moments where the eigenvalue and the input scale are drawn anew at each step."""

from __future__ import annotations

import numpy as np
import torch

from .domains import alike, checked, conjugate, correlation, finite, squared_modulus, tensors


def random_gate_moments(lam, dlam, scale, dscale, *, rho=0.0, persistence=0.0):
    r"""Second moments of a unit whose gate moves, and of its sensitivity to a parameter of the gate,

    .. math:: h_t = \lambda_t h_{t-1} + s_t x_t, \qquad
              \mathrm{d}h_t = \lambda_t \, \mathrm{d}h_{t-1} + \mathrm{d}\lambda_t \, h_{t-1} + \mathrm{d}s_t \, x_t.

    Gate, input scale and their derivatives are drawn together at each step, independent of the inputs, which are real,
    of variance 1 and white unless ``rho`` says otherwise. For white inputs and independent draws

    .. math:: \mathrm{E}|h|^2 &= \frac{\mathrm{E}|s|^2}{1 - \mathrm{E}|\lambda|^2}, \\
              \mathrm{E}[\bar h \, \mathrm{d}h] &= \frac{\mathrm{E}[\bar\lambda \, \mathrm{d}\lambda] \,
                  \mathrm{E}|h|^2 + \mathrm{E}[\bar s \, \mathrm{d}s]}{1 - \mathrm{E}|\lambda|^2}, \\
              \mathrm{E}|\mathrm{d}h|^2 &= \frac{\mathrm{E}|\mathrm{d}\lambda|^2 \, \mathrm{E}|h|^2
                  + 2 \, \mathrm{Re}\big(\mathrm{E}[\lambda \, \overline{\mathrm{d}\lambda}] \,
                  \mathrm{E}[\bar h \, \mathrm{d}h]\big) + \mathrm{E}|\mathrm{d}s|^2}{1 - \mathrm{E}|\lambda|^2}.

    Args:
        lam: equally likely draws of the gate, real or complex, ``(..., draws)``; a number is a constant gate.
        dlam: its derivative in each draw, with respect to one real parameter.
        scale: the input scale in each draw.
        dscale: its derivative.
        rho: correlation of consecutive inputs, a number from -1 to 1; white by default.
        persistence: probability that a step keeps the draw of the step before instead of drawing anew, a number in
            [0, 1): gates that are correlated in time.

    Returns:
        The pair of :math:`\mathrm{E}|h|^2` and :math:`\mathrm{E}|\mathrm{d}h|^2`, real, of the broadcast shape of the
        arguments without its last axis.

    Raises:
        ValueError: the mean of :math:`|\lambda|^2` over the draws is not below 1, or, with a persistence p, the one of
            :math:`(1 - p) |\lambda|^2 / (1 - p |\lambda|^2)`: the state has no stationary variance. Or an argument is
            not finite, out of range, without draws, or shapes do not broadcast.

    Source: not in the paper; derived on the proofs page, "Gates that move".
    """
    rho, p = _number("rho", correlation(rho)), _number("persistence", _probability(persistence))
    lam, dlam, scale, dscale = _draws(lam=lam, dlam=dlam, scale=scale, dscale=dscale)
    decay = _contracting(squared_modulus(lam), p)

    def received(each):
        """What a step receives, given its draw: the value given that draw, or the mean over draws."""
        return p * each + (1 - p) * _mean(each)

    def stationary(factor, term):
        """Solve each = factor * received(each) + term."""
        kept = 1 - p * factor
        mean = _mean(term / kept) / (1 - (1 - p) * _mean(factor / kept))
        return (factor * (1 - p) * mean + term) / kept

    # Cross moments with the input first: what is left of them a step later is rho times as much.
    hx = rho * received(stationary(rho * lam, scale))
    dhx = rho * received(stationary(rho * lam, dlam * hx + dscale))

    variance = stationary(decay, squared_modulus(scale) + 2 * _real_product(lam * hx, scale))
    hh = received(variance)
    term = conjugate(lam) * dlam * hh + conjugate(scale) * dscale
    term = term + conjugate(scale) * (lam * dhx + dlam * hx) + conjugate(lam * hx) * dscale
    hdh = received(stationary(decay, term))
    term = squared_modulus(dlam) * hh + squared_modulus(dscale)
    term = term + 2 * _real_product(lam * hdh, dlam) + 2 * _real_product(lam * dhx + dlam * hx, dscale)
    return variance.mean(axis=-1), stationary(decay, term).mean(axis=-1)


def input_gate_moments(lam, dlam, drive, ddrive, *, persistence=0.0):
    r"""The same where gates see the inputs: gate and drive are drawn together,

    .. math:: h_t = \lambda_t h_{t-1} + u_t, \qquad
              \mathrm{d}h_t = \lambda_t \, \mathrm{d}h_{t-1} + \mathrm{d}\lambda_t \, h_{t-1} + \mathrm{d}u_t,

    with :math:`\lambda_t` and :math:`u_t = s_t x_t` any functions of what is drawn anew at step t. Where draws are
    independent and :math:`\mathrm{E}u = \mathrm{E}\,\mathrm{d}u = 0`, these are the moments of
    :func:`random_gate_moments` with ``scale=drive``. Otherwise the state has a mean,
    :math:`\mathrm{E}h = \mathrm{E}u / (1 - \mathrm{E}\lambda)`, which the moments returned contain.

    Args:
        lam: equally likely draws of the gate, real or complex, ``(..., draws)``.
        dlam: its derivative in each draw, with respect to one real parameter.
        drive: what the step adds to the state in each draw, u.
        ddrive: its derivative.
        persistence: as of :func:`random_gate_moments`.

    Returns:
        The pair of :math:`\mathrm{E}|h|^2` and :math:`\mathrm{E}|\mathrm{d}h|^2`, as :func:`random_gate_moments`.

    Raises:
        ValueError: as :func:`random_gate_moments`.

    Source: not in the paper; derived on the proofs page, "Gates that move".
    """
    # A step that adds u is a step of scale u on the constant input 1.
    drives = {"drive": finite("drive", drive), "ddrive": finite("ddrive", ddrive)}
    return random_gate_moments(lam, dlam, *drives.values(), rho=1.0, persistence=persistence)


def _probability(p):
    return checked("persistence", p, lambda p: (p >= 0) & (p < 1), "real, 0 <= persistence < 1", real=True)


def _number(name, value):
    if np.shape(value) != ():
        raise ValueError(f"{name} must be one number, got an array of shape {tuple(np.shape(value))}")
    return float(value)


def _draws(**values):
    """The arguments as arrays or tensors of one shape, the draws along the last axis."""
    names = list(values)
    values = alike(**{name: finite(name, value) for name, value in values.items()})
    for name, value in zip(names, values, strict=True):
        if 0 in np.shape(value)[-1:]:
            raise ValueError(f"{name} must hold at least one draw, got shape {tuple(np.shape(value))}")
    if any(isinstance(value, torch.Tensor) for value in values):
        return torch.broadcast_tensors(*(torch.atleast_1d(value * 1.0) for value in tensors(*values)))
    return np.broadcast_arrays(*(np.atleast_1d(value) * 1.0 for value in values))


def _contracting(decay, p):
    r""":math:`|\lambda|^2` of each draw, if second moments settle."""
    mend = "(beyond, the variance grows without end: scale lam down)"
    lasting = checked("lam", p * decay, lambda d: d < 1, f"draws with persistence |lam|^2 below 1 {mend}")
    what = "|lam|^2" if p == 0 else f"{1 - p:g} |lam|^2 / (1 - {p:g} |lam|^2)"
    mean = (1 - p) * _mean(decay / (1 - lasting))
    mean = checked("lam", mean, lambda mean: mean < 1, f"draws with a mean {what} below 1 {mend}")
    return decay + 0 * mean  # where values cannot be read, NaN


def _mean(each):
    return each.mean(axis=-1, keepdims=True)


def _real_product(a, b):
    return (a * conjugate(b)).real
