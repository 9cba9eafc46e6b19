"""Compile the scan's kernels for a GPU that is not there, and look at what a GPU would run."""

from __future__ import annotations

import itertools
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rnnlib.scan import cuda
from rnnlib.scan.cuda import chunks, cutting, sums
from rnnlib.scan.cuda.elements import INTEGERS

if TYPE_CHECKING:
    from collections.abc import Iterator

KERNELS = {
    kernel.__name__: kernel
    for kernel in (
        chunks._reduce,
        chunks._carry,
        chunks._replay,
        chunks._replay_adjoint,
        sums._sum,
    )
}
_WIDE = ("ends", "products", "carries", "parts")  # float64
_STORED = {"float64": "*fp64", "bfloat16": "*bf16", "float16": "*fp16", "float32": "*fp32"}


def compile_ahead(
    kernel: str, capability: int, *, dtype: str = "float32", warps: int = 1, **constants: int
) -> triton.compiler.CompiledKernel:
    """Compile one variant of one kernel for a CUDA compute capability; needs no GPU.

    Args:
        kernel: a name of ``KERNELS``.
        capability: 75 for 7.5 (T4), 80 for 8.0 (A100), 90 for 9.0 (H100), ...
        dtype: ``"float32"`` or ``"float64"``: of the tensors, or of their real and imaginary parts; for real tensors
            also ``"bfloat16"`` or ``"float16"``.
        warps: warps of a program.
        constants: the compile-time arguments that the kernel has, ``COMPLEX``, ``PER_STEP``, ``STEPS``, ...

    Returns:
        Triton's object; ``.asm["ptx"]`` and ``.asm["cubin"]`` hold the code.

    Raises:
        RuntimeError: triton was imported with ``TRITON_INTERPRET=1``, which leaves nothing to compile.
    """
    function = KERNELS[kernel]
    if not isinstance(function, triton.JITFunction):
        raise RuntimeError("triton was imported with TRITON_INTERPRET=1: unset it and start Python again")
    names = function.arg_names
    complex_ = constants["COMPLEX"]
    element = "*i64" if complex_ and dtype == "float32" else _STORED[dtype]
    types = dict.fromkeys(names, element) | dict.fromkeys((*INTEGERS, "rows"), "i32") | dict.fromkeys(_WIDE, "*fp64")
    shared = not constants.get("PER_STEP")
    if dtype in ("bfloat16", "float16"):  # as linear_scan gives what is not stored at each step
        types |= dict.fromkeys(("start", "h0", "grad_h0", "total", *["lam"] * shared), "*fp32")
    if shared:
        types["grad_lam"] = "*fp64"
    constants = {name: value for name, value in constants.items() if name in names}
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    aligned = {
        (i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if signature[name].startswith("*")
    }  # as PyTorch's allocator gives memory
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=aligned)
    options = {"num_warps": warps} | (cuda._REGISTERS if kernel == "_reduce" else {})
    return triton.compile(source, GPUTarget("cuda", capability, 32), options=options)


@dataclass(frozen=True)
class Facts:
    """What a GPU would run.

    Attributes:
        layouts: ``(elements of a thread, threads of a warp, order)`` of loads and stores, without repetition and but
            for carries and sums in float64.
        accesses: global loads and stores as the assembler gets them, ``"ld.global.v2.b64"``, with repetition.
        registers: of a thread.
        spills: bytes of a thread's registers that go to memory.
    """

    layouts: set[tuple[str, str, str]]
    accesses: list[str]
    registers: int
    spills: int


def facts(compiled: triton.compiler.CompiledKernel, capability: int) -> Facts:
    """Read the compiler's and the assembler's output."""
    text = compiled.asm["ttgir"]
    named = dict(re.findall(r"^(#\w+) = #ttg.blocked<\{(.*)\}>", text, flags=re.MULTILINE))
    used = set(re.findall(r"tt\.(?:load|store) .*tensor<\d+x\d+x!tt\.ptr<(?!f64)\w+>, (#\w+)>", text))
    layouts = set()
    for name in used:
        fields = dict(re.findall(r"(\w+) = \[([\d, ]+)\]", named[name]))
        layouts.add((fields["sizePerThread"], fields["threadsPerWarp"], fields["order"]))
    architecture = f"sm_{capability}" + ("a" if capability == 90 else "")
    with tempfile.TemporaryDirectory() as folder:
        (source := Path(folder, "kernel.ptx")).write_text(compiled.asm["ptx"])
        command = [triton.knobs.nvidia.ptxas.path, "-v", f"--gpu-name={architecture}", source, "-o", f"{source}.cubin"]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return Facts(
        layouts,
        re.findall(r"(?:ld|st)\.global[.\w]*", compiled.asm["ptx"]),
        int(re.search(r"Used (\d+) registers", report)[1]),
        sum(int(size) for size in re.findall(r"(\d+) bytes spill", report)),
    )


@dataclass(frozen=True)
class Device:
    """What a GPU's data sheet says, per second or per cycle.

    Attributes:
        capability: 75 for 7.5.
        bandwidth: of its memory, bytes a second.
        processors: multiprocessors.
        clock: boost, cycles a second.
        float64: operations in float64 that a multiprocessor begins in a cycle.
    """

    capability: int
    bandwidth: float
    processors: int
    clock: float
    float64: int


DEVICES = {
    "T4": Device(75, 320e9, 40, 1.59e9, 2),
    "RTX 3090": Device(86, 936e9, 82, 1.695e9, 2),
    "RTX 4090": Device(89, 1008e9, 128, 2.52e9, 2),
    "H100": Device(90, 3350e9, 132, 1.83e9, 64),
}
# Arithmetic, comparisons and conversions of float64 share one pipeline.
_FLOAT64 = re.compile(r"\b(?:D(?:ADD|MUL|FMA|SETP|MNMX)|[FI]2F\.F64|F2F\.F32\.F64|F2I\.\S*F64|MUFU\.\w+64H)\b")


def machine_code(compiled: triton.compiler.CompiledKernel) -> tuple[list[str], list[str]]:
    """The instructions of a kernel and, of those, the ones of its loop over tiles (none, if it has no loop)."""
    with tempfile.TemporaryDirectory() as folder:
        (cubin := Path(folder, "kernel.cubin")).write_bytes(compiled.asm["cubin"])
        command = [triton.knobs.nvidia.nvdisasm.path, "-c", cubin]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    code, labels, loops = [], {}, [[]]
    for line in text.splitlines():
        if label := re.match(r"(\.L_\w+):", line):
            labels[label[1]] = len(code)
        elif match := re.match(r"\s+/\*[0-9a-f]+\*/\s+(.*?)\s*;", line):
            code.append(match[1])
            target = re.search(r"BRA.*`\((\.L_\w+)\)", match[1])
            if target and target[1] in labels:
                loops.append(code[labels[target[1]] :])
    return code, max(loops, key=lambda loop: sum("STG" in line or "LDG" in line for line in loop))


def float64_instructions(code: list[str]) -> int:
    """Those that a warp issues to the float64 pipeline, each branch taken."""
    return sum(bool(_FLOAT64.search(line)) for line in code)


def float64_rows(device: str, shape: tuple[int, int, int], dtype: torch.dtype, per_step: bool, adjoint: bool) -> list:
    """How much float64 the kernels of the default plan have, against the time that the memory takes.

    Args:
        device: a name of ``DEVICES``.
        shape: batch, time and channels.
        dtype: of all tensors.
        per_step: whether each step has its own lam.
        adjoint: the backward pass, else the forward one.

    Returns:
        For each kernel with a loop over tiles: its name, the float64 instructions that a warp issues in a tile, the
        cycles that they take, and the cycles in which the memory moves what the warp reads and writes there.
    """
    gpu, rows = DEVICES[device], []
    for kernel, constants in planned(shape, dtype, per_step, adjoint, processors=gpu.processors):
        _, loop = machine_code(compile_ahead(kernel, gpu.capability, **constants))
        count = float64_instructions(loop)
        tensors = {"_replay": 2 + per_step, "_replay_adjoint": 3 + 2 * per_step, "_reduce": 1 + per_step}[kernel]
        elements = constants["STRIPS"] * constants["STEPS"] * constants["COLUMNS"] // constants["warps"]
        memory = elements * tensors * dtype.itemsize * gpu.processors * gpu.clock / gpu.bandwidth
        rows.append((kernel, count, count * 32 / gpu.float64, memory))
    return rows


def planned(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    per_step: bool,
    adjoint: bool,
    strategy: str = "auto",
    processors: int = 132,
) -> Iterator[tuple[str, dict]]:
    """The kernels that walk over a tensor of this shape: name and arguments of :func:`compile_ahead`."""
    plan = cutting.cut(strategy, shape, dtype, per_step, adjoint, processors)
    constants = dict(plan.flags)
    constants |= {"warps": constants.pop("num_warps"), "BACKWARDS": adjoint, "ADJOINT": adjoint}
    constants["dtype"] = str(dtype.to_real()).removeprefix("torch.")
    yield "_replay" + "_adjoint" * adjoint, constants
    if plan.count > 1:
        yield "_reduce", constants


def variants(*dtypes: str, **sizes: int) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Every kernel with every dtype and switch but ``BACKWARDS``, which is a sign: name, dtype, constants."""
    for kernel, dtype in itertools.product(KERNELS, dtypes):
        switches = [name for name in ("COMPLEX", "PER_STEP", "ADJOINT") if name in KERNELS[kernel].arg_names]
        for values in itertools.product((False, True), repeat=len(switches)):
            if not values[0] or dtype in ("float32", "float64"):
                yield kernel, dtype, dict(zip(switches, values, strict=True)) | {"BACKWARDS": True} | sizes
