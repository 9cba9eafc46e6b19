"""Figure 3B and Table 2: from an RNN to an LRU, one change at a time."""

from .definition import Cell, Experiment
from .fig03a import COMMON_RATES

RATES = (0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001)

# The RNN's bar is that of Figure 3A at nu0 = .99.
EXPERIMENT = Experiment(
    name="fig03b",
    title="ablation between RNN and LRU at nu0 = .99, the paper's protocol",
    cells=(
        Cell("block", rates=(0.01, 0.0032, 0.001, 0.00032), start=0.0, heads=(32,)),
        Cell("block_wide", rates=(0.01, 0.0032, 0.001, 0.00032), start=0.0, heads=(64,), width=128),
        Cell("crnn", rates=RATES),
        Cell("crnn_gamma_real", rates=RATES),
        Cell("crnn_exp", rates=RATES),
        Cell("lru", rates=RATES),
    ),
    live=(("block", 0.0032), ("crnn", 0.001), ("crnn_gamma_real", 0.001), ("lru", 0.01)),
)

# A teacher for each seed (erratum 5), both starts of gamma (4) and of real students (13), one grid of rates (15).
CORRECTED = Experiment(
    name="fig03b_corrected",
    title="the same on ten teachers, one grid of rates, both starts of gamma and of real students",
    cells=(
        *(Cell("rnn", rates=COMMON_RATES, start=start) for start in (0.0, None)),
        *(Cell("block", rates=COMMON_RATES, start=start, heads=(32,)) for start in (0.0, None)),
        *(Cell("block_wide", rates=COMMON_RATES, start=start, heads=(64,), width=128) for start in (0.0, None)),
        *(Cell(name, rates=COMMON_RATES) for name in ("crnn", "crnn_gamma", "crnn_gamma_real", "crnn_exp", "lru")),
    ),
    teacher="seed",
)
