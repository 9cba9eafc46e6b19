"""What the gated layers share: options, initial weights, time scales of gates, the loop over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.autograd import forward_ad

from .. import _checks
from .base import RecurrentLayer, drawing, drawn, each, fill_normal, full_precision, last, wide

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class GatedLayer(RecurrentLayer):
    r"""A layer whose gates say how much of its memory each unit keeps; subclasses have the equations.

    All of it runs in single precision at least, also under autocast: gates make the eigenvalues.

    Args:
        input_size: size of x_t.
        hidden_size: number of units, N; also the size of the output.
        min_time: smallest initial time constant T, in steps, positive.
        max_time: largest.
        weight_scale: :math:`\sigma_x`, scales the variance of the input weights (of the gates only, if the candidate is
            linear); 0 for none.
        recurrent_scale: :math:`\sigma_h`, scales the recurrent weights.
        candidate: ``"tanh"`` or ``"linear"``.
        gates: what the gates of a linear candidate see: ``"state"`` (and input), ``"input"`` or ``"constant"``.
        generator: source of randomness of the initial weights.
        backend: passed to :func:`rnnlib.linear_scan`, which runs gates that ignore the state.
        device: of the parameters.
        dtype: of the parameters, a real one.

    Raises:
        TypeError: the dtype is not a real floating-point one.
        ValueError: a size or time is out of range, or an option is unknown or does not fit the others.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        min_time: float = 1.0,
        max_time: float = 256.0,
        weight_scale: float = 1.0,
        recurrent_scale: float = 1.0,
        candidate: Literal["tanh", "linear"] = "tanh",
        gates: Literal["state", "input", "constant"] = "state",
        generator: torch.Generator | None = None,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(generator, dtype, input_size=input_size, hidden_size=hidden_size)
        _check_options(candidate, gates, weight_scale=weight_scale, recurrent_scale=recurrent_scale)
        self.output_size = self.hidden_size
        self.candidate, self.gates, self.backend = candidate, gates, backend
        self.initial = Initial(min_time, max_time, weight_scale, recurrent_scale)
        self._build({"device": device, "dtype": dtype})
        self.reset_parameters(generator)

    def activations(self, x: Float[Tensor, "*B in"], h: Float[Tensor, "*B N"]) -> tuple[Float[Tensor, "*B N"], ...]:
        """Gates and candidate, for one step or for many: z and n of a GRU; i, f, g and o of an LSTM.

        Args:
            x: inputs ``(..., input_size)``.
            h: outputs of the step before each ``(..., hidden_size)``, in the precision of the recurrence.
        """
        return self._gates(self._drive(wide(x)), h)

    def _iterate(self, x: Tensor, state: Any, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, Any]:
        """One step after another."""
        outputs, states = [], []
        for t, drive in enumerate(zip(*(part.unbind(1) for part in self._drive(x)), strict=True)):
            if reset is not None:
                fresh = reset[:, t, None]
                state = each(lambda h, fresh=fresh: h.masked_fill(fresh, 0), state)
            y, state = self._advance(drive, state)
            outputs.append(y)
            states.append(state)
        y = torch.stack(outputs, 1)
        return y, state if lengths is None else each(lambda *h: last(torch.stack(h, 1), lengths), *states)

    def _step(self, x, state):
        with full_precision(x):
            return self._advance(self._drive(x), state)


class Initial:
    """How weights of a gated layer start.

    Args:
        min_time, max_time, weight_scale, recurrent_scale: as of :class:`GatedLayer`.
    """

    def __init__(self, min_time: float, max_time: float, weight_scale: float, recurrent_scale: float):
        self.times, self.weight_scale, self.recurrent_scale = (min_time, max_time), weight_scale, recurrent_scale

    def fill_bias(self, bias: Tensor, signs: tuple[int, ...], generator: torch.Generator | None) -> None:
        """Blocks of the chrono bias, of its negative, or of zeros."""
        drawn = chrono_bias(len(bias) // len(signs), *self.times, generator=generator, **drawing(bias, generator))
        bias.copy_(torch.cat([sign * drawn if sign else torch.zeros_like(drawn) for sign in signs]))

    def fill_input(self, weights: Tensor, generator: torch.Generator | None) -> None:
        """He's normal weights."""
        fill_normal(weights, math.sqrt(2 * self.weight_scale / weights.shape[1]), generator)

    def fill_recurrent(self, weights: Tensor, generator: torch.Generator | None) -> None:
        """Orthogonal blocks, one below the other."""
        for block in weights.split(weights.shape[1]):
            block.copy_(nn.init.orthogonal_(drawn(block, generator), self.recurrent_scale, generator=generator))


class Stacked:
    """What a module of PyTorch's starts with, also where deferred initialisation resets it by itself."""

    initial: Initial | None = None
    signs: tuple[int, ...]
    draws: int

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        if self.initial is None:  # PyTorch's constructor calls this before the settings are there
            return
        self.initial.fill_bias(self.bias_ih_l0, self.signs, generator)
        self.bias_hh_l0.zero_()
        for weights in self.weight_ih_l0.chunk(self.draws):
            self.initial.fill_input(weights, generator)
        self.initial.fill_recurrent(self.weight_hh_l0, generator)

    def run(self, function, x: Tensor, state: Any) -> tuple[Tensor, ...]:
        """PyTorch's pass over whole sequences in the precision of x, with weights in any."""
        weights = [wide(weight) for weight in self.all_weights[0]]
        return function(x, state, weights, True, 1, 0.0, self.training, False, True)


def in_forward_mode() -> bool:
    """Whether forward derivatives are being taken. There PyTorch's GRU and LSTM must not be used: what
    ``torch.func.linearize`` records of them adds into its own constants, so that a second call would be wrong."""
    return forward_ad._current_level >= 0


def chrono_bias(
    size: int,
    min_time: float,
    max_time: float,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "N"]:
    r"""Gate biases for time constants T uniform in [``min_time``, ``max_time``]: :math:`\log T`.

    Args:
        size: number of units.
        min_time: smallest time constant, in steps, positive.
        max_time: largest, finite in the dtype.
        generator: source of randomness.
        dtype: of the biases.
        device: where to draw, that of the generator.

    Returns:
        Biases ``(size,)``; ``torch.sigmoid`` of them is :math:`T / (1 + T)`.

    Raises:
        ValueError: times out of order or out of range.

    Source: Tallec and Ollivier (2018), section 2, who draw the T of :math:`1 - 1/T` from [2, T_max]: for theirs pass
        times that are less by one.
    """
    limits = torch.finfo(torch.get_default_dtype() if dtype is None else dtype)
    _checks.number("min_time", min_time)
    _checks.number("max_time", max_time)
    if not 0 < min_time <= max_time <= limits.max:
        raise ValueError(f"times must be finite and satisfy 0 < min_time <= max_time, got {min_time} and {max_time}")
    times = min_time + (max_time - min_time) * torch.rand(size, generator=generator, dtype=dtype, device=device)
    return torch.log(times.clamp(min=limits.tiny))  # a draw of 0 may leave nothing of the least time allowed


def _check_options(candidate: str, gates: str, **scales: float) -> None:
    """Refuse options of a gated layer that are unknown or do not fit together."""
    if candidate not in ("tanh", "linear"):
        raise ValueError(f"candidate must be 'tanh' or 'linear', got {candidate!r}")
    if gates not in ("state", "input", "constant"):
        raise ValueError(f"gates must be 'state', 'input' or 'constant', got {gates!r}")
    if candidate == "tanh" and gates != "state":
        raise ValueError(
            f"gates={gates!r} needs candidate='linear', since the tanh candidate reads the state; or set "
            "recurrent_scale=0 (and weight_scale=0) for gates that start so"
        )
    for name, scale in scales.items():
        _checks.number(name, scale)
        if not 0 <= scale < math.inf:
            raise ValueError(f"{name} must not be negative and must be finite, got {scale}")
