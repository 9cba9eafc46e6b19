"""tools/bench_gpu.py without a GPU: the clock, the files, the reference, the compiler, and a whole rehearsal."""

import faulthandler
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from rnnlib import linear_scan

pytest.importorskip("triton")
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import bench_gpu  # noqa: E402 - tools are no package
from gpu import checks, clock, devices, inputs, table, timings, tune  # noqa: E402

from rnnlib.scan.cuda import tuning  # noqa: E402

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
NAMES = [step.name for step in bench_gpu.steps(devices.Rehearsal(), bench_gpu._arguments(["--write-tuning"]), 0)]


def run(steps, folder, budget=1000.0, now=time.monotonic):
    """How each step ended, by name, from the file that was left."""
    record = clock.Record(folder, {"missing": {}})
    clock.run(steps, record, clock.Clock(budget, now))
    content = json.loads((folder / "bench-gpu.json").read_text())
    return content, {row["name"]: row["status"] for row in content["steps"]}


def emits(record, emit):
    emit.row("rows", {"value": 1.0})


def sleeps(record, emit):
    emit.row("rows", {"value": 2.0})
    time.sleep(1000)


@pytest.mark.parametrize("cut", range(len(NAMES)), ids=NAMES)
def test_a_clock_that_runs_out_leaves_a_whole_file(cut, tmp_path):
    """At every step of the real list, with its work replaced: what came before is there, the rest is named."""
    flag = tmp_path / "time is up"

    def stops_the_clock(record, emit):
        emit.row("rows", {"value": 2.0})
        flag.touch()
        time.sleep(1000)

    def now():
        content = tmp_path / "bench-gpu.json"
        assert not content.exists() or json.loads(content.read_text())
        return 1e6 if flag.exists() else 0.0

    # the steps long before are as if they had been left out, which is faster
    steps = [clock.Step(name, emits, 1, 60) for name in NAMES]
    steps[cut] = clock.Step(NAMES[cut], stops_the_clock, 1, 60)
    first = max(0, cut - 2)
    content, status = run(steps[first:], tmp_path, now=now)
    before, after = NAMES[first:cut], NAMES[cut + 1 :]
    assert status == dict.fromkeys(before, "done") | {NAMES[cut]: "killed"} | dict.fromkeys(after, "skipped")
    assert [row["value"] for row in content["rows"]] == [1.0] * len(before) + [2.0]
    assert all(row["why"] for row in content["steps"] if row["status"] != "done")


def test_what_would_not_fit_is_skipped_and_what_fits_is_done(tmp_path):
    steps = [clock.Step("long", emits, 500, 900), clock.Step("short", emits, 1, 60)]
    content, status = run(steps, tmp_path, budget=100)
    assert status == {"long": "skipped", "short": "done"}
    assert "it takes about 500" in content["steps"][0]["why"]


def test_a_step_is_killed_at_its_limit_with_all_that_it_started(tmp_path):
    def starts_another(record, emit):
        process = subprocess.Popen(["sleep", "1000"])
        emit.facts(pid=process.pid)
        process.wait()

    content, status = run([clock.Step("a", starts_another, 0.1, 1.0), clock.Step("b", emits, 1, 60)], tmp_path)
    assert status == {"a": "killed", "b": "done"}
    assert content["steps"][0]["why"] == "it took over 1 seconds"
    for _ in range(50):
        stat = Path(f"/proc/{content['pid']}/stat")
        if not stat.exists() or stat.read_text().split()[2] == "Z":  # a zombie waits for who adopted it
            return
        time.sleep(0.1)
    pytest.fail("the process that the step had started lives on")


def test_a_strategy_that_fails_or_dies_is_dropped_and_named(tmp_path):
    def raises(record, emit):
        emit.row("rows", {"value": math.nan, "more": [math.inf, 1]})
        raise RuntimeError("CUDA error: an illegal memory access\nmore lines")

    def dies(record, emit):
        faulthandler.disable()  # pytest's would print where
        os.kill(os.getpid(), signal.SIGSEGV)

    def lacks(record, emit):
        raise clock.Missing("no such thing here")

    steps = [
        clock.Step("check a", raises, 1, 60, strategy="a"),
        clock.Step("check b", dies, 1, 60, strategy="b"),
        clock.Step("check c", emits, 1, 60, strategy="c"),
        clock.Step("other", lacks, 1, 60, strategy="c"),
        *(clock.Step(f"time {name}", emits, 1, 60, strategy=name) for name in "abc"),
    ]
    content, status = run(steps, tmp_path)
    expected = {"check a": "failed", "check b": "died", "check c": "done", "other": "missing"}
    assert status == expected | {"time a": "skipped", "time b": "skipped", "time c": "done"}
    assert content["dropped"]["a"] == "check a: RuntimeError: CUDA error: an illegal memory access"
    assert "its process ended with SIGSEGV" in content["dropped"]["b"] and "c" not in content["dropped"]
    assert content["rows"][0] == {"value": None, "more": [None, 1], "step": "check a"}, "JSON has no NaN"
    assert "more lines" in (tmp_path / "bench-gpu.log").read_text(), "the log has all of an error"


def test_nothing_is_tried_without_what_all_need(tmp_path):
    def raises(record, emit):
        raise RuntimeError("no device")

    _, status = run([clock.Step("device", raises, 1, 60, required=True), clock.Step("b", emits, 1, 60)], tmp_path)
    assert status == {"device": "failed", "b": "skipped"}


SCRIPT = """
import pathlib, sys, time
sys.path.insert(0, {tools!r})
from gpu import clock

def sleeps(record, emit):
    import os
    emit.facts(pid=os.getpid())
    time.sleep(1000)

record = clock.Record(pathlib.Path({folder!r}), {{}})
with clock.terminations_raise():
    clock.run([clock.Step("a", lambda *_: None, 1, 60), clock.Step("b", sleeps, 1, 60)], record, clock.Clock(100))
"""


@pytest.mark.parametrize(("sent", "left"), [(signal.SIGTERM, "interrupted"), (signal.SIGKILL, "running")])
def test_a_run_that_is_ended_from_outside_leaves_a_whole_file_and_no_process(sent, left, tmp_path):
    code = SCRIPT.format(tools=str(ROOT / "tools"), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path = tmp_path / "bench-gpu.json"
    for _ in range(300):
        content = json.loads(path.read_text()) if path.exists() else {}
        if "pid" in content:  # stored while the step goes on
            break
        time.sleep(0.1)
    process.send_signal(sent)
    process.wait(20)
    content = json.loads(path.read_text())
    assert [row["status"] for row in content["steps"]] == ["done", left]
    time.sleep(0.5)
    stat = Path(f"/proc/{content['pid']}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_reference_is_the_loop_and_its_gradient(dtype, per_step, reverse, monkeypatch):
    for elements in (2**27, 20):  # all sequences at once, one at a time
        monkeypatch.setattr(inputs, "_SLICE", elements)
        lam, x, h0, grad = inputs.draw((3, 13, 4), dtype, per_step, torch.device("cpu"), 1)
        leaves = [t.to(inputs.wide(dtype)).requires_grad_() for t in (lam, x, h0)]
        states = linear_scan(*leaves, reverse=reverse, backend="sequential")
        expected = states, *torch.autograd.grad(states, leaves, grad.to(states.dtype))
        for a, b in zip(inputs.reference(lam, x, h0, grad, reverse), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_unwritten_memory_is_nan_in_a_check():
    with checks.poisoned():
        assert torch.empty(3).isnan().all() and torch.empty_like(torch.ones(2, dtype=torch.complex64)).isnan().all()
    assert not torch.are_deterministic_algorithms_enabled()
    assert checks.errors([torch.tensor([math.nan, 1.0])], [torch.ones(2)]) == [math.inf]


def alone(code: str, **variables) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tools")])} | variables
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_compiled_kernels_are_the_ones_that_a_scan_asks_for(tmp_path):
    """The compiler works from meta tensors; real ones must find its results in the cache."""
    code = """
import json, os, torch
from gpu import compiling
from rnnlib.scan import cuda
from rnnlib.scan.cuda import tuning
from triton.runtime import driver
from triton.runtime.jit import JITFunction

choice = {"strategy": "chunks", "columns": 4, "strips": 2, "steps": 2, "warps": 1}
scan = {"shape": [2, 3000, 3], "dtype": "complex64", "per_step": True, "strategy": "chunks", "choice": choice}
scans = [scan | {"shape": [2, time, 3]} for time in (3000, 3008, 4096)]  # compiled once for all lengths
rows = [compiling._compile(launch, "9.0") for launch in compiling.launches(scans, "9.0", 132)]
before = sorted(os.listdir(os.environ["TRITON_CACHE_DIR"]))
driver.set_active(compiling._Driver("9.0"))
tuning.choose = lambda *arguments: tuning.Choice(**choice)
JITFunction.__getitem__ = lambda kernel, grid: lambda *args, **options: kernel.warmup(*args, grid=(1,), **options)
for time in (3000, 3008, 4096):
    x = torch.randn(2, time, 3, dtype=torch.complex64)
    cuda.cuda_adjoint(x, cuda.cuda_scan(x, x, x[:, 0], strategy="chunks"), x[:, 0], x, strategy="chunks")
print(json.dumps([rows, len(before), before == sorted(os.listdir(os.environ["TRITON_CACHE_DIR"]))]))
"""
    done = alone(code, TRITON_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows, files, same = json.loads(done.stdout)
    assert same and files >= len(rows) == 6, "three stages of two passes"
    assert all(0 < row["registers"] <= 255 and row["spilled_bytes"] == 0 and row["code_bytes"] > 1000 for row in rows)


def timed(implementation: str, median_s: float, plan: dict | None = None, **changed) -> dict:
    row = {"shape": [16, 4096, 256], "dtype": "complex64", "lam": "step", "pass": "forward", "ours": True}
    row |= {"implementation": implementation, "median_s": median_s, "of_copy": 1e-4 / median_s}
    return row | ({"plan": plan} if plan else {}) | changed


WALK = {"strategy": "walk", "columns": 32, "strips": 8, "steps": 8, "warps": 8}


def a_record(**changed) -> dict:
    record = {"scan": [timed("rnnlib cuda", 2e-4, WALK), timed("rnnlib cuda, walk", 2e-4, WALK)], "tuning": []}
    record |= {
        "checks": [],
        "dropped": {},
        "steps": [],
        "missing": {},
        "facts": {"capability": "9.0", "multiprocessors": 132},
    }
    return record | changed


def test_the_table_shows_shares_and_names_what_is_not_there():
    record = a_record(dropped={"chunks": "check chunks: it took over 60 seconds"}, missing={"x": "why"})
    record["scan"] += [timed("peer", 3e-4, ours=False), timed("rnnlib cuda, chunks", 1.1e-4)]
    lines = table.text(record).splitlines()
    assert lines[1].split() == ["shape", "dtype", "lam", "per", "pass", "auto", "walk", "chunks"]
    assert lines[2].endswith("50%!  50%!  91%")
    assert "(16, 4096, 256), complex64, lam per step, forward: 2.73 times peer" in lines
    assert "dropped: chunks (check chunks: it took over 60 seconds)" in lines and "not timed: x (why)" in lines


def test_the_tuning_table_takes_what_was_faster(tmp_path):
    faster = {"strategy": "walk", "columns": 32, "strips": 4, "steps": 8, "warps": 4}
    path = tmp_path / "tuning.json"
    path.write_text(json.dumps({"version": tuning.VERSION, "entries": {"8.0, x": WALK, "9.0, old": WALK, "bad": 3}}))
    assert tune.write(a_record(tuning=[timed("candidate", 1.5e-4, faster)]), path) == 1
    name = tuning.key("9.0", (16, 4096, 256), torch.complex64, True, False)
    assert tuning.read(path) == {"8.0, x": tuning.Choice(**WALK), name: tuning.Choice(**faster)}
    # no entry where nothing is gained, and none of a strategy that was dropped
    for record in (a_record(), a_record(tuning=[timed("candidate", 1e-5, faster)], dropped={"walk": "wrong"})):
        assert tune.write(record, path) == 0
        assert set(tuning.read(path)) == {"8.0, x"}


def test_an_entry_stays_where_auto_took_it_from_the_table(tmp_path):
    """Timed again with the table in place, nothing gains over "auto"; the rules alone would still be slower."""
    tuned = WALK | {"strips": 4, "warps": 4}
    record = a_record(scan=[timed("rnnlib cuda", 1.5e-4, tuned), timed("rnnlib cuda, walk", 2e-4, WALK)])
    assert list(tune.entries(record).values()) == [tuned]
    assert not tune.entries(
        a_record(scan=[timed("rnnlib cuda", 1.5e-4, WALK), timed("rnnlib cuda, walk", 2e-4, tuned)])
    )


def test_what_came_second_is_tuned_where_it_is_near():
    near = WALK | {"strategy": "chunks", "columns": 16, "strips": 16}
    rows = {factor: timed("rnnlib cuda, chunks", factor * 2e-4, near) for factor in (1.3, 1.5)}
    assert [row["plan"] for row in tune.second(a_record(tuning=[rows[1.3]])).values()] == [near]
    assert not tune.second(a_record(tuning=[rows[1.5]]))
    same = timed("rnnlib cuda, chunks", 2.1e-4, WALK | {"strategy": "chunks"})
    assert not tune.second(a_record(tuning=[same])), "cut alike, the two are one computation"


def test_shares_are_of_the_fastest_copy():
    rows = [timed("copy", 1, bandwidth=3e12), timed("rnnlib cuda", 1, WALK, bandwidth=2.4e12)]
    record = a_record(scan=rows, copy={"bytes_per_second": 2e12, "how": "copy_ of 1024 MiB"})
    timings.compare_with_the_fastest_copy(record)
    assert [row["of_copy"] for row in record["scan"]] == pytest.approx([1, 0.8]) and "1024" not in record["copy"]["how"]


def test_a_run_goes_on_where_it_stopped(tmp_path):
    def emits(name):
        return lambda record, emit: emit.row("scan", {"by": name, "turn": len(record["turns"])})

    def fails(record, emit):
        emits("b")(record, emit)
        if len(record["turns"]) < 2:
            raise ValueError("not yet")

    steps = [clock.Step("a", emits("a"), 0, 60), clock.Step("b", fails, 0, 60)]
    steps.append(clock.Step("c", emits("c"), 0, 60, again=True))
    content = {"scan": [], "turns": [1], "missing": {}, "finished": True}
    clock.run(steps, clock.Record(tmp_path, content), clock.Clock(60))
    assert [row["status"] for row in content["steps"]] == ["done", "failed", "done"]
    content = clock.resumed(read(tmp_path), steps) | {"turns": [1, 2]}
    clock.run(steps, clock.Record(tmp_path, content), clock.Clock(60))
    assert [row["status"] for row in read(tmp_path)["steps"]] == ["done"] * 3
    assert [(row["by"], row["turn"]) for row in read(tmp_path)["scan"]] == [("a", 1), ("b", 2), ("c", 2)]


def test_neighbours_of_a_plan_are_plans():
    choices = tune.neighbours(WALK)
    assert len(choices) >= 4 and tuning.Choice(**WALK) not in choices
    assert all(tuning.entry(vars(choice)) == choice for choice in choices)


def bench(*arguments, code: str = "", **variables) -> subprocess.CompletedProcess:
    program = f"import sys, bench_gpu\n{code}\nsys.exit(bench_gpu.main({[str(word) for word in arguments]}))"
    return alone(program, TRITON_INTERPRET="1", **variables)


def read(folder: Path) -> dict:
    return json.loads((folder / "bench-gpu.json").read_text())


ONLY = """
every = bench_gpu.steps
bench_gpu.steps = lambda *arguments: [step for step in every(*arguments) if step.name in {}]
"""
interpreted = pytest.mark.skipif(not INTERPRETED, reason="a rehearsal of what a GPU runs in full: tools/bench_gpu.py")


@interpreted
def test_the_rehearsal_runs_every_step(tmp_path):
    """Every line of the script but the device's own, at tiny sizes."""
    command = [sys.executable, ROOT / "tools/bench_gpu.py", "--beside", "tests", "--write-tuning", "--to", tmp_path]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "bench-gpu.log").read_text()
    record = read(tmp_path)
    assert [row["name"] for row in record["steps"]] == NAMES
    assert {row["status"] for row in record["steps"]} <= {"done", "missing"}
    assert record["finished"] and record["device"] == "none" and record["load"] == "tests"
    assert all(row["passed"] and row["worst"] <= row["bound"] for row in record["checks"])
    for strategy in bench_gpu.EVERY:
        assert any(strategy in row["what"] for row in record["checks"])
    times = {(row["implementation"], row["pass"]) for row in record["scan"]}
    names = ["rnnlib cuda", *(f"rnnlib cuda, {name}" for name in devices.STRATEGIES)]
    assert {(name, direction) for name in names for direction in ("forward", "backward")} <= times
    assert {("copy", "forward"), ("rnnlib cuda", "forward + backward")} <= times
    assert all(row["eager_s"] > 0 and row["plan"] for row in record["scan"] if row["pass"] == "backward")
    for section in ("growth", "accuracy", "layer", "host", "grid", "variants", "tuning"):
        assert record[section], section
    assert all(row["registers"] and row["spilled_bytes"] == 0 for row in record["variants"])
    assert tuning.read(tmp_path / "tuning.json") or not tune.entries(record)
    assert "auto" in done.stdout and "of the copy's bandwidth" in done.stdout


@pytest.mark.parametrize(
    "changed", [{"machine": "NVIDIA H100 80GB HBM3"}, {"versions": {"torch": "1.0", "triton": "3.6.0"}}]
)
def test_a_run_of_another_machine_is_not_resumed(changed, tmp_path):
    """Its rows and ours would stand in one record, under one name."""
    only = ONLY.format(["device"])
    bench("--to", tmp_path, code=only)
    path = tmp_path / "bench-gpu.json"
    path.write_text(json.dumps(read(tmp_path) | changed))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    done = bench("--to", tmp_path, "--resume", code=only)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    there = changed.get("machine", "torch 1.0, triton 3.6.0")
    assert there in done.stderr and "rehearsal" in done.stderr and torch.__version__.partition("+")[0] in done.stderr
    assert "another --to FOLDER" in done.stderr
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_only_a_run_that_is_there_is_resumed(tmp_path):
    only = ONLY.format(["device"])
    done = bench("--to", tmp_path, "--resume", code=only)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and str(tmp_path) in done.stderr
    bench("--to", tmp_path, code=only)
    seed = read(tmp_path)["seed"]
    assert bench("--to", tmp_path, "--resume", code=only).returncode == 0
    record = read(tmp_path)
    assert record["seed"] == seed and len(record["resumed"]) == 1 and record["machine"] == "rehearsal"


@interpreted
def test_a_strategy_that_computes_something_else_is_not_timed(tmp_path):
    code = """
from rnnlib.scan import cuda
scan = cuda.cuda_scan
def wrong(lam, x, h0, reverse=False, strategy="auto"):
    return scan(lam, x, h0, reverse, strategy) * (1.001 if strategy == "chunks" else 1)
cuda.cuda_scan = wrong
"""
    names = ["device", "check walk", "check chunks", "time walk", "time chunks"]
    done = bench("--to", tmp_path, code=code + ONLY.format(names))
    record = read(tmp_path)
    assert done.returncode == 1
    assert list(record["dropped"]) == ["chunks"] and "chunks, (2, 5, 3): states" in record["dropped"]["chunks"]
    assert {row["implementation"] for row in record["scan"]} == {"copy", "rnnlib cuda, walk"}
    assert "failed check: chunks, (2, 5, 3): states" in done.stdout and "dropped: chunks" in done.stdout


@interpreted
def test_the_budget_holds_for_the_real_steps(tmp_path):
    start = time.monotonic()
    done = bench("--to", tmp_path, "--minutes", "0.25")
    assert time.monotonic() - start < 15
    record = read(tmp_path)
    status = [row["status"] for row in record["steps"]]
    assert status[0] == "done" and "skipped" in status and "not reached" not in status
    assert "were left and it takes about" in done.stdout


def test_a_rehearsal_leaves_the_package_alone(tmp_path):
    """Neither results nor the tuning table are written from numbers that mean nothing."""
    code = ONLY.format(["device"]) + f"import pathlib\nbench_gpu.FOLDER = pathlib.Path({str(tmp_path)!r})"
    before = sorted((ROOT / "rnnlib").rglob("*.json"))
    text = tuning.FILE.read_bytes()
    assert bench("--write-tuning", code=code).returncode == 0
    assert sorted((ROOT / "rnnlib").rglob("*.json")) == before and tuning.FILE.read_bytes() == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--runs", "0"], "--runs must be at least 1"),
        (["--minutes", "0"], "--minutes must be more than 0"),
        (["--only-check", "--write-tuning"], "--write-tuning needs timings"),
    ],
)
def test_odd_arguments_are_refused(arguments, words, capsys):
    with pytest.raises(SystemExit):
        bench_gpu._arguments(arguments)
    assert words in capsys.readouterr().err


def test_make_bench_hands_over(tmp_path):
    code = (
        f"import runpy, sys\nsys.argv = ['bench.py', '--device', 'cuda', '--minutes', '7', '--to', {str(tmp_path)!r}]"
    )
    code += "\nimport bench_gpu\nbench_gpu.main = lambda arguments: print(arguments) or 0"
    code += f"\nrunpy.run_path({str(ROOT / 'tools/bench.py')!r}, run_name='__main__')"
    done = alone(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{['--minutes', '7', '--to', str(tmp_path)]}\n"
