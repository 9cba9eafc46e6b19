"""Hypotheses beyond the paper, written down before the runs that decide them: is it diagonality, or is it Adam?

Each is on record in ``HYPOTHESES`` and ``bounds.json`` from the start, and a claim like all others once its tables are
stored. R is the loss of the best dense network over that of the best complex diagonal one on the same teacher, in
decades. What is best (start or student, rate, ratio of rates) for a run is chosen by the other run on its teacher;
losses below 1e-10 of the zero predictor's are equal.

What had been seen before: figures 3 and 4 under Adam on these and other teachers; runs of 500 to 1,000 steps on
teachers 28 to 31 under each optimiser, at ratios 1, 1/10 and 1/100, which set the rates; Gauss-Newton on the population
loss of teachers 0 to 7. There, SGD without a bound on its gradient diverged; dense networks reached 1e-5 of the zero
predictor's loss under Muon, as diagonal ones did, and less under SOAP; under SGD they were ahead of diagonal ones; and
Gauss-Newton from the ring was slow. Rows that this bears on say so. After the bounds, before the tables: 100 steps of
Gauss-Newton on teachers 28 to 31 left dense networks at 1e-5 to 1e-10 and those with gamma at .7 to 1e-11.

1d, 2c and 2d came last: maps of SOAP and sign descent (2,000 steps, 8 teachers, ratios to 1/100) had shown what they
are about.

Hypotheses 11 to 13 came later, with measurements of their own. When their bounds were written, the tables of 1 to 6
were stored, of which the verdicts of 4 to 6, undecided, had been seen and no number. Of these three, one run on each of
teachers 28 to 31 had been seen: nothing of 11; of 12, that Adam had left a mode of the teacher unlearned on two or
three of them, and Muon none of weight; of 13, that correlations were about 0 for the complex RNN and negative for the
LRU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .. import experiments
from ..statistics import Estimate, cross_fit, difference, furthest, largest, median, paired_median, smallest
from .measures import load, load_with_second_look
from .ranges import FACTOR_OF_TWO, Range, at_least, at_most, between
from .registry import CLAIMS, Claim

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

HYPOTHESES: list[Claim] = []

_DENSE, _DIAGONAL = ("rnn",), ("crnn", "crnn_gamma", "lru")
#: The bars of Figure 3B: kind of student and smallest modulus at the start.
BARS = {
    "dense": ("rnn", 0.0),
    "dense, on the ring": ("rnn", 0.99),
    "2×2 blocks": ("block", 0.0),
    "complex diagonal": ("crnn", 0.99),
    "… with γ": ("crnn_gamma", 0.99),
    "LRU": ("lru", 0.99),
}
_FLOOR = -10.0
_SIXTEEN = "16 teachers, 10,000 steps"
_EIGHT = "a map: 8 teachers, 2,000 steps"
_GAP = "decades from the best diagonal network's loss to the best dense one's, median of pairs"
_TENFOLD = "a third or less of the decades that part dense and diagonal networks under Adam in Figure 3B"


def _hypothesis(name: str, statement: str, *tables: str, how: str, accepted: Range, seen: bool) -> Callable:
    """Decorator: the function that follows measures a hypothesis, on these tables of ``beyond_``."""

    def record(measure: Callable[[], Estimate]) -> Callable[[], Estimate]:
        HYPOTHESES.append(
            Claim(f"beyond-{name}", statement, "beyond", "not in the paper", how, accepted, measure, seen=seen)
        )
        if all((experiments.store.PACKAGED / f"beyond_{table}.json").exists() for table in tables):
            CLAIMS.append(HYPOTHESES[-1])
        return measure

    return record


@functools.cache
def _runs(table: str) -> pd.DataFrame:
    """Runs with their decades over the zero predictor, and a ratio and a rotation in every row."""
    import pandas as pd

    if table.startswith("fairer_"):  # beside what the headline has; its second look changes a hypothesis, so has a name
        first = table.removesuffix("_wider")
        parts = [load(f"beyond_{name}") for name in dict.fromkeys((first, table))]
        frame = pd.concat([*parts, load_with_second_look(first.replace("fairer", "beyond_headline"))])
    else:
        frame = load_with_second_look(f"beyond_{table}")
    decades = np.log10(frame["loss"] / frame["zero_loss"]).clip(lower=_FLOOR).mask(frame["diverged"], math.inf)
    return frame.assign(
        decades=decades, ratio=frame.get("ratio", 1.0), rotation=frame.get("rotation", 1), seed=frame["seed"] // 100
    )


def best(table: str, students: tuple[str, ...], **settings: float) -> NDArray:
    """Decades of the runs of some students, each at what the other run on its teacher chooses, a row a teacher.

    Args:
        table: the name of the experiment after ``beyond_``.
        students: among which, too, the other run chooses.
        settings: columns at which the choice is not free: start, ratio or rotation.
    """
    frame = _runs(table)
    frame = frame[frame["student"].isin(students)]
    for column, value in settings.items():
        frame = frame[frame[column] == value]
    options = ["student", "start", "rotation", "ratio", "rate"]
    wide = frame.pivot(index=["teacher", "seed"], columns=options, values="decades")
    return cross_fit(wide.to_numpy().reshape(wide.index.levshape[0], -1, wide.shape[1]))[1]


def gaps(table: str, **settings: float) -> NDArray:
    """R of one optimiser on each teacher, in decades. Arguments as of :func:`best`."""
    return difference(best(table, _DENSE, **settings), best(table, _DIAGONAL, **settings))


def gap(table: str, **settings: float) -> Estimate:
    """R of one optimiser, its median over teachers."""
    return median(gaps(table, **settings))


@_hypothesis(
    "01-gap-under-adam",
    "1: under Adam (β₂ = .999) the best dense network loses at least tenfold to the best diagonal one",
    "headline_adam",
    how=f"{_GAP}; {_SIXTEEN}, minibatches",
    accepted=at_least(1.0, f"a factor of ten: {_TENFOLD}"),
    seen=True,
)
def gap_under_adam() -> Estimate:
    return gap("headline_adam")


_FAIRER = "with starts between 0 and the ring too, and with A's rate down to a hundredth of the others'"


@_hypothesis(
    "01b-gap-from-fairer-starts",
    f"1b: so it does {_FAIRER}",
    "headline_adam",
    "fairer_adam",
    how=f"as 1, the dense network's moduli from 0, .5, .9 or .99 on, ratios of rates 1, 1/10, 1/100; {_SIXTEEN}",
    accepted=at_least(1.0, f"a factor of ten: {_TENFOLD}; below it, the gap was one of starts and rates"),
    seen=True,
)
def gap_from_fairer_starts() -> Estimate:
    return gap("fairer_adam")


@_hypothesis(
    "01c-gap-from-fairer-starts-at-95",
    f"1c: so it does under Adam with β₂ = .95, {_FAIRER}",
    "headline_adam95",
    "fairer_adam95",
    how=f"as 1b; {_SIXTEEN}",
    accepted=at_least(1.0, f"a factor of ten: {_TENFOLD}; below it, the gap was one of starts and rates"),
    seen=True,
)
def gap_from_fairer_starts_at_95() -> Estimate:
    return gap("fairer_adam95")


@_hypothesis(
    "01d-gap-under-sign-descent",
    "1d: to be element-wise is enough: sign descent with momentum, which has no memory of gradients' sizes, has a gap "
    "of at least ten too",
    "headline_sign",
    how=f"{_GAP}; {_SIXTEEN}, minibatches",
    accepted=at_least(1.0, f"a factor of ten: {_TENFOLD}; below it, Adam's v makes the gap, not its coordinates"),
    seen=True,
)
def gap_under_sign_descent() -> Estimate:
    return gap("headline_sign")


@_hypothesis(
    "02a-no-gap-under-muon",
    "2a: under Muon, which orthogonalises the update of A, the gap is at most tenfold",
    "headline_muon",
    how=f"{_GAP}; {_SIXTEEN}, minibatches",
    accepted=at_most(
        1.0, f"a factor of ten: {_TENFOLD}; above it, the gap is not one of element-wise optimisers alone"
    ),
    seen=True,
)
def gap_under_muon() -> Estimate:
    return gap("headline_muon")


@_hypothesis(
    "02b-no-gap-under-gauss-newton",
    "2b: under Gauss-Newton, which no basis matters to, the gap is at most tenfold",
    "population_gauss_newton",
    how=f"{_GAP}; 16 teachers, 300 steps on the population loss, or fewer down to 1e-10",
    accepted=at_most(
        1.0, f"a factor of ten: {_TENFOLD}; above it, the gap is not one of element-wise optimisers alone"
    ),
    seen=True,
)
def gap_under_gauss_newton() -> Estimate:
    return gap("population_gauss_newton")


@_hypothesis(
    "02c-no-gap-under-soap",
    "2c: under SOAP, which is Adam in a basis that it finds for A, the gap is at most tenfold",
    "headline_soap",
    how=f"{_GAP}, the dense one from 0; {_SIXTEEN}, minibatches",
    accepted=at_most(
        1.0, f"a factor of ten: {_TENFOLD}; above it, the gap is not one of element-wise optimisers alone"
    ),
    seen=True,
)
def gap_under_soap() -> Estimate:
    return gap("headline_soap")


@_hypothesis(
    "02d-dense-under-soap-as-low-as-diagonal-under-adam",
    "2d: in as many steps, the best dense network under SOAP loses at most tenfold to the best diagonal one under Adam "
    "(β₂ = .95)",
    "headline_soap",
    "headline_adam95",
    how="decades from the loss of Adam's best diagonal network to that of SOAP's dense one from 0, median of pairs; "
    f"{_SIXTEEN}, minibatches",
    accepted=at_most(1.0, "a factor of ten, as in 2a to 2c; above it, diagonality is worth more than a basis"),
    seen=True,
)
def soap_against_adam() -> Estimate:
    return paired_median(best("headline_soap", _DENSE), best("headline_adam95", _DIAGONAL))


@_hypothesis(
    "03-no-gap-under-sgd",
    "3: under SGD with momentum and a bound on the gradient the gap is at most tenfold: both networks learn badly",
    "headline_sgd",
    how=f"{_GAP}; {_SIXTEEN}, minibatches",
    accepted=at_most(1.0, "a factor of ten: a larger gap would need no Adam to rescale coordinates"),
    seen=True,
)
def gap_under_sgd() -> Estimate:
    return gap("headline_sgd")


_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


@_hypothesis(
    "04a-rotation-costs-adam",
    "4a: a random basis of all its eigenvalue parameters costs a diagonal network under Adam at least a factor of ten",
    "rotation_adam",
    how=f"decades from blocks of 1 to the block of 128, the smaller of complex RNN and LRU, median of pairs; {_EIGHT}",
    accepted=at_least(1.0, f"a factor of ten: {_TENFOLD}; the basis alone should cost as much"),
    seen=False,
)
def cost_of_rotation() -> Estimate:
    return smallest(*(_rotated("rotation_adam", name, 128) for name in ("crnn", "lru")))


def _rotated(table: str, student: str, size: int) -> Estimate:
    return paired_median(*(best(table, (student,), rotation=number) for number in (size, 1)))


@_hypothesis(
    "04b-rotation-costs-more-in-larger-blocks",
    "4b: the larger the blocks, the larger the loss",
    "rotation_adam",
    how="Spearman's correlation of loss and size, 1 to 128, over a teacher's eight sizes, the smaller of complex RNN "
    f"and LRU, median over teachers; {_EIGHT}",
    accepted=at_least(0.8, "monotone but for a few neighbours that change places: .8 is eight ranks with a handful"),
    seen=False,
)
def trend_with_block_size() -> Estimate:
    return smallest(*(_trend(name) for name in ("crnn", "lru")))


def _trend(student: str) -> Estimate:
    from scipy import stats

    losses = np.stack([best("rotation_adam", (student,), rotation=size).mean(axis=1) for size in _SIZES], axis=1)
    ranks = stats.rankdata(losses, axis=1)  # two infinities tie
    return median([_correlation(row, np.arange(len(_SIZES))) for row in ranks])


def _correlation(first: NDArray, second: NDArray) -> float:
    return float(np.corrcoef(first, second)[0, 1]) if np.ptp(first) else 0.0


@_hypothesis(
    "05-rotation-costs-neither-sgd-nor-the-dense",
    "5: a random basis changes nothing where there is nothing to lose: SGD on eigenvalues, Adam on rows of a dense A",
    "rotation_sgd",
    "rotation_adam",
    how="decades from no rotation to blocks of 128 (complex RNN and LRU under SGD) and 64 (dense under Adam), that "
    f"which is furthest from 0, medians of pairs; {_EIGHT}",
    accepted=between(-FACTOR_OF_TWO, FACTOR_OF_TWO, "the same: within a factor of two, as in other rows"),
    seen=False,
)
def rotations_that_cost_nothing() -> Estimate:
    under_sgd = (_rotated("rotation_sgd", name, 128) for name in ("crnn", "lru"))
    return furthest(*under_sgd, _rotated("rotation_adam", "rnn", 64))


@_hypothesis(
    "06-random-basis-of-the-state",
    "6: one dense network, one start, two bases of its state: under Adam that of blocks beats a random one by a factor "
    "of two or more",
    "gauge_adam",
    how=f"decades from the basis of 2x2 blocks to a random one, median of pairs; {_EIGHT}",
    accepted=at_least(FACTOR_OF_TWO, "a factor of two: beyond what other rows call the same"),
    seen=False,
)
def cost_of_a_random_gauge() -> Estimate:
    return paired_median(*(best("gauge_adam", (f"rnn_from_blocks{end}",)) for end in ("_turned", "")))


@_hypothesis(
    "07-two-rates",
    "7: under Adam the dense network gains at most tenfold from a recurrent rate of its own",
    "headline_adam",
    "beta2_999_adam",
    how="decades from the best of all ratios of rates to one rate, best dense, the larger of 10,000 steps with ratios "
    "1 and 1/10 on 16 teachers and 2,000 steps with 1/100 too on 8, medians of pairs",
    accepted=at_most(
        1.0, "a factor of ten: more would explain a good part of the gap by a rate forced upon B, C and D"
    ),
    seen=True,
)
def gain_from_two_rates() -> Estimate:
    tables = ("headline_adam", "beta2_999_adam")
    return largest(*(paired_median(best(name, _DENSE, ratio=1), best(name, _DENSE)) for name in tables))


_BETAS = ("9", "95", "99", "9999")


@_hypothesis(
    "08-beta2-alone",
    "8: β₂ = .9, .95, .99 or .9999 moves no bar of Figure 3B from .999's by more than tenfold",
    *(f"beta2_{beta}_adam" for beta in ("999", *_BETAS)),
    how=f"decades from β₂ = .999 to another, six students, that which is furthest from 0, medians of pairs; {_EIGHT}",
    accepted=between(-1.0, 1.0, "a factor of ten: if an average of the past alone made more, bars would measure it"),
    seen=True,
)
def effect_of_beta2() -> Estimate:
    return furthest(
        *(
            paired_median(*(best(f"beta2_{b}_adam", (name,), start=start) for b in (beta, "999")))
            for beta in _BETAS
            for name, start in BARS.values()
        )
    )


def _ring(optimizer: str) -> Estimate:
    return paired_median(*(best(f"start_{optimizer}", _DENSE, start=start) for start in (0.99, 0.0)))


@_hypothesis(
    "09a-ring-under-adam",
    "9a: under Adam a dense network that starts on the teacher's ring loses at least a factor of two to a start from 0",
    "start_adam",
    how=f"decades from the start of radius 0 to that of .99, median of pairs; {_EIGHT}",
    accepted=at_least(FACTOR_OF_TWO, "a factor of two: beyond what other rows call the same"),
    seen=True,
)
def ring_under_adam() -> Estimate:
    return _ring("adam")


@_hypothesis(
    "09b-ring-under-muon",
    "9b: under Muon it loses at most a factor of two",
    "start_muon",
    how=f"decades from the start of radius 0 to that of .99, median of pairs; {_EIGHT}",
    accepted=at_most(FACTOR_OF_TWO, "a factor of two: what other rows call the same"),
    seen=True,
)
def ring_under_muon() -> Estimate:
    return _ring("muon")


@_hypothesis(
    "10-noise-or-landscape",
    "10: the gap is one of the landscape: on the population loss it is the same to a factor of three, Adam and Muon",
    *(f"{table}_{name}" for table in ("headline", "population") for name in ("adam", "muon")),
    how="decades from the gap on the population loss to that on minibatches, one rate, same starts, that which is "
    f"furthest from 0, medians over teachers; {_SIXTEEN}",
    accepted=between(-math.log10(3), math.log10(3), "a factor of three: half a decade, the step between two rates"),
    seen=True,
)
def effect_of_noise() -> Estimate:
    tables = [(f"headline_{name}", f"population_{name}") for name in ("adam", "muon")]
    return furthest(*(paired_median(*(gaps(table, ratio=1) for table in pair)) for pair in tables))


@_hypothesis(
    "11-v-follows-the-gradients",
    "11: Adam's v (β₂ = .999) is of the moment: after 3,000 steps, √v is within a factor of two of the gradients",
    "history",
    how="decades from the root mean square gradient on 32 fresh minibatches to √v, after 3,000 and 10,000 steps of one "
    "rate, median over a student's recurrent parameters; that of six students and two times which is furthest from 0, "
    "medians over 8 teachers",
    accepted=between(
        -FACTOR_OF_TWO,
        FACTOR_OF_TWO,
        "the same: within a factor of two, as in other rows; if early gradients set v, √v would be a decade larger",
    ),
    seen=False,
)
def memory_of_v() -> Estimate:
    runs = load("beyond_history").query("beta2 == 0.999")
    late = sorted(runs["step"].unique())[-2:]
    points = runs[runs["step"].isin(late)].groupby(["student", "start", "step"])
    return furthest(*(median(_by_teacher(point, "ratio")) for _, point in points))


def _by_teacher(runs: pd.DataFrame, value: str) -> NDArray:
    """A row a teacher; infinite where a run diverged."""
    wide = runs.assign(repeat=runs["seed"] // 100).pivot(index="teacher", columns="repeat", values=value)
    return wide.fillna(math.inf).to_numpy()


@_hypothesis(
    "12-plateaus-lack-eigenvalues",
    "12: where Adam leaves a dense network after 10,000 steps, it lacks eigenvalues: most of the remaining loss is in "
    "modes of the teacher that none of its eigenvalues is near",
    "plateaus",
    how="share of the remaining population loss that modes explain with no eigenvalue within 1 − |λ*|, median over 16 "
    "teachers, one rate",
    accepted=at_least(0.5, "most: half or more; ten directions among 300 lags explain 3 % of anything by chance"),
    seen=True,
)
def loss_of_missing_eigenvalues() -> Estimate:
    runs = load("beyond_plateaus").query("optimizer == 'adam'")
    return median(_by_teacher(runs.fillna({"lacking": 0.0}), "lacking"))


@_hypothesis(
    "13-orthogonality-predicts",
    "13: how far Adam's updates are from orthogonal predicts what a random basis costs",
    "orthogonality",
    "rotation_adam",
    how="Spearman's correlation of the coefficient of variation of the update's singular values, mean over training at "
    "one rate, and tuned loss over a teacher's eight sizes of blocks, the smaller of complex RNN and LRU, median over "
    f"teachers; {_EIGHT}",
    accepted=at_least(0.8, "as for the size of the blocks in row 4b: a predictor should do no worse than the size"),
    seen=True,
)
def orthogonality_against_loss() -> Estimate:
    return smallest(*(_predicted(name) for name in ("crnn", "lru")))


def _predicted(student: str) -> Estimate:
    from scipy import stats

    losses = np.stack([best("rotation_adam", (student,), rotation=size).mean(axis=1) for size in _SIZES], axis=1)
    ranks = (stats.rankdata(rows, axis=1) for rows in (spread_of_updates(student), losses))
    return median([_correlation(*pair) for pair in zip(*ranks, strict=True)])


def spread_of_updates(student: str, column: str = "cv") -> NDArray:
    """The coefficient of variation of Adam's updates, mean over training; infinite where a run diverged.

    Args:
        student: ``"crnn"`` or ``"lru"``.
        column: of the table, which coefficient.

    Returns:
        A row a teacher and a column a size of blocks.
    """
    runs = load("beyond_orthogonality").query("student == @student and rotation in @_SIZES")
    steps = np.sort(runs["step"].unique())
    weights = dict(zip(steps, np.diff(steps, prepend=0) / steps[-1], strict=True))
    parts = (runs[column] * runs["step"].map(weights)).fillna(math.inf)
    means = parts.groupby([runs["teacher"], runs["seed"], runs["rotation"]]).sum()
    return means.groupby(["teacher", "rotation"]).mean().unstack().to_numpy()
