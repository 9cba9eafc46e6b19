r"""Exponents of the field guide, measured: impulse responses and their derivatives by automatic differentiation.

Nothing is sampled. With gates that stand still, a unit is its impulse response k, and its output has the second moment
:math:`\sum_t |k_t|^2` for white inputs. A correlated input is white noise filtered by
:math:`\sqrt{1 - \rho^2}\,\rho^t`, so there the convolution of both takes the place of k. Gates that move have the
moments of :func:`rnnlib.theory.random_gate_moments`, over equally likely quantiles of their noise.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING

import torch

from ... import theory
from ...scan import linear_scan
from .. import text
from .units import respond

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from torch import Tensor

    from .entries import Model

MEMORIES = (1e3, 1e4)
RHO = 0.9
QUANTILES = 256
_LENGTHS = 16  # windows, in memories: a square is down to 1e-14 there


def still_moments(model: Model, memory: float, rho: float = 0.0) -> dict[str, float]:
    r"""Second moments with gates that stand still.

    Args:
        model: a row of the field guide.
        memory: :math:`1 / (1 - |\lambda|)`, in steps.
        rho: correlation of consecutive inputs, below 1.

    Returns:
        The output's, under "state", and those of its derivatives by direction.
    """
    raw, steps = _raw(model, memory), _steps(model, memory)
    moments = {}
    for direction in model.sensitivity:
        y, dy = torch.func.jvp(_output(model, raw, (direction,), steps), *_along(raw, direction))
        moments["state"], moments[direction] = _moment(y, rho), _moment(dy, rho)
    return {name: float(value) for name, value in moments.items()}


def curvature(model: Model, memory: float, rho: float = 0.0) -> dict[str, float]:
    """Second derivatives of the loss of one unit that imitates another with the same parameters, output scaled to
    variance 1: half the mean square of the difference.

    Args:
        model, memory, rho: as of :func:`still_moments`.

    Returns:
        The diagonal of the Hessian, by direction.
    """
    raw = _raw(model, memory)
    output = _output(model, raw, tuple(model.curvature), _steps(model, memory))
    point = torch.stack([raw[direction] for direction in model.curvature])
    with torch.no_grad():
        target = output(*point)
        variance = _moment(target, rho)

    def loss(values: Tensor) -> Tensor:
        return 0.5 * _moment(output(*values) - target, rho) / variance

    hessian = torch.func.jacfwd(torch.func.grad(loss))(point)
    return dict(zip(model.curvature, hessian.diagonal().tolist(), strict=True))


def moving_moments(model: Model, memory: float, rho: float = 0.0) -> dict[str, float]:
    """Second moments of the state with the noise that a layer's inputs make in its gate at the start.

    Args:
        model: a row with noise.
        memory: of the gate without noise, in steps.
        rho: correlation of consecutive inputs.

    Returns:
        As :func:`still_moments`, of the state rather than of the output.
    """
    raw, moments = _raw(model, memory), {}
    at = (torch.arange(QUANTILES, dtype=torch.float64) + 0.5) / QUANTILES
    noise = math.sqrt(model.noise) * torch.special.ndtri(at)
    for direction in model.sensitivity:

        def gates(value: Tensor, direction: str = direction) -> tuple[Tensor, Tensor]:
            return model.unit(raw | {direction: value}, noise)

        (lam, scale), (dlam, dscale) = torch.func.jvp(gates, *_along(raw, direction))
        found = theory.random_gate_moments(lam, dlam, scale, dscale, rho=rho)
        moments["state"], moments[direction] = (float(value) for value in found)
    return moments


def text_moments(model: Model, memory: float) -> dict[str, float]:
    """:func:`still_moments` for the autocorrelation of text that the paper's authors fitted, scaled to variance 1.

    Args:
        model, memory: as there.

    Returns:
        As there; moments are linear in the autocorrelation.
    """
    R = text.PAPER
    white, slow = (still_moments(model, memory, rho) for rho in (0.0, R.decay))
    return {name: (R.white * white[name] + R.amplitude * slow[name]) / (R.white + R.amplitude) for name in white}


def exponent(
    moments: Callable[[float], dict[str, float]], memories: tuple[float, float] = MEMORIES
) -> dict[str, float]:
    """Powers of memory, from two of them.

    Args:
        moments: from a memory to named numbers.
        memories: the two.

    Returns:
        An exponent for each name; of numbers that are 0, NaN.
    """
    short, long = (moments(memory) for memory in memories)
    ratio = math.log(memories[1] / memories[0])
    return {name: math.log(long[name] / short[name]) / ratio if short[name] else math.nan for name in short}


def table(models: tuple[Model, ...], memories: tuple[float, float] = MEMORIES) -> pd.DataFrame:
    """Expected and measured exponents, one row for each number.

    Args:
        models: rows of the field guide.
        memories: from which to which.

    Returns:
        Columns model, quantity ("state", "sensitivity", "curvature"), direction ("" for the state), gates ("still",
        "moving"), rho, expected, measured.
    """
    import pandas as pd

    rows = []
    for model in models:
        expected = {
            "sensitivity": {"state": model.state} | model.sensitivity,
            "curvature": model.curvature,
        }
        kinds = [("still", "sensitivity", still_moments), ("still", "curvature", curvature)]
        kinds += [("moving", "sensitivity", moving_moments)] if model.noise else []
        for rho, (gates, quantity, moments) in itertools.product((0.0, RHO), kinds):
            found = exponent(functools.partial(moments, model, rho=rho), memories)
            for direction, value in found.items():
                kind = ("state", "") if direction == "state" else (quantity, direction)
                rows.append((model.name, *kind, gates, rho, expected[quantity][direction], value))
    columns = ["model", "quantity", "direction", "gates", "rho", "expected", "measured"]
    return pd.DataFrame(rows, columns=columns)


def _raw(model: Model, memory: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in model.start(memory).items()}


def _steps(model: Model, memory: float) -> int:
    return round(memory * (1 if model.windowed else _LENGTHS))


def _along(raw: dict[str, Tensor], direction: str) -> tuple[tuple[Tensor], tuple[Tensor]]:
    return (raw[direction],), (torch.ones_like(raw[direction]),)


def _output(model: Model, raw: dict[str, Tensor], directions: tuple[str, ...], steps: int) -> Callable[..., Tensor]:
    """The impulse response as a function of some raw parameters."""
    impulse = torch.zeros(steps, dtype=torch.float64)
    impulse[0] = 1
    still = torch.zeros((), dtype=torch.float64)

    def output(*values: Tensor) -> Tensor:
        moved = raw | dict(zip(directions, values, strict=True))
        return respond(model.unit, moved, impulse, still, model.readout)

    return output


def _moment(response: Tensor, rho: float) -> Tensor:
    """Second moment of what responds so to an input of variance 1 and correlation rho."""
    if rho:
        longer = torch.nn.functional.pad(response, (0, math.ceil(30 / (1 - rho))))
        decay = torch.full((1,), rho, dtype=torch.float64)
        if response.is_complex():
            decay = decay.to(response.dtype)
        response = math.sqrt(1 - rho**2) * linear_scan(decay, longer[None, :, None])[0, :, 0]
    return response.real.square().sum() + (response.imag.square().sum() if response.is_complex() else 0)
