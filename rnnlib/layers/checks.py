"""What layers refuse, in one sentence each: which argument, what it is, what it should be, and often the way there."""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import PackedSequence


def check_sizes(**sizes: int) -> None:
    """Refuse sizes below 1, by name."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def check_sequences(x: torch.Tensor, features: int) -> None:
    """Refuse inputs that are not (batch, time, features) with at least one step.

    Raises:
        TypeError: x is no tensor.
        ValueError: x has another rank or number of features, or no time steps.
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


def check_step(x: torch.Tensor, features: int) -> None:
    """Refuse inputs of one time step that are not (batch, features).

    Raises:
        TypeError: x is no tensor.
        ValueError: x has another rank or number of features.
    """
    _check_tensor("x", x, "(batch, input_size)")
    if x.ndim != 2:
        remedies = {1: ": add a batch axis with x.unsqueeze(0)", 3: ": pass one time step, x[:, t], or call the layer"}
        got = f"{tuple(x.shape)}{remedies.get(x.ndim, '')}"
        raise ValueError(f"x must have shape (batch, input_size), the input of one step, got {got}")
    _check_features(x, features)


def check_state(state: torch.Tensor, x: torch.Tensor, *size: int) -> None:
    """Refuse states that are not (batch, *size) with the batch of x, which broadcasting would accept.

    Raises:
        TypeError: the state is no tensor.
        ValueError: it has another shape.
    """
    axes = "(batch, hidden_size)" if len(size) == 1 else "(batch, 2, hidden_size)"
    _check_tensor("state", state, axes)
    expected = (x.shape[0], *size)
    if tuple(state.shape) != expected:
        raise ValueError(
            f"state must have shape {axes} = {expected} with the batch of x, got {tuple(state.shape)}: "
            f"the zero state is initial_state({expected[0]})"
        )


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
