r"""Closed forms: how far the state of a linear unit, and its sensitivity, spread in the long run.

The unit :math:`h_{t+1} = \lambda h_t + x_{t+1}` is driven by a wide-sense stationary input with autocorrelation
:math:`R(D) = \rho^{|D|}`, :math:`-1 \le \rho \le 1`, unless a function takes another :math:`R`. Everything holds for
infinitely many past steps, unless a window is given, and :math:`|\lambda| < 1`.

Functions take Python numbers, NumPy arrays or PyTorch tensors and return the same kind, broadcast; through tensors
they are differentiable. An argument with a value outside its domain, such as :math:`|\lambda| \ge 1`,
:math:`|\rho| > 1` or NaN, raises a ValueError that names the argument, the value and the domain. Where values cannot be
read, inside ``torch.func.vmap`` and while a graph is traced, results are NaN instead of an error.

This module imports nothing of rnnlib, so theory and simulation check each other.
"""

from __future__ import annotations

import numbers
import operator
from decimal import Decimal

import numpy as np
import torch

__all__ = [
    "cross_sensitivity",
    "cross_sensitivity_as_printed",
    "cross_sensitivity_of",
    "diagonal_hessian",
    "gated_response",
    "gated_sensitivity",
    "gated_sensitivity_as_plotted",
    "gated_state_variance",
    "generating_function",
    "generating_function_of",
    "lstm_response",
    "one_dimensional_curvature",
    "one_dimensional_gradient",
    "one_dimensional_loss",
    "sensitivity",
    "state_variance",
    "window_moment",
]


def _conj(z):
    return z.conj() if hasattr(z, "conj") else z.conjugate()


def _abs2(z):
    return z.real**2 + z.imag**2 if _is_complex(z) else z * z


def _is_complex(z) -> bool:
    if isinstance(z, torch.Tensor):
        return z.is_complex()
    return not isinstance(z, int | float) and np.iscomplexobj(z)


# Domains: each function returns the value, lists as arrays, or raises -------------------------------------------------


def _disc(name, z):
    return _checked(name, z, lambda z: abs(z) < 1, f"inside the unit circle, |{name}| < 1")


def _correlation(rho):
    return _checked("rho", rho, lambda rho: abs(rho) <= 1, "real, -1 <= rho <= 1", real=True)


def _gate(lam):
    return _checked("lam", lam, lambda lam: (lam >= 0) & (lam < 1), "a real gate, 0 <= lam < 1", real=True)


def _checked(name, value, inside, domain, real=False):
    if isinstance(value, list | tuple):
        value = np.asarray(value)
    if isinstance(value, numbers.Rational | Decimal):
        try:
            number = float(value)
        except (OverflowError, ValueError):  # the latter for Decimal's signalling NaN
            raise ValueError(f"{name} must be {domain}, got {_shown(value)}") from None
        if not isinstance(value, numbers.Integral):
            value = number  # NumPy would make arrays of objects
    if not _is_numeric(value):
        raise TypeError(f"{name} must be a number, an array or a tensor of numbers, got {type(value).__name__}")
    ok = abs(value) < 0 if real and _is_complex(value) else inside(value)
    readable, fine = _all(ok)
    if not readable:
        return torch.where(ok, value, float("nan"))
    if not fine:
        raise ValueError(f"{name} must be {domain}, got {_first(value, ok)}")
    return value


def _is_numeric(value) -> bool:
    if isinstance(value, torch.Tensor):
        return value.dtype != torch.bool
    return isinstance(value, numbers.Number) or np.asarray(value).dtype.kind in "iufc"


def _shown(value) -> str:
    """A value as one short line."""
    if np.ndim(value):
        return f"{type(value).__name__} of shape {tuple(np.shape(value))}"
    if isinstance(value, numbers.Rational) and abs(value) >= 2**1024:
        return "a number beyond the largest float, 1.8e308"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:60]}..."


def _first(value, ok):
    """The first value that is not fine."""
    if isinstance(value, torch.Tensor):
        return value.detach()[~ok][0].item()
    return np.asarray(value)[~np.asarray(np.ma.filled(ok, True), bool)][0]


def _all(ok) -> tuple[bool, bool]:
    """Whether the truth values can be read, and whether all are true."""
    if isinstance(ok, torch.Tensor) and torch.compiler.is_compiling():
        return False, True
    try:
        if isinstance(ok, np.ma.MaskedArray):  # what is masked is no value
            ok = ok.filled(True)
        return True, bool(ok.all() if hasattr(ok, "all") else ok)
    except RuntimeError:  # vmap and tracing
        return False, True


def _alike(**values):
    """The arguments as :func:`_one_kind`; an error if their shapes do not broadcast."""
    shapes = [tuple(np.shape(value)) for value in values.values()]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"{', '.join(values)} must broadcast, got shapes {', '.join(map(str, shapes))}") from None
    return _one_kind(*values.values())


def _one_kind(*values):
    """Arrays as tensors where one of them is a tensor. Numbers stay numbers, which change no precision."""
    device = next((value.device for value in values if isinstance(value, torch.Tensor)), None)
    if device is None:
        return values
    return tuple(_beside_tensors(value, device) for value in values)


def _beside_tensors(value, device):
    if isinstance(value, np.generic | numbers.Number):
        return complex(value) if _is_complex(value) else float(value)
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(np.asarray(value), device=device)


def _tensors(*values):
    """Numbers as tensors too, in the precision of the tensors beside them and in float32 at least."""
    dtype = torch.float32
    for value in values:
        if isinstance(value, torch.Tensor):
            dtype = torch.promote_types(dtype, value.dtype)
    real = dtype.to_real()
    return tuple(
        value
        if isinstance(value, torch.Tensor)
        else torch.as_tensor(value, dtype=real.to_complex() if _is_complex(value) else real)
        for value in values
    )


def _finite(name, value):
    return _checked(name, value, lambda value: abs(value) < float("inf"), "finite")


# Linear units ---------------------------------------------------------------------------------------------------------


def generating_function(a, b, rho):
    r"""The cross moment of two states driven by the same input,

    .. math:: F(a, b) = \mathrm{E}[h^{(a)} h^{(b)}] = \sum_{i,j \ge 0} a^i b^j \rho^{|i-j|}
              = \frac{1 - \rho^2 ab}{(1 - ab)(1 - \rho a)(1 - \rho b)}.

    Args:
        a: decay factor of the first state, real or complex, inside the unit circle.
        b: decay factor of the second state, likewise.
        rho: correlation of consecutive inputs, -1 to 1; 0 is white, 1 constant.

    Returns:
        F(a, b).

    Raises:
        ValueError: a or b is not inside the unit circle, rho not in [-1, 1], or the shapes do not broadcast.

    Source: Zucchet and Orvieto (2024), appendix B.2.
    """
    return _generating_function(*_alike(a=_disc("a", a), b=_disc("b", b), rho=_correlation(rho)))


def _generating_function(a, b, rho):
    return (1 - rho**2 * a * b) / ((1 - a * b) * (1 - rho * a) * (1 - rho * b))


def state_variance(lam, rho):
    r"""Second moment of the state, :math:`\mathrm{E}|h|^2 = F(\lambda, \bar\lambda)`.

    Args:
        lam: eigenvalue, real or complex, inside the unit circle.
        rho: correlation of consecutive inputs.

    Returns:
        The real moment. For real :math:`\lambda` it is
        :math:`(1 + \rho\lambda) / ((1 - \rho\lambda)(1 - \lambda^2))`.

    Source: Zucchet and Orvieto (2024), section 2.2 and appendix B.2.
    """
    lam, rho = _alike(lam=_disc("lam", lam), rho=_correlation(rho))
    return _generating_function(lam, _conj(lam), rho).real


def cross_sensitivity(a, b, rho):
    r"""The cross moment of two sensitivities,

    .. math:: S(a, b) = \mathrm{E}\big[\mathrm{d}_a h^{(a)} \, \mathrm{d}_b h^{(b)}\big] = \partial_a \partial_b F(a, b)
        = \frac{(1 - \rho^2)(1 + ab) + \rho^2 (1 - ab)^3 + \rho (1 - \rho^2) ab \, (\rho ab (1 + ab) - 2a - 2b)}
               {(1 - ab)^3 (1 - \rho a)^2 (1 - \rho b)^2}.

    Args:
        a: decay factor of the first state, real or complex, inside the unit circle.
        b: decay factor of the second state, likewise.
        rho: correlation of consecutive inputs.

    Returns:
        S(a, b).

    Source: Zucchet and Orvieto (2024), appendices B.2.2 and C.2.2, corrected: erratum 1 on the errata page.
    """
    return _cross_sensitivity(*_alike(a=_disc("a", a), b=_disc("b", b), rho=_correlation(rho)))


def cross_sensitivity_as_printed(a, b, rho):
    r""":math:`S(a, b)` as the paper prints it, with :math:`1 - \rho` where :math:`1 - \rho^2` is right.

    Kept to show the size of the slip (erratum 1); use :func:`cross_sensitivity` for anything else.

    Args:
        a: decay factor of the first state, inside the unit circle.
        b: decay factor of the second state, likewise.
        rho: correlation of consecutive inputs.

    Returns:
        The printed expression.

    Source: Zucchet and Orvieto (2024), appendices B.2.2 and C.2.2.
    """
    a, b, rho = _alike(a=_disc("a", a), b=_disc("b", b), rho=_correlation(rho))
    return _sensitivity_ratio(a, b, rho, 1 - rho)


def _cross_sensitivity(a, b, rho):
    return _sensitivity_ratio(a, b, rho, 1 - rho**2)


def _sensitivity_ratio(a, b, rho, whiteness):
    ab = a * b
    numerator = whiteness * (1 + ab) + rho**2 * (1 - ab) ** 3
    numerator = numerator + rho * whiteness * ab * (rho * ab * (1 + ab) - 2 * a - 2 * b)
    return numerator / ((1 - ab) ** 3 * (1 - rho * a) ** 2 * (1 - rho * b) ** 2)


def sensitivity(lam, rho):
    r"""Second moment of the sensitivity, :math:`\mathrm{E}|\mathrm{d}_\lambda h|^2 = S(\lambda, \bar\lambda)`.

    With :math:`\varepsilon = 1 - \lambda` and real :math:`\lambda \to 1` it grows as
    :math:`\frac{1 + \rho}{4 (1 - \rho)} \varepsilon^{-3}` for :math:`\rho < 1` and as :math:`\varepsilon^{-4}` for
    :math:`\rho = 1`: the curse of memory.

    Args:
        lam: eigenvalue, real or complex, inside the unit circle.
        rho: correlation of consecutive inputs.

    Returns:
        The real moment.

    Source: Zucchet and Orvieto (2024), section 2.2 and appendix B.2.
    """
    lam, rho = _alike(lam=_disc("lam", lam), rho=_correlation(rho))
    return _cross_sensitivity(lam, _conj(lam), rho).real


def generating_function_of(R, a, b):
    r"""F for any autocorrelation,

    .. math:: F(a, b) = \frac{R(0) + \sum_{D \ge 1} (a^D + b^D) R(D)}{1 - ab}.

    Args:
        R: autocorrelation at lags 0, 1, 2, ..., shape ``(lags,)``; zero beyond.
        a: decay factor of the first state, real or complex, inside the unit circle.
        b: decay factor of the second state, likewise.

    Returns:
        F(a, b), broadcast. :math:`F(\lambda, \bar\lambda)` is the second moment of the state.

    Raises:
        ValueError: a or b is not inside the unit circle, they do not broadcast, or R is not finite or not ``(lags,)``.

    Source: Zucchet and Orvieto (2024), appendix B.2.
    """
    R, a, b = _with_autocorrelation(R, a, b)
    return (R[0] + _series(R[1:], a) + _series(R[1:], b)) / (1 - a * b)


def _with_autocorrelation(R, a, b):
    """R as a list of its values, and a and b."""
    R = _finite("R", R)
    if len(np.shape(R)) != 1 or len(R) == 0:
        raise ValueError(f"R must have shape (lags,) with at least one lag, got shape {tuple(np.shape(R))}")
    a, b = _alike(a=_disc("a", a), b=_disc("b", b))
    R, a, b = _one_kind(R, a, b)
    return list(R.unbind() if isinstance(R, torch.Tensor) else np.asarray(R)), a, b


def _series(coefficients, z):
    r""":math:`\sum_{D \ge 1} c_D z^D`, by Horner's rule, for z of any shape."""
    total = 0 * z
    for coefficient in reversed(coefficients):
        total = (total + coefficient) * z
    return total


def cross_sensitivity_of(R, a, b):
    r"""S for any autocorrelation; at :math:`a = b = \lambda` it is the paper's

    .. math:: \mathrm{E}(\mathrm{d}_\lambda h)^2 = \frac{1 + \lambda^2}{(1 - \lambda^2)^3}
              \Big(R(0) + 2 \sum_{D \ge 1} \lambda^D R(D)\Big)
              + \frac{2}{(1 - \lambda^2)^2} \sum_{D \ge 1} D \lambda^D R(D).

    Args:
        R: autocorrelation at lags 0, 1, 2, ..., shape ``(lags,)``; zero beyond.
        a: decay factor of the first state, real or complex, inside the unit circle.
        b: decay factor of the second state, likewise.

    Returns:
        S(a, b), broadcast. :math:`S(\lambda, \bar\lambda)` is the second moment of the sensitivity.

    Raises:
        ValueError: a or b is not inside the unit circle, they do not broadcast, or R is not finite or not ``(lags,)``.

    Source: Zucchet and Orvieto (2024), section 2.2 and appendix B.2.
    """
    R, a, b = _with_autocorrelation(R, a, b)
    lagged = [lag * value for lag, value in enumerate(R)]
    total = R[0] + _series(R[1:], a) + _series(R[1:], b)
    lagged = _series(lagged[1:], a) + _series(lagged[1:], b)
    return total * (1 + a * b) / (1 - a * b) ** 3 + lagged / (1 - a * b) ** 2


def gated_state_variance(lam, rho):
    r"""Second moment of the state of a gated unit,

    .. math:: h_t = \lambda h_{t-1} + (1 - \lambda) x_t: \qquad \mathrm{E} h^2 = \tilde F(\lambda, \lambda), \quad
              \tilde F(a, b) = (1 - a)(1 - b) F(a, b).

    Its input scale keeps it between 0 and the variance of the input, which it reaches for constant inputs.

    Args:
        lam: the gate, real, in [0, 1).
        rho: correlation of consecutive inputs, -1 to 1.

    Returns:
        The moment, linear in the input's autocorrelation.

    Source: Zucchet and Orvieto (2024), section 5.
    """
    lam, rho = _alike(lam=_gate(lam), rho=_correlation(rho))
    return (1 - lam) ** 2 * _generating_function(lam, lam, rho)


def gated_sensitivity(lam, rho):
    r"""Second moment of a gated unit's sensitivity to the bias of its gate, :math:`\lambda = \sigma(b)`,

    .. math:: \mathrm{E} (\mathrm{d}_b h)^2 = \big(\lambda (1 - \lambda)\big)^2 \partial_a \partial_b \tilde F
              \big|_{a = b = \lambda}, \qquad
              \partial_a \partial_b \tilde F = F - 2 (1 - \lambda) F_a + (1 - \lambda)^2 S.

    Args:
        lam: the gate, real, in [0, 1).
        rho: correlation of consecutive inputs, -1 to 1.

    Returns:
        The moment, linear in the input's autocorrelation; 0 for constant inputs.

    Source: Zucchet and Orvieto (2024), section 5; the form that is right, erratum 8.
    """
    lam, rho = _alike(lam=_gate(lam), rho=_correlation(rho))
    F, F_a = _generating_function_and_slope(lam, rho)
    mixed = F - 2 * (1 - lam) * F_a + (1 - lam) ** 2 * _cross_sensitivity(lam, lam, rho)
    return (lam * (1 - lam)) ** 2 * mixed


def gated_sensitivity_as_plotted(lam, rho):
    r"""What the paper's Figure 15 draws in place of :func:`gated_sensitivity`:
    :math:`(\tilde F + 2 \tilde F_a + \tilde F_{ab}) (\lambda (1 - \lambda))^2`.

    Kept to show the size of the slip (erratum 8); use :func:`gated_sensitivity` for anything else.

    Args:
        lam: the gate, real, in [0, 1).
        rho: correlation of consecutive inputs, -1 to 1.

    Returns:
        The expression.

    Source: Zucchet and Orvieto (2024), code of Figure 15.
    """
    lam, rho = _alike(lam=_gate(lam), rho=_correlation(rho))
    F, F_a = _generating_function_and_slope(lam, rho)
    scaled, slope = (1 - lam) ** 2 * F, (1 - lam) ** 2 * F_a - (1 - lam) * F
    return (lam * (1 - lam)) ** 2 * (scaled + 2 * slope) + gated_sensitivity(lam, rho)


def _generating_function_and_slope(lam, rho):
    """F and its derivative in one argument, both at a = b = lam, real."""
    F = _generating_function(lam, lam, rho)
    return F, F * (rho / (1 - (rho * lam) ** 2) + lam / (1 - lam**2))


def gated_response(lam, steps):
    r"""How the state of a gated unit with a constant gate, and its sensitivity, weigh the inputs of a finite window,

    .. math:: h_t = \sum_{i=0}^{T-1} (1 - \lambda) \lambda^i \, x_{t-i}, \qquad
              \mathrm{d}_b h_t = \sum_{i=0}^{T-1} (1 - \lambda) \lambda^i \big((1 - \lambda) i - \lambda\big) x_{t-i}.

    Args:
        lam: the gate :math:`\lambda = \sigma(b)`, real, in [0, 1).
        steps: length of the window, T, at least 1; the state before it is 0.

    Returns:
        The two weights, of the shape of ``lam`` and one more axis ``(..., steps)``; arrays, or tensors for a tensor.
        Their second moments for any inputs are :func:`window_moment`'s.

    Source: derivatives of the recurrence; Zucchet and Orvieto (2024), section 5, with infinitely many steps.
    """
    lam, lag = _gate_and_lags(lam, steps)
    state = (1 - lam) * lam**lag
    return state, state * ((1 - lam) * lag - lam)


def _gate_and_lags(lam, steps):
    """The gate with one more axis, and the lags along it."""
    try:
        whole = 0 if isinstance(steps, bool) else operator.index(steps)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {_shown(steps)}")
    lam = _gate(lam)
    if isinstance(lam, torch.Tensor):
        return lam[..., None], torch.arange(whole, device=lam.device)
    return np.asarray(lam, float)[..., None], np.arange(whole)


def lstm_response(lam, steps):
    r"""The same for the cell of an LSTM, whose forget gate is :math:`\lambda` and whose input gate starts at
    :math:`1 - \lambda` but does not follow it,

    .. math:: \mathrm{d}_{b_f} c_t = \sum_{i=0}^{T-1} (1 - \lambda)^2 i \lambda^i \, x_{t-i}.

    The rest of a gated unit's sensitivity, :math:`-\lambda h_t`, belongs to the bias of the input gate.

    Args:
        lam: the forget gate, real, in [0, 1).
        steps: length of the window, T, at least 1.

    Returns:
        The two weights, as :func:`gated_response`.

    Source: derivatives of the recurrence; not in the paper.
    """
    lam, lag = _gate_and_lags(lam, steps)
    state = (1 - lam) * lam**lag
    return state, state * (1 - lam) * lag


def window_moment(weights, R):
    r"""Second moment of a weighted sum of the inputs of a finite window,

    .. math:: \mathrm{E} \Big(\sum_{i=0}^{T-1} w_i x_{t-i}\Big)^2 = \sum_{i,j} w_i w_j R(|i - j|).

    Args:
        weights: w, the latest input's first, ``(..., T)``.
        R: autocorrelation at lags 0 to T - 1 at least, shape ``(lags,)``; or the second moments
            :math:`\mathrm{E}[x_{t-i} x_{t-j}]` themselves, ``(T, T)``, where inputs are not stationary.

    Returns:
        The moment, shape ``(...)``.

    Raises:
        ValueError: R has too few lags, or another shape; a value is not finite.

    Source: Zucchet and Orvieto (2024), appendix B.2, cut after T terms.
    """
    weights, R = _one_kind(_finite("weights", weights), _finite("R", R))
    if isinstance(weights, torch.Tensor):
        dtype = torch.promote_types(weights.dtype, R.dtype)
        weights, R = weights.to(dtype), R.to(dtype)
    else:
        weights, R = np.asarray(weights), np.asarray(R)
    if weights.ndim == 0 or weights.shape[-1] == 0:
        raise ValueError(f"weights must have shape (..., T) with T at least 1, got {tuple(weights.shape)}")
    steps = weights.shape[-1]
    if R.ndim == 1:
        if len(R) < steps:
            raise ValueError(f"R must hold {steps} lags, as many as weights, got {len(R)}")
        lag = np.arange(steps)
        R = R[np.abs(lag[:, None] - lag)]
    if R.shape != (steps, steps):
        raise ValueError(f"R must have shape (lags,) or ({steps}, {steps}), got {tuple(R.shape)}")
    return ((weights @ R) * weights).sum(-1)


def one_dimensional_loss(lam, lam_star, rho=0.0, *, normalized=False):
    r"""Loss of one linear unit that imitates another, both driven by the same input,

    .. math:: L = \tfrac{1}{2} \mathrm{E} |h - h^*|^2
              = \tfrac{1}{2} \big[ F(\lambda, \bar\lambda) + F(\lambda^*, \bar\lambda^*)
                - 2 \, \mathrm{Re}\, F(\lambda, \bar\lambda^*) \big].

    With ``normalized`` each input is scaled by :math:`\gamma(\lambda) = \sqrt{1 - |\lambda|^2}` of its own unit.

    Args:
        lam: the student's eigenvalue, real or complex, inside the unit circle.
        lam_star: the teacher's eigenvalue, likewise.
        rho: correlation of consecutive inputs, -1 to 1; white by default.
        normalized: scale the inputs by gamma.

    Returns:
        The loss; for white inputs and ``normalized`` it is
        :math:`1 - \mathrm{Re}[\gamma \gamma^* / (1 - \bar\lambda \lambda^*)]`.

    Source: Zucchet and Orvieto (2024), sections 2.3 and 3.1, appendix C.1.
    """
    lam, lam_star, rho = _alike(lam=_disc("lam", lam), lam_star=_disc("lam_star", lam_star), rho=_correlation(rho))
    gamma = (1 - _abs2(lam)) ** 0.5 if normalized else 1.0
    gamma_star = (1 - _abs2(lam_star)) ** 0.5 if normalized else 1.0
    student = gamma**2 * _generating_function(lam, _conj(lam), rho).real
    teacher = gamma_star**2 * _generating_function(lam_star, _conj(lam_star), rho).real
    return 0.5 * (student + teacher) - gamma * gamma_star * _generating_function(lam, _conj(lam_star), rho).real


def one_dimensional_gradient(nu, theta, lam_star, *, normalized=False):
    r"""Derivatives of the white-input loss with respect to the student's modulus and angle.

    With :math:`\lambda = \nu e^{i\theta}`, :math:`z = \lambda \bar\lambda^*` and input scales :math:`\gamma, \gamma^*`
    (1 unless ``normalized``),

    .. math:: \partial_\theta L = \gamma \gamma^* \, \mathrm{Im} \frac{z}{(1 - z)^2}, \qquad
              \nu \, \partial_\nu L = r - \gamma \gamma^* \, \mathrm{Re} \frac{z}{(1 - z)^2},

    where r is :math:`\nu^2 / (1 - \nu^2)^2` without the scales and
    :math:`\nu^2 (\gamma^* / \gamma) \, \mathrm{Re}\, (1 - z)^{-1}` with them.

    Args:
        nu: modulus, in (0, 1).
        theta: angle, radians.
        lam_star: the teacher's eigenvalue, inside the unit circle.
        normalized: inputs scaled by gamma, which is differentiated too.

    Returns:
        The pair (along the modulus, along the angle).

    Source: the derivatives of :func:`one_dimensional_loss`.
    """
    nu = _checked("nu", nu, lambda nu: (nu > 0) & (nu < 1), "a modulus, 0 < nu < 1", real=True)
    theta = _checked("theta", theta, lambda theta: abs(theta) < float("inf"), "real and finite", real=True)
    nu, theta, lam_star = _alike(nu=nu, theta=theta, lam_star=_disc("lam_star", lam_star))
    if torch.Tensor in map(type, (nu, theta, lam_star)):
        nu, theta, lam_star = _tensors(nu, theta, lam_star)
    exp, sqrt = (torch.exp, torch.sqrt) if isinstance(nu, torch.Tensor) else (np.exp, np.sqrt)
    z = nu * exp(1j * theta) * _conj(lam_star)
    inverse = 1 / (1 - z)
    coupling = z * inverse**2
    if not normalized:
        return nu / (1 - nu**2) ** 2 - coupling.real / nu, coupling.imag
    gamma, gamma_star = sqrt(1 - nu**2), sqrt(1 - abs(lam_star) ** 2)
    along_nu = nu * gamma_star / gamma * inverse.real - gamma * gamma_star * coupling.real / nu
    return along_nu, gamma * gamma_star * coupling.imag


def one_dimensional_curvature(modulus, *, normalized=False):
    r"""Second derivatives of the white-input loss at the optimum, along the modulus and along the angle.

    Without normalisation, with :math:`s = |\lambda^*|`, they are :math:`(1 + s^2) / (1 - s^2)^3` and :math:`s^2` times
    that; with it, :math:`1 / (1 - s^2)^2` and :math:`s^2 (1 + s^2) / (1 - s^2)^2`. A parametrisation multiplies each by
    the square of its derivative.

    Args:
        modulus: :math:`|\lambda^*|`, in [0, 1).
        normalized: inputs scaled by gamma.

    Returns:
        The pair (along the modulus, along the angle in radians).

    Source: Zucchet and Orvieto (2024), section 3.1 and appendix C.1.
    """
    modulus = _checked("modulus", modulus, lambda s: (s >= 0) & (s < 1), "real, 0 <= modulus < 1", real=True)
    square = modulus**2
    if normalized:
        return 1 / (1 - square) ** 2, square * (1 + square) / (1 - square) ** 2
    radial = (1 + square) / (1 - square) ** 3
    return radial, square * radial


def diagonal_hessian(lam, b, c, rho=0.0):
    r"""Hessian with respect to the eigenvalues of a complex diagonal network at the optimum.

    The network is :math:`y = \mathrm{Re}[\sum_i c_i h_i]` with :math:`h_i` driven by :math:`b_i x`, and the loss
    :math:`\frac{1}{2} \mathrm{E}(y - y^*)^2`. With :math:`w_i = b_i c_i`,

    .. math:: A_{ij} = w_i w_j S(\lambda_i, \lambda_j), \qquad B_{ij} = w_i \bar w_j S(\lambda_i, \bar\lambda_j),

    the block of units i and j over (Re, Im) is
    :math:`\frac{1}{2} \begin{pmatrix} \mathrm{Re}(A+B) & \mathrm{Im}(B-A) \\ -\mathrm{Im}(A+B) & \mathrm{Re}(B-A)
    \end{pmatrix}_{ij}`.

    Args:
        lam: eigenvalues, inside the unit circle, ``(n,)``.
        b: input weights ``(n,)``.
        c: output weights ``(n,)``.
        rho: correlation of consecutive inputs, a number from -1 to 1; white by default.

    Returns:
        Symmetric real array ``(2n, 2n)``; rows are the n real parts, then the n imaginary parts.

    Source: Zucchet and Orvieto (2024), section 3.2 and appendix C.2.
    """
    lam, b, c = (
        value if isinstance(value, torch.Tensor) else np.asarray(value)
        for value in (_disc("lam", lam), _finite("b", b), _finite("c", c))
    )
    if lam.ndim != 1 or not lam.shape == b.shape == c.shape:
        shapes = ", ".join(str(tuple(value.shape)) for value in (lam, b, c))
        raise ValueError(f"lam, b and c must have one shape (n,), got {shapes}")
    rho = _correlation(rho)
    if np.shape(rho) != ():
        raise ValueError(f"rho must be one number, got an array of shape {tuple(np.shape(rho))}")
    lam, b, c, rho = _one_kind(lam, b, c, rho)
    w = b * c + 0j  # complex, because PyTorch gives real tensors no imaginary part
    A = w[:, None] * w * _cross_sensitivity(lam[:, None], lam, rho)
    B = w[:, None] * _conj(w) * _cross_sensitivity(lam[:, None], _conj(lam), rho)
    join = torch.cat if isinstance(w, torch.Tensor) else np.concatenate
    return 0.5 * join([join([(A + B).real, (B - A).imag], 1), join([-(A + B).imag, (B - A).real], 1)])
