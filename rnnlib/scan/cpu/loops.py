r"""The loops that numba compiles: a scan, the reduction of a chunk, and the adjoint.

Channels are taken ``LANES`` at a time, a step of which is a few vector instructions: states, slopes and sums stay in
registers, in double precision, real and imaginary parts apart. A compiler that must allow for inputs and outputs that
overlap has no right to that form. So the intrinsics below, Python functions that run when a loop is compiled, emit it:
once for each length of ``_VECTORS``, real or complex, half, single or double.

One group of lanes runs over a block of steps before the next group does: long enough to keep its state in registers for
a while, short enough that memory is still read about in order. Meanwhile the same lanes of the next block are fetched:
a processor's own guess of what comes next ends at a page, and a block has several.

All of it is one file because numba compiles a cached function again only when its own file has changed.
"""

from __future__ import annotations

import functools
import platform
from typing import TYPE_CHECKING

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable

LANES = 16
_VECTORS = (LANES, 4, 1)  # channels at a time; each costs time to compile
_BLOCK = 8  # steps
_LINE = 64  # bytes that come from memory at once
_ROUND_ONCE = ("contract",)  # allows a product and a sum to be rounded once instead of twice, no other change

# numba has no arrays in half precision: integers of 16 bits stand for them, with a sign for float16
_HALVES = {types.int16: "float16", types.uint16: "bfloat16"}
# without instructions for float16 LLVM calls functions that numba does not have
_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2]
HAS_FLOAT16 = platform.machine().lower() in ("aarch64", "arm64") or "+f16c" in _FEATURES


class _Compiled:
    """A function that numba compiles on first use, once for each dtype, into code that runs without the lock.

    Compiled code is kept on disk, but no scan depends on it: a cache that has no folder, is full or holds garbage makes
    calls raise before anything ran, and the function is then compiled for this process alone.
    """

    def __init__(self, function: Callable):
        self.function = function
        try:
            self.compiled = numba.njit(cache=True, nogil=True)(function)
        except RuntimeError:  # numba finds no folder to write to
            self._compile_without_cache()

    def _compile_without_cache(self) -> None:
        self.compiled, self.cached = numba.njit(nogil=True)(self.function), False

    cached = True

    def __call__(self, *arguments):
        try:
            return self.compiled(*arguments)
        except Exception:
            if not self.cached:
                raise
        self._compile_without_cache()
        return self.compiled(*arguments)


# ------------------------------------------------------------------------------------------ what intrinsics are made of


class _Rows:
    """Rows of ``lanes`` channels in a flat array, ``at[1]`` elements apart; that of step 0 is at ``at[0] + channel``.

    A row is a list of vectors of doubles: ``[real]``, or ``[real, imaginary]``.
    """

    def __init__(self, context, builder: ir.IRBuilder, kind: types.Array, array, at, channel, lanes: int):
        self.builder, self.lanes = builder, lanes
        self.data = context.make_array(kind)(context, builder, array).data
        first, self.step = cgutils.unpack_tuple(builder, at)
        self.first = builder.add(first, channel)
        self.parts = 2 if isinstance(kind.dtype, types.Complex) else 1
        self.bytes = kind.dtype.bitwidth // 8 // self.parts
        self.half = _HALVES.get(kind.dtype, "")
        self.number = {"float16": ir.HalfType(), "bfloat16": ir.IntType(16)}.get(
            self.half, ir.FloatType() if self.bytes == 4 else ir.DoubleType()
        )

    def _pointer(self, step):
        b = self.builder
        index = self.first if step is None else b.add(self.first, b.mul(step, self.step))
        start = b.bitcast(self.data, self.number.as_pointer())
        first = b.gep(start, [b.mul(index, index.type(self.parts))])
        return b.bitcast(first, ir.VectorType(self.number, self.lanes * self.parts).as_pointer())

    def _prefetch(self, step, write: bool) -> None:
        """Ask for the row a block after ``step``; a step that does not exist does no harm."""
        b, byte, flag = self.builder, ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        ask = b.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        row = b.bitcast(self._pointer(b.add(step, step.type(_BLOCK))), byte)
        for line in range(0, self.lanes * self.parts * self.bytes, _LINE):
            b.call(ask, [b.gep(row, [ir.IntType(64)(line)]), flag(int(write)), flag(3), flag(1)])

    def load(self, step=None) -> list:
        """The row at a step; without one, the first."""
        b = self.builder
        if step is not None:
            self._prefetch(step, write=False)
        values = b.load(self._pointer(step), align=self.bytes)
        if self.parts == 2:  # real and imaginary parts are neighbours in memory
            orders = [[2 * lane + part for lane in range(self.lanes)] for part in range(2)]
            row = [b.shuffle_vector(values, values, _indices(order)) for order in orders]
        else:
            row = [values]
        if self.half == "float16":
            row = [b.fpext(v, _floats(self.lanes)) for v in row]
        elif self.half == "bfloat16":
            row = [_from_bfloat16(b, v) for v in row]
        return [b.fpext(v, _wide(self.lanes)) for v in row] if self.bytes < 8 else row

    def store(self, row: list, step=None) -> None:
        b = self.builder
        if step is not None:
            self._prefetch(step, write=True)
        if self.bytes < 8:
            row = [b.fptrunc(v, _floats(self.lanes)) for v in row]
        if self.half == "float16":
            row = [b.fptrunc(v, ir.VectorType(self.number, self.lanes)) for v in row]
        elif self.half == "bfloat16":
            row = [_to_bfloat16(b, v) for v in row]
        order = [lane + part * self.lanes for lane in range(self.lanes) for part in range(self.parts)]
        values = b.shuffle_vector(row[0], row[-1], _indices(order))
        b.store(values, self._pointer(step), align=self.bytes)


def _indices(order: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order)


def _wide(lanes: int) -> ir.VectorType:
    return ir.VectorType(ir.DoubleType(), lanes)


def _floats(lanes: int) -> ir.VectorType:
    return ir.VectorType(ir.FloatType(), lanes)


def _integers(lanes: int, bits: int) -> ir.VectorType:
    return ir.VectorType(ir.IntType(bits), lanes)


def _from_bfloat16(b: ir.IRBuilder, values):
    """A bfloat16 is the upper half of a float."""
    bits = b.zext(values, _integers(values.type.count, 32))
    return b.bitcast(b.shl(bits, _everywhere(16, bits)), _floats(values.type.count))


def _to_bfloat16(b: ir.IRBuilder, floats):
    """Rounded to the nearest, halfway to even: what is added carries into the upper half exactly then."""
    lanes = floats.type.count
    bits = b.bitcast(floats, _integers(lanes, 32))
    last = b.and_(b.lshr(bits, _everywhere(16, bits)), _everywhere(1, bits))
    rounded = b.add(b.add(bits, _everywhere(0x7FFF, bits)), last)
    nan = b.or_(bits, _everywhere(0x400000, bits))  # quiet; a sum could carry into the sign
    chosen = b.select(b.fcmp_unordered("uno", floats, floats), nan, rounded)
    return b.trunc(b.lshr(chosen, _everywhere(16, bits)), _integers(lanes, 16))


def _everywhere(number: float, like) -> ir.Constant:
    return ir.Constant(like.type, [number] * like.type.count)


def _plus(b: ir.IRBuilder, u: list, v: list) -> list:
    return [b.fadd(p, q, flags=_ROUND_ONCE) for p, q in zip(u, v, strict=True)]


def _times(b: ir.IRBuilder, u: list, v: list, conjugate: bool = False) -> list:
    """u v, or conj(u) v."""

    def product(p, q):
        return b.fmul(p, q, flags=_ROUND_ONCE)

    if len(u) == 1:
        return [product(u[0], v[0])]
    first, second = (b.fadd, b.fsub) if conjugate else (b.fsub, b.fadd)
    real = first(product(u[0], v[0]), product(u[1], v[1]), flags=_ROUND_ONCE)
    return [real, second(product(u[0], v[1]), product(u[1], v[0]), flags=_ROUND_ONCE)]


def _without_denormals(b: ir.IRBuilder, row: list) -> list:
    """Zero in place of denormals, with which a processor computes many times more slowly. What fades would else end as
    the smallest of them and, rounded up to it at each step, stay."""
    bound = float(np.finfo(np.float64).tiny)
    return [
        b.select(
            b.and_(b.fcmp_ordered("<", v, _everywhere(bound, v)), b.fcmp_ordered(">", v, _everywhere(-bound, v))),
            _everywhere(0.0, v),
            v,
        )
        for v in row
    ]


class _State:
    """A row that changes from step to step: in registers, once the compiler has seen that nothing else points to it."""

    def __init__(self, builder: ir.IRBuilder, row: list):
        self.builder = builder
        self.slots = [cgutils.alloca_once_value(builder, value) for value in row]

    def get(self) -> list:
        return [self.builder.load(slot) for slot in self.slots]

    def set(self, row: list) -> None:
        for slot, value in zip(self.slots, row, strict=True):
            self.builder.store(value, slot)


def _loop(make_body: Callable) -> Callable:
    """Make the intrinsic ``f(width, steps, shared, lam, lam_at, array, at, array, at, ...)``.

    It runs over ``steps`` steps of ``width`` channels. Each array comes with its layout (index of its first element,
    distance from step to step). If ``shared``, lam is read once, for it is the same at all steps.

    Args:
        make_body: from (builder, slope, the other arrays as ``_Rows``), with slope a function of the step, to two
            functions: what to emit for a step, and what to emit once after the last.
    """

    def typed(typing_context, width, steps, shared, *arrays):
        def generate(context, builder, signature, arguments):
            width, steps, shared, packed = arguments
            values = cgutils.unpack_tuple(builder, packed)
            located = list(zip(arrays[::2], values[::2], values[1::2], strict=True))

            def emit(lanes, channel, same):
                lam, *others = [_Rows(context, builder, *array, channel, lanes) for array in located]
                row = lam.load() if same else None
                body, finish = make_body(builder, (lambda step: row) if same else lam.load, *others)
                with cgutils.for_range(builder, steps) as loop:
                    body(loop.index)
                finish()

            first = width.type(0)
            for lanes in _VECTORS:  # each takes what the longer ones left
                last = builder.and_(width, width.type(-lanes))
                with (
                    cgutils.for_range_slice(builder, first, last, width.type(lanes)) as (channel, _),
                    builder.if_else(cgutils.is_true(builder, shared)) as (then, otherwise),
                ):
                    with then:
                        emit(lanes, channel, same=True)
                    with otherwise:
                        emit(lanes, channel, same=False)
                first = last
            return context.get_dummy_value()

        return types.void(width, steps, shared, types.Tuple(arrays)), generate

    return intrinsic(typed)


@_loop
def _advance(b, slope, x, states, carry):
    """h <- lam h + x, stored at each step; ``carry`` is h before these steps and, at the end, after them."""
    h = _State(b, carry.load())

    def body(step):
        h.set(_plus(b, _times(b, slope(step), h.get()), x.load(step)))
        states.store(h.get(), step)

    return body, lambda: carry.store(_without_denormals(b, h.get()))


def _reduction(b, slope, x, end, product, adjoint):
    r"""The same without the states, or for the adjoint :math:`s \leftarrow \bar\lambda (s + x)`; ``product`` is
    multiplied by the slopes."""
    h, p = _State(b, end.load()), _State(b, product.load())

    def body(step):
        if adjoint:
            h.set(_times(b, slope(step), _plus(b, h.get(), x.load(step)), conjugate=True))
        else:
            h.set(_plus(b, _times(b, slope(step), h.get()), x.load(step)))
        p.set(_times(b, slope(step), p.get(), conjugate=adjoint))

    def finish():
        end.store(_without_denormals(b, h.get()))
        product.store(_without_denormals(b, p.get()))

    return body, finish


_reduce = _loop(functools.partial(_reduction, adjoint=False))
_reduce_adjoint = _loop(functools.partial(_reduction, adjoint=True))


# The adjoint: delta_t = s_{t+1} + g_t is the gradient of x_t, delta_t conj(h_{t-1}) that of lambda_t, and
# s_t = conj(lambda_t) delta_t goes on; the last s is the gradient of h_0 (derived in ``cuda/tiles.py``).


def _retreat(b, slope, grad, before, carry, grad_x):
    """One step back; what it returns is the gradient of the slope."""
    s = _State(b, carry.load())

    def step_back(step):
        delta = _plus(b, s.get(), grad.load(step))
        grad_x.store(delta, step)
        s.set(_times(b, slope(step), delta, conjugate=True))
        return _times(b, before.load(step), delta, conjugate=True)

    return step_back, lambda: carry.store(_without_denormals(b, s.get()))


@_loop
def _retreat_summed(b, slope, grad, before, carry, grad_x, total):
    """The gradient of the slopes is added to ``total``."""
    step_back, finish = _retreat(b, slope, grad, before, carry, grad_x)
    q = _State(b, total.load())

    def end():
        finish()
        total.store(q.get())

    return lambda step: q.set(_plus(b, q.get(), step_back(step))), end


@_loop
def _retreat_each(b, slope, grad, before, carry, grad_x, grad_lam):
    """The gradient of the slopes is stored at each step."""
    step_back, finish = _retreat(b, slope, grad, before, carry, grad_x)
    return lambda step: grad_lam.store(step_back(step), step), finish


# ------------------------------------------------------------------------------------------------------ what is called

# A layout is (first, batch, time): where the piece's first row of channels lies in a flat array, and how far it is to
# the next sequence and to the next step in scan order. Sizes are (rows of the batch, steps, channels).


@numba.njit(nogil=True)
def _at(layout, row, step):
    return layout[0] + row * layout[1] + step * layout[2], layout[2]


@_Compiled
def scan(lam, lam_at, x, x_at, states, states_at, carry, carry_at, sizes):
    """All states of a piece. ``carry``: the state before it; at the end, the state after it."""
    rows, steps, width = sizes
    shared = lam_at[2] == 0
    for row in range(rows):
        carry_row = _at(carry_at, row, 0)
        for start in range(0, steps, _BLOCK):
            lam_row, x_row, states_row = _at(lam_at, row, start), _at(x_at, row, start), _at(states_at, row, start)
            count = min(_BLOCK, steps - start)
            _advance(width, count, shared, lam, lam_row, x, x_row, states, states_row, carry, carry_row)


@_Compiled
def reduce(lam, lam_at, x, x_at, ends, products, carry_at, sizes, adjoint):
    """A piece from a zero state to its last state and the product of its slopes; what a scan in chunks does first."""
    rows, steps, width = sizes
    shared = lam_at[2] == 0
    for row in range(rows):
        carry_row = _at(carry_at, row, 0)
        for n in range(width):
            ends[carry_row[0] + n] = 0
            products[carry_row[0] + n] = 1
        for start in range(0, steps, _BLOCK):
            lam_row, x_row, count = _at(lam_at, row, start), _at(x_at, row, start), min(_BLOCK, steps - start)
            if adjoint:
                _reduce_adjoint(width, count, shared, lam, lam_row, x, x_row, ends, carry_row, products, carry_row)
            else:
                _reduce(width, count, shared, lam, lam_row, x, x_row, ends, carry_row, products, carry_row)


@_Compiled
def adjoint(lam, lam_at, h, h_at, h0, h0_at, grad, at, carry, carry_at, grad_x, grad_lam, total, sizes, ends):
    """All gradients of a piece, from its last step in scan order to its first.

    ``at``: layouts of grad_x (grad_lam) and grad. ``ends``: the piece's last step is the scan's first, which ``h0``
    entered. An empty ``grad_lam`` asks for its sum over time, in ``total``.
    """
    rows, steps, width = sizes
    summed = grad_lam.size == 0
    for row in range(rows):
        carry_row = _at(carry_at, row, 0)
        for n in range(width):
            total[carry_row[0] + n] = 0
        start = 0
        while start < steps:
            before, before_row, count = h, _at(h_at, row, start + 1), min(_BLOCK, steps - start)
            if ends and start == steps - 1:
                before, before_row = h0, _at(h0_at, row, 0)
            elif ends:
                count = min(count, steps - 1 - start)
            lam_row, x_row, grad_row = _at(lam_at, row, start), _at(at[0], row, start), _at(at[1], row, start)
            if summed:
                _retreat_summed(
                    width, count, True, lam, lam_row, grad, grad_row, before, before_row, carry, carry_row,
                    grad_x, x_row, total, carry_row,
                )  # fmt: skip
            else:
                _retreat_each(
                    width, count, False, lam, lam_row, grad, grad_row, before, before_row, carry, carry_row,
                    grad_x, x_row, grad_lam, x_row,
                )  # fmt: skip
            start += count


@_Compiled
def touch(array, step, start, stop):
    """Write to one element in ``step``; what is written does not matter."""
    for at in range(start, stop, step):
        array[at] = 0
