r"""Training by back-propagation through time: each student runs over every sequence of its minibatches.

This is what the exact loss of :mod:`rnnlib.lab.training` spares, and what it is held against. Minibatches, protocol and
what is measured are the same; outputs come from the layers' own ``forward``, gradients from automatic differentiation
through it, steps from ``torch.optim.Adam``. A student here costs as much as hundreds there.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import checks
from .files import read_arrays, write_arrays
from .systems import white_inputs
from .training import Member, Protocol, Summary, check_members

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


class DirectEnsemble:
    """Students that train one after another at each step; used like :class:`rnnlib.lab.training.Ensemble`.

    Effective rates are not recorded.

    Args:
        members: any mixture of kinds, rates, teachers and data seeds, as for that.
        protocol: how they train.
        device: where.

    Raises:
        ValueError: as of :class:`rnnlib.lab.training.Ensemble`.
    """

    def __init__(self, members: Sequence[Member], protocol: Protocol, device: str | torch.device = "cpu"):
        self.members, self.protocol, self.device = list(members), protocol, torch.device(device)
        check_members(self.members, protocol)
        self.done, self.seconds = 0, 0.0
        self.layers = [copy.deepcopy(member.layer).to(self.device) for member in self.members]
        self.optimizers = [
            torch.optim.Adam(layer.parameters(), betas=(protocol.beta1, protocol.beta2), eps=protocol.eps)
            for layer in self.layers
        ]
        self.curve = np.full((len(self.members), protocol.steps // protocol.report), np.nan)
        self.zero_losses = np.zeros(len(self.members))  # summed over the last epoch
        self.alive = list(range(len(self.members)))

    def advance(self, progress: Callable[[int], None] = lambda steps: None) -> None:
        """One epoch: ``protocol.report`` steps of every member. Members that diverged in it leave.

        Args:
            progress: called after each step with the number of steps done.
        """
        p, start = self.protocol, time.perf_counter()
        losses = torch.zeros(len(self.members), dtype=torch.float64, device=self.device)
        for number in range(self.done, self.done + p.report):
            drawn = {
                seed: white_inputs(seed, number, p.batch, p.length).to(self.device)
                for seed in sorted({self.members[index].seed for index in self.alive})
            }
            for index in self.alive:
                member, x = self.members[index], drawn[self.members[index].seed]
                target = outputs(x, member.target.to(self.device))
                losses[index] += self._step(index, x, target, number)
                if number >= p.steps - p.report:
                    self.zero_losses[index] += 0.5 * target.square().mean().item() / p.report
            progress(number + 1)
        for index in self.alive:
            values = [losses[index], *self.layers[index].parameters()]
            finite = all(value.detach().isfinite().all() for value in values)
            self.curve[index, self.done // p.report] = losses[index].item() / p.report if finite else math.nan
        self.alive = [index for index in self.alive if not np.isnan(self.curve[index, self.done // p.report])]
        self.done += p.report
        self.seconds += time.perf_counter() - start

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

    def summary(self) -> Summary:
        """What was measured, once training is over; ``rates`` is NaN.

        Raises:
            RuntimeError: steps are left.
        """
        if self.done < self.protocol.steps:
            raise RuntimeError(f"{self.protocol.steps - self.done} of {self.protocol.steps} steps are left")
        final = self.curve[:, -1]
        return Summary(final, self.zero_losses, np.isnan(final), self.curve, np.full((*self.curve.shape, 3), np.nan))

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        arrays = {"done": np.array([self.done, self.seconds]), "curve": self.curve, "zero": self.zero_losses}
        for index in self.alive:
            for name, value in self._tensors(index).items():
                arrays[f"{index}/{name}"] = value.detach().cpu().numpy()
        write_arrays(path, arrays)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of an ensemble with the same protocol and members.

        Args:
            path: of the checkpoint.

        Raises:
            ValueError: the file is damaged or belongs to other members.
        """
        arrays = read_arrays(path)
        try:
            done, curve, zero_losses = arrays["done"], arrays["curve"], arrays["zero"]
            if curve.shape != self.curve.shape:
                raise ValueError("it has another number of students or epochs")
            epochs = int(done[0]) // self.protocol.report
            alive = [index for index in self.alive if not epochs or not np.isnan(curve[index, epochs - 1])]
            for index in alive:
                values = {name: torch.as_tensor(arrays[f"{index}/{name}"]) for name in self._tensors(index)}
                for name, value in self._tensors(index).items():
                    value.detach().copy_(values[name])
        except (KeyError, IndexError, ValueError, RuntimeError) as error:
            message = f"{path} is a checkpoint of other students ({error}): delete it to start from the first step"
            raise ValueError(message) from error
        self.done, self.seconds = int(done[0]), float(done[1])
        self.curve, self.zero_losses, self.alive = curve, zero_losses, alive

    def _tensors(self, index: int) -> dict[str, Tensor]:
        """A member's parameters and the state of its optimiser, by name; what changes in training."""
        optimizer, tensors = self.optimizers[index], {}
        for name, parameter in self.layers[index].named_parameters():
            state = optimizer.state[parameter]
            if not state:  # before the first step
                state["step"] = torch.zeros(())
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            tensors |= {f"{name}/p": parameter, f"{name}/n": state["step"]}
            tensors |= {f"{name}/m": state["exp_avg"], f"{name}/v": state["exp_avg_sq"]}
        return tensors
