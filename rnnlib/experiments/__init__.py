"""The experiments: what they are, running them, and their stored results.

``run("fig03b", scale="book")`` trains; ``load("fig03b")`` reads the stored result at the paper's scale. An experiment
of your own is an :class:`Experiment` with cells that name registered students, or a :class:`Measurement` that computes
its tables part by part; pass it where a name is expected.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _checks
from . import (
    direct,
    fig03a,
    fig03b,
    fig04cd,
    fig05,
    fig09cd,
    fig10d,
    fig11,
    fig12,
    fig13,
    fig14,
    fig15,
    precision,
    rounding,
    runner,
    store,
)
from .definition import SCALES, Cell, Experiment, Run
from .devices import DEVICES, choose_device
from .measurement import Measurement, forget, measure
from .requirements import RequirementError, need
from .store import ResultError
from .students import LABELS, STUDENTS, register

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = [
    "DEVICES",
    "EXPERIMENTS",
    "LABELS",
    "SCALES",
    "STUDENTS",
    "Cell",
    "Experiment",
    "Measurement",
    "RequirementError",
    "ResultError",
    "Run",
    "choose_device",
    "get",
    "load",
    "names",
    "register",
    "run",
    "run_all",
    "scale_from_environment",
]

EXPERIMENTS: dict[str, Experiment | Measurement] = {
    experiment.name: experiment
    for experiment in (
        fig03a.EXPERIMENT,
        fig03b.EXPERIMENT,
        fig04cd.EXPERIMENT,
        fig09cd.EXPERIMENT,
        fig10d.EXPERIMENT,
        fig11.EXPERIMENT,
        fig03a.CORRECTED,
        fig03b.CORRECTED,
        fig11.CORRECTED,
        fig05.EXPERIMENT,
        fig05.COMPARED,
        fig12.EXPERIMENT,
        fig13.EXPERIMENT,
        fig14.EXPERIMENT,
        fig15.EXPERIMENT,
        direct.DENSE,
        direct.DIAGONAL,
        rounding.EXPERIMENT,
        precision.EXPERIMENT,
    )
}


def names() -> list[str]:
    """Names of all experiments."""
    return list(EXPERIMENTS)


def get(experiment: str | Experiment | Measurement) -> Experiment | Measurement:
    """An experiment by name.

    Raises:
        ValueError: there is none of that name.
    """
    if isinstance(experiment, Experiment | Measurement):
        return experiment
    if not isinstance(experiment, str) or experiment not in EXPERIMENTS:
        raise ValueError(f"no experiment {experiment!r}; choose from {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[experiment]


def scale_from_environment() -> str:
    """``RNNLIB_SCALE``, by default ``"book"``.

    Raises:
        ValueError: it is set to something else than a scale.
    """
    scale = os.environ.get("RNNLIB_SCALE") or "book"
    if scale not in SCALES:
        raise ValueError(f"RNNLIB_SCALE is {scale!r}; choose from {', '.join(SCALES)}")
    return scale


def run_all(
    experiments: Sequence[str | Experiment | Measurement],
    scale: str,
    *,
    device: str = "cpu",
    workers: int | None = None,
    dask: str | None = None,
    folder: Path | str | None = None,
    progress: bool = True,
    checkpoint_seconds: float = 30.0,
) -> dict[str, pd.DataFrame]:
    """Run experiments and store their results. Interrupted, the same call goes on.

    Args:
        experiments: as defined, or their names; training runs they share are trained once.
        scale: at which scale.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where PyTorch sees a device, else the CPU, and with Dask the
            CPU of its workers. The default is the CPU because a result stored there comes out again to the last bit; a
            GPU gives other last digits. The result names its device.
        workers: processes that train, by default one a core; measurements use this one.
        dask: address of a Dask scheduler whose workers train; measurements run here.
        folder: where results go; by default the package for the paper's scale, else the user's cache.
        progress: show a progress bar.
        checkpoint_seconds: how often each process that trains writes a checkpoint.

    Returns:
        The main table of each, by name, read back from where it was stored.

    Raises:
        RequirementError: a package is missing.
        ResultError: results cannot be written, or a worker process died.
        ValueError: there is no such experiment or device, no scheduler at the address, nothing that it could train, or
            an option is out of range.
    """
    device = choose_device("cpu" if device == "auto" and dask else device)
    need("pandas", "tqdm", extra="lab")
    if workers is not None:
        workers = _checks.whole("workers", workers)
    if not isinstance(dask, str | None):
        raise ValueError(f"dask must be the address of a scheduler, such as 'tcp://127.0.0.1:8786', got {dask!r}")
    if not isinstance(progress, bool):
        raise ValueError(f"progress must be True or False, got {progress!r}")
    _checks.within("checkpoint_seconds", checkpoint_seconds, "[0, inf)")
    folder = _folder(folder, scale)
    experiments = [get(experiment) for experiment in experiments]
    if len({item.name for item in experiments}) < len({(item.name, item.hash) for item in experiments}):
        raise ValueError("experiments: two have the same name, so one result would replace the other: rename one")
    for experiment in experiments:
        if isinstance(experiment, Measurement):
            for extra, modules in experiment.needs.items():
                need(*modules, extra=f"lab,{extra}")
    options = {"device": device, "folder": folder, "progress": progress}
    trained = [experiment for experiment in experiments if isinstance(experiment, Experiment)]
    if dask is not None and not trained:
        raise ValueError(
            f"dask: {dask!r} is of no use to {', '.join(item.name for item in experiments)}: measurements run on this "
            "machine, so leave it out"
        )
    training = {"workers": workers, "dask": dask, "checkpoint_seconds": checkpoint_seconds}
    frames = runner.run_all(trained, scale, **options, **training) if trained else {}
    parts: set[Path] = set()  # experiments share some
    for experiment in experiments:
        if isinstance(experiment, Measurement):
            frames[experiment.name] = measure(experiment, scale, **options, measured=parts)
    forget(parts)
    return {experiment.name: frames[experiment.name] for experiment in experiments}


def _folder(folder: Path | str | None, scale: str) -> Path:
    if folder is None:
        return store.folder_of(scale)
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise ValueError(f"folder must be the path of a folder, got {folder!r}")
    return Path(folder)


def run(experiment: str | Experiment | Measurement, scale: str | None = None, **options: Any) -> pd.DataFrame:
    """Run one experiment, store its result and return the main table.

    Args:
        experiment: its name, or one of your own.
        scale: ``"smoke"``, ``"book"`` or ``"paper"``; by default that of the environment.
        options: as for :func:`rnnlib.experiments.run_all`: device, workers, dask, folder, progress.

    Returns:
        The table; of a trained experiment, columns student, teacher, nu0, theta0, heads, rate, seed, start, width,
        loss, zero_loss, diverged.
    """
    found = get(experiment)
    return run_all([found], scale or scale_from_environment(), **options)[found.name]


def load(
    experiment: str | Experiment | Measurement,
    table: str = "runs",
    *,
    scale: str = "paper",
    folder: Path | str | None = None,
) -> pd.DataFrame:
    """A stored result, checked.

    Args:
        experiment: its name, or one of your own.
        table: ``"runs"``, the main one, or another that the experiment has, such as ``"curves"``, ``"parameters"``
            or ``"fits"``.
        scale: the scale it was run at.
        folder: where it lies; by default where :func:`run` stores it.

    Returns:
        The table; ``attrs["origin"]`` says when, where and how it was computed.

    Raises:
        ResultError: it is missing, damaged, edited, foreign or stale; the message says what to do.
    """
    scaled = get(experiment).at(scale)
    return store.read(scaled, _folder(folder, scale), runner.command(scaled.name, scale), table)
