r"""L-BFGS for a stack of students, on the population loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .base import Optimizer

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_PAIRS, _DECREASE, _HALVINGS = 10, 1e-4, 30


class LBFGS(Optimizer):
    r"""Quasi-Newton steps :math:`\theta \leftarrow \theta - \alpha H g`.

    H is the inverse Hessian of BFGS from the last ten pairs of a step s and a change of gradient y with
    :math:`s^\top y > 10^{-10} y^\top y`, begun from :math:`(s^\top y / y^\top y) I` (the two-loop recursion). Each
    member halves its own :math:`\alpha`, from 1, until the loss falls by :math:`10^{-4} \alpha \, g^\top H g`; where it
    never does, the member forgets its pairs. Without pairs H is :math:`\eta \min(1, 1 / |g|) I`.

    A step is one gradient and a few losses. It is equivariant to every orthogonal map of all parameters.

    Source: Nocedal and Wright (2006), algorithm 7.4.
    """

    minibatches = False

    def __init__(self, tile):
        x = tile.vector()
        self.S, self.Y = (x.new_zeros(len(x), _PAIRS, x.shape[1]) for _ in range(2))  # the newest is the last
        self.x, self.g = torch.zeros_like(x), torch.zeros_like(x)  # of the step before
        self.state = [self.S, self.Y, self.x, self.g]

    @torch.no_grad()
    def step(self, tile, number):
        with torch.enable_grad():
            loss, gradients = tile.gradients()
        x, g = tile.vector(), torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)
        if number:
            self._remember(x - self.x, g - self.g)
        self.x.copy_(x)
        self.g.copy_(g)
        direction = -self._applied(g, tile.rate)
        slope = _dot(g, direction)
        size, done, best = torch.ones_like(loss), torch.zeros_like(loss, dtype=torch.bool), loss.clone()
        for _ in range(_HALVINGS):
            tile.move(x + size[:, None] * direction)
            new = tile.loss()
            falls = ~done & (new <= loss + _DECREASE * size * slope)
            best, done = torch.where(falls, new, best), done | falls
            if done.all():
                break
            size = torch.where(done, size, size / 2)
        tile.move(torch.where(done[:, None], x + size[:, None] * direction, x))
        for pairs in (self.S, self.Y):
            pairs[~done] = 0
        return best

    def _remember(self, s: Float[Tensor, "M P"], y: Float[Tensor, "M P"]) -> None:
        useful = (_dot(s, y) > 1e-10 * _dot(y, y))[:, None, None]
        for pairs, new in ((self.S, s), (self.Y, y)):
            pairs.copy_(torch.where(useful, torch.cat([pairs[:, 1:], new[:, None]], dim=1), pairs))

    def _applied(self, g: Float[Tensor, "M P"], rate: Float[Tensor, "M"]) -> Float[Tensor, "M P"]:
        """H g. Pairs that are not there are zeros, and change nothing."""
        products = (self.S * self.Y).sum(2)  # s'y
        inverse = torch.where(products > 0, 1 / products, 0)
        q, weights = g.clone(), []
        for i in range(_PAIRS - 1, -1, -1):
            weights.append(inverse[:, i] * _dot(self.S[:, i], q))
            q -= weights[-1][:, None] * self.Y[:, i]
        newest = _dot(self.Y[:, -1], self.Y[:, -1])
        scale = torch.where(newest > 0, products[:, -1] / newest, rate / g.norm(dim=1).clamp(min=1))
        q *= scale[:, None]
        for i in range(_PAIRS):
            q += (weights.pop() - inverse[:, i] * _dot(self.Y[:, i], q))[:, None] * self.S[:, i]
        return q


def _dot(left: Float[Tensor, "M P"], right: Float[Tensor, "M P"]) -> Float[Tensor, "M"]:
    return (left * right).sum(1)
