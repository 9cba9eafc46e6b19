# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Does it carry over to other tasks?
#
# **You will see** dense networks, 2x2 blocks and LRUs under Adam and Muon on tasks without an exact loss: digits pixel
# by pixel, copying and adding over 500 steps. **You need** [Is it diagonality, or is it Adam?](01-is-it-adam.ipynb).
# **Time** a few seconds; the runs are stored.
#
# With one rate for all parameters, as in the paper, it does: under Adam the dense network falls behind the LRU in all
# three, and Muon mends digits and copying. With a rate of its own for the recurrence, most of the gap is gone under
# Adam too, and no hypothesis is confirmed.

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
from rnnlib.lab import claims, experiments, statistics, style
from rnnlib.lab.claims import carry_over
from rnnlib.lab.experiments.carry_over import CARRY_OVER

style.use()
TASKS = {  # task: title, unit of the score
    "digits": ("digits, pixel by pixel", "share of errors"),
    "copying": ("copying over 500 steps", "loss / a guess's"),
    "adding": ("adding over 500 steps", "loss / variance"),
}
KINDS = {"dense": ("rnn", "dense"), "block": ("block", "2x2 blocks"), "lru": ("lru", "LRU")}
OPTIMIZERS = {"adam": "Adam, .999", "adam95": "Adam, .95", "muon": "Muon"}
DEFINED = {experiment.name.removeprefix("beyond_carry_"): experiment for experiment in CARRY_OVER}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With one rate for all (open) the dense network is behind under Adam; with two rates (filled) hardly, and under Muon least. Test scores of three tasks, lower is better: medians of six seeds with 95 % intervals, each run at the rates that the other seeds chose. Grey line: the best constant answer; what is worse lies at the upper edge. Losses of copying and adding below a hundredth of that count as equal.", "name": "fig-carry-over"}, "image": {"alt": "Three panels with a logarithmic axis of the score, in each three groups for Adam with .999, Adam with .95 and Muon, with filled and open dots for dense, blocks and LRU. Digits: open dense dots at 14, 8 and 3 percent of errors, filled ones at 5, 4 and 3, blocks near 4 to 5 and LRU near 3 throughout. Copying: open dense dots at half a guess's loss under both Adams and at the floor of 0.01 under Muon; all filled dots at the floor; the open LRU dot under Muon at 0.16. Adding: intervals over one to two decades; open dense dots at 1, 1 and 0.35, filled ones at 0.3, 0.2 and the floor."}}
fig, axes = plt.subplots(1, 3, figsize=(7.0, 3.3), layout="constrained")
for ax, (task, (title, label)) in zip(axes, TASKS.items(), strict=True):
    worst = 0.9 if task == "digits" else 1.0
    ax.axhline(worst, color="0.75", lw=1, zorder=0)
    for shared in (True, False):
        for i, optimizer in enumerate(OPTIMIZERS):
            for j, (kind, (color, _)) in enumerate(KINDS.items()):
                scores = carry_over.best(task, kind, optimizer, shared)
                e = statistics.median(scores, "seeds")
                ends = np.minimum([e.low, e.value, e.high], np.log10(2 * worst))
                low, middle, high = 10**ends
                place, reach = i + 0.26 * (j - 1) + 0.1 * shared, [[middle - low], [high - middle]]
                look = {"fmt": "o", "ms": 4.5, "lw": 1, "mfc": "white" if shared else None}
                ax.errorbar(place, middle, reach, color=style.COLORS[color], **look)
    ax.set(yscale="log", title=title, ylabel=label, xlim=(-0.5, 2.5))
    ax.set_xticks(range(3), [name.replace(", ", "\n") for name in OPTIMIZERS.values()])
handles = [
    plt.Line2D([], [], marker="o", lw=0, color=style.COLORS[color], label=name)
    for color, name in KINDS.values()
]
handles += [
    plt.Line2D([], [], marker="o", lw=0, color="0.3", mfc=fill, label=name)
    for fill, name in [("0.3", "two rates"), ("white", "one rate")]
]
fig.legend(handles=handles, loc="outside lower center", ncols=5);

# %% [markdown]
# The gap is the factor from the LRU's score to the dense network's; the gain, the factor by which another optimiser
# than Adam with $\beta_2 = .999$ betters the dense network. Medians of pairs over six seeds:

# %% tags=["hide-input"]
rows = []
for task, (title, _) in TASKS.items():
    for shared, rates in ((True, "one"), (False, "two")):
        gaps = [carry_over.gap(task, optimizer, shared) for optimizer in OPTIMIZERS]
        gains = [carry_over.gain(task, optimizer, shared) for optimizer in ("adam95", "muon")]
        rows.append([title, rates, *map(claims.factor, gaps + gains)])
columns = ["task", "rates", *(f"gap, {name}" for name in OPTIMIZERS.values())]
columns += ["gain, Adam .95", "gain, Muon"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# **With one rate the gap carries over.** Under Adam with $\beta_2 = .999$ the dense network makes 4.8 times as many
# errors as the LRU on digits (2 to 18), and its loss is 48 times as high in copying and 4.1 times in adding. Under Muon
# the gap is gone on digits. In copying it is reversed, because there the LRU does badly; in adding six seeds do not
# tell.
#
# **A second rate closes most of it.** With two rates the gap under Adam is 1.5 on digits (1.3 to 2.3) and has a median
# near 1 in the other two, with intervals that reach beyond ten: some starts still fail. So much of what one rate shows
# is that a dense recurrence needs smaller steps than the rest of the network. On [the paper's task](05-what-else.ipynb)
# a second rate closes less.
#
# ## What is compared
# One network in three forms, $u_t = B\,e(x_t)$, $h_t = A h_{t-1} + u_t$, $y = g(C h + D\,e(x))$: A is dense, 2x2
# blocks, or the eigenvalues of an LRU. The maps e and g are the same for all three, and small networks where the task
# needs them. The recurrence is linear, as in the paper, so that all three forms can compute the same. States and
# outputs start with variance 1 and eigenvalues on one ring, whatever the form.

# %% tags=["hide-input"]
rows = []
for task, (title, _) in TASKS.items():
    experiment = DEFINED[task]
    counts = [f"{network.units}; {network.count():,}" for network in experiment.networks]
    ring = f"{experiment.networks[0].min_modulus:g} to 1"
    rows.append([title, f"{experiment.steps:,}", f"{experiment.task.batch}", ring, *counts])
columns = ["task", "training steps", "batch", "ring of the start"]
columns += [f"{name}: states; parameters" for _, name in KINDS.values()]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# Each network and optimiser chooses among eleven pairs of rates: three with one rate for all parameters, and four
# recurrent rates times two others. The other five seeds choose for a seed. A wider grid might do better where the
# chosen recurrent rate is the largest or smallest of the four, as for most LRUs; in copying, where several rates reach
# the floor, the first of them counts as chosen:

# %% tags=["hide-input"]
rows = []
for task, (title, _) in TASKS.items():
    runs = experiments.load(f"beyond_carry_{task}")
    runs = runs.assign(score=carry_over.SCORES[task](runs).mask(runs["diverged"], np.inf))
    for kind, (_, name) in KINDS.items():
        shares = []
        for optimizer in OPTIMIZERS:
            own = runs[(runs["student"] == kind) & (runs["optimizer"] == optimizer)]
            own = own[own["rate"] != own["other_rate"]]
            wide = own.pivot(index="seed", columns=["rate", "other_rate"], values="score")
            pick, _ = statistics.cross_fit(wide.to_numpy()[None])
            rates = wide.columns.get_level_values("rate").to_numpy()
            shares.append(f"{np.isin(rates[pick], (rates.min(), rates.max())).mean():.0%}")
        rows.append([title, name, *shares])
columns = ["choices at an end", "network", *OPTIMIZERS.values()]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# **What else could explain it.** *Seeds:* six decide little; adding is learned from some starts and not from others.
# *Width:* parameters are matched, so the dense network has about half as many states. *The start:* on whole discs of
# eigenvalues, dense networks learned digits worse in trials.
#
# **Not measured.** Two more tasks are defined and have not finished: a teacher with a tanh in its recurrence, and the
# next character of a text. Deeper networks and trained gates were not tried.
#
# ## The hypotheses
# Written down before the runs, after trials on other seeds: with two rates, the dense network loses a factor of two
# under Adam, *and* Muon gives it back. That asks more than one rate would, because with one rate the gap was plain in
# trials. None is confirmed.

# %% tags=["hide-input"]
claims.hypotheses("14")

# %% [markdown]
# Run one again with `python -m rnnlib run beyond_carry_digits --scale paper`, the shortest. **The numbers:**
# [digits](../../rnnlib/lab/results/beyond_carry_digits.csv),
# [copying](../../rnnlib/lab/results/beyond_carry_copying.csv),
# [adding](../../rnnlib/lab/results/beyond_carry_adding.csv). [How to
# cite](01-is-it-adam.ipynb#how-to-cite-this-page).
