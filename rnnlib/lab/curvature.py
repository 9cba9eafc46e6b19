r"""Curvature of the loss of a layer: exact Hessians, how far their eigenvectors spread, how diagonal they are.

Hessians come from ``torch.func`` in float64, through the recurrence itself. There are two ways to say what the loss
is. :func:`sampled_loss` runs the layer on a minibatch of inputs. :func:`response_loss` needs no inputs: a linear layer
with scalar input and output is its impulse response k, and with the difference :math:`\delta` of two of them

.. math:: \frac{1}{2BT} \sum_{b,t} (y - y^*)^2 = \tfrac{1}{2} \delta^\top G \, \delta, \qquad
          G_{ij} = \frac{1}{BT} \sum_b \sum_{t \ge \max(i,j)} x_{b,t-i} \, x_{b,t-j} ,

where G depends on the inputs alone. For white inputs its expectation is diagonal (:func:`white_gram`), which gives the
population loss without sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn

from . import checks
from .exact import white_gram

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = [
    "Hessian",
    "diagonal_fraction",
    "hessian",
    "participation_ratio",
    "rank",
    "response_loss",
    "response_singular_values",
    "sampled_loss",
    "white_gram",
]


@dataclass(frozen=True)
class Hessian:
    """A Hessian with names for its rows.

    Attributes:
        matrix: symmetric, ``(P, P)``.
        groups: name of each group of coordinates and its rows, in order. Complex parameters are split into
            ``NAME.real`` and ``NAME.imag``.
    """

    matrix: Tensor
    groups: dict[str, slice]

    @cached_property
    def _decomposition(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.matrix)
        return values.flip(0), vectors.flip(1)

    @property
    def eigenvalues(self) -> Float[Tensor, "P"]:
        """Largest first."""
        return self._decomposition[0]

    @property
    def eigenvectors(self) -> Float[Tensor, "P P"]:
        """Columns, in the order of the eigenvalues."""
        return self._decomposition[1]

    def largest(self) -> dict[str, float]:
        """Largest diagonal entry of each group: the sharpest curvature along one of its coordinates."""
        return {name: self.matrix.diagonal()[rows].max().item() for name, rows in self.groups.items()}


def hessian(layer: nn.Module, loss: Callable[..., Tensor]) -> Hessian:
    """Exact Hessian of a loss over all parameters of a layer, at their present values.

    Args:
        layer: in float64; its parameters are read, not changed.
        loss: from :func:`sampled_loss` or :func:`response_loss`, or any function of the layer's forward pass, which it
            may call on inputs of its own.

    Returns:
        The Hessian over the recurrent parameters, then B, C, D.

    Raises:
        TypeError: a parameter is not in float64, where the smaller eigenvalues would be noise.
    """
    point, groups, run = _coordinates(layer)
    matrix = torch.func.hessian(lambda vector: loss(lambda x: run(vector, x)))(point)
    return Hessian(0.5 * (matrix + matrix.T), groups)


def response_singular_values(layer: nn.Module, weights: Float[Tensor, "T"]) -> Float[Tensor, "P"]:
    r"""Square roots of the Hessian's eigenvalues at the optimum, without the loss of digits that squaring brings.

    There the Hessian is :math:`J^\top \mathrm{diag}(w) J` with J the derivatives of the impulse response, so these are
    the singular values of :math:`\mathrm{diag}(\sqrt{w}) J`. Use them to count a rank: eigenvalues of the Hessian span
    twice as many decades, more than float64 resolves where the system's eigenvectors are ill-conditioned.

    Args:
        layer: in float64, with scalar input and output.
        weights: diagonal of G, such as :func:`white_gram`; not negative.

    Returns:
        Singular values, largest first.

    Raises:
        TypeError: a parameter is not in float64.
        ValueError: weights have another shape or a negative value, or the layer's input or output is not scalar.
    """
    point, _, run = _coordinates(layer)
    checks.shape("weights", weights, "T")
    if not (weights >= 0).all():
        raise ValueError(f"weights must not be negative, got {weights.min().item()}")
    impulse = _impulse(weights)
    J = torch.func.jacfwd(lambda vector: _scalar_output(run(vector, impulse), impulse))(point)
    return torch.linalg.svdvals(weights.sqrt()[:, None] * J)


def rank(layer: nn.Module, weights: Float[Tensor, "T"], tolerance: float = 1e-10) -> int:
    """Rank of the Hessian at the optimum: singular values larger than ``tolerance`` times the largest.

    Args:
        layer: as for :func:`response_singular_values`.
        weights: likewise.
        tolerance: relative, in (0, 1); rounding leaves about 1e-15 times the condition number of the eigenvectors.

    Returns:
        The number of directions of parameter space that change the outputs.

    Raises:
        ValueError: tolerance is out of range, or as of :func:`response_singular_values`.
    """
    checks.within("tolerance", tolerance, "(0, 1)")
    values = response_singular_values(layer, weights)
    return int((values > tolerance * values[0]).sum())


def _impulse(like: Float[Tensor, "T"]) -> Float[Tensor, "1 T 1"]:
    impulse = like.new_zeros(1, len(like), 1)
    impulse[0, 0, 0] = 1
    return impulse


def _scalar_output(y: Tensor, x: Float[Tensor, "1 T 1"]) -> Float[Tensor, "T"]:
    if y.shape != x.shape:
        raise ValueError(f"the layer must have scalar input and output, got outputs {tuple(y.shape)}")
    return y[0, :, 0]


def _coordinates(layer: nn.Module) -> tuple[Tensor, dict[str, slice], Callable[[Tensor, Tensor], Tensor]]:
    """All parameters as one vector, the rows of each group in it, and the forward pass as a function of it."""
    parameters = {name: value.detach() for name, value in layer.named_parameters()}
    for name, value in parameters.items():
        if value.dtype != torch.float64:
            raise TypeError(f"{name} has dtype {value.dtype}; convert the layer with .double()")
    # figures show the recurrence first; layers of users' own may say nothing
    maps, pairs = (getattr(layer, kind, ()) for kind in ("linear_maps", "complex_pairs"))
    names = sorted(parameters, key=lambda name: (name in maps, name if name in maps else ""))

    pieces, groups, end = [], {}, 0
    for name in names:
        value = parameters[name]
        is_pair = name in pairs
        parts = {f"{name}.real": value[..., 0], f"{name}.imag": value[..., 1]} if is_pair else {name: value}
        for label, part in parts.items():
            groups[label] = slice(end, end + part.numel())
            end += part.numel()
            pieces.append(part.flatten())

    def run(vector: Tensor, x: Tensor) -> Tensor:
        values = {}
        for name in names:
            shape = parameters[name].shape
            if name in groups:
                values[name] = vector[groups[name]].reshape(shape)
            else:
                parts = [vector[groups[f"{name}.{part}"]].reshape(shape[:-1]) for part in ("real", "imag")]
                values[name] = torch.stack(parts, dim=-1)
        return torch.func.functional_call(layer, values, (x,))[0]

    return torch.cat(pieces), groups, run


def sampled_loss(x: Float[Tensor, "B T in"], y: Float[Tensor, "B T out"]) -> Callable[..., Tensor]:
    r"""The minibatch loss :math:`\frac{1}{2} \langle (\hat y - y)^2 \rangle`, a mean over batch, time and outputs.

    Args:
        x: inputs.
        y: the teacher's outputs.

    Returns:
        A loss for :func:`hessian`. It raises a ValueError if the layer's outputs have another shape than ``y``.

    Source: Zucchet and Orvieto (2024), section 4.1.
    """

    def loss(forward: Callable[[Tensor], Tensor]) -> Tensor:
        outputs = forward(x)
        if outputs.shape != y.shape:
            raise ValueError(f"y must have the shape of the outputs, {tuple(outputs.shape)}, got {tuple(y.shape)}")
        return 0.5 * (outputs - y).square().mean()

    return loss


def response_loss(
    response: Float[Tensor, "T"], gram: Float[Tensor, "T T"] | Float[Tensor, "T"]
) -> Callable[..., Tensor]:
    r"""The loss :math:`\frac{1}{2} \delta^\top G \, \delta` of a layer with scalar input and output.

    Args:
        response: the teacher's impulse response.
        gram: G, or its diagonal alone.

    Returns:
        A loss for :func:`hessian`. It raises a ValueError if the layer's input or output is not scalar.

    Raises:
        ValueError: shapes do not fit.

    Source: the module's docstring.
    """
    checks.shape("response", response, "T")
    checks.shape("gram", gram, *[len(response)] * (2 if gram.ndim == 2 else 1))
    impulse = _impulse(response)

    def loss(forward: Callable[[Tensor], Tensor]) -> Tensor:
        difference = _scalar_output(forward(impulse), impulse) - response
        weighted = gram @ difference if gram.ndim == 2 else gram * difference
        return 0.5 * difference @ weighted

    return loss


def participation_ratio(vectors: Float[Tensor, "P K"]) -> Float[Tensor, "K"]:
    r"""Over how many coordinates each vector spreads, :math:`(\sum_p v_p^2)^2 / \sum_p v_p^4`, between 1 and P.

    Args:
        vectors: columns, of any length but 0.

    Returns:
        A ratio for each column.

    Raises:
        ValueError: vectors have another shape, or a column is 0.
    """
    checks.shape("vectors", vectors, "P", "K")
    if (vectors == 0).all(0).any():
        raise ValueError(f"vectors must not be 0, got column {(vectors == 0).all(0).nonzero()[0].item()}")
    squares = vectors.square()
    return squares.sum(0).square() / squares.square().sum(0)


def diagonal_fraction(matrix: Float[Tensor, "P P"]) -> float:
    r"""Share of a matrix's squared Frobenius norm on its diagonal, :math:`\sum_p H_{pp}^2 / \sum_{pq} H_{pq}^2`.

    1 means that coordinates do not interact, so that one learning rate for each coordinate can undo all of H.

    Args:
        matrix: a Hessian, as a PyTorch tensor, not 0.

    Returns:
        A number between 0 and 1.

    Raises:
        ValueError: the matrix is not square, or it is 0.
    """
    checks.shape("matrix", matrix, "P", "P")
    checks.shape("matrix", matrix, len(matrix), len(matrix))
    if (matrix == 0).all():
        raise ValueError("matrix must not be 0: no share of it is on the diagonal")
    return (matrix.diagonal().square().sum() / matrix.square().sum()).item()
