"""How students train, who trains, and what training measures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks
from .minibatches import SEEDS, STEPS
from .optimizers import LABELS, OPTIMIZERS

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

__all__ = ["Member", "Protocol", "Summary", "later", "later_settings"]


def later(default: Any) -> Any:
    """A field that came after results were stored: at its default it is no part of a definition or its hash."""
    return field(default=default, metadata={"later": True})


def later_settings(instance: Any) -> dict[str, Any]:
    """Those fields of a dataclass that are not at their defaults."""
    values = {item: getattr(instance, item.name) for item in fields(instance) if "later" in item.metadata}
    return {item.name: value for item, value in values.items() if value != item.default}


@dataclass(frozen=True)
class Protocol:
    """How a student is trained.

    Attributes:
        steps: number of steps, each on fresh data, at most 1,048,576.
        batch: sequences of a minibatch.
        length: steps of a sequence, T.
        report: the loss is averaged over this many last steps; also the length of an epoch. It divides ``steps``.
        schedule: ``"cosine"`` from the base rate to ``final_rate``, or ``"constant"``.
        final_rate: rate at the end of the cosine.
        beta1: momentum of every first-order optimiser.
        beta2: of the mean of squares, Adam's and SOAP's.
        eps: Adam's and SOAP's.
        optimizer: a name in ``rnnlib.lab.optimizers.OPTIMIZERS``.
        loss: ``"minibatch"``, or ``"population"``: its expectation, without data; an epoch's loss is then that of its
            last step.
        warmup: steps over which the rate rises evenly from zero.
        clip: largest norm of a gradient, over all parameters; 0 for no bound.
        decay: weights shrink by this times the rate in each step.
        floor: on the population loss, at the end of an epoch: a student whose loss is at most this times the zero
            predictor's stops.
        double: train in float64; otherwise in the students' own precision.

    Raises:
        ValueError: a field is out of range.

    Source: Zucchet and Orvieto (2024), appendix D.
    """

    steps: int = 10_000
    batch: int = 128
    length: int = 300
    report: int = 100
    schedule: str = "cosine"
    final_rate: float = 1e-7
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    optimizer: str = later("adam")
    loss: str = later("minibatch")
    warmup: int = later(0)
    clip: float = later(0.0)
    decay: float = later(0.0)
    floor: float = later(0.0)
    double: bool = later(False)

    def __post_init__(self):
        checks.plain(self)
        checks.whole("steps", self.steps, 1, STEPS)
        for name in ("batch", "length", "report"):
            checks.whole(name, getattr(self, name))
        checks.choice("schedule", self.schedule, ("cosine", "constant"))
        checks.within("final_rate", self.final_rate, "[0, inf)")
        checks.within("beta1", self.beta1, "[0, 1)")
        checks.within("beta2", self.beta2, "[0, 1)")
        checks.within("eps", self.eps, "[0, inf)")
        checks.choice("optimizer", self.optimizer, OPTIMIZERS)
        checks.choice("loss", self.loss, ("minibatch", "population"))
        checks.whole("warmup", self.warmup, 0)
        for name in ("clip", "decay", "floor"):
            checks.within(name, getattr(self, name), "[0, inf)")
        if not isinstance(self.double, bool):
            raise ValueError(f"double must be True or False, got {self.double!r}")
        if self.loss == "minibatch" and self.floor:
            raise ValueError(f"floor is for the population loss alone, got {self.floor}")
        if not OPTIMIZERS[self.optimizer].minibatches:
            if self.loss == "minibatch":
                raise ValueError(f"{self.optimizer} needs the population loss: pass loss='population'")
            for name in ("warmup", "clip", "decay"):
                if getattr(self, name):
                    raise ValueError(f"{name} is for first-order optimisers, {self.optimizer} has none")
        if self.steps % self.report:
            raise ValueError(f"steps must be a multiple of report, got {self.steps} and {self.report}")

    @property
    def label(self) -> str:
        """How figures and tables call the optimiser."""
        name = LABELS[self.optimizer]
        return f"{name}, β₂ = {self.beta2:g}".replace("0.", ".") if self.optimizer == "adam" else name

    def rate(self, base, number: int):
        """The rate at a step.

        Args:
            base: base rate, a number or a tensor.
            number: the step, counted from 0, at most ``steps``.

        Returns:
            As ``base``.

        Raises:
            ValueError: there is no such step.
        """
        checks.whole("number", number, 0, self.steps)
        rate = base
        if self.schedule == "cosine":
            share = 0.5 * (1 + math.cos(math.pi * number / self.steps))
            rate = self.final_rate + (base - self.final_rate) * share
        return rate * ((number + 1) / self.warmup) if number < self.warmup else rate


@dataclass(frozen=True)
class Member:
    """One student to train.

    Attributes:
        layer: the student at initialisation, scalar input and output.
        target: impulse response of its teacher ``(T,)``.
        rate: base rate of its recurrent parameters, positive.
        seed: data seed, see :func:`rnnlib.lab.systems.white_inputs`.
        ratio: the rate of recurrent parameters over that of all others.
        rotation: size of the blocks of recurrent parameters that are trained in a random orthogonal basis, which the
            seed draws; 1 for none; the number of all parameters for one basis of them all.

    Raises:
        ValueError: a field is out of range.
    """

    layer: nn.Module
    target: Float[Tensor, "T"]
    rate: float
    seed: int
    ratio: float = later(1.0)
    rotation: int = later(1)

    def __post_init__(self):
        checks.shape("target", self.target, "T")
        checks.within("rate", self.rate, "(0, inf)")
        checks.whole("seed", self.seed, 0, SEEDS - 1)
        checks.within("ratio", self.ratio, "(0, inf)")
        checks.whole("rotation", self.rotation)


@dataclass(frozen=True)
class Summary:
    """What training measured, arrays over members.

    Attributes:
        loss: mean minibatch loss over the last ``report`` steps ``(M,)``.
        zero_loss: the zero predictor's on the same minibatches ``(M,)``.
        diverged: a loss, or at the end of an epoch a parameter or a number of the optimiser's, was not finite: the
            member left and its loss is NaN ``(M,)``.
        curve: mean loss of each epoch ``(M, epochs)``.
        rates: of each epoch's end, over the recurrent parameters ``(M, epochs, 3)``: geometric mean of the effective
            rate as the paper defines it, over positive ones; geometric mean of rate / (sqrt(v) + eps); fraction of
            the former that is negative (erratum 9). NaN for other optimisers than Adam.
    """

    loss: np.ndarray
    zero_loss: np.ndarray
    diverged: np.ndarray
    curve: np.ndarray
    rates: np.ndarray
