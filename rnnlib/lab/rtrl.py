r"""Derivatives carried forward along with the state of a gated layer (real-time recurrent learning).

With :math:`h_t = F(h_{t-1}, x_t, b)`, derivatives with respect to the first state and to the biases of the gates obey

.. math:: J_t = \partial_h F \, J_{t-1}, \quad J_0 = 1, \qquad
          S_t = \partial_h F \, S_{t-1} + \partial_b F, \quad S_0 = 0.

Neither needs the past, so sequences may be long: with N units a step is one product of N x N matrices, or of N numbers
where gates ignore the state. Several layers of equal shape go side by side, each with inputs of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from . import checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float
    from torch import Tensor

__all__ = ["bias_sensitivity", "state_jacobian"]


@torch.no_grad()
def state_jacobian(
    layers: Sequence[nn.Module], x: Float[Tensor, "L B T in"], times: Sequence[int]
) -> list[Float[Tensor, "L B N N"]]:
    r"""How the memory after t steps depends on the one before the first, :math:`\partial h_t / \partial h_0` at
    :math:`h_0 = 0`.

    Args:
        layers: gated layers of one kind, shape and setting (:class:`rnnlib.ChronoGRU`, :class:`rnnlib.ChronoLSTM`).
        x: inputs ``(layer, batch, time, input_size)``.
        times: the steps t wanted, from 1 on, in ascending order.

    Returns:
        For each t, Jacobians ``(layer, batch, N, N)``, rows the units of :math:`h_t`. An LSTM's are
        :math:`\partial c_t / \partial c_0`, the first output held at 0.

    Raises:
        ValueError: shapes do not fit, layers differ in more than values, or a time is out of range or not whole.
    """
    _check(layers, x)
    times = [checks.whole("a time", time) for time in times]
    if times != sorted(set(times)) or not times or not 1 <= times[0] <= times[-1] <= x.shape[2]:
        raise ValueError(f"times must ascend within 1 to {x.shape[2]}, the length of x, got {times}")
    units, jacobians = layers[0].hidden_size, []
    for t, (_, D, _) in enumerate(_steps(layers, x[:, :, : times[-1]]), start=1):
        if t == 1:  # the memory is the last part of a state; the first is an LSTM's output
            J = D.diag_embed() if D.ndim == 3 else D[..., -units:]
        else:
            J = D[..., None] * J if D.ndim == 3 else D @ J
        if t in times:
            jacobians.append(J[..., -units:, :].clone())
    return jacobians


@torch.no_grad()
def bias_sensitivity(
    layers: Sequence[nn.Module], x: Float[Tensor, "L B T in"]
) -> tuple[Float[Tensor, "L B N"], Float[Tensor, "L B N"]]:
    r"""Each unit's memory after the last step and its derivative with respect to its own gate bias, from a zero state.

    Where gates see the state, a unit's bias acts on it through all others too, and that is counted:
    :math:`\partial h_i / \partial b_i` is the diagonal of the whole matrix.

    Args:
        layers: gated layers of one kind, shape and setting.
        x: inputs ``(layer, batch, time, input_size)``.

    Returns:
        Memories (h of a GRU, c of an LSTM) and derivatives, both ``(layer, batch, N)``.

    Raises:
        ValueError: shapes do not fit, x is empty, or layers differ in more than values.
    """
    _check(layers, x)
    layer = layers[0]
    units, S = layer.hidden_size, None
    for state, D, direct in _steps(layers, x):
        memory = layer.memory(state)
        if D.ndim == 3:  # diagonal
            S = direct if S is None else D * S + direct
        else:
            S = x.new_zeros(*D.shape[:-1], units) if S is None else D @ S
            # rows of S: the parts of the state, N rows each; a bias acts at once on the same unit of each part
            S.unflatten(-2, (-1, units)).diagonal(dim1=-2, dim2=-1).add_(direct.view(*S.shape[:2], -1, units))
    own = S if S.ndim == 3 else S[..., -units:, :].diagonal(dim1=-2, dim2=-1)
    return memory, own


class _Linearized(nn.Module):
    """A layer's linearised step as a forward pass, the only one that functional_call knows."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.layer.linearized(x, state)


def _steps(layers: Sequence[nn.Module], x: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """State and derivatives after each step, with a first axis for the layers."""
    wrapped = [_Linearized(layer) for layer in layers]
    weights = stack_module_state(wrapped)[0]
    step = vmap(lambda weights, x_t, state: functional_call(wrapped[0], weights, (x_t, state)))
    state = torch.stack([layer.initial_state(x.shape[1]) for layer in layers])
    for x_t in x.unbind(2):
        state, D, direct = step(weights, x_t, state)
        yield state, D, direct


def _check(layers: Sequence[nn.Module], x: Tensor) -> None:
    checks.alike(layers)
    if x.ndim != 4 or len(x) != len(layers) or x.shape[2] == 0:
        raise ValueError(
            f"x must have shape (layer, batch, time, input_size) with {len(layers)} layers and a step, "
            f"got {tuple(x.shape)}"
        )
    if not hasattr(layers[0], "linearized"):
        raise ValueError(f"layers must be gated ones, with a method linearized, got {type(layers[0]).__name__}")
    checks.shape("x", x, *x.shape[:3], layers[0].input_size)
