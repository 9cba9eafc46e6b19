"""Derivatives carried forward against reverse mode, through torch.nn.GRU and torch.nn.LSTM where the layer has one."""

import numpy as np
import pytest
import torch

from rnnlib import ChronoGRU, ChronoLSTM, theory
from rnnlib.lab import rtrl

LAYERS = [
    (kind, {"candidate": candidate, "gates": gates})
    for kind in (ChronoGRU, ChronoLSTM)
    for candidate, gates in [("tanh", "state"), ("linear", "state"), ("linear", "input"), ("linear", "constant")]
]
ALL = pytest.mark.parametrize(
    ("kind", "options"), LAYERS, ids=lambda value: getattr(value, "__name__", None) or "-".join(value.values())
)
IN, UNITS, TIME = 3, 6, 15


def networks(kind, options):
    return [
        kind(IN, UNITS, max_time=20, generator=torch.Generator().manual_seed(seed), **options).double()
        for seed in range(2)
    ]


def sequences():
    return torch.randn(2, 3, TIME, IN, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def memory_after(layer, x, memory, steps):
    """The memory of one sequence after some steps, from a given one: PyTorch's own module where there is one."""
    if isinstance(layer, ChronoGRU):
        if layer.candidate == "tanh":
            return layer.gru(x[None, :steps], memory[None, None])[1][0, 0]
        return layer(x[None, :steps], memory[None])[1][0]
    first = torch.zeros_like(memory)
    if layer.candidate == "tanh":
        return layer.lstm(x[None, :steps], (first[None, None], memory[None, None]))[1][1][0, 0]
    return layer(x[None, :steps], (first[None], memory[None]))[1][1][0]


@ALL
def test_jacobians_equal_those_of_reverse_mode(kind, options):
    layers, x, times = networks(kind, options), sequences(), [1, 4, TIME]
    for t, jacobians in zip(times, rtrl.state_jacobian(layers, x, times), strict=True):
        assert jacobians.shape == (2, 3, UNITS, UNITS)
        expected = torch.autograd.functional.jacobian(
            lambda memory, t=t: memory_after(layers[1], x[1, 2], memory, t), torch.zeros(UNITS, dtype=torch.float64)
        )
        torch.testing.assert_close(jacobians[1, 2], expected)


@ALL
def test_bias_sensitivities_equal_those_of_reverse_mode(kind, options):
    layers, x = networks(kind, options), sequences()
    memory, own = rtrl.bias_sensitivity(layers, x)
    for layer, inputs, memories, sensitivities in zip(layers, x, memory, own, strict=True):
        name, where = layer.gate_bias
        after = memory_after(layer, inputs[1], torch.zeros(UNITS, dtype=torch.float64), TIME)
        torch.testing.assert_close(memories[1], after.detach())
        bias = dict(layer.named_parameters())[name]
        for unit in range(UNITS):
            (gradient,) = torch.autograd.grad(after[unit], bias, retain_graph=True)
            torch.testing.assert_close(sensitivities[1, unit], gradient[where][unit])


def test_gates_that_ignore_the_state_leave_units_alone():
    layers = networks(ChronoGRU, {"candidate": "tanh", "gates": "state"})
    for layer in layers:
        layer.gru.weight_hh_l0.data.zero_()
    (jacobian,) = rtrl.state_jacobian(layers, sequences(), [TIME])
    off = jacobian - torch.diag_embed(jacobian.diagonal(dim1=-2, dim2=-1))
    assert torch.equal(off, torch.zeros_like(off))
    product = layers[0].eigenvalues(sequences()[0]).prod(1)
    torch.testing.assert_close(jacobian[0].diagonal(dim1=-2, dim2=-1), product.detach())


def test_what_does_not_fit_is_named():
    layers = networks(ChronoGRU, {})
    with pytest.raises(ValueError, match="layers is empty"):
        rtrl.bias_sensitivity([], sequences())
    with pytest.raises(ValueError, match="with 2 layers"):
        rtrl.bias_sensitivity(layers, sequences()[:1])
    with pytest.raises(ValueError, match="times must ascend within 1 to 15"):
        rtrl.state_jacobian(layers, sequences(), [4, 2])
    with pytest.raises(ValueError, match="times must ascend"):
        rtrl.state_jacobian(layers, sequences(), [TIME + 1])
    with pytest.raises(ValueError, match=r"a time must be a whole number of at least 1, got 1\.5"):
        rtrl.state_jacobian(layers, sequences(), [1.5])
    with pytest.raises(ValueError, match=r"x must have shape \(2, 3, 15, 3\), got \(2, 3, 15, 2\)"):
        rtrl.bias_sensitivity(layers, sequences()[..., :2])
    with pytest.raises(ValueError, match="and a step"):
        rtrl.bias_sensitivity(layers, sequences()[:, :, :0])


def test_settings_are_never_those_of_the_first_layer_alone():
    """Same class and shapes, another rule: the second would silently be computed as the first."""

    class Slower(ChronoGRU):
        def __init__(self, scale):
            super().__init__(IN, UNITS, candidate="linear", gates="input")
            self.scale = scale

    with pytest.raises(ValueError, match=r"layers differ in attribute 'scale', 1.0 and 2.0"):
        rtrl.bias_sensitivity([Slower(1.0).double(), Slower(2.0).double()], sequences())
    layers = [networks(ChronoGRU, {"candidate": "linear", "gates": gates})[0] for gates in ("input", "constant")]
    with pytest.raises(ValueError, match="layers differ in"):
        rtrl.bias_sensitivity(layers, sequences())


@pytest.mark.parametrize("cell", [ChronoGRU, ChronoLSTM])
def test_responses_of_constant_gates_are_exact(cell):
    """Unit by unit, without an expectation: the layer's memory and derivative are the weighted sums of its inputs."""
    layer = cell(3, 5, max_time=20, candidate="linear", gates="constant").double()
    x = torch.randn(1, 40, 3, dtype=torch.float64)
    memory, own = rtrl.bias_sensitivity([layer], x[None])
    name, where = layer.gate_bias
    lam = torch.sigmoid(dict(layer.named_parameters())[name].detach()[where]).numpy()
    drive = (x[0] @ (layer.weight_n if cell is ChronoGRU else layer.weight_g).detach().mT).numpy()[::-1]
    response = theory.gated_response if cell is ChronoGRU else theory.lstm_response
    for weights, measured in zip(response(lam, 40), (memory, own), strict=True):
        np.testing.assert_allclose((weights.T * drive).sum(0), measured[0, 0].numpy(), rtol=1e-10)
