# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Gates are eigenvalues that the input moves
#
# **You will see** that a gated unit is a linear unit with both remedies against the curse of memory built in, and where
# an LSTM and a minGRU differ from it. **You need** [normalisation and
# reparametrisation](03-normalisation-and-reparametrisation.ipynb). **Time** under half a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A gated unit is not cursed: its state and its sensitivity stay bounded as memory grows. Second moments of state and sensitivity to the bias b, and their ratio, against the time constant T = λ / (1 - λ). Grey: the bare linear unit, white inputs, derivative with respect to λ.", "name": "fig-gated-moments"}, "image": {"alt": "Three log-log plots against the time constant T, one curve for each input correlation. The state's moment falls as one over T for T beyond the correlation time, and stays at 1 for constant inputs. The sensitivity rises and then falls as one over T; for constant inputs it is zero and not drawn. Their ratio tends to one half for all correlations below 1, while the bare unit's grows as T squared."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import ChronoGRU, linear_scan, theory
from rnnlib.lab import style

style.use()
T = np.geomspace(0.1, 1e5, 200)
lam = T / (1 + T)
rhos = [0, 0.9, 0.99, 0.999, 1]
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.35), sharex=True, layout="constrained")
bare = theory.state_variance(lam, 0), theory.sensitivity(lam, 0)
for ax, curve in zip(axes, [*bare, bare[1] / bare[0]], strict=True):
    ax.loglog(T, curve, color="0.7")
for rho, color in zip(rhos, style.sequence("rho", len(rhos)), strict=True):
    variance = theory.gated_state_variance(lam, rho)
    sensitivity = theory.gated_sensitivity(lam, rho)
    axes[0].loglog(T, variance, color=color)
    axes[0].text(1.5e5, variance[-1], f"{rho}", va="center", color=color)
    if rho < 1:  # 0 for constant inputs
        axes[1].loglog(T, sensitivity, color=color)
        axes[2].loglog(T, sensitivity / variance, color=color)
axes[0].text(0.1, 4e-6, "correlation\nof the inputs", va="bottom")
axes[2].axhline(0.5, color="black", ls=":", lw=1)
titles = [r"$\mathrm{E}\,h^2$", r"$\mathrm{E}(\mathrm{d}_b h)^2$", "ratio"]
for ax, title in zip(axes, titles, strict=True):
    ax.set(xlabel="$T$", title=title, ylim=(1e-6, 1e2), xlim=(0.05, 8e6))
    ax.set_xticks([0.1, 10, 1e3, 1e5])
fig;

# %% [markdown]
# The gate scales the input by $1 - \lambda$, and the sigmoid reparametrises $\lambda$. The sensitivity stays smaller
# than the state: the ratio of the second moments tends to 1/2, as it does for an LRU.

# %% [markdown]
# ## One unit, one gate
# A GRU mixes its old state and a candidate $n_t$ in proportions that its gate sets,
#
# $$h_t = z_t \, h_{t-1} + (1 - z_t) \, n_t, \qquad z_t = \sigma(b + \dots) .$$
#
# Read $z_t$ as $\lambda_t$: this is the recurrence of the previous pages, with an eigenvalue that may differ from step
# to step. If gate and candidate do not depend on the state, it is a linear scan:

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
# Take a constant gate, $\lambda = \sigma(b)$. Then $1 - \lambda$ is an input scale, a stronger one than
# $\gamma = \sqrt{1 - \lambda^2}$. And $b$ is a reparametrisation with
# $\mathrm{d}\lambda / \mathrm{d}b = \lambda (1 - \lambda)$: as $\lambda$ nears 1, equal steps of $b$ make ever smaller
# steps of $\lambda$. With $b = \log T$ the gate is $\lambda = T / (1 + T)$, so $T = \lambda / (1 - \lambda)$ is the
# unit's time constant, one step less than its memory length. Chrono initialisation draws $T$ from a range and sets $b$
# accordingly. With $F$ and $S$ of [the curse of memory](02-curse-of-memory.ipynb) and
# $\tilde F(a, b) = (1-a)(1-b) F(a, b)$,
#
# $$\mathrm{E}\,h^2 = \tilde F(\lambda, \lambda), \qquad
#   \mathrm{E}(\mathrm{d}_b h)^2 = \big(\lambda (1 - \lambda)\big)^2 \, \partial_a \partial_b \tilde F \,\big|_{a =
# b = \lambda} .$$
#
# The derivative acts on the input scale too: a unit that remembers longer takes in less. For white inputs, with
# $\varepsilon = 1 - \lambda$ and $F_a = \partial_a F$, the three terms of
# $\partial_a \partial_b \tilde F = F - 2 \varepsilon F_a + \varepsilon^2 S$ are, to leading order,
# $\frac{1}{2\varepsilon} - \frac{1}{2\varepsilon} + \frac{1}{4\varepsilon}$, hence
# $\mathrm{E}\,h^2 \approx \varepsilon / 2$ and $\mathrm{E}(\mathrm{d}_b h)^2 \approx \varepsilon / 4$. Nothing
# explodes; both shrink.
#
# Where a readout or a normalisation rescales the state, only the ratio of the two matters. It tends to 1/2 for every
# $\rho < 1$, and so does that of a [normalised and reparametrised](03-normalisation-and-reparametrisation.ipynb) LRU,
# whose moments level off at $(1+\rho)/(1-\rho)$ and at half of that. In this sense a gate does what the LRU was built
# to do.

# %%
for rho in [0, 0.9, 0.99]:
    near = 1 - 1e-5
    gated = theory.gated_sensitivity(near, rho) / theory.gated_state_variance(near, rho)
    slope = near * np.log(near)
    lru = slope**2 * theory.sensitivity(near, rho) / theory.state_variance(near, rho)
    print(f"rho = {rho:<4}  gated unit {gated:.4f}  LRU {lru:.4f}")

# %% [markdown]
# ## In an LSTM the input scale is free
# In an LSTM, $c_t = f_t \, c_{t-1} + i_t \, n_t$, the cell $c_t$ is the memory, the forget gate $f_t$ the eigenvalue,
# the input gate $i_t$ the input scale and $n_t$ the candidate. With Chrono initialisation $i$ starts at $1 - f$, so
# initially a unit equals a GRU's. Its derivative differs: the input gate has its own bias and does not move with $b_f$.
# A minGRU is the scan above, whose gate and candidate see the input alone.
#
# | unit | eigenvalue | input scale | scale moves with the eigenvalue | gates see |
# | --- | --- | --- | --- | --- |
# | LRU | $e^{-e^{\omega_\nu} + i e^{\omega_\theta}}$ | $\gamma$, learned | no | nothing |
# | GRU | update gate $z_t$ | $1 - z_t$ | yes | input and state |
# | minGRU | update gate $z_t$ | $1 - z_t$ | yes | input |
# | LSTM | forget gate $f_t$ | input gate $i_t$, $1 - f_t$ at the start | no | input and state |
#
# With constant gates, state and sensitivity are weighted sums of the inputs in a window. `theory.window_moment` gives
# their second moments for any autocorrelation.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With correlated inputs a GRU is up to hundreds of times less sensitive than an LSTM. Left: second moment of the sensitivity to the gate's bias over that of the state, GRU (solid) and LSTM (dashed), windows of 4,096 steps. Right: weights of the last 120 inputs in the sensitivity, T = 20.", "name": "fig-lstm"}, "image": {"alt": "Left, log-log against T: for white inputs GRU and LSTM approach one half. For correlation 0.99 and 0.999 the GRU's ratio is up to hundreds of times smaller than the LSTM's, which rises to nearly 1 (for 0.99 to 0.8, then back to 0.6); for constant inputs the LSTM's alone is drawn and tends to 1. Right: the GRU's weights are negative for the latest twenty inputs and positive before; the LSTM's are positive throughout."}}
steps = 4096
times = np.geomspace(1, 400, 30)
responses = {"GRU": (theory.gated_response, "-"), "LSTM": (theory.lstm_response, "--")}
fig, axes = plt.subplots(1, 2, figsize=(7, 2.6), width_ratios=[1.4, 1], layout="constrained")
for rho, color in zip([0, 0.99, 0.999, 1], style.sequence("rho", 4), strict=True):
    R = np.r_[1.0, float(rho) ** np.arange(1, steps)]
    for name, (response, line) in responses.items():
        if (name, rho) == ("GRU", 1):
            continue  # nothing but what the finite window leaves
        moments = (theory.window_moment(w, R) for w in response(times / (1 + times), steps))
        state, own = map(np.array, moments)
        axes[0].loglog(times, own / state, line, color=color)
    place = {0: (1, 0.06), 0.99: (1, 1.7e-2), 0.999: (1, 1.7e-3), 1: (3, 1.3)}[rho]
    axes[0].text(*place, rf"$\rho = {rho}$", color=color)
axes[0].set(xlabel="$T$", ylabel="sensitivity / state", ylim=(2e-4, 3))
for response, line in responses.values():
    axes[1].plot(response(20 / 21, 120)[1], line, color="black")
axes[1].text(38, 0.0155, "LSTM")
axes[1].text(10, -0.022, "GRU")
axes[1].axhline(0, color="0.7", lw=1)
axes[1].set(xlabel="input, steps ago", ylabel="weight");

# %%
white = np.r_[1.0, np.zeros(steps - 1)]
for T in [1, 10, 100]:
    gru, lstm = (
        theory.window_moment(response(T / (1 + T), steps)[1], white)
        for response in [theory.gated_response, theory.lstm_response]
    )
    print(f"white inputs, T = {T:3}: sensitivity of the GRU over the LSTM's {gru / lstm:.2f}")

# %% [markdown]
# For white inputs the two agree at long memory (60 % apart at $T = 1$, 1 % at 100). For correlated inputs the two
# effects of a GRU's bias cancel: it remembers longer and takes in less. The LSTM's bias has the first effect alone, so
# its sensitivity is about as large as its state. [Figure 15](../figures/fig15.ipynb) measures this on text.
#
# ## Gates that move
# So far the gate was constant. [The next page](07b-gates-that-move.ipynb) lets the input move it. Is it still one
# eigenvalue, and what does a gate that sees the state add?

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: constant inputs
# *Derive. Easy.* Why does the sensitivity of a GRU's unit vanish for constant inputs, whatever its time constant, once
# it has run for long? Why does that of an LSTM's unit not vanish? By what factor is its second moment smaller than the
# state's?
#
# <details>
# <summary>Solution 1</summary>
#
# With a constant input $x$ the GRU's state is a weighted mean of $x$ and tends to $x$, whatever $\lambda$: its fixed
# point does not depend on $b$. The LSTM's cell tends to $i x / (1 - f)$. At the start $i = 1 - f$ and this is $x$ as
# well, but its derivative with respect to $b_f$ is $i f (1 - f) x / (1 - f)^2 = f x$: the second moment of the
# sensitivity is $f^2$ times that of the state.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
f = 0.8
for response, factor in [(theory.gated_response, 0), (theory.lstm_response, f**2)]:
    state, own = (theory.window_moment(w, np.ones(500)) for w in response(f, 500))
    print(f"{response.__name__}: state {state:.3f}, sensitivity {own:.3f}")
    assert np.isclose(state, 1) and np.isclose(own, factor, atol=1e-12)
answer = [0, 0.64]  # sensitivity over state at f = 0.8: GRU, LSTM
assert abs(answer[0]) < 0.01, "GRU: what does the state tend to, whatever the gate?"
assert abs(answer[1] - 0.64) < 0.01, "LSTM: differentiate the limit by the bias of the forget gate"

# %% [markdown]
# ### Exercise 2: a gate with the LRU's scale
# *Predict, then run. Medium.* Keep the gate $\lambda = \sigma(b)$ but scale the input by
# $\gamma = \sqrt{1 - \lambda^2}$ instead of $1 - \lambda$, with $\gamma$ held constant in the derivative. To which
# values do $\mathrm{E}\,h^2$ and $\mathrm{E}(\mathrm{d}_b h)^2$ tend for white inputs and long memory? Compute both at
# $T = 1000$, beside those of the gated unit and of the LRU.
#
# <details>
# <summary>Solution 2</summary>
#
# By construction $\mathrm{E}\,h^2 = 1$. To leading order $\gamma^2 \approx 2\varepsilon$,
# $\big(\lambda(1-\lambda)\big)^2 \approx \varepsilon^2$ and $S \approx \frac{1}{4\varepsilon^3}$, so
# $\mathrm{E}(\mathrm{d}_b h)^2 \to \frac12$: an LRU's moments. At long memory a sigmoid and $e^{-e^\omega}$ do the
# same: either moves $\lambda$ in proportion to its distance from 1. The scale $1 - \lambda$ makes both moments smaller
# and leaves their ratio as it is.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
long = 1000 / 1001
state = (1 - long**2) * theory.state_variance(long, 0)
slopes = {"sigmoid": long * (1 - long), "exp(-exp)": long * np.log(long)}
for name, slope in slopes.items():
    own = (1 - long**2) * slope**2 * theory.sensitivity(long, 0)
    print(f"{name:10} with gamma: state {state:.4f}, sensitivity {own:.4f}")
    assert np.isclose(state, 1) and np.isclose(own, 0.5, rtol=0.01)
state, own = theory.gated_state_variance(long, 0), theory.gated_sensitivity(long, 0)
print(f"gated unit: state {state:.6f}, sensitivity {own:.6f}, ratio {own / state:.4f}")
assert np.isclose(own / state, 0.5, rtol=0.01) and state < 1e-3
answer = [1, 0.5]  # the limits of state and sensitivity
assert abs(answer[0] - 1) < 0.01, "the state is that of an LRU's unit"
assert abs(answer[1] - 0.5) < 0.01, "the slope d lambda / db = lambda (1 - lambda) enters squared"

# %% [markdown]
# ### Exercise 3: an LSTM without its second bias
# *Break it. Hard.* Give the forget gates of an LSTM their biases $\log T$, but leave the input gates at 0, so that
# $i = 1/2$. How do $\mathrm{E}\,c^2$ and $\mathrm{E}(\mathrm{d}_{b_f} c)^2$ now grow with $T$, for white inputs? What
# becomes of their ratio? Which of the two remedies no longer works?
#
# <details>
# <summary>Solution 3</summary>
#
# The cell is a bare linear unit with inputs of half the size, so
# $\mathrm{E}\,c^2 = \frac14 F \approx \frac{1}{8\varepsilon} \approx T/8$, and
#
# $$\mathrm{E}(\mathrm{d}_{b_f} c)^2 = \frac14 \big(\lambda(1-\lambda)\big)^2 S \approx \frac14 \varepsilon^2
# \frac{1}{4\varepsilon^3} \approx \frac{T}{16} .$$
#
# Both grow linearly, and their ratio still tends to 1/2. The normalisation no longer works; the reparametrisation works
# as before.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
square = theory.state_variance(long, 0) / 4
own = (long * (1 - long)) ** 2 * theory.sensitivity(long, 0) / 4
print(f"T = 1000: state {square:.1f}, sensitivity {own:.1f}, ratio {own / square:.3f}")
assert np.isclose(square, 1000 / 8, rtol=0.01) and np.isclose(own, 1000 / 16, rtol=0.01)
answer = [square, own]  # state and sensitivity at T = 1000
assert abs(answer[0] / 125 - 1) < 0.02, "state: the input is halved, not scaled with T"
assert abs(answer[1] / 62.5 - 1) < 0.02, "sensitivity: only the forget gate moves with its bias"
