"""Figure 10D and Table 3: students against the concentration of the teacher's eigenvalues."""

from .definition import Cell, Experiment

THETA0 = (0.01, 0.0316, 0.1, 0.316, 1.0)

EXPERIMENT = Experiment(
    name="fig10d",
    title="RNN, complex RNN and LRU against the largest angle, nu0 = .99",
    cells=(
        Cell("lru", rates=(1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032), theta0=THETA0),
        Cell("crnn", rates=(0.01, 0.0032, 0.001, 0.00032), theta0=THETA0),
        Cell("rnn", rates=(0.001, 0.00032, 0.0001, 0.000032), theta0=THETA0, start=0.0),
    ),
    live=(("lru", 0.01), ("crnn", 0.001), ("rnn", 0.0001)),
)
