"""Deep stacks against NumPy from their definition; losses, groups of parameters, and the precision of gradients."""

import copy
import dataclasses
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

from rnnlib import LRU, ChronoGRU
from rnnlib.lab import experiments
from rnnlib.lab.experiments import propagation
from rnnlib.lab.experiments.propagation import Condition, SignalPropagation, embeddings, mean_squares
from rnnlib.lab.networks import DeepRNN, GatedResidual, embedding_loss

WIDTH = 6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(normalization="none", shared=True, depth=2):
    g = generator()
    layers = [LRU(WIDTH, WIDTH, WIDTH, min_modulus=0.5, max_modulus=0.9, generator=g) for _ in range(depth)]
    network = DeepRNN(3, layers, 3, normalization=normalization, shared=shared, generator=g).double()
    with torch.no_grad():  # else biases and normalisation weights that are left out would not show
        for name, weight in network.named_parameters():
            if name.endswith("bias") or "before" in name or "after" in name:
                weight.add_(torch.randn(weight.shape, dtype=weight.dtype, generator=g))
    return network


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
            u = block.layer(torch.from_numpy(norm(f"{own}.before", h)))[0].numpy()
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
    torch.testing.assert_close(net(x)[0], torch.from_numpy(y))
    for output, expected in zip(net.block_outputs(x), outputs, strict=True):
        torch.testing.assert_close(output, torch.from_numpy(expected))


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
def test_a_stream_of_parts_or_steps_is_the_whole(normalization):
    """Of batch normalisation in evaluation mode: statistics of a batch run over time."""
    net = network(normalization).eval()
    x = torch.randn(2, 9, 3, dtype=torch.float64, generator=generator(1))
    whole = net(x)
    first, states = net(x[:, :4], net.initial_state(2))
    second, states = net(x[:, 4:], states)
    torch.testing.assert_close((torch.cat([first, second], 1), states), whole)
    states, outputs = net.initial_state(2), []
    for x_t in x.unbind(1):
        y_t, states = net.step(x_t, states)
        outputs.append(y_t)
    torch.testing.assert_close((torch.stack(outputs, 1), states), whole)


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
def test_what_lies_beyond_the_lengths_reaches_nothing(normalization, train):
    """Sequences of one length beside a longer one: as without it where statistics are not the batch's."""
    net = network(normalization).train(train)
    x = torch.randn(3, 9, 3, dtype=torch.float64, generator=generator(1))
    reset = torch.rand(3, 9, generator=generator(2)) < 0.2
    padded = torch.cat([x, torch.full_like(x, torch.nan)], 1).requires_grad_()
    longer = torch.cat([reset, ~reset], 1)
    y, states = net(padded, lengths=[9, 9, 9], reset=longer)
    expected = net(x, reset=reset)
    torch.testing.assert_close((y[:, :9], states), expected)
    assert bool((y[:, 9:] == 0).all())
    y.square().sum().backward()
    (gradient,) = torch.autograd.grad(net(x.requires_grad_(), reset=reset)[0].square().sum(), x)
    torch.testing.assert_close(padded.grad, torch.cat([gradient, torch.zeros_like(gradient)], 1))
    y, states = net(padded, net.initial_state(3), lengths=[9, 4, 0], reset=longer)
    assert bool(y.isfinite().all()) and bool((y[1, 4:] == 0).all()) and bool((y[2] == 0).all())
    if not (normalization == "batch" and train):
        torch.testing.assert_close(y[1, :4], net(x[1:2, :4], reset=reset[1:2, :4])[0][0])


def test_states_that_do_not_fit_are_named():
    net = network()
    for states in (net.initial_state(2)[:1], net.initial_state(2)[0]):
        with pytest.raises(ValueError, match=r"states must be a tuple of 2 states, one for each block, got (1|Tensor)"):
            net(torch.zeros(2, 9, 3, dtype=torch.float64), states)


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

SMALL = SignalPropagation(
    name="small", title="", conditions=(Condition("gaussian", (("crnn", "none"),)),), length=24, width=8, depth=2
)


@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
@pytest.mark.parametrize("kind", ["crnn", "lru", "gru", "lstm"])
def test_mean_squares_are_those_of_back_propagation(kind, normalization):
    """Every quantity from gradients that backward() leaves, by names written out here."""
    x, net = torch.randn(3, 24, 5, generator=generator()), SMALL.network(kind, normalization, 10.0, 5, draw=3)
    squares = mean_squares(net, kind, x, ("previous", "next"))
    own = {
        "crnn": {"lambda": "layer.lam"},
        "lru": {"nu": "layer.omega_nu", "theta": "layer.omega_theta"},
        "gru": {"recurrent": "layer.gru."},
        "lstm": {"recurrent": "layer.lstm."},
    }[kind]
    for target, offset in {"previous": -1, "next": 1}.items():
        outputs = net.block_outputs(x)
        for h in outputs:
            h.retain_grad()
        net.zero_grad()
        embedding_loss(net.decoder(outputs[-1]), x, offset).backward()
        gradients = {name: weight.grad for name, weight in net.named_parameters()}

        def mean_square(wanted, gradients=gradients):
            return torch.cat([g.flatten() for name, g in gradients.items() if wanted(name)]).double().square().mean()

        expected = {}
        for layer, start in ((0, "blocks."), (1, "blocks.0."), (2, "blocks.1.")):
            for group, part in own.items():
                expected[layer, group] = mean_square(lambda name, a=start, b=part: name.startswith(a) and b in name)
            rest = "rest" if layer else "rest of blocks"
            parts = tuple(own.values())
            expected[layer, rest] = mean_square(
                lambda name, a=start, b=parts: name.startswith(a) and not any(part in name for part in b)
            )
        expected[0, "rest"] = mean_square(lambda name, b=parts: not any(part in name for part in b))
        expected[0, "all"] = mean_square(lambda name: True)
        for part in ("encoder", "decoder"):
            expected[0, part] = mean_square(lambda name, a=part: name.startswith(a))
        for block, h in enumerate(outputs, 1):
            expected[block, "output"] = h.detach().double().square().mean()
            expected[block, "error"] = h.grad.double().square().mean()
        measured = {key[1:]: value for key, value in squares.items() if key[0] == target}
        assert measured.keys() == expected.keys()
        for key, value in expected.items():
            assert math.isclose(measured[key], value.item(), rel_tol=1e-5), key


def test_draws_differ_in_weights_and_text_and_normalisations_share_them():
    (plain, other), layered = (
        [SMALL.network("lru", "none", 10.0, 5, draw) for draw in (0, 1)],
        SMALL.network("lru", "layer", 10.0, 5, 0),
    )
    assert torch.equal(plain.encoder.weight, layered.encoder.weight)
    assert not torch.equal(plain.encoder.weight, other.encoder.weight)
    texts = {
        (source, draw): propagation.embeddings(source, draw, 4, 16) for source in propagation.TEXTS for draw in (0, 1)
    }
    for first, second in itertools.combinations(texts.values(), 2):
        assert not torch.equal(first, second)


def test_the_two_texts_have_no_article_in_common(monkeypatch):
    asked, sequences = [], propagation.text.load("gaussian", 1, 4)

    def load(*arguments, articles, **options):
        asked.append(set(articles))
        return sequences

    monkeypatch.setattr(propagation.text, "load", load)
    for source in propagation.TEXTS:
        propagation.embeddings(source, 99, 4, 16)
    first, other = asked
    assert first and len(first) == len(other) and not first & other


def test_a_table_with_numbers_of_another_network_is_refused(tmp_path):
    one = dataclasses.replace(SMALL, draws=1)
    frame = experiments.run(one, "paper", folder=tmp_path, progress=False)
    assert one.problem(frame, "runs", frame) is None
    for row, column, value in ((0, "lambda", np.nan), (4, "encoder", -1.0)):
        changed = frame.astype({"encoder": float})
        changed.loc[row, column] = value
        assert (
            one.problem(changed, "runs", changed) == f"row {row + 1}: numbers of other quantities than the network has"
        )


def test_moduli_and_time_constants_start_where_the_paper_has_them():
    for kind in ("crnn", "lru"):
        lam = SMALL.network(kind, "none", 10.0, 5).blocks[0].layer.eigenvalues()
        assert bool(((lam.abs() > 0.9 - 1e-6) & (lam.abs() < 0.95 + 1e-6)).all())
    gates = torch.sigmoid(SMALL.network("gru", "none", 10.0, 5).blocks[0].layer.gru.bias_ih_l0[8:16])
    assert bool(((gates > 10 / 11 - 1e-6) & (gates < 20 / 21 + 1e-6)).all())


def test_single_precision_holds_the_largest_gradients():
    """At T_c = 100, the paper's width, depth and length: finite, nowhere near overflow, and what double gives."""
    full = SignalPropagation(name="full", title="", conditions=())
    x = embeddings("gaussian", 0, 2, 512)
    net = full.network("crnn", "none", 100.0, x.shape[-1])
    single = mean_squares(net, "crnn", x, ("previous",))
    largest = max(
        weight.abs().max().item() for weight in torch.autograd.grad(embedding_loss(net(x)[0], x), net.parameters())
    )
    assert 1e3 < largest < 1e12 < torch.finfo(torch.float32).max
    double = mean_squares(net.double(), "crnn", x.double(), ("previous",))
    for key, mean_square in double.items():
        assert math.isclose(single[key], mean_square, rel_tol=0.01), key


def test_stored_draws_are_measured_again():
    """One network of the stored result, its last draw, to the digits that the table has."""
    experiment = experiments.get("fig05_draws")
    part = f"draw {experiment.draws - 1}, other articles, lstm, none"
    _, condition, kind, normalization = experiment.settings()[part]
    few = dataclasses.replace(
        experiment,
        conditions=(dataclasses.replace(condition, networks=((kind, normalization),), times=condition.times[:1]),),
    )
    columns, rows = few.measure(part, "cpu")["runs"]
    stored = experiments.load(experiment).set_index(columns[:7])
    for row in rows:
        expected = stored.loc[tuple(row[:7])].to_numpy(float)
        measured = np.array([np.nan if value == "" else value for value in row[7:]], float)
        np.testing.assert_allclose(measured, expected, atol=2e-3)


def deep(**options):
    layers = [LRU(4, 4, 4, **options), ChronoGRU(4, 4, **options)]
    return DeepRNN(3, layers, 2, normalization="batch", **options)


def test_a_network_built_on_meta_takes_weights_or_draws_them_later():
    real, x = deep(generator=generator()), torch.randn(2, 5, 3, generator=generator(1))
    with torch.device("meta"):
        net = deep(generator=generator())
    assert all(parameter.is_meta for parameter in net.parameters()) and net(x.to("meta"))[0].shape == (2, 5, 2)
    net = net.to_empty(device="cpu")
    net.load_state_dict(real.state_dict())
    assert torch.equal(net(x)[0], real(x)[0])
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(copied(x)[0], real(x)[0])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(torch.nan)
    for module in net.modules():  # as FSDP does
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert bool(net(x)[0].isfinite().all()) and bool((net.encoder.bias == 0).all())
