# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Must the recurrence be learned?
#
# **You will see** that random eigenvalues with a least-squares readout beat learned ones by decades once there is a
# unit for each angle that the window or the memory can resolve, and fail with fewer: learning pays where memory times
# the range of angles exceeds the number of units. **You need** [Figure 10](../figures/fig10.ipynb). **Time** ten
# seconds on a CPU.

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
from rnnlib.lab.claims.display import number
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.statistics import median

style.use()
ANGLES = {0.01: "π/100", 0.0316: "π/32", 0.1: "π/10", 0.316: "π/3", 1.0: "π"}
COLORS = dict(zip(ANGLES, style.sequence("time", len(ANGLES)), strict=True))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The range of angles sets how many fixed units are enough. Lines: loss of random fixed eigenvalues with the best readout, over the zero predictor's, against units; teachers with ν₀ = .99 on the paper's window of 300 steps, angles up to θ₀. Dots: LRUs of 64 units that learn their eigenvalues, shifted apart. Dotted: 300 θ₀ / 2π units. Medians and 95 % intervals of 32 teachers. Right: on an infinite window, equally spaced eigenvalues, against units over θ₀ m, for memories m = 1 / (1 - ν₀) of 10 (circles), 100 (triangles) and 1,000 (squares) and all θ₀ with θ₀ m above 10: one curve.", "name": "fig-fixed-eigenvalues"}, "image": {"alt": "Left: five curves of loss against 4 to 512 units, logarithmic. Each stays near 1 and then falls off a cliff by ten decades: angles up to π/100 below 4 units, π/32 at 5, π/10 at 15, π/3 at 47 and π at 150. At 64 units dots of learned networks lie between 1e-8 and 1e-6: above the curves of the three smallest ranges of angles, two decades above that of π/3, and far below that of π. Right: symbols of all memories and angles fall together from 0.4 at a quarter through a hundredth at 1 to 1e-6 at 4."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(7.3, 3.7), layout="constrained")
widths = experiments.get("fixed_poles").widths
for angle, label in ANGLES.items():
    color, enough = COLORS[angle], 300 * angle / 2
    estimates = [median(fixed_poles.fixed("random", angle, width)) for width in widths]
    ends = [10 ** np.array([getattr(e, end) for e in estimates]) for end in ("low", "high")]
    left.plot(widths, [10**e.value for e in estimates], color=color)
    left.fill_between(widths, *ends, color=color, alpha=0.2, lw=0)
    if enough > 4:
        left.axvline(enough, ymax=0.93, color=color, ls=":", lw=1)
    place, side = ((enough, 4), "center") if enough > 4 else ((3.6, 5e-8), "right")
    left.annotate(label, place, ha=side, color=color)
    trained = median(fixed_poles.learned(angle))
    beside = 64 * 1.06 ** (3 * math.log10(angle) + 3)
    left.plot(beside, 10**trained.value, "o", color=color, mec="white", ms=7)
left.set(xscale="log", yscale="log", xlim=(1.4, 640), ylim=(1e-13, 30))
left.set(xlabel="units", ylabel="loss / zero predictor's")
left.set_title("window of 300, by largest angle")
left.set_xticks([4, 16, 64, 256], [4, 16, 64, 256])
left.minorticks_off()
to_dots = {"arrowstyle": "-", "color": "0.5", "lw": 0.8}
left.annotate("learned,\n64 units", (80, 7e-7), (215, 7e-7), va="center", arrowprops=to_dots)
endless = experiments.load("fixed_poles", "endless").query("design == 'even'")
for (nu0, angle), group in endless.groupby(["nu0", "theta0"]):
    points, scale = group.groupby("width")["loss"].median(), math.pi * angle / (1 - nu0)
    if scale > 10:  # else a handful of units
        marker = {0.9: "o", 0.99: "^", 0.999: "s"}[nu0]
        right.plot(points.index / scale, points, marker, ms=5, mfc="none", color=COLORS[angle])
right.set(yscale="log", xlabel=r"units / ($\theta_0\,m$)", title="infinite window");

# %% [markdown]
# ## Least squares in six lines
# The impulse response of fixed eigenvalues is linear in the readout, so the loss has one minimum, and no gradient
# descent is needed. It works, though: after 1,000 steps of Adam, with angles up to π/10, an LRU with fixed eigenvalues
# is within a factor of ten of one that learns them (`beyond-poles-trained-readout`).

# %%
teacher = systems.teacher(0, 0.99, 0.1 * math.pi).impulse_response(300).numpy()
poles = readouts.DESIGNS["random"](64, 0.99, 0.1 * math.pi, 0)
powers = poles ** np.arange(300)[:, None]
features = np.concatenate([powers.real, powers.imag, np.eye(300)[:, :1]], axis=1)
root = np.sqrt(1 - np.arange(300) / 300)  # lag t is seen in 300 - t steps
weights = np.linalg.lstsq(features * root[:, None], teacher * root, rcond=1e-6)[0]
share = (((features @ weights - teacher) * root) ** 2).sum() / ((teacher * root) ** 2).sum()
print(number(share), "of the zero predictor's loss")

# %% [markdown]
# Nearly collinear features make the problem ill-conditioned, so we drop singular values below $10^{-6}$ of the largest.
# With a cutoff of a thousandth weights are smaller, and up to angles of π/10 the loss is within a factor of ten of
# learned eigenvalues. At π/3, 64 units are close to the cliff. Medians for 64 units:

# %% tags=["hide-input"]
def loss(decades):
    """As tables show it, two digits."""
    return number(float(f"{10**decades:.2g}"))


rows = []
for angle, label in ANGLES.items():
    row = {"angles up to": label, "learned": np.median(fixed_poles.learned(angle))}
    for name, cutoff in [("10⁻¹²", "loss_12"), ("10⁻⁶", "loss_6"), ("10⁻³", "loss_3")]:
        row[f"fixed, cutoff {name}"] = np.median(fixed_poles.fixed("random", angle, cutoff=cutoff))
    rows.append(row)
frame = pd.DataFrame(rows)
frame.style.hide(axis="index").format(loss, subset=list(frame.columns[1:]))

# %% [markdown]
# ## Why the loss falls off a cliff
# On a window of $T$ steps, responses with angles below $\theta_0$ have about $T \theta_0 / \pi$ dimensions; a unit has
# two. With fewer dimensions, most of the teacher cannot be fitted; with more, all of it can. Without a window, the
# error on a unit at $\lambda$ is a product,
#
# $$\frac{\text{error}}{\text{variance}} = \prod_j \left| \frac{\lambda - p_j}{1 - \bar p_j \lambda} \right|^2 ,$$
#
# over fixed eigenvalues $p_j$ and their conjugates: each factor depends on a distance in the hyperbolic plane
# (`theory.readout_error`, [proofs](../../book/proofs-digits.md)). At modulus $1 - 1/m$ that plane has room for about
# $\theta_0 m$ units side by side, and $N$ equally spaced ones leave an error of at most
# $\cosh^{-2}(2 \pi N / \theta_0 m)$ on a unit of the same modulus. With all angles, for a unit midway between two:

# %%
m, N = 100.0, 150
r = math.exp(-1 / m)
even = r * np.exp(1j * math.pi * (np.arange(2 * N) + 0.5) / N)  # with conjugates
between = np.array([r * np.exp(1j * math.pi * 75 / N)])
error = theory.readout_error(even, between, np.ones(1)) * (1 - r**2)
print("error", number(error.item()), "closed form", number(np.cosh(2 * N / m) ** -2))

# %% [markdown]
# Teachers have memories of one to four times $m = 1 / (1 - \nu_0)$, and one per cent takes about $\theta_0 m$ units.
# The same number sets [how many bits an angle needs](few-bits.ipynb): it counts the angles that a memory can resolve. A
# learned network needs one unit for each pair of the teacher's eigenvalues, here about five, wherever they are.
#
# ## Does it matter how they are placed?
# Units that reach one per cent of the loss on the window, medians of 32 teachers. Equally spaced angles save a tenth to
# a quarter of the units. Drawing from the teachers' distribution costs up to half as many again: nearly half of these
# are at angle 0 or at the largest. Real eigenvalues, geometric in memory, suffice only where the teacher's angles are
# nearly zero.

# %% tags=["hide-input"]
NAMES = {
    "random": "random on the ring",
    "even": "equal angles, one modulus",
    "lattice": "equal angles, four memories",
    "other teachers": "eigenvalues of other teachers",
    "ladder": "ladder of memories 1 to 1,000, real",
}
table = {
    name: {a: np.median(fixed_poles.units_needed(design, angle)) for angle, a in ANGLES.items()}
    for design, name in NAMES.items()
}


def shown(units):
    return "more than 512" if units > 512 else "4 or fewer" if units <= 4 else f"{units:.0f}"


frame = pd.DataFrame(table).T.map(shown)
frame.rename_axis(columns="θ₀").rename_axis("design").reset_index().style.hide(axis="index")

# %% [markdown]
# ## Over memory
# With all angles, 64 fixed units suffice only for memories of two steps. Loss over the zero predictor's, medians of 32
# teachers:

# %% tags=["hide-input"]
memories = experiments.get("fixed_poles").memories
rows = {
    "learned": [np.median(fixed_poles.learned(nu0=nu0)) for nu0 in memories],
    "fixed, random": [np.median(fixed_poles.fixed("random", nu0=nu0)) for nu0 in memories],
    "fixed, equal angles": [np.median(fixed_poles.fixed("even", nu0=nu0)) for nu0 in memories],
}
frame = pd.DataFrame(rows, [f"{1 / (1 - nu0):.1f}" for nu0 in memories]).T
frame.rename_axis(columns="memory").rename_axis("eigenvalues").reset_index().style.hide(axis="index").format(
    loss, subset=list(frame.columns)
)

# %% [markdown]
# ## Over the number of units
# With all angles, 16 learned units beat 128 fixed ones. With angles up to $\pi/10$, fixed units win as soon as they pass
# the cliff, at 32 units and at 128. Loss over the zero predictor's, medians of 16 teachers:

# %% tags=["hide-input"]
units = [8, 16, 32, 64, 128]
rows = {}
for angle in (0.1, 1.0):
    for name in ("learned", "fixed"):
        label = f"{name}, angles up to {ANGLES[angle]}"
        rows[label] = [np.median(fixed_poles.at_width(name, width, angle)) for width in units]
frame = pd.DataFrame(rows, units).T.rename_axis(columns="units").rename_axis("eigenvalues")
frame.reset_index().style.hide(axis="index").format(loss, subset=list(frame.columns))

# %% [markdown]
# ## What we expected, and what we measure

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Statements of this page, written down before the runs, most of them after trials on a few teachers. A statement holds if its dot and its whole interval lie in the shaded band. Each row has a scale of its own; bars are 95 % intervals where a number is sampled; at the right stand verdict, our number and the range that agrees.", "name": "fig-fixed-eigenvalues-claims"}, "image": {"alt": "One row for each statement of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
names = [c.name for c in claims.CLAIMS if c.name.startswith("beyond-poles")]
claims.picture(*names);

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table(*names)

# %% tags=["hide-input"]
for name in ["fixed_poles", "learned_poles", "learned_poles_wider"]:
    print(provenance(experiments.load(name)))
