# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The chunked scan
#
# **You will see** how a recurrence that looks sequential runs in parallel over time: the loop, chunks and their
# carries, the gradient, why a tree is slower, and how it rounds. **You need** PyTorch. **Time** under a minute on a
# CPU; a GPU is used if there is one.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Chunks that start from zero miss only the decaying trace of the past, which the carries supply. One channel, 64 steps, chunks of 16. Grey: every chunk from a zero state. Dots: the carries. Blue: the states.", "name": "fig-chunks"}, "image": {"alt": "A state over 64 steps, cut by vertical lines into four chunks. The blue curve is continuous; the grey one restarts from zero in each chunk and approaches the blue one. Dots mark the states at the end of the first three chunks, from which the next ones start."}}
import inspect
import time

import matplotlib.pyplot as plt
import rnnlib.scan
import torch
from rnnlib import linear_scan
from rnnlib.lab import style

style.use()
torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
T, K = 64, 16  # steps, steps a chunk
lam, x = 0.9, torch.randn(T)
chunks = x.view(-1, K)  # (chunk, step within it)
by_loop = linear_scan(torch.tensor([lam]), x.view(1, T, 1), backend="sequential").flatten()
from_zero = linear_scan(torch.tensor([lam]), chunks[..., None]).flatten()
fig, ax = plt.subplots(figsize=(7, 2.3), layout="constrained")
for j in range(T // K):
    part = slice(j * K, (j + 1) * K)
    ax.plot(range(T)[part], from_zero[part], color="0.6", label="from zero" if j == 0 else None)
    ax.axvline(j * K - 0.5, color="0.85", lw=1)
ax.plot(by_loop, color=style.COLORS["rnn"], label="states")
ends = range(K - 1, T - 1, K)
ax.plot(ends, by_loop[ends], "o", color=style.COLORS["lru"], label="carries")
ax.set(xlabel="$t$", ylabel="$h_t$")
ax.legend(ncols=3);

# %% [markdown]
# Cut time into chunks of $K$ steps: all chunks run in parallel, a short recurrence joins them, and $T$ sequential steps
# become $2K + T/K$. This doubles the arithmetic and reads the input twice; rounding is no worse than the loop's.

# %% [markdown]
# ## The loop
# Every diagonal linear recurrence in this book is one operation, for each channel by itself:
#
# $$h_t = \lambda_t h_{t-1} + x_t .$$
#
# As a program it is a loop. This is the definition that every other implementation is tested against:

# %% tags=["hide-input"]
print(inspect.getsource(rnnlib.scan.sequential.sequential_scan).split('"""')[-1].strip("\n"))

# %% [markdown]
# Each iteration does little work, one multiplication and one addition per channel, and must wait for the previous one.
# A processor with thousands of lanes is mostly idle, and in Python the loop itself costs more than the arithmetic.
#
# ## Chunks
# The state at the end of any stretch of time is an affine function of the state that enters it,
#
# $$h_{\text{out}} = p \, h_{\text{in}} + e, \qquad p = \prod_t \lambda_t, \qquad
# e = \text{the end state if run from zero}.$$
#
# So cut time into chunks. (1) **Reduce**: run all chunks from zero, side by side, and keep $p$ and $e$ of each. (2)
# **Carry**: run the short recurrence $c_{j+1} = p_j c_j + e_j$ over chunks. (3) **Replay**: run all chunks again, side
# by side, each from the state that enters it.

# %%
end = torch.zeros(T // K)  # reduce
for i in range(K):
    end = lam * end + chunks[:, i]

entering = torch.zeros(T // K)  # carry
for j in range(T // K - 1):
    entering[j + 1] = lam**K * entering[j] + end[j]

h, replayed = entering, []  # replay
for i in range(K):
    h = lam * h + chunks[:, i]
    replayed.append(h)
replayed = torch.stack(replayed, 1).flatten()
print(f"largest difference from the loop: {(replayed - by_loop).abs().max():.1e}")

# %% [markdown]
# ## The gradient is a scan too
# Let $g_t = \partial L / \partial h_t$ be the direct effect of each state on the loss. The effect through later states
# accumulates backwards in time,
#
# $$\delta_t = g_t + \bar\lambda_{t+1} \, \delta_{t+1}, \qquad \frac{\partial L}{\partial x_t} = \delta_t, \qquad
# \frac{\partial L}{\partial \lambda} = \sum_t \delta_t \, \bar h_{t-1} :$$
#
# the same operation in reverse. (For complex $\lambda$ this is PyTorch's gradient,
# $\partial L/\partial\, \mathrm{Re}\,\lambda + i \, \partial L/\partial\, \mathrm{Im}\,\lambda$.) Only the states are
# stored, no stack of intermediate results. And since the derivative of a scan is a scan, second derivatives exist as
# well.

# %%
lam = torch.tensor([0.9, 0.5 + 0.3j], requires_grad=True)
x = torch.randn(3, 50, 2, dtype=torch.complex64)
h = linear_scan(lam, x)
g = torch.randn_like(h)
(by_autograd,) = torch.autograd.grad(h, lam, g)

delta = linear_scan(lam.conj(), g, reverse=True)
by_hand = (delta[:, 1:] * h[:, :-1].conj()).sum((0, 1))
print(f"largest difference: {(by_autograd - by_hand).abs().max():.1e}")

# %% [markdown]
# ## Why not a tree?
# Affine maps compose, so any parallel prefix algorithm yields all states. The textbook algorithm works by doubling:
# after level $l$ each step holds the map of the $2^l$ steps that end there.

# %%
def doubling(lam, x):
    """All states in log2(T) levels; each reads and writes both p and e of every step."""
    p, e = lam.expand_as(x).clone(), x.clone()
    stride = 1
    while stride < x.shape[1]:
        p_before, e_before = p[:, :-stride], e[:, :-stride]
        e = torch.cat([e[:, :stride], p[:, stride:] * e_before + e[:, stride:]], 1)
        p = torch.cat([p[:, :stride], p[:, stride:] * p_before], 1)
        stride *= 2
    return e


lam = torch.full((64,), 0.99 + 0.1j, device=device)
x = torch.randn(1, 2**14, 64, dtype=torch.complex64, device=device)
error = (doubling(lam, x) - linear_scan(lam, x)).abs().max()
print(f"largest difference from linear_scan: {error:.1e}")

# %% [markdown]
# A tree needs $\log_2 T$ sequential steps instead of $T$, but it moves more memory. The table counts the numbers read
# and written per step of one channel, if no level fits on the chip. A tree reads $x$ and writes $p$ and $e$ (three
# numbers), then reads and writes both at every level (four). Chunks read the input twice and write the states once. One
# pass reads once and writes once; it needs enough channels to fill the processor.
#
# | number of steps | doubling | chunks | one pass |
# | --- | --- | --- | --- |
# | $2^8$ | 35 | 3 | 2 |
# | $2^{12}$ | 51 | 3 | 2 |
# | $2^{16}$ | 67 | 3 | 2 |
# | $2^{20}$ | 83 | 3 | 2 |
#
# Time follows these counts. Doubling against chunks, both in PyTorch operations, on the machine that built this page:

# %% tags=["hide-input"]
by_turns = {"doubling": [], "chunks": []}
for _ in range(6):
    for name, times in by_turns.items():
        start = time.perf_counter()
        doubling(lam, x) if name == "doubling" else linear_scan(lam, x, backend="chunked")
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
tree, chunked = (sorted(times[1:])[2] for times in by_turns.values())  # the first run warms up
print(f"T = {x.shape[1]}: the tree takes {tree / chunked:.1f} times as long as the chunks")

# %% [markdown]
# ## Rounding errors
# A step rounds a product and a sum: an error of at most $2u \max_t |h_t|$ for real numbers and less than twice that for
# complex ones, with $u$ the unit roundoff. An error made $i$ steps ago has been multiplied by $\lambda^i$ since. So the
# error of the loop is at most
#
# $$4 u \, M \max_t |h_t|, \qquad M = \min\big(T, 1/(1-|\lambda|)\big) \ge \sum_{i<T} |\lambda|^i .$$
#
# The chunks obey a bound of the same form, with 9 instead of 4.
#
# <details>
# <summary>Why 9</summary>
#
# Nothing is divided by a power of $\lambda$, and carries are in double precision, so each past step contributes one
# error: in the replay if it lies in the same chunk, in the reduction if in an earlier one. But a state of a chunk run
# from zero, $h_t - p\,h_{\text{in}}$, may be twice as large as $\max_t |h_t|$, and the carry is rounded once when the
# replay starts from it. So at worst the constant is $2 \cdot 4 + 1 = 9$.
#
# </details>
#
# The chunks' measured errors are no larger than the loop's, in root mean square
# ([precision](../../book/precision.md#rounding)). Here we compare single with double precision over 100,000 steps:

# %% tags=["hide-input"]
T, lam = 100_000, torch.tensor([0.9, 0.999, 1 - 1e-6])
x = torch.randn(1, T, 3)
exact = linear_scan(lam.double(), x.double())
memory = torch.minimum(torch.tensor(T), 1 / (1 - lam.double()))
for backend, constant in [("sequential", 4), ("chunked", 9)]:
    bound = constant * 2**-24 * memory * exact.abs().amax((0, 1))
    error = (linear_scan(lam, x, backend=backend).double() - exact).abs().amax((0, 1))
    for i in range(3):
        print(f"{backend:10} lambda {lam[i]:.6f}: error {error[i]:.1e}, bound {bound[i]:.1e}")

# %% [markdown]
# [The next page](02-scan-on-hardware.ipynb) asks how fast a scan can be on a CPU and on a GPU.

# %% [markdown]
# ## Exercises

# %% [markdown]
# ### Exercise 1: how long should a chunk be?
# *Derive. Easy.* Chunks of $K$ steps take $2K + T/K$ sequential steps. Which $K$ is best, and how many sequential steps
# are left for $T = 2^{15}$? Now cut the carries into chunks too: with what power of $T$ does the number grow? Why does
# the package not continue like this?
#
# <details>
# <summary>Solution 1</summary>
#
# The derivative $2 - T/K^2$ vanishes at $K = \sqrt{T/2}$, which takes $2\sqrt{2T}$ steps: chunks of 128 and 512 steps
# instead of 32,768. With chunks of $K_2$ carries it is $2K + 2K_2 + T/(K K_2)$, least at $K = K_2 = (T/2)^{1/3}$, so
# the number grows as $T^{1/3}$. Further levels lead to $\log T$: a tree. But a sequential step is cheap compared with
# moving memory, and there are only $T/K$ carries to save on.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
def least(count, ks):
    return min((count(*k), *k) for k in ks)


T = 2**15
powers = [2**k for k in range(1, 15)]
one_level = least(lambda K: 2 * K + T / K, [(K,) for K in powers])
two_levels = [
    least(lambda K, J, T=T: 2 * K + 2 * J + T / (K * J), [(K, J) for K in powers for J in powers])
    for T in (2**13, 2**16, 2**19)
]
print("one level, sequential steps and K:", one_level)
print("two levels, eight times T each:", [steps for steps, *_ in two_levels])
assert one_level == (512, 128)
assert [steps for steps, *_ in two_levels] == [96, 192, 384]
answer = [128, 512]  # the best K for T = 2^15, and the steps that are left
assert 2 * answer[0] + 2**15 / answer[0] <= 512, "another K leaves fewer steps"
assert answer[1] == 2 * answer[0] + 2**15 / answer[0], "K leaves another number of steps"
