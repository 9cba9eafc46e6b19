"""Deep stacks against NumPy from their definition; losses, groups of parameters, and the precision of gradients."""

import math

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from rnnlib import LRU, ChronoGRU
from rnnlib.lab import experiments
from rnnlib.lab.experiments.propagation import Propagation, inputs, propagate
from rnnlib.lab.networks import DeepRNN, GatedResidual, embedding_loss

WIDTH = 6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(normalization="none", shared=True, depth=2):
    g = generator()
    layers = [LRU(WIDTH, WIDTH, WIDTH, min_modulus=0.5, max_modulus=0.9, generator=g) for _ in range(depth)]
    found = DeepRNN(3, layers, 3, normalization=normalization, shared=shared, generator=g).double()
    with torch.no_grad():  # else biases and normalisation weights that are left out would not show
        for name, weight in found.named_parameters():
            if name.endswith("bias") or "before" in name or "after" in name:
                weight.add_(torch.randn(weight.shape, dtype=weight.dtype, generator=g))
    return found


def by_definition(net, x, normalization):
    p = {name: value.detach().numpy() for name, value in net.named_parameters(remove_duplicate=False)}

    def linear(name, h):
        return h @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    def norm(name, h):
        if normalization == "none":
            return h
        axes, eps = ((-1,), 1e-6) if normalization == "layer" else ((0, 1), 1e-5)
        centred = h - h.mean(axes, keepdims=True)
        return centred / np.sqrt(centred.var(axes, keepdims=True) + eps) * p[f"{name}.weight"] + p[f"{name}.bias"]

    h = linear("encoder", x.numpy())
    outputs = []
    for number, block in enumerate(net.blocks):
        own = f"blocks.{number}"
        with torch.no_grad():
            u = block.layer(torch.from_numpy(norm(f"{own}.before", h))).numpy()
        u = 0.5 * u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
        u = norm(f"{own}.after", u)
        h = h + linear(f"{own}.value", u) / (1 + np.exp(-linear(f"{own}.gate", u)))
        outputs.append(h)
    return outputs, linear("decoder", h)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
def test_forward_is_the_definition(normalization, shared):
    net = network(normalization, shared)
    x = torch.randn(4, 20, 3, dtype=torch.float64, generator=generator(1))
    outputs, y = by_definition(net, x, normalization)
    torch.testing.assert_close(net(x), torch.from_numpy(y))
    for found, expected in zip(net.block_outputs(x), outputs, strict=True):
        torch.testing.assert_close(found, torch.from_numpy(expected))


def test_normalisation_is_shared_within_a_block_and_not_between_blocks():
    names = [name for name, _ in network("layer").named_parameters() if name.endswith("before.weight")]
    assert names == ["blocks.0.before.weight", "blocks.1.before.weight"]
    assert not any("after" in name for name, _ in network("layer").named_parameters())
    assert sum("after" in name for name, _ in network("layer", shared=False).named_parameters()) == 4


def test_linear_maps_are_lecun_normal_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    net = DeepRNN(400, [ChronoGRU(200, 200, generator=generator())], 300, generator=generator(1))
    assert torch.equal(before, torch.get_rng_state())
    for linear in (net.encoder, net.decoder, net.blocks[0].value, net.blocks[0].gate):
        assert bool((linear.bias == 0).all())
        variance = linear.weight.var().item() * linear.in_features
        assert abs(variance - 1) < 5 * math.sqrt(2 / linear.weight.numel())


@pytest.mark.parametrize(("offset", "shift"), [(1, 1), (-1, -1), (0, 0), (3, 3)])
def test_the_loss_asks_for_the_embedding_at_its_offset(offset, shift):
    x = torch.randn(2, 30, 3)
    y = x.roll(-shift, dims=1)  # y[t] = x[t + shift], but for the ends, which have no partner
    assert embedding_loss(y, x, offset) == 0
    assert embedding_loss(y, x, offset + 1) > 0.5
    steps = 30 - abs(offset)
    assert torch.isclose(embedding_loss(0 * y, x, 0), 0.5 * x.square().mean())
    assert torch.isclose(embedding_loss(y + 2, x, offset), torch.tensor(2.0)) and steps > 0


def test_misuse_is_named():
    with pytest.raises(ValueError, match="layers must be at least one, all of one width, got widths"):
        DeepRNN(3, [], 3)
    with pytest.raises(ValueError, match="one width, got widths \\[4, 5\\]"):
        DeepRNN(3, [ChronoGRU(4, 4), ChronoGRU(5, 5)], 3)
    with pytest.raises(ValueError, match="normalization must be one of none, layer, batch, got 'x'"):
        DeepRNN(3, [ChronoGRU(4, 4)], 3, normalization="x")
    with pytest.raises(ValueError, match=r"input_size equal to output_size .* got 3 and 4"):
        GatedResidual(ChronoGRU(3, 4))
    with pytest.raises(ValueError, match=r"more than \|offset\| = 5 steps"):
        embedding_loss(torch.zeros(1, 5, 2), torch.zeros(1, 5, 2), 5)
    with pytest.raises(ValueError, match=r"one shape \(batch, time, dimension\)"):
        embedding_loss(torch.zeros(5, 7), torch.zeros(5, 7))
    with pytest.raises(ValueError, match="output_size must be a whole number of at least 1, got 0"):
        DeepRNN(3, [ChronoGRU(4, 4)], 0)


@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
def test_inputs_of_other_shapes_are_named(normalization):
    net = network(normalization)
    for module, size in [(net, 3), (net.blocks[0], WIDTH)]:
        with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\), got .*x.unsqueeze\(0\)"):
            module(torch.zeros(20, size, dtype=torch.float64))
        with pytest.raises(ValueError, match=rf"x must have {size} features on its last axis, got shape \(4, 20, 1\)"):
            module(torch.zeros(4, 20, 1, dtype=torch.float64))
        with pytest.raises(TypeError, match="got a PackedSequence"):
            module(pack_sequence([torch.zeros(20, size, dtype=torch.float64)]))


# What Figures 5 and 13 measure ----------------------------------------------------------------------------------------

TINY = Propagation(
    name="tiny", title="", networks=(("crnn", "none"),), sequences=4, batch=2, length=24, width=8, depth=2
)


@pytest.mark.parametrize(
    ("kind", "groups"), [("crnn", {"lambda"}), ("lru", {"nu", "theta"}), ("gru", {"recurrent"})], ids=lambda kind: kind
)
def test_groups_hold_every_parameter_once(kind, groups):
    net = TINY.network(kind, "layer", 10.0, 5)
    x = torch.randn(2, 24, 5, generator=generator())
    found = propagate(net, kind, x, ("previous", "next"))
    total = sum(weight.numel() for weight in net.parameters())
    for target in ("previous", "next"):
        whole = {key[3]: value for key, value in found.items() if key[:3] == ("gradient", target, 0)}
        assert set(whole) == groups | {"rest", "rest of blocks", "encoder", "decoder"}
        assert sum(whole[group][0] for group in groups | {"rest"}) == total
        assert sum(whole[group][0] for group in ("rest of blocks", "encoder", "decoder")) == whole["rest"][0]
        blocks = [value for key, value in found.items() if key[0] == "gradient" and key[1] == target and key[2] > 0]
        ends = [whole["encoder"], whole["decoder"]]
        net.zero_grad()
        embedding_loss(net(x), x, {"previous": -1, "next": 1}[target]).backward()
        square = sum(weight.grad.double().square().sum().item() for weight in net.parameters())
        assert math.isclose(sum(count * mean for count, mean in blocks + ends), square, rel_tol=1e-5)
        for group in groups:
            mine = {"lambda": "lam", "nu": "omega_nu", "theta": "omega_theta", "recurrent": "gru"}[group]
            own = torch.cat([w.grad.flatten() for name, w in net.named_parameters() if f".layer.{mine}" in name])
            assert math.isclose(whole[group][1], own.double().square().mean().item(), rel_tol=1e-5)
    assert math.isclose(found["output", "", 2, ""][1], net.block_outputs(x)[1].square().mean().item(), rel_tol=1e-5)


def test_moduli_and_time_constants_start_where_the_paper_has_them():
    for kind in ("crnn", "lru"):
        lam = TINY.network(kind, "none", 10.0, 5).blocks[0].layer.eigenvalues()
        assert bool(((lam.abs() > 0.9 - 1e-6) & (lam.abs() < 0.95 + 1e-6)).all())
    gates = torch.sigmoid(TINY.network("gru", "none", 10.0, 5).blocks[0].layer.gru.bias_ih_l0[8:16])
    assert bool(((gates > 10 / 11 - 1e-6) & (gates < 20 / 21 + 1e-6)).all())


def test_single_precision_holds_the_largest_gradients():
    """At T_c = 100, the paper's width, depth and length: finite, nowhere near overflow, and what double gives."""
    full = Propagation(name="full", title="", networks=())
    x = inputs("gaussian", 2, 512, False)
    net = full.network("crnn", "none", 100.0, x.shape[-1])
    single = propagate(net, "crnn", x, ("previous",))
    largest = max(
        weight.abs().max().item() for weight in torch.autograd.grad(embedding_loss(net(x), x), net.parameters())
    )
    assert 1e3 < largest < 1e12 < torch.finfo(torch.float32).max
    double = propagate(net.double(), "crnn", x.double(), ("previous",))
    for key, (_, mean_square) in double.items():
        assert math.isclose(single[key][1], mean_square, rel_tol=0.01), key


def test_figure_13_shows_the_networks_of_figure_5():
    columns = ["kind", "normalization", "time", "quantity", "target", "layer", "group"]
    both = experiments.load("fig13").merge(experiments.load("fig05"), on=columns, suffixes=("", "_05"))
    assert len(both) == len(experiments.load("fig13"))
    assert (both["mean_square"] == both["mean_square_05"]).all()
    assert np.isfinite(experiments.load("fig05")["mean_square"]).all()
