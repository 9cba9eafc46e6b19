"""Your own student and your own grid: a real diagonal RNN, one exponential a unit, against teachers of longer memory.

Run it as ``python examples/own_sweep.py``; it shows progress, goes on where it was interrupted, and stores the table.
"""

import torch

from rnnlib import linear_scan
from rnnlib.lab import experiments
from rnnlib.lab.training import Protocol


class RealDiagonal(torch.nn.Module):
    """A student needs ``input_size = output_size = 1``, parameters, and ``impulse_response(T)`` of shape (T, 1, 1)."""

    input_size = output_size = 1

    def __init__(self, width, nu0, generator):
        super().__init__()
        self.omega = torch.nn.Parameter(torch.atanh(nu0 + (1 - nu0) * 0.99 * torch.rand(width, generator=generator)))
        self.C = torch.nn.Parameter(torch.randn(width, generator=generator) / width**0.5)

    def impulse_response(self, length):
        impulse = torch.zeros(1, length, len(self.C)).index_fill(1, torch.tensor(0), 1.0).to(self.C)
        return (linear_scan(torch.tanh(self.omega), impulse) @ self.C)[0, :, None, None]


experiments.register("real", lambda width, heads, nu0, theta0, generator: RealDiagonal(width, nu0, generator))
SWEEP = experiments.Experiment(
    name="own_sweep",
    title="real eigenvalues against the LRU",
    cells=tuple(experiments.Cell(name, rates=(0.01, 0.001), nu0=(0.36, 0.92)) for name in ("real", "lru")),
    seeds=(0, 1),
    protocol=Protocol(steps=500, batch=32, length=100),
)

if __name__ == "__main__":
    frame = experiments.run(SWEEP, scale="paper", folder=experiments.store.home() / "results", workers=1)
    print(frame.groupby(["nu0", "student", "rate"])[["loss", "zero_loss"]].mean())
