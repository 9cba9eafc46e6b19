# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 15b: the prediction as the paper draws it
#
# **You will see** what three choices of the paper change in the sensitivity of Figure 15: the formula it draws, its
# infinite window and its smoothing. **You need** [Figure 15](fig15.ipynb). **Time** under a minute on a CPU, with
# stored results.

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
from rnnlib.lab import as_printed, experiments, style, text
from rnnlib.lab.experiments.fig15 import over_networks

style.use()
frame, smoothed = experiments.load("fig15"), experiments.load("fig15", "smoothed")
measured = experiments.load("fig15", "inputs")["autocorrelation"].to_numpy()
fits = experiments.load("fig12", "fits")
row = fits.query("source == 'wikipedia' and positions and not padding").iloc[0]
fit = text.Autocorrelation(row["white"], row["amplitude"], row["decay"])
T = np.geomspace(1, 256, 60)
lam = T / (1 + T)


def infinite(moment):
    """With the fitted autocorrelation, in which the moment is linear, and infinitely many steps."""
    return fit.white * moment(lam, 0.0) + fit.amplitude * moment(lam, fit.decay)


plotted, right = infinite(as_printed.gated_sensitivity), infinite(theory.gated_sensitivity)
weights = theory.gated_response(lam, 512)[1]
finite = theory.window_moment(weights, fit(np.arange(512)))
best = theory.window_moment(weights, measured)
smooth = smoothed.query("cell == 'gru' and gates == 'constant'")
bins = over_networks(frame.query("cell == 'gru' and gates == 'constant'"), "s2")
low, high = np.nanpercentile(bins.drawn, [2.5, 97.5], axis=0)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The drawn formula is too low at short time constants, where smoothing makes a plateau; the infinite window is too high at long ones. In between, the fitted exponential is too low. Squared sensitivity of units with constant gates; circles: means in bins of log T over 400 networks.", "name": "fig-15-erratum"}, "image": {"alt": "Log-log plot of the squared sensitivity against T. The plotted formula starts two fifths below the right one and meets it at long T. The smoothed mean is flat up to T = 5, where the bins fall by a factor of two. The corrected curve with the measured autocorrelation runs through the bins or up to a fifth below them; those with the fitted exponential lie below them between 10 and 100, and the one for an infinite window turns up beyond 100."}}
fig, ax = plt.subplots(figsize=(7.2, 3.8), layout="constrained")
ax.loglog(T, plotted, "--", color="#7b3294")
ax.loglog(T, right, ":", color="0.1")
ax.loglog(T, finite, color="0.55")
ax.loglog(T, best, color="black")
ax.loglog(smooth["T"], smooth["s2"], "--", color="#a6611a")
color = style.COLORS["gru"]
error = [bins.value - low, high - bins.value]
ax.errorbar(bins.T, bins.value, error, fmt="o", color=color, mec="black", ecolor="black")
ax.set(xlabel="time constant $T$", ylabel=r"sensitivity $(\mathrm{d}_b h)^2$", ylim=(1.7e-3, 3e-2))
names = {
    "right, infinite window": (right, "0.1"),
    "theory as drawn": (plotted, "#7b3294"),
    "smoothed, as drawn": (smooth["s2"].to_numpy(), "#a6611a"),
    "right, measured R": (best, "black"),
    "right, fitted R": (finite, "0.45"),
}
style.label_ends(ax, [(line[-1], name, color) for name, (line, color) in names.items()]);

# %% [markdown]
# The formula matters for $T$ below 20, the window above 100, the smoothing for the shortest units. Between 20 and 100
# none of the three does; there the exponential misses the autocorrelation.
#
# None of these errors changes the conclusion that theory describes gated units. Without them it is clearer.

# %% [markdown]
# ## Erratum 8: what is drawn, and what is right
# Appendix D.3 prints the right formula; the paper's code and figure use another. Let $\tilde F(a, b) = (1 - a)(1 - b)
# F(a, b)$. The figure draws
#
# $$(\tilde F + 2 \tilde F_a + \tilde F_{ab}) \, (\lambda (1 - \lambda))^2$$
#
# as its prediction of the sensitivity. Only the last term is right, $\tilde F_{ab} \, (\lambda (1 - \lambda))^2$. The
# figure also assumes infinitely many past inputs, and it smooths the units with a kernel about 7 wide in $T$. The
# effect of each alone:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Each simplification has its own range of time constants. Ratios of neighbouring curves above: drawn formula over the right one, 512 steps over the infinite window, fitted autocorrelation over the measured one, smoothed mean over theory.", "name": "fig-15-steps"}, "image": {"alt": "Plot of four ratios against T on a logarithmic axis. The drawn formula starts at .62, is .93 at T = 20 and reaches 1 beyond 200. 512 steps over infinite: 1 up to T = 100, then falling below .8. Fitted over measured R: 1 at T = 1, about .6 between 20 and 50, then rising. Smoothed mean over theory: .7 at T = 1, 1 at T = 5, 1.2 around T = 11, then 1.05 to 1.15."}}
steps = {
    "drawn / right": (plotted / right, "#7b3294"),
    "512 steps / infinite": (finite / right, "0.1"),
    "fitted / measured R": (finite / best, "0.45"),
    "smoothed / theory": (smooth["s2"].to_numpy() / best, "#a6611a"),
}
fig, ax = plt.subplots(figsize=(7.2, 2.6), layout="constrained")
ax.axhline(1, color="0.6", ls=":")
for ratio, color in steps.values():
    ax.semilogx(T, ratio, color=color)
ax.set(xlabel="time constant $T$", ylabel="ratio")
style.label_ends(ax, [(ratio[-1], name, color) for name, (ratio, color) in steps.items()]);

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the ratios in a table", "code_prompt_hide": "Hide the table"}
table = pd.DataFrame({name: ratio for name, (ratio, _) in steps.items()}, pd.Index(T, name="T"))
table.iloc[[7, 15, 25, 33, 41, 59]].style.format("{:.2f}").format_index("{:.1f}")

# %% [markdown]
# ## Erratum 21: the bias and its time constant
# The source of the initialisation sets $b = \log(T - 1)$, so that $\lambda = 1 - 1/T$; the paper's code sets $b = \log
# T$. That is the same gate for a time constant longer by one step. At $T = 100$ it hardly matters. At $T = 1$ one unit
# halves its state, the other keeps nothing of it.

# %% tags=["hide-input"]
few = np.array([1, 2, 4, 16, 256])
biases = pd.DataFrame({"paper's code": few / (1 + few), "with the -1": 1 - 1 / few}, index=few)
biases.rename_axis("T").T.style.format("{:.4f}")
