"""Tables of a trained experiment: made from what its blocks measured, and checked against its grid."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..protocol import later_settings
from .schema import Schema
from .students import STUDENTS

if TYPE_CHECKING:
    import pandas as pd

    from .definition import Experiment, Run

_KINDS = {
    "student": "text",
    "teacher": "whole",
    "nu0": "number",
    "theta0": "number",
    "heads": "whole",
    "rate": "number",
    "seed": "whole",
    "start": "number",
    "width": "whole",
    "ratio": "number",
    "rotation": "whole",
}
_OPTIONAL = ("ratio", "rotation")  # where one differs from 1
_CURVES = ("curves", "halfway")
_GROUP_KEYS = ["student", "start", "seed", "parameter"]


def tables(
    experiment: Experiment, trained: Sequence[tuple[dict[str, np.ndarray], int]]
) -> dict[str, tuple[list[str], list[tuple]]]:
    """By name, column names and rows; ``"runs"`` is the main table.

    Args:
        experiment: at the scale it was run.
        trained: of each of its runs, the arrays of its block and its index in them.
    """
    runs = experiment.runs()
    columns = columns_of(experiment)
    settings = [tuple(getattr(run, column) for column in columns) for run in runs]
    rows = []
    for setting, (arrays, index) in zip(settings, trained, strict=True):
        loss, zero_loss = float(arrays["loss"][index]), float(arrays["zero_loss"][index])
        rows.append(
            (*setting, "" if math.isnan(loss) else repr(loss), repr(zero_loss), bool(arrays["diverged"][index]))
        )
    result = {"runs": ([*columns, "loss", "zero_loss", "diverged"], rows)}
    if experiment.details in _CURVES:
        names, steps = _names_of_curves(experiment), _steps(experiment)
        curves = []
        for run, (arrays, index) in zip(runs, trained, strict=True):
            if experiment.details != "curves" and arrays["diverged"][index]:
                continue
            setting = [getattr(run, name) for name in names]
            for epoch, numbers in enumerate(np.column_stack([arrays["curve"][index], arrays["rates"][index]]), 1):
                if (step := epoch * experiment.protocol.report) in steps:
                    curves.append((*setting, step, *(f"{number:.6g}" for number in numbers)))
        result["curves"] = ([*names, "step", "loss", "effective", "effective_plain", "negative"], curves)
    if experiment.details == "parameters":  # of the first seed: a dot a parameter
        result["parameters"] = (
            ["student", "start", "seed", "parameter", "index", "effective", "effective_plain"],
            [
                (run.student, run.start, run.seed, name.split("/")[2], number, f"{paper:.6g}", f"{plain:.6g}")
                for run, (arrays, index) in zip(runs, trained, strict=True)
                if run.seed == experiment.seeds[0]
                for name, values in arrays.items()
                if name.startswith(f"rates/{index}/")
                for number, (paper, plain) in enumerate(values.T)
            ],
        )
    if experiment.details == "groups":
        result["groups"] = (
            [*_GROUP_KEYS, "size", "effective", "effective_plain", "negative"],
            [
                (run.student, run.start, run.seed, group, *_summary(*values))
                for run, (arrays, index) in zip(runs, trained, strict=True)
                for name, rates in arrays.items()
                if name.startswith(f"rates/{index}/")
                for group, values in _groups(run, name.split("/")[2], rates)
            ],
        )
    return result


def columns_of(experiment: Experiment) -> list[str]:
    """Names of what tells the runs of an experiment apart."""
    used = {name for cell in experiment.cells for name in later_settings(cell)}
    return [name for name in _KINDS if f"{name}s" in used or name not in _OPTIONAL]


@functools.cache
def _parameters(student: str, width: int, heads: int) -> dict[str, tuple[int, bool]]:
    """A student's parameters: how many numbers each has, and whether they are pairs of real and imaginary parts.

    Neither depends on a run's start or seed, and there are thousands of runs.
    """
    layer = STUDENTS[student](width, heads, 0.0, math.pi, torch.Generator().manual_seed(0))
    pairs = getattr(layer, "complex_pairs", ())
    return {name: (values.numel(), name in pairs) for name, values in layer.named_parameters()}


def _of(run: Run) -> dict[str, tuple[int, bool]]:
    return _parameters(run.student, run.width, run.heads)


def _groups(run: Run, parameter: str, values: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """A parameter's numbers ``(..., size)`` by group: those of complex parameters are (real, imaginary) in turn."""
    if _of(run)[parameter][1]:
        return [(f"{parameter}.real", values[..., ::2]), (f"{parameter}.imag", values[..., 1::2])]
    return [(parameter, values)]


def _summary(paper: np.ndarray, plain: np.ndarray) -> tuple[int, str, str, str]:
    """Of the effective rates of a group: how many, the median of the positive ones (erratum 9), the median without
    first moment, and the share of negative ones."""
    positive = paper[paper > 0]
    middle = f"{np.median(positive):.6g}" if len(positive) else ""
    return len(paper), middle, f"{np.median(plain):.6g}", f"{(paper < 0).mean():.6g}"


def problem(experiment: Experiment, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
    """What is wrong with a stored table although its checksum holds; None if nothing is.

    Args:
        experiment: at the scale it was run.
        frame: the table.
        table: its name.
        main: the main table, once it is checked.
    """
    if table == "runs":
        return _schema_of_runs(experiment).problem(frame) or _problem_of_losses(frame)
    if table == "curves" and experiment.details in _CURVES:
        return _schema_of_curves(experiment, main).problem(frame) or _problem_of_curves(experiment, frame, main)
    if table == "parameters" and experiment.details == "parameters":
        return _schema_of_parameters(experiment, main).problem(frame)
    if table == "groups" and experiment.details == "groups":
        return _schema_of_groups(experiment, main).problem(frame)
    return "the experiment has no such table"


def _schema_of_runs(experiment: Experiment) -> Schema:
    columns = columns_of(experiment)
    rows = [tuple(getattr(run, column) for column in columns) for run in experiment.runs()]
    kinds = {name: _KINDS[name] for name in columns}
    return Schema(kinds | {"loss": "size or blank", "zero_loss": "size", "diverged": "flag"}, columns, rows)


def _problem_of_losses(frame: pd.DataFrame) -> str | None:
    loss, diverged = frame["loss"], frame["diverged"]
    for rows, what in (
        (loss.isna() & ~diverged, "no loss, and not marked as diverged"),
        (loss.notna() & diverged, "a loss, and marked as diverged"),
    ):
        if rows.any():
            return f"row {np.flatnonzero(rows)[0] + 1}: {what}"
    return None


def _schema_of_curves(experiment: Experiment, main: pd.DataFrame) -> Schema:
    names = _names_of_curves(experiment)
    rows = [
        (*(getattr(run, name) for name in names), step)
        for run, diverged in zip(experiment.runs(), main["diverged"], strict=True)
        if not (diverged and experiment.details != "curves")
        for step in _steps(experiment)
    ]
    numbers = dict.fromkeys(("loss", "effective", "effective_plain", "negative"), "size or blank")
    return Schema({name: _KINDS[name] for name in names} | {"step": "whole"} | numbers, [*names, "step"], rows)


def _names_of_curves(experiment: Experiment) -> list[str]:
    start = ["start"] * (experiment.details != "curves")
    return ["student", *start, "heads", "rate", *(name for name in columns_of(experiment) if name in _OPTIONAL), "seed"]


def _steps(experiment: Experiment) -> range:
    """After which steps a curve has a row: at ends of epochs."""
    report, steps = experiment.protocol.report, experiment.protocol.steps
    apart = report if experiment.details == "curves" else max(1, steps // report // 2) * report
    return range(apart, steps + 1, apart)


def _problem_of_curves(experiment: Experiment, frame: pd.DataFrame, main: pd.DataFrame) -> str | None:
    """Once a run has diverged, and then alone, there are no numbers."""
    blank = frame["loss"].isna().to_numpy()
    negative = frame["negative"].to_numpy()
    no_mean = negative == 1  # no positive rate to average
    no_rates = blank | (experiment.protocol.optimizer != "adam")
    if experiment.details == "curves":
        end = len(_steps(experiment))
        diverged = np.repeat(main["diverged"].to_numpy(), end)
        back = ~blank & np.roll(blank, 1) & (np.arange(len(blank)) % end > 0)
    else:
        diverged, back = np.zeros(len(blank), dtype=bool), np.zeros(len(blank), dtype=bool)
    for rows, what in (
        (blank & ~diverged, "no loss, though the run did not diverge"),
        (back, "a loss after the run has diverged"),
        (frame["effective_plain"].isna() != no_rates, "a loss without effective rates, or the reverse"),
        (frame["negative"].isna() != no_rates, "a loss without effective rates, or the reverse"),
        (frame["effective"].isna() != (no_rates | no_mean), "a loss without effective rates, or the reverse"),
        (negative > 1, "a share of negative rates above 1"),
    ):
        if rows.any():
            return f"row {np.flatnonzero(rows)[0] + 1}: {what}"
    return None


def _schema_of_parameters(experiment: Experiment, main: pd.DataFrame) -> Schema:
    names = ["student", "start", "seed"]
    rows = [
        (*(getattr(run, name) for name in names), parameter, index)
        for run, diverged in zip(experiment.runs(), main["diverged"], strict=True)
        if run.seed == experiment.seeds[0] and not diverged
        for parameter, (size, _) in _of(run).items()
        for index in range(size)
    ]
    columns = {name: _KINDS[name] for name in names} | {"parameter": "text", "index": "whole"}
    return Schema(columns | {"effective": "number", "effective_plain": "size"}, [*names, "parameter", "index"], rows)


def _schema_of_groups(experiment: Experiment, main: pd.DataFrame) -> Schema:
    rows = [
        (run.student, run.start, run.seed, group, len(indices))
        for run, diverged in zip(experiment.runs(), main["diverged"], strict=True)
        if not diverged
        for parameter, (size, _) in _of(run).items()
        for group, indices in _groups(run, parameter, np.arange(size))
    ]
    columns = {"student": "text", "start": "number", "seed": "whole", "parameter": "text", "size": "whole"}
    numbers = {"effective": "size or blank", "effective_plain": "size", "negative": "size"}
    return Schema(columns | numbers, [*_GROUP_KEYS, "size"], rows)
