r"""The scan in a single pass also where columns are few: decoupled look-back over tiles.

A program takes one tile into registers, reduces it to its map :math:`h \mapsto p h + e`, learns the state c that enters
it from what earlier tiles have published, and replays it from c, still in registers: every element is read once and
written once. Time is cut into tiles, tiles into *groups* of ``STRIPS * RUN``. A program

1. takes the next *ticket*, which says what tile is its own. A program can then only wait for programs with lower
   tickets, which have started; the one with the lowest never waits. So all of them finish, in whatever order the device
   starts them;
2. publishes its map (p only where :math:`\lambda` differs from step to step);
3. waits for the maps of the tiles before it in its group, all at once: a strip of threads loads ``RUN`` of them and
   composes them in order, then what the strips have is composed;
4. waits for the state that entered its group, :math:`c_g` (:math:`c_0 = h_0`), and applies the composed map: c;
5. if it is the last of its group, publishes the state that leaves it, :math:`c_{g+1}`;
6. replays its tile from c.

The longest chain of waits has one link a group. What is combined with what depends on T alone, never on who came
first, so the result is the same bits at each call; the usual look-back, which stops at the first finished prefix it
meets, does not have this.

A published number is its own flag: a word that was not written yet is ``EMPTY``, a NaN that arithmetic does not
produce, and a word is written and read as one. So no order of memory accesses is relied on. Slopes and states that
enter groups are float64, a word for each part; where a tile takes zero has the precision of the states, both parts of a
complex64 in one word. Waiting ends after ``PATIENCE`` attempts: should a value never come, the kernel fails, and the
next call that waits for the device raises; nothing hangs.

Source: Merrill and Garland (2016), "Single-pass parallel prefix scan with decoupled look-back", for the idea.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import (
    INTEGERS,
    add,
    block,
    cast,
    choose,
    compose,
    constant,
    from_carry,
    index,
    initial,
    load,
    pointers,
    store,
)
from .tiles import finish_adjoint, read, reduce, replay, replay_adjoint, slope

EMPTY = tl.constexpr(-1)  # all bits set
PATIENCE = tl.constexpr(1 << 22)  # some seconds


@triton.jit
def _bits(number):
    """The number as a word that is not ``EMPTY``: every NaN is the same one."""
    if number.dtype == tl.float64:
        return tl.where(number == number, number.to(tl.int64, bitcast=True), 0x7FF8000000000000)
    else:
        return tl.where(number == number, number.to(tl.int32, bitcast=True), 0x7FC00000)


@triton.jit
def _publish(words, at, value, inside, COMPLEX: tl.constexpr):
    if not COMPLEX:
        tl.atomic_xchg(words + at, _bits(value[0]), mask=inside, sem="relaxed")
    elif value[0].dtype == tl.float64:
        tl.atomic_xchg(words + 2 * at, _bits(value[0]), mask=inside, sem="relaxed")
        tl.atomic_xchg(words + 2 * at + 1, _bits(value[1]), mask=inside, sem="relaxed")
    else:
        low = _bits(value[0]).to(tl.uint32, bitcast=True).to(tl.uint64)
        high = _bits(value[1]).to(tl.uint32, bitcast=True).to(tl.uint64)
        tl.atomic_xchg(words + at, (high << 32 | low).to(tl.int64, bitcast=True), mask=inside, sem="relaxed")


@triton.jit
def _look(words, at, inside, PARTS: tl.constexpr):
    """Pointers to the words of a value, and what stands there now; zero where not ``inside``."""
    places, found = (), ()
    for part in tl.static_range(PARTS):
        places += (words + PARTS * at + part,)
        found += (tl.load(words + PARTS * at + part, mask=inside, other=0, volatile=True),)
    return places, found


@triton.jit
def _missing(found):
    missing = found[0] == EMPTY
    for i in tl.static_range(1, len(found)):
        missing |= found[i] == EMPTY
    return tl.max(missing.to(tl.int32))


@triton.jit
def _wait(places, found, tries):
    """What stands at ``places`` as soon as nothing is ``EMPTY``; words that were found are not read again."""
    while (_missing(found) == 1) & (tries < PATIENCE):
        again = ()
        for i in tl.static_range(len(found)):
            empty = found[i] == EMPTY
            again += (tl.where(empty, tl.load(places[i], mask=empty, other=0, volatile=True), found[i]),)
        found = again
        tries += 1
    return found, tries


@triton.jit
def _value(found, first: tl.constexpr, DTYPE: tl.constexpr, COMPLEX: tl.constexpr):
    """The value whose words begin at number ``first``, in float64."""
    bits = found[first]
    if not COMPLEX:
        re = bits.to(DTYPE, bitcast=True).to(tl.float64)
        return re, tl.zeros_like(re)
    elif DTYPE == tl.float64:
        return bits.to(tl.float64, bitcast=True), found[first + 1].to(tl.float64, bitcast=True)
    else:
        re, im = bits.to(tl.int32), (bits >> 32).to(tl.int32)
        return re.to(tl.float32, bitcast=True).to(tl.float64), im.to(tl.float32, bitcast=True).to(tl.float64)


@triton.jit
def _ticket(counter, blocks):
    """This program's tile and block of columns. Blocks of one tile follow each other: their rows are neighbours."""
    ticket = (tl.atomic_add(counter, 1, sem="relaxed") - EMPTY).to(tl.int32)
    return ticket // blocks, ticket % blocks


@triton.jit
def _map(
    p, e, sums, products, tile, number, batch, N,
    DTYPE: tl.constexpr, COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Stage 2: compose the maps of the strips and publish that of the tile. ``DTYPE`` is that of the states."""
    before, whole = compose(p, e, COMPLEX)
    sequence, channel, _, inside = block(number, batch, N, 1, COLUMNS, CHANNELS)
    slot = (tile * batch.to(tl.int64) + sequence) * N + channel
    _publish(sums, slot, cast(whole[1], DTYPE), inside, COMPLEX)
    if PER_STEP:
        _publish(products, slot, whole[0], inside, COMPLEX)
    return before, whole


@triton.jit
def _past(
    slope_of_tile, sums, products, tile, number, batch, N,
    DTYPE: tl.constexpr, COMPLEX: tl.constexpr, PER_STEP: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, RUN: tl.constexpr,
):  # fmt: skip
    """Stage 3: the composed map of the tiles before this one in its group, and how often it was waited for."""
    sequence, channel, strip, inside = block(number, batch, N, STRIPS, COLUMNS, CHANNELS)
    wide: tl.constexpr = 2 if COMPLEX else 1
    parts: tl.constexpr = wide if DTYPE == tl.float64 else 1
    earlier = tile // (STRIPS * RUN) * (STRIPS * RUN) + strip * RUN
    places, found = (), ()
    for i in tl.static_range(RUN):
        slot = ((earlier + i) * batch.to(tl.int64) + sequence) * N + channel
        more = _look(sums, slot, inside & (earlier + i < tile), parts)
        places += more[0]
        found += more[1]
        if PER_STEP:
            more = _look(products, slot, inside & (earlier + i < tile), wide)
            places += more[0]
            found += more[1]
    found, tries = _wait(places, found, tl.full((), 0, tl.int32))
    p, e = constant(slope_of_tile, 1.0), constant(slope_of_tile, 0.0)
    words: tl.constexpr = parts + wide * PER_STEP
    for i in tl.static_range(RUN):
        f = _value(found, i * words, DTYPE, COMPLEX)
        q = _value(found, i * words + parts, tl.float64, COMPLEX) if PER_STEP else slope_of_tile
        known = inside & (earlier + i < tile)
        e = choose(known, from_carry(q, e, f, COMPLEX), e)
        p = choose(known, from_carry(q, p, constant(p, 0.0), COMPLEX), p)
    _, whole = compose(p, e, COMPLEX)
    return whole, tries


@triton.jit
def _enter(
    before, whole, past, start, entries, tile, number, batch, N, tries,
    COMPLEX: tl.constexpr, ADJOINT: tl.constexpr, GROUP: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Stages 4 and 5: the states that enter the strips of a tile, and the one that leaves it."""
    sequence, channel, _, inside = block(number, batch, N, 1, COLUMNS, CHANNELS)
    column, group = sequence * N + channel, tile // GROUP
    slot = (group * batch.to(tl.int64) + sequence) * N + channel
    places, found = _look(entries, slot, inside & (group > 0), 2 if COMPLEX else 1)
    found, tries = _wait(places, found, tries)
    c = initial(start, column, inside & (group == 0), COMPLEX, ADJOINT)
    c = add(c, _value(found, 0, tl.float64, COMPLEX))
    c = from_carry(past[0], c, past[1], COMPLEX)
    leave = from_carry(whole[0], c, whole[1], COMPLEX)
    _publish(entries, slot + batch.to(tl.int64) * N, leave, inside & ((tile + 1) % GROUP == 0), COMPLEX)
    return from_carry(before[0], c, before[1], COMPLEX), leave, tries


@triton.jit(do_not_specialize=INTEGERS)
def _look_back(
    x, lam, start, states, counter, entries, sums, products, batch, T, N, blocks,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr,
    RUN: tl.constexpr,
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
    dtype: tl.constexpr = rows[0][0][0].dtype
    before, whole = _map(p, e, sums, products, tile, number, batch, N, dtype, COMPLEX, PER_STEP, COLUMNS, CHANNELS)
    past, tries = _past(
        slope(l, STRIPS * STEPS, COMPLEX, False), sums, products, tile, number, batch, N,
        dtype, COMPLEX, PER_STEP, STRIPS, COLUMNS, CHANNELS, RUN,
    )  # fmt: skip
    enter, _, tries = _enter(
        before, whole, past, start, entries, tile, number, batch, N, tries,
        COMPLEX, False, STRIPS * RUN, COLUMNS, CHANNELS,
    )  # fmt: skip
    replay(l, enter, rows, states, at, stride, first, stop, inside, COMPLEX, PER_STEP, STEPS)
    tl.device_assert(tries < PATIENCE, "look-back waited in vain for an earlier tile: use another strategy")


@triton.jit(do_not_specialize=INTEGERS)
def _look_back_adjoint(
    grad, lam, h, h0, grad_lam, grad_x, grad_h0, counter, entries, sums, products,
    batch, T, N, blocks, skipped,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
    STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ALIGN: tl.constexpr, STEPS: tl.constexpr,
    RUN: tl.constexpr,
):  # fmt: skip
    """All gradients of one tile; ``skipped``, ``BACKWARDS`` and the sum over a tile as in ``chunks.py``."""
    N = N // ALIGN * ALIGN
    tile, number = _ticket(counter, blocks)
    sequence, channel, strip, inside = block(number, batch, N, STRIPS, COLUMNS, CHANNELS)
    stop = (tile + 1) * (STRIPS * STEPS) - skipped
    first = stop - STRIPS * STEPS + strip * STEPS
    at, stride = index(sequence, channel, first, T, N, BACKWARDS)
    rows = read(grad, lam, grad, at, stride, first, stop, inside, COMPLEX, PER_STEP, False, STEPS)
    l = load(pointers(lam, channel, COMPLEX), inside, COMPLEX)
    p, e = reduce(l, slope(l, STEPS, COMPLEX, True), rows, COMPLEX, PER_STEP, True, STEPS)
    dtype: tl.constexpr = rows[0][0][0].dtype
    before, whole = _map(p, e, sums, products, tile, number, batch, N, dtype, COMPLEX, PER_STEP, COLUMNS, CHANNELS)
    past, tries = _past(
        slope(l, STRIPS * STEPS, COMPLEX, True), sums, products, tile, number, batch, N,
        dtype, COMPLEX, PER_STEP, STRIPS, COLUMNS, CHANNELS, RUN,
    )  # fmt: skip
    # asked for here, the states come while this program waits, and need no registers before
    states = read(h, h, h, at + stride, stride, first, stop, inside, COMPLEX, False, False, STEPS)
    enter, leave, tries = _enter(
        before, whole, past, h0, entries, tile, number, batch, N, tries,
        COMPLEX, True, STRIPS * RUN, COLUMNS, CHANNELS,
    )  # fmt: skip
    both = ()
    for i in tl.static_range(STEPS):
        both += (rows[i] + states[i],)
    _, total = replay_adjoint(
        l, enter, both, grad_lam, grad_x, at, stride, first, stop, inside, COMPLEX, PER_STEP, STEPS
    )
    alone = inside & (strip == 0)
    if tile == tl.num_programs(0) // blocks - 1:
        total = finish_adjoint(
            l, lam, h0, grad, leave, total, grad_lam, grad_x, grad_h0, sequence, channel, T, N, alone,
            COMPLEX, PER_STEP, BACKWARDS,
        )  # fmt: skip
    if not PER_STEP:
        re, im = tl.sum(total[0], axis=0)[None, :], tl.sum(total[1], axis=0)[None, :]
        sequence, channel, _, inside = block(number, batch, N, 1, COLUMNS, CHANNELS)
        slot = (tile.to(tl.int64) * batch + sequence) * N + channel
        store(pointers(grad_lam, slot, COMPLEX), (re, im), inside, COMPLEX)
    tl.device_assert(tries < PATIENCE, "look-back waited in vain for an earlier tile: use another strategy")
