"""Recurrences that are not learned: what the best linear readout of units with fixed eigenvalues leaves."""

from __future__ import annotations

import numpy as np
import torch

from .domains import conjugate, disc, finite


def readout_error(poles, lam, weights):
    r"""Smallest squared error of a sum of units with fixed eigenvalues that stands for a sum of others,

    .. math:: \min_w \sum_{\tau \ge 0} \Big| \sum_i a_i \lambda_i^\tau - \sum_j w_j p_j^\tau \Big|^2
              = \sum_{i,k} \frac{a_i \bar a_k \, b_i \bar b_k}{1 - \lambda_i \bar\lambda_k}, \qquad
              b_i = \prod_j \frac{\lambda_i - p_j}{1 - \bar p_j \lambda_i}.

    For white inputs it is the output's error variance, and it is a product of distances in the hyperbolic plane: a
    single unit leaves the share :math:`|b|^2` of its variance. A readout of real outputs has each pole and its
    conjugate; a skip connection takes away lag 0, so weights :math:`a_i \lambda_i` then give the error of the rest.

    Args:
        poles: fixed eigenvalues p, different ones, inside the unit circle, ``(..., N)``.
        lam: eigenvalues of what they stand for, inside the unit circle, ``(..., n)``.
        weights: a, as many.

    Returns:
        The error, real, ``(...)``; divide by that without poles, ``(..., 0)``, for a share.

    Raises:
        ValueError: an eigenvalue is not inside the unit circle, a weight is not finite, or shapes do not fit.

    Source: not in the paper; the proofs page, "Fixed eigenvalues".
    """
    poles, lam, weights = _vectors(poles=disc("poles", poles), lam=disc("lam", lam), weights=finite("weights", weights))
    distance = (lam[..., None] - poles[..., None, :]) / (1 - conjugate(poles)[..., None, :] * lam[..., None])
    left = weights * distance.prod(-1)
    products = left[..., None] * conjugate(left)[..., None, :] / (1 - lam[..., None] * conjugate(lam)[..., None, :])
    return products.sum(-1).sum(-1).real


def _vectors(**values):
    """As arrays or, if one of them is one, tensors with at least one axis; an error if they do not fit."""
    shapes = {name: tuple(np.shape(value)) for name, value in values.items()}
    try:
        np.broadcast_shapes(*(shape[:-1] for shape in shapes.values()))
        fit = all(shapes.values()) and shapes["lam"][-1] == shapes["weights"][-1]
    except ValueError:
        fit = False
    if not fit:
        shown = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"poles must have shape (..., N), lam and weights (..., n), got {shown}")
    if any(isinstance(value, torch.Tensor) for value in values.values()):
        return tuple(torch.as_tensor(value) + 0j for value in values.values())
    return tuple(np.asarray(value) + 0j for value in values.values())
