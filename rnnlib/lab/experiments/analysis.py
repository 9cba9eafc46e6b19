"""From rows of runs to points of a figure: which base rate, how sure the mean is, what was run, when and where."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ..protocol import Protocol, later_settings
from .students import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from .definition import Experiment


def best(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The paper's points: for each, the base rate with the smallest mean loss over seeds.

    Runs that diverged drop out of the mean, as in the paper, but are counted (erratum 15); a rate at which more than
    half of the seeds diverged is not chosen.

    Args:
        frame: a table of runs.
        by: columns that tell points apart.

    Returns:
        A row a point: ``by``, rate, loss (mean), error (standard error), zero_loss (mean), seeds (that converged),
        diverged (at the chosen rate).
    """
    means = (
        frame.groupby([*by, "rate"], dropna=False)
        .agg(
            loss=("loss", "mean"),
            error=("loss", "sem"),
            zero_loss=("zero_loss", "mean"),
            seeds=("loss", "count"),
            diverged=("diverged", "sum"),
        )
        .reset_index()
    )
    usable = means[means["diverged"] <= means["seeds"]]
    chosen = usable.groupby(list(by))["loss"].idxmin()
    return usable.loc[chosen].reset_index(drop=True)


def mark_survivors(ax: Axes, x: pd.Series, y: pd.Series, points: pd.DataFrame) -> None:
    """Write "6 of 10" beside each point whose mean is over fewer than all seeds, because the others diverged.

    Args:
        ax: where the points are drawn.
        x: where each of them stands.
        y: the mean of each, as drawn.
        points: from :func:`best`.
    """
    for across, up, seeds, diverged in zip(x, y, points["seeds"], points["diverged"], strict=True):
        if diverged:
            text = f"{seeds} of {seeds + diverged}"
            ax.annotate(text, (across, up), (-4, 5), textcoords="offset points", ha="right")


def settings(*experiments: Experiment) -> pd.DataFrame:
    """Tables 1 to 3 of the paper, from the definitions that ran.

    Returns:
        A row a kind of student: its name, smallest modulus at the start, units, heads, parameters, the teachers' nu_0
        and theta_0 / pi, base rates, teachers, seeds (of each, if there are several) and runs.
    """
    import pandas as pd

    def listed(values: Sequence[float]) -> str:
        return ", ".join(f"{value:g}" for value in values)

    rows = []
    show = any(later_settings(experiment.protocol) for experiment in experiments)
    later = {name for experiment in experiments for cell in experiment.cells for name in later_settings(cell)}
    for experiment in experiments:
        for cell in experiment.cells:
            runs = dataclasses.replace(experiment, cells=(cell,)).runs()
            first = {run.heads: run.member(1).layer for run in reversed(runs)}
            counts = [sum(weight.numel() for weight in first[heads].parameters()) for heads in cell.heads]
            rows.append(
                {
                    "student": LABELS.get(cell.student, cell.student),
                    "starts from": "ν₀" if cell.start is None else f"{cell.start:g}",
                    "units": cell.width,
                    "heads": listed(cell.heads),
                    "parameters": ", ".join(map(str, counts)),
                    "ν₀": listed(cell.nu0),
                    "θ₀ / π": listed(cell.theta0),
                    "base rates": listed(cell.rates),
                    "teachers": len({run.teacher for run in runs}),
                    **({"optimiser": experiment.protocol.label, "loss": experiment.protocol.loss} if show else {}),
                    **{name: listed(getattr(cell, name)) for name in sorted(later)},
                    "seeds": len(experiment.seeds),
                    "runs": len(runs),
                }
            )
    return pd.DataFrame(rows)


def together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Main tables of several experiments as one, with what tells their protocols apart.

    Args:
        frames: what :func:`rnnlib.lab.experiments.load` returned for each.

    Returns:
        Their rows, with columns optimizer (its label), trained_on (``"minibatch"`` or ``"population"``), steps, and in
        every row ratio and rotation.
    """
    import pandas as pd

    parts = []
    for frame in frames:
        protocol = Protocol(**frame.attrs["definition"]["protocol"])
        parts.append(
            frame.assign(
                ratio=frame.get("ratio", 1.0),
                rotation=frame.get("rotation", 1),
                optimizer=protocol.label,
                trained_on=protocol.loss,
                steps=protocol.steps,
            )
        )
    return pd.concat(parts, ignore_index=True)


def wall_seconds(origin: dict[str, Any]) -> float:
    """Seconds that a stored result took, those of interrupted or earlier commands that it was made from among them.

    Args:
        origin: the record of a stored result.
    """
    parts, processes = origin.get("seconds, all parts", 0.0), origin["processes"]
    if isinstance(processes, int):  # else the address of a Dask scheduler, whose workers nobody counted
        parts = max(parts, origin.get("seconds, all processes", 0.0) / processes)
    return max(origin["seconds, this command"], parts)


def provenance(frame: pd.DataFrame) -> str:
    """Where the numbers of a stored result come from, as a few lines.

    Args:
        frame: what :func:`rnnlib.lab.experiments.load` returned.
    """
    origin = frame.attrs["origin"]
    together = [name for name in origin["run together"] if name != origin["name"]]
    others = f", together with {', '.join(together)}" if together else ""
    seconds = wall_seconds(origin)
    took = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    if worked := origin.get("seconds of processor"):  # what counts where other work ran beside it
        took += f" ({worked:.0f} seconds of one core)"
    memory = f", peak memory {peak} MiB a process" if (peak := origin.get("peak MiB, largest process")) else ""
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    return (
        f"{origin['name']}: computed {origin['date'][:10]} in {took}{others}{memory}\n"
        f"on {origin['device']}; processes: {origin['processes']}; {versions}; commit {origin['commit'][:10]}"
    )
