"""Beyond the paper: does it carry over to tasks without an exact loss? Dense, blocks, LRU under Adam and Muon.

Five tasks, each an experiment of its own: the paper's with a tanh in the recurrence, digits pixel by pixel, characters
of a text, copying and adding over 500 steps. In each the three networks are the same but for the recurrence, have
about as many parameters, start on the same ring of eigenvalues with states and outputs of variance 1, and see the same
data.

Rates: eleven candidates for each network and optimiser. Three give all parameters one rate, as in the paper; eight give
recurrent parameters one of four rates and all others one of two. Those in a row are half a decade apart, and around the
best in shorter runs on seeds 900 to 903 (the tanh task: 892 and 893, teachers 28 and 29), which also chose sizes, rings
and steps, so that the best network solves the task. From the whole disc, the paper's start of dense networks, digits
and the tanh task went worse, also for these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .. import checks
from ..protocol import Protocol
from ..tasks import Adding, Characters, Copying, Digits, TanhTeacher, Task
from ..through_time import KINDS, Network, Stack
from ..training import one_thread
from .measurement import Measurement, Tables
from .schema import Schema

#: The optimisers; Muon moves recurrent parameters, Adam with beta2 = .95 all others.
OPTIMIZERS = {
    "adam": {"beta2": 0.999},
    "adam95": {"beta2": 0.95},
    "muon": {"optimizer": "muon", "beta2": 0.95},
}

#: Rates of recurrent and of all other parameters.
Rates = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class CarryOver(Measurement):
    """Test losses of networks that differ in their recurrence, under several optimisers, at several rates.

    The main table has a row for each network, optimiser, seed and candidate: "loss", the mean squared error or the
    cross-entropy in nats of the test; "zero_loss", that of the best constant answer (of the tanh task, of zero);
    "error", the share of wrong answers, where there are classes; "train_loss", the mean over the last tenth of the
    steps. A loss that is not finite is blank and "diverged".

    Attributes:
        task: what is learned.
        networks: one of each kind.
        candidates: of each kind and optimiser, in the order of ``networks`` and ``optimizers``: pairs of rates.
        optimizers: keys of ``OPTIMIZERS``.
        seeds: of the start, the data and, of the tanh task, the teacher (its number modulo 32).
        steps: of training; rates fall to zero along a cosine.
    """

    task: Task
    networks: tuple[Network, ...]
    candidates: tuple[tuple[tuple[Rates, ...], ...], ...]
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    seeds: tuple[int, ...] = (8, 9, 10, 11, 12, 13)
    steps: int

    def __post_init__(self):
        super().__post_init__()
        checks.whole("steps", self.steps)
        for name in self.optimizers:
            checks.choice("each of optimizers", name, OPTIMIZERS)

    @property
    def needs(self) -> Mapping[str, Sequence[str]]:  # of its task
        return self.task.needs

    @property
    def workload(self) -> str:
        return f"{len(self._rows())} runs"

    def parts(self) -> list[str]:
        return list(self._cases())

    def _cases(self) -> dict[str, tuple[Network, str, int, tuple[Rates, ...]]]:
        return {
            f"{network.kind}, {optimizer}, seed {seed}": (network, optimizer, seed, rates)
            for network, row in zip(self.networks, self.candidates, strict=True)
            for optimizer, rates in zip(self.optimizers, row, strict=True)
            for seed in self.seeds
        }

    def _rows(self) -> list[tuple]:
        return [
            (network.kind, optimizer, seed, rate, other)
            for network, optimizer, seed, rates in self._cases().values()
            for rate, other in rates
        ]

    def definition(self) -> dict:
        return super().definition() | {"kind of task": type(self.task).__name__} | self.task.sources()

    def schemas(self) -> dict[str, Schema]:
        key = ["student", "optimizer", "seed", "rate", "other_rate"]
        columns = {"student": KINDS, "optimizer": tuple(OPTIMIZERS), "seed": "whole", "rate": "number"}
        columns |= {"other_rate": "number", "parameters": "whole", "states": "whole", "loss": "size or blank"}
        columns |= {"zero_loss": "size", "error": "size or blank", "train_loss": "size or blank", "diverged": "flag"}
        return {"runs": Schema(columns, key, self._rows())}

    def measure(self, part: str, device: str) -> Tables:
        network, optimizer, seed, rates = self._cases()[part]
        with one_thread():
            last, loss, error = train(self.task, network, optimizer, seed, rates, self.steps, device)
            zero = self.task.baseline(seed)
        rows = []
        for pair, *scores in zip(rates, loss, error, last, strict=True):
            diverged = not (math.isfinite(scores[0]) and math.isfinite(scores[2]))
            test, share, trained = (math.nan if diverged else _rounded(score) for score in scores)
            size = (network.count(), network.units)
            rows.append((network.kind, optimizer, seed, *pair, *size, test, _rounded(zero), share, trained, diverged))
        return {"runs": (list(self.schemas()["runs"].columns), rows)}


def train(
    task: Task, network: Network, optimizer: str, seed: int, rates: Sequence[Rates], steps: int, device: str = "cpu"
) -> tuple[list[float], list[float], list[float]]:
    """Train a stack of networks that differ in their rates.

    Args:
        task: on what.
        network: what they are.
        optimizer: a key of ``OPTIMIZERS``.
        seed: of the start and the data.
        rates: of each member, of recurrent and of other parameters.
        steps: how many.
        device: where.

    Returns:
        Training loss of the last tenth of the steps, test loss and share of wrong answers, of each member.
    """
    protocol = Protocol(steps=steps, report=steps, batch=task.batch, length=task.length, **OPTIMIZERS[optimizer])
    stack = Stack(network, seed, rates, protocol, device)
    late = range(steps - max(1, steps // 10), steps)
    total = torch.zeros(len(rates), dtype=torch.float64, device=device)
    for number in range(steps):
        x, target = (value.to(device) for value in task.minibatch(seed, number))
        loss = stack.step(number, lambda p, x=x, y=target: task.losses(task.run(network, p, x), y))
        if number in late:
            total += loss / len(late)
    with torch.no_grad():
        x, target = (value.to(device) for value in task.test(seed))
        outputs = task.run(network, stack.parameters, x)
        return total.tolist(), task.losses(outputs, target).tolist(), task.errors(outputs, target).tolist()


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")


_GRID = (0.32, 0.1, 0.032, 0.01, 0.0032, 0.001, 0.00032, 0.0001, 0.000032, 0.00001, 0.0000032)
_OTHERS = (0.03, 0.012)  # rates of all but the recurrent parameters

#: Of each optimiser, the largest recurrent rate and the largest rate that all parameters share.
Largest = tuple[tuple[float, float], ...]


def _candidates(recurrent: float, shared: float) -> tuple[Rates, ...]:
    """Three shared rates, and each of four recurrent ones with each of two others."""
    of_all, own = (_GRID[_GRID.index(rate) :] for rate in (shared, recurrent))
    return (*((rate, rate) for rate in of_all[:3]), *((rate, other) for other in _OTHERS for rate in own[:4]))


def _experiment(
    name: str,
    title: str,
    task: Task,
    *,
    steps: int,
    units: tuple[int, int, int],
    largest: tuple[Largest, Largest, Largest],
    smoke: Task,
    **settings: Any,
) -> CarryOver:
    """One of the five: units and largest rates by kind, rates also by optimiser; ``settings`` are the networks'."""
    sizes = {"inputs": task.inputs, "outputs": task.outputs} | settings
    networks = tuple(Network(kind, n, length=task.length, **sizes) for kind, n in zip(KINDS, units, strict=True))
    candidates = tuple(tuple(_candidates(*pair) for pair in row) for row in largest)
    few = tuple(tuple(rates[1:5:3] for rates in row) for row in candidates)  # one shared rate, one of its own
    tiny = tuple(replace(network, units=4, length=smoke.length) for network in networks)
    small = {"task": smoke, "networks": tiny, "candidates": few, "seeds": (8, 9), "steps": 3}
    return CarryOver(
        name=f"beyond_carry_{name}",
        title=f"does it carry over? {title}",
        task=task,
        networks=networks,
        candidates=candidates,
        steps=steps,
        smaller={"book": {"seeds": (8,), "candidates": few}, "smoke": small},
    )


TANH = _experiment(
    "tanh",
    "the paper's task with a tanh in the recurrence",
    TanhTeacher(length=128, batch=16, tested=512),
    steps=1_000,
    units=(16, 72, 82),
    largest=(
        ((0.01, 0.0032), (0.01, 0.01), (0.032, 0.032)),
        ((0.032, 0.032), (0.032, 0.032), (0.032, 0.032)),
        ((0.032, 0.032), (0.032, 0.032), (0.032, 0.032)),
    ),
    smoke=TanhTeacher(length=8, batch=4, tested=8),
    tanh=True,
    min_modulus=0.99,
)

DIGITS = _experiment(
    "digits",
    "digits, pixel by pixel",
    Digits(length=64, batch=64, tested=597),
    steps=800,
    units=(40, 84, 84),
    largest=(
        ((0.001, 0.001), (0.001, 0.001), (0.0032, 0.01)),
        ((0.032, 0.032), (0.032, 0.032), (0.032, 0.032)),
        ((0.01, 0.032), (0.01, 0.032), (0.01, 0.032)),
    ),
    smoke=Digits(length=64, batch=4, tested=8),
    width=32,
    min_modulus=0.95,
)

TEXT = _experiment(
    "text",
    "the next character of a text",
    Characters(length=100, batch=16, tested=400),
    steps=800,
    units=(48, 84, 84),
    largest=(
        ((0.0032, 0.01), (0.01, 0.032), (0.032, 0.032)),
        ((0.032, 0.032), (0.032, 0.032), (0.032, 0.032)),
        ((0.32, 0.1), (0.32, 0.1), (0.1, 0.1)),
    ),
    smoke=Characters(length=8, batch=4, tested=8, articles=3),
    width=32,
)

COPYING = _experiment(
    "copying",
    "copying over 500 steps",
    Copying(length=500, batch=64, tested=1_024, symbols=8),
    steps=500,
    units=(48, 108, 108),
    largest=(
        ((0.0001, 0.00032), (0.00032, 0.00032), (0.00032, 0.001)),
        ((0.001, 0.0032), (0.001, 0.0032), (0.00032, 0.00032)),
        ((0.01, 0.032), (0.01, 0.032), (0.001, 0.01)),
    ),
    smoke=Copying(length=20, batch=4, tested=8, symbols=8),
    width=32,
    min_modulus=0.99,
)

ADDING = _experiment(
    "adding",
    "adding over 500 steps",
    Adding(length=500, batch=32, tested=1_024),
    steps=1_200,
    units=(40, 76, 78),
    largest=(
        ((0.00032, 0.001), (0.001, 0.001), (0.001, 0.0032)),
        ((0.001, 0.0032), (0.001, 0.0032), (0.001, 0.0032)),
        ((0.1, 0.032), (0.1, 0.032), (0.32, 0.1)),
    ),
    smoke=Adding(length=20, batch=4, tested=8),
    features=8,
    width=32,
    min_modulus=0.99,
    max_angle=0.1,
)

CARRY_OVER = (TANH, DIGITS, TEXT, COPYING, ADDING)
