"""Long short-term memory with forget gates that start at chosen time scales."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..scan import linear_scan
from .base import fill_normal, full_precision, last, wide
from .gated import GatedLayer, Stacked, in_forward_mode

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class StackedLSTM(Stacked, nn.LSTM):
    signs = (-1, 1, 0, 0)  # rows of the stacked weights: input, forget, candidate, output
    draws = 1


class ChronoLSTM(GatedLayer):
    r"""An LSTM in the form of :class:`torch.nn.LSTM`, with Chrono initialisation,

    .. math:: c_t = f_t \odot c_{t-1} + i_t \odot g_t, \qquad h_t = o_t \odot \tanh c_t, \qquad
              f_t = \sigma(W_f x_t + U_f h_{t-1} + b_f), \qquad i_t = \sigma(W_i x_t + U_i h_{t-1} + b_i), \qquad
              o_t = \sigma(W_o x_t + U_o h_{t-1}), \qquad g_t = \tanh(W_g x_t + U_g h_{t-1}).

    The cell c is the memory and the forget gate f its eigenvalue. It starts as the update gate of
    :class:`rnnlib.ChronoGRU` does, :math:`b_f = \log T`, and the input gate at the complement,
    :math:`b_i = -\log T`, so that :math:`i = 1 - f`; but the two are free of each other, which a GRU's are not. A state
    is the pair ``(h, cell)``, each ``(batch, hidden_size)``.

    ``candidate="linear"`` is the counterpart of the paper's simplified GRU: :math:`g_t = W_g x_t`, LeCun normal;
    ``gates`` then says what f, i and o see. Weights start as those of :class:`rnnlib.ChronoGRU`, and each kind runs as
    its counterpart there does.

    Args:
        input_size: size of x_t.
        hidden_size: number of units, N; also the size of the output h_t.
        options: time scales, weights and gates, as :class:`rnnlib.layers.gated.GatedLayer` lists them.

    Source: Hochreiter and Schmidhuber (1997); Tallec and Ollivier (2018), equation 16, for the biases.
    """

    recurrent_parameters = ("lstm", "bias", "weight_g", "weight", "recurrent")

    def _build(self, factory: dict[str, Any]) -> None:
        units, features = self.hidden_size, self.input_size
        if self.candidate == "tanh":
            self.lstm = StackedLSTM(features, units, batch_first=True, **factory)
            self.lstm.initial = self.initial
            return
        # rows: input, forget, output
        self.bias = nn.Parameter(torch.empty(3 * units, **factory))
        self.weight_g = nn.Parameter(torch.empty(units, features, **factory))
        self.weight = None if self.gates == "constant" else nn.Parameter(torch.empty(3 * units, features, **factory))
        self.recurrent = nn.Parameter(torch.empty(3 * units, units, **factory)) if self.gates == "state" else None

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        if self.candidate == "tanh":
            self.lstm.reset_parameters(generator)
            return
        self.initial.fill_bias(self.bias, (-1, 1, 0), generator)
        fill_normal(self.weight_g, 1 / math.sqrt(self.input_size), generator)
        if self.weight is not None:
            self.initial.fill_input(self.weight, generator)
        if self.recurrent is not None:
            self.initial.fill_recurrent(self.recurrent, generator)

    @property
    def gate_bias(self) -> tuple[str, slice]:
        """The parameter that holds the biases of the forget gates, and where in it."""
        name = "bias" if self.candidate == "linear" else "lstm.bias_ih_l0"
        return name, slice(self.hidden_size, 2 * self.hidden_size)

    def initial_state(self, batch: int = 1) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
        """Zero h and cell, each ``(batch, hidden_size)``, on the layer's device and in the recurrence's precision."""
        return super().initial_state(batch), super().initial_state(batch)

    def memory(self, state: tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]) -> Float[Tensor, "B N"]:
        """The part of a state that the forget gates multiply: the cell ``(batch, hidden_size)``."""
        return state[1]

    def _drive(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the input adds, for one step or for all."""
        if self.candidate == "tanh":
            return (x @ wide(self.lstm.weight_ih_l0).mT + wide(self.lstm.bias_ih_l0),)
        bias = wide(self.bias)
        gates = bias.expand(*x.shape[:-1], -1) if self.weight is None else x @ wide(self.weight).mT + bias
        return gates, x @ wide(self.weight_g).mT

    def _gates(self, drive: tuple[Tensor, ...], h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input gate, forget gate, candidate, output gate."""
        if self.candidate == "tanh":
            weights, bias = wide(self.lstm.weight_hh_l0), wide(self.lstm.bias_hh_l0)
            i, f, g, o = (drive[0] + h @ weights.mT + bias).chunk(4, -1)
            return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
        gates, g = drive
        i, f, o = torch.sigmoid(gates if self.recurrent is None else gates + h @ wide(self.recurrent).mT).chunk(3, -1)
        return i, f, g, o

    def _advance(self, drive, state):
        h, c = state
        i, f, g, o = self._gates(drive, h)
        c = f * c + i * g
        h = o * torch.tanh(c)
        return h, (h, c)

    def _run(self, x, state, lengths, reset):
        h, c = state
        with full_precision(x):
            if self.candidate == "tanh" and reset is None and not in_forward_mode():
                before = h[:, None]
                h, _, end = self.lstm.run(torch.lstm, x, (h[None].contiguous(), c[None].contiguous()))
                if lengths is None:
                    return h, (last(h, None), end[0].clone())
                # PyTorch's pass keeps no cells but the last; all outputs are known, so they are a scan
                i, f, g, _ = self._gates(self._drive(x), torch.cat([before, h[:, :-1]], 1))
                c = linear_scan(f, i * g, c, backend=self.backend)
            elif self.gates == "state":
                return self._iterate(x, state, lengths, reset)
            else:
                i, f, g, o = self._gates(self._drive(x), h)
                lam = f if reset is None else f.masked_fill(reset[..., None], 0)
                c = linear_scan(lam, i * g, c, backend=self.backend)
                h = o * torch.tanh(c)
        return h, (last(h, lengths), last(c, lengths))
