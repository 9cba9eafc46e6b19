r"""Training many students in lockstep on the same minibatches: Adam with a rate each, cosine schedule, checkpoints.

Students of one kind are stacked into tiles that fit a core's cache. At each step the inputs of a data seed are drawn
once, their Gram matrix is formed once, and every tile takes an Adam step on the exact minibatch loss
(:mod:`rnnlib.exact`). No operation mixes members, so a member's trajectory does not depend on who trains beside it. On
a CPU with :func:`one_thread`, which the experiments use, this holds bit for bit; with several threads or on a GPU, up to
rounding.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from . import exact
from .teacher import white_inputs

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor, nn

__all__ = ["Ensemble", "Member", "Protocol", "Summary", "one_thread", "train"]

_TILE = 64  # members of a tile: measured best or within a tenth of it for every kind of student
_PAD = 8  # tiles are filled up to a multiple of this, so that vectorised loops leave no remainder


@dataclass(frozen=True)
class Protocol:
    """How a student is trained.

    Attributes:
        steps: number of Adam steps, each on fresh data.
        batch: sequences of a minibatch.
        length: steps of a sequence, T.
        report: the loss is averaged over this many last steps; also the length of an epoch.
        schedule: ``"cosine"`` from the base rate to ``final_rate``, or ``"constant"``.
        final_rate: rate at the end of the cosine.
        beta1, beta2, eps: Adam's.

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
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule must be 'cosine' or 'constant', got {self.schedule!r}")
        if self.steps % self.report:
            raise ValueError(f"steps must be a multiple of report, got {self.steps} and {self.report}")


@dataclass(frozen=True)
class Member:
    """One student to train.

    Attributes:
        layer: the student at initialisation, scalar input and output.
        target: impulse response of its teacher ``(T,)``.
        rate: base rate of Adam.
        seed: data seed, see :func:`rnnlib.teacher.white_inputs`.
    """

    layer: nn.Module
    target: Float[Tensor, "T"]
    rate: float
    seed: int


@dataclass(frozen=True)
class Summary:
    """What training measured, arrays over members.

    Attributes:
        loss: mean minibatch loss over the last ``report`` steps ``(M,)``.
        zero_loss: the zero predictor's on the same minibatches ``(M,)``.
        diverged: a loss or a moment of Adam was not finite at some step ``(M,)``.
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
    """Members of one kind with the state of their optimisers; rows beyond ``len(members)`` fill up and are ignored."""

    def __init__(self, members: Sequence[Member], protocol: Protocol, device: torch.device):
        self.protocol = protocol
        members = [*members, *[members[-1]] * (-len(members) % _PAD)]
        seeds = [member.seed for member in members]
        # members come sorted by data seed: where each seed's are
        self.spans = [(seed, slice(seeds.index(seed), seeds.index(seed) + seeds.count(seed))) for seed in sorted(set(seeds))]
        self.layer = exact.stack([member.layer for member in members]).to(device)
        self.names, self.parameters = zip(*self.layer.named_parameters(), strict=True)
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        dtype = self.parameters[0].dtype
        self.target = torch.stack([member.target for member in members]).to(device, dtype)
        self.rate = torch.tensor([member.rate for member in members], dtype=dtype, device=device)
        self.losses = torch.zeros(len(members), dtype=torch.float64, device=device)  # summed over the epoch
        self.zero_losses = torch.zeros_like(self.losses)

    def loss(self, k: Tensor, target: Tensor, G: dict[int, Tensor]) -> Float[Tensor, "M"]:
        """Minibatch losses, each member's on the inputs of its own data seed."""
        return torch.cat([exact.loss(k[span], target[span], G[seed]) for seed, span in self.spans])

    def step(self, G: dict[int, Tensor], number: int, with_zero: bool) -> None:
        """One step of Adam, the ``number``-th, counted from 0."""
        p = self.protocol
        loss = self.loss(exact.impulse_responses(self.layer, p.length), self.target, G)
        gradients = torch.autograd.grad(loss.sum(), self.parameters)
        self.losses += loss.detach()
        if with_zero:
            self.zero_losses += self.loss(self.target, torch.zeros_like(self.target), G)
        corrected = math.sqrt(1 - p.beta2 ** (number + 1))
        rate = self.rates(number) * (corrected / (1 - p.beta1 ** (number + 1)))
        with torch.no_grad():
            for value, gradient, m, v in zip(self.parameters, gradients, self.first, self.second, strict=True):
                m.lerp_(gradient, 1 - p.beta1)
                v.mul_(p.beta2).addcmul_(gradient, gradient, value=1 - p.beta2)
                update = m / v.sqrt().add_(p.eps * corrected)
                value.addcmul_(update, rate.view(-1, *[1] * (value.ndim - 1)), value=-1)

    def rates(self, number: int) -> Float[Tensor, "M"]:
        """Each member's rate at a step."""
        p = self.protocol
        if p.schedule == "constant":
            return self.rate
        share = 0.5 * (1 + math.cos(math.pi * number / p.steps))
        return p.final_rate + (self.rate - p.final_rate) * share

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

    def end_epoch(self, number: int) -> tuple[Tensor, Tensor]:
        """Mean losses of the epoch (M,) and the three numbers of ``Summary.rates`` (M, 3)."""
        mean = self.losses / self.protocol.report
        self.losses.zero_()
        # all but input, output and skip weights and the input scale: A, lambda, or what lambda is made of
        recurrent = [
            rates for name, rates in self.effective_rates(number).items() if name not in ("B", "C", "D", *_SCALES)
        ]
        paper, plain = torch.cat(recurrent, dim=2)
        positive = paper > 0
        logs = torch.where(positive, paper, 1.0).log().sum(1) / positive.sum(1)
        return mean, torch.stack([logs.exp(), plain.log().mean(1).exp(), (paper < 0).double().mean(1)], dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name."""
        named = {"losses": self.losses, "zero_losses": self.zero_losses}
        for name, *values in zip(self.names, self.parameters, self.first, self.second, strict=True):
            named |= {f"{name}/{what}": value for what, value in zip("pmv", values, strict=True)}
        return named


_SCALES = ("gamma", "omega_gamma")


class Ensemble:
    """Students that train together.

    Args:
        members: any mixture of kinds, rates, teachers and data seeds.
        protocol: how they train.
        device: where.
    """

    def __init__(self, members: Sequence[Member], protocol: Protocol, device: str | torch.device = "cpu"):
        self.members, self.protocol, self.device = list(members), protocol, torch.device(device)
        self.done, self.seconds = 0, 0.0
        on_cpu = self.device.type == "cpu"
        groups: dict[tuple, list[int]] = {}
        for index, member in enumerate(self.members):
            shapes = tuple((name, tuple(value.shape)) for name, value in member.layer.named_parameters())
            # one data seed a tile on a CPU; on a GPU tiles as large as can be
            key = (type(member.layer), _settings(member.layer), shapes, member.seed if on_cpu else None)
            groups.setdefault(key, []).append(index)
        size = _TILE if on_cpu else len(self.members)
        self.tiles: list[tuple[list[int], _Tile]] = []  # with the places of their members in the arrays below
        for indices in groups.values():
            indices.sort(key=lambda index: self.members[index].seed)
            for start in range(0, len(indices), size):
                part = indices[start : start + size]
                self.tiles.append((part, _Tile([self.members[index] for index in part], protocol, self.device)))
        epochs = protocol.steps // protocol.report
        self.curve = np.full((len(self.members), epochs), np.nan)
        self.rate_curve = np.full((len(self.members), epochs, 3), np.nan)

    def advance(self) -> None:
        """One epoch: ``protocol.report`` steps of every member."""
        p, start = self.protocol, time.perf_counter()
        seeds = sorted({member.seed for member in self.members})
        dtype = self.tiles[0][1].target.dtype
        for number in range(self.done, self.done + p.report):
            x = torch.stack([white_inputs(seed, number, p.batch, p.length) for seed in seeds])
            G = dict(zip(seeds, exact.gram(x.to(self.device, dtype)), strict=True))
            for _, tile in self.tiles:
                tile.step(G, number, with_zero=number >= p.steps - p.report)
        for part, tile in self.tiles:
            mean, rates = tile.end_epoch(number)
            self.curve[part, self.done // p.report] = mean[: len(part)].cpu().numpy()
            self.rate_curve[part, self.done // p.report] = rates[: len(part)].cpu().numpy()
        self.done += p.report
        self.seconds += time.perf_counter() - start

    def summary(self) -> Summary:
        """What was measured, once training is over.

        Raises:
            RuntimeError: steps are left.
        """
        if self.done < self.protocol.steps:
            raise RuntimeError(f"{self.protocol.steps - self.done} of {self.protocol.steps} steps are left")
        zero = np.empty(len(self.members))
        diverged = ~np.isfinite(self.curve).all(1)
        for part, tile in self.tiles:
            zero[part] = (tile.zero_losses[: len(part)] / self.protocol.report).cpu().numpy()
            for moment in (*tile.first, *tile.second):
                diverged[part] |= ~moment[: len(part)].flatten(1).isfinite().all(1).cpu().numpy()
        return Summary(self.curve[:, -1], zero, diverged, self.curve, self.rate_curve)

    def effective_rates(self) -> list[dict[str, np.ndarray]]:
        """Of each member, by parameter: effective rates after the last step ``(2, size)``, as in ``Summary.rates``."""
        found: list[dict[str, np.ndarray]] = [{} for _ in self.members]
        for part, tile in self.tiles:
            for name, rates in tile.effective_rates(self.done - 1).items():
                for row, index in enumerate(part):
                    found[index][name] = rates[:, row].cpu().numpy()
        return found

    def trained(self) -> list[dict[str, Tensor]]:
        """The parameters of each member now, by name."""
        found: list[dict[str, Tensor]] = [{} for _ in self.members]
        for part, tile in self.tiles:
            for name, value in zip(tile.names, tile.parameters, strict=True):
                for row, index in enumerate(part):
                    found[index][name] = value.detach()[row].clone()
        return found

    def save(self, path: Path) -> None:
        """Write a checkpoint: to a temporary name first, then renamed, so that a kill leaves the old one or the new."""
        arrays = {"done": np.array([self.done, self.seconds]), "curve": self.curve, "rate_curve": self.rate_curve}
        for index, (_, tile) in enumerate(self.tiles):
            arrays |= {f"{index}/{name}": value.detach().cpu().numpy() for name, value in tile.tensors().items()}
        write_arrays(path, arrays)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of an ensemble with the same members and protocol.

        Raises:
            ValueError: the file is damaged or belongs to other members.
        """
        arrays = read_arrays(path)
        pairs = [
            (value, arrays.pop(f"{index}/{name}", None))
            for index, (_, tile) in enumerate(self.tiles)
            for name, value in tile.tensors().items()
        ]
        fits = all(array is not None and array.shape == tuple(value.shape) for value, array in pairs)
        if not fits or set(arrays) != {"done", "curve", "rate_curve"} or arrays["curve"].shape != self.curve.shape:
            raise ValueError(f"{path} is a checkpoint of other students: delete it to start from the first step")
        self.done, self.seconds = int(arrays["done"][0]), float(arrays["done"][1])
        self.curve, self.rate_curve = arrays["curve"], arrays["rate_curve"]
        with torch.no_grad():
            for value, array in pairs:
                value.copy_(torch.from_numpy(array))


def _settings(layer: nn.Module) -> tuple:
    """What besides its parameters makes a layer what it is: members of a tile share it."""
    plain = {name: value for name, value in vars(layer).items() if not name.startswith("_")}
    return tuple(sorted((name, repr(value)) for name, value in plain.items() if name != "training"))


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as an uncompressed .npz, whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what :func:`write_arrays` wrote; the archive's checksums are verified.

    Raises:
        ValueError: the file is damaged.
    """
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it to start from the first step") from error


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
        progress: called after each epoch with the number of steps done.

    Returns:
        The trained ensemble.
    """
    with one_thread() if torch.device(device).type == "cpu" else contextlib.nullcontext():
        ensemble = Ensemble(members, protocol, device)
        while ensemble.done < protocol.steps:
            ensemble.advance()
            progress(ensemble.done)
    return ensemble
