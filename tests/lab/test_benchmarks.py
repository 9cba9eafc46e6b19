"""The stored benchmarks are well formed and hold what the performance page reads."""

import importlib
import math

import pytest
import torch

from rnnlib.lab import benchmarks

RECORDS = benchmarks.records()


def finished(record: dict) -> set[str]:
    """Steps of a GPU's run, which a clock ends."""
    return {row["name"] for row in record.get("steps", []) if row["status"] == "done"}


def test_there_is_one_of_a_cpu():
    assert benchmarks.records("cpu")
    assert {record["device"] for record in RECORDS} <= {"cpu", "cuda"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["machine"])
def test_a_record_says_where_it_comes_from(record):
    text = benchmarks.describe(record)
    assert record["machine"] in text and record["date"] in text and f"torch {record['versions']['torch']}" in text
    assert all(f"not timed: {name}" in text for name in record["missing"])
    assert record["copy"]["bytes_per_second"] > 1e9


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["machine"])
def test_rows_agree_with_themselves(record):
    scans = benchmarks.table(record, "scan")
    assert (16, 4096, 256) in set(scans["shape"])
    assert (1, 65536 if record["device"] == "cpu" else 131072, 64) in set(scans["shape"])
    assert (scans["min_s"] <= scans["low_s"]).all() and (scans["low_s"] <= scans["median_s"]).all()
    assert (scans["median_s"] <= scans["high_s"]).all() and (scans["high_s"] <= scans["max_s"]).all()
    assert (scans["times_clone"] - scans["median_s"] / scans["clone_s"]).abs().max() < 1e-9
    assert (scans["bandwidth"] * scans["median_s"] / scans["bytes"] - 1).abs().max() < 1e-9
    numbers = scans["pass"].map({"forward": 2, "backward": 3, "forward + backward": 5})
    reads_lam = (scans["lam"] == "step") & ~scans["implementation"].isin(["clone", "copy"])
    numbers += scans["pass"].map({"forward": 1, "backward": 2, "forward + backward": 3}) * reads_lam
    itemsize = scans["dtype"].map({"complex64": 8, "float32": 4, "bfloat16": 2, "float16": 2})
    assert (scans["bytes"] == numbers * scans["shape"].map(math.prod) * itemsize).all()
    fastest = record["copy"]["bytes_per_second"]
    assert (scans["of_copy"] * fastest / scans["bandwidth"] - 1).abs().max() < 1e-9
    copies = scans[scans["implementation"] == "copy"]  # of a GPU: shares are of the fastest of this machine's own
    assert copies.empty or copies["of_copy"].max() == pytest.approx(1)
    growth = benchmarks.table(record, "growth")
    if record["device"] == "cpu" or "growth" in finished(record):
        assert growth["length"].min() <= 2**8 and growth["length"].max() >= 2**20


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["machine"])
def test_numbers_are_plausible(record):
    assert {"name", "date", "commit", "threads", "load", "seconds"} <= set(record) and record["name"] == "bench"
    for section in ("scan", "growth", "layer", "step"):
        frame = benchmarks.table(record, section)
        if record["device"] == "cpu" or len(frame):
            assert frame["median_s"].between(1e-7, 1e3).all(), section
            assert (frame["runs"] >= 1).all(), section
    scans = benchmarks.table(record, "scan")
    assert scans["of_copy"].between(1e-5, 1.2).all()  # nothing beats a copy by more than the copy's own spread
    assert scans["implementation"].nunique() >= 3 and scans["ours"].any() and not scans["ours"].all()
    memory = benchmarks.table(record, "allocation")
    if record["device"] == "cpu" and "reused memory" not in record["missing"]:
        assert set(memory["memory"]) == {"fresh", "reused", "reused, OpenMP asleep"} and (memory["median_s"] > 0).all()
    assert all(check["passed"] for check in record["checks"])


@pytest.mark.parametrize("record", benchmarks.records("cuda"), ids=lambda record: record["machine"])
def test_the_kernels_round_no_worse_than_the_loop_on_a_device(record):
    """Without one, ``test_rounding.py`` holds what their interpreter gave."""
    accuracy = benchmarks.table(record, "accuracy")
    if not any(name.startswith("rounding") for name in finished(record)):
        pytest.skip("the clock of this run ended before the step")
    assert accuracy["one_minus_modulus"].min() <= 1e-6 and accuracy["length"].max() >= 2**16
    assert accuracy["error"].between(0, 1e-3).all() and (accuracy["loop_error"] > 0).all()
    worse = accuracy[accuracy["ratio"] > 1 + 3 * accuracy["ratio_error"] + 1e-9]
    assert worse.empty, worse.to_string()


def test_the_bench_times_both_forms_of_lam(root, monkeypatch):
    """The same scan twice; with lam per step one number more to move an element forward, three with the gradient."""
    monkeypatch.syspath_prepend(root / "tools")
    bench = importlib.import_module("bench")
    x, states = [], []
    for form in bench.FORMS:
        lam, *_ = arguments = bench.example((2, 5, 3), form)
        assert lam.ndim == {"channel": 1, "step": 3}[form]
        x.append(arguments[1])
        states.append(bench.ours("numba", *arguments)["rnnlib numba", "forward"]())
    assert torch.equal(x[0], x[1]) and torch.equal(states[0], states[1])
    by_form = [bench.scans((2, 5, 3), form, 1, 1e9, {}, compiled=False) for form in bench.FORMS]
    for channel, step in zip(*by_form, strict=True):
        assert (channel["lam"], step["lam"]) == ("channel", "step")
        more = {"forward": 1, "forward + backward": 3}[step["pass"]] if step["implementation"] != "clone" else 0
        assert step["bytes"] - channel["bytes"] == more * 2 * 5 * 3 * 8


def test_unknown_sections_are_named():
    with pytest.raises(ValueError, match="no section 'speed'; choose from scan, layer"):
        benchmarks.table(RECORDS[0], "speed")


def test_an_unknown_device_has_no_records():
    with pytest.raises(ValueError, match="device must be one of cpu, cuda, got 'gpu'"):
        benchmarks.records("gpu")
