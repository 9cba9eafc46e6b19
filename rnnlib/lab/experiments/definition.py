"""What an experiment is: a grid of students, rates and teachers, a protocol, seeds. Its hash names its result."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import torch

from .. import checks, systems
from ..minibatches import SEEDS
from ..optimizers import OPTIMIZERS
from ..protocol import later, later_settings
from ..provenance import teachers_hash
from ..training import Member, Protocol
from . import tables
from .students import STUDENTS

if TYPE_CHECKING:
    import pandas as pd

SCALES = ("smoke", "book", "paper")
METHODS = ("exact", "direct")
_RATE, _MODULUS, _ANGLE = "(0, inf)", "[0, 1)", "(0, 1]"
DETAILS = ("none", "curves", "halfway", "parameters", "groups")


@dataclass(frozen=True)
class Cell:
    """One kind of student and the grid it is trained on: every combination of the tuples below.

    Attributes:
        student: a name in ``rnnlib.lab.experiments.STUDENTS``.
        rates: base rates of recurrent parameters, positive.
        nu0: shortest memory of the teacher, as smallest modulus of its eigenvalues, in [0, 1).
        theta0: largest angle of the teacher's and the student's eigenvalues, in units of pi, in (0, 1].
        start: smallest modulus of the student's eigenvalues at the start, in [0, 1); None for the teacher's.
        heads: blocks of a dense student; each number divides ``width``.
        width: units.
        ratios: the rate of recurrent parameters over that of all others, positive.
        rotations: sizes of the blocks of recurrent parameters that are trained in random orthogonal bases, see
            :class:`rnnlib.lab.training.Member`.

    Raises:
        ValueError: a field is out of range, a grid is empty or has a value twice, or there is no such student.
    """

    student: str
    rates: tuple[float, ...]
    nu0: tuple[float, ...] = (0.99,)
    theta0: tuple[float, ...] = (1.0,)
    start: float | None = None
    heads: tuple[int, ...] = (1,)
    width: int = 64
    ratios: tuple[float, ...] = later((1.0,))
    rotations: tuple[int, ...] = later((1,))

    def __post_init__(self):
        checks.plain(self)
        _check_student(self.student)
        checks.whole("width", self.width)
        for name, interval in {"rates": _RATE, "nu0": _MODULUS, "theta0": _ANGLE, "ratios": _RATE}.items():
            for value in _grid(name, getattr(self, name)):
                checks.within(f"each of {name}", value, interval)
        if self.start is not None:
            checks.within("start", self.start, _MODULUS)
        for heads in _grid("heads", self.heads):
            _check_heads("each of heads", heads, self.width)
        for size in _grid("rotations", self.rotations):
            checks.whole("each of rotations", size)


def _check_student(name: str) -> None:
    if not isinstance(name, str) or name not in STUDENTS:
        raise ValueError(f"no student {name!r}: choose from {', '.join(STUDENTS)}, or register one of your own first")


def _check_heads(name: str, heads: int, width: int) -> None:
    if width % checks.whole(name, heads):
        raise ValueError(f"{name} must divide the width, got {heads} heads for {width} units")


def _grid(name: str, values: tuple) -> tuple:
    try:
        different = isinstance(values, tuple) and 0 < len(values) == len(set(values))
    except TypeError:  # a value that cannot be hashed, such as a dict
        different = False
    if not different:
        raise ValueError(f"{name} must be a tuple of different values, one at least, got {values!r}")
    return values


@dataclass(frozen=True)
class Run:
    """One student trained once. Equal runs of different experiments are trained once and appear in both results.

    Raises:
        ValueError: a field is out of range.
    """

    student: str
    teacher: int
    nu0: float
    theta0: float
    heads: int
    rate: float
    seed: int
    start: float
    width: int
    ratio: float = 1.0
    rotation: int = 1

    def __post_init__(self):
        intervals = {"rate": _RATE, "nu0": _MODULUS, "theta0": _ANGLE, "start": _MODULUS, "ratio": _RATE}
        for name, interval in intervals.items():
            checks.within(name, getattr(self, name), interval)
        _check_heads("heads", self.heads, checks.whole("width", self.width))
        checks.whole("teacher", self.teacher, 0, systems.TEACHERS - 1)
        checks.whole("seed", self.seed, 0, SEEDS - 1)
        checks.whole("rotation", self.rotation)

    def member(self, length: int) -> Member:
        """The student at initialisation, and its teacher.

        Raises:
            ValueError: there is no such student.
        """
        _check_student(self.student)  # not before: runs that an earlier command left may be of other students
        angle = math.pi * self.theta0
        # the upper half of the seeds: data use the lower
        generator = torch.Generator().manual_seed(1 << 31 | self.seed)
        layer = STUDENTS[self.student](self.width, self.heads, self.start, angle, generator)
        target = systems.teacher(self.teacher, self.nu0, angle).impulse_response(length)
        return Member(layer, target, self.rate, self.seed, self.ratio, self.rotation)


@dataclass(frozen=True)
class Experiment:
    """A grid of training runs.

    Attributes:
        name: names the result and its files: letters, digits, ``.``, ``_`` and ``-``, first a letter, a
            digit or ``_``, and no letter after a ``.`` (``NAME.curves.csv`` is a table of NAME).
        title: one line for ``python -m rnnlib list``.
        cells: what is trained.
        seeds: each seeds a student's start and its data.
        teacher: number of the one teacher of all runs, as in the paper; ``"seed"``: a teacher for each seed, whose
            numbers are then those of teachers; or a tuple of teachers, each with as many students as there are seeds:
            a run's own seed is then 100 ``seed`` + ``teacher``, so that no two teachers share a start or data.
        protocol: how they train.
        details: ``"none"``; ``"curves"``: also record losses and effective rates epoch by epoch; ``"halfway"``: after
            half of the steps and at the end, of the runs that did not diverge; ``"parameters"``: the effective rate of
            every parameter of the first seed's runs after the last step; ``"groups"``: then, of every run, the medians
            over each group of parameters.
        live: rates of the small live part (scale "book"), by student; students without one sit it out.
        method: ``"exact"``: through impulse responses and one Gram matrix (:mod:`rnnlib.lab.training`); ``"direct"``:
            back-propagation through time (:mod:`rnnlib.lab.direct`), without details.

    Raises:
        ValueError: a field is out of range.
    """

    name: str
    title: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...] = tuple(range(10))
    teacher: int | str = 0
    protocol: Protocol = field(default_factory=Protocol)
    details: str = "none"
    live: tuple[tuple[str, float], ...] = ()
    method: str = later("exact")

    def __post_init__(self):
        checks.plain(self)
        checks.file_name(self.name)
        checks.title(self.title)
        for cell in _grid("cells", self.cells):
            if not isinstance(cell, Cell):
                raise ValueError(f"each of cells must be a Cell, got {cell!r}")
        last = SEEDS - 1
        if self.teacher == "seed":
            last = systems.TEACHERS - 1
        elif isinstance(self.teacher, tuple):
            for teacher in _grid("teacher", self.teacher):
                checks.whole("each of teacher", teacher, 0, systems.TEACHERS - 1)
            last = last // 100 - 1  # the largest of a run is 100 seed + teacher
        elif isinstance(self.teacher, str):
            raise ValueError(f"teacher must be a teacher's number, a tuple of them or 'seed', got {self.teacher!r}")
        else:
            checks.whole("teacher", self.teacher, 0, systems.TEACHERS - 1)
        for seed in _grid("seeds", self.seeds):
            checks.whole("each of seeds", seed, 0, last)
        if not isinstance(self.protocol, Protocol):
            raise ValueError(f"protocol must be a Protocol, got {self.protocol!r}")
        if not isinstance(self.live, tuple):
            raise ValueError(f"live must be a tuple of pairs of a student's name and a rate, got {self.live!r}")
        for pair in self.live:
            if not isinstance(pair, tuple) or len(pair) != 2 or pair[0] not in list(STUDENTS):
                raise ValueError(f"each of live must be a pair of a student's name and a rate, got {pair!r}")
            checks.within(f"the live rate of {pair[0]}", pair[1], _RATE)
        checks.choice("details", self.details, DETAILS)
        checks.choice("method", self.method, METHODS)
        if self.method == "direct" and self.details != "none":
            raise ValueError(f"details are recorded by the exact method alone, got {self.details!r}")
        later = {name for cell in self.cells for name in later_settings(cell)}
        if self.method == "direct" and (later or later_settings(self.protocol)):
            raise ValueError("through time students train as in the paper: with Adam, one rate, on minibatches")
        if later and not OPTIMIZERS[self.protocol.optimizer].minibatches:
            raise ValueError(
                f"{self.protocol.optimizer} has one rate and no basis: leave out {', '.join(sorted(later))}"
            )
        if self.protocol.optimizer != "adam" and self.details in ("parameters", "groups"):
            raise ValueError(f"effective rates are Adam's, so {self.protocol.optimizer} has no {self.details!r}")

    def runs(self) -> list[Run]:
        """Every run, in the order of the result's rows."""
        return [
            Run(
                cell.student,
                teacher,
                nu0,
                theta0,
                heads,
                rate,
                seed,
                nu0 if cell.start is None else cell.start,
                cell.width,
                ratio,
                rotation,
            )
            for cell in self.cells
            for nu0, theta0, heads, rotation, ratio, rate, (teacher, seed) in itertools.product(
                cell.nu0, cell.theta0, cell.heads, cell.rotations, cell.ratios, cell.rates, self._teachers_and_seeds()
            )
        ]

    def _teachers_and_seeds(self) -> list[tuple[int, int]]:
        if self.teacher == "seed":
            return [(seed, seed) for seed in self.seeds]
        if isinstance(self.teacher, tuple):
            return [(teacher, 100 * seed + teacher) for teacher in self.teacher for seed in self.seeds]
        return [(self.teacher, seed) for seed in self.seeds]

    def at(self, scale: str) -> Experiment:
        """This experiment at another scale.

        Args:
            scale: ``"paper"``: as defined. ``"book"``: the live part: one seed, one rate a student, the last (hardest)
                memory, about 2,000 steps. ``"smoke"``, for tests: two seeds, one rate, one memory, 20 short steps.

        Raises:
            ValueError: unknown scale, or there is no live part.
        """
        if scale == "paper":
            return self
        if scale == "book":
            return self._live()
        if scale == "smoke":
            return self._smoke()
        raise ValueError(f"unknown scale {scale!r}; choose from {', '.join(SCALES)}")

    def _live(self) -> Experiment:
        live = dict(self.live)
        if not live:
            raise ValueError(f"{self.name} has no live part: choose the scale smoke or paper")
        cells = tuple(
            replace(cell, rates=(live[cell.student],), nu0=cell.nu0[-1:]) for cell in self.cells if cell.student in live
        )
        if not cells:
            raise ValueError(f"{self.name} has no live part: live names none of its students")
        steps = max(1, 2_000 // self.protocol.report) * self.protocol.report
        teacher = self.teacher[:1] if isinstance(self.teacher, tuple) else self.teacher
        protocol = replace(self.protocol, steps=steps)
        return replace(self, cells=cells, seeds=self.seeds[:1], teacher=teacher, protocol=protocol)

    def _smoke(self) -> Experiment:
        cells = tuple(
            replace(
                cell,
                rates=cell.rates[-2:-1] or cell.rates,
                nu0=cell.nu0[-1:],
                theta0=cell.theta0[-1:],
                heads=cell.heads[-2:],
                ratios=cell.ratios[-1:],
                rotations=cell.rotations[-1:],
            )
            for cell in self.cells
        )
        protocol = replace(self.protocol, steps=20, report=5, batch=8, length=40)
        teacher = self.teacher[:2] if isinstance(self.teacher, tuple) else self.teacher
        return replace(self, cells=cells, seeds=self.seeds[:2], teacher=teacher, protocol=protocol)

    def definition(self) -> dict:
        """All that decides the numbers, as plain data. Titles and the live part do not."""
        plain = _named(self) | {"cells": [*map(_named, self.cells)], "protocol": _named(self.protocol)}
        del plain["title"], plain["live"]
        largest = max(teacher for teacher, _ in self._teachers_and_seeds())
        return json.loads(json.dumps(plain)) | {"teachers": teachers_hash(largest)}

    @property
    def hash(self) -> str:
        """Content hash of the definition, 16 hexadecimal digits."""
        return content_hash(self.definition())

    @property
    def workload(self) -> str:
        """How much there is to do, for the list."""
        return f"{len(self.runs())} runs"

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table of the result that its checksum does not show."""
        return tables.problem(self, frame, table, main)


def _named(instance: Any) -> dict[str, Any]:
    """Fields as plain data, but those that came after results were stored and have their defaults."""
    later = {item.name for item in fields(instance) if "later" in item.metadata} - later_settings(instance).keys()
    return {name: value for name, value in asdict(instance).items() if name not in later}


def content_hash(plain: object) -> str:
    """16 hexadecimal digits that name plain data."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
