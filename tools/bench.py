"""Time linear_scan on this machine: each backend against a copy of the same tensor, in turn, medians and spread."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch

from rnnlib import linear_scan

ROOT = Path(__file__).resolve().parent.parent
SHAPES = [(16, 4096, 256), (1, 65536, 64)]  # (batch, time, channel), complex64, lam per channel
LOOP_STEPS = 8192  # the plain loop is timed up to this length only: a Python loop needs no more


def seconds(work, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def case(shape: tuple[int, int, int], device: torch.device, runs: int) -> list[dict]:
    """Rows for one shape: forward and forward + backward of each backend, as multiples of clone()."""
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(shape, dtype=torch.complex64, device=device, generator=generator)
    lam = torch.polar(torch.full(shape[2:], 0.99), torch.linspace(0, 3, shape[2])).to(device)
    leaves = [lam.requires_grad_(), x.requires_grad_()]

    def forward(backend: str):
        with torch.no_grad():
            linear_scan(lam, x, backend=backend)

    def both(backend: str):
        torch.autograd.grad(linear_scan(lam, x, backend=backend).abs().sum(), leaves)

    backends = ["chunked", *(["cuda"] if device.type == "cuda" else [])]
    backends += ["sequential"] if shape[1] <= LOOP_STEPS else []
    works = {("clone", "forward"): lambda: x.detach().clone()}
    for backend in backends:
        works[backend, "forward"] = lambda backend=backend: forward(backend)
        works[backend, "forward + backward"] = lambda backend=backend: both(backend)
    times = {name: [] for name in works}
    for run in range(runs + 1):  # all take turns, so that a slow moment hits them alike; the first turn warms up
        for name, work in works.items():
            elapsed = seconds(work, device)
            if run:
                times[name].append(elapsed)
    unit = statistics.median(times["clone", "forward"])
    return [
        {
            "shape": shape,
            "backend": backend,
            "pass": direction,
            "median_s": statistics.median(values),
            "min_s": min(values),
            "max_s": max(values),
            "times_clone": statistics.median(values) / unit,
        }
        for (backend, direction), values in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="counted turns (default 7)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "_build/bench.json")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs must be at least 1")
    device = torch.device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}; times clone() of x, complex64")
    rows = []
    for shape in SHAPES:
        for row in case(shape, device, args.runs):
            rows.append(row)
            spread = f"{row['min_s'] * 1e3:9.2f} to {row['max_s'] * 1e3:.2f} ms"
            print(f"{shape!s:18} {row['backend']:10} {row['pass']:18} {row['times_clone']:7.1f} x  {spread}")
    facts = {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "rows": rows}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_suffix(".partial")
    partial.write_text(json.dumps(facts, indent=1))
    partial.replace(args.out)
    print(f"stored in {args.out}")


if __name__ == "__main__":
    main()
