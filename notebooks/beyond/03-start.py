# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Where should a dense network start?
#
# **You will see** dense networks that start with eigenvalues anywhere in the disc, or ever closer to the teacher's
# ring, under Adam, Muon and SGD. **You need** [Is it diagonality, or is it Adam?](01-is-it-adam.ipynb). **Time** a few
# seconds; the runs are stored.
#
# **TODO-RESULT** The answer: is a start near the circle harmful, or only for Adam?

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
import pandas as pd
from rnnlib.lab import claims, statistics, style
from rnnlib.lab.claims import beyond

style.use()
OPTIMIZERS = {"Adam": "adam", "Muon": "muon", "SGD": "sgd"}
RADII = (0.0, 0.5, 0.9, 0.97, 0.99)


def losses(optimizer, radius, **settings):
    """Decades over the zero predictor's loss, a row a teacher."""
    return beyond.best(f"start_{optimizer}", ("rnn",), start=radius, **settings)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "TODO-RESULT the point. Loss of a dense network over the zero predictor's after 2,000 steps, against the smallest modulus of its eigenvalues at the start; the teacher's is .99. Dots: teachers; bars: medians and 95 % intervals of eight; diamonds: medians with one rate for all parameters. Runs that diverge stand at the top.", "name": "fig-start"}, "image": {"alt": "TODO-RESULT Three panels, Adam, Muon and SGD, of loss on a logarithmic axis against the radius of the start, 0, .5, .9, .97 and .99, with a median and its interval for each."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.9), sharey=True, layout="constrained")
for ax, (name, optimizer) in zip(axes, OPTIMIZERS.items(), strict=True):
    for place, radius in enumerate(RADII):
        color = style.COLORS["rnn"]
        style.replicates(ax, place, losses(optimizer, radius), color=color, width=0.5, cap=1)
        one = statistics.median(losses(optimizer, radius, ratio=1)).value
        ax.plot(place + 0.32, 10 ** min(one, 1), "D", ms=3.5, mfc="none", color=color)
    ax.set(yscale="log", title=name)
    ax.set_xticks(range(len(RADII)), [f"{radius:g}".replace("0.", ".") for radius in RADII])
axes[0].set_ylabel("loss / zero predictor's")
axes[1].set_xlabel("smallest modulus at the start");

# %% [markdown]
# The cost of the ring, as the factor by which the loss at the start of .99 exceeds that of another radius, median of
# pairs:

# %% tags=["hide-input"]
rows = []
for name, optimizer in OPTIMIZERS.items():
    ring = losses(optimizer, 0.99)
    pairs = [statistics.paired_median(ring, losses(optimizer, radius)) for radius in RADII[:-1]]
    rows.append([name, *map(claims.factor, pairs)])
columns = ["optimiser", *(f"ring over {radius:g}".replace("0.", ".") for radius in RADII[:-1])]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# **TODO-RESULT** What the rows say.
#
# ## At 10,000 steps, and under Gauss-Newton
# The headline runs have two of the radii, 16 teachers and five times the steps; Gauss-Newton its 300 on the population
# loss.

# %% tags=["hide-input"]
HEADLINE = {
    "SGD": "headline_sgd",
    "Adam, β₂ = .95": "headline_adam95",
    "Adam, β₂ = .999": "headline_adam",
    "Muon": "headline_muon",
    "Gauss-Newton": "population_gauss_newton",
}
rows = []
for name, table in HEADLINE.items():
    pair = [beyond.best(table, ("rnn",), start=start) for start in (0.99, 0.0)]
    levels = [claims.factor(statistics.median(decades)) for decades in pair[::-1]]
    rows.append([name, *levels, claims.factor(statistics.paired_median(*pair))])
columns = ["optimiser", "loss from 0", "loss from the ring", "ring over 0"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# **TODO-RESULT** Whether steps change the answer.
#
# ## Why the ring could be harmful
# On the ring all memories are long, so that all entries of A act over hundreds of steps. Sensitivity to an eigenvalue
# grows with the third power of its memory ([the curse of memory](../theory/02-curse-of-memory.ipynb)), and every entry
# of a dense A has a share in every eigenvalue ([from diagonal to dense](../theory/04-from-diagonal-to-dense.ipynb)):
# gradients of all entries are large from the first step. Adam takes them as a reason for small steps everywhere. From
# a start at 0 most memories are short, and the loss can fall before they are long. An optimiser that sees rows and
# columns of A, or all parameters at once, has another way. None of this is measured here but the outcome.
#
# ## Hypothesis 9
# TODO-RESULT its two rows in one sentence.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show hypothesis 9 in a table: measures, bounds, verdicts", "code_prompt_hide": "Hide the table"}
claims.hypotheses("09")

# %% [markdown]
# **The numbers:** [Adam](../../rnnlib/lab/results/beyond_start_adam.csv),
# [Muon](../../rnnlib/lab/results/beyond_start_muon.csv), [SGD](../../rnnlib/lab/results/beyond_start_sgd.csv). [How to
# cite](01-is-it-adam.ipynb#how-to-cite-this-page).
