"""How nearly orthogonal Adam's updates are in random bases, and what it learns there."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...layers.diagonal import DiagonalLayer
from .. import checks
from ..optimizers.rules import matrices
from . import beyond
from .measurement import Tables
from .observed import Observation, final_losses, middle, observe, significant
from .schema import Schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from jaxtyping import Float
    from torch import Tensor

    from ..lockstep import Tile

_KEYS = ["student", "rotation", "teacher", "seed"]
_DIFFERENCE = 1e-6  # of raw parameters, over their updates
_SPREADS = ("cv", "cv_numbers", "cv_eigenvalues")


@dataclass(frozen=True, kw_only=True)
class Orthogonality(Observation):
    r"""The coefficient of variation of the singular values of Adam's update, in random bases.

    Zhang, Maes et al. (2025), section 4.2, call a matrix scaled orthogonal if its singular values are equal or 0. Of
    the update of each weight matrix, back in the original basis and without rate and weight decay,
    :math:`R^\top M / (\sqrt V + \epsilon)` in the rotated one, they take

    .. math:: \mathrm{CV} = \sigma_s / \mu_s ,

    standard deviation over mean of its singular values s, average over layers, and find that the smaller it is, the
    less Adam loses by a rotation.

    Of a diagonal recurrence the weight matrix is :math:`\mathrm{diag}(\lambda)` (or that of each raw parameter of an
    LRU), so the singular values of its update are the moduli of its entries, as many as units: CV is 0 if all
    eigenvalues move equally far. A dense A is taken as it is. Biases are corrected, which changes the scale alone.

    A row of the table ``"runs"`` is a run in the steps after the step before, up to this one; its numbers are means
    over every tenth of them (``every``): "cv", which itself is the mean over the recurrent parameters; "cv_numbers",
    the same with each real number as a matrix of its own; "cv_eigenvalues", that of the moduli of what the update adds
    to the eigenvalues, to first order (blank for a dense A). ``"losses"`` has the mean loss over the last 100 steps.
    All are blank once a run has diverged.

    Source: Zhang, Maes, Milligan, Jolicoeur-Martineau, Mitliagkas, Scieur, Lacoste-Julien and Guille-Escuret (2025),
    arXiv 2410.19964.

    Attributes:
        every: how many steps lie between those whose updates are looked at; it divides all of ``steps``.
    """

    every: int = 10

    def __post_init__(self):
        super().__post_init__()
        checks.whole("every", self.every)
        if any(step % self.every for step in self.steps):
            raise ValueError(f"every must divide all steps, {self.steps}, got {self.every}")

    def parts(self) -> list[str]:
        return list(self._cells())

    def _cells(self):
        return {f"{cell.student}, {' '.join(map(str, cell.rotations))}": cell for cell in self.training.cells}

    def schemas(self) -> dict[str, Schema]:
        of = {"student": "text", "rotation": "whole", "teacher": "whole", "seed": "whole"}
        runs, losses = [], []
        for cell in self.training.cells:
            keys = [_key(run) for run in replace(self.training, cells=(cell,)).runs()]
            runs += [(*key, step) for step in self.steps for key in keys]
            losses += keys
        sizes = dict.fromkeys(_SPREADS, "size or blank")
        ends = {"rate": "size", "loss": "size or blank", "zero_loss": "size", "diverged": "flag"}
        return {
            "runs": Schema(of | {"step": "whole"} | sizes, [*_KEYS, "step"], runs),
            "losses": Schema(of | ends, _KEYS, losses),
        }

    def together(self, frame: pd.DataFrame, table: str) -> list[pd.DataFrame]:
        if table == "losses":
            return [frame[["loss"]].assign(converged=frame["diverged"].map({True: None, False: True}))]
        return [frame[[*_SPREADS[:2]]], frame.loc[frame["student"] != "rnn", [*_SPREADS]]]

    def measure(self, part: str, device: str) -> Tables:
        training = replace(self.training, cells=(self._cells()[part],))
        last = training.protocol.steps
        runs, rows, seen = training.runs(), [], []
        for step, ensemble in observe(training, tuple(range(self.every, last + 1, self.every)), device):
            found = {index: numbers for tile in ensemble.tiles for index, numbers in spreads(tile, step).items()}
            seen.append([found.get(index, _NOTHING) for index in range(len(runs))])
            if step in self.steps:
                means = np.mean(seen, axis=0).tolist()  # NaN once diverged
                rows += [(*_key(run), step, *map(significant, mean)) for run, mean in zip(runs, means, strict=True)]
                seen = []
        ends = zip(runs, final_losses(ensemble).tolist(), ensemble.zero_loss.tolist(), strict=True)
        losses = [(*_key(run), run.rate, *map(significant, (loss, zero)), loss != loss) for run, loss, zero in ends]
        return {
            "runs": ([*_KEYS, "step", *_SPREADS], rows),
            "losses": ([*_KEYS, "rate", "loss", "zero_loss", "diverged"], losses),
        }


def _key(run) -> tuple[str, int, int, int]:
    return run.student, run.rotation, run.teacher, run.seed


_NOTHING = (math.nan,) * len(_SPREADS)


def spreads(tile: Tile, step: int) -> dict[int, tuple[float, ...]]:
    """The three coefficients of the members of a tile, of the step that they took last, by index.

    Args:
        tile: of an ensemble under Adam.
        step: how many steps it has done.
    """
    every = updates(tile, step)
    own = [value for value, recurrent in zip(every, tile.recurrent, strict=True) if recurrent]
    columns = [torch.stack([spread(kind(value)) for value in own]).mean(0) for kind in (matrices, _numbers)]
    lost = ~torch.stack(columns).isfinite().all(0)
    if isinstance(tile.layer, DiagonalLayer):
        columns.append(_spread_of_eigenvalues(tile, every))
        lost |= ~columns[-1].isfinite()  # numbers so large that the update is lost in them
    else:
        columns.append(torch.full_like(columns[0], math.nan))
    rows = torch.stack(columns, dim=1).masked_fill(lost[:, None], math.nan).tolist()
    return {index: tuple(rows[row]) for row, index in enumerate(tile.indices)}


def _spread_of_eigenvalues(tile: Tile, every: Sequence[Tensor]) -> Float[Tensor, "M"]:
    """By a centred difference."""
    ends = []
    for distance in (-_DIFFERENCE, _DIFFERENCE):
        layer = copy.deepcopy(tile.layer).double()
        with torch.no_grad():
            for value, update in zip(layer.parameters(), every, strict=True):
                value.add_(update, alpha=distance)
            ends.append(layer.eigenvalues())
    return spread((ends[1] - ends[0])[..., None, None])


def updates(tile: Tile, step: int) -> Sequence[Tensor]:
    """Adam's update of each parameter in its last step, without the rate, in the original basis, float64.

    Args:
        tile: of an ensemble under Adam.
        step: how many steps it has done.
    """
    p, values = tile.protocol, []
    for rule in tile.optimizer.rules:
        m, v = (state.double() for state in rule.state)
        values.append(m / (1 - p.beta1**step) / ((v / (1 - p.beta2**step)).sqrt() + p.eps))
    if not tile.rotation:
        return values
    return [value.double() for value in tile.rotation.back([value.to(tile.rotation.Q.dtype) for value in values])]


def spread(blocks: Float[Tensor, "M units rows columns"]) -> Float[Tensor, "M"]:
    """Standard deviation over mean of the singular values of matrices with these blocks on their diagonals; 0 says that
    a matrix is orthogonal up to its scale."""
    rows = blocks.shape[2] == 1  # of one row the norm is the singular value
    values = (torch.linalg.vector_norm(blocks, dim=(2, 3)) if rows else torch.linalg.svdvals(blocks)).flatten(1)
    return values.std(dim=1, correction=0) / values.mean(dim=1)


def _numbers(value: Tensor) -> Float[Tensor, "M P 1 1"]:
    return value.flatten(1)[:, :, None, None]


_TRAINING = replace(beyond.ROTATION[0], cells=tuple(map(middle, beyond.ROTATION[0].cells)))
_FEW = replace(_TRAINING.at("smoke"), cells=_TRAINING.at("smoke").cells[:2])

EXPERIMENT = Orthogonality(
    name="beyond_orthogonality",
    title="random bases of recurrent parameters, orthogonality of Adam's updates",
    training=_TRAINING,
    steps=(10, 30, 100, 300, 1_000, 2_000),
    smaller={"smoke": {"training": _FEW, "steps": (1, 20), "every": 1}},
)
