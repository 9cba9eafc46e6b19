"""What layers refuse, in one sentence each: which argument, what it is, what it should be, and often the way there."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

from .. import _checks

HALF_OR_SINGLE = (torch.float16, torch.bfloat16, torch.float32)  # what autocast brings to one dtype
DTYPES = (*HALF_OR_SINGLE, torch.float64)


def check_sizes(**sizes: int) -> dict[str, int]:
    """The sizes as ints; refuse by name what is no whole number or below 1."""
    return {name: _checks.whole(name, size) for name, size in sizes.items()}


def check_factory(generator: torch.Generator | None, dtype: torch.dtype | None) -> None:
    """Refuse what layers cannot be made with."""
    _checks.generator(generator)
    if dtype is not None and dtype not in DTYPES:
        raise TypeError(f"dtype must be one of {', '.join(map(str, DTYPES))}, got {_checks.shown(dtype)}")


def check_sequences(x: torch.Tensor, features: int, parameter: torch.Tensor | None = None) -> None:
    """Refuse inputs that are not (batch, time, features) with at least one step."""
    if torch.jit.is_tracing():  # a trace would keep the comparisons as constants, and warn of each
        return
    _check_tensor("x", x, "(batch, time, input_size)")
    if x.ndim != 3:
        remedy = ": add a batch axis with x.unsqueeze(0)" if x.ndim == 2 else ""
        raise ValueError(f"x must have shape (batch, time, input_size), got {tuple(x.shape)}{remedy}")
    _check_features(x, features)
    if x.shape[1] == 0:
        raise ValueError(f"x has no time steps, shape {tuple(x.shape)}: pass at least one")
    if parameter is not None:
        _check_kind("x", x, parameter, parameter.dtype)


def check_step(x: torch.Tensor, features: int, parameter: torch.Tensor) -> None:
    """Refuse inputs of one time step that are not (batch, features)."""
    _check_tensor("x", x, "(batch, input_size)")
    if x.ndim != 2:
        remedies = {1: ": add a batch axis with x.unsqueeze(0)", 3: ": pass one time step, x[:, t], or call the layer"}
        got = f"{tuple(x.shape)}{remedies.get(x.ndim, '')}"
        raise ValueError(f"x must have shape (batch, input_size), the input of one step, got {got}")
    _check_features(x, features)
    _check_kind("x", x, parameter, parameter.dtype)


def check_state(state: Any, zeros: Any) -> Any:
    """The state in the dtype of the zero state; refuse what is not like it."""
    if isinstance(zeros, tuple):
        if not isinstance(state, tuple | list) or len(state) != len(zeros):
            got = f"{len(state)} of them" if isinstance(state, tuple | list) else type(state).__name__
            raise TypeError(f"state must be a pair of tensors (h, cell), as initial_state gives it, got {got}")
        return tuple(check_state(part, zero) for part, zero in zip(state, zeros, strict=True))
    _check_tensor("state", state, "(batch, hidden_size)")
    if state.shape != zeros.shape and not torch.jit.is_tracing():
        expected = tuple(zeros.shape)
        raise ValueError(
            f"state must have shape (batch, hidden_size) = {expected} with the batch of x, got {tuple(state.shape)}: "
            f"the zero state is initial_state({expected[0]})"
        )
    _check_kind("state", state, zeros, zeros.dtype)
    return state.to(zeros.dtype)


def check_lengths(lengths: Any, x: torch.Tensor) -> torch.Tensor:
    """The lengths on the device of x. Values are looked at on the CPU alone: a GPU would have to be waited for."""
    lengths = lengths if isinstance(lengths, torch.Tensor) else torch.as_tensor(lengths)
    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths must be whole numbers, got a tensor of {lengths.dtype}: pass lengths.long()")
    if torch.jit.is_tracing():
        return lengths
    batch, time = x.shape[:2]
    if lengths.ndim != 1 or lengths.shape[0] != batch:
        raise ValueError(f"lengths must have shape (batch,) = ({batch},), got {tuple(lengths.shape)}")
    if lengths.device.type == "cpu" and not torch.compiler.is_compiling():
        outside = (lengths < 0) | (lengths > time)
        try:
            first = lengths[outside][0].item() if outside.any() else None
        except RuntimeError:  # vmap and tracing
            first = None
        if first is not None:
            raise ValueError(f"lengths must be from 0 to {time}, the time steps of x, got {first}")
    return lengths.to(x.device, torch.int64)


def check_reset(reset: Any, x: torch.Tensor) -> None:
    """Refuse resets that are not truth values, one for each step."""
    _check_tensor("reset", reset, "(batch, time)")
    if reset.dtype != torch.bool:
        raise TypeError(f"reset must be a tensor of torch.bool, got {reset.dtype}: pass reset.bool()")
    if torch.jit.is_tracing():
        return
    if reset.ndim != 2 or reset.shape[0] != x.shape[0] or reset.shape[1] != x.shape[1]:
        raise ValueError(f"reset must have shape (batch, time) = {tuple(x.shape[:2])}, got {tuple(reset.shape)}")
    _check_kind("reset", reset, x, torch.bool)


def check_intervals(intervals: Any, shape: torch.Size, x: torch.Tensor) -> None:
    """Refuse times between steps that are not one for each. Values are looked at on the CPU alone."""
    _check_tensor("intervals", intervals, "(batch, time)")
    if not intervals.is_floating_point():
        raise TypeError(f"intervals must be floating-point numbers, got {intervals.dtype}: pass intervals.float()")
    if torch.jit.is_tracing():
        return
    if intervals.shape != shape:
        raise ValueError(f"intervals must have shape {tuple(shape)}, one for each step, got {tuple(intervals.shape)}")
    _check_kind("intervals", intervals, x, intervals.dtype)
    if intervals.device.type == "cpu" and not torch.compiler.is_compiling():
        try:
            first = intervals[intervals < 0][0].item() if (intervals < 0).any() else None
        except RuntimeError:  # vmap and tracing
            first = None
        if first is not None:
            raise ValueError(f"intervals must be at least 0, got {first}")


def _check_kind(name: str, value: torch.Tensor, like: torch.Tensor, dtype: torch.dtype) -> None:
    """Refuse another dtype or device than the layer's, which PyTorch refuses in other words or lets through."""
    if value.device != like.device:
        where = f"{value.device}, the layer on {like.device}"
        raise ValueError(f"{name} is on {where}: pass {name}.to({str(like.device)!r})")
    if value.dtype == dtype or (
        value.dtype in HALF_OR_SINGLE and dtype in HALF_OR_SINGLE and torch.is_autocast_enabled(value.device.type)
    ):
        return
    remedy = f"pass {name}.to({dtype})"
    if value.is_complex() and not dtype.is_complex:
        remedy = f"pass {name}.real.to({dtype})"
    elif name == "x" and value.dtype in DTYPES:
        remedy += f", or convert the layer with layer.to({value.dtype})"
    whose = "the layer's dtype" if name == "x" else "the dtype of the recurrence"
    raise TypeError(f"{name} must have {whose}, {dtype}, got {value.dtype}: {remedy}")


def _check_tensor(name: str, value: torch.Tensor, axes: str) -> None:
    if isinstance(value, PackedSequence):
        raise TypeError(
            f"{name} must be a torch.Tensor of shape {axes}, got a PackedSequence: unpack it with {name}, lengths = "
            f"torch.nn.utils.rnn.pad_packed_sequence({name}, batch_first=True) and call layer({name}, lengths=lengths)"
        )
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of shape {axes}, got {type(value).__name__}")


def _check_features(x: torch.Tensor, features: int) -> None:
    if x.shape[-1] != features:
        raise ValueError(f"x must have {features} features on its last axis, got shape {tuple(x.shape)}")
