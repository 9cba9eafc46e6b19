# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Which optimisers notice a rotation?
#
# **You will see** the same diagonal networks trained in random bases of their eigenvalue parameters, and a dense
# network in two bases of its state. **You need** [Is it diagonality, or is it Adam?](01-is-it-adam.ipynb); [a basis to
# turn](../play/04-basis.ipynb) shows the same with two eigenvalues. **Time** a few seconds; the runs are stored.
#
# Adam and Muon do, SGD does not. In the median, a random basis of the recurrent parameters costs Adam two decades in
# the LRU and little in the complex diagonal network, though tenfold on three of its eight teachers; it costs Muon four
# decades in the dense one. A random basis of all parameters costs Adam four.

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
OPTIMIZERS = {"Adam": "adam", "Muon": "muon", "SGD": "sgd"}
SIZES = {"adam": (1, 2, 4, 8, 16, 32, 64, 128), "muon": (1, 2, 8, 128), "sgd": (1, 128)}
ALL = {"crnn": 385, "lru": 449}  # parameters in all
LABELS = {"crnn": "complex diagonal", "lru": "LRU", "rnn": "dense: rows of A"}


def losses(optimizer, student, size, **settings):
    """Decades over the zero predictor's loss, a row a teacher."""
    return beyond.best(f"rotation_{optimizer}", (student,), rotation=size, **settings)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Under Adam a random basis costs the LRU two decades and the complex diagonal network hardly any; a basis of all parameters costs both about four. Muon notices as well, most of all in the dense network; SGD does not. Loss over the zero predictor's after 2,000 steps against the size of the blocks within which recurrent parameters are trained in a random orthogonal basis: 1 is the network as it is, 2 a rotation within each eigenvalue, 128 one basis for all eigenvalues; all: one basis for all parameters, B, C and D included. In the dense network: a basis for each row of A (64 entries). Medians and 95 % intervals of eight teachers; a run that diverges stands at the top.", "name": "fig-rotation"}, "image": {"alt": "Three panels of loss on a logarithmic axis against block size from 1 to 128. Adam: the LRU rises from 1e-5 to 1e-3, the complex diagonal network stays near 1e-5, the dense network near 1e-2; with a basis of all parameters the LRU is at 0.2 and the complex diagonal network at 0.04. Muon: the LRU rises from 3e-6 to 7e-3, the complex diagonal network from 5e-7 to 4e-6, the dense one from 6e-7 to 7e-3. SGD: three level lines, the LRU at 5e-2, the dense network at 5e-3, the complex diagonal one at 6e-5."}}
fig, axes = plt.subplots(
    1, 3, figsize=(7.2, 3.1), sharey=True, width_ratios=[1.5, 1, 1], layout="constrained"
)
for ax, (name, optimizer) in zip(axes, OPTIMIZERS.items(), strict=True):
    for number, student in enumerate(LABELS):
        sizes = (1, 64) if student == "rnn" else SIZES[optimizer]
        color, shift = style.COLORS[student], 1.08 ** (number - 1)
        points = [(size, losses(optimizer, student, size)) for size in sizes]
        if optimizer == "adam" and student in ALL:
            points.append((500, losses(optimizer, student, ALL[student])))
        estimates = [statistics.median(decades) for _, decades in points]
        x = [size * shift for size, _ in points]
        numbers = [(e.value, e.low, e.high) for e in estimates]
        value, low, high = 10 ** np.minimum(np.transpose(numbers), 1)
        inside = len(sizes)
        ax.plot(x[:inside], value[:inside], "o-", ms=4, color=color)
        ax.plot(x[inside:], value[inside:], "o", ms=4, color=color)
        ax.vlines(x, low, high, color=color, lw=1.2)
    ax.set(xscale="log", yscale="log", title=name, xlim=(0.7, 800 if optimizer == "adam" else 250))
    ticks = [1, 2, 8, 32, 128] if optimizer != "sgd" else [1, 8, 128]
    labels = list(map(str, ticks))
    if optimizer == "adam":
        ticks, labels = [*ticks, 500], [*labels, "all"]
    ax.set_xticks(ticks, labels)
    ax.minorticks_off()
axes[0].set_ylabel("loss / zero predictor's")
axes[1].set_xlabel("size of the blocks")
for student, label in LABELS.items():
    end = statistics.median(losses("sgd", student, 1)).value
    look = {"textcoords": "offset points", "color": style.COLORS[student], "fontsize": 8.8}
    axes[2].annotate(label, (1.6, 10**end), (0, 4 if student != "rnn" else -14), **look)

# %% [markdown]
# The cost of a basis: the factor by which it raises the network's loss, median of pairs. With one basis for all
# parameters there is only one rate, so there the unrotated network has one, too.

# %% tags=["hide-input"]
rows = []
for name, optimizer in OPTIMIZERS.items():
    for student, label in LABELS.items():
        size = 64 if student == "rnn" else 128
        costs = statistics.difference(
            losses(optimizer, student, size), losses(optimizer, student, 1)
        )
        whole = "–"
        if optimizer == "adam" and student in ALL:
            plain = losses(optimizer, student, 1, ratio=1)
            pairs = statistics.paired_median(losses(optimizer, student, ALL[student]), plain)
            whole = claims.factor(pairs)
        above = int((costs > 1).sum())
        rows.append([name, label, claims.factor(statistics.median(costs)), above, whole])
columns = ["optimiser", "student", "one basis of recurrent parameters"]
columns += ["above tenfold on, of 8 teachers", "one basis of all parameters"]
pd.DataFrame(rows, columns=columns).style.hide(axis="index")

# %% [markdown]
# **Under Adam** the LRU loses as expected, on all teachers but one, and more in larger blocks. The complex diagonal
# network loses more than tenfold on three of eight teachers and nothing on the others, so hypotheses 4a and 4b, which
# require both networks to lose, are undecided. Even the LRU stays ahead of the dense network. A basis of all
# parameters, B, C and D included, is another matter: it makes both diagonal networks as bad as the dense one, or worse.
# So most of Adam's advantage from coordinates does not come from the eigenvalues alone.
#
# **Muon** depends as much on structure of its own. We rotated each row of the dense A separately, which preserves A's
# rows but destroys its columns: there Muon does no better than Adam, and Adam notices nothing. We had no hypothesis
# about that. **SGD** notices no basis, as theory says.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show hypotheses 4 to 6 in a table: measures, bounds, verdicts", "code_prompt_hide": "Hide the table"}
claims.hypotheses("04", "05", "06")

# %% [markdown]
# ## What an optimiser can see
# Write the parameters in another basis, $\theta = Q \phi$. The gradient becomes $Q^\top g$. An optimiser is
# *equivariant* to $Q$ if training $\phi$ and mapping back gives the path of training $\theta$; then no basis is better
# than another, and sharp directions that lie along coordinates cannot help it.
#
# | optimiser | signed permutations of all parameters | rotations of rows and of columns of a matrix | all rotations |
# | --- | --- | --- | --- |
# | SGD with momentum, bounded gradient norm | yes | yes | yes |
# | sign descent, Adam | yes | no | no |
# | Muon, SOAP (on A) | only of rows and of columns | yes | no |
# | L-BFGS, Gauss-Newton with damping | yes | yes | yes |
#
# L-BFGS and Levenberg's damping begin from a multiple of the identity: both notice a change of scale, but no rotation.
#
# **A diagonal recurrence.** To Muon and SOAP an eigenvalue is a matrix of one row,
# $(\mathrm{Re}\,\lambda, \mathrm{Im}\,\lambda)$: they do not notice a rotation within an eigenvalue (blocks of 2), but
# do once a block mixes two. Adam notices blocks of 2 and more, SGD none.
#
# **A dense recurrence has no basis of its own.** $(A, B, C)$ and $(Q A Q^\top, Q B, C Q^\top)$ with an orthogonal $Q$
# produce the same outputs:
#
# $$C Q^\top (Q A Q^\top)^\tau Q B = C A^\tau B .$$
#
# This *gauge* is a rotation of all parameters, of rows and columns of A at once. So SGD, L-BFGS and Gauss-Newton train
# a dense network to the same loss in every basis of its state; Adam does not, and Muon does so for A but not for B and
# C, which Adam updates. Where the initial distribution is the same in every basis, as for A, B and C here, a rotation
# changes nothing on average under any optimiser. A start of 2×2 blocks has a preferred basis and can lose it.
#
# Each line has [a test](https://repository.invalid/owner/name/blob/main/tests/lab/test_optimizers.py).
#
# ## One dense network, two bases of its state
# We compare a dense A that starts as 32 blocks of 2×2, zero elsewhere, with the same network in a random basis. Both
# start with the same outputs and loss.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Under Adam a random basis of the state raises the loss of most dense networks; under Muon and SGD the median hardly changes. Loss in the random basis over loss in the basis of the blocks after 2,000 steps. Dots: teachers; bars: median and 95 % interval of eight. Dotted: a factor of two. At the lower edge: a network that diverged only in the basis of the blocks.", "name": "fig-gauge"}, "image": {"alt": "Three columns of dots on a logarithmic axis. Adam: median 3.4, seven of eight dots above 1, three above 10. Muon: median 0.9, most dots within a factor of three of 1, two near 0.01 and 0.002. SGD: median 1, most dots on 1, one above 10 and one at the lower edge."}}
fig, ax = plt.subplots(figsize=(5, 2.6), layout="constrained")
for place, optimizer in enumerate(OPTIMIZERS.values()):
    turned, blocks = (
        beyond.best(f"gauge_{optimizer}", (f"rnn_from_blocks{end}",)) for end in ("_turned", "")
    )
    cost = statistics.difference(turned, blocks)
    shown = np.maximum(cost, -3.5)
    style.replicates(ax, place, shown, color=style.COLORS["rnn"], width=0.4, cap=6)
ax.axhline(1, color="0.6", lw=0.8)
ax.axhline(2, color="0.4", ls=":")
ax.set(yscale="log", ylabel="random basis / blocks")
ax.set_xticks(range(3), OPTIMIZERS);

# %% [markdown]
# Under Adam the loss is 3.4 (0.97 to 22) times as high in the random basis, so hypothesis 6 is undecided. In theory the
# basis may matter under Adam, and under Muon through B and C, where we see no effect in the median. Under SGD both
# bases follow one path in exact arithmetic. On two teachers they part nevertheless: near the largest stable rate,
# rounding in single precision may decide whether a run diverges.
#
# For transformers, [Zhang et al. (2025)](https://arxiv.org/abs/2410.19964) find that Adam does well in bases in which
# its update of a matrix is nearly orthogonal. Whether that predicts what a basis costs here is hypothesis 13 of [the
# first page](01-is-it-adam.ipynb#all-hypotheses).
#
# **The numbers:** rotations under [Adam](../../rnnlib/lab/results/beyond_rotation_adam.csv),
# [Muon](../../rnnlib/lab/results/beyond_rotation_muon.csv), [SGD](../../rnnlib/lab/results/beyond_rotation_sgd.csv);
# two bases of the state under [Adam](../../rnnlib/lab/results/beyond_gauge_adam.csv),
# [Muon](../../rnnlib/lab/results/beyond_gauge_muon.csv), [SGD](../../rnnlib/lab/results/beyond_gauge_sgd.csv). [How to
# cite](01-is-it-adam.ipynb#how-to-cite-this-page).

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: a gauge is a rotation
# *Derive. Easy.* The map $(A, B, C) \to (Q A Q^\top, Q B, C Q^\top)$ with an orthogonal $Q$ is linear in the
# parameters. Show that it is orthogonal: it preserves the sum of the squares of all parameters. Which optimisers of the
# table must therefore reach the same loss from both?
#
# <details>
# <summary>Solution 1</summary>
#
# The trace is cyclic, so
# $\lVert Q A Q^\top \rVert_F^2 = \mathrm{tr}(Q A^\top Q^\top Q A Q^\top) = \lVert A \rVert_F^2$, and likewise
# $\lVert Q B \rVert = \lVert B \rVert$, $\lVert C Q^\top \rVert = \lVert C \rVert$; a linear map that preserves all
# norms is orthogonal. Gradients transform by the same map, since the outputs and so the loss agree. Optimisers that are
# equivariant to every rotation follow the same path in both bases: SGD, also with clipped gradients, L-BFGS and
# Gauss-Newton. Adam and sign descent need not; nor need Muon, because Adam updates B and C.
#
# </details>

# %% [markdown]
# ### Exercise 2: give Adam a basis
# *Predict, then run. Medium.* In [the plane of two eigenvalues](../play/04-basis.ipynb) turn the parameters by 45
# degrees. Before each step of Adam, map the gradient into the eigenvectors of $J^\top J$ *at the start*, and map the
# step back. Does Adam arrive now? And with the eigenvectors of the average of $g g^\top$ over past gradients, computed
# anew every ten steps? That is the idea of SOAP.
#
# <details>
# <summary>Solution 2</summary>
#
# Both do: less than $10^{-7}$ of the loss is left after 200 steps, against three per cent without them. At the start
# the eigenvectors of $J^\top J$ lie within three degrees of the axes of the eigenvalues, because memories differ. Past
# gradients point along the steep direction most of the time, so their average finds it too. What Adam lacks is a basis,
# and it can be learned.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
TEACHER = np.array([0.5, 0.95])
TURN = np.array([[1, -1], [1, 1]]) / np.sqrt(2)


def gradient(lam):
    both = np.concatenate([lam, TEACHER])
    return ((1, 1, -1, -1) * both / (1 - np.outer(lam, both)) ** 2).sum(axis=1)


def loss(lam):
    both = np.concatenate([lam, TEACHER])
    return 0.5 * (np.outer((1, 1, -1, -1), (1, 1, -1, -1)) / (1 - np.outer(both, both))).sum()


def adam(basis, rate=0.01, steps=200):
    """Loss over that of the start; ``basis(step, G)`` gives axes, G is the average of g g'."""
    phi, m, v, G = TURN.T @ (0.1, 0.8), np.zeros(2), np.zeros(2), np.zeros((2, 2))
    first = loss(TURN @ phi)
    for t in range(1, steps + 1):
        g = TURN.T @ gradient(TURN @ phi)
        G = 0.95 * G + 0.05 * np.outer(g, g)
        axes = basis(t, G)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * (axes.T @ g) ** 2
        step = axes.T @ m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        phi = phi - rate * axes @ step
    return loss(TURN @ phi) / first


kept = {}


def from_the_past(t, G):
    if t % 10 == 1:
        kept["axes"] = np.linalg.eigh(G)[1]
    return kept["axes"]


products = np.outer((0.1, 0.8), (0.1, 0.8))
at_start = np.linalg.eigh(TURN.T @ ((1 + products) / (1 - products) ** 3) @ TURN)[1]
ways = {
    "turned by 45 degrees": lambda t, G: np.eye(2),
    "eigenvectors of J'J at the start": lambda t, G: at_start,
    "eigenvectors of past gradients": from_the_past,
    "own axes": lambda t, G: TURN.T,
}
left = {name: adam(basis) for name, basis in ways.items()}
for name, value in left.items():
    print(f"{name:34} {value:.1e} of the loss left")
assert max(left[name] for name in list(ways)[1:]) < 1e-7
assert 0.025 < left["turned by 45 degrees"] < 0.035
tilt = np.degrees(np.arccos(np.abs(TURN @ at_start).max(axis=0)))
assert tilt.max() < 3
answer = [left[name] for name in list(ways)[1:3]]  # loss left, over the first: start, past
assert answer[0] < 1e-5, "start: map in before Adam's averages, and the step back after them"
assert answer[1] < 1e-5, "past: average g g', as Adam does g, and take its eigenvectors"
