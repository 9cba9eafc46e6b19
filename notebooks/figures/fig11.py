# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 11: how small must blocks be?
#
# **You will see** that an RNN of 64 units learns a long memory better with smaller independent blocks, and that Adam
# then takes larger steps. **You need** [Figure 3](fig03.ipynb). **Time** under a minute on a CPU, with stored results.

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
from rnnlib.lab import claims, experiments, style
from rnnlib.lab.claims.fig11 import effective_rates, losses
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.paper_values import paper_values

style.use()
device = experiments.choose_device()  # a GPU if there is one
if experiments.scale_from_environment() == "paper":  # recompute everything
    names = ["fig11_teachers", "fig03a_teachers", "fig03b_teachers"]
    every = [experiments.get(name) for name in names]
    experiments.run_all(every, "paper", device=device, progress=False)
HEADS, theirs = [1, 2, 4, 8, 16, 32], paper_values("fig11")
ZERO = paper_values("fig03")["zero_loss_at_.99"]  # the same teacher

# %% tags=["hide-input"] mystnb={"figure": {"caption": "More blocks mean lower loss and larger effective rates. A: loss over the zero predictor's. B: mean effective rate of matrix $A$ after half of the steps, at two fixed base rates. Dots: teachers, two runs each; bars: median and 95 % interval of 32. Grey diamonds: the paper, one teacher.", "name": "fig-11-teachers"}, "image": {"alt": "Three plots against the number of blocks. A: the median loss falls from 2e-4 with one and two blocks to 4e-5 with 4, 4e-6 with 8, 3e-7 with 16 and 1e-7 with 32; the paper's markers lie near 5e-3 for one and two blocks, 1e-3 for 8, and below 1e-6 for 16 and 32. B: effective rates rise with the blocks, at base rate .0001 from 5e-6 to 5e-5, at .001 from 2e-6 to 5e-4."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 3.2), width_ratios=[1.1, 1, 1], layout="constrained")
for place, heads in enumerate(HEADS):
    look = {"color": style.COLORS["rnn" if heads == 1 else "block"], "width": 0.5}
    style.replicates(axes[0], place, losses(heads), cap=0, **look)
    for ax, rate in zip(axes[1:], (0.0001, 0.001), strict=True):
        style.replicates(ax, place, effective_rates("effective", rate)[place], **look)
        ax.set_title(f"B: effective rate\nat base rate {rate:g}")
axes[0].plot(range(6), np.array(theirs["A"]["loss"]) / ZERO, **style.PAPER)
axes[0].axhline(1, color="0.6", ls=":")
axes[0].text(5.4, 0.6, "zero predictor", color="0.4", ha="right", va="top")
axes[0].text(0.4, 8e-3, "paper", color="0.45")
axes[0].set_title("A: loss / zero predictor's\nbest base rate")
for ax in axes:
    ax.set_xticks(range(6), HEADS)
    ax.set(yscale="log", xlabel="blocks (heads)")

# %% [markdown]
# **A.** The loss falls with every doubling from two blocks on. Blocks of 4 x 4 end with three times the loss of 2 x 2
# (1.5 to 5.8). The loss falls most from 4 to 16 blocks, in the paper from 8 to 16.
#
# **B.** At a fixed base rate the effective rates rise with the number of blocks: tenfold at 0.0001, two hundredfold at
# 0.001. From one block to two the rise may be chance.
#
# [Figure 11b](fig11b.ipynb) has the paper's own protocol, one teacher and ten seeds, and trains six students.

# %% [markdown]
# ## What is measured
# The students are dense RNNs of [Figure 3](fig03.ipynb) whose matrix $A$ is block diagonal, from one block of 64 x 64
# to 32 blocks of 2 x 2. The paper calls the blocks heads. $\nu_0 = 0.99$, with two runs on each of 32 teachers. In A
# each run uses the best rate of the other run on its teacher.
#
# Adam divides its step by a running root mean square of the gradient, so each parameter has a step size of its own. The
# paper's **effective rate** is the update that Adam would make next for a gradient of ones. It is proportional to the
# base rate, and the best base rate differs between block sizes. So B compares effective rates at two fixed base rates.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where these results were computed", "code_prompt_hide": "Hide"}
print(provenance(experiments.load("fig11_teachers")))

# %% [markdown]
# <details>
# <summary>Erratum 9: what an effective rate is not</summary>
#
# It mixes in the first moment, so it can be negative; such values are left out of the geometric mean here, and the
# paper floors them. It saturates near $\sqrt{10}$ times the base rate where past gradients are far below 1. What one
# would call the step size is $\eta_t / (\sqrt{\hat v_t} + \epsilon)$. One row of the claims below uses it.
#
# </details>

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-11-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig11");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig11")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: how many blocks oscillate?
# *Derive. Medium.* A 2 by 2 block with independent normal entries has either two real eigenvalues or a conjugate pair.
# What is the probability of two real ones? (Write the discriminant with $a - d$, $b + c$ and $b - c$.) How many of 32
# blocks start without any angle?
#
# <details>
# <summary>Solution 1</summary>
#
# The eigenvalues are real if $(a - d)^2 + 4bc > 0$, that is $(a-d)^2 + (b+c)^2 > (b-c)^2$. The three are independent
# with the same variance, so they point in a random direction of space. That direction has to lie less than 45 degrees
# from the plane of the first two: its third coordinate, which is uniform in $[-1, 1]$, has to be below $1/\sqrt2$ in
# size. The probability is $1/\sqrt2 = 0.71$. So about 23 of 32 blocks start with real eigenvalues and have to find
# their angle first.
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
