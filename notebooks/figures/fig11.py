# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 11: how small must blocks be?
#
# **You will see** an RNN of 64 units cut into more and more independent heads, the block size at which it learns a long memory, on
# 32 teachers, and the step sizes that Adam takes on the way. **You need** [Figure 3](fig03.ipynb). **Time** under a minute on a CPU: the figure shows stored
# results of the full experiment, and six students train here.

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
from rnnlib.lab import claims, experiments, style
from rnnlib.lab.claims.fig11 import effective_rates, losses
from rnnlib.lab.experiments.analysis import best, mark_survivors, provenance, settings
from rnnlib.lab.paper_values import paper_values
from rnnlib.lab.training import train

style.use()
experiment = experiments.get("fig11")
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    names = ["fig11", "fig11_teachers", "fig03a_teachers", "fig03b_teachers"]
    every = [experiments.get(name) for name in names]
    experiments.run_all(every, "paper", device=device, progress=False)

# %% [markdown]
# ## On 32 teachers
# The students are dense RNNs of [Figure 3](fig03.ipynb) whose matrix $A$ is block diagonal, from one block of 64 x 64 to 32 blocks of 2 x 2;
# $\nu_0 = .99$, two runs on each teacher. A: a run's rate is chosen by the other run on its teacher. B: Adam's effective rate holds the base rate as
# a factor (erratum 9), so it is compared at two fixed ones.

# %% tags=["hide-input"]
HEADS, theirs = [1, 2, 4, 8, 16, 32], paper_values("fig11")
ZERO = paper_values("fig03")["zero_loss_at_.99"]  # the same teacher

# %% tags=["hide-input"] mystnb={"figure": {"caption": "More heads, lower loss and larger effective rates. A: loss over the zero predictor's. B: mean effective rate of A after half of the steps, at two fixed base rates. Dots: teachers, two runs each; bars: median and 95 % interval of 32. Grey: the paper, one teacher.", "name": "fig-11-teachers"}, "image": {"alt": "Three plots against the number of heads. A: the median loss falls from 2e-4 with one and two heads to 4e-5 with 4, 4e-6 with 8, 3e-7 with 16 and 1e-7 with 32; the paper's markers lie near 5e-3 for one and two heads, 1e-3 for 8, and below 1e-6 for 16 and 32. B: effective rates rise with the heads, at base rate .0001 from 5e-6 to 5e-5, at .001 from 2e-6 to 5e-4."}}
fig, axes = plt.subplots(1, 3, figsize=(9.4, 3), width_ratios=[1.1, 1, 1], layout="constrained")
for place, heads in enumerate(HEADS):
    style.replicates(axes[0], place, losses(heads), color="0.25", width=0.5, cap=0)
    for ax, rate in zip(axes[1:], (0.0001, 0.001), strict=True):
        rows = effective_rates("effective", rate)[place]
        style.replicates(ax, place, rows, color="0.25", width=0.5)
        ax.set_title(f"B: effective rate at {rate:g}")
axes[0].plot(range(6), np.array(theirs["A"]["loss"]) / ZERO, **style.PAPER)
axes[0].axhline(1, color="0.6", ls=":")
axes[0].set_title("A: loss / zero predictor's")
for ax in axes:
    ax.set_xticks(range(6), HEADS)
    ax.set(yscale="log", xlabel="heads")
axes[0].legend(fontsize="small")
print(provenance(experiments.load("fig11_teachers")));

# %% [markdown]
# A: the loss falls with every doubling from two heads on; blocks of 4 x 4 are within a factor of three of those of 2 x 2 (1.5 to 5.8). The fall begins at 8
# heads, one doubling before the paper's. B: at a fixed base rate the effective rates rise with the number of heads, tenfold at .0001 and two
# hundredfold at .001; between one head and two the rise is within chance.

# %% [markdown]
# ## The paper's protocol: one teacher
# Teacher, data and optimiser are those of [Figure 3](fig03.ipynb), $\nu_0 = .99$. The students are dense RNNs whose matrix $A$ is block
# diagonal, from one block of 64 x 64 to 32 blocks of 2 x 2:

# %%
settings(experiment).style.hide(axis="index")

# %% [markdown]
# **Ours** differs as in Figure 3: a stored teacher, and the exact loss of a minibatch without unrolling the recurrence.

# %%
frame, curves = experiments.load("fig11"), experiments.load("fig11", "curves")
print(provenance(frame))

# %% [markdown]
# ## The figure
# Adam divides its step by a running root mean square of the gradient, so each parameter has a step size of its own. The paper's effective
# learning rate is the update that Adam would make next for a gradient of ones. That mixes in the first moment: it can be negative, and
# then it is left out of the geometric mean here (the paper floors it), and it saturates near $\sqrt{10}$ times the rate where past gradients
# are small beside 1 (erratum 9).
# Panel C is what one would call the step size, $\eta_t / (\sqrt{\hat v_t} + \epsilon)$. The axis shows epochs of 100 steps; the
# paper calls them steps (erratum 20).

# %%
points = best(frame, ["heads"]).set_index("heads")
chosen = curves.merge(points["rate"].reset_index())  # the curves at the best base rate of each
chosen["epoch"] = chosen["step"] // experiment.protocol.report


def geometric_mean(column):
    """Over the ten seeds, by heads and epoch; each value is already one over the entries of A."""
    return np.exp(np.log(chosen[column]).groupby([chosen["heads"], chosen["epoch"]]).mean())


# %% mystnb={"figure": {"caption": "A: loss against the number of heads, mean and standard error of ten seeds at the best base rate, at which none diverged; dotted: the zero predictor. B: geometric mean of Adam's effective learning rate over the entries of A and ten seeds, as the paper defines it. C: the same for the step size without the first moment.", "name": "fig-11"}, "image": {"alt": "Three plots. A: the loss falls from 0.27 with one head to 0.03 with 4, 0.012 with 8 and 0.007 with 32, all far below the zero predictor. B: after a few epochs the curves of 1, 2 and 4 heads run together near three millionths; those of 8, 16 and 32 heads lie higher by a factor of five to seven each; all fall steeply in the last quarter. C: the same order, ten to twenty times higher."}}
fig, axes = plt.subplots(1, 3, figsize=(9, 2.8), width_ratios=[1, 1, 1.25], layout="constrained")
axes[0].errorbar(points.index, points["loss"], points["error"], fmt="o-", ms=4, color="0.25")
mark_survivors(axes[0], points.index, points["loss"], points)
axes[0].axhline(points["zero_loss"].iloc[0], color="0.6", ls=":")
axes[0].plot(theirs["A"]["heads"], theirs["A"]["loss"], **style.PAPER)
axes[0].legend(fontsize="small")
axes[0].set_xscale("log", base=2)
axes[0].set_xticks(points.index, points.index)
axes[0].set(yscale="log", xlabel="heads", ylabel="loss", title="A")
kinds = [("effective", "B", "effective rate")]
kinds += [("effective_plain", "C (ours): no first moment", "step size")]
for ax, (column, title, label) in zip(axes[1:], kinds, strict=True):
    means = geometric_mean(column)
    for heads, color in zip(points.index, style.sequence("lam", len(points)), strict=True):
        ax.semilogy(means[heads], color=color, label=f"{heads} (rate {points['rate'][heads]:g})")
    ax.set(xlabel="epoch", title=title, ylabel=label)
axes[2].legend(title="heads", fontsize="small", loc="upper left", bbox_to_anchor=(1, 1));

# %% [markdown]
# A: more heads mean a smaller loss, but on this teacher without a break at blocks of 4 x 4: the largest fall is between 2 and 4 heads.
# With 32 heads all ten seeds end on the plateau of the blocks of [Figure 3](fig03.ipynb): they are the same runs. B: the effective rates of 8 heads and more are each five
# to seven times those of half as many.
#
# The numbers of panel A, and those of panel B after half of the steps:

# %%
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
# **Erratum 15.** The base rates leave out .00032, so the student with one head is not the RNN of Figure 3, although nothing but the grid
# differs. There, with its own grid:

# %%
rnn = best(experiments.load("fig03a").query("student == 'rnn' and nu0 == .99"), ["student"])
for figure, point in [(3, rnn.iloc[0]), (11, points.loc[1])]:
    loss, error = point["loss"], point["error"]
    print(f"Figure {figure}: rate {point['rate']:g}, loss {loss:.2f} ± {error:.2f}")

# %% [markdown]
# **Erratum 24.** In the last epochs of panel B effective rates fall. That is no reversal: they fall because the base rate
# does. Divided by the schedule, they rise to the end.

# %% mystnb={"figure": {"caption": "The effective rates of panel B, divided by the schedule.", "name": "fig-11-schedule"}, "image": {"alt": "Effective rate over scheduled rate against epoch, logarithmic, one curve for each number of heads. After a dip in the first ten epochs all curves rise to the end; 16 and 32 heads lie highest, 4 heads lowest."}}
protocol = experiment.protocol
steps = np.arange(1, 101) * protocol.report - 1
cosine = 0.5 * (1 + np.cos(np.pi * steps / protocol.steps))
fig, ax = plt.subplots(figsize=(5.4, 2.7), layout="constrained")
means = geometric_mean("effective")
for heads, color in zip(points.index, style.sequence("lam", len(points)), strict=True):
    rate = protocol.final_rate + (points["rate"][heads] - protocol.final_rate) * cosine
    ax.semilogy(means[heads].index, means[heads] / rate, color=color, label=f"{heads}")
ax.set(xlabel="epoch", ylabel="effective / scheduled rate")
ax.legend(title="heads", fontsize="small", loc="upper left", bbox_to_anchor=(1, 1));

# %% [markdown]
# ## Live: six students, trained here
# One seed, one base rate, a fifth of the steps. The loss of each epoch:

# %%
small = experiment.at("smoke" if scale == "smoke" else "book")
runs, protocol = small.runs(), small.protocol
ensemble = train([run.member(protocol.length) for run in runs], protocol, device=device)
summary = ensemble.summary()
took = f"{ensemble.seconds:.0f} seconds on {device}"
print(f"{len(runs)} students, {protocol.steps:,} steps each, {took}")

# %% mystnb={"figure": {"caption": "Mean loss of each epoch of students that train in this notebook, over the zero predictor's loss.", "name": "fig-11-live"}, "image": {"alt": "Loss over the zero predictor's against steps, logarithmic, one curve for each number of heads. Students with 16 and 32 heads fall below 0.001; the one with 8 heads to about 0.001, 2 heads to 0.006; 1 and 4 heads stay near 0.06."}}
fig, ax = plt.subplots(figsize=(5.4, 2.7), layout="constrained")
epochs = np.arange(1, protocol.steps // protocol.report + 1) * protocol.report
colors = dict(zip(points.index, style.sequence("lam", len(points)), strict=True))
for run, curve, zero in zip(runs, summary.curve, summary.zero_loss, strict=True):
    label = f"{run.heads}" if run.seed == 0 else None
    ax.semilogy(epochs, curve / zero, color=colors[run.heads], label=label)
ax.set(xlabel="step", ylabel="loss / zero predictor's")
ax.legend(title="heads", fontsize="small", loc="upper left", bbox_to_anchor=(1, 1));

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-11-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig11");

# %%
claims.table("fig11")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: how many blocks oscillate?
# *Derive. Medium.* A 2 by 2 block with independent normal entries has either two real eigenvalues or a conjugate pair. What is the
# probability of two real ones? (Write the discriminant with $a - d$, $b + c$ and $b - c$.) How many of 32 blocks start without any angle?
#
# <details>
# <summary>Solution 1</summary>
#
# The eigenvalues are real if $(a - d)^2 + 4bc > 0$, that is $(a-d)^2 + (b+c)^2 > (b-c)^2$. The three differences and sums are independent
# with the same variance, so a random direction on the sphere has to lie less than 45 degrees from the plane of the first two: its third
# coordinate, which is uniform in $[-1, 1]$, has to be below $1/\sqrt2$ in size. The probability is $1/\sqrt2 = .71$, so about 23 of 32 blocks start
# with real eigenvalues and have to find their angle first.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
a, b, c, d = np.random.default_rng(0).normal(size=(4, 1_000_000))
share = np.mean((a - d) ** 2 + 4 * b * c > 0)
print(f"{share:.4f} of a million blocks have real eigenvalues, 1 / sqrt 2 = {2**-0.5:.4f}")
assert abs(share - 2**-0.5) < 2e-3  # four standard errors
answer = [2**-0.5, 32 * 2**-0.5]  # the probability, and blocks of 32 without an angle
assert abs(answer[0] - 0.707) < 0.005, "real eigenvalues: (a - d)^2 + (b + c)^2 > (b - c)^2"
assert abs(answer[1] / answer[0] - 32) < 2, "of 32 blocks"
