r"""Training many students in lockstep on the same minibatches, or on the population loss; each has a rate of its own.

Students of one kind are stacked into tiles that fit a core's cache. At each step the inputs of a data seed are drawn
once, their Gram matrix is formed once, and every tile takes a step on the exact minibatch loss
(:mod:`rnnlib.lab.exact`). No operation mixes members, so a member's trajectory does not depend on who trains beside
it: bit for bit on a CPU with :func:`one_thread`, which the experiments use; up to rounding with several threads or on a
GPU.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import checks, exact
from .files import read_arrays, write_arrays
from .lockstep import Tile, row_losses
from .minibatches import Minibatches
from .optimizers import OPTIMIZERS
from .protocol import Member, Protocol, Summary

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Ensemble", "Member", "Protocol", "Summary", "one_thread", "train"]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread for PyTorch and no subnormal numbers, as long as the context lasts.

    A tile is too small for several threads; and powers of small eigenvalues become subnormal, on which processors are
    slow.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


class BaseEnsemble:
    """What both ways of training share: members, what is measured of them, checkpoints.

    A subclass defines ``_epoch``, ``_states`` and ``_load``.
    """

    def __init__(self, members: Sequence[Member], protocol: Protocol, device: str | torch.device = "cpu"):
        self.members, self.protocol, self.device = list(members), protocol, torch.device(device)
        _check(self.members, protocol)
        self.done, self.seconds = 0, 0.0
        epochs = protocol.steps // protocol.report
        self.curve = np.full((len(self.members), epochs), np.nan)
        self.rate_curve = np.full((len(self.members), epochs, 3), np.nan)
        self.zero_loss = np.full(len(self.members), np.nan)  # until the last epoch
        self.stopped = np.zeros(len(self.members), dtype=bool)  # at the floor of the protocol

    @property
    def alive(self) -> list[int]:
        """Indices of the members that have not diverged."""
        epochs = self.done // self.protocol.report
        return [index for index, curve in enumerate(self.curve) if not (epochs and np.isnan(curve[epochs - 1]))]

    def advance(self, progress: Callable[[int], None] = lambda steps: None) -> None:
        """One epoch: ``protocol.report`` steps of every member. Members that diverged in it leave; those at the
        protocol's floor stop.

        Args:
            progress: called now and then with the number of steps done.
        """
        start, before = time.perf_counter(), (self.alive, self.stopped.sum())
        self._epoch(range(self.done, self.done + self.protocol.report), progress)
        self.done += self.protocol.report
        if (self.alive, self.stopped.sum()) != before:
            states = self._states()
            self._load({index: states[index] for index in self.alive})
        self.seconds += time.perf_counter() - start

    def summary(self) -> Summary:
        """What was measured, once training is over.

        Raises:
            RuntimeError: training is not over.
        """
        if self.done < self.protocol.steps:
            raise RuntimeError(f"{self.protocol.steps - self.done} of {self.protocol.steps} steps are left")
        loss = self.curve[:, -1]
        return Summary(loss, self.zero_loss, np.isnan(loss), self.curve, self.rate_curve)

    def save(self, path: Path) -> None:
        """Write a checkpoint: to a temporary name first, then renamed, so that a kill leaves the old one or the new."""
        states = [state.cpu() for _, state in sorted(self._states().items())]
        arrays = {
            "members": np.array(self._identity()),
            "done": np.array([self.done, self.seconds]),
            "curve": self.curve,
            "rate_curve": self.rate_curve,
            "zero_loss": self.zero_loss,
            "stopped": self.stopped,
            "sizes": np.array([len(state) for state in states], dtype=int),
            "states": torch.cat([*states, torch.empty(0, dtype=torch.float32)]).numpy(),  # also if all have diverged
        }
        write_arrays(path, arrays)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of an ensemble with the same protocol and members.

        Args:
            path: of the checkpoint.

        Raises:
            ValueError: the file is damaged or belongs to other members.
        """
        arrays = read_arrays(path)
        if str(arrays.get("members")) != self._identity():
            raise ValueError(f"{path} is a checkpoint of other students: delete it to start from the first step")
        self.done, self.seconds = int(arrays["done"][0]), float(arrays["done"][1])
        for name in ("curve", "rate_curve", "zero_loss", "stopped"):
            setattr(self, name, arrays[name])
        states = torch.from_numpy(arrays["states"]).split(arrays["sizes"].tolist())
        self._load(dict(zip(self.alive, states, strict=True)))

    def _identity(self) -> str:
        """What a checkpoint must share with the ensemble that goes on from it."""
        members = [
            (*_settings(member), [(name, *value.shape) for name, value in member.layer.named_parameters()])
            for member in self.members
        ]
        return hashlib.sha256(repr((dataclasses.asdict(self.protocol), members)).encode()).hexdigest()

    def _epoch(self, numbers: range, progress: Callable[[int], None]) -> None:
        """Steps of those alive; fills this epoch of the curves, with NaN for those that diverged."""
        raise NotImplementedError

    def _states(self) -> dict[int, Tensor]:
        """Of each member alive, one vector: its parameters, then all that its optimiser remembers."""
        raise NotImplementedError

    def _load(self, states: dict[int, Tensor]) -> None:
        """Go on with these members, after ``done`` steps, from what ``_states`` gave."""
        raise NotImplementedError


class Ensemble(BaseEnsemble):
    """Students that train together.

    Args:
        members: any mixture of kinds, rates, rotations, teachers and data seeds; of one dtype, all their parameters
            trainable.
        protocol: how they train.
        device: where.

    Raises:
        ValueError: there are no members, a target has another length than the protocol's, dtypes differ, or a parameter
            is frozen.
    """

    def __init__(self, members: Sequence[Member], protocol: Protocol, device: str | torch.device = "cpu"):
        super().__init__(members, protocol, device)
        if protocol.double:
            self.members = [
                dataclasses.replace(member, layer=copy.deepcopy(member.layer).double()) for member in self.members
            ]
        self._kinds = [(member.rotation, *checks.description(member.layer).items()) for member in self.members]
        self.tiles, self.resting = self._tiles(range(len(self.members))), []
        # teachers, once for each data seed
        self.targets: dict[int, Tensor] = {}
        self.target_of = np.empty(len(self.members), dtype=int)  # each member's, among those of its seed
        for seed in sorted({member.seed for member in self.members}):
            mine = [index for index, member in enumerate(self.members) if member.seed == seed]
            stacked = torch.stack([self.members[index].target for index in mine])
            self.targets[seed], inverse = torch.unique(stacked, dim=0, return_inverse=True)
            self.target_of[mine] = inverse.cpu().numpy()
        threads = 0 if self.device.type == "cpu" else min(8, os.cpu_count() or 1)
        self.minibatches = Minibatches(list(self.targets), protocol, threads)
        weights = exact.white_gram(protocol.length)
        self.population = torch.diag(weights).to(self.device)
        squares = torch.stack([member.target for member in self.members]).cpu().double().square()
        self.population_zero = (0.5 * squares @ weights).numpy()  # the zero predictor's loss

    def _tiles(self, indices: Sequence[int]) -> list[Tile]:
        kinds: dict[tuple, list[int]] = {}
        for index in sorted(indices, key=lambda index: self.members[index].seed):
            kinds.setdefault(self._kinds[index], []).append(index)
        size = OPTIMIZERS[self.protocol.optimizer].members if self.device.type == "cpu" else len(self.members)
        return [
            Tile(alike[start : start + size], self.members, self.protocol, self.device)
            for alike in kinds.values()
            for start in range(0, len(alike), size)
        ]

    def _epoch(self, numbers: range, progress: Callable[[int], None]) -> None:
        p, epoch = self.protocol, self.done // self.protocol.report
        dtype = next(self.members[0].layer.parameters()).dtype
        targets = {seed: values.to(self.device, dtype) for seed, values in self.targets.items()}
        zero_losses = {seed: np.zeros(len(values)) for seed, values in targets.items()}
        last = numbers.stop == p.steps
        for number in numbers:
            G = self._grams(number, dtype)
            for tile in self.tiles:
                tile.step(G, number)
            if number % 5 == 4:
                progress(number + 1)
            for seed, values in targets.items() if last else ():
                zero_losses[seed] += row_losses(values, torch.zeros_like(values), G[seed]).cpu().numpy()
        self.curve[:, epoch], self.rate_curve[:, epoch] = self.curve[:, epoch - 1], self.rate_curve[:, epoch - 1]
        for tile in self.tiles:
            self.curve[tile.indices, epoch], self.rate_curve[tile.indices, epoch] = tile.end_epoch(number)
        if last:
            sums = [zero_losses[m.seed][target] for m, target in zip(self.members, self.target_of, strict=True)]
            self.zero_loss = np.array(sums) / p.report
        if p.floor:
            self.stopped = self.curve[:, epoch] <= p.floor * self.population_zero

    def _grams(self, number: int, dtype: torch.dtype) -> dict[int, Tensor]:
        """Those of a step, for each data seed."""
        if self.protocol.loss == "population":
            return dict.fromkeys(self.targets, self.population.to(dtype))
        x = self.minibatches(number).to(self.device, non_blocking=True).to(dtype)
        return dict(zip(self.targets, exact.gram(x), strict=True))

    def _states(self) -> dict[int, Tensor]:
        tiles = (*self.tiles, *self.resting)
        return {index: row for tile in tiles for index, row in zip(tile.indices, tile.states(), strict=True)}

    def _load(self, states: dict[int, Tensor]) -> None:
        self.tiles = self._tiles([index for index in states if not self.stopped[index]])
        self.resting = self._tiles([index for index in states if self.stopped[index]])
        for tile in (*self.tiles, *self.resting):
            tile.load(torch.stack([states[index] for index in tile.indices]).to(self.device))

    def effective_rates(self) -> dict[int, dict[str, np.ndarray]]:
        """Effective rates of each parameter after the last step ``(2, size)``, as in ``Summary.rates``.

        Returns:
            By member (those that did not diverge) and parameter.

        Raises:
            RuntimeError: no step has been done.
        """
        if not self.done:
            raise RuntimeError("there are no effective rates before the first step: advance the ensemble")
        result: dict[int, dict[str, np.ndarray]] = {}
        for tile in (*self.tiles, *self.resting):
            rates = tile.effective_rates(self.done - 1)
            for row, index in enumerate(tile.indices):
                result[index] = {name: values[:, row].cpu().numpy() for name, values in rates.items()}
        return result

    def trained(self) -> dict[int, dict[str, Tensor]]:
        """The parameters now, by member (those that did not diverge) and name."""
        return {
            index: {name: value.detach()[row].clone() for name, value in zip(tile.names, tile.parameters, strict=True)}
            for tile in (*self.tiles, *self.resting)
            for row, index in enumerate(tile.indices)
        }


def _settings(member: Member) -> tuple:
    return member.rate, member.seed, member.ratio, member.rotation


def _check(members: Sequence[Member], protocol: Protocol) -> None:
    """Refuse members that cannot train together.

    Raises:
        ValueError: as of :class:`Ensemble`.
    """
    if not members:
        raise ValueError("members is empty: pass at least one")
    dtype = next(members[0].layer.parameters()).dtype
    for member in members:
        checks.shape("target", member.target, protocol.length)
        for name, value in member.layer.named_parameters():
            if value.dtype != dtype:
                raise ValueError(f"members must have one dtype, got {dtype} and, of {name!r}, {value.dtype}")
            if not value.requires_grad:
                raise ValueError(f"all parameters are trained, but {name!r} has requires_grad=False: make it a buffer")
        if (member.ratio, member.rotation) != (1, 1) and not OPTIMIZERS[protocol.optimizer].minibatches:
            raise ValueError(f"ratio and rotation are for first-order optimisers, {protocol.optimizer} has neither")
        if member.ratio != 1 and member.rotation == sum(value.numel() for value in member.layer.parameters()):
            raise ValueError(f"ratio must be 1 where all parameters share a rotated basis, got {member.ratio}")


def train(
    members: Sequence[Member],
    protocol: Protocol,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[int], None] = lambda steps: None,
) -> Ensemble:
    """Train students to the end.

    Args:
        members: the students.
        protocol: how.
        device: where.
        progress: called now and then with the number of steps done.

    Returns:
        The trained ensemble.
    """
    with one_thread() if torch.device(device).type == "cpu" else contextlib.nullcontext():
        ensemble = Ensemble(members, protocol, device)
        while ensemble.done < protocol.steps:
            ensemble.advance(progress)
    return ensemble
