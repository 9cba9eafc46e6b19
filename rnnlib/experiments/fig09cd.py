"""Figure 9C, D: effective learning rates of an LRU and of S4 with a small step."""

from ..training import Protocol
from .definition import Cell, Experiment

EXPERIMENT = Experiment(
    name="fig09cd",
    title="effective rates after 10,000 steps of rate .001: LRU and S4",
    cells=(Cell("lru", rates=(0.001,)), Cell("s4d", rates=(0.001,))),
    protocol=Protocol(schedule="constant"),
    details="parameters",
    live=(("lru", 0.001), ("s4d", 0.001)),
)
