"""What was measured to be fastest, by compute capability and class of shape: ``tuning.json``, which ``"auto"`` reads.

``tools/bench_gpu.py --write-tuning`` writes the file from what it timed. Where there is no entry, the rules of
``rnnlib.scan.cuda`` hold. Devices of one capability share their entries: those of 9.0 were measured on an H100 and
serve an H200 too. Nothing is timed when a user calls a scan, and a file that is damaged, or written for other
kernels, is as one without entries: a scan never fails for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch

FILE = Path(__file__).with_name("tuning.json")
VERSION = 1  # of the file; another one is not read

#: The largest value of each number; all are powers of two.
LIMITS = {"columns": 128, "strips": 64, "steps": 32, "warps": 16}


@dataclass(frozen=True)
class Choice:
    """How a scan is cut.

    Attributes:
        strategy: one of ``rnnlib.scan.cuda.STRATEGIES`` but ``"auto"``.
        columns: of a block.
        strips: of a tile.
        steps: of a strip.
        warps: of a program.
    """

    strategy: str
    columns: int
    strips: int
    steps: int
    warps: int


def key(capability: str, shape: tuple[int, int, int], dtype: torch.dtype, per_step: bool, adjoint: bool) -> str:
    """The name of an entry: shapes are of one class if batch x channels and time lie between the same powers of 4.

    Args:
        capability: of the device, as ``"9.0"``.
        shape: of the inputs, (batch, time, channel), none of them zero.
        dtype: of the inputs.
        per_step: lam differs from step to step.
        adjoint: the backward pass.
    """
    batch, time, channels = shape
    columns, length = ((number.bit_length() - 1) // 2 for number in (batch * channels, time))
    name = str(dtype).removeprefix("torch.")
    lam, direction = "step" if per_step else "channel", "backward" if adjoint else "forward"
    return f"{capability}, columns 4^{columns}, time 4^{length}, {name}, lam per {lam}, {direction}"


def entry(value: Any) -> Choice | None:
    """An entry of the file as a choice; None if it is not one."""
    names = [field.name for field in fields(Choice)]
    if not isinstance(value, dict) or not set(names) <= set(value):
        return None
    if not isinstance(value["strategy"], str) or value["strategy"] == "auto":
        return None
    for name, limit in LIMITS.items():
        number = value[name]
        if type(number) is not int or not 0 < number <= limit or number & (number - 1):
            return None
    threads = value["strips"] * value["columns"]
    return Choice(**{name: value[name] for name in names}) if threads <= 32 * LIMITS["warps"] else None


def read(path: Path) -> dict[str, Choice]:
    """The entries of a file that can be used."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    entries = content.get("entries") if isinstance(content, dict) and content.get("version") == VERSION else None
    choices = {name: entry(value) for name, value in entries.items()} if isinstance(entries, dict) else {}
    return {name: choice for name, choice in choices.items() if choice}


@cache
def _entries() -> dict[str, Choice]:
    return read(FILE)


@cache
def capability(device: torch.device) -> str | None:
    """Of a CUDA device, as ``"9.0"``; None for another device."""
    if device.type != "cuda":
        return None
    return "{}.{}".format(*torch.cuda.get_device_capability(device))


@lru_cache(maxsize=1024)  # as plans are
def choose(
    capability: str | None, shape: tuple[int, int, int], dtype: torch.dtype, per_step: bool, adjoint: bool
) -> Choice | None:
    """What is fastest for inputs of this class; None where nothing was measured. Arguments as of :func:`key`."""
    return None if capability is None else _entries().get(key(capability, shape, dtype, per_step, adjoint))
