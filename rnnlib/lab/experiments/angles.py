"""Beyond the paper: parametrisations of the angle side by side, on one eigenvalue and on the teacher-student task.

The teachers' angles are fixed, their memories are drawn within a factor of two of the nominal one, and so are those of
the students, whose angles are drawn uniformly from the half circle. Each teacher has two students, so that a run's rate
is chosen by the other one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import angles
from ..training import Protocol
from .definition import Cell, Experiment
from .measurement import Measurement, Tables
from .schema import Schema

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

_KEYS = ["angle", "memory", "teacher_angle", "rate", "teacher", "draw"]


@dataclass(frozen=True, kw_only=True)
class OneUnit(Measurement):
    """Runs of Adam at a constant rate, one eigenvalue each.

    A row is a run, of a "teacher" and a "draw" of its student's start: "first" loss; "last", the largest in the last
    tenth of the steps, blank where the run was "lost"; and "reached", the steps before the loss was a hundredth of the
    first, -1 if it never was.

    Attributes:
        angles: parametrisations, keys of :data:`rnnlib.lab.angles.ANGLES`.
        memories: nominal ones, in steps.
        teacher_angles: in units of pi.
        rates: Adam's.
        teachers: how many of each memory and angle.
        students: starts of each teacher.
        steps: of a run.
        seed: of all draws.
        one_rate: parametrisation, memory and the one rate to train it at, instead of ``rates``.
    """

    angles: tuple[str, ...] = tuple(angles.ANGLES)
    memories: tuple[float, ...] = (100.0, 1000.0)
    teacher_angles: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 0.7)
    rates: tuple[float, ...] = (10.0, 3.2, 1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001)
    teachers: int = 40
    students: int = 2
    steps: int = 10_000
    seed: int = 0
    one_rate: tuple[tuple[str, float, float], ...] = ()

    def parts(self) -> list[str]:
        return [f"{name}, memory {memory:g}" for name in self.angles for memory in self.memories]

    def schemas(self) -> dict[str, Schema]:
        columns = dict.fromkeys(_KEYS[:1], "text") | dict.fromkeys(_KEYS[1:4], "number")
        columns |= dict.fromkeys(_KEYS[4:], "whole")
        columns |= {"first": "size", "last": "size or blank", "lost": "flag", "reached": "whole"}
        return {"runs": Schema(columns, _KEYS, [row for part in self.parts() for row in self._keys(part)])}

    def _keys(self, part: str) -> list[tuple]:
        name, _, memory = part.partition(", memory ")
        return [
            (name, float(memory), angle, rate, teacher, student)
            for angle in self.teacher_angles
            for rate in self._rates(name, float(memory))
            for teacher in range(self.teachers)
            for student in range(self.students)
        ]

    def _rates(self, name: str, memory: float) -> tuple[float, ...]:
        return tuple(rate for *which, rate in self.one_rate if which == [name, memory]) or self.rates

    def definition(self) -> dict:
        plain = super().definition()
        return plain if self.one_rate else {key: value for key, value in plain.items() if key != "one_rate"}

    def measure(self, part: str, device: str) -> Tables:
        from ..training import one_thread

        keys = self._keys(part)
        start, star, rate = self._draws(keys)
        with one_thread():
            found = angles.train(keys[0][0], start, star, rate, self.steps)
        last = np.maximum(found.last, 0)  # rounding can leave less than nothing
        lost, reached = ~np.isfinite(last), np.nan_to_num(found.reached, nan=-1).astype(int)
        columns = (map(_number, found.first), map(_number, last), lost.tolist(), reached.tolist())
        rows = [(*key, *values) for key, *values in zip(keys, *columns, strict=True)]
        return {"runs": ([*_KEYS, "first", "last", "lost", "reached"], rows)}

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show: only lost runs leave no loss."""
        wrong = super().problem(frame, table, main)
        if wrong or (frame["last"].isna() == frame["lost"]).all():
            return wrong
        return "a loss is blank though the run was not lost, or there though it was"

    def _draws(self, keys: list[tuple]) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
        """Moduli and angles of students and teachers, and rates. The draws are the same for each parametrisation, angle
        and rate, and of memories the factors."""
        import torch

        generator = np.random.default_rng(self.seed)
        factors = 2.0 ** generator.uniform(-1, 1, (self.teachers, 1 + self.students))
        turns = generator.uniform(0, math.pi, (self.teachers, self.students))
        _, memory, angle, rate, teacher, student = (np.array(column) for column in zip(*keys, strict=True))
        own, others = memory * factors[teacher, 1 + student], memory * factors[teacher, 0]
        start, star = (1 - 1 / own, turns[teacher, student]), (1 - 1 / others, math.pi * angle)
        tensor = torch.from_numpy
        return tuple(map(tensor, start)), tuple(map(tensor, star)), tensor(rate)


def _number(value: float) -> float | str:
    return float(f"{value:.5g}") if math.isfinite(value) else ""


ONE_UNIT = OneUnit(
    name="angles_one_unit",
    title="one eigenvalue in eleven parametrisations of its angle, Adam at eleven rates",
    smaller={
        "book": {"teachers": 2, "steps": 300, "memories": (100.0,)},
        "smoke": {"teachers": 2, "steps": 20, "memories": (100.0,), "rates": (0.01, 0.001), "teacher_angles": (0.1,)},
    },
)

# What the first table cannot say: a rate that one start chooses, near its teacher, may be too small for the other, far
# from it, and two in five rows were undecided for that. So here are fresh teachers, one start each, all angles at one
# rate, as in a layer: the one of the first table with the smallest largest quantile .9 over angles, then median.

_ONE_RATE = {
    "polar": (0.001, 0.00032),
    "exponential": (0.001, 0.001),
    "half-angle": (0.0032, 0.0032),
    "cayley": (0.0032, 0.0032),
    "step": (0.001, 0.001),
    "mamba3": (0.00032, 0.00032),
    "oscillator": (0.0032, 0.001),
    "optimal": (0.0032, 0.0001),
    "rectangular": (0.1, 0.32),
    "held": (0.00032, 0.0032),
    "scaled": (0.001, 0.001),
}

FRESH = OneUnit(
    name="angles_fresh",
    title="one eigenvalue in eleven parametrisations of its angle, fresh teachers, one rate for all angles",
    teachers=200,
    students=1,
    seed=1,
    one_rate=tuple(
        (name, memory, rate)
        for name, rates in _ONE_RATE.items()
        for memory, rate in zip((100.0, 1000.0), rates, strict=True)
    ),
    smaller={
        "book": {"teachers": 4, "steps": 300, "memories": (100.0,)},
        "smoke": {"teachers": 2, "steps": 20, "memories": (100.0,), "teacher_angles": (0.1,)},
    },
)


# The teacher-student task: LRUs that differ in their angle alone, and S4D. Rates are centred on the best in runs on
# teachers 28 to 30 with another seed. Raw parameters of the rectangular student are about as large as the memory, so
# its recurrent rate is ten times that of the others: the best of 1, 10 and 100 there.

_GRID = (10.0, 3.2, 1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032)

TEACHERS = Experiment(
    name="angles_teachers",
    title="five parametrisations of the LRU's angle and S4D, 1,000 steps",
    cells=(
        Cell("lru", rates=_GRID[4:9]),
        Cell("lru_polar_angle", rates=_GRID[4:9]),
        Cell("lru_half_angle", rates=_GRID[4:9]),
        Cell("lru_optimal_angle", rates=_GRID[5:10]),
        Cell("lru_rectangular", rates=_GRID[:5], ratios=(10.0,)),
        Cell("s4d", rates=_GRID[3:8]),
    ),
    seeds=(5, 6),
    teacher=tuple(range(8, 24)),
    protocol=Protocol(steps=1_000),
)
