"""Claims of Figure 3: students of linear teachers, on the stored results at the paper's scale.

Two lots: the paper's protocol, and the same claims on ten teachers (erratum 5) with one grid of rates, the rate of each
teacher chosen on the nine others, divergences counted as no better than zero (15) and the RNN from both rings (13). All
else is the paper's, gamma's start (4) among it: what correcting that changes is a row of its own.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from ..experiments.analysis import best, interval
from .measures import held_out_log_ratios, load
from .ranges import at_least, near
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd

_BARS = ["rnn", "block", "block_wide", "crnn", "crnn_gamma_real", "lru"]  # in the order of Figure 3B
_RNN, _RNN_RING = ("rnn", 0.0), ("rnn", None)  # student and where it starts: at nu_0 = 0, or on the teacher's ring
_LRU = ("lru", None)


def _rank_of_first_drop(bars: pd.Series) -> int:
    """1 if the first drop from a bar to the next is the largest."""
    drops = -np.diff(bars.to_numpy())
    return 1 + int((drops > drops[0]).sum())


# Ten teachers ---------------------------------------------------------------------------------------------------------


def _ten_teachers_excess(
    nu0: float, worse: tuple[str, float | None], better: tuple[str, float | None]
) -> tuple[float, float, float]:
    """Decades by which one student's loss exceeds another's on the same teacher: mean and 95 % interval."""
    ratios = held_out_log_ratios("fig03a_corrected", "student", "start", "nu0")
    first, second = (ratios[student, nu0 if start is None else start, nu0] for student, start in (worse, better))
    return interval(first - second)


@functools.cache
def _ten_teachers_bars() -> pd.Series:
    """Figure 3B: decades, means over teachers; real students from nu_0 = 0, gamma from where the authors' code starts
    it."""
    means = held_out_log_ratios("fig03b_corrected", "student", "start").groupby(["student", "start"]).mean()
    return means[[(name, 0.0 if name in ("rnn", "block", "block_wide") else 0.99) for name in _BARS]]


@claim(
    "fig03-ten-teachers-rnn-at-short-memory",
    "A, ten teachers: at short memory the RNN is no worse than the LRU",
    kind="text",
    source="section 4.1; errata 5, 15",
    how="decades by which its loss is larger, mean over teachers, the larger of ν₀ = .36 and .68, 0 if smaller; "
    "at most a factor of two (both 95 % intervals, on Figure 3's page, include a factor of one; both means are inside "
    "without the two teachers at .36 and the one at .68 on which the RNN diverges or ends near the zero predictor)",
    accepted=near(0, 0.3, "TODO"),
)
def ten_teachers_rnn_excess_at_short_memory() -> float:
    return max(0.0, *(_ten_teachers_excess(nu0, _RNN, _LRU)[0] for nu0 in (0.36, 0.68)))


@claim(
    "fig03-ten-teachers-rnn-at-long-memory",
    "A, ten teachers: at long memory it is orders of magnitude worse",
    kind="text",
    source="section 4.1; errata 5, 15",
    how="decades by which its loss is larger, the smaller of ν₀ = .98 and .99",
    accepted=at_least(1, "TODO"),
)
def ten_teachers_rnn_excess_at_long_memory() -> float:
    return min(_ten_teachers_excess(nu0, _RNN, _LRU)[0] for nu0 in (0.98, 0.99))


@claim(
    "fig03-ten-teachers-rnn-beyond-chance",
    "A, ten teachers: that is more than chance",
    kind="text",
    source="section 4.1; erratum 5",
    how="lower end of the 95 % interval of these decades, the smaller of ν₀ = .98 and .99",
    accepted=at_least(0, "TODO"),
)
def ten_teachers_lower_end_of_rnn_excess() -> float:
    return min(_ten_teachers_excess(nu0, _RNN, _LRU)[1] for nu0 in (0.98, 0.99))


@claim(
    "fig03-ten-teachers-rnn-from-ring",
    "A, ten teachers: so is an RNN that starts from the teacher's ring",
    kind="text",
    source="captions of Figure 3 and Table 1; erratum 13",
    how="decades by which its loss is larger, the smaller of ν₀ = .98 and .99",
    accepted=at_least(1, "TODO"),
)
def ten_teachers_excess_of_rnn_from_ring() -> float:
    return min(_ten_teachers_excess(nu0, _RNN_RING, _LRU)[0] for nu0 in (0.98, 0.99))


@claim(
    "fig03-ten-teachers-block-drop",
    "B, ten teachers: a large drop comes with the block-diagonal matrix",
    kind="text",
    source="section 4.1; errata 5, 15",
    how="decades from RNN to block diagonal",
    accepted=at_least(1, "TODO"),
)
def ten_teachers_block_diagonal_drop() -> float:
    return _ten_teachers_bars()["rnn"].item() - _ten_teachers_bars()["block"].item()


@claim(
    "fig03-ten-teachers-block-drop-largest",
    "B, ten teachers: it is the largest drop from one bar to the next",
    kind="text",
    source="section 4.1; errata 5, 15",
    how="its place among the five drops (1: first), γ started as in the authors' code (changed after the runs; the "
    "place is the same with γ from sqrt(1-|λ|²))",
    accepted=near(1, 0.5, "TODO"),
)
def ten_teachers_rank_of_block_diagonal_drop() -> float:
    return _rank_of_first_drop(_ten_teachers_bars())


@claim(
    "fig03-ten-teachers-other-bars",
    "B, ten teachers: the five other bars are within a small factor of each other",
    kind="text",
    source="section 4.1; errata 5, 15",
    how="decades from the smallest to the largest, γ started as in the authors' code; at most a factor of five "
    "(changed after the runs: with γ from sqrt(1-|λ|²), which is not the paper's bar, it had been 1.00)",
    accepted=near(0, 0.7, "TODO"),
)
def ten_teachers_spread_of_other_bars() -> float:
    others = _ten_teachers_bars().drop("rnn", level="student")
    return others.max() - others.min()


@claim(
    "fig03-ten-teachers-gamma-start",
    "B, ten teachers: where gamma starts makes little difference",
    kind="text",
    source="erratum 4",
    how="decades from the start of the authors' code to sqrt(1-|λ|²), mean over teachers; at most a factor of two",
    accepted=near(0, 0.3, "TODO"),
)
def ten_teachers_effect_of_gamma_start() -> float:
    ratios = held_out_log_ratios("fig03b_corrected", "student", "start")
    return (ratios["crnn_gamma_real", 0.99] - ratios["crnn_gamma", 0.99]).mean()


# The paper's protocol -------------------------------------------------------------------------------------------------


@functools.cache
def _losses() -> pd.Series:
    """Figure 3A: the mean loss at the best rate, by student and memory."""
    return best(load("fig03a"), ["student", "nu0"]).set_index(["student", "nu0"])["loss"]


@functools.cache
def _bars() -> pd.Series:
    """Figure 3B: the mean loss at the best rate, by student."""
    losses = best(load("fig03b"), ["student"]).set_index("student")["loss"]
    losses["rnn"] = _losses()["rnn", 0.99]
    return losses[_BARS]


def _rnn_excess(nu0: float) -> float:
    """Decades by which the RNN's loss exceeds the LRU's."""
    return np.log10(_losses()["rnn", nu0] / _losses()["lru", nu0])


@claim(
    "fig03-rnn-at-short-memory",
    "A: at short memory the RNN is no worse than the LRU",
    kind="text",
    source="section 4.1",
    how="decades by which its loss is larger, the larger of ν₀ = .36 and .68, 0 if smaller; at most a factor of two",
    accepted=near(0, 0.3, "TODO"),
)
def rnn_excess_at_short_memory() -> float:
    return max(0.0, _rnn_excess(0.36), _rnn_excess(0.68))


@claim(
    "fig03-rnn-at-long-memory",
    "A: at long memory it is orders of magnitude worse",
    kind="text",
    source="section 4.1",
    how="decades by which its loss is larger, the smaller of ν₀ = .98 and .99",
    accepted=at_least(1, "TODO"),
)
def rnn_excess_at_long_memory() -> float:
    return min(_rnn_excess(0.98), _rnn_excess(0.99))


@claim(
    "fig03-block-drop",
    "B: a large drop comes with the block-diagonal matrix",
    kind="text",
    source="section 4.1",
    how="decades from RNN to block diagonal",
    accepted=at_least(1, "TODO"),
)
def block_diagonal_drop() -> float:
    return np.log10(_bars()["rnn"] / _bars()["block"])


@claim(
    "fig03-block-drop-largest",
    "B: it is the largest drop from one bar to the next",
    kind="text",
    source="section 4.1",
    how="its place among the five drops (1: first)",
    accepted=near(1, 0.5, "TODO"),
)
def rank_of_block_diagonal_drop() -> float:
    return _rank_of_first_drop(np.log10(_bars()))


@claim(
    "fig03-other-bars",
    "B: the five other bars are within a small factor of each other",
    kind="text",
    source="section 4.1",
    how="decades from the smallest to the largest; at most a factor of five",
    accepted=near(0, 0.7, "TODO"),
)
def spread_of_other_bars() -> float:
    others = np.log10(_bars().drop("rnn"))
    return others.max() - others.min()


def _trained_through_time() -> list[pd.DataFrame]:
    """Runs of RNN and of LRU through time beside those of the exact method from the same starts and minibatches."""
    pairs = []
    for name in ("direct_dense", "direct_diagonal"):
        on = ["student", "start", "nu0", "rate", "seed"]
        pair = load(name).merge(load("fig03a"), on=on, suffixes=["", "_exact"])
        pairs.append(pair.assign(ratio=pair["loss"] / pair["loss_exact"]))
    return pairs


@claim(
    "fig03-bptt-each-run",
    "Check: trained by back-propagation through time, students end where those of the exact method end",
    kind="text",
    source="ours",
    how="of RNN and LRU at ν₀ = .99, the largest difference of log losses from the same start and minibatches, "
    "in standard deviations over the ten seeds; at most two",
    accepted=near(0, 2, "TODO"),
)
def largest_difference_from_exact_training() -> float:
    return max(np.log(pair["ratio"]).abs().max() / np.log(pair["loss_exact"]).std() for pair in _trained_through_time())


@claim(
    "fig03-bptt-on-average",
    "Check: over ten seeds they end neither higher nor lower",
    kind="text",
    source="ours",
    how="mean log ratio of the two final losses, in half-widths of its 95 % confidence interval, the larger of RNN and "
    "LRU at ν₀ = .99; at most one (added when five of the twenty runs were known; one of them failed the row above)",
    accepted=near(0, 1, "TODO"),
)
def mean_difference_from_exact_training() -> float:
    intervals = [interval(np.log(pair["ratio"])) for pair in _trained_through_time()]
    return max(abs(mean) / (high - mean) for mean, _, high in intervals)
