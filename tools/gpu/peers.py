"""What else computes a scan on a GPU. Each is checked before it is timed, in the layout that it wants."""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch

from rnnlib import linear_scan

from .checks import Wrong
from .clock import Missing
from .inputs import draw
from .timings import bandwidth, emit_times

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Emit
    from .devices import Gpu


def _agrees(name: str, states: torch.Tensor, lam, x) -> None:
    """Peers carry in single precision; they only have to compute the same thing."""
    exact = linear_scan(lam, x, backend="chunked")
    error = ((states - exact).abs().max() / exact.abs().max()).item()
    if not error < 1e-3:
        raise Wrong(f"the states of {name} differ by {error:.1e}")


def accelerated_step(device: Gpu, module: str, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """accelerated-scan 0.3: lam per step, (batch, channel, time); its inputs are given so, without the cost of
    transposing them. ``scalar`` and ``complex`` are Triton kernels, ``warp`` is CUDA and needs nvcc."""
    name, dtype = f"accelerated-scan, {module}", torch.complex64 if module == "complex" else torch.float32
    scan = importlib.import_module(f"accelerated_scan.{module}").scan
    for shape in device.shapes():
        length = shape[1]
        if module == "warp" and (length & (length - 1) or not 32 <= length <= 65536):
            emit.missing(f"{name}, T = {length}", "takes powers of two from 32 to 65536")
            continue
        lam, x, _, grad = draw(shape, dtype, True, device.device, seed)
        gates, tokens, back = (t.transpose(1, 2).contiguous() for t in (lam, x, grad))
        _agrees(name, scan(gates, tokens).transpose(1, 2), lam, x)
        leaves = [t.clone().requires_grad_() for t in (gates, tokens)]
        _time(device, name, shape, dtype, True, x, record, emit, {
            "forward": functools.partial(scan, gates, tokens),
            "forward + backward": lambda leaves=leaves, back=back: torch.autograd.grad(scan(*leaves), leaves, back),
        })  # fmt: skip


def associative_step(device: Gpu, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """PyTorch's own associative_scan, compiled, on reals with lam per step. It compiles for each shape and pass, for up
    to 45 seconds: two shapes, first forward, then both passes."""
    from torch._higher_order_ops.associative_scan import associative_scan

    def combine(earlier, later):
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    mode = "generic" if device.rehearsal else "pointwise"
    backend = {"backend": "eager"} if device.rehearsal else {}

    def scan(lam, x):
        return associative_scan(combine, (lam, x), dim=1, combine_mode=mode)[1]

    name, compiled = "torch associative_scan, compiled", torch.compile(scan, fullgraph=True, dynamic=False, **backend)
    for direction, shape in itertools.product(("forward", "forward + backward"), device.shapes()[:2]):
        lam, x, _, grad = draw(shape, torch.float32, True, device.device, seed)
        leaves = [t.clone().requires_grad_() for t in (lam, x)]
        if direction == "forward":
            _agrees(name, compiled(lam, x), lam, x)
            work = functools.partial(compiled, lam, x)
        else:
            work = functools.partial(_with_gradients, compiled, leaves, grad)
        _time(device, name, shape, x.dtype, True, x, record, emit, {direction: work})


def _with_gradients(scan: Callable, leaves: list[torch.Tensor], grad: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(scan(*leaves), leaves, grad)


def jax_step(device: Gpu, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """``jax.lax.associative_scan``, jitted, timed from Python."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    import jax

    if not device.rehearsal and jax.default_backend() != "gpu":
        raise Missing("this jax has no GPU")
    import peers

    for shape, dtype in itertools.product(device.shapes(), [torch.complex64, torch.float32]):
        lam, x, _, grad = (t.cpu() for t in draw(shape, dtype, False, device.device, seed))
        works = peers.jax_scans(lam, x, grad)
        times = {}
        for direction in ("forward", "forward + backward"):
            work = works["jax associative_scan", direction]
            work()
            seconds = [_seconds(work) for _ in range(device.runs)]
            times["jax associative_scan", direction] = {"eager": seconds}
        copy = bandwidth(record)
        clone_s = 2 * x.nbytes / copy  # nothing of PyTorch runs beside
        emit_times(emit, times, shape, dtype, False, clone_s, copy, {})


def _seconds(work: Callable) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _time(device: Gpu, name, shape, dtype, per_step, x, record, emit, works: dict[str, Callable]) -> None:
    target = torch.empty_like(x)
    named = {(name, direction): work for direction, work in works.items()}
    times, failed = device.timed({("copy", "forward"): lambda: target.copy_(x)} | named)
    for (_, direction), why in failed.items():
        emit.missing(f"{name}, {direction}, {shape}", why)
    clone_s = statistics.median(times.pop(("copy", "forward"))["graph"])
    emit_times(emit, times, shape, dtype, per_step, clone_s, bandwidth(record), {})
