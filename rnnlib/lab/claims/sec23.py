"""Claims of section 2.3: what the curse of memory means for a dense recurrent matrix."""

from __future__ import annotations

import functools

import numpy as np
import torch

from ...layers.dense import dense_recurrence
from ..dense_sensitivity import entries, sensitivity_over_steps, stationary_sensitivity, through_eigenvalues
from ..statistics import Estimate, median
from .ranges import at_least, at_most, near
from .registry import claim

_SIZE, _DRAWS = 10, 32


@functools.cache
def _moments(min_modulus: float) -> dict[str, np.ndarray]:
    """Second moments of dh / dA_pq over draws of A and its entries (draws, entries), of the whole derivative and of its
    parts through the eigenvalues and through the eigenvectors."""
    normal = torch.randn(_DRAWS, _SIZE, _SIZE, generator=torch.Generator().manual_seed(23), dtype=torch.float64)
    A = dense_recurrence(normal, min_modulus).numpy()[:, None]
    whole = entries(_SIZE)
    eigenvalues = through_eigenvalues(A, whole)
    parts = {"whole": whole, "eigenvalues": eigenvalues, "eigenvectors": whole - eigenvalues}
    return {name: stationary_sensitivity(A, directions) for name, directions in parts.items()}


def _dominance(min_modulus: float) -> np.ndarray:
    """By draw, decades of the part through the eigenvalues over the part through the eigenvectors, all entries."""
    moments = _moments(min_modulus)
    return np.log10(moments["eigenvalues"].sum(1) / moments["eigenvectors"].sum(1))


@claim(
    "sec23-every-entry-explodes",
    "In a dense recurrent matrix the explosion of an eigenvalue's sensitivity spreads over all entries",
    kind="text",
    source="2.3, B.2.3",
    how="power of 1 / (1 − ν₀) with which E|dh/dA|² grows from ν₀ = .99 to .999, white inputs, exact; the "
    "smallest over the 100 entries, median over random matrices of the paper's recipe",
    accepted=near(3, 0.3, "the power of a single eigenvalue, 3, to a tenth of it"),
    seen=False,
)
def smallest_power_of_entries() -> Estimate:
    powers = np.log10(_moments(0.999)["whole"] / _moments(0.99)["whole"])
    return median(powers.min(1), "matrices")


@claim(
    "sec23-eigenvalues-dominate",
    "The part of the derivative with respect to A that passes through the eigenvalues dominates",
    kind="text",
    source="2.3, B.2.3",
    how="decades between E|dh/dA|² through the eigenvalues and through the eigenvectors, sum over entries, ν₀ = .99, "
    "white inputs, exact; median over random matrices",
    accepted=at_least(1, "dominates: more than ten times the other part"),
    seen=False,
)
def dominance_of_eigenvalues() -> Estimate:
    return median(_dominance(0.99), "matrices")


@claim(
    "sec23-dominance-grows",
    "The part through the eigenvalues dominates the more the longer the memory: as its square",
    kind="ours",
    source="2.3, B.2.3",
    how="power of 1 / (1 − ν₀) with which the ratio of the row above grows from ν₀ = .99 to .999",
    accepted=near(2, 0.2, "3 − 1, to a tenth"),
    seen=False,
)
def growth_of_dominance() -> Estimate:
    return median(_dominance(0.999) - _dominance(0.99), "matrices")


@functools.cache
def _orthogonal() -> np.ndarray:
    """Random orthogonal matrices, all equally likely."""
    normal = np.random.default_rng(23).normal(size=(_DRAWS, _SIZE, _SIZE))
    Q, R = np.linalg.qr(normal)
    return Q * np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None]


@claim(
    "sec23-orthogonal-gradients",
    "An orthogonal A cures vanishing and exploding gradients",
    kind="text",
    source="2.3",
    how="the singular value of dh_t/dh_0 furthest from 1 after 400 steps, less 1, over 32 random orthogonal matrices",
    accepted=at_most(1e-9, "neither vanish nor explode: exactly 1, up to rounding"),
)
def deviation_of_orthogonal_gradients() -> float:
    values = np.linalg.svd(np.linalg.matrix_power(_orthogonal(), 400), compute_uv=False)
    return np.abs(values - 1).max()


@claim(
    "sec23-orthogonal-sensitive",
    "Yet an orthogonal A may remain sensitive to changes of its entries",
    kind="text",
    source="2.3",
    how="power of t with which E|dh_t/dA|² grows from 100 to 400 steps, white inputs, exact; the smallest over the 100 "
    "entries, median over random orthogonal matrices",
    accepted=near(3, 0.3, "the power with which an eigenvalue on the circle would grow, 3, to a tenth of it"),
    seen=False,
)
def power_of_orthogonal_matrices() -> Estimate:
    moments = sensitivity_over_steps(_orthogonal()[:, None], entries(_SIZE), 400)
    powers = np.log(moments[399] / moments[99]) / np.log(4)
    return median(powers.min(1), "matrices")
