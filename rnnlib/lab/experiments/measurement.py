"""Experiments that measure instead of train: in parts, each saved once done, into the same store."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from .. import checks
from ..provenance import code_hash, origin_of, peak_memory
from . import executors, store
from .definition import SCALES, content_hash
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
        checks.file_name(self.name)
        checks.title(self.title)
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
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("title", "smaller")}
        return {"kind": type(self).__name__} | json.loads(json.dumps(values, default=vars))

    @property
    def hash(self) -> str:
        """Content hash of the definition, 16 hexadecimal digits."""
        return content_hash(self.definition())

    def key(self, part: str, device: str) -> str:
        """Names the file of a part: all of the definition, unless a subclass lets experiments share parts."""
        return content_hash([self.hash, part, device])

    @property
    def workload(self) -> str:
        """How much there is to do, for the list."""
        return f"{len(self.parts())} parts"

    def schemas(self) -> dict[str, Schema]:
        """What each table must look like, by name. A result is checked against it when it is read; without one, the
        default, only its checksum is."""
        return {}

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show."""
        schemas = self.schemas()
        if not schemas:
            return None if len(frame) else "it has no rows"
        return schemas[table].problem(frame) if table in schemas else "the experiment has no such table"


def measure(
    experiment: Measurement,
    scale: str,
    *,
    device: str,
    workers: int | None = None,
    folder: Path,
    progress: bool,
    done: set[Path],
) -> pd.DataFrame:
    """Measure an experiment and store its result.

    Args:
        experiment: as defined.
        scale: at which scale.
        device: ``"cpu"`` or ``"cuda"``.
        workers: processes, on a CPU; by default this one alone.
        folder: where the result goes.
        progress: show a progress bar.
        done: files of parts that this command has measured, for experiments that share parts; those of this one are
            added. The caller deletes them once all results are stored.

    Returns:
        The main table, read back from where it was stored.

    Raises:
        ResultError: the result cannot be written, or a worker process died.
        ValueError: the experiment has no parts, or one twice, or the name of a table cannot name a file.
    """
    scaled, work = experiment.at(scale), store.home() / "blocks"
    checks.file_name(scaled.name)  # also of a subclass with a __post_init__ of its own
    names = scaled.parts()
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{scaled.name}: parts() must give different names, one at least, got {names}")
    store.prepare(folder, work)
    start, code = time.monotonic(), code_hash(type(scaled))
    paths = {name: work / f"{scaled.key(name, device)}.json" for name in names}
    parts = {name: part for name, path in paths.items() if (part := _load(path, code)) is not None}
    resumed = any(paths[name] not in done for name in parts)
    waiting = [name for name in names if name not in parts]
    workers = max(1, min(workers or 1, len(waiting))) if device == "cpu" else 1
    with contextlib.closing(_measure_all(scaled, waiting, device, code, workers, progress)) as measured:
        for name, part in measured:
            store.write_text(paths[name], store.sealed(part))
            parts[name] = part
    done.update(paths.values())
    tables: Tables = {}
    for part in (parts[name] for name in names):
        for table, (columns, rows) in part["tables"].items():
            tables.setdefault(table, (columns, []))[1].extend(tuple(row) for row in rows)
    origin = origin_of(device, workers, threads=_threads(workers)) | {
        "scale": scale,
        "run together": [scaled.name],
        "seconds, this command": round(time.monotonic() - start, 1),
        "seconds, all parts": round(sum(part["seconds"] for part in parts.values()), 1),
        "seconds of processor": round(sum(part["processor"] for part in parts.values()), 1),
        "resumed": resumed,
        "peak MiB, largest process": max(part["peak"] or 0 for part in parts.values()) or None,  # 0: nobody counted
    }
    store.write(scaled, tables, origin, folder)
    return store.read(scaled, folder, store.command(scaled.name, scale, folder))


def _measure_all(
    experiment: Measurement, names: Sequence[str], device: str, code: str, workers: int, progress: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names of parts with what they give, in the order in which they are done."""
    from tqdm.auto import tqdm

    bar = functools.partial(tqdm, desc=experiment.name, unit="part", total=len(names), disable=not progress)
    if workers == 1:
        for name in bar(names):
            yield name, _measure(experiment, name, device, code)
        return
    with executors.processes(workers, len(names)) as (executor, _):
        running = {
            executor.submit(_measure_with, _threads(workers), experiment, name, device, code): name for name in names
        }
        for future in bar(concurrent.futures.as_completed(running)):
            yield running[future], future.result()


def _threads(workers: int) -> int:
    """PyTorch's in each of so many processes."""
    return max(1, torch.get_num_threads() // workers)


def _measure_with(threads: int, *arguments: Any) -> dict[str, Any]:
    """In a process of its own."""
    torch.set_num_threads(threads)
    return _measure(*arguments)


def _measure(experiment: Measurement, part: str, device: str, code: str) -> dict[str, Any]:
    """A part, as it is saved until the result is stored."""
    start, worked = time.monotonic(), _worked()
    tables = experiment.measure(part, device)
    for table in tables:
        # begins with a letter: what follows the last "." of an experiment's name does not, so no two share a file
        if not isinstance(table, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", table):
            raise ValueError(
                "the name of a table must be letters, digits, '_' or '-', first a letter (it names a file), "
                f"got {table!r}"
            )
    return {
        "code": code,
        "tables": tables,
        "seconds": time.monotonic() - start,
        "processor": _worked() - worked,
        "peak": peak_memory(),
    }


def _worked() -> float:
    """Seconds of processor that this process and the ones it has waited for have used."""
    return sum(os.times()[:4])


def _load(path: Path, code: str) -> dict | None:
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
