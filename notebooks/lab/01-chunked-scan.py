# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The chunked scan
#
# **You will see** how a recurrence that looks sequential runs in parallel over time: loop, chunks, carries, gradient, why trees lose, kernels, and a timing on
# your machine.
# **You need** PyTorch. **Time** under a minute on a CPU; a GPU is used if there is one.

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

# %%
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

# %% [markdown]
# ## The loop
# Every diagonal linear recurrence in this book is one operation, for each channel on its own:
#
# $$h_t = \lambda_t h_{t-1} + x_t .$$
#
# As a program it is a loop. This is the definition that every other implementation is tested against.

# %%
print(inspect.getsource(rnnlib.scan.sequential.sequential_scan).split('"""')[-1].strip("\n"))

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
# ## Why not a tree?
# Affine maps compose, so any parallel prefix algorithm gives all states. The textbook's, by doubling: after level $l$ each step holds the
# map of the $2^l$ steps that end there.

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
# It takes $\log_2 T$ turns instead of $T$, and that is its only virtue. Count what moves, in numbers read and written for each step of one
# channel, if no level fits on the chip: a tree reads and writes $p$ and $e$ at every level (four numbers), and before the first reads $x$ and writes
# both (three more); chunks read the input twice and write the states once; and one pass, where there are enough channels to fill the processor,
# reads once and writes once.

# %%
print("      T   doubling  chunks  one pass")
for power in [8, 12, 16, 20]:
    print(f"2^{power:<4} {power * 4 + 3:10} {3:7} {2:9}")

# %% [markdown]
# Time follows. The doubling of the cell above against the chunks, both in PyTorch operations, on this machine, in turn, medians:

# %%
by_turns = {"doubling": [], "chunks": []}
for _ in range(6):
    for name, times in by_turns.items():
        start = time.perf_counter()
        doubling(lam, x) if name == "doubling" else linear_scan(lam, x, backend="chunked")
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
tree, chunked = (sorted(times[1:])[2] for times in by_turns.values())  # the first turn warms up
print(f"T = {x.shape[1]}: the tree takes {tree / chunked:.1f} times as long as the chunks")

# %% [markdown]
# One step of a complex channel is 8 floating-point operations on 16 bytes, half an operation a byte, far less than a processor does in the time
# a byte takes. So a scan could be bound by memory alone. How near it comes, by the stored measurements
# ([performance](../../book/performance.md)): bytes that a forward scan must move, over the bytes that a copy moves in the same time.

# %%
from rnnlib.lab import benchmarks

for record in benchmarks.records():
    print(record["machine"])
    scans = benchmarks.table(record, "scan").query("`pass` == 'forward' and dtype == 'complex64'")
    named = scans["implementation"].str.startswith("rnnlib cuda, ")  # not what linear_scan takes
    for row in scans[(scans["lam"] == "channel") & ~named].itertuples():
        share = f"{row.of_copy:6.1%} of the copy's bandwidth"
        print(f"  {row.shape!s:16} {row.implementation:32} {share}")

# %% mystnb={"figure": {"caption": "Forward scans of complex numbers, 8 operations on 16 bytes: operations a second against the memory's roof (line), from the stored measurements of one machine.", "name": "fig-scan-roofline"}, "image": {"alt": "Log-log roofline: a rising line, the copy bandwidth times operations per byte. At half an operation per byte a column of points lies below it, circles for one shape and triangles for the other; the compiled loops, filled dots, are the highest of their shape, and the loop in Python with one sequence is far below all others."}}
record = benchmarks.records("cpu")[0]
scans = benchmarks.table(record, "scan").query("`pass` == 'forward' and dtype == 'complex64'")
scans = scans[(scans["lam"] == "channel") & (scans["implementation"] != "clone")]
fig, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
intensity = [2**-4, 2**-3, 2**-2, 0.5, 1, 2]
roof = [record["copy"]["bytes_per_second"] * i for i in intensity]
ax.loglog(intensity, roof, color="0.5", label="memory's roof")
for (shape, rows), marker in zip(scans.groupby("shape"), "^osDv", strict=False):
    rate = rows["bandwidth"] * 0.5
    ax.plot([0.5] * len(rows), rate, marker, color=style.COLORS["rnn"], ms=4, mfc="none")
    ax.plot([], [], marker, color=style.COLORS["rnn"], ms=4, mfc="none", label=str(shape))
ours = scans[scans["implementation"] == "rnnlib numba"]
ax.plot([0.5] * len(ours), ours["bandwidth"] * 0.5, "o", color=style.COLORS["lru"], ms=3)
ax.plot([], [], "o", color=style.COLORS["lru"], ms=3, label="this package, compiled")
ax.set(xlabel="operations a byte", ylabel="operations a second")
ax.legend(fontsize="small")
for shape, rows in scans.groupby("shape"):
    best = rows.loc[rows["bandwidth"].idxmax()]
    share = best["bandwidth"] / record["copy"]["bytes_per_second"]
    print(f"{shape}: nearest to the roof {best['implementation']}, at {share:.0%} of it")

# %% [markdown]
# The roof is measured by a copy into a tensor that exists. A scan, and `clone()`, also ask for new memory, and how much of it the process has had
# before is a matter of chance; the page on performance times both cases apart.
#
# ## Compiled loops on a CPU
# A row of channels is contiguous in memory, so a loop over channels inside the loop over time is one pass, in order. With numba installed
# (`pip install numba`) that is what a CPU runs: sixteen channels at a time as explicit vectors, whose states stay in registers, in double precision.
# Then memory is what takes the time. A processor that reads along fetches ahead by itself, but only to the end of a page, so the loops ask for each row
# eight steps before they need it. And one trap lies in the arithmetic: what fades would end as the smallest number there is, with which processors
# compute many times more slowly, so states and products below $2.2 \cdot 10^{-308}$ become zero.
#
# Threads share the batch first; then the channels, as long as the rows of each piece fill pages of memory of their own; else time is cut, in the three
# stages above. Against the loop:

# %%
if "numba" in rnnlib.scan.BACKENDS and importlib.util.find_spec("numba"):
    on_cpu = lam.cpu(), x.cpu()
    by_loop = linear_scan(*on_cpu, backend="sequential")
    error = (linear_scan(*on_cpu, backend="numba") - by_loop).abs()
    print(f"largest difference {error.max():.1e}, largest state {by_loop.abs().max():.1f}")

# %% [markdown]
# ## The kernel
# A GPU has bandwidth only if enough of it is asked for at once: bytes under way = bandwidth x latency, some megabytes. So the Triton kernel
# works on tiles: a thread asks for several consecutive steps of its channel at once, and while it works on them the next ones are under
# way. Where batch x channels fill the device, a program *walks* through all of time in one pass. By count that is 16 bytes a step of a complex64
# channel forward (read $x$, write $h$) and 24 for all gradients (read $h$ and $g$, write $\delta$). Elsewhere time is cut as well, and the three stages are
# three launches. On an H100, walking moves its bytes at 78 to 98 % of the fastest copy's rate, and chunks, which read the input twice, the bytes that they
# need at 42 to 63 %. This is the last stage, as it stands in `rnnlib/scan/cuda/chunks.py`:

# %%
from pathlib import Path

source = Path(rnnlib.scan.__file__).with_name("cuda").joinpath("chunks.py").read_text()
kernel = source[source.rindex("@triton.jit", 0, source.index("def _replay(")) :]
print(kernel[: kernel.index("\n\n\n")])

# %% [markdown]
# Reading the input twice can be avoided by *look-back*: a tile publishes its map $(p, e)$, waits for the maps of the tiles before it, and
# replays from the state that they give, all in one launch. By count that is faster. On an H100 it was slower in 38 of 40 cases, so the package
# no longer has it ([performance](../../book/performance.md)).

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


backends = ["sequential", "chunked"]
if device == "cuda":
    backends.append("cuda")
elif importlib.util.find_spec("numba"):
    backends.append("numba")
lengths = [2**k for k in range(6, 16)]
timing = {backend: [seconds(backend, T) for T in lengths] for backend in backends}
ratio = timing["sequential"][-1] / timing["chunked"][-1]
print(f"on {device}, T = {lengths[-1]}: the loop takes {ratio:.1f} times as long as the chunks")

# %% mystnb={"figure": {"caption": "Seconds for one scan, one sequence of 64 complex channels, on the machine that built this page (or on yours).", "name": "fig-scan-timing"}, "image": {"alt": "Log-log plot of seconds against sequence length from 64 to 32768. The loop grows in proportion to the length; the chunked scan starts near it, grows more slowly and ends an order of magnitude below; a third curve, of the compiled loops or of the GPU's kernel, lies below both."}}
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
# multiplied by $\lambda^i$ since, and $\sum_{i<T} |\lambda|^i \le \min\big(T, 1/(1-|\lambda|)\big)$. So the loop errs by at most $4 u \min\big(T, 1/(1-|\lambda|)\big) \max_t |h_t|$.
#
# The chunks hold a bound of the same form. No power of $\lambda$ is divided by, and carries are in double precision, so every step of the past errs once:
# in the replay if it lies in the same chunk, in the reduction if in an earlier one. But a state of a chunk run from zero, $h_t - p\,h_{\text{in}}$, may be
# twice as large as $\max_t |h_t|$, and the carry is rounded once where the replay takes it up. So at worst the constant is $2 \cdot 4 + 1 = 9$ instead of 4.
# Measured errors are no larger than the loop's, as root mean squares ([performance](../../book/performance.md#rounding)).
# We compare single with double precision over 100,000 steps.

# %%
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
# ## Exercises

# %% [markdown]
# ### Exercise 1: how long should a chunk be?
# *Derive. Easy.* Chunks of $K$ steps take $2K + T/K$ turns. Which $K$ is best, and how many turns are left for $T = 2^{15}$? Now cut the
# carries into chunks too: with which power of $T$ does the number of turns grow? Why does the package not go on like this?
#
# <details>
# <summary>Solution 1</summary>
#
# The derivative $2 - T/K^2$ vanishes at $K = \sqrt{T/2}$, with $2\sqrt{2T}$ turns: chunks of 128 and 512 turns instead of 32,768. With
# chunks of $K_2$ carries it is $2K + 2K_2 + T/(K K_2)$, least at $K = K_2 = (T/2)^{1/3}$, so the number grows as $T^{1/3}$, and further levels
# lead to $\log T$: a tree. But a turn is cheap next to what moves through memory, and there are only $T/K$ carries to save on.
#
# </details>

# %% tags=["solution", "hide-cell"]
# Solution 1
def least(turns, ks):
    return min((turns(*k), *k) for k in ks)


T = 2**15
powers = [2**k for k in range(1, 15)]
one_level = least(lambda K: 2 * K + T / K, [(K,) for K in powers])
two_levels = [
    least(lambda K, J, T=T: 2 * K + 2 * J + T / (K * J), [(K, J) for K in powers for J in powers])
    for T in (2**13, 2**16, 2**19)
]
print("one level, turns and K:", one_level)
print("two levels, eight times T each:", [turns for turns, *_ in two_levels])
assert one_level == (512, 128)
assert [turns for turns, *_ in two_levels] == [96, 192, 384]
