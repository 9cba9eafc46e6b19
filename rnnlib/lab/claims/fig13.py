"""Claims of Figure 13 and of appendix D.1: gradients of deep networks at initialisation, layer by layer."""

from __future__ import annotations

import functools

import numpy as np

from ..statistics import Estimate, largest, median, paired_median
from .fig05 import UNIT, decades, times
from .ranges import FACTOR_OF_TWO, at_most, near, significantly, similar
from .registry import claim

_NAMES = {"crnn": "complex RNN", "lru": "LRU", "gru": "GRU"}
_GROUPS = {"crnn": ("lambda", "rest"), "lru": ("nu", "theta", "rest"), "gru": ("recurrent", "rest")}
_BLOCKS = (1, 2, 3, 4)


def _blocks(quantity: str, kind: str, time: float) -> np.ndarray:
    """Decades by draw, text and block."""
    return np.stack([decades(quantity, kind, time, block) for block in _BLOCKS], axis=-1)


def _size(estimate: Estimate) -> Estimate:
    """Of a number that may have either sign."""
    low, high = sorted((abs(estimate.low), abs(estimate.high)))
    straddles = estimate.low < 0 < estimate.high
    return Estimate(abs(estimate.value), 0.0 if straddles else low, high, estimate.n, estimate.unit)


def largest_deviation_of_a_block(kind: str) -> Estimate:
    """Decades between a block and the mean of all four, whatever block, group and memory: median over networks.

    Paired within networks, because what all four blocks of a network share, such as a unit close to 1 that amplifies
    every gradient, says nothing of the layer; a median over networks, because a single unit can make a block large, and
    which block it is in is chance.
    """
    return largest(
        *(
            _size(median(deviations, UNIT))
            for group in _GROUPS[kind]
            for time in times()
            for values in [_blocks(group, kind, time)]
            for deviations in np.moveaxis(values - values.mean(-1, keepdims=True), -1, 0)
        )
    )


def widest_spread_of_a_network(kind: str) -> Estimate:
    """Decades from the smallest to the largest block of one network on one text, the widest over groups and memories:
    what the paper's table of one network shows."""
    spreads = [np.ptp(_blocks(group, kind, time), axis=-1) for group in _GROUPS[kind] for time in times()]
    return median(np.max(spreads, axis=0), UNIT)


for _kind, _name in _NAMES.items():
    claim(
        f"fig13-{_kind}-gradients-by-layer",
        f"The size of the {_name}'s gradients is independent of the layer",
        kind="text",
        source="5, D.1, caption of Figure 13",
        how="decades between a block and the mean of the four, median of 32 networks on two texts, the largest over "
        "blocks, groups and memories",
        accepted=at_most(FACTOR_OF_TWO, "independent: each block within a factor of two of the mean of all"),
    )(functools.partial(largest_deviation_of_a_block, _kind))

for _kind, _decades in (("crnn", 1.24), ("lru", 1.11)):
    claim(
        f"fig13-{_kind}-spread-of-a-network",
        f"Layers of one {_NAMES[_kind]} differ as much as in the picture",
        kind="picture",
        source="Figure 13",
        how="decades from the smallest to the largest block, the widest over groups and memories; median of 32 "
        "networks, each on two texts",
        accepted=near(_decades, 0.3, "as in the paper's own table, to within a factor of two"),
        paper=f"{_decades:.2f}",
    )(functools.partial(widest_spread_of_a_network, _kind))


def _from_first_to_last(quantity: str) -> Estimate:
    """Decades from block 1 to block 4 of the complex RNN at the longest memory."""
    return paired_median(*(decades(quantity, "crnn", 100.0, block) for block in (4, 1)), UNIT)


@claim(
    "fig13-crnn-states-grow",
    "In the complex RNN states grow from layer to layer",
    kind="text",
    source="5, D.1",
    how="decades of the mean squared output from block 1 to block 4 at T_c = 100, median of 32 networks on two texts",
    accepted=significantly("grow, beyond chance: the interval of paired differences leaves out 0"),
    paper="4.3",
)
def growth_of_states_with_depth() -> Estimate:
    return _from_first_to_last("output")


@claim(
    "fig13-crnn-errors-grow",
    "In the complex RNN errors grow on their way back through the layers",
    kind="text",
    source="5, D.1",
    how="decades of the mean squared gradient with respect to a block's output from block 4 to block 1 at T_c = 100, "
    "median of 32 networks on two texts",
    accepted=significantly("grow, beyond chance: the interval of paired differences leaves out 0"),
    seen=False,
)
def growth_of_errors_on_the_way_back() -> Estimate:
    back = _from_first_to_last("error")
    return Estimate(-back.value, -back.high, -back.low, back.n, back.unit)


@claim(
    "fig13-crnn-offset",
    "In the complex RNN growing states and growing errors offset each other",
    kind="text",
    source="5, D.1",
    how="what a block's gradients are made of, the mean squares of the states that enter it and of the error at its "
    "output: decades of their product from block 2 to block 4 at T_c = 100, median of 32 networks on two texts",
    accepted=similar("offset each other: the product stays within a factor of two"),
    seen=False,
)
def growth_of_states_times_errors() -> Estimate:
    products = (
        decades("output", "crnn", 100.0, block - 1) + decades("error", "crnn", 100.0, block) for block in (4, 2)
    )
    return paired_median(*products, UNIT)
