"""Tables of a trained experiment: made from what its blocks measured, and checked against its grid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from .definition import Experiment

COLUMNS = ["student", "teacher", "nu0", "theta0", "heads", "rate", "seed", "start", "width"]


def tables(
    experiment: Experiment, trained: Sequence[tuple[dict[str, np.ndarray], int]]
) -> dict[str, tuple[list[str], list[tuple]]]:
    """By name, column names and rows; ``"runs"`` is the main table.

    Args:
        experiment: at the scale it was run.
        trained: of each of its runs, the arrays of its block and the place in them.
    """
    runs = experiment.runs()
    settings = [tuple(getattr(run, column) for column in COLUMNS) for run in runs]
    rows = []
    for setting, (arrays, index) in zip(settings, trained, strict=True):
        loss, zero_loss = float(arrays["loss"][index]), float(arrays["zero_loss"][index])
        rows.append(
            (*setting, "" if math.isnan(loss) else repr(loss), repr(zero_loss), bool(arrays["diverged"][index]))
        )
    result = {"runs": ([*COLUMNS, "loss", "zero_loss", "diverged"], rows)}
    if experiment.details in ("curves", "coarse curves"):
        coarse, report = experiment.details == "coarse curves", experiment.protocol.report
        names = ["student", *["start"] * coarse, "heads", "rate", "seed"]
        curves = []
        for run, (arrays, index) in zip(runs, trained, strict=True):
            if coarse and arrays["diverged"][index]:
                continue
            setting = [getattr(run, name) for name in names]
            for epoch, numbers in enumerate(np.column_stack([arrays["curve"][index], arrays["rates"][index]]), 1):
                if epoch % (5 if coarse else 1) == 0:
                    curves.append((*setting, epoch * report, *(f"{number:.6g}" for number in numbers)))
        result["curves"] = ([*names, "step", "loss", "effective", "effective_plain", "negative"], curves)
    if experiment.details == "parameters":  # of the first seed: a dot a parameter
        result["parameters"] = (
            ["student", "start", "seed", "parameter", "index", "effective", "effective_plain"],
            [
                (run.student, run.start, run.seed, name.split("/")[2], place, f"{paper:.6g}", f"{plain:.6g}")
                for run, (arrays, index) in zip(runs, trained, strict=True)
                if run.seed == experiment.seeds[0]
                for name, values in arrays.items()
                if name.startswith(f"rates/{index}/")
                for place, (paper, plain) in enumerate(values.T)
            ],
        )
    return result


def fault(experiment: Experiment, frame: pd.DataFrame, table: str) -> str | None:
    """What is wrong with a stored table although its checksum holds; None if nothing is.

    Args:
        experiment: at the scale it was run.
        frame: the table.
        table: its name.
    """
    import pandas as pd

    grid = pd.DataFrame([[getattr(run, name) for name in COLUMNS] for run in experiment.runs()], columns=COLUMNS)
    return _fault_of_runs(frame, grid) if table == "runs" else _fault_of_details(experiment, frame, grid, table)


def _fault_of_runs(frame: pd.DataFrame, grid: pd.DataFrame) -> str | None:
    if len(frame) != len(grid):
        return f"it has {len(frame)} rows, the experiment has {len(grid)} runs"
    columns = [*COLUMNS, "loss", "zero_loss", "diverged"]
    if list(frame.columns) != columns:
        return f"its columns are {', '.join(map(str, frame.columns))}, not {', '.join(columns)}"
    for column in COLUMNS:
        for row in np.flatnonzero(_plain(frame[column]) != _plain(grid[column]))[:1]:
            return f"row {row + 1}: {column} is {frame[column][row]}, the experiment's is {grid[column][row]}"
    if frame["diverged"].dtype != bool:
        return "diverged is not True or False in every row"
    loss, zero_loss, diverged = frame["loss"], frame["zero_loss"], frame["diverged"]
    for rows, what in (
        (loss.isna() & ~diverged, "no loss, and not marked as diverged"),
        (loss.notna() & diverged, "a loss, and marked as diverged"),
        (~np.isfinite(loss.fillna(0)) | (loss < 0), "a loss that is negative or infinite"),
        (~np.isfinite(zero_loss) | (zero_loss < 0), "a zero_loss that is no finite number from 0"),
    ):
        if rows.any():
            return f"row {np.flatnonzero(rows)[0] + 1}: {what}"
    return None


def _fault_of_details(experiment: Experiment, frame: pd.DataFrame, grid: pd.DataFrame, table: str) -> str | None:
    """Each row is of a run; each run in the table is there once, with all its steps."""
    keys = [name for name in frame.columns if name in COLUMNS]
    within = [name for name in ("step", "parameter", "index") if name in frame.columns]
    if not keys or within != (["step"] if table == "curves" else ["parameter", "index"]):
        return f"its columns are {', '.join(map(str, frame.columns))}"
    runs = Counter(zip(*(_plain(grid[name]) for name in keys), strict=True))  # some differ in what is not in the table
    rows: dict[tuple, list] = {}
    for number, key in enumerate(zip(*(_plain(frame[name]) for name in keys), strict=True)):
        if key not in runs:
            settings = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
            return f"row {number + 1}: the experiment has no run of {settings}"
        rows.setdefault(key, []).append(number)
    for key, numbers in rows.items():
        if max(Counter(map(tuple, frame.loc[numbers, within].to_numpy().tolist())).values()) > runs[key]:
            return f"row {numbers[0] + 1} and others: a row is there twice"
    if table == "curves":
        apart = experiment.protocol.report * (5 if experiment.details == "coarse curves" else 1)
        steps = list(range(apart, experiment.protocol.steps + 1, apart))
        for numbers in rows.values():
            if frame.loc[numbers, "step"].tolist() != steps * (len(numbers) // len(steps)):
                return f"row {numbers[0] + 1} and others: not the steps {apart}, {2 * apart}, ... of a run"
        if experiment.details == "curves" and len(frame) != len(grid) * len(steps):
            return f"it has {len(frame)} rows, the experiment has {len(grid)} runs of {len(steps)} epochs"
    return None


def _plain(column: pd.Series) -> np.ndarray:
    """Values that can be compared: to 12 digits, which pandas 2 reads right."""
    return np.array([f"{value:.12g}" if isinstance(value, int | float) else str(value) for value in column.tolist()])
