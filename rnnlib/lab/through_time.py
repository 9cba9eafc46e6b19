r"""Networks around one recurrence, stacked and trained through time, for tasks on which no exact loss exists.

.. math:: u_t = B \, e(x_t), \quad h_t = f(A h_{t-1} + u_t), \quad y_t = g(C h_t + D \, e(x_t)).

A is a dense matrix, 2x2 blocks or an LRU's eigenvalues; f is the identity or tanh, of a complex state in each of its
parts; e and g are identities or small networks, the same for all three. An eigenvalue is a 2x2 block that turns and
shrinks, so that one engine runs them all: matrices have the shape (M, s, s, n), with n blocks of size s last. Row m of
everything belongs to member m, and no operation mixes members.

A linear recurrence of which only the last state is read goes through time in chunks, each the sum of
:math:`A^\tau B` over its inputs: that is what makes 500 steps cheap. All else goes step by step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from ..layers import LRU, DenseRNN
from ..parametrization import EXPONENTIAL
from . import checks
from .optimizers import RULES
from .protocol import Protocol

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["KINDS", "Network", "Realization", "Stack", "States", "kernel", "power"]

KINDS = ("dense", "block", "lru")


class Realization(NamedTuple):
    """A stack of linear systems.

    Attributes:
        A: blocks ``(M, s, s, n)``.
        B: input weights ``(M, s, n, in)``.
        C: output weights ``(M, s, n, out)``.
        D: skip weights ``(M, in, out)``.
    """

    A: Float[Tensor, "M s s n"]
    B: Float[Tensor, "M s n in"]
    C: Float[Tensor, "M s n out"]
    D: Float[Tensor, "M in out"]


@dataclass(frozen=True)
class Network:
    """What a network is made of. Its parameters are a dictionary of tensors, in a stack with a leading axis of members.

    Attributes:
        kind: of recurrence, one of ``KINDS``.
        units: real numbers in the state; even unless dense.
        inputs: size of x_t.
        outputs: size of y_t.
        features: e is linear with a bias, then rectified, to this size; 0 for the identity.
        width: g is a bias, GELU and a linear map, from this size; 0 for the identity.
        tanh: f is tanh.
        min_modulus: eigenvalues start on the ring between this modulus and 1.
        max_angle: with angles up to this, in units of pi.
        length: steps over which the start is normalised.

    Raises:
        ValueError: a field is out of range.
    """

    kind: str
    units: int
    inputs: int
    outputs: int
    features: int = 0
    width: int = 0
    tanh: bool = False
    min_modulus: float = 0.0
    max_angle: float = 1.0
    length: int = 100

    def __post_init__(self):
        checks.choice("kind", self.kind, KINDS)
        for name in ("units", "inputs", "outputs", "length"):
            checks.whole(name, getattr(self, name))
        for name in ("features", "width"):
            checks.whole(name, getattr(self, name), 0)
        if self.kind != "dense" and self.units % 2:
            raise ValueError(f"units must be even where blocks have size 2, got {self.units}")

    @property
    def recurrent(self) -> tuple[str, ...]:
        """Names of the recurrent parameters."""
        return LRU.recurrent_parameters if self.kind == "lru" else DenseRNN.recurrent_parameters

    def layer(self, generator: torch.Generator) -> DenseRNN | LRU:
        """The recurrence between its two maps as a layer of the library, at the start.

        Input and output weights are scaled so that states, and then outputs, have variance 1 on white inputs of
        ``length`` steps: no kind of network has the better scale.
        """
        sizes = self.features or self.inputs, self.units, self.width or self.outputs
        ring = {"min_modulus": self.min_modulus, "max_angle": math.pi * self.max_angle, "generator": generator}
        if self.kind == "lru":
            layer = LRU(sizes[0], self.units // 2, sizes[2], **ring)
        else:
            layer = DenseRNN(*sizes, heads=1 if self.kind == "dense" else self.units // 2, **ring)
        with torch.no_grad():
            for weights in (layer.B, layer.C):
                A, B, C, _ = self.realization({name: value[None] for name, value in layer.named_parameters()})
                K = kernel(A, B, self.length)
                response = K if weights is layer.B else torch.einsum("msno,msnk->mok", C, K)
                weights /= (response.square().sum() / response[..., 0].numel()).sqrt()
        return layer

    def draw(self, seed: int) -> dict[str, Tensor]:
        """The parameters of one network at the start, float32; e and g do not depend on the kind."""
        layer = self.layer(torch.Generator().manual_seed(seed))
        parameters = {name: value.detach() for name, value in layer.named_parameters()}
        generator = torch.Generator().manual_seed(1 << 30 | seed)
        if self.features:
            scale = math.sqrt(2 / self.inputs)
            weight = torch.randn(self.features, self.inputs, generator=generator) * scale
            parameters |= {"encoder.weight": weight, "encoder.bias": torch.zeros(self.features)}
        if self.width:
            weight = torch.randn(self.outputs, self.width, generator=generator) / math.sqrt(self.width)
            parameters |= {"bias": torch.zeros(self.width)}
            parameters |= {"head.weight": weight, "head.bias": torch.zeros(self.outputs)}
        return parameters

    def count(self) -> int:
        """How many parameters it has."""
        return sum(value.numel() for value in replace(self, length=1).draw(0).values())

    def realization(self, p: dict[str, Tensor]) -> Realization:
        """The linear system in the parameters of a stack."""
        if self.kind == "lru":
            lam = EXPONENTIAL.eigenvalues(p["omega_nu"], p["omega_theta"])
            B = p["B"] * p["omega_gamma"].exp()[..., None, None]
            A = torch.stack([torch.stack([lam.real, -lam.imag], 1), torch.stack([lam.imag, lam.real], 1)], 1)
            C = p["C"] * p["C"].new_tensor([1.0, -1.0])  # Re(C h) = Re C Re h - Im C Im h
            return Realization(A, B.movedim(-1, 1), C.movedim(1, -1).movedim(2, 1), p["D"].mT)
        blocks = p["A"].shape[1]
        return Realization(
            p["A"].permute(0, 2, 3, 1),
            p["B"].unflatten(1, (blocks, -1)).transpose(1, 2),
            p["C"].unflatten(2, (blocks, -1)).permute(0, 3, 2, 1),
            p["D"].mT,
        )

    def every(self, p: dict[str, Tensor], x: Float[Tensor, "T B in"]) -> Float[Tensor, "M T B out"]:
        """Outputs at every step."""
        A, B, C, D = self.realization(p)
        e = self._features(p, x)
        u = e.flatten(1, 2) @ B.flatten(1, 2).mT
        h = States.apply(A, u.unflatten(1, x.shape[:2]).unflatten(-1, B.shape[1:3]), self.tanh)
        y = h.flatten(3).flatten(1, 2) @ C.flatten(1, 2) + e.flatten(1, 2) @ D
        return self._read(p, y).unflatten(1, x.shape[:2])

    def last(self, p: dict[str, Tensor], x: Float[Tensor, "T B in"]) -> Float[Tensor, "M B out"]:
        """Outputs at the last step, of a linear recurrence."""
        A, B, C, D = self.realization(p)
        e = self._features(p, x)
        return self._read(p, self._state(A, B, e).flatten(1, 2).mT @ C.flatten(1, 2) + e[:, -1] @ D)

    def recalled(
        self, p: dict[str, Tensor], x: Float[Tensor, "T B in"], delay: int, count: int
    ) -> Float[Tensor, "M count*B out"]:
        """Outputs of a linear recurrence at ``count`` steps, the first of which comes ``delay`` steps after the last of
        x; inputs and features of all steps after x are zero."""
        A, B, C, _ = self.realization(p)
        states, onwards = [self._state(A, B, self._features(p, x))], power(A, delay)
        for _ in range(count):
            states.append(_product(onwards, states[-1]))
            onwards = A
        return self._read(p, torch.cat(states[1:], -1).flatten(1, 2).mT @ C.flatten(1, 2))

    def _state(self, A: Tensor, B: Tensor, e: Float[Tensor, "M T B in"]) -> Float[Tensor, "M s n B"]:
        """The state after the last step, chunk after chunk."""
        if self.tanh:
            raise ValueError("a recurrence with tanh has no powers: read its outputs at every step")
        members, length, batch, size = e.shape
        steps = min(length, 1 << round(math.log2(length * batch / size) / 2))  # a chunk's, for which work is least
        chunks = -(-length // steps)
        e = functional.pad(e, (0, 0, 0, 0, chunks * steps - length, 0)).unflatten(1, (chunks, steps))
        past = e.permute(0, 2, 4, 1, 3).reshape(members, steps * size, chunks * batch)
        K = kernel(A, B, steps)
        latest_last = K.unflatten(-1, (steps, size)).flip(-2).flatten(3).flatten(1, 2)
        sums = (latest_last @ past).unflatten(1, K.shape[1:3]).unflatten(-1, (chunks, batch)).unbind(-2)
        state, onwards = sums[0], power(A, steps)
        for chunk in sums[1:]:
            state = _product(onwards, state) + chunk
        return state

    def _features(self, p: dict[str, Tensor], x: Float[Tensor, "T B in"]) -> Float[Tensor, "M T B features"]:
        if not self.features:
            return x.expand(len(p["D"]), -1, -1, -1)
        e = x.flatten(0, 1) @ p["encoder.weight"].mT + p["encoder.bias"][:, None]
        return torch.relu(e).unflatten(1, x.shape[:2])

    def _read(self, p: dict[str, Tensor], y: Float[Tensor, "M B width"]) -> Float[Tensor, "M B out"]:
        if not self.width:
            return y
        return functional.gelu(y + p["bias"][:, None]) @ p["head.weight"].mT + p["head.bias"][:, None]


def kernel(A: Float[Tensor, "M s s n"], B: Float[Tensor, "M s n in"], length: int) -> Float[Tensor, "M s n length*in"]:
    r"""States after unit impulses, :math:`A^\tau B` for :math:`\tau = 0, 1, \dots`, lag after lag in the last axis.

    Known lags give as many new ones at once, by a power of A that is squared each time.
    """
    K, lags = B, 1
    while lags < length:
        new = min(lags, length - lags)
        K = torch.cat([K, _product(A, K[..., : new * B.shape[-1]])], dim=-1)
        lags += new
        if lags < length:
            A = _composed(A, A)
    return K


def power(A: Float[Tensor, "M s s n"], exponent: int) -> Float[Tensor, "M s s n"]:
    """Blocks to a whole power of at least 1, by repeated squaring."""
    result, exponent = None, checks.whole("exponent", exponent)
    while exponent:
        if exponent % 2:
            result = A if result is None else _composed(result, A)
        exponent //= 2
        if exponent:
            A = _composed(A, A)
    return result


def _composed(left: Float[Tensor, "M s s n"], right: Float[Tensor, "M s s n"]) -> Float[Tensor, "M s s n"]:
    return _product(left, right.movedim(-1, 2)).movedim(2, -1)


def _product(A: Float[Tensor, "M s s n"], K: Float[Tensor, "M s n k"]) -> Float[Tensor, "M s n k"]:
    if A.shape[3] == 1:
        return (A[..., 0] @ K[:, :, 0])[:, :, None]
    return sum(A[:, :, j, :, None] * K[:, None, j] for j in range(A.shape[2]))


class States(torch.autograd.Function):
    r"""States of :math:`h_t = f(A h_{t-1} + u_t)` from zero, step by step.

    ``States.apply(A, u, tanh)`` takes blocks ``(M, s, s, n)`` and drives ``(M, T, B, s, n)`` and returns states as the
    drives. The gradient of A is summed over time at the end, in one product: automatic differentiation through each
    step would add it up step by step.
    """

    @staticmethod
    def forward(ctx, A, u, tanh):
        h = u.clone(memory_format=torch.contiguous_format)
        for t in range(h.shape[1]):
            if t:
                _add_product(h[:, t], A, h[:, t - 1])
            if tanh:
                h[:, t].tanh_()
        ctx.save_for_backward(A, h)
        ctx.tanh = tanh
        return h

    @staticmethod
    def backward(ctx, gradient):
        A, h = ctx.saved_tensors
        back, slope = A.transpose(1, 2), 1 - h * h if ctx.tanh else None
        delta, steps = gradient.clone(memory_format=torch.contiguous_format), h.shape[1]
        for t in range(steps - 1, -1, -1):
            if t < steps - 1:
                _add_product(delta[:, t], back, delta[:, t + 1])
            if ctx.tanh:
                delta[:, t] *= slope[:, t]
        after, before = delta[:, 1:].flatten(1, 2), h[:, :-1].flatten(1, 2)  # (M, TB, s, n)
        if A.shape[3] == 1:
            return (after[..., 0].mT @ before[..., 0])[..., None], delta, None
        pairs = [(after[:, :, i] * before[:, :, j]).sum(1) for i in range(A.shape[1]) for j in range(A.shape[2])]
        return torch.stack(pairs, 1).view_as(A), delta, None


def _add_product(to: Float[Tensor, "M B s n"], A: Float[Tensor, "M s s n"], h: Float[Tensor, "M B s n"]) -> None:
    """Add A h, in place."""
    if A.shape[3] == 1:
        to[..., 0].baddbmm_(h[..., 0], A[..., 0].mT)
        return
    for j in range(A.shape[2]):
        to.addcmul_(A[:, None, :, j], h[:, :, j, None])


class Stack:
    """Networks that start from the same parameters and see the same data, each with rates of its own.

    Args:
        network: what they are.
        seed: of the start.
        rates: of each member, of recurrent and of other parameters.
        protocol: optimiser, schedule of rates and number of steps.
        device: where.

    Attributes:
        parameters: by name, with a leading axis of members.
    """

    def __init__(
        self,
        network: Network,
        seed: int,
        rates: Sequence[tuple[float, float]],
        protocol: Protocol,
        device: torch.device | str = "cpu",
    ):
        self.protocol = protocol
        self.parameters = {
            name: value.to(device).expand(len(rates), *value.shape).clone().requires_grad_()
            for name, value in network.draw(seed).items()
        }
        of_recurrent, of_others = torch.tensor(rates, dtype=torch.float32, device=device).T
        recurrent, other = RULES[protocol.optimizer]
        self.rates, self.rules = [], []
        for name, value in self.parameters.items():
            own = name in network.recurrent
            self.rates.append((of_recurrent if own else of_others).view(-1, *[1] * (value.ndim - 1)))
            self.rules.append((recurrent if own else other)(value.detach(), protocol))

    def step(self, number: int, losses: Callable[[dict[str, Tensor]], Float[Tensor, "M"]]) -> Float[Tensor, "M"]:
        """Move all members by the ``number``-th step, counted from 0.

        Args:
            number: which.
            losses: of all members, from their parameters.

        Returns:
            Their losses before the step.
        """
        values, loss = list(self.parameters.values()), losses(self.parameters)
        gradients = torch.autograd.grad(loss.sum(), values, materialize_grads=True)  # recalling has no use for D
        with torch.no_grad():
            for rule, value, gradient, rate in zip(self.rules, values, gradients, self.rates, strict=True):
                rule.step(value, gradient, self.protocol.rate(rate, number), number)
        return loss.detach()
