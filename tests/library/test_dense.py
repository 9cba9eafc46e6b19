"""DenseRNN and the variants of the ablation, against NumPy, one step at a time."""

import math

import numpy as np
import pytest
import torch

from rnnlib import LRU, DenseRNN, DiagonalRNN
from rnnlib.layers.dense import dense_recurrence

HEADS = pytest.mark.parametrize("heads", [1, 2, 8])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def by_definition(layer, x):
    p = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    size = layer.hidden_size // layer.heads
    A = np.zeros((layer.hidden_size, layer.hidden_size))
    for head, block in enumerate(p["A"]):
        A[head * size : (head + 1) * size, head * size : (head + 1) * size] = block
    outputs = []
    for sequence in x.numpy():
        h = np.zeros(layer.hidden_size)
        for x_t in sequence:
            h = A @ h + p["B"] @ x_t
            outputs.append(p["C"] @ h + p["D"] @ x_t)
    return torch.tensor(np.array(outputs)).view(*x.shape[:2], -1)


@HEADS
def test_forward_steps_and_impulse_response_are_the_definition(heads):
    layer = DenseRNN(3, 8, 2, heads=heads, generator=generator()).double()
    x = torch.randn(2, 30, 3, dtype=torch.float64, generator=generator(1))
    expected = by_definition(layer, x)
    torch.testing.assert_close(layer(x), expected)
    state, outputs = layer.initial_state(2), []
    for x_t in x.unbind(1):
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    torch.testing.assert_close(torch.stack(outputs, 1), expected)
    k = layer.impulse_response(30)
    y = torch.stack([sum(k[lag] @ x[0, t - lag] for lag in range(t + 1)) for t in range(30)])
    torch.testing.assert_close(y, expected[0])


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: DenseRNN(1, 64, 1), 4225),
        (lambda: DenseRNN(1, 64, 1, heads=32), 257),
        (lambda: DenseRNN(1, 128, 1, heads=64), 513),
        (lambda: DiagonalRNN(1, 64, 1), 385),
        (lambda: DiagonalRNN(1, 64, 1, normalize="real part"), 449),
        (lambda: LRU(1, 64, 1, normalize=False), 385),
        (lambda: LRU(1, 64, 1), 449),
    ],
)
def test_parameter_counts_of_the_paper(make, count):
    assert sum(value.numel() for value in make().parameters()) == count


def test_eigenvalues_of_the_recipe():
    normal = torch.randn(20, 10, 10, dtype=torch.float64, generator=generator())
    before = np.linalg.eigvals(normal.numpy() / math.sqrt(10))
    after = np.linalg.eigvals(dense_recurrence(normal, 0.9).numpy())
    expected = (0.9 + 0.1 * np.tanh(np.abs(before))) * np.exp(1j * np.angle(before))
    for one, other in zip(after, expected, strict=True):
        assert np.abs(one[:, None] - other[None, :]).min(1).max() < 1e-9
        assert np.abs(one[:, None] - other[None, :]).min(0).max() < 1e-9


def test_angles_shrink_with_the_largest_angle():
    normal = torch.randn(50, 10, 10, dtype=torch.float64, generator=generator())
    before = np.linalg.eigvals(normal.numpy())
    paired = (np.abs(before.imag) > 0) | (before.real > 0)  # negative real ones have nowhere to turn
    keep = paired.all(1)
    lam = np.linalg.eigvals(dense_recurrence(normal, 0.5, math.pi / 10).numpy()[keep])
    assert keep.sum() >= 5 and np.abs(np.angle(lam)).max() < math.pi / 10 + 1e-9


def test_a_layer_starts_where_it_should():
    layer = DenseRNN(16, 400, 8, heads=100, min_modulus=0.9, generator=generator())
    modulus = np.abs(np.linalg.eigvals(layer.A.detach().double().numpy()))
    assert modulus.min() > 0.9 - 1e-3 and modulus.max() < 1
    for weights, variance in [(layer.B, 1 / 16), (layer.C, 1 / 400), (layer.D, 1 / 16)]:
        assert weights.var().item() == pytest.approx(variance, rel=0.2)


def test_authors_start_of_gamma_reads_the_real_part_as_the_modulus():
    wrong = DiagonalRNN(1, 32, 1, normalize="real part", min_modulus=0.9, generator=generator())
    right = DiagonalRNN(1, 32, 1, normalize=True, min_modulus=0.9, generator=generator())
    assert torch.equal(wrong.lam, right.lam)
    torch.testing.assert_close(wrong.gamma.detach(), torch.sqrt(1 - wrong.lam[:, 0].detach() ** 2))
    torch.testing.assert_close(right.gamma.detach(), torch.sqrt(1 - right.lam.detach().square().sum(1)))


def test_an_lru_without_gamma_scales_no_input():
    layer = LRU(1, 8, 1, normalize=False, generator=generator()).double()
    lam, B, C = layer.eigenvalues(), torch.view_as_complex(layer.B)[:, 0], torch.view_as_complex(layer.C)[0]
    k = torch.stack([(C * lam**lag * B).sum().real for lag in range(20)])
    k[0] = k[0] + layer.D[0, 0]
    torch.testing.assert_close(layer.impulse_response(20)[:, 0, 0], k)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="heads must divide hidden_size, got 3 heads for 8 units"):
        DenseRNN(1, 8, 1, heads=3)
    with pytest.raises(ValueError, match="hidden_size must be a whole number of at least 1"):
        DenseRNN(1, 0, 1)
    with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\)"):
        DenseRNN(1, 8, 1)(torch.randn(5, 1))
    with pytest.raises(ValueError, match="x must have 1 features"):
        DenseRNN(1, 8, 1)(torch.randn(5, 7, 3))
    with pytest.raises(ValueError, match="min_modulus must be a number in"):
        DenseRNN(1, 8, 1, min_modulus=1.0)
    with pytest.raises(ValueError, match="max_angle must be in"):
        DenseRNN(1, 8, 1, max_angle=4.0)
    with pytest.raises(ValueError, match="normalize must be"):
        DiagonalRNN(1, 8, 1, normalize="modulus")
