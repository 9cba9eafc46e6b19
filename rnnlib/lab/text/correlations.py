"""Autocorrelations of embeddings: what they are, and the exponential that fits them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from .. import checks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


@dataclass(frozen=True)
class Autocorrelation:
    r"""The autocorrelation :math:`R(D) = w \, [D = 0] + a \, r^{|D|}`.

    Attributes:
        white: w, the part without memory.
        amplitude: a, of the part with memory.
        decay: r, its correlation from one step to the next, in [0, 1).
    """

    white: float
    amplitude: float
    decay: float

    def __call__(self, lags: np.ndarray) -> np.ndarray:
        """R at some lags.

        Args:
            lags: whole numbers, any shape.

        Returns:
            Array of the same shape.
        """
        lags = np.abs(np.asarray(lags))
        return self.white * (lags == 0) + self.amplitude * self.decay**lags


#: The paper's fit to the embeddings of bert-base-uncased (Figure 12).
PAPER = Autocorrelation(white=0.332, amplitude=0.0431, decay=0.9970)


def autocorrelation(
    x: Float[Tensor, "B T N"], lags: int | None = None, mask: Bool[Tensor, "B T"] | None = None
) -> np.ndarray:
    r""":math:`R(D)`, the mean over sequences, times and dimensions of :math:`x_t x_{t + D}`, not centred.

    A unit whose input is :math:`w \cdot x_t` with independent weights of mean 0 and variance 1/N sees inputs of this
    autocorrelation, on average over the weights.

    Args:
        x: embeddings ``(batch, time, dimension)``.
        lags: how many, from 0; by default all but the longest, as in the paper.
        mask: ``(batch, time)``; pairs with a step where it is False are left out.

    Returns:
        float64 array ``(lags,)``.

    Raises:
        ValueError: shapes do not fit, x is empty, lags is out of range, or the mask leaves no pair of steps at a lag.
    """
    checks.shape("x", x, "batch", "time", "dimension")
    if not x.numel():
        raise ValueError(f"x must not be empty, got shape {tuple(x.shape)}")
    time = x.shape[1]
    lags = max(1, time - 1) if lags is None else checks.whole("lags", lags, None)
    if not 1 <= lags <= time:
        raise ValueError(f"lags must be between 1 and the {time} steps of x, got {lags}")
    if mask is not None:
        checks.shape("mask", mask, *x.shape[:2])
    used = torch.ones(x.shape[:2], device=x.device) if mask is None else mask.to(x.device, torch.float32)
    products = torch.zeros(time, time, dtype=torch.float64, device=x.device)
    for batch, steps in zip(x.split(16), used.split(16), strict=True):  # in double, without a copy of all of x
        rows = (batch * steps[..., None]).double().transpose(0, 1).flatten(1)
        products += rows @ rows.T / x.shape[2]
    pairs = used.double().T @ used.double()
    counts = [pairs.diagonal(lag).sum().item() for lag in range(lags)]
    if 0 in counts:
        raise ValueError(f"mask leaves no pair of steps at lag {counts.index(0)}: ask for fewer lags")
    return np.array([(products.diagonal(lag).sum() / counts[lag]).item() for lag in range(lags)])


def fit_autocorrelation(values: np.ndarray) -> Autocorrelation:
    """The exponential that fits an autocorrelation best at lags of 1 and more, least squares; the rest is white.

    Args:
        values: R at lags 0, 1, and so on, three at least.

    Returns:
        The fit; its value at lag 0 is that of ``values``.

    Raises:
        ValueError: values have another shape, are too few or not finite.
    """
    values = np.asarray(values, dtype=float)
    checks.shape("values", values, "lags")
    if len(values) < 3:
        raise ValueError(f"values must hold R at three lags at least, got {len(values)}")
    if not np.isfinite(values).all():
        lag = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"values must be finite, got {values[lag]} at lag {lag}")
    from scipy.optimize import minimize_scalar

    lags = np.arange(1, len(values))

    def amplitude(decay: float) -> float:
        powers = decay**lags
        return float(powers @ values[1:] / (powers @ powers))

    def decay_of(log_time: float) -> float:
        return math.exp(-math.exp(-log_time))

    def error(log_time: float) -> float:
        decay = decay_of(log_time)
        return float(((values[1:] - amplitude(decay) * decay**lags) ** 2).sum())

    # the time constant is between 1/10 of a step and 100 windows: the best of a grid, then the minimum beside it
    grid = np.linspace(math.log(0.1), math.log(100 * len(values)), 200)
    best = int(np.argmin([error(point) for point in grid]))
    bounds = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    decay = decay_of(minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x)
    return Autocorrelation(float(values[0]) - amplitude(decay), amplitude(decay), decay)
