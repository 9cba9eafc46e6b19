# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 10: when eigenvalues crowd together
#
# **You will see** that the Hessian over ten eigenvalues is diagonal while their angles are spread out, but not when
# they crowd. **You need** [the Hessian at the optimum](../theory/05-hessian-at-the-optimum.ipynb). **Time** under a
# minute on a CPU.

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
import torch
from matplotlib.colors import LogNorm
from rnnlib import DiagonalRNN, theory
from rnnlib.lab import claims, style
from rnnlib.lab.curvature import diagonal_fraction, hessian as by_autodiff, response_loss
from rnnlib.parametrization import ring

style.use()
PANELS = {r"A: $\theta_0 = \pi/100$": np.pi / 100, r"B: $\theta_0 = \pi/10$": np.pi / 10}
PANELS |= {r"C: $\theta_0 = \pi$": np.pi}


def network(theta, seed):
    """Ten eigenvalues in the order of their angles, with input and output weights."""
    generator = torch.Generator().manual_seed(seed)
    lam = ring(10, 0.99, 0.995, theta, generator=generator, dtype=torch.complex128)
    b, c = torch.randn(2, 10, generator=generator, dtype=torch.complex128)
    return [values[lam.angle().argsort()].numpy() for values in (lam, b, c)]


def hessian(theta, rho, seed=0):
    """The closed form, rows ordered (Re, Im) of one unit after the other."""
    H = theory.diagonal_hessian(*network(theta, seed), rho)
    return torch.tensor(H.reshape(2, 10, 2, 10).transpose(1, 0, 3, 2).reshape(20, 20))


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Spread over the circle (C), eigenvalues have a diagonal Hessian; crowded (A), they do not; in between (B), nearly equal angles interact, and nearly opposite ones. Hessians over real and imaginary parts of ten eigenvalues in the order of their angles, which are uniform in $[-\\theta_0, \\theta_0]$. Colours: size of an entry relative to the largest. Above: inputs with $\\rho = 0.99$, as in the paper's code; below: $\\rho = 0$, as in its text. Percentages: share of the squared norm on the diagonal.", "name": "fig-10"}, "image": {"alt": "Two rows of three matrices with twenty rows and columns. A, angles within pi/100: dark entries all over the matrix. B, within pi/10: entries along the diagonal and, mostly paler, along the other diagonal, so that they form a cross. C, the whole circle: little but the diagonal. Both input correlations look alike; percentages rise from A to C."}}
fig, axes = plt.subplots(2, 3, figsize=(7.2, 4.6), sharex=True, sharey=True, layout="constrained")
for row, rho in zip(axes, [0.99, 0], strict=True):
    for ax, (title, theta) in zip(row, PANELS.items(), strict=True):
        H = hessian(theta, rho)
        size = (H.abs() / H.abs().max()).clamp(min=1e-3)
        image = ax.imshow(size, cmap="Blues", norm=LogNorm(1e-3, 1))
        ax.set(xticks=[0, 19], yticks=[0, 19], xticklabels=[1, 20], yticklabels=[1, 20])
        share = f"{diagonal_fraction(H):.0%} on the diagonal"
        ax.set_title(f"{title}\n{share}" if rho else share)
    row[0].set_ylabel(rf"$\rho = {rho}$")
fig.colorbar(image, ax=axes, label="|entry| / largest", shrink=0.7);

# %% [markdown]
# In C hardly any two eigenvalues interact. In B those with nearly equal angles do (along the diagonal), and those with
# nearly opposite angles, almost conjugate (along the other diagonal). In A all of them do: the units are nearly alike,
# and the loss depends only on their sum. A learning rate per coordinate helps little then: it only rescales rows and
# columns.
#
# [Figure 10b](fig10b.ipynb), panel D of the paper, shows what crowding does to trained networks.

# %% [markdown]
# ## Erratum 7: correlated or uncorrelated?
# Text and caption speak of uncorrelated inputs; the code uses $\rho = 0.99$. Crowded eigenvalues have a less diagonal
# Hessian either way. But the largest eigenvalue grows by four decades at $\rho = 0.99$, and by a factor of about two at
# $\rho = 0$.

# %% tags=["hide-input"]
scales = np.pi * np.logspace(-2, 0, 9)
fractions, tops = {}, {}
for rho in [0.99, 0]:
    drawn = [[hessian(theta, rho, seed) for seed in range(20)] for theta in scales]
    fractions[rho] = np.array([[diagonal_fraction(H) for H in row] for row in drawn])
    tops[rho] = np.array([[torch.linalg.eigvalsh(H)[-1] for H in row] for row in drawn])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With either correlation crowding makes the Hessian less diagonal; the largest eigenvalue grows by decades with correlated inputs only. Left: share of the squared norm on the diagonal. Right: largest eigenvalue. Median and quartiles of 20 draws against the range of angles; the whole circle on the left.", "name": "fig-10-draws"}, "image": {"alt": "Left: the diagonal share falls from 1 at pi to about 0.4 at pi/100, nearly alike for both correlations. Right, logarithmic: with correlation 0.99 the largest eigenvalue rises by four decades from pi to pi/100; with uncorrelated inputs it is nearly flat."}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), layout="constrained")
panels = [(fractions, "share on the diagonal", {0: (0.03, 0.83), 0.99: (0.09, 0.55)})]
panels += [(tops, "largest eigenvalue", {0: (0.02, 4.5e6), 0.99: (0.06, 2e7)})]
for ax, (values, label, places) in zip(axes, panels, strict=True):
    for rho, marker, color in zip([0, 0.99], "os", style.sequence("rho", 2), strict=True):
        low, middle, high = np.quantile(values[rho], [0.25, 0.5, 0.75], axis=1)
        ax.plot(scales / np.pi, middle, marker + "-", ms=4, color=color)
        ax.fill_between(scales / np.pi, low, high, color=color, alpha=0.2, lw=0)
        ax.text(*places[rho], rf"$\rho = {rho}$", color=color, ha="center", va="bottom")
    ax.set(xscale="log", ylabel=label, xlabel=r"$\theta_0 / \pi$, ever more crowded $\rightarrow$")
    ax.invert_xaxis()
axes[0].set_ylim(0, 1.02)
axes[1].set_yscale("log");

# %% [markdown]
# At $\rho = 0.99$ the growth comes from moving the eigenvalues towards 1, where correlated inputs add up, and not from
# their crowding. Turned by a quarter of the circle, the same ten eigenvalues are as crowded, but around $i$ instead
# of 1. Medians of the largest eigenvalue:

# %% tags=["hide-input"]
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
# All of this comes from a closed form, for ten eigenvalues with moduli between $\nu_0 = 0.99$ and 0.995 and complex
# normal input and output weights. The panels differ only in the angles' scale $\theta_0$.
#
# The same Hessian follows without any formula. The loss $\frac{1}{2}\mathrm{E}(y - y^*)^2$ is a quadratic form in the
# difference of two impulse responses, with the inputs' autocorrelation as its matrix. `torch.func.hessian`
# differentiates it through the recurrence:

# %%
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
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-10-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig10");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig10")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: more units or a narrower range
# *Predict, then run. Medium.* What does the Hessian's diagonal share depend on: the number of eigenvalues, the range of
# their angles, or both? Take 20 eigenvalues within $\pm\pi/5$. Predict how their share compares with that of 10 within
# $\pm\pi/10$ and with that of 10 within $\pm\pi/5$, at $\rho = 0$. Then compare medians of 20 draws.
#
# <details>
# <summary>Solution 1</summary>
#
# Units couple when their angles are within a width $1 - |\lambda|^2$. So what counts is how many neighbours each one
# has there: the density, number over range. Twenty in $\pm\pi/5$ are as dense as ten in $\pm\pi/10$ and have nearly the
# same share. Ten in $\pm\pi/5$ are half as dense and have a larger one. Within the same range of angles a wider network
# has a less diagonal Hessian.
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
