r"""The diagonal linear recurrence :math:`h_t = \lambda_t \odot h_{t-1} + x_t`, and nothing else.

One function, four backends that are tested against each other:

- ``sequential``: a Python loop, the definition (``sequential.py``);
- ``chunked``: PyTorch operations on any device (``chunked.py``);
- ``numba``: compiled loops for the CPU (``cpu/``);
- ``cuda``: Triton kernels (``cuda/``).

Their derivatives are scans too (``differentiation.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from . import backends
from .differentiation import scan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Inexact
    from torch import Tensor

__all__ = ["BACKENDS", "linear_scan"]

BACKENDS = backends.NAMES
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128)


def linear_scan(
    lam: Inexact[Tensor, "N"] | Inexact[Tensor, "B T N"],
    x: Inexact[Tensor, "B T N"],
    h0: Inexact[Tensor, "B N"] | None = None,
    *,
    reverse: bool = False,
    backend: str = "auto",
) -> Inexact[Tensor, "B T N"]:
    r"""All states of the diagonal linear recurrence

    .. math:: h_t = \lambda_t \odot h_{t-1} + x_t, \qquad t = 1, \dots, T.

    Differentiable any number of times, in reverse and in forward mode, under ``torch.func``, ``torch.compile`` (one
    graph for all batches and lengths) and ``torch.export``. The API page lists what PyTorch offers: what does not work
    raises.

    In float32 (complex64) and for :math:`|\lambda| < 1` no state of the loop is further from the exact recurrence than
    :math:`4 u \, \min\big(T, 1/(1 - \max|\lambda|)\big) \max_t |h_t|` with :math:`u = 2^{-24}`, the unit roundoff:
    the longer the memory, the more roundings it adds up. Chunks (``"chunked"``, ``"cuda"``) start from zero, where
    states can be twice as large, and round their carries once: 9 in place of 4 bounds them, and measured errors are no
    larger than the loop's as root mean squares. With ``"numba"`` the states are kept in double precision from step to
    step, and what fades below :math:`2.2 \cdot 10^{-308}` becomes zero: the bound there is :math:`u\,|h_t|`, for the
    last rounding, plus the loop's with :math:`u = 2^{-53}`. Errors of the inputs themselves come on top.

    float16 and bfloat16 are for storage alone: the recurrence and its derivatives run in float32, from one unrounded
    state to the next. The error bound is that of float32 plus :math:`u\,|h_t|` for rounding the returned state, with
    :math:`u = 2^{-8}` in bfloat16 and :math:`2^{-11}` in float16, which overflows above 65504 and below
    :math:`6 \cdot 10^{-5}` only has multiples of :math:`6 \cdot 10^{-8}`. Neither resolves eigenvalues near 1 (the
    largest below it are 0.996 and 0.9995): pass ``lam`` in float32 there.

    Args:
        lam: eigenvalues, one per channel ``(N,)`` or one per step ``(B, T, N)``. Any modulus is computed; states grow
            without bound where it exceeds 1. In the dtype of x or, for real x, complex in the same precision; for x in
            float16 or bfloat16 also in float32 or complex64.
        x: inputs ``(B, T, N)``, batch, time (T >= 1), channel; float16, bfloat16, float32, float64, complex64 or
            complex128.
        h0: state ``(B, N)`` before the first input, in the dtype of x or of the states, for x in float16 or bfloat16
            also in float32; zero by default.
        reverse: run from the last step to the first, :math:`h_t = \lambda_t \odot h_{t+1} + x_t`; ``h0`` is then the
            state after the last input.
        backend: ``"auto"`` takes ``"cuda"`` for tensors on a CUDA device where Triton works, ``"numba"`` on a CPU where
            numba is installed (the extra ``fast``) and ``"chunked"`` elsewhere; ``"sequential"`` is the reference loop.
            The first scan with ``"numba"`` compiles, about a second for each dtype and direction of differentiation.

    Returns:
        The states ``(B, T, N)``, in the order of the inputs and in the dtype of x; complex in the precision of ``lam``
        where that is complex. Each gradient has the dtype of its tensor, and that of a real one is real.

    Raises:
        TypeError: an argument is no tensor, or its dtype is not supported or does not go with that of x.
        ValueError: ranks, shapes or devices do not fit, T = 0, or the backend is unknown or unusable here.

    Source: Zucchet and Orvieto (2024), section 2.2, assumption (a); h_0 = 0 there.
    """
    if not torch.jit.is_tracing():  # a trace would keep the comparisons of shapes as constants, and warn of each
        _check({"lam": lam, "x": x} | ({} if h0 is None else {"h0": h0}))
    backends.check_usable(backend, x.device)
    if lam.is_complex():
        x = x.to(lam.dtype)
    precision = _single_at_least(x.dtype)
    h0 = x.new_zeros(x.shape[0], x.shape[2], dtype=precision) if h0 is None else h0.to(precision)
    if lam.ndim == 1:
        lam = lam.to(precision)
    return scan(lam, x, h0, reverse, backend)


def _single_at_least(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _names(dtypes: Iterable[torch.dtype]) -> str:
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)


def _check(tensors: dict[str, Tensor]) -> None:
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    lam, x = tensors["lam"], tensors["x"]
    if x.ndim != 3:
        raise ValueError(f"x must have shape (batch, time, channel), got {tuple(x.shape)}")
    batch, time, channels = x.shape
    if time == 0:
        raise ValueError("x has no time steps (T = 0): pass at least one")
    # Shapes of one rank, one by one: a set of shapes would make torch.compile build a graph for every length, and ranks
    # that differ would compare the batch with the channels, which torch.export must not depend on.
    if lam.shape != ((channels,) if lam.ndim == 1 else x.shape):
        raise ValueError(
            f"lam must have shape (channel,) = ({channels},) or that of x, {tuple(x.shape)}; got {tuple(lam.shape)}"
        )
    if "h0" in tensors and tensors["h0"].shape != (batch, channels):
        got = tuple(tensors["h0"].shape)
        raise ValueError(f"h0 must have shape (batch, channel) = ({batch}, {channels}); got {got}")
    single = _single_at_least(x.dtype)
    with_x = {"lam": [x.dtype, single, torch.promote_types(single, torch.complex64)], "x": [x.dtype]}
    with_x["h0"] = [x.dtype, single, *[lam.dtype] * lam.is_complex()]
    for name, value in tensors.items():
        if value.dtype not in _DTYPES:
            raise TypeError(f"{name} has dtype {value.dtype}; convert it to one of {_names(_DTYPES)}")
    for name, value in tensors.items():
        if value.dtype not in with_x[name]:
            raise TypeError(
                f"{name} has dtype {value.dtype} but x has {x.dtype}: convert one with .to(dtype); with this x, {name} "
                f"may have {_names(dict.fromkeys(with_x[name]))}"
            )
        if value.device != x.device:
            raise ValueError(f"{name} is on {value.device} but x is on {x.device}: move one with .to(device)")
