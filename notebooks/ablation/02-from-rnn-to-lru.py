# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # From RNN to LRU, one change at a time
#
# **You will see** the five changes that turn a dense RNN into an LRU, with the settings of every run, what each change brings on ten
# teachers, and how far that hangs on the teacher. **You need** [Figure 3](../figures/fig03.ipynb) and, for how so many runs are possible,
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
from rnnlib.lab import claims, experiments, style, systems
from rnnlib.lab.experiments.analysis import best, held_out_runs, interval, provenance, settings
from rnnlib.lab.training import Protocol, train

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    names = ["fig03a", "fig03b", "fig10d", "fig03b_corrected"]
    every = [experiments.get(name) for name in names]
    experiments.run_all(every, "paper", device=device, progress=False)

# %% [markdown]
# ## The students
# Each is linear, with a scalar input $x$ and output $y$, and comes from the one before by one idea. Step 4 also halves the width, starts on the
# teacher's ring instead of at $\nu_0 = 0$ and scales the weights differently (errata 13, 16); step 6 stores both $\lambda$ and $\gamma$
# through $\omega$:
#
# 1. **RNN**: $h_t = A h_{t-1} + B x_t$, $y_t = C h_t + D x_t$, 64 units, all of $A$ learned.
# 2. **Block diagonal**: $A$ is 32 blocks of $2 \times 2$. Each holds one pair of complex eigenvalues, or two real ones.
# 3. **More neurons**: 64 such blocks, so as many pairs as the students below have eigenvalues.
# 4. **Complex numbers**: 64 complex eigenvalues $\lambda$, stored as real and imaginary parts, and $y_t = \mathrm{Re}(C h_t) + D x_t$.
# 5. **Gamma norm.**: each unit's input is multiplied by a learned $\gamma$.
# 6. **LRU**: $\lambda = e^{-e^{\omega_\nu} + i e^{\omega_\theta}}$ and $\gamma = e^{\omega_\gamma}$ are learned through $\omega$.
#
# The dense RNN has by far the most parameters:

# %%
STEPS = ["rnn", "block", "block_wide", "crnn", "crnn_gamma", "lru"]
runs = [run for run in experiments.get("fig03b_corrected").runs() if run.seed == 0]
first = {run.student: run for run in reversed(runs)}  # real students: from 0
for name in STEPS:
    weights = dict(first[name].member(1).layer.named_parameters())
    shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in weights.items())
    print(f"{experiments.LABELS[name]:16} {sum(w.numel() for w in weights.values()):5}  {shapes}")

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
# The corrected runs: a teacher for each of the ten seeds (erratum 5), one grid of rates for all (15), real students also from the
# teacher's ring (13), both starts of $\gamma$ (4).

# %%
settings(experiments.get("fig03b_corrected")).style.hide(axis="index")

# %%
frame = experiments.load("fig03b_corrected")
print(provenance(frame))

# %% [markdown]
# ## On the paper's protocol: one teacher
# By what factor the loss falls at each step: means over ten seeds, none of which diverged, at the base rate
# that is best on these seeds.

# %%
one = best(experiments.load("fig03b"), ["student"]).set_index("student")["loss"]
every = best(experiments.load("fig03a"), ["student", "nu0"])
one["rnn"] = every.query("student == 'rnn' and nu0 == .99")["loss"].item()
one = one.rename({"crnn_gamma_real": "crnn_gamma"})[STEPS]  # the authors' start of gamma
for before, after in itertools.pairwise(STEPS):
    print(f"{experiments.LABELS[after]:16} {one[before] / one[after]:6.1f}")

# %% [markdown]
# ## On ten teachers
# Each teacher's rate is chosen on the nine others, and a run that diverges, or ends above the zero predictor, counts as no better
# than predicting zero. The loss over the zero predictor's, geometric mean and 95 % interval over teachers, for real students from both rings:

# %%
chosen = held_out_runs(frame, ["student", "start"])
decades = np.log10(chosen.set_index(["student", "start", "seed"])["ratio"])
ORDER = [*STEPS[:5], "crnn_gamma_real", "crnn_exp", "lru"]
rows = {}
for (student, start), values in decades.groupby(["student", "start"]):
    mean, low, high = 10 ** np.array(interval(values))
    mine = frame[(frame["student"] == student) & (frame["start"] == start)]
    rates = chosen[(chosen["student"] == student) & (chosen["start"] == start)]
    rows[ORDER.index(student), -start] = {
        "student": experiments.LABELS[student],
        "starts from": start,
        "loss / zero loss": f"{mean:.1e}",
        "95 % interval": f"{low:.1e} to {high:.1e}",
        "rates": ", ".join(f"{rate:g}" for rate in sorted(rates["rate"].unique())),
        "diverged": rates["diverged"].sum(),
        "diverged in the grid": f"{mine['diverged'].sum()} of {len(mine)}",
    }
table = pd.DataFrame([rows[key] for key in sorted(rows)])
table.style.hide(axis="index").format({"starts from": "{:g}"})

# %% [markdown]
# What each change brings, on the same teacher before and after. "Largest on" counts the teachers on which the change brings more than each
# of the other four (for the last two, beside the steps from 0 and beside those from the ring). "Gamma norm." is
# the one with the right start of $\gamma$; the paper's bar has the authors' (erratum 4), and the last line is the step from there:

# %% mystnb={"figure": {"caption": "Factor by which the loss falls from one student to the next, at $\\nu_0 = .99$. Dots: teachers; bars: geometric mean and 95 % interval of ten; below the line the change does harm. Filled: real students start from $\\nu_0 = 0$, as in the paper; hollow: from the teacher's ring. $\\gamma$ starts from $\\sqrt{1 - |\\lambda|^2}$, not where the authors' code has it.", "name": "fig-ablation-steps"}, "image": {"alt": "One column of dots with a mean and its interval for each of five steps, on a logarithmic scale; two columns where real students are involved. To block diagonal: means above a hundred from 0 and above ten thousand from the ring, all dots above 1. To more neurons, to complex numbers and to gamma normalisation: means within a factor of ten of 1, with single dots far away. To LRU: mean near a tenth."}}
real = ["rnn", "block", "block_wide"]
falls = {
    ring: pd.DataFrame(
        {
            after: decades[before, ring if before in real else 0.99]
            - decades[after, ring if after in real else 0.99]
            for before, after in itertools.pairwise(STEPS)
        }
    )
    for ring in [0.0, 0.99]
}
fig, ax = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
for place, (before, after) in enumerate(itertools.pairwise(STEPS)):
    for ring in [0.0, 0.99] if before in real else [0.99]:
        fall = falls[ring][after].to_numpy()
        mean, low, high = 10 ** np.array(interval(fall))
        x, color = place + 0.3 * (ring - 0.5 if before in real else 0), style.COLORS[after]
        ax.plot(x - 0.1 + 0 * fall, 10**fall, ".", color=color, alpha=0.5)
        look = {"mfc": "white" if ring and before in real else color, "color": color, "capsize": 3}
        ax.errorbar(x, mean, [[mean - low], [high - mean]], fmt="o", **look)
        label = f"{experiments.LABELS[after]}, from {'the ring' if ring else '0'}"
        rings = [ring] if before in real else falls
        largest = ", ".join(str((falls[r].idxmax(axis=1) == after).sum()) for r in rings)
        print(f"{label:30} {mean:8.2g}  ({low:.2g} to {high:.2g})  largest on {largest}")
from_theirs = (decades["crnn_gamma_real", 0.99] - decades["lru", 0.99]).to_numpy()
mean, low, high = 10 ** np.array(interval(from_theirs))
print(f"{'LRU, from the authors’ start':30} {mean:8.2g}  ({low:.2g} to {high:.2g})")
assert [(falls[ring].idxmax(axis=1) == "block").sum() for ring in falls] == [7, 9]
ax.axhline(1, color="0.6", lw=0.8)
ax.set_yscale("log")
ticks = ["block\ndiagonal", "more\nneurons", "complex\nnumbers", "gamma\nnorm.", "LRU"]
ax.set_xticks(range(5), ticks)
ax.set_ylabel("loss before / loss after");

# %% [markdown]
# The block-diagonal matrix is the large step on average, from either ring, as the paper says, and a gain on every teacher (1.8 to 84,000
# from 0, in the next table). It is the largest of the five on seven teachers from 0 and on nine from the ring. What follows it is small on average: no later
# step brings a factor of ten on average, and the last, from "gamma norm." to the LRU, costs one here (3.4 from the
# authors' start of $\gamma$). The dense RNN is better off from
# $\nu_0 = 0$ than from the teacher's ring, where it diverges at all but the smallest rates; so a start on the ring, which the
# captions of the paper announce, would have made the gap larger.

# %% [markdown]
# ## What a teacher asks for
# A block of $2 \times 2$ that starts as a pair of complex eigenvalues must split to become two real ones. Does the step to complex
# numbers bring more where the teacher has more real eigenvalues? Each teacher at $\nu_0 = .99$, with its ten eigenvalues:

# %%
rows = []
for index in range(systems.TEACHERS):
    lam = np.linalg.eigvals(systems.teacher(index, 0.99).A)
    on_axis = lam[np.abs(lam.imag) < 1e-9].real
    rows.append(
        {
            "teacher": index,
            "real": len(on_axis),
            "of them positive": (on_axis > 0).sum(),
            "rnn": 10 ** decades["rnn", 0.0, index],
            "block": 10 ** decades["block", 0.0, index],
            "crnn": 10 ** decades["crnn", 0.99, index],
            "RNN / block": 10 ** (decades["rnn", 0.0, index] - decades["block", 0.0, index]),
            "block / complex": 10 ** (decades["block", 0.0, index] - decades["crnn", 0.99, index]),
        }
    )
teachers = pd.DataFrame(rows).set_index("teacher")
ranks = teachers.rank()
for count in ["real", "of them positive"]:
    for fall in ["RNN / block", "block / complex"]:
        others = teachers.drop(0).rank()  # see below
        print(f"rank correlation of '{count}' and '{fall}': {ranks[count].corr(ranks[fall]):.2f},",
              f"without teacher 0 {others[count].corr(others[fall]):.2f}")
teachers.style.format("{:.1e}", subset=["rnn", "block", "crnn"]).format(
    "{:.3g}", subset=["RNN / block", "block / complex"]
)

# %% [markdown]
# Teacher 0, the one teacher of the paper's protocol in this book, is the exception: six of its eigenvalues are real, four of them positive and
# within .01 of 1. On it complex numbers bring a factor of a hundred or more; on the nine others they bring little or do harm. The second
# large drop of [Figure 3](../figures/fig03.ipynb) belongs to that teacher. Among the nine others the number of real eigenvalues orders the
# step to complex numbers weakly, if at all (rank correlation $-.43$), and not in the direction of the question. Of the four correlations
# over all ten the clearest is another: the more eigenvalues are positive, the less blocks bring ($-.74$).

# %% [markdown]
# ## The base rate
# An RNN is not only worse at its best rate, fewer rates serve it. Median over the ten teachers, and how many diverged:

# %% mystnb={"figure": {"caption": "Above: loss over the zero predictor's against the base rate of Adam at $\\nu_0 = .99$, median and quartiles of ten teachers (diverged or above the zero predictor: 1). Below: share of runs that diverged.", "name": "fig-ablation-rates"}, "image": {"alt": "Above: five curves of loss against base rate with bands. The RNN is lowest near .0001 and rises to 1 at .0032. Block diagonal, complex numbers and gamma normalisation are lowest at .0032, more than a decade lower, and reach 1 at .032 or .1. The LRU is nearly flat from .001 to .01 and rises last. Below: the share of diverged runs rises to 1 between .001 and .032 for the RNN, between .01 and .1 for the three others, and stays 0 for the LRU."}}
fig, axes = plt.subplots(
    2, 1, figsize=(6.4, 4), sharex=True, height_ratios=[3, 1], layout="constrained"
)
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
# Ten teachers are stored, 0 to 9. All six students and the exponential parametrisation without $\gamma$, a fifth of the steps, one seed:

# %%
index = 1
rates = {"rnn": 0.00032, "block": 0.0032, "block_wide": 0.0032, "crnn": 0.0032}
rates |= {"crnn_gamma": 0.0032, "crnn_exp": 0.0032, "lru": 0.01}
protocol = Protocol(steps=2_000)
if scale == "smoke":
    protocol = Protocol(steps=20, report=5, batch=8, length=40)
members = []
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
rows = claims.evaluate("fig03")
rows = rows[rows["claim"].str.startswith("B")]
columns = ["claim", "accepted", "measured", "verdict"]
rows[columns].style.hide(axis="index").format(precision=3)

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: one teacher in ten
# *Predict, then run. Medium.* On teacher 0, the step from blocks (from $\nu_0 = 0$) to complex numbers brings a factor of almost 300. Leave this
# teacher out. By what factor do the geometric mean, the arithmetic mean and the median of the ten factors change? Predict which of them
# moves most, and on which side of 1 each of them stands before and after.
#
# <details>
# <summary>Solution 1</summary>
#
# With $n$ teachers, leaving out the factor $f_0$ multiplies the geometric mean $m$ by $(m / f_0)^{1/(n-1)}$, here about one half: from slightly
# below 1 to clearly below. The arithmetic mean falls from 30 to about 1.2; it was almost only
# teacher 0's tenth. The median moves by no more than to its neighbour, and stays at .4. So the arithmetic mean says that complex numbers help,
# the two others that they do not, of the same ten runs.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
falls = 10 ** (decades["block", 0.0] - decades["crnn", 0.99])
without = falls.drop(0)
means = {
    "geometric mean": lambda f: np.exp(np.log(f).mean()),
    "arithmetic mean": np.mean,
    "median": np.median,
}
for name, mean in means.items():
    print(f"{name:16} all {mean(falls):6.2f}, without teacher 0 {mean(without):6.2f}")
change = means["geometric mean"](without) / means["geometric mean"](falls)
assert np.isclose(change, (means["geometric mean"](falls) / falls[0]) ** (1 / 9))
assert 0.4 < change < 0.6 and means["arithmetic mean"](falls) / np.mean(without) > 10
