# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 4b: effective learning rates after training
#
# **You will see** that Adam takes far smaller steps for a dense matrix than for diagonal eigenvalues (panels C and D of
# the paper's Figure 4). **You need** [Figure 4](fig04.ipynb). **Time** under a minute on a CPU: the figures show stored
# results, and two students train here.

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
from rnnlib.lab import experiments, statistics, style
from rnnlib.lab.claims.fig04 import final_decades
from rnnlib.lab.claims.measures import log_effective_rates
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.paper_values import paper_values
from rnnlib.lab.training import train

style.use()
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    every = [experiments.get(name) for name in ("fig04cd", "fig04cd_teachers")]
    experiments.run_all(every, "paper", device=device, progress=False)
GROUPS = {
    "rnn": {"A": "A", "B": "B", "C": "C", "D": "D"},
    "crnn": {"lam.real": r"Re $\lambda$", "lam.imag": r"Im $\lambda$", "B.real": "Re B"}
    | {"B.imag": "Im B", "C.real": "Re C", "C.imag": "Im C", "D": "D"},
}
theirs = {
    "rnn": paper_values("fig04")["C_RNN_efflr"],
    "crnn": paper_values("fig04")["D_cRNN_efflr"],
}
KEYS = {"lam.real": "lambda[0]", "lam.imag": "lambda[1]"}  # as the authors' notebook calls them
STARTS = {"rnn": 0.0, "crnn": 0.99}
measured = log_effective_rates("fig04cd_teachers")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Adam's effective rates of a dense $A$ lie more than two decades below those of a diagonal $\\lambda$. Dots: medians over a group of parameters on one teacher, two runs each; bars: median and 95 % interval of 32 teachers. Dotted: the base rate. Grey diamonds: the paper, one run.", "name": "fig-04-teachers"}, "image": {"alt": "Two strip plots on a logarithmic axis. Dense RNN: A around 6e-6, B around 1e-4, C around 4e-5, D near the base rate of 1e-3; the paper's markers lie lower by factors of thirty for A, ten for B and seven for C. Complex diagonal RNN: all groups between 2e-3 and 3e-3, and so are the paper's."}}
fig, axes = plt.subplots(
    1, 2, figsize=(7.2, 3), width_ratios=[4, 6], sharey=True, layout="constrained"
)
titles = {"rnn": "C: dense RNN", "crnn": "D: complex diagonal RNN"}
for ax, (student, groups) in zip(axes, GROUPS.items(), strict=True):
    for place, group in enumerate(groups):
        rows = measured[student, STARTS[student], group].dropna()
        style.replicates(ax, place, rows, color=style.COLORS[student], width=0.5)
        key = KEYS.get(group, group.replace(".real", "_re").replace(".imag", "_im"))
        ax.plot(place, theirs[student][key]["median of positive ones"], **style.PAPER)
    ax.axhline(1e-3, color="0.4", ls=":")
    ax.set_xticks(range(len(groups)), groups.values())
    ax.set(yscale="log", title=titles[student])
axes[0].set_ylabel("effective rate")
axes[0].annotate("paper", (0, theirs["rnn"]["A"]["median of positive ones"]), (6, -3),
                 textcoords="offset points", color="0.4")
axes[1].annotate("base rate", (6.4, 1e-3), (0, -3), textcoords="offset points",
                 ha="right", va="top", color="0.4");

# %% [markdown]
# The rates of the dense $A$ lie 2.4 decades below those of $\lambda$ in the median (2.1 to 2.7), four in the paper. The
# diagonal student's rates are near $\sqrt{10}$ times the base rate.
#
# But the dense RNN of this picture has not learned. At this base rate its loss is still half of the zero predictor's in
# the median, while the diagonal student's is five decades below. The large gradients of an unlearned task may be part
# of why its rates are small.

# %% tags=["hide-input"]
gains = {name: -final_decades("fig04cd_teachers", name, STARTS[name]) for name in STARTS}
for name, gain in gains.items():
    estimate = statistics.median(gain)
    print(f"{experiments.LABELS[name]:16} zero predictor's loss over its own, decades: "
          f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})")

# %% [markdown]
# ## What is measured
# Students of width 64 learn from teachers with $\nu_0 = 0.99$ in 10,000 steps of Adam at the constant rate 0.001, two
# runs on each of 32 teachers. The paper's effective rate is the update that Adam would make for a gradient of ones. It
# contains the first moment, so it can exceed the base rate and can be negative; the paper drops the negative ones
# (erratum 9).
#
# For a gradient of 1 the update is $(0.9m + 0.1)/\sqrt{0.999v + 0.001}$ times the base rate. Where past gradients are
# far below 1 that is $0.1/\sqrt{0.001} = \sqrt{10}$. Of the diagonal student's rates only those of $\lambda$ are lower.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where these results were computed", "code_prompt_hide": "Hide"}
print(provenance(experiments.load("fig04cd_teachers")))

# %% [markdown]
# ## One run, every parameter
# The paper shows one run, each dot a parameter. Here is our first run on one teacher, by the paper's definition and
# without the first moment, $\eta / (\sqrt{\hat v} + \epsilon)$, which is always positive.

# %% tags=["hide-input"]
rates = experiments.load("fig04cd", "parameters")
rates = rates[(rates["student"] == "crnn") | (rates["start"] == 0)]
groups = {"rnn": ["A", "B", "C", "D"], "crnn": ["lam", "B", "C", "D"]}
summary = rates.groupby(["student", "parameter"]).agg(
    parameters=("effective", "size"),
    negative=("effective", lambda values: (values < 0).mean()),
    median=("effective", lambda values: values[values > 0].median()),
    plain_median=("effective_plain", "median"),
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The rates of $A$ lie two decades below those of $\\lambda$, three without the first moment. Effective learning rates of every parameter after 10,000 steps; C: dense RNN, D: complex diagonal RNN. Left of each pair: the paper's definition, without negative rates (\"negative\": a group has no others); right: without the first moment. Black: medians. Dotted: the base rate.", "name": "fig-04-trained"}, "image": {"alt": "Four strip plots on a logarithmic axis, by parameter group. The dense RNN: the cloud of A around 2e-5, those of B and C ten times higher, below the base rate. The diagonal RNN: all groups just above the base rate. Without the first moment A lies at 3e-5, lambda at 2e-2, B and C of the diagonal RNN above."}}
fig, axes = plt.subplots(1, 4, figsize=(7.2, 3.2), sharey=True, layout="constrained")
generator = np.random.default_rng(0)
definitions = {"effective": "paper's definition", "effective_plain": "no first moment"}
panels = [("C: dense RNN", "rnn"), ("D: diagonal RNN", "crnn")]
for row, (panel, student) in enumerate(panels):
    for column, (kind, definition) in enumerate(definitions.items()):
        ax = axes[2 * row + column]
        for place, name in enumerate(groups[student]):
            mine = rates[(rates["student"] == student) & (rates["parameter"] == name)][kind]
            mine = mine[mine > 0]
            if mine.empty:
                ax.text(place, 1e-8, "negative", rotation=90, ha="center", color="0.4")
            jitter = place + 0.5 * (generator.random(len(mine)) - 0.5)
            ax.plot(jitter, mine, ".", ms=1.5, alpha=0.5, color=style.COLORS[student])
            ax.plot([place - 0.35, place + 0.35], 2 * [mine.median()], "k", lw=1.5)
        ax.axhline(1e-3, color="0.4", ls=":")
        ax.set_xticks(range(4), [r"$\lambda$" if n == "lam" else n for n in groups[student]])
        ax.set(xlim=(-0.5, 3.5), yscale="log", title=f"{panel}\n{definition}")
axes[0].set_ylabel("effective rate");

# %% [markdown]
# The first moment matters in the paper's definition. Two fifths of the rates of $A$ are negative and missing from its
# plot. In the diagonal student, $B$, $C$ and $D$ have rates near $\sqrt{10}$ times the base rate; the median of
# $\lambda$ is lower, because its past gradients are not always small.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the medians and the share of negative rates", "code_prompt_hide": "Hide the table"}
summary.style.format({"negative": "{:.1%}", "median": "{:.1e}", "plain_median": "{:.1e}"})

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where this run was computed", "code_prompt_hide": "Hide"}
print(provenance(rates))

# %% [markdown]
# Started from the teacher's ring, as the captions say (erratum 13), the dense RNN usually diverges at this base rate:

# %% tags=["hide-input"]
ring = experiments.load("fig04cd").query("student == 'rnn' and start > 0")
print(f"{ring['diverged'].sum()} of {len(ring)} runs diverged")

# %% [markdown]
# ## Train two students here
# One seed and a fifth of the steps; the medians of each group without the first moment:

# %%
small = experiments.get("fig04cd").at("smoke" if scale == "smoke" else "book")
runs = [run for run in small.runs() if run.seed == 0 and (run.student == "crnn" or run.start == 0)]
ensemble = train([run.member(small.protocol.length) for run in runs], small.protocol, device=device)
for run, rates_here in zip(runs, ensemble.effective_rates().values(), strict=True):
    plain = {name: f"{np.median(values[1]):.0e}" for name, values in rates_here.items()}
    print(f"{experiments.LABELS[run.student]:16}", plain)
print(f"{small.protocol.steps:,} steps in {ensemble.seconds:.0f} seconds on {device}")
