"""The Triton kernels against the loop in double precision, on the CPU through Triton's interpreter and on a GPU."""

import importlib
import json
import math
import os
import subprocess
import sys
import types

import pytest
import torch

from rnnlib.scan.sequential import sequential_scan

pytest.importorskip("triton")
cuda = importlib.import_module("rnnlib.scan.cuda")

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
needs_gpu = pytest.mark.skipif(INTERPRETED or not torch.cuda.is_available(), reason="needs a CUDA device")
pytestmark = pytest.mark.skipif(
    not INTERPRETED and not torch.cuda.is_available(), reason="needs a CUDA device or TRITON_INTERPRET=1"
)
DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
MARGIN = 64


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


@pytest.fixture
def small_sizes(monkeypatch):
    """Chunks of 4 steps and programs of 4 columns: every boundary within a few elements."""
    monkeypatch.setattr(cuda, "_sizes", lambda time, columns: (2, 4))


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


def kernels(lam, x, h0, grad, reverse):
    states = cuda.cuda_scan(lam, x, h0, reverse)
    return states, *cuda.cuda_adjoint(lam, states, h0, grad, reverse)


def assert_close(results, references, dtype, roundoffs=16):
    """Each result within so many unit roundoffs of the reference, relative to its largest element."""
    for name, result, expected in zip(("states", "lam", "x", "h0"), results, references, strict=True):
        assert (result.dtype, result.shape) == (dtype, expected.shape), name
        error = (result - expected).abs().max() / expected.abs().max()
        assert error <= roundoffs * torch.finfo(dtype).eps / 2, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
# T: one step, about a chunk of 4, a prime, several chunks; B * N: about a block of 4 and a prime
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 3), (1, 3, 4), (1, 4, 5), (3, 5, 1), (2, 13, 4)], ids=str)
def test_kernels_equal_the_loop(dtype, shape, per_step, reverse, small_sizes):
    tensors = draw(dtype, per_step, shape)
    assert_close(kernels(*tensors, reverse), reference(*tensors, reverse), dtype)


@pytest.mark.parametrize("time", [31, 32, 33, 97])
@pytest.mark.parametrize("channels", [31, 33])
def test_kernels_equal_the_loop_at_their_own_sizes(time, channels):
    assert cuda._sizes(time, channels) == (5, 32)
    tensors = draw(torch.complex64, time % 2 == 1, (1, time, channels))
    assert_close(kernels(*tensors, False), reference(*tensors, False), torch.complex64)


def test_chunk_and_block_sizes_that_only_large_scans_have(monkeypatch):
    monkeypatch.setattr(cuda, "_sizes", lambda time, columns: (6, 128))
    tensors = draw(torch.float32, True, (3, 130, 43))
    assert_close(kernels(*tensors, True), reference(*tensors, True), torch.float32)


def test_sizes_follow_their_rule():
    for time in (1, 2, 63, 64, 1000, 10**5, 10**9):
        length = 1 << cuda._sizes(time, 1)[0]
        assert length == 32 or 0.7 < length / math.sqrt(time / 2) < 1.5
        assert -(-time // length) < 65536, "more chunks than a CUDA grid has"
    assert cuda._sizes(1000, 64)[1] == 32
    assert cuda._sizes(1000, 2**20)[1] == 128


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
@pytest.mark.parametrize("per_step", [False, True])
def test_any_strides_and_lazy_views(dtype, per_step, small_sizes):
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


@pytest.mark.parametrize("per_step", [False, True])
def test_a_growing_channel_stays_finite_until_it_is_fed(per_step):
    """30^32, the slope of one chunk, overflows float32, and infinity times a zero state would be NaN."""
    x = torch.zeros(1, 70, 1, device=DEVICE)
    x[:, -1] = 1
    lam = torch.full_like(x, 30.0) if per_step else torch.full((1,), 30.0, device=DEVICE)
    assert torch.equal(cuda.cuda_scan(lam, x, x[:, 0]), x)


def test_empty_batch():
    tensors = draw(torch.float32, False, (0, 70, 3))
    states, grad_lam, grad_x, grad_h0 = kernels(*tensors, False)
    assert states.shape == grad_x.shape == (0, 70, 3)
    assert grad_h0.shape == (0, 3)
    assert torch.equal(grad_lam, torch.zeros(3, device=DEVICE))


@pytest.mark.parametrize("capability", [75, 80, 90])
def test_kernels_compile_without_a_gpu(capability, tmp_path):
    """In a process of its own: Triton decides once, when imported, whether to interpret."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    code = f"import json; from rnnlib.scan.cuda import compile_ahead; print(json.dumps(compile_ahead({capability})))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    binaries = json.loads(result.stdout)
    # float32 and float64, real and complex, lam shared and per step; both directions but for _carry
    assert len(binaries) == 8 * (4 + 2 + 2 + 2)
    assert min(binaries.values()) > 1000


@pytest.mark.skipif(not INTERPRETED, reason="about TRITON_INTERPRET=1")
def test_nothing_to_compile_when_interpreted():
    with pytest.raises(RuntimeError, match="TRITON_INTERPRET"):
        cuda.compile_ahead(80)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("shape", [(2, 20_011, 3), (64, 1031, 250), (300, 67, 2049), (70_000, 33, 1)], ids=str)
def test_large_scans(shape, dtype, per_step):
    tensors = draw(dtype, per_step, shape)
    results = kernels(*tensors, False)
    again = kernels(*tensors, False)
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
