# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # How many bits does a memory need?
#
# **You will see** that for one per cent accuracy every recurrent parameter but the LRU's modulus needs two bits more
# than $\log_2$ of its memory, so bfloat16 suffices for 64 steps; what stochastic rounding mends; and a rounded state
# that keeps an impulse for ever unless noise shakes it. **You need** [normalisation and
# reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb). **Time** half a minute on a CPU.

# %% tags=["hide-input"]
import importlib.metadata, importlib.util, subprocess, sys

# The branch main; in a published copy, the commit that executed it.
source = "git+https://repository.invalid/owner/name@main"
if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)
import rnnlib

remedy = "run `%pip uninstall -y rnnlib`, restart the session, then run this cell again"
if not hasattr(rnnlib, "linear_scan"):
    raise ImportError(f"{rnnlib.__file__ or rnnlib.__path__} is another project: {remedy}.")
for distribution in importlib.metadata.distributions(name="rnnlib"):
    origin = distribution.read_text("direct_url.json") or ""  # names a commit if pip took one
    if "commit_id" in origin and not source.endswith("@main") and source[-40:] not in origin:
        raise ImportError(f"This notebook needs {source}, installed is {origin}: {remedy}.")

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rnnlib import theory
from rnnlib.lab import claims, experiments, style
from rnnlib.lab.claims import few_bits
from rnnlib.lab.statistics import median

style.use()
FORMATS = {"e5m2": 3, "e4m3": 4, "bfloat16": 8, "float16": 11, "float32": 24}
PLAIN, LRU = style.COLORS["crnn_gamma"], style.COLORS["lru"]
INK = {PLAIN: "#8c5a2b", LRU: "#b84f00"}  # the same, dark enough for words

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: for the same error the modulus needs five to six bits fewer than the angle or the parts of λ. Eigenvalues of teachers with memories of 100 steps (ν₀ = .99, angles up to π), stored in few bits, with the readout refitted: unexplained share of the output's variance, median and 95 % interval of 32 teachers. Right: in training, too, the angle is to blame: alone in bfloat16 it costs as much as both. LRU and plain eigenvalues with recurrent parameters rounded after each step; each dot is one of 16 teachers.", "name": "fig-few-bits"}, "image": {"alt": "Left: three falling curves on a logarithmic axis against bits from 3 to 24. Those of the parts of λ and of the log angle run together, from 1 at 5 bits through a hundredth at about 9 to 1e-11 at 24; that of the modulus starts at a hundredth at 3 bits and falls alike. Vertical lines mark e5m2, e4m3, bfloat16 at 8 bits, float16 at 11 and float32 at 24. Right: losses as dots with intervals. LRU: float32 1e-4, both in bfloat16 0.02, in float16 5e-4, in float8 0.5, modulus alone 3e-4, with stochastic rounding 7e-5, angle alone 0.015, with stochastic rounding 0.07, 16-bit remedies 1e-4, float32 copy 0.03, λ computed in bfloat16 0.002, not trained 0.35. Plain λ: float32 1e-5, bfloat16 7e-4, stochastic 0.005, float32 copy 0.002, not trained 0.35."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(7.3, 3.9), layout="constrained")
bits = np.arange(3, 25)
for stored, color, line, text, at in [
    ("parts", PLAIN, "-", "parts of λ", (16.4, 3e-6)),
    ("angle", LRU, "-", "log angle", (8.7, 0.2)),
    ("modulus", LRU, "--", "ln(-ln |λ|)", (2.6, 3e-8)),
]:
    decades = few_bits.refitted(stored)
    estimates = [median(column) for column in decades.T]
    ends = [10 ** np.array([getattr(e, end) for e in estimates]) for end in ("low", "high")]
    left.plot(bits, [10**e.value for e in estimates], line, color=color)
    left.fill_between(bits, *ends, color=color, alpha=0.2, lw=0)
    left.annotate(text, at, color=INK[color], bbox={"fc": "white", "ec": "none", "pad": 1})
for name, count in FORMATS.items():
    left.axvline(count, color="0.8", lw=0.8, zorder=0)
    side = "right" if name == "e5m2" else "left"  # the next line is one bit away
    at = (count - 0.2 if side == "right" else count + 0.2, 3e-11)
    left.annotate(name, at, rotation=90, color="0.4", ha=side)
left.set(yscale="log", ylim=(2e-11, 2), xlim=(1.5, 25.5))
left.set(xlabel="bits", ylabel="unexplained share of variance")
BARS = [
    ("LRU, float32", "lru, float32", LRU),
    ("both in bfloat16", "lru, nearest", LRU),
    ("both in float16", "lru, float16", LRU),
    ("both in float8 (e4m3)", "lru, float8_e4m3fn", LRU),
    ("modulus alone", "lru, modulus nearest", LRU),
    ("modulus, stochastic", "lru, modulus stochastic", LRU),
    ("angle alone", "lru, angle nearest", LRU),
    ("angle, stochastic", "lru, angle stochastic", LRU),
    ("16-bit remedies", "lru, mended", LRU),
    ("float32 copy", "lru, master", LRU),
    ("λ computed in bfloat16", "lru, eigenvalues rounded", LRU),
    ("not trained", "lru, frozen", LRU),
    ("plain λ, float32", "plain, float32", PLAIN),
    ("in bfloat16", "plain, nearest", PLAIN),
    ("stochastic", "plain, stochastic", PLAIN),
    ("float32 copy", "plain, master", PLAIN),
    ("not trained", "plain, frozen", PLAIN),
]
for place, (_, setting, color) in enumerate(BARS):
    decades = few_bits.trained(setting).mean(axis=1)
    estimate, at = median(decades), np.full(len(decades), place)
    ends = [10**estimate.low, 10 ** min(estimate.high, 1)]
    right.plot(10 ** np.minimum(decades, 1), at, ".", ms=3, color=color, alpha=0.4)
    right.plot(ends, [place, place], color=color, lw=2)
    right.plot(10**estimate.value, place, "o", ms=5, color=color)
right.set_yticks(range(len(BARS)), [name for name, *_ in BARS])
right.invert_yaxis()
right.set(xscale="log", xlabel="loss / zero predictor's", xlim=(1e-6, 3));

# %% [markdown]
# ## The rule
# With $p$ significant bits, numbers just below 1 are $2^{-p}$ apart, so a real $\lambda$ in bfloat16 remembers at most
# 256 steps:

# %% tags=["hide-input"]
steps = {name: f"{theory.longest_memory(count):,.0f}" for name, count in FORMATS.items()}
pd.DataFrame([{"stored as": "longest memory, steps"} | steps]).style.hide(axis="index")

# %% [markdown]
# Memories become coarse well before that. An eigenvalue with error $\delta$ causes a relative error of about
# $(m \delta / 2)^2$ in its unit's output variance, so a decade of memory costs $\log_2 10 = 3.3$ bits, and a decade of
# accuracy half as many. Bits for one per cent, with $m$ the shortest memory:
#
# | what is stored | bits | why |
# | --- | --- | --- |
# | real and imaginary parts of λ | $\log_2 m + 2$ | an error acts m times |
# | angle up to π, or its logarithm | $\log_2 m + 2$ | the phase error adds up over m steps |
# | the LRU's modulus, $\ln(-\ln \lvert\lambda\rvert)$ | 2 to 4 | a relative error of the rate is one of the memory |
# | the state, with no input or slow inputs | $\log_2 m$ | it stalls |
# | the state under noise | $\frac12 \log_2 m + 2$ | errors add up at random |
#
# From four teachers we had expected three bits instead of two. Measured, medians of 32:

# %% tags=["hide-input"]
rows = []
for stored, name in [("parts", "parts of λ"), ("angle", "log angle"), ("modulus", "ln(-ln |λ|)")]:
    row = {"stored": name}
    for m, n in [(10, 1), (100, 1), (1000, 1), (100, 10), (100, 100)]:
        column = f"m = {m}" if n == 1 else f"m = {m}, angles to π/{n}"
        row[column] = np.median(few_bits.bits_needed(stored, 1 - 1 / m, 1 / n))
    rows.append(row)
frame = pd.DataFrame(rows)
frame.style.hide(axis="index").format("{:.1f}", subset=list(frame.columns[1:]))

# %% [markdown]
# ## What training does
# Optimiser and all other parameters stay in float32; 1,000 steps on the paper's task. One intervention at a time shows
# what fails:
#
# - **The modulus lacks steps.** Its values are 1/32 apart, and a step of less than half of that is rounded away.
#   Stochastic rounding lets small steps through on average, and training ends as low as in float32
#   (`beyond-bits-stochastic-modulus`).
# - **The angle lacks resolution.** Alone in bfloat16 it costs as much as both (`beyond-bits-angle-to-blame`).
#   Stochastic rounding makes it worse: it adds noise to an angle that is too coarse anyway
#   (`beyond-bits-stochastic-angle`). Sixteen bits of fixed point, 65,536 parts of a turn, cost nothing visible with 16
#   teachers (`beyond-bits-fixed-point`), nor do both remedies together (`beyond-bits-mended`).
# - **A float32 copy is no remedy** while the loss sees bfloat16: it keeps steps but adds no resolution. Computing
#   $\lambda$ in bfloat16 from float32 parameters fails, too (`beyond-bits-copy`).
# - **Other formats** rank by their bits: float16 still costs something (`beyond-bits-float16`), and in float8 training
#   the recurrence gains nothing.
# - **Plain eigenvalues do better** than the LRU: their parts have a finer resolution than the logarithm of an angle
#   near $\pi$ (`beyond-bits-plain-beats-lru`).
#
# Keep recurrent parameters, and what is computed from them, in float32: they are few. If you need 16 bits, store the
# modulus with stochastic rounding and the angle in fixed point.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A rounded state never forgets an impulse if its memory is long, unless it rotates or noise shakes it. States in bfloat16, eigenvalues in full precision. Left: after an impulse of 1, memories of 200, 300 and 1,000 steps; grey: without rounding. Right: memory 1,000; a state that rotates by .5 a step; and, dotted, what the impulse adds to a state of variance 1 under white noise, mean of 400 units.", "name": "fig-few-bits-state"}, "image": {"alt": "Two plots of a state against steps, logarithmic. Left: with a memory of 200 steps the rounded state falls as the unrounded one; with 300 it falls to 0.59 and stays; with 1,000 it stays at 1. Right: turning and under noise it falls with the unrounded one to 0.05 after 3,000 steps."}}
fig, axes = plt.subplots(1, 2, figsize=(7.3, 2.9), sharey=True, layout="constrained")
steps = np.arange(3000)
for memory, color in zip([200, 300, 1000], style.sequence("lam", 3), strict=True):
    axes[0].plot(steps, (1 - 1 / memory) ** steps, color="0.7", lw=1)
    rounded = few_bits.impulse_response(3000, memory)
    axes[0].plot(steps, rounded, color=color, lw=2)
for text, at in [("memory 1,000", (1500, 1.13)), ("300", (1500, 0.66)), ("200", (330, 0.02))]:
    axes[0].annotate(text, at)
turned, noisy = few_bits.impulse_response(3000, angle=0.5), few_bits.noisy_states()[1]
axes[1].plot(steps, (1 - 1 / 1000) ** steps, color="0.7", lw=3)
axes[1].plot(steps, turned, color="black", lw=1)
axes[1].plot(np.arange(len(noisy)), noisy, color="black", lw=2, ls=":")
axes[1].annotate("it turns", (1900, 0.2))
axes[1].annotate("under noise, dotted", (150, 0.12))
axes[0].set(yscale="log", ylim=(1e-2, 1.5), ylabel="state", xlabel="steps", title="alone")
axes[1].set(xlabel="steps", title="shaken");

# %% [markdown]
# ## The state
# A real state stalls once a step would remove less than half a spacing: in bfloat16 all of an impulse stays at memories
# of 512 steps and more, half or more at 258 and more. Slow inputs suffer likewise: a constant input has no effect once
# the state is $2^p$ times as large. Noise acts as dither: errors become independent, their variance is $4^{-p} m / 11$
# of the state's, and bfloat16 carries memories of thousands of steps. This share, by format:

# %% tags=["hide-input"]
def shown(share):
    """To one digit."""
    return claims.display.number(float(f"{share:.1g}"))


rows = []
for m in (100, 1000, 10_000):
    shares = {name: shown(theory.state_error(m, count)) for name, count in FORMATS.items()}
    rows.append({"memory": f"{m:,}"} | shares)
pd.DataFrame(rows).style.hide(axis="index")

# %% [markdown]
# So random inputs reveal nothing wrong with a bfloat16 state, and a stream with silences does. Reports differ. Mamba's
# bfloat16 states cost nothing in vLLM's tests ([issue 13466](https://github.com/vllm-project/vllm/issues/13466)), up to
# a percentage point on a benchmark in SGLang ([pull request 10258](https://github.com/sgl-project/sglang/pull/10258)),
# and in MLX output degenerates within twenty tokens ([pull request
# 988](https://github.com/ml-explore/mlx-lm/pull/988)). Whether silences explain that is unknown. Mamba's authors want
# parameters in float32 ([issue 6](https://github.com/state-spaces/mamba/issues/6)). Proofs: [few
# digits](../../book/proofs-digits.md).
#
# ## What we expected, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Statements of this page, written down before the runs, most of them after trials on a few teachers. A statement holds if its dot and its whole interval lie in the shaded band. Each row has a scale of its own; bars are 95 % intervals where a number is sampled; at the right stand verdict, our number and the range that agrees.", "name": "fig-few-bits-claims"}, "image": {"alt": "One row for each statement of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
names = [c.name for c in claims.CLAIMS if c.name.startswith("beyond-bits")]
claims.picture(*names);

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table(*names)

# %% tags=["hide-input"]
from rnnlib.lab.experiments.analysis import provenance

print(provenance(experiments.load("storage")))
