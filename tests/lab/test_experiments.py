"""Trained experiments: their grids are the paper's, interruptions lose nothing, and no damaged result passes."""

import contextlib
import dataclasses
import errno
import hashlib
import importlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rnnlib.__main__ import main
from rnnlib.lab import experiments, provenance, training
from rnnlib.lab.commandline import _all
from rnnlib.lab.experiments import Cell, Experiment, ResultError, analysis, blocks, executors, store
from rnnlib.lab.training import Protocol, train

SHORT = Experiment(
    name="short",
    title="for tests",
    cells=(
        Cell("lru", rates=(0.01, 0.001), nu0=(0.5, 0.9)),
        Cell("rnn", rates=(0.001, 1000.0), start=0.0, heads=(1, 32)),
    ),
    seeds=(0, 1, 2),
    protocol=Protocol(steps=60, report=10, batch=8, length=40),
    details="curves",
)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """SHORT, trained in this process without interruption: its files, by name."""
    folder = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLIB_HOME", str(folder / "home"))
        experiments.run(SHORT, "paper", folder=folder, workers=1, progress=False)
    return {path.name: path.read_bytes() for path in folder.glob("short*.csv")}


TRAINED = [name for name in experiments.names() if isinstance(experiments.get(name), Experiment)]


def tables(folder):
    return {path.name: path.read_bytes() for path in Path(folder).glob("short*.csv")}


# Grids ----------------------------------------------------------------------------------------------------------------


def test_grids_have_the_paper_s_numbers_of_runs():
    count = {name: len(experiments.get(name).runs()) for name in TRAINED}
    assert (count["fig03a"], count["fig03b"], count["fig10d"], count["fig11"]) == (700, 280 + 40 + 40, 800, 300)
    assert count["fig03a"] + count["fig03b"] + count["fig10d"] + count["fig11"] == 2160
    per_student = pd.DataFrame([dataclasses.asdict(run) for run in experiments.get("fig10d").runs()])
    assert per_student.groupby("student").size().to_dict() == {"lru": 400, "crnn": 200, "rnn": 200}


@pytest.mark.parametrize("name", TRAINED)
def test_runs_of_an_experiment_differ_and_their_students_can_be_made(name):
    runs = experiments.get(name).runs()
    assert len(set(runs)) == len(runs)
    for run in {(run.student, run.heads, run.width): run for run in runs}.values():
        assert run.member(20).target.shape == (20,)


MANY = (
    "fig03a_teachers",
    "fig03b_teachers",
    "fig04cd_teachers",
    "fig09cd_teachers",
    "fig10d_teachers",
    "fig11_teachers",
)


@pytest.mark.parametrize("name", MANY)
def test_experiments_on_many_teachers_have_two_runs_of_their_own_on_each(name):
    runs = experiments.get(name).runs()
    seeds = {}
    for run in runs:
        seeds.setdefault(run.teacher, set()).add(run.seed)
    assert sorted(seeds) == list(range(32)) and {len(own) for own in seeds.values()} == {2}
    assert len(set.union(*seeds.values())) == 64  # no two teachers share a student's start or data
    per_point = pd.DataFrame([dataclasses.asdict(run) for run in runs])
    points = per_point.groupby(["student", "start", "nu0", "theta0", "heads", "rate"]).size()
    assert set(points) == {64}


def test_results_on_the_first_teachers_do_not_depend_on_the_others():
    """Their definitions hash the first file alone, so that results from before the second are not stale."""
    first, second = (provenance.PACKAGE / "lab" / name for name in provenance.TEACHER_FILES)
    only = hashlib.sha256(first.read_bytes()).hexdigest()[:16]
    both = hashlib.sha256(first.read_bytes() + second.read_bytes()).hexdigest()[:16]
    for name, expected in [("fig03a", only), ("fig03b_corrected", only), ("fig03a_teachers", both)]:
        assert experiments.get(name).definition()["teachers"] == expected
    ten = dataclasses.replace(experiments.get("fig03a_teachers"), teacher=tuple(range(10)))
    assert ten.definition()["teachers"] == only


def test_details_of_many_runs_are_summaries(tmp_path):
    cells = (Cell("rnn", rates=(0.001, 10.0), start=0.0, width=4), Cell("s4d_authors", rates=(0.01,), width=4))
    protocol = Protocol(steps=40, report=10, batch=4, length=20)
    options = {"seeds": (1, 2), "teacher": (3, 11), "cells": cells, "protocol": protocol}
    halfway, groups = (Experiment(details, "t", details=details, **options) for details in ("halfway", "groups"))
    frames = experiments.run_all([halfway, groups], "paper", folder=tmp_path, workers=1, progress=False)
    curves = experiments.load(halfway, "curves", folder=tmp_path)
    alive = frames["halfway"][~frames["halfway"]["diverged"]]
    assert set(curves["step"]) == {20, 40} and len(curves) == 2 * len(alive)
    table = experiments.load(groups, "groups", folder=tmp_path)
    table = table.set_index(["student", "seed", "parameter"]).sort_index()
    assert set(table.loc["s4d_authors", 103].index) == {
        "A.real",
        "A.imag",
        "omega_delta",
        "B.real",
        "B.imag",
        "C.real",
        "C.imag",
        "D",
    }
    whole = train([run.member(20) for run in groups.runs()], protocol).effective_rates()
    index = next(i for i, run in enumerate(groups.runs()) if run.student == "s4d_authors" and run.seed == 211)
    paper, plain = whole[index]["A"][:, 1::2]  # imaginary parts
    row = table.loc[("s4d_authors", 211, "A.imag")]
    assert row["size"] == 4 and row["effective_plain"] == pytest.approx(np.median(plain), rel=1e-5)
    assert row["negative"] == (paper < 0).mean()
    if (paper > 0).any():
        assert row["effective"] == pytest.approx(np.median(paper[paper > 0]), rel=1e-5)


def test_direct_training_repeats_runs_of_figure_3():
    exact = set(experiments.get("fig03a").runs())
    for name in ("direct_dense", "direct_diagonal"):
        experiment = experiments.get(name)
        assert set(experiment.runs()) <= exact and experiment.method == "direct"
        assert experiment.protocol == experiments.get("fig03a").protocol


def test_a_method_and_what_it_records():
    with pytest.raises(ValueError, match="method must be one of exact, direct, got 'x'"):
        dataclasses.replace(SHORT, method="x")
    with pytest.raises(ValueError, match="details are recorded by the exact method alone, got 'curves'"):
        dataclasses.replace(SHORT, method="direct")


def test_direct_training_goes_through_the_same_runner(expected, tmp_path):
    directly = dataclasses.replace(SHORT, method="direct", details="none", cells=SHORT.cells[:1], seeds=(0, 1))
    assert directly.hash != dataclasses.replace(directly, method="exact").hash
    ours = experiments.run(directly, "paper", folder=tmp_path / "direct", workers=1, progress=False)
    theirs = experiments.run(SHORT, "paper", folder=tmp_path, workers=1, progress=False)
    both = ours.merge(theirs, on=["student", "nu0", "rate", "seed"])
    assert len(both) == len(ours) == 8
    np.testing.assert_allclose(both["loss_x"], both["loss_y"], rtol=1e-3)  # float32, 60 steps


def test_optimisers_ratios_and_rotations_go_through_the_same_runner(tmp_path):
    cells = (
        Cell("lru", rates=(0.01, 0.001), nu0=(0.9,), ratios=(1.0, 0.1), rotations=(1, 4)),
        Cell("rnn", rates=(0.001,), nu0=(0.9,), start=0.0, width=8),
    )
    muon = dataclasses.replace(
        SHORT, cells=cells, details="curves", protocol=dataclasses.replace(SHORT.protocol, optimizer="muon")
    )
    newton = dataclasses.replace(
        SHORT,
        name="newton",
        cells=(Cell("crnn", rates=(1.0,), nu0=(0.9,)),),
        details="none",
        protocol=dataclasses.replace(SHORT.protocol, optimizer="gauss_newton", loss="population", double=True),
    )
    frames = experiments.run_all([muon, newton], "paper", folder=tmp_path, workers=1, progress=False)
    ours, theirs = frames["short"], frames["newton"]
    assert len(ours) == (8 + 1) * len(SHORT.seeds) and "ratio" not in theirs
    lru = ours[ours["student"] == "lru"]
    assert lru.groupby(["rate", "ratio", "rotation"])["loss"].nunique().eq(len(SHORT.seeds)).all()
    assert lru.duplicated(["seed", "loss"]).sum() == 0  # every setting has its effect
    curves = experiments.load(muon, "curves", folder=tmp_path)
    assert curves["effective"].isna().all() and curves["loss"].notna().all()
    both = analysis.together([ours, theirs])
    assert set(both["optimizer"]) == {"Muon", "Gauss-Newton"} and len(both) == len(ours) + len(theirs)
    assert both.groupby("optimizer")["trained_on"].first().tolist() == ["population", "minibatch"]
    assert both.loc[both["optimizer"] == "Gauss-Newton", ["ratio", "rotation"]].eq(1).all(None)
    shown = analysis.settings(muon, newton)
    assert shown["optimiser"].tolist() == ["Muon", "Muon", "Gauss-Newton"]
    assert shown["rotations"].tolist() == ["1, 4", "1", "1"] and shown["ratios"].tolist() == ["1, 0.1", "1", "1"]


def test_the_hash_follows_all_that_decides_the_numbers_and_nothing_else():
    changes = [
        {"seeds": (0, 1)},
        {"teacher": 1},
        {"protocol": dataclasses.replace(SHORT.protocol, eps=1e-7)},
        {"cells": SHORT.cells[:1]},
        {"details": "none"},
    ]
    hashes = [SHORT.hash, *(dataclasses.replace(SHORT, **change).hash for change in changes)]
    assert len(set(hashes)) == len(hashes)
    assert dataclasses.replace(SHORT, title="x", live=(("lru", 0.1),)).hash == SHORT.hash


#: Tables of hours: those that are not stored yet.
UNSTORED = {
    experiment.name for experiment in experiments.BEYOND if not (store.PACKAGED / f"{experiment.name}.json").exists()
}


@pytest.mark.parametrize("name", [name for name in experiments.names() if name not in UNSTORED])
def test_stored_results_are_those_of_the_definitions(name):
    frame = experiments.load(name)
    if name not in TRAINED:
        return
    runs = pd.DataFrame([dataclasses.asdict(run) for run in experiments.get(name).runs()])
    unused = [column for column in ("ratio", "rotation") if column not in frame]
    assert runs[unused].eq(1).all(None)
    runs = runs.drop(columns=unused)
    pd.testing.assert_frame_equal(frame[list(runs.columns)], runs, check_dtype=False)


# Running --------------------------------------------------------------------------------------------------------------


def test_every_trained_experiment_runs_at_smoke_scale(tmp_path):
    frames = experiments.run_all([experiments.get(name) for name in TRAINED], "smoke", workers=1, progress=False)
    assert list(frames) == TRAINED
    for name, frame in frames.items():
        assert (frame["loss"].isna() == frame["diverged"]).all() and not frame["diverged"].all(), name
        assert (frame["zero_loss"] > 0).all(), name
        assert frame.equals(experiments.load(name, scale="smoke"))
    curves = experiments.load("fig11", "curves", scale="smoke")
    assert (curves["effective_plain"] > 0).all() and set(curves["step"]) == {5, 10, 15, 20}
    rates = experiments.load("fig04cd", "parameters", scale="smoke")
    assert rates.groupby(["student", "start"]).size().tolist() == [385, 4225, 4225]


def test_divergences_are_marked_and_have_no_loss(expected, tmp_path):
    frame = experiments.run(SHORT, "paper", folder=tmp_path, workers=1, progress=False)
    assert (frame["diverged"] == (frame["rate"] == 1000.0)).all()
    assert (frame["loss"].isna() == frame["diverged"]).all()


def test_processes_give_the_same_tables(expected, tmp_path):
    experiments.run(SHORT, "paper", folder=tmp_path, workers=2, progress=False)
    assert tables(tmp_path) == expected


def test_curves_halfway_are_two_epochs_of_the_curves_without_diverged_runs(expected, tmp_path):
    halfway = dataclasses.replace(SHORT, details="halfway")
    frame = experiments.run(halfway, "paper", folder=tmp_path / "halfway", workers=1, progress=False)
    experiments.run(SHORT, "paper", folder=tmp_path, workers=1, progress=False)
    few = experiments.load(halfway, "curves", folder=tmp_path / "halfway")
    every = experiments.load(SHORT, "curves", folder=tmp_path)
    every = every[every["step"] % (SHORT.protocol.steps // 2) == 0]
    shared = every.columns.tolist()
    assert len(few) == (~frame["diverged"]).sum() * len(every["step"].unique()) > 0
    assert len(few.merge(every, on=shared)) == len(few.drop_duplicates(shared)) > 0


def test_an_experiment_beside_it_changes_nothing(expected, tmp_path):
    other = dataclasses.replace(SHORT, name="other", cells=(Cell("lru", rates=(0.02, 0.01), nu0=(0.9,)),), seeds=(1,))
    experiments.run_all([other, SHORT], "paper", folder=tmp_path, workers=1, progress=False)
    assert tables(tmp_path) == expected
    both = experiments.load(other, folder=tmp_path).merge(experiments.load(SHORT, folder=tmp_path))
    assert len(both) == 1  # the run they share: trained once, in both tables


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_experiments as t
folder = Path({folder!r})
killed = 0
for attempt in range(400):
    child = os.fork()
    if child == 0:  # checkpoints after every epoch, so that kills fall into their writing too
        t.experiments.run(t.SHORT, "paper", folder=folder, workers=1, progress=False, checkpoint_seconds=0.0)
        os._exit(0)
    random.seed(attempt)
    time.sleep(random.uniform(0.02, 0.25))
    if killed < 20:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    killed += os.WIFSIGNALED(status)
    if killed >= 20 and not os.WIFSIGNALED(status):
        break
    if not os.WIFSIGNALED(status):  # it was done before the kill: start over
        for path in [*folder.glob("short*"), *(folder / "home").rglob("*.npz")]:
            path.unlink()
print(killed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_20_kills_lose_nothing(expected, tmp_path):
    code = KILLER.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    environment = os.environ | {"RNNLIB_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 20
    assert tables(tmp_path) == expected


@pytest.fixture
def interrupt(monkeypatch):
    """Runs experiments at paper scale and stops after some epochs of one process; the same command goes on."""

    def interrupted(chosen, folder, epochs):
        advance, count = training.Ensemble.advance, itertools.count()

        def stopping(self, *arguments):
            if next(count) == epochs:
                raise KeyboardInterrupt
            advance(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(training.Ensemble, "advance", stopping)
            with pytest.raises(KeyboardInterrupt):
                experiments.run_all(chosen, "paper", folder=folder, workers=1, progress=False, checkpoint_seconds=0.0)

    return interrupted


def epochs_of(monkeypatch, chosen, folder):
    """Run experiments to the end; how many epochs that took."""
    advance, count = training.Ensemble.advance, []
    with monkeypatch.context() as patch:
        patch.setattr(training.Ensemble, "advance", lambda *arguments: (count.append(1), advance(*arguments)))
        experiments.run_all(chosen, "paper", folder=folder, workers=1, progress=False)
    return len(count)


def test_an_interrupted_command_goes_on_from_its_checkpoint(expected, tmp_path, interrupt, monkeypatch):
    interrupt([SHORT], tmp_path, 4)
    assert epochs_of(monkeypatch, [SHORT], tmp_path) == 2
    assert tables(tmp_path) == expected
    assert experiments.load(SHORT, folder=tmp_path).attrs["origin"]["resumed"] is True
    assert not list((tmp_path / "home" / "blocks").iterdir())


def test_what_is_stored_is_computed_again_when_asked_for(expected, tmp_path, monkeypatch):
    assert [epochs_of(monkeypatch, [SHORT], tmp_path) for _ in range(2)] == [6, 6]


def test_a_finished_block_is_not_trained_again(expected, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # interrupted between training and storing
        patch.setattr(store, "write", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            experiments.run(SHORT, "paper", folder=tmp_path, workers=1, progress=False)
    assert epochs_of(monkeypatch, [SHORT], tmp_path) == 0
    assert tables(tmp_path) == expected


@pytest.mark.parametrize(
    "damage", [lambda data: data[:1000], lambda data: data[:-2000] + bytes(2000), lambda data: b""]
)
def test_a_damaged_checkpoint_is_not_used(expected, tmp_path, interrupt, damage):
    interrupt([SHORT], tmp_path, 4)
    (checkpoint,) = (tmp_path / "home" / "blocks").glob("*.checkpoint.npz")
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    experiments.run(SHORT, "paper", folder=tmp_path, workers=1, progress=False)
    assert tables(tmp_path) == expected


def test_a_damaged_finished_block_is_trained_again(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks.Block, "delete", lambda *arguments: None)
    experiments.run(SHORT, "paper", folder=tmp_path, workers=1, progress=False)
    (finished,) = (tmp_path / "home" / "blocks").glob("*.npz")
    data = finished.read_bytes()
    finished.write_bytes(data[:500] + bytes([data[500] ^ 255]) + data[501:])
    assert epochs_of(monkeypatch, [SHORT], tmp_path) == 6
    assert tables(tmp_path) == expected


def test_dask_workers_give_the_same_table_though_one_is_killed(expected, tmp_path):
    distributed = pytest.importorskip("distributed")
    longer = dataclasses.replace(SHORT, protocol=dataclasses.replace(SHORT.protocol, steps=600))
    plain = experiments.run(longer, "paper", folder=tmp_path / "plain", workers=1, progress=False)
    busy_when_killed = []
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
            client.run(importlib.import_module, "rnnlib.lab.experiments")  # so that training starts when tasks do

        def kill_one():
            scheduler, deadline = cluster.scheduler, time.monotonic() + 60
            while time.monotonic() < deadline and not busy_when_killed:
                time.sleep(0.2)
                busy = [name for name, worker in scheduler.workers.items() if worker.processing]
                for nanny in cluster.workers.values():
                    if nanny.worker_address in busy[:1]:
                        busy_when_killed.append(nanny.pid)
                        os.kill(nanny.pid, 9)

        killer = threading.Thread(target=kill_one)
        killer.start()
        through = experiments.run(
            longer, "paper", folder=tmp_path / "dask", dask=cluster.scheduler_address, progress=False
        )
        killer.join()
    assert len(busy_when_killed) == 1
    pd.testing.assert_frame_equal(plain, through, check_exact=True)


# Stored results -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(expected, tmp_path):
    experiments.run(SHORT, "paper", folder=tmp_path, workers=1, progress=False)
    return tmp_path


def load(folder):
    return experiments.load(SHORT, folder=folder)


def test_a_result_says_where_it_comes_from(stored):
    origin = load(stored).attrs["origin"]
    assert origin["hash"] == SHORT.hash and origin["versions"]["torch"] and origin["threads a process"] == 1
    assert {"commit", "date", "device", "processes", "seconds, this command"} <= set(origin)
    assert origin["resumed"] is False and 50 < origin["peak MiB, largest process"] < 10_000


def test_losses_are_read_back_as_they_were(stored):
    text = pd.read_csv(stored / "short.csv", dtype=str)
    frame = load(stored)
    finite = frame["loss"].notna()
    assert [repr(value) for value in frame["loss"][finite]] == text["loss"][finite].tolist()


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "short.csv").write_bytes((f / "short.csv").read_bytes()[:-200]), r"\d+ of 24 rows are there"),
        (lambda f: edit(f / "short.csv", "lru,0,0.5", "lru,0,0.6"), "a number was changed"),
        (lambda f: (f / "short.csv").unlink(), r"short\.csv is missing"),
        (lambda f: (f / "short.json").unlink(), "no stored result of short"),
        (lambda f: (f / "short.json").write_text('{"name": "short", "ha'), r"short\.json is damaged"),
        (lambda f: edit(f / "short.json", '"name": "short"', '"name": "fig03a"'), "another experiment, 'fig03a'"),
        (lambda f: edit(f / "short.json", SHORT.hash, "0123456789abcdef"), "stale or foreign"),
    ],
    ids=["truncated", "edited", "no table", "no record", "half a record", "another name", "foreign hash"],
)
def test_a_damaged_result_is_refused_by_name_with_what_to_do(stored, damage, message):
    load(stored)
    damage(stored)
    with pytest.raises(ResultError, match=message) as refusal:
        load(stored)
    assert "python -m rnnlib run short --scale paper" in str(refusal.value)


def test_a_changed_definition_makes_a_result_stale(stored):
    changed = dataclasses.replace(SHORT, cells=SHORT.cells[::-1])
    with pytest.raises(ResultError, match="stale or foreign"):
        experiments.load(changed, folder=stored)


def reseal(folder, change=lambda record: None, name="short"):
    """Redo every checksum of an edited result."""
    path = folder / f"{name}.json"
    record = json.loads(path.read_text())
    for name, entry in record["files"].items():
        text = (folder / name).read_bytes()
        entry |= {"rows": text.count(b"\n") - 1, "sha256": hashlib.sha256(text).hexdigest()}
    changed = change(record)
    path.write_text(store.sealed(record if changed is None else changed))


def lines(edit_lines):
    def edited(folder):
        text = (folder / "short.csv").read_text().splitlines(keepends=True)
        (folder / "short.csv").write_text("".join(edit_lines(text)))

    return edited


def swapped(old, new):
    return lambda folder: edit(folder / "short.csv", old, new)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (swapped("lru,0,0.5", "rnn,0,0.5"), "row 1: student is rnn, the experiment's is lru"),
        (swapped("lru,0,0.5", "lru,1,0.5"), "row 1: teacher is 1, the experiment's is 0"),
        (swapped(",0.01,0,", ",0.02,0,"), r"row 1: rate is 0\.02, the experiment's is 0\.01"),
        (swapped(",0.01,0,", ",0.01,7,"), "row 1: seed is 7, the experiment's is 0"),
        (lines(lambda text: [*text[:5], text[4], *text[6:]]), "row 5: "),
        (lines(lambda text: text[:-1]), "it has 23 rows, the experiment has 24"),
        (lines(lambda text: [row.rpartition(",")[0] + "\n" for row in text]), "its columns are"),
        (lines(lambda text: [text[0], *text[:0:-1]]), "row 1: student is rnn"),
        (swapped(",False", ",no"), "diverged is not True or False"),
        (swapped(",True", ",False"), "no loss, and not marked as diverged"),
        (swapped(",False", ",True"), "row 1: a loss, and marked as diverged"),
        (lines(lambda text: [text[0], re.sub(r"64,", "64,-", text[1]), *text[2:]]), "row 1: loss is -"),
        (lines(lambda text: [text[0], re.sub(r"64,[^,]+", "64,inf", text[1]), *text[2:]]), "row 1: loss is inf"),
        (lines(lambda text: [text[0], re.sub(r"64,[^,]+", "64,much", text[1]), *text[2:]]), "no table of numbers"),
        (
            lines(lambda text: [text[0], re.sub(r",[^,]+,False", ",-1,False", text[1]), *text[2:]]),
            "row 1: zero_loss is -1",
        ),
        (lines(lambda text: [text[0], "1,2,3" + 20 * ",4" + "\n", *text[2:]]), "no table of numbers"),
        (lambda folder: (folder / "short.csv").write_bytes(b""), "no table of numbers"),
        (lambda folder: (folder / "short.csv").write_bytes(b"\xff\xfe\x00"), "no table of numbers|its columns|it has"),
    ],
)
def test_an_edit_that_breaks_the_grid_is_noticed_though_all_checksums_are_redone(stored, damage, message):
    damage(stored)
    reseal(stored)
    with pytest.raises(ResultError, match=message) as refusal:
        load(stored)
    assert str(refusal.value).endswith(f"Compute it with: python -m rnnlib run short --scale paper --to {stored}")


@pytest.mark.parametrize(
    ("edit_lines", "message"),
    [
        (
            lambda text: [text[0], text[1].replace("lru", "s4"), *text[2:]],
            "row 1: student is s4, the experiment's is lru",
        ),
        (lambda text: [*text[:3], text[2], *text[4:]], "row 3: step is 20, the experiment's is 30"),
        (lambda text: text[:-6], "it has 138 rows, the experiment has 144"),
        (lambda text: text[:-1], "it has 143 rows, the experiment has 144"),
        (lambda text: [text[0], *text[:0:-1]], "row 1: student is rnn"),
        (lambda text: [row.rpartition(",")[0] + "\n" for row in text], "its columns are .*, not .*, negative"),
        (lambda text: [text[0].replace("effective", "rate2", 1), *text[1:]], "its columns are .*, not"),
        (lambda text: [text[0], re.sub("10,[^,]+", "10,inf", text[1]), *text[2:]], "row 1: loss is inf"),
        (lambda text: [text[0], re.sub("10,[^,]+", "10,", text[1]), *text[2:]], "row 1: no loss, though"),
        (lambda text: [text[0], re.sub("10,[^,]+", "10,much", text[1]), *text[2:]], "no table of numbers"),
        (lambda text: [text[0], text[1].rpartition(",")[0] + ",\n", *text[2:]], "row 1: a loss without effective"),
        (lambda text: [text[0], text[1].rpartition(",")[0] + ",1.5\n", *text[2:]], "row 1: a share .* above 1"),
        (lambda text: [*text[:-1], "rnn,32,1000.0,2,60,1,1,1,0\n"], "row 144: a loss after the run has diverged"),
        (lambda text: ["\ufeff" + text[0], *text[1:]], "byte order mark"),
        (lambda text: ["a,b\n", "1,2\n"], "its columns are a, b"),
    ],
)
def test_an_edit_of_curves_is_noticed_though_all_checksums_are_redone(stored, edit_lines, message):
    path = stored / "short.curves.csv"
    path.write_text("".join(edit_lines(path.read_text().splitlines(keepends=True))))
    reseal(stored)
    with pytest.raises(ResultError, match=message):
        experiments.load(SHORT, "curves", folder=stored)


LARGE = 1_000_000  # bytes: what takes seconds to read sixteen times
TABLES = [
    pytest.param(name, table, marks=[pytest.mark.long] * (path.stat().st_size > LARGE))
    for name in sorted(set(experiments.names()) - {"fig11"})  # its curves are like those of SHORT
    for path in sorted(store.PACKAGED.glob(f"{name}*.csv")) if path.name.split(".")[0] == name
    for table in [path.name.split(".")[-2]]
]  # fmt: skip


def last_cell(value):
    """The last cell of the table that holds something."""

    def edited(text):
        filled = text[-1].rstrip(",\n")
        return [*text[:-1], filled.rpartition(",")[0] + f",{value}" + text[-1][len(filled) :]]

    return edited


EDITS = {
    "no rows": lambda text: text[:1],
    "the first half": lambda text: text[: len(text) // 2 + 1],
    "every second row": lambda text: [text[0], *text[1::2]],
    "the last row missing": lambda text: text[:-1],
    "a row more": lambda text: [*text, text[-1]],
    "a row twice": lambda text: [*text[:-1], text[-2]],
    "reversed": lambda text: [text[0], *text[:0:-1]],
    "the last column dropped": lambda text: [row.rpartition(",")[0] + "\n" for row in text],
    "the last column renamed": lambda text: [text[0].rpartition(",")[0] + ",other\n", *text[1:]],
    "the first column renamed": lambda text: ["other," + text[0].partition(",")[2], *text[1:]],
    "columns swapped": lambda text: [",".join([*row.strip().split(",")[1:], row.split(",")[0]]) + "\n" for row in text],
    "a blank cell": last_cell(""),
    "a text": last_cell("much"),
    "infinite": last_cell("inf"),
    "a byte order mark": lambda text: ["\ufeff" + text[0], *text[1:]],
    "a column twice": lambda text: (
        [text[0].strip() + "," + text[0].strip().rpartition(",")[2] + "\n"]
        + [row.strip() + "," + row.strip().rpartition(",")[2] + "\n" for row in text[1:]]
    ),
}


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_no_edit_of_a_stored_table_passes_though_all_checksums_are_redone(tmp_path, name, table):
    for path in [store.PACKAGED / f"{name}.json", *store.PACKAGED.glob(f"{name}.*csv")]:
        shutil.copy(path, tmp_path)
    path = tmp_path / (f"{name}.csv" if table == name else f"{name}.{table}.csv")
    text = path.read_text().splitlines(keepends=True)
    table = "runs" if table == name else table
    reseal(tmp_path, name=name)
    assert len(experiments.load(name, table, folder=tmp_path)) == len(text) - 1
    passed = []
    for edit, edited in EDITS.items():
        path.write_text("".join(edited(text)))
        reseal(tmp_path, name=name)
        try:
            experiments.load(name, table, folder=tmp_path)
        except ResultError:
            continue
        passed.append(edit)
    assert not passed


@pytest.mark.parametrize(
    ("old", "new"),
    [('"rates": [', '"rates": [0.5, '), ('"commit": "', '"commit": "0'), ('"torch": "', '"torch": "9'), ('"t', '"T')],
)
def test_an_edit_of_the_record_is_noticed(stored, old, new):
    path = stored / "short.json"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ResultError, match=r"was edited|is damaged"):
        load(stored)


def test_an_edited_definition_is_noticed_though_all_checksums_are_redone(stored):
    reseal(stored, lambda record: record["definition"]["protocol"].update(batch=1))
    with pytest.raises(ResultError, match="its definition is not the experiment's"):
        load(stored)


def paths(value, path=()):
    """The path to every value in a record, the record itself first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def test_a_record_with_anything_missing_or_of_another_type_is_refused_in_a_sentence(stored):
    path = stored / "short.json"
    whole = path.read_text()
    sentences = []
    for keys in paths(json.loads(whole)):
        for new in ("gone", None, True, -1, 2.5, "text", [], ["a"], {}, {"a": 1}):
            for seal in (json.dumps, store.sealed):
                record = json.loads(whole)
                if not keys:
                    record = new
                else:
                    holder = record
                    for key in keys[:-1]:
                        holder = holder[key]
                    if new == "gone":
                        del holder[keys[-1]]
                    else:
                        holder[keys[-1]] = new
                path.write_text(seal(record) if isinstance(record, dict) else json.dumps(record))
                try:
                    analysis.provenance(load(stored))
                except ResultError as error:
                    sentences.append(str(error))
    assert len(sentences) > 1000
    assert not [text for text in sentences if "\n" in text or "python -m rnnlib run short" not in text]


def test_line_ends_do_not_count(stored):
    before = load(stored)
    for path in stored.glob("short*"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(stored).equals(before)
    edit(stored / "short.csv", "lru,0,0.5", "lru,0,0.6")
    with pytest.raises(ResultError, match="a number was changed"):
        load(stored)


def test_all_of_a_checkout_with_the_line_ends_of_windows_is_read(root, tmp_path):
    """What git writes there when a user's configuration overrules ours: stored results and the teachers."""
    shutil.copytree(root / "rnnlib", tmp_path / "rnnlib", ignore=shutil.ignore_patterns("__pycache__"))
    for suffix in ("csv", "json", "py"):
        for path in (tmp_path / "rnnlib").rglob(f"*.{suffix}"):
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    command = [sys.executable, "-m", "rnnlib", "list"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    printed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert printed.count("  stored ") == len(experiments.names()) - len(UNSTORED)
    assert printed.count("not stored") == len(UNSTORED)
    assert "eol=lf" in (root / ".gitattributes").read_text()


def test_records_of_older_versions_are_sealed(stored, monkeypatch):
    seal = load_tool("seal")
    path = stored / "short.json"
    text = path.read_text()
    record = json.loads(text)
    del record["sha256"]
    path.write_text(json.dumps(record))
    with pytest.raises(ResultError, match="no checksum of its own: an older rnnlib stored it"):
        load(stored)
    monkeypatch.setitem(experiments.EXPERIMENTS, "short", SHORT)
    assert seal.seal(stored) == ["short"] and path.read_text() == text
    assert seal.seal(stored) == []
    record["definition"]["seeds"] = [0]
    path.write_text(json.dumps(record))
    with pytest.raises(ResultError, match="definition"):
        seal.seal(stored)
    assert json.loads(path.read_text()) == record


def load_tool(name):
    path = Path(__file__).resolve().parents[2] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_full_disk_gives_a_clear_message_and_no_half_file(stored, monkeypatch):
    before = tables(stored)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultError, match=r"the disk is full: .* Free some space and give the same command again"):
        experiments.run(SHORT, "paper", folder=stored, workers=1, progress=False)
    assert tables(stored) == before and not list(stored.rglob("*.tmp"))
    monkeypatch.undo()
    load(stored)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match=r"cannot be written .*name another folder"):
        store.write_text(tmp_path / "file" / "short.csv", "")


def test_the_time_that_the_documentation_states_is_the_recorded_one(root):
    origin = experiments.load("fig11").attrs["origin"]
    runs = sum(len(experiments.get(name).runs()) for name in origin["run together"])
    seconds = origin["seconds, this command"]
    low, high = (float(f"{milliseconds / 1e3 * runs * 10_000 / seconds:.2g}") for milliseconds in (84, 170))
    for path in (root / "README.md", root / "book" / "running.md"):
        text = " ".join(path.read_text().split())
        assert f"{runs:,}" in text and f"took {seconds / 60:.0f} minutes" in text, path
        assert f"{low:,.0f} to {high:,.0f}" in text, path


# Command line ---------------------------------------------------------------------------------------------------------


def test_a_reader_that_has_seen_enough_is_no_error():
    """``python -m rnnlib show fig11 | head -1``: more than a pipe holds."""
    command = [sys.executable, "-m", "rnnlib", "show", "fig11"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "{\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def test_command_line(tmp_path, capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in experiments.names())
    assert main(["run", "fig09cd", "--scale", "smoke", "--workers", "1"]) == 0
    assert "fig09cd: 4 runs, 0 diverged" in capsys.readouterr().out
    assert main(["show", "fig09cd", "--scale", "smoke"]) == 0
    record, end = json.JSONDecoder().raw_decode(printed := capsys.readouterr().out)
    assert record["name"] == "fig09cd" and record["definition"]["cells"] and "loss" in printed[end:]
    assert main(["show", "fig03a", "--scale", "smoke"]) == 1
    assert "python -m rnnlib run fig03a --scale smoke" in capsys.readouterr().err
    assert not {experiment.name for experiment in _all("paper")} & {"direct_dense", "direct_diagonal"}
    assert {"fig03a", "fig11"} <= {experiment.name for experiment in _all("book")}
    assert not {experiment.name for experiment in _all("paper")} & {
        experiment.name for experiment in experiments.BEYOND
    }
    assert "fig11_teachers" not in {experiment.name for experiment in _all("book")}
    assert main(["run", "fig99"]) == 1
    assert "no experiment 'fig99'; choose from fig03a" in capsys.readouterr().err
    for command in ("run", "show"):
        assert main([command, "fig01"]) == 1
        said = capsys.readouterr().err
        assert "notebooks/figures/fig01.ipynb" in said and "no experiment to run" in said
    assert main(["run", "fig03"]) == 1
    assert "notebooks/figures/fig03.ipynb; run one of its experiments: fig03a, fig03b, " in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert main(["run", "fig09cd", "--scale", "smoke", "--device", "cuda"]) == 1
        assert "device 'cuda': PyTorch sees no CUDA device" in capsys.readouterr().err


@pytest.fixture
def silent():
    """A port of this machine that is open and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def babbling():
    """A server that answers, but not as a scheduler does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(range(256)))

        threading.Thread(target=answer, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.close()


def refused_soon(address, folder):
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"^dask: ") as refusal:
        experiments.run_all([SHORT], "paper", folder=folder, dask=address, progress=False)
    assert time.monotonic() - start < 15 and repr(address) in str(refusal.value) and "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "tcp://nowhere.invalid:8786", "tls://127.0.0.1:9"]
)
def test_an_address_without_a_scheduler_is_named(tmp_path, address, monkeypatch):
    """Dask tries again for as long as it may; the full time is that of the silent service below."""
    monkeypatch.setattr(executors, "_CONNECT_SECONDS", 1.0)
    assert "no scheduler answers" in refused_soon(address, tmp_path)


@pytest.mark.parametrize("address", ["", "foo", "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:99999999", "a b", "::::"])
def test_what_is_no_address_is_said_at_once(tmp_path, address):
    assert "is not the address of a scheduler" in refused_soon(address, tmp_path)


@pytest.mark.parametrize("address", ["", "nonsense", "tcp://127.0.0.1:9"])
def test_a_cluster_is_not_promised_to_what_runs_here(tmp_path, capsys, monkeypatch, address):
    monkeypatch.setattr(experiments.Measurement, "measure", lambda *arguments: pytest.fail("measured"))
    assert main(["run", "fig05_draws", "--scale", "smoke", "--dask", address, "--to", str(tmp_path / "results")]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith(f"dask: {address!r} ") and "fig05_draws: measurements run on this machine" in sentence


def test_a_folder_without_a_name_is_none(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["run", "fig09cd", "--scale", "smoke", "--to", ""])
    assert "--to: the name of the folder is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *[({"workers": value}, f"workers must be a whole number of at least 1, got {value!r}")
          for value in (0, -1, 1.5, "2")],
        ({"dask": 3}, "dask must be the address of a scheduler, .* got 3"),
        ({"dask": b"tcp://127.0.0.1:9"}, "dask must be the address of a scheduler"),
        ({"progress": "no"}, "progress must be True or False, got 'no'"),
        *[({"checkpoint_seconds": value}, r"checkpoint_seconds must be a number in \[0, inf\), got")
          for value in (-1, "3", None, float("nan"))],
        *[({"folder": value}, f"folder must be the path of a folder, got {value!r}") for value in ("", 3, True)],
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["fig09cd", "fig05_draws"])
def test_options_are_checked_before_anything_runs(tmp_path, monkeypatch, name, options, message):
    monkeypatch.setattr(training.Ensemble, "advance", lambda *arguments: pytest.fail("trained"))
    monkeypatch.setattr(type(experiments.get("fig05_draws")), "measure", lambda *arguments: pytest.fail("measured"))
    with pytest.raises(ValueError, match=message):
        experiments.run(name, "smoke", **{"folder": tmp_path, "progress": False} | options)


def test_an_unknown_option_is_refused_for_measurements_too(tmp_path):
    with pytest.raises(TypeError, match="wrokers"):
        experiments.run("fig05_draws", "smoke", folder=tmp_path, progress=False, wrokers=2)


def test_a_folder_may_be_a_string_and_experiments_may_be_names(tmp_path):
    folder = str(tmp_path / "results")
    options = {"workers": np.int64(1), "progress": False}
    (frame,) = experiments.run_all(["fig09cd"], "smoke", folder=folder, **options).values()
    pd.testing.assert_frame_equal(experiments.load("fig09cd", scale="smoke", folder=folder), frame)


def test_one_result_does_not_replace_another_of_the_same_name(tmp_path):
    other = dataclasses.replace(SHORT, seeds=(0,))
    with pytest.raises(ValueError, match="two have the same name"):
        experiments.run_all([SHORT, other], "paper", folder=tmp_path, progress=False)


@pytest.mark.parametrize("kind", ["silent", "babbling"])
def test_another_service_at_the_address_is_no_scheduler(tmp_path, kind, request):
    assert "no scheduler answers" in refused_soon(request.getfixturevalue(kind), tmp_path)


def test_results_are_checked_for_room_before_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(training.Ensemble, "advance", lambda *arguments: pytest.fail("trained"))
    (tmp_path / "file").write_text("")
    run = ["run", "fig09cd", "--scale", "smoke", "--workers", "1", "--to"]
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main([*run, str(folder)]) == 1
        assert f"{folder} cannot be written" in capsys.readouterr().err
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "file"))
    assert main([*run, str(tmp_path / "results")]) == 1
    assert "RNNLIB_HOME" in capsys.readouterr().err


def test_a_folder_for_results_is_made(tmp_path):
    assert main(["run", "fig09cd", "--scale", "smoke", "--workers", "1", "--to", str(tmp_path / "a" / "b")]) == 0
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir())[0] == "fig09cd.csv"


BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from rnnlib.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "blocked", "extra"),
    [
        (["list"], ["pandas", "tqdm"], "lab"),
        (["show", "fig03a"], ["pandas"], "lab"),
        (["claims", "fig02"], ["pandas"], "lab"),
        (["run", "fig09cd", "--scale", "smoke"], ["tqdm"], "lab"),
        (["run", "fig09cd", "--scale", "smoke", "--dask", "tcp://127.0.0.1:9"], ["distributed"], "lab,dask"),
        (["run", "fig09cd", "fig12", "--scale", "smoke"], ["tokenizers"], "lab,text"),
    ],
)
def test_a_missing_package_is_named_before_work_begins(root, tmp_path, arguments, blocked, extra):
    code = BLOCKER.format(blocked=set(blocked))
    environment = os.environ | {"PYTHONPATH": str(root), "RNNLIB_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert ", ".join(blocked) in sentence and sentence.endswith(f'pip install "rnnlib[{extra}] @ git+{address(root)}"')
    assert not list(tmp_path.rglob("*.npz"))


def address(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"rnnlib {importlib.import_module('rnnlib').__version__}\n"


def test_scale_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("RNNLIB_SCALE", "smoke")
    assert experiments.scale_from_environment() == "smoke"
    monkeypatch.delenv("RNNLIB_SCALE")
    assert experiments.scale_from_environment() == "book"
    monkeypatch.setenv("RNNLIB_SCALE", "huge")
    with pytest.raises(ValueError, match="RNNLIB_SCALE is 'huge'; choose from smoke, book, paper"):
        experiments.scale_from_environment()


def test_the_live_part_is_small():
    for name in ("fig03a", "fig03b", "fig04cd", "fig09cd", "fig10d", "fig11"):
        live = experiments.get(name).at("book")
        assert 2 <= len(live.runs()) <= 20 and live.protocol.steps <= 2000
    with pytest.raises(ValueError, match="fig11_teachers has no live part: choose the scale smoke or paper"):
        experiments.get("fig11_teachers").at("book")


def test_the_example_sweep_of_the_documentation(root, tmp_path):
    path = root / "examples" / "own_sweep.py"
    code = f"""
import dataclasses, pathlib, sys
sys.path.insert(0, {str(path.parent)!r})
import own_sweep
short = dataclasses.replace(own_sweep.SWEEP, protocol=dataclasses.replace(own_sweep.SWEEP.protocol, steps=100))
folder = pathlib.Path({str(tmp_path)!r})
frame = own_sweep.experiments.run(short, "paper", folder=folder, workers=1, progress=False)
print(frame.groupby("student")["loss"].count().to_dict())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'lru': 8, 'real': 8}"


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="already is a student 'lru'"):
        experiments.register("lru", lambda *arguments: None)


def test_unknown_names_and_scales():
    for name in ("x", {}, [], None):
        with pytest.raises(ValueError, match=f"no experiment {re.escape(repr(name))}"):
            experiments.get(name)
    with pytest.raises(ValueError, match="unknown scale 'x'"):
        SHORT.at("x")
    assert np.isclose(SHORT.runs()[0].rate, 0.01)
