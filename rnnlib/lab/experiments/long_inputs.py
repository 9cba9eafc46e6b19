"""Beyond the paper: what linear units make of inputs with long memory, drawn, written, recorded and photographed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .. import long_inputs, text
from ..long_inputs import SERIES
from .measurement import Measurement, Tables
from .schema import Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Text, embedding and whether positions are embedded, by part. The embedding layer of MiniLM, a BERT, has learned
#: positions; the others get sinusoids.
TEXTS = {
    f"{name}, {embedding}{', positions' if positions else ''}": (name, embedding, positions)
    for name in ("wikipedia", "reference")
    for embedding, positions in (
        ("minilm", True),
        ("minilm", False),
        ("cooccurrence", True),
        ("cooccurrence", False),
        ("random", False),
    )
}
LAGS = (0, 1, 50, 510)
_KEYS = ["input", "embedding", "positions", "centred", "group", "memory"]


@dataclass(frozen=True, kw_only=True)
class LongInputs(Measurement):
    """Second moments of units of several memories, by group, and autocorrelations of texts at some lags.

    In the table "runs", "state" and "sensitivity" (times 1 - lambda squared) are those of inputs divided by their mean
    square, "R(0)". "embedding" is "noise" for draws of fractional noise, whose "input" is their power, and "series" for
    series. Groups are draws, or pieces of a text or series, one after the other. The table "lags" has the
    autocorrelation of texts, not centred, and the mean square of their mean embedding; "files" says what was read.

    Attributes:
        betas: powers of the spectra of the noise.
        draws: of each noise.
        noise_length: steps of each.
        noise_memories: of the units on it.
        texts: keys of ``TEXTS``.
        series: keys of :data:`rnnlib.lab.long_inputs.SERIES`.
        memories: of the units on texts and series.
        burn_in: steps that do not count there; on noise ten memories.
        windows: of each text, at most.
        length: tokens of a window.
        groups: of texts and of series with many sequences.
        size: dimensions of embeddings that are not MiniLM's.
    """

    needs: ClassVar = {"text": text.READERS}

    betas: tuple[float, ...] = (-0.6, -0.3, 0.0, 0.3, 0.6, 0.9)
    draws: int = 32
    noise_length: int = 1 << 17
    noise_memories: tuple[float, ...] = (30.0, 300.0)
    texts: tuple[str, ...] = tuple(TEXTS)
    series: tuple[str, ...] = tuple(SERIES)
    memories: tuple[float, ...] = (8.0, 16.0, 32.0, 64.0)
    burn_in: int = 256
    windows: int = 512
    length: int = 512
    groups: int = 16
    size: int = 64

    def parts(self) -> list[str]:
        return [*(f"noise {beta:g}" for beta in self.betas), *self.texts, *self.series]

    def definition(self) -> dict:
        return super().definition() | {"text": text.CHECKSUMS}

    def schemas(self) -> dict[str, Schema]:
        keys = {"input": "text", "embedding": "text", "positions": "flag", "centred": "flag", "group": "whole"}
        runs = keys | {"memory": "number"} | dict.fromkeys(("R(0)", "state", "sensitivity"), "size")
        lags = {"input": "text", "embedding": "text", "positions": "flag", "group": "whole", "mean_square": "size"}
        files = dict.fromkeys(("input", "file", "sha256"), "text") | {"sequences": "whole", "steps": "whole"}
        return {
            "runs": Schema(runs, _KEYS, list(self._keys())),
            "lags": Schema(
                lags | {f"lag {lag}": "number" for lag in self._lags()},
                ["input", "embedding", "positions", "group"],
                [(*TEXTS[name], group) for name in self.texts for group in range(self._text_groups())],
            ),
            "files": Schema(files, ["input"], [(name,) for name in self.series]),
        }

    def _text_groups(self) -> int:
        return min(self.groups, self.windows)

    def _keys(self) -> Iterator[tuple]:
        """Keys of the rows of "runs"."""
        pieces = [((f"{beta:g}", "noise", False, False), self.draws, self.noise_memories) for beta in self.betas]
        for name in self.texts:
            pieces += [((*TEXTS[name], centred), self._text_groups(), self.memories) for centred in (False, True)]
        for name in self.series:
            count = min(self.groups, SERIES[name].sequences * SERIES[name].blocks)
            pieces.append(((name, "series", False, True), count, self.memories))
        for key, count, memories in pieces:
            yield from ((*key, group, memory) for group in range(count) for memory in memories)

    def _lags(self) -> list[int]:
        return [lag for lag in LAGS if lag < self.length - 1]

    def measure(self, part: str, device: str) -> Tables:
        if part in TEXTS:
            return self._text(*TEXTS[part])
        return self._series(part) if part in SERIES else self._noise(float(part.removeprefix("noise ")))

    def _noise(self, beta: float) -> Tables:
        seed = 1000 + round(1000 * beta)
        x = long_inputs.fractional_noise(self.draws, self.noise_length, beta, seed)
        burn_in = round(10 * max(self.noise_memories))
        moments = long_inputs.unit_moments(x, self.noise_memories, burn_in)
        key = (f"{beta:g}", "noise", False, False)
        return {"runs": _rows(key, self.noise_memories, 1.0, *moments)}

    def _series(self, name: str) -> Tables:
        entry = SERIES[name]
        path = long_inputs.shipped(*entry.file)
        x = entry.read(path)
        x = (x - x.mean()) / x.std()
        moments = [
            self._grouped(values.reshape(-1, len(self.memories)))
            for values in long_inputs.unit_moments(x, self.memories, self.burn_in, entry.blocks)
        ]
        names = ["input", "file", "sha256", "sequences", "steps"]
        file = (name, "/".join(entry.file), long_inputs.digest(path), *x.shape)
        return {"runs": _rows((name, "series", False, True), self.memories, 1.0, *moments), "files": (names, [file])}

    def _text(self, name: str, embedding: str, positions: bool) -> Tables:
        source = text.sources.packaged()
        tokens, _ = long_inputs.windows(source, name, self.length, self.windows)
        x = self._embedded(source, tokens, embedding, positions)
        key, rows = (name, embedding, positions), []
        for centred in (False, True):
            used = x - x.mean((0, 1)) if centred else x
            scale = float(np.square(used).mean())
            moments = [
                self._grouped(values[:, 0]) for values in long_inputs.unit_moments(used, self.memories, self.burn_in)
            ]
            columns, new = _rows((*key, centred), self.memories, scale, *moments)
            rows += new
        names = ["input", "embedding", "positions", "group", "mean_square", *(f"lag {lag}" for lag in self._lags())]
        lags = [(*key, group, *self._of_group(piece)) for group, piece in enumerate(self._pieces(x))]
        return {"runs": (columns, rows), "lags": (names, lags)}

    def _embedded(self, source: text.sources.TextSource, tokens: NDArray, embedding: str, positions: bool) -> NDArray:
        import torch

        if embedding == "minilm":
            return source.embed(torch.from_numpy(tokens), positions).numpy()
        if embedding == "random":
            words, place = np.unique(tokens, return_inverse=True)
            vectors = np.random.default_rng(0).standard_normal((len(words), self.size))
            return vectors[place.reshape(tokens.shape)]
        x = long_inputs.cooccurrence_embedding(tokens, self.size)
        return x + long_inputs.sinusoids(self.length, self.size) if positions else x

    def _of_group(self, piece: NDArray) -> list[float]:
        import torch

        R = text.autocorrelation(torch.from_numpy(np.asarray(piece, dtype=np.float32)))
        return [_rounded(value) for value in (np.square(piece.mean((0, 1))).mean(), *R[self._lags()])]

    def _pieces(self, values: NDArray) -> list[NDArray]:
        return np.array_split(values, min(self.groups, len(values)))

    def _grouped(self, values: NDArray) -> NDArray:
        """Means over groups of neighbouring sequences or blocks ``(groups, 1, M)``."""
        return np.stack([piece.mean(0) for piece in self._pieces(values)])[:, None]


def _rows(
    key: tuple, memories: tuple[float, ...], scale: float, state: NDArray, sensitivity: NDArray
) -> tuple[list[str], list[tuple]]:
    """From moments ``(groups, 1, M)`` to the table "runs"."""
    return [*_KEYS, "R(0)", "state", "sensitivity"], [
        (
            *key,
            group,
            memory,
            _rounded(scale),
            *(_rounded(values[group, 0, at] / scale) for values in (state, sensitivity)),
        )
        for group in range(len(state))
        for at, memory in enumerate(memories)
    ]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


EXPERIMENT = LongInputs(
    name="long_inputs",
    title="linear units on noise with a power for a spectrum, texts, sounds, an EEG, landscapes and pictures",
    smaller={
        "book": {"draws": 4, "noise_length": 1 << 14, "texts": (), "series": ("elevation",)},
        "smoke": {
            "betas": (0.6,),
            "draws": 2,
            "noise_length": 1 << 12,
            "texts": ("reference, cooccurrence, positions", "reference, minilm"),
            "series": ("elevation",),
            "windows": 6,
            "length": 96,
            "burn_in": 40,
            "groups": 2,
            "size": 8,
        },
    },
)
