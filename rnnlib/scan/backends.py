"""Which implementation runs: modules are imported on first use, because ``import rnnlib`` must not import triton."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def forward(backend: str, device: torch.device) -> Callable:
    """The scan ``(lam, x, h0, reverse) -> states`` of a backend; ``"auto"`` depends on the device."""
    if _resolve(backend, device) == "cuda":
        from .cuda import cuda_scan

        return cuda_scan
    from .chunked import chunked_scan

    return chunked_scan


def fused_adjoint(backend: str, device: torch.device) -> Callable | None:
    """``(lam, h, h0, grad, reverse) -> (grad_lam, grad_x, grad_h0)`` in one pass, where a backend has it."""
    if _resolve(backend, device) == "cuda":
        from .cuda import cuda_adjoint

        return cuda_adjoint
    return None


def _resolve(backend: str, device: torch.device) -> str:
    return default_backend(device) if backend == "auto" else backend


@functools.cache
def default_backend(device: torch.device) -> str:
    """What ``"auto"`` means on ``device``; a GPU is tried once, and told once if the kernels do not work on it."""
    if device.type != "cuda":
        return "chunked"
    try:
        from .cuda import cuda_scan

        one = torch.ones(1, 1, 1, device=device)
        cuda_scan(one[0, 0], one, one[0], False)
    except Exception as error:  # a missing package, an old driver, an unsupported chip: each has its own exception
        warnings.warn(
            f"the Triton kernels do not work on {device} ({type(error).__name__}: {error}); linear_scan uses "
            "backend='chunked' there",
            RuntimeWarning,
            stacklevel=3,
        )
        return "chunked"
    return "cuda"
