"""Where numbers come from: commit, machine, versions, memory."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import importlib
import inspect
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch


def origin_of(device: str, workers: int | str, *, threads: int) -> dict[str, Any]:
    """Where numbers come from: commit, date, device, processes, threads of each, versions."""
    return {
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "processes": workers,
        "threads a process": threads,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "rnnlib": importlib.import_module("rnnlib").__version__,
        },
    }


@functools.cache  # of the code that this process runs: files that change later do not count
def code_hash(kind: type | None = None) -> str:
    """16 hexadecimal digits that name the code of this package, and that of a class defined elsewhere."""
    package = Path(__file__).resolve().parent.parent
    sources = [path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))]
    if kind is not None and not kind.__module__.startswith("rnnlib."):
        with contextlib.suppress(OSError, TypeError):
            module = sys.modules.get(kind.__module__)
            sources.append(inspect.getsource(module if getattr(module, "__file__", None) else kind.measure))
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def peak_memory() -> int | None:
    """MiB that this process or the largest of its finished children held at most; None where nobody counts."""
    try:
        import resource
    except ImportError:
        return None
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(most / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def _processor() -> str:
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores"


def _commit() -> str:
    """The commit of a checkout, with "+" if files of the package have changed since; "unknown" when installed."""
    package = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=package, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", "*.py", "teachers.csv") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
