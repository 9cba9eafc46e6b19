# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 5: deep networks at the start of training
#
# **You will see** how signals and gradients of deep networks on Wikipedia grow with the memory of their units: a complex RNN's explode,
# those of an LRU do so along one kind of parameter, those of a GRU not at all; and which of this depends on real text. **You need**
# [Figure 12](fig12.ipynb), which says what the inputs are, and [normalisation and
# reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb). **Time** under a minute on a CPU: the figure shows stored
# results at the paper's size, and six networks are measured here.

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
from rnnlib.lab import claims, experiments, style, text
from rnnlib.lab.experiments.analysis import provenance

style.use()
NAMES = ["fig05", "fig05_sources"]
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    both = [experiments.get(name) for name in NAMES]
    experiments.run_all(both, "paper", device=device, progress=False)

# %% [markdown]
# ## The networks
# A linear encoder, four blocks of width 256, a linear decoder. A block is
#
# $$
# y = x + (W_1 u) \odot \sigma(W_2 u), \qquad u = \mathrm{gelu}(\mathrm{layer}(x)),
# $$
#
# with a complex RNN, an LRU or a GRU as layer. Their memory is set by one number $T_c$: eigenvalues start with moduli between
# $1 - 1/T_c$ and $1 - 1/(2 T_c)$, gates of the GRU at time constants between $T_c$ and $2 T_c$ (Chrono initialisation). The input is 128
# sequences of 512 tokens, the loss half the mean squared error of a predicted embedding, its gradient that of batches of 16 sequences.
#
# **Ours** differs in the inputs: windows of Wikipedia articles without padding, embedded by a smaller BERT (erratum 21). All is in single
# precision, and squares are summed in double. The largest mean square below is about $10^{10}$; single precision holds entries up to $10^{38}$,
# and a test compares the mean squares with those of double precision.

# %%
frame, compared = experiments.load("fig05"), experiments.load("fig05_sources")
print(provenance(frame))
print(provenance(compared))
print("inputs:", ", ".join(frame["source"].unique()), "and", ", ".join(compared["source"].unique()))

# %% [markdown]
# ## The figure
# Mean squares, averaged over eight batches. "All but" groups hold every parameter that has no line of its own, encoder and decoder
# included, as in the paper (erratum 20). In the paper panel A carries the label "variance of $h_t$"; what it shows is the output of blocks.

# %%
LABELS = {"crnn": "complex RNN", "lru": "LRU", "gru": "GRU"}
GROUPS = {  # by kind: group, its label, line style
    "crnn": [("lambda", r"$\lambda$", "-"), ("rest", r"all but $\lambda$", "--")],
    "lru": [
        ("theta", r"$\omega_\theta$", "-"),
        ("nu", r"$\omega_\nu$", ":"),
        ("rest", r"all but $\omega_\nu, \omega_\theta$", "--"),
    ],
    "gru": [("recurrent", "recurrent layer", "-"), ("rest", "all but it", "--")],
}


def line(table, kind, group="", layer=0, normalization="none", target="previous"):
    """Mean square by T_c."""
    quantity = "gradient" if group else "output"
    chosen = table.query("kind == @kind and normalization == @normalization and layer == @layer")
    chosen = chosen[chosen["quantity"] == quantity]
    if group:
        chosen = chosen[(chosen["group"] == group) & (chosen["target"] == target)]
    return chosen.set_index("time")["mean_square"]


# %% mystnb={"figure": {"caption": "A: mean square of the output of block 1 (dashed) and block 4. B: mean squared gradient by group of parameters. C: that of the complex RNN without normalisation, with layer and with batch normalisation; full: $\\lambda$, dashed: all but $\\lambda$. Inputs: Wikipedia articles through the embedding layer of all-MiniLM-L6-v2.", "name": "fig-05"}, "image": {"alt": "Three logarithmic plots against the time constant from 1 to 100. A: the complex RNN's output grows by one decade in block 1 and five in block 4; LRU and GRU are flat. B: the complex RNN's gradients grow by twelve decades, those of lambda by sixteen; the LRU's grow along the angle only; the GRU's are flat or fall. C: with layer or batch normalisation all but lambda stays low and lambda still rises by several decades."}}
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.4), layout="constrained")
for kind, name in LABELS.items():
    color = style.COLORS[kind]
    for block, ls in ((1, "--"), (4, "-")):
        label = name if block == 4 else None
        axes[0].loglog(line(frame, kind, layer=block), ls, color=color, marker=".", label=label)
    for group, label, ls in GROUPS[kind]:
        axes[1].loglog(line(frame, kind, group), ls, color=color, label=f"{name}, {label}")
looks = [("none", style.COLORS["crnn"], "no norm."), ("layer", "#0173b2", "layer norm.")]
looks += [("batch", "#949494", "batch norm.")]
for normalization, color, name in looks:
    for group, ls in (("lambda", "-"), ("rest", "--")):
        values = line(frame, "crnn", group, normalization=normalization)
        label = name if ls == "-" else None
        axes[2].loglog(values, ls, color=color, label=label)
keys = [(axes[0], "block 4", "block 1"), (axes[2], r"$\lambda$", r"all but $\lambda$")]
for ax, solid, dashed in keys:
    ax.plot([], [], "-", color="0.4", label=solid)
    ax.plot([], [], "--", color="0.4", label=dashed)
axes[0].set(title="A: signals", ylabel="mean square of block output")
axes[1].set(title="B: gradients", ylabel="mean squared gradient")
axes[2].set(title="C: gradients, complex RNN", ylabel="mean squared gradient")
axes[0].set_ylim(top=1e9)
axes[1].set_ylim(top=1e15)
for ax in axes:
    ax.set_xlabel(r"shortest memory $T_c$ at the start")
    ax.legend(fontsize=7)

# %% [markdown]
# A: with memory the complex RNN's output grows in every block, five decades in all; those of the LRU and the GRU do not depend on it. B:
# the gradient of the complex RNN's $\lambda$ grows by sixteen decades, all but it by twelve. Of the LRU's gradients the one along the
# angles grows, by five; the others stay within about a decade. Those of the GRU fall a little. C: layer or batch normalisation
# keeps outputs and all but $\lambda$ where they are, and $\lambda$ still rises by three and a half decades.
#
# How much each line grows from $T_c = 1$ to $100$, in decades:

# %%
rows = []
nets = frame[["kind", "normalization"]].drop_duplicates()
for kind, normalization in nets.itertuples(index=False):
    for group, layer in [("", 1), ("", 4), *((group, 0) for group, *_ in GROUPS[kind])]:
        values = np.log10(line(frame, kind, group, layer, normalization))
        what = group or f"output of block {layer}"
        first, last = values.loc[1.0], values.loc[100.0]
        rows.append((LABELS[kind], normalization, what, first, last, last - first))
columns = ["network", "normalisation", "mean square of", "log10 at 1", "log10 at 100", "growth"]
growth = pd.DataFrame(rows, columns=columns)
growth.style.hide(axis="index").format(dict.fromkeys(columns[3:], "{:.2f}"))

# %% [markdown]
# ## The fine print, checked
# **Erratum 12.** The code's loss compares the outputs from step 1 on with the inputs up to the last but one: it asks for the previous
# token. Both were measured. The ratio of mean squared gradients, next over previous, largest and smallest over memories:

# %%
ratios = {}
for kind in LABELS:
    for group, *_ in GROUPS[kind]:
        ratio = line(frame, kind, group, target="next") / line(frame, kind, group)
        ratios[LABELS[kind], group] = (ratio.min(), ratio.max())
pd.DataFrame(ratios, index=["smallest", "largest"]).T.style.format("{:.3f}")

# %% [markdown]
# It makes no difference before training.
#
# **Erratum 20.** What share of the squares in "all but" is the encoder's and the decoder's, and how the rest of the blocks alone behaves:

# %%
rows = []
for kind in LABELS:
    table = frame.query("kind == @kind and normalization == 'none' and layer == 0")
    table = table[table["target"] == "previous"]
    squares = table.assign(total=table["entries"] * table["mean_square"])
    squares = squares.pivot(index="time", columns="group", values="total")
    share = (squares["encoder"] + squares["decoder"]) / squares["rest"]
    alone = np.log10(line(frame, kind, "rest of blocks"))
    rows.append((LABELS[kind], share.loc[1.0], share.loc[100.0], alone.loc[100.0] - alone.loc[1.0]))
columns = ["network", "share at 1", "share at 100", "growth of the blocks alone, decades"]
table = pd.DataFrame(rows, columns=columns)
table.style.hide(axis="index").format(dict.fromkeys(columns[1:], "{:.2f}"))

# %% [markdown]
# They make up most of the group of the GRU and less than half in the other two. What grows and what does not is the same without them.
#
# **Erratum 22.** One layer normalisation with one set of weights serves both places of a block. Of a network with it, these are the
# parameters of the first block that are not the recurrent layer's:

# %%
network = experiments.get("fig05").network("crnn", "layer", 10.0, 384)
for name, weight in network.blocks[0].named_parameters():
    if not name.startswith("layer."):
        print(f"{name:14}", tuple(weight.shape))

# %% [markdown]
# **Errata 16 and 21.** Linear maps are LeCun normal; those of the GRU have He's gain of 2, which the text does not say. Variances times
# fan-in, as drawn; and the gates of the GRU at $T_c = 10$, which start at $T / (1 + T)$ rather than at $1 - 1/T$, .90 to .95:

# %%
linear = network.blocks[0].value.weight
gru = experiments.get("fig05").network("gru", "none", 10.0, 384).blocks[0].layer.gru
with torch.no_grad():
    print(f"linear map in a block: {linear.var() * linear.shape[1]:.2f}")
    print(f"input weights of the GRU: {gru.weight_ih_l0.var() * gru.weight_ih_l0.shape[1]:.2f}")
    gates = torch.sigmoid(gru.bias_ih_l0[256:512])
    print(f"gates of the GRU: {gates.min():.3f} to {gates.max():.3f}")

# %% [markdown]
# ## What needs real text?
# The same networks on three inputs: text; a Gaussian process with the text's mean and all its covariances, between any two dimensions at
# any two places; and a Gaussian process of which only the autocorrelation is the text's, as fitted in Figure 12, in independent
# dimensions.

# %% mystnb={"figure": {"caption": "Mean squares on text and on its two Gaussian stand-ins, 64 sequences. Left: outputs of block 4. Right: gradients, each group of panel B.", "name": "fig-05-sources"}, "image": {"alt": "Two logarithmic plots against the time constant 1, 10, 100, three lines for each network and group. Lines for text and for the Gaussian with all covariances lie on each other. Those for the fitted autocorrelation are parallel and slightly lower for outputs, lower by up to a decade and more for gradients."}}
kinds_of_input = [("wikipedia", "text", "-"), ("matched", "all covariances", "--")]
kinds_of_input += [("fitted", "fitted autocorrelation", ":")]
fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
for origin, label, ls in kinds_of_input:
    table = compared[compared["source"] == origin]
    axes[0].plot([], [], ls, color="0.3", label=label)
    for kind in LABELS:
        look = {"color": style.COLORS[kind], "lw": 1.3}
        name = LABELS[kind] if origin == "wikipedia" else None
        axes[0].loglog(line(table, kind, layer=4), ls, label=name, **look)
        for group, *_ in GROUPS[kind]:
            axes[1].loglog(line(table, kind, group), ls, **look)
axes[0].set(xlabel=r"$T_c$", ylabel="mean square of block 4's output")
axes[1].set(xlabel=r"$T_c$", ylabel="mean squared gradient")
axes[0].legend(fontsize="small");

# %% [markdown]
# Nothing in panels A and B needs real text. With all covariances the Gaussian process gives every mean square to within a fraction of a
# decade. The autocorrelation alone gives the outputs and, for whole networks, how gradients grow to within .4 decades; but most gradients
# come out too small, by up to 1.4 decades, and one of an LRU's blocks forty times too large. What it lacks is the mean that all sequences share, place by place, and the covariances between dimensions. How far the stand-ins are
# off, in decades, over memories, blocks and groups:

# %%
rows = []
keys = ["kind", "time", "quantity", "layer", "group"]
tables = {name: part.set_index(keys)["mean_square"] for name, part in compared.groupby("source")}
for origin in ("matched", "fitted"):
    logs = np.log10(tables[origin] / tables["wikipedia"])
    for kind in LABELS:
        for quantity in ("output", "gradient"):
            part = logs.xs((kind, quantity), level=["kind", "quantity"])
            rows.append((origin, LABELS[kind], quantity, part.min(), part.max()))
columns = ["inputs", "network", "mean square of", "lowest", "highest"]
table = pd.DataFrame(rows, columns=columns)
table.style.hide(axis="index").format({"lowest": "{:+.2f}", "highest": "{:+.2f}"})

# %% [markdown]
# ## Live: six networks, measured here
# One batch of 8 sequences, $T_c$ = 1 and 100. Where the packages with the text are missing, the inputs are Gaussian with the paper's
# autocorrelation, and the next line says so.

# %%
source = text.default_source()
small = experiments.get("fig05").at("smoke" if scale == "smoke" else "book")
small = dataclasses.replace(small, sources=(source,))
parts = [small.measure(part, device)["runs"] for part in small.parts()]
live = pd.DataFrame([row for _, rows in parts for row in rows], columns=parts[0][0])
print("inputs:", "text" if source == "wikipedia" else "Gaussian, the extra [text] is missing")
first, last = min(small.times), max(small.times)
for kind in LABELS:
    for group, *_ in GROUPS[kind]:
        values = line(live, kind, group)
        print(f"{LABELS[kind]:12} {group:10} {values[first]:9.2e} to {values[last]:9.2e}")

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-05-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig05");

# %%
claims.table("fig05")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: correlations do not matter on average
# *Derive. Hard.* Let the angles of a layer's eigenvalues be uniform on the circle and their modulus $\nu$. Show from
# $F(\lambda, \bar\lambda)$ that the mean of $\mathrm{E}|h|^2$ over the units is $R(0)/(1 - \nu^2)$, whatever the rest of the autocorrelation. By what
# factor does it grow between moduli uniform in $[0, .5]$ ($T_c = 1$) and in $[.99, .995]$ ($T_c = 100$)? What do correlations decide, then?
#
# <details>
# <summary>Solution 1</summary>
#
# $$F(\lambda, \bar\lambda) = \frac{1}{1-\nu^2} \Big[ R(0) + 2 \sum_{D \ge 1} \nu^D \cos(D\theta) R(D) \Big],$$
#
# and the mean of $\cos(D\theta)$ over the circle is zero. The mean over moduli is that of $1/(1-\nu^2)$: 1.10 at $T_c = 1$ and 70 at
# $T_c = 100$, a factor of 63 for one layer, before the nonlinearity and the weights after it. Correlations decide which units have the variance: for text, whose autocorrelation decays slowly and does not oscillate, the few with angles near 0.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
from rnnlib import theory

angles = 2 * np.pi * (np.arange(100_000) + 0.5) / 100_000
for nu in [0.5, 0.99]:
    for rho in [0.0, 0.9970]:
        variances = theory.state_variance(nu * np.exp(1j * angles), rho)
        print(f"nu = {nu}, rho = {rho}: mean {variances.mean():.3f}, largest {variances.max():.0f}")
        assert np.isclose(variances.mean(), 1 / (1 - nu**2), rtol=1e-6)
ends = [(0, 0.5), (0.99, 0.995)]
short, long = ((1 / (1 - np.linspace(*pair, 100_001) ** 2)).mean() for pair in ends)
print(f"mean of 1 / (1 - nu^2): {short:.2f} and {long:.1f}, ratio {long / short:.0f}")
assert 62 < long / short < 65
