"""Figure 13: the gradients of Figure 5B block by block; the networks are the same and are measured once."""

from .fig05 import KINDS, LIVE, SMOKE
from .propagation import Propagation

EXPERIMENT = Propagation(
    name="fig13",
    title="gradients of deep networks at initialisation, block by block, on text",
    networks=tuple((kind, "none") for kind in KINDS),
    smaller={"book": LIVE, "smoke": SMOKE},
)
