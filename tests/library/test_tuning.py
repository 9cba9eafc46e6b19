"""The tuning table of the Triton kernels: it speeds a scan up or is ignored, and never stops one."""

import importlib
import json
import os
import random

import pytest
import torch

pytest.importorskip("triton")
cuda = importlib.import_module("rnnlib.scan.cuda")
cutting = importlib.import_module("rnnlib.scan.cuda.cutting")
tuning = importlib.import_module("rnnlib.scan.cuda.tuning")

SHAPE = (2, 37, 3)
KIND = (SHAPE, torch.complex64, True)
WALK = {"strategy": "walk", "columns": 2, "strips": 4, "steps": 2, "warps": 1}
CHUNKS = {"strategy": "chunks", "columns": 4, "strips": 2, "steps": 4, "warps": 2}
interpreted = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1", reason="puts the CPU in a GPU's place: needs TRITON_INTERPRET=1"
)


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Writes a table in place of the package's own, for a device of capability 9.0."""
    monkeypatch.setattr(tuning, "FILE", tmp_path / "tuning.json")
    monkeypatch.setattr(tuning, "capability", lambda device: "9.0")

    def clear():
        for cached in (tuning._entries, tuning.choose, cutting.cut):
            cached.cache_clear()

    def write(content):
        tuning.FILE.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        clear()

    clear()
    yield write
    clear()


def entries(**values):
    names = {f"{lam} {way}": tuning.key("9.0", *KIND[:2], lam == "step", way == "backward")
             for lam in ("step", "channel") for way in ("forward", "backward")}  # fmt: skip
    return {
        "version": tuning.VERSION,
        "entries": {names[name.replace("_", " ")]: value for name, value in values.items()},
    }


def plan(strategy="auto", adjoint=False):
    x = torch.empty(SHAPE, dtype=torch.complex64)
    return cutting.plan(strategy, x, x, adjoint)


def test_auto_takes_what_the_table_says_and_nothing_else_changes(table):
    table({"version": tuning.VERSION, "entries": {}})
    rules = {strategy: plan(strategy) for strategy in ("auto", "walk", "chunks")}
    backward = plan(adjoint=True)
    table(entries(step_forward=CHUNKS))
    chosen = plan()
    assert chosen.strategy == "chunks" and chosen.flags["num_warps"] == 2
    assert [chosen.flags[name] for name in ("COLUMNS", "STRIPS", "STEPS")] == [4, 2, 4]
    assert plan("walk") == rules["walk"], "a strategy that was asked for by name is cut for itself"
    assert plan("chunks").flags == chosen.flags
    assert plan(adjoint=True) == backward


@interpreted
@pytest.mark.parametrize("choice", [WALK, CHUNKS], ids=lambda choice: choice["strategy"])
def test_a_tuned_scan_is_right(table, choice):
    table(entries(step_forward=choice, step_backward=choice))
    lam, x = 0.9 * torch.randn(2, *SHAPE, dtype=torch.complex64).sgn()
    assert plan().strategy == choice["strategy"]
    from rnnlib import linear_scan

    results = {}
    for backend in ("cuda", "sequential"):
        leaves = [t.clone().requires_grad_() for t in (lam, x)]
        states = linear_scan(*leaves, backend=backend)
        results[backend] = states, *torch.autograd.grad(states.abs().square().sum(), leaves)
    for a, b in zip(*results.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


DAMAGED = {
    "empty": b"",
    "half": b'{"version": 1, "entries": {"9.0, ',
    "no text": bytes(range(128, 256)),
    "deep": b"[" * 100_000,
    "a list": [],
    "no entries": {"version": tuning.VERSION},
    "entries that are none": {"version": tuning.VERSION, "entries": [1, 2]},
    "of another version": entries(step_forward=CHUNKS) | {"version": tuning.VERSION + 1},
    "no dictionary": entries(step_forward=3),
    "no strategy": entries(step_forward={name: value for name, value in CHUNKS.items() if name != "strategy"}),
    "an unknown strategy": entries(step_forward=CHUNKS | {"strategy": "run"}),
    "not auto": entries(step_forward=CHUNKS | {"strategy": "auto"}),
    "no power of 2": entries(step_forward=CHUNKS | {"strips": 3}),
    "zero": entries(step_forward=CHUNKS | {"steps": 0}),
    "negative": entries(step_forward=CHUNKS | {"columns": -4}),
    "a boolean": entries(step_forward=CHUNKS | {"warps": True}),
    "a float": entries(step_forward=CHUNKS | {"columns": 4.0}),
    "huge": entries(step_forward=CHUNKS | {"columns": 2**40}),
    "too many threads": entries(step_forward=CHUNKS | {"columns": 128, "strips": 64}),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_or_foreign_table_is_as_none(table, content):
    table(entries())
    rules = plan()
    table(content)
    assert plan() == rules


def test_no_file_is_as_no_entries(table):
    table(entries())
    rules = plan()
    tuning.FILE.unlink()
    tuning._entries.cache_clear()
    tuning.choose.cache_clear()
    assert plan() == rules


def test_no_random_bytes_stop_a_plan(table):
    whole = json.dumps(entries(step_forward=CHUNKS, step_backward=WALK)).encode()
    generator = random.Random(0)
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(generator.randrange(1, 4)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        table(bytes(content))
        assert plan().strategy in ("walk", "chunks")


def test_classes_of_shapes():
    def key(*shape):
        return tuning.key("9.0", shape, torch.float32, False, False)

    assert key(16, 4096, 256) == key(16, 16383, 512) == key(1, 4096, 4096)
    assert len({key(16, 4096, 256), key(16, 4095, 256), key(64, 4096, 256), key(15, 4096, 256)}) == 4
    kinds = {
        tuning.key(capability, (1, 8, 1), dtype, per_step, adjoint)
        for capability in ("8.0", "9.0")
        for dtype in (torch.float32, torch.complex64)
        for per_step in (False, True)
        for adjoint in (False, True)
    }
    assert len(kinds) == 16
    key(1, 1, 1)


def test_nothing_is_chosen_where_there_is_no_gpu(monkeypatch):
    assert tuning.capability(torch.device("cpu")) is None
    assert tuning.choose(None, *KIND, False) is None


def test_the_package_s_own_table_is_sound():
    content = json.loads(tuning.FILE.read_text())
    assert content["version"] == tuning.VERSION
    assert len(tuning.read(tuning.FILE)) == len(content["entries"])
    assert all(choice.strategy in cuda.STRATEGIES[1:] for choice in tuning.read(tuning.FILE).values())
