"""Figure 3A and Table 1: an RNN and an LRU on teachers with longer and longer memory."""

from .definition import Cell, Experiment

NU0 = (0.36, 0.68, 0.84, 0.92, 0.96, 0.98, 0.99)  # the first is labelled .32 in the paper, erratum 11
COMMON_RATES = (0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001, 0.000032)

EXPERIMENT = Experiment(
    name="fig03a",
    title="RNN and LRU against the teacher's memory, the paper's protocol",
    cells=(
        Cell("lru", rates=(0.32, 0.1, 0.032, 0.01, 0.0032), nu0=NU0),
        Cell("rnn", rates=(0.0032, 0.001, 0.00032, 0.0001, 0.000032), nu0=NU0, start=0.0),
    ),
    live=(("lru", 0.01), ("rnn", 0.0001)),
)

# A teacher for each seed (erratum 5), both starts for the RNN (13), one grid of rates for all (15).
CORRECTED = Experiment(
    name="fig03a_corrected",
    title="the same on ten teachers, one grid of rates, the RNN from both rings",
    cells=(
        Cell("lru", rates=COMMON_RATES, nu0=NU0),
        Cell("rnn", rates=COMMON_RATES, nu0=NU0, start=0.0),
        Cell("rnn", rates=COMMON_RATES, nu0=NU0),
    ),
    teacher="seed",
)
