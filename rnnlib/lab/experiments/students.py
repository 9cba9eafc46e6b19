"""The students of the trained experiments, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ...layers import LRU, S4D, DenseRNN, DiagonalRNN
from ...layers.s4 import inverse_softplus
from ...parametrization import input_scale
from ..angles import HALF_ANGLE, OPTIMAL_ANGLE, POLAR_ANGLE, CayleyLRU, Mamba3LRU, OscillatorLRU, RectangularLRU

if TYPE_CHECKING:
    from torch import nn

#: What makes a student: ``make(width, heads, nu0, theta0, generator)`` returns a layer with scalar input and output
#: whose eigenvalues start with moduli from nu0 (0 to 1) to 1 and angles up to theta0 radians.
Maker = Callable[[int, int, float, float, "torch.Generator"], "nn.Module"]


def _diagonal(kind: Callable, **settings: Any) -> Maker:
    def make(width: int, heads: int, nu0: float, theta0: float, generator: torch.Generator) -> nn.Module:
        return kind(1, width, 1, min_modulus=nu0, max_angle=theta0, generator=generator, **settings)

    return make


def _dense(width: int, heads: int, nu0: float, theta0: float, generator: torch.Generator) -> nn.Module:
    return DenseRNN(1, width, 1, heads=heads, min_modulus=nu0, max_angle=theta0, generator=generator)


@torch.no_grad()
def _gamma_of_the_real_part(*sizes: int, **options: Any) -> DiagonalRNN:
    """As the authors' code starts gamma: from the real part of lambda, where its modulus is meant (erratum 4)."""
    layer = DiagonalRNN(*sizes, normalize=True, **options)
    layer.gamma.copy_(input_scale(layer.eigenvalues().real))
    return layer


def _scaled(make: Maker, B: Callable[[int], float], C: Callable[[int], float]) -> Maker:
    """With other scales of input and output weights: factors, from the number of units."""

    @torch.no_grad()
    def scaled(width: int, *arguments: Any) -> nn.Module:
        layer = make(width, *arguments)
        layer.B.mul_(B(width))
        layer.C.mul_(C(width))
        return layer

    return scaled


def _truncated(make: Maker, B: Callable[[int], float], C: Callable[[int], float]) -> Maker:
    """With maps from normals cut at two standard deviations and rescaled to their variance, as the paper draws them
    (erratum 25): each draw at the same quantile as the layer's own. B and C give standard deviations from the number of
    units; that of D is 1."""
    tail = torch.special.ndtr(torch.tensor(-2.0, dtype=torch.float64))

    @torch.no_grad()
    def truncated(width: int, *arguments: Any) -> nn.Module:
        layer = make(width, *arguments)
        for weight, std in ((layer.B, B(width)), (layer.C, C(width)), (layer.D, 1.0)):
            quantile = torch.special.ndtr(weight.double() / std)
            weight.copy_(torch.special.ndtri(tail + (1 - 2 * tail) * quantile) * (std / _STD_CUT_AT_TWO))
        return layer

    return truncated


_STD_CUT_AT_TWO = 0.87962566103423978  # of a standard normal that is cut at two standard deviations


@torch.no_grad()
def _s4_of_the_authors(width: int, heads: int, nu0: float, theta0: float, generator: torch.Generator) -> S4D:
    """As the authors' code starts S4 in Figure 9 (erratum 10): a step size for each unit that puts moduli on the ring
    at a real part of -1, angles divided by the raw step size, and maps of standard deviation 1."""
    layer = S4D(1, width, 1, min_modulus=nu0, max_angle=theta0, generator=generator)
    raw = torch.tensor([inverse_softplus(-math.log(modulus)) for modulus in layer.eigenvalues().abs().tolist()])
    layer.omega_delta.copy_(raw)
    layer.A[:, 0] = -1.0
    layer.A[:, 1] = 2 * math.pi * torch.rand(width, generator=generator) / raw
    layer.B.mul_(math.sqrt(width))
    return layer


@torch.no_grad()
def _from_blocks(*arguments: Any) -> DenseRNN:
    """A dense matrix that starts as the block-diagonal student with so many heads, zeros between its blocks."""
    blocks = _dense(*arguments)
    layer = DenseRNN(1, blocks.hidden_size, 1, generator=arguments[-1])
    for name, value in blocks.named_parameters():
        layer.get_parameter(name).copy_(torch.block_diag(*value) if name == "A" else value)
    return layer


def _turned(make: Maker) -> Maker:
    """The same outputs from another basis of the state, a random orthogonal one: A to Q A Q', B to Q B, C to C Q'."""

    @torch.no_grad()
    def turned(*arguments: Any) -> nn.Module:
        layer = make(*arguments)
        Q = torch.linalg.qr(torch.randn(layer.A.shape[1:], generator=arguments[-1]))[0]
        layer.A.copy_(Q @ layer.A @ Q.mT)
        layer.B.copy_(Q @ layer.B)
        layer.C.copy_(layer.C @ Q.mT)
        return layer

    return turned


STUDENTS: dict[str, Maker] = {
    "rnn": _dense,
    "block": _dense,
    "block_wide": _dense,
    "crnn": _diagonal(DiagonalRNN),
    "crnn_gamma": _diagonal(DiagonalRNN, normalize=True),
    "crnn_gamma_real": _diagonal(_gamma_of_the_real_part),
    "crnn_exp": _diagonal(LRU, normalize=False),
    "lru": _diagonal(LRU),
    "s4d": _diagonal(S4D, step_size=0.01),
    "s4d_unit_step": _diagonal(S4D, step_size=1.0),
    "s4d_authors": _s4_of_the_authors,
    # between "block_wide" and "crnn" of half the width: the scales of the other's maps (erratum 16)
    "block_wide_crnn_maps": _scaled(_dense, lambda width: (width / 2) ** -0.5, lambda width: width**0.5),
    "crnn_block_maps": _scaled(_diagonal(DiagonalRNN), lambda width: width**0.5, lambda width: (2 * width) ** -0.5),
    "rnn_truncated": _truncated(_dense, lambda width: 1.0, lambda width: width**-0.5),
    "lru_truncated": _truncated(_diagonal(LRU), lambda width: width**-0.5, lambda width: 1.0),
    # one dense network from one start, in two bases of its state
    "rnn_from_blocks": _from_blocks,
    "rnn_from_blocks_turned": _turned(_from_blocks),
    # LRUs with other parametrisations of the angle
    "lru_polar_angle": _diagonal(LRU, parametrization=POLAR_ANGLE),
    "lru_half_angle": _diagonal(LRU, parametrization=HALF_ANGLE),
    "lru_optimal_angle": _diagonal(LRU, parametrization=OPTIMAL_ANGLE),
    "lru_rectangular": _diagonal(RectangularLRU),
    "lru_cayley": _diagonal(CayleyLRU),
    "lru_mamba3": _diagonal(Mamba3LRU),
    "lru_oscillator": _diagonal(OscillatorLRU),
}

#: How figures and tables call them.
LABELS = {
    "rnn": "RNN",
    "block": "block diagonal",
    "block_wide": "more neurons",
    "crnn": "complex numbers",
    "crnn_gamma": "gamma norm.",
    "crnn_gamma_real": "gamma norm. (authors' start)",
    "crnn_exp": "exponential, no gamma",
    "lru": "LRU",
    "s4d": "S4",
    "s4d_unit_step": "S4, Δ = 1",
    "s4d_authors": "S4, authors' start",
    "block_wide_crnn_maps": "more neurons, maps as complex",
    "crnn_block_maps": "complex numbers, maps as real",
    "rnn_truncated": "RNN, truncated normals",
    "lru_truncated": "LRU, truncated normals",
    "rnn_from_blocks": "RNN from blocks",
    "rnn_from_blocks_turned": "RNN from blocks, random basis",
    "lru_polar_angle": "LRU, polar angle",
    "lru_half_angle": "LRU, half-angle",
    "lru_optimal_angle": "LRU, optimal angle",
    "lru_rectangular": "LRU, rectangular",
    "lru_cayley": "LRU, Cayley",
    "lru_mamba3": "LRU, Mamba-3's angle",
    "lru_oscillator": "LRU, oscillator (LinOSS)",
}


def register(name: str, make: Maker) -> None:
    """Add a student of your own, so that experiments can name it.

    Args:
        name: its name in the column ``student``.
        make: ``make(width, heads, nu0, theta0, generator)`` returns a layer with ``input_size = output_size = 1``, a
            method ``impulse_response(T)``, and eigenvalues with moduli from nu0 to 1 and angles up to theta0 radians.

    Raises:
        ValueError: the name is taken or no text, or there is nothing to call.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be a text, got {name!r}")
    if not callable(make):
        raise ValueError(f"make must be a function that returns a layer, got {make!r}")
    if name in STUDENTS and STUDENTS[name] is not make:
        raise ValueError(f"there already is a student {name!r}")
    STUDENTS[name] = make
