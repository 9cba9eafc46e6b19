r"""Rules for one parameter of a stack of students, such as Adam's.

g is the gradient, :math:`\eta` the rate, t counts steps from 1, and everything starts from zero. Powers, roots and
quotients are of single numbers; products too, unless a rule says that its parameter is a matrix.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..protocol import Protocol

_CHUNK = 1 << 16  # numbers that Adam goes through at a time: they stay in a core's cache


class Rule:
    """How one parameter ``(M, ...)`` of a stack moves.

    Args:
        value: the parameter; only its shape, dtype and device are used.
        protocol: whose numbers the rule takes.

    Attributes:
        state: all that the rule remembers, tensors with a leading axis of members.
    """

    def __init__(self, value: Tensor, protocol: Protocol):
        self.protocol, self.state = protocol, [torch.zeros_like(value)]

    def step(self, value: Tensor, gradient: Tensor, rates: Tensor, number: int) -> None:
        """Change ``value`` by the ``number``-th step, counted from 0; ``rates`` (M, 1, ...) has as many axes."""
        raise NotImplementedError

    def effective_rates(self, rates: Float[Tensor, "M 1"], number: int) -> Float[Tensor, "2 M P"]:
        """As of an optimiser; NaN but for Adam."""
        return torch.full_like(self.state[0].flatten(1), math.nan).expand(2, -1, -1)


class SGD(Rule):
    r"""Gradient descent with momentum: :math:`m \leftarrow \beta_1 m + g, \; \theta \leftarrow \theta - \eta m`.

    Source: Polyak (1964), as torch.optim.SGD has it.
    """

    def step(self, value, gradient, rates, number):
        (m,) = self.state
        m.mul_(self.protocol.beta1).add_(gradient)
        value.addcmul_(m, rates, value=-1)


class Sign(Rule):
    r"""Sign descent with momentum: :math:`m \leftarrow \beta_1 m + (1 - \beta_1) g, \;
    \theta \leftarrow \theta - \eta \, \mathrm{sign}(m)`.

    Adam without its second moment, and Lion (Chen et al. 2023) with one coefficient for both of its averages.

    Source: Bernstein et al. (2018), Signum.
    """

    def step(self, value, gradient, rates, number):
        (m,) = self.state
        m.lerp_(gradient, 1 - self.protocol.beta1)
        value.addcmul_(m.sign(), rates, value=-1)


class Adam(Rule):
    r"""Adam,

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
              \theta \leftarrow \theta - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}.

    Stored results depend on the order of its operations.

    Source: Kingma and Ba (2015).
    """

    def __init__(self, value, protocol):
        super().__init__(value, protocol)
        self.state.append(torch.zeros_like(value))

    def step(self, value, gradient, rates, number):
        p, (first, second) = self.protocol, self.state
        corrected = math.sqrt(1 - p.beta2 ** (number + 1))
        rates = rates * (corrected / (1 - p.beta1 ** (number + 1)))
        rows = max(1, _CHUNK // value[0].numel()) if value.device.type == "cpu" else len(value)
        for start in range(0, len(value), rows):
            part = slice(start, start + rows)
            m, v, g = first[part], second[part], gradient[part]
            m.lerp_(g, 1 - p.beta1)
            v.mul_(p.beta2).addcmul_(g, g, value=1 - p.beta2)
            value[part].addcmul_(m / v.sqrt().add_(p.eps * corrected), rates[part], value=-1)

    def effective_rates(self, rates, number):
        p, done, (m, v) = self.protocol, number + 1, (value.flatten(1) for value in self.state)
        next_m = (p.beta1 * m + (1 - p.beta1)) / (1 - p.beta1 ** (done + 1))
        next_v = (p.beta2 * v + (1 - p.beta2)) / (1 - p.beta2 ** (done + 1))
        plain = (v / (1 - p.beta2**done)).sqrt() + p.eps
        return torch.stack([rates * next_m / (next_v.sqrt() + p.eps), rates / plain])


class Muon(Rule):
    r"""Momentum with its singular values made one, for a matrix,

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
              \theta \leftarrow \theta - \eta \, O(\beta_1 m + (1 - \beta_1) g), \quad
              O(U \Sigma V^\top) \approx U V^\top ,

    by five steps of a polynomial that leaves singular values between .7 and 1.2, in the parameter's own precision.
    Of a diagonal recurrence each unit is a matrix of its own (:func:`matrices`): O is the phase of a complex number and
    the sign of a real one.

    Source: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon, as torch.optim.Muon has it.
    """

    def step(self, value, gradient, rates, number):
        (m,) = self.state
        m.lerp_(gradient, 1 - self.protocol.beta1)
        update = orthogonalized(matrices(gradient.lerp(m, self.protocol.beta1)))
        value.addcmul_(update.view_as(value), rates, value=-1)


class SOAP(Adam):
    r"""Adam in the eigenbasis of Shampoo's two factors, for a matrix,

    .. math:: L \leftarrow \beta_2 L + (1 - \beta_2) g g^\top = U \Lambda U^\top, \quad
              R \leftarrow \beta_2 R + (1 - \beta_2) g^\top g = V \Lambda' V^\top ,

    with U and V computed anew in every tenth step. v averages the squares of :math:`U^\top g V`, the update is
    :math:`U \, [\, U^\top m V / (\sqrt{v} + \epsilon) \,] \, V^\top`, and biases are corrected as in Adam.

    Source: Vyas et al. (2024), arXiv 2409.11321, with eigenvectors where they take a step of QR.
    """

    EVERY = 10

    def __init__(self, value, protocol):
        super().__init__(value, protocol)
        members, units, rows, columns = matrices(value).shape
        self.state += [value.new_zeros(members, units, size, size) for size in (rows, columns) * 2]

    def step(self, value, gradient, rates, number):
        p, (m, v, L, R, U, V) = self.protocol, self.state
        g = matrices(gradient)
        L.lerp_(g @ g.mT, 1 - p.beta2)
        R.lerp_(g.mT @ g, 1 - p.beta2)
        if number % self.EVERY == 0:
            for factor, basis in ((L, U), (R, V)):  # of a member that has diverged there are no eigenvectors
                basis.copy_(torch.linalg.eigh(factor.nan_to_num(0, 0, 0))[1])
        m.lerp_(gradient, 1 - p.beta1)
        turned = (U.mT @ g @ V).view_as(value)
        v.mul_(p.beta2).addcmul_(turned, turned, value=1 - p.beta2)
        root = (v / (1 - p.beta2 ** (number + 1))).sqrt() + p.eps
        update = U @ (U.mT @ matrices(m) @ V / matrices(root)) @ V.mT
        value.addcmul_(update.view_as(value), rates, value=-1 / (1 - p.beta1 ** (number + 1)))

    effective_rates = Rule.effective_rates


def matrices(value: Tensor) -> Float[Tensor, "M units rows columns"]:
    """A recurrent parameter as matrices: blocks as they are, a complex number as a row of two, a real one as itself."""
    return value if value.ndim == 4 else value[:, :, None] if value.ndim == 3 else value[:, :, None, None]


def orthogonalized(g: Float[Tensor, "*S n m"]) -> Float[Tensor, "*S n m"]:
    """Matrices with singular values near one, and the singular vectors of those given, none with more rows than
    columns."""
    X = g.flatten(0, -3)
    X = X / torch.linalg.matrix_norm(X, keepdim=True).clamp(min=1e-30)
    for _ in range(5 if X.shape[1] > 1 else 0):  # of one row the norm is the singular value
        square = X @ X.mT
        X = torch.baddbmm(X, torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315), X, beta=3.4445)
    return X.view_as(g)


#: The rule of recurrent parameters and that of all others.
RULES: dict[str, tuple[type[Rule], type[Rule]]] = {
    "adam": (Adam, Adam),
    "sgd": (SGD, SGD),
    "sign": (Sign, Sign),
    "soap": (SOAP, Adam),
    "muon": (Muon, Adam),
}
