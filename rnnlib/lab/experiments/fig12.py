"""Figure 12: the autocorrelation of token embeddings, and the exponential that fits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .. import text
from .measurement import Measurement, Tables
from .schema import Schema

_WAYS = {  # by part: source, and options of text.load
    "text": ("wikipedia", {}),
    "text, without positions": ("wikipedia", {"positions": False}),
    "text, padded": ("wikipedia", {"padding": True}),
    "paper's fit, Gaussian": ("gaussian", {}),
}


@dataclass(frozen=True, kw_only=True)
class Autocorrelations(Measurement):
    """R(D) at all lags but the longest, and its fit, for inputs made in several ways.

    Attributes:
        ways: which, keys of ``_WAYS``.
        sequences: of each, where there are so many: with padding, one an article.
        length: tokens of each.
    """

    needs: ClassVar = {"text": text.READERS}

    ways: tuple[str, ...] = tuple(_WAYS)
    sequences: int = 1024
    length: int = 512

    def parts(self) -> list[str]:
        return list(self.ways)

    def definition(self) -> dict:
        return super().definition() | {"text": text.CHECKSUMS}

    def schemas(self) -> dict[str, Schema]:
        of = {"source": "text", "positions": "flag", "padding": "flag"}
        ways = [_way(*_WAYS[part]) for part in self.parts()]
        lags = range(max(1, self.length - 1))
        fits = dict.fromkeys(("white", "amplitude", "decay"), "number")
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
        }

    def measure(self, part: str, device: str) -> Tables:
        source, options = _WAYS[part]
        count = min(self.sequences, 106) if options.get("padding") else self.sequences
        sequences = text.load(source, count, self.length, **options)
        values = text.autocorrelation(sequences.x.to(device))
        fit = text.fit_autocorrelation(values)
        way = _way(source, options)
        names = ["source", "positions", "padding"]
        sizes = (len(sequences.x), self.length, sequences.x.shape[-1])
        return {
            "runs": ([*names, "lag", "autocorrelation"], [(*way, lag, float(v)) for lag, v in enumerate(values)]),
            "fits": (
                [*names, "white", "amplitude", "decay", "sequences", "length", "size"],
                [(*way, fit.white, fit.amplitude, fit.decay, *sizes)],
            ),
        }


def _way(source: str, options: dict[str, bool]) -> tuple[str, bool, bool]:
    return source, options.get("positions", source != "gaussian"), options.get("padding", False)


EXPERIMENT = Autocorrelations(
    name="fig12",
    title="autocorrelation of token embeddings, and its fit",
    smaller={"book": {"sequences": 64}, "smoke": {"sequences": 4, "length": 64}},
)
