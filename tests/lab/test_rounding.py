"""Rounding errors of the scan's backends: how they are measured, and what the stored ones say."""

import importlib.util
import os
import time

import numpy as np
import pytest
import torch

from rnnlib import linear_scan
from rnnlib.lab import experiments
from rnnlib.lab.experiments import rounding

MODULI = (0.5, 0.01)


@pytest.fixture(params=[torch.float32, torch.complex64], ids=str)
def reference(request):
    return rounding.Reference.draw(request.param, 64, MODULI, channels=6)


def test_the_loop_is_as_good_as_itself(reference):
    for row in reference.compare(reference.loop):
        assert row["ratio"] == 1 and row["ratio_error"] == 0
        assert 1e-9 < row["error"] == row["loop_error"] < 1e-5


def test_a_perturbation_comes_out_at_its_size(reference):
    """Every state off by a part in a thousand."""
    for row in reference.compare(1.001 * reference.exact[:, :40]):
        assert row["length"] == 40
        assert row["error"] == pytest.approx(1e-3, rel=1e-6)
        assert row["ratio"] == pytest.approx(1e-3 / row["loop_error"], rel=1e-6)


def test_the_standard_error_is_that_of_the_ratio():
    """Over many draws of ten channels the ratio of two errors spreads as much as one draw says."""
    generator = torch.Generator().manual_seed(0)
    draws = [rounding._ratio(*(1 + 0.3 * torch.randn(2, 10, generator=generator)).double()) for _ in range(400)]
    ratios, errors = np.array(draws).T
    assert np.sqrt((errors**2).mean()) == pytest.approx(ratios.std(), rel=0.15)


def test_double_precision_is_better_than_the_loop_and_a_rounded_eigenvalue_worse(reference):
    wide = torch.promote_types(reference.x.dtype, torch.float64)
    better = linear_scan(reference.lam.to(wide), reference.x.to(wide), backend="sequential").to(reference.x.dtype)
    worse = linear_scan(reference.lam * (1 + 1e-6), reference.x, backend="sequential")
    assert all(row["ratio"] + 3 * row["ratio_error"] < 1 for row in reference.compare(better))
    assert all(row["ratio"] > 1 + 3 * row["ratio_error"] for row in reference.compare(worse))


def test_smoke_scale_runs_every_backend(tmp_path, monkeypatch):
    """The kernels in processes of their own, whose interpreter this one need not have."""
    pytest.importorskip("triton")
    pytest.importorskip("numba")
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    before = time.process_time()
    frame = experiments.run("rounding", "smoke", progress=False)
    here = time.process_time() - before
    assert set(frame["backend"]) == set(rounding.EXPERIMENT.backends)
    assert frame["error"].between(1e-9, 1e-5).all()
    loops = frame.groupby("one_minus_modulus")["loop_error"].nunique()
    assert (loops == 1).all()
    assert frame.groupby("backend")["error"].mean()["numba"] < 0.5 * frame["loop_error"].mean()
    assert set(frame["ran_on"]) == {"cpu", "interpreter"}
    assert frame.attrs["origin"]["seconds of processor"] > here + 0.5  # and what the other processes worked
    assert "TRITON_INTERPRET" not in os.environ


def test_without_triton_an_error_says_so(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "triton" else find(name, *a))
    smoke = rounding.EXPERIMENT.at("smoke")
    with pytest.raises(ValueError, match=r"rounding of 'cuda walk' needs triton.*Linux"):
        smoke.measure(smoke.parts()[2], "cpu")


def test_outside_a_checkout_an_error_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(rounding, "_INTERPRETER", tmp_path / "interpreted.py")
    smoke = rounding.EXPERIMENT.at("smoke")
    with pytest.raises(ValueError, match=r"rounding of 'cuda walk' without a GPU runs from a checkout"):
        smoke.measure(smoke.parts()[2], "cpu")


@pytest.fixture(scope="module")
def stored():
    return experiments.load("rounding")


def test_the_stored_result_has_all_backends_and_lengths(stored):
    assert stored["length"].max() >= 2**20 and stored["one_minus_modulus"].min() <= 1e-6
    sizes = stored.groupby(["backend", "dtype"]).size()
    assert set(sizes.index) == {(b, d) for b in rounding.EXPERIMENT.backends for d in ("float32", "complex64")}
    assert sizes.nunique() == 1


def test_no_backend_rounds_worse_than_the_loop(stored):
    worse = stored[stored["ratio"] > 1 + 3 * stored["ratio_error"] + 1e-5]
    assert worse.empty, worse.to_string()
