# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 10: when eigenvalues crowd together
#
# **You will see** the Hessian over ten eigenvalues lose its diagonal as their angles concentrate, with correlated inputs as the paper's
# code has them and with uncorrelated inputs as its text says. **You need** [the Hessian at the
# optimum](../theory/05-hessian-at-the-optimum.ipynb). **Time** under a minute on a CPU.
#
# Panel D shows trained networks, from stored results of the full experiment.

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
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import SymLogNorm
from rnnlib import theory
from rnnlib.lab import claims, style
from rnnlib.lab.curvature import diagonal_fraction
from rnnlib.parametrization import ring

style.use()

# %% [markdown]
# ## The Hessian from its closed form
# Ten eigenvalues with moduli between $\nu_0 = .99$ and $.995$ and angles uniform in $[-\theta_0, \theta_0]$; input and output weights
# complex normal. The draws differ in the angles' scale $\theta_0$ alone.

# %%
thetas = {r"\pi/100": np.pi / 100, r"\pi/10": np.pi / 10, r"\pi": np.pi}


def network(theta, seed):
    generator = torch.Generator().manual_seed(seed)
    lam = ring(10, 0.99, 0.995, theta, generator=generator, dtype=torch.complex128)
    b, c = torch.randn(2, 10, generator=generator, dtype=torch.complex128)
    return lam.numpy(), b.numpy(), c.numpy()


def hessian(theta, rho, seed=0):
    """The closed form, rows ordered (Re, Im) of one unit after the other."""
    H = theory.diagonal_hessian(*network(theta, seed), rho)
    return torch.tensor(H.reshape(2, 10, 2, 10).transpose(1, 0, 3, 2).reshape(20, 20))


# %% mystnb={"figure": {"caption": "Hessians over real and imaginary parts of ten eigenvalues, each divided by its largest entry; symmetric logarithmic colours. Columns A to C: angles ever less concentrated. Above: $\\rho = .99$, as the paper's code has it; below: $\\rho = 0$, as its text says. In the titles: the share of the squared norm on the diagonal, and the largest eigenvalue.", "name": "fig-10"}, "image": {"alt": "Two rows of three matrices with twenty rows and columns. In the left column, with angles within pi/100, strong entries fill the whole matrix. In the middle column they thin out. In the right column, angles over the whole circle, little remains beside the diagonal. Both input correlations look alike; titles give diagonal shares that rise from left to right and the largest eigenvalues."}}
fig, axes = plt.subplots(2, 3, figsize=(8, 5.2), sharex=True, sharey=True, layout="constrained")
for row, rho in zip(axes, [0.99, 0], strict=True):
    for ax, panel, (name, theta) in zip(row, "ABC", thetas.items(), strict=True):
        H = hessian(theta, rho)
        image = ax.imshow(H / H.abs().max(), cmap="PuOr", norm=SymLogNorm(1e-4, vmin=-1, vmax=1))
        top = torch.linalg.eigvalsh(H)[-1]
        letter = f"{panel}: $\\theta_0 = {name}$\n" if rho else ""
        ax.set_title(f"{letter}{diagonal_fraction(H):.0%}, {top:.1e}")
        ax.set(xticks=[0, 19], yticks=[0, 19], xticklabels=[1, 20], yticklabels=[1, 20])
    row[0].set_ylabel(rf"$\rho = {rho}$")
fig.colorbar(image, ax=axes, label="entry / largest entry");

# %% [markdown]
# A network with such a Hessian cannot be helped by one learning rate for each coordinate: that only rescales rows and columns. Concentrated
# angles mean units that do nearly the same, and the loss knows only their sum.
#
# ## Erratum 7: correlated or uncorrelated?
# Text and caption speak of uncorrelated inputs, the code uses $\rho = .99$. That the diagonal is lost hardly depends on it. The growth of
# the largest eigenvalue does: at $\rho = .99$ it comes from moving the eigenvalues towards 1, where correlated inputs add up, and not from
# their crowding. Twenty draws:

# %%
scales = np.pi * np.logspace(-2, 0, 9)
fractions, tops = {}, {}
for rho in [0.99, 0]:
    drawn = [[hessian(theta, rho, seed) for seed in range(20)] for theta in scales]
    fractions[rho] = np.array([[diagonal_fraction(H) for H in row] for row in drawn])
    tops[rho] = np.array([[torch.linalg.eigvalsh(H)[-1] for H in row] for row in drawn])

# %% mystnb={"figure": {"caption": "Median and quartiles of 20 draws against the range of angles, the whole circle on the left. Left: share of the squared norm on the diagonal. Right: largest eigenvalue.", "name": "fig-10-draws"}, "image": {"alt": "Left: the diagonal share falls from 1 at pi to about 0.4 at pi/100, nearly alike for both correlations. Right, logarithmic: with correlation 0.99 the largest eigenvalue rises by four decades from pi to pi/100; with uncorrelated inputs it is nearly flat."}}
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.7), layout="constrained")
panels = [(axes[0], fractions, "diagonal fraction"), (axes[1], tops, "largest eigenvalue")]
for ax, values, label in panels:
    for rho, marker, color in zip([0, 0.99], "os", style.sequence("rho", 2), strict=True):
        low, middle, high = np.quantile(values[rho], [0.25, 0.5, 0.75], axis=1)
        ax.plot(scales / np.pi, middle, marker + "-", ms=4, color=color, label=rf"$\rho = {rho}$")
        ax.fill_between(scales / np.pi, low, high, color=color, alpha=0.2, lw=0)
    ax.set(xscale="log", xlabel=r"$\theta_0 / \pi$", ylabel=label)
    ax.set_xlabel(r"$\theta_0 / \pi$, ever more crowded $\rightarrow$")
    ax.invert_xaxis()
axes[0].set_ylim(0, 1.02)
axes[1].set_yscale("log")
axes[0].legend();

# %% [markdown]
# The same ten eigenvalues within $\pi/100$, turned by a quarter of the circle: as crowded, but around $i$ instead of 1. Medians of the largest
# eigenvalue at $\rho = .99$:

# %%
def turned(theta, turn, seed):
    lam, b, c = network(theta, seed)
    return np.linalg.eigvalsh(theory.diagonal_hessian(turn * lam, b, c, 0.99))[-1]


draws = {"all around": (np.pi, 1), "near 1": (np.pi / 100, 1), "near i": (np.pi / 100, 1j)}
medians = {
    name: np.median([turned(theta, turn, seed) for seed in range(20)])
    for name, (theta, turn) in draws.items()
}
print({name: f"{value:.1e}" for name, value in medians.items()})
assert medians["near 1"] > 1000 * medians["near i"]

# %% [markdown]
# ## The closed form against automatic differentiation
# The same Hessian without any formula: the loss $\frac{1}{2}\mathrm{E}(y - y^*)^2$ is a quadratic form in the difference of two impulse
# responses, with the inputs' autocorrelation as its matrix, and `torch.func.hessian` differentiates it through the recurrence.

# %%
from rnnlib import DiagonalRNN
from rnnlib.lab.curvature import hessian as by_autodiff, response_loss

lags = torch.arange(3000)
for rho in [0.99, 0.0]:
    lam, b, c = map(torch.tensor, network(np.pi / 10, seed=0))
    layer = DiagonalRNN(1, 10, 1).double()
    parts = {"lam": lam, "B": b[:, None], "C": c[None]}
    layer.load_state_dict({name: torch.view_as_real(z) for name, z in parts.items()}, strict=False)
    R = torch.tensor(rho, dtype=torch.float64) ** (lags[:, None] - lags).abs()
    with torch.no_grad():
        response = layer.impulse_response(len(lags))[:, 0, 0]
    H = by_autodiff(layer, response_loss(response, R))
    exact = torch.tensor(theory.diagonal_hessian(lam.numpy(), b.numpy(), c.numpy(), rho))
    difference = (H.matrix[:20, :20] - exact).abs().max()
    print(f"rho = {rho}: largest difference / largest entry {difference / exact.abs().max():.1e}")

# %% [markdown]
# ## D: trained networks
# Students of [Figure 3](fig03.ipynb) at $\nu_0 = .99$, teachers with eigenvalues ever more concentrated; the students start with the same range of angles.
# Two runs on each of 32 teachers, a run's rate chosen by the other run on its teacher:

# %% tags=["hide-input"]
from rnnlib.lab import experiments, statistics
from rnnlib.lab.claims.fig10 import losses
from rnnlib.lab.experiments.analysis import best, mark_survivors, provenance, settings
from rnnlib.lab.paper_values import paper_values
from rnnlib.lab.training import train

setting = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if setting == "paper":  # recompute everything
    names = ["fig10d", "fig10d_teachers", "fig10d_wider", "fig03a_teachers", "fig03b_teachers"]
    every = [experiments.get(name) for name in names]
    experiments.run_all(every, "paper", device=device, progress=False)
ANGLES, theirs = [1.0, 0.316, 0.1, 0.0316, 0.01], paper_values("fig10")["D"]
found = {name: [losses(name, angle) for angle in ANGLES] for name in ("rnn", "crnn", "lru")}
printed = {"rnn": theirs["RNN"], "crnn": theirs["cRNN"], "lru": theirs["LRU"]}
printed = {name: np.array(values)[::-1] for name, values in printed.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The LRU overtakes the complex RNN once the angles concentrate; the dense RNN stays far behind both. Left: loss over the zero predictor's. Middle: the complex RNN's loss over the LRU's on the same teacher. Right: the dense RNN's over the complex RNN's. Dots: teachers, two runs each, a divergence at the upper edge; bars: median and 95 % interval of 32. Grey: the paper, one teacher.", "name": "fig-10d-teachers"}, "image": {"alt": "Three logarithmic plots against the largest angle over pi, 1 to 0.01, a column of dots with median and interval at each. Left: the dense RNN lies between 6e-5 and 5e-3 of the zero predictor's loss, the complex RNN falls from 3e-7 to 1e-7, the LRU from 8e-7 to 2e-8. Middle: the ratio rises from 0.4 at 1 to about 7 at 0.316 and stays there or a little below. Right: the ratio rises from 600 to 40,000 and falls back to 700 at 0.01; the paper's markers lie between 1,000 and 60,000."}}
fig, axes = plt.subplots(1, 3, figsize=(9.4, 3), layout="constrained")
for shift, (name, values) in zip((-0.22, 0, 0.22), found.items(), strict=True):
    for place, rows in enumerate(values):
        look = {"color": style.COLORS[name], "cap": 0}
        look |= {"label": experiments.LABELS[name]} if place == 0 else {}
        style.replicates(axes[0], place + shift, rows, **look)
pairs = [(axes[1], "crnn", "lru"), (axes[2], "rnn", "crnn")]
for ax, above, below in pairs:
    for place in range(len(ANGLES)):
        gap = statistics.difference(found[above][place], found[below][place])
        style.replicates(ax, place, gap, color="0.25", width=0.5, cap=7)
    ax.plot(range(len(ANGLES)), printed[above] / printed[below], **style.PAPER)
    ax.axhline(1, color="0.6", lw=0.8)
axes[0].axhline(1, color="0.6", ls=":")
titles = ["loss / zero predictor's", "complex RNN / LRU", "RNN / complex RNN"]
for ax, title in zip(axes, titles, strict=True):
    ax.set(yscale="log", title=title)
    ax.set_xticks(range(len(ANGLES)), [f"{angle:g}" for angle in ANGLES])
    ax.set_xlabel(r"$\theta_0 / \pi$, ever more crowded $\rightarrow$")
axes[0].set_ylim(top=2e3)
axes[0].legend(fontsize="small", loc="upper right")
axes[1].legend(fontsize="small");

# %% [markdown]
# The gap between the complex RNN and the LRU widens, as the paper says. With angles all around the circle the complex RNN is no worse: its loss
# is .39 times the LRU's (.21 to 1.3). Once the angles concentrate it is worse at every step, by a factor of four to seven. On the paper's
# teacher the LRU is ahead already at $\theta_0 = \pi$, by 1.9; on the median of 32 it is not. The complex RNN in turn is ahead of the dense one
# everywhere, by 550 to 38,000.
#
# Over the zero predictor's loss, both diagonal students do *better* as angles concentrate. Crowding shows in how far they part.

# %%
for name in ("fig10d_teachers", "fig10d_wider"):
    print(provenance(experiments.load(name)))

# %% [markdown]
# ### The paper's protocol: one teacher
# Best base rate of each, mean and standard error of ten seeds, none of which diverged at that rate. The teachers' outputs shrink as angles concentrate (the column "zero_loss" below), so the loss is shown
# over the zero predictor's too. Table 3 of the paper, printed from the definitions that ran:

# %%
settings(experiments.get("fig10d")).style.hide(axis="index")

# %%
frame = experiments.load("fig10d")
print(provenance(frame))
points = best(frame, ["student", "theta0"])
points["diverged in the grid"] = points.set_index(["student", "theta0"]).index.map(
    frame.groupby(["student", "theta0"])["diverged"].sum()
)
assert points.groupby("theta0")["zero_loss"].first().is_monotonic_increasing
formats = dict.fromkeys(["theta0", "rate"], "{:g}") | dict.fromkeys(["loss", "error"], "{:.1e}")
formats["zero_loss"] = "{:.3g}"
points.style.hide(axis="index").format(formats)

# %% mystnb={"figure": {"caption": "Loss against the largest angle of the teacher's eigenvalues, the whole circle on the left, mean and standard error of ten seeds, all of which converged. Left: the loss. Right: divided by the zero predictor's.", "name": "fig-10d"}, "image": {"alt": "Two log-log plots against theta0 over pi from 1 down to 0.01. The losses of the LRU and of the complex RNN fall as angles crowd, by three decades and one and a half, and cross between 1 and 0.3. The RNN lies far above both."}}
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.8), sharex=True, layout="constrained")
for student, group in points.groupby("student"):
    for ax, scale in zip(axes, [1, group["zero_loss"]], strict=True):
        loss, error = group["loss"] / scale, group["error"] / scale
        color, label = style.COLORS[student], experiments.LABELS[student]
        ax.errorbar(group["theta0"], loss, error, fmt="o-", ms=4, color=color, label=label)
        mark_survivors(ax, group["theta0"], loss, group)
    axes[0].plot(ANGLES, printed[student], **(style.PAPER | {"label": None}))
for ax, title in zip(axes, ["loss", "loss / zero predictor's"], strict=True):
    ax.set(xscale="log", yscale="log", title=title)
    ax.set_xlabel(r"$\theta_0 / \pi$, ever more crowded $\rightarrow$")
axes[0].invert_xaxis()
axes[0].legend(loc="center", bbox_to_anchor=(0.5, 0.64));

# %% [markdown]
# The ratio of the complex RNN's loss to the LRU's, and a run of each student at the largest angles, trained here for a fifth of the steps:

# %%
losses = points.pivot(index="theta0", columns="student", values="loss")
print((losses["crnn"] / losses["lru"]).round(2).to_dict())
small = experiments.get("fig10d").at("smoke" if setting == "smoke" else "book")
runs = [run for run in small.runs() if run.seed == 0 and run.theta0 == 1]
ensemble = train([run.member(small.protocol.length) for run in runs], small.protocol, device=device)
summary = ensemble.summary()
for run, ratio in zip(runs, summary.loss / summary.zero_loss, strict=True):
    print(f"live, {experiments.LABELS[run.student]}: loss / zero predictor's {ratio:.1e}")
print(f"{small.protocol.steps:,} steps in {ensemble.seconds:.0f} seconds on {device}")

# %% [markdown]
# On this teacher, too, the complex RNN is the better of the two over the whole circle, the reverse of the paper; within $\pi/100$ it is ten times
# worse.
#
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-10-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig10");

# %%
claims.table("fig10")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: more units or a narrower range
# *Predict, then run. Medium.* What does the Hessian's diagonal share depend on: the number of eigenvalues, the range of their angles, or both? Predict how that of 20
# eigenvalues within $\pm\pi/5$ compares with that of 10 within $\pm\pi/10$ and with that of 10 within $\pm\pi/5$, at $\rho = 0$, then
# compare medians of 20 draws.
#
# <details>
# <summary>Solution 1</summary>
#
# Units couple when their angles are within a width $1 - |\lambda|^2$, so what counts is how many neighbours each one has there: the density, number over range. Twenty
# in $\pm\pi/5$ are as dense as ten in $\pm\pi/10$ and have nearly the same share; ten in $\pm\pi/5$ are half as dense and have a larger
# one. Within the same range of angles a wider network has less diagonal curvature, not more.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
def share(units, theta, seed):
    generator = torch.Generator().manual_seed(seed)
    lam = ring(units, 0.99, 0.995, theta, generator=generator, dtype=torch.complex128).numpy()
    b, c = torch.randn(2, units, generator=generator, dtype=torch.complex128).numpy()
    return diagonal_fraction(torch.tensor(theory.diagonal_hessian(lam, b, c)))


medians = {
    (units, turn): np.median([share(units, np.pi / turn, seed) for seed in range(20)])
    for units, turn in [(10, 10), (20, 5), (10, 5)]
}
for (units, turn), value in medians.items():
    print(f"{units} eigenvalues within pi/{turn}: {value:.2f}")
assert abs(medians[20, 5] - medians[10, 10]) < medians[10, 5] - medians[10, 10]
answer = [medians[20, 5], medians[10, 10], medians[10, 5]]  # medians, in the question's order
assert abs(answer[0] - answer[1]) < abs(answer[2] - answer[1]), "which two are alike?"
assert answer[2] > answer[1], "fewer eigenvalues to a radian: is their Hessian more diagonal?"
