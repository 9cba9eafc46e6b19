"""The experiments' code on a device that is not the CPU, for which ``devices.py`` stands in: nothing is made on the
wrong one, and the results are the CPU's.
"""

import dataclasses
import math
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from devices import NAME, elsewhere

from rnnlib import LRU, S4D, DenseRNN, DiagonalRNN
from rnnlib.__main__ import main
from rnnlib.lab import curvature, experiments, systems, text
from rnnlib.lab.direct import DirectEnsemble
from rnnlib.lab.experiments import blocks, catalog, propagation
from rnnlib.lab.experiments.analysis import best, provenance
from rnnlib.lab.training import Ensemble, Member, Protocol

ROOT = Path(__file__).resolve().parents[2]
SHORT = Protocol(steps=20, report=10, batch=8, length=40)
TARGET = systems.teacher(0, 0.9).impulse_response(40)


class Rotated(DiagonalRNN):
    """A student without a fast path of its own: it is mapped over its members."""

    def impulse_response(self, length):
        return super().impulse_response(length)


STUDENTS = {
    "dense": lambda g: DenseRNN(1, 16, 1, generator=g),
    "large blocks": lambda g: DenseRNN(1, 64, 1, generator=g),
    "blocks": lambda g: DenseRNN(1, 16, 1, heads=8, generator=g),
    "crnn": lambda g: DiagonalRNN(1, 16, 1, normalize=True, generator=g),
    "lru": lambda g: LRU(1, 16, 1, min_modulus=0.9, generator=g),
    "s4d": lambda g: S4D(1, 16, 1, step_size=0.01, min_modulus=0.9, generator=g),
    "mapped": lambda g: Rotated(1, 16, 1, generator=g),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_what_a_gpu_refuses_is_refused():
    here = torch.ones(3)
    with elsewhere():
        there = here.to(NAME)
        assert there.device.type == NAME and (there + 1).cpu().tolist() == [2, 2, 2]
        assert there[torch.tensor([0, 2])].device.type == NAME, "an index may be on the CPU"
        assert (there * torch.tensor(2.0)).sum().item() == 6, "so may a number"
        refused = {
            "two devices": lambda: there + here,
            "of two devices": lambda: torch.cat([there, here]),
            "tensors of two": lambda: here[torch.ones(3, dtype=torch.bool).to(NAME)],
            "numpy": lambda: there.numpy(),
            "generator of the CPU": lambda: torch.randn(3, device=NAME, generator=generator()),
        }
        for message, operation in refused.items():
            with pytest.raises(RuntimeError, match=message):
                operation()


def members(make):
    rates = [1e-3, 1e30, 1e-2]  # the second diverges at once and leaves
    return [Member(make(generator(seed)), TARGET, rate, seed % 2) for seed, rate in enumerate(rates)]


def finish(ensemble):
    while ensemble.done < ensemble.protocol.steps:
        ensemble.advance()
    return ensemble


def assert_close(here, there, rtol=1e-4):
    for name, value in vars(here).items():
        np.testing.assert_allclose(value, getattr(there, name), rtol=rtol, err_msg=name)


@pytest.mark.parametrize("make", STUDENTS.values(), ids=STUDENTS)
def test_students_train_on_a_device(make, tmp_path):
    here = finish(Ensemble(members(make), SHORT))
    with elsewhere():
        begun = Ensemble(members(make), SHORT, NAME)
        begun.advance()
        begun.save(tmp_path / "checkpoint.npz")
        there = Ensemble(members(make), SHORT, NAME)
        there.restore(tmp_path / "checkpoint.npz")
        assert {value.device.type for tile in there.tiles for value in tile.parameters} == {NAME}
        summary, rates = finish(there).summary(), there.effective_rates()
        trained = {index: {name: value.cpu() for name, value in one.items()} for index, one in there.trained().items()}
    assert summary.diverged.tolist() == [False, True, False]
    assert_close(here.summary(), summary)
    assert rates.keys() == here.effective_rates().keys() == trained.keys() == {0, 2}
    for index, values in here.trained().items():
        for name, value in values.items():
            torch.testing.assert_close(trained[index][name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["dense", "lru"])
def test_students_train_through_time_on_a_device(name, tmp_path):
    here = finish(DirectEnsemble(members(STUDENTS[name]), SHORT))
    with elsewhere():
        begun = DirectEnsemble(members(STUDENTS[name]), SHORT, NAME)
        begun.advance()
        begun.save(tmp_path / "checkpoint.npz")
        there = DirectEnsemble(members(STUDENTS[name]), SHORT, NAME)
        there.restore(tmp_path / "checkpoint.npz")
        summary = finish(there).summary()
    assert_close(here.summary(), summary)


@pytest.mark.parametrize("name", ["fig03a", "fig04cd", "fig09cd", "fig11", "direct_dense"])
def test_blocks_of_experiments_train_on_a_device(name):
    experiment = experiments.get(name).at("smoke")
    (here, *_), (there, *_) = (blocks.blocks_of([experiment], device, 1) for device in ("cpu", NAME))
    expected = here.train(None, lambda steps: None, 30.0)
    with elsewhere():
        actual = there.train(None, lambda steps: None, 30.0)
    assert actual.keys() == expected.keys() and here.key != there.key
    for key in ("loss", "zero_loss", "curve"):
        np.testing.assert_allclose(actual[key], expected[key], rtol=1e-3, err_msg=key)


MEASURED = {
    "fig05_draws": {"conditions": (propagation.Condition("gaussian", propagation._ALL, (1.0, 100.0)),), "draws": 1},
    "fig12": {"ways": ("paper's fit, Gaussian",)},
    "fig14": {"source": "gaussian"},
    "fig15": {"source": "gaussian"},
}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        (name, part)
        for name, changes in MEASURED.items()
        for part in dataclasses.replace(experiments.get(name).at("smoke"), **changes).parts()
    ],
)
def test_measurements_are_those_of_the_cpu(name, part):
    experiment = dataclasses.replace(experiments.get(name).at("smoke"), **MEASURED[name])
    expected = experiment.measure(part, "cpu")
    with elsewhere():
        measured = experiment.measure(part, NAME)
    assert measured.keys() == expected.keys()
    for table, (columns, rows) in expected.items():
        assert measured[table][0] == columns and len(measured[table][1]) == len(rows)
        for ours, theirs in zip(measured[table][1], rows, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                both_nan = isinstance(b, float) and math.isnan(b) and math.isnan(a)
                assert both_nan or (a == pytest.approx(b, rel=1e-4, abs=1e-30) if isinstance(b, float) else a == b)


def test_the_autocorrelation_of_a_masked_batch_is_taken_where_the_batch_is():
    sequences = text.load("gaussian", 3, 12, size=5)
    mask = torch.rand(3, 12, generator=generator()) < 0.8
    expected = text.autocorrelation(sequences.x, mask=mask)
    with elsewhere():
        actual = text.autocorrelation(sequences.x.to(NAME), mask=mask)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_gaussian_sequences_that_match_others_are_made_where_those_are():
    sequences = text.load("gaussian", 3, 12, size=5)
    expected = text.matched(sequences, 4)
    with elsewhere():
        there = dataclasses.replace(sequences, x=sequences.x.to(NAME), mask=sequences.mask.to(NAME))
        matched = text.matched(there, 4)
        assert matched.x.device.type == matched.mask.device.type == NAME
        values = matched.x.cpu()
    torch.testing.assert_close(values, expected.x)


@pytest.mark.parametrize("name", ["blocks", "lru"])
def test_a_hessian_is_computed_where_the_layer_is(name):
    """On the meta device, which has shapes alone and refuses tensors of the CPU beside its own."""
    layer = STUDENTS[name](generator()).double().to("meta")
    weights, target = curvature.white_gram(40).to("meta"), TARGET.to("meta")
    x = torch.zeros(4, 40, 1, dtype=torch.float64, device="meta")
    sizes = sum(value.numel() for value in layer.parameters())
    for loss in (curvature.response_loss(target, weights), curvature.sampled_loss(x, x)):
        matrix = curvature.hessian(layer, loss).matrix
        assert matrix.is_meta and matrix.shape == (sizes, sizes)


def test_students_and_targets_may_be_on_the_device_already():
    mine = members(STUDENTS["lru"])
    here = finish(Ensemble(mine, SHORT))
    with elsewhere():
        moved = [dataclasses.replace(m, layer=m.layer.to(NAME), target=m.target.to(NAME)) for m in mine]
        there = finish(Ensemble(moved, SHORT, NAME)).summary()
    assert_close(here.summary(), there)


def test_networks_compute_in_single_precision_on_a_gpu(monkeypatch):
    """cuDNN may round the factors of a GRU's products to TF32, which PyTorch allows it by default."""
    allowed = []
    monkeypatch.setattr(
        propagation, "mean_squares", lambda *arguments: allowed.append(torch.backends.cudnn.allow_tf32) or {}
    )
    experiment = dataclasses.replace(experiments.get("fig05_draws").at("smoke"), **MEASURED["fig05_draws"])
    before = torch.backends.cudnn.allow_tf32
    experiment.measure(experiment.parts()[0], "cpu")
    assert allowed and not any(allowed) and torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(
    ("cuda", "asked", "chosen"), [(True, "auto", "cuda"), (False, "auto", "cpu"), (True, "cpu", "cpu")]
)
def test_auto_takes_a_gpu_if_there_is_one(cuda, asked, chosen, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert experiments.choose_device(asked) == chosen


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "device must be one of auto, cpu, cuda, got 'gpu'"),
        (None, "device must be .*got None"),
        ("cuda", "no CUDA"),
    ],
)
def test_a_device_that_is_not_there_is_named(device, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        experiments.run("fig12", "smoke", device=device)


@pytest.fixture
def asked_for(monkeypatch):
    """On a machine with a GPU, so it seems: the devices that experiments were told to compute on."""
    devices = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def compute(given, scale, *, device, **options):
        devices.append(device)
        return [] if isinstance(given, experiments.Measurement) else {one.name: [] for one in given}

    monkeypatch.setattr(catalog, "measure", compute)
    monkeypatch.setattr(catalog.runner, "train", compute)
    return devices


@pytest.mark.parametrize("name", ["fig03a", "fig05_draws"])
def test_results_come_from_the_cpu_unless_told_otherwise(name, asked_for):
    for options in ({}, {"device": "cuda"}, {"device": "auto"}):
        experiments.run(name, "smoke", **options)
    assert asked_for == ["cpu", "cuda", "cuda"]


def test_auto_with_dask_is_the_cpu_of_its_workers(asked_for):
    experiments.run("fig03a", "smoke", device="auto", dask="tcp://127.0.0.1:8786")
    assert asked_for == ["cpu"]


def test_the_command_line_takes_a_gpu_if_told_so(asked_for):
    for arguments in ([], ["--device", "auto"]):
        assert main(["run", "fig03a", "--scale", "smoke", *arguments]) == 0
    assert asked_for == ["cpu", "cuda"]


def test_the_whole_grid_of_figure_3_trains_in_its_cell(tmp_path, monkeypatch, capsys):
    """At the scale of tests; off unless a reader sets the flag, and apart from the stored results."""
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path))
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # no processes of its own
    cells = [
        cell.source
        for cell in nbformat.read(ROOT / "notebooks/figures/fig03.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]
    (cell,) = (source for source in cells if "whole_grid = False" in source)
    names = {"best": best, "experiments": experiments, "pd": pd, "provenance": provenance, "scale": "smoke"}
    names |= {"PAPERS": ["fig03a", "fig03b"], "device": experiments.choose_device("cpu")}
    names["results"] = {"fig03a": experiments.load("fig03a")}
    exec(cell, names)
    assert not list(tmp_path.rglob("*.csv"))
    exec(cell.replace("whole_grid = False", "whole_grid = True"), names)
    assert {path.name for path in tmp_path.rglob("fig03?.csv")} == {"fig03a.csv", "fig03b.csv"}
    assert "here" in capsys.readouterr().out


PAGES = sorted(
    path for path in (ROOT / "notebooks").rglob("*.py") if "choose_device(" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_pages_run_on_a_device(page, monkeypatch):
    """All cells after the first up to the last that names the device, on Gaussian inputs where they are text."""
    monkeypatch.setenv("RNNLIB_SCALE", "smoke")
    monkeypatch.setattr(experiments, "choose_device", lambda: NAME)
    monkeypatch.setattr(text, "default_source", lambda: "gaussian")
    cells = nbformat.read(page.with_suffix(".ipynb"), as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    last = max(number for number, source in enumerate(sources) if "device" in source)
    names = {}
    with matplotlib.rc_context(), elsewhere():
        for source in sources[1 : last + 1]:
            exec(compile(source, page.stem, "exec"), names)
    plt.close("all")
    assert names["device"] == NAME


def test_the_book_lists_the_pages_that_use_a_gpu():
    section = (ROOT / "book/running.md").read_text(encoding="utf-8").partition("These pages compute on a GPU")[2]
    listed = re.findall(r"\(\.\./(notebooks/[\w/-]+)\.ipynb\)", section.partition("What stays on the CPU")[0])
    asks = re.compile(r"choose_device\(|cuda\.is_available\(")
    pages = (ROOT / "notebooks").rglob("*.py")
    using = {page.relative_to(ROOT).with_suffix("").as_posix() for page in pages if asks.search(page.read_text())}
    assert set(listed) == using and len(listed) == len(using)
