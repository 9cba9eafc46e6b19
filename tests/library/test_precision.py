"""Closed forms of numbers of few digits, against the formats themselves: every number of 16 or 8 bits, and loops."""

import math

import numpy as np
import pytest
import torch

from rnnlib import theory

BITS = {torch.bfloat16: 8, torch.float16: 11, torch.float8_e4m3fn: 4, torch.float8_e5m2: 3}


def numbers(dtype):
    """All finite numbers of a format from its smallest normal one on, in order, in double precision."""
    size = dtype.itemsize
    codes = torch.arange(2 ** (8 * size - 1)).to({1: torch.uint8, 2: torch.int16}[size])  # without a sign
    values = codes.view(dtype).double()
    return values[values.isfinite() & (values >= torch.finfo(dtype).tiny)].numpy()


@pytest.mark.parametrize("dtype", BITS)
def test_bits_of_the_formats(dtype):
    assert BITS[dtype] == 1 - math.log2(torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", BITS)
def test_spacing_is_that_of_all_numbers(dtype):
    values = numbers(dtype)
    np.testing.assert_array_equal(theory.spacing(values[:-1], BITS[dtype]), np.diff(values))
    np.testing.assert_array_equal(theory.spacing(torch.tensor(-values[:-1]), BITS[dtype]), np.diff(values))


@pytest.mark.parametrize("dtype", BITS)
def test_longest_memory_is_that_of_the_largest_number_below_1(dtype):
    values = numbers(dtype)
    assert theory.longest_memory(BITS[dtype]) == 1 / (1 - values[values < 1].max())


def decoded(stored, memory, dtype):
    """The memory that comes back from a format."""

    def rounded(value):
        return torch.from_numpy(value).to(dtype).double().numpy()

    lam = 1 - 1 / memory
    if stored == "eigenvalue":
        lam = rounded(lam)
    elif stored == "rate":
        lam = np.exp(-rounded(-np.log(lam)))
    else:
        lam = np.exp(-np.exp(rounded(np.log(-np.log(lam)))))
    return 1 / -np.expm1(np.log(lam))


@pytest.mark.parametrize("stored", ["eigenvalue", "rate", "log rate"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_memory_error_is_the_largest_of_many(dtype, stored):
    """Over memories from 4 to 100; to first order, so where errors are small, and to the rounding of the samples."""
    for low in (4.0, 20.0, 60.0):
        memory = np.linspace(low, 1.6 * low, 20_001)
        with np.errstate(all="ignore"):
            error = np.abs(memory / decoded(stored, memory, dtype) - 1)
        bound = theory.memory_error(memory, BITS[dtype], stored)
        slope = memory * -np.log1p(-1 / memory)  # of 1 / (1 - lam) by the logarithm of the rate: 1 for long memories
        assert (error <= bound * np.maximum(slope, 1) + bound**2).all()
        assert (error / bound).max() > 0.85


@pytest.mark.parametrize("stored", ["angle", "log angle"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_angle_error_is_the_largest_of_many(dtype, stored):
    angle = np.exp(np.linspace(math.log(0.03), math.log(3.1), 40_001))
    angle = angle[np.abs(np.log(angle)) > 1e-4]  # nearer to 0 float16 has subnormal numbers
    to, back = (np.log, np.exp) if stored == "log angle" else (np.abs, np.abs)
    error = np.abs(back(torch.from_numpy(to(angle)).to(dtype).double().numpy()) - angle)
    bound = theory.angle_error(angle, BITS[dtype], stored)
    assert (error <= bound * (1 + 2.0 ** -BITS[dtype] * 4)).all()
    for part in np.array_split(error / bound, 8):
        assert part.max() > 0.85


def impulse(dtype, memory, steps):
    """The state after an impulse of 1, rounded in each step."""
    h = torch.ones((), dtype=torch.float64)
    for _ in range(steps):
        h = ((1 - 1 / memory) * h).float().to(dtype).double()
    return h.item()


@pytest.mark.parametrize(
    ("dtype", "memory"),
    [
        *((torch.bfloat16, memory) for memory in (100, 255, 259, 300, 333, 400, 511, 513, 1000)),
        *((torch.float8_e4m3fn, memory) for memory in (5, 19, 23, 29, 33, 100)),
        *((torch.float8_e5m2, memory) for memory in (3, 7, 11, 13, 17)),
        (torch.float16, 1500),
        (torch.float16, 2500),
    ],
)
def test_where_an_impulse_stalls(dtype, memory):
    left = impulse(dtype, memory, 12 * memory)
    expected = theory.stalled_state(memory, BITS[dtype])
    smallest = torch.finfo(dtype).tiny * torch.finfo(dtype).eps
    assert abs(left - expected) <= (2.0 ** -BITS[dtype] if expected else max(1e-4, memory * smallest))
    assert (left > 0.4) == (memory > theory.longest_memory(BITS[dtype]))


@pytest.mark.parametrize(
    ("dtype", "memory"), [(torch.bfloat16, 30), (torch.bfloat16, 600), (torch.float8_e4m3fn, 20), (torch.float16, 100)]
)
def test_error_of_a_rounded_state(dtype, memory):
    """For white inputs; the rest is the scatter of the mean over units."""
    lam, generator = 1 - 1 / memory, torch.Generator().manual_seed(0)
    steps, units = 12 * memory, 60_000 // memory
    x = math.sqrt(1 - lam**2) * torch.randn(steps, units, dtype=torch.float64, generator=generator)
    exact, rounded = torch.zeros(2, units, dtype=torch.float64)
    moments = []
    for step, received in enumerate(x):
        exact, rounded = lam * exact + received, (lam * rounded + received).float().to(dtype).double()
        if step >= 4 * memory:
            moments.append(torch.stack([(rounded - exact).square().mean(), exact.square().mean()]))
    error, size = torch.stack(moments).mean(0)
    assert theory.state_error(memory, BITS[dtype]) == pytest.approx((error / size).item(), rel=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.spacing(0.0, 8), "value must be real and not 0, got 0.0"),
        (lambda: theory.spacing(1 + 1j, 8), "value must be real and not 0"),
        (lambda: theory.longest_memory(0), "bits must be real, at least 1, got 0"),
        (lambda: theory.memory_error(1.5, 8), "memory must be real, at least 2, got 1.5"),
        (lambda: theory.memory_error(10, 8, "log"), "stored must be 'eigenvalue', 'rate' or 'log rate', got 'log'"),
        (lambda: theory.angle_error(-1.0, 8), "angle must be real, positive, got -1.0"),
        (lambda: theory.angle_error(1.0, 8, "turn"), "stored must be 'angle' or 'log angle', got 'turn'"),
        (lambda: theory.state_error(math.nan, 8), "memory must be finite, got nan"),
        (lambda: theory.stalled_state(0.5, 8), "memory must be real, at least 1, got 0.5"),
    ],
)
def test_arguments_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numbers_arrays_and_tensors():
    memory = [10.0, 300.0, 5000.0]
    for function in (theory.memory_error, theory.state_error, theory.stalled_state):
        one = [function(m, 8) for m in memory]
        np.testing.assert_allclose(function(np.array(memory), 8), one)
        np.testing.assert_allclose(function(torch.tensor(memory, dtype=torch.float64), 8), one)
        assert function(np.array(memory)[:, None], np.array([8, 11])).shape == (3, 2)
