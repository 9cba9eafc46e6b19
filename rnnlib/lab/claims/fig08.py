"""Claims of Figure 8: the sensitivity S of a unit to the eigenvalue of another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ... import theory
from .. import as_printed
from .measures import furthest
from .ranges import near
from .registry import claim

_LAM_0 = 0.99 * np.exp(0.25j * np.pi)


def _peak_angle(S: Callable, rho: float) -> float:
    """Angle at which |S(lam, _LAM_0)| is largest over |lam| <= .99: on the rim, as S is analytic in lam."""
    angle = np.linspace(-np.pi, np.pi, 100_001)
    return angle[np.abs(S(0.99 * np.exp(1j * angle), _LAM_0, rho)).argmax()]


def _closed_over_sum(S: Callable, rho: float) -> float:
    i = np.arange(1, 6001)
    weights = i * _LAM_0 ** (i - 1)
    # sum over both indices as two first-order recurrences over the shorter distance, exact for rho^|i-j|
    ahead = np.zeros(len(i) + 1, dtype=complex)
    for n in range(len(i) - 1, -1, -1):
        ahead[n] = weights[n] + rho * ahead[n + 1]
    total = 2 * np.sum(weights.conj() * ahead[:-1]).real - np.sum(np.abs(weights) ** 2)
    return abs(S(_LAM_0.conj(), _LAM_0, rho)) / total


@claim(
    "fig08-peak-white",
    "For white inputs |S(λ, λ₀)| is largest at λ = conj λ₀",
    kind="text",
    source="section 3.2",
    how="angle between the peak over the rim |λ| = .99 and conj λ₀, radians",
    accepted=near(0, 1e-3, "TODO"),
)
def peak_angle_from_conjugate() -> float:
    return _peak_angle(theory.cross_sensitivity, 0.0) - np.angle(_LAM_0.conj())


@claim(
    "fig08-peak-moves-one-way",
    "As ρ → 1 the peak moves to λ = 1 and does not turn back",
    kind="text",
    source="appendix C.2",
    how="number of steps of ρ = 0, .9, .99, .999, 1 in which the angle of the peak grows in size",
    accepted=near(0, 0.5, "TODO"),
)
def reversals_of_peak() -> float:
    angles = [abs(_peak_angle(theory.cross_sensitivity, rho)) for rho in (0.0, 0.9, 0.99, 0.999, 1.0)]
    return np.sum(np.diff(angles) > 0)


@claim(
    "fig08-peak-at-rho-1",
    "At ρ = 1 the peak is at λ = .99, the point of the disc closest to 1",
    kind="text",
    source="appendix C.2",
    how="angle of the peak over the rim, radians",
    accepted=near(0, 1e-3, "TODO"),
)
def peak_angle_at_full_correlation() -> float:
    return _peak_angle(theory.cross_sensitivity, 1.0)


@claim(
    "fig08-closed-form",
    "The closed form of S is the double sum that defines it (as corrected by erratum 1)",
    kind="text",
    source="appendix C.2.2",
    how="|closed form / sum of 6,000 × 6,000 terms| at λ = conj λ₀, the furthest from 1 of ρ = .9, .99",
    accepted=near(1, 1e-6, "TODO"),
)
def closed_form_over_sum() -> float:
    return furthest([_closed_over_sum(theory.cross_sensitivity, rho) for rho in (0.9, 0.99)], 1)


@claim(
    "fig08-closed-form-as-printed",
    "So is the closed form as printed (erratum 1)",
    kind="text",
    source="appendix C.2.2",
    how="|printed form / sum of 6,000 × 6,000 terms| at λ = conj λ₀, the furthest from 1 of ρ = .9, .99",
    accepted=near(1, 1e-6, "TODO"),
)
def printed_form_over_sum() -> float:
    return furthest([_closed_over_sum(as_printed.cross_sensitivity, rho) for rho in (0.9, 0.99)], 1)
