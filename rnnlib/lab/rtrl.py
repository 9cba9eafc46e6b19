r"""Derivatives carried forward along with the state of a gated layer (real-time recurrent learning).

With :math:`h_t = F(h_{t-1}, x_t, b)`, derivatives with respect to the first state and to the biases of the gates obey

.. math:: J_t = \partial_h F \, J_{t-1}, \quad J_0 = 1, \qquad
          S_t = \partial_h F \, S_{t-1} + \partial_b F, \quad S_0 = 0.

Neither needs the past, so sequences may be long: with N units a step is one product of N x N matrices, or of N numbers
where gates ignore the state. Several layers of equal shape go side by side, each with inputs of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from ..layers import ChronoGRU, ChronoLSTM
from ..layers.base import each
from ..layers.checks import check_step
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


def linearized_gru(
    layer: ChronoGRU, x: Float[Tensor, "B in"], h: Float[Tensor, "B N"]
) -> tuple[Tensor, Tensor, Tensor]:
    r"""One time step of a GRU and its first derivatives.

    Args:
        layer: the GRU.
        x: input of this step ``(batch, input_size)``.
        h: state ``(batch, hidden_size)`` after the previous step.

    Returns:
        The new state :math:`h'`; :math:`\partial h' / \partial h`, ``(batch, N, N)``, of which gates that ignore the
        state leave the diagonal z, ``(batch, N)``; and :math:`\partial h'_i / \partial b_i`, ``(batch, N)``.
    """
    z, n = layer.activations(x, h)
    along_gate = (h - n) * z * (1 - z)
    after = z * h + (1 - z) * n
    if layer.gates != "state":
        return after, z, along_gate
    if layer.candidate == "linear":
        return after, torch.diag_embed(z) + along_gate[..., None] * layer.recurrent_z, along_gate
    gru, N = layer.gru, layer.hidden_size
    U_r, U_z, U_n = gru.weight_hh_l0.chunk(3)
    recurrent = h @ gru.weight_hh_l0.mT + gru.bias_hh_l0
    r = torch.sigmoid(x @ gru.weight_ih_l0[:N].mT + gru.bias_ih_l0[:N] + recurrent[..., :N])
    along_n = (1 - z) * (1 - n * n)
    D = torch.diag_embed(z) + along_gate[..., None] * U_z + (along_n * r)[..., None] * U_n
    return after, D + (along_n * recurrent[..., 2 * N :] * r * (1 - r))[..., None] * U_r, along_gate


def linearized_lstm(
    layer: ChronoLSTM, x: Float[Tensor, "B in"], state: tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]
) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    r"""One time step of an LSTM and its first derivatives.

    Args:
        layer: the LSTM.
        x: input of this step ``(batch, input_size)``.
        state: h and c, each ``(batch, hidden_size)``, after the previous step.

    Returns:
        The new state; its derivatives with respect to the old one, ``(batch, 2N, 2N)``, rows and columns h, then c; and
        those of each unit with respect to the bias of its own forget gate, ``(batch, 2, N)``. Where gates ignore the
        state, the second is f, all that acts on c, ``(batch, N)``, and the third is of c alone, ``(batch, N)``.
    """
    h, c = state
    i, f, g, o = layer.activations(x, h)
    after = f * c + i * g
    out = torch.tanh(after)
    new, along_f = (o * out, after), c * f * (1 - f)
    if layer.gates != "state":
        return new, f, along_f
    weights = layer.recurrent if layer.candidate == "linear" else layer.lstm.weight_hh_l0
    U_i, U_f, *U_g, U_o = weights.split(layer.hidden_size)
    cell_h = along_f[..., None] * U_f + (g * i * (1 - i))[..., None] * U_i
    if U_g:
        cell_h = cell_h + (i * (1 - g * g))[..., None] * U_g[0]
    slope, cell_c = o * (1 - out * out), torch.diag_embed(f)
    out_h = slope[..., None] * cell_h + (out * o * (1 - o))[..., None] * U_o
    D = torch.cat([torch.cat([out_h, slope[..., None] * cell_c], -1), torch.cat([cell_h, cell_c], -1)], -2)
    return new, D, torch.stack([slope * along_f, along_f], dim=-2)


class _Linearized(nn.Module):
    """A layer's linearised step as a forward pass, the only one that functional_call knows."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: Any) -> tuple[Any, Tensor, Tensor]:
        return (linearized_lstm if isinstance(self.layer, ChronoLSTM) else linearized_gru)(self.layer, x, state)


def _steps(layers: Sequence[nn.Module], x: Tensor) -> Iterator[tuple[Any, Tensor, Tensor]]:
    """State and derivatives after each step, with a first axis for the layers."""
    wrapped = [_Linearized(layer) for layer in layers]
    weights = stack_module_state(wrapped)[0]
    step = vmap(lambda weights, x_t, state: functional_call(wrapped[0], weights, (x_t, state)))
    state = each(lambda *states: torch.stack(states), *(layer.initial_state(x.shape[1]) for layer in layers))
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
    if not isinstance(layers[0], ChronoGRU | ChronoLSTM):
        raise ValueError(f"layers must be of ChronoGRU or ChronoLSTM, got {type(layers[0]).__name__}")
    checks.shape("x", x, *x.shape[:3], layers[0].input_size)
    check_step(x[0, :, 0], layers[0].input_size, next(layers[0].parameters()))
