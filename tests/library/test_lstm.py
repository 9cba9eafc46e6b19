"""The LSTM against its equations in NumPy, and its initial gates."""

import numpy as np
import pytest
import torch

from rnnlib import ChronoLSTM

MAKERS = {
    "tanh": lambda *sizes, **kw: ChronoLSTM(*sizes, **kw),
    "linear, state": lambda *sizes, **kw: ChronoLSTM(*sizes, candidate="linear", **kw),
    "linear, input": lambda *sizes, **kw: ChronoLSTM(*sizes, candidate="linear", gates="input", **kw),
    "linear, constant": lambda *sizes, **kw: ChronoLSTM(*sizes, candidate="linear", gates="constant", **kw),
}
ALL = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_definition(layer, x, h, c):
    """Outputs of one sequence from the parameters alone, in NumPy."""
    p = {name.removeprefix("lstm."): value.detach().numpy() for name, value in layer.named_parameters()}
    outputs = []
    for x_t in x:
        if layer.candidate == "tanh":
            driven = p["weight_ih_l0"] @ x_t + p["bias_ih_l0"] + p["weight_hh_l0"] @ h + p["bias_hh_l0"]
            i, f, g, o = np.split(driven, 4)
            g = np.tanh(g)
        else:
            driven = p["bias"].copy()
            if "weight" in p:
                driven += p["weight"] @ x_t
            if "recurrent" in p:
                driven += p["recurrent"] @ h
            i, f, o = np.split(driven, 3)
            g = p["weight_g"] @ x_t
        c = sigmoid(f) * c + sigmoid(i) * g
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return torch.tensor(np.array(outputs))


@ALL
def test_forward_is_the_definition_and_so_is_a_loop_of_steps(make):
    layer = make(3, 8, max_time=20, generator=generator()).double()
    for parameter in layer.parameters():  # biases that start at zero too
        parameter.data += 0.1 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator(2))
    x = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator(1))
    state = torch.randn(2, 2, 8, dtype=torch.float64, generator=generator(3))
    expected = torch.stack(
        [by_definition(layer, one, *pair) for one, pair in zip(x.numpy(), state.numpy(), strict=True)]
    )
    torch.testing.assert_close(layer(x, state), expected)
    torch.testing.assert_close(layer.states(x, state)[:, :, 0], expected)
    outputs, state = [], layer.initial_state(2)
    for x_t in x.unbind(1):
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    torch.testing.assert_close(torch.stack(outputs, 1), layer(x))


@ALL
def test_gates_start_at_the_chosen_times(make):
    layer = make(4, 300, min_time=10, max_time=30, input_scale=0, recurrent_scale=0, generator=generator())
    name, where = layer.gate_bias
    forget = torch.sigmoid(dict(layer.named_parameters())[name].detach()[where])
    times = forget / (1 - forget)
    assert times.min() >= 9.99 and times.max() <= 30.01 and times.mean().item() == pytest.approx(20, abs=1)
    # a cell alone, kept for a step: c_1 = f c_0; and for the gates at the start i = 1 - f
    _, state = layer.step(torch.zeros(1, 4), torch.stack([torch.zeros(1, 300), torch.ones(1, 300)], 1))
    torch.testing.assert_close(layer.memory(state)[0], forget)
    bias = dict(layer.named_parameters())[name].detach()
    torch.testing.assert_close(torch.sigmoid(bias[:300]), 1 - forget)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="needs candidate='linear'"):
        ChronoLSTM(3, 4, gates="input")
    with pytest.raises(ValueError, match="input_size must be a whole number of at least 1"):
        ChronoLSTM(0, 4)
    with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\)"):
        ChronoLSTM(3, 4)(torch.zeros(5, 3))
