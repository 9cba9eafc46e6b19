# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The chunked scan
#
# **You will see** how a recurrence that looks sequential runs in parallel over time: loop, chunks, carries, gradient, kernel, and a timing on your machine.
# **You need** PyTorch. **Time** under a minute on a CPU; a GPU is used if there is one.

# %% tags=["hide-input"]
import importlib.util, subprocess, sys

if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    source = "git+https://github.com/OWNER/REPOSITORY"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)

# %%
import inspect
import time

import matplotlib.pyplot as plt
import rnnlib.scan
import torch
from rnnlib import linear_scan, style

style.use()
torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"

# %% [markdown]
# ## The loop
# Every diagonal linear recurrence in this book is one operation, for each channel on its own:
#
# $$h_t = \lambda_t h_{t-1} + x_t .$$
#
# As a program it is a loop. This is the definition that every other implementation is tested against.

# %%
print(inspect.getsource(rnnlib.scan.sequential_scan).split('"""')[-1].strip("\n"))

# %% [markdown]
# Each turn does little work, one multiplication and one addition per channel, and must wait for the turn before. A processor with thousands of lanes
# stands idle, and in Python the loop itself costs more than the arithmetic.
#
# ## Chunks
# The way out: *the state at the end of any stretch of time is an affine function of the state that enters it*,
#
# $$h_{\text{out}} = p \, h_{\text{in}} + e, \qquad p = \prod_t \lambda_t, \qquad e = \text{the stretch run from zero}.$$
#
# So cut time into chunks. (1) **Reduce**: run all chunks from zero, side by side, keep $p$ and $e$ of each. (2) **Carry**: run the short recurrence
# $c_{j+1} = p_j c_j + e_j$ over chunks. (3) **Replay**: run all chunks again, side by side, each from the state that really enters it.

# %%
T, K = 64, 16  # steps, steps a chunk
lam, x = 0.9, torch.randn(T)
chunks = x.view(-1, K)  # (chunk, step within it)

end = torch.zeros(T // K)
for i in range(K):
    end = lam * end + chunks[:, i]

entering = torch.zeros(T // K)
for j in range(T // K - 1):
    entering[j + 1] = lam**K * entering[j] + end[j]

h, replayed = entering, []
for i in range(K):
    h = lam * h + chunks[:, i]
    replayed.append(h)
replayed = torch.stack(replayed, 1).flatten()

by_loop = linear_scan(torch.tensor([lam]), x.view(1, T, 1), backend="sequential").flatten()
print(f"largest difference from the loop: {(replayed - by_loop).abs().max():.1e}")

# %% [markdown]
# Twice the arithmetic, but $2K + T/K$ turns instead of $T$. What the chunks miss without their carries is the decaying trace of all that came before:

# %% mystnb={"figure": {"caption": "One channel, 64 steps, chunks of 16. Grey: every chunk from a zero state. Dots: the carries. Blue: the states, which start from the carries.", "name": "fig-chunks"}, "image": {"alt": "A state over 64 steps, cut by vertical lines into four chunks. The blue curve is continuous; the grey one restarts from zero in each chunk and approaches the blue one. Dots mark the states at the end of the first three chunks, from which the next ones start."}}
from_zero = linear_scan(torch.tensor([lam]), chunks[..., None]).flatten()
fig, ax = plt.subplots(figsize=(7, 2.4), layout="constrained")
for j in range(T // K):
    part = slice(j * K, (j + 1) * K)
    ax.plot(range(T)[part], from_zero[part], color="0.6", label="from zero" if j == 0 else None)
    ax.axvline(j * K - 0.5, color="0.85", lw=1)
ax.plot(by_loop, color=style.COLORS["rnn"], label="states")
ax.plot(range(K - 1, T - 1, K), entering[1:], "o", color=style.COLORS["lru"], label="carries")
ax.set(xlabel="$t$", ylabel="$h_t$")
ax.legend(ncols=3);

# %% [markdown]
# ## The gradient is a scan too
# Let $g_t = \partial L / \partial h_t$ collect what the loss says about each state directly. What reaches $h_t$ through later states adds up backwards in time,
#
# $$\delta_t = g_t + \bar\lambda_{t+1} \, \delta_{t+1}, \qquad \frac{\partial L}{\partial x_t} = \delta_t, \qquad
# \frac{\partial L}{\partial \lambda} = \sum_t \delta_t \, \bar h_{t-1} .$$
#
# (For complex $\lambda$ this is PyTorch's gradient, $\partial L/\partial\, \mathrm{Re}\,\lambda + i \, \partial L/\partial\, \mathrm{Im}\,\lambda$.) The same operation in reverse. No stack of intermediate results is kept, only the states; and since a derivative of a scan is a scan, there are second derivatives as well.

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
# ## The kernel
# On a GPU the three stages are three Triton kernels. A program takes one chunk of a block of channels and keeps its states in registers; thousands of programs
# run at once. This is the last stage, as it stands in `rnnlib/scan/cuda/chunks.py`:

# %%
from pathlib import Path

source = Path(rnnlib.scan.__file__).with_name("cuda").joinpath("chunks.py").read_text()
kernel = source[source.rindex("@triton.jit", 0, source.index("def _replay(")) :]
print(kernel[: kernel.index("\n\n\n")])

# %% [markdown]
# ## A small timing
# On this machine, forward only: one sequence, 64 complex channels. The fastest of three runs counts. One sequence is where chunks pay: a turn of the loop then has only
# 64 numbers to work on. A large batch gives the loop long rows as well; `make bench` times that case too.


# %%
def seconds(backend, T):
    lam = torch.full((64,), 0.99 + 0.1j, device=device)
    x = torch.randn(1, T, 64, dtype=torch.complex64, device=device)
    times = []
    for _ in range(4):  # the first run warms up and is dropped
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        linear_scan(lam, x, backend=backend)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


backends = ["sequential", "chunked"] + (["cuda"] if device == "cuda" else [])
lengths = [2**k for k in range(6, 16)]
timing = {backend: [seconds(backend, T) for T in lengths] for backend in backends}
ratio = timing["sequential"][-1] / timing["chunked"][-1]
print(f"on {device}, T = {lengths[-1]}: the loop takes {ratio:.1f} times as long as the chunks")

# %% mystnb={"figure": {"caption": "Seconds for one scan, one sequence of 64 complex channels, on the machine that built this page (or on yours).", "name": "fig-scan-timing"}, "image": {"alt": "Log-log plot of seconds against sequence length from 64 to 32768. The loop grows in proportion to the length; the chunked scan starts near it, grows more slowly and ends an order of magnitude below."}}
fig, ax = plt.subplots(figsize=(4.5, 2.6), layout="constrained")
for backend, color in zip(
    backends, ["0.5", style.COLORS["rnn"], style.COLORS["lru"]], strict=False
):
    ax.loglog(lengths, timing[backend], "o-", ms=3, color=color, label=backend)
ax.set(xlabel="sequence length $T$", ylabel="seconds")
ax.legend();

# %% [markdown]
# ## And the rounding?
# A step rounds a product and a sum: an error of at most $2u \max_t |h_t|$ for real numbers and less than twice that for complex ones, with $u$ the unit roundoff. An error made $i$ steps ago has been
# multiplied by $\lambda^i$ since, and $\sum_{i<T} |\lambda|^i \le \min\big(T, 1/(1-|\lambda|)\big)$. So the loop errs by at most $4 u \min\big(T, 1/(1-|\lambda|)\big) \max_t |h_t|$. The chunks hold the same bound:
# no power of $\lambda$ is divided by, and carries are kept in double precision. We compare single with double precision over 100,000 steps.

# %%
T, lam = 100_000, torch.tensor([0.9, 0.999, 1 - 1e-6])
x = torch.randn(1, T, 3)
exact = linear_scan(lam.double(), x.double())
bound = (
    4 * 2**-24 * torch.minimum(torch.tensor(T), 1 / (1 - lam.double())) * exact.abs().amax((0, 1))
)
for backend in ["sequential", "chunked"]:
    error = (linear_scan(lam, x, backend=backend).double() - exact).abs().amax((0, 1))
    for i in range(3):
        print(f"{backend:10} lambda {lam[i]:.6f}: error {error[i]:.1e}, bound {bound[i]:.1e}")
