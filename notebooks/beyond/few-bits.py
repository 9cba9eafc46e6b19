# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # How many bits does a memory need?
#
# **You will see** that a recurrent parameter needs three bits more than the logarithm of its memory, and so does an angle, the LRU's too;
# that bfloat16 ends at a memory of 30 where one per cent matters; and that a rounded state keeps an impulse for ever, which noise hides.
# **You need** [normalisation and reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb). **Time** half a minute on a CPU.

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

style.use()
FORMATS = {"e5m2": 3, "e4m3": 4, "bfloat16": 8, "float16": 11, "float32": 24}
BLUE, ORANGE, GREEN = "#0173b2", style.COLORS["lru"], "#029e73"

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: the modulus needs few bits, all else one bit for each doubling of memory. Eigenvalues of teachers with memories of 100 steps (ν₀ = .99, angles up to π), stored in few bits, the readout solved anew: share of the output's variance that is left, median and 95 % interval of 32 teachers. Right: training feels the same. LRU and plain eigenvalues with recurrent parameters rounded after each step; each dot is one of 16 teachers.", "name": "fig-few-bits"}, "image": {"alt": "ALT"}}
fig, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.9), layout="constrained")
bits = np.arange(3, 25)
for stored, color, text, at in [
    ("parts", BLUE, "parts of λ", (17.2, 3e-6)),
    ("angle", ORANGE, "log angle", (8.6, 0.12)),
    ("modulus", GREEN, "log log modulus", (3.4, 3e-8)),
]:
    decades = few_bits.refitted(stored)
    estimates = [few_bits.median(column) for column in decades.T]
    left.plot(bits, [10**e.value for e in estimates], color=color)
    left.fill_between(
        bits, [10**e.low for e in estimates], [10**e.high for e in estimates], color=color, alpha=0.2, lw=0
    )
    left.annotate(text, at, color=color)
for name, count in FORMATS.items():
    left.axvline(count, color="0.8", lw=0.8, zorder=0)
    left.annotate(name, (count, 3e-11), (2, 0), textcoords="offset points", rotation=90, color="0.4")
left.set(yscale="log", ylim=(2e-11, 2), xlim=(2.5, 25.5), xlabel="bits", ylabel="share of variance left")
BARS = [
    ("LRU, float32", "lru, float32", ORANGE),
    ("modulus in bfloat16", "lru, modulus nearest", ORANGE),
    ("angle in bfloat16", "lru, angle nearest", ORANGE),
    ("both in bfloat16", "lru, nearest", ORANGE),
    ("stochastic rounding", "lru, stochastic", ORANGE),
    ("float32 copy", "lru, master", ORANGE),
    ("angle in fixed point", "lru, angle fixed", ORANGE),
    ("frozen", "lru, frozen", ORANGE),
    ("plain λ, float32", "plain, float32", BLUE),
    ("λ in bfloat16", "plain, nearest", BLUE),
    ("stochastic rounding", "plain, stochastic", BLUE),
    ("float32 copy", "plain, master", BLUE),
    ("frozen", "plain, frozen", BLUE),
]
for place, (_, setting, color) in enumerate(BARS):
    decades = few_bits.trained(setting).mean(axis=1)
    estimate = few_bits.median(decades)
    ends = [10**estimate.low, 10 ** min(estimate.high, 1)]
    right.plot(10 ** np.minimum(decades, 1), np.full(len(decades), place), ".", ms=3, color=color, alpha=0.4)
    right.plot(ends, [place, place], color=color, lw=2)
    right.plot(10**estimate.value, place, "o", ms=5, color=color)
right.set_yticks(range(len(BARS)), [name for name, *_ in BARS])
right.invert_yaxis()
right.set(xscale="log", xlabel="loss / zero predictor's", xlim=(1e-6, 3));

# %% [markdown]
# ## The rule
# Numbers just below 1 are $2^{-p}$ apart with $p$ significant bits, so a real $\lambda$ in bfloat16 remembers 256 steps and no more:

# %%
pd.DataFrame({name: [theory.longest_memory(count)] for name, count in FORMATS.items()}, ["steps"])

# %% [markdown]
# Well before, memories become coarse. Rounding shifts an eigenvalue by up to $\delta = 2^{-p-1}$, and a unit that is off by
# $\delta$ leaves a share of about $(m \delta / 2)^2$ of its output. An angle is off by a share of itself, and the LRU stores its
# logarithm, which makes it no better. For one per cent, with $m$ the shortest memory and $\theta$ the largest angle:
#
# | what is stored | bits for one per cent | why |
# | --- | --- | --- |
# | real and imaginary part of λ | $\log_2 m + 3$ | an error counts m times |
# | angle or its logarithm | $\log_2 (m \theta) + 2$ | the phase error adds up over m steps |
# | $-\ln \lvert\lambda\rvert$ | 4, at any memory | a share of the rate is a share of the memory |
# | $\ln(-\ln \lvert\lambda\rvert)$, the LRU's | 3 to 5 | the number itself is a logarithm |
# | the state, where nothing or slow inputs come in | $\log_2 m$ | it stalls |
# | the state under noise | $\frac12 \log_2 m + 2$ | errors add up at random |
#
# Each further factor of ten costs $1.7$ bits. Measured, medians of 32 teachers:

# %% tags=["hide-input"]
rows = []
for stored, name in [("parts", "parts of λ"), ("angle", "log angle"), ("modulus", "log log modulus")]:
    needed = {f"m = {m}": np.median(few_bits.bits_needed(stored, 1 - 1 / m)) for m in (10, 100, 1000)}
    small = {f"m = 100, θ up to π/{n}": np.median(few_bits.bits_needed(stored, 0.99, 1 / n)) for n in (10, 100)}
    rows.append({"stored": name} | needed | small)
frame = pd.DataFrame(rows)
frame.style.hide(axis="index").format("{:.1f}", subset=list(frame.columns[1:]))

# %% [markdown]
# ## What training does
# The optimiser and all other parameters stay in float32; 1,000 steps on the paper's task. One intervention at a time says what fails:
#
# - **The angle.** With the modulus alone in bfloat16 the LRU loses little by comparison. With the angle alone it ends where it ends with both.
# - **Numbers, not steps.** A float32 copy that takes the steps, the usual remedy, does not help while the loss sees bfloat16: the numbers that
#   are needed do not exist. Nor does stochastic rounding, which lets small steps through and shakes the eigenvalues at each one.
# - **The format.** Plain eigenvalues do better than the LRU: near 1 and near an axis their parts are finer than the logarithm of
#   an angle near $\pi$. Sixteen bits of fixed point, 65,536 parts of a turn, are finer still.
#
# Keep recurrent parameters, and what is computed from them, in float32. There are few of them.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A rounded state keeps an impulse, unless it turns or noise shakes it. States in bfloat16, eigenvalues in full precision. Left: after an impulse of 1, memories of 200, 300 and 1,000 steps; grey: without rounding. Right: memory 1,000; an angle of .5; and the mean over 400 units of what the impulse adds on top of white noise that gives the state a variance of 1.", "name": "fig-few-bits-state"}, "image": {"alt": "ALT2"}}
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.9), sharey=True, layout="constrained")
steps = np.arange(3000)
for memory, color in zip([200, 300, 1000], style.sequence("lam", 3), strict=True):
    axes[0].plot(steps, (1 - 1 / memory) ** steps, color="0.7", lw=1)
    axes[0].plot(steps, few_bits.impulse_response(3000, memory), color=color, lw=2, label=f"{memory} steps")
axes[0].legend(title="memory", loc="lower right")
turned, noisy = few_bits.impulse_response(3000, angle=0.5), few_bits.noisy_states()[1]
axes[1].plot(steps, (1 - 1 / 1000) ** steps, color="0.7", lw=3)
axes[1].plot(steps, turned, color=ORANGE, lw=1, label="it turns")
axes[1].plot(np.arange(len(noisy)), noisy, color=BLUE, lw=1, label="under noise")
axes[1].legend(loc="lower right")
axes[0].set(yscale="log", ylim=(1e-2, 1.5), ylabel="state", xlabel="steps", title="alone")
axes[1].set(xlabel="steps", title="shaken");

# %% [markdown]
# ## The state
# A real state stays where it is once a step would take away less than half a spacing: in bfloat16 all of an impulse stays from a memory of 512
# steps on, part of it from 258 on. Slow inputs suffer alike: a constant input stops counting once the state is $2^p$ times as large. Noise is
# dither. Errors are then independent, their variance is $4^{-p} m / 11$ of the state's, and bfloat16 carries memories of thousands of steps:

# %%
pd.DataFrame(
    {
        f"m = {m:,}": [f"{theory.state_error(m, count):.1e}" for count in FORMATS.values()]
        for m in (100, 1000, 10_000)
    },
    FORMATS,
)

# %% [markdown]
# So a test on random inputs finds nothing wrong with a state in bfloat16, and a stream with silences does. Reports differ accordingly: vLLM's
# maintainers saw no loss of quality with Mamba's states in bfloat16 ([issue 13466](https://github.com/vllm-project/vllm/issues/13466)), a table
# for SGLang has up to a percentage point on one benchmark ([pull request 10258](https://github.com/sgl-project/sglang/pull/10258)), and in MLX
# output was reported to degenerate within twenty tokens ([pull request 988](https://github.com/ml-explore/mlx-lm/pull/988)). Of parameters,
# Mamba's authors say that they belong in float32 ([issue 6](https://github.com/state-spaces/mamba/issues/6)). Proofs are on
# [the proofs page](../../book/proofs.md).
#
# ## What we expected, and what we measure

# %% tags=["hide-input"]
claims.table(*(entry.name for entry in claims.CLAIMS if entry.name.startswith("beyond-bits")))

# %% tags=["hide-input"]
from rnnlib.lab.experiments.analysis import provenance

print(provenance(experiments.load("storage")))
