# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 9: the Hessians of the LRU and of S4
#
# **You will see** what reparametrisation does to the landscape of Figure 4: all sharpness gathers in one group of parameters, the angles of
# the LRU or the steps of S4. **You need** [Figure 4](fig04.ipynb). **Time** under a minute on a CPU.
#
# Panels C and D show trained networks, from stored results of the full experiment.

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
from rnnlib.lab import claims, curvature, systems, style

style.use()
T = 300

# %% [markdown]
# ## The same system in two more parametrisations
# The four eigenvalues of Figure 4, as an LRU,
#
# $$\lambda = e^{-e^{\omega_\nu} + i e^{\omega_\theta}}, \qquad h_t = \lambda h_{t-1} + e^{\omega_\gamma} B x_t ,$$
#
# and as diagonal S4, with the step $\Delta = .01$,
#
# $$\lambda = e^{\Delta A}, \quad \Delta = \mathrm{softplus}(\omega_\Delta), \qquad h_t = \lambda h_{t-1} + \Delta B x_t .$$
#
# Outputs, and so the loss, are those of the dense and the diagonal RNN; only the coordinates differ.

# %%
system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(0))
loss = curvature.response_loss(system.impulse_response(T), curvature.white_gram(T))
layers = {"A: LRU": systems.as_lru(system), "B: S4": systems.as_s4(system, step_size=0.01)}
hessians = {name: curvature.hessian(layer, loss) for name, layer in layers.items()}

# %%
labels = {
    "omega_nu": r"$\omega_\nu$", "omega_theta": r"$\omega_\theta$",
    "omega_gamma": r"$\omega_\gamma$", "omega_delta": r"$\omega_\Delta$",
    "A.real": "Re $A$", "A.imag": "Im $A$",
    "B.real": "Re $B$", "B.imag": "Im $B$", "C.real": "Re $C$", "C.imag": "Im $C$", "D": "$D$",
}  # fmt: skip


def show(axes, H, title, largest):
    """Hessian, top eigenvectors and spectrum, in three axes side by side."""
    matrix, vectors, spectrum = axes
    first = matrix.imshow(H.matrix, cmap="PuOr", norm=SymLogNorm(1, vmin=-largest, vmax=largest))
    second = vectors.imshow(H.eigenvectors[:, :10].T, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    spectrum.semilogy(range(1, 10), H.eigenvalues[:9], "o", ms=4, color="0.25")
    spectrum.set(xlabel="index of the eigenvalue", ylabel="eigenvalue", xticks=range(1, 12, 2))
    spectrum.set(xlim=(0.5, 11.5), ylim=(1e-2, 1e8), yticks=[1e-2, 1, 1e2, 1e4, 1e6, 1e8])
    spectrum.text(10.5, 2e-2, "rounding", rotation=90, ha="center", va="bottom", color="0.4")
    starts = [rows.start for rows in H.groups.values()]
    middles = [(rows.start + rows.stop - 1) / 2 for rows in H.groups.values()]
    for ax in (matrix, vectors):
        ax.set_xticks(middles, [labels[name] for name in H.groups], fontsize=8)
        ax.tick_params(length=0)
        for start in starts[1:]:
            ax.axvline(start - 0.5, color="0.3", lw=0.6)
    for start in starts[1:]:
        matrix.axhline(start - 0.5, color="0.3", lw=0.6)
    matrix.set_yticks(middles, [labels[name] for name in H.groups], fontsize=8)
    vectors.set(ylabel="eigenvector", yticks=[0, 9], yticklabels=[1, 10])
    matrix.set_title(title)
    return first, second


# %% mystnb={"figure": {"caption": "A: LRU. B: diagonal S4 with $\\Delta = .01$. From the left: Hessian at the optimum over all 29 parameters, its ten top eigenvectors (the tenth is arbitrary), its spectrum. Symmetric logarithmic colours.", "name": "fig-09"}, "image": {"alt": "Two rows. In the LRU's Hessian the block of the raw angles is darker than everything else by orders of magnitude and its two top eigenvectors lie in that block alone. In S4's Hessian the same holds for the block of the raw steps, while the blocks of A are pale. Both spectra break off after the ninth eigenvalue."}}
fig, axes = plt.subplots(2, 3, figsize=(9, 5.2), width_ratios=[1.2, 1.1, 0.9], layout="constrained")
largest = max(H.matrix.abs().max() for H in hessians.values())
for row, (name, H) in zip(axes, hessians.items(), strict=True):
    images = show(row, H, name, largest)
fig.colorbar(images[0], ax=axes[:, 0], label="entry of the Hessian", shrink=0.6)
fig.colorbar(images[1], ax=axes[:, 1], label="entry of the eigenvector", shrink=0.6);

# %% [markdown]
# ## Which group is sharp
# The largest second derivative along a single parameter of each group:

# %%
for name, H in hessians.items():
    print(f"{name}, rank {curvature.rank(layers[name], curvature.white_gram(T))}")
    for group, value in sorted(H.largest().items(), key=lambda item: -item[1]):
        print(f"    {group:12} {value:10.3g}")

# %% [markdown]
# The modulus, which alone decides about memory, is tame in both. In the LRU $\theta = e^{\omega_\theta}$ leaves the angle's curvature as it
# was, times $\theta^2$. In S4 $\partial \lambda / \partial A = \Delta \lambda$ is small with $\Delta$, so A is tame whatever the angle; but
# $\partial \lambda / \partial \omega_\Delta \approx \lambda \ln \lambda$ turns the angle all the same. The sharpness has moved from one
# group to another as the step shrank:

# %% mystnb={"figure": {"caption": "Largest second derivative along a single parameter of each recurrent group of S4, against the step.", "name": "fig-09-step"}, "image": {"alt": "Log-log plot against the step from 0.001 to 1. The curvature along the raw step is flat near four million up to a step of 0.1 and falls a little towards 1; real and imaginary parts of A coincide, rise with slope two and stay a factor of five below it at a step of 1."}}
steps = np.logspace(-3, 0, 10)
sharpness = [curvature.hessian(systems.as_s4(system, step), loss).largest() for step in steps]
fig, ax = plt.subplots(figsize=(5, 2.7), layout="constrained")
looks = [("omega_delta", "o", "s4d"), ("A.imag", "s", "rnn"), ("A.real", "x", "crnn")]
for group, marker, color in looks:
    values = [largest[group] for largest in sharpness]
    ax.loglog(steps, values, marker + "-", ms=4, color=style.COLORS[color], label=labels[group])
ax.set(xlabel=r"step $\Delta$", ylabel="largest curvature")
ax.legend();

# %% [markdown]
# ## Erratum 10: where S4 starts
# The Hessian above is taken at the teacher's parameters in float64. For training, the code's default initialisation of S4 draws an angle
# between 0 and $2\pi$ and divides it by $\Delta$ *before* the softplus, the raw parameter, but multiplies by $\Delta$ after it. Angles then
# start near 0; the text says $\Delta = 1$ and a start like the LRU's. Moduli between $.99$ and 1:

# %%
generator = torch.Generator().manual_seed(0)
modulus = 0.99 + 0.01 * torch.rand(1000, generator=generator, dtype=torch.float64)
angle = 2 * np.pi * torch.rand(1000, generator=generator, dtype=torch.float64)
raw_step = torch.log(torch.expm1(-modulus.log()))  # softplus of it is -log modulus, and Re A = -1
code = torch.nn.functional.softplus(raw_step) * (angle / raw_step)
print(f"angles drawn: 0 to {angle.max():.2f} rad")
print(f"angles that result: {code.min():.4f} to {code.max():.4f} rad")

# %% [markdown]
# `rnnlib.S4D` starts as the text says. Its eigenvalues do not depend on the step:

# %%
from rnnlib import S4D

for step in [1, 0.01]:
    generator = torch.Generator().manual_seed(0)
    layer = S4D(1, 1000, 1, step_size=step, min_modulus=0.99, generator=generator)
    lam = layer.eigenvalues().detach()
    print(f"step {step}: moduli {lam.abs().min():.4f} to {lam.abs().max():.4f}, "
          f"largest angle {lam.angle().abs().max():.3f} rad")

# %% [markdown]
# ## C, D: effective learning rates after training
# As in Figure 4: width 64, $\nu_0 = .99$, 10,000 steps at the constant rate .001, two runs on each of 32 teachers; a dot is the median over a group of
# parameters on one teacher. S4 starts as in the authors' code, with $\Delta = 1$ as the text has it, and with $\Delta = .01$ as in panel B.

# %% tags=["hide-input"]
from rnnlib.lab import experiments
from rnnlib.lab.claims.measures import log_effective_rates
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.paper_values import paper_values
from rnnlib.lab.training import train

MAPS = {"B.real": "Re B", "B.imag": "Im B", "C.real": "Re C", "C.imag": "Im C", "D": "D"}
S4 = {"A.real": "Re A", "A.imag": "Im A", "omega_delta": r"$\omega_\Delta$"} | MAPS
LRU = {"omega_nu": r"$\omega_\nu$", "omega_theta": r"$\omega_\theta$"}
LRU |= {"omega_gamma": r"$\omega_\gamma$"} | MAPS
PANELS = {
    "C: LRU": ("lru", LRU, "C_LRU_efflr"),
    "D: S4, authors' start": ("s4d_authors", S4, "D_S4_efflr"),
    r"S4, $\Delta = 1$": ("s4d_unit_step", S4, None),
    r"S4, $\Delta = .01$": ("s4d", S4, None),
}
KEYS = {"omega_nu": "lambda[0]", "omega_theta": "lambda[1]", "omega_gamma": "gamma"}
KEYS |= {"A.real": "A[0]", "A.imag": "A[1]", "omega_delta": "Delta"}  # the authors' names
measured = log_effective_rates("fig09cd_teachers")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Of the LRU the angle alone has low effective rates, of S4 with a small step the step alone. Dots: medians over a group of parameters on one teacher, two runs each; bars: median and 95 % interval of 32 teachers. Dotted: the base rate. Grey: the paper, one run.", "name": "fig-09-teachers"}, "image": {"alt": "Four strip plots on a logarithmic axis. LRU: all groups near 3e-3 but the raw angle, around 4e-4 with the paper's marker at 1e-4. S4 from the authors' start: all groups at 3e-3, D at 1e-3, where the paper's markers of Re A, Im A and the step lie below 1e-4. S4 with step 1: recurrent groups between 1e-3 and 2e-3, the rest at 3e-3. S4 with step .01: the raw step around 1e-4, the rest at 3e-3."}}
fig, axes = plt.subplots(1, 4, figsize=(11, 3), sharey=True, layout="constrained")
for ax, (title, (student, groups, key)) in zip(axes, PANELS.items(), strict=True):
    for place, group in enumerate(groups):
        rows = measured[student, 0.99, group].dropna()
        color = style.COLORS["lru" if student == "lru" else "s4d"]
        style.replicates(ax, place, rows, color=color, width=0.5)
        if key:
            name = KEYS.get(group, group.replace(".real", "_re").replace(".imag", "_im"))
            value = paper_values("fig09")[key][name]["median of positive ones"]
            ax.plot(place, value, **style.PAPER)
    ax.axhline(1e-3, color="0.4", ls=":")
    ax.set_xticks(range(len(groups)), groups.values(), fontsize=7)
    ax.set(yscale="log", title=title)
axes[0].set_ylabel("effective rate")
handle = axes[3].plot([], [], **style.PAPER)
axes[0].legend(handles=handle, fontsize="small", loc="lower right")
print(provenance(experiments.load("fig09cd_teachers")));

# %% [markdown]
# C: the LRU's angles have the lowest rates, as in the paper. D: from the start of the authors' code as erratum 10 describes it, S4 hardly learns here, its angles
# stay near 0, and no rate of a recurrent group falls below the others, as the paper's do by a decade and more: this rebuilt start does not
# reproduce the panel, and what else differs is open. From $\Delta = 1$ the recurrent rates are the lowest, by a factor of about two; with
# $\Delta = .01$ only that of the raw step is, where panel B has the curvature.
#
# ### One run, every parameter
# The first of ten seeds on one teacher, each dot a parameter; S4 starts with $\Delta = .01$. Left of each pair the paper's definition without its
# negative values (erratum 9), right without the first moment.

# %%
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    every = [experiments.get(name) for name in ("fig09cd", "fig09cd_teachers")]
    experiments.run_all(every, "paper", device=device, progress=False)
rates = experiments.load("fig09cd", "parameters")
names = {
    "lru": {"omega_nu": r"$\omega_\nu$", "omega_theta": r"$\omega_\theta$"}
    | {"omega_gamma": r"$\omega_\gamma$"},
    "s4d": {"A": "$A$", "omega_delta": r"$\omega_\Delta$"},
}
shared = {name: name for name in "BCD"}
summary = rates.groupby(["student", "parameter"]).agg(
    parameters=("effective", "size"),
    negative=("effective", lambda values: (values < 0).mean()),
    median=("effective", lambda values: values[values > 0].median()),
    plain_median=("effective_plain", "median"),
)
print(provenance(rates))
summary.style.format({"negative": "{:.1%}", "median": "{:.1e}", "plain_median": "{:.1e}"})

# %% mystnb={"figure": {"caption": "Effective learning rates of every parameter after 10,000 steps, by group; C: LRU, D: S4. Left of each pair: the paper's definition, negative ones left out; right: without the first moment. Black: medians. Dotted: the base rate.", "name": "fig-09-trained"}, "image": {"alt": "Four strip plots on a logarithmic axis, by parameter group. LRU: all groups near 3e-3 but omega_theta, whose dots spread around 1.5e-4. S4: all groups near 3e-3 but omega_Delta, around 1e-4. Without the first moment the order is the same and the distance a decade and a half or more."}}
fig, axes = plt.subplots(1, 4, figsize=(9, 3.2), sharey=True, layout="constrained")
generator = np.random.default_rng(0)
definitions = {"effective": "paper's definition", "effective_plain": "without first moment"}
for row, (panel, student) in enumerate([("C: LRU", "lru"), ("D: S4", "s4d")]):
    labels = names[student] | shared
    for column, (kind, definition) in enumerate(definitions.items()):
        ax = axes[2 * row + column]
        for place, name in enumerate(labels):
            mine = rates[(rates["student"] == student) & (rates["parameter"] == name)][kind]
            mine = mine[mine > 0]
            jitter = place + 0.5 * (generator.random(len(mine)) - 0.5)
            ax.plot(jitter, mine, ".", ms=2, alpha=0.5, color=style.COLORS[student])
            ax.plot([place - 0.35, place + 0.35], 2 * [mine.median()], "k", lw=1.5)
        ax.axhline(1e-3, color="0.4", ls=":")
        ax.set_xticks(range(len(labels)), list(labels.values()))
        ax.set(yscale="log", xlabel="parameters")
        ax.set_title(f"{panel}\n{definition}", fontsize=10)
axes[0].set_ylabel("effective rate");

# %% [markdown]
# Adam takes its smallest steps where panels A and B have the sharpest curvature: along $\omega_\theta$ in the LRU and along $\omega_\Delta$
# in S4. Everything else sits near $\sqrt{10}$ times the base rate, where past gradients are small beside 1 ([Figure 4](fig04.ipynb)).

# %% [markdown]
# Live, one seed and a fifth of the steps: the medians of the same students trained here.

# %%
small = experiments.get("fig09cd").at("smoke" if scale == "smoke" else "book")
runs = [run for run in small.runs() if run.seed == 0]
ensemble = train([run.member(small.protocol.length) for run in runs], small.protocol, device=device)
for run, rates_here in zip(runs, ensemble.effective_rates().values(), strict=True):
    plain = {name: f"{np.median(values[1]):.0e}" for name, values in rates_here.items()}
    print(f"{experiments.LABELS[run.student]:16} without the first moment:", plain)
print(f"{small.protocol.steps:,} steps in {ensemble.seconds:.0f} seconds on {device}")

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-09-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig09");

# %%
claims.table("fig09")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: why the step's curvature is flat
# *Derive. Medium.* The figure above shows the curvature along $\omega_\Delta$ flat in $\Delta$ until it falls a little towards $\Delta = 1$,
# and the curvature along A rising with slope two. Derive both from $\lambda = e^{\Delta A}$ and $\Delta = \ln(1 + e^{\omega_\Delta})$. By what
# factor does the first fall from small steps to $\Delta = 1$?
#
# <details>
# <summary>Solution 1</summary>
#
# $\partial\lambda/\partial A = \Delta\lambda$: squared, slope two. $\partial\lambda/\partial\omega_\Delta = A\lambda\,\Delta' =
# \lambda \ln\lambda \; \Delta'/\Delta$, and $\ln\lambda$ is given by the system. The derivative of softplus is $\Delta' = 1 - e^{-\Delta}$, so
# $\Delta'/\Delta$ tends to 1 for small steps and is $1 - e^{-1} = .63$ at 1: the curvature falls by $.63^2 = .40$.
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
