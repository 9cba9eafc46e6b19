r"""Derivatives carried forward along with the state of a gated layer (real-time recurrent learning).

With :math:`h_t = F(h_{t-1}, x_t, b)`, derivatives with respect to the first state and to a parameter obey

.. math:: J_t = \partial_h F \, J_{t-1}, \quad J_0 = 1, \qquad
          S_t = \partial_h F \, S_{t-1} + \partial_b F, \quad S_0 = 0.

Neither keeps the past, so sequences may be long. A full matrix of N units costs N tangents a step, about N times the
step itself. Several layers of equal shape go side by side, each with inputs of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call, jvp, stack_module_state, vmap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

__all__ = ["bias_sensitivity", "state_jacobian"]


class _Step(nn.Module):
    """A layer's step as a forward pass, the only one that functional_call knows."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        return self.layer.step(x, state)[1]


def _stacked(layers: Sequence[nn.Module], x: Tensor) -> tuple[_Step, dict[str, Tensor], Tensor]:
    if not layers:
        raise ValueError("layers is empty: pass at least one")
    if x.ndim != 4 or len(x) != len(layers):
        raise ValueError(
            f"x must have shape (layer, batch, time, input_size) with {len(layers)} layers, got {tuple(x.shape)}"
        )
    steps = [_Step(layer) for layer in layers]
    weights = {name: value.detach() for name, value in stack_module_state(steps)[0].items()}
    state = torch.stack([layer.initial_state(x.shape[1]) for layer in layers])
    return steps[0], weights, state


@torch.no_grad()
def state_jacobian(
    layers: Sequence[nn.Module], x: Float[Tensor, "L B T in"], times: Sequence[int]
) -> list[Float[Tensor, "L B N N"]]:
    r"""How the memory after t steps depends on the one before the first, :math:`\partial h_t / \partial h_0` at
    :math:`h_0 = 0`.

    Args:
        layers: gated layers of one shape (:class:`rnnlib.ChronoGRU`, :class:`rnnlib.ChronoLSTM`).
        x: inputs ``(layer, batch, time, input_size)``.
        times: the steps t wanted, from 1 on, in ascending order.

    Returns:
        For each t, Jacobians ``(layer, batch, N, N)``, rows the units of :math:`h_t`. An LSTM's are
        :math:`\partial c_t / \partial c_0`, the first output held at 0.

    Raises:
        ValueError: shapes do not fit, or a time is out of range.
    """
    step, weights, state = _stacked(layers, x)
    if list(times) != sorted(set(times)) or not 1 <= times[0] <= times[-1] <= x.shape[2]:
        raise ValueError(f"times must ascend within 1 to {x.shape[2]}, the length of x, got {list(times)}")
    layer = layers[0]
    eye = torch.eye(layer.hidden_size, dtype=x.dtype, device=x.device)
    tangent = torch.zeros(len(layers), layer.hidden_size, *state.shape[1:], dtype=x.dtype, device=x.device)
    layer.memory(tangent).copy_(eye[:, None])

    @vmap  # over layers
    def advance(weights: dict[str, Tensor], x_t: Tensor, state: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        def along(tangent: Tensor) -> tuple[Tensor, Tensor]:
            return jvp(lambda h: functional_call(step, weights, (x_t, h)), (state,), (tangent,))

        states, tangents = vmap(along)(tangents)
        return states[0], tangents

    found = []
    for t, x_t in enumerate(x.unbind(2)[: times[-1]], start=1):
        state, tangent = advance(weights, x_t, state, tangent)
        if t in times:
            found.append(layer.memory(tangent).permute(0, 2, 3, 1).clone())
    return found


@torch.no_grad()
def bias_sensitivity(
    layers: Sequence[nn.Module], x: Float[Tensor, "L B T in"]
) -> tuple[Float[Tensor, "L B N"], Float[Tensor, "L B N"]]:
    r"""Each unit's memory after the last step and its derivative with respect to its own gate bias, from a zero state.

    Where gates see the state, a unit's bias acts on it through all others too, and that is counted:
    :math:`\partial h_i / \partial b_i` is the diagonal of the whole matrix, N tangents. Otherwise that matrix is
    diagonal, and one tangent along all biases at once holds it.

    Args:
        layers: gated layers of one shape.
        x: inputs ``(layer, batch, time, input_size)``.

    Returns:
        Memories (h of a GRU, c of an LSTM) and derivatives, both ``(layer, batch, N)``.

    Raises:
        ValueError: shapes do not fit.
    """
    step, weights, state = _stacked(layers, x)
    layer = layers[0]
    units, (name, where) = layer.hidden_size, layer.gate_bias
    name = f"layer.{name}"
    bias, dense = weights.pop(name), layer.gates == "state"
    directions = torch.zeros(units, bias.shape[1], dtype=x.dtype, device=x.device)
    directions[:, where] = torch.eye(units, dtype=x.dtype, device=x.device)
    directions = directions if dense else directions.sum(0, keepdim=True)
    tangent = torch.zeros(len(layers), len(directions), *state.shape[1:], dtype=x.dtype, device=x.device)

    @vmap  # over layers
    def advance(
        weights: dict[str, Tensor], bias: Tensor, x_t: Tensor, state: Tensor, tangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        def along(tangent: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
            def move(h: Tensor, b: Tensor) -> Tensor:
                return functional_call(step, weights | {name: b}, (x_t, h))

            return jvp(move, (state, bias), (tangent, direction))

        states, tangents = vmap(along)(tangents, directions)
        return states[0], tangents

    for x_t in x.unbind(2):
        state, tangent = advance(weights, bias, x_t, state, tangent)
    moved = layer.memory(tangent)  # (layer, direction, batch, unit)
    own = moved.diagonal(dim1=1, dim2=3) if dense else moved[:, 0]
    return layer.memory(state), own
