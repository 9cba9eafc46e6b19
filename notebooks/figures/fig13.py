# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 13: block by block
#
# **You will see** the gradients of [Figure 5](fig05.ipynb) in each of the four blocks of a network. **You need** Figure 5. **Time** a
# quarter of a minute on a CPU: the figure shows stored results at the paper's size, and three networks are measured here.

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
from rnnlib.lab.experiments.propagation import inputs
from rnnlib.lab.networks import embedding_loss

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run("fig13", "paper", device=device, progress=False)

# %% [markdown]
# ## What is measured
# The networks, the inputs and the losses are those of Figure 5, without normalisation. The paper labels an axis
# "$\mathrm{d}_\theta h_t$"; it is the gradient of the loss with respect to the angles (erratum 20). "All but" a group means all
# parameters of the block but those; encoder and decoder belong to no block.

# %%
frame = experiments.load("fig13")
print(provenance(frame))
print("inputs:", *frame["source"].unique())

# %% mystnb={"figure": {"caption": "Mean squared gradient of each block, dark: block 1, light: block 4. Full and dotted: the recurrent parameters; dashed: all others of the block. Inputs: Wikipedia articles through the embedding layer of all-MiniLM-L6-v2.", "name": "fig-13"}, "image": {"alt": "Three logarithmic plots of mean squared gradients against the time constant from 1 to 100, four lines a group, one a block. Complex RNN: the four blocks run close together over sixteen decades for lambda and twelve for the rest. LRU: the angles rise and part by two decades at long memory, the other groups stay low and close. GRU: flat, slightly falling, blocks together."}}
PANELS = {
    "crnn": ("complex RNN", [("lambda", r"$\lambda$", "-"), ("rest", r"all but $\lambda$", "--")]),
    "lru": (
        "LRU",
        [
            ("theta", r"$\omega_\theta$", "-"),
            ("nu", r"$\omega_\nu$", ":"),
            ("rest", "all but these", "--"),
        ],
    ),
    "gru": ("GRU", [("recurrent", "recurrent layer", "-"), ("rest", "all but it", "--")]),
}


def gradients(table, kind):
    """Mean square by group, block and T_c."""
    chosen = table.query("kind == @kind and quantity == 'gradient' and target == 'previous'")
    chosen = chosen[chosen["layer"] > 0]
    return chosen.set_index(["group", "layer", "time"])["mean_square"].sort_index()


fig, axes = plt.subplots(1, 3, figsize=(9.2, 3.2), layout="constrained")
colors = style.sequence("time", 5)
for ax, (kind, (name, groups)) in zip(axes, PANELS.items(), strict=True):
    values = gradients(frame, kind)
    for group, label, ls in groups:
        for block in (1, 2, 3, 4):
            ax.loglog(values[group, block], ls, color=colors[block - 1], lw=1.3)
        ax.plot([], [], ls, color="0.3", label=label)
    ax.set(title=name, xlabel=r"$T_c$")
    ax.legend(fontsize="small")
axes[0].set_ylabel("mean squared gradient");

# %% [markdown]
# In the GRU the blocks differ by a factor of at most 1.6 at every memory (the panel spans little more than a decade). In the complex RNN they stay close up to $T_c = 32$ and part at 100, by little
# more than a decade while everything grows by many. In the LRU, gradients along the angles part further at long memory.
#
# Decades between the block with the smallest and the one with the largest mean square, by group and memory:

# %%
rows = {}
for kind, (name, groups) in PANELS.items():
    logs = np.log10(gradients(frame, kind))
    for group, *_ in groups:
        blocks = logs[group].unstack("time")
        rows[name, group] = blocks.max() - blocks.min()
table = pd.DataFrame(rows).T
table.columns = [f"{time:.3g}" for time in table.columns]
table.style.format("{:.2f}")

# %% [markdown]
# ## Live: three networks, measured here
# One batch of 8 sequences, $T_c = 100$; mean squared gradients by block.

# %%
source = text.default_source()
small = experiments.get("fig13").at("smoke" if scale == "smoke" else "book")
small = dataclasses.replace(small, sources=(source,), times=small.times[-1:])
parts = [small.measure(part, device)["runs"] for part in small.parts()]
live = pd.DataFrame([row for _, rows in parts for row in rows], columns=parts[0][0])
print("inputs:", "text" if source == "wikipedia" else "Gaussian, the extra [text] is missing")
for kind, (name, groups) in PANELS.items():
    for group, *_ in groups:
        print(f"{name:12} {group:10}", " ".join(f"{v:9.2e}" for v in gradients(live, kind)[group]))

# %% [markdown]
# ## One unit can make the spread
# Along the angles of an LRU much of the mean square of a block can be the square of one entry. For the LRU above and two more draws, block by
# block: the share of the largest entry and the angle of its unit, between 0 and $2\pi$; then the share of the unit whose angle is nearest to
# 0 from above, and that angle.

# %%
x = inputs(source, small.sequences, small.length, small.padding).to(device)
for draw in range(3):
    drawn = dataclasses.replace(small, seed=small.seed + draw)
    network = drawn.network("lru", "none", small.times[-1], x.shape[-1]).to(device)
    angles = [block.layer.omega_theta for block in network.blocks]
    gradients_here = torch.autograd.grad(embedding_loss(network(x)[0], x, offset=-1), angles)
    for omega, gradient in zip(angles, gradients_here, strict=True):
        shares = gradient**2 / (gradient**2).sum()
        share, place = shares.max(0)
        low = omega.argmin()
        print(f"draw {draw}: share {share:.2f}, angle {omega[place].exp():.3f};",
              f"nearest to 0: share {shares[low]:.0e}, angle {omega[low].exp():.3f}")

# %% [markdown]
# Between a fifth of a block's square and nearly all of it belongs to one unit. It is a unit of low frequency, whose angle lies less than .4 below $2\pi$: it sums up what is slow in the input, and since the angle is
# $e^{\omega_\theta}$ its sensitivity is multiplied by the angle itself, which the code counts from 0 to $2\pi$ (a unit just above 0 has
# such a frequency too, and a thousandth of the square or less). How close the nearest of 256 angles happens to lie differs from block to block and from
# draw to draw.
#
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-13-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig13");

# %%
claims.table("fig13")

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
