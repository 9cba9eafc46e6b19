"""The exact loss against back-propagation through time of the layers themselves, in float64."""

import math

import pytest
import torch

from rnnlib import LRU, S4D, DenseRNN, DiagonalRNN
from rnnlib.lab import exact, systems
from rnnlib.lab.experiments.students import STUDENTS
from rnnlib.lab.impulse_responses import diagonal_response
from rnnlib.parametrization import POLAR

T = 37  # not a multiple of the number of columns
KINDS = {
    **{f"{n} heads": lambda g, n=n: DenseRNN(1, 64, 1, heads=n, generator=g) for n in (1, 2, 4, 8, 16, 32, 64)},
    "128 wide": lambda g: DenseRNN(1, 128, 1, heads=64, generator=g),
    "crnn": lambda g: DiagonalRNN(1, 64, 1, min_modulus=0.9, generator=g),
    "gamma": lambda g: DiagonalRNN(1, 64, 1, normalize=True, min_modulus=0.9, generator=g),
    "gamma, authors' start": lambda g: STUDENTS["crnn_gamma_real"](64, 1, 0.9, math.pi, g),
    "exponential": lambda g: LRU(1, 64, 1, normalize=False, min_modulus=0.9, generator=g),
    "lru": lambda g: LRU(1, 64, 1, min_modulus=0.9, generator=g),
    "s4d": lambda g: S4D(1, 64, 1, step_size=0.01, min_modulus=0.9, generator=g),
}
EVERY_KIND = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gram_by_definition(x):
    B, length = x.shape
    G = x.new_zeros(length, length)
    for i in range(length):
        for j in range(length):
            for t in range(max(i, j), length):
                G[i, j] += (x[:, t - i] * x[:, t - j]).sum() / (B * length)
    return G


@pytest.mark.parametrize(("B", "length"), [(1, 1), (3, 2), (4, 13), (2, 30)])
def test_gram_is_its_definition(B, length):
    x = torch.randn(2, B, length, dtype=torch.float64, generator=generator())
    torch.testing.assert_close(exact.gram(x), torch.stack([gram_by_definition(one) for one in x]))
    torch.testing.assert_close(exact.gram(x[0]), gram_by_definition(x[0]))


def test_population_gram_is_the_mean_over_white_inputs():
    x = torch.randn(40_000, 12, dtype=torch.float64, generator=generator())
    assert (exact.gram(x) - torch.diag(exact.white_gram(12))).abs().max() < 0.02


@EVERY_KIND
def test_loss_and_gradients_are_those_of_back_propagation_through_time(make):
    """The issue's bound: 1e-9 relative, for the loss and for every block of gradients, of every member."""
    layers = [make(generator(seed)).double() for seed in range(3)]
    teachers = [systems.teacher(seed, 0.9) for seed in range(3)]
    x = torch.randn(5, T, dtype=torch.float64, generator=generator(9))
    stacked = exact.stack(layers)
    targets = torch.stack([system.impulse_response(T) for system in teachers])
    losses = exact.loss(exact.impulse_responses(stacked, T), targets, exact.gram(x))
    losses.sum().backward()
    for row, (layer, system) in enumerate(zip(layers, teachers, strict=True)):
        A, B, C, D = system.A, system.B[:, None], system.C[None], system.D.view(1, 1)
        state, outputs = x.new_zeros(5, len(A)), []
        for x_t in x[..., None].unbind(1):
            state = state @ A.T + x_t @ B.T
            outputs.append(state @ C.T + x_t @ D.T)
        loss = 0.5 * (layer(x[..., None])[0] - torch.stack(outputs, 1)).square().mean()
        loss.backward()
        assert losses[row].item() == pytest.approx(loss.item(), rel=1e-9)
        for (name, value), own in zip(stacked.named_parameters(), layer.parameters(), strict=True):
            error = (value.grad[row] - own.grad).norm() / own.grad.norm()
            assert error < 1e-9, f"{name}: {error}"


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 32, 300])
@pytest.mark.parametrize("kind", ["1 heads", "16 heads", "lru"])
def test_responses_are_those_of_the_layer(kind, length):
    layers = [KINDS[kind](generator(seed)).double() for seed in range(2)]
    expected = torch.stack([layer.impulse_response(length)[:, 0, 0] for layer in layers])
    torch.testing.assert_close(exact.impulse_responses(exact.stack(layers), length), expected)


@EVERY_KIND
def test_float32_gradients_are_as_good_as_those_of_back_propagation_through_time(make):
    """Against float64, at the paper's length: no more than ten times the error of float32 run through the layer."""
    length = 300
    x = torch.randn(2, length, generator=generator(9))

    def gradients(dtype, direct):
        layer = make(generator()).to(dtype)
        if direct:
            (0.5 * layer(x[..., None].to(dtype))[0].square().mean()).backward()
            return [value.grad for value in layer.parameters()]
        stacked = exact.stack([layer])
        k = exact.impulse_responses(stacked, length)
        exact.loss(k, torch.zeros_like(k), exact.gram(x.to(dtype))).sum().backward()
        return [value.grad[0] for value in stacked.parameters()]

    truth = gradients(torch.float64, direct=True)

    def error(dtype, direct):
        fast = gradients(dtype, direct)
        return max(((a - b).norm() / b.norm()).item() for a, b in zip(fast, truth, strict=True))

    assert error(torch.float32, direct=False) < max(10 * error(torch.float32, direct=True), 1e-5)


@pytest.mark.parametrize("kind", ["crnn", "gamma", "lru", "s4d"])
@torch.no_grad()
def test_diagonal_layers_of_the_library_take_the_fast_path(kind):
    """To the bit: stored results rest on it."""
    layer = KINDS[kind](generator())
    w = torch.view_as_complex(layer.C)[:1, :] * torch.view_as_complex(layer.B)[None, :, 0]
    scale = layer.input_scale()
    expected = diagonal_response(layer.eigenvalues()[None], w if scale is None else w * scale, T)
    expected[:, 0] += layer.D[0, 0]
    assert torch.equal(exact.impulse_responses(exact.stack([layer]), T), expected)


def test_the_authors_start_of_gamma_reads_the_real_part_as_the_modulus():
    wrong, right = (STUDENTS[name](32, 1, 0.9, math.pi, generator()) for name in ("crnn_gamma_real", "crnn_gamma"))
    assert torch.equal(wrong.lam, right.lam)
    torch.testing.assert_close(wrong.gamma.detach(), torch.sqrt(1 - wrong.lam[:, 0].detach() ** 2))
    torch.testing.assert_close(right.gamma.detach(), torch.sqrt(1 - right.lam.detach().square().sum(1)))


def test_any_layer_with_an_impulse_response_can_be_a_student():
    class Delays(torch.nn.Module):
        """A filter: its parameters are its response."""

        input_size = output_size = 1

        def __init__(self, taps):
            super().__init__()
            self.taps = torch.nn.Parameter(taps)

        def impulse_response(self, length):
            return torch.nn.functional.pad(self.taps, (0, length - len(self.taps)))[:, None, None]

    taps = torch.randn(3, 4, generator=generator())
    stacked = exact.stack([Delays(row) for row in taps])
    k = exact.impulse_responses(stacked, 9)
    assert torch.equal(k, torch.nn.functional.pad(taps, (0, 5)))
    exact.loss(k, torch.zeros_like(k), torch.diag(exact.white_gram(9)).float()).sum().backward()
    torch.testing.assert_close(stacked.taps.grad, taps * (1 - torch.arange(4) / 9))


def test_what_cannot_be_stacked_is_named():
    with pytest.raises(ValueError, match="different kinds"):
        exact.stack([KINDS["lru"](generator()), KINDS["crnn"](generator())])
    with pytest.raises(ValueError, match="layers differ in parameter"):
        exact.stack([LRU(1, 4, 1), LRU(1, 5, 1)])
    with pytest.raises(ValueError, match="scalar input and output"):
        exact.impulse_responses(exact.stack([LRU(2, 4, 1)]), 5)


def small(kind, **options):
    return lambda seed: kind(1, 4, 1, generator=generator(seed), **options)


MIXTURES = {
    "an input scale": (small(LRU), small(LRU, normalize=False)),
    "a gamma": (small(DiagonalRNN), small(DiagonalRNN, normalize=True)),
    "a parametrisation": (small(LRU, parametrization=POLAR), small(LRU)),
    "heads": (small(DenseRNN), small(DenseRNN, heads=2)),
    "a dtype": (small(LRU), lambda seed: small(LRU)(seed).double()),
    "a frozen parameter": (small(LRU), lambda seed: small(LRU)(seed).requires_grad_(False)),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("makers", MIXTURES.values(), ids=MIXTURES)
def test_members_that_differ_in_more_than_values_are_refused_either_way_round(makers, reverse):
    layers = [make(seed) for seed, make in enumerate(makers)]
    with pytest.raises(ValueError, match=r"layers differ in (parameter|attribute) '.*: only layers with equal shapes"):
        exact.stack(layers[::-1] if reverse else layers)


class Tap(torch.nn.Module):
    """A response with a parameter, a buffer, a private setting and a table that a summary would cut short."""

    input_size = output_size = 1

    def __init__(self, weight, offset=0.0, delay=0, table=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weight]))
        self.register_buffer("offset", torch.tensor([offset]))
        self._delay, self.table = delay, torch.zeros(3000) if table is None else table

    def impulse_response(self, length):
        k = self.weight * 0.5 ** torch.arange(length) + self.offset + self.table[1500]
        return k.roll(self._delay)[:, None, None]


def test_members_keep_their_own_buffers():
    layers = [Tap(1.0, 0.25), Tap(2.0, -0.5)]
    k = exact.impulse_responses(exact.stack(layers), 6)
    torch.testing.assert_close(k, torch.stack([layer.impulse_response(6)[:, 0, 0] for layer in layers]))


@pytest.mark.parametrize("other", [{"delay": 2}, {"table": torch.ones(3000)}])
def test_settings_of_a_member_are_never_those_of_the_first(other):
    with pytest.raises(ValueError, match="layers differ in attribute"):
        exact.stack([Tap(1.0), Tap(1.0, **other)])


def test_a_layer_that_changes_the_response_of_a_diagonal_one_is_asked_for_it():
    class Doubled(LRU):
        def impulse_response(self, length):
            return 2 * super().impulse_response(length)

    layers = [Doubled(1, 4, 1, generator=generator(seed)) for seed in range(2)]
    expected = torch.stack([layer.impulse_response(9)[:, 0, 0] for layer in layers])
    torch.testing.assert_close(exact.impulse_responses(exact.stack(layers), 9), expected)


def test_frozen_parameters_stay_frozen():
    layers = [LRU(1, 4, 1, generator=generator(seed)) for seed in range(2)]
    for layer in layers:
        layer.D.requires_grad_(False)
    stacked = exact.stack(layers)
    assert {name for name, value in stacked.named_parameters() if not value.requires_grad} == {"D"}


@pytest.mark.parametrize("length", [0, -1, 2.5, "3", None])
def test_lengths_that_are_no_lengths_are_named(length):
    lam = torch.full((1, 2), 0.5j)
    A = torch.zeros(1, 1, 2, 2)
    calls = [
        lambda: exact.impulse_responses(exact.stack([KINDS["lru"](generator())]), length),
        lambda: exact.impulse_responses(exact.stack([KINDS["1 heads"](generator())]), length),
        lambda: exact.impulse_responses(exact.stack([Tap(1.0)]), length),
        lambda: exact.diagonal_response(lam, lam, length),
        lambda: exact.dense_response(A, A[..., 0], A[..., 0], length),
        lambda: exact.white_gram(length),
        lambda: systems.teacher(0).impulse_response(length),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"length must be a whole number of at least 1, got {length!r}"):
            call()


def test_arguments_that_would_broadcast_are_refused():
    k, G = torch.ones(3, 3), torch.eye(3)
    with pytest.raises(ValueError, match=r"G must have shape \(3, 3\), got \(3,\)"):
        exact.loss(k, k, torch.ones(3))
    with pytest.raises(ValueError, match=r"k_star must have shape \(3, 3\), got \(3, 1\)"):
        exact.loss(k, k[:, :1], G)
    with pytest.raises(ValueError, match=r"k_star must have shape \(3, 3\), got \(3,\)"):
        exact.loss(k, k[0], G)
    with pytest.raises(ValueError, match="G must not require a gradient"):
        exact.loss(k, k, G.clone().requires_grad_())
    with pytest.raises(ValueError, match=r"layer must come from exact\.stack"):
        exact.impulse_responses(LRU(1, 4, 1), 5)
    with pytest.raises(ValueError, match=r"w must have shape \(3, 3\), got \(1, 3\)"):
        exact.diagonal_response(k * 0.5j, k[:1] * 1j, 5)
    with pytest.raises(ValueError, match="x must be real, of shape"):
        exact.gram(torch.ones(3))
    with pytest.raises(ValueError, match="layers is empty"):
        exact.stack([])


def test_nan_of_one_member_stays_with_it():
    layers = [KINDS["1 heads"](generator(seed)) for seed in range(3)]
    stacked = exact.stack(layers)
    with torch.no_grad():
        stacked.A[1].fill_(math.nan)
    k = exact.impulse_responses(stacked, T)
    losses = exact.loss(k, torch.zeros_like(k), torch.diag(exact.white_gram(T)).float())
    losses.sum().backward()
    assert losses.isnan().tolist() == [False, True, False]
    assert stacked.A.grad.isnan().flatten(1).any(1).tolist() == [False, True, False]
