r"""Training by back-propagation through time: each student runs over every sequence of its minibatches.

The exact loss of :mod:`rnnlib.lab.training` is compared with this. Minibatches, protocol, what is measured and the
format of checkpoints are the same; outputs come from the layers' own ``forward``, gradients from automatic
differentiation through it, steps from ``torch.optim.Adam``. A student here costs as much as hundreds there.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from . import checks
from .minibatches import white_inputs
from .protocol import Member, Protocol, later_settings
from .training import BaseEnsemble

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["DirectEnsemble", "outputs"]


def outputs(x: Float[Tensor, "*B T"], k: Float[Tensor, "T"]) -> Float[Tensor, "*B T"]:
    """What a linear system answers: the causal convolution of its inputs with its impulse response, in float64.

    Args:
        x: inputs ``(..., time)``.
        k: impulse response ``(time,)``.

    Returns:
        Outputs ``(..., time)``, float64.

    Raises:
        ValueError: x and k differ in length, or have none.
    """
    checks.shape("k", k, "time")
    checks.shape("x", x, *x.shape[:-1], checks.whole("the length of k", len(k)))
    n = 2 * len(k)
    return torch.fft.irfft(torch.fft.rfft(x.double(), n) * torch.fft.rfft(k.double(), n), n)[..., : len(k)]


class DirectEnsemble(BaseEnsemble):
    """Students that train one after another at each step; used like :class:`rnnlib.lab.training.Ensemble`.

    Effective rates are not recorded: ``rates`` of the summary is NaN.

    Args:
        members: any mixture of kinds, rates, teachers and data seeds, as for that.
        protocol: how they train.
        device: where.

    Raises:
        ValueError: as of :class:`rnnlib.lab.training.Ensemble`.
    """

    def __init__(self, members: Sequence[Member], protocol: Protocol, device: str | torch.device = "cpu"):
        super().__init__(members, protocol, device)
        if later := later_settings(protocol) | {
            name: value for member in self.members for name, value in later_settings(member).items()
        }:
            raise ValueError(f"through time students train as in the paper, got {later}")
        self.layers = [copy.deepcopy(member.layer).to(self.device) for member in self.members]
        self.optimizers = [
            torch.optim.Adam(layer.parameters(), betas=(protocol.beta1, protocol.beta2), eps=protocol.eps)
            for layer in self.layers
        ]
        for layer, optimizer in zip(self.layers, self.optimizers, strict=True):
            for value in layer.parameters():
                moments = {name: torch.zeros_like(value) for name in ("exp_avg", "exp_avg_sq")}
                optimizer.state[value] = {"step": torch.zeros(()), **moments}

    def _epoch(self, numbers: range, progress: Callable[[int], None]) -> None:
        p, alive = self.protocol, self.alive
        losses, zero_losses = torch.zeros(2, len(self.members), dtype=torch.float64, device=self.device)
        last = numbers.stop == p.steps
        for number in numbers:
            batches = {}
            for index in range(len(self.members)) if last else alive:
                member = self.members[index]
                if member.seed not in batches:
                    batches[member.seed] = white_inputs(member.seed, number, p.batch, p.length).to(self.device)
                target = outputs(batches[member.seed], member.target.to(self.device))
                zero_losses[index] += 0.5 * target.square().mean() / p.report
                if index in alive:
                    losses[index] += self._step(index, batches[member.seed], target, number)
            progress(number + 1)
        for index in alive:
            values = [losses[index], *self.layers[index].parameters()]
            finite = all(value.detach().isfinite().all() for value in values)
            self.curve[index, self.done // p.report] = losses[index].item() / p.report if finite else math.nan
        if last:
            self.zero_loss = zero_losses.cpu().numpy()

    def _step(self, index: int, x: Tensor, target: Tensor, number: int) -> Tensor:
        """One step of one member; its loss."""
        layer, optimizer = self.layers[index], self.optimizers[index]
        dtype = next(layer.parameters()).dtype
        loss = 0.5 * (layer(x.to(dtype)[..., None])[0][..., 0] - target.to(dtype)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = self.protocol.rate(self.members[index].rate, number)
        optimizer.step()
        return loss.detach()

    def _states(self) -> dict[int, Tensor]:
        return {index: torch.cat([value.flatten() for value in self._tensors(index)]) for index in self.alive}

    def _load(self, states: dict[int, Tensor]) -> None:
        for index, state in states.items():
            values = self._tensors(index)
            for value, part in zip(values, state.split([value.numel() for value in values]), strict=True):
                value.copy_(part.view_as(value))
            for moments in self.optimizers[index].state.values():
                moments["step"].fill_(self.done)

    def _tensors(self, index: int) -> list[Tensor]:
        state = self.optimizers[index].state
        parameters = list(self.layers[index].parameters())
        moments = [state[value][name] for name in ("exp_avg", "exp_avg_sq") for value in parameters]
        return [value.detach() for value in parameters] + moments
