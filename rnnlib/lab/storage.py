r"""Training with parameters of few bits: what is rounded, how, and when.

After each step some parameters are rounded to a format of fewer significant bits than float32 and go on from there; or
a full-precision copy takes the steps, and the loss sees it rounded; or nothing moves at all. All else, the optimiser's
averages too, stays in float32, so that what a storage costs is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..layers import LRU
from . import checks
from .lockstep import Tile
from .optimizers.base import Optimizer
from .protocol import Member
from .training import Ensemble

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Complex, Float
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = [
    "FORMATS",
    "RoundedEigenvalues",
    "Storage",
    "StoredEnsemble",
    "StoredMember",
    "fixed",
    "rounded",
    "stored_eigenvalues",
]

#: Significant bits, the leading one counted, and the smallest normal number.
FORMATS = {
    "bfloat16": (8, 2.0**-126),
    "float16": (11, 2.0**-14),
    "float8_e4m3fn": (4, 2.0**-6),
    "float8_e5m2": (3, 2.0**-14),
}
HOW = ("nearest", "stochastic", "master", "fixed", "frozen")


def rounded(
    value: Float[Tensor, "*S"], bits: int, smallest: float = 0.0, generator: torch.Generator | None = None
) -> Float[Tensor, "*S"]:
    r"""Round to a floating-point format.

    Args:
        value: float32 or float64.
        bits: significant bits p, at most those of ``value``.
        smallest: the smallest normal number, below which numbers are as far apart as there.
        generator: round up or down at random, with the mean at the value; without it to the nearest, ties to even.

    Returns:
        Numbers of the format, in the dtype of ``value``. There is no largest number.
    """
    exponent = torch.frexp(value)[1]
    if smallest:
        exponent = exponent.clamp(min=torch.frexp(torch.tensor(smallest))[1].item())
    spacing = torch.exp2((exponent - bits).to(value.dtype))
    steps = value / spacing
    if generator is None:
        return steps.round() * spacing
    return (steps + torch.rand(value.shape, generator=generator, dtype=value.dtype)).floor() * spacing


def fixed(omega: Float[Tensor, "*S"], bits: int) -> Float[Tensor, "*S"]:
    r"""Logarithms of angles as they come back from fixed point: a turn has :math:`2^p` equal parts.

    Args:
        omega: :math:`\ln \theta`.
        bits: p.

    Returns:
        :math:`\ln` of the nearest angle that is a multiple of :math:`2\pi / 2^p` and not 0.
    """
    part = 2 * torch.pi / 2**bits
    return ((omega.exp() / part).round().clamp(min=1) * part).log()


@dataclass(frozen=True)
class Storage:
    """How one parameter is stored.

    Attributes:
        parameter: its name.
        how: ``"nearest"`` or ``"stochastic"``: rounded after each step; ``"master"``: a float32 copy takes the steps,
            the loss and its gradient see the copy rounded to nearest; ``"fixed"``: the logarithm of an angle, which
            is rounded in fixed point after each step; ``"frozen"``: it stays as it starts, in float32.
        bits: significant bits, or all bits in fixed point.
        smallest: the smallest normal number of the format; 0 for none.

    Raises:
        ValueError: an unknown way, or no bits.
    """

    parameter: str
    how: str
    bits: int = 24
    smallest: float = 0.0

    def __post_init__(self):
        checks.choice("how", self.how, HOW)
        checks.whole("bits", self.bits)
        checks.within("smallest", self.smallest, "[0, inf)")

    def round(self, value: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The value as it comes back; stochastic rounding needs a generator, else it is to the nearest."""
        if self.how == "fixed":
            return fixed(value, self.bits)
        return rounded(value, self.bits, self.smallest, generator if self.how == "stochastic" else None)


@dataclass(frozen=True)
class StoredMember(Member):
    """A student some of whose parameters have few bits.

    Attributes:
        storage: how they are stored, a parameter each; of the others, nothing is rounded.

    Raises:
        ValueError: the layer has no such parameter, or one is there twice.
    """

    storage: tuple[Storage, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        names = [storage.parameter for storage in self.storage]
        for name in names:
            checks.choice("each parameter of storage", name, [name for name, _ in self.layer.named_parameters()])
        if len(set(names)) < len(names):
            raise ValueError(f"storage must name each parameter once, got {', '.join(names)}")


class _Stored(Optimizer):
    """An optimiser that leaves numbers of few bits behind."""

    def __init__(self, optimizer: Optimizer, tile: Tile, storage: Sequence[Storage], seed: int):
        self.optimizer, self.state = optimizer, optimizer.state
        parameters = dict(zip(tile.names, tile.parameters, strict=True))
        self.stored = [(parameters[each.parameter], each) for each in storage]
        self.generator = torch.Generator(tile.parameters[0].device).manual_seed(seed)
        with torch.no_grad():
            for value, each in self.stored:  # the start has nothing to average: to the nearest
                if each.how in ("nearest", "stochastic", "fixed"):
                    value.copy_(each.round(value))

    def step(self, tile, number):
        before = [value.detach().clone() for value, _ in self.stored]
        with torch.no_grad():
            for value, each in self.stored:
                if each.how == "master":
                    value.copy_(each.round(value))
        seen = [value.detach().clone() for value, _ in self.stored]
        loss = self.optimizer.step(tile, number)
        with torch.no_grad():
            for (value, each), old, shown in zip(self.stored, before, seen, strict=True):
                if each.how == "master":
                    value.sub_(shown).add_(old)
                elif each.how == "frozen":
                    value.copy_(old)
                else:
                    value.copy_(each.round(value, self.generator))
        return loss

    def effective_rates(self, tile, number):
        return self.optimizer.effective_rates(tile, number)


class StoredEnsemble(Ensemble):
    """Members of type :class:`StoredMember` that train together; used like :class:`rnnlib.lab.training.Ensemble`, but
    without checkpoints."""

    def _tiles(self, indices: Sequence[int]) -> list[Tile]:
        groups: dict[tuple[Storage, ...], list[int]] = {}
        for index in indices:
            groups.setdefault(self.members[index].storage, []).append(index)
        tiles = []
        for storage, group in groups.items():
            for tile in super()._tiles(group):
                if storage:
                    tile.optimizer = _Stored(tile.optimizer, tile, storage, seed=len(tiles))
                tiles.append(tile)
        return tiles

    def save(self, path: Path) -> None:
        raise RuntimeError("a checkpoint would lose the random numbers of stochastic rounding: train to the end")


class RoundedEigenvalues(LRU):
    """An LRU with raw parameters in full precision whose eigenvalues are rounded to bfloat16 once computed; gradients
    pass as if they were not."""

    def eigenvalues(self):
        lam = torch.view_as_real(super().eigenvalues())
        bits, smallest = FORMATS["bfloat16"]
        return torch.view_as_complex(lam + (rounded(lam.detach(), bits, smallest) - lam.detach()))


def stored_eigenvalues(lam: Complex[NDArray, "N"], stored: str, bits: int) -> Complex[NDArray, "M"]:
    """Eigenvalues as they come back from a format, without those that come back on the unit circle or outside.

    Args:
        lam: eigenvalues inside the unit circle, none at 0, ``(N,)``; of conjugate pairs that with an angle up to pi
            counts for both.
        stored: what is rounded to nearest: ``"parts"``, real and imaginary; ``"modulus"``, ``ln(-ln |lam|)``, or
            ``"angle"``, its logarithm, or ``"raw"``, both, as an LRU has them.
        bits: significant bits.

    Returns:
        Those inside, with an angle up to pi ``(M,)``, M at most N.
    """
    checks.choice("stored", stored, ("parts", "modulus", "angle", "raw"))
    lam = np.asarray(lam)[np.asarray(lam).imag >= 0]

    def few(values: NDArray) -> NDArray:
        return rounded(torch.from_numpy(values), checks.whole("bits", bits)).numpy()

    if stored == "parts":
        lam = few(lam.real.copy()) + 1j * few(lam.imag.copy())
        return lam[np.abs(lam) < 1]
    modulus, angle = np.log(-np.log(np.abs(lam))), np.angle(lam)
    modulus = few(modulus) if stored in ("modulus", "raw") else modulus
    if stored in ("angle", "raw"):  # an angle of 0 has no logarithm, but any small one is as good
        angle[angle > 0] = np.exp(few(np.log(angle[angle > 0])))
    return np.exp(-np.exp(modulus) + 1j * angle)
