"""What a tile asks of its optimiser."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..lockstep import Tile


class Optimizer:
    """How the members of a tile move. Row m of everything is that of member m, and depends on no other row.

    Attributes:
        members: of a tile, at most; measured best or within a tenth of it for every kind of student.
        minibatches: whether it trains on losses that change from step to step. Those that do not take no notice of a
            basis, so there is none to rotate, and have one rate.
        state: all that is remembered from step to step, tensors with a leading axis of members.
    """

    members: ClassVar[int] = 64
    minibatches: ClassVar[bool] = True
    state: list[Tensor]

    def __init__(self, tile: Tile):
        raise NotImplementedError

    def step(self, tile: Tile, number: int) -> Float[Tensor, "M"]:
        """Move all members by the ``number``-th step, counted from 0; their losses."""
        raise NotImplementedError

    def effective_rates(self, tile: Tile, number: int) -> list[Float[Tensor, "2 M P"]]:
        """Of each parameter, flattened, after that step: the update for a gradient of ones, and rate / (sqrt(v) + eps);
        in a rotated basis along its axes; NaN where there is no such v."""
        return [torch.full_like(value.flatten(1), math.nan).expand(2, -1, -1) for value in tile.parameters]
