r"""The scan in a single pass also where columns are few: decoupled look-back over tiles.

A program takes one tile into registers, reduces it to its map :math:`h \mapsto p h + e`, learns the state c that enters
it from what earlier tiles have published, and replays it from c, still in registers: every element is read once and
written once. Time is cut into tiles, tiles into *groups* of G about as long as there are groups. Program k of group g

1. takes the next *ticket*, which says what tile is its own. A program can then only wait for programs with lower
   tickets, which have started; the one with the lowest never waits. So all of them finish, in whatever order the device
   starts them;
2. publishes its map (p only where :math:`\lambda` differs from step to step);
3. waits for the maps of the tiles before it in its group and composes them, in order;
4. waits for the state that entered its group, :math:`c_g` (:math:`c_0 = h_0`), and applies the composed map: c;
5. if it is the last of its group, publishes the state that leaves it, :math:`c_{g+1}`;
6. replays its tile from c.

The longest chain of waits has one link a group. What is combined with what depends on T alone, never on who came
first, so the result is the same bits at each call; the usual look-back, which stops at the first finished prefix it
meets, does not have this.

What is published is float64 in words of 64 bits, each written and read as one, and a word that was not written yet is
``EMPTY``, a NaN that arithmetic does not produce. So a value is its own flag, and no order of memory accesses is relied
on. Waiting ends after ``PATIENCE`` attempts: should a value never come, the kernel fails, and the next call that waits
for the device raises; nothing hangs.

Source: Merrill and Garland (2016), "Single-pass parallel prefix scan with decoupled look-back", for the idea.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import INTEGERS, add, block, choose, compose, constant, from_carry, index, initial, load, pointers, store
from .tiles import finish_adjoint, read, reduce, replay, replay_adjoint, slope

EMPTY = tl.constexpr(-1)  # all bits set
_QUIET_NAN = tl.constexpr(0x7FF8000000000000)  # every NaN is published as this one
PATIENCE = tl.constexpr(1 << 22)  # some seconds


@triton.jit
def _publish(words, at, value, inside, COMPLEX: tl.constexpr):
    parts: tl.constexpr = 2 if COMPLEX else 1
    for part in tl.static_range(parts):
        bits = value[part].to(tl.int64, bitcast=True)
        bits = tl.where(value[part] == value[part], bits, _QUIET_NAN)
        tl.atomic_xchg(words + parts * at + part, bits, mask=inside, sem="relaxed")


@triton.jit
def _await(words, at, inside, COMPLEX: tl.constexpr):
    """The values ``at`` as soon as all that are ``inside`` have been published; zero where not ``inside``."""
    at = 2 * at if COMPLEX else at
    re = tl.load(words + at, mask=inside, other=0, volatile=True)
    im = tl.load(words + at + 1, mask=inside, other=0, volatile=True) if COMPLEX else re
    tries = 0
    while (tl.max(((re == EMPTY) | (im == EMPTY)).to(tl.int32)) == 1) & (tries < PATIENCE):
        re = tl.load(words + at, mask=inside, other=0, volatile=True)
        im = tl.load(words + at + 1, mask=inside, other=0, volatile=True) if COMPLEX else re
        tries += 1
    tl.device_assert(tries < PATIENCE, "look-back waited in vain for an earlier tile: use another strategy")
    re = re.to(tl.float64, bitcast=True)
    return re, im.to(tl.float64, bitcast=True) if COMPLEX else tl.zeros_like(re)


@triton.jit
def _ticket(counter, blocks):
    """This program's tile and block of columns. Blocks of one tile follow each other: their rows are neighbours."""
    ticket = (tl.atomic_add(counter, 1, sem="relaxed") - EMPTY).to(tl.int32)
    return ticket // blocks, ticket % blocks


@triton.jit
def _enter(
    p, e, slope_of_tile, start, entries, sums, products, tile, run, number, batch, N,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, ADJOINT: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Stages 2 to 5: from the maps of this tile's strips to the states that enter them, and the one that leaves the
    tile."""
    before, whole = compose(p, e, COMPLEX)
    columns = batch.to(tl.int64) * N
    sequence, channel, _, inside = block(number, batch, N, 1, COLUMNS, CHANNELS)
    column = sequence * N + channel
    slot = tile * columns + column
    _publish(sums, slot, whole[1], inside, COMPLEX)
    if PER_STEP:
        _publish(products, slot, whole[0], inside, COMPLEX)

    # every strip of threads takes `run` tiles of the group, in order
    sequence, channel, strip, there = block(number, batch, N, STRIPS, COLUMNS, CHANNELS)
    group = tile // (STRIPS * run)
    earlier = group * (STRIPS * run) + strip * run
    p, e = constant(p, 1.0), constant(p, 0.0)
    for _tile in range(run):
        known = there & (earlier < tile)
        at = earlier * columns + sequence * N + channel
        f = _await(sums, at, known, COMPLEX)
        q = _await(products, at, known, COMPLEX) if PER_STEP else slope_of_tile
        e = choose(known, from_carry(q, e, f, COMPLEX), e)
        p = choose(known, from_carry(q, p, constant(p, 0.0), COMPLEX), p)
        earlier += 1
    _, past = compose(p, e, COMPLEX)

    c = initial(start, column, inside & (group == 0), COMPLEX, ADJOINT)
    slot = group * columns + column
    c = add(c, _await(entries, slot, inside & (group > 0), COMPLEX))
    c = from_carry(past[0], c, past[1], COMPLEX)
    leave = from_carry(whole[0], c, whole[1], COMPLEX)
    _publish(entries, slot + columns, leave, inside & ((tile + 1) % (STRIPS * run) == 0), COMPLEX)
    return from_carry(before[0], c, before[1], COMPLEX), leave


@triton.jit(do_not_specialize=INTEGERS)
def _look_back(
    x, lam, start, states, counter, entries, sums, products, batch, T, N, blocks, run,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """All states of one tile."""
    N = N // ALIGN * ALIGN
    tile, number = _ticket(counter, blocks)
    sequence, channel, strip, inside = block(number, batch, N, STRIPS, COLUMNS, CHANNELS)
    stop = tl.minimum((tile + 1) * (STRIPS * STEPS), T)
    first = tile * (STRIPS * STEPS) + strip * STEPS
    at, stride = index(sequence, channel, first, T, N, BACKWARDS)
    rows = read(x, lam, x, at, stride, first, stop, inside, COMPLEX, PER_STEP, False, STEPS)
    l = load(pointers(lam, channel, COMPLEX), inside, COMPLEX)
    p, e = reduce(l, slope(l, STEPS, COMPLEX, False), rows, COMPLEX, PER_STEP, False, STEPS)
    enter, _ = _enter(
        p, e, slope(l, STRIPS * STEPS, COMPLEX, False), start, entries, sums, products, tile, run, number, batch, N,
        COMPLEX, PER_STEP, False, STRIPS, COLUMNS, CHANNELS,
    )  # fmt: skip
    replay(l, enter, rows, states, at, stride, first, stop, inside, COMPLEX, PER_STEP, STEPS)


@triton.jit(do_not_specialize=INTEGERS)
def _look_back_adjoint(
    grad, lam, h, h0, grad_lam, grad_x, grad_h0, counter, entries, sums, products,
    batch, T, N, blocks, run, skipped,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """All gradients of one tile; ``skipped``, ``BACKWARDS`` and the sum over a tile as in ``chunks.py``."""
    N = N // ALIGN * ALIGN
    tile, number = _ticket(counter, blocks)
    sequence, channel, strip, inside = block(number, batch, N, STRIPS, COLUMNS, CHANNELS)
    stop = (tile + 1) * (STRIPS * STEPS) - skipped
    first = stop - STRIPS * STEPS + strip * STEPS
    at, stride = index(sequence, channel, first, T, N, BACKWARDS)
    rows = read(grad, lam, h, at, stride, first, stop, inside, COMPLEX, PER_STEP, True, STEPS)
    l = load(pointers(lam, channel, COMPLEX), inside, COMPLEX)
    p, e = reduce(l, slope(l, STEPS, COMPLEX, True), rows, COMPLEX, PER_STEP, True, STEPS)
    enter, leave = _enter(
        p, e, slope(l, STRIPS * STEPS, COMPLEX, True), h0, entries, sums, products, tile, run, number, batch, N,
        COMPLEX, PER_STEP, True, STRIPS, COLUMNS, CHANNELS,
    )  # fmt: skip
    _, total = replay_adjoint(
        l, enter, rows, grad_lam, grad_x, at, stride, first, stop, inside, COMPLEX, PER_STEP, STEPS
    )
    alone = inside & (strip == 0)
    if tile == tl.num_programs(0) // blocks - 1:
        total = finish_adjoint(
            l,
            lam,
            h0,
            grad,
            leave,
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
        sequence, channel, _, inside = block(number, batch, N, 1, COLUMNS, CHANNELS)
        slot = (tile.to(tl.int64) * batch + sequence) * N + channel
        store(pointers(grad_lam, slot, COMPLEX), (re, im), inside, COMPLEX)
