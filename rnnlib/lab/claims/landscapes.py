"""Claims about loss surfaces and their curvature: Figures 4, 6 to 10."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch

from ... import theory
from ...parametrization import EXPONENTIAL, OPTIMAL, POLAR, Parametrization, ring
from .. import as_printed, descent, systems
from ..curvature import Hessian, diagonal_fraction, hessian, participation_ratio, rank, response_loss, white_gram
from .registry import claim, furthest, slope

# Figures 4 and 9 ------------------------------------------------------------------------------------------------------

REALIZATIONS = {
    "dense": systems.as_dense,
    "diagonal": systems.as_diagonal,
    "lru": systems.as_lru,
    "s4": systems.as_s4,
}
_SYSTEMS = 10


def _system(seed: int) -> systems.System:
    return systems.conjugate_pairs(generator=torch.Generator().manual_seed(seed))


@functools.cache
def _at_optimum(name: str, seed: int) -> Hessian:
    """Exact Hessian of a random system of two conjugate pairs in one parametrisation, T = 300."""
    system = _system(seed)
    return hessian(REALIZATIONS[name](system), response_loss(system.impulse_response(300), white_gram(300)))


def _rank(name: str, seed: int) -> int:
    return rank(REALIZATIONS[name](_system(seed)), white_gram(300))


def _mean_participation(name: str, seed: int) -> float:
    """Mean over the nine eigenvectors that are not flat."""
    return participation_ratio(_at_optimum(name, seed).eigenvectors[:, :9]).mean().item()


@claim(
    "fig04",
    "A system of order 4 has a Hessian of rank 2 · 4 + 1 = 9 as a dense RNN",
    source="section 4.1",
    how="singular values above 10⁻¹⁰ of the largest, over 25 parameters, the furthest from 9 of 10 systems",
    expected=9,
    tolerance=0.5,
)
def _():
    return furthest([_rank("dense", seed) for seed in range(_SYSTEMS)], 9)


@claim(
    "fig04",
    "It has the same rank as a complex diagonal RNN",
    source="section 4.1",
    how="the same, over 25 other parameters",
    expected=9,
    tolerance=0.5,
)
def _():
    return furthest([_rank("diagonal", seed) for seed in range(_SYSTEMS)], 9)


@claim(
    "fig04",
    "Top eigenvectors spread over fewer coordinates in the diagonal RNN than in the dense one",
    source="section 4.1",
    how="in how many of 10 systems the mean participation ratio of nine eigenvectors is smaller",
    expected=10,
    tolerance=1,
)
def _():
    return sum(_mean_participation("diagonal", seed) < _mean_participation("dense", seed) for seed in range(_SYSTEMS))


@claim(
    "fig04",
    "The spectra are almost the same",
    source="caption of Figure 4",
    how="decades between the largest eigenvalues, dense over diagonal, median of 10 systems; at most one",
    expected=0,
    tolerance=1,
)
def _():
    ratios = [
        _at_optimum("dense", seed).eigenvalues[0] / _at_optimum("diagonal", seed).eigenvalues[0]
        for seed in range(_SYSTEMS)
    ]
    return float(np.median(np.log10(ratios)))


@claim(
    "fig09",
    "The rank is 9 for the LRU and for S4 as well",
    source="appendix C.3",
    how="as for Figure 4, over 29 parameters, the furthest from 9 of 10 systems and both layers",
    expected=9,
    tolerance=0.5,
)
def _():
    return furthest([_rank(name, seed) for name in ("lru", "s4") for seed in range(_SYSTEMS)], 9)


def _sharpest_share(name: str, group: str) -> int:
    """In how many systems the sharpest single parameter of ``group`` is ten times as sharp as that of any other."""
    count = 0
    for seed in range(_SYSTEMS):
        largest = _at_optimum(name, seed).largest()
        count += largest.pop(group) > 10 * max(largest.values())
    return count


@claim(
    "fig09",
    "The LRU's curvature explodes along the raw angles alone",
    source="appendix C.3",
    how="in how many of 10 systems ω_θ is ten times as sharp as any other group",
    expected=10,
    tolerance=1,
)
def _():
    return _sharpest_share("lru", "omega_theta")


@claim(
    "fig09",
    "That of S4 with a small step explodes along the raw steps alone",
    source="appendix C.3",
    how="Δ = .01; in how many of 10 systems ω_Δ is ten times as sharp as any other group",
    expected=10,
    tolerance=1,
)
def _():
    return _sharpest_share("s4", "omega_delta")


# Figure 6 -------------------------------------------------------------------------------------------------------------

LAM_STARS = 1 - np.array([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64])


def _curvature_at_optimum(parametrization: Parametrization, direction: str, modulus: float) -> float:
    """Second derivative of the normalised loss over a raw parameter at angle pi/100, by automatic differentiation."""
    star = torch.polar(*torch.tensor([modulus, math.pi / 100], dtype=torch.float64))
    raw = torch.stack(parametrization.parameters(star))
    unit = torch.tensor([1.0, 0.0] if direction == "modulus" else [0.0, 1.0], dtype=torch.float64)

    def loss(shift):
        lam = parametrization.eigenvalues(*(raw + shift * unit))
        return theory.one_dimensional_loss(lam, star, normalized=True)

    return torch.func.hessian(loss)(torch.tensor(0.0, dtype=torch.float64)).item()


@claim(
    "fig06",
    "With γ alone, curvature along the modulus still grows as (1 − ν)⁻²",
    source="section 3.1, appendix C.1",
    how="exponent at the optimum at 1 − ν = 10⁻⁴, polar parametrisation",
    expected=-2,
    tolerance=0.01,
)
def _():
    return slope(functools.partial(_curvature_at_optimum, POLAR, "modulus"), 1e-4)


@claim(
    "fig06",
    "The exponential parametrisation controls the modulus: its curvature tends to 1/4",
    source="section 3.1, appendix C.1",
    how="curvature at the optimum at 1 − ν = 10⁻⁴",
    expected=0.25,
    tolerance=0.01,
)
def _():
    return _curvature_at_optimum(EXPONENTIAL, "modulus", 1 - 1e-4)


@claim(
    "fig06",
    "It does not control the angle, whose curvature grows as (1 − ν)⁻²",
    source="section 3.1, appendix C.1",
    how="exponent at the optimum at 1 − ν = 10⁻⁴",
    expected=-2,
    tolerance=0.01,
)
def _():
    return slope(functools.partial(_curvature_at_optimum, EXPONENTIAL, "angle"), 1e-4)


@claim(
    "fig06",
    "The optimal parametrisation controls both: its curvatures are 1 at every optimum",
    source="section 3.1, appendix C.1",
    how="the furthest from 1 of modulus and angle at the figure's seven λ*",
    expected=1,
    tolerance=1e-6,
)
def _():
    directions = ["modulus", "angle"]
    return furthest([_curvature_at_optimum(OPTIMAL, way, star) for way in directions for star in LAM_STARS], 1)


# Figure 7 -------------------------------------------------------------------------------------------------------------


@functools.cache
def _remaining_loss() -> np.ndarray:
    """Largest loss in the last 1,000 of 50,000 steps over the first: axes (angle, optimiser, loss) of descent."""
    start, star = 0.99 * np.exp(0.25j * np.pi), 0.99 * np.exp(0.01j * np.pi)
    path = descent.trajectories(start, star)[-1000:]
    remaining = np.empty(path.shape[1:4])
    for i, angle in enumerate(descent.ANGLES):
        lam = descent.eigenvalues(angle, path[:, i, ..., 0], path[:, i, ..., 1])
        for k in range(len(descent.LOSSES)):
            losses = theory.one_dimensional_loss(lam[..., k], star, normalized=bool(k))
            remaining[i, :, k] = losses.max(0) / theory.one_dimensional_loss(start, star, normalized=bool(k))
    return remaining


@claim(
    "fig07",
    "With polar and exponential angles the student arrives",
    source="appendix C.1",
    how="largest loss in the last 1,000 of 50,000 sign steps / first loss, no γ (as run), the larger of the two",
    expected=0,
    tolerance=0.01,
)
def _():
    return furthest(_remaining_loss()[:2, 0, 0].tolist(), 0)


@claim(
    "fig07",
    "With the optimal angle it stays far away",
    source="appendix C.1",
    how="the same ratio; more than the hundredth that counts as arrived must remain",
    expected=1,
    tolerance=0.99,
)
def _():
    return _remaining_loss()[2, 0, 0]


@claim(
    "fig07",
    "Both hold for Adam, as the caption has it, and for the loss with γ (errata 2 and 3): two arrive",
    source="caption of Figure 7",
    how="the same ratio, the largest of two angles for Adam without and with γ and sign steps with γ",
    expected=0,
    tolerance=0.01,
)
def _():
    ratios = _remaining_loss()[:2]
    return furthest([*ratios[:, 1].flatten().tolist(), *ratios[:, 0, 1].tolist()], 0)


@claim(
    "fig07",
    "Both hold for Adam, as the caption has it, and for the loss with γ (errata 2 and 3): one does not",
    source="caption of Figure 7",
    how="the same ratio for the optimal angle, the smallest of the three other variants",
    expected=1,
    tolerance=0.99,
)
def _():
    ratios = _remaining_loss()[2]
    return min(ratios[1, 0], ratios[1, 1], ratios[0, 1])


# Figure 8 -------------------------------------------------------------------------------------------------------------

LAM_0 = 0.99 * np.exp(0.25j * np.pi)


def _peak(S: Callable, rho: float) -> float:
    """Angle at which |S(lam, LAM_0)| is largest over |lam| <= .99: on the rim, as S is analytic in lam."""
    angle = np.linspace(-np.pi, np.pi, 100_001)
    return angle[np.abs(S(0.99 * np.exp(1j * angle), LAM_0, rho)).argmax()]


@claim(
    "fig08",
    "For white inputs |S(λ, λ₀)| is largest at λ = conj λ₀",
    source="section 3.2",
    how="angle between the peak over the rim |λ| = .99 and conj λ₀, radians",
    expected=0,
    tolerance=1e-3,
)
def _():
    return _peak(theory.cross_sensitivity, 0.0) - np.angle(LAM_0.conj())


@claim(
    "fig08",
    "As ρ → 1 the peak moves to λ = 1 and does not turn back",
    source="appendix C.2",
    how="number of steps of ρ = 0, .9, .99, .999, 1 in which the angle of the peak grows in size",
    expected=0,
    tolerance=0.5,
)
def _():
    angles = [abs(_peak(theory.cross_sensitivity, rho)) for rho in (0.0, 0.9, 0.99, 0.999, 1.0)]
    return np.sum(np.diff(angles) > 0)


@claim(
    "fig08",
    "At ρ = 1 the peak is at λ = .99, the point of the disc closest to 1",
    source="appendix C.2",
    how="angle of the peak over the rim, radians",
    expected=0,
    tolerance=1e-3,
)
def _():
    return _peak(theory.cross_sensitivity, 1.0)


@claim(
    "fig08",
    "The closed form of S is the double sum that defines it (as corrected by erratum 1)",
    source="appendix C.2.2",
    how="|closed form / sum of 6,000 × 6,000 terms| at λ = conj λ₀, the furthest from 1 of ρ = .9, .99",
    expected=1,
    tolerance=1e-6,
)
def _():
    return furthest([_closed_over_sum(theory.cross_sensitivity, rho) for rho in (0.9, 0.99)], 1)


@claim(
    "fig08",
    "So is the closed form as printed (erratum 1)",
    source="appendix C.2.2",
    how="|printed form / sum of 6,000 × 6,000 terms| at λ = conj λ₀, the furthest from 1 of ρ = .9, .99",
    expected=1,
    tolerance=1e-6,
)
def _():
    return furthest([_closed_over_sum(as_printed.cross_sensitivity, rho) for rho in (0.9, 0.99)], 1)


def _closed_over_sum(S: Callable, rho: float) -> float:
    i = np.arange(1, 6001)
    weights = i * LAM_0 ** (i - 1)
    # sum over both indices as two first-order recurrences over the shorter distance, exact for rho^|i-j|
    ahead = np.zeros(len(i) + 1, dtype=complex)
    for n in range(len(i) - 1, -1, -1):
        ahead[n] = weights[n] + rho * ahead[n + 1]
    total = 2 * np.sum(weights.conj() * ahead[:-1]).real - np.sum(np.abs(weights) ** 2)
    return abs(S(LAM_0.conj(), LAM_0, rho)) / total


# Figure 10 ------------------------------------------------------------------------------------------------------------

THETAS = (math.pi, math.pi / 10, math.pi / 100)
_DRAWS = 20


@functools.cache
def _concentration(rho: float) -> np.ndarray:
    """Diagonal fraction and largest eigenvalue of the Hessian (draws, angles, 2): 10 eigenvalues as in Figure 10."""
    values = np.empty((_DRAWS, len(THETAS), 2))
    for seed in range(_DRAWS):
        for i, theta in enumerate(THETAS):
            generator = torch.Generator().manual_seed(seed)  # the same moduli, weights and relative angles
            lam = ring(10, 0.99, 0.995, theta, generator=generator, dtype=torch.complex128).numpy()
            b, c = torch.randn(2, 10, generator=generator, dtype=torch.complex128).numpy()
            H = torch.tensor(theory.diagonal_hessian(lam, b, c, rho))
            values[seed, i] = diagonal_fraction(H), torch.linalg.eigvalsh(H)[-1]
    return values


@claim(
    "fig10",
    "The Hessian loses its diagonal as eigenvalues concentrate",
    source="section 4.2",
    how="ρ = .99; in how many of 20 draws the diagonal fraction falls from θ₀ = π to π/10 to π/100",
    expected=20,
    tolerance=2,
)
def _():
    return np.all(np.diff(_concentration(0.99)[..., 0]) < 0, axis=1).sum()


@claim(
    "fig10",
    "It does so for uncorrelated inputs too (erratum 7)",
    source="section 4.2",
    how="ρ = 0; in how many of 20 draws the diagonal fraction falls from θ₀ = π to π/10 to π/100",
    expected=20,
    tolerance=2,
)
def _():
    return np.all(np.diff(_concentration(0.0)[..., 0]) < 0, axis=1).sum()


@claim(
    "fig10",
    "The fraction on the diagonal is about that of uncorrelated inputs (erratum 7)",
    source="caption of Figure 10 against its code",
    how="largest over θ₀ of the median of 20 differences between ρ = .99 and ρ = 0",
    expected=0,
    tolerance=0.1,
)
def _():
    return furthest(np.median(_concentration(0.99) - _concentration(0.0), axis=0)[:, 0].tolist(), 0)


@claim(
    "fig10",
    "For uncorrelated inputs, as the text has it, concentration also raises the top eigenvalue (erratum 7)",
    source="caption of Figure 10 against its code",
    how="ρ = 0; its growth from θ₀ = π to π/100 over that at ρ = .99, in decades, medians of 20 draws",
    expected=1,
    tolerance=0.5,
)
def _():
    growth = [np.median(np.log10(values[:, 2, 1] / values[:, 0, 1])) for values in map(_concentration, (0.0, 0.99))]
    return growth[0] / growth[1]
