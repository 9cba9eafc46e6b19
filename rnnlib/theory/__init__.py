r"""Closed forms: how far the state of a linear unit, and its sensitivity, spread in the long run.

The unit :math:`h_{t+1} = \lambda h_t + x_{t+1}` is driven by a wide-sense stationary input with autocorrelation
:math:`R(D) = \rho^{|D|}`, :math:`-1 \le \rho \le 1`, unless a function takes another :math:`R`. Everything holds for
infinitely many past steps, unless a window is given, and :math:`|\lambda| < 1`.

Functions take Python numbers, NumPy arrays or PyTorch tensors and return the same kind, broadcast; through tensors
they are differentiable. An argument with a value outside its domain, such as :math:`|\lambda| \ge 1`,
:math:`|\rho| > 1` or NaN, raises a ValueError that names the argument, the value and the domain. Where values cannot be
read, inside ``torch.func.vmap`` and while a graph is traced, results are NaN instead of an error.

This package imports nothing of rnnlib, so theory and simulation check each other.
"""

from .angles import angle_curvature
from .gates import gated_response, gated_sensitivity, gated_state_variance, lstm_response, window_moment
from .long_memory import one_over_f_moments, power_law_exponents, power_law_moments, spectral_moments
from .losses import diagonal_hessian, one_dimensional_curvature, one_dimensional_gradient, one_dimensional_loss
from .moments import (
    cross_sensitivity,
    cross_sensitivity_of,
    generating_function,
    generating_function_of,
    sensitivity,
    state_variance,
)
from .precision import angle_error, longest_memory, memory_error, spacing, stalled_state, state_error
from .random_gates import input_gate_moments, random_gate_moments
from .readouts import readout_error

__all__ = [
    "angle_curvature",
    "angle_error",
    "cross_sensitivity",
    "cross_sensitivity_of",
    "diagonal_hessian",
    "gated_response",
    "gated_sensitivity",
    "gated_state_variance",
    "generating_function",
    "generating_function_of",
    "input_gate_moments",
    "longest_memory",
    "lstm_response",
    "memory_error",
    "one_dimensional_curvature",
    "one_dimensional_gradient",
    "one_dimensional_loss",
    "one_over_f_moments",
    "power_law_exponents",
    "power_law_moments",
    "random_gate_moments",
    "readout_error",
    "sensitivity",
    "spacing",
    "spectral_moments",
    "stalled_state",
    "state_error",
    "state_variance",
    "window_moment",
]
