# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 14: how diagonal a GRU is when it starts
#
# **You will see** that the units of a GRU start almost independent of each other, and that recurrent weights of three
# times the usual strength end that. **You need** [gates as eigenvalues](../theory/07-gates-as-eigenvalues.ipynb).
# **Time** under a minute on a CPU, with stored results.

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
import torch
from rnnlib import ChronoGRU
from rnnlib.lab import claims, experiments, rtrl, style, text
from rnnlib.lab.experiments.analysis import provenance

style.use()
experiment = experiments.get("fig14")
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run(experiment, "paper", device=device, progress=False)
frame, entries = experiments.load("fig14"), experiments.load("fig14", "entries")
norms = (frame["diagonal"] ** 2 + (experiment.width - 1) * frame["off"] ** 2) ** 0.5
frame = frame.assign(norm=norms, ratio=frame["off"] / frame["diagonal"])
names = ["cell", "max_time", "input_scale", "recurrent_scale"]
ON, OFF = style.COLORS["gru"], "0.25"


def of(table, setting):
    """The rows of a setting: cell, largest T, input scale, recurrent scale."""
    return table[(table[names] == pd.Series(dict(zip(names, setting, strict=True)))).all(axis=1)]


def draw(ax, setting, column, color, line="-"):
    """Against t, the median over networks and a band with 90 % of them; returns the median."""
    values = of(frame, setting).pivot_table(column, "network", "t")
    low, middle, high = values.quantile([0.05, 0.5, 0.95]).to_numpy()
    ax.loglog(values.columns, middle, line, color=color)
    ax.fill_between(values.columns, low, high, color=color, alpha=0.25, lw=0)
    return pd.Series(middle, values.columns)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "A GRU starts almost diagonal: until the first state is forgotten (shaded), entries of its Jacobian off the diagonal stay far below those on it. Recurrent weights of three times the usual strength end that (right). Root mean square of the entries of $\\partial h_t / \\partial h_0$, median and 90 % of 32 networks; dots: single entries of one network, without their sign; dotted: the diagonal with constant gates.", "name": "fig-14"}, "image": {"alt": "Four log-log plots of root mean squares against t from 1 to 512. Usual start, T up to 1, 16 and 256: the diagonal starts between one half and 1 and falls, the later the larger T; entries off it stay near one hundredth for T up to 1 and 16 and rise from .002 to .009 for T up to 256; for T up to 1 the curves nearly meet at the lower edge, for T up to 16 they stay a factor of ten apart. Recurrent weights times 3, right: entries off the diagonal reach five hundredths and are about as large as the diagonal from t = 70 on."}}
settings = {
    "$T \\leq 1$\nusual start": ("gru", 1, 1, 1),
    "$T \\leq 16$\nusual start": ("gru", 16, 1, 1),
    "$T \\leq 256$\nusual start": ("gru", 256, 1, 1),
    "$T \\leq 16$\nrecurrent weights × 3": ("gru", 16, 1, 3),
}
fig, axes = plt.subplots(1, 4, figsize=(7.2, 3), sharex=True, sharey=True, layout="constrained")
for ax, (title, setting) in zip(axes, settings.items(), strict=True):
    for kind, color in (("diagonal", ON), ("off-diagonal", OFF)):
        dots = of(entries[entries["kind"] == kind], setting)
        ax.plot(dots["t"], dots["value"].abs(), ".", ms=2, color=color, alpha=0.25)
    constant = of(frame, ("gru", setting[1], 0, 0)).groupby("t")["diagonal"].median()
    ax.plot(constant, ":", color="0.3", lw=1)
    draw(ax, setting, "diagonal", ON)
    draw(ax, setting, "off", OFF)
    norm = of(frame, setting).groupby("t")["norm"].median()
    forgotten = norm.index[norm < 1 / np.e]
    ax.axvspan(forgotten[0], 512, color="0.5", alpha=0.15, lw=0)
    ax.set(xlabel="$t$", title=title, ylim=(1e-4, 2), xlim=(1, 512))
axes[0].set_ylabel(r"entries of $\partial h_t / \partial h_0$")
axes[2].text(1.3, 0.06, "on the diagonal", color="#1b7fb8")
axes[2].text(1.2, 0.015, "off it", color=OFF)
axes[0].text(6, 0.6, "forgotten", color="0.35");

# %% [markdown]
# The first three panels show the usual start, for three ranges of time constants $T$. A Jacobian counts as decayed when
# its Frobenius norm is below 1/e of the identity's. Until then the root mean square off the diagonal is at most 3 % of
# that on it. It is smallest for slow units: 1.5 % in the rows of the slowest quarter and 4 % in those of the fastest,
# for $T$ up to 256.
#
# In the last panel the recurrent weights are three times as strong. After some seventy steps entries on and off the
# diagonal are equally large. Such a network is no longer close to a diagonal one.
#
# [Figure 14b](fig14b.ipynb) has the LSTM, the minGRU and the total of all small entries.

# %% [markdown]
# ## What is measured
# A GRU is $h_t = z_t \odot h_{t-1} + (1 - z_t) \odot n_t$. Its candidate is
# $n_t = \tanh(W_n x_t + r_t \odot U_n h_{t-1})$, its update gate $z_t = \sigma(b_z + W_z x_t + U_z h_{t-1})$ and its
# reset gate $r_t = \sigma(W_r x_t + U_r h_{t-1})$.
#
# The paper's theory treats a gated unit as a diagonal one whose eigenvalue is the gate $z_t$. That is exact if
# $\partial h_t / \partial h_0$ is diagonal: then it is the product of the gates. Gates and candidates that see the
# state couple the units:
#
# $$\begin{aligned}
# \frac{\partial h_t}{\partial h_{t-1}} =
# \mathrm{diag}(z_t) &+ \mathrm{diag}\big((h_{t-1} - n_t) \, z_t (1 - z_t)\big) \, U_z \\
#   &+ \mathrm{diag}\big((1 - z_t)(1 - n_t^2) \, r_t\big) \, U_n \\
#   &+ \mathrm{diag}\big((1 - z_t)(1 - n_t^2) \, r_t (1 - r_t) \, (U_n h_{t-1})\big) \, U_r .
# \end{aligned}$$
#
# How strongly, at the start of training? Layers have 256 units and biases $b_z = \log T$ with $T$ uniform in a range.
# Input weights have variance $2 \sigma_x / \text{fan-in}$; recurrent weights are orthogonal, times $\sigma_h$. The
# usual start is $\sigma_x = \sigma_h = 1$. Inputs are 512 tokens of Wikipedia articles through the embedding layer of
# all-MiniLM-L6-v2 (the paper: BERT-base). We measure 32 networks for each setting, each on a text of its own, in double
# precision. The paper shows one network and calls it typical.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where these results were computed", "code_prompt_hide": "Hide"}
print(provenance(experiments.load("fig14")))

# %% [markdown]
# ## The paper's nine panels
# The paper plots single entries on a linear axis. There it is hard to see how small the small ones are.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same, as the paper plots it. Entries of the Jacobian against t, on the diagonal (blue) and off it (dark). Dots: single entries of one network; bands: 90 % of all entries, median over 32 networks. Top: constant gates; middle: usual start; bottom: T up to 16 and recurrent scales 0, 1 and 3.", "name": "fig-14-entries"}, "image": {"alt": "Three rows of three plots of Jacobian entries against t from 1 to 512. Diagonal entries start near 1 or one half and decay, the later the larger the range of T. Off-diagonal entries lie on zero where the recurrent scale is 0 and in a narrow band around it at scale 1. At scale 3, bottom right, they fill a band of a tenth around zero; from t = 70 on the diagonal entries lie in the same band."}}
rows = [
    [("gru", T, 0, 0) for T in (1, 16, 256)],
    [("gru", T, 1, 1) for T in (1, 16, 256)],
    [("gru", 16, 1, strength) for strength in (0, 1, 3)],
]
kinds = {"diagonal": ("diagonal", ON), "off-diagonal": ("off", OFF)}
fig, axes = plt.subplots(3, 3, figsize=(7.2, 3.7), sharex=True, sharey=True, layout="constrained")
for row, settings in zip(axes, rows, strict=True):
    for ax, setting in zip(row, settings, strict=True):
        for kind, (column, color) in kinds.items():
            dots = of(entries[entries["kind"] == kind], setting)
            ax.semilogx(dots["t"], dots["value"], ".", ms=2, color=color, alpha=0.4)
            band = of(frame, setting).groupby("t")[[f"{column}_5", f"{column}_95"]].median()
            ax.fill_between(band.index, *band.T.to_numpy(), color=color, alpha=0.3, lw=0)
        _, T, sigma_x, sigma_h = setting
        ax.set_title(rf"$T \leq {T}$, $\sigma_x = {sigma_x}$, $\sigma_h = {sigma_h}$")
for ax in axes[-1]:
    ax.set_xlabel("$t$")
axes[1, 0].set_ylabel(r"entries of $\partial h_t / \partial h_0$");

# %% [markdown]
# Top: the diagonal is $\lambda^t$, all else zero. Bottom left: without recurrent weights all else is zero again,
# although the gates move.
#
# ## Gates that move shorten memories
# With $T$ up to 256 the diagonal has fallen to 1/e after 110 steps instead of the 138 of constant gates; with $T$ up to
# 16, after 8.3 instead of 9.4. The decay is qualitatively the same, as the paper says.
#
# The paper adds that this holds most for $\lambda$ near 1. That fails: slow units lose more. With $T \leq 16$ memory
# shrinks by a factor of 1.16 in the slowest quarter and 1.03 in the fastest; with $T \leq 256$ it is 1.25 against 1.22.
#
# <details>
# <summary>One reason</summary>
#
# Let an input add a Gaussian $\xi$ to the argument of a gate near 1. Then $\log z \approx -e^{-\xi} / T$, and the mean
# of $e^{-\xi}$ is $e^{\mathrm{var}(\xi) / 2}$: memories shorten by the same factor, however long $T$ is. At short $T$
# the logarithm of the sigmoid bends less, and the factor is smaller.
#
# </details>

# %% [markdown]
# ## How strong must recurrent weights be?
# The paper says that strengths $\sigma_h$ of 3 and more break the diagonality, and that then, and only then, the
# Jacobian explodes.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Recurrent weights of three times the usual strength break the diagonality; an explosion takes more than that. Left: root mean square of the entries off the diagonal over that on it (dotted: a tenth). Right: Frobenius norm of the Jacobian over that of the identity (dotted: 10 and 1/e). Numbers at the curves: recurrent strength. Median and 90 % of 32 networks, T up to 16.", "name": "fig-14-strength"}, "image": {"alt": "Two log-log plots against t, five curves each for strengths 1, 2, 3, 5 and 10. Left: the ratio starts between .008 and .08 and rises to 1, after five steps at strength 10, after seventy at strength 3; at strength 1 it passes a tenth at t = 90. Right: the norm rises beyond 10 to the power 12 at strengths 10 and 5, stays near 1 until t = 200 and falls to an eighth at strength 3, and decays at strengths 1 and 2."}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.6), layout="constrained")
strengths = [1, 2, 3, 5, 10]
marks = {1: (60, 1.5e-3), 2: (270, 2e-3), 3: (720, 0.06), 5: (190, 1e8), 10: (30, 1e8)}
for strength, color in zip(strengths, style.sequence("time", len(strengths)), strict=True):
    ratio, norm = (
        draw(ax, ("gru", 16, 1, strength), column, color)
        for ax, column in zip(axes, ("ratio", "norm"), strict=True)
    )
    look = {"color": color, "ha": "right", "va": "bottom", "weight": "bold"}
    axes[0].text(0.9 * np.interp(0.13, ratio, ratio.index), 0.13, strength, **look)
    axes[1].text(*marks[strength], strength, **look)
axes[0].axhline(0.1, color="0.6", ls=":")
axes[1].axhline(10, color="0.6", ls=":")
axes[1].axhline(1 / np.e, color="0.6", ls=":")
axes[0].set(xlabel="$t$", ylabel="off the diagonal / on it")
axes[1].set(xlabel="$t$", ylabel="norm / identity's norm", ylim=(1e-3, 1e12));

# %% [markdown]
# At strength 3 the entries off the diagonal catch up while the norm is still 0.7 of the identity's. Then the norm falls
# slowly, to an eighth after 512 steps. At strength 5 it grows to $10^{16}$ times the identity's, at 10 to $10^{106}$
# times. At strength 2 the diagonal stays ahead by a factor of ten until the Jacobian has decayed. So the paper's
# threshold for diagonality stands, and the explosion begins between 3 and 5.

# %% [markdown]
# <details>
# <summary>A measure that was changed after its number was known</summary>
#
# The claim on small off-diagonal entries once used all $t$. It failed at the last ones, with a ratio of 0.43 for $T
# \leq 16$: there the diagonal has decayed to $10^{-12}$, and nothing is small compared with it. Now the comparison ends
# where the Jacobian has decayed. The claim's row says so.
#
# </details>
#
# <details>
# <summary>Erratum 22: which entries the paper's code samples</summary>
#
# The code samples off-diagonal entries from the first rows of the Jacobian alone. A row belongs to a unit, and how far
# a unit depends on others depends on its time constant. With $T$ up to 256, four rows are four time constants: the root
# mean square of their entries is between a quarter and 2.5 times that of all rows. The figure's message is unchanged.
# The table below has this ratio after ten steps, over 32 networks.
#
# </details>

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show erratum 22 in numbers: first rows over all rows", "code_prompt_hide": "Hide the table"}
spread = frame.query("cell == 'gru' and recurrent_scale > 0 and t == 10")
ratios = (spread["first_rows"] / spread["off"]).groupby(
    [spread["max_time"], spread["recurrent_scale"]]
)
ratios = ratios.quantile([0, 0.5, 1]).unstack().set_axis(["smallest", "median", "largest"], axis=1)
ratios.style.format("{:.2f}").format_index("{:g}", level=[0, 1])

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-14-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig14");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig14")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: the first step
# *Derive. Hard.* From a zero state, which of the three recurrent matrices of a GRU couple its units in the first step?
# Estimate the root mean square of the off-diagonal entries of $\partial h_1 / \partial h_0$ in terms of gates and
# candidate, for orthogonal recurrent weights of scale 1. Why are an LSTM's exactly zero there?
#
# <details>
# <summary>Solution 1</summary>
#
# With $h_0 = 0$ the reset gate multiplies $U_n h_0 = 0$, so $U_r$ drops out. The Jacobian above is
#
# $$\mathrm{diag}(z) - \mathrm{diag}\big(n z (1 - z)\big) \, U_z + \mathrm{diag}\big((1 - z)(1 - n^2) r\big) \, U_n .$$
#
# Entries of orthogonal matrices have mean square $1/N$, and those of two matrices are independent. So the mean square
# is the mean over units of $\big[ (n z (1 - z))^2 + ((1 - z)(1 - n^2) r)^2 \big] / N$.
#
# An LSTM's gates see the output $h_0$, which the derivative with respect to the cell $c_0$ holds fixed. The cell $c_0$
# reaches $h_1$, and through it the gates of the second step.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
x = text.load(text.default_source(), 1, 64).x.double()
units = 8 if scale == "smoke" else 96
layer = ChronoGRU(x.shape[-1], units, max_time=16, generator=torch.Generator().manual_seed(0))
layer = layer.double()
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
