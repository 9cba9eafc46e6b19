"""Layers whose gates depend on the input, a few lines each on ``linear_scan`` with an eigenvalue for every step.

minGRU (Feng et al., 2024), RG-LRU (De et al., 2024) and a selective state space layer in the manner of Mamba (Gu and
Dao, 2023). Each learns to add up the inputs that a second feature marks. Run it as ``python examples/gated_layers.py``.
"""

import torch
from torch import nn
from torch.nn import functional as F

from rnnlib import linear_scan


class MinGRU(nn.Module):
    r"""h_t = (1 - z_t) h_{t-1} + z_t W x_t, z_t = sigmoid(V x_t)."""

    def __init__(self, size: int):
        super().__init__()
        self.gate, self.candidate = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x):
        z = torch.sigmoid(self.gate(x))
        return linear_scan(1 - z, z * self.candidate(x))


class RGLRU(nn.Module):
    r"""lambda_t = a^(8 r_t), h_t = lambda_t h_{t-1} + sqrt(1 - lambda_t^2) i_t x_t; r_t and i_t are gates."""

    def __init__(self, size: int):
        super().__init__()
        self.gates = nn.Linear(size, 2 * size)
        decay = torch.empty(size).uniform_(0.9, 0.999)
        self.raw = nn.Parameter(torch.log(torch.expm1(-torch.log(decay))))  # softplus of it is -log of a^8

    def forward(self, x):
        r, i = torch.sigmoid(self.gates(x)).chunk(2, -1)
        log_lam = -r * F.softplus(self.raw)
        return linear_scan(torch.exp(log_lam), torch.sqrt(-torch.expm1(2 * log_lam)) * i * x)


class Selective(nn.Module):
    r"""Per channel, N states: h_t = exp(-delta_t a) h_{t-1} + delta_t b_t x_t, y_t = c_t h_t; delta, b, c see x_t."""

    def __init__(self, size: int, states: int = 8):
        super().__init__()
        self.log_a = nn.Parameter(torch.log(torch.arange(1.0, states + 1)).repeat(size, 1))
        self.step, self.b, self.c = nn.Linear(size, size), nn.Linear(size, states), nn.Linear(size, states)
        nn.init.uniform_(self.step.bias, -7.0, -2.0)  # softplus of it: steps from 0.001 to 0.1

    def forward(self, x):
        delta = F.softplus(self.step(x))[..., None]  # (batch, time, size, 1)
        lam = torch.exp(-delta * torch.exp(self.log_a))
        drive = delta * x[..., None] * self.b(x)[:, :, None]
        h = linear_scan(lam.flatten(2), drive.flatten(2)).unflatten(2, lam.shape[2:])
        return (h * self.c(x)[:, :, None]).sum(-1)


def marked_sums(batch: int, time: int, generator: torch.Generator):
    """Two features, a number and a mark; the target is the sum of the marked numbers, known at the end."""
    numbers = torch.rand(batch, time, generator=generator)
    marks = (torch.rand(batch, time, generator=generator) < 4 / time).float()
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(1)


def train(kind: type, steps: int, size: int = 32, time: int = 64) -> tuple[float, float]:
    """Mean squared error over the last tenth of the steps, and that of the best constant."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    encoder, layer, decoder = nn.Linear(2, size), kind(size), nn.Linear(size, 1)
    optimizer = torch.optim.Adam(nn.ModuleList([encoder, layer, decoder]).parameters(), lr=3e-3)
    losses, constants = [], []
    for _ in range(steps):
        x, target = marked_sums(64, time, generator)
        loss = F.mse_loss(decoder(layer(encoder(x))[:, -1])[:, 0], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        constants.append(target.var().item())
    last = max(1, steps // 10)
    return sum(losses[-last:]) / last, sum(constants[-last:]) / last


if __name__ == "__main__":
    for kind in (MinGRU, RGLRU, Selective):
        error, constant = train(kind, steps=600)
        print(f"{kind.__name__}: mean squared error {error:.3f}, of the best constant {constant:.3f}")
