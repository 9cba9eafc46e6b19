"""Experiments that measure instead of train: in parts, each kept once done, into the same store."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from .. import checks
from ..provenance import code_hash, origin_of, peak_memory
from . import store
from .definition import SCALES, check_name, check_title, content_hash
from .schema import Schema

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
        ValueError: the name cannot name files, the title is no line of text, or ``smaller`` has another scale or
            field.
    """

    needs: ClassVar[Mapping[str, Sequence[str]]] = {}

    name: str
    title: str
    smaller: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self):
        checks.plain(self)
        check_name(self.name)
        check_title(self.title)
        if not isinstance(self.smaller, Mapping):
            raise ValueError(f"smaller must map scales to values of fields, got {self.smaller!r}")
        for scale, changes in self.smaller.items():
            checks.choice("each scale of smaller", scale, ("book", "smoke"))
            if not isinstance(changes, Mapping):
                raise ValueError(f"smaller[{scale!r}] must map names of fields to values, got {changes!r}")
            for name in changes:
                checks.choice(f"each field of smaller[{scale!r}]", name, [item.name for item in fields(self)])

    def parts(self) -> list[str]:
        """Names of the parts, in the order of the result's rows."""
        raise TypeError(f"{type(self).__name__} must define parts()")

    def measure(self, part: str, device: str) -> Tables:
        """The rows of one part, computed on ``device``. They depend on the definition and the part alone, up to
        rounding on another device."""
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

    def schemas(self) -> dict[str, Schema]:
        """What each table must look like, by name. A result is checked against it when it is read; without one, the
        default, only its checksum is."""
        return {}

    def fault(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show."""
        schemas = self.schemas()
        if not schemas:
            return None if len(frame) else "it has no rows"
        return schemas[table].fault(frame) if table in schemas else "the experiment has no such table"


def measure(
    experiment: Measurement,
    scale: str,
    *,
    device: str = "cpu",
    folder: Path | None = None,
    progress: bool = True,
    measured: set[Path] | None = None,
) -> pd.DataFrame:
    """Measure an experiment and store its result.

    Args:
        experiment: as defined.
        scale: at which scale.
        device: ``"cpu"`` or ``"cuda"``.
        folder: where the result goes; by default one among the user's data.
        progress: show a progress bar.
        measured: files of the parts of experiments that run together and may share parts; those of this one are added,
            and the caller deletes them. Without it they are deleted once the result is stored.

    Returns:
        The main table, read back from where it was stored.

    Raises:
        ResultError: the result cannot be written.
        ValueError: the experiment has no parts, or one twice, or the name of a table cannot name a file.
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
    seconds, processor, peak, resumed = 0.0, 0.0, 0, False
    code = code_hash(type(scaled))
    own: set[Path] = set()
    for part in tqdm(parts, desc=scaled.name, unit="part", disable=not progress):
        path = store.home() / "blocks" / f"{scaled.key(part, device)}.json"
        found = _finished(path, code)
        if found is None:
            before, worked = time.monotonic(), _worked()
            found = {"code": code, "tables": scaled.measure(part, device), "seconds": time.monotonic() - before}
            found |= {"processor": _worked() - worked, "peak": peak_memory()}
            for table in found["tables"]:
                _check_table(table)
            store.write_text(path, store.sealed(found))
        else:
            resumed |= path not in (measured or ())
        own.add(path)
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
        "resumed": resumed,
        "peak MiB, largest process": peak or None,  # 0: nobody counted
    }
    store.write(scaled, tables, origin, folder)
    frame = store.read(scaled, folder, store.command(scaled.name, scale, folder))
    if measured is None:
        forget(own)
    else:
        measured |= own
    return frame


def forget(parts: Iterable[Path]) -> None:
    """Delete the files of parts, once the results they belong to are stored."""
    for path in parts:
        path.unlink(missing_ok=True)


def _worked() -> float:
    """Seconds of processor that this process and the ones it has waited for have used."""
    return sum(os.times()[:4])


def _check_table(name: str) -> None:
    # begins with a letter: what follows the last "." of an experiment's name does not, so no two share a file
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(
            f"the name of a table must be letters, digits, '_' or '-', first a letter (it names a file), got {name!r}"
        )


def _finished(path: Path, code: str) -> dict | None:
    """A part that an interrupted command finished with the same code; None if there is none, or if it is damaged."""
    try:
        part = json.loads(path.read_text(encoding="utf-8"))
        return part if part["code"] == code and part["sha256"] == store.digest(part) and _is_whole(part) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_whole(part: dict) -> bool:
    """Whether a part that was read has what a written one has."""
    numbers = (part["seconds"], part["processor"], part["peak"] or 0)
    return all(type(number) in (int, float) for number in numbers) and all(
        all(isinstance(name, str) for name in columns)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
        for columns, rows in part["tables"].values()
    )
