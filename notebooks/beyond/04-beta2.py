# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # What does beta2 alone do?
#
# **You will see** the bars of Figure 3B under five values of Adam's $\beta_2$, all else equal. **You need** [Is it
# diagonality, or is it Adam?](01-is-it-adam.ipynb) and the effective rates of [Figure 4b](../figures/fig04b.ipynb).
# **Time** a few seconds; the runs are stored.
#
# It moves every bar: with .95 in place of .999 diagonal networks end about a hundredfold lower. The gap between dense
# and diagonal networks stays, but its size depends on $\beta_2$ too. After 2,000 steps it grows from 110 (0.38 to ∞) at
# .9 to 410,000 (68,000 to ∞) at .9999; after 10,000 steps it is the same at .95 and .999.

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
from rnnlib.lab import claims, statistics, style
from rnnlib.lab.claims import beyond

style.use()
MAP = {beta: f"beta2_{beta[1:]}_adam" for beta in (".9", ".95", ".99", ".999", ".9999")}
HEADLINE = {".95": "headline_adam95", ".999": "headline_adam"}
EDGE = 1.0  # decades


def losses(table, student, start, **settings):
    """Decades over the zero predictor's loss, a row a teacher."""
    return beyond.best(table, (student,), start=start, **settings)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "A longer memory of squared gradients makes every network worse, the dense ones most. Loss over the zero predictor's after 2,000 steps of Adam, left is better; the paper's value of β₂ is .999. Dots: teachers; circles and bars: medians and 95 % intervals of eight, rates of recurrent and other parameters tuned separately. Gap: the best dense network's loss over the best diagonal one's. A run that diverges stands at the right edge.", "name": "fig-beta2"}, "image": {"alt": "Five panels side by side with a row for each of six students, losses on a logarithmic axis. From .9 to .9999 the dense network rises from 1e-4 to 1e-1, dense on the ring from 3e-7 to 3e-1 with intervals to the right edge, the three diagonal networks from between 1e-8 and 2e-7 to between 3e-6 and 8e-6. Gaps: 110, 680, 15,000, 72,000 and 410,000."}}
def panels(tables, height):
    """One for each value of beta2, with a row for each student."""
    look = {"figsize": (7.2, height), "sharey": True, "layout": "constrained"}
    fig, axes = plt.subplots(1, len(tables), **look)
    for ax, (beta, table) in zip(axes, tables.items(), strict=True):
        rows = {name: (bar[0], losses(table, *bar)) for name, bar in beyond.BARS.items()}
        style.rows_of_students(ax, rows, cap=EDGE)
        ratio = claims.factor(beyond.gap(table)).partition(" (")[0]
        ax.set_title(f"β₂ = {beta}\ngap × {ratio}", fontsize=8.8)
        ax.set(xlim=(10**-10.6, 10**1.3), xticks=[1e-8, 1e-4, 1])
        ax.axvline(1, color="0.8", lw=0.8, zorder=0)
    fig.supxlabel("loss / zero predictor's", fontsize=10)


panels(MAP, 2.8);

# %% [markdown]
# The factor by which another $\beta_2$ lowers the loss of each student, median of pairs on eight teachers:

# %% tags=["hide-input"]
def fall(table, reference, place, **settings):
    pair = (losses(name, *place, **settings) for name in (reference, table))
    return claims.factor(statistics.paired_median(*pair))


others = [beta for beta in MAP if beta != ".999"]
rows = [
    [name, *(fall(MAP[beta], MAP[".999"], place) for beta in others)]
    for name, place in beyond.BARS.items()
]
columns = ["from .999 to", *(f"β₂ = {beta}" for beta in others)]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# **Hypothesis 8 fails.** It says that no bar moves more than tenfold. All three diagonal networks do, at .9 and .95, and
# so does the dense one on the ring, which gains more than any other, where it does not diverge. Beyond .999 nothing
# more is lost.
#
# **The gap depends on it too.** At .9 a dense network from the ring gets as low as the LRU in the median, but diverges
# on two of the eight teachers, so the interval of the gap reaches from below 1 to infinity. That takes two rates: with
# one rate for all the gap is 5,500 at .9 and between 14,000 and 92,000 at the other values.
#
# ## At 10,000 steps

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With five times the steps and sixteen teachers every network still learns better at .95 than at .999, by about two decades, and the gap is the same. Otherwise as above; losses below 1e-10 count as equal.", "name": "fig-beta2-long"}, "image": {"alt": "Two panels side by side with a row for each of six students, losses on a logarithmic axis. With .95: dense at 6e-7, dense on the ring at 1e-6 with an interval to the right edge, blocks and the three diagonal networks between 2e-10 and 1e-9. With .999: dense at 9e-4, dense on the ring at 3e-2, blocks and diagonal networks between 6e-8 and 6e-7."}}
panels(HEADLINE, 2.8);

# %% [markdown]
# All six medians fall by two decades with rates tuned separately, and by about as much with one rate. On the ring some
# runs diverge, so its interval starts at 0. A bar of Figure 3 thus depends on Adam's memory as well as on the network.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the factors by which .95 lowers each loss at 10,000 steps", "code_prompt_hide": "Hide them"}
pair = HEADLINE[".95"], HEADLINE[".999"]
rows = [
    [name, *(fall(*pair, place, **rate) for rate in ({}, {"ratio": 1}))]
    for name, place in beyond.BARS.items()
]
pd.DataFrame(rows, columns=["student", "rates tuned apart", "one rate"]).style.hide(axis="index")

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show hypothesis 8 in a table: measures, bounds, verdicts", "code_prompt_hide": "Hide the table"}
claims.hypotheses("08")

# %% [markdown]
# ## Why it matters
# Adam divides by $\sqrt{\hat v}$, the root of an average of squared gradients over about $1/(1 - \beta_2)$ steps. If
# gradients fall faster than that, $\sqrt{\hat v}$ still remembers the first ones, and an effective rate computed from
# it, as in [Figure 4b](../figures/fig04b.ipynb), tells how training began, not how curved the loss is now. Exercise 1
# is the smallest example; [history or curvature?](06-history-or-curvature.ipynb) measures it in these students.
#
# **The numbers:** at 2,000 steps [.9](../../rnnlib/lab/results/beyond_beta2_9_adam.csv),
# [.95](../../rnnlib/lab/results/beyond_beta2_95_adam.csv), [.99](../../rnnlib/lab/results/beyond_beta2_99_adam.csv),
# [.999](../../rnnlib/lab/results/beyond_beta2_999_adam.csv) and
# [.9999](../../rnnlib/lab/results/beyond_beta2_9999_adam.csv); at 10,000
# [.95](../../rnnlib/lab/results/beyond_headline_adam95.csv), [its further
# rates](../../rnnlib/lab/results/beyond_headline_adam95_wider.csv),
# [.999](../../rnnlib/lab/results/beyond_headline_adam.csv), [its further
# rates](../../rnnlib/lab/results/beyond_headline_adam_wider.csv). [How to
# cite](01-is-it-adam.ipynb#how-to-cite-this-page).

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: what Adam remembers
# *Predict, then run. Medium.* A gradient is 1 for 50 steps and then falls to $10^{-3}$ for good. By what factor does
# $\sqrt{\hat v}$ exceed the gradient after 1,000 steps, for $\beta_2 = .9$, $.99$ and $.999$? After how many steps is
# it within a factor of two, for $\beta_2 = .99$?
#
# <details>
# <summary>Solution 1</summary>
#
# After $t > 50$ steps $v_t = (1 - \beta_2^{50})\, \beta_2^{t - 50} + 10^{-6} (1 - \beta_2^{t - 50})$, and
# $\hat v_t = v_t / (1 - \beta_2^t)$. For $\beta_2 = .9$ and $t = 1{,}000$ the first term is gone and the ratio is 1.
# For $.99$ it has fallen to $3 \times 10^{-5}$, which is still 30 times the second: the ratio is 5.4. For $.999$ it is
# .02: the ratio is 170. For $.99$ the first term is below three times the second, so that the ratio is below 2, from
# step 1,223 on. An average that forgets a fixed share in each step needs a time proportional to the logarithm of the
# fall.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
def ratios(beta, steps=3_000):
    v, found = 0.0, []
    for t in range(1, steps + 1):
        g = 1.0 if t <= 50 else 1e-3
        v = beta * v + (1 - beta) * g**2
        found.append((v / (1 - beta**t)) ** 0.5 / g)
    return np.array(found)


for beta in (0.9, 0.99, 0.999):
    print(f"beta2 = {beta}: {ratios(beta)[999]:.3g}")
first = int(np.flatnonzero(ratios(0.99)[50:] < 2)[0]) + 51
print(f"within a factor of two from step {first:,} on")
assert first == 1_223
assert [float(f"{ratios(beta)[999]:.2g}") for beta in (0.9, 0.99, 0.999)] == [1, 5.4, 170]
answer = [*(ratios(beta)[999] for beta in (0.9, 0.99, 0.999)), first]  # the three ratios, the step
assert abs(answer[0] - 1) < 0.05, "at .9 the first gradients are forgotten"
assert abs(answer[1] - 5.4) < 0.1, "at .99: mind the root, and the fifty steps"
assert abs(answer[2] - 173) < 5, "at .999: mind the bias correction of v"
assert abs(answer[3] - 1223) < 2, "the step: look only after the fall"
