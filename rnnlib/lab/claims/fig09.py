"""Claims of Figure 9: the Hessians and effective rates of LRU and S4."""

from __future__ import annotations

import numpy as np

from .measures import SYSTEMS, furthest, hessian_at_optimum, median_effective_rates, rank_at_optimum
from .ranges import at_least, near
from .registry import claim


@claim(
    "fig09-rank",
    "The rank is 9 for the LRU and for S4 as well",
    kind="text",
    source="appendix C.3",
    how="as for Figure 4, over 29 parameters, the furthest from 9 of 10 systems and both layers",
    accepted=near(9, 0.5, "TODO"),
)
def rank_of_lru_and_s4() -> float:
    return furthest([rank_at_optimum(name, seed) for name in ("lru", "s4") for seed in range(SYSTEMS)], 9)


def _systems_with_sharpest(name: str, group: str) -> int:
    """In how many systems the sharpest single parameter of ``group`` is ten times as sharp as that of any other."""
    count = 0
    for seed in range(SYSTEMS):
        largest = hessian_at_optimum(name, seed).largest()
        count += largest.pop(group) > 10 * max(largest.values())
    return count


@claim(
    "fig09-lru-curvature-of-angle",
    "The LRU's curvature explodes along the raw angles alone",
    kind="text",
    source="appendix C.3",
    how="in how many of 10 systems ω_θ is ten times as sharp as any other group",
    accepted=near(10, 1, "TODO"),
)
def systems_with_sharpest_lru_angle() -> float:
    return _systems_with_sharpest("lru", "omega_theta")


@claim(
    "fig09-s4-curvature-of-step",
    "That of S4 with a small step explodes along the raw steps alone",
    kind="text",
    source="appendix C.3",
    how="Δ = .01; in how many of 10 systems ω_Δ is ten times as sharp as any other group",
    accepted=near(10, 1, "TODO"),
)
def systems_with_sharpest_s4_step() -> float:
    return _systems_with_sharpest("s4", "omega_delta")


def _margin_of_lowest(student: str, group: str) -> float:
    """Decades from a group's median rate up to the lowest of the others, negative if that one is below."""
    medians = median_effective_rates("fig09cd", "effective")[student].droplevel("start")
    others = medians.drop([group, "D"], errors="ignore")  # D is one parameter
    return np.log10(others.min() / medians[group])


@claim(
    "fig09-lru-rate-of-angle",
    "C: the effective rates of the LRU are lowest for the raw angles",
    kind="text",
    source="appendix C.3",
    how="decades from their median to the next lowest of a group, negative if they are not lowest",
    accepted=at_least(0, "TODO"),
)
def margin_of_lru_angle() -> float:
    return _margin_of_lowest("lru", "omega_theta")


@claim(
    "fig09-s4-rate-of-step",
    "D: those of S4 with a small step are lowest for the raw steps",
    kind="text",
    source="appendix C.3",
    how="decades from their median to the next lowest of a group, negative if they are not lowest",
    accepted=at_least(0, "TODO"),
)
def margin_of_s4_step() -> float:
    return _margin_of_lowest("s4d", "omega_delta")
