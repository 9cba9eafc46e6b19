# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 6: three parametrisations of one eigenvalue
#
# **You will see** that an exponential stops the growth of curvature with memory along the modulus, but not along the
# angle, where it only lowers the level. **You need** [normalisation and
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
import torch
from rnnlib import theory
from rnnlib.lab import claims, style
from rnnlib.parametrization import EXPONENTIAL, OPTIMAL, POLAR

style.use()
parametrizations = [POLAR, EXPONENTIAL, OPTIMAL]
lam_stars = 1 - torch.tensor([0.64, 0.32, 0.16, 0.08, 0.04, 0.02, 0.01], dtype=torch.float64)
theta_star = torch.tensor(np.pi / 100, dtype=torch.float64)


def cut(loss, omega):
    """Loss and second derivative at every point of omega."""
    return loss(omega), torch.func.vmap(torch.func.hessian(loss))(omega)


def along_modulus(parametrization, nu_star):
    """The loss of a real eigenvalue as a function of the raw modulus."""

    def loss(omega):
        return theory.one_dimensional_loss(parametrization.modulus(omega), nu_star, normalized=True)

    return loss


def along_angle(parametrization, nu_star):
    """The loss on the circle of the teacher's modulus as a function of the raw angle."""
    star = torch.polar(nu_star, theta_star)

    def loss(omega):
        lam = torch.polar(nu_star.expand_as(omega), parametrization.angle(omega, nu_star))
        return theory.one_dimensional_loss(lam, star, normalized=True)

    return loss


def at_the_optimum(along, parametrization, nu_star):
    """Raw parameter of the teacher and the curvature there."""
    if along is along_modulus:
        star = parametrization.modulus_inverse(nu_star)
    else:
        star = parametrization.angle_inverse(theta_star, nu_star)
    return star, cut(along(parametrization, nu_star), star[None])[1].item()


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Along the modulus two parametrisations keep the curvature from growing with memory; along the angle only the optimal one does. Second derivative of the loss at its optimum with respect to the raw parameter, against the memory length $1/(1 - |\\lambda^*|)$; dots: the seven teachers of the paper's figure. The angle is $\\theta^* = \\pi/100$.", "name": "fig-06"}, "image": {"alt": "Two log-log plots of curvature against memory length, one line for each parametrisation. Modulus: the polar line rises with slope two from memory 2 to 10,000; the exponential one levels off at one quarter, the optimal one lies at 1. Angle: polar and exponential lines rise with slope two, the exponential one lower by a factor of a thousand; the optimal one lies at 1."}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), sharey=True, layout="constrained")
memories = np.logspace(np.log10(1 / 0.64), 4, 20)
ends = {ax: [] for ax in axes}
for ax, along in zip(axes, (along_modulus, along_angle), strict=True):
    for p in parametrizations:
        color = style.COLORS[p.name]
        nus = torch.tensor(1 - 1 / memories)
        values = [at_the_optimum(along, p, nu)[1] for nu in nus]
        ax.loglog(memories, values, color=color)
        dots = [at_the_optimum(along, p, nu)[1] for nu in lam_stars]
        ax.plot(1 / (1 - lam_stars), dots, "o", ms=4, color=color)
        ends[ax].append((values[-1], p.name, color))
    ax.set(xlabel=r"memory length $1/(1 - |\lambda^*|)$")
for ax in axes:
    style.label_ends(ax, ends[ax])
axes[0].set(title="modulus", ylabel="curvature at the optimum")
axes[1].set_title("angle");

# %% [markdown]
# Along the angle, $\theta = e^{\omega_\theta}$ multiplies the curvature by $\theta^2$, which does not depend on memory.
# Here that factor is about 0.001: at $|\lambda^*| = 0.99$ the exponential parametrisation has curvature 4.8 where the
# polar one has 4,900. So at the paper's $\lambda^*$ both forms control the curvature, as its caption says; closer to
# the circle the exponential one's keeps growing, as its text says.
#
# The optimal parametrisation takes the memory into account. In return its wells lie ever farther out: $\omega_\theta^*$
# grows as $1/(1-\nu^2)$.

# %% [markdown]
# ## The loss, and the slice shown
# A unit with input scale $\gamma = \sqrt{1 - |\lambda|^2}$ imitates another one on white inputs. With $\lambda = \nu
# e^{i\theta}$,
#
# $$L = 1 - \mathrm{Re}\, \frac{\gamma \gamma^*}{1 - \bar\lambda \lambda^*} .$$
#
# The optimiser does not see $\nu$ and $\theta$ but raw parameters $\omega_\nu, \omega_\theta$. We cut the loss twice:
# along $\omega_\nu$ for real eigenvalues, and along $\omega_\theta$ on the circle $\nu = \nu^*$ with $\theta^* = \pi /
# 100$. Automatic differentiation gives the curvature at every point of a cut, here at the optimum:

# %%
for p in parametrizations:
    star = p.angle_inverse(theta_star, lam_stars[-1])
    curvature = torch.func.hessian(along_angle(p, lam_stars[-1]))(star)
    print(f"{p.name:12} raw angle {star:6.3f}, curvature {curvature:8.3f}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Along the modulus the exponential and the optimal wells keep their width, along the angle only the optimal ones do. Loss along the raw modulus (above) and the raw angle (below), one curve for each teacher eigenvalue, from short memory (light) to long (dark).", "name": "fig-06-losses"}, "image": {"alt": "Six panels of loss curves. Modulus: polar wells narrow to needles as the teacher approaches 1; exponential and optimal wells keep their width. Angle: polar and exponential wells narrow as memory grows; optimal wells keep their width and lie further out, and those of short memories repeat."}}
ranges = {}  # each parametrisation has the range of omega that covers the same eigenvalues
nus = torch.tensor([0.05, 0.9995], dtype=torch.float64)
thetas = torch.tensor([np.pi / 1000, np.pi / 4], dtype=torch.float64)
for p in parametrizations:
    ranges[along_modulus, p.name] = p.modulus_inverse(nus).tolist()
    ranges[along_angle, p.name] = p.angle_inverse(thetas, torch.tensor(0.9)).tolist()
ranges[along_angle, "polar"], ranges[along_angle, "optimal"] = [-0.15, 0.25], [-4, 8]
colors = style.sequence("lam", len(lam_stars))


def figure6(draw, ylabel, **limits):
    """Rows: along modulus and angle; columns: parametrisations; one curve for each teacher."""
    _, axes = plt.subplots(2, 3, figsize=(7.2, 4), sharey="row", layout="constrained")
    cuts = [(axes[0], along_modulus, r"\nu"), (axes[1], along_angle, r"\theta")]
    for row, along, name in cuts:
        for ax, p in zip(row, parametrizations, strict=True):
            ends = ranges[along, p.name]
            omega = torch.linspace(min(ends), max(ends), 1500, dtype=torch.float64)
            for nu_star, color in zip(lam_stars, colors, strict=True):
                draw(ax, omega, *cut(along(p, nu_star), omega), color)
                star, curvature = at_the_optimum(along, p, nu_star)
                if "yscale" in limits:
                    ax.plot(star, curvature, "o", ms=4, color=color)
            ax.set(xlabel=rf"raw parameter $\omega_{name}$", **limits)
    for ax, p in zip(axes[0], parametrizations, strict=True):
        ax.set_title(p.name)
    axes[0, 0].set_ylabel(f"modulus\n{ylabel}")
    axes[1, 0].set_ylabel(f"angle\n{ylabel}")
    names = [f"{nu:.2f}" for nu in lam_stars[:-1]] + [r"$|\lambda^*| = 0.99$"]
    low, high = axes[0, 2].get_ylim()
    heights = np.geomspace(low, high, 9) if "yscale" in limits else np.linspace(low, high, 9)
    style.label_ends(axes[0, 2], list(zip(heights[1:-1], names, colors, strict=True)))


figure6(lambda ax, omega, loss, _, color: ax.plot(omega, loss, color=color, lw=1.2), "loss");

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The curvature at the optimum (dots) grows with memory along the polar modulus and along both the polar and the exponential angle. Second derivative of the same cuts; dotted: its size where the loss is concave.", "name": "fig-06-curvatures"}, "image": {"alt": "Six panels with logarithmic axes. Modulus: the polar dots rise by three decades, the exponential ones stay at or below one quarter, the optimal ones at 1. Angle: the polar and the exponential dots rise; the optimal ones stay at 1."}}
def draw(ax, omega, _, curvature, color):
    """The second derivative where it is positive, its size where it is negative."""
    ax.plot(omega, curvature.where(curvature > 0, np.nan), color=color, lw=1.2)
    ax.plot(omega, -curvature.where(curvature < 0, np.nan), color=color, lw=0.8, ls=":")


figure6(draw, "curvature", yscale="log", ylim=(1e-4, 1e5));

# %% [markdown]
# ## How wide the basins are
# A basin's half-width is the distance within which the loss stays below half of its largest value. Along the modulus it
# is the same for every memory: 2.6 (exponential) and 1.3 (optimal). Along the exponential angle it shrinks from 3.8 at
# $|\lambda^*| = 0.36$ to 0.5 at 0.99. Along the optimal angle it does not shrink (0.6 and 1.4), but basins, one per
# turn, become rarer: a turn takes 159 times as much of $\omega_\theta$. (The lightest curve repeats because for a short
# memory the range shown goes around the circle several times.)
#
# [The needle in the landscape](../play/01-landscape.ipynb) has such cuts with the memory, the angle and the inputs'
# correlation on sliders.
#
# ## Erratum 19: angles in units of pi
# The paper's angle axes are in units of $\pi$. A second derivative over $\theta / \pi$ is $\pi^2$ times one over
# $\theta$, so in the paper the curvatures along modulus and angle do not share a scale. (The code of the figure also
# has a shift of the angle by 1/100 that never applies.)

# %%
star = torch.polar(lam_stars[-1], theta_star)


def loss_at(angle):
    return theory.one_dimensional_loss(torch.polar(star.abs(), angle), star, normalized=True)


in_radians = torch.func.hessian(loss_at)(star.angle())
in_pi = torch.func.hessian(lambda turns: loss_at(np.pi * turns))(star.angle() / np.pi)
print(f"radians {in_radians:.1f}, units of pi {in_pi:.1f}")
print(f"ratio {in_pi / in_radians:.4f}, pi^2 = {np.pi**2:.4f}")

# %% [markdown]
# ## What the paper claims, and what we measure
# Exponents are slopes of the curvature at the optimum against $1 - \nu$, on logarithmic axes.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-06-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig06");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig06")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: another angle
# *Predict, then run. Easy.* Put the teacher's angle at $\theta^* = 0.5$ instead of $\pi/100$. Which of the three
# curvatures along the raw angle change at the optimum, and by what factor?
#
# <details>
# <summary>Solution 1</summary>
#
# The curvature in $\theta$ depends on the modulus alone, and so do $\mathrm{d}\theta/\mathrm{d}\omega_\theta = 1$
# (polar) and $(1-\nu^2)/(\nu\sqrt{1+\nu^2})$ (optimal). The exponential parametrisation has
# $\mathrm{d}\theta/\mathrm{d}\omega_\theta = \theta$: its curvature grows by $(0.5 / (\pi/100))^2 \approx 253$. In the
# LRU small angles look tame only because they are small.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
nu_star, small = lam_stars[-1], theta_star
at_optimum = {}
for angle in [small, torch.tensor(0.5, dtype=torch.float64)]:
    theta_star = angle  # along_angle reads it
    for p in parametrizations:
        star = p.angle_inverse(angle, nu_star)
        at_optimum.setdefault(p.name, []).append(cut(along_angle(p, nu_star), star[None])[1].item())
theta_star = small
for name, (before, after) in at_optimum.items():
    print(f"{name:12} {before:10.3f} {after:10.3f}  factor {after / before:.3f}")
factors = {name: after / before for name, (before, after) in at_optimum.items()}
assert np.isclose(factors["polar"], 1) and np.isclose(factors["optimal"], 1)
assert np.isclose(factors["exponential"], (0.5 / (np.pi / 100)) ** 2)
answer = [factors[name] for name in ("polar", "exponential", "optimal")]  # factors, in this order
assert abs(answer[0] - 1) < 0.01, "polar: does the curvature along theta know theta*?"
assert abs(answer[1] / 253.3 - 1) < 0.01, "exponential: theta = exp(omega) has the slope theta"
assert abs(answer[2] - 1) < 0.01, "optimal: its curvature is one number at every optimum"
