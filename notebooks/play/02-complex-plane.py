# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Play: one eigenvalue, dragged
#
# **You will see** what an eigenvalue remembers, how the state reacts when it changes, and how small the region of low
# loss around it is. **You need** [the curse of memory](../theory/02-curse-of-memory.ipynb). **Time** as long as you
# like; the figure runs in the browser, without a kernel.

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

# %% tags=["hide-input"]
from rnnlib.lab import interactive

interactive.complex_plane()

# %% [markdown]
# Drag $\lambda$ towards the circle: its response lasts longer, the derivative of the response grows much more, and the
# region of low loss shrinks to a point.
#
# The lines on the disc join students $\lambda'$ of equal loss, as a share of $\mathrm{E}|h|^2$; the second picture
# shows them within $\pm 0.15$ of $\lambda$, a window that does not shrink with the region. On the right are the impulse
# response $\mathrm{Re}\,\gamma\lambda^t$ and its derivative with respect to $\lambda$,
# $\mathrm{Re}\,\gamma t\lambda^{t-1}$. The numbers above them are the second moments of state and sensitivity, closed
# forms in the correlation $\rho$ of the inputs ([reference](../../book/api-theory.md)). The factor $\gamma$ is 1, or
# $\sqrt{1 - |\lambda|^2}$ if you scale the inputs, the first of the
# [remedies](../theory/03-normalisation-and-reparametrisation.ipynb). As in [Figure 2](../figures/fig02.ipynb), the
# derivative holds $\gamma$ constant.
#
# ## Predict, then look
# 1. For which $t$ is $t \lambda^{t-1}$ largest, for a real $\lambda$, and how large is it at $\lambda = 0.99$?
#
# <details>
# <summary>Answer</summary>
#
# At $t = -1/\ln\lambda$, about the memory; there it is about $1/(e (1 - \lambda))$, so 37. The response itself never
# exceeds 1. To see it, set the angle to 0 and the memory to 2.
#
# </details>
#
# 2. Move $\lambda$ around the circle with $\rho = 0$. Which of the two moments changes?
#
# <details>
# <summary>Answer</summary>
#
# Neither: with white inputs they depend on $|\lambda|$ alone. With $\rho = 0.9$ both are largest at angle 0, where the
# slow inputs are in tune with the unit. [Figure 8](../figures/fig08.ipynb) has the cross terms.
#
# </details>
#
# 3. In the window, are the lines longer along the radius or around the circle? Compare memory 0.7 and 1.3 on the
#    slider, and tick $\gamma$.
#
# <details>
# <summary>Answer</summary>
#
# Without $\gamma$ they are round near $\lambda$, at any memory: the loss is about
# $\frac12 \mathrm{E}|\mathrm{d}_\lambda h|^2$ times the squared distance. (In radians the curvature is $|\lambda|^2$
# times that along the modulus, but a radian is $|\lambda|$ long.) With $\gamma$ the curvature around the circle is, per
# unit of length, $1 + |\lambda|^2$ times the one along the radius, so about twice: the lines are longer along the
# radius, by $\sqrt2$. Their size is proportional to $1 - |\lambda|$ either way.
#
# </details>
