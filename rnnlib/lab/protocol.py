"""How students train, who trains, and what training measures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import checks
from .minibatches import SEEDS, STEPS

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

__all__ = ["Member", "Protocol", "Summary"]


@dataclass(frozen=True)
class Protocol:
    """How a student is trained.

    Attributes:
        steps: number of Adam steps, each on fresh data, at most 1,048,576.
        batch: sequences of a minibatch.
        length: steps of a sequence, T.
        report: the loss is averaged over this many last steps; also the length of an epoch. It divides ``steps``.
        schedule: ``"cosine"`` from the base rate to ``final_rate``, or ``"constant"``.
        final_rate: rate at the end of the cosine.
        beta1, beta2, eps: Adam's.

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
        if self.steps % self.report:
            raise ValueError(f"steps must be a multiple of report, got {self.steps} and {self.report}")

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
        if self.schedule == "constant":
            return base
        share = 0.5 * (1 + math.cos(math.pi * number / self.steps))
        return self.final_rate + (base - self.final_rate) * share


@dataclass(frozen=True)
class Member:
    """One student to train.

    Attributes:
        layer: the student at initialisation, scalar input and output.
        target: impulse response of its teacher ``(T,)``.
        rate: base rate of Adam, positive.
        seed: data seed, see :func:`rnnlib.lab.systems.white_inputs`.

    Raises:
        ValueError: a field is out of range.
    """

    layer: nn.Module
    target: Float[Tensor, "T"]
    rate: float
    seed: int

    def __post_init__(self):
        checks.shape("target", self.target, "T")
        checks.within("rate", self.rate, "(0, inf)")
        checks.whole("seed", self.seed, 0, SEEDS - 1)


@dataclass(frozen=True)
class Summary:
    """What training measured, arrays over members.

    Attributes:
        loss: mean minibatch loss over the last ``report`` steps ``(M,)``.
        zero_loss: the zero predictor's on the same minibatches ``(M,)``.
        diverged: a loss, or at the end of an epoch a parameter or a moment of Adam, was not finite: the member left and
            its loss is NaN ``(M,)``.
        curve: mean loss of each epoch ``(M, epochs)``.
        rates: of each epoch's end, over the recurrent parameters ``(M, epochs, 3)``: geometric mean of the effective
            rate as the paper defines it, over positive ones; geometric mean of rate / (sqrt(v) + eps); fraction of
            the former that is negative (erratum 9).
    """

    loss: np.ndarray
    zero_loss: np.ndarray
    diverged: np.ndarray
    curve: np.ndarray
    rates: np.ndarray
