# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Vanishing and exploding gradients
#
# **You will see** why a product of Jacobians makes gradients vanish or explode, on a real recurrent network, and which
# problem remains when neither happens. **You need** the chain rule and PyTorch. **Time** under a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "No Jacobian product exceeds 1, yet the sensitivity grows with the memory length. One linear unit driven by white noise. Left: the Jacobian product. Right: root mean square of the derivative of the state with respect to the eigenvalue.", "name": "fig-not-the-end"}, "image": {"alt": "Left: powers of lambda fall from 1 to 0, later for lambda nearer to 1. Right: the root mean square of dh_t/dlambda grows with t and levels off, for memory lengths 10, 100 and 1000, at about 16, 500 and 16,000."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import linear_scan
from rnnlib.lab import interactive, style

style.use()
steps, lams = 5000, [0.9, 0.99, 0.999]
t = np.arange(1, steps)
fig, axes = plt.subplots(1, 2, figsize=(7, 2.25), layout="constrained")
for lam, color in zip(lams, style.sequence("lam", len(lams)), strict=True):
    rms = np.cumsum((t - 1.0) ** 2 * lam ** (2.0 * (t - 2))) ** 0.5  # sum over past inputs, below
    memory = f"memory {1 / (1 - lam):,.0f}"
    axes[0].semilogx(t, lam**t, color=color)
    axes[0].annotate(rf"$\lambda = {lam}$", (0.6 / (1 - lam), 0.45), ha="right", color=color)
    axes[1].loglog(t[1:], rms[1:], color=color)
    axes[1].annotate(memory, (steps, rms[-1] * 1.5), ha="right", color=color)
axes[0].set(xlabel="steps between, $t - s$", xlim=(0.8, steps))
axes[0].set_title(r"$\mathrm{d} h_t / \mathrm{d} h_s = \lambda^{t-s}$")
axes[1].set(xlabel="time $t$", ylim=(0.7, 1e5))
axes[1].set_title(r"rms of $\mathrm{d} h_t / \mathrm{d} \lambda$");

# %% [markdown]
# A unit that remembers ten times as long is about thirty times as sensitive to its own parameter, although no product
# of Jacobians exceeds 1. Keeping these products from vanishing and exploding is therefore not the whole problem.

# %% [markdown]
# ## A gradient is a sum over time of products over time
# A recurrent network updates its state, and a loss judges the state at each step:
#
# $$h_{t} = f_\vartheta(h_{t-1}, x_{t}), \qquad L = \sum_t L_t(h_t).$$
#
# The parameters $\vartheta$ act at every step. Their effect at step $s$ reaches step $t$ through all steps between:
#
# $$\frac{\mathrm{d} L}{\mathrm{d} \vartheta} = \sum_t \frac{\partial L_t}{\partial h_t} \sum_{s \le t}
# \left( \prod_{r = s+1}^{t} \frac{\partial h_r}{\partial h_{r-1}} \right) \frac{\partial h_s}{\partial \vartheta} .$$
#
# The last factor is the effect of $\vartheta$ at step $s$ alone, with $h_{s-1}$ held fixed. The product has $t - s$
# factors, the latest ($r = t$) on the left. If each factor shrinks vectors, the influence of the past vanishes, and its
# gradient with it. If each stretches them, both grow exponentially.

# %% [markdown]
# ## The product on a real network
# A `torch.nn.RNN` with 64 units computes $h_t = \tanh(W h_{t-1} + U x_t)$. Its Jacobian at one step is
# $\mathrm{diag}(1 - h_t^2) \, W$, so the states alone determine the product. We scale $W$ to a given spectral radius,
# the largest modulus of its eigenvalues.


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
# Does back-propagation compute the same? We compare with the $\mathrm{d} h_{20} / \mathrm{d} h_0$ of automatic
# differentiation:

# %%
torch.manual_seed(0)
x, h0 = torch.randn(20, 1, dtype=torch.float64), torch.zeros(1, 64, dtype=torch.float64)
rnn = network(radius=2.0)
by_autograd = torch.autograd.functional.jacobian(lambda h: rnn(x, h)[1], h0).squeeze()
difference = (jacobian_products(rnn, x)[-1] - by_autograd).abs().max()
print(f"largest entry {by_autograd.abs().max():.3f}, largest difference {difference:.1e}")

# %% [markdown]
# Over 200 steps, small inputs keep the states small and the tanh nearly linear, so the spectral radius sets the
# outcome. Larger inputs make the states larger and most factors $1 - h^2$ smaller. At radius 2 the states grow by
# themselves until the tanh saturates; from then on the product grows much more slowly than $2^t$.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Below radius 1 the product vanishes, above it explodes. Norm of the Jacobian product of a tanh network with 64 units. Solid: inputs of standard deviation 0.01; dashed: 1.", "name": "fig-jacobian"}, "image": {"alt": "Spectral norm of dh_t/dh_0 against t on a logarithmic axis, for recurrent matrices of spectral radius 0.8, 1 and 2, each for small and for large inputs. Radius 0.8 decays exponentially over about twenty decades, radius 1 stays between 1 and 5 for small inputs and decays slowly for large ones, radius 2 grows by ten to twelve decades, fastest in the first steps."}}
radii = [0.8, 1.0, 2.0]
noise = torch.randn(200, 1, dtype=torch.float64)
fig, ax = plt.subplots(figsize=(6.4, 2.7), layout="constrained")
for radius, color in zip(radii, style.sequence("lam", len(radii)), strict=True):
    rnn = network(radius)
    for scale, line in [(0.01, "-"), (1.0, "--")]:
        norm = torch.linalg.matrix_norm(jacobian_products(rnn, scale * noise), ord=2)
        ax.semilogy(range(1, 201), norm, color=color, ls=line)
        if scale < 1:
            ax.text(203, norm[-1], f"radius {radius:g}", va="center", color=color)
ax.set(xlabel="steps $t$", ylabel=r"$\|\mathrm{d} h_t / \mathrm{d} h_0\|_2$", xlim=(0, 232))
ax.set_xticks(range(0, 201, 25));

# %% [markdown]
# Exponential decay is the vanishing gradient, exponential growth the exploding one ([Hochreiter 1991, Bengio et al.
# 1994, Pascanu et al. 2013](../../book/bibliography.md)). The cures are known. Clipping stops explosion; gates (LSTM,
# GRU), orthogonal matrices or eigenvalues close to the unit circle slow down vanishing. Deep state-space models go
# furthest: their recurrence is linear and diagonal,
#
# $$h_t = \lambda \odot h_{t-1} + x_t, \qquad \frac{\mathrm{d} h_t}{\mathrm{d} h_s} = \mathrm{diag}(\lambda)^{t-s},$$
#
# and with $|\lambda| < 1$, close to 1, every product is bounded and decays slowly.

# %% [markdown]
# ## Bounded products, growing sums
# After $1/(1 - \lambda)$ steps $\lambda^{t-s}$ is down to about $1/e$; we call this number of steps the *memory length*
# of a unit. But the gradient is a *sum*, here $\mathrm{d}h_t/\mathrm{d}\lambda = \sum_{s \le t} \lambda^{t-s} h_{s-1}$.
# With a longer memory more terms count, and each state $h_{s-1}$ is larger. We run the recurrence on white noise
# (independent inputs of mean 0 and variance 1) and let forward-mode differentiation, `torch.func.jvp`, carry
# $\mathrm{d} h_t / \mathrm{d} \lambda$ along with the state:

# %%
x, final = torch.randn(1, steps, 200, dtype=torch.float64), []
for lam in lams:
    point = torch.full((200,), lam, dtype=torch.float64)  # 200 units, each with a noise of its own
    _, dh = torch.func.jvp(lambda value: linear_scan(value, x), (point,), (torch.ones_like(point),))
    final.append(dh[0, -500:].square().mean().sqrt().item())
print(f"memory of 100 steps instead of 10: {final[1] / final[0]:.1f} times as sensitive")
print(f"memory of 1000 steps instead of 100: {final[2] / final[1]:.1f} times as sensitive")
print(f"10 to the power 3/2: {10**1.5:.1f}")

# %% [markdown]
# The sensitivity grows as the power 3/2 of the memory length: a power law, not an exponential. [The next
# page](02-curse-of-memory.ipynb) derives it. Drag $\lambda$ towards the circle, or move the sliders: the response
# $\lambda^t$ (top right) never exceeds 1, while $\mathrm{E}|\mathrm{d}h/\mathrm{d}\lambda|^2$ grows from 264 at a memory
# of 10 steps to 251,000 at 100. ([One eigenvalue, dragged](../play/02-complex-plane.ipynb) explains the coloured lines.)

# %% tags=["hide-input"]
interactive.complex_plane()

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: the half-life of a gradient
# *Derive. Easy.* In $h_t = \lambda h_{t-1} + x_t$ with $0 < \lambda < 1$, after how many steps has
# $\mathrm{d}h_t / \mathrm{d}h_s$ fallen to one half? Simplify for $\lambda = 1 - \varepsilon$ with small $\varepsilon$.
# How accurate is the simple form at $\lambda = 0.9$?
#
# <details>
# <summary>Solution 1</summary>
#
# $\lambda^n = \frac12$ at $n = \ln 2 / (-\ln \lambda)$. Since
# $-\ln(1 - \varepsilon) = \varepsilon + \varepsilon^2/2 + \dots$, this is about
# $\ln 2 / \varepsilon \approx 0.69 / (1 - \lambda)$. The simple form is too large by a fraction of about
# $\varepsilon / 2$: five per cent at $\lambda = 0.9$.
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
answer = [math.log(2) / -math.log(0.9), math.log(2) / 0.1]  # [steps at 0.9, by the simple form]
assert abs(0.9 ** answer[0] - 0.5) < 0.01, "after that many steps 0.9^t is not one half"
assert abs(answer[1] - 6.93) < 0.05, "the simple form is off: expand the logarithm to first order"

# %% [markdown]
# ### Exercise 2: the largest sensitivity that bounded inputs allow
# *Derive. Easy.* Let $|x_t| \le 1$ for all $t$ and $0 < \lambda < 1$, and let the unit have run forever. Show that
# $|\mathrm{d}h_t / \mathrm{d}\lambda| \le 1 / (1 - \lambda)^2$. Which inputs reach the bound? How does it compare with
# the power 3/2 of the memory length that white noise gave above?
#
# <details>
# <summary>Solution 2</summary>
#
# $h_t = \sum_i \lambda^i x_{t-i}$, so $\mathrm{d}h_t / \mathrm{d}\lambda = \sum_i i \lambda^{i-1} x_{t-i}$, and
# $\sum_i i \lambda^{i-1} = 1 / (1-\lambda)^2$ bounds it. To reach the bound, all terms must have the same sign and full
# size: constant inputs $x_t = 1$, or $x_t = -1$. Terms of one sign add up to the power 2 of the memory length. Terms of
# random sign partly cancel, which leaves the power 3/2.
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
answer = torch.ones(4000)  # inputs that reach the bound at 0.9, the last one newest
assert answer.abs().max() <= 1, "an input is larger than 1"
share = sum(i * 0.9 ** (i - 1) * answer[-1 - i].item() for i in range(400)) / 100
assert abs(share) > 0.999, "these inputs stay below the bound"

# %% [markdown]
# ### Exercise 3: an orthogonal recurrent matrix
# *Predict, then run. Medium.* Replace $W$ by an orthogonal matrix, all of whose eigenvalues have modulus 1. What will
# the norm of $\mathrm{d}h_t / \mathrm{d}h_0$ do over 200 steps, for inputs of standard deviation 0.01 and 1? Can it
# exceed 1? Then run `jacobian_products` on such a network. (The first factor of a QR decomposition, `torch.linalg.qr`,
# is orthogonal.)
#
# <details>
# <summary>Solution 3</summary>
#
# Each factor $\mathrm{diag}(1 - h_t^2) \, W$ has norm at most 1, because $0 < 1 - h_t^2 \le 1$ and $W$ preserves
# lengths. So the product never exceeds 1. A spectral radius of 1 alone does not guarantee this: in the figure that
# curve rises to 4. The product decays once the states are not small: exponentially with large inputs, slowly with small
# ones, because an orthogonal network forgets nothing and its state grows until the tanh saturates.
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
answer = [norms[0.01][-1].item(), norms[1.0][-1].item()]  # norms at t = 200, inputs 0.01 and 1
assert max(answer) <= 1, "a norm above 1: is the matrix orthogonal?"
assert answer[0] > 0.5, "small inputs leave tanh nearly linear: what does W alone do to a norm?"
assert answer[1] < 1e-3, "at inputs of 1 the derivative of tanh is below 1 at each step"

# %% [markdown]
# ### Exercise 4: small eigenvalues, large products
# *Break it. Hard.* "All eigenvalues of $W$ have modulus 0.9, so the product of the linear network's Jacobians shrinks."
# Find a 2 by 2 matrix for which it first grows more than a thousandfold. After how many steps is it largest?
#
# <details>
# <summary>Solution 4</summary>
#
# Take $W = \begin{pmatrix} \lambda & c \\ 0 & \lambda \end{pmatrix}$ with $\lambda = 0.9$. Then
# $W^t = \begin{pmatrix} \lambda^t & c\, t \lambda^{t-1} \\ 0 & \lambda^t \end{pmatrix}$. The corner grows until
# $t \approx -1/\ln\lambda \approx 1/(1-\lambda)$, about ten steps, to $c\, t\lambda^{t-1} \approx 3.9\, c$, more than a
# thousand for $c \ge 260$. Eigenvalues decide how a product ends. What happens before depends on the eigenvectors; this
# matrix has only one, $(1, 0)^\top$, and no eigenbasis. This book is about the factor $t \lambda^{t-1}$: on [the next
# page](02-curse-of-memory.ipynb) it is a sensitivity, without any matrix.
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
answer = W  # your matrix
assert torch.linalg.eigvals(answer).abs().max() < 0.91, "an eigenvalue has a modulus above 0.9"
largest = max(torch.linalg.matrix_norm(torch.linalg.matrix_power(answer, t), 2) for t in range(300))
assert largest > 1000, "its powers never have a norm above 1,000"
