"""Which implementation runs. Modules are imported on first use: `import rnnlib` brings neither triton nor numba."""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def forward(backend: str, device: torch.device) -> Callable:
    """The scan ``(lam, x, h0, reverse) -> states`` of a backend; ``"auto"`` depends on the device."""
    match _resolve(backend, device):
        case "cuda":
            from .cuda import cuda_scan as scan
        case "numba":
            from .cpu import cpu_scan as scan
        case _:
            from .chunked import chunked_scan as scan
    return scan


def fused_adjoint(backend: str, device: torch.device) -> Callable | None:
    """``(lam, h, h0, grad, reverse) -> (grad_lam, grad_x, grad_h0)`` in one pass, where a backend has it."""
    match _resolve(backend, device):
        case "cuda":
            from .cuda import cuda_adjoint as adjoint
        case "numba":
            from .cpu import cpu_adjoint as adjoint
        case _:
            adjoint = None
    return adjoint


def check_usable(backend: str, device: torch.device) -> None:
    """Refuse a backend that was asked for by name and cannot run here.

    Raises:
        ValueError: ``"cuda"`` or ``"numba"`` with tensors elsewhere, or ``"numba"`` where it is not installed.
    """
    if backend == "cuda" and device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"backend='cuda' needs tensors on a CUDA device, but x is on {device}: move lam, x and h0 with "
            ".to('cuda'), or use backend='auto'"
        )
    if backend == "numba":
        if device.type != "cpu":
            raise ValueError(
                f"backend='numba' needs tensors on the CPU, but x is on {device}: move lam, x and h0 with .to('cpu'), "
                "or use backend='auto'"
            )
        if importlib.util.find_spec("numba") is None:
            raise ValueError(
                "backend='numba' needs numba, which is not installed: pip install numba (rnnlib's extra 'fast'), or "
                "use backend='auto'"
            )


def _resolve(backend: str, device: torch.device) -> str:
    return default_backend(device) if backend == "auto" else backend


@functools.cache
def default_backend(device: torch.device) -> str:
    """What ``"auto"`` means on ``device``: the fastest that works there, tried once.

    Compiled kernels that are installed and do not work are told about once; numba that is not installed is not.
    """
    if device.type == "cpu":
        name, needs = "numba", "numba"
    elif device.type == "cuda":
        name, needs = "cuda", "triton"
    else:
        return "chunked"
    if name == "numba" and importlib.util.find_spec("numba") is None:
        return "chunked"
    try:
        one = torch.ones(1, 1, 1, device=device)
        forward(name, device)(one[0, 0], one, one[0], False)
    except Exception as error:  # a missing package, an old driver, an unsupported chip: each has its own exception
        warnings.warn(
            f"the {needs.capitalize()} kernels do not work on {device} ({type(error).__name__}: {error}); linear_scan "
            "uses backend='chunked' there",
            RuntimeWarning,
            stacklevel=3,
        )
        return "chunked"
    return name
