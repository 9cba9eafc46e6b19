# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 6: three parametrisations of one eigenvalue
#
# **You will see** the loss of a single unit and its curvature along the modulus and along the angle of its eigenvalue, in three
# parametrisations. **You need** [normalisation and reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb). **Time**
# under a minute on a CPU.

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
from rnnlib import theory
from rnnlib.lab import claims, style
from rnnlib.parametrization import EXPONENTIAL, OPTIMAL, POLAR

style.use()
lam_stars = 1 - torch.tensor([0.64, 0.32, 0.16, 0.08, 0.04, 0.02, 0.01], dtype=torch.float64)

# %% [markdown]
# ## The loss and how it is cut
# A unit with input scale $\gamma = \sqrt{1 - |\lambda|^2}$ imitates another one, white inputs. With $\lambda = \nu e^{i\theta}$,
#
# $$L = 1 - \mathrm{Re}\, \frac{\gamma \gamma^*}{1 - \bar\lambda \lambda^*} .$$
#
# The optimiser does not see $\nu$ and $\theta$ but raw parameters $\omega_\nu, \omega_\theta$. We cut the loss twice: along $\omega_\nu$
# for real eigenvalues, and along $\omega_\theta$ on the circle $\nu = \nu^*$ with $\theta^* = \pi / 100$. Curvatures are second derivatives
# by automatic differentiation, one for each point of a cut.


# %%
def cut(loss, omega):
    """Loss and second derivative at every point of omega."""
    return loss(omega), torch.func.vmap(torch.func.hessian(loss))(omega)


def along_modulus(parametrization, nu_star):
    def loss(omega):
        return theory.one_dimensional_loss(parametrization.modulus(omega), nu_star, normalized=True)

    return loss


theta_star = torch.tensor(np.pi / 100, dtype=torch.float64)


def along_angle(parametrization, nu_star):
    star = torch.polar(nu_star, theta_star)

    def loss(omega):
        lam = torch.polar(nu_star.expand_as(omega), parametrization.angle(omega, nu_star))
        return theory.one_dimensional_loss(lam, star, normalized=True)

    return loss


# %% [markdown]
# Each parametrisation gets the range of $\omega$ that covers the same eigenvalues.

# %%
parametrizations = [POLAR, EXPONENTIAL, OPTIMAL]
nus = torch.tensor([0.05, 0.9995], dtype=torch.float64)
thetas = torch.tensor([np.pi / 1000, np.pi / 4], dtype=torch.float64)


def axis(ends, points=1500):
    return torch.linspace(min(ends), max(ends), points, dtype=torch.float64)


moduli, angles = {}, {}
for p in parametrizations:
    moduli[p.name] = axis(p.modulus_inverse(nus).tolist())
    angles[p.name] = axis(p.angle_inverse(thetas, torch.tensor(0.9)).tolist())
angles["polar"] = axis([-0.15, 0.25])
angles["optimal"] = axis([-4, 8])

# %% mystnb={"figure": {"caption": "Rows: parametrisations. Columns: loss and its second derivative along the raw modulus, then along the raw angle. One colour for each teacher eigenvalue, dots mark the optima. Where the loss is concave the size of the second derivative is dotted. Right-hand axis: the same curvature for an angle in units of $\\pi$, as the paper's axes have it, $\\pi^2$ times larger (erratum 19).", "name": "fig-06"}, "image": {"alt": "Twelve panels in three rows, polar, exponential and optimal. Along the modulus the polar loss narrows to needles as the teacher approaches 1 and its curvature at the optimum rises by four decades; in the exponential row the wells have similar width and curvatures at or below one quarter; in the optimal row the wells have the same shape and curvature 1. Along the angle the wells narrow and the curvature at the optimum rises in the polar and in the exponential row; in the optimal row all have curvature 1."}}
fig, axes = plt.subplots(3, 4, figsize=(10, 6.4), sharey="col", layout="constrained")
for row, p in zip(axes, parametrizations, strict=True):
    cuts = [(row[:2], along_modulus, moduli[p.name]), (row[2:], along_angle, angles[p.name])]
    for nu_star, color in zip(lam_stars, style.sequence("lam", len(lam_stars)), strict=True):
        raw = [p.modulus_inverse(nu_star), p.angle_inverse(theta_star, nu_star)]
        for (panels, along, omega), star in zip(cuts, raw, strict=True):
            loss, curvature = cut(along(p, nu_star), omega)
            _, at_optimum = cut(along(p, nu_star), star[None])
            panels[0].plot(omega, loss, color=color, lw=1.2, label=f"{nu_star:.2f}")
            convex = curvature.where(curvature > 0, np.nan)
            concave = curvature.where(curvature < 0, np.nan)
            panels[1].semilogy(omega, convex, color=color, lw=1.2)
            panels[1].semilogy(omega, -concave, color=color, lw=0.8, ls=":")
            panels[1].plot(star, at_optimum, "o", ms=5, color=color)
    row[0].set_ylabel(f"{p.name}\nloss")
    row[1].set(ylabel="curvature", ylim=(1e-3, 1e5))
    row[3].set(ylim=(1e-3, 1e5))
    if p is not EXPONENTIAL:  # there a unit of the angle only shifts the raw parameter
        units = (lambda y: np.pi**2 * y, lambda y: y / np.pi**2)
        in_pi = row[3].secondary_yaxis("right", functions=units)
        in_pi.set_ylabel(r"per (unit of $\pi$)$^2$")
for ax, name in zip(axes[2], [r"\nu", r"\nu", r"\theta", r"\theta"], strict=True):
    ax.set_xlabel(rf"raw parameter $\omega_{name}$")
titles = ["modulus: loss", "modulus: curvature", "angle: loss", "angle: curvature"]
for ax, title in zip(axes[0], titles, strict=True):
    ax.set_title(title)
entries = axes[0, 0].get_legend_handles_labels()
axes[1, 1].legend(*entries, title=r"$|\lambda^*|$", ncols=2, loc="upper center");

# %% [markdown]
# Read the dots from light to dark. Along the modulus they climb in the first row alone. Along the angle they climb in the first two:
# $\theta = e^{\omega_\theta}$ multiplies the curvature by $\theta^2$, which does not know how long the memory is. That factor is about .001 here, so
# that the exponential dots end at 4.8 where the polar ones end at 4,900: at these $\lambda^*$ both forms control the curvature, as the paper's
# caption says. Closer to the circle the exponential ones go on climbing, as its text says of the angle. The optimal parametrisation does know the
# memory, and pays with wells that lie ever further out: $\omega_\theta^*$ grows as $1/(1-\nu^2)$.
#
# The basins tell modulus and angle apart. Call half a basin's width the distance within which the loss stays below half of its largest value. Along
# the modulus it is the same for every memory, 2.6 (exponential) and 1.3 (optimal). Along the exponential angle it shrinks from 3.8 at
# $|\lambda^*| = .36$ to .5 at .99. Along the optimal angle it does not shrink (.6 and 1.4), but the basins, one in each turn, become fewer: a turn takes
# 159 times as much of $\omega_\theta$. (The lightest curve repeats: for a short memory the range shown goes around the circle several times.)
# [The needle in the landscape](../play/01-landscape.ipynb) has such cuts with the memory, the angle and the inputs' correlation on sliders.
#
# ## Erratum 19: angles in units of pi
# The paper's angle axes are in units of $\pi$. A second derivative over $\theta / \pi$ is $\pi^2$ times one over $\theta$, so the two
# columns of curvatures do not share a scale there. (The code of the figure also has a shift of the angle by 1/100 that never applies.)

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
# Exponents are slopes of the curvature at the optimum against $1 - \nu$, in logarithms.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-06-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig06");

# %%
claims.table("fig06")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: another angle
# *Predict, then run. Easy.* Put the teacher's angle at $\theta^* = .5$ instead of $\pi/100$. Which of the three curvatures along the raw
# angle change at the optimum, and by what factor?
#
# <details>
# <summary>Solution 1</summary>
#
# The curvature in $\theta$ depends on the modulus alone, and so do $\mathrm{d}\theta/\mathrm{d}\omega_\theta = 1$ (polar) and
# $(1-\nu^2)/(\nu\sqrt{1+\nu^2})$ (optimal). The exponential parametrisation has $\mathrm{d}\theta/\mathrm{d}\omega_\theta = \theta$: its
# curvature grows by $(.5 / (\pi/100))^2 \approx 253$. Small angles look tame in the LRU because they are small, not because the parametrisation
# has tamed them.
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
