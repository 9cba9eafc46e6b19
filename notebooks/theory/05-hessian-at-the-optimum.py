# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The Hessian at the optimum
#
# **You will see** the curvature of a diagonal network's loss in closed form, checked twice, why conjugate eigenvalues couple and others
# hardly do, and why the rank is $2n + 1$ whatever the parametrisation. **You need** [the curse of memory](02-curse-of-memory.ipynb).
# **Time** under a minute on a CPU.

# %% tags=["hide-input"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    source = "git+https://github.com/OWNER/REPOSITORY"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import DiagonalRNN, curvature, linear_scan, realizations, style, theory

style.use()

# %% [markdown]
# ## At the optimum only first derivatives count
# Let the student stand at the teacher's parameters, $L = \frac12 \mathrm{E}(y - y^*)^2$. Second derivatives of the output come with the
# factor $y - y^*$, which is zero, so
#
# $$\frac{\partial^2 L}{\partial p \, \partial q} = \mathrm{E}\Big[\frac{\partial y}{\partial p} \frac{\partial y}{\partial q}\Big] .$$
#
# The Hessian is the matrix of second moments of sensitivities. For the diagonal network $y = \mathrm{Re} \sum_i c_i h_i$ with $h_i$ driven
# by $b_i x$, put $k_i = b_i c_i$ and let $s_i$ be the derivative of a unit with weight 1 with respect to its eigenvalue. Then
# $\partial y / \partial\, \mathrm{Re} \lambda_i = \mathrm{Re}(k_i s_i)$ and
# $\partial y / \partial\, \mathrm{Im} \lambda_i = -\mathrm{Im}(k_i s_i)$. Products of real and imaginary parts follow from
# $\mathrm{E}[s_i s_j] = S(\lambda_i, \lambda_j)$ and $\mathrm{E}[s_i \bar s_j] = S(\lambda_i, \bar\lambda_j)$. With
#
# $$A_{ij} = k_i k_j \, S(\lambda_i, \lambda_j), \qquad B_{ij} = k_i \bar k_j \, S(\lambda_i, \bar\lambda_j),$$
#
# the block of units $i$ and $j$ over (Re, Im) is
#
# $$\frac12 \begin{pmatrix} \mathrm{Re}(A+B) & \mathrm{Im}(B-A) \\ -\mathrm{Im}(A+B) & \mathrm{Re}(B-A) \end{pmatrix}_{ij} .$$
#
# ## Three ways to the same numbers
# Closed form; automatic differentiation of the loss through the recurrence, over a window so long that nothing is cut off; and a simulation
# that runs units on noise and averages products of their sensitivities: 64 sequences of 8,000 steps after a burn-in of 400, all moduli
# below .9. The first two agree to rounding, the third to its sampling error.

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


def by_simulation(rho, sequences=64, steps=8_000, burn_in=400):
    """Mean and standard error of products of sensitivities."""
    generator = torch.Generator().manual_seed(1)
    shape = (sequences, burn_in + steps + 1, 1)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    color = noise.new_full((1,), rho)
    x = linear_scan(color, (1 - rho**2) ** 0.5 * noise[:, 1:], noise[:, 0])

    def outputs(lam):
        return torch.func.functional_call(layer, {"lam": lam}, (x,))[:, burn_in:, 0]

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
# For white inputs $S(a, b) = (1 + ab) / (1 - ab)^3$. It is large where $ab \approx 1$. In $B_{ij}$ that is $\lambda_i \approx \lambda_j$,
# in $A_{ij}$ it is $\lambda_i \approx \bar\lambda_j$: units couple if they have nearly the same eigenvalue or nearly conjugate ones. With
# equal moduli and angles that differ by $\delta$ the strength relative to a unit with itself is
#
# $$\frac{|S(\lambda e^{i\delta}, \bar\lambda)|}{S(\lambda, \bar\lambda)} \approx \Big(1 + \frac{\delta^2}{(1 - |\lambda|^2)^2}\Big)^{-3/2},$$
#
# a peak of width $1 - |\lambda|^2$. The longer the memory, the more units fit on the circle without meeting.

# %% mystnb={"figure": {"caption": "Coupling of two units with moduli $|\\lambda|$ against their angle mismatch, relative to a unit with itself; the mismatch in units of $1 - |\\lambda|^2$ (left) and in radians (right). Dashed: the approximation.", "name": "fig-coupling"}, "image": {"alt": "Left: curves for moduli 0.9, 0.99 and 0.999 coincide with the dashed approximation and fall to a few percent at three widths. Right: in radians the peak narrows in proportion to one minus the squared modulus."}}
moduli, mismatch = [0.9, 0.99, 0.999], np.linspace(0, 6, 200)
fig, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
for modulus, color in zip(moduli, style.sequence("lam", len(moduli)), strict=True):
    width = 1 - modulus**2
    for ax, delta in zip(axes, [mismatch * width, np.geomspace(1e-4, 1, 200)], strict=True):
        S = np.abs(theory.cross_sensitivity(modulus * np.exp(1j * delta), modulus, 0.0))
        relative = S / theory.cross_sensitivity(modulus, modulus, 0.0)
        ax.plot(delta / width if ax is axes[0] else delta, relative, color=color, label=modulus)
axes[0].plot(mismatch, (1 + mismatch**2) ** -1.5, "--", color="0.4", lw=1)
axes[0].set(xlabel=r"mismatch $\delta / (1 - |\lambda|^2)$", ylabel="relative coupling")
axes[1].set(xlabel=r"mismatch $\delta$ (radians)", xscale="log")
axes[1].legend(title=r"$|\lambda|$");

# %% [markdown]
# [Figure 8](../figures/fig08.ipynb) maps $S$ over the disc, also for correlated inputs; [Figure 10](../figures/fig10.ipynb) shows what
# happens when angles crowd.
#
# ## A conjugate pair shares its curvature
# A real system has its eigenvalues in conjugate pairs, $\lambda_2 = \bar\lambda_1$ and $k_2 = \bar k_1$. Then $A_{12} = B_{11}$: the pair
# is coupled as strongly as a unit with itself. Moving $\mathrm{Re} \lambda_1$ up and $\mathrm{Re} \lambda_2$ down by the same amount does
# not change the output at all. One pair, four parameters, rank two:

# %%
pair = 0.95 * np.exp(0.4j * np.array([1, -1]))
weights = np.array([0.3 + 1j, 0.3 - 1j])
H = theory.diagonal_hessian(pair, weights, np.ones(2))
print("Re, Re, Im, Im of the two units:\n", H.round(1))
print("eigenvalues", np.linalg.eigvalsh(H).round(6))

# %% [markdown]
# ## The rank law
# **Claim.** The Hessian of a system of order $n$ with one input and one output at the optimum has exactly $2n + 1$ non-zero eigenvalues, if
# the system is minimal and its eigenvalues are distinct, in every parametrisation that can move all of eigenvalues, weights and skip.
#
# **Why.** Outputs depend on the parameters through the impulse response alone. Close to the optimum these responses are
#
# $$k_\tau = D\,[\tau = 0] + \sum_{i=1}^n w_i \lambda_i^\tau,$$
#
# $$\mathrm{d}k_\tau = \mathrm{d}D\,[\tau=0] + \sum_i \big(\mathrm{d}w_i \, \lambda_i^\tau + w_i \, \mathrm{d}\lambda_i \, \tau \lambda_i^{\tau-1}\big),$$
#
# with the products $w_i$ of input and output weights. The directions $[\tau = 0]$, $\lambda_i^\tau$ and $\tau \lambda_i^{\tau-1}$ are
# $2n + 1$ linearly independent sequences, and no others occur. The Hessian is $J^\top W J$ with $W$ positive, so its rank is that of the
# map $J$ from parameters to $\mathrm{d}k$, and $J$ reaches all of them and no more. A dense RNN has $n^2 + 2n + 1$ parameters, a diagonal
# one with complex weights $6n + 1$, the LRU and S4 $7n + 1$; all but $2n + 1$ directions are flat.

# %%
ways = [realizations.as_dense, realizations.as_diagonal, realizations.as_lru, realizations.as_s4]
weights = curvature.white_gram(300)
print("order   2n + 1   " + "   ".join(f"{way.__name__[3:]:>16}" for way in ways))
for pairs in [1, 2, 3]:
    generator = torch.Generator().manual_seed(pairs)
    system = realizations.conjugate_pairs(pairs, 0.8, 0.95, generator=generator)
    row = []
    for way in ways:
        layer = way(system)
        size = sum(p.numel() for p in layer.parameters())
        row.append(f"{f'rank {curvature.rank(layer, weights)} of {size}':>16}")
    print(f"{2 * pairs:5} {4 * pairs + 1:8}   " + "   ".join(row))

# %% [markdown]
# ## Exercise
# What is the rank if the student has one complex unit more than it needs, with output weight zero? And if its input weight is zero too?
# Decide first, then try it: `curvature.rank` takes any layer in float64.
#
# <details>
# <summary>Solution</summary>
#
# With $c_{n+1} = 0$ the eigenvalue of the spare unit does not matter to first order, so $\tau \lambda_{n+1}^{\tau - 1}$ drops out. But
# $c_{n+1}$ can grow, and real and imaginary part of $\lambda_{n+1}^\tau$ join the directions: rank $2n + 3$. If the input weight is zero
# too, the product $w_{n+1}$ moves at second order only, and the rank falls back to $2n + 1$.
#
# </details>
