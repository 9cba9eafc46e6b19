"""Check the scan's kernels on this machine's GPU, then time them against a copy of the same bytes and against peers.

    make bench ARGS="--device cuda"          both, some minutes; one JSON for this GPU in rnnlib/results
    python tools/bench_gpu.py --only-check   the checks alone
    TRITON_INTERPRET=1 python tools/bench_gpu.py --to FOLDER   a rehearsal without a GPU, at tiny sizes

Checks come first: fresh random inputs against double precision, outputs poisoned with NaN, the same bits at every call,
CUDA graphs, torch.compile, offsets beyond 2^31. Unless they pass nothing is timed. What the default takes is checked,
timed and stored before look-back, whose programs wait for each other, is tried at all.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import itertools
import math
import os
import secrets
import statistics
import time
import types
from pathlib import Path

import timing
import torch

from rnnlib import linear_scan
from rnnlib.experiments import rounding
from rnnlib.scan import cuda

SHAPES = [(16, 4096, 256), (64, 1024, 512), (8, 16384, 1024), (1, 131072, 64), (1, 1048576, 16)]
ODD_SHAPES = [(1, 1, 1), (3, 1031, 7), (2, 20_011, 3), (64, 517, 250), (300, 67, 2049), (70_000, 33, 1)]
LENGTHS = [2**k for k in range(8, 21)]  # growth: (1, T, 64)
TARGET = 0.85  # of the copy's bandwidth, on the least bytes
MODULUS = 0.99  # of lam in the checks, at most: memory 1 / (1 - MODULUS) = 100 steps
CALLS = 10  # in one CUDA graph, so that launches cost nothing
KINDS = list(  # dtype, lam per step, reverse
    itertools.product([torch.float32, torch.complex64, torch.float64, torch.complex128], [False, True], [False, True])
)
TIMED_KINDS = list(itertools.product([torch.complex64, torch.float32], [False, True]))

# Chosen before any run on a device: the rounding bound of linear_scan's docstring for states; gradients of a shared lam
# add up batch x time terms of either sign, here up to 4e6.
BOUNDS = {"states": 4 * 2**-24 / (1 - MODULUS), "lam": 2e-4}


class Gpu:
    """The real device."""

    device = torch.device("cuda")
    odd_shapes, lengths, repeats = ODD_SHAPES, LENGTHS, 50
    accuracy_lengths, channels = rounding.EXPERIMENT.lengths, 16
    kinds, timed_kinds = KINDS, TIMED_KINDS

    def __init__(self):
        if not torch.cuda.is_available():
            raise SystemExit("bench_gpu: no CUDA device was found; TRITON_INTERPRET=1 rehearses without one")
        free = torch.cuda.mem_get_info()[0]  # the reference in double precision takes about 24 tensors of 16 bytes
        self.shapes = [shape for shape in SHAPES if 24 * 16 * math.prod(shape) < free]

    def timed(self, works: dict, runs: int) -> tuple[dict, dict]:
        """Seconds of a call for each piece of work, in turn, and why some could not be timed.

        ``CALLS`` calls are captured in a CUDA graph (a piece that cannot be captured is called as it is) and its replay
        is timed with events, so the host has no part in it.
        """
        replays, failed = {}, {}
        for name, work in works.items():
            try:
                replays[name] = self._replay(work)
            except Exception as error:  # of a peer: any
                failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        times = {name: [] for name in replays}
        for run in range(runs + 1):
            for name, replay in replays.items():
                start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                start.record()
                replay()
                stop.record()
                stop.synchronize()
                if run:
                    times[name].append(start.elapsed_time(stop) / 1e3 / CALLS)
        return times, failed

    def _replay(self, work):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # compiles
                work()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                for _ in range(CALLS):
                    work()
        except RuntimeError:  # reads a value back, or allocates on its own
            torch.cuda.synchronize()
            return lambda: [work() for _ in range(CALLS)]
        return graph.replay

    def sets(self, size: int) -> int:
        """So many sets of inputs of ``size`` bytes that the cache holds none of them by the time of its turn."""
        return max(1, math.ceil(4 * torch.cuda.get_device_properties(self.device).L2_cache_size / size))

    def facts(self) -> dict:
        properties = torch.cuda.get_device_properties(self.device)
        return {
            "multiprocessors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_bytes": properties.total_memory,
            "l2_bytes": properties.L2_cache_size,
        }

    def copy_bandwidth(self, runs: int) -> dict:
        x = torch.randn(2**28, device=self.device)
        target = torch.empty_like(x)
        times, _ = self.timed({"copy": lambda: target.copy_(x)}, runs)
        rate = 2 * x.nbytes / statistics.median(times["copy"])
        return {"bytes_per_second": rate, "how": f"copy_ of {x.nbytes >> 20} MiB into a tensor that exists"}


class Rehearsal:
    """The interpreter on the CPU: every line of this script runs, no number means anything."""

    device = torch.device("cpu")
    shapes, odd_shapes, lengths, repeats = [(1, 9, 2)], [(1, 1, 1)], [8], 1
    accuracy_lengths, channels = [16], 2
    kinds, timed_kinds = [(torch.complex64, False, False), (torch.float64, True, True)], [(torch.float32, False)]

    def __init__(self):
        cuda._block = lambda *arguments: (4, 2, 2)
        cuda._chunks = lambda steps, blocks, processors: math.ceil(steps / 8)

    def timed(self, works: dict, runs: int) -> tuple[dict, dict]:
        times, failed = {}, {}
        for name, work in works.items():
            try:
                start = time.perf_counter()
                work()
                times[name] = [time.perf_counter() - start]
            except Exception as error:
                failed[name] = f"{type(error).__name__}"
        return times, failed

    def sets(self, size: int) -> int:
        return 2

    def facts(self) -> dict:
        return {"rehearsal": True}

    def copy_bandwidth(self, runs: int) -> dict:
        return {"bytes_per_second": 1.0, "how": "not measured: a rehearsal without a device"}


def draw(shape, dtype: torch.dtype, per_step: bool, device: torch.device, seed: int) -> list[torch.Tensor]:
    """lam (modulus up to MODULUS), x, h0 and a gradient of the states."""
    batch, _, channels = shape
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*size):
        return torch.randn(size, dtype=dtype, device=device, generator=generator)

    lam = normal(*shape) if per_step else normal(channels)
    return [MODULUS * lam / lam.abs().clamp(min=1), normal(*shape), normal(batch, channels), normal(*shape)]


def kernels(lam, x, h0, grad, reverse: bool, strategy: str) -> tuple[torch.Tensor, ...]:
    states = cuda.cuda_scan(lam, x, h0, reverse, strategy)
    return states, *cuda.cuda_adjoint(lam, states, h0, grad, reverse, strategy)


def reference(lam, x, h0, grad, reverse: bool) -> tuple[torch.Tensor, ...]:
    """States and gradients in double precision, by PyTorch's own operations and its autograd."""
    wide = torch.promote_types(x.dtype, torch.float64)
    inputs = [t.to(wide).requires_grad_() for t in (lam, x, h0)]
    states = linear_scan(*inputs, reverse=reverse, backend="chunked")
    return states.detach(), *torch.autograd.grad(states, inputs, grad.to(wide))


class Poisoned:
    """Within it, the memory that kernels are to write starts as NaN."""

    def __enter__(self):
        def empty(*args, **kwargs):
            return torch.empty(*args, **kwargs).fill_(torch.nan)

        def empty_like(t):
            return torch.empty_like(t).fill_(torch.nan)

        cuda.torch = types.SimpleNamespace(**(vars(torch) | {"empty": empty, "empty_like": empty_like}))

    def __exit__(self, *_):
        cuda.torch = torch


def check(what: str, worst: float, bound: float) -> dict:
    passed = worst <= bound  # NaN never passes
    print(f"{'passed' if passed else 'FAILED'}  {what}: {worst:.1e}, bound {bound:.1e}", flush=True)
    return {"what": what, "passed": passed, "worst": worst if math.isfinite(worst) else None, "bound": bound}


def errors(results, references) -> list[float]:
    return [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(results, references, strict=True)]


def check_values(place, strategy: str, seed: int) -> list[dict]:
    """Every kind of scan at shapes that are multiples of nothing, and the timed shapes."""
    rows = []
    for shape in place.odd_shapes + place.shapes:
        worst = dict.fromkeys(["states", "lam", "x", "h0"], 0.0)
        for dtype, per_step, reverse in place.kinds:
            double = dtype in (torch.float64, torch.complex128)
            if shape in place.shapes and (double or reverse):
                continue
            tensors = draw(shape, dtype, per_step, place.device, seed)
            with Poisoned():
                results = kernels(*tensors, reverse, strategy)
            scale = 2.0**29 if double else 1.0  # both precisions against one bound
            for name, error in zip(worst, errors(results, reference(*tensors, reverse)), strict=True):
                error = math.inf if math.isnan(error) else error
                worst[name] = max(worst[name], error * scale)
        for name, error in worst.items():
            bound = BOUNDS["lam" if name == "lam" else "states"]
            rows.append(check(f"{strategy}, {shape}: {'gradient of ' * (name != 'states')}{name}", error, bound))
    return rows


def check_repeats(place, strategy: str, seed: int) -> dict:
    """The same bits at every call, while another stream keeps the device busy."""
    shape = place.shapes[-1]
    tensors = draw(shape, torch.complex64, True, place.device, seed)
    first = kernels(*tensors, False, strategy)
    busy = torch.cuda.Stream() if place.device.type == "cuda" else None
    different = 0
    for _ in range(place.repeats):
        if busy:
            with torch.cuda.stream(busy):
                torch.randn(2**20, device=place.device).sort()
        different += not all(map(torch.equal, kernels(*tensors, False, strategy), first))
    return check(f"{strategy}: calls of {place.repeats} with other bits", different, 0)


def check_offsets(place) -> list[dict]:
    """More than 2^31 elements."""
    shape = (2, 2**15 + 1, 2**15)
    if place.device.type != "cuda" or torch.cuda.mem_get_info()[0] < 5 * 4 * math.prod(shape):
        return []
    x = torch.ones(shape, device=place.device)
    states = cuda.cuda_scan(torch.full((shape[2],), 0.5, device=place.device), x, x[:, 0])
    error = max((states[:, 0] - 1.5).abs().max().item(), (states[:, 40:] - 2).abs().max().item())
    return [check(f"more than 2^31 elements, {shape}", error, 0)]


def both(leaves, grad, backend: str = "cuda"):
    states = linear_scan(*leaves, backend=backend)
    return states, *torch.autograd.grad(states, leaves, grad)


def check_graph(place, seed: int) -> list[dict]:
    """A captured forward and backward pass, replayed with other numbers in the same memory."""
    if place.device.type != "cuda":
        return []
    rows = []
    for shape in [(16, 512, 256), (1, 20_011, 3)]:
        *inputs, grad = draw(shape, torch.complex64, False, place.device, seed)
        leaves = [t.requires_grad_() for t in inputs]
        both(leaves, grad)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = both(leaves, grad)
        *others, other_grad = draw(shape, torch.complex64, False, place.device, seed + 1)
        with torch.no_grad():
            for old, new in zip([*leaves, grad], [*others, other_grad], strict=True):
                old.copy_(new)
        graph.replay()
        expected = both([t.requires_grad_() for t in others], other_grad)
        different = sum(not torch.equal(a, b) for a, b in zip(captured, expected, strict=True))
        rows.append(check(f"CUDA graph, {shape}: results with other bits than eager", different, 0))
    return rows


def check_compile(place, seed: int) -> dict:
    *inputs, grad = draw((2, 11, 3), torch.complex64, False, place.device, seed)
    leaves = [t.requires_grad_() for t in inputs]
    torch._dynamo.reset()
    mode = {} if place.device.type == "cuda" else {"backend": "aot_eager"}
    compiled = torch.compile(lambda *t: linear_scan(*t, backend="cuda"), fullgraph=True, **mode)
    states = compiled(*leaves)
    results = states, *torch.autograd.grad(states, leaves, grad)
    return check("torch.compile: error against eager", max(errors(results, both(leaves, grad))), BOUNDS["states"])


def in_turn(calls: list):
    """One piece of work that makes the next call of the list each time: the inputs of the last are not in the cache."""
    turns = itertools.cycle(calls)
    return lambda: next(turns)()


def scans(place, strategies: list[str], runs: int, copy: float, seed: int, missing: dict, peers: bool) -> list[dict]:
    """Forward, backward and both, at every timed shape, dtype and form of lam, against copies of x, in turn."""
    rows = []
    for shape, (dtype, per_step) in itertools.product(place.shapes, place.timed_kinds):
        count = place.sets(math.prod(shape) * dtype.itemsize)
        sets = [draw(shape, dtype, per_step, place.device, seed + i) for i in range(count)]
        lam, x, _, grad = sets[0]
        states, target = [cuda.cuda_scan(*tensors[:3]) for tensors in sets], torch.empty_like(x)
        works = {("copy", "forward"): in_turn([functools.partial(target.copy_, tensors[1]) for tensors in sets])}
        for strategy in strategies:
            name = "rnnlib cuda" if strategy == "auto" else f"rnnlib cuda, {strategy}"
            works[name, "forward"] = in_turn(
                [functools.partial(cuda.cuda_scan, lam, x, h0, strategy=strategy) for lam, x, h0, _ in sets]
            )
            works[name, "backward"] = in_turn(
                [
                    functools.partial(cuda.cuda_adjoint, lam, h, h0, grad, strategy=strategy)
                    for (lam, _, h0, grad), h in zip(sets, states, strict=True)
                ]
            )
        if "auto" in strategies:
            works["rnnlib cuda", "forward + backward"] = in_turn(
                [
                    functools.partial(both, [t.clone().requires_grad_() for t in (lam, x)], grad)
                    for lam, x, _, grad in sets
                ]
            )
        if peers:
            works |= peer_scans(lam, x, grad, missing)
        times, failed = place.timed(works, runs)
        missing |= {f"{name}, {direction}, {shape}": why for (name, direction), why in failed.items()}
        clone = statistics.median(times["copy", "forward"])
        for (name, direction), values in times.items():
            kind = "step" if per_step and name != "copy" else "channel"
            row = timing.row(shape, dtype, kind, name, direction, values, clone, copy)
            rows.append(row)
            words = f"{row['dtype']:9} {kind:7} {shape!s:18} {name:34} {direction:18}"
            print(f"{words} {row['median_s'] * 1e6:9.1f} us  {row['of_copy']:6.1%} of copy", flush=True)
    return rows


def peer_scans(lam, x, grad, missing: dict) -> dict:
    """Peers that are installed and do this kind of scan; what is not timed is named in ``missing``."""
    works = {}
    if x.is_complex() and lam.ndim == 1:
        try:
            import peers

            works |= peers.compiled_scan(lam.detach(), x, grad)
        except Exception as error:
            missing["torch associative_scan, compiled"] = f"{type(error).__name__}: {error}"
    elif not x.is_complex() and lam.ndim == 3:
        works |= accelerated_scan(lam, x, grad, missing)
    for package, why in {
        "mamba_ssm": "has the scan only fused with its projections, no bare recurrence",
        "fla": "its recurrences have gates between 0 and 1 given as logarithms, no bare recurrence",
    }.items():
        missing[package] = why if importlib.util.find_spec(package) else f"not installed; {why}"
    return works


def accelerated_scan(lam, x, grad, missing: dict) -> dict:
    """accelerated-scan: real, lam per step, (batch, channel, time), T a power of two from 32 to 65536. Its inputs are
    given in its own layout, without the cost of transposing them."""
    works, length = {}, x.shape[1]
    if importlib.util.find_spec("accelerated_scan") is None:
        missing["accelerated-scan"] = "not installed: pip install 'rnnlib[bench]'"
        return works
    if length & (length - 1) or not 32 <= length <= 65536:
        missing[f"accelerated-scan, T = {length}"] = "takes powers of two from 32 to 65536"
        return works
    gates, tokens, back = (t.transpose(1, 2).contiguous() for t in (lam, x, grad))
    for kind in ("warp", "triton"):
        name = f"accelerated-scan, {kind}"
        try:
            scan = importlib.import_module(f"accelerated_scan.{kind}").scan
            error = (scan(gates, tokens).transpose(1, 2) - linear_scan(lam, x)).abs().max().item()
            if not error < 1e-3 * x.abs().max().item() / (1 - MODULUS):
                raise ValueError(f"its states differ by {error:.1e}")
        except Exception as error:
            missing[name] = f"{type(error).__name__}: {error}"
            continue
        leaves = [t.clone().requires_grad_() for t in (gates, tokens)]
        works[name, "forward"] = functools.partial(scan, gates, tokens)
        works[name, "forward + backward"] = lambda scan=scan, leaves=leaves: torch.autograd.grad(
            scan(*leaves), leaves, back
        )
    return works


def growth(place, runs: int, seed: int) -> list[dict]:
    """Time and memory against T, one sequence of 64 complex channels."""
    rows = []
    for length in place.lengths:
        lam, x, h0, grad = draw((1, length, 64), torch.complex64, False, place.device, seed)
        leaves = [t.clone().requires_grad_() for t in (lam, x)]
        works = {
            "forward": functools.partial(cuda.cuda_scan, lam, x, h0),
            "forward + backward": functools.partial(both, leaves, grad),
        }
        times, _ = place.timed(works, runs)
        for direction, values in times.items():
            peak = None
            if place.device.type == "cuda":
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                works[direction]()
                peak = torch.cuda.max_memory_allocated() - before
            facts = {"length": length, "implementation": "rnnlib cuda", "pass": direction, "peak_bytes": peak}
            rows.append(facts | {"input_bytes": x.nbytes} | timing.spread(values))
    return rows


def accuracy(place, strategies: list[str]) -> list[dict]:
    """Rounding of the kernels; the loops that they are held against run on the CPU."""
    what, rows = rounding.EXPERIMENT, []
    lengths = sorted(place.accuracy_lengths)
    for dtype in (torch.float32, torch.complex64):
        reference = rounding.Reference.draw(dtype, lengths[-1], what.moduli, place.channels)
        for strategy, length in itertools.product(strategies, lengths):
            x = reference.x[:, :length]
            inputs = [t.to(place.device) for t in (reference.lam, x, torch.zeros_like(x[:, 0]))]
            name = "rnnlib cuda" if strategy == "auto" else f"rnnlib cuda, {strategy}"
            states = cuda.cuda_scan(*inputs, strategy=strategy)
            rows += [{"implementation": name} | row for row in reference.compare(states)]
    return rows


def report(rows: list[dict]) -> None:
    """The table of targets, last, where it is seen."""
    print(f"\nof the copy's bandwidth, on the least bytes; the target is {TARGET:.0%}")
    for row in rows:
        if row["ours"] and row["pass"] != "forward + backward":
            met = "met   " if row["of_copy"] >= TARGET else "MISSED"
            words = (
                f"{row['shape']!s:20} {row['dtype']:9} lam per {row['lam']:7} {row['implementation']:24} {row['pass']}"
            )
            print(f"{met} {row['of_copy']:6.1%}  {words}")


def main(args: argparse.Namespace) -> None:
    """Checks, timings, one JSON. The arguments are those of ``bench.py``, and here also ``only_check``."""
    rehearse, only_check = os.environ.get("TRITON_INTERPRET") == "1", getattr(args, "only_check", False)
    if rehearse and args.to.resolve() == timing.RESULTS.resolve():
        raise SystemExit("bench_gpu: a rehearsal (TRITON_INTERPRET=1) gives no result: say another folder with --to")
    place = Rehearsal() if rehearse else Gpu()
    start, seed = time.monotonic(), secrets.randbits(32)
    record = timing.provenance(place.device, args.beside)
    record |= {"seed": seed, "versions": record["versions"] | place.facts(), "missing": {}, "checks": []}
    if rehearse:
        record |= {"machine": "rehearsal", "device": "none"}
    record |= {section: [] for section in ("scan", "growth", "accuracy", "layer", "step")}
    for shape in set(SHAPES) - set(place.shapes) if not rehearse else []:
        record["missing"][f"all at {shape}"] = "too little free memory for the reference"
    print(f"{record['machine']}, torch {torch.__version__}, seed {seed}")

    def stop_on_failure():
        failed = [row["what"] for row in record["checks"] if not row["passed"]]
        if failed:
            raise SystemExit(f"bench_gpu: {len(failed)} checks failed, nothing more is timed: {'; '.join(failed)}")

    def keep():
        record["seconds"] = round(time.monotonic() - start)
        print(f"stored in {timing.store(record, args.to)}")

    for strategy in ("walk", "chunks"):
        record["checks"] += check_values(place, strategy, seed)
        record["checks"].append(check_repeats(place, strategy, seed))
    record["checks"] += check_offsets(place) + check_graph(place, seed) + [check_compile(place, seed)]
    stop_on_failure()
    if not only_check:
        record["copy"] = place.copy_bandwidth(args.runs)
        copy = record["copy"]["bytes_per_second"]
        print(f"copy: {copy / 1e12:.2f} TB/s")
        strategies = ["auto", "chunks"] if rehearse else ["auto", "walk", "chunks"]
        record["scan"] += scans(place, strategies, args.runs, copy, seed, record["missing"], peers=not rehearse)
        record["growth"] = growth(place, args.runs, seed)
        record["accuracy"] = accuracy(place, ["auto", "chunks"])
        keep()

    record["checks"] += [*check_values(place, "look-back", seed), check_repeats(place, "look-back", seed)]
    stop_on_failure()
    if not only_check:
        record["scan"] += scans(place, ["look-back"], args.runs, copy, seed, record["missing"], peers=False)
        record["accuracy"] += accuracy(place, ["look-back"])
        keep()
        report(record["scan"])
        for name, why in record["missing"].items():
            print(f"not timed: {name}: {why}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="counted turns (default 20)")
    parser.add_argument("--beside", default="not said", help="what else ran on the machine, for the record")
    parser.add_argument("--to", type=Path, default=timing.RESULTS, help="folder for the JSON")
    parser.add_argument("--only-check", action="store_true", help="no timings")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs must be at least 1")
    return args


if __name__ == "__main__":
    main(_arguments())
