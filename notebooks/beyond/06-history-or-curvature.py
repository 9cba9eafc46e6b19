# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # History or curvature?
#
# **You will see** whether the effective rates that Adam's second moment $v$ shows at the end of training tell how
# curved the loss is there, or how training began. **You need** the effective rates of [Figure
# 4b](../figures/fig04b.ipynb) and [what $\beta_2$ alone does](04-beta2.ipynb). **Time** a few seconds; the runs are
# stored.
#
# Mostly how it began. With $\beta_2 = .999$, $\sqrt v$ is 6 to 110 times as large after 10,000 steps as the gradients
# that still arrive; in diagonal networks the first hundredth of all steps makes up 43 % to nearly all of $v$.

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
from rnnlib.lab import claims, experiments, statistics, style
from rnnlib.lab.claims import beyond

style.use()
runs = experiments.load("beyond_history")
betas, steps = (sorted(runs[name].unique()) for name in ("beta2", "step"))


def over_teachers(column, bar, beta2, step=steps[-1]):
    """Median over teachers of the mean of their runs; where a unit has died out there is none."""
    (student, start), keys = beyond.BARS[bar], ["student", "start", "beta2", "step"]
    rows = runs[(runs[keys] == [student, start, beta2, step]).all(axis=1)]
    means = rows.pivot(index="teacher", columns="seed", values=column).mean(axis=1)
    return statistics.median(means.fillna(0) if column == "first_hundredth" else means.dropna())


# %% tags=["hide-input"] mystnb={"figure": {"caption": "With a long memory, Adam's v does not follow the gradients. Root of v over the root mean square of the gradients of 32 fresh minibatches, median over a student's recurrent parameters and over eight teachers, against steps, by β₂. In the grey band the two agree to a factor of two.", "name": "fig-history"}, "image": {"alt": "Six panels, one a student, of the ratio on a logarithmic axis against steps from 10 to 10,000, five lines each. For .9 and .95 the lines end in the grey band in all panels. For .99 they rise up to 100 near step 300 and return. For .999 they end near 100 in all but the dense network from the ring, where they end at 6; in the complex diagonal network they reach 340 at step 1,000. For .9999 they rise to the end, to 16 there and to 370 to 1,000 elsewhere."}}
fig, axes = plt.subplots(2, 3, figsize=(7.2, 4.2), sharex=True, sharey=True, layout="constrained")
colors = style.sequence("time", len(betas))
for ax, (bar, (student, _)) in zip(axes.flat, beyond.BARS.items(), strict=True):
    ax.axhspan(0.5, 2, color="0.9", lw=0)
    ends = []
    for beta2, color in zip(betas, colors, strict=True):
        line = [10 ** over_teachers("ratio", bar, beta2, step).value for step in steps]
        ax.loglog(steps, line, color=color, marker="o", ms=3)
        ends.append((line[-1], f"{beta2:g}".lstrip("0"), color))
    ax.set_title(bar, color=style.COLORS[student])
    if ax in axes[:, 2]:
        style.label_ends(ax, ends)
fig.supylabel("root of v / gradients now", fontsize=10)
fig.supxlabel("step", fontsize=10)
axes[0, 2].annotate(r"$\beta_2$", (1.04, 1.06), xycoords="axes fraction");

# %% [markdown]
# Hypothesis 11 said that after 3,000 steps $\sqrt v$ is within a factor of two of the gradients. It fails: in the
# complex diagonal network $\sqrt v$ is still 310 times as large (150 to 360). With $\beta_2$ of .9 and .95 it is within
# a factor of 1.5 at the end, in every student.
#
# ## A memory of 1,000 steps, an effect of 10,000
# With $\beta_2 = .999$ Adam is said to average over the last 1,000 steps. That holds while gradients keep their size.
# After $t$ steps the first gradients have a weight of $\beta_2^t$, and $v$ averages squares:

# %%
beta2, t = 0.999, 10_000
weight = beta2**t / (1 - beta2**t)  # of the first steps, over that of all the others
print(f"After {t:,} steps, gradients {weight**-0.5:.0f} times larger at first still rule v.")

# %% [markdown]
# Losses fall by decades here, and gradients with them. How much of $v$ is history is known exactly, since $v$ is a sum
# over steps:
#
# $$v_t = \underbrace{\beta_2^{\,t-s}\, v_s}_{\text{steps } 1 \dots s} +
#         (1 - \beta_2) \sum_{u > s} \beta_2^{\,t-u} g_u^2 .$$

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Left: for β₂ of .999 or more, the first hundredth of all steps makes up most of v at the end for diagonal networks, but not for dense ones at .999. Right: the rates that Adam gives recurrent parameters at the end, over the base rate, for β₂ = .999: as v sets them (filled), and as the gradients of the moment would (open). Medians over recurrent parameters and eight teachers; bars: 95 % intervals.", "name": "fig-history-share"}, "image": {"alt": "Left: six lines of a share against five values of beta2. All are at 0 up to .99; at .999 they are at 0.02 and 0.06 for the dense networks and between 0.4 and 1 for blocks and diagonal ones; at .9999 between 0.4 and 1. Right: six rows; filled circles lie at 0.01 for the dense network from the ring, at 1 for the other and between 60 and 1,000 for the rest, open circles one to two decades to the right of them."}}
fig, (share, rates) = plt.subplots(1, 2, figsize=(7.2, 3), layout="constrained")
ends = []
for row, (bar, (student, _)) in enumerate(beyond.BARS.items()):
    color = style.COLORS[student]
    parts = [over_teachers("first_hundredth", bar, beta2).value for beta2 in betas]
    share.plot(range(len(betas)), parts, color=color, marker="o", ms=3)
    ends.append((parts[-1], bar, color))
    for column, fill in (("root_v", color), ("moment", "white")):
        e = over_teachers(column, bar, 0.999)
        low, value, high = 10 ** -np.array([e.high, e.value, e.low])
        look = {"fmt": "o", "ms": 5, "color": color, "mfc": fill}
        rates.errorbar(value, -row, xerr=[[value - low], [high - value]], **look)
share.set_xticks(range(len(betas)), [f"{beta2:g}".lstrip("0") for beta2 in betas])
share.set(xlabel=r"$\beta_2$", ylabel="share of v", title="from the first hundredth of steps")
share.set(ylim=(-0.1, 1.05), yticks=[0, 0.5, 1])
rates.set_yticks(-np.arange(len(beyond.BARS)), ["" for _ in beyond.BARS])
rates.tick_params(axis="y", length=0)
rates.set(xscale="log", xlabel="effective rate / base rate", title="at the end, β₂ = .999")
style.label_ends(share, ends);

# %% [markdown]
# So an effective rate at the end says first how large gradients were at the beginning. Sharp directions had the largest
# ones, and $v$ keeps their order: the rates of [Figure 4b](../figures/fig04b.ipynb) describe the landscape near the
# start. They are also too small, by the factor between filled and open circles, which is one reading of why a smaller
# $\beta_2$ [lowers every loss a hundredfold](04-beta2.ipynb). It is a reading, not a test: a smaller $\beta_2$ changes
# other things as well.
#
# <details>
# <summary>What is measured</summary>
#
# Six students train as in the paper, on eight teachers with two runs each, at one rate for all parameters, the middle
# one of the student's five. After 10, 30, ..., 10,000 steps the parameters are held, 32 minibatches that no training
# sees are drawn, and their gradients $g$ give $\sqrt{v_t / (1 - \beta_2^t)} \,/ \sqrt{\mathrm{E}\,g^2}$, which is 1 if
# gradients have always been as they are. At the end, with $\beta_2 = .999$, half to nearly all of $\mathrm{E}\,g^2$ is
# the noise of minibatches. With $\beta_2$ of .9 to .99 a unit can die out: its gradients, and its part of $v$, become
# zero, and the run has no ratio (35 of 3,360 rows).
#
# </details>

# %% tags=["hide-input"]
claims.hypotheses("11")

# %% [markdown]
# **The numbers:** [every student and step](../../rnnlib/lab/results/beyond_history.csv). [How to
# cite](01-is-it-adam.ipynb#how-to-cite-this-page).
