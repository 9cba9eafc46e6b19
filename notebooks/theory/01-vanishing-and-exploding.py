# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Vanishing and exploding gradients
#
# **You will see** why a product of Jacobians makes gradients vanish or explode, on a real recurrent network, and what is left to
# explain once neither happens. **You need** the chain rule and PyTorch. **Time** under a minute on a CPU.

# %% tags=["hide-input"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    source = "git+https://github.com/OWNER/REPOSITORY"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)

# %%
import matplotlib.pyplot as plt
import torch
from rnnlib import linear_scan, style

style.use()
torch.manual_seed(0);

# %% [markdown]
# ## A gradient is a sum over time of products over time
# A recurrent network updates its state and is judged by a loss at each step,
#
# $$h_{t} = f_\vartheta(h_{t-1}, x_{t}), \qquad L = \sum_t L_t(h_t).$$
#
# The parameters $\vartheta$ act at every step, and what they do at step $s$ reaches step $t$ through all the steps between:
#
# $$\frac{\mathrm{d} L}{\mathrm{d} \vartheta} = \sum_t \frac{\partial L_t}{\partial h_t} \sum_{s \le t}
# \left( \prod_{r = s+1}^{t} \frac{\partial h_r}{\partial h_{r-1}} \right) \frac{\partial h_s}{\partial \vartheta} .$$
#
# The product in brackets has $t - s$ factors. If each shrinks vectors, the past is forgotten and so is its gradient; if each
# stretches them, the influence of the past and its gradient grow exponentially.

# %% [markdown]
# ## The product on a real network
# A `torch.nn.RNN` with 64 units computes $h_t = \tanh(W h_{t-1} + U x_t)$. Its Jacobian at one step is $\mathrm{diag}(1 - h_t^2) \, W$,
# so the product can be written down from the states alone. We scale $W$ to a given spectral radius, the largest modulus of its eigenvalues.


# %%
def network(radius, units=64):
    rnn = torch.nn.RNN(1, units, bias=False, dtype=torch.float64)
    W = torch.randn(units, units, dtype=torch.float64)
    rnn.weight_hh_l0.data = W * radius / torch.linalg.eigvals(W).abs().max()
    return rnn


def jacobian_products(rnn, x):
    """All products dh_t / dh_0, t = 1, ..., T, for one sequence x (T, 1)."""
    W, h = rnn.weight_hh_l0.detach(), rnn(x)[0].detach()
    products = [(1 - h[0] ** 2)[:, None] * W]
    for h_t in h[1:]:
        products.append((1 - h_t**2)[:, None] * W @ products[-1])
    return torch.stack(products)


# %% [markdown]
# Is this what back-propagation computes? We ask automatic differentiation for $\mathrm{d} h_{20} / \mathrm{d} h_0$ and compare.

# %%
x, h0 = torch.randn(20, 1, dtype=torch.float64), torch.zeros(1, 64, dtype=torch.float64)
rnn = network(radius=2.0)
by_autograd = torch.autograd.functional.jacobian(lambda h: rnn(x, h)[1], h0).squeeze()
difference = jacobian_products(rnn, x)[-1] - by_autograd
print(
    f"largest entry {by_autograd.abs().max():.3f}, largest difference {difference.abs().max():.1e}"
)

# %% [markdown]
# Now its size over 200 steps. While states are small the tanh is linear and the spectral radius decides. Larger inputs make states larger and every factor
# $1 - h^2$ smaller. At radius 2 the states grow by themselves until the tanh saturates; from then on the product grows much more slowly than $2^t$.

# %% mystnb={"figure": {"caption": "Norm of the Jacobian product of a tanh network with 64 units. Solid: inputs of standard deviation 0.01; dashed: 1.", "name": "fig-jacobian"}, "image": {"alt": "Spectral norm of dh_t/dh_0 against t on a logarithmic axis, for recurrent matrices of spectral radius 0.8, 1 and 2, each for small and for large inputs. Radius 0.8 decays exponentially over about twenty decades, radius 1 stays between 1 and 5 for small inputs and decays slowly for large ones, radius 2 grows by about ten decades, fastest in the first steps."}}
radii = [0.8, 1.0, 2.0]
noise = torch.randn(200, 1, dtype=torch.float64)
fig, ax = plt.subplots(figsize=(5.2, 2.8), layout="constrained")
for radius, color in zip(radii, style.sequence("lam", len(radii)), strict=True):
    rnn = network(radius)
    for scale, line in [(0.01, "-"), (1.0, "--")]:
        norm = torch.linalg.matrix_norm(jacobian_products(rnn, scale * noise), ord=2)
        ax.semilogy(
            range(1, 201), norm, color=color, ls=line, label=f"{radius}" if line == "-" else None
        )
ax.set(xlabel="steps $t$", ylabel=r"$\|\mathrm{d} h_t / \mathrm{d} h_0\|_2$")
ax.legend(title="spectral radius", loc="lower left");

# %% [markdown]
# Exponential decay is the vanishing gradient, exponential growth the exploding one
# ([Hochreiter 1991, Bengio et al. 1994, Pascanu et al. 2013](../../book/bibliography.md)). The cures are
# known: clip what explodes; keep what vanishes by gates (LSTM, GRU), orthogonal matrices, or eigenvalues close to the unit circle. Deep
# state-space models take the last way to its end: the recurrence is linear and diagonal,
#
# $$h_t = \lambda \odot h_{t-1} + x_t, \qquad \frac{\mathrm{d} h_t}{\mathrm{d} h_s} = \mathrm{diag}(\lambda)^{t-s},$$
#
# and $|\lambda| < 1$, close to 1, keeps every product bounded and slow to vanish.

# %% [markdown]
# ## Is that the end of the story?
# With $|\lambda| < 1$ no product explodes: $|\lambda|^{t-s}$ never exceeds 1. But the gradient is a *sum* of such products, and the longer the memory, the more
# terms count. We run the recurrence on white noise and let automatic differentiation return $\mathrm{d} h_t / \mathrm{d} \lambda$ along the way.

# %% mystnb={"figure": {"caption": "One linear unit driven by white noise. Left: the Jacobian product, bounded by 1. Right: the sensitivity of the state to the eigenvalue, root mean square over 1,000 input sequences.", "name": "fig-not-the-end"}, "image": {"alt": "Left: powers of lambda fall from 1 to 0, later for lambda nearer to 1. Right: the root mean square of dh_t/dlambda grows with t and levels off, for memory lengths 10, 100 and 1000, at about 16, 500 and 16,000."}}
steps = 5000
x = torch.randn(1, steps, 1000, dtype=torch.float64)
lams = [0.9, 0.99, 0.999]
rms = {}
for lam in lams:
    point = torch.full((1000,), lam, dtype=torch.float64)
    _, dh = torch.func.jvp(lambda value: linear_scan(value, x), (point,), (torch.ones_like(point),))
    rms[lam] = dh[0].square().mean(1).sqrt()

fig, axes = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
for lam, color in zip(lams, style.sequence("lam", len(lams)), strict=True):
    axes[0].semilogx(
        range(1, steps), lam ** torch.arange(1, steps), color=color, label=rf"$\lambda = {lam}$"
    )
    axes[1].loglog(range(1, steps), rms[lam][1:], color=color)
axes[0].set(xlabel="$t - s$", ylabel=r"$\mathrm{d} h_t / \mathrm{d} h_s = \lambda^{t-s}$")
axes[1].set(xlabel="$t$", ylabel=r"rms of $\mathrm{d} h_t / \mathrm{d} \lambda$")
axes[0].legend();

# %%
final = [rms[lam][-500:].square().mean().sqrt().item() for lam in lams]
print(f"memory of 100 steps instead of 10: {final[1] / final[0]:.1f} times as sensitive")
print(f"memory of 1000 steps instead of 100: {final[2] / final[1]:.1f} times as sensitive")
print(f"10 to the power 3/2: {10**1.5:.1f}")

# %% [markdown]
# Ten times the memory makes the state about thirty times as sensitive to its own parameter, though no Jacobian product exceeds 1. It is a power law. The next
# page derives it: [the curse of memory](02-curse-of-memory.ipynb).
