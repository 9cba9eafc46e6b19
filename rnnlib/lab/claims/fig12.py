"""Claims of Figure 12: the autocorrelation of embedded text, on stored results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ... import theory
from .. import text
from ..paper_values import paper_values
from ..statistics import Estimate, median
from .measures import load
from .ranges import at_least, at_most, between, near
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd

_UNIT = "groups of articles"
_PAPER_SHARE = text.PAPER.amplitude / (text.PAPER.white + text.PAPER.amplitude)


def _groups(positions: bool, padding: bool) -> pd.DataFrame:
    """Fits to groups of articles, three each where padded as the paper's are."""
    groups = load("fig12", "groups")
    return groups.query("source == 'wikipedia' and positions == @positions and padding == @padding")


@claim(
    "fig12-white-model",
    "White inputs are a good first-order model of the text: .376 δ",
    kind="text",
    source="D.1, caption of Figure 12",
    how="share of the mean square that a fit leaves white, our text padded as the paper's; median over groups",
    accepted=at_least(0.8, "a good first order: what it leaves out is a fifth or less"),
    paper="0.88",
)
def white_share() -> Estimate:
    fits = _groups(True, True)
    return median(fits["white"] / (fits["white"] + fits["amplitude"]), _UNIT)


@claim(
    "fig12-refined-model",
    "An exponential beside it is a refined approximation: .332 δ + .044 · .997^D",
    kind="text",
    source="D.1, caption of Figure 12",
    how="root mean square of what the fit leaves of R at lags of 1 and more / of R there, which the white model "
    "leaves; median over groups",
    accepted=at_most(0.5, "refined: less than half of the first-order model's deviation"),
)
def deviation_over_that_of_white_model() -> Estimate:
    fits = _groups(True, True)
    return median(fits["deviation"] / fits["magnitude"], _UNIT)


@claim(
    "fig12-decay",
    "The autocorrelation decays by about .997 a token",
    kind="text",
    source="D.1, caption of Figure 12",
    how="time constant of the fit to our text, padded, over the paper's, log10; median over groups",
    accepted=between(-0.3, 0.3, "about: time constants within a factor of two, decays from .994 to .9985"),
    paper="0",
)
def log_ratio_of_time_constants() -> Estimate:
    return median(np.log10(np.log(text.PAPER.decay) / np.log(_groups(True, True)["decay"])), _UNIT)


@claim(
    "fig12-memory-share",
    "The part with memory is .044 of .376, the mean square (.0431 in the code)",
    kind="text",
    source="D.1, caption of Figure 12",
    how="the same share in our fit, padded; embeddings of another BERT; median over groups",
    accepted=near(_PAPER_SHARE, 0.05, "the share in the code's fit, within .05 of all"),
    paper="0.117 (code 0.115)",
)
def share_with_memory() -> Estimate:
    fits = _groups(True, True)
    return median(fits["amplitude"] / (fits["white"] + fits["amplitude"]), _UNIT)


@claim(
    "fig12-long-lags",
    "At lags of 300 to 500 tokens R is .025 to .015",
    kind="picture",
    source="Figure 12",
    how="mean of R at lags 300, 400, 500 in our text, padded, over the paper's; median over groups",
    accepted=between(0.5, 2, "within a factor of two"),
    paper="1",
)
def long_lags_over_paper() -> Estimate:
    lags = (300, 400, 500)
    theirs = np.mean([paper_values("fig12")["R_lag"][str(lag)] for lag in lags])
    return median(_groups(True, True)[[f"lag {lag}" for lag in lags]].mean(axis=1) / theirs, _UNIT)


@claim(
    "fig12-exponential-fit",
    "The exponential fits to a quarter of its amplitude",
    kind="ours",
    source="D.1",
    how="root mean square deviation at lags of 1 and more over the amplitude of the fit, padded; median over groups",
    accepted=at_most(0.25, "a quarter of the amplitude"),
)
def relative_deviation_from_fit() -> Estimate:
    fits = _groups(True, True)
    return median(fits["deviation"] / fits["amplitude"], _UNIT)


@claim(
    "fig12-slow-part-in-units",
    "In a unit that remembers ten steps the part with memory is the larger one, so white inputs are no model for it",
    kind="ours",
    source="D.1, from its fit",
    how="share of E h² that the exponential of the paper's fit has at λ = .9",
    accepted=at_least(0.5, "the larger part"),
)
def slow_share_of_state() -> float:
    slow = text.PAPER.amplitude * theory.state_variance(0.9, text.PAPER.decay)
    return slow / (slow + text.PAPER.white * theory.state_variance(0.9, 0.0))


@claim(
    "fig12-no-decay-without-positions",
    "Without position embeddings there is no such decay: it is not the text's",
    kind="ours",
    source="not in the paper",
    how="R at lag 510 over R at lag 1, unpadded text without position embeddings; median over groups",
    accepted=near(1, 0.1, "no decay, to a tenth"),
)
def autocorrelation_without_positions() -> Estimate:
    values = _groups(False, False)
    return median(values["lag 510"] / values["lag 1"], _UNIT)
