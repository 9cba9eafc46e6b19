"""Gated recurrent units whose update gates start at chosen time scales."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..scan import linear_scan
from . import checks
from .base import fill_normal, full_precision, last, wide
from .gated import GatedLayer, Stacked, in_forward_mode

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class StackedGRU(Stacked, nn.GRU):
    signs = (0, 1, 0)  # rows of the stacked weights: reset, update, candidate
    draws = 3


class ChronoGRU(GatedLayer):
    r"""A GRU in the form of :class:`torch.nn.GRU`, with Chrono initialisation,

    .. math:: h_t = z_t \odot h_{t-1} + (1 - z_t) \odot n_t, \qquad z_t = \sigma(W_z x_t + U_z h_{t-1} + b), \qquad
              n_t = \tanh\!\big(W_n x_t + r_t \odot (U_n h_{t-1})\big), \qquad r_t = \sigma(W_r x_t + U_r h_{t-1}).

    The update gate z keeps the state, so it is the unit's eigenvalue, moved by the input. Its bias
    :math:`b = \log T` with T uniform in [``min_time``, ``max_time``] starts it at :math:`T / (1 + T)`. Input weights
    start normal with variance 2 ``weight_scale`` / fan-in, recurrent ones orthogonal times ``recurrent_scale``, other
    biases at 0.

    ``candidate="linear"`` is the paper's simplified unit: :math:`n_t = W_n x_t` with LeCun normal weights, no bias, no
    reset gate, no tanh. Its ``gates`` see input and state, or the input alone (a minGRU), or nothing. Gates that ignore
    the state run through :func:`rnnlib.linear_scan`; the GRU itself runs as :class:`torch.nn.GRU` does, on a GPU
    through cuDNN, or with ``reset`` one step after another.

    Args:
        input_size: size of x_t.
        hidden_size: number of units, N; also the size of the output, which is the state.
        options: time scales, weights and gates, as :class:`rnnlib.layers.gated.GatedLayer` lists them.

    Source: Cho et al. (2014); Tallec and Ollivier (2018) for the biases; Feng et al. (2024) for the minGRU; Zucchet and
    Orvieto (2024), section 5.
    """

    recurrent_parameters = ("gru", "bias", "weight_n", "weight_z", "recurrent_z")

    def _build(self, factory: dict[str, Any]) -> None:
        units, features = self.hidden_size, self.input_size
        if self.candidate == "tanh":
            self.gru = StackedGRU(features, units, batch_first=True, **factory)
            self.gru.initial = self.initial
            return
        self.bias = nn.Parameter(torch.empty(units, **factory))
        self.weight_n = nn.Parameter(torch.empty(units, features, **factory))
        self.weight_z = None if self.gates == "constant" else nn.Parameter(torch.empty(units, features, **factory))
        self.recurrent_z = nn.Parameter(torch.empty(units, units, **factory)) if self.gates == "state" else None

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        if self.candidate == "tanh":
            self.gru.reset_parameters(generator)
            return
        self.initial.fill_bias(self.bias, (1,), generator)
        fill_normal(self.weight_n, 1 / math.sqrt(self.input_size), generator)
        if self.weight_z is not None:
            self.initial.fill_input(self.weight_z, generator)
        if self.recurrent_z is not None:
            self.initial.fill_recurrent(self.recurrent_z, generator)

    @property
    def gate_bias(self) -> tuple[str, slice]:
        """The parameter that holds the biases of the update gates, and where in it."""
        if self.candidate == "linear":
            return "bias", slice(0, self.hidden_size)
        return "gru.bias_ih_l0", slice(self.hidden_size, 2 * self.hidden_size)

    def memory(self, state: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """The part of a state that the update gates multiply: all of it."""
        return state

    def eigenvalues(self, x: Float[Tensor, "B T in"], state: Float[Tensor, "B N"] | None = None) -> Tensor:
        """The update gates along sequences: by how much each unit's state is multiplied at each step.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: as for :meth:`forward`.

        Returns:
            Gates z ``(batch, time, hidden_size)``, in (0, 1).

        Raises:
            TypeError: x or the state is no tensor, or its dtype does not go with the layer's.
            ValueError: x or the state has another shape or device, or x no time steps.
        """
        checks.check_sequences(x, self.input_size, self._parameter)
        h = self._entering(x, state)
        before = h[:, None]
        if self.gates == "state":
            before = torch.cat([before, self._run(wide(x), h, None, None)[0][:, :-1]], dim=1)
        with full_precision(x):
            return self.activations(x, before)[0]

    def _drive(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the input adds, for one step or for all."""
        if self.candidate == "tanh":
            return (x @ wide(self.gru.weight_ih_l0).mT + wide(self.gru.bias_ih_l0),)
        bias = wide(self.bias)
        gate = bias.expand(*x.shape[:-1], -1) if self.weight_z is None else x @ wide(self.weight_z).mT + bias
        return gate, x @ wide(self.weight_n).mT

    def _gates(self, drive: tuple[Tensor, ...], h: Tensor) -> tuple[Tensor, Tensor]:
        """Update gate and candidate."""
        if self.candidate == "tanh":
            r, z, n = drive[0].chunk(3, -1)
            of_r, of_z, of_n = (h @ wide(self.gru.weight_hh_l0).mT + wide(self.gru.bias_hh_l0)).chunk(3, -1)
            return torch.sigmoid(z + of_z), torch.tanh(n + torch.sigmoid(r + of_r) * of_n)
        gate, n = drive
        return torch.sigmoid(gate if self.recurrent_z is None else gate + h @ wide(self.recurrent_z).mT), n

    def _advance(self, drive, h):
        z, n = self._gates(drive, h)
        h = z * h + (1 - z) * n
        return h, h

    def _run(self, x, state, lengths, reset):
        with full_precision(x):
            if self.gates != "state":
                z, n = self._gates(self._drive(x), state)
                lam = z if reset is None else z.masked_fill(reset[..., None], 0)
                h = linear_scan(lam, (1 - z) * n, state, backend=self.backend)
            elif self.candidate == "tanh" and reset is None and not in_forward_mode():
                h, _ = self.gru.run(torch.gru, x, state[None].contiguous())
            else:
                return self._iterate(x, state, lengths, reset)
        return h, last(h, lengths)
