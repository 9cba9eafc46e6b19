"""Experiments that measure instead of train: in parts, each kept once done, into the same store."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from .. import _checks
from . import store
from .definition import SCALES, check_name, content_hash
from .provenance import origin_of, peak_memory
from .runner import command

if TYPE_CHECKING:
    import pandas as pd

#: By name, column names and rows of plain numbers and strings; ``"runs"`` is the main table.
Tables = dict[str, tuple[list[str], list[tuple]]]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """An experiment whose tables are computed part by part.

    A subclass is a frozen dataclass. Its fields decide the numbers; it says what the parts are and measures one.

    Attributes:
        name: names the result and its files, as of an :class:`Experiment`.
        title: one line for ``python -m rnnlib list``.
        smaller: what changes at scales ``"book"`` (the live part) and ``"smoke"`` (tests): values of fields, by scale.
        needs: packages to import, by the extra of rnnlib that has them; checked before work begins.

    Raises:
        ValueError: the name cannot name files, or ``smaller`` has another scale or field.
    """

    needs: ClassVar[Mapping[str, Sequence[str]]] = {}

    name: str
    title: str
    smaller: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self):
        _checks.plain(self)
        check_name(self.name)
        for scale, changes in self.smaller.items():
            _checks.choice("each scale of smaller", scale, ("book", "smoke"))
            for name in changes:
                _checks.choice(f"each field of smaller[{scale!r}]", name, [item.name for item in fields(self)])

    def parts(self) -> list[str]:
        """Names of the parts, in the order of the result's rows."""
        raise TypeError(f"{type(self).__name__} must define parts()")

    def measure(self, part: str, device: str) -> Tables:
        """The rows of one part. They depend on the definition and the part alone."""
        raise TypeError(f"{type(self).__name__} must define measure()")

    def at(self, scale: str) -> Measurement:
        """This experiment at another scale.

        Raises:
            ValueError: unknown scale.
        """
        if scale not in SCALES:
            raise ValueError(f"unknown scale {scale!r}; choose from {', '.join(SCALES)}")
        return self if scale == "paper" else replace(self, **self.smaller.get(scale, {}))

    def definition(self) -> dict:
        """All that decides the numbers, as plain data."""
        kept = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("title", "smaller")}
        return {"kind": type(self).__name__} | json.loads(json.dumps(kept, default=vars))

    @property
    def hash(self) -> str:
        """Content hash of the definition, 16 hexadecimal digits."""
        return content_hash(self.definition())

    def key(self, part: str, device: str) -> str:
        """Names what is kept of a part: all of the definition, unless a subclass lets experiments share parts."""
        return content_hash([self.hash, part, device])

    @property
    def extent(self) -> str:
        """How much there is to do, for the list."""
        return f"{len(self.parts())} parts"

    def fault(self, frame: pd.DataFrame, table: str = "runs") -> str | None:
        """What is wrong with a table that its checksum does not show."""
        return None if len(frame) else "it has no rows"


def measure(
    experiment: Measurement,
    scale: str,
    *,
    device: str = "cpu",
    folder: Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure an experiment and store its result.

    Args:
        experiment: as defined.
        scale: at which scale.
        device: ``"cpu"`` or ``"cuda"``.
        folder: where the result goes; by default the package for the paper's scale, else the user's cache.
        progress: show a progress bar.

    Returns:
        The main table, read back from where it was stored.

    Raises:
        ResultError: the result cannot be written.
        ValueError: the experiment has no parts, or one twice.
    """
    from tqdm.auto import tqdm

    scaled = experiment.at(scale)
    check_name(scaled.name)  # also of a subclass with a __post_init__ of its own
    parts = scaled.parts()
    if not parts or len(set(parts)) < len(parts):
        raise ValueError(f"{scaled.name}: parts() must give different names, one at least, got {parts}")
    folder = folder or store.folder_of(scale)
    store.prepare(folder, store.home() / "blocks")
    start = time.monotonic()
    tables: Tables = {}
    seconds, processor, peak = 0.0, 0.0, 0
    for part in tqdm(parts, desc=scaled.name, unit="part", disable=not progress):
        kept = store.home() / "blocks" / f"{scaled.key(part, device)}.json"
        found = _kept(kept)
        if found is None:
            before, worked = time.monotonic(), _worked()
            found = {"tables": scaled.measure(part, device), "seconds": time.monotonic() - before}
            found |= {"processor": _worked() - worked, "peak": peak_memory()}
            store.write_text(kept, json.dumps(found))
        seconds, processor = seconds + found["seconds"], processor + found["processor"]
        peak = max(peak, found["peak"] or 0)
        for table, (columns, rows) in found["tables"].items():
            tables.setdefault(table, (columns, []))[1].extend(tuple(row) for row in rows)
    origin = origin_of(device, 1, threads=torch.get_num_threads()) | {
        "scale": scale,
        "run together": [scaled.name],
        "seconds, this command": round(time.monotonic() - start, 1),
        "seconds, all parts": round(seconds, 1),
        "seconds of processor": round(processor, 1),
        "peak MiB, largest process": peak or None,  # 0: nobody counted
    }
    store.write(scaled, tables, origin, folder)
    return store.read(scaled, folder, command(scaled.name, scale))


def _worked() -> float:
    """Seconds of processor that this process and the ones it has waited for have used."""
    return sum(os.times()[:4])


def _kept(path: Path) -> dict | None:
    """A part that an interrupted command finished."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if found.keys() == {"tables", "seconds", "processor", "peak"} else None
    except (OSError, ValueError, AttributeError):
        return None
