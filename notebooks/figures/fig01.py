# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 1: the curse of memory
#
# **You will see** that a linear unit's sensitivity to its own eigenvalue grows with the third power of its memory or
# faster, and that this carves needles into the loss. **You need** [the curse of
# memory](../theory/02-curse-of-memory.ipynb). **Time** under a minute on a CPU.

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
eps = np.logspace(-4, 0, 400)  # distance to the edge of stability, 1 - lambda
sensitivity = {rho: theory.sensitivity(1 - eps, rho) for rho in rhos}
lam_stars = 1 - np.array([0.64, 0.32, 0.16, 0.08, 0.04, 0.02, 0.01])
lam = np.linspace(0, 0.999, 4000)
angle = np.linspace(-np.pi / 2, np.pi / 2, 4000)  # theta - theta*
along_axis = {s: theory.one_dimensional_loss(lam, s) for s in lam_stars}
along_circle = {s: theory.one_dimensional_loss(s * np.exp(1j * angle), s + 0j) for s in lam_stars}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The longer the memory, the more sensitive a unit is to its eigenvalue and the narrower the needle in its loss. A: second moment of the sensitivity against the memory length; grey: that of the state, $\\rho = 1$. B: loss along the real axis, one curve for each teacher. C: loss along the circle through the teacher. All curves are closed forms.", "name": "fig-01"}, "image": {"alt": "Three panels with logarithmic vertical axes. A: the sensitivity rises as a power of the memory length, faster for higher input correlation, up to 16 decades at correlation 1; the grey curve of the state's second moment rises by 8 decades. B and C: loss against the eigenvalue along the real axis and against the angle; each curve falls below the axis at the teacher, and the dips become narrow needles as the teacher's eigenvalue approaches 1."}}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), width_ratios=[1.15, 1, 1], layout="constrained")
rho_colors = style.sequence("rho", len(rhos))
for rho, color in zip(rhos, rho_colors, strict=True):
    axes[0].loglog(1 / eps, sensitivity[rho], color=color)
state = theory.state_variance(1 - eps, 1)
axes[0].loglog(1 / eps, state, color="0.6")
axes[0].set(title="A: sensitivity", xlabel=r"memory length $1/(1 - \lambda)$", xticks=[1, 1e2, 1e4])
axes[0].set(ylabel=r"$\mathrm{E}\,(\mathrm{d}_\lambda h)^2$", yticks=[1, 1e4, 1e8, 1e12, 1e16])

lam_colors = style.sequence("lam", len(lam_stars))
for lam_star, color in zip(lam_stars, lam_colors, strict=True):
    axes[1].semilogy(lam, along_axis[lam_star], color=color)
    axes[2].semilogy(angle, along_circle[lam_star], color=color)
axes[1].set(title="B: loss, real axis", xlabel=r"$\lambda$", ylim=(1e-3, 1e3))
axes[2].set(title="C: loss, circle", xlabel=r"$\theta - \theta^*$", ylim=(1e-3, 1e3))
axes[2].set_yticklabels([])
for ax in axes[1:]:
    ax.set_yticks([1e-3, 1, 1e3])
ends = [(sensitivity[rho][0], str(rho), c) for rho, c in zip(rhos, rho_colors, strict=True)]
ends[-1] = (ends[-1][0], r"$\rho = 1$", ends[-1][2])
style.label_ends(axes[0], [*ends, (state[0], r"$\mathrm{E}\,h^2$", "0.4")])
ends = [
    (along_circle[s][0], f"{s:.2f}", color) for s, color in zip(lam_stars, lam_colors, strict=True)
]
ends[-1] = (ends[-1][0], r"$\lambda^* = 0.99$", ends[-1][2])
style.label_ends(axes[2], ends);

# %% [markdown]
# Nothing explodes over time, because $|\lambda| < 1$ throughout. Yet at $\rho = 1$ the second moment of the
# sensitivity is 1 at $\lambda = 0$ and $10^{16}$ at $\lambda = 0.9999$.
#
# Away from the needle the loss is flat. At $\lambda^* = 0.99$ no slope in the farther half of either cut reaches a
# hundredth of the steepest slope near the optimum. Gradient descent with the inverse curvature as its rate takes 7,500
# times as many steps as at $0.36$.

# %% [markdown]
# ## What is plotted
# The unit is $h_{t+1} = \lambda h_t + x_{t+1}$. Its inputs have correlation $\rho^{|D|}$ at lag $D$, and its memory
# length is about $1/(1 - \lambda)$ steps. The second moments of state and sensitivity have closed forms, derived and
# simulated in [the curse of memory](../theory/02-curse-of-memory.ipynb). Powers are slopes on logarithmic axes:

# %%
near, far = 1 - 1e-5, 1 - 1e-6  # two long memories, a factor of ten apart
for rho in [0, 0.9, 1]:
    state_power = np.log10(theory.state_variance(far, rho) / theory.state_variance(near, rho))
    power = np.log10(theory.sensitivity(far, rho) / theory.sensitivity(near, rho))
    print(f"rho = {rho}: state {state_power:.2f}, sensitivity {power:.2f}")

# %% [markdown]
# In B and C a student unit imitates a teacher unit with eigenvalue $\lambda^*$. Inputs are white, and the loss is
# $\frac{1}{2}\mathrm{E}|h - h^*|^2$. B varies $\lambda$ along the real axis, C along the circle $|\lambda| =
# \lambda^*$, in radians.
#
# In [the needle in the landscape](../play/01-landscape.ipynb), without $\gamma$, you can move the needle yourself and
# see its curvature grow.

# %% [markdown]
# ## What the paper claims, and what we measure
# The paper gives the formulas and says that the sensitivity diverges faster than the state. It names no power, so the
# rows on powers at $\rho < 1$ are ours. Simulations run this package's recurrence and use automatic differentiation.
# The last rows test what section 2.2 says about back-propagated errors, the other weights and non-stationary inputs.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-01-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig01", "sec22");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig01", "sec22")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: how well must the eigenvalue be known?
# *Derive. Medium.* In panel B, how close to $\lambda^*$ must $\lambda$ be for the loss to fall below one hundredth of
# $\frac12 \mathrm{E} (h^*)^2$? Use the curvature $(1 + s^2)/(1 - s^2)^3$ at $s = \lambda^*$. Give the answer as a
# fraction of $1 - \lambda^*$. Do the needles get narrower in these units?
#
# <details>
# <summary>Solution 1</summary>
#
# Near the optimum $L \approx \frac12 \frac{1+s^2}{(1-s^2)^3} (\lambda - s)^2$, and $\frac12\mathrm{E}(h^*)^2 =
# \frac{1}{2(1-s^2)}$. Equate to a hundredth: $|\lambda - s| = \frac{1}{10} (1-s^2)/\sqrt{1+s^2}$, which tends to
# $\frac{2}{10\sqrt2}(1-s) = 0.14\,(1-s)$ (the loss itself, a little steeper towards 1, gives 0.13). In units of $1 -
# \lambda^*$ all needles are alike: the time constant has to be right within one part in seven, however long it is. What
# shrinks is the change of $\lambda$ for a given relative change of the time constant.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
for s in lam_stars[-3:]:
    fine = np.linspace(s, s + 0.5 * (1 - s), 100_001)
    below = theory.one_dimensional_loss(fine, s) < 0.01 * theory.state_variance(s, 0) / 2
    width = (fine[below.argmin()] - s) / (1 - s)
    estimate = 0.1 * (1 + s) / np.sqrt(1 + s**2)
    print(f"lambda* = {s:.2f}: {width:.3f} of 1 - lambda*, quadratic estimate {estimate:.3f}")
    assert abs(width / estimate - 1) < 0.15
answer = 0.1 * 2 / np.sqrt(2)  # the fraction of 1 - lambda* as lambda* tends to 1
assert answer < 0.15, "too far: the loss is half the curvature times the square of the distance"
assert answer > 0.13, "too near: compare with a hundredth of half the variance"
