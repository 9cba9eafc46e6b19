"""What a user would take instead of rnnlib on a CPU: scans and minimal LRUs, written here from their formulas."""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

MISSING_JAX = "jax is not installed: pip install jax (the extra 'bench')"


def has_jax() -> bool:
    return importlib.util.find_spec("jax") is not None


def jax_scans(lam: Tensor, x: Tensor, grad: Tensor) -> dict[tuple[str, str], Callable]:
    """``jax.lax.associative_scan`` and ``jax.lax.scan`` of h_t = lam h_{t-1} + x_t, jitted, and their gradients."""
    import jax
    import jax.numpy as jnp

    lam, x, grad = (jnp.asarray(t.detach().numpy()) for t in (lam, x, grad))

    def associative(lam, x):
        def combine(earlier, later):
            return later[0] * earlier[0], later[0] * earlier[1] + later[1]

        return jax.lax.associative_scan(combine, (jnp.broadcast_to(lam, x.shape), x), axis=1)[1]

    def loop(lam, x):
        def step(h, inputs):
            lam_t, x_t = inputs if lam.ndim == 3 else (lam, inputs)
            h = lam_t * h + x_t
            return h, h

        inputs = x.swapaxes(0, 1)
        if lam.ndim == 3:
            inputs = lam.swapaxes(0, 1), inputs
        return jax.lax.scan(step, jnp.zeros_like(x[:, 0]), inputs)[1].swapaxes(0, 1)

    works = {}
    for name, scan in [("jax associative_scan", associative), ("jax lax.scan", loop)]:
        forward = jax.jit(scan)

        def both(lam, x, grad, scan=scan):
            states, back = jax.vjp(scan, lam, x)
            return states, back(grad)

        both = jax.jit(both)
        works[name, "forward"] = lambda forward=forward: forward(lam, x).block_until_ready()
        works[name, "forward + backward"] = lambda both=both: jax.block_until_ready(both(lam, x, grad))
    return works


def compiled_scan(lam: Tensor, x: Tensor, grad: Tensor) -> dict[tuple[str, str], Callable]:
    """PyTorch's ``associative_scan``, compiled, on pairs of reals; needs a C++ compiler and about a minute each."""
    from torch._higher_order_ops.associative_scan import associative_scan

    def combine(earlier, later):
        a, b, x, y = earlier
        c, d, u, v = later
        return c * a - d * b, c * b + d * a, c * x - d * y + u, c * y + d * x + v

    def scan(*states):
        return associative_scan(combine, states, dim=1, combine_mode="generic")[2:]

    scan = torch.compile(scan, fullgraph=True)
    # lam in the shape of x: from one row of it the compiler writes each power as one expression, twice as long a level
    parts = [t.detach().contiguous() for pair in (lam.expand_as(x), x) for t in (pair.real, pair.imag)]
    leaves = [t.clone().requires_grad_() for t in parts]
    grads = [grad.real.contiguous(), grad.imag.contiguous()]

    def forward():
        with torch.no_grad():
            return scan(*parts)

    name = "torch associative_scan, compiled"
    return {
        (name, "forward"): forward,
        (name, "forward + backward"): lambda: torch.autograd.grad(scan(*leaves), leaves, grads),
    }


class MinimalLRU(nn.Module):
    r"""The LRU as short PyTorch code has it: complex parameters, and the recurrence as a loop or as a doubling scan,

    .. math:: h^{(0)}_t = x_t, \qquad h^{(j+1)}_t = h^{(j)}_t + \lambda^{2^j} h^{(j)}_{t - 2^j}.

    Source: Orvieto et al. (2023), equations of the LRU; Hillis and Steele (1986) for the doubling.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int, doubling: bool):
        super().__init__()
        self.doubling = doubling
        radius = 0.9 + 0.099 * torch.rand(hidden_size)
        self.nu = nn.Parameter(torch.log(-torch.log(radius)))
        self.theta = nn.Parameter(torch.log(math.pi * torch.rand(hidden_size)))
        self.gamma = nn.Parameter(0.5 * torch.log(1 - radius**2))
        scale = (2 * hidden_size) ** -0.5
        self.B = nn.Parameter(torch.randn(hidden_size, input_size, dtype=torch.complex64) * scale)
        self.C = nn.Parameter(torch.randn(output_size, hidden_size, dtype=torch.complex64) * scale)
        self.D = nn.Parameter(torch.randn(output_size, input_size) * scale)

    def forward(self, x: Tensor) -> Tensor:
        lam = torch.exp(torch.complex(-torch.exp(self.nu), torch.exp(self.theta)))
        u = x.to(torch.complex64) @ (self.B * torch.exp(self.gamma)[:, None]).T
        if self.doubling:
            reach, power = 1, lam
            while reach < u.shape[1]:
                u = torch.cat([u[:, :reach], u[:, reach:] + power * u[:, :-reach]], dim=1)
                reach, power = 2 * reach, power * power
            h = u
        else:
            state, states = torch.zeros_like(u[:, 0]), []
            for u_t in u.unbind(1):
                state = lam * state + u_t
                states.append(state)
            h = torch.stack(states, 1)
        return (h @ self.C.T).real + x @ self.D.T


def jax_lru(model: MinimalLRU, x: Tensor) -> Callable:
    """Loss and gradients of the same LRU in JAX with ``associative_scan``, jitted."""
    import jax
    import jax.numpy as jnp

    parameters = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
    x = jnp.asarray(x.numpy())

    def combine(earlier, later):
        return later[0] * earlier[0], later[0] * earlier[1] + later[1]

    def loss(p, x):
        lam = jnp.exp(-jnp.exp(p["nu"]) + 1j * jnp.exp(p["theta"]))
        u = x @ (p["B"] * jnp.exp(p["gamma"])[:, None]).T
        h = jax.lax.associative_scan(combine, (jnp.broadcast_to(lam, u.shape), u), axis=1)[1]
        return jnp.square((h @ p["C"].T).real + x @ p["D"].T).mean()

    step = jax.jit(jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(step(parameters, x))
