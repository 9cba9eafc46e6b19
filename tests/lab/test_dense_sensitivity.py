"""Second moments for dense matrices, against SciPy, autodiff and a scalar's closed form."""

import numpy as np
import pytest
import torch
from scipy import linalg

from rnnlib import theory
from rnnlib.lab import dense_sensitivity
from rnnlib.layers.dense import dense_recurrence


@pytest.fixture(scope="module")
def A():
    normal = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return dense_recurrence(normal, 0.8).numpy()


def test_the_moment_is_that_of_state_and_sensitivity_as_one_system(A):
    """[h, s] is a linear system of twice the size, whose covariance SciPy knows."""
    directions = np.random.default_rng(0).normal(size=(2, 4, 4))
    moments = dense_sensitivity.stationary_sensitivity(A, directions)
    for matrix, direction, moment in zip(A, directions, moments, strict=True):
        both = np.block([[matrix, np.zeros((4, 4))], [direction, matrix]])
        covariance = linalg.solve_discrete_lyapunov(both, np.diag([1.0] * 4 + [0.0] * 4))
        assert moment == pytest.approx(np.trace(covariance[4:, 4:]), rel=1e-8)


def test_a_matrix_of_one_entry_is_the_unit_of_the_theory():
    for lam in (0.3, -0.9, 0.999):
        moment = dense_sensitivity.stationary_sensitivity(np.array([[lam]]), dense_sensitivity.entries(1))
        assert moment[0] == pytest.approx(theory.sensitivity(lam, 0.0), rel=1e-9)


def test_many_steps_reach_the_stationary_moment_and_few_are_those_of_autodiff(A):
    entries = dense_sensitivity.entries(4)
    over_steps = dense_sensitivity.sensitivity_over_steps(A[0][None], entries, 600)
    assert over_steps[-1] == pytest.approx(dense_sensitivity.stationary_sensitivity(A[0][None], entries), rel=1e-9)

    def states(matrix, steps=3):  # after an input of each unit at each step, whose squares add up
        return torch.cat([torch.linalg.matrix_power(matrix, lag) for lag in range(steps)], 1)

    jacobian = torch.func.jacfwd(states)(torch.from_numpy(A[0]))
    assert over_steps[2] == pytest.approx(jacobian.square().sum((0, 1)).flatten().numpy(), rel=1e-12)


def test_the_parts_move_eigenvalues_alone_and_eigenvectors_alone(A):
    direction, step = np.random.default_rng(1).normal(size=(4, 4)), 1e-6
    eigenvalues = dense_sensitivity.through_eigenvalues(A[0], direction)
    lam, V = np.linalg.eig(A[0])

    def moved(part):
        values, vectors = np.linalg.eig(A[0] + step * part)
        nearest = np.abs(values - lam[:, None]).argmin(1)
        overlap = np.abs((V.conj() * vectors[:, nearest]).sum(0))  # 1 where an eigenvector stays
        return np.abs(values[nearest] - lam).max() / step, np.sqrt(np.maximum(1 - overlap**2, 0)).max() / step

    of_eigenvalues, of_eigenvectors = moved(eigenvalues), moved(direction - eigenvalues)
    assert of_eigenvalues[0] > 0.1 and of_eigenvalues[1] < 0.05
    assert of_eigenvectors[0] < 1e-3 and of_eigenvectors[1] > 0.1


@pytest.mark.parametrize("radius", [1.0, 1.5])
def test_a_matrix_without_a_stationary_state_is_refused(radius):
    with pytest.raises(ValueError, match="inside the unit circle"):
        dense_sensitivity.stationary(radius * np.eye(2), np.eye(2))
