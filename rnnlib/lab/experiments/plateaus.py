"""Where dense networks end their training on each teacher, and what they lack there."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .. import landscape, systems
from ..training import Member, Protocol, train
from . import beyond
from .measurement import Tables
from .observed import Observation, middle, observe, significant
from .schema import Schema

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from ..training import Ensemble
    from .definition import Experiment, Run

#: Smallest curvatures that count as reached, in decades below the largest.
CURVATURES = (2, 4, 6, 8, 10, 12)
_KEYS = ["optimizer", "teacher", "seed"]
_RUN = ("loss", "gradient", *(f"reached_{decades}" for decades in CURVATURES))
_RUN += ("largest", "smallest", "along_gradient", "escape", "newton", "lacking")
_MODE = ("modulus", "angle", "share", "distance", "missing")


@dataclass(frozen=True, kw_only=True)
class Plateaus(Observation):
    r"""Loss, gradient and curvature of dense students as they train and where they end, and what they lack there.

    All on the population loss, in float64, see :mod:`rnnlib.lab.landscape`. Table ``"curves"``, after each of the
    steps: log10 of the loss over the zero predictor's, and of the norm of the gradient. Table ``"runs"``, after the
    last one: "rate"; "loss" as in the curves; "gradient", log10 of the norm over that after the first of the steps;
    "reached_4", the share of the loss in directions whose curvature is 10^-4 of the largest or more, and others
    likewise; "largest" and "smallest", the extreme eigenvalues of the Hessian; "along_gradient", the curvature along
    the gradient; "escape", how many decades the loss falls along the eigenvector of the smallest; "newton", "loss"
    after Gauss-Newton has gone on from there; "lacking", the share of the loss that the teacher's modes explain that no
    eigenvalue of the student is near: none within 1 - |lambda|, half the width of their resonance.

    Table ``"modes"``, then too: modulus, angle and share of the energy of each mode of the teacher, from the largest
    share; "distance" of the nearest eigenvalue of the student, over 1 - modulus; "missing", how much of the mode is
    left in r. Table ``"eigenvalues"``: the largest of the student's in the upper half plane, half as many as units.

    Runs that diverged have blanks.

    Attributes:
        optimizers: of the students, which differ in nothing else but their rates.
        rates: of each optimiser.
        newton_steps: of Gauss-Newton.
        lanczos_steps: products with a Hessian.
    """

    optimizers: tuple[str, ...] = ("adam", "muon")
    rates: tuple[float, ...]
    newton_steps: int = 20
    lanczos_steps: int = 200

    def parts(self) -> list[str]:
        return list(self._trainings())

    def _trainings(self) -> dict[str, Experiment]:
        """The students of each part: one optimiser, one seed of every teacher."""
        return {
            f"{optimizer}, seed {seed}": replace(
                self.training,
                protocol=replace(self.training.protocol, optimizer=optimizer),
                cells=tuple(replace(cell, rates=(rate,)) for cell in self.training.cells),
                seeds=(seed,),
            )
            for optimizer, rate in zip(self.optimizers, self.rates, strict=True)
            for seed in self.training.seeds
        }

    def schemas(self) -> dict[str, Schema]:
        of = {"optimizer": self.optimizers, "teacher": "whole", "seed": "whole"}
        runs, curves, modes = [], [], []
        for training in self._trainings().values():
            keys = {_key(training, run): run for run in training.runs()}
            runs += keys
            curves += [(*key, step) for step in self.steps for key in keys]
            modes += [(*key, mode) for key, run in keys.items() for mode in range(len(self._modes(run).shares))]
        blanks = dict.fromkeys(_MODE[3:], "size or blank")
        return {
            "runs": Schema(of | {"rate": "number"} | dict.fromkeys(_RUN, "number or blank"), _KEYS, runs),
            "curves": Schema(
                of | {"step": "whole"} | dict.fromkeys(("loss", "gradient"), "number or blank"),
                [*_KEYS, "step"],
                curves,
            ),
            "modes": Schema(
                of | {"mode": "whole"} | dict.fromkeys(_MODE[:3], "number") | blanks, [*_KEYS, "mode"], modes
            ),
            "eigenvalues": Schema(
                of | {"number": "whole", "modulus": "size or blank", "angle": "number or blank"},
                [*_KEYS, "number"],
                [(*key, number) for key in runs for number in range(self.training.cells[0].width // 2)],
            ),
        }

    def together(self, frame: pd.DataFrame, table: str) -> list[pd.DataFrame]:
        columns = {
            "runs": _RUN,
            "curves": ("loss", "gradient"),
            "modes": _MODE[3:],
            "eigenvalues": ("modulus", "angle"),
        }
        return [frame[[*columns[table]]]]

    def _modes(self, run: Run) -> landscape.Modes:
        system = systems.teacher(run.teacher, run.nu0, math.pi * run.theta0)
        return landscape.modes(system, self.training.protocol.length)

    def measure(self, part: str, device: str) -> Tables:
        training = self._trainings()[part]
        runs, curves, early = training.runs(), [], {}
        for step, ensemble in observe(training, self.steps, device):
            points = _points(ensemble)
            slopes = {index: _slope(point) for index, point in points.items()}
            early = early or slopes
            for index, run in enumerate(runs):
                curves.append((*_key(training, run), step, *map(significant, slopes.get(index, ("", "")))))
        newton, rows, modes, eigenvalues = _after_newton(ensemble, self.newton_steps), [], [], []
        for index, run in enumerate(runs):
            key, teacher = _key(training, run), self._modes(run)
            numbers, lacks, own = [""] * len(_RUN), [("", "")] * len(teacher.shares), [("", "")] * (run.width // 2)
            if index in points:
                point, (loss, gradient), (_, before) = points[index], slopes[index], early[index]
                lacks, lacking = _lacks(point, teacher)
                own = _polar(point.eigenvalues())[: run.width // 2]
                numbers = [loss, gradient - before, *self._curvatures(point), newton[index], lacking]
            eigenvalues += [(*key, number, *map(significant, pair)) for number, pair in enumerate(own)]
            rows.append((*key, run.rate, *map(significant, numbers)))
            known = zip(*_columns(teacher), strict=True)
            for mode, (of_teacher, found) in enumerate(zip(known, lacks, strict=True)):
                modes.append((*key, mode, *map(significant, (*of_teacher, *found))))
        return {
            "runs": ([*_KEYS, "rate", *_RUN], rows),
            "curves": ([*_KEYS, "step", "loss", "gradient"], curves),
            "modes": ([*_KEYS, "mode", *_MODE], modes),
            "eigenvalues": ([*_KEYS, "number", "modulus", "angle"], eigenvalues),
        }

    def _curvatures(self, point: landscape.DensePoint) -> list[float]:
        """Of a row, from "reached" to "escape"."""
        r, J = point.residuals()
        g = J.T @ r
        largest, smallest, direction = landscape.extreme_curvatures(point.loss, point.x, self.lanczos_steps)
        return [
            *landscape.reached(r, J, [10.0**-decades for decades in CURVATURES]),
            largest,
            smallest,
            (g @ landscape.along(point.loss, point.x, g) / g.square().sum()).item(),
            landscape.escape(point.loss, point.x, direction),
        ]


def _key(training: Experiment, run: Run) -> tuple[str, int, int]:
    return training.protocol.optimizer, run.teacher, run.seed


def _students(ensemble: Ensemble) -> dict[int, Member]:
    """The students that have not diverged, as they are now."""
    members = {}
    for index, values in ensemble.trained().items():
        member = ensemble.members[index]
        layer = copy.deepcopy(member.layer)
        layer.load_state_dict(values, strict=False)  # buffers stay
        members[index] = Member(layer, member.target, 1.0, member.seed)
    return members


def _points(ensemble: Ensemble) -> dict[int, landscape.DensePoint]:
    return {index: landscape.DensePoint(one.layer, one.target) for index, one in _students(ensemble).items()}


def _slope(point: landscape.DensePoint) -> tuple[float, float]:
    """Decades of the loss over the zero predictor's, and of the norm of its gradient."""
    r, J = point.residuals()
    return point.decades(point.x), (J.T @ r).norm().log10().item()


def _after_newton(ensemble: Ensemble, steps: int) -> dict[int, float]:
    """Decades of the loss over the zero predictor's after Gauss-Newton has gone on from where students are."""
    if not (students := _students(ensemble)):
        return {}
    settings = {"steps": steps, "report": steps, "length": ensemble.protocol.length}
    protocol = Protocol(optimizer="gauss_newton", loss="population", double=True, **settings)
    after = train([*students.values()], protocol)
    decades = np.log10(after.curve[:, -1] / after.population_zero)
    return dict(zip(students, decades.tolist(), strict=True))


def _lacks(point: landscape.DensePoint, teacher: landscape.Modes) -> tuple[list[tuple[float, float]], float]:
    """Distance and missing part of each mode of a teacher, and the share of the loss that those far from all
    eigenvalues explain."""
    lam, (r, _) = teacher.eigenvalues, point.residuals()
    nearest = (point.eigenvalues()[:, None] - lam).abs().min(0).values / (1 - lam.abs())
    far = (nearest > 1).nonzero()[:, 0].tolist()
    absent = landscape.missing(teacher, r).tolist()
    return list(zip(nearest.tolist(), absent, strict=True)), landscape.explained(teacher, r, far)


def _columns(teacher: landscape.Modes) -> tuple[list[float], ...]:
    lam = teacher.eigenvalues
    return tuple(values.tolist() for values in (lam.abs(), lam.angle(), teacher.shares))


def _polar(eigenvalues: Tensor) -> list[tuple[float, float]]:
    """Modulus and angle of those in the upper half plane, from the largest modulus."""
    upper = eigenvalues[eigenvalues.imag >= 0]
    upper = upper[upper.abs().argsort(descending=True)]
    return list(zip(upper.abs().tolist(), upper.angle().tolist(), strict=True))


_DENSE = beyond.HEADLINE[0].cells[0]  # from zero
_TRAINING = replace(beyond.HEADLINE[0], cells=(middle(_DENSE),))
_RATES = tuple(middle(experiment.cells[0]).rates[0] for experiment in beyond.HEADLINE[:2])

EXPERIMENT = Plateaus(
    name="beyond_plateaus",
    title="dense networks under Adam and Muon, where they stop and what they lack",
    training=_TRAINING,
    rates=_RATES,
    steps=(100, 300, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 9_000, 10_000),
    smaller={
        "smoke": {
            "training": replace(_TRAINING.at("smoke"), cells=(replace(middle(_DENSE), width=8),)),
            "steps": (5, 20),
            "newton_steps": 2,
            "lanczos_steps": 20,
        },
    },
)
