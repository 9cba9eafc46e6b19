# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 15: diagonal theory, tested on gated units
#
# **You will see** that the theory of diagonal units predicts gated units on text to within about a fifth if gates are
# constant, and to about a half if they move. **You need** [gates as
# eigenvalues](../theory/07-gates-as-eigenvalues.ipynb) and [Figure 12](fig12.ipynb). **Time** under a minute on a CPU,
# with stored results.

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
from rnnlib import theory
from rnnlib.lab import claims, experiments, style, text
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.experiments.fig15 import over_networks

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run("fig15", "paper", device=device, progress=False)
frame, units = experiments.load("fig15"), experiments.load("fig15", "units")
measured = experiments.load("fig15", "inputs")["autocorrelation"].to_numpy()
moments = experiments.load("fig15", "moments").set_index("T")
fits = experiments.load("fig12", "fits")
row = fits.query("source == 'wikipedia' and positions and not padding").iloc[0]
fit = text.Autocorrelation(row["white"], row["amplitude"], row["decay"])

GATES = {"constant": "gates constant", "input": "gates see the input"}
GATES |= {"state": "gates see input and state"}
QUANTITIES = {"h2": "state $h^2$", "s2": r"sensitivity $(\mathrm{d}_b h)^2$"}
CLOSED_FORMS = theory.gated_state_variance, theory.gated_sensitivity
COLOR = style.COLORS["gru"]


def predict(version, which, T):
    """The state's moment (0) or the sensitivity's (1) at time constants T."""
    lam = T / (1 + T)
    if version == "measured R":
        return theory.window_moment(theory.gated_response(lam, 512)[which], measured)
    if version == "all moments":
        whole = moments[["h2", "gru_s2"][which]]
        return np.exp(np.interp(np.log(T), np.log(whole.index), np.log(whole)))
    moment = CLOSED_FORMS[which]  # the paper's; the moment is linear in R
    return fit.white * moment(lam, 0.0) + fit.amplitude * moment(lam, fit.decay)


def joined(gate, quantity):
    """Means in bins of log T, 95 % intervals, and a band with 90 % of the networks' own means."""
    rows = frame.query("cell == 'gru' and gates == @gate")
    means = over_networks(rows, quantity)
    low, high = np.nanpercentile(means.drawn, [2.5, 97.5], axis=0)
    band = rows.groupby("low")[quantity].quantile([0.05, 0.95]).unstack().to_numpy().T
    return means, low, high, band


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Theory runs through the means or slightly below where gates are constant, and clearly below where they move. Squares of states (top) and sensitivities (bottom) after 512 tokens against the time constant T of the gate's bias. Grey dots: single units; circles: means in bins of log T over 400 networks, with 95 % intervals; bands: means of single networks, 90 % of them. Lines: theory for constant gates, with the measured autocorrelation (black) and as the paper predicts (dashed).", "name": "fig-15"}, "image": {"alt": "Two rows of three log-log plots against T from 1 to 256. Single units scatter over four decades. Their means fall from .12 to .02 for the squared state and from .02 to .003 for the squared sensitivity. The black line runs through the means with constant gates or just below, and further below those with gates that see the input, or input and state. The dashed line lies lower, by up to a factor of 1.7 for the sensitivity around T = 30, and meets the means at T = 256."}}
T = np.geomspace(1, 256, 60)
fig, axes = plt.subplots(2, 3, figsize=(7.2, 4.2), sharex=True, sharey="row", layout="constrained")
for column, (gate, title) in zip(axes.T, GATES.items(), strict=True):
    dots = units.query("cell == 'gru' and gates == @gate")
    for ax, quantity, which in zip(column, QUANTITIES, (0, 1), strict=True):
        ax.loglog(dots["T"], dots[quantity], ".", ms=2, color="0.8", rasterized=True)
        means, low, high, band = joined(gate, quantity)
        ax.fill_between(means.T, *band, color=COLOR, alpha=0.3, lw=0)
        ax.plot(T, predict("measured R", which, T), color="black", lw=1.2)
        ax.plot(T, predict("paper's", which, T), "--", color="0.35", lw=1.2)
        error = [means.value - low, high - means.value]
        look = {"fmt": "o", "ms": 4, "mfc": COLOR, "mec": "black", "ecolor": "black"}
        ax.errorbar(means.T, means.value, error, **look)
        low, high = np.quantile(units[quantity], [0.02, 0.98])
        ax.set_ylim(low, 5 * high)
    column[0].set_title(title)
    column[1].set_xlabel("time constant $T$")
for ax, label in zip(axes[:, 0], QUANTITIES.values(), strict=True):
    ax.set_ylabel(label)
arrow = {"arrowstyle": "-", "lw": 0.6}
notes = [("measured R", "measured R", 120.0, (30, 0.07))]
notes += [("the paper's", "paper's", 20.0, (7, 2e-4))]
for label, version, at, place in notes:
    end = (at, predict(version, 1, at))
    axes[1, 0].annotate(label, end, place, arrowprops=arrow, ha="center")

# %% [markdown]
# **Constant gates.** Theory is at most about a fifth too low. Whether that is *almost perfect*, to us within a fifth,
# is undecided.
#
# **Gates that see the input** raise both moments by up to a third. They forget faster than their biases say ([gates
# that move](../theory/07b-gates-that-move.ipynb)), so recent inputs weigh more. **Gates that see the state** as well
# add nothing visible: 256 small couplings hardly change how sensitive a unit is to its bias.
#
# **No explosion.** From the shortest memories to the longest both moments fall, by factors of four to six. [An
# LSTM](fig15c.ipynb) does not explode either.

# %% [markdown]
# ## What is measured
# The paper's simplified GRU has only its gate and a linear candidate,
#
# $$h_t = z_t \odot h_{t-1} + (1 - z_t) \odot W x_t, \qquad z_t = \sigma(b + W_z x_t + U_z h_{t-1}), \qquad
# b = \log T ,$$
#
# with $T$ uniform in $[1, 256]$. Constant gates have neither $W_z$ nor $U_z$, gates that see the input no $U_z$. We run
# 400 networks of 256 units (the paper: 100) over 512 tokens each: Wikipedia articles through the embedding layer of
# all-MiniLM-L6-v2 (the paper: BERT-base). After the last token we square each unit's state and its derivative with
# respect to its own bias.
#
# Where gates see the state, a bias acts on its unit through all others as well. The derivative includes this:
# `rtrl.bias_sensitivity` carries it along as a matrix of 256 x 256. Appendix D.3 writes $x_t$ for the candidate; the
# paper's code and ours use a linear map of it.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where these results were computed", "code_prompt_hide": "Hide"}
print(provenance(frame))

# %% [markdown]
# ## What theory predicts
# With a constant gate $\lambda = T / (1 + T)$ state and derivative are weighted sums of the last 512 inputs. Their
# second moments follow from the autocorrelation $R$ of the inputs:
#
# $$\mathrm{E} \Big( \sum_i w_i x_{t-i} \Big)^2 = \sum_{i,j=0}^{511} w_i w_j R(|i - j|)$$
#
# The weights are $w_i = (1 - \lambda) \lambda^i$ for the state and
# $(1 - \lambda) \lambda^i \big( (1 - \lambda) i - \lambda \big)$ for its derivative. We predict in three ways:
#
# - with the **second moments** $\mathrm{E}[x_{t-i} x_{t-j}]$ of these sequences at every pair of positions. That
#   assumes nothing about them;
# - with the **measured R** of these sequences. That assumes that all positions are alike; position embeddings break
#   this;
# - as **the paper's** D.3: with the exponential fitted in [Figure 12](fig12.ipynb), and infinitely many steps.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With constant gates the error lies in the model of the inputs; gates that move raise it by up to 37 %. Sensitivity $(\\mathrm{d}_b h)^2$ over three theories of constant gates: all second moments of the inputs, their autocorrelation, and the paper's prediction. Means in bins of log T over 400 networks, with 95 % intervals.", "name": "fig-15-ratio"}, "image": {"alt": "Three plots of the ratio of mean to theory against T from 1 to 256, three curves with error bars each, a line at 1. Left: constant gates lie on 1, the others 11 to 37 per cent above it from T = 4 on. Middle: with constant gates the means lie 5 to 21 per cent above 1; those with gates that see the input, and input and state, coincide and lie 29 to 48 per cent above it from T = 4 on. Right: both rise, to 1.7 with constant gates and to 2.3 with the others around T = 30, and return to 1 at T = 256."}}
versions = {"all moments": "all second moments", "measured R": "measured R"}
versions |= {"paper's": "the paper's prediction"}
looks = {"constant": ("o", COLOR), "input": ("s", "0.55"), "state": ("D", "0.15")}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.9), sharey=True, layout="constrained")
for ax, (version, title) in zip(axes, versions.items(), strict=True):
    for (gate, (marker, color)), shift in zip(looks.items(), (0.96, 1.0, 1.04), strict=True):
        means, low, high, _ = joined(gate, "s2")
        theirs = predict(version, 1, means.T)
        error = [(means.value - low) / theirs, (high - means.value) / theirs]
        look = {"color": color, "capsize": 2, "fmt": f"{marker}-", "ms": 3.5, "lw": 1.2}
        ax.errorbar(means.T * shift, means.value / theirs, error, **look)
    ax.axhline(1, color="0.6", ls=":")
    ax.set(xscale="log", xlabel="time constant $T$", title=title, xlim=(1, 300), ylim=(0.6, 2.5))
axes[0].set_ylabel("mean / theory")
for row, (gate, (_, color)) in enumerate(looks.items()):
    axes[0].text(1.2, 2.3 - 0.17 * row, GATES[gate], color=color, weight="bold")

# %% [markdown]
# With all second moments the theory of constant gates is right to about 5 %, the noise of the bins. The autocorrelation
# assumes that all positions are alike; at the last one, measured here, the means lie 5 to 22 % above theory.
#
# The paper's prediction uses the exponential of Figure 12, which is wrong for our text at the first lags. It is up to
# 40 % too low for the sensitivity at middle time constants, so that claim fails on our text. What fails is the fit, not
# the theory of gated units.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show all ratios of mean and theory", "code_prompt_hide": "Hide the table"}
rows = {}
for gate in GATES:
    for which, (quantity, label) in enumerate({"h2": "h²", "s2": "(dh/db)²"}.items()):
        means = joined(gate, quantity)[0]
        for version in versions:
            ratios = means.value / predict(version, which, means.T)
            for start, ratio in zip(means.low, ratios, strict=True):
                rows.setdefault((gate, round(start)), {})[label, version] = ratio
table = pd.DataFrame(rows).T.rename_axis(["gates", "from T ="])
table.rename_axis(["moment", "theory"], axis=1).style.format("{:.2f}")

# %% [markdown]
# ## Do the moments depend on the memory?
# Hardly, says the paper. From the first bin of $T$ to the last both fall, by factors of four to six, and the paper's
# own prediction does so too. That is more than the factor of two that we allow for *hardly*. It is little next to a
# unit without gates: with white inputs, from $T = 1$ to 256, its $h^2$ grows by a factor of 100 and
# $(\mathrm{d}_\lambda h)^2$ by 1.4 million.
#
# [Figure 15b](fig15b.ipynb) shows why the paper's plot looks different, and has errata 8 and 21.

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-15-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig15");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig15")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: which inputs tell an LSTM from a GRU?
# *Predict, then run. Easy.* An LSTM's sensitivity has the weights $(1 - \lambda)^2 \, i \lambda^i$, all of one sign.
# Split the fitted autocorrelation into its white part and its slow part. For which of them, if any, is the LSTM more
# sensitive than the GRU at $T = 32$? Decide, then evaluate the theory for each alone.
#
# <details>
# <summary>Solution 1</summary>
#
# For the slow part. For white inputs signs do not matter, and the sums of squares are nearly the same at long time
# constants: both are $\varepsilon / 4$, with $\varepsilon = 1 - \lambda$. For slow inputs weights add up before they
# are squared. The GRU's sum to nearly zero, the LSTM's to $\lambda$. So the slow tenth of the inputs' power, the mean
# embedding and the positions, makes most of an LSTM's sensitivity. [Figure 15c](fig15c.ipynb) measures it.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
lags = np.arange(512)
pair = [response(32 / 33, 512)[1] for response in (theory.gated_response, theory.lstm_response)]
white = [theory.window_moment(w, fit.white * (lags == 0)) for w in pair]
slow = [theory.window_moment(w, fit.amplitude * fit.decay**lags) for w in pair]
for name, (gru_part, lstm_part) in [("white", white), ("slow", slow)]:
    print(f"{name}: GRU {gru_part:.5f}, LSTM {lstm_part:.5f}, ratio {lstm_part / gru_part:.1f}")
assert 0.9 < white[1] / white[0] < 1.1 and slow[1] / slow[0] > 10
assert slow[1] > 0.8 * (white[1] + slow[1])
answer = [white[1] / white[0], slow[1] / slow[0]]  # LSTM over GRU at T = 32: white part, slow part
assert 0.9 < answer[0] < 1.1, "white part: the sums of squared weights are what counts"
assert answer[1] > 10, "slow part: weights add up before they are squared"
