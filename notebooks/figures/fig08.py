# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 8: which eigenvalues disturb each other
#
# **You will see** how strongly two units of a diagonal network are coupled in the Hessian, over the whole disc of eigenvalues, correctly
# and as the paper prints it. **You need** [the Hessian at the optimum](../theory/05-hessian-at-the-optimum.ipynb). **Time** under a minute
# on a CPU.

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
from matplotlib.colors import LogNorm
from rnnlib import theory
from rnnlib.lab import as_printed, claims, style

style.use()

# %% [markdown]
# Two units on the same input have the cross-sensitivity
# $S(\lambda, \lambda_0) = \mathrm{E}[\mathrm{d}_\lambda h \, \mathrm{d}_{\lambda_0} h_0]$. The entry of the Hessian that couples them is
# made of $S(\lambda, \lambda_0)$ and $S(\lambda, \bar\lambda_0)$; its trace is the sum of $|b|^2 |c|^2 S(\lambda, \bar\lambda)$ over units. We fix $\lambda_0 = .99\,e^{i\pi/4}$ and let $\lambda$ run over the disc
# $|\lambda| \le .99$.

# %%
lam_0 = 0.99 * np.exp(0.25j * np.pi)
rhos = [0, 0.9, 0.99, 0.999, 1]
radius = 0.99 * np.linspace(0, 1, 240) ** 0.4  # finer near the rim
lam = radius * np.exp(1j * np.linspace(-np.pi, np.pi, 721)[:, None])
versions = {
    "correct": theory.cross_sensitivity,
    "as printed": as_printed.cross_sensitivity,
}

# %% mystnb={"figure": {"caption": "Above: $|S(\\lambda, \\lambda_0, \\rho)|$ over the disc, the corrected closed form, logarithmic colours. Below: its ratio to the form that the paper prints and its code plots (erratum 1), which makes the same picture to the eye. Outside the rim, star: the direction of $\\lambda_0$; cross: of $\\bar\\lambda_0$; circle: of the largest value. Dark spots above are zeros of $S$.", "name": "fig-08"}, "image": {"alt": "Two rows of five discs, one for each input correlation from 0 to 1. Above, with white inputs, the value peaks on the rim at the conjugate of lambda zero. With growing correlation a second bright spot grows at 1, and from correlation 0.999 on the largest value lies there. Below, the ratio is 1 everywhere at correlations 0 and 1; between, it is near 2 in a lens around the conjugate of lambda zero, which shrinks as the correlation grows, has spots far from 1 at its two ends, and lies in a disc near 1."}}
fig, axes = plt.subplots(2, 5, figsize=(10, 4.3), sharex=True, sharey=True, layout="constrained")
look = {"shading": "gouraud", "rasterized": True}
for (above, below), rho in zip(axes.T, rhos, strict=True):
    correct, printed = (np.abs(S(lam, lam_0, rho)) for S in versions.values())
    values = above.pcolormesh(lam.real, lam.imag, correct, norm=LogNorm(1e-2, 3e5), **look)
    ratio = correct / printed
    ratios = below.pcolormesh(
        lam.real, lam.imag, ratio, norm=LogNorm(0.4, 2.5), cmap="PuOr", **look
    )
    peak = lam.flat[correct.argmax()]
    for place, mark in [(lam_0.conjugate(), "x"), (lam_0, "*"), (peak, "o")]:
        outside = 1.17 * place / abs(place)
        size = 9 if mark == "o" else 5
        above.plot(outside.real, outside.imag, mark, color="black", mfc="none", ms=size)
    for ax in (above, below):
        ax.set(aspect="equal", xlim=(-1.35, 1.35), ylim=(-1.35, 1.35))
        ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
    above.set_title(rf"$\rho = {rho}$")
    below.set_xlabel(r"Re $\lambda$")
for ax in axes[:, 0]:
    ax.set_ylabel(r"Im $\lambda$")
fig.colorbar(values, ax=axes[0], label=r"$|S(\lambda, \lambda_0)|$", extend="both")
bar = fig.colorbar(ratios, ax=axes[1], label="correct / printed", extend="both")
bar.set_ticks([0.5, 1, 2], labels=["1/2", "1", "2"])
bar.minorticks_off();

# %% [markdown]
# For white inputs the coupling is strong where $\lambda \approx \bar\lambda_0$, in a region of the size of $1 - |\lambda_0|^2$, and weak
# elsewhere: $S$ divides by $(1 - \lambda\lambda_0)^3$. Correlation divides by $(1 - \rho\lambda)^2$ too (and changes the numerator), which
# raises everything near $\lambda = 1$. Two local maxima compete, and the larger one changes between $\rho = .99$ and $\rho = .999$: the peak
# moves by a jump, not by a gradual drift. (At $\lambda = \bar\lambda_0$ stands the second moment of a single unit's own sensitivity, which
# [one eigenvalue, dragged](../play/02-complex-plane.ipynb) gives for any eigenvalue and correlation.) Along the rim:

# %% mystnb={"figure": {"caption": "$|S|$ along the rim $|\\lambda| = .99$, relative to its largest value; dotted: as printed, relative to the largest value of the correct form. Dashed line: $\\bar\\lambda_0$.", "name": "fig-08-rim"}, "image": {"alt": "Five curves against the angle of lambda in units of pi. A maximum at minus one quarter, the conjugate of lambda zero, and a second one at zero that grows with the input correlation and overtakes the first between 0.99 and 0.999. Dotted companions run along each curve, at most a factor of two below it at the peaks."}}
rim = 0.99 * np.exp(1j * np.linspace(-np.pi, np.pi, 2001))
fig, ax = plt.subplots(figsize=(6.4, 3), layout="constrained")
turns = np.linspace(-1, 1, 2001)
for rho, color in zip(rhos, style.sequence("rho", len(rhos)), strict=True):
    correct, printed = (np.abs(S(rim, lam_0, rho)) for S in versions.values())
    ax.semilogy(turns, correct / correct.max(), color=color, label=rf"$\rho = {rho}$")
    ax.semilogy(turns, printed / correct.max(), ":", color=color, lw=1)
ax.axvline(-0.25, color="0.6", ls="--", lw=1)
ax.set(xlabel=r"angle of $\lambda$ / $\pi$", ylabel=r"$|S| / \max |S|$", ylim=(1e-6, 2))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5));

# %% [markdown]
# ## Erratum 1: what the slip changes
# The printed form has $1 - \rho$ where $1 - \rho^2$ is right. At the peak $\lambda = \bar\lambda_0$ it is too small by a factor that tends
# to $1 + \rho$ as $|\lambda_0| \to 1$. The sum that defines $S$ decides; the [errata page](../../book/errata.md) has it for a real
# eigenvalue, with a simulation.

# %%
i = np.arange(1, 3001)
weights = i * lam_0 ** (i - 1)
print("rho   sum of 3000 x 3000 terms     correct  as printed   ratio  1 + rho")
for rho in [0.5, 0.9, 0.99]:
    by_sum = (weights.conj() @ rho ** np.abs(i[:, None] - i).astype(float) @ weights).real
    right, printed = (abs(S(lam_0.conj(), lam_0, rho)) for S in versions.values())
    ratio = right / printed
    print(f"{rho:<4} {by_sum:25.1f} {right:11.1f} {printed:11.1f} {ratio:7.3f} {1 + rho:8.3f}")

# %% [markdown]
# And over the disc of the figure: the share of its points, which are denser near the rim, at which the two forms differ by more than a factor
# of 2, and the angle of each form's largest value.

# %%
for rho in [0.5, 0.9, 0.99, 0.999]:
    correct, printed = (np.abs(S(lam, lam_0, rho)) for S in versions.values())
    ratio = correct / printed
    share = ((ratio > 2) | (ratio < 0.5)).mean()
    peaks = [np.angle(lam.flat[values.argmax()]) / np.pi for values in (correct, printed)]
    print(f"rho = {rho}: ratio {ratio.min():.2f} to {ratio.max():.0f}, beyond a factor of 2 at "
          f"{share:.1%}; peaks at {peaks[0]:.2f} pi and {peaks[1]:.2f} pi")
    assert share < 0.05 and np.isclose(*peaks)

# %% [markdown]
# A factor below 2 at the peak and at all but a few per cent of the disc. Near the zeros of $S$, which move, the ratio has no bound. The peaks do
# not move, so what the paper concludes from the picture stays.
#
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-08-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig08");

# %%
claims.table("fig08")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: constant inputs
# *Derive. Medium.* Simplify $S(\lambda, \lambda_0)$ at $\rho = 1$, and explain the last disc: why does it depend on $\lambda_0$ through a
# constant factor only? What is then the rank of the Hessian over the eigenvalues of a diagonal network?
#
# <details>
# <summary>Solution 1</summary>
#
# With $1 - \rho^2 = 0$ only $(1 - ab)^3$ is left of the numerator, so $S = \frac{1}{(1-a)^2 (1-b)^2}$, a product. Constant inputs are one random number
# $x$, the state is $x/(1-\lambda)$ and its sensitivity $x/(1-\lambda)^2$: those of all units are proportional. So the derivatives of the
# output with respect to all $2n$ real parameters are proportional too, and the Hessian has rank one: constant inputs cannot tell any eigenvalue from another.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
product = 1 / ((1 - lam) ** 2 * (1 - lam_0) ** 2)
assert np.allclose(theory.cross_sensitivity(lam, lam_0, 1), product)
three = np.array([0.9, 0.5 + 0.5j, -0.3 + 0.8j])
values = np.linalg.eigvalsh(theory.diagonal_hessian(three, np.ones(3), np.array([1, 1j, 2]), 1))
print("eigenvalues of the Hessian", values.round(9))
assert (np.abs(values[:-1]) < 1e-9 * values[-1]).all()
