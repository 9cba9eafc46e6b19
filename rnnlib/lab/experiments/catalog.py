"""The experiments by name: which there are, running them, and reading their stored results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import checks
from . import (
    angles,
    beyond,
    carry_over,
    fig12,
    fig14,
    fig15,
    fixed_poles,
    grids,
    history,
    long_inputs,
    moving_gates,
    orthogonality,
    plateaus,
    precision,
    propagation,
    rounding,
    runner,
    storage,
    store,
)
from .definition import SCALES, Experiment
from .devices import choose_device
from .measurement import Measurement, measure
from .requirements import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


#: Those beyond the paper, in the order in which they run.
BEYOND: tuple[Experiment | Measurement, ...] = (
    *beyond.BEYOND,
    history.EXPERIMENT,
    plateaus.EXPERIMENT,
    orthogonality.EXPERIMENT,
    *carry_over.CARRY_OVER,
)

EXPERIMENTS: dict[str, Experiment | Measurement] = {
    experiment.name: experiment
    for experiment in (
        grids.FIG03A,
        grids.FIG03B,
        grids.FIG04CD,
        grids.FIG09CD,
        grids.FIG10D,
        grids.FIG11,
        grids.FIG03B_CORRECTED,
        grids.FIG03A_TEACHERS,
        grids.FIG03A_WIDER,
        grids.FIG03A_AGAIN,
        grids.FIG03B_TEACHERS,
        grids.FIG03B_WIDER,
        grids.FIG04CD_TEACHERS,
        grids.FIG09CD_TEACHERS,
        grids.FIG10D_TEACHERS,
        grids.FIG10D_WIDER,
        grids.FIG11_TEACHERS,
        propagation.FIG05_DRAWS,
        fig12.EXPERIMENT,
        fig14.EXPERIMENT,
        fig15.EXPERIMENT,
        grids.DIRECT_DENSE,
        grids.DIRECT_DIAGONAL,
        rounding.EXPERIMENT,
        precision.EXPERIMENT,
        moving_gates.EXPERIMENT,
        fixed_poles.EXPERIMENT,
        fixed_poles.LEARNED,
        fixed_poles.LEARNED_WIDER,
        storage.EXPERIMENT,
        storage.WIDER,
        angles.ONE_UNIT,
        angles.FRESH,
        angles.TEACHERS,
        angles.NARROW,
        angles.NARROW_WIDER,
        angles.OTHERS,
        angles.OTHERS_WIDER,
        long_inputs.EXPERIMENT,
        *BEYOND,
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
        workers: processes. By default one a core trains, and measurements use this one.
        dask: address of a Dask scheduler whose workers train; measurements run here.
        folder: where results go; by default one among the user's data (``RNNLIB_HOME`` names another), never the
            package.
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
    need("pandas", "scipy", "tqdm", extra="lab")
    if workers is not None:
        workers = checks.whole("workers", workers)
    if not isinstance(dask, str | None):
        raise ValueError(f"dask must be the address of a scheduler, such as 'tcp://127.0.0.1:8786', got {dask!r}")
    if not isinstance(progress, bool):
        raise ValueError(f"progress must be True or False, got {progress!r}")
    checks.within("checkpoint_seconds", checkpoint_seconds, "[0, inf)")
    folder = _folder(folder) or store.folder_of(scale)
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
    frames = runner.train(trained, scale, **options, **training) if trained else {}
    parts: set[Path] = set()  # experiments share some
    for experiment in experiments:
        if isinstance(experiment, Measurement):
            frames[experiment.name] = measure(experiment, scale, **options, workers=workers, done=parts)
    for part in parts:
        part.unlink(missing_ok=True)
    return {experiment.name: frames[experiment.name] for experiment in experiments}


def _folder(folder: Path | str | None) -> Path | None:
    if folder is None:
        return None
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise ValueError(f"folder must be the path of a folder, got {folder!r}")
    return Path(folder)


def run(experiment: str | Experiment | Measurement, scale: str | None = None, **options: Any) -> pd.DataFrame:
    """Run one experiment, store its result and return the main table.

    Args:
        experiment: its name, or one of your own.
        scale: ``"smoke"``, ``"book"`` or ``"paper"``; by default that of the environment.
        options: as for :func:`rnnlib.lab.experiments.run_all`: device, workers, dask, folder, progress.

    Returns:
        The table; of a trained experiment, columns student, teacher, nu0, theta0, heads, rate, seed, start, width,
        loss, zero_loss, diverged.
    """
    experiment = get(experiment)
    return run_all([experiment], scale or scale_from_environment(), **options)[experiment.name]


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
        folder: where it lies; by default the package for the paper's scale, else where :func:`run` stores it.

    Returns:
        The table; ``attrs["origin"]`` says when, where and how it was computed.

    Raises:
        ResultError: it is missing, damaged, edited, foreign or stale; the message says what to do.
    """
    scaled = get(experiment).at(scale)
    folder = _folder(folder) or (store.PACKAGED if scale == "paper" else store.folder_of(scale))
    return store.read(scaled, folder, store.command(scaled.name, scale, folder), table)
