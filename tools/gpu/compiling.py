"""Compile what the steps need in parallel, without a device, into the cache where the steps look for it.

    echo '{"capability": "9.0", "multiprocessors": 132, "scans": [...], "workers": 16}' | python tools/gpu/compiling.py

Prints a line of JSON for each variant. Tensors are on the meta device: a scan makes its plan and its launches as on a
GPU, and each launch is noted in place of being made. What is new among them is compiled by several processes.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

KERNELS: dict[str, Any] = {}  # by name, filled before processes are forked


def compile_all(scans: list[dict], facts: dict, emit) -> None:
    """In a process of its own, so that a rehearsal, whose triton interprets, compiles too."""
    root = Path(__file__).resolve().parent.parent.parent
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [environment.get("PYTHONPATH")])])
    asked = {
        "scans": scans,
        "workers": os.cpu_count(),
        **{name: facts[name] for name in ("capability", "multiprocessors")},
    }
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, __file__], env=environment, stdin=pipe, stdout=pipe, text=True)
    process.stdin.write(json.dumps(asked))
    process.stdin.close()
    failed = []
    for line in process.stdout:
        row = json.loads(line)
        emit.row("variants", row)
        failed += [f"{row['kernel']}: {row['error']}"] if "error" in row else []
    if process.wait():
        raise RuntimeError(f"the compiling process ended with exit status {process.returncode}")
    if failed:
        raise RuntimeError(f"{len(failed)} variants do not compile; {failed[0]}")


class _Driver:
    """What triton asks before it compiles."""

    def __init__(self, capability: str):
        from triton.backends.compiler import GPUTarget

        self.target = GPUTarget("cuda", int(capability.replace(".", "")), 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self):
        return self.target


def launches(scans: list[dict], capability: str, multiprocessors: int) -> list[tuple]:
    """All different launches of scans: name of the kernel, arguments (a dtype for a tensor), options.

    A scan is a dictionary: strategy, shape, dtype, per_step, and perhaps reverse (a list; [False]), pass (both) and
    choice (how it is cut, as in the tuning table; as the package decides).
    """
    import torch
    from triton.runtime.jit import JITFunction

    from rnnlib.scan import cuda
    from rnnlib.scan.cuda import cutting, tuning

    variants = {}

    def note(kernel, grid):
        def launch(*args, **options):
            KERNELS[kernel.__name__] = kernel
            args = tuple(arg.dtype if isinstance(arg, torch.Tensor) else arg for arg in args)
            # of these kernels' whole numbers, INTEGERS, triton minds the type alone
            kinds = [arg.bit_length() > 31 if type(arg) is int else str(arg) for arg in args]
            named = {name: arg.dtype if isinstance(arg, torch.Tensor) else arg for name, arg in options.items()}
            variants.setdefault(
                repr((kernel.__name__, kinds, sorted(named.items(), key=str))), (kernel.__name__, args, named)
            )

        return launch

    before = JITFunction.__getitem__, cutting.multiprocessors, tuning.capability, tuning.choose
    JITFunction.__getitem__ = note
    cutting.multiprocessors, tuning.capability = lambda device: multiprocessors, lambda device: capability
    try:
        for scan in scans:
            if scan.get("choice"):
                choice = tuning.Choice(**scan["choice"])
                tuning.choose = lambda *arguments, choice=choice: choice
            shape, dtype = tuple(scan["shape"]), getattr(torch, scan["dtype"])
            x = torch.empty(shape, dtype=dtype, device="meta")
            single = x.to(torch.promote_types(dtype, torch.float32))  # as linear_scan gives what no step has of its own
            lam, h0 = (x if scan["per_step"] else single[0, 0]), single[:, 0]
            for reverse in scan.get("reverse", [False]):
                if scan.get("pass") != "backward":
                    cuda.cuda_scan(lam, x, h0, reverse, scan["strategy"])
                if scan.get("pass") != "forward":
                    cuda.cuda_adjoint(lam, x, h0, x, reverse, scan["strategy"])
            tuning.choose = before[3]
    finally:
        JITFunction.__getitem__, cutting.multiprocessors, tuning.capability, tuning.choose = before
    return list(variants.values())


def _compile(launch: tuple, capability: str) -> dict[str, Any]:
    from triton.backends.nvidia.driver import CudaLauncher
    from triton.runtime import driver

    from gpu import plans

    name, args, options = launch
    # pointers and numbers stand in the signature and are no part of what is reported
    flags = {key: value for key, value in options.items() if isinstance(value, bool | int)}
    row = {
        "kernel": name,
        "dtype": str(next(a for a in args if not isinstance(a, int))).removeprefix("torch."),
        **flags,
    }
    driver.set_active(_Driver(capability))
    start = time.perf_counter()
    try:
        kernel = KERNELS[name].warmup(*args, grid=(1,), **options)
        # triton 3.6 also compiles some C for each signature, against the driver's library
        with contextlib.suppress(Exception):
            CudaLauncher(kernel.src, kernel.metadata)
        row |= {"seconds": round(time.perf_counter() - start, 3)} | plans.resources(kernel)
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {str(error).strip()[:300]}"
    return row


def main() -> None:
    asked = json.load(sys.stdin)
    wanted = launches(asked["scans"], asked["capability"], asked["multiprocessors"])
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(asked["workers"], mp_context=fork) as pool:
        waiting = [pool.submit(_compile, launch, asked["capability"]) for launch in wanted]
        for future in waiting:
            print(json.dumps(future.result()), flush=True)


if __name__ == "__main__":
    main()
