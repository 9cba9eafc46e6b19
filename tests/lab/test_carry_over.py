"""Networks trained through time on five tasks: against the layers and torch.optim, and what the experiments compare."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from rnnlib import LRU, DenseRNN
from rnnlib.__main__ import main
from rnnlib.lab import experiments, systems, tasks, through_time
from rnnlib.lab.claims import CLAIMS, HYPOTHESES, carry_over
from rnnlib.lab.experiments.carry_over import CARRY_OVER, COPYING, train
from rnnlib.lab.optimizers.rules import orthogonalized
from rnnlib.lab.protocol import Protocol
from rnnlib.lab.through_time import KINDS, Network, Stack, States

EVERY = pytest.mark.parametrize("kind", KINDS)
ADAM = Protocol(steps=4, report=4, batch=3, length=20)


def network(kind, **settings):
    return Network(kind, 6, **({"inputs": 2, "outputs": 1, "min_modulus": 0.9, "length": 20} | settings))


def layer_of(net, p):
    """The library's layer with the parameters of one network."""
    sizes = net.features or net.inputs, net.width or net.outputs
    if net.kind == "lru":
        layer = LRU(sizes[0], net.units // 2, sizes[1], backend="sequential")
    else:
        layer = DenseRNN(sizes[0], net.units, sizes[1], heads=1 if net.kind == "dense" else net.units // 2)
    layer.load_state_dict({name: p[name] for name, _ in layer.named_parameters()})
    return layer


class Reference(nn.Module):
    """The same network from modules: the layer of the library runs over every step."""

    def __init__(self, net, p):
        super().__init__()
        self.layer = layer_of(net, p)
        self.encoder = nn.Linear(net.inputs, net.features) if net.features else None
        self.head = nn.Linear(net.width, net.outputs) if net.width else None
        if net.features:
            self.encoder.load_state_dict({name: p[f"encoder.{name}"] for name in ("weight", "bias")})
        if net.width:
            self.head.load_state_dict({name: p[f"head.{name}"] for name in ("weight", "bias")})
            self.bias = nn.Parameter(p["bias"].clone())

    def forward(self, x, silent=0):
        """Outputs at all steps ``(T, B, out)``, and then at those of ``silent`` steps without input or features."""
        e = x if self.encoder is None else torch.relu(self.encoder(x))
        e = torch.cat([e, e.new_zeros(silent, *e.shape[1:])]).transpose(0, 1)
        y = self.layer(e)[0].transpose(0, 1)
        return y if self.head is None else self.head(functional.gelu(y + self.bias))


SMALL = {
    "every": (tasks.Characters(10, 3, 4, articles=3), {"inputs": 27, "outputs": 27, "width": 5}),
    "last": (tasks.Adding(20, 3, 4), {"features": 3, "width": 5}),
    "recalled": (tasks.Copying(20, 3, 4, symbols=3), {"inputs": 4, "outputs": 4, "width": 5}),
}


@EVERY
@pytest.mark.parametrize("mode", SMALL)
def test_networks_learn_as_the_layers_do_with_torch_optim(kind, mode, monkeypatch):
    text = torch.randint(27, (500,), generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(tasks, "_characters", lambda articles: (text, text))
    task, sizes = SMALL[mode]
    net, rates = network(kind, **sizes), [(0.01, 0.003), (0.001, 0.01)]
    stack = Stack(net, 1, rates, ADAM)
    references = [Reference(net, {name: value[0].detach() for name, value in stack.parameters.items()}) for _ in rates]
    optimizers = []
    for reference, (rate, other) in zip(references, rates, strict=True):
        own = [getattr(reference.layer, name) for name in net.recurrent]
        rest = [value for value in reference.parameters() if all(value is not one for one in own)]
        groups = [{"params": own, "lr": rate}, {"params": rest, "lr": other}]
        optimizers.append(torch.optim.Adam(groups, betas=(0.9, 0.999)))
    for number in range(ADAM.steps):
        x, target = task.minibatch(5, number)
        mine = stack.step(number, lambda p, x=x, y=target: task.losses(task.run(net, p, x), y))
        for m, (reference, optimizer) in enumerate(zip(references, optimizers, strict=True)):
            y = reference(x, task.length if mode == "recalled" else 0)
            if mode == "recalled":
                y = y[task.length : task.length + task.symbols]
            y = y[-1] if mode == "last" else y.flatten(0, 1)
            loss = functional.cross_entropy(y, target) if task.classes else functional.mse_loss(y, target)
            assert mine[m].item() == pytest.approx(loss.item(), rel=1e-4)
            optimizer.zero_grad()
            loss.backward()
            for group, rate in zip(optimizer.param_groups, rates[m], strict=True):
                group["lr"] = ADAM.rate(rate, number)
            optimizer.step()
    for m, reference in enumerate(references):
        for name, value in reference.named_parameters():
            mine = stack.parameters[name.removeprefix("layer.")][m]
            torch.testing.assert_close(mine, value, rtol=1e-3, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}")


@EVERY
def test_with_tanh_states_are_those_of_a_plain_loop_and_of_torch(kind):
    net = network(kind, inputs=1, tanh=True)
    p, x = {name: value[None].double() for name, value in net.draw(0).items()}, torch.randn(9, 4, 1).double()
    y, layer = net.every(p, x)[0], layer_of(net, net.draw(0)).double()
    if kind == "lru":
        lam, B, h, expected = layer.eigenvalues(), torch.view_as_complex(layer._input_map().contiguous()), 0, []
        for x_t in x:
            h = lam * h + x_t.to(B.dtype) @ B.T
            h = torch.complex(h.real.tanh(), h.imag.tanh())
            expected.append((h @ torch.view_as_complex(layer.C).T).real + x_t @ layer.D.T)
        torch.testing.assert_close(y, torch.stack(expected))
    else:
        rnn = nn.RNN(1, 6, bias=False).double()
        rnn.load_state_dict({"weight_ih_l0": layer.B, "weight_hh_l0": torch.block_diag(*layer.A)})
        torch.testing.assert_close(y, rnn(x)[0] @ layer.C.T + x @ layer.D.T)
    with pytest.raises(ValueError, match="no powers"):
        net.last(p, x)


@EVERY
@pytest.mark.parametrize("tanh", [False, True])
def test_gradients_of_states(kind, tanh):
    A = network(kind).realization({name: value[None].double() for name, value in network(kind).draw(0).items()}).A
    u = torch.randn(1, 5, 2, *A.shape[2:], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda A, u: States.apply(A, u, tanh), (A.detach().requires_grad_(), u))


@EVERY
def test_the_start_has_states_and_outputs_of_variance_one(kind):
    layer = network(kind, min_modulus=0.95, length=200).layer(torch.Generator().manual_seed(3))
    x = torch.randn(2000, 200, 2, generator=torch.Generator().manual_seed(4))
    y, state = layer(x)
    assert (y[:, -1] - x[:, -1] @ layer.D.T).detach().square().mean().item() == pytest.approx(1, rel=0.15)
    per_number = 2 if kind == "lru" else 1  # a complex state has two
    assert state.abs().square().mean().item() / per_number == pytest.approx(1, rel=0.15)


def losses_of(net, task, seed, number):
    x, target = task.minibatch(seed, number)
    return lambda p: task.losses(task.run(net, p, x), target)


@EVERY
def test_members_move_as_if_they_trained_alone(kind):
    """Bit by bit, and though one of them diverges."""
    task, net = SMALL["last"][0], network(kind, features=3, width=5)
    rates, protocol = [(0.01, 0.003), (1e25, 1e25), (0.001, 0.01)], dataclasses.replace(ADAM, optimizer="muon")
    together, alone = Stack(net, 1, rates, protocol), [Stack(net, 1, [rate], protocol) for rate in rates]
    for number in range(4):
        loss = together.step(number, losses_of(net, task, 5, number))
        for m, stack in enumerate(alone):
            own = stack.step(number, losses_of(net, task, 5, number))
            assert torch.equal(own, loss[m : m + 1]) or m == 1
    assert not loss[1].isfinite() and loss[[0, 2]].isfinite().all()
    for name, value in together.parameters.items():
        assert torch.equal(value[0], alone[0].parameters[name][0])
        assert torch.equal(value[2], alone[2].parameters[name][0])


def test_muon_moves_the_matrix_and_adam_the_rest():
    task, net = SMALL["last"][0], network("dense", features=3, width=5)
    stacks = [
        Stack(net, 1, [(0.1, 0.01)], Protocol(steps=4, report=4, beta2=0.95, optimizer=o)) for o in ("muon", "adam")
    ]
    before = {name: value.detach().clone() for name, value in stacks[0].parameters.items()}
    gradient = torch.autograd.grad(losses_of(net, task, 5, 0)(stacks[0].parameters).sum(), stacks[0].parameters["A"])[0]
    for stack in stacks:
        stack.step(0, losses_of(net, task, 5, 0))
    move = (before["A"] - stacks[0].parameters["A"]).detach() / 0.1
    torch.testing.assert_close(move, orthogonalized(gradient), rtol=1e-4, atol=1e-5)
    for name, value in stacks[0].parameters.items():
        assert torch.equal(value, stacks[1].parameters[name]) == (name != "A"), name


# The tasks


@pytest.mark.parametrize("experiment", CARRY_OVER, ids=lambda experiment: experiment.name)
def test_data_have_their_shapes_and_the_constant_answer_its_loss(experiment):
    task = experiment.at("smoke").task
    task = dataclasses.replace(task, tested=200)
    net = Network("dense", 4, task.inputs, task.outputs, length=8, width=0)
    p = {name: value[None] for name, value in net.draw(0).items()}
    for x, target in (task.minibatch(3, 0), task.test(3)):
        outputs = task.run(dataclasses.replace(net, tanh=experiment.networks[0].tanh), p, x)
        assert x.shape[2] == task.inputs and outputs.shape == (1, len(target), task.outputs)
        assert task.losses(outputs, target).shape == (1,)
    assert torch.equal(task.test(3)[1], target) and not torch.equal(task.minibatch(3, 1)[0], task.minibatch(3, 0)[0])
    assert not torch.equal(task.minibatch(4, 0)[0], task.minibatch(3, 0)[0])
    if task.classes:
        shares = torch.bincount(target, minlength=task.outputs) / len(target)
        constant = shares.log().expand(1, len(target), -1)
        assert task.errors(constant, target).item() == pytest.approx(1 - shares.max().item(), abs=1e-6)
        usual = pytest.approx(task.losses(constant.clamp(min=-50), target).item(), rel=0.02)
    else:
        assert task.errors(outputs, target).isnan().all()
        mean = 0.0 if "tanh" in experiment.name else target.mean()
        usual = pytest.approx(target.sub(mean).square().mean().item(), rel=0.3)
    assert task.baseline(3) == usual


def test_pictures_of_the_test_are_not_trained_on():
    task = tasks.Digits(64, 500, 597)
    tested = {tuple(row) for row in task.test(2)[0][..., 0].T.tolist()}
    seen = {tuple(row) for step in range(8) for row in task.minibatch(2, step)[0][..., 0].T.tolist()}
    assert not tested & seen and len(seen) > 1000
    with pytest.raises(ValueError, match="must be 64"):
        tasks.Digits(32, 1, 1)


def test_what_is_copied_and_what_is_added():
    x, target = tasks.Copying(30, 6, 8, symbols=5, alphabet=3).minibatch(1, 2)
    assert x.shape == (5, 6, 3) and torch.equal(x.argmax(2).flatten(), target)
    x, target = tasks.Adding(31, 6, 8).minibatch(1, 2)
    assert (x[:15, :, 1].sum(0) == 1).all() and (x[15:, :, 1].sum(0) == 1).all()
    torch.testing.assert_close((x[..., 0] * x[..., 1]).sum(0), target[:, 0])


def test_characters_follow_each_other_and_articles_of_the_test_are_others():
    task = tasks.Characters(10, 3, 4, articles=3)
    x, target = task.minibatch(1, 0)
    assert torch.equal(x.argmax(2)[1:], target.view(10, 3)[:-1])
    training, held_out = tasks._characters(3)
    words = ["".join(" abcdefghijklmnopqrstuvwxyz"[i] for i in part[:40]) for part in (training, held_out)]
    assert words[0].startswith("anarchism is a political") and words[1].startswith("albedo or reflection coefficient")


def test_small_inputs_leave_the_teacher_linear():
    task = tasks.TanhTeacher(40, 2, 5, scale=1e-5)
    assert task.nonlinearity(8) < 1e-3 < 0.1 < tasks.TanhTeacher(40, 2, 5, scale=0.1).nonlinearity(8)
    x, target = task.test(8 + systems.TEACHERS)
    k = systems.teacher(8, 0.99).impulse_response(40)
    expected = torch.stack([(k[: t + 1].flip(0)[:, None] * x[: t + 1, :, 0]).sum(0) for t in range(40)])
    torch.testing.assert_close(target.view(40, 5), expected.float(), rtol=1e-3, atol=1e-9)


# The experiments


def test_every_network_and_optimiser_has_as_much_to_choose_from():
    for experiment in CARRY_OVER:
        counts = [net.count() for net in experiment.networks]
        assert max(counts) < 1.06 * min(counts) and [net.kind for net in experiment.networks] == list(KINDS)
        shared = {dataclasses.astuple(dataclasses.replace(net, kind="dense", units=2)) for net in experiment.networks}
        assert len(shared) == 1  # all but the recurrence is the same
        for rates in (rates for row in experiment.candidates for rates in row):
            assert len(set(rates)) == 11 and sum(rate == other for rate, other in rates) == 3
        assert not set(experiment.seeds) & {892, 893, 900, 901, 902, 903} and len(experiment.seeds) >= 6
        assert not {seed % systems.TEACHERS for seed in experiment.seeds} & {28, 29, 30, 31}


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "home"))
    small = dataclasses.replace(COPYING.at("smoke"), optimizers=("adam",), candidates=((((0.01, 0.01),),),) * 3)
    whole = experiments.run(small, "paper", folder=tmp_path / "whole", progress=False)
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(experiments.carry_over, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiments.run(small, "paper", folder=tmp_path / "again", progress=False)
    again = experiments.run(small, "paper", folder=tmp_path / "again", progress=False)
    assert len(calls) == 4 + 3
    pd.testing.assert_frame_equal(whole, again)
    assert len(again) == 6 and not again["diverged"].any()


def test_what_diverges_is_blank(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "home"))
    small = COPYING.at("smoke")
    small = dataclasses.replace(
        small, optimizers=("adam",), candidates=((((1e30, 1e30), (0.01, 0.01)),),) * 3, seeds=(8,)
    )
    frame = experiments.run(small, "paper", folder=tmp_path, progress=False)
    assert frame["diverged"].tolist() == [True, False] * 3
    assert frame["loss"].isna().tolist() == frame["error"].isna().tolist() == frame["diverged"].tolist()


def test_they_are_part_of_the_group():
    named = [experiment.name for experiment in CARRY_OVER]
    assert [experiment.name for experiment in experiments.BEYOND if experiment.name in named] == named
    assert set(named) <= set(experiments.names())


def test_the_command_line_runs_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "home"))
    assert main(["run", "beyond_carry_adding", "--scale", "smoke"]) == 0
    assert "beyond_carry_adding: 36 runs, 0 diverged" in capsys.readouterr().out


# The hypotheses


@pytest.fixture
def planted(monkeypatch):
    """Tables whose scores are ``effect(task, student, optimizer, runs)``, in decades or nats, and a bit of noise."""

    def plant(effect):
        def load(name):
            experiment, noise = experiments.get(name), np.random.default_rng(0)
            rows = pd.DataFrame(experiment._rows(), columns=["student", "optimizer", "seed", "rate", "other_rate"])
            task = name.removeprefix("beyond_carry_")
            score = effect(task, rows) + 0.01 * noise.standard_normal(len(rows))
            if task == "text":
                return rows.assign(loss=2 + score, zero_loss=2.9, error=0.5, diverged=False)
            return rows.assign(loss=10**score, zero_loss=1.0, error=10**score, diverged=False)

        monkeypatch.setattr(carry_over, "load", load)
        carry_over._runs.cache_clear()

    yield plant
    carry_over._runs.cache_clear()


ROWS = [entry for entry in HYPOTHESES if entry.name.startswith("beyond-14")]


def test_hypotheses_hold_where_they_are_true(planted):
    planted(lambda task, runs: -1.8 + 0.6 * (runs["student"].eq("dense") & runs["optimizer"].eq("adam")))
    assert len(ROWS) == 5 and {entry.accepted.verdict(entry.evaluate()) for entry in ROWS} == {"holds"}
    assert carry_over.gap("digits", "muon").value == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    "effect",
    [
        lambda task, runs: -1.5 + 0.6 * runs["student"].eq("dense"),  # Muon gives nothing back
        lambda task, runs: -1.0 - 0.6 * runs["optimizer"].eq("muon"),  # there is no gap
        lambda task, runs: -5 + 0.02 * (runs["optimizer"].eq("adam") & runs["student"].eq("dense")),  # all are solved
    ],
)
def test_hypotheses_fail_where_half_of_them_is_not(planted, effect):
    planted(effect)
    assert {entry.accepted.verdict(entry.evaluate()) for entry in ROWS} == {"fails"}


def test_rates_are_chosen_by_the_other_seeds(planted):
    """Of noise alone, the best of eleven is no better than any; a diverged run is the worst."""
    planted(lambda task, runs: np.random.default_rng(1).standard_normal(len(runs)))
    assert abs(carry_over.best("tanh", "lru", "adam").mean()) < 1.5
    planted(lambda task, runs: -1.0 - (runs["rate"] < runs["other_rate"]) - (runs["seed"] == 8))
    assert carry_over.best("tanh", "lru", "adam") == pytest.approx([-3, -2, -2, -2, -2, -2], abs=0.05)
    assert carry_over.best("tanh", "dense", "adam", shared=True)[1:] == pytest.approx([-1] * 5, abs=0.05)


def test_a_row_is_a_claim_once_its_table_is_stored():
    for entry in ROWS:
        stored = (experiments.store.PACKAGED / f"beyond_carry_{entry.name.split('-')[-1]}.json").exists()
        assert (entry in CLAIMS) == stored and not math.isnan(entry.accepted.low)
    assert through_time.KINDS == ("dense", "block", "lru")
