# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Thousands of students, one matrix
#
# **You will see** why all trained experiments of the paper fit on a laptop: the loss of a linear student on a minibatch is a quadratic form
# whose matrix every student shares. **You need** linear recurrences and Adam. **Time** under a minute on a CPU.

# %% tags=["hide-input"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    source = "git+https://github.com/OWNER/REPOSITORY"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)

# %%
import time
import matplotlib.pyplot as plt
import pandas as pd
import torch
from rnnlib import LRU, DenseRNN, exact, experiments, style, teacher
from rnnlib.experiments.analysis import settings

style.use()

# %% [markdown]
# ## A linear student is its impulse response
# Teacher and student are linear, time-invariant and start at zero. Their outputs are convolutions of the input with responses $k^*$ and
# $k$ of $T$ numbers each, so half the mean squared error over a minibatch of $B$ sequences is
#
# $$\frac{1}{2BT} \sum_{b,t} (y_{b,t} - y^*_{b,t})^2 = \frac{1}{2} (k - k^*)^\top G \, (k - k^*), \qquad
# G_{ij} = \frac{1}{BT} \sum_b \sum_{t \ge \max(i,j)} x_{b,t-i} \, x_{b,t-j}.$$
#
# Inputs enter through $G$ alone, students through $k$ alone.

# %%
x = teacher.white_inputs(seed=0, step=0, batch=128, length=300).double()
G = exact.gram(x)
target = teacher.load(0, min_modulus=0.99).impulse_response(300)
student = LRU(1, 64, 1, min_modulus=0.99, generator=torch.Generator().manual_seed(0)).double()

# %% [markdown]
# The same loss and the same gradient, once by running the student over all 128 sequences and going back through time, once through $G$:

# %%
def convolve(x, k):
    """Outputs of a linear system with response k, by fast Fourier transforms."""
    n = 2 * len(k)
    return torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(k, n), n)[:, : len(k)]


error = student(x[..., None])[..., 0] - convolve(x, target)
through_time = 0.5 * error.square().mean()
gradients = torch.autograd.grad(through_time, student.parameters())

stacked = exact.stack([student])
through_G = exact.loss(exact.impulse_responses(stacked, 300), target[None], G)
ours = torch.autograd.grad(through_G.sum(), stacked.parameters())
print(f"loss {through_time:.12f} and {through_G.item():.12f}")
for (name, _), a, b in zip(student.named_parameters(), gradients, ours, strict=True):
    print(f"gradient of {name:12} differs by {(a - b[0]).norm() / a.norm():.0e} of its norm")

# %% [markdown]
# ## What it buys
# Going through time costs as much for each student as the minibatch is large. Through $G$, a minibatch is drawn and multiplied once; then
# a student costs its impulse response and a product with $G$. Time for a loss and its gradient in single precision, here and now:

# %%
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
        loss = 0.5 * (layer(x[..., None])[..., 0] - convolve(x, target)).square().mean()
        torch.autograd.grad(loss, layer.parameters())

    def together(many=many):
        loss = exact.loss(exact.impulse_responses(many, 300), target[None], G)
        torch.autograd.grad(loss.sum(), many.parameters())

    one, sixty_four = seconds(directly), seconds(together)
    rows[name] = [one * 1e3, sixty_four / 64 * 1e3, one / (sixty_four / 64)]
columns = ["through time, ms", "through G, ms a student of 64", "ratio"]
pd.DataFrame(rows, index=columns).T.style.format("{:.3g}")

# %% [markdown]
# All runs of all experiments train in lockstep on the same minibatches; runs that two figures share are trained once.

# %%
table = {}
for name in ["fig03a", "fig03b", "fig10d", "fig11"]:
    origin = experiments.load(name).attrs["origin"]
    rows = origin["files"][f"{name}.csv"]["rows"]
    table[name] = {"runs": rows, "computed": origin["date"][:10]}
minutes = origin["seconds, this command"] / 60
print(f"together {minutes:.0f} minutes on {origin['device']}, {origin['processes']} processes")
pd.DataFrame(table).T

# %% [markdown]
# ## The settings
# Tables 1 to 3 of the paper, printed from the definitions that ran.

# %%
names = {"Table 1": "fig03a", "Table 2": "fig03b", "Table 3": "fig10d"}
tables = {table: settings(experiments.get(name)) for table, name in names.items()}
pd.concat(tables, names=["", None]).droplevel(1)

# %% [markdown]
# ## Every run, not only the best
# How sensitive is a student to its base rate? Each dot is one run at $\nu_0 = .99$; crosses, at three times the zero predictor's loss, are runs that diverged.

# %% mystnb={"figure": {"caption": "Loss of every run at $\\nu_0 = .99$ against its base rate, ten seeds a rate; lines join the means. Crosses: diverged.", "name": "fig-rates"}, "image": {"alt": "Loss against base rate on logarithmic axes: one cloud of dots and a line through the means for each of RNN, block diagonal, complex RNN and LRU. RNN, block diagonal and complex RNN have their smallest means at rates from 0.0003 to 0.003 and diverge or blow up at the rates above; the LRU has its at 0.01. Crosses mark runs of the RNN and the complex RNN that diverged."}}
frame = pd.concat([experiments.load("fig03a"), experiments.load("fig03b")])
frame = frame[frame["nu0"] == 0.99].drop_duplicates(["student", "rate", "seed"])
fig, ax = plt.subplots(figsize=(6.4, 3), layout="constrained")
for name in ["rnn", "block", "crnn", "lru"]:
    runs, color = frame[frame["student"] == name], style.COLORS[name]
    ax.loglog(runs["rate"], runs["loss"], ".", color=color, alpha=0.4, ms=4)
    ax.loglog(runs.groupby("rate")["loss"].mean(), color=color, label=experiments.LABELS[name])
    lost = runs[runs["diverged"]]
    ax.plot(lost["rate"], len(lost) * [frame["zero_loss"].max() * 3], "x", color=color, ms=4)
ax.set(xlabel="base rate", ylabel="loss")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# ## An experiment of your own
# A student is a layer with an `impulse_response`; an experiment is a grid of students, rates, memories and seeds. `examples/own_sweep.py`
# in the repository has both in under 40 lines; `python -m rnnlib list` shows what is there, `python -m rnnlib run NAME --scale paper` runs
# it. Interrupted, it goes on where it was, to the same numbers.
