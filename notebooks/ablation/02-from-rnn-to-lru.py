# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # From RNN to LRU, one change at a time
#
# **You will see** the changes that turn a dense RNN into an LRU, what each brings on 32 teachers, alone and in every order, how far that hangs
# on the teacher, and the settings of every run. **You need** [Figure 3](../figures/fig03.ipynb) and, for how so many runs are possible,
# [one matrix for thousands of students](01-one-gram-matrix.ipynb). **Time** under a minute on a CPU: the numbers are stored results of
# full runs, and seven students train here.

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
import dataclasses, itertools
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rnnlib.lab import claims, experiments, statistics, style, systems
from rnnlib.lab.claims.measures import cross_fitted_runs, decades
from rnnlib.lab.experiments.analysis import provenance, settings
from rnnlib.lab.paper_values import paper_values
from rnnlib.lab.training import Protocol, train

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    names = ["fig03a", "fig03b", "fig10d", "fig03a_teachers", "fig03b_teachers", "fig03b_corrected"]
    every = [experiments.get(name) for name in names]
    experiments.run_all(every, "paper", device=device, progress=False)

# %% [markdown]
# ## The students
# Each is linear, with a scalar input $x$ and output $y$, and comes from the one before by one idea. The paper's step 4 changes three things
# at once, which are taken apart below: the eigenvalues start on the teacher's ring instead of from $\nu_0 = 0$ (erratum 13), input and
# output weights have other scales (16), and eigenvalues become complex numbers. 64 complex numbers are as many real ones as the 128 units before.
# Step 6 stores both $\lambda$ and $\gamma$ through $\omega$:
#
# 1. **RNN**: $h_t = A h_{t-1} + B x_t$, $y_t = C h_t + D x_t$, 64 units, all of $A$ learned.
# 2. **Block diagonal**: $A$ is 32 blocks of $2 \times 2$. Each holds one pair of complex eigenvalues, or two real ones.
# 3. **More neurons**: 64 such blocks, so as many pairs as the students below have eigenvalues.
# 4. **Complex numbers**: 64 complex eigenvalues $\lambda$, stored as real and imaginary parts, and $y_t = \mathrm{Re}(C h_t) + D x_t$.
# 5. **Gamma norm.**: each unit's input is multiplied by a learned $\gamma$.
# 6. **LRU**: $\lambda = e^{-e^{\omega_\nu} + i e^{\omega_\theta}}$ and $\gamma = e^{\omega_\gamma}$ are learned through $\omega$.
#
# ## What each step brings
# 32 teachers at $\nu_0 = .99$, two runs of each student; a run's rate is chosen by the other run on its teacher, and a run that diverges counts
# as the worst outcome.

# %% tags=["hide-input"]
BARS = {  # student: (its name, where it starts, blocks, experiment)
    "RNN": ("rnn", 0.0, 1, "fig03a_teachers"),
    "block diagonal": ("block", 0.0, 32, "fig03b_teachers"),
    "more neurons": ("block_wide", 0.0, 64, "fig03b_teachers"),
    "complex numbers": ("crnn", 0.99, 1, "fig03b_teachers"),
    "gamma norm.": ("crnn_gamma_real", 0.99, 1, "fig03b_teachers"),
    "LRU": ("lru", 0.99, 1, "fig03a_teachers"),
}


def losses(student, start, heads, name):
    """Decades of loss over the zero predictor's, a row a teacher."""
    return decades(name, student, start=start, heads=heads)


def shown(estimate):
    """An estimate in decades as a factor with its 95 % interval."""
    value, low, high = (10**end for end in (estimate.value, estimate.low, estimate.high))
    return f"{value:8.2g}  ({low:.2g} to {high:.2g})"


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The block-diagonal matrix is the one large step. Factor by which the loss falls from one student to the next, at $\\nu_0 = .99$. Dots: teachers; bars: median and 95 % interval of 32; below the line the change does harm. Real students start from $\\nu_0 = 0$ and $\\gamma$ where the authors' code starts it, as in the paper. Grey: the paper, one teacher.", "name": "fig-ablation-steps"}, "image": {"alt": "Five columns of dots on a logarithmic scale with a median and its interval. Block diagonal: median near 900, all dots above 1, from 2 to two million; the paper's marker at 23,000. More neurons: around 1. Complex numbers: median a third. Gamma normalisation: narrow, 1.7. LRU: median a third. The paper's markers of the last four lie between a half and two."}}
fig, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
theirs = [value for name, value in paper_values("fig03")["B"].items() if name != "nu0"]
for place, (before, after) in enumerate(itertools.pairwise(BARS)):
    fall = statistics.difference(losses(*BARS[before]), losses(*BARS[after]))
    color = style.COLORS[BARS[after][0].removesuffix("_real")]
    style.replicates(ax, place, fall, color=color, width=0.5, cap=7)
    paper = theirs[place] / theirs[place + 1]
    print(f"{after:16} {shown(statistics.median(fall))}  paper {paper:.2g}")
ax.plot(range(5), np.array(theirs[:-1]) / theirs[1:], **style.PAPER)
ax.axhline(1, color="0.6", lw=0.8)
ax.set_yscale("log")
ax.set_xticks(range(5), [name.replace(" ", "\n") for name in list(BARS)[1:]])
ax.set_ylabel("loss before / loss after")
ax.legend(fontsize="small");

# %% [markdown]
# The block-diagonal matrix brings a factor of 870 in the median (150 to 9,700), and something on every teacher. No other step of the paper
# brings a factor of two; two of them, to complex numbers and to the LRU, cost a factor of three. On the paper's one teacher they look neutral.
#
# ## One change at a time
# **Between more neurons and complex numbers.** Each of the three changes, alone, in the four settings of the two others:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A start on the teacher's ring costs, complex arithmetic helps, scales hardly matter. Factor by which the loss falls when one of the three changes of the paper's step 4 is made alone; four columns each: the settings of the two other changes. Dots: teachers; bars: median and 95 % interval of 32.", "name": "fig-ablation-cube"}, "image": {"alt": "Three groups of four columns of dots on a logarithmic scale. Start on the ring: all four medians below 1, from a sixth to a half. Scales of B and C: medians between 0.7 and 0.9. Complex arithmetic: medians between 1.3 and 3.5."}}
NAMES = [["block_wide", "crnn_block_maps"], ["block_wide_crnn_maps", "crnn"]]  # maps, arithmetic
cube = np.array(
    [
        [
            [losses(name, start, heads, "fig03b_teachers").mean(axis=1)
             for name, heads in zip(row, (64, 1), strict=True)]
            for row in NAMES
        ]
        for start in (0.0, 0.99)
    ]
)  # fmt: skip
CHANGES = ["start on the\nteacher's ring", "scales of\n$B$ and $C$", "complex\narithmetic"]
fig, ax = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
for axis, change in enumerate(CHANGES):
    before, after = (half.reshape(4, -1) for half in np.moveaxis(cube, axis, 0))
    for setting, pair in enumerate(zip(before, after, strict=True)):
        gain = statistics.difference(*pair)
        x = axis + 0.2 * (setting - 1.5)
        style.replicates(ax, x, gain, color="0.25", width=0.12, cap=7)
        print(f"{change.replace(chr(10), ' '):28} {shown(statistics.median(gain))}")
ax.axhline(1, color="0.6", lw=0.8)
ax.set_yscale("log")
ax.set_xticks(range(3), CHANGES)
ax.set_ylabel("loss before / loss after");

# %% [markdown]
# What step 4 costs comes from the start on the teacher's ring, which costs a factor of two to six in every setting; complex
# arithmetic by itself is worth a factor of one to three and a half, scales of the maps next to nothing. So a complex RNN that starts from
# $\nu_0 = 0$ is better than "more neurons", although the one of the paper, on the ring, is worse.
#
# **From complex numbers to the LRU.** Input scale first, or the exponential parametrisation first:

# %% tags=["hide-input"]
ORDERS = [["crnn", "crnn_gamma", "lru"], ["crnn", "crnn_exp", "lru"]]
for names in ORDERS:
    for before, after in itertools.pairwise(names):
        pair = [
            decades("fig03a_teachers" if name == "lru" else "fig03b_teachers", name)
            for name in (before, after)
        ]
        step = f"{experiments.LABELS[before]} → {experiments.LABELS[after]}"
        print(f"{step:42} {shown(statistics.paired_median(*pair))}")

# %% [markdown]
# The input scale, from its right start, is worth a factor of seven; the exponential parametrisation then costs ten. In the other order
# both change little. In this task, with its rates tuned, the best student is a complex RNN with input scale in plain coordinates, not the LRU: what the
# exponential parametrisation brings here is tolerance of the rate ([below](#the-base-rate)).
#
# **Where students start.** $\gamma$ from $\sqrt{1 - |\lambda|^2}$ or as in the authors' code (erratum 4), real students from $\nu_0 = 0$ or the teacher's
# ring (13), maps from truncated normals as the paper's text and code draw them, or from plain ones as all others here (25):

# %% tags=["hide-input"]
PAIRS = {
    "gamma norm., right over authors' start": (
        ("crnn_gamma", 0.99, 1),
        ("crnn_gamma_real", 0.99, 1),
    ),
    "RNN, ring over 0": (("rnn", 0.99, 1), ("rnn", 0.0, 1)),
    "block diagonal, ring over 0": (("block", 0.99, 32), ("block", 0.0, 32)),
    "more neurons, ring over 0": (("block_wide", 0.99, 64), ("block_wide", 0.0, 64)),
    "RNN, truncated over plain": (("rnn_truncated", 0.0, 1), ("rnn", 0.0, 1)),
    "LRU, truncated over plain": (("lru_truncated", 0.99, 1), ("lru", 0.99, 1)),
}
for label, pair in PAIRS.items():
    in_a = [("rnn", 0.0, 1), ("lru", 0.99, 1)]
    both = [losses(*of, "fig03a_teachers" if of in in_a else "fig03b_teachers") for of in pair]
    print(f"{label:42} {shown(statistics.paired_median(*both))}")

# %% [markdown]
# The right start of $\gamma$ is better by a factor of three to five: where it starts does matter. Every real student is worse from the
# teacher's ring, the dense RNN most. Truncated normals change nothing beyond a factor of two.

# %% [markdown]
# ## Tables 1 to 3
# What the paper's Tables 1 (Figure 3A), 2 (Figure 3B) and 3 ([Figure 10D](../figures/fig10.ipynb)) list, printed from the definitions that
# ran. All train for 10,000 steps of Adam with a cosine schedule, on 128 fresh sequences of 300 steps each time. Where γ of "gamma norm."
# starts in the authors' code is an erratum (4), and so is that the real students start from $\nu_0 = 0$ whatever the caption says (13).

# %%
names = {"Table 1": "fig03a", "Table 2": "fig03b", "Table 3": "fig10d"}
tables = {table: settings(experiments.get(name)) for table, name in names.items()}
pd.concat(tables, names=["", None]).reset_index(level=0).style.hide(axis="index")

# %% [markdown]
# The runs on 32 teachers. Cells in which more than one choice in twenty lay at an end of the rates got more rates, once (the experiments
# called "wider"):

# %%
names = ["fig03a_teachers", "fig03a_wider", "fig03b_teachers", "fig03b_wider"]
settings(*map(experiments.get, names)).style.hide(axis="index")

# %%
runs = pd.concat([cross_fitted_runs(name) for name in ("fig03a_teachers", "fig03b_teachers")])
at_ends = runs.groupby(level=["student", "start", "nu0"])["edge"].mean()
share, most = runs["edge"].mean(), at_ends.max()
print(f"Choices at an end of the rates: {share:.1%}; at most {most:.1%} of a cell's")
for name in names:
    print(provenance(experiments.load(name)))

# %% [markdown]
# ## What a teacher asks for
# A block of $2 \times 2$ that starts as a pair of complex eigenvalues must split to become two real ones. Does the step to complex
# numbers bring more where the teacher has more real eigenvalues? Each teacher at $\nu_0 = .99$, with its ten eigenvalues:

# %%
means = {name: losses(*bar).mean(axis=1) for name, bar in BARS.items()}
rows = []
for index in range(systems.TEACHERS):
    lam = np.linalg.eigvals(systems.teacher(index, 0.99).A)
    on_axis = lam[np.abs(lam.imag) < 1e-9].real
    rows.append({"teacher": index, "real": len(on_axis), "of them positive": (on_axis > 0).sum()})
teachers = pd.DataFrame(rows).set_index("teacher")
block = means["block diagonal"]
teachers["RNN / block"] = statistics.difference(means["RNN"], block)
teachers["block / complex"] = statistics.difference(block, means["complex numbers"])
ranks = teachers.rank()
for count in ["real", "of them positive"]:
    for fall in ["RNN / block", "block / complex"]:
        print(f"rank correlation of '{count}' and '{fall}': {ranks[count].corr(ranks[fall]):.2f}")
by_positive = teachers.groupby("of them positive")[["RNN / block", "block / complex"]]
by_positive.agg(["median", "count"]).style.format(precision=2)

# %% [markdown]
# Hardly. The number of real eigenvalues, or of positive ones, orders neither step beyond a weak tendency: the more eigenvalues are
# positive, the less blocks bring. Teacher 0, which serves all seeds in this book's runs of the paper's protocol, is an exception: it has four positive
# eigenvalues within .01 of 1, more than any other, and is the one on which complex numbers bring a factor of more than a hundred. The second large
# drop of [the paper's protocol](../figures/fig03b.ipynb) on it belongs to that teacher.

# %% [markdown]
# ## The base rate
# An RNN is not only worse at its best rate, fewer rates serve it. Ten of the teachers, one run each, at nine rates: median, and how many
# diverged:

# %% mystnb={"figure": {"caption": "Above: loss over the zero predictor's against the base rate of Adam at $\\nu_0 = .99$, median and quartiles of ten teachers (diverged or above the zero predictor: 1). Below: share of runs that diverged.", "name": "fig-ablation-rates"}, "image": {"alt": "Above: five curves of loss against base rate with bands. The RNN is lowest near .0001 and rises to 1 at .0032. Block diagonal, complex numbers and gamma normalisation are lowest at .0032, more than a decade lower, and reach 1 at .032 or .1. The LRU is nearly flat from .001 to .01 and rises last. Below: the share of diverged runs rises to 1 between .001 and .032 for the RNN, between .01 and .1 for the three others, and stays 0 for the LRU."}}
fig, axes = plt.subplots(
    2, 1, figsize=(6.4, 4), sharex=True, height_ratios=[3, 1], layout="constrained"
)
frame, real = experiments.load("fig03b_corrected"), ["rnn", "block", "block_wide"]
for student in ["rnn", "block", "crnn", "crnn_gamma", "lru"]:
    start = 0.0 if student in real else 0.99
    mine = frame[(frame["student"] == student) & (frame["start"] == start)]
    ratio = np.fmin(mine["loss"] / mine["zero_loss"], 1)  # 1 also where there is no loss: diverged
    ratio = ratio.groupby(mine["rate"])
    color = style.COLORS[student]
    axes[0].plot(ratio.median(), "o-", ms=3, color=color, label=experiments.LABELS[student])
    low, high = ratio.quantile(0.25), ratio.quantile(0.75)
    axes[0].fill_between(low.index, low, high, color=color, alpha=0.15)
    axes[1].plot(mine.groupby("rate")["diverged"].mean(), "o-", ms=3, color=color)
axes[0].set(xscale="log", yscale="log", ylabel="loss / zero predictor's")
axes[1].set(xlabel="base rate", ylabel="diverged", ylim=(-0.05, 1.05))
axes[0].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1));

# %% [markdown]
# By what factor the median grows when the rate is ten times the best one, and how many of the 90 runs of the grid diverge:

# %%
for student in ["rnn", "block", "crnn", "crnn_gamma", "crnn_exp", "lru"]:
    start = 0.0 if student in real else 0.99
    mine = frame[(frame["student"] == student) & (frame["start"] == start)]
    medians = np.fmin(mine["loss"] / mine["zero_loss"], 1).groupby(mine["rate"]).median()
    rate = medians.idxmin()
    beyond = medians[medians.index > 9 * rate].iloc[0]
    print(f"{experiments.LABELS[student]:22} best rate {rate:<8g} at ten times as much "
          f"{beyond / medians[rate]:8.2g} times the loss; {mine['diverged'].sum()} diverge")

# %% [markdown]
# The RNN's best rate is thirty times smaller than the others', and from .0032 on it diverges or ends near the zero predictor. No LRU diverges
# here (three of 400 do in [Figure 10](../figures/fig10.ipynb), at rates from .32), and a rate ten times too large costs it a factor of about
# ten, where it costs complex numbers and blocks six to seven decades. The exponential parametrisation without $\gamma$ is as tolerant, from a worse
# loss. That, more than the loss at the best rate, is what this parametrisation brings in this experiment.

# %% [markdown]
# ## Live: the whole ladder on a teacher of your choice
# 32 teachers are stored, 0 to 31. All six students and the exponential parametrisation without $\gamma$, a fifth of the steps, one seed:

# %%
index = 1
rates = {"rnn": 0.00032, "block": 0.0032, "block_wide": 0.0032, "crnn": 0.0032}
rates |= {"crnn_gamma": 0.0032, "crnn_exp": 0.0032, "lru": 0.01}
protocol = Protocol(steps=2_000)
if scale == "smoke":
    protocol = Protocol(steps=20, report=5, batch=8, length=40)
members = []
runs = [run for run in experiments.get("fig03b_corrected").runs() if run.seed == 0]
first = {run.student: run for run in reversed(runs)}  # real students: from 0
for name, rate in rates.items():
    run = dataclasses.replace(first[name], teacher=index, rate=rate)
    members.append(run.member(protocol.length))
ensemble = train(members, protocol, device=device)
summary = ensemble.summary()
took = f"{ensemble.seconds:.0f} seconds on {device}"
print(f"{len(members)} students, {protocol.steps:,} steps each, {took}")
for name, ratio in zip(rates, summary.loss / summary.zero_loss, strict=True):
    print(f"{experiments.LABELS[name]:22} loss / zero predictor's {ratio:.1e}")

# %% [markdown]
# ## What the paper claims, and what we measure
# The rows about the ablation; all of Figure 3's are [on its page](../figures/fig03.ipynb#what-the-paper-claims-and-what-we-measure).

# %%
about_b = [claim.name for claim in claims.CLAIMS if claim.statement.startswith("B:")]
claims.table(*(name for name in about_b if name.startswith("fig03")))

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: one teacher
# *Predict, then run. Medium.* The paper has one teacher. Take the factor from block diagonal to complex numbers on each of the 32. How often does
# a single teacher, drawn at random, give a factor whose sign on a logarithmic scale is not that of the median? And how far do the arithmetic mean and the median move
# when the teacher with the largest factor is left out?
#
# <details>
# <summary>Solution 1</summary>
#
# One teacher in three says the opposite of the median: with one teacher, the sign of this step is close to a coin's. The arithmetic mean says that
# complex numbers help by a factor of 59, and is carried by one teacher: without it, 11. The median says that they cost a factor of two, with and
# without.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
falls = statistics.difference(means["block diagonal"], means["complex numbers"])
against = np.mean(np.sign(falls) != np.sign(np.median(falls)))
without = np.delete(falls, falls.argmax())
print(f"{against:.0%} of single teachers say the opposite of the median")
for name, mean in {"arithmetic mean": np.mean, "median": np.median}.items():
    both = mean(10**falls), mean(10**without)
    print(f"{name:16} of factors {both[0]:8.3g}, without the largest {both[1]:8.3g}")
assert 0 < against < 0.5
assert np.mean(10**falls) / np.mean(10**without) > np.median(10**falls) / np.median(10**without)
