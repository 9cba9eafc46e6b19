# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Gates that move
#
# **You will see** how well a gate that the input moves still acts as one eigenvalue: in two extremes, on text, and
# where the gate sees the state. **You need** [gates as eigenvalues](07-gates-as-eigenvalues.ipynb). **Time** under half
# a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A gate drawn anew at each step acts as one eigenvalue; a frozen one acts as a different one in each sequence. What is left of a state after t steps, T = 32, gate logits with standard deviation 1: median and central 90 % of 2,000 sequences; dashed: the constant gate.", "name": "fig-products"}, "image": {"alt": "Two plots of the product of gates against t up to 150, logarithmic. Gates that are new at each step: a narrow band around a line somewhat steeper than the constant gate's. Frozen gates: a wide band around the constant gate's line, from hardly any decay to decay within ten steps."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import ChronoGRU
from rnnlib.lab import experiments, style, text

style.use()
scale = experiments.scale_from_environment()


def products(kind, s, bias, steps, count=2000, seed=0):
    """Products of gates over time, one row a sequence."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(count, steps if kind == "new at each step" else 1))
    log_z = -np.logaddexp(0, -(bias + s * g))
    return np.exp(np.cumsum(np.broadcast_to(log_z, (count, steps)), axis=1))


bias, steps = np.log(32), 150
t = np.arange(1, steps + 1)
fig, axes = plt.subplots(1, 2, figsize=(7, 2.3), sharey=True, layout="constrained")
for ax, kind in zip(axes, ["new at each step", "frozen"], strict=True):
    low, middle, high = np.quantile(products(kind, 1.0, bias, steps), [0.05, 0.5, 0.95], axis=0)
    ax.fill_between(t, low, high, color=style.COLORS["gru"], alpha=0.3, lw=0)
    ax.semilogy(t, middle, color=style.COLORS["gru"])
    ax.semilogy(t, (32 / 33) ** t, "k--", lw=1.2)
    ax.set(xlabel="$t$", title=kind, ylim=(1e-4, 1.5))
axes[0].text(150, 0.09, "constant gate", ha="right")
axes[0].text(95, 2e-3, "median", ha="right", color="#2a7aa8")
axes[0].set_ylabel(r"what is left, $\prod z$");

# %% [markdown]
# A gate that fluctuates from step to step still acts as one eigenvalue, somewhat smaller than its bias implies. A shift
# that lasts for the whole sequence gives every sequence its own time constant. Text does both.

# %% [markdown]
# ## Two extremes
# Let the input move the gate, $z_t = \sigma(b + s g_t)$ with $g_t$ of variance 1. After $t$ steps a unit retains
# $\prod z$ of its state, not $\lambda^t$.
#
# - *New at each step.* The product is $e^{\sum \log z}$, and typically $e^{t\, \mathrm{E} \log z}$. Since $\log \sigma$
#   is concave, $\mathrm{E} \log z < \log \sigma(b)$: such a unit forgets faster than its bias implies, but acts as one
#   eigenvalue, $e^{\mathrm{E} \log z}$.
# - *Frozen over the sequence.* Then $s g$ shifts the bias: the time constant is $T e^{s g}$, a different one in every
#   sequence.
#
# ## On text
# The gate moves with every word, and the mean embedding, the same in every sentence, shifts it for good. We compare the
# time constant that each unit of a minGRU has on our text, $T_{\text{eff}} = 1 / (1 - e^{\overline{\log z}}) - 1$, with
# the one that its bias sets:

# %%
source = text.default_source()
sequences = text.load(source, 8, 512 if scale != "smoke" else 64)
gru = ChronoGRU(
    sequences.x.shape[-1],
    256,
    candidate="linear",
    gates="input",
    generator=torch.Generator().manual_seed(0),
)
given = gru.bias.detach().exp().numpy()
effective = {}
for label, inputs in [
    ("inputs as they are", sequences.x),
    ("mean removed", sequences.x - sequences.x.mean((0, 1))),
]:
    decay = gru.eigenvalues(inputs).log().mean((0, 1)).exp().detach().numpy()
    effective[label] = decay / (1 - decay)
    spread = np.log(effective[label] / given)
    middle, width = np.exp(np.median(spread)), np.exp(spread.std())
    print(f"{label}: T_eff / T has median {middle:.2f}, spread by a factor of {width:.2f}")
print(sequences.source)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The mean embedding shifts time constants; without it, concavity alone lowers them a little. Time constants of 256 units of a minGRU: set by the bias (given), and computed from the mean of log z over eight sequences (effective). Dashed: equal.", "name": "fig-effective"}, "image": {"alt": "Log-log scatter of effective against given time constant for two kinds of input. With the mean embedding removed units lie in a narrow band a little below the diagonal; with it the band is wider, some units reach the diagonal and some lie at half of it."}}
fig, ax = plt.subplots(figsize=(5.6, 2.8), layout="constrained")
for (label, values), color in zip(effective.items(), ["#0173b2", "#de8f05"], strict=True):
    ax.loglog(given, values, ".", ms=4, color=color, label=label)
ax.plot([1, 256], [1, 256], "k--", lw=1)
ax.set(xlabel="given $T$", ylabel="effective $T$")
ax.legend(markerscale=2);

# %% [markdown]
# With its mean removed, the input only moves the gate from word to word, and the units lie in a narrow band below the
# diagonal, as concavity predicts. The mean embedding widens the band: some units remember longer than their bias sets,
# most for less time.
#
# ## Gates that see the state
# A gate that sees the state couples the units: $\partial h_t / \partial h_{t-1}$ gains off-diagonal entries of the size
# of $(h - n) \, z (1 - z)$ times a recurrent weight. A candidate that sees the state adds others, to first order of the
# size of $(1 - z)(1 - n^2) \, r$ times a recurrent weight, with $r$ the reset gate. [Figure 14](../figures/fig14.ipynb)
# measures them in a GRU and an LSTM at the start of training; a minGRU has none.

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: what a moving gate costs
# *Derive. Easy.* Let $z = \sigma(b + s g)$ with a standard normal $g$, new at each step, and a long memory,
# $b = \log T$ with large $T$. By which factor is the typical time constant shorter than $T$? How large may $s$ be if it
# is to stay above a half?
#
# <details>
# <summary>Solution 1</summary>
#
# $-\log z = \log(1 + e^{-b - sg}) \approx e^{-sg} / T$, whose mean is $e^{s^2/2} / T$. So the typical product is
# $e^{-t\, e^{s^2/2} / T}$ and the time constant $T e^{-s^2/2}$. It is $T/2$ at $s = \sqrt{2 \ln 2} = 1.18$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
for s in [0.5, 1.0, (2 * np.log(2)) ** 0.5]:
    typical = np.median(np.log(products("new at each step", s, np.log(10_000), 1000)[:, -1]))
    factor = -1000 / typical / 10_000
    print(f"s = {s:.2f}: time constant {factor:.3f} T, formula {np.exp(-(s**2) / 2):.3f} T")
    assert abs(factor / np.exp(-(s**2) / 2) - 1) < 0.02
answer = (2 * np.log(2)) ** 0.5  # the largest s
assert answer < 1.19, "too large: at this s less than half of T is left"
assert answer > 1.16, "too small: more than half of T is left"

# %% [markdown]
# ### Exercise 2: a gate of two minds
# *Predict, then run. Medium.* At each step a coin decides whether a gate has the time constant 1 or 256. What is the
# unit's typical time constant: the mean 128, the geometric mean 16, or another? Decide, then multiply 1,000 such gates.
#
# <details>
# <summary>Solution 2</summary>
#
# The product of many gates goes as $e^{t\,\mathrm{E}\log z}$, so the eigenvalue is the geometric mean of *the gates*,
# $\sqrt{\frac12 \cdot \frac{256}{257}} = 0.706$, a time constant of 2.4. Forgetting wins: half of the steps halve the
# state, and no later step restores it.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
coins = np.random.default_rng(0).choice([1 / 2, 256 / 257], size=(4000, 1000))
decay = np.exp(np.median(np.log(coins).sum(1)) / 1000)
print(f"typical eigenvalue {decay:.4f}, time constant {decay / (1 - decay):.2f}")
assert abs(decay - (1 / 2 * 256 / 257) ** 0.5) < 1e-3
answer = decay / (1 - decay)  # the typical time constant
assert answer < 100, "that is the mean; which gates decide a product?"
assert abs(answer / 16 - 1) > 0.1, "time constants do not multiply, eigenvalues do"
assert abs(answer / 2.4 - 1) < 0.1, "take the geometric mean of the eigenvalues"

# %% [markdown]
# ### Exercise 3: a mean that no eigenvalue describes
# *Break it. Hard.* Average the product of the gates after $t$ steps over sequences. Is this mean the power $\lambda^t$
# of some eigenvalue, for gates that are new at each step and for frozen ones? Compare the time constant
# $-1 / \log(m_{t+1} / m_t)$ of the mean $m_t$ at early and at late times, and say which sequences decide it.
#
# <details>
# <summary>Solution 3</summary>
#
# For gates that are new at each step the factors are independent, so the mean is $(\mathrm{E} z)^t$: one eigenvalue,
# slightly larger than the typical one. For frozen gates the mean is $\mathrm{E}[z^t]$, a mixture of eigenvalues. The
# fast sequences fade first and the slow ones are left, so the time constant of the mean grows with $t$, without bound
# if $g$ is normal. The mean over sequences then says little about any one of them.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
constants = {}
for kind in ["new at each step", "frozen"]:
    mean = products(kind, 1.0, bias, 301, count=20_000).mean(0)
    constants[kind] = [-50 / np.log(mean[t + 50] / mean[t]) for t in (0, 250)]
    early, late = constants[kind]
    print(f"{kind}: time constant of the mean {early:.0f} early, {late:.0f} late")
early, late = constants["new at each step"]
assert abs(late / early - 1) < 0.1
early, late = constants["frozen"]
assert late > 2 * early
answer = constants["frozen"]  # the mean's time constant for frozen gates, early and late
assert answer[1] > 2 * answer[0], "late, only the slowest sequences are left: compare later times"
