"""Beyond the paper: parametrisations of the angle side by side, on one eigenvalue and on the teacher-student task.

The teachers' angles are fixed, their memories are drawn within a factor of two of the nominal one, and so are those of
the students, whose angles are drawn uniformly from the half circle. Each teacher has two students, so that a run's rate
is chosen by the other one.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .. import angles
from ..statistics import cross_fit
from ..training import Protocol
from .definition import Cell, Experiment
from .measurement import Measurement, Tables
from .schema import Schema

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

_KEYS = ["angle", "memory", "teacher_angle"]
_RATE_KEYS, _RUN_KEYS = [*_KEYS, "rate"], [*_KEYS, "teacher", "draw"]
_LEVELS = {"median": 0.5, "tenth": 0.9}
_FLOOR = 1e-10  # shares of the first loss below it are not told apart


@dataclass(frozen=True, kw_only=True)
class OneUnit(Measurement):
    """Runs of Adam at a constant rate, one eigenvalue each, of a "teacher" and a "draw" of its student's start.

    A row of "runs" is a start: "left" is the share of its first loss that the last tenth of the steps still has at its
    largest, not below 1e-10, blank where the run was lost; it is that of the "rate" for which the teacher's other start
    has the smallest. "steps" are those before the loss was a hundredth of the first, -1 if it never was, at the rate
    "steps_rate" for which the teacher's other start has the fewest. A row of "rates" is all starts at one rate: how
    many were "lost", how many "arrived" at a hundredth or less, and of what is left the "median" and the "tenth" that
    all but a tenth of them stay below, blank where that one was lost.

    Attributes:
        angles: parametrisations, keys of :data:`rnnlib.lab.angles.ANGLES`.
        memories: nominal ones, in steps.
        teacher_angles: in units of pi.
        rates: Adam's.
        teachers: how many of each memory and angle.
        students: starts of each teacher.
        steps: of a run.
        seed: of all draws.
    """

    angles: tuple[str, ...] = tuple(angles.ANGLES)
    memories: tuple[int, ...] = (100, 1000)
    teacher_angles: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 0.7)
    rates: tuple[float, ...] = (10.0, 3.2, 1.0, 0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001)
    teachers: int = 40
    students: int = 2
    steps: int = 10_000
    seed: int = 0

    def parts(self) -> list[str]:
        return [f"{name}, memory {memory}" for name in self.angles for memory in self.memories]

    def schemas(self) -> dict[str, Schema]:
        columns = {"angle": "text", "memory": "whole", "teacher_angle": "number"}
        runs = columns | {"teacher": "whole", "draw": "whole", "rate": "number", "left": "size or blank"}
        runs |= {"steps_rate": "number", "steps": "whole"}
        rates = columns | {"rate": "number", "lost": "whole", "arrived": "whole"}
        rates |= dict.fromkeys(_LEVELS, "size or blank")
        keys = [self._keys(part) for part in self.parts()]
        starts = [(*key, *start) for part in keys for key in part for start in self._starts()]
        return {
            "runs": Schema(runs, _RUN_KEYS, starts),
            "rates": Schema(rates, _RATE_KEYS, [(*key, rate) for part in keys for key in part for rate in self.rates]),
        }

    def _keys(self, part: str) -> list[tuple[str, int, float]]:
        name, _, memory = part.partition(", memory ")
        return [(name, int(memory), angle) for angle in self.teacher_angles]

    def _starts(self) -> list[tuple[int, int]]:
        return list(itertools.product(range(self.teachers), range(self.students)))

    def measure(self, part: str, device: str) -> Tables:
        keys = self._keys(part)
        left, steps = self._train(keys, np.array(self.rates))
        starts, runs, rates = self._starts(), [], []
        for key, of_left, of_steps in zip(keys, left, steps, strict=True):
            columns = (*self._chosen(of_left), *self._chosen(of_steps))
            written = (map(_number, column) for column in columns[:3])
            for start, *values in zip(starts, *written, _whole(columns[3]), strict=True):
                runs.append((*key, *start, *values))
            for rate, values in zip(self.rates, of_left.reshape(len(starts), -1).T, strict=True):
                counts = int(np.isinf(values).sum()), int((values <= 0.01).sum())
                shares = [_number(np.quantile(values, level, method="higher")) for level in _LEVELS.values()]
                rates.append((*key, rate, *counts, *shares))
        columns = [*_RUN_KEYS, "rate", "left", "steps_rate", "steps"]
        return {"runs": (columns, runs), "rates": ([*_RATE_KEYS, "lost", "arrived", *_LEVELS], rates)}

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show: how many runs were lost says what is blank."""
        wrong = super().problem(frame, table, main)
        if wrong or table != "rates":
            return wrong
        runs = self.teachers * self.students
        for name, level in _LEVELS.items():
            if (frame[name].isna() != (frame["lost"] >= runs - math.ceil(level * (runs - 1)))).any():
                return f"{name} is blank though few enough runs were lost, or there though too many were"
        return None

    def _chosen(self, values: NDArray) -> tuple[NDArray, NDArray]:
        """The rate that each teacher's other start chooses, the smallest of equally good ones, and what it gives."""
        order = np.argsort(self.rates)
        picked, found = cross_fit(values[..., order])
        return np.array(self.rates)[order][picked].ravel(), found.ravel()

    def _train(self, keys: list[tuple], rates: NDArray) -> tuple[NDArray, NDArray]:
        """Shares of the first loss that are left, not below the floor, and steps to a hundredth; infinite for runs that
        were lost or never got there; both (keys, teachers, students, rates)."""
        from ..training import one_thread

        shape = len(keys), self.teachers, self.students, len(rates)
        start, star, rate = self._draws(keys, rates)
        with one_thread():
            found = angles.train(keys[0][0], start, star, rate, self.steps)
        left = np.nan_to_num(np.maximum(found.last / found.first, _FLOOR), nan=math.inf, posinf=math.inf)
        return left.reshape(shape), np.nan_to_num(found.reached, nan=math.inf).reshape(shape)

    def _draws(self, keys: list[tuple], rates: NDArray) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
        """Moduli and angles of students and teachers, and rates. The draws are the same for each parametrisation, angle
        and rate, and of memories the factors."""
        import torch

        generator = np.random.default_rng(self.seed)
        factors = 2.0 ** generator.uniform(-1, 1, (self.teachers, 1 + self.students))
        turns = generator.uniform(0, math.pi, (self.teachers, self.students))
        columns = zip(*itertools.product(keys, self._starts(), rates), strict=True)
        (key, start, rate) = map(list, columns)
        (_, memory, angle), (teacher, student) = (map(np.array, zip(*each, strict=True)) for each in (key, start))
        own, others = memory * factors[teacher, 1 + student], memory * factors[teacher, 0]
        start, star = (1 - 1 / own, turns[teacher, student]), (1 - 1 / others, math.pi * angle)
        tensor = torch.from_numpy
        return tuple(map(tensor, start)), tuple(map(tensor, star)), tensor(np.array(rate))


def _number(value: float) -> float | str:
    return float(f"{value:.5g}") if math.isfinite(value) else ""


def _whole(steps: NDArray) -> list[int]:
    return np.where(np.isfinite(steps), steps, -1).astype(int).tolist()


@dataclass(frozen=True, kw_only=True)
class OneRate(OneUnit):
    """The same, one start of each teacher, at rates that are given: the only table is "runs", a row a teacher.

    Attributes:
        rates: parametrisation, memory and the rate to train it at.
    """

    rates: tuple[tuple[str, int, float], ...] = ()
    teachers: int = 200
    students: int = 1
    seed: int = 1

    def schemas(self) -> dict[str, Schema]:
        columns = {"angle": "text", "memory": "whole", "teacher_angle": "number", "teacher": "whole"}
        keys = [key for part in self.parts() for key in self._teachers(part)]
        return {"runs": Schema(columns | {"left": "size or blank", "steps": "whole"}, [*columns], keys)}

    def _teachers(self, part: str) -> list[tuple]:
        return [(*key, teacher) for key in self._keys(part) for teacher in range(self.teachers)]

    def measure(self, part: str, device: str) -> Tables:
        keys = self._keys(part)
        (rate,) = (rate for *which, rate in self.rates if tuple(which) == keys[0][:2])
        left, steps = self._train(keys, np.array([rate]))
        values = zip(self._teachers(part), map(_number, left.ravel()), _whole(steps.ravel()), strict=True)
        return {"runs": ([*_KEYS, "teacher", "left", "steps"], [(*key, *rest) for key, *rest in values])}


ONE_UNIT = OneUnit(
    name="angles_one_unit",
    title="one eigenvalue in eleven parametrisations of its angle, Adam at eleven rates",
    smaller={
        "book": {"teachers": 2, "steps": 300, "memories": (100,)},
        "smoke": {"teachers": 2, "steps": 20, "memories": (100,), "rates": (0.01, 0.001), "teacher_angles": (0.1,)},
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

FRESH = OneRate(
    name="angles_fresh",
    title="one eigenvalue in eleven parametrisations of its angle, fresh teachers, one rate for all angles",
    rates=tuple(
        (name, memory, rate)
        for name, rates in _ONE_RATE.items()
        for memory, rate in zip((100, 1000), rates, strict=True)
    ),
    smaller={
        "book": {"teachers": 4, "steps": 300, "memories": (100,)},
        "smoke": {"teachers": 2, "steps": 20, "memories": (100,), "teacher_angles": (0.1,)},
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

# The same where the teacher's and the students' angles are smaller. Rates are those at all angles: nothing was tried.

NARROW = replace(
    TEACHERS,
    name="angles_teachers_narrow",
    title="five parametrisations of the LRU's angle and S4D, smaller angles, 1,000 steps",
    cells=tuple(replace(cell, theta0=(0.0316, 0.1, 0.316)) for cell in TEACHERS.cells),
)

# A second look, once: students with more than one choice of a rate in twenty at the upper end; none at the lower.


def _wider(first: Experiment, *students: str) -> Experiment:
    return replace(
        first,
        name=f"{first.name}_wider",
        title=f"{first.title}, further rates",
        cells=tuple(
            replace(cell, rates=_GRID[_GRID.index(cell.rates[0]) - 2 : _GRID.index(cell.rates[0])])
            for cell in first.cells
            if cell.student in students
        ),
    )


NARROW_WIDER = _wider(NARROW, "lru", "lru_optimal_angle", "s4d")

# Angles that the one unit has and the tables above lack, over all four ranges of angles. Rates are centred on the best
# in runs on teachers 28 to 30 with another seed, angles up to pi.

OTHERS = replace(
    TEACHERS,
    name="angles_teachers_others",
    title="three more parametrisations of the LRU's angle, small and large angles, 1,000 steps",
    cells=tuple(
        Cell(student, rates=_GRID[4:9], theta0=(0.0316, 0.1, 0.316, 1.0))
        for student in ("lru_cayley", "lru_mamba3", "lru_oscillator")
    ),
)

OTHERS_WIDER = _wider(OTHERS, "lru_mamba3", "lru_oscillator")  # the same second look, at the upper end
