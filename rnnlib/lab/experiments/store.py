"""Stored results: a tidy CSV and a JSON that says where it comes from, written whole and checked when read."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .. import files
from .requirements import need

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

#: The results that the book shows, at the paper's scale, are part of the package.
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

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show, given the main one."""


def home() -> Path:
    """The user's folder for checkpoints and results: ``RNNLIB_HOME``, or one among the user's data."""
    return Path(os.environ.get("RNNLIB_HOME") or Path.home() / ".local" / "share" / "rnnlib")


def folder_of(scale: str) -> Path:
    """Where results of a scale are stored unless another folder is named; never the package itself."""
    return home() / "results" / scale


def command(name: str, scale: str, folder: Path) -> str:
    """What to type to compute a result and store it in a folder."""
    there = "" if folder == folder_of(scale) else f" --to {folder}"
    return f"python -m rnnlib run {name} --scale {scale}{there}"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A context in which a file or folder is written; an error of the system says there what to do.

    Raises:
        ResultError: it cannot be written.
    """
    try:
        yield path
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResultError(
                f"the disk is full: {path} was not written. Free some space and give the same command again; it goes "
                "on from finished work and the last checkpoints."
            ) from error
        raise ResultError(
            f"{path} cannot be written ({error.strerror}): name another folder (for results --to on the command line, "
            "for checkpoints the variable RNNLIB_HOME)."
        ) from error


def prepare(*folders: Path) -> None:
    """Before work begins: make folders, delete what killed writers left in them, and check that they can be written.

    Raises:
        ResultError: one cannot be written.
    """
    for folder in folders:
        with writing(folder):
            files.prepare(folder)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        ResultError: the disk is full, or the folder cannot be written.
    """
    with writing(path):
        files.write(path, text.encode())


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
    texts = {}
    for table, (columns, rows) in tables.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        texts[_file(experiment.name, table)] = text.getvalue()
    record = {
        "name": experiment.name,
        "title": experiment.title,
        "hash": experiment.hash,
        **origin,
        "files": {
            name: {"rows": text.count("\n") - 1, "sha256": hashlib.sha256(text.encode()).hexdigest()}
            for name, text in texts.items()
        },
        "definition": experiment.definition(),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    # last: until then the old record does not fit the new tables, and reading says so
    write_text(folder / f"{experiment.name}.json", sealed(record))


def _file(name: str, table: str) -> str:
    return f"{name}.csv" if table == "runs" else f"{name}.{table}.csv"


def sealed(record: dict[str, Any]) -> str:
    """The text of a record, with a checksum of all the rest in it, ``"sha256"``."""
    return json.dumps(record | {"sha256": digest(record)}, indent=1, ensure_ascii=False) + "\n"


def digest(record: dict[str, Any]) -> str:
    """Checksum of a record: of its content, whatever the order of keys, spaces and line ends."""
    plain = {key: value for key, value in record.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


_NUMBER = (int, float)
_TYPES = {  # of the entries that every record has; what else there is depends on what ran
    "name": (str,),
    "title": (str,),
    "hash": (str,),
    "commit": (str,),
    "date": (str,),
    "device": (str,),
    "processes": (int, str),  # or the address of a Dask scheduler
    "threads a process": (int,),
    "versions": (dict,),
    "scale": (str,),
    "run together": (list,),
    "seconds, this command": _NUMBER,
    "files": (dict,),
    "definition": (dict,),
    "sha256": (str,),
}
_OPTIONAL = {
    "seconds, all processes": _NUMBER,
    "seconds, all parts": _NUMBER,
    "seconds of processor": _NUMBER,
    "resumed": (bool,),
    "peak MiB, largest process": (int, type(None)),
}


def record(experiment: Stored, folder: Path, command: str) -> dict[str, Any]:
    """The JSON of a stored result, once it fits the experiment.

    Raises:
        ResultError: there is none, or it is damaged, edited, foreign or stale.
    """
    path = folder / f"{experiment.name}.json"
    again = f"Compute it with: {command}"
    if not path.exists():
        raise ResultError(f"there is no stored result of {experiment.name} ({path}). {again}")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(f"{path} is damaged ({type(error).__name__}: {error}). {again}") from error
    if not isinstance(stored, dict):
        raise ResultError(f"{path} is damaged: it holds no record. {again}")
    wrong = _malformed(stored)
    if wrong == ["sha256"]:
        raise ResultError(f"{path} has no checksum of its own: an older rnnlib stored it, or it was edited. {again}")
    if wrong:
        raise ResultError(f"{path} is damaged: {', '.join(wrong)} missing or of another type. {again}")
    if stored["name"] != experiment.name:
        raise ResultError(f"{path} holds the result of another experiment, {stored['name']!r}. {again}")
    if _file(experiment.name, "runs") not in stored["files"]:
        raise ResultError(f"{path} is damaged: its main table is not among its files. {again}")
    if stored["hash"] != experiment.hash:
        raise ResultError(
            f"{path} is stale or foreign: its hash is {stored['hash']}, the definition's is {experiment.hash}, so its "
            f"numbers are those of another grid or protocol. {again}"
        )
    if digest(stored["definition"]) != digest(experiment.definition()):
        raise ResultError(f"{path} was edited: its definition is not the experiment's, though its hash is. {again}")
    if stored["sha256"] != digest(stored):
        raise ResultError(f"{path} was edited: it does not match its checksum. {again}")
    return stored


def _malformed(stored: dict[str, Any]) -> list[str]:
    """The entries that are missing or not of the type that readers rely on."""
    wrong = [key for key, kinds in _TYPES.items() if type(stored.get(key)) not in kinds]
    wrong += [key for key, kinds in _OPTIONAL.items() if key in stored and type(stored[key]) not in kinds]
    if wrong:
        return wrong
    for key, entries in (("versions", stored["versions"].values()), ("run together", stored["run together"])):
        wrong += [key] * (not all(isinstance(entry, str) for entry in entries))
    for name, table in stored["files"].items():
        kinds = [type(table.get(key)) for key in ("rows", "sha256")] if isinstance(table, dict) else []
        wrong += [f"files: {name}"] * (kinds != [int, str])
    return wrong


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
        RequirementError: pandas is missing.
        ResultError: the result is missing, damaged, edited, foreign or stale.
    """
    need("pandas", extra="lab")
    import pandas as pd

    stored = record(experiment, folder, command)
    again = f"Compute it with: {command}"
    name = _file(experiment.name, table)
    if name not in stored["files"]:
        have = ", ".join(stored["files"])
        raise ResultError(f"{experiment.name} has no table {table!r}; it has {have}.")
    path, expected = folder / name, stored["files"][name]
    if not path.exists():
        raise ResultError(f"{path} is missing. {again}")
    try:
        text = path.read_bytes().replace(b"\r\n", b"\n")  # a checkout may have the line ends of Windows
    except OSError as error:
        raise ResultError(f"{path} cannot be read ({error.strerror}). {again}") from error
    if hashlib.sha256(text).hexdigest() != expected["sha256"]:
        rows = text.count(b"\n") - 1
        how = f"{rows} of {expected['rows']} rows are there" if rows != expected["rows"] else "a number was changed"
        raise ResultError(f"{path} is damaged: it does not match its checksum ({how}). {again}")
    try:
        texts = dict.fromkeys(("student", "loss", "zero_loss"), str)  # a student may be called "1" or "None"
        frame = pd.read_csv(io.BytesIO(text), dtype=texts, keep_default_na=False, na_values=["", "nan"])
        header = next(csv.reader([text.partition(b"\n")[0].decode()]))
        for column in {"loss", "zero_loss"} & set(frame.columns):
            frame[column] = frame[column].astype(float)  # to the last digit, which pandas 2's own parser may miss
    except ValueError as error:  # the checksum holds, so both were edited
        raise ResultError(f"{path} is no table of numbers ({error}). {again}") from error
    if not isinstance(frame.index, pd.RangeIndex):  # rows longer than the header
        raise ResultError(f"{path} is no table of numbers (some rows are longer than its header). {again}")
    if header != list(frame.columns):  # which pandas reads without complaint
        raise ResultError(f"{path} was edited: its header has a byte order mark, or a column twice. {again}")
    if len(frame) != expected["rows"]:
        raise ResultError(f"{path} was edited: it has {len(frame)} rows, its record says {expected['rows']}. {again}")
    wrong = experiment.problem(frame, table, frame if table == "runs" else read(experiment, folder, command))
    if wrong:
        raise ResultError(f"{path} was edited: {wrong}. {again}")
    frame.attrs["definition"] = stored.pop("definition")
    frame.attrs["origin"] = stored
    return frame
