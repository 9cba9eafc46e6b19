"""Measurements of students while they train, in the runs that the experiments beyond the paper make."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..training import Ensemble, one_thread
from .definition import Cell, Experiment
from .measurement import Measurement

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float
    from numpy import ndarray


@dataclass(frozen=True, kw_only=True)
class Observation(Measurement):
    """Students that are looked at after some of their steps. They take the steps that they would take unobserved.

    Attributes:
        training: who trains, and how; its own name does not matter.
        steps: after which steps, counted from 1, in rising order.

    Raises:
        ValueError: as of :class:`Measurement`, or a step lies outside training.
    """

    training: Experiment
    steps: tuple[int, ...]

    def __post_init__(self):
        super().__post_init__()
        last = self.training.protocol.steps
        if not self.steps or [*self.steps] != sorted({*self.steps} & {*range(1, last + 1)}):
            raise ValueError(f"steps must rise from 1 on and end by {last}, got {self.steps}")

    def definition(self) -> dict:
        training = self.training.definition()
        del training["name"]
        return super().definition() | {"training": training}

    def together(self, frame: pd.DataFrame, table: str) -> list[pd.DataFrame]:
        """Parts of a table in which the numbers of a row are there or all blank, since its run diverged."""
        raise TypeError(f"{type(self).__name__} must define together()")

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show: numbers are blank alone."""
        if wrong := super().problem(frame, table, main):
            return wrong
        for part in self.together(frame, table):
            blank = part.isna()
            for row in part.index[blank.any(axis=1) & ~blank.all(axis=1)][:1]:
                return (
                    f"row {row + 1}: {', '.join(part.columns[blank.loc[row]])} is blank though the run did not diverge"
                )
        return None


def observe(training: Experiment, steps: tuple[int, ...], device: str) -> Iterator[tuple[int, Ensemble]]:
    """Train to the end, and stop after some steps.

    Args:
        training: who trains, and how.
        steps: after which, counted from 1.
        device: where.

    Yields:
        The number of steps done, and the ensemble, which is to be left as it is.
    """
    last = training.protocol.steps
    protocol = replace(training.protocol, report=math.gcd(last, *steps))
    members = [run.member(protocol.length) for run in training.runs()]
    with one_thread() if torch.device(device).type == "cpu" else contextlib.nullcontext():
        ensemble = Ensemble(members, protocol, device)
        while ensemble.done < last:
            ensemble.advance()
            if ensemble.done in steps:
                yield ensemble.done, ensemble


def final_losses(ensemble: Ensemble, steps: int = 100) -> Float[ndarray, "M"]:
    """Mean loss of each member over the last steps; NaN once diverged."""
    epochs = max(1, min(steps, ensemble.done) // ensemble.protocol.report)
    end = ensemble.done // ensemble.protocol.report
    return ensemble.curve[:, end - epochs : end].mean(axis=1)


def middle(cell: Cell) -> Cell:
    """A cell at the middle one of its rates alone, which all parameters share."""
    return replace(cell, rates=(sorted(cell.rates)[len(cell.rates) // 2],), ratios=(1.0,))


def significant(value: Any) -> Any:
    """Six digits of a number, as tables have it; "" says that there is none."""
    if not isinstance(value, float | np.floating):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else ""
