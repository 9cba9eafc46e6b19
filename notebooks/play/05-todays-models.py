# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Play: a model of your choice
#
# **You will see** how state and sensitivity of today's recurrences grow with memory, for twelve initialisations, and
# what correlated inputs and moving gates change. **You need** [the field guide](../beyond/field-guide.ipynb). **Time**
# as long as you like; the figure runs in the browser, without a kernel.

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

interactive.models()

# %% [markdown]
# Choose a parametrisation and one of its raw parameters. The memory is set through the quantity that each model uses
# ([table](../beyond/field-guide.ipynb#the-models)). At each step a fair coin moves the logit of the gate up or down by
# $\sigma$; the complex RNN, the LRU and S4D have no such gates. Left: what is left of an input, its mean over the coin
# and its root mean square. Middle: second moments of the state and of its derivative with respect to the raw parameter.
# Right: the power of memory with which they grow. Grey is the same for white inputs and fixed gates. All are [closed
# forms](../../book/proofs.md) of `theory.random_gate_moments`; [gates that move](../beyond/gates-that-move.ipynb)
# derives them.
#
# ## Predict, then look
# 1. The sensitivity to the complex RNN's angle grows with the power 3, two more than the state. With which
#    initialisations does it grow no faster than the state?
#
# <details>
# <summary>Answer</summary>
#
# With S4D and Mamba-3 if the step sets the memory: it multiplies the angle and shrinks in proportion to
# $1 - |\lambda|$. All other angles end two powers above the state. With the heavy tail, Mamba-3's modulus ends two
# powers *below* it.
#
# </details>
#
# 2. The GRU's gate moves by $\pm 2$, memory is 10,000. How many times larger is $\mathrm{E}|h|^2$ than with a fixed
#    gate, and what happens to its power?
#
# <details>
# <summary>Answer</summary>
#
# About 7 times: $\mathrm{E}\,e^{-2g} / \mathrm{E}\,e^{-g} = \cosh(2\sigma) / \cosh\sigma$. The power stays $-1$, once
# memory is much longer than $e^\sigma$ steps. The sensitivity grows by the same factor.
#
# </details>
#
# 3. Set $\rho = 0.99$ for RG-LRU, whose state has the power 0 for white inputs. At which memories does it grow?
#
# <details>
# <summary>Answer</summary>
#
# Up to the correlation time of the inputs, 100 steps: there the unit adds up inputs that agree, while $\gamma$ is made
# for white ones. At a memory of 10 the power is nearly 1, at 100 a half, at 10,000 it is 0. The GRU's factor
# $1 - \lambda$ keeps its state at about 1 up to that memory and lets it fall beyond.
#
# </details>
#
# ## A still picture of it

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Sensitivities to angles grow two powers faster than states unless the step sets the memory. Second moments against memory for white inputs and fixed gates (solid), and for inputs with correlation 0.9 and a logit that moves by 1 up or down (dotted).", "name": "fig-todays-models"}, "image": {"alt": "Two log-log plots against memory from 3 to 10,000. State: the complex RNN and Mamba-3 with memory from A grow in proportion to memory; RG-LRU stays at 0.25; S4D with memory from the step and the GRU fall. Sensitivity: the complex RNN's angle and the angle of Mamba-3 with memory from A grow with the third power, from 4 to 2e11 and from 2e-3 to 2e8; all others run parallel to their state. Dotted lines lie above the solid ones, those of the complex RNN below, with the same slopes in the end."}}
import matplotlib.pyplot as plt
import numpy as np
import torch
from rnnlib import theory
from rnnlib.lab import field_guide, style

style.use()
SHOWN = {  # colour, label, parameter
    "complex RNN": ("#949494", "complex RNN, angle", "angle"),
    "Mamba-3, memory from A, softplus": ("#d55e00", "Mamba-3 (A), angle", "angle"),
    "RG-LRU (Griffin)": ("#0173b2", "RG-LRU, modulus", "modulus"),
    "S4D, memory from the step": ("#cc78bc", "S4D (step), angle", "angle"),
    "GRU, Chrono start": ("#029e73", "GRU, modulus", "modulus"),
}


def moments(name, along, memory, rho, sigma):
    model = field_guide.get(name)
    start = {k: torch.tensor(v, dtype=torch.float64) for k, v in model.start(memory).items()}
    coin = torch.tensor([sigma, -sigma] if model.noise else [0, 0], dtype=torch.float64)

    def unit(value):
        return tuple(part.expand(2) for part in model.unit(start | {along: value}, coin))

    values, slopes = torch.func.jvp(unit, (start[along],), (torch.ones_like(start[along]),))
    found = theory.random_gate_moments(values[0], slopes[0], values[1], slopes[1], rho=rho)
    return [float(moment) for moment in found]


memories = np.geomspace(3, 1e4, 25)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
for name, (color, label, along) in SHOWN.items():
    for (rho, sigma), line in {(0.0, 0.0): "-", (0.9, 1.0): ":"}.items():
        values = np.array([moments(name, along, m, rho, sigma) for m in memories]).T
        for ax, value in zip(axes, values, strict=True):
            ax.loglog(memories, value, line, color=color, lw=1.5, label=label if rho == 0 else None)
for ax, title in zip(axes, ["state", "sensitivity"], strict=True):
    ax.set(title=title, xlabel=r"memory $1 / (1 - |\lambda|)$")
axes[1].legend();
