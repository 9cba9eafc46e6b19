"""Gated recurrent units whose update gates start at chosen time scales."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.autograd import forward_ad

from .. import _checks
from ..scan import linear_scan
from .checks import check_sequences, check_sizes, check_state, check_step

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class ChronoGRU(nn.Module):
    r"""A GRU in the form of :class:`torch.nn.GRU`, with Chrono initialisation,

    .. math:: h_t &= z_t \odot h_{t-1} + (1 - z_t) \odot n_t, \qquad z_t = \sigma(W_z x_t + U_z h_{t-1} + b), \\
              n_t &= \tanh\!\big(W_n x_t + r_t \odot (U_n h_{t-1})\big), \qquad r_t = \sigma(W_r x_t + U_r h_{t-1}).

    The update gate z keeps the state, so it is the unit's eigenvalue, moved by the input. Its bias
    :math:`b = \log T` with T uniform in [``min_time``, ``max_time``] starts it at :math:`T / (1 + T)`; with
    ``minus_one`` :math:`b = \log(T - 1)` starts it at :math:`1 - 1/T`, a memory of exactly T steps. Input weights start
    normal with variance 2 ``input_scale`` / fan-in, recurrent ones orthogonal times ``recurrent_scale``, other biases
    at 0.

    ``candidate="linear"`` is the paper's simplified unit: :math:`n_t = W_n x_t` with LeCun normal weights, no bias, no
    reset gate, no tanh. Its ``gates`` see input and state, or the input alone (a minGRU), or nothing. Gates that ignore
    the state run through :func:`rnnlib.linear_scan`; the GRU itself runs through :class:`torch.nn.GRU`, on a GPU
    through cuDNN.

    Args:
        input_size: size of x_t.
        hidden_size: number of units, N; also the size of the output, which is the state.
        min_time: smallest initial time constant T, in steps, positive.
        max_time: largest.
        minus_one: subtract 1 from T, as the source of the initialisation does and the paper's code does not
            (erratum 21).
        input_scale: :math:`\sigma_x`, scales the variance of the input weights (of the gates only, if the candidate is
            linear); 0 for none.
        recurrent_scale: :math:`\sigma_h`, scales the recurrent weights.
        candidate: ``"tanh"`` or ``"linear"``.
        gates: what the gates of a linear candidate see: ``"state"`` (and input), ``"input"`` or ``"constant"``.
        generator: source of randomness of the initial weights.
        backend: passed to :func:`rnnlib.linear_scan`.

    Raises:
        ValueError: a size or time is out of range, or an option is unknown or does not fit the others.

    Source: Cho et al. (2014); Tallec and Ollivier (2018) for the biases; Feng et al. (2024) for the minGRU; Zucchet and
    Orvieto (2024), section 5.
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
        backend: str = "auto",
    ):
        super().__init__()
        input_size, hidden_size = check_sizes(input_size=input_size, hidden_size=hidden_size)
        _checks.generator(generator)
        check_options(candidate, gates, input_scale, recurrent_scale)
        self.input_size = input_size
        self.hidden_size = self.output_size = hidden_size
        self.candidate, self.gates, self.backend = candidate, gates, backend
        bias = chrono_bias(hidden_size, min_time, max_time, minus_one=minus_one, generator=generator)
        he = math.sqrt(2 * input_scale / input_size)

        def normal(std: float) -> Tensor:
            return std * torch.randn(hidden_size, input_size, generator=generator)

        def recurrent() -> Tensor:
            return orthogonal(hidden_size, recurrent_scale, generator)

        if candidate == "tanh":
            # on the meta device, because the module's own initialisation would draw from the global generator
            self.gru = nn.GRU(input_size, hidden_size, batch_first=True, device="meta")
            # rows of the stacked weights: reset, update, candidate
            self.gru.weight_ih_l0 = nn.Parameter(torch.cat([normal(he) for _ in range(3)]))
            self.gru.weight_hh_l0 = nn.Parameter(torch.cat([recurrent() for _ in range(3)]))
            rest = torch.zeros_like(bias)
            self.gru.bias_ih_l0 = nn.Parameter(torch.cat([rest, bias, rest]))
            self.gru.bias_hh_l0 = nn.Parameter(rest.repeat(3))
            self.gru.flatten_parameters()
        else:
            self.bias = nn.Parameter(bias)
            self.weight_n = nn.Parameter(normal(1 / math.sqrt(input_size)))
            self.weight_z = None if gates == "constant" else nn.Parameter(normal(he))
            self.recurrent_z = nn.Parameter(recurrent()) if gates == "state" else None

    @property
    def _parameter(self) -> Tensor:
        """One that every layer has: dtype and device are the layer's."""
        return self.bias if self.candidate == "linear" else self.gru.weight_ih_l0

    @property
    def gate_bias(self) -> tuple[str, slice]:
        """The parameter that holds the biases of the update gates, and where in it."""
        if self.candidate == "linear":
            return "bias", slice(0, self.hidden_size)
        return "gru.bias_ih_l0", slice(self.hidden_size, 2 * self.hidden_size)

    def forward(self, x: Float[Tensor, "B T in"], state: Float[Tensor, "B N"] | None = None) -> Float[Tensor, "B T N"]:
        """States for whole sequences.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: state ``(batch, hidden_size)`` before the first input; zero by default.

        Returns:
            States ``(batch, time, hidden_size)``.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device, or x no time steps.
        """
        check_sequences(x, self.input_size, self._parameter)
        if state is not None:
            check_state(state, x, self.hidden_size, parameter=self._parameter)
        if self.candidate == "tanh":
            if in_forward_mode():
                return iterate(self, x, state)
            return self.gru(x, None if state is None else state[None].contiguous())[0]
        if self.gates != "state":
            z = self._gate(x, None)
            return linear_scan(z, (1 - z) * (x @ self.weight_n.mT), state, backend=self.backend)
        h = self.initial_state(x.shape[0]) if state is None else state
        driven, drives, states = self._gate_input(x), x @ self.weight_n.mT, []
        for gate, drive in zip(driven.unbind(1), drives.unbind(1), strict=True):
            z = torch.sigmoid(gate + h @ self.recurrent_z.mT)
            h = z * h + (1 - z) * drive
            states.append(h)
        return torch.stack(states, dim=1)

    def initial_state(self, batch: int = 1) -> Float[Tensor, "B N"]:
        """The zero state ``(batch, hidden_size)``, on the device and in the precision of the parameters."""
        return self._parameter.new_zeros(batch, self.hidden_size)

    def memory(self, state: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """The part of a state that the update gates multiply: all of it."""
        return state

    def step(
        self, x: Float[Tensor, "B in"], state: Float[Tensor, "B N"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
        """One time step, for streaming; a loop of steps gives the states of :meth:`forward`.

        Args:
            x: input of this step ``(batch, input_size)``.
            state: state ``(batch, hidden_size)`` after the previous step.

        Returns:
            The new state, as output and as state.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device.
        """
        check_step(x, self.input_size, self._parameter)
        check_state(state, x, self.hidden_size, parameter=self._parameter)
        z = self._gate(x, state)
        state = z * state + (1 - z) * self._candidate(x, state)
        return state, state

    def linearized(self, x: Float[Tensor, "B in"], state: Float[Tensor, "B N"]) -> tuple[Tensor, Tensor, Tensor]:
        r"""One time step and its first derivatives, for :mod:`rnnlib.lab.rtrl`.

        Args:
            x: input of this step ``(batch, input_size)``.
            state: state ``(batch, hidden_size)`` after the previous step.

        Returns:
            The new state :math:`h'`; :math:`\partial h' / \partial h`, ``(batch, N, N)``, of which gates that ignore
            the state leave the diagonal z, ``(batch, N)``; and :math:`\partial h'_i / \partial b_i`, ``(batch, N)``.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device.
        """
        check_step(x, self.input_size, self._parameter)
        check_state(state, x, self.hidden_size, parameter=self._parameter)
        z, n = self._gate(x, state), self._candidate(x, state)
        along_gate = (state - n) * z * (1 - z)
        after = z * state + (1 - z) * n
        if self.gates != "state":
            return after, z, along_gate
        if self.candidate == "linear":
            return after, torch.diag_embed(z) + along_gate[..., None] * self.recurrent_z, along_gate
        r, recurrent = torch.sigmoid(sum(self._products(x, state, 0))), self._products(x, state, 2)[1]
        U_r, U_z, U_n = self.gru.weight_hh_l0.chunk(3)
        along_n = (1 - z) * (1 - n * n)
        D = torch.diag_embed(z) + along_gate[..., None] * U_z + (along_n * r)[..., None] * U_n
        return after, D + (along_n * recurrent * r * (1 - r))[..., None] * U_r, along_gate

    def eigenvalues(self, x: Float[Tensor, "B T in"], state: Float[Tensor, "B N"] | None = None) -> Tensor:
        """The update gates along sequences: by how much each unit's state is multiplied at each step.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: as for :meth:`forward`.

        Returns:
            Gates z ``(batch, time, hidden_size)``, in (0, 1).

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device, or x no time steps.
        """
        check_sequences(x, self.input_size, self._parameter)
        if state is not None:
            check_state(state, x, self.hidden_size, parameter=self._parameter)
        if self.gates != "state":
            return self._gate(x, None)
        first = self.initial_state(x.shape[0]) if state is None else state
        before = torch.cat([first[:, None], self(x, state)[:, :-1]], dim=1)
        return self._gate(x, before)

    def _gate(self, x: Tensor, state: Tensor | None) -> Tensor:
        """The update gate, for one step or for all."""
        if self.candidate == "tanh":
            return torch.sigmoid(sum(self._products(x, state, 1)))
        driven = self._gate_input(x)
        return torch.sigmoid(driven if self.gates != "state" else driven + state @ self.recurrent_z.mT)

    def _gate_input(self, x: Tensor) -> Tensor:
        if self.gates == "constant":
            return self.bias.expand(*x.shape[:-1], -1)
        return x @ self.weight_z.mT + self.bias

    def _candidate(self, x: Tensor, state: Tensor) -> Tensor:
        if self.candidate == "linear":
            return x @ self.weight_n.mT
        reset = torch.sigmoid(sum(self._products(x, state, 0)))
        driven, recurrent = self._products(x, state, 2)
        return torch.tanh(driven + reset * recurrent)

    def _products(self, x: Tensor, state: Tensor, which: int) -> tuple[Tensor, Tensor]:
        """W x + b and U h + b' of one third of torch.nn.GRU's stacked weights: 0 reset, 1 update, 2 candidate."""
        rows = slice(which * self.hidden_size, (which + 1) * self.hidden_size)
        gru = self.gru
        driven = x @ gru.weight_ih_l0[rows].mT + gru.bias_ih_l0[rows]
        return driven, state @ gru.weight_hh_l0[rows].mT + gru.bias_hh_l0[rows]

    def extra_repr(self) -> str:
        sizes = f"input_size={self.input_size}, hidden_size={self.hidden_size}"
        return f"{sizes}, candidate={self.candidate!r}, gates={self.gates!r}"


def in_forward_mode() -> bool:
    """Whether forward derivatives are being taken. There PyTorch's GRU and LSTM must not be used: what
    ``torch.func.linearize`` records of them adds into its own constants, so that a second call would be wrong."""
    return forward_ad._current_level >= 0


def iterate(layer: nn.Module, x: Float[Tensor, "B T in"], state: Tensor | None) -> Tensor:
    """States of a layer, one ``step`` after another, along a new axis of time."""
    state, states = layer.initial_state(x.shape[0]) if state is None else state, []
    for x_t in x.unbind(1):
        _, state = layer.step(x_t, state)
        states.append(state)
    return torch.stack(states, dim=1)


def chrono_bias(
    size: int,
    min_time: float,
    max_time: float,
    *,
    minus_one: bool = False,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "N"]:
    r"""Gate biases for time constants T uniform in [``min_time``, ``max_time``]: :math:`\log T`.

    Args:
        size: number of units.
        min_time: smallest time constant, in steps, positive.
        max_time: largest, finite in the default dtype.
        minus_one: :math:`\log(T - 1)` instead; ``min_time`` must then exceed 1.
        generator: source of randomness.

    Returns:
        Biases ``(size,)``; ``torch.sigmoid`` of them is :math:`T / (1 + T)`, or :math:`1 - 1/T` with ``minus_one``.

    Raises:
        ValueError: times out of order or out of range.

    Source: Tallec and Ollivier (2018), section 2, who draw T - 1 from [1, T_max - 1].
    """
    limits = torch.finfo(torch.get_default_dtype())
    _checks.number("min_time", min_time)
    _checks.number("max_time", max_time)
    if not 0 < min_time <= max_time <= limits.max:
        raise ValueError(f"times must be finite and satisfy 0 < min_time <= max_time, got {min_time} and {max_time}")
    if minus_one and min_time <= 1:
        raise ValueError(
            f"with minus_one the bias is log(T - 1), so min_time must exceed 1, got {min_time}: 2 starts the bias at 0"
        )
    times = min_time + (max_time - min_time) * torch.rand(size, generator=generator)
    # rounding and a draw of 0 may leave nothing of a time constant close to the least one allowed
    return torch.log((times - 1).clamp(min=limits.eps) if minus_one else times.clamp(min=limits.tiny))


def orthogonal(size: int, scale: float, generator: torch.Generator | None) -> Float[Tensor, "N N"]:
    """A random orthogonal matrix times ``scale``, drawn in float32 where the default dtype has less precision."""
    dtype = torch.get_default_dtype()
    matrix = torch.empty(size, size, dtype=torch.promote_types(dtype, torch.float32))
    return nn.init.orthogonal_(matrix, scale, generator=generator).to(dtype)


def check_options(candidate: str, gates: str, input_scale: float, recurrent_scale: float) -> None:
    """Refuse options of a gated layer that are unknown or do not fit together."""
    if candidate not in ("tanh", "linear"):
        raise ValueError(f"candidate must be 'tanh' or 'linear', got {candidate!r}")
    if gates not in ("state", "input", "constant"):
        raise ValueError(f"gates must be 'state', 'input' or 'constant', got {gates!r}")
    if candidate == "tanh" and gates != "state":
        raise ValueError(
            f"gates={gates!r} needs candidate='linear', since the tanh candidate reads the state; or set "
            "recurrent_scale=0 (and input_scale=0) for gates that start so"
        )
    for name, scale in [("input_scale", input_scale), ("recurrent_scale", recurrent_scale)]:
        _checks.number(name, scale)
        if not 0 <= scale < math.inf:
            raise ValueError(f"{name} must not be negative and must be finite, got {scale}")
