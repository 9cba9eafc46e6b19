"""Adam's v against the gradients of the moment: does it remember, or does it measure?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from .. import exact
from ..minibatches import STEPS, white_inputs
from . import beyond
from .measurement import Tables
from .observed import Observation, middle, observe, significant
from .schema import Schema

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float
    from torch import Tensor

    from ..lockstep import Tile
    from ..training import Ensemble

_KEYS = ["beta2", "student", "start", "teacher", "seed", "step"]
_DECADES = ("ratio", "ratio_low", "ratio_high", "root_v", "moment")
_SHARES = ("first_hundredth", "first_tenth")


@dataclass(frozen=True, kw_only=True)
class History(Observation):
    r"""Adam's :math:`\sqrt{\hat v}` over the root mean square of the gradients that a student would get now.

    After a step, with the parameters held, gradients g of fresh minibatches are drawn, and for each recurrent
    parameter

    .. math:: \text{ratio} = \frac{\sqrt{v / (1 - \beta_2^t)}}{\sqrt{\mathrm{E}\, g^2}}, \qquad
              \text{share of the first s steps} = \frac{\beta_2^{t - s} v_s}{v_t} .

    The ratio is 1 if gradients were always as they are now, and in any case for :math:`\beta_2 = 0`, up to the noise of
    one minibatch. The share is exact, since v is a sum over steps. A row of the table is a run after a step; its
    numbers are over its recurrent parameters: of log10 of the ratio the median, the tenth and the ninth decile; medians
    of log10 of its numerator, "root_v", and of its denominator, "moment"; medians of the shares of the first hundredth
    and of the first tenth of all steps (blank until then); "noise", the part of the summed :math:`\mathrm{E}\, g^2`
    that is variance; "loss", log10 of the mean loss on the fresh minibatches over the zero predictor's expected one.
    All are blank once a run has diverged; those of ratio and shares also where a parameter has no gradient left, now
    and in v, as in a unit that has died out: 0 over 0.

    Attributes:
        beta2: Adam's.
        minibatches: fresh ones, the same after each step: each ratio is off by about
            :math:`1 / \sqrt{2 \, \text{minibatches}}`, its median over parameters by less.
    """

    beta2: tuple[float, ...] = (0.9, 0.95, 0.99, 0.999, 0.9999)
    minibatches: int = 32

    def parts(self) -> list[str]:
        return [f"beta2 {beta2:g}" for beta2 in self.beta2]

    def schemas(self) -> dict[str, Schema]:
        of = {"beta2": "number", "student": "text", "start": "number", "teacher": "whole", "seed": "whole"}
        of |= (
            {"step": "whole"}
            | dict.fromkeys(_DECADES, "number or blank")
            | dict.fromkeys((*_SHARES, "noise"), "size or blank")
        )
        keys = [
            (beta2, run.student, run.start, run.teacher, run.seed, step)
            for beta2 in self.beta2
            for step in self.steps
            for run in self.training.runs()
        ]
        return {"runs": Schema(of | {"loss": "number or blank"}, _KEYS, keys)}

    def together(self, frame: pd.DataFrame, table: str) -> list[pd.DataFrame]:
        return [frame[["root_v", "moment", "noise", "loss"]]]

    def measure(self, part: str, device: str) -> Tables:
        beta2 = dict(zip(self.parts(), self.beta2, strict=True))[part]
        protocol = replace(self.training.protocol, beta2=beta2)
        training, rows = replace(self.training, protocol=protocol), []
        early: dict[int, dict[int, Tensor]] = {step: {} for step in _early(protocol.steps)}
        for step, ensemble in observe(training, tuple(sorted({*self.steps, *early})), device):
            if step in early:
                early[step] = {index: v for tile in ensemble.tiles for index, v in _second_moments(tile).items()}
            if step not in self.steps:
                continue
            numbers = self._numbers(ensemble, early)
            for index, run in enumerate(training.runs()):
                values = numbers.get(index, [""] * (len(_DECADES) + len(_SHARES) + 2))
                key = (beta2, run.student, run.start, run.teacher, run.seed, step)
                rows.append((*key, *map(significant, values)))
        return {"runs": ([*_KEYS, *_DECADES, *_SHARES, "noise", "loss"], rows)}

    def _numbers(self, ensemble: Ensemble, early: Mapping[int, Mapping[int, Tensor]]) -> dict[int, list]:
        """The numbers of a row, by member."""
        p, t = ensemble.protocol, ensemble.done
        moments = fresh_moments(ensemble, self.minibatches)
        numbers = {}
        for tile in ensemble.tiles:
            for index, v in _second_moments(tile).items():
                squares, means, loss = moments[index]
                root_v = (v / (1 - p.beta2**t)).sqrt().log10()
                moment = 0.5 * squares.log10()
                deciles = (root_v - moment).quantile(torch.tensor([0.5, 0.1, 0.9], dtype=v.dtype))
                shares = [
                    (p.beta2 ** (t - step) * first[index] / v).median().item() if index in first else ""
                    for step, first in early.items()
                ]
                noise = 1 - (means.sum() / squares.sum()).clamp(0, 1).item()
                decades = [*deciles.tolist(), root_v.median().item(), moment.median().item()]
                loss_decades = (loss.log10() - torch.tensor(ensemble.population_zero[index]).log10()).item()
                numbers[index] = [*decades, *shares, noise, loss_decades]
        return numbers


def _early(steps: int) -> tuple[int, int]:
    """The first hundredth and the first tenth of all steps."""
    return max(1, steps // 100), max(1, steps // 10)


def _second_moments(tile: Tile) -> dict[int, Float[Tensor, "P"]]:
    """Adam's v of the recurrent parameters, by member, float64."""
    values = [rule.state[1] for rule, own in zip(tile.optimizer.rules, tile.recurrent, strict=True) if own]
    joined = torch.cat([value.flatten(1) for value in values], dim=1).double().cpu()
    return {index: joined[row].clone() for row, index in enumerate(tile.indices)}


def fresh_moments(ensemble: Ensemble, count: int) -> dict[int, tuple[Tensor, Tensor, Tensor]]:
    """Of gradients by recurrent parameters on minibatches that no training sees, at the parameters of now.

    Args:
        ensemble: who; it is left as it was.
        count: how many minibatches of each data seed, at least 2.

    Returns:
        By member, float64: mean squares ``(P,)``, unbiased squares of means ``(P,)``, which may be negative, and the
        mean loss.
    """
    p = ensemble.protocol
    dtype = next(ensemble.members[0].layer.parameters()).dtype
    sums: dict[int, list[Tensor]] = {}
    for number in range(STEPS - count, STEPS):
        x = [white_inputs(seed, number, p.batch, p.length) for seed in ensemble.targets]
        G = {seed: exact.gram(one.to(ensemble.device, dtype)) for seed, one in zip(ensemble.targets, x, strict=True)}
        for tile in ensemble.tiles:
            tile.G = G
            loss, gradients = tile.gradients()
            chosen = [gradient for gradient, own in zip(gradients, tile.recurrent, strict=True) if own]
            g = torch.cat([gradient.flatten(1) for gradient in chosen], dim=1).double().cpu()
            for row, index in enumerate(tile.indices):
                parts = (g[row], g[row].square(), loss[row].double().cpu())
                sums[index] = [a + b for a, b in zip(sums[index], parts, strict=True)] if index in sums else [*parts]
    return {
        index: (squares / count, (total.square() - squares) / (count * (count - 1)), loss / count)
        for index, (total, squares, loss) in sums.items()
    }


_TRAINING = replace(beyond.HEADLINE[0], cells=tuple(map(middle, beyond.HEADLINE[0].cells)), teacher=tuple(range(8, 16)))

EXPERIMENT = History(
    name="beyond_history",
    title="six students, Adam's v against the gradients of the moment",
    training=_TRAINING,
    steps=(10, 30, 100, 300, 1_000, 3_000, 10_000),
    smaller={
        "smoke": {"training": _TRAINING.at("smoke"), "steps": (5, 20), "beta2": (0.9, 0.999), "minibatches": 2},
    },
)
