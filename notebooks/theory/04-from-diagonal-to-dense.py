# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # From diagonal to dense
#
# **You will see** how the sensitivity to one eigenvalue of a diagonal network spreads over all entries of a dense
# recurrent matrix: the formula, a check, and a count of the entries. **You need** [the curse of
# memory](02-curse-of-memory.ipynb) and eigendecompositions. **Time** under a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "A diagonal network is sensitive to four parameters, a dense one to every entry. Second moment of the output's sensitivity to each entry of the recurrent matrix, for the same outputs (logarithmic colours). Left: diagonal, without off-diagonal entries. Right: dense.", "name": "fig-entries"}, "image": {"alt": "Two four by four grids. Left: only the four diagonal cells are filled, two dark and two brighter, the others are crossed out. Right: all sixteen cells are filled, most with values of a hundred thousand to a million."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib.lab import curvature, style, systems

style.use()
T = 300
tau = np.arange(T)
system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(0))
lam, V = (value.numpy() for value in torch.linalg.eig(system.A))
b, c = np.linalg.solve(V, system.B.numpy()), system.C.numpy() @ V


def response(A):
    """Impulse response (T,) of a dense network with the recurrent matrix A."""
    h, k = system.B, []
    for _ in range(T):
        k.append(system.C @ h)
        h = A @ h
    return torch.stack(k)


by_autodiff = torch.func.jacfwd(response)(system.A).numpy()  # (T, n, n)
diagonal = np.full((4, 4), np.nan)
for i in range(4):
    diagonal[i, i] = np.sum(np.abs(c[i] * b[i] * tau * lam[i] ** np.maximum(tau - 1, 0)) ** 2)
titles = [r"diagonal $\Lambda$: 4 complex parameters", "dense $A$: 16, same outputs"]
fig, axes = plt.subplots(1, 2, figsize=(6.6, 2.1), layout="constrained")
for ax, values, title in zip(axes, [diagonal, (by_autodiff**2).sum(0)], titles, strict=True):
    image = ax.imshow(values, norm="log", clim=(1e3, 1e7))
    ax.set(title=title, xticks=[], yticks=[])
for i, j in np.argwhere(np.isnan(diagonal)):
    axes[0].plot(j, i, "x", color="0.6", ms=8)
fig.colorbar(image, ax=axes, label=r"$\mathrm{E}\,(\mathrm{d} y)^2$");

# %% [markdown]
# Every entry of a dense matrix carries a share of every eigenvalue's sensitivity. With 16 units the sharpest direction
# of the loss typically involves 48 of 256 entries; in the diagonal network with the same outputs, three parameters.

# %% [markdown]
# ## A dense network is a diagonal one in other coordinates
# Take $h_t = A h_{t-1} + B x_t$ and $y_t = C h_t$. If $A = V \Lambda V^{-1}$, then $V^{-1} h$ is the state of a
# diagonal network with input weights $b = V^{-1} B$ and output weights $c = C V$. The output depends on the parameters
# through the impulse response,
#
# $$k_\tau = C A^\tau B = \sum_i c_i b_i \lambda_i^\tau .$$
#
# Both networks have the same outputs and can represent the same systems. They differ in the directions in which single
# parameters move the response.
#
# ## The effect of one entry of A
# A change $\mathrm{d}A$ acts at every step. Differentiate $A^\tau$ and go to the eigenbasis, where the change is the
# full matrix $\mathrm{d}M = V^{-1} \mathrm{d}A \, V$:
#
# $$\mathrm{d}k_\tau = \sum_{s=0}^{\tau-1} C A^s \, \mathrm{d}A \, A^{\tau-1-s} B
# = \sum_{i,j} c_i \, \mathrm{d}M_{ij} \, b_j \, \Phi_{ij}(\tau),$$
#
# $$\Phi_{ij}(\tau) = \sum_{s=0}^{\tau-1} \lambda_i^s \lambda_j^{\tau-1-s}
# = \begin{cases} \tau \lambda_i^{\tau-1} & i = j \\
# \dfrac{\lambda_i^\tau - \lambda_j^\tau}{\lambda_i - \lambda_j} & i \neq j . \end{cases}$$
#
# Only $i = j$ has the factor $\tau$ that makes long memories sensitive. For $i \neq j$ the response is a difference of
# two plain decays, divided by the difference of the eigenvalues. In a diagonal network the factor $\tau$ belongs to the
# parameter $\lambda_i$ alone. In a dense one the entry $A_{pq}$ moves $M_{ii}$ by
#
# $$\frac{\partial M_{ii}}{\partial A_{pq}} = (V^{-1})_{ip} V_{qi} ,$$
#
# which in general is not zero for any $p, q$. The system of the picture has two conjugate pairs of eigenvalues, drawn
# at random with moduli between 0.99 and 0.993. On this system we check the formula against automatic differentiation:

# %%
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


formula = by_formula(V, lam, b, c)
difference = np.abs(formula - by_autodiff).max()
print(f"largest difference {difference:.1e} of {np.abs(formula).max():.1e}")

# %% [markdown]
# For white inputs the second moment of $\partial y / \partial A_{pq}$ is
# $\sum_\tau (\partial k_\tau / \partial A_{pq})^2$: the colours of the picture. On the left, off-diagonal entries of
# $\Lambda$ are no parameters (crosses).
#
# ## How far it spreads
# Which direction of parameter space is the sharpest? Place a student at the teacher's parameters and move it by
# $\mathrm{d}p$. Its response changes by $\mathrm{d}k = J\, \mathrm{d}p$, where the columns of $J$ are the derivatives
# of $k$ with respect to each parameter. Over $T$ steps of white inputs lag $\tau$ occurs $T - \tau$ times, so the loss
# rises to
#
# $$\tfrac12 \sum_\tau (1 - \tau/T)\, \mathrm{d}k_\tau^2 =
# \tfrac12 \, \mathrm{d}p^\top J^\top W J \, \mathrm{d}p, \qquad W = \mathrm{diag}(1 - \tau/T),$$
#
# fastest along the top eigenvector $v$ of $J^\top W J$. The participation ratio $(\sum_p v_p^2)^2 / \sum_p v_p^4$
# counts the parameters that $v$ involves. We compute it over the recurrent parameters alone, for ten random systems of
# each size:

# %%
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
        values = curvature.participation_ratio(torch.stack(vectors, dim=1)).numpy()
        median, count = np.median(values), n**2 if name == "dense" else 2 * n
        print(f"{name:8} n = {n:2}: {median:4.1f} of {count:3} parameters, {median / count:.0%}")
        ratios[name].append(values)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The sharpest direction of a dense network involves more parameters as the network grows; that of a diagonal one does not. Participation ratio of the top eigenvector over the recurrent parameters, median and range of ten random systems of each size.", "name": "fig-participation"}, "image": {"alt": "Log-log plot against the number of units from 2 to 16. The median of the dense matrix rises from 2 to about 50 parameters, with the power 1.5 of the size; that of the diagonal network stays at 2 to 3."}}
fig, ax = plt.subplots(figsize=(5.6, 2.5), layout="constrained")
for name, color, marker in [("dense", "rnn", "o"), ("diagonal", "crnn", "s")]:
    values, color = np.array(ratios[name]), style.COLORS[color]
    median = np.median(values, axis=1)
    ax.loglog(sizes, median, marker + "-", color=color)
    ax.fill_between(sizes, values.min(1), values.max(1), color=color, alpha=0.2, lw=0)
    ax.text(16.7, median[-1], name, va="center", color=color)
ax.minorticks_off()
ax.set(xlabel="units $n$", ylabel="participation ratio", xlim=(1.9, 24))
ax.set_xticks(sizes, sizes);

# %% [markdown]
# A dense network has $n^2$ recurrent parameters and no more memory than the diagonal one with $n$ complex eigenvalues.
# Its sharpest direction involves half of them at $n = 2$ and, from $n = 8$ on, about a fifth. A small step along that
# direction means a small step for many parameters; [Adam likes diagonal networks](06-adam-likes-diagonal.ipynb) shows
# why that matters. [The next page](04b-every-entry-explodes.ipynb) lets the memory grow and measures the power with
# which each entry explodes.

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: two eigenvalues meet
# *Derive. Easy.* Show that the two cases of $\Phi_{ij}(\tau)$ are one: the second tends to the first as
# $\lambda_j \to \lambda_i$. What does this mean for the off-diagonal entries of $\mathrm{d}M$ that join two nearly
# equal eigenvalues with long memories?
#
# <details>
# <summary>Solution 1</summary>
#
# $(\lambda_i^\tau - \lambda_j^\tau) / (\lambda_i - \lambda_j)$ is the slope of a chord of $z^\tau$, which tends to the
# derivative $\tau z^{\tau-1}$ at $\lambda_i$. (The sum shows it too: all $\tau$ terms tend to $\lambda_i^{\tau-1}$.)
# Such an off-diagonal entry is as sensitive as a diagonal one: while $\tau |\lambda_i - \lambda_j|$ is small, the two
# units behave alike, and so do $\mathrm{d}M_{ij}$ and $\mathrm{d}M_{ii}$.
#
# </details>

# %% [markdown]
# ### Exercise 2: nothing is created or destroyed
# *Derive. Medium.* Let $A$ be symmetric, so that $V$ is orthogonal. Show that the sum over all entries of the second
# moments is $\sum_{ij} |c_i b_j|^2 \sum_\tau |\Phi_{ij}(\tau)|^2$, whatever the eigenvectors: rotating the basis
# redistributes sensitivity among entries and neither creates nor destroys any.
#
# <details>
# <summary>Solution 2</summary>
#
# For orthogonal $V$ the map $\mathrm{d}A \mapsto \mathrm{d}M = V^\top \mathrm{d}A V$ is orthogonal too, on matrices
# with the Frobenius inner product. The gradient of $k_\tau$ with respect to $M$ has the entries
# $c_i b_j \Phi_{ij}(\tau)$, and an orthogonal map preserves its squared norm, so
# $\sum_{pq} (\partial k_\tau / \partial A_{pq})^2 = \sum_{ij} |c_i b_j \Phi_{ij}(\tau)|^2$. Sum over $\tau$. For other
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
# *Predict, then run. Medium.* Let $A = Q \Lambda Q^\top$ be symmetric with a random orthogonal $Q$ and one eigenvalue
# far slower than the others, say 0.99 against 0.5. What is the top direction over the entries of $A$, and how does its
# participation ratio grow with $n$? (For a random unit vector $q$ of length $n$ the mean of $\sum_p q_p^4$ is
# $3/(n + 2)$.) Run $n = 8$ for 10 draws of $Q$.
#
# <details>
# <summary>Solution 3</summary>
#
# One mode $q$ with the factor $\tau\lambda^{\tau-1}$ dominates:
# $\mathrm{d}k_\tau \approx c\,b\,\tau\lambda^{\tau-1}\, q^\top \mathrm{d}A\, q$, so the top direction is the matrix
# $q q^\top$. Its squared entries are products, $(q_p q_r)^2$, and the participation ratio is the square of that of $q$:
# about $((n+2)/3)^2$ or somewhat more, 11 of 64 parameters at $n = 8$, growing as $n^2$. In the diagonal network the
# same direction is one parameter.
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
answer = np.mean(found)  # mean participation ratio over 10 draws, n = 8
assert answer > 100 / 9, "too small: is the entry's weight the product of two entries of q?"
assert answer < 200 / 9, "too large: is it the top direction alone?"

# %% [markdown]
# ### Exercise 4: where a diagonal network is the worse one
# *Break it. Hard.* The matrix $A = \begin{pmatrix} \lambda & 1 \\ 0 & \lambda + \delta \end{pmatrix}$ has two distinct
# eigenvalues for $\delta \neq 0$, hence a diagonal form. Take $\lambda = 0.9$, $B = (0, 1)^\top$ and $C = (1, 0)$. What
# happens to the sharpest curvature of the dense and of the diagonal parametrisation as $\delta \to 0$? Predict the
# power, then compute both.
#
# <details>
# <summary>Solution 4</summary>
#
# The impulse response $((\lambda+\delta)^\tau - \lambda^\tau)/\delta$ tends to $\tau\lambda^{\tau-1}$, and the dense
# network hardly changes. The diagonal one writes the response as a difference of two nearly equal decays with weights
# $\pm 1/\delta$. Moving one eigenvalue changes the output by $\tau \lambda^{\tau-1}$ times that weight, so the
# curvature grows as $\delta^{-2}$, without bound: a Jordan block has no diagonal form. The diagonal form is well
# conditioned only while the eigenvalues are apart, so initialise them apart.
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
answer = [0, 2]  # powers of 1 / delta, dense and diagonal
assert answer[0] == 0, "the dense entries do not know of delta"
assert answer[1] == 2, "with which power of 1 / delta do the weights of the modes grow?"
