"""Members of one kind that take Adam's steps together, few enough that they stay in a core's cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import exact
from .protocol import Member, Protocol

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

MEMBERS = 64  # of a tile: measured best or within a tenth of it for every kind of student
_CHUNK = 1 << 16  # numbers that Adam goes through at a time: they stay in a core's cache
_PAD = 8  # rows are filled up to a multiple of this, so that vectorised loops leave no remainder


class Tile:
    """Members of one kind with the state of their optimisers; rows beyond ``len(indices)`` fill up and are ignored.

    Args:
        indices: its members, as indices into those of the ensemble, sorted by data seed.
        members: the ensemble's.
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
        self.layer = exact.stack([member.layer for member in members]).to(device)
        self.names, self.parameters = zip(*self.layer.named_parameters(), strict=True)
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        dtype = self.parameters[0].dtype
        self.target = torch.stack([member.target for member in members]).to(device, dtype)
        self.rate = torch.tensor([member.rate for member in members], dtype=dtype, device=device)
        self.losses = torch.zeros(len(members), dtype=torch.float64, device=device)  # summed over the epoch

    def step(self, G: dict[int, Tensor], number: int) -> None:
        """One step of Adam, the ``number``-th, counted from 0, with the Gram matrix of each data seed."""
        k = exact.impulse_responses(self.layer, self.protocol.length)
        loss = torch.cat([row_losses(k[span], self.target[span], G[seed]) for seed, span in self.spans])
        gradients = torch.autograd.grad(loss.sum(), self.parameters)
        self.losses += loss.detach()
        self._adam(gradients, number)

    @torch.no_grad()
    def _adam(self, gradients: Sequence[Tensor], number: int) -> None:
        p = self.protocol
        corrected = math.sqrt(1 - p.beta2 ** (number + 1))
        rate = self.rates(number) * (corrected / (1 - p.beta1 ** (number + 1)))
        for value, gradient, m, v in zip(self.parameters, gradients, self.first, self.second, strict=True):
            rates = rate.view(-1, *[1] * (value.ndim - 1))
            rows = max(1, _CHUNK // value[0].numel()) if value.device.type == "cpu" else len(value)
            for start in range(0, len(value), rows):
                part = slice(start, start + rows)
                m_, v_, g_ = m[part], v[part], gradient[part]
                m_.lerp_(g_, 1 - p.beta1)
                v_.mul_(p.beta2).addcmul_(g_, g_, value=1 - p.beta2)
                value[part].addcmul_(m_ / v_.sqrt().add_(p.eps * corrected), rates[part], value=-1)

    def rates(self, number: int) -> Float[Tensor, "M"]:
        """Each member's rate at a step."""
        return self.protocol.rate(self.rate, number)

    def effective_rates(self, number: int) -> dict[str, Float[Tensor, "2 M P"]]:
        """Of each parameter, flattened: the update for a gradient of ones, and rate / (sqrt(v) + eps)."""
        p = self.protocol
        rate = self.rates(number)[:, None]
        done = number + 1
        result = {}
        for name, m, v in zip(self.names, self.first, self.second, strict=True):
            m, v = m.flatten(1), v.flatten(1)
            next_m = (p.beta1 * m + (1 - p.beta1)) / (1 - p.beta1 ** (done + 1))
            next_v = (p.beta2 * v + (1 - p.beta2)) / (1 - p.beta2 ** (done + 1))
            plain = (v / (1 - p.beta2**done)).sqrt() + p.eps
            result[name] = torch.stack([rate * next_m / (next_v.sqrt() + p.eps), rate / plain])
        return result

    def end_epoch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean losses of the epoch (M,) and the three numbers of ``Summary.rates`` (M, 3); NaN once diverged."""
        mean = self.losses / self.protocol.report
        self.losses.zero_()
        finite = mean.isfinite()
        for value in self._tensors():
            finite &= value.flatten(1).isfinite().all(1)
        # all but input, output and skip weights and the input scale: A, lambda, or what lambda is made of
        names = getattr(self.layer, "recurrent_parameters", ()) or self.names  # a layer need not say
        recurrent = [rates for name, rates in self.effective_rates(number).items() if name in names]
        paper, plain = torch.cat(recurrent, dim=2)
        positive = paper > 0
        logs = torch.where(positive, paper, 1.0).log().sum(1) / positive.sum(1)
        three = torch.stack([logs.exp(), plain.log().mean(1).exp(), (paper < 0).to(plain.dtype).mean(1)], dim=1)
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
        return [value.detach() for value in (*self.parameters, *self.first, *self.second)]


def row_losses(k: Tensor, target: Tensor, G: Tensor) -> Tensor:
    """The exact loss of each row.

    Rows of zeros fill up, since a product whose number of rows is no multiple of four may take another routine, with
    other roundings (seen with MKL: one row on an Intel processor, up to three on one of AMD's).
    """
    difference = torch.nn.functional.pad(k - target, (0, 0, 0, -len(k) % _PAD))
    return exact.loss(difference, torch.zeros_like(difference[:1]), G)[: len(k)]
