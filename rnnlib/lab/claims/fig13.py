"""Claims of Figure 13: gradients by layer of deep networks at initialisation, on stored results."""

from __future__ import annotations

import functools

from .measures import log_mean_squares
from .ranges import near
from .registry import claim


def largest_spread_over_blocks(kind: str) -> float:
    """Decades from the smallest to the largest block, the widest over groups and memories."""
    values = log_mean_squares("fig13")
    values = values[(values.index.get_level_values("layer") > 0) & (values.index.get_level_values("group") != "output")]
    blocks = values[kind].groupby(["time", "group"])
    return float((blocks.max() - blocks.min()).max())


for _kind, _name in (("crnn", "complex RNN"), ("lru", "LRU"), ("gru", "GRU")):
    claim(
        f"fig13-{_kind}-gradients-by-layer",
        f"Gradients of the {_name} hardly depend on the layer",
        kind="text",
        source="D.1",
        how="decades from the block with the smallest to that with the largest, the widest over groups and memories",
        accepted=near(0, 1, "as when the row was first written"),
    )(functools.partial(largest_spread_over_blocks, _kind))
