"""Claims of the field guide: expected exponents against measured ones, and what lines of the checklist say.

Expectations were written down before anything was measured. Later the unit of BD-LRU was replaced by the one of its
authors' code, with the same expectations, before it was measured. The lines of the checklist summarise exponents that
had been seen when their rows were written, but for the first.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch

from .. import field_guide
from ..field_guide import exponents, units
from .measures import furthest
from .ranges import at_least, at_most, between
from .registry import claim

if TYPE_CHECKING:
    import pandas as pd

_SOURCE = "not in the paper"
_SLACK = "0.1 is how precisely exponents are measured"
_GROWS = "as the square of memory, within 0.1: the curse in full"
_POWERS = "powers of memory between 1,000 and 10,000"


@functools.cache
def _guide() -> pd.DataFrame:
    return exponents.table(field_guide.MODELS)


def _curvature(direction: str, *models: str) -> list[float]:
    """Measured exponents of the loss curvature, gates still, white inputs."""
    shown = _guide().query("quantity == 'curvature' and rho == 0 and direction == @direction").set_index("model")
    return [float(shown.loc[model, "measured"]) for model in models]


def _states(*models: str) -> list[float]:
    shown = _guide().query("quantity == 'state' and rho == 0 and gates == 'still'").set_index("model")
    return [float(shown.loc[model, "measured"]) for model in models]


@claim(
    "beyond-guide-exponents",
    "Each expected exponent of the field guide lies within 0.1 of the measured one",
    kind="beyond",
    source=_SOURCE,
    how=f"the largest difference over models, state, sensitivities and curvatures, gates still and moving, input "
    f"correlation 0 and 0.9; {_POWERS}",
    accepted=at_most(0.1, "within 0.1: written down with the expectations, before anything was measured"),
    seen=False,
)
def largest_difference() -> float:
    guide = _guide()
    return float((guide["measured"] - guide["expected"]).abs().max(skipna=False))


@claim(
    "beyond-guide-1-tame-parameters",
    "The curvature along a recurrent parameter grows with memory where the parameter moves the eigenvalue by more "
    "than a share of its distance to 1, and nowhere else",
    kind="beyond",
    source=_SOURCE,
    how="models and directions of the field guide for which this is wrong: whether memory times |dλ| grows, by an "
    "exponent above 0.05, against whether the curvature does, by one above 0.1",
    accepted=at_most(0, "nowhere else: no exception"),
)
def exceptions_to_the_rule() -> float:
    wrong = 0
    for model in field_guide.MODELS:
        moves = exponents.exponent(functools.partial(_moves, model))
        for direction in model.curvature:
            grows = _curvature(direction, model.name)[0] > 0.1
            wrong += grows != (moves[direction] > -0.95)  # of |dλ| alone; NaN where it does not move
    return float(wrong)


def _moves(model: field_guide.Model, memory: float) -> dict[str, float]:
    """How far each parameter moves the eigenvalue."""
    raw = {name: torch.tensor(value, dtype=torch.float64) for name, value in model.start(memory).items()}
    still, moved = torch.zeros((), dtype=torch.float64), {}
    for direction in model.curvature:

        def eigenvalue(value: torch.Tensor, direction: str = direction) -> torch.Tensor:
            return model.unit(raw | {direction: value}, still)[0]

        point = raw[direction]
        moved[direction] = float(torch.func.jvp(eigenvalue, (point,), (torch.ones_like(point),))[1].abs())
    return moved


@claim(
    "beyond-guide-2-modulus",
    "An exponential, a sigmoid and a softplus step all tame the modulus",
    kind="beyond",
    source=_SOURCE,
    how=f"exponents of the curvature along the modulus (LRU, GRU) and the step (Mamba-1), the largest; {_POWERS}",
    accepted=at_most(0.1, f"no growth: {_SLACK}"),
)
def curvature_along_the_modulus() -> float:
    return max(*_curvature("modulus", "LRU", "GRU, Chrono start"), *_curvature("step", "Mamba-1"))


@claim(
    "beyond-guide-3-input-scale",
    "Without an input scale the state grows in proportion to memory, with one it does not",
    kind="beyond",
    source=_SOURCE,
    how=f"exponent of E|h|² of GLA, and of RG-LRU plus 1, the one furthest from 1; {_POWERS}",
    accepted=between(0.9, 1.1, f"in proportion, and not at all: {_SLACK}"),
)
def growth_without_a_scale() -> float:
    without, scaled = _states("GLA", "RG-LRU (Griffin)")
    return furthest([without, scaled + 1], 1.0)


@claim(
    "beyond-guide-4-slow-inputs",
    "On text a state scaled by γ grows with memory, one scaled by 1 - λ does not",
    kind="beyond",
    source=_SOURCE,
    how="exponent of E|h|² of RG-LRU, and minus that of minGRU, the smaller; powers of memory between 30 and 300, the "
    "autocorrelation of text that the paper's authors fitted",
    accepted=at_least(0.1, f"growth: {_SLACK}"),
)
def growth_on_text() -> float:
    def of(name: str) -> float:
        model = field_guide.get(name)
        return exponents.exponent(lambda memory: exponents.text_moments(model, memory), (30.0, 300.0))["state"]

    return min(of("RG-LRU (Griffin)"), -of("minGRU"))


@claim(
    "beyond-guide-5-step",
    "A step that multiplies the angle tames it if the step carries the memory, and not if the decay rate does",
    kind="beyond",
    source=_SOURCE,
    how="exponent of the curvature along the angle with memory from A minus the one with memory from the step, the "
    f"smaller of S4D and Mamba-3; {_POWERS}",
    accepted=at_least(1.9, _GROWS),
)
def angle_without_the_step() -> float:
    slow = _curvature("angle", "S4D, memory from A", "Mamba-3, memory from A, softplus")
    short = _curvature("angle", "S4D, memory from the step", "Mamba-3, memory from the step")
    return min(a - b for a, b in zip(slow, short, strict=True))


@claim(
    "beyond-guide-6-bounded-angle",
    "Neither a bounded angle nor one that is learned on a scale of its own is tame",
    kind="beyond",
    source=_SOURCE,
    how=f"exponent of the curvature along the angle, the smaller of a Cayley rotation with decay and HGRN; {_POWERS}",
    accepted=at_least(1.9, _GROWS),
)
def curvature_along_bounded_angles() -> float:
    return min(_curvature("angle", "Cayley rotation with decay", "HGRN"))


@claim(
    "beyond-guide-7-input-gate",
    "A forget gate alone gives a minLSTM no long memory",
    kind="beyond",
    source=_SOURCE,
    how="1 / (1 - λ) of a minLSTM with its forget gate's logit at 30 and its input gate's at 0",
    accepted=at_most(10, "no long memory: ten steps at most"),
)
def memory_of_a_forget_gate() -> float:
    raw = {"modulus": torch.tensor(30.0, dtype=torch.float64), "step": torch.tensor(0.0, dtype=torch.float64)}
    return 1 / (1 - float(units.min_lstm(raw, torch.zeros((), dtype=torch.float64))[0]))


@claim(
    "beyond-guide-8-flat-tail",
    "Under the heavy tail of Mamba-3 its logit has to move much further for the same memory than under softplus",
    kind="beyond",
    source=_SOURCE,
    how="distance between the logits of memory 1,000 and 10,000, heavy tail over softplus",
    accepted=at_least(100, "much further: a hundred times or more"),
)
def distance_under_the_heavy_tail() -> float:
    def distance(tail: str) -> float:
        start = field_guide.get(f"Mamba-3, memory from A, {tail}").start
        return abs(start(1e4)["modulus"] - start(1e3)["modulus"])

    return distance("heavy tail") / distance("softplus")


@claim(
    "beyond-guide-9-moving-gates",
    "Noise that a layer's inputs make in its gates at the start changes no power of memory",
    kind="beyond",
    source=_SOURCE,
    how="exponent with moving gates minus the one with still gates, that furthest from 0 of all models with noise, "
    f"state and sensitivities, input correlation 0 and 0.9; {_POWERS}",
    accepted=between(-0.1, 0.1, f"no power: {_SLACK}"),
)
def change_by_moving_gates() -> float:
    key = ["model", "quantity", "direction", "rho"]
    wide = _guide().query("quantity != 'curvature'").pivot(index=key, columns="gates", values="measured")
    return furthest((wide["moving"] - wide["still"]).dropna().tolist(), 0.0)


@claim(
    "beyond-guide-10-orthogonal",
    "Orthogonal matrices and undamped oscillators keep the curse",
    kind="beyond",
    source=_SOURCE,
    how=f"exponent of the curvature, the smaller of scoRNN's angle and LinOSS-IM's modulus; {_POWERS}",
    accepted=at_least(1.9, _GROWS),
)
def curvature_of_orthogonal_models() -> float:
    return min(*_curvature("angle", "scoRNN (Cayley, orthogonal)"), *_curvature("modulus", "LinOSS-IM"))
