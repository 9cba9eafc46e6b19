# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Gates that move, in closed form
#
# **You will see** what changes when a gate moves from step to step: the size of state and sensitivity, but no power of
# memory, unless the gate sees the input that it lets in; then the state stops shrinking. **You need** [gates that
# move](../theory/07b-gates-that-move.ipynb). **Time** ten seconds on a CPU.

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
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from rnnlib import linear_scan, theory
from rnnlib.lab import claims, experiments, style
from rnnlib.lab.claims.moving_gates import effect_on_text
from rnnlib.lab.experiments import moving_gates
from rnnlib.lab.statistics import median

style.use()
experiment, simulated = moving_gates.EXPERIMENT, experiments.load("moving_gates")
smoke = experiments.scale_from_environment() == "smoke"

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Noise in a gate's logit raises both moments but not their slopes at long memory; a gate that sees its own input keeps the state from shrinking. Second moments of a gated unit and of its derivative along log T, against the time constant T, for white inputs; the noise of the logit has variance 2. Lines: closed forms. Dots: simulations, medians of 64 groups of units.", "name": "fig-moving-gates"}, "image": {"alt": "Two log-log plots against T from 1 to 100,000, with four lines each and dots on them up to 256. Second moment of the state: a constant gate falls with a slope of minus 1; gates that are drawn anew bend into the same slope ten times and more above it; gates that last 20 steps lie between the two and join those drawn anew at about 10,000; gates that see their input rise to 2 and stay there. Second moment of the sensitivity: all four fall with the same slope in the end, in the same order."}}
LOOKS = {
    "constant": ("black", "constant"),
    "anew": ("#d55e00", "drawn anew"),
    "lasting": ("#0173b2", "lasting 20 steps"),
    "input": ("#029e73", "sees its input"),
}
PLACES = {  # of labels: T, distance from the line, by panel
    "constant": [(30, 0.36), (200, 0.36)],
    "anew": [(600, 1.35), None],
    "lasting": [(150, 0.42), (1000, 0.42)],
    "input": [(300, 1.35), (300, 1.9)],
}
T = np.geomspace(1, 1e5, 50)
fig, axes = plt.subplots(1, 2, figsize=(7.4, 3.7), sharex=True, layout="constrained")
for gates, (color, label) in LOOKS.items():
    lines = experiment.predicted(gates, T)
    groups = simulated.query("gates == @gates").groupby("T")
    for i, (ax, line, quantity) in enumerate(zip(axes, lines, ["h2", "s2"], strict=True)):
        ax.loglog(T, line, color=color, lw=1.5)
        dots = groups[quantity].apply(lambda values: median(values, "groups").value)
        ax.plot(dots.index, dots, "o", ms=4.5, color=color)
        if PLACES[gates][i] is None:  # no room between the lines
            continue
        at, distance = PLACES[gates][i]
        along = 0 if gates == "input" and i == 0 else -36  # degrees
        place = at, distance * np.interp(at, T, line)
        look = {"fontsize": 9, "rotation": along, "rotation_mode": "anchor"}
        ax.annotate(label, place, color=color, **look)
axes[0].set(title=r"state, $\mathrm{E}\,h^2$", ylim=(3e-6, 9))
axes[1].set(title=r"sensitivity, $\mathrm{E}\,(\mathrm{d}h)^2$", ylim=(1.5e-6, 0.4))
for ax in axes:
    ax.set_xlabel("time constant $T$ of the bias")

# %% [markdown]
# The units are
#
# $$h_t = \lambda_t h_{t-1} + (1 - \lambda_t)\,x_t, \qquad \lambda_t = \sigma(\log T + g_t),$$
#
# and $\mathrm{d}h$ is the derivative with respect to $\log T$. The noise $g$ is 0, drawn anew at each step, kept from
# the previous step with probability 0.95, or proportional to $x_t$.
#
# ## Drawn anew
# Gate, input scale s and their derivatives are drawn together, independently of the past and of the inputs. Multiply
# the recurrences of $h$ and $\mathrm{d}h$ by themselves and by each other, and take means. This gives three equations,
# to be solved in turn:
#
# $$\begin{aligned}
# (1 - \mathrm{E}\lambda^2)\;\mathrm{E}\,h^2 &= \mathrm{E}\,s^2, \\
# (1 - \mathrm{E}\lambda^2)\;\mathrm{E}\,[h\,\mathrm{d}h] &= \mathrm{E}[\lambda\,\mathrm{d}\lambda]\;\mathrm{E}\,h^2 + \mathrm{E}[s\,\mathrm{d}s], \\
# (1 - \mathrm{E}\lambda^2)\;\mathrm{E}\,(\mathrm{d}h)^2 &= \mathrm{E}(\mathrm{d}\lambda)^2\;\mathrm{E}\,h^2
#   + 2\,\mathrm{E}[\lambda\,\mathrm{d}\lambda]\;\mathrm{E}\,[h\,\mathrm{d}h] + \mathrm{E}(\mathrm{d}s)^2 .
# \end{aligned}$$
#
# In code, for $T = 50$ and equally likely draws of the noise:

# %%
noise = math.sqrt(2) * torch.special.ndtri((torch.arange(2**14).double() + 0.5) / 2**14)
lam = torch.sigmoid(math.log(50) + noise)
slope = lam * (1 - lam)  # of λ; that of 1 - λ is the opposite
closed = theory.random_gate_moments(lam, slope, 1 - lam, -slope)

# %% [markdown]
# The check: a million simulated steps; differentiating the scan gives the derivative.

# %%
generator = torch.Generator().manual_seed(0)
shape = (1, 1_000 if smoke else 20_000, 50)  # 50 units side by side
draw = torch.randint(len(noise), shape, generator=generator)
x = torch.randn(shape, generator=generator, dtype=torch.float64)


def states(b):
    lam = torch.sigmoid(b + noise[draw])
    return linear_scan(lam, (1 - lam) * x)


b = torch.tensor(math.log(50), dtype=torch.float64)
h, dh = torch.func.jvp(states, (b,), (torch.ones_like(b),))
moments = [part[:, 500:].square().mean().item() for part in (h, dh)]
check = {"second moment of": ["state", "sensitivity"], "closed form": closed, "simulated": moments}
pd.DataFrame(check).astype({"closed form": float}).style.hide(axis="index").format(precision=5)

# %% [markdown]
# With $\varepsilon = 1/T$ small, $1 - \lambda \approx \varepsilon e^{-g}$, and the equations give
# $\mathrm{E}\,h^2 \approx \frac{\varepsilon}{2}\, \mathrm{E}e^{-2g} / \mathrm{E}e^{-g}$, half of which is
# $\mathrm{E}\,(\mathrm{d}h)^2$. The fraction is 1 for a constant gate and $e^{3v/2}$ for Gaussian noise of variance v:
# noise changes the constant, not the power, so
# [reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb) helps moving gates as it helps constant
# ones. [Proofs](../../book/proofs-gates.md).
#
# ## Lasting
# Gates that are correlated in time change less. $\mathrm{E}\,s^2 / (1 - \mathrm{E}\lambda^2)$ is a mean of
# $(1 - \lambda)/(1 + \lambda)$, weighted by $1 - \lambda^2$; for a gate drawn once and for all it is the plain mean.
# The weights favour open gates, which let much in, so redrawing gives more. A lasting gate is in between: it acts like
# a frozen one while memory is short, and like a redrawn one once memory spans many draws. Here that takes about 10,000
# steps, and slopes differ on the way.
#
# ## Seeing its own input
# Now $g_t = w x_t$: the gate opens for negative inputs and closes for positive ones. So the state has a mean,
# $\mathrm{E}[(1 - \lambda)\,x] / \mathrm{E}[1 - \lambda]$, which tends to $-w$ as memory grows. Its square stays while
# the variance shrinks, and $\mathrm{E}\,h^2 \to w^2 = v$. In this limit the mean does not depend on T, so the
# sensitivity keeps its power. `theory.input_gate_moments` gives the moments when gate and input are drawn together.
#
# ## The GRU of Figure 15
# Its update gates and candidates see the same inputs of d features, through random weights; a unit's two sums have
# correlation c, with $\mathrm{E}\,c^2 = 1/d$. So the layer is a mixture: a share $1/d$ of gates that see their own
# input; the rest are drawn anew. At long memory only the first term remains. Text is not white: its fast part acts as
# gates drawn anew, its slow part shifts them for a whole sequence. Nothing is fitted.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The closed forms match the GRU of Figure 15 on white inputs, and on text in size and rough shape. Left: white inputs, 64 features. Dots: medians of 64 layers of 256 units; thick lines: the mixture; thin: gates drawn anew; dotted: constant gates. Right: text, 384 features. Dots: means over units whose gates see the input, over the same with constant gates, with 95 % intervals over 400 networks; lines: that ratio by the closed forms.", "name": "fig-moving-gru"}, "image": {"alt": "Left, a log-log plot of the second moments of state and sensitivity against T. Dots of the layers lie on the thick lines. For the state the thick line leaves the one of gates drawn anew at T of about 30 and levels off, twice as high at 256; for the sensitivity both are the same. Constant gates lie below. Right: ratios against T from 1 to 256. Those of the state are near 1.2; their line rises to 1.4 at T of 6. Those of the sensitivity rise from 0.86 to 1.36 and fall to 1.2; their line has the same form and rises to 1.6 at T of 25."}}
fig, (white, text) = plt.subplots(1, 2, figsize=(7.4, 3.5), layout="constrained")
T = np.geomspace(1, 512, 10)
lines = {"layer": {"lw": 2.5, "alpha": 0.6}, "anew": {"lw": 1}, "constant": {"lw": 1, "ls": ":"}}
for index, (quantity, color) in enumerate([("h2", "#0173b2"), ("s2", "#d55e00")]):
    for gates, look in lines.items():
        white.loglog(T, experiment.predicted(gates, T)[index], color=color, **look)
    groups = simulated.query("gates == 'layer'").groupby("T")[quantity]
    dots = groups.apply(lambda values: median(values, "layers").value)
    white.plot(dots.index, dots, "o", ms=4.5, color=color)
    at, measured, predicted = effect_on_text(quantity)
    error = [[e.value - e.low for e in measured], [e.high - e.value for e in measured]]
    text.errorbar(at, [e.value for e in measured], error, fmt="o", ms=4.5, color=color)
    text.semilogx(at, predicted, color=color)
white.set(title="white inputs", xlabel="time constant $T$", ylim=(3e-4, 1), ylabel="second moment")
white.set(xlim=(0.8, 1e4), xticks=[1, 10, 100])
for label, height, color in [
    ("state", 0.043, "#0173b2"),
    ("drawn anew", 0.0135, "#0173b2"),
    ("sensitivity", 0.0059, "#d55e00"),
    ("constant", 0.0006, "0.3"),
]:
    white.annotate(label, (600, height), color=color, fontsize=9)
text.set(title="text", xlabel="time constant $T$", ylabel="over constant gates")
text.axhline(1, color="0.7", lw=1, zorder=0);
# %% [markdown]
# ## Where $\mathrm{E}\,\lambda^2$ reaches 1
# A sigmoid never does. A gate that may exceed 1 can, such as an exponential gate without a normaliser, even while it
# mostly decays. With gates 1.4 c and 0.34 c, each in half of the steps, typical states decay as long as
# $\mathrm{E}\ln\lambda < 0$. Rare runs of large gates make the variance infinite earlier:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The variance explodes where the mean square of the gate reaches 1, though typical states stay small. Mean square and median square of h with gates 1.4 c and 0.34 c, each in half of the steps, against the mean square of the gate; line: the closed form. Near 1 and beyond, the few largest states dominate the simulated mean.", "name": "fig-moving-explosion"}, "image": {"alt": "A plot with a logarithmic vertical axis. The closed form rises from 1.3 to infinity at a mean square of the gate of 1, where a dotted line stands. Simulated means follow it up to 0.8, fall short of it near 1, and rise to ten thousand beyond. Medians stay between 0.5 and 3 on both sides of the line."}}
c = np.sqrt(np.linspace(0.25, 1.3, 12) / 1.0378)
q, means, medians = 1.0378 * c**2, [], []
shape = (1, 400, 200 if smoke else 4000)
x = torch.randn(shape, generator=generator, dtype=torch.float64)
for factor in c:
    high = torch.rand(shape, generator=generator, dtype=torch.float64) < 0.5
    squares = linear_scan(factor * torch.where(high, 1.4, 0.34).double(), x)[:, 200:].square()
    means.append(squares.mean().item())
    medians.append(squares.median().item())
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
below = np.linspace(0.25, 0.9995, 200)
ax.semilogy(below, 1 / (1 - below), color="#d55e00")
ax.plot(q, means, "o", color="#d55e00", label="mean")
ax.plot(q, medians, "s", color="#0173b2", label="median")
ax.axvline(1, color="0.6", lw=1, ls=":")
ax.set(xlabel=r"$\mathrm{E}\,\lambda^2$", ylabel="$h^2$", ylim=(0.2, None))
ax.legend();
# %% [markdown]
# There the closed form raises an error:

# %%
try:
    theory.random_gate_moments([1.4, 0.34], 1, 1, 0)
except ValueError as error:
    print(error)

# %% [markdown]
# Lasting gates reach this point earlier, since long runs of large gates are likelier. The
# [proofs](../../book/proofs-gates.md) have the condition.
#
# ## What is claimed and measured

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Statements of this page. A statement holds if its dot and its whole interval lie in the shaded band. Each row has a scale of its own; bars are 95 % intervals where a number is sampled; at the right stand verdict, our number and the range that agrees.", "name": "fig-gates-that-move-claims"}, "image": {"alt": "One row for each of the seven statements of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees. Six lie inside; that on text reaches beyond it."}}
names = [c.name for c in claims.CLAIMS if c.name.startswith("beyond-gates-")]
claims.picture(*names);

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table(*names)
