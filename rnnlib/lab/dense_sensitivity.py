r"""How sensitive a dense linear recurrence is to the entries of its matrix: exact second moments.

The network :math:`h_t = A h_{t-1} + x_t` has independent white inputs of variance 1 in every unit. When A moves by a
small multiple of a matrix G, its *direction*, the state moves by the same multiple of

.. math:: s_t = A s_{t-1} + G h_{t-1} .

A single entry :math:`A_{pq}` is the direction with a 1 at (p, q) and 0 elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import checks

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

__all__ = ["entries", "sensitivity_over_steps", "stationary", "stationary_sensitivity", "through_eigenvalues"]


def entries(n: int) -> Float[ndarray, "n*n n n"]:
    """The directions of all entries of an n x n matrix, row by row."""
    return np.eye(n * n).reshape(n * n, n, n)


def stationary(A: Float[ndarray, "*S n n"], W: Float[ndarray, "*S n n"]) -> Float[ndarray, "*S n n"]:
    r"""The solution of :math:`\Sigma = A \Sigma A^\top + W`, that is :math:`\sum_{k \ge 0} A^k W (A^k)^\top`.

    For W symmetric it is the covariance of a state that A drives and noise of covariance W feeds. The sum doubles its
    number of terms with each step (Smith, 1968), for any number of matrices at once.

    Args:
        A: matrices with all eigenvalues inside the unit circle.
        W: one matrix for each; the leading axes broadcast.

    Raises:
        ValueError: the sum has not converged after 2^40 terms, so an eigenvalue is not inside the unit circle.
    """
    total = W
    with np.errstate(over="ignore", invalid="ignore"):  # of what grows without bound, which the error names
        for _ in range(40):
            further = A @ total @ A.mT
            total = total + further
            A = A @ A
            if np.isfinite(total).all() and np.abs(further).max() <= 1e-17 * np.abs(total).max():
                return total
    raise ValueError("A must have all eigenvalues inside the unit circle, clear of it by more than rounding")


def stationary_sensitivity(A: Float[ndarray, "*S n n"], directions: Float[ndarray, "*S n n"]) -> Float[ndarray, "*S"]:
    r"""Second moment :math:`\mathrm{E}|s_t|^2` after infinitely many steps.

    With :math:`P = \mathrm{E}\, h h^\top` and :math:`X = \mathrm{E}\, s h^\top`, the two recurrences give

    .. math:: P = A P A^\top + 1, \qquad X = A X A^\top + G P A^\top, \qquad
              \mathrm{E}\, s s^\top = A \, (\mathrm{E}\, s s^\top) A^\top + A X G^\top + G X^\top A^\top + G P G^\top .

    Args:
        A: recurrence, all eigenvalues inside the unit circle; ``A[..., None, :, :]`` for several directions each.
        directions: G; the leading axes broadcast.

    Source: Zucchet and Orvieto (2024), appendix B.2.3, which bounds what is computed here.
    """
    unit = np.eye(A.shape[-1])
    P, weights = stationary(A, unit), stationary(A.mT, unit)
    X = stationary(A, directions @ P @ A.mT)
    fed = 2 * A @ X @ directions.mT + directions @ P @ directions.mT
    # the trace of the covariance that `fed` gives: the sum of (A^k)' A^k weighs it instead of a third solution
    return np.einsum("...ij,...ji->...", weights, fed)


def through_eigenvalues(A: Float[ndarray, "*S n n"], directions: Float[ndarray, "*S n n"]) -> Float[ndarray, "*S n n"]:
    r"""The part of each direction that moves the eigenvalues of A and no eigenvector.

    If :math:`A = V \Lambda V^{-1}`, a direction G moves the eigenvalues by the diagonal of :math:`V^{-1} G V`, and
    :math:`V \, \mathrm{diag}(V^{-1} G V) \, V^{-1}` moves them alone. The rest of G moves the eigenvectors alone.

    Args:
        A: real matrices with distinct eigenvalues; ``A[..., None, :, :]`` for several directions each.
        directions: G, real; the leading axes broadcast.
    """
    _, V = np.linalg.eig(A)
    inverse = np.linalg.inv(V)
    moved = np.einsum("...ip,...pq,...qi->...i", inverse, directions, V)
    return ((V * moved[..., None, :]) @ inverse).real


def sensitivity_over_steps(
    A: Float[ndarray, "*S n n"], directions: Float[ndarray, "*S n n"], steps: int
) -> Float[ndarray, "steps *S"]:
    r"""Second moment :math:`\mathrm{E}|s_t|^2` at t = 1, ..., steps from :math:`h_0 = s_0 = 0`, for any A.

    The input that came :math:`\tau` steps ago acts on s through :math:`D_\tau = A D_{\tau-1} + G A^{\tau-1}`,
    :math:`D_0 = 0`, so that the moment is the sum of :math:`|D_\tau|^2` over :math:`\tau < t`.

    Args:
        A: recurrence; ``A[..., None, :, :]`` for several directions each.
        directions: G; the leading axes broadcast.
        steps: how many, at least 1.
    """
    checks.whole("steps", steps)
    D, driven = np.zeros(np.broadcast_shapes(A.shape, directions.shape)), directions  # G times a power of A
    squares = np.zeros((steps, *D.shape[:-2]))
    for t in range(1, steps):
        D, driven = A @ D + driven, driven @ A
        squares[t] = np.square(D).sum((-2, -1))
    return squares.cumsum(0)
