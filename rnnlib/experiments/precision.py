"""What float32 in place of float64 would cost in the Triton kernels: one place after the other, against the loop.

The rule, set before the first run: a place goes to float32 if in every case the ratio of the errors stays at or below 1
within three standard errors (as for the backends, ``rounding.py``), if the kernels stay finite wherever the loop in
float32 does, and if the machine code then has fewer instructions in float64. Pairs of float32 stand in where float32 is
not enough and float64 takes longer than the memory (``tools/ahead.py`` counts both).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from . import rounding
from .measurement import Measurement, Tables
from .schema import Schema

NOTHING = "nothing"  # is rounded to float32: the kernels as they are


@dataclass(frozen=True, kw_only=True)
class Precision(Measurement):
    """Errors of states by the Triton kernels with one place rounded to float32, through Triton's interpreter.

    Attributes:
        places: what is rounded, of ``tools/interpreted.py``, and the strategy that shows it.
        lengths: numbers of steps.
        moduli: of the eigenvalues, as 1 - modulus.
        channels: of each modulus, at least two.
        dtypes: ``"float32"`` or ``"complex64"``.
    """

    places: tuple[tuple[str, str], ...] = (
        (NOTHING, "walk"),
        ("slopes of strips", "walk"),
        ("slopes across strips", "walk"),
        ("states across strips", "walk"),
        ("carries", "walk"),
        ("memory", "chunks"),
    )
    lengths: tuple[int, ...] = (2**8, 2**12, 2**16)
    moduli: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    channels: int = 10
    dtypes: tuple[str, ...] = ("float32", "complex64")

    def parts(self) -> list[str]:
        return list(self._cases())

    def _cases(self) -> dict[str, tuple[str, str, str, str, int]]:
        return {
            f"{dtype}, lam per {lam}, {place} in float32, {length} steps": (dtype, lam, place, strategy, length)
            for dtype in self.dtypes
            for lam in ("channel", "step")
            for place, strategy in self.places
            for length in self.lengths
        }

    def schemas(self) -> dict[str, Schema]:
        of = {"lam": ("channel", "step"), "single": "text", "strategy": "text", "dtype": "text", "length": "whole"}
        numbers = dict.fromkeys(("one_minus_modulus", "error", "loop_error", "ratio", "ratio_error"), "size")
        key = ["dtype", "lam", "single", "strategy", "length", "one_minus_modulus"]
        rows = [(*case, float(f"{distance:.6g}")) for case in self._cases().values() for distance in self.moduli]
        return {"runs": Schema(of | numbers, key, rows)}

    def measure(self, part: str, device: str) -> Tables:
        """As for ``rounding``; lam per step is constant in time, so that its roundings add up as a shared one's do."""
        dtype, lam, place, strategy, length = self._cases()[part]
        reference = rounding.reference_of(getattr(torch, dtype), max(self.lengths), self.moduli, self.channels)
        x = reference.x[:, :length]
        states = rounding.interpret(
            strategy, reference.lam.expand_as(x) if lam == "step" else reference.lam, x, "" if place == NOTHING else place
        )
        rows = reference.compare(states)
        columns = ["lam", "single", "strategy", *rows[0]]
        return {"runs": (columns, [(lam, place, strategy, *map(rounding.rounded, row.values())) for row in rows])}


EXPERIMENT = Precision(
    name="precision",
    title="the Triton kernels with one place in float32 instead of float64",
    smaller={
        "book": {"lengths": (2**8,), "channels": 4},
        "smoke": {"lengths": (2**8,), "channels": 2, "dtypes": ("complex64",), "moduli": (1e-1, 1e-4)},
    },
)
