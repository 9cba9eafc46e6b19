"""Linear recurrent layers with dense or block-diagonal state matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from .. import _checks
from .base import RecurrentLayer, drawn, full_precision, last, wide
from .checks import check_sizes

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class DenseRNN(RecurrentLayer):
    r"""The paper's RNN: linear, with a real state matrix made of independent blocks (heads) and no bias,

    .. math:: h_t = A h_{t-1} + B x_t, \qquad y_t = C h_t + D x_t, \qquad A = \mathrm{diag}(A_1, \dots, A_H).

    One head is a dense matrix; ``hidden_size / 2`` heads are 2x2 blocks, each a pair of eigenvalues. Input, output and
    skip weights start LeCun normal (variance 1 / fan-in), each block as :func:`dense_recurrence` draws it. Under
    autocast the linear maps B, C and D run in half precision, as :class:`torch.nn.Linear` does.

    Args:
        input_size: size of x_t.
        hidden_size: size of the state, N.
        output_size: size of y_t.
        heads: number of blocks, H; divides ``hidden_size``.
        min_modulus: smallest initial modulus of an eigenvalue, the paper's :math:`\nu_0` (0 for its RNN, erratum 13).
        max_angle: largest initial angle, radians.
        generator: source of randomness of the initial weights.
        device: of the parameters.
        dtype: of the parameters, a real one.

    Source: Zucchet and Orvieto (2024), sections 3.2 and 4, appendix D.
    """

    recurrent_parameters = ("A",)
    linear_maps = ("B", "C", "D")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        heads: int = 1,
        min_modulus: float = 0.0,
        max_angle: float = math.pi,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "output_size": output_size, "heads": heads}
        super().__init__(generator, dtype, **sizes)
        if self.hidden_size % self.heads:
            raise ValueError(f"heads must divide hidden_size, got {heads} heads for {hidden_size} units")
        self.initial = (min_modulus, max_angle)
        size = self.hidden_size // self.heads
        self.A, self.B, self.C, self.D = (
            nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
            for shape in [
                (self.heads, size, size),
                (self.hidden_size, self.input_size),
                (self.output_size, self.hidden_size),
                (self.output_size, self.input_size),
            ]
        )
        self.reset_parameters(generator)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        def normal(weights: Tensor) -> Tensor:
            return drawn(weights, generator).normal_(generator=generator)

        self.A.copy_(dense_recurrence(normal(self.A), *self.initial))
        for weights in (self.B, self.C, self.D):
            weights.copy_(normal(weights) / math.sqrt(weights.shape[1]))

    def _run(self, x, state, lengths, reset):
        # one fused operation a step: measured, half the time of a product and a sum, forward and backward
        drives = wide(x @ wide(self.B).mT).unflatten(2, (self.heads, -1)).permute(1, 2, 0, 3).contiguous()
        h, transition, states = state.unflatten(1, (self.heads, -1)).transpose(0, 1), wide(self.A).mT, []
        with full_precision(x):
            for t, drive in enumerate(drives.unbind(0)):
                if reset is not None:
                    h = h.masked_fill(reset[:, t, None], 0)
                h = torch.baddbmm(drive, h, transition)
                states.append(h)
        states, readout = torch.stack(states), wide(self.C).unflatten(1, (self.heads, -1))
        y = torch.einsum("thbi,ohi->bto", states, readout) + x @ wide(self.D).mT
        if lengths is None:
            return y, h.transpose(0, 1).flatten(1).clone()
        return y, last(states.permute(2, 0, 1, 3).flatten(2), lengths)

    def _step(self, x, state):
        state = self._next(state) + wide(x @ wide(self.B).mT)
        return state @ wide(self.C).mT + x @ wide(self.D).mT, state

    def impulse_response(self, length: int) -> Float[Tensor, "T out in"]:
        r"""Response to a unit impulse, :math:`k_\tau = C A^\tau B + D [\tau = 0]`.

        Args:
            length: number of lags, T.

        Returns:
            Real tensor ``(length, output_size, input_size)``.

        Raises:
            ValueError: the length is below 1.
        """
        length = check_sizes(length=length)["length"]
        state, responses = wide(self.B).mT, []
        for _ in range(length):
            responses.append((state @ wide(self.C).mT).mT)
            state = self._next(state)
        responses[0] = responses[0] + self.D
        return torch.stack(responses).to(self.D.dtype)

    def _next(self, state: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """A h for each row h."""
        with full_precision(state):
            return torch.einsum("hij,bhj->bhi", wide(self.A), state.unflatten(1, (self.heads, -1))).flatten(1)


def dense_recurrence(
    normal: Float[Tensor, "*H n n"], min_modulus: float = 0.0, max_angle: float = math.pi
) -> Float[Tensor, "*H n n"]:
    r"""Random real matrices with eigenvalues inside the unit circle, as the paper draws teachers and dense students.

    A matrix of independent N(0, 1/n) entries is eigendecomposed; each eigenvalue of modulus r and angle :math:`\theta`
    becomes one of modulus :math:`\nu_0 + (1 - \nu_0) \tanh r` and angle :math:`\theta \, \theta_0 / \pi`, the
    eigenvectors stay, and the real part of the product is taken. A negative real eigenvalue has no conjugate partner:
    with :math:`\theta_0 < \pi` it leaves the real axis, and the real part moves it (and others a little).

    Args:
        normal: independent standard normal entries ``(..., n, n)``.
        min_modulus: :math:`\nu_0`, in [0, 1).
        max_angle: :math:`\theta_0`, radians, in (0, pi].

    Returns:
        Real matrices of the same shape and dtype; computed in float64.

    Raises:
        ValueError: modulus or angle out of range.

    Source: Zucchet and Orvieto (2024), appendix D.
    """
    _checks.within("min_modulus", min_modulus, "[0, 1)")
    _checks.number("max_angle", max_angle)
    if not 0 < max_angle <= math.pi:
        raise ValueError(f"max_angle must be in (0, pi] radians, got {max_angle}")
    lam, vectors = torch.linalg.eig(normal.double() / math.sqrt(normal.shape[-1]))
    modulus = min_modulus + (1 - min_modulus) * torch.tanh(lam.abs())
    lam = torch.polar(modulus, lam.angle() * (max_angle / math.pi))
    # V diag(lam) V^-1, transposed so that solve can stand for the inverse
    product = torch.linalg.solve(vectors.mT, (vectors * lam[..., None, :]).mT).mT
    return product.real.to(normal.dtype)
