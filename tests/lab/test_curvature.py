"""Hessians three ways, closed form, automatic differentiation and sampling; the rank law; participation ratios."""

import numpy as np
import pytest
import torch

from rnnlib import theory
from rnnlib.lab import curvature
from rnnlib.lab.systems import System, as_dense, as_diagonal, as_lru, as_s4, conjugate_pairs
from rnnlib.layers import LRU, S4D, DiagonalRNN

MAKERS = {"dense": as_dense, "diagonal": as_diagonal, "lru": as_lru, "s4": as_s4}
ALL = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def white(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def gram(x):
    """G by its definition, one pair of lags at a time, from inputs (B, T)."""
    batch, time = x.shape
    G = torch.zeros(time, time, dtype=x.dtype)
    for i in range(time):
        for j in range(time):
            t = torch.arange(max(i, j), time)
            G[i, j] = (x[:, t - i] * x[:, t - j]).sum() / (batch * time)
    return G


@ALL
def test_impulse_responses_give_the_hessian_of_the_minibatch(make):
    system, x = conjugate_pairs(generator=generator()), white(4, 30, 1, seed=1)
    layer, response = make(system), system.impulse_response(30)
    shifted = response + 0.1 * white(30, seed=2)  # away from the optimum, where the residual counts too
    y = torch.nn.functional.conv1d(x.mT, shifted.flip(0)[None, None], padding=29)[..., :30].mT
    by_samples = curvature.hessian(layer, curvature.sampled_loss(x, y))
    by_response = curvature.hessian(layer, curvature.response_loss(shifted, gram(x[..., 0])))
    torch.testing.assert_close(by_response.matrix, by_samples.matrix, rtol=1e-9, atol=1e-9)


@ALL
def test_finite_differences_agree(make):
    system = conjugate_pairs(min_modulus=0.8, max_modulus=0.9, generator=generator())
    layer, response, weights = make(system), 0.9 * system.impulse_response(40), curvature.white_gram(40)
    H = curvature.hessian(layer, curvature.response_loss(response, weights))
    name, rows = next(iter(H.groups.items()))
    parameter = dict(layer.named_parameters())[name.removesuffix(".real")].data.view(len(system.B), -1)
    start, h = parameter[0, 0].item(), 1e-4 * parameter[0, 0].abs().item()

    def loss_at(value):
        parameter[0, 0] = value
        return 0.5 * (weights * (layer.impulse_response(40)[:, 0, 0] - response).square()).sum().item()

    second = (loss_at(start - h) - 2 * loss_at(start) + loss_at(start + h)) / h**2
    assert second == pytest.approx(H.matrix[rows.start, rows.start].item(), rel=1e-4)


def test_population_is_the_mean_over_minibatches():
    """30 minibatches of 40 sequences: their mean is within 5 standard errors, entry by entry."""
    system = conjugate_pairs(1, min_modulus=0.8, max_modulus=0.9, generator=generator(3))
    layer, response = as_diagonal(system), system.impulse_response(40)
    exact = curvature.hessian(layer, curvature.response_loss(response, curvature.white_gram(40))).matrix
    batches = white(30, 40, 40, 1, seed=4)
    sampled = [curvature.hessian(layer, curvature.sampled_loss(x, layer(x)[0].detach())).matrix for x in batches]
    mean, error = torch.stack(sampled).mean(0), torch.stack(sampled).std(0) / len(sampled) ** 0.5
    assert ((mean - exact).abs() <= 5 * error + 1e-9).all()
    assert (error.diagonal() < 0.2 * exact.diagonal()).all()


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_closed_form_over_an_infinite_window(rho):
    layer = DiagonalRNN(1, 3, 1, min_modulus=0.7, max_modulus=0.9, generator=generator()).double()
    lag = torch.arange(400)
    G = torch.tensor(rho, dtype=torch.float64) ** (lag[:, None] - lag).abs()
    H = curvature.hessian(layer, curvature.response_loss(layer.impulse_response(400).detach()[:, 0, 0], G))
    lam, b, c = (torch.view_as_complex(p.detach()).flatten().numpy() for p in (layer.lam, layer.B, layer.C))
    rows = slice(H.groups["lam.real"].start, H.groups["lam.imag"].stop)
    np.testing.assert_allclose(H.matrix[rows, rows], theory.diagonal_hessian(lam, b, c, rho), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("pairs", [1, 2])
@ALL
def test_rank_law(make, pairs):
    system = conjugate_pairs(pairs, min_modulus=0.8, max_modulus=0.95, generator=generator(5))
    layer, weights = make(system), curvature.white_gram(300)
    H = curvature.hessian(layer, curvature.response_loss(system.impulse_response(300), weights))
    assert curvature.rank(layer, weights) == 2 * 2 * pairs + 1 < len(H.matrix)
    largest = H.eigenvalues[0]
    torch.testing.assert_close(
        curvature.response_singular_values(layer, weights).square(), H.eigenvalues, rtol=1e-6, atol=1e-12 * largest
    )


@ALL
def test_realizations_share_one_response(make):
    system = conjugate_pairs(generator=generator(6))
    k = make(system).impulse_response(100)[:, 0, 0]
    by_powers = [system.C @ torch.linalg.matrix_power(system.A, t) @ system.B for t in range(100)]
    expected = torch.stack(by_powers) + torch.eye(1, 100, dtype=torch.float64)[0] * system.D
    torch.testing.assert_close(k.detach(), expected, rtol=1e-9, atol=1e-9)


def test_systems_are_conjugate_pairs_in_the_ring():
    lam = torch.linalg.eigvals(conjugate_pairs(3, 0.9, 0.95, generator=generator()).A)
    assert lam.abs().min() > 0.9 - 1e-9 and lam.abs().max() < 0.95 + 1e-9
    upper = lam[lam.imag > 0]
    assert len(upper) == 3
    torch.testing.assert_close(upper.conj().imag.sort().values, lam[lam.imag < 0].imag.sort().values)


def test_groups_name_every_row_once():
    x = white(1, 5, 1)
    H = curvature.hessian(as_lru(conjugate_pairs(generator=generator())), lambda forward: forward(x).sum())
    names = ["omega_nu", "omega_theta", "omega_gamma", "B.real", "B.imag", "C.real", "C.imag", "D"]
    assert list(H.groups) == names
    assert [i for rows in H.groups.values() for i in range(rows.start, rows.stop)] == list(range(29))
    assert H.largest()["D"] == pytest.approx(0, abs=1e-12)  # outputs are linear in D


def test_eigenvectors_belong_to_eigenvalues_in_order():
    system = conjugate_pairs(generator=generator())
    H = curvature.hessian(
        as_diagonal(system), curvature.response_loss(system.impulse_response(50), curvature.white_gram(50))
    )
    assert (H.eigenvalues.diff() <= 0).all()
    torch.testing.assert_close(H.matrix @ H.eigenvectors, H.eigenvectors * H.eigenvalues, rtol=1e-9, atol=1e-6)


def test_participation_ratio():
    vectors = torch.tensor([[1.0, 0.5, 3.0], [0.0, 0.5, 0.0], [0.0, 0.5, 4.0], [0.0, 0.5, 0.0]])
    torch.testing.assert_close(curvature.participation_ratio(vectors), torch.tensor([1.0, 4.0, 625 / 337]))


def test_diagonal_fraction():
    assert curvature.diagonal_fraction(torch.diag(torch.tensor([3.0, 4.0]))) == 1
    assert curvature.diagonal_fraction(torch.ones(4, 4)) == pytest.approx(1 / 4)


def test_single_precision_is_refused():
    with pytest.raises(TypeError, match=r"convert the layer with .double\(\)"):
        curvature.hessian(LRU(1, 2, 1), lambda forward: forward(torch.ones(1, 3, 1)).sum())


def test_s4_starts_on_the_ring_whatever_its_step():
    for step in [1.0, 0.01]:
        layer = S4D(1, 500, 1, step_size=step, min_modulus=0.9, max_modulus=0.95, max_angle=1.0, generator=generator())
        lam = layer.eigenvalues()
        assert lam.abs().min() > 0.9 - 1e-5 and lam.abs().max() < 0.95 + 1e-5
        assert 0.9 < lam.angle().abs().max() < 1 + 1e-5
        torch.testing.assert_close(layer.step_sizes(), torch.full((500,), step))


@pytest.mark.parametrize("shape", [(1, 12, 1), (3, 12), (12, 1), (3, 1, 1), ()])
def test_targets_that_would_broadcast_are_refused(shape):
    layer, x = as_diagonal(conjugate_pairs(generator=generator())), white(3, 12, 1)
    with pytest.raises(ValueError, match=r"y must have the shape of the outputs, \(3, 12, 1\), got"):
        curvature.hessian(layer, curvature.sampled_loss(x, white(*shape)))


@pytest.mark.parametrize("coupling", [1.0, 1e-3])
@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("make", [as_diagonal, as_lru, as_s4])
def test_a_defective_system_has_no_diagonal_form(make, size, coupling):
    """A Jordan block, as it is and in other coordinates, in which rounding splits its eigenvalues."""
    J = 0.9 * torch.eye(size, dtype=torch.float64) + coupling * torch.eye(size, dtype=torch.float64).roll(1, 1).triu()
    Q = torch.linalg.qr(white(size, size, seed=3))[0]
    for A in (J, Q @ J @ Q.mT):
        with pytest.raises(ValueError, match=r"eigenvectors of A must have a condition number below 1e\+07, got"):
            make(System(A, white(size), white(size), white()))


def test_equal_eigenvalues_with_all_their_eigenvectors_are_fine():
    system = System(0.9 * torch.eye(3, dtype=torch.float64), white(3), white(3, seed=1), white())
    for make in MAKERS.values():
        torch.testing.assert_close(make(system).impulse_response(20)[:, 0, 0].detach(), system.impulse_response(20))


def test_systems_that_a_layer_cannot_hold_are_named():
    def diagonal(*values):
        return System(torch.diag(torch.tensor(values, dtype=torch.float64)), white(2), white(2), white())

    for modulus in (1.0, 1.5, 0.0):
        with pytest.raises(ValueError, match=rf"moduli in \(0, 1\), got {modulus}"):
            as_lru(diagonal(0.5, modulus))
    with pytest.raises(ValueError, match="eigenvalues of S4 must not be 0"):
        as_s4(diagonal(0.5, 0.0))
    with pytest.raises(ValueError, match=r"step_size must be a number in \(0, inf\), got -1"):
        as_s4(diagonal(0.5, 0.6), -1)
    good = diagonal(0.5, 0.6)
    with pytest.raises(ValueError, match=r"B must have shape \(2,\), got \(2, 1\)"):
        System(good.A, good.B[:, None], good.C, good.D)
    with pytest.raises(ValueError, match=r"A must be float64, got torch.float32"):
        System(good.A.float(), good.B, good.C, good.D)
    for length in (0, -1, 1.5):
        with pytest.raises(ValueError, match=f"length must be a whole number of at least 1, got {length}"):
            good.impulse_response(length)
    for arguments in [(2, 0.9, 0.8), (2, 0.9, 1.0), (2, -0.1, 0.5)]:
        with pytest.raises(ValueError, match="need 0 <= min_modulus <= max_modulus < 1"):
            conjugate_pairs(*arguments)
    with pytest.raises(ValueError, match="pairs must be a whole number of at least 1, got 0"):
        conjugate_pairs(0)


def test_arguments_of_measures_are_checked():
    layer = as_diagonal(conjugate_pairs(generator=generator()))
    two = DiagonalRNN(1, 2, 2).double()
    calls = {
        r"gram must have shape \(6, 6\), got \(5, 5\)": lambda: curvature.response_loss(white(6), white(5, 5)),
        r"response must have shape \(T,\), got \(6, 1\)": lambda: curvature.response_loss(white(6, 1), white(6)),
        "must have scalar input and output": lambda: curvature.hessian(
            two, curvature.response_loss(white(6), white(6))
        ),
        "weights must not be negative, got -1": lambda: curvature.response_singular_values(layer, -torch.ones(3)),
        r"tolerance must be a number in \(0, 1\), got 0": lambda: curvature.rank(layer, white(3).abs(), 0),
        "vectors must not be 0, got column 2": lambda: curvature.participation_ratio(torch.eye(3)[:2]),
        "matrix must not be 0": lambda: curvature.diagonal_fraction(torch.zeros(2, 2)),
        r"matrix must have shape \(2, 2\), got \(2, 3\)": lambda: curvature.diagonal_fraction(torch.ones(2, 3)),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()
