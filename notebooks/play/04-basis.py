# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Play: a basis to turn
#
# **You will see** two eigenvalues trained in their own axes and in axes that you turn: gradient descent and
# Gauss-Newton do not depend on the axes, Adam does. **You need** [Adam likes diagonal
# networks](../theory/06-adam-likes-diagonal.ipynb). **Time** as long as you like; the figure runs in the browser,
# without a kernel.

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

interactive.eigenvalue_basis()

# %% [markdown]
# A student of two real units imitates a teacher with eigenvalues 0.5 and 0.95; input and output weights are 1, inputs
# are white. Its eigenvalues start at 0.1 and 0.8. The optimiser trains $\phi$, with $\lambda = Q \phi$, where $Q$ turns
# the axes by the angle. Student, loss and start are the same at every angle; only the optimiser's coordinates differ,
# which the short blue lines show. Grey is the loss: the valley of the second eigenvalue is narrow because its memory is
# long (see [the curse of memory](../theory/02-curse-of-memory.ipynb)). A path that ends early reached the unit circle:
# the run diverged.
#
# Gauss-Newton solves for both eigenvalues at once, from a model of the outputs that is linear in them. The rate is the
# share of this step that it takes.
#
# ## Predict, then look
# 1. Adam at rate $10^{-2}$: how much of the loss is left in its own axes, and how much at 45 degrees?
#
# <details>
# <summary>Answer</summary>
#
# In its own axes a thousandth is left after 44 steps, and less than $10^{-5}$ after 200. At 45 degrees three percent
# are left after 200 steps. There the steep direction involves both coordinates, so both are slowed down, and the path
# creeps along the floor of the valley.
#
# </details>
#
# 2. At which angles does Adam do as well as at 0?
#
# <details>
# <summary>Answer</summary>
#
# At 90 degrees: the axes swap, and one changes sign. Adam is invariant to permutations and changes of sign. A turn of
# only 15 degrees costs more than a factor of a million at this rate.
#
# </details>
#
# 3. Tune the rate for the turned basis. Does any rate reach a thousandth of the loss?
#
# <details>
# <summary>Answer</summary>
#
# No. At 45 degrees the best rate is $10^{-1.25}$ and leaves a hundredth; over all angles and rates the best leaves
# 0.006, at 15 degrees. In its own axes Adam needs 22 steps at $10^{-1.25}$ to reach a thousandth.
#
# </details>
#
# 4. Gradient descent: up to which rate does it settle in the valley, and does the angle matter?
#
# <details>
# <summary>Answer</summary>
#
# Up to $10^{-3.25}$, at which four percent are left after 200 steps. The curvature along the second eigenvalue is 2,050
# at the teacher, and $10^{-3}$ is more than $2/2{,}050$: from there on it jumps between the walls, and from $10^{-2.5}$
# on it leaves the disc. The angle does not matter: gradient descent is equivariant to rotations.
#
# </details>
#
# 5. Gauss-Newton: does the angle matter, and why not take whole steps?
#
# <details>
# <summary>Answer</summary>
#
# It does not: undamped Gauss-Newton is invariant to any linear change of these two coordinates. At rate $10^{-1}$ a
# thousandth is left after 34 steps. A whole step (rate 1) leaves the disc at once, because far from the teacher the
# outputs are not linear in the eigenvalues.
#
# </details>
