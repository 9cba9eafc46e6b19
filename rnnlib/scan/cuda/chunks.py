r"""Three stages over chunks of time; with one chunk the last stage alone, a single pass.

1. ``_reduce``: every chunk but the last from a zero state: its last state :math:`e_k` and, where :math:`\lambda`
   differs from step to step, the product :math:`p_k` of its eigenvalues.
2. ``_carry``: the recurrence over chunks, :math:`c_0 = h_0` and :math:`c_{k+1} = p_k c_k + e_k`, where
   :math:`p_k = \lambda^L` for a shared :math:`\lambda` and chunk length L.
3. ``_replay`` (adjoint: ``_replay_adjoint``): every chunk from its carry, with all its states (gradients).

A program handles one block of columns in one chunk (stage 2: in all of them) and walks it tile by tile. While it works
on one tile in registers, the loads of the next are under way: those bytes in flight are what keeps the memory busy.
Where a tile has several strips, each is reduced from zero, the state that enters the tile goes through their maps
across threads in float64, and each is replayed from the state that really enters it, all from the registers. In stage
1, which needs the end alone, each strip is one part of the chunk, and their maps are composed once.

The adjoint has T - 1 equal steps and then the scan's first one, which ``finish_adjoint`` takes. Its chunks are aligned
with its end: the first chunk begins with ``skipped`` rows that do not exist, which leave its zero state zero.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import (
    INTEGERS,
    add,
    block,
    cast,
    compose,
    constant,
    first_row,
    follow,
    from_carry,
    index,
    initial,
    load,
    pointers,
    store,
)
from .tiles import finish_adjoint, read, reduce, replay, replay_adjoint, slope


@triton.jit(do_not_specialize=INTEGERS)
def _reduce(
    x, lam, ends, products, batch, T, N, length, skipped,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr, ADJOINT: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Stage 1: where each chunk takes a zero state, and its slope."""
    N = N // ALIGN * ALIGN
    sequence, channel, strip, inside = block(tl.program_id(0), batch, N, STRIPS, COLUMNS, CHANNELS)
    chunk = tl.program_id(1)
    own = length // STRIPS  # strips of a chunk, not of a tile: threads need each other only at the end
    first = (chunk + 1) * length - skipped - length + strip * own
    stop = tl.maximum(first + own, 0)
    at, stride = index(sequence, channel, first, T, N, BACKWARDS)
    l = load(pointers(lam, channel, COMPLEX), inside, COMPLEX)
    p = slope(l, STEPS, COMPLEX, ADJOINT)
    rows = read(x, lam, x, at, stride, first, stop, inside, COMPLEX, PER_STEP, False, STEPS)
    c = cast(constant(rows[0][0], 0.0), tl.float64)
    product = constant(c, 1.0)
    for _piece in range(0, own, STEPS):
        at += STEPS * stride
        first += STEPS
        following = read(x, lam, x, at, stride, first, stop, inside, COMPLEX, PER_STEP, False, STEPS)
        q, e = reduce(l, p, rows, COMPLEX, PER_STEP, ADJOINT, STEPS)
        c = from_carry(q, c, e, COMPLEX)
        if PER_STEP:
            product = from_carry(q, product, constant(c, 0.0), COMPLEX)
        rows = following
    if STRIPS > 1:
        if not PER_STEP:
            product = slope(l, own, COMPLEX, ADJOINT)
        product, c = compose(product, c, COMPLEX)
    slot = (chunk.to(tl.int64) * batch + sequence) * N + channel
    store(pointers(ends, slot, COMPLEX), c, inside & (strip == 0), COMPLEX)
    if PER_STEP:
        store(pointers(products, slot, COMPLEX), product, inside & (strip == 0), COMPLEX)


@triton.jit(do_not_specialize=INTEGERS)
def _carry(
    ends, products, lam, start, carries, chunks, batch, N, length,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, ADJOINT: tl.constexpr,
    COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Stage 2: the state that enters each chunk but the first, in float64."""
    N = N // ALIGN * ALIGN
    sequence, channel, first, inside = block(tl.program_id(0), batch, N, 1, COLUMNS, CHANNELS)
    columns = batch.to(tl.int64) * N
    at = sequence * N + channel
    c = initial(start, at, inside, COMPLEX, ADJOINT)
    p = slope(load(pointers(lam, channel, COMPLEX), inside, COMPLEX), length, COMPLEX, ADJOINT)
    rows = read(ends, products, ends, at, columns, first, chunks - 1, inside, COMPLEX, PER_STEP, False, STEPS)
    for k in range(0, chunks - 1, STEPS):
        ahead = at + STEPS * columns
        first += STEPS
        following = read(
            ends, products, ends, ahead, columns, first, chunks - 1, inside, COMPLEX, PER_STEP, False, STEPS
        )
        for i in tl.static_range(STEPS):
            c = from_carry(rows[i][1] if PER_STEP else p, c, rows[i][0], COMPLEX)
            store(pointers(carries, at + i * columns, COMPLEX), c, inside & (k + i < chunks - 1), COMPLEX)
        at = ahead
        rows = following


@triton.jit
def _carried(start, carries, chunk, batch, N, sequence, channel, inside, COMPLEX: tl.constexpr, ADJOINT: tl.constexpr):
    """The state that enters a chunk: what stage 2 wrote or, in the first, the initial state."""
    column = sequence * N + channel
    slot = (chunk - 1).to(tl.int64) * batch * N + column
    c = initial(start, column, inside & (chunk == 0), COMPLEX, ADJOINT)
    c = add(c, cast(load(pointers(carries, slot, COMPLEX), inside & (chunk > 0), COMPLEX), tl.float64))
    return first_row(c, COMPLEX)


@triton.jit(do_not_specialize=INTEGERS)
def _replay(
    x, lam, start, carries, states, batch, T, N, length,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Stage 3: all states of each chunk."""
    N = N // ALIGN * ALIGN
    sequence, channel, strip, inside = block(tl.program_id(0), batch, N, STRIPS, COLUMNS, CHANNELS)
    chunk = tl.program_id(1)
    stop = tl.minimum((chunk + 1) * length, T)
    first = chunk * length + strip * STEPS
    at, stride = index(sequence, channel, first, T, N, BACKWARDS)
    l = load(pointers(lam, channel, COMPLEX), inside, COMPLEX)
    p = slope(l, STEPS, COMPLEX, False)
    c = _carried(start, carries, chunk, batch, N, sequence, channel, inside, COMPLEX, False)
    if STRIPS == 1:
        c = cast(c, l[0].dtype)
    rows = read(x, lam, x, at, stride, first, stop, inside, COMPLEX, PER_STEP, False, STEPS)
    for _tile in range(chunk * length, stop, STRIPS * STEPS):
        ahead = at + STRIPS * STEPS * stride
        after = first + STRIPS * STEPS
        following = read(x, lam, x, ahead, stride, after, stop, inside, COMPLEX, PER_STEP, False, STEPS)
        enter = c
        if STRIPS > 1:
            q, e = reduce(l, p, rows, COMPLEX, PER_STEP, False, STEPS)
            enter, c = follow(q, e, c, COMPLEX, not PER_STEP)
        h = replay(l, enter, rows, states, at, stride, first, stop, inside, COMPLEX, PER_STEP, STEPS)
        if STRIPS == 1:
            c = h
        at = ahead
        first = after
        rows = following


@triton.jit(do_not_specialize=INTEGERS)
def _replay_adjoint(
    grad, lam, h, h0, carries, grad_lam, grad_x, grad_h0, batch, T, N, length, skipped,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    r"""Stage 3 of the adjoint: all gradients of each chunk; the gradient of a shared :math:`\lambda` is summed over the
    chunk here, in float64, and over chunks and batch by the caller. ``BACKWARDS`` is the direction of the adjoint."""
    N = N // ALIGN * ALIGN
    sequence, channel, strip, inside = block(tl.program_id(0), batch, N, STRIPS, COLUMNS, CHANNELS)
    chunk = tl.program_id(1)
    stop = (chunk + 1) * length - skipped
    first = stop - length + strip * STEPS
    at, stride = index(sequence, channel, first, T, N, BACKWARDS)
    l = load(pointers(lam, channel, COMPLEX), inside, COMPLEX)
    p = slope(l, STEPS, COMPLEX, True)
    c = _carried(h0, carries, chunk, batch, N, sequence, channel, inside, COMPLEX, True)
    if STRIPS == 1:
        c = cast(c, l[0].dtype)
    rows = read(grad, lam, h, at, stride, first, stop, inside, COMPLEX, PER_STEP, True, STEPS)
    total = cast(constant(rows[0][0], 0.0), tl.float64)
    for _tile in range(0, length, STRIPS * STEPS):
        ahead = at + STRIPS * STEPS * stride
        after = first + STRIPS * STEPS
        following = read(grad, lam, h, ahead, stride, after, stop, inside, COMPLEX, PER_STEP, True, STEPS)
        enter = c
        if STRIPS > 1:
            q, e = reduce(l, p, rows, COMPLEX, PER_STEP, True, STEPS)
            enter, c = follow(q, e, c, COMPLEX, not PER_STEP)
        s, part = replay_adjoint(
            l, enter, rows, grad_lam, grad_x, at, stride, first, stop, inside, COMPLEX, PER_STEP, STEPS
        )
        total = add(total, part)
        if STRIPS == 1:
            c = s
        at = ahead
        first = after
        rows = following
    alone = inside & (strip == 0)
    if chunk == tl.num_programs(1) - 1:
        total = finish_adjoint(
            l,
            lam,
            h0,
            grad,
            c,
            total,
            grad_lam,
            grad_x,
            grad_h0,
            sequence,
            channel,
            T,
            N,
            alone,
            COMPLEX,
            PER_STEP,
            BACKWARDS,
        )
    if not PER_STEP:
        re, im = tl.sum(total[0], axis=0)[None, :], tl.sum(total[1], axis=0)[None, :]
        sequence, channel, _, inside = block(tl.program_id(0), batch, N, 1, COLUMNS, CHANNELS)
        slot = (chunk.to(tl.int64) * batch + sequence) * N + channel
        store(pointers(grad_lam, slot, COMPLEX), (re, im), inside, COMPLEX)
