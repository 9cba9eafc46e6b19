# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 11b: the paper's protocol, one teacher
#
# **You will see** Figure 11 as the paper has it, with ten seeds on one teacher: where the loss falls, and that
# effective rates fall late only because the base rate does. **You need** [Figure 11](fig11.ipynb). **Time** under a
# minute on a CPU; six students train here.

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
from rnnlib.lab import experiments, style
from rnnlib.lab.experiments.analysis import best, mark_survivors, provenance, settings
from rnnlib.lab.paper_values import paper_values
from rnnlib.lab.training import train

style.use()
experiment, theirs = experiments.get("fig11"), paper_values("fig11")
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    experiments.run(experiment, "paper", device=device, progress=False)
frame, curves = experiments.load("fig11"), experiments.load("fig11", "curves")
points = best(frame, ["heads"]).set_index("heads")
chosen = curves.merge(points["rate"].reset_index())  # the curves at the best base rate of each
chosen["epoch"] = chosen["step"] // experiment.protocol.report
colors = dict(zip(points.index, style.sequence("lam", len(points)), strict=True))


def geometric_mean(column):
    """Over the ten seeds, by heads and epoch; each value is already one over the entries of A."""
    return np.exp(np.log(chosen[column]).groupby([chosen["heads"], chosen["epoch"]]).mean())


def label_heads(ax, ends):
    """Numbers of blocks at the ends of their curves."""
    style.label_ends(ax, [(end, f"{heads}", colors[heads]) for heads, end in ends.items()])


# %% tags=["hide-input"] mystnb={"figure": {"caption": "On one teacher, too, more blocks lower the loss and raise the effective rates. A: loss, mean and standard error of ten seeds at the best base rate, at which none diverged; dotted: the zero predictor; grey diamonds: the paper. B: geometric mean of Adam's effective rate over the entries of $A$ and ten seeds, as the paper defines it. C, ours: the same without the first moment. Numbers at the curves: blocks.", "name": "fig-11"}, "image": {"alt": "Three plots. A: the loss falls from 0.27 with one block to 0.03 with 4, 0.012 with 8 and 0.007 with 32, all far below the zero predictor. B: after a few epochs the curves of 1, 2 and 4 blocks run together near three millionths; those of 8, 16 and 32 blocks lie higher by a factor of five to seven each; all fall steeply in the last quarter. C: the same order, ten to twenty times higher."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 3), layout="constrained")
axes[0].errorbar(points.index, points["loss"], points["error"], fmt="o-", ms=4, color="0.25")
mark_survivors(axes[0], points.index, points["loss"], points)
axes[0].axhline(points["zero_loss"].iloc[0], color="0.6", ls=":")
axes[0].plot(theirs["A"]["heads"], theirs["A"]["loss"], **style.PAPER)
axes[0].set_xscale("log", base=2)
axes[0].set_xticks(points.index, points.index)
axes[0].set(yscale="log", xlabel="blocks (heads)", title="A: loss")
kinds = [("effective", "B: effective rate")]
kinds += [("effective_plain", "C: no first moment")]
for ax, (column, title) in zip(axes[1:], kinds, strict=True):
    means = geometric_mean(column)
    for heads in points.index:
        ax.semilogy(means[heads], color=colors[heads])
    ax.set(xlabel="epoch", title=title)
    for heads in (8, 16, 32):
        ax.text(45, 1.15 * means[heads][45], heads, color=colors[heads], va="bottom", ha="center")
    ax.text(45, 0.5 * means[1][45], "1, 2, 4", color=colors[2], va="top", ha="center")

# %% [markdown]
# **A.** More blocks mean a smaller loss, but on this teacher the fall has no break at blocks of 4 x 4: it is largest
# between 2 blocks and 4. With 32 blocks all ten seeds end on the plateau of the blocks of [Figure 3](fig03.ipynb): they
# are the same runs. The paper's students with 16 and 32 blocks, on its own teacher, reach losses more than a hundred
# times lower. **B.** From 8 blocks on, each doubling multiplies the effective rate by five to seven. **C** is what one
# would call the step size.

# %% [markdown]
# ## What is measured
# Teacher, data and optimiser are those of [Figure 3](fig03.ipynb), $\nu_0 = 0.99$. We differ as there: a stored
# teacher, and the exact loss of a minibatch without unrolling the recurrence. An epoch has 100 steps; the paper calls
# epochs steps (erratum 20).

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the grid, and when and where it was computed", "code_prompt_hide": "Hide"}
print(provenance(frame))
settings(experiment).style.hide(axis="index")

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the numbers of A, and those of B and C after half of the steps", "code_prompt_hide": "Hide the table"}
table = points[["rate", "loss", "error"]].assign(
    **{
        "loss / zero loss": points["loss"] / points["zero_loss"],
        "diverged": points["diverged"],
        "diverged in the grid": frame.groupby("heads")["diverged"].sum(),
        "effective rate": geometric_mean("effective").xs(50, level="epoch"),
        "step size": geometric_mean("effective_plain").xs(50, level="epoch"),
        "negative": chosen[chosen["epoch"] == 50].groupby("heads")["negative"].mean(),
    }
)
numbers = ["loss", "error", "loss / zero loss", "effective rate", "step size"]
table.style.format(dict.fromkeys(numbers, "{:.2e}") | {"rate": "{:g}", "negative": "{:.1%}"})

# %% [markdown]
# ## Erratum 24: rates that fall late
# In the last epochs of panel B effective rates fall. That is no reversal: they fall because the base rate does. Divided
# by the schedule, they rise to the end:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Divided by the schedule, effective rates rise to the end. The curves of panel B over the base rate that the cosine schedule has at each step. Numbers at the curves: blocks.", "name": "fig-11-schedule"}, "image": {"alt": "Effective rate over scheduled rate against epoch, logarithmic, one curve for each number of blocks. After a dip in the first ten epochs all curves rise to the end; 16 and 32 blocks lie highest, 4 blocks lowest."}}
protocol = experiment.protocol
steps = np.arange(1, 101) * protocol.report - 1
cosine = 0.5 * (1 + np.cos(np.pi * steps / protocol.steps))
fig, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
means, ends = geometric_mean("effective"), {}
for heads in points.index:
    rate = protocol.final_rate + (points["rate"][heads] - protocol.final_rate) * cosine
    ax.semilogy(means[heads].index, means[heads] / rate, color=colors[heads])
    ends[heads] = means[heads].iloc[-1] / rate[-1]
ax.set(xlabel="epoch", ylabel="effective / scheduled rate")
label_heads(ax, ends);

# %% [markdown]
# ## Erratum 15: two grids, two numbers
# The base rates of Figure 11 leave out 0.00032. So the one-block student is not the RNN of Figure 3, although only the
# grid differs:

# %% tags=["hide-input"]
rnn = best(experiments.load("fig03a").query("student == 'rnn' and nu0 == .99"), ["student"])
for figure, point in [(3, rnn.iloc[0]), (11, points.loc[1])]:
    loss, error = point["loss"], point["error"]
    print(f"Figure {figure}: rate {point['rate']:g}, loss {loss:.2f} ± {error:.2f}")

# %% [markdown]
# ## Six students, trained here
# One seed, one base rate, a fifth of the steps:

# %% tags=["hide-input"]
small = experiment.at("smoke" if scale == "smoke" else "book")
runs, protocol = small.runs(), small.protocol
ensemble = train([run.member(protocol.length) for run in runs], protocol, device=device)
summary = ensemble.summary()
took = f"{ensemble.seconds:.0f} seconds on {device}"
print(f"{len(runs)} students, {protocol.steps:,} steps each, {took}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "After a fifth of the steps the students with the most blocks are ahead. Mean loss of each epoch over the zero predictor's, of students trained in this notebook. Numbers at the curves: blocks.", "name": "fig-11-live"}, "image": {"alt": "Loss over the zero predictor's against steps, logarithmic, one curve for each number of blocks. Students with 16 and 32 blocks fall below 0.001; the one with 8 blocks to about 0.001, 2 blocks to 0.006; 1 and 4 blocks stay near 0.06."}}
fig, ax = plt.subplots(figsize=(7.2, 2.8), layout="constrained")
epochs = np.arange(1, protocol.steps // protocol.report + 1) * protocol.report
ends = {}
for run, curve, zero in zip(runs, summary.curve, summary.zero_loss, strict=True):
    ax.semilogy(epochs, curve / zero, color=colors[run.heads])
    ends[run.heads] = float(curve[-1] / zero)
ax.set(xlabel="step", ylabel="loss / zero predictor's")
label_heads(ax, ends);
