# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Adam likes diagonal networks
#
# **You will see** that one step size per parameter compensates for sharpness along the axes only: in a valley with two
# parameters, then in the Hessians of real networks. **You need** [the Hessian at the
# optimum](05-hessian-at-the-optimum.ipynb). **Time** under a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Adam is fast where the steep direction is an axis. Left and middle: 400 steps of Adam in one valley, along an axis and turned by 45 degrees (contours: loss). Right: steps until the loss has fallen to a thousandth, at the best rate for each angle.", "name": "fig-bowl"}, "image": {"alt": "Left: in a vertical narrow valley Adam runs straight to the minimum. Middle: in the same valley turned by 45 degrees it covers a third of the way in as many steps. Right, logarithmic: gradient descent needs about sixteen thousand steps at any angle; Adam needs about twenty at 0 and 90 degrees and over a thousand at 45."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib.lab import curvature, interactive, style, systems

style.use()


def bowl(phi, ratio=1e4):
    """Entries of H with its steep direction at the angle phi, and a start."""
    c, s = np.cos(phi), np.sin(phi)
    H = c**2 * ratio + s**2, c * s * (ratio - 1), s**2 * ratio + c**2
    return H, (c / ratio**0.5 - s, s / ratio**0.5 + c)


def descend(phi, rate, steps, adam=True):
    """Loss over time, relative to the start, and the path; phi and rate may be arrays."""
    (a, b, d), (x, y) = bowl(phi + np.zeros_like(rate))
    mx = my = vx = vy = 0.0
    losses, path = [], [(x, y)]
    for t in range(1, steps + 1):
        gx, gy = a * x + b * y, b * x + d * y
        losses.append(0.5 * (gx * x + gy * y))
        if adam:
            mx, my = 0.9 * mx + 0.1 * gx, 0.9 * my + 0.1 * gy
            vx, vy = 0.999 * vx + 0.001 * gx**2, 0.999 * vy + 0.001 * gy**2
            first, second = 1 - 0.9**t, 1 - 0.999**t
            gx = mx / first / (np.sqrt(vx / second) + 1e-8)
            gy = my / first / (np.sqrt(vy / second) + 1e-8)
        x, y = x - rate * gx, y - rate * gy
        path.append((x, y))
    return np.array(losses) / losses[0], np.array(path)


degrees = np.linspace(0, 90, 19)
phi = np.radians(degrees)[:, None]


def steps_needed(rates, most, adam, phi=phi):
    """Steps until a thousandth of the loss is left, with the best of the rates, for each angle."""
    losses, _ = descend(phi, rates, most, adam)
    reached = losses < 1e-3
    return np.where(reached.any(0), reached.argmax(0), most).min(1)


adam = steps_needed(np.logspace(-4, 0, 17), 4_000, adam=True)
plain = steps_needed(np.array([0.5e-4, 1e-4, 1.5e-4, 1.9e-4]), 40_000, adam=False)

fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.4), layout="constrained")
grid = np.linspace(-1.2, 1.2, 400)
for ax, angle, title in zip(axes, [0, 45], ["along an axis", "turned by 45°"], strict=False):
    (a, b, d), _ = bowl(np.radians(angle))
    X, Y = np.meshgrid(grid, grid)
    loss = 0.5 * (a * X**2 + 2 * b * X * Y + d * Y**2)
    ax.contour(X, Y, loss, np.geomspace(1e-2, 1e4, 13), colors="0.8", linewidths=0.8)
    _, path = descend(np.radians(angle), 10**-1.75, 400)
    ax.plot(*path.T, ".-", color=style.COLORS["lru"], ms=2, lw=0.8)
    ax.plot(*path[0], "o", color="white", mec="black", ms=5)
    ax.plot(0, 0, "*", color="gold", mec="black", ms=9)
    ax.set(aspect="equal", xlabel=r"$\delta_1$", title=title, xticks=[-1, 0, 1], yticks=[-1, 0, 1])
axes[0].set_ylabel(r"$\delta_2$")
axes[2].semilogy(degrees, plain, "s-", ms=3, color="0.5")
axes[2].semilogy(degrees, adam, "o-", ms=3, color=style.COLORS["lru"])
axes[2].text(45, plain[9] * 1.5, "gradient descent", ha="center", color="0.4")
axes[2].text(45, adam[9] * 1.8, "Adam", ha="center", color=style.COLORS["lru"])
axes[2].set(xlabel="angle (degrees)", title="steps needed", ylim=(10, 1e5))
axes[2].set_xticks([0, 45, 90]);

# %% [markdown]
# Adam has one step size per parameter. If each sharp direction is one parameter, as in a diagonal network, these step
# sizes compensate for the sharpness. In a dense network a sharp direction involves many parameters, and they mostly
# cannot.

# %% [markdown]
# ## Two parameters, two curvatures
# The valley is the quadratic bowl $L = \frac12 \delta^\top H \delta$ with curvatures 10,000 and 1. A step of gradient
# descent multiplies the component along a direction of curvature $c$ by $1 - \eta c$. So the rate $\eta$ must stay
# below $2 / 10{,}000$ for the steep direction, and progress along the flat one is slow. Adam divides each parameter's
# step by the typical size of that parameter's gradient,
#
# $$\delta_p \leftarrow \delta_p - \eta \, \frac{\hat m_p}{\sqrt{\hat v_p} + \epsilon}, \qquad
# \hat m_p \approx \text{recent mean of } g_p, \quad \hat v_p \approx \text{recent mean of } g_p^2 .$$
#
# If the steep direction is an axis, its own $\hat v_p$ tames it and the other axis is not affected. If it is a
# diagonal, *both* parameters have large gradients, and both are slowed down. Every run of the picture starts with the
# same share of the loss in both directions. Our loop agrees with `torch.optim.Adam`:

# %%
(a, b, d), start = bowl(np.radians(30))
H, delta = torch.tensor([[a, b], [b, d]]), torch.tensor(start, requires_grad=True)
optimizer = torch.optim.Adam([delta], lr=0.01)
for _ in range(100):
    optimizer.zero_grad()
    (0.5 * delta @ H @ delta).backward()
    optimizer.step()
_, path = descend(np.radians(30), 0.01, 100)
print(f"after 100 steps the loop differs by {np.abs(path[-1] - delta.detach().numpy()).max():.0e}")
print(f"Adam: {adam[0]} steps along the axes, {adam[9]} at 45 degrees")
print(f"gradient descent: {plain[0]} and {plain[9]}")

# %% [markdown]
# Gradient descent does not depend on the axes. Adam does, which helps where sharp directions are axes. Choose the
# optimiser and the rate; [descent in two valleys](../play/03-descent.ipynb) has questions on it.

# %% tags=["hide-input"]
interactive.optimizer_paths()

# %% [markdown]
# ## The real Hessians
# What can one step size for each parameter achieve? The natural choice is to rescale every parameter by
# $\sqrt{H_{pp}}$, so that all have curvature 1. Such an optimiser then faces the ratio of the largest to the smallest
# non-zero eigenvalue of $H_{pq} / \sqrt{H_{pp} H_{qq}}$, not that of $H$. We compute both for ten systems of [Figure
# 4](../figures/fig04.ipynb), each in four parametrisations:

# %%
T = 300
white = curvature.white_gram(T)
ways = {
    "rnn": ("dense", systems.as_dense),
    "crnn": ("complex diagonal", systems.as_diagonal),
    "lru": ("LRU", systems.as_lru),
    "s4d": ("S4", systems.as_s4),
}


def conditions(H, rank=9):
    """Ratio of the largest to the smallest non-zero eigenvalue, before and after rescaling."""
    scale = H.diagonal().sqrt()
    pair = H, H / scale / scale[:, None]
    return [(v[-1] / v[-rank]).item() for v in map(torch.linalg.eigvalsh, pair)]


hessians, draws = {key: [] for key in ways}, []
for seed in range(10):
    system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(seed))
    draws.append(system)
    loss = curvature.response_loss(system.impulse_response(T), white)
    for key, (_, way) in ways.items():
        hessians[key].append(curvature.hessian(way(system), loss))

for key, (name, _) in ways.items():
    before, after = np.median([conditions(H.matrix) for H in hessians[key]], axis=0)
    print(f"{name:17} median {before:.1e}, after rescaling {after:.1e}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "In most draws, rescaling each parameter conditions the diagonal networks well, the dense one less. Ratio of the largest to the smallest non-zero eigenvalue of the Hessian (left) and after rescaling every parameter to curvature 1 (right): ten systems in four parametrisations. Bars: medians.", "name": "fig-conditions"}, "image": {"alt": "Two logarithmic strip plots. Left: ratios of a thousand to ten to the tenth in all four parametrisations, and beyond for the dense one. Right, after rescaling: about ten for the three diagonal parametrisations in nine of ten draws and two million in the tenth; twenty to half a million for the dense one."}}
fig, axes = plt.subplots(1, 2, figsize=(7, 2.5), sharey=True, layout="constrained")
for i, key in enumerate(ways):
    values = np.array([conditions(H.matrix) for H in hessians[key]])
    for ax, ratios in zip(axes, values.T, strict=True):
        ax.semilogy(i + np.linspace(-0.2, 0.2, 10), ratios, "o", ms=4, color=style.COLORS[key])
        ax.plot([i - 0.3, i + 0.3], [np.median(ratios)] * 2, color="black", lw=1.5)
for ax, title in zip(axes, ["Hessian", "after rescaling each parameter"], strict=True):
    ax.set(title=title, xticks=range(4), xticklabels=["dense", "diagonal", "LRU", "S4"])
axes[0].set_ylabel("largest / smallest eigenvalue");

# %% [markdown]
# All four landscapes are badly conditioned, and in some draws the diagonal ones are no better than the dense one. They
# differ in how much rescaling helps. In the diagonal networks sharpness lies along axes, and rescaling leaves a ratio
# of ten or so, except in draw 4, where the two pairs of eigenvalues are so close that they
# [couple](05-hessian-at-the-optimum.ipynb#who-couples-with-whom). In the dense network rescaling leaves a larger ratio
# in every draw but that one. The folded table lists all draws, with the distance between the two pairs in units of the
# coupling width $1 - |\lambda|^2$:

# %% tags=["hide-cell"]
left = {key: [conditions(H.matrix)[1] for H in found] for key, found in hessians.items()}
print("draw  distance   " + "   ".join(f"{name:>16}" for name, _ in ways.values()))
for draw, system in enumerate(draws):
    upper = [lam for lam in torch.linalg.eigvals(system.A).tolist() if lam.imag > 0]
    distance = abs(upper[0] - upper[1]) / (1 - max(map(abs, upper)) ** 2)
    row = "   ".join(f"{left[key][draw]:16.3g}" for key in ways)
    print(f"{draw:4} {distance:9.2f}   {row}")
dense, *diagonal = np.array(list(left.values()))
assert list(np.flatnonzero(dense < np.max(diagonal, axis=0))) == [4]

# %% [markdown]
# ## Adam on these bowls
# Around the optimum the loss is the quadratic $\frac12 \delta^\top H \delta$. For the first system, we run Adam on it
# from 32 random starts of size 0.01 in each parameter, with the best of five rates for each parametrisation.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "In the diagonal parametrisations Adam lowers the loss by twelve decades in about a thousand steps; in the dense one it has not after two thousand. Loss on the quadratic model of the first system, relative to the start; median of 32 starts, band: quartiles.", "name": "fig-adam"}, "image": {"alt": "Logarithmic plot of the relative loss over 2000 steps. The diagonal, LRU and S4 curves reach a trillionth of the first loss within a thousand steps; the dense curve is still above a ten-billionth after 2000."}}
def adam_losses(H, rates, steps=2000, starts=32):
    """Loss over time, relative to the start: axes step, rate, start."""
    delta = 1e-2 * np.random.default_rng(0).normal(size=(1, starts, len(H)))
    delta, rate = np.repeat(delta, len(rates), axis=0), np.array(rates)[:, None, None]
    m, v, losses = np.zeros_like(delta), np.zeros_like(delta), []
    for t in range(1, steps + 1):
        g = delta @ H
        losses.append(0.5 * (g * delta).sum(-1))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        delta = delta - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return np.array(losses) / losses[0]


rates = [1e-5, 1e-4, 3e-4, 1e-3, 1e-2]
fig, ax = plt.subplots(figsize=(6.6, 2.6), layout="constrained")
for key, (name, _) in ways.items():
    losses = np.maximum(adam_losses(hessians[key][0].matrix.numpy(), rates), 1e-18)
    best = np.median(losses[-200:], axis=(0, 2)).argmin()
    low, middle, high = np.quantile(losses[:, best], [0.25, 0.5, 0.75], axis=1)
    ax.semilogy(middle, color=style.COLORS[key], label=f"{name}, rate {rates[best]:g}")
    ax.fill_between(range(len(low)), low, high, color=style.COLORS[key], alpha=0.2, lw=0)
ax.set(xlabel="step", ylabel="loss / first loss", ylim=(1e-12, 2))
ax.legend();

# %% [markdown]
# Near the optimum this model is accurate. Away from it, during training, the same mechanism shows in Adam's effective
# learning rates: small for all entries of a dense matrix, large for most parameters of a diagonal network ([Figure
# 4b](../figures/fig04b.ipynb)).

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: other coordinates
# *Predict, then run. Easy.* Turn the bowl by 45 degrees and run Adam in the rotated coordinates
# $(\delta_1 + \delta_2, \delta_1 - \delta_2) / \sqrt2$. How many steps does it need? What does this say about
# reparametrising a dense recurrent matrix?
#
# <details>
# <summary>Solution 1</summary>
#
# As many as at 0 degrees: in these coordinates the steep direction is an axis. A dense matrix parametrised by its
# eigendecomposition *is* a diagonal network. The architecture did not make the problem easier, the coordinates did.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
(a, b, d), turned_start = bowl(np.radians(45))
rotation = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
rotated = rotation @ np.array([[a, b], [b, d]]) @ rotation
print(rotated.round(6), "start", (rotation @ turned_start).round(3))
(a, b, d), aligned_start = bowl(0)
assert np.allclose(rotated, [[a, b], [b, d]], atol=1e-9)
# Adam does not care about the sign of a coordinate
assert np.allclose(np.abs(rotation @ turned_start), np.abs(aligned_start))
answer = adam[0]  # steps of Adam in the rotated coordinates
assert abs(answer / adam[0] - 1) < 0.05, "write the Hessian in these coordinates: is it diagonal?"

# %% [markdown]
# ### Exercise 2: what rescaling leaves
# *Derive. Medium.* For the bowl with curvatures $R$ and 1, turned by $\varphi$: what is the condition number after
# every parameter has been rescaled to curvature 1? Evaluate it at 0, 45 and, for $R = 10{,}000$, at 1 degree.
#
# <details>
# <summary>Solution 2</summary>
#
# After rescaling $H$ is $\begin{pmatrix} 1 & r \\ r & 1 \end{pmatrix}$ with $r = H_{12} / \sqrt{H_{11}H_{22}}$, whose
# eigenvalues are $1 \pm r$, so the condition number is $(1 + |r|)/(1 - |r|)$. With $c = \cos\varphi$,
# $s = \sin\varphi$, $r^2 = (R-1)^2 c^2s^2 / \big((Rc^2 + s^2)(Rs^2 + c^2)\big)$. At 0 degrees $r = 0$ and the condition
# number is 1. At 45 degrees $r = (R-1)/(R+1)$ and the condition number is $R$: rescaling gains nothing. At one degree
# it is already about 14. Near an axis $r^2 \approx R\varphi^2 / (1 + R\varphi^2)$: a small turn does no harm only while
# $R\varphi^2 \ll 1$, and at one degree $R\varphi^2 = 3$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
left = {}
for angle in [0, 1, 45]:
    (a, b, d), _ = bowl(np.radians(angle))
    r = abs(b) / np.sqrt(a * d)
    rescaled = np.linalg.eigvalsh([[1, r], [r, 1]])
    left[angle] = (1 + r) / (1 - r)
    print(f"{angle:2} degrees: r = {r:.4f}, condition number {left[angle]:.1f}")
    assert np.isclose(left[angle], rescaled[1] / rescaled[0])
assert np.isclose(left[0], 1) and np.isclose(left[45], 1e4) and 10 < left[1] < 20
answer = [left[angle] for angle in (0, 45, 1)]  # condition numbers at 0, 45 and 1 degree
assert abs(answer[0] - 1) < 0.01, "at 0 degrees rescaling makes the bowl round"
assert abs(answer[1] / 1e4 - 1) < 0.01, "at 45 degrees both curvatures are equal before rescaling"
assert 10 < answer[2] < 20, "at 1 degree it is (1 + r) / (1 - r): what is r?"

# %% [markdown]
# ### Exercise 3: a loss measured in other units
# *Break it. Medium.* Multiply the loss by $10^{-12}$. For gradient descent nothing changes but the rate, which must be
# $10^{12}$ times larger. For Adam nothing should change at all, since it divides gradients by their own size. Yet with
# the steep direction along an axis it becomes as slow as gradient descent. Find out why, and show it.
#
# <details>
# <summary>Solution 3</summary>
#
# The denominator is $\sqrt{\hat v} + \epsilon$ with $\epsilon = 10^{-8}$. With gradients far below $\epsilon$ the
# denominator is the same for all parameters, and Adam becomes gradient descent with momentum and rate $\eta/\epsilon$:
# one step size for all again. With the same grid of rates, up to 1, it then takes longer than gradient descent did. The
# definition of effective rates in [Figure 4](../figures/fig04.ipynb) therefore contains $\epsilon$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
in_other_units = bowl


def bowl(phi, ratio=1e4):
    H, start = in_other_units(phi, ratio)
    return tuple(1e-12 * entry for entry in H), start


tiny = steps_needed(np.logspace(-4, 0, 17), 40_000, adam=True, phi=phi[:1])[0]
bowl = in_other_units
print(f"Adam along an axis: {adam[0]} steps before, {tiny} with the loss times 1e-12")
print(f"gradient descent: {plain[0]}")
assert plain[0] < tiny < 40_000
answer = tiny  # steps of Adam along an axis, the loss times 1e-12
assert answer > plain[0], "too few: do the gradients fall below Adam's epsilon?"
