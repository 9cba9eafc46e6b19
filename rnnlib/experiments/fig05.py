"""Figure 5: signals and gradients in deep networks at initialisation, and which of their features need real text."""

from .propagation import Propagation

KINDS = ("crnn", "lru", "gru")
LIVE = {"times": (1.0, 100.0), "targets": ("previous",), "sequences": 8, "batch": 8}
SMOKE = {"times": (1.0, 10.0), "sequences": 4, "batch": 2, "length": 32, "width": 8, "depth": 2}

EXPERIMENT = Propagation(
    name="fig05",
    title="outputs and gradients of deep networks at initialisation, on text",
    networks=(*((kind, "none") for kind in KINDS), ("crnn", "layer"), ("crnn", "batch")),
    smaller={"book": {**LIVE, "networks": tuple((kind, "none") for kind in KINDS)}, "smoke": SMOKE},
)

# Text against Gaussian inputs: with all of its second moments, and with its autocorrelation alone.
COMPARED = Propagation(
    name="fig05_sources",
    title="the same on text and on two Gaussian stand-ins for it",
    networks=tuple((kind, "none") for kind in KINDS),
    sources=("wikipedia", "matched", "fitted"),
    targets=("previous",),
    times=(1.0, 10.0, 100.0),
    sequences=64,
    smaller={"book": LIVE, "smoke": {**SMOKE, "networks": (("gru", "none"),)}},
)
