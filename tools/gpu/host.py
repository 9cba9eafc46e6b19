"""How long a short scan keeps the host: the kernels' launches, what stands around them, and what others take."""

from __future__ import annotations

import functools
import importlib
import time
from typing import TYPE_CHECKING, Any

import timing
import torch

from rnnlib import linear_scan
from rnnlib.scan import cuda, differentiation

from .inputs import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from .clock import Emit
    from .devices import Gpu

    Works = dict[tuple[str, str], Callable[[], Any]]  # by implementation and pass

BOTH = "forward + backward"
ONE_THREAD = ", one thread"  # ends the name of what runs the backward pass on the thread of the forward pass


def host_step(device: Gpu, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """Seconds of a call from Python that does not wait for the device, which has less to do than the host."""
    for lam_per in ("channel", "step"):
        tensors = draw(device.host["shape"], torch.float32, lam_per == "step", device.device, seed)
        with device.sizes("auto"):
            _time(device, lam_per, _scans(device, *tensors), emit)
    lam, x, _, grad = tensors
    _time(device, "step", _with_one_thread("torch product", lambda lam: lam * x, [lam], grad), emit)
    try:
        scan = importlib.import_module("accelerated_scan.scalar").scan
    except ModuleNotFoundError as error:
        emit.missing("accelerated-scan on the host", str(error))
        return
    gates, tokens, back = (t.transpose(1, 2).contiguous() for t in (lam, x, grad))
    works = {
        ("accelerated-scan, scalar", "forward"): functools.partial(scan, gates, tokens),
        ("accelerated-scan, scalar", BOTH): _both(scan, [gates, tokens], back),
    }
    _time(device, "step", works, emit)


def _scans(device: Gpu, lam: Tensor, x: Tensor, h0: Tensor, grad: Tensor) -> Works:
    """From the launches to what a user calls, and the way that derivatives of ``torch.func`` take."""
    backend = "cuda" if device.rehearsal else "auto"
    h = cuda.cuda_scan(lam, x, h0)
    scan = functools.partial(linear_scan, backend=backend)
    leaves = [t.clone().requires_grad_() for t in (lam, x)]
    return {
        ("rnnlib kernels", "forward"): lambda: cuda.cuda_scan(lam, x, h0),
        ("rnnlib kernels", "backward"): lambda: cuda.cuda_adjoint(lam, h, h0, grad),
        ("rnnlib operator", "forward"): lambda: differentiation.scan_operator(lam, x, h0, False, "cuda"),
        ("rnnlib operator", "backward"): lambda: differentiation.adjoint_operator(lam, h, h0, grad, False, "cuda"),
        ("rnnlib linear_scan, no graph", "forward"): lambda: scan(lam, x),
        ("rnnlib linear_scan", "forward"): lambda: scan(*leaves),
        **_with_one_thread("rnnlib linear_scan", scan, [lam, x], grad),
        ("rnnlib linear_scan, as under torch.func", BOTH): _both(
            lambda lam, x: differentiation.differentiable(lam, x, h0, False, backend), [lam, x], grad
        ),
    }


def _both(work: Callable, tensors: list[Tensor], grad: Tensor) -> Callable[[], Any]:
    leaves = [t.clone().requires_grad_() for t in tensors]
    return lambda: torch.autograd.grad(work(*leaves), leaves, grad)


def _with_one_thread(name: str, work: Callable, tensors: list[Tensor], grad: Tensor) -> Works:
    work = _both(work, tensors, grad)
    return {(name, BOTH): work, (name + ONE_THREAD, BOTH): work}


def _time(device: Gpu, lam_per: str, works: Works, emit: Emit) -> None:
    calls = device.host["calls"]
    for (implementation, direction), work in works.items():
        times = []
        with torch.autograd.set_multithreading_enabled(not implementation.endswith(ONE_THREAD)):
            _repeat(work, device.host["before"])
            for _ in range(device.host["rounds"]):
                device.wait()
                start = time.perf_counter()
                _repeat(work, calls)
                times.append((time.perf_counter() - start) / calls)
        row = {"shape": list(device.host["shape"]), "dtype": "float32", "lam": lam_per}
        row |= {"implementation": implementation, "pass": direction, "calls": calls, **timing.spread(times)}
        emit.row("host", row)
        print(f"{implementation:40} {lam_per:7} {direction:18} {row['median_s'] * 1e6:9.1f} us", flush=True)


def _repeat(work: Callable, times: int) -> None:
    for _ in range(times):
        work()
