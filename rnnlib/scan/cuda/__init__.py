r"""The scan as Triton kernels, forward and backward.

Tensors stay in the layout (batch, time, channel), and a scan from the last step to the first walks the same memory with
a negative stride: nothing is transposed, flipped or copied. Three strategies share their parts (``elements.py``,
``tiles.py``):

===============  ==========================================================  ==============================
strategy         how                                                         memory traffic, in elements
===============  ==========================================================  ==============================
``"walk"``       one pass over time; batch x channels fill the device        forward 2 (3), backward 3 (5)
``"chunks"``     reduce, carry, replay: time is cut too (``chunks.py``)      forward 3 (5), backward 4 (7)
``"look-back"``  one pass, tiles learn their carries from each other         as ``"walk"``
                 (``lookback.py``)
===============  ==========================================================  ==============================

(In brackets: :math:`\lambda` per step. An element of complex64 has 8 bytes.) ``"auto"`` walks where it can and takes
chunks elsewhere. No stored measurement compares chunks with look-back yet, so the strategy whose programs wait for each
other is not chosen by itself; ``tools/bench_gpu.py`` checks and times all three.

States and gradients are computed in the precision of the input, those of bfloat16 and float16 in float32; products of
eigenvalues, and what goes from strip to strip and from chunk to chunk, in float64: rounded to float32, a product would
act as a different :math:`\lambda` over the whole sequence. The experiment ``precision`` shows what each place needs.
Every sum has a fixed order, so the same input gives the same bits at each call. No launch waits for the host and
scratch memory comes from PyTorch's allocator, so CUDA graphs can capture a scan.

With ``TRITON_INTERPRET=1`` set before triton is imported, the kernels run on CPU tensors, slowly, for tests.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
import triton

from . import tuning
from .chunks import _carry, _reduce, _replay, _replay_adjoint
from .lookback import EMPTY, _look_back, _look_back_adjoint

if TYPE_CHECKING:
    from jaxtyping import Inexact
    from torch import Tensor

STRATEGIES = ("auto", "walk", "chunks", "look-back")
# Registers of a thread: left alone, the assembler gives these kernels fewer in some variants, and spills.
_REGISTERS = {"maxnreg": 168}
_LOOK_BACK = {"debug": True, "sanitize_overflow": False, "maxnreg": 144}  # device_assert, and no other checks


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


_OLD = _release(triton.__version__) < (3, 7) and _release(np.__version__) >= (2, 4)
if _OLD and os.environ.get("TRITON_INTERPRET") == "1":
    raise ImportError(
        f"Triton's interpreter of release {triton.__version__} fails with numpy {np.__version__}: "
        "install triton 3.7 or later, or numpy below 2.4"
    )


def cuda_scan(
    lam: Inexact[Tensor, "*#BT N"],
    x: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    reverse: bool = False,
    strategy: str = "auto",
) -> Inexact[Tensor, "B T N"]:
    r"""Iterate :math:`h_t = \lambda_t \odot h_{t-1} + x_t` (:math:`h_{t+1}` if ``reverse``) with Triton kernels.

    Args:
        lam: eigenvalues, ``(N,)`` or shaped like ``x``.
        x: inputs; of any strides, as all arguments, but what is not contiguous is copied first.
        h0: state before the first input (after the last one if ``reverse``).
        reverse: run from the last step to the first.
        strategy: one of ``STRATEGIES``, see above.

    Returns:
        All T states, in the order of the inputs. Not differentiable by itself: ``linear_scan`` adds the adjoint.

    Source: Zucchet and Orvieto (2024), section 2.2, assumption (a).
    """
    lam, x, h0 = (_plain(t) for t in (lam, x, h0))
    states = torch.empty_like(x)
    if x.numel() == 0:
        return states
    plan = _plan(strategy, lam, x, adjoint=False)
    with torch.cuda.device_of(x):
        if plan.strategy == "look-back":
            counter, *scratch = _scratch(plan, lam, x)
            tensors = _words(x, lam, h0, states, counter, *scratch)
            _look_back[plan.programs](
                *tensors, *plan.sizes, plan.blocks, plan.run, BACKWARDS=reverse, **plan.flags, **_LOOK_BACK
            )
        else:
            carries = _carries(plan, lam, x, h0, reverse, adjoint=False)
            tensors = _words(x, lam, h0, carries, states)
            _replay[plan.programs](*tensors, *plan.sizes, plan.length, BACKWARDS=reverse, **plan.flags)
    return states


def cuda_adjoint(
    lam: Inexact[Tensor, "*#BT N"],
    h: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    grad: Inexact[Tensor, "B T N"],
    reverse: bool = False,
    strategy: str = "auto",
) -> tuple[Inexact[Tensor, "*#BT N"], Inexact[Tensor, "B T N"], Inexact[Tensor, "B N"]]:
    """Gradients of a loss through :func:`cuda_scan`; the equations are in ``tiles.replay_adjoint``.

    Args:
        lam: eigenvalues of the scan, ``(N,)`` or shaped like ``h``.
        h: the states that the scan returned.
        h0: state before the first input (after the last one if ``reverse``).
        grad: gradient of the loss with respect to ``h``, for complex tensors in PyTorch's convention.
        reverse: as given to the scan.
        strategy: one of ``STRATEGIES``.

    Returns:
        Gradients with respect to ``lam``, ``x`` and ``h0``, each shaped like its tensor.
    """
    lam, h, h0, grad = (_plain(t) for t in (lam, h, h0, grad))
    grad_x, grad_h0 = torch.empty_like(grad), torch.empty_like(h0)
    if h.numel() == 0:
        return torch.zeros_like(lam), grad_x, torch.zeros_like(h0)
    plan = _plan(strategy, lam, grad, adjoint=True)
    with torch.cuda.device_of(h):
        if lam.ndim == 3:
            grad_lam = torch.empty_like(lam)
        else:  # a part for every chunk (tile) and sequence
            grad_lam = torch.empty((plan.count, *h0.shape), dtype=_wide(h.dtype), device=h.device)
        if plan.strategy == "look-back":
            counter, *scratch = _scratch(plan, lam, h)
            tensors = _words(grad, lam, h, h0, grad_lam, grad_x, grad_h0, counter, *scratch)
            sizes = (*plan.sizes, plan.blocks, plan.run, plan.skipped)
            _look_back_adjoint[plan.programs](*tensors, *sizes, BACKWARDS=not reverse, **plan.flags, **_LOOK_BACK)
        else:
            carries = _carries(plan, lam, grad, h0, not reverse, adjoint=True)
            tensors = _words(grad, lam, h, h0, carries, grad_lam, grad_x, grad_h0)
            sizes = (*plan.sizes, plan.length, plan.skipped)
            _replay_adjoint[plan.programs](*tensors, *sizes, BACKWARDS=not reverse, **plan.flags)
    return grad_lam.sum(dim=(0, 1)).to(h.dtype) if lam.ndim == 1 else grad_lam, grad_x, grad_h0


@dataclass(frozen=True)
class _Plan:
    """How time and columns are cut for one launch."""

    strategy: str
    sizes: tuple[int, int, int]  # B, T, N
    blocks: int  # of columns
    length: int  # steps of a chunk, or of a tile where tiles look back
    count: int  # of chunks, or of tiles
    skipped: int  # steps of the first chunk that the adjoint does not have
    flags: dict[str, int]  # compile-time arguments

    @property
    def programs(self) -> tuple[int, ...]:
        return (self.blocks * self.count,) if self.strategy == "look-back" else (self.blocks, self.count)

    @property
    def run(self) -> int:
        """Tiles of a group that one strip of threads reads: groups are about as long as there are groups."""
        return triton.cdiv(1 << (self.count.bit_length() + 1) // 2, self.flags["STRIPS"])

    @property
    def groups(self) -> int:
        return triton.cdiv(self.count, self.run * self.flags["STRIPS"])


def _plan(strategy: str, lam: Tensor, x: Tensor, adjoint: bool) -> _Plan:
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; choose one of {', '.join(STRATEGIES)}")
    kind = tuple(x.shape), x.dtype, lam.ndim == 3, adjoint
    return _cut(strategy, *kind, _multiprocessors(x.device), tuning.choose(tuning.capability(x.device), *kind))


@lru_cache(maxsize=1024)  # a plan takes as long as a launch
def _cut(
    strategy: str,
    shape: tuple,
    dtype: torch.dtype,
    per_step: bool,
    adjoint: bool,
    processors: int,
    choice: tuning.Choice | None = None,
) -> _Plan:
    batch, time, channels = shape
    few = _blocks(batch, channels, 32) < 0.75 * processors
    if choice and (strategy not in ("auto", choice.strategy) or choice.strategy not in STRATEGIES):
        choice = None
    if choice:
        strategy = choice.strategy
    elif strategy == "auto":
        strategy = "chunks" if few and time > 1024 else "walk"
    columns_of_a_thread = _vector(batch, channels, dtype.itemsize, strategy, processors)
    bytes_per_step = (1 + adjoint + per_step) * dtype.itemsize
    width, strips, steps = _block(batch, channels, bytes_per_step, columns_of_a_thread, strategy, processors)
    if choice:
        width, strips, steps = choice.columns, choice.strips, choice.steps
    blocks = _blocks(batch, channels, width)
    steps_in_all = max(1, time - adjoint)  # the adjoint's last step is taken by itself
    length = tile = strips * steps
    if strategy != "look-back":
        chunks = 1 if strategy == "walk" else _chunks(steps_in_all, blocks, processors)
        length = triton.cdiv(triton.cdiv(steps_in_all, chunks), tile) * tile
    count = triton.cdiv(steps_in_all, length)
    flags = {"COMPLEX": dtype.is_complex, "PER_STEP": per_step, "STRIPS": strips, "COLUMNS": width, "STEPS": steps}
    flags |= {"CHANNELS": min(width, triton.next_power_of_2(channels)), "ALIGN": math.gcd(channels, 8)}
    flags["num_warps"] = choice.warps if choice else max(1, strips * width // (32 * columns_of_a_thread))
    return _Plan(strategy, shape, blocks, length, count, count * length - (time - adjoint), flags)


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
    busy = strategy == "chunks" or (strategy == "walk" and blocks >= 0.75 * processors)
    return vector if fits and busy else 1


def _block(
    batch: int, channels: int, bytes_per_step: int, vector: int, strategy: str, processors: int
) -> tuple[int, int, int]:
    """Columns, strips and steps of a strip, from the bytes that have to be under way; not tuned on a device yet.

    A memory of 3 TB/s that answers after a microsecond is kept busy by some 3 MB under way, half of them loads: 12 KB
    on each of 132 multiprocessors, and more is safer. A multiprocessor gets about eight warps whose threads ask for 128
    bytes at once, or four whose threads have two columns and ask for 256, from other columns or, where those are few,
    from more strips of a tile. No more than 16 steps, because compile time grows with their square, and no more than
    8 of four columns, because registers run out.
    """
    busy, most, asked = {1: (8, 16, 128), 2: (4, 16, 256), 4: (8, 8, 192)}[vector]
    width = min(32 if vector == 1 else 64, triton.next_power_of_2(batch * triton.next_power_of_2(channels)))
    warps = busy if strategy == "look-back" else busy * processors // _blocks(batch, channels, width)
    strips = 32 * vector * _power_of_2_up_to(min(busy, warps)) // width
    return width, strips, _power_of_2_up_to(min(most, asked // (vector * bytes_per_step)))


def _chunks(time: int, blocks: int, processors: int) -> int:
    """One program for every multiprocessor, none shorter than 512 steps."""
    return max(1, min(processors // blocks, time // 512))


def expected(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    per_step: bool,
    adjoint: bool,
    strategy: str = "auto",
    processors: int = 132,
) -> dict[str, str | int | float]:
    """What the plan of a scan allows, counted and not measured.

    Args:
        shape: batch, time and channels.
        dtype: of all tensors.
        per_step: whether each step has its own lam.
        adjoint: the backward pass, else the forward one.
        strategy: one of ``STRATEGIES``.
        processors: multiprocessors of the device; 132 are those of an H100.

    Returns:
        The strategy; ``needed``, the bytes of each tensor once; ``moved``, those of what the kernels read and write;
        ``busy``, the share of the multiprocessors that have work on average; and ``share``, of the bandwidth of a copy:
        needed over moved, times busy, as if each multiprocessor had its own part of the bandwidth and launches were
        free.
    """
    plan = _cut(strategy, shape, dtype, per_step, adjoint, processors)
    tensor = math.prod(shape) * dtype.itemsize
    carries = shape[0] * shape[2] * _wide(dtype).itemsize  # one float64 for each column
    needed = ((3 if adjoint else 2) + (1 + adjoint) * per_step) * tensor
    moved = needed
    if plan.strategy == "chunks":  # stage 1 reads all chunks but the last; ends, products and carries, written and read
        moved += (plan.count - 1) * ((1 + per_step) * tensor // plan.count + (2 + per_step) * 2 * carries)
    elif plan.strategy == "look-back":  # words for the maps: emptied, written, read; read again they are in the cache
        moved += 3 * plan.count * (1 + per_step) * carries
    if adjoint and not per_step:  # parts of lam's gradient
        moved += 2 * plan.count * carries
    programs = plan.blocks * plan.count
    busy = programs / (processors * triton.cdiv(programs, processors))
    if plan.strategy == "look-back":  # programs follow each other
        busy = min(1.0, programs / processors)
    return {
        "strategy": plan.strategy,
        "needed": needed,
        "moved": moved,
        "busy": busy,
        "share": needed / moved * busy,
    }


def _power_of_2_up_to(number: int) -> int:
    return 1 << max(0, number.bit_length() - 1)


@cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 132


def _carries(
    plan: _Plan, lam: Tensor, x: Tensor, start: Tensor, backwards: bool, adjoint: bool
) -> Inexact[Tensor, "K B N"]:
    """Stages 1 and 2: the states that enter all chunks but the first."""
    chunks = plan.count

    def wide():
        return torch.empty((chunks - 1, *start.shape), dtype=_wide(x.dtype), device=x.device)

    carries = wide()
    if chunks == 1:
        return carries
    ends = wide()
    products = wide() if lam.ndim == 3 else ends  # not used where lam is shared
    flags = {"ADJOINT": adjoint, **plan.flags}
    skipped = plan.skipped if adjoint else 0
    tensors = _words(x, lam, ends, products)
    flags |= {"BACKWARDS": backwards}
    _reduce[plan.blocks, chunks - 1](*tensors, *plan.sizes, plan.length, skipped, **flags, **_REGISTERS)
    flags |= {"STEPS": 8, "num_warps": 1}
    del flags["STRIPS"], flags["BACKWARDS"]
    tensors = _words(ends, products, lam, start, carries)
    batch, _, channels = plan.sizes
    _carry[(plan.blocks,)](*tensors, chunks, batch, channels, plan.length, **flags)
    return carries


def _scratch(plan: _Plan, lam: Tensor, x: Tensor) -> list[Tensor]:
    """Ticket counter, states that enter groups, maps of tiles: 64-bit words, all of them empty."""
    words = plan.sizes[0] * plan.sizes[2] * (2 if x.is_complex() else 1)
    sizes = [1, words * (plan.groups + 1), words * plan.count]
    sizes += [words * plan.count] if lam.ndim == 3 else []
    sizes = [triton.cdiv(size, 16) * 16 for size in sizes]  # whole cache lines
    parts = torch.full((sum(sizes),), EMPTY.value, dtype=torch.int64, device=x.device).split(sizes)
    return [*parts] if lam.ndim == 3 else [*parts, parts[-1]]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float64)


def _plain(t: Tensor) -> Tensor:
    """The tensor with its elements themselves in memory, in order: neither lazily conjugated or negated nor strided."""
    return t.resolve_conj().resolve_neg().contiguous()


def _words(*tensors: Tensor) -> list[Tensor]:
    """What kernels take: complex64 as int64, complex128 as pairs of float64 (``elements.py``)."""

    def words(t: Tensor) -> Tensor:
        if t.dtype == torch.complex64:
            return t.view(torch.int64)
        # not view(float64), which minds the stride of a last axis of size 1: contiguous() may leave any there
        return torch.view_as_real(t) if t.is_complex() else t

    return [words(t) for t in tensors]
