# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The Hessian at the optimum
#
# **You will see** the curvature of a diagonal network's loss in closed form, checked twice; why only nearly equal or
# conjugate eigenvalues interact; and why the rank is $2n + 1$ whatever the parametrisation. **You need** [the curse of
# memory](02-curse-of-memory.ipynb). **Time** under a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Only units with nearly equal eigenvalues interact, and the longer the memory the nearer they must be. Coupling of two units against their angle mismatch, relative to that of a unit with itself; the mismatch in units of $1 - |\\lambda|^2$ (left) and in radians (right). Dashed: the approximation below.", "name": "fig-coupling"}, "image": {"alt": "Left: curves for moduli 0.99 and 0.999 coincide with the dashed approximation, that for 0.9 lies a little above; all fall to a few percent at three widths. Right: in radians the peak narrows in proportion to one minus the squared modulus."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import DiagonalRNN, linear_scan, theory
from rnnlib.lab import curvature, systems, style

style.use()
moduli, mismatch = [0.9, 0.99, 0.999], np.linspace(0, 6, 200)
fig, axes = plt.subplots(1, 2, figsize=(7, 2.2), layout="constrained")
for modulus, color in zip(moduli, style.sequence("lam", len(moduli)), strict=True):
    width = 1 - modulus**2
    for ax, delta in zip(axes, [mismatch * width, np.geomspace(1e-4, 1, 200)], strict=True):
        S = np.abs(theory.cross_sensitivity(modulus * np.exp(1j * delta), modulus, 0.0))
        relative = S / theory.cross_sensitivity(modulus, modulus, 0.0)
        ax.plot(delta / width if ax is axes[0] else delta, relative, color=color)
    axes[1].text(0.55 * width, 0.45, modulus, ha="right", color=color)
axes[0].plot(mismatch, (1 + mismatch**2) ** -1.5, "k--", lw=1)
axes[0].set(xlabel=r"mismatch $\delta / (1 - |\lambda|^2)$", ylabel="relative coupling")
axes[1].set(xlabel=r"mismatch $\delta$ (radians)", xscale="log", title=r"modulus $|\lambda|$");

# %% [markdown]
# The coupling falls to a tenth within about two widths of $1 - |\lambda|^2$: the longer the memory, the more units fit
# on the circle without interacting. Of all the directions of parameter space only $2n + 1$ are curved, however many parameters
# there are.

# %% [markdown]
# ## At the optimum only first derivatives count
# Place the student at the teacher's parameters, with $L = \frac12 \mathrm{E}(y - y^*)^2$. Second derivatives of the
# output are multiplied by $y - y^*$, which is zero, so
#
# $$\frac{\partial^2 L}{\partial p \, \partial q} = \mathrm{E}\Big[\frac{\partial y}{\partial p}
# \frac{\partial y}{\partial q}\Big] .$$
#
# The Hessian is the matrix of second moments of sensitivities. In the diagonal network
# $y = \mathrm{Re} \sum_i c_i h_i$, with $h_i$ driven by $b_i x$, put $w_i = b_i c_i$, and let $s_i$ be the derivative
# of a unit of weight 1 with respect to its eigenvalue. Then
#
# $$\frac{\partial y}{\partial\, \mathrm{Re} \lambda_i} = \mathrm{Re}(w_i s_i), \qquad
# \frac{\partial y}{\partial\, \mathrm{Im} \lambda_i} = -\mathrm{Im}(w_i s_i),$$
#
# because the state is a power series in $\lambda_i$ alone, not in its conjugate. Products of real and imaginary parts
# follow from $\mathrm{E}[s_i s_j] = S(\lambda_i, \lambda_j)$ and
# $\mathrm{E}[s_i \bar s_j] = S(\lambda_i, \bar\lambda_j)$. With
#
# $$A_{ij} = w_i w_j \, S(\lambda_i, \lambda_j), \qquad B_{ij} = w_i \bar w_j \, S(\lambda_i, \bar\lambda_j),$$
#
# the block of units $i$ and $j$ over (Re, Im) is
#
# $$\frac12 \begin{pmatrix} \mathrm{Re}(A+B) & \mathrm{Im}(B-A) \\ -\mathrm{Im}(A+B) & \mathrm{Re}(B-A) \end{pmatrix}_{ij} .$$
#
# ## Three ways to the same numbers
# We compare the closed form with two others: automatic differentiation of the loss through the recurrence, over a
# window long enough that nothing is cut off; and a simulation that runs the units on noise and averages products of
# their sensitivities (64 sequences of 8,000 steps after a burn-in of 400, all moduli below 0.9). The first agrees to
# rounding, the second to its sampling error.

# %%
generator = torch.Generator().manual_seed(0)
layer = DiagonalRNN(1, 3, 1, min_modulus=0.7, max_modulus=0.9, generator=generator)
layer = layer.double().requires_grad_(False)


def by_autodiff(rho, length=500):
    lags = torch.arange(length)
    R = torch.tensor(rho, dtype=torch.float64) ** (lags[:, None] - lags).abs()
    response = layer.impulse_response(length)[:, 0, 0]
    H = curvature.hessian(layer, curvature.response_loss(response, R))
    return H.matrix[:6, :6].numpy()  # real, then imaginary parts of the eigenvalues


# %% tags=["hide-input"]
def by_simulation(rho, sequences=64, steps=8_000, burn_in=400):
    """Mean and standard error of products of sensitivities."""
    generator = torch.Generator().manual_seed(1)
    shape = (sequences, burn_in + steps + 1, 1)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    color = noise.new_full((1,), rho)
    x = linear_scan(color, (1 - rho**2) ** 0.5 * noise[:, 1:], noise[:, 0])

    def outputs(lam):
        return torch.func.functional_call(layer, {"lam": lam}, (x,))[0][:, burn_in:, 0]

    dy = torch.func.jacfwd(outputs)(layer.lam).transpose(2, 3).flatten(2)
    products = torch.einsum("btp,btq->bpq", dy, dy) / steps
    return products.mean(0).numpy(), products.std(0).numpy() / sequences**0.5


lam, b, c = (torch.view_as_complex(p).flatten().numpy() for p in (layer.lam, layer.B, layer.C))
for rho in [0.0, 0.9]:
    closed = theory.diagonal_hessian(lam, b, c, rho)
    simulated, error = by_simulation(rho)
    largest = np.abs(closed).max()
    print(f"rho = {rho}, differences relative to the largest entry")
    print(f"    automatic differentiation {np.abs(by_autodiff(rho) - closed).max() / largest:.0e}")
    print(f"    simulation {np.abs(simulated - closed).max() / largest:.1e},",
          f"at most {(np.abs(simulated - closed) / error).max():.1f} standard errors")

# %% [markdown]
# ## Who couples with whom
# For white inputs $S(a, b) = (1 + ab) / (1 - ab)^3$ is large where $ab \approx 1$. In $B_{ij}$ this means
# $\lambda_i \approx \lambda_j$, in $A_{ij}$ it means $\lambda_i \approx \bar\lambda_j$: units interact only if their
# eigenvalues are nearly equal or nearly conjugate. With equal moduli and angles that differ by $\delta$, the strength
# relative to a unit with itself is a peak of width $1 - |\lambda|^2$:
#
# $$\frac{|S(\lambda e^{i\delta}, \bar\lambda)|}{S(\lambda, \bar\lambda)} \approx \Big(1 +
# \frac{\delta^2}{(1 - |\lambda|^2)^2}\Big)^{-3/2} .$$
#
# [Figure 8](../figures/fig08.ipynb) maps $S$ over the disc, also for correlated inputs; [Figure
# 10](../figures/fig10.ipynb) shows what happens when many angles are close.
#
# ## A conjugate pair shares its curvature
# A real system has its eigenvalues in conjugate pairs, $\lambda_2 = \bar\lambda_1$ and $w_2 = \bar w_1$. Then
# $A_{12} = B_{11}$: the pair is coupled as strongly as a unit with itself. Moving $\mathrm{Re} \lambda_1$ up and
# $\mathrm{Re} \lambda_2$ down by the same amount does not change the output to first order. So one pair has four
# parameters and rank two:

# %%
pair = 0.95 * np.exp(0.4j * np.array([1, -1]))
weights = np.array([0.3 + 1j, 0.3 - 1j])
H = theory.diagonal_hessian(pair, weights, np.ones(2))
with np.printoptions(suppress=True, precision=1):
    print("Re, Re, Im, Im of the two units:\n", H)
    print("eigenvalues", np.linalg.eigvalsh(H))

# %% [markdown]
# ## The rank law
# **Claim.** At the optimum, the Hessian of a system of order $n$ with one input and one output has exactly $2n + 1$
# non-zero eigenvalues, in every parametrisation that can move all eigenvalues, weights and the skip. This assumes that
# the system's eigenvalues are distinct and not zero, that no mode has weight zero, and that the window has
# $T \ge 2n + 1$ steps ([proof](../../book/proofs.md#the-rank-law)).
#
# **Why.** Outputs depend on the parameters through the impulse response alone. Write $[\tau = 0]$ for 1 at $\tau = 0$
# and 0 elsewhere. The response and its first-order change are
#
# $$k_\tau = D\,[\tau = 0] + \sum_{i=1}^n w_i \lambda_i^\tau,$$
#
# $$\mathrm{d}k_\tau = \mathrm{d}D\,[\tau=0] + \sum_i \big(\mathrm{d}w_i \, \lambda_i^\tau +
# w_i \, \mathrm{d}\lambda_i \, \tau \lambda_i^{\tau-1}\big).$$
#
# These are combinations of $2n + 1$ linearly independent sequences, $[\tau = 0]$, $\lambda_i^\tau$ and
# $\tau \lambda_i^{\tau-1}$. Over $T$ steps the Hessian is $J^\top W J$ as in [from diagonal to
# dense](04-from-diagonal-to-dense.ipynb#how-far-it-spreads), with the positive definite
# $W = \mathrm{diag}(1 - \tau/T)$. So its rank is that of the map $J$ from parameters to $\mathrm{d}k$, whose image is
# the span of these sequences.
#
# A dense RNN has $n^2 + 2n + 1$ parameters, a diagonal one with complex weights $6n + 1$, the LRU and diagonal S4
# $7n + 1$; all but $2n + 1$ directions are flat:

# %% tags=["hide-input"]
ways = [systems.as_dense, systems.as_diagonal, systems.as_lru, systems.as_s4]
weights = curvature.white_gram(300)
print("order   2n + 1   " + "   ".join(f"{way.__name__[3:]:>16}" for way in ways))
for pairs in [1, 2, 3]:
    generator = torch.Generator().manual_seed(pairs)
    system = systems.conjugate_pairs(pairs, 0.8, 0.95, generator=generator)
    row = []
    for way in ways:
        layer = way(system)
        size = sum(p.numel() for p in layer.parameters())
        row.append(f"{f'rank {curvature.rank(layer, weights)} of {size}':>16}")
    print(f"{2 * pairs:5} {4 * pairs + 1:8}   " + "   ".join(row))

# %% [markdown]
# <details>
# <summary>What the LRU and S4 store</summary>
#
# The LRU stores $\lambda = e^{-e^{\omega_\nu} + i e^{\omega_\theta}}$ and an input scale $e^{\omega_\gamma}$. Diagonal
# S4 stores a complex $A$ and a step $\Delta = \ln(1 + e^{\omega_\Delta})$, with $\lambda = e^{\Delta A}$ and the input
# scale $\Delta$ ([Figure 9](../figures/fig09.ipynb)).
#
# </details>

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: one real unit and its weight
# *Derive. Easy.* Let $y = w h$ with a real eigenvalue $\lambda$ and white inputs. Write down the Hessian at the optimum
# over $(\lambda, w)$ and its determinant. Is any direction flat? How strongly are the two parameters coupled as
# $\lambda \to 1$?
#
# <details>
# <summary>Solution 1</summary>
#
# $\partial y/\partial\lambda = w h'$, $\partial y/\partial w = h$. With
# $\mathrm{E}[h h'] = \frac12 \frac{\mathrm{d}}{\mathrm{d}\lambda} \mathrm{E}h^2 = \lambda/(1-\lambda^2)^2$ the Hessian
# is
#
# $$H = \begin{pmatrix} w^2 \frac{1+\lambda^2}{(1-\lambda^2)^3} & w \frac{\lambda}{(1-\lambda^2)^2} \\
# w \frac{\lambda}{(1-\lambda^2)^2} & \frac{1}{1-\lambda^2} \end{pmatrix}, \qquad
# \det H = \frac{w^2}{(1-\lambda^2)^4} > 0 .$$
#
# No direction is flat. The coupling relative to the diagonal, $\lambda/\sqrt{1+\lambda^2}$, tends to $1/\sqrt2$: a
# longer memory and a smaller weight partly compensate.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
eigenvalue, weight, i = 0.9, 0.7, np.arange(2000.0)
h, dh = eigenvalue**i, i * eigenvalue ** (i - 1)
H = np.array([[weight**2 * dh @ dh, weight * dh @ h], [weight * dh @ h, h @ h]])
print(H.round(3), "determinant", np.linalg.det(H).round(3))
assert np.isclose(np.linalg.det(H), weight**2 / (1 - eigenvalue**2) ** 4)
assert np.isclose(H[0, 1], weight * eigenvalue / (1 - eigenvalue**2) ** 2)
answer = np.linalg.det(H)  # the determinant at lambda = 0.9, w = 0.7
assert answer > 1e-6, "no direction is flat"
assert abs(answer / (0.49 / 0.19**4) - 1) < 0.01, "sum all three entries over i before you multiply"

# %% [markdown]
# ### Exercise 2: the shape of the peak
# *Derive. Medium.* Derive the approximation $\big(1 + \delta^2/(1-|\lambda|^2)^2\big)^{-3/2}$ of the relative coupling.
# After how many widths has it fallen to a tenth? How many units of modulus $\nu$ fit around the circle at that
# distance, for $\nu = 0.9$ and $0.99$?
#
# <details>
# <summary>Solution 2</summary>
#
# With $q = \nu^2$, $|S(\lambda e^{i\delta}, \bar\lambda)| = |1 + q e^{i\delta}| / |1 - q e^{i\delta}|^3$. The
# denominator is $|1 - qe^{i\delta}|^2$ $= (1-q)^2 + 4q\sin^2(\delta/2)$ $\approx (1-q)^2 + \delta^2$ for $q$ near 1 and
# small $\delta$; the numerator stays close to $1 + q$. Divide by the value at $\delta = 0$. One tenth is reached where
# $1 + x^2 = 10^{2/3}$, at $x = 1.91$ widths. So $2\pi / (1.91\,(1-\nu^2))$ units fit around the circle: 17 at
# $\nu = 0.9$ and 165 at $0.99$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
x = np.sqrt(10 ** (2 / 3) - 1)
for modulus in [0.9, 0.99]:
    delta = x * (1 - modulus**2)
    S = abs(theory.cross_sensitivity(modulus * np.exp(1j * delta), modulus, 0.0))
    relative = S / theory.cross_sensitivity(modulus, modulus, 0.0)
    units = 2 * np.pi / delta
    print(f"modulus {modulus}: coupling {relative:.3f} at {x:.2f} widths, {units:.0f} units")
    assert abs(relative - 0.1) < 0.3 * (1 - modulus)
answer = [x, 2 * np.pi / (x * 0.19), 2 * np.pi / (x * 0.0199)]  # widths; units at 0.9, at 0.99
assert abs((1 + answer[0] ** 2) ** -1.5 - 0.1) < 0.01, "at that many widths it is not a tenth"
assert abs(answer[0] * answer[1] * 0.19 - 6.28) < 0.6, "units at 0.9: 2 pi over the distance"
assert abs(answer[0] * answer[2] * 0.0199 - 6.28) < 0.6, "units at 0.99: a width is 1 - nu^2"

# %% [markdown]
# ### Exercise 3: a window that is too short
# *Break it. Medium.* The rank law needs a long enough window. A system of order 4 is observed for $T$ steps: what is
# the rank of its Hessian for $T = 1, 2, 3, \dots$? Decide, then run it; `systems.conjugate_pairs(2, 0.8, 0.95)` draws a
# system with moderate memories.
#
# <details>
# <summary>Solution 3</summary>
#
# Only $T$ numbers of the impulse response matter, so the rank is at most $T$, and it is never above $2n + 1 = 9$. The 9
# sequences are independent over 9 lags, so over the first $T \le 9$ lags they span all of $\mathbb{R}^T$. So the rank
# is $\min(T, 9)$: it takes as many outputs to identify a teacher as it has degrees of freedom.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
system = systems.conjugate_pairs(2, 0.8, 0.95, generator=torch.Generator().manual_seed(0))
lengths = [1, 2, 3, 5, 8, 9, 10, 20]
ranks = [curvature.rank(systems.as_dense(system), curvature.white_gram(T)) for T in lengths]
print(dict(zip(lengths, ranks, strict=True)))
assert ranks == [min(T, 9) for T in lengths]
answer = ranks  # for T = 1, 2, 3, 5, 8, 9, 10, 20
assert list(answer[:4]) == [1, 2, 3, 5], "short windows: what bounds the rank?"
assert list(answer[4:]) == [8, 9, 9, 9], "long windows: how many numbers determine the response?"

# %% [markdown]
# ### Exercise 4: a spare unit
# *Predict, then run. Hard.* The student has one complex unit more than it needs, with output weight zero. What is the
# rank? What if its input weight is zero too? Decide first, then try it: `curvature.rank` takes any layer in float64.
#
# <details>
# <summary>Solution 4</summary>
#
# With $c_{n+1} = 0$ the eigenvalue of the spare unit does not matter to first order, so $\tau \lambda_{n+1}^{\tau - 1}$
# drops out. But $c_{n+1}$ can change, which adds the real and the imaginary part of $\lambda_{n+1}^\tau$ to the
# directions: rank $2n + 3$. If the input weight is zero too, the product $w_{n+1}$ changes at second order only, and
# the rank is $2n + 1$ again.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 4
system = systems.conjugate_pairs(2, 0.8, 0.95, generator=torch.Generator().manual_seed(0))
exact = dict(systems.as_diagonal(system).named_parameters())
for b_spare, expected in [(1.0, 11), (0.0, 9)]:
    student = DiagonalRNN(1, 5, 1).double()
    spare = {"lam": [[0.3, 0.6]], "B": [[[b_spare, 0.0]]], "C": [[[0.0, 0.0]]]}
    for name, value in spare.items():
        extra = torch.tensor(value, dtype=torch.float64)
        axis = 1 if name == "C" else 0
        getattr(student, name).data = torch.cat([exact[name].data, extra], dim=axis)
    found = curvature.rank(student, curvature.white_gram(300))
    print(f"spare input weight {b_spare:g}: rank {found}, 2n + 1 = 9")
    assert found == expected
answer = [11, 9]  # rank with output weight zero; with input weight zero as well
assert answer[0] == 11, "which derivatives of the response do not vanish when only c is zero?"
assert answer[1] == 9, "with b = c = 0, which derivatives are left?"
