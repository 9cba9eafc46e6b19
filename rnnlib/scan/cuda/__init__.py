r"""The scan as Triton kernels, forward and backward.

Tensors stay in the layout (batch, time, channel), and a scan from the last step to the first walks the same memory with
a negative stride: nothing is transposed, flipped or copied. Two strategies share their parts (``elements.py``,
``tiles.py``, ``chunks.py``):

============  ==========================================================  ==============================
strategy      how                                                         memory traffic, in elements
============  ==========================================================  ==============================
``"walk"``    one pass over time; batch x channels fill the device        forward 2 (3), backward 3 (5)
``"chunks"``  reduce, carry, replay: time is cut too                      forward 3 (5), backward 4 (7)
============  ==========================================================  ==============================

(In brackets: :math:`\lambda` per step. An element of complex64 has 8 bytes.) ``"auto"`` walks where it can and takes
chunks elsewhere, or what the tuning table says was faster (``tuning.py``); ``tools/bench_gpu.py`` checks and times both
and writes that table. A third strategy, decoupled look-back (Merrill and Garland, 2016), reads its input once also
where columns are few; on an H100 it was slower than these two almost everywhere and is gone (the book's page on
performance has the numbers).

What else a layer might fuse into the scan saves too little. An LRU's :math:`\gamma` is a factor of its small input
matrix already. :math:`\mathrm{Re}(C h)` in the kernel would save one read of the states, 8 of the 40 bytes that a
forward pass moves for each (drive and states written and read, input and output), and training stores them anyway.

States and gradients are computed in the precision of the input, those of bfloat16 and float16 in float32; products of
eigenvalues, and what goes from strip to strip and from chunk to chunk, in float64: rounded to float32, a product would
act as a different :math:`\lambda` over the whole sequence. The experiment ``precision`` shows what each place needs.
Every sum has a fixed order, so the same input gives the same bits at each call. No launch waits for the host and
scratch memory comes from PyTorch's allocator, so CUDA graphs can capture a scan.

With ``TRITON_INTERPRET=1`` set before triton is imported, the kernels run on CPU tensors, slowly, for tests.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
import triton

from .chunks import _carry, _reduce, _replay, _replay_adjoint
from .cutting import STRATEGIES, Plan, expected
from .cutting import plan as make_plan
from .sums import _sum

if TYPE_CHECKING:
    from jaxtyping import Inexact
    from torch import Tensor

__all__ = ["STRATEGIES", "cuda_adjoint", "cuda_scan", "expected"]

# Registers of a thread: left alone, the assembler gives these kernels fewer in some variants, and spills.
_REGISTERS = {"maxnreg": 168}


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


_OLD = _release(triton.__version__) < (3, 7) and _release(np.__version__) >= (2, 4)
if _OLD and os.environ.get("TRITON_INTERPRET") == "1":
    raise ImportError(
        f"Triton's interpreter of release {triton.__version__} fails with numpy {np.__version__}: "
        "install triton 3.7 or later, or numpy below 2.4"
    )


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
        x: inputs; of any strides, as all arguments, but what is not contiguous is copied first. With float16 and
            bfloat16 go ``lam (N,)`` and ``h0`` in float32, and ``lam`` per step in either.
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
    plan = make_plan(strategy, lam, x, adjoint=False)
    with torch.cuda.device_of(x):
        carries = _carries(plan, lam, x, h0, reverse, adjoint=False)
        tensors = _words(x, lam, h0, carries, states)
        _replay[plan.blocks, plan.count](*tensors, *plan.sizes, plan.length, BACKWARDS=reverse, **plan.flags)
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
    plan = make_plan(strategy, lam, grad, adjoint=True)
    with torch.cuda.device_of(h):
        if lam.ndim == 3:
            grad_lam = torch.empty_like(lam)
        else:  # a part for every chunk and sequence
            grad_lam = torch.empty((plan.count, *h0.shape), dtype=_wide(h.dtype), device=h.device)
        carries = _carries(plan, lam, grad, h0, not reverse, adjoint=True)
        tensors = _words(grad, lam, h, h0, carries, grad_lam, grad_x, grad_h0)
        sizes = (*plan.sizes, plan.length, plan.skipped)
        _replay_adjoint[plan.blocks, plan.count](*tensors, *sizes, BACKWARDS=not reverse, **plan.flags)
        if lam.ndim == 1:
            grad_lam = _total(grad_lam, lam)
    return grad_lam, grad_x, grad_h0


def _total(parts: Inexact[Tensor, "K B N"], like: Tensor) -> Inexact[Tensor, "N"]:
    """The sum over chunks and sequences, in float64 and a fixed order, rounded once."""
    count, batch, channels = parts.shape
    total = torch.empty_like(like)
    flags = {"COMPLEX": like.is_complex(), "COLUMNS": 8, "ROWS": 64 if count * batch <= 256 else 512}
    flags["num_warps"] = flags["ROWS"] // 64
    _sum[(triton.cdiv(channels, 8),)](*_words(parts, total), count * batch, channels, **flags)
    return total


def _carries(
    plan: Plan, lam: Tensor, x: Tensor, start: Tensor, backwards: bool, adjoint: bool
) -> Inexact[Tensor, "K B N"]:
    """Stages 1 and 2: the states that enter all chunks but the first."""
    chunks = plan.count

    def wide():
        return torch.empty((chunks - 1, *start.shape), dtype=_wide(x.dtype), device=x.device)

    carries = wide()
    if chunks == 1:
        return carries
    ends = wide()
    products = wide() if lam.ndim == 3 else ends  # not used where lam is shared
    flags = {"ADJOINT": adjoint, **plan.flags}
    skipped = plan.skipped if adjoint else 0
    tensors = _words(x, lam, ends, products)
    flags |= {"BACKWARDS": backwards}
    _reduce[plan.blocks, chunks - 1](*tensors, *plan.sizes, plan.length, skipped, **flags, **_REGISTERS)
    flags |= {"STEPS": 8, "num_warps": 1}
    del flags["STRIPS"], flags["BACKWARDS"]
    tensors = _words(ends, products, lam, start, carries)
    batch, _, channels = plan.sizes
    _carry[(plan.blocks,)](*tensors, chunks, batch, channels, plan.length, **flags)
    return carries


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
