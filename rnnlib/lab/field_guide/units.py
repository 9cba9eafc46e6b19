"""One unit of each model, reduced to its recurrence: raw parameters to eigenvalue and input scale, in a few lines.

A unit is a function of its raw parameters, numbers as tensors, and of the noise g that inputs add to the logit of its
gate, a number or one for each step. It returns the eigenvalue, real or complex, and the input scale. All run through
:func:`rnnlib.lab.field_guide.respond`. Biases that a model sets apart from its gate's inputs are what carries the
gradient here; weights only make the noise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import sigmoid
from torch.nn.functional import softplus

from ...scan import linear_scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Raw = dict[str, Tensor]
    Gates = tuple[Tensor, Tensor]


def respond(
    unit: Callable[..., tuple[Tensor, Tensor]],
    raw: dict[str, Tensor],
    x: Tensor,
    noise: Tensor,
    readout: Callable[..., Tensor] | None = None,
) -> Tensor:
    """The unit as a layer with one channel.

    Args:
        unit: a function of this module.
        raw: its raw parameters, tensors of shape ``()``.
        x: inputs ``(time,)``.
        noise: of the gate's logit, ``()`` for a gate that stands still or ``(time,)``.
        readout: from raw parameters, states and inputs to outputs; the states themselves without one.

    Returns:
        Outputs ``(time,)``, complex for complex eigenvalues.
    """
    lam, scale = unit(raw, noise)
    lam = lam.expand(1) if lam.ndim == 0 else lam[None, :, None]
    h = linear_scan(lam, (scale * x)[None, :, None])[0, :, 0]
    return h if readout is None else readout(raw, h, x)


def turned(modulus: Tensor, angle: Tensor) -> Tensor:
    return modulus * torch.exp(1j * angle)


def gamma(modulus: Tensor) -> Tensor:
    return (1 - modulus.square()).sqrt()


# Diagonal layers whose gates stand still ------------------------------------------------------------------------------


def complex_rnn(raw: Raw, noise: Tensor) -> Gates:
    return turned(raw["modulus"], raw["angle"]), torch.ones_like(raw["modulus"])


def lru(raw: Raw, noise: Tensor) -> Gates:
    """Its input scale is a parameter of its own that starts at gamma, so it does not follow the modulus."""
    modulus = torch.exp(-raw["modulus"].exp())
    return turned(modulus, raw["angle"].exp()), gamma(modulus.detach())


def optimal(raw: Raw, noise: Tensor) -> Gates:
    modulus = raw["modulus"].tanh()
    still = modulus.detach()
    angle = raw["angle"] * (1 - still**2) / (still * (1 + still**2).sqrt())
    return turned(modulus, angle), gamma(modulus)


def half_angle(raw: Raw, noise: Tensor) -> Gates:
    """The Cayley transform (1 + ia) / (1 - ia) of a skew-symmetric 2 x 2 block: a is the tangent of half the angle."""
    modulus = torch.exp(-raw["modulus"].exp())
    return turned(modulus, 2 * raw["angle"].atan()), gamma(modulus.detach())


def cayley(raw: Raw, noise: Tensor) -> Gates:
    """On the circle: memory is the window."""
    return turned(torch.ones_like(raw["angle"]), 2 * raw["angle"].atan()), torch.ones_like(raw["angle"])


def s4d(raw: Raw, noise: Tensor) -> Gates:
    """Zero-order hold of a continuous system."""
    A = torch.complex(-raw["modulus"].exp(), raw["angle"])
    lam = torch.exp(A * raw["step"].exp())
    return lam, (lam - 1) / A


def s5(raw: Raw, noise: Tensor) -> Gates:
    A = torch.complex(raw["modulus"], raw["angle"])
    lam = torch.exp(A * raw["step"].exp())
    return lam, (lam - 1) / A


def linoss(raw: Raw, noise: Tensor) -> Gates:
    """Implicit steps of y'' = -A y + x, with velocity + i sqrt(A) position as the state."""
    step = sigmoid(raw["step"])
    turn = torch.complex(torch.ones_like(step), step * torch.relu(raw["modulus"]).sqrt())
    lam = turn / (turn.real**2 + turn.imag**2)
    return lam, step * lam


def linoss_position(raw: Raw, h: Tensor, x: Tensor) -> Tensor:
    return h.imag / raw["modulus"].sqrt()


def bd_lru(raw: Raw, noise: Tensor) -> Gates:
    """A circulant block of three, whose rows share a budget of 1 with the input gate, on one of its Fourier modes."""
    none = torch.zeros_like(raw["angle"])
    stay, left, right, scale = torch.stack([raw["modulus"], raw["angle"], none, none]).softmax(0)
    root = turned(torch.ones_like(none), none + 2 * math.pi / 3)
    return stay + left * root + right * root.conj(), scale


# Layers whose gates see the input -------------------------------------------------------------------------------------


def mamba(raw: Raw, noise: Tensor) -> Gates:
    """Mamba-1 and -2: Euler's rule for the input."""
    step = softplus(raw["step"] + noise)
    return torch.exp(-step * raw["modulus"].exp()), step


def mamba3_before(raw: Raw, noise: Tensor) -> Gates:
    return _mamba3(raw, softplus(raw["modulus"] + noise))


def mamba3(raw: Raw, noise: Tensor) -> Gates:
    x = raw["modulus"] + noise
    return _mamba3(raw, torch.where(x >= 0, 1 + x, 1 / (1 - x.clamp(max=0))))


def _mamba3(raw: Raw, A: Tensor) -> Gates:
    """The state is that of the trapezoid plus what the next step will add of this input."""
    step = softplus(raw["step"])
    return turned(torch.exp(-step * A), math.pi * raw["angle"].tanh() * step), step


def trapezoid(raw: Raw, h: Tensor, x: Tensor) -> Tensor:
    """Half of each input enters one step later."""
    return h - 0.5 * softplus(raw["step"]) * x


def rg_lru(raw: Raw, noise: Tensor) -> Gates:
    log_lam = -8 * sigmoid(raw["step"] + noise) * softplus(raw["modulus"])
    return log_lam.exp(), 0.5 * (-torch.expm1(2 * log_lam)).sqrt()


def gru(raw: Raw, noise: Tensor) -> Gates:
    lam = sigmoid(raw["modulus"] + noise)
    return lam, sigmoid(-raw["modulus"] - noise)


def lstm(raw: Raw, noise: Tensor) -> Gates:
    lam = sigmoid(raw["modulus"] + noise)
    return lam, sigmoid(raw["step"])


def min_lstm(raw: Raw, noise: Tensor) -> Gates:
    forget, write = sigmoid(raw["modulus"] + noise), sigmoid(raw["step"])
    return forget / (forget + write), write / (forget + write)


def hgrn(raw: Raw, noise: Tensor) -> Gates:
    above = sigmoid(-raw["modulus"] - noise) * (1 - raw["lower bound"])
    return turned(1 - above, raw["angle"]), above


def hgrn2(raw: Raw, noise: Tensor) -> Gates:
    above = sigmoid(-raw["modulus"] - noise) * (1 - raw["lower bound"])
    return 1 - above, above


def gla(raw: Raw, noise: Tensor) -> Gates:
    lam = torch.exp(-softplus(-raw["modulus"] - noise) / 16)
    return lam, torch.ones_like(lam)


def slstm(raw: Raw, noise: Tensor) -> Gates:
    """With still gates: the normaliser n = f n + i has settled at i / (1 - f), and c / n is the state."""
    return sigmoid(raw["modulus"]), sigmoid(-raw["modulus"])
