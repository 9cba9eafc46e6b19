"""Claims of section 2.2 that no figure shows: errors sent back, other weights, inputs without stationarity."""

from __future__ import annotations

import numpy as np
import torch

from ... import theory
from ...scan import linear_scan
from ..statistics import Estimate, median
from .measures import RHOS, furthest
from .ranges import above, at_most, near
from .registry import claim

_DRAWS = 32


def _responses(lam: float, steps: int) -> dict[str, np.ndarray]:
    """Weights of the past inputs in the derivatives of y_t = c h_t, h_t = lam h_{t-1} + b x_t with respect to lam, b
    and c, at b = c = 1, by automatic differentiation."""
    impulse = torch.zeros(1, steps, 1, dtype=torch.float64)
    impulse[0, 0] = 1

    def output(lam, b, c):
        return c * linear_scan(lam, b * impulse)[0, :, 0]

    point = [torch.tensor([value], dtype=torch.float64) for value in (lam, 1.0, 1.0)]
    jacobians = torch.func.jacfwd(output, argnums=(0, 1, 2))(*point)
    return {name: J[:, 0].numpy() for name, J in zip(("lam", "b", "c"), jacobians, strict=True)}


@claim(
    "sec22-errors-sent-back",
    "The errors that a unit sends back to its inputs obey the same analysis as its states",
    kind="text",
    source="2.2 (Eq. 7), B.2.2",
    how="second moment of the gradient that reaches an input (weights of later errors by automatic differentiation) / "
    "closed form of E h², errors correlated as inputs are; λ = .99, the furthest from 1 of ρ = 0, .9, .99",
    accepted=near(1, 1e-6, "the same function, up to rounding"),
    seen=False,
)
def backward_over_forward() -> float:
    x = torch.zeros(1, 3_000, 1, dtype=torch.float64, requires_grad=True)
    errors = torch.zeros_like(x).requires_grad_()
    lam = torch.full((1,), 0.99, dtype=torch.float64)
    (sent_back,) = torch.autograd.grad(linear_scan(lam, x), x, errors, create_graph=True)
    (weights,) = torch.autograd.grad(sent_back[0, 0, 0], errors)  # it is linear in the errors
    weights, lags = weights.flatten().numpy(), np.arange(x.shape[1])
    ratios = [theory.window_moment(weights, rho**lags) / theory.state_variance(0.99, rho) for rho in RHOS[:3]]
    return furthest(ratios, 1)


@claim(
    "sec22-strongest-for-recurrent",
    "The explosion is strongest for recurrent parameters, not for input and readout weights",
    kind="text",
    source="2.2 (Eq. 7)",
    how="power of growth with the memory of E(dy/dλ)² less that of E(dy/db)² and E(dy/dc)² (automatic "
    "differentiation), memories of 100 and 1,000 steps; the smaller of white and constant inputs",
    accepted=above(0, "the strongest: a larger power than either of the others"),
)
def excess_power_of_recurrent() -> float:
    def moments(memory):
        weights = _responses(1 - 1 / memory, 20 * memory)
        return np.log10([[np.square(w).sum(), w.sum() ** 2] for w in weights.values()])  # white, constant inputs

    recurrent, *others = moments(1_000) - moments(100)
    return (recurrent - np.max(others, axis=0)).min()


def _profiles(steps: int, longest: float) -> np.ndarray:
    """Standard deviations of inputs over time (draws, steps), at most 1: they rise and fall with a period and a phase
    of each draw's own, periods log-uniform from 10 steps to ``longest``."""
    rng = np.random.default_rng(22)
    period = 10 * (longest / 10) ** rng.uniform(size=(_DRAWS, 1))
    phase = rng.uniform(size=(_DRAWS, 1))
    return np.abs(np.cos(np.pi * (np.arange(steps) / period + phase)))


@claim(
    "sec22-bound-without-stationarity",
    "Inputs that are not stationary, but whose correlations have the bound U(|n − m|), obey the formulas as "
    "upper bounds",
    kind="text",
    source="B.2.4",
    how="E|h|² and E|dλ h|² / their formulas at |λ| with U = .9^|n − m|, λ = .99 and .99 exp(iπ/4), inputs "
    "whose variance rises and falls; the largest ratio over 32 draws of the period",
    accepted=at_most(1, "an upper bound"),
    seen=False,
)
def moment_over_bound() -> float:
    i = np.arange(2_000)
    U = 0.9 ** np.abs(i[:, None] - i)
    bounds = theory.state_variance(0.99, 0.9), theory.sensitivity(0.99, 0.9)
    ratios = []
    for lam in (0.99, 0.99 * np.exp(0.25j * np.pi)):
        for weights, bound in zip((lam**i, i * lam ** (i - 1.0)), bounds, strict=True):
            driven = weights * _profiles(len(i), 1_000)
            ratios.append(np.einsum("di,di->d", driven.conj(), driven @ U).real / bound)
    return np.max(ratios)


@claim(
    "sec22-explodes-without-stationarity",
    "Inputs that are not stationary do not change the conclusions qualitatively",
    kind="text",
    source="2.2, B.2.4",
    how="power of growth of E(dλ h)² from memories of 10 to 1,000 steps, white inputs whose variance rises and falls; "
    "median over draws of the period, 10 to 10,000 steps",
    accepted=near(3, 0.3, "the power for stationary inputs, 3, to a tenth of it"),
    seen=False,
)
def power_without_stationarity() -> Estimate:
    i = np.arange(30_000)
    variances = _profiles(len(i), 10_000) ** 2
    short, long = (variances @ (i * lam ** (i - 1.0)) ** 2 for lam in (0.9, 0.999))
    return median(np.log(long / short) / np.log(100), "draws")
