"""Figure 4C, D: effective learning rates of a dense and a complex diagonal RNN."""

from ..training import Protocol
from .definition import Cell, Experiment

EXPERIMENT = Experiment(
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
