"""Claims of Figure 11: block-diagonal networks with few and many heads, on the stored results at the paper's scale.

Two lots, as for Figure 3: ten teachers, and the paper's protocol.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.analysis import best, held_out_runs
from .measures import held_out_log_ratios, load
from .ranges import at_least, near
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd

_HALF_OF_TRAINING = 5000  # steps


@functools.cache
def _ten_teachers_losses() -> pd.Series:
    """Figure 11A: decades, means over teachers, by number of heads; from nu_0 = 0."""
    return held_out_log_ratios("fig11_corrected", "start", "heads")[0.0].groupby("heads").mean()


def _ten_teachers_rank_correlation(column: str) -> float:
    """Of the number of heads and the effective rate after half of the steps, at the rates of panel A."""
    chosen = held_out_runs(load("fig11_corrected"), ["start", "heads"]).query("start == 0 and not diverged")
    curves = load("fig11_corrected", "curves").query("step == @_HALF_OF_TRAINING")
    middle = chosen.merge(curves, on=["start", "heads", "seed", "rate"])
    return _spearman(np.log(middle[column]).groupby(middle["heads"]).mean())


def _spearman(values: pd.Series) -> float:
    """Rank correlation of values and their index."""
    return values.corr(values.index.to_series(), method="spearman")


@claim(
    "fig11-ten-teachers-breakdown",
    "A, ten teachers: the loss breaks down once blocks are 4x4 or smaller",
    kind="text",
    source="section 4.2; errata 5, 15",
    how="decades from the best of 1 to 8 heads to the worse of 16 and 32",
    accepted=at_least(0.3, "TODO"),
)
def ten_teachers_breakdown_of_small_blocks() -> float:
    return _ten_teachers_losses()[[1, 2, 4, 8]].min() - _ten_teachers_losses()[[16, 32]].max()


@claim(
    "fig11-ten-teachers-largest-fall",
    "A, ten teachers: the break is the largest fall from one number of heads to its double",
    kind="text",
    source="section 4.2; errata 5, 15",
    how="heads after the fall",
    accepted=near(16, 0.5, "TODO"),
)
def ten_teachers_heads_after_largest_fall() -> float:
    return _ten_teachers_losses().diff().idxmin()


@claim(
    "fig11-ten-teachers-rates-rise",
    "B, ten teachers: effective rates of A rise with the number of heads",
    kind="text",
    source="section 4.2; errata 5, 15",
    how="rank correlation of heads and effective rate at half of training",
    accepted=near(1, 0.3, "TODO"),
)
def ten_teachers_rank_correlation_of_effective_rate() -> float:
    return _ten_teachers_rank_correlation("effective")


@claim(
    "fig11-ten-teachers-rates-rise-without-momentum",
    "B, ten teachers: so do they without the first moment (erratum 9)",
    kind="text",
    source="section 4.2; errata 5, 9, 15",
    how="the same for rate / (√v + ε)",
    accepted=near(1, 0.3, "TODO"),
)
def ten_teachers_rank_correlation_of_effective_rate_without_momentum() -> float:
    return _ten_teachers_rank_correlation("effective_plain")


@functools.cache
def _best_rates() -> pd.DataFrame:
    return best(load("fig11"), ["heads"]).set_index("heads")


def _rank_correlation(column: str) -> float:
    """Of the number of heads and the effective rate after half of the steps, each at its best base rate."""
    curves = load("fig11", "curves").query("step == @_HALF_OF_TRAINING")
    middle = curves.merge(_best_rates()["rate"].reset_index(), on=["heads", "rate"])
    return _spearman(np.log(middle[column]).groupby(middle["heads"]).mean())


@claim(
    "fig11-breakdown",
    "A: the loss breaks down once blocks are 4x4 or smaller",
    kind="text",
    source="section 4.2",
    how="decades from the best of 1 to 8 heads to the worse of 16 and 32",
    accepted=at_least(0.3, "TODO"),
)
def breakdown_of_small_blocks() -> float:
    loss = np.log10(_best_rates()["loss"])
    return loss[[1, 2, 4, 8]].min() - loss[[16, 32]].max()


@claim(
    "fig11-largest-fall",
    "A: the break is the largest fall from one number of heads to its double",
    kind="text",
    source="section 4.2",
    how="heads after the fall",
    accepted=near(16, 0.5, "TODO"),
)
def heads_after_largest_fall() -> float:
    return np.log10(_best_rates()["loss"]).diff().idxmin()


@claim(
    "fig11-rates-rise",
    "B: effective rates of A rise with the number of heads",
    kind="text",
    source="section 4.2",
    how="rank correlation of heads and effective rate at half of training, each at its best rate",
    accepted=near(1, 0.3, "TODO"),
)
def rank_correlation_of_effective_rate() -> float:
    return _rank_correlation("effective")


@claim(
    "fig11-rates-rise-without-momentum",
    "B: so do they without the first moment (erratum 9)",
    kind="text",
    source="section 4.2",
    how="the same for rate / (√v + ε)",
    accepted=near(1, 0.3, "TODO"),
)
def rank_correlation_of_effective_rate_without_momentum() -> float:
    return _rank_correlation("effective_plain")
