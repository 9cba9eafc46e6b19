"""From rows of runs to points of a figure: which base rate, and how sure the mean is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


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


def protocol_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The settings of an experiment, from the rows that ran: Tables 1 to 3 of the paper.

    Args:
        frame: a table of runs.

    Returns:
        A row a student: memories, angles, heads, width, base rates, number of seeds and of runs.
    """

    def listed(values):
        return ", ".join(f"{value:g}" for value in sorted(set(values)))

    return (
        frame.groupby("student", sort=False)
        .agg(
            nu0=("nu0", listed),
            theta0=("theta0", listed),
            heads=("heads", listed),
            width=("width", listed),
            rates=("rate", listed),
            seeds=("seed", "nunique"),
            runs=("seed", "size"),
        )
        .reset_index()
    )
