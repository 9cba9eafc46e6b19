"""Claims of Figure 4: Hessians of one system as a dense and as a diagonal network, and Adam's effective rates."""

from __future__ import annotations

import numpy as np

from ..curvature import participation_ratio
from ..statistics import Estimate, by_teacher, median, paired_median, smallest
from .measures import (
    SYSTEMS,
    furthest,
    hessian_at_optimum,
    load,
    log_effective_rates,
    paired_rates,
    rank_at_optimum,
)
from .ranges import at_least, near, significantly, similar
from .registry import claim

_RATES = (
    "after 10,000 steps of rate .001 at ν₀ = .99, decades between medians of the positive ones, median over 32 teachers"
)


@claim(
    "fig04-rank-dense",
    "A system of order 4 has a Hessian of rank 2 · 4 + 1 = 9 as a dense RNN",
    kind="ours",
    source="ours, for Figure 4A",
    how=f"singular values above 10⁻¹⁰ of the largest, over 25 parameters, the furthest from 9 of {SYSTEMS} systems",
    accepted=near(9, 0.5, "a whole number: 9 itself"),
)
def rank_of_dense() -> float:
    return furthest([rank_at_optimum("dense", seed) for seed in range(SYSTEMS)], 9)


@claim(
    "fig04-rank-diagonal",
    "It has the same rank as a complex diagonal RNN",
    kind="ours",
    source="ours, for Figure 4B",
    how="the same, over 25 other parameters",
    accepted=near(9, 0.5, "a whole number: 9 itself"),
)
def rank_of_diagonal() -> float:
    return furthest([rank_at_optimum("diagonal", seed) for seed in range(SYSTEMS)], 9)


def _eigenvalues(name: str) -> np.ndarray:
    """Decades of the nine eigenvalues that are not zero, largest first (systems, 9)."""
    return np.stack([np.log10(hessian_at_optimum(name, seed).eigenvalues[:9].numpy()) for seed in range(SYSTEMS)])


@claim(
    "fig04-spectra",
    "A, B: the spectra of the dense and the diagonal RNN are similar, almost equal",
    kind="text",
    source="4.3 and caption of Figure 4; erratum 23",
    how=f"decades from the diagonal's largest eigenvalue to the dense one's, median of {SYSTEMS} systems",
    accepted=similar(),
    paper="about .5 (erratum 23)",
)
def log_ratio_of_top_eigenvalues() -> Estimate:
    return paired_median(_eigenvalues("dense")[:, 0], _eigenvalues("diagonal")[:, 0], "systems")


@claim(
    "fig04-sgd",
    "A, B: the large eigenvalues make learning with SGD almost impossible",
    kind="text",
    source="footnote 2, at 4.3",
    how="steps of gradient descent, at half the largest stable rate, after which the error along the flattest of the "
    "nine directions has fallen by a factor e: the condition number, in decades, median of systems, the smaller of "
    f"dense and diagonal; {SYSTEMS} systems",
    accepted=at_least(4, "almost impossible: it takes more than the 10,000 steps of the paper's training"),
    seen=False,
)
def log_steps_of_gradient_descent() -> Estimate:
    spectra = [_eigenvalues(name) for name in ("dense", "diagonal")]
    return smallest(*(paired_median(values[:, 0], values[:, -1], "systems") for values in spectra))


def _participation(name: str) -> np.ndarray:
    """Mean participation ratio of the nine eigenvectors that are not flat, by system."""
    vectors = (hessian_at_optimum(name, seed).eigenvectors[:, :9] for seed in range(SYSTEMS))
    return np.array([participation_ratio(nine).mean().item() for nine in vectors])


@claim(
    "fig04-eigenvector-participation",
    "A, B: top eigenvectors spread over many coordinates in the dense RNN, over few in the diagonal one",
    kind="text",
    source="4.3",
    how=f"coordinates by which the mean participation ratio of the nine falls, median of {SYSTEMS} systems",
    accepted=significantly("fewer, beyond chance: the interval of paired differences leaves out 0"),
)
def fall_of_participation() -> Estimate:
    return paired_median(_participation("dense"), _participation("diagonal"), "systems")


def _diagonal_over_dense(column: str) -> Estimate:
    rates = log_effective_rates("fig04cd_teachers", column)
    diagonal = rates["crnn", 0.99][["lam.real", "lam.imag"]].mean(axis=1, skipna=False)
    return paired_rates(diagonal, rates["rnn", 0.0, "A"])


@claim(
    "fig04-effective-rates",
    "C, D: Adam's effective rates are larger for a diagonal λ than for a dense A",
    kind="text",
    source="4.3",
    how=_RATES,
    accepted=significantly(),
    paper="4.0",
    seen=False,
)
def log_ratio_of_effective_rates() -> Estimate:
    return _diagonal_over_dense("effective")


@claim(
    "fig04-effective-rates-orders",
    "C, D: they are so by orders of magnitude",
    kind="picture",
    source="Figure 4C, D",
    how=_RATES,
    accepted=at_least(2, "orders, in the plural: two decades or more"),
    paper="4.0",
    seen=False,
)
def log_ratio_of_effective_rates_in_the_picture() -> Estimate:
    return _diagonal_over_dense("effective")


@claim(
    "fig04-effective-rates-without-momentum",
    "C, D: they are larger without the first moment, too",
    kind="erratum",
    source="erratum 9",
    how="the same for rate / (√v + ε)",
    accepted=significantly(),
    seen=False,
)
def log_ratio_of_effective_rates_without_momentum() -> Estimate:
    return _diagonal_over_dense("effective_plain")


def final_decades(experiment: str, student: str, start: float = 0.99) -> np.ndarray:
    """Decades of loss over the zero predictor's in an experiment at a single rate; infinite where a run diverged."""
    runs = load(experiment).query("student == @student and start == @start")
    repeat = runs.groupby("teacher").cumcount()
    decades = np.log10(runs["loss"] / runs["zero_loss"]).mask(runs["diverged"], np.inf)
    return by_teacher(runs.assign(repeat=repeat, decades=decades))


@claim(
    "fig04-learns-faster",
    "C, D: at the same base rate the diagonal RNN learns significantly faster",
    kind="text",
    source="4.3",
    how="decades from its loss after 10,000 steps of rate .001 to the dense RNN's, median of pairs, 32 teachers",
    accepted=significantly(),
    seen=False,
)
def dense_excess_at_the_same_rate() -> Estimate:
    losses = [final_decades("fig04cd_teachers", name, start) for name, start in (("rnn", 0.0), ("crnn", 0.99))]
    return paired_median(*losses)


@claim(
    "fig04-dense-learns",
    "C: the dense RNN whose rates are shown has learned: it does better than predicting zero",
    kind="ours",
    source="ours, for Figure 4C",
    how="decades from its loss to the zero predictor's, median of 32 teachers",
    accepted=at_least(1, "learned: an error of a tenth of the zero predictor's or less"),
    seen=False,
)
def dense_gain() -> Estimate:
    return median(-final_decades("fig04cd_teachers", "rnn", 0.0))
