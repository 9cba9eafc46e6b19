"""Hessians three ways, closed form, automatic differentiation and sampling; the rank law; participation ratios."""

import numpy as np
import pytest
import torch

from rnnlib import curvature, theory
from rnnlib.layers import LRU, S4D, DiagonalRNN
from rnnlib.realizations import as_dense, as_diagonal, as_lru, as_s4, conjugate_pairs

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
    layer, response = make(system), system.response(30)
    shifted = response + 0.1 * white(30, seed=2)  # away from the optimum, where the residual counts too
    y = torch.nn.functional.conv1d(x.mT, shifted.flip(0)[None, None], padding=29)[..., :30].mT
    by_samples = curvature.hessian(layer, curvature.sampled_loss(x, y))
    by_response = curvature.hessian(layer, curvature.response_loss(shifted, gram(x[..., 0])))
    torch.testing.assert_close(by_response.matrix, by_samples.matrix, rtol=1e-9, atol=1e-9)


@ALL
def test_finite_differences_agree(make):
    system = conjugate_pairs(min_modulus=0.8, max_modulus=0.9, generator=generator())
    layer, response, weights = make(system), 0.9 * system.response(40), curvature.white_gram(40)
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
    layer, response = as_diagonal(system), system.response(40)
    exact = curvature.hessian(layer, curvature.response_loss(response, curvature.white_gram(40))).matrix
    batches = white(30, 40, 40, 1, seed=4)
    sampled = [curvature.hessian(layer, curvature.sampled_loss(x, layer(x).detach())).matrix for x in batches]
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
    H = curvature.hessian(layer, curvature.response_loss(system.response(300), weights))
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
    H = curvature.hessian(as_diagonal(system), curvature.response_loss(system.response(50), curvature.white_gram(50)))
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
        layer = S4D(1, 500, 1, step=step, min_modulus=0.9, max_modulus=0.95, max_angle=1.0, generator=generator())
        lam = layer.eigenvalues()
        assert lam.abs().min() > 0.9 - 1e-5 and lam.abs().max() < 0.95 + 1e-5
        assert 0.9 < lam.angle().abs().max() < 1 + 1e-5
        torch.testing.assert_close(layer.step_size(), torch.full((500,), step))
