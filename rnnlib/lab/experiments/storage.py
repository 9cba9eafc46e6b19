"""What training does with recurrent parameters of few bits: an LRU against plain eigenvalues, one parameter at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from .. import systems
from ..protocol import Protocol
from ..provenance import teachers_hash
from ..storage import FORMATS, RoundedEigenvalues, Storage, StoredEnsemble, StoredMember
from ..training import one_thread
from .measurement import Measurement, Tables
from .schema import Schema
from .students import STUDENTS, Maker

MODULUS, ANGLE, PLAIN = "omega_nu", "omega_theta", "lam"
_BOTH = (MODULUS, ANGLE)


def _rounded_eigenvalues(width: int, heads: int, nu0: float, theta0: float, generator: torch.Generator):
    return RoundedEigenvalues(1, width, 1, min_modulus=nu0, max_angle=theta0, generator=generator)


_STUDENTS: dict[str, Maker] = {"plain": STUDENTS["crnn_gamma"], "lru": STUDENTS["lru"], "coarse": _rounded_eigenvalues}


@dataclass(frozen=True)
class Setting:
    """One way to store the recurrent parameters of one student.

    Attributes:
        name: how tables call it.
        student: ``"lru"``; ``"plain"``, a complex RNN with gamma; or ``"coarse"``, an LRU whose eigenvalues are
            rounded to bfloat16 once computed.
        storage: how parameters are stored; those not named are float32.
        rates: base rates.
        nu0: smallest modulus of the teacher and of the student at the start.
        theta0: largest angle, over pi.
    """

    name: str
    student: str
    storage: tuple[Storage, ...] = ()
    rates: tuple[float, ...] = (0.032, 0.01, 0.0032, 0.001)
    nu0: float = 0.99
    theta0: float = 1.0


@dataclass(frozen=True, kw_only=True)
class StorageTraining(Measurement):
    """Students with 64 units on the paper's task; a row a run, with its mean loss over the last 100 steps.

    All settings of a teacher see the same minibatches and start from the same draws.

    Attributes:
        settings: what is trained.
        teachers: which.
        seeds: of starts and data: a run's own is 100 times one of them, plus the teacher.
        together: teachers of a part.
        protocol: how all train.
    """

    settings: tuple[Setting, ...]
    teachers: tuple[int, ...] = tuple(range(16))
    seeds: tuple[int, ...] = (9, 10)  # no other experiment's
    together: int = 4
    protocol: Protocol = field(default_factory=lambda: Protocol(steps=1_000))

    def definition(self) -> dict[str, Any]:
        return super().definition() | {"teachers_hash": teachers_hash(max(self.teachers))}

    def _groups(self) -> dict[str, tuple[int, ...]]:
        groups = [self.teachers[start : start + self.together] for start in range(0, len(self.teachers), self.together)]
        return {f"teachers {', '.join(map(str, group))}": group for group in groups}

    def parts(self) -> list[str]:
        return list(self._groups())

    def _runs(self, teachers: tuple[int, ...]) -> list[tuple[Setting, int, int, float]]:
        return [
            (setting, teacher, 100 * seed + teacher, rate)
            for teacher in teachers
            for setting in self.settings
            for seed in self.seeds
            for rate in setting.rates
        ]

    def schemas(self) -> dict[str, Schema]:
        rows = [(setting.name, *rest) for setting, *rest in self._runs(self.teachers)]
        key = {"setting": "text", "teacher": "whole", "seed": "whole", "rate": "size"}
        return {"runs": Schema(key | {"loss": "size or blank", "zero_loss": "size", "diverged": "flag"}, [*key], rows)}

    def measure(self, part: str, device: str) -> Tables:
        runs = self._runs(self._groups()[part])
        with one_thread():
            ensemble = StoredEnsemble([self._member(*run) for run in runs], self.protocol, device)
            while ensemble.done < self.protocol.steps:
                ensemble.advance()
        summary = ensemble.summary()
        results = zip(runs, summary.loss, summary.zero_loss, summary.diverged, strict=True)
        columns = ["setting", "teacher", "seed", "rate", "loss", "zero_loss", "diverged"]
        return {
            "runs": (
                columns,
                [
                    (setting.name, *rest, "" if diverged else _rounded(loss), _rounded(zero), bool(diverged))
                    for (setting, *rest), loss, zero, diverged in results
                ],
            )
        }

    def _member(self, setting: Setting, teacher: int, seed: int, rate: float) -> StoredMember:
        angle = math.pi * setting.theta0
        generator = torch.Generator().manual_seed(1 << 31 | seed)  # as for other experiments: data use the lower half
        layer = _STUDENTS[setting.student](64, 1, setting.nu0, angle, generator)
        target = systems.teacher(teacher, setting.nu0, angle).impulse_response(self.protocol.length)
        return StoredMember(layer, target, rate, seed, storage=setting.storage)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _few(*names: str, how: str = "nearest", format: str = "bfloat16") -> tuple[Storage, ...]:
    return tuple(Storage(name, how, *FORMATS[format]) for name in names)


_HIGHER_RATES = (0.32, 0.1, 0.032, 0.01)
_FROZEN = tuple(Storage(name, "frozen") for name in _BOTH)


def _lru(name: str, storage: tuple[Storage, ...] = (), **more) -> Setting:
    return Setting(f"lru, {name}", "lru", storage, **more)


def _plain(name: str, storage: tuple[Storage, ...] = ()) -> Setting:
    return Setting(f"plain, {name}", "plain", storage)


_SETTINGS = (
    _lru("float32"),
    *(_lru(how, _few(*_BOTH, how=how)) for how in ("nearest", "stochastic", "master")),
    *(_lru(f"modulus {how}", _few(MODULUS, how=how)) for how in ("nearest", "stochastic")),
    *(_lru(f"angle {how}", _few(ANGLE, how=how)) for how in ("nearest", "stochastic")),
    _lru("angle fixed", (*_few(MODULUS), Storage(ANGLE, "fixed", 16))),
    _lru("frozen", _FROZEN),
    Setting("lru, eigenvalues rounded", "coarse"),
    *(_lru(format, _few(*_BOTH, format=format)) for format in ("float16", "float8_e4m3fn")),
    _plain("float32"),
    *(_plain(how, _few(PLAIN, how=how)) for how in ("nearest", "stochastic", "master")),
    _plain("frozen", (Storage(PLAIN, "frozen"),)),
    _plain("float16", _few(PLAIN, format="float16")),
    _lru("float32, nu0 .9", nu0=0.9, rates=(*_HIGHER_RATES[1:], 0.0032)),
    _lru("nearest, nu0 .9", _few(*_BOTH), nu0=0.9, rates=(*_HIGHER_RATES[1:], 0.0032)),
    _lru("float32, theta0 .1", theta0=0.1, rates=_HIGHER_RATES),
    _lru("nearest, theta0 .1", _few(*_BOTH), theta0=0.1, rates=_HIGHER_RATES),
    _lru("frozen, theta0 .1", _FROZEN, theta0=0.1, rates=_HIGHER_RATES),
)

EXPERIMENT = StorageTraining(
    name="storage",
    title="training with recurrent parameters of few bits, 16 teachers, 1,000 steps",
    settings=_SETTINGS,
    smaller={
        "book": {"settings": _SETTINGS[:2], "teachers": (0,), "seeds": (9,), "protocol": Protocol(steps=500)},
        "smoke": {
            "settings": (*_SETTINGS[:3], *_SETTINGS[8:11], *_SETTINGS[15:18]),
            "teachers": (0, 1),
            "together": 1,
            "protocol": Protocol(steps=10, report=5, batch=8, length=40),
        },
    },
)

# The second look: in these settings more than one choice in twenty lay at that end of the rates. And one new setting,
# both raw parameters in 16 bits, each with what helped it alone.
_FURTHER = {
    **dict.fromkeys(
        (
            *(f"lru, {how}" for how in ("float32", "nearest", "master", "float16", "float8_e4m3fn", "frozen")),
            *(f"lru, {name} {how}" for name in ("modulus", "angle") for how in ("nearest", "stochastic")),
            "plain, frozen",
        ),
        (0.1,),
    ),
    "lru, stochastic": (0.1, 0.00032),
    **dict.fromkeys(("plain, stochastic", "plain, master"), (0.00032,)),
    **dict.fromkeys(("lru, float32, nu0 .9", "lru, nearest, nu0 .9"), (0.32,)),
    **dict.fromkeys(("lru, float32, theta0 .1", "lru, frozen, theta0 .1"), (1.0,)),
}
_MENDED = (*_few(MODULUS, how="stochastic"), Storage(ANGLE, "fixed", 16))

WIDER = replace(
    EXPERIMENT,
    name="storage_wider",
    title="further rates for the settings of storage whose best ones lay at an end, and both remedies together",
    settings=(
        *(replace(setting, rates=_FURTHER[setting.name]) for setting in _SETTINGS if setting.name in _FURTHER),
        _lru("mended", _MENDED, rates=(0.1, 0.032, 0.01, 0.0032, 0.001)),
    ),
    smaller=EXPERIMENT.smaller | {"smoke": EXPERIMENT.smaller["smoke"] | {"settings": (_lru("mended", _MENDED),)}},
)
