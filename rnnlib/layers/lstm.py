"""Long short-term memory with forget gates that start at chosen time scales."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from .. import _checks
from .checks import check_sequences, check_sizes, check_state, check_step
from .gru import check_options, chrono_bias, in_forward_mode, iterate, orthogonal

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class ChronoLSTM(nn.Module):
    r"""An LSTM in the form of :class:`torch.nn.LSTM`, with Chrono initialisation,

    .. math:: c_t &= f_t \odot c_{t-1} + i_t \odot g_t, \qquad h_t = o_t \odot \tanh c_t, \\
              f_t &= \sigma(W_f x_t + U_f h_{t-1} + b_f), \quad i_t = \sigma(W_i x_t + U_i h_{t-1} + b_i), \quad
              o_t = \sigma(W_o x_t + U_o h_{t-1}), \\
              g_t &= \tanh(W_g x_t + U_g h_{t-1}).

    The cell c is the memory and the forget gate f its eigenvalue. It starts as the update gate of
    :class:`rnnlib.ChronoGRU` does, :math:`b_f = \log T`, and the input gate at the complement,
    :math:`b_i = -\log T`, so that :math:`i = 1 - f`; but the two are free of each other, which a GRU's are not.

    ``candidate="linear"`` is the counterpart of the paper's simplified GRU: :math:`g_t = W_g x_t`, LeCun normal;
    ``gates`` then says what f, i and o see. Weights start as those of :class:`rnnlib.ChronoGRU`.

    Args:
        input_size: size of x_t.
        hidden_size: number of units, N; also the size of the output h_t.
        min_time: smallest initial time constant T, in steps, positive.
        max_time: largest.
        minus_one: subtract 1 from T, as the source of the initialisation does.
        input_scale: scales the variance of the input weights (of the gates only, if the candidate is linear).
        recurrent_scale: scales the recurrent weights.
        candidate: ``"tanh"`` or ``"linear"``.
        gates: what the gates of a linear candidate see: ``"state"`` (and input), ``"input"`` or ``"constant"``.
        generator: source of randomness of the initial weights.

    Raises:
        ValueError: a size or time is out of range, or an option is unknown or does not fit the others.

    Source: Hochreiter and Schmidhuber (1997); Tallec and Ollivier (2018), equation 16, for the biases.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        min_time: float = 1.0,
        max_time: float = 256.0,
        minus_one: bool = False,
        input_scale: float = 1.0,
        recurrent_scale: float = 1.0,
        candidate: Literal["tanh", "linear"] = "tanh",
        gates: Literal["state", "input", "constant"] = "state",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        input_size, hidden_size = check_sizes(input_size=input_size, hidden_size=hidden_size)
        _checks.generator(generator)
        check_options(candidate, gates, input_scale, recurrent_scale)
        self.input_size = input_size
        self.hidden_size = self.output_size = hidden_size
        self.candidate, self.gates = candidate, gates
        bias = chrono_bias(hidden_size, min_time, max_time, minus_one=minus_one, generator=generator)
        he = math.sqrt(2 * input_scale / input_size)

        def normal(std: float, blocks: int) -> Tensor:
            return std * torch.randn(blocks * hidden_size, input_size, generator=generator)

        def recurrent(blocks: int) -> Tensor:
            return torch.cat([orthogonal(hidden_size, recurrent_scale, generator) for _ in range(blocks)])

        rest = torch.zeros_like(bias)
        if candidate == "tanh":
            # on the meta device, because the module's own initialisation would draw from the global generator
            self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True, device="meta")
            # rows of the stacked weights: input, forget, candidate, output
            self.lstm.weight_ih_l0 = nn.Parameter(normal(he, 4))
            self.lstm.weight_hh_l0 = nn.Parameter(recurrent(4))
            self.lstm.bias_ih_l0 = nn.Parameter(torch.cat([-bias, bias, rest, rest]))
            self.lstm.bias_hh_l0 = nn.Parameter(rest.repeat(4))
            self.lstm.flatten_parameters()
        else:  # rows: input, forget, output
            self.bias = nn.Parameter(torch.cat([-bias, bias, rest]))
            self.weight_g = nn.Parameter(normal(1 / math.sqrt(input_size), 1))
            self.weight = None if gates == "constant" else nn.Parameter(normal(he, 3))
            self.recurrent = nn.Parameter(recurrent(3)) if gates == "state" else None

    @property
    def _parameter(self) -> Tensor:
        """One that every layer has: dtype and device are the layer's."""
        return self.bias if self.candidate == "linear" else self.lstm.weight_ih_l0

    @property
    def gate_bias(self) -> tuple[str, slice]:
        """The parameter that holds the biases of the forget gates, and where in it."""
        name = "bias" if self.candidate == "linear" else "lstm.bias_ih_l0"
        return name, slice(self.hidden_size, 2 * self.hidden_size)

    def forward(
        self, x: Float[Tensor, "B T in"], state: Float[Tensor, "B 2 N"] | None = None
    ) -> Float[Tensor, "B T N"]:
        """Outputs for whole sequences.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: h and c ``(batch, 2, hidden_size)`` before the first input; zero by default.

        Returns:
            Outputs h ``(batch, time, hidden_size)``.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device, or x no time steps.
        """
        self._check_sequences(x, state)
        if self.candidate == "tanh" and not in_forward_mode():
            return self.lstm(x, None if state is None else tuple(state.transpose(0, 1)[:, None].contiguous()))[0]
        return self.states(x, state)[:, :, 0]

    def states(self, x: Float[Tensor, "B T in"], state: Float[Tensor, "B 2 N"] | None = None) -> Tensor:
        """Outputs and cells for whole sequences, one step after another.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: as for :meth:`forward`.

        Returns:
            h and c ``(batch, time, 2, hidden_size)``.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device, or x no time steps.
        """
        self._check_sequences(x, state)
        return iterate(self, x, state)

    def _check_sequences(self, x: Tensor, state: Tensor | None) -> None:
        check_sequences(x, self.input_size, self._parameter)
        if state is not None:
            check_state(state, x, 2, self.hidden_size, parameter=self._parameter)

    def initial_state(self, batch: int = 1) -> Float[Tensor, "B 2 N"]:
        """Zero h and c ``(batch, 2, hidden_size)``, on the device and in the precision of the parameters."""
        return self._parameter.new_zeros(batch, 2, self.hidden_size)

    def memory(self, state: Float[Tensor, "B 2 N"]) -> Float[Tensor, "B N"]:
        """The part of a state that the forget gates multiply: the cell c ``(batch, hidden_size)``."""
        return state[..., 1, :]

    def step(
        self, x: Float[Tensor, "B in"], state: Float[Tensor, "B 2 N"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B 2 N"]]:
        """One time step, for streaming; a loop of steps gives the outputs of :meth:`forward`.

        Args:
            x: input of this step ``(batch, input_size)``.
            state: h and c ``(batch, 2, hidden_size)`` after the previous step.

        Returns:
            The output h and the new state.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device.
        """
        check_step(x, self.input_size, self._parameter)
        check_state(state, x, 2, self.hidden_size, parameter=self._parameter)
        h, c = state.unbind(-2)
        i, f, g, o = self._gates(x, h)
        c = f * c + i * g
        h = o * torch.tanh(c)
        return h, torch.stack([h, c], dim=-2)

    def linearized(self, x: Float[Tensor, "B in"], state: Float[Tensor, "B 2 N"]) -> tuple[Tensor, Tensor, Tensor]:
        r"""One time step and its first derivatives, for :mod:`rnnlib.lab.rtrl`.

        Args:
            x: input of this step ``(batch, input_size)``.
            state: h and c ``(batch, 2, hidden_size)`` after the previous step.

        Returns:
            The new state; its derivatives with respect to the old one, ``(batch, 2N, 2N)``, rows and columns h, then c;
            and those of each unit with respect to the bias of its own forget gate, ``(batch, 2, N)``. Where gates
            ignore the state, the second is f, all that acts on c, ``(batch, N)``, and the third is of c alone,
            ``(batch, N)``.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device.
        """
        check_step(x, self.input_size, self._parameter)
        check_state(state, x, 2, self.hidden_size, parameter=self._parameter)
        h, c = state.unbind(-2)
        i, f, g, o = self._gates(x, h)
        after = f * c + i * g
        out = torch.tanh(after)
        new, along_f = torch.stack([o * out, after], dim=-2), c * f * (1 - f)
        if self.gates != "state":
            return new, f, along_f
        weights = self.recurrent if self.candidate == "linear" else self.lstm.weight_hh_l0
        U_i, U_f, *U_g, U_o = weights.split(self.hidden_size)
        cell_h = along_f[..., None] * U_f + (g * i * (1 - i))[..., None] * U_i
        if U_g:
            cell_h = cell_h + (i * (1 - g * g))[..., None] * U_g[0]
        slope, cell_c = o * (1 - out * out), torch.diag_embed(f)
        out_h = slope[..., None] * cell_h + (out * o * (1 - o))[..., None] * U_o
        D = torch.cat([torch.cat([out_h, slope[..., None] * cell_c], -1), torch.cat([cell_h, cell_c], -1)], -2)
        return new, D, torch.stack([slope * along_f, along_f], dim=-2)

    def _gates(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input gate, forget gate, candidate, output gate."""
        if self.candidate == "tanh":
            lstm = self.lstm
            driven = x @ lstm.weight_ih_l0.mT + lstm.bias_ih_l0 + h @ lstm.weight_hh_l0.mT + lstm.bias_hh_l0
            i, f, g, o = driven.chunk(4, dim=-1)
            return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        driven = self.bias.expand(x.shape[0], -1) if self.weight is None else x @ self.weight.mT + self.bias
        i, f, o = torch.sigmoid(driven if self.recurrent is None else driven + h @ self.recurrent.mT).chunk(3, dim=-1)
        return i, f, x @ self.weight_g.mT, o

    def extra_repr(self) -> str:
        sizes = f"input_size={self.input_size}, hidden_size={self.hidden_size}"
        return f"{sizes}, candidate={self.candidate!r}, gates={self.gates!r}"
