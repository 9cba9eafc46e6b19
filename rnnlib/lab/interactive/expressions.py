"""Closed forms of :mod:`rnnlib.theory` as expressions of Vega, which the browser evaluates.

Expressions are strings; ``rho`` and ``normalized`` are parameters of the chart.
"""

from __future__ import annotations

import altair as alt


class Complex:
    """A complex number as a pair of Vega expressions, real and imaginary part."""

    def __init__(self, real: str, imag: str):
        self.real, self.imag = real, imag

    @classmethod
    def polar(cls, modulus: str, angle: str) -> Complex:
        return cls(f"({modulus}) * cos({angle})", f"({modulus}) * sin({angle})")

    def __mul__(self, other: Complex) -> Complex:
        (a, b), (c, d) = (self.real, self.imag), (other.real, other.imag)
        return Complex(f"(({a}) * ({c}) - ({b}) * ({d}))", f"(({a}) * ({d}) + ({b}) * ({c}))")

    def plus(self, other: Complex) -> Complex:
        return Complex(f"({self.real} + {other.real})", f"({self.imag} + {other.imag})")

    def times(self, factor: str) -> Complex:
        """A real number times self."""
        return Complex(f"({factor} * ({self.real}))", f"({factor} * ({self.imag}))")

    def negative(self) -> Complex:
        return self.times("-1")

    def conjugate(self) -> Complex:
        return Complex(self.real, f"(-({self.imag}))")

    def over(self, other: Complex) -> Complex:
        size = f"(pow({other.real}, 2) + pow({other.imag}, 2))"
        product = self * other.conjugate()
        return Complex(f"({product.real} / {size})", f"({product.imag} / {size})")

    def one_minus(self, factor: str = "1") -> Complex:
        """1 - factor * self."""
        return Complex(f"(1 - ({factor}) * ({self.real}))", f"(-({factor}) * ({self.imag}))")

    def real_part_over(self, other: Complex) -> str:
        """Re(self / other)."""
        (a, b), (c, d) = (self.real, self.imag), (other.real, other.imag)
        return f"(({a}) * ({c}) + ({b}) * ({d})) / (pow({c}, 2) + pow({d}, 2))"


def with_loss(chart: alt.Chart, nu: str, theta: str, nu_star: str, theta_star: str) -> alt.Chart:
    """Add the field ``loss``: theory.one_dimensional_loss of parameters ``rho`` and ``normalized``, step by step."""
    a, b = Complex.polar(nu, theta), Complex.polar(nu_star, f"-({theta_star})")
    chart, a = _named(chart, "a", a)
    chart, b = _named(chart, "b", b)
    chart, ab = _named(chart, "ab", a * b)
    chart, below = _named(chart, "below", ab.one_minus() * a.one_minus("rho"))
    chart, below = _named(chart, "all_below", below * b.one_minus("rho"))
    cross = ab.one_minus("rho * rho").real_part_over(below)
    chart = chart.transform_calculate(
        g=f"normalized ? sqrt(1 - pow({nu}, 2)) : 1", g_star=f"normalized ? sqrt(1 - pow({nu_star}, 2)) : 1"
    )
    student, teacher = state_variance(nu, theta), state_variance(nu_star, theta_star)
    # The difference of equal terms can round below zero.
    return chart.transform_calculate(
        loss=f"max(0, 0.5 * (pow(datum.g, 2) * {student} + pow(datum.g_star, 2) * {teacher}) "
        f"- datum.g * datum.g_star * {cross})"
    )


def _named(chart: alt.Chart, name: str, z: Complex) -> tuple[alt.Chart, Complex]:
    """Give a complex expression a name, so that what uses it stays short."""
    chart = chart.transform_calculate(**{f"{name}_re": z.real, f"{name}_im": z.imag})
    return chart, Complex(f"datum.{name}_re", f"datum.{name}_im")


def _denominator(nu: str, theta: str) -> str:
    """|1 - rho lambda|^2."""
    return f"(1 - 2 * rho * ({nu}) * cos({theta}) + pow(rho * ({nu}), 2))"


def state_variance(nu: str, theta: str) -> str:
    """theory.state_variance."""
    return f"((1 - pow(rho * ({nu}), 2)) / ((1 - pow({nu}, 2)) * {_denominator(nu, theta)}))"


def sensitivity(nu: str, theta: str) -> str:
    """theory.sensitivity, with ab = nu^2 and a + b = 2 nu cos(theta)."""
    square, white = f"pow({nu}, 2)", "(1 - rho * rho)"
    top = (
        f"({white} * (1 + {square}) + rho * rho * pow(1 - {square}, 3) "
        f"+ rho * {white} * {square} * (rho * {square} * (1 + {square}) - 4 * ({nu}) * cos({theta})))"
    )
    return f"({top} / (pow(1 - {square}, 3) * pow({_denominator(nu, theta)}, 2)))"


def _slope_of_variance(nu: str, theta: str) -> str:
    """The derivative of E|h|^2 with respect to the modulus."""
    inner = (
        f"(2 * ({nu}) / (1 - pow({nu}, 2)) - 2 * rho * rho * ({nu}) / (1 - pow(rho * ({nu}), 2)) "
        f"+ 2 * (rho * cos({theta}) - rho * rho * ({nu})) / {_denominator(nu, theta)})"
    )
    return f"({state_variance(nu, theta)} * {inner})"


def curvature(k: str, nu: str, theta: str) -> str:
    """Second derivative of the loss at the optimum, over the raw parameter of the k-th parametrisation."""
    S, V, slope = (f(nu, theta) for f in (sensitivity, state_variance, _slope_of_variance))
    square = f"pow({nu}, 2)"
    radial = f"(normalized ? (1 - {square}) * {S} - ({nu}) * {slope} + {square} / (1 - {square}) * {V} : {S})"
    angular = f"({square} * {S} * (normalized ? 1 - {square} : 1))"
    slope_nu = f"({k} == 0 ? 1 : {k} == 1 ? ({nu}) * log({nu}) : 1 - {square})"
    slope_theta = f"({k} == 0 ? 1 : {k} == 1 ? {theta} : (1 - {square}) / (({nu}) * sqrt(1 + {square})))"
    return f"along == 'modulus' ? {radial} * pow({slope_nu}, 2) : {angular} * pow({slope_theta}, 2)"
