"""Claims of Figure 12: the autocorrelation of embedded text, on stored results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import text
from .measures import load
from .ranges import near
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd


def _of_wikipedia(table: str, positions: bool, padding: bool) -> pd.DataFrame:
    return load("fig12", table).query("source == 'wikipedia' and positions == @positions and padding == @padding")


def _fit(positions: bool, padding: bool) -> pd.Series:
    return _of_wikipedia("fits", positions, padding).squeeze()


def _autocorrelation(positions: bool, padding: bool) -> np.ndarray:
    return _of_wikipedia("runs", positions, padding).sort_values("lag")["autocorrelation"].to_numpy()


@claim(
    "fig12-decay",
    "The autocorrelation decays by about .997 a token",
    kind="text",
    source="appendix E",
    how="time constant of the fit to our text, padded as the paper's (106 articles), over the paper's, log10; within a "
    "factor of two, decays from .994 to .9985 (a fit had been seen when this bound was written)",
    accepted=near(0, 0.3, "TODO"),
)
def log_ratio_of_time_constants() -> float:
    return np.log10(np.log(text.PAPER.decay) / np.log(_fit(True, True)["decay"]))


@claim(
    "fig12-memory-share",
    "The part with memory is .0431 / (.332 + .0431) of the mean square",
    kind="text",
    source="appendix E",
    how="the same share in our fit, padded; embeddings of another BERT",
    accepted=near(text.PAPER.amplitude / (text.PAPER.white + text.PAPER.amplitude), 0.05, "TODO"),
)
def share_with_memory() -> float:
    fit = _fit(True, True)
    return fit["amplitude"] / (fit["white"] + fit["amplitude"])


@claim(
    "fig12-exponential-fit",
    "An exponential fits it",
    kind="text",
    source="appendix E",
    how="root mean square deviation at lags of 1 and more over the amplitude of the fit, padded",
    accepted=near(0, 0.25, "TODO"),
)
def relative_deviation_from_fit() -> float:
    fit, values = _fit(True, True), _autocorrelation(True, True)
    model = text.Autocorrelation(fit["white"], fit["amplitude"], fit["decay"])(np.arange(len(values)))
    return np.sqrt(np.mean((values - model)[1:] ** 2)) / fit["amplitude"]


@claim(
    "fig12-no-decay-without-positions",
    "Without position embeddings there is no such decay: it is not the text's",
    kind="text",
    source="ours",
    how="R at lag 510 over R at lag 1, unpadded text without position embeddings",
    accepted=near(1, 0.1, "TODO"),
)
def autocorrelation_without_positions() -> float:
    values = _autocorrelation(False, False)
    return values[-1] / values[1]
