r"""One eigenvalue in eleven parametrisations of its angle: how sharp its loss is at the optimum, and what Adam reaches.

As in Figure 7 a unit :math:`\lambda = \nu e^{i\theta}` imitates one with :math:`\lambda^*`, white inputs, input scale
:math:`\gamma`, exact loss. Raw parameters are a (modulus), b (angle) and, where a layer has one, d (step); where
nothing else is said the modulus is :math:`\tanh a`, as there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

from ..layers import LRU
from ..parametrization import EXPONENTIAL, OPTIMAL, POLAR, Parametrization

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    #: Raw parameters a, b, d along the first axis to moduli and angles.
    Map = Callable[[Tensor], tuple[Tensor, Tensor]]

BETAS, EPS = (0.9, 0.999), 1e-8
#: Memories and angles between which exponents are measured; the other of the two is fixed.
MEMORIES, SMALL_ANGLES = (1e3, 1e4), (0.03, 0.1)
FIXED_MEMORY, FIXED_ANGLE = 1e4, math.pi / 4


@dataclass(frozen=True)
class Angle:
    r"""A parametrisation of the angle, or a rule for its steps.

    Attributes:
        label: how pages call it.
        formula: the angle, in LaTeX.
        eigenvalue: raw parameters ``(P, *S)`` to modulus and angle.
        raw: modulus and angle in (0, pi) to raw parameters, as the model starts.
        raw_angle: which raw parameter is the angle's.
        along: expected exponents of the curvature along it, of memory and of a small angle.
        through: those of what turning adds along other raw parameters; None where they do not turn the eigenvalue.
        top: expected exponent of memory of the largest curvature in any direction.
        held: the modulus is held constant where it multiplies b: the steps follow no gradient of the loss.
        scaled: the gradient by the angle and Adam's step of it are both multiplied by
            :math:`(1 - \nu^2) / (\nu \sqrt{1 + \nu^2})`: a rule for steps, not a parametrisation.
    """

    label: str
    formula: str
    eigenvalue: Map
    raw: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    along: tuple[float, float]
    through: tuple[float, float] | None
    top: float
    raw_angle: int = field(default=1, kw_only=True)
    held: bool = field(default=False, kw_only=True)
    scaled: bool = field(default=False, kw_only=True)

    @property
    def is_parametrization(self) -> bool:
        """Whether its steps follow the gradient of a loss by raw parameters."""
        return not (self.held or self.scaled)


def stretch(nu: Tensor) -> Tensor:
    """What the optimal parametrisation multiplies the raw angle by."""
    return (1 - nu**2) / (nu * (1 + nu**2).sqrt())


def _inverse_softplus(value: Tensor) -> Tensor:
    return torch.log(torch.expm1(value))


def _optimal(raw: Tensor) -> tuple[Tensor, Tensor]:
    nu = raw[0].tanh()
    return nu, raw[1] * stretch(nu)


def _held(raw: Tensor) -> tuple[Tensor, Tensor]:
    nu = raw[0].tanh()
    return nu, raw[1] * stretch(nu.detach())


def _cayley(raw: Tensor) -> tuple[Tensor, Tensor]:
    z = torch.complex(raw[0].exp(), -raw[1])
    lam = (1 - z) / (1 + z)
    return lam.abs(), lam.angle()


def _raw_of_cayley(nu: Tensor, theta: Tensor) -> tuple[Tensor, ...]:
    lam = torch.polar(nu, theta)
    z = (1 - lam) / (1 + lam)
    return z.real.log(), -z.imag


def _step(raw: Tensor) -> tuple[Tensor, Tensor]:
    """S4: a step times an exponential decay and a plain angle."""
    step = raw[2].exp()
    return torch.exp(-step * raw[0].exp()), step * raw[1]


def _raw_of_step(nu: Tensor, theta: Tensor) -> tuple[Tensor, ...]:
    step = -nu.log() / 0.5  # S4D starts at a decay of one half
    return torch.full_like(nu, math.log(0.5)), theta / step, step.log()


def _mamba3(raw: Tensor) -> tuple[Tensor, Tensor]:
    step = softplus(raw[2])
    return torch.exp(-step * softplus(raw[0])), math.pi * raw[1].tanh() * step


def _raw_of_mamba3(nu: Tensor, theta: Tensor) -> tuple[Tensor, ...]:
    step = theta / (math.pi * math.tanh(0.5))  # the bounded angle in the middle of its range
    return _inverse_softplus(-nu.log() / step), torch.full_like(nu, 0.5), _inverse_softplus(step)


def _oscillator(raw: Tensor) -> tuple[Tensor, Tensor]:
    """Damped LinOSS: damping a, stiffness b, between bounds within which it oscillates, and a step."""
    step, damping = raw[2].sigmoid(), raw[0].relu()
    total = 1 + step * damping
    root = total.sqrt()
    low, high = ((1 + sign * root) ** 2 / step**2 for sign in (-1, 1))
    stiffness = low + (raw[1] - low).relu() - (raw[1] - high).relu()
    cos = (1 + total - step**2 * stiffness) / (2 * root)
    return total**-0.5, torch.acos(cos.clamp(-1 + 1e-12, 1 - 1e-12))  # at its ends the slope is infinite


def _raw_of_oscillator(nu: Tensor, theta: Tensor) -> tuple[Tensor, ...]:
    total, step = nu**-2, 0.5
    return (total - 1) / step, (1 + total - 2 * total.sqrt() * theta.cos()) / step**2, torch.zeros_like(nu)


def _rectangular(raw: Tensor) -> tuple[Tensor, Tensor]:
    """The square of the modulus solves (r (1 - q))^2 = q (1 + q)."""
    square = raw[0] ** 2 + raw[1] ** 2
    return (2 * square / (2 * square + 1 + (8 * square + 1).sqrt())).sqrt(), torch.atan2(raw[1], raw[0])


#: By name. Exponents were written down before they were measured.
ANGLES: dict[str, Angle] = {
    "polar": Angle("polar", r"b", lambda raw: (raw[0].tanh(), raw[1]), lambda nu, t: (nu.atanh(), t), (2, 0), None, 2),
    "exponential": Angle(
        "exponential (LRU)",
        r"e^b",
        lambda raw: (raw[0].tanh(), raw[1].exp()),
        lambda nu, t: (nu.atanh(), t.log()),
        (2, 2),
        None,
        2,
    ),
    "half-angle": Angle(
        "tangent of half the angle",
        r"2 \arctan b",
        lambda raw: (raw[0].tanh(), 2 * raw[1].atan()),
        lambda nu, t: (nu.atanh(), (t / 2).tan()),
        (2, 0),
        None,
        2,
    ),
    "cayley": Angle(
        "Cayley",
        r"\arg \frac{1 - z}{1 + z},\ z = e^a - ib",
        _cayley,
        _raw_of_cayley,
        (2, 0),
        (-2, 2),
        2,
    ),
    "step": Angle("times the step (S4)", r"b e^d", _step, _raw_of_step, (0, 0), (2, 2), 2),
    "mamba3": Angle(
        "times the step (Mamba-3)",
        r"\pi \tanh b \cdot \mathrm{softplus}(d)",
        _mamba3,
        _raw_of_mamba3,
        (2, 2),
        (2, 2),
        2,
    ),
    "oscillator": Angle(
        "oscillator (LinOSS)",
        r"\arccos \frac{1 + \nu^2 (1 - \Delta^2 b)}{2 \nu},\ \Delta = \sigma(d)",
        _oscillator,
        _raw_of_oscillator,
        (2, -2),
        (2, 2),
        2,
    ),
    "optimal": Angle(
        "optimal",
        r"b\,\frac{1 - \nu^2}{\nu \sqrt{1 + \nu^2}}",
        _optimal,
        lambda nu, t: (nu.atanh(), t / stretch(nu)),
        (0, 0),
        (2, 2),
        2,
    ),
    "rectangular": Angle(
        "rectangular",
        r"\arg(a + ib),\ \lvert a + ib \rvert = \frac{\nu \sqrt{1 + \nu^2}}{1 - \nu^2}",
        _rectangular,
        lambda nu, t: (t.cos() / stretch(nu), t.sin() / stretch(nu)),
        (0, 0),
        None,
        0,
    ),
    "held": Angle(
        "optimal, modulus held",
        r"b\,\frac{1 - \nu^2}{\nu \sqrt{1 + \nu^2}},\ \nu \text{ held}",
        _held,
        lambda nu, t: (nu.atanh(), t / stretch(nu)),
        (0, 0),
        None,
        0,
        held=True,
    ),
    "scaled": Angle(
        "polar, steps scaled",
        r"b",
        lambda raw: (raw[0].tanh(), raw[1]),
        lambda nu, t: (nu.atanh(), t),
        (0, 0),
        None,
        0,
        scaled=True,
    ),
}


def loss(nu: Tensor, theta: Tensor, nu_star: Tensor, theta_star: Tensor) -> Tensor:
    r""":func:`rnnlib.theory.one_dimensional_loss` with the input scale, in real numbers.

    Args:
        nu, theta: of the student.
        nu_star, theta_star: of the teacher.
    """
    product, cos = nu * nu_star, torch.cos(theta - theta_star)
    overlap = (1 - product * cos) / (1 - 2 * product * cos + product**2)
    return 1 - ((1 - nu**2) * (1 - nu_star**2)).sqrt() * overlap


def hessian(name: str, memory: float, angle: float) -> np.ndarray:
    r"""Hessian of the loss by raw parameters at an optimum, by automatic differentiation.

    Args:
        name: a key of :data:`ANGLES`.
        memory: :math:`1 / (1 - \nu)`, in steps.
        angle: radians, in (0, pi).

    Returns:
        Array ``(P, P)``. With the modulus held it is the derivative of what stands for the gradient; with scaled steps
        the gradient and the steps are in scaled units.
    """
    entry, nu, theta = ANGLES[name], *_at(memory, angle)
    point = torch.stack(entry.raw(nu, theta))
    unit = torch.ones_like(point)
    if entry.scaled:
        unit[1] = stretch(nu)

    if entry.held:  # the steps' direction is held, where it is taken is not
        along, moved = (_jacobian(kind, point) for kind in (_held, _optimal))
        return (along.T @ _in_polar(nu, theta) @ moved).numpy()

    def gradient(raw: Tensor) -> Tensor:
        return torch.func.grad(lambda raw: loss(*entry.eigenvalue(raw), nu, theta))(raw) * unit

    return (torch.func.jacfwd(gradient)(point) * unit).numpy()


def _jacobian(eigenvalue: Map, point: Tensor) -> Tensor:
    return torch.stack(torch.func.jacfwd(eigenvalue)(point))


def _in_polar(nu: Tensor, theta: Tensor) -> Tensor:
    """Hessian by modulus and angle at the optimum."""
    gradient = torch.func.grad(lambda at: loss(*at, nu, theta))
    return torch.func.jacfwd(gradient)(torch.stack([nu, theta]))


def _at(memory: float, angle: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(1 - 1 / memory, dtype=torch.float64), torch.tensor(angle, dtype=torch.float64)


def curvatures(name: str, memory: float, angle: float) -> dict[str, float]:
    """What the Hessian says: along the raw angle, what turning adds along the others, and the largest eigenvalue.

    Args:
        name, memory, angle: as of :func:`hessian`.

    Returns:
        "along", "through" (the largest of the others; 0 where they do not turn the eigenvalue) and "top". In the
        rectangular parametrisation raw parameters are turned to the radius ("through") and across it ("along").
    """
    entry, H = ANGLES[name], hessian(name, memory, angle)
    nu, theta = _at(memory, angle)
    slopes = _jacobian(entry.eigenvalue, torch.stack(entry.raw(nu, theta)))[1].numpy()
    if name == "rectangular":
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        H, slopes = turn.T @ H @ turn, turn.T @ slopes
    others = np.delete(slopes, entry.raw_angle)
    through = float(_in_polar(nu, theta)[1, 1]) * float(max(others**2))
    along = float(H[entry.raw_angle, entry.raw_angle])
    return {"along": along, "through": through, "top": float(np.linalg.eigvals(H).real.max())}


def exponents() -> pd.DataFrame:
    """Expected and measured exponents, of memory at an angle of pi/4 and of small angles at a memory of 10,000.

    Returns:
        Columns angle (the name), quantity ("along", "through", "top"), of ("memory" or "angle"), expected, measured.
    """
    import pandas as pd

    rows = []
    for name, entry in ANGLES.items():
        by_memory = [curvatures(name, memory, FIXED_ANGLE) for memory in MEMORIES]
        by_angle = [curvatures(name, FIXED_MEMORY, angle) for angle in SMALL_ANGLES]
        expected = {"along": entry.along, "through": entry.through, "top": (entry.top,)}
        for quantity, powers in expected.items():
            cases = (("memory", by_memory, MEMORIES), ("angle", by_angle, SMALL_ANGLES))
            for power, (of, found, points) in zip(powers or (), cases, strict=False):
                ratio = math.log(found[1][quantity] / found[0][quantity])
                rows.append((name, quantity, of, power, ratio / math.log(points[1] / points[0])))
    return pd.DataFrame(rows, columns=["angle", "quantity", "of", "expected", "measured"])


@dataclass(frozen=True)
class Outcome:
    """What came of many runs, arrays of their common shape.

    Attributes:
        first: the loss before the first step.
        last: the largest loss in the last tenth of the steps; NaN where a run was lost.
        reached: steps before the loss was a hundredth of the first; NaN if it never was.
    """

    first: np.ndarray
    last: np.ndarray
    reached: np.ndarray


def train(
    name: str,
    start: tuple[Tensor, Tensor],
    star: tuple[Tensor, Tensor],
    rate: Tensor,
    steps: int,
) -> Outcome:
    """Adam at a constant rate on many pairs of student and teacher at once.

    Args:
        name: a key of :data:`ANGLES`.
        start: moduli and angles in (0, pi) of the students, float64, of one shape.
        star: those of the teachers.
        rate: of each run.
        steps: how many.

    Returns:
        Losses and steps.
    """
    first = loss(*start, *star)
    last, reached = torch.zeros_like(first), torch.full_like(first, math.nan)
    for step, (_, _, losses) in enumerate(_descend(name, start, star, rate, steps)):
        reached = torch.where(reached.isnan() & (losses <= 0.01 * first), float(step), reached)
        if step + 1 > 0.9 * steps:
            last = torch.maximum(last, losses)  # NaN stays
    return Outcome(first.numpy(), last.numpy(), reached.numpy())


def path(name: str, start: complex, star: complex, rate: float, steps: int) -> np.ndarray:
    """Where :func:`train` takes one eigenvalue.

    Args:
        name: a key of :data:`ANGLES`.
        start: the student's first eigenvalue, angle in (0, pi).
        star: the teacher's, likewise.
        rate: of Adam.
        steps: how many.

    Returns:
        Array ``(steps, 2)`` of moduli and angles before each step; angles are not wrapped.
    """

    def polar(lam: complex) -> tuple[Tensor, Tensor]:
        return torch.tensor([abs(lam)], dtype=torch.float64), torch.tensor([np.angle(lam)], dtype=torch.float64)

    found = _descend(name, polar(start), polar(star), torch.tensor([rate], dtype=torch.float64), steps)
    return np.array([(nu.item(), theta.item()) for nu, theta, _ in found])


def _descend(
    name: str, start: tuple[Tensor, Tensor], star: tuple[Tensor, Tensor], rate: Tensor, steps: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Moduli, angles and losses before each step of Adam."""
    entry = ANGLES[name]
    raw = torch.stack(entry.raw(*start))
    mean, square, unit = torch.zeros_like(raw), torch.zeros_like(raw), torch.ones_like(raw)
    for step in range(1, steps + 1):
        raw.requires_grad_(True)
        nu, theta = entry.eigenvalue(raw)
        losses = loss(nu, theta, *star)
        (gradient,) = torch.autograd.grad(losses.sum(), raw)
        raw = raw.detach()
        yield nu.detach(), theta.detach(), losses.detach()
        if entry.scaled:
            unit[1] = stretch(nu.detach())
        gradient = gradient * unit
        mean += (1 - BETAS[0]) * (gradient - mean)
        square += (1 - BETAS[1]) * (gradient**2 - square)
        update = mean / (1 - BETAS[0] ** step) / ((square / (1 - BETAS[1] ** step)).sqrt() + EPS)
        raw = raw - rate * update * unit


# Students of the teacher-student task: LRUs with other angles ---------------------------------------------------------


def _half_angle(omega: Tensor, nu: Tensor) -> Tensor:
    return 2 * omega.atan()


def _half_angle_inverse(theta: Tensor, nu: Tensor) -> Tensor:
    return torch.tan(torch.remainder(theta + math.pi, 2 * math.pi) / 2 - math.pi / 2)


def _lru_with(name: str, angle: Callable, inverse: Callable) -> Parametrization:
    return Parametrization(name, EXPONENTIAL.modulus, EXPONENTIAL.modulus_inverse, angle, inverse)


#: The exponential modulus with other angles; the optimal one holds the modulus, as the library does.
POLAR_ANGLE = _lru_with("exponential modulus, polar angle", POLAR.angle, POLAR.angle_inverse)
HALF_ANGLE = _lru_with("exponential modulus, half-angle", _half_angle, _half_angle_inverse)
OPTIMAL_ANGLE = _lru_with("exponential modulus, optimal angle", OPTIMAL.angle, OPTIMAL.angle_inverse)


class LRUWithAngle(LRU):
    """An LRU whose raw parameters are those of an entry of :data:`ANGLES`, the same at the start in all else."""

    name: ClassVar[str]

    @torch.no_grad()
    def _reset_recurrence(self, generator: torch.Generator | None) -> None:
        super()._reset_recurrence(generator)  # the same ring and input scale
        lam = super().eigenvalues().to(torch.complex128)
        for name, value in zip(self.recurrent_parameters, self._raw(lam), strict=True):
            if getattr(self, name, None) is None:  # a third one
                setattr(self, name, nn.Parameter(torch.empty_like(self.omega_nu)))
            getattr(self, name).copy_(value)

    def _raw(self, lam: Tensor) -> tuple[Tensor, ...]:
        return ANGLES[self.name].raw(lam.abs(), lam.angle())

    def eigenvalues(self) -> Tensor:
        # In double precision: an arc cosine near 1 has half its digits.
        raw = torch.stack([getattr(self, name) for name in self.recurrent_parameters])
        lam = torch.polar(*ANGLES[self.name].eigenvalue(raw.double()))
        return lam.to(torch.complex128 if raw.dtype == torch.float64 else torch.complex64)


class RectangularLRU(LRUWithAngle):
    name = "rectangular"


class CayleyLRU(LRUWithAngle):
    name = "cayley"


class Mamba3LRU(LRUWithAngle):
    name = "mamba3"
    recurrent_parameters = ("omega_nu", "omega_theta", "omega_delta")

    def _raw(self, lam: Tensor) -> tuple[Tensor, ...]:
        modulus, angle, step = ANGLES[self.name].raw(lam.abs(), lam.angle().abs())
        return modulus, angle * lam.angle().sign(), step


class OscillatorLRU(LRUWithAngle):
    """Its angles are positive. A unit whose angle would be negative starts as its conjugate, with the same outputs."""

    name = "oscillator"
    recurrent_parameters = ("omega_nu", "omega_theta", "omega_delta")

    def _raw(self, lam: Tensor) -> tuple[Tensor, ...]:
        sign = lam.angle().sign()
        self.B[..., 1] *= sign[:, None]
        self.C[..., 1] *= sign
        return ANGLES[self.name].raw(lam.abs(), lam.angle().abs())
