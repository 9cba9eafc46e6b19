"""Claims of Figure 2: moments of states and sensitivities with normalisation and reparametrisation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ... import theory
from ...parametrization import input_scale
from ...scan import linear_scan
from .. import statistics
from ..statistics import Estimate
from .measures import RHOS, furthest, local_exponent, simulated_sensitivity
from .ranges import at_least, at_most, between, near
from .registry import claim

_CORRELATED = (*RHOS[1:], 1.0)  # those of the figure above 0
_LAMS = 1 - np.logspace(-4, np.log10(0.99), 400)  # the figure's axis
_LIMIT = "the limit, to what is left this close to 1"


def _normalized_variance(lam: float, rho: float) -> float:
    return (1 - lam**2) * theory.state_variance(lam, rho)


def _normalized_sensitivity(lam: float, rho: float) -> float:
    """Second moment of dh/dnu with gamma and lam = exp(-exp nu), gamma held constant."""
    return (1 - lam**2) * (lam * np.log(lam)) ** 2 * theory.sensitivity(lam, rho)


@claim(
    "fig02-state-white",
    "A: with γ = √(1 − λ²), E h² is controlled over all λ for white inputs: it is 1",
    kind="text",
    source="3.1, caption of Figure 2",
    how="largest |E h² − 1| over λ from .01 to 1 − 10⁻⁶",
    accepted=at_most(1e-9, "1 whatever λ, up to rounding"),
)
def deviation_of_white_variance() -> float:
    return np.abs(_normalized_variance(1 - np.logspace(-6, np.log10(0.99), 200), 0.0) - 1).max()


@claim(
    "fig02-sensitivity-white",
    "B: with λ = exp(−exp ν) too and γ detached, E(dν h)² is controlled over all λ for white inputs",
    kind="text",
    source="3.1, B.3.1, caption of Figure 2",
    how="largest E(dν h)² over the figure's λ, .01 to 1 − 10⁻⁴",
    accepted=at_most(2, "controlled: no larger than the state's own 1, to a factor of two"),
)
def largest_white_sensitivity() -> float:
    return _normalized_sensitivity(_LAMS, 0.0).max()


def _least_rise(moment: Callable) -> float:
    """Largest moment over the figure's lambda over that of white inputs, at the correlation where this is smallest."""
    return min(moment(_LAMS, rho).max() for rho in _CORRELATED) / moment(_LAMS, 0.0).max()


@claim(
    "fig02-state-correlated",
    "A: for correlated inputs E h² is not controlled over all λ",
    kind="text",
    source="caption of Figure 2",
    how="largest E h² over the figure's λ / the same for white inputs, the smallest of ρ = .9, .99, .999, 1",
    accepted=at_least(10, "not controlled: larger by more than a factor of ten"),
)
def least_rise_of_variance() -> float:
    return _least_rise(_normalized_variance)


@claim(
    "fig02-sensitivity-correlated",
    "B: for correlated inputs E(dν h)² is not controlled over all λ either",
    kind="text",
    source="caption of Figure 2",
    how="largest E(dν h)² over the figure's λ / the same for white inputs, the smallest of ρ = .9, .99, .999, 1",
    accepted=at_least(10, "not controlled: larger by more than a factor of ten"),
)
def least_rise_of_sensitivity() -> float:
    return _least_rise(_normalized_sensitivity)


@claim(
    "fig02-gamma-alone",
    "B: γ alone lowers the explosion of E(dλ h)², but only partly",
    kind="text",
    source="3.1, B.3.1",
    how="power of growth with γ / without at 1 − λ = 10⁻⁴, the furthest from a half of ρ = 0, .9, .99, .999, 1",
    accepted=between(0.05, 0.95, "partly: some of the power goes and some is left"),
)
def remaining_power_with_gamma() -> float:
    def exponent(rho, scale):
        return local_exponent(lambda lam: scale(lam) * theory.sensitivity(lam, rho), 1e-4)

    remaining = [exponent(rho, lambda lam: 1 - lam**2) / exponent(rho, lambda lam: 1.0) for rho in (*RHOS, 1.0)]
    return furthest(remaining, 0.5)


def _spread_of_best_steps(scale: Callable[[float, float], float]) -> float:
    """The best parametrisation for inputs of correlation rho has the steps d(lambda)/d(omega) that keep the second
    moment of the sensitivity constant, given the square of its input scale. How much the ratio of these steps to those
    for white inputs varies over lambda, the largest over rho."""

    def steps(rho):
        return (scale(_LAMS, rho) * theory.sensitivity(_LAMS, rho)) ** -0.5

    ratios = [steps(0.0) / steps(rho) for rho in _CORRELATED]
    return max(ratio.max() / ratio.min() for ratio in ratios)


@claim(
    "fig02-no-universal-optimum",
    "No parametrisation λ(ω) is the best for all inputs",
    kind="text",
    source="3.1, B.3.1",
    how="the steps dλ/dω that keep E(dω h)² constant for correlated inputs / for white ones, γ = √(1 − λ²): "
    "largest over smallest ratio over the figure's λ, the largest of ρ = .9, .99, .999, 1",
    accepted=at_least(2, "they differ by more than the factor of two that counts as the same"),
)
def spread_of_best_steps() -> float:
    return _spread_of_best_steps(lambda lam, rho: 1 - lam**2)


@claim(
    "fig02-ideal-gamma-nearly-universal",
    "If γ is ideal for each input (E h² = 1), one λ(ω) is nearly the best for all of them",
    kind="ours",
    source="3.1, B.3.1",
    how="the same ratio with γ² = 1 / E h² for each input",
    accepted=at_most(2, "the same within a factor of two"),
)
def spread_of_best_steps_with_ideal_gamma() -> float:
    return _spread_of_best_steps(lambda lam, rho: 1 / theory.state_variance(lam, rho))


@claim(
    "fig02-state-plateau",
    "A: with γ, E h² levels off at (1 + ρ) / (1 − ρ) for ρ < 1",
    kind="ours",
    source="3.1, from its formulas",
    how="ratio to it at 1 − λ = 10⁻⁶, the furthest from 1 of ρ = 0, .9, .99, .999",
    accepted=near(1, 0.01, _LIMIT),
)
def variance_over_plateau() -> float:
    return furthest([_normalized_variance(1 - 1e-6, rho) / ((1 + rho) / (1 - rho)) for rho in RHOS], 1)


@claim(
    "fig02-sensitivity-plateau",
    "B: with γ and λ = exp(−exp ν), E(dν h)² levels off at half of that",
    kind="ours",
    source="3.1, from its formulas",
    how="ratio to (1 + ρ) / (2 (1 − ρ)) at 1 − λ = 10⁻⁶, the furthest from 1 of the four ρ",
    accepted=near(1, 0.01, _LIMIT),
)
def sensitivity_over_plateau() -> float:
    return furthest([_normalized_sensitivity(1 - 1e-6, rho) / ((1 + rho) / (2 * (1 - rho))) for rho in RHOS], 1)


@claim(
    "fig02-state-grows-at-rho-1",
    "A: nothing levels off at ρ = 1: E h² grows as 2 (1 − λ)⁻¹",
    kind="ours",
    source="3.1, from its formulas",
    how="ratio to it at 1 − λ = 10⁻⁴",
    accepted=near(1, 0.01, _LIMIT),
)
def variance_over_growth() -> float:
    return _normalized_variance(1 - 1e-4, 1.0) / 2e4


@claim(
    "fig02-sensitivity-grows-at-rho-1",
    "B: nor does E(dν h)², which grows as 2 (1 − λ)⁻¹ too",
    kind="ours",
    source="3.1, from its formulas",
    how="ratio to it at 1 − λ = 10⁻⁴",
    accepted=near(1, 0.01, _LIMIT),
)
def sensitivity_over_growth() -> float:
    return _normalized_sensitivity(1 - 1e-4, 1.0) / 2e4


@claim(
    "fig02-sensitivity-simulated",
    "B: the closed form is the second moment of dh/dν of a running unit with γ, γ held constant",
    kind="ours",
    source="3.1",
    how="simulation / closed form at λ = .99, median over groups of eight units; of ρ = 0, .9, .99 the one whose "
    "interval reaches furthest from 1",
    accepted=near(1, 0.06, "equal, to the scatter of a simulation of this length"),
)
def simulated_over_exact_sensitivity() -> Estimate:
    def states(nu, x):
        lam = torch.exp(-torch.exp(nu))
        return linear_scan(lam, input_scale(lam.detach()) * x)

    nu, exact = np.log(-np.log(0.99)), {rho: _normalized_sensitivity(0.99, rho) for rho in RHOS[:3]}
    return statistics.furthest(*(simulated_sensitivity(states, nu, rho, 2, exact[rho]) for rho in exact), target=1)
