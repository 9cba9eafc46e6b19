r"""Derivatives of the scan, which are scans again.

For :math:`h_t = \lambda_t h_{t-1} + x_t` and a loss with :math:`g_t = \partial L / \partial h_t`, the adjoint runs
backwards in time,

.. math::

    \delta_t = g_t + \bar\lambda_{t+1} \delta_{t+1}, \qquad
    \frac{\partial L}{\partial x_t} = \delta_t, \qquad
    \frac{\partial L}{\partial \lambda_t} = \delta_t \bar h_{t-1}, \qquad
    \frac{\partial L}{\partial h_0} = \bar\lambda_1 \delta_1,

and a tangent forwards,

.. math:: \dot h_t = \lambda_t \dot h_{t-1} + (\dot\lambda_t h_{t-1} + \dot x_t).

Both call the scan itself, so derivatives of any order exist, in reverse and in forward mode. Complex gradients follow
PyTorch's convention (the conjugate Wirtinger derivative).
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import backends
from .sequential import entering


def _adjoint(scan, lam: Tensor, h: Tensor, h0: Tensor, grad: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with respect to ``lam``, ``x`` and ``h0`` from differentiable operations and ``scan`` itself."""
    following = lam if lam.ndim == 1 else entering(lam, torch.zeros_like(h0), not reverse)
    delta = scan(following.conj(), grad, torch.zeros_like(h0), not reverse)
    grad_lam = delta * entering(h, h0, reverse).conj()
    first = -1 if reverse else 0
    lam_first = lam if lam.ndim == 1 else lam[:, first]
    grad_lam = grad_lam.sum(dim=(0, 1)) if lam.ndim == 1 else grad_lam
    return grad_lam, delta, lam_first.conj() * delta[:, first]


def _over_vmap(scan, size: int, in_dims, lam: Tensor, x: Tensor, h0: Tensor) -> tuple[Tensor, int]:
    """A vmapped scan is one scan with more sequences or, where each member has its own ``lam (N,)``, more channels."""
    lam, x, h0 = (
        t.movedim(d, 0) if d is not None else t.expand(size, *t.shape)
        for t, d in zip((lam, x, h0), in_dims, strict=True)
    )
    if lam.ndim == 2 and in_dims[0] is not None:
        h = scan(lam.flatten(), x.movedim(0, 2).flatten(2), h0.movedim(0, 1).flatten(1))
        return h.unflatten(2, lam.shape), 2
    h = scan(lam[0] if lam.ndim == 2 else lam.flatten(0, 1), x.flatten(0, 1), h0.flatten(0, 1))
    return h.unflatten(0, x.shape[:2]), 0


class LinearScan(torch.autograd.Function):
    """The scan for eager PyTorch: reverse mode, forward mode and vmap, each of any order."""

    @staticmethod
    def forward(lam, x, h0, reverse, backend):
        return backends.forward(backend, x.device)(lam, x, h0, reverse)

    @staticmethod
    def setup_context(ctx, inputs, output):
        lam, _, h0, ctx.reverse, ctx.backend = inputs
        ctx.save_for_backward(lam, h0, output)
        ctx.save_for_forward(lam, h0, output)

    @staticmethod
    def backward(ctx, grad):
        lam, h0, h = ctx.saved_tensors
        fused = backends.fused_adjoint(ctx.backend, h.device)
        # grad mode is on in a backward pass exactly when that pass will itself be differentiated
        if fused is not None and not torch.is_grad_enabled():
            return *fused(lam, h, h0, grad, ctx.reverse), None, None

        def scan(*inputs):
            return LinearScan.apply(*inputs, ctx.backend)

        return *_adjoint(scan, lam, h, h0, grad, ctx.reverse), None, None

    @staticmethod
    def jvp(ctx, lam_dot, x_dot, h0_dot, *_):
        lam, h0, h = ctx.saved_tensors
        x_dot = torch.zeros_like(h) if x_dot is None else x_dot
        h0_dot = torch.zeros_like(h0) if h0_dot is None else h0_dot
        if lam_dot is not None:
            x_dot = x_dot + lam_dot * entering(h, h0, ctx.reverse)
        return LinearScan.apply(lam, x_dot, h0_dot, ctx.reverse, ctx.backend)

    @staticmethod
    def vmap(info, in_dims, lam, x, h0, reverse, backend):
        def scan(*inputs):
            return LinearScan.apply(*inputs, reverse, backend)

        return _over_vmap(scan, info.batch_size, in_dims[:3], lam, x, h0)


# torch.compile cannot trace an autograd.Function that defines `jvp`; it sees the scan as one opaque operator instead.
# Such operators have no derivatives inside a compiled torch.func transform.
@torch.library.custom_op("rnnlib::linear_scan", mutates_args=())
def scan_operator(lam: Tensor, x: Tensor, h0: Tensor, reverse: bool, backend: str) -> Tensor:
    return backends.forward(backend, x.device)(lam, x, h0, reverse)


@scan_operator.register_fake
def _(lam, x, h0, reverse, backend):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _setup_context(ctx, inputs, output):
    lam, _, h0, ctx.reverse, ctx.backend = inputs
    ctx.save_for_backward(lam, h0, output)


def _backward(ctx, grad):
    lam, h0, h = ctx.saved_tensors
    return *adjoint_operator(lam, h, h0, grad, ctx.reverse, ctx.backend), None, None


scan_operator.register_autograd(_backward, setup_context=_setup_context)


@torch.library.custom_op("rnnlib::linear_scan_adjoint", mutates_args=())
def adjoint_operator(
    lam: Tensor, h: Tensor, h0: Tensor, grad: Tensor, reverse: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    fused = backends.fused_adjoint(backend, h.device)
    if fused is not None:
        return fused(lam, h, h0, grad, reverse)

    def scan(*inputs):
        return backends.forward(backend, h.device)(*inputs)

    return _adjoint(scan, lam, h, h0, grad, reverse)


@adjoint_operator.register_fake
def _(lam, h, h0, grad, reverse, backend):
    return tuple(torch.empty_like(t, memory_format=torch.contiguous_format) for t in (lam, grad, h0))
