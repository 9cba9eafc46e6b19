r"""Training many students in lockstep on the same minibatches: Adam with a rate each, cosine schedule, checkpoints.

Students of one kind are stacked into tiles that fit a core's cache. At each step the inputs of a data seed are drawn
once, their Gram matrix is formed once, and every tile takes an Adam step on the exact minibatch loss
(:mod:`rnnlib.lab.exact`). No operation mixes members, so a member's trajectory does not depend on who trains beside
it: bit for bit on a CPU with :func:`one_thread`, which the experiments use; up to rounding with several threads or on a
GPU.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import checks, exact
from .files import read_arrays, write_arrays
from .systems import SEEDS, STEPS, white_inputs

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

__all__ = ["Ensemble", "Member", "Protocol", "Summary", "one_thread", "train"]

_TILE = 64  # members of a tile: measured best or within a tenth of it for every kind of student
_CHUNK = 1 << 16  # numbers that Adam goes through at a time: they stay in a core's cache
_PAD = 8  # rows are filled up to a multiple of this, so that vectorised loops leave no remainder


@dataclass(frozen=True)
class Protocol:
    """How a student is trained.

    Attributes:
        steps: number of Adam steps, each on fresh data, at most 1,048,576.
        batch: sequences of a minibatch.
        length: steps of a sequence, T.
        report: the loss is averaged over this many last steps; also the length of an epoch. It divides ``steps``.
        schedule: ``"cosine"`` from the base rate to ``final_rate``, or ``"constant"``.
        final_rate: rate at the end of the cosine.
        beta1, beta2, eps: Adam's.

    Raises:
        ValueError: a field is out of range.

    Source: Zucchet and Orvieto (2024), appendix D.
    """

    steps: int = 10_000
    batch: int = 128
    length: int = 300
    report: int = 100
    schedule: str = "cosine"
    final_rate: float = 1e-7
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self):
        checks.plain(self)
        checks.whole("steps", self.steps, 1, STEPS)
        for name in ("batch", "length", "report"):
            checks.whole(name, getattr(self, name))
        checks.choice("schedule", self.schedule, ("cosine", "constant"))
        checks.within("final_rate", self.final_rate, "[0, inf)")
        checks.within("beta1", self.beta1, "[0, 1)")
        checks.within("beta2", self.beta2, "[0, 1)")
        checks.within("eps", self.eps, "[0, inf)")
        if self.steps % self.report:
            raise ValueError(f"steps must be a multiple of report, got {self.steps} and {self.report}")

    def rate(self, base, number: int):
        """The rate at a step.

        Args:
            base: base rate, a number or a tensor.
            number: the step, counted from 0, at most ``steps``.

        Returns:
            As ``base``.

        Raises:
            ValueError: there is no such step.
        """
        checks.whole("number", number, 0, self.steps)
        if self.schedule == "constant":
            return base
        share = 0.5 * (1 + math.cos(math.pi * number / self.steps))
        return self.final_rate + (base - self.final_rate) * share


@dataclass(frozen=True)
class Member:
    """One student to train.

    Attributes:
        layer: the student at initialisation, scalar input and output.
        target: impulse response of its teacher ``(T,)``.
        rate: base rate of Adam, positive.
        seed: data seed, see :func:`rnnlib.lab.systems.white_inputs`.

    Raises:
        ValueError: a field is out of range.
    """

    layer: nn.Module
    target: Float[Tensor, "T"]
    rate: float
    seed: int

    def __post_init__(self):
        checks.shape("target", self.target, "T")
        checks.within("rate", self.rate, "(0, inf)")
        checks.whole("seed", self.seed, 0, SEEDS - 1)


@dataclass(frozen=True)
class Summary:
    """What training measured, arrays over members.

    Attributes:
        loss: mean minibatch loss over the last ``report`` steps ``(M,)``.
        zero_loss: the zero predictor's on the same minibatches ``(M,)``.
        diverged: a loss, or at the end of an epoch a parameter or a moment of Adam, was not finite: the member left and
            its loss is NaN ``(M,)``.
        curve: mean loss of each epoch ``(M, epochs)``.
        rates: of each epoch's end, over the recurrent parameters ``(M, epochs, 3)``: geometric mean of the effective
            rate as the paper defines it, over positive ones; geometric mean of rate / (sqrt(v) + eps); fraction of
            the former that is negative (erratum 9).
    """

    loss: np.ndarray
    zero_loss: np.ndarray
    diverged: np.ndarray
    curve: np.ndarray
    rates: np.ndarray


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


class _Tile:
    """Members of one kind with the state of their optimisers; rows beyond ``len(indices)`` fill up and are ignored.

    Args:
        indices: places of its members among those of the ensemble, sorted by data seed.
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
        p = self.protocol
        k = exact.impulse_responses(self.layer, p.length)
        loss = torch.cat([_loss(k[span], self.target[span], G[seed]) for seed, span in self.spans])
        gradients = torch.autograd.grad(loss.sum(), self.parameters)
        self.losses += loss.detach()
        corrected = math.sqrt(1 - p.beta2 ** (number + 1))
        rate = self.rates(number) * (corrected / (1 - p.beta1 ** (number + 1)))
        with torch.no_grad():
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
        for value in (*self.parameters, *self.first, *self.second):
            finite &= value.detach().flatten(1).isfinite().all(1)
        names = getattr(self.layer, "recurrent_parameters", self.names)
        recurrent = [rates for name, rates in self.effective_rates(number).items() if name in names]
        paper, plain = torch.cat(recurrent, dim=2)
        positive = paper > 0
        logs = torch.where(positive, paper, 1.0).log().sum(1) / positive.sum(1)
        three = torch.stack([logs.exp(), plain.log().mean(1).exp(), (paper < 0).to(plain.dtype).mean(1)], dim=1)
        mean[~finite], three[~finite] = math.nan, math.nan
        kept = slice(len(self.indices))
        return mean[kept].cpu().numpy(), three[kept].cpu().numpy()

    def fill(self, rows: dict[str, Tensor]) -> None:
        """Set what :meth:`tensors` gives, from the rows of the members alone."""
        last = [len(self.indices) - 1] * (-len(self.indices) % _PAD)
        for name, value in self.tensors().items():
            value.copy_(torch.cat([rows[name], rows[name][last]]))

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name."""
        return {
            f"{name}/{what}": value.detach()
            for name, *values in zip(self.names, self.parameters, self.first, self.second, strict=True)
            for what, value in zip("pmv", values, strict=True)
        }


class _Draws:
    """Minibatches of all data seeds, step by step.

    They are drawn on the CPU whatever device trains: a GPU's generator is another one (Philox instead of the Mersenne
    Twister) and gives other numbers for a seed. For a GPU threads draw ahead, into pinned memory, from which the copy
    runs beside the computation.

    Args:
        seeds: data seeds.
        protocol: its batch, length and steps.
        threads: how many draw ahead; 0 for none.
    """

    def __init__(self, seeds: Sequence[int], protocol: Protocol, threads: int):
        self.seeds, self.protocol, self.threads = list(seeds), protocol, threads
        self.pool = ThreadPoolExecutor(threads) if threads else None
        self.coming: dict[int, Future[Tensor]] = {}

    def __call__(self, number: int) -> Float[Tensor, "S B T"]:
        """Those of one step, on the CPU."""
        if self.pool is None:
            return self._draw(number)
        for coming in range(number, min(number + 4 * self.threads, self.protocol.steps)):
            if coming not in self.coming:
                self.coming[coming] = self.pool.submit(self._draw, coming)
        return self.coming.pop(number).result()

    def _draw(self, number: int) -> Tensor:
        p = self.protocol
        x = torch.stack([white_inputs(seed, number, p.batch, p.length) for seed in self.seeds])
        return x.pin_memory() if self.pool and torch.cuda.is_available() else x


def _loss(k: Tensor, target: Tensor, G: Tensor) -> Tensor:
    """Of each row. Rows of zeros fill up, since a product whose number of rows is no multiple of four may take another
    routine, with other roundings (seen with MKL: one row on an Intel processor, up to three on one of AMD's)."""
    difference = torch.nn.functional.pad(k - target, (0, 0, 0, -len(k) % _PAD))
    return exact.loss(difference, torch.zeros_like(difference[:1]), G)[: len(k)]


class Ensemble:
    """Students that train together.

    Args:
        members: any mixture of kinds, rates, teachers and data seeds; of one dtype, all their parameters trainable.
        protocol: how they train.
        device: where.

    Raises:
        ValueError: there are no members, a target has another length than the protocol's, dtypes differ, or a parameter
            is frozen.
    """

    def __init__(self, members: Sequence[Member], protocol: Protocol, device: str | torch.device = "cpu"):
        self.members, self.protocol, self.device = list(members), protocol, torch.device(device)
        check_members(self.members, protocol)
        self.done, self.seconds = 0, 0.0
        groups: dict[tuple, list[int]] = {}
        for index, member in enumerate(self.members):
            groups.setdefault(_kind(member), []).append(index)
        for indices in groups.values():
            indices.sort(key=lambda index: self.members[index].seed)
        self.tiles = [tile for indices in groups.values() for tile in self._tiles(indices)]
        # teachers, once for each data seed
        self.targets: dict[int, Tensor] = {}
        self.target_of = np.empty(len(self.members), dtype=int)
        for seed in sorted({member.seed for member in self.members}):
            mine = [index for index, member in enumerate(self.members) if member.seed == seed]
            stacked = torch.stack([self.members[index].target for index in mine])
            self.targets[seed], places = torch.unique(stacked, dim=0, return_inverse=True)
            self.target_of[mine] = places.cpu().numpy()
        threads = 0 if self.device.type == "cpu" else min(8, os.cpu_count() or 1)
        self.draws = _Draws(list(self.targets), protocol, threads)
        self.zero_losses = {seed: np.zeros(len(targets)) for seed, targets in self.targets.items()}
        epochs = protocol.steps // protocol.report
        self.curve = np.full((len(self.members), epochs), np.nan)
        self.rate_curve = np.full((len(self.members), epochs, 3), np.nan)

    def _tiles(self, indices: Sequence[int]) -> list[_Tile]:
        size = _TILE if self.device.type == "cpu" else max(1, len(indices))
        parts = [indices[start : start + size] for start in range(0, len(indices), size)]
        return [_Tile(part, self.members, self.protocol, self.device) for part in parts]

    def advance(self, progress: Callable[[int], None] = lambda steps: None) -> None:
        """One epoch: ``protocol.report`` steps of every member. Members that diverged in it leave.

        Args:
            progress: called now and then with the number of steps done.
        """
        p, start = self.protocol, time.perf_counter()
        dtype = next(self.members[0].layer.parameters()).dtype
        for number in range(self.done, self.done + p.report):
            x = self.draws(number).to(self.device, non_blocking=True).to(dtype)
            G = dict(zip(self.targets, exact.gram(x), strict=True))
            for tile in self.tiles:
                tile.step(G, number)
            if number % 5 == 4:
                progress(number + 1)
            if number >= p.steps - p.report:
                for seed, targets in self.targets.items():
                    targets = targets.to(self.device, dtype)
                    self.zero_losses[seed] += _loss(targets, torch.zeros_like(targets), G[seed]).cpu().numpy()
        for tile in self.tiles:
            mean, rates = tile.end_epoch(number)
            self.curve[tile.indices, self.done // p.report] = mean
            self.rate_curve[tile.indices, self.done // p.report] = rates
        self._drop_diverged(self.done // p.report)
        self.done += p.report
        self.seconds += time.perf_counter() - start

    def _drop_diverged(self, epoch: int) -> None:
        """Close the gaps that diverged members leave, so that they cost nothing."""
        kinds: dict[tuple, list[_Tile]] = {}
        for tile in self.tiles:
            kinds.setdefault(_kind(self.members[tile.indices[0]]), []).append(tile)
        self.tiles = []
        for tiles in kinds.values():
            indices = [index for tile in tiles for index in tile.indices]
            alive = ~np.isnan(self.curve[indices, epoch])
            if alive.all():
                self.tiles += tiles
                continue
            rows = [{name: value[: len(tile.indices)] for name, value in tile.tensors().items()} for tile in tiles]
            kept = torch.from_numpy(np.flatnonzero(alive)).to(self.device)
            everything = {name: torch.cat([tensors[name] for tensors in rows])[kept] for name in rows[0]}
            start = 0
            for tile in self._tiles([index for index, is_alive in zip(indices, alive, strict=True) if is_alive]):
                tile.fill({name: value[start : start + len(tile.indices)] for name, value in everything.items()})
                start += len(tile.indices)
                self.tiles.append(tile)

    def summary(self) -> Summary:
        """What was measured, once training is over.

        Raises:
            RuntimeError: steps are left.
        """
        if self.done < self.protocol.steps:
            raise RuntimeError(f"{self.protocol.steps - self.done} of {self.protocol.steps} steps are left")
        zero = [self.zero_losses[member.seed][place] for member, place in self._targets()]
        diverged = np.isnan(self.curve[:, -1])
        return Summary(self.curve[:, -1], np.array(zero) / self.protocol.report, diverged, self.curve, self.rate_curve)

    def effective_rates(self) -> dict[int, dict[str, np.ndarray]]:
        """Effective rates of each parameter after the last step ``(2, size)``, as in ``Summary.rates``.

        Returns:
            By member (those that did not diverge) and parameter.

        Raises:
            RuntimeError: no step has been done.
        """
        if not self.done:
            raise RuntimeError("there are no effective rates before the first step: advance the ensemble")
        found: dict[int, dict[str, np.ndarray]] = {}
        for tile in self.tiles:
            rates = tile.effective_rates(self.done - 1)
            for row, index in enumerate(tile.indices):
                found[index] = {name: values[:, row].cpu().numpy() for name, values in rates.items()}
        return found

    def trained(self) -> dict[int, dict[str, Tensor]]:
        """The parameters now, by member (those that did not diverge) and name."""
        return {
            index: {name: value.detach()[row].clone() for name, value in zip(tile.names, tile.parameters, strict=True)}
            for tile in self.tiles
            for row, index in enumerate(tile.indices)
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint: to a temporary name first, then renamed, so that a kill leaves the old one or the new."""
        zero = [self.zero_losses[member.seed][place] for member, place in self._targets()]
        arrays = {"done": np.array([self.done, self.seconds]), "zero": np.array(zero)}
        arrays |= {"curve": self.curve, "rate_curve": self.rate_curve}
        for place, tile in enumerate(self.tiles):
            arrays[f"{place}/members"] = np.array(tile.indices)
            for name, value in tile.tensors().items():
                arrays[f"{place}/{name}"] = value[: len(tile.indices)].cpu().numpy()
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
            curve, rate_curve, zero = (arrays[name] for name in ("curve", "rate_curve", "zero"))
            done = int(arrays["done"][0])
            if curve.shape != self.curve.shape or done % self.protocol.report:
                raise ValueError("it has another number of students or epochs")
            rows = {}  # of each member that was still there: tile and row
            while f"{len(rows)}/members" in arrays:
                rows[len(rows)] = arrays[f"{len(rows)}/members"].tolist()
            found = {index: (tile, row) for tile, indices in rows.items() for row, index in enumerate(indices)}
            states = []
            for tile in self.tiles:
                state = {name: value[: len(tile.indices)].clone() for name, value in tile.tensors().items()}
                for row, index in enumerate(tile.indices):
                    if index in found:
                        source, its_row = found[index]
                        for name, value in state.items():
                            value[row] = torch.as_tensor(arrays[f"{source}/{name}"][its_row])
                states.append(state)
        except (KeyError, IndexError, ValueError, RuntimeError) as error:
            message = f"{path} is a checkpoint of other students ({error}): delete it to start from the first step"
            raise ValueError(message) from error
        for tile, state in zip(self.tiles, states, strict=True):
            tile.fill(state)
        self.done, self.seconds = done, float(arrays["done"][1])
        self.curve, self.rate_curve = curve, rate_curve
        for (member, place), value in zip(self._targets(), zero, strict=True):
            self.zero_losses[member.seed][place] = value
        if done:
            self._drop_diverged(done // self.protocol.report - 1)

    def _targets(self) -> Iterator[tuple[Member, int]]:
        """Each member and the place of its target among those of its seed."""
        return zip(self.members, self.target_of, strict=True)


def _kind(member: Member) -> tuple:
    """What members of a tile share."""
    return tuple(checks.description(member.layer).items())


def check_members(members: Sequence[Member], protocol: Protocol) -> None:
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
