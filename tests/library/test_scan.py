"""linear_scan against the plain loop: values, derivatives, precision, errors. Kernels: test_scan_cpu, test_scan_cuda"""

import contextlib
import dataclasses
import errno
import functools
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from rnnlib import linear_scan
from rnnlib.scan import backends
from rnnlib.scan.chunked import chunked_scan
from rnnlib.scan.sequential import sequential_scan

FAST = pytest.mark.parametrize("backend", ["chunked", "numba"])
DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
UNIT_ROUNDOFF = {torch.float16: 2**-11, torch.bfloat16: 2**-8}


def draw(B=2, T=7, N=3, *, dtype=torch.float64, per_step=False, modulus=0.95, seed=0):
    """lam, x and h0 with |lam| <= modulus, and random angles if complex."""
    g = torch.Generator().manual_seed(seed)
    wide = torch.complex128 if dtype.is_complex else torch.float64
    x, h0 = torch.randn(B, T, N, dtype=wide, generator=g), torch.randn(B, N, dtype=wide, generator=g)
    shape = (B, T, N) if per_step else (N,)
    lam = modulus * torch.rand(shape, dtype=torch.float64, generator=g).sqrt()
    if dtype.is_complex:
        lam = torch.polar(lam, 6.28 * torch.rand(shape, dtype=torch.float64, generator=g))
    else:
        lam = lam * torch.where(torch.rand(shape, generator=g) < 0.3, -1.0, 1.0)
    return lam.to(dtype), x.to(dtype), h0.to(dtype)


def wide(*tensors):
    return [t.to(torch.complex128 if t.is_complex() else torch.float64) for t in tensors]


def test_sequential_is_the_recurrence_written_out():
    lam, x, h0 = torch.tensor([0.5]), torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[4.0]])
    assert linear_scan(lam, x, h0, backend="sequential").flatten().tolist() == [3.0, 3.5, 4.75]
    assert linear_scan(lam, x, h0, reverse=True, backend="sequential").flatten().tolist() == [3.25, 4.5, 5.0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("T", [1, 2, 3, 4, 15, 16, 17, 101])
@FAST
def test_backends_equal_sequential(backend, T, per_step, reverse, dtype):
    lam, x, h0 = draw(T=T, dtype=dtype, per_step=per_step)
    expected = sequential_scan(*wide(lam, x, h0), reverse)
    actual = linear_scan(lam, x, h0, reverse=reverse, backend=backend)
    assert actual.dtype == dtype
    tolerance = 1e-5 if dtype in (torch.float32, torch.complex64) else 1e-12
    torch.testing.assert_close(actual.to(expected.dtype), expected, rtol=tolerance, atol=tolerance)


@given(st.data())
def test_any_shape_length_stride_and_chunk(data):
    """Forward and all three gradients, against autograd through the loop in double precision."""
    dtype = data.draw(st.sampled_from(DTYPES), "dtype")
    B, N = data.draw(st.integers(1, 4), "B"), data.draw(st.integers(1, 5), "N")
    chunk = data.draw(st.integers(1, 20), "chunk")
    T = data.draw(st.one_of(st.integers(1, 70), st.sampled_from([chunk, 2 * chunk - 1, 2 * chunk, 2 * chunk + 1])), "T")
    per_step, reverse = data.draw(st.booleans(), "per_step"), data.draw(st.booleans(), "reverse")
    modulus = data.draw(st.sampled_from([0.0, 0.5, 0.99, 1 - 1e-6]), "modulus")
    inputs = draw(B, T, N, dtype=dtype, per_step=per_step, modulus=modulus, seed=data.draw(st.integers(0, 999), "seed"))
    lam, x, h0 = inputs
    layout = data.draw(st.sampled_from(["contiguous", "transposed", "sliced", "expanded"]), "layout")
    if layout == "transposed":
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    elif layout == "sliced":
        x = x.repeat_interleave(2, dim=2)[..., ::2]
    elif layout == "expanded":
        x = x[:1].expand(B, T, N)

    tolerance = 2e-4 if dtype in (torch.float32, torch.complex64) else 1e-10
    forward = chunked_scan(lam, x, h0, reverse, chunk)
    reference = [t.requires_grad_() for t in wide(lam, x, h0)]
    expected = sequential_scan(*reference, reverse)
    torch.testing.assert_close(forward.to(expected.dtype), expected.detach(), rtol=tolerance, atol=tolerance)

    grad = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(1))
    leaves = [t.detach().requires_grad_() for t in (lam, x, h0)]
    states = linear_scan(*leaves, reverse=reverse, backend=data.draw(st.sampled_from(["chunked", "numba"]), "backend"))
    torch.testing.assert_close(states.detach().to(expected.dtype), expected.detach(), rtol=tolerance, atol=tolerance)
    actual = torch.autograd.grad(states, leaves, grad.to(dtype))
    for a, e in zip(actual, torch.autograd.grad(expected, reference, grad), strict=True):
        torch.testing.assert_close(a.to(e.dtype), e, rtol=tolerance, atol=tolerance * max(1.0, e.abs().max().item()))


@FAST
def test_every_state_is_written(backend, monkeypatch):
    """Memory that a fresh tensor happens to hold must never come back: here it holds NaN."""
    empty_like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda *args, **kwargs: empty_like(*args, **kwargs).fill_(torch.nan))
    for T in range(1, 40):
        for reverse in [False, True]:
            assert linear_scan(*draw(T=T), reverse=reverse, backend=backend).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("per_step", [False, True])
@FAST
def test_first_and_second_derivatives(backend, per_step, reverse, dtype):
    inputs = [t.requires_grad_() for t in draw(B=2, T=5, N=2, dtype=dtype, per_step=per_step)]

    def states(lam, x, h0):
        return linear_scan(lam, x, h0, reverse=reverse, backend=backend)

    assert torch.autograd.gradcheck(states, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(states, inputs)


def loss(lam, x, h0=None, backend="auto"):
    return linear_scan(lam, x, h0, backend=backend).abs().square().sum().sqrt()


@FAST
def test_func_grad_jvp_and_hessian_match_the_loop(backend):
    lam, x, h0 = draw(T=9)
    for transform in [torch.func.grad, torch.func.hessian, lambda f: torch.func.jacrev(torch.func.jacrev(f))]:
        expected = transform(lambda lam: loss(lam, x, h0, "sequential"))(lam)
        torch.testing.assert_close(transform(lambda lam: loss(lam, x, h0, backend))(lam), expected)


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("mapped", ["lam", "x", "h0", "lam x", "x h0", "lam x h0"])
def test_func_vmap_matches_a_loop_over_members(mapped, per_step):
    names = ["lam", "x", "h0"]
    members = [dict(zip(names, draw(T=6, per_step=per_step, seed=seed), strict=True)) for seed in range(4)]
    shared = [name for name in names if name not in mapped.split()]
    for member in members:
        member.update({name: members[0][name] for name in shared})
    stacked = [members[0][n] if n in shared else torch.stack([m[n] for m in members], dim=-1) for n in names]
    in_dims = tuple(None if name in shared else -1 for name in names)
    for function in [linear_scan, torch.func.grad(loss)]:
        expected = torch.stack([function(*m.values()) for m in members])
        torch.testing.assert_close(torch.func.vmap(function, in_dims)(*stacked), expected)


@FAST
def test_compile_in_one_graph_with_gradients(backend):
    torch._dynamo.reset()
    lam, x, h0 = [t.requires_grad_() for t in draw(T=20)]
    compiled = torch.compile(
        lambda *inputs: torch.tanh(loss(*inputs, backend) / 10), backend="aot_eager", fullgraph=True
    )
    actual = torch.autograd.grad(compiled(lam, x, h0), [lam, x, h0])
    expected = torch.autograd.grad(torch.tanh(loss(lam, x, h0) / 10), [lam, x, h0])
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, *UNIT_ROUNDOFF], ids=str)
@pytest.mark.parametrize("backend", ["sequential", "chunked", "numba"])
def test_single_precision_error_bound_over_long_memories(backend, dtype):
    """The bound in linear_scan's docstring, at T = 1e5 and |lam| up to 1 - 1e-6."""
    T, moduli = 100_000, torch.tensor([0.0, 0.9, 0.999, 1 - 1e-4, 1 - 1e-6])
    lam = torch.polar(moduli, torch.tensor([0.0, 1.0, 0.01, 3.0, 0.3])) if dtype.is_complex else moduli
    x = torch.randn(1, T, 5, dtype=dtype, generator=torch.Generator().manual_seed(0))
    exact = linear_scan(*wide(lam, x), backend="sequential")
    error = (linear_scan(lam, x, backend=backend) - exact).abs()
    memory, largest = (1 / (1 - wide(lam)[0].abs())).clamp(max=T), exact.abs().amax((0, 1))
    stored = UNIT_ROUNDOFF.get(dtype, 0) * exact.abs() + (2**-25 if dtype == torch.float16 else 0)
    # the docstring grants chunks 9; they stay below the loop's 4
    assert (error <= 4 * 2**-24 * memory * largest + stored).all()
    if backend == "numba":  # state by state: only the last rounding is a single one
        assert (error <= 2**-24 * exact.abs() + 4 * 2**-53 * memory * largest + stored).all()
    assert error[..., -1].max() > 0  # single precision was really used


SUMS = (torch.sum, lambda h: h.mean(dim=1).sum())


@functools.cache
def gated(T, dtype):
    """Gates, inputs, and by a loop in double precision the states and the gradients of SUMS."""
    generator = torch.Generator().manual_seed(T)
    inputs = [torch.rand(1, T, 3, generator=generator).to(dtype) for _ in range(2)]
    double = [t.double().requires_grad_() for t in inputs]
    exact = linear_scan(*double, backend="sequential")
    return inputs, exact.detach(), [torch.autograd.grad(f(exact), double, retain_graph=True) for f in SUMS]


LENGTHS = [32, 257, 512, 4096, 16_323, 127_323]


@pytest.mark.parametrize("dtype", [torch.float32, *UNIT_ROUNDOFF], ids=str)
@pytest.mark.parametrize(
    ("backend", "T"),  # the loop's longest is ten seconds of loop against the same loop
    [("sequential", T) for T in LENGTHS[:-1]] + [(name, T) for name in ("chunked", "numba") for T in LENGTHS],
)
def test_gates_per_step_within_the_tolerances_of_other_kernels(backend, T, dtype):
    """Gates in (0, 1), positive inputs, gradients of the mean over time and of a sum: those that the tests of
    accelerated-scan allow."""
    absolute, relative = {
        torch.float32: (1e-7, 1.3e-6),
        torch.bfloat16: (1e-1, 1.6e-2),
        torch.float16: (1.2e-2, 1e-3),
    }[dtype]
    inputs, exact, expected = gated(T, dtype)
    leaves = [t.clone().requires_grad_() for t in inputs]
    states = linear_scan(*leaves, backend=backend)
    assert states.dtype == dtype
    torch.testing.assert_close(states.double(), exact, atol=absolute, rtol=relative)
    for f, wanted in zip(SUMS, expected, strict=True):
        for a, e in zip(torch.autograd.grad(f(states), leaves, retain_graph=True), wanted, strict=True):
            assert a.dtype == dtype
            torch.testing.assert_close(a.double(), e, atol=absolute, rtol=relative)


@given(st.data())
def test_half_precision_is_storage_alone(data):
    """States and gradients are those of float32, rounded once; lam and h0 in the dtype of x or in float32."""
    dtype = data.draw(st.sampled_from([*UNIT_ROUNDOFF]), "dtype")
    backend = data.draw(st.sampled_from(["sequential", "chunked", "numba"]), "backend")
    B, T, N = (data.draw(st.integers(1, most)) for most in (3, 70, 40))
    per_step, reverse = data.draw(st.booleans()), data.draw(st.booleans())
    lam, x, h0 = draw(B, T, N, per_step=per_step, seed=data.draw(st.integers(0, 999)))
    lam, h0 = (t.to(data.draw(st.sampled_from([dtype, torch.float32]))) for t in (lam, h0))
    leaves = [t.requires_grad_() for t in (lam, x.to(dtype), h0)]
    states = linear_scan(*leaves, reverse=reverse, backend=backend)
    reference = [t.detach().double().requires_grad_() for t in leaves]
    exact = sequential_scan(*reference, reverse)
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(dtype)

    def close(a, e, like, roundings):
        assert a.dtype == like.dtype
        tolerance = 1e-5 + roundings * UNIT_ROUNDOFF[dtype] * 1.01
        torch.testing.assert_close(a.double(), e.detach(), rtol=tolerance, atol=2e-5)

    close(states, exact, leaves[1], 1)
    grad_lam, grad_x, grad_h0 = torch.autograd.grad(states, leaves, grad)
    expected = torch.autograd.grad(exact, reference, grad.double())
    close(grad_x, expected[1], leaves[1], 1)
    close(grad_h0, expected[2], h0, h0.dtype == dtype)
    if per_step:  # a product with a state, which was rounded
        close(grad_lam, expected[0], lam, 1 + (lam.dtype == dtype))


@pytest.mark.parametrize("single", [torch.float32, torch.float64, *UNIT_ROUNDOFF], ids=str)
@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("backend", ["sequential", "chunked", "numba"])
def test_complex_eigenvalues_of_real_inputs(backend, per_step, single):
    lam, x, h0 = draw(T=20, dtype=torch.complex128, per_step=per_step)
    of_lam = torch.complex128 if single == torch.float64 else torch.complex64
    tolerance = 1e-12 if single == torch.float64 else 1e-5
    for state in (None, h0.to(of_lam), h0.real.to(single)):
        leaves = [t for t in (lam.to(of_lam), x.real.to(single), state) if t is not None]
        leaves = [t.detach().requires_grad_() for t in leaves]
        reference = [t.detach().to(torch.complex128).requires_grad_() for t in leaves]
        states = linear_scan(*leaves, backend=backend)
        expected = linear_scan(*reference, backend="sequential")
        assert states.dtype == of_lam
        torch.testing.assert_close(states.to(expected.dtype), expected, rtol=tolerance, atol=tolerance)
        grad = torch.randn_like(expected)
        wanted = torch.autograd.grad(expected, reference, grad)
        for leaf, a, e in zip(leaves, torch.autograd.grad(states, leaves, grad.to(of_lam)), wanted, strict=True):
            assert a.dtype == leaf.dtype
            e, rounding = (e if leaf.is_complex() else e.real), UNIT_ROUNDOFF.get(leaf.dtype, 0)
            torch.testing.assert_close(a.to(e.dtype), e, rtol=tolerance + rounding, atol=10 * tolerance)
    if single == torch.float64:
        leaves = [t.detach().requires_grad_() for t in (lam[..., :5, :2] if per_step else lam[:2], x.real[:, :5, :2])]
        function = functools.partial(linear_scan, backend=backend)
        assert torch.autograd.gradcheck(function, leaves, check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, leaves)


lam, x, h0 = draw()
BAD = {
    "x is a list": (TypeError, "x must be a torch.Tensor", lambda: linear_scan(lam, [1.0])),
    "x has rank 2": (ValueError, r"x must have shape \(batch, time, channel\)", lambda: linear_scan(lam, x[0])),
    "T = 0": (ValueError, "T = 0", lambda: linear_scan(lam, x[:, :0])),
    "lam has other channels": (
        ValueError,
        r"lam must have shape \(channel,\) = \(3,\)",
        lambda: linear_scan(lam[:2], x),
    ),
    "lam has rank 0": (ValueError, "lam must have shape", lambda: linear_scan(lam[0], x)),
    "lam has other steps": (ValueError, "lam must have shape", lambda: linear_scan(x[:, 1:], x)),
    "h0 has other channels": (ValueError, "h0 must have shape", lambda: linear_scan(lam, x, h0[:, :2])),
    "integers": (TypeError, "lam has dtype torch.int64; convert", lambda: linear_scan(lam.long(), x.long())),
    "integers of x": (TypeError, "x has dtype torch.int64; convert", lambda: linear_scan(lam, x.long())),
    "mixed dtypes": (TypeError, "lam has dtype torch.float32 but x has", lambda: linear_scan(lam.float(), x)),
    "half lam": (
        TypeError,
        r"lam has dtype torch.float16 but x has torch.float32: .*may have float32, complex64$",
        lambda: linear_scan(lam.half(), x.float()),
    ),
    "two kinds of half": (
        TypeError,
        r"lam has dtype torch.float16 but x has torch.bfloat16: .*may have bfloat16, float32, complex64$",
        lambda: linear_scan(lam.half(), x.bfloat16()),
    ),
    "double lam of half x": (TypeError, "lam has dtype torch.float64 but x has", lambda: linear_scan(lam, x.half())),
    "complex lam in single": (
        TypeError,
        "lam has dtype torch.complex64 but x has",
        lambda: linear_scan(lam.to(torch.complex64), x),
    ),
    "real lam of complex x": (
        TypeError,
        "lam has dtype torch.float64 but x has torch.complex128: convert one with",
        lambda: linear_scan(lam, x + 0j),
    ),
    "complex h0, all else real": (
        TypeError,
        "h0 has dtype torch.complex128 but x has torch.float64: convert one with",
        lambda: linear_scan(lam, x, h0 + 0j),
    ),
    "mixed devices": (ValueError, "lam is on meta but x is on cpu", lambda: linear_scan(lam.to("meta"), x)),
    "unknown backend": (
        ValueError,
        "unknown backend 'fast'; choose one of auto",
        lambda: linear_scan(lam, x, backend="fast"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    error, message, call = BAD[case]
    with pytest.raises(error, match=message):
        call()


def test_cuda_backend_on_cpu_tensors_says_what_to_do(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match=r"backend='cuda' needs tensors on a CUDA device.*\.to\('cuda'\)"):
        linear_scan(lam, x, backend="cuda")


def test_a_gpu_without_working_triton_falls_back_with_one_warning(monkeypatch):
    def broken(*_):
        raise RuntimeError("no compiler")

    cuda = pytest.importorskip("rnnlib.scan.cuda", reason="needs triton, which exists for Linux only")
    monkeypatch.setattr(cuda, "cuda_scan", broken)
    monkeypatch.setattr(backends, "_verdicts", {})
    gpu = torch.device("cuda", 0)
    with pytest.warns(RuntimeWarning, match="Triton kernels do not work on cuda:0.*chunked"):
        assert backends.default_backend(gpu) == "chunked"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backends.default_backend(gpu) == "chunked"


@pytest.fixture
def no_verdicts(monkeypatch):
    """As if nothing had been scanned yet in this process."""
    monkeypatch.setattr(backends, "_verdicts", {})


CPU = torch.device("cpu")


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "surroundings",
    {
        "bfloat16": lambda: default_dtype(torch.bfloat16),
        "float64": lambda: default_dtype(torch.float64),
        "meta": lambda: torch.device("meta"),
        "fake": FakeTensorMode,
        "inference": torch.inference_mode,
        "no grad": torch.no_grad,
        "flops": lambda: FlopCounterMode(display=False),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_the_first_scan_meets_does_not_decide_for_the_process(surroundings, no_verdicts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with surroundings[1]():
            lam, x = (torch.ones(shape, device="cpu", dtype=torch.float32) for shape in [(2,), (1, 3, 2)])
            assert linear_scan(lam, x).shape == x.shape
        assert backends.default_backend(CPU) == "numba"


def test_a_first_scan_in_a_graph_or_in_vmap_does_not_decide_either(no_verdicts):
    lam, x, h0 = draw()
    make_fx(lambda *inputs: linear_scan(*inputs), tracing_mode="symbolic")(lam, x, h0)
    torch.func.vmap(torch.func.grad(loss))(lam[None], x[None], h0[None])
    assert backends.default_backend(CPU) == "numba"


def test_a_full_disk_is_tried_again_after_a_minute(monkeypatch, no_verdicts):
    cpu = pytest.importorskip("rnnlib.scan.cpu")
    works, now = cpu.cpu_scan, [1000.0]

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(backends.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(cpu, "cpu_scan", full)
    with pytest.warns(RuntimeWarning, match="Numba kernels do not work on cpu.*No space left.*chunked"):
        assert backends.default_backend(CPU) == "chunked"
    monkeypatch.setattr(cpu, "cpu_scan", works)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert backends.default_backend(CPU) == "chunked"
        now[0] += 61
        assert backends.default_backend(CPU) == "numba"


@pytest.mark.parametrize("broken", ["raises", "wrong"])
def test_where_only_the_adjoint_fails_both_passes_fall_back(broken, monkeypatch, no_verdicts):
    cpu = pytest.importorskip("rnnlib.scan.cpu")

    def adjoint(lam, h, h0, grad, reverse=False):
        if broken == "raises":
            raise RuntimeError("no adjoint")
        return lam, grad, h0

    monkeypatch.setattr(cpu, "cpu_adjoint", adjoint)
    inputs = [t.requires_grad_() for t in draw()]
    with pytest.warns(RuntimeWarning, match="Numba kernels do not work on cpu"):
        states = linear_scan(*inputs)
    grad = torch.randn_like(states)
    expected = torch.autograd.grad(sequential_scan(*inputs), inputs, grad)
    torch.testing.assert_close(torch.autograd.grad(states, inputs, grad), expected)


def test_a_backend_whose_gradients_are_the_scan_s_can_be_the_default(monkeypatch):
    row = dataclasses.replace(backends.BACKENDS["chunked"], device="cpu")
    monkeypatch.setattr(backends, "BACKENDS", {"mine": row, **backends.BACKENDS})
    monkeypatch.setattr(backends, "_verdicts", {})
    assert backends.default_backend(torch.device("cpu")) == "mine"
