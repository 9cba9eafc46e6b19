# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 12: how text remembers
#
# **You will see** the autocorrelation of token embeddings of Wikipedia, the exponential that comes near it, and where that exponential comes
# from. **You need** [the curse of memory](../theory/02-curse-of-memory.ipynb), which says what a unit does with correlated
# inputs. **Time** half a minute on a CPU: the figure shows stored results on 1,024 windows and on
# 106 padded articles, and 64 windows are measured here.

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
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rnnlib.lab import claims, experiments, style, text
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.paper_values import paper_values

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run("fig12", "paper", device=device, progress=False)

# %% [markdown]
# ## The inputs
# The paper feeds its deep networks with the output of the embedding layer of a BERT on English Wikipedia, 768 numbers a token. **Ours** is
# a smaller BERT, all-MiniLM-L6-v2 with 384, on the articles of a shortened Wikipedia dump. Both lie in packages of Python's index; only
# their files are read, and only if their checksums are right. The paper's own source needs a model hub:
# `text.load("hub")` reads it where a network is.
#
# This page was built with

# %%
source = text.default_source()
sequences = text.load(source, 64 if scale != "smoke" else 4)
print(sequences.source)
if source == "gaussian":
    print("The extra [text] is missing here: the live part below uses Gaussian inputs.")
print(f"{tuple(sequences.x.shape)}: sequences, tokens, dimensions")

# %% [markdown]
# A sequence is a window of 512 tokens of an article. In the paper it is the beginning of an article between two special tokens, and short
# articles are padded (erratum 21); `padding=True` does that.
#
# ## The figure
# $R(D)$ is the mean of $x_t \, x_{t + D}$ over sequences, times and dimensions. The mean embedding is not subtracted: a unit
# sees it too. Stored results:

# %%
frame, fits = experiments.load("fig12"), experiments.load("fig12", "fits")
print(provenance(frame))

# %%
ways = ["source", "positions", "padding"]
curves = {way: group.set_index("lag")["autocorrelation"] for way, group in frame.groupby(ways)}
fitted = {
    tuple(row[way] for way in ways): text.Autocorrelation(*row[["white", "amplitude", "decay"]])
    for _, row in fits.iterrows()
}
theirs = pd.Series(paper_values("fig12")["R_lag"]).rename(int)  # read off the paper's figure
windows, padded = ("wikipedia", True, False), ("wikipedia", True, True)
no_positions, gaussian = ("wikipedia", False, False), ("gaussian", False, False)

# %% mystnb={"figure": {"caption": "Our text follows the paper's exponential on average, but not the paper's own curve beyond lag 200: autocorrelation of token embeddings. Left: our text, padded as in the paper, our fit, the paper's fit and the paper's curve read off at nine lags. Right: the same embeddings in windows without padding, without position embeddings, and a Gaussian process with the paper's autocorrelation; dashed: their fits. Text: Wikipedia articles through the embedding layer of all-MiniLM-L6-v2.", "name": "fig-12"}, "image": {"alt": "Two plots of autocorrelation against lag, 1 to 510. Left: a jagged curve falls from .06 to about .003, dips to zero and below at several lags, and follows an exponential close to the paper's; grey dots, the paper's curve, lie near it up to lag 100 and above it from lag 200 on. Right: windows fall likewise from .05, with the same jagged pattern; without position embeddings the curve is flat at .026; the Gaussian process follows a smooth exponential from .043."}}
fig, axes = plt.subplots(1, 2, figsize=(8.6, 3), sharey=True, layout="constrained")
lags = np.arange(1, 511)
axes[0].plot(curves[padded][1:], lw=0.8, color="0.4", label="text, padded")
axes[0].plot(lags, fitted[padded](lags), color="#d55e00", label="our fit")
axes[0].plot(lags, text.PAPER(lags), color="#0173b2", ls="--", label="the paper's fit, BERT-base")
axes[0].plot(theirs, "o", ms=5, color="0.6", label="paper")
kinds = [(windows, "0.4", "text, no padding"), (no_positions, "#029e73", "text, no positions")]
kinds += [(gaussian, "#de8f05", "Gaussian process")]
for way, color, label in kinds:
    axes[1].plot(curves[way][1:], lw=0.8, color=color, label=label)
    axes[1].plot(lags, fitted[way](lags), color=color, lw=1.2, ls="--")
axes[1].plot([], [], color="0.4", lw=1.2, ls="--", label="their fits")
axes[0].set(xlabel=r"lag $D$, tokens", ylabel=r"$R(D)$", title="as in the paper")
axes[1].set(xlabel=r"lag $D$, tokens", title="without padding, without positions")
for ax in axes:
    ax.set_ylim(-0.006, 0.07)
    ax.legend(fontsize="small")

# %% [markdown]
# The fits, $R(D) = w \, [D = 0] + a \, r^{|D|}$, least squares over lags 1 to 510. The bracket is 1 at lag 0 and 0 elsewhere: $w$ is the white
# part, what a token shares with no other. $R(0)$ is off the plot:

# %%
table = fits.assign(
    **{"R(0)": fits["white"] + fits["amplitude"], "time constant": -1 / np.log(fits["decay"])}
)
paper = text.PAPER
row = {"source": "the paper's", "positions": True, "padding": True, "white": paper.white}
row |= {"amplitude": paper.amplitude, "decay": paper.decay, "sequences": 2048, "length": 512}
row |= {"size": 768, "R(0)": paper.white + paper.amplitude}
row |= {"time constant": -1 / np.log(paper.decay)}
table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
formats = {"white": "{:.3f}", "amplitude": "{:.4f}", "decay": "{:.4f}", "R(0)": "{:.3f}"}
table.style.hide(axis="index").format(formats | {"time constant": "{:,.0f}"})

# %% [markdown]
# Another BERT, other articles, and nearly the paper's exponential. The curves themselves part at long lags:

# %% tags=["hide-input"]
ours = curves[padded]
at = pd.DataFrame(
    {"paper": theirs, "ours": ours[theirs.index], "our fit": fitted[padded](theirs.index)}
)
at.rename_axis("lag").T.style.format("{:.4f}")

# %%
misses = ours[1:] - fitted[padded](lags)
relative = np.sqrt((misses**2).mean()) / fitted[padded].amplitude
tail = text.PAPER(lags[299:]).mean()
print(f"deviation from our fit: {relative:.0%} of its amplitude")
print(f"mean of R from lag 300 on: {ours[300:].mean():.4f}, the paper's fit {tail:.4f}")
print(f"lags at which our R is negative: {(ours < 0).sum()}")

# %% [markdown]
# From lag 200 on the paper's curve lies above its own fit, ours on its fit on average and, at single lags, far below: at lag 400 .0005
# against .020. An exponential is an approximation of either. (In 35 groups of three articles the fit misses by a quarter of its amplitude: the mean over all
# is smoother, and a few short articles full of padding raise its amplitude.)
#
# Is that how long Wikipedia remembers? No: without position embeddings
# next to nothing decays over 512 tokens. What decays, and what makes the curve jagged, are the position embeddings of BERT, which differ
# the more the further apart two places are. A network fed with these inputs sees a slow signal that says where it is, the same in each
# sequence.
#
# ## Live: 64 sequences
# The autocorrelation is one matrix product and its diagonals, so it takes seconds. Below it the mean square of the mean embedding: what any
# two tokens share, and so the level that $R$ cannot fall below without positions.

# %%
fit = text.fit_autocorrelation(text.autocorrelation(sequences.x.to(device)))
print(f"fit here: white {fit.white:.3f}, amplitude {fit.amplitude:.4f}, decay {fit.decay:.4f}")
plain = text.load(source, len(sequences.x), positions=False).x.to(device)
correlation = text.autocorrelation(plain)
print(f"without positions: R(1) = {correlation[1]:.4f}, R(510) = {correlation[510]:.4f}")
print(f"mean square of the mean embedding: {plain.mean((0, 1)).square().mean():.4f}")

# %% [markdown]
# [Figure 15](fig15.ipynb) predicts gated units from this autocorrelation: $\mathrm{E}\,h^2$ and the second moments of sensitivities are
# weighted sums of the $R(D)$, linear in $R$. With another embedding layer $R$ is another, and so is the prediction.
#
# ## What the paper claims, and what we measure
# As a model of the text the white part alone leaves out a tenth of $R(0)$, the paper's first order. As a model of what a unit with a long memory
# hears it leaves out most: exercise 1.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-12-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig12");

# %%
claims.table("fig12")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: when does a unit hear the slow part?
# *Predict, then run. Easy.* With the paper's fit the slow exponential is a ninth of $R(0)$. What share of $\mathrm{E}h^2$ does it have in a unit with memory
# length $1/(1-\lambda) = 1$, 10 and 100? From which memory length on is it more than half? ($\mathrm{E}h^2$ is linear in $R$.)
#
# <details>
# <summary>Solution 1</summary>
#
# White inputs give $w/(1-\lambda^2)$, the exponential $a\,K/(1-\lambda^2)$ with $K = \frac{1+\rho\lambda}{1-\rho\lambda}$, so the share is
# $aK/(w + aK)$: 11% at memory 1, where $K = 1$, then 71% and 95%. One half is reached at $K = w/a = 7.7$, $\rho\lambda = .77$, at a memory
# of 4.4 steps. A unit averages, and averaging suppresses what is white. From a handful of steps on, long-memory units
# see mainly the slow signal, however small it is in $R(0)$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
from rnnlib import theory


def slow_share(memory):
    lam, fit = 1 - 1 / memory, text.PAPER
    slow = fit.amplitude * theory.state_variance(lam, fit.decay)
    return slow / (slow + fit.white * theory.state_variance(lam, 0.0))


print({memory: f"{slow_share(memory):.0%}" for memory in [1, 10, 100]})
lengths = np.linspace(1, 10, 901)
half = lengths[np.argmax(slow_share(lengths) > 0.5)]
print(f"more than half from a memory of {half:.1f} steps on")
assert np.allclose([slow_share(m) for m in [1, 10, 100]], [0.115, 0.706, 0.952], atol=0.01)
assert 4.2 < half < 4.6
answer = [0.115, 0.706, 0.952, 4.4]  # shares at 1, 10, 100; memory from which it is half
assert abs(answer[0] - 0.115) < 0.01, "the share at a memory of 1"
assert abs(answer[1] - 0.706) < 0.01, "the share at a memory of 10"
assert abs(answer[2] - 0.952) < 0.01, "the share at a memory of 100"
assert abs(answer[3] - 4.4) < 0.25, "at that memory it is not a half"
