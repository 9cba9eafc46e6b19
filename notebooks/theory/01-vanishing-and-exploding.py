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
import torch
from rnnlib import linear_scan
from rnnlib.lab import style

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
# In the last factor $h_{s-1}$ is held fixed: it is what $\vartheta$ does at step $s$ itself. The product in brackets has $t - s$ factors, the latest
# on the left ($r = t$ first). If each shrinks vectors, the past is forgotten and so is its gradient; if each stretches them, the influence of the past and its gradient grow exponentially.

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
# Now its size over 200 steps. While states are small the tanh is linear and the spectral radius decides. Larger inputs make states larger and most factors
# $1 - h^2$ smaller. At radius 2 the states grow by themselves until the tanh saturates; from then on the product grows much more slowly than $2^t$.

# %% mystnb={"figure": {"caption": "Norm of the Jacobian product of a tanh network with 64 units. Solid: inputs of standard deviation 0.01; dashed: 1.", "name": "fig-jacobian"}, "image": {"alt": "Spectral norm of dh_t/dh_0 against t on a logarithmic axis, for recurrent matrices of spectral radius 0.8, 1 and 2, each for small and for large inputs. Radius 0.8 decays exponentially over about twenty decades, radius 1 stays between 1 and 5 for small inputs and decays slowly for large ones, radius 2 grows by ten to twelve decades, fastest in the first steps."}}
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
        if radius == 1:
            print(f"radius 1, inputs {scale}: largest {norm.max():.1f}, last {norm[-1]:.3g}")
for scale, line in [(0.01, "-"), (1, "--")]:
    ax.plot([], [], color="0.5", ls=line, label=f"inputs {scale}")
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
# With $|\lambda| < 1$ no product explodes: $|\lambda|^{t-s}$ never exceeds 1. After $1/(1 - \lambda)$ steps it is down to about $1/e$; we call
# this number of steps the *memory length* of a unit. But the gradient is a *sum*, here $\mathrm{d}h_t/\mathrm{d}\lambda = \sum_{s \le t} \lambda^{t-s} h_{s-1}$:
# the longer the memory, the more terms count, and the larger is each state. We run the recurrence on white noise (independent inputs of mean 0 and variance 1). Forward-mode differentiation, `torch.func.jvp`,
# carries $\mathrm{d} h_t / \mathrm{d} \lambda$ along with the state.

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

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: the half-life of a gradient
# *Derive. Easy.* In $h_t = \lambda h_{t-1} + x_t$ with $0 < \lambda < 1$, after how many steps has $\mathrm{d}h_t / \mathrm{d}h_s$
# fallen to one half? Simplify for $\lambda = 1 - \varepsilon$ with small $\varepsilon$. How good is the simple form at $\lambda = .9$?
#
# <details>
# <summary>Solution 1</summary>
#
# $\lambda^n = \frac12$ at $n = \ln 2 / (-\ln \lambda)$. Since $-\ln(1 - \varepsilon) = \varepsilon + \varepsilon^2/2 + \dots$, this is
# about $\ln 2 / \varepsilon \approx 0.69 / (1 - \lambda)$, a little less in truth: the relative error is about $\varepsilon / 2$, five per
# cent at $\lambda = .9$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
import math

for lam in [0.9, 0.99, 0.999]:
    exact, simple = math.log(2) / -math.log(lam), math.log(2) / (1 - lam)
    print(f"lambda = {lam}: half after {exact:.1f} steps, simple form {simple:.1f}")
    assert math.isclose(lam**exact, 0.5)
    assert abs((simple / exact - 1) / ((1 - lam) / 2) - 1) < 0.1

# %% [markdown]
# ### Exercise 2: the largest sensitivity that bounded inputs allow
# *Derive. Easy.* Let $|x_t| \le 1$ for all $t$, $0 < \lambda < 1$, and let the unit have run for ever. Show that
# $|\mathrm{d}h_t / \mathrm{d}\lambda| \le 1 / (1 - \lambda)^2$. Which inputs reach the bound? How does it compare with the power 3/2 of
# the memory length that white noise showed above?
#
# <details>
# <summary>Solution 2</summary>
#
# $h_t = \sum_i \lambda^i x_{t-i}$, so $\mathrm{d}h_t / \mathrm{d}\lambda = \sum_i i \lambda^{i-1} x_{t-i}$, and
# $\sum_i i \lambda^{i-1} = 1 / (1-\lambda)^2$ bounds it. Every term has to be as large as it can and of one sign: constant inputs
# $x_t = 1$, or $x_t = -1$. Terms of one sign add up to the power 2 of the memory length; terms of random sign partly cancel, and the power
# 3/2 is left.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
for lam in [0.9, 0.99]:
    point = torch.tensor([lam], dtype=torch.float64)
    ones = torch.ones(1, 4000, 1, dtype=torch.float64)
    _, dh = torch.func.jvp(
        lambda value, x=ones: linear_scan(value, x), (point,), (torch.ones_like(point),)
    )
    print(f"lambda = {lam}: {dh[0, -1].item():.4f}, bound {1 / (1 - lam) ** 2:.4f}")
    assert abs(dh[0, -1].item() * (1 - lam) ** 2 - 1) < 1e-9

# %% [markdown]
# ### Exercise 3: an orthogonal recurrent matrix
# *Predict, then run. Medium.* Replace $W$ by an orthogonal matrix, all of whose eigenvalues have modulus 1. What will the norm of
# $\mathrm{d}h_t / \mathrm{d}h_0$ do over 200 steps, for inputs of standard deviation .01 and 1? Can it exceed 1? Then run
# `jacobian_products` on such a network. (The first factor of a QR decomposition, `torch.linalg.qr`, is orthogonal.)
#
# <details>
# <summary>Solution 3</summary>
#
# Each factor $\mathrm{diag}(1 - h_t^2) \, W$ has norm at most 1, because $0 < 1 - h_t^2 \le 1$ and $W$ keeps lengths. So the product never
# exceeds 1, at any time, which a spectral radius of 1 alone does not promise: above, that curve went up to 4. It vanishes as soon as states
# are not small: with large inputs exponentially, with small inputs slowly, for the state of an orthogonal network forgets nothing and grows
# until the tanh bends.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
rnn = network(1.0)
rnn.weight_hh_l0.data = torch.linalg.qr(torch.randn(64, 64, dtype=torch.float64))[0]
norms = {}
for scale in [0.01, 1.0]:
    norms[scale] = torch.linalg.matrix_norm(jacobian_products(rnn, scale * noise), ord=2)
    print(f"inputs {scale}: norm {norms[scale][0]:.3f} at t = 1, {norms[scale][-1]:.1e} at t = 200")
    assert norms[scale].max() < 1 + 1e-12
assert norms[0.01][-1] > 0.5 and norms[1.0][-1] < 1e-3

# %% [markdown]
# ### Exercise 4: small eigenvalues, large products
# *Break it. Hard.* "All eigenvalues of $W$ have modulus .9, so the product of the linear network's Jacobians shrinks." Find a 2 by 2
# matrix for which it first grows more than a thousandfold. After how many steps is it largest?
#
# <details>
# <summary>Solution 4</summary>
#
# Take $W = \begin{pmatrix} \lambda & c \\ 0 & \lambda \end{pmatrix}$ with $\lambda = .9$. Then
# $W^t = \begin{pmatrix} \lambda^t & c\, t \lambda^{t-1} \\ 0 & \lambda^t \end{pmatrix}$: the corner grows until $t \approx -1/\ln\lambda
# \approx 1/(1-\lambda)$, about ten steps, to $c\, t\lambda^{t-1} \approx 3.9\, c$, more than a thousand for $c \ge 260$. Eigenvalues decide
# how a product ends, not what happens on the way; that depends on the eigenvectors: this matrix has one only, $(1, 0)^\top$, and no
# eigenbasis. The factor $t \lambda^{t-1}$ is the
# one that this book is about: [the next page](02-curse-of-memory.ipynb) meets it again as a sensitivity, without any matrix.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 4
W = torch.tensor([[0.9, 300.0], [0.0, 0.9]], dtype=torch.float64)
powers = torch.stack([torch.linalg.matrix_power(W, t) for t in range(1, 301)])
growth = torch.linalg.matrix_norm(powers, ord=2)
print(f"largest {growth.max():.0f} at t = {1 + growth.argmax().item()}, at 300 {growth[-1]:.1e}")
assert torch.linalg.eigvals(W).abs().max() < 0.91
assert growth.max() > 1000 and 1 + growth.argmax() in (9, 10) and growth[-1] < 1e-6
