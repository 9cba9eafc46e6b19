# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Play: the needle in the landscape
#
# **You will see** the loss of one unit that imitates another, and its curvature, while you change memory, inputs and
# parametrisation. **You need** [the curse of memory](../theory/02-curse-of-memory.ipynb). **Time** as long as you like;
# the figure runs in the browser, without a kernel.

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

interactive.landscape()

# %% [markdown]
# The longer the memory, the narrower the well around $\lambda^*$: if $\lambda$ itself is trained (polar), it becomes a
# needle. With scaled inputs the exponential and the optimal parametrisation keep the well wide.
#
# A unit with eigenvalue $\lambda$ imitates one with $\lambda^*$, both driven by the same input. Left: the loss,
# relative to that of predicting zero, against the distance of the trained parameter from its optimum. Right: the second
# derivative of the loss at the optimum; the dots mark the teacher of the left picture. The three parametrisations share
# the left axis although their parameters differ: gradient descent takes steps in these units with one rate, so the rate
# has to fit the width of the well on this axis. Both pictures are closed forms: [Figure 1](../figures/fig01.ipynb) has
# the unscaled landscapes, [Figure 6](../figures/fig06.ipynb) those with $\gamma$, and [normalisation and
# reparametrisation](../theory/03-normalisation-and-reparametrisation.ipynb) derives the remedies.
#
# ## Predict, then look
# 1. The polar unit trains $\lambda$ itself. Memory goes from 10 to 100 steps (the slider shows its logarithm, 1 to 2):
#    by which factor does its curvature grow?
#
# <details>
# <summary>Answer</summary>
#
# By nearly 1,000: at $\rho = 0$ the curvature is about $\tfrac14 (1 - \lambda^*)^{-3}$. From 1 to 2 on the slider, the
# number under the controls goes from 264 to 251,000.
#
# </details>
#
# 2. Tick $\gamma$. Which of the three curves on the right become flat, and which does not?
#
# <details>
# <summary>Answer</summary>
#
# Exponential and optimal do, at 1/4 and at 1; polar still grows as $(1 - \lambda^*)^{-2}$. Untick it again: without
# $\gamma$, both still grow as $(1 - \lambda^*)^{-1}$. It takes both remedies.
#
# </details>
#
# 3. Learn the angle instead, and set the teacher's to $0.01\,\pi$ (an angle of 0 has no logarithm, so no exponential
#    parametrisation). Which remedy still works? ([Figure 7](../figures/fig07.ipynb) shows why one might not want it.)
#
# <details>
# <summary>Answer</summary>
#
# Only the optimal parametrisation. The exponential one multiplies the angle's curvature by $\theta^{*2}$, a constant
# that does not depend on the memory.
#
# </details>
#
# 4. Set $\rho$ to 0.999 and the angle back to 0, learn the modulus, scale inputs. Do the flat curves stay flat?
#
# <details>
# <summary>Answer</summary>
#
# They grow until the memory reaches $1/(1 - \rho)$, here 1,000 steps: a scale made for white inputs does not suffice
# for inputs that hardly change within the memory. See [Figure 2](../figures/fig02.ipynb).
#
# </details>
#
# 5. Now set the angle to $0.01\,\pi$. Why do the curves turn down at a memory of some thirty steps?
#
# <details>
# <summary>Answer</summary>
#
# The angle is 0.031 radians, and $1/0.031 = 32$. A unit that remembers longer turns within its memory while its inputs
# hardly change. So it is out of tune with them, and responds less the longer it remembers.
#
# </details>
