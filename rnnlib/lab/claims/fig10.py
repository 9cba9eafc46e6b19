"""Claims of Figure 10: the Hessian over concentrated eigenvalues, and what it does to training."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from ... import theory
from ...parametrization import ring
from ..curvature import diagonal_fraction
from ..experiments.analysis import best
from .measures import furthest, load
from .ranges import at_least, near
from .registry import claim

_THETAS = (math.pi, math.pi / 10, math.pi / 100)
_DRAWS = 20


@functools.cache
def _concentration(rho: float) -> np.ndarray:
    """Diagonal fraction and largest eigenvalue of the Hessian (draws, angles, 2): 10 eigenvalues as in Figure 10."""
    values = np.empty((_DRAWS, len(_THETAS), 2))
    for seed in range(_DRAWS):
        for i, theta in enumerate(_THETAS):
            generator = torch.Generator().manual_seed(seed)  # the same moduli, weights and relative angles
            lam = ring(10, 0.99, 0.995, theta, generator=generator, dtype=torch.complex128).numpy()
            b, c = torch.randn(2, 10, generator=generator, dtype=torch.complex128).numpy()
            H = torch.tensor(theory.diagonal_hessian(lam, b, c, rho))
            values[seed, i] = diagonal_fraction(H), torch.linalg.eigvalsh(H)[-1]
    return values


@claim(
    "fig10-diagonal-fraction-falls",
    "The Hessian loses its diagonal as eigenvalues concentrate",
    kind="text",
    source="section 4.2",
    how="ρ = .99; in how many of 20 draws the diagonal fraction falls from θ₀ = π to π/10 to π/100",
    accepted=near(20, 2, "TODO"),
)
def draws_with_falling_diagonal_fraction() -> float:
    return np.all(np.diff(_concentration(0.99)[..., 0]) < 0, axis=1).sum()


@claim(
    "fig10-diagonal-fraction-falls-white",
    "It does so for uncorrelated inputs too (erratum 7)",
    kind="text",
    source="section 4.2",
    how="ρ = 0; in how many of 20 draws the diagonal fraction falls from θ₀ = π to π/10 to π/100",
    accepted=near(20, 2, "TODO"),
)
def draws_with_falling_diagonal_fraction_of_white_input() -> float:
    return np.all(np.diff(_concentration(0.0)[..., 0]) < 0, axis=1).sum()


@claim(
    "fig10-diagonal-fraction-white-alike",
    "The fraction on the diagonal is about that of uncorrelated inputs (erratum 7)",
    kind="text",
    source="caption of Figure 10 against its code",
    how="largest over θ₀ of the median of 20 differences between ρ = .99 and ρ = 0",
    accepted=near(0, 0.1, "TODO"),
)
def difference_of_diagonal_fractions() -> float:
    return furthest(np.median(_concentration(0.99) - _concentration(0.0), axis=0)[:, 0].tolist(), 0)


@claim(
    "fig10-top-eigenvalue-white",
    "For uncorrelated inputs, as the text has it, concentration also raises the top eigenvalue (erratum 7)",
    kind="text",
    source="caption of Figure 10 against its code",
    how="ρ = 0; its growth from θ₀ = π to π/100 over that at ρ = .99, in decades, medians of 20 draws",
    accepted=near(1, 0.5, "TODO"),
)
def relative_growth_of_top_eigenvalue() -> float:
    growth = [np.median(np.log10(values[:, 2, 1] / values[:, 0, 1])) for values in map(_concentration, (0.0, 0.99))]
    return growth[0] / growth[1]


@claim(
    "fig10-gap-widens",
    "D: the gap between the complex RNN and the LRU widens as eigenvalues concentrate",
    kind="text",
    source="appendix C.2",
    how="decades of the gap at θ₀ = π/100 minus those at π",
    accepted=at_least(0.3, "TODO"),
)
def widening_of_gap() -> float:
    losses = np.log10(best(load("fig10d"), ["student", "theta0"]).set_index(["student", "theta0"])["loss"])
    gap = losses["crnn"] - losses["lru"]
    return gap[0.01] - gap[1.0]
