"""Claims of Figure 7: descent of one complex unit with three parametrisations of the angle."""

from __future__ import annotations

import functools
import math

import numpy as np

from ... import theory
from .. import descent
from .measures import furthest
from .ranges import FACTOR_OF_TWO, at_least, at_most
from .registry import claim

_STAR, _START = 0.99 * np.exp(0.01j * np.pi), 0.99 * np.exp(0.25j * np.pi)
_ARRIVED = "arrived: a hundredth of the first loss or less is left"
_AWAY = "far away: more is left than the hundredth that counts as arrived"


@functools.cache
def _remaining_loss(start: complex = _START, at: int = 50_000) -> np.ndarray:
    """Largest loss in the 1,000 steps before ``at`` over the first: axes (angle, optimiser, loss) of descent."""
    path = _path(start)[at - 999 : at + 1]
    remaining = np.empty(path.shape[1:4])
    for i, angle in enumerate(descent.ANGLES):
        lam = descent.eigenvalues(angle, path[:, i, ..., 0], path[:, i, ..., 1])
        for k in range(len(descent.LOSSES)):
            losses = theory.one_dimensional_loss(lam[..., k], _STAR, normalized=bool(k))
            remaining[i, :, k] = losses.max(0) / theory.one_dimensional_loss(start, _STAR, normalized=bool(k))
    return remaining


@functools.cache
def _path(start: complex) -> np.ndarray:
    return descent.trajectories(start, _STAR)


def _angle_curvature(angle: str, at: complex) -> float:
    """Curvature of the loss with γ along the raw angle at an optimum: that in radians times the square of the slope."""
    _, in_radians = theory.one_dimensional_curvature(abs(at), normalized=True)
    return in_radians * {"polar": 1.0, "exponential": np.angle(at)}[angle] ** 2


@claim(
    "fig07-polar-sharp",
    "A: with the polar angle the landscape is very sharp",
    kind="text",
    source="caption of Figure 7, C.1.4",
    how="curvature along the angle at the optimum, with γ; with the optimal angle it is 1",
    accepted=at_least(10, "very sharp: more than ten times the optimal angle's 1"),
)
def polar_curvature() -> float:
    return _angle_curvature("polar", _STAR)


@claim(
    "fig07-polar-adam-copes",
    "A: Adam copes with the sharp polar landscape",
    kind="text",
    source="caption of Figure 7, C.1.4",
    how="largest loss in the last 1,000 of 50,000 steps of Adam / first loss, with γ as in Figure 6",
    accepted=at_most(0.01, _ARRIVED),
)
def final_loss_of_polar_with_adam() -> float:
    return _remaining_loss()[0, 1, 1]


@claim(
    "fig07-exponential-smoother",
    "B: the exponential angle makes the landscape smoother",
    kind="text",
    source="caption of Figure 7, C.1.4",
    how="curvature along the raw angle at the optimum θ* = π/100, exponential / polar",
    accepted=at_most(0.5, "smoother: by more than the factor of two that counts as the same"),
)
def exponential_over_polar_curvature() -> float:
    return _angle_curvature("exponential", _STAR) / _angle_curvature("polar", _STAR)


@claim(
    "fig07-exponential-small-angles-only",
    "B: the exponential angle does so for small angles only",
    kind="text",
    source="caption of Figure 7, C.1.4",
    how="the same ratio at an optimum at θ* = π/2",
    accepted=at_least(0.5, "no smoother, to a factor of two"),
)
def exponential_over_polar_curvature_at_large_angle() -> float:
    return _angle_curvature("exponential", 0.99j) / _angle_curvature("polar", 0.99j)


@claim(
    "fig07-optimal-misses",
    "C: with the optimal angle Adam does not reach the minimum",
    kind="text",
    source="caption of Figure 7, C.1.4",
    how="largest loss in the last 1,000 of 50,000 steps of Adam / first loss, with γ",
    accepted=at_least(0.01, _AWAY),
)
def final_loss_of_optimal_with_adam() -> float:
    return _remaining_loss()[2, 1, 1]


@claim(
    "fig07-optimal-flat-valley",
    "C: with the optimal angle Adam is caught in a flat valley",
    kind="text",
    source="caption of Figure 7, C.1.4",
    how="decades by which the loss still falls between steps 25,000 and 50,000 of Adam, with γ",
    accepted=at_most(FACTOR_OF_TWO, "caught: half of the steps gain less than a factor of two"),
    seen=False,
)
def late_fall_of_optimal() -> float:
    return math.log10(_remaining_loss(at=25_000)[2, 1, 1] / _remaining_loss()[2, 1, 1])


@claim(
    "fig07-optimal-hurts-far-off",
    "An angle parametrisation that depends on |λ| hurts learning above all far from the optimum",
    kind="text",
    source="3.1, B.3.2",
    how="decades of the share of the loss that Adam leaves, with γ and the optimal angle: start at π/4 over start four "
    "widths 1 − |λ*|² from the optimum",
    accepted=at_least(1, "above all: more than ten times worse"),
)
def far_over_near_start() -> float:
    near = 0.99 * np.exp(1j * (np.angle(_STAR) + 4 * (1 - 0.99**2)))
    return math.log10(_remaining_loss()[2, 1, 1] / max(_remaining_loss(near)[2, 1, 1], 1e-15))  # or less, by rounding


@claim(
    "fig07-polar-exponential-arrive",
    "A, B: with polar and exponential angles the student arrives",
    kind="picture",
    source="Figure 7",
    how="largest loss in the last 1,000 of 50,000 sign steps / first loss, no γ (as its code runs), the larger "
    "of the two",
    accepted=at_most(0.01, _ARRIVED),
)
def final_loss_of_polar_and_exponential() -> float:
    return max(_remaining_loss()[:2, 0, 0])


@claim(
    "fig07-optimal-stays-away",
    "C: with the optimal angle it stays far away",
    kind="picture",
    source="Figure 7",
    how="the same ratio for the optimal angle",
    accepted=at_least(0.01, _AWAY),
)
def final_loss_of_optimal() -> float:
    return _remaining_loss()[2, 0, 0]


@claim(
    "fig07-variants-arrive",
    "Errata 2 and 3 change no conclusion: with Adam, with γ and with both, polar and exponential angles arrive",
    kind="erratum",
    source="caption of Figure 7; its code",
    how="the same ratio, the largest of two angles for Adam without and with γ and sign steps with γ",
    accepted=at_most(0.01, _ARRIVED),
)
def final_loss_of_polar_and_exponential_in_variants() -> float:
    ratios = _remaining_loss()[:2]
    return furthest([*ratios[:, 1].flatten().tolist(), *ratios[:, 0, 1].tolist()], 0)


@claim(
    "fig07-variants-stay-away",
    "Errata 2 and 3 change no conclusion: with Adam, with γ and with both, the optimal angle does not arrive",
    kind="erratum",
    source="caption of Figure 7; its code",
    how="the same ratio for the optimal angle, the smallest of the three other variants",
    accepted=at_least(0.01, _AWAY),
)
def final_loss_of_optimal_in_variants() -> float:
    ratios = _remaining_loss()[2]
    return min(ratios[1, 0], ratios[1, 1], ratios[0, 1])
