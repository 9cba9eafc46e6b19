"""What every benchmark shares: turns, rows, where a number comes from, and one JSON a machine, written whole."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import os
import re
import signal
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rnnlib.lab import files
from rnnlib.lab.provenance import commit, processor, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "rnnlib" / "lab" / "results"
PACKAGES = ("torch", "numpy", "numba", "llvmlite", "triton", "jax", "jaxlib", "accelerated-scan")


def take_turns(
    works: dict[Any, Callable], runs: int, sync: Callable = lambda: None, budget: float = math.inf
) -> dict[Any, list[float]]:
    """Seconds of each piece of work, run in turn, so that a slow moment hits all alike.

    Args:
        works: what to time, by name; each result is dropped before the next piece begins.
        runs: counted turns; one more comes first, which warms up, compiles, and is dropped.
        sync: waits until the device has finished.
        budget: a piece that has had this many seconds takes no more turns, but one at least.
    """
    times = {name: [] for name in works}
    for run in range(runs + 1):
        for name, work in works.items():
            if run > 1 and sum(times[name]) > budget:
                continue
            sync()
            start = time.perf_counter()
            result = work()
            sync()
            elapsed = time.perf_counter() - start
            del result
            if run:
                times[name].append(elapsed)
    return times


@contextlib.contextmanager
def limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in what takes longer; on the main thread."""

    def stop(*_):
        raise TimeoutError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def spread(times: list[float]) -> dict[str, float]:
    """Median, quartiles and extremes."""
    low, median, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return {
        "median_s": median,
        "low_s": low,
        "high_s": high,
        "min_s": min(times),
        "max_s": max(times),
        "runs": len(times),
    }


def row(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    lam: str,
    implementation: str,
    direction: str,
    times: list[float],
    clone_s: float,
    copy_bandwidth: float,
) -> dict[str, Any]:
    """A line of the scan's table.

    Args:
        shape: of x, (batch, time, channel).
        dtype: of all tensors.
        lam: ``"channel"`` or ``"step"``.
        implementation: its name; those of rnnlib begin with ``"rnnlib"``.
        direction: ``"forward"``, ``"backward"`` or ``"forward + backward"``.
        times: seconds of the counted turns.
        clone_s: median seconds of ``x.clone()`` in the same turns.
        copy_bandwidth: bytes per second that a copy reads and writes on this device.
    """
    elements = {"forward": 2, "backward": 3, "forward + backward": 5}[direction]
    if lam == "step" and implementation != "clone":  # which reads no lam
        elements += {"forward": 1, "backward": 2, "forward + backward": 3}[direction]
    least = elements * math.prod(shape) * dtype.itemsize
    measured = spread(times)
    bandwidth = least / measured["median_s"]
    return {
        "shape": list(shape),
        "dtype": str(dtype).removeprefix("torch."),
        "lam": lam,
        "implementation": implementation,
        "ours": implementation.startswith("rnnlib"),
        "pass": direction,
        **measured,
        "clone_s": clone_s,
        "times_clone": measured["median_s"] / clone_s,
        "bytes": least,
        "bandwidth": bandwidth,
        "of_copy": bandwidth / copy_bandwidth,
    }


def machine(device: torch.device) -> str:
    """The name of a device or processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def provenance(device: torch.device, beside: str) -> dict[str, Any]:
    """Where, when and with what; ``beside`` says what else ran on the machine."""
    return {
        "name": "bench",
        "device": device.type,
        "machine": machine(device),
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "load": beside,
        "load_average": list(os.getloadavg()),
        "versions": versions(*PACKAGES) | ({"cuda": str(torch.version.cuda)} if device.type == "cuda" else {}),
    }


def file_of(record: dict[str, Any], folder: Path = RESULTS) -> Path:
    """One file a machine and number of threads."""
    slug = re.sub(r"[^a-z0-9]+", "-", record["machine"].lower()).strip("-")
    if record["device"] == "cpu":
        slug += f"-{record['threads']}threads"
    return folder / f"bench-{slug}.json"


def store(record: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write the file whole or not at all."""
    path = file_of(record, folder)
    files.write(path, (json.dumps(record, indent=1) + "\n").encode())
    return path
