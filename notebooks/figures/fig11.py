# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 11: how many heads does an RNN need?
#
# **You will see** an RNN of width 64 cut into ever smaller independent blocks, the block size at which it learns a long memory, and Adam's
# effective rates on the way. **You need** [Figure 3](fig03.ipynb). **Time** under a minute on a CPU: the figure shows stored results of the
# full experiment; a small part trains here.

# %% tags=["hide-input"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    source = "git+https://github.com/OWNER/REPOSITORY"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)

# %%
import matplotlib.pyplot as plt
import numpy as np
from rnnlib import claims, experiments, style
from rnnlib.experiments.analysis import best, protocol_table

style.use()

# %%
frame, curves = experiments.load("fig11"), experiments.load("fig11", "curves")
protocol_table(frame).style.hide(axis="index")

# %%
origin = frame.attrs["origin"]
for key in ["date", "device", "processes", "seconds, this command", "run together"]:
    print(f"{key}: {origin[key]}")

# %% [markdown]
# ## A: loss against the number of heads
# Width 64 in all, so 16 heads are blocks of 4x4 and 32 heads blocks of 2x2. Best base rate of each; mean and standard error of ten seeds.
# The grid of rates lacks .00032, so the point with one head is not the RNN of Figure 3 (erratum 15).

# %%
points = best(frame, ["heads"])
formats = {"rate": "{:g}", "loss": "{:.1e}", "error": "{:.1e}", "zero_loss": "{:.3g}"}
points.style.hide(axis="index").format(formats)

# %% [markdown]
# The loss falls with the number of heads, and most of the way is gone with blocks of 8x8; the break that the paper finds at 4x4 is not
# seen with this teacher.
#
# ## B: effective rates of A
# Adam divides by a running root mean square gradient, so each parameter has a rate of its own. The paper takes the update that Adam would
# make for a gradient of ones; that mixes in the first moment and can be negative (erratum 9), so the geometric mean is over positive ones.
# Beside it, the rate without the first moment, $\eta_t / (\sqrt{\hat v} + \epsilon)$. Both fall at the end because $\eta_t$ does: the
# schedule is a cosine.

# %%
chosen = curves.merge(points[["heads", "rate"]])
kinds = {"effective": "as in the paper", "effective_plain": "without the first moment"}
means = {kind: np.log(chosen.set_index(["heads", "step"])[kind]) for kind in kinds}
means = {kind: np.exp(logs.groupby(["heads", "step"]).mean()) for kind, logs in means.items()}
negative = chosen.groupby("heads")["negative"].mean()
print("mean fraction of negative ones, by heads:", negative.round(3).to_dict())

# %% mystnb={"figure": {"caption": "Left: loss of an RNN of width 64 against its number of heads, mean and standard error of ten seeds; dotted: the zero predictor. Middle and right: geometric mean of the effective rates of A during training, in the paper's definition and without the first moment.", "name": "fig-11"}, "image": {"alt": "Left: loss against heads from 1 to 32 on logarithmic axes. Middle and right: effective rates against training step, one curve for each number of heads, which fall at the end with the cosine schedule. The losses are in the table above."}}
fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
axes[0].errorbar(points["heads"], points["loss"], points["error"], fmt="o-", ms=4)
axes[0].axhline(points["zero_loss"].iloc[0], color="0.4", ls=":")
axes[0].set_xscale("log", base=2)
axes[0].set(yscale="log", xlabel="heads", ylabel="loss", title="A")
for ax, (kind, title) in zip(axes[1:], kinds.items(), strict=True):
    for heads, color in zip(points["heads"], style.sequence("lam", len(points)), strict=True):
        curve = means[kind][heads]
        ax.semilogy(curve.index, curve, color=color, label=f"{heads}")
    ax.set(xlabel="step", title=f"B: {title}")
axes[2].legend(title="heads", loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# ## Live: the same students, trained here
# One seed, one rate, a fifth of the steps.

# %%
live = experiments.run("fig11", workers=1, progress=False)
live[["heads", "rate", "loss", "zero_loss"]]

# %% [markdown]
# ## What the paper claims, and what we measure

# %%
claims.table("fig11")
