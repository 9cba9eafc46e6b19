"""What all first-order optimisers share: rates, clipping, weight decay, and the basis that they work in."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch

from .base import Optimizer
from .rules import RULES

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..lockstep import Tile


class FirstOrder(Optimizer):
    r"""A rule for each parameter of a tile.

    Before the rule :math:`g \leftarrow g \min(1, \mathrm{clip} / |g|)`, with the norm over all of a member's
    parameters, and :math:`\theta \leftarrow (1 - \eta \, \mathrm{decay}) \theta`. In a rotated basis the rule gets
    :math:`Q^\top g`, and its update u changes :math:`\theta` by Q u: the same as if :math:`Q^\top \theta` were trained.
    """

    def __init__(self, tile: Tile):
        recurrent, other = RULES[tile.protocol.optimizer]
        self.rules = [
            (recurrent if own else other)(value, tile.protocol)
            for value, own in zip(tile.parameters, tile.recurrent, strict=True)
        ]
        slots = itertools.zip_longest(*(rule.state for rule in self.rules))  # all first moments, then all second
        self.state = [tensor for slot in slots for tensor in slot if tensor is not None]

    def step(self, tile, number):
        loss, gradients = tile.gradients()
        with torch.no_grad():
            self._move(tile, list(gradients), number)
        return loss

    def _move(self, tile: Tile, gradients: list[Tensor], number: int) -> None:
        p = tile.protocol
        rates = [_beside(rates, value) for rates, value in zip(tile.rates(number), tile.parameters, strict=True)]
        if p.clip:
            norm = torch.cat([gradient.flatten(1) for gradient in gradients], dim=1).norm(dim=1)
            factor = (p.clip / norm).clamp(max=1)
            gradients = [gradient * _beside(factor, gradient) for gradient in gradients]
        if p.decay:
            for value, rate in zip(tile.parameters, rates, strict=True):
                value.mul_(1 - p.decay * rate)
        values = tile.parameters
        if tile.rotation:
            gradients = tile.rotation.into(gradients)
            values = [torch.zeros_like(value) for value in values]
        for rule, value, gradient, rate in zip(self.rules, values, gradients, rates, strict=True):
            rule.step(value, gradient, rate, number)
        if tile.rotation:
            for value, update in zip(tile.parameters, tile.rotation.back(values), strict=True):
                value.add_(update)

    def effective_rates(self, tile, number):
        return [
            rule.effective_rates(rates[:, None], number)
            for rule, rates in zip(self.rules, tile.rates(number), strict=True)
        ]


def _beside(numbers: Float[Tensor, "M"], value: Tensor) -> Tensor:
    """One number a member, with as many axes as a parameter."""
    return numbers.view(-1, *[1] * (value.ndim - 1))
