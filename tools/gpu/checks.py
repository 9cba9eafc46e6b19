"""Is what the kernels compute right? Fresh inputs against double precision, outputs poisoned with NaN."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch

from rnnlib import linear_scan
from rnnlib.scan import cuda

from .clock import Missing
from .inputs import MODULUS, draw, reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .clock import Emit
    from .devices import Gpu

# Chosen before any run on a device: the rounding bound of linear_scan's docstring for states; gradients of a shared lam
# add up batch x time terms of either sign, here up to 4e6.
BOUNDS = {"states": 4 * 2**-24 / (1 - MODULUS), "lam": 2e-4}
#: Of storage in half precision, where the last rounding is all: four units of it.
HALF_BOUNDS = {torch.bfloat16: 4 * 2**-9, torch.float16: 4 * 2**-12}
NAMES = ("states", "lam", "x", "h0")


class Wrong(Exception):
    """A check failed."""


@contextlib.contextmanager
def poisoned() -> Iterator[None]:
    """Within it, memory that nothing has written is NaN."""
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills what torch.empty and its kin return
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def kernels(lam, x, h0, grad, reverse: bool, strategy: str) -> tuple[torch.Tensor, ...]:
    states = cuda.cuda_scan(lam, x, h0, reverse, strategy)
    return states, *cuda.cuda_adjoint(lam, states, h0, grad, reverse, strategy)


def both(leaves, grad, backend: str = "cuda") -> tuple[torch.Tensor, ...]:
    """A pass forward and backward, as users make it."""
    states = linear_scan(*leaves, backend=backend)
    return states, *torch.autograd.grad(states, leaves, grad)


def errors(results, references) -> list[float]:
    """The largest error of each, over the largest value; infinite where there is a NaN."""
    errors = [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(results, references, strict=True)]
    return [math.inf if math.isnan(error) else error for error in errors]


def check(emit: Emit, what: str, worst: float, bound: float) -> bool:
    passed = worst <= bound  # NaN never passes
    emit.row("checks", {"what": what, "passed": passed, "worst": worst, "bound": bound})
    print(f"{'passed' if passed else 'FAILED'}  {what}: {worst:.1e}, bound {bound:.1e}", flush=True)
    return passed


def require(emit: Emit, what: str, worst: float, bound: float) -> None:
    if not check(emit, what, worst, bound):
        raise Wrong(what)


def values(device: Gpu, strategy: str, shapes: list, kinds: list, seed: int, emit: Emit) -> None:
    """States and gradients of each shape; ``kinds`` are (dtype, lam per step, reverse)."""
    failed = []
    for shape in shapes:
        worst = dict.fromkeys(NAMES, 0.0)
        for dtype, per_step, reverse in kinds:
            tensors = draw(shape, dtype, per_step, device.device, seed)
            with poisoned(), device.sizes(strategy):
                results = kernels(*tensors, reverse, strategy)
            scale = 2.0**29 if dtype in (torch.float64, torch.complex128) else 1.0  # both precisions against one bound
            for name, error in zip(NAMES, errors(results, reference(*tensors, reverse)), strict=True):
                worst[name] = max(worst[name], error * scale)
        for name, error in worst.items():
            what = f"{strategy}, {shape}: {'gradient of ' * (name != 'states')}{name}"
            if not check(emit, what, error, BOUNDS["lam" if name == "lam" else "states"]):
                failed.append(what)
    if failed:
        raise Wrong("; ".join(failed))


def repeats(device: Gpu, strategy: str, shape: tuple, seed: int, emit: Emit) -> None:
    """The same bits at every call, while another stream keeps the device busy."""
    tensors = draw(shape, torch.complex64, True, device.device, seed)
    with device.sizes(strategy):
        first = kernels(*tensors, False, strategy)
        busy = None if device.rehearsal else torch.cuda.Stream()
        different = 0
        for _ in range(device.repeats):
            if busy:
                with torch.cuda.stream(busy):
                    torch.randn(2**20, device=device.device).sort()
            different += not all(map(torch.equal, kernels(*tensors, False, strategy), first))
    require(emit, f"{strategy}: calls of {device.repeats} with other bits", different, 0)


def strategy_step(device: Gpu, strategy: str, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """What has to hold before a strategy is timed."""
    shapes = device.shapes()
    for shape in set(device.all_shapes) - set(shapes):
        emit.missing(f"all at {shape}", "too little free memory for the reference")
    kinds = [(*kind, False) for kind in device.kinds]
    values(device, strategy, device.two_odd + shapes, kinds, seed, emit)
    repeats(device, strategy, shapes[-1], seed, emit)


def others_step(device: Gpu, strategy: str, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """Double precision, and scans in reverse."""
    values(device, strategy, device.odd, device.other_kinds, seed, emit)


def offsets_step(device: Gpu, record: dict[str, Any], emit: Emit) -> None:
    """More than 2^31 elements: h_t = 2 - 2^-t, whose last digit may be rounded once."""
    shape = (2, 5, 3) if device.rehearsal else (2, 2**15 + 1, 2**15)
    if not device.rehearsal and torch.cuda.mem_get_info()[0] < 5 * 4 * math.prod(shape):
        raise Missing("too little free memory")
    x = torch.ones(shape, device=device.device)
    with device.sizes("auto"):
        states = cuda.cuda_scan(torch.full((shape[2],), 0.5, device=device.device), x, x[:, 0])
    exact = 2 - 0.5 ** torch.arange(1, shape[1] + 1, device=device.device)[:, None]
    require(emit, f"{math.prod(shape)} elements, {shape}", states.sub_(exact).abs_().max().item(), 2.0**-22)


def graph_step(device: Gpu, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """A captured forward and backward pass, replayed with other numbers in the same memory."""
    if device.rehearsal:
        raise Missing("CUDA graphs need a device")
    for shape in [device.all_shapes[0], device.two_odd[-1]]:  # walk and chunks, compiled for earlier steps
        *leaves, grad = draw(shape, torch.complex64, False, device.device, seed)
        leaves = [t.requires_grad_() for t in leaves]
        both(leaves, grad)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = both(leaves, grad)
        *others, other_grad = draw(shape, torch.complex64, False, device.device, seed + 1)
        with torch.no_grad():
            for old, new in zip([*leaves, grad], [*others, other_grad], strict=True):
                old.copy_(new)
        graph.replay()
        expected = both([t.requires_grad_() for t in others], other_grad)
        different = sum(not torch.equal(a, b) for a, b in zip(captured, expected, strict=True))
        require(emit, f"CUDA graph, {shape}: results with other bits than eager", different, 0)


def compile_step(device: Gpu, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """torch.compile of the scan, forward and backward."""
    *leaves, grad = draw((2, 11, 3), torch.complex64, False, device.device, seed)
    leaves = [t.requires_grad_() for t in leaves]
    mode = {"backend": "aot_eager"} if device.rehearsal else {}
    compiled = torch.compile(lambda *t: linear_scan(*t, backend="cuda"), fullgraph=True, **mode)
    with device.sizes("auto"):
        states = compiled(*leaves)
        results = states, *torch.autograd.grad(states, leaves, grad)
        expected = both(leaves, grad)
    require(emit, "torch.compile: error against eager", max(errors(results, expected)), BOUNDS["states"])
