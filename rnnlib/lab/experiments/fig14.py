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
    from numpy.typing import NDArray

KINDS = ("diagonal", "off-diagonal")
_NAMES = ["cell", "max_time", "input_scale", "recurrent_scale"]
_QUARTERS = ("fast_diagonal", "fast_off", "slow_diagonal", "slow_off")
_SIZES = ("diagonal", "off", "off_largest", "first_rows", "change", *_QUARTERS)
_QUANTILES = ("diagonal_5", "diagonal_95", "off_5", "off_95")
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

    The main table has a row for each setting, t and network. Root mean squares of entries: "diagonal"; "off" the
    diagonal; "first_rows", off-diagonal ones of the first rows, what the paper samples (erratum 22); "fast_diagonal",
    "fast_off", "slow_diagonal" and "slow_off", of the rows of the quarter of units with the shortest time constants and
    of that with the longest (of any two quarters, where all are equal); "change", the diagonal minus what constant
    gates with the same biases have there. "off_largest" is the largest modulus off the diagonal; "diagonal_5" to
    "off_95" are quantiles of entries. The table "entries" has single entries of the first network.

    Attributes:
        settings: what is measured.
        pictured: how many of them, the first ones, are in the table "entries".
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
    pictured: int = 8
    networks: int = 32
    width: int = 256
    length: int = 512
    times: int = 20
    rows: int = 4
    shown: int = 24
    source: str = "wikipedia"

    def parts(self) -> list[str]:
        return [setting.label for setting in self.settings]

    def definition(self) -> dict:
        return super().definition() | {"text": text.CHECKSUMS}

    def _steps(self) -> list[int]:
        return np.unique(np.geomspace(1, self.length, self.times).round().astype(int)).tolist()

    def schemas(self) -> dict[str, Schema]:
        of = {"cell": "text"} | dict.fromkeys(_NAMES[1:], "number")
        settings = [dataclasses.astuple(setting) for setting in self.settings]
        rows = [(*of, t, network) for of in settings for t in self._steps() for network in range(self.networks)]
        entries = [
            (*of, t, kind)
            for of in settings[: self.pictured]
            for t in self._steps()
            for kind in KINDS
            for _ in range(self.shown)
        ]
        numbers = dict.fromkeys(_SIZES, "size") | dict.fromkeys(_QUANTILES, "number")
        at = {"t": "whole", "kind": "text", "place": "whole", "value": "number"}
        return {
            "runs": Schema(of | {"t": "whole", "network": "whole"} | numbers, [*_NAMES, "t", "network"], rows),
            "entries": Schema(of | at, [*_NAMES, "t", "kind"], entries),
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
        starts = [start_of_gates(layer) for layer in layers]
        off = ~np.eye(self.width, dtype=bool)
        draw = np.random.default_rng(0)
        shown = {
            kind: draw.choice(np.flatnonzero(where), self.shown) for kind, where in zip(KINDS, (~off, off), strict=True)
        }
        of = dataclasses.astuple(setting)
        rows, entries = [], []
        for t, J in zip(times, jacobians, strict=True):
            rows += [(*of, t, network, *self._numbers(J[network], lam, t)) for network, lam in enumerate(starts)]
            for kind, indices in shown.items():
                entries += [(*of, t, kind, int(index), _rounded(J[0].flat[index])) for index in indices]
        tables = {"runs": ([*_NAMES, "t", "network", *_SIZES, *_QUANTILES], rows)}
        if setting in self.settings[: self.pictured]:
            tables["entries"] = ([*_NAMES, "t", "kind", "place", "value"], entries)
        return tables

    def _numbers(self, J: NDArray, lam: NDArray, t: int) -> list[float]:
        """Columns of the main table for one Jacobian, of a network whose gates start at ``lam``."""
        off = ~np.eye(self.width, dtype=bool)
        order, quarter = np.argsort(lam, kind="stable"), max(1, self.width // 4)
        sizes = [
            _rms(J[~off]),
            _rms(J[off]),
            np.abs(J[off]).max(),
            _rms(J[: self.rows][off[: self.rows]]),
            _rms(J[~off] - lam**t),
        ]
        for units in (order[:quarter], order[-quarter:]):
            sizes += [_rms(J[units, units]), _rms(J[units][off[units]])]
        tails = [np.quantile(J[where], (0.05, 0.95)) for where in (~off, off)]
        return [_rounded(value) for value in (*sizes, *np.concatenate(tails))]


def start_of_gates(layer: torch.nn.Module) -> NDArray:
    """The gates that biases alone would make: each unit's eigenvalue if gates were constant."""
    name, where = layer.gate_bias
    return dict(layer.named_parameters())[name].detach()[where].sigmoid().cpu().numpy()


def _rms(values: NDArray) -> float:
    return np.sqrt((values**2).mean())


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


_TIMES = (1.0, 16.0, 256.0)
EXPERIMENT = Jacobians(
    name="fig14",
    title="recurrent Jacobians of a GRU, an LSTM and a minGRU, on text",
    settings=(
        *(Setting("gru", time, 0.0, 0.0) for time in _TIMES),
        *(Setting("gru", time) for time in _TIMES),
        *(Setting("gru", 16.0, recurrent_scale=scale) for scale in (0.0, 3.0)),
        # not in the paper's figure: weaker and stronger ones, and other cells
        *(Setting("gru", 16.0, recurrent_scale=scale) for scale in (2.0, 5.0, 10.0)),
        *(Setting(cell, time) for cell in ("lstm", "mingru") for time in _TIMES),
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
