"""Figure 15: states and sensitivities of simplified gated units against the time constant of their gate."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from ... import theory
from ...layers import ChronoGRU, ChronoLSTM
from .. import rtrl, text
from .measurement import Measurement, Tables
from .schema import Schema

if TYPE_CHECKING:
    import pandas as pd

CELLS = {"gru": ChronoGRU, "lstm": ChronoLSTM}
INPUTS = "inputs"


@dataclass(frozen=True, kw_only=True)
class Sensitivities(Measurement):
    r"""After the last step: the square of each unit's memory and of its derivative along its own gate bias,
    :math:`b = \log T`.

    The main table has means over each network's units in bins of log T; :func:`over_networks` joins them. Further
    tables: "units", a sample of single units; "smoothed", the running mean of the paper's figure, over a Gaussian in T;
    "inputs", the autocorrelation of these very sequences; "moments", what theory gives with their second moments at all
    pairs of steps, which assumes no stationarity.

    Attributes:
        cells: cells and gates, pairs; ``("gru", "input")`` is a minGRU.
        networks: of each pair, each on a sequence of its own; the paper has 100.
        lstms: the same for pairs with an LSTM.
        width: units.
        length: steps.
        max_time: time constants T are uniform in [1, ``max_time``].
        bins: of log T.
        kernel: standard deviation of the paper's smoothing, in steps of T.
        shown: units in the table "units", of each pair.
        source: of the inputs, see :func:`rnnlib.lab.text.load`.
    """

    needs: ClassVar = {"text": text.READERS}

    cells: tuple[tuple[str, str], ...] = tuple(
        (cell, gates) for cell in CELLS for gates in ("constant", "input", "state")
    )
    networks: int = 400
    lstms: int = 40
    width: int = 256
    length: int = 512
    max_time: float = 256.0
    bins: int = 8
    kernel: float = 7.0
    shown: int = 800
    source: str = "wikipedia"

    def parts(self) -> list[str]:
        return [INPUTS, *(f"{cell}, {gates}" for cell, gates in self.cells)]

    def definition(self) -> dict:
        return super().definition() | {"text": text.CHECKSUMS}

    def schemas(self) -> dict[str, Schema]:
        of = {"cell": "text", "gates": "text"}
        squares = dict.fromkeys(("h2", "s2"), "size")
        at = self._times().tolist()
        bins = [(_rounded(low), _rounded(high)) for low, high in itertools.pairwise(self._edges())]
        binned = {"network": "whole", "units": "whole", "low": "size", "high": "size", "T": "size"} | squares
        moments = dict.fromkeys(("T", "h2", "gru_s2", "lstm_s2"), "size")
        return {
            "runs": Schema(
                of | binned,
                [*of, "network", "low", "high"],
                [
                    (*pair, network, *bin)
                    for pair in self.cells
                    for network in range(self._count(pair[0]))
                    for bin in bins
                ],
                complete=False,  # no row for a bin without units
            ),
            "units": Schema(of | {"T": "size"} | squares),
            "smoothed": Schema(
                of | {"T": "size"} | squares, [*of, "T"], [(*pair, _rounded(T)) for pair in self.cells for T in at]
            ),
            "inputs": Schema(
                {"lag": "whole", "autocorrelation": "number"}, ["lag"], [(lag,) for lag in range(self.length)]
            ),
            "moments": Schema(moments, ["T"], [(_rounded(T),) for T in at]),
        }

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show: each bin and each sample has its units."""
        if wrong := super().problem(frame, table, main):
            return wrong
        if table not in ("runs", "units"):
            return None
        groups = list(frame.groupby(["cell", "gates"], sort=False))
        if [pair for pair, _ in groups] != list(self.cells):
            return "its cells and gates are not the experiment's"
        times: dict[str, np.ndarray] = {}
        for (cell, gates), group in groups:
            count = self._count(cell) * self.width
            if table == "runs" and group["units"].sum() != count:
                return f"{cell}, {gates}: {group['units'].sum()} units, the experiment has {count}"
            T = group["T"].to_numpy()
            if table == "units" and not (len(T) <= self.shown and (np.diff(T) >= 0).all() and T[-1] <= self.max_time):
                return f"{cell}, {gates}: not up to {self.shown} units in the order of T"
            if table == "units" and group.duplicated().any():
                return f"{cell}, {gates}: a unit is there twice"
            if table == "units" and not np.array_equal(T, times.setdefault(cell, T)):
                return f"{cell}, {gates}: other time constants than with other gates, though the draws are the same"
        return None

    def _count(self, cell: str) -> int:
        return self.lstms if cell == "lstm" else self.networks

    def _edges(self) -> np.ndarray:
        return np.geomspace(1, self.max_time, self.bins + 1)

    def _times(self) -> np.ndarray:
        return np.geomspace(1, self.max_time, 60)

    def measure(self, part: str, device: str) -> Tables:
        x = text.load(self.source, self.networks, self.length).x.to(device)
        if part == INPUTS:
            return self._inputs(x)
        cell, gates = part.split(", ")
        count = self._count(cell)
        times, memories, sensitivities = [], [], []
        for group in torch.arange(count).split(10):  # side by side: as many as stay in the caches
            layers = [self._layer(cell, gates, x.shape[-1], network).to(x) for network in group.tolist()]
            memory, own = rtrl.bias_sensitivity(layers, x[group.to(device), None])
            for layer in layers:
                name, where = layer.gate_bias
                times.append(dict(layer.named_parameters())[name].detach()[where].exp())
            memories.append(memory[:, 0].double().square())
            sensitivities.append(own[:, 0].double().square())
        T = torch.stack(times).double().cpu().numpy()
        squares = {"h2": torch.cat(memories).cpu().numpy(), "s2": torch.cat(sensitivities).cpu().numpy()}
        return {
            "runs": self._binned((cell, gates), T, squares),
            "units": self._sample((cell, gates), T, squares),
            "smoothed": self._smoothed((cell, gates), T, squares),
        }

    def _layer(self, cell: str, gates: str, features: int, network: int) -> torch.nn.Module:
        generator = torch.Generator().manual_seed(network)
        options = {"max_time": self.max_time, "candidate": "linear", "gates": gates}
        return CELLS[cell](features, self.width, generator=generator, **options)

    def _inputs(self, x: torch.Tensor) -> Tables:
        R = text.autocorrelation(x, self.length)
        products = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64, device=x.device)
        for some in x.split(16):  # in double, without a copy of all of x
            backwards = some.flip(1).double().transpose(0, 1).flatten(1)  # the latest input first
            products += backwards @ backwards.T
        moments = (products / (len(x) * x.shape[2])).cpu().numpy()
        T = self._times()
        lam = T / (1 + T)
        state, gru = (theory.window_moment(w, moments) for w in theory.gated_response(lam, self.length))
        lstm = theory.window_moment(theory.lstm_response(lam, self.length)[1], moments)
        return {
            "inputs": (["lag", "autocorrelation"], [(lag, float(value)) for lag, value in enumerate(R)]),
            "moments": (
                ["T", "h2", "gru_s2", "lstm_s2"],
                [tuple(map(_rounded, row)) for row in zip(T, state, gru, lstm, strict=True)],
            ),
        }

    def _binned(self, of: tuple[str, str], T: np.ndarray, squares: dict[str, np.ndarray]) -> tuple[list, list]:
        edges = self._edges()
        bin_of = np.clip(np.searchsorted(edges, T, side="right") - 1, 0, self.bins - 1)
        rows = []
        for network, (times, bins) in enumerate(zip(T, bin_of, strict=True)):
            for index in np.unique(bins):
                inside = bins == index
                numbers = [math.exp(np.log(times[inside]).mean())]
                numbers += [values[network, inside].mean() for values in squares.values()]
                numbers = map(_rounded, (edges[index], edges[index + 1], *numbers))
                rows.append((*of, network, int(inside.sum()), *numbers))
        return ["cell", "gates", "network", "units", "low", "high", "T", *squares], rows

    def _sample(self, of: tuple[str, str], T: np.ndarray, squares: dict[str, np.ndarray]) -> tuple[list, list]:
        """Units evenly in log T, not in T, where few would be short."""
        order = np.argsort(T, axis=None)
        ranks = np.searchsorted(T.flat[order], np.geomspace(1, self.max_time, self.shown)).clip(0, T.size - 1)
        rows = [
            (*of, *(float(f"{v.flat[unit]:.5g}") for v in (T, *squares.values()))) for unit in order[np.unique(ranks)]
        ]
        return ["cell", "gates", "T", *squares], rows

    def _smoothed(self, of: tuple[str, str], T: np.ndarray, squares: dict[str, np.ndarray]) -> tuple[list, list]:
        at = self._times()
        weights = np.exp(-0.5 * ((at[:, None] - T.flat) / self.kernel) ** 2)
        means = [weights @ values.ravel() / weights.sum(1) for values in squares.values()]
        rows = [(*of, *map(_rounded, row)) for row in zip(at, *means, strict=True)]
        return ["cell", "gates", "T", *squares], rows


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


@dataclass(frozen=True)
class Means:
    """Means over the units of all networks in bins of log T, and over networks drawn again and again.

    Attributes:
        low: where each bin begins ``(bins,)``.
        T: geometric mean of the time constants in each ``(bins,)``.
        value: the means ``(bins,)``.
        drawn: the same of as many networks, drawn with replacement ``(draws, bins)``: a bootstrap, paired where two
            tables have the same networks.
        networks: how many there are.
    """

    low: np.ndarray
    T: np.ndarray
    value: np.ndarray
    drawn: np.ndarray
    networks: int


def over_networks(frame: pd.DataFrame, quantity: str, draws: int = 2000) -> Means:
    """Join the networks of one cell and kind of gates. Units of a network share its inputs, so networks are drawn.

    Means are what theory predicts, and these have intervals: squares of nearly Gaussian numbers have light tails.

    Args:
        frame: rows of the main table with one cell and one kind of gates.
        quantity: ``"h2"`` or ``"s2"``.
        draws: how many resamples; the same ones for each table with as many networks.
    """
    frame = frame.assign(sum=frame["units"] * frame[quantity], logs=frame["units"] * np.log(frame["T"]))
    units, sums, logs = (frame.pivot_table(name, "network", "low", "sum", 0) for name in ("units", "sum", "logs"))
    networks = len(units)
    again = np.random.default_rng(0).multinomial(networks, np.full(networks, 1 / networks), draws)
    with np.errstate(invalid="ignore"):  # a draw may leave a bin of few units empty
        drawn = (again @ sums.to_numpy()) / (again @ units.to_numpy())
    total = units.sum()
    return Means(
        units.columns.to_numpy(),
        np.exp(logs.sum() / total).to_numpy(),
        (sums.sum() / total).to_numpy(),
        drawn,
        networks,
    )


EXPERIMENT = Sensitivities(
    name="fig15",
    title="states and sensitivities of simplified GRUs and LSTMs against the time constant of their gates, on text",
    smaller={
        "book": {"cells": tuple(("gru", gates) for gates in ("constant", "input", "state")), "networks": 8},
        "smoke": {"networks": 2, "lstms": 2, "width": 8, "length": 24, "bins": 4},
    },
)
