"""What layers refuse, in one sentence each: which argument, what it is, what it should be, and often the way there."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import PackedSequence

from .._checks import whole

HALF_OR_SINGLE = (torch.float16, torch.bfloat16, torch.float32)  # what autocast brings to one dtype


def check_sizes(**sizes: int) -> list[int]:
    """The sizes as ints; refuse by name what is no whole number or below 1."""
    return [whole(name, size) for name, size in sizes.items()]


def check_sequences(x: torch.Tensor, features: int, parameter: torch.Tensor | None = None) -> None:
    """Refuse inputs that are not (batch, time, features) with at least one step.

    Raises:
        TypeError: x is no tensor, or not of the dtype of the parameter.
        ValueError: x has another rank or number of features, no time steps, or is on another device.
    """
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
    """Refuse inputs of one time step that are not (batch, features).

    Raises:
        TypeError: x is no tensor, or not of the dtype of the parameter.
        ValueError: x has another rank or number of features, or is on another device.
    """
    _check_tensor("x", x, "(batch, input_size)")
    if x.ndim != 2:
        remedies = {1: ": add a batch axis with x.unsqueeze(0)", 3: ": pass one time step, x[:, t], or call the layer"}
        got = f"{tuple(x.shape)}{remedies.get(x.ndim, '')}"
        raise ValueError(f"x must have shape (batch, input_size), the input of one step, got {got}")
    _check_features(x, features)
    _check_kind("x", x, parameter, parameter.dtype)


def check_state(
    state: torch.Tensor, x: torch.Tensor, *size: int, parameter: torch.Tensor, is_complex: bool = False
) -> None:
    """Refuse states that are not (batch, *size) with the batch of x, which broadcasting would accept.

    Raises:
        TypeError: the state is no tensor, or not of the dtype of the parameter (or its complex counterpart).
        ValueError: it has another shape, or is on another device.
    """
    axes = "(batch, hidden_size)" if len(size) == 1 else "(batch, 2, hidden_size)"
    _check_tensor("state", state, axes)
    expected = (x.shape[0], *size)
    if tuple(state.shape) != expected:
        raise ValueError(
            f"state must have shape {axes} = {expected} with the batch of x, got {tuple(state.shape)}: "
            f"the zero state is initial_state({expected[0]})"
        )
    _check_kind("state", state, parameter, parameter.dtype.to_complex() if is_complex else parameter.dtype)


def _check_kind(name: str, value: torch.Tensor, parameter: torch.Tensor, dtype: torch.dtype) -> None:
    """Refuse another dtype or device than the layer's, which PyTorch refuses in other words or lets through."""
    if value.device != parameter.device:
        raise ValueError(
            f"{name} is on {value.device}, the layer on {parameter.device}: pass {name}.to({str(parameter.device)!r})"
        )
    if value.dtype == dtype or (
        value.dtype in HALF_OR_SINGLE and dtype in HALF_OR_SINGLE and torch.is_autocast_enabled(value.device.type)
    ):
        return
    remedy = f"pass {name}.to({dtype})"
    if value.is_complex() and not dtype.is_complex:
        remedy = f"pass {name}.real.to({dtype})"
    elif value.dtype in (torch.float32, torch.float64) and not dtype.is_complex:
        remedy += f", or convert the layer with layer.to({value.dtype})"
    raise TypeError(f"{name} must have the layer's dtype, {dtype}, got {value.dtype}: {remedy}")


def _check_tensor(name: str, value: torch.Tensor, axes: str) -> None:
    if isinstance(value, PackedSequence):
        raise TypeError(
            f"{name} must be a torch.Tensor of shape {axes}, got a PackedSequence: "
            "unpack it with torch.nn.utils.rnn.pad_packed_sequence(x, batch_first=True)[0]"
        )
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of shape {axes}, got {type(value).__name__}")


def _check_features(x: torch.Tensor, features: int) -> None:
    if x.shape[-1] != features:
        raise ValueError(f"x must have {features} features on its last axis, got shape {tuple(x.shape)}")
