"""Check the scan's kernels on this machine's GPU, then time them against a copy of the same bytes and against peers.

    make bench ARGS="--device cuda --minutes 7"         or, with torch, triton and NumPy alone:
    PYTHONPATH=. python3 tools/bench_gpu.py
    python tools/bench_gpu.py --only-check              the checks alone
    python tools/bench_gpu.py --write-tuning            also tune, and write rnnlib/scan/cuda/tuning.json
    TRITON_INTERPRET=1 python tools/bench_gpu.py --to FOLDER    a rehearsal without a GPU, at tiny sizes

Each step runs in a process of its own and bench-gpu.json is whole after each, so nothing that fails or hangs costs what
was measured before. A strategy of the kernels that fails a step takes no part in later ones. A step for which too
little time is left is skipped; ``--resume`` takes it later, on the same machine. The table comes last; steps, and how
each ended, are in the file.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import secrets
from pathlib import Path
from typing import Any

import timing
import torch
from gpu import checks, compiling, devices, host, layers, peers, rounding, table, timings, tune
from gpu.clock import Clock, Emit, Record, Step, age, in_child, resumed, run, same_machine, terminations_raise

from rnnlib.scan.cuda import tuning

FOLDER = timing.ROOT / "_build" / "bench-gpu"
SECTIONS = ("checks", "scan", "growth", "accuracy", "layer", "host", "step", "grid", "variants", "tuning")
EVERY = ["auto", *devices.STRATEGIES]
HALVES = (torch.bfloat16, torch.float16)


def device_step(device: devices.Gpu, beside: str, record: dict[str, Any], emit: Emit) -> None:
    """The machine, versions, and how fast it copies."""
    if not device.rehearsal and not torch.cuda.is_available():
        raise RuntimeError("no CUDA device was found; TRITON_INTERPRET=1 rehearses without one")
    emit.facts(facts=device.facts())
    emit.facts(copy=device.copy_bandwidth())
    try:
        emit.facts(**timing.provenance(device.device, beside))
    except OSError as error:  # no git
        emit.missing("versions", str(error))
        emit.facts(machine=timing.machine(device.device), load=beside)
    if device.rehearsal:
        emit.facts(machine=device.machine(), device="none")


def compile_step(device: devices.Gpu, scans: list[dict[str, Any]], record: dict[str, Any], emit: Emit) -> None:
    compiling.compile_all(scans, record["facts"], emit)


def scans_to_time(device: devices.Gpu) -> list[dict[str, Any]]:
    shapes = device.all_shapes if device.rehearsal else device.all_shapes + device.two_odd
    return [
        {
            "shape": shape,
            "dtype": name_of(dtype),
            "per_step": per_step,
            "strategy": strategy,
            "choice": device.choice(strategy),
        }
        for strategy, shape, (dtype, per_step) in itertools.product(EVERY, shapes, device.kinds)
    ]


def half_scans(device: devices.Gpu) -> list[dict[str, Any]]:
    """Storage in half precision, as ``"auto"`` cuts it."""
    if device.rehearsal:
        return [scan | {"dtype": name_of(HALVES[0])} for scan in scans_to_time(device) if scan["dtype"] == "float32"][
            :1
        ]
    return [
        {"shape": shape, "dtype": name_of(dtype), "per_step": per_step, "strategy": "auto"}
        for shape, dtype, per_step in itertools.product(timings.half_shapes(device), HALVES, [False, True])
    ]


def other_scans(device: devices.Gpu) -> list[dict[str, Any]]:
    """Double precision and reverse."""
    if device.rehearsal:
        return [scan | {"reverse": [True], "pass": "forward"} for scan in scans_to_time(device)[:1]]
    return [
        {"shape": shape, "dtype": name_of(dtype), "per_step": per_step, "strategy": strategy, "reverse": [reverse]}
        for strategy, shape, (dtype, per_step, reverse) in itertools.product(
            devices.STRATEGIES, device.odd, device.other_kinds
        )
    ]


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def steps(device: devices.Gpu, args: argparse.Namespace, seed: int) -> list[Step]:
    """All of them, the most important first. Seconds are about what they took on an H100 and an H200 with 16 cores."""

    def step(name: str, seconds: float, limit: float, work, *arguments, **options) -> Step:
        return Step(name, functools.partial(work, device, *arguments), seconds, limit, **options)

    listed = [
        step("device", 1, 60, device_step, args.beside, required=True, again=True),
        step("compile", 35, 120, compile_step, scans_to_time(device), again=True),
        *(step(f"check {s}", 7, 60, checks.strategy_step, s, seed, strategy=s) for s in EVERY),
    ]
    if not args.only_check:
        listed += [step(f"time {s}", 18, 60, timings.scan_step, s, seed, strategy=s) for s in EVERY]
    if args.write_tuning:
        listed.append(step("tune", 100, 150, tune.tune_step, tune.fastest, seed))
    listed += [
        step("compile half precision", 15, 60, compile_step, half_scans(device), again=True),
        *(step(f"{name_of(dtype)} scan", 10, 40, timings.half_step, dtype, seed) for dtype in HALVES),
        step("compile doubles and reverse", 12, 90, compile_step, other_scans(device), again=True),
        *(
            step(f"doubles and reverse, {s}", 5, 40, checks.others_step, s, seed, strategy=s)
            for s in devices.STRATEGIES
        ),
        step("beyond 2^31 elements", 2, 30, checks.offsets_step),
        step("CUDA graph of the scan", 6, 40, checks.graph_step, seed),
        step("torch.compile of the scan", 8, 60, checks.compile_step, seed),
    ]
    if args.only_check:
        return listed
    return [
        *listed,
        step("LRU", 9, 40, layers.lru_step, None, seed),
        *(step(f"LRU, autocast {name_of(dtype)}", 6, 40, layers.lru_step, dtype, seed) for dtype in HALVES),
        step("LRU, torch.compile", 20, 60, layers.compiled_step, seed),
        step("growth", 10, 30, timings.growth_step, seed),
        step("host", 25, 60, host.host_step, seed),
        step("accelerated-scan complex", 20, 40, peers.accelerated_step, "complex", seed),
        step("accelerated-scan scalar", 8, 30, peers.accelerated_step, "scalar", seed),
        step("jax associative_scan", 40, 60, peers.jax_step, seed),
        *(step(f"rounding, {s}", 10, 30, rounding.rounding_step, s, strategy=s) for s in devices.STRATEGIES),
        step("torch associative_scan", 60, 150, peers.associative_step, seed),
        step("accelerated-scan warp", 40, 80, peers.accelerated_step, "warp", seed),
        *([step("tune what came second", 40, 90, tune.tune_step, tune.second, seed)] if args.write_tuning else []),
        *(step(f"grid {name}", 15, 60, layers.grid_step, name) for name in layers.GRID),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Run the steps that the clock allows; returns 1 if a check failed or a strategy was dropped."""
    args = _arguments(arguments)
    rehearse = os.environ.get("TRITON_INTERPRET") == "1"
    device, seed = devices.Rehearsal() if rehearse else devices.Gpu(), secrets.randbits(32)
    device.runs = args.runs or device.runs
    listed, folder = steps(device, args, seed), args.to or FOLDER
    content = {"name": "bench", "device": "cuda", "machine": "unknown", "seed": seed, "missing": {}}
    content |= {"finished": False, **{section: [] for section in SECTIONS}}
    if args.resume:
        content = resumed(_stored(folder / "bench-gpu.json", device), listed)
        content["resumed"] = [*content.get("resumed", []), {"seed": seed, "date": content["date"]}]
    record, clock = Record(folder, content), Clock(60 * args.minutes - age())
    record.say(f"{args.minutes:g} minutes, seed {seed}, torch {torch.__version__}; {record.path}")
    try:
        with terminations_raise():
            run(listed, record, clock)
    except KeyboardInterrupt:
        record.say("bench_gpu: interrupted")
        record.say(table.text(content))
        return 130
    content["finished"] = True
    timings.compare_with_the_fastest_copy(content)
    record.store()
    record.say(table.text(content))
    if args.write_tuning and content["scan"]:
        for path in [record.path.with_name("tuning.json"), *([] if rehearse else [tuning.FILE])]:
            record.say(f"{tune.write(content, path)} entries for this device in {path}")
    failed = content["dropped"] or any(not row["passed"] for row in content["checks"])
    if not (rehearse or args.to or failed or args.only_check) and content["scan"]:
        record.say(f"for the performance page: {timing.store(content)}")
    return int(bool(failed) or "facts" not in content)


def _stored(path: Path, device: devices.Gpu) -> dict[str, Any]:
    """The record of a run that goes on here; for another one the program ends in a sentence, and nothing is changed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        same_machine(content, in_child(device.machine), timing.versions("torch", "triton"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"bench_gpu: {error}") from None
    return content


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7.0, help="when to stop, whatever is done (default 7)")
    parser.add_argument("--runs", type=int, help="counted rounds of each timing (default 20)")
    parser.add_argument("--beside", default="not said", help="what else ran on the machine, for the record")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="for bench-gpu.json and bench-gpu.log (default: _build/bench-gpu, and the JSON also among the package's "
        "results once nothing has failed)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the bench-gpu.json that is there, of this machine"
    )
    parser.add_argument("--only-check", action="store_true", help="no timings")
    parser.add_argument("--write-tuning", action="store_true", help="tune, and write the package's table for this GPU")
    args = parser.parse_args(arguments)
    if args.runs is not None and args.runs < 1:
        parser.error("--runs must be at least 1")
    if not args.minutes > 0:
        parser.error("--minutes must be more than 0")
    if args.only_check and args.write_tuning:
        parser.error("--write-tuning needs timings: leave out --only-check")
    return args


if __name__ == "__main__":
    raise SystemExit(main())
