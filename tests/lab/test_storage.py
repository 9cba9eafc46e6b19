"""Training with few bits: rounding is that of the formats, and nothing but what is named is rounded."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from rnnlib.lab import storage, systems
from rnnlib.lab.experiments import storage as experiment
from rnnlib.lab.protocol import Protocol
from rnnlib.lab.storage import FORMATS, RoundedEigenvalues, Storage, StoredEnsemble, StoredMember, rounded
from rnnlib.lab.training import Member, train
from rnnlib.layers import LRU, DiagonalRNN

TINY = Protocol(steps=6, report=3, batch=8, length=30)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_that_of_torch(name, dtype):
    """Also where numbers are subnormal, and at halves between neighbours."""
    bits, smallest = FORMATS[name]
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(0)) * torch.logspace(-9, 1, 20_000)
    halves = torch.arange(-512, 512) * 2.0 ** (-bits - 1)
    x = torch.cat([x, halves, torch.zeros(1)]).to(dtype)
    torch.testing.assert_close(rounded(x, bits, smallest), x.float().to(getattr(torch, name)).to(dtype), rtol=0, atol=0)


def test_stochastic_rounding_takes_a_neighbour_and_is_right_on_average():
    x = torch.tensor([0.3, -2.9, 1.0, 1e-3], dtype=torch.float64)[:, None].expand(-1, 200_000)
    drawn = rounded(x, 5, generator=torch.Generator().manual_seed(0))
    spacing = torch.exp2(torch.frexp(x)[1] - 5.0)
    assert ((drawn - x).abs() < spacing).all() and (rounded(drawn, 5) == drawn).all()
    error = (drawn - x).mean(1) / spacing[:, 0]
    assert error.abs().max() < 5 * 0.5 / math.sqrt(200_000)


def test_fixed_point_divides_a_turn():
    angles = torch.tensor([0.001, 0.7, 3.0, 6.28], dtype=torch.float64)
    parts = storage.fixed(angles.log(), 16).exp() / (2 * math.pi) * 2**16
    torch.testing.assert_close(parts, parts.round())
    assert (storage.fixed(angles.log(), 16).exp() - angles).abs().max() <= math.pi / 2**16


def members(*stored, rates=(0.01, 0.03), kind=LRU, **settings):
    target = systems.teacher(28, 0.9).impulse_response(TINY.length)
    return [
        StoredMember(
            kind(1, 8, 1, min_modulus=0.9, generator=torch.Generator().manual_seed(1), **settings),
            target,
            rate,
            seed=3,
            storage=tuple(stored),
        )
        for rate in rates
    ]


def trained(students, protocol=TINY):
    ensemble = StoredEnsemble(students, protocol)
    while ensemble.done < protocol.steps:
        ensemble.advance()
    return ensemble


def test_without_storage_nothing_changes_whoever_trains_beside():
    plain = [Member(m.layer, m.target, m.rate, m.seed) for m in members()]
    alone = train(plain, TINY)
    beside = trained([*members(Storage("omega_theta", "nearest", 5)), *members()])
    for index in range(2):
        for name, value in alone.trained()[index].items():
            torch.testing.assert_close(beside.trained()[2 + index][name], value, rtol=0, atol=0)
    np.testing.assert_array_equal(beside.curve[2:], alone.curve)
    assert (beside.curve[:2] != alone.curve).all()


@pytest.mark.parametrize("how", ["nearest", "stochastic"])
def test_what_is_named_has_few_bits_and_the_rest_has_not(how):
    ensemble = trained(members(Storage("omega_nu", how, 5)))
    for values in ensemble.trained().values():
        assert (rounded(values["omega_nu"], 5) == values["omega_nu"]).all()
        for name in ("omega_theta", "omega_gamma", "B", "C"):
            assert (rounded(values[name], 12) != values[name]).any()


def test_small_steps_are_lost_to_the_nearest_and_not_at_random():
    """At 5 bits the spacing is at least 2^-4 near the moduli at the start, and a step of Adam about the rate."""
    moved = {}
    for how in ("nearest", "stochastic"):
        start = rounded(members()[0].layer.omega_nu.detach(), 5)
        ensemble = trained(
            members(Storage("omega_nu", how, 5), rates=(1e-3,) * 12), dataclasses.replace(TINY, steps=30)
        )
        moved[how] = sum((values["omega_nu"] != start).sum() for values in ensemble.trained().values())
    assert moved["nearest"] == 0 < moved["stochastic"]


def test_frozen_parameters_stay():
    start = members()[0].layer.omega_theta.detach().clone()
    for values in trained(members(Storage("omega_theta", "frozen"))).trained().values():
        assert (values["omega_theta"] == start).all()


def test_a_copy_takes_steps_that_the_loss_sees_rounded():
    """One step by hand: the gradient is the rounded student's, the step is the copy's."""
    (member,) = members(Storage("lam", "master", 4), rates=(0.01,), kind=DiagonalRNN)
    protocol = dataclasses.replace(TINY, steps=1, report=1)
    ensemble = trained([member], protocol)
    coarse = DiagonalRNN(1, 8, 1)
    coarse.load_state_dict(member.layer.state_dict())
    with torch.no_grad():
        coarse.lam.copy_(rounded(coarse.lam, 4))
    reference = train([Member(coarse, member.target, member.rate, member.seed)], protocol)
    assert ensemble.curve[0, 0] == reference.curve[0, 0]
    step = reference.trained()[0]["lam"] - coarse.lam
    torch.testing.assert_close(ensemble.trained()[0]["lam"], member.layer.lam + step)
    assert (rounded(ensemble.trained()[0]["lam"], 4) != ensemble.trained()[0]["lam"]).all()


def test_rounded_eigenvalues_are_those_of_bfloat16_and_have_gradients():
    layer = RoundedEigenvalues(1, 8, 1, min_modulus=0.9, generator=torch.Generator().manual_seed(0))
    lam = torch.view_as_real(layer.eigenvalues())
    assert (lam == lam.bfloat16().float()).all()
    lam.square().sum().backward()
    assert layer.omega_theta.grad.isfinite().all() and (layer.omega_theta.grad != 0).any()


def test_stored_eigenvalues():
    lam = np.array([0.9 * np.exp(1j), 0.9 * np.exp(-1j), 0.99, -0.5])
    kept = storage.stored_eigenvalues(lam, "parts", 3)
    assert (np.abs(kept) < 1).all() and len(kept) == 2  # .99 rounds to 1
    assert storage.stored_eigenvalues(lam, "raw", 24) == pytest.approx(lam[[0, 2, 3]], rel=1e-6)
    turned = storage.stored_eigenvalues(lam, "angle", 4)
    assert np.abs(turned) == pytest.approx([0.9, 0.99, 0.5]) and turned[1].imag == 0
    with pytest.raises(ValueError, match="stored must be one of parts, modulus, angle, raw, got 'rate'"):
        storage.stored_eigenvalues(lam, "rate", 4)


def test_errors():
    with pytest.raises(ValueError, match="how must be one of nearest, stochastic, master, fixed, frozen, got 'up'"):
        Storage("lam", "up")
    with pytest.raises(ValueError, match=r"each parameter of storage must be one of .*omega_nu.*, got 'lam'"):
        members(Storage("lam", "nearest", 8))
    with pytest.raises(ValueError, match="storage must name each parameter once, got omega_nu, omega_nu"):
        members(Storage("omega_nu", "nearest", 8), Storage("omega_nu", "frozen"))
    with pytest.raises(RuntimeError, match="train to the end"):
        StoredEnsemble(members(), TINY).save(None)


def test_settings_differ_in_storage_alone():
    """Within a student the same rates, memory and angles, so that a difference is the storage's."""
    groups = {}
    for setting in experiment.EXPERIMENT.settings:
        groups.setdefault((setting.student, setting.nu0, setting.theta0), set()).add(setting.rates)
    assert all(len(rates) == 1 for rates in groups.values())
    assert len({setting.name for setting in experiment.EXPERIMENT.settings}) == len(experiment.EXPERIMENT.settings)
