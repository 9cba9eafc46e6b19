"""Moments of units whose gates move: against all histories of few draws, simulation, derivatives, constant gates."""

import itertools
import math

import numpy as np
import pytest
import torch

from rnnlib import ChronoGRU, linear_scan, theory

NOISE = torch.tensor([-1.3, 0.2, 0.9], dtype=torch.float64)


def small_gates(b):
    """Three draws of a gate and an input scale, short memories: after nine steps 1e-4 of a variance is left."""
    return 0.6 * torch.sigmoid(b + NOISE), torch.cos(2 * b + NOISE)


def small_complex_gates(b):
    lam, scale = small_gates(b)
    return lam * torch.exp(1j * (b + 0.5 * NOISE)), scale * torch.exp(1j * b * NOISE)


def long_gates(b):
    return torch.sigmoid(b + 3 + NOISE), 1 - 0.8 * torch.sigmoid(b + 3 - 2 * NOISE)


def long_complex_gates(b):
    lam, scale = long_gates(b)
    return lam * torch.exp(1j * b * (1 + 0.2 * NOISE)), scale * torch.exp(1j * b)


def with_derivatives(gates, at=0.4):
    """lam, dlam, scale, dscale at one value of the parameter."""
    point = torch.tensor(at, dtype=torch.float64)
    (lam, scale), (dlam, dscale) = torch.func.jvp(gates, (point,), (torch.ones_like(point),))
    return lam, dlam, scale, dscale


@pytest.mark.parametrize("persistence", [0.0, 0.6])
@pytest.mark.parametrize("rho", [0.0, 0.7, 1.0, -0.5])
@pytest.mark.parametrize("gates", [small_gates, small_complex_gates])
def test_moments_are_the_means_over_all_histories(gates, rho, persistence):
    """Every sequence of nine draws, the latest first, with its probability; derivatives by torch."""
    steps = 9
    histories = torch.tensor(list(itertools.product(range(3), repeat=steps)))
    changes = (histories[:, 1:] != histories[:, :-1]).sum(1)
    anew = (1 - persistence) / 3
    probability = anew**changes * (persistence + anew) ** (steps - 1 - changes) / 3

    def weights(b):
        lam, scale = (draws[histories] for draws in gates(b))
        products = torch.cat([torch.ones_like(lam[:, :1]), lam[:, :-1].cumprod(1)], 1)
        return products * scale

    point = torch.tensor(0.4, dtype=torch.float64)
    responses = torch.func.jvp(weights, (point,), (torch.ones_like(point),))
    lags = torch.arange(steps, dtype=torch.float64)
    R = torch.tensor(rho, dtype=torch.float64) ** (lags[:, None] - lags).abs()
    expected = [(probability * ((w @ R.to(w.dtype)) * w.conj()).sum(1).real).sum() for w in responses]
    found = theory.random_gate_moments(*with_derivatives(gates), rho=rho, persistence=persistence)
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=2e-4, atol=0)


def simulated_moments(gates, x, draw):
    """Mean squares of the state and of its derivative, the latter by differentiating the scan."""

    def states(b):
        lam, scale = gates(b)
        return linear_scan(lam[draw], scale[draw] * x)

    point = torch.tensor(0.4, dtype=torch.float64)
    h, dh = torch.func.jvp(states, (point,), (torch.ones_like(point),))
    return [part[:, 500:].abs().square().mean().item() for part in (h, dh)]


@pytest.mark.parametrize(("rho", "persistence"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.8), (0.9, 0.8)])
@pytest.mark.parametrize("gates", [long_gates, long_complex_gates])
def test_simulation_agrees(gates, rho, persistence):
    generator = torch.Generator().manual_seed(0)
    steps, units = 12_000, 64
    x = torch.randn(1, steps, units, generator=generator, dtype=torch.float64)
    x = linear_scan(torch.full((units,), rho, dtype=torch.float64), (1 - rho**2) ** 0.5 * x)
    new = torch.rand(steps, units, generator=generator) >= persistence
    new[0] = True
    since = torch.where(new, torch.arange(steps)[:, None], 0).cummax(0).values
    draw = torch.randint(3, (steps, units), generator=generator).gather(0, since)[None]
    found = theory.random_gate_moments(*with_derivatives(gates), rho=rho, persistence=persistence)
    np.testing.assert_allclose(simulated_moments(gates, x, draw), found, rtol=0.03)


def test_the_gru_of_figure_15_on_white_inputs():
    """Gates that see the input through random weights, as do the candidates: nearly independent of each other."""
    T, features, batch, units, steps = 10.0, 256, 40, 400, 150
    generator = torch.Generator().manual_seed(0)
    layer = ChronoGRU(features, units, min_time=T, max_time=T, candidate="linear", gates="input", generator=generator)
    with torch.no_grad():
        x = torch.randn(batch, steps, features, generator=generator)
        z, n = layer.activations(x, layer.initial_state(batch)[:, None])
        h = linear_scan(z, (1 - z) * n)
        before = torch.cat([torch.zeros_like(h[:, :1]), h[:, :-1]], 1)
        dh = linear_scan(z, z * (1 - z) * (before - n))
    measured = [part[:, 100::10].square().mean().item() for part in (h, dh)]
    logits = math.log(T) + math.sqrt(2) * torch.special.ndtri((torch.arange(1000.0).double() + 0.5) / 1000)
    z = torch.sigmoid(logits)
    moving = theory.random_gate_moments(z, z * (1 - z), 1 - z, -z * (1 - z))
    np.testing.assert_allclose(measured, moving, rtol=0.03)
    constant = theory.gated_state_variance(T / (1 + T), 0), theory.gated_sensitivity(T / (1 + T), 0)
    assert min(measured[0] / constant[0], measured[1] / constant[1]) > 1.5


@pytest.mark.parametrize("sign", [1.0, 0.0], ids=["sees the sign of x", "sees its size"])
def test_gates_that_see_their_own_input(sign):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 20_000, 64, generator=generator, dtype=torch.float64)
    at_quantiles = torch.special.ndtri((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)

    def gates(b, x):
        lam = torch.sigmoid(b + 2 + 0.7 * torch.where(torch.tensor(sign > 0), x, x.abs()))
        return lam, (1 - lam) * (x + 0.3 * sign)

    point, one = torch.tensor(0.4, dtype=torch.float64), torch.ones((), dtype=torch.float64)
    (lam, u), (dlam, du) = torch.func.jvp(lambda b: gates(b, at_quantiles), (point,), (one,))
    found = theory.input_gate_moments(lam, dlam, u, du)
    simulated = torch.func.jvp(lambda b: linear_scan(*gates(b, x)), (point,), (one,))
    np.testing.assert_allclose([part[:, 500:].square().mean() for part in simulated], found, rtol=0.03)
    without_mean = theory.random_gate_moments(lam, dlam, u, du)
    assert np.allclose(found, without_mean, rtol=1e-6) == (sign == 0)


@pytest.mark.parametrize("persistence", [0.0, 0.5])
@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.9, 1.0])
def test_constant_gates_have_the_moments_of_linear_units(rho, persistence):
    options = {"rho": rho, "persistence": persistence}
    for lam in (0.95, -0.7, 0.6 + 0.5j):
        expected = theory.state_variance(lam, rho), theory.sensitivity(lam, rho)
        np.testing.assert_allclose(theory.random_gate_moments(lam, 1, 1, 0, **options), expected)
        np.testing.assert_allclose(theory.random_gate_moments([lam] * 4, 1, 1, 0, **options), expected)
    lam = 0.9
    gru = theory.random_gate_moments(lam, lam * (1 - lam), 1 - lam, -lam * (1 - lam), **options)
    expected = theory.gated_state_variance(lam, rho), theory.gated_sensitivity(lam, rho)
    np.testing.assert_allclose(gru, expected, rtol=1e-9, atol=1e-13)


def test_constant_gates_have_the_curvature_of_a_normalized_unit():
    nu, theta = 0.9, 0.7
    gamma, turn = math.sqrt(1 - nu**2), np.exp(1j * theta)
    along = [(turn, -nu / gamma), (1j * nu * turn, 0)]
    curvature = [theory.random_gate_moments(nu * turn, dlam, gamma, dgamma)[1] for dlam, dgamma in along]
    np.testing.assert_allclose(curvature, theory.one_dimensional_curvature(nu, normalized=True))


def test_gates_that_hardly_ever_change_are_frozen():
    lam, dlam, scale, dscale = with_derivatives(long_gates)
    frozen = [theory.random_gate_moments(*draws) for draws in zip(lam, dlam, scale, dscale, strict=True)]
    found = theory.random_gate_moments(lam, dlam, scale, dscale, persistence=1 - 1e-7)
    torch.testing.assert_close(torch.stack(found), torch.tensor(frozen).double().mean(0), rtol=1e-4, atol=0)


def test_noise_in_the_logit_of_a_gate_changes_constants_and_no_powers():
    noise = np.array([-2.0, -0.3, 0.1, 1.1])
    eps = 1e-6
    lam = 1 / (1 + eps * np.exp(-noise))
    slope = lam * (1 - lam)
    moments = theory.random_gate_moments(lam, slope, 1 - lam, -slope)
    factor = np.exp(-2 * noise).mean() / np.exp(-noise).mean()
    np.testing.assert_allclose(moments, [factor * eps / 2, factor * eps / 4], rtol=1e-4)


def test_variance_grows_without_end_beyond_the_domain():
    """E lam^2 is 1.04 here, though lam is below 1 half of the time and E log lam is negative."""
    draws = np.array([1.4, 0.34])
    assert np.log(draws).mean() < 0
    variance = 0.0
    for _ in range(300):
        variance = (draws**2).mean() * variance + 1
    assert variance > 1e5
    with pytest.raises(
        ValueError, match=r"lam must be draws with a mean \|lam\|\^2 below 1 .*scale lam down.*got 1.03"
    ):
        theory.random_gate_moments(draws, 1, 1, 0)
    assert np.isfinite(theory.random_gate_moments(0.98 * draws, 1, 1, 0)).all()


def test_persistence_narrows_the_domain():
    """A gate above 1 that lasts; the chain's matrix says where its spectral radius reaches 1."""
    draws = np.array([1.1, 0.3, 0.5])
    for p in np.linspace(0, 0.95, 20):
        matrix = (draws**2)[:, None] * (p * np.eye(3) + (1 - p) / 3)
        if np.abs(np.linalg.eigvals(matrix)).max() < 1:
            assert np.isfinite(theory.random_gate_moments(draws, 1, 1, 0, persistence=p)).all()
        else:
            with pytest.raises(ValueError, match="lam must be draws with"):
                theory.random_gate_moments(draws, 1, 1, 0, persistence=p)
    assert p * 1.1**2 > 1  # both conditions were met


def test_arguments_out_of_range_are_named():
    good = {"lam": [0.5, 0.6], "dlam": 1, "scale": 1, "dscale": 0}
    for name in good:
        with pytest.raises(ValueError, match=f"{name} must be finite, got nan"):
            theory.random_gate_moments(**good | {name: math.nan})
        with pytest.raises(ValueError, match=f"{name} must hold at least one draw"):
            theory.random_gate_moments(**dict.fromkeys(good, 1) | {name: []})
    for rho in (1.5, math.nan):
        with pytest.raises(ValueError, match="rho must be real, -1 <= rho <= 1"):
            theory.random_gate_moments(**good, rho=rho)
    for p in (1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="persistence must be real, 0 <= persistence < 1"):
            theory.random_gate_moments(**good, persistence=p)
    with pytest.raises(ValueError, match="rho must be one number"):
        theory.random_gate_moments(**good, rho=[0.1, 0.2])
    with pytest.raises(ValueError, match=r"lam, dlam, scale, dscale must broadcast, got shapes \(2,\), \(3,\)"):
        theory.random_gate_moments([0.5, 0.6], np.ones(3), 1, 0)
    with pytest.raises(ValueError, match="ddrive must be finite, got inf"):
        theory.input_gate_moments(0.5, 1, 1, math.inf)


def test_the_last_axis_holds_the_draws():
    lam = np.array([[[0.5, 0.6]], [[0.7, 0.2]]])
    scale = np.array([[1.0], [2.0], [3.0]])
    variance, sensitivity = theory.random_gate_moments(lam, 1, scale, 0)
    assert variance.shape == sensitivity.shape == (2, 3)
    expected = theory.random_gate_moments(lam[1, 0], 1, 3.0, 0)
    np.testing.assert_allclose([variance[1, 2], sensitivity[1, 2]], expected)
    assert all(np.ndim(value) == 0 for value in expected)


def test_numbers_arrays_and_tensors_alike():
    lam = [0.5 + 0.2j, 0.6]
    expected = theory.random_gate_moments(lam, 1j, [1, 2], 0.5)
    for arguments in [
        (torch.tensor(lam).to(torch.complex128), 1j, [1, 2], 0.5),
        (lam, 1j, torch.tensor([1.0, 2]), 0.5),
    ]:
        found = theory.random_gate_moments(*arguments)
        assert all(isinstance(value, torch.Tensor) and not value.is_complex() for value in found)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert theory.random_gate_moments(torch.tensor([0, 1]), 1, 1, 0)[0] == 2


def test_moments_are_differentiable_and_go_through_vmap():
    lam, dlam, scale, dscale = (value.clone().requires_grad_() for value in with_derivatives(small_complex_gates))
    assert torch.autograd.gradcheck(
        lambda *draws: theory.random_gate_moments(*draws, rho=0.5, persistence=0.3), (lam, dlam, scale, dscale)
    )
    gates = torch.tensor([[0.5, 0.6], [0.7, 1.8]], dtype=torch.float64)
    variance, _ = torch.func.vmap(lambda lam: theory.random_gate_moments(lam, 1.0, 1.0, 0.0))(gates)
    assert variance.isnan().tolist() == [False, True]
    torch.testing.assert_close(variance[0], theory.random_gate_moments(gates[0], 1.0, 1.0, 0.0)[0])
