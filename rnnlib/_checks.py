"""Checks of arguments. Each raises an error that names the argument, its value and what is expected."""

from __future__ import annotations

import numbers
import operator
from typing import Any

import numpy as np
import torch


def whole(name: str, value: Any, low: int | None = 1, high: int | None = None) -> int:
    """A whole number from ``low`` to ``high``, both included and None for any, as an int."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        domain = "" if low is None else f" of at least {low}" if high is None else f" from {low} to {high}"
        raise ValueError(f"{name} must be a whole number{domain}, got {shown(value)}")
    return number


def shown(value: Any) -> str:
    """A value as one short line."""
    if isinstance(value, torch.Tensor | np.ndarray) and value.ndim:
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python does not print integers of more than 4300 digits
        return f"an integer of {value.bit_length()} bits"
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def number(name: str, value: Any) -> None:
    """A real number of Python or NumPy."""
    if not _is_real(value):
        raise ValueError(f"{name} must be a number, got {shown(value)}")


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def generator(value: Any) -> None:
    """A source of randomness, or None for the global one."""
    if not (value is None or isinstance(value, torch.Generator)):
        raise TypeError(
            f"generator must be a torch.Generator or None, got {shown(value)}: pass torch.Generator().manual_seed(0)"
        )


def within(name: str, value: Any, interval: str) -> None:
    """A real number in an interval such as ``"[0, 1)"``."""
    low, high = map(float, interval[1:-1].split(","))
    inside = _is_real(value) and (
        (low < value or (low == value and interval[0] == "["))
        and (value < high or (value == high and interval[-1] == "]"))
    )
    if not inside:
        raise ValueError(f"{name} must be a number in {interval}, got {shown(value)}")
