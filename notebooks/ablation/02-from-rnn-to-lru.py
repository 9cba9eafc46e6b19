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
import importlib.util, subprocess, sys

if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    source = "git+https://github.com/OWNER/REPOSITORY"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from rnnlib import claims, experiments, style, teacher
from rnnlib.experiments.analysis import best, held_out_runs, interval, provenance, settings
from rnnlib.training import Protocol, train

style.use()
scale = experiments.scale_from_environment()
if scale == "paper":  # recompute everything
    names = ["fig03a", "fig03b", "fig10d", "fig03b_corrected"]
    experiments.run_all([experiments.get(name) for name in names], "paper", progress=False)

# %% [markdown]
# ## The students
# Each is linear, with a scalar input $x$ and output $y$, and differs from the one before in one thing:
#
# 1. **RNN**: $h_t = A h_{t-1} + B x_t$, $y_t = C h_t + D x_t$, 64 units, all of $A$ learned.
# 2. **Block diagonal**: $A$ is 32 blocks of $2 \times 2$. Each holds one pair of complex eigenvalues, or two real ones.
# 3. **More neurons**: 64 such blocks, so as many pairs as the students below have eigenvalues.
# 4. **Complex numbers**: 64 complex eigenvalues $\lambda$, stored as real and imaginary parts, and $y_t = \mathrm{Re}(C h_t) + D x_t$.
# 5. **Gamma norm.**: each unit's input is multiplied by a learned $\gamma$.
# 6. **LRU**: $\lambda = e^{-e^{\omega_\nu} + i e^{\omega_\theta}}$ and $\gamma = e^{\omega_\gamma}$ are learned through $\omega$.
#
# The gain of step 4 is not the number of parameters:

# %%
STEPS = ["rnn", "block", "block_wide", "crnn", "crnn_gamma", "lru"]
first = {run.student: run for run in experiments.get("fig03b_corrected").runs() if run.seed == 0}
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
# By what factor the loss falls at each step: means over ten seeds, at the base rate that is best on these seeds.

# %%
one = best(experiments.load("fig03b"), ["student"]).set_index("student")["loss"]
one["rnn"] = best(experiments.load("fig03a"), ["student", "nu0"]).query("student == 'rnn'")["loss"].iloc[-1]
one = one.rename({"crnn_gamma_real": "crnn_gamma"})[STEPS]  # the authors' start of gamma
for before, after in zip(STEPS, STEPS[1:]):
    print(f"{experiments.LABELS[after]:16} {one[before] / one[after]:6.1f}")

# %% [markdown]
# ## On ten teachers
# Each teacher's rate is chosen on the nine others, and a run that diverges counts as no better than predicting zero. The loss over the
# zero predictor's, geometric mean and 95 % interval over teachers, for real students from both rings:

# %%
chosen = held_out_runs(frame, ["student", "start"])
decades = np.log10(chosen.set_index(["student", "start", "seed"])["ratio"])
ORDER = ["rnn", "block", "block_wide", "crnn", "crnn_gamma", "crnn_gamma_real", "crnn_exp", "lru"]
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
pd.DataFrame([rows[key] for key in sorted(rows)]).style.hide(axis="index").format({"starts from": "{:g}"})

# %% [markdown]
# What each change brings, on the same teacher before and after:

# %% mystnb={"figure": {"caption": "Factor by which the loss falls from one student to the next, at $\\nu_0 = .99$. Dots: teachers; bars: geometric mean and 95 % interval of ten; below the line the change does harm. Filled: real students start from $\\nu_0 = 0$, as in the paper; hollow: from the teacher's ring.", "name": "fig-ablation-steps"}, "image": {"alt": "ALT"}}
fig, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
for shift, ring, look in [(-0.15, 0.0, {}), (0.15, 0.99, {"mfc": "white"})]:
    for place, (before, after) in enumerate(zip(STEPS, STEPS[1:])):
        starts = [ring if name in ("rnn", "block", "block_wide") else 0.99 for name in (before, after)]
        if ring and starts == [0.99, 0.99] and before not in ("rnn", "block", "block_wide"):
            continue  # the same runs
        fall = (decades[before, starts[0]] - decades[after, starts[1]]).to_numpy()
        mean, low, high = interval(fall)
        color = style.COLORS[after]
        ax.plot(place + shift - 0.07 + 0 * fall, 10**fall, ".", color=color, alpha=0.5)
        ax.errorbar(
            place + shift + 0.03, 10**mean, [[10**mean - 10**low], [10**high - 10**mean]],
            fmt="o", color=color, capsize=3, **look,
        )
ax.axhline(1, color="0.6", lw=0.8)
ax.set_yscale("log")
ax.set_xticks(range(5), ["to block\ndiagonal", "to more\nneurons", "to complex\nnumbers", "to gamma\nnorm.", "to LRU"])
ax.set_ylabel("loss before / loss after");

# %% [markdown]
# PROSE

# %% [markdown]
# ## What a teacher asks for
# A block of $2 \times 2$ that starts as a pair of complex eigenvalues must split to become two real ones. Does the step to complex
# numbers bring more where the teacher has more real eigenvalues? Each teacher at $\nu_0 = .99$, with its ten eigenvalues:

# %%
rows = []
for index in range(teacher.COUNT):
    lam = np.linalg.eigvals(teacher.load(index, 0.99).A)
    real = np.sort(lam[np.abs(lam.imag) < 1e-9].real)
    rows.append(
        {
            "teacher": index,
            "real": len(real),
            "of them positive": (real > 0).sum(),
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
        print(f"rank correlation of '{count}' and '{fall}': {ranks[count].corr(ranks[fall]):.2f}")
teachers.style.format("{:.1e}", subset=["rnn", "block", "crnn"]).format(
    "{:.3g}", subset=["RNN / block", "block / complex"]
)

# %% [markdown]
# PROSE2

# %% [markdown]
# ## The base rate
# An RNN is not only worse at its best rate, its best rate is also harder to find. Median over the ten teachers, and how many diverged:

# %% mystnb={"figure": {"caption": "Above: loss over the zero predictor's against the base rate of Adam at $\\nu_0 = .99$, median and quartiles of ten teachers (diverged: no better than zero). Below: share of runs that diverged.", "name": "fig-ablation-rates"}, "image": {"alt": "ALT"}}
fig, axes = plt.subplots(2, 1, figsize=(6.4, 4), sharex=True, height_ratios=[3, 1], layout="constrained")
for student, start in [("rnn", 0.0), ("block", 0.0), ("crnn", 0.99), ("crnn_gamma", 0.99), ("lru", 0.99)]:
    mine = frame[(frame["student"] == student) & (frame["start"] == start)]
    ratio = (mine["loss"] / mine["zero_loss"]).fillna(1.0).groupby(mine["rate"])
    color = style.COLORS[student]
    axes[0].plot(ratio.median(), "o-", ms=3, color=color, label=experiments.LABELS[student])
    axes[0].fill_between(ratio.median().index, ratio.quantile(0.25), ratio.quantile(0.75), color=color, alpha=0.15)
    axes[1].plot(mine.groupby("rate")["diverged"].mean(), "o-", ms=3, color=color)
axes[0].set(xscale="log", yscale="log", ylabel="loss / zero predictor's")
axes[1].set(xlabel="base rate", ylabel="diverged", ylim=(-0.05, 1.05))
axes[0].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1));

# %% [markdown]
# PROSE3

# %% [markdown]
# ## Live: the whole ladder on a teacher of your choice
# Ten teachers are stored, 0 to 9. All six students and the exponential parametrisation without $\gamma$, a fifth of the steps, one seed:

# %%
index = 1
rates = {"rnn": 0.00032, "block": 0.0032, "block_wide": 0.0032, "crnn": 0.0032}
rates |= {"crnn_gamma": 0.0032, "crnn_exp": 0.0032, "lru": 0.01}
protocol = Protocol(steps=2_000) if scale != "smoke" else Protocol(steps=20, report=5, batch=8, length=40)
members = []
for name, rate in rates.items():
    run = first[name] if name not in ("rnn", "block", "block_wide") else None
    run = run or next(r for r in experiments.get("fig03b_corrected").runs() if (r.student, r.start) == (name, 0.0))
    members.append(run.__class__(**{**vars(run), "teacher": index, "rate": rate}).member(protocol.length))
ensemble = train(members, protocol)
summary = ensemble.summary()
print(f"{len(members)} students, {protocol.steps:,} steps each, {ensemble.seconds:.0f} seconds")
pd.Series(summary.loss / summary.zero_loss, index=[experiments.LABELS[name] for name in rates], name="loss / zero loss").map("{:.1e}".format)

# %% [markdown]
# ## What the paper claims, and what we measure
# The rows about the ablation; all of Figure 3's are [on its page](../figures/fig03.ipynb#what-the-paper-claims-and-what-we-measure).

# %%
rows = claims.evaluate("fig03")
rows = rows[rows["claim"].str.startswith("B")]
rows[["claim", "expected", "tolerance", "measured", "verdict"]].style.hide(axis="index").format(precision=3)
