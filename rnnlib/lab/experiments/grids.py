"""The grids of the trained experiments: what runs, at which rates, on which teachers.

Two forms of an experiment: the paper's protocol, with one teacher and ten seeds, and a corrected one, with two runs on
each of 32 teachers (erratum 5), where a run's rate is chosen by the other (15).
"""

from ..training import Protocol
from .definition import Cell, Experiment

COMMON_RATES = (0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001, 0.000032)


# Figure 3A and Table 1: an RNN and an LRU on teachers with longer and longer memory

_MEMORIES = (0.36, 0.68, 0.84, 0.92, 0.96, 0.98, 0.99)  # the first is labelled .32 in the paper, erratum 11

FIG03A = Experiment(
    name="fig03a",
    title="RNN and LRU against the teacher's memory, the paper's protocol",
    cells=(
        Cell("lru", rates=(0.32, 0.1, 0.032, 0.01, 0.0032), nu0=_MEMORIES),
        Cell("rnn", rates=(0.0032, 0.001, 0.00032, 0.0001, 0.000032), nu0=_MEMORIES, start=0.0),
    ),
    live=(("lru", 0.01), ("rnn", 0.0001)),
)


# Figure 3B and Table 2: from an RNN to an LRU, one change at a time

_RATES = (0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001)

# The RNN's bar is that of Figure 3A at nu0 = .99.
FIG03B = Experiment(
    name="fig03b",
    title="ablation between RNN and LRU at nu0 = .99, the paper's protocol",
    cells=(
        Cell("block", rates=(0.01, 0.0032, 0.001, 0.00032), start=0.0, heads=(32,)),
        Cell("block_wide", rates=(0.01, 0.0032, 0.001, 0.00032), start=0.0, heads=(64,), width=128),
        Cell("crnn", rates=_RATES),
        Cell("crnn_gamma_real", rates=_RATES),
        Cell("crnn_exp", rates=_RATES),
        Cell("lru", rates=_RATES),
    ),
    live=(("block", 0.0032), ("crnn", 0.001), ("crnn_gamma_real", 0.001), ("lru", 0.01)),
)

# What a wrong rate costs: one run on each of ten teachers at each of nine rates. These runs, and others of their kind
# for Figures 3A and 11, also set the rates of the experiments on 32 teachers below.
FIG03B_CORRECTED = Experiment(
    name="fig03b_corrected",
    title="the same on ten teachers at nine rates: what a wrong rate costs",
    cells=(
        *(Cell("rnn", rates=COMMON_RATES, start=start) for start in (0.0, None)),
        *(Cell("block", rates=COMMON_RATES, start=start, heads=(32,)) for start in (0.0, None)),
        *(Cell("block_wide", rates=COMMON_RATES, start=start, heads=(64,), width=128) for start in (0.0, None)),
        *(Cell(name, rates=COMMON_RATES) for name in ("crnn", "crnn_gamma", "crnn_gamma_real", "crnn_exp", "lru")),
    ),
    teacher="seed",
)


# Figure 4C, D: effective learning rates of a dense and a complex diagonal RNN

FIG04CD = Experiment(
    name="fig04cd",
    title="effective rates after 10,000 steps of rate .001: dense and complex diagonal RNN",
    cells=(
        Cell("rnn", rates=(0.001,), start=0.0),
        Cell("rnn", rates=(0.001,)),
        Cell("crnn", rates=(0.001,)),
    ),
    protocol=Protocol(schedule="constant"),
    details="parameters",
    live=(("rnn", 0.001), ("crnn", 0.001)),
)


# Figure 9C, D: effective learning rates of an LRU and of S4 with a small step

FIG09CD = Experiment(
    name="fig09cd",
    title="effective rates after 10,000 steps of rate .001: LRU and S4",
    cells=(Cell("lru", rates=(0.001,)), Cell("s4d", rates=(0.001,))),
    protocol=Protocol(schedule="constant"),
    details="parameters",
    live=(("lru", 0.001), ("s4d", 0.001)),
)


# Figure 10D and Table 3: students against the concentration of the teacher's eigenvalues

_ANGLES = (0.01, 0.0316, 0.1, 0.316, 1.0)

FIG10D = Experiment(
    name="fig10d",
    title="RNN, complex RNN and LRU against the largest angle, nu0 = .99",
    cells=(
        Cell("lru", rates=(1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032), theta0=_ANGLES),
        Cell("crnn", rates=(0.01, 0.0032, 0.001, 0.00032), theta0=_ANGLES),
        Cell("rnn", rates=(0.001, 0.00032, 0.0001, 0.000032), theta0=_ANGLES, start=0.0),
    ),
    live=(("lru", 0.01), ("crnn", 0.001), ("rnn", 0.0001)),
)


# Figure 11: an RNN of width 64 cut into more and more independent heads

_HEADS = (1, 2, 4, 8, 16, 32)

FIG11 = Experiment(
    name="fig11",
    title="RNN with 1 to 32 heads at nu0 = .99, the paper's protocol",
    cells=(Cell("rnn", rates=(0.032, 0.01, 0.0032, 0.001, 0.0001), start=0.0, heads=_HEADS),),
    details="curves",
    live=(("rnn", 0.001),),
)


# Students of Figure 3 trained by back-propagation through time, to hold the exact method against

# At nu0 = .99, each at its best rate in Figure 3. One at a time they take tens of milliseconds a step, not tens of
# microseconds, hence no more than these two cells.
DIRECT_DENSE = Experiment(
    name="direct_dense",
    title="the RNN of Figure 3 at nu0 = .99, by back-propagation through time",
    cells=(Cell("rnn", rates=(0.00032,), start=0.0),),
    seeds=tuple(range(10)),
    method="direct",
)
DIRECT_DIAGONAL = Experiment(
    name="direct_diagonal",
    title="the LRU of Figure 3 at nu0 = .99, by back-propagation through time",
    cells=(Cell("lru", rates=(0.01,)),),
    seeds=tuple(range(10)),
    method="direct",
)


# Many teachers: every figure of the linear task on 32 teachers, two students each

# Each cell has the base rates from one step below the smallest to one above the largest that was best for any of ten
# teachers (single runs at the rates of COMMON_RATES; for Figure 10D, ten runs on the first teacher), five at least.
# The rate of a run is chosen by the other run on its teacher; where more than one choice in twenty lies at an end of
# its cell's rates, the cell is run again with more.

_TEACHERS, _SEEDS = tuple(range(32)), (1, 2)
_GRID = (1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001, 0.000032, 0.00001, 0.0000032)


def _rates(low: float, high: float) -> tuple[float, ...]:
    return tuple(rate for rate in _GRID if low <= rate <= high)


_RNN_AT_99 = _rates(0.00001, 0.001)
_COMPLEX = _rates(0.00032, 0.032)
_BLOCKS = _rates(0.0001, 0.01)

FIG03A_TEACHERS = Experiment(
    name="fig03a_teachers",
    title="RNN and LRU against the teacher's memory, 32 teachers",
    cells=(
        Cell("lru", rates=_rates(0.0032, 0.32), nu0=(0.36, 0.68, 0.84, 0.92)),
        Cell("lru", rates=_rates(0.001, 0.32), nu0=(0.96, 0.98)),
        Cell("lru", rates=_rates(0.00032, 0.1), nu0=(0.99,)),
        Cell("rnn", rates=_rates(0.00032, 0.032), nu0=(0.36,), start=0.0),
        Cell("rnn", rates=_rates(0.0001, 0.032), nu0=(0.68,), start=0.0),
        Cell("rnn", rates=_rates(0.0001, 0.01), nu0=(0.84,), start=0.0),
        Cell("rnn", rates=_rates(0.000032, 0.0032), nu0=(0.92, 0.98), start=0.0),
        Cell("rnn", rates=_rates(0.00001, 0.0032), nu0=(0.96,), start=0.0),
        Cell("rnn", rates=_RNN_AT_99, start=0.0),
    ),
    seeds=_SEEDS,
    teacher=_TEACHERS,
)

# The second look: in these cells more than one choice in twenty lay at an end of the rates.
FIG03A_WIDER = Experiment(
    name="fig03a_wider",
    title="further rates for the cells of fig03a_teachers whose best ones lay at an end",
    cells=(
        Cell("lru", rates=(1.0, 0.001), nu0=(0.92,)),
        Cell("rnn", rates=(0.032, 0.000032), nu0=(0.84,), start=0.0),
        Cell("rnn", rates=(0.01, 0.0032), start=0.0),
    ),
    seeds=_SEEDS,
    teacher=_TEACHERS,
)

# Do intervals over teachers say what other students and data on the same teachers would have given?
FIG03A_AGAIN = Experiment(
    name="fig03a_again",
    title="two cells of fig03a_teachers with other seeds",
    cells=(
        Cell("lru", rates=_rates(0.001, 0.32), nu0=(0.98,)),
        Cell("rnn", rates=_rates(0.000032, 0.0032), nu0=(0.98,), start=0.0),
    ),
    seeds=(3, 4),
    teacher=_TEACHERS,
)

# RNN and LRU are those of Figure 3A at nu0 = .99. Between "more neurons" and "complex numbers" the paper changes the
# start ring, the scales of input and output weights (erratum 16) and the arithmetic at once; here each combination is
# a cell, so that every change is made alone, in every order. The last two cells draw maps as the paper does (25).
FIG03B_TEACHERS = Experiment(
    name="fig03b_teachers",
    title="from an RNN to an LRU by single changes, 32 teachers",
    cells=(
        Cell("rnn", rates=_rates(0.0000032, 0.00032)),
        Cell("block", rates=_BLOCKS, start=0.0, heads=(32,)),
        Cell("block", rates=_BLOCKS, heads=(32,)),
        Cell("block_wide", rates=_BLOCKS, start=0.0, heads=(64,), width=128),
        Cell("block_wide", rates=_BLOCKS, heads=(64,), width=128),
        Cell("block_wide_crnn_maps", rates=_rates(0.000032, 0.032), start=0.0, heads=(64,), width=128),
        Cell("block_wide_crnn_maps", rates=_rates(0.000032, 0.032), heads=(64,), width=128),
        Cell("crnn_block_maps", rates=_rates(0.0001, 0.1), start=0.0),
        Cell("crnn_block_maps", rates=_rates(0.0001, 0.1)),
        Cell("crnn", rates=_rates(0.0001, 0.1), start=0.0),
        Cell("crnn", rates=_COMPLEX),
        Cell("crnn_gamma", rates=_COMPLEX),
        Cell("crnn_gamma_real", rates=_COMPLEX),
        Cell("crnn_exp", rates=_rates(0.001, 0.1)),
        Cell("rnn_truncated", rates=_RNN_AT_99, start=0.0),
        Cell("lru_truncated", rates=_rates(0.00032, 0.1)),
    ),
    seeds=_SEEDS,
    teacher=_TEACHERS,
)

FIG03B_WIDER = Experiment(
    name="fig03b_wider",
    title="further rates for the cells of fig03b_teachers whose best ones lay at an end",
    cells=(
        Cell("block", rates=(0.032,), heads=(32,)),
        Cell("rnn_truncated", rates=(0.01, 0.0032), start=0.0),
    ),
    seeds=_SEEDS,
    teacher=_TEACHERS,
)

# At theta0 = pi the students are those of Figure 3 at nu0 = .99.
FIG10D_TEACHERS = Experiment(
    name="fig10d_teachers",
    title="RNN, complex RNN and LRU against the largest angle, 32 teachers",
    cells=(
        Cell("lru", rates=_rates(0.0032, 1.0), theta0=(0.01,)),
        Cell("lru", rates=_rates(0.001, 0.32), theta0=(0.0316, 0.1, 0.316)),
        Cell("crnn", rates=_COMPLEX, theta0=_ANGLES[:-1]),
        Cell("rnn", rates=_rates(0.00001, 0.0032), theta0=_ANGLES[:-1], start=0.0),
    ),
    seeds=_SEEDS,
    teacher=_TEACHERS,
)

FIG10D_WIDER = Experiment(
    name="fig10d_wider",
    title="further rates for the cell of fig10d_teachers whose best ones lay at an end",
    cells=(Cell("lru", rates=(1.0, 0.00032), theta0=(0.1,)),),
    seeds=_SEEDS,
    teacher=_TEACHERS,
)

# One head is the RNN of Figure 3A at nu0 = .99; 32 heads are its block diagonal. Here they run at the two rates at
# which panel B compares all numbers of heads: an effective rate holds the base rate as a factor (erratum 9).
FIG11_TEACHERS = Experiment(
    name="fig11_teachers",
    title="RNN with 1 to 32 heads at nu0 = .99, 32 teachers",
    cells=(
        Cell("rnn", rates=(0.001, 0.0001), start=0.0, heads=(1, 32)),
        Cell("rnn", rates=_rates(0.000032, 0.0032), start=0.0, heads=(2, 4, 8)),
        Cell("rnn", rates=_BLOCKS, start=0.0, heads=(16,)),
    ),
    seeds=_SEEDS,
    teacher=_TEACHERS,
    details="halfway",
)

FIG04CD_TEACHERS = Experiment(
    name="fig04cd_teachers",
    title="effective rates after 10,000 steps of rate .001: dense and complex diagonal RNN, 32 teachers",
    cells=FIG04CD.cells,
    seeds=_SEEDS,
    teacher=_TEACHERS,
    protocol=Protocol(schedule="constant"),
    details="groups",
)

FIG09CD_TEACHERS = Experiment(
    name="fig09cd_teachers",
    title="effective rates after 10,000 steps of rate .001: LRU, and S4 from three starts (erratum 10), 32 teachers",
    cells=tuple(Cell(name, rates=(0.001,)) for name in ("lru", "s4d", "s4d_unit_step", "s4d_authors")),
    seeds=_SEEDS,
    teacher=_TEACHERS,
    protocol=Protocol(schedule="constant"),
    details="groups",
)
