"""The wrong expressions are those that the paper prints and plots."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from rnnlib import theory
from rnnlib.lab import as_printed


def test_cross_sensitivity_is_the_printed_expression():
    np.testing.assert_allclose(as_printed.cross_sensitivity(0.9, 0.9, 0.9), 2271.759, rtol=1e-6)
    ratio = theory.cross_sensitivity(0.9999, 0.9999, 0.5) / as_printed.cross_sensitivity(0.9999, 0.9999, 0.5)
    np.testing.assert_allclose(ratio, 1.5, rtol=1e-3)  # 1 + rho as |lambda| -> 1
    a, b, rho = Fraction(3, 10), Fraction(-6, 10), Fraction(4, 10)
    numerator = (1 - rho) * (1 + a * b) + rho**2 * (1 - a * b) ** 3
    numerator += rho * (1 - rho) * a * b * (rho * a * b * (1 + a * b) - 2 * a - 2 * b)
    printed = numerator / ((1 - a * b) ** 3 * (1 - rho * a) ** 2 * (1 - rho * b) ** 2)
    assert as_printed.cross_sensitivity(float(a), float(b), float(rho)) == pytest.approx(float(printed), rel=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.5, -0.7])
def test_gated_sensitivity_is_the_plotted_expression(rho):
    def f(a, b):
        return (1 - a) * (1 - b) * theory.generating_function(a, b, rho)

    lam = torch.tensor(0.9, dtype=torch.float64)
    slope = torch.func.grad(f)
    mixed = torch.func.grad(lambda b: slope(lam, b))(lam)
    plotted = (lam * (1 - lam)) ** 2 * (f(lam, lam) + 2 * slope(lam, lam) + mixed)
    torch.testing.assert_close(as_printed.gated_sensitivity(lam, rho), plotted)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: as_printed.cross_sensitivity(1.0, 0.5, 0.5), "a"),
        (lambda: as_printed.cross_sensitivity(0.5, 0.5, 1.5), "rho"),
        (lambda: as_printed.gated_sensitivity(1.0, 0.5), "lam"),
    ],
)
def test_arguments_out_of_range_are_named(call, name):
    with pytest.raises(ValueError, match=f"^{name} must be"):
        call()
