"""Shapes, random inputs, and the reference in double precision."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.complex64, torch.float64, torch.complex128)
SHAPES = [(16, 4096, 256), (64, 1024, 512), (8, 16384, 1024), (1, 131072, 64), (1, 1048576, 16)]
TWO_ODD = [(3, 1031, 7), (2, 20_011, 3)]
ODD = [(1, 1, 1), (2, 20_011, 3), (300, 67, 2049), (70_000, 33, 1)]
LENGTHS = [2**k for k in range(8, 21)]  # growth: (1, T, 64)
MODULUS = 0.99  # of lam in the checks, at most: memory 1 / (1 - MODULUS) = 100 steps
_SLICE = 2**27  # elements of which the reference holds about seven tensors of 16 bytes at a time


def draw(shape: tuple, dtype: torch.dtype, per_step: bool, device: torch.device, seed: int) -> list[Tensor]:
    """lam (modulus up to MODULUS), x, h0 and a gradient of the states."""
    batch, _, channels = shape
    generator = torch.Generator(device).manual_seed(seed)

    def normal(*size):
        return torch.randn(size, dtype=dtype, device=device, generator=generator)

    lam = normal(*shape) if per_step else normal(channels)
    return [MODULUS * lam / lam.abs().clamp(min=1), normal(*shape), normal(batch, channels), normal(*shape)]


def wide(dtype: torch.dtype) -> torch.dtype:
    return torch.complex128 if dtype.is_complex else torch.float64


def doubling(lam: Tensor, x: Tensor) -> Tensor:
    r"""h_t = lam_t h_{t-1} + x_t from zero: about log2(T) passes over whole tensors, no loop over time.

    .. math:: h^{(j+1)}_t = h^{(j)}_t + p^{(j)}_t h^{(j)}_{t - 2^j}, \qquad p^{(j+1)}_t = p^{(j)}_t p^{(j)}_{t - 2^j}.

    Args:
        lam: (N,) or shaped like x.
        x: (batch, time, channel).

    Source: Hillis and Steele (1986).
    """
    h, p, reach = x.clone(), lam.clone(), 1
    while reach < x.shape[1]:
        h[:, reach:] += (p[:, reach:] if p.ndim == 3 else p) * h[:, :-reach]
        if p.ndim == 3:
            p[:, reach:] *= p[:, :-reach].clone()
        else:
            p = p * p
        reach *= 2
    return h


def reference(lam: Tensor, x: Tensor, h0: Tensor, grad: Tensor, reverse: bool = False) -> tuple[Tensor, ...]:
    """States and gradients (of lam, x, h0) of a scan, computed in double precision by PyTorch's own operations.

    Some sequences at a time; states and gradients are returned in double precision. The adjoint is a scan as well:
    delta_t = g_t + conj(lam_{t+1}) delta_{t+1}, and the gradients of lam_t and h_0 are delta_t conj(h_{t-1}) and
    conj(lam_1) delta_1.
    """
    batch, time, channels = x.shape
    count = max(1, _SLICE // (time * channels))
    parts = []
    double = wide(x.dtype)
    for first in range(0, batch, count):
        rows = slice(first, first + count)
        u, start, g = (t[rows].to(double) for t in (x, h0, grad))
        eigenvalues = (lam[rows] if lam.ndim == 3 else lam).to(double)
        if reverse:
            u, g = u.flip(1), g.flip(1)
            eigenvalues = eigenvalues.flip(1) if lam.ndim == 3 else eigenvalues
        first_eigenvalue = eigenvalues[:, 0] if lam.ndim == 3 else eigenvalues
        u = u.clone()
        u[:, 0] += first_eigenvalue * start
        states = doubling(eigenvalues, u)
        after = eigenvalues  # delta runs backwards, with the eigenvalue of the step after
        if lam.ndim == 3:
            after = torch.cat([eigenvalues[:, 1:], torch.zeros_like(u[:, :1])], 1).flip(1)
        delta = doubling(after.conj().resolve_conj(), g.flip(1)).flip(1)
        before = torch.cat([start[:, None], states[:, :-1]], 1)
        grad_lam = delta * before.conj()
        grad_lam = grad_lam if lam.ndim == 3 else grad_lam.sum((0, 1))
        results = [states, grad_lam, delta, first_eigenvalue.conj() * delta[:, 0]]
        if reverse:
            results = [t.flip(1) if t.ndim == 3 else t for t in results]
        parts.append(results)
    joined = [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
    if lam.ndim == 1:
        joined[1] = joined[1].view(-1, channels).sum(0)
    return tuple(joined)


def bytes_needed(shape: tuple) -> int:
    """Device memory of a check in double precision: the slices, and eight tensors besides."""
    return 16 * (7 * min(_SLICE, math.prod(shape)) + 8 * math.prod(shape))
