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

States and gradients are computed in the precision of the input; products of eigenvalues, and what goes from strip to
strip, from tile to tile and from chunk to chunk, in float64: rounded to float32, a product would act as a different
:math:`\lambda` over the whole sequence. Every sum has a fixed order, so the same input gives the same bits at each
call. No launch waits for the host and scratch memory comes from PyTorch's allocator, so CUDA graphs can capture a scan.

With ``TRITON_INTERPRET=1`` set before triton is imported, the kernels run on CPU tensors, slowly, for tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import torch
import triton

from . import tuning
from .chunks import _carry, _reduce, _replay, _replay_adjoint
from .lookback import EMPTY, _look_back, _look_back_adjoint

if TYPE_CHECKING:
    from jaxtyping import Inexact
    from torch import Tensor

STRATEGIES = ("auto", "walk", "chunks", "look-back")


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
            _look_back[plan.programs](*tensors, *plan.sizes, plan.blocks, plan.run, BACKWARDS=reverse, **plan.flags)
        else:
            carries = _carries(plan, lam, x, h0, reverse, adjoint=False)
            tensors = _words(x, lam, carries, states)
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
    start = torch.zeros_like(h0)
    with torch.cuda.device_of(h):
        if lam.ndim == 3:
            grad_lam = torch.empty_like(lam)
        else:  # a part for every chunk (tile) and sequence
            grad_lam = torch.empty((plan.count, *h0.shape), dtype=_wide(h.dtype), device=h.device)
        if plan.strategy == "look-back":
            counter, *scratch = _scratch(plan, lam, h)
            tensors = _words(grad, lam, h, h0, start, grad_lam, grad_x, grad_h0, counter, *scratch)
            sizes = (*plan.sizes, plan.blocks, plan.run, plan.skipped)
            _look_back_adjoint[plan.programs](*tensors, *sizes, BACKWARDS=not reverse, **plan.flags)
        else:
            carries = _carries(plan, lam, grad, start, not reverse, adjoint=True)
            tensors = _words(grad, lam, h, h0, carries, grad_lam, grad_x, grad_h0)
            sizes = (*plan.sizes, plan.length, plan.skipped)
            _replay_adjoint[plan.programs](*tensors, *sizes, BACKWARDS=not reverse, **plan.flags)
    return grad_lam.sum(dim=(0, 1)).to(h.dtype) if lam.ndim == 1 else grad_lam, grad_x, grad_h0


@dataclass(frozen=True)
class _Plan:
    """How time and columns are cut for one launch."""

    strategy: str
    sizes: tuple[int, int, int]  # T, N, B * N
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
    choice: tuning.Choice | None,
) -> _Plan:
    batch, time, channels = shape
    columns = batch * channels
    width, strips, steps = _block(columns, (1 + adjoint + per_step) * dtype.itemsize, strategy, processors)
    warps = max(1, strips * width // 32)
    if choice and strategy in ("auto", choice.strategy) and choice.strategy in STRATEGIES:
        strategy, strips, steps, warps = choice.strategy, choice.strips, choice.steps, choice.warps
        width = min(choice.columns, triton.next_power_of_2(columns))
    blocks = triton.cdiv(columns, width)
    if strategy == "auto":
        strategy = "walk" if blocks >= 0.75 * processors or time <= 1024 else "chunks"
    steps_in_all = max(1, time - adjoint)  # the adjoint's last step is taken by itself
    length = tile = strips * steps
    if strategy != "look-back":
        chunks = 1 if strategy == "walk" else _chunks(steps_in_all, blocks, processors)
        length = triton.cdiv(triton.cdiv(steps_in_all, chunks), tile) * tile
    count = triton.cdiv(steps_in_all, length)
    flags = {"COMPLEX": dtype.is_complex, "PER_STEP": per_step, "STRIPS": strips, "COLUMNS": width, "STEPS": steps}
    flags["num_warps"] = warps
    return _Plan(strategy, (time, channels, columns), blocks, length, count, count * length - (time - adjoint), flags)


def _block(columns: int, bytes_per_step: int, strategy: str, processors: int) -> tuple[int, int, int]:
    """Columns, strips and steps of a strip, from the bytes that have to be under way; not tuned on a device yet.

    A memory of 3 TB/s that answers after a microsecond is kept busy by some 3 MB under way, half of them loads: 12 KB
    on each of 132 multiprocessors, and more is safer. A thread asks for 128 bytes at once, a warp for 4 KB; a
    multiprocessor gets about eight warps, from other columns or, where those are few, from more strips of a tile. No
    more than 16 steps, because compile time grows with their square.
    """
    width = min(32, triton.next_power_of_2(columns))
    warps = 8 if strategy == "look-back" else 8 * processors // triton.cdiv(columns, width)
    warps = _power_of_2_up_to(min(8, warps))
    return width, 32 * warps // width, _power_of_2_up_to(min(16, 128 // bytes_per_step))


def _chunks(time: int, blocks: int, processors: int) -> int:
    """One program for every multiprocessor, none shorter than 512 steps."""
    return max(1, min(processors // blocks, time // 512))


def _power_of_2_up_to(number: int) -> int:
    return 1 << max(0, number.bit_length() - 1)


@cache
def _multiprocessors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 132


def _carries(
    plan: _Plan, lam: Tensor, x: Tensor, start: Tensor, backwards: bool, adjoint: bool
) -> Inexact[Tensor, "K B N"]:
    """Stages 1 and 2: the states that enter the chunks."""
    chunks = plan.count
    if chunks == 1:
        return start[None]

    def wide(count):
        return torch.empty((count, *start.shape), dtype=_wide(x.dtype), device=x.device)

    ends, carries = wide(chunks - 1), wide(chunks)
    products = wide(chunks - 1) if lam.ndim == 3 else ends  # not used where lam is shared
    flags = {"ADJOINT": adjoint, **plan.flags}
    skipped = plan.skipped if adjoint else 0
    tensors = _words(x, lam, ends, products)
    _reduce[plan.blocks, chunks - 1](*tensors, *plan.sizes, plan.length, skipped, BACKWARDS=backwards, **flags)
    flags |= {"STEPS": 8, "num_warps": 1}
    del flags["STRIPS"]
    tensors = _words(ends, products, lam, start, carries)
    _carry[(plan.blocks,)](*tensors, chunks, *plan.sizes[1:], plan.length, **flags)
    return carries


def _scratch(plan: _Plan, lam: Tensor, x: Tensor) -> list[Tensor]:
    """Ticket counter, states that enter groups, maps of tiles: 64-bit words, all of them empty."""
    words = plan.sizes[2] * (2 if x.is_complex() else 1)
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
