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

_SIZE, _DRAWS = 10, 256


def _normal() -> torch.Tensor:
    generator = torch.Generator().manual_seed(23)
    return torch.randn(_DRAWS, _SIZE, _SIZE, generator=generator, dtype=torch.float64)


@functools.cache
def _on_ring(min_modulus: float) -> dict[str, np.ndarray]:
    """:func:`_moments` of the paper's random matrices, all of whose eigenvalues lie on a ring."""
    return _moments(dense_recurrence(_normal(), min_modulus).numpy())


@functools.cache
def _one_slow(distance: float) -> dict[str, np.ndarray]:
    """:func:`_moments` of the same matrices with a ring as wide as the disc, but the largest eigenvalue, with its
    conjugate, moved to a distance from the circle."""
    lam, V = np.linalg.eig(dense_recurrence(_normal()).numpy())
    modulus = np.abs(lam)
    slowest = modulus >= modulus.max(1, keepdims=True) * (1 - 1e-9)
    lam = np.where(slowest, (1 - distance) / modulus, 1) * lam
    return _moments(((V * lam[:, None]) @ np.linalg.inv(V)).real)


def _moments(A: np.ndarray) -> dict[str, np.ndarray]:
    """Second moments of dh / dA_pq (matrices, entries), of the whole derivative and of its parts through the
    eigenvalues and through the eigenvectors."""
    whole = entries(_SIZE)
    eigenvalues = through_eigenvalues(A[:, None], whole)
    parts = {"whole": whole, "eigenvalues": eigenvalues, "eigenvectors": whole - eigenvalues}
    return {name: stationary_sensitivity(A[:, None], directions) for name, directions in parts.items()}


def _dominance(moments: dict[str, np.ndarray]) -> np.ndarray:
    """By matrix, decades of the part through the eigenvalues over the part through the eigenvectors, all entries."""
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
    powers = np.log10(_on_ring(0.999)["whole"] / _on_ring(0.99)["whole"])
    return median(powers.min(1), "matrices")


@claim(
    "sec23-eigenvalues-dominate",
    "The part of the derivative with respect to A that passes through the eigenvalues dominates, in matrices of the "
    "paper's recipe",
    kind="text",
    source="2.3, B.2.3",
    how="decades between E|dh/dA|² through the eigenvalues and through the eigenvectors, sum over entries, ν₀ = .99, "
    "white inputs, exact; median over random matrices",
    accepted=at_least(1, "dominates: more than ten times the other part"),
    seen=False,
)
def dominance_on_ring() -> Estimate:
    return median(_dominance(_on_ring(0.99)), "matrices")


@claim(
    "sec23-eigenvalues-dominate-apart",
    "The part that passes through the eigenvalues dominates as an eigenvalue nears the circle and the others stay",
    kind="text",
    source="2.3, B.2.3",
    how="the same for random matrices whose largest eigenvalue is moved to 1 − |λ| = .01, the others near .75 or below",
    accepted=at_least(1, "dominates: more than ten times the other part"),
)
def dominance_of_slow_eigenvalue() -> Estimate:
    return median(_dominance(_one_slow(0.01)), "matrices")


@claim(
    "sec23-dominance-grows",
    "The part through the eigenvalues then dominates the more the longer the memory: as its square",
    kind="ours",
    source="2.3, B.2.3",
    how="power of 1 / (1 − |λ|) with which the ratio of the row above grows from 1 − |λ| = .01 to .001",
    accepted=near(2, 0.2, "the power 3 of eigenvalues less 1 of eigenvectors, to a tenth"),
)
def growth_of_dominance() -> Estimate:
    return median(_dominance(_one_slow(0.001)) - _dominance(_one_slow(0.01)), "matrices")


@claim(
    "sec23-crowded-eigenvectors-explode",
    "Where two real eigenvalues of one sign near the circle together, eigenvectors explode as eigenvalues do",
    kind="ours",
    source="2.3, B.2.3",
    how="power of 1 / (1 − ν₀) with which E|dh/dA|² through the eigenvectors grows from ν₀ = .99 to .999, sum over "
    "entries; median over the random matrices of the recipe with two or more such eigenvalues",
    accepted=near(3, 0.3, "the power of eigenvalues, 3, to a tenth of it"),
)
def power_of_crowded_eigenvectors() -> Estimate:
    lam = np.linalg.eigvals(_normal().numpy())
    real = np.abs(lam.imag) < 1e-9
    crowded = np.maximum((real & (lam.real > 0)).sum(1), (real & (lam.real < 0)).sum(1)) >= 2
    sums = [_on_ring(min_modulus)["eigenvectors"].sum(1) for min_modulus in (0.99, 0.999)]
    return median(np.log10(sums[1] / sums[0])[crowded], "matrices")


@functools.cache
def _orthogonal() -> np.ndarray:
    """Random orthogonal matrices, all equally likely."""
    normal = np.random.default_rng(23).normal(size=(32, _SIZE, _SIZE))
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
