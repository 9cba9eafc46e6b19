"""Impulse responses of many linear students at once, with gradients: two levels of powers instead of T steps.

Responses are computed as a matrix (rows, COLUMNS), lag = COLUMNS * row + column.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch.autograd.function import once_differentiable

from . import checks

if TYPE_CHECKING:
    from jaxtyping import Complex, Float
    from torch import Tensor

COLUMNS = 16
_LEVELS = COLUMNS.bit_length() - 1  # squarings from A to A^COLUMNS
_DOUBLING_BELOW = 48  # size of blocks; measured: at 64 one more square costs as much as the rows it saves
_PART = 1 << 16  # numbers of a batch of blocks whose chain of squares stays in a core's cache


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
        count = -(-length // COLUMNS)
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
        while done < count:
            if size < _DOUBLING_BELOW and done > 1:
                squares.append(squares[-1] @ squares[-1])
            source = torch.cat(blocks, dim=1) if size < _DOUBLING_BELOW else blocks[-1]
            blocks.append(source[:, : count - done] @ squares[-1])
            done += blocks[-1].shape[1]
        rows = torch.cat(blocks, dim=1)
        ctx.save_for_backward(columns, rows, *squares)
        ctx.shape, ctx.length = (members, heads, size, count), length
        return (_beside(rows, ctx.shape) @ columns.view(members, heads * size, -1)).flatten(1)[:, :length]

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        columns, rows, *squares = ctx.saved_tensors
        members, heads, size, count = ctx.shape
        g = grad.new_zeros(members, count * COLUMNS)
        g[:, : ctx.length] = grad
        g = g.view(members, count, COLUMNS)
        grad_rows = g @ columns.view(members, heads * size, -1).mT
        grad_rows = grad_rows.view(members, count, heads, size).transpose(1, 2).reshape(-1, count, size).contiguous()
        grad_columns = (_beside(rows, ctx.shape).mT @ g).view(-1, size, COLUMNS)
        through = _through_doubled_rows if size < _DOUBLING_BELOW else _through_rows
        grad_C, grad_power = through(rows, squares, grad_rows)
        for level in range(_LEVELS, 0, -1):
            half = 1 << (level - 1)
            grad_columns[:, :, :half] += torch.bmm(squares[level - 1].mT, grad_columns[:, :, half : 2 * half])
        grad_A = torch.empty_like(squares[0])
        for part in _parts(grad_A):
            grad_part = grad_power[part]
            for level in range(_LEVELS, 0, -1):
                half = 1 << (level - 1)
                grad_part = _through_square(squares[level - 1][part], grad_part)
                grad_part.baddbmm_(grad_columns[part, :, half : 2 * half], columns[part, :, :half].mT)
            grad_A[part] = grad_part
        B_and_C = (values.reshape(members, heads, size) for values in (grad_columns[:, :, 0], grad_C))
        return grad_A.view(members, heads, size, size), *B_and_C, None


def _through_rows(rows: Tensor, squares: list[Tensor], grad_rows: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of C and A^m from those of the rows C A^(mj), taken one after another."""
    first = grad_rows.transpose(0, 1)[:, :, None].contiguous()  # axes (row, block): batched products are faster so
    for row in range(len(first) - 1, 0, -1):
        first[row - 1].baddbmm_(first[row], squares[-1].mT)
    grad_rows = first[:, :, 0].transpose(0, 1).contiguous()
    return grad_rows[:, 0], torch.bmm(rows[:, :-1].mT, grad_rows[:, 1:])


def _through_doubled_rows(rows: Tensor, squares: list[Tensor], grad_rows: Tensor) -> tuple[Tensor, Tensor]:
    """The same where they were taken by doubling, with squares of A^m. Changes ``grad_rows``."""
    grad_power = torch.zeros_like(squares[-1])
    for level in range(len(squares) - 1, _LEVELS - 1, -1):
        half = 1 << (level - _LEVELS)
        above = grad_rows[:, half : min(2 * half, rows.shape[1])]
        below = rows[:, : above.shape[1]]
        grad_power.baddbmm_(below.mT, above)
        grad_rows[:, : above.shape[1]] += torch.bmm(above, squares[level].mT)
        if level > _LEVELS:
            grad_power = _through_square(squares[level - 1], grad_power)
    return grad_rows[:, 0], grad_power


def _through_square(power: Tensor, grad_square: Tensor) -> Tensor:
    """Gradient of X from that of X X."""
    return torch.bmm(grad_square, power.mT).baddbmm_(power.mT, grad_square)


def _parts(matrices: Tensor) -> list[slice]:
    """Slices so small that a chain of squares stays in a core's cache; on a GPU, one."""
    size = max(1, _PART // matrices[0].numel()) if matrices.device.type == "cpu" else max(1, len(matrices))
    return [slice(start, start + size) for start in range(0, len(matrices), size)]


def _beside(rows: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Rows of every head side by side: (M H, count, size) to (M, count, H size)."""
    members, heads, size, count = shape
    return rows.view(members, heads, count, size).transpose(1, 2).reshape(members, count, heads * size)


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
