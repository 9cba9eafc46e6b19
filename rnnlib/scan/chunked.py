"""The same recurrence in chunks: about 2 sqrt(T) steps over long rows instead of T steps over short ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from .sequential import entering, sequential_scan

if TYPE_CHECKING:
    from jaxtyping import Inexact
    from torch import Tensor


def chunked_scan(
    lam: Inexact[Tensor, "*#BT N"],
    x: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"],
    reverse: bool = False,
    chunk: int | None = None,
) -> Inexact[Tensor, "B T N"]:
    r"""Iterate the recurrence chunk by chunk, all chunks side by side.

    Cut time into K chunks of L steps. Within chunk k the recurrence is affine in the state that enters it,

    .. math:: h_{kL+i} = \Big(\prod_{j \le i} \lambda_{kL+j}\Big) h_{kL} + e_{k,i}
              \qquad (e_{k,i}\text{: the same chunk started from zero}),

    so three stages give every state:

    1. *reduce*: each chunk from a zero state to its last value :math:`e_k` and its product :math:`p_k`, L steps;
    2. *carry*: :math:`c_{k+1} = p_k c_k + e_k`, the same recurrence over chunks, K steps;
    3. *replay*: each chunk again, now from its true carry, L steps.

    No power of :math:`\lambda` is ever divided by, carries are in double precision and each state comes from the
    recurrence itself, so rounding errors grow as the loop's do (``linear_scan`` has the bound). The Triton kernels have
    the same three stages.

    Args:
        lam: eigenvalues, ``(N,)`` or shaped like ``x``.
        x: inputs.
        h0: state before the first input (after the last one if ``reverse``). The recurrence runs in its precision,
            states come in that of ``x``.
        reverse: run from the last step to the first.
        chunk: chunk length L; by default about :math:`\sqrt{T}`, or more where batch and channels fill the device.

    Returns:
        All T states, in the order of the inputs. Not differentiable by itself: ``linear_scan`` adds the adjoint.

    Source: the blocked scan of Blelloch (1990), applied to section 2.2, assumption (a).
    """
    batch, time, channels = x.shape
    length = min(chunk or _chunk_length(batch * channels, time, x.device), time)
    whole = time - time % length  # the ragged rest, less than one chunk, is one more short scan
    if reverse:
        rest, body = slice(0, time - whole), slice(time - whole, time)
    else:
        body, rest = slice(0, whole), slice(whole, time)
    shared = lam.ndim == 1
    order = range(length - 1, -1, -1) if reverse else range(length)

    states = torch.empty_like(x, memory_format=torch.contiguous_format)
    x_chunks = x[:, body].unflatten(1, (-1, length))
    lam_chunks = lam.expand_as(x)[:, body].unflatten(1, (-1, length))
    h_chunks = states[:, body].unflatten(1, (-1, length))

    if length == whole:  # one chunk, whose carry is known
        h = h0[:, None]
    else:
        end = torch.zeros_like(x_chunks[:, :, 0], dtype=h0.dtype)
        for i in order:
            end = torch.addcmul(x_chunks[:, :, i], lam_chunks[:, :, i], end)
        # in double precision: a product rounded to single would act as a slightly different lam over the whole sequence
        wide = torch.promote_types(h0.dtype, torch.float64)
        product = lam.expand(length, channels).prod(0, dtype=wide) if shared else lam_chunks.prod(2, dtype=wide)
        carries = sequential_scan(product, end.to(wide), h0.to(wide), reverse).to(h0.dtype)
        h = entering(carries, h0, reverse)
    for i in order:
        if x.dtype == h0.dtype:
            h = torch.addcmul(x_chunks[:, :, i], lam_chunks[:, :, i], h, out=h_chunks[:, :, i])
        else:
            h = torch.addcmul(x_chunks[:, :, i], lam_chunks[:, :, i], h)
            h_chunks[:, :, i] = h  # rounded; the next step goes on from what is not

    if whole < time:
        last = h[:, 0 if reverse else -1]
        states[:, rest] = sequential_scan(lam if shared else lam[:, rest], x[:, rest], last, reverse)
    return states


def _chunk_length(columns: int, time: int, device: torch.device) -> int:
    """Chunks only as far as they are needed to make rows long: they double the arithmetic and scatter memory access."""
    row = 2**13 if device.type == "cpu" else 2**20  # elements that keep the device busy for one operation
    chunks = max(1, min(math.isqrt(time), row // max(columns, 1)))
    return time // chunks
