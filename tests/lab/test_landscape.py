"""Saddle, valley or slope: measures on surfaces and students whose answers are known."""

import math

import pytest
import torch

from rnnlib import DenseRNN
from rnnlib.lab import landscape, systems
from rnnlib.lab.curvature import hessian, response_loss, white_gram

LENGTH = 40
TEACHER = systems.teacher(1, 0.9)
TARGET = TEACHER.impulse_response(LENGTH)


def student(width=5, heads=1):
    layer = DenseRNN(1, width, 1, heads=heads, min_modulus=0.8, generator=torch.Generator().manual_seed(0))
    return layer.double()


def test_residuals_are_those_of_the_loss_and_the_loss_is_that_of_the_layer():
    layer = student()
    point = landscape.DensePoint(layer, TARGET)
    r, J = point.residuals()
    loss = response_loss(TARGET, white_gram(LENGTH))(lambda x: layer(x)[0])
    for half_square in (0.5 * r @ r, point.loss(point.x)):
        torch.testing.assert_close(half_square, loss)
    torch.testing.assert_close(torch.func.grad(point.loss)(point.x), J.T @ r)
    gradients = torch.autograd.grad(loss, [layer.A, layer.B, layer.C, layer.D])
    torch.testing.assert_close(J.T @ r, torch.cat([gradient.flatten() for gradient in gradients]))
    zero = torch.zeros_like(point.x)
    assert point.decades(zero) == pytest.approx(0)
    torch.testing.assert_close(point.eigenvalues().abs().max(), torch.linalg.eigvals(layer.A[0]).abs().max())


def test_a_student_of_several_heads_is_refused():
    with pytest.raises(ValueError, match="one head, got sizes 1 and 1 and 2 heads"):
        landscape.DensePoint(student(width=4, heads=2), TARGET)


def test_extreme_curvatures_are_those_of_the_full_hessian():
    layer = student()
    point = landscape.DensePoint(layer, TARGET)
    exact = hessian(layer, response_loss(TARGET, white_gram(LENGTH))).eigenvalues
    assert exact[-1] < -1e-3  # not positive definite, so that there is something to find
    largest, smallest, vector = landscape.extreme_curvatures(point.loss, point.x)
    assert (largest, smallest) == pytest.approx((exact[0].item(), exact[-1].item()), rel=1e-6)
    torch.testing.assert_close(landscape.along(point.loss, point.x, vector), smallest * vector, atol=1e-4, rtol=1e-3)
    # with few steps they lie inside
    largest, smallest, _ = landscape.extreme_curvatures(point.loss, point.x, steps=4)
    assert exact[-1] <= smallest < largest <= exact[0] * (1 + 1e-12)


def saddle(x):
    """1 on the line of the third coordinate, from which it falls to .75 at a distance of 1."""
    return 1 + 1.5 * x[0] ** 2 - 0.5 * x[1] ** 2 + 0.25 * x[1] ** 4


def bowl(x):
    return 1 + x @ x


def test_a_saddle_is_left_along_its_negative_curvature():
    x = torch.tensor([0.0, 0.0, 10.0], dtype=torch.float64)
    largest, smallest, direction = landscape.extreme_curvatures(saddle, x)
    assert (largest, smallest) == pytest.approx((3, -1))
    assert abs(direction[1].item()) == pytest.approx(1)
    assert landscape.escape(saddle, x, direction) == pytest.approx(
        -math.log10(0.75), rel=0.1
    )  # at one of the distances
    for ascent in (x.new_tensor([1.0, 0, 0]), x.new_tensor([0, 0, 1.0])):
        assert landscape.escape(saddle, x, ascent) == 0
    assert landscape.escape(bowl, 1e-6 * x, x.new_tensor([1.0, 0, 0])) == 0


def test_what_small_steps_reach():
    r = torch.tensor([3.0, 4, 12], dtype=torch.float64)
    J = torch.tensor([[1.0, 0], [0, 0.1], [0, 0]], dtype=torch.float64)
    assert landscape.reached(r, J, (1.0, 0.02, 0.009)) == pytest.approx([9 / 169, 9 / 169, 25 / 169])
    assert landscape.reached(torch.eye(3, dtype=torch.float64)[2], J, [1e-12]) == [0]  # a stationary point


def test_modes_add_up_to_the_response():
    modes = landscape.modes(TEACHER, LENGTH)
    powers = modes.eigenvalues ** torch.arange(LENGTH)[:, None]
    response = (powers @ modes.amplitudes).real
    response[0] += TEACHER.D
    torch.testing.assert_close(response, TARGET)
    assert modes.shares.sum() == pytest.approx(1) and (modes.shares.diff() <= 0).all()
    assert len(modes.eigenvalues) < 10 and (modes.eigenvalues.imag >= 0).all()


def test_missing_modes_are_those_left_out():
    modes, root = landscape.modes(TEACHER, LENGTH), white_gram(LENGTH).sqrt()
    responses = root[:, None] * (modes.amplitudes * modes.eigenvalues ** torch.arange(LENGTH)[:, None]).real
    count = len(modes.shares)
    for left_out in range(count):
        r = -responses[:, left_out]
        assert landscape.missing(modes, r)[left_out] == pytest.approx(1)
        assert landscape.missing(modes, 0.5 * r)[left_out] == pytest.approx(0.5)
        assert landscape.explained(modes, r, [left_out]) == pytest.approx(1)
        if modes.eigenvalues[left_out].imag:  # the teacher has two real ones that are nearly equal
            assert landscape.explained(modes, r, [mode for mode in range(count) if mode != left_out]) < 0.9
    noise = torch.randn(LENGTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert landscape.explained(modes, noise, []) == 0 < landscape.explained(modes, noise, range(count)) < 0.5
    assert landscape.missing(modes, 0 * noise).abs().max() == 0
