# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Gates are eigenvalues that the input moves
#
# **You will see** that a gated unit is a linear unit with both remedies against the curse of memory built in, how far a gate that moves
# still acts as an eigenvalue, and where an LSTM and a minGRU stand in the same picture. **You need**
# [normalisation and reparametrisation](03-normalisation-and-reparametrisation.ipynb). **Time** under half a minute on a CPU.

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

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import ChronoGRU, linear_scan, theory
from rnnlib.lab import experiments, style, text

style.use()
scale = experiments.scale_from_environment()

# %% [markdown]
# ## One unit, one gate
# A GRU mixes its old state and a candidate $n_t$, and its gate sets the shares,
#
# $$h_t = z_t \, h_{t-1} + (1 - z_t) \, n_t, \qquad z_t = \sigma(b + \dots) .$$
#
# Read $z_t$ as $\lambda_t$ and this is the recurrence of all pages before, with an eigenvalue that may differ from step to step. If gate
# and candidate do not see the state, nothing else is in it, and it is a scan:

# %%
unit = ChronoGRU(
    3, 5, candidate="linear", gates="input", generator=torch.Generator().manual_seed(0)
)
x = torch.randn(1, 100, 3, generator=torch.Generator().manual_seed(1))
z = torch.sigmoid(x @ unit.weight_z.mT + unit.bias)
h = linear_scan(z, (1 - z) * (x @ unit.weight_n.mT))
print(f"largest difference {(h - unit(x)[0]).abs().max():.1e}")

# %% [markdown]
# ## Both remedies at once
# Take a constant gate, $\lambda = \sigma(b)$. Then $1 - \lambda$ is an input scale, a stronger one than $\gamma = \sqrt{1 - \lambda^2}$; and
# $b$ is a reparametrisation with $\mathrm{d}\lambda / \mathrm{d}b = \lambda (1 - \lambda)$, so that equal steps of $b$ make ever smaller
# steps of $\lambda$ as it nears 1. With $b = \log T$ the gate is $\lambda = T / (1 + T)$, so $T = \lambda / (1 - \lambda)$ is the unit's time
# constant, one step less than its memory length; Chrono initialisation draws $T$ from a range and sets $b$ by it. With $F$ and $S$ of [the curse of memory](02-curse-of-memory.ipynb) and $\tilde F(a, b) = (1-a)(1-b) F(a, b)$,
#
# $$\mathrm{E}\,h^2 = \tilde F(\lambda, \lambda), \qquad
#   \mathrm{E}(\mathrm{d}_b h)^2 = \big(\lambda (1 - \lambda)\big)^2 \, \partial_a \partial_b \tilde F \,\big|_{a = b = \lambda} .$$
#
# The derivative acts on the input scale too: a unit that remembers longer listens less. For white inputs, with
# $\varepsilon = 1 - \lambda$ and $F_a = \partial_a F$, the three terms of $\partial_a \partial_b \tilde F = F - 2 \varepsilon F_a + \varepsilon^2 S$ are, to
# leading order, $\frac{1}{2\varepsilon} - \frac{1}{2\varepsilon} + \frac{1}{4\varepsilon}$, hence
# $\mathrm{E}\,h^2 \approx \varepsilon / 2$ and $\mathrm{E}(\mathrm{d}_b h)^2 \approx \varepsilon / 4$. Nothing explodes; both shrink.

# %% mystnb={"figure": {"caption": "A gated unit with time constant T = λ / (1 - λ): second moments of its state and of its sensitivity to b, and their ratio; grey: the bare linear unit, white inputs, its derivative taken with respect to λ.", "name": "fig-gated-moments"}, "image": {"alt": "Three log-log plots against the time constant T, one curve for each input correlation. The state's moment falls as one over T for T beyond the correlation time, and stays at 1 for constant inputs. The sensitivity rises and then falls as one over T; for constant inputs it is zero and not drawn. Their ratio tends to one half for all correlations below 1, while the bare unit's grows as T squared."}}
T = np.geomspace(0.1, 1e5, 200)
lam = T / (1 + T)
rhos = [0, 0.9, 0.99, 0.999, 1]
fig, axes = plt.subplots(1, 3, figsize=(9.4, 2.8), sharex=True, layout="constrained")
bare = theory.state_variance(lam, 0), theory.sensitivity(lam, 0)
for ax, curve in zip(axes, [*bare, bare[1] / bare[0]], strict=True):
    ax.loglog(T, curve, color="0.7")
for rho, color in zip(rhos, style.sequence("rho", len(rhos)), strict=True):
    variance, sensitivity = (
        theory.gated_state_variance(lam, rho),
        theory.gated_sensitivity(lam, rho),
    )
    axes[0].loglog(T, variance, color=color, label=rf"$\rho = {rho}$")
    if rho < 1:  # 0 for constant inputs
        axes[1].loglog(T, sensitivity, color=color)
        axes[2].loglog(T, sensitivity / variance, color=color)
axes[2].axhline(0.5, color="black", ls=":", lw=1)
titles = [r"$\mathrm{E}\,h^2$", r"$\mathrm{E}(\mathrm{d}_b h)^2$", "ratio"]
for ax, title in zip(axes, titles, strict=True):
    ax.set(xlabel="$T$", title=title, ylim=(1e-6, 1e2))
axes[0].legend(fontsize="small");
# %% [markdown]
# The ratio is what counts where a readout or a normalisation rescales the state. It tends to 1/2 for every $\rho < 1$, and so does that of
# an LRU: [normalised and reparametrised](03-normalisation-and-reparametrisation.ipynb), its moments level off at $(1+\rho)/(1-\rho)$ and at
# half of that. In this sense a gate does what the LRU was built to do.

# %%
for rho in [0, 0.9, 0.99]:
    near = 1 - 1e-5
    gated = theory.gated_sensitivity(near, rho) / theory.gated_state_variance(near, rho)
    lru = (
        (near * np.log(near)) ** 2
        * theory.sensitivity(near, rho)
        / theory.state_variance(near, rho)
    )
    print(f"rho = {rho:<4}  gated unit {gated:.4f}  LRU {lru:.4f}")

# %% [markdown]
# ## An LSTM ties less
# In an LSTM, $c_t = f_t \, c_{t-1} + i_t \, n_t$, the cell $c_t$ is the memory, the forget gate $f_t$ the eigenvalue, the input gate $i_t$ the input scale
# and $n_t$ the candidate. With Chrono initialisation the input gate $i$ starts at $1 - f$, and a unit at the start cannot be told from a GRU's. Its derivative can: the input gate
# has a bias of its own, which $b_f$ does not move. A minGRU is the scan above: its gate and its candidate see the input alone.
#
# | unit | eigenvalue | input scale | follows the eigenvalue's parameter | gates see |
# | --- | --- | --- | --- | --- |
# | LRU | $e^{-e^{\omega_\nu} + i e^{\omega_\theta}}$ | $\gamma$, learned | no | nothing |
# | GRU | update gate $z_t$ | $1 - z_t$ | yes | input and state |
# | minGRU | update gate $z_t$ | $1 - z_t$ | yes | input |
# | LSTM | forget gate $f_t$ | input gate $i_t$, $1 - f_t$ at the start | no | input and state |
#
# Over a finite window all of these are weighted sums of inputs, so `theory.window_moment` gives their second moments for any
# autocorrelation.

# %% mystnb={"figure": {"caption": "Second moment of the sensitivity to the gate's bias over that of the state, GRU (solid) and LSTM (dashed), windows of 4,096 steps. Left: white, correlated and constant inputs; right: the weights of 120 past inputs at T = 20.", "name": "fig-lstm"}, "image": {"alt": "Left, log-log against T: for white inputs GRU and LSTM approach one half. For correlation 0.99 and 0.999 the GRU's ratio is up to hundreds of times smaller than the LSTM's, which rises to nearly 1; for constant inputs the LSTM's alone is drawn and tends to 1. Right: the GRU's weights are negative for the latest twenty inputs and positive before; the LSTM's are positive throughout."}}
steps = 4096
times = np.geomspace(1, 400, 30)
fig, axes = plt.subplots(1, 2, figsize=(8.4, 3), width_ratios=[1.4, 1], layout="constrained")
for rho, color in zip([0, 0.99, 0.999, 1], style.sequence("rho", 4), strict=True):
    R = np.r_[1.0, float(rho) ** np.arange(1, steps)]
    for response, line, name in [
        (theory.gated_response, "-", "GRU"),
        (theory.lstm_response, "--", "LSTM"),
    ]:
        state, own = (theory.window_moment(w, R) for w in response(times / (1 + times), steps))
        if (name, rho) == ("GRU", 1):
            continue  # nothing but what the finite window leaves
        label = rf"{name}, $\rho = {rho}$"
        axes[0].loglog(times, own / state, line, color=color, label=label)
axes[0].set(xlabel="$T$", ylabel="sensitivity / state", ylim=(1e-5, 3))
axes[0].legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
for response, line, name in [
    (theory.gated_response, "-", "GRU"),
    (theory.lstm_response, "--", "LSTM"),
]:
    axes[1].plot(response(20 / 21, 120)[1], line, color="black", label=name)
axes[1].axhline(0, color="0.7", lw=1)
axes[1].set(xlabel="input, steps ago", ylabel="weight")
axes[1].legend(fontsize="small")
white = np.r_[1.0, np.zeros(steps - 1)]
for T in [1, 10, 100]:
    gru, lstm = (
        theory.window_moment(response(T / (1 + T), steps)[1], white)
        for response in [theory.gated_response, theory.lstm_response]
    )
    print(f"white inputs, T = {T:3}: sensitivity of the GRU over the LSTM's {gru / lstm:.2f}")

# %% [markdown]
# For white inputs the two agree at long memory (60 % apart at $T = 1$, 1 % at 100). For correlated ones a GRU's two effects cancel, more remembered against less heard; the LSTM has
# the first alone, and its sensitivity stays of the size of its state. [Figure 15](../figures/fig15.ipynb) measures this on text.
#
# ## Gates that move
# Now let the input move the gate, $z_t = \sigma(b + s g_t)$ with $g_t$ of variance 1. What a unit still holds after $t$ steps is
# $\prod z$, not $\lambda^t$. Two extremes:
#
# - $g$ is new at each step. The product is $e^{\sum \log z}$, and typically $e^{t\, \mathrm{E} \log z}$. Since $\log \sigma$ is concave,
#   $\mathrm{E} \log z < \log \sigma(b)$: such a unit forgets faster than its bias says, but a moving gate remains one eigenvalue,
#   $e^{\mathrm{E} \log z}$.
# - $g$ is frozen over the sequence. Then it is a shift of the bias: the time constant is $T e^{s g}$, a different one in every sequence.


# %%
def products(kind, s, bias, steps, count=2000, seed=0):
    """Products of gates over time, one row a sequence."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(count, steps if kind == "new at each step" else 1))
    log_z = -np.logaddexp(0, -(bias + s * g))
    return np.exp(np.cumsum(np.broadcast_to(log_z, (count, steps)), axis=1))


# %% mystnb={"figure": {"caption": "What is left of a state after t steps, T = 32, gates that move by one standard deviation of the biased input: median and 90 % of 2,000 sequences; black: the constant gate.", "name": "fig-products"}, "image": {"alt": "Two plots of the product of gates against t up to 150, logarithmic. Gates that are new at each step: a narrow band around a line somewhat steeper than the constant gate's. Frozen gates: a wide band around the constant gate's line, from hardly any decay to decay within ten steps."}}
bias, steps = np.log(32), 150
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.8), sharey=True, layout="constrained")
for ax, kind in zip(axes, ["new at each step", "frozen"], strict=True):
    low, middle, high = np.quantile(products(kind, 1.0, bias, steps), [0.05, 0.5, 0.95], axis=0)
    ax.fill_between(np.arange(1, steps + 1), low, high, color=style.COLORS["gru"], alpha=0.3, lw=0)
    ax.semilogy(np.arange(1, steps + 1), middle, color=style.COLORS["gru"], label="median")
    ax.semilogy(
        np.arange(1, steps + 1), (32 / 33) ** np.arange(1, steps + 1), "k--", label="constant"
    )
    ax.set(xlabel="$t$", title=kind, ylim=(1e-4, 1.5))
axes[0].set_ylabel(r"$\prod z$")
axes[0].legend(fontsize="small");
# %% [markdown]
# On text both happen: word by word the gate moves, and the mean embedding, the same in every sentence, shifts it for good. The time constant
# that a minGRU's unit really has on our text, $T_{\text{eff}} = 1 / (1 - e^{\overline{\log z}}) - 1$, against the one it was given:

# %% mystnb={"figure": {"caption": "Time constants of 256 units of a minGRU: the one set by the bias, and the one that the mean of log z over eight sequences gives.", "name": "fig-effective"}, "image": {"alt": "Log-log scatter of effective against given time constant for two kinds of input. With the mean embedding removed units lie in a narrow band a little below the diagonal; with it the band is wider, some units reach the diagonal and some lie at half of it."}}
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
fig, ax = plt.subplots(figsize=(4.4, 3.2), layout="constrained")
centred = sequences.x - sequences.x.mean((0, 1))
for inputs, label, color in [
    (sequences.x, "inputs as they are", "#0173b2"),
    (centred, "mean removed", "#de8f05"),
]:
    decay = gru.eigenvalues(inputs).log().mean((0, 1)).exp().detach().numpy()
    effective = decay / (1 - decay)
    ax.loglog(given, effective, ".", ms=4, color=color, label=label)
    spread = np.log(effective / given)
    middle, width = np.exp(np.median(spread)), np.exp(spread.std())
    print(f"{label}: T_eff / T has median {middle:.2f}, spread by a factor of {width:.2f}")
ax.plot([1, 256], [1, 256], "k--", lw=1)
ax.set(xlabel="given $T$", ylabel="effective $T$")
ax.legend(fontsize="small")
print(sequences.source);

# %% [markdown]
# Without its mean the input moves the gate from word to word and nothing more, and units lie in a narrow band below the diagonal, where
# concavity puts them. The mean embedding widens the band: some units remember for longer than they were told to, others for less.
#
# ## Gates that see the state
# couple the units: $\partial h_t / \partial h_{t-1}$ gains off-diagonal entries of the size of
# $(h - n) \, z (1 - z)$ times a recurrent weight; a candidate that sees the state adds others, first of all of the size of
# $(1 - z)(1 - n^2) \, r$ times one, with $r$ the reset gate. [Figure 14](../figures/fig14.ipynb) measures them, in a GRU and an LSTM at the start of
# training; a minGRU has none.

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: constant inputs
# *Derive. Easy.* Why does the sensitivity of a GRU's unit vanish for constant inputs, whatever its time constant, once it has run for long?
# And why not that of an LSTM's? By what factor is the LSTM's smaller than its state's second moment?
#
# <details>
# <summary>Solution 1</summary>
#
# With a constant input $x$ the GRU's state is a weighted mean of $x$ and tends to $x$, whatever $\lambda$: its fixed point does not depend on
# $b$. The LSTM's cell tends to $i x / (1 - f)$. At the start $i = 1 - f$ and this is $x$ as well, but its derivative with respect to $b_f$
# is $i f (1 - f) x / (1 - f)^2 = f x$: the second moment of the sensitivity is $f^2$ times that of the state.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
f = 0.8
for response, factor in [(theory.gated_response, 0), (theory.lstm_response, f**2)]:
    state, own = (theory.window_moment(w, np.ones(500)) for w in response(f, 500))
    print(f"{response.__name__}: state {state:.3f}, sensitivity {own:.3f}")
    assert np.isclose(state, 1) and np.isclose(own, factor, atol=1e-12)

# %% [markdown]
# ### Exercise 2: a gate of two minds
# *Predict, then run. Medium.* At each step a coin decides whether a gate has the time constant 1 or 256. What time constant does the unit
# have, typically: the mean 128, the geometric mean 16, or another? Decide, then multiply 1,000 such gates.
#
# <details>
# <summary>Solution 2</summary>
#
# The product of many gates goes as $e^{t\,\mathrm{E}\log z}$, so the eigenvalue is the geometric mean of *the gates*,
# $\sqrt{\frac12 \cdot \frac{256}{257}} = .706$, a time constant of 2.4. Forgetting wins: half of the steps halve what is there, and
# no later step brings it back.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
coins = np.random.default_rng(0).choice([1 / 2, 256 / 257], size=(4000, 1000))
decay = np.exp(np.median(np.log(coins).sum(1)) / 1000)
print(f"typical eigenvalue {decay:.4f}, time constant {decay / (1 - decay):.2f}")
assert abs(decay - (1 / 2 * 256 / 257) ** 0.5) < 1e-3

# %% [markdown]
# ### Exercise 3: an LSTM without its second bias
# *Break it. Hard.* Give the forget gates of an LSTM their biases $\log T$, but leave the input gates at 0, so that $i = 1/2$. How do
# $\mathrm{E}\,c^2$ and $\mathrm{E}(\mathrm{d}_{b_f} c)^2$ now grow with $T$, for white inputs? What becomes of their ratio? Which of
# the two remedies has been broken?
#
# <details>
# <summary>Solution 3</summary>
#
# The cell is a bare linear unit with inputs of half the size, so $\mathrm{E}\,c^2 = \frac14 F \approx \frac{1}{8\varepsilon} \approx T/8$, and
#
# $$\mathrm{E}(\mathrm{d}_{b_f} c)^2 = \frac14 \big(\lambda(1-\lambda)\big)^2 S \approx \frac14 \varepsilon^2 \frac{1}{4\varepsilon^3} \approx \frac{T}{16} .$$
#
# Both grow, linearly; their ratio still tends to 1/2. The normalisation is broken, the reparametrisation works as before.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
long = 1000 / 1001
square = theory.state_variance(long, 0) / 4
own = (long * (1 - long)) ** 2 * theory.sensitivity(long, 0) / 4
print(f"T = 1000: state {square:.1f}, sensitivity {own:.1f}, ratio {own / square:.3f}")
assert np.isclose(square, 1000 / 8, rtol=0.01) and np.isclose(own, 1000 / 16, rtol=0.01)
