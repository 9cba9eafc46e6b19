"""The Triton kernels against the loop in double precision, on the CPU through Triton's interpreter and on a GPU."""

import collections
import importlib
import itertools
import json
import math
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rnnlib import linear_scan
from rnnlib.scan.sequential import sequential_scan

triton = pytest.importorskip("triton")
tl = importlib.import_module("triton.language")
cuda = importlib.import_module("rnnlib.scan.cuda")
then_real, then_complex = (getattr(cuda.elements, name) for name in ("_then_real", "_then_complex"))
cutting = importlib.import_module("rnnlib.scan.cuda.cutting")

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
needs_gpu = pytest.mark.skipif(INTERPRETED or not torch.cuda.is_available(), reason="needs a CUDA device")
pytestmark = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs a CUDA device or TRITON_INTERPRET=1"
)
DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
MARGIN = 64
TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(autouse=True)
def guarded(monkeypatch):
    """Outputs start as NaN, so that an unwritten element shows, between margins that must survive the kernels."""
    buffers = []

    def empty(shape, *, dtype, device):
        size = math.prod(shape)
        buffer = torch.full((size + 2 * MARGIN,), 7.0, dtype=dtype, device=device)
        buffers.append(buffer)
        return buffer[MARGIN : MARGIN + size].fill_(torch.nan).view(*shape)

    def empty_like(t):
        return empty(t.shape, dtype=t.dtype, device=t.device)

    replaced = vars(torch) | {"empty": empty, "empty_like": empty_like}
    monkeypatch.setattr(cuda, "torch", types.SimpleNamespace(**replaced))
    yield
    for buffer in buffers:
        margins = torch.cat([buffer[:MARGIN], buffer[-MARGIN:]])
        assert (margins == 7).all(), "a kernel wrote outside its output"


# strategy and strips of a tile: with one, carries stay in a thread; with more, they go from thread to thread
ALONE, TOGETHER = [("walk", 1), ("chunks", 1)], [("walk", 4), ("chunks", 2)]
# dtype, lam per step, reverse: all of them where a thread works alone; where threads compose maps, which is slow in the
# interpreter, each value of each with each strategy
KINDS = list(itertools.product(DTYPES, [False, True], [False, True]))
FEW = [
    (torch.float32, False, True),
    (torch.float64, True, False),
    (torch.complex64, False, False),
    (torch.complex128, True, True),
]


@pytest.fixture
def small_sizes(monkeypatch):
    """Blocks of 4 columns, strips of 2 steps, chunks of 2 tiles: every boundary within a few elements."""

    def use(strips):
        cutting.cut.cache_clear()
        monkeypatch.setattr(cutting, "_block", lambda *arguments: (4, strips, 2, 1))
        monkeypatch.setattr(cutting, "_chunks", lambda time, blocks, processors: math.ceil(time / (4 * strips)))

    yield use
    cutting.cut.cache_clear()


def draw(dtype, per_step, shape, modulus=0.9):
    batch, time, channels = shape
    generator = torch.Generator().manual_seed(batch + 10 * time + 1000 * channels)
    exact = torch.complex128 if dtype.is_complex else torch.float64

    def normal(*size):
        return torch.randn(size, dtype=exact, generator=generator)

    lam = normal(*shape) if per_step else normal(channels)
    lam = modulus * lam / lam.abs().clamp(min=1)
    return [t.to(DEVICE, dtype) for t in (lam, normal(*shape), normal(batch, channels), normal(*shape))]


def reference(lam, x, h0, grad, reverse):
    exact = torch.complex128 if x.is_complex() else torch.float64
    inputs = [t.detach().to(exact).requires_grad_() for t in (lam, x, h0)]
    states = sequential_scan(*inputs, reverse)
    return states.detach(), *torch.autograd.grad(states, inputs, grad.to(exact))


def kernels(lam, x, h0, grad, reverse, strategy="auto"):
    states = cuda.cuda_scan(lam, x, h0, reverse, strategy)
    return states, *cuda.cuda_adjoint(lam, states, h0, grad, reverse, strategy)


def assert_close(results, references, dtype, roundoffs=16):
    """Each result within so many unit roundoffs of the reference, relative to its largest element."""
    for name, result, expected in zip(("states", "lam", "x", "h0"), results, references, strict=True):
        assert (result.dtype, result.shape) == (dtype, expected.shape), name
        error = (result - expected).abs().max() / expected.abs().max()
        assert error <= roundoffs * torch.finfo(dtype).eps / 2, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize(
    ("cut", "kind"), [*itertools.product(ALONE, KINDS), *itertools.product(TOGETHER, FEW if INTERPRETED else KINDS)]
)
def test_kernels_equal_the_loop(cut, kind, small_sizes):
    """T: one step, a tile and one step more, a prime; N: one, a block of 4 and one more; two and five sequences of two
    channels, of which a block has two."""
    (strategy, strips), (dtype, per_step, reverse) = cut, kind
    small_sizes(strips)
    for shape in [(1, 1, 1), (1, 2 * strips + 1, 5), (2, 11, 2), (5, 3, 2)]:
        tensors = draw(dtype, per_step, shape)
        assert_close(kernels(*tensors, reverse, strategy), reference(*tensors, reverse), dtype)


@triton.jit
def then(a, b, COMPLEX: tl.constexpr):
    if COMPLEX:
        return then_complex(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3])
    else:  # noqa: RET505 - for Triton
        return then_real(a[0], a[1], b[0], b[1])


@triton.jit
def compose_three(numbers, results, COMPLEX: tl.constexpr):
    parts: tl.constexpr = 4 if COMPLEX else 2
    a, b, c = (), (), ()
    for i in tl.static_range(parts):
        a += (tl.load(numbers + i),)
        b += (tl.load(numbers + parts + i),)
        c += (tl.load(numbers + 2 * parts + i),)
    left = then(then(a, b, COMPLEX), c, COMPLEX)
    right = then(a, then(b, c, COMPLEX), COMPLEX)
    for i in tl.static_range(parts):
        tl.store(results + i, left[i])
        tl.store(results + parts + i, right[i])


@pytest.mark.parametrize("is_complex", [False, True])
def test_composition_is_associative(is_complex):
    """A device composes maps in a tree, the interpreter one after the other: it would not see a wrong tree."""
    parts = 4 if is_complex else 2
    numbers = torch.randn(3 * parts, dtype=torch.float64, device=DEVICE)
    results = torch.empty(2 * parts, dtype=torch.float64, device=DEVICE)
    compose_three[(1,)](numbers, results, is_complex)
    torch.testing.assert_close(results[:parts], results[parts:])


@pytest.mark.parametrize(("strategy", "shape"), [("walk", (3, 37, 11)), ("chunks", (1, 1030, 1))])
def test_kernels_equal_the_loop_at_their_own_sizes(strategy, shape):
    tensors = draw(torch.float32, strategy == "chunks", shape)
    assert_close(kernels(*tensors, False, strategy), reference(*tensors, False), torch.float32)


def test_strategies_are_named():
    with pytest.raises(ValueError, match=r"unknown strategy 'look-back'; choose one of auto, walk, chunks$"):
        kernels(*draw(torch.float32, False, (1, 2, 1)), False, "look-back")


class Launches(TorchDispatchMode):
    """Names of the kernels that would be launched, ours and those of PyTorch's operations."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.names = []
        for name in ("_reduce", "_carry", "_replay", "_replay_adjoint", "_sum"):
            monkeypatch.setattr(cuda, name, self.kernel(name))

    def kernel(self, name):
        return collections.defaultdict(lambda: lambda *_, **options: self.names.append(name))

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name = function.name().removeprefix("aten::").split(".")[0]
        if not re.match("empty|view|detach|alias|promote_types", name):
            self.names.append(name)
        return function(*arguments, **(named or {}))


@pytest.mark.parametrize(
    ("strategy", "stages"),
    [("walk", ["_replay"]), ("chunks", ["_reduce", "_carry", "_replay"])],
)
@pytest.mark.parametrize("per_step", [False, True])
def test_how_many_kernels_a_scan_launches(strategy, stages, per_step, small_sizes, monkeypatch):
    """The adjoint as many as the scan, and one for the gradient of a shared lam."""
    monkeypatch.setattr(cuda, "torch", torch)
    small_sizes(2)
    lam, x, h0, grad = draw(torch.complex64, per_step, (2, 17, 3))
    with Launches(monkeypatch) as forward:
        cuda.cuda_scan(lam, x, h0, False, strategy)
    assert forward.names == stages
    with Launches(monkeypatch) as backward:
        cuda.cuda_adjoint(lam, x, h0, grad, False, strategy)
    assert backward.names == [*stages[:-1], f"{stages[-1]}_adjoint", *["_sum"] * (not per_step)]


@pytest.mark.parametrize(("rows", "channels"), [(1, 1), (64, 9), (257, 8), (1200, 3)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_parts_of_a_gradient_are_summed_in_double_precision(rows, channels, dtype):
    exact = torch.complex128 if dtype.is_complex else torch.float64
    parts = torch.randn(rows, 1, channels, dtype=exact, device=DEVICE)
    total = cuda._total(parts, torch.empty(channels, dtype=dtype, device=DEVICE))
    assert total.dtype == dtype
    error = (total.to(exact) - parts.sum((0, 1))).abs() / parts.abs().sum((0, 1))
    assert error.max() <= torch.finfo(dtype).eps


def test_plans_cover_time_and_fill_the_device():
    """The shapes of the performance page on an H100: how each is cut, and that every step is in one chunk."""
    meta = {"device": "meta", "dtype": torch.complex64}
    expected = {
        (16, 4096, 256): ("walk", 8, 128, 1),
        (64, 1024, 512): ("walk", 1, 512, 1),
        (8, 16384, 1024): ("walk", 4, 128, 1),
        (1, 131072, 64): ("chunks", 4, 1, 132),
        (1, 1048576, 16): ("chunks", 16, 1, 132),
    }
    for shape, cut in expected.items():
        for per_step in (False, True):
            lam, x = torch.empty(shape if per_step else shape[2:], **meta), torch.empty(shape, **meta)
            for adjoint in (False, True):
                plan = cutting.plan("auto", lam, x, adjoint)
                assert (plan.strategy, plan.flags["STRIPS"], plan.blocks) == cut[:3]
                assert 0.9 * cut[3] <= plan.count <= cut[3]
                assert plan.length % (plan.flags["STRIPS"] * plan.flags["STEPS"]) == 0
                assert 0 <= plan.count * plan.length - (shape[1] - adjoint) == plan.skipped < plan.length


def test_expected_traffic():
    """Counted by hand: chunks read the input twice, so of 3 elements moved 2 are needed, and so on; what walks moves
    no element twice. A device has 132 multiprocessors, and (16, 4096, 256) gives work to 128."""
    least = {(False, False): 2 / 3, (False, True): 3 / 4, (True, False): 3 / 5, (True, True): 5 / 7}
    tensors = {(False, False): 2, (False, True): 3, (True, False): 3, (True, True): 5}
    for kind, share in least.items():
        chunks = cuda.expected((1, 1048576, 16), torch.complex64, *kind)
        assert chunks["strategy"] == "chunks" and chunks["launches"] >= 3
        assert chunks["needed"] / chunks["moved"] == pytest.approx(share, abs=0.01)
        walk = cuda.expected((16, 4096, 256), torch.complex64, *kind)
        assert walk["needed"] == tensors[kind] * 8 * 16 * 4096 * 256
        assert walk["busy"] == pytest.approx(128 / 132)
        # at 3 TB/s, and a launch (two where the gradient of lam is summed) and a microsecond until the first store
        seconds = walk["moved"] / 3e12 * 132 / 128 + 1.5e-6 * (2 if kind == (False, True) else 1) + 1e-6
        assert walk["seconds"] == pytest.approx(seconds, rel=0.01)
        assert walk["share"] == pytest.approx(walk["needed"] / 3e12 / seconds, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("per_step", [False, True])
def test_any_strides_and_lazy_views(dtype, per_step, small_sizes):
    small_sizes(2)

    def spread(t):
        wide = torch.full((*t.shape, 2), torch.nan, dtype=dtype, device=DEVICE)
        wide[..., 0] = t
        return wide[..., 0]

    def lazy(t):
        """Memory holds the conjugate or negative of what the tensor stands for."""
        return t.conj_physical().conj() if t.is_complex() else torch._neg_view(-t)

    tensors = draw(dtype, per_step, (2, 9, 3))
    expected = reference(*tensors, False)
    for view in (spread, lazy, lambda t: lazy(spread(t))):
        views = [view(t) for t in tensors]
        assert all(torch.equal(a, b) for a, b in zip(views, tensors, strict=True))
        assert_close(kernels(*views, False), expected, dtype)

    lam, x, h0, grad = tensors
    expanded = [lam, x[:1].expand(2, 9, 3), h0[:1].expand(2, 3), grad[:, :1].expand(2, 9, 3)]
    assert_close(kernels(*expanded, True), reference(*expanded, True), dtype)


def check_long_memory(dtype, per_step, time, roundoffs):
    lam = torch.full((2,), 1 - 1e-6, dtype=torch.float64)
    if dtype.is_complex:
        lam = lam * torch.exp(1j * torch.tensor([0.0, 1e-3]))
    x = torch.ones(1, time, 2)  # adds up without end, as does the rounding
    tensors = [t.to(DEVICE, dtype) for t in (lam.expand(1, time, 2) if per_step else lam, x, x[:, 0], x)]
    assert_close(kernels(*tensors, False), reference(*tensors, False), dtype, roundoffs)


@pytest.mark.parametrize(("dtype", "per_step"), [(torch.float32, False), (torch.complex64, True)])
def test_long_memory(dtype, per_step):
    check_long_memory(dtype, per_step, time=400, roundoffs=32)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # of numpy, in the interpreter
@pytest.mark.parametrize("per_step", [False, True])
def test_a_growing_channel_stays_finite_until_it_is_fed(per_step, small_sizes):
    """1e30^16, the slope of a strip, overflows float64, and infinity times a zero state would be NaN."""
    x = torch.zeros(1, 40, 1, device=DEVICE)
    x[:, -1] = 1
    lam = torch.full_like(x, 1e30) if per_step else torch.full((1,), 1e30, device=DEVICE)
    assert torch.equal(cuda.cuda_scan(lam, x, x[:, 0], strategy="walk"), x)
    small_sizes(8)  # chunks of 32 steps: maps of their strips and of the first chunk overflow as well
    assert torch.equal(cuda.cuda_scan(lam, x, x[:, 0], strategy="chunks"), x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("strategy", "per_step"), [("walk", True), ("chunks", False)])
def test_floats_of_16_bits_are_storage_alone(dtype, strategy, per_step, small_sizes):
    """Computed in float32 and rounded once; the gradients are those at the stored, rounded states."""

    def stored(t):  # where a device rounds to the nearest, Triton's interpreter cuts bits off
        cut = INTERPRETED and dtype == torch.bfloat16
        return (t.view(torch.int32) & -0x10000).view(torch.float32).to(dtype) if cut else t.to(dtype)

    small_sizes(2)
    lam, x, h0, grad = draw(dtype, per_step, (2, 11, 3))
    if not per_step:
        lam = lam.float()
    h0 = h0.float()
    states = cuda.cuda_scan(lam, x, h0, False, strategy)
    assert torch.equal(states, stored(cuda.cuda_scan(lam.float(), x.float(), h0, False, strategy)))
    grad_lam, grad_x, grad_h0 = cuda.cuda_adjoint(lam, states, h0, grad, False, strategy)
    single = cuda.cuda_adjoint(lam.float(), states.float(), h0, grad.float(), False, strategy)
    assert torch.equal(grad_lam, stored(single[0]) if per_step else single[0])
    assert torch.equal(grad_x, stored(single[1]))
    assert torch.equal(grad_h0, single[2])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("of_lam", ["shared", "shared, float32", "per step", "per step, float32"])
def test_linear_scan_stores_half_precision_as_other_backends_do(dtype, of_lam, small_sizes, monkeypatch):
    """The kernels themselves read and write 16 bits, and only what no step has of its own is float32."""
    small_sizes(2)
    lam, x, h0, grad = draw(torch.float32, "step" in of_lam, (2, 23, 5))
    lam = lam if "float32" in of_lam else lam.to(dtype)
    seen, results = [], {}
    scan, adjoint = cuda.cuda_scan, cuda.cuda_adjoint
    monkeypatch.setattr(cuda, "cuda_scan", lambda *t: seen.append([each.dtype for each in t[:3]]) or scan(*t))
    monkeypatch.setattr(cuda, "cuda_adjoint", lambda *t: seen.append([each.dtype for each in t[:4]]) or adjoint(*t))
    for backend in ("cuda", "sequential"):
        leaves = [t.to(DEVICE).requires_grad_() for t in (lam, x.to(dtype), h0.to(dtype))]
        states = linear_scan(*leaves, backend=backend)
        results[backend] = states, *torch.autograd.grad(states, leaves, grad.to(dtype))
    given = lam.dtype if "step" in of_lam else torch.float32
    assert seen == [[given, dtype, torch.float32], [given, dtype, torch.float32, dtype]]
    roundoff = torch.finfo(dtype).eps * (1 if INTERPRETED and dtype == torch.bfloat16 else 0.5)  # it cuts bits off
    for ours, expected in zip(results["cuda"], results["sequential"], strict=True):
        assert ours.dtype == expected.dtype
        error = (ours.double() - expected.double()).abs().max() / expected.double().abs().max()
        assert error <= 4 * roundoff


@pytest.mark.skipif(not INTERPRETED, reason="about Triton's interpreter")
@pytest.mark.parametrize(("release", "fails"), [("3.6.0", True), ("3.7.0", False)])
def test_a_pair_of_releases_that_cannot_interpret_says_so(release, fails):
    code = (
        f"import numpy, triton; triton.__version__, numpy.__version__ = {release!r}, '2.4.1'; import rnnlib.scan.cuda"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode != 0) == fails, result.stderr
    sentence = "interpreter of release 3.6.0 fails with numpy 2.4.1: install triton 3.7 or later, or numpy below 2.4"
    assert (sentence in result.stderr) == fails


def test_empty_batch():
    tensors = draw(torch.float32, False, (0, 70, 3))
    states, grad_lam, grad_x, grad_h0 = kernels(*tensors, False)
    assert states.shape == grad_x.shape == (0, 70, 3)
    assert grad_h0.shape == (0, 3)
    assert torch.equal(grad_lam, torch.zeros(3, device=DEVICE))


def tool(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # for its dataclasses
    spec.loader.exec_module(module)
    return module


def without_interpreter(code, cache):
    """What the code prints, as JSON, in a process of its own: Triton decides once, when imported, what it does."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    result = subprocess.run(
        [sys.executable, "-c", f"import json\nfrom ahead import compile_ahead, variants\n{code}"],
        env=environment | {"TRITON_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(map(str, (TOOLS, *sys.path)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("capability", "channels", "dtypes"),
    [(75, 16, ["float32", "float16"]), (80, 8, ["float32", "bfloat16"]), (90, 16, ["float32", "float64"])],
)
def test_kernels_compile_without_a_gpu(capability, channels, dtypes, tmp_path):
    """Every kernel, real and complex, lam shared and per step, both kinds of step, a block of one sequence and of two;
    carries are float64 whatever the dtype."""
    code = f"""
common = dict(STRIPS=2, COLUMNS=16, CHANNELS={channels}, ALIGN=8, STEPS=2, ROWS=64)
sizes = [
    len(compile_ahead(kernel, {capability}, dtype=dtype, **constants).asm["cubin"])
    for kernel, dtype, constants in variants(*{dtypes}, **common)
]
print(json.dumps(sizes))
"""
    sizes = without_interpreter(code, tmp_path)
    kinds = 2 * 2 if "float64" in dtypes else 2 + 1  # 16-bit floats are real
    assert len(sizes) == kinds * (2 * (2 + 2 + 1 + 1) + 1)
    assert min(sizes) > 1000


def test_machine_code_of_an_h100(tmp_path):
    """At full size: a complex element is one access of 64 bits, all of them before the first use, and few barriers."""
    code = """
common = {"COMPLEX": True, "PER_STEP": False, "BACKWARDS": False, "COLUMNS": 32, "STRIPS": 8, "STEPS": 16}
common |= {"CHANNELS": 32, "ALIGN": 8}
print(json.dumps(compile_ahead("_replay", 90, warps=8, **common).asm["ptx"]))
"""
    ptx = without_interpreter(code, tmp_path)
    accesses = re.findall(r"(ld|st)\.global(?:\.\w+)*\.(\w\d+) ", ptx)
    assert accesses.count(("ld", "b64")) >= 16 * 2  # first tile, following tiles
    assert accesses.count(("st", "b64")) == 16
    assert {width for _, width in accesses} == {"b64"}
    assert ptx[: ptx.index("st.global")].count("ld.global") == ptx.count("ld.global")
    assert ptx.count("bar.sync") <= 16


@pytest.mark.skipif(not INTERPRETED, reason="about TRITON_INTERPRET=1")
def test_nothing_to_compile_when_interpreted():
    ahead = tool("ahead")
    with pytest.raises(RuntimeError, match="TRITON_INTERPRET"):
        ahead.compile_ahead("_replay", 80, COMPLEX=False, PER_STEP=False)


@pytest.mark.skipif(not INTERPRETED, reason="tests Triton's interpreter: needs TRITON_INTERPRET=1, not a GPU")
@pytest.mark.parametrize("strategy", ["walk", "chunks"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_interpreted_faster_the_kernels_give_the_same_bits(dtype, strategy, small_sizes):
    faster = tool("interpreted").faster
    small_sizes(2)
    inputs = draw(dtype, True, (1, 19, 5))
    expected = kernels(*inputs, False, strategy)
    before = triton.runtime.interpreter._patch_lang, tl.associative_scan
    with faster():
        assert triton.runtime.interpreter._patch_lang is not before[0]
        found = kernels(*inputs, False, strategy)
    assert (triton.runtime.interpreter._patch_lang, tl.associative_scan) == before
    for results in (found, kernels(*inputs, False, strategy)):
        assert all(torch.equal(*pair) for pair in zip(results, expected, strict=True))


@triton.jit
def _reduce_both_ways(x, kept, dropped):
    at = tl.arange(0, 4)[:, None] * 8 + tl.arange(0, 8)[None, :]
    block = tl.load(x + at)
    columns = tl.arange(0, 8)
    tl.store(kept + columns[None, :], tl.reduce(block, 0, _sum_and_product, keep_dims=True))
    tl.store(dropped + columns, tl.reduce(block, 0, _sum_and_product))


@triton.jit
def _sum_and_product(a, b):
    return a + b + a * b


@pytest.mark.skipif(not INTERPRETED, reason="tests Triton's interpreter: needs TRITON_INTERPRET=1, not a GPU")
def test_interpreted_faster_reductions_are_the_interpreter_s():
    faster = tool("interpreted").faster

    def reduced():
        results = [torch.full((8,), torch.nan) for _ in range(2)]
        _reduce_both_ways[(1,)](torch.linspace(-1, 1, 32), *results)
        return torch.cat(results)

    expected = reduced()
    with faster():
        assert torch.equal(reduced(), expected)
    assert expected.isfinite().all()


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("shape", [(2, 20_011, 3), (64, 1031, 250), (300, 67, 2049), (70_000, 33, 1)], ids=str)
def test_large_scans(shape, dtype, per_step):
    tensors = draw(dtype, per_step, shape)
    results, again = kernels(*tensors, False), kernels(*tensors, False)
    assert all(torch.equal(a, b) for a, b in zip(results, again, strict=True)), "not the same bits twice"
    # a shared lam's gradient sums batch * time terms of either sign
    assert_close(results, reference(*tensors, False), dtype, roundoffs=1000)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("per_step", [False, True])
def test_long_memory_at_full_length(dtype, per_step):
    check_long_memory(dtype, per_step, time=100_000, roundoffs=1000)  # the loop itself has 2,000


@pytest.mark.gpu
@needs_gpu
def test_offsets_beyond_32_bits():
    shape = (2, 2**15 + 1, 2**15)
    if torch.cuda.mem_get_info()[0] < 5 * 4 * math.prod(shape):
        pytest.skip("needs 43 GB of free GPU memory")
    x = torch.ones(shape, device=DEVICE)
    lam = torch.full((shape[2],), 0.5, device=DEVICE)
    states = cuda.cuda_scan(lam, x, x[:, 0])
    assert (states[:, 0] == 1.5).all()
    assert (states[:, 40:] == 2).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_axes_of_size_one_may_have_any_stride(dtype, order):
    """``contiguous()`` leaves the stride of such an axis as it is."""
    back = [order.index(axis) for axis in range(3)]
    for shape in [(1, 5, 1), (3, 4, 1), (1, 1, 1), (1, 3, 2), (2, 1, 3)]:
        lam, x, h0, grad = draw(dtype, False, shape)
        x, grad = (t.permute(order).contiguous().permute(back) for t in (x, grad))
        assert_close(kernels(lam, x, h0, grad, False), reference(lam, x, h0, grad, False), dtype)
