"""Complex diagonal recurrent layers: a linear recurrence between two linear maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..parametrization import input_scale, ring
from ..scan import linear_scan
from .base import RecurrentLayer, drawing, fill_normal, last, wide
from .checks import check_sizes, check_state, check_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Complex, Float
    from torch import Tensor


class DiagonalLayer(RecurrentLayer):
    r"""What every complex diagonal layer shares,

    .. math:: h_t = \lambda \odot h_{t-1} + \gamma \odot (B x_t), \qquad y_t = \mathrm{Re}(C h_t) + D x_t.

    Subclasses say what :math:`\lambda` and :math:`\gamma` are, and draw what they are made of in ``_reset_recurrence``.
    Complex parameters are stored as real tensors whose last axis holds (real, imaginary), so that ``module.double()``
    and optimisers treat them as any other. Under autocast the two maps run in half precision, as
    :class:`torch.nn.Linear` does.

    Args:
        input_size: size of x_t.
        hidden_size: number of complex units, N.
        output_size: size of y_t.
        generator: source of randomness of the initial weights.
        backend: passed to :func:`rnnlib.linear_scan`.
        device: of the parameters.
        dtype: of the parameters, a real one.
    """

    linear_maps = ("B", "C", "D")
    complex_pairs = ("B", "C")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        generator: torch.Generator | None = None,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(generator, dtype, input_size=input_size, hidden_size=hidden_size, output_size=output_size)
        self.backend = backend
        sizes = self.input_size, self.hidden_size, self.output_size
        self.B, self.C, self.D = (
            nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
            for shape in [(sizes[1], sizes[0], 2), (sizes[2], sizes[1], 2), (sizes[2], sizes[0])]
        )
        self._reset_maps(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        self._reset_maps(generator)
        self._reset_recurrence(generator)

    def _reset_maps(self, generator: torch.Generator | None) -> None:
        # variances 1 / first dimension for B and C: what the authors' code does (erratum 16)
        for weights, size in [(self.B, self.hidden_size), (self.C, self.output_size), (self.D, self.input_size)]:
            fill_normal(weights, math.sqrt(1 / size), generator)

    def _reset_recurrence(self, generator: torch.Generator | None) -> None:
        """Draw what :math:`\\lambda` and :math:`\\gamma` are made of."""

    def _ring(self, generator: torch.Generator | None, *radii_and_angle: float) -> Complex[Tensor, "N"]:
        """Initial eigenvalues, in single precision at least."""
        factory = drawing(self.D, generator)
        dtype = factory["dtype"].to_complex()
        return ring(self.hidden_size, *radii_and_angle, generator=generator, dtype=dtype, device=factory["device"])

    def eigenvalues(self) -> Complex[Tensor, "N"]:
        r"""The eigenvalues :math:`\lambda`."""
        raise TypeError(f"{type(self).__name__} must define eigenvalues()")

    def input_scale(self) -> Float[Tensor, "N"] | None:
        r"""The scale :math:`\gamma` of each unit's input, or None for 1."""
        return None

    def _input_map(self) -> Float[Tensor, "N in 2"]:
        gamma = self.input_scale()
        return wide(self.B) if gamma is None else wide(self.B) * gamma[:, None, None]

    def _drive(self, x: Float[Tensor, "*B in"]) -> Complex[Tensor, "*B N"]:
        # under autocast the product comes in half precision, in which the recurrence must not run
        product = torch.einsum("...i,nip->...np", x, self._input_map())
        return torch.view_as_complex(wide(product).contiguous())

    def _read(self, h: Complex[Tensor, "*B N"], x: Float[Tensor, "*B in"]) -> Float[Tensor, "*B out"]:
        return torch.einsum("...np,onp->...o", torch.view_as_real(h), self._conjugate_readout()) + x @ wide(self.D).T

    def _conjugate_readout(self) -> Float[Tensor, "out N 2"]:
        """Re C and -Im C side by side: Re(C h) = Re C Re h - Im C Im h is one real product."""
        C = wide(self.C)
        return torch.stack([C[..., 0], -C[..., 1]], dim=-1)

    def _recurrence(self, x: Float[Tensor, "*B in"]) -> tuple[Tensor, Complex[Tensor, "*B N"], Tensor]:
        r""":math:`\lambda`, ``(N,)`` or one for each step, what is added to the state, and x without what it says of
        the two."""
        return self.eigenvalues(), self._drive(x), x

    def _run(self, x, state, lengths, reset):
        lam, drive, x = self._recurrence(x)
        if reset is not None:
            lam = torch.where(reset[..., None], torch.zeros_like(lam), lam)
        h = linear_scan(lam, drive, state, backend=self.backend)
        return self._read(h, x), last(h, lengths)

    def _step(self, x, state):
        lam, drive, x = self._recurrence(x)
        state = lam * state + drive
        return self._read(state, x), state

    def initial_state(self, batch: int = 1) -> Complex[Tensor, "B N"]:
        """The zero state ``(batch, hidden_size)``, complex, on the layer's device, in the recurrence's precision."""
        # real zeros, because ONNX has no complex ones; no view of them, whose base torch.compile would look at
        return torch.view_as_complex(wide(self.B.new_zeros(batch, self.hidden_size, 2))).clone()

    def stepper(self) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """:meth:`step` for inference, with everything that does not depend on the input computed once.

        Returns:
            A function ``(x, state) -> (y, state)`` as :meth:`step`, with its errors, without gradients. It holds the
            parameters of this moment: take a new one after they change.
        """
        with torch.no_grad():
            lam = self.eigenvalues()
            B = self._input_map().transpose(0, 1).flatten(1).contiguous()  # (in, 2 N), real and imaginary side by side
            C = self._conjugate_readout().flatten(1).T.contiguous()
            D = wide(self.D).T.contiguous()
        input_size, zeros, parameter = self.input_size, self.initial_state(1), self.D

        @torch.no_grad()
        def advance(x, state):
            check_step(x, input_size, parameter)
            state = check_state(state, zeros.expand(x.shape[0], -1))
            dtype, x = x.dtype, wide(x)
            drive = torch.view_as_complex(wide(x @ B).unflatten(-1, (-1, 2)))
            state = torch.addcmul(drive, lam, state)
            return torch.addmm(x @ D, torch.view_as_real(state).flatten(1), C).to(dtype), state

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
        length = check_sizes(length=length)["length"]
        impulses = self.D.new_zeros(self.input_size, length, self.input_size)
        impulses[:, 0] = torch.eye(self.input_size, dtype=impulses.dtype, device=impulses.device)
        return self(impulses)[0].permute(1, 2, 0)


class DiagonalRNN(DiagonalLayer):
    r"""The paper's complex RNN: eigenvalues stored as they are, real and imaginary parts.

    Nothing keeps them inside the unit circle or in conjugate pairs, and parameters in half precision resolve none
    between .996 (bfloat16) or .9995 (float16) and 1.

    Args:
        input_size: size of x_t.
        hidden_size: number of complex units, N.
        output_size: size of y_t.
        normalize: learn an input scale gamma for each unit, started at :math:`\sqrt{1 - |\lambda|^2}`.
        min_modulus: inner radius of the ring on which eigenvalues start.
        max_modulus: its outer radius.
        max_angle: its largest angle, radians.
        generator: source of randomness of the initial parameters.
        backend: passed to :func:`rnnlib.linear_scan`.
        device: of the parameters.
        dtype: of the parameters, a real one.

    Source: Zucchet and Orvieto (2024), sections 3.2 and 4.1 ("complex numbers").
    """

    recurrent_parameters = ("lam",)
    complex_pairs = ("lam", "B", "C")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        normalize: bool = False,
        min_modulus: float = 0.0,
        max_modulus: float = 1.0,
        max_angle: float = math.pi,
        generator: torch.Generator | None = None,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(
            input_size, hidden_size, output_size, generator=generator, backend=backend, device=device, dtype=dtype
        )
        if not isinstance(normalize, bool):
            raise ValueError(f"normalize must be True or False, got {normalize!r}")
        self.initial = (min_modulus, max_modulus, max_angle)
        self.lam = nn.Parameter(self.D.new_empty(self.hidden_size, 2))
        self.gamma = nn.Parameter(self.D.new_empty(self.hidden_size)) if normalize else None
        self._reset_recurrence(generator)

    @torch.no_grad()
    def _reset_recurrence(self, generator: torch.Generator | None) -> None:
        lam = self._ring(generator, *self.initial)
        self.lam.copy_(torch.view_as_real(lam))
        if self.gamma is not None:
            self.gamma.copy_(input_scale(lam))

    def eigenvalues(self) -> Complex[Tensor, "N"]:
        return torch.view_as_complex(wide(self.lam))

    def input_scale(self) -> Float[Tensor, "N"] | None:
        return None if self.gamma is None else wide(self.gamma)
