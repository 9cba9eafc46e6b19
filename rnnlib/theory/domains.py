"""What the closed forms share: domains of arguments, and numbers, arrays and tensors alike."""

from __future__ import annotations

import numbers
from decimal import Decimal

import numpy as np
import torch


def conjugate(z):
    return z.conj() if hasattr(z, "conj") else z.conjugate()


def squared_modulus(z):
    return z.real**2 + z.imag**2 if is_complex(z) else z * z


def is_complex(z) -> bool:
    if isinstance(z, torch.Tensor):
        return z.is_complex()
    return not isinstance(z, int | float) and np.iscomplexobj(z)


# Domains: each function returns the value, lists as arrays, or raises


def disc(name, z):
    return checked(name, z, lambda z: abs(z) < 1, f"inside the unit circle, |{name}| < 1")


def correlation(rho):
    return checked("rho", rho, lambda rho: abs(rho) <= 1, "real, -1 <= rho <= 1", real=True)


def gate(lam):
    return checked("lam", lam, lambda lam: (lam >= 0) & (lam < 1), "a real gate, 0 <= lam < 1", real=True)


def checked(name, value, inside, domain, real=False):
    if isinstance(value, list | tuple):
        value = np.asarray(value)
    if isinstance(value, numbers.Rational | Decimal):
        try:
            number = float(value)
        except (OverflowError, ValueError):  # the latter for Decimal's signalling NaN
            raise ValueError(f"{name} must be {domain}, got {shown(value)}") from None
        if not isinstance(value, numbers.Integral):
            value = number  # NumPy would make arrays of objects
    if not _is_numeric(value):
        raise TypeError(f"{name} must be a number, an array or a tensor of numbers, got {type(value).__name__}")
    ok = abs(value) < 0 if real and is_complex(value) else inside(value)
    readable, fine = _all(ok)
    if not readable:
        return torch.where(ok, value, float("nan"))
    if not fine:
        raise ValueError(f"{name} must be {domain}, got {_first(value, ok)}")
    return value


def _is_numeric(value) -> bool:
    if isinstance(value, torch.Tensor):
        return value.dtype != torch.bool
    return isinstance(value, numbers.Number) or np.asarray(value).dtype.kind in "iufc"


def shown(value) -> str:
    """A value as one short line."""
    if np.ndim(value):
        return f"{type(value).__name__} of shape {tuple(np.shape(value))}"
    if isinstance(value, numbers.Rational) and abs(value) >= 2**1024:
        return "a number beyond the largest float, 1.8e308"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:60]}..."


def _first(value, ok):
    """The first value that is not fine."""
    if isinstance(value, torch.Tensor):
        return value.detach()[~ok][0].item()
    return np.asarray(value)[~np.asarray(np.ma.filled(ok, True), bool)][0]


def _all(ok) -> tuple[bool, bool]:
    """Whether the truth values can be read, and whether all are true."""
    if isinstance(ok, torch.Tensor) and torch.compiler.is_compiling():
        return False, True
    try:
        if isinstance(ok, np.ma.MaskedArray):  # what is masked is no value
            ok = ok.filled(True)
        return True, bool(ok.all() if hasattr(ok, "all") else ok)
    except RuntimeError:  # vmap and tracing
        return False, True


def alike(**values):
    """The arguments as :func:`_one_kind`; an error if their shapes do not broadcast."""
    shapes = [tuple(np.shape(value)) for value in values.values()]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"{', '.join(values)} must broadcast, got shapes {', '.join(map(str, shapes))}") from None
    return one_kind(*values.values())


def one_kind(*values):
    """Arrays as tensors where one of them is a tensor. Numbers stay numbers, which change no precision."""
    device = next((value.device for value in values if isinstance(value, torch.Tensor)), None)
    if device is None:
        return values
    return tuple(_beside_tensors(value, device) for value in values)


def _beside_tensors(value, device):
    if isinstance(value, np.generic | numbers.Number):
        return complex(value) if is_complex(value) else float(value)
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value), device=device)


def tensors(*values):
    """Numbers as tensors too, in the precision of the tensors beside them and in float32 at least."""
    dtype = torch.float32
    for value in values:
        if isinstance(value, torch.Tensor):
            dtype = torch.promote_types(dtype, value.dtype)
    real = dtype.to_real()
    return tuple(
        value
        if isinstance(value, torch.Tensor)
        else torch.as_tensor(value, dtype=real.to_complex() if is_complex(value) else real)
        for value in values
    )


def finite(name, value):
    return checked(name, value, lambda value: abs(value) < float("inf"), "finite")
