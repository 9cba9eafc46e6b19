r"""Where on the loss surface a student stands: a saddle, a valley, or a slope?

The population loss is half a sum of squares, :math:`L = \frac{1}{2} |r|^2` with
:math:`r_\tau = \sqrt{1 - \tau / T} \, (k_\tau - k^*_\tau)`. J are the derivatives of r. Its squared singular values are
curvatures, and its left singular vectors the directions in which small steps change the response: what r has outside of
them no small step removes, and what it has along one of small curvature takes gradient descent long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..layers import DenseRNN
from . import checks
from .curvature import white_gram

if TYPE_CHECKING:
    from jaxtyping import Complex, Float
    from torch import Tensor

    from .systems import System

__all__ = ["DensePoint", "Modes", "along", "escape", "explained", "extreme_curvatures", "missing", "modes", "reached"]

_DISTANCES = 61  # that escape() tries, in either direction
_SHORTEST = -8.0  # of them, in decades of the norm of all parameters; the longest is that norm


def reached(r: Float[Tensor, "T"], J: Float[Tensor, "T P"], curvatures: Sequence[float]) -> list[float]:
    """The shares of the loss that lie in directions of at least some curvatures.

    Args:
        r: residuals, not all 0.
        J: their derivatives by the parameters.
        curvatures: in (0, 1], smallest squared singular values of J that count, over the largest.

    Returns:
        For each a share of :math:`|r|^2`, 0 to 1. With a curvature near 0, what a Gauss-Newton step would remove of the
        loss if the response were linear in the parameters; 0 at a stationary point.

    Raises:
        ValueError: shapes do not fit, or a curvature is out of range.
    """
    checks.shape("r", r, "T")
    checks.shape("J", J, len(r), "P")
    for curvature in curvatures:
        checks.within("each of curvatures", curvature, "(0, 1]")
    U, s, _ = torch.linalg.svd(J, full_matrices=False)
    squares = (U.T @ r).square() / r.square().sum()
    return [squares[s.square() >= curvature * s[0].square()].sum().item() for curvature in curvatures]


class DensePoint:
    """A dense student with one head, its teacher, and the population loss around it, in float64.

    Attributes:
        x: all parameters: A row by row, B, C, D.
        target: the teacher's impulse response.

    Args:
        layer: with scalar input and output.
        target: of any precision.

    Raises:
        ValueError: the layer has several heads, or its input or output is not scalar.
    """

    def __init__(self, layer: DenseRNN, target: Float[Tensor, "T"]):
        if (layer.input_size, layer.output_size, layer.heads) != (1, 1, 1):
            raise ValueError(
                "layer must have scalar input and output and one head, "
                f"got sizes {layer.input_size} and {layer.output_size} and {layer.heads} heads"
            )
        self.size, self.target = layer.hidden_size, target.detach().double()
        self.weights = white_gram(len(target)).to(self.target)
        self.x = torch.cat([value.detach().double().flatten() for value in (layer.A, layer.B, layer.C, layer.D)])

    def loss(self, x: Float[Tensor, "P"]) -> Float[Tensor, ""]:
        """The loss at x, differentiable as often as wanted."""
        A, B, C, D = self._parts(x)
        states, power = B[:, None], A  # A^t B, doubling
        while states.shape[1] < len(self.target):
            states = torch.cat([states, power @ states], dim=1)
            power = power @ power
        k = C @ states[:, : len(self.target)]
        difference = torch.cat([k[:1] + D, k[1:]]) - self.target
        return 0.5 * difference @ (self.weights * difference)

    def decades(self, x: Float[Tensor, "P"]) -> float:
        """log10 of the loss at x over the zero predictor's."""
        return (self.loss(x) / (0.5 * self.weights @ self.target.square())).log10().item()

    def residuals(self) -> tuple[Float[Tensor, "T"], Float[Tensor, "T P"]]:
        r"""r and J at the student. The derivatives of :math:`C A^\tau B` by A are
        :math:`M_\tau = \sum_{s < \tau} (A^\top)^s C^\top (A^{\tau - 1 - s} B)^\top`, a recursion:
        :math:`M_{\tau + 1} = M_\tau A^\top + (A^\top)^\tau C^\top B^\top`."""
        A, B, C, D = self._parts(self.x)
        k, J = torch.empty_like(self.target), self.x.new_zeros(len(self.target), len(self.x))
        state, readout, M = B, C, torch.zeros_like(A)
        by_A, by_B, by_C, _ = J.split((A.numel(), len(B), len(C), 1), dim=1)
        for lag in range(len(k)):
            k[lag] = C @ state
            by_A[lag], by_B[lag], by_C[lag] = M.flatten(), readout, state
            M = M @ A.T + torch.outer(readout, B)
            state, readout = A @ state, A.T @ readout
        k[0] += D[0]
        J[0, -1] = 1
        root = self.weights.sqrt()
        return (k - self.target) * root, J * root[:, None]

    def _parts(self, x: Float[Tensor, "P"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n = self.size
        A, B, C, D = x.split((n * n, n, n, 1))
        return A.view(n, n), B, C, D

    def eigenvalues(self) -> Complex[Tensor, "n"]:
        """Those of A."""
        return torch.linalg.eigvals(self._parts(self.x)[0])


def along(loss: Callable[[Tensor], Tensor], x: Float[Tensor, "P"], v: Float[Tensor, "P"]) -> Float[Tensor, "P"]:
    """The Hessian of a loss at x, times v."""
    return torch.func.jvp(torch.func.grad(loss), (x,), (v,))[1]


def extreme_curvatures(
    loss: Callable[[Tensor], Tensor], x: Float[Tensor, "P"], steps: int = 300, seed: int = 0
) -> tuple[float, float, Float[Tensor, "P"]]:
    """The largest and the smallest eigenvalue of a Hessian by Lanczos's method, and the eigenvector of the smallest.

    Args:
        loss: such as :meth:`DensePoint.loss`.
        x: where, float64.
        steps: products with the Hessian, P at most; each vector is orthogonalised to all before it, twice.
        seed: of the first vector.

    Returns:
        Ritz values: the largest eigenvalue lies at the first or above it, the smallest at the second or below; and the
        unit Ritz vector of the second.

    Source: Golub and Van Loan (2013), section 10.1.
    """
    v = torch.randn(len(x), dtype=x.dtype, generator=torch.Generator().manual_seed(seed))
    basis = x.new_zeros(min(steps, len(x)), len(x))
    basis[0], diagonal, beside = v / v.norm(), [], []
    for number in range(1, len(basis) + 1):
        V, w = basis[:number], along(loss, x, basis[number - 1])
        diagonal.append((V[-1] @ w).item())
        for _ in range(2):
            w = w - V.T @ (V @ w)
        size = w.norm().item()
        if number == len(basis) or size <= 1e-14 * max(map(abs, diagonal)):  # an invariant subspace
            break
        beside.append(size)
        basis[number] = w / size
    T = torch.diag(x.new_tensor(diagonal))
    T += torch.diag(x.new_tensor(beside), 1) + torch.diag(x.new_tensor(beside), -1)
    values, vectors = torch.linalg.eigh(T)
    vector = V.T @ vectors[:, 0]
    return values[-1].item(), values[0].item(), vector / vector.norm()


def escape(loss: Callable[[Tensor], Tensor], x: Float[Tensor, "P"], direction: Float[Tensor, "P"]) -> float:
    """How many decades a loss falls along a direction, either way, at the best of many distances; 0 if it only rises.

    Args:
        loss: such as :meth:`DensePoint.loss`.
        x: where from, not 0.
        direction: any length but 0.
    """
    lengths = x.norm() * torch.logspace(_SHORTEST, 0, _DISTANCES, dtype=x.dtype)
    steps = torch.cat([lengths, -lengths])[:, None] * (direction / direction.norm())
    here, losses = loss(x), torch.func.vmap(loss)(x + steps)
    best = torch.where(losses.isfinite(), losses, here).min().clamp(max=here)
    return (here / best).log10().item()


@dataclass(frozen=True)
class Modes:
    """The parts of a system's response, each of a real eigenvalue or a conjugate pair.

    Attributes:
        eigenvalues: those in the upper half plane, the real line included, ``(n,)``.
        amplitudes: the response of mode j is the real part of amplitude times eigenvalue to the power of the lag.
        shares: energies of these responses, weighted as the population loss does, over their sum.
    """

    eigenvalues: Complex[Tensor, "n"]
    amplitudes: Complex[Tensor, "n"]
    shares: Float[Tensor, "n"]


def modes(system: System, length: int) -> Modes:
    """The modes of a system, by descending share.

    Args:
        system: one with a full set of eigenvectors.
        length: T.

    Raises:
        ValueError: as of :meth:`rnnlib.lab.systems.System.modes`.
    """
    lam, B, C = system.modes()
    upper = lam.imag >= 0
    lam, amplitudes = lam[upper], (B * C)[upper] * torch.where(lam[upper].imag > 0, 2.0, 1.0)
    responses = (amplitudes * lam ** torch.arange(length)[:, None]).real
    energies = (white_gram(length)[:, None] * responses.square()).sum(0)
    order = energies.argsort(descending=True)
    return Modes(lam[order], amplitudes[order], (energies / energies.sum())[order])


def missing(modes: Modes, r: Float[Tensor, "T"]) -> Float[Tensor, "n"]:
    """How much of each mode a residual has: the norm of its projection onto the mode over that of the mode's response.

    Args:
        modes: of the teacher.
        r: residuals, weighted as above.

    Returns:
        For each mode 1 if the student lacks it alone, and 0 if nothing is left to learn. Modes that overlap share.
    """
    root = white_gram(len(r)).sqrt()
    responses = root[:, None] * (modes.amplitudes * modes.eigenvalues ** torch.arange(len(r))[:, None]).real
    found = [_projected(modes, r, [index]).norm() for index in range(len(modes.shares))]
    return torch.stack(found) / responses.norm(dim=0)


def explained(modes: Modes, r: Float[Tensor, "T"], chosen: Sequence[int]) -> float:
    """The share of the loss that the responses of some modes, at whatever amplitudes, would remove.

    Args:
        modes: of the teacher.
        r: residuals, weighted as above, not all 0.
        chosen: which modes; none remove nothing.
    """
    return (_projected(modes, r, chosen).square().sum() / r.square().sum()).item() if len(chosen) else 0.0


def _projected(modes: Modes, r: Tensor, chosen: Sequence[int]) -> Tensor:
    """Coordinates of the part of r in the span of modes."""
    lam = modes.eigenvalues[list(chosen)]
    powers = white_gram(len(r)).sqrt()[:, None] * lam ** torch.arange(len(r))[:, None]
    return torch.linalg.qr(torch.cat([powers.real, powers.imag[:, lam.imag != 0]], dim=1))[0].T @ r
