"""Every transform that PyTorch offers, applied to the scan and to the layers: right or an error, never wrong numbers.

The reference applies the same transform to plain PyTorch operations: the loop over time, or a layer's ``step``. The
table on the page "API reference" lists the same transforms; a test holds the two together.
"""

import contextlib
import functools
import io
import logging
import os
import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import autograd, func
from torch.autograd import forward_ad, functional
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import checkpoint
from torch.utils._pytree import tree_leaves

from rnnlib import LRU, S4D, ChronoGRU, ChronoLSTM, DenseRNN, DiagonalRNN, linear_scan
from rnnlib.scan import backends, differentiation
from rnnlib.scan.sequential import sequential_scan

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch.jit
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node"),  # of torch.func.linearize, in PyTorch
]


class Transform(NamedTuple):
    """``apply(f, arguments, tangents, weights)``, f from some tensors to one; the table's ``row`` it belongs to."""

    apply: Callable
    row: str
    outcome: str


TRANSFORMS: dict[str, Transform] = {}


def transform(row, outcome="right", name=None):
    def add(apply):
        TRANSFORMS[name or apply.__name__] = Transform(apply, row, outcome)
        return apply

    return add


def loss(f, weights):
    return lambda *arguments: (f(*arguments) * weights).sin().sum()


def leaves(arguments):
    return [t.detach().clone().requires_grad_() for t in arguments]


def every(arguments):
    return tuple(range(len(arguments)))


def members(tensors):
    return tuple(torch.stack([t, 0.5 * t]) for t in tensors)


# autograd -------------------------------------------------------------------------------------------------------------


@transform("backward")
def backward(f, arguments, tangents, weights):
    inputs = leaves(arguments)
    loss(f, weights)(*inputs).backward()
    return [t.grad for t in inputs]


@transform("backward")
def backward_twice(f, arguments, tangents, weights):
    inputs = leaves(arguments)
    first = autograd.grad(loss(f, weights)(*inputs), inputs, create_graph=True)
    return autograd.grad(sum(t.square().sum() for t in first), inputs)


@transform("backward")
def anomaly_detection(*case):
    with autograd.detect_anomaly(check_nan=True):
        return backward_twice(*case)


@transform("saved tensors")
def save_on_cpu(*case):
    with autograd.graph.save_on_cpu():
        return backward_twice(*case)


@transform("batched")
def is_grads_batched(f, arguments, tangents, weights):
    inputs = leaves(arguments)
    return autograd.grad(f(*inputs), inputs, torch.stack([weights, 2 * weights]), is_grads_batched=True)


@transform("batched twice", "error")
def is_grads_batched_twice(f, arguments, tangents, weights):
    inputs = leaves(arguments)
    batch = torch.stack([weights, 2 * weights])
    first = autograd.grad(f(*inputs), inputs, batch, is_grads_batched=True, create_graph=True)
    return autograd.grad(sum(t.square().sum() for t in first), inputs)


for vectorize in (False, True):

    @transform("batched" if vectorize else "functional", name=f"functional_jacobian_{vectorize}")
    def _(f, arguments, tangents, weights, vectorize=vectorize):
        return functional.jacobian(f, arguments, vectorize=vectorize)

    @transform("batched" if vectorize else "functional", name=f"functional_hessian_{vectorize}")
    def _(f, arguments, tangents, weights, vectorize=vectorize):
        return functional.hessian(loss(f, weights), arguments, vectorize=vectorize)


@transform("batched")
def functional_jacobian_forward(f, arguments, tangents, weights):
    return functional.jacobian(f, arguments, vectorize=True, strategy="forward-mode")


@transform("batched twice", "error")
def functional_hessian_forward(f, arguments, tangents, weights):
    return functional.hessian(loss(f, weights), arguments, vectorize=True, outer_jacobian_strategy="forward-mode")


@transform("functional")
def functional_products(f, arguments, tangents, weights):
    g = loss(f, weights)
    return [
        functional.vjp(f, arguments, weights)[1],
        functional.jvp(f, arguments, tangents)[1],
        functional.hvp(g, arguments, tangents)[1],
        functional.vhp(g, arguments, tangents)[1],
    ]


@transform("forward_ad")
def dual_numbers(f, arguments, tangents, weights):
    with forward_ad.dual_level():
        duals = (forward_ad.make_dual(t, v) for t, v in zip(arguments, tangents, strict=True))
        return forward_ad.unpack_dual(f(*duals)).tangent


# torch.func -----------------------------------------------------------------------------------------------------------

FUNC = {"grad": func.grad, "jacrev": func.jacrev, "jacfwd": func.jacfwd}
for outer in FUNC:
    for inner in FUNC:

        @transform("func", name=f"{outer}_of_{inner}")
        def _(f, arguments, tangents, weights, outer=FUNC[outer], inner=FUNC[inner]):
            def first(*inputs):
                gradients = inner(loss(f, weights), every(inputs))(*inputs)
                return sum(g.sin().sum() for g in gradients)

            return inner(f, every(arguments))(*arguments) if inner is not func.grad else (), outer(
                first, every(arguments)
            )(*arguments)


@transform("func")
def hessian(f, arguments, tangents, weights):
    return func.hessian(loss(f, weights), every(arguments))(*arguments)


@transform("func")
def three_times_forward(f, arguments, tangents, weights):
    g = func.jacfwd(func.jacfwd(func.jacfwd(loss(f, weights))))
    return g(*arguments)


@transform("func")
def forward_reverse_forward(f, arguments, tangents, weights):
    return func.jacfwd(func.jacrev(func.jacfwd(loss(f, weights))))(*arguments)


@transform("func")
def products(f, arguments, tangents, weights):
    return [
        func.vjp(f, *arguments)[1](weights),
        func.jvp(f, arguments, tangents)[1],
        func.jvp(func.grad(loss(f, weights), every(arguments)), arguments, tangents)[1],
        func.vjp(lambda *inputs: func.jvp(f, inputs, tangents)[1], *arguments)[1](weights),
    ]


@transform("vmap")
def vmap(f, arguments, tangents, weights):
    batched = members(arguments)
    results = [func.vmap(f)(*batched), func.vmap(func.vmap(f))(*members(batched))]
    for chosen in every(arguments):  # one of them batched
        dims = tuple(0 if k == chosen else None for k in every(arguments))
        results.append(func.vmap(f, dims)(*(batched[k] if k == chosen else t for k, t in enumerate(arguments))))
    return results


@transform("vmap")
def vmap_of_derivatives(f, arguments, tangents, weights):
    g, batched = loss(f, weights), members(arguments)
    return [
        func.vmap(func.grad(g, every(arguments)))(*batched),
        func.vmap(lambda *inputs: func.jvp(f, inputs, tangents)[1])(*batched),
        func.vmap(func.hessian(g))(*batched),
        func.vmap(func.jacfwd(func.jacfwd(g)))(*batched),
    ]


@transform("vmap")
def derivatives_of_vmap(f, arguments, tangents, weights):
    def g(*inputs):
        return func.vmap(f)(*inputs).sin().sum()

    batched, inputs = members(arguments), leaves(members(arguments))
    return [
        func.grad(g, every(arguments))(*batched),
        func.jacfwd(func.jacfwd(g))(*batched),
        autograd.grad(g(*inputs), inputs),
    ]


@transform("linearize")
def linearize(f, arguments, tangents, weights):
    def first(t):
        return f(t, *arguments[1:])

    along = func.linearize(f, *arguments)[1]
    return [
        along(*tangents),
        along(*(2 * t for t in tangents)),  # nothing that a call leaves behind may change the next
        along(*tangents),
        func.linearize(first, arguments[0])[1](tangents[0]),
        func.linearize(func.grad(loss(f, weights), every(arguments)), *arguments)[1](*tangents),
        func.vmap(along)(*members(tangents)),
        func.linearize(lambda t: func.vmap(first)(torch.stack([t, 0.5 * t])), arguments[0])[1](tangents[0]),
    ]


@transform("functionalize", "error")
def functionalize(f, arguments, tangents, weights):
    return func.functionalize(f)(*arguments)


# tracing and compiling ------------------------------------------------------------------------------------------------

for mode in ("real", "fake", "symbolic"):

    @transform("make_fx", name=f"make_fx_{mode}")
    def _(f, arguments, tangents, weights, mode=mode):
        def gradients(*inputs):
            inputs = [t.detach().requires_grad_() for t in inputs]
            return autograd.grad(f(*inputs).sin().sum(), inputs)

        every_one = every(arguments)
        functions = [
            (f, arguments),
            (gradients, arguments),
            (lambda *inputs: func.grad(lambda *a: f(*a).sin().sum(), every_one)(*inputs), arguments),
            (lambda *inputs: func.jvp(f, inputs, inputs)[1], arguments),
            (func.vmap(f), members(arguments)),
        ]
        trace = functools.partial(make_fx, tracing_mode=mode)
        return [trace(g)(*inputs)(*(0.7 * t for t in inputs)) for g, inputs in functions]


@transform("make_fx")
def make_fx_before_dispatch(f, arguments, tangents, weights):
    return make_fx(f, pre_dispatch=True)(*arguments)(*(0.7 * t for t in arguments))


@transform("make_fx derivatives before dispatch", "error")
def make_fx_derivatives_before_dispatch(f, arguments, tangents, weights):
    return make_fx(func.grad(lambda *a: f(*a).sin().sum()), pre_dispatch=True)(*arguments)(*arguments)


@transform("jit.trace")
def jit_trace(f, arguments, tangents, weights):
    buffer, inputs = io.BytesIO(), leaves(arguments)
    torch.jit.save(torch.jit.trace(f, arguments), buffer)
    buffer.seek(0)
    states = torch.jit.load(buffer)(*inputs)
    return [states, autograd.grad((states * weights).sin().sum(), inputs)]


class Holder(torch.nn.Module):
    """f with its first argument as a parameter: torch.export takes modules."""

    def __init__(self, f, first):
        super().__init__()
        self.f, self.first = f, torch.nn.Parameter(first)

    def forward(self, *rest):
        return self.f(self.first, *rest)


for strict in (False, True):

    @transform("export", name=f"export_strict_{strict}")
    def _(f, arguments, tangents, weights, strict=strict):
        holder = Holder(f, arguments[0])
        program = torch.export.export(holder, tuple(arguments[1:]), strict=strict)
        results = []
        for model in (program.module(), program.run_decompositions().module()):
            value = model(*(0.7 * t for t in arguments[1:]))
            results += [value, autograd.grad((value * weights).sin().sum(), list(model.parameters()))]
        return results


def compiled(f, **options):
    torch._dynamo.reset()
    return torch.compile(f, backend="aot_eager", fullgraph=True, **options)


@transform("compile")
def compile_and_backward(f, arguments, tangents, weights):
    inputs = leaves(arguments)
    results = []
    for dynamic in (None, True):
        value = compiled(loss(f, weights), dynamic=dynamic)(*inputs)
        results += [value, autograd.grad(value, inputs)]
    return results


@transform("compile")
def compile_func(f, arguments, tangents, weights):
    g = loss(f, weights)
    return [
        compiled(func.grad(g, every(arguments)))(*arguments),
        compiled(lambda *inputs: func.jvp(f, inputs, tangents)[1])(*arguments),
        compiled(func.hessian(g))(*arguments),
        compiled(func.vmap(func.grad(g, every(arguments))))(*members(arguments)),
    ]


@transform("compile twice", "error")
def compile_and_backward_twice(f, arguments, tangents, weights):
    inputs = leaves(arguments)
    first = autograd.grad(compiled(loss(f, weights))(*inputs), inputs, create_graph=True)
    return autograd.grad(sum(t.square().sum() for t in first), inputs)


@transform("func of compiled", "error")
def func_of_compiled(f, arguments, tangents, weights):
    return func.grad(compiled(loss(f, weights)), every(arguments))(*arguments)


@transform("func of compiled", "error")
def vmap_of_compiled(f, arguments, tangents, weights):
    return func.vmap(compiled(f))(*members(arguments))


@transform("func of compiled", "error")
def dual_numbers_of_compiled(f, arguments, tangents, weights):
    return dual_numbers(compiled(f), arguments, tangents, weights)


for reentrant in (False, True):

    @transform("checkpoint", name=f"checkpoint_reentrant_{reentrant}")
    def _(f, arguments, tangents, weights, reentrant=reentrant):
        inputs = leaves(arguments)
        checkpoint.checkpoint(loss(f, weights), *inputs, use_reentrant=reentrant).backward()
        return [t.grad for t in inputs]


@transform("checkpoint")
def checkpoint_but_keep_the_scan(f, arguments, tangents, weights):
    keep = [torch.ops.rnnlib.linear_scan.default]
    contexts = functools.partial(checkpoint.create_selective_checkpoint_contexts, keep)
    inputs = leaves(arguments)
    checkpoint.checkpoint(loss(f, weights), *inputs, use_reentrant=False, context_fn=contexts).backward()
    return [t.grad for t in inputs]


@transform("inference")
def inference_mode(f, arguments, tangents, weights):
    with torch.inference_mode():
        return f(*arguments).clone()


# tests ----------------------------------------------------------------------------------------------------------------


def attempt(apply, f, case):
    logging.getLogger("torch").setLevel(logging.CRITICAL)  # what dynamo says of graphs that it cannot make
    with contextlib.redirect_stderr(io.StringIO()):
        return [t.detach() for t in tree_leaves(apply(f, *case))]


def normal(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scan_case(per_step, shape=(2, 4, 2)):
    B, T, N = shape
    shapes = [(B, T, N) if per_step else (N,), (B, T, N), (B, N)]
    arguments = tuple(normal(*shape, seed=seed).tanh() for seed, shape in enumerate(shapes))
    tangents = tuple(normal(*shape, seed=10 + seed) for seed, shape in enumerate(shapes))
    return arguments, tangents, normal(B, T, N, seed=20)


def loop(lam, x, h0):
    return sequential_scan(lam, x, h0)


@functools.cache
def expected_of_scan(name, *case):
    return attempt(reference_of(name), loop, scan_case(*case))


def reference_of(name):
    """The transform itself; where that is about something else than derivatives, or PyTorch's loop fails in it, what it
    must come to."""

    def as_called(f, arguments, tangents, weights):
        def gradients(*inputs):
            return func.grad(lambda *a: f(*a).sin().sum(), every(inputs))(*inputs)

        less = tuple(0.7 * t for t in arguments)
        return [
            f(*less),
            gradients(*less),
            gradients(*less),
            func.jvp(f, less, less)[1],
            func.vmap(f)(*members(less)),
        ]

    def traced(f, arguments, tangents, weights):
        return [f(*arguments), backward(f, arguments, tangents, weights)]

    def exported(f, arguments, tangents, weights):
        first = arguments[0].clone().requires_grad_()
        value = f(first, *(0.7 * t for t in arguments[1:]))
        return 2 * [value, *autograd.grad((value * weights).sin().sum(), first)]

    def eagerly(f, arguments, tangents, weights):
        g = loss(f, weights)
        if name == "compile_and_backward":
            return 2 * [g(*arguments), backward(f, arguments, tangents, weights)]
        return [
            func.grad(g, every(arguments))(*arguments),
            func.jvp(f, arguments, tangents)[1],
            func.hessian(g)(*arguments),
            func.vmap(func.grad(g, every(arguments)))(*members(arguments)),
        ]

    for start, replacement in {
        "make_fx_before": lambda f, arguments, *_: f(*(0.7 * t for t in arguments)),
        "make_fx": as_called,
        "jit": traced,
        "export": exported,
        "compile": eagerly,
        "checkpoint": backward,
        "inference": lambda f, arguments, *_: f(*arguments),
    }.items():
        if name.startswith(start):
            return replacement
    return TRANSFORMS[name].apply


BACKENDS = ["sequential", "chunked", "numba", *["cuda"] * INTERPRETED]
#: The interpreted kernels are slow, and PyTorch's transforms see one operator with and without a lam for each step.
CASES = [
    pytest.param(backend, per_step, marks=[pytest.mark.long] * (backend == "cuda" and not per_step))
    for backend in BACKENDS
    for per_step in (False, True)
]


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize(("backend", "per_step"), CASES)
def test_of_the_scan(backend, per_step, name):
    kind = per_step, (1, 3, 1) if backend == "cuda" else (2, 4, 2)  # Triton's interpreter is slow

    def f(lam, x, h0):
        return linear_scan(lam, x, h0, backend=backend)

    transform, case = TRANSFORMS[name], scan_case(*kind)
    if transform.outcome == "error":
        with pytest.raises(Exception):  # noqa: B017, PT011 - PyTorch's own errors have many types
            attempt(transform.apply, f, case)
        return
    torch.testing.assert_close(attempt(transform.apply, f, case), expected_of_scan(name, *kind))


def complex_of(lam):
    return lam * (0.8 + 0.6j)


def parts(states):
    return states.real + 2 * states.imag


MIXED = {  # dtypes of lam and x; what happens around the scan
    "float16": (torch.float16, torch.float16, lambda scan, *inputs: scan(*inputs)),
    "lam float32, x bfloat16": (torch.float32, torch.bfloat16, lambda scan, *inputs: scan(*inputs)),
    "lam complex, x float64": (
        torch.float64,
        torch.float64,
        lambda scan, lam, x, h0: parts(scan(complex_of(lam), x, h0)),
    ),
}


@pytest.mark.parametrize("name", [name for name, t in TRANSFORMS.items() if t.outcome == "right"])
@pytest.mark.parametrize("mixed", MIXED)
@pytest.mark.parametrize("backend", ["chunked", pytest.param("numba", marks=pytest.mark.long)])
def test_of_the_scan_with_other_dtypes(backend, mixed, name):
    """Half precision, and complex lam with real x, against the loop in double precision."""
    lam_dtype, x_dtype, around = MIXED[mixed]
    (lam, *rest), tangents, weights = scan_case(backend == "chunked", (2, 3, 2))
    # of a size that leaves sines and third derivatives of their sums well above the rounding errors
    arguments = 0.8 * lam.to(lam_dtype), *(0.5 * t.to(x_dtype) for t in rest)
    case = arguments, tuple(v.to(t.dtype) for v, t in zip(tangents, arguments, strict=True)), weights.to(x_dtype)

    def f(*inputs):
        return around(functools.partial(linear_scan, backend=backend), *inputs)

    def reference(*inputs):
        return around(lambda lam, x, h0: sequential_scan(lam, x.to(lam.dtype), h0.to(lam.dtype)), *inputs)

    doubles = tuple(t.double() for t in case[0]), tuple(t.double() for t in case[1]), case[2].double()
    tolerance = {torch.float64: 1e-10, torch.float16: 0.01, torch.bfloat16: 0.08}[x_dtype]
    actual, expected = attempt(TRANSFORMS[name].apply, f, case), attempt(reference_of(name), reference, doubles)
    for a, e in zip(actual, expected, strict=True):
        assert a.dtype in (lam_dtype, x_dtype)
        torch.testing.assert_close(a.double(), e, rtol=0, atol=tolerance * max(1.0, e.abs().max().item()))


LAYERS = {
    "LRU": lambda: LRU(2, 2, 1),
    "DiagonalRNN": lambda: DiagonalRNN(2, 2, 1),
    "S4D": lambda: S4D(2, 2, 1),
    "DenseRNN": lambda: DenseRNN(2, 2, 1),
    "ChronoGRU": lambda: ChronoGRU(2, 2),
    "ChronoGRU linear": lambda: ChronoGRU(2, 2, candidate="linear", gates="input"),
    "ChronoLSTM": lambda: ChronoLSTM(2, 2),
    "ChronoLSTM linear": lambda: ChronoLSTM(2, 2, candidate="linear", gates="input"),
}


#: Each runs the code of another: the LRU's, the LSTM's with the same scan, the GRU's with PyTorch's own layer.
ALIKE = ("DiagonalRNN", "ChronoGRU linear", "ChronoLSTM")


@functools.cache
def layer_case(kind):
    """Functions of the parameters and the input, of shape (2, 3, 2): the layer's ``forward``, and its ``step``."""
    torch.manual_seed(0)
    layer = LAYERS[kind]().double()
    names = [name for name, _ in layer.named_parameters()]

    class Loop(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            state, outputs = self.layer.initial_state(2), []
            for x_t in x.unbind(1):
                y, state = self.layer.step(x_t, state)
                outputs.append(y)
            return torch.stack(outputs, 1)

    def whole(*inputs):
        return functional_call(layer, dict(zip(names, inputs[:-1], strict=True)), inputs[-1])[0]

    def steps(*inputs):
        named = {f"layer.{name}": value for name, value in zip(names, inputs[:-1], strict=True)}
        return functional_call(Loop(), named, inputs[-1])

    parameters = [parameter.detach() for parameter in layer.parameters()]
    arguments = (*parameters, normal(2, 3, 2, seed=0))
    tangents = tuple(normal(*t.shape, seed=seed) for seed, t in enumerate(arguments))
    return whole, steps, (arguments, tangents, normal(2, 3, layer.output_size, seed=1))


@pytest.mark.parametrize("name", [n for n, t in TRANSFORMS.items() if t.outcome == "right" and n != "jit_trace"])
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.long] * (kind in ALIKE)) for kind in LAYERS])
def test_of_the_layers(kind, name):
    """Diagonal layers do what the scan does. The others call PyTorch's: right too, or PyTorch's own error."""
    whole, steps, case = layer_case(kind)
    try:
        actual = attempt(TRANSFORMS[name].apply, whole, case)
    except Exception as error:
        if kind in ("LRU", "DiagonalRNN", "S4D"):
            raise
        pytest.skip(f"an error of PyTorch's: {type(error).__name__}")
    torch.testing.assert_close(actual, attempt(reference_of(name), steps, case))


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "lengths and resets"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_traced_layer_is_right_or_refuses_another_length(kind, masked):
    """A loop over time is traced as so many steps, and ``torch.nn.GRU`` becomes one where there are resets."""
    layer, buffer = LAYERS[kind](), io.BytesIO()

    def inputs(batch, time):
        x, state = torch.randn(batch, time, 2), layer.initial_state(batch)
        return (x, state, torch.randint(0, time + 1, (batch,)), torch.rand(batch, time) < 0.3) if masked else (x, state)

    model = Masked(layer) if masked else layer
    torch.jit.save(torch.jit.trace(model, inputs(2, 3)), buffer)
    buffer.seek(0)
    traced = torch.jit.load(buffer)
    looped = kind == "DenseRNN" or (masked and kind in ("ChronoGRU", "ChronoLSTM"))
    for batch, time in [(2, 3), (5, 3), (1, 7), (4, 1)]:
        arguments = inputs(batch, time)
        if looped and time != 3:
            with pytest.raises(RuntimeError):
                traced(*arguments)
        else:
            torch.testing.assert_close(traced(*arguments), model(*arguments))


@pytest.mark.parametrize("backend", ["auto", "sequential", "chunked"])
def test_fake_and_meta_tensors_have_the_shapes(backend):
    from torch._subclasses.fake_tensor import FakeTensorMode

    def check(inputs):
        states = linear_scan(*inputs, backend=backend)
        gradients = autograd.grad(states.sum(), inputs)
        assert [t.shape for t in (states, *gradients)] == [inputs[1].shape, *(t.shape for t in inputs)]

    arguments, *_ = scan_case(False)
    check([t.to("meta").requires_grad_() for t in arguments])
    with FakeTensorMode() as mode:
        check([mode.from_tensor(t).requires_grad_() for t in arguments])


@pytest.mark.parametrize("per_step", [False, True])
def test_operators_keep_the_contract_of_custom_operators(per_step):
    """PyTorch's own checks: no hidden mutation or aliasing, fake results that match, derivatives, dynamic shapes."""
    lam, x, h0 = leaves(scan_case(per_step)[0])
    torch.library.opcheck(differentiation.scan_operator, (lam, x, h0, False, "numba"))
    inputs = tuple(t.detach() for t in (lam, x, h0, x))
    torch.library.opcheck(differentiation.adjoint_operator, (*inputs, True, "chunked"))


class Masked(torch.nn.Module):
    """A layer with lengths and resets as inputs of their own."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, state, lengths, reset):
        return self.layer(x, state, lengths=lengths, reset=reset)


SCANS = ["LRU", "DiagonalRNN", "S4D", "ChronoGRU linear", "ChronoLSTM linear"]


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "lengths and resets"])
@pytest.mark.parametrize("kind", SCANS)
def test_one_graph_for_all_lengths_and_batches(kind, masked):
    layer = LAYERS[kind]()
    model = Masked(layer) if masked else layer

    def inputs(batch, time):
        x, state = torch.randn(batch, time, 2), layer.initial_state(batch)
        return (x, state, torch.randint(0, time + 1, (batch,)), torch.rand(batch, time) < 0.3) if masked else (x, state)

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_dynamic = torch.compile(model, backend="aot_eager", dynamic=True, fullgraph=True)
    for time in range(5, 17):
        arguments = inputs(2, time)
        torch.testing.assert_close(compile_dynamic(*arguments), model(*arguments))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time", min=2)
    state = ({0: batch}, {0: batch}) if kind == "ChronoLSTM linear" else {0: batch}
    sizes = ({0: batch, 1: time}, state, {0: batch}, {0: batch, 1: time})[: len(arguments)]
    for strict in (False, True):
        program = torch.export.export(model, arguments, dynamic_shapes=sizes, strict=strict).module()
        for other in (inputs(2, 5), inputs(4, 16)):
            torch.testing.assert_close(program(*other), model(*other))


@pytest.mark.parametrize("strict", [False, True])
def test_a_dynamic_batch_may_equal_the_channels(strict):
    """lam per step has three axes; its batch must not be compared with the channels."""
    x, sizes = torch.rand(3, 5, 4), {0: torch.export.Dim("batch"), 1: torch.export.Dim("time", min=2)}
    program = torch.export.export(
        Holder(lambda scale, x: linear_scan(scale * x, x), torch.ones(())),
        (x,),
        dynamic_shapes=((sizes,),),  # Holder takes its arguments starred
        strict=strict,
    ).module()
    for other in (x, torch.rand(4, 5, 4), torch.rand(2, 7, 4)):
        torch.testing.assert_close(program(other), linear_scan(other, other))


def test_the_table_in_the_book_is_this_one(root):
    """Each row of the table: an entry in the first column per row here, "right" or "error" in the second."""
    page = (root / "book" / "api-scan.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| (right|error)\b.*? \| *<!-- (.+?) --> *$", page, re.MULTILINE)
    assert {(row, outcome) for _, outcome, row in rows} == {(t.row, t.outcome) for t in TRANSFORMS.values()}


@pytest.mark.parametrize("backend", ["chunked", "numba"])
def test_a_compiled_scan_looks_for_no_package(backend, monkeypatch):
    """torch 2.11, Colab's, refuses to trace ``find_spec``, with which an eager scan asks whether numba is there."""
    pytest.importorskip("numba")
    monkeypatch.setattr(backends.Backend, "installed", lambda self: not torch.compiler.is_compiling())
    compiled = torch.compile(lambda *t: linear_scan(*t, backend=backend), fullgraph=True, backend="aot_eager")
    lam, x = torch.rand(3), torch.randn(2, 5, 3)
    torch.testing.assert_close(compiled(lam, x), linear_scan(lam, x, backend="sequential"))
