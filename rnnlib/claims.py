"""The paper's claims as data: each a statement, a measurement of ours, the range accepted beforehand, a verdict.

A claim is a function that returns one number. The range was written down before the number was looked at; a number
outside it shows as "fails", it does not raise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import theory
from .parametrization import input_scale
from .scan import linear_scan

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler
    from torch import Tensor

__all__ = ["CLAIMS", "Claim", "evaluate", "table"]

RHOS = (0.0, 0.9, 0.99, 0.999)  # the input correlations of Figures 1 and 2 below 1


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and how we measure it.

    Attributes:
        figure: the figure it belongs to, ``fig01`` to ``fig15``.
        statement: what the paper says, in one plain sentence.
        source: where it says so.
        how: what we measure, and on what.
        expected: the number the statement implies.
        tolerance: how far from ``expected`` still counts as agreement.
        measure: returns our number.
    """

    figure: str
    statement: str
    source: str
    how: str
    expected: float
    tolerance: float
    measure: Callable[[], float]

    def verdict(self, measured: float) -> str:
        """``"holds"`` if the number is within tolerance, else ``"fails"`` (NaN fails)."""
        return "holds" if abs(measured - self.expected) <= self.tolerance else "fails"


CLAIMS: list[Claim] = []


def _claim(figure: str, statement: str, *, source: str, how: str, expected: float, tolerance: float):
    def register(measure: Callable[[], float]) -> Callable[[], float]:
        CLAIMS.append(Claim(figure, statement, source, how, expected, tolerance, measure))
        return measure

    return register


def evaluate(*figures: str) -> pd.DataFrame:
    """Measure the claims of some figures, or of all.

    Args:
        figures: figure names such as ``"fig01"``; none means all.

    Returns:
        A row a claim: figure, claim, paper, tolerance, measured, how, source, verdict.

    Raises:
        ValueError: a name has no claims.
    """
    import pandas as pd

    known = sorted({claim.figure for claim in CLAIMS})
    for figure in figures:
        if figure not in known:
            raise ValueError(f"no claims for {figure!r}; choose from {', '.join(known)}")
    rows = []
    for claim in CLAIMS:
        if figures and claim.figure not in figures:
            continue
        measured = float(claim.measure())
        rows.append(
            {
                "figure": claim.figure,
                "claim": claim.statement,
                "paper": claim.expected,
                "tolerance": claim.tolerance,
                "measured": measured,
                "how": claim.how,
                "source": claim.source,
                "verdict": claim.verdict(measured),
            }
        )
    return pd.DataFrame(rows)


def table(*figures: str) -> Styler:
    """The claims of some figures, or of all, as a table to show at the end of a notebook.

    Args:
        figures: as for :func:`evaluate`.

    Returns:
        A pandas Styler: claim, the paper's number with the accepted range, our number, how, source, verdict.
    """
    frame = evaluate(*figures)
    accepted = [f"{paper:g} ± {slack:g}" for paper, slack in zip(frame["paper"], frame["tolerance"], strict=True)]
    frame = frame.assign(paper=accepted).drop(columns=["tolerance"] + ["figure"] * (len(figures) == 1))
    return frame.style.hide(axis="index").format({"measured": "{:.4g}".format})


def _slope(moment: Callable[[float], float], eps: float) -> float:
    """Exponent of ``moment(lam)`` in 1 - lam at ``eps``: a centred difference of logarithms over a factor of 1.2."""
    low, high = eps / np.sqrt(1.2), eps * np.sqrt(1.2)
    return np.log(moment(1 - high) / moment(1 - low)) / np.log(high / low)


def _furthest(values: list[float], target: float) -> float:
    """The value furthest from ``target``: the claim holds for all if it holds for this one."""
    return max(values, key=lambda value: abs(value - target))


def _simulated_sensitivity(
    states: Callable[[Tensor, Tensor], Tensor], parameter: float, rho: float, seed: int
) -> float:
    """Monte Carlo estimate of the second moment of the derivative of a state with respect to its parameter.

    256 independent units, side by side as channels, run 20,000 steps after a burn-in of 2,000, so for time constants
    up to about 100; derivative by forward-mode automatic differentiation. The inputs are a scan of white noise.

    Args:
        states: maps the parameter of each unit ``(N,)`` and inputs ``(1, T, N)`` to states ``(1, T, N)``.
        parameter: where to differentiate.
        rho: correlation of consecutive inputs.
        seed: seed of the inputs.
    """
    noise = torch.randn(1, 22_001, 256, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = linear_scan(noise.new_full((256,), rho), (1 - rho**2) ** 0.5 * noise[:, 1:], noise[:, 0])
    point = noise.new_full((256,), parameter)
    _, derivative = torch.func.jvp(lambda value: states(value, x), (point,), (torch.ones_like(point),))
    return derivative[:, 2_000:].square().mean().item()


# Figure 1 -------------------------------------------------------------------------------------------------------------


@_claim(
    "fig01",
    "A: the sensitivity E(dλ h)² grows as (1 − λ)⁻³ when inputs are not perfectly correlated",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁶, the furthest from −3 of ρ = 0, .9, .99, .999",
    expected=-3,
    tolerance=0.01,
)
def _():
    return _furthest([_slope(lambda lam, rho=rho: theory.sensitivity(lam, rho), 1e-6) for rho in RHOS], -3)


@_claim(
    "fig01",
    "A: it grows as (1 − λ)⁻⁴ when they are (ρ = 1)",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁴",
    expected=-4,
    tolerance=0.01,
)
def _():
    return _slope(lambda lam: theory.sensitivity(lam, 1.0), 1e-4)


@_claim(
    "fig01",
    "A: the state itself, E h², grows as (1 − λ)⁻² at ρ = 1 (grey curve)",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁴",
    expected=-2,
    tolerance=0.01,
)
def _():
    return _slope(lambda lam: theory.state_variance(lam, 1.0), 1e-4)


@_claim(
    "fig01",
    "A: for ρ < 1, E h² grows only as (1 − λ)⁻¹",
    source="section 2.2",
    how="exponent at 1 − λ = 10⁻⁶, the furthest from −1 of ρ = 0, .9, .99, .999",
    expected=-1,
    tolerance=0.01,
)
def _():
    return _furthest([_slope(lambda lam, rho=rho: theory.state_variance(lam, rho), 1e-6) for rho in RHOS], -1)


@_claim(
    "fig01",
    "A: the factor in front of (1 − λ)⁻³ is (1 + ρ) / (4 (1 − ρ))",
    source="section 2.2, from its formula",
    how="ratio to it at 1 − λ = 10⁻⁶, the furthest from 1 of ρ = 0, .9, .99, .999",
    expected=1,
    tolerance=0.01,
)
def _():
    eps = 1e-6
    law = {rho: (1 + rho) / (4 * (1 - rho)) * eps**-3 for rho in RHOS}
    return _furthest([theory.sensitivity(1 - eps, rho) / law[rho] for rho in RHOS], 1)


@_claim(
    "fig01",
    "A: a correlated input acts like a constant one until 1 − λ ~ 1 − ρ, so the exponent passes from −4 to −3 there",
    source="section 2.2",
    how="exponent at 1 − λ = 1 − ρ = 10⁻³",
    expected=-3.5,
    tolerance=0.25,
)
def _():
    return _slope(lambda lam: theory.sensitivity(lam, 0.999), 1e-3)


@_claim(
    "fig01",
    "A: the closed form is the second moment of dh/dλ of a running network",
    source="section 2.2",
    how="simulation / closed form at λ = .99, the furthest from 1 of ρ = 0, .9, .99",
    expected=1,
    tolerance=0.06,
)
def _():
    ratios = [
        _simulated_sensitivity(linear_scan, 0.99, rho, seed=1) / theory.sensitivity(0.99, rho) for rho in RHOS[:3]
    ]
    return _furthest(ratios, 1)


def _curvature(direction: str, lam_star: float) -> float:
    """Second derivative of the white-input loss at the optimum, by automatic differentiation."""
    star = torch.tensor(lam_star, dtype=torch.complex128)

    def loss(shift):
        lam = star + shift if direction == "radial" else star * torch.polar(torch.ones_like(shift), shift)
        return theory.one_dimensional_loss(lam, star)

    return torch.func.hessian(loss)(torch.tensor(0.0, dtype=torch.float64)).item()


@_claim(
    "fig01",
    "B: along the real axis the minimum becomes a needle; its curvature grows as (1 − λ*)⁻³",
    source="section 2.3",
    how="exponent of the second derivative (automatic differentiation) at 1 − λ* = 10⁻⁴",
    expected=-3,
    tolerance=0.01,
)
def _():
    return _slope(functools.partial(_curvature, "radial"), 1e-4)


@_claim(
    "fig01",
    "C: along the circle |λ| = λ* it sharpens at the same rate",
    source="section 2.3",
    how="exponent of the second derivative in the angle (automatic differentiation) at 1 − λ* = 10⁻⁴",
    expected=-3,
    tolerance=0.01,
)
def _():
    return _slope(functools.partial(_curvature, "angular"), 1e-4)


# Figure 2 -------------------------------------------------------------------------------------------------------------


def _normalized_variance(lam: float, rho: float) -> float:
    return (1 - lam**2) * theory.state_variance(lam, rho)


def _normalized_sensitivity(lam: float, rho: float) -> float:
    """Second moment of dh/dnu with gamma and lam = exp(-exp nu), gamma held constant."""
    return (1 - lam**2) * (lam * np.log(lam)) ** 2 * theory.sensitivity(lam, rho)


@_claim(
    "fig02",
    "A: with γ = √(1 − λ²) and white inputs, E h² = 1 whatever λ",
    source="section 3.1",
    how="largest |E h² − 1| over λ from .01 to 1 − 10⁻⁶",
    expected=0,
    tolerance=1e-9,
)
def _():
    return np.abs(_normalized_variance(1 - np.logspace(-6, np.log10(0.99), 200), 0.0) - 1).max()


@_claim(
    "fig02",
    "A: with γ, E h² levels off at (1 + ρ) / (1 − ρ) for ρ < 1",
    source="section 3.1",
    how="ratio to it at 1 − λ = 10⁻⁶, the furthest from 1 of ρ = 0, .9, .99, .999",
    expected=1,
    tolerance=0.01,
)
def _():
    return _furthest([_normalized_variance(1 - 1e-6, rho) / ((1 + rho) / (1 - rho)) for rho in RHOS], 1)


@_claim(
    "fig02",
    "B: with γ and λ = exp(−exp ν), E(dν h)² levels off at half of that",
    source="section 3.1",
    how="ratio to (1 + ρ) / (2 (1 − ρ)) at 1 − λ = 10⁻⁶, the furthest from 1 of the four ρ",
    expected=1,
    tolerance=0.01,
)
def _():
    return _furthest([_normalized_sensitivity(1 - 1e-6, rho) / ((1 + rho) / (2 * (1 - rho))) for rho in RHOS], 1)


@_claim(
    "fig02",
    "A: nothing levels off at ρ = 1: E h² grows as 2 (1 − λ)⁻¹",
    source="section 3.1",
    how="ratio to it at 1 − λ = 10⁻⁴",
    expected=1,
    tolerance=0.01,
)
def _():
    return _normalized_variance(1 - 1e-4, 1.0) / 2e4


@_claim(
    "fig02",
    "B: nor does E(dν h)², which grows as 2 (1 − λ)⁻¹ too",
    source="section 3.1",
    how="ratio to it at 1 − λ = 10⁻⁴",
    expected=1,
    tolerance=0.01,
)
def _():
    return _normalized_sensitivity(1 - 1e-4, 1.0) / 2e4


@_claim(
    "fig02",
    "B: the plateaus are those of a running unit with γ, differentiated with respect to ν",
    source="section 3.1",
    how="simulation / closed form at λ = .99, the furthest from 1 of ρ = 0, .9, .99",
    expected=1,
    tolerance=0.06,
)
def _():
    def states(nu, x):
        lam = torch.exp(-torch.exp(nu))
        return linear_scan(lam, input_scale(lam.detach()) * x)

    nu = np.log(-np.log(0.99))
    ratios = [_simulated_sensitivity(states, nu, rho, seed=2) / _normalized_sensitivity(0.99, rho) for rho in RHOS[:3]]
    return _furthest(ratios, 1)
