# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Does it carry over to other tasks?
#
# **You will see** dense networks, 2x2 blocks and LRUs under Adam and Muon on five tasks without an exact loss: a
# nonlinear teacher, digits, text, copying and adding over 500 steps. **You need** [Is it diagonality, or is it Adam?](01-is-it-adam.ipynb).
# **Time** a few seconds; the runs are stored.
#
# With one rate for all parameters, as in the paper, it does on four of the five: under Adam the dense network falls
# behind the LRU, under Muon less or not at all. With a rate of its own for the recurrence most of the gap is gone under
# Adam too. With a tanh in the recurrence the dense network wins. Of five hypotheses none holds; two fail.

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
    "tanh": ("a teacher with tanh", "loss / zero predictor's"),
    "digits": ("digits, pixel by pixel", "share of errors"),
    "text": ("characters of a text", "nats"),
    "copying": ("copying over 500 steps", "loss / a guess's"),
    "adding": ("adding over 500 steps", "loss / variance"),
}
KINDS = {"dense": ("rnn", "dense"), "block": ("block", "2x2 blocks"), "lru": ("lru", "LRU")}
OPTIMIZERS = {"adam": "Adam, .999", "adam95": "Adam, .95", "muon": "Muon"}
DEFINED = {experiment.name.removeprefix("beyond_carry_"): experiment for experiment in CARRY_OVER}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With one rate for all (open) the dense network is behind under Adam, but not on the teacher with tanh; with two rates (filled) hardly, and under Muon least. Test scores of five tasks, lower is better: medians of six seeds with 95 % intervals, each run at the rates that the other seeds chose. Grey line: the best constant answer, 2.9 nats on the text; what is worse lies at the upper edge. Losses of copying and adding below a hundredth of that count as equal.", "name": "fig-carry-over"}, "image": {"alt": "Five panels of the score, in each three groups for Adam with .999, Adam with .95 and Muon, with filled and open dots for dense, blocks and LRU. Tanh: blocks and LRU at 6 percent of the zero predictor's loss throughout; dense from 6 percent at one rate and 3 at two down to 1 to 2 under Muon. Text: all dots near 2.0 nats but open dense ones, at 2.2 and 2.1 under the two Adams. Digits: open dense dots at 14, 8 and 3 percent of errors, filled ones at 5, 4 and 3, blocks near 4 to 5 and LRU near 3 throughout. Copying: open dense dots at half a guess's loss under both Adams and at the floor of 0.01 under Muon; all filled dots at the floor; the open LRU dot under Muon at 0.16. Adding: intervals over one to two decades; open dense dots at 1, 1 and 0.35, filled ones at 0.3, 0.2 and the floor."}}
fig, axes = plt.subplots(2, 3, figsize=(7.0, 4.8), layout="constrained")
for ax, (task, (title, label)) in zip(axes.flat, TASKS.items(), strict=False):
    in_nats = task == "text"  # the others are decades
    worst = {"digits": 0.9}.get(task, 1.0)
    if not in_nats:
        ax.axhline(worst, color="0.75", lw=1, zorder=0)
    for shared in (True, False):
        for i, optimizer in enumerate(OPTIMIZERS):
            for j, (kind, (color, _)) in enumerate(KINDS.items()):
                scores = carry_over.best(task, kind, optimizer, shared)
                e = statistics.median(scores, "seeds")
                ends = np.array([e.low, e.value, e.high])
                low, middle, high = ends if in_nats else 10 ** np.minimum(ends, np.log10(2 * worst))
                place, reach = i + 0.26 * (j - 1) + 0.1 * shared, [[middle - low], [high - middle]]
                look = {"fmt": "o", "ms": 4.5, "lw": 1, "mfc": "white" if shared else None}
                ax.errorbar(place, middle, reach, color=style.COLORS[color], **look)
    ax.set(yscale="linear" if in_nats else "log", title=title, ylabel=label, xlim=(-0.5, 2.5))
    ax.set_xticks(range(3), [name.replace(", ", "\n") for name in OPTIMIZERS.values()])
handles = [
    plt.Line2D([], [], marker="o", lw=0, color=style.COLORS[color], label=name)
    for color, name in KINDS.values()
]
handles += [
    plt.Line2D([], [], marker="o", lw=0, color="0.3", mfc=fill, label=name)
    for fill, name in [("0.3", "two rates"), ("white", "one rate")]
]
axes[1, 2].axis("off")
axes[1, 2].legend(handles=handles, loc="center");

# %% [markdown]
# The gap is the factor from the LRU's score to the dense network's; the gain, the factor by which another optimiser
# than Adam with $\beta_2 = .999$ betters the dense network; for the text both are differences. Medians of pairs over
# six seeds:

# %% tags=["hide-input"]
def shown(task, estimate):
    if task != "text":
        return claims.factor(estimate)
    return f"{estimate.value:.2f} nats ({estimate.low:.2f} to {estimate.high:.2f})"


rows = []
for task, (title, _) in TASKS.items():
    for shared, rates in ((True, "one"), (False, "two")):
        gaps = [carry_over.gap(task, optimizer, shared) for optimizer in OPTIMIZERS]
        gains = [carry_over.gain(task, optimizer, shared) for optimizer in ("adam95", "muon")]
        rows.append([title, rates, *(shown(task, each) for each in gaps + gains)])
columns = ["task", "rates", *(f"gap, {name}" for name in OPTIMIZERS.values())]
columns += ["gain, Adam .95", "gain, Muon"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# **With one rate the gap carries over.** Under Adam with $\beta_2 = .999$ the dense network makes 4.8 times as many
# errors as the LRU on digits (2.0 to 18) and loses 0.20 nats on the text (0.13 to 0.37); its loss is 48 times as high in
# copying and 4.1 times in adding. Under Muon the gap is gone on digits and text. In copying it is reversed, because
# there the LRU does badly; in adding six seeds do not tell.
#
# **A second rate closes most of it.** With two rates the gap under Adam is 1.5 on digits (1.3 to 2.3) and 0.01 nats on
# the text, and has a median near 1 in copying and adding, with intervals that reach beyond ten: some starts still fail.
# So much of what one rate shows is that a dense recurrence needs smaller steps than the rest of the network. On [the
# paper's task](05-what-else.ipynb) that takes a thousandfold smaller rate.
#
# **With a tanh the dense network wins.** Its loss is 0.51 (0.44 to 0.71) times the LRU's under Adam with two rates. Blocks and LRU end
# at the same loss under all three optimisers, which suggests a limit of the networks: a tanh of each unit ties the state
# to one basis, and the dense student alone can compute all that its dense teacher does. We did not test that reading.
#
# ## What is compared
# One network in three forms, $u_t = B\,e(x_t)$, $h_t = A h_{t-1} + u_t$, $y = g(C h + D\,e(x))$: A is dense, 2x2
# blocks, or the eigenvalues of an LRU. The maps e and g are the same for all three, and small networks where the task
# needs them. But for the task with tanh, the recurrence is linear, as in the paper, so that all three forms can compute
# the same. States and outputs start with variance 1 and eigenvalues on one ring, whatever the form.

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
# **Not measured.** Deeper networks and trained gates were not tried.
#
# ## The hypotheses
# Written down before the runs, after trials on other seeds: with two rates, the dense network loses a factor of two
# under Adam, *and* Muon gives it back (on the text, .05 nats). That asks more than one rate would, because with one rate
# the gap was plain in trials. With tanh and on the text it fails; on the other three six seeds do not decide.

# %% tags=["hide-input"]
claims.hypotheses("14")

# %% [markdown]
# Run one again with `python -m rnnlib run beyond_carry_digits --scale paper`, the shortest. **The numbers:**
# [tanh](../../rnnlib/lab/results/beyond_carry_tanh.csv), [digits](../../rnnlib/lab/results/beyond_carry_digits.csv),
# [text](../../rnnlib/lab/results/beyond_carry_text.csv),
# [copying](../../rnnlib/lab/results/beyond_carry_copying.csv),
# [adding](../../rnnlib/lab/results/beyond_carry_adding.csv). [How to
# cite](01-is-it-adam.ipynb#how-to-cite-this-page).
