# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 5: deep networks at the start of training
#
# **You will see** that as memory grows, gradients explode in a deep complex RNN on text, in an LRU only along the
# angle, and in a GRU not at all. **You need** [Figure 12](fig12.ipynb), which says what the inputs are, and
# [normalisation and reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb). **Time** under a minute
# on a CPU, from stored results.

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
from rnnlib.lab import claims, experiments, style
from rnnlib.lab.claims.fig05 import NAME, decades, growth, times
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.paper_values import paper_values

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run(NAME, "paper", device=device, progress=False)
TIMES = times()
LABELS = {"crnn": "complex RNN", "lru": "LRU", "gru": "GRU", "lstm": "LSTM"}
GROUPS = {  # by kind: group, its label, line style, the paper's name
    "crnn": [("lambda", r"$\lambda$", "-", "cRNN lambda"), ("rest", "rest", "--", "cRNN others")],
    "lru": [
        ("theta", r"$\omega_\theta$", "-", "LRU theta"),
        ("nu", r"$\omega_\nu$", ":", "LRU nu"),
        ("rest", "rest", "--", "LRU others"),
    ],
    "gru": [("recurrent", "recurrent", "-", "GRU seq"), ("rest", "rest", "--", "GRU others")],
    "lstm": [("recurrent", "recurrent", "-", ""), ("rest", "rest", "--", "")],
}
PLAIN = {"lambda": "λ", "theta": "ω_θ", "nu": "ω_ν", "recurrent": "recurrent", "rest": "rest"}
theirs = paper_values("fig05")


def by_memory(quantity, kind, layer=0, normalization="none", at=TIMES, **options):
    """Decades of a mean square, a row a network and a column a T_c; the mean over the two texts."""
    place = {"layer": layer, "normalization": normalization}
    columns = [decades(quantity, kind, time, **place, **options).mean(1) for time in at]
    return np.stack(columns, axis=1)


def band(ax, logs, ls, color):
    """Median over networks, and from the smallest to the largest; returns the median's end."""
    ax.fill_between(TIMES, 10 ** logs.min(0), 10 ** logs.max(0), color=color, alpha=0.15, lw=0)
    ax.plot(TIMES, 10 ** np.median(logs, 0), ls, color=color)
    return 10 ** np.median(logs, 0)[-1]


def diamonds(ax, values):
    """The paper's values."""
    values = dict.fromkeys(TIMES, values["all"]) if "all" in values else values
    look = style.PAPER | {"ms": 3.5}
    ax.plot([float(time) for time in values], list(values.values()), **look)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "As memory grows, so does everything in a complex RNN, in an LRU the angle's gradient and little else, and nothing in a GRU. A: mean square of the output of block 4 (solid) and block 1 (dashed). B: mean squared gradient by group of parameters; \"rest\": all others. C: the same for the complex RNN without, with layer and with batch normalisation; solid: $\\lambda$, dashed: rest. Lines: median of 32 networks, each on two texts; shaded: smallest to largest; grey: the paper's one network.", "name": "fig-05"}, "image": {"alt": "Three logarithmic plots against the shortest memory from 1 to 100, lines with shaded bands and grey diamonds of the paper near them. A: the complex RNN's output grows by one decade in block 1 and five in block 4; LRU and GRU are flat. B: the complex RNN's gradients grow by many decades, those of lambda most; the LRU's grow by four decades along the angle and by up to one along the modulus; the GRU's are flat or fall. C: with layer or batch normalisation the rest stays low and lambda still rises by several decades."}}
fig, axes = plt.subplot_mosaic("AB\nCB", figsize=(7.2, 4.2), layout="constrained")
ends = {name: [] for name in "ABC"}
for kind in ("crnn", "lru", "gru"):
    color, name = style.COLORS[kind], LABELS[kind]
    for block, ls in ((1, "--"), (4, "-")):
        end = band(axes["A"], by_memory("output", kind, block), ls, color)
        diamonds(axes["A"], theirs["A"][f"{name.replace('complex ', 'c')} layer{block}"])
        if block == 4:
            ends["A"].append((end, name, color))
    for group, label, ls, paper in GROUPS[kind]:
        end = band(axes["B"], by_memory(group, kind), ls, color)
        diamonds(axes["B"], theirs["B"][paper])
        ends["B"].append((end, f"{name}, {label}", color))
looks = [("none", style.COLORS["crnn"], "none"), ("layer", "#0173b2", "layer")]
looks += [("batch", "#029e73", "batch")]
for normalization, color, name in looks:
    for group, ls, paper in (("lambda", "-", "lambda"), ("rest", "--", "others")):
        end = band(axes["C"], by_memory(group, "crnn", normalization=normalization), ls, color)
        diamonds(axes["C"], theirs["C"].get(f"{normalization} {paper}", {}))
        label = r"$\lambda$" if group == "lambda" else "rest"
        ends["C"].append((end, f"{name}, {label}", color))
axes["A"].set(title="A: signals", ylabel="mean square of output")
axes["B"].set(title="B: gradients", ylabel="mean squared gradient")
axes["C"].set(title="C: complex RNN, by normalisation", ylabel="mean squared gradient")
for name, ax in axes.items():
    ax.set(xscale="log", yscale="log", xlim=(0.9, 110))
    style.label_ends(ax, ends[name])
axes["B"].set_xlabel(r"shortest memory $T_c$ at the start")
axes["C"].set_xlabel(r"shortest memory $T_c$ at the start");

# %% [markdown]
# From $T_c = 1$ to 100 the gradient of the complex RNN's $\lambda$ grows by 16 decades, that of the LRU's angles by
# 4.5, and that of the GRU's recurrent layers falls by half a decade. The LRU's other gradients change by less than a
# factor of ten. With layer or batch normalisation only $\lambda$ of the complex RNN still grows, by more than three
# decades. All networks are as initialised: nothing here is trained.

# %% [markdown]
# ## The growth of each line
# In decades from $T_c = 1$ to 100: the median of 32 networks with its 95 % interval, and the paper's one network.

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

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the growth of all lines", "code_prompt_hide": "Hide the table"}
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# ## Why 32 draws
# Single groups of gradients differ by more than a decade between draws of the network, and by little between the two
# texts. So any single network, the paper's or ours, may lie anywhere in a band. At $T_c = 100$, in decades:

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
# ## The networks
# Each has a linear encoder, four blocks of width 256 and a linear decoder. A block is
#
# $$
# y = x + (W_1 u) \odot \sigma(W_2 u), \qquad u = \mathrm{gelu}(\mathrm{layer}(x)),
# $$
#
# with a complex RNN, an LRU or a GRU as layer. One number $T_c$ sets their memory. Eigenvalues start with moduli
# between $1 - 1/T_c$ and $1 - 1/(2 T_c)$, gates of the GRU at time constants between $T_c$ and $2 T_c$ (Chrono
# initialisation). The input is 16 sequences of 512 tokens. The loss is half the mean squared error of a predicted
# embedding over the batch. A draw consists of the weights, which are the same at every $T_c$ and with every
# normalisation, and of sequences from each of two texts, the two halves of the articles.
#
# The rest is every parameter that has no line of its own, encoder and decoder included, as in the paper (erratum 20).
# The paper labels panel A "variance of $h_t$"; it shows the output of blocks.
#
# **Ours** differs in the inputs: beginnings of Wikipedia articles without padding, embedded by a smaller BERT (erratum
# 21). All is in single precision, which holds entries up to $10^{38}$; squares are summed in double precision. A test
# compares the mean squares with those of double precision.
#
# [Figure 5b](fig05b.ipynb) shows the LSTM, asks what needs real text, and checks the fine print.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where these results were computed", "code_prompt_hide": "Hide"}
print(provenance(experiments.load(NAME)))

# %% [markdown]
# ## What the paper claims, and what we measure


# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-05-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig05");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig05")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: correlations do not matter on average
# *Derive. Hard.* Let the angles of a layer's eigenvalues be uniform on the circle and their modulus $\nu$. Show from
# $F(\lambda, \bar\lambda)$ that the mean of $\mathrm{E}|h|^2$ over the units is $R(0)/(1 - \nu^2)$, whatever the rest
# of the autocorrelation. By what factor does it grow between moduli uniform in $[0, 0.5]$ ($T_c = 1$) and in $[0.99,
# 0.995]$ ($T_c = 100$)? What do correlations decide, then?
#
# <details>
# <summary>Solution 1</summary>
#
# $$F(\lambda, \bar\lambda) = \frac{1}{1-\nu^2} \Big[ R(0) + 2 \sum_{D \ge 1} \nu^D \cos(D\theta) R(D) \Big],$$
#
# and the mean of $\cos(D\theta)$ over the circle is zero. The mean over moduli is that of $1/(1-\nu^2)$: 1.10 at
# $T_c = 1$ and 70 at $T_c = 100$, a factor of 63 for one layer, before the nonlinearity and the weights after it.
# Correlations decide which units have the variance: for text, whose autocorrelation decays slowly and does not
# oscillate, the few with angles near 0.
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
answer = long / short  # the factor between T_c = 1 and T_c = 100
assert answer < 65, "too large: average 1 / (1 - nu^2) over each range of moduli"
assert answer > 62, "too small: average 1 / (1 - nu^2) over each range of moduli"
