"""A stack of bidirectional layers for sequences of unequal length. ``python examples/bidirectional.py``"""

import torch
from torch import nn

from rnnlib import LRU


class Bidirectional(nn.Module):
    """Two layers over the same inputs, one of which runs from each sequence's last step to its first."""

    def __init__(self, size: int, states: int):
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.forth, self.back = (LRU(size, states, size, min_modulus=0.5, max_modulus=0.99) for _ in range(2))
        self.mix = nn.Linear(2 * size, 2 * size)

    def forward(self, x, lengths=None):
        u = self.norm(x)
        both = torch.cat([self.forth(u, lengths=lengths)[0], self.back(u, lengths=lengths, reverse=True)[0]], -1)
        return x + nn.functional.glu(self.mix(nn.functional.gelu(both)))


class Tagger(nn.Module):
    """A label for every step."""

    def __init__(self, features: int, size: int, labels: int, depth: int = 2):
        super().__init__()
        self.encoder = nn.Linear(features, size)
        self.blocks = nn.ModuleList(Bidirectional(size, size) for _ in range(depth))
        self.decoder = nn.Linear(size, labels)

    def forward(self, x, lengths=None):
        x = self.encoder(x)
        for block in self.blocks:
            x = block(x, lengths)
        return self.decoder(x)


def train(steps: int, time: int = 40) -> float:
    """The share of steps whose label, the sign of the sequence's last number, is right after training."""
    torch.manual_seed(0)
    model = Tagger(1, 32, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    right = torch.tensor(0.0)
    for _ in range(steps):
        x, lengths = torch.randn(32, time, 1), torch.randint(1, time + 1, (32,))
        there = torch.arange(time) < lengths[:, None]
        label = (x[torch.arange(32), lengths - 1, 0] > 0).long()[:, None].expand(-1, time)
        scores = model(x, lengths)
        loss = nn.functional.cross_entropy(scores[there], label[there])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = (scores.argmax(-1) == label)[there].float().mean()
    return right.item()


if __name__ == "__main__":
    print(f"steps labelled right after training: {train(200):.0%}")
