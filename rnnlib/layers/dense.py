"""Linear recurrent layers with dense or block-diagonal state matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from .. import _checks
from .checks import check_sequences, check_sizes, check_state, check_step

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class DenseRNN(nn.Module):
    r"""The paper's RNN: linear, with a real state matrix made of independent blocks (heads) and no bias,

    .. math:: h_t = A h_{t-1} + B x_t, \qquad y_t = C h_t + D x_t, \qquad A = \mathrm{diag}(A_1, \dots, A_H).

    One head is a dense matrix; ``hidden_size / 2`` heads are 2x2 blocks, each a pair of eigenvalues. Input, output and
    skip weights start LeCun normal (variance 1 / fan-in), each block as :func:`dense_recurrence` draws it.

    Args:
        input_size: size of x_t.
        hidden_size: size of the state, N.
        output_size: size of y_t.
        heads: number of blocks, H; divides ``hidden_size``.
        min_modulus: smallest initial modulus of an eigenvalue, the paper's :math:`\nu_0` (0 for its RNN, erratum 13).
        max_angle: largest initial angle, radians.
        generator: source of randomness of the initial weights.

    Source: Zucchet and Orvieto (2024), sections 3.2 and 4, appendix D.
    """

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
    ):
        super().__init__()
        input_size, hidden_size, output_size, heads = check_sizes(
            input_size=input_size, hidden_size=hidden_size, output_size=output_size, heads=heads
        )
        _checks.generator(generator)
        if hidden_size % heads:
            raise ValueError(f"heads must divide hidden_size, got {heads} heads for {hidden_size} units")
        self.input_size, self.hidden_size, self.output_size, self.heads = input_size, hidden_size, output_size, heads

        def lecun(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator) / math.sqrt(shape[-1]))

        blocks = torch.randn(heads, hidden_size // heads, hidden_size // heads, generator=generator)
        self.A = nn.Parameter(dense_recurrence(blocks, min_modulus, max_angle))
        self.B = lecun(hidden_size, input_size)
        self.C = lecun(output_size, hidden_size)
        self.D = lecun(output_size, input_size)

    def forward(
        self, x: Float[Tensor, "B T in"], state: Float[Tensor, "B N"] | None = None
    ) -> Float[Tensor, "B T out"]:
        """Outputs for whole sequences: one step after another.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: state ``(batch, hidden_size)`` before the first input; zero by default.

        Returns:
            Outputs ``(batch, time, output_size)``.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device, or x no time steps.
        """
        check_sequences(x, self.input_size, self.B)
        if state is not None:
            check_state(state, x, self.hidden_size, parameter=self.B)
        # one fused operation a step: measured, half the time of a product and a sum, forward and backward
        drives = (x @ self.B.mT).unflatten(2, (self.heads, -1)).permute(1, 2, 0, 3).contiguous()
        h = torch.zeros_like(drives[0]) if state is None else state.unflatten(1, (self.heads, -1)).transpose(0, 1)
        transition, states = self.A.mT, []
        for drive in drives.unbind(0):
            h = torch.baddbmm(drive, h, transition)
            states.append(h)
        readout = self.C.unflatten(1, (self.heads, -1))
        return torch.einsum("thbi,ohi->bto", torch.stack(states), readout) + x @ self.D.mT

    def initial_state(self, batch: int = 1) -> Float[Tensor, "B N"]:
        """The zero state ``(batch, hidden_size)``, on the device and in the precision of the parameters."""
        return self.B.new_zeros(batch, self.hidden_size)

    def step(
        self, x: Float[Tensor, "B in"], state: Float[Tensor, "B N"]
    ) -> tuple[Float[Tensor, "B out"], Float[Tensor, "B N"]]:
        """One time step, for streaming; a loop of steps gives the outputs of :meth:`forward`.

        Args:
            x: input of this step ``(batch, input_size)``.
            state: state ``(batch, hidden_size)`` after the previous step.

        Returns:
            The output ``(batch, output_size)`` and the new state.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device.
        """
        check_step(x, self.input_size, self.B)
        check_state(state, x, self.hidden_size, parameter=self.B)
        state = self._turn(state) + x @ self.B.mT
        return state @ self.C.mT + x @ self.D.mT, state

    def impulse_response(self, length: int) -> Float[Tensor, "T out in"]:
        r"""Response to a unit impulse, :math:`k_\tau = C A^\tau B + D [\tau = 0]`.

        Args:
            length: number of lags, T.

        Returns:
            Real tensor ``(length, output_size, input_size)``.

        Raises:
            ValueError: the length is below 1.
        """
        (length,) = check_sizes(length=length)
        state, responses = self.B.mT, []
        for _ in range(length):
            responses.append((state @ self.C.mT).mT)
            state = self._turn(state)
        responses[0] = responses[0] + self.D
        return torch.stack(responses)

    def _turn(self, state: Float[Tensor, "B N"]) -> Float[Tensor, "B N"]:
        """A h for each row h."""
        return torch.einsum("hij,bhj->bhi", self.A, state.unflatten(1, (self.heads, -1))).flatten(1)

    def extra_repr(self) -> str:
        sizes = f"input_size={self.input_size}, hidden_size={self.hidden_size}, output_size={self.output_size}"
        return f"{sizes}, heads={self.heads}"


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
