"""From rows of runs to points of a figure: which base rate, how sure the mean is, what was run, when and where."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from .students import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

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


def held_out(frame: pd.DataFrame, by: Sequence[str], *, resamples: int = 2000) -> pd.DataFrame:
    """Points whose rate is chosen on other seeds than those they report.

    For each seed, the rate with the smallest mean of log loss over the other seeds, none of them diverged; then this
    seed's loss at that rate, divided by the zero predictor's. If this seed diverges there, it counts as 1: no better
    than predicting zero.

    Args:
        frame: a table of runs.
        by: columns that tell points apart.
        resamples: bootstrap samples of the seeds.

    Returns:
        A row a point: ``by``, ratio (geometric mean of loss / zero loss), low and high (its 95 % bootstrap interval),
        diverged (seeds).
    """
    import pandas as pd

    rows = []
    for point, group in frame.groupby(list(by)):
        table = group.assign(ratio=np.log(group["loss"] / group["zero_loss"])).pivot_table(
            index="seed", columns="rate", values="ratio", dropna=False
        )
        values = table.to_numpy()
        scores = []
        for seed in range(len(values)):
            others = np.delete(values, seed, axis=0).mean(0)  # NaN where one diverged
            scores.append(np.nan if np.isnan(others).all() else values[seed, np.nanargmin(others)])
        diverged = int(np.isnan(scores).sum())
        scores = np.nan_to_num(np.array(scores), nan=0.0)
        draws = np.random.default_rng(0).choice(scores, (resamples, len(scores))).mean(1)
        low, high = np.quantile(draws, [0.025, 0.975])
        rows.append((*point, np.exp(scores.mean()), np.exp(low), np.exp(high), diverged))
    return pd.DataFrame(rows, columns=[*by, "ratio", "low", "high", "diverged"])


def settings(*experiments: Experiment) -> pd.DataFrame:
    """Tables 1 to 3 of the paper, from the definitions that ran.

    Returns:
        A row a kind of student: its name, smallest modulus at the start, units, heads, parameters, the teachers' nu_0
        and theta_0 / pi, base rates, seeds and runs.
    """
    import pandas as pd

    def listed(values: Sequence[float]) -> str:
        return ", ".join(f"{value:g}" for value in values)

    rows = []
    for experiment in experiments:
        for cell in experiment.cells:
            runs = dataclasses.replace(experiment, cells=(cell,)).runs()
            first = {run.heads: run.member(1).layer for run in runs if run.seed == experiment.seeds[0]}
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
                    "seeds": len(experiment.seeds),
                    "runs": len(runs),
                }
            )
    return pd.DataFrame(rows)


def provenance(frame: pd.DataFrame) -> str:
    """Where the numbers of a stored result come from, as a few lines.

    Args:
        frame: what :func:`rnnlib.experiments.load` returned.
    """
    origin = frame.attrs["origin"]
    together = [name for name in origin["run together"] if name != origin["name"]]
    others = f", together with {', '.join(together)}" if together else ""
    seconds = origin.get("seconds, all parts", origin["seconds, this command"])
    took = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    memory = f", peak memory {origin['peak memory, GiB']} GiB" if "peak memory, GiB" in origin else ""
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    return (
        f"{origin['name']}: computed {origin['date'][:10]} in {took}{others}{memory}\n"
        f"on {origin['device']}; processes: {origin['processes']}; {versions}; commit {origin['commit'][:10]}"
    )
