"""Hypotheses beyond the paper: measured on tables with planted effects, and what their experiments are."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from rnnlib.__main__ import main
from rnnlib.lab import experiments
from rnnlib.lab.claims import beyond
from rnnlib.lab.experiments import store
from rnnlib.lab.experiments.carry_over import CARRY_OVER  # see test_carry_over.py

TRAINED = [experiment for experiment in experiments.BEYOND if isinstance(experiment, experiments.Experiment)]
TABLES = {experiment.name: experiment for experiment in TRAINED}
HYPOTHESES = [entry for entry in beyond.HYPOTHESES if entry.measure.__module__ == beyond.__name__]
#: Those decided by tables of runs; those of measurements come last.
OF_RUNS = HYPOTHESES[:-3]
ELEMENT_WISE = ("adam", "sign")


@pytest.fixture
def planted(monkeypatch):
    """Tables whose losses lie ``effect(experiment, runs)`` decades from the zero predictor's, and a bit of noise."""

    def plant(effect):
        def load(name):
            experiment, noise = TABLES[name], np.random.default_rng(0)
            runs = pd.DataFrame([dataclasses.asdict(run) for run in experiment.runs()])
            runs["decades"] = effect(experiment, runs) + 0.01 * noise.standard_normal(len(runs)) + 0.1 * runs["teacher"]
            rates = runs.groupby(["student", "start"])["rate"]
            diverged = (runs["rate"] == rates.transform("max")) & (rates.transform("nunique") > 1)
            runs["loss"], runs["zero_loss"] = (10 ** runs.pop("decades")).mask(diverged), 1.0
            return runs.assign(diverged=diverged)

        for name in ("load", "load_with_second_look"):
            monkeypatch.setattr(beyond, name, load)
        beyond._runs.cache_clear()

    yield plant
    beyond._runs.cache_clear()


def measured():
    return {entry.name.split("-")[1]: entry.evaluate() for entry in OF_RUNS}


def verdicts():
    return {entry.name.split("-")[1]: entry.accepted.verdict(entry.evaluate()) for entry in OF_RUNS}


def as_supposed(experiment, runs):
    """A world in which every hypothesis is true."""
    element_wise = experiment.protocol.optimizer in ELEMENT_WISE
    dense = runs["student"].eq("rnn")
    loss = -3.0 + 2.0 * (dense & element_wise) + 0.5 * (dense & (runs["start"] > 0) & element_wise)
    loss += 0.3 * np.log2(runs["rotation"]) * (~dense & element_wise)
    loss += 0.5 * runs["student"].eq("rnn_from_blocks_turned")
    return loss - 0.5 * (runs["ratio"] < 1) * dense


def test_each_hypothesis_holds_where_it_is_true(planted):
    planted(as_supposed)
    assert set(verdicts().items()) == {(name, "holds") for name in measured()}
    numbers = {name: estimate.value for name, estimate in measured().items()}
    for name, expected in {
        "01": 1.5,
        "01d": 1.5,
        "02a": -0.5,
        "02c": -0.5,
        "03": -0.5,
        "04a": 2.1,
        "04b": 1,
        "06": 0.5,
        "07": 0.5,
        "09a": 0.5,
    }.items():
        assert numbers[name] == pytest.approx(expected, abs=0.06), name
    assert numbers["02b"] == pytest.approx(0, abs=0.06)  # one rate


def otherwise(experiment, runs):
    """A world in which none is."""
    dense = runs["student"].eq("rnn")
    adam = experiment.protocol.optimizer in ELEMENT_WISE
    loss = -2.0 + (0.3 if adam else 2.0) * dense + 1.4 * dense * (experiment.protocol.loss == "population")
    loss += 0.5 * (runs["start"] > 0) * (dense & (not adam)) - 0.1 * np.log2(runs["rotation"]) * (1 if adam else -1)
    loss += 1.5 * (experiment.protocol.beta2 == 0.99) - 2.0 * (runs["ratio"] < 1) * (dense & adam)
    return loss


def test_each_hypothesis_fails_where_it_is_not(planted):
    planted(otherwise)
    assert set(verdicts().items()) == {(name, "fails") for name in measured()}


def test_choices_are_the_other_run_s(planted):
    """Of pure noise, the best of many options is no better than any."""
    planted(lambda experiment, runs: np.random.default_rng(1).standard_normal(len(runs)))
    losses = beyond.best("headline_adam", ("rnn",)) - 0.1 * np.arange(8, 24)[:, None]
    assert losses.shape == (16, 2) and abs(losses.mean()) < 4 / np.sqrt(32)


def test_losses_below_the_floor_are_equal(planted):
    planted(lambda experiment, runs: -13.0 - runs["student"].eq("lru"))
    assert (beyond.best("population_muon", ("rnn",)) == -10).all()
    assert measured()["02b"].value == 0


def test_every_optimizer_has_as_much_to_choose_from():
    sizes = [
        {(cell.student, cell.start, len(cell.rates), cell.ratios) for cell in TABLES[f"beyond_headline_{name}"].cells}
        for name in ("adam", "muon", "sgd", "adam95", "sign", "soap")
    ]
    assert all(one == sizes[0] for one in sizes[:-1]) and sizes[-1] < sizes[0]
    for experiment in TRAINED:
        second_order = experiment.protocol.optimizer in ("gauss_newton", "lbfgs")
        start = "_start_" in experiment.name or "_fairer_" in experiment.name  # the rates of two students
        sizes = {1} if second_order else {5, 6, 7} if start else {2} if experiment.name.endswith("_wider") else {5}
        assert {len(cell.rates) for cell in experiment.cells} <= sizes


def test_a_second_look_goes_on_where_the_first_ended():
    """Half a decade a rate, at one end, with all else as before."""
    for name in ("adam", "muon", "sgd", "adam95", "soap", "sign"):
        first, further = TABLES[f"beyond_headline_{name}"], TABLES[f"beyond_headline_{name}_wider"]
        assert (first.protocol, first.seeds, first.teacher) == (further.protocol, further.seeds, further.teacher)
        for cell in further.cells:
            (before,) = (one for one in first.cells if (one.student, one.start) == (cell.student, cell.start))
            assert dataclasses.replace(cell, rates=before.rates) == before
            rates = sorted({*cell.rates, *before.rates})
            assert len(rates) == 7 and np.diff(np.log10(rates)) == pytest.approx(0.5, abs=0.01)


def test_minibatch_and_population_tables_share_their_starts():
    """For each student of the one there is the other's, from the same start, at the same rates and one ratio."""
    for name in ("adam", "muon"):
        noisy, exact = (TABLES[f"beyond_{table}_{name}"].runs() for table in ("headline", "population"))
        assert set(exact) == {run for run in noisy if run.ratio == 1}


def test_the_group_runs_table_by_table_and_leaves_out_what_is_stored(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "home"))
    small = [dataclasses.replace(e.at("smoke"), cells=e.at("smoke").cells[-1:]) for e in TRAINED[:3]]
    monkeypatch.setattr(experiments, "BEYOND", tuple(small))
    for experiment in small:
        monkeypatch.setitem(experiments.EXPERIMENTS, experiment.name, experiment)
    experiments.run(small[1], "paper", folder=tmp_path, workers=1, progress=False)
    command = ["run", "beyond", "--scale", "paper", "--to", str(tmp_path), "--workers", "1"]
    assert main(command) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[:2]] == [small[0].name, small[2].name]
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.csv")}
    assert len(before) == 3 and main(command) == 0
    assert before == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.csv")}


def test_a_measurement_is_run_and_left_out_as_tables_of_runs_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "home"))
    measured = [experiment for experiment in experiments.BEYOND if experiment not in (*TRAINED, *CARRY_OVER)]
    assert [experiment.name for experiment in measured] == [
        "beyond_history",
        "beyond_plateaus",
        "beyond_orthogonality",
    ]
    small = measured[-1].at("smoke")
    monkeypatch.setattr(experiments, "BEYOND", (small,))
    monkeypatch.setitem(experiments.EXPERIMENTS, small.name, small)
    command = ["run", "beyond", "--scale", "paper", "--to", str(tmp_path)]
    assert main(command) == 0 and capsys.readouterr().out.startswith(f"{small.name}: ")
    before = (tmp_path / f"{small.name}.csv").stat().st_mtime_ns
    assert main(command) == 0 and capsys.readouterr().out.startswith("stored in")
    assert (tmp_path / f"{small.name}.csv").stat().st_mtime_ns == before


def table(experiment, name, **columns):
    """A table of a measurement with the keys that its definition says, and these columns, computed from them."""
    schema = experiment.schemas()[name]
    frame = pd.DataFrame(schema.rows, columns=list(schema.key))
    return frame.assign(**{column: value(frame) for column, value in columns.items()})


@pytest.fixture
def measurements(monkeypatch):
    """Tables of measurements with planted numbers, a bit noisy."""

    def plant(name, **columns):
        experiment, noise = experiments.get(name), np.random.default_rng(0)

        def noisy(value):
            return lambda frame: value(frame) + 1e-3 * noise.standard_normal(len(frame))

        frame = table(experiment, "runs", **{column: noisy(value) for column, value in columns.items()})
        before = beyond.load
        monkeypatch.setattr(beyond, "load", lambda asked: frame if asked == name else before(asked))

    return plant


def verdict(number):
    (entry,) = (entry for entry in beyond.HYPOTHESES if entry.name.startswith(f"beyond-{number}"))
    measured = entry.evaluate()
    return measured, entry.accepted.verdict(measured)


def test_v_is_of_the_moment_if_it_is_for_every_student_late_in_training(measurements):
    def ratio(late, exception=0.0):
        return lambda runs: (
            np.where(runs["step"] < 3000, 2.0, late)
            + (runs["beta2"] > 0.999)
            + exception * (runs["student"].eq("block") & (runs["step"] == 3000))
        )

    for late, exception, value, expected in (
        (0.1, 0.0, 0.1, "holds"),
        (-0.2, 0.0, -0.2, "holds"),
        (0.1, 0.5, 0.6, "fails"),
        (-0.4, 0.0, -0.4, "fails"),
    ):
        measurements("beyond_history", ratio=ratio(late, exception))
        measured, found = verdict(11)
        assert found == expected and measured.value == pytest.approx(value, abs=0.01)


def test_v_of_a_run_that_diverged_is_not_of_the_moment(measurements):
    measurements("beyond_history", ratio=lambda runs: np.where(runs["student"] == "lru", np.nan, 0.0))
    assert verdict(11)[1] == "fails"


def test_plateaus_lack_eigenvalues_if_most_of_adam_s_loss_is_in_modes_far_from_all(measurements):
    for share, expected in ((0.9, "holds"), (0.2, "fails")):
        measurements("beyond_plateaus", lacking=lambda runs, s=share: np.where(runs["optimizer"] == "adam", s, 1 - s))
        measured, found = verdict(12)
        assert found == expected and measured.value == pytest.approx(share, abs=0.01) and measured.n == 16
    measurements("beyond_plateaus", lacking=lambda runs: np.full(len(runs), np.nan))  # diverged: nothing to show
    assert verdict(12)[1] == "fails"


def test_orthogonality_predicts_if_it_orders_bases_as_losses_do(planted, measurements):
    planted(as_supposed)  # losses rise with the size of blocks
    for power, value, expected in ((0.1, 1, "holds"), (-0.1, -1, "fails")):
        measurements("beyond_orthogonality", cv=lambda runs, p=power: 1 + runs["rotation"] ** p)
        measured, found = verdict(13)
        assert found == expected and measured.value == pytest.approx(value) and measured.n == 8
    measurements("beyond_orthogonality", cv=lambda runs: np.where(runs["rotation"] > 32, np.nan, runs["rotation"]))
    assert verdict(13)[0].value > 0.95  # where runs diverge it is largest


def test_spreads_are_means_over_training(measurements):
    measurements("beyond_orthogonality", cv=lambda runs: np.where(runs["step"] <= 1000, 3.0, 1.0) + runs["teacher"])
    means = beyond.spread_of_updates("lru")
    assert means.shape == (8, 8)
    np.testing.assert_allclose(means, 2.0 + np.arange(8, 16)[:, None].repeat(8, 1), atol=0.01)


def test_a_hypothesis_is_a_claim_once_its_tables_are_stored():
    from rnnlib.lab.claims import CLAIMS

    for entry in beyond.HYPOTHESES:
        assert entry.kind == "beyond" and entry.figure == "beyond"
    stored = {path.stem for path in store.PACKAGED.glob("beyond_*.json")}
    if stored >= set(TABLES):
        assert set(map(id, HYPOTHESES)) <= set(map(id, CLAIMS))
    assert "beyond_headline_adam" in stored or not any(entry.name == "beyond-01-gap-under-adam" for entry in CLAIMS)
