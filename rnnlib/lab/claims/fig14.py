"""Claims of Figure 14: how diagonal the Jacobians of gated units are, on the stored results at the paper's scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .measures import load
from .ranges import at_least, near
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd


def _jacobians(cell: str, time: float, input_scale: float, recurrent_scale: float) -> pd.DataFrame:
    """Root mean squares of one setting of Figure 14 over its networks, by t and kind of entry."""
    rows = load("fig14").query(
        "cell == @cell and max_time == @time and input_scale == @input_scale and recurrent_scale == @recurrent_scale"
    )
    return rows.assign(square=rows["rms"] ** 2).pivot_table("square", "t", "kind") ** 0.5


@claim(
    "fig14-diagonal-with-constant-gates",
    "With gates that ignore input and state the Jacobian is exactly diagonal",
    kind="text",
    source="D.2",
    how="the largest off-diagonal entry, scales 0, all times and time constants",
    accepted=near(0, 1e-12, "as when the row was first written"),
)
def largest_off_diagonal_of_constant_gates() -> float:
    return load("fig14").query("cell == 'gru' and input_scale == 0 and kind == 'off-diagonal'")["largest"].max()


@claim(
    "fig14-diagonal-with-input-gates",
    "So it is with gates that see the input alone",
    kind="text",
    source="D.2",
    how="the same with input scale 1 and recurrent scale 0",
    accepted=near(0, 1e-12, "as when the row was first written"),
)
def largest_off_diagonal_of_input_gates() -> float:
    rows = load("fig14").query("cell == 'gru' and input_scale == 1 and recurrent_scale == 0")
    return rows.query("kind == 'off-diagonal'")["largest"].max()


@claim(
    "fig14-off-diagonal-small",
    "At the usual scales off-diagonal entries are small next to the diagonal",
    kind="text",
    source="D.2",
    how="root mean square, off-diagonal over diagonal, the largest over t, T in [1, 16] and [1, 256]; at most a tenth",
    accepted=near(0, 0.1, "as when the row was first written"),
)
def off_diagonal_over_diagonal() -> float:
    ratios = [_jacobians("gru", time, 1, 1) for time in (16, 256)]
    return max((ratio["off-diagonal"] / ratio["diagonal"]).max() for ratio in ratios)


@claim(
    "fig14-off-diagonal-small-at-start",
    "They stay small next to the diagonal at the start",
    kind="text",
    source="D.2",
    how="their largest root mean square over the diagonal's at t = 1, same ranges (added after seeing a small layer)",
    accepted=near(0, 0.1, "as when the row was first written"),
)
def off_diagonal_over_initial_diagonal() -> float:
    tables = [_jacobians("gru", time, 1, 1) for time in (16, 256)]
    return max(table["off-diagonal"].max() / table["diagonal"].iloc[0] for table in tables)


@claim(
    "fig14-off-diagonal-grows-with-scale",
    "They grow with the recurrent scale",
    kind="text",
    source="D.2",
    how="the smallest of their root mean square at scale 3 over that at scale 1, over t",
    accepted=at_least(1.5, "as when the row was first written"),
)
def growth_with_recurrent_scale() -> float:
    large, usual = (_jacobians("gru", 16, 1, scale)["off-diagonal"] for scale in (3, 1))
    return (large / usual).min()
