# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # From diagonal to dense
#
# **You will see** why the sensitivity that a diagonal network keeps at one eigenvalue spreads over all entries of a dense recurrent matrix,
# with the formula, a count of the entries, and the power with which every one of them explodes. **You need**
# [the curse of memory](02-curse-of-memory.ipynb) and eigendecompositions.
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

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib.lab import claims, curvature, dense_sensitivity, style, systems
from rnnlib.layers.dense import dense_recurrence

style.use()
T = 300

# %% [markdown]
# ## A dense network is a diagonal one, seen from elsewhere
# Take $h_t = A h_{t-1} + B x_t$ and $y_t = C h_t$. If $A = V \Lambda V^{-1}$, then $V^{-1} h$ is the state of a diagonal network with input
# weights $b = V^{-1} B$ and output weights $c = C V$. What enters the output is the impulse response
#
# $$k_\tau = C A^\tau B = \sum_i c_i b_i \lambda_i^\tau .$$
#
# The outputs are the same, and so is everything that can be learned. What differs is which directions the parameters point in.
#
# ## What one entry of A does
# A change $\mathrm{d}A$ acts at every step. Differentiate $A^\tau$ and go to the eigenbasis, where it is the full matrix
# $\mathrm{d}M = V^{-1} \mathrm{d}A \, V$:
#
# $$\mathrm{d}k_\tau = \sum_{s=0}^{\tau-1} C A^s \, \mathrm{d}A \, A^{\tau-1-s} B
# = \sum_{i,j} c_i \, \mathrm{d}M_{ij} \, b_j \, \Phi_{ij}(\tau),$$
#
# $$\Phi_{ij}(\tau) = \sum_{s=0}^{\tau-1} \lambda_i^s \lambda_j^{\tau-1-s}
# = \begin{cases} \tau \lambda_i^{\tau-1} & i = j \\
# \dfrac{\lambda_i^\tau - \lambda_j^\tau}{\lambda_i - \lambda_j} & i \neq j . \end{cases}$$
#
# Only $i = j$ carries the factor $\tau$ that makes long memories sensitive; for $i \neq j$ the response is a difference of two plain decays
# over the distance of the eigenvalues. In a diagonal network the factor $\tau$ belongs to the parameter $\lambda_i$ and to nothing else. In
# a dense one the entry $A_{pq}$ moves $M_{ii}$ by
#
# $$\frac{\partial M_{ii}}{\partial A_{pq}} = (V^{-1})_{ip} V_{qi} ,$$
#
# which is not zero for any $p, q$ in general. **Every entry of A carries a share of every eigenvalue's sensitivity.** The formula against
# automatic differentiation, for a random system of two conjugate pairs of eigenvalues with moduli between .99 and .993:

# %%
system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(0))
lam, V = (value.numpy() for value in torch.linalg.eig(system.A))
V_inv = np.linalg.inv(V)
b, c = V_inv @ system.B.numpy(), system.C.numpy() @ V
tau = np.arange(T)


def divided_differences(lam):
    """Phi (n, n, T) by its definition as a sum of T products."""
    powers = lam[:, None] ** tau
    Phi = np.zeros((len(lam), len(lam), T), dtype=complex)
    for t in range(1, T):
        Phi[:, :, t] = powers[:, :t] @ powers[:, t - 1 :: -1].T
    return Phi


def by_formula(V, lam, b, c):
    """dk_tau / dA_pq, shape (T, n, n)."""
    weighted = divided_differences(lam) * c[:, None, None] * b[None, :, None]
    return np.einsum("ip,qj,ijt->tpq", np.linalg.inv(V), V, weighted).real


def response(A):
    h, k = system.B, []
    for _ in range(T):
        k.append(system.C @ h)
        h = A @ h
    return torch.stack(k)


by_autodiff = torch.func.jacfwd(response)(system.A).numpy()
formula = by_formula(V, lam, b, c)
difference = np.abs(formula - by_autodiff).max()
print(f"largest difference {difference:.1e} of {np.abs(formula).max():.1e}")

# %% [markdown]
# ## The sensitivity of each entry
# For white inputs the second moment of $\partial y / \partial A_{pq}$ is $\sum_\tau (\partial k_\tau / \partial A_{pq})^2$. Left: the same
# four eigenvalues in the diagonal network, where the off-diagonal entries of $\Lambda$ are no parameters (crosses). Right: all entries of
# A.

# %% mystnb={"figure": {"caption": "Second moment of the output's sensitivity to each entry of the recurrent matrix, logarithmic colours. Left: diagonal, where off-diagonal entries do not exist. Right: dense. Same outputs.", "name": "fig-entries"}, "image": {"alt": "Two four by four grids. Left: only the four diagonal cells are filled, two dark and two brighter, the others are crossed out. Right: all sixteen cells are filled, most with values of a hundred thousand to a million."}}
diagonal = np.full((4, 4), np.nan)
for i in range(4):
    diagonal[i, i] = np.sum(np.abs(c[i] * b[i] * tau * lam[i] ** np.maximum(tau - 1, 0)) ** 2)
dense = (formula**2).sum(0)
titles = [r"diagonal $\Lambda$: 4 complex parameters", "dense $A$: 16, same outputs"]
fig, axes = plt.subplots(1, 2, figsize=(6, 2.8), layout="constrained")
for ax, values, title in zip(axes, [diagonal, dense], titles, strict=True):
    image = ax.imshow(values, norm="log", clim=(1e3, 1e7))
    ax.set(title=title, xticks=[], yticks=[])
for i, j in np.argwhere(np.isnan(diagonal)):
    axes[0].plot(j, i, "x", color="0.6", ms=8)
fig.colorbar(image, ax=axes, label=r"$\mathrm{E}\,(\mathrm{d} y)^2$");

# %% [markdown]
# ## How far it spreads
# Which direction of parameter space is the sharpest? Let a student stand at the teacher's parameters and move away by $\mathrm{d}p$. Its
# response changes by $\mathrm{d}k = J\, \mathrm{d}p$, where the columns of $J$ are the derivatives of $k$ with respect to each parameter, and over $T$ steps of white inputs
# the loss rises to $\frac12 \sum_\tau (1 - \tau/T)\, \mathrm{d}k_\tau^2$: lag $\tau$ occurs in $T - \tau$ of the steps. That is a quadratic
# form with the matrix $J^\top W J$, $W = \mathrm{diag}(1 - \tau/T)$, and the loss rises fastest along its top eigenvector $v$. The participation ratio
# $(\sum_p v_p^2)^2 / \sum_p v_p^4$ counts the parameters that $v$ involves. Over the recurrent parameters alone, for systems of growing size:

# %% mystnb={"figure": {"caption": "Participation ratio of the top eigenvector over the recurrent parameters, median and range of 10 random systems of each size.", "name": "fig-participation"}, "image": {"alt": "Log-log plot against the number of units from 2 to 16. The median of the dense matrix rises from 2 to about 50 parameters, nearly in proportion to the square of the size; that of the diagonal network stays at 2 to 3."}}
def top_direction(J):
    """Top eigenvector of J' W J, where W weighs lag tau with 1 - tau / T."""
    weights = curvature.white_gram(T).sqrt().numpy()[:, None]
    return torch.tensor(np.linalg.svd(weights * J, full_matrices=False)[2][0])


sizes = [2, 4, 8, 16]
ratios = {"dense": [], "diagonal": []}
for n in sizes:
    found = {"dense": [], "diagonal": []}
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        drawn = systems.conjugate_pairs(n // 2, generator=generator)
        lam, V = (value.numpy() for value in torch.linalg.eig(drawn.A))
        b, c = np.linalg.solve(V, drawn.B.numpy()), drawn.C.numpy() @ V
        steep = c * b * tau[:, None] * lam ** np.maximum(tau - 1, 0)[:, None]
        found["dense"].append(top_direction(by_formula(V, lam, b, c).reshape(T, -1)))
        found["diagonal"].append(top_direction(np.hstack([steep.real, -steep.imag])))
    for name, vectors in found.items():
        ratios[name].append(curvature.participation_ratio(torch.stack(vectors, dim=1)).numpy())

fig, ax = plt.subplots(figsize=(4.6, 2.8), layout="constrained")
for name, color, marker in [("dense", "rnn", "o"), ("diagonal", "crnn", "s")]:
    values = np.array(ratios[name])
    ax.loglog(sizes, np.median(values, axis=1), marker + "-", color=style.COLORS[color], label=name)
    ax.fill_between(sizes, values.min(1), values.max(1), color=style.COLORS[color], alpha=0.2, lw=0)
    for n, median in zip(sizes, np.median(values, axis=1), strict=True):
        count = n**2 if name == "dense" else 2 * n
        print(f"{name:8} n = {n:2}: {median:4.1f} of {count:3} parameters, {median / count:.0%}")
ax.minorticks_off()
ax.set(xlabel="units $n$", ylabel="participation ratio", xticks=sizes, xticklabels=sizes)
ax.legend();

# %% [markdown]
# A dense network has $n^2$ recurrent parameters and no more memory than the diagonal one with $n$ complex eigenvalues. Its sharpest direction
# involves half of them at $n = 2$ and, from $n = 8$ on, about a fifth. Making the steps along that direction small means making many steps small, and
# [why that matters to Adam](06-adam-likes-diagonal.ipynb) is the subject of another page.
#
# ## Every entry explodes
# Now let the memory grow. We draw A as the paper draws its teachers and dense students: independent normal entries, then all moduli moved to the ring
# from $\nu_0$ to 1. With white inputs to every unit the second moment of $\partial h / \partial A_{pq}$ is the solution of three discrete
# Lyapunov equations, exact and quick (`rnnlib.lab.dense_sensitivity`). An entry moves A in a direction $\mathrm{d}A$ whose part
# $V\, \mathrm{diag}(\mathrm{d}M)\, V^{-1}$ moves eigenvalues alone; the rest moves eigenvectors alone. So each moment can be computed for either part.

# %%
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
powers = np.log10(moments["whole"][-1] / moments["whole"][-3])  # over a decade of the memory
print(f"powers of all entries of all matrices: {powers.min():.2f} to {powers.max():.2f}")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Every entry of A explodes with the power 3, but not always through the eigenvalues. Left: second moments of the state's sensitivity to each of the 100 entries of one random matrix. Right: the part through the eigenvalues over the part through the eigenvectors, sum over entries, one line for each of 32 matrices; orange where two or more real eigenvalues have one sign.", "name": "fig-every-entry"}, "image": {"alt": "Two log-log plots against the shortest memory from 10 to 10,000. Left: a bundle of 100 parallel lines, two decades wide, that rise with a slope of 3. Right: the ratios of a quarter of the matrices, in blue, rise with slope 2 to between a hundred thousand and thirty million; those of the others, in orange, level off between 1 and a few hundred."}}
lam = np.linalg.eigvals(normal.numpy())
real = np.abs(lam.imag) < 1e-9
crowded = np.maximum((real & (lam.real > 0)).sum(1), (real & (lam.real < 0)).sum(1)) >= 2
ratio = moments["eigenvalues"].sum(-1) / moments["eigenvectors"].sum(-1)
fig, axes = plt.subplots(1, 2, figsize=(7.4, 2.9), layout="constrained")
axes[0].loglog(memory, moments["whole"][:, 0], color=style.COLORS["rnn"], lw=0.6, alpha=0.6)
axes[0].loglog(memory, 2 * memory**3, "k:", lw=1.2)
axes[0].text(300, 3e9, "slope 3", ha="right")
axes[0].set(
    ylabel=r"$\mathrm{E}\,|\partial h / \partial A_{pq}|^2$", title="every entry of one matrix"
)
for values, is_crowded in zip(ratio.T, crowded, strict=True):
    axes[1].loglog(memory, values, color="#de8f05" if is_crowded else "#0173b2", lw=0.8)
axes[1].axhline(1, color="0.6", lw=1)
axes[1].text(12, 2e5, "real eigenvalues\nof a sign: at most one", color="#0173b2")
axes[1].text(9e3, 800, "two or more", color="#a86400", ha="right")
axes[1].set(ylabel="eigenvalues / eigenvectors", title="which part, 32 matrices")
for ax in axes:
    ax.set(xlabel=r"shortest memory $1/(1 - \nu_0)$")

# %% [markdown]
# The explosion spreads over all entries, as the paper says. That it passes through the eigenvalues is true where these keep their distance while
# they near the circle: then eigenvectors, whose $\Phi_{ij}$ is a difference of two decays, lag behind by the square of the memory. But in the paper's own
# recipe two real eigenvalues of one sign near the circle *and each other*, and a chord of $z^\tau$ between them is as steep as its slope (exercise 1).
# Two matrices in three have such a pair, and in them the eigenvectors explode just as fast.
#
# Nor does an orthogonal A escape. All eigenvalues lie on the circle, and gradients neither vanish nor explode, since $|A^t h| = |h|$. Yet

# %%
Q = np.linalg.qr(normal.numpy())[0]
growing = dense_sensitivity.sensitivity_over_steps(Q[:8, None], all_entries, 400)
powers = np.log(growing[399] / growing[99]) / np.log(4)
print(
    f"sensitivity to an entry grows with the time as t^{powers.min():.2f} to t^{powers.max():.2f}"
)

# %% [markdown]
# ## What the paper claims, and what we measure

# %%
claims.table("sec23")

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: two eigenvalues meet
# *Derive. Easy.* Show that the two cases of $\Phi_{ij}(\tau)$ are one: the second tends to the first as $\lambda_j \to \lambda_i$. What does
# this mean for the off-diagonal entries of $\mathrm{d}M$ that join two nearly equal eigenvalues with long memories?
#
# <details>
# <summary>Solution 1</summary>
#
# $(\lambda_i^\tau - \lambda_j^\tau) / (\lambda_i - \lambda_j)$ is the slope of a chord of $z^\tau$, which tends to the derivative
# $\tau z^{\tau-1}$ at $\lambda_i$. (The sum shows it too: all $\tau$ terms tend to $\lambda_i^{\tau-1}$.) Such an off-diagonal entry is as
# sensitive as a diagonal one: while $\tau |\lambda_i - \lambda_j|$ is small the two units cannot be told apart, and neither can
# $\mathrm{d}M_{ij}$ and $\mathrm{d}M_{ii}$.
#
# </details>

# %% [markdown]
# ### Exercise 2: nothing is created or destroyed
# *Derive. Medium.* Let A be symmetric, so that $V$ is orthogonal. Show that the sum over all entries of the second moments is
# $\sum_{ij} |c_i b_j|^2 \sum_\tau |\Phi_{ij}(\tau)|^2$, whatever the eigenvectors: rotating the basis redistributes sensitivity among entries
# and neither creates nor destroys any.
#
# <details>
# <summary>Solution 2</summary>
#
# For orthogonal $V$ the map $\mathrm{d}A \mapsto \mathrm{d}M = V^\top \mathrm{d}A V$ is orthogonal too, on matrices with the Frobenius
# inner product. The gradient of $k_\tau$ with respect to $M$ has the entries $c_i b_j \Phi_{ij}(\tau)$, and an orthogonal map keeps its
# squared norm, so $\sum_{pq} (\partial k_\tau / \partial A_{pq})^2 = \sum_{ij} |c_i b_j \Phi_{ij}(\tau)|^2$. Sum over $\tau$. For other
# matrices the condition number of $V$ sets how much the sum can change.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
rng = np.random.default_rng(0)
eigenvalues = np.array([0.5, 0.9, 0.95])
weights_in, weights_out = rng.normal(size=(2, 3))
sums = []
for _ in range(2):
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    entries = by_formula(rotation, eigenvalues, weights_in, weights_out)
    sums.append(np.square(entries).sum())
in_eigenbasis = weights_out[:, None, None] * weights_in[:, None] * divided_differences(eigenvalues)
formula = np.square(np.abs(in_eigenbasis)).sum()
print(f"two bases {sums[0]:.6f} and {sums[1]:.6f}, formula {formula:.6f}")
assert np.allclose(sums, formula)

# %% [markdown]
# ### Exercise 3: the spread of one slow mode
# *Predict, then run. Medium.* Let $A = Q \Lambda Q^\top$ be symmetric with a random orthogonal $Q$ and one eigenvalue far slower than
# the others, say .99 against .5. What is the top direction over the entries of $A$, and how does its participation ratio grow with $n$? (For
# a random unit vector $q$ of length $n$ the mean of $\sum_p q_p^4$ is $3/(n + 2)$.) Run $n = 8$ for 10 draws of $Q$.
#
# <details>
# <summary>Solution 3</summary>
#
# One mode $q$ with the factor $\tau\lambda^{\tau-1}$ dominates: $\mathrm{d}k_\tau \approx c\,b\,\tau\lambda^{\tau-1}\, q^\top \mathrm{d}A\, q$, so the
# top direction is the matrix $q q^\top$. Its squared entries are products, $(q_p q_r)^2$, and the participation ratio is the square of that of $q$:
# about $((n+2)/3)^2$ or somewhat more, 11 of 64 parameters at $n = 8$, growing as $n^2$. In the diagonal network the same direction
# is one parameter.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
n, found, squared = 8, [], []
eigenvalues = np.r_[0.99, np.full(n - 1, 0.5) + 0.01 * np.arange(n - 1)]
for seed in range(10):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    J = by_formula(Q, eigenvalues, np.ones(n), np.ones(n)).reshape(T, -1)
    found.append(curvature.participation_ratio(top_direction(J)[:, None]).item())
    squared.append(curvature.participation_ratio(torch.tensor(Q[:, :1])).item() ** 2)
print(f"mean over the draws {np.mean(found):.1f}, squared ratio of q {np.mean(squared):.1f}")
print(f"estimate {((n + 2) / 3) ** 2:.0f}")
assert abs(np.mean(found) / np.mean(squared) - 1) < 0.05
assert 1 < np.mean(found) / ((n + 2) / 3) ** 2 < 2

# %% [markdown]
# ### Exercise 4: where a diagonal network is the worse one
# *Break it. Hard.* The matrix $A = \begin{pmatrix} \lambda & 1 \\ 0 & \lambda + \delta \end{pmatrix}$ has two distinct eigenvalues for
# $\delta \neq 0$ and so a diagonal form. With $\lambda = .9$, $B = (0, 1)^\top$ and $C = (1, 0)$, what happens to the sharpest curvature of the dense and of
# the diagonal parametrisation as $\delta \to 0$? Predict the power, then compute both.
#
# <details>
# <summary>Solution 4</summary>
#
# The impulse response $((\lambda+\delta)^\tau - \lambda^\tau)/\delta$ tends to $\tau\lambda^{\tau-1}$, and nothing happens to the dense
# network. The diagonal one writes it as a difference of two nearly equal decays with weights $\pm 1/\delta$. Moving one eigenvalue
# changes the output by $\tau \lambda^{\tau-1}$ times that weight, so the curvature grows as $\delta^{-2}$ and without bound: a Jordan block
# has no diagonal form. A diagonal network is easier to train where eigenvalues keep their distance; it is a good start
# that keeps them apart.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 4
sharpest = {"dense": [], "diagonal": []}
for delta in [1e-2, 1e-3, 1e-4]:
    A = torch.tensor([[0.9, 1.0], [0.0, 0.9 + delta]], dtype=torch.float64)
    B, C = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    jordan = systems.System(A, B, C, torch.zeros((), dtype=torch.float64))
    for name, way in [("dense", systems.as_dense), ("diagonal", systems.as_diagonal)]:
        values = curvature.response_singular_values(way(jordan), curvature.white_gram(T))
        sharpest[name].append(values[0].item() ** 2)
    print(f"delta = {delta}:", {name: f"{values[-1]:.3g}" for name, values in sharpest.items()})
assert max(sharpest["dense"]) < 1.5 * min(sharpest["dense"])
growth = np.diff(np.log10(sharpest["diagonal"]))
assert np.allclose(growth, 2, atol=0.2)
