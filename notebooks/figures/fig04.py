# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 4: one system, two landscapes
#
# **You will see** the Hessian of the same linear system written as a dense RNN and as a complex diagonal one: sharpness within a factor
# of three for this draw (and not for others), but spread over many parameters in one and confined to few in the other. **You need** [from diagonal to
# dense](../theory/04-from-diagonal-to-dense.ipynb) and [the Hessian at the optimum](../theory/05-hessian-at-the-optimum.ipynb). **Time**
# under a minute on a CPU.
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
# ## The system
# Four units in two conjugate pairs with moduli between $.99$ and $.993$, random angles, random eigenvectors. The students stand at the
# teacher's parameters, so the loss is zero and the Hessian shows how it rises. Angles and moduli of the one drawn here, the first seed:

# %%
system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(0))
lam, B, C = system.modes()
for value in lam[lam.imag > 0]:
    print(f"modulus {value.abs():.4f}, angle {value.angle() / np.pi:+.3f} pi, and its conjugate")

# %% [markdown]
# ## Two ways to the same Hessian
# The paper samples inputs: 64 sequences of 300 steps. The expectation over white inputs needs no sample: the loss is
# $\frac12 \sum_\tau (1 - \tau/T) (k_\tau - k^*_\tau)^2$ for impulse responses $k$. Both are differentiated twice through the recurrence, in
# float64.

# %%
response, weights = system.impulse_response(T), curvature.white_gram(T)
layers = {"dense": systems.as_dense(system), "diagonal": systems.as_diagonal(system)}
x = torch.randn(64, T, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
exact, sampled = {}, {}
for name, layer in layers.items():
    exact[name] = curvature.hessian(layer, curvature.response_loss(response, weights))
    with torch.no_grad():
        y, _ = layer(x)
    sampled[name] = curvature.hessian(layer, curvature.sampled_loss(x, y))
    difference = (sampled[name].matrix - exact[name].matrix).norm() / exact[name].matrix.norm()
    print(f"{name:9} sampled against exact: relative difference {difference:.1%}")

# %% [markdown]
# The difference is that of 64 sequences from their expectation; for a common set of inputs the two ways agree to rounding (the tests hold
# this).
#
# ## The Hessians
# Colours are logarithmic and symmetric around zero. Beside each Hessian its ten top eigenvectors, one a row, and the spectrum.

# %%
labels = {
    "A": "$A$", "B": "$B$", "C": "$C$", "D": "$D$",
    "lam.real": r"Re $\lambda$", "lam.imag": r"Im $\lambda$",
    "B.real": "Re $B$", "B.imag": "Im $B$", "C.real": "Re $C$", "C.imag": "Im $C$",
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


# %% mystnb={"figure": {"caption": "A: dense RNN. B: complex diagonal RNN. From the left: Hessian at the optimum over all 25 parameters, its ten top eigenvectors (the tenth is arbitrary), its spectrum. The spectrum breaks off after nine eigenvalues; the rest is rounding.", "name": "fig-04"}, "image": {"alt": "Two rows. The dense RNN's Hessian is filled in the whole block of A, and each of its top eigenvectors has entries across that block. The diagonal RNN's Hessian is large in a few entries of the eigenvalues' block near its diagonals, and its top eigenvectors have four entries or so. Both spectra fall over six decades and end with the ninth eigenvalue."}}
fig, axes = plt.subplots(2, 3, figsize=(9, 5.2), width_ratios=[1.2, 1.1, 0.9], layout="constrained")
largest = max(H.matrix.abs().max() for H in exact.values())
show(axes[0], exact["dense"], "A: dense", largest)
images = show(axes[1], exact["diagonal"], "B: complex diagonal", largest)
fig.colorbar(images[0], ax=axes[:, 0], label="entry of the Hessian", shrink=0.6)
fig.colorbar(images[1], ax=axes[:, 1], label="entry of the eigenvector", shrink=0.6);

# %% [markdown]
# ## Rank: nine
# A system of order $n$ with one input and one output is its transfer function, which has $2n + 1$ coefficients. Directions of parameter
# space that leave it alone are flat, in any parametrisation. Here $n = 4$. At the optimum the Hessian is $J^\top W J$ with the derivatives
# $J$ of the impulse response, so its eigenvalues are squared singular values of $W^{1/2} J$, which resolve twice as many decades:

# %%
for name, layer in layers.items():
    values = curvature.response_singular_values(layer, weights)
    print(f"{name:9} rank {curvature.rank(layer, weights)} of {len(values)} parameters;",
          f"ninth eigenvalue {values[8] ** 2:.2g}, tenth {values[9] ** 2:.0e}")

# %% [markdown]
# ## Spread: many coordinates or few
# The participation ratio of an eigenvector $v$ is $(\sum_p v_p^2)^2 / \sum_p v_p^4$, the number of parameters over which it spreads. Adam
# has one step size for each parameter. It can follow a sharp direction with few entries by making those few steps small; a sharp direction
# with many entries forces all of them down.

# %%
for name, H in exact.items():
    ratios = curvature.participation_ratio(H.eigenvectors[:, :9])
    fraction = curvature.diagonal_fraction(H.matrix)
    print(f"{name:9} participation ratios {ratios.numpy().round(1)}, mean {ratios.mean():.1f};",
          f"{fraction:.0%} of the squared norm on the diagonal")

# %% [markdown]
# ## "The spectra are almost the same": how nearly, and always?
# Eigenvalues of a Hessian depend on the coordinates. For the system above the largest ones differ by a factor of two to three (the paper's
# draw: about 3.5, erratum 23). Eigenvectors that are far from orthogonal make the dense parametrisation sharper; here are ten draws:

# %%
draws = []
for seed in range(10):
    system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(seed))
    loss = curvature.response_loss(system.impulse_response(T), weights)
    ways = systems.as_dense, systems.as_diagonal
    pair = [curvature.hessian(way(system), loss) for way in ways]
    tops = [H.eigenvalues[0].item() for H in pair]
    spread = [curvature.participation_ratio(H.eigenvectors[:, :9]).mean().item() for H in pair]
    condition = torch.linalg.cond(torch.linalg.eig(system.A).eigenvectors).item()
    draws.append([seed, condition, *tops, tops[0] / tops[1], *spread])

# %%
import pandas as pd

columns = ["seed", "condition of the eigenvectors", "top, dense", "top, diagonal", "ratio"]
columns += ["mean participation, dense", "mean participation, diagonal"]
frame = pd.DataFrame(draws, columns=columns).astype({"seed": int})
formats = dict.fromkeys(columns[1:], "{:.1f}") | dict.fromkeys(columns[2:4], "{:.1e}")
frame.style.hide(axis="index").format(formats)

# %% [markdown]
# The likeness of the spectra is a property of the draw. The top eigenvalue of the dense parametrisation is larger throughout, by a factor
# that ranges over orders of magnitude and tends to grow with the condition number of the eigenvectors. That the Hessian's eigenvectors are
# more spread in the dense parametrisation is the rule, with one exception here.
#
# ## C, D: effective learning rates after training
# Width 64, teachers with $\nu_0 = .99$, 10,000 steps of Adam at the constant rate .001, two runs on each of 32 teachers. The paper's effective rate is the
# update Adam would make for a gradient of ones. It contains the first moment, so it can exceed the base rate and can be negative; the paper
# drops the negative ones (erratum 9). A dot is the median over a group of parameters on one teacher.

# %% tags=["hide-input"]
from rnnlib.lab import experiments, statistics
from rnnlib.lab.claims.fig04 import final_decades
from rnnlib.lab.claims.measures import log_effective_rates
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.paper_values import paper_values
from rnnlib.lab.training import train

GROUPS = {
    "rnn": {"A": "A", "B": "B", "C": "C", "D": "D"},
    "crnn": {"lam.real": r"Re $\lambda$", "lam.imag": r"Im $\lambda$", "B.real": "Re B"}
    | {"B.imag": "Im B", "C.real": "Re C", "C.imag": "Im C", "D": "D"},
}
theirs = {
    "rnn": paper_values("fig04")["C_RNN_efflr"],
    "crnn": paper_values("fig04")["D_cRNN_efflr"],
}
KEYS = {"lam.real": "lambda[0]", "lam.imag": "lambda[1]"}  # as the authors' notebook calls them
STARTS = {"rnn": 0.0, "crnn": 0.99}
measured = log_effective_rates("fig04cd_teachers")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Adam's effective rates of a dense A lie more than two decades below those of a diagonal $\\lambda$. Dots: medians over a group of parameters on one teacher, two runs each; bars: median and 95 % interval of 32 teachers. Dotted: the base rate. Grey: the paper, one run.", "name": "fig-04-teachers"}, "image": {"alt": "Two strip plots on a logarithmic axis. Dense RNN: A around 6e-6, B around 1e-4, C around 4e-5, D near the base rate of 1e-3; the paper's markers lie lower by a decade or more for A, B and C. Complex diagonal RNN: all groups between 2e-3 and 3e-3, and so are the paper's."}}
fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True, layout="constrained")
titles = {"rnn": "C: dense RNN", "crnn": "D: complex diagonal RNN"}
for ax, (student, groups) in zip(axes, GROUPS.items(), strict=True):
    for place, group in enumerate(groups):
        rows = measured[student, STARTS[student], group].dropna()
        style.replicates(ax, place, rows, color=style.COLORS[student], width=0.5)
        key = KEYS.get(group, group.replace(".real", "_re").replace(".imag", "_im"))
        ax.plot(place, theirs[student][key]["median of positive ones"], **style.PAPER)
    ax.axhline(1e-3, color="0.4", ls=":")
    ax.set_xticks(range(len(groups)), groups.values())
    ax.set(yscale="log", title=titles[student])
axes[0].set_ylabel("effective rate")
handle = axes[1].plot([], [], **style.PAPER)
axes[1].legend(handles=handle, fontsize="small", loc="lower right");

# %% [markdown]
# The rates of the dense A lie 2.4 decades below those of $\lambda$ in the median (2.1 to 2.7); in the paper it is four. The diagonal student's sit near
# $\sqrt{10}$ times the base rate, the value $.1/\sqrt{.001}$ of $(.9m + .1)/\sqrt{.999v + .001}$, the update for a gradient of 1, where past
# gradients are small beside 1; only $\lambda$'s are lower. But the dense RNN of this panel has not learned: at this base rate its loss is still
# half of the zero predictor's in the median, while the diagonal one is five decades below. Large gradients of an unlearned task are part of why its
# rates are small.

# %% tags=["hide-input"]
gains = {name: -final_decades("fig04cd_teachers", name, STARTS[name]) for name in STARTS}
for name, gain in gains.items():
    estimate = statistics.median(gain)
    print(f"{experiments.LABELS[name]:16} zero predictor's loss over its own, decades: "
          f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})")
print(provenance(experiments.load("fig04cd_teachers")))

# %% [markdown]
# ### One run, every parameter
# As the paper shows them: the first run on one teacher, each dot a parameter. Left, the paper's definition, with the fraction of negative ones
# in the table; right without the first moment, $\eta / (\sqrt{\hat v} + \epsilon)$, which is always positive.

# %%
scale = experiments.scale_from_environment()
device = experiments.choose_device()  # a GPU if there is one
if scale == "paper":  # recompute everything
    every = [experiments.get(name) for name in ("fig04cd", "fig04cd_teachers")]
    experiments.run_all(every, "paper", device=device, progress=False)
rates = experiments.load("fig04cd", "parameters")
rates = rates[(rates["student"] == "crnn") | (rates["start"] == 0)]
groups = {"rnn": ["A", "B", "C", "D"], "crnn": ["lam", "B", "C", "D"]}
summary = rates.groupby(["student", "parameter"]).agg(
    parameters=("effective", "size"),
    negative=("effective", lambda values: (values < 0).mean()),
    median=("effective", lambda values: values[values > 0].median()),
    plain_median=("effective_plain", "median"),
)
print(provenance(rates))
summary.style.format({"negative": "{:.1%}", "median": "{:.1e}", "plain_median": "{:.1e}"})

# %% mystnb={"figure": {"caption": "Effective learning rates of every parameter after 10,000 steps, by group of parameters; C: dense RNN, D: complex diagonal RNN. Left of each pair: the paper's definition, negative ones left out (written where a group has no other); right: without the first moment. Black: medians. Dotted: the base rate.", "name": "fig-04-trained"}, "image": {"alt": "Four strip plots on a logarithmic axis, by parameter group. The dense RNN: the cloud of A around 2e-5, those of B and C ten times higher, below the base rate. The diagonal RNN: all groups just above the base rate. Without the first moment A lies at 3e-5, lambda at 2e-2, B and C of the diagonal RNN above."}}
fig, axes = plt.subplots(1, 4, figsize=(9, 3.2), sharey=True, layout="constrained")
generator = np.random.default_rng(0)
definitions = {"effective": "paper's definition", "effective_plain": "without first moment"}
panels = [("C: dense RNN", "rnn"), ("D: complex diagonal", "crnn")]
for row, (panel, student) in enumerate(panels):
    for column, (kind, definition) in enumerate(definitions.items()):
        ax = axes[2 * row + column]
        for place, name in enumerate(groups[student]):
            mine = rates[(rates["student"] == student) & (rates["parameter"] == name)][kind]
            mine = mine[mine > 0]
            if mine.empty:
                ax.text(place, 1e-8, "negative", rotation=90, ha="center", color="0.4")
            jitter = place + 0.5 * (generator.random(len(mine)) - 0.5)
            ax.plot(jitter, mine, ".", ms=1.5, alpha=0.5, color=style.COLORS[student])
            ax.plot([place - 0.35, place + 0.35], 2 * [mine.median()], "k", lw=1.5)
        ax.axhline(1e-3, color="0.4", ls=":")
        labels = [r"$\lambda$" if name == "lam" else name for name in groups[student]]
        ax.set_xticks(range(4), labels)
        ax.set_xlim(-0.5, 3.5)
        ax.set(yscale="log", xlabel="parameters")
        ax.set_title(f"{panel}\n{definition}", fontsize=10)
axes[0].set_ylabel("effective rate");

# %% [markdown]
# The rates of the dense A lie two decades below those of $\lambda$, three without the first moment. The table also shows how much the first
# moment matters in the paper's definition: two fifths of the entries of A are negative and missing from its plot, and of the diagonal student
# B, C and D sit near $\sqrt{10}$ times the base rate. That is the value $.1/\sqrt{.001}$ of $(.9m + .1)/\sqrt{.999v + .001}$, the update for a
# gradient of 1, where past gradients are small beside 1. For $\lambda$ they are not always: its median is lower.
#
# Started from the teacher's ring, as the captions have it (erratum 13), the dense RNN has few effective rates to show: at this base rate

# %%
ring = experiments.load("fig04cd").query("student == 'rnn' and start > 0")
print(f"{ring['diverged'].sum()} of {len(ring)} runs diverged")

# %% [markdown]
# Live, one seed and a fifth of the steps: the medians of the same students trained here.

# %%
small = experiments.get("fig04cd").at("smoke" if scale == "smoke" else "book")
runs = [run for run in small.runs() if run.seed == 0 and (run.student == "crnn" or run.start == 0)]
ensemble = train([run.member(small.protocol.length) for run in runs], small.protocol, device=device)
for run, rates_here in zip(runs, ensemble.effective_rates().values(), strict=True):
    plain = {name: f"{np.median(values[1]):.0e}" for name, values in rates_here.items()}
    print(f"{experiments.LABELS[run.student]:16} without the first moment:", plain)
print(f"{small.protocol.steps:,} steps in {ensemble.seconds:.0f} seconds on {device}")

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The claims of this figure. Shaded: what agrees, on a scale of each row's own. Dots: ours, with 95 % intervals where a number is sampled; at the right the number and the range.", "name": "fig-04-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig04");

# %%
claims.table("fig04")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: turn the state
# *Predict, then run. Medium.* Rotate the state of the dense RNN: $A \to QAQ^\top$, $B \to QB$, $C \to CQ^\top$ with an orthogonal $Q$. The outputs
# stay. Do the eigenvalues of the Hessian change? The participation ratios? What if $Q$ is any invertible matrix, with $Q^{-1}$ in the place of $Q^\top$?
#
# <details>
# <summary>Solution 1</summary>
#
# For an orthogonal $Q$ the map of the parameters is orthogonal itself: it keeps Frobenius norms. So the Hessian is rotated, its spectrum
# stays to the last digit, and only the eigenvectors move, with the participation ratios. Any other invertible $Q$ stretches some directions of
# parameter space, and the spectrum changes. "The spectra are almost the same" is therefore a statement about how far the
# eigenvectors of A are from orthogonal.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(0))
generator = torch.Generator().manual_seed(2)
random = torch.randn(4, 4, generator=generator, dtype=torch.float64)
spectra = {}
rotation = torch.linalg.qr(random)[0]
changes = {"as it is": torch.eye(4).double(), "rotated": rotation, "mixed": random}
for name, Q in changes.items():
    parts = Q @ system.A @ Q.inverse(), Q @ system.B, system.C @ Q.inverse(), system.D
    layer = systems.as_dense(systems.System(*parts))
    H = curvature.hessian(layer, curvature.response_loss(system.impulse_response(T), weights))
    spectra[name] = H.eigenvalues[:9]
    ratios = curvature.participation_ratio(H.eigenvectors[:, :9])
    print(f"{name:9} top eigenvalue {H.eigenvalues[0]:.6g}, mean participation {ratios.mean():.2f}")
assert torch.allclose(spectra["as it is"], spectra["rotated"], rtol=1e-6)
assert not torch.allclose(spectra["as it is"], spectra["mixed"], rtol=0.1)
