"""Complex diagonal recurrent layers: a linear recurrence between two linear maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from .. import _checks
from ..parametrization import input_scale, ring
from ..scan import linear_scan
from .checks import check_sequences, check_sizes, check_state, check_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Complex, Float
    from torch import Tensor


class DiagonalLayer(nn.Module):
    r"""What every complex diagonal layer shares,

    .. math:: h_t = \lambda \odot h_{t-1} + \gamma \odot (B x_t), \qquad y_t = \mathrm{Re}(C h_t) + D x_t.

    Subclasses say what :math:`\lambda` and :math:`\gamma` are. Complex parameters are stored as real tensors whose last
    axis holds (real, imaginary), so that ``module.double()`` and optimisers treat them as any other.

    Args:
        input_size: size of x_t.
        hidden_size: number of complex units, N.
        output_size: size of y_t.
        generator: source of randomness of the initial weights.
        backend: passed to :func:`rnnlib.linear_scan`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        generator: torch.Generator | None = None,
        backend: str = "auto",
    ):
        super().__init__()
        input_size, hidden_size, output_size = check_sizes(
            input_size=input_size, hidden_size=hidden_size, output_size=output_size
        )
        _checks.generator(generator)
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, output_size
        self.backend = backend

        def normal(variance: float, *shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator) * math.sqrt(variance))

        # variances 1 / first dimension for B and C: what the authors' code does (erratum 16)
        self.B = normal(1 / hidden_size, hidden_size, input_size, 2)
        self.C = normal(1 / output_size, output_size, hidden_size, 2)
        self.D = normal(1 / input_size, output_size, input_size)

    def eigenvalues(self) -> Complex[Tensor, "N"]:
        r"""The eigenvalues :math:`\lambda`."""
        raise TypeError(f"{type(self).__name__} must define eigenvalues()")

    def input_scale(self) -> Float[Tensor, "N"] | None:
        r"""The scale :math:`\gamma` of each unit's input, or None for 1."""
        return None

    def _drive(self, x: Float[Tensor, "*B in"]) -> Complex[Tensor, "*B N"]:
        gamma = self.input_scale()
        B = self.B if gamma is None else self.B * gamma[:, None, None]
        # under autocast the product comes in half precision, in which the recurrence must not run
        return torch.view_as_complex(torch.einsum("...i,nip->...np", x, B).to(self.B.dtype).contiguous())

    def _read(self, h: Complex[Tensor, "*B N"], x: Float[Tensor, "*B in"]) -> Float[Tensor, "*B out"]:
        y = torch.einsum("...np,onp->...o", torch.view_as_real(h), self._conjugate_readout()) + x @ self.D.T
        return y.to(x.dtype)

    def _conjugate_readout(self) -> Float[Tensor, "out N 2"]:
        """Re C and -Im C side by side: Re(C h) = Re C Re h - Im C Im h is one real product."""
        return torch.stack([self.C[..., 0], -self.C[..., 1]], dim=-1)

    def forward(
        self, x: Float[Tensor, "B T in"], state: Complex[Tensor, "B N"] | None = None
    ) -> Float[Tensor, "B T out"]:
        """Outputs for whole sequences, in the precision of x. Under autocast the recurrence keeps that of the layer.

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
            check_state(state, x, self.hidden_size, parameter=self.B, is_complex=True)
        return self._read(self._states(x, state), x)

    def _states(self, x: Float[Tensor, "B T in"], state: Complex[Tensor, "B N"] | None) -> Complex[Tensor, "B T N"]:
        return linear_scan(self.eigenvalues(), self._drive(x), state, backend=self.backend)

    def initial_state(self, batch: int = 1) -> Complex[Tensor, "B N"]:
        """The zero state ``(batch, hidden_size)``, on the device and in the precision of the parameters."""
        return torch.view_as_complex(self.B.new_zeros(batch, self.hidden_size, 2))

    def chunk(
        self, x: Float[Tensor, "B T in"], state: Complex[Tensor, "B N"]
    ) -> tuple[Float[Tensor, "B T out"], Complex[Tensor, "B N"]]:
        """The next part of a long sequence; parts handed on from state to state give the outputs of :meth:`forward`.

        Args:
            x: inputs ``(batch, time, input_size)``.
            state: state ``(batch, hidden_size)`` after the part before, at first :meth:`initial_state`.

        Returns:
            Outputs ``(batch, time, output_size)`` and the state after the last of them.

        Raises:
            TypeError: x or the state is no tensor, or of another dtype than the layer.
            ValueError: x or the state has another shape or device.
        """
        check_sequences(x, self.input_size, self.B)
        check_state(state, x, self.hidden_size, parameter=self.B, is_complex=True)
        h = self._states(x, state)
        return self._read(h, x), h[:, -1].clone()  # a view would keep all states in memory

    def step(
        self, x: Float[Tensor, "B in"], state: Complex[Tensor, "B N"]
    ) -> tuple[Float[Tensor, "B out"], Complex[Tensor, "B N"]]:
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
        check_state(state, x, self.hidden_size, parameter=self.B, is_complex=True)
        state = self.eigenvalues() * state + self._drive(x)
        return self._read(state, x), state

    def stepper(
        self,
    ) -> Callable[
        [Float[Tensor, "B in"], Complex[Tensor, "B N"]], tuple[Float[Tensor, "B out"], Complex[Tensor, "B N"]]
    ]:
        """:meth:`step` for inference, with everything that does not depend on the input computed once.

        Returns:
            A function ``(x, state) -> (y, state)`` as :meth:`step`, with its errors, without gradients. It holds the
            parameters of this moment: take a new one after they change.
        """
        with torch.no_grad():
            lam, gamma = self.eigenvalues(), self.input_scale()
            B = self.B if gamma is None else self.B * gamma[:, None, None]
            B = B.transpose(0, 1).flatten(1).contiguous()  # (in, 2 N), real and imaginary parts side by side
            C = self._conjugate_readout().flatten(1).T.contiguous()
            D = self.D.T.contiguous()
        input_size, hidden_size = self.input_size, self.hidden_size

        @torch.no_grad()
        def advance(x, state):
            check_step(x, input_size, B)
            check_state(state, x, hidden_size, parameter=B, is_complex=True)
            drive = torch.view_as_complex((x @ B).unflatten(-1, (-1, 2)))
            state = torch.addcmul(drive, lam, state)
            return torch.addmm(x @ D, torch.view_as_real(state).flatten(1), C), state

        return advance

    def impulse_response(self, length: int) -> Float[Tensor, "T out in"]:
        r"""Response to a unit impulse, :math:`k_\tau = \mathrm{Re}(C \Lambda^\tau \Gamma B) + D [\tau = 0]`.

        Args:
            length: number of lags, T.

        Returns:
            Real tensor ``(length, output_size, input_size)``.

        Raises:
            ValueError: the length is below 1.
        """
        (length,) = check_sizes(length=length)
        impulses = self.D.new_zeros(self.input_size, length, self.input_size)
        impulses[:, 0] = torch.eye(self.input_size, dtype=impulses.dtype, device=impulses.device)
        return self(impulses).permute(1, 2, 0)

    def extra_repr(self) -> str:
        return f"input_size={self.input_size}, hidden_size={self.hidden_size}, output_size={self.output_size}"


class DiagonalRNN(DiagonalLayer):
    r"""The paper's complex RNN: eigenvalues stored as they are, real and imaginary parts.

    Nothing keeps them inside the unit circle or in conjugate pairs.

    Args:
        input_size: size of x_t.
        hidden_size: number of complex units, N.
        output_size: size of y_t.
        normalize: learn an input scale gamma for each unit, started at :math:`\sqrt{1 - |\lambda|^2}`; ``"real part"``
            starts it at :math:`\sqrt{1 - (\mathrm{Re}\,\lambda)^2}`, as the authors' code does (erratum 4).
        min_modulus: inner radius of the ring on which eigenvalues start.
        max_modulus: its outer radius.
        max_angle: its largest angle, radians.
        generator: source of randomness of the initial parameters.
        backend: passed to :func:`rnnlib.linear_scan`.

    Source: Zucchet and Orvieto (2024), sections 3.2 and 4.1 ("complex numbers").
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        normalize: bool | Literal["real part"] = False,
        min_modulus: float = 0.0,
        max_modulus: float = 1.0,
        max_angle: float = math.pi,
        generator: torch.Generator | None = None,
        backend: str = "auto",
    ):
        super().__init__(input_size, hidden_size, output_size, generator=generator, backend=backend)
        lam = ring(self.hidden_size, min_modulus, max_modulus, max_angle, generator=generator)
        self.lam = nn.Parameter(torch.view_as_real(lam).clone())
        if normalize not in (False, True, "real part"):
            raise ValueError(f"normalize must be False, True or 'real part', got {normalize!r}")
        self.gamma = nn.Parameter(input_scale(lam.real if normalize == "real part" else lam)) if normalize else None

    def eigenvalues(self) -> Complex[Tensor, "N"]:
        return torch.view_as_complex(self.lam)

    def input_scale(self) -> Float[Tensor, "N"] | None:
        return self.gamma
