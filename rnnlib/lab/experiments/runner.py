"""Running experiments: blocks train here, on processes of this machine or on a Dask cluster; results are stored."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..files import remove_abandoned
from ..provenance import origin_of, peak_memory
from . import executors, store
from .blocks import Arrays, Block, Kind, blocks_of
from .definition import Experiment
from .tables import tables

if TYPE_CHECKING:
    import distributed
    import pandas as pd


def train(
    experiments: Sequence[Experiment],
    scale: str,
    *,
    device: str,
    workers: int | None,
    dask: str | None,
    folder: Path,
    progress: bool,
    checkpoint_seconds: float,
) -> dict[str, pd.DataFrame]:
    """Run experiments and store their results. Interrupted, the same call goes on.

    Arguments, result and errors are those of :func:`rnnlib.lab.experiments.run_all`, which has checked them.
    """
    scaled, work = [experiment.at(scale) for experiment in experiments], store.home() / "blocks"
    store.prepare(folder, work)
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        client = None if dask is None else stack.enter_context(executors.connect(dask))
        workers = 1 if device != "cpu" else workers or (executors.threads(client) if client else os.cpu_count()) or 1
        blocks = blocks_of(scaled, device, workers)
        report = stack.enter_context(_progress_bar(blocks, progress))
        stack.callback(remove_abandoned, work)  # of workers that were ended while they wrote
        trained = _train_all(blocks, min(workers, len(blocks)), client, work, report, checkpoint_seconds)
    threads = 1 if device == "cpu" else torch.get_num_threads()
    origin = origin_of(device, dask or min(workers, len(blocks)), threads=threads) | {
        "scale": scale,
        "run together": [experiment.name for experiment in scaled],
        "seconds, this command": round(time.monotonic() - start, 1),
        "seconds, all processes": round(float(sum(arrays["seconds"] for arrays in trained)), 1),
        "resumed": any(bool(arrays["resumed"]) for arrays in trained),
        "peak MiB, largest process": peak_memory(),
    }
    measured, frames = {}, {}
    for block, arrays in zip(blocks, trained, strict=True):
        measured |= {(block.kind, run): (arrays, index) for index, run in enumerate(block.runs)}
    for experiment in scaled:
        kind = Kind.of(experiment, device)
        rows = tables(experiment, [measured[kind, run] for run in experiment.runs()])
        store.write(experiment, rows, origin, folder)
        frames[experiment.name] = store.read(experiment, folder, store.command(experiment.name, scale, folder))
    for block in blocks:
        block.delete(work)
    return frames


def _train_all(
    blocks: Sequence[Block],
    workers: int,
    client: distributed.Client | None,
    folder: Path,
    report: Callable[[int, int], None],
    checkpoint_seconds: float,
) -> list[Arrays]:
    """What each block gives; saved in the folder as soon as it is done, whoever trains it."""
    results = [block.load(folder) for block in blocks]
    waiting = [index for index, arrays in enumerate(results) if not arrays]
    for index, block in enumerate(blocks):
        report(index, 0 if index in waiting else block.kind.protocol.steps)

    def finish(index: int, arrays: Arrays) -> None:
        results[index] = arrays
        blocks[index].save(folder, arrays)
        report(index, blocks[index].kind.protocol.steps)

    if not client and workers == 1:
        for index in waiting:
            finish(index, blocks[index].train(folder, functools.partial(report, index), checkpoint_seconds))
        return results
    own = None if client else folder  # a cluster's workers may have no folder in common with this machine
    with executors.cluster(client) if client else executors.processes(workers, len(blocks)) as (executor, steps):
        running = {}
        for index in waiting:
            progress = functools.partial(executors.count, index)
            running[executor.submit(blocks[index].train, own, progress, checkpoint_seconds)] = index
        while running:
            for future in concurrent.futures.wait(running, 0.2, concurrent.futures.FIRST_COMPLETED).done:
                finish(running.pop(future), future.result())
            for index in running.values() if steps else ():
                report(index, steps[index])
    return results


@contextlib.contextmanager
def _progress_bar(blocks: Sequence[Block], show: bool) -> Iterator[Callable[[int, int], None]]:
    """Over the training steps of all members; yields ``report(block, steps done)``."""
    from tqdm.auto import tqdm

    done = [0] * len(blocks)
    total = sum(len(block.runs) * block.kind.protocol.steps for block in blocks)
    students = f"{sum(len(block.runs) for block in blocks)} students"
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    pause = {"mininterval": 0.5} if watched else {"mininterval": 30.0, "maxinterval": 30.0}  # a log shows each update
    with tqdm(total=total, desc=students, disable=not show, unit="step", unit_scale=True, **pause) as bar:

        def report(index: int, steps: int) -> None:
            bar.update((steps - done[index]) * len(blocks[index].runs))
            done[index] = steps

        yield report
