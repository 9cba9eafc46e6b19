# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 8: which eigenvalues disturb each other
#
# **You will see** that two units of a diagonal network interact in the Hessian if their eigenvalues are nearly equal
# or conjugate, and, for strongly correlated inputs, near 1. **You need** [the Hessian at the
# optimum](../theory/05-hessian-at-the-optimum.ipynb). **Time** under a minute on a CPU.

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
from matplotlib.colors import LogNorm
from rnnlib import theory
from rnnlib.lab import as_printed, claims, style

style.use()
lam_0 = 0.99 * np.exp(0.25j * np.pi)
rhos = [0, 0.9, 0.99, 0.999, 1]
radius = 0.99 * np.linspace(0, 1, 240) ** 0.4  # finer near the rim
lam = radius * np.exp(1j * np.linspace(-np.pi, np.pi, 721)[:, None])
versions = {
    "correct": theory.cross_sensitivity,
    "as printed": as_printed.cross_sensitivity,
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The strongest partner is the conjugate of $\\lambda_0$ up to $\\rho = 0.99$, and the real eigenvalue from 0.999 on. $|S(\\lambda, \\lambda_0)|$ along the rim $|\\lambda| = 0.99$, relative to its largest value (dot), one curve for each input correlation.", "name": "fig-08-rim"}, "image": {"alt": "Five curves against the angle of lambda in units of pi. A maximum at minus one quarter, the conjugate of lambda zero, and a second one at zero that grows with the input correlation and overtakes the first between 0.99 and 0.999. Dots mark the largest value of each curve."}}
turns = np.linspace(-1, 1, 2001)
rim = 0.99 * np.exp(1j * np.pi * turns)
fig, ax = plt.subplots(figsize=(7.2, 3), layout="constrained")
ends = []
for rho, color in zip(rhos, style.sequence("rho", len(rhos)), strict=True):
    values = np.abs(theory.cross_sensitivity(rim, lam_0, rho))
    values = values / values.max()
    ax.semilogy(turns, values, color=color)
    ax.plot(turns[values.argmax()], 1, "o", color=color, ms=5, clip_on=False, zorder=3)
    ends.append((values[-1], str(rho), color))
ends[0] = (ends[0][0], r"$\rho = 0$", ends[0][2])
for turn, name in [(-0.25, r"$\bar\lambda_0$"), (0, "real"), (0.25, r"$\lambda_0$")]:
    ax.axvline(turn, color="0.6", ls="--", lw=0.8, zorder=0)
    ax.text(turn + 0.01, 1.3e-6, name, color="0.4")
ax.set(xlabel=r"angle of $\lambda$ / $\pi$", ylabel=r"$|S| / \max |S|$", ylim=(1e-6, 1.5))
ax.set(xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1])
style.label_ends(ax, ends);

# %% [markdown]
# For white inputs the coupling is strong where $\lambda \approx \bar\lambda_0$, in a region as wide as
# $1 - |\lambda_0|^2$, and weak elsewhere. Correlation raises the coupling near $\lambda = 1$. Between $\rho = 0.99$ and
# 0.999 this second maximum overtakes the first: the peak jumps rather than drifts.

# %% [markdown]
# ## What is plotted
# Two units with the same input have the cross-sensitivity $S(\lambda, \lambda_0) = \mathrm{E}[\mathrm{d}_\lambda h \,
# \mathrm{d}_{\lambda_0} h_0]$. The entry of the Hessian that couples them combines $S(\lambda, \lambda_0)$ and
# $S(\lambda, \bar\lambda_0)$, so equal eigenvalues interact like conjugate ones. The Hessian's trace is the sum of
# $|b|^2 |c|^2 S(\lambda, \bar\lambda)$ over units. We fix $\lambda_0 = 0.99\,e^{i\pi/4}$ and let $\lambda$ run over the
# disc $|\lambda| \le 0.99$:

# %%
near, far = lam_0.conjugate(), -lam_0.conjugate()
for rho in rhos:
    peak, other = (abs(theory.cross_sensitivity(z, lam_0, rho)) for z in (near, far))
    print(f"rho = {rho}: at the conjugate {peak:9.3g}, opposite {other:9.3g}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The bright spot at $\\bar\\lambda_0$ fades while another grows at 1. $|S(\\lambda, \\lambda_0)|$ over the disc, logarithmic colours. Outside the rim, star: the direction of $\\lambda_0$; cross: of $\\bar\\lambda_0$; circle: of the largest value. Dark spots are zeros of $S$.", "name": "fig-08"}, "image": {"alt": "Five discs, one for each input correlation from 0 to 1. With white inputs the value peaks on the rim at the conjugate of lambda zero. With growing correlation a second bright spot grows at 1, and from correlation 0.999 on the largest value lies there."}}
def discs(draw):
    """One disc for each correlation, and what draw returns for the colour bar."""
    fig, axes = plt.subplots(1, 5, figsize=(7.2, 1.9), sharey=True, layout="constrained")
    for ax, rho in zip(axes, rhos, strict=True):
        image = draw(ax, *(np.abs(S(lam, lam_0, rho)) for S in versions.values()))
        ax.set(aspect="equal", xlim=(-1.35, 1.35), ylim=(-1.35, 1.35), title=rf"$\rho = {rho}$")
        ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlabel=r"Re $\lambda$")
    axes[0].set_ylabel(r"Im $\lambda$")
    return fig, axes, image


def size_and_peak(ax, correct, _):
    peak = lam.flat[correct.argmax()]
    for place, mark in [(lam_0.conjugate(), "x"), (lam_0, "*"), (peak, "o")]:
        outside = 1.17 * place / abs(place)
        size = 9 if mark == "o" else 5
        ax.plot(outside.real, outside.imag, mark, color="black", mfc="none", ms=size)
    return ax.pcolormesh(lam.real, lam.imag, correct, norm=LogNorm(1e-2, 3e5), **look)


look = {"shading": "gouraud", "rasterized": True}
fig, axes, values = discs(size_and_peak)
fig.colorbar(values, ax=axes, label=r"$|S(\lambda, \lambda_0)|$", extend="both", aspect=12);

# %% [markdown]
# The closed form explains both spots. $S$ divides by $(1 - \lambda\lambda_0)^3$, which is small near $\bar\lambda_0$.
# Correlation adds a factor $(1 - \rho\lambda)^2$ to the denominator, which is small near 1 (and changes the
# numerator). The value at $\lambda = \bar\lambda_0$ is the second moment of a single unit's own sensitivity, which
# [one eigenvalue, dragged](../play/02-complex-plane.ipynb) gives for any eigenvalue and correlation.

# %% [markdown]
# ## Erratum 1: what the slip changes
# The printed form has $1 - \rho$ where $1 - \rho^2$ is right, and the code of the figure plots it. It is off by a
# factor below 2 at the peak and at all but a few per cent of the disc. Near the zeros of $S$, which move, the ratio has
# no bound. The peaks do not move, so what the paper concludes from the picture holds.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Except near the zeros of $S$, the correct form is at most about twice the printed one. Ratio of the two over the disc.", "name": "fig-08-erratum"}, "image": {"alt": "Five discs of the ratio. It is 1 everywhere at correlations 0 and 1; between, it is near 2 in a lens around the conjugate of lambda zero, which shrinks as the correlation grows, has spots far from 1 at its two ends, and lies in a disc near 1."}}
def quotient(ax, correct, printed):
    limits = LogNorm(0.4, 2.5)
    return ax.pcolormesh(
        lam.real, lam.imag, correct / printed, norm=limits, cmap="PuOr", **look
    )


fig, axes, ratios = discs(quotient)
bar = fig.colorbar(ratios, ax=axes, label="correct / printed", extend="both", aspect=12)
bar.set_ticks([0.5, 1, 2], labels=["1/2", "1", "2"])
bar.minorticks_off();

# %% [markdown]
# At the peak $\lambda = \bar\lambda_0$ the factor tends to $1 + \rho$ as $|\lambda_0| \to 1$. The sum that defines $S$
# decides which form is right; the [page on erratum 1](../../book/cross-moment.md) has it for a real eigenvalue, with a
# simulation.

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
# Over the disc of the figure: the share of its points, which are denser near the rim, at which the two forms differ by
# more than a factor of 2, and the angle of each form's largest value.

# %% tags=["hide-input"]
for rho in [0.5, 0.9, 0.99, 0.999]:
    correct, printed = (np.abs(S(lam, lam_0, rho)) for S in versions.values())
    ratio = correct / printed
    share = ((ratio > 2) | (ratio < 0.5)).mean()
    peaks = [np.angle(lam.flat[values.argmax()]) / np.pi for values in (correct, printed)]
    print(f"rho = {rho}: ratio {ratio.min():.2f} to {ratio.max():.0f}, beyond a factor of 2 at "
          f"{share:.1%}; peaks at {peaks[0]:.2f} pi and {peaks[1]:.2f} pi")
    assert share < 0.05 and np.isclose(*peaks)

# %% [markdown]
# ## What the paper claims, and what we measure


# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-08-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig08");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig08")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: constant inputs
# *Derive. Medium.* Simplify $S(\lambda, \lambda_0)$ at $\rho = 1$, and explain the last disc: why does it depend on
# $\lambda_0$ through a constant factor only? What is then the rank of the Hessian over the eigenvalues of a diagonal
# network?
#
# <details>
# <summary>Solution 1</summary>
#
# With $1 - \rho^2 = 0$ the numerator is $(1 - ab)^3$ alone, with $a = \lambda$ and $b = \lambda_0$, so $S =
# \frac{1}{(1-a)^2 (1-b)^2}$, a product. Constant inputs are one random number $x$, the state is $x/(1-\lambda)$ and
# its sensitivity $x/(1-\lambda)^2$: those of all units are proportional. So the derivatives of the output with respect
# to all $2n$ real parameters are proportional too, and the Hessian has rank one: constant inputs cannot tell any
# eigenvalue from another.
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
answer = 1  # the rank of the Hessian over the eigenvalues
assert answer >= 1, "some direction is curved"
assert answer == 1, "write S as a product of a function of lambda and one of lambda_0"
