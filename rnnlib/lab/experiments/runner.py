"""Running experiments: in blocks that train together, here, on processes of this machine or on a Dask cluster."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import importlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..direct import DirectEnsemble
from ..files import read_arrays, remove_abandoned, write_arrays
from ..provenance import code_hash, origin_of, peak_memory
from ..training import Ensemble, Protocol, one_thread
from . import executors, store
from .definition import Experiment, Run, _teachers_hash, content_hash
from .students import STUDENTS
from .tables import tables

if TYPE_CHECKING:
    import distributed
    import pandas as pd

_CHECKPOINT_SECONDS = 30.0

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Kind:
    """What runs that train together share.

    Attributes:
        protocol: how they train.
        details: keep the effective rates of every parameter.
        method: ``"exact"`` or ``"direct"``.
        device: ``"cpu"`` or ``"cuda"``.
    """

    protocol: Protocol
    details: bool
    method: str
    device: str


@dataclass(frozen=True)
class Block:
    """Runs that train together, in one process.

    Attributes:
        runs: what to train.
        kind: how.
    """

    runs: tuple[Run, ...]
    kind: Kind

    @property
    def key(self) -> str:
        """Names the block's files: other runs, or other code, have files of their own."""
        return content_hash(([asdict(run) for run in self.runs], asdict(self.kind), _teachers_hash(), code_hash()))

    def finished(self, folder: Path) -> Arrays | None:
        """What an interrupted command trained to the end; None if it did not, or if the file is damaged."""
        with contextlib.suppress(ValueError):
            return read_arrays(folder / f"{self.key}.npz") | {"resumed": np.array(True)}
        return None

    def finish(self, folder: Path, arrays: Arrays) -> None:
        """Keep what :meth:`train` returned until it is stored."""
        _save(folder / f"{self.key}.npz", lambda path: write_arrays(path, arrays))
        self._checkpoint(folder).unlink(missing_ok=True)

    def forget(self, folder: Path) -> None:
        """Delete the block's files, once its results are stored."""
        for path in (folder / f"{self.key}.npz", self._checkpoint(folder)):
            path.unlink(missing_ok=True)

    def train(
        self,
        folder: Path | None,
        progress: Callable[[int], None] = lambda steps: None,
        checkpoint_seconds: float = _CHECKPOINT_SECONDS,
    ) -> Arrays:
        """Train to the end, from the checkpoint of an interrupted command if there is one.

        Args:
            folder: for checkpoints; None for none.
            progress: called now and then with the number of steps done.
            checkpoint_seconds: how often to write a checkpoint.

        Returns:
            Arrays over runs: those of :class:`rnnlib.lab.training.Summary`, ``seconds``, ``resumed`` (from a
            checkpoint), and for each run i with details ``rates/i/NAME``.

        Raises:
            ResultError: a checkpoint cannot be written, for instance because the disk is full.
        """
        protocol = self.kind.protocol
        make = {"exact": Ensemble, "direct": DirectEnsemble}[self.kind.method]
        with one_thread() if self.kind.device == "cpu" else contextlib.nullcontext():
            ensemble = make([run.member(protocol.length) for run in self.runs], protocol, self.kind.device)
            if folder:
                with contextlib.suppress(ValueError):  # none, or damaged: train from the start, to the same numbers
                    ensemble.restore(self._checkpoint(folder))
            progress(ensemble.done)
            resumed, saved = ensemble.done > 0, time.monotonic()
            while ensemble.done < protocol.steps:
                ensemble.advance(progress)
                if folder and time.monotonic() - saved > checkpoint_seconds:
                    _save(self._checkpoint(folder), ensemble.save)
                    saved = time.monotonic()
            arrays = {**vars(ensemble.summary()), "seconds": np.array(ensemble.seconds), "resumed": np.array(resumed)}
            if self.kind.details:
                for index, rates in ensemble.effective_rates().items():
                    arrays |= {f"rates/{index}/{name}": values for name, values in rates.items()}
        return arrays

    def _checkpoint(self, folder: Path) -> Path:
        return folder / f"{self.key}.checkpoint.npz"


def _save(path: Path, write: Callable[[Path], None]) -> None:
    try:
        write(path)
    except OSError as error:
        raise store.unwritable(path, error) from error


def blocks_of(experiments: Iterable[Experiment], device: str, parts: int) -> list[Block]:
    """The blocks that cover the runs of some experiments, each run once, the longest first.

    Args:
        experiments: at the scale they are run.
        device: ``"cpu"`` or ``"cuda"``.
        parts: into how many blocks each protocol's data seeds are divided. A block draws its inputs for itself, so
            seeds stay together; the more of them, the fuller the tiles. Trained directly, a run is a block.
    """
    groups: dict[Kind, dict[Run, None]] = {}
    for experiment in experiments:
        groups.setdefault(_kind(experiment, device), {}).update(dict.fromkeys(experiment.runs()))
    blocks = []
    for kind, runs in groups.items():
        if kind.method == "direct":  # they share nothing
            blocks += [Block((run,), kind) for run in runs]
            continue
        seeds = sorted({run.seed for run in runs})
        for part in range(min(parts, len(seeds))):
            some = [run for run in runs if run.seed in seeds[part::parts]]
            some.sort(key=lambda run: (run.student, run.heads, run.width))
            blocks.append(Block(tuple(some), kind))
    return sorted(blocks, key=lambda block: -len(block.runs) * block.kind.protocol.steps)


def _kind(experiment: Experiment, device: str) -> Kind:
    return Kind(experiment.protocol, experiment.details == "parameters", experiment.method, device)


def train(
    experiments: Sequence[Experiment],
    scale: str,
    *,
    device: str = "cpu",
    workers: int | None = None,
    dask: str | None = None,
    folder: Path | None = None,
    progress: bool = True,
    checkpoint_seconds: float = _CHECKPOINT_SECONDS,
) -> dict[str, pd.DataFrame]:
    """Run experiments and store their results. Interrupted, the same call goes on.

    Args:
        experiments: as defined; runs they share are trained once.
        scale: at which scale.
        device: ``"cpu"`` or ``"cuda"``.
        workers: processes on this machine; by default one a core. With Dask, blocks; by default one a thread of its
            workers.
        dask: address of a Dask scheduler; blocks go to its workers instead.
        folder: where results go; by default one among the user's data.
        progress: show a progress bar.
        checkpoint_seconds: how often each process writes a checkpoint.

    Returns:
        The main table of each, by name, read back from where it was stored.

    Raises:
        ResultError: results cannot be written, or a worker process died.
        ValueError: no scheduler answers at the address.
    """
    scaled = [experiment.at(scale) for experiment in experiments]
    folder, work = folder or store.folder_of(scale), store.home() / "blocks"
    store.prepare(folder, work)
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        client = None if dask is None else stack.enter_context(executors.connect(dask))
        workers = 1 if device != "cpu" else workers or (executors.threads(client) if client else os.cpu_count()) or 1
        blocks = blocks_of(scaled, device, workers)
        report = stack.enter_context(_bar(blocks, progress))
        stack.callback(remove_abandoned, work)  # of workers that were ended while they wrote
        trained = _train_all(blocks, min(workers, len(blocks)), client, work, report, checkpoint_seconds)
    origin = origin_of(device, dask or min(workers, len(blocks)), threads=_threads_here(device)) | {
        "scale": scale,
        "run together": [experiment.name for experiment in scaled],
        "seconds, this command": round(time.monotonic() - start, 1),
        "seconds, all processes": round(float(sum(arrays["seconds"] for arrays in trained)), 1),
        "resumed": any(bool(arrays["resumed"]) for arrays in trained),
        "peak MiB, largest process": peak_memory(),
    }
    where = {
        (block.kind, run): (arrays, index)
        for block, arrays in zip(blocks, trained, strict=True)
        for index, run in enumerate(block.runs)
    }
    frames = {}
    for experiment in scaled:
        mine = [where[_kind(experiment, device), run] for run in experiment.runs()]
        store.write(experiment, tables(experiment, mine), origin, folder)
        frames[experiment.name] = store.read(experiment, folder, store.command(experiment.name, scale, folder))
    for block in blocks:
        block.forget(work)
    return frames


def _threads_here(device: str) -> int:
    return 1 if device == "cpu" else torch.get_num_threads()


def _train_all(
    blocks: Sequence[Block],
    workers: int,
    client: distributed.Client | None,
    folder: Path,
    report: Callable[[int, int], None],
    checkpoint_seconds: float,
) -> list[Arrays]:
    """What each block gives. A block is kept in the folder once it is done, whoever trains it."""
    results = [block.finished(folder) for block in blocks]

    for index, block in enumerate(blocks):
        report(index, block.kind.protocol.steps if results[index] else 0)
    waiting = [index for index, arrays in enumerate(results) if not arrays]

    def finish(index: int, arrays: Arrays) -> None:
        results[index] = arrays
        blocks[index].finish(folder, arrays)
        report(index, blocks[index].kind.protocol.steps)

    if not client and workers == 1:
        for index in waiting:
            finish(index, blocks[index].train(folder, functools.partial(report, index), checkpoint_seconds))
        return results
    makers = {STUDENTS[run.student].__module__ for block in blocks for run in block.runs}
    modules = sorted(name for name in makers if not name.startswith(("rnnlib.", "__")))
    try:
        steps = multiprocessing.get_context("spawn").Array("q", len(blocks), lock=False)
    except OSError as error:  # it is a file in memory or in the folder for temporary files
        raise store.ResultError(
            f"worker processes cannot share memory here ({error.strerror}): allow larger files, free some space in "
            f"{tempfile.gettempdir()}, or train in this process with --workers 1."
        ) from error
    with executors.cluster(client) if client else executors.processes(workers, steps) as executor:
        own = None if client else folder  # a cluster's workers may have no folder in common with this machine
        with contextlib.nullcontext() if client else executors.without_interrupts():
            futures = {
                executor.submit(_train, index, blocks[index], own, checkpoint_seconds, modules): index
                for index in waiting
            }
        running = set(futures)
        while running:
            done, running = concurrent.futures.wait(running, 0.2, concurrent.futures.FIRST_COMPLETED)
            for future in done:
                finish(futures[future], future.result())
            for future in running:
                report(futures[future], steps[futures[future]])
    return results


def _train(index: int, block: Block, folder: Path | None, checkpoint_seconds: float, modules: list[str]) -> Arrays:
    """In a worker."""
    for module in modules:  # students defined elsewhere register themselves when imported
        importlib.import_module(module)
    return block.train(folder, functools.partial(executors.count, index), checkpoint_seconds)


@contextlib.contextmanager
def _bar(blocks: Sequence[Block], show: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over the training steps of all members; yields ``report(block, steps done)``."""
    done = [0] * len(blocks)
    if not show:
        yield lambda index, steps: None
        return
    from tqdm.auto import tqdm

    total = sum(len(block.runs) * block.kind.protocol.steps for block in blocks)
    students = f"{sum(len(block.runs) for block in blocks)} students"
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    pause = 0.5 if watched else 30.0  # seconds between updates: a log keeps every one
    look = {"unit": "step", "unit_scale": True, "mininterval": pause, "maxinterval": max(10.0, pause)}
    with tqdm(total=total, desc=students, **look) as bar:

        def report(index: int, steps: int) -> None:
            bar.update((steps - done[index]) * len(blocks[index].runs))
            done[index] = steps

        yield report
