# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Figure 4: one system, two landscapes
#
# **You will see** that the sharp directions of the loss spread over a whole dense matrix, but over few parameters of a
# diagonal one, though both describe one system. **You need** [from diagonal to
# dense](../theory/04-from-diagonal-to-dense.ipynb) and [the Hessian at the
# optimum](../theory/05-hessian-at-the-optimum.ipynb). **Time** under a minute on a CPU.

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
import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.colors import SymLogNorm
from rnnlib.lab import claims, curvature, style, systems

style.use()
T = 300
system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(0))
response, weights = system.impulse_response(T), curvature.white_gram(T)
layers = {"dense": systems.as_dense(system), "diagonal": systems.as_diagonal(system)}
loss = curvature.response_loss(response, weights)
exact = {name: curvature.hessian(layer, loss) for name, layer in layers.items()}
labels = {"A": "$A$", "B": "$B$", "C": "$C$", "D": "$D$", "lam": r"$\lambda$"}


def show(axes, H, title, largest):
    """Hessian, top eigenvectors and spectrum, in three axes side by side."""
    matrix, vectors, spectrum = axes
    first = matrix.imshow(H.matrix, cmap="PuOr", norm=SymLogNorm(1, vmin=-largest, vmax=largest))
    second = vectors.imshow(H.eigenvectors[:, :10].T, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    spectrum.semilogy(range(1, 10), H.eigenvalues[:9], "o", ms=4, color="0.25")
    spectrum.set(xlim=(0.5, 11.5), ylim=(1e-2, 1e8), xticks=[1, 5, 9], yticks=[1e-2, 1e3, 1e8])
    spectrum.text(10.5, 2e-2, "rounding", rotation=90, ha="center", va="bottom", color="0.4")
    halves = {}  # real and imaginary parts share a label
    for name, rows in H.groups.items():
        halves.setdefault(name.partition(".")[0], []).append(rows)
    middles = [(rows[0].start + rows[-1].stop - 1) / 2 for rows in halves.values()]
    for ax in (matrix, vectors):
        ax.set_xticks(middles, [labels[name] for name in halves])
        ax.tick_params(length=0)
        for rows in halves.values():
            for part in rows:
                ax.axvline(part.start - 0.5, color="0.3", lw=0.8 if part is rows[0] else 0.3)
                if ax is matrix:
                    ax.axhline(part.start - 0.5, color="0.3", lw=0.8 if part is rows[0] else 0.3)
    matrix.set_yticks(middles, [labels[name] for name in halves])
    matrix.set_ylabel(title)
    vectors.set(yticks=[0, 9], yticklabels=[1, 10])
    return first, second


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Eigenvectors of the dense RNN's Hessian spread over all of $A$, those of the diagonal one over a few entries of $\\lambda$; the spectra resemble each other. A: dense RNN. B: complex diagonal RNN, real parts before imaginary ones. From the left: Hessian at the optimum over all 25 parameters, its ten top eigenvectors, one per row (the tenth is arbitrary), its spectrum of nine eigenvalues; the rest is rounding.", "name": "fig-04"}, "image": {"alt": "Two rows. The dense RNN's Hessian is filled in the whole block of A, and each of its top eigenvectors has entries across that block. The diagonal RNN's Hessian is large in a few entries of the eigenvalues' block near its diagonals, and its top eigenvectors have four entries or so. Both spectra fall over six decades and end with the ninth eigenvalue."}}
fig, axes = plt.subplots(
    2, 3, figsize=(7.2, 5.2), width_ratios=[1.2, 1.1, 0.7], layout="constrained"
)
largest = max(H.matrix.abs().max() for H in exact.values())
show(axes[0], exact["dense"], "A: dense RNN", largest)
images = show(axes[1], exact["diagonal"], "B: complex diagonal RNN", largest)
for ax, name in zip(axes[0], ["Hessian", "its top eigenvectors", "its eigenvalues"], strict=True):
    ax.set_title(name)
axes[1, 2].set_xlabel("index")
look = {"location": "bottom", "shrink": 0.8, "aspect": 25}
bar = fig.colorbar(images[0], ax=axes[:, 0], label="entry of the Hessian", **look)
bar.set_ticks([-1e6, -1e3, 0, 1e3, 1e6])
fig.colorbar(images[1], ax=axes[:, 1], label="entry of the eigenvector", **look);

# %% [markdown]
# Both Hessians have rank nine, and for this draw their largest eigenvalues differ by a factor of 2.5. Their
# eigenvectors differ: on average each spreads over 6.3 parameters of the dense RNN and 3.7 of the diagonal one. Adam
# has one step size for each parameter. If a sharp direction has few entries, only those few steps must be small; if it
# has many, all of them must be.
#
# [Figure 4b](fig04b.ipynb), panels C and D of the paper, shows what that means in training.

# %% [markdown]
# ## One system, two ways to write it
# The system has four units in two conjugate pairs, with moduli between 0.99 and 0.993, random angles and random
# eigenvectors. The students sit at the teacher's parameters, so the loss is zero there and the Hessian shows how it
# rises.
#
# The paper samples inputs: 64 sequences of 300 steps. The expectation over white inputs needs no sample, because the
# loss is $\frac12 \sum_\tau (1 - \tau/T) (k_\tau - k^*_\tau)^2$ for impulse responses $k$. We differentiate both
# losses twice through the recurrence, in float64:

# %%
x = torch.randn(64, T, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
for name, layer in layers.items():
    with torch.no_grad():
        y, _ = layer(x)
    sampled = curvature.hessian(layer, curvature.sampled_loss(x, y))
    difference = (sampled.matrix - exact[name].matrix).norm() / exact[name].matrix.norm()
    print(f"{name:9} sampled against exact: relative difference {difference:.1%}")

# %% [markdown]
# That is how far 64 sequences are from their expectation. On the same inputs both ways agree to rounding, as tests
# check.
#
# ## Why the rank is nine
# A system of order $n$ with one input and one output is given by its transfer function, with $2n + 1$ coefficients;
# here $n = 4$. Directions of parameter space that do not change them are flat, in any parametrisation. At the optimum
# the Hessian is $J^\top W J$ with the derivatives $J$ of the impulse response, so its eigenvalues are squared singular
# values of $W^{1/2} J$, which resolve twice as many decades:

# %%
for name, layer in layers.items():
    values = curvature.response_singular_values(layer, weights)
    print(f"{name:9} rank {curvature.rank(layer, weights)} of {len(values)} parameters;",
          f"ninth eigenvalue {values[8] ** 2:.2g}, tenth {values[9] ** 2:.0e}")

# %% [markdown]
# ## Spread: many coordinates or few
# The participation ratio of an eigenvector $v$ is $(\sum_p v_p^2)^2 / \sum_p v_p^4$, the number of parameters over
# which it spreads:

# %%
for name, H in exact.items():
    ratios = curvature.participation_ratio(H.eigenvectors[:, :9])
    fraction = curvature.diagonal_fraction(H.matrix)
    spread = f"{ratios.numpy().round(1)}, mean {ratios.mean():.1f}"
    print(f"{name:9} {spread}; on the diagonal {fraction:.0%}")

# %% [markdown]
# ## "The spectra are almost the same": not always
# Eigenvalues of a Hessian depend on the coordinates. In the paper's draw the largest ones differ by a factor of about
# 3.5 (erratum 23). The further the system's eigenvectors are from orthogonal, the sharper the dense form tends to be:

# %% tags=["hide-input"]
draws = []
for seed in range(10):
    system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(seed))
    loss = curvature.response_loss(system.impulse_response(T), weights)
    ways = systems.as_dense, systems.as_diagonal
    pair = [curvature.hessian(way(system), loss) for way in ways]
    tops = [H.eigenvalues[0].item() for H in pair]
    spread = [curvature.participation_ratio(H.eigenvectors[:, :9]).mean().item() for H in pair]
    condition = torch.linalg.cond(torch.linalg.eig(system.A).eigenvectors).item()
    draws.append([seed, condition, *tops, tops[0] / tops[1], *spread])
columns = ["seed", "condition of the eigenvectors", "top, dense", "top, diagonal", "ratio"]
columns += ["mean participation, dense", "mean participation, diagonal"]
frame = pd.DataFrame(draws, columns=columns).astype({"seed": int})

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Spectra are similar in some draws; dense eigenvectors spread more in nine of ten. Ten draws of the system. Left: largest eigenvalue of the dense Hessian over that of the diagonal one, against the condition number of the system's eigenvectors; filled: the draw above. Right: mean participation ratio of the dense against the diagonal parametrisation; on the line both are equal.", "name": "fig-04-draws"}, "image": {"alt": "Two scatter plots of ten points. Left, logarithmic: the ratio of the largest eigenvalues lies between 1.3 and 200,000 and tends to grow with the condition number. Right: nine of ten points lie above the line of equal participation ratios, with values from 3 to 6 for dense and from 2 to 4 for diagonal."}}
fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.6), layout="constrained")
fills = [style.COLORS["rnn"]] + 9 * ["white"]
for (_, row), fill in zip(frame.iterrows(), fills, strict=True):
    look = {"mec": style.COLORS["rnn"], "mfc": fill, "ms": 6}
    left.loglog(row["condition of the eigenvectors"], row["ratio"], "o", **look)
    diagonal, dense = row["mean participation, diagonal"], row["mean participation, dense"]
    right.plot(diagonal, dense, "o", **look)
left.axhline(1, color="0.6", lw=0.8)
right.plot([2, 4.2], [2, 4.2], color="0.6", lw=0.8)
left.set(xlabel="condition number of the eigenvectors", ylabel="top eigenvalue, dense / diagonal")
right.set(xlabel="mean participation, diagonal", ylabel="mean participation, dense");

# %% [markdown]
# In all ten draws the dense parametrisation has the larger top eigenvalue, by factors between 1.3 and 200,000. Its
# Hessian's eigenvectors spread over more parameters in nine of them.

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the ten draws as a table", "code_prompt_hide": "Hide the table"}
formats = dict.fromkeys(columns[1:], "{:.1f}") | dict.fromkeys(columns[2:4], "{:.1e}")
frame.style.hide(axis="index").format(formats)

# %% [markdown]
# ## What the paper claims, and what we measure


# %% tags=["hide-input"] mystnb={"figure": {"caption": "A claim holds if its dot and its whole interval lie in the shaded band. Each row has its own scale; bars: 95 % intervals of sampled numbers; right: our number and the accepted range.", "name": "fig-04-claims"}, "image": {"alt": "One row for each claim of the table below: a dot, with an interval if the number is sampled, inside or outside the shaded range that agrees."}}
claims.picture("fig04");

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the claims in a table: sources, ranges, verdicts", "code_prompt_hide": "Hide the table"}
claims.table("fig04")

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: turn the state
# *Predict, then run. Medium.* Rotate the state of the dense RNN: $A \to QAQ^\top$, $B \to QB$, $C \to CQ^\top$ with an
# orthogonal $Q$. The outputs do not change. Do the eigenvalues of the Hessian change? The participation ratios? What if
# $Q$ is any invertible matrix, with $Q^{-1}$ instead of $Q^\top$?
#
# <details>
# <summary>Solution 1</summary>
#
# For an orthogonal $Q$ the map of the parameters is orthogonal itself, because it preserves Frobenius norms. So the
# Hessian is rotated: its spectrum stays the same, and its eigenvectors and their participation ratios change. Any other
# invertible $Q$ stretches some directions of parameter space, and the spectrum changes. "The spectra are almost the
# same" is therefore a statement about how far the eigenvectors of $A$ are from orthogonal.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
system = systems.conjugate_pairs(generator=torch.Generator().manual_seed(0))
generator = torch.Generator().manual_seed(2)
random = torch.randn(4, 4, generator=generator, dtype=torch.float64)
spectra = {}
rotation = torch.linalg.qr(random)[0]
changes = {"as it is": torch.eye(4).double(), "rotated": rotation, "mixed": random}
for name, Q in changes.items():
    parts = Q @ system.A @ Q.inverse(), Q @ system.B, system.C @ Q.inverse(), system.D
    layer = systems.as_dense(systems.System(*parts))
    H = curvature.hessian(layer, curvature.response_loss(system.impulse_response(T), weights))
    spectra[name] = H.eigenvalues[:9]
    ratios = curvature.participation_ratio(H.eigenvectors[:, :9])
    print(f"{name:9} top eigenvalue {H.eigenvalues[0]:.6g}, mean participation {ratios.mean():.2f}")
assert torch.allclose(spectra["as it is"], spectra["rotated"], rtol=1e-6)
assert not torch.allclose(spectra["as it is"], spectra["mixed"], rtol=0.1)
answer = [True, False]  # are the eigenvalues kept by an orthogonal Q? by any invertible Q?
assert answer[0], "an orthogonal Q turns the parameters, and with them the Hessian, by a rotation"
assert not answer[1], "does any Q change the parameters by a rotation?"
