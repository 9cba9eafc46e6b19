"""Claims of Figure 10 and of what section 4.3 draws from it: concentrated eigenvalues, and what they do to training."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from ... import theory
from ...parametrization import ring
from ..curvature import diagonal_fraction
from ..statistics import Estimate, difference, median, paired_median, smallest
from .measures import decades
from .ranges import at_least, between, significantly, similar
from .registry import claim

_ANGLES = (0.01, 0.0316, 0.1, 0.316, 1.0)  # largest angle of the teacher's eigenvalues, over pi
_THETAS = (math.pi, math.pi / 10, math.pi / 100)
_DRAWS = 32
_RUNS = "32 teachers, the rate of a run chosen by the other run on its teacher"


def _draw(seed: int, theta: float, count: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, input and output weights of Figure 10; the same moduli, weights and relative angles for each
    theta, and for fewer eigenvalues the first of those for more."""
    generator = torch.Generator().manual_seed(seed)
    lam = ring(40, 0.99, 0.995, theta, generator=generator, dtype=torch.complex128).numpy()
    b, c = torch.randn(2, 40, generator=generator, dtype=torch.complex128).numpy()
    return lam[:count], b[:count], c[:count]


def _diagonal_fraction(lam: np.ndarray, b: np.ndarray, c: np.ndarray, rho: float = 0.0) -> float:
    return diagonal_fraction(torch.tensor(theory.diagonal_hessian(lam, b, c, rho)))


@functools.cache
def _concentration(rho: float) -> np.ndarray:
    """Diagonal fraction and largest eigenvalue of the Hessian (draws, angles, 2)."""
    values = np.empty((_DRAWS, len(_THETAS), 2))
    for seed in range(_DRAWS):
        for i, theta in enumerate(_THETAS):
            H = torch.tensor(theory.diagonal_hessian(*_draw(seed, theta), rho))
            values[seed, i] = diagonal_fraction(H), torch.linalg.eigvalsh(H)[-1]
    return values


def _fall_of_diagonal_fraction(rho: float) -> Estimate:
    steps = -np.diff(_concentration(rho)[..., 0])
    return smallest(*(median(step, "draws") for step in steps.T))


@claim(
    "fig10-diagonal-fraction-falls-white",
    "A–C: the more concentrated the eigenvalues, the less diagonal the Hessian",
    kind="text",
    source="4.3, C.4.2",
    how="ρ = 0, the text's condition; fall of the diagonal fraction from θ₀ = π to π/10 and from there to π/100, the "
    f"smaller median of {_DRAWS} draws of ten eigenvalues",
    accepted=significantly("less, beyond chance: the interval of paired differences leaves out 0"),
)
def fall_of_diagonal_fraction_of_white_input() -> Estimate:
    return _fall_of_diagonal_fraction(0.0)


@claim(
    "fig10-diagonal-fraction-falls",
    "A–C: it is so for the correlated inputs of the picture, too",
    kind="erratum",
    source="erratum 7",
    how="the same at ρ = .99, which the code has",
    accepted=significantly("less, beyond chance: the interval of paired differences leaves out 0"),
)
def fall_of_diagonal_fraction() -> Estimate:
    return _fall_of_diagonal_fraction(0.99)


@claim(
    "fig10-diagonal-fraction-white-alike",
    "A–C: the diagonal fraction of uncorrelated inputs is about that of the picture",
    kind="erratum",
    source="erratum 7",
    how=f"difference between ρ = .99 and ρ = 0, median of {_DRAWS} draws, furthest from 0 over θ₀",
    accepted=between(-0.1, 0.1, "about: a tenth of the whole"),
)
def difference_of_diagonal_fractions() -> Estimate:
    pairs = [(_concentration(rho)[..., 0].T) for rho in (0.99, 0.0)]
    return max((paired_median(*pair, "draws") for pair in zip(*pairs, strict=True)), key=lambda e: abs(e.value))


@claim(
    "fig10-top-eigenvalue-white",
    "A–C: the growth of the top eigenvalue in the picture nearly disappears for uncorrelated inputs",
    kind="erratum",
    source="erratum 7",
    how=f"ρ = 0; decades from θ₀ = π to π/100, median of {_DRAWS} draws",
    accepted=similar("nearly no growth: within a factor of two"),
)
def growth_of_top_eigenvalue() -> Estimate:
    values = np.log10(_concentration(0.0)[..., 1])
    return paired_median(values[:, 2], values[:, 0], "draws")


@claim(
    "fig10-more-neurons",
    "More hidden neurons break diagonality",
    kind="text",
    source="4.3",
    how=f"θ₀ = π, ρ = 0; fall of the diagonal fraction from 10 to 40 eigenvalues, median of {_DRAWS} draws",
    accepted=significantly("less, beyond chance: the interval of paired differences leaves out 0"),
    seen=False,
)
def fall_of_diagonal_fraction_with_neurons() -> Estimate:
    few, many = ([_diagonal_fraction(*_draw(seed, math.pi, count)) for seed in range(_DRAWS)] for count in (10, 40))
    return paired_median(few, many, "draws")


def _in_conjugate_pairs(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[:5], values[:5].conj()])


@claim(
    "fig10-conjugate-pairs",
    "Eigenvalues that are not in conjugate pairs, as the student's in training, make the Hessian more diagonal",
    kind="text",
    source="4.3",
    how="θ₀ = π, ρ = 0; diagonal fraction of ten eigenvalues minus that of five and their conjugates, median of "
    f"{_DRAWS} draws",
    accepted=significantly("more, beyond chance: the interval of paired differences leaves out 0"),
    seen=False,
)
def rise_of_diagonal_fraction_without_pairs() -> Estimate:
    draws = [_draw(seed, math.pi) for seed in range(_DRAWS)]
    free = [_diagonal_fraction(*draw) for draw in draws]
    return paired_median(free, [_diagonal_fraction(*map(_in_conjugate_pairs, draw)) for draw in draws], "draws")


# D: training ----------------------------------------------------------------------------------------------------------


def losses(student: str, theta0: float) -> np.ndarray:
    start = 0.0 if student == "rnn" else 0.99
    if theta0 < 1:
        return decades("fig10d_teachers", student, start=start, theta0=theta0)
    return decades("fig03b_teachers" if student == "crnn" else "fig03a_teachers", student, start=start)


@claim(
    "fig10-gap-widens",
    "D: the gap between the complex RNN and the LRU widens as eigenvalues concentrate",
    kind="text",
    source="4.3, C.4.2",
    how=f"decades of the gap at θ₀ = π/100 minus those at π, median of pairs; {_RUNS}",
    accepted=significantly(),
    paper="1.6 (1.84 minus .27)",
    seen=False,
)
def widening_of_gap() -> Estimate:
    return paired_median(*(difference(losses("crnn", theta0), losses("lru", theta0)) for theta0 in (0.01, 1.0)))


@claim(
    "fig10-crnn-beats-dense",
    "D: the complex RNN still greatly outperforms the dense one",
    kind="text",
    source="4.3",
    how=f"decades from its loss to the RNN's, median of pairs, the smallest over θ₀; {_RUNS}",
    accepted=at_least(1, "greatly: ten times"),
    paper="3.0 to 4.8",
    seen=False,
)
def dense_excess() -> Estimate:
    return smallest(*(paired_median(losses("rnn", theta0), losses("crnn", theta0)) for theta0 in _ANGLES))


@claim(
    "fig10-lru-below-crnn",
    "D: the LRU is below the complex RNN at every concentration",
    kind="picture",
    source="Figure 10D",
    how=f"decades from its loss to the complex RNN's, median of pairs, the smallest over θ₀; {_RUNS}",
    accepted=significantly(),
    paper=".27 (at π) to 1.84",
    seen=False,
)
def crnn_excess() -> Estimate:
    return smallest(*(paired_median(losses("crnn", theta0), losses("lru", theta0)) for theta0 in _ANGLES))
