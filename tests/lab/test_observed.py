"""Measurements on the way of training: v against the gradients of the moment, orthogonality, plateaus."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch

from rnnlib.lab import experiments, landscape, systems
from rnnlib.lab.experiments import history, observed, orthogonality, plateaus
from rnnlib.lab.experiments.students import STUDENTS
from rnnlib.lab.training import Ensemble, Member, Protocol, one_thread

LENGTH = 30
TARGET = systems.teacher(1, 0.9).impulse_response(LENGTH)
SHORT = Protocol(steps=24, report=6, batch=4, length=LENGTH, schedule="constant")


def member(name, seed=3, rate=1e-3, width=16, **settings):
    layer = STUDENTS[name](width, 1, 0.8, math.pi, torch.Generator().manual_seed(seed))
    return Member(layer, TARGET, rate, seed, **settings)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path))


@pytest.mark.parametrize("name", ["beyond_history", "beyond_plateaus", "beyond_orthogonality"])
def test_tables_have_the_shape_that_the_definition_says(name):
    experiment = experiments.get(name)
    small = experiment.at("smoke")
    for part in small.parts()[:1]:
        tables = small.measure(part, "cpu")
    assert set(tables) == set(small.schemas())
    frame = experiments.run(name, "smoke", progress=False)  # read back against the schema
    assert len(frame) and frame.notna().to_numpy().all()
    assert experiment.hash != small.hash
    for table in set(tables) - {"runs"}:
        assert experiments.load(experiment, table, scale="smoke").notna().to_numpy().all()


@pytest.mark.parametrize("name", ["beyond_history", "beyond_plateaus", "beyond_orthogonality"])
def test_a_number_that_is_blank_alone_is_noticed(name):
    experiment = experiments.get(name).at("smoke")
    for table, schema in experiment.schemas().items():
        frame = pd.DataFrame(schema.rows, columns=list(schema.key)).assign(
            **{column: 0.5 for column in schema.columns if column not in schema.key}
        )
        frame = frame[list(schema.columns)]
        if table == "losses":
            frame["diverged"] = False
        assert experiment.problem(frame, table, frame) is None
        alone = ("ratio", "ratio_low", "ratio_high", "first_hundredth", "first_tenth")  # a unit may have died out
        blanks = [column for column, kind in schema.columns.items() if str(kind).endswith("blank")]
        blanks = [column for column in blanks if name != "beyond_history" or column not in alone]
        for column in blanks:
            edited = frame.copy()
            edited.loc[len(frame) - 1, column] = math.nan
            last = experiment.problem(edited, table, frame)
            assert (last or "").startswith(f"row {len(frame)}: "), (table, column)
        if "diverged" not in frame:
            frame.loc[0, blanks] = math.nan
            assert experiment.problem(frame, table, frame) is None


def test_the_hash_follows_who_trains_but_not_what_the_table_of_the_students_is_called():
    training = history.EXPERIMENT.training
    for change, same in (({"name": "x", "title": "y"}, True), ({"seeds": (1, 2)}, False)):
        other = dataclasses.replace(history.EXPERIMENT, training=dataclasses.replace(training, **change))
        assert (other.hash == history.EXPERIMENT.hash) is same


def test_steps_outside_training_are_refused():
    for steps in ((0, 10), (10, 20_000), (30, 10), ()):
        with pytest.raises(ValueError, match="steps must rise from 1 on and end by 10000"):
            dataclasses.replace(history.EXPERIMENT, steps=steps)


def test_whoever_is_looked_at_takes_the_same_steps():
    training = history.EXPERIMENT.training.at("smoke")
    seen = []
    for step, ensemble in observed.observe(training, (1, 4, 20), "cpu"):
        history.fresh_moments(ensemble, 2)
        seen.append(step)
    assert seen == [1, 4, 20]
    with one_thread():
        plain = Ensemble([run.member(training.protocol.length) for run in training.runs()], training.protocol)
        while plain.done < training.protocol.steps:
            plain.advance()
    for index, values in plain.trained().items():
        assert all(torch.equal(value, ensemble.trained()[index][name]) for name, value in values.items())
    np.testing.assert_allclose(observed.final_losses(ensemble, 5), plain.curve[:, -1], rtol=1e-6)


# History --------------------------------------------------------------------------------------------------------------


def numbers(ensemble, count=64, early=None):
    columns = ("ratio", "low", "high", "root_v", "moment", "hundredth", "tenth", "noise", "loss")
    experiment = dataclasses.replace(history.EXPERIMENT, minibatches=count)
    with one_thread():
        rows = experiment._numbers(ensemble, early or {1: {}, 2: {}})
    return {index: dict(zip(columns, row, strict=True)) for index, row in rows.items()}


def train(members, protocol=SHORT):
    with one_thread():
        ensemble = Ensemble(members, protocol)
        while ensemble.done < protocol.steps:
            ensemble.advance()
    return ensemble


def test_moments_are_those_of_gradients_through_time():
    ensemble = train([member("crnn")])
    with one_thread():
        squares, means, loss = history.fresh_moments(ensemble, 3)[0]
    layer = STUDENTS["crnn"](16, 1, 0.8, math.pi, torch.Generator()).double()
    layer.load_state_dict(ensemble.trained()[0])
    gradients, losses = [], []
    for number in range(history.STEPS - 3, history.STEPS):
        x = systems.white_inputs(3, number, SHORT.batch, LENGTH).double()[..., None]
        y = torch.stack([sum(TARGET[lag] * x[:, t - lag, 0] for lag in range(t + 1)) for t in range(LENGTH)], dim=1)
        losses.append(0.5 * (layer(x)[0][..., 0] - y).square().mean())
        gradients.append(torch.autograd.grad(losses[-1], layer.lam)[0].flatten())
    g = torch.stack(gradients)
    torch.testing.assert_close(squares, g.square().mean(0), rtol=1e-3, atol=1e-10)
    unbiased = g.mean(0).square() - g.var(0) / 3
    torch.testing.assert_close(means, unbiased, rtol=1e-2, atol=1e-3 * g.square().mean().item())
    assert loss.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)


def test_the_ratio_is_one_where_parameters_stand_still():
    still = dataclasses.replace(SHORT, steps=600, report=100, beta2=0.99)
    for row in numbers(train([member("crnn", rate=1e-30), member("rnn", rate=1e-30)], still)).values():
        assert row["ratio"] == pytest.approx(0, abs=0.05)
        assert row["low"] < row["ratio"] < row["high"] and row["high"] - row["low"] < 0.5


def test_the_ratio_is_large_where_v_remembers_larger_gradients():
    ensemble = train([member("lru"), member("crnn")])
    before = numbers(ensemble)
    for tile in ensemble.tiles:
        for rule in tile.optimizer.rules:
            rule.state[1].mul_(100)
    after = numbers(ensemble)
    for index, row in before.items():
        assert after[index]["ratio"] == pytest.approx(row["ratio"] + 1, abs=1e-5)
        assert after[index]["moment"] == row["moment"]


def test_shares_of_early_gradients():
    """Of parameters that stand still, those of a geometric series; of v that decays, all."""
    protocol = dataclasses.replace(SHORT, steps=400, report=100, beta2=0.995)
    with one_thread():
        ensemble = Ensemble([member("crnn", rate=1e-30)], protocol)
        ensemble.advance()
        first = history._second_moments(ensemble.tiles[0])
        while ensemble.done < protocol.steps:
            ensemble.advance()
    share = numbers(ensemble, 2, {100: first, 200: {}})[0]
    expected = 0.995**300 * (1 - 0.995**100) / (1 - 0.995**400)
    assert share["hundredth"] == pytest.approx(expected, rel=0.15) and share["tenth"] == ""
    for rule in ensemble.tiles[0].optimizer.rules:  # as if gradients had been zero since
        rule.state[1].copy_(0.995**300 * rule.state[1])
    v = history._second_moments(ensemble.tiles[0])
    decayed = {index: value / 0.995**300 for index, value in v.items()}
    assert numbers(ensemble, 2, {100: decayed, 200: {}})[0]["hundredth"] == pytest.approx(1)


def test_noise_is_the_part_of_the_mean_square_that_varies():
    ensemble = train([member("crnn")], dataclasses.replace(SHORT, batch=1))
    large = train([member("crnn")], dataclasses.replace(SHORT, batch=256))
    assert numbers(large)[0]["noise"] < 0.3 < 0.6 < numbers(ensemble)[0]["noise"]


# Orthogonality --------------------------------------------------------------------------------------------------------


def test_orthogonal_matrices_have_no_spread():
    Q = torch.linalg.qr(torch.randn(2, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    assert orthogonality.spread(3 * Q).abs().max() < 1e-12
    two = torch.tensor([[3.0, 0], [0, 1]], dtype=torch.float64).view(1, 2, 1, 2)  # rows of moduli 3 and 1
    assert orthogonality.spread(two).item() == pytest.approx(0.5)
    assert orthogonality.spread(torch.diag(two.new_tensor([3.0, 1]))[None, None]).item() == pytest.approx(0.5)


@pytest.mark.parametrize(("name", "rotation"), [("crnn", 1), ("crnn", 8), ("lru", 32), ("rnn", 16), ("crnn", 97)])
def test_updates_are_what_the_last_step_added(name, rotation):
    protocol = dataclasses.replace(SHORT, report=1, double=True)
    with one_thread():
        ensemble = Ensemble([member(name, rotation=rotation)], protocol)
        for _ in range(5):
            before = ensemble.trained()[0]
            ensemble.advance()
    tile, after = ensemble.tiles[0], ensemble.trained()[0]
    for parameter, update in zip(tile.names, orthogonality.updates(tile, 5), strict=True):
        torch.testing.assert_close(after[parameter] - before[parameter], -1e-3 * update[0], rtol=1e-6, atol=1e-12)


def first_step(*members):
    with one_thread():
        ensemble = Ensemble(members, dataclasses.replace(SHORT, report=1, double=True))
        ensemble.advance()
    return {index: pair for tile in ensemble.tiles for index, pair in orthogonality.spreads(tile, 1).items()}


def test_adam_s_first_step_is_orthogonal_until_rotations_mix_eigenvalues():
    """It moves every coordinate equally far, and a rotation of single complex numbers keeps their lengths."""
    spreads = first_step(
        *(member("crnn", rotation=size) for size in (1, 2, 32)), member("lru"), member("lru", rotation=2)
    )
    for index, expected in ((0, 0), (1, 0), (3, 0)):
        assert spreads[index][0] == pytest.approx(expected, abs=1e-5)
    assert spreads[2][0] > 0.3  # all numbers in one basis
    assert spreads[4][0] > 0.1  # modulus and angle are matrices of their own
    assert spreads[1][1] > 0.1 and spreads[0][1] == pytest.approx(0, abs=1e-5)  # so are real and imaginary parts
    for index in range(3):
        assert spreads[index][2] == pytest.approx(spreads[index][0], abs=1e-5)  # the parameters are the eigenvalues


def test_how_far_eigenvalues_of_an_lru_move():
    """lambda (-exp(a) da + i exp(b) db) for steps da and db of modulus and angle."""
    with one_thread():
        ensemble = Ensemble([member("lru", rotation=32)], dataclasses.replace(SHORT, report=1, double=True))
        ensemble.advance()
    (tile,) = ensemble.tiles
    update = dict(zip(tile.names, orthogonality.updates(tile, 1), strict=True))
    values = ensemble.trained()[0]
    a, b = values["omega_nu"], values["omega_theta"]
    moved = (
        torch.exp(-a.exp()) * torch.complex(a.exp() * update["omega_nu"][0], b.exp() * update["omega_theta"][0]).abs()
    )
    expected = (moved.std(correction=0) / moved.mean()).item()
    assert orthogonality.spreads(tile, 1)[0][2] == pytest.approx(expected, rel=1e-4)
    assert abs(orthogonality.spreads(tile, 1)[0][0] - expected) > 0.01


def test_a_dense_matrix_has_no_eigenvalues_that_move_one_by_one():
    assert math.isnan(first_step(member("rnn"))[0][2])


def test_updates_that_are_looked_at_divide_the_steps():
    with pytest.raises(ValueError, match="every must divide all steps"):
        dataclasses.replace(orthogonality.EXPERIMENT, every=7)


def test_the_measure_is_small_under_muon_and_large_under_sgd():
    """What it is named after: Muon's updates are orthogonal, and gradients are far from it."""
    spreads = {}
    for optimizer in ("muon", "sgd"):
        with one_thread():
            ensemble = Ensemble([member("rnn")], dataclasses.replace(SHORT, optimizer=optimizer, report=1, double=True))
            before = ensemble.trained()[0]["A"]
            ensemble.advance()
        spreads[optimizer] = orthogonality.spread((ensemble.trained()[0]["A"] - before)[None]).item()
    assert spreads["muon"] < 0.8 < 1.5 < spreads["sgd"]


# Plateaus -------------------------------------------------------------------------------------------------------------


def test_a_student_that_is_the_teacher_lacks_nothing():
    teacher = systems.teacher(1, 0.9)
    target, modes = teacher.impulse_response(LENGTH), landscape.modes(teacher, LENGTH)
    pairs, _ = plateaus._lacks(landscape.DensePoint(systems.as_dense(teacher), target), modes)
    assert max(max(pair) for pair in pairs) < 1e-6
    shrunk = systems.System(0.5 * teacher.A, teacher.B, teacher.C, teacher.D)  # all eigenvalues elsewhere
    pairs, lacking = plateaus._lacks(landscape.DensePoint(systems.as_dense(shrunk), target), modes)
    assert min(distance for distance, _ in pairs) > 1 and lacking > 0.5
    louder = systems.System(teacher.A, 2 * teacher.B, teacher.C, teacher.D)  # the right ones, as wrong a response
    pairs, lacking = plateaus._lacks(landscape.DensePoint(systems.as_dense(louder), target), modes)
    assert max(distance for distance, _ in pairs) < 1e-6 and max(missing for _, missing in pairs) > 0.5
    assert lacking == 0


def test_gauss_newton_goes_on_from_where_students_are():
    training = plateaus.EXPERIMENT.at("smoke").training
    *_, (_, ensemble) = observed.observe(training, (20,), "cpu")
    before = [plateaus._slope(point)[0] for point in plateaus._points(ensemble).values()]
    after = [[*plateaus._after_newton(ensemble, steps).values()] for steps in (1, 5)]
    assert all(first >= one >= five for first, one, five in zip(before, *after, strict=True))
    assert max(np.subtract(before, after[1])) > 0.01


def test_runs_that_diverge_leave_blanks(tmp_path):
    for module, tables in (
        (plateaus, ("runs", "curves", "modes")),
        (orthogonality, ("runs", "losses")),
        (history, ("runs",)),
    ):
        small = module.EXPERIMENT.at("smoke")
        rates = {"rates": (1e30, 1e30)} if module is plateaus else {}
        cells = tuple(dataclasses.replace(cell, rates=(1e30,)) for cell in small.training.cells[:1])
        wild = dataclasses.replace(small, training=dataclasses.replace(small.training, cells=cells), **rates)
        experiments.run(wild, "paper", folder=tmp_path, progress=False)  # read back against the schema
        for table in tables:
            assert experiments.load(wild, table, folder=tmp_path).isna().to_numpy().any(), (small.name, table)
