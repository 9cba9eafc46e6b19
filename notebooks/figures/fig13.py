# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 13: block by block
#
# **You will see** that the size of the gradients in [Figure 5](fig05.ipynb) depends on the memory, and hardly on the
# block. **You need** Figure 5. **Time** under a minute on a CPU.

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
TIMES, BLOCKS = times(), (1, 2, 3, 4)
PANELS = {  # by kind: its name; group, label, line style, the paper's name, where its label stands
    "crnn": (
        "complex RNN",
        [
            ("lambda", r"$\lambda$", "-", "lambda", (12, 1e6)),
            ("rest", "all others", "--", "others", (9, 1e-5)),
        ],
    ),
    "lru": (
        "LRU",
        [
            ("theta", r"$\omega_\theta$", "-", "theta", (12, 2e0)),
            ("nu", r"$\omega_\nu$", ":", "nu", (30, 1e-9)),
            ("rest", "all others", "--", "others", (3, 1e-9)),
        ],
    ),
    "gru": (
        "GRU",
        [
            ("recurrent", "recurrent layer", "-", "", (9, 1.5e-12)),
            ("rest", "all others", "--", "", (9, 1e-7)),
        ],
    ),
}
theirs = {"crnn": paper_values("fig13")["cRNN"], "lru": paper_values("fig13")["LRU"], "gru": {}}


def by_block(quantity, kind, time):
    """Decades, a row a network and a column a block; the mean over the two texts."""
    return np.stack([decades(quantity, kind, time, block).mean(1) for block in BLOCKS], axis=1)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The memory matters far more than the block. Mean squared gradient of each of four blocks (block 1 darkest) against the shortest memory $T_c$, median of 32 networks on two texts each. Solid and dotted: the recurrent parameters; dashed: all others of the block. Shaded: all networks and blocks. Grey diamonds: the four blocks of the paper's one network.", "name": "fig-13"}, "image": {"alt": "Three logarithmic plots of mean squared gradients against the time constant from 1 to 100, on one scale, four lines a group, one a block, on shaded bands, with grey diamonds of the paper. Complex RNN: the four lines of a group run close together while they rise by 15 to 16 and 11 to 12 decades. LRU: the lines of the angles rise by about four decades together, those of the other groups stay low. GRU: flat or slightly falling, blocks together."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 3.3), sharey=True, layout="constrained")
for ax, (kind, (name, groups)) in zip(axes, PANELS.items(), strict=True):
    color = style.COLORS[kind]
    for group, label, ls, paper, place in groups:
        values = np.stack([by_block(group, kind, time) for time in TIMES])  # T_c, network, block
        low, high = values.min((1, 2)), values.max((1, 2))
        ax.fill_between(TIMES, 10**low, 10**high, color=color, alpha=0.15, lw=0)
        for block in BLOCKS:
            middle = np.median(values[..., block - 1], 1)
            ax.plot(TIMES, 10**middle, ls, color=color, lw=1.3, alpha=1.15 - 0.2 * block)
        ax.text(*place, label, ha="center", va="center", color="0.2")
        for time, four in theirs[kind].get(paper, {}).items():
            ax.plot([float(time)] * 4, four, **(style.PAPER | {"ms": 3}))
    ax.set(xscale="log", yscale="log", title=name, xlabel="shortest memory $T_c$")
axes[0].set(ylabel="mean squared gradient", ylim=(1e-13, 1e13));

# %% [markdown]
# With memory the gradients of a complex RNN grow by many decades; from block to block their medians differ by less than
# one. The networks, the inputs and the losses are those of Figure 5, without normalisation. The paper's panel of the
# GRU is empty.

# %% [markdown]
# ## Does the block matter, or the draw?
# In one network, the paper's or ours, blocks differ by up to a decade or two. That is no effect of the block if another
# draw makes another block the largest. So we compare each block with the mean of the four blocks of its own network, at
# $T_c = 100$:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "From block to block a complex RNN's gradients fall; in an LRU chance decides which block has the largest gradient along the angles. Gradients of each block at $T_c = 100$ over the geometric mean of the four blocks of the same network. Dots: 32 networks, each on two texts; circles: their median with its 95 % interval. Dotted: a factor of two.", "name": "fig-13-blocks"}, "image": {"alt": "Seven logarithmic panels, one a group of parameters, with four columns of dots, one a block, around 1. The complex RNN's medians fall from 2.5 at block 1 to 0.4 or less at block 4. The LRU's lie near 1, with dots of the angles over more than two decades. The GRU's dots stay close to 1."}}
shown = [(kind, *group) for kind, (_, groups) in PANELS.items() for group in groups]
fig, axes = plt.subplots(2, 4, figsize=(7.2, 4.4), sharey=True, layout="constrained")
for ax, (kind, group, label, *_) in zip(axes.flat, shown, strict=False):
    values = by_block(group, kind, 100.0)
    deviations = values - values.mean(1, keepdims=True)
    for block in BLOCKS:
        style.replicates(ax, block, deviations[:, block - 1], color=style.COLORS[kind], width=0.6)
    for factor in (0.5, 2):
        ax.axhline(factor, color="0.6", ls=":", lw=0.8)
    ax.set(yscale="log", xticks=BLOCKS, xlabel="block", title=f"{PANELS[kind][0]}\n{label}")
axes[1, 3].set_axis_off()
for ax in axes[:, 0]:
    ax.set_ylabel("over the mean of four blocks")

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show, for each memory, the block furthest from the mean and the spread of one network, in decades", "code_prompt_hide": "Hide the table"}
PLAIN = {"lambda": "λ", "theta": "ω_θ", "nu": "ω_ν", "recurrent": "recurrent", "rest": "all others"}
rows = {}
for kind, group, _, _, paper, _ in shown:
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
# The paper explains why the blocks of a complex RNN have gradients of one size: states grow from block to block, errors
# grow on their way back. A block's gradients combine the states that enter it and the error at its output. At $T_c =
# 100$:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "In the complex RNN states grow with depth and errors on their way back, but the two do not offset each other. Left: mean square of each block's output; middle: of the gradient with respect to it; right: mean square of a block's input times that of the error at its output. Dots: 32 networks, each on two texts; circles: median.", "name": "fig-13-offset"}, "image": {"alt": "Three logarithmic plots against the block, dots for networks. Left: outputs of the complex RNN rise from block 1 to 4 by several decades. Middle: errors fall from block 1 to 4. Right: their product falls from 1 at block 2 to 3e-4 at block 4."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.8), layout="constrained")
states, errors = (by_block(quantity, "crnn", 100.0) for quantity in ("output", "error"))
series = [(BLOCKS, states), (BLOCKS, errors), (BLOCKS[1:], states[:, :-1] + errors[:, 1:])]
titles = ["states: block output", "errors at that output", "states entering × error"]
for ax, (blocks, values), title in zip(axes, series, titles, strict=True):
    for block, column in zip(blocks, values.T, strict=True):
        style.replicates(ax, block, column, color=style.COLORS["crnn"], width=0.4)
    ax.set(yscale="log", xticks=blocks, xlabel="block", title=title)
axes[0].set_ylabel("mean square");

# %% [markdown]
# Their product falls by more than three decades from block 2 to block 4. Gradients fall too, but only by a factor of
# six from the first block to the last.

# %% [markdown]
# ## One unit can make the spread
# Along the angles of an LRU, one unit can make most of a block's mean square. We measure three draws of an LRU at $T_c
# = 100$ here. Each row is a block: its mean squared gradient in decades; share and angle of the unit with the largest
# gradient; share and angle of the unit with the smallest angle.

# %% tags=["hide-input"]
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
# One unit makes between an eighth and nearly all of a block's mean square. Its angle is just below $2\pi$, so its
# frequency is low and it sums the slow part of the input. The angle is $e^{\omega_\theta}$, so the sensitivity is
# multiplied by the angle itself, which the code counts from 0 to $2\pi$. A unit just above 0 has a frequency as low,
# but a thousandth of the square or less.
#
# How close to $2\pi$ the nearest of 256 angles lies differs from block to block and from draw to draw.

# %% [markdown]
# <details>
# <summary>Fine print: names</summary>
#
# The paper labels an axis "$\mathrm{d}_\theta h_t$"; it is the gradient of the loss with respect to the angles (erratum
# 20). "All others" are all other parameters of the block; encoder and decoder belong to no block.
#
# </details>

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-13-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig13");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig13")

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where these results were computed", "code_prompt_hide": "Hide"}
print(provenance(experiments.load(NAME)))

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: powers of one layer
# *Predict, then run. Medium.* Take one layer, white inputs, angles uniform on the circle and modulus $\nu = 1 - 1/T_c$
# with large $T_c$. With which powers of $T_c$ do these grow: the second moment of the sensitivity to $\lambda$ of a
# complex RNN; to $\omega_\nu$ and to $\omega_\theta$ of an LRU, with $\gamma$ held constant? Which of the lines above
# are steeper than that, and why?
#
# <details>
# <summary>Solution 1</summary>
#
# $\frac{1+\nu^2}{(1-\nu^2)^3}$: power 3. With $\gamma^2 = 1 - \nu^2$ and
# $\mathrm{d}\nu/\mathrm{d}\omega_\nu = \nu\ln\nu$: $\frac{(1+\nu^2)(\nu\ln\nu)^2}{(1-\nu^2)^2} \to \frac12$, power 0.
# With $\mathrm{d}\lambda/\mathrm{d}\omega_\theta = i\theta\lambda$: $\theta^2\nu^2\frac{1+\nu^2}{(1-\nu^2)^2}$,
# power 2.
#
# In a deep network factors multiply. In a complex RNN those of the other layers grow with memory too, by one power or
# more per layer, and the inputs are correlated. So its lines may be steeper. The LRU's states keep their size, and its
# lines stay near these powers.
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
