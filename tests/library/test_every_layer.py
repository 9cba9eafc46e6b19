"""What all layers share: the shapes they refuse, how they are copied, and the devices and dtypes they are built in."""

import concurrent.futures
import copy
import functools
import io
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_sequence

from rnnlib import LRU, S4D, ChronoGRU, ChronoLSTM, DenseRNN, DiagonalRNN
from rnnlib.lab.networks import DeepRNN
from rnnlib.parametrization import OPTIMAL, POLAR, ring

DIAGONAL = {
    "complex": functools.partial(DiagonalRNN, 3, 8, 2),
    "gamma": functools.partial(DiagonalRNN, 3, 8, 2, normalize=True),
    "lru": functools.partial(LRU, 3, 8, 2),
    "lru optimal": functools.partial(LRU, 3, 8, 2, parametrization=OPTIMAL),
    "lru polar": functools.partial(LRU, 3, 8, 2, parametrization=POLAR),
    "s4": functools.partial(S4D, 3, 8, 2),
}
GATED = {
    f"{layer.__name__} {candidate} {gates}": functools.partial(layer, 3, 8, candidate=candidate, gates=gates)
    for layer in (ChronoGRU, ChronoLSTM)
    for candidate, gates in [("tanh", "state"), ("linear", "state"), ("linear", "input"), ("linear", "constant")]
}
MAKERS = DIAGONAL | {"dense": functools.partial(DenseRNN, 3, 8, 2, heads=2)} | GATED


def every(makers):
    return pytest.mark.parametrize("make", makers.values(), ids=makers)


def deep(**options):
    return DeepRNN(3, [LRU(4, 4, 4, **options), ChronoGRU(4, 4, **options)], 2, normalization="batch", **options)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def default_dtype(request):
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


# Shapes ---------------------------------------------------------------------------------------------------------------

STEP = {
    "time axis": (
        (4, 1, 3),
        4,
        r"x must have shape \(batch, input_size\).*got \(4, 1, 3\): pass one time step, x\[:, t",
    ),
    "no batch": ((3,), 1, r"x must have shape \(batch, input_size\).*got \(3,\): .*x.unsqueeze\(0\)"),
    "features": ((4, 1), 4, r"x must have 3 features on its last axis, got shape \(4, 1\)"),
    "state of one": (
        (4, 3),
        1,
        r"state must have shape \(batch, .*hidden_size\) = \(4, .*8\).*got \(1, .*initial_state\(4",
    ),
    "one input": ((1, 3), 4, r"state must have shape .* = \(1, .*got \(4, "),
}


@every(MAKERS)
@pytest.mark.parametrize(("shape", "batch", "message"), STEP.values(), ids=STEP)
def test_a_step_of_other_shapes_is_refused(make, shape, batch, message):
    layer = make()
    ways = [layer.step]
    ways += [layer.stepper()] if hasattr(layer, "stepper") else []
    ways += [layer.linearized] if hasattr(layer, "linearized") else []
    for way in ways:
        with pytest.raises(ValueError, match=message):
            way(torch.randn(shape), layer.initial_state(batch))


@every(MAKERS)
def test_a_state_of_other_units_is_refused(make):
    layer, x = make(), torch.randn(4, 3)
    state = layer.initial_state(4)
    for wrong in (state[..., :1], state[0], state[:, None], state[..., None]):
        with pytest.raises(ValueError, match=r"state must have shape"):
            layer.step(x, wrong)
    for wrong in (None, (state, state)):
        with pytest.raises(TypeError, match=r"state must be a torch.Tensor of shape .*, got (NoneType|tuple)"):
            layer.step(x, wrong)


def over_sequences(layer):
    """Every method that takes whole sequences, as functions of x and the state."""
    names = ["chunk"] if hasattr(layer, "chunk") else ["forward"] if hasattr(layer, "memory") else []
    names += ["states"] if isinstance(layer, ChronoLSTM) else ["eigenvalues"] if isinstance(layer, ChronoGRU) else []
    return [layer] + [getattr(layer, name) for name in names]


@every(MAKERS)
def test_sequences_of_other_shapes_are_refused(make):
    layer = make()
    for method in over_sequences(layer):
        state = () if method is layer else (layer.initial_state(4),)
        with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\).*x.unsqueeze\(0\)"):
            method(torch.randn(4, 3), *state)
        with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\), got \(4, 5, 1, 3\)"):
            method(torch.randn(4, 5, 1, 3), *state)
        with pytest.raises(ValueError, match=r"x must have 3 features on its last axis, got shape \(4, 5, 1\)"):
            method(torch.randn(4, 5, 1), *state)
        with pytest.raises(ValueError, match=r"x has no time steps"):
            method(torch.randn(4, 0, 3), *state)
        for batch in (1, 3) if state else ():
            with pytest.raises(ValueError, match=rf"state must have shape .* = \(4, .*got \({batch}, "):
                method(torch.randn(4, 5, 3), layer.initial_state(batch))


@every(MAKERS)
def test_a_packed_sequence_is_refused_with_the_way_to_unpack_it(make):
    layer = make()
    packed = pack_sequence([torch.randn(n, 3) for n in (7, 5, 2)])
    for method in over_sequences(layer):
        state = () if method is layer else (layer.initial_state(3),)
        with pytest.raises(TypeError, match=r"got a PackedSequence: .*pad_packed_sequence\(x, batch_first=True\)\[0\]"):
            method(packed, *state)
        with pytest.raises(TypeError, match=r"x must be a torch.Tensor of shape .*, got list"):
            method([[[0.0] * 3]], *state)
    assert layer(torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)[0]).shape[:2] == (3, 7)


@pytest.mark.parametrize("length", [0, -1])
def test_an_impulse_response_has_a_length(length):
    for make in (MAKERS["lru"], MAKERS["dense"]):
        with pytest.raises(ValueError, match=f"length must be a whole number of at least 1, got {length}"):
            make().impulse_response(length)


# Copies ---------------------------------------------------------------------------------------------------------------


def saved(layer):
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


COPIES = {"pickle": lambda layer: pickle.loads(pickle.dumps(layer)), "torch.save": saved, "deepcopy": copy.deepcopy}


@every(MAKERS | {"deep": deep})
@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_a_copy_computes_the_same(make, duplicate):
    layer, x = make(generator=generator()), torch.randn(2, 5, 3, generator=generator(1))
    other = duplicate(layer)
    assert torch.equal(other(x), layer(x))
    assert getattr(other, "parametrization", None) == getattr(layer, "parametrization", None)


def test_a_layer_reaches_a_spawned_process():
    layer, x = LRU(3, 8, 2, generator=generator()).requires_grad_(False), torch.randn(2, 5, 3)
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        torch.testing.assert_close(pool.submit(layer, x).result(), layer(x))


# Devices and dtypes ---------------------------------------------------------------------------------------------------


@every(MAKERS | {"deep": deep})
def test_the_meta_device_gives_shapes_and_takes_weights_later(make):
    real, x = make(generator=generator()), torch.randn(2, 5, 3, generator=generator(1))
    for options in ({}, {"generator": generator()}):
        with torch.device("meta"):
            layer = make(**options)
        assert all(parameter.is_meta for parameter in layer.parameters())
        assert layer(x.to("meta")).shape == real(x).shape
    layer = layer.to_empty(device="cpu")
    layer.load_state_dict(real.state_dict())
    assert torch.equal(layer(x), real(x))


@every(MAKERS | {"deep": deep})
def test_layers_are_built_without_looking_at_values(make):
    real = make()
    with FakeTensorMode():
        layer = make()
    shapes = {name: value.shape for name, value in layer.named_parameters()}
    assert shapes == {name: value.shape for name, value in real.named_parameters()}


@pytest.mark.parametrize("default_dtype", [torch.float64], indirect=True)
@every(MAKERS)
def test_the_default_dtype_is_obeyed(make, default_dtype):
    layer = make(generator=generator())
    assert {parameter.dtype for parameter in layer.parameters()} == {default_dtype}
    state = layer.initial_state(2)
    assert state.dtype == (default_dtype.to_complex() if hasattr(layer, "chunk") else default_dtype)
    x = torch.randn(2, 5, 3, generator=generator(1))
    y, outputs = layer(x), []
    for x_t in x.unbind(1):
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    assert y.dtype == default_dtype
    torch.testing.assert_close(torch.stack(outputs, 1), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("default_dtype", [torch.bfloat16, torch.float16], indirect=True)
@every(DIAGONAL)
def test_eigenvalues_need_single_precision(make, default_dtype):
    with pytest.raises(TypeError, match=f"complex eigenvalues need a default dtype .* got {default_dtype}: call"):
        make()


@pytest.mark.parametrize("default_dtype", [torch.bfloat16, torch.float16], indirect=True)
@every(GATED)
def test_gated_layers_are_built_in_half_precision(make, default_dtype):
    layer = make(generator=generator())
    assert {parameter.dtype for parameter in layer.parameters()} == {default_dtype}
    for name, parameter in layer.named_parameters():
        for block in parameter.detach().float().split(8) if "recurrent" in name or "weight_hh" in name else ():
            torch.testing.assert_close(block @ block.mT, torch.eye(8, dtype=torch.float32), rtol=0, atol=0.02)


# Corners of the initial draw ------------------------------------------------------------------------------------------


@every(MAKERS)
@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2**-24], ids=["least", "middle", "largest"])
@pytest.mark.parametrize("radii", [{}, {"min_modulus": 0.9}], ids=["disc", "ring"])
def test_no_uniform_draw_makes_a_layer_that_is_not_finite(make, draw, radii, monkeypatch):
    """torch.rand draws 0 and 0.5 exactly, once in 2^24 each."""
    monkeypatch.setattr(torch, "rand", lambda *size, dtype=None, **_: torch.full(size, draw, dtype=dtype))
    layer = make(**radii) if make not in GATED.values() else make(min_time=1e-50)
    y = layer(torch.randn(2, 5, 3, generator=generator(1)))
    y.square().sum().backward()
    for tensor in [y, *layer.parameters(), *(parameter.grad for parameter in layer.parameters())]:
        assert bool(tensor.isfinite().all())


@pytest.mark.parametrize("layer", [ChronoGRU, ChronoLSTM])
@pytest.mark.parametrize("times", [{"min_time": 1 + 1e-12, "max_time": 1 + 1e-12}, {"min_time": 1 + 1e-12}])
def test_times_that_round_to_the_least_one_allowed_leave_finite_biases(layer, times, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.zeros(size))
    made = layer(3, 8, minus_one=True, **times)
    assert all(bool(parameter.isfinite().all()) for parameter in made.parameters())


@every({name: DIAGONAL[name] for name in ("complex", "lru", "s4")})
def test_the_seed_that_draws_a_zero(make):
    layer = make.func(1, 1024, 1, generator=generator(1423))
    assert layer.eigenvalues().abs().min() > 1e-4
    assert bool(layer(torch.randn(1, 5, 1)).isfinite().all())


# States and mixed precision -------------------------------------------------------------------------------------------


@every(MAKERS)
def test_a_sequence_in_two_parts_is_the_whole(make):
    layer, x = make(generator=generator()), torch.randn(2, 9, 3)
    state = layer.initial_state(2)
    for x_t in x[:, :4].unbind(1):
        _, state = layer.step(x_t, state)
    whole = layer(x)
    torch.testing.assert_close(layer(x[:, 4:], state), whole[:, 4:])
    torch.testing.assert_close(layer(x, state=layer.initial_state(2)), whole)
    with pytest.raises(ValueError, match="state must have shape"):
        layer(x, layer.initial_state(1))


@every(DIAGONAL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("rules", ["cpu", "cuda"])
def test_under_autocast_the_recurrence_stays_in_single_precision(make, dtype, rules, monkeypatch):
    """CUDA's autocast, other than the CPU's, has no rule that makes ``view_as_complex`` take half precision."""
    layer, x = make(generator=generator(), min_modulus=0.9), torch.randn(2, 50, 3)
    expected = layer(x)
    if rules == "cuda":
        view_as_complex = torch.view_as_complex

        def without_rule(t):
            with torch.autocast("cpu", enabled=False):
                return view_as_complex(t)

        monkeypatch.setattr(torch, "view_as_complex", without_rule)
    with torch.autocast("cpu", dtype=dtype):
        actual = layer(x)
        y, _ = layer.step(x[:, 0], layer.initial_state(2))
    assert actual.dtype == y.dtype == torch.float32
    # products of the input and the readout are rounded to half precision, what the states add up is not
    tolerance = 8 * torch.finfo(dtype).eps
    assert (actual - expected).abs().max() < tolerance * expected.abs().max()
    actual.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


# Sizes, dtypes and devices that are refused ---------------------------------------------------------------------------


@every(MAKERS)
@pytest.mark.parametrize("size", ["3", None, 3.0, True, 0], ids=repr)
def test_a_size_is_a_whole_number(make, size):
    sizes = list(make.args)
    for axis, name in enumerate(["input_size", "hidden_size", "output_size"][: len(sizes)]):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got {size!r}"):
            make.func(*sizes[:axis], size, *sizes[axis + 1 :], **make.keywords)
    with pytest.raises(TypeError, match=r"generator must be a torch\.Generator or None, got 0"):
        make(generator=0)


@every(MAKERS)
def test_sizes_of_numpy_make_the_same_layer(make):
    layer = make.func(*map(np.int64, make.args), **make.keywords, generator=generator())
    for one, other in zip(layer.parameters(), make(generator=generator()).parameters(), strict=True):
        assert torch.equal(one, other)
    assert all(type(getattr(layer, name)) is int for name in ("input_size", "hidden_size", "output_size"))


WRONG = {
    "ring of a string": (lambda: ring("3"), "size must be a whole number of at least 1, got '3'"),
    "ring of a fraction": (lambda: ring(2.5), "size must be a whole number of at least 1, got 2.5"),
    "ring of a shape": (lambda: ring((2, 3)), r"size must be a whole number of at least 1, got \(2, 3\)"),
    "modulus": (lambda: ring(3, max_modulus="a"), "max_modulus must be a number, got 'a'"),
    "angle": (lambda: LRU(3, 8, 2, max_angle=None), "max_angle must be a number, got None"),
    "step": (lambda: S4D(3, 8, 2, step="a"), "step must be a number, got 'a'"),
    "time": (lambda: ChronoLSTM(3, 8, min_time="a"), "min_time must be a number, got 'a'"),
    "scale": (lambda: ChronoGRU(3, 8, input_scale="a"), "input_scale must be a number, got 'a'"),
    "dense": (lambda: DenseRNN(3, 8, 2, min_modulus="a"), r"min_modulus must be a number in \[0, 1\), got 'a'"),
    "digits": (lambda: ring(-(10**400)), r"size must be a whole number of at least 1, got -1000.{40,60}\.\.\. \(402"),
    "more digits": (lambda: ring(-(10**5000)), "size must be a whole number of at least 1, got an integer of"),
    "array": (lambda: ring(np.ones(9)), r"size must be a whole number of at least 1, got ndarray of shape \(9,\)"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_an_argument_of_another_kind_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@every(MAKERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.cfloat])
def test_another_dtype_is_refused_with_the_way_to_the_right_one(make, dtype):
    layer, x = make(), torch.ones(2, 5, 3).to(dtype)
    message = rf"x must have the layer's dtype, torch.float32, got {dtype}: pass x.*\.to\(torch.float32\)"
    for method in over_sequences(layer):
        with pytest.raises(TypeError, match=message):
            method(x, *(() if method is layer else (layer.initial_state(2),)))
    with pytest.raises(TypeError, match=message):
        layer.step(x[:, 0], layer.initial_state(2))
    if dtype == torch.float64:
        assert layer.double()(x).dtype == dtype


@every(MAKERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.complex64, torch.complex128])
def test_a_state_has_the_dtype_of_the_layer(make, dtype):
    layer, x = make(), torch.ones(2, 5, 3)
    state = layer.initial_state(2)
    if dtype == state.dtype:
        return
    ways = [layer.step, *([layer.stepper()] if hasattr(layer, "stepper") else [])]
    calls = [functools.partial(way, x[:, 0]) for way in ways] + [functools.partial(layer, x)]
    for call in calls:
        with pytest.raises(TypeError, match=rf"state must have the layer's dtype, {state.dtype}, got {dtype}: pass"):
            call(torch.zeros(state.shape, dtype=dtype))


@every(MAKERS)
def test_another_device_is_refused_by_name(make):
    layer, x = make(), torch.ones(2, 5, 3)
    with pytest.raises(ValueError, match=r"x is on meta, the layer on cpu: pass x.to\('cpu'\)"):
        layer(x.to("meta"))
    with pytest.raises(ValueError, match=r"state is on meta, the layer on cpu: pass state.to\('cpu'\)"):
        layer.step(x[:, 0], layer.initial_state(2).to("meta"))


@every(MAKERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_takes_half_precision(make, dtype):
    layer, x = make(generator=generator()), torch.randn(2, 5, 3, generator=generator(1))
    expected, tolerance = layer(x), 0.05
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x.to(dtype))
        state = layer.initial_state(2)
        for x_t in x.to(dtype).unbind(1):
            y_t, state = layer.step(x_t, state)
    torch.testing.assert_close(y.float(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(y_t.float(), expected[:, -1], rtol=tolerance, atol=tolerance)


# Export ---------------------------------------------------------------------------------------------------------------


@every(MAKERS)
@pytest.mark.parametrize("strict", [False, True], ids=["traced", "strict"])
def test_export_with_any_batch(make, strict):
    """Input features, time steps and the example's batch are all of one size, which must not tie them together."""
    layer = make.func(4, *make.args[1:], **make.keywords, generator=generator())
    example, x = torch.randn(4, 4, 4), torch.randn(7, 4, 4, generator=generator(1))
    batch = torch.export.Dim("b")
    program = torch.export.export(layer, (example,), dynamic_shapes=({0: batch},), strict=strict)
    torch.testing.assert_close(program.module()(x), layer(x))
