"""Claims of Figure 9: the Hessians and effective rates of LRU and S4."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..statistics import Estimate, paired_median, smallest
from .measures import (
    SYSTEMS,
    furthest,
    hessian_at_optimum,
    log_effective_rates,
    paired_rates,
    rank_at_optimum,
)
from .ranges import at_least, near, significantly, similar
from .registry import claim

_RECURRENT = ("A.real", "A.imag", "omega_delta")  # of S4, coordinates of the Hessian
_MAPS = ["B.real", "B.imag", "C.real", "C.imag"]
_RATES = "after 10,000 steps of rate .001 at ν₀ = .99, medians of the positive ones; decades, median over 32 teachers"


@claim(
    "fig09-rank",
    "The rank is 9 for the LRU and for S4 as well",
    kind="ours",
    source="ours, for Figure 9A, B",
    how=f"as for Figure 4, over 29 parameters, the furthest from 9 of {SYSTEMS} systems and both layers",
    accepted=near(9, 0.5, "a whole number: 9 itself"),
)
def rank_of_lru_and_s4() -> float:
    return furthest([rank_at_optimum(name, seed) for name in ("lru", "s4") for seed in range(SYSTEMS)], 9)


def _sharpest(name: str, groups: Sequence[str] = (), other_than: Sequence[str] = ()) -> np.ndarray:
    """Decades of the largest curvature along a coordinate of some groups, or of all others, by system."""
    largest = [hessian_at_optimum(name, seed).largest() for seed in range(SYSTEMS)]
    return np.log10(
        [max(v for k, v in of.items() if (k in groups) or (other_than and k not in other_than)) for of in largest]
    )


@claim(
    "fig09-lru-spectrum",
    "A: the LRU's spectrum is like the diagonal RNN's",
    kind="text",
    source="4.3",
    how=f"decades from the diagonal RNN's largest eigenvalue to the LRU's, median of {SYSTEMS} systems",
    accepted=similar(),
    seen=False,
)
def log_ratio_of_top_eigenvalues() -> Estimate:
    tops = [
        [hessian_at_optimum(name, seed).eigenvalues[0].log10() for seed in range(SYSTEMS)]
        for name in ("lru", "diagonal")
    ]
    return paired_median(*tops, "systems")


@claim(
    "fig09-lru-curvature-of-angle",
    "A: the LRU's curvature explodes almost exclusively along the angle",
    kind="text",
    source="4.3",
    how=f"decades from the sharpest coordinate of any other group to the sharpest of ω_θ, median of {SYSTEMS} systems",
    accepted=at_least(1, "almost exclusively: ten times as sharp as any other group"),
)
def log_excess_of_lru_angle() -> Estimate:
    return paired_median(_sharpest("lru", ["omega_theta"]), _sharpest("lru", other_than=["omega_theta"]), "systems")


@claim(
    "fig09-s4-curvature-of-step",
    "B: with a small step the high curvature of S4 leaves Im A for Δ",
    kind="text",
    source="4.3, C.4.1",
    how=f"Δ = .01; decades from the sharpest coordinate of A to the sharpest of ω_Δ, median of {SYSTEMS} systems",
    accepted=at_least(1, "it moves: ten times as sharp"),
)
def log_excess_of_s4_step() -> Estimate:
    return paired_median(_sharpest("s4", ["omega_delta"]), _sharpest("s4", ["A.real", "A.imag"]), "systems")


@claim(
    "fig09-s4-unit-step",
    "B: with Δ = 1 it is large for all recurrent parameters, as in the complex RNN",
    kind="text",
    source="4.3, C.4.1 (not plotted)",
    how="decades from the sharpest coordinate of the complex RNN's λ to that of Re A, Im A and ω_Δ, the smallest of "
    f"three medians of {SYSTEMS} systems",
    accepted=at_least(-1, "as large: no less than a tenth"),
    seen=False,
)
def log_curvature_of_s4_with_unit_step() -> Estimate:
    diagonal = _sharpest("diagonal", ["lam.real", "lam.imag"])
    return smallest(*(paired_median(_sharpest("s4_unit", [group]), diagonal, "systems") for group in _RECURRENT))


def _margin_of_lowest(rates, lowest: str, others: Sequence[str]) -> Estimate:
    """Decades from the rates of a group up to the lowest of the others, negative if that one is below."""
    return paired_rates(rates[list(others)].min(axis=1, skipna=False), rates[lowest])


@claim(
    "fig09-lru-rate-of-angle",
    "C: the effective rates of the LRU are lowest for the angles",
    kind="picture",
    source="Figure 9C",
    how=f"{_RATES}, from those of ω_θ to the next lowest of a group",
    accepted=significantly(),
    paper="1.3",
    seen=False,
)
def margin_of_lru_angle() -> Estimate:
    rates = log_effective_rates("fig09cd_teachers")["lru", 0.99]
    return _margin_of_lowest(rates, "omega_theta", ["omega_nu", "omega_gamma", *_MAPS])


def _margin_of_recurrent(student: str) -> Estimate:
    """Decades from the highest of the recurrent groups of S4 to the lowest of B and C."""
    rates = log_effective_rates("fig09cd_teachers")[student, 0.99]
    lower, highest = (rates[_MAPS].min(axis=1, skipna=False), rates[list(_RECURRENT)].max(axis=1, skipna=False))
    return paired_rates(lower, highest)


@claim(
    "fig09-s4-rate-of-recurrent",
    "D: the effective rates of S4 are lower for all recurrent parameters than for B and C",
    kind="picture",
    source="Figure 9D; erratum 10",
    how=f"the authors' start; {_RATES}, from the highest of Re A, Im A and ω_Δ to the lowest of B and C",
    accepted=significantly(),
    paper="1.2",
    seen=False,
)
def margin_of_s4_recurrent() -> Estimate:
    return _margin_of_recurrent("s4d_authors")


@claim(
    "fig09-s4-rates-other-starts",
    "D: it is so from other starts alike",
    kind="text",
    source="C.4.1",
    how="the same from Δ = 1 and from Δ = .01 with eigenvalues on the ring, the smaller",
    accepted=significantly(),
    seen=False,
)
def margin_of_s4_recurrent_from_other_starts() -> Estimate:
    return smallest(*map(_margin_of_recurrent, ("s4d_unit_step", "s4d")))
