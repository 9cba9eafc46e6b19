"""What more than one test compares with."""

from __future__ import annotations

import numpy as np
import torch


def torch_path(landscape: str, optimizer: str, rate: float, steps: int) -> np.ndarray:
    """The same descent by PyTorch's own optimisers, on a bowl written out by hand."""
    H = torch.tensor([[500.5, 499.5], [499.5, 500.5]] if landscape == "dense" else [[1000.0, 0.0], [0.0, 1.0]])
    steep = 1000**-0.5
    start = [(steep - 1) / 2**0.5, (steep + 1) / 2**0.5] if landscape == "dense" else [steep, 1.0]
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    make = {"gradient descent": torch.optim.SGD, "sign descent": torch.optim.SGD, "Adam": torch.optim.Adam}[optimizer]
    stepper, path = make([x], lr=rate), [x.detach().clone()]
    for _ in range(steps):
        x.grad = H.double() @ x.detach()
        if optimizer == "sign descent":
            x.grad = x.grad.sign()
        stepper.step()
        path.append(x.detach().clone())
    return torch.stack(path).numpy()
