# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Normalisation and reparametrisation
#
# **You will see** the input scale that removes one of the curse's three powers, the change of variable that removes the
# other two, and why the angle is harder than the modulus. **You need** [the curse of memory](02-curse-of-memory.ipynb).
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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "An exponential tames the modulus; only the optimal parametrisation tames the angle. Curvature of the loss at the optimum against memory, with scaled inputs, at the angle pi/100; dotted: 1/4.", "name": "fig-curvatures"}, "image": {"alt": "Two log-log plots of curvature against the memory length. Modulus: the polar parametrisation grows with slope 2, exponential levels off at one quarter, optimal stays at 1. Angle: polar and exponential both grow with slope 2, optimal stays at 1."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import theory
from rnnlib.lab import interactive, style
from rnnlib.parametrization import EXPONENTIAL, OPTIMAL, POLAR

style.use()
memory, angle = np.logspace(0.3, 4, 40), np.pi / 100
nu = 1 - 1 / memory
along_nu, along_theta = theory.one_dimensional_curvature(nu, normalized=True)
curvatures = {  # by the chain rule: times the square of d nu / d omega, of d theta / d omega
    "polar": (along_nu, along_theta),
    "exponential": (along_nu * (nu * np.log(nu)) ** 2, along_theta * angle**2),
    "optimal": (np.ones_like(nu), np.ones_like(nu)),
}
fig, axes = plt.subplots(1, 2, figsize=(7, 2.25), sharey=True, layout="constrained")
left = {"polar": (300, 3e5), "exponential": (300, 0.02), "optimal": (300, 2)}  # where labels stand
right = {"polar": (60, 3e5), "exponential": (600, 10), "optimal": (600, 0.1)}
for name, curves in curvatures.items():
    for ax, values, place in zip(axes, curves, (left[name], right[name]), strict=True):
        ax.loglog(memory, values, color=style.COLORS[name])
        ax.text(*place, name, ha="right" if name == "polar" else "left", color=style.COLORS[name])
for ax, title in zip(axes, ["modulus", "angle"], strict=True):
    ax.set(title=title, xlabel=r"memory length $1/(1-\nu)$")
axes[0].axhline(0.25, color="0.6", ls=":", lw=1)
axes[0].set_ylabel("curvature at the optimum");

# %% [markdown]
# With scaled inputs and $\lambda = e^{-e^\omega}$ the curvature along the modulus levels off at 1/4. Along the angle it
# grows with the square of the memory, unless its parametrisation depends on the modulus.

# %% [markdown]
# ## Normalisation: scale the input
# With white inputs the state has variance $1/(1-|\lambda|^2)$. So drive the unit with $\gamma x_t$ instead,
#
# $$h_t = \lambda h_{t-1} + \gamma x_t, \qquad \gamma(\lambda) = \sqrt{1-|\lambda|^2} ,$$
#
# and the variance is 1 for every $\lambda$. With correlated inputs it is $(1+\rho\lambda)/(1-\rho\lambda)$, at most
# $(1+\rho)/(1-\rho)$.
#
# The same scale removes one power of $\varepsilon = 1-\lambda$ from the second moment of the sensitivity. Two remain:
# for white inputs and with $\gamma$ held constant,
#
# $$\mathrm{E}(\mathrm{d}_\lambda h)^2 = \frac{1+\lambda^2}{(1-\lambda^2)^2} .$$
#
# ## Reparametrisation: let the optimiser move in other units
# Let the optimiser train $\omega$, with $\lambda = \lambda(\omega)$. The chain rule multiplies a sensitivity by
# $\lambda'(\omega)$. At a minimum, where first derivatives of the loss vanish, it multiplies a curvature by
# $\lambda'(\omega)^2$. So we can *choose* the curvature: pick the $\lambda(\omega)$ that makes it the same for every
# teacher.
#
# The curvature to cancel is that of a teacher-student task. A student unit imitates a teacher unit; both are normalised
# and see white inputs. Each state has variance 1, and
# $\mathrm{E}[\bar h h^*] = \gamma\gamma^* F(\bar\lambda, \lambda^*)$ with $F(a, b) = 1/(1 - ab)$ from the last page, so
#
# $$L = \tfrac12 \mathrm{E}|h - h^*|^2 = 1 - \mathrm{Re}\, \frac{\gamma \gamma^*}{1-\bar\lambda\lambda^*} .$$
#
# With $\lambda = \nu e^{i\theta}$ and $\gamma$ a function of $\lambda$, the second derivatives at the optimum are
#
# $$\frac{\partial^2 L}{\partial \nu^2} = \frac{1}{(1-\nu^2)^2}, \qquad
# \frac{\partial^2 L}{\partial \theta^2} = \frac{\nu^2(1+\nu^2)}{(1-\nu^2)^2}, \qquad
# \frac{\partial^2 L}{\partial \nu \, \partial \theta} = 0 .$$
#
# <details>
# <summary>Derivation</summary>
#
# *Along the modulus*, put $\nu = \tanh\omega$, so that $\gamma = 1/\cosh\omega$. At $\theta = \theta^*$ the fraction is
# $1/(\cosh\omega\cosh\omega^* - \sinh\omega\sinh\omega^*)$ and the loss $1 - 1/\cosh(\omega - \omega^*)$. Its curvature
# at the optimum is 1 in $\omega$, hence $(\mathrm{d}\omega/\mathrm{d}\nu)^2 = (1-\nu^2)^{-2}$ in $\nu$. *Along the
# angle*, with $q = \nu^2$ and $\phi = \theta - \theta^*$,
#
# $$L = 1 - (1-q) \frac{1 - q\cos\phi}{1 - 2q\cos\phi + q^2} = \frac{q(1+q)}{2(1-q)^2} \, \phi^2 + \dots .$$
#
# For unequal moduli $L = 1 - \gamma\gamma^*\,\mathrm{Re}\,(1 - \nu\nu^* e^{i\phi})^{-1}$ is even in $\phi$ too, so the
# mixed derivative vanishes. [The proofs](../../book/proofs.md#normalisation-and-reparametrisation) do without $\tanh$.
#
# </details>


# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show that automatic differentiation gives the same, here and in the first picture", "code_prompt_hide": "Hide it"}
def hessian_at_optimum(parametrization, lam):
    """Hessian (2, 2) of the normalised loss over the raw modulus and angle, by autodiff."""
    lam = torch.tensor(lam, dtype=torch.complex128)
    omega = torch.stack(parametrization.parameters(lam))

    def loss(omega):
        return theory.one_dimensional_loss(
            parametrization.eigenvalues(omega[0], omega[1]), lam, normalized=True
        )

    return torch.func.hessian(loss)(omega).numpy()


nu, theta = 0.95, np.pi / 7
print("automatic differentiation\n", hessian_at_optimum(POLAR, nu * np.exp(1j * theta)).round(6))
closed_form = theory.one_dimensional_curvature(nu, normalized=True)
print("closed form, modulus and angle:", np.round(closed_form, 6))

differences = []  # the same for all curves of the first picture
for parametrization in [POLAR, EXPONENTIAL, OPTIMAL]:
    for m, *closed_form in zip(memory, *curvatures[parametrization.name], strict=True):
        H = hessian_at_optimum(parametrization, (1 - 1 / m) * np.exp(1j * angle))
        differences.append(np.max(np.abs(np.diag(H) / closed_form - 1)))
print(f"largest relative difference in the first picture: {max(differences):.0e}")

# %% [markdown]
# ## The differential equations
# **Modulus.** Curvature 1 in $\omega_\nu$ means $\nu'(\omega_\nu)^2 / (1-\nu^2)^2 = 1$, that is
#
# $$\frac{\mathrm{d}\nu}{\mathrm{d}\omega_\nu} = 1-\nu^2 \qquad\Longrightarrow\qquad \nu = \tanh \omega_\nu .$$
#
# **Angle.** Likewise $\theta'(\omega_\theta)^2 \, \nu^2(1+\nu^2) / (1-\nu^2)^2 = 1$. The right-hand side does not
# contain $\theta$, so with $\nu$ held constant
#
# $$\frac{\mathrm{d}\theta}{\mathrm{d}\omega_\theta} = \frac{1-\nu^2}{\nu\sqrt{1+\nu^2}} \qquad\Longrightarrow\qquad
# \theta = \omega_\theta \, \frac{1-\nu^2}{\nu\sqrt{1+\nu^2}} .$$
#
# The step in $\theta$ has to shrink with $1 - \nu^2$: the angle's parametrisation must depend on the modulus. This pair
# is the *optimal* parametrisation.
#
# "Held constant" means a *stop-gradient*: the angle's formula reads $\nu$, but no gradient flows back through it.
# Otherwise a step of $\omega_\nu$ would change the angle as well, and the modulus would regain a large curvature: at
# $\lambda = 0.999\,e^{0.3i}$ it is 180,000 instead of 1.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show curvatures with and without the stop-gradient", "code_prompt_hide": "Hide them"}
def modulus_curvature_without_stop(lam):
    """Curvature along the raw modulus when gradients do flow from the angle back to the modulus."""
    lam = torch.tensor(lam, dtype=torch.complex128)
    omega_nu, omega_theta = OPTIMAL.parameters(lam)

    def loss(omega_nu):
        nu = OPTIMAL.modulus(omega_nu)
        student = torch.polar(nu, OPTIMAL.angle(omega_theta, nu))
        return theory.one_dimensional_loss(student, lam, normalized=True)

    return torch.func.hessian(loss)(omega_nu).item()


for nu in [0.5, 0.9, 0.99, 0.999]:
    lam = nu * np.exp(0.3j)
    H, flowing = hessian_at_optimum(OPTIMAL, lam), modulus_curvature_without_stop(lam)
    print(f"nu = {nu:<6} modulus {H[0, 0]:.6f}  angle {H[1, 1]:.6f}  no stop: {flowing:.3g}")

# %% [markdown]
# ## What deep state-space models do instead
# The LRU uses $\nu = e^{-e^{\omega_\nu}}$ and $\theta = e^{\omega_\theta}$. For the modulus this is nearly as good: the
# curvature at the optimum is $\left(\frac{\nu \ln \nu}{1-\nu^2}\right)^2$, which tends to $\frac14$. Along the angle
# the curvature is only multiplied by $\theta^2$ and still explodes.

# %% [markdown]
# ## Each remedy alone, and both
# The table gives the powers of the memory length with which two second moments grow, for real $\lambda$: of the state
# and of its sensitivity to the trained parameter ($\omega$ if $\lambda = e^{-e^\omega}$, else $\lambda$; $\gamma$ is
# held constant).
#
# | remedy | state, $\rho < 1$ | sensitivity, $\rho < 1$ | state, $\rho = 1$ | sensitivity, $\rho = 1$ |
# | --- | --- | --- | --- | --- |
# | nothing | 1 | 3 | 2 | 4 |
# | input scale $\gamma$ | 0 | 2 | 1 | 3 |
# | $\lambda = e^{-e^\omega}$ | 1 | 1 | 2 | 2 |
# | both | 0 | 0 | 1 | 1 |
#
# The scale removes one power from both moments, the change of variable two powers from the sensitivity alone. Neither
# is enough by itself, and at $\rho = 1$ both together leave one power.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the table from the closed forms", "code_prompt_hide": "Hide it"}
lam = 1 - np.array([1e-4, 1e-5])  # the table again, from the closed forms
for name, scale, slope in [
    ("nothing", 1, 1),
    ("gamma", 1 - lam**2, 1),
    ("exp(-exp(omega))", 1, lam * np.log(lam)),
    ("both", 1 - lam**2, lam * np.log(lam)),
]:
    powers = []
    for rho in [0.9, 1.0]:
        for moment in [theory.state_variance(lam, rho), slope**2 * theory.sensitivity(lam, rho)]:
            powers.append(np.diff(np.log10(scale * moment)).item())
    print(f"{name:17}", "  ".join(f"{abs(power):.2f}" for power in powers))

# %% [markdown]
# The same holds of curvature. Tick $\gamma$: at any memory exponential and optimal stay at 1 or below, and polar grows.
# Untick it, and all three grow. ([The needle in the landscape](../play/01-landscape.ipynb) asks more.)

# %% tags=["hide-input"]
interactive.landscape()

# %% [markdown]
# Inputs need not be white: in [Figure 2](../figures/fig02.ipynb) correlated inputs raise the plateau and constant ones
# remove it. Far from the optimum, the optimal parametrisation can be the slowest ([Figure 7](../figures/fig07.ipynb)).

# %% [markdown]
# ## Exercises
# From easy to hard. Write your answer down first.

# %% [markdown]
# ### Exercise 1: a loss that is an angle
# *Derive. Easy.* Show from $F(a, b) = 1/(1-ab)$ (white inputs) that the normalised loss is $L = 1 - \mathrm{Re}\,r$,
# where $r$ is the correlation coefficient of student and teacher. Conclude that $0 \le L \le 2$ and that $L = 0$ only
# at $\lambda = \lambda^*$.
#
# <details>
# <summary>Solution 1</summary>
#
# Both states have variance $\gamma^2 F(\lambda, \bar\lambda) = 1$, so
# $\frac12 \mathrm{E}|h - h^*|^2 = 1 - \mathrm{Re}\,\mathrm{E}[\bar h h^*]$ and
# $r = \mathrm{E}[\bar h h^*] = \gamma\gamma^* F(\bar\lambda, \lambda^*) = \gamma\gamma^* / (1 - \bar\lambda\lambda^*)$.
# A correlation coefficient has $|r| \le 1$, hence the bounds. $L = 0$ means $r = 1$, so $h = h^*$ with probability one;
# then the weights $\gamma\lambda^i = \gamma^*(\lambda^*)^i$ agree for all $i$, and $i = 0, 1$ give $\gamma = \gamma^*$,
# $\lambda = \lambda^*$.
#
# </details>

# %% [markdown]
# ### Exercise 2: gates
# *Predict, then run. Medium.* A gate produces its decay factor as $\nu = \sigma(\omega) = 1/(1 + e^{-\omega})$. What is
# the curvature at the optimum along $\omega$, with $\gamma$ and white inputs? Does it stay bounded as $\nu \to 1$? Is
# $\sigma$ closer to the optimal parametrisation or to the LRU's?
#
# <details>
# <summary>Solution 2</summary>
#
# $\mathrm{d}\nu/\mathrm{d}\omega = \nu(1-\nu)$, so the curvature is $\nu^2(1-\nu)^2 / (1-\nu^2)^2 = \nu^2/(1+\nu)^2$,
# which tends to $\frac14$ like the LRU's. Both moduli approach 1 as $1 - e^{-|\omega|}$, up to the sign of $\omega$.
# The tanh approaches it at twice the rate, $1 - 2e^{-2\omega}$, hence its four times larger curvature. A sigmoid gate
# with the right input scale is already well parametrised.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 2
for nu in [0.5, 0.9, 0.999]:
    star = torch.tensor(nu, dtype=torch.float64)

    def gated_loss(omega, star=star):
        return theory.one_dimensional_loss(torch.sigmoid(omega), star, normalized=True)

    curvature = torch.func.hessian(gated_loss)(torch.logit(star)).item()
    print(f"nu = {nu}: sigmoid {curvature:.4f}, LRU {(nu * np.log(nu) / (1 - nu**2)) ** 2:.4f}")
    assert np.isclose(curvature, nu**2 / (1 + nu) ** 2)
answer = [nu**2 / (1 + nu) ** 2 for nu in (0.5, 0.9, 0.999)]  # curvature at nu = 0.5, 0.9, 0.999
ratios = [a * (1 + nu) ** 2 / nu**2 for a, nu in zip(answer, (0.5, 0.9, 0.999), strict=True)]
assert max(ratios) < 1.02, "too large: d nu / d omega = nu (1 - nu) enters squared"
assert min(ratios) > 0.98, "too small: is gamma in the loss?"

# %% [markdown]
# ### Exercise 3: a scale that knows the inputs
# *Derive. Medium.* Inputs have the correlation $\rho$, and $\lambda$ is real. Which $\gamma(\lambda, \rho)$ makes the
# variance 1 for all $\lambda$? With this scale, held constant, and $\lambda = e^{-e^\omega}$, what is the limit of
# $\mathrm{E}(\mathrm{d}_\omega h)^2$ as $\lambda \to 1$, for $\rho < 1$ and for $\rho = 1$?
#
# <details>
# <summary>Solution 3</summary>
#
# $\gamma^2 = 1/\mathrm{E}h^2 = (1-\lambda^2)(1-\rho\lambda)/(1+\rho\lambda)$. For $\rho < 1$ and $\lambda \to 1$ this
# is $2\varepsilon \frac{1-\rho}{1+\rho}$. Its product with the bare sensitivity
# $\frac{1+\rho}{4(1-\rho)}\varepsilon^{-3}$ and with $(\lambda\ln\lambda)^2 \approx \varepsilon^2$ is $\frac12$ for
# every $\rho < 1$. At $\rho = 1$, $\gamma^2 = \varepsilon^2$ exactly and
# $\varepsilon^2 \cdot \varepsilon^2 \cdot \varepsilon^{-4} = 1$. So a scale that knows the inputs removes what the
# scale for white inputs leaves in [Figure 2](../figures/fig02.ipynb): higher plateaus for $\rho < 1$, growth for
# $\rho = 1$.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 3
lam = 1 - 1e-6
for rho, limit in [(0, 0.5), (0.9, 0.5), (0.99, 0.5), (1, 1.0)]:
    gamma2 = 1 / theory.state_variance(lam, rho)
    moment = gamma2 * (lam * np.log(lam)) ** 2 * theory.sensitivity(lam, rho)
    print(f"rho = {rho}: {moment:.4f}")
    assert abs(moment / limit - 1) < 1e-3
answer = [0.5, 1.0]  # the limits for rho < 1 and for rho = 1
assert abs(answer[0] - 0.5) < 0.01, "rho < 1: divide the sensitivity by the variance"
assert abs(answer[1] - 1) < 0.01, "rho = 1: which powers have variance and sensitivity there?"

# %% [markdown]
# ### Exercise 4: reparametrisation alone
# *Break it. Hard.* Remove $\gamma$ and keep $\nu = \tanh\omega$. With which power of the memory length does the
# curvature at the optimum now grow? Find the differential equation of a parametrisation that would bound the curvature
# without $\gamma$. How fast does its $\nu(\omega)$ approach 1?
#
# <details>
# <summary>Solution 4</summary>
#
# Without $\gamma$, along the modulus
# $L = \frac12\big[\frac{1}{1-\nu^2} + \frac{1}{1-\nu^{*2}}\big] - \frac{1}{1-\nu\nu^*}$. Its second derivative in $\nu$
# at $\nu = \nu^*$ is $\frac{1 + 3\nu^2}{(1-\nu^2)^3} - \frac{2\nu^2}{(1-\nu^2)^3} = \frac{1+\nu^2}{(1-\nu^2)^3}$. Times
# $(1-\nu^2)^2$ it is $(1+\nu^2)/(1-\nu^2) \approx 1/\varepsilon$: one power of the memory length is back. Curvature 1
# requires $\mathrm{d}\nu/\mathrm{d}\omega = (1-\nu^2)^{3/2} / \sqrt{1+\nu^2}$. Near 1 this reads
# $\mathrm{d}\varepsilon/\mathrm{d}\omega = -2\varepsilon^{3/2}$, solved by $\varepsilon = 1/\omega^2$. So such a
# parametrisation exists, but $\nu$ approaches 1 as a power of $\omega$ instead of exponentially: a memory of a million
# steps needs $\omega = 1000$ instead of 7.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 4
for eps in [1e-2, 1e-3, 1e-4]:
    star = torch.tensor(1 - eps, dtype=torch.float64)

    def plain_loss(omega, star=star):
        return theory.one_dimensional_loss(torch.tanh(omega), star)

    curvature = torch.func.hessian(plain_loss)(torch.atanh(star)).item()
    print(f"eps = {eps}: curvature {curvature:.1f}, times eps {curvature * eps:.3f}")
    assert abs(curvature * eps - 1) < eps

eps = np.geomspace(1e-6, 1, 20_001)  # omega(nu) is the integral of the square root of the curvature
root = np.sqrt((1 + (1 - eps) ** 2) / (eps * (2 - eps)) ** 3)
omega = np.trapezoid(root, eps)
print(f"1 - nu = 1e-6 is reached at omega = {omega:.0f}")
assert abs(omega / 1000 - 1) < 0.01
answer = 1  # the power of the memory length
assert answer != 3, "3 is the power along nu; along omega the slope of tanh enters squared"
assert answer == 1, "compute the curvature at two memories a factor of ten apart"
