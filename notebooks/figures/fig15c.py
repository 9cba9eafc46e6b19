# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 15c: an LSTM is more sensitive than a GRU
#
# **You will see** that the cells of an LSTM are two to seven times as sensitive as the units of a GRU, and that theory
# predicts it. **You need** [Figure 15](fig15.ipynb). **Time** under a minute on a CPU.

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
import numpy as np
import pandas as pd
from rnnlib import theory
from rnnlib.lab import experiments, style, text
from rnnlib.lab.experiments.fig15 import over_networks

style.use()
experiment, frame = experiments.get("fig15"), experiments.load("fig15")
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
measured = experiments.load("fig15", "inputs")["autocorrelation"].to_numpy()
GATES = {"constant": "gates constant", "input": "gates see the input"}
GATES |= {"state": "gates see input and state"}
T = np.geomspace(1, 256, 60)
lam = T / (1 + T)
RESPONSES = {"gru": theory.gated_response, "lstm": theory.lstm_response}
LABELS = {"gru": "GRU", "lstm": "LSTM"}


def means_of(table, cell, gate, quantity):
    """Means in bins of log T with the ends of their 95 % intervals."""
    means = over_networks(table.query("cell == @cell and gates == @gate"), quantity)
    return means, *np.nanpercentile(means.drawn, [2.5, 97.5], axis=0)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "An LSTM is two to seven times as sensitive as a GRU, and its sensitivity does not explode either. Squared sensitivity to the bias of the (forget) gate after 512 tokens against the time constant T of that bias: means in bins of log T with 95 % intervals, 400 networks of GRUs and 40 of LSTMs. Lines: theory for constant gates with the measured autocorrelation.", "name": "fig-15-lstm"}, "image": {"alt": "Three log-log plots against T from 1 to 256. The LSTM's squared sensitivity starts near .04 and falls to .01 at T = 256, two to seven times that of the GRU, which falls from .02 to .003. Both lines run through the means with constant gates and below them with the others."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 3), sharey=True, layout="constrained")
for ax, (gate, title) in zip(axes, GATES.items(), strict=True):
    for cell, response in RESPONSES.items():
        color = style.COLORS[cell]
        ax.loglog(T, theory.window_moment(response(lam, 512)[1], measured), color=color, lw=1.2)
        means, low, high = means_of(frame, cell, gate, "s2")
        error = [means.value - low, high - means.value]
        ax.errorbar(means.T, means.value, error, fmt="o", ms=4, color=color)
    ax.set(xlabel="time constant $T$", title=title)
axes[0].text(20, 0.06, "LSTM", color=style.COLORS["lstm"], weight="bold")
axes[0].text(4, 0.005, "GRU", color=style.COLORS["gru"], weight="bold")
axes[0].set_ylabel(r"sensitivity $(\mathrm{d}_b h)^2$");

# %% [markdown]
# The LSTM's sensitivity does not explode: it falls at long $T$. But the GRU, whose gate also scales its input, keeps it
# lower.

# %% [markdown]
# ## Why
# The cell is $c_t = f_t c_{t-1} + i_t \, W x_t$. It starts with the input gate $i_t = 1 - f_t$, as a GRU does, so with
# constant gates its second moment is the same. But the input gate does not follow the bias of the forget gate.
#
# A GRU that remembers longer also takes in less. An LSTM with a larger $b_f$ remembers longer and takes in as much. Its
# sensitivity has the weights $w_j = (1 - \lambda)^2 \, j \lambda^j$, all of one sign. For correlated inputs these sums
# do not cancel.
#
# A minGRU needs no panel: with gates and a linear candidate that see only the input, it is the middle panel's GRU.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the LSTM's sensitivity over the GRU's", "code_prompt_hide": "Hide the table"}
sides = {
    cell: pd.DataFrame({gate: means_of(frame, cell, gate, "s2")[0].value for gate in GATES})
    for cell in LABELS
}
ratios = (sides["lstm"] / sides["gru"]).set_index(means_of(frame, "gru", "constant", "s2")[0].low).T
ratios.style.format("{:.1f}").format_index("T ≥ {:.0f}", axis=1)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With constant gates the cells of an LSTM are as large as the states of a GRU; gates that move make them up to twice as large. Mean squares of states and cells, as above; one theory for both.", "name": "fig-15-lstm-state"}, "image": {"alt": "Three log-log plots against T from 1 to 256. With constant gates the means of LSTM and GRU coincide, fall from .12 to .02 and lie on the line of theory. With the others they lie above it, those of the LSTM by up to a factor of two, those of the GRU by a third to a half."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.6), sharey=True, layout="constrained")
for ax, (gate, title) in zip(axes, GATES.items(), strict=True):
    theirs = theory.window_moment(theory.gated_response(lam, 512)[0], measured)
    ax.loglog(T, theirs, color="black", lw=1.2)
    for cell, marker, shift in (("gru", "o", 0.95), ("lstm", "s", 1.05)):
        means, low, high = means_of(frame, cell, gate, "h2")
        error = [means.value - low, high - means.value]
        ax.errorbar(means.T * shift, means.value, error, fmt=marker, ms=4, color=style.COLORS[cell])
    ax.set(xlabel="time constant $T$", title=title)
axes[0].text(20, 0.08, "LSTM", color=style.COLORS["lstm"], weight="bold")
axes[0].text(20, 0.055, "GRU", color=style.COLORS["gru"], weight="bold")
axes[0].set_ylabel("$h^2$, $c^2$");

# %% [markdown]
# ## Eight networks, measured here

# %% tags=["hide-input"]
small = experiment.at("smoke" if scale == "smoke" else "book")
small = dataclasses.replace(small, source=text.default_source())
tables = [small.measure(part, device)["runs"] for part in small.parts() if part.startswith("gru")]
live = pd.concat([pd.DataFrame(rows, columns=columns) for columns, rows in tables])
columns, rows = small.measure("inputs", device)["moments"]
live_theory = pd.DataFrame(rows, columns=columns)
print(f"{small.networks} networks of {small.width} units; {text.load(small.source, 1, 8).source}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Eight GRUs measured in this notebook already show the pattern of 400. Means in bins of log T with 95 % intervals; lines: theory for constant gates with the second moments of their inputs.", "name": "fig-15-live"}, "image": {"alt": "Two log-log plots of squared state and squared sensitivity against T. The means of eight networks with constant gates lie along the line of theory; those of gates that see the input, alone or with the state, coincide and lie somewhat above for the sensitivity, for the state from T = 50 on."}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
titles = {"h2": "state $h^2$", "s2": r"sensitivity $(\mathrm{d}_b h)^2$"}
looks = {"constant": ("o", style.COLORS["gru"]), "input": ("s", "0.55"), "state": ("D", "0.15")}
for ax, (quantity, title), curve in zip(axes, titles.items(), ["h2", "gru_s2"], strict=True):
    ax.loglog(live_theory["T"], live_theory[curve], color="black", lw=1.2)
    for (gate, (marker, color)), shift in zip(looks.items(), (0.95, 1, 1.05), strict=True):
        bins, low, high = means_of(live, "gru", gate, quantity)
        error = [bins.value - low, high - bins.value]
        ax.errorbar(bins.T * shift, bins.value, error, fmt=marker, ms=4, color=color)
    ax.set(xlabel="time constant $T$", title=title)
for row, (gate, (_, color)) in enumerate(looks.items()):
    place = {"ha": "right", "transform": axes[1].transAxes}
    axes[1].text(0.98, 0.92 - 0.1 * row, GATES[gate], color=color, **place)
