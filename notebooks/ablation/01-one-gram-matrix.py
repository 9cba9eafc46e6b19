# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Thousands of students, one matrix
#
# **You will see** why the paper's linear training experiments fit on a laptop: the loss of a linear student on a
# minibatch is a quadratic form, and all students share its matrix. **You need** linear recurrences and Adam. **Time**
# under a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels with final losses on logarithmic axes, ten lines each from through G to through time. Dense RNN: level lines, nine near 0.04 and one at 1.3. LRU: lines between 2e-5 and 1.4e-3 that cross each other in both directions."}, "figure": {"name": "fig-through-time", "caption": "Training through the shared matrix G and training through time agree as far as rounding allows. Final losses of ten runs each way, from the same starts and on the same minibatches; a line joins the two runs of a seed."}}
import time
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from rnnlib import LRU, DenseRNN
from rnnlib.lab import claims, exact, experiments, statistics, style, systems
from rnnlib.lab.direct import outputs
from rnnlib.lab.experiments import LABELS
from rnnlib.lab.experiments.analysis import provenance, wall_seconds
from rnnlib.lab.training import Protocol, train

style.use()
pairs = {}
for name in ("direct_dense", "direct_diagonal"):
    direct = experiments.load(name)
    on = ["student", "nu0", "rate", "seed", "start"]
    pair = direct.merge(experiments.load("fig03a"), on=on, suffixes=[" through time", " through G"])
    pair.attrs["origin"] = direct.attrs["origin"]
    pairs[LABELS[pair["student"][0]]] = pair
fig, axes = plt.subplots(1, 2, figsize=(6.6, 2.3), layout="constrained")
for ax, (label, pair), color in zip(axes, pairs.items(), ["rnn", "lru"], strict=True):
    losses = pair[["loss through G", "loss through time"]].to_numpy().T
    ax.semilogy([0, 1], losses, "o-", ms=4, lw=1, color=style.COLORS[color])
    ax.set(title=label, xticks=[0, 1], xticklabels=["through $G$", "through time"])
    ax.set_xlim(-0.4, 1.4)
axes[0].set_ylabel("final loss");

# %% [markdown]
# Inputs enter the loss through a matrix $G$ of 300 by 300, students through their impulse response of 300 numbers. So
# one matrix per minibatch serves all students. Dense RNNs end at nearly the same losses as with back-propagation
# through time. Rounding alone can change an LRU's final loss up to elevenfold, whichever way it is trained.

# %% [markdown]
# ## A linear student is its impulse response
# Teacher and student are linear, time-invariant and start at zero. Their outputs are convolutions of the input with
# responses $k^*$ and $k$ of $T$ numbers each, so half the mean squared error over a minibatch of $B$ sequences is
#
# $$\frac{1}{2BT} \sum_{b,t} (y_{b,t} - y^*_{b,t})^2 = \frac{1}{2} (k - k^*)^\top G \, (k - k^*),$$
#
# $$G_{ij} = \frac{1}{BT} \sum_b \sum_{t \ge \max(i,j)} x_{b,t-i} \, x_{b,t-j}.$$
#
# We compute the same loss and the same gradient twice: by back-propagation through time over all 128 sequences, and
# through $G$:

# %%
x = systems.white_inputs(seed=0, step=0, batch=128, length=300).double()
G = exact.gram(x)
target = systems.teacher(0, min_modulus=0.99).impulse_response(300)
student = LRU(1, 64, 1, min_modulus=0.99, generator=torch.Generator().manual_seed(0)).double()

error = student(x[..., None])[0][..., 0] - outputs(x, target)
through_time = 0.5 * error.square().mean()
gradients = torch.autograd.grad(through_time, student.parameters())

stacked = exact.stack([student])
through_G = exact.loss(exact.impulse_responses(stacked, 300), target[None], G)
ours = torch.autograd.grad(through_G.sum(), stacked.parameters())
print(f"loss {through_time:.12f} and {through_G.item():.12f}")
for (name, _), a, b in zip(student.named_parameters(), gradients, ours, strict=True):
    print(f"gradient of {name:12} differs by {(a - b[0]).norm() / a.norm():.0e} of its norm")

# %% [markdown]
# ## How much time it saves
# Through time, each student pays for the whole minibatch. Through $G$, a student pays only for its impulse response and
# a product with $G$. We time a loss and its gradient in single precision, on the machine that built this page:

# %% tags=["hide-input"]
def seconds(function, repeats=5):
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


makers = {"LRU": lambda: LRU(1, 64, 1, min_modulus=0.99), "RNN": lambda: DenseRNN(1, 64, 1)}
x, G, target = x.float(), G.float(), target.float()
rows = {}
for name, make in makers.items():
    layer, many = make(), exact.stack([make() for _ in range(64)])

    def directly(layer=layer):
        loss = 0.5 * (layer(x[..., None])[0][..., 0] - outputs(x, target)).square().mean()
        torch.autograd.grad(loss, layer.parameters())

    def together(many=many):
        loss = exact.loss(exact.impulse_responses(many, 300), target[None], G)
        torch.autograd.grad(loss.sum(), many.parameters())

    one, sixty_four = seconds(directly), seconds(together)
    rows[name] = [one * 1e3, sixty_four / 64 * 1e3, one / (sixty_four / 64)]
columns = ["through time, ms", "through G, ms per student (of 64)", "ratio"]
pd.DataFrame(rows, index=columns).T.style.format("{:.3g}")

# %% [markdown]
# All runs of Figures 3, 10 and 11 train in lockstep: those with the same data seed see the same minibatches, and runs
# that two figures share are trained once. The last lines compare with the authors' code, which took 84 to 170 ms a step
# on two cores (a timing that we did not store):

# %% tags=["hide-input"]
origin = experiments.load("fig11").attrs["origin"]
together = [experiments.get(name) for name in origin["run together"]]
runs = sum(len(experiment.runs()) for experiment in together)
steps = experiments.get("fig11").protocol.steps
seconds = origin["seconds, this command"]
print(", ".join(experiment.name for experiment in together))
print(f"{runs:,} runs of {steps:,} steps: {seconds / 60:.0f} minutes on {origin['device']}")
print(f"a step of a run: {seconds / runs / steps * 1e6:.0f} microseconds of wall time")
ratios = [milliseconds / 1e3 / (seconds / runs / steps) for milliseconds in (84, 170)]
print(f"at 84 to 170 ms: {ratios[0]:,.0f} to {ratios[1]:,.0f} times as long")

# %% [markdown]
# ## Trained through time after all
# Tests check that losses and gradients agree to $10^{-9}$ in double precision, and trajectories over some hundred
# steps. Over ten thousand steps in single precision, rounding may change the result. So we also trained the ten runs of
# the RNN and of the LRU at $\nu_0 = 0.99$, each at its best rate in [Figure 3](../figures/fig03.ipynb), directly: the
# same starts and minibatches, the layer's own recurrence, automatic differentiation through its 300 steps,
# `torch.optim.Adam`.

# %% tags=["hide-input"]
for label, pair in pairs.items():
    decades = np.log10(pair["loss through time"] / pair["loss through G"])
    estimate = statistics.median(decades, "seeds")
    middle, low, high = (10**end for end in (estimate.value, estimate.low, estimate.high))
    print(f"{label}: through time over through G: median {middle:.2f}", end=" ")
    print(f"({low:.2f} to {high:.2f}, 95 %)")
    print(f"  single runs {10 ** decades.min():.2f} to {10 ** decades.max():.2f},", end=" ")
    print(f"{(decades.abs() < 5e-5).sum()} of {len(decades)} the same to 1e-4")

# %% [markdown]
# The two losses of each dense RNN agree within a seventh, those of four within a ten-thousandth. The two losses of an
# LRU differ by up to a factor of eleven, but neither method ends higher beyond chance. Can rounding alone do this?
#
# ## What one rounding error changes
# We train sixteen copies of each of two LRUs through $G$ on the same minibatches. Before training, all parameters of a
# copy are perturbed by about $10^{-7}$ of their size, one rounding error of single precision; the first copy is not.

# %%
device = experiments.choose_device()  # a GPU if there is one
copies, protocol = 16, Protocol()
if experiments.scale_from_environment() == "smoke":
    copies, protocol = 3, Protocol(steps=20, report=5, batch=8, length=40)
members, generator = [], torch.Generator().manual_seed(0)
runs = experiments.get("direct_diagonal").runs()[:2]
for run in runs:
    for copy in range(copies):
        member = run.member(protocol.length)
        if copy:
            with torch.no_grad():
                for p in member.layer.parameters():
                    p.mul_(1 + 1e-7 * torch.randn(p.shape, generator=generator))
        members.append(member)
losses = np.log(train(members, protocol, device=device).summary().loss.reshape(len(runs), copies))
for run, row in zip(runs, losses, strict=True):
    low, high = np.exp([row.min(), row.max()])
    print(f"seed {run.seed}: {copies} copies end from {low:.1e} to {high:.1e}")
within = np.sqrt(2 * losses.var(axis=1, ddof=1).mean())
ratio = np.log(pairs["LRU"]["loss through time"] / pairs["LRU"]["loss through G"])
between = np.sqrt((ratio**2).mean())
print(f"two copies differ by a factor of {np.exp(within):.1f} (one standard deviation)")
print(f"runs through time and through G of the same seed by {np.exp(between):.1f}")

# %% [markdown]
# It can. Copies that differ by a rounding error end as far apart as runs through time and through $G$ of the same seed.
# At this rate the final loss of a single LRU is a draw from a distribution, which takes many teachers and seeds to
# measure. So the check compares median final losses. Ten pairs of LRUs can reveal a factor of four, not of two.

# %% tags=["hide-input"]
claims.table("fig03-bptt-on-average")

# %% [markdown]
# <details>
# <summary>An earlier check</summary>
#
# An earlier check of this book asked all ten pairs to agree within two standard deviations over seeds. It could hardly
# pass: the largest difference among ten independent pairs is usually larger, and copies that differ by a rounding error
# are as far apart.
#
# </details>

# %% tags=["hide-cell"]
for pair in pairs.values():
    print(provenance(pair))
    milliseconds = wall_seconds(pair.attrs["origin"]) / len(pair) / 10_000 * 1e3
    print(f"a step of a run: {milliseconds:.0f} ms on one core, other work beside it\n")

# %% [markdown]
# ## An experiment of your own
# A student is a layer with an `impulse_response`; an experiment is a grid of students, rates, memories and seeds.
# `examples/own_sweep.py` in the repository has both in under 40 lines. `python -m rnnlib list` lists the experiments,
# `python -m rnnlib run NAME --scale paper` runs one; an interrupted run resumes and gives the same numbers.

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: the loss of predicting zero
# *Derive. Medium.* Inputs are white with variance 1. What is $\mathrm{E}\,G$? Derive the expected loss of a student
# that predicts zero, the denominator of all relative losses in this book. How much does the response at the longest lag
# count, compared with that at lag 0?
#
# <details>
# <summary>Solution 1</summary>
#
# Off the diagonal, products of different inputs have mean zero. On it, $T - i$ of $T$ terms exist, so
# $\mathrm{E}\,G_{ii} = 1 - i/T$. With $k = 0$ the expected loss is $\frac12 \sum_i (1 - i/T) \, k_i^{*2}$. The longest
# lag, $T - 1$, occurs once in a sequence and counts $1/T$: a memory as long as the sequence hardly affects the loss.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
k = systems.teacher(0, min_modulus=0.99).impulse_response(300).double()
expected = 0.5 * ((1 - torch.arange(300) / 300) * k**2).sum()
found = []
for seed in range(50):
    G = exact.gram(systems.white_inputs(seed=seed, step=0, batch=128, length=300).double())
    found.append(0.5 * k @ G @ k)
mean, error = torch.stack(found).mean(), torch.stack(found).std() / 50**0.5
print(f"expected {expected:.1f}, mean of 50 minibatches {mean:.1f} ± {error:.1f}")
assert abs(mean - expected) < 4 * error and error < 0.02 * expected
answer = float(expected)  # for systems.teacher(0, min_modulus=0.99) and 300 steps
response = systems.teacher(0, min_modulus=0.99).impulse_response(300).double()
share = answer / float(0.5 * ((1 - torch.arange(300) / 300) * response**2).sum())
assert share < 1.02, f"{share:.3f} times too large: how often does a lag occur in 300 steps?"
assert share > 0.98, f"{share:.3f} of what it is: where does the factor 1/2 stand?"
