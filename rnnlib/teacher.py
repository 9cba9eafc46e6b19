r"""Linear teachers, stored so that everyone trains on the same ones, and the white inputs of the trained experiments.

A teacher is :math:`h_t = A h_{t-1} + B x_t, \; y_t = C h_t + D x_t` with scalar input and output and ten units. Its
standard normal draws are stored in ``teachers.csv``; :func:`load` turns them into a teacher with a given shortest
memory and largest angle. :func:`draw` is how the file was made.
"""

from __future__ import annotations

import csv
import functools
import math
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import _checks

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["COUNT", "Teacher", "draw", "load", "white_inputs"]

COUNT = 10  # teachers in the file
SIZE = 10  # units of each
SEEDS, STEPS = 1 << 11, 1 << 20  # of white_inputs: PyTorch's generator on the CPU takes 32 bits of seed
_SHAPES = {"A": (SIZE, SIZE), "B": (SIZE, 1), "C": (1, SIZE), "D": (1, 1)}


@dataclass(frozen=True)
class Teacher:
    """A linear system.

    Attributes:
        A: state matrix ``(n, n)``.
        B: input weights ``(n, 1)``.
        C: output weights ``(1, n)``.
        D: skip weight ``(1, 1)``.

    Raises:
        ValueError: shapes do not fit.
    """

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray

    def __post_init__(self):
        n = len(self.A)
        for name, sizes in {"A": (n, n), "B": (n, 1), "C": (1, n), "D": (1, 1)}.items():
            _checks.shape(name, getattr(self, name), *sizes)

    def impulse_response(self, length: int) -> Float[Tensor, "T"]:
        r"""Outputs after a unit impulse, :math:`k_\tau = C A^\tau B + D [\tau = 0]`, float64.

        Args:
            length: number of lags, T, at least 1.

        Returns:
            Tensor ``(length,)``.

        Raises:
            ValueError: length is not a whole number of at least 1.
        """
        length = _checks.whole("length", length)
        k, state = np.empty(length), self.B
        for lag in range(length):
            k[lag] = (self.C @ state).item()
            state = self.A @ state
        k[0] += self.D.item()
        return torch.from_numpy(k)


def load(index: int, min_modulus: float = 0.0, max_angle: float = math.pi) -> Teacher:
    r"""A stored teacher with its eigenvalues moved to a ring.

    A has independent N(0, 1/n) entries; each of its eigenvalues, of modulus r and angle :math:`\theta`, becomes one of
    modulus :math:`\nu_0 + (1 - \nu_0) \tanh r` and angle :math:`\theta \, \theta_0 / \pi`, and the real part of the
    product with the eigenvectors is taken. B and D are N(0, 1), C is N(0, 1/n). One index means the same draws
    whatever the other arguments.

    Args:
        index: which, 0 to ``COUNT - 1``.
        min_modulus: :math:`\nu_0`, in [0, 1).
        max_angle: :math:`\theta_0`, radians, in (0, pi].

    Returns:
        The teacher, float64.

    Raises:
        ValueError: an argument is out of range.

    Source: Zucchet and Orvieto (2024), section 4 and appendix D; errata 5 and 6.
    """
    index = _checks.whole(f"index (there are {COUNT} stored teachers)", index, 0, COUNT - 1)
    if not 0 <= min_modulus < 1:
        raise ValueError(f"min_modulus must be in [0, 1), got {min_modulus}")
    if not 0 < max_angle <= math.pi:
        raise ValueError(f"max_angle must be in (0, pi] radians, got {max_angle}")
    draws = _stored()[index]
    lam, vectors = np.linalg.eig(draws["A"] / math.sqrt(SIZE))
    modulus = min_modulus + (1 - min_modulus) * np.tanh(np.abs(lam))
    lam = modulus * np.exp(1j * np.angle(lam) * max_angle / math.pi)
    A = (vectors * lam @ np.linalg.inv(vectors)).real
    return Teacher(A, draws["B"], draws["C"] / math.sqrt(SIZE), draws["D"])


def draw(index: int) -> dict[str, np.ndarray]:
    """The standard normal draws of a teacher, from its own seed.

    Args:
        index: which, from 0.

    Returns:
        Arrays A, B, C, D.

    Raises:
        ValueError: index is negative or not whole.
    """
    index = _checks.whole("index", index, 0)
    generator = np.random.Generator(np.random.PCG64([2024, index]))
    return {name: generator.standard_normal(shape) for name, shape in _SHAPES.items()}


@functools.cache
def _stored() -> list[dict[str, np.ndarray]]:
    teachers = [{name: np.full(shape, np.nan) for name, shape in _SHAPES.items()} for _ in range(COUNT)]
    with (resources.files("rnnlib") / "teachers.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            array = teachers[int(line["teacher"])][line["array"]]
            array[int(line["row"]), int(line["column"])] = float(line["value"])
    return teachers


def white_inputs(seed: int, step: int, batch: int, length: int) -> Float[Tensor, "B T"]:
    """The minibatch of a training step: independent N(0, 1), a function of the data seed and the step alone.

    Args:
        seed: data seed, 0 to 2047.
        step: 0 to 1,048,575.
        batch: number of sequences.
        length: steps of each.

    Returns:
        Inputs ``(batch, length)``, float32, on the CPU; the same bits each time for one version of PyTorch and one kind
        of processor.

    Raises:
        ValueError: an argument is out of range.
    """
    seed, step = _checks.whole("seed", seed, None), _checks.whole("step", step, None)
    if not (0 <= seed < SEEDS and 0 <= step < STEPS):
        raise ValueError(f"need 0 <= seed < {SEEDS} and 0 <= step < {STEPS}, got {seed} and {step}")
    batch, length = _checks.whole("batch", batch), _checks.whole("length", length)
    # each pair has a seed of its own
    generator = torch.Generator().manual_seed(seed << 20 | step)
    return torch.randn(batch, length, generator=generator)
