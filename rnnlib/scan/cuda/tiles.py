r"""A tile in registers: read it, reduce its strips, replay them.

A step is the map :math:`h \mapsto \lambda_t h + x_t` or, in the adjoint, :math:`s \mapsto \bar\lambda_t (s + g_t)`; see
``replay_adjoint``. Both are affine, with slope :math:`\lambda_t` or its conjugate.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .elements import add, affine, cast, conjugate, constant, index, load, multiply, pointers, power, store


@triton.jit
def read(
    x, lam, h, at, stride, first, stop, inside,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, STATES: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    r"""``STEPS`` rows of each strip, all loads at once: :math:`x_t` (or :math:`g_t`), then :math:`\lambda_t` if
    ``PER_STEP``, then, if ``STATES``, the state one ``stride`` ahead.

    ``first`` is the number of a strip's first step; a row whose number is not from 0 to ``stop`` - 1 is zero.
    """
    x, lam, h = pointers(x, at, COMPLEX), pointers(lam, at, COMPLEX), pointers(h, at + stride, COMPLEX)
    rows = ()
    for i in tl.static_range(STEPS):
        there = inside & ((first + i).to(tl.uint32) < stop.to(tl.uint32))  # a negative number is a large one
        row = (load(x, there, COMPLEX),)
        x = pointers(x, stride, COMPLEX)
        if PER_STEP:
            row += (load(lam, there, COMPLEX),)
            lam = pointers(lam, stride, COMPLEX)
        if STATES:
            row += (load(h, there, COMPLEX),)
            h = pointers(h, stride, COMPLEX)
        rows += (row,)
    return rows


@triton.jit
def slope(l, n, COMPLEX: tl.constexpr, ADJOINT: tl.constexpr):
    """The slope of n steps with a shared eigenvalue, in float64: rounded to float32 it would act as a different
    eigenvalue over the whole sequence."""
    return power(cast(conjugate(l, COMPLEX) if ADJOINT else l, tl.float64), n, COMPLEX)


@triton.jit
def reduce(l, p, rows, COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, ADJOINT: tl.constexpr, STEPS: tl.constexpr):
    r"""The map of each strip in float64: its slope, p where :math:`\lambda` is shared, and where it takes zero."""
    e = constant(rows[0][0], 0.0)
    for i in tl.static_range(STEPS):
        if PER_STEP:
            l = rows[i][1]
            wide = cast(conjugate(l, COMPLEX) if ADJOINT else l, tl.float64)
            p = multiply(p, wide, COMPLEX) if i > 0 else wide
        if ADJOINT:
            e = multiply(conjugate(l, COMPLEX), add(e, rows[i][0]), COMPLEX)
        else:
            e = affine(l, e, rows[i][0], COMPLEX)
    return p, cast(e, tl.float64)


@triton.jit
def replay(
    l, c, rows, states, at, stride, first, stop, inside,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """The states of each strip from the one that enters it, c; returns the last."""
    states = pointers(states, at, COMPLEX)
    h = cast(c, rows[0][0][0].dtype)
    for i in tl.static_range(STEPS):
        h = affine(rows[i][1] if PER_STEP else l, h, rows[i][0], COMPLEX)
        there = inside & ((first + i).to(tl.uint32) < stop.to(tl.uint32))
        store(states, h, there, COMPLEX)
        states = pointers(states, stride, COMPLEX)
    return h


@triton.jit
def replay_adjoint(
    l, c, rows, grad_lam, grad_x, at, stride, first, stop, inside,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    r"""The gradients of each strip; returns what it hands on and, for a shared :math:`\lambda`, its sum.

    With :math:`g_t = \partial L / \partial h_t` and, in PyTorch's convention, gradients with respect to the conjugate,
    the chain rule through :math:`h_t = \lambda_t h_{t-1} + x_t` reads

    .. math::

        \delta_t = g_t + \bar\lambda_{t+1} \delta_{t+1}, \qquad
        \frac{\partial L}{\partial x_t} = \delta_t, \qquad
        \frac{\partial L}{\partial \lambda_t} = \delta_t \bar h_{t-1}, \qquad
        \frac{\partial L}{\partial h_0} = \bar\lambda_1 \delta_1.

    What step t hands to step t - 1 is :math:`s_t = \bar\lambda_t \delta_t`. Written for it, no step needs its
    neighbour's eigenvalue, and the last value is the gradient of the initial state:

    .. math:: \delta_t = s_{t+1} + g_t, \qquad s_t = \bar\lambda_t \delta_t, \qquad s_{T+1} = 0, \qquad
              s_1 = \frac{\partial L}{\partial h_0}.
    """
    grad_x, grad_lam = pointers(grad_x, at, COMPLEX), pointers(grad_lam, at, COMPLEX)
    s = cast(c, rows[0][0][0].dtype)
    total = constant(s, 0.0)
    for i in tl.static_range(STEPS):
        if PER_STEP:
            l = rows[i][1]
        delta = add(s, rows[i][0])
        there = inside & ((first + i).to(tl.uint32) < stop.to(tl.uint32))
        store(grad_x, delta, there, COMPLEX)
        grad_x = pointers(grad_x, stride, COMPLEX)
        q = multiply(delta, conjugate(rows[i][2 if PER_STEP else 1], COMPLEX), COMPLEX)
        if PER_STEP:
            store(grad_lam, q, there, COMPLEX)
            grad_lam = pointers(grad_lam, stride, COMPLEX)
        else:
            total = add(total, q)
        s = multiply(conjugate(l, COMPLEX), delta, COMPLEX)
    return s, cast(total, tl.float64)


@triton.jit
def finish_adjoint(
    l, lam, h0, grad, c, total, grad_lam, grad_x, grad_h0, sequence, channel, T, N, inside,
    COMPLEX: tl.constexpr, PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
):  # fmt: skip
    """The scan's first step, the adjoint's last, whose state before it is h0; returns the sum with its term."""
    at, _ = index(sequence, channel, T - 1, T, N, BACKWARDS)
    column = sequence * N + channel
    if PER_STEP:
        l = load(pointers(lam, at, COMPLEX), inside, COMPLEX)
    g = load(pointers(grad, at, COMPLEX), inside, COMPLEX)
    start = load(pointers(h0, column, COMPLEX), inside, COMPLEX)
    delta = add(cast(c, g[0].dtype), g)
    s = multiply(conjugate(l, COMPLEX), delta, COMPLEX)
    q = multiply(delta, conjugate(start, COMPLEX), COMPLEX)
    store(pointers(grad_x, at, COMPLEX), delta, inside, COMPLEX)
    store(pointers(grad_h0, column, COMPLEX), s, inside, COMPLEX)
    if PER_STEP:
        store(pointers(grad_lam, at, COMPLEX), q, inside, COMPLEX)
    return add(total, cast(q, tl.float64))
