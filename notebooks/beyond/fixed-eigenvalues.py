# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Must the recurrence be learned?
#
# **You will see** that random eigenvalues with a least-squares readout beat learned ones once there is a unit for each angle that the memory
# can tell apart, and are useless before; learning pays where memory times angles exceeds the units.
# **You need** [Figure 10](../figures/fig10.ipynb). **Time** ten seconds on a CPU.

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
import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from rnnlib import theory
from rnnlib.lab import claims, experiments, readouts, style, systems
from rnnlib.lab.claims import fixed_poles
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.statistics import median

style.use()
ANGLES = {0.01: "π/100", 0.0316: "π/32", 0.1: "π/10", 0.316: "π/3", 1.0: "π"}
COLORS = dict(zip(ANGLES, style.sequence("time", len(ANGLES)), strict=True))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A cliff, whose place angles set. Lines: loss that is left by random fixed eigenvalues with the best readout, as a share of the zero predictor's, against units; teachers with ν₀ = .99 on the paper's window of 300 steps, angles up to θ₀. Dots: LRUs of 64 units that learn their eigenvalues. Dotted: 300 θ₀ / 2π units. Medians and 95 % intervals of 32 teachers. Right: on an infinite window, equally spaced eigenvalues, against units over θ₀ m, for all θ₀ and memories m = 1 / (1 - ν₀) of 10 (dots), 100 (triangles) and 1,000 (squares); it is one curve.", "name": "fig-fixed-eigenvalues"}, "image": {"alt": "ALT"}}
fig, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.7), layout="constrained")
widths = experiments.get("fixed_poles").widths
for angle, label in ANGLES.items():
    color = COLORS[angle]
    estimates = [median(fixed_poles.fixed("random", angle, width)) for width in widths]
    left.plot(widths, [10**e.value for e in estimates], color=color, label=rf"$\theta_0$ = {label}")
    left.fill_between(
        widths, [10**e.low for e in estimates], [10**e.high for e in estimates], color=color, alpha=0.2, lw=0
    )
    if 300 * angle / 2 > 4:
        left.axvline(300 * angle / 2, color=color, ls=":", lw=1)
    trained = median(fixed_poles.learned(angle))
    left.plot(64 * 1.06 ** (3 * math.log10(angle) + 3), 10**trained.value, "o", color=color, mec="white", ms=7)
left.set(xscale="log", yscale="log", ylim=(1e-13, 2), xlabel="units", ylabel="loss / zero predictor's", title="window of 300")
left.set_xticks([4, 16, 64, 256], [4, 16, 64, 256])
left.minorticks_off()
left.annotate("learned, 64 units", (64, 3e-8), (5, 2e-10), fontsize=9)
left.legend(fontsize=8, loc="lower left")
endless = experiments.load("fixed_poles", "endless").query("design == 'even'")
for (nu0, angle), group in endless.groupby(["nu0", "theta0"]):
    points = group.groupby("width")["loss"].median()
    scale = math.pi * angle / (1 - nu0)
    marker = {0.9: "o", 0.99: "^", 0.999: "s"}[nu0]
    right.plot(points.index / scale, points, marker, ms=4, color=COLORS[angle])
right.set(yscale="log", xlabel=r"units / ($\theta_0\,m$)", title="infinite window");

# %% [markdown]
# ## Least squares in six lines
# The impulse response of fixed eigenvalues is linear in the readout, and so is the loss in its square: no gradient descent, no local minima.

# %%
teacher = systems.teacher(0, min_modulus=0.99, max_angle=0.1 * math.pi).impulse_response(300).numpy()
poles = readouts.DESIGNS["random"](64, 0.99, 0.1 * math.pi, 0)
powers = poles ** np.arange(300)[:, None]
features = np.concatenate([powers.real, powers.imag, np.eye(300)[:, :1]], axis=1)
root = np.sqrt(1 - np.arange(300) / 300)  # lag t is seen in 300 - t steps
weights = np.linalg.lstsq(features * root[:, None], teacher * root, rcond=1e-6)[0]
(((features @ weights - teacher) * root) ** 2).sum() / ((teacher * root) ** 2).sum()

# %% [markdown]
# Features that nearly repeat each other make the problem ill-conditioned, so singular values below $10^{-6}$ of the largest are left out. With a
# thousandth instead, a readout that any hardware can hold, the loss is about that of learned eigenvalues. Medians for 64 units:

# %% tags=["hide-input"]
rows = []
for angle, label in ANGLES.items():
    row = {"angles up to": label, "learned": np.median(fixed_poles.learned(angle))}
    for name, cutoff in [("10⁻¹²", "loss_12"), ("10⁻⁶", "loss_6"), ("10⁻³", "loss_3")]:
        row[f"fixed, cutoff {name}"] = np.median(fixed_poles.fixed("random", angle, cutoff=cutoff))
    rows.append(row)
frame = pd.DataFrame(rows)
frame.style.hide(axis="index").format("10^{:.1f}", subset=list(frame.columns[1:]))

# %% [markdown]
# ## Why a cliff
# On a window of $T$ steps, responses with angles below $\theta_0$ have about $T \theta_0 / \pi$ dimensions; a unit has two. Before that many, most of
# the teacher is out of reach; after, everything is in reach. Without a window, what is left of a unit at $\lambda$ is a product,
#
# $$\frac{\text{error}}{\text{variance}} = \prod_j \left| \frac{\lambda - p_j}{1 - \bar p_j \lambda} \right|^2 ,$$
#
# over fixed eigenvalues $p_j$ and their conjugates: each factor is a distance in the hyperbolic plane
# (`theory.readout_error`, [proofs](../../book/proofs.md)). At modulus $1 - 1/m$ that plane has room for about $\theta_0 m$ units side by side, and
# equally spaced ones leave $\cosh^{-2}(2 \pi N / \theta_0 m)$ of a unit between them:

# %%
m, N = 100.0, 150
r = math.exp(-1 / m)
even = r * np.exp(1j * math.pi * (np.arange(2 * N) + 0.5) / N)  # with conjugates
between = np.array([r * np.exp(1j * math.pi * 75 / N)])
theory.readout_error(even, between, np.ones(1)) * (1 - r**2), np.cosh(2 * N / m) ** -2

# %% [markdown]
# The same number $\theta_0 m$ sets [how many bits an angle needs](few-bits.ipynb): it counts the angles that a memory can tell apart. A learned
# network needs one unit for each pair of the teacher's eigenvalues, here five, wherever they are.
#
# ## Does it matter how they are placed?
# Units for one per cent of the loss, medians of 32 teachers. Designs that cover the angles need about as many; a ladder of
# real eigenvalues, geometric in memory, has no angles, and does not get there.

# %% tags=["hide-input"]
NAMES = {
    "random": "random on the ring",
    "even": "equal angles, one modulus",
    "lattice": "equal angles, four memories",
    "other teachers": "eigenvalues of other teachers",
    "ladder": "ladder of memories 1 to 1,000, real",
}
table = {
    name: {label: np.median(fixed_poles.units_needed(design, angle)) for angle, label in ANGLES.items()}
    for design, name in NAMES.items()
}
frame = pd.DataFrame(table).T.map(lambda n: "more than 512" if n > 512 else "4 or fewer" if n <= 4 else f"{n:.0f}")
frame.rename_axis(columns="θ₀").rename_axis("design").reset_index().style.hide(axis="index")

# %% [markdown]
# ## Over memory
# All angles, 64 units. Loss over the zero predictor's, medians of 32 teachers:

# %% tags=["hide-input"]
memories = experiments.get("fixed_poles").memories
rows = {
    "learned": [np.median(fixed_poles.learned(nu0=nu0)) for nu0 in memories],
    "fixed, random": [np.median(fixed_poles.fixed("random", nu0=nu0)) for nu0 in memories],
    "fixed, equal angles": [np.median(fixed_poles.fixed("even", nu0=nu0)) for nu0 in memories],
}
frame = pd.DataFrame(rows, [f"{1 / (1 - nu0):.1f}" for nu0 in memories]).T
frame.rename_axis(columns="memory").rename_axis("eigenvalues").reset_index().style.hide(axis="index").format(
    "10^{:.1f}", subset=list(frame.columns)
)

# %% [markdown]
# ## What we expected, and what we measure

# %% tags=["hide-input"]
claims.table(*(entry.name for entry in claims.CLAIMS if entry.name.startswith("beyond-poles")))

# %% tags=["hide-input"]
print(provenance(experiments.load("fixed_poles")))
