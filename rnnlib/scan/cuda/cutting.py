"""How a scan is cut into programs, tiles and steps, and what that lets one expect on an H100."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import torch
import triton

from . import tuning

if TYPE_CHECKING:
    from torch import Tensor

STRATEGIES = ("auto", "walk", "chunks")

# An H100, for what is expected of it: from data sheets and published measurements.
_BANDWIDTH = 3.0e12  # bytes a second that a copy reads and writes
_LAUNCH = 1.5e-6  # seconds between two kernels of a CUDA graph
_LATENCY = 1750 / 1.755e9  # seconds from a tile's loads to its last store: cycles until the memory answers


@dataclass(frozen=True)
class Plan:
    """How time and columns are cut for one launch."""

    strategy: str
    sizes: tuple[int, int, int]  # B, T, N
    blocks: int  # of columns
    length: int  # steps of a chunk
    count: int  # of chunks
    skipped: int  # steps of the first chunk that the adjoint does not have
    flags: dict[str, int]  # compile-time arguments


def plan(strategy: str, lam: Tensor, x: Tensor, adjoint: bool) -> Plan:
    """The plan for these tensors on their device."""
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; choose one of {', '.join(STRATEGIES)}")
    kind = tuple(x.shape), x.dtype, lam.ndim == 3, adjoint
    return cut(strategy, *kind, multiprocessors(x.device), tuning.choose(tuning.capability(x.device), *kind))


@lru_cache(maxsize=1024)  # a plan takes as long as a launch
def cut(
    strategy: str,
    shape: tuple,
    dtype: torch.dtype,
    per_step: bool,
    adjoint: bool,
    processors: int,
    choice: tuning.Choice | None = None,
) -> Plan:
    """The plan for a shape: as the tuning table says (``choice``), or by the rules below."""
    batch, time, channels = shape
    if choice and (strategy not in ("auto", choice.strategy) or choice.strategy not in STRATEGIES):
        choice = None
    if choice:
        strategy = choice.strategy
    elif strategy == "auto":
        few = _blocks(batch, channels, 32) < 0.75 * processors
        strategy = "chunks" if few and time > 1024 else "walk"
    bytes_per_step = (1 + adjoint + per_step) * max(4, dtype.itemsize)  # in registers, where nothing is shorter
    if choice:
        width, strips, steps, warps = choice.columns, choice.strips, choice.steps, choice.warps
    else:
        vector = _vector(batch, channels, dtype.itemsize, strategy, processors)
        width, strips, steps, warps = _block(batch, channels, bytes_per_step, vector, processors)
    blocks = _blocks(batch, channels, width)
    steps_in_all = max(1, time - adjoint)  # the adjoint's last step is taken by itself
    flags = {"COMPLEX": dtype.is_complex, "PER_STEP": per_step, "STRIPS": strips, "COLUMNS": width, "STEPS": steps}
    flags |= {"CHANNELS": min(width, triton.next_power_of_2(channels)), "ALIGN": math.gcd(channels, 8)}
    flags["num_warps"] = warps
    chunks = 1 if strategy == "walk" else _chunks(steps_in_all, blocks, processors)
    length = triton.cdiv(triton.cdiv(steps_in_all, chunks), strips * steps) * strips * steps
    count = triton.cdiv(steps_in_all, length)
    return Plan(strategy, shape, blocks, length, count, count * length - (time - adjoint), flags)


def _blocks(batch: int, channels: int, width: int) -> int:
    """Of columns: some for every sequence, or one for every so many sequences."""
    shared = min(width, triton.next_power_of_2(channels))
    return batch * triton.cdiv(channels, width) if shared == width else triton.cdiv(batch, width // shared)


def _vector(batch: int, channels: int, itemsize: int, strategy: str, processors: int) -> int:
    """Columns of a thread: as many as one access of 128 bits brings, where blocks of 64 columns leave no multiprocessor
    without work and no more columns idle than blocks of 32 do; otherwise one."""
    vector = min(4, 16 // itemsize)
    blocks = _blocks(batch, channels, 64)
    fits = channels % vector == 0 and 64 * blocks <= 32 * _blocks(batch, channels, 32)
    return vector if fits and (strategy == "chunks" or blocks >= 0.75 * processors) else 1


def _block(batch: int, channels: int, bytes_per_step: int, vector: int, processors: int) -> tuple[int, int, int, int]:
    """Columns, strips, steps of a strip and warps, from the bytes that have to be under way.

    A memory of 3 TB/s that answers after a microsecond is kept busy by some 3 MB under way, half of them loads: 12 KB
    on each of 132 multiprocessors, and more is safer. A multiprocessor gets about eight warps whose threads ask for 128
    bytes at once, or four whose threads have two columns and ask for 256, from other columns or, where those are few,
    from more strips of a tile. No more than 16 steps, because compile time grows with their square, and no more than
    8 of four columns, because registers run out.
    """
    busy, most, asked = {1: (8, 16, 128), 2: (4, 16, 256), 4: (8, 8, 192)}[vector]
    width = min(32 if vector == 1 else 64, triton.next_power_of_2(batch * triton.next_power_of_2(channels)))
    strips = 32 * vector * _power_of_2_up_to(min(busy, busy * processors // _blocks(batch, channels, width))) // width
    steps = _power_of_2_up_to(min(most, asked // (vector * bytes_per_step)))
    return width, strips, steps, max(1, strips * width // (32 * vector))


def _chunks(time: int, blocks: int, processors: int) -> int:
    """One program for every multiprocessor, none shorter than 512 steps."""
    return max(1, min(processors // blocks, time // 512))


def _power_of_2_up_to(number: int) -> int:
    return 1 << max(0, number.bit_length() - 1)


@cache
def multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 132


def expected(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    per_step: bool,
    adjoint: bool,
    strategy: str = "auto",
    processors: int = 132,
) -> dict[str, str | int | float]:
    """What the plan of a scan lets one expect on an H100: counted, not measured.

    Args:
        shape: batch, time and channels.
        dtype: of all tensors.
        per_step: whether each step has its own lam.
        adjoint: the backward pass, else the forward one.
        strategy: one of ``STRATEGIES``.
        processors: multiprocessors of the device.

    Returns:
        - ``strategy``, the one that is taken;
        - ``needed``, the bytes of each tensor once, and ``moved``, those that kernels read from memory and write;
        - ``launches``;
        - ``busy``, the share of the multiprocessors that have work on average;
        - ``loads``, the bytes that a busy one has asked for at a time: tiles of its programs, 16 warps at most;
        - ``seconds``: ``moved`` at the bandwidth of a copy, slower by ``busy`` and, where ``loads`` are too few for the
          time that a tile takes, by that. Then launches, and for each time that the input is read a tile's time, which
          passes before anything is written;
        - ``share`` of the bandwidth of a copy: ``needed`` in those seconds.
    """
    plan = cut(strategy, shape, dtype, per_step, adjoint, processors)
    chunks = plan.strategy == "chunks" and plan.count > 1
    reads, writes = 1 + adjoint + per_step, 1 + (adjoint and per_step)
    needed = (reads + writes) * math.prod(shape) * dtype.itemsize
    moved = needed + _beside(plan, dtype, per_step, adjoint)
    programs = plan.blocks * plan.count
    rounds = triton.cdiv(programs, processors)
    busy = programs / (processors * rounds)
    tile = math.prod(plan.flags[name] for name in ("STRIPS", "COLUMNS", "STEPS"))
    loads = min(max(1, 16 // plan.flags["num_warps"]), rounds) * tile * reads * dtype.itemsize
    wanted = _BANDWIDTH / processors * reads / (reads + writes) * _LATENCY
    launches = (3 if chunks else 1) + (adjoint and not per_step)
    seconds = moved / (_BANDWIDTH * busy * min(1.0, loads / wanted))
    seconds += launches * _LAUNCH + (1 + chunks) * _LATENCY
    counted = {"strategy": plan.strategy, "needed": needed, "moved": moved, "launches": launches, "busy": busy}
    return counted | {"loads": loads, "seconds": seconds, "share": needed / _BANDWIDTH / seconds}


def _beside(plan: Plan, dtype: torch.dtype, per_step: bool, adjoint: bool) -> int:
    """Bytes that a plan moves beyond each tensor once."""
    count, columns = plan.count, 8 * plan.sizes[0] * plan.sizes[2] * (1 + dtype.is_complex)  # a float64 each
    parts = 2 * count * columns if adjoint and not per_step else 0  # of the gradient of lam, written and read
    again = (1 + per_step) * math.prod(plan.sizes) * dtype.itemsize // count  # stage 1 reads all chunks but the last;
    return parts + (count - 1) * (again + (2 + per_step) * 2 * columns)  # ends, carries and products, both ways
