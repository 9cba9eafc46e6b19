"""Claims of Figure 8: the cross-sensitivity S of two units, of which the Hessian is made."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ... import theory
from .. import as_printed
from .measures import furthest
from .ranges import at_least, at_most, near
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
    "For white inputs |S(λ, λ₀)| is large where the eigenvalues are conjugate",
    kind="text",
    source="C.2.2",
    how="angle between the peak over the rim |λ| = .99 and conj λ₀, radians",
    accepted=near(0, 1e-3, "at the conjugate, to the spacing of the angles that are tried"),
)
def peak_angle_from_conjugate() -> float:
    return _peak_angle(theory.cross_sensitivity, 0.0) - np.angle(_LAM_0.conj())


@claim(
    "fig08-conjugate-fades",
    "As ρ → 1 the peak where they are conjugate fades",
    kind="text",
    source="C.2.2",
    how="|S(conj λ₀, λ₀)| / largest |S(λ, λ₀)| over the rim at ρ = 1; at ρ = 0 it is 1",
    accepted=at_most(0.1, "fades: more than ten times below the largest"),
)
def conjugate_over_largest() -> float:
    peak = 0.99 * np.exp(1j * _peak_angle(theory.cross_sensitivity, 1.0))
    conjugate, largest = (abs(theory.cross_sensitivity(lam, _LAM_0, 1.0)) for lam in (_LAM_0.conj(), peak))
    return conjugate / largest


@claim(
    "fig08-peak-at-rho-1",
    "As ρ → 1, |S| grows instead as one of the eigenvalues nears 1",
    kind="text",
    source="C.2.2",
    how="angle of the peak over the rim at ρ = 1, radians",
    accepted=near(0, 1e-3, "at 1's own angle, to the spacing of the angles that are tried"),
)
def peak_angle_at_full_correlation() -> float:
    return _peak_angle(theory.cross_sensitivity, 1.0)


@claim(
    "fig08-modulus-amplifies",
    "A larger modulus amplifies |S| at conjugate eigenvalues and near 1",
    kind="text",
    source="C.2.2",
    how="growth of |S(conj λ₀, λ₀)| at ρ = 0 as the modulus of both goes from .9 to .99, and of |S(λ, λ₀)| at ρ "
    "= 1 as λ does; the smaller",
    accepted=at_least(10, "amplifies: more than ten times"),
)
def growth_with_modulus() -> float:
    def conjugate(modulus):
        lam = modulus * np.exp(0.25j * np.pi)
        return abs(theory.cross_sensitivity(lam, lam.conj(), 0.0))

    def near_one(modulus):
        return abs(theory.cross_sensitivity(modulus, _LAM_0, 1.0))

    return min(S(0.99) / S(0.9) for S in (conjugate, near_one))


@claim(
    "fig08-hessian-trace",
    "The trace of the Hessian over the eigenvalues is Σ |b|² |c|² S(λ, λ̄), so that E|dλ h|² tells its size",
    kind="text",
    source="C.2.3",
    how="trace by automatic differentiation of the loss of five units / the sum, the furthest from 1 of ρ = 0, .9, .99",
    accepted=near(1, 1e-6, "equal, up to rounding"),
    seen=False,
)
def trace_over_sum() -> float:
    rng = np.random.default_rng(8)
    modulus, angle = rng.uniform(0.5, 0.95, 5), rng.uniform(-np.pi, np.pi, 5)
    lam, weights = modulus * np.exp(1j * angle), rng.normal(size=5) + 1j * rng.normal(size=5)  # b c
    star, w = torch.from_numpy(lam), torch.from_numpy(weights)

    def loss(parts, rho):  # half the mean square of Re(student - teacher), which is half of z plus its conjugate
        units = torch.cat([torch.complex(*parts), star])
        signed = torch.cat([w, -w])
        F = [theory.generating_function(units[:, None], other, rho) for other in (units, units.conj())]
        return 0.25 * (signed @ F[0] @ signed + signed @ F[1] @ signed.conj()).real

    ratios = []
    for rho in (0.0, 0.9, 0.99):
        parts = torch.stack([star.real, star.imag])
        hessian = torch.func.hessian(lambda parts, rho=rho: loss(parts, rho))(parts).reshape(10, 10)
        ratios.append(hessian.trace().item() / np.sum(np.abs(weights) ** 2 * theory.sensitivity(lam, rho)))
    return furthest(ratios, 1)


@claim(
    "fig08-peak-moves-one-way",
    "The peak does not turn back on its way from conj λ₀ to 1",
    kind="ours",
    source="C.2.2",
    how="number of steps of ρ = 0, .9, .99, .999, 1 in which the angle of the peak grows in size",
    accepted=at_most(0.5, "none: a whole number below a half"),
)
def reversals_of_peak() -> float:
    angles = [abs(_peak_angle(theory.cross_sensitivity, rho)) for rho in (0.0, 0.9, 0.99, 0.999, 1.0)]
    return np.sum(np.diff(angles) > 0)


@claim(
    "fig08-closed-form",
    "The closed form of S, corrected by erratum 1, is the double sum that defines it",
    kind="erratum",
    source="B.2.2, C.2.2",
    how="|closed form / sum of 6,000 × 6,000 terms| at λ = conj λ₀, the furthest from 1 of ρ = .9, .99",
    accepted=near(1, 1e-6, "equal, up to rounding"),
)
def closed_form_over_sum() -> float:
    return furthest([_closed_over_sum(theory.cross_sensitivity, rho) for rho in (0.9, 0.99)], 1)


@claim(
    "fig08-closed-form-as-printed",
    "So is the closed form as the paper prints it and its code plots it (erratum 1)",
    kind="erratum",
    source="B.2.2, C.2.2",
    how="|printed form / sum of 6,000 × 6,000 terms| at λ = conj λ₀, the furthest from 1 of ρ = .9, .99",
    accepted=near(1, 1e-6, "equal, up to rounding"),
)
def printed_form_over_sum() -> float:
    return furthest([_closed_over_sum(as_printed.cross_sensitivity, rho) for rho in (0.9, 0.99)], 1)
