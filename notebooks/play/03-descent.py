# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Play: descent in two valleys
#
# **You will see** gradient descent, sign descent and Adam in the same narrow valley, once along an axis and once turned
# by 45 degrees. **You need** [Adam likes diagonal networks](../theory/06-adam-likes-diagonal.ipynb). **Time** as long
# as you like; the figure runs in the browser, without a kernel.

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

interactive.optimizer_paths()

# %% [markdown]
# Turning the valley does not matter to gradient descent. Adam is slower in the turned one even at its best rate there,
# and sign descent may never arrive.
#
# The valley has curvatures 1,000 and 1. *Diagonal*: the steep direction is one of the two parameters, as most sharp
# directions of a diagonal network are near its optimum. *Dense*: both parameters share it ([Figure
# 4](../figures/fig04.ipynb) shows real Hessians of both kinds). Both runs start with the same loss in the steep and in
# the flat direction. A path that ends early has left the picture: the run diverged. The loss is 1 at the start.
#
# ## Predict, then look
# 1. Gradient descent: at which rate does it diverge, and does it matter how the valley is turned?
#
# <details>
# <summary>Answer</summary>
#
# Above $2/1000$, so from $10^{-2.5}$ on. It does not matter: gradient descent commutes with rotations, and the two loss
# curves lie on each other.
#
# </details>
#
# 2. Adam at rate $10^{-1.25}$: which valley is slower, and by how much?
#
# <details>
# <summary>Answer</summary>
#
# The turned one: both parameters see the large gradients of the steep direction, so both are divided by them. There the
# loss falls to a thousandth after 293 steps; along the axis it stays below after 66.
#
# </details>
#
# 3. Give each valley its own best rate. Does the difference go away?
#
# <details>
# <summary>Answer</summary>
#
# No. In the turned valley every other rate of the slider takes longer than 293 steps. Along the axis no rate stays
# below a thousandth before step 66; some cross it earlier, on their way to the other side. At $10^{-2.5}$ and below
# neither valley gets there in 400 steps.
#
# </details>
#
# 4. Sign descent takes steps of fixed length. Where does it end in each valley, and what does the rate change?
#
# <details>
# <summary>Answer</summary>
#
# Along an axis both parameters move to within one step length of the minimum, side by side. In the turned valley a step
# leads along the floor only where the two entries of the gradient differ in sign: in a strip whose half-width is 1/1000
# of the remaining distance. Elsewhere both parameters jump across the valley together. Whether steps of fixed length
# land in the strip depends on the rate by chance: at $10^{-2.25}$ a twentieth of the loss is left, at $10^{-2}$ half of
# it, forever. The authors' code for [Figure 7](../figures/fig07.ipynb) takes such sign steps, not Adam's.
#
# </details>
