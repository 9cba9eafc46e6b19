"""Claims of Figure 5 and of section 5: signals and gradients of deep networks at initialisation.

Numbers are decades, medians over draws of the network; of each draw the mean over two texts counts.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...layers import DiagonalRNN
from ...scan import linear_scan
from .. import experiments, text
from ..experiments.propagation import TEXTS, quantities_of
from ..statistics import Estimate, furthest, median, paired_median, smallest
from .measures import load
from .ranges import at_least, at_most, between, significantly, similar
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd

NAME = "fig05_draws"
UNIT = "networks"
_GROUPS = {"crnn": ("lambda", "rest"), "lru": ("nu", "theta", "rest"), "gru": ("recurrent", "rest")}
_MEDIAN = "median of 32 networks, each on two texts"
_GROWTH = f"decades of the mean square from T_c = 1 to 100, {_MEDIAN}"


@functools.cache
def _cells() -> dict[tuple, pd.DataFrame]:
    """A row a draw, by source, kind, normalisation, T_c, target and layer."""
    keys = ["source", "kind", "normalization", "time", "target", "layer"]
    return dict(iter(load(NAME).sort_values("draw").groupby(keys)))


def decades(
    quantity: str,
    kind: str,
    time: float,
    layer: int = 0,
    normalization: str = "none",
    *,
    sources: tuple[str, ...] = TEXTS,
    target: str = "previous",
) -> np.ndarray:
    """log10 of a mean square, a row a draw and a column a source."""
    cells = (_cells()[source, kind, normalization, time, target, layer] for source in sources)
    return np.stack([cell[quantity] for cell in cells], axis=-1)


def times(source: str = TEXTS[0]) -> list[float]:
    """The T_c that a source was measured at."""
    return sorted({time for name, _, _, time, *_ in _cells() if name == source})


def growth(quantity: str, kind: str, layer: int = 0, normalization: str = "none") -> Estimate:
    """Decades from T_c = 1 to 100, paired: both networks have the same draws."""
    long, short = (decades(quantity, kind, time, layer, normalization) for time in (100.0, 1.0))
    return paired_median(long, short, UNIT)


# A: signals -----------------------------------------------------------------------------------------------------------


@claim(
    "fig05-crnn-output-grows",
    "A: signals of the complex RNN explode as memory grows",
    kind="picture",
    source="Figure 5A",
    how=f"output of block 4; {_GROWTH}",
    accepted=at_least(3, "explodes: a thousandfold at least; the text names no number"),
    paper="5.1",
)
def output_growth_of_crnn() -> Estimate:
    return growth("output", "crnn", 4)


@claim(
    "fig05-lru-gru-output-constant",
    "A: the activity of the LRU and of the GRU does not depend on the memory",
    kind="text",
    source="5, Figure 5A",
    how=f"outputs of blocks 1 and 4 of both, the one that changes most; {_GROWTH}",
    accepted=between(-0.3, 0.3, "constant: within a factor of two"),
    paper="−.07 (LRU, block 4)",
)
def output_growth_of_lru_and_gru() -> Estimate:
    return furthest(*(growth("output", kind, layer) for kind in ("lru", "gru") for layer in (1, 4)))


# B: gradients ---------------------------------------------------------------------------------------------------------


@claim(
    "fig05-crnn-gradients-grow",
    "B: all gradients of the complex RNN explode",
    kind="text",
    source="5, Figure 5B",
    how=f"gradients of λ and of all but λ, the one that grows less; {_GROWTH}",
    accepted=at_least(3, "explode: a thousandfold at least; the text names no number"),
    paper="12.0",
)
def gradient_growth_of_crnn() -> Estimate:
    return smallest(*(growth(group, "crnn") for group in _GROUPS["crnn"]))


@claim(
    "fig05-crnn-lambda-fastest",
    "B: those of its recurrent parameters explode faster than the others",
    kind="text",
    source="5, Figure 5B",
    how="decades by which λ grows more than all but λ from T_c = 1 to 100, median of 32 networks, each on two texts",
    accepted=at_least(1, "faster: by a factor of ten"),
    paper="3.8",
)
def lambda_growth_over_rest_of_crnn() -> Estimate:
    return _lambda_growth_over_rest("none")


def _lambda_growth_over_rest(normalization: str) -> Estimate:
    own, rest = (
        decades(group, "crnn", 100.0, 0, normalization) - decades(group, "crnn", 1.0, 0, normalization)
        for group in ("lambda", "rest")
    )
    return paired_median(own, rest, UNIT)


@claim(
    "fig05-lru-angle-grows",
    "B: of the LRU's gradients those of the angles explode",
    kind="text",
    source="5, Figure 5B",
    how=f"gradients of ω_θ; {_GROWTH}",
    accepted=at_least(1.5, "explode: thirtyfold at least; the text names no number"),
    paper="3.8",
)
def angle_gradient_growth_of_lru() -> Estimate:
    return growth("theta", "lru")


@claim(
    "fig05-lru-others-constant",
    "B: and no others of the LRU's",
    kind="text",
    source="5, Figure 5B",
    how=f"gradients of ω_ν and of all but ω_ν and ω_θ, the one that changes more; {_GROWTH}",
    accepted=between(-1, 1, "no explosion: less than a factor of ten"),
    paper=".86 (ω_ν), .05 (others)",
)
def other_gradient_growth_of_lru() -> Estimate:
    return furthest(growth("nu", "lru"), growth("rest", "lru"))


@claim(
    "fig05-lru-almost-perfect",
    "B: apart from the angle, the LRU controls signals and gradients almost perfectly",
    kind="text",
    source="5, Figure 5A, B",
    how=f"output of block 4, gradients of ω_ν and of all but ω_ν and ω_θ, the one that changes most; {_GROWTH}",
    accepted=similar("almost perfect: within a factor of two"),
    paper=".86 (ω_ν)",
)
def largest_growth_of_lru_but_angle() -> Estimate:
    return furthest(growth("output", "lru", 4), growth("nu", "lru"), growth("rest", "lru"))


_INDEPENDENT = "independent, in both directions: at most a factor of three over a hundredfold memory"


def _gated_growth(kind: str) -> Estimate:
    return furthest(growth("recurrent", kind), growth("rest", kind))


@claim(
    "fig05-gru-gradients-constant",
    "B: the GRU's gradients are independent of ν₀",
    kind="text",
    source="5, Figure 5B",
    how=f"gradients of its recurrent layers and of all but these, the one that changes more; {_GROWTH}",
    accepted=between(-0.5, 0.5, _INDEPENDENT),
    paper="−.56 (recurrent), −.15 (others)",
)
def gradient_growth_of_gru() -> Estimate:
    return _gated_growth("gru")


def _excess_over_recurrent(kind: str, group: str) -> Estimate:
    """Decades from the recurrent layers' mean square to a group's, where it is smallest over memories."""
    return smallest(*(paired_median(decades(group, kind, t), decades("recurrent", kind, t), UNIT) for t in times()))


_EXCESS = "decades from the mean squared gradient of the recurrent layers to that of"


@claim(
    "fig05-gru-below-feedforward",
    "B: the GRU's own gradients are smaller than those of the feedforward parameters",
    kind="text",
    source="5, Figure 5B",
    how=f"{_EXCESS} all other parameters, the smallest over memories; {_MEDIAN}",
    accepted=significantly("smaller, beyond chance: the interval of paired differences leaves out 0"),
    paper="1.7 to 2.2",
)
def feedforward_excess_of_gru() -> Estimate:
    return _excess_over_recurrent("gru", "rest")


@claim(
    "fig05-gru-below-feedforward-of-blocks",
    "B: they are smaller than those of the feedforward parameters of the blocks alone",
    kind="ours",
    source="erratum 20",
    how=f"{_EXCESS} all other parameters of the blocks, the smallest over memories; {_MEDIAN}",
    accepted=significantly("smaller, beyond chance: the interval of paired differences leaves out 0"),
)
def feedforward_excess_of_gru_in_blocks() -> Estimate:
    return _excess_over_recurrent("gru", "rest of blocks")


@claim(
    "fig05-lstm-output-constant",
    "The LSTM does the same, in preliminary experiments: its activity is constant",
    kind="text",
    source="5",
    how=f"outputs of blocks 1 and 4, the one that changes more; {_GROWTH}",
    accepted=between(-0.3, 0.3, "constant: within a factor of two, as for the GRU"),
    seen=False,
)
def output_growth_of_lstm() -> Estimate:
    return furthest(growth("output", "lstm", 1), growth("output", "lstm", 4))


@claim(
    "fig05-lstm-gradients-constant",
    "The LSTM's gradients are independent of ν₀, too",
    kind="text",
    source="5",
    how=f"gradients of its recurrent layers and of all but these, the one that changes more; {_GROWTH}",
    accepted=between(-0.5, 0.5, _INDEPENDENT),
    seen=False,
)
def gradient_growth_of_lstm() -> Estimate:
    return _gated_growth("lstm")


@claim(
    "fig05-lstm-below-feedforward",
    "The LSTM's own gradients are smaller than those of the feedforward parameters, too",
    kind="text",
    source="5",
    how=f"{_EXCESS} all other parameters, the smallest over memories; {_MEDIAN}",
    accepted=significantly("smaller, beyond chance: the interval of paired differences leaves out 0"),
    seen=False,
)
def feedforward_excess_of_lstm() -> Estimate:
    return _excess_over_recurrent("lstm", "rest")


# C: normalisation -----------------------------------------------------------------------------------------------------


@claim(
    "fig05-layer-norm-controls",
    "C: layer normalisation controls the overall size of the complex RNN's gradients",
    kind="text",
    source="5, Figure 5C",
    how=f"gradients of all parameters together with it; {_GROWTH}",
    accepted=at_most(1, "controls: less than the factor of ten that counts as an explosion"),
)
def overall_growth_with_layer_norm() -> Estimate:
    return growth("all", "crnn", normalization="layer")


@claim(
    "fig05-batch-norm-like-layer-norm",
    "C: batch normalisation has a similar effect",
    kind="text",
    source="caption of Figure 5",
    how="decades by which the gradients of all parameters together grow more from T_c = 1 to 100 with batch than with "
    f"layer normalisation, {_MEDIAN}",
    accepted=similar(),
)
def overall_growth_of_batch_over_layer_norm() -> Estimate:
    batch, layer = (
        decades("all", "crnn", 100.0, 0, name) - decades("all", "crnn", 1.0, 0, name) for name in ("batch", "layer")
    )
    return paired_median(batch, layer, UNIT)


@claim(
    "fig05-layer-norm-contains-rest",
    "C: with layer normalisation the gradients of all but λ stay where they are",
    kind="ours",
    source="Figure 5C",
    how=f"gradients of all but λ with it; {_GROWTH}",
    accepted=between(-1, 1, "no explosion: less than a factor of ten"),
    paper="−.80",
)
def gradient_growth_with_layer_norm() -> Estimate:
    return growth("rest", "crnn", normalization="layer")


@claim(
    "fig05-layer-norm-lambda-rises",
    "C: but with layer normalisation those of λ still rise",
    kind="ours",
    source="Figure 5C",
    how=f"gradients of λ with it; {_GROWTH}",
    accepted=at_least(1.5, "rise: thirtyfold at least, as for the LRU's angle"),
    paper="2.9",
)
def lambda_growth_with_layer_norm() -> Estimate:
    return growth("lambda", "crnn", normalization="layer")


@claim(
    "fig05-batch-norm-lambda-rises",
    "C: with batch normalisation those of λ rise above the others, too",
    kind="ours",
    source="caption of Figure 5",
    how="decades by which λ grows more than all but λ from T_c = 1 to 100 with it, median of 32 networks, each on two "
    "texts",
    accepted=at_least(1.5, "rise: thirtyfold at least, as for the LRU's angle"),
)
def lambda_growth_over_rest_with_batch_norm() -> Estimate:
    return _lambda_growth_over_rest("batch")


@claim(
    "fig05-layer-norm-smallest-eigenvalues",
    "Layer normalisation likely kills the signal of the smallest eigenvalues",
    kind="text",
    source="5",
    how="a complex RNN with moduli up to .995, Gaussian inputs of the paper's autocorrelation: decades from the mean "
    "squared state of the tenth with the largest moduli, whose scale it divides all by, to that of the smallest tenth, "
    "median of 32 layers",
    accepted=at_most(-1, "kills: a tenth or less of what the largest send"),
)
def signal_of_smallest_eigenvalues() -> Estimate:
    ratios = []
    for seed in range(32):
        generator = torch.Generator().manual_seed(seed)
        layer = DiagonalRNN(256, 256, 256, max_modulus=0.995, generator=generator)
        x = text.load("gaussian", 2, size=256, seed=seed).x
        with torch.no_grad():
            lam = layer.eigenvalues()
            power = linear_scan(lam, layer._drive(x)).abs().square().mean((0, 1))
        power = power[lam.abs().argsort()]
        tenth = len(power) // 10
        ratios.append((power[:tenth].mean() / power[-tenth:].mean()).log10().item())
    return median(ratios, "layers")


# What the groups hold, and what the inputs are ------------------------------------------------------------------------


@claim(
    "fig05-gru-encoder-dominates",
    "The GRU's other parameters include encoder and decoder, and the encoder dominates",
    kind="text",
    source="D.1, erratum 20",
    how=f"the encoder's share of their squared gradients, the smallest over memories; {_MEDIAN}",
    accepted=at_least(0.5, "dominates: more than half"),
)
def share_of_encoder_in_gru() -> Estimate:
    entries = {"encoder": 0, "rest": 0}
    experiment = experiments.get(NAME)
    size = text.load("gaussian", 1, 1).x.shape[-1]  # as many dimensions as the texts have
    for name, weight in experiment.network("gru", "none", 1.0, size).named_parameters():
        entries["encoder"] += weight.numel() * name.startswith("encoder")
        entries["rest"] += weight.numel() * (".layer.gru." not in name)
    of_entries = entries["encoder"] / entries["rest"]
    return smallest(
        *(median(of_entries * 10 ** (decades("encoder", "gru", t) - decades("rest", "gru", t)), UNIT) for t in times())
    )


@claim(
    "fig05-next-or-previous-token",
    "It does not matter whether the loss asks for the next token, as the text has it, or, as the code, the previous",
    kind="erratum",
    source="erratum 12",
    how="decades between mean squared gradients, over all networks, memories and groups of the figure, the largest "
    "difference; median of 32 networks on one text",
    accepted=between(-0.3, 0.3, "no matter: within a factor of two"),
)
def log_ratio_of_next_to_previous_token() -> Estimate:
    networks = [*((kind, "none") for kind in _GROUPS), ("crnn", "layer"), ("crnn", "batch")]
    return furthest(
        *(
            paired_median(
                *(
                    decades(group, kind, time, 0, normalization, sources=TEXTS[:1], target=target)
                    for target in ("next", "previous")
                ),
                UNIT,
            )
            for kind, normalization in networks
            for group in _GROUPS[kind]
            for time in times()
        )
    )


def _furthest_ratio(first: tuple[str, ...], second: tuple[str, ...]) -> Estimate:
    """Decades between mean squares on two kinds of inputs, over every quantity of panels A and B, block by block."""
    return furthest(
        *(
            paired_median(*(decades(quantity, kind, time, layer, sources=s) for s in (first, second)), UNIT)
            for kind in _GROUPS
            for time in times(first[0])
            for layer in range(5)
            for quantity in quantities_of(kind, layer > 0) - {"error"}
        )
    )


@claim(
    "fig05-texts-alike",
    "All of panels A and B is alike on two texts without an article in common",
    kind="ours",
    source="Figure 5",
    how="decades between mean squares on the two, the largest difference; median of 32 networks",
    accepted=between(-0.3, 0.3, "alike: within a factor of two"),
    seen=False,
)
def log_ratio_of_texts() -> Estimate:
    return _furthest_ratio(TEXTS[:1], TEXTS[1:])


@claim(
    "fig05-gaussian-with-covariances",
    "All of panels A and B follows from the mean and covariances of the text",
    kind="ours",
    source="Figure 5",
    how="decades from mean squares on text to those on Gaussian inputs that share them, the largest difference; "
    "median of 32 networks",
    accepted=between(-0.3, 0.3, "follows: within a factor of two"),
)
def log_ratio_of_gaussian_to_text() -> Estimate:
    return _furthest_ratio(("matched",), TEXTS)


@claim(
    "fig05-gaussian-with-autocorrelation",
    "The fitted autocorrelation alone is enough",
    kind="ours",
    source="Figure 5",
    how="the same for independent Gaussian dimensions with the exponential fitted as in Figure 12",
    accepted=between(-0.3, 0.3, "enough: within a factor of two"),
)
def log_ratio_of_fitted_gaussian_to_text() -> Estimate:
    return _furthest_ratio(("fitted",), TEXTS)
