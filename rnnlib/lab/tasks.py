"""Tasks that networks with one recurrence learn through time: where no exact loss exists.

Each draws minibatches from a seed and a step, and test data from a seed; runs a network so that only the outputs it
scores are computed; and scores them. ``x`` is ``(T, B, in)``, time first.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.nn import functional

from . import checks, systems, text
from .through_time import Network, States

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

__all__ = ["TASKS", "Adding", "Characters", "Copying", "Digits", "TanhTeacher", "Task"]

_TEST = (1 << 20) - 1  # the step whose minibatch is the test's


def _generator(seed: int, step: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed << 20 | step)


@dataclass(frozen=True)
class Task:
    """What a network learns. Outputs are numbers, or logits of classes.

    Attributes:
        length: steps, T; of copying, the delay.
        batch: sequences of a minibatch.
        tested: sequences of the test.
    """

    length: int
    batch: int
    tested: int

    inputs = outputs = 1
    classes = False
    needs: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __post_init__(self):
        for name in ("length", "batch", "tested"):
            checks.whole(name, getattr(self, name))

    def minibatch(self, seed: int, step: int) -> tuple[Float[Tensor, "T B in"], Tensor]:
        """Inputs and targets of a training step."""
        return self._draw(seed, step, self.batch)

    def test(self, seed: int) -> tuple[Float[Tensor, "T B in"], Tensor]:
        """Inputs and targets of the test: data that no minibatch of the seed holds."""
        return self._draw(seed, _TEST, self.tested)

    def _draw(self, seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def run(self, network: Network, p: dict[str, Tensor], x: Float[Tensor, "T B in"]) -> Float[Tensor, "M K out"]:
        """The outputs that are scored."""
        return network.last(p, x)

    def losses(self, outputs: Float[Tensor, "M K out"], target: Tensor) -> Float[Tensor, "M"]:
        """Mean squared error, or cross-entropy in nats, of each member."""
        if not self.classes:
            return (outputs - target).square().mean((1, 2))
        flat = functional.cross_entropy(outputs.flatten(0, 1), target.repeat(len(outputs)), reduction="none")
        return flat.view(len(outputs), -1).mean(1)

    def errors(self, outputs: Float[Tensor, "M K out"], target: Tensor) -> Float[Tensor, "M"]:
        """Share of wrong answers of each member; NaN where outputs are numbers."""
        if not self.classes:
            return outputs.new_full((len(outputs),), math.nan)
        return (outputs.argmax(2) != target).float().mean(1)

    def sources(self) -> dict[str, Any]:
        """Checksums of the files that the data come from."""
        return {}

    def baseline(self, seed: int) -> float:
        """The test loss of the best constant answer."""
        _, target = self.test(seed)
        if not self.classes:
            return target.var(correction=0).item()
        shares = torch.bincount(target, minlength=self.outputs) / len(target)
        return torch.special.entr(shares).sum().item()


@dataclass(frozen=True)
class TanhTeacher(Task):
    r"""The paper's task with a tanh in the recurrence of the teacher, :math:`h_t = \tanh(A h_{t-1} + B x_t)`.

    Attributes:
        scale: standard deviation of the white inputs: how far states leave the part of tanh that is linear.
        nu0: smallest modulus of the teacher's eigenvalues.
    """

    scale: float = 0.1
    nu0: float = 0.99

    def _draw(self, seed, step, count):
        x = self.scale * torch.randn(self.length, count, 1, generator=_generator(seed, step))
        return x, self._answers(seed % systems.TEACHERS, x, True)

    def _answers(self, index: int, x: Float[Tensor, "T B 1"], tanh: bool) -> Float[Tensor, "T*B 1"]:
        A, B, C, D = _teacher(index, self.nu0)
        h = States.apply(A[None, :, :, None], (x * B)[None, ..., None], tanh)[0, ..., 0]
        return (h @ C + x[..., 0] * D).view(-1, 1)

    def run(self, network, p, x):
        return network.every(p, x).flatten(1, 2)

    def baseline(self, seed):
        return self.test(seed)[1].square().mean().item()  # the zero predictor's, as elsewhere

    def nonlinearity(self, seed: int) -> float:
        """How far the teacher's answers are from those of the same teacher without tanh, as a share of the latter's
        root mean square."""
        x, target = self.test(seed)
        linear = self._answers(seed % systems.TEACHERS, x, False)
        return ((linear - target).square().mean() / linear.square().mean()).sqrt().item()


@functools.cache
def _teacher(index: int, nu0: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    system = systems.teacher(index, nu0)
    return tuple(value.float() for value in (system.A, system.B, system.C, system.D))


@dataclass(frozen=True)
class Digits(Task):
    """scikit-learn's digits, 1,797 pictures of 8 by 8 pixels, pixel by pixel; the seed draws which are the test's."""

    outputs = 10
    classes = True
    needs: ClassVar = {"digits": ("sklearn",)}

    def __post_init__(self):
        super().__post_init__()
        if self.length != 64:
            raise ValueError(f"length must be 64, a picture's pixels, got {self.length}")

    def _draw(self, seed, step, count):
        x, target = _digits()
        order = torch.randperm(len(target), generator=_generator(seed, _TEST))
        if step == _TEST:
            chosen = order[:count]
        else:
            among = len(order) - self.tested
            chosen = order[self.tested :][torch.randint(among, (count,), generator=_generator(seed, step))]
        return x[:, chosen, None], target[chosen]


@functools.cache
def _digits() -> tuple[Float[Tensor, "64 1797"], Int[Tensor, "1797"]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    x = torch.tensor(data.data, dtype=torch.float32).T
    return (x - x.mean()) / x.std(), torch.tensor(data.target)


@dataclass(frozen=True)
class Characters(Task):
    """The next character of Wikipedia articles, in lower case, all that is no letter a space.

    Of every ten articles the third is the test's, whatever the seed.

    Attributes:
        articles: how many are read.
    """

    articles: int = 106

    inputs = outputs = 27
    classes = True
    needs: ClassVar = {"text": ("mwparserfromhell",)}

    def _draw(self, seed, step, count):
        training, held_out = _characters(self.articles)
        source = held_out if step == _TEST else training
        starts = torch.randint(len(source) - self.length, (count,), generator=_generator(seed, step))
        windows = source[starts[None] + torch.arange(self.length + 1)[:, None]]
        return functional.one_hot(windows[:-1], 27).float(), windows[1:].flatten()

    def run(self, network, p, x):
        return network.every(p, x).flatten(1, 2)

    def sources(self):
        return {"text": text.CHECKSUMS}


@functools.cache
def _characters(articles: int) -> tuple[Int[Tensor, "N"], Int[Tensor, "K"]]:
    """Characters as numbers, 0 a space: of the articles to train on and of those of the test."""
    plain = [text.letters(article) for _, article in text.articles(articles)]
    parts = [" ".join(plain[index] for index in range(len(plain)) if (index % 10 == 2) == test) for test in (0, 1)]
    return tuple(
        torch.tensor([0 if letter == " " else ord(letter) - 96 for letter in part], dtype=torch.long) for part in parts
    )


@dataclass(frozen=True)
class Copying(Task):
    """Some symbols, and each of them again ``length`` steps later; no input between.

    Attributes:
        symbols: how many.
        alphabet: of how many kinds.
    """

    symbols: int = 5
    alphabet: int = 4

    classes = True

    @property
    def inputs(self) -> int:
        return self.alphabet

    outputs = inputs

    def _draw(self, seed, step, count):
        shown = torch.randint(self.alphabet, (self.symbols, count), generator=_generator(seed, step))
        return functional.one_hot(shown, self.alphabet).float(), shown.flatten()

    def run(self, network, p, x):
        return network.recalled(p, x, self.length - self.symbols + 1, self.symbols)

    def baseline(self, seed):
        return math.log(self.alphabet)


@dataclass(frozen=True)
class Adding(Task):
    """The sum of two of many numbers, uniform from 0 to 1: one of each half is marked."""

    inputs = 2

    def _draw(self, seed, step, count):
        generator = _generator(seed, step)
        values = torch.rand(self.length, count, generator=generator)
        half = self.length // 2
        places = torch.randint(half, (2, count), generator=generator) + torch.tensor([[0], [half]])
        marks = torch.zeros_like(values).scatter_(0, places, 1.0)
        return torch.stack([values, marks], 2), (values * marks).sum(0)[:, None]

    def baseline(self, seed):
        return 1 / 6


#: By name.
TASKS: dict[str, type[Task]] = {
    "tanh": TanhTeacher,
    "digits": Digits,
    "text": Characters,
    "copying": Copying,
    "adding": Adding,
}
