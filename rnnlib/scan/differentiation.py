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

``x``, the states, their gradients and ``lam`` per step may be in half precision. The operators then take ``h0`` and
``lam`` per channel in float32, and the recurrence runs in the precision of ``h0``. Gradients have the dtypes of their
tensors: autograd converts what products of two dtypes have promoted.

Backends write into memory that tracers (``make_fx``, ``linearize``, ``torch.compile``, ``torch.export``) do not see.
For them, and for transforms, a backend runs inside one of two operators, which are recorded whole. Plain autograd calls
the backend itself: on a GPU, operators would cost the host more than the launches of a short scan do.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from . import backends
from .sequential import entering


def _run(lam: Tensor, x: Tensor, h0: Tensor, reverse: bool, backend: str) -> Tensor:
    return backends.resolve(backend, x.device).scan(lam, x, h0, reverse).to(x.dtype)


scan_operator = torch.library.custom_op("rnnlib::linear_scan", _run, mutates_args=())


@scan_operator.register_fake
def _(lam, x, h0, reverse, backend):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@scan_operator.register_vmap
def _(info, in_dims, lam, x, h0, reverse, backend):
    """One scan of more sequences or, where each member has its own ``lam (N,)``, of more channels."""
    shared = in_dims[0] is None and lam.ndim == 1
    lam, x, h0 = _members_first(info.batch_size, in_dims, lam, x, h0)
    if lam.ndim == 2 and not shared:
        h = scan_operator(lam.flatten(), _side_by_side(x), _side_by_side(h0), reverse, backend)
        return h.unflatten(2, lam.shape), 2
    h = scan_operator(lam[0] if shared else lam.flatten(0, 1), x.flatten(0, 1), h0.flatten(0, 1), reverse, backend)
    return h.unflatten(0, x.shape[:2]), 0


def _run_adjoint(
    lam: Tensor, h: Tensor, h0: Tensor, grad: Tensor, reverse: bool, backend: str
) -> tuple[Tensor, Tensor, Tensor]:
    chosen, dtypes = backends.resolve(backend, h.device), (lam.dtype, grad.dtype, h0.dtype)
    if chosen.adjoint:
        gradients = chosen.adjoint(lam, h, h0, grad, reverse)
    else:
        lam, h, grad = (t.to(h0.dtype) for t in (lam, h, grad))
        gradients = _adjoint(chosen.scan, lam, h, h0, grad, reverse)
    return tuple(t.to(dtype) for t, dtype in zip(gradients, dtypes, strict=True))


adjoint_operator = torch.library.custom_op("rnnlib::linear_scan_adjoint", _run_adjoint, mutates_args=())


@adjoint_operator.register_fake
def _(lam, h, h0, grad, reverse, backend):
    return tuple(torch.empty_like(t, memory_format=torch.contiguous_format) for t in (lam, grad, h0))


@adjoint_operator.register_vmap
def _(info, in_dims, lam, h, h0, grad, reverse, backend):
    lam, h, h0, grad = _members_first(info.batch_size, in_dims, lam, h, h0, grad)
    if lam.ndim == 2:  # each member has a gradient of its own, even where lam itself is shared
        inputs = lam.flatten(), *(_side_by_side(t) for t in (h, h0, grad))
        grad_lam, grad_x, grad_h0 = adjoint_operator(*inputs, reverse, backend)
        sizes = lam.shape
        return (grad_lam.unflatten(0, sizes), grad_x.unflatten(2, sizes), grad_h0.unflatten(1, sizes)), (0, 2, 1)
    gradients = adjoint_operator(*(t.flatten(0, 1) for t in (lam, h, h0, grad)), reverse, backend)
    return tuple(t.unflatten(0, h.shape[:2]) for t in gradients), (0, 0, 0)


def _members_first(members: int, in_dims, *tensors: Tensor) -> list[Tensor]:
    return [
        t.movedim(dim, 0) if dim is not None else t.expand(members, *t.shape)
        for t, dim in zip(tensors, in_dims, strict=False)
    ]


def _side_by_side(t: Tensor) -> Tensor:
    """Members ``(M, ..., N)`` as further channels ``(..., M N)``."""
    return t.movedim(0, -2).flatten(-2)


def scan(lam: Tensor, x: Tensor, h0: Tensor, reverse: bool, backend: str) -> Tensor:
    """The differentiable scan."""
    if torch.compiler.is_compiling():
        from .torch_compile import scan_in_graph

        return scan_in_graph(lam, x, h0, reverse, backend)
    if torch.jit.is_tracing():
        return scan_operator(lam, x, h0, reverse, backend)
    if _plain(lam, x, h0):
        return EagerScan.apply(lam, x, h0, reverse, backend)
    return differentiable(lam, x, h0, reverse, backend)


def _plain(*tensors: Tensor) -> bool:
    """Whether autograd's reverse mode is all there is: no tracer, no subclass of Tensor, no transform of torch.func, no
    forward mode, no legacy vmap. Not all of these have public names."""
    return not (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._ops._len_torch_dispatch_stack_pre_dispatch()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or any(type(t) not in _TENSORS or torch._C._functorch.is_legacy_batchedtensor(t) for t in tensors)
    )


_TENSORS = (Tensor, torch.nn.Parameter)


def _adjoint(scan, lam: Tensor, h: Tensor, h0: Tensor, grad: Tensor, reverse: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients with respect to ``lam``, ``x`` and ``h0`` from differentiable operations and ``scan`` itself."""
    following = lam if lam.ndim == 1 else entering(lam, torch.zeros_like(h0, dtype=lam.dtype), not reverse)
    delta = scan(following.conj(), grad, torch.zeros_like(h0), not reverse)
    lam_first = lam if lam.ndim == 1 else lam[:, _first(reverse)]
    grad_lam = (delta * entering(h, h0, reverse).conj()).sum_to_size(lam.shape)
    return grad_lam, delta, lam_first.conj() * delta[:, _first(reverse)]


def _first(reverse: bool) -> int:
    return -1 if reverse else 0


def _terms(forcing) -> list[tuple]:
    """(a, s, s_0) of each term."""
    return [tuple(forcing[k : k + 3]) for k in range(0, len(forcing), 3)]


def _gradients(lam: Tensor, h: Tensor, h0: Tensor, grad: Tensor, reverse: bool, backend: str):
    # grad mode is on in a backward pass exactly when that pass will itself be differentiated
    if torch.is_grad_enabled():
        return _adjoint(lambda *inputs: scan(*inputs, backend), lam, h, h0, grad, reverse)
    run = _run_adjoint if _plain(lam, h, h0, grad) else adjoint_operator
    return run(lam, h, h0, grad, reverse, backend)


class EagerScan(torch.autograd.Function):
    """The scan for :func:`_plain` tensors. With ``setup_context``, PyTorch would inspect the signature at each call."""

    @staticmethod
    def forward(ctx, lam, x, h0, reverse, backend):
        h = _run(lam, x, h0, reverse, backend)
        ctx.save_for_backward(lam, h0, h)
        ctx.reverse, ctx.backend = reverse, backend
        return h

    @staticmethod
    def backward(ctx, grad):
        return _backward(ctx, grad)


def _backward(ctx, grad: Tensor) -> tuple:
    lam, h0, h = ctx.saved_tensors
    return *_gradients(lam, h, h0, grad, ctx.reverse, ctx.backend), None, None


class LinearScan(torch.autograd.Function):
    r"""The scan with forcing, :math:`h_t = \lambda_t h_{t-1} + x_t + \sum_k a^k_t s^k_{t-1}`, the form of its tangents.

    ``forcing`` holds a, s and s_0 of each term one after another. ``jvp`` must be a single call of a Function and
    nothing else: PyTorch drops the outer levels' tangents of other operations there (pytorch issue 197867), so that a
    forward derivative of a forward derivative would be wrong.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(lam, x, h0, reverse, backend, *forcing):
        for a, s, s0 in _terms(forcing):
            x = (x + a * entering(s, s0, reverse)).to(x.dtype)
        return scan_operator(lam, x, h0, reverse, backend)

    @staticmethod
    def setup_context(ctx, inputs, output):
        lam, _, h0, ctx.reverse, ctx.backend, *forcing = inputs
        ctx.save_for_backward(lam, h0, output, *forcing)
        ctx.save_for_forward(lam, h0, output, *forcing)

    @staticmethod
    def backward(ctx, grad):
        lam, h0, h, *forcing = ctx.saved_tensors
        grad_lam, delta, grad_h0 = _gradients(lam, h, h0, grad, ctx.reverse, ctx.backend)
        gradients = [grad_lam, delta, grad_h0, None, None]
        for a, s, s0 in _terms(forcing):
            entered = a.conj() * delta
            gradients += [
                (delta * entering(s, s0, ctx.reverse).conj()).sum_to_size(a.shape),
                entering(entered, torch.zeros_like(s0), not ctx.reverse),
                entered[:, _first(ctx.reverse)],
            ]
        return tuple(gradients)

    @staticmethod
    def jvp(ctx, lam_dot, x_dot, h0_dot, _reverse, _backend, *forcing_dot):
        lam, h0, h, *forcing = ctx.saved_tensors
        terms = [(lam_dot, h, h0)]
        for (a, s, s0), (a_dot, s_dot, s0_dot) in zip(_terms(forcing), _terms(forcing_dot), strict=True):
            terms += [(a_dot, s, s0), (a, s_dot, s0_dot)]
        zero, zeros = torch.zeros_like(h0), torch.zeros_like(h)
        terms = [
            (a, zeros if s is None else s, zero if s0 is None else s0)
            for a, s, s0 in terms
            if a is not None and not (s is None and s0 is None)
        ]
        x_dot = zeros if x_dot is None else x_dot
        h0_dot = zero if h0_dot is None else h0_dot
        return differentiable(lam, x_dot, h0_dot, ctx.reverse, ctx.backend, *itertools.chain(*terms))


def differentiable(lam: Tensor, x: Tensor, h0: Tensor, reverse: bool, backend: str, *forcing: Tensor) -> Tensor:
    tensors = (lam, x, h0, *forcing)
    batched = any(torch._C._functorch.is_legacy_batchedtensor(t) for t in tensors)  # no public name exists
    if batched and torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        # in PyTorch such a call of any Function loses its graph: the second derivative would lack a part
        raise RuntimeError(
            "linear_scan under is_grads_batched=True or torch.autograd.functional's vectorize=True cannot be "
            "differentiated again: use torch.func.jacrev, jacfwd, hessian or vmap instead"
        )
    return LinearScan.apply(lam, x, h0, reverse, backend, *forcing)


# The operator has first derivatives of its own for graphs that hold nothing else: exported and traced models.
def _setup_context(ctx, inputs, output):
    lam, _, h0, ctx.reverse, ctx.backend = inputs
    ctx.save_for_backward(lam, h0, output)


scan_operator.register_autograd(_backward, setup_context=_setup_context)
