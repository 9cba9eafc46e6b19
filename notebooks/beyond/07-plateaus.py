# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Where does Adam leave a dense network?
#
# **You will see** what is missing where the loss of a dense network stops falling: eigenvalues, or the last bit of a
# flat direction? **You need** [Is it diagonality, or is it Adam?](01-is-it-adam.ipynb) and [the Hessian at the
# optimum](../theory/05-hessian-at-the-optimum.ipynb). **Time** a few seconds; the runs are stored.
#
# At no minimum: twenty steps of Gauss-Newton from there lower the median loss by three more decades. Runs that stop
# above a thousandth of the zero predictor's loss lack eigenvalues of the teacher, those below a ten-thousandth lack
# none; over all, hypothesis 12 is undecided (45 % of the loss, 0 to 81 %).

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

style.use()
runs, curves = (experiments.load("beyond_plateaus", table) for table in ("runs", "curves"))
LOOKS = {"adam": ("Adam", "#0173b2"), "muon": ("Muon", "#d55e00")}


def over_teachers(optimizer, column):
    """Median over teachers of the mean of their runs."""
    rows = runs[runs["optimizer"] == optimizer].fillna({"lacking": 0.0})
    means = rows.pivot(index="teacher", columns="seed", values=column).mean(axis=1)
    return statistics.median(means.fillna(np.inf))


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Under Adam the loss stops falling, and the runs that stop high lack eigenvalues. Left: population loss of dense networks over the zero predictor's on 16 teachers, two runs each; thick: medians. Middle: the loss at the end against the share of it that lies in modes of the teacher with no eigenvalue of the network near. Right: share of the remaining loss in directions whose curvature is at least so large, over the largest; medians and 95 % intervals.", "name": "fig-plateaus"}, "image": {"alt": "Left: lines of loss against 10,000 steps; Adam's median falls to 1e-3 and its runs spread from 1e-6 to 1e-1, Muon's median falls to 4e-8. Middle: Adam's dots form two groups: at a share of 0 with losses of 1e-4 and less, and at 0.6 to 1 with losses of 1e-3 and more; Muon's all lie at 0, below 1e-4. Right: Muon's curve rises from 0 to 1 between curvatures of 1e-6 and 1e-10; Adam's rises to 0.5 at 1e-12, with a wide band."}}
fig, (loss, why, reach) = plt.subplots(1, 3, figsize=(7.2, 2.9), layout="constrained")
columns = [name for name in runs if name.startswith("reached_")]
decades = [int(name.partition("_")[2]) for name in columns]
for optimizer, (label, color) in LOOKS.items():
    lines = curves[curves["optimizer"] == optimizer]
    lines = lines.pivot(index="step", columns="seed", values="loss")
    loss.plot(lines.index, 10**lines, color=color, lw=0.6, alpha=0.35)
    loss.plot(lines.index, 10 ** lines.fillna(np.inf).median(axis=1), color=color, lw=2.5)
    loss.text(*{"adam": (7_200, 3e-3), "muon": (5_200, 3e-7)}[optimizer], label, color=color)
    own = runs[runs["optimizer"] == optimizer].fillna({"lacking": 0.0})
    why.plot(own["lacking"], 10 ** own["loss"], "o", ms=4, color=color, alpha=0.6)
    found = [over_teachers(optimizer, name) for name in columns]
    reach.plot(decades, [e.value for e in found], color=color, marker="o", ms=4)
    low, high = [e.low for e in found], [e.high for e in found]
    reach.fill_between(decades, low, high, color=color, alpha=0.15, lw=0)
loss.set(yscale="log", xlabel="step", ylabel="loss / zero predictor's", xticks=[0, 10_000])
why.set(yscale="log", xlabel="share in missing modes", ylabel="loss / zero predictor's")
why.set(xlim=(-0.05, 1.05))
reach.set_xticks(decades[::2], [f"$10^{{-{number}}}$" for number in decades[::2]])
reach.set(xlabel="curvature / largest", ylabel="share of the loss", ylim=(-0.03, 1.03));

# %% [markdown]
# **Valley, slope or saddle?** The loss is $\frac12 |r|^2$, and a small step changes $r$ by $J\,\mathrm{d}\theta$. The
# squared singular values of $J$ are curvatures, and what $r$ has outside of the span of $J$ no small step removes.
# Under Muon all of $r$ lies in flat directions: a valley. Under Adam half of it is reached by no direction above
# $10^{-12}$ of the largest curvature: a plateau that only long steps leave. Gauss-Newton, which does not care how flat
# a direction is, goes on from the same point. Medians over teachers:

# %% tags=["hide-input"]
ROWS = {
    "loss where the optimiser stops": "loss",
    "after 20 steps of Gauss-Newton from there": "newton",
    "gradient's norm, over that at step 100": "gradient",
}
table = pd.DataFrame(
    {
        label: [f"10^{over_teachers(optimizer, column).value:.1f}" for column in ROWS.values()]
        for optimizer, (label, _) in LOOKS.items()
    },
    index=ROWS,
)
table.loc["share of the loss in missing modes"] = [
    f"{over_teachers(optimizer, 'lacking').value:.0%}" for optimizer in LOOKS
]
table.rename_axis("median").reset_index().style.hide(axis="index")

# %% [markdown]
# A teacher is a sum of modes, one for each real eigenvalue or conjugate pair. The network lacks a mode if none of its
# own eigenvalues lies within the mode's distance to the unit circle. Rates are the middle ones of each optimiser's
# five, shared by all parameters; smaller rates for A [reach further](05-what-else.ipynb).

# %% tags=["hide-input"]
claims.hypotheses("12")

# %% [markdown]
# **The numbers:** [where the runs end](../../rnnlib/lab/results/beyond_plateaus.csv),
# [curves](../../rnnlib/lab/results/beyond_plateaus.curves.csv),
# [eigenvalues](../../rnnlib/lab/results/beyond_plateaus.eigenvalues.csv). [How to
# cite](01-is-it-adam.ipynb#how-to-cite-this-page).
