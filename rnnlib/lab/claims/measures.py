"""Measures that claims of several figures share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...scan import linear_scan
from .. import experiments, systems
from ..curvature import Hessian, hessian, rank, response_loss, white_gram
from ..experiments.analysis import held_out_runs
from ..statistics import Estimate, median

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

RHOS = (0.0, 0.9, 0.99, 0.999)  # the input correlations of Figures 1 and 2 below 1
SYSTEMS = 10  # random ones, in Figures 4 and 9
_LAYERS = {"dense": systems.as_dense, "diagonal": systems.as_diagonal, "lru": systems.as_lru, "s4": systems.as_s4}

load = functools.cache(experiments.load)


def furthest(values: list[float], target: float) -> float:
    """The value furthest from ``target``: the claim holds for all if it holds for this one."""
    return max(values, key=lambda value: abs(value - target))


def local_exponent(moment: Callable[[float], float], eps: float) -> float:
    """Exponent of ``moment(lam)`` in 1 - lam at ``eps``: a centred difference of logarithms over a factor of 1.2."""
    low, high = eps / np.sqrt(1.2), eps * np.sqrt(1.2)
    return np.log(moment(1 - high) / moment(1 - low)) / np.log(high / low)


def furthest_estimate(estimates: list[Estimate], target: float) -> Estimate:
    """The estimate whose interval reaches furthest from ``target``: if it lies within a range around the target, all
    do."""
    return max(estimates, key=lambda estimate: max(target - estimate.low, estimate.high - target))


def simulated_sensitivity(
    states: Callable[[Tensor, Tensor], Tensor], parameter: float, rho: float, seed: int, exact: float
) -> Estimate:
    """Monte Carlo estimate of the second moment of the derivative of a state with respect to its parameter, over the
    exact one.

    256 independent units, side by side as channels, run 20,000 steps after a burn-in of 2,000, so for time constants
    up to about 100; derivative by forward-mode automatic differentiation. The inputs are a scan of white noise. The
    median is over 32 groups of eight units, whose means are nearly normal.

    Args:
        states: maps the parameter of each unit ``(N,)`` and inputs ``(1, T, N)`` to states ``(1, T, N)``.
        parameter: where to differentiate.
        rho: correlation of consecutive inputs.
        seed: seed of the inputs.
        exact: the moment that is expected.
    """
    noise = torch.randn(1, 22_001, 256, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = linear_scan(noise.new_full((256,), rho), (1 - rho**2) ** 0.5 * noise[:, 1:], noise[:, 0])
    point = noise.new_full((256,), parameter)
    _, derivative = torch.func.jvp(lambda value: states(value, x), (point,), (torch.ones_like(point),))
    moments = derivative[0, 2_000:].square().mean(0) / exact
    return median(moments.view(32, 8).numpy(), "groups of units")


def _system(seed: int) -> systems.System:
    return systems.conjugate_pairs(generator=torch.Generator().manual_seed(seed))


@functools.cache
def hessian_at_optimum(name: str, seed: int) -> Hessian:
    """Exact Hessian of a random system of two conjugate pairs, realised as one of ``_LAYERS``, T = 300."""
    system = _system(seed)
    return hessian(_LAYERS[name](system), response_loss(system.impulse_response(300), white_gram(300)))


def rank_at_optimum(name: str, seed: int) -> int:
    """Rank of that Hessian, from the singular values of the response's Jacobian."""
    return rank(_LAYERS[name](_system(seed)), white_gram(300))


def median_effective_rates(experiment: str, column: str) -> pd.Series:
    """Medians over the positive effective rates of each group, by student, its first moduli and parameter."""
    frame = load(experiment, "parameters")
    return frame[frame[column] > 0].groupby(["student", "start", "parameter"])[column].median()


@functools.cache
def held_out_log_ratios(experiment: str, *by: str) -> pd.Series:
    """Decades of loss / zero predictor's at the rate chosen on other teachers, by point and teacher."""
    frame = held_out_runs(load(experiment), by)
    return np.log10(frame.set_index([*by, "seed"])["ratio"])


@functools.cache
def log_mean_squares(experiment: str, source: str = "wikipedia", target: str = "previous") -> pd.Series:
    """Decades of mean squares, by kind, normalization, time, layer and group ("output" for outputs)."""
    frame = load(experiment)
    frame = frame[(frame["source"] == source) & ((frame["quantity"] == "output") | (frame["target"] == target))]
    frame = frame.assign(group=frame["group"].fillna("output"), value=np.log10(frame["mean_square"]))
    return frame.set_index(["kind", "normalization", "time", "layer", "group"])["value"]
