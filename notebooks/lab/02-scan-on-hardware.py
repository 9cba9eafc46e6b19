# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # The scan on hardware
#
# **You will see** what limits a scan on a CPU and on a GPU, how close ours comes to that limit, the kernel, and a
# timing on your machine. **You need** [the chunked scan](01-chunked-scan.ipynb). **Time** under a minute on a CPU; a
# GPU is used if there is one.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Chunks pay off on one long sequence. Seconds per scan of one sequence with 64 complex channels, on the machine that built this page (or on yours).", "name": "fig-scan-timing"}, "image": {"alt": "Log-log plot of seconds against sequence length from 64 to 32768. The loop grows in proportion to the length; the chunked scan starts near it, grows more slowly and ends an order of magnitude below; a third curve, of the compiled loops or of the GPU's kernel, lies below both."}}
import importlib.util
import time

import matplotlib.pyplot as plt
import rnnlib.scan
import torch
from rnnlib import linear_scan
from rnnlib.lab import benchmarks, style

style.use()
device = "cuda" if torch.cuda.is_available() else "cpu"


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


backends = {"sequential": "loop in Python", "chunked": "chunks"}
if device == "cuda":
    backends["cuda"] = "Triton kernel"
elif importlib.util.find_spec("numba"):
    backends["numba"] = "compiled loops"
lengths = [2**k for k in range(6, 16)]
timing = {backend: [seconds(backend, T) for T in lengths] for backend in backends}
fig, ax = plt.subplots(figsize=(6.6, 2.5), layout="constrained")
colors = ["0.5", style.COLORS["rnn"], style.COLORS["lru"]]
for (backend, name), color in zip(backends.items(), colors, strict=False):
    ax.loglog(lengths, timing[backend], "o-", ms=3, color=color)
    ax.text(lengths[-1] * 1.15, timing[backend][-1], name, va="center", color=color)
ax.set(xlabel="sequence length $T$", ylabel="seconds", xlim=(50, 300_000), xticks=[100, 1e3, 1e4]);

# %% [markdown]
# A scan does little arithmetic, so memory limits it. On an H100 with enough channels our scan moves its bytes at 78 to
# 98 % of the fastest copy's rate. One long sequence of few channels must be cut into chunks, which read their input
# twice.

# %%
ratio = timing["sequential"][-1] / timing["chunked"][-1]
print(f"on {device}, T = {lengths[-1]}: the loop takes {ratio:.1f} times as long as the chunks")

# %% [markdown]
# With one sequence, an iteration of the loop has only 64 numbers to work on. A large batch gives the loop more;
# `make bench` times that case too.
#
# ## Memory is the limit
# One step of a complex channel takes 8 floating-point operations on 16 bytes, half an operation per byte: far less than
# a processor does while memory delivers a byte. So memory bandwidth sets a roof:

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The compiled loops come nearest to the memory's roof. Forward scans of complex numbers, 8 operations on 16 bytes: operations per second, from the stored measurements of one machine; line: what its memory allows. Two shapes (batch, time, channels), one dot per implementation.", "name": "fig-scan-roofline"}, "image": {"alt": "Log-log roofline: a rising line, the copy bandwidth times operations per byte. At half an operation per byte two columns of points lie below it, one for each shape; the compiled loops, in orange, are the highest of their shape, and the loop in Python with one sequence is far below all others."}}
record = benchmarks.records("cpu")[0]
scans = benchmarks.table(record, "scan").query("`pass` == 'forward' and dtype == 'complex64'")
scans = scans[(scans["lam"] == "channel") & (scans["implementation"] != "clone")]
fig, ax = plt.subplots(figsize=(6.6, 2.7), layout="constrained")
intensity = [2**-4, 2**-3, 2**-2, 0.5, 1, 2]
roof = [record["copy"]["bytes_per_second"] * i for i in intensity]
ax.loglog(intensity, roof, color="0.5")
ax.text(0.16, roof[1] * 1.8, "memory's roof", ha="right", color="0.4")
named = {"rnnlib numba": "compiled loops", "rnnlib sequential": "loop in Python"}
for (shape, rows), beside in zip(scans.groupby("shape"), [0.93, 1.07], strict=True):
    ax.text(0.5 * beside**4, 1.2e7, shape, ha="right" if beside < 1 else "left", va="top")
    for row in rows.itertuples():
        color = style.COLORS["lru" if row.implementation == "rnnlib numba" else "rnn"]
        ax.plot(0.5 * beside, row.bandwidth * 0.5, "o", color=color, ms=4)
        if row.implementation in named:
            ha, va = ("right", "top") if beside < 1 else ("left", "center")
            at = 0.5 * beside**3, row.bandwidth * 0.5
            ax.text(*at, named[row.implementation], ha=ha, va=va, color=color)
ax.set(xlabel="operations per byte", ylabel="operations per second", ylim=(5e6, 1e11));

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the share of the copy's bandwidth, all machines"}
for shape, rows in scans.groupby("shape"):
    best = rows.loc[rows["bandwidth"].idxmax()]
    share = best["bandwidth"] / record["copy"]["bytes_per_second"]
    print(f"{shape}: nearest to the roof {best['implementation']}, at {share:.0%} of it")
for record in benchmarks.records():
    print(record["machine"])
    scans = benchmarks.table(record, "scan").query("`pass` == 'forward' and dtype == 'complex64'")
    named = scans["implementation"].str.startswith("rnnlib cuda, ")  # not what linear_scan takes
    for row in scans[(scans["lam"] == "channel") & ~named].itertuples():
        share = f"{row.of_copy:6.1%} of the copy's bandwidth"
        print(f"  {row.shape!s:16} {row.implementation:32} {share}")

# %% [markdown]
# The roof is the rate of a copy into an existing tensor. A scan and `clone()` also allocate memory, which is slow if it
# is new to the process; [performance on a CPU](../../book/performance-cpu.md) times both cases.
#
# ## Compiled loops on a CPU
# A row of channels is contiguous in memory, so a loop over channels inside the loop over time is a single pass in
# memory order. With numba installed (`pip install numba`) a CPU runs this loop on sixteen channels at a time, as
# explicit vectors whose states stay in registers, in double precision. Then memory is the limit. Two details matter:
#
# - A processor that reads in order prefetches by itself, but only to the end of a page of memory. So the loops ask for
#   each row eight steps before they need it.
# - Decaying states become denormals, which are slow. So states and products below $2.2 \cdot 10^{-308}$ become zero.
#
# Threads divide the batch first, then the channels if each part of a row fills memory pages of its own, else time.
# Compared with the loop:

# %% tags=["hide-input"]
if "numba" in rnnlib.scan.BACKENDS and importlib.util.find_spec("numba"):
    lam, x = torch.full((64,), 0.99 + 0.1j), torch.randn(1, 2**14, 64, dtype=torch.complex64)
    by_loop = linear_scan(lam, x, backend="sequential")
    error = (linear_scan(lam, x, backend="numba") - by_loop).abs()
    print(f"largest difference {error.max():.1e}, largest state {by_loop.abs().max():.1f}")

# %% [markdown]
# ## The kernel
# A GPU reaches its bandwidth only if enough bytes are requested at once: bandwidth times latency, some megabytes. So
# the Triton kernel works on tiles: a thread requests several consecutive steps of its channel at once, and the next
# arrive while it works on them. Where batch times channels fill the device, a program *walks* through all of time in
# one pass. By count that is 16 bytes per step of a complex64 channel forward (read $x$, write $h$) and 24 for all
# gradients (read $h$ and $g$, write $\delta$). Otherwise time is cut as well, and the three stages of [the chunked
# scan](01-chunked-scan.ipynb#chunks) are three launches.
#
# On an H100, walking moves its bytes at 78 to 98 % of the fastest copy's rate, and chunks, which read the input twice,
# the bytes that they need at 42 to 63 %. This is the last stage, as it stands in `rnnlib/scan/cuda/chunks.py`:

# %% tags=["hide-input"]
from pathlib import Path

source = Path(rnnlib.scan.__file__).with_name("cuda").joinpath("chunks.py").read_text()
kernel = source[source.rindex("@triton.jit", 0, source.index("def _replay(")) :]
print(kernel[: kernel.index("\n\n\n")])

# %% [markdown]
# *Look-back* avoids reading the input twice: a tile publishes its map $(p, e)$, waits for the maps of the tiles before
# it, and replays from the resulting state, all in one launch. By count it should be faster. On an H100 it was slower in
# 38 of 40 cases, so we removed it from the package ([performance](../../book/performance.md)).
