# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Does orthogonality predict what a rotation costs?
#
# **You will see** whether a predictor found on transformers, how far Adam's update is from an orthogonal matrix, tells
# what a random basis costs a recurrent network. **You need** [Which optimisers notice a
# rotation?](02-rotation.ipynb) **Time** a few seconds; the runs are stored.
#
# No. Over eight sizes of blocks its rank correlation with the loss is -0.32 (-0.76 to -0.13), where the hypothesis asks
# for 0.8 or more.

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
from rnnlib.lab import claims, statistics, style
from rnnlib.lab.claims.beyond import best, spread_of_updates
from scipy.stats import spearmanr

style.use()
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
STUDENTS = {"crnn": "complex diagonal", "lru": "LRU"}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Larger blocks of a random basis raise the LRU's loss (top) without a larger spread of the update's singular values (bottom). Complex diagonal network and LRU under Adam, 2,000 steps, against the size of the blocks in which recurrent parameters are rotated. Dots: eight teachers; circles and bars: medians and 95 % intervals.", "name": "fig-orthogonality"}, "image": {"alt": "Top: losses of the complex diagonal network have medians near 1e-5 at all sizes, with dots up to 1e-2 from 32 on; those of the LRU rise from 1e-5 at 1 to 1e-3 from 32 on. Bottom: spreads have medians of 1.1 to 1.3, and of 1.6 to 2.1, largest at blocks of 2."}}
fig, axes = plt.subplots(2, 2, figsize=(7.2, 4.2), sharex=True, sharey="row", layout="constrained")
for (top, bottom), (name, title) in zip(axes.T, STUDENTS.items(), strict=True):
    color, spreads = style.COLORS[name], spread_of_updates(name)
    for place, size in enumerate(SIZES):
        look = {"color": color, "width": 0.4}
        style.replicates(top, place, best("rotation_adam", (name,), rotation=size), cap=2, **look)
        style.replicates(bottom, place, np.log10(spreads[:, place]), **look)
    top.set(yscale="log", title=title)
    bottom.set(yscale="log", xlabel="size of the blocks")
    bottom.set_xticks(range(len(SIZES)), SIZES)
axes[0, 0].set_ylabel("loss / zero predictor's")
axes[1, 0].set_ylabel("spread of the update");

# %% [markdown]
# [Zhang et al. (2025)](https://arxiv.org/abs/2410.19964), section 4.2, train GPT-2 with Adam in rotated parameter
# spaces. Of each weight matrix they take the update without rate and weight decay, turned back into the original basis,
# and the coefficient of variation of its singular values $s$:
#
# $$A = R^\top \frac{M}{\sqrt V + \epsilon}, \qquad \mathrm{CV}(A) = \frac{\sigma_s}{\mu_s} .$$
#
# It is 0 if A is orthogonal up to its scale. There, rotations that helped had the smallest CV and global random
# rotations, which harmed, the largest. Here the recurrence of a diagonal network is the matrix
# $\mathrm{diag}(\lambda)$, so $s$ are the distances by which its eigenvalues (an LRU's raw parameters) move.
#
# The rank correlation of CV and tuned loss over the eight sizes, for other readings of "singular values", too: median
# over teachers with a 95 % interval.

# %% tags=["hide-input"]
READINGS = {
    "update of the weights, as published": "cv",
    "each real number a matrix of its own": "cv_numbers",
    "moves of the eigenvalues": "cv_eigenvalues",
}
rows = []
for name, title in STUDENTS.items():
    tuned = [best("rotation_adam", (name,), rotation=size).mean(axis=1) for size in SIZES]
    losses = np.stack(tuned, axis=1)
    for label, column in READINGS.items():
        pairs = zip(spread_of_updates(name, column), losses, strict=True)
        e = statistics.median([spearmanr(*pair).statistic for pair in pairs])
        shown = f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f})".replace("-", "−")
        rows.append([title, label, shown])
columns = ["student", "singular values of", "rank correlation with the loss"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% tags=["hide-input"]
claims.hypotheses("13")

# %% [markdown]
# Eight teachers and 2,000 steps; another predictor, such as one that knows the loss, may do better. **The numbers:**
# [spreads](../../rnnlib/lab/results/beyond_orthogonality.csv),
# [losses](../../rnnlib/lab/results/beyond_rotation_adam.csv). [How to
# cite](01-is-it-adam.ipynb#how-to-cite-this-page).
