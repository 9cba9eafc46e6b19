r"""The same recurrence as loops that numba compiles for the CPU: one pass over memory forward, one backward.

A row of channels is contiguous in the layout (batch, time, channel), so the loop over channels inside the loop over
time reads and writes memory in order, and its turns are independent: the compiler makes vector instructions of it.
The states of the current step stay in the first-level cache, in double precision whatever the input is. That costs
little, since memory and not arithmetic is the limit, and every state is then the exact one but for its last rounding.

Work is cut over the batch first, then over tiles of channels, and over time only where the two leave most threads idle,
in the three stages of ``chunked.py``. Python threads run the pieces, since the loops need no interpreter: no more of
them than ``torch.get_num_threads()``, from any thread of the caller's, and in a forked process as well. The same input
and number of threads give the same bits at each call.

The only file that imports numba, an optional dependency. Compiling takes about a second once for each dtype and pass;
the result is kept on disk where numba finds a folder to write to.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import itertools
import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Inexact
    from torch import Tensor

_LANES = numba.uintp(16)  # complex channels in a loop of constant length, which the compiler unrolls into vectors
_INLINE = 2**15  # elements up to which a second thread costs more than it saves
_CHUNK = 2**10  # fewest steps in a chunk


def _compiled(function: Callable) -> Callable:
    """Compile on first use, once for each dtype, into code that runs without the interpreter's lock.

    ``contract`` allows a product and a sum to be rounded once instead of twice, and no other change of the arithmetic.
    """
    options = {"nogil": True, "fastmath": {"contract"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds no folder to write to
        return numba.njit(**options)(function)


# A place is (first, batch, time): where the piece's first row of channels lies in a flat array, and how far it is to
# the next sequence and to the next step in scan order. Sizes are (rows of the batch, steps, channels). Unsigned indices
# spare the compiler Python's counting from the end.


@_compiled
def _row(place, row, step):
    return numba.uintp(place[0] + row * place[1] + step * place[2])


@_compiled
def _scan_real(lam, lam_at, x, x_at, states, states_at, carry, carry_at, sizes):
    width = numba.uintp(sizes[2])
    h, slope = np.empty(width), np.empty(width)
    for row in range(sizes[0]):
        for n in range(width):
            h[n] = carry[_row(carry_at, row, 0) + n]
        for step in range(sizes[1]):
            i, j, k = _row(x_at, row, step), _row(states_at, row, step), _row(lam_at, row, step)
            if step == 0 or lam_at[2] != 0:
                for n in range(width):
                    slope[n] = lam[k + n]
            for n in range(width):
                h[n] = slope[n] * h[n] + x[i + n]
                states[j + n] = h[n]


@_compiled
def _advance(n, l_re, l_im, h_re, h_im, x, i, states, j):
    """One complex channel, one step; real and imaginary parts apart, which is what vector registers need."""
    z = x[i + n]
    re = l_re[n] * h_re[n] - l_im[n] * h_im[n] + z.real
    im = l_re[n] * h_im[n] + l_im[n] * h_re[n] + z.imag
    h_re[n], h_im[n] = re, im
    states[j + n] = complex(re, im)


@_compiled
def _scan_complex(lam, lam_at, x, x_at, states, states_at, carry, carry_at, sizes):
    width = numba.uintp(sizes[2])
    whole = width // _LANES * _LANES
    h_re, h_im, l_re, l_im = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    for row in range(sizes[0]):
        c = _row(carry_at, row, 0)
        for n in range(width):
            h_re[n], h_im[n] = carry[c + n].real, carry[c + n].imag
        for step in range(sizes[1]):
            i, j, k = _row(x_at, row, step), _row(states_at, row, step), _row(lam_at, row, step)
            if step == 0 or lam_at[2] != 0:
                for n in range(width):
                    l_re[n], l_im[n] = lam[k + n].real, lam[k + n].imag
            for tile in range(numba.uintp(0), whole, _LANES):
                for lane in range(_LANES):
                    _advance(tile + lane, l_re, l_im, h_re, h_im, x, i, states, j)
            for n in range(whole, width):
                _advance(n, l_re, l_im, h_re, h_im, x, i, states, j)


@_compiled
def _reduce(lam, lam_at, x, x_at, ends, products, carry_at, sizes, adjoint):
    r"""Stage 1 of a scan in chunks, from a zero state: :math:`h \leftarrow \lambda_t h + x_t` or, in the adjoint,
    :math:`s \leftarrow \bar\lambda_t (s + g_t)`, and the product of the slopes."""
    width = numba.uintp(sizes[2])
    for row in range(sizes[0]):
        c = _row(carry_at, row, 0)
        for n in range(width):
            ends[c + n] = 0
            products[c + n] = 1
        for step in range(sizes[1]):
            i, k = _row(x_at, row, step), _row(lam_at, row, step)
            for n in range(width):
                if adjoint:
                    ends[c + n] = lam[k + n].conjugate() * (ends[c + n] + x[i + n])
                    products[c + n] *= lam[k + n].conjugate()
                else:
                    ends[c + n] = lam[k + n] * ends[c + n] + x[i + n]
                    products[c + n] *= lam[k + n]


# The adjoint: delta_t = s_{t+1} + g_t is the gradient of x_t, delta_t conj(h_{t-1}) that of lambda_t, and
# s_t = conj(lambda_t) delta_t goes on; the last s is the gradient of h_0 (derived in ``cuda.py``, _replay_adjoint).


@_compiled
def _adjoint_real(lam, lam_at, h, h_at, h0, h0_at, grad, at, carry, carry_at, grad_x, grad_lam, total, sizes, ends):
    """``ends``: the piece's last step is the scan's first, which ``h0`` entered. An empty ``grad_lam`` asks for the sum
    over time, in ``total``."""
    width = numba.uintp(sizes[2])
    shared = grad_lam.size == 0
    s, slope, q = np.empty(width), np.empty(width), np.empty(width)
    for row in range(sizes[0]):
        c = _row(carry_at, row, 0)
        for n in range(width):
            s[n] = carry[c + n]
            total[c + n] = 0
        for step in range(sizes[1]):
            i, k = _row(at[0], row, step), _row(lam_at, row, step)
            g = _row(at[1], row, step)
            before, b = h, _row(h_at, row, step + 1)
            if ends and step == sizes[1] - 1:
                before, b = h0, _row(h0_at, row, 0)
            if step == 0 or lam_at[2] != 0:
                for n in range(width):
                    slope[n] = lam[k + n]
            for n in range(width):
                d = s[n] + grad[g + n]
                q[n] = d * before[b + n]
                grad_x[i + n] = d
                s[n] = slope[n] * d
            if shared:
                for n in range(width):
                    total[c + n] += q[n]
            else:
                for n in range(width):
                    grad_lam[i + n] = q[n]
        for n in range(width):
            carry[c + n] = s[n]


@_compiled
def _retreat(n, l_re, l_im, s_re, s_im, q_re, q_im, grad, g, before, b, grad_x, i):
    z, y = grad[g + n], before[b + n]
    re, im = s_re[n] + z.real, s_im[n] + z.imag
    grad_x[i + n] = complex(re, im)
    q_re[n] = re * y.real + im * y.imag
    q_im[n] = im * y.real - re * y.imag
    s_re[n] = l_re[n] * re + l_im[n] * im
    s_im[n] = l_re[n] * im - l_im[n] * re


@_compiled
def _adjoint_complex(lam, lam_at, h, h_at, h0, h0_at, grad, at, carry, carry_at, grad_x, grad_lam, total, sizes, ends):
    width = numba.uintp(sizes[2])
    whole = width // _LANES * _LANES
    shared = grad_lam.size == 0
    s_re, s_im, l_re, l_im = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    q_re, q_im, sum_re, sum_im = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    for row in range(sizes[0]):
        c = _row(carry_at, row, 0)
        for n in range(width):
            s_re[n], s_im[n] = carry[c + n].real, carry[c + n].imag
            sum_re[n], sum_im[n] = 0, 0
        for step in range(sizes[1]):
            i, k = _row(at[0], row, step), _row(lam_at, row, step)
            g = _row(at[1], row, step)
            before, b = h, _row(h_at, row, step + 1)
            if ends and step == sizes[1] - 1:
                before, b = h0, _row(h0_at, row, 0)
            if step == 0 or lam_at[2] != 0:
                for n in range(width):
                    l_re[n], l_im[n] = lam[k + n].real, lam[k + n].imag
            for tile in range(numba.uintp(0), whole, _LANES):
                for lane in range(_LANES):
                    _retreat(tile + lane, l_re, l_im, s_re, s_im, q_re, q_im, grad, g, before, b, grad_x, i)
            for n in range(whole, width):
                _retreat(n, l_re, l_im, s_re, s_im, q_re, q_im, grad, g, before, b, grad_x, i)
            if shared:
                for n in range(width):
                    sum_re[n] += q_re[n]
                    sum_im[n] += q_im[n]
            else:
                for n in range(width):
                    grad_lam[i + n] = complex(q_re[n], q_im[n])
        for n in range(width):
            carry[c + n] = complex(s_re[n], s_im[n])
            total[c + n] = complex(sum_re[n], sum_im[n])


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
    states = torch.empty_like(x, memory_format=torch.contiguous_format)
    if states.numel() == 0:
        return states
    lam, x, out = _flat(lam.expand(x.shape)), _flat(x), _flat(states)
    plan = _plan(states.shape, threads or torch.get_num_threads())
    carries = _carries(lam, x, h0, plan, reverse, adjoint=False)
    kernel = _scan_complex if states.is_complex() else _scan_real

    def piece(rows: slice, channels: slice, chunk: int) -> None:
        lam_at, x_at, out_at = (t.place(plan, rows, channels, chunk, reverse) for t in (lam, x, out))
        sizes, carry_at = plan.sizes(rows, channels, chunk), plan.carry_at(rows, channels, chunk)
        kernel(lam.data, lam_at, x.data, x_at, out.data, out_at, carries.reshape(-1), carry_at, sizes)

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
    shared = lam.ndim == 1
    grad_x = torch.empty_like(grad, memory_format=torch.contiguous_format)
    grad_lam = grad.new_empty(0 if shared else grad.shape)
    if grad_x.numel() == 0:
        return torch.zeros_like(lam) if shared else grad_lam, grad_x, torch.zeros_like(h0)
    lam, h, grad, out = _flat(lam.expand(h.shape)), _flat(h), _flat(grad), _flat(grad_x)
    first = h0.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).numpy()
    plan = _plan(grad_x.shape, threads or torch.get_num_threads())
    carries = _carries(lam, grad, torch.zeros_like(h0), plan, not reverse, adjoint=True)
    totals = np.empty_like(carries)
    kernel = _adjoint_complex if grad_x.is_complex() else _adjoint_real

    def piece(rows: slice, channels: slice, chunk: int) -> None:
        places = [t.place(plan, rows, channels, chunk, not reverse) for t in (lam, h, out, grad)]
        lam_at, h_at, *at = places
        kernel(
            *(lam.data, lam_at, h.data, h_at, first, plan.carry_at(rows, channels, 0), grad.data, tuple(at)),
            *(carries.reshape(-1), plan.carry_at(rows, channels, chunk), out.data, grad_lam.reshape(-1).numpy()),
            *(totals.reshape(-1), plan.sizes(rows, channels, chunk), chunk == plan.chunks - 1),
        )

    _run(piece, plan.pieces(plan.chunks), plan.threads)
    if shared:  # summed in double precision and in a fixed order
        grad_lam = torch.from_numpy(totals.sum((0, 1))).to(grad_x.dtype)
    return grad_lam, grad_x, torch.from_numpy(carries[-1]).to(grad_x.dtype)


class _Flat(NamedTuple):
    """A tensor (batch, time, channel) as the flat array that holds its elements; channels are neighbours in it."""

    data: np.ndarray
    batch: int  # distance from a sequence to the next, in elements
    time: int  # from a step to the next

    def place(self, plan: _Plan, rows: slice, channels: slice, chunk: int, backwards: bool) -> tuple[int, int, int]:
        step = chunk * plan.length
        if backwards:
            step = plan.time - 1 - step
        first = rows.start * self.batch + step * self.time + channels.start
        return first, self.batch, -self.time if backwards else self.time


def _flat(t: Tensor) -> _Flat:
    t = t.detach().resolve_conj().resolve_neg()
    if t.shape[2] > 1 and t.stride(2) != 1:
        t = t.contiguous()
    (batch, time, channels), (per_batch, per_step, _) = t.shape, t.stride()
    span = (batch - 1) * per_batch + (time - 1) * per_step + channels
    return _Flat(t.as_strided((span,), (1,)).numpy(), per_batch, per_step)


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


def _plan(shape: tuple[int, int, int], threads: int) -> _Plan:
    """Batch first, since whole rows are read fastest; then channels; time costs a second pass over the input."""
    batch, time, channels = shape
    if math.prod(shape) <= _INLINE:
        threads = 1
    groups = min(batch, 4 * threads) if threads > 1 else 1
    # tiles that make the pieces a multiple of the threads, while each keeps its vectors full
    tiles = 1 if groups >= 4 * threads else min(threads // math.gcd(groups, threads), max(1, channels // int(_LANES)))
    chunks = 1
    if threads >= 4 * groups * tiles:
        chunks = max(1, min(2 * threads // (groups * tiles), time // _CHUNK))
    length = -(-time // chunks)
    chunks = -(-time // length)
    return _Plan(*shape, _cut(batch, groups), _cut(channels, tiles, int(_LANES)), chunks, length, threads)


def _cut(size: int, parts: int, multiple: int = 1) -> list[slice]:
    """Equal parts of ``range(size)`` but for rounding; all but the last end at a multiple of ``multiple``."""
    edges = [size * part // parts // multiple * multiple for part in range(parts)] + [size]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges) if stop > start]


def _carries(lam: _Flat, x: _Flat, start: Tensor, plan: _Plan, backwards: bool, adjoint: bool) -> np.ndarray:
    """Stages 1 and 2: the states that enter the chunks ``(chunk, batch, channel)``, in double precision."""
    wide = np.result_type(x.data.dtype, np.float64)
    carries = np.empty((plan.chunks, plan.batch, plan.channels), wide)
    carries[0] = start.detach().resolve_conj().resolve_neg().numpy()
    if plan.chunks > 1:
        ends, products = np.empty_like(carries), np.empty_like(carries)

        def piece(rows: slice, channels: slice, chunk: int) -> None:
            lam_at, x_at = (t.place(plan, rows, channels, chunk, backwards) for t in (lam, x))
            place, sizes = plan.carry_at(rows, channels, chunk), plan.sizes(rows, channels, chunk)
            _reduce(lam.data, lam_at, x.data, x_at, ends.reshape(-1), products.reshape(-1), place, sizes, adjoint)

        _run(piece, plan.pieces(plan.chunks - 1), plan.threads)
        for chunk in range(1, plan.chunks):
            carries[chunk] = products[chunk - 1] * carries[chunk - 1] + ends[chunk - 1]
    return carries


def _run(piece: Callable[[slice, slice, int], None], pieces: list[tuple[slice, slice, int]], threads: int) -> None:
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
