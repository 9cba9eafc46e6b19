"""Signals and gradients in deep networks at initialisation: what Figures 5 and 13 plot."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import nn

from ...layers import LRU, ChronoGRU, ChronoLSTM, DiagonalRNN
from .. import text
from ..networks import DeepRNN, embedding_loss
from ..text.sources import packaged
from .measurement import Measurement, Tables
from .schema import Schema

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"crnn": DiagonalRNN, "lru": LRU, "gru": ChronoGRU, "lstm": ChronoLSTM}
#: How Figure 5B calls the recurrent parameters, which it shows apart from the rest; all others are "recurrent".
GROUPS = {"lam": "lambda", "omega_nu": "nu", "omega_theta": "theta"}
#: Which embedding an output is held against: the previous one in the authors' code, the next in the text (erratum 12).
TARGETS = {"previous": -1, "next": 1}
TIMES = (1.0, 10**0.5, 10.0, 10**1.5, 100.0)
#: Two texts without an article in common: the articles of the packaged dump, first and second half.
TEXTS = ("first articles", "other articles")
#: Columns of mean squares, in decades.
QUANTITIES = ("output", "error", "lambda", "nu", "theta", "recurrent", "rest")
QUANTITIES += ("rest of blocks", "encoder", "decoder", "all")

_KEYS = ["draw", "source", "kind", "normalization", "time", "target", "layer"]


@dataclass(frozen=True)
class Condition:
    """Inputs, and what is measured on them.

    Attributes:
        source: one of ``TEXTS``; ``"matched"``: Gaussian with the mean and covariances of the packaged text;
            ``"fitted"``: Gaussian with the exponential fitted to its autocorrelation; ``"gaussian"``: with the paper's.
        networks: kinds of layer (keys of ``KINDS``) with the normalisation of the blocks.
        times: smallest time constants T_c; eigenvalues start with moduli from 1 - 1/T_c to 1 - 1/(2 T_c), gates at time
            constants from T_c to 2 T_c.
        targets: losses, keys of ``TARGETS``.
    """

    source: str
    networks: tuple[tuple[str, str], ...]
    times: tuple[float, ...] = TIMES
    targets: tuple[str, ...] = ("previous",)


@dataclass(frozen=True, kw_only=True)
class SignalPropagation(Measurement):
    """Mean squares of block outputs and of gradients, of many draws of each network.

    A draw is a seed: it draws the weights, the same for each T_c and normalisation, and which sequences of a text the
    network sees. Gradients are those of the mean loss over these sequences. Everything is computed in single
    precision, squares are summed in double: the largest gradients stay far below what single precision holds, see the
    test of this module.

    A row of the table is a layer: a block from 1 on, or the whole network, 0. Its columns are log10 of mean squares:
    "output" of a block, "error" (the gradient with respect to that output), and gradients by group of parameters: the
    recurrent ones, as ``GROUPS`` calls them; "rest", all others, with encoder and decoder in the whole network, as in
    the paper; "rest of blocks", without them (erratum 20); "encoder"; "decoder"; "all".

    Attributes:
        conditions: inputs and networks.
        draws: how many seeds, from 0.
        sequences: of the one batch that each network sees.
        length: tokens of each.
        width: units of each layer.
        depth: blocks.
    """

    needs: ClassVar = {"text": text.READERS}

    conditions: tuple[Condition, ...]
    draws: int = 32
    sequences: int = 16
    length: int = 512
    width: int = 256
    depth: int = 4

    def settings(self) -> dict[str, tuple[int, Condition, str, str]]:
        """Draw, condition, kind and normalisation of each part."""
        return {
            f"draw {draw}, {condition.source}, {kind}, {normalization}": (draw, condition, kind, normalization)
            for draw in range(self.draws)
            for condition in self.conditions
            for kind, normalization in condition.networks
        }

    def parts(self) -> list[str]:
        return list(self.settings())

    def definition(self) -> dict:
        return super().definition() | {"text": text.CHECKSUMS}

    def network(self, kind: str, normalization: str, time: float, inputs: int, draw: int = 0) -> DeepRNN:
        """A network at initialisation, single precision; the same draws for each normalisation.

        Args:
            kind: of its recurrent layers.
            normalization: of its blocks.
            time: T_c.
            inputs: dimensions of the embeddings.
            draw: seed of its weights.
        """
        generator = torch.Generator().manual_seed(draw)
        layers = [_layer(kind, self.width, time, generator) for _ in range(self.depth)]
        return DeepRNN(inputs, layers, inputs, normalization=normalization, generator=generator)

    def schemas(self) -> dict[str, Schema]:
        of = {"draw": "whole"} | dict.fromkeys(_KEYS[1:4], "text") | {"time": "number", "target": tuple(TARGETS)}
        of |= {"layer": "whole"} | dict.fromkeys(QUANTITIES, "number or blank")
        rows = [
            (draw, condition.source, kind, normalization, *row)
            for draw, condition, kind, normalization in self.settings().values()
            for row in self._rows(condition)
        ]
        return {"runs": Schema(of, _KEYS, rows)}

    def _rows(self, condition: Condition) -> list[tuple[float, str, int]]:
        """T_c, target and layer of each row of a part."""
        times = [_rounded(time) for time in condition.times]
        return list(itertools.product(times, condition.targets, range(self.depth + 1)))

    def problem(self, frame: pd.DataFrame, table: str, main: pd.DataFrame) -> str | None:
        """What is wrong with a table that its checksum does not show: numbers are where the networks have them."""
        if wrong := super().problem(frame, table, main):
            return wrong
        for (kind, layer), part in frame.groupby([frame["kind"], frame["layer"] > 0]):
            expected = [quantity in quantities_of(kind, layer) for quantity in QUANTITIES]
            for row in np.flatnonzero((part[list(QUANTITIES)].notna() != expected).any(axis=1))[:1]:
                return f"row {part.index[row] + 1}: numbers of other quantities than the network has"
        return None

    def measure(self, part: str, device: str) -> Tables:
        draw, condition, kind, normalization = self.settings()[part]
        x = embeddings(condition.source, draw, self.sequences, self.length).to(device)
        rows = []
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # else its GRU rounds to 10 bits on a GPU
            for time in condition.times:
                network = self.network(kind, normalization, time, x.shape[-1], draw).to(device)
                squares = mean_squares(network, kind, x, condition.targets)
                for target, layer in itertools.product(condition.targets, range(self.depth + 1)):
                    values = (squares.get((target, layer, quantity)) for quantity in QUANTITIES)
                    # "" is how a table says that the network has no such parameters
                    decades = ["" if value is None else round(float(np.log10(value)), 4) for value in values]
                    rows.append((draw, condition.source, kind, normalization, _rounded(time), target, layer, *decades))
        return {"runs": ([*_KEYS, *QUANTITIES], rows)}


def _rounded(time: float) -> float:
    """T_c as the table has it."""
    return float(f"{time:.4g}")


def mean_squares(
    network: DeepRNN, kind: str, x: torch.Tensor, targets: tuple[str, ...]
) -> dict[tuple[str, int, str], float]:
    """Mean squares for one batch.

    Args:
        network: at initialisation.
        kind: of its recurrent layers.
        x: embeddings ``(batch, time, dimension)``.
        targets: losses.

    Returns:
        By target, layer (0 for the whole network) and quantity, as in the table of :class:`SignalPropagation`.
    """
    outputs = network.block_outputs(x)
    y = network.decoder(outputs[-1])
    weights = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    result = {}
    for number, target in enumerate(targets, 1):
        loss = embedding_loss(y, x, TARGETS[target])
        wanted = [*weights.values(), *outputs]
        gradients = torch.autograd.grad(loss, wanted, retain_graph=number < len(targets))
        terms: dict[tuple[int, str], list[torch.Tensor]] = {}
        for name, gradient in zip(weights, gradients, strict=False):
            for key in _groups(name, kind):
                terms.setdefault(key, []).append(gradient)
        for block, (h, error) in enumerate(zip(outputs, gradients[len(weights) :], strict=True), 1):
            terms[block, "output"], terms[block, "error"] = [h.detach()], [error]
        for (layer, quantity), tensors in terms.items():
            total = sum(tensor.double().square().sum().item() for tensor in tensors)
            result[target, layer, quantity] = total / sum(tensor.numel() for tensor in tensors)
    return result


def _groups(name: str, kind: str) -> list[tuple[int, str]]:
    """Layer and group of a parameter, for every row it counts for."""
    if not name.startswith("blocks."):
        return [(0, name.partition(".")[0]), (0, "rest"), (0, "all")]
    _, number, part, own = name.split(".", 3)
    block = int(number) + 1
    own = own.partition(".")[0]
    if part == "layer" and own in KINDS[kind].recurrent_parameters:
        group = GROUPS.get(own, "recurrent")
        return [(block, group), (0, group), (0, "all")]
    return [(block, "rest"), (0, "rest"), (0, "rest of blocks"), (0, "all")]


def quantities_of(kind: str, block: bool) -> set[str]:
    """What the row of a block has, or that of a whole network, of a kind of layer."""
    own = {GROUPS.get(name, "recurrent") for name in KINDS[kind].recurrent_parameters}
    return own | ({"output", "error", "rest"} if block else {"rest", "rest of blocks", "encoder", "decoder", "all"})


def _layer(kind: str, width: int, time: float, generator: torch.Generator) -> nn.Module:
    if kind in ("gru", "lstm"):
        return KINDS[kind](width, width, min_time=time, max_time=2 * time, generator=generator)
    ring = {"min_modulus": 1 - 1 / time, "max_modulus": 1 - 1 / (2 * time)}
    return KINDS[kind](width, width, width, generator=generator, **ring)


@functools.lru_cache(maxsize=4)
def embeddings(source: str, draw: int, sequences: int, length: int) -> torch.Tensor:
    """Embeddings of a source of :class:`Condition` ``(sequences, length, dimension)``.

    Args:
        source: which.
        draw: seed: of the order of articles, of which each gives its beginning, or of the Gaussian numbers.
        sequences: how many.
        length: of each.
    """
    if source in TEXTS:
        titles = [title for title, _ in packaged().documents(None)]
        first = len(titles) // 2
        half = titles[:first] if source == TEXTS[0] else titles[first:]
        return text.load("wikipedia", sequences, length, seed=draw, articles=half).x
    if source == "matched":
        return text.matched(_reference(length), sequences, seed=draw).x
    if source == "fitted":
        options = {"size": _reference(length).x.shape[-1], "autocorrelation": _fit(length)}
        return text.load("gaussian", sequences, length, seed=draw, **options).x
    return text.load(source, sequences, length, seed=draw).x


@functools.lru_cache(maxsize=1)
def _reference(length: int) -> text.Sequences:
    """What stands in for the text is taken from these."""
    return text.load("wikipedia", 128, length)


@functools.lru_cache(maxsize=1)
def _fit(length: int) -> text.Autocorrelation:
    return text.fit_autocorrelation(text.autocorrelation(_reference(length).x))


_DEEP = tuple((kind, "none") for kind in KINDS)
_ALL = (*_DEEP, ("crnn", "layer"), ("crnn", "batch"))
_PLOTTED = _DEEP[:3]  # in the paper


def _conditions(few: tuple[float, ...], times: tuple[float, ...] = TIMES) -> tuple[Condition, ...]:
    """Both texts, and the stand-ins for them at a few T_c; both losses on one text, since they hardly differ."""
    texts = (Condition(TEXTS[0], _ALL, times, ("previous", "next")), Condition(TEXTS[1], _ALL, times))
    return (*texts, *(Condition(source, _PLOTTED, few) for source in ("matched", "fitted")))


FIG05_DRAWS = SignalPropagation(
    name="fig05_draws",
    title="outputs and gradients of deep networks at initialisation, many draws",
    conditions=_conditions((1.0, 10.0, 100.0)),
    smaller={
        "book": {"conditions": (Condition(TEXTS[0], _DEEP, (1.0, 100.0)),), "draws": 1, "sequences": 8},
        # six draws are the fewest that have an interval
        "smoke": {
            "conditions": _conditions((1.0, 100.0), (1.0, 100.0)),
            "draws": 6,
            "sequences": 2,
            "length": 32,
            "width": 8,
        },
    },
)
