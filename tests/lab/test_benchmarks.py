"""The stored benchmarks are well formed and hold what the performance page reads."""

import importlib
import math

import pandas as pd
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
    if accuracy.empty:
        pytest.skip("the clock of this run ended before the step")
    assert accuracy["one_minus_modulus"].min() <= 1e-6 and accuracy["length"].max() >= 2**16
    assert accuracy["error"].between(0, 1e-3).all() and (accuracy["loop_error"] > 0).all()
    worse = accuracy[accuracy["ratio"] > 1 + 3 * accuracy["ratio_error"] + 1e-9]
    assert worse.empty, worse.to_string()


@pytest.fixture(scope="module")
def gpus():
    """Single passes of the kernels, by short name of the machine."""
    return {
        name: benchmarks.kernels(record) for record in RECORDS for name in ("H100", "H200") if name in record["machine"]
    }


def between(values, form="{:.0f}", factor=100) -> str:
    """The range of some shares as prose writes it."""
    return f"{form.format(factor * min(values))} to {form.format(factor * max(values))}"


CASE = ["shape", "dtype", "lam", "pass"]


def test_pages_say_what_gpus_did(root, gpus):
    """Every number of a GPU in the prose of the performance page, and those that other pages repeat."""
    prose = {name: " ".join((root / name).read_text().replace("\n# ", " ").split())
             for name in ("book/performance.md", "README.md", "notebooks/lab/02-scan-on-hardware.py")}  # fmt: skip
    page = prose["book/performance.md"]
    records = {name: next(r for r in RECORDS if name in r["machine"]) for name in gpus}
    scans = {name: benchmarks.table(record, "scan") for name, record in records.items()}

    wide, long, all_wide = {}, {}, []
    for name, frame in gpus.items():
        assert f"{records[name]['copy']['bytes_per_second'] / 1e12:.2f} TB/s on the {name}" in page
        auto = frame[frame["auto"]]
        one = auto["shape"].map(lambda shape: shape[0] == 1)
        wide[name], long[name] = between(auto.loc[~one, "of_copy"]), between(auto.loc[one, "of_copy"])
        all_wide += list(auto.loc[~one, "of_copy"])
    assert f"at {wide['H100']} % of the fastest copy's rate on an NVIDIA H100, at {wide['H200']} % on an H200" in page
    assert f"reaches {long['H100']} % on the H100 and {long['H200']} % on the H200" in page
    assert f"at {wide['H100']} % of the fastest copy's rate" in prose["notebooks/lab/02-scan-on-hardware.py"]
    assert f"need at {long['H100']} %" in prose["notebooks/lab/02-scan-on-hardware.py"]
    assert f"at {between(all_wide)} % of the fastest copy's rate" in prose["README.md"]
    faster = [share for share in all_wide if share > 1]
    assert f"The {100 * max(faster):.0f} % is one pass" in page and len(faster) == 1

    words = "of the fastest copy's rate with many columns and"
    for name, dtype, before, middle, after in (
        ("H200", "float16", "float16 on the H200 reaches ", words, " for one long sequence"),
        ("H200", "bfloat16", "bfloat16 on the H200 ", "and", ","),
        ("H100", "bfloat16", "on the H100 ", "and", "."),
    ):
        halves = scans[name][scans[name]["dtype"] == dtype]
        one = halves["shape"].map(lambda shape: shape[0] == 1)
        of_copy = between(halves.loc[~one, "of_copy"]), between(halves.loc[one, "of_copy"])
        assert f"{before}{of_copy[0]} % {middle} {of_copy[1]} %{after}" in page
    keys = ["shape", "lam", "pass"]
    times = []
    for frame in scans.values():
        ours = frame[frame["implementation"] == "rnnlib cuda"]
        single = ours[ours["dtype"] == "float32"].set_index(keys)["median_s"]
        halves = ours[ours["dtype"].isin(["bfloat16", "float16"])].set_index(keys)["median_s"]
        times += list((halves / single).dropna())
    assert f"take {between(times)} % of the time of float32" in page

    layers = {row["implementation"]: 1e3 * row["median_s"] for row in records["H200"]["layer"]}
    assert f"on the H200: {layers['rnnlib LRU, graph']:.1f} ms, against" in page
    assert f"against {layers['minimal PyTorch, doubling scan, graph']:.1f} ms" in page
    assert f"and {layers['rnnlib LRU, autocast bfloat16, graph']:.2f} ms under autocast in bfloat16" in page
    assert layers["rnnlib LRU, torch.compile, graph"] > layers["rnnlib LRU, graph"]
    eager = [ms for name, ms in layers.items() if name.startswith("rnnlib") and name.endswith("eager")]
    assert f"our layer takes {between(eager, '{:.1f}', 1)} ms" in page and len(eager) == 4
    held = benchmarks.table(records["H200"], "growth")
    held = held.assign(held=held["peak_bytes"] / held["input_bytes"]).groupby("pass")["held"]
    assert [(f"{low:.1f}", f"{high:.1f}") for low, high in zip(held.min(), held.max(), strict=True)] == [
        ("1.0",) * 2,
        ("2.0",) * 2,
    ]


def test_the_page_says_what_a_cpu_did(root):
    page = " ".join((root / "book/performance.md").read_text().split())
    records = benchmarks.records("cpu")
    scans = pd.concat([benchmarks.table(r, "scan").assign(machine=r["machine"]) for r in records], ignore_index=True)
    loops = scans[(scans["implementation"] == "rnnlib numba") & (scans["pass"] == "forward")]
    assert f"take {between(loops['times_clone'], '{:.1f}', 1)} times as long as `clone()` for a forward pass" in page
    others = scans[scans["implementation"] != "clone"]
    cases = others.loc[others.groupby(["machine", "shape", "lam", "pass"])["times_clone"].idxmin(), "implementation"]
    cpu = " ".join((root / "book/performance-cpu.md").read_text().split())
    assert f"are the fastest in {(cases == 'rnnlib numba').sum()} of {len(cases)} cases" in cpu


def test_the_page_says_how_fast_other_implementations_are(root, gpus):
    page = " ".join((root / "book/performance.md").read_text().split())
    frame = benchmarks.table(next(r for r in RECORDS if "H200" in r["machine"]), "scan")
    ours = frame[frame["implementation"] == "rnnlib cuda"]
    peers = frame[~frame["ours"] & (frame["implementation"] != "copy")].merge(ours, on=CASE, suffixes=("", "_ours"))
    device = (peers["median_s"] / peers["median_s_ours"]).groupby(peers["implementation"])
    low, high = device.min(), device.max()
    scalar, scalars = low["accelerated-scan, scalar"], high["accelerated-scan, scalar"]
    assert scalars < 1 and f"slightly faster than ours ({scalar:.2f} and {scalars:.2f} times as long)" in page
    for name in ("accelerated-scan, complex", "jax associative_scan"):
        assert f"{low[name]:.1f} to {high[name]:.1f} times" in page
    from_python = (peers["eager_s"] / peers["eager_s_ours"]).min()
    assert f"as little as {from_python:.2f} times as long" in page


def test_the_page_says_what_a_call_costs_the_host(root):
    page = " ".join((root / "book/performance.md").read_text().split())
    record = next(r for r in RECORDS if "H200" in r["machine"])
    host, scans = benchmarks.table(record, "host"), benchmarks.table(record, "scan")
    passes = host[host["pass"] == "forward + backward"]
    assert f"which differ by up to {100 * ((passes['max_s'] / passes['min_s']).max() - 1):.0f} %" in page
    rows = host.set_index(["implementation", "pass", "lam"])["median_s"]
    both = {name: part.droplevel(0) for name, part in rows.xs("forward + backward", level="pass").groupby(level=0)}
    ours, before = both["rnnlib linear_scan"], both["rnnlib linear_scan, as under torch.func"]
    assert f"keeps a quiet host busy for {between(ours, '{:.2f}', 1e3)} ms at least" in page
    micro = {lam: f"{1e6 * value:.0f} µs with λ per {lam}" for lam, value in ours.items()}
    assert f"Ours takes {micro['channel']} and {micro['step']}." in page
    launches = [f"{1e6 * rows['rnnlib kernels'].xs(lam, level='lam').sum():.0f}" for lam in ("channel", "step")]
    assert f"launches of the kernels are {' and '.join(launches)} of them" in page
    peer, product = both["accelerated-scan, scalar"].item(), both["torch product"].item()
    assert f"accelerated-scan takes {1e6 * peer:.0f} µs, {peer / ours['step']:.2f} times as long as ours" in page
    assert f"accelerated-scan takes {1e3 * peer:.2f} ms" in page
    assert f"PyTorch itself {1e6 * product:.0f} µs for one product" in page
    assert f"It takes {1e6 * before['channel']:.0f} and {1e6 * before['step']:.0f} µs, even with" in page
    assert (ours < before).all() and peer < ours.min()
    long = scans.query("implementation == 'rnnlib cuda' and `pass` == 'forward + backward'")
    long = long[long["dtype"].isin(["complex64", "float32"]) & (long["eager_s"] > 1.5 * long["median_s"])]
    assert f"a pass took {between(long['eager_s'], '{:.1f}', 1e3)} ms" in page


def test_the_page_says_what_was_expected_of_the_kernels(root, gpus):
    cuda = pytest.importorskip("rnnlib.scan.cuda")
    page = " ".join((root / "book/performance.md").read_text().split())
    auto = gpus["H100"][gpus["H100"]["auto"]]
    rows = [
        cuda.expected(r["shape"], getattr(torch, r["dtype"]), r["lam"] == "step", r["pass"] == "backward")
        for _, r in auto.iterrows()
    ]
    assert [row["strategy"] for row in rows] == list(auto["strategy"])
    reached = auto["of_copy"] / [row["share"] for row in rows]
    walk, chunks = (reached[auto["strategy"] == name] for name in ("walk", "chunks"))
    passes = f"whose {len(walk)} passes reach {between(walk)} % of the expected share"
    assert f"{passes}, {100 * walk.median():.0f} % in the median" in page
    assert f"which reach {between(chunks)} % of it" in page
    moved = auto["of_copy"] * [row["moved"] / row["needed"] for row in rows]
    assert f"at only {between(moved[chunks.index])} % of the copy's rate" in page


def test_the_page_says_why_look_back_is_gone(root, gpus):
    prose = " ".join((root / "book/performance.md").read_text().split())
    frame = gpus["H100"]
    gone = frame["strategy"] == "look-back"
    best = frame.groupby([*CASE, gone], sort=False)["median_s"].min().unstack()
    times = best[True] / best[False]
    slower = times[times > 1]
    cases = f"slower than the better of the other two in {len(slower)} of {len(times)} cases"
    assert f"{cases}, by {between(slower, '{:.2f}', 1)} times" in prose
    auto = frame[frame["auto"]].set_index(CASE)["median_s"]
    gains = auto[times.index[times < 1]] / best[True][times < 1]
    assert f"by {' and '.join(f'{gain:.2f}' for gain in sorted(gains))} times once it had been tuned for them" in prose
    notebook = " ".join((root / "notebooks/lab/02-scan-on-hardware.py").read_text().replace("\n# ", " ").split())
    assert f"slower in {len(slower)} of {len(times)} cases" in notebook


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
