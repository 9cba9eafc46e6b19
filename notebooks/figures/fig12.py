# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 12: how text remembers
#
# **You will see** that the autocorrelation of token embeddings is close to an exponential, and that the exponential
# comes from position embeddings, not from the text. **You need** [the curse of
# memory](../theory/02-curse-of-memory.ipynb). **Time** under a minute on a CPU.

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
from rnnlib.lab import claims, experiments, style, text
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.paper_values import paper_values

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run("fig12", "paper", device=device, progress=False)
frame, fits = experiments.load("fig12"), experiments.load("fig12", "fits")
ways = ["source", "positions", "padding"]
curves = {way: group.set_index("lag")["autocorrelation"] for way, group in frame.groupby(ways)}
fitted = {
    tuple(row[way] for way in ways): text.Autocorrelation(*row[["white", "amplitude", "decay"]])
    for _, row in fits.iterrows()
}
theirs = pd.Series(paper_values("fig12")["R_lag"]).rename(int)  # read off the paper's figure
windows, padded = ("wikipedia", True, False), ("wikipedia", True, True)
no_positions, gaussian = ("wikipedia", False, False), ("gaussian", False, False)
lags = np.arange(1, 511)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Our text follows the paper's exponential on average, but without position embeddings almost nothing decays (right). Autocorrelation $R(D)$ of token embeddings. Left: our text, padded as in the paper, with our fit and the paper's (dashed); grey diamonds: the paper's curve, read off at nine lags. Right: windows of our text without padding; without position embeddings; and a Gaussian process with the paper's autocorrelation; thin dashes: their fits. Text: Wikipedia articles through the embedding layer of all-MiniLM-L6-v2.", "name": "fig-12"}, "image": {"alt": "Two plots of autocorrelation against lag, 1 to 510. Left: a jagged curve falls from .06 to about .003, dips to zero and below at several lags, and follows an exponential close to the paper's; grey diamonds, the paper's curve, lie near it up to lag 100 and above it from lag 200 on. Right: windows fall likewise from .05, with the same jagged pattern; without position embeddings the curve is flat at .026; the Gaussian process follows a smooth exponential from .043."}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), sharey=True, layout="constrained")
axes[0].plot(curves[padded][1:], lw=0.8, color="0.55")
axes[0].plot(lags, fitted[padded](lags), color="black")
axes[0].plot(lags, text.PAPER(lags), color="black", ls="--")
axes[0].plot(theirs, **style.PAPER)
kinds = [(windows, "0.55"), (no_positions, "#7b3294"), (gaussian, "#a6611a")]
for way, color in kinds:
    axes[1].plot(curves[way][1:], lw=0.8 if way == windows else 1.4, color=color)
    axes[1].plot(lags, fitted[way](lags), color="0.2" if way == windows else color, lw=1, ls="--")
titles = ["as in the paper", "without padding, without positions"]
for ax, title in zip(axes, titles, strict=True):
    ax.set(xlabel=r"lag $D$, tokens", title=title, ylim=(-0.008, 0.07))
axes[0].set_ylabel("autocorrelation $R(D)$")
arrow = {"arrowstyle": "-", "lw": 0.6, "color": "0.4"}
notes = [  # axes, label, what it names, its place, colour
    (0, "our text", (62, 0.030), (45, 0.006), "0.4"),
    (0, "the paper's fit", (120, text.PAPER(120)), (190, 0.046), "black"),
    (0, "the paper's text", (300, 0.025), (400, 0.037), "0.4"),
    (0, "our fit", (455, fitted[padded](455)), (455, -0.006), "black"),
    (1, "no positions", (350, 0.0262), (350, 0.034), "#7b3294"),
    (1, "Gaussian process", (110, curves[gaussian][110]), (230, 0.046), "#a6611a"),
    (1, "text", (62, 0.030), (60, 0.006), "0.4"),
]
for place, label, end, at, color in notes:
    axes[place].annotate(label, end, at, arrowprops=arrow, color=color, ha="center", va="center")

# %% [markdown]
# **As in the paper.** Another BERT and other articles give nearly the paper's exponential. From lag 200 on the paper's
# curve lies above its own fit. Ours follows its fit on average but dips far below at single lags: to 0.0005 at lag 400
# (paper: 0.020). An exponential approximates either curve only roughly.
#
# **Is that how long Wikipedia remembers?** No: without position embeddings next to nothing decays over 512 tokens.
# BERT's position embeddings make the curve decay and make it jagged: they differ more between positions farther apart.
# A network with these inputs sees a slow signal that encodes the position, the same in each sequence.

# %% [markdown]
# ## The inputs
# The paper feeds its deep networks with the output of the embedding layer of a BERT on English Wikipedia, 768 numbers
# per token. **Ours** is a smaller BERT, all-MiniLM-L6-v2 with 384, on the articles of a shortened Wikipedia dump. Both
# come in packages from Python's index; we only read their files, and only if the checksums match. The paper's own
# source needs a model hub; with network access `text.load("hub")` reads it.
#
# A sequence is a window of 512 tokens of an article. In the paper it is the beginning of an article between two special
# tokens, and short articles are padded (erratum 21); `padding=True` does that.
#
# $R(D)$ is the mean of $x_t \, x_{t + D}$ over sequences, times and dimensions. The mean embedding is not subtracted,
# because a unit sees it too.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where these results were computed", "code_prompt_hide": "Hide"}
print(provenance(frame))

# %% [markdown]
# ## The fits
# We fit $R(D) = w \, [D = 0] + a \, r^{|D|}$ by least squares over lags 1 to 510. The bracket is 1 at lag 0 and 0
# elsewhere: $w$ is the white part, what a token shares with no other. $R(0)$ is off the plot.

# %% tags=["hide-input"]
table = fits.drop(columns="length").assign(
    **{"R(0)": fits["white"] + fits["amplitude"], "time constant": -1 / np.log(fits["decay"])}
)
paper = text.PAPER
row = {"source": "the paper's", "positions": True, "padding": True, "white": paper.white}
row |= {"amplitude": paper.amplitude, "decay": paper.decay, "sequences": 2048}
row |= {"size": 768, "R(0)": paper.white + paper.amplitude}
row |= {"time constant": -1 / np.log(paper.decay)}
table = pd.concat([table, pd.DataFrame([row])], ignore_index=True)
table = table.rename(columns={"white": "w", "amplitude": "a", "decay": "r"})
formats = {"w": "{:.3f}", "a": "{:.4f}", "r": "{:.4f}", "R(0)": "{:.3f}"}
table.style.hide(axis="index").format(formats | {"time constant": "{:,.0f}"})

# %% [markdown]
# How far is our text from its fit, and from the paper's fit at long lags?

# %% tags=["hide-input"]
ours = curves[padded]
misses = ours[1:] - fitted[padded](lags)
relative = np.sqrt((misses**2).mean()) / fitted[padded].amplitude
tail = text.PAPER(lags[299:]).mean()
print(f"deviation from our fit: {relative:.0%} of its amplitude")
print(f"mean of R from lag 300 on: {ours[300:].mean():.4f}, the paper's fit {tail:.4f}")
print(f"lags at which our R is negative: {(ours < 0).sum()}")

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the paper's curve beside ours, lag by lag", "code_prompt_hide": "Hide the table"}
at = pd.DataFrame(
    {"paper": theirs, "ours": ours[theirs.index], "our fit": fitted[padded](theirs.index)}
)
at.rename_axis("lag").T.style.format("{:.4f}")

# %% [markdown]
# For 35 groups of three articles the fit deviates by a quarter of its amplitude. The mean over all is smoother, and a
# few short, mostly padded articles raise its amplitude.
#
# [Figure 15](fig15.ipynb) predicts gated units from this autocorrelation: $\mathrm{E}\,h^2$ and the second moments of
# sensitivities are weighted sums of the $R(D)$, linear in $R$. Another embedding layer has another $R$, and so another
# prediction.

# %% [markdown]
# ## 64 sequences, measured here
# The autocorrelation is one matrix product and its diagonals, so it takes seconds. The last line is the mean square of
# the mean embedding: what any two tokens share, and so the level below which $R$ cannot fall without positions.

# %%
source = text.default_source()
sequences = text.load(source, 64 if scale != "smoke" else 4)
print(sequences.source)
if source == "gaussian":
    print("The extra [text] is missing here: this part uses Gaussian inputs.")
print(f"{tuple(sequences.x.shape)}: sequences, tokens, dimensions")
fit = text.fit_autocorrelation(text.autocorrelation(sequences.x.to(device)))
print(f"fit here: white {fit.white:.3f}, amplitude {fit.amplitude:.4f}, decay {fit.decay:.4f}")
plain = text.load(source, len(sequences.x), positions=False).x.to(device)
correlation = text.autocorrelation(plain)
print(f"without positions: R(1) = {correlation[1]:.4f}, R(510) = {correlation[510]:.4f}")
print(f"mean square of the mean embedding: {plain.mean((0, 1)).square().mean():.4f}")

# %% [markdown]
# ## What the paper claims, and what we measure
# As a model of the text, the white part alone, the paper's first order, misses a tenth of $R(0)$. As a model of what a
# unit with a long memory receives, it misses most (exercise 1).

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-12-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig12");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig12")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: when does a unit hear the slow part?
# *Predict, then run. Easy.* With the paper's fit the slow exponential is a ninth of $R(0)$. What share of
# $\mathrm{E}h^2$ does it have in a unit with memory length $1/(1-\lambda) = 1$, 10 and 100? From which memory length on
# is it more than half? ($\mathrm{E}h^2$ is linear in $R$.)
#
# <details>
# <summary>Solution 1</summary>
#
# White inputs give $w/(1-\lambda^2)$, the exponential $a\,K/(1-\lambda^2)$ with
# $K = \frac{1+\rho\lambda}{1-\rho\lambda}$. So the share is $aK/(w + aK)$: 11% at memory 1, where $K = 1$, then 71% and
# 95%. One half is reached at $K = w/a = 7.7$, that is $\rho\lambda = 0.77$, at a memory of 4.4 steps. A unit averages,
# and averaging suppresses what is white. From a handful of steps on, units with a long memory see mainly the slow
# signal, however small it is in $R(0)$.
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
