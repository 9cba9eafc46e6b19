"""Closed forms as the paper prints or plots them where they are wrong, to show the size of each slip.

For anything else use :mod:`rnnlib.theory`.
"""

from __future__ import annotations

from .. import theory

__all__ = ["cross_sensitivity", "gated_sensitivity"]


def cross_sensitivity(a, b, rho):
    r""":math:`S(a, b)` as the paper prints it, with :math:`1 - \rho` where :math:`1 - \rho^2` is right (erratum 1).

    Args:
        a: decay factor of the first state, inside the unit circle.
        b: decay factor of the second state, likewise.
        rho: correlation of consecutive inputs.

    Returns:
        The printed expression.

    Raises:
        ValueError: as of :func:`rnnlib.theory.cross_sensitivity`.

    Source: Zucchet and Orvieto (2024), appendices B.2.2 and C.2.2.
    """
    right, ab = theory.cross_sensitivity(a, b, rho), a * b  # the printed one lacks rho (1 - rho) of its first factor
    denominator = (1 - ab) ** 3 * (1 - rho * a) ** 2 * (1 - rho * b) ** 2
    return right - rho * (1 - rho) * (1 + ab + rho * ab * (rho * ab * (1 + ab) - 2 * a - 2 * b)) / denominator


def gated_sensitivity(lam, rho):
    r"""What the paper's Figure 15 draws in place of :func:`rnnlib.theory.gated_sensitivity` (erratum 8),

    .. math:: (\tilde F + 2 \tilde F_a + \tilde F_{ab}) (\lambda (1 - \lambda))^2 .

    Args:
        lam: the gate, real, in [0, 1).
        rho: correlation of consecutive inputs, -1 to 1.

    Returns:
        The expression.

    Raises:
        ValueError: as of :func:`rnnlib.theory.gated_sensitivity`.

    Source: Zucchet and Orvieto (2024), code of Figure 15.
    """
    scaled = theory.gated_state_variance(lam, rho)
    slope = scaled * (rho / (1 - (rho * lam) ** 2) + lam / (1 - lam**2) - 1 / (1 - lam))
    return (lam * (1 - lam)) ** 2 * (scaled + 2 * slope) + theory.gated_sensitivity(lam, rho)
