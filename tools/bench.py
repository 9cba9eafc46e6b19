"""Time rnnlib on this machine against its peers, in turn; measure memory; store one JSON a machine.

On a CPU: the scan at two shapes, lam per channel and per step, growth with the length from 2^8 to 2^20, whole LRU
layers, streaming steps.
A peer that is not installed is named. ``--device cuda`` runs ``bench_gpu.py``.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peers
import timing
import torch

from rnnlib import LRU, linear_scan

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = [(16, 4096, 256), (1, 65536, 64)]  # (batch, time, channel), complex64
FORMS = ("channel", "step")  # of lam: one per channel, or one per step as in gated models
LENGTHS = [2**k for k in range(8, 21, 2)]  # growth: (1, T, 64)
LAYER = {"batch": 8, "length": 2048, "input_size": 64, "hidden_size": 256, "output_size": 64}
BUDGET = 8.0  # seconds a slow peer may take for its counted turns
COMPILED, COMPILING = "torch associative_scan, compiled", 120  # seconds that compiling it once may take
CPU = torch.device("cpu")
KEEP_FREED = {-1: -1, -4: 0}  # for glibc's mallopt: M_TRIM_THRESHOLD, never; M_MMAP_MAX, none


def example(shape: tuple[int, int, int], form: str = "channel") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """lam, x and a gradient, complex64."""
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(shape, dtype=torch.complex64, generator=generator) for _ in range(2))
    lam = torch.polar(torch.full(shape[2:], 0.99), torch.linspace(0, 3, shape[2]))
    return lam if form == "channel" else lam.repeat(*shape[:2], 1), x, grad


def ours(backend: str, lam: torch.Tensor, x: torch.Tensor, grad: torch.Tensor) -> dict:
    leaves = [lam.clone().requires_grad_(), x.detach().requires_grad_()]

    def forward():
        with torch.no_grad():
            return linear_scan(lam, x, backend=backend)

    def both():
        states = linear_scan(*leaves, backend=backend)
        return states, torch.autograd.grad(states, leaves, grad)

    return {(f"rnnlib {backend}", "forward"): forward, (f"rnnlib {backend}", "forward + backward"): both}


def scans(shape, form: str, runs: int, copy_bandwidth: float, missing: dict, compiled: bool) -> list[dict]:
    """All implementations at one shape. The gradient with respect to the states is given, as a layer above gives it."""
    lam, x, grad = example(shape, form)
    works = {("clone", "forward"): lambda: x.clone()}
    for backend in ("numba", "chunked", "sequential"):
        works |= ours(backend, lam, x, grad)
    if peers.has_jax():
        works |= peers.jax_scans(lam, x, grad)
    if compiled:
        for key, work in peers.compiled_scan(lam, x, grad).items():
            try:
                with timing.limit(COMPILING):
                    work()
                works[key] = work
            except Exception as error:  # no compiler, too slow, or an operation that this release does not compile
                last = str(error).strip().splitlines()[0] if str(error).strip() else ""
                missing[f"{COMPILED}, {key[1]}, at {shape}, lam per {form}"] = f"{type(error).__name__}: {last}"
    times = timing.take_turns(works, runs, budget=BUDGET)
    clone = statistics.median(times["clone", "forward"])
    rows = [
        timing.row(shape, x.dtype, form, name, direction, values, clone, copy_bandwidth)
        for (name, direction), values in times.items()
    ]
    for line in rows:
        what = f"{shape!s:18} lam per {form:8} {line['implementation']:32} {line['pass']:18}"
        print(f"{what} {line['times_clone']:7.1f} x clone()")
    return rows


def copy_bandwidth(runs: int) -> dict:
    """Bytes read and written per second by ``copy_`` into memory that exists; clone() also waits for fresh memory."""
    x = torch.randn(SHAPES[0], dtype=torch.complex64)
    target = torch.empty_like(x)
    times = timing.take_turns({"copy": lambda: target.copy_(x)}, 2 * runs)["copy"]
    return {
        "bytes_per_second": 2 * x.nbytes / statistics.median(times),
        "how": "copy_ of a complex64 tensor (16, 4096, 256) into one that exists",
    }


def first_calls() -> list[dict]:
    """Seconds that the first scan takes in a fresh process, with numba's cache of compiled code empty and full."""
    code = (
        "import time, torch; from rnnlib import linear_scan; start = time.perf_counter(); "
        "x = torch.ones(1, 64, 64, dtype=torch.complex64, requires_grad=True); lam = torch.ones(64) * 0.5j; "
        "lam.requires_grad_(); linear_scan(lam, x).abs().sum().backward(); print(time.perf_counter() - start)"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        for cache in ("empty", "full"):
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            )
            rows.append({"cache": cache, "seconds": float(done.stdout)})
            print(f"first forward + backward, cache {cache}: {rows[-1]['seconds']:.2f} s")
    return rows


def keep_freed() -> bool:
    """Tell glibc's allocator to give again what this process has had, from now on; False where there is another one."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except OSError:
        return False
    return all(mallopt(parameter, value) for parameter, value in KEEP_FREED.items())


def memory(runs: int) -> dict[str, list[dict]]:
    """What depends on how a process gets its memory; for a process of its own, since nothing else must have run in it.

    The same scans and copies where a result's memory comes fresh from the system, page by page as it is written, and
    where the process gives again what it has had; then growth with the length, its times with memory of that kind.
    """
    peaks = {length: peak_bytes(length) for length in LENGTHS}
    rows = allocation("fresh", runs)
    if keep_freed():
        rows += allocation("reused", runs)
    return {"allocation": rows, "growth": growth(peaks, min(runs, 5))}


def without_spinning(runs: int) -> list[dict]:
    """The same with reused memory, in a process whose OpenMP threads sleep when they have no work.

    By default the threads of PyTorch's own operations, here of ``clone()``, look for more work for a while
    after each. On a machine with two cores one of them then keeps a core from the scan.
    """
    return allocation("reused, OpenMP asleep", runs) if keep_freed() else []


def allocation(kind: str, runs: int) -> list[dict]:
    """A row a shape, form of lam, implementation and pass."""
    rows = []
    for shape, form in itertools.product(SHAPES, FORMS):
        lam, x, grad = example(shape, form)
        works = {("clone", "forward"): lambda x=x: x.clone()} | ours("numba", lam, x, grad)
        if kind != "fresh":
            reach_steady_heap(works)
        times = timing.take_turns(works, runs)
        clone = statistics.median(times["clone", "forward"])
        for (name, direction), values in times.items():
            facts = {"shape": list(shape), "lam": form, "memory": kind, "implementation": name, "pass": direction}
            rows.append(facts | timing.spread(values) | {"times_clone": statistics.median(values) / clone})
            what = f"{shape!s:18} lam per {form:8} {kind:21} memory {name:16} {direction:18}"
            print(f"{what} {rows[-1]['times_clone']:7.2f} x clone()")
    return rows


def in_process(work: Callable, runs: int, **environment: str) -> Any:
    """What ``work(runs)`` returns in a new process with these environment variables too."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with multiprocessing.get_context("spawn").Pool(1) as process:
            return process.apply(work, (runs,))
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ |= {} if value is None else {name: value}


def page_faults(work: Callable) -> int:
    import resource  # Windows has none

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def reach_steady_heap(works: dict[tuple[str, str], Callable], turns: int = 30) -> None:
    """Turns that nothing counts, until three of them in a row have asked the system for next to no memory.

    glibc may cut a small object from the block that a result has left. The next result then does not fit in there and
    takes pages that were never written. After some calls there are small blocks enough, and it ends.
    """
    quiet = 0
    for _ in range(turns):
        quiet = quiet + 1 if sum(page_faults(work) for work in works.values()) < 100 else 0
        if quiet == 3:
            return


def memory_of(work) -> int | None:
    """Bytes of resident memory that a call adds at its peak; None where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # starts the high-water mark anew
    except OSError:
        return None

    def status(key: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

    before = status("VmRSS")
    result = work()
    peak = status("VmHWM")
    del result
    return max(0, peak - before)


def growing(length: int) -> tuple[dict, int]:
    """Scans of one sequence of 64 channels, and the bytes of its input."""
    lam, x, grad = example((1, length, 64))
    works = ours("numba", lam, x, grad) | ours("chunked", lam, x, grad)
    if length <= 2**14:  # a Python loop needs no more
        works |= ours("sequential", lam, x, grad)
    return works, x.nbytes


def peak_bytes(length: int) -> dict:
    works, _ = growing(length)
    for work in works.values():
        work()  # compiles, and what else the first call takes
    return {name: memory_of(work) for name, work in works.items()}


def growth(peaks: dict[int, dict], runs: int) -> list[dict]:
    """Time and memory against the length."""
    rows = []
    for length, bytes_of in peaks.items():
        works, input_bytes = growing(length)
        for (name, direction), values in timing.take_turns(works, runs, budget=1.0).items():
            facts = {"length": length, "implementation": name, "pass": direction, **timing.spread(values)}
            rows.append(facts | {"peak_bytes": bytes_of[name, direction], "input_bytes": input_bytes})
    return rows


def layers(runs: int) -> list[dict]:
    """Loss and all gradients of an LRU on (batch, time, feature) inputs, per implementation."""
    sizes = [LAYER[name] for name in ("input_size", "hidden_size", "output_size")]
    x = torch.randn(LAYER["batch"], LAYER["length"], sizes[0], generator=torch.Generator().manual_seed(0))

    def step(model):
        y = model(x)
        y = y[0] if isinstance(y, tuple) else y  # outputs, and the state
        return torch.autograd.grad(y.square().mean(), list(model.parameters()))

    models = {
        f"rnnlib LRU, {backend}": LRU(*sizes, min_modulus=0.9, backend=backend) for backend in ("numba", "chunked")
    }
    models["minimal PyTorch, loop"] = peers.MinimalLRU(*sizes, doubling=False)
    models["minimal PyTorch, doubling scan"] = peers.MinimalLRU(*sizes, doubling=True)
    works = {name: functools.partial(step, model) for name, model in models.items()}
    if peers.has_jax():
        works["minimal JAX, associative_scan"] = peers.jax_lru(models["minimal PyTorch, loop"], x)
    rows = []
    for name, values in timing.take_turns(works, runs, budget=BUDGET).items():
        rows.append({**LAYER, "implementation": name, "pass": "forward + backward", **timing.spread(values)})
        print(f"LRU {name:32} {rows[-1]['median_s'] * 1e3:8.1f} ms")
    return rows


def steps() -> list[dict]:
    """Streaming: one sequence, one step after the other."""
    layer = LRU(LAYER["input_size"], LAYER["hidden_size"], LAYER["output_size"], min_modulus=0.9)
    x = torch.randn(1, LAYER["input_size"])
    rows = []
    with torch.no_grad():
        for name, advance in [("LRU.step", layer.step), ("LRU.stepper()", layer.stepper())]:
            state, times = layer.initial_state(1), []
            for _ in range(3000):
                start = time.perf_counter()
                _, state = advance(x, state)
                times.append(time.perf_counter() - start)
            rows.append(
                {"batch": 1, "hidden": LAYER["hidden_size"], "implementation": name, **timing.spread(times[500:])}
            )
            print(f"{name:16} {rows[-1]['median_s'] * 1e6:8.1f} us a step")
    return rows


def main() -> None:
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="cuda: see bench_gpu.py --help")
    chosen, others = which.parse_known_args()
    if chosen.device == "cuda":
        import bench_gpu

        raise SystemExit(bench_gpu.main(others))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[which]
    )
    parser.add_argument("--runs", type=int, default=9, help="counted turns (default 9)")
    parser.add_argument("--compiled", action="store_true", help="also PyTorch's associative_scan, compiled (minutes)")
    parser.add_argument("--beside", default="not said", help="what else ran on the machine, for the record")
    parser.add_argument("--to", type=Path, default=timing.RESULTS, help="folder for the JSON")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs must be at least 1")
    start = time.monotonic()
    missing = {} if peers.has_jax() else {"jax": peers.MISSING_JAX}
    if not args.compiled:
        missing[COMPILED] = "not asked for (--compiled)"
    record = timing.provenance(CPU, args.beside)
    record["copy"] = copy = copy_bandwidth(args.runs)
    print(f"{record['machine']}, {record['threads']} threads, copy {copy['bytes_per_second'] / 1e9:.1f} GB/s")
    record["scan"] = []
    for shape, form in itertools.product(SHAPES, FORMS):
        record["scan"] += scans(shape, form, args.runs, copy["bytes_per_second"], missing, args.compiled)
    record["layer"] = layers(args.runs)
    record["step"] = steps()
    record["first"] = first_calls()
    record |= in_process(memory, args.runs)
    record["allocation"] += in_process(without_spinning, args.runs, OMP_WAIT_POLICY="passive")
    if not any(row["memory"] == "reused" for row in record["allocation"]):
        missing["reused memory"] = "needs glibc's allocator"
    record |= {"missing": missing, "checks": [], "seconds": round(time.monotonic() - start)}
    for name, why in missing.items():
        print(f"not timed: {name}: {why}")
    print(f"stored in {timing.store(record, args.to)}")


if __name__ == "__main__":
    main()
