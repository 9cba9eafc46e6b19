"""Hypotheses on precision, beyond the paper: how many bits a memory needs, in a parameter and in the state.

Written down before the runs that decide them. What had been seen: the closed forms; eigenvalues of teachers 28 to 31
rounded and read out anew; runs of 1,000 steps on these teachers at bfloat16, of an LRU with both parameters, the
modulus or the angle rounded to nearest, both stochastically, both with a float32 copy, and of plain eigenvalues in the
first two and the last of these ways; the state's loops at single memories. Rows that this bears on say so. In training,
more than one choice of a rate in twenty then lay at an end of the rates, so further ones were run ("storage_wider").
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from ... import theory
from .. import readouts, systems
from ..statistics import Estimate, by_teacher, cross_fitted, median, paired_median, smallest
from ..storage import FORMATS, rounded, stored_eigenvalues
from .measures import load_with_second_look
from .ranges import FACTOR_OF_TWO, at_least, at_most, between, near, significantly, similar
from .registry import claim

_claim = functools.partial(claim, kind="beyond", source="not in the paper")
_BITS_OF_A_DECADE = math.log2(10)
_REFIT = "32 teachers, angles up to π, eigenvalues rounded, the readout solved anew on an infinite window"
_RUNS = "16 teachers, 1,000 steps, ν₀ = .99, the rate of a run chosen by the other run on its teacher"
_bfloat16 = FORMATS["bfloat16"]


# Eigenvalues of the teacher, rounded ----------------------------------------------------------------------------------


@functools.cache
def refitted(stored: str, nu0: float = 0.99, theta0: float = 1.0) -> np.ndarray:
    """Decades of the loss that is left if a teacher's eigenvalues are stored in few bits: teachers by bits, 3 to 24."""
    rows = []
    for index in range(systems.TEACHERS):
        system = systems.teacher(index, nu0, math.pi * theta0)
        lam = system.modes()[0].numpy()
        rows.append([readouts.window_free_loss(stored_eigenvalues(lam, stored, bits), system) for bits in range(3, 25)])
    return np.log10(rows)


def bits_needed(stored: str, nu0: float = 0.99, theta0: float = 1.0) -> np.ndarray:
    """Of each teacher: bits for a hundredth of the output's variance. An error of eigenvalues halves with each bit and
    the loss falls to a quarter, so this line is laid through all losses below a tenth and above 1e-8."""
    decades = refitted(stored, nu0, theta0)
    lines = np.arange(3, 25) + (decades + 2) / (2 * math.log10(2))
    used = (decades < -1) & (decades > -8)
    return np.nanmean(np.where(used, lines, np.nan), axis=1)


def _bits_a_decade(stored: str) -> Estimate:
    return paired_median(bits_needed(stored, 0.999) / 2, bits_needed(stored, 0.9) / 2)


@_claim(
    "beyond-bits-of-parts",
    "Real and imaginary parts of an eigenvalue need 3.3 more bits for each decade of memory",
    how=f"bits for an error of a hundredth of the output's variance, half of those from ν₀ = .9 to .999; {_REFIT}",
    accepted=near(_BITS_OF_A_DECADE, 0.33, "the logarithm of ten to base two, to a tenth"),
)
def bits_of_parts() -> Estimate:
    return _bits_a_decade("parts")


@_claim(
    "beyond-bits-of-angle",
    "The logarithm of the angle needs as many",
    how=f"the same, with the logarithm of the angle rounded; {_REFIT}",
    accepted=near(_BITS_OF_A_DECADE, 0.33, "the logarithm of ten to base two, to a tenth"),
)
def bits_of_angle() -> Estimate:
    return _bits_a_decade("angle")


@_claim(
    "beyond-bits-of-modulus",
    "The LRU's raw modulus, ln(−ln |λ|), needs hardly any",
    how=f"the same, with the raw modulus rounded; {_REFIT}",
    accepted=at_most(1.1, "a third of the others' 3.3; the closed form gives .8, its logarithm of a logarithm"),
)
def bits_of_modulus() -> Estimate:
    return _bits_a_decade("modulus")


@_claim(
    "beyond-bits-rule-parts",
    "Rule of thumb: for an error of one per cent, three bits more than the logarithm of the memory",
    how=f"parts of the eigenvalue, ν₀ = .99: bits for a hundredth of the output's variance, minus log₂ 100; {_REFIT}",
    accepted=between(2, 4, "three bits, to one bit"),
)
def rule_for_parts() -> Estimate:
    return median(bits_needed("parts") - math.log2(100))


@_claim(
    "beyond-bits-rule-angle",
    "The rule holds for the logarithm of the angle, too, where angles reach π",
    how=f"the same, with the logarithm of the angle rounded; {_REFIT}",
    accepted=between(2, 4, "three bits, to one bit"),
)
def rule_for_angle() -> Estimate:
    return median(bits_needed("angle") - math.log2(100))


# Training -------------------------------------------------------------------------------------------------------------


@functools.cache
def _points():
    return cross_fitted(load_with_second_look("storage"), ["setting"]).set_index("setting")


def trained(setting: str) -> np.ndarray:
    """Decades of the loss over the zero predictor's, a row a teacher."""
    return by_teacher(_points().loc[setting])


def _cost(setting: str, reference: str) -> Estimate:
    return paired_median(trained(setting), trained(reference))


@_claim(
    "beyond-bits-lru",
    "An LRU whose raw parameters are stored in bfloat16 loses at least tenfold",
    how=f"decades from float32 to bfloat16, rounded to nearest after each step, median of pairs; {_RUNS}",
    accepted=at_least(1.0, "a factor of ten"),
)
def cost_for_lru() -> Estimate:
    return _cost("lru, nearest", "lru, float32")


@_claim(
    "beyond-bits-angle-to-blame",
    "Its angle is to blame: rounded alone it costs at least ten times as much as the modulus rounded alone",
    how=f"decades from the modulus alone in bfloat16 to the angle alone, median of pairs; {_RUNS}",
    accepted=at_least(1.0, "a factor of ten"),
)
def angle_over_modulus() -> Estimate:
    return _cost("lru, angle nearest", "lru, modulus nearest")


@_claim(
    "beyond-bits-plain-beats-lru",
    "In bfloat16 plain eigenvalues end below the LRU, whose angle is stored more coarsely",
    how=f"decades from plain eigenvalues with γ to the LRU, both in bfloat16, median of pairs; {_RUNS}",
    accepted=at_least(0.5, "a factor of three, the step between two rates"),
)
def lru_over_plain() -> Estimate:
    return _cost("lru, nearest", "plain, nearest")


@_claim(
    "beyond-bits-copy",
    "A float32 copy that takes the steps is no remedy while the loss sees bfloat16",
    how=f"decades from float32 to a copy, the smaller of LRU and plain eigenvalues, medians of pairs; {_RUNS}",
    accepted=at_least(1.0, "a factor of ten: what is missing are the numbers, not the steps"),
)
def cost_with_copy() -> Estimate:
    return smallest(*(_cost(f"{student}, master", f"{student}, float32") for student in ("lru", "plain")))


@_claim(
    "beyond-bits-eigenvalues-rounded",
    "Nor are raw parameters in float32 if eigenvalues are computed in bfloat16",
    how=f"LRU: decades from float32 to eigenvalues whose parts are rounded once computed, median of pairs; {_RUNS}",
    accepted=at_least(0.5, "a factor of three, the step between two rates"),
    seen=False,
)
def cost_of_rounded_eigenvalues() -> Estimate:
    return _cost("lru, eigenvalues rounded", "lru, float32")


@_claim(
    "beyond-bits-stochastic-modulus",
    "Stochastic rounding helps the modulus, whose steps are smaller than the spacing",
    how=f"modulus alone in bfloat16: decades from stochastic rounding to nearest, median of pairs; {_RUNS}",
    accepted=significantly("helps: the interval of paired differences leaves out 0"),
    seen=False,
)
def stochastic_modulus() -> Estimate:
    return _cost("lru, modulus nearest", "lru, modulus stochastic")


@_claim(
    "beyond-bits-stochastic-angle",
    "It does not help the angle, whose spacing is too coarse",
    how=f"angle alone in bfloat16: decades from stochastic rounding to nearest, median of pairs; {_RUNS}",
    accepted=at_most(FACTOR_OF_TWO, "not: by a factor of two at most"),
    seen=False,
)
def stochastic_angle() -> Estimate:
    return _cost("lru, angle nearest", "lru, angle stochastic")


@_claim(
    "beyond-bits-fixed-point",
    "The same 16 bits suffice if the angle is stored in fixed point",
    how="decades from an angle in float32 to one in 65,536 parts of a turn, the modulus in bfloat16 in both, median of "
    f"pairs; {_RUNS}",
    accepted=similar("suffice: the same to a factor of two"),
    seen=False,
)
def cost_of_fixed_point() -> Estimate:
    return _cost("lru, angle fixed", "lru, modulus nearest")


@_claim(
    "beyond-bits-mended",
    "Together the two remedies make 16 bits a parameter as good as 32",
    how="LRU: decades from float32 to a modulus in bfloat16 with stochastic rounding and an angle in fixed point, "
    f"median of pairs; {_RUNS}. Supposed after the other rows of training were known, before this one was trained",
    accepted=similar("as good: the same to a factor of two"),
)
def cost_when_mended() -> Estimate:
    return _cost("lru, mended", "lru, float32")


@_claim(
    "beyond-bits-float16",
    "The three more bits of float16 do not suffice, either",
    how=f"LRU: decades from float32 to float16, rounded to nearest after each step, median of pairs; {_RUNS}",
    accepted=at_least(FACTOR_OF_TWO, "a factor of two: beyond what other rows call the same"),
    seen=False,
)
def cost_of_float16() -> Estimate:
    return _cost("lru, float16", "lru, float32")


@_claim(
    "beyond-bits-rule-short",
    "The rule in training: at a memory of 10, 6.3 bits, bfloat16 reaches one per cent",
    how="LRU in bfloat16, ν₀ = .9: decades of the loss over the zero predictor's, median; 16 teachers, 1,000 steps",
    accepted=at_most(-2.0, "one per cent"),
    seen=False,
)
def rule_at_short_memory() -> Estimate:
    return median(trained("lru, nearest, nu0 .9"))


@_claim(
    "beyond-bits-rule-long",
    "At a memory of 100, 9.6 bits, it does not",
    how=f"LRU in bfloat16, ν₀ = .99: decades of the loss over the zero predictor's, median; {_RUNS}",
    accepted=at_least(-2.0, "one per cent"),
)
def rule_at_long_memory() -> Estimate:
    return median(trained("lru, nearest"))


# The state ------------------------------------------------------------------------------------------------------------

_MEMORY = 1000


@_claim(
    "beyond-bits-impulse-stays",
    "A real state in bfloat16 keeps an impulse for ever where its memory is 1,000 steps",
    how="the state 10,000 steps after an impulse of 1, λ in full precision; without rounding it would be 5 × 10⁻⁵",
    accepted=at_least(0.99, "for ever: all of it is still there"),
)
def impulse_after_ten_memories() -> float:
    return impulse_response(10 * _MEMORY)[-1]


def impulse_response(steps: int, memory: float = _MEMORY, angle: float = 0.0, bits: int = 8) -> np.ndarray:
    """Moduli of a state after an impulse of 1, rounded in each step, 0 to ``steps`` - 1."""
    lam, h = (1 - 1 / memory) * complex(math.cos(angle), math.sin(angle)), 1 + 0j
    moduli = []
    for _ in range(steps):
        moduli.append(abs(h))
        h *= lam
        h = complex(_float(h.real, bits), _float(h.imag, bits))
    return np.array(moduli)


def _float(value: float, bits: int) -> float:
    """Rounded to nearest, ties to even."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(mantissa, bits)), exponent - bits)


@functools.cache
def noisy_states(memory: int = _MEMORY, units: int = 400) -> tuple[float, np.ndarray]:
    """White noise of unit variance in the state. The error's second moment over the state's; and what is left of an
    impulse in the mean over units, from the difference of runs with and without it, at each step up to ``memory``."""
    lam, generator = 1 - 1 / memory, torch.Generator().manual_seed(0)
    exact = torch.randn(units, dtype=torch.float64, generator=generator)
    h = exact.expand(2, -1).clone()
    h[1] += 1
    h, left = rounded(h, *_bfloat16), []
    sums = torch.zeros(2, dtype=torch.float64)
    for step in range(4 * memory):
        x = math.sqrt(1 - lam**2) * torch.randn(units, dtype=torch.float64, generator=generator)
        exact, h = lam * exact + x, rounded(lam * h + x, *_bfloat16)
        if step < memory:
            left.append((h[1] - h[0]).mean().item())
        if step >= 3 * memory:
            sums += torch.stack([(h[0] - exact).square().mean(), exact.square().mean()])
    return (sums[0] / sums[1]).item(), np.array(left)


@_claim(
    "beyond-bits-noise-hides",
    "Under white noise the same state is right to a fraction of a per cent of its variance, as the closed form has it",
    how="memory 1,000: second moment of the error of the rounded state over that of the state, over the closed form's "
    "4⁻ᵖ m / 11; 400 units",
    accepted=between(0.75, 1.33, "to a third: errors of neighbouring steps need not be independent"),
)
def error_over_closed_form() -> float:
    return noisy_states()[0] / theory.state_error(_MEMORY, 8)


@_claim(
    "beyond-bits-noise-dithers",
    "On top of that noise the impulse fades as it should: noise is dither",
    how="the mean difference of runs with and without the impulse after 1,000 steps, over e⁻¹; 400 units",
    accepted=between(0.9, 1.1, "as it should: to a tenth"),
)
def impulse_under_noise() -> float:
    return noisy_states()[1][-1] / math.exp(-1)


@_claim(
    "beyond-bits-turning-state",
    "A state that turns is its own dither: the impulse fades",
    how="the state 3,000 steps after an impulse of 1, over e⁻³; median of 32 angles from .1 to 3",
    accepted=between(0.8, 1.25, "to a fifth: rounding errors add up at random"),
)
def turning_state() -> Estimate:
    angles = np.linspace(0.1, 3.0, 32)
    return median([impulse_response(3 * _MEMORY, angle=angle)[-1] / math.exp(-3) for angle in angles], "angles")
