"""The students of the trained experiments, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from ...layers import LRU, S4D, DenseRNN, DiagonalRNN
from ...parametrization import input_scale

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
