"""Claims of Figure 15: gated units against the theory of diagonal ones, on the stored results at the paper's scale.

The paper predicts with the exponential fitted to the autocorrelation of its text and infinitely many past inputs (D.3).
Most rows take the autocorrelation that was measured on our sequences and sums over their 512 steps instead, so that
nothing but the gates can differ; rows of their own have the paper's prediction.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from ... import theory
from .. import as_printed, text
from ..experiments.fig15 import Means, over_networks
from ..statistics import CONFIDENCE, Estimate, largest
from .measures import load
from .ranges import FACTOR_OF_TWO, at_most, significantly
from .registry import claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

GATES = ("constant", "input", "state")
QUANTITIES = ("h2", "s2")
FROM = 4  # before, bins hold few units


@functools.cache
def _means(gates: str, quantity: str) -> Means:
    return over_networks(load("fig15").query("cell == 'gru' and gates == @gates"), quantity)


def _estimate(of: Callable[[NDArray], NDArray], *means: Means) -> Estimate:
    """A number that follows from means in bins, ``of`` arrays whose last axis is the bins, with a bootstrap interval
    over networks."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(of(*(m.drawn for m in means)), [tail, 100 - tail])
    value = of(*(m.value for m in means))
    return Estimate(float(value), float(low), float(high), means[0].networks, "networks")


def _measured(quantity: str, lam: NDArray) -> NDArray:
    """Theory with the measured autocorrelation and as many steps as the sequences have."""
    R = load("fig15", "inputs")["autocorrelation"].to_numpy()
    return theory.window_moment(theory.gated_response(lam, len(R))[QUANTITIES.index(quantity)], R)


def _all_moments(quantity: str, lam: NDArray) -> NDArray:
    """Theory with the second moments of these sequences at all pairs of steps: no stationarity assumed."""
    table, T = load("fig15", "moments"), lam / (1 - lam)
    moment = table["h2" if quantity == "h2" else "gru_s2"]
    return np.exp(np.interp(np.log(T), np.log(table["T"]), np.log(moment)))


def _as_the_paper(quantity: str, lam: NDArray) -> NDArray:
    """Theory with the exponential that was fitted to our text for Figure 12 and infinitely many steps."""
    fit = load("fig12", "fits").query("source == 'wikipedia' and positions and not padding").iloc[0]
    return _infinite(quantity, lam, text.Autocorrelation(fit["white"], fit["amplitude"], fit["decay"]))


def _infinite(quantity: str, lam: NDArray, R: text.Autocorrelation) -> NDArray:
    moment = theory.gated_state_variance if quantity == "h2" else theory.gated_sensitivity
    return R.white * moment(lam, 0.0) + R.amplitude * moment(lam, R.decay)  # the moment is linear in R


def _distance(estimate: Estimate, target: float) -> Estimate:
    """How far a number is from another, with the interval that follows."""
    ends = abs(estimate.low - target), abs(estimate.high - target)
    nearest = 0.0 if estimate.low <= target <= estimate.high else min(ends)
    return Estimate(abs(estimate.value - target), nearest, max(ends), estimate.n, estimate.unit)


def _deviation(gates: str, predict: Callable[[str, NDArray], NDArray]) -> Estimate:
    """How far the mean over theory is from 1, the largest over h² and (dh/db)² and bins."""
    ratios = []
    for quantity in QUANTITIES:
        means = _means(gates, quantity)
        predicted = predict(quantity, means.T / (1 + means.T))
        for index in np.flatnonzero(means.low >= FROM):
            ratios.append(_estimate(lambda m, i=index, p=predicted: m[..., i] / p[i], means))
    return largest(*(_distance(ratio, 1) for ratio in ratios))


_OF = "the largest over h², (dh/db)² and bins of log T, T ≥ 4"
OURS = (
    "|mean over networks / theory - 1| with the autocorrelation measured on these sequences and sums over 512 steps "
    f"(the paper: a fitted exponential and infinitely many steps), {_OF}"
)
PAPERS = (
    "|mean over networks / theory - 1| with the paper's prediction: the exponential that was fitted to our text for "
    f"Figure 12, and infinitely many steps; {_OF}"
)
PRECISE = "chosen before the numbers of the first run: very precise, but with more room than a perfect match"


@claim(
    "fig15-constant-gates",
    "With constant gates the diagonal theory matches h² and (dh/db)² almost perfectly",
    kind="text",
    source="D.3, Figure 15",
    how=OURS,
    accepted=at_most(0.2, "almost perfect: within a fifth, chosen before the numbers of the first run"),
)
def deviation_of_constant_gates() -> Estimate:
    return _deviation("constant", _measured)


@claim(
    "fig15-input-gates",
    "Where gates depend on the input the theory is very precise, if not perfect",
    kind="text",
    source="D.3, Figure 15",
    how=OURS,
    accepted=at_most(0.5, PRECISE),
)
def deviation_of_input_gates() -> Estimate:
    return _deviation("input", _measured)


@claim(
    "fig15-state-gates",
    "Where gates depend on input and state the theory is very precise, if not perfect",
    kind="text",
    source="D.3, Figure 15",
    how=OURS,
    accepted=at_most(0.5, PRECISE),
)
def deviation_of_state_gates() -> Estimate:
    return _deviation("state", _measured)


@claim(
    "fig15-constant-gates-all-moments",
    "With the inputs' own second moments at every pair of steps the theory of constant gates is right",
    kind="ours",
    source="ours; on D.3, Figure 15",
    how=f"|mean over networks / theory - 1| with the second moments of these sequences, not stationary; {_OF}",
    accepted=at_most(0.2, "as for the measured autocorrelation"),
)
def deviation_of_constant_gates_from_all_moments() -> Estimate:
    return _deviation("constant", _all_moments)


@claim(
    "fig15-constant-gates-as-predicted",
    "With constant gates the prediction from the fitted autocorrelation matches almost perfectly",
    kind="text",
    source="D.3, Figure 15",
    how=PAPERS,
    accepted=at_most(0.2, "almost perfect: within a fifth, as with our prediction"),
)
def deviation_of_constant_gates_from_papers_prediction() -> Estimate:
    return _deviation("constant", _as_the_paper)


@claim(
    "fig15-context-gates-as-predicted",
    "With gates that depend on context the prediction from the fitted autocorrelation is very precise, if not perfect",
    kind="text",
    source="D.3, Figure 15",
    how=f"{PAPERS}; the larger of gates that see the input and gates that see input and state",
    accepted=at_most(0.5, "very precise, if not perfect: as with our prediction"),
)
def deviation_of_context_gates_from_papers_prediction() -> Estimate:
    return largest(*(_deviation(gates, _as_the_paper) for gates in GATES[1:]))


@claim(
    "fig15-constant-gates-match-better",
    "The match is better with constant gates than with gates that depend on context",
    kind="text",
    source="D.3, Figure 15",
    how="mean over bins (T ≥ 4), h² and (dh/db)² of |log10(mean / theory)|, measured autocorrelation: gates that see "
    "input and state minus constant ones, networks paired",
    accepted=significantly("almost perfect against very precise, not perfect: better, beyond chance"),
)
def deviation_of_state_gates_minus_constant() -> Estimate:
    def difference(*means: NDArray) -> NDArray:
        sizes = [np.abs(np.log10(m / p))[..., used].mean(-1) for m, p in zip(means, predicted, strict=True)]
        return sum(sizes[:2]) / 2 - sum(sizes[2:]) / 2

    means = [_means(gates, quantity) for gates in ("state", "constant") for quantity in QUANTITIES]
    predicted = [_measured(quantity, m.T / (1 + m.T)) for m, quantity in zip(means, QUANTITIES * 2, strict=True)]
    used = means[0].low >= FROM
    return _estimate(difference, *means)


@claim(
    "fig15-ignoring-context",
    "To ignore how gates depend on context costs minor errors",
    kind="text",
    source="5, D.2, D.3",
    how="mean of units whose gates see input and state over that of the same units with constant gates, |log10|, the "
    "largest over h², (dh/db)² and bins of log T, T ≥ 4; networks paired",
    accepted=at_most(FACTOR_OF_TWO, "minor errors, almost as diagonal: within a factor of two"),
)
def state_gates_over_constant() -> Estimate:
    ratios = []
    for quantity in QUANTITIES:
        pair = _means("state", quantity), _means("constant", quantity)
        for index in np.flatnonzero(pair[0].low >= FROM):
            ratios.append(_estimate(lambda s, c, i=index: np.log10(s[..., i] / c[..., i]), *pair))
    return largest(*(_distance(ratio, 0) for ratio in ratios))


def _spread_over_time_constants(quantity: str) -> Estimate:
    """Decades between the largest and the smallest mean over all bins, of the gates where it is largest."""
    return largest(*(_estimate(lambda m: np.log10(m.max(-1) / m.min(-1)), _means(gates, quantity)) for gates in GATES))


@claim(
    "fig15-state-over-time-constants",
    "The variance of h hardly depends on λ",
    kind="text",
    source="D.3, Figure 15",
    how="log10 of the largest over the smallest mean of h² over bins of log T from 1 to 256, the largest of three "
    "kinds of gates",
    accepted=at_most(FACTOR_OF_TWO, "hardly: almost the same, within a factor of two"),
)
def spread_of_states() -> Estimate:
    return _spread_over_time_constants("h2")


@claim(
    "fig15-sensitivity-over-time-constants",
    "The variance of dh/db hardly depends on λ",
    kind="text",
    source="D.3, Figure 15",
    how="log10 of the largest over the smallest mean of (dh/db)² over bins of log T from 1 to 256, the largest of "
    "three kinds of gates",
    accepted=at_most(FACTOR_OF_TWO, "hardly: almost the same, within a factor of two"),
)
def spread_of_sensitivities() -> Estimate:
    return _spread_over_time_constants("s2")


@claim(
    "fig15-theory-over-time-constants",
    "In the paper's own prediction, too, both hardly depend on λ",
    kind="ours",
    source="ours; on D.3, Figure 15",
    how="|log10| of the moment at T = 1 over that at T = 256, the paper's fit and infinitely many steps; the "
    "larger of h² and (dh/db)²",
    accepted=at_most(FACTOR_OF_TWO, "hardly: almost the same, within a factor of two"),
)
def spread_of_the_papers_prediction() -> float:
    T = np.array([1.0, 256.0])
    moments = [_infinite(quantity, T / (1 + T), text.PAPER) for quantity in QUANTITIES]
    return max(abs(np.log10(long / short)) for short, long in moments)


@claim(
    "fig15-long-memory-contained",
    "A longer memory does not make the sensitivity explode: the input gate and the bias contain it",
    kind="ours",
    source="ours; on 3.2, D.3",
    how="mean of (dh/db)² in the last bin of T over that in the first, the largest of three kinds of gates "
    "(measure changed after the number was seen: it was the largest mean over the inputs' mean square)",
    accepted=at_most(1, "does not explode: no larger"),
)
def sensitivity_of_longest_over_shortest_memory() -> Estimate:
    return largest(*(_estimate(lambda m: m[..., -1] / m[..., 0], _means(gates, "s2")) for gates in GATES))


@claim(
    "fig15-drawn-prediction",
    "The prediction that Figure 15 draws for (dh/db)² is too low at short time constants; D.3 prints the right one",
    kind="erratum",
    source="erratum 8; D.3, Figure 15",
    how="(F + 2 F_a + F_ab) σ'² over F_ab σ'² at T = 2, with the paper's fit and infinitely many steps",
    accepted=at_most(0.9, "too low: by a tenth or more"),
)
def drawn_prediction_over_right_one() -> float:
    lam = 2 / 3
    drawn, right = (
        text.PAPER.white * moment(lam, 0.0) + text.PAPER.amplitude * moment(lam, text.PAPER.decay)
        for moment in (as_printed.gated_sensitivity, theory.gated_sensitivity)
    )
    return drawn / right
