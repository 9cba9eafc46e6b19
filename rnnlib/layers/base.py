"""What every layer shares: sequences, streams, lengths, resets, the direction of time, precision, initial draws."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from . import checks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor


class RecurrentLayer(nn.Module):
    """The protocol of all layers, close to that of :class:`torch.nn.GRU` with ``batch_first=True``.

    ``y, state = layer(x)`` runs whole sequences, ``layer(x, state)`` goes on where they ended, ``layer.step`` by
    one step. Subclasses define ``_run`` and ``_step``, which get checked tensors, and ``reset_parameters``, which their
    constructors call once the parameters are there. ``_run`` makes the state zero before the steps that ``reset``
    marks, but the first, and returns the state at each length (``last`` takes it from all states).

    The recurrence runs in float32 (complex64), or in float64 where the parameters are float64, whatever autocast or
    parameters in half precision say, and so do states. Outputs come in the dtype of x.

    Attributes:
        recurrent_parameters: names of the parameters (or submodules) that the recurrence is made of.
        linear_maps: names of those that map inputs and states linearly.
        complex_pairs: names of those whose last axis holds (real, imaginary).
    """

    recurrent_parameters: ClassVar[tuple[str, ...]] = ()
    linear_maps: ClassVar[tuple[str, ...]] = ()
    complex_pairs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, generator: torch.Generator | None, dtype: torch.dtype | None, **sizes: int):
        super().__init__()
        checks.check_factory(generator, dtype)
        for name, size in checks.check_sizes(**sizes).items():
            setattr(self, name, size)

    def forward(
        self,
        x: Float[Tensor, "B T in"],
        state: Any = None,
        *,
        lengths: Int[Tensor, "B"] | None = None,
        reset: Bool[Tensor, "B T"] | None = None,
        reverse: bool = False,
    ) -> tuple[Float[Tensor, "B T out"], Any]:
        """Outputs for whole sequences, and the state after them.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: before the first step, like :meth:`initial_state`, which is the default.
            lengths: steps of each sequence ``(batch,)``, from 0 to time. Outputs beyond are 0; inputs there are not
                read and may be NaN.
            reset: where a new sequence begins ``(batch, time)``: the state is zero before that step.
            reverse: run from each sequence's last step to its first; "before" is then later in time.

        Returns:
            Outputs ``(batch, time, output_size)`` in the dtype of x, and the state after each sequence's own last step
            (for length 0 the one before).

        Raises:
            TypeError: an argument is no tensor, or its dtype does not go with the layer's.
            ValueError: a shape, device or length does not fit, or x has no time steps.
        """
        checks.check_sequences(x, self.input_size, self._parameter)
        return self._forward(x, wide(x), state, lengths, reset, reverse)

    def _forward(self, x, features, state, lengths, reset, reverse):
        """The same, once x has been checked; ``features`` are what ``_run`` gets of it, in the precision of the
        recurrence."""
        before = self._entering(x, state)
        if lengths is not None:
            lengths = checks.check_lengths(lengths, x)
        if reset is not None:
            checks.check_reset(reset, x)
        y, after = self._within(features, before, lengths, reset, reverse)
        return y.to(x.dtype), after

    def _within(self, x, before, lengths, reset, reverse):
        """Outputs and states, with nothing from beyond the lengths in them."""
        end = padding = None
        if lengths is not None:
            padding = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
            lengths = (~padding).sum(1)  # lengths on a GPU may be out of range
            end, padding = lengths[:, None], padding[..., None]
            x = x.masked_fill(padding, 0)
        if reverse:
            x = _backwards(x, end)
            reset = None if reset is None else _backwards(reset[..., None], end)[..., 0]
        # not left to lam = 0: NaN times 0 is NaN
        entering = before if reset is None else each(lambda h: h.masked_fill(reset[:, :1], 0), before)
        y, after = self._run(x, entering, lengths, reset)
        y = _backwards(y, end) if reverse else y
        if lengths is None:
            return y, after
        return y.masked_fill(padding, 0), each(lambda new, old: torch.where(end > 0, new, old), after, before)

    def step(self, x: Float[Tensor, "B in"], state: Any) -> tuple[Float[Tensor, "B out"], Any]:
        """One time step, for streaming; a loop of steps gives the outputs of :meth:`forward`.

        Args:
            x: input of this step ``(batch, input_size)``.
            state: after the previous step, at first :meth:`initial_state`.

        Returns:
            The output ``(batch, output_size)`` in the dtype of x, and the new state.

        Raises:
            TypeError: x or the state is no tensor, or its dtype does not go with the layer's.
            ValueError: x or the state has another shape or device.
        """
        checks.check_step(x, self.input_size, self._parameter)
        if state is None:
            raise TypeError(f"state must be that after the previous step, got None: pass initial_state({len(x)})")
        y, state = self._step(wide(x), self._entering(x, state))
        return y.to(x.dtype), state

    def initial_state(self, batch: int = 1) -> Float[Tensor, "B N"]:
        """The zero state ``(batch, hidden_size)``, on the layer's device and in the precision of the recurrence."""
        return self._parameter.new_zeros(batch, self.hidden_size, dtype=wide(self._parameter).dtype)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw all parameters anew, as the constructor does; also after ``to_empty`` of a layer built on meta.

        Args:
            generator: source of randomness.
        """
        raise NotImplementedError(f"{type(self).__name__} must define reset_parameters(generator)")

    @property
    def _parameter(self) -> Tensor:
        """One that tells the layer's dtype and device."""
        return next(self.parameters())

    def _entering(self, x: Tensor, state: Any) -> Any:
        """The state before the first step, checked and in the precision of the recurrence."""
        zeros = self.initial_state(x.shape[0])
        return zeros if state is None else checks.check_state(state, zeros)

    def _run(self, x: Tensor, state: Any, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, Any]:
        """Outputs, whatever they are beyond each length, and the state at each length of at least 1."""
        raise NotImplementedError(f"{type(self).__name__} must define _run(x, state, lengths, reset)")

    def _step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        raise NotImplementedError(f"{type(self).__name__} must define _step(x, state)")

    def extra_repr(self) -> str:
        """Sizes and options of the layer, as ``print(layer)`` shows them in parentheses."""
        names = ("input_size", "hidden_size", "output_size", "heads", "candidate", "gates")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name))


def each(function, *states):
    """A function of states, or of each of the tensors that they consist of."""
    return tuple(map(function, *states)) if isinstance(states[0], tuple) else function(*states)


def wide(t: Tensor) -> Tensor:
    """At least single precision."""
    return t.to(torch.promote_types(t.dtype, torch.float32))


def full_precision(x: Tensor) -> contextlib.AbstractContextManager:
    """Without autocast, in which a recurrence must not run."""
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return contextlib.nullcontext()


def last(states: Tensor, lengths: Tensor | None) -> Tensor:
    """Of states ``(batch, time, N)`` those at each sequence's own end."""
    parts = torch.view_as_real(states).flatten(2) if states.is_complex() else states  # ONNX cannot index complex ones
    if lengths is None:
        end = parts[:, -1]
    else:
        index = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, parts.shape[2])
        end = parts.gather(1, index)[:, 0]  # take_along_dim would make a graph for each number of steps
    # no view, which would keep all states in memory
    return (torch.view_as_complex(end.unflatten(1, (-1, 2))) if states.is_complex() else end).clone()


def _backwards(t: Tensor, end: Tensor | None) -> Tensor:
    """``(batch, time, feature)`` in the opposite order of time, padding left where it is; its own inverse."""
    if end is None:
        return t.flip(1)
    steps = torch.arange(t.shape[1], device=t.device)
    return t.gather(1, torch.where(steps < end, end - 1 - steps, steps)[..., None].expand_as(t))


@torch.no_grad()
def fill_normal(parameter: Tensor, std: float, generator: torch.Generator | None) -> None:
    """Independent normal entries."""
    parameter.copy_(drawn(parameter, generator).normal_(generator=generator).mul_(std))


def drawn(parameter: Tensor, generator: torch.Generator | None) -> Tensor:
    """Room for a parameter's initial values, in single precision at least and where the generator is."""
    return torch.empty(parameter.shape, **drawing(parameter, generator))


def drawing(parameter: Tensor, generator: torch.Generator | None) -> dict[str, Any]:
    """Dtype and device in which its initial values are drawn: a generator's numbers do not depend on the layer's."""
    device = parameter.device if generator is None or parameter.is_meta else generator.device
    return {"dtype": torch.promote_types(parameter.dtype, torch.float32), "device": device}
