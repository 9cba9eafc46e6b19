"""White-noise minibatches: the same numbers for a data seed and a step, whatever trains on them and where."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

from . import checks

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .protocol import Protocol

SEEDS, STEPS = 1 << 11, 1 << 20  # PyTorch's generator on the CPU takes 32 bits of seed


def white_inputs(seed: int, step: int, batch: int, length: int) -> Float[Tensor, "B T"]:
    """The minibatch of a training step: independent N(0, 1), a function of the data seed and the step alone.

    Args:
        seed: data seed, 0 to 2047.
        step: 0 to 1,048,575.
        batch: number of sequences.
        length: steps of each.

    Returns:
        Inputs ``(batch, length)``, float32, on the CPU; the same bits each time for one version of PyTorch and one kind
        of processor.

    Raises:
        ValueError: an argument is out of range.
    """
    seed, step = checks.whole("seed", seed, None), checks.whole("step", step, None)
    if not (0 <= seed < SEEDS and 0 <= step < STEPS):
        raise ValueError(f"need 0 <= seed < {SEEDS} and 0 <= step < {STEPS}, got {seed} and {step}")
    batch, length = checks.whole("batch", batch), checks.whole("length", length)
    generator = torch.Generator().manual_seed(seed << 20 | step)
    return torch.randn(batch, length, generator=generator)


class Minibatches:
    """Those of all data seeds, step by step.

    They are drawn on the CPU whatever device trains: a GPU's generator is another one (Philox instead of the Mersenne
    Twister) and gives other numbers for a seed. For a GPU threads draw ahead, into pinned memory, from which the copy
    runs beside the computation.

    Args:
        seeds: data seeds.
        protocol: its batch, length and steps.
        threads: how many draw ahead; 0 for none.
    """

    def __init__(self, seeds: Sequence[int], protocol: Protocol, threads: int):
        self.seeds, self.protocol, self.threads = list(seeds), protocol, threads
        self.pool = ThreadPoolExecutor(threads) if threads else None
        self.ahead: dict[int, Future[Tensor]] = {}

    def __call__(self, number: int) -> Float[Tensor, "S B T"]:
        """Those of one step, on the CPU."""
        if self.pool is None:
            return self._draw(number)
        for later in range(number, min(number + 4 * self.threads, self.protocol.steps)):
            if later not in self.ahead:
                self.ahead[later] = self.pool.submit(self._draw, later)
        return self.ahead.pop(number).result()

    def _draw(self, number: int) -> Tensor:
        p = self.protocol
        x = torch.stack([white_inputs(seed, number, p.batch, p.length) for seed in self.seeds])
        return x.pin_memory() if self.pool and torch.cuda.is_available() else x
