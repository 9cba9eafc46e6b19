"""How kernels are cut and what was compiled: read from the package's own plans and from Triton's compiled kernels."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rnnlib.scan.cuda import cutting

if TYPE_CHECKING:
    from .devices import Gpu


def facts(
    device: Gpu, strategy: str, shape: tuple, dtype: torch.dtype, per_step: bool, adjoint: bool
) -> dict[str, Any]:
    """The strategy that is taken and its sizes."""
    x = torch.empty(1, dtype=dtype, device=device.device).expand(shape)
    return {"plan": sizes(cutting.plan(strategy, x if per_step else x[0, 0], x, adjoint))}


def sizes(plan: cutting.Plan) -> dict[str, Any]:
    """As an entry of the tuning table has them."""
    flags = {name.lower(): plan.flags[name] for name in ("COLUMNS", "STRIPS", "STEPS")}
    return {"strategy": plan.strategy, **flags, "warps": plan.flags["num_warps"]}


def resources(kernel) -> dict[str, int]:
    """Of a compiled kernel: registers and stack (spills) of a thread in bytes, shared memory of a program.

    Triton brings the program that reads them from the machine code; it needs no device.
    """
    import triton

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
        command = [tool, "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = dict(part.split(":") for part in text.split() if part.count(":") == 1 and part.split(":")[1].isdigit())
    return {
        "registers": int(numbers["REG"]),
        "spilled_bytes": int(numbers["STACK"]) + int(numbers["LOCAL"]),
        "shared_bytes": kernel.metadata.shared,
        "code_bytes": len(kernel.asm["cubin"]),
    }
