"""Gated units whose gates move, simulated on white inputs, beside what the closed forms give."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ... import theory
from ...layers import ChronoGRU
from ...scan import linear_scan
from .. import text
from .measurement import Measurement, Tables
from .schema import Schema

#: What moves the gates, in the order of the page.
GATES = ("constant", "anew", "lasting", "input", "layer")
_NORMS = 8  # quantiles of the size of a unit's input weights


@dataclass(frozen=True, kw_only=True)
class MovingGates(Measurement):
    r"""Second moments of units :math:`h_t = \lambda_t h_{t-1} + (1 - \lambda_t) x_t`, :math:`\lambda_t = \sigma(\log T
    + g_t)`, and of their derivatives along log T. Inputs are white; the variance of g is the same for all gates but
    "constant".

    - "constant": g is 0.
    - "anew": g is drawn anew at each step.
    - "lasting": each step keeps the g of the step before with probability ``persistence``.
    - "input": g is proportional to the input of the step, so a gate sees what it lets in.
    - "layer": the update gates of a :class:`rnnlib.layers.ChronoGRU` as in Figure 15, which sees white inputs of
      several features; gates and candidates see them through random weights.

    Noise and, for "input", inputs take equally likely values, quantiles of a normal distribution, so that the closed
    forms are exact. Inputs of the others are normal. Rows are means over groups of units, or over a layer's.

    Attributes:
        gates: of :data:`GATES`.
        times: time constants T.
        variance: of g; 2 is what the input weights of Figure 15 make of inputs of variance 1.
        persistence: of "lasting".
        draws: how many values the noise takes.
        groups: groups of units, or layers.
        units: in a group.
        steps: measured of each unit, after ten time constants and a hundred steps.
        features: of a layer's inputs.
        width: units of a layer.
        layer_steps: measured of a layer.
    """

    gates: tuple[str, ...] = GATES
    times: tuple[float, ...] = (1.0, 4.0, 16.0, 64.0, 256.0)
    variance: float = 2.0
    persistence: float = 0.95
    draws: int = 2**14
    groups: int = 64
    units: int = 8
    steps: int = 60_000
    features: int = 64
    width: int = 256
    layer_steps: int = 2_000

    def parts(self) -> list[str]:
        return list(self._cases())

    def _cases(self) -> dict[str, tuple[str, float]]:
        return {f"{gates}, T = {T:g}": (gates, T) for gates in self.gates for T in self.times}

    def schemas(self) -> dict[str, Schema]:
        of = {"gates": "text", "T": "size", "group": "whole", "h2": "size", "s2": "size"}
        rows = [(*case, group) for case in self._cases().values() for group in range(self.groups)]
        return {"runs": Schema(of, ["gates", "T", "group"], rows)}

    def measure(self, part: str, device: str) -> Tables:
        gates, T = self._cases()[part]
        rows = []
        for group in range(self.groups):
            simulate = self._layer if gates == "layer" else self._units
            squares = simulate(gates, T, torch.Generator().manual_seed(group), device)
            rows.append((gates, T, group, *(float(f"{value:.6g}") for value in squares)))
        return {"runs": (["gates", "T", "group", "h2", "s2"], rows)}

    def _units(self, gates: str, T: float, generator: torch.Generator, device: str) -> list[float]:
        before = self._before(T)
        shape = (1, before + self.steps, self.units)
        values, noise = torch.from_numpy(self._quantiles()), torch.zeros(())
        if gates == "input":
            x = values[torch.randint(self.draws, shape, generator=generator)]
            noise = x
        else:
            x = torch.randn(shape, generator=generator, dtype=torch.float64)
            if gates != "constant":
                draw = torch.randint(self.draws, shape, generator=generator)
                if gates == "lasting":
                    draw = self._last(draw, generator)
                noise = values[draw]
        x, noise = x.to(device), (math.sqrt(self.variance) * noise).to(device)

        def states(b: torch.Tensor) -> torch.Tensor:
            lam = torch.sigmoid(b + noise)
            return linear_scan(lam if lam.ndim else lam.expand(self.units), (1 - lam) * x)

        b = torch.tensor(math.log(T), dtype=torch.float64, device=device)
        return _mean_squares(torch.func.jvp(states, (b,), (torch.ones_like(b),)), before)

    def _last(self, draw: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Each draw, or with the probability ``persistence`` that of the step before."""
        new = torch.rand(draw.shape, generator=generator) >= self.persistence
        new[:, 0] = True
        at = torch.arange(draw.shape[1])[None, :, None].expand_as(draw)
        return draw.gather(1, torch.where(new, at, 0).cummax(1).values)

    def _layer(self, gates: str, T: float, generator: torch.Generator, device: str) -> list[float]:
        before = self._before(T)
        options = {"min_time": T, "max_time": T, "candidate": "linear", "gates": "input", "generator": generator}
        layer = ChronoGRU(self.features, self.width, **options, dtype=torch.float64)
        x = torch.randn(1, before + self.layer_steps, self.features, generator=generator, dtype=torch.float64)
        layer, x = layer.to(device), x.to(device)
        weights = {name: value.detach() for name, value in layer.named_parameters()}

        def states(bias: torch.Tensor) -> torch.Tensor:
            return torch.func.functional_call(layer, weights | {"bias": bias}, (x,))[0]

        bias = weights["bias"]
        return _mean_squares(torch.func.jvp(states, (bias,), (torch.ones_like(bias),)), before)

    @staticmethod
    def _before(T: float) -> int:
        return round(10 * T) + 100

    def _quantiles(self, draws: int | None = None) -> NDArray:
        """Equally likely values, nearly normal, of variance 1."""
        from scipy.special import ndtri

        values = ndtri((np.arange(draws or self.draws) + 0.5) / (draws or self.draws))
        return values / values.std()

    def predicted(self, gates: str, T: ArrayLike) -> tuple[NDArray, NDArray]:
        r"""What the closed forms give.

        A layer's candidate and logit, two sums over the same features, have a correlation c with :math:`\mathrm{E} c^2
        = 1` / features. Moments are quadratic in the candidate, so a share :math:`c^2` is that of a gate that sees its
        input, and the rest that of gates drawn anew. The noise's variance differs from unit to unit.

        Args:
            gates: one of :data:`GATES`.
            T: time constants, any shape.

        Returns:
            :math:`\mathrm{E} h^2` and :math:`\mathrm{E} (\mathrm{d} h)^2`, of the shape of T.
        """
        from scipy.special import expit
        from scipy.stats import chi2

        T = np.asarray(T, float)
        if gates == "constant":
            return theory.gated_state_variance(T / (1 + T), 0.0), theory.gated_sensitivity(T / (1 + T), 0.0)

        def moments(z: NDArray, variance: float, own: bool, persistence: float = 0.0) -> NDArray:
            lam = expit(np.log(T)[..., None] + math.sqrt(variance) * z)
            slope, of = lam * (1 - lam), z if own else 1.0
            compute = theory.input_gate_moments if own else theory.random_gate_moments
            return np.stack(compute(lam, slope, (1 - lam) * of, -slope * of, persistence=persistence))

        if gates != "layer":
            kept = self.persistence if gates == "lasting" else 0.0
            return tuple(moments(self._quantiles(), self.variance, gates == "input", kept))
        z, share, result = self._quantiles(2**16), 1 / self.features, 0.0
        for norm in chi2.ppf((np.arange(_NORMS) + 0.5) / _NORMS, self.features) / self.features:
            alone, own = (moments(z, self.variance * norm, sees) for sees in (False, True))
            result = result + ((1 - share) * alone + share * own) / _NORMS
        return tuple(result)


def _mean_squares(series: tuple[torch.Tensor, ...], before: int) -> list[float]:
    return [part[:, before:].square().mean().item() for part in series]


def over_constant_gates_on_text(T: ArrayLike, R: ArrayLike) -> NDArray:
    r"""Moments of gated units whose gates see text, over those with constant gates, by the closed forms.

    Text has a fast part, which moves a gate anew at each step, and a slow one, which shifts it for a whole sequence.
    Nothing is fitted: slow is what correlates over lags 100 to 399.

    Args:
        T: time constants, ``(...)``.
        R: autocorrelation of the inputs at lags 0 to 399 at least, ``(lags,)``.

    Returns:
        The ratios of :math:`\mathrm{E} h^2` and of :math:`\mathrm{E} (\mathrm{d} h)^2`, ``(2, ...)``.
    """
    from scipy.special import expit, ndtri

    R = np.asarray(R)
    slow = R[100:400].mean()
    fast, bias = R[0] - slow, np.log(np.asarray(T, float))[..., None, None]
    moving, frozen = (
        math.sqrt(2 * part) * ndtri((np.arange(count) + 0.5) / count) for part, count in ((fast, 200), (slow, 40))
    )

    def moments(moving: NDArray, frozen: NDArray) -> NDArray:
        lam = expit(bias + frozen[:, None] + moving)
        arguments = lam, lam * (1 - lam), 1 - lam, -lam * (1 - lam)
        parts = [(fast, 0.0), (slow, text.PAPER.decay)]
        return sum(part * np.stack(theory.random_gate_moments(*arguments, rho=rho)).mean(-1) for part, rho in parts)

    return moments(moving, frozen) / moments(np.zeros(1), np.zeros(1))


EXPERIMENT = MovingGates(
    name="moving_gates",
    title="second moments of units whose gates move, simulated on white inputs",
    smaller={
        "book": {"times": (4.0, 64.0), "groups": 8, "steps": 20_000},
        "smoke": {"times": (4.0,), "groups": 6, "units": 2, "steps": 200, "width": 8, "layer_steps": 50},
    },
)
