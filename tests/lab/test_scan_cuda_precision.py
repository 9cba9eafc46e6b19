"""What the Triton kernels need float64 for, and how much of it they have."""

import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from rnnlib.lab import experiments
from rnnlib.lab.experiments import precision
from rnnlib.scan.sequential import sequential_scan

triton = pytest.importorskip("triton")
tl = importlib.import_module("triton.language")
cuda = importlib.import_module("rnnlib.scan.cuda")
compose, follow = cuda.elements.compose, cuda.elements.follow

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
runs = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs a CUDA device or TRITON_INTERPRET=1"
)
interpreted = pytest.mark.skipif(not INTERPRETED, reason="about Triton's interpreter: needs TRITON_INTERPRET=1")


@pytest.fixture
def rounded(root):
    spec = importlib.util.spec_from_file_location("interpreted", root / "tools/interpreted.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rounded


@triton.jit
def _through_strips(
    p_re, p_im, e_re, e_im, c_re, c_im, results,
    COMPLEX: tl.constexpr, SHARED: tl.constexpr, STRIPS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    at = tl.arange(0, STRIPS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    column = tl.broadcast_to(tl.arange(0, COLUMNS)[None, :], (STRIPS, COLUMNS))
    p, e = (tl.load(p_re + at), tl.load(p_im + at)), (tl.load(e_re + at), tl.load(e_im + at))
    c = (tl.load(c_re + column), tl.load(c_im + column))
    enter, leave = follow(p, e, c, COMPLEX, SHARED)
    block: tl.constexpr = STRIPS * COLUMNS
    tl.store(results + at, enter[0])
    tl.store(results + block + at, enter[1])
    tl.store(results + 2 * block + at, leave[0])
    tl.store(results + 3 * block + at, leave[1])
    q, f = compose(p, e, COMPLEX)
    tl.store(results + 4 * block + at, tl.broadcast_to(q[0], (STRIPS, COLUMNS)))
    tl.store(results + 5 * block + at, tl.broadcast_to(q[1], (STRIPS, COLUMNS)))
    tl.store(results + 6 * block + at, tl.broadcast_to(f[0], (STRIPS, COLUMNS)))
    tl.store(results + 7 * block + at, tl.broadcast_to(f[1], (STRIPS, COLUMNS)))


@runs
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("strips", [1, 2, 8, 16])
def test_states_go_through_strips_in_order(strips, shared, is_complex):
    generator = np.random.default_rng(strips)
    shape = (strips, 4)
    p, e, c = generator.normal(size=(3, 2, *shape)) * np.array([1, float(is_complex)])[:, None, None]
    if shared:
        p = np.broadcast_to(p[:, :1], p.shape)
    inputs = [torch.tensor(np.ascontiguousarray(t), device=DEVICE) for t in (*p, *e, *c[:, 0])]
    results = torch.full((8, *shape), torch.nan, dtype=torch.float64, device=DEVICE)
    _through_strips[(1,)](*inputs, results, is_complex, shared, *shape)
    found = [re + 1j * im for re, im in results.cpu().numpy().reshape(4, 2, *shape)]

    p, e, h = p[0] + 1j * p[1], e[0] + 1j * e[1], c[0, 0] + 1j * c[1, 0]
    slope, end = np.ones(4, complex), np.zeros(4, complex)
    entering = []
    for k in range(strips):
        entering.append(h)
        h, slope, end = p[k] * h + e[k], p[k] * slope, p[k] * end + e[k]
    for result, value in zip(found, (entering, h, slope, end), strict=True):
        np.testing.assert_allclose(result, np.broadcast_to(value, shape), rtol=1e-10, atol=1e-10)


def growing(per_step):
    """A state of 1e-36 that grows past 1e38 in the loop's own time: 2.5^128 is more than float32 holds."""
    x = torch.zeros(1, 180, 1, device=DEVICE)
    x[:, 0] = 1e-36
    lam = torch.full_like(x, 2.5) if per_step else torch.full((1,), 2.5, device=DEVICE)
    exact = sequential_scan(lam.double(), x.double(), x[:, 0].double() * 0)
    assert 1e33 < exact[0, -1, 0] < torch.finfo(torch.float32).max
    return lam, x, exact


@runs
@pytest.mark.parametrize("per_step", [False, True])
def test_a_growing_channel_is_finite_wherever_the_loop_is(per_step):
    lam, x, exact = growing(per_step)
    states = cuda.cuda_scan(lam, x, torch.zeros_like(x[:, 0]), strategy="walk")
    torch.testing.assert_close(states.double(), exact, rtol=1e-4, atol=0)


@interpreted
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # of numpy, in the interpreter
def test_slopes_in_float32_would_overflow(rounded):
    lam, x, _ = growing(False)
    with rounded("slopes across strips"):
        assert not cuda.cuda_scan(lam, x, torch.zeros_like(x[:, 0]), strategy="walk").isfinite().all()


@interpreted
@pytest.mark.parametrize("place", [place for place, _ in precision.EXPERIMENT.places if place != precision.NOTHING])
def test_a_place_is_rounded_and_then_no_longer(place, rounded):
    generator = torch.Generator().manual_seed(0)
    strategy = dict(precision.EXPERIMENT.places)[place]
    x = torch.randn(1, 2100 if strategy == "chunks" else 600, 16, generator=generator)  # four chunks; three tiles
    lam = 1 - 1e-3 * torch.rand(x.shape, generator=generator)

    def states():
        return cuda.cuda_scan(lam, x, torch.zeros_like(x[:, 0]), strategy=strategy)

    before = states()
    with rounded(place):
        assert not torch.equal(states(), before)
        torch.testing.assert_close(states(), before, rtol=1e-4, atol=1e-3)
    assert torch.equal(states(), before)


CODE = """
import json, re, torch
from ahead import DEVICES, compile_ahead, float64_instructions, float64_rows, machine_code, planned

rows = []
for dtype in (torch.complex64, torch.float32):
    for per_step in (False, True):
        for adjoint in (False, True):
            kernel, constants = next(planned((16, 4096, 256), dtype, per_step, adjoint, processors=40))
            compiled = compile_ahead(kernel, 75, **constants)
            code, loop = machine_code(compiled)
            text = compiled.asm["ttgir"]
            found = float64_rows("T4", (16, 4096, 256), dtype, per_step, adjoint)[0]
            rows.append(dict(kernel=kernel, complex=dtype.is_complex, per_step=per_step, steps=constants["STEPS"],
                             row=found, count=float64_instructions(loop), all=float64_instructions(code),
                             stores=sum("STG" in line for line in loop), barriers=sum("BAR" in line for line in loop),
                             converted=text[text.index("scf.for"):].count("ttg.convert_layout")))
print(json.dumps(rows))
"""


@pytest.fixture(scope="module")
def tiles(root, tmp_path_factory):
    """The loops over tiles as a T4 would run them."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    path = os.pathsep.join([str(root / "tools"), str(root), *environment.get("PYTHONPATH", "").split(os.pathsep)])
    environment |= {"TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("cache")), "PYTHONPATH": path}
    result = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_float64_takes_less_time_than_the_memory_of_a_t4(tiles):
    """Conversions and products of lam per step by hand: of two complex columns a thread or four real ones."""
    for row in tiles:
        kernel, count, cycles, memory = row["row"]
        assert (kernel, count, cycles) == (row["kernel"], row["count"], row["count"] * 16)
        outputs = 2 if kernel == "_replay_adjoint" and row["per_step"] else 1
        assert row["stores"] == outputs * row["steps"], "not the loop over tiles"
        columns, values = (2, 2) if row["complex"] else (4, 1)
        conversions = columns * values * (2 + row["per_step"] * row["steps"])  # of states; of lam
        products = columns * values**2 * row["per_step"] * (row["steps"] - 1)
        assert conversions + products < count < row["all"]
        assert cycles < memory


def test_strips_exchange_states_without_other_layouts(tiles):
    for row in tiles:
        assert row["converted"] <= 4, row
        assert row["barriers"] <= 16, row


@pytest.fixture(scope="module")
def stored():
    return experiments.load("precision")


def worse(frame):
    return frame[frame["ratio"] > 1 + 3 * frame["ratio_error"] + 1e-5]


def test_the_kernels_as_they_are_round_no_worse_than_the_loop(stored):
    assert worse(stored[stored["single"] == precision.NOTHING]).empty


def test_what_float32_would_cost(stored):
    """Slopes of strips fail for long memories, states across strips for short ones."""
    failing = worse(stored).groupby("single")["one_minus_modulus"].agg(["min", "max"])
    assert set(failing.index) == {"slopes of strips", "states across strips"}
    assert failing.loc["slopes of strips", "max"] < 0.1
    assert failing.loc["states across strips", "min"] == 0.1


def test_where_float64_takes_longer_than_the_memory(stored):
    """Products of lam per step do, on a T4 only the complex ones of stage 1 of chunks."""
    frame = experiments.load("precision", "float64")
    rate = frame["device"].map({"H100": 64}).fillna(2)
    assert np.allclose(frame["cycles"], frame["instructions"] * 32 / rate)
    bound = frame[frame["cycles"] > frame["memory_cycles"]]
    assert set(bound["lam"]) == {"step"} and set(bound["device"]) == {"T4", "RTX 3090"}
    on_t4 = bound[bound["device"] == "T4"]
    assert set(on_t4["dtype"]) == {"complex64"} and set(on_t4["kernel"]) == {"_reduce"}
