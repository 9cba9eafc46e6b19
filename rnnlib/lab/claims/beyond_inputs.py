"""Inputs with long memory: exponents, two bounds, texts and real series. Written down before the runs.

What had been seen before: noise of other seeds at four powers; of texts the Wikipedia articles with all embeddings. No
series and nothing of the second text.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from ... import theory
from .. import experiments
from ..statistics import Estimate, furthest, largest, median, smallest
from .measures import load
from .ranges import at_least, at_most, between, near
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd

_beyond = functools.partial(claim, kind="beyond", source="not in the paper")

_GROUPS = "pieces"
_EXPONENT = "exponent of E h² from a memory of 8 to one of 64"


@functools.cache
def _runs() -> pd.DataFrame:
    return load("long_inputs").set_index(["input", "embedding", "positions", "centred"]).sort_index()


def exponents(
    name: str, embedding: str = "series", *, positions: bool = False, centred: bool = True, quantity: str = "state"
) -> Estimate:
    """Exponent of memory of a moment, from the shortest memory to the longest; median over groups.

    Args:
        name: of the input.
        embedding: of a text, or "series" or "noise".
        positions: whether positions are embedded.
        centred: whether the mean is removed.
        quantity: "state", or "sensitivity" for the derivative's times the square of 1 - lambda.
    """
    rows = _runs().loc[(name, embedding, positions, centred)]
    wide = rows.pivot(index="group", columns="memory", values=quantity)
    ratio = math.log(wide.columns[-1] / wide.columns[0])
    return median(np.log(wide.iloc[:, -1] / wide.iloc[:, 0]) / ratio, "draws" if embedding == "noise" else _GROUPS)


@functools.cache
def _lags() -> pd.DataFrame:
    return load("long_inputs", "lags").set_index(["input", "embedding", "positions"]).sort_index()


def lags(name: str, embedding: str, positions: bool) -> pd.DataFrame:
    """Autocorrelation at some lags, a row a piece of the text."""
    return _lags().loc[(name, embedding, positions)]


@_beyond(
    "beyond-inputs-exponents",
    "With a spectrum that is a power −β of the frequency E h² grows as m to 1 + β and E (dh)² as m to 3 + β, white "
    "inputs or not",
    how="measured minus expected exponent of both moments from a memory of 30 to one of 300, six β from −.6 to .9, "
    "that which is furthest from 0, medians over 32 draws of 131,072 steps",
    accepted=between(-0.1, 0.1, "the field guide's tolerance for exponents"),
    seen=True,
)
def furthest_exponent() -> Estimate:
    betas = experiments.get("long_inputs").betas
    return furthest(
        *(
            _shifted(exponents(f"{beta:g}", "noise", centred=False, quantity=quantity), 1 + beta)
            for beta in betas
            for quantity in ("state", "sensitivity")  # times a square of the memory, which takes 2 away
        )
    )


def _shifted(estimate: Estimate, by: float) -> Estimate:
    return Estimate(estimate.value - by, estimate.low - by, estimate.high - by, estimate.n, estimate.unit)


@_beyond(
    "beyond-inputs-bounds",
    "No input beats two bounds: a scale of 1 − λ keeps the state, and a parameter that moves λ by 1 − λ moves the "
    "state by no more than its size",
    how="the larger of (1 − λ)² E h² / R(0) and (1 − λ)² E (dh)² / E h², the largest over all stored inputs and "
    "memories, median over their pieces",
    accepted=at_most(1.05, "1, a theorem for stationary inputs, and a twentieth for the edges of finite ones"),
    seen=False,
)
def largest_of_bounds() -> Estimate:
    runs = load("long_inputs")
    runs = runs.assign(
        state_bound=runs["state"] / runs["memory"] ** 2, sensitivity_bound=runs["sensitivity"] / runs["state"]
    )
    keys = ["input", "embedding", "positions", "centred", "memory"]
    return largest(
        *(
            median(rows[bound], _GROUPS)
            for _, rows in runs.groupby(keys)
            for bound in ("state_bound", "sensitivity_bound")
        )
    )


@_beyond(
    "beyond-inputs-second-text",
    "A second text confirms that Figure 12's decay is not the text's: in Python's language reference, without position "
    "embeddings, there is none",
    how="R at lag 510 over R at lag 1, embedding layer of all-MiniLM-L6-v2, windows of 512 tokens; median over pieces",
    accepted=near(1, 0.1, "no decay, to a tenth, as for the first text"),
    seen=False,
)
def second_text() -> Estimate:
    rows = lags("reference", "minilm", False)
    return median(rows["lag 510"] / rows["lag 1"], _GROUPS)


@_beyond(
    "beyond-inputs-second-embedding",
    "So does a second embedding, vectors of words by their neighbours",
    how="the same ratio with co-occurrence vectors of the same text, that of two texts which is further from 1",
    accepted=near(1, 0.1, "no decay, to a tenth, as for the first embedding"),
    seen=True,
)
def second_embedding() -> Estimate:
    return _ratio_of_cooccurrence("lag 1")


@_beyond(
    "beyond-inputs-second-embedding-beyond-50",
    "Beyond 50 tokens, where neighbours no longer count, it does",
    how="R at lag 510 over R at lag 50, co-occurrence vectors, that of two texts which is further from 1",
    accepted=near(1, 0.1, "no decay, to a tenth, as for the first embedding"),
    seen=True,
)
def second_embedding_beyond_50() -> Estimate:
    return _ratio_of_cooccurrence("lag 50")


def _ratio_of_cooccurrence(lag: str) -> Estimate:
    rows = (lags(text, "cooccurrence", False) for text in ("wikipedia", "reference"))
    return furthest(*(median(each["lag 510"] / each[lag], _GROUPS) for each in rows), target=1)


@_beyond(
    "beyond-inputs-positions-decay",
    "With position embeddings, learned or of sinusoids, four fifths of the decay are theirs",
    how="share of the fall of R from lag 1 to 510 that is gone without positions, Python's reference, the smaller of "
    "all-MiniLM-L6-v2 and of co-occurrence vectors with sinusoids; median over pieces",
    accepted=at_least(0.8, "four fifths: what else there is is small beside it"),
    seen=True,
)
def share_of_positions() -> Estimate:
    return smallest(*(_share_of_positions(embedding) for embedding in ("minilm", "cooccurrence")))


def _share_of_positions(embedding: str) -> Estimate:
    falls = [lags("reference", embedding, flag).set_index("group") for flag in (True, False)]
    there, without = (rows["lag 1"] - rows["lag 510"] for rows in falls)
    return median((there - without) / there, _GROUPS)


@_beyond(
    "beyond-inputs-sinusoids-are-one-over-f",
    "The first transformer's sinusoids are 1/f noise to a unit: both moments are those of theory.one_over_f_moments "
    "with a longest correlation of 10,000 / e^γ",
    how="moments by sums over the sinusoids' autocorrelation, 512 dimensions, over closed forms, memories of 30 and "
    "100, the ratio furthest from 1",
    accepted=near(1, 0.1, "to a tenth: the closed forms are limits for memories far from 1 and from the longest"),
    seen=False,
)
def sinusoids_over_closed_form() -> float:
    R = sinusoid_autocorrelation(200_000)
    ratios = []
    for memory in (30.0, 100.0):
        lam = 1 - 1 / memory
        length = 1e4 / math.exp(np.euler_gamma)
        share = math.log(length) / math.log(1e4)  # R(0) of such noise is above that of the sinusoids
        expected = theory.one_over_f_moments(lam, length)
        for found, closed in zip(_moments(R, lam), expected, strict=True):
            ratios.append(found / (share * closed))
    return max(ratios, key=lambda ratio: abs(ratio - 1))


def sinusoid_autocorrelation(lags: int, size: int = 512) -> np.ndarray:
    """That of :func:`rnnlib.lab.long_inputs.sinusoids`, divided by R(0)."""
    frequencies = 1e4 ** (-np.arange(size // 2) / (size // 2))
    return np.cos(frequencies[:, None] * np.arange(lags)).mean(0)


def _moments(R: np.ndarray, lam: float) -> tuple[float, float]:
    lag = np.arange(1, len(R))
    total = R[0] + 2 * (lam**lag * R[1:]).sum()
    lagged = 2 * (lag * lam**lag * R[1:]).sum()
    rest = 1 - lam**2
    return total / rest, total * (1 + lam**2) / rest**3 + lagged / rest**2


@_beyond(
    "beyond-inputs-gamma-fails-on-slow-series",
    "γ does not keep the state on pictures read pixel by pixel, on a landscape and on a membrane's potential: it "
    "leaves half a power of memory or more",
    how=f"{_EXPONENT}, which is 1 where γ suffices, the smallest of four inputs; median over pieces",
    accepted=at_least(1.5, "half a power above white inputs' 1"),
    seen=False,
)
def slow_series() -> Estimate:
    return smallest(*(exponents(name) for name in ("china", "flower", "elevation", "membrane")))


@_beyond(
    "beyond-inputs-gamma-suffices-on-waves",
    "It does on sounds and an EEG, which have next to nothing at frequency zero",
    how=f"{_EXPONENT}, the largest of a plucked string, a test recording and an EEG; median over pieces",
    accepted=at_most(1.1, "white inputs' 1, with the field guide's tolerance"),
    seen=False,
)
def waves() -> Estimate:
    return largest(*(exponents(name) for name in ("pluck", "speech", "eeg")))


@_beyond(
    "beyond-inputs-text-has-long-memory",
    "Text has a long memory of its own once the mean embedding is taken away: γ leaves a fifth of a power or more",
    how=f"{_EXPONENT}, centred embeddings of all-MiniLM-L6-v2 without positions, the smaller of two texts; median over "
    "pieces",
    accepted=at_least(1.2, "a fifth of a power above white inputs' 1: twice the field guide's tolerance"),
    seen=True,
)
def text_without_mean() -> Estimate:
    return smallest(*(exponents(name, "minilm") for name in ("wikipedia", "reference")))
