r"""Linear systems with scalar input and output: the teachers, random systems, and one system as each of the layers.

A system is :math:`h_t = A h_{t-1} + B x_t, \; y_t = C h_t + D x_t`. The standard normal draws of the teachers
are stored in ``teachers.csv`` (0 to 9) and ``more-teachers.csv``, so that everyone trains on the same ones;
:func:`teacher` turns them into a system with a given shortest memory and largest angle. Written as a diagonal layer, a
system has the same outputs: the layer takes its eigenvalues, which come in conjugate pairs, and the eigenvectors' share
of B and C.
"""

from __future__ import annotations

import csv
import functools
import math
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..layers import LRU, S4D, DenseRNN, DiagonalRNN
from ..layers.s4 import inverse_softplus
from ..parametrization import input_scale
from . import checks
from .minibatches import white_inputs
from .provenance import TEACHER_FILES

if TYPE_CHECKING:
    from jaxtyping import Complex, Float
    from torch import Tensor

__all__ = [
    "TEACHERS",
    "System",
    "as_dense",
    "as_diagonal",
    "as_lru",
    "as_s4",
    "conjugate_pairs",
    "draw_teacher",
    "teacher",
    "white_inputs",
]

TEACHERS = 32
_SIZE = 10  # units of a teacher
_SHAPES = {"A": (_SIZE, _SIZE), "B": (_SIZE, 1), "C": (1, _SIZE), "D": (1, 1)}
_LARGEST_CONDITION = 1e7  # of eigenvectors: a matrix that rounding cannot tell from a defective one has more


@dataclass(frozen=True)
class System:
    """A linear system in float64 with scalar input and output.

    Attributes:
        A: recurrence ``(n, n)``.
        B: input weights ``(n,)``.
        C: output weights ``(n,)``.
        D: skip weight, a scalar.

    Raises:
        ValueError: shapes do not fit, or a tensor is not float64 and finite.
    """

    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor

    def __post_init__(self):
        n = len(self.A) if self.A.ndim else 1
        for name, sizes in {"A": (n, n), "B": (n,), "C": (n,), "D": ()}.items():
            value = getattr(self, name)
            checks.shape(name, value, *sizes)
            if value.dtype != torch.float64:
                raise ValueError(f"{name} must be float64, got {value.dtype}: convert it with .double()")
            if not value.isfinite().all():
                raise ValueError(f"{name} must be finite, got {value[~value.isfinite()][0].item()}")

    def impulse_response(self, length: int) -> Float[Tensor, "T"]:
        r"""Outputs after a unit impulse, :math:`k_\tau = C A^\tau B + D [\tau = 0]`, by a plain loop.

        Args:
            length: number of lags, T, at least 1.

        Returns:
            Tensor ``(length,)``, float64.

        Raises:
            ValueError: length is not a whole number of at least 1.
        """
        k = np.empty(checks.whole("length", length))
        A, state, C = self.A.numpy(), self.B[:, None].numpy(), self.C[None].numpy()
        for lag in range(len(k)):
            k[lag] = (C @ state).item()
            state = A @ state
        k[0] += self.D.item()
        return torch.from_numpy(k)

    def modes(self) -> tuple[Complex[Tensor, "n"], Complex[Tensor, "n"], Complex[Tensor, "n"]]:
        r"""Eigenvalues, and B and C in the basis of the eigenvectors V: :math:`V^{-1} B` and :math:`C V`.

        Raises:
            ValueError: the matrix has no full set of eigenvectors, or one so ill-conditioned that half of float64's
                digits are lost.
        """
        lam, V = torch.linalg.eig(self.A)
        condition = torch.linalg.cond(V).item()
        if not condition < _LARGEST_CONDITION:
            raise ValueError(
                f"the eigenvectors of A must have a condition number below {_LARGEST_CONDITION:.0e}, "
                f"got {condition:.1e}: it is defective or nearly so and has no diagonal form; use as_dense"
            )
        return lam, torch.linalg.solve(V, self.B.to(V.dtype)), self.C.to(V.dtype) @ V


def teacher(index: int, min_modulus: float = 0.0, max_angle: float = math.pi) -> System:
    r"""A stored teacher with its eigenvalues moved to a ring.

    A has independent N(0, 1/n) entries; each of its eigenvalues, of modulus r and angle :math:`\theta`, becomes one of
    modulus :math:`\nu_0 + (1 - \nu_0) \tanh r` and angle :math:`\theta \, \theta_0 / \pi`, and the real part of the
    product with the eigenvectors is taken. B and D are N(0, 1), C is N(0, 1/n). One index means the same draws
    whatever the other arguments.

    Args:
        index: which, 0 to ``TEACHERS - 1``.
        min_modulus: :math:`\nu_0`, in [0, 1).
        max_angle: :math:`\theta_0`, radians, in (0, pi].

    Returns:
        The system.

    Raises:
        ValueError: an argument is out of range.

    Source: Zucchet and Orvieto (2024), section 4 and appendix D; errata 5 and 6.
    """
    index = checks.whole(f"index (there are {TEACHERS} stored teachers)", index, 0, TEACHERS - 1)
    checks.within("min_modulus", min_modulus, "[0, 1)")
    checks.within("max_angle", max_angle, f"(0, {math.pi}]")
    draws = _stored()[index]
    lam, vectors = np.linalg.eig(draws["A"] / math.sqrt(_SIZE))
    modulus = min_modulus + (1 - min_modulus) * np.tanh(np.abs(lam))
    lam = modulus * np.exp(1j * np.angle(lam) * max_angle / math.pi)
    A = (vectors * lam @ np.linalg.inv(vectors)).real
    B, C, D = draws["B"][:, 0], draws["C"][0] / math.sqrt(_SIZE), draws["D"][0, 0]
    return System(*(torch.tensor(values) for values in (A, B, C, D)))


def draw_teacher(index: int) -> dict[str, np.ndarray]:
    """The standard normal draws of a teacher, from its own seed.

    Args:
        index: which, from 0.

    Returns:
        Arrays A, B, C, D.

    Raises:
        ValueError: index is negative or not whole.
    """
    index = checks.whole("index", index, 0)
    generator = np.random.Generator(np.random.PCG64([2024, index]))
    return {name: generator.standard_normal(shape) for name, shape in _SHAPES.items()}


@functools.cache
def _stored() -> list[dict[str, np.ndarray]]:
    teachers = [{name: np.full(shape, np.nan) for name, shape in _SHAPES.items()} for _ in range(TEACHERS)]
    for name in TEACHER_FILES:
        with (resources.files(__package__) / name).open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                array = teachers[int(line["teacher"])][line["array"]]
                array[int(line["row"]), int(line["column"])] = float(line["value"])
    return teachers


def conjugate_pairs(
    pairs: int = 2,
    min_modulus: float = 0.99,
    max_modulus: float = 0.993,
    *,
    generator: torch.Generator | None = None,
) -> System:
    r"""A random real system whose eigenvalues are conjugate pairs with long memories, as in Figures 4 and 9.

    Moduli are uniform in their range and angles uniform on the circle. The rows of the inverse eigenvector matrix are
    complex normal, in conjugate pairs; :math:`B_i, D \sim N(0, 1)` and :math:`C_i \sim N(0, 1/n)`.

    Args:
        pairs: number of pairs, n / 2, at least 1.
        min_modulus: smallest modulus.
        max_modulus: largest modulus, below 1.
        generator: source of randomness.

    Returns:
        The system.

    Raises:
        ValueError: an argument is out of range.

    Source: Zucchet and Orvieto (2024), Figure 4 and their code.
    """
    pairs = checks.whole("pairs", pairs)
    if not 0 <= min_modulus <= max_modulus < 1:
        raise ValueError(f"need 0 <= min_modulus <= max_modulus < 1, got {min_modulus} and {max_modulus}")

    def uniform() -> Tensor:
        return torch.rand(pairs, generator=generator, dtype=torch.float64)

    size = 2 * pairs
    half = torch.polar(min_modulus + (max_modulus - min_modulus) * uniform(), 2 * math.pi * uniform())
    rows = torch.randn(pairs, size, generator=generator, dtype=torch.complex128)
    lam, inverse = torch.cat([half, half.conj()]), torch.cat([rows, rows.conj()])
    A = torch.linalg.solve(inverse, lam[:, None] * inverse).real
    B, C = torch.randn(2, size, generator=generator, dtype=torch.float64)
    D = torch.randn((), generator=generator, dtype=torch.float64)
    return System(A, B, C / math.sqrt(size), D)


def as_dense(system: System) -> DenseRNN:
    """The system as a dense RNN: itself.

    Args:
        system: any.

    Returns:
        A layer in float64 with the system's outputs.
    """
    layer = DenseRNN(1, len(system.B), 1).double()
    weights = {"A": system.A[None], "B": system.B[:, None], "C": system.C[None], "D": system.D.view(1, 1)}
    layer.load_state_dict(weights)
    return layer


def as_diagonal(system: System) -> DiagonalRNN:
    """The system as a complex diagonal RNN without input scale.

    Args:
        system: any with a well-conditioned basis of eigenvectors.

    Returns:
        A layer in float64 with the system's outputs.

    Raises:
        ValueError: the eigenvectors are ill-conditioned, as those of a defective matrix.
    """
    lam, B, C = system.modes()
    return _filled(DiagonalRNN(1, len(lam), 1), B, C, system.D, lam=torch.view_as_real(lam))


def as_lru(system: System) -> LRU:
    r"""The system as an LRU, with :math:`\gamma = \sqrt{1 - |\lambda|^2}`.

    Args:
        system: as for :func:`as_diagonal`, with eigenvalues inside the unit circle and none at 0.

    Returns:
        A layer in float64 with the system's outputs.

    Raises:
        ValueError: the eigenvectors are ill-conditioned, or an eigenvalue is 0 or not inside the unit circle.
    """
    lam, B, C = system.modes()
    moduli = lam.abs()
    if not ((moduli > 0) & (moduli < 1)).all():
        modulus = moduli[~((moduli > 0) & (moduli < 1))][0].item()
        raise ValueError(f"eigenvalues of an LRU must have moduli in (0, 1), got {modulus}: use as_dense")
    layer, gamma = LRU(1, len(lam), 1), input_scale(lam)
    omega_nu, omega_theta = layer.parametrization.parameters(lam)
    raw = {"omega_nu": omega_nu, "omega_theta": omega_theta, "omega_gamma": gamma.log()}
    return _filled(layer, B / gamma, C, system.D, **raw)


def as_s4(system: System, step_size: float = 0.01) -> S4D:
    r"""The system as diagonal S4 with all step sizes equal. Angles are taken in :math:`[0, 2\pi)`, as in the paper.

    Args:
        system: as for :func:`as_diagonal`, with no eigenvalue at 0.
        step_size: :math:`\Delta`, in time steps, positive.

    Returns:
        A layer in float64 with the system's outputs.

    Raises:
        ValueError: the eigenvectors are ill-conditioned, an eigenvalue is 0, or the step size is not positive.
    """
    checks.within("step_size", step_size, "(0, inf)")
    lam, B, C = system.modes()
    if not (lam != 0).all():
        raise ValueError("eigenvalues of S4 must not be 0, whose logarithm is infinite: use as_dense or as_diagonal")
    rates = torch.stack([lam.abs().log(), lam.angle().remainder(2 * math.pi)], dim=-1) / step_size
    omega = torch.full((len(lam),), inverse_softplus(step_size), dtype=torch.float64)
    return _filled(S4D(1, len(lam), 1), B / step_size, C, system.D, A=rates, omega_delta=omega)


def _filled(layer, B: Tensor, C: Tensor, D: Tensor, **recurrence: Tensor):
    """The layer in float64 with these parameters."""
    weights = {"B": torch.view_as_real(B)[:, None], "C": torch.view_as_real(C)[None], "D": D.view(1, 1)}
    layer.double().load_state_dict(weights | recurrence)
    return layer
