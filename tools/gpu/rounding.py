"""Errors of single precision over long memories, against the loop's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from rnnlib.scan import cuda

from .timings import name_of

if TYPE_CHECKING:
    from .clock import Emit
    from .devices import Gpu


def rounding_step(device: Gpu, strategy: str, record: dict[str, Any], emit: Emit) -> None:
    """The loop in Python runs on the host, over 65,536 steps at most."""
    from rnnlib.lab.experiments import rounding  # needs NumPy alone, but its package all of the laboratory

    lengths = sorted(device.rounding["lengths"])
    for dtype in (torch.float32, torch.complex64):
        moduli = rounding.EXPERIMENT.moduli
        reference = rounding.Reference.draw(dtype, lengths[-1], moduli, device.rounding["channels"])
        for length in lengths:
            x = reference.x[:, :length]
            inputs = [t.to(device.device) for t in (reference.lam, x, torch.zeros_like(x[:, 0]))]
            with device.sizes(strategy):
                states = cuda.cuda_scan(*inputs, strategy=strategy)
            for row in reference.compare(states):
                emit.row("accuracy", {"implementation": name_of(strategy)} | row)
