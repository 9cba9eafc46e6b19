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
import itertools
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from ..layers import DenseRNN
from ..layers.diagonal import DiagonalLayer
from . import checks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Complex, Float
    from torch import Tensor

__all__ = ["dense_response", "diagonal_response", "gram", "impulse_responses", "loss", "stack", "white_gram"]

COLUMNS = 16  # responses are computed as a matrix (rows, COLUMNS), lag = COLUMNS * row + column


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
    r"""Diagonal of :math:`\mathrm{E}\, G` for white inputs of variance 1, all that is left of it.

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


class _DiagonalResponse(torch.autograd.Function):
    r"""Forward: :math:`k_{aj} = \mathrm{Re} \sum_i (w_i \lambda_i^a)(\lambda_i^{mj})` at lag a + mj, one real product.

    Backward, with g the gradient of k: that of w is :math:`\overline{\sum_\tau g_\tau \lambda^\tau}`, that of
    :math:`\lambda` is :math:`\overline{w \sum_\tau (\tau+1) g_{\tau+1} \lambda^\tau}`; both sums in two levels too.
    """

    @staticmethod
    def forward(ctx, lam, w, length):
        rows = -(-length // COLUMNS)
        low, step = _powers(lam, COLUMNS)
        high, _ = _powers(step.conj().resolve_conj(), rows)
        high = torch.view_as_real(high).flatten(2)
        k = high @ torch.view_as_real(w[:, None] * low).flatten(2).mT
        ctx.save_for_backward(low, high, w)
        ctx.length = length
        return k.flatten(1)[:, :length]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        low, high, w = ctx.saved_tensors
        members, rows = high.shape[:2]
        g = grad.new_zeros(2, members, rows * COLUMNS)
        g[0, :, : ctx.length] = grad
        lags = torch.arange(1, ctx.length, dtype=grad.dtype, device=grad.device)
        torch.mul(grad[:, 1:], lags, out=g[1, :, : ctx.length - 1])
        g = g.view(2, members, rows, COLUMNS).permute(1, 0, 3, 2).reshape(members, 2 * COLUMNS, rows)
        sums = torch.view_as_complex((g @ high).unflatten(2, (-1, 2))).unflatten(1, (2, COLUMNS))
        grad_w, grad_lam = (sums * low.conj()[:, None]).sum(2).unbind(1)
        return grad_lam * w.conj(), grad_w, None


def _powers(z: Complex[Tensor, "M N"], count: int) -> tuple[Complex[Tensor, "M count N"], Complex[Tensor, "M N"]]:
    """Powers 0 to count - 1 by doubling, and the power ``count`` rounded up to a power of two."""
    powers = torch.ones_like(z)[:, None]
    while powers.shape[1] < count:
        missing = count - powers.shape[1]
        powers = torch.cat([powers, powers[:, :missing] * z[:, None]], dim=1)
        z = z * z
    return powers, z


def diagonal_response(lam: Complex[Tensor, "M N"], w: Complex[Tensor, "M N"], length: int) -> Float[Tensor, "M T"]:
    r"""Impulse responses :math:`k_\tau = \mathrm{Re} \sum_i w_i \lambda_i^\tau` of diagonal students.

    Args:
        lam: eigenvalues ``(M, N)``.
        w: products of input and output weights (and input scales) ``(M, N)``.
        length: number of lags, T, at least 1.

    Returns:
        Responses ``(M, T)``, differentiable once.

    Raises:
        ValueError: lam or w has another shape or is not complex, or length is not a whole number of at least 1.
    """
    checks.shape("lam", lam, "M", "N")
    checks.shape("w", w, *lam.shape)
    if not lam.is_complex() or w.dtype != lam.dtype:
        raise ValueError(f"lam and w must have one complex dtype, got {lam.dtype} and {w.dtype}")
    return _DiagonalResponse.apply(lam, w, checks.whole("length", length))


class _DenseResponse(torch.autograd.Function):
    r"""Forward: :math:`k_{jm+a} = (C A^{mj}) (A^a B)`. Columns :math:`A^a B` by doubling, which needs the squares of A
    up to :math:`A^m`; rows :math:`C A^{mj}` one after another, or for small blocks by doubling too.

    Backward: the same steps from the last to the first; if X = YZ, the gradient of Y is that of X times Z', that of Z
    is Y' times that of X.
    """

    @staticmethod
    def forward(ctx, A, B, C, length):
        members, heads, size, _ = A.shape
        rows = -(-length // COLUMNS)
        squares = [A.reshape(-1, size, size)]  # A, A^2, A^4, ...
        squares += [torch.empty_like(squares[0]) for _ in range(_LEVELS)]
        for part in _parts(squares[0]):
            for power, square in itertools.pairwise(squares):
                torch.bmm(power[part], power[part], out=square[part])
        columns = B.reshape(-1, size, 1)
        for power in squares[:-1]:
            columns = torch.cat([columns, torch.bmm(power, columns)], dim=2)
        # squaring costs size^3, a row size^2: large blocks go on row by row
        blocks = [C.reshape(-1, 1, size)]
        done = 1
        while done < rows:
            if size < _DOUBLING_BELOW and done > 1:
                squares.append(squares[-1] @ squares[-1])
            source = torch.cat(blocks, dim=1) if size < _DOUBLING_BELOW else blocks[-1]
            blocks.append(source[:, : rows - done] @ squares[-1])
            done += blocks[-1].shape[1]
        left = torch.cat(blocks, dim=1)
        ctx.save_for_backward(columns, left, *squares)
        ctx.shape, ctx.length = (members, heads, size, rows), length
        return (_beside(left, ctx.shape) @ columns.view(members, heads * size, -1)).flatten(1)[:, :length]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        columns, left, *squares = ctx.saved_tensors
        members, heads, size, rows = ctx.shape
        g = grad.new_zeros(members, rows * COLUMNS)
        g[:, : ctx.length] = grad
        g = g.view(members, rows, COLUMNS)
        grad_left = g @ columns.view(members, heads * size, -1).mT
        grad_left = grad_left.view(members, rows, heads, size).transpose(1, 2).reshape(-1, rows, size).contiguous()
        grad_columns = (_beside(left, ctx.shape).mT @ g).view(-1, size, COLUMNS)
        # A^m and, for small blocks, its squares
        if size < _DOUBLING_BELOW:
            grad_square = torch.zeros_like(squares[-1])
            for level in range(len(squares) - 1, _LEVELS - 1, -1):
                half = 1 << (level - _LEVELS)
                above = grad_left[:, half : min(2 * half, rows)]
                below = left[:, : above.shape[1]]
                grad_square.baddbmm_(below.mT, above)
                grad_left[:, : above.shape[1]] += torch.bmm(above, squares[level].mT)
                if level > _LEVELS:
                    grad_square = _through_square(squares[level - 1], grad_square)
        else:
            turned = grad_left.transpose(0, 1)[:, :, None].contiguous()  # rows first: batched products want them so
            for row in range(rows - 1, 0, -1):
                turned[row - 1].baddbmm_(turned[row], squares[-1].mT)
            grad_left = turned[:, :, 0].transpose(0, 1).contiguous()
            grad_square = torch.bmm(left[:, :-1].mT, grad_left[:, 1:])
        for level in range(_LEVELS, 0, -1):
            half = 1 << (level - 1)
            grad_columns[:, :, :half] += torch.bmm(squares[level - 1].mT, grad_columns[:, :, half : 2 * half])
        grad_A = torch.empty_like(squares[0])
        for part in _parts(grad_A):
            grad_part = grad_square[part]
            for level in range(_LEVELS, 0, -1):
                half = 1 << (level - 1)
                grad_part = _through_square(squares[level - 1][part], grad_part)
                grad_part.baddbmm_(grad_columns[part, :, half : 2 * half], columns[part, :, :half].mT)
            grad_A[part] = grad_part
        return (
            grad_A.view(members, heads, size, size),
            grad_columns[:, :, 0].reshape(members, heads, size),
            grad_left[:, 0].reshape(members, heads, size),
            None,
        )


def _through_square(power: Tensor, grad_square: Tensor) -> Tensor:
    """Gradient of X from that of X X."""
    return torch.bmm(grad_square, power.mT).baddbmm_(power.mT, grad_square)


def _parts(matrices: Tensor) -> list[slice]:
    """Slices so small that a chain of squares stays in a core's cache; on a GPU, one."""
    size = max(1, _PART // matrices[0].numel()) if matrices.device.type == "cpu" else max(1, len(matrices))
    return [slice(start, start + size) for start in range(0, len(matrices), size)]


_PART = 1 << 16  # numbers
_LEVELS = COLUMNS.bit_length() - 1  # squarings from A to A^COLUMNS
_DOUBLING_BELOW = 48  # measured: at 64 one more square costs as much as the rows it saves


def _beside(left: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Rows of every head side by side: (M H, rows, size) to (M, rows, H size)."""
    members, heads, size, rows = shape
    return left.view(members, heads, rows, size).transpose(1, 2).reshape(members, rows, heads * size)


def dense_response(
    A: Float[Tensor, "M H n n"], B: Float[Tensor, "M H n"], C: Float[Tensor, "M H n"], length: int
) -> Float[Tensor, "M T"]:
    r"""Impulse responses :math:`k_\tau = \sum_h C_h A_h^\tau B_h` of dense or block-diagonal students.

    Args:
        A: state matrices ``(M, heads, n, n)``.
        B: input weights ``(M, heads, n)``.
        C: output weights ``(M, heads, n)``.
        length: number of lags, T, at least 1.

    Returns:
        Responses ``(M, T)``, differentiable once.

    Raises:
        ValueError: shapes or dtypes do not fit, or length is not a whole number of at least 1.
    """
    checks.shape("A", A, "M", "heads", "n", "n")
    checks.shape("A", A, *A.shape[:3], A.shape[2])
    checks.shape("B", B, *A.shape[:3])
    checks.shape("C", C, *A.shape[:3])
    if not (A.is_floating_point() and A.dtype == B.dtype == C.dtype):
        raise ValueError(f"A, B and C must have one real dtype, got {A.dtype}, {B.dtype} and {C.dtype}")
    return _DenseResponse.apply(A, B, C, checks.whole("length", length))


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
    """Whether a layer is of this kind and none of its own methods changes the response."""
    methods = ("forward", "impulse_response")
    return isinstance(layer, kind) and all(getattr(type(layer), name) is getattr(kind, name) for name in methods)
