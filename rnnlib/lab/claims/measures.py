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
from ..statistics import Estimate, by_teacher, cross_fitted, median

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

RHOS = (0.0, 0.9, 0.99, 0.999)  # the input correlations of Figures 1 and 2 below 1
SYSTEMS = 32  # random ones, in Figures 4 and 9
_LAYERS = {
    "dense": systems.as_dense,
    "diagonal": systems.as_diagonal,
    "lru": systems.as_lru,
    "s4": systems.as_s4,
    "s4_unit": functools.partial(systems.as_s4, step_size=1.0),
}

load = functools.cache(experiments.load)


@functools.cache
def load_with_second_look(name: str) -> pd.DataFrame:
    """The runs of an experiment and, once stored, those at rates beyond the ends that were chosen too often."""
    import pandas as pd

    wider = f"{name}_wider"
    stored = (experiments.store.PACKAGED / f"{wider}.json").exists()
    return pd.concat([load(name), load(wider)], ignore_index=True) if stored else load(name)


def furthest(values: list[float], target: float) -> float:
    """The value furthest from ``target``: the claim holds for all if it holds for this one."""
    return max(values, key=lambda value: abs(value - target))


def local_exponent(moment: Callable[[float], float], eps: float) -> float:
    """Exponent of ``moment(lam)`` in 1 - lam at ``eps``: a centred difference of logarithms over a factor of 1.2."""
    low, high = eps / np.sqrt(1.2), eps * np.sqrt(1.2)
    return np.log(moment(1 - high) / moment(1 - low)) / np.log(high / low)


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


_POINT = ["student", "start", "nu0", "theta0", "heads"]


@functools.cache
def cross_fitted_runs(experiment: str) -> pd.DataFrame:
    """Runs of an experiment on many teachers, and of the second look at its rates if it has one, each at the rate that
    the teacher's other run chose; by point."""
    import pandas as pd

    frame, wider = load(experiment), experiment.replace("_teachers", "_wider")
    if wider != experiment and wider in experiments.names():
        frame = pd.concat([frame, load(wider)])
    return cross_fitted(frame, _POINT).set_index(_POINT).sort_index()


def decades(
    experiment: str, student: str, start: float = 0.99, nu0: float = 0.99, theta0: float = 1.0, heads: int = 1
) -> np.ndarray:
    """Decades of loss over the zero predictor's of one point of such an experiment, a row a teacher."""
    return by_teacher(cross_fitted_runs(experiment).loc[student, start, nu0, theta0, heads])


@functools.cache
def log_effective_rates(experiment: str, column: str = "effective") -> pd.DataFrame:
    """Decades of the median effective rate of each parameter tensor (columns: student, start, parameter) on each
    teacher (rows), the mean over the teacher's runs; NaN where all of them diverged."""
    frame = load(experiment, "groups")
    frame = frame.assign(teacher=frame["seed"] % 100, decades=np.log10(frame[column]))
    return frame.pivot_table("decades", "teacher", ["student", "start", "parameter"])


def paired_rates(first: pd.Series, second: pd.Series) -> Estimate:
    """Decades from the second's effective rates to the first's, on the teachers on which both trained to the end."""
    pairs = (first - second).dropna()
    return median(pairs)
