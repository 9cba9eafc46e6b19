r"""What the kernels share: elements, products, and affine maps.

A program works on a block of values ``(STRIPS, COLUMNS)``. A *column* is one channel of one sequence of the batch; a
*strip* is a run of ``STEPS`` consecutive time steps, which one thread handles alone. Strips follow each other in time:
a block covers a *tile* of ``STRIPS * STEPS`` steps.

The columns of a block are neighbouring channels of one sequence. Where a sequence has fewer channels than a block has
columns, they are those of several sequences, ``CHANNELS`` (a power of two) for each. So no index is divided by a number
that the compiler does not know, and it sees that neighbouring columns are neighbours in memory: it gives them to
neighbouring threads, or, where N is a multiple of ``ALIGN``, several of them to one thread in one access.

A value is a pair ``(re, im)`` also where the tensor is real: ``im`` is then a zero that compiles to nothing, and each
kernel is written once. Kernels get a complex64 tensor as int64, so that one load brings both parts of an element, and a
complex128 tensor as float64, two to an element.
"""

from __future__ import annotations

import triton
import triton.language as tl

# A kernel is compiled once for each dtype and set of switches, not again for other lengths or widths.
INTEGERS = ["batch", "T", "N", "length", "skipped", "chunks"]


@triton.jit
def pointers(tensor, at, COMPLEX: tl.constexpr):
    """To the elements ``at`` of a tensor, and, from a step ``at``, the way between two elements."""
    if COMPLEX and tensor.dtype.element_ty == tl.float64:
        return tensor + 2 * at
    else:
        return tensor + at


@triton.jit
def load(pointer, inside, COMPLEX: tl.constexpr):
    """The elements at ``pointer``, zero where not ``inside``; 16-bit floats are only stored, never computed with."""
    if not COMPLEX:
        re = tl.load(pointer, mask=inside, other=0.0)
        if pointer.dtype.element_ty.primitive_bitwidth == 16:
            re = re.to(tl.float32)
        return re, tl.zeros_like(re)
    elif pointer.dtype.element_ty == tl.int64:
        bits = tl.load(pointer, mask=inside, other=0)
        return bits.to(tl.int32).to(tl.float32, bitcast=True), (bits >> 32).to(tl.int32).to(tl.float32, bitcast=True)
    else:
        return tl.load(pointer, mask=inside, other=0.0), tl.load(pointer + 1, mask=inside, other=0.0)


@triton.jit
def store(pointer, value, inside, COMPLEX: tl.constexpr):
    """Write ``value`` to the elements at ``pointer`` that are ``inside``, in the precision of the tensor."""
    if not COMPLEX:
        tl.store(pointer, value[0].to(pointer.dtype.element_ty), mask=inside)
    elif pointer.dtype.element_ty == tl.int64:
        low = value[0].to(tl.float32).to(tl.uint32, bitcast=True).to(tl.uint64)
        high = value[1].to(tl.float32).to(tl.uint32, bitcast=True).to(tl.uint64)
        tl.store(pointer, (high << 32 | low).to(tl.int64, bitcast=True), mask=inside)
    else:
        tl.store(pointer, value[0], mask=inside)
        tl.store(pointer + 1, value[1], mask=inside)


@triton.jit
def initial(start, column, inside, COMPLEX: tl.constexpr, ADJOINT: tl.constexpr):
    """The state before the first step in float64; the adjoint's is zero."""
    return cast(load(pointers(start, column, COMPLEX), inside & (not ADJOINT), COMPLEX), tl.float64)


@triton.jit
def add(a, b):
    return a[0] + b[0], a[1] + b[1]


@triton.jit
def conjugate(a, COMPLEX: tl.constexpr):
    return a[0], -a[1] if COMPLEX else a[1]


@triton.jit
def multiply(a, b, COMPLEX: tl.constexpr):
    if COMPLEX:
        return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]
    else:
        return a[0] * b[0], a[1]


@triton.jit
def affine(p, h, e, COMPLEX: tl.constexpr):
    """:math:`p h + e`: from h to the result no more than two fused multiply-adds."""
    if COMPLEX:
        return e[0] + p[0] * h[0] - p[1] * h[1], e[1] + p[0] * h[1] + p[1] * h[0]
    else:
        return e[0] + p[0] * h[0], e[1]


@triton.jit
def _is_zero(a):
    """Or below 1e-313: the upper half of a float64 without its sign. A comparison in float64 takes as long as a
    product, and compilers make one of what compares all bits."""
    return ((a.to(tl.int64, bitcast=True) >> 32).to(tl.int32) << 1) == 0


@triton.jit
def from_carry(p, c, e, COMPLEX: tl.constexpr):
    """:math:`p c + e`, and e where c = 0, also where the product p of a growing channel has overflowed."""
    re, im = affine(p, c, e, COMPLEX)
    rest = _is_zero(c[0]) & _is_zero(c[1]) if COMPLEX else _is_zero(c[0])
    return tl.where(rest, e[0], re), tl.where(rest, e[1], im)


@triton.jit
def cast(a, dtype: tl.constexpr):
    return a[0].to(dtype), a[1].to(dtype)


@triton.jit
def constant(like, value: tl.constexpr):
    """The real number ``value`` in every place of a block like this one."""
    return tl.full(like[0].shape, value, like[0].dtype), tl.zeros_like(like[1])


@triton.jit
def choose(condition, a, b):
    return tl.where(condition, a[0], b[0]), tl.where(condition, a[1], b[1])


@triton.jit
def power(lam, n, COMPLEX: tl.constexpr):
    r""":math:`\lambda^n` by squaring."""
    n = tl.cast(n, tl.int32)
    result = constant(lam, 1.0)
    while n > 0:
        result = choose(n % 2 == 1, multiply(result, lam, COMPLEX), result)
        lam = multiply(lam, lam, COMPLEX)
        n = n // 2
    return result


@triton.jit
def block(number, batch, N, STRIPS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr):
    """Sequences, in 64 bits, and channels of the block's columns ``(STRIPS, COLUMNS)``, its strips ``(STRIPS, 1)``, and
    which columns exist."""
    column = tl.broadcast_to(tl.arange(0, COLUMNS)[None, :], (STRIPS, COLUMNS))
    if CHANNELS < COLUMNS:
        sequence = number * (COLUMNS // CHANNELS) + column // CHANNELS
        channel = column % CHANNELS
        inside = (channel < N) & (sequence < batch)
    else:
        blocks = (N + COLUMNS - 1) // COLUMNS
        sequence = number // blocks
        channel = number % blocks * COLUMNS + column
        inside = channel < N
    return sequence.to(tl.int64), channel, tl.arange(0, STRIPS)[:, None], inside


@triton.jit
def index(sequence, channel, time, T, N, BACKWARDS: tl.constexpr):
    """Index in (batch, time, channel) of each column at step ``time``, counted from the end if ``BACKWARDS``, and the
    way to the next step. In 64 bits because B * T * N can exceed 2^31."""
    if BACKWARDS:
        return (sequence * T + (T - 1 - time)) * N + channel, -N
    else:
        return (sequence * T + time) * N + channel, N


@triton.jit
def _moved(a, at):
    """The values of a block at places of it that are counted row by row."""
    return tl.reshape(tl.gather(tl.reshape(a, (a.numel,)), tl.reshape(at, (at.numel,)), 0), at.shape)


@triton.jit
def _of_strip(a, strip, COMPLEX: tl.constexpr):
    """The values of the strips with these numbers, for each place of the result.

    In one dimension, because Triton would otherwise arrange a block, and what is computed from it, so that a warp has
    all strips of a column."""
    columns: tl.constexpr = a[0].shape[1]
    at = strip * columns + tl.arange(0, columns)[None, :]
    if COMPLEX:
        return tl.split(_moved(tl.join(a[0], a[1]), tl.join(2 * at, 2 * at + 1)))
    else:
        return _moved(a[0], at), tl.zeros(at.shape, a[1].dtype)


@triton.jit
def first_row(a, COMPLEX: tl.constexpr):
    """The first strip's values for all strips, in a layout of their own: not that in which carries, pairs of float64,
    are loaded, or triton 3.6 converts from and to it in each tile."""
    if a[0].shape[0] > 1:
        a = _of_strip(a, tl.zeros(a[0].shape, tl.int32), COMPLEX)
    return a


@triton.jit
def _strips(like):
    return tl.broadcast_to(tl.arange(0, like[0].shape[0])[:, None], like[0].shape)


@triton.jit
def _accumulate(p, e, COMPLEX: tl.constexpr, SHARED: tl.constexpr):
    r"""The maps :math:`h \mapsto p h + e` of the strips, each composed with those of all strips before it, in a tree.

    With a ``SHARED`` slope p is that of one strip, then of two, four, ...: known before any state is.
    """
    strip = _strips(e)
    for distance in tl.static_range(1, strip.shape[0]):
        if (distance & (distance - 1)) == 0:  # a power of two
            earlier = tl.maximum(strip - distance, 0)
            follows = strip >= distance
            e = choose(follows, from_carry(p, _of_strip(e, earlier, COMPLEX), e, COMPLEX), e)
            if SHARED:
                p = multiply(p, p, COMPLEX)
            else:
                p = choose(follows, multiply(p, _of_strip(p, earlier, COMPLEX), COMPLEX), p)
    return p, e


@triton.jit
def follow(p, e, c, COMPLEX: tl.constexpr, SHARED: tl.constexpr):
    r"""Take the state c through the maps :math:`h \mapsto p h + e` of the strips.

    Returns:
        The states that enter the strips, and, in the place of each, the one that leaves the last.
    """
    strip = _strips(e)
    first, last = strip == 0, tl.full(strip.shape, strip.shape[0] - 1, tl.int32)
    e = choose(first, from_carry(p, c, e, COMPLEX), e)
    _, h = _accumulate(p, e, COMPLEX, SHARED)
    return choose(first, c, _of_strip(h, tl.maximum(strip - 1, 0), COMPLEX)), _of_strip(h, last, COMPLEX)


@triton.jit
def _then_real(p, e, q, f):
    """What ``compose`` scans: the map (p, e), then (q, f)."""
    return p * q, tl.where(e == 0, f, q * e + f)


@triton.jit
def _then_complex(p_re, p_im, e_re, e_im, q_re, q_im, f_re, f_im):
    s_re, s_im = multiply((p_re, p_im), (q_re, q_im), True)
    a_re, a_im = from_carry((q_re, q_im), (e_re, e_im), (f_re, f_im), True)
    return s_re, s_im, a_re, a_im


@triton.jit
def compose(p, e, COMPLEX: tl.constexpr):
    r"""Compose the maps :math:`h \mapsto p h + e` of the strips, in their order along axis 0.

    For maps that no state goes through yet, in one exchange between threads: a scan, because a reduction in Triton may
    change the order.

    Returns:
        ``(p, e)`` ``(1, COLUMNS)`` of the whole tile.
    """
    if COMPLEX:
        p_re, p_im, e_re, e_im = tl.associative_scan((p[0], p[1], e[0], e[1]), 0, _then_complex)
        return _last(p_re, p_im, e_re, e_im)
    else:
        p_re, e_re = tl.associative_scan((p[0], e[0]), 0, _then_real)
        return _last(p_re, p[1], e_re, e[1])


@triton.jit
def _add_four(a, b, c, d, e, f, g, h):
    return a + e, b + f, c + g, d + h


@triton.jit
def _last(p_re, p_im, e_re, e_im):
    """The last strip's map: a sum in which all others are zero."""
    strips: tl.constexpr = p_re.shape[0]
    last = tl.arange(0, strips)[:, None] == strips - 1
    p_re, p_im, e_re, e_im = tl.reduce(
        (
            tl.where(last, p_re, 0.0),
            tl.where(last, p_im, 0.0),
            tl.where(last, e_re, 0.0),
            tl.where(last, e_im, 0.0),
        ),
        0,
        _add_four,
        keep_dims=True,
    )
    return (p_re, p_im), (e_re, e_im)
