"""What a stored table must look like: its columns and, where the definition says them, the keys of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Schema:
    """Columns of a table and keys of its rows, from the definition of an experiment.

    Attributes:
        columns: what each column holds, by name, in order: ``"text"``, ``"text or blank"``, ``"flag"`` (True or
            False), ``"whole"`` (a whole number), ``"number"`` (finite), ``"size"`` (finite, from 0),
            ``"size or blank"``, or a tuple of the texts that occur.
        key: names of the columns of ``rows``.
        rows: what they hold, row by row; None where the definition does not say it.
        complete: each of ``rows`` is there; otherwise some of them, in the same order.
    """

    columns: Mapping[str, str | tuple[str, ...]]
    key: Sequence[str] = ()
    rows: Sequence[tuple] | None = None
    complete: bool = True

    def problem(self, frame: pd.DataFrame) -> str | None:
        """What is wrong with a table; None if nothing is."""
        if list(frame.columns) != list(self.columns):
            return f"its columns are {', '.join(map(str, frame.columns))}, not {', '.join(self.columns)}"
        if not len(frame) and self.rows != []:
            return "it has no rows"
        for name, kind in self.columns.items():
            if wrong := _problem_of_column(frame[name], name, kind):
                return wrong
        return None if self.rows is None else self._problem_of_keys(frame)

    def _problem_of_keys(self, frame: pd.DataFrame) -> str | None:
        if not self.complete:
            columns = [plain(values) for values in zip(*self.rows, strict=True)]
            positions = {row: position for position, row in enumerate(zip(*columns, strict=True))}
            last = -1
            for number, row in enumerate(zip(*(plain(frame[name]) for name in self.key), strict=True), 1):
                if positions.get(row, -1) <= last:
                    return f"row {number}: {self._named(row)} is not the experiment's, there twice, or out of order"
                last = positions[row]
            return None
        if len(frame) != len(self.rows):
            return f"it has {len(frame)} rows, the experiment has {len(self.rows)}"
        for name, values in zip(self.key, zip(*self.rows, strict=True), strict=True):
            for row in np.flatnonzero(plain(frame[name]) != plain(values))[:1]:
                return f"row {row + 1}: {name} is {frame[name][row]}, the experiment's is {values[row]}"
        return None

    def _named(self, row: tuple) -> str:
        return ", ".join(f"{name} {value}" for name, value in zip(self.key, row, strict=True))


def _problem_of_column(column: pd.Series, name: str, kind: str | tuple[str, ...]) -> str | None:
    blank = column.isna().to_numpy()
    if kind == "text or blank":
        return None
    if kind == "flag":
        return None if column.dtype == bool else f"{name} is not True or False in every row"
    if isinstance(kind, tuple):
        wrong = ~column.isin(kind).to_numpy()
    elif kind == "text":
        wrong = blank
    else:
        if column.dtype.kind not in ("iu" if kind == "whole" else "iuf"):
            return f"{name} is not a {'whole ' * (kind == 'whole')}number in every row"
        values = column.to_numpy()
        wrong = ~np.isfinite(values)
        if kind.startswith("size"):
            wrong |= values < 0
        if kind.endswith("or blank"):
            wrong &= ~blank
    for row in np.flatnonzero(wrong)[:1]:
        return f"row {row + 1}: {name} is {'blank' if blank[row] else column[row]}"
    return None


def plain(column: pd.Series | Sequence) -> np.ndarray:
    """Values that can be compared: numbers to 12 digits, which pandas 2 reads right; "" is what is read as NaN."""
    values = column.tolist() if hasattr(column, "tolist") else column
    return np.array(
        [f"{v:.12g}" if isinstance(v, int | float) and not isinstance(v, bool) else str(v) or "nan" for v in values]
    )
