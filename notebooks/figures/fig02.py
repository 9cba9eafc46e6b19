# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 2: two changes that stop the growth
#
# **You will see** that scaling the input and reparametrising the eigenvalue end the growth with memory, unless inputs
# are perfectly correlated. **You need** [normalisation and
# reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb). **Time** under a minute on a CPU.

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
from rnnlib import theory
from rnnlib.lab import claims, style

style.use()
rhos = [0, 0.9, 0.99, 0.999, 1]
eps = np.logspace(-4, -0.01, 400)  # distance to the edge of stability, 1 - lambda
lam = 1 - eps
gamma2 = 1 - lam**2
slope2 = (lam * np.log(lam)) ** 2  # (d lambda / d nu)^2
variance = {rho: gamma2 * theory.state_variance(lam, rho) for rho in rhos}
sensitivity = {rho: gamma2 * slope2 * theory.sensitivity(lam, rho) for rho in rhos}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "For $\\rho < 1$ every curve levels off, at a height that the correlation sets; at $\\rho = 1$ both moments still grow. A: second moment of the state. B: of its sensitivity to $\\nu$. Grey: with neither change, at $\\rho = 1$ (in B the derivative is then with respect to $\\lambda$). Dotted: the plateaus $(1 + \\rho)/(1 - \\rho)$ and half of that. All curves are closed forms.", "name": "fig-02"}, "image": {"alt": "Two log-log plots against the memory length 1/(1 - lambda), one curve for each input correlation rho. Curves with rho below 1 level off at dotted plateaus that rise with rho; the curve with rho equal to 1 keeps growing. Grey curves, without normalisation and reparametrisation, leave the top of both plots."}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), sharex=True, sharey=True, layout="constrained")
panels = [  # axes, moments, moments without either change, plateau at rho = 0
    (axes[0], variance, theory.state_variance(lam, 1), 1.0),
    (axes[1], sensitivity, theory.sensitivity(lam, 1), 0.5),
]
colors = style.sequence("rho", len(rhos))
for ax, moments, plain, factor in panels:
    ax.loglog(1 / eps, plain, color="0.6")
    for rho, color in zip(rhos, colors, strict=True):
        ax.loglog(1 / eps, moments[rho], color=color)
        if rho < 1:
            ax.axhline(factor * (1 + rho) / (1 - rho), color=color, ls=":", lw=1)
    ax.set(xlabel=r"memory length $1/(1 - \lambda)$", ylim=(1e-2, 1e6))
axes[0].set_title(r"A: state, $\mathrm{E}\,h^2$")
axes[1].set_title(r"B: sensitivity, $\mathrm{E}\,(\mathrm{d}_\nu h)^2$")
axes[0].text(150, 1e5, "neither change,\n" + r"$\rho = 1$", color="0.4", ha="right")
names = ["0", "0.9", "0.99", "0.999", r"$\rho = 1$"]
for ax, moments, *_ in panels:
    ends = [moments[rho][0] for rho in rhos]
    style.label_ends(ax, list(zip(ends, names, colors, strict=True)))

# %% [markdown]
# For white inputs the second moment of the state is 1 and that of its sensitivity at most 1/2, whatever the memory. At
# $\rho = 1$ both still grow, as $2/(1-\lambda)$.

# %% [markdown]
# ## Why
# A state with memory $1/(1-\lambda)$ adds up that many inputs, so its variance grows in proportion. Scaling the input
# by $\gamma = \sqrt{1 - \lambda^2}$ removes exactly this growth when inputs are uncorrelated:

# %%
theory.state_variance(0.999, 0.0) * (1 - 0.999**2)

# %% [markdown]
# The second moment of the sensitivity grows with the third power of memory, so scaling is not enough. With $\lambda =
# e^{-e^{\nu}}$, equal steps of $\nu$ are ever smaller steps of $\lambda$ as memory grows: the chain rule multiplies the
# moment by $(\mathrm{d}\lambda/\mathrm{d}\nu)^2 = (\lambda \ln \lambda)^2$, which removes the other two powers:

# %%
for value in [0.9, 0.99, 0.999]:
    plain = theory.sensitivity(value, 0.0)
    scaled = (1 - value**2) * plain
    print(f"lambda {value}: {plain:.3g}, with gamma {scaled:.3g}, "
          f"with gamma and nu {scaled * (value * np.log(value)) ** 2:.3f}")

# %% [markdown]
# As in the paper, the derivative holds $\gamma$ constant. (Here $\nu$ is the paper's letter for the raw parameter that
# the other pages call $\omega_\nu$.)

# %% [markdown]
# ## What the paper claims, and what we measure
# The paper's caption says that both moments are controlled over all $\lambda$ for white inputs, but not for correlated
# ones. The plots draw the line elsewhere. For every $\rho < 1$ both level off, at a height that grows with $\rho$. At
# $\rho = 1$ both still grow, as $2/(1-\lambda)$ instead of the powers 2 and 4 of the grey curves.
#
# While $\gamma$ is made for white inputs, no parametrisation is best for all inputs. Compare the slopes
# $\mathrm{d}\lambda/\mathrm{d}\omega$ that keep the sensitivity constant at $\rho = 1$ and at $\rho = 0$: their ratio
# changes by a factor of 196 over these $\lambda$. With the ideal $\gamma$ for each input it changes by 1.4.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-02-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig02");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig02")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: when the scale is differentiated too
# *Predict, then run. Medium.* Panel B holds $\gamma$ constant. Let gradients flow through $\gamma(\lambda)$ as well:
# does the second moment of the sensitivity rise or fall, and what becomes of the plateau $\frac{1+\rho}{2(1-\rho)}$?
# And of $2/(1-\lambda)$ at $\rho = 1$? Use $\mathrm{E}[h\,\mathrm{d}_\lambda h] = \frac12
# \frac{\mathrm{d}}{\mathrm{d}\lambda} \mathrm{E}h^2$.
#
# <details>
# <summary>Solution 1</summary>
#
# $\mathrm{d}_\lambda(\gamma h) = \gamma' h + \gamma\, \mathrm{d}_\lambda h$ with $\gamma' = -\lambda/\gamma$, and a
# longer memory means a larger state and a smaller scale: the two parts work against each other. For $\rho < 1$ let
# $K = \frac{1+\rho}{1-\rho}$. Then $\mathrm{E}h^2 \approx \frac{K}{2\varepsilon}$, $\mathrm{E}[h\,\mathrm{d}_\lambda h]
# \approx \frac{K}{4\varepsilon^2}$, $\mathrm{E}(\mathrm{d}_\lambda h)^2 \approx \frac{K}{4\varepsilon^3}$, and with
# $\gamma^2 \approx 2\varepsilon$ the sum is $\frac{K}{4\varepsilon^2} - \frac{K}{2\varepsilon^2} +
# \frac{K}{2\varepsilon^2} = \frac{K}{4\varepsilon^2}$. Times $\varepsilon^2$ it is half the plateau. At $\rho = 1$ the
# same sum is $\frac{1}{2\varepsilon^3} - \frac{2}{\varepsilon^3} + \frac{2}{\varepsilon^3} =
# \frac{1}{2\varepsilon^3}$, a quarter.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
import torch

eps_here = 1e-5
for rho, expected in [(0, 0.5), (0.9, 0.5), (0.99, 0.5), (1, 0.25)]:
    at = torch.tensor(1 - eps_here, dtype=torch.float64, requires_grad=True)
    variance_here = theory.state_variance(at, rho)
    (slope,) = torch.autograd.grad(variance_here, at)
    gamma2_here, step2 = 1 - at**2, (at * at.log()) ** 2
    held = step2 * gamma2_here * theory.sensitivity(at, rho)
    flowing = held + step2 * (at**2 / gamma2_here * variance_here - at * slope)
    print(f"rho = {rho}: held {held:.4g}, flowing {flowing:.4g}, ratio {flowing / held:.4f}")
    assert abs(flowing / held - expected) < 2e-3
answer = [0.5, 0.25]  # flowing over held, rho < 1 and rho = 1
assert max(answer) < 1, "the moment does not rise"
assert abs(answer[0] - 0.5) < 0.02, "rho < 1: what becomes of the plateau?"
assert abs(answer[1] - 0.25) < 0.02, "rho = 1: what becomes of 2 / (1 - lambda)?"
