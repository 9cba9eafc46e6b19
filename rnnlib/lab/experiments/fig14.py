"""Figure 14: how far the recurrent Jacobian of a gated layer is diagonal, step after step."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from ...layers import ChronoGRU, ChronoLSTM
from .. import rtrl, text
from .measurement import Measurement, Tables
from .schema import Schema

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
KINDS = ("diagonal", "off-diagonal", "first rows")
_NAMES = ["cell", "max_time", "input_scale", "recurrent_scale"]
_QUANTILES = [f"q{q:g}" for q in QUANTILES]
CELLS = {
    "gru": ChronoGRU,
    "lstm": ChronoLSTM,
    "mingru": lambda *sizes, **options: ChronoGRU(*sizes, candidate="linear", gates="input", **options),
}


@dataclass(frozen=True)
class Setting:
    """One row of the figure.

    Attributes:
        cell: a key of ``CELLS``.
        max_time: gates start at time constants in [1, ``max_time``].
        input_scale: of the variance of input weights.
        recurrent_scale: of recurrent weights.
    """

    cell: str
    max_time: float
    input_scale: float = 1.0
    recurrent_scale: float = 1.0

    @property
    def label(self) -> str:
        """Names the part of the experiment."""
        return f"{self.cell}, T <= {self.max_time:g}, scales {self.input_scale:g} and {self.recurrent_scale:g}"


@dataclass(frozen=True, kw_only=True)
class Jacobians(Measurement):
    """Entries of the Jacobian of the memory after t steps with respect to the memory before the first.

    The main table has quantiles, root mean square and largest modulus of the entries, by setting, network, t and kind:
    "diagonal", "off-diagonal" (all of them) and "first rows" (off-diagonal entries of the first rows, what the paper
    samples, erratum 22). The table "entries" has single entries of the first network.

    Attributes:
        settings: what is measured.
        networks: of each setting, each on a sequence of its own.
        width: units.
        length: steps.
        times: how many t, from 1 to ``length``, evenly in log t; equal ones after rounding are measured once.
        rows: how many first rows.
        shown: entries of each kind in the table "entries".
        source: of the inputs, see :func:`rnnlib.lab.text.load`.
    """

    needs: ClassVar = {"text": text.READERS}

    settings: tuple[Setting, ...]
    networks: int = 4
    width: int = 256
    length: int = 512
    times: int = 20
    rows: int = 4
    shown: int = 48
    source: str = "wikipedia"

    def parts(self) -> list[str]:
        return [setting.label for setting in self.settings]

    def definition(self) -> dict:
        return super().definition() | {"text": text.CHECKSUMS}

    def _steps(self) -> list[int]:
        return np.unique(np.geomspace(1, self.length, self.times).round().astype(int)).tolist()

    def schemas(self) -> dict[str, Schema]:
        of = {"cell": "text"} | dict.fromkeys(_NAMES[1:], "number")
        rows, entries = [], []
        for setting in map(dataclasses.astuple, self.settings):
            for t in self._steps():
                rows += [(*setting, network, t, kind) for kind in KINDS for network in range(self.networks)]
                entries += [(*setting, t, kind) for kind in KINDS[:2] for _ in range(self.shown)]
        numbers = dict.fromkeys(_QUANTILES, "number") | dict.fromkeys(("rms", "largest"), "size")
        at = {"t": "whole", "kind": "text"}
        return {
            "runs": Schema(of | {"network": "whole"} | at | numbers, [*_NAMES, "network", "t", "kind"], rows),
            "entries": Schema(of | at | {"place": "whole", "value": "number"}, [*_NAMES, "t", "kind"], entries),
        }

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show: the entries are the same ones throughout."""
        wrong = super().problem(frame, table, main)
        if wrong or table != "entries":
            return wrong
        indices = frame["place"].to_numpy().reshape(-1, 2 * self.shown)
        for row in np.flatnonzero((indices != indices[0]).any(1))[:1]:
            return f"row {row * 2 * self.shown + 1} and following: other entries than in the first rows"
        return None

    def measure(self, part: str, device: str) -> Tables:
        setting = next(setting for setting in self.settings if setting.label == part)
        # float64: with short time constants entries fall below what float32 can hold
        x = text.load(self.source, self.networks, self.length).x.double()[:, None].to(device)
        times = self._steps()
        layers = [
            CELLS[setting.cell](
                x.shape[-1],
                self.width,
                max_time=setting.max_time,
                weight_scale=setting.input_scale,
                recurrent_scale=setting.recurrent_scale,
                generator=torch.Generator().manual_seed(network),
            ).to(x)
            for network in range(self.networks)
        ]
        jacobians = [J[:, 0].cpu().numpy() for J in rtrl.state_jacobian(layers, x, times)]
        off = ~np.eye(self.width, dtype=bool)
        first = off & (np.arange(self.width) < self.rows)[:, None]
        kinds = dict(zip(KINDS, (~off, off, first), strict=True))
        of = dataclasses.astuple(setting)
        draw = np.random.default_rng(0)
        shown = {kind: draw.choice(np.flatnonzero(kinds[kind]), self.shown) for kind in KINDS[:2]}
        rows, entries = [], []
        for t, J in zip(times, jacobians, strict=True):
            for kind, where in kinds.items():
                for network, values in enumerate(J[:, where]):
                    sizes = [np.sqrt((values**2).mean()), np.abs(values).max()]
                    numbers = (_rounded(v) for v in [*np.quantile(values, QUANTILES), *sizes])
                    rows.append((*of, network, t, kind, *numbers))
            for kind, indices in shown.items():
                entries += [(*of, t, kind, int(index), _rounded(J[0].flat[index])) for index in indices]
        return {
            "runs": ([*_NAMES, "network", "t", "kind", *_QUANTILES, "rms", "largest"], rows),
            "entries": ([*_NAMES, "t", "kind", "place", "value"], entries),
        }


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


_TIMES = (1.0, 16.0, 256.0)
EXPERIMENT = Jacobians(
    name="fig14",
    title="recurrent Jacobians of a GRU, an LSTM and a minGRU, on text",
    settings=(
        *(Setting("gru", time, 0.0, 0.0) for time in _TIMES),
        *(Setting("gru", time) for time in _TIMES),
        Setting("gru", 16.0, 1.0, 0.0),
        Setting("gru", 16.0, 1.0, 3.0),
        *(Setting(cell, time) for cell in ("lstm", "mingru") for time in _TIMES),  # not in the paper
    ),
    smaller={
        "book": {
            "settings": (Setting("gru", 16.0, 0.0, 0.0), Setting("gru", 16.0), Setting("lstm", 16.0)),
            "networks": 1,
            "width": 96,
        },
        "smoke": {
            "settings": (Setting("gru", 16.0, 0.0, 0.0), Setting("gru", 16.0), Setting("lstm", 16.0)),
            "networks": 2,
            "width": 8,
            "length": 24,
            "times": 6,
        },
    },
)
