"""The gated layers against independent implementations: a plain torch.nn.GRU, and their equations in NumPy."""

import math

import numpy as np
import pytest
import torch

from rnnlib import ChronoGRU
from rnnlib.layers.gru import chrono_bias

MAKERS = {
    "tanh": lambda *sizes, **kw: ChronoGRU(*sizes, **kw),
    "linear, state": lambda *sizes, **kw: ChronoGRU(*sizes, candidate="linear", **kw),
    "linear, input": lambda *sizes, **kw: ChronoGRU(*sizes, candidate="linear", gates="input", **kw),
    "linear, constant": lambda *sizes, **kw: ChronoGRU(*sizes, candidate="linear", gates="constant", **kw),
}
ALL = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def made(make, *sizes, **options):
    return make(*sizes, generator=generator(), **options).double()


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_definition(layer, x, h):
    """States of one sequence from the parameters alone, in NumPy."""
    p = {name.removeprefix("gru."): value.detach().numpy() for name, value in layer.named_parameters()}
    states = []
    for x_t in x:
        if layer.candidate == "tanh":
            (Wr, Wz, Wn), (Ur, Uz, Un) = (np.split(p[f"weight_{side}_l0"], 3) for side in ("ih", "hh"))
            (br, bz, bn), (cr, cz, cn) = (np.split(p[f"bias_{side}_l0"], 3) for side in ("ih", "hh"))
            r, z = sigmoid(Wr @ x_t + br + Ur @ h + cr), sigmoid(Wz @ x_t + bz + Uz @ h + cz)
            n = np.tanh(Wn @ x_t + bn + r * (Un @ h + cn))
        else:
            z = sigmoid(p["bias"] + p.get("weight_z", np.zeros((1, 1))) @ x_t[: None if "weight_z" in p else 1])
            if "recurrent_z" in p:
                z = sigmoid(p["bias"] + p["weight_z"] @ x_t + p["recurrent_z"] @ h)
            n = p["weight_n"] @ x_t
        h = z * h + (1 - z) * n
        states.append(h)
    return torch.tensor(np.array(states))


@ALL
def test_forward_is_the_definition(make):
    layer = made(make, 3, 8, max_time=20)
    for parameter in layer.parameters():  # biases that start at zero too
        parameter.data += 0.1 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator(2))
    x = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator(1))
    h = torch.randn(2, 8, dtype=torch.float64, generator=generator(3))
    expected = torch.stack([by_definition(layer, *pair) for pair in zip(x.numpy(), h.numpy(), strict=True)])
    torch.testing.assert_close(layer(x, h), expected)
    zeros = torch.stack([by_definition(layer, sequence, np.zeros(8)) for sequence in x.numpy()])
    torch.testing.assert_close(layer(x), zeros)


@ALL
def test_steps_give_the_outputs_of_forward(make):
    layer = made(make, 3, 8)
    x = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator(1))
    state, outputs = layer.initial_state(2), []
    for x_t in x.unbind(1):
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    torch.testing.assert_close(torch.stack(outputs, 1), layer(x))


@ALL
def test_eigenvalues_multiply_the_state(make):
    layer = made(make, 3, 8)
    x = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator(1))
    z, h = layer.eigenvalues(x), layer(x)
    before = torch.cat([torch.zeros(2, 1, 8, dtype=torch.float64), h[:, :-1]], 1)
    n = torch.stack([layer._candidate(x[:, t], before[:, t]) for t in range(40)], 1)
    torch.testing.assert_close(z * before + (1 - z) * n, h)


@ALL
def test_training_reaches_every_parameter(make):
    layer = made(make, 3, 8)
    layer(torch.randn(2, 20, 3, dtype=torch.float64)).square().mean().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_gates_start_at_the_chosen_times():
    paper = ChronoGRU(4, 500, min_time=10, max_time=30, recurrent_scale=0, generator=generator())
    z = paper.eigenvalues(torch.zeros(1, 1, 4)).detach().flatten()
    times = z / (1 - z)  # lambda = T / (1 + T), erratum 21
    assert times.min() >= 9.99 and times.max() <= 30.01 and times.mean().item() == pytest.approx(20, abs=1)
    source = ChronoGRU(4, 500, min_time=10, max_time=30, recurrent_scale=0, minus_one=True, generator=generator())
    shifted = 1 / (1 - source.eigenvalues(torch.zeros(1, 1, 4)).detach().flatten())
    torch.testing.assert_close(shifted, times, rtol=1e-4, atol=0)


def test_initial_weights_of_the_paper():
    layer = ChronoGRU(128, 64, input_scale=1.5, recurrent_scale=3, generator=generator()).gru
    assert layer.weight_ih_l0.var().item() == pytest.approx(2 * 1.5 / 128, rel=0.05)
    for block in layer.weight_hh_l0.double().chunk(3):
        torch.testing.assert_close(block @ block.mT, 9 * torch.eye(64, dtype=torch.float64), atol=1e-4, rtol=0)
    assert layer.bias_hh_l0.abs().max() == 0
    assert [bool(third.abs().max()) for third in layer.bias_ih_l0.chunk(3)] == [False, True, False]
    simple = ChronoGRU(128, 64, candidate="linear", generator=generator())
    assert simple.weight_n.var().item() == pytest.approx(1 / 128, rel=0.05)  # LeCun's, whatever the scale
    assert simple.weight_z.var().item() == pytest.approx(2 / 128, rel=0.05)


@ALL
def test_the_global_generator_is_left_alone(make):
    state = torch.get_rng_state()
    make(4, 4, generator=generator())
    assert torch.equal(state, torch.get_rng_state())


def test_gates_that_ignore_the_state_have_no_weights_for_it():
    names = {gates: set(dict(MAKERS[f"linear, {gates}"](2, 3).named_parameters())) for gates in ("input", "constant")}
    assert names == {"input": {"bias", "weight_n", "weight_z"}, "constant": {"bias", "weight_n"}}


def test_what_does_not_fit_is_named():
    for options, message in [
        ({"candidate": "relu"}, "candidate must be"),
        ({"gates": "input"}, "needs candidate='linear'"),
        ({"candidate": "linear", "gates": "all"}, "gates must be"),
        ({"min_time": 5, "max_time": 2}, "0 < min_time <= max_time"),
        ({"min_time": 1, "minus_one": True}, "min_time must exceed 1"),
        ({"min_time": 1, "max_time": math.inf}, "times must be finite"),
        ({"input_scale": -1}, "input_scale must not be negative"),
        ({"input_scale": math.nan}, "input_scale must not be negative and must be finite, got nan"),
        ({"recurrent_scale": math.inf}, "recurrent_scale must not be negative and must be finite, got inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            ChronoGRU(3, 4, **options)
    with pytest.raises(ValueError, match="hidden_size must be a whole number of at least 1"):
        ChronoGRU(3, 0)
    for layer in (ChronoGRU(3, 4), ChronoGRU(3, 4, candidate="linear")):
        with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\)"):
            layer(torch.zeros(5, 3))
        with pytest.raises(ValueError, match="x must have 3 features"):
            layer(torch.zeros(1, 5, 2))
    assert chrono_bias(3, 1, 1).tolist() == [0, 0, 0]
