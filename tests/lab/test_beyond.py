"""Hypotheses beyond the paper: measured on tables with planted effects, and what their experiments are."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from rnnlib.__main__ import main
from rnnlib.lab import experiments
from rnnlib.lab.claims import beyond
from rnnlib.lab.experiments import store

TABLES = {experiment.name: experiment for experiment in experiments.BEYOND}


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

        monkeypatch.setattr(beyond, "load", load)
        beyond._runs.cache_clear()

    yield plant
    beyond._runs.cache_clear()


def measured():
    return {entry.name.split("-")[1]: entry.evaluate() for entry in beyond.HYPOTHESES}


def verdicts():
    return {entry.name.split("-")[1]: entry.accepted.verdict(entry.evaluate()) for entry in beyond.HYPOTHESES}


def as_supposed(experiment, runs):
    """A world in which every hypothesis is true."""
    element_wise = experiment.protocol.optimizer == "adam"
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
        "02a": -0.5,
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
    adam = experiment.protocol.optimizer == "adam"
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
    for tables in (("adam", "muon", "sgd", "adam95"),):
        sizes = {
            tuple(
                (cell.student, cell.start, len(cell.rates), cell.ratios)
                for cell in TABLES[f"beyond_headline_{t}"].cells
            )
            for t in tables
        }
        assert len(sizes) == 1
    for experiment in experiments.BEYOND:
        second_order = experiment.protocol.optimizer in ("gauss_newton", "lbfgs")
        start = "_start_" in experiment.name  # the rates of two students
        assert {len(cell.rates) for cell in experiment.cells} <= ({1} if second_order else {5, 6, 7} if start else {5})


def test_minibatch_and_population_tables_share_their_starts():
    """For each student of the one there is the other's, from the same start, at the same rates and one ratio."""
    for name in ("adam", "muon"):
        noisy, exact = (TABLES[f"beyond_{table}_{name}"].runs() for table in ("headline", "population"))
        assert set(exact) == {run for run in noisy if run.ratio == 1}


def test_the_group_runs_table_by_table_and_leaves_out_what_is_stored(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "home"))
    small = [dataclasses.replace(e.at("smoke"), cells=e.at("smoke").cells[-1:]) for e in experiments.BEYOND[:3]]
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


def test_a_hypothesis_is_a_claim_once_its_tables_are_stored():
    from rnnlib.lab.claims import CLAIMS

    for entry in beyond.HYPOTHESES:
        assert entry.kind == "beyond" and entry.figure == "beyond"
    stored = {path.stem for path in store.PACKAGED.glob("beyond_*.json")}
    if stored >= set(TABLES):
        assert set(map(id, beyond.HYPOTHESES)) <= set(map(id, CLAIMS))
    assert "beyond_headline_adam" in stored or not any(entry.name == "beyond-01-gap-under-adam" for entry in CLAIMS)
