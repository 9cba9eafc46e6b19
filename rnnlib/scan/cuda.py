r"""The same recurrence as Triton kernels: three launches forward, three backward, time chunks in parallel.

The stages are those of ``chunked.py``. Cut time into chunks; then

1. *reduce*: run every chunk but the last from a zero state, keep its last state and its product of eigenvalues;
2. *carry*: run the recurrence over chunks, which gives the state that enters each;
3. *replay*: run every chunk again from its carry and write the states (backward: the gradients).

A *column* is one (batch, channel) pair, numbered ``batch * N + channel``. A program handles one block of columns in
one chunk (stage 2: in all of them) and keeps its states in registers. Tensors stay in the layout (batch, time,
channel), a complex number as two neighbouring reals, so neighbouring threads read neighbouring memory at each step and
nothing is transposed or flipped: a scan from the last step to the first walks the same memory with a negative stride.
Chunk results have the layout (chunk, batch, channel).

States and gradients are computed in the precision of the input, the products of eigenvalues and the recurrence over
chunks in float64: rounded to float32, a product would act as a different :math:`\lambda` over the whole sequence, and
where :math:`|\lambda| > 1` overflow before the states do. Sums run in a fixed order, without atomics: the same input
gives the same bits at each call.

With ``TRITON_INTERPRET=1`` set before triton is imported, the kernels run on CPU tensors, slowly, for tests.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

if TYPE_CHECKING:
    from jaxtyping import Inexact
    from torch import Tensor


@triton.jit
def _load(pointer, at, inside, COMPLEX: tl.constexpr):
    """Real and imaginary part of the elements ``at``; the imaginary part of a real tensor is a zero that compiles to
    nothing."""
    if COMPLEX:
        pair = 2 * at[:, None] + tl.arange(0, 2)[None, :]  # loaded as one, so that threads read whole words of memory
        re, im = tl.split(tl.load(pointer + pair, mask=inside[:, None], other=0.0))
    else:
        re = tl.load(pointer + at, mask=inside, other=0.0)
        im = tl.zeros_like(re)
    return re, im


@triton.jit
def _store(pointer, at, re, im, inside, COMPLEX: tl.constexpr):
    if COMPLEX:
        pair = 2 * at[:, None] + tl.arange(0, 2)[None, :]
        tl.store(pointer + pair, tl.join(re, im), mask=inside[:, None])
    else:
        tl.store(pointer + at, re, mask=inside)


@triton.jit
def _multiply(a_re, a_im, b_re, b_im, COMPLEX: tl.constexpr):
    if COMPLEX:
        re = a_re * b_re - a_im * b_im
        im = a_re * b_im + a_im * b_re
    else:
        re = a_re * b_re
        im = a_im  # zero, in the precision of a
    return re, im


@triton.jit
def _place(T, N, columns, LOG2_CHUNK: tl.constexpr, BLOCK: tl.constexpr, BACKWARDS: tl.constexpr):
    """Where this program works; in 64 bits, because B * T * N can exceed 2^31.

    Returns:
        column: its columns, and whether each exists; channel: their channels; slot: their place in a tensor of chunk
        results; at: their place in (batch, time, channel) at the chunk's first step; stride: from there to the next
        step; steps: the chunk's length.
    """
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    chunk = tl.program_id(1).to(tl.int64)
    channel = column % N
    start = chunk << LOG2_CHUNK
    if BACKWARDS:
        time = T - 1 - start
        stride = -N
    else:
        time = start
        stride = N
    at = (column // N * T + time) * N + channel
    return column < columns, channel, chunk * columns + column, at, stride, tl.minimum(T - start, 1 << LOG2_CHUNK)


@triton.jit
def _reduce(
    lam, x, carries, products, T, N, columns,
    LOG2_CHUNK: tl.constexpr, BLOCK: tl.constexpr, COMPLEX: tl.constexpr,
    PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr, ADJOINT: tl.constexpr,
):  # fmt: skip
    r"""Stage 1. One chunk from a zero state: its last state, stored where the next chunk's carry will be, and, where
    :math:`\lambda` differs from step to step, the product of its eigenvalues.

    A step is :math:`h \leftarrow \lambda_t h + x_t` or, in the adjoint (see ``_replay_adjoint``),
    :math:`s \leftarrow \bar\lambda_t (s + g_t)`: both are affine, with slope :math:`\lambda_t` or its conjugate.
    """
    inside, channel, slot, at, stride, steps = _place(T, N, columns, LOG2_CHUNK, BLOCK, BACKWARDS)
    h_re = tl.zeros([BLOCK], x.dtype.element_ty)
    h_im = tl.zeros([BLOCK], x.dtype.element_ty)
    p_re = tl.full([BLOCK], 1.0, tl.float64)
    p_im = tl.zeros([BLOCK], tl.float64)
    if not PER_STEP:
        l_re, l_im = _load(lam, channel, inside, COMPLEX)
    for _ in range(steps):
        if PER_STEP:
            l_re, l_im = _load(lam, at, inside, COMPLEX)
            p_re, p_im = _multiply(p_re, p_im, l_re, -l_im if ADJOINT else l_im, COMPLEX)
        x_re, x_im = _load(x, at, inside, COMPLEX)
        if ADJOINT:
            h_re, h_im = _multiply(l_re, -l_im, h_re + x_re, h_im + x_im, COMPLEX)
        else:
            h_re, h_im = _multiply(l_re, l_im, h_re, h_im, COMPLEX)
            h_re += x_re
            h_im += x_im
        at += stride
    _store(carries, slot + columns, h_re, h_im, inside, COMPLEX)
    if PER_STEP:
        _store(products, slot, p_re, p_im, inside, COMPLEX)


@triton.jit
def _carry(
    lam, start, carries, products, T, N, columns,
    LOG2_CHUNK: tl.constexpr, BLOCK: tl.constexpr, COMPLEX: tl.constexpr,
    PER_STEP: tl.constexpr, ADJOINT: tl.constexpr,
):  # fmt: skip
    r"""Stage 2. The recurrence over chunks, in place: from the last state :math:`e_k` of every chunk to the state that
    enters it, :math:`c_0 = h_0` and :math:`c_{k+1} = p_k c_k + e_k`, where :math:`p_k = \lambda^L` for a shared
    :math:`\lambda` and chunk length L. All in float64.
    """
    column = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = column < columns
    h_re, h_im = _load(start, column, inside, COMPLEX)
    _store(carries, column, h_re, h_im, inside, COMPLEX)
    h_re = h_re.to(tl.float64)
    h_im = h_im.to(tl.float64)
    if not PER_STEP:
        l_re, l_im = _load(lam, column % N, inside, COMPLEX)
        p_re = l_re.to(tl.float64)
        p_im = (-l_im if ADJOINT else l_im).to(tl.float64)
        for _ in tl.static_range(LOG2_CHUNK):
            p_re, p_im = _multiply(p_re, p_im, p_re, p_im, COMPLEX)
    slot = column
    for _ in range(1, tl.cdiv(T, 1 << LOG2_CHUNK)):
        if PER_STEP:
            p_re, p_im = _load(products, slot, inside, COMPLEX)
        slot += columns
        e_re, e_im = _load(carries, slot, inside, COMPLEX)
        h_re, h_im = _multiply(p_re, p_im, h_re, h_im, COMPLEX)
        h_re += e_re
        h_im += e_im
        _store(carries, slot, h_re, h_im, inside, COMPLEX)


@triton.jit
def _replay(
    lam, x, carries, states, T, N, columns,
    LOG2_CHUNK: tl.constexpr, BLOCK: tl.constexpr, COMPLEX: tl.constexpr,
    PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
):  # fmt: skip
    """Stage 3. One chunk from its carry: all its states."""
    inside, channel, slot, at, stride, steps = _place(T, N, columns, LOG2_CHUNK, BLOCK, BACKWARDS)
    h_re, h_im = _load(carries, slot, inside, COMPLEX)
    if not PER_STEP:
        l_re, l_im = _load(lam, channel, inside, COMPLEX)
    for _ in range(steps):
        if PER_STEP:
            l_re, l_im = _load(lam, at, inside, COMPLEX)
        x_re, x_im = _load(x, at, inside, COMPLEX)
        h_re, h_im = _multiply(l_re, l_im, h_re, h_im, COMPLEX)
        h_re += x_re
        h_im += x_im
        _store(states, at, h_re, h_im, inside, COMPLEX)
        at += stride


@triton.jit
def _replay_adjoint(
    lam, h, h0, grad, carries, grad_lam, grad_x, grad_h0, T, N, columns,
    LOG2_CHUNK: tl.constexpr, BLOCK: tl.constexpr, COMPLEX: tl.constexpr,
    PER_STEP: tl.constexpr, BACKWARDS: tl.constexpr,
):  # fmt: skip
    r"""Stage 3 of the adjoint: all gradients of one chunk.

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

    ``BACKWARDS`` is the direction of the adjoint, opposite to that of the scan, so the state before step t,
    :math:`h_{t-1}`, lies one ``stride`` ahead, and is ``h0`` at the adjoint's last step. The gradient of a shared
    :math:`\lambda` is summed over the chunk here, over chunks and batch by the caller.
    """
    inside, channel, slot, at, stride, steps = _place(T, N, columns, LOG2_CHUNK, BLOCK, BACKWARDS)
    column = slot - tl.program_id(1).to(tl.int64) * columns
    is_last_chunk = tl.program_id(1) == tl.num_programs(1) - 1
    s_re, s_im = _load(carries, slot, inside, COMPLEX)
    sum_re = tl.zeros_like(s_re)
    sum_im = tl.zeros_like(s_im)
    if not PER_STEP:
        l_re, l_im = _load(lam, channel, inside, COMPLEX)
    for step in range(steps):
        is_last = is_last_chunk & (step == steps - 1)
        if PER_STEP:
            l_re, l_im = _load(lam, at, inside, COMPLEX)
        g_re, g_im = _load(grad, at, inside, COMPLEX)
        d_re = s_re + g_re
        d_im = s_im + g_im
        _store(grad_x, at, d_re, d_im, inside, COMPLEX)
        h_re, h_im = _load(h, at + stride, inside & (not is_last), COMPLEX)
        first_re, first_im = _load(h0, column, inside & is_last, COMPLEX)  # where h was masked, and zero elsewhere
        q_re, q_im = _multiply(d_re, d_im, h_re + first_re, -(h_im + first_im), COMPLEX)
        if PER_STEP:
            _store(grad_lam, at, q_re, q_im, inside, COMPLEX)
        else:
            sum_re += q_re
            sum_im += q_im
        s_re, s_im = _multiply(l_re, -l_im, d_re, d_im, COMPLEX)
        at += stride
    if not PER_STEP:
        _store(grad_lam, slot, sum_re, sum_im, inside, COMPLEX)
    _store(grad_h0, column, s_re, s_im, inside & is_last_chunk, COMPLEX)


def cuda_scan(
    lam: Inexact[Tensor, "*#BT N"],
    x: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    reverse: bool = False,
) -> Inexact[Tensor, "B T N"]:
    r"""Iterate :math:`h_t = \lambda_t \odot h_{t-1} + x_t` (:math:`h_{t+1}` if ``reverse``) with Triton kernels.

    Args:
        lam: eigenvalues, ``(N,)`` or shaped like ``x``.
        x: inputs; of any strides, as all arguments, but what is not contiguous is copied first.
        h0: state before the first input (after the last one if ``reverse``).
        reverse: run from the last step to the first.

    Returns:
        All T states, in the order of the inputs. Not differentiable by itself: ``linear_scan`` adds the adjoint.

    Source: Zucchet and Orvieto (2024), section 2.2, assumption (a).
    """
    lam, x, h0 = (_plain(t) for t in (lam, x, h0))
    states = torch.empty_like(x)
    grid, sizes, flags = _plan(lam, x)
    with torch.cuda.device_of(x):
        carries = _carries(lam, x, h0, reverse, adjoint=False)
        _replay[grid](*_reals(lam, x, carries, states), *sizes, BACKWARDS=reverse, **flags)
    return states


def cuda_adjoint(
    lam: Inexact[Tensor, "*#BT N"],
    h: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    grad: Inexact[Tensor, "B T N"],
    reverse: bool = False,
) -> tuple[Inexact[Tensor, "*#BT N"], Inexact[Tensor, "B T N"], Inexact[Tensor, "B N"]]:
    """Gradients of a loss through :func:`cuda_scan`; the equations are in ``_replay_adjoint``.

    Args:
        lam: eigenvalues of the scan, ``(N,)`` or shaped like ``h``.
        h: the states that the scan returned.
        h0: state before the first input (after the last one if ``reverse``).
        grad: gradient of the loss with respect to ``h``, for complex tensors in PyTorch's convention.
        reverse: as given to the scan.

    Returns:
        Gradients with respect to ``lam``, ``x`` and ``h0``, each shaped like its tensor.
    """
    lam, h, h0, grad = (_plain(t) for t in (lam, h, h0, grad))
    grad_x, grad_h0 = torch.empty_like(grad), torch.empty_like(h0)
    grid, sizes, flags = _plan(lam, grad)
    with torch.cuda.device_of(h):
        carries = _carries(lam, grad, torch.zeros_like(h0), not reverse, adjoint=True)
        grad_lam = torch.empty_like(carries if lam.ndim == 1 else lam)
        tensors = _reals(lam, h, h0, grad, carries, grad_lam, grad_x, grad_h0)
        _replay_adjoint[grid](*tensors, *sizes, BACKWARDS=not reverse, **flags)
    return grad_lam.sum(dim=(0, 1)) if lam.ndim == 1 else grad_lam, grad_x, grad_h0


def _carries(lam: Tensor, x: Tensor, start: Tensor, backwards: bool, adjoint: bool) -> Inexact[Tensor, "K B N"]:
    """Stages 1 and 2: the states that enter the chunks."""
    (blocks, chunks), sizes, flags = _plan(lam, x)
    if chunks == 1:
        return start[None]
    carries = torch.empty((chunks, *start.shape), dtype=x.dtype, device=x.device)
    products = carries  # unused where lam is shared
    if lam.ndim == 3:
        products = torch.empty(carries.shape, dtype=torch.promote_types(x.dtype, torch.float64), device=x.device)
    _reduce[blocks, chunks - 1](
        *_reals(lam, x, carries, products), *sizes, BACKWARDS=backwards, ADJOINT=adjoint, **flags
    )
    _carry[blocks, 1](*_reals(lam, start, carries, products), *sizes, ADJOINT=adjoint, **flags)
    return carries


def _plan(lam: Tensor, x: Tensor) -> tuple[tuple[int, int], tuple[int, int, int], dict]:
    """Grid, integer arguments and compile-time flags of the launches for these tensors."""
    batch, time, channels = x.shape
    columns = batch * channels
    log2_chunk, block = _sizes(time, columns)
    grid = (triton.cdiv(columns, block), triton.cdiv(time, 1 << log2_chunk))
    flags = {
        "LOG2_CHUNK": log2_chunk,
        "BLOCK": block,
        "COMPLEX": x.is_complex(),
        "PER_STEP": lam.ndim == 3,
        "num_warps": 1,  # columns share nothing: wider programs would only make warps wait for each other
    }
    return grid, (time, channels, columns), flags


def _sizes(time: int, columns: int) -> tuple[int, int]:
    """Base-2 logarithm of the chunk length, and columns per program.

    The longest dependent path has L steps in stages 1 and 3 and T / L in stage 2; it is shortest at L = sqrt(T / 2),
    so L is a power of two near that, and at least 32, so that a program's work outweighs its start. A program is one
    warp. Each thread has one column while programs are few, and four, which it can read with one wide load, where that
    still leaves 2^17 threads.
    """
    log2_chunk = max(5, (time // 2).bit_length() // 2)
    chunks = triton.cdiv(time, 1 << log2_chunk)
    return log2_chunk, 32 if columns * chunks < 1 << 19 else 128


def _plain(t: Tensor) -> Tensor:
    """The tensor with its elements themselves in memory, in order: neither lazily conjugated or negated nor strided."""
    return t.resolve_conj().resolve_neg().contiguous()


def _reals(*tensors: Tensor) -> list[Tensor]:
    """What kernels take: complex tensors as pairs of reals."""
    return [torch.view_as_real(t) if t.is_complex() else t for t in tensors]


def compile_ahead(capability: int) -> dict[str, int]:
    """Compile every variant of every kernel for a CUDA compute capability; needs no GPU.

    Args:
        capability: 75 for 7.5 (T4), 80 for 8.0 (A100), 90 for 9.0 (H100), ...

    Returns:
        Size of each variant's binary, in bytes.

    Raises:
        RuntimeError: triton was imported with ``TRITON_INTERPRET=1``, which leaves nothing to compile.
    """
    if not isinstance(_reduce, triton.JITFunction):
        raise RuntimeError("triton was imported with TRITON_INTERPRET=1: unset it and start Python again")
    sizes = {}
    for kernel in (_reduce, _carry, _replay, _replay_adjoint):
        names = kernel.arg_names
        switches = [name for name in names if name in ("COMPLEX", "PER_STEP", "BACKWARDS", "ADJOINT")]
        for pointer, *values in itertools.product(("*fp32", "*fp64"), *[(False, True)] * len(switches)):
            constants = dict(zip(switches, values, strict=True)) | {"LOG2_CHUNK": 5, "BLOCK": 32}
            types = dict.fromkeys(names, pointer) | {"products": "*fp64", "T": "i32", "N": "i32", "columns": "i32"}
            signature = {name: "constexpr" if name in constants else types[name] for name in names}
            source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
            compiled = triton.compile(source, GPUTarget("cuda", capability, 32), options={"num_warps": 1})
            on = "".join(f" {name}" for name in switches if constants[name])
            sizes[f"{kernel.__name__} {pointer}{on}"] = len(compiled.asm["cubin"])
    return sizes
