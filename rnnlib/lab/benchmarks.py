"""The stored benchmarks of the scan, as tables. ``make bench`` measures and stores one JSON a machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import checks
from .experiments.store import PACKAGED

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["describe", "kernels", "records", "table"]

#: Parts of a record that are tables; one that was not measured is empty.
SECTIONS = ("scan", "layer", "step", "first", "growth", "accuracy", "allocation", "host", "checks", "tuning")


def records(device: str | None = None, folder: Path = PACKAGED) -> list[dict[str, Any]]:
    """Stored benchmarks, one a machine, in the order of their names.

    Args:
        device: ``"cpu"`` or ``"cuda"``; None for all.
        folder: where they lie; by default those that come with the package.

    Raises:
        ValueError: there is no such device.
    """
    if device is not None:
        checks.choice("device", device, ("cpu", "cuda"))
    stored = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("bench-*.json"))]
    return [record for record in stored if device in (None, record["device"])]


def table(record: dict[str, Any], section: str) -> pd.DataFrame:
    """A part of a record as a data frame.

    Args:
        record: one of :func:`records`.
        section: one of ``SECTIONS``.

    Raises:
        ValueError: there is no such section.
    """
    import pandas as pd

    if section not in SECTIONS:
        raise ValueError(f"no section {section!r}; choose from {', '.join(SECTIONS)}")
    frame = pd.DataFrame(record.get(section, []))
    if "shape" in frame:
        frame["shape"] = frame["shape"].map(tuple)
    return frame


def kernels(record: dict[str, Any]) -> pd.DataFrame:
    """Timings of single passes of the Triton kernels: rows of ``"scan"`` and ``"tuning"`` that say how they were cut.

    Args:
        record: one of a GPU.

    Returns:
        The rows, with the columns ``machine``, ``strategy``, ``auto`` (the package chose it) and ``tuned`` (tried in
        search of a faster cut).
    """
    import pandas as pd

    frame = pd.concat([table(record, section) for section in ("scan", "tuning")], ignore_index=True)
    frame = frame[frame["plan"].notna()]
    return frame.assign(
        machine=record["machine"].removeprefix("NVIDIA "),
        strategy=[plan["strategy"] for plan in frame["plan"]],
        auto=frame["implementation"] == "rnnlib cuda",
        tuned=frame["implementation"] == "candidate",
    )


def describe(record: dict[str, Any]) -> str:
    """Machine, date, versions, what ran beside, what to know of the rows, and what could not be timed, as lines."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    lines = [
        f"{record['machine']}, {record['device']}, {record['threads']} threads; {record['date']}, commit "
        f"{record['commit']}; ran beside: {record['load']}",
        f"copy bandwidth {record['copy']['bytes_per_second'] / 1e9:.1f} GB/s ({record['copy']['how']})",
        versions,
        *record.get("notes", []),
    ]
    lines += [f"not timed: {name} ({why})" for name, why in record["missing"].items()]
    return "\n".join(lines)
