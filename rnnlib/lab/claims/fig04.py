"""Claims of Figure 4: Hessians of one system as a dense and as a diagonal network, and Adam's effective rates."""

from __future__ import annotations

import numpy as np

from ..curvature import participation_ratio
from .measures import SYSTEMS, furthest, hessian_at_optimum, median_effective_rates, rank_at_optimum
from .ranges import at_least, near
from .registry import claim


@claim(
    "fig04-rank-dense",
    "A system of order 4 has a Hessian of rank 2 · 4 + 1 = 9 as a dense RNN",
    kind="text",
    source="section 4.1",
    how="singular values above 10⁻¹⁰ of the largest, over 25 parameters, the furthest from 9 of 10 systems",
    accepted=near(9, 0.5, "TODO"),
)
def rank_of_dense() -> float:
    return furthest([rank_at_optimum("dense", seed) for seed in range(SYSTEMS)], 9)


@claim(
    "fig04-rank-diagonal",
    "It has the same rank as a complex diagonal RNN",
    kind="text",
    source="section 4.1",
    how="the same, over 25 other parameters",
    accepted=near(9, 0.5, "TODO"),
)
def rank_of_diagonal() -> float:
    return furthest([rank_at_optimum("diagonal", seed) for seed in range(SYSTEMS)], 9)


def _mean_participation(name: str, seed: int) -> float:
    """Mean over the nine eigenvectors that are not flat."""
    return participation_ratio(hessian_at_optimum(name, seed).eigenvectors[:, :9]).mean().item()


@claim(
    "fig04-eigenvector-participation",
    "Top eigenvectors spread over fewer coordinates in the diagonal RNN than in the dense one",
    kind="text",
    source="section 4.1",
    how="in how many of 10 systems the mean participation ratio of nine eigenvectors is smaller",
    accepted=near(10, 1, "TODO"),
)
def systems_with_sparser_diagonal_eigenvectors() -> float:
    return sum(_mean_participation("diagonal", seed) < _mean_participation("dense", seed) for seed in range(SYSTEMS))


@claim(
    "fig04-spectra",
    "The spectra are almost the same",
    kind="text",
    source="caption of Figure 4",
    how="decades between the largest eigenvalues, dense over diagonal, median of 10 systems; at most one",
    accepted=near(0, 1, "TODO"),
)
def log_ratio_of_top_eigenvalues() -> float:
    ratios = [
        hessian_at_optimum("dense", seed).eigenvalues[0] / hessian_at_optimum("diagonal", seed).eigenvalues[0]
        for seed in range(SYSTEMS)
    ]
    return float(np.median(np.log10(ratios)))


def _diagonal_over_dense_rate(column: str) -> float:
    """Decades between the median effective rates of a diagonal network's eigenvalues and of a dense A."""
    medians = median_effective_rates("fig04cd", column)
    return np.log10(medians["crnn", 0.99, "lam"] / medians["rnn", 0.0, "A"])


@claim(
    "fig04-effective-rates",
    "C, D: Adam's effective rates of a dense A are orders of magnitude below those of a diagonal λ",
    kind="text",
    source="section 4.2",
    how="decades between the medians, of positive ones, after 10,000 steps, first of ten seeds; a row for the start on "
    "the teacher's ring was dropped after the runs: nine of ten diverge",
    accepted=at_least(1, "TODO"),
)
def log_ratio_of_effective_rates() -> float:
    return _diagonal_over_dense_rate("effective")


@claim(
    "fig04-effective-rates-without-momentum",
    "C, D: so they are without the first moment (erratum 9)",
    kind="text",
    source="section 4.2",
    how="the same for rate / (√v + ε)",
    accepted=at_least(1, "TODO"),
)
def log_ratio_of_effective_rates_without_momentum() -> float:
    return _diagonal_over_dense_rate("effective_plain")
