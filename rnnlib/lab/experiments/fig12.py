"""Figure 12: the autocorrelation of token embeddings, and the exponential that fits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .. import text
from .measurement import Measurement, Tables
from .schema import Schema

if TYPE_CHECKING:
    from torch import Tensor

_WAYS = {  # by part: source, and options of text.load
    "text": ("wikipedia", {}),
    "text, without positions": ("wikipedia", {"positions": False}),
    "text, padded": ("wikipedia", {"padding": True}),
    "paper's fit, Gaussian": ("gaussian", {}),
}


_LAGS = (1, 300, 400, 500, 510)  # of which each group's R is stored


@dataclass(frozen=True, kw_only=True)
class Autocorrelations(Measurement):
    """R(D) at all lags but the longest, and its fit, for inputs made in several ways; and of groups of articles, which
    say how sure both are.

    Attributes:
        ways: which, keys of ``_WAYS``.
        sequences: of each, where there are so many: with padding, one an article.
        length: tokens of each.
        groups: into how many groups the articles are dealt, one after the other; Gaussian sequences likewise.
    """

    needs: ClassVar = {"text": text.READERS}

    ways: tuple[str, ...] = tuple(_WAYS)
    sequences: int = 1024
    length: int = 512
    groups: int = 35

    def parts(self) -> list[str]:
        return list(self.ways)

    def definition(self) -> dict:
        return super().definition() | {"text": text.CHECKSUMS}

    def schemas(self) -> dict[str, Schema]:
        of = {"source": "text", "positions": "flag", "padding": "flag"}
        ways = [_way(*_WAYS[part]) for part in self.parts()]
        lags = range(max(1, self.length - 1))
        fits = dict.fromkeys(("white", "amplitude", "decay"), "number")
        deviations = dict.fromkeys(("deviation", "magnitude", *map(_column, self._lags())), "number")
        return {
            "runs": Schema(
                of | {"lag": "whole", "autocorrelation": "number"},
                [*of, "lag"],
                [(*way, lag) for way in ways for lag in lags],
            ),
            "fits": Schema(
                of | fits | dict.fromkeys(("sequences", "length", "size"), "whole"),
                [*of, "length"],
                [(*way, self.length) for way in ways],
            ),
            "groups": Schema(
                of | {"group": "whole"} | fits | deviations,
                [*of, "group"],
                [(*way, group) for way in ways for group in range(self.groups)],
            ),
        }

    def _lags(self) -> list[int]:
        return [lag for lag in _LAGS if lag < max(1, self.length - 1)]

    def measure(self, part: str, device: str) -> Tables:
        source, options = _WAYS[part]
        count = min(self.sequences, 106) if options.get("padding") else self.sequences
        sequences = text.load(source, count, self.length, **options)
        values = text.autocorrelation(sequences.x.to(device))
        fit = text.fit_autocorrelation(values)
        way = _way(source, options)
        names = ["source", "positions", "padding"]
        sizes = (len(sequences.x), self.length, sequences.x.shape[-1])
        articles = list(dict.fromkeys(sequences.titles or range(len(sequences.x))))
        group = np.array([articles.index(name) % self.groups for name in sequences.titles or articles])
        rows = [self._of_group(sequences.x[group == number].to(device)) for number in range(self.groups)]
        return {
            "runs": ([*names, "lag", "autocorrelation"], [(*way, lag, float(v)) for lag, v in enumerate(values)]),
            "fits": (
                [*names, "white", "amplitude", "decay", "sequences", "length", "size"],
                [(*way, fit.white, fit.amplitude, fit.decay, *sizes)],
            ),
            "groups": (
                [*names, "group", "white", "amplitude", "decay", "deviation", "magnitude", *map(_column, self._lags())],
                [(*way, number, *row) for number, row in enumerate(rows)],
            ),
        }

    def _of_group(self, x: Tensor) -> tuple[float, ...]:
        """The fit to some sequences, the root mean squares of R's deviation from it and of R itself at lags of 1 and
        more, and R at some lags."""
        R = text.autocorrelation(x)
        fit = text.fit_autocorrelation(R)
        deviation = R - fit(np.arange(len(R)))
        sizes = (float(np.sqrt(np.mean(values[1:] ** 2))) for values in (deviation, R))
        return fit.white, fit.amplitude, fit.decay, *sizes, *(float(R[lag]) for lag in self._lags())


def _column(lag: int) -> str:
    return f"lag {lag}"


def _way(source: str, options: dict[str, bool]) -> tuple[str, bool, bool]:
    return source, options.get("positions", source != "gaussian"), options.get("padding", False)


EXPERIMENT = Autocorrelations(
    name="fig12",
    title="autocorrelation of token embeddings, and its fit",
    smaller={"book": {"sequences": 64}, "smoke": {"sequences": 4, "length": 64, "groups": 2}},
)
