# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 5: deep networks at the start of training
#
# **You will see** how signals and gradients of deep networks on Wikipedia grow with the memory of their units, in 32 draws of each network:
# a complex RNN's explode, those of an LRU do so along one kind of parameter, those of a GRU not at all; and which of this depends on real
# text. **You need** [Figure 12](fig12.ipynb), which says what the inputs are, and [normalisation and
# reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb). **Time** under a minute on a CPU: the figures show stored
# results at the paper's size, and eight networks are measured here.

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
import torch
from rnnlib.lab import claims, experiments, style, text
from rnnlib.lab.claims.fig05 import NAME, TEXTS, decades, growth, times
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.experiments.propagation import embeddings, mean_squares
from rnnlib.lab.paper_values import paper_values

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run(NAME, "paper", device=device, progress=False)

# %% tags=["hide-input"]
TIMES = times()
LABELS = {"crnn": "complex RNN", "lru": "LRU", "gru": "GRU", "lstm": "LSTM"}
GROUPS = {  # by kind: group, its label, line style, the paper's name
    "crnn": [
        ("lambda", r"$\lambda$", "-", "cRNN lambda"),
        ("rest", r"all but $\lambda$", "--", "cRNN others"),
    ],
    "lru": [
        ("theta", r"$\omega_\theta$", "-", "LRU theta"),
        ("nu", r"$\omega_\nu$", ":", "LRU nu"),
        ("rest", r"all but $\omega_\nu, \omega_\theta$", "--", "LRU others"),
    ],
    "gru": [
        ("recurrent", "recurrent layer", "-", "GRU seq"),
        ("rest", "all but it", "--", "GRU others"),
    ],
    "lstm": [("recurrent", "recurrent layer", "-", ""), ("rest", "all but it", "--", "")],
}
PLAIN = {"lambda": "λ", "theta": "ω_θ", "nu": "ω_ν", "recurrent": "recurrent", "rest": "all others"}
theirs = paper_values("fig05")


def by_memory(quantity, kind, layer=0, normalization="none", at=TIMES, **options):
    """Decades of a mean square, a row a network and a column a T_c; the mean over the two texts."""
    place = {"layer": layer, "normalization": normalization}
    columns = [decades(quantity, kind, time, **place, **options).mean(1) for time in at]
    return np.stack(columns, axis=1)


def band(ax, logs, ls, color, label=None, at=TIMES, lw=1.5):
    """Median over networks, and from the smallest to the largest."""
    ax.fill_between(at, 10 ** logs.min(0), 10 ** logs.max(0), color=color, alpha=0.15, lw=0)
    ax.plot(at, 10 ** np.median(logs, 0), ls, color=color, label=label, lw=lw)


def diamonds(ax, values):
    """The paper's values."""
    values = dict.fromkeys(TIMES, values["all"]) if "all" in values else values
    look = style.PAPER | {"ms": 3.5, "label": None}
    ax.plot([float(time) for time in values], list(values.values()), **look)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Nothing of a GRU depends on memory, of an LRU the angle's gradient alone, of a complex RNN everything. Lines: median of 32 networks, each on two texts; shaded: from the smallest to the largest of them; grey: the paper's one network. A: mean square of the output of block 1 (dashed) and block 4. B: mean squared gradient by group of parameters. C: that of the complex RNN without normalisation, with layer and with batch normalisation; full: $\\lambda$, dashed: all but $\\lambda$.", "name": "fig-05"}, "image": {"alt": "Three logarithmic plots against the time constant from 1 to 100, lines with shaded bands and grey diamonds of the paper near them. A: the complex RNN's output grows by one decade in block 1 and several in block 4; LRU and GRU are flat. B: the complex RNN's gradients grow by many decades, those of lambda most; the LRU's grow along the angle only; the GRU's are flat or fall. C: with layer or batch normalisation all but lambda stays low and lambda still rises by several decades."}}
fig, axes = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained")
for kind in ("crnn", "lru", "gru"):
    color, name = style.COLORS[kind], LABELS[kind]
    for block, ls in ((1, "--"), (4, "-")):
        band(axes[0], by_memory("output", kind, block), ls, color, name if block == 4 else None)
        diamonds(axes[0], theirs["A"][f"{name.replace('complex ', 'c')} layer{block}"])
    for group, label, ls, paper in GROUPS[kind]:
        band(axes[1], by_memory(group, kind), ls, color, f"{name}, {label}")
        diamonds(axes[1], theirs["B"][paper])
looks = [("none", style.COLORS["crnn"], "no norm."), ("layer", "#0173b2", "layer norm.")]
looks += [("batch", "#029e73", "batch norm.")]
for normalization, color, name in looks:
    for group, ls, paper in (("lambda", "-", "lambda"), ("rest", "--", "others")):
        logs = by_memory(group, "crnn", normalization=normalization)
        band(axes[2], logs, ls, color, name if ls == "-" else None)
        diamonds(axes[2], theirs["C"].get(f"{normalization} {paper}", {}))
keys = [(axes[0], "block 4", "block 1"), (axes[2], r"$\lambda$", r"all but $\lambda$")]
for ax, solid, dashed in keys:
    ax.plot([], [], "-", color="0.4", label=solid)
    ax.plot([], [], "--", color="0.4", label=dashed)
axes[0].set(title="A: signals", ylabel="mean square of block output")
axes[1].set(title="B: gradients", ylabel="mean squared gradient")
axes[2].set(title="C: gradients, complex RNN", ylabel="mean squared gradient")
for ax, top in zip(axes, (1e10, 1e20, 1e20), strict=True):
    ax.set(xscale="log", yscale="log", xlabel=r"shortest memory $T_c$ at the start")
    ax.set_ylim(top=top)  # room for the legend
    ax.plot([], [], **(style.PAPER | {"ms": 3.5}))
    ax.legend(fontsize=7)

# %% [markdown]
# A: with memory the complex RNN's output grows in every block; those of the LRU and the GRU hardly depend on it. B: the gradients of the
# complex RNN explode, those of $\lambda$ fastest. Of the LRU's gradients the one along the angles does; the others change by
# less than a factor of ten. C: with layer or batch normalisation all but $\lambda$ stays small, and $\lambda$ still rises. By how much each line
# grows from $T_c = 1$ to $100$, in decades, the median of 32 networks with its 95 % interval:

# %% tags=["hide-input"]
def change(values):
    """Decades from T_c = 1 to 100 in the paper's figure."""
    return f"{np.log10(values['100'] / values['1']):+.2f}" if "100" in values else ""


rows = []
networks = [*((kind, "none") for kind in LABELS), ("crnn", "layer"), ("crnn", "batch")]
for kind, normalization in networks:
    short = LABELS[kind].replace("complex ", "c")
    shown = [("output", f"output of block {n}", f"{short} layer{n}", n) for n in (1, 4)]
    shown += [(group, PLAIN[group], paper, 0) for group, _, _, paper in GROUPS[kind]]
    for quantity, label, paper, layer in shown:
        own = growth(quantity, kind, layer, normalization)
        panel = theirs["A" if layer else "B"]
        if normalization != "none":
            panel, paper = theirs["C"], f"{normalization} {paper.rpartition(' ')[2]}"
        interval = f"{own.value:+.2f}  ({own.low:+.2f} to {own.high:+.2f})"
        rows.append((LABELS[kind], normalization, label, interval, change(panel.get(paper, {}))))
columns = ["network", "normalisation", "mean square of", "growth, decades", "paper"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# ## Why 32 draws
# Between draws of the network single groups of gradients differ by more than a decade, between the two texts by little. So the paper's
# one network may lie anywhere in a band, and so may any one of ours. At $T_c = 100$, in decades:

# %% tags=["hide-input"]
rows = {}
for kind in LABELS:
    for group, *_ in GROUPS[kind]:
        first, other = decades(group, kind, 100.0).T
        networks = (first + other) / 2
        low, high = np.quantile(networks, [0.1, 0.9])
        numbers = (high - low, np.ptp(networks), np.median(abs(first - other)))
        rows[LABELS[kind], PLAIN[group]] = numbers
columns = ["80 % of networks lie within", "all lie within", "two texts differ by, median"]
pd.DataFrame(rows, index=columns).T.style.format("{:.2f}")

# %% [markdown]
# ## The GRU and the LSTM
# The paper says that an LSTM behaves as the GRU in preliminary experiments. Ours starts its forget gate as the GRU's update gate and its
# input gate at the complement.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The LSTM beside the GRU: median of 32 networks, shaded from the smallest to the largest. Left: mean square of the output of block 4. Right: mean squared gradient of the recurrent layers (full) and of all other parameters (dashed). Grey: the paper's GRU.", "name": "fig-05-lstm"}, "image": {"alt": "Two logarithmic plots against the time constant from 1 to 100, GRU and LSTM, with narrow bands. Left: outputs of both are nearly flat. Right: gradients of the recurrent layers lie one to two decades below those of all other parameters."}}
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.9), layout="constrained")
for kind in ("gru", "lstm"):
    band(axes[0], by_memory("output", kind, 4), "-", style.COLORS[kind], LABELS[kind])
    for group, label, ls, paper in GROUPS[kind]:
        band(axes[1], by_memory(group, kind), ls, style.COLORS[kind], f"{LABELS[kind]}, {label}")
        diamonds(axes[1], theirs["B"].get(paper, {}))
diamonds(axes[0], theirs["A"]["GRU layer4"])
AXES = ("mean square of block 4's output", "mean squared gradient")
for ax, label in zip(axes, AXES, strict=True):
    ax.set(xscale="log", yscale="log", xlabel=r"$T_c$", ylabel=label)
    ax.legend(fontsize="small")
axes[0].set_ylim(0.05, 2)
axes[1].set_ylim(top=1e-4);

# %% [markdown]
# ## What needs real text?
# The same networks on three inputs: text; a Gaussian process with the text's mean and all its covariances, between any two dimensions at
# any two places; and a Gaussian process of which only the autocorrelation is the text's, as fitted in Figure 12, in independent
# dimensions.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A Gaussian process with the text's mean and covariances does what text does; its autocorrelation alone leaves gradients too small. Medians of 32 networks. Left: outputs of block 4. Right: gradients, each group of panel B.", "name": "fig-05-sources"}, "image": {"alt": "Two logarithmic plots against the time constant 1, 10, 100, three lines for each network and group. Outputs: the three lie on each other. Gradients: text and the Gaussian with all covariances lie on each other; the fitted autocorrelation's are up to a decade lower, the GRU's most."}}
FEW = times("matched")
INPUTS = [(TEXTS, "text", "-"), (("matched",), "all covariances", "--")]
INPUTS += [(("fitted",), "fitted autocorrelation", ":")]
fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
for sources, label, ls in INPUTS:
    axes[0].plot([], [], ls, color="0.3", label=label)
    for kind in ("crnn", "lru", "gru"):
        look = {"color": style.COLORS[kind], "lw": 1.3}
        name = LABELS[kind] if ls == "-" else None
        outputs = by_memory("output", kind, 4, at=FEW, sources=sources)
        axes[0].plot(FEW, 10 ** np.median(outputs, 0), ls, label=name, **look)
        for group, *_ in GROUPS[kind]:
            gradients = by_memory(group, kind, at=FEW, sources=sources)
            axes[1].plot(FEW, 10 ** np.median(gradients, 0), ls, **look)
for ax, label in zip(axes, AXES, strict=True):
    ax.set(xscale="log", yscale="log", xlabel=r"$T_c$", ylabel=label)
axes[0].legend(fontsize="small");

# %% [markdown]
# How far the stand-ins are off, in decades: the lowest and highest median over memories, blocks and groups. What the autocorrelation lacks
# is the mean that all sequences share, place by place, and the covariances between dimensions.

# %% tags=["hide-input"]
rows = []
for sources, label, _ in INPUTS[1:]:
    for kind in ("crnn", "lru", "gru"):
        groups = [(group, layer) for group, *_ in GROUPS[kind] for layer in range(5)]
        outputs = [("output", layer) for layer in range(1, 5)]
        for what, wanted in (("output", outputs), ("gradient", groups)):
            off = []
            for quantity, layer in wanted:
                ours = by_memory(quantity, kind, layer, at=FEW, sources=sources)
                off.append(np.median(ours - by_memory(quantity, kind, layer, at=FEW), 0))
            rows.append((label, LABELS[kind], what, np.min(off), np.max(off)))
columns = ["inputs", "network", "mean square of", "lowest", "highest"]
table = pd.DataFrame(rows, columns=columns)
table.style.hide(axis="index").format({"lowest": "{:+.2f}", "highest": "{:+.2f}"})

# %% [markdown]
# ## Live: eight networks, measured here
# One draw, 8 sequences, $T_c$ = 1 and 100: log10 of mean squared gradients. Where the packages with the text are missing, the inputs are
# Gaussian with the paper's autocorrelation, and the next line says so.

# %%
source = TEXTS[0] if text.default_source() == "wikipedia" else "gaussian"
small = experiments.get(NAME).at("smoke" if scale == "smoke" else "book")
condition = dataclasses.replace(small.conditions[0], source=source, targets=("previous",))
small = dataclasses.replace(small, conditions=(condition,), draws=1)
parts = [small.measure(part, device)["runs"] for part in small.parts()]
live = pd.DataFrame([row for _, rows in parts for row in rows], columns=parts[0][0])
live = live.query("normalization == 'none' and layer == 0")
print("inputs:", "text" if source != "gaussian" else "Gaussian, the extra [text] is missing")
for kind in LABELS:
    for group, *_ in GROUPS[kind]:
        values = live.loc[live["kind"] == kind, group].to_numpy(float)
        print(f"{LABELS[kind]:12} {group:10} {values[0]:7.2f} to {values[-1]:7.2f}")

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-05-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig05");

# %% tags=["hide-input"]
claims.table("fig05")

# %% [markdown]
# ## The networks
# A linear encoder, four blocks of width 256, a linear decoder. A block is
#
# $$
# y = x + (W_1 u) \odot \sigma(W_2 u), \qquad u = \mathrm{gelu}(\mathrm{layer}(x)),
# $$
#
# with a complex RNN, an LRU or a GRU as layer. Their memory is set by one number $T_c$: eigenvalues start with moduli between $1 - 1/T_c$
# and $1 - 1/(2 T_c)$, gates of the GRU at time constants between $T_c$ and $2 T_c$ (Chrono initialisation). The input is 16 sequences of
# 512 tokens, the loss half the mean squared error of a predicted embedding, its gradient that of the batch. A draw draws the weights, the
# same at every $T_c$ and with every normalisation, and of each of two texts the sequences; the texts are two halves of the articles.
#
# "All but" groups hold every parameter that has no line of its own, encoder and decoder included, as in the paper (erratum 20). In the paper
# panel A carries the label "variance of $h_t$"; what it shows is the output of blocks.
#
# **Ours** differs in the inputs: beginnings of Wikipedia articles without padding, embedded by a smaller BERT (erratum 21). All is in single
# precision, and squares are summed in double. Single precision holds entries up to $10^{38}$, and a test compares the mean squares with
# those of double precision.

# %%
print(provenance(experiments.load(NAME)))

# %% [markdown]
# ## The fine print, checked
# **Erratum 12.** The code's loss compares the outputs from step 1 on with the inputs up to the last but one: it asks for the previous
# token. Both were measured on one text. The ratio of mean squared gradients, next over previous, the smallest and the largest median over
# memories:

# %% tags=["hide-input"]
ratios = {}
for kind in ("crnn", "lru", "gru"):
    for group, *_ in GROUPS[kind]:
        coming = by_memory(group, kind, sources=TEXTS[:1], target="next")
        past = by_memory(group, kind, sources=TEXTS[:1], target="previous")
        ratio = 10 ** np.median(coming - past, 0)
        ratios[LABELS[kind], PLAIN[group]] = (ratio.min(), ratio.max())
pd.DataFrame(ratios, index=["smallest", "largest"]).T.style.format("{:.3f}")

# %% [markdown]
# It makes no difference before training.
#
# **Erratum 20.** What share of the squares in "all but" is the encoder's and the decoder's, median of 32 networks, and how the rest of the
# blocks alone grows:

# %% tags=["hide-input"]
size = embeddings("gaussian", 0, 1, 1).shape[-1]
rows = []
for kind in ("crnn", "lru", "gru"):
    network = experiments.get(NAME).network(kind, "none", 1.0, size)
    own = tuple(f".layer.{name}" for name in network.blocks[0].layer.recurrent_parameters)
    named = list(network.named_parameters())
    rest = sum(w.numel() for name, w in named if not any(part in name for part in own))
    shares = []
    for part in ("encoder", "decoder"):
        entries = sum(w.numel() for name, w in named if name.startswith(part))
        share = entries / rest * 10 ** (by_memory(part, kind) - by_memory("rest", kind))
        shares += [np.median(share, 0)[0], np.median(share, 0)[-1]]
    rows.append((LABELS[kind], *shares, growth("rest of blocks", kind).value))
columns = ["network", "encoder at 1", "encoder at 100", "decoder at 1", "decoder at 100"]
columns += ["growth of the blocks alone, decades"]
table = pd.DataFrame(rows, columns=columns)
table.style.hide(axis="index").format(dict.fromkeys(columns[1:], "{:.2f}"))

# %% [markdown]
# What grows and what does not is the same without them.
#
# **Erratum 22.** One layer normalisation with one set of weights serves both places of a block. Of a network with it, these are the
# parameters of the first block that are not the recurrent layer's:

# %%
network = experiments.get(NAME).network("crnn", "layer", 10.0, 384)
for name, weight in network.blocks[0].named_parameters():
    if not name.startswith("layer."):
        print(f"{name:14}", tuple(weight.shape))

# %% [markdown]
# **Errata 16 and 21.** Linear maps are LeCun normal; those of the GRU have He's gain of 2, which the text does not say. Variances times
# fan-in, as drawn; and the gates of the GRU at $T_c = 10$, which start at $T / (1 + T)$ rather than at $1 - 1/T$, .90 to .95:

# %%
linear = network.blocks[0].value.weight
gru = experiments.get(NAME).network("gru", "none", 10.0, 384).blocks[0].layer.gru
with torch.no_grad():
    print(f"linear map in a block: {linear.var() * linear.shape[1]:.2f}")
    print(f"input weights of the GRU: {gru.weight_ih_l0.var() * gru.weight_ih_l0.shape[1]:.2f}")
    gates = torch.sigmoid(gru.bias_ih_l0.chunk(3)[1])
    print(f"gates of the GRU: {gates.min():.3f} to {gates.max():.3f}")

# %% [markdown]
# **Erratum 25.** The paper's linear maps are truncated normals, cut at two standard deviations and scaled to the same variance; ours are plain
# normals. Here the weights of encoder, decoder and blocks are cut: each goes to the quantile of the truncated normal that it has in the plain
# one. Decades by which mean squares of the complex RNN change at $T_c = 100$:

# %%
def truncated(weight):
    """The same quantiles of a normal of the same variance, cut at two standard deviations."""
    normal, std = torch.distributions.Normal(0.0, 1.0), weight.shape[1] ** -0.5
    low, high = normal.cdf(torch.tensor([-2.0, 2.0]))
    density = 2 * torch.exp(normal.log_prob(torch.tensor(2.0)))
    unit = normal.icdf(low + (high - low) * normal.cdf(weight / std))
    return unit * std / torch.sqrt(1 - 2 * density / (high - low))


x = embeddings(source, 0, small.sequences, small.length).to(device)
changes = []
for draw in range(3):
    network = small.network("crnn", "none", 100.0, x.shape[-1], draw).to(device)
    plain = mean_squares(network, "crnn", x, ("previous",))
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if ".layer." not in name and weight.ndim == 2:
                weight.copy_(truncated(weight))
    cut = mean_squares(network, "crnn", x, ("previous",))
    changes.append({key[1:]: np.log10(cut[key] / plain[key]) for key in plain})
changes = pd.DataFrame(changes)[[(4, "output"), (0, "lambda"), (0, "rest")]]
changes.columns = ["output of block 4", "gradient of λ", "all but λ"]
changes.rename_axis("draw").style.format("{:+.3f}")

# %% [markdown]
# That is less than .2 decades either way, and draws of the network differ by a decade: it does not matter which normals are drawn.

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
