r"""Gauss-Newton with Levenberg's damping for a stack of students, on the population loss."""

from __future__ import annotations

import torch

from .base import Optimizer

_TRIED = (100.0, 10.0, 1.0, 0.1, 0.01)  # times the damping of the step before
_LEAST, _MOST, _RAISED = 1e-15, 1e6, 100.0


class GaussNewton(Optimizer):
    r"""The population loss is half a sum of T squares, :math:`\frac{1}{2} |r|^2` with
    :math:`r_\tau = \sqrt{1 - \tau / T} \, (k_\tau - k^*_\tau)`. With J the derivatives of r,

    .. math:: \theta \leftarrow \theta - (J^\top J + \mu I)^{-1} J^\top r = \theta - J^\top (J J^\top + \mu I)^{-1} r .

    The right-hand form inverts a matrix of size T, whatever the number of parameters. Each member takes, of five
    dampings :math:`\mu` that are a factor of ten apart, with the last one's in their middle, the one with the smallest
    loss; if no loss falls it stays, and the damping grows a hundredfold. The first damping is the largest eigenvalue of
    :math:`J J^\top` over the rate; none is below :math:`10^{-15}` times that eigenvalue, or grows above :math:`10^6`
    times.

    A step is one Jacobian (T gradients) and five losses. It is equivariant to every orthogonal map of all parameters;
    without damping, and if J has full column rank, to every linear one.

    Source: Levenberg (1944); Nocedal and Wright (2006), section 10.3.
    """

    members = 16  # their derivatives are hundreds of megabytes
    minibatches = False

    def __init__(self, tile):
        self.damping = torch.zeros_like(tile.rate)[:, None]
        self.state = [self.damping]

    @torch.no_grad()
    def step(self, tile, number):
        r, J = tile.residuals()
        best, x = 0.5 * r.square().sum(1), tile.vector()
        curvature, U = torch.linalg.eigh(J @ J.mT)
        curvature = curvature.clamp(min=0)
        coordinates = (U.mT @ r[..., None])[..., 0]
        largest = curvature[:, -1:]
        before = self.damping if number else largest / tile.rate[:, None]
        place, damping = x, torch.minimum(_RAISED * before, _MOST * largest)
        for factor in _TRIED:
            tried = torch.maximum(factor * before, _LEAST * largest)
            inverse = U @ (coordinates / (curvature + tried))[..., None]
            new = x - (J.mT @ inverse)[..., 0]
            tile.move(new)
            loss = tile.loss()
            falls = loss < best
            best = torch.where(falls, loss, best)
            place, damping = (torch.where(falls[:, None], *pair) for pair in ((new, place), (tried, damping)))
        tile.move(place)
        self.damping.copy_(damping)
        return best
