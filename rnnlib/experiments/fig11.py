"""Figure 11: an RNN of width 64 cut into more and more independent heads."""

from .definition import Cell, Experiment
from .fig03a import COMMON_RATES

HEADS = (1, 2, 4, 8, 16, 32)

EXPERIMENT = Experiment(
    name="fig11",
    title="RNN with 1 to 32 heads at nu0 = .99, the paper's protocol",
    cells=(Cell("rnn", rates=(0.032, 0.01, 0.0032, 0.001, 0.0001), start=0.0, heads=HEADS),),
    details="curves",
    live=(("rnn", 0.001),),
)

# A teacher for each seed (erratum 5), both starts (13). The grid of the paper lacks .00032, so its point with one head
# is not the RNN of Figure 3 (15); here one grid serves all.
CORRECTED = Experiment(
    name="fig11_corrected",
    title="the same on ten teachers, one grid of rates, from both rings",
    cells=(
        Cell("rnn", rates=COMMON_RATES, start=0.0, heads=HEADS),
        Cell("rnn", rates=COMMON_RATES, heads=HEADS),
    ),
    teacher="seed",
    details="coarse curves",
)
