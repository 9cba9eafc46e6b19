"""Compile the kernels for a GPU that is not there: what tests and the lab look at without one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from . import chunks, lookback
from .elements import INTEGERS

if TYPE_CHECKING:
    from collections.abc import Iterator

KERNELS = {
    kernel.__name__: kernel
    for kernel in (
        chunks._reduce,
        chunks._carry,
        chunks._replay,
        chunks._replay_adjoint,
        lookback._look_back,
        lookback._look_back_adjoint,
    )
}
_WIDE = ("ends", "products")  # float64
_WORDS = ("counter", "entries", "sums", "products")


def compile_ahead(
    kernel: str, capability: int, *, dtype: str = "float32", warps: int = 1, **constants: int
) -> triton.compiler.CompiledKernel:
    """Compile one variant of one kernel for a CUDA compute capability; needs no GPU.

    Args:
        kernel: a name of ``KERNELS``.
        capability: 75 for 7.5 (T4), 80 for 8.0 (A100), 90 for 9.0 (H100), ...
        dtype: ``"float32"`` or ``"float64"``: of the tensors, or of their real and imaginary parts.
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
    element = "*fp64" if dtype == "float64" else "*i64" if complex_ else "*fp32"
    types = dict.fromkeys(names, element) | dict.fromkeys(INTEGERS, "i32") | dict.fromkeys(_WIDE, "*fp64")
    if kernel == "_carry":
        types["carries"] = "*fp64"
    if "counter" in names:
        types |= dict.fromkeys(_WORDS, "*i64")
    if not constants["PER_STEP"]:
        types["grad_lam"] = "*fp64"
    constants = {name: value for name, value in constants.items() if name in names}
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    aligned = {
        (i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if signature[name].startswith("*")
    }  # as PyTorch's allocator gives memory
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, GPUTarget("cuda", capability, 32), options={"num_warps": warps})


def variants(**sizes: int) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Every kernel with every dtype and switch but ``BACKWARDS``, which is a sign: name, dtype, constants."""
    for kernel, dtype in itertools.product(KERNELS, ("float32", "float64")):
        switches = ["COMPLEX", "PER_STEP", *(["ADJOINT"] if "ADJOINT" in KERNELS[kernel].arg_names else [])]
        for values in itertools.product((False, True), repeat=len(switches)):
            yield kernel, dtype, dict(zip(switches, values, strict=True)) | {"BACKWARDS": True} | sizes
