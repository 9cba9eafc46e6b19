"""Checks of arguments, the library's and more. Each raises an error that names argument, value and what is expected."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from .._checks import shown, whole, within

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["alike", "choice", "description", "file_name", "plain", "shape", "title", "whole", "within"]


def choice(name: str, value: Any, choices: Collection[str]) -> None:
    """One of some names."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {shown(value)}")


def shape(name: str, value: torch.Tensor, *wanted: int | str) -> None:
    """A tensor of this shape; a string stands for any size and names it."""
    sizes = tuple(value.shape)
    fits = len(sizes) == len(wanted) and all(
        isinstance(want, str) or size == want for size, want in zip(sizes, wanted, strict=True)
    )
    if not fits:
        expected = ", ".join(map(str, wanted)) + ("," if len(wanted) == 1 else "")
        raise ValueError(f"{name} must have shape ({expected}), got {sizes}")


def file_name(name: Any) -> None:
    """The name of an experiment, which names files in a folder, none of which may be a table of another experiment."""
    if not isinstance(name, str) or not re.fullmatch(r"(?!.*\.[A-Za-z])[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
        raise ValueError(
            "name must be letters, digits, '.', '_' or '-', at most 100, first a letter, a digit or '_', and no letter "
            f"after a '.' (it names files), got {name!r}"
        )


def title(text: Any) -> None:
    """One line of text that can be printed."""
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"title must be one line of text, got {text!r}")


def plain(instance: Any) -> None:
    """Give a frozen dataclass Python's numbers instead of NumPy's, and tuples instead of lists, ranges and arrays, so
    that it can be hashed and written as JSON."""
    for field in dataclasses.fields(instance):
        object.__setattr__(instance, field.name, _plain(getattr(instance, field.name)))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple | range) else value


def alike(layers: Sequence[nn.Module]) -> None:
    """Layers that differ in nothing but the values of their parameters and buffers."""
    if not layers:
        raise ValueError("layers is empty: pass at least one")
    first = description(layers[0])
    for layer in layers[1:]:
        if type(layer) is not type(layers[0]):
            kinds = f"{type(layers[0]).__name__} and {type(layer).__name__}"
            raise ValueError(f"layers of different kinds cannot be stacked, got {kinds}")
        other = description(layer)
        for name in sorted(first | other, reverse=True):  # parameters before attributes
            if first.get(name) != other.get(name):
                one, two = (textwrap.shorten(str(part.get(name, "none")), 80) for part in (first, other))
                raise ValueError(
                    f"layers differ in {name}, {one} and {two}: "
                    "only layers with equal shapes and settings can be stacked"
                )


def description(layer: nn.Module) -> dict[str, Any]:
    """All that makes a layer what it is, but the values of its parameters and buffers, and how they were drawn."""
    plain = {}
    for kind, tensors in (("parameter", layer.named_parameters()), ("buffer", layer.named_buffers())):
        for name, value in tensors:
            plain[f"{kind} {name!r}"] = (tuple(value.shape), value.dtype, value.requires_grad)
    internal = vars(nn.Module()).keys()
    for path, module in layer.named_modules():
        plain[f"the kind of {path or 'the layer'}"] = type(module)
        of_torch = isinstance(module, nn.RNNBase)  # its private attributes repeat the parameters
        for name, value in vars(module).items():
            if name not in internal and name != "initial" and not (of_torch and name.startswith("_")):
                plain[f"attribute {f'{path}.{name}'.lstrip('.')!r}"] = _comparable(value)
    return plain


def _comparable(value: Any) -> Any:
    """Something to compare and hash instead of a value."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return str(value.dtype), tuple(value.shape), tuple(value.reshape(-1).tolist())  # repr leaves numbers out
    if isinstance(value, dict):
        return tuple((key, _comparable(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_comparable, value))
    return repr(value)
