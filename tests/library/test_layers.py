"""Layers against an independent implementation: NumPy, one step at a time, from their definition."""

import math

import numpy as np
import pytest
import torch

from rnnlib import LRU, S4D, DiagonalRNN
from rnnlib.parametrization import OPTIMAL

MAKERS = {
    "complex": lambda *sizes, **kw: DiagonalRNN(*sizes, **kw),
    "gamma": lambda *sizes, **kw: DiagonalRNN(*sizes, normalize=True, **kw),
    "lru": lambda *sizes, **kw: LRU(*sizes, **kw),
    "lru optimal": lambda *sizes, **kw: LRU(*sizes, parametrization=OPTIMAL, **kw),
    "s4": lambda *sizes, **kw: S4D(*sizes, **kw),
    "s4 small step": lambda *sizes, **kw: S4D(*sizes, step_size=0.01, **kw),
}
ALL = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def by_definition(layer, x):
    """Outputs from the parameters alone, in NumPy."""
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    if isinstance(layer, DiagonalRNN):
        lam, gamma = p["lam"] @ [1, 1j], p.get("gamma", np.ones(layer.hidden_size))
    elif isinstance(layer, S4D):
        gamma = np.log1p(np.exp(p["omega_delta"]))
        lam = np.exp(gamma * (p["A"] @ [1, 1j]))
    else:
        nu, theta = np.exp(-np.exp(p["omega_nu"])), np.exp(p["omega_theta"])
        if layer.parametrization is OPTIMAL:
            nu = np.tanh(p["omega_nu"])
            theta = p["omega_theta"] * (1 - nu**2) / (nu * np.sqrt(1 + nu**2))
        lam, gamma = nu * np.exp(1j * theta), np.exp(p["omega_gamma"])
    B, C, D = p["B"] @ [1, 1j], p["C"] @ [1, 1j], p["D"]
    outputs = []
    for sequence in x.numpy():
        h = np.zeros(layer.hidden_size, complex)
        for x_t in sequence:
            h = lam * h + gamma * (B @ x_t)
            outputs.append((C @ h).real + D @ x_t)
    return torch.tensor(np.array(outputs)).view(*x.shape[:2], -1)


@ALL
def test_forward_is_the_definition(make):
    layer = make(3, 8, 2, min_modulus=0.5, max_modulus=0.99, generator=generator()).double()
    x = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator(1))
    torch.testing.assert_close(layer(x)[0], by_definition(layer, x))


@ALL
def test_steps_give_the_outputs_of_forward(make):
    layer = make(3, 8, 2, generator=generator()).double()
    x = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator(1))
    state, outputs = layer.initial_state(2), []
    for x_t in x.unbind(1):
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    torch.testing.assert_close(torch.stack(outputs, 1), layer(x)[0])


@ALL
def test_a_state_handed_from_chunk_to_chunk_gives_the_outputs_of_one_call(make):
    layer = make(3, 8, 2, generator=generator()).double()
    x = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator(1))
    state, outputs = layer.initial_state(2), []
    for length in [1, 12, 20, 7]:
        done = sum(y.shape[1] for y in outputs)
        y, state = layer(x[:, done : done + length], state)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, 1), layer(x)[0])
    assert state.untyped_storage().nbytes() == 2 * 8 * 16  # the state alone: a view would keep the chunk in memory


@ALL
def test_the_stepper_is_step_without_gradients(make):
    layer = make(3, 8, 2, generator=generator()).double()
    x = torch.randn(2, 10, 3, dtype=torch.float64, generator=generator(1))
    advance = layer.stepper()
    state = expected_state = layer.initial_state(2)
    for x_t in x.unbind(1):
        y, state = advance(x_t, state)
        expected, expected_state = layer.step(x_t, expected_state)
        torch.testing.assert_close(y, expected.detach())
        torch.testing.assert_close(state, expected_state.detach())
        assert not y.requires_grad and state.untyped_storage().nbytes() == 2 * 8 * 16


@ALL
def test_impulse_response_convolved_with_the_input_is_the_output(make):
    layer = make(2, 8, 3, min_modulus=0.9, generator=generator()).double()
    x = torch.randn(1, 30, 2, dtype=torch.float64, generator=generator(1))
    k = layer.impulse_response(30)
    y = torch.stack([sum(k[lag] @ x[0, t - lag] for lag in range(t + 1)) for t in range(30)])
    torch.testing.assert_close(y, layer(x)[0][0])


@ALL
def test_parameter_counts_of_the_paper(make):
    layer = make(1, 64, 1, min_modulus=0.99)
    plain = isinstance(layer, DiagonalRNN) and layer.gamma is None
    assert sum(p.numel() for p in layer.parameters()) == (385 if plain else 449)


@ALL
def test_eigenvalues_start_on_the_ring(make):
    lam = make(
        1, 1000, 1, min_modulus=0.9, max_modulus=0.95, max_angle=math.pi / 3, generator=generator()
    ).eigenvalues()
    assert lam.abs().min() > 0.9 - 1e-6 and lam.abs().max() < 0.95 + 1e-6
    assert lam.angle().abs().max() < math.pi / 3 + 1e-5


def test_initial_scales_of_the_paper():
    layer = LRU(64, 128, 32, generator=generator())
    for weights, variance in [(layer.B, 1 / 128), (layer.C, 1 / 32), (layer.D, 1 / 64)]:
        assert weights.var().item() == pytest.approx(variance, rel=0.1)


def test_normalized_states_have_unit_variance():
    layer = LRU(1, 32, 1, min_modulus=0.9, max_modulus=0.99, generator=generator()).double()
    with torch.no_grad():
        layer.B.zero_()[..., 0] = 1
    x = torch.randn(400, 600, 1, dtype=torch.float64, generator=generator(1))
    h = torch.zeros(400, 32, dtype=torch.complex128)
    for x_t in x.unbind(1):
        _, h = layer.step(x_t, h)
    assert h.abs().square().mean().item() == pytest.approx(1, rel=0.05)


def test_the_lru_stays_stable_whatever_the_optimiser_does():
    layer = LRU(1, 16, 1, min_modulus=0.99, generator=generator())
    optimizer = torch.optim.SGD(layer.parameters(), lr=10.0)
    layer(torch.randn(2, 50, 1))[0].square().mean().backward()
    optimizer.step()
    assert layer.eigenvalues().abs().max() <= 1


@ALL
def test_training_lowers_the_loss_and_reaches_every_parameter(make):
    layer = make(1, 16, 1, min_modulus=0.5, max_modulus=0.9, generator=generator())
    x = torch.randn(16, 100, 1, generator=generator(1))
    target = 0.5 * x.roll(1, 1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=3e-3)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = (layer(x)[0] - target).square().mean()
        loss.backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in layer.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_bad_shapes_are_named():
    with pytest.raises(ValueError, match="hidden_size must be a whole number of at least 1"):
        LRU(1, 0, 1)
    with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\)"):
        LRU(2, 4, 1)(torch.randn(5, 2))
    with pytest.raises(ValueError, match="x must have 2 features"):
        LRU(2, 4, 1)(torch.randn(5, 7, 3))
    with pytest.raises(TypeError, match=r"parametrization must be .*Parametrization, such as OPTIMAL.*, got 'optimal'"):
        LRU(2, 4, 1, parametrization="optimal")
    for step in (0, -1, 1e-300, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"step_size must be positive, from 1e-30 to 1e30 time steps, got {step}"):
            S4D(2, 4, 1, step_size=step)


@pytest.mark.parametrize("step", [1e-30, 1e30])
def test_the_extreme_steps_of_s4_are_finite(step):
    layer, plain = (S4D(2, 4, 1, step_size=value, generator=generator()) for value in (step, 1.0))
    assert layer.step_sizes().tolist() == pytest.approx([step] * 4, rel=1e-4)
    torch.testing.assert_close(layer.eigenvalues(), plain.eigenvalues(), rtol=1e-4, atol=1e-4)


def test_s4d_with_intervals_is_the_loop_with_a_step_size_for_each_step():
    layer = S4D(2, 5, 3, step_size=0.1, min_modulus=0.5, max_modulus=0.99, dtype=torch.float64)
    x, intervals = torch.randn(2, 12, 2, dtype=torch.float64), torch.rand(2, 12, dtype=torch.float64) * 3
    A, B, C = (torch.view_as_complex(t.detach()) for t in (layer.A, layer.B, layer.C))
    sizes = layer.step_sizes().detach() * intervals[..., None]
    h, expected = torch.zeros(2, 5, dtype=torch.complex128), []
    for t in range(12):
        h = torch.exp(sizes[:, t] * A) * h + sizes[:, t] * (x[:, t].to(B.dtype) @ B.T)
        expected.append((h @ C.T).real + x[:, t] @ layer.D.detach().T)
    y, state = layer(x, intervals=intervals)
    torch.testing.assert_close(y, torch.stack(expected, 1))
    torch.testing.assert_close(state, h)
    torch.testing.assert_close(layer(x, intervals=torch.ones_like(intervals))[0], layer(x)[0])
    state = layer.initial_state(2)
    for t in range(12):
        step, state = layer.step(x[:, t], state, intervals[:, t])
        torch.testing.assert_close(step, expected[t])


def test_intervals_go_with_lengths_resets_and_the_direction_of_time():
    layer = S4D(2, 5, 3, step_size=0.1, dtype=torch.float64)
    x, intervals = torch.randn(2, 9, 2, dtype=torch.float64), torch.rand(2, 9, dtype=torch.float64)
    whole, end = layer(x[:1, :6], intervals=intervals[:1, :6])
    padded, padding = x.clone(), intervals.clone()
    padded[0, 6:], padding[0, 6:] = float("nan"), float("nan")
    y, state = layer(padded, lengths=torch.tensor([6, 9]), intervals=padding.requires_grad_())
    torch.testing.assert_close((y[:1, :6], state[:1]), (whole, end))
    y.sum().backward()
    assert padding.grad.isfinite().all() and (padding.grad[0, :6] != 0).all()
    back, _ = layer(x.flip(1), reverse=True, intervals=intervals.flip(1))
    torch.testing.assert_close(back.flip(1), layer(x, intervals=intervals)[0])
    reset = torch.zeros(2, 9, dtype=torch.bool)
    reset[:, 4] = True
    y, _ = layer(x, reset=reset, intervals=intervals)
    torch.testing.assert_close(y[:, 4:], layer(x[:, 4:], intervals=intervals[:, 4:])[0])


def test_bad_intervals_are_named():
    layer, x = S4D(2, 5, 3), torch.randn(2, 9, 2)
    for intervals, error, message in [
        (torch.ones(2, 8), ValueError, r"intervals must have shape \(2, 9\), one for each step, got \(2, 8\)"),
        (torch.full((2, 9), -0.5), ValueError, "intervals must be at least 0, got -0.5"),
        (torch.ones(2, 9, dtype=torch.int64), TypeError, r"pass intervals\.float\(\)"),
        ([1.0], TypeError, "intervals must be a torch.Tensor"),
    ]:
        with pytest.raises(error, match=message):
            layer(x, intervals=intervals)
