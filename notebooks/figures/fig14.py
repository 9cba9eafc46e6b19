# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 14: how diagonal a GRU is when it starts
#
# **You will see** the Jacobian of a GRU's state with respect to its first one, step after step: a diagonal of gates, beside which other
# entries stay below 3 % until the first state is forgotten; and that recurrent weights of three times the usual strength end that. Then
# the same for an LSTM and a minGRU. **You need** [gates as eigenvalues](../theory/07-gates-as-eigenvalues.ipynb). **Time** half a minute on a
# CPU: the figure shows stored results of 256 units, and smaller layers are measured here.

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
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from rnnlib import ChronoGRU
from rnnlib.lab import claims, experiments, style, rtrl, text
from rnnlib.lab.experiments.analysis import provenance

style.use()
experiment = experiments.get("fig14")
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run(experiment, "paper", device=device, progress=False)

# %% [markdown]
# ## What is measured
# A GRU is $h_t = z_t \odot h_{t-1} + (1 - z_t) \odot n_t$ with the candidate $n_t = \tanh(W_n x_t + r_t \odot U_n h_{t-1})$, the update gate
# $z_t = \sigma(b_z + W_z x_t + U_z h_{t-1})$ and the reset gate $r_t = \sigma(W_r x_t + U_r h_{t-1})$.
# The diagonal theory of the paper treats a gated unit as one with an eigenvalue of its own, the gate $z_t$. That is exact when
# $\partial h_t / \partial h_0$ is diagonal: then it is the product of the gates. Gates and candidates that see the state couple the units,
# through
#
# $$\begin{aligned}
# \frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(z_t) &+ \mathrm{diag}\big((h_{t-1} - n_t) \, z_t (1 - z_t)\big) \, U_z \\
#   &+ \mathrm{diag}\big((1 - z_t)(1 - n_t^2)\big) \Big[ \mathrm{diag}(r_t) \, U_n
#   + \mathrm{diag}\big(U_n h_{t-1} \, r_t (1 - r_t)\big) \, U_r \Big] .
# \end{aligned}$$
#
# How much, at the start of training? Layers of 256 units, biases $b_z = \log T$ with $T$ uniform in a range, input weights of variance
# $2 \sigma_x / \text{fan-in}$, orthogonal recurrent weights times $\sigma_h$; 512 tokens of Wikipedia articles through the embedding layer
# of all-MiniLM-L6-v2 (the paper: BERT-base). Stored results, 32 networks for each setting, each on a text of its own, double precision;
# the paper shows one network and calls it typical:

# %%
frame, entries = experiments.load("fig14"), experiments.load("fig14", "entries")
print(provenance(frame))

# %% [markdown]
# ## The figure

# %%
rows = [
    [("gru", T, 0, 0) for T in (1, 16, 256)],
    [("gru", T, 1, 1) for T in (1, 16, 256)],
    [("gru", 16, 1, scale_h) for scale_h in (0, 1, 3)],
]
names = ["cell", "max_time", "input_scale", "recurrent_scale"]
kinds = {"off-diagonal": ("off", "#de8f05"), "diagonal": ("diagonal", "#0173b2")}


def of(table, setting):
    return table[(table[names] == pd.Series(dict(zip(names, setting, strict=True)))).all(axis=1)]


# %% tags=["hide-input"] mystnb={"figure": {"caption": "A GRU starts almost diagonal, unless its recurrent weights are strong (bottom right). Entries of its recurrent Jacobian against the number of steps t. Dots: single entries of one network; bands: 90 % of all entries, median over 32 networks. Top: gates constant; middle: usual scales; bottom: T in [1, 16] and recurrent scales 0, 1, 3. Text: Wikipedia articles through the embedding layer of all-MiniLM-L6-v2.", "name": "fig-14"}, "image": {"alt": "Three rows of three plots of Jacobian entries against t from 1 to 512. Diagonal entries start near 1 or 1/2 and decay, the later the larger the range of T. Off-diagonal entries lie on zero where the recurrent scale is 0 and in a narrow band around it at scale 1. At scale 3, bottom right, they fill a band of a tenth around zero; from t = 70 on the diagonal entries lie in the same band, which narrows only towards t = 512."}}
fig, axes = plt.subplots(3, 3, figsize=(9, 6.4), sharex=True, sharey=True, layout="constrained")
for row, settings in zip(axes, rows, strict=True):
    for ax, setting in zip(row, settings, strict=True):
        for kind, (column, color) in kinds.items():
            dots = of(entries, setting).query("kind == @kind")
            ax.semilogx(dots["t"], dots["value"], ".", ms=2, color=color, alpha=0.4)
            band = of(frame, setting).groupby("t")[[f"{column}_5", f"{column}_95"]].median()
            low, high = band.T.to_numpy()
            ax.fill_between(band.index, low, high, color=color, alpha=0.3, lw=0, label=kind)
        _, T, sigma_x, sigma_h = setting
        ax.set_title(
            rf"$T \in [1, {T}]$, $\sigma_x = {sigma_x}$, $\sigma_h = {sigma_h}$", fontsize=9
        )
for ax in axes[-1]:
    ax.set_xlabel("$t$")
for ax in axes[:, 0]:
    ax.set_ylabel(r"entries of $\partial h_t / \partial h_0$")
axes[0, 0].legend(fontsize="small");
# %% [markdown]
# Top: nothing off the diagonal, which is $\lambda^t$. Middle: entries off the diagonal, and small ones: until the Jacobian has decayed (its
# Frobenius norm to 1/e of the identity's), their root mean square is at most 3 % of the diagonal's, for all three ranges of $T$. It is
# smallest for slow units: 1.5 % in the rows of the slowest quarter, 4 % in those of the fastest ($T$ up to 256). Bottom: without recurrent
# weights they are exactly zero again, although the gates move with the input. At three times the usual scale they are as large as the
# diagonal after some seventy steps: such a network is no longer close to a diagonal one.
#
# Medians over networks of the root mean square of the entries:

# %% tags=["hide-input"]
def draw(ax, values, color, line="-", label=None):
    """The median over networks and a band that holds 90 % of them, against the columns, t."""
    low, middle, high = values.quantile([0.05, 0.5, 0.95]).to_numpy()
    ax.loglog(values.columns, middle, line, color=color, label=label)
    ax.fill_between(values.columns, low, high, color=color, alpha=0.25, lw=0)


def by_network(values, setting):
    return of(values, setting).pivot_table("value", "network", "t")


root = frame.groupby([*names, "t"])[["diagonal", "off"]].median()
shown = [1, 10, 99, 512]
table = root[root.index.get_level_values("t").isin(shown)].unstack("t")
table.style.format("{:.1e}").format_index(
    "{:g}", level=["max_time", "input_scale", "recurrent_scale"]
)

# %% [markdown]
# **Gates that move shorten memories by about a quarter.** With $T$ up to 256 the diagonal has fallen to 1/e after 110 steps instead of the
# 138 of constant gates, with $T$ up to 16 after 8.3 instead of 9.4. That is qualitatively the same decay, as the paper says. But it adds that this
# holds most for $\lambda$ near 1, and that fails: slow units lose more, a factor of 1.16 in the slowest quarter of $T \le 16$ and 1.03 in the
# fastest; for $T \le 256$ it is 1.25 against 1.22. One reason: if an input adds a Gaussian $\xi$ to the argument of a gate near 1,
# $\log z \approx -e^{-\xi} / T$, whose mean is $e^{\mathrm{var}(\xi) / 2}$ times as large, however long $T$ is; relative to its size, the
# logarithm of the sigmoid is less curved at short $T$.
#
# Next to a diagonal that has decayed to $10^{-12}$ the other entries are not small. The row of claims that compares the two once took all
# $t$, and failed at the last ones, .43 at $T \le 16$; now it ends where the Jacobian has decayed.
#
# A single off-diagonal entry is small, but each row has 255 of them. Their share of the squared Frobenius norm says how much of the
# Jacobian as a matrix the diagonal theory leaves out:

# %% tags=["hide-input"]
others = (experiment.width - 1) * frame["off"] ** 2
share = frame.assign(share=others / (others + frame["diagonal"] ** 2))
share = share.groupby([*names, "t"])["share"].median().unstack("t")[shown]
share = share.query("recurrent_scale > 0 and cell != 'mingru'")
share.style.format("{:.0%}").format_index(
    "{:g}", level=["max_time", "input_scale", "recurrent_scale"]
)

# %% [markdown]
# With $T$ up to 256, the range of [Figure 15](fig15.ipynb), the diagonal holds 99 % of the squared norm after ten steps; at the end it
# still holds 58 % in the GRU and 49 % in the LSTM. With short memories it does not: once the units have forgotten, what is left of the first
# state has come by way of the others. The small dots of the figure do not show that.
#
# ## How strong must recurrent weights be?
# The paper: strengths $\sigma_h$ of 3 and more break the diagonality, then the Jacobian explodes, and only there.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Recurrent weights of three times the usual strength break the diagonality; to explode takes more. Left: root mean square of the entries off the diagonal over that on it (dotted: a tenth). Right: Frobenius norm of the Jacobian over that of the identity (dotted: 10 and 1/e). Median and 90 % of 32 networks, T in [1, 16].", "name": "fig-14-strength"}, "image": {"alt": "Two log-log plots against t, five curves each for strengths 1, 2, 3, 5 and 10. Left: the ratio starts between .008 and .08 and rises to 1, after five steps at strength 10, after seventy at strength 3; at strength 1 it passes a tenth at t = 90. Right: the norm rises beyond 10 to the power 12 at strengths 10 and 5, stays near 1 until t = 200 and falls to an eighth at strength 3, and decays at strengths 1 and 2."}}
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
strengths = [1, 2, 3, 5, 10]
norms = (frame["diagonal"] ** 2 + (experiment.width - 1) * frame["off"] ** 2) ** 0.5
numbers = {
    "off the diagonal / on it": frame["off"] / frame["diagonal"],
    "norm / identity's norm": norms,
}
for ax, (label, values) in zip(axes, numbers.items(), strict=True):
    for strength, color in zip(strengths, style.sequence("time", len(strengths)), strict=True):
        table = by_network(frame.assign(value=values), ("gru", 16, 1, strength))
        draw(ax, table, color, label=f"{strength}")
    ax.set(xlabel="$t$", ylabel=label)
axes[0].axhline(0.1, color="0.6", ls=":")
axes[1].axhline(10, color="0.6", ls=":")
axes[1].axhline(1 / np.e, color="0.6", ls=":")
axes[1].set_ylim(1e-3, 1e12)
axes[0].legend(title=r"$\sigma_h$", fontsize="small", loc="lower right");
# %% [markdown]
# At strength 3 the entries off the diagonal have caught up while the norm is still .7 of the identity's; then it falls slowly, to an eighth
# after 512 steps. At strength 5 it grows to $10^{16}$ times the identity's, at 10 to $10^{106}$ times. At strength 2 the diagonal stays ahead
# by a factor of ten until the Jacobian has decayed. So the paper's threshold for diagonality stands, and the explosion sets in beyond it,
# between 3 and 5. A single entry off the diagonal is the smaller the more units there are, as $1 / \sqrt N$.
#
# ## Beyond the paper: an LSTM and a minGRU
# An LSTM's cell has a forget gate that acts as $z$, and four ways in for the state: three gates and the candidate. A minGRU has gates that
# see the input alone. In the same frame, usual scales:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The three cells start equally diagonal, the minGRU exactly so. Root mean square of diagonal (solid) and off-diagonal (dashed) entries against t, usual scales, three ranges of T; median and 90 % of 32 networks. Of the LSTM: the cell's Jacobian.", "name": "fig-14-cells"}, "image": {"alt": "Three log-log plots, one for each range of T. The solid curves of GRU, LSTM and minGRU nearly coincide until they have decayed. The dashed ones of GRU and LSTM lie near one hundredth, the LSTM's from the second step on, and coincide from about ten steps on; for T = 1 they meet the solid curves after twenty steps, for T up to 256 they stay far below until 512."}}
fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), sharey=True, layout="constrained")
labels = {"gru": "GRU", "lstm": "LSTM", "mingru": "minGRU"}
for ax, T in zip(axes, (1, 16, 256), strict=True):
    for cell, label in labels.items():
        color = style.COLORS[cell]
        setting = (cell, T, 1, 1)
        draw(ax, by_network(frame.assign(value=frame["diagonal"]), setting), color, label=label)
        if cell != "mingru":
            off = by_network(frame.assign(value=frame["off"]), setting)
            draw(ax, off.loc[:, (off > 0).all()], color, "--")  # of an LSTM, from t = 2 on
    ax.set(xlabel="$t$", title=rf"$T \in [1, {T}]$", ylim=(1e-8, 2))
axes[0].set_ylabel("root mean square")
axes[2].plot([], [], color="0.4", label="diagonal")
axes[2].plot([], [], color="0.4", ls="--", label="off the diagonal")
axes[2].legend(fontsize="small", loc="lower left");
# %% [markdown]
# With $T$ up to 256 the three agree on the diagonal throughout, with $T$ up to 16 until it has decayed to nothing; with $T = 1$ they part
# after a few dozen steps. The LSTM couples its units as much as the GRU does, with one step of delay: a gate sees the cell
# through the output $h$ of the step before. The minGRU's entries off the diagonal are exactly zero: the price of that, and of training by a
# parallel scan, is that its gates cannot look at the state.
#
# ## Erratum 22: the sample
# The paper's code samples off-diagonal entries from the first rows of the Jacobian alone. Rows belong to units, and how far a unit depends
# on others depends on its own time constant. The root mean square over the first four rows, divided by that over all off-diagonal
# entries, over the networks:

# %% tags=["hide-input"]
spread = frame.query("cell == 'gru' and recurrent_scale > 0 and t == 10")
ratios = (spread["first_rows"] / spread["off"]).groupby(
    [spread["max_time"], spread["recurrent_scale"]]
)
ratios = ratios.quantile([0, 0.5, 1]).unstack().set_axis(["smallest", "median", "largest"], axis=1)
ratios.style.format("{:.2f}").format_index("{:g}", level=[0, 1])

# %% [markdown]
# With $T$ in [1, 256] four rows are four time constants, and their entries are between a quarter and 2.5 times as large as those of all
# rows. What the figure shows stays.
#
# ## Live: carried forward, and by back-propagation
# `rtrl.state_jacobian` carries the Jacobian along with the state, $J_t = (\partial h_t / \partial h_{t-1}) \, J_{t-1}$. The same
# matrix by PyTorch's reverse mode through `torch.nn.GRU`, one pass a unit:

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
# And three settings of the experiment at a smaller size, measured here:

# %%
small = experiment.at("smoke" if scale == "smoke" else "book")
small = dataclasses.replace(small, source=source)
live = {setting: small.measure(setting.label, device)["runs"] for setting in small.settings}
print(f"{small.networks} network(s) of {small.width} units, {text.load(source, 1, 8).source}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Root mean square of diagonal (solid) and off-diagonal (dashed) entries of small layers, measured in this notebook.", "name": "fig-14-live"}, "image": {"alt": "Log-log plot: three solid curves that nearly coincide, and two dashed ones, GRU and LSTM, which start near one hundredth and stay below them, by a smaller factor at the end."}}
fig, ax = plt.subplots(figsize=(4.6, 2.8), layout="constrained")
colors = [style.COLORS["rnn"], style.COLORS["gru"], style.COLORS["lstm"]]
for (setting, (columns, values)), color in zip(live.items(), colors, strict=True):
    curves = pd.DataFrame(values, columns=columns).groupby("t")[["diagonal", "off"]].median()
    label = f"{labels[setting.cell]}, scales {setting.input_scale:g}"
    ax.loglog(curves["diagonal"], color=color, label=label)
    off = curves["off"]
    ax.loglog(off[off > 0], color=color, ls="--")
ax.set(xlabel="$t$", ylabel="root mean square", ylim=(1e-8, 2))
ax.legend(fontsize="small");
# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-14-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig14");

# %%
claims.table("fig14")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: the first step
# *Derive. Hard.* From a zero state, which of the three recurrent matrices of a GRU couple its units in the first step? Estimate the root
# mean square of the off-diagonal entries of $\partial h_1 / \partial h_0$ in terms of gates and candidate, for orthogonal recurrent
# weights of scale 1. Why are the LSTM's exactly zero there?
#
# <details>
# <summary>Solution 1</summary>
#
# With $h_0 = 0$ the reset gate multiplies $U_n h_0 = 0$, so $U_r$ drops out, and the Jacobian above is
#
# $$\mathrm{diag}(z) - \mathrm{diag}\big(n z (1 - z)\big) \, U_z + \mathrm{diag}\big((1 - z)(1 - n^2) r\big) \, U_n .$$
#
# Entries of orthogonal matrices have mean square $1/N$, those of two of them are independent: the mean square is the mean over units of
# $\big[ (n z (1 - z))^2 + ((1 - z)(1 - n^2) r)^2 \big] / N$. An LSTM's gates see $h_0$, which the derivative with respect to $c_0$ holds
# fixed; $c_0$ reaches $h_1$, and through it the gates of the second step.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
(J,) = (J[0, 0].numpy() for J in rtrl.state_jacobian([layer], x[None], [1]))
r, z, n = (
    (x[0, 0] @ W.mT + b).detach().numpy()
    for W, b in zip(layer.gru.weight_ih_l0.chunk(3), layer.gru.bias_ih_l0.chunk(3), strict=True)
)
r, z, n = 1 / (1 + np.exp(-r)), 1 / (1 + np.exp(-z)), np.tanh(n)
estimate = np.sqrt((((n * z * (1 - z)) ** 2 + ((1 - z) * (1 - n**2) * r) ** 2) / units).mean())
found = np.sqrt((J[~np.eye(units, dtype=bool)] ** 2).mean())
print(f"estimated {estimate:.4f}, found {found:.4f}")
assert 2 / 3 < found / estimate < 3 / 2
