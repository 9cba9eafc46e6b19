# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Every entry explodes
#
# **You will see** with which power of the memory the sensitivity to each entry of a dense recurrent matrix grows, and
# whether eigenvalues or eigenvectors cause it. **You need** [from diagonal to dense](04-from-diagonal-to-dense.ipynb).
# **Time** under a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Every entry of A explodes with the power 3, but not always through the eigenvalues. Left: second moment of the sensitivity to each of the 100 entries of a random matrix. Right: ratio of the part through the eigenvalues to that through the eigenvectors, 32 matrices; orange: two or more real eigenvalues of the same sign.", "name": "fig-every-entry"}, "image": {"alt": "Two log-log plots against the shortest memory from 10 to 10,000. Left: a bundle of 100 parallel lines, two decades wide, that rise with a slope of 3. Right: the ratios of a quarter of the matrices, in blue, rise with slope 2 to between a hundred thousand and thirty million; those of the others, in orange, level off between 1 and a few hundred."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib.lab import claims, dense_sensitivity, style
from rnnlib.layers.dense import dense_recurrence

style.use()
generator = torch.Generator().manual_seed(0)
normal = torch.randn(32, 10, 10, generator=generator, dtype=torch.float64)
memory = np.logspace(1, 4, 7)
all_entries = dense_sensitivity.entries(10)
moments = {"whole": [], "eigenvalues": [], "eigenvectors": []}  # by memory, matrix and entry
for nu_0 in 1 - 1 / memory:
    A = dense_recurrence(normal, nu_0).numpy()[:, None]
    through_eigenvalues = dense_sensitivity.through_eigenvalues(A, all_entries)
    for name, directions in [
        ("whole", all_entries),
        ("eigenvalues", through_eigenvalues),
        ("eigenvectors", all_entries - through_eigenvalues),
    ]:
        moments[name].append(dense_sensitivity.stationary_sensitivity(A, directions))
moments = {name: np.array(values) for name, values in moments.items()}
lam = np.linalg.eigvals(normal.numpy())
real = np.abs(lam.imag) < 1e-9
crowded = np.maximum((real & (lam.real > 0)).sum(1), (real & (lam.real < 0)).sum(1)) >= 2
ratio = moments["eigenvalues"].sum(-1) / moments["eigenvectors"].sum(-1)
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.4), layout="constrained")
axes[0].loglog(memory, moments["whole"][:, 0], color=style.COLORS["rnn"], lw=0.6, alpha=0.6)
axes[0].loglog(memory, 2 * memory**3, "k:", lw=1.2)
axes[0].text(300, 3e9, "slope 3", ha="right")
axes[0].set_ylabel(r"$\mathrm{E}\,|\partial h / \partial A_{pq}|^2$")
axes[0].set_title("every entry of one matrix")
for values, is_crowded in zip(ratio.T, crowded, strict=True):
    axes[1].loglog(memory, values, color="#de8f05" if is_crowded else "#0173b2", lw=0.8)
axes[1].axhline(1, color="0.6", lw=1)
axes[1].text(12, 2e5, "at most one real\neigenvalue per sign", color="#0173b2")
axes[1].text(9e3, 800, "two or more", color="#a86400", ha="right")
axes[1].set(ylabel="eigenvalues / eigenvectors", title="which part, 32 matrices")
for ax in axes:
    ax.set(xlabel=r"shortest memory $1/(1 - \nu_0)$")
fig;

# %% [markdown]
# The explosion affects all entries, as the paper says. The paper adds that the eigenvalues cause it. That is true where
# eigenvalues stay apart. In two matrices of three, real eigenvalues approach each other, and the part through the
# eigenvectors explodes just as fast.

# %% [markdown]
# ## How it is computed
# We draw $A$ as the paper draws its teachers and dense students: independent normal entries, then all moduli mapped
# into the ring from $\nu_0$ to 1. With white inputs to every unit the second moment of $\partial h / \partial A_{pq}$
# solves three discrete Lyapunov equations, which is exact and fast (`rnnlib.lab.dense_sensitivity`). Changing an entry
# moves $A$ in a direction $\mathrm{d}A$. With $\mathrm{d}M = V^{-1}\, \mathrm{d}A\, V$, its part
# $V\, \mathrm{diag}(\mathrm{d}M)\, V^{-1}$ moves the eigenvalues alone, and the rest moves the eigenvectors alone. So
# each moment can be computed for either part.

# %%
powers = np.log10(moments["whole"][-1] / moments["whole"][-3])  # over a decade of the memory
print(f"powers of all entries of all matrices: {powers.min():.2f} to {powers.max():.2f}")

# %% [markdown]
# ## Eigenvalues or eigenvectors?
# The part through the eigenvectors has the responses
# $\Phi_{ij}(\tau) = (\lambda_i^\tau - \lambda_j^\tau) / (\lambda_i - \lambda_j)$, differences of two decays. If
# eigenvalues stay apart as they approach the circle, this part grows more slowly, by two powers of the memory (blue).
# But in the paper's own recipe two real eigenvalues of the same sign approach the circle *and each other*. Then
# $\Phi_{ij}$, the slope of a chord of $z^\tau$ between them, is as large as the derivative $\tau \lambda_i^{\tau - 1}$
# ([exercise 1 of the last page](04-from-diagonal-to-dense.ipynb#exercise-1-two-eigenvalues-meet)). Two random matrices
# in three have such a pair, 24 of these 32 (orange).
#
# ## An orthogonal matrix does not escape
# All its eigenvalues lie on the circle, and gradients neither vanish nor explode, since $|A^t h| = |h|$. Yet its memory
# is unlimited, and its sensitivity grows as a power of time:

# %%
Q = np.linalg.qr(normal.numpy())[0]
growing = dense_sensitivity.sensitivity_over_steps(Q[:8, None], all_entries, 400)
powers = np.log(growing[399] / growing[99]) / np.log(4)
print(
    f"sensitivity to an entry grows with the time as t^{powers.min():.2f} to t^{powers.max():.2f}"
)

# %% [markdown]
# ## What the paper claims, and what we measure

# %% tags=["hide-input"]
claims.table("sec23")

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: on the circle
# *Derive. Easy.* One eigenvalue of an orthogonal matrix is $\lambda = e^{i\theta}$. Let $h_t = \lambda h_{t-1} + x_t$
# start at $h_0 = 0$ with white inputs. With which powers of $t$ do $\mathrm{E}|h_t|^2$ and
# $\mathrm{E}|\mathrm{d}h_t/\mathrm{d}\lambda|^2$ grow? Where does the "power 3" of this page come from when there is no
# memory length?
#
# <details>
# <summary>Solution 1</summary>
#
# $h_t = \sum_{i<t} \lambda^i x_{t-i}$, so $\mathrm{E}|h_t|^2 = t$ and
#
# $$\mathrm{E}|\mathrm{d}h_t/\mathrm{d}\lambda|^2 = \sum_{i<t} i^2 = (t-1)\,t\,(2t-1)/6 \approx t^3/3.$$
#
# Nothing is forgotten, so the memory reaches back to the start, and time replaces the memory length.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
rotation = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
turn = np.array([[0.0, -1.0], [1.0, 0.0]]) @ rotation  # its derivative by the angle
over_time = dense_sensitivity.sensitivity_over_steps(rotation, turn, 300)
t = np.arange(1, 301)
print(f"at t = 300: {over_time[-1]:.0f}, by the formula {2 * 299 * 300 * 599 / 6:.0f}")
assert np.allclose(over_time, 2 * (t - 1) * t * (2 * t - 1) / 6)  # two white inputs, one a unit
answer = [1, 3]  # the powers of t, state and sensitivity
assert answer[0] == 1, "the state is a sum of t independent inputs, turned"
assert answer[1] == 3, "an input i steps old has the weight i"

# %% [markdown]
# ### Exercise 2: the sign of an eigenvalue
# *Predict, then run. Medium.* Two matrices have the same two eigenvectors. One has the eigenvalues $1 - \varepsilon$
# and $1 - 2\varepsilon$, the other $1 - \varepsilon$ and $-(1 - 2\varepsilon)$. With which power of the memory
# $1/\varepsilon$ does the ratio of the two parts, eigenvalues over eigenvectors, grow in each? Decide, then compute it
# with `dense_sensitivity` for $\varepsilon = 10^{-2}$ and $10^{-3}$.
#
# <details>
# <summary>Solution 2</summary>
#
# With two positive eigenvalues the distance $\varepsilon$ shrinks with the memory, the chord is about as steep as the
# tangent, and both parts grow with the power 3: the ratio tends to a constant. With opposite signs the distance stays
# near 2. Then $|\Phi_{12}|$ is bounded, its second moment grows as one power of the memory, and the ratio grows with
# the power 2.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
basis, two = np.array([[1.0, 0.6], [0.2, 1.0]]), dense_sensitivity.entries(2)
for sign, expected in [(1, 0), (-1, 2)]:
    parts = []
    for eps in [1e-2, 1e-3]:
        A = basis @ np.diag([1 - eps, sign * (1 - 2 * eps)]) @ np.linalg.inv(basis)
        first = dense_sensitivity.through_eigenvalues(A[None], two)
        sums = [
            dense_sensitivity.stationary_sensitivity(A[None], way).sum()
            for way in (first, two - first)
        ]
        parts.append(sums[0] / sums[1])
    power = np.log10(parts[1] / parts[0])
    print(f"second eigenvalue {'-+'[sign > 0]}(1 - 2 eps): ratio grows with the power {power:.2f}")
    assert abs(power - expected) < 0.1
answer = [0, 2]  # powers, same sign and opposite signs
assert answer[0] == 0, "same sign: two modes that stay in step"
assert answer[1] == 2, "opposite signs: two modes that do not stay in step"

# %% [markdown]
# ### Exercise 3: an entry that does not explode
# *Break it. Hard.* "Every entry explodes with the power 3." Find a matrix with one eigenvalue $1 - \varepsilon$ in
# which some entries do not. Which powers occur? Why do random matrices not have such entries?
#
# <details>
# <summary>Solution 3</summary>
#
# Take $A = \mathrm{diag}(1 - \varepsilon, \frac12)$, whose eigenvectors are the axes. $A_{11}$ is the slow eigenvalue
# and has the power 3. $A_{12}$ and $A_{21}$ move eigenvectors alone: they feed one unit from the other, with the
# response $\Phi_{12}$, a difference of two decays, and the power 1. $A_{22}$ concerns only the fast unit and has the
# power 0. An entry moves the slow eigenvalue in proportion to $(V^{-1})_{ip} V_{qi}$, and no component of a random
# eigenvector is zero.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
found = [
    dense_sensitivity.stationary_sensitivity(np.diag([1 - eps, 0.5])[None], two)
    for eps in (1e-3, 1e-4)
]
powers = np.log10(found[1] / found[0]).reshape(2, 2)
print("powers of the four entries\n", powers.round(2))
assert np.allclose(powers, [[3, 1], [1, 0]], atol=0.02)
answer = np.diag([1 - 1e-3, 0.5])  # a 2 by 2 matrix with the eigenvalue 0.999
assert np.abs(np.linalg.eigvals(answer) - 0.999).min() < 1e-6, "0.999 is not an eigenvalue"
moments = dense_sensitivity.stationary_sensitivity(answer[None], dense_sensitivity.entries(2))
assert moments.min() < 1e5, "every entry explodes"
