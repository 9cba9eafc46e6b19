"""Optimisers of stacks against independent ones, and against theory: which of them notice which change of basis."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from rnnlib import LRU, DenseRNN, DiagonalRNN
from rnnlib.lab import exact, systems
from rnnlib.lab.experiments.students import STUDENTS
from rnnlib.lab.optimizers import OPTIMIZERS, RULES, Rotation
from rnnlib.lab.optimizers.rules import orthogonalized
from rnnlib.lab.training import Ensemble, Member, Protocol, one_thread, train
from rnnlib.layers.dense import dense_recurrence

LENGTH = 30
SYSTEM = systems.teacher(1, 0.9)
TARGET = SYSTEM.impulse_response(LENGTH)
SHORT = Protocol(steps=24, report=6, batch=4, length=LENGTH)
POPULATION = dataclasses.replace(SHORT, loss="population", double=True)
WHOLE = [name for name, kind in OPTIMIZERS.items() if not kind.minibatches]
PROTOCOLS = {name: dataclasses.replace(POPULATION if name in WHOLE else SHORT, optimizer=name) for name in OPTIMIZERS}
RATES = {"adam": 1e-3, "sgd": 1e-3, "sign": 1e-3, "soap": 1e-3, "muon": 1e-3, "lbfgs": 1.0, "gauss_newton": 1.0}
EVERY = pytest.mark.parametrize("name", OPTIMIZERS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def dense(seed=0, width=8, heads=1):
    return DenseRNN(1, width, 1, heads=heads, min_modulus=0.8, generator=generator(seed))


def lru(seed=0):
    return LRU(1, 8, 1, min_modulus=0.8, generator=generator(seed))


def crnn(seed=0):
    return DiagonalRNN(1, 8, 1, min_modulus=0.8, generator=generator(seed))


def trained(layer, protocol, rate, **settings):
    """Curve and parameters of one student, in float64."""
    ensemble = train([Member(layer.double(), TARGET, rate, 3, **settings)], protocol)
    return ensemble.summary().curve[0], ensemble.trained()[0]


def through_time(layer, protocol, step):
    """Plain PyTorch: ``step(number)`` after each minibatch, run over the sequence; the losses of all steps."""
    losses = []
    for number in range(protocol.steps):
        x = systems.white_inputs(3, number, protocol.batch, protocol.length).double()[..., None]
        A, B, C, D = SYSTEM.A, SYSTEM.B[:, None], SYSTEM.C[None], SYSTEM.D.view(1, 1)
        state, y = x.new_zeros(len(x), 10), []
        for x_t in x.unbind(1):
            state = state @ A.T + x_t @ B.T
            y.append(state @ C.T + x_t @ D.T)
        layer.zero_grad()
        loss = 0.5 * (layer(x)[0] - torch.stack(y, 1)).square().mean()
        loss.backward()
        step(number)
        losses.append(loss.item())
    return losses


def population_loss(layer):
    """From the layer's own forward pass."""
    weights = 1 - torch.arange(LENGTH, dtype=torch.float64) / LENGTH
    return 0.5 * (weights * (layer.impulse_response(LENGTH)[:, 0, 0] - TARGET).square()).sum()


def assert_same(mine, layer, **tolerance):
    for name, value in layer.named_parameters():
        torch.testing.assert_close(mine[name], value.detach(), **tolerance)


# Each against another implementation of it


@pytest.mark.parametrize("make", [dense, lru])
@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.9}),
        ("adam", torch.optim.AdamW, {"betas": (0.9, 0.95), "weight_decay": 0.1}),
    ],
)
def test_sgd_and_adam_are_those_of_torch_with_every_option(make, name, kind, options):
    """Two rates, warm-up, clipping and weight decay; torch.optim.SGD's own would add to the gradient instead."""
    later = {"warmup": 5, "clip": 0.5, "decay": 0.1, "schedule": "constant"}
    protocol = dataclasses.replace(PROTOCOLS[name], beta2=0.95, **later)
    curve, mine = trained(make(), protocol, 1e-2, ratio=0.1)
    layer = make().double()
    parts = {True: [], False: []}
    for parameter, value in layer.named_parameters():
        parts[parameter in layer.recurrent_parameters].append(value)
    optimizer = kind([{"params": parts[True], "lr": 1e-2}, {"params": parts[False], "lr": 1e-1}], **options)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda number: min(1, (number + 1) / 5))

    def step(number):
        nn.utils.clip_grad_norm_(layer.parameters(), 0.5)
        for group in optimizer.param_groups if name == "sgd" else ():
            for value in group["params"]:
                value.data *= 1 - 0.1 * group["lr"]
        optimizer.step()
        warm.step()

    losses = through_time(layer, protocol, step)
    assert_same(mine, layer, rtol=1e-5, atol=1e-6)  # torch adds 1e-6 to a norm that it clips
    np.testing.assert_allclose(curve, np.mean(np.reshape(losses, (-1, protocol.report)), 1), rtol=1e-5)


def test_sign_descent_moves_each_parameter_by_the_rate():
    protocol = dataclasses.replace(PROTOCOLS["sign"], schedule="constant")
    _, mine = trained(lru(), protocol, 1e-3)
    layer = lru().double()
    means = {name: np.zeros(value.shape) for name, value in layer.named_parameters()}

    def step(number):
        for name, value in layer.named_parameters():
            means[name] = 0.9 * means[name] + value.grad.numpy()  # a sign does not see the factor of a mean
            value.data -= 1e-3 * torch.from_numpy(np.sign(means[name]))

    through_time(layer, protocol, step)
    assert_same(mine, layer, rtol=0, atol=1e-12)


def test_muon_is_that_of_torch_up_to_its_bfloat16():
    """Of all that A has moved in 24 steps, 3 percent; B, C and D have another A to go with, hence as much."""
    protocol = dataclasses.replace(PROTOCOLS["muon"], schedule="constant")
    _, mine = trained(dense(), protocol, 1e-3)
    layer = dense().double()
    A = layer.A[0].detach().clone().requires_grad_()
    optimizers = [
        torch.optim.Muon([A], lr=1e-3, momentum=0.9, weight_decay=0.0),
        torch.optim.Adam([layer.B, layer.C, layer.D], lr=1e-3),
    ]

    def step(number):
        A.grad = layer.A.grad[0]
        for optimizer in optimizers:
            optimizer.step()
        layer.A.data[0] = A.data

    through_time(layer, protocol, step)
    start = dense().double()
    for name, value in layer.named_parameters():
        moved = (value - start.get_parameter(name)).norm()
        assert (mine[name] - value).norm() < 0.03 * moved, name


def test_muon_makes_singular_values_almost_one():
    g = torch.randn(5, 3, 6, 6, generator=generator())
    U, S, Vh = torch.linalg.svd(g)
    near = U.mT @ orthogonalized(g) @ Vh.mT
    values = near.diagonal(dim1=-2, dim2=-1)
    assert (S[..., -1] / S[..., 0]).min() < 0.03  # it had something to do
    assert 0.3 < values.min() and values.max() < 1.3
    torch.testing.assert_close(near, torch.diag_embed(values), rtol=0, atol=1e-4)
    row = torch.tensor([[[[3e-9, 4e-9]]]])
    torch.testing.assert_close(orthogonalized(row), torch.tensor([[[[0.6, 0.8]]]]))


def test_soap_is_adam_in_the_basis_of_a_kronecker_product():
    """Of vec(A), with the basis in full, from singular vectors; B, C and D by torch.optim.Adam."""
    protocol = dataclasses.replace(PROTOCOLS["soap"], beta2=0.95, schedule="constant")
    _, mine = trained(dense(), protocol, 1e-3)
    layer = dense().double()
    rest = torch.optim.Adam([layer.B, layer.C, layer.D], lr=1e-3, betas=(0.9, 0.95))
    L, R = torch.zeros(2, 8, 8, dtype=torch.float64)
    m, v = torch.zeros(2, 64, dtype=torch.float64)
    basis = None

    def step(number):
        nonlocal L, R, m, v, basis
        g = layer.A.grad[0]
        L, R = 0.95 * L + 0.05 * g @ g.T, 0.95 * R + 0.05 * g.T @ g
        if number % 10 == 0:
            # singular values fall, eigenvalues rise; v keeps its order
            basis = torch.kron(*(torch.linalg.svd(factor)[0].flip(1).contiguous() for factor in (L, R)))
        m = 0.9 * m + 0.1 * g.flatten()
        v = 0.95 * v + 0.05 * (basis.T @ g.flatten()) ** 2
        t = number + 1
        update = (basis.T @ m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)).sqrt() + 1e-8)
        layer.A.data -= 1e-3 * (basis @ update).view(1, 8, 8)
        rest.step()

    through_time(layer, protocol, step)
    assert_same(mine, layer, rtol=1e-5, atol=1e-7)


def near(layer, size=0.03):
    """A little way from the layer, whose response is then a target that can be met."""
    other = copy.deepcopy(layer)
    with torch.no_grad():
        for value in other.parameters():
            value.add_(size * torch.randn(value.shape, generator=generator(5)))
    return other


@pytest.mark.parametrize("make", [lru, dense])
def test_lbfgs_is_that_of_torch_with_halved_steps(make):
    """Over more steps than it remembers pairs; torch's takes a step of any length that it is told."""
    protocol = dataclasses.replace(PROTOCOLS["lbfgs"], steps=16, report=1)
    layer, weights = make().double(), exact.white_gram(LENGTH)
    target = layer.impulse_response(LENGTH)[:, 0, 0].detach()
    layer = near(layer, 0.001)  # torch bounds the first step by the sum of moduli of the gradient: here below 1
    curve = train([Member(copy.deepcopy(layer), target, 0.1, 0)], protocol).summary().curve[0]

    def loss():
        return 0.5 * (weights * (layer.impulse_response(LENGTH)[:, 0, 0] - target).square()).sum()

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=1, history_size=10, tolerance_grad=0, tolerance_change=0)
    losses, halvings, first = [], 0, 0.1
    for _ in range(16):
        before, start = (
            copy.deepcopy(optimizer.state_dict()),
            nn.utils.parameters_to_vector(layer.parameters()).detach(),
        )
        for rate in first * 0.5 ** np.arange(30):
            optimizer.load_state_dict(copy.deepcopy(before))
            nn.utils.vector_to_parameters(start.clone(), layer.parameters())
            optimizer.param_groups[0]["lr"] = rate
            old = optimizer.step(closure).item()
            gradient = nn.utils.parameters_to_vector([value.grad for value in layer.parameters()])
            slope = gradient @ (nn.utils.parameters_to_vector(layer.parameters()) - start)
            if loss() <= old + 1e-4 * slope:
                break
            halvings += 1
        losses.append(loss().item())
        first = 1.0
    assert halvings and losses[-1] < 0.1 * losses[0]
    np.testing.assert_allclose(curve, losses, rtol=1e-5)


@pytest.mark.parametrize("make", [lru, crnn, dense])
def test_gauss_newton_is_damped_least_squares(make):
    """Derivatives in forward mode through the layer, steps by least squares with the damping as further rows."""
    protocol = dataclasses.replace(PROTOCOLS["gauss_newton"], steps=8, report=1)
    layer = make().double()
    curve, mine = trained(copy.deepcopy(layer), protocol, 1.0)
    names, values = zip(*layer.named_parameters(), strict=True)
    sizes, root = [value.numel() for value in values], exact.white_gram(LENGTH).sqrt()
    x = torch.zeros(1, LENGTH, 1, dtype=torch.float64)
    x[0, 0] = 1

    def residuals(vector):
        parts = {n: p.clone().view_as(v) for n, v, p in zip(names, values, vector.split(sizes), strict=True)}
        return root * (torch.func.functional_call(layer, parts, (x,))[0][0, :, 0] - TARGET)

    theta, damping, losses = torch.cat([value.detach().flatten() for value in values]), None, []
    for _ in range(8):
        r, J = residuals(theta), torch.func.jacfwd(residuals)(theta)
        damping = torch.linalg.matrix_norm(J, 2).item() ** 2 if damping is None else damping
        tried = {}
        for mu in damping * 10.0 ** np.arange(2, -3, -1):
            rows = np.vstack([J.numpy(), math.sqrt(mu) * np.eye(len(theta))])
            delta = np.linalg.lstsq(rows, np.concatenate([-r.numpy(), np.zeros(len(theta))]), rcond=None)[0]
            new = theta + torch.from_numpy(delta)
            tried[0.5 * residuals(new).square().sum().item()] = mu, new
        assert min(tried) < 0.5 * r.square().sum()
        losses.append(min(tried))
        damping, theta = tried[losses[-1]]
    assert losses[-1] < 0.5 * losses[0]
    np.testing.assert_allclose(curve, losses, rtol=1e-6)
    torch.testing.assert_close(torch.cat([value.flatten() for value in mine.values()]), theta, rtol=1e-5, atol=1e-6)


def test_adam_on_the_population_loss_is_that_of_torch():
    protocol = dataclasses.replace(PROTOCOLS["adam"], loss="population", double=True)
    curve, mine = trained(lru(), protocol, 1e-2)
    layer = lru().double()
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, protocol.steps, eta_min=1e-7)
    losses = []
    for _ in range(protocol.steps):
        optimizer.zero_grad()
        losses.append(population_loss(layer))
        losses[-1].backward()
        optimizer.step()
        schedule.step()
    assert_same(mine, layer, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(curve, [loss.item() for loss in losses[5::6]], rtol=1e-7)  # of each epoch's last step


# Members never meet


@EVERY
@pytest.mark.parametrize("kind", ["rnn", "block", "crnn", "lru"])
def test_a_member_does_not_depend_on_who_trains_beside_it(name, kind):
    whole = name in WHOLE
    protocol = dataclasses.replace(PROTOCOLS[name], clip=0.0 if whole else 1.0, steps=12)

    def one(seed, rate, rotation=1):
        layer = STUDENTS[kind](64, 32 if kind == "block" else 1, 0.9, math.pi, generator(seed))
        return Member(layer, TARGET, rate, seed % 3, 1.0 if whole else 0.1, rotation)

    rotation = 1 if whole or kind == "rnn" else 4
    mine, others = one(99, RATES[name], rotation), [one(i, RATES[name] * (1 + i), rotation) for i in range(9)]
    alone, beside = train([mine], protocol), train([*others[:6], one(3, 1e-3), mine, *others[6:]], protocol)
    assert np.array_equal(alone.curve[0], beside.curve[7]) and np.isfinite(alone.curve).all()
    for parameter, value in alone.trained()[0].items():
        assert torch.equal(value, beside.trained()[7][parameter]), parameter


@EVERY
def test_checkpoints_resume_bit_for_bit(name, tmp_path):
    settings = {} if name in WHOLE else {"ratio": 0.1, "rotation": 4}
    members = [Member(make(i).double(), TARGET, RATES[name], i, **settings) for make in (lru, crnn) for i in (0, 1)]
    protocol = PROTOCOLS[name]
    if name in WHOLE:  # one that is at the floor after the first epoch
        layer = lru().double()
        members.append(Member(near(layer), layer.impulse_response(LENGTH)[:, 0, 0].detach(), 1.0, 0))
        protocol = dataclasses.replace(protocol, floor=1e-3)
    else:  # one that diverges at once
        members.append(Member(dense().double(), TARGET, 1e6, 0, **settings))
    whole = train(members, protocol)
    with one_thread():
        for epochs in (1, 3):
            begun = Ensemble(members, protocol)
            for _ in range(epochs):
                begun.advance()
            begun.save(tmp_path / "checkpoint.npz")
            resumed = Ensemble(members, protocol)
            resumed.restore(tmp_path / "checkpoint.npz")
            while resumed.done < protocol.steps:
                resumed.advance()
            assert resumed.trained().keys() == whole.trained().keys()
            for index, parameters in whole.trained().items():
                for parameter, value in parameters.items():
                    assert torch.equal(value, resumed.trained()[index][parameter]), (index, parameter)
            for field, values in vars(whole.summary()).items():
                assert np.array_equal(values, getattr(resumed.summary(), field), equal_nan=True), field
    assert len(whole.trained()) == (5 if name in WHOLE else 4)


def test_a_member_at_the_floor_stops_and_says_so_to_the_end():
    layer = lru().double()
    target = layer.impulse_response(LENGTH)[:, 0, 0].detach()
    zero = 0.5 * (exact.white_gram(LENGTH) * target.square()).sum().item()
    protocol = dataclasses.replace(PROTOCOLS["gauss_newton"], steps=60, floor=1e-6)
    members = [Member(near(layer), target, 1.0, 0), Member(crnn().double(), TARGET, 1.0, 1)]
    ensemble, free = train(members, protocol), train(members, dataclasses.replace(protocol, floor=0.0))
    assert ensemble.stopped.tolist() == [True, False] and ensemble.alive == [0, 1]
    ((first, *_),) = np.nonzero(ensemble.curve[0] <= 1e-6 * zero)
    assert first < 9 and len(set(ensemble.curve[0, first:])) == 1 and free.curve[0, -1] < ensemble.curve[0, -1]
    np.testing.assert_array_equal(ensemble.curve[1], free.curve[1])
    with torch.no_grad():  # what is left of the student is what stopped
        for name, value in ensemble.trained()[0].items():
            layer.get_parameter(name).copy_(value)
    reached = 0.5 * (exact.white_gram(LENGTH) * (layer.impulse_response(LENGTH)[:, 0, 0] - target).square()).sum()
    assert reached.item() == pytest.approx(ensemble.curve[0, -1], rel=1e-6)


def test_second_order_optimisers_rest_where_no_loss_falls():
    """Once rounding hides all descent, a member stays, and is not taken for one that diverged."""
    layer = lru().double()
    target = layer.impulse_response(LENGTH)[:, 0, 0].detach()
    for name in WHOLE:
        protocol = dataclasses.replace(PROTOCOLS[name], steps=180, report=90)
        members = [Member(near(layer), target, 1.0, 0), Member(copy.deepcopy(layer), target, 1.0, 0)]
        summary = train(members, protocol).summary()
        assert not summary.diverged.any() and (np.diff(summary.curve) <= 0).all(), name
        assert (summary.loss < 1e-5 * summary.zero_loss).all(), name


# Bases


def orthogonal(n, seed):
    return torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator(seed)))[0]


def signed_permutation(n, seed):
    P = torch.eye(n, dtype=torch.float64)[torch.randperm(n, generator=generator(seed))]
    return P * (1 - 2 * torch.randint(0, 2, (n,), generator=generator(seed)))


#: Maps of a 4x4 matrix, as 16x16 matrices on its entries.
GROUPS = {
    "signed permutations of entries": signed_permutation(16, 1),
    "signed permutations of rows and of columns": torch.kron(signed_permutation(4, 1), signed_permutation(4, 2)),
    "rotations of rows and of columns": torch.kron(orthogonal(4, 1), orthogonal(4, 2)),
    "rotations of entries": orthogonal(16, 1),
}
EQUIVARIANT = {  # to the first, ..., in theory
    "sgd": (True, True, True, True),
    "sign": (True, True, False, False),
    "adam": (True, True, False, False),
    "soap": (False, True, True, False),
    "muon": (False, True, True, False),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("group", GROUPS)
def test_a_rule_notices_the_changes_of_basis_that_theory_says(name, group):
    """Gradients of a quadratic loss with a minimum, in two bases: the same path, or another one."""
    Q = GROUPS[group]
    protocol = dataclasses.replace(PROTOCOLS[name], beta2=0.9)
    root = torch.randn(16, 16, dtype=torch.float64, generator=generator(4))
    H, theta = root @ root.T / 16, torch.randn(16, dtype=torch.float64, generator=generator(5))
    here, there = theta.clone(), Q @ theta
    rules = [RULES[name][0](torch.empty(1, 1, 4, 4, dtype=torch.float64), protocol) for _ in range(2)]
    rate = torch.full((1, 1, 1, 1), 0.02, dtype=torch.float64)
    for number in range(15):
        for rule, value, hessian in zip(rules, (here, there), (H, Q @ H @ Q.T), strict=True):
            rule.step(value.view(1, 1, 4, 4), (hessian @ value).view(1, 1, 4, 4), rate, number)
    apart, moved = (there - Q @ here).norm(), (here - theta).norm()
    expected = EQUIVARIANT[name][list(GROUPS).index(group)]
    assert apart < 1e-6 * moved if expected else apart > 0.02 * moved


class Reparametrized(nn.Module):
    """A student whose parameter is one vector, those of another one in the basis Q; no layer of the library's."""

    input_size = output_size = 1
    recurrent_parameters = ("phi",)

    def __init__(self, layer, Q):
        super().__init__()
        self.layer = [layer]  # not a submodule
        self.register_buffer("Q", Q)
        self.phi = nn.Parameter(torch.linalg.solve(Q, nn.utils.parameters_to_vector(layer.parameters()).detach()))

    def impulse_response(self, length):
        (layer,), names = self.layer, dict(self.layer[0].named_parameters())
        parts = (self.Q @ self.phi).split([value.numel() for value in names.values()])
        values = {
            f"of.{name}": part.clone(memory_format=torch.contiguous_format).view_as(value)
            for (name, value), part in zip(names.items(), parts, strict=True)
        }
        return torch.func.functional_call(Response(layer), values, (length,))


class Response(nn.Module):
    def __init__(self, of):
        super().__init__()
        self.of = of

    def forward(self, length):
        return self.of.impulse_response(length)


@pytest.mark.parametrize("name", ["sgd", "sign", "adam", *WHOLE])  # to the others one vector is no matrix
@pytest.mark.parametrize("make", [crnn, dense])
def test_a_rotation_of_all_parameters_is_a_change_of_variables(name, make):
    """It is the same as to train Q' theta, and SGD, L-BFGS and Gauss-Newton do not notice it."""
    values = [value.detach()[None] for value in make().double().parameters()]
    size = sum(value.numel() for value in values)
    Q = Rotation(values, [True] * len(values), size, [3]).Q[0, 0]
    torch.testing.assert_close(Q @ Q.T, torch.eye(size, dtype=Q.dtype))
    protocol = dataclasses.replace(PROTOCOLS[name], loss="population", double=True)
    plain, _ = trained(make(), protocol, RATES[name])
    changed, _ = trained(Reparametrized(make().double(), Q), protocol, RATES[name])
    assert np.allclose(plain, changed, rtol=1e-6) is (name not in ("adam", "sign"))
    if name not in WHOLE:
        rotated, _ = trained(make(), protocol, RATES[name], rotation=size)
        np.testing.assert_allclose(rotated, changed, rtol=1e-6)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("size", [2, 4, 16])
def test_who_notices_random_bases_of_eigenvalue_parameters(name, size):
    """SGD never does, with a bound on the gradient too; to Muon and SOAP an eigenvalue is a matrix of one row, so they
    do only once a block holds two of them; the others do from the first."""
    protocol = dataclasses.replace(
        PROTOCOLS[name], loss="population", double=True, clip=0.05 * (name == "sgd"), beta2=0.9
    )
    (plain, _), (rotated, _) = (trained(crnn(), protocol, RATES[name], rotation=number) for number in (1, size))
    assert np.allclose(plain, rotated, rtol=1e-6) is (name == "sgd" or (name in ("muon", "soap") and size == 2))


@pytest.mark.parametrize("name", WHOLE)
def test_second_order_optimisers_notice_scales(name):
    """What begins as a multiple of the identity is one in no other scales."""
    scales = torch.diag(torch.linspace(0.5, 2, 49, dtype=torch.float64))
    plain, _ = trained(crnn(), PROTOCOLS[name], RATES[name])
    scaled, _ = trained(Reparametrized(crnn().double(), scales), PROTOCOLS[name], RATES[name])
    assert scaled[-1] != pytest.approx(plain[-1], rel=0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_basis_of_a_dense_state_is_a_gauge_that_elementwise_optimisers_notice(name):
    """From A, B, C and from Q A Q', Q B, C Q'. With Muon and SOAP, B and C are Adam's.

    The two starts are one to double precision, because L-BFGS makes a difference of single precision grow a
    thousandfold, and by how much depends on the machine.
    """
    one = STUDENTS["rnn_from_blocks"](8, 4, 0.8, math.pi, generator()).double()
    other, Q = copy.deepcopy(one), orthogonal(8, 1)
    with torch.no_grad():
        other.A.copy_(Q @ one.A @ Q.T)
        other.B.copy_(Q @ one.B)
        other.C.copy_(one.C @ Q.T)
    torch.testing.assert_close(one.impulse_response(LENGTH), other.impulse_response(LENGTH))
    protocol = dataclasses.replace(PROTOCOLS[name], loss="population", double=True)
    (a, _), (b, _) = (trained(layer, protocol, RATES[name]) for layer in (one, other))
    assert np.allclose(a, b, rtol=1e-6) is (name in ("sgd", *WHOLE))


@pytest.mark.parametrize("min_modulus", [0.0, 0.9])
def test_the_law_of_a_dense_start_is_the_same_in_every_basis_of_the_state(min_modulus):
    """Normals have no basis of their own, and what is made of them turns with them."""
    Q, N = orthogonal(8, 1), torch.randn(8, 8, dtype=torch.float64, generator=generator(2))
    turned = dense_recurrence(Q @ N @ Q.T, min_modulus)
    torch.testing.assert_close(turned, Q @ dense_recurrence(N, min_modulus) @ Q.T)
    layers = [dense(seed) for seed in range(200)]
    for draws in (torch.stack([layer.B[:, 0] for layer in layers]), torch.stack([layer.C[0] for layer in layers])):
        draws = draws.detach().double()
        some = (draws @ Q.T)[:, :2]  # a turn of independent numbers that are not normal is no longer independent
        for numbers in (draws, some):
            assert stats.kstest((numbers / draws.std()).flatten(), "norm").pvalue > 0.01
        assert abs(np.corrcoef(some.square().T)[0, 1]) < 0.2


def test_blocks_of_recurrent_parameters_are_single_eigenvalues_first():
    layers = exact.stack([lru(seed).double() for seed in range(3)])
    values = list(layers.parameters())
    recurrent = [name in layers.recurrent_parameters for name, _ in layers.named_parameters()]
    assert [values[i].shape for i in np.flatnonzero(recurrent)] == [(3, 8)] * 2
    for size in (2, 8, 16):
        rotation = Rotation(values, recurrent, size, [0, 1, 1])
        gradients = [torch.zeros_like(value) for value in values]
        first = recurrent.index(True)
        gradients[first][:, 0] = 1  # of the first eigenvalue's modulus
        turned = rotation.into(gradients)
        touched = torch.stack([value for value, own in zip(turned, recurrent, strict=True) if own]).ne(0)
        assert touched.all(0).any(0).tolist() == [unit < size // 2 for unit in range(8)]
        assert all(torch.equal(value, g) for value, g, own in zip(turned, gradients, recurrent, strict=True) if not own)
        for back, before in zip(rotation.back(turned), gradients, strict=True):
            torch.testing.assert_close(back, before)
        assert torch.equal(turned[first][1], turned[first][2]) and not torch.equal(turned[first][0], turned[first][1])


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="rotation must divide the number of recurrent parameters, 16, or be that of"):
        trained(lru(), SHORT, 1e-3, rotation=3)
    with pytest.raises(ValueError, match="ratio must be 1 where all parameters share a rotated basis"):
        trained(lru(), SHORT, 1e-3, rotation=57, ratio=0.1)
    for setting in ({"ratio": 0.1}, {"rotation": 4}):
        with pytest.raises(ValueError, match="ratio and rotation are for first-order optimisers, lbfgs has neither"):
            trained(lru(), PROTOCOLS["lbfgs"], 1.0, **setting)
    for change, message in (
        ({"optimizer": "adamw"}, "optimizer must be one of adam, sgd, .*, got 'adamw'"),
        ({"loss": "both"}, "loss must be one of minibatch, population, got 'both'"),
        ({"optimizer": "lbfgs"}, "lbfgs needs the population loss: pass loss='population'"),
        ({"floor": 1e-10}, "floor is for the population loss alone, got 1e-10"),
        ({"optimizer": "lbfgs", "loss": "population", "clip": 1.0}, "clip is for first-order optimisers, lbfgs has"),
        ({"warmup": -1}, "warmup must be a whole number of at least 0, got -1"),
        ({"clip": math.nan}, r"clip must be a number in \[0, inf\), got nan"),
        ({"double": 1}, "double must be True or False, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(SHORT, **change)
