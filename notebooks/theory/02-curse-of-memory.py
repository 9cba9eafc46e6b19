# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The curse of memory
#
# **You will see** why a state with a long memory is sensitive to small changes of its parameter, and how sensitive: in
# closed form, in simulations and for correlated inputs. **You need** [vanishing and exploding
# gradients](01-vanishing-and-exploding.ipynb) and geometric series. **Time** under a minute on a CPU.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Old inputs fade from the state but dominate its derivative. Weight of the input i steps back, in the state of one linear unit (left) and in its derivative with respect to the eigenvalue (right).", "name": "fig-weights"}, "image": {"alt": "Left: lambda to the power i decays from 1 over the memory length. Right: i times lambda to the power i minus 1 rises to a maximum near the memory length and then decays; the maximum is about 4 for lambda 0.9, 19 for 0.98 and 37 for 0.99."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import linear_scan, theory
from rnnlib.lab import style

style.use()
i, lams = np.arange(400), [0.9, 0.98, 0.99]
fig, axes = plt.subplots(1, 2, figsize=(7, 2.25), layout="constrained")
for lam, color in zip(lams, style.sequence("lam", len(lams)), strict=True):
    weights = i * lam ** (i - 1.0)
    axes[0].plot(i, lam**i, color=color)
    axes[1].plot(i, weights, color=color)
    peak = weights.argmax()
    axes[1].text(1.3 * peak + 8, weights[peak], rf"$\lambda = {lam}$", color=color)
axes[0].set(xlabel="steps back, $i$", title=r"in the state: $\lambda^i$")
axes[1].set(xlabel="steps back, $i$", title=r"in its derivative: $i \lambda^{i-1}$");

# %% [markdown]
# The variance of the state grows in proportion to the memory length, the second moment of its derivative as its *third
# power*. For white inputs of variance 1 and $\varepsilon = 1-\lambda$, one over the memory length,
#
# $$\mathrm{E}\, h^2 \simeq \tfrac12 \, \varepsilon^{-1}, \qquad
# \mathrm{E}\,(\mathrm{d}_\lambda h)^2 \simeq \tfrac14 \, \varepsilon^{-3} .$$

# %% [markdown]
# ## Why: the parameter acts at every step of the past
# One linear unit, $h_t = \lambda h_{t-1} + x_t$, unrolls to a weighted sum of its past inputs, and so does its
# derivative:
#
# $$h_t = \sum_{i \ge 0} \lambda^i \, x_{t-i}, \qquad
# \frac{\mathrm{d} h_t}{\mathrm{d} \lambda} = \sum_{i \ge 0} i \lambda^{i-1} x_{t-i} .$$
#
# The weight $\lambda^i$ of an input $i$ steps old decays over the memory length $1/(1-\lambda)$. In the *derivative*
# the same input weighs $i / \lambda$ times as much: it was multiplied $i$ times by $\lambda$, and a change of $\lambda$
# affects each multiplication.
#
# ## White inputs
# Let the $x_t$ be uncorrelated with mean 0 and variance 1. Then the variances of the terms add, and the geometric
# series and its derivatives give
#
# $$\mathrm{E}\, h^2 = \sum_i \lambda^{2i} = \frac{1}{1-\lambda^2}, \qquad
# \mathrm{E}\left(\frac{\mathrm{d}h}{\mathrm{d}\lambda}\right)^2 = \sum_i i^2 \lambda^{2i-2} =
# \frac{1+\lambda^2}{(1-\lambda^2)^3} .$$
#
# As $\lambda \to 1$, $1 - \lambda^2 \simeq 2\varepsilon$ turns these into the powers 1 and 3 above: power laws, not
# exponentials. The sums, truncated at 20,000 terms, give the same numbers:

# %%
lam, i = 0.99, np.arange(20_000.0)
state, sensitivity = np.sum(lam ** (2 * i)), np.sum(i**2 * lam ** (2 * i - 2))
print(f"state        sum {state:12.4f}   formula {theory.state_variance(lam, 0):12.4f}")
print(f"sensitivity  sum {sensitivity:12.1f}   formula {theory.sensitivity(lam, 0):12.1f}")

# %% [markdown]
# ## Correlated inputs
# Inputs that resemble their predecessors add up coherently, which makes both moments larger. Let
# $\mathrm{E}\, x_t x_{t-D} = R(D)$ be any autocorrelation that depends on the lag alone. For two units with decay
# factors $a$ and $b$ on the same input let $F(a, b) = \mathrm{E}[h^{(a)} h^{(b)}]$. Group the pairs $(i, j)$ by $i - j$;
# each group is a geometric series in $ab$:
#
# $$F(a, b) = \sum_{i,j \ge 0} a^i b^j R(i-j) = \frac{1}{1-ab} \Big[ R(0) + \sum_{D \ge 1} (a^D + b^D) R(D) \Big] .$$
#
# All second moments follow from this one function. Inputs are real, so the conjugate of $h^{(\lambda)}$ is
# $h^{(\bar\lambda)}$, and the second moment of the state is $F(\lambda, \bar\lambda)$. For the sensitivity, differentiate
# by $a$ and by $b$ before setting $a = \lambda$, $b = \bar\lambda$:
#
# $$\mathrm{E}\left|\frac{\mathrm{d}h}{\mathrm{d}\lambda}\right|^2 = S(\lambda, \bar\lambda), \qquad
# S(a, b) = \frac{\partial^2 F}{\partial a \, \partial b} .$$
#
# For $R(D) = \rho^{|D|}$ the sum over $D$ is geometric too,
#
# $$F(a,b) = \frac{1 - \rho^2 ab}{(1-ab)(1-\rho a)(1-\rho b)} ,$$
#
# and two derivatives of it give, for real $\lambda$,
#
# $$\mathrm{E}\,(\mathrm{d}_\lambda h)^2 = \frac{(1+\lambda^2)(1-\lambda^2\rho^2) +
# 2(1-\lambda^2)\lambda\rho}{(1-\lambda^2)^3 (1-\lambda\rho)^2} .$$
#
# <details>
# <summary>The closed form for any a and b</summary>
#
# $$S(a, b) = \frac{\begin{gathered} (1 - \rho^2)(1 + ab) + \rho^2 (1 - ab)^3 \\
# {} + \rho (1 - \rho^2) \, ab \, (\rho ab (1 + ab) - 2a - 2b) \end{gathered}}
# {(1 - ab)^3 (1 - \rho a)^2 (1 - \rho b)^2} .$$
#
# [The proofs](../../book/proofs.md#moments) have the algebra. The paper prints this closed form with an error; the
# [page on erratum 1](../../book/cross-moment.md) shows the evidence.
#
# </details>
#
# Automatic differentiation of $F$ agrees with the closed form of $S$ in `rnnlib.theory`:

# %% tags=["hide-input"]
a, b, rho = torch.tensor([0.95, 0.9, 0.99], dtype=torch.float64)
S = torch.func.grad(torch.func.grad(theory.generating_function, argnums=0), argnums=1)(a, b, rho)
print(f"differentiated {S:.6f}   closed form {theory.cross_sensitivity(a, b, rho):.6f}")

# %% [markdown]
# ## A simulation agrees
# Correlated inputs are themselves a diagonal scan: $x_t = \rho x_{t-1} + \sqrt{1-\rho^2}\, \xi_t$ with white $\xi$ has
# $R(D) = \rho^{|D|}$. So `linear_scan` computes inputs and states; its forward-mode derivative gives the sensitivities.
# For each $\lambda$ we run 100 units for 20,000 steps, after a burn-in of 20 memory lengths.


# %%
def simulate(lam, rho, units=100, steps=20_000):
    """Mean squares of the state and of its derivative with respect to lam."""
    burn_in = round(20 / (1 - lam))
    generator = torch.Generator().manual_seed(0)
    xi = torch.randn(1, burn_in + steps, units, generator=generator, dtype=torch.float64)
    x = linear_scan(xi.new_full((units,), rho), (1 - rho**2) ** 0.5 * xi[:, 1:], xi[:, 0])
    point = xi.new_full((units,), lam)
    h, dh = torch.func.jvp(lambda value: linear_scan(value, x), (point,), (torch.ones_like(point),))
    return h[:, burn_in:].square().mean().item(), dh[:, burn_in:].square().mean().item()


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Simulations (dots) lie on the closed forms (lines), for uncorrelated and for correlated inputs. Second moments of the state and of its sensitivity against the memory length.", "name": "fig-simulation"}, "image": {"alt": "Two log-log plots against the memory length from 2 to 100, one line for each input correlation 0, 0.9 and 0.99. Dots from simulations lie on the lines of the closed forms, for the variance of the state and for the second moment of its sensitivity; the latter is less than a decade higher at memory 2 and almost four decades at 100."}}
rhos, memory = [0.0, 0.9, 0.99], np.array([2, 5, 10, 20, 50, 100])
moments = [theory.state_variance, theory.sensitivity]
line = np.logspace(np.log10(2), 2, 100)
fig, axes = plt.subplots(1, 2, figsize=(7, 2), layout="constrained")
for rho, color in zip(rhos, style.sequence("rho", len(rhos)), strict=True):
    simulated = np.array([simulate(1 - 1 / m, rho) for m in memory])
    for ax, moment, points in zip(axes, moments, simulated.T, strict=True):
        ax.loglog(line, moment(1 - 1 / line, rho), color=color)
        ax.loglog(memory, points, "o", ms=4, color=color)
    axes[0].text(115, simulated[-1, 0], rf"$\rho = {rho:g}$", va="center", color=color)
axes[0].set(title=r"$\mathrm{E}\, h^2$", xlim=(1.7, 330))
axes[1].set(title=r"$\mathrm{E}\,(\mathrm{d}_\lambda h)^2$")
for ax in axes:
    ax.set(xlabel=r"memory length $1/(1-\lambda)$", xticks=[10, 100])
fig;

# %% [markdown]
# ## The two regimes
# Let $\lambda \to 1$ with $\varepsilon = 1 - \lambda$. For $\rho < 1$ the numerator tends to $2(1-\rho^2)$ and the
# denominator to $(2\varepsilon)^3(1-\rho)^2$. At $\rho = 1$ the numerator is $(1-\lambda^2)(1+\lambda)^2$. So
#
# $$\mathrm{E}\,(\mathrm{d}_\lambda h)^2 \simeq \frac{1+\rho}{4(1-\rho)} \, \varepsilon^{-3} \quad (\rho < 1), \qquad
# \mathrm{E}\,(\mathrm{d}_\lambda h)^2 = \varepsilon^{-4} \quad (\rho = 1).$$
#
# If the inputs stay correlated for longer than the unit remembers ($1 - \rho \ll \varepsilon$), they are as good as
# constant, and the power is 4. If the unit remembers for longer, it is 3. [Figure
# 1](../figures/fig01.ipynb) shows both powers, and what they do to a loss. In [one eigenvalue,
# dragged](../play/02-complex-plane.ipynb) you move $\lambda$ and $\rho$ yourself and watch both moments.
#
# **Any other autocorrelation.** `theory.cross_sensitivity_of` takes any $R$. We compare it with the plain sum over all
# pairs of lags, for an $R$ with two time scales:

# %% tags=["hide-input"]
lag, lam = np.arange(1500), 0.95
R = 0.6 * 0.99**lag + 0.4 * 0.5**lag
weight = lag * lam ** (lag - 1.0)
pairs = weight @ R[np.abs(lag[:, None] - lag[None, :])] @ weight
print(f"all pairs {pairs:.3f}   closed form {theory.cross_sensitivity_of(R, lam, lam):.3f}")

# %% [markdown]
# The moments suggest two remedies: [normalisation and reparametrisation](03-normalisation-and-reparametrisation.ipynb).

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: which input matters most?
# *Derive. Easy.* The weight of the input $i$ steps back in $\mathrm{d}h_t / \mathrm{d}\lambda$ is $i \lambda^{i-1}$.
# For which $i$ is it largest, and how large, if $\lambda = 1 - \varepsilon$ is close to 1? Compare with the first
# figure of this page.
#
# <details>
# <summary>Solution 1</summary>
#
# The logarithm $\ln i + (i - 1) \ln \lambda$ has derivative zero at $i = -1/\ln\lambda \approx 1/\varepsilon$: the
# input one memory length back. Its weight there is about $\frac{1}{\varepsilon} e^{-1}$, so 37 at $\lambda = 0.99$. The
# newest input does not matter at all ($i = 0$).
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
for lam in [0.9, 0.99, 0.999]:
    i = np.arange(20_000)
    weight = i * lam ** (i - 1.0)
    estimate = 1 / (np.e * (1 - lam))
    print(f"lambda = {lam}: largest weight {weight.max():.1f} at i = {weight.argmax()}, "
          f"estimate {estimate:.1f} at {1 / (1 - lam):.0f}")
    assert abs(weight.argmax() - 1 / (1 - lam)) < 1.5
    assert abs(weight.max() / estimate - 1) < 0.6 * (1 - lam)
answer = [100, 36.8]  # [i, the weight there] at lambda = 0.99
largest = max(i * 0.99 ** (i - 1) for i in range(1000))
assert answer[0] * 0.99 ** (answer[0] - 1) > 0.999 * largest, "the weight is larger at another i"
assert abs(answer[1] / largest - 1) < 0.01, "the largest weight is another one"

# %% [markdown]
# ### Exercise 2: inputs that alternate
# *Predict, then run. Medium.* Nothing in the derivation needed $\rho \ge 0$. Let $\rho = -0.9$, so that consecutive
# inputs tend to have opposite signs. Does the sensitivity still grow as $\varepsilon^{-3}$ for $\lambda \to 1$? With
# which constant? For which $\lambda$ is it as large as it is for $\rho = 0.9$ and $\lambda = 0.99$? Check the first
# answer with `simulate` too.
#
# <details>
# <summary>Solution 2</summary>
#
# The limit only needs $|\rho| < 1$. So the power is still 3, and the constant $\frac{1+\rho}{4(1-\rho)}$ falls to
# $\frac{0.1}{7.6} \approx 0.013$, nineteen times less than for white inputs, because consecutive terms nearly cancel.
# Changing the signs of $\rho$ and $\lambda$ together changes neither $\rho\lambda$ nor $\lambda^2$, hence not the
# formula either. So $\lambda = -0.99$ answers the last question: a unit that alternates with its input. By the limit,
# so does a positive $\lambda$ with far more memory, $\varepsilon \approx (0.0132 / 4.74 \cdot 10^6)^{1/3} = 0.0014$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
for eps in [1e-2, 1e-4, 1e-6]:
    print(f"eps = {eps}: eps^3 E(dh)^2 = {eps**3 * theory.sensitivity(1 - eps, -0.9):.5f}")
assert abs(eps**3 * theory.sensitivity(1 - eps, -0.9) - 0.1 / 7.6) < 1e-4
target = theory.sensitivity(0.99, 0.9)
assert np.isclose(theory.sensitivity(-0.99, -0.9), target)
eps = (0.1 / 7.6 / target) ** (1 / 3)
print(f"as large as {target:.3g}: at lambda = -0.99 and at 1 - {eps:.5f}")
assert np.isclose(theory.sensitivity(1 - eps, -0.9), target, rtol=1e-2)
_, simulated = simulate(0.95, -0.9)
print(f"lambda = 0.95: simulated {simulated:.2f}, formula {theory.sensitivity(0.95, -0.9):.2f}")
assert abs(simulated / theory.sensitivity(0.95, -0.9) - 1) < 0.05
answer = [0.1 / 7.6, -0.99]  # [the constant, a lambda at which it is as large]
limit = 1e-18 * theory.sensitivity(1 - 1e-6, -0.9)
assert abs(limit / answer[0] - 1) < 0.01, "the constant: put rho = -0.9 into the formula's limit"
ratio = theory.sensitivity(answer[1], -0.9) / theory.sensitivity(0.99, 0.9)
assert abs(ratio - 1) < 0.02, f"at this lambda it is {ratio:.3g} times as large"

# %% [markdown]
# ### Exercise 3: sequences that are too short
# *Break it. Medium.* All formulas here assume that the unit has run forever. Start it at $h_0 = 0$ instead, with white
# inputs. Which fraction of its final value has each moment reached after $T$ steps, when $T$ is one memory length?
# After how many memory lengths is each within a tenth of it?
#
# <details>
# <summary>Solution 3</summary>
#
# The sums stop at $i < T$. With $T = u / \varepsilon$ and small $\varepsilon$ they are integrals:
# $\sum_{i<T} \lambda^{2i}$ reaches a share $1 - e^{-2u}$ of its limit, $\sum_{i<T} i^2\lambda^{2i-2}$ a share
# $1 - e^{-2u}(1 + 2u + 2u^2)$. At $u = 1$ these are 86% and 32%. Nine tenths need $u = 1.15$ and $u = 2.66$. The
# sensitivity depends on older inputs, so short sequences affect it first.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
lam = 0.999
i = np.arange(20_000.0)
for name, terms, at_one, nine_tenths in [
    ("state", lam ** (2 * i), 0.865, 1.151),
    ("sensitivity", i**2 * lam ** (2 * i - 2), 0.323, 2.661),
]:
    fraction = terms.cumsum() / terms.sum()
    needed = np.argmax(fraction > 0.9) * (1 - lam)
    print(f"{name:12} {fraction[999]:.1%} after one memory length, 90% after {needed:.2f} of them")
    assert abs(fraction[999] - at_one) < 0.002 and abs(needed - nine_tenths) < 0.005
answer = [0.865, 0.323, 1.15, 2.66]  # shares of state, sensitivity; lengths to nine tenths
assert abs(answer[0] - 0.865) < 0.01, "the state's share after one memory length"
assert abs(answer[1] - 0.323) < 0.01, "the sensitivity's share: mind the factor i^2"
assert abs(answer[2] - 1.15) < 0.02, "the state's nine tenths"
assert abs(answer[3] - 2.66) < 0.03, "the sensitivity's nine tenths"

# %% [markdown]
# ### Exercise 4: between the two regimes
# *Derive. Hard.* Let $\lambda = 1 - \varepsilon$ and $\rho = 1 - c\,\varepsilon$ with $c$ fixed: the inputs stay
# correlated $1/c$ times as long as the unit remembers. Show that
# $\varepsilon^4 \, \mathrm{E}(\mathrm{d}_\lambda h)^2 \to \dfrac{2 + c}{2 (1 + c)^2}$ as $\varepsilon \to 0$, and that
# the two laws above are its limits for $c \to 0$ and for large $c$.
#
# <details>
# <summary>Solution 4</summary>
#
# To leading order $1 - \lambda^2 = 2\varepsilon$, $1 - \lambda\rho = (1 + c)\varepsilon$ and
# $1 - \lambda^2\rho^2 = 2(1+c)\varepsilon$. The numerator of the real formula is
# $2 \cdot 2(1+c)\varepsilon + 2 \cdot 2\varepsilon = 4(2 + c)\varepsilon$, the denominator
# $8\varepsilon^3 (1+c)^2 \varepsilon^2$. At $c = 0$ the ratio is $\varepsilon^{-4}$, the law for $\rho = 1$. For large
# $c$ it tends to $\frac{1}{2c}\varepsilon^{-4} = \frac{1}{2(1-\rho)}\varepsilon^{-3}$, the law for $\rho < 1$ with
# $1 + \rho \approx 2$. The transition is at $c$ of order 1, that is $1 - \rho \sim 1 - \lambda$; the two laws cross at
# $c = \frac12$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 4
eps = 1e-5
for c in [0, 0.1, 1, 10]:
    value, law = eps**4 * theory.sensitivity(1 - eps, 1 - c * eps), (2 + c) / (2 * (1 + c) ** 2)
    print(f"c = {c:<4} eps^4 E(dh)^2 = {value:.4f}, law {law:.4f}")
    assert abs(value / law - 1) < 1e-3
answer = [(2 + c) / (2 * (1 + c) ** 2) for c in (0, 1, 10)]  # the limit for c = 0, 1 and 10
limits = [1e-20 * theory.sensitivity(1 - 1e-5, 1 - c * 1e-5) for c in (0, 1, 10)]
off = [c for c, a, b in zip((0, 1, 10), answer, limits, strict=True) if abs(a / b - 1) > 0.01]
assert not off, f"the limit is another one at c = {off}"
