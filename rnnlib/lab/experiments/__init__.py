"""The experiments: what they are, running them, and their stored results.

``run("fig03b", scale="book")`` trains; ``load("fig03b")`` reads the stored result at the paper's scale. An experiment
of your own is an :class:`Experiment` with cells that name registered students, or a :class:`Measurement` that computes
its tables part by part; pass it where a name is expected.
"""

from ..protocol import Protocol
from . import store
from .catalog import BEYOND, EXPERIMENTS, get, load, names, run, run_all, scale_from_environment
from .definition import SCALES, Cell, Experiment, Run
from .devices import DEVICES, choose_device
from .measurement import Measurement
from .requirements import RequirementError, need
from .store import ResultError
from .students import LABELS, STUDENTS, register

__all__ = [
    "BEYOND",
    "DEVICES",
    "EXPERIMENTS",
    "LABELS",
    "SCALES",
    "STUDENTS",
    "Cell",
    "Experiment",
    "Measurement",
    "Protocol",
    "RequirementError",
    "ResultError",
    "Run",
    "choose_device",
    "get",
    "load",
    "names",
    "need",
    "register",
    "run",
    "run_all",
    "scale_from_environment",
    "store",
]
