r"""How sharp the loss of one unit is along the angle, in the parametrisations that models use.

With the input scale :math:`\gamma` and white inputs, the loss has the curvature :math:`1 / (1 - \nu^2)^2` along the
modulus and :math:`c = \nu^2 (1 + \nu^2) / (1 - \nu^2)^2` along the angle, without a mixed term
(:func:`one_dimensional_curvature`). Raw parameters :math:`\omega` that move both have, at an optimum, the Hessian
:math:`J^\top \mathrm{diag}(1 / (1 - \nu^2)^2, c) \, J` with :math:`J = \partial(\nu, \theta) / \partial\omega`.
"""

from __future__ import annotations

import numpy as np
import torch

from .domains import alike, checked, finite, tensors
from .losses import one_dimensional_curvature

_ANGLES = ("polar", "exponential", "half-angle", "optimal", "cayley", "step", "oscillator", "rectangular")


def angle_curvature(parametrization, modulus, angle, *, decay=0.5):
    r"""Curvature of the loss at an optimum :math:`\nu e^{i\theta}` that comes from turning the eigenvalue.

    There are two parts: the curvature along the raw angle b, and what turning adds to that along the raw modulus a.
    With :math:`c = \nu^2 (1 + \nu^2) / (1 - \nu^2)^2`, about half the square of the memory :math:`m = 1 / (1 - \nu)`:

    - ``polar``, :math:`\theta = b`: c, and 0.
    - ``exponential``, :math:`\theta = e^b`: :math:`\theta^2 c`, and 0.
    - ``half-angle``, :math:`\theta = 2 \arctan b`: :math:`(1 + \cos\theta)^2 c`, and 0.
    - ``optimal``, :math:`\nu = \tanh a`, :math:`\theta = b (1 - \nu^2) / (\nu \sqrt{1 + \nu^2})`: 1, and
      :math:`\theta^2 \big(\frac{1 + 3\nu^2}{\nu (1 + \nu^2)}\big)^2 c`, which is 0 if the modulus is held constant
      where it multiplies b; then the two are no derivatives of a loss by parameters.
    - ``cayley``, :math:`\lambda = (1 - z) / (1 + z)`, :math:`z = e^a - ib`:
      :math:`\big(1 + \frac{1 + \nu^2}{2\nu} \cos\theta\big)^2 c`, and
      :math:`\big(\frac{1 - \nu^2}{2\nu} e^a \sin\theta\big)^2 c`. Here b moves the modulus as well, which is left out.
    - ``step``, :math:`\lambda = \exp(e^a (ib - d))` with a decay d, as in S4: :math:`(\ln\nu / d)^2 c`, and
      :math:`\theta^2 c`.
    - ``oscillator``, :math:`\cos\theta = (1 + \nu^2 (1 - b)) / (2\nu)`, :math:`\nu^{-2} = 1 + e^a`, as damped LinOSS
      with a step of 1: :math:`\nu^2 c / (4 \sin^2\theta)`, and
      :math:`\big(\frac{(1 - \nu^2)(1 - \nu \cos\theta)}{2 \nu \sin\theta}\big)^2 c`.
    - ``rectangular``, :math:`a + ib = r e^{i\theta}` with :math:`r = \nu \sqrt{1 + \nu^2} / (1 - \nu^2)`: 1 across the
      radius, and 0 along it.

    Args:
        parametrization: one of the above.
        modulus: :math:`\nu`, in (0, 1).
        angle: :math:`\theta`, radians, in (0, pi).
        decay: d of ``step``, positive.

    Returns:
        The pair (along the raw angle, through the raw modulus or step).

    Raises:
        ValueError: unknown parametrisation, or an argument out of range.

    Source: not in the paper but for polar, exponential and optimal along b (section 3.1, appendix C.1); the proofs
    page, "Angles".
    """
    if parametrization not in _ANGLES:
        raise ValueError(f"parametrization must be one of {', '.join(_ANGLES)}, got {parametrization!r}")
    modulus = checked("modulus", modulus, lambda nu: (nu > 0) & (nu < 1), "a modulus, 0 < modulus < 1", real=True)
    angle = checked("angle", angle, lambda t: (t > 0) & (t < np.pi), "an angle, 0 < angle < pi", real=True)
    decay = checked("decay", finite("decay", decay), lambda decay: decay > 0, "positive", real=True)
    nu, theta, decay = alike(modulus=modulus, angle=angle, decay=decay)
    lib = np
    if torch.Tensor in map(type, (nu, theta, decay)):
        nu, theta, decay = tensors(nu, theta, decay)
        lib = torch
    _, c = one_dimensional_curvature(nu, normalized=True)
    none, square = 0 * theta * c, nu**2
    if parametrization == "polar":
        return c + none, none
    if parametrization == "exponential":
        return theta**2 * c, none
    if parametrization == "half-angle":
        return (1 + lib.cos(theta)) ** 2 * c, none
    if parametrization == "optimal":
        return 1 + none, (theta * (1 + 3 * square) / (nu * (1 + square))) ** 2 * c
    if parametrization == "cayley":
        along = 1 + (1 + square) / (2 * nu) * lib.cos(theta)
        growth = (1 - square) / (1 + 2 * nu * lib.cos(theta) + square)  # e^a
        return along**2 * c, (growth * (1 - square) / (2 * nu) * lib.sin(theta)) ** 2 * c
    if parametrization == "step":
        return (lib.log(nu) / decay) ** 2 * c + none, theta**2 * c
    if parametrization == "oscillator":
        through = (1 - square) * (1 - nu * lib.cos(theta)) / (2 * nu * lib.sin(theta))
        return square * c / (4 * lib.sin(theta) ** 2), through**2 * c
    return 1 + none, none
