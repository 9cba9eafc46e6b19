# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 14b: an LSTM and a minGRU beside the GRU
#
# **You will see** that an LSTM starts as diagonal as a GRU and a minGRU exactly diagonal, and how much all small
# entries add up to. **You need** [Figure 14](fig14.ipynb). **Time** under a minute on a CPU.

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
import dataclasses

import matplotlib.pyplot as plt
import pandas as pd
import torch
from rnnlib import ChronoGRU
from rnnlib.lab import experiments, rtrl, style, text

style.use()
experiment, frame = experiments.get("fig14"), experiments.load("fig14")
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
names = ["cell", "max_time", "input_scale", "recurrent_scale"]
LABELS = {"gru": "GRU", "lstm": "LSTM", "mingru": "minGRU"}


def draw(ax, setting, column, color, line="-"):
    """The median over networks and a band that holds 90 % of them, against t."""
    rows = frame[(frame[names] == list(setting)).all(axis=1)]
    values = rows.pivot_table(column, "network", "t")
    values = values.loc[:, (values > 0).all()]  # off the diagonal an LSTM begins at t = 2
    low, middle, high = values.quantile([0.05, 0.5, 0.95]).to_numpy()
    ax.loglog(values.columns, middle, line, color=color)
    ax.fill_between(values.columns, low, high, color=color, alpha=0.25, lw=0)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "GRU and LSTM start equally diagonal, the minGRU exactly diagonal. Root mean square of the entries of the Jacobian on the diagonal (solid) and off it (dashed) against t, usual start, three ranges of T; median and 90 % of 32 networks. LSTM: the cell's Jacobian.", "name": "fig-14-cells"}, "image": {"alt": "Three log-log plots, one for each range of T. The solid curves of GRU, LSTM and minGRU nearly coincide until they have decayed. The dashed ones of GRU and LSTM lie near one hundredth, the LSTM's from the second step on, and coincide from about ten steps on; for T = 1 they meet the solid curves after twenty steps, for T up to 256 they stay far below until 512."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.9), sharey=True, layout="constrained")
for ax, T in zip(axes, (1, 16, 256), strict=True):
    for cell in LABELS:
        draw(ax, (cell, T, 1, 1), "diagonal", style.COLORS[cell])
        if cell != "mingru":
            draw(ax, (cell, T, 1, 1), "off", style.COLORS[cell], "--")
    ax.set(xlabel="$t$", title=rf"$T \leq {T}$", xlim=(1, 512), ylim=(1e-8, 4))
axes[0].set_ylabel("root mean square")
axes[2].text(1.2, 0.15, "on the diagonal", color="0.3")
axes[2].text(40, 1e-3, "off it", color="0.3")
for row, (cell, label) in enumerate(LABELS.items()):
    axes[2].text(1.5, 1e-4 / 10 ** (1.1 * row), label, color=style.COLORS[cell], weight="bold")

# %% [markdown]
# The LSTM couples its units as much as the GRU does, one step later: its gates see the cell through the output of the
# step before. The minGRU's gates see only the input, so all is zero off its diagonal, and it can train by a parallel
# scan. With $T = 1$ the diagonals differ after a few dozen steps, when little is left of them.

# %% [markdown]
# ## What all small entries weigh together
# A single entry off the diagonal is small; it shrinks with the number of units as $1 / \sqrt N$. But each row has 255
# of them. Their share of the squared Frobenius norm says how much of the Jacobian, as a matrix, the diagonal theory
# leaves out:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With long memories the diagonal holds about half or more; with short ones the rest takes over once the first state is forgotten. Share of the squared Frobenius norm off the diagonal, median of 32 networks, usual start.", "name": "fig-14-share"}, "image": {"alt": "Two plots of a share from 0 to 100 per cent against t. GRU and LSTM look alike: for T up to 1 the share rises to nearly 100 per cent within ten steps, for T up to 16 it is 74 and 84 per cent after a hundred steps and 98 after 512, for T up to 256 it is one per cent after ten steps and 42 and 51 per cent after 512."}}
others = (experiment.width - 1) * frame["off"] ** 2
share = frame.assign(share=others / (others + frame["diagonal"] ** 2))
share = share.groupby([*names, "t"])["share"].median()
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.5), sharey=True, layout="constrained")
for ax, cell in zip(axes, ("gru", "lstm"), strict=True):
    for T, line, place in [(1, ":", (3.2, 0.75)), (16, "--", (21, 0.55)), (256, "-", (190, 0.35))]:
        ax.semilogx(share[cell, T, 1, 1], line, color=style.COLORS[cell])
        ax.text(*place, rf"$T \leq {T}$", ha="right", color="0.3")
    ax.set(xlabel="$t$", title=LABELS[cell], ylim=(0, 1.02), xlim=(1, 512))
axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
axes[0].set_ylabel("share off the diagonal");

# %% [markdown]
# With $T$ up to 256, the range of [Figure 15](fig15.ipynb), the diagonal holds 99 % of the squared norm after ten
# steps. At the end it still holds 58 % in the GRU and 49 % in the LSTM. With short memories it ends near zero: once a
# unit has forgotten its first state, what is left comes through others. The paper's figure does not show that.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the shares, also for stronger recurrent weights", "code_prompt_hide": "Hide the table"}
table = share.unstack("t")[[1, 10, 99, 512]].query("recurrent_scale > 0 and cell != 'mingru'")
table.style.format("{:.0%}").format_index(
    "{:g}", level=["max_time", "input_scale", "recurrent_scale"]
)

# %% [markdown]
# ## Two ways to one Jacobian
# `rtrl.state_jacobian` carries the Jacobian along with the state, $J_t = (\partial h_t / \partial h_{t-1}) \, J_{t-1}$.
# PyTorch's reverse mode gives the same matrix through `torch.nn.GRU`, with one backward pass per unit:

# %%
source = text.default_source()
x = text.load(source, 1, 64).x.double()
units = 8 if scale == "smoke" else 96
layer = ChronoGRU(x.shape[-1], units, max_time=16, generator=torch.Generator().manual_seed(0))
layer = layer.double()
(forward,) = rtrl.state_jacobian([layer], x[None], [64])
start = torch.zeros(1, 1, units, dtype=torch.float64, requires_grad=True)
last = layer.gru(x, start)[1][0, 0]
backward = torch.stack([torch.autograd.grad(h, start, retain_graph=True)[0][0, 0] for h in last])
print(f"largest entry {backward.abs().max():.3f}")
print(f"largest difference {(forward[0, 0] - backward).abs().max():.1e}")

# %% [markdown]
# ## Three small layers, measured here

# %% tags=["hide-input"]
small = experiment.at("smoke" if scale == "smoke" else "book")
small = dataclasses.replace(small, source=source)
live = {setting: small.measure(setting.label, device)["runs"] for setting in small.settings}
print(f"{small.networks} network of {small.width} units; {text.load(source, 1, 8).source}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Smaller layers show the same. Root mean square of the entries on the diagonal (solid) and off it (dashed), one network each, measured in this notebook.", "name": "fig-14-live"}, "image": {"alt": "Log-log plot: three solid curves that nearly coincide, and two dashed ones, GRU and LSTM, which start near one hundredth and stay below them, by a smaller factor at the end."}}
fig, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
looks = [("0.5", "GRU, constant gates")]
looks += [(style.COLORS[cell], LABELS[cell]) for cell in ("gru", "lstm")]
ends = []
for (columns, values), (color, label) in zip(live.values(), looks, strict=True):
    curves = pd.DataFrame(values, columns=columns).groupby("t")[["diagonal", "off"]].median()
    ax.loglog(curves["diagonal"], color=color)
    off = curves["off"]
    ax.loglog(off[off > 0], color=color, ls="--")
    ends.append((curves["diagonal"].iloc[-1], label, color))
ax.set(xlabel="$t$", ylabel="root mean square", ylim=(1e-8, 2))
style.label_ends(ax, ends);
