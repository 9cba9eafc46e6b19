"""Numbers of few digits: which memories and angles they can tell apart, and what a state of few digits forgets.

A floating-point format is its number of significant bits p, the leading one counted: 24 for float32, 11 for float16, 8
for bfloat16, 4 and 3 for float8 (e4m3 and e5m2); of a ``torch.dtype`` they are ``1 - log2(torch.finfo(dtype).eps)``.
Results hold between its smallest normal number and its largest. Rounding is to the nearest number.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from .domains import alike, checked, finite


def spacing(value, bits):
    r"""Distance between neighbours in a floating-point format, :math:`2^{\lfloor \log_2 |x| \rfloor + 1 - p}`.

    Args:
        value: x, real, finite, not 0.
        bits: significant bits p of the format.

    Returns:
        The distance from :math:`|x|` to the next larger number; rounding moves x by half of it at most.

    Raises:
        ValueError: x is 0, complex or not finite, or there are no bits.

    Source: not in the paper; Goldberg (1991), section 1.2.
    """
    value = checked("value", finite("value", value), lambda value: value != 0, "real and not 0", real=True)
    return _spacing(*alike(value=value, bits=_bits(bits)))


def _spacing(value, bits):
    if isinstance(value, torch.Tensor) or isinstance(bits, torch.Tensor):
        value, bits = (v if isinstance(v, torch.Tensor) else torch.as_tensor(v) for v in (value, bits))
        return torch.exp2(torch.frexp(value)[1] - bits.to(value.dtype if value.is_floating_point() else torch.float32))
    return np.exp2(np.frexp(value)[1] - np.asarray(bits, dtype=float))[()]


def longest_memory(bits):
    r"""Memory :math:`1 / (1 - \lambda)` of the largest eigenvalue below 1, :math:`2^p`: below 1 numbers are
    :math:`2^{-p}` apart.

    Args:
        bits: significant bits p of the format in which :math:`\lambda`, real, is stored.

    Returns:
        The memory, in steps: 256 for bfloat16.

    Source: not in the paper; the proofs page, "Few digits".
    """
    return 2.0 ** _bits(bits)


def memory_error(memory, bits, stored="eigenvalue"):
    r"""How far rounding moves a memory :math:`m = 1 / (1 - \lambda)` at most, as a share of it and to first order.

    ===============  =======================================  ======================================
    stored           what is rounded                          error, up to
    ===============  =======================================  ======================================
    ``eigenvalue``   :math:`\lambda`                          :math:`2^{-p-1} m`
    ``rate``         :math:`-\ln \lambda`                     :math:`2^{-p}`
    ``log rate``     :math:`\omega = \ln(-\ln \lambda)`       :math:`2^{-p} |\omega|`, or half of it
    ===============  =======================================  ======================================

    Args:
        memory: m, in steps, at least 2.
        bits: significant bits p of the format.
        stored: what is stored of the modulus.

    Returns:
        The share; of numbers above 1 it is no more than an order of magnitude.

    Raises:
        ValueError: a memory is below 2, there are no bits, or ``stored`` is unknown.

    Source: not in the paper; the proofs page, "Few digits".
    """
    memory = checked("memory", finite("memory", memory), lambda memory: memory >= 2, "real, at least 2", real=True)
    memory, bits = alike(memory=memory, bits=_bits(bits))
    if stored == "eigenvalue":
        return memory * _spacing(1 - 1 / memory, bits) / 2
    rate = -_log1p(-1 / memory)
    if stored == "rate":
        return _spacing(rate, bits) / (2 * rate)
    if stored == "log rate":
        return _spacing(_log(rate), bits) / 2
    raise ValueError(f"stored must be 'eigenvalue', 'rate' or 'log rate', got {stored!r}")


def angle_error(angle, bits, stored="angle"):
    r"""How far rounding moves an angle at most: :math:`2^{-p} \theta` or half of it if the angle is stored, and
    :math:`2^{-p} |\ln \theta| \, \theta` or half of it if its logarithm is.

    Over a memory of m steps the phase is off by m times as much, so an angle needs :math:`\log_2(m \theta)` bits before
    the first that counts.

    Args:
        angle: :math:`\theta`, radians, positive; its logarithm must not be 0 if that is stored.
        bits: significant bits p of the format.
        stored: ``"angle"`` or ``"log angle"``.

    Returns:
        Radians.

    Raises:
        ValueError: an angle is not positive, there are no bits, or ``stored`` is unknown.

    Source: not in the paper; the proofs page, "Few digits".
    """
    angle = checked("angle", finite("angle", angle), lambda angle: angle > 0, "real, positive", real=True)
    angle, bits = alike(angle=angle, bits=_bits(bits))
    if stored == "angle":
        return _spacing(angle, bits) / 2
    if stored == "log angle":
        return angle * _spacing(_log(angle), bits) / 2
    raise ValueError(f"stored must be 'angle' or 'log angle', got {stored!r}")


def state_error(memory, bits):
    r"""Second moment of the error of a state that is rounded in each step, over that of the state, for white inputs,

    .. math:: \frac{\mathrm{E}|e|^2}{\mathrm{E}|h|^2} = \frac{4^{-p}}{8 \ln 2} \, \frac{1}{1 - \lambda^2}
              \approx \frac{4^{-p} m}{11}, \qquad m = \frac{1}{1 - |\lambda|}.

    Each step's error is uniform and independent of the others, as where inputs move the state by a spacing or more.
    The factor is the mean over heights of the state between two powers of two; a Gaussian state has it to 1 %.

    Args:
        memory: m, in steps, at least 1.
        bits: significant bits p of the format.

    Returns:
        The ratio. It stays small up to memories of about :math:`4^p`, the square of :func:`longest_memory`.

    Raises:
        ValueError: a memory is below 1, or there are no bits.

    Source: not in the paper; the proofs page, "Few digits".
    """
    memory = checked("memory", finite("memory", memory), lambda memory: memory >= 1, "real, at least 1", real=True)
    memory, bits = alike(memory=memory, bits=_bits(bits))
    return 4.0**-bits / (8 * math.log(2)) * memory / (2 - 1 / memory)


def stalled_state(memory, bits):
    r"""What is left for ever of an impulse of 1 if the state is rounded to the nearest number in each step and nothing
    else comes in: with a real :math:`\lambda = 1 - 1/m` of full precision,

    .. math:: h_\infty = \begin{cases} 0, & \lfloor m / 2 \rfloor \le 2^{p-1}, \\
              \min(1, \, \lfloor m / 2 \rfloor \, 2^{-p}) & \text{beyond}, \end{cases}

    up to one spacing, and 0 up to about m of the smallest numbers that the format has. The state stops where a step
    would take away less than half a spacing.

    Args:
        memory: m, in steps, at least 1.
        bits: significant bits p of the format.

    Returns:
        The state in the end: at memories of :math:`2^{p+1}` and more it is the impulse itself.

    Raises:
        ValueError: a memory is below 1, or there are no bits.

    Source: not in the paper; the proofs page, "Few digits".
    """
    memory = checked("memory", finite("memory", memory), lambda memory: memory >= 1, "real, at least 1", real=True)
    memory, bits = alike(memory=memory, bits=_bits(bits))
    steps = memory // 2 * 2.0**-bits
    return steps * ((steps > 0.5) & (steps < 1)) + (steps >= 1)


def _bits(bits):
    return checked("bits", finite("bits", bits), lambda bits: bits >= 1, "real, at least 1", real=True)


def _log(value):
    return torch.log(value) if isinstance(value, torch.Tensor) else np.log(value)


def _log1p(value):
    return torch.log1p(value) if isinstance(value, torch.Tensor) else np.log1p(value)
