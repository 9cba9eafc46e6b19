"""The experiments, by name."""

from __future__ import annotations

from . import fig12, fig14, fig15, grids, propagation, rounding
from .definition import Experiment
from .measurement import Measurement

EXPERIMENTS: dict[str, Experiment | Measurement] = {
    experiment.name: experiment
    for experiment in (
        grids.FIG03A,
        grids.FIG03B,
        grids.FIG04CD,
        grids.FIG09CD,
        grids.FIG10D,
        grids.FIG11,
        grids.FIG03A_CORRECTED,
        grids.FIG03B_CORRECTED,
        grids.FIG11_CORRECTED,
        propagation.FIG05,
        propagation.FIG05_SOURCES,
        fig12.EXPERIMENT,
        propagation.FIG13,
        fig14.EXPERIMENT,
        fig15.EXPERIMENT,
        grids.DIRECT_DENSE,
        grids.DIRECT_DIAGONAL,
        rounding.EXPERIMENT,
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
