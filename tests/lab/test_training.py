"""Ensembles: members never meet, checkpoints lose nothing, trajectories are those of plain PyTorch."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from rnnlib import LRU, S4D, DenseRNN, DiagonalRNN
from rnnlib.lab import systems
from rnnlib.lab.direct import DirectEnsemble
from rnnlib.lab.files import write_arrays
from rnnlib.lab.minibatches import Minibatches
from rnnlib.lab.training import Ensemble, Member, Protocol, one_thread, train

TARGET = systems.teacher(0, 0.9).impulse_response(50)
SHORT = Protocol(steps=30, report=10, batch=8, length=50)
KINDS = {
    "rnn": lambda g: DenseRNN(1, 64, 1, generator=g),
    "4 heads": lambda g: DenseRNN(1, 64, 1, heads=4, generator=g),
    "block": lambda g: DenseRNN(1, 64, 1, heads=32, generator=g),
    "block_wide": lambda g: DenseRNN(1, 128, 1, heads=64, generator=g),
    "crnn": lambda g: DiagonalRNN(1, 64, 1, min_modulus=0.9, generator=g),
    "crnn_gamma": lambda g: DiagonalRNN(1, 64, 1, normalize=True, min_modulus=0.9, generator=g),
    "crnn_exp": lambda g: LRU(1, 64, 1, normalize=False, min_modulus=0.9, generator=g),
    "lru": lambda g: LRU(1, 64, 1, min_modulus=0.9, generator=g),
    "s4d": lambda g: S4D(1, 64, 1, step_size=0.01, min_modulus=0.9, generator=g),
}
EVERY_KIND = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def member(make, rate=1e-3, seed=0, start=0, target=TARGET):
    return Member(make(generator(start)), target, rate, seed)


def parameters(ensemble, index):
    return ensemble.trained()[index]


def assert_same_bits(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@EVERY_KIND
def test_a_member_does_not_depend_on_who_trains_beside_it(make):
    others = [member(make, rate=3e-4 * (1 + i), seed=i % 3, start=i) for i in range(70)]
    mine = member(make, rate=2e-3, seed=1, start=99)
    alone = train([mine], SHORT)
    first = train([mine, *others], SHORT)
    last = train([*others[:9], member(KINDS["lru"], seed=5), mine], SHORT)
    # the only one of its data seed
    middle = train([*(member(make, seed=2 * (i % 2), start=i) for i in range(6)), mine], SHORT)
    assert_same_bits(parameters(alone, 0), parameters(first, 0))
    assert_same_bits(parameters(alone, 0), parameters(middle, 6))
    assert_same_bits(parameters(alone, 0), parameters(last, 10))
    assert np.array_equal(alone.curve[0], first.curve[0]) and np.array_equal(alone.curve[0], last.curve[10])


@EVERY_KIND
def test_200_steps_are_those_of_back_propagation_through_time(make):
    """Plain PyTorch: the layer run over the minibatch, torch.optim.Adam, its cosine; float64."""
    protocol = Protocol(steps=200, report=100, batch=2, length=20)
    system = systems.teacher(1, 0.9)
    ensemble = train([Member(make(generator()).double(), system.impulse_response(20), 1e-3, 3)], protocol)
    layer = make(generator()).double()
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200, eta_min=1e-7)
    A, B, C, D = system.A, system.B[:, None], system.C[None], system.D.view(1, 1)
    losses = []
    with one_thread():
        for step in range(200):
            x = systems.white_inputs(3, step, 2, 20).double()[..., None]
            state, outputs = x.new_zeros(2, 10), []
            for x_t in x.unbind(1):
                state = state @ A.T + x_t @ B.T
                outputs.append(state @ C.T + x_t @ D.T)
            loss = 0.5 * (layer(x)[0] - torch.stack(outputs, 1)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    assert ensemble.summary().loss[0] == pytest.approx(np.mean(losses[100:]), rel=1e-7)
    for name, value in layer.named_parameters():
        torch.testing.assert_close(parameters(ensemble, 0)[name], value.detach(), rtol=1e-6, atol=1e-9)


@pytest.mark.gpu
@EVERY_KIND
def test_training_on_a_gpu_is_that_of_the_cpu(make):
    members = [member(make, seed=seed) for seed in (0, 1, 1)]
    here, there = train(members, SHORT).summary(), train(members, SHORT, device="cuda").summary()
    for name in ("loss", "zero_loss", "curve"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=1e-3, err_msg=name)


def test_checkpoints_resume_bit_for_bit(tmp_path):
    members = [member(make, seed=seed) for make in KINDS.values() for seed in (0, 1)]
    members.append(member(KINDS["rnn"], rate=1e3))  # diverges at once
    whole = train(members, SHORT)
    with one_thread():
        for epochs in (1, 2, 3):
            begun = Ensemble(members, SHORT)
            for _ in range(epochs):
                begun.advance()
            begun.save(tmp_path / "checkpoint.npz")
            resumed = Ensemble(members, SHORT)
            resumed.restore(tmp_path / "checkpoint.npz")
            while resumed.done < SHORT.steps:
                resumed.advance()
            for index in whole.trained():
                assert_same_bits(parameters(whole, index), parameters(resumed, index))
            for name, values in vars(whole.summary()).items():
                assert np.array_equal(values, getattr(resumed.summary(), name), equal_nan=True), name
    assert not list(tmp_path.glob("*.tmp"))


def test_a_diverged_member_leaves_and_harms_nobody():
    good = [member(KINDS["rnn"], rate=1e-4, seed=seed) for seed in range(3)]
    bad = [member(KINDS["rnn"], rate=1e3, seed=seed) for seed in range(3)]
    mixed = train([good[0], bad[0], good[1], bad[1], good[2], bad[2]], SHORT)
    summary, alone = mixed.summary(), train(good, SHORT).summary()
    assert summary.diverged.tolist() == [False, True] * 3
    assert np.array_equal(summary.loss[::2], alone.loss) and np.isnan(summary.loss[1::2]).all()
    assert np.array_equal(summary.zero_loss[::2], summary.zero_loss[1::2])
    assert list(mixed.trained()) == mixed.alive == [0, 2, 4]


def test_all_may_diverge():
    summary = train([member(KINDS["rnn"], rate=1e3)], SHORT).summary()
    assert summary.diverged.all() and np.isnan(summary.loss).all() and np.isfinite(summary.zero_loss).all()


def test_zero_loss_is_that_of_the_zero_predictor():
    summary = train([member(KINDS["lru"], seed=2)], SHORT).summary()
    losses = []
    for step in range(20, 30):
        x = systems.white_inputs(2, step, 8, 50).double()
        y = torch.stack([(TARGET[: t + 1].flip(0) * x[:, : t + 1]).sum(1) for t in range(50)], 1)
        losses.append(0.5 * y.square().mean().item())
    assert summary.zero_loss[0] == pytest.approx(np.mean(losses), rel=1e-5)


def test_effective_rates_are_what_adam_would_do():
    """The update of torch.optim.Adam for a gradient of ones, and rate / (sqrt(v) + eps), from its own state."""
    protocol = Protocol(steps=10, report=10, batch=8, length=50, schedule="constant")
    ensemble = train([Member(KINDS["lru"](generator()).double(), TARGET, 1e-3, 0)], protocol)
    layer = KINDS["lru"](generator()).double()
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    for step in range(10):
        x = systems.white_inputs(0, step, 8, 50).double()
        y = torch.stack([(TARGET[: t + 1].flip(0) * x[:, : t + 1]).sum(1) for t in range(50)], 1)
        optimizer.zero_grad()
        (0.5 * (layer(x[..., None])[0][..., 0] - y).square().mean()).backward()
        optimizer.step()
    rates = ensemble.effective_rates()[0]
    for name, value in layer.named_parameters():
        v = optimizer.state[value]["exp_avg_sq"] / (1 - 0.999**10)
        np.testing.assert_allclose(rates[name][1], (1e-3 / (v.sqrt() + 1e-8)).flatten().numpy(), rtol=1e-6)
        before = value.detach().clone()
        value.grad = torch.ones_like(value)
        state = {key: item.clone() for key, item in optimizer.state[value].items()}
        other = torch.optim.Adam([value], lr=1e-3)
        other.state[value] = state
        other.step()
        np.testing.assert_allclose(rates[name][0], (before - value.detach()).flatten().numpy(), rtol=1e-5, atol=1e-12)


class Undeclared(LRU):
    recurrent_parameters = ()


def test_a_layer_that_does_not_name_its_recurrent_parameters_has_rates_over_all():
    ensemble = train([Member(Undeclared(1, 4, 1, generator=generator()), TARGET, 1e-3, 0)], SHORT)
    rates = np.concatenate([values[1] for values in ensemble.effective_rates()[0].values()])
    assert ensemble.summary().rates[0, -1, 1] == pytest.approx(np.exp(np.log(rates).mean()), rel=1e-5)


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    ensemble = Ensemble([member(KINDS["lru"])], SHORT)
    ensemble.advance()
    ensemble.save(path)
    with pytest.raises(ValueError, match=r"checkpoint of other students.*delete it"):
        Ensemble([member(KINDS["crnn"])], SHORT).restore(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:300] + bytes([whole[300] ^ 255]) + whole[301:], b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"is damaged.*delete it"):
            Ensemble([member(KINDS["lru"])], SHORT).restore(path)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_arrays(path, {"a": np.arange(3)})
    whole = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_arrays(path, {"a": np.arange(3000)})
    assert path.read_bytes() == whole and [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_minibatches_drawn_ahead_are_the_same():
    drawn, ahead = Minibatches([0, 3], SHORT, 0), Minibatches([0, 3], SHORT, 2)
    for number in (0, 1, 2, 7, 29):  # a checkpoint may begin anywhere
        assert torch.equal(drawn(number), ahead(number))


def test_protocol_checks_itself():
    with pytest.raises(ValueError, match="schedule must be"):
        Protocol(schedule="linear")
    with pytest.raises(ValueError, match="multiple of report"):
        Protocol(steps=10, report=3)
    with pytest.raises(RuntimeError, match="30 of 30 steps are left"):
        Ensemble([member(KINDS["lru"])], SHORT).summary()


def test_a_mixture_with_and_without_input_scale_trains_each_as_alone():
    makers = [lambda g: LRU(1, 4, 1, normalize=True, generator=g), lambda g: LRU(1, 4, 1, normalize=False, generator=g)]
    members = [member(makers[i % 2], start=i) for i in range(4)]
    with one_thread():
        together = train(members, SHORT)
        for i, one in enumerate(members):
            alone = train([one], SHORT)
            assert together.trained()[i].keys() == alone.trained()[0].keys()
            np.testing.assert_allclose(together.summary().loss[i], alone.summary().loss[0], rtol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0}, {"steps": -10}, {"steps": 1.5}, {"steps": 1 << 21}, {"batch": 0}, {"length": -1}, {"report": 0},
        {"final_rate": -1.0}, {"final_rate": math.nan}, {"beta1": 1.0}, {"beta2": -0.1}, {"eps": -1e-8},
    ],
    ids=str,
)  # fmt: skip
def test_each_number_of_a_protocol_is_checked(change):
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name} must be a .*number .*, got {value}"):
        Protocol(**change)


def test_a_protocol_takes_the_numbers_of_numpy():
    assert Protocol(steps=np.int64(20), report=np.int64(10), eps=np.float64(1e-8)) == Protocol(steps=20, report=10)


@pytest.mark.parametrize("kind", [Ensemble, DirectEnsemble])
def test_members_that_cannot_train_together_are_named(kind):
    one = member(KINDS["lru"])
    frozen = dataclasses.replace(one, layer=copy.deepcopy(one.layer))
    frozen.layer.D.requires_grad_(False)
    double = dataclasses.replace(one, layer=copy.deepcopy(one.layer).double())
    for members, message in [
        ([], "members is empty"),
        ([dataclasses.replace(one, target=one.target[:1])], r"target must have shape \(50,\), got \(1,\)"),
        ([one, double], "members must have one dtype, got torch.float32 and"),
        ([one, frozen], "all parameters are trained, but 'D' has requires_grad=False"),
    ]:
        with pytest.raises(ValueError, match=message):
            kind(members, SHORT)
    for change in ({"rate": 0.0}, {"rate": math.nan}, {"seed": -1}, {"seed": 2048}):
        with pytest.raises(ValueError, match=r"must be a .*number"):
            dataclasses.replace(one, **change)


def test_there_are_no_effective_rates_before_the_first_step():
    with pytest.raises(RuntimeError, match="before the first step"):
        Ensemble([member(KINDS["lru"])], SHORT).effective_rates()
    with pytest.raises(ValueError, match="number must be a whole number from 0 to 30, got 31"):
        SHORT.rate(0.1, 31)
