"""Which implementation runs. Modules are imported on first use: `import rnnlib` brings neither triton nor numba."""

from __future__ import annotations

import importlib
import importlib.util
import os
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Backend:
    """A row of the table of backends; ``"auto"`` takes the first that names the device, if it works.

    Each reads and writes float16 and bfloat16 itself, with ``lam`` per step in the dtype of ``x`` or in float32, and
    ``lam`` per channel and ``h0`` in float32.

    Attributes:
        module: where the functions are, in this package.
        scan_name: of ``(lam, x, h0, reverse) -> states``.
        adjoint_name: of ``(lam, h, h0, grad, reverse) -> (grad_lam, grad_x, grad_h0)`` in one pass; empty where the
            scan itself computes gradients (``differentiation.py``).
        device: type of the only device it runs on; empty for any.
        package: what has to be installed, and imported: both have one name.
    """

    module: str
    scan_name: str
    adjoint_name: str = ""
    device: str = ""
    package: str = ""

    @property
    def scan(self) -> Callable:
        return getattr(importlib.import_module(self.module, __package__), self.scan_name)

    @property
    def adjoint(self) -> Callable | None:
        return getattr(importlib.import_module(self.module, __package__), self.adjoint_name, None)

    def installed(self) -> bool:
        return not self.package or importlib.util.find_spec(self.package) is not None


BACKENDS = {
    "sequential": Backend(".sequential", "sequential_scan"),
    "chunked": Backend(".chunked", "chunked_scan"),
    "numba": Backend(".cpu", "cpu_scan", "cpu_adjoint", device="cpu", package="numba"),
    "cuda": Backend(".cuda", "cuda_scan", "cuda_adjoint", device="cuda", package="triton"),
}
NAMES = ("auto", *BACKENDS)


def resolve(name: str, device: torch.device) -> Backend:
    """The row of a backend; ``"auto"`` depends on the device."""
    return BACKENDS[default_backend(device) if name == "auto" else name]


def check_usable(name: str, device: torch.device) -> None:
    """Refuse a backend that was asked for by name and cannot run here.

    Raises:
        ValueError: it is unknown, or needs tensors on another device or a package that is not installed.
    """
    if name not in NAMES:
        raise ValueError(f"unknown backend {name!r}; choose one of {', '.join(NAMES)}")
    if name == "auto":
        return
    backend = BACKENDS[name]
    interpreted = name == "cuda" and os.environ.get("TRITON_INTERPRET") == "1"
    if backend.device and device.type != backend.device and not interpreted:
        where = {"cpu": "the CPU", "cuda": "a CUDA device"}.get(backend.device, f"a device of type {backend.device}")
        raise ValueError(
            f"backend={name!r} needs tensors on {where}, but x is on {device}: move lam, x and h0 with "
            f".to({backend.device!r}), or use backend='auto'"
        )
    # not traced: torch 2.11 would refuse the search for a package
    if not torch.compiler.is_compiling() and not backend.installed():
        extra = " (rnnlib's extra 'fast')" if name == "numba" else ""
        raise ValueError(
            f"backend={name!r} needs {backend.package}, which is not installed: pip install {backend.package}{extra}, "
            "or use backend='auto'"
        )


_RETRY_SECONDS = 60.0
# What "auto" means on a device, and until when: for ever, unless what stopped the fastest backend may pass.
_verdicts: dict[torch.device, tuple[str, float]] = {}


def default_backend(device: torch.device) -> str:
    """What ``"auto"`` means on ``device``: the fastest that works there.

    Tried once, forward and backward. That a package is missing, a driver too old or a chip not supported holds for the
    process; a full disk or memory does not, and is tried again after a minute. Compiled backends that are installed and
    do not work are told about with a warning; numba that is not installed is not.
    """
    name = next((name for name, backend in BACKENDS.items() if backend.device == device.type), "chunked")
    if name == "chunked":
        return name
    verdict, until = _verdicts.get(device, ("", 0.0))
    if verdict and time.monotonic() < until:
        return verdict
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        return name  # a probe would have to wait for the device, which a capture forbids
    forever = float("inf")
    if name == "numba" and not BACKENDS[name].installed():
        _verdicts[device] = "chunked", forever
        return "chunked"
    try:
        _probe(BACKENDS[name], device)
    except Exception as error:  # a missing package, an old driver, an unsupported chip: each has its own exception
        passing = isinstance(error, OSError | MemoryError | torch.OutOfMemoryError) and not isinstance(
            error, ImportError
        )
        _verdicts[device] = "chunked", time.monotonic() + _RETRY_SECONDS if passing else forever
        warnings.warn(
            f"the {BACKENDS[name].package.capitalize()} kernels do not work on {device} ({type(error).__name__}: "
            f"{error}); linear_scan uses backend='chunked' there" + (" for a minute" if passing else ""),
            RuntimeWarning,
            stacklevel=3,
        )
        return "chunked"
    _verdicts[device] = name, forever
    return name


def _probe(backend: Backend, device: torch.device) -> None:
    """Two steps forward and back. Whatever the caller has set, the dtype is float32."""
    lam, x, h0 = (torch.ones(shape, dtype=torch.float32, device=device) for shape in [(1,), (1, 2, 1), (1, 1)])
    with torch.no_grad():
        states = backend.scan(lam, x, h0, False)
        gradients = backend.adjoint(lam, states, h0, x, False) if backend.adjoint else ()
    # .tolist() waits for the device, so that an error of a kernel shows here and not in somebody's next operation
    values = [tensor.flatten().tolist() for tensor in (states, *gradients)]
    if values != [[2.0, 3.0], [4.0], [2.0, 1.0], [2.0]][: len(values)]:
        raise RuntimeError(f"wrong results of a test scan: {values}")
