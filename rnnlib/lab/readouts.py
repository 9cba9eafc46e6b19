r"""Recurrences that are not learned: fixed eigenvalues, and the readout that is best for them.

A diagonal student with eigenvalues :math:`p_j` has the impulse response :math:`k_\tau = \mathrm{Re} \sum_j w_j p_j^\tau
+ D [\tau = 0]`, which is linear in w and D: on the population loss of white inputs the best ones solve a weighted least
squares problem with one equation a lag. On an infinite window the error has a closed form,
:func:`rnnlib.theory.readout_error`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..parametrization import ring
from ..theory import readout_error
from . import checks, exact, systems

if TYPE_CHECKING:
    from jaxtyping import Complex, Float
    from numpy.typing import NDArray

__all__ = ["DESIGNS", "DRAWN", "features", "remaining_loss", "window_free_loss"]

#: What makes eigenvalues: ``design(count, nu0, theta0, seed)`` returns ``count`` of them, complex, with angles up to
#: theta0 radians; each stands for itself and its conjugate.
Design = Callable[[int, float, float, int], "Complex[NDArray, 'N']"]


def _random(count: int, nu0: float, theta0: float, seed: int) -> NDArray:
    """Uniform on the ring, as students start."""
    generator = torch.Generator().manual_seed(seed)
    return ring(count, nu0, 1.0, theta0, generator=generator, dtype=torch.complex128).numpy()


def _angles(count: int, theta0: float) -> NDArray:
    return theta0 * (np.arange(count) + 0.5) / count


def _even(count: int, nu0: float, theta0: float, seed: int) -> NDArray:
    """Equally spaced angles, one modulus in the middle of the ring."""
    return (1 + nu0) / 2 * np.exp(1j * _angles(count, theta0))


def _lattice(count: int, nu0: float, theta0: float, seed: int) -> NDArray:
    """Equally spaced angles, and memories in a geometric sequence of four from 1 to 4 times the shortest."""
    memory = np.geomspace(1, 4, 4)[np.arange(count) % 4] / (1 - nu0)
    return (1 - 1 / memory) * np.exp(1j * _angles(count, theta0))


def _ladder(count: int, nu0: float, theta0: float, seed: int) -> NDArray:
    """Real and positive, memories in a geometric sequence from 1 to 1,000 steps."""
    return np.exp(-1 / np.geomspace(1, 1000, count)) + 0j


def _others(count: int, nu0: float, theta0: float, seed: int) -> NDArray:
    """Eigenvalues of other teachers, drawn anew: one of each conjugate pair and the real ones."""
    lam: list[complex] = []
    index = 1000 * (seed + 1)  # beyond those stored
    while len(lam) < count:
        drawn = np.linalg.eigvals(systems.draw_teacher(index)["A"] / math.sqrt(10))
        lam += drawn[drawn.imag >= 0].tolist()
        index += 1
    values = np.array(lam[:count])
    modulus = nu0 + (1 - nu0) * np.tanh(np.abs(values))
    return modulus * np.exp(1j * np.angle(values) * theta0 / math.pi)


DESIGNS: dict[str, Design] = {
    "random": _random,
    "even": _even,
    "lattice": _lattice,
    "ladder": _ladder,
    "other teachers": _others,
}
#: Those that the seed draws.
DRAWN = ("random", "other teachers")


def features(poles: Complex[NDArray, "N"], length: int) -> Float[NDArray, "T F"]:
    """Impulse responses that a readout mixes, weighted by the root of the population loss's weights and scaled to
    norm 1: real and imaginary parts of powers (of a real pole the real part alone), and the skip connection's.

    Args:
        poles: fixed eigenvalues ``(N,)``.
        length: T.

    Returns:
        ``(T, F)``, F at most 2 N + 1.
    """
    powers = np.asarray(poles)[None] ** np.arange(checks.whole("length", length))[:, None]
    skip = np.eye(length)[:, :1]
    columns = np.concatenate([powers.real, powers.imag[:, np.asarray(poles).imag != 0], skip], axis=1)
    columns = columns * np.sqrt(exact.white_gram(length).numpy())[:, None]
    return columns / np.linalg.norm(columns, axis=0)


def remaining_loss(
    poles: Complex[NDArray, "N"], targets: Float[NDArray, "M T"], cutoffs: Sequence[float] = (1e-6,)
) -> tuple[Float[NDArray, "K M"], Float[NDArray, "K M"]]:
    """What the best readout leaves of the population loss, in double precision.

    Args:
        poles: fixed eigenvalues ``(N,)``.
        targets: impulse responses of teachers ``(M, T)``.
        cutoffs: singular values of :func:`features` below a cutoff times the largest one count as 0, which bounds the
            readout's weights; K of them.

    Returns:
        For each cutoff and teacher ``(K, M)`` the loss over the zero predictor's; and the norm of the readout's
        weights, for features of norm 1, over the norm of the target.
    """
    targets = np.asarray(targets, dtype=float)
    y = (targets * np.sqrt(exact.white_gram(targets.shape[1]).numpy())).T
    U, s, _ = np.linalg.svd(features(poles, len(y)), full_matrices=False)
    shares = U.T @ y
    losses, norms = [], []
    for cutoff in cutoffs:
        used = s > cutoff * s[0]
        left = y - U[:, used] @ shares[used]  # not 1 minus the sum of squares, which loses small losses
        losses.append((left**2).sum(0) / (y**2).sum(0))
        norms.append(np.sqrt(((shares[used] / s[used, None]) ** 2).sum(0) / (y**2).sum(0)))
    return np.array(losses), np.array(norms)


def window_free_loss(poles: Complex[NDArray, "N"], system: systems.System) -> float:
    """What the best readout leaves on an infinite window, over the zero predictor's loss with a skip connection.

    Args:
        poles: fixed eigenvalues ``(N,)``, each for itself and its conjugate.
        system: the teacher.
    """
    lam, B, C = (values.numpy() for values in system.modes())
    weights = B * C * lam  # lag 0 is the skip connection's
    pairs = np.unique(np.concatenate([poles, np.conj(poles)]))  # a real one once
    return float(readout_error(pairs, lam, weights) / readout_error(pairs[:0], lam, weights))
