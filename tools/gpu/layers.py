"""Layers and whole experiments: what a user of the scan waits for."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timing
import torch

from rnnlib.layers import LRU

if TYPE_CHECKING:
    from .clock import Emit
    from .devices import Gpu

GRID = ("fig03a", "fig03b", "fig10d", "fig11")


def _model_and_input(device: Gpu, seed: int) -> tuple[LRU, torch.Tensor]:
    sizes = [device.layer[name] for name in ("input_size", "hidden_size", "output_size")]
    generator = torch.Generator().manual_seed(seed)
    model = LRU(*sizes, min_modulus=0.9, backend="cuda", generator=generator).to(device.device)
    x = torch.randn(device.layer["batch"], device.layer["length"], sizes[0], generator=generator)
    return model, x.to(device.device)


def _emit(device: Gpu, emit: Emit, works: dict) -> None:
    with device.sizes("auto"):
        times, failed = device.timed(works)
    for name, values in times.items():
        for how, seconds in values.items():
            row = {**device.layer, "implementation": f"{name}, {how}", "pass": "forward + backward"}
            row |= timing.spread(seconds)
            emit.row("layer", row)
            print(f"{row['implementation']:44} {row['median_s'] * 1e3:8.2f} ms", flush=True)
    for name, why in failed.items():
        emit.missing(name, why)
    if not times:
        raise RuntimeError("; ".join(failed.values()))


def _step(model, parameters, x, autocast) -> None:
    with autocast:
        y = model(x)
    y = y[0] if isinstance(y, tuple) else y  # outputs, and the state
    torch.autograd.grad(y.float().square().mean(), parameters)


def lru_step(device: Gpu, half: torch.dtype | None, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """Forward and backward through an LRU, in single precision or under autocast, eager and as a CUDA graph."""
    model, x = _model_and_input(device, seed)
    autocast = torch.autocast(device.device.type, half) if half else contextlib.nullcontext()
    name = "rnnlib LRU" + (f", autocast {str(half).removeprefix('torch.')}" if half else "")
    works = {name: functools.partial(_step, model, list(model.parameters()), x, autocast)}
    if not half:
        import peers

        sizes = [device.layer[name] for name in ("input_size", "hidden_size", "output_size")]
        minimal = peers.MinimalLRU(*sizes, doubling=True).to(device.device)
        works["minimal PyTorch, doubling scan"] = functools.partial(
            _step, minimal, list(minimal.parameters()), x, autocast
        )
    _emit(device, emit, works)


def compiled_step(device: Gpu, seed: int, record: dict[str, Any], emit: Emit) -> None:
    """The same under torch.compile."""
    model, x = _model_and_input(device, seed)
    compiled = torch.compile(model, **({"backend": "aot_eager"} if device.rehearsal else {}))
    work = functools.partial(_step, compiled, list(model.parameters()), x, contextlib.nullcontext())
    _emit(device, emit, {"rnnlib LRU, torch.compile": work})


def grid_step(device: Gpu, name: str, record: dict[str, Any], emit: Emit) -> None:
    """One of the paper's grids of trained students. If the clock stops it, the record says how far it came."""
    import tqdm.auto

    tqdm.auto.tqdm = functools.partial(_Progress, emit, name)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RNNLIB_HOME"] = folder  # nothing to resume from
        from rnnlib.lab import experiments

        start, chosen = time.perf_counter(), [experiments.get(name)]
        frames = experiments.run_all(chosen, device.scale, device=device.device.type, workers=1, folder=Path(folder))
        rows = sum(len(frame) for frame in frames.values())
        seconds = time.perf_counter() - start
        emit.row("grid", {"experiment": name, "scale": device.scale, "rows": rows, "seconds": seconds})


class _Progress:
    """Stands in for tqdm's bar: what it would show goes into the record, once a second."""

    def __init__(self, emit: Emit, name: str, total: int, **look: Any):
        self.emit, self.name, self.total, self.done = emit, name, total, 0
        self.start = self.said = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._say()

    def update(self, steps: int) -> None:
        self.done += steps
        if time.monotonic() - self.said > 1:
            self._say()

    def _say(self) -> None:
        self.said = time.monotonic()
        facts = {"steps": self.done, "of": self.total, "seconds": round(self.said - self.start, 1)}
        self.emit.facts(grid_progress={self.name: facts})
