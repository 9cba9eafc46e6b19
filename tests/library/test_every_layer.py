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


class Stack(torch.nn.Module):
    """Two layers, as a user stacks them."""

    def __init__(self, **options):
        super().__init__()
        self.first, self.second = LRU(3, 4, 4, **options), ChronoGRU(4, 4, **options)

    def forward(self, x):
        y, first = self.first(x)
        y, second = self.second(y)
        return y, (first, second)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def each(function, *states):
    return tuple(map(function, *states)) if isinstance(states[0], tuple) else function(*states)


def loop(layer, x, state=None):
    """Outputs and the last state by ``step`` alone."""
    state, outputs = layer.initial_state(len(x)) if state is None else state, []
    for x_t in x.unbind(1):
        y_t, state = layer.step(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs, 1), state


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
        r"state must have shape \(batch, hidden_size\) = \(4, 8\).*got \(1, 8\).*initial_state\(4",
    ),
    "one input": ((1, 3), 4, r"state must have shape .* = \(1, 8\) .*got \(4, 8\)"),
}


def single_steps(layer):
    return [layer.step, *([layer.stepper()] if hasattr(layer, "stepper") else [])]


@every(MAKERS)
@pytest.mark.parametrize(("shape", "batch", "message"), STEP.values(), ids=STEP)
def test_a_step_of_other_shapes_is_refused(make, shape, batch, message):
    layer = make()
    for way in single_steps(layer):
        with pytest.raises(ValueError, match=message):
            way(torch.randn(shape), layer.initial_state(batch))


@every(MAKERS)
def test_a_state_of_other_units_is_refused(make):
    layer, x = make(), torch.randn(4, 3)
    state = layer.initial_state(4)
    for part in (slice(1), 0, (slice(None), None), (..., None)):
        wrong = each(lambda h, part=part: h[..., :1] if part == slice(1) else h[part], state)
        with pytest.raises(ValueError, match=r"state must have shape"):
            layer.step(x, wrong)
    message = r"state must be .*, got (NoneType|3 of them|tuple|None: pass initial_state\(4\))"
    for wrong in (None, (torch.zeros(4, 8),) * 3):
        with pytest.raises(TypeError, match=message):
            layer.step(x, wrong)


def over_sequences(layer):
    """Every method that takes whole sequences, as functions of x and the state."""
    return [layer, *([layer.eigenvalues] if isinstance(layer, ChronoGRU) else [])]


@every(MAKERS)
def test_sequences_of_other_shapes_are_refused(make):
    layer = make()
    for method, *state in [(way, *given) for way in over_sequences(layer) for given in ((), (layer.initial_state(4),))]:
        with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\).*x.unsqueeze\(0\)"):
            method(torch.randn(4, 3), *state)
        with pytest.raises(ValueError, match=r"x must have shape \(batch, time, input_size\), got \(4, 5, 1, 3\)"):
            method(torch.randn(4, 5, 1, 3), *state)
        with pytest.raises(ValueError, match=r"x must have 3 features on its last axis, got shape \(4, 5, 1\)"):
            method(torch.randn(4, 5, 1), *state)
        with pytest.raises(ValueError, match=r"x has no time steps"):
            method(torch.randn(4, 0, 3), *state)
        for batch in (1, 3):
            with pytest.raises(ValueError, match=rf"state must have shape .* = \(4, .*got \({batch}, "):
                method(torch.randn(4, 5, 3), layer.initial_state(batch))


@every(MAKERS)
def test_a_packed_sequence_is_refused_with_the_way_to_unpack_it(make):
    layer = make()
    packed = pack_sequence([torch.randn(n, 3) for n in (7, 5, 2)])
    for method in over_sequences(layer):
        message = r"got a PackedSequence: .*x, lengths = .*pad_packed_sequence.* and call layer\(x, lengths=lengths\)"
        with pytest.raises(TypeError, match=message):
            method(packed)
        with pytest.raises(TypeError, match=r"x must be a torch.Tensor of shape .*, got list"):
            method([[[0.0] * 3]])
    x, lengths = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    assert layer(x, lengths=lengths)[0].shape[:2] == (3, 7)


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


@every(MAKERS | {"stack": Stack})
@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_a_copy_computes_the_same(make, duplicate):
    layer, x = make(generator=generator()), torch.randn(2, 5, 3, generator=generator(1))
    other = duplicate(layer)
    assert torch.equal(other(x)[0], layer(x)[0])
    assert getattr(other, "parametrization", None) == getattr(layer, "parametrization", None)


# Devices and dtypes ---------------------------------------------------------------------------------------------------


@every(MAKERS | {"stack": Stack})
def test_the_meta_device_gives_shapes_and_takes_weights_later(make):
    real, x = make(generator=generator()), torch.randn(2, 5, 3, generator=generator(1))
    for options in ({}, {"generator": generator()}):
        with torch.device("meta"):
            layer = make(**options)
        assert all(parameter.is_meta for parameter in layer.parameters())
        assert layer(x.to("meta"))[0].shape == real(x)[0].shape
    layer = layer.to_empty(device="cpu")
    layer.load_state_dict(real.state_dict())
    assert torch.equal(layer(x)[0], real(x)[0])


@every(MAKERS | {"stack": Stack})
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
    x = torch.randn(2, 5, 3, generator=generator(1))
    y, state = layer(x)
    assert y.dtype == default_dtype and all(h.real.dtype == default_dtype for h in parts(state))
    torch.testing.assert_close((y, state), loop(layer, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("default_dtype", [torch.bfloat16, torch.float16], indirect=True)
@every(MAKERS)
def test_layers_are_drawn_in_single_precision_and_then_rounded(make, default_dtype):
    rounded, single = make(generator=generator()), make(generator=generator(), dtype=torch.float32)
    for one, other in zip(rounded.parameters(), single.parameters(), strict=True):
        assert one.dtype == default_dtype and torch.equal(one, other.to(default_dtype))


# Corners of the initial draw ------------------------------------------------------------------------------------------


@every(MAKERS)
@pytest.mark.parametrize("draw", [0.0, 0.5, 1 - 2**-24], ids=["least", "middle", "largest"])
@pytest.mark.parametrize("radii", [{}, {"min_modulus": 0.9}], ids=["disc", "ring"])
def test_no_uniform_draw_makes_a_layer_that_is_not_finite(make, draw, radii, monkeypatch):
    """torch.rand draws 0 and 0.5 exactly, once in 2^24 each."""
    monkeypatch.setattr(torch, "rand", lambda *size, dtype=None, **_: torch.full(size, draw, dtype=dtype))
    layer = make(**radii) if make not in GATED.values() else make(min_time=1e-50)
    y, _ = layer(torch.randn(2, 5, 3, generator=generator(1)))
    y.square().sum().backward()
    for tensor in [y, *layer.parameters(), *(parameter.grad for parameter in layer.parameters())]:
        assert bool(tensor.isfinite().all())


@pytest.mark.parametrize("layer", [ChronoGRU, ChronoLSTM])
@pytest.mark.parametrize("times", [{"min_time": 1 + 1e-12, "max_time": 1 + 1e-12}, {"min_time": 1 + 1e-12}])
def test_times_that_round_to_the_least_one_allowed_leave_finite_biases(layer, times, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.zeros(size))
    made = layer(3, 8, **times)
    assert all(bool(parameter.isfinite().all()) for parameter in made.parameters())


@every({name: DIAGONAL[name] for name in ("complex", "lru", "s4")})
def test_the_seed_that_draws_a_zero(make):
    layer = make.func(1, 1024, 1, generator=generator(1423))
    assert layer.eigenvalues().abs().min() > 1e-4
    assert bool(layer(torch.randn(1, 5, 1))[0].isfinite().all())


# Lengths, resets and the direction of time ----------------------------------------------------------------------------

LENGTHS, TIME = [7, 0, 3, 1], 7


def by_hand(layer, x, state, lengths, reset, reverse):
    """One sequence at a time, one step after another."""
    outputs, ends = x.new_zeros(*x.shape[:2], layer.output_size), []
    for row, length in enumerate(lengths):
        h = each(lambda s, row=row: s[row : row + 1], state)
        for t in range(length)[:: -1 if reverse else 1]:
            if reset[row, t]:
                h = each(torch.zeros_like, h)
            outputs[row, t], h = layer.step(x[row : row + 1, t], h)
        ends.append(h)
    return outputs, each(lambda *h: torch.cat(h), *ends)


def random_state(layer, batch):
    return each(lambda h: torch.randn(h.shape, dtype=h.dtype, generator=generator(3)), layer.initial_state(batch))


def masks(name):
    """Lengths and resets, and what they say of each step."""
    reset = torch.rand(len(LENGTHS), TIME, generator=generator(2)) < 0.3
    given = {"lengths": torch.tensor(LENGTHS), "reset": reset}
    given = {key: value for key, value in given.items() if key in name}
    lengths = LENGTHS if "lengths" in name else [TIME] * len(LENGTHS)
    return given, (lengths, reset if "reset" in name else torch.zeros_like(reset), "reverse" in name)


@every(MAKERS)
@pytest.mark.parametrize("given_state", [False, True], ids=["zero", "state"])
@pytest.mark.parametrize("name", ["lengths", "reset", "reverse", "lengths reset", "lengths reset reverse"])
def test_lengths_resets_and_reverse_are_those_of_a_loop(make, name, given_state):
    """Outputs, states and the gradients of everything; what lies beyond the lengths is NaN."""
    layer = make(generator=generator(), dtype=torch.float64)
    x = torch.randn(len(LENGTHS), TIME, 3, dtype=torch.float64, generator=generator(1))
    arguments, by_step = masks(name)
    for row, length in enumerate(by_step[0]):
        x[row, length:] = torch.nan
    x.requires_grad_()
    state = each(lambda h: h.requires_grad_(), random_state(layer, len(x))) if given_state else None
    actual = layer(x, state, **arguments, reverse="reverse" in name)
    expected = by_hand(layer, x, layer.initial_state(len(x)) if state is None else state, *by_step)
    torch.testing.assert_close(actual, expected)
    inputs = [x, *layer.parameters(), *(parts(state) if given_state else ())]

    def gradients(y, end):
        end = [torch.view_as_real(h) if h.is_complex() else h for h in parts(end)]
        loss = y.sin().sum() + sum(h.cos().sum() for h in end)
        return torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)

    torch.testing.assert_close(gradients(*actual), gradients(*expected))


@every(MAKERS)
def test_resets_forget_a_state_that_is_not_finite(make):
    layer, x = make(generator=generator()), torch.randn(2, 4, 3)
    state = each(lambda h: torch.full_like(h, torch.nan), layer.initial_state(2))
    reset = torch.zeros(2, 4, dtype=torch.bool)
    reset[:, 0] = True
    torch.testing.assert_close(layer(x, state, reset=reset), layer(x))


@every(MAKERS)
def test_a_list_of_lengths_will_do(make):
    layer, x = make(), torch.randn(4, TIME, 3)
    torch.testing.assert_close(layer(x, lengths=LENGTHS), layer(x, lengths=torch.tensor(LENGTHS, dtype=torch.int32)))


MASKS = {
    "fractions": ({"lengths": torch.ones(2)}, "lengths must be whole numbers, got a tensor of torch.float32"),
    "one length": ({"lengths": torch.tensor(3)}, r"lengths must have shape \(batch,\) = \(2,\), got \(\)"),
    "lengths of three": ({"lengths": torch.ones(3).long()}, r"lengths must have shape .* got \(3,\)"),
    "a length too long": ({"lengths": torch.tensor([5, 6])}, "lengths must be from 0 to 5, the time steps of x, got 6"),
    "a negative length": ({"lengths": torch.tensor([-1, 5])}, "lengths must be from 0 to 5, .* got -1"),
    "whole resets": ({"reset": torch.ones(2, 5).long()}, "reset must be a tensor of torch.bool, got torch.int64"),
    "a list of resets": (
        {"reset": [[True] * 5] * 2},
        r"reset must be a torch.Tensor of shape .*, got list",
    ),
    "resets of steps": (
        {"reset": torch.ones(5).bool()},
        r"reset must have shape .* = \(2, 5\), got \(5,\)",
    ),
    "resets too few": ({"reset": torch.ones(2, 4).bool()}, r"reset must have shape .* got \(2, 4\)"),
    "resets elsewhere": ({"reset": torch.ones(2, 5, device="meta").bool()}, "reset is on meta, the layer on cpu"),
}


@pytest.mark.parametrize(("masks", "message"), MASKS.values(), ids=MASKS)
def test_lengths_and_resets_that_do_not_fit_are_named(masks, message):
    for make in (MAKERS["lru"], MAKERS["dense"], GATED["ChronoLSTM tanh state"]):
        with pytest.raises((TypeError, ValueError), match=message):
            make()(torch.randn(2, 5, 3), **masks)


# All at once ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spawned():
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        yield pool


@torch.no_grad()
def loaded_and_run(path, x, state, arguments, autocast):
    layer = torch.load(path, weights_only=False)
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        return layer(x, state, **arguments)


HALVES = torch.bfloat16, torch.float16
PRECISIONS = {  # dtype of the parameters and the input; that of autocast
    f"{str(dtype)[6:]}{', autocast ' + str(autocast)[6:] if autocast else ''}": (dtype, autocast)
    for dtype in (torch.float64, torch.float32, *HALVES)
    for autocast in (None, *(HALVES if dtype == torch.float32 else (dtype,) if dtype in HALVES else ()))
}


def bounds(layer, dtype, autocast):
    """Of outputs and of states, in units of their largest, as the API page has them."""
    u = {kind: torch.finfo(kind).eps / 2 for kind in (*HALVES, torch.float32, torch.float64)}
    # eigenvalues are rounded too, which memory multiplies
    rounding, single = u[dtype] if dtype in HALVES else 0, 1000 * u[torch.promote_types(dtype, torch.float32)]
    maps = 4 * u[autocast] if autocast and not isinstance(layer, ChronoGRU | ChronoLSTM) else 0
    return rounding + maps + single, maps + single


@every(MAKERS)
@pytest.mark.parametrize(("dtype", "autocast"), PRECISIONS.values(), ids=PRECISIONS)
def test_a_layer_after_all_of_it_is_the_loop_in_double_precision(make, dtype, autocast, spawned, tmp_path):
    """Built on meta, drawn later, converted, saved whole, loaded in a spawned process, run there under autocast with
    lengths and resets from a state: a loop of steps in float64 with the same parameters, within the stated bound."""
    start = {"max_time": 1e4} if make in GATED.values() else {"min_modulus": 0.9}
    layer = make(device="meta", **start).to_empty(device="cpu")
    layer.reset_parameters(generator())
    layer = layer.to(dtype)
    torch.save(layer, tmp_path / "layer.pt")
    x = torch.randn(len(LENGTHS), 60, 3, generator=generator(1)).to(dtype)
    lengths, reset = [60, 0, 41, 1], torch.rand(len(LENGTHS), 60, generator=generator(2)) < 0.05
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    state, double = random_state(layer, len(x)), copy.deepcopy(layer).double()
    arguments = {"lengths": torch.tensor(lengths), "reset": reset}
    y, end = spawned.submit(loaded_and_run, tmp_path / "layer.pt", x, state, arguments, autocast).result()
    wide = each(lambda h: h.to(torch.promote_types(h.dtype, torch.float64)), state)
    with torch.no_grad():
        expected, expected_end = by_hand(double, x.double(), wide, lengths, reset, False)
    of_outputs, of_states = bounds(layer, dtype, autocast)
    assert y.dtype == dtype and (y - expected).abs().max() <= of_outputs * expected.abs().max()
    for h, exact in zip(parts(end), parts(expected_end), strict=True):
        assert h.real.dtype == torch.promote_types(dtype, torch.float32)
        assert (h - exact).abs().max() <= of_states * exact.abs().max()


# Deferred initialisation ----------------------------------------------------------------------------------------------


@every(MAKERS)
def test_a_layer_built_on_meta_is_drawn_later_to_the_same_bits(make):
    layer = make(device="meta", generator=generator()).to_empty(device="cpu")
    layer.reset_parameters(generator())
    for one, other in zip(layer.parameters(), make(generator=generator()).parameters(), strict=True):
        assert torch.equal(one, other)
    torch.manual_seed(5)
    again = make()
    torch.manual_seed(5)
    layer.reset_parameters()
    for one, other in zip(layer.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@every(MAKERS | {"stack": Stack})
@pytest.mark.parametrize("own", [False, True], ids=["every module", "modules with parameters"])
def test_modules_reset_one_by_one_start_as_the_layer_does(make, own):
    """As FSDP materialises a model: PyTorch's GRU inside of ours must not start as PyTorch's do."""
    with torch.device("meta"):
        layer = make(**({} if own else {"generator": generator()}))
    layer.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(torch.nan)
    for module in layer.modules():
        if hasattr(module, "reset_parameters") and not (own and not module._parameters):
            module.reset_parameters()
    assert all(bool(parameter.isfinite().all()) for parameter in layer.parameters())
    for module in layer.modules():
        if isinstance(module, ChronoGRU | ChronoLSTM):
            name, where = module.gate_bias
            times = dict(module.named_parameters())[name][where].exp()
            assert bool(((times >= 1 - 1e-5) & (times <= 256.1)).all()) and times.max() > 3


@every(MAKERS)
def test_device_and_dtype_are_those_asked_for(make):
    for dtype in (torch.float64, torch.bfloat16):
        layer = make(dtype=dtype, device="meta")
        assert all(parameter.is_meta and parameter.dtype == dtype for parameter in layer.parameters())
        y, state = layer(torch.empty(2, 5, 3, device="meta", dtype=dtype))
        assert y.is_meta and y.dtype == dtype and all(h.is_meta for h in parts(state))
    for dtype in (torch.complex64, torch.int64, "float32"):
        with pytest.raises(TypeError, match=r"dtype must be one of torch.float16, .* got '?(torch\.)?\w+"):
            make(dtype=dtype)


# States and mixed precision -------------------------------------------------------------------------------------------


@every(MAKERS)
def test_a_sequence_in_two_parts_is_the_whole(make):
    layer, x = make(generator=generator()), torch.randn(2, 9, 3)
    y, end = layer(x)
    first, state = layer(x[:, :4])
    second, state = layer(x[:, 4:], state)
    torch.testing.assert_close((torch.cat([first, second], 1), state), (y, end))
    torch.testing.assert_close(layer(x, state=layer.initial_state(2)), (y, end))
    torch.testing.assert_close(loop(layer, x), (y, end))


@every(DIAGONAL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("rules", ["cpu", "cuda"])
def test_under_autocast_the_recurrence_stays_in_single_precision(make, dtype, rules, monkeypatch):
    """CUDA's autocast, other than the CPU's, has no rule that makes ``view_as_complex`` take half precision."""
    layer, x = make(generator=generator(), min_modulus=0.9), torch.randn(2, 50, 3)
    expected, _ = layer(x)
    if rules == "cuda":
        view_as_complex = torch.view_as_complex

        def without_rule(t):
            with torch.autocast("cpu", enabled=False):
                return view_as_complex(t)

        monkeypatch.setattr(torch, "view_as_complex", without_rule)
    with torch.autocast("cpu", dtype=dtype):
        actual, _ = layer(x)
        y, _ = layer.step(x[:, 0], layer.initial_state(2))
        z, _ = layer.stepper()(x[:, 0], layer.initial_state(2))
    assert actual.dtype == y.dtype == z.dtype == torch.float32
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
    "step size": (lambda: S4D(3, 8, 2, step_size="a"), "step_size must be a number, got 'a'"),
    "time": (lambda: ChronoLSTM(3, 8, min_time="a"), "min_time must be a number, got 'a'"),
    "scale": (lambda: ChronoGRU(3, 8, weight_scale="a"), "weight_scale must be a number, got 'a'"),
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
            method(x)
    with pytest.raises(TypeError, match=message):
        layer.step(x[:, 0], layer.initial_state(2))
    if dtype == torch.float64:
        assert layer.double()(x)[0].dtype == dtype


@every(MAKERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.complex64, torch.complex128])
def test_a_state_has_the_dtype_of_the_layer(make, dtype):
    layer, x = make(), torch.ones(2, 5, 3)
    state = layer.initial_state(2)
    own = parts(state)[0].dtype
    if dtype == own:
        return
    for call in [functools.partial(layer, x), *(functools.partial(way, x[:, 0]) for way in single_steps(layer))]:
        with pytest.raises(TypeError, match=rf"state must have the dtype of the recurrence, {own}, got {dtype}: pass"):
            call(each(lambda h: torch.zeros(h.shape, dtype=dtype), state))


@every(MAKERS)
def test_another_device_is_refused_by_name(make):
    layer, x = make(), torch.ones(2, 5, 3)
    with pytest.raises(ValueError, match=r"x is on meta, the layer on cpu: pass x.to\('cpu'\)"):
        layer(x.to("meta"))
    with pytest.raises(ValueError, match=r"state is on meta, the layer on cpu: pass state.to\('cpu'\)"):
        layer.step(x[:, 0], each(lambda h: h.to("meta"), layer.initial_state(2)))


@every(MAKERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_takes_half_precision(make, dtype):
    layer, x = make(generator=generator()), torch.randn(2, 5, 3, generator=generator(1))
    (expected, _), tolerance = layer(x), 0.05
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (y, _), (stepped, _) = layer(x.to(dtype)), loop(layer, x.to(dtype))
    assert y.dtype == stepped.dtype == dtype
    torch.testing.assert_close(y.float(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(stepped.float(), expected, rtol=tolerance, atol=tolerance)


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
