"""Stored results: a tidy CSV and a JSON that says where it comes from, written whole and checked when read."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

#: A result computed at paper scale is part of the package.
PACKAGED = Path(__file__).resolve().parent.parent / "results"


class ResultError(RuntimeError):
    """A stored result is missing, damaged, or not of the experiment it is asked for; the message says what to do."""


class Stored(Protocol):
    """What the store has to know of an experiment, at the scale it was run."""

    name: str
    title: str

    @property
    def hash(self) -> str:
        """Content hash of the definition."""

    def definition(self) -> dict:
        """All that decides the numbers, as plain data."""

    def fault(self, frame: pd.DataFrame) -> str | None:
        """What is wrong with a main table that its checksum does not show."""


def home() -> Path:
    """The folder for checkpoints and for results of other scales: ``RNNLIB_HOME``, or one in the user's cache."""
    return Path(os.environ.get("RNNLIB_HOME") or Path.home() / ".cache" / "rnnlib")


def folder_of(scale: str) -> Path:
    """Where results of a scale are stored: those of ``"paper"`` in the package, others in :func:`home`."""
    return PACKAGED if scale == "paper" else home() / "results" / scale


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        ResultError: the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary.exists():
            temporary.unlink()


def unwritable(path: Path, error: OSError) -> ResultError:
    """What to say when a file could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResultError(
            f"the disk is full: {path} was not written. Free some space and give the same command again; finished work "
            "and the last checkpoints are kept."
        )
    return ResultError(f"{path} cannot be written ({error.strerror}): name another folder (--to on the command line).")


def write(
    experiment: Stored, tables: dict[str, tuple[list[str], Iterable[tuple]]], origin: dict[str, Any], folder: Path
) -> None:
    """Store a result.

    Args:
        experiment: what was run, at the scale it was run.
        tables: by name, column names and rows; ``"runs"`` is the main one.
        origin: commit, date, device, versions and so on, for the JSON.
        folder: where.
    """
    files = {}
    for table, (columns, rows) in tables.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        files[_file(experiment.name, table)] = text.getvalue()
    record = {
        "name": experiment.name,
        "title": experiment.title,
        "hash": experiment.hash,
        **origin,
        "files": {
            name: {"rows": text.count("\n") - 1, "sha256": hashlib.sha256(text.encode()).hexdigest()}
            for name, text in files.items()
        },
        "definition": experiment.definition(),
    }
    for name, text in files.items():
        write_text(folder / name, text)
    # last: until then the old record does not fit the new tables, and reading says so
    write_text(folder / f"{experiment.name}.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _file(name: str, table: str) -> str:
    return f"{name}.csv" if table == "runs" else f"{name}.{table}.csv"


def record(experiment: Stored, folder: Path, command: str) -> dict[str, Any]:
    """The JSON of a stored result, once it fits the experiment.

    Raises:
        ResultError: there is none, or it is damaged, foreign or stale.
    """
    path = folder / f"{experiment.name}.json"
    again = f"Compute it with: {command}"
    if not path.exists():
        raise ResultError(f"there is no stored result of {experiment.name} ({path}). {again}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        name, digest, _ = found["name"], found["hash"], found["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{path} is damaged ({type(error).__name__}: {error}). {again}") from error
    if name != experiment.name:
        raise ResultError(f"{path} holds the result of another experiment, {name!r}. {again}")
    if digest != experiment.hash:
        raise ResultError(
            f"{path} is stale or foreign: its hash is {digest}, the definition's is {experiment.hash}, so its numbers "
            f"are those of another grid or protocol. {again}"
        )
    return found


def read(experiment: Stored, folder: Path, command: str, table: str = "runs") -> pd.DataFrame:
    """A table of a stored result, once every check has passed.

    Args:
        experiment: what was run, at the scale it was run.
        folder: where the result lies.
        command: what to type to compute it, for messages.
        table: ``"runs"``, the main one, or the name of another.

    Returns:
        The table; its ``attrs["origin"]`` is the JSON without the definition.

    Raises:
        ResultError: the result is missing, damaged, edited, foreign or stale.
    """
    import pandas as pd

    found = record(experiment, folder, command)
    again = f"Compute it with: {command}"
    name = _file(experiment.name, table)
    if name not in found["files"]:
        have = ", ".join(found["files"])
        raise ResultError(f"{experiment.name} has no table {table!r}; it has {have}.")
    path, expected = folder / name, found["files"][name]
    if not path.exists():
        raise ResultError(f"{path} is missing. {again}")
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() != expected["sha256"]:
        rows = text.count(b"\n") - 1
        how = f"{rows} of {expected['rows']} rows are there" if rows != expected["rows"] else "a number was changed"
        raise ResultError(f"{path} is damaged: it does not match its checksum ({how}). {again}")
    frame = pd.read_csv(io.BytesIO(text), dtype={"loss": str, "zero_loss": str})
    for column in {"loss", "zero_loss"} & set(frame.columns):
        frame[column] = frame[column].astype(float)  # to the last digit, which pandas 2's own parser may miss
    fault = experiment.fault(frame) if table == "runs" else None
    if fault:
        raise ResultError(f"{path}: {fault}. {again}")
    frame.attrs["definition"] = found.pop("definition")
    frame.attrs["origin"] = found
    return frame
