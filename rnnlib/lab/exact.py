r"""The exact minibatch loss of linear time-invariant students, for many of them at once.

A linear time-invariant student with scalar input and output that starts at :math:`h_0 = 0` is its impulse response
:math:`k_0, \dots, k_{T-1}`. If the teacher is one too, and dk is the difference of the two responses,

.. math:: \frac{1}{2BT} \sum_{b,t} (y - y^*)^2 = \tfrac{1}{2} \, dk^\top G \, dk, \qquad
          G_{ij} = \frac{1}{BT} \sum_b \sum_{t \ge \max(i,j)} x_{b,t-i} \, x_{b,t-j}.

G depends on the inputs alone, so one G serves every student, rate and architecture trained on the same minibatch, and
what a student costs depends on T but not on B. Losses and gradients equal those of back-propagation through time.

A stacked layer (:func:`stack`) holds many layers of one kind: each parameter has a leading axis, M, of members.
Members never meet: row m of every result depends on row m of the parameters alone.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from ..layers import DenseRNN
from ..layers.diagonal import DiagonalLayer
from . import checks
from .impulse_responses import dense_response, diagonal_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

__all__ = ["dense_response", "diagonal_response", "gram", "impulse_responses", "loss", "stack", "white_gram"]


def gram(x: Float[Tensor, "*S B T"]) -> Float[Tensor, "*S T T"]:
    r"""The matrix G of a minibatch of scalar inputs.

    With time reversed, :math:`G_{ij}` is the sum of :math:`(x^\top x)_{ij} / BT` and its predecessor on the same
    diagonal: one product, then running sums along the diagonals.

    Args:
        x: inputs ``(..., batch, time)``.

    Returns:
        Symmetric matrices ``(..., time, time)``.

    Raises:
        ValueError: x has fewer axes, no numbers, or is not real.
    """
    if x.ndim < 2 or x.numel() == 0 or not x.is_floating_point():
        raise ValueError(f"x must be real, of shape (..., batch, time) and not empty, got {x.dtype}, {tuple(x.shape)}")
    *leading, batch, time = x.shape
    results = [_gram(one) for one in x.reshape(-1, batch, time)]
    return torch.stack(results).view(*leading, time, time)


def _gram(x: Float[Tensor, "B T"]) -> Float[Tensor, "T T"]:
    batch, time = x.shape
    # rows of length 2T, the right halves zero: read with rows of length 2T + 1, diagonals become columns
    room = x.new_zeros(time * (2 * time + 1))
    products = room[: 2 * time * time].view(time, 2 * time)[:, :time]
    products.copy_(x.mT @ x)
    diagonals = room.view(time, 2 * time + 1)[:, :time]
    torch.cumsum(diagonals, 0, out=diagonals)
    upper = products.triu().div_(batch * time)
    return (upper + upper.triu(1).mT).flip(0, 1)


def white_gram(length: int) -> Float[Tensor, "T"]:
    r"""Diagonal of :math:`\mathrm{E}\, G` for white inputs of variance 1; off it the expectation is 0.

    Lag i is seen in T - i of the T steps.

    Args:
        length: T, at least 1.

    Returns:
        :math:`1 - i/T`, float64.

    Raises:
        ValueError: length is not a whole number of at least 1.
    """
    length = checks.whole("length", length)
    return 1 - torch.arange(length, dtype=torch.float64) / length


class _Quadratic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, difference, G):
        slope = difference @ G
        ctx.save_for_backward(slope)
        return 0.5 * (difference * slope).sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (slope,) = ctx.saved_tensors
        return grad[:, None] * slope, None


def loss(k: Float[Tensor, "M T"], k_star: Float[Tensor, "M T"], G: Float[Tensor, "T T"]) -> Float[Tensor, "M"]:
    r"""Half the mean squared error of each student on the minibatch that G stands for.

    Args:
        k: impulse responses of the students ``(M, T)``.
        k_star: those of their teachers ``(M, T)``, or ``(1, T)`` for a common one.
        G: Gram matrix of the inputs ``(T, T)``, symmetric; a constant.

    Returns:
        Losses ``(M,)``, in the square of the teacher's output unit. Differentiable once with respect to k and k_star.

    Raises:
        ValueError: shapes or dtypes do not fit, or G asks for a gradient.
    """
    checks.shape("k", k, "M", "T")
    members, time = k.shape
    checks.shape("k_star", k_star, 1 if k_star.shape[:1] == (1,) else members, time)
    checks.shape("G", G, time, time)
    if not k.dtype == k_star.dtype == G.dtype:
        raise ValueError(f"k, k_star and G must have one dtype, got {k.dtype}, {k_star.dtype} and {G.dtype}")
    if G.requires_grad:
        raise ValueError("G must not require a gradient: the loss has none with respect to it; pass G.detach()")
    return _Quadratic.apply(k - k_star, G)


def stack(layers: Sequence[nn.Module]) -> nn.Module:
    """Many layers of one kind as one, each parameter and buffer with a leading axis of members.

    Args:
        layers: layers that differ in the values of their parameters and buffers alone: same class, settings, names,
            shapes, dtypes, and the same parameters frozen.

    Returns:
        A copy of the first with stacked parameters. It computes nothing but :func:`impulse_responses`.

    Raises:
        ValueError: there are no layers, or they differ in anything else; for example some have an input scale.
    """
    layers = list(layers)
    checks.alike(layers)
    stacked = copy.deepcopy(layers[0])
    for name, parameter in layers[0].named_parameters():
        values = torch.stack([layer.get_parameter(name).detach() for layer in layers])
        owner, _, leaf = name.rpartition(".")
        setattr(stacked.get_submodule(owner), leaf, nn.Parameter(values, requires_grad=parameter.requires_grad))
    for name, _ in layers[0].named_buffers():
        owner, _, leaf = name.rpartition(".")
        setattr(stacked.get_submodule(owner), leaf, torch.stack([layer.get_buffer(name) for layer in layers]))
    stacked._members = len(layers)
    return stacked


class _Response(nn.Module):
    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, length: int) -> Tensor:
        return self.layer.impulse_response(length)[:, 0, 0]


def impulse_responses(layer: nn.Module, length: int) -> Float[Tensor, "M T"]:
    """Impulse responses of a stacked layer.

    Diagonal and dense layers take the fast paths above. Any other layer with an ``impulse_response`` method is mapped
    over its members: a new student needs nothing but the layer.

    Args:
        layer: a layer from :func:`stack`, with scalar input and output.
        length: number of lags, T, at least 1.

    Returns:
        Responses ``(M, T)``, differentiable with respect to the stacked parameters.

    Raises:
        ValueError: the layer is not from :func:`stack`, its input or output is not scalar, or length is not a whole
            number of at least 1.
    """
    length = checks.whole("length", length)
    if not hasattr(layer, "_members"):
        raise ValueError(f"layer must come from exact.stack, got a single {type(layer).__name__}: stack([layer])")
    if (layer.input_size, layer.output_size) != (1, 1):
        raise ValueError(
            "the exact loss is for students with scalar input and output, "
            f"got sizes {layer.input_size} and {layer.output_size}"
        )
    if _computes_as(layer, DiagonalLayer):
        scale = layer.input_scale()
        w = torch.view_as_complex(layer.C)[:, 0] * torch.view_as_complex(layer.B)[..., 0]
        k = diagonal_response(layer.eigenvalues(), w if scale is None else w * scale, length)
    elif _computes_as(layer, DenseRNN):
        heads = layer.A.shape[1:3]
        B, C = layer.B.reshape(-1, *heads), layer.C.reshape(-1, *heads)
        k = dense_response(layer.A, B, C, length)
    else:
        tensors = dict(layer.named_parameters()) | dict(layer.named_buffers())
        tensors = {f"layer.{name}": value for name, value in tensors.items()}
        response = _Response(layer)
        return torch.func.vmap(lambda one: torch.func.functional_call(response, one, (length,)))(tensors)
    skip = layer.D[:, 0]
    return torch.cat([k[:, :1] + skip, k[:, 1:]], dim=1)


def _computes_as(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer is of this kind, and its response that of the library's class that it is or comes from."""
    if not isinstance(layer, kind):
        return False
    own = next(base for base in type(layer).__mro__ if base.__module__.startswith("rnnlib.layers."))
    return all(getattr(type(layer), name) is getattr(own, name) for name in ("forward", "_run", "impulse_response"))
