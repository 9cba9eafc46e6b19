"""The compiled loops for the CPU: how work is cut and shared among threads, forks, and what happens without numba."""

import concurrent.futures
import importlib.util
import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings

import numba
import numpy as np
import pytest
import torch
from test_scan import DTYPES, UNIT_ROUNDOFF, draw, wide

from rnnlib import linear_scan
from rnnlib.scan import backends, cpu
from rnnlib.scan.sequential import sequential_scan

SHAPES = [(1, 1, 1), (2, 33, 3), (1, 40, 37), (3, 17, 16), (5, 64, 1)]


@pytest.fixture
def small_pieces(monkeypatch):
    """Cut even small scans, so that tiles, rows and chunks of every kind occur."""
    monkeypatch.setattr(cpu, "_INLINE", 0)
    monkeypatch.setattr(cpu, "_CHUNK", 5)


@pytest.mark.parametrize("dtype", [*DTYPES, *UNIT_ROUNDOFF], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
def test_every_cut_gives_the_loop_and_its_gradients(per_step, reverse, dtype, small_pieces):
    tolerance = {torch.float32: 1e-5, torch.complex64: 1e-5, torch.float16: 1.5e-3, torch.bfloat16: 1.2e-2}.get(
        dtype, 1e-12
    )
    for (B, T, N), threads in itertools.product(SHAPES, [1, 2, 3, 16]):
        lam, x, h0 = draw(B, T, N, dtype=dtype, per_step=per_step)
        if dtype in UNIT_ROUNDOFF:  # as the operators give them
            lam, h0 = lam if per_step else lam.float(), h0.float()
        reference = [t.requires_grad_() for t in wide(lam, x, h0)]
        expected = sequential_scan(*reference, reverse)
        grad = torch.randn_like(expected)
        states = cpu.cpu_scan(lam, x, h0, reverse, threads)
        actual = [states, *cpu.cpu_adjoint(lam, states, h0, grad.to(dtype), reverse, threads)]
        wanted = [expected, *torch.autograd.grad(expected, reference, grad)]
        for a, e, like in zip(actual, wanted, [x, lam, x, h0], strict=True):
            assert a.dtype == like.dtype and a.is_contiguous()
            scale = max(1.0, e.abs().max().item())
            torch.testing.assert_close(a.to(e.dtype), e.detach(), rtol=tolerance, atol=tolerance * scale)


ROUNDING = """
import torch
from rnnlib import linear_scan

for dtype in (torch.float16, torch.bfloat16):
    halves = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    # all of them and what lies between neighbours: halfway, and the next float up and down
    below, above = halves.sort().values[:-1].float(), halves.sort().values[1:].float()
    middle = below + (above - below) / 2
    floats = torch.cat([halves.float(), *(middle.nextafter(t) for t in (middle, below, above)), 2 * above])
    # one step, h = lam h0 + x with h0 = 1 and x = -0.0, stores lam
    x = torch.full((1, 1, len(floats)), -0.0, dtype=dtype)
    stored = linear_scan(floats, x, torch.ones(1, len(floats)), backend="numba")[0, 0]
    expected = floats.to(dtype)
    assert torch.equal(stored.isnan(), expected.isnan())
    same = stored.view(torch.int16) == expected.view(torch.int16)
    assert (same | expected.isnan()).all(), (dtype, floats[~same][:5])
    # and all of them are read: x, with h0 = 0
    read = linear_scan(floats[: 2**16], halves[None, None], backend="numba")[0, 0]
    same = read.view(torch.int16) == halves.view(torch.int16)
    assert (same | halves.isnan() | (halves == 0) | ~floats[: 2**16].isfinite()).all(), dtype
print("done")
"""


@pytest.mark.parametrize("processor", [{}, {"NUMBA_CPU_NAME": "generic"}], ids=["this one", "generic"])
def test_half_precision_is_read_and_rounded_as_pytorch_does(processor, tmp_path):
    """To nearest, halfway to even, with infinities, NaN and denormals; also where no instruction does it."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), **processor}
    command = [sys.executable, "-W", "error", "-c", ROUNDING]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("per_step", [False, True])
def test_without_instructions_for_float16_results_are_the_same(per_step, monkeypatch):
    lam, x, h0 = draw(2, 30, 5, dtype=torch.float16, per_step=per_step)
    results = []
    for has in (True, False):
        monkeypatch.setattr(cpu.loops, "HAS_FLOAT16", has)
        states = cpu.cpu_scan(lam, x, h0)
        results.append([states, *cpu.cpu_adjoint(lam, states, h0, x)])
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype == torch.float16 and torch.equal(a, b)


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.bfloat16], ids=str)
def test_a_channel_has_the_same_bits_whatever_its_neighbours(dtype, per_step):
    """Vectors of every length do the same arithmetic."""
    lam, x, h0 = draw(2, 30, 40, dtype=dtype, per_step=per_step)
    states = cpu.cpu_scan(lam, x, h0)
    gradients = cpu.cpu_adjoint(lam, states, h0, x)
    for N in range(1, 40):
        few = [t[..., :N] for t in (lam, x, h0)]
        assert torch.equal(cpu.cpu_scan(*few), states[..., :N])
        for a, b in zip(cpu.cpu_adjoint(few[0], states[..., :N], few[2], few[1]), gradients, strict=True):
            assert torch.equal(a, b[..., :N])


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 64])
@pytest.mark.parametrize(
    "shape", [(1, 65536, 64), (16, 4096, 256), (3, 20000, 17), (1, 10**6, 1), (1000, 100, 5)], ids=str
)
def test_pieces_cover_everything_once(shape, threads):
    plan = cpu._plan(shape, 8, threads)
    work = 0
    for rows, tile, chunk in plan.pieces(plan.chunks):
        count, steps, width = plan.sizes(rows, tile, chunk)
        assert count > 0 and steps > 0 and width > 0
        work += count * steps * width
    assert work == shape[0] * shape[1] * shape[2]
    for cuts, size in [(plan.rows, shape[0]), (plan.tiles, shape[2])]:
        assert [n for cut in cuts for n in range(cut.start, cut.stop)] == list(range(size))


def test_wide_rows_are_cut_and_small_work_is_not():
    assert [tile.stop - tile.start for tile in cpu._plan((2, 1024, 8192), 8, 2).tiles] == 8 * [1024]
    assert len(cpu._plan((4, 64, 64), 8, 2).tiles) == 1


def test_cut_along_channels_where_rows_are_long_and_over_time_where_not():
    assert cpu._plan((16, 4096, 256), 8, 2).chunks == 1 and len(cpu._plan((16, 4096, 256), 8, 2).rows) == 8
    assert cpu._plan((1, 65536, 1024), 8, 2).tiles == [slice(0, 512), slice(512, 1024)]
    assert cpu._plan((1, 65536, 64), 8, 2).tiles == [slice(0, 32), slice(32, 64)]
    assert cpu._plan((1, 65536, 32), 8, 2).chunks == 2 and len(cpu._plan((1, 65536, 32), 8, 2).tiles) == 1
    assert cpu._plan((1, 10**6, 16), 8, 16).chunks == 16
    assert cpu._plan((1, 1500, 64), 8, 2).tiles == [slice(0, 32), slice(32, 64)]
    assert cpu._plan((1, 1000, 16), 8, 16).threads == 1


@pytest.mark.parametrize("per_step", [False, True])
def test_the_same_bits_at_each_call(per_step, small_pieces):
    inputs = draw(3, 200, 40, dtype=torch.complex64, per_step=per_step)
    for threads in [1, 4, 16]:
        first, again = (cpu.cpu_scan(*inputs, False, threads) for _ in range(2))
        assert torch.equal(first, again)
        gradients = [cpu.cpu_adjoint(inputs[0], first, inputs[2], inputs[1], False, threads) for _ in range(2)]
        assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64], ids=str)
def test_strides_and_lazy_views(dtype):
    lam, x, h0 = draw(3, 9, 4, dtype=dtype)
    expected = cpu.cpu_scan(lam, x, h0)
    views = [
        x.transpose(0, 1).contiguous().transpose(0, 1),
        torch.cat([x, x], 2)[..., :4],
        torch.stack([x, x], 3)[..., 0],
        x.conj_physical().conj() if dtype.is_complex else torch._neg_view(-x),
    ]
    for view in views:
        assert torch.equal(cpu.cpu_scan(lam, view, h0), expected)
    assert torch.equal(cpu.cpu_scan(lam, x[:1].expand(3, 9, 4), h0), cpu.cpu_scan(lam, x[:1].repeat(3, 1, 1), h0))
    steady = lam.expand(3, 9, 4)
    assert torch.equal(cpu.cpu_scan(steady, x, h0), expected)
    grad_lam = cpu.cpu_adjoint(steady, expected, h0, x)[0]
    torch.testing.assert_close(grad_lam.sum((0, 1)), cpu.cpu_adjoint(lam, expected, h0, x)[0])


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 5, 0)], ids=str)
def test_nothing_to_do(shape):
    lam, x, h0 = torch.ones(shape[2]), torch.ones(shape), torch.ones(shape[0], shape[2])
    states = cpu.cpu_scan(lam, x, h0)
    gradients = cpu.cpu_adjoint(lam, states, h0, x)
    assert [tuple(t.shape) for t in (states, *gradients)] == [shape, (shape[2],), shape, (shape[0], shape[2])]
    assert torch.equal(gradients[0], torch.zeros(shape[2]))


def test_one_thread_means_one_thread(monkeypatch, small_pieces):
    monkeypatch.setattr(cpu, "_pool", lambda size: pytest.fail("a pool was asked for"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        linear_scan(*draw(4, 50, 20), backend="numba")
    finally:
        torch.set_num_threads(before)


def test_calls_from_many_threads_at_once(small_pieces):
    inputs = [draw(2, 300, 40, seed=seed) for seed in range(12)]
    expected = [cpu.cpu_scan(*each, False, 1) for each in inputs]
    barrier = threading.Barrier(6)

    def work(each):
        barrier.wait(timeout=60)
        return [cpu.cpu_scan(*each, False, 4) for _ in range(5)]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for found, states in zip(pool.map(work, inputs), expected, strict=True):
            for each in found:
                torch.testing.assert_close(each, states)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("per_step", [False, True])
def test_what_fades_becomes_zero(per_step, threads):
    """And not a denormal, which would stay one and slow every later step: states, products of chunks, the adjoint."""
    x = torch.zeros(1, 20_000, 20, dtype=torch.float64)
    x[:, 0] = 1
    lam, h0 = torch.full(x.shape if per_step else x.shape[2:], 0.9, dtype=x.dtype), torch.zeros_like(x[:, 0])
    loop = linear_scan(lam, x, backend="sequential")
    assert 0 < loop[0, -1, 0] < torch.finfo(x.dtype).tiny
    states = cpu.cpu_scan(lam, x, h0, threads=threads)
    assert (states[0, 10_000:] == 0).all()
    torch.testing.assert_close(states, loop, rtol=1e-11, atol=torch.finfo(x.dtype).tiny)
    _, grad_x, _ = cpu.cpu_adjoint(lam, states, h0, x.flip(1), threads=threads)
    assert (grad_x[0, :10_000] == 0).all()
    torch.testing.assert_close(grad_x.flip(1), loop, rtol=1e-11, atol=torch.finfo(x.dtype).tiny)
    ends, products = np.empty(20), np.empty(20)
    place, row = (0, 0, 0 if lam.ndim == 1 else 20), (0, 0, 20)
    loops = (lam.numpy().reshape(-1), place, x.numpy().reshape(-1), row, ends, products, place)
    cpu.loops.reduce(*loops, (1, 20_000, 20), False)
    assert (products == 0).all() and (ends == 0).all()


def test_an_error_in_one_piece_is_raised_and_ends_the_rest(monkeypatch, small_pieces):
    def broken(*_):
        raise FloatingPointError("piece")

    monkeypatch.setattr(cpu.loops, "scan", broken)
    with pytest.raises(FloatingPointError, match="piece"):
        cpu.cpu_scan(*draw(4, 50, 20), False, 4)


def in_a_fork(inputs, queue):
    queue.put(cpu.cpu_scan(*inputs, False, 4).numpy())


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_scans_as_well(small_pieces):
    """As data loaders do: the child has the parent's pool but none of its threads."""
    inputs = draw(4, 50, 20)
    expected = cpu.cpu_scan(*inputs, False, 4)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=in_a_fork, args=(inputs, queue))
    child.start()
    try:
        torch.testing.assert_close(torch.from_numpy(queue.get(timeout=60)), expected)
    finally:
        child.join(timeout=10)
        if child.is_alive():
            child.kill()


SCAN_AND_GRADIENTS = """
import resource, torch
from rnnlib import linear_scan
if {full}:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # every write fails, as on a full disk
lam, x = torch.tensor([0.5], requires_grad=True), torch.tensor([[[1.0], [2.0], [3.0]]])
h = linear_scan(lam, x, backend={backend!r})
h.sum().backward()
print(h.flatten().tolist(), lam.grad.tolist())
"""


@pytest.mark.parametrize("backend", ["numba", "auto"])
def test_no_cache_of_compiled_code_stops_a_scan(backend, tmp_path):
    """Full disk, then a good cache, then each file of it cut, emptied, or overwritten with something else."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}

    def scan(full=False):
        code = SCAN_AND_GRADIENTS.format(full=full, backend=backend)
        command = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert (done.stdout, done.stderr) == ("[1.0, 2.5, 4.25] [4.0]\n", "")

    scan(full=True)
    scan()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    damages = (lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no pickle" * 10)
    for damage in damages if backend == "numba" else damages[:1]:
        for path in files:
            path.write_bytes(damage(path.read_bytes()))
        scan()


def test_without_a_folder_for_its_cache_numba_still_compiles(monkeypatch):
    njit = numba.njit

    def no_folder(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*args, **options)

    monkeypatch.setattr(numba, "njit", no_folder)
    assert cpu.loops._Compiled(lambda a: a + 1)(1) == 2


@pytest.fixture
def no_verdicts(monkeypatch):
    monkeypatch.setattr(backends, "_verdicts", {})


def test_without_numba_auto_takes_chunks_and_its_name_says_what_to_install(monkeypatch, no_verdicts):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "numba" else find(name, *a))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backends.default_backend(torch.device("cpu")) == "chunked"
    with pytest.raises(ValueError, match=r"pip install numba \(rnnlib's extra 'fast'\)"):
        linear_scan(*draw(), backend="numba")


def test_numba_that_does_not_work_falls_back_with_one_warning(monkeypatch, no_verdicts):
    def broken(*_):
        raise RuntimeError("no LLVM")

    monkeypatch.setattr(cpu, "cpu_scan", broken)
    with pytest.warns(RuntimeWarning, match="Numba kernels do not work on cpu.*no LLVM.*chunked"):
        assert backends.default_backend(torch.device("cpu")) == "chunked"


def test_numba_with_tensors_elsewhere_says_what_to_do():
    with pytest.raises(ValueError, match=r"backend='numba' needs tensors on the CPU.*meta"):
        linear_scan(*(t.to("meta") for t in draw()), backend="numba")
