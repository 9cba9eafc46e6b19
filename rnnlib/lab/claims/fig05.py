"""Claims of Figure 5: signals and gradients of deep networks at initialisation, on stored results."""

from __future__ import annotations

from .measures import furthest, load, log_mean_squares
from .ranges import at_least, near
from .registry import claim


def _growth(kind: str, group: str, layer: int = 0, normalization: str = "none") -> float:
    """Decades by which a mean square grows from T_c = 1 to 100."""
    values = log_mean_squares("fig05")
    short, long = (values[kind, normalization, time, layer, group] for time in (1.0, 100.0))
    return float(long - short)


@claim(
    "fig05-crnn-output-grows",
    "A: the output of the complex RNN grows by many decades with the memory",
    kind="text",
    source="5",
    how="decades of the mean square of block 4's output from T_c = 1 to 100",
    accepted=at_least(3, "as when the row was first written"),
)
def output_growth_of_crnn() -> float:
    return _growth("crnn", "output", 4)


@claim(
    "fig05-lru-gru-output-constant",
    "A: the outputs of the LRU and the GRU stay where they are",
    kind="text",
    source="5",
    how="the same, blocks 1 and 4 of both; the largest change in size, at most a factor of two",
    accepted=near(0, 0.3, "as when the row was first written"),
)
def output_growth_of_lru_and_gru() -> float:
    return furthest([_growth(kind, "output", layer) for kind in ("lru", "gru") for layer in (1, 4)], 0)


@claim(
    "fig05-crnn-gradients-grow",
    "B: gradients of the complex RNN grow by many decades",
    kind="text",
    source="5",
    how="decades of the mean square of all but λ from T_c = 1 to 100",
    accepted=at_least(3, "as when the row was first written"),
)
def gradient_growth_of_crnn() -> float:
    return _growth("crnn", "rest")


@claim(
    "fig05-crnn-lambda-fastest",
    "B: those of its λ grow fastest",
    kind="text",
    source="5",
    how="decades of λ's growth minus the rest's",
    accepted=at_least(1, "as when the row was first written"),
)
def lambda_growth_over_rest_of_crnn() -> float:
    return _growth("crnn", "lambda") - _growth("crnn", "rest")


@claim(
    "fig05-lru-angle-grows",
    "B: of the LRU's gradients those of the angles grow",
    kind="text",
    source="5",
    how="decades of the mean square for ω_θ from T_c = 1 to 100",
    accepted=at_least(1.5, "as when the row was first written"),
)
def angle_gradient_growth_of_lru() -> float:
    return _growth("lru", "theta")


@claim(
    "fig05-lru-others-constant",
    "B: and no others of the LRU's",
    kind="text",
    source="5",
    how="the same for ω_ν and for the rest, the larger in size; within a decade",
    accepted=near(0, 1, "as when the row was first written"),
)
def other_gradient_growth_of_lru() -> float:
    return furthest([_growth("lru", "nu"), _growth("lru", "rest")], 0)


@claim(
    "fig05-gru-gradients-constant",
    "B: the GRU's gradients do not grow",
    kind="text",
    source="5",
    how="the same for its recurrent layers and for the rest, the larger; at most a factor of three",
    accepted=near(0, 0.5, "as when the row was first written"),
)
def gradient_growth_of_gru() -> float:
    return max(0.0, _growth("gru", "recurrent"), _growth("gru", "rest"))


@claim(
    "fig05-layer-norm-contains-rest",
    "C: layer normalisation contains the complex RNN's gradients of all but λ",
    kind="text",
    source="5",
    how="decades of all but λ from T_c = 1 to 100 with it",
    accepted=near(0, 1, "as when the row was first written"),
)
def gradient_growth_with_layer_norm() -> float:
    return _growth("crnn", "rest", normalization="layer")


@claim(
    "fig05-layer-norm-lambda-rises",
    "C: but λ's still rise",
    kind="text",
    source="5",
    how="decades of λ with it",
    accepted=at_least(1.5, "as when the row was first written"),
)
def lambda_growth_with_layer_norm() -> float:
    return _growth("crnn", "lambda", normalization="layer")


@claim(
    "fig05-batch-norm-lambda-rises",
    "C: with batch normalisation, too, those of λ rise above the others, ours: the figure is in the code",
    kind="ours",
    source="code of Figure 5",
    how="decades of λ minus those of all but λ with it",
    accepted=at_least(1.5, "as when the row was first written"),
)
def lambda_growth_over_rest_with_batch_norm() -> float:
    return _growth("crnn", "lambda", normalization="batch") - _growth("crnn", "rest", normalization="batch")


@claim(
    "fig05-next-or-previous-token",
    "It does not matter whether the loss asks for the next token or, as the code does, the previous (erratum 12)",
    kind="ours",
    source="ours",
    how="log10 of the ratio of gradients' mean squares, over all networks, memories and groups, the largest in size",
    accepted=near(0, 0.3, "as when the row was first written"),
)
def log_ratio_of_next_to_previous_token() -> float:
    ratio = log_mean_squares("fig05", target="next") - log_mean_squares("fig05")
    return furthest(ratio.tolist(), 0)


@claim(
    "fig05-encoder-decoder-share",
    "Encoder and decoder dominate the groups called “all but” (erratum 20)",
    kind="ours",
    source="ours",
    how="their share of the squares in “all but”, median over the networks without normalisation and the memories",
    accepted=near(1, 0.5, "as when the row was first written"),
)
def share_of_encoder_and_decoder() -> float:
    frame = load("fig05").query("layer == 0 and target == 'previous' and normalization == 'none'")
    totals = (frame["entries"] * frame["mean_square"]).groupby([frame["kind"], frame["time"], frame["group"]]).sum()
    totals = totals.unstack()
    return ((totals["encoder"] + totals["decoder"]) / totals["rest"]).median()


def _largest_log_ratio_to_text(source: str) -> float:
    """log10 of stand-in over text, over every mean square, the largest in size."""
    ratio = log_mean_squares("fig05_sources", source) - log_mean_squares("fig05_sources")
    return furthest(ratio.tolist(), 0)


@claim(
    "fig05-gaussian-with-covariances",
    "All of panels A and B follows from the mean and covariances of the text",
    kind="ours",
    source="ours",
    how="log10 of mean squares on Gaussian inputs that share them over those on text, the largest in size",
    accepted=near(0, 0.3, "as when the row was first written"),
)
def log_ratio_of_gaussian_to_text() -> float:
    return _largest_log_ratio_to_text("matched")


@claim(
    "fig05-gaussian-with-autocorrelation",
    "The fitted autocorrelation alone is enough",
    kind="ours",
    source="ours",
    how="the same for independent Gaussian dimensions with the exponential fitted as in Figure 12",
    accepted=near(0, 0.3, "as when the row was first written"),
)
def log_ratio_of_fitted_gaussian_to_text() -> float:
    return _largest_log_ratio_to_text("fitted")
