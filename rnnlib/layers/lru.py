"""The linear recurrent unit: a diagonal layer with the exponential parametrisation and a learned input scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..parametrization import EXPONENTIAL, Parametrization, input_scale
from .base import wide
from .diagonal import DiagonalLayer

if TYPE_CHECKING:
    from jaxtyping import Complex, Float
    from torch import Tensor


class LRU(DiagonalLayer):
    r"""Linear recurrent unit,

    .. math:: h_t = \lambda \odot h_{t-1} + \gamma \odot (B x_t), \quad y_t = \mathrm{Re}(C h_t) + D x_t, \quad
              \lambda = e^{-e^{\omega_\nu} + i e^{\omega_\theta}}, \quad \gamma = e^{\omega_\gamma}.

    With this parametrisation, the default, and with the optimal one the modulus cannot exceed 1, whatever the optimiser
    does; the polar one does not bound it.

    Args:
        input_size: size of x_t.
        hidden_size: number of complex units, N.
        output_size: size of y_t.
        min_modulus: inner radius of the ring on which eigenvalues start, the paper's :math:`\nu_0`.
        max_modulus: its outer radius.
        max_angle: its largest angle :math:`\theta_0`, radians.
        parametrization: the change of variables; the LRU's own is the exponential one.
        normalize: learn the input scale; without it :math:`\gamma = 1`, a step of the paper's ablation.
        generator: source of randomness of the initial parameters.
        backend: passed to :func:`rnnlib.linear_scan`.
        device: of the parameters.
        dtype: of the parameters, a real one.

    Raises:
        TypeError: the parametrisation is none, or the dtype is not a real floating-point one.
        ValueError: a size is not positive, or the ring is out of range.

    Source: Orvieto et al. (2023); Zucchet and Orvieto (2024), section 3.1 and appendix D.
    """

    recurrent_parameters = ("omega_nu", "omega_theta")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        min_modulus: float = 0.0,
        max_modulus: float = 1.0,
        max_angle: float = math.pi,
        parametrization: Parametrization = EXPONENTIAL,
        normalize: bool = True,
        generator: torch.Generator | None = None,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(
            input_size, hidden_size, output_size, generator=generator, backend=backend, device=device, dtype=dtype
        )
        if not isinstance(parametrization, Parametrization):
            raise TypeError(
                "parametrization must be a rnnlib.parametrization.Parametrization, such as OPTIMAL of that module, "
                f"got {parametrization!r}"
            )
        self.parametrization, self.initial = parametrization, (min_modulus, max_modulus, max_angle)
        self.omega_nu, self.omega_theta, self.omega_gamma = (
            nn.Parameter(self.D.new_empty(self.hidden_size)) if wanted else None for wanted in (True, True, normalize)
        )
        self._reset_recurrence(generator)

    @torch.no_grad()
    def _reset_recurrence(self, generator: torch.Generator | None) -> None:
        lam = self._ring(generator, *self.initial)
        # a ring needs no check, and a meta tensor allows none
        for parameter, value in zip((self.omega_nu, self.omega_theta), self.parametrization._raw(lam), strict=True):
            parameter.copy_(value)
        if self.omega_gamma is not None:
            self.omega_gamma.copy_(torch.log(input_scale(lam)))

    def eigenvalues(self) -> Complex[Tensor, "N"]:
        return self.parametrization.eigenvalues(wide(self.omega_nu), wide(self.omega_theta))

    def input_scale(self) -> Float[Tensor, "N"] | None:
        return None if self.omega_gamma is None else torch.exp(wide(self.omega_gamma))
