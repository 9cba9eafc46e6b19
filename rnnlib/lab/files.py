"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import zipfile
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows, which does not delete a file that somebody writes
    fcntl = None

__all__ = ["prepare", "read_arrays", "remove_abandoned", "write", "write_arrays"]

_SUFFIX = ".tmp"


def write(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it: a kill leaves the old file or the new one.

    Args:
        path: the file; its folder is made.
        data: what it holds.

    Raises:
        OSError: it cannot be written, for instance because the disk is full; what was there stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        with _locked(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if fcntl:
                temporary.replace(path)  # before the lock goes
        if not fcntl:
            temporary.replace(path)  # only a closed file can be renamed there
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}{_SUFFIX}")


def _locked(path: Path) -> io.BufferedWriter:
    """A new file, locked until it is closed or its writer dies, which is how :func:`remove_abandoned` knows."""
    while True:
        file = path.open("wb")
        if fcntl:
            with contextlib.suppress(OSError):  # a file system without locks: there remove_abandoned deletes nothing
                fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return file
        file.close()  # remove_abandoned came between


def prepare(folder: Path) -> None:
    """Make a folder, delete what killed writers left in it, and check that files can be made there.

    Raises:
        OSError: they cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    probe = _temporary(folder / "probe")
    try:
        _locked(probe).close()
    finally:
        probe.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Delete temporary files whose writers were killed; those of living processes stay.

    Args:
        folder: where to look; subfolders are left alone.
    """
    for path in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError), path.open("r+b") as file:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        if not fcntl:
            with contextlib.suppress(OSError):
                path.unlink()


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as an uncompressed .npz, whole or not at all.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    buffer = io.BytesIO()  # at a full disk, zipfile would raise once more when it is closed
    np.savez(buffer, **arrays)
    write(path, buffer.getbuffer())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what :func:`write_arrays` wrote; the archive's checksums are verified.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, NotImplementedError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it to start from the first step") from error
