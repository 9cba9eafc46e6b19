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


def torch_eigenvalues(optimizer: str, degrees: float, rate: float, steps: int) -> np.ndarray:
    """Two eigenvalues in a turned basis that imitate .5 and .95: impulse responses of 600 lags, autodiff, PyTorch's
    optimisers, and least squares for Gauss-Newton."""
    angle, lags = np.radians(degrees), torch.arange(600, dtype=torch.float64)
    Q = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    phi = (Q.T @ torch.tensor([0.1, 0.8], dtype=torch.float64)).requires_grad_()
    make, path = torch.optim.Adam if optimizer == "Adam" else torch.optim.SGD, [(Q @ phi).detach()]
    stepper = make([phi], lr=rate)
    for _ in range(steps):
        stepper.zero_grad()
        lam = Q @ phi
        residuals = (lam[:, None] ** lags).sum(0) - 0.5**lags - 0.95**lags
        (0.5 * residuals.square().sum()).backward()
        if optimizer == "Gauss-Newton":
            J = (lags * lam.detach()[:, None] ** (lags - 1).clamp(min=0)).T @ Q
            phi.grad = torch.linalg.lstsq(J, residuals.detach()[:, None])[0][:, 0]
        stepper.step()
        path.append((Q @ phi).detach())
    return torch.stack(path).numpy()
