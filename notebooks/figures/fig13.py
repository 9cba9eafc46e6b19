# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 13: block by block
#
# **You will see** the gradients of [Figure 5](fig05.ipynb) in each of the four blocks of a network, in 32 draws of it. **You need** Figure 5.
# **Time** a quarter of a minute on a CPU: the figures show stored results at the paper's size, and three networks are measured here.

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
from rnnlib.lab import claims, experiments, statistics, style, text
from rnnlib.lab.claims.fig05 import NAME, TEXTS, decades, times
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.experiments.propagation import embeddings
from rnnlib.lab.networks import embedding_loss
from rnnlib.lab.paper_values import paper_values

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run(NAME, "paper", device=device, progress=False)

# %% tags=["hide-input"]
TIMES, BLOCKS = times(), (1, 2, 3, 4)
PANELS = {  # by kind: its name; group, label, line style, the paper's name
    "crnn": (
        "complex RNN",
        [("lambda", r"$\lambda$", "-", "lambda"), ("rest", r"all but $\lambda$", "--", "others")],
    ),
    "lru": (
        "LRU",
        [
            ("theta", r"$\omega_\theta$", "-", "theta"),
            ("nu", r"$\omega_\nu$", ":", "nu"),
            ("rest", "all but these", "--", "others"),
        ],
    ),
    "gru": ("GRU", [("recurrent", "recurrent layer", "-", ""), ("rest", "all but it", "--", "")]),
}
theirs = {"crnn": paper_values("fig13")["cRNN"], "lru": paper_values("fig13")["LRU"], "gru": {}}
PLAIN = {"lambda": "λ", "theta": "ω_θ", "nu": "ω_ν", "recurrent": "recurrent", "rest": "all others"}
colors = style.sequence("time", 5)


def by_block(quantity, kind, time):
    """Decades, a row a network and a column a block; the mean over the two texts."""
    return np.stack([decades(quantity, kind, time, block).mean(1) for block in BLOCKS], axis=1)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Which block it is hardly matters beside the memory. Mean squared gradient of each block, dark: block 1, light: block 4; median of 32 networks, each on two texts. Shaded: all networks and blocks; grey: the four blocks of the paper's one network. Full and dotted: the recurrent parameters; dashed: all others of the block.", "name": "fig-13"}, "image": {"alt": "Three logarithmic plots of mean squared gradients against the time constant from 1 to 100, four lines a group, one a block, on shaded bands, with grey diamonds of the paper. Complex RNN: the four lines of a group run close together while they rise by many decades. LRU: the lines of the angles rise together, those of the other groups stay low. GRU: flat or slightly falling, blocks together."}}
fig, axes = plt.subplots(1, 3, figsize=(9.2, 3.3), layout="constrained")
for ax, (kind, (name, groups)) in zip(axes, PANELS.items(), strict=True):
    for group, label, ls, paper in groups:
        values = np.stack([by_block(group, kind, time) for time in TIMES])  # T_c, network, block
        low, high = values.min((1, 2)), values.max((1, 2))
        ax.fill_between(TIMES, 10**low, 10**high, color="0.5", alpha=0.12, lw=0)
        for block in BLOCKS:
            middle = np.median(values[..., block - 1], 1)
            ax.plot(TIMES, 10**middle, ls, color=colors[block - 1], lw=1.3)
        ax.plot([], [], ls, color="0.3", label=label)
        for time, four in theirs[kind].get(paper, {}).items():
            ax.plot([float(time)] * 4, four, **(style.PAPER | {"ms": 3, "label": None}))
    ax.set(xscale="log", yscale="log", title=name, xlabel=r"$T_c$")
    if theirs[kind]:
        ax.plot([], [], **(style.PAPER | {"ms": 3}))
    low, high = ax.get_ylim()
    ax.set_ylim(top=high * (high / low) ** 0.35)  # room for the legend
    ax.legend(fontsize="small", loc="upper left")
axes[0].set_ylabel("mean squared gradient");

# %% [markdown]
# The networks, the inputs and the losses are those of Figure 5, without normalisation. The paper labels an axis
# "$\mathrm{d}_\theta h_t$"; it is the gradient of the loss with respect to the angles (erratum 20). "All but" a group means all
# parameters of the block but those; encoder and decoder belong to no block. The paper's panel of the GRU is empty.
#
# ## Does the layer matter, or the draw?
# In one network, the paper's or ours, blocks differ, by up to a decade or two. That is no effect of the layer if another draw makes
# another block the largest. So each block is compared with the mean of the four blocks of its own network, at $T_c = 100$:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "From block to block a complex RNN's gradients fall; which block of an LRU has the largest gradient along the angles is chance. Dots: 32 networks, each on two texts; circles: their median with its 95 % interval. Gradients of each block at $T_c = 100$ over the geometric mean of the four blocks of the same network. Dotted: a factor of two.", "name": "fig-13-blocks"}, "image": {"alt": "Seven small logarithmic panels, one a group of parameters, with four columns of dots, one a block, around 1. The complex RNN's medians fall from 2.5 at block 1 to 0.4 or less at block 4. The LRU's lie near 1, with dots of the angles over more than two decades. The GRU's dots stay close to 1."}}
shown = [(kind, *group) for kind, (_, groups) in PANELS.items() for group in groups]
fig, axes = plt.subplots(1, len(shown), figsize=(10.2, 2.9), sharey=True, layout="constrained")
for ax, (kind, group, label, *_) in zip(axes, shown, strict=True):
    values = by_block(group, kind, 100.0)
    deviations = values - values.mean(1, keepdims=True)
    for block in BLOCKS:
        style.replicates(ax, block, deviations[:, block - 1], color=style.COLORS[kind], width=0.6)
    for factor in (0.5, 2):
        ax.axhline(factor, color="0.6", ls=":", lw=0.8)
    ax.set(yscale="log", xticks=BLOCKS, xlabel="block", title=f"{PANELS[kind][0]}\n{label}")
axes[0].set_ylabel("over the mean of four blocks");

# %% [markdown]
# By memory: the block whose median lies furthest from the mean of the four, in decades, and how far apart the smallest and the largest block of
# one network are, median of 32 networks and the paper's one:

# %% tags=["hide-input"]
rows = {}
for kind, group, _, _, paper in shown:
    for time in TIMES:
        values = by_block(group, kind, time)
        deviations = (values - values.mean(1, keepdims=True)).T
        medians = [statistics.median(block, "networks") for block in deviations]
        block = int(np.argmax([abs(estimate.value) for estimate in medians]))
        far = medians[block]
        its = {f"{float(key):.4g}": four for key, four in theirs[kind].get(paper, {}).items()}
        four = its.get(f"{time:.4g}")
        rows[PANELS[kind][0], PLAIN[group], f"{time:.3g}"] = {
            "furthest block": f"{block + 1}: {far.value:+.2f}  ({far.low:+.2f} to {far.high:+.2f})",
            "spread of one network": f"{np.median(np.ptp(values, axis=1)):.2f}",
            "paper's": "" if four is None else f"{np.ptp(np.log10(four)):.2f}",
        }
pd.DataFrame(rows).T.rename_axis(["network", "gradients", "T_c"])

# %% [markdown]
# ## Growing states, growing errors
# The paper explains why the layers of a complex RNN have gradients of one size: from layer to layer states grow, and on their way back errors
# do. A block's gradients are made of the states that enter it and of the error at its output. At $T_c = 100$:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "In the complex RNN states grow with depth and errors on their way back. Left: mean square of each block's output; middle: of the gradient with respect to it; right: the product of the mean squares of what enters a block and of the error at its output. Dots: 32 networks, each on two texts; circles: median.", "name": "fig-13-offset"}, "image": {"alt": "Three logarithmic plots against the block, dots for networks. Left: outputs of the complex RNN rise from block 1 to 4 by several decades. Middle: errors fall from block 1 to 4. Right: their product falls from 1 at block 2 to 3e-4 at block 4."}}
fig, axes = plt.subplots(1, 3, figsize=(8.6, 2.8), layout="constrained")
states, errors = (by_block(quantity, "crnn", 100.0) for quantity in ("output", "error"))
series = [(BLOCKS, states), (BLOCKS, errors), (BLOCKS[1:], states[:, :-1] + errors[:, 1:])]
titles = ["states: block output", "errors at that output", "states entering × error"]
for ax, (blocks, values), title in zip(axes, series, titles, strict=True):
    for block, column in zip(blocks, values.T, strict=True):
        style.replicates(ax, block, column, color=style.COLORS["crnn"], width=0.4)
    ax.set(yscale="log", xticks=blocks, xlabel="block", title=title)
axes[0].set_ylabel("mean square");

# %% [markdown]
# The two do not offset each other: their product falls by more than three decades from block 2 to block 4. Gradients fall too, but by a factor of
# six from the first block to the last.
#
# ## One unit can make the spread
# Along the angles of an LRU much of the mean square of a block can be the square of one entry. For three draws of an LRU at $T_c = 100$,
# measured here, block by block: the mean squared gradient, in decades; the share of the largest entry, the angle of its unit, between 0 and
# $2\pi$; then the share of the unit whose angle is nearest to 0 from above, and that angle.

# %%
source = TEXTS[0] if text.default_source() == "wikipedia" else "gaussian"
small = experiments.get(NAME).at("smoke" if scale == "smoke" else "book")
x = embeddings(source, 0, small.sequences, small.length).to(device)
print("inputs:", "text" if source != "gaussian" else "Gaussian, the extra [text] is missing")
for draw in range(3):
    network = small.network("lru", "none", 100.0, x.shape[-1], draw).to(device)
    angles = [block.layer.omega_theta for block in network.blocks]
    gradients_here = torch.autograd.grad(embedding_loss(network(x)[0], x, offset=-1), angles)
    for omega, gradient in zip(angles, gradients_here, strict=True):
        shares = gradient**2 / (gradient**2).sum()
        share, place = shares.max(0)
        low = omega.argmin()
        print(f"draw {draw}: {torch.log10((gradient**2).mean()):6.2f};",
              f"share {share:.2f}, angle {omega[place].exp():.3f};",
              f"nearest to 0: share {shares[low]:.0e}, angle {omega[low].exp():.3f}")

# %% [markdown]
# Between an eighth of a block's square and nearly all of it belongs to one unit. It is a unit of low frequency, whose angle lies little
# below $2\pi$: it sums up what is slow in the input, and since the angle is $e^{\omega_\theta}$ its sensitivity is multiplied by the angle
# itself, which the code counts from 0 to $2\pi$ (a unit just above 0 has such a frequency too, and a thousandth of the square or less). How
# close the nearest of 256 angles happens to lie differs from block to block and from draw to draw.
#
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-13-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig13");

# %% tags=["hide-input"]
claims.table("fig13")

# %%
print(provenance(experiments.load(NAME)))

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: powers of one layer
# *Predict, then run. Medium.* One layer, white inputs, angles uniform on the circle, modulus $\nu = 1 - 1/T_c$ with large $T_c$. With which powers of $T_c$
# do these grow: the second moment of the sensitivity to $\lambda$ of a complex RNN; to $\omega_\nu$ and to $\omega_\theta$ of an LRU, with $\gamma$ held constant? Which of the lines above are
# steeper than that, and why?
#
# <details>
# <summary>Solution 1</summary>
#
# $\frac{1+\nu^2}{(1-\nu^2)^3}$: power 3. With $\gamma^2 = 1 - \nu^2$ and $\mathrm{d}\nu/\mathrm{d}\omega_\nu = \nu\ln\nu$:
# $\frac{(1+\nu^2)(\nu\ln\nu)^2}{(1-\nu^2)^2} \to \frac12$, power 0. With $\mathrm{d}\lambda/\mathrm{d}\omega_\theta = i\theta\lambda$:
# $\theta^2\nu^2\frac{1+\nu^2}{(1-\nu^2)^2}$, power 2. A deep network multiplies: what a complex RNN's layers above and below add to a gradient grows with memory too, one power and
# more a layer, and the inputs are correlated. So its lines may be steeper; the LRU's, whose states keep their size, stay near these powers.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
T_c = np.array([100.0, 1000.0])
nu = 1 - 1 / T_c
theta = 2 * np.pi * (np.arange(1000)[:, None] + 0.5) / 1000
plain = (1 + nu**2) / (1 - nu**2) ** 3
moments = {
    "lambda, complex RNN": (plain, 3),
    "omega_nu, LRU": ((1 - nu**2) * (nu * np.log(nu)) ** 2 * plain, 0),
    "omega_theta, LRU": (((1 - nu**2) * (theta * nu) ** 2 * plain).mean(0), 2),
}
for name, (values, power) in moments.items():
    slope = np.diff(np.log10(values)).item()
    print(f"{name:20} power {slope:.2f}")
    assert abs(slope - power) < 0.05
answer = [3, 0, 2]  # powers: lambda of the complex RNN; omega_nu, omega_theta of the LRU
assert answer[0] == 3, "complex RNN: take the formula for white inputs, whatever the angle"
assert answer[1] == 0, "omega_nu: gamma^2 and the square of d nu / d omega_nu take powers away"
assert answer[2] == 2, "omega_theta: d theta / d omega_theta is theta, which memory leaves alone"
