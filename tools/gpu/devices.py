"""Where the steps run: the GPU, or Triton's interpreter, where every line runs and no number means anything."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import statistics
import time
from typing import TYPE_CHECKING

import torch

from rnnlib.scan import cuda
from rnnlib.scan.cuda import tuning

from . import inputs
from .clock import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLS = 10  # between two events, and in one CUDA graph
SECONDS = 0.5  # that slow work is timed for, three rounds at least
STRATEGIES = [name for name in cuda.STRATEGIES if name != "auto"]


class Gpu:
    """The real device. Nothing here touches it before a child asks."""

    device, rehearsal = torch.device("cuda"), False

    def __init__(self):
        self.kinds = list(itertools.product([torch.complex64, torch.float32], [False, True]))  # dtype, lam per step
        # and reverse, a sign that doubles what has to be compiled: each direction of each dtype and of each form of lam
        self.other_kinds = [
            (dtype, per_step, per_step == (dtype in (torch.complex64, torch.float64)))
            for dtype, per_step in itertools.product(inputs.DTYPES, [False, True])
        ]
        self.all_shapes, self.two_odd, self.odd = inputs.SHAPES, inputs.TWO_ODD, inputs.ODD
        self.lengths, self.rounding = inputs.LENGTHS, {"lengths": (2**8, 2**12, 2**16), "channels": 16}
        self.layer = {"batch": 16, "length": 4096, "input_size": 256, "hidden_size": 256, "output_size": 256}
        self.host = {"shape": (1, 64, 8), "before": 50, "calls": 200, "rounds": 3}
        self.scale, self.runs, self.repeats = "paper", 20, 50

    def shapes(self) -> list[tuple]:
        """Those for which there is memory."""
        free = torch.cuda.mem_get_info()[0]
        return [shape for shape in self.all_shapes if inputs.bytes_needed(shape) < free]

    def choice(self, strategy: str) -> dict | None:
        """How kernels are cut; None: as ``rnnlib.scan.cuda`` decides."""
        return None

    @contextlib.contextmanager
    def sizes(self, strategy: str) -> Iterator[None]:
        """Within it, kernels are cut as :meth:`choice` says."""
        choice, before = self.choice(strategy), tuning.choose
        if choice:
            tuning.choose = lambda *arguments: tuning.Choice(**choice)
        try:
            yield
        finally:
            tuning.choose = before

    def machine(self) -> str:
        return torch.cuda.get_device_name() if torch.cuda.is_available() else "one without a CUDA device"

    def facts(self) -> dict:
        properties = torch.cuda.get_device_properties(self.device)
        return {
            "multiprocessors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_bytes": properties.total_memory,
            "l2_bytes": properties.L2_cache_size,
        }

    def copy_bandwidth(self) -> dict:
        x = torch.randn(2**28, device=self.device)
        target = torch.empty_like(x)
        times, _ = self.timed({"copy": lambda: target.copy_(x)})
        rate = 2 * x.nbytes / statistics.median(times["copy"]["graph"])
        return {"bytes_per_second": rate, "how": f"copy_ of {x.nbytes >> 20} MiB into a tensor that exists"}

    def sets(self, size: int) -> int:
        """So many sets of inputs of ``size`` bytes that the cache holds none of them when it is read again."""
        return max(1, math.ceil(4 * torch.cuda.get_device_properties(self.device).L2_cache_size / size))

    def timed(self, works: dict) -> tuple[dict, dict]:
        """Seconds of a call of each piece of work, one after the other in each round, and why some have none.

        ``"graph"``: ``CALLS`` calls are captured in a CUDA graph, whose replay is timed with events, so that the host
        has no part in it. ``"eager"``: as many calls from Python. A piece that cannot be captured has only those.
        """
        calls, failed = {}, {}
        for name, work in works.items():
            try:
                for _ in range(3):
                    work()
                torch.cuda.synchronize()
                calls[name, "eager"] = functools.partial(_repeat, work)
            except Exception as error:
                failed[name] = describe(error)
                continue
            with contextlib.suppress(RuntimeError):  # reads a value back, or allocates on its own
                calls[name, "graph"] = _graph(work)
        times = {name: {} for name in works if name not in failed}
        for run in range(self.runs + 1):
            for (name, how), call in calls.items():
                if run > 3 and CALLS * sum(times[name][how]) > SECONDS:
                    continue
                start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                call()
                stop.record()
                stop.synchronize()
                if run:
                    times[name].setdefault(how, []).append(start.elapsed_time(stop) / 1e3 / CALLS)
        return times, failed

    def wait(self) -> None:
        """Until the device has nothing left to do."""
        torch.cuda.synchronize()

    def peak(self, work: Callable) -> int:
        """Bytes that a call allocates at once."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before


def _repeat(work: Callable) -> None:
    for _ in range(CALLS):
        work()  # its result is dropped before the next call


def _graph(work: Callable) -> Callable:
    before, stream = torch.cuda.current_stream(), torch.cuda.Stream()
    stream.wait_stream(before)
    with torch.cuda.stream(stream):
        work()
    before.wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            _repeat(work)
    except RuntimeError:
        torch.cuda.set_stream(before)  # a capture that fails leaves its own
        torch.cuda.synchronize()
        raise
    return graph.replay


class Rehearsal(Gpu):
    """The interpreter on the CPU, at tiny sizes."""

    device, rehearsal = torch.device("cpu"), True

    def __init__(self):
        self.kinds = [(torch.complex64, False), (torch.float32, True)]
        self.other_kinds = [(torch.float64, True, True)]
        self.all_shapes, self.two_odd, self.odd = [(1, 9, 2)], [(2, 5, 3)], [(1, 1, 1), (2, 5, 3)]
        self.lengths, self.rounding = [8], {"lengths": (16,), "channels": 2}
        self.layer = {"batch": 2, "length": 9, "input_size": 3, "hidden_size": 4, "output_size": 2}
        self.host = {"shape": (1, 9, 2), "before": 1, "calls": 1, "rounds": 1}
        self.scale, self.runs, self.repeats = "smoke", 1, 1

    def shapes(self) -> list[tuple]:
        return self.all_shapes

    def choice(self, strategy: str) -> dict:
        """Several blocks, strips and steps even here."""
        name = STRATEGIES[0] if strategy == "auto" else strategy
        return {"strategy": name, "columns": 4, "strips": 2, "steps": 2, "warps": 1}

    def machine(self) -> str:
        return "rehearsal"

    def facts(self) -> dict:
        return {"multiprocessors": 132, "capability": "9.0"}  # for which kernels are compiled

    def copy_bandwidth(self) -> dict:
        return {"bytes_per_second": 1e12, "how": "not measured: a rehearsal without a device"}

    def sets(self, size: int) -> int:
        return 2

    def timed(self, works: dict) -> tuple[dict, dict]:
        times, failed = {}, {}
        for name, work in works.items():
            try:
                start = time.perf_counter()
                work()
                seconds = [time.perf_counter() - start]
                times[name] = {"eager": seconds, "graph": seconds}
            except Exception as error:
                failed[name] = describe(error)
        return times, failed

    def wait(self) -> None:
        pass

    def peak(self, work: Callable) -> int | None:
        return None
