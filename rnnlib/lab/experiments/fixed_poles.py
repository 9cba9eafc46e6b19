"""Must the recurrence be learned? Fixed eigenvalues with the best readout, over width and over the teacher's angles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import readouts, systems
from ..provenance import teachers_hash
from .definition import Cell, Experiment
from .measurement import Measurement, Tables
from .schema import Schema

CUTOFFS = (1e-12, 1e-6, 1e-3)
_LOSSES = tuple(f"loss_{-math.log10(cutoff):.0f}" for cutoff in CUTOFFS)
_KEYS = ("design", "nu0", "theta0", "width", "teacher")


@dataclass(frozen=True, kw_only=True)
class FixedPoles(Measurement):
    """What the best readout leaves of the population loss, over the zero predictor's; a row a teacher.

    The table "runs" is on the paper's window, with a column a cutoff of singular values ("loss_6": 1e-6) and the norm
    of the readout's weights at 1e-6 ("weights"). The table "endless" is the closed form on an infinite window. Random
    designs are drawn anew for each teacher.

    Attributes:
        designs: keys of :data:`rnnlib.lab.readouts.DESIGNS`.
        widths: numbers of units; each stands for an eigenvalue and its conjugate.
        angles: largest angles of the teacher and of the design, over pi, at the last of ``memories``.
        memories: smallest moduli of the teacher and of the design, at the last of ``angles`` and at ``width`` units.
        width: for ``memories``.
        endless: smallest moduli on the infinite window, with all angles.
        shares: there, units over (largest angle times 1 / (1 - smallest modulus)).
        teachers: which.
        length: of the window.
    """

    designs: tuple[str, ...] = tuple(readouts.DESIGNS)
    widths: tuple[int, ...] = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)
    angles: tuple[float, ...] = (0.01, 0.0316, 0.1, 0.316, 1.0)
    memories: tuple[float, ...] = (0.36, 0.68, 0.84, 0.92, 0.96, 0.98, 0.99)
    width: int = 64
    endless: tuple[float, ...] = (0.9, 0.99, 0.999)
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
    teachers: tuple[int, ...] = tuple(range(32))
    length: int = 300

    def parts(self) -> list[str]:
        return list(self.designs)

    def definition(self) -> dict[str, Any]:
        return super().definition() | {"teachers_hash": teachers_hash(max(self.teachers))}

    def _windows(self) -> list[tuple[float, float, int]]:
        swept = [(self.memories[-1], angle, width) for angle in self.angles for width in self.widths]
        return swept + [(nu0, self.angles[-1], self.width) for nu0 in self.memories[:-1]]

    def _endless(self, design: str) -> list[tuple[float, float, int]]:
        """Without those of more than 2,000 units, and without the ladder, which has no angles."""
        if design == "ladder":
            return []
        wanted = [
            (nu0, angle, round(share * math.pi * angle / (1 - nu0)))
            for nu0 in self.endless
            for angle in self.angles
            for share in self.shares
        ]
        return sorted({case for case in wanted if 4 <= case[2] <= 2000})

    def schemas(self) -> dict[str, Schema]:
        of = {"design": "text", "nu0": "number", "theta0": "number", "width": "whole", "teacher": "whole"}
        rows, endless = (
            [(d, *case, teacher) for d in self.designs for case in cases(d) for teacher in self.teachers]
            for cases in (lambda design: self._windows(), self._endless)
        )
        return {
            "runs": Schema(of | dict.fromkeys((*_LOSSES, "weights"), "size"), _KEYS, rows),
            "endless": Schema(of | {"loss": "size"}, _KEYS, endless),
        }

    def measure(self, part: str, device: str) -> Tables:
        rows, endless = [], []
        for nu0, angle, width in self._windows():
            of = (part, nu0, angle, width)
            teachers = [systems.teacher(index, nu0, math.pi * angle) for index in self.teachers]
            responses = np.array([system.impulse_response(self.length).numpy() for system in teachers])
            for index, poles, mine in self._draws(part, nu0, angle, width):
                losses, norms = readouts.remaining_loss(poles, responses[mine], CUTOFFS)
                for teacher, loss, norm in zip(index, losses.T, norms.T, strict=True):
                    rows.append((*of, teacher, *map(_rounded, loss), _rounded(norm[CUTOFFS.index(1e-6)])))
        for nu0, angle, width in self._endless(part):
            for index, poles, _ in self._draws(part, nu0, angle, width):
                for teacher in index:
                    system = systems.teacher(teacher, nu0, math.pi * angle)
                    loss = readouts.window_free_loss(poles, system)
                    endless.append((part, nu0, angle, width, teacher, _rounded(loss)))
        return {"runs": ([*_KEYS, *_LOSSES, "weights"], rows), "endless": ([*_KEYS, "loss"], endless)}

    def _draws(self, design: str, nu0: float, angle: float, width: int):
        """Teachers that share eigenvalues, those, and where the teachers are among all."""
        make = readouts.DESIGNS[design]
        if design in readouts.DRAWN:
            for place, teacher in enumerate(self.teachers):
                yield [teacher], make(width, nu0, math.pi * angle, teacher), [place]
        else:
            yield list(self.teachers), make(width, nu0, math.pi * angle, 0), slice(None)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


EXPERIMENT = FixedPoles(
    name="fixed_poles",
    title="what the best readout of fixed eigenvalues leaves, by width, angles and memory",
    smaller={
        "book": {"designs": ("even",), "teachers": (0, 1, 2, 3), "widths": (8, 32, 128), "endless": (0.9,)},
        "smoke": {
            "widths": (8, 16),
            "angles": (0.1, 1.0),
            "memories": (0.9, 0.99),
            "endless": (0.9,),
            "shares": (1.0,),
            "teachers": (0, 1),
            "length": 40,
        },
    },
)

# Learned ones of other widths than the 64 of Figures 3 and 10, for the same comparison. Rates are those of the LRU of
# beyond.py; nothing was tried at other widths.

LEARNED = Experiment(
    name="learned_poles",
    title="LRUs of other widths, over the largest angle",
    cells=tuple(
        Cell("lru", rates=(0.1, 0.032, 0.01, 0.0032, 0.001), theta0=(0.1, 0.316, 1.0), width=width)
        for width in (8, 16, 32, 128)
    ),
    seeds=(5, 6),
    teacher=tuple(range(16)),
)

# A second look, once: at small angles more than one choice of a rate in twenty lay at the upper end, at every width.

LEARNED_WIDER = replace(
    LEARNED,
    name="learned_poles_wider",
    title=f"{LEARNED.title}, further rates",
    cells=tuple(replace(cell, rates=(1.0, 0.32), theta0=(0.1, 0.316)) for cell in LEARNED.cells),
)
