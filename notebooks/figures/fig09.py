# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 9: the Hessians of the LRU and of S4
#
# **You will see** that reparametrisation concentrates the sharpness of Figure 4's landscape in one group of parameters:
# the angles of the LRU, the steps of S4. **You need** [Figure 4](fig04.ipynb). **Time** under a minute on a CPU.

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
from matplotlib.colors import SymLogNorm
from rnnlib.lab import claims, curvature, style, systems

style.use()
T = 300
system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(0))
loss = curvature.response_loss(system.impulse_response(T), curvature.white_gram(T))
layers = {"A: LRU": systems.as_lru(system), "B: S4": systems.as_s4(system, step_size=0.01)}
hessians = {name: curvature.hessian(layer, loss) for name, layer in layers.items()}
labels = {name: f"${name}$" for name in "ABCD"}
labels |= {"omega_nu": r"$\omega_\nu$", "omega_theta": r"$\omega_\theta$"}
labels |= {"omega_gamma": r"$\omega_\gamma$", "omega_delta": r"$\omega_\Delta$"}


def show(axes, H, title, largest):
    """Hessian, top eigenvectors and spectrum, in three axes side by side."""
    matrix, vectors, spectrum = axes
    first = matrix.imshow(H.matrix, cmap="PuOr", norm=SymLogNorm(1, vmin=-largest, vmax=largest))
    second = vectors.imshow(H.eigenvectors[:, :10].T, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    spectrum.semilogy(range(1, 10), H.eigenvalues[:9], "o", ms=4, color="0.25")
    spectrum.set(xlim=(0.5, 11.5), ylim=(1e-2, 1e8), xticks=[1, 5, 9], yticks=[1e-2, 1e3, 1e8])
    spectrum.text(10.5, 2e-2, "rounding", rotation=90, ha="center", va="bottom", color="0.4")
    halves = {}  # real and imaginary parts share a label
    for name, rows in H.groups.items():
        halves.setdefault(name.partition(".")[0], []).append(rows)
    middles = [(rows[0].start + rows[-1].stop - 1) / 2 for rows in halves.values()]
    for ax in (matrix, vectors):
        ax.set_xticks(middles, [labels[name] for name in halves])
        ax.tick_params(length=0)
        for rows in halves.values():
            for part in rows:
                ax.axvline(part.start - 0.5, color="0.3", lw=0.8 if part is rows[0] else 0.3)
                if ax is matrix:
                    ax.axhline(part.start - 0.5, color="0.3", lw=0.8 if part is rows[0] else 0.3)
    matrix.set_yticks(middles, [labels[name] for name in halves])
    matrix.set_ylabel(title)
    vectors.set(yticks=[0, 9], yticklabels=[1, 10])
    return first, second


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The sharpest directions lie only in the LRU's angles $\\omega_\\theta$, and only in S4's steps $\\omega_\\Delta$. A: LRU. B: diagonal S4 with $\\Delta = 0.01$. From the left: Hessian at the optimum over all 29 parameters, its ten top eigenvectors, one per row (the tenth is arbitrary), its spectrum. Real parts before imaginary ones; symmetric logarithmic colours.", "name": "fig-09"}, "image": {"alt": "Two rows. In the LRU's Hessian the block of the raw angles is darker than everything else by orders of magnitude and its two top eigenvectors lie in that block alone. In S4's Hessian the same holds for the block of the raw steps, while the blocks of A are pale. Both spectra break off after the ninth eigenvalue."}}
fig, axes = plt.subplots(
    2, 3, figsize=(7.2, 5.2), width_ratios=[1.2, 1.1, 0.7], layout="constrained"
)
largest = max(H.matrix.abs().max() for H in hessians.values())
for row, (name, H) in zip(axes, hessians.items(), strict=True):
    images = show(row, H, name, largest)
for ax, name in zip(axes[0], ["Hessian", "its top eigenvectors", "its eigenvalues"], strict=True):
    ax.set_title(name)
axes[1, 2].set_xlabel("index")
look = {"location": "bottom", "shrink": 0.8, "aspect": 25}
bar = fig.colorbar(images[0], ax=axes[:, 0], label="entry of the Hessian", **look)
bar.set_ticks([-1e6, -1e3, 0, 1e3, 1e6])
fig.colorbar(images[1], ax=axes[:, 1], label="entry of the eigenvector", **look);

# %% [markdown]
# The largest second derivative along one angle of the LRU is $4 \times 10^6$, as is the one along one step of S4; no
# parameter of the other groups exceeds 109. The modulus, which alone sets the memory, is tame in both.
#
# [Figure 9b](fig09b.ipynb), panels C and D of the paper, shows what that means in training.

# %% [markdown]
# ## The same system in two more parametrisations
# The four eigenvalues of Figure 4, as an LRU,
#
# $$\lambda = e^{-e^{\omega_\nu} + i e^{\omega_\theta}}, \qquad h_t = \lambda h_{t-1} + e^{\omega_\gamma} B x_t ,$$
#
# and as diagonal S4, with the step $\Delta = 0.01$,
#
# $$\lambda = e^{\Delta A}, \quad \Delta = \mathrm{softplus}(\omega_\Delta), \qquad h_t = \lambda h_{t-1} + \Delta B x_t .$$
#
# Outputs, and so the loss, are those of the dense and the diagonal RNN; only the coordinates differ.
#
# ## Which group is sharp, and why
# The largest second derivative along a single parameter of each group:

# %% tags=["hide-input"]
for name, H in hessians.items():
    print(f"{name}, rank {curvature.rank(layers[name], curvature.white_gram(T))}")
    for group, value in sorted(H.largest().items(), key=lambda item: -item[1]):
        print(f"    {group:12} {value:10.3g}")

# %% [markdown]
# In the LRU, $\theta = e^{\omega_\theta}$ multiplies the angle's curvature by $\theta^2$ and leaves its growth with
# memory as it was. In S4, $\partial \lambda / \partial A = \Delta \lambda$ is small when $\Delta$ is, so $A$ is tame
# whatever the angle; but $\omega_\Delta$ still moves the angle: $\partial \lambda / \partial \omega_\Delta \approx
# \lambda \ln \lambda$. As the step shrinks, the sharpness moves from $A$ to the step:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A smaller step makes $A$ tamer, but stays sharp itself. Largest second derivative along a single parameter of each recurrent group of S4, against the step; the curves of real and imaginary part coincide.", "name": "fig-09-step"}, "image": {"alt": "Log-log plot against the step from 0.001 to 1. The curvature along the raw step is flat near four million up to a step of 0.1 and falls a little towards 1; real and imaginary parts of A coincide, rise with slope two and stay a factor of five below it at a step of 1."}}
steps = np.logspace(-3, 0, 10)
sharpness = [curvature.hessian(systems.as_s4(system, step), loss).largest() for step in steps]
fig, ax = plt.subplots(figsize=(7.2, 2.6), layout="constrained")
looks = [("omega_delta", "o", "s4d", r"$\omega_\Delta$"), ("A.imag", "s", "rnn", "Im $A$")]
looks += [("A.real", "x", "crnn", "Re $A$")]
ends = []
for group, marker, color, label in looks:
    values = [largest[group] for largest in sharpness]
    ax.loglog(steps, values, marker + "-", ms=4, color=style.COLORS[color])
    ends.append((values[-1], label, style.COLORS[color]))
ax.set(xlabel=r"step $\Delta$", ylabel="largest curvature")
style.label_ends(ax, ends);

# %% [markdown]
# ## What the paper claims, and what we measure


# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-09-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig09");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig09")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: why the step's curvature is flat
# *Derive. Medium.* The figure above shows the curvature along $\omega_\Delta$ flat in $\Delta$ until it falls a little
# towards $\Delta = 1$, and the curvature along A rising with slope two. Derive both from $\lambda = e^{\Delta A}$ and
# $\Delta = \ln(1 + e^{\omega_\Delta})$. By what factor does the first fall from small steps to $\Delta = 1$?
#
# <details>
# <summary>Solution 1</summary>
#
# $\partial\lambda/\partial A = \Delta\lambda$: squared, slope two. $\partial\lambda/\partial\omega_\Delta =
# A\lambda\,\Delta' = \lambda \ln\lambda \; \Delta'/\Delta$, and $\ln\lambda$ is given by the system. The derivative of
# softplus is $\Delta' = 1 - e^{-\Delta}$, so $\Delta'/\Delta$ tends to 1 for small steps and is $1 - e^{-1} = 0.63$ at
# 1: the curvature falls by $0.63^2 = 0.40$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
along_step = [values["omega_delta"] for values in sharpness]
slope = np.diff(np.log10([values["A.imag"] for values in sharpness])) / np.diff(np.log10(steps))
fall, predicted = along_step[-1] / along_step[0], (1 - np.exp(-1)) ** 2
print(f"step 1 against .001: {fall:.4f}, predicted {predicted:.4f}")
print("slopes along Im A", slope.round(3))
assert abs(fall - predicted) < 0.01
assert np.allclose(slope, 2, atol=0.01)
answer = (1 - np.exp(-1)) ** 2  # curvature along omega_Delta at Delta = 1 over that at small steps
assert answer < 1, "it falls"
assert abs(answer - 0.4) < 0.01, "d Delta / d omega_Delta = 1 - exp(-Delta) enters squared"
