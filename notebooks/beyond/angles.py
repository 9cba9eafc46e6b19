# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Angles: the best curvature, or a path that arrives?
#
# **You will see** eleven ways to parametrise the angle of an eigenvalue: those with bounded curvature get lost or are
# slow, the polar angle arrives, and scaling the steps achieves both. Among small angles the LRU's exponential one
# learns better. **You need** [Figure 7](../figures/fig07.ipynb)
# and [the field guide](field-guide.ipynb). **Time** half a minute on a CPU; stored results.

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
import pandas as pd
from rnnlib import theory
from rnnlib.lab import angles, claims, experiments, style
from rnnlib.lab.claims import beyond_angles as measured
from rnnlib.lab.experiments.analysis import provenance
from rnnlib.lab.experiments.students import LABELS
from rnnlib.lab.statistics import largest, median

style.use()
TABLES = ["angles_one_unit", "angles_fresh", "angles_teachers", "angles_teachers_narrow"]
TABLES += ["angles_teachers_others"]
if experiments.scale_from_environment() == "paper":  # recompute everything
    for name in TABLES:
        experiments.run(name, "paper", progress=False)
exponents = angles.exponents()

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Further left is better for the filled symbols of both panels: bounded curvature, and students that arrive. At a memory of 100 the rectangular parametrisation has both, at 1,000 none has; scaled steps do. Left: the power with which the curvature at the optimum grows with memory, along the raw angle (open) and in the worst direction (filled), by automatic differentiation. Right: the loss relative to its start that nine of ten students get below in 10,000 steps of Adam, at the worst of five angles, for memories of 100 (circles) and 1,000 (triangles), with 95 % intervals; 200 teachers each, one rate for all angles. Left of the line: arrived, as in Figure 7. The updates of the last two rows are not the gradient of any loss.", "name": "fig-angles"}, "image": {"alt": "Two charts with one row for each of eleven parametrisations. Left: along the raw angle the power is 0 for the optimal angle, S4, rectangular and the two last rows and 2 for the others; in the worst direction it is 0 for rectangular and the last two rows and 2 for all others. Right, memory 100: polar, exponential, Cayley, S4, Mamba-3 and rectangular lie between -2 and -4, half-angle, oscillator and both optimal rows near 0, scaled steps at -10. Memory 1,000: polar at -2.6, scaled steps at -10, all others right of the line at -2."}}
order = list(angles.ANGLES)
SHORT, LONG = style.sequence("lam", 4)[1::2]
fig, (left, right) = plt.subplots(
    1, 2, figsize=(7.2, 4.4), width_ratios=[1, 1.6], sharey=True, layout="constrained"
)
for y, name in enumerate(order):
    mine = exponents[(exponents["angle"] == name) & (exponents["of"] == "memory")]
    powers = mine.set_index("quantity")["measured"]
    left.plot(powers["top"], -y, "o", color="black", ms=5)
    left.plot(powers["along"], -y, "o", color="black", mfc="none", ms=9)
    for memory, marker, color, shift in [
        (100, "o", SHORT, 0.12),
        (1000, "^", LONG, -0.15),
    ]:
        e = largest(*measured.fresh_tenths(name, memory))
        high = min(e.high, 1.0)  # lost runs count as the worst
        right.plot([e.low, high], [shift - y, shift - y], color=color, lw=2)
        right.plot(min(e.value, 1.0), shift - y, marker, color=color, ms=6)
right.axvline(-2, color="0.7", lw=1, zorder=0)
for ax in (left, right):
    ax.axhline(-8.5, color="0.8", lw=0.8)
    ax.tick_params(axis="y", length=0)
left.set_yticks(-np.arange(len(order)), [angles.ANGLES[name].label for name in order])
left.set(xlabel="power of memory", title="curvature", xlim=(-0.4, 2.4), xticks=[0, 1, 2])
right.set(xlabel="decades of loss left", title="nine of ten students get below", xlim=(-10.5, 1.2))
right.text(-10.2, -0.2, "memory 100", color=SHORT, fontsize=9)
right.text(-10.2, -0.9, "memory 1,000", color=LONG, fontsize=9);

# %% [markdown]
# ## The eleven
# A unit $\lambda = \nu e^{i\theta}$ imitates another on white inputs, with input scale $\gamma$. Raw parameters are a
# (modulus), b (angle) and d (step); unless stated otherwise $\nu = \tanh a$, as in Figure 7. The table lists the powers
# of memory $m$ and of a small angle $\theta$ in the curvature.
#
# <details>
# <summary>Table: the eleven and the powers in their curvature</summary>
#
# | parametrisation | angle $\theta$ | along the raw angle | what turning adds elsewhere | worst direction |
# | --- | --- | --- | --- | --- |
# | polar | $b$ | $m^{2}$ | none | $m^2$ |
# | exponential (LRU) | $e^b$ | $m^{2}\,\theta^{2}$ | none | $m^2$ |
# | tangent of half the angle | $2 \arctan b$ | $m^{2}$ | none | $m^2$ |
# | Cayley | $\arg \frac{1 - z}{1 + z},\ z = e^a - ib$ | $m^{2}$ | $m^{-2}\,\theta^{2}$ | $m^2$ |
# | times the step (S4) | $b e^d$ | $1$ | $m^{2}\,\theta^{2}$ | $m^2$ |
# | times the step (Mamba-3) | $\pi \tanh b \cdot \mathrm{softplus}(d)$ | $m^{2}\,\theta^{2}$ | $m^{2}\,\theta^{2}$ | $m^2$ |
# | oscillator (LinOSS) | $\arccos \frac{1 + \nu^2 (1 - \Delta^2 b)}{2 \nu},\ \Delta = \sigma(d)$ | $m^{2}\,\theta^{-2}$ | $m^{2}\,\theta^{2}$ | $m^2$ |
# | optimal | $b\,\frac{1 - \nu^2}{\nu \sqrt{1 + \nu^2}}$ | $1$ | $m^{2}\,\theta^{2}$ | $m^2$ |
# | rectangular | $\arg(a + ib),\ \lvert a + ib \rvert = \frac{\nu \sqrt{1 + \nu^2}}{1 - \nu^2}$ | $1$ | none | $1$ |
# | optimal, modulus held | $b\,\frac{1 - \nu^2}{\nu \sqrt{1 + \nu^2}},\ \nu \text{ held}$ | $1$ | none | $1$ |
# | polar, steps scaled | $b$ | $1$ | none | $1$ |
#
# S4 is $\nu = e^{-e^{a + d}}$, Mamba-3 $\nu = e^{-\mathrm{softplus}(a)\,\mathrm{softplus}(d)}$, LinOSS the damped one,
# $\nu^{-2} = 1 + \Delta a$; the Cayley transform of a rotation without decay is the tangent of half the angle. Along
# S4's step, too, curvature returns when the angle is fixed.
#
# The paper derives the optimal parametrisation with the modulus held constant where it multiplies b, which bounds the
# curvature. Its code for Figure 7 does not hold it, and the curvature removed from the angle returns along the modulus.
#
# </details>
#
# ## No parametrisation is flat
# The Hessian at the optimum, as a function of the optimum, is a metric on the disc of eigenvalues,
#
# $$\mathrm{d}s^2 + \sinh^2 s\,\cosh 2s\;\mathrm{d}\theta^2 , \qquad \nu = \tanh s, \qquad m \approx \tfrac12 e^{2s} ,$$
#
# and a parametrisation is a choice of coordinates. Its Gaussian curvature lies between $-7$ and $-4$: for long memories
# it is a hyperbolic plane. On such a plane no coordinates are flat, so *no* parametrisation has the Hessian 1 at all
# optima, and none bounds it from above and below ([proofs](../../book/proofs-curvature.md)). The rectangular one is
# bounded from above: its loss has curvature 1 across the radius and only $1/(2m^2)$ along it. There raw parameters are
# about as large as the memory and have as far to travel.
#
# The shortest path between two long memories at different angles is a semicircle in the hyperbolic plane: forget, turn,
# remember. Where Adam arrives it takes this path, most closely with scaled steps; the optimal angle turns the other
# way.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Forget, turn, remember: paths of Adam from an angle of π/4 (white) to one of π/100 (star), memory 100, 6,000 steps, over angle and memory. Dotted: the shortest path in the metric of the Hessian, a semicircle.", "name": "fig-angles-paths"}, "image": {"alt": "Five panels of memory on a logarithmic axis against angle. A dotted arch hangs from start and star down to a memory of 2. With scaled steps the path follows it, down to a memory of 3, across and up to the star. With the exponential angle it goes down to 7, with rectangular parameters to 20 and with the polar angle to 30, across, and up as far as the steps reach. With the optimal angle it leaves the start away from the star, to larger angles and shorter memory."}}
start, star = 0.99 * np.exp(0.25j * np.pi), 0.99 * np.exp(0.01j * np.pi)
shown = {"polar": 1e-3, "exponential": 1e-3, "optimal": 1e-3, "rectangular": 0.1, "scaled": 1e-3}
fig, axes = plt.subplots(1, 5, figsize=(7.2, 2.6), sharey=True, layout="constrained")
# near the circle the metric is (d eps^2 + 2 d theta^2) / (4 eps^2), eps = 1 / memory
ends = np.sqrt(2) * np.angle([star, start])
centre, half = ends.mean(), np.hypot(np.ptp(ends) / 2, 0.01)
turn = np.linspace(0.01, np.pi - 0.01, 300)
arc = (centre + half * np.cos(turn)) / np.sqrt(2), 1 / (half * np.sin(turn))
for ax, (name, rate) in zip(axes, shown.items(), strict=True):
    nu, theta = angles.path(name, start, star, rate, 6_000).T
    ax.plot(*arc, ":", color="0.5", lw=1.2)
    ax.plot(theta, 1 / (1 - nu), color=style.COLORS.get(name, "black"), lw=1.2)
    ax.plot(np.angle(start), 100, "o", color="white", mec="black", ms=6)
    ax.plot(np.angle(star), 100, "*", color="gold", mec="black", ms=9)
    ax.set(yscale="log", ylim=(1, 200), xlim=(-0.5, 7.5) if name == "optimal" else (-0.1, 1))
    ax.set(xlabel="angle", title=angles.ANGLES[name].label.replace(", ", ",\n"))
axes[0].set_ylabel("memory");

# %% [markdown]
# Adam's step along the angle has about the length of the rate, in units of the raw parameter. The scaled rule makes it
# a fixed share of the well's width: it replaces $\theta \leftarrow \theta - \eta\,u$, with Adam's update $u$ of
# $\partial_\theta L$, by
#
# $$\theta \leftarrow \theta - \eta\,w\,u(w\,\partial_\theta L), \qquad w = \frac{1 - \nu^2}{\nu\sqrt{1 + \nu^2}} .$$
#
# It has the curvatures of the optimal parametrisation without tying the angle to the modulus: a modulus that shrinks
# does not turn the eigenvalue. The optimiser needs to know the memory, not the parametrisation. Contrary to our guess,
# it reaches a hundredth of the loss no sooner than the polar angle; but it goes on improving once the polar angle's
# steps exceed the width of the well and overshoot.
#
# ## From one unit to 64
# On the paper's teacher-student task, we train eight LRUs that differ only in their angle, and diagonal S4, for 1,000
# steps on 16 teachers with angles up to $\pi$:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "With 64 units, too, the polar angle does best in the median and the optimal angle worst: loss over the zero predictor's after 1,000 steps, in decades, medians and 95 % intervals of 16 teachers, rates chosen by the other run on the same teacher; dots: teachers.", "name": "fig-angles-task"}, "image": {"alt": "One row for each of nine students with a dot, an interval and 16 grey dots. Medians from the left: LRU with polar angle -4.8, rectangular -4.6, Cayley -4.4, LRU -4.3, Mamba-3's angle -4.1, half-angle -3.9 and oscillator -3.4 with wide intervals, S4 -2.1, optimal angle -0.8."}}
students = ["lru_polar_angle", "lru_rectangular", "lru_cayley", "lru", "lru_mamba3"]
students += ["lru_half_angle", "lru_oscillator", "s4d", "lru_optimal_angle"]
fig, ax = plt.subplots(figsize=(7.2, 2.5), layout="constrained")
for y, student in enumerate(students):
    rows = measured.decades_of(student)
    e = median(rows)
    ax.plot(rows.mean(1), np.full(len(rows), -y), ".", color="0.75", ms=5)
    color = style.COLORS.get(student.removeprefix("lru_").removesuffix("_angle"), "black")
    ax.plot([e.low, e.high], [-y, -y], color=color, lw=2)
    ax.plot(e.value, -y, "o", color=color, ms=5)
ax.set_yticks(-np.arange(len(students)), [LABELS[name] for name in students])
ax.tick_params(axis="y", length=0)
ax.set(xlabel="decades of loss");

# %% [markdown]
# <details>
# <summary>What is compared</summary>
#
# The optimal angle holds its modulus here. S4 also starts with another scale of its maps, so this compares layers; the
# others differ only in the angle. The rectangular student's recurrent rate is ten times that of its maps, because its
# raw parameters are larger. The scaled rule is missing because it is not a layer.
#
# </details>
#
# **Among small angles it helps if steps shrink with the angle.** A step of the polar angle has the same length at any
# angle. Up to $\pi/10$ it loses to the exponential angle, whose steps are shares of the angle. We had expected the
# polar one to win and the optimal one to cost little; both statements fail. So we predicted, before their runs, that up
# to $\pi/32$ Mamba-3's angle, which also takes shares, beats the polar one, and that LinOSS's, whose steps grow as the
# angle shrinks, loses to it. Both hold: factors of 0.21 (0.096 to 0.32) and 4.7 (2.4 to 18). At $\pi$ both lose.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show losses over the polar angle's, with larger rates for two", "code_prompt_hide": "Hide the table"}
RANGES = {"π/32": 0.0316, "π/10": 0.1, "π/3": 0.316, "π": 1.0}
factors = {
    LABELS[student]: [
        claims.factor(measured.cost_over_polar(student, theta0, further=True))
        for theta0 in RANGES.values()
    ]
    for student in students[1:]
}
columns = [f"angles up to {name}" for name in RANGES]
frame = pd.DataFrame(factors, columns).T.rename_axis("loss over polar's")
frame.reset_index().style.hide(axis="index")

# %% [markdown]
# ## By angle

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show who arrives, by angle and memory", "code_prompt_hide": "Hide the table"}
rows = []
for name, entry in angles.ANGLES.items():
    for memory in (100, 1000):
        arrived = (measured.fresh(name, memory) <= -2).mean(1)
        steps = np.median(measured.fresh(name, memory, "steps")[2])
        edge = measured.at_the_edge(name, memory)
        rows.append((entry.label, memory, *arrived, 10**steps, edge))
columns = [f"{angle:g} pi" for angle in measured.ANGLES]
print("share that arrives, by the teacher's angle; median steps to a hundredth at 0.1 pi; and")
print("the share of chosen rates, in the first look, that are at an end of the eleven")
table = pd.DataFrame(rows, columns=["parametrisation", "memory", *columns, "steps", "ends"])
shares = dict.fromkeys([*columns, "ends"], "{:.0%}")
table.style.hide(axis="index").format(shares | {"memory": "{:,}", "steps": "{:,.0f}"})

# %% [markdown]
# <details>
# <summary>The first look, and rates at an end</summary>
#
# The fresh teachers are a second look. In the first, each teacher had two starts, and a run took the rate that was best
# for the other. A start near its teacher prefers a rate that is too small for a distant one, so even the polar angle,
# for which one rate suits all, loses one run in ten to a bad choice. The table below keeps these rows: one fails, three
# are undecided.
#
# Nearly all chosen rates at an end are the smallest, 0.0001. Smaller ones would not suit nine of ten: in each row,
# 0.0001 leaves a tenth of the students above a third of their first loss, because 10,000 steps move a raw parameter by
# about one unit. Where several rates leave almost no loss, the smallest counts as chosen.
#
# </details>

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show when and where this was computed", "code_prompt_hide": "Hide it"}
for name in TABLES:
    print(provenance(experiments.load(name)))

# %% [markdown]
# ## What we expected, and what came

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Statements of this page, written down before the runs, most of them after trials on other draws. Each row has a scale of its own; bars are 95 % intervals where a number is sampled; at the right stand our number and the range that agrees.", "name": "fig-angles-claims"}, "image": {"alt": "One row for each statement of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
names = [c.name for c in claims.CLAIMS if c.name.startswith("beyond-angles")]
claims.picture(*names);

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table(*names)

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: where the curvature went
# *Predict, then run. Medium.* `theory.angle_curvature("optimal", nu, theta)` returns 1 along the raw angle and what
# turning adds along the raw modulus. For which $\theta$ does the second exceed ten, at a memory of 1,000?
#
# <details>
# <summary>Solution 1</summary>
#
# It is about $4\theta^2 \cdot \frac{m^2}{2}$, more than 10 for $\theta > \sqrt 5 / m$, .0022 radians: at all angles
# except within two widths of 0.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
grid = np.geomspace(1e-4, 1, 4001)
_, through = theory.angle_curvature("optimal", 1 - 1e-3, grid)
edge = grid[np.argmax(through > 10)]
print(f"more than ten from an angle of {edge:.4f} on")
assert abs(edge - np.sqrt(5) / 1000) < 2e-5
answer = edge  # the angle from which it is more than ten
assert answer < 0.0024, "at smaller angles it is more than ten already"
assert answer > 0.0021, "at this angle it is not yet ten"
