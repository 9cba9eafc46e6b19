"""Systems: stored teachers are their seeds' draws, follow the recipe, and inputs can be redrawn alone."""

import math

import numpy as np
import pytest
import torch

from rnnlib.lab import systems
from rnnlib.layers.dense import dense_recurrence


def test_the_stored_arrays_are_those_of_the_seeds():
    for index, stored in enumerate(systems._stored()):
        drawn = systems.draw_teacher(index)
        for name, array in drawn.items():
            np.testing.assert_array_equal(stored[name], array, err_msg=f"teacher {index}, {name}")


def test_teachers_differ_and_have_the_paper_s_variances():
    draws = np.stack([systems.draw_teacher(index)["A"] for index in range(systems.TEACHERS)])
    assert len(np.unique(draws)) == draws.size
    assert draws.mean() == pytest.approx(0, abs=0.1) and draws.var() == pytest.approx(1, rel=0.1)
    one = systems.teacher(3, 0.9)
    np.testing.assert_allclose(one.C * math.sqrt(10), systems.draw_teacher(3)["C"][0], rtol=1e-15)
    np.testing.assert_array_equal(one.B, systems.draw_teacher(3)["B"][:, 0])


@pytest.mark.parametrize(("nu0", "angle"), [(0.0, math.pi), (0.99, math.pi), (0.99, 0.1)])
def test_the_state_matrix_is_that_of_the_students_recipe(nu0, angle):
    """Two implementations: NumPy here, PyTorch in the layer."""
    for index in range(systems.TEACHERS):
        expected = dense_recurrence(torch.from_numpy(systems.draw_teacher(index)["A"]), nu0, angle)
        np.testing.assert_allclose(systems.teacher(index, nu0, angle).A, expected.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("nu0", [0.36, 0.92, 0.99])
def test_moduli_lie_on_the_ring(nu0):
    for index in range(systems.TEACHERS):
        modulus = np.abs(np.linalg.eigvals(systems.teacher(index, nu0).A))
        assert modulus.min() > nu0 and modulus.max() < 1


def test_impulse_response_is_that_of_the_system():
    one = systems.teacher(0, 0.9)
    k = one.impulse_response(8).numpy()
    expected = [(one.C @ torch.linalg.matrix_power(one.A, lag) @ one.B).item() for lag in range(8)]
    expected[0] += one.D.item()
    np.testing.assert_allclose(k, expected, rtol=1e-12)


def test_any_step_can_be_redrawn_alone():
    whole = [systems.white_inputs(3, step, 4, 10) for step in range(5)]
    assert torch.equal(systems.white_inputs(3, 4, 4, 10), whole[4])
    for other in (systems.white_inputs(2, 4, 4, 10), whole[3], systems.white_inputs(4, 3, 4, 10)):
        assert not torch.equal(other, whole[4])


def test_inputs_are_white_also_from_step_to_step_and_seed_to_seed():
    """Neighbouring seeds of the generator must not give related draws: correlations within 4 standard errors."""
    x = torch.stack([systems.white_inputs(seed, step, 40, 50).flatten() for seed in (0, 1) for step in range(50)])
    assert x.mean().abs() < 4 / math.sqrt(x.numel()) and abs(x.var().item() - 1) < 4 * math.sqrt(2 / x.numel())
    correlation = (x @ x.T / x.shape[1]).fill_diagonal_(0) * math.sqrt(x.shape[1])
    assert correlation.abs().max() < 4.8  # of 4,950 pairs
    assert correlation.square().sum() / (100 * 99) == pytest.approx(1, abs=0.1)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="32 stored teachers"):
        systems.teacher(32)
    with pytest.raises(ValueError, match=r"min_modulus must be a number in \[0, 1\)"):
        systems.teacher(0, 1.0)
    with pytest.raises(ValueError, match="max_angle must be a number in"):
        systems.teacher(0, 0.5, 4.0)
    with pytest.raises(ValueError, match=r"got 0\.5"):
        systems.teacher(0.5)
    for index in (-1, 0.5):
        with pytest.raises(ValueError, match=f"index must be a whole number of at least 0, got {index}"):
            systems.draw_teacher(index)
    for batch, length in [(0, 1), (1, 0), (1, 2.5)]:
        with pytest.raises(ValueError, match=r"must be a whole number of at least 1, got (0|2.5)"):
            systems.white_inputs(0, 0, batch, length)
    one = systems.teacher(0)
    with pytest.raises(ValueError, match=r"B must have shape \(10,\), got \(10, 1\)"):
        systems.System(one.A, one.B[:, None], one.C, one.D)
    with pytest.raises(ValueError, match="need 0 <= seed < 2048"):
        systems.white_inputs(2048, 0, 1, 1)
