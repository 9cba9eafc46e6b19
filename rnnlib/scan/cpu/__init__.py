r"""The same recurrence as loops that numba compiles for the CPU: one pass over memory forward, one backward.

A row of channels is contiguous in the layout (batch, time, channel), so a loop over channels inside the loop over time
reads and writes memory in order, and its turns are independent: vector instructions do several at a time
(``loops.py``). The states of the current step are kept in double precision whatever the input is, float16 and bfloat16
included, so that every state is the exact one but for its last rounding.

What bounds a scan is memory, so each row is asked for some steps before it is needed, for reading or writing.

Work is cut over the batch first; then over channels, as long as each thread takes a few cache lines of a row; else over
time, in the three stages of ``chunked.py``, which read most of the input twice. Python threads run the pieces, since
the loops need no interpreter: no more of them than ``torch.get_num_threads()``, from any thread of the caller's, and in
a forked process as well. The same input and number of threads give the same bits at each call.

The only package that imports numba, an optional dependency. Compiling takes about a second once for each dtype and
pass; the result is kept on disk where numba finds a folder to write to.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import itertools
import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from . import loops

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Inexact
    from torch import Tensor

_INLINE = 2**15  # elements up to which a second thread costs more than it saves
_CHUNK = 2**10  # fewest steps in a chunk
_PAGE = 4096  # bytes
_FRESH = 2**20  # bytes of a result from which on it may be memory that the system has yet to give
_LINES = 256  # bytes of a row that one thread takes, at least
_ROW = 2**13  # bytes of a piece's row: a few blocks of rows, read ahead, fit into a core's cache


def cpu_scan(
    lam: Inexact[Tensor, "*#BT N"],
    x: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    reverse: bool = False,
    threads: int | None = None,
) -> Inexact[Tensor, "B T N"]:
    r"""Iterate :math:`h_t = \lambda_t \odot h_{t-1} + x_t` (:math:`h_{t+1}` if ``reverse``) with compiled loops.

    Args:
        lam: eigenvalues, ``(N,)`` or shaped like ``x``.
        x: inputs; of any strides, as all arguments, but what is strided along channels is copied first.
        h0: state before the first input (after the last one if ``reverse``).
        reverse: run from the last step to the first.
        threads: how many threads to cut the work for; by default ``torch.get_num_threads()``.

    Returns:
        All T states, in the order of the inputs. Not differentiable by itself: ``linear_scan`` adds the adjoint.

    Source: Zucchet and Orvieto (2024), section 2.2, assumption (a).
    """
    if x.dtype == torch.float16 and not loops.HAS_FLOAT16:
        return cpu_scan(lam.float(), x.float(), h0, reverse, threads).to(x.dtype)
    states = torch.empty_like(x, memory_format=torch.contiguous_format)
    if states.numel() == 0:
        return states
    lam, x, out = _flat(lam.expand(x.shape)), _flat(x), _flat(states)
    plan = _plan(states.shape, states.itemsize, threads or torch.get_num_threads())
    carries = _carries(lam, x, h0, plan, reverse, adjoint=False)

    def piece(rows: slice, channels: slice, chunk: int) -> None:
        lam_at, x_at, out_at = (t.at(plan, rows, channels, chunk, reverse) for t in (lam, x, out))
        sizes, carry_at = plan.sizes(rows, channels, chunk), plan.carry_at(rows, channels, chunk)
        loops.scan(lam.data, lam_at, x.data, x_at, out.data, out_at, carries.reshape(-1), carry_at, sizes)

    _touch(plan, states)
    _run(piece, plan.pieces(plan.chunks), plan.threads)
    return states


def cpu_adjoint(
    lam: Inexact[Tensor, "*#BT N"],
    h: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    grad: Inexact[Tensor, "B T N"],
    reverse: bool = False,
    threads: int | None = None,
) -> tuple[Inexact[Tensor, "*#BT N"], Inexact[Tensor, "B T N"], Inexact[Tensor, "B N"]]:
    """Gradients of a loss through :func:`cpu_scan`, in one pass over ``h`` and ``grad``.

    Args:
        lam: eigenvalues of the scan, ``(N,)`` or shaped like ``h``.
        h: the states that the scan returned.
        h0: state before the first input (after the last one if ``reverse``).
        grad: gradient of the loss with respect to ``h``, for complex tensors in PyTorch's convention.
        reverse: as given to the scan.
        threads: how many threads to cut the work for; by default ``torch.get_num_threads()``.

    Returns:
        Gradients with respect to ``lam``, ``x`` and ``h0``, each shaped like its tensor.
    """
    if grad.dtype == torch.float16 and not loops.HAS_FLOAT16:
        grad_lam, grad_x, grad_h0 = cpu_adjoint(lam.float(), h.float(), h0, grad.float(), reverse, threads)
        return grad_lam.to(lam.dtype), grad_x.to(grad.dtype), grad_h0
    shared = lam.ndim == 1
    grad_x = torch.empty_like(grad, memory_format=torch.contiguous_format)
    grad_lam = lam.new_empty(0 if shared else lam.shape)
    if grad_x.numel() == 0:
        return torch.zeros_like(lam) if shared else grad_lam, grad_x, torch.zeros_like(h0)
    first = _array(h0.to(h.dtype).contiguous().reshape(-1))  # rounded to the precision in which h has the other states
    dtype, lam, h, grad, out = lam.dtype, _flat(lam.expand(h.shape)), _flat(h), _flat(grad), _flat(grad_x)
    plan = _plan(grad_x.shape, grad_x.itemsize, threads or torch.get_num_threads())
    carries = _carries(lam, grad, torch.zeros_like(h0), plan, not reverse, adjoint=True)
    totals = np.empty_like(carries)

    def piece(rows: slice, channels: slice, chunk: int) -> None:
        at_each = [t.at(plan, rows, channels, chunk, not reverse) for t in (lam, h, out, grad)]
        lam_at, h_at, *at = at_each
        loops.adjoint(
            *(lam.data, lam_at, h.data, h_at, first, plan.carry_at(rows, channels, 0), grad.data, tuple(at)),
            *(carries.reshape(-1), plan.carry_at(rows, channels, chunk), out.data, _array(grad_lam.reshape(-1))),
            *(totals.reshape(-1), plan.sizes(rows, channels, chunk), chunk == plan.chunks - 1),
        )

    _touch(plan, grad_x, grad_lam)
    _run(piece, plan.pieces(plan.chunks), plan.threads)
    if shared:  # summed in double precision and in a fixed order
        grad_lam = torch.from_numpy(totals.sum((0, 1))).to(dtype)
    return grad_lam, grad_x, torch.from_numpy(carries[-1]).to(h0.dtype)


class _Flat(NamedTuple):
    """A tensor (batch, time, channel) as the flat array that holds its elements; channels are neighbours in it."""

    data: np.ndarray
    batch: int  # distance from a sequence to the next, in elements
    time: int  # from a step to the next

    def at(self, plan: _Plan, rows: slice, channels: slice, chunk: int, backwards: bool) -> tuple[int, int, int]:
        step = chunk * plan.length
        if backwards:
            step = plan.time - 1 - step
        first = rows.start * self.batch + step * self.time + channels.start
        return first, self.batch, -self.time if backwards else self.time


def _array(t: Tensor) -> np.ndarray:
    """The elements themselves, in half precision as integers (``loops.py``)."""
    t = t.detach().resolve_conj().resolve_neg()
    return t.view({torch.float16: torch.int16, torch.bfloat16: torch.uint16}.get(t.dtype, t.dtype)).numpy()


def _flat(t: Tensor) -> _Flat:
    t = t.detach().resolve_conj().resolve_neg()
    if t.shape[2] > 1 and t.stride(2) != 1:
        t = t.contiguous()
    (batch, time, channels), (per_batch, per_step, _) = t.shape, t.stride()
    span = (batch - 1) * per_batch + (time - 1) * per_step + channels
    return _Flat(_array(t.as_strided((span,), (1,))), per_batch, per_step)


class _Plan(NamedTuple):
    """How the work is cut: ``rows`` and ``tiles`` of all sequences and channels, ``chunks`` of ``length`` steps."""

    batch: int
    time: int
    channels: int
    rows: list[slice]
    tiles: list[slice]
    chunks: int
    length: int
    threads: int

    def pieces(self, chunks: int) -> list[tuple[slice, slice, int]]:
        return [(rows, tile, chunk) for chunk in range(chunks) for rows in self.rows for tile in self.tiles]

    def sizes(self, rows: slice, channels: slice, chunk: int) -> tuple[int, int, int]:
        steps = min(self.length, self.time - chunk * self.length)
        return rows.stop - rows.start, steps, channels.stop - channels.start

    def carry_at(self, rows: slice, channels: slice, chunk: int) -> tuple[int, int, int]:
        """Place in an array (chunk, batch, channel)."""
        return (chunk * self.batch + rows.start) * self.channels + channels.start, self.channels, 0


def _plan(shape: tuple[int, int, int], itemsize: int, threads: int) -> _Plan:
    """Batch first, since whole rows are read fastest; then channels; time costs a second pass over the input."""
    batch, time, channels = shape
    if math.prod(shape) <= _INLINE:
        threads = 1
    groups = min(batch, 4 * threads) if threads > 1 else 1
    parts = 1 if groups >= 4 * threads else threads // math.gcd(groups, threads)  # pieces a multiple of the threads
    tiles = max(1, min(parts, channels * itemsize // _LINES))
    chunks = -(-parts // tiles)
    if chunks > time // _CHUNK:  # too short for that
        tiles, chunks = max(1, min(parts, channels // loops.LANES)), 1
    tiles = max(tiles, -(-channels * itemsize // _ROW))
    length = -(-time // chunks)
    return _Plan(*shape, _cut(batch, groups), _cut(channels, tiles, loops.LANES), -(-time // length), length, threads)


def _cut(size: int, parts: int, multiple: int = 1) -> list[slice]:
    """Equal parts of ``range(size)`` but for rounding; all but the last end at a multiple of ``multiple``."""
    edges = [size * part // parts // multiple * multiple for part in range(parts)] + [size]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges) if stop > start]


def _carries(lam: _Flat, x: _Flat, start: Tensor, plan: _Plan, backwards: bool, adjoint: bool) -> np.ndarray:
    """Stages 1 and 2: the states that enter the chunks ``(chunk, batch, channel)``, in double precision."""
    wide = np.result_type(x.data.dtype, np.float64)
    carries = np.empty((plan.chunks, plan.batch, plan.channels), wide)
    carries[0] = _array(start)
    if plan.chunks > 1:
        ends, products = np.empty_like(carries), np.empty_like(carries)

        def piece(rows: slice, channels: slice, chunk: int) -> None:
            lam_at, x_at = (t.at(plan, rows, channels, chunk, backwards) for t in (lam, x))
            carry_at, sizes = plan.carry_at(rows, channels, chunk), plan.sizes(rows, channels, chunk)
            loops.reduce(
                *(lam.data, lam_at, x.data, x_at, ends.reshape(-1), products.reshape(-1), carry_at, sizes, adjoint)
            )

        finer = -(-plan.threads // len(plan.pieces(plan.chunks - 1)))  # what is only read may be cut along channels
        tiles = _cut(plan.channels, max(1, min(len(plan.tiles) * finer, plan.channels // loops.LANES)), loops.LANES)
        _run(piece, plan._replace(tiles=tiles).pieces(plan.chunks - 1), plan.threads)
        for chunk in range(1, plan.chunks):
            carries[chunk] = products[chunk - 1] * carries[chunk - 1] + ends[chunk - 1]
    return carries


def _touch(plan: _Plan, *results: Tensor) -> None:
    """Let each thread ask the system for pages of its own, where threads will write to different channels of one page:
    two that ask for the same page wait for each other."""
    if plan.threads == 1 or len(plan.tiles) == 1 or plan.tiles[0].stop * results[0].itemsize >= _PAGE:
        return
    for flat in (_array(result.view(-1)) for result in results if result.nbytes >= _FRESH):
        piece = functools.partial(loops.touch, flat, _PAGE // flat.itemsize)
        _run(piece, [(part.start, part.stop) for part in _cut(flat.size, plan.threads, _PAGE)], plan.threads)


def _run(piece: Callable[..., None], pieces: list[tuple], threads: int) -> None:
    """All pieces, on this thread and on up to ``threads - 1`` others."""
    waiting = collections.deque(pieces)

    def drain() -> None:
        while waiting:
            try:
                arguments = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            piece(*arguments)

    count = min(threads, len(pieces)) - 1
    helpers = [_pool(threads - 1).submit(drain) for _ in range(count)]
    try:
        drain()
    finally:
        waiting.clear()  # after an error there is no use in the rest
        for helper in helpers:
            if not helper.cancel():  # one that never began, in a pool busy with other callers, has nothing left to do
                helper.result()


@functools.cache
def _pool(size: int) -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(size, thread_name_prefix="rnnlib-scan")


if hasattr(os, "register_at_fork"):  # a forked process has the pool but not its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
