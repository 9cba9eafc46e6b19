"""Members of one kind that take steps together, few enough that they stay in a core's cache."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import exact
from .optimizers import OPTIMIZERS, Rotation
from .protocol import Member, Protocol

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_PAD = 8  # rows are filled up to a multiple of this, so that vectorised loops leave no remainder


class Tile:
    """Members of one kind with the state of their optimisers; rows beyond ``len(indices)`` fill up and are ignored.

    Args:
        indices: its members, as indices into those of the ensemble, sorted by data seed.
        members: the ensemble's; those of a tile share the size of rotated blocks.
        protocol: how they train.
        device: where.
    """

    def __init__(self, indices: Sequence[int], members: Sequence[Member], protocol: Protocol, device: torch.device):
        self.indices, self.protocol = list(indices), protocol
        members = [members[index] for index in indices]
        members += [members[-1]] * (-len(members) % _PAD)
        seeds = [member.seed for member in members]  # sorted
        self.spans = [
            (seed, slice(seeds.index(seed), seeds.index(seed) + seeds.count(seed))) for seed in dict.fromkeys(seeds)
        ]
        if protocol.loss == "population":  # that of every seed
            self.spans = [(seeds[0], slice(None))]
        self.layer = exact.stack([member.layer for member in members]).to(device)
        self.names, self.parameters = zip(*self.layer.named_parameters(), strict=True)
        # all but input, output and skip weights and the input scale: A, lambda, or what lambda is made of
        recurrent = getattr(self.layer, "recurrent_parameters", ()) or self.names  # a layer need not say
        self.recurrent = [name in recurrent for name in self.names]
        numbers = {"dtype": self.parameters[0].dtype, "device": device}
        self.target = torch.stack([member.target for member in members]).to(**numbers)
        self.rate = torch.tensor([member.rate for member in members], **numbers)
        self.ratio = torch.tensor([member.ratio for member in members], **numbers)
        size = members[0].rotation
        self.rotation = Rotation(self.parameters, self.recurrent, size, seeds) if size > 1 else None
        self.optimizer = OPTIMIZERS[protocol.optimizer](self)
        self.losses = torch.zeros(len(members), dtype=torch.float64, device=device)  # summed over the epoch

    def step(self, G: Mapping[int, Tensor], number: int) -> None:
        """The ``number``-th step of every member, counted from 0, with the Gram matrix of each data seed."""
        self.G = G
        if self.protocol.loss == "population":  # nothing to average
            self.losses.zero_()
        self.losses += self.optimizer.step(self, number)

    def gradients(self) -> tuple[Float[Tensor, "M"], Sequence[Tensor]]:
        """The loss of each member, and its gradient by each parameter."""
        loss = self._loss(exact.impulse_responses(self.layer, self.protocol.length))
        return loss.detach(), torch.autograd.grad(loss.sum(), self.parameters)

    @torch.no_grad()
    def loss(self) -> Float[Tensor, "M"]:
        """The loss of each member."""
        return self._loss(exact.impulse_responses(self.layer, self.protocol.length))

    def _loss(self, k: Float[Tensor, "M T"]) -> Float[Tensor, "M"]:
        return torch.cat([row_losses(k[span], self.target[span], self.G[seed]) for seed, span in self.spans])

    def residuals(self) -> tuple[Float[Tensor, "M T"], Float[Tensor, "M T P"]]:
        """Numbers whose squares sum to twice the population loss, and their derivatives."""
        ((seed, _),) = self.spans
        weights = self.G[seed].diagonal().sqrt()
        with torch.enable_grad():
            k = exact.impulse_responses(self.layer, self.protocol.length)
            J = k.new_empty(*k.shape, self.vector().shape[1])
            for lag, values in enumerate(k.unbind(1)):
                gradients = torch.autograd.grad(values.sum(), self.parameters, retain_graph=True)
                torch.cat([gradient.flatten(1) for gradient in gradients], dim=1, out=J[:, lag])
        return (k.detach() - self.target) * weights, J.mul_(weights[:, None])

    def vector(self) -> Float[Tensor, "M P"]:
        """All parameters of each member."""
        return torch.cat([value.detach().flatten(1) for value in self.parameters], dim=1)

    @torch.no_grad()
    def move(self, vector: Float[Tensor, "M P"]) -> None:
        """Set all parameters of each member."""
        sizes = [value[0].numel() for value in self.parameters]
        for value, part in zip(self.parameters, vector.split(sizes, dim=1), strict=True):
            value.copy_(part.view_as(value))

    def rates(self, number: int) -> list[Float[Tensor, "M"]]:
        """Each member's rate at a step, for each parameter."""
        rate = self.protocol.rate(self.rate, number)
        return [rate if own else rate / self.ratio for own in self.recurrent]

    def effective_rates(self, number: int) -> dict[str, Float[Tensor, "2 M P"]]:
        """Of each parameter, flattened: the update for a gradient of ones, and rate / (sqrt(v) + eps)."""
        return dict(zip(self.names, self.optimizer.effective_rates(self, number), strict=True))

    def end_epoch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Losses of the epoch (M,) and the three numbers of ``Summary.rates`` (M, 3); NaN once diverged."""
        mean = self.losses / (self.protocol.report if self.protocol.loss == "minibatch" else 1)
        self.losses.zero_()
        finite = mean.isfinite()
        for value in self._tensors():
            finite &= value.flatten(1).isfinite().all(1)
        rates = self.effective_rates(number).values()
        paper, plain = torch.cat([each for each, own in zip(rates, self.recurrent, strict=True) if own], dim=2)
        positive = paper > 0
        logs = torch.where(positive, paper, 1.0).log().sum(1) / positive.sum(1)
        three = torch.stack([logs.exp(), plain.log().mean(1).exp(), (paper < 0).to(plain.dtype).mean(1)], dim=1)
        three[plain.isnan().any(1)] = math.nan  # not Adam
        mean[~finite], three[~finite] = math.nan, math.nan
        return mean[: len(self.indices)].cpu().numpy(), three[: len(self.indices)].cpu().numpy()

    def states(self) -> Float[Tensor, "M P"]:
        """All that changes from step to step, a row for each member."""
        return torch.cat([value[: len(self.indices)].flatten(1) for value in self._tensors()], dim=1)

    def load(self, states: Float[Tensor, "M P"]) -> None:
        """Go on from what :meth:`states` gave, of the same members."""
        values = list(self._tensors())
        states = torch.cat([states, states[-1:].expand(len(self.rate) - len(states), -1)])
        for value, part in zip(values, states.split([value[0].numel() for value in values], dim=1), strict=True):
            value.copy_(part.view_as(value))

    def _tensors(self) -> list[Tensor]:
        return [value.detach() for value in (*self.parameters, *self.optimizer.state)]


def row_losses(k: Tensor, target: Tensor, G: Tensor) -> Tensor:
    """The exact loss of each row.

    Rows of zeros fill up, since a product whose number of rows is no multiple of four may take another routine, with
    other roundings (seen with MKL: one row on an Intel processor, up to three on one of AMD's).
    """
    difference = torch.nn.functional.pad(k - target, (0, 0, 0, -len(k) % _PAD))
    return exact.loss(difference, torch.zeros_like(difference[:1]), G)[: len(k)]
