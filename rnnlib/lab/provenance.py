"""Where numbers come from: commit, machine, versions, memory."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import rnnlib

PACKAGE = Path(rnnlib.__file__).resolve().parent


def origin_of(device: str, workers: int | str, *, threads: int) -> dict[str, Any]:
    """Where numbers come from: commit, date, device, processes, threads of each, versions."""
    return {
        "commit": commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{processor()}, {os.cpu_count()} cores",
        "processes": workers,
        "threads a process": threads,
        "versions": versions("torch", "numpy") | {"rnnlib": rnnlib.__version__},
    }


def versions(*packages: str) -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    result = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            result[package] = importlib.metadata.version(package)
    return result


@functools.cache  # of the code that this process runs: files that change later do not count
def code_hash(kind: type | None = None) -> str:
    """16 hexadecimal digits that name the code of this package, and that of a class defined elsewhere."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))]
    if kind is not None and not kind.__module__.startswith("rnnlib."):
        with contextlib.suppress(OSError, TypeError):
            module = sys.modules.get(kind.__module__)
            sources.append(inspect.getsource(module if getattr(module, "__file__", None) else kind.measure))
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


#: Where the teachers' draws are stored. The first holds 0 to 9; results with these alone do not depend on the second.
TEACHER_FILES = ("teachers.csv", "more-teachers.csv")
IN_FIRST_FILE = 10


def teachers_hash(largest: int) -> str:
    """16 hexadecimal digits that name the stored teachers.

    Args:
        largest: the last one that is used.
    """
    files = TEACHER_FILES[: 1 if largest < IN_FIRST_FILE else 2]
    data = b"".join((PACKAGE / "lab" / name).read_bytes() for name in files)
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()[:16]  # git on Windows may change line ends


def peak_memory() -> int | None:
    """MiB that this process or the largest of its finished children held at most; None where nobody counts."""
    try:
        import resource
    except ImportError:
        return None
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(most / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def processor() -> str:
    """The name that the processor gives itself."""
    with contextlib.suppress(OSError):
        if names := re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return names[0]
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit of a checkout, with "+" if files of the package have changed since; "unknown" when installed."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (
            "+" if git("status", "--porcelain", "--", "*.py", "lab/*teachers.csv") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
