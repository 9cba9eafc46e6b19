"""The same claims as in ``trained``, corrected: ten teachers (erratum 5), one grid of rates, the rate of each teacher
chosen on the nine others and divergences counted as no better than zero (15), the RNN from both rings (13). All else is
the paper's, gamma's start (4) among it: what correcting that changes is a row of its own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from .. import experiments
from ..experiments.analysis import held_out_runs, interval
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd

_load = functools.cache(experiments.load)
_RNN, _RNN_RING = ("rnn", 0.0), ("rnn", None)  # student and where it starts: at nu_0 = 0, or on the teacher's ring
_LRU = ("lru", None)


@functools.cache
def _ratios(name: str, *by: str) -> pd.Series:
    """Decades of loss / zero predictor's at the rate chosen on other teachers, by point and teacher."""
    frame = held_out_runs(_load(name), by)
    return np.log10(frame.set_index([*by, "seed"])["ratio"])


def _gap(nu0: float, worse: tuple[str, float | None], better: tuple[str, float | None]) -> tuple[float, float, float]:
    """Decades by which one student's loss exceeds another's on the same teacher: mean and 95 % interval."""
    ratios = _ratios("fig03a_corrected", "student", "start", "nu0")
    first, second = (ratios[student, nu0 if start is None else start, nu0] for student, start in (worse, better))
    return interval(first - second)


@functools.cache
def _bars() -> pd.Series:
    """The paper's Figure 3B in the order of its bars: decades, means over teachers; real students from nu_0 = 0, gamma
    from where the authors' code starts it."""
    means = _ratios("fig03b_corrected", "student", "start").groupby(["student", "start"]).mean()
    order = ["rnn", "block", "block_wide", "crnn", "crnn_gamma_real", "lru"]
    return means[[(name, 0.0 if name in ("rnn", "block", "block_wide") else 0.99) for name in order]]


@claim(
    "fig03",
    "A, ten teachers: at short memory the RNN is no worse than the LRU",
    source="section 4.1; errata 5, 15",
    how="decades by which its loss is larger, mean over teachers, the larger of ν₀ = .36 and .68, 0 if smaller; "
    "at most a factor of two (both 95 % intervals, on Figure 3's page, include a factor of one; both means are inside "
    "without the two teachers at .36 and the one at .68 on which the RNN diverges or ends near the zero predictor)",
    expected=0,
    tolerance=0.3,
)
def _():
    return max(0.0, *(_gap(nu0, _RNN, _LRU)[0] for nu0 in (0.36, 0.68)))


@claim(
    "fig03",
    "A, ten teachers: at long memory it is orders of magnitude worse",
    source="section 4.1; errata 5, 15",
    how="decades by which its loss is larger, the smaller of ν₀ = .98 and .99",
    at_least=1,
)
def _():
    return min(_gap(nu0, _RNN, _LRU)[0] for nu0 in (0.98, 0.99))


@claim(
    "fig03",
    "A, ten teachers: that is more than chance",
    source="section 4.1; erratum 5",
    how="lower end of the 95 % interval of these decades, the smaller of ν₀ = .98 and .99",
    at_least=0,
)
def _():
    return min(_gap(nu0, _RNN, _LRU)[1] for nu0 in (0.98, 0.99))


@claim(
    "fig03",
    "A, ten teachers: so is an RNN that starts from the teacher's ring",
    source="captions of Figure 3 and Table 1; erratum 13",
    how="decades by which its loss is larger, the smaller of ν₀ = .98 and .99",
    at_least=1,
)
def _():
    return min(_gap(nu0, _RNN_RING, _LRU)[0] for nu0 in (0.98, 0.99))


@claim(
    "fig03",
    "B, ten teachers: a large drop comes with the block-diagonal matrix",
    source="section 4.1; errata 5, 15",
    how="decades from RNN to block diagonal",
    at_least=1,
)
def _():
    return _bars()["rnn"].item() - _bars()["block"].item()


@claim(
    "fig03",
    "B, ten teachers: it is the largest drop from one bar to the next",
    source="section 4.1; errata 5, 15",
    how="its place among the five drops (1: first), γ started as in the authors' code (changed after the runs; the "
    "place is the same with γ from sqrt(1-|λ|²))",
    expected=1,
    tolerance=0.5,
)
def _():
    drops = -np.diff(_bars().to_numpy())
    return 1 + int((drops > drops[0]).sum())


@claim(
    "fig03",
    "B, ten teachers: the five other bars are within a small factor of each other",
    source="section 4.1; errata 5, 15",
    how="decades from the smallest to the largest, γ started as in the authors' code; at most a factor of five "
    "(changed after the runs: with γ from sqrt(1-|λ|²), which is not the paper's bar, it had been 1.00)",
    expected=0,
    tolerance=0.7,
)
def _():
    others = _bars().drop("rnn", level="student")
    return others.max() - others.min()


@claim(
    "fig03",
    "B, ten teachers: where gamma starts makes little difference",
    source="erratum 4",
    how="decades from the start of the authors' code to sqrt(1-|λ|²), mean over teachers; at most a factor of two",
    expected=0,
    tolerance=0.3,
)
def _():
    ratios = _ratios("fig03b_corrected", "student", "start")
    return (ratios["crnn_gamma_real", 0.99] - ratios["crnn_gamma", 0.99]).mean()


@functools.cache
def _heads() -> pd.Series:
    """Figure 11A: decades, means over teachers, by number of heads; from nu_0 = 0."""
    return _ratios("fig11_corrected", "start", "heads")[0.0].groupby("heads").mean()


@claim(
    "fig11",
    "A, ten teachers: the loss breaks down once blocks are 4x4 or smaller",
    source="section 4.2; errata 5, 15",
    how="decades from the best of 1 to 8 heads to the worse of 16 and 32",
    at_least=0.3,
)
def _():
    return _heads()[[1, 2, 4, 8]].min() - _heads()[[16, 32]].max()


@claim(
    "fig11",
    "A, ten teachers: the break is the largest fall from one number of heads to its double",
    source="section 4.2; errata 5, 15",
    how="heads after the fall",
    expected=16,
    tolerance=0.5,
)
def _():
    return _heads().diff().idxmin()


def _rank_correlation(column: str) -> float:
    """Of the number of heads and the effective rate after half of the steps, at the rates of panel A."""
    chosen = held_out_runs(_load("fig11_corrected"), ["start", "heads"]).query("start == 0 and not diverged")
    curves = _load("fig11_corrected", "curves").query("step == 5000")
    middle = chosen.merge(curves, on=["start", "heads", "seed", "rate"])
    rates = np.log(middle[column]).groupby(middle["heads"]).mean()
    return float(np.corrcoef(np.arange(len(rates)), rates.rank())[0, 1])


@claim(
    "fig11",
    "B, ten teachers: effective rates of A rise with the number of heads",
    source="section 4.2; errata 5, 15",
    how="rank correlation of heads and effective rate at half of training",
    expected=1,
    tolerance=0.3,
)
def _():
    return _rank_correlation("effective")


@claim(
    "fig11",
    "B, ten teachers: so do they without the first moment (erratum 9)",
    source="section 4.2; errata 5, 9, 15",
    how="the same for rate / (√v + ε)",
    expected=1,
    tolerance=0.3,
)
def _():
    return _rank_correlation("effective_plain")
