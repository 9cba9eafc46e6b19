"""S4 in its diagonal form: the eigenvalues come from a continuous-time system and a learned step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from .. import _checks
from .base import wide
from .checks import check_intervals, check_sequences, check_step
from .diagonal import DiagonalLayer

if TYPE_CHECKING:
    from jaxtyping import Bool, Complex, Float, Int
    from torch import Tensor


class S4D(DiagonalLayer):
    r"""Diagonal S4 with a step size of its own for each unit,

    .. math:: h_t = \lambda \odot h_{t-1} + \Delta \odot (B x_t), \quad y_t = \mathrm{Re}(C h_t) + D x_t, \quad
              \lambda = e^{\Delta A}, \quad \Delta = \mathrm{softplus}(\omega_\Delta).

    The step size scales modulus, angle and input alike, so a small :math:`\Delta` makes all three answer to
    :math:`\omega_\Delta`. Nothing keeps the real part of A negative.

    Samples that are not equally far apart need no resampling: with ``intervals`` step t has the step size
    :math:`\Delta` times its interval.

    The eigenvalues start on a ring as the LRU's, whatever the step size. The authors' code divides angles by
    :math:`\omega_\Delta` where :math:`\Delta` is meant, which turns them all towards 0 (erratum 10).

    Args:
        input_size: size of x_t.
        hidden_size: number of complex units, N.
        output_size: size of y_t.
        step_size: initial :math:`\Delta`, in time steps, from 1e-30 to 1e30.
        min_modulus: inner radius of the ring on which eigenvalues start.
        max_modulus: its outer radius.
        max_angle: its largest angle, radians.
        generator: source of randomness of the initial parameters.
        backend: passed to :func:`rnnlib.linear_scan`.
        device: of the parameters.
        dtype: of the parameters, a real one.

    Raises:
        ValueError: a size is not positive, or the step size is out of range.

    Source: Gu et al. (2022), S4D; Zucchet and Orvieto (2024), Figure 9 and their code.
    """

    recurrent_parameters = ("A", "omega_delta")
    complex_pairs = ("A", "B", "C")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        step_size: float = 1.0,
        min_modulus: float = 0.0,
        max_modulus: float = 1.0,
        max_angle: float = math.pi,
        generator: torch.Generator | None = None,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        _checks.number("step_size", step_size)
        super().__init__(
            input_size, hidden_size, output_size, generator=generator, backend=backend, device=device, dtype=dtype
        )
        if not 1e-30 <= step_size <= 1e30:  # so that it and the rates, of order 1 / step size, fit in float32
            raise ValueError(
                f"step_size must be positive, from 1e-30 to 1e30 time steps, got {_checks.shown(step_size)}"
            )
        self.initial = (step_size, min_modulus, max_modulus, max_angle)
        self.A = nn.Parameter(self.D.new_empty(self.hidden_size, 2))
        self.omega_delta = nn.Parameter(self.D.new_empty(self.hidden_size))
        self._reset_recurrence(generator)

    @torch.no_grad()
    def _reset_recurrence(self, generator: torch.Generator | None) -> None:
        step_size, *radii_and_angle = self.initial
        lam = self._ring(generator, *radii_and_angle)
        # float64, because log|lambda| is a difference of nearly equal numbers close to the unit circle
        rates = torch.log(lam.to(torch.complex128)) / step_size
        self.A.copy_(torch.view_as_real(rates.to(lam.dtype)))
        self.omega_delta.fill_(inverse_softplus(step_size))

    def step_sizes(self) -> Float[Tensor, "N"]:
        r"""The step sizes :math:`\Delta`."""
        return nn.functional.softplus(wide(self.omega_delta))

    def forward(
        self,
        x: Float[Tensor, "B T in"],
        state: Complex[Tensor, "B N"] | None = None,
        *,
        lengths: Int[Tensor, "B"] | None = None,
        reset: Bool[Tensor, "B T"] | None = None,
        reverse: bool = False,
        intervals: Float[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "B T out"], Complex[Tensor, "B N"]]:
        """Outputs for whole sequences, and the state after them, as :meth:`rnnlib.LRU.forward`.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: before the first step.
            lengths: steps of each sequence ``(batch,)``.
            reset: where a new sequence begins ``(batch, time)``.
            reverse: run from each sequence's last step to its first.
            intervals: time from the step that the recurrence took before, to each step ``(batch, time)``, at least 0,
                in units in which it is 1 by default; also a learned or input-dependent factor of the step sizes.

        Returns:
            Outputs ``(batch, time, output_size)`` in the dtype of x, and the last state.
        """
        if intervals is None:
            return super().forward(x, state, lengths=lengths, reset=reset, reverse=reverse)
        check_sequences(x, self.input_size, self._parameter)
        check_intervals(intervals, x.shape[:2], x)
        features = torch.cat([wide(x), wide(intervals)[..., None]], -1)
        return self._forward(x, features, state, lengths, reset, reverse)

    def step(
        self,
        x: Float[Tensor, "B in"],
        state: Complex[Tensor, "B N"],
        interval: Float[Tensor, "B"] | None = None,
    ) -> tuple[Float[Tensor, "B out"], Complex[Tensor, "B N"]]:
        """One time step, as :meth:`rnnlib.LRU.step`; ``interval`` ``(batch,)`` is the time since the last one."""
        if interval is None:
            return super().step(x, state)
        check_step(x, self.input_size, self._parameter)
        check_intervals(interval, x.shape[:1], x)
        y, state = self._step(torch.cat([wide(x), wide(interval)[:, None]], -1), self._entering(x, state))
        return y.to(x.dtype), state

    def _recurrence(self, x):
        if x.shape[-1] == self.input_size:
            return super()._recurrence(x)
        x, interval = x[..., :-1], x[..., -1:]
        lam = torch.exp(torch.view_as_complex(wide(self.A)) * (self.step_sizes() * interval))
        return lam, self._drive(x) * interval, x

    def eigenvalues(self) -> Complex[Tensor, "N"]:
        return torch.exp(torch.view_as_complex(wide(self.A)) * self.step_sizes())

    def input_scale(self) -> Float[Tensor, "N"]:
        return self.step_sizes()


def inverse_softplus(value: float) -> float:
    """The number whose softplus is ``value``, a positive one, without overflow or cancellation."""
    return value + math.log(-math.expm1(-value))
