"""How long scans take, against copies of the same bytes."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from typing import TYPE_CHECKING, Any

import timing
import torch

from rnnlib import linear_scan
from rnnlib.scan import cuda

from . import plans
from .checks import HALF_BOUNDS, both, errors, require
from .clock import Missing
from .inputs import draw, reference

if TYPE_CHECKING:
    from .clock import Emit
    from .devices import Gpu


def cycle(calls: list):
    """One piece of work that makes the next call of the list each time: what the last one read is not in the cache."""
    turns = itertools.cycle(calls)
    return lambda: next(turns)()


def name_of(strategy: str) -> str:
    return "rnnlib cuda" if strategy == "auto" else f"rnnlib cuda, {strategy}"


def emit_times(emit: Emit, times: dict, shape, dtype, per_step: bool, clone_s: float, copy: float, extra: dict) -> None:
    """Rows of the table: medians of graph replays where a call could be captured, and the eager median beside."""
    for (name, direction), values in times.items():
        measured = values.get("graph") or values["eager"]
        row = timing.row(shape, dtype, "step" if per_step else "channel", name, direction, measured, clone_s, copy)
        row |= {"graph": "graph" in values, "eager_s": statistics.median(values["eager"])}
        row |= extra.get((name, direction), {})
        emit.row("scan", row)
        words = f"{row['dtype']:9} {row['lam']:7} {shape!s:18} {name:30} {direction:18}"
        print(f"{words} {row['median_s'] * 1e6:9.1f} us  {row['of_copy']:6.1%} of copy", flush=True)


def scan_works(strategy: str, sets: list) -> dict:
    """Both passes through the kernels; for ``"auto"`` also forward and backward as autograd makes them."""
    name = name_of(strategy)
    states = [cuda.cuda_scan(lam, x, h0, strategy=strategy) for lam, x, h0, _ in sets]
    works = {
        (name, "forward"): cycle([functools.partial(cuda.cuda_scan, *t[:3], strategy=strategy) for t in sets]),
        (name, "backward"): cycle(
            [
                functools.partial(cuda.cuda_adjoint, lam, h, h0, grad, strategy=strategy)
                for (lam, _, h0, grad), h in zip(sets, states, strict=True)
            ]
        ),
    }
    if strategy == "auto":
        leaves = [[t.clone().requires_grad_() for t in (lam, x)] for lam, x, _, _ in sets]
        calls = [functools.partial(both, pair, t[3]) for pair, t in zip(leaves, sets, strict=True)]
        works[name, "forward + backward"] = cycle(calls)
    return works


def input_sets(device: Gpu, shape: tuple, dtype: torch.dtype, per_step: bool, seed: int) -> list:
    count = device.sets(math.prod(shape) * dtype.itemsize)
    return [draw(shape, dtype, per_step, device.device, seed + i) for i in range(count)]


def scan_step(device: Gpu, strategy: str, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """Each pass at every shape, dtype and form of lam."""
    copy = bandwidth(record)
    copied = {(tuple(row["shape"]), row["dtype"]) for row in record["scan"] if row["implementation"] == "copy"}
    for shape, (dtype, per_step) in itertools.product(device.shapes(), device.kinds):
        sets = input_sets(device, shape, dtype, per_step, seed)
        target = torch.empty_like(sets[0][1])
        works = {("copy", "forward"): cycle([functools.partial(target.copy_, tensors[1]) for tensors in sets])}
        with device.sizes(strategy):
            times, failed = device.timed(works | scan_works(strategy, sets))
            extra = {
                (name_of(strategy), direction): plans.facts(device, strategy, shape, dtype, per_step, adjoint)
                for direction, adjoint in [("forward", False), ("backward", True)]
            }
        for (name, direction), why in failed.items():
            emit.missing(f"{name}, {direction}, {shape}", why)
        clone = times.pop(("copy", "forward"))
        clone_s = statistics.median(clone["graph"])
        what = (shape, str(dtype).removeprefix("torch."))
        if what not in copied:
            copied.add(what)
            emit_times(emit, {("copy", "forward"): clone}, shape, dtype, False, clone_s, copy, {})
        emit_times(emit, times, shape, dtype, per_step, clone_s, copy, extra)


def bandwidth(record: dict[str, Any]) -> float:
    if "copy" not in record:
        raise Missing("the copy bandwidth was not measured")
    return record["copy"]["bytes_per_second"]


def compare_with_the_fastest_copy(record: dict[str, Any]) -> None:
    """Count shares of what the fastest of all copies moves: at some sizes a copy is slower than a scan."""
    copies = [row["bandwidth"] for row in record["scan"] if row["implementation"] == "copy"]
    if "copy" in record and copies and max(copies) > record["copy"]["bytes_per_second"]:
        record["copy"] = {"bytes_per_second": max(copies), "how": "copy_ into a tensor that exists, the fastest of all"}
    for row in record["scan"]:
        row["of_copy"] = row["bandwidth"] / record["copy"]["bytes_per_second"]


def half_shapes(device: Gpu) -> list[tuple]:
    """An odd one, to check, and those that are timed."""
    return [device.two_odd[0], *device.all_shapes]


def half_step(device: Gpu, dtype: torch.dtype, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """Storage in half precision: right, and how fast."""
    name, odd = str(dtype).removeprefix("torch."), half_shapes(device)[0]
    bound = HALF_BOUNDS[dtype] * (2 if device.rehearsal else 1)  # the interpreter cuts off where a device rounds
    for shape, per_step in itertools.product([odd, *device.shapes()], [False, True]):
        tensors = draw(shape, dtype, per_step, device.device, seed)
        if dtype == torch.float16:  # whose largest number is 65504: a sum over a million steps would be infinite
            tensors[3] *= 2.0**-8
        *inputs, grad = tensors
        leaves = [t.requires_grad_() for t in inputs]
        with device.sizes("auto"):
            try:
                states = linear_scan(*leaves, backend="cuda")
            except TypeError as error:
                raise Missing(f"the scan does not take {name} yet: {error}") from error
            results = states, *torch.autograd.grad(states, leaves, grad)
            for what, error in zip(
                ("states", "lam", "x", "h0"), errors(results, reference(*(t.detach() for t in tensors))), strict=True
            ):
                require(
                    emit,
                    f"{name}, {shape}, lam per {'step' if per_step else 'channel'}: {what}",
                    error,
                    bound,
                )
            if shape == odd:
                continue
            sets = input_sets(device, shape, dtype, per_step, seed)
            target, pairs = torch.empty_like(sets[0][1]), [[t.requires_grad_() for t in each[:2]] for each in sets]
            plain = [[t.detach() for t in pair] for pair in pairs]
            works = {
                ("copy", "forward"): cycle([functools.partial(target.copy_, x) for _, x in plain]),
                ("rnnlib cuda", "forward"): cycle([functools.partial(linear_scan, *t, backend="cuda") for t in plain]),
                ("rnnlib cuda", "forward + backward"): cycle(
                    [functools.partial(both, pair, each[3]) for pair, each in zip(pairs, sets, strict=True)]
                ),
            }
            times, _ = device.timed(works)
        clone_s = statistics.median(times.pop(("copy", "forward"))["graph"])
        emit_times(emit, times, shape, dtype, per_step, clone_s, bandwidth(record), {})


def growth_step(device: Gpu, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """Time and memory against T, one sequence of 64 complex channels."""
    for length in device.lengths:
        lam, x, h0, grad = draw((1, length, 64), torch.complex64, False, device.device, seed)
        leaves = [t.clone().requires_grad_() for t in (lam, x)]
        works = {
            "forward": functools.partial(cuda.cuda_scan, lam, x, h0),
            "forward + backward": functools.partial(both, leaves, grad),
        }
        with device.sizes("auto"):
            times, _ = device.timed(works)
            for direction, values in times.items():
                facts = {"length": length, "implementation": "rnnlib cuda", "pass": direction}
                facts |= {"peak_bytes": device.peak(works[direction]), "input_bytes": x.nbytes}
                emit.row("growth", facts | timing.spread(values.get("graph") or values["eager"]))
