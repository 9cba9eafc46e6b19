"""Claims of Figure 11: block-diagonal networks with few and many heads, 32 teachers, two runs each."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from ..statistics import Estimate, by_teacher, difference, median, paired_median, smallest
from .measures import decades, load
from .ranges import significantly, similar
from .registry import claim

_HEADS = (1, 2, 4, 8, 16, 32)
_FIXED_RATES = (0.0001, 0.001)
_HALF_OF_TRAINING = 5000  # steps
_RUNS = "32 teachers, the rate of a run chosen by the other run on its teacher"
_AT_FIXED_RATES = "base rates .0001 and .001, an effective rate holds the base rate as a factor (erratum 9)"


def losses(heads: int) -> np.ndarray:
    """Decades of loss over the zero predictor's, a row a teacher; from nu_0 = 0."""
    if heads == 1:
        return decades("fig03a_teachers", "rnn", start=0.0)
    if heads == 32:
        return decades("fig03b_teachers", "block", start=0.0, heads=32)
    return decades("fig11_teachers", "rnn", start=0.0, heads=heads)


def _rank_correlation(values: list[np.ndarray]) -> Estimate:
    """Of the number of heads and a number of each teacher, the median over teachers; two infinities tie."""
    from scipy import stats

    rows = np.stack([value.reshape(len(value), -1).mean(axis=1) for value in values], axis=1)
    return median([stats.spearmanr(range(len(_HEADS)), row).statistic for row in rows])


@claim(
    "fig11-16-heads-like-32",
    "A: heads of up to 4x4, 16 of them, give benefits similar to the 2x2 ones",
    kind="text",
    source="C.4.3, 4.2",
    how=f"decades from the loss with 32 heads to that with 16, median of pairs; {_RUNS}",
    accepted=similar(),
    paper=".59",
    seen=False,
)
def excess_of_16_heads() -> Estimate:
    return paired_median(losses(16), losses(32))


@claim(
    "fig11-loss-falls",
    "A: the more heads, the better the loss",
    kind="text",
    source="C.4.3",
    how=f"minus the rank correlation of heads and loss on a teacher, median; {_RUNS}",
    accepted=significantly("better with heads, beyond chance: the interval leaves out 0"),
    paper="1.0 (with one tie)",
    seen=False,
)
def fall_of_loss_with_heads() -> Estimate:
    return _rank_correlation([-losses(heads) for heads in _HEADS])


@claim(
    "fig11-largest-fall",
    "A: the largest fall is the one to 4x4 blocks, from 8 heads to 16",
    kind="picture",
    source="Figure 11A",
    how=f"decades by which it exceeds another doubling's, median of pairs, the smallest of four; {_RUNS}",
    accepted=significantly(),
    paper="2.7",
    seen=False,
)
def excess_of_fall_to_16_heads() -> Estimate:
    falls = [difference(losses(few), losses(many)) for few, many in itertools.pairwise(_HEADS)]
    to_16 = falls.pop(3)
    return smallest(*(paired_median(to_16, other) for other in falls))


@functools.cache
def effective_rates(column: str, rate: float) -> list[np.ndarray]:
    """Decades of the mean effective rate of A halfway, a row a teacher, by number of heads. A run that diverged has
    none: its rate counts as 0, the lowest."""
    runs = load("fig11_teachers").query("rate == @rate")
    curves = load("fig11_teachers", "curves").query("step == @_HALF_OF_TRAINING and rate == @rate")
    runs = runs.merge(curves[["heads", "seed", column]], on=["heads", "seed"], how="left")
    with np.errstate(divide="ignore"):
        runs = runs.assign(
            repeat=runs.groupby(["heads", "teacher"]).cumcount(), decades=np.log10(runs[column].fillna(0.0))
        )
    return [by_teacher(runs[runs["heads"] == heads]) for heads in _HEADS]


def _rise_of_rates(column: str) -> Estimate:
    return smallest(*(_rank_correlation(effective_rates(column, rate)) for rate in _FIXED_RATES))


@claim(
    "fig11-rates-rise",
    "B: the more heads, the larger the effective rates",
    kind="text",
    source="C.4.3",
    how="rank correlation of heads and the mean effective rate of A halfway on a teacher, median over 32; the smaller "
    f"of {_AT_FIXED_RATES}",
    accepted=significantly("larger with heads, beyond chance: the interval leaves out 0"),
    paper="about 1",
    seen=False,
)
def rise_of_effective_rates() -> Estimate:
    return _rise_of_rates("effective")


@claim(
    "fig11-rates-rise-each-step",
    "B: they rise with every doubling of the heads",
    kind="ours",
    source="ours, for Figure 11B",
    how=f"decades from one number of heads to its double, median over 32 teachers, the smallest of five; "
    f"{_AT_FIXED_RATES}",
    accepted=significantly("more, beyond chance: the interval of paired differences leaves out 0"),
    seen=False,
)
def smallest_rise_of_effective_rates() -> Estimate:
    return smallest(
        *(
            paired_median(many, few)
            for rate in _FIXED_RATES
            for few, many in itertools.pairwise(effective_rates("effective", rate))
        )
    )


@claim(
    "fig11-rates-rise-without-momentum",
    "B: they do so without the first moment, too",
    kind="erratum",
    source="erratum 9",
    how="as for fig11-rates-rise, of rate / (√v + ε)",
    accepted=significantly("larger with heads, beyond chance: the interval leaves out 0"),
    seen=False,
)
def rise_of_effective_rates_without_momentum() -> Estimate:
    return _rise_of_rates("effective_plain")
