"""S4 in its diagonal form: the eigenvalues come from a continuous-time system and a learned step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from .. import _checks
from ..parametrization import ring
from .diagonal import DiagonalLayer

if TYPE_CHECKING:
    from jaxtyping import Complex, Float
    from torch import Tensor


class S4D(DiagonalLayer):
    r"""Diagonal S4 with a step of its own for each unit,

    .. math:: h_t = \lambda \odot h_{t-1} + \Delta \odot (B x_t), \quad y_t = \mathrm{Re}(C h_t) + D x_t, \quad
              \lambda = e^{\Delta A}, \quad \Delta = \mathrm{softplus}(\omega_\Delta).

    One step scales modulus, angle and input alike, so a small :math:`\Delta` makes all three answer to
    :math:`\omega_\Delta`. Nothing keeps the real part of A negative.

    The eigenvalues start on a ring as the LRU's, whatever the step. The authors' code divides angles by
    :math:`\omega_\Delta` where :math:`\Delta` is meant, which turns them all towards 0 (erratum 10).

    Args:
        input_size: size of x_t.
        hidden_size: number of complex units, N.
        output_size: size of y_t.
        step: initial :math:`\Delta`, in time steps, from 1e-30 to 1e30.
        min_modulus: inner radius of the ring on which eigenvalues start.
        max_modulus: its outer radius.
        max_angle: its largest angle, radians.
        generator: source of randomness of the initial parameters.
        backend: passed to :func:`rnnlib.linear_scan`.

    Raises:
        ValueError: a size is not positive, or the step is out of range.

    Source: Gu et al. (2022), S4D; Zucchet and Orvieto (2024), Figure 9 and their code.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        step: float = 1.0,
        min_modulus: float = 0.0,
        max_modulus: float = 1.0,
        max_angle: float = math.pi,
        generator: torch.Generator | None = None,
        backend: str = "auto",
    ):
        _checks.number("step", step)
        super().__init__(input_size, hidden_size, output_size, generator=generator, backend=backend)
        if not 1e-30 <= step <= 1e30:  # so that the step and the rates, of order 1 / step, fit in float32
            raise ValueError(f"step must be positive, from 1e-30 to 1e30 time steps, got {_checks.shown(step)}")
        lam = ring(self.hidden_size, min_modulus, max_modulus, max_angle, generator=generator)
        # float64, because log|lambda| is a difference of nearly equal numbers close to the unit circle
        rates = torch.log(lam.to(torch.complex128)) / step
        self.A = nn.Parameter(torch.view_as_real(rates.to(lam.dtype)).clone())
        self.omega_delta = nn.Parameter(torch.full((self.hidden_size,), inverse_softplus(step)))

    def step_size(self) -> Float[Tensor, "N"]:
        r"""The steps :math:`\Delta`."""
        return nn.functional.softplus(self.omega_delta)

    def eigenvalues(self) -> Complex[Tensor, "N"]:
        return torch.exp(torch.view_as_complex(self.A) * self.step_size())

    def input_scale(self) -> Float[Tensor, "N"]:
        return self.step_size()


def inverse_softplus(value: float) -> float:
    """The number whose softplus is ``value``, a positive one, without overflow or cancellation."""
    return value + math.log(-math.expm1(-value))
