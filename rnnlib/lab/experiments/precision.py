"""What float32 in place of float64 would cost in the Triton kernels: one place after the other, against the loop.

The rule, set before the first run: a place goes to float32 if in every case the ratio of the errors stays at or below 1
within three standard errors (as for the backends, ``rounding.py``), if the kernels stay finite wherever the loop in
float32 does, and if the machine code then has fewer instructions in float64. Pairs of float32 stand in where float32 is
not enough and float64 takes longer than the memory (``tools/ahead.py`` counts both).
"""

from __future__ import annotations

import concurrent.futures
import importlib.util
import itertools
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from . import rounding
from .measurement import Measurement, Tables
from .schema import Schema

NOTHING = "nothing"  # is rounded to float32: the kernels as they are
_COMPILER = Path(__file__).resolve().parents[3] / "tools/ahead.py"  # not in the installed package
_LAM = ("channel", "step")
_PASSES = ("forward", "backward")


@dataclass(frozen=True, kw_only=True)
class Precision(Measurement):
    """Errors of states by the Triton kernels with one place rounded to float32, through Triton's interpreter, and how
    much float64 the kernels as they are have, compiled for several GPUs: table ``"float64"``.

    Attributes:
        places: what is rounded, of ``tools/interpreted.py``, and the strategy that shows it.
        lengths: numbers of steps.
        moduli: of the eigenvalues, as 1 - modulus.
        channels: of each modulus, at least two.
        dtypes: ``"float32"`` or ``"complex64"``.
        devices: GPUs that ``tools/ahead.py`` has.
        shapes: batch, time and channels that the kernels are compiled for.
    """

    places: tuple[tuple[str, str], ...] = (
        (NOTHING, "walk"),
        ("slopes of strips", "walk"),
        ("slopes across strips", "walk"),
        ("states across strips", "walk"),
        ("carries", "walk"),
        ("memory", "chunks"),
    )
    lengths: tuple[int, ...] = (2**8, 2**11, 2**14)
    moduli: tuple[float, ...] = (1e-1, 1e-2, 1e-4, 1e-6)
    channels: int = 8
    dtypes: tuple[str, ...] = ("float32", "complex64")
    devices: tuple[str, ...] = ("T4", "RTX 3090", "RTX 4090", "H100")
    shapes: tuple[tuple[int, int, int], ...] = ((16, 4096, 256), (8, 16384, 1024), (1, 131072, 64))

    def parts(self) -> list[str]:
        return [*self._cases(), *self.devices]

    def _cases(self) -> dict[str, tuple[str, str, str, str, int]]:
        return {
            f"{dtype}, lam per {lam}, {place} in float32, {length} steps": (dtype, lam, place, strategy, length)
            for dtype in self.dtypes
            for lam in _LAM
            for place, strategy in self.places
            for length in self.lengths
        }

    def schemas(self) -> dict[str, Schema]:
        of = {"lam": _LAM, "single": "text", "strategy": "text", "dtype": "text", "length": "whole"}
        numbers = dict.fromkeys(("one_minus_modulus", "error", "loop_error", "ratio", "ratio_error"), "size")
        key = ["dtype", "lam", "single", "strategy", "length", "one_minus_modulus"]
        rows = [(*case, rounding.rounded(distance)) for case in self._cases().values() for distance in self.moduli]
        compiled = {"device": self.devices, "shape": "text", "dtype": "text", "lam": _LAM, "pass": _PASSES}
        compiled |= {"kernel": "text", "instructions": "whole", "cycles": "size", "memory_cycles": "size"}
        counts = [
            (device, _name(shape), dtype, lam, way, kernel)
            for device, shape, dtype, lam, way in itertools.product(
                self.devices, self.shapes, self.dtypes, _LAM, _PASSES
            )
            for kernel in _kernels(shape, way)
        ]
        return {
            "runs": Schema(of | numbers, key, rows),
            "float64": Schema(compiled, list(compiled)[:6], counts),
        }

    def measure(self, part: str, device: str) -> Tables:
        """As for ``rounding``; lam per step is constant in time, so that its roundings add up as a shared one's do."""
        if part in self.devices:
            return {"float64": self._compiled(part)}
        dtype, lam, place, strategy, length = self._cases()[part]
        reference = rounding.reference_of(getattr(torch, dtype), max(self.lengths), self.moduli, self.channels)
        x = reference.x[:, :length]
        per_step = reference.lam.expand_as(x)
        states = rounding.interpret(
            strategy, per_step if lam == "step" else reference.lam, x, "" if place == NOTHING else place
        )
        rows = reference.compare(states)
        columns = ["lam", "single", "strategy", *rows[0]]
        return {"runs": (columns, [(lam, place, strategy, *map(rounding.rounded, row.values())) for row in rows])}

    def _compiled(self, device: str) -> tuple[list[str], list[tuple]]:
        rows = []
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn, initializer=_compile) as pool:
            for shape, dtype, lam, way in itertools.product(self.shapes, self.dtypes, _LAM, _PASSES):
                found = pool.submit(_count, device, shape, dtype, lam == "step", way == "backward").result()
                rows += [
                    (device, _name(shape), dtype, lam, way, kernel, *map(rounding.rounded, row))
                    for kernel, *row in found
                ]
        return [*self.schemas()["float64"].columns], rows


def _name(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))


def _kernels(shape: tuple[int, int, int], way: str) -> list[str]:
    """Those of the strategy that "auto" takes; few columns are cut over time on every one of the GPUs."""
    last = "_replay" if way == "forward" else "_replay_adjoint"
    return [last] if shape[0] * shape[2] > 2048 else [last, "_reduce"]


def _compile() -> None:
    os.environ.pop("TRITON_INTERPRET", None)  # triton reads it once, when it is imported


def _count(device: str, shape: tuple[int, int, int], dtype: str, per_step: bool, adjoint: bool) -> list[tuple]:
    spec = importlib.util.spec_from_file_location("ahead", _COMPILER)
    compiler = sys.modules["ahead"] = importlib.util.module_from_spec(spec)  # for its dataclasses
    spec.loader.exec_module(compiler)
    return compiler.float64_rows(device, shape, getattr(torch, dtype), per_step, adjoint)


EXPERIMENT = Precision(
    name="precision",
    title="the Triton kernels with one place in float32 instead of float64",
    smaller={
        "book": {"lengths": (2**8,), "channels": 4, "devices": ()},
        "smoke": {"lengths": (2**8,), "channels": 2, "dtypes": ("complex64",), "moduli": (1e-1, 1e-4), "devices": ()},
    },
)
