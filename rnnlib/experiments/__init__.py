"""The trained experiments: what they are, running them, and their stored results.

``run("fig03b", scale="book")`` trains; ``load("fig03b")`` reads the stored result at the paper's scale. An experiment
of your own is an :class:`Experiment` with cells that name registered students; pass it where a name is expected.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import direct, fig03a, fig03b, fig04cd, fig09cd, fig10d, fig11, store
from .definition import SCALES, Cell, Experiment, Run
from .runner import command, run_all
from .store import ResultError
from .students import LABELS, STUDENTS, register

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EXPERIMENTS",
    "LABELS",
    "SCALES",
    "STUDENTS",
    "Cell",
    "Experiment",
    "ResultError",
    "Run",
    "get",
    "load",
    "names",
    "register",
    "run",
    "run_all",
    "scale_from_environment",
]

EXPERIMENTS: dict[str, Experiment] = {
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
        direct.DENSE,
        direct.DIAGONAL,
    )
}


def names() -> list[str]:
    """Names of all experiments."""
    return list(EXPERIMENTS)


def get(experiment: str | Experiment) -> Experiment:
    """An experiment by name.

    Raises:
        ValueError: there is none of that name.
    """
    if isinstance(experiment, Experiment):
        return experiment
    if experiment not in EXPERIMENTS:
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


def run(experiment: str | Experiment, scale: str | None = None, **options: Any) -> pd.DataFrame:
    """Run one experiment, store its result and return the main table: a row a run.

    Args:
        experiment: its name, or one of your own.
        scale: ``"smoke"``, ``"book"`` or ``"paper"``; by default that of the environment.
        options: as for :func:`rnnlib.experiments.run_all`: device, workers, dask, folder, progress.

    Returns:
        The table; columns student, teacher, nu0, theta0, heads, rate, seed, start, width, loss, zero_loss, diverged.
    """
    found = get(experiment)
    return run_all([found], scale or scale_from_environment(), **options)[found.name]


def load(
    experiment: str | Experiment, table: str = "runs", *, scale: str = "paper", folder: Path | None = None
) -> pd.DataFrame:
    """A stored result, checked.

    Args:
        experiment: its name, or one of your own.
        table: ``"runs"``, ``"curves"`` or ``"parameters"``.
        scale: the scale it was run at.
        folder: where it lies; by default where :func:`run` stores it.

    Returns:
        The table; ``attrs["origin"]`` says when, where and how it was computed.

    Raises:
        ResultError: it is missing, damaged, edited, foreign or stale; the message says what to do.
    """
    scaled = get(experiment).at(scale)
    return store.read(scaled, folder or store.folder_of(scale), command(scaled.name, scale), table)
