"""Random orthogonal bases of a student's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_SEEDS = 3 << 30  # starts and data use others


class Rotation:
    """A random orthogonal basis for each member: of its recurrent parameters in blocks, or of all its parameters.

    Recurrent parameters are in the order of the units, so that blocks of two are single eigenvalues, blocks of four
    are pairs of them, and so on.

    Args:
        values: parameters of a stack.
        recurrent: which of them are recurrent.
        size: numbers in a block; it divides that of recurrent parameters, or is the number of all of them.
        seeds: of the members.

    Raises:
        ValueError: the size fits neither.
    """

    def __init__(self, values: Sequence[Tensor], recurrent: Sequence[bool], size: int, seeds: Sequence[int]):
        every = sum(value[0].numel() for value in values)
        self.whole = size == every or all(recurrent)
        self.rotated = [self.whole or own for own in recurrent]
        numbers = self._joined(values).shape[1]
        if numbers % size:
            raise ValueError(
                f"rotation must divide the number of recurrent parameters, {numbers}, or be that of all, {every}, "
                f"got {size}"
            )
        like = values[0]
        bases = {seed: _orthogonal(numbers // size, size, seed) for seed in dict.fromkeys(seeds)}
        self.Q = torch.stack([bases[seed] for seed in seeds]).to(like.device, like.dtype)

    def into(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Coordinates in the basis, Q' g."""
        return self._turned(tensors, self.Q)

    def back(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Out of it, Q u."""
        return self._turned(tensors, self.Q.mT)

    def _turned(self, tensors: Sequence[Tensor], Q: Tensor) -> list[Tensor]:
        joined = self._joined(tensors)
        return self._parted((joined.view(*Q.shape[:2], 1, -1) @ Q).view_as(joined), tensors)

    def _joined(self, tensors: Sequence[Tensor]) -> Float[Tensor, "M n"]:
        chosen = [tensor for tensor, own in zip(tensors, self.rotated, strict=True) if own]
        if self.whole:
            return torch.cat([tensor.flatten(1) for tensor in chosen], dim=1)
        return torch.cat([tensor.reshape(*tensor.shape[:2], -1) for tensor in chosen], dim=2).flatten(1)

    def _parted(self, joined: Float[Tensor, "M n"], like: Sequence[Tensor]) -> list[Tensor]:
        chosen = [tensor for tensor, own in zip(like, self.rotated, strict=True) if own]
        if self.whole:
            parts = joined.split([tensor[0].numel() for tensor in chosen], dim=1)
        else:
            units = joined.view(len(joined), chosen[0].shape[1], -1)
            parts = units.split([tensor[0, 0].numel() for tensor in chosen], dim=2)
        new = iter(part.reshape(tensor.shape) for part, tensor in zip(parts, chosen, strict=True))
        return [next(new) if own else tensor for tensor, own in zip(like, self.rotated, strict=True)]


def _orthogonal(blocks: int, size: int, seed: int) -> Float[Tensor, "blocks size size"]:
    """Uniformly distributed orthogonal matrices, float64: the factor Q of normal ones, R with a positive diagonal."""
    generator = torch.Generator().manual_seed(_SEEDS | seed)
    Q, R = torch.linalg.qr(torch.randn(blocks, size, size, dtype=torch.float64, generator=generator))
    return Q * R.diagonal(dim1=1, dim2=2).sign()[:, None]
