"""Running experiments: runs shared by all that need them, in blocks, on processes of this machine or through Dask."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import math
import multiprocessing
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..direct import DirectEnsemble
from ..training import Ensemble, Protocol, one_thread, read_arrays, write_arrays
from . import store
from .definition import Experiment, Run, _teachers_hash, content_hash
from .students import STUDENTS

if TYPE_CHECKING:
    import pandas as pd

_CHECKPOINT_SECONDS = 30.0
_COLUMNS = ["student", "teacher", "nu0", "theta0", "heads", "rate", "seed", "start", "width"]


@dataclass(frozen=True)
class Block:
    """Runs that train together, in one process.

    Attributes:
        runs: what to train.
        protocol: how.
        details: keep the effective rates of every parameter.
        device: ``"cpu"`` or ``"cuda"``.
        method: ``"exact"`` or ``"direct"``.
    """

    runs: tuple[Run, ...]
    protocol: Protocol
    details: bool
    device: str
    method: str = "exact"

    @property
    def key(self) -> str:
        """Names the block's files."""
        runs = [asdict(run) for run in self.runs]
        return content_hash((runs, asdict(self.protocol), self.details, self.device, self.method, _teachers_hash()))

    def train(
        self,
        folder: Path | None,
        progress: Callable[[int], None] = lambda steps: None,
        checkpoint_seconds: float = _CHECKPOINT_SECONDS,
    ) -> dict[str, np.ndarray]:
        """Train to the end, from the last checkpoint if there is one.

        Args:
            folder: for checkpoints and the finished block; None keeps neither.
            progress: called now and then with the number of steps done.
            checkpoint_seconds: how often to write a checkpoint.

        Returns:
            Arrays over runs: those of :class:`rnnlib.training.Summary`, ``seconds``, ``resumed`` (from a checkpoint),
            and for each run i with details ``rates/i/NAME``.

        Raises:
            ResultError: the disk is full.
        """
        finished = folder / f"{self.key}.npz" if folder else None
        if finished and finished.exists():
            try:
                return read_arrays(finished) | {"resumed": np.array(True)}
            except ValueError:
                finished.unlink()  # damaged: train again, to the same numbers
        with one_thread() if self.device == "cpu" else contextlib.nullcontext():
            members = [run.member(self.protocol.length) for run in self.runs]
            kind = {"exact": Ensemble, "direct": DirectEnsemble}[self.method]
            ensemble = kind(members, self.protocol, self.device)
            checkpoint = folder / f"{self.key}.checkpoint.npz" if folder else None
            if checkpoint and checkpoint.exists():
                try:
                    ensemble.restore(checkpoint)
                except ValueError:
                    checkpoint.unlink()
            progress(ensemble.done)
            resumed, saved = ensemble.done > 0, time.monotonic()
            while ensemble.done < self.protocol.steps:
                ensemble.advance(progress)
                if checkpoint and time.monotonic() - saved > checkpoint_seconds:
                    _written(checkpoint, ensemble.save)
                    saved = time.monotonic()
            arrays = {**vars(ensemble.summary()), "seconds": np.array(ensemble.seconds), "resumed": np.array(resumed)}
            if self.details:
                for index, rates in ensemble.effective_rates().items():
                    arrays |= {f"rates/{index}/{name}": values for name, values in rates.items()}
        if finished and checkpoint:
            _written(finished, lambda path: write_arrays(path, arrays))
            checkpoint.unlink(missing_ok=True)
        return arrays


def _written(path: Path, write: Callable[[Path], None]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
    groups: dict[tuple, dict[Run, None]] = {}
    for experiment in experiments:
        key = (experiment.protocol, experiment.details == "parameters", experiment.method)
        groups.setdefault(key, {}).update(dict.fromkeys(experiment.runs()))
    blocks = []
    for (protocol, details, method), runs in groups.items():
        if method == "direct":  # they share nothing
            blocks += [Block((run,), protocol, details, device, method) for run in runs]
            continue
        seeds = sorted({run.seed for run in runs})
        count = min(parts, len(seeds))
        for part in range(count):
            mine = set(seeds[part::count])
            kept = [run for run in runs if run.seed in mine]
            kept.sort(key=lambda run: (run.student, run.heads, run.width))
            blocks.append(Block(tuple(kept), protocol, details, device))
    return sorted(blocks, key=lambda block: -len(block.runs) * block.protocol.steps)


def _parts(experiments: Sequence[Experiment], device: str, wanted: int, folder: Path) -> int:
    """How many parts: as many as processes, or what an interrupted run of the same experiments chose, whose checkpoints
    would not fit other blocks."""
    key = content_hash([experiment.hash for experiment in experiments])
    path = folder / f"plan-{key}-{device}.json"
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        store.write_text(path, json.dumps({"parts": wanted}))
        return wanted


def run_all(
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
    """Run experiments and store their results.

    Args:
        experiments: as defined; runs they share are trained once.
        scale: at which scale.
        device: ``"cpu"`` or ``"cuda"``.
        workers: processes on this machine; by default one a core.
        dask: address of a Dask scheduler; blocks go to its workers instead.
        folder: where results go; by default the package for the paper's scale, else the user's cache.
        progress: show a progress bar.
        checkpoint_seconds: how often each process writes a checkpoint.

    Returns:
        The main table of each, by name, read back from where it was stored.

    Raises:
        ResultError: results cannot be written.
    """
    scaled = [experiment.at(scale) for experiment in experiments]
    folder = folder or store.folder_of(scale)
    work = store.home() / "blocks"
    workers = 1 if device != "cpu" else workers or os.cpu_count() or 1
    blocks = blocks_of(scaled, device, _parts(scaled, device, workers, work))
    workers = min(workers, len(blocks))
    start = time.monotonic()
    with _bar(blocks, progress) as report:
        if dask:
            finished = _through_dask(blocks, dask, work, report)
        elif workers == 1:
            finished = []
            for index, block in enumerate(blocks):
                finished.append(block.train(work, lambda steps, index=index: report(index, steps), checkpoint_seconds))
        else:
            finished = _in_processes(blocks, workers, work, report, checkpoint_seconds)
    origin = origin_of(device, dask or workers, threads=1 if device == "cpu" else torch.get_num_threads()) | {
        "scale": scale,
        "run together": [experiment.name for experiment in scaled],
        "seconds, this command": round(time.monotonic() - start, 1),
        "seconds, all processes": round(float(sum(arrays["seconds"] for arrays in finished)), 1),
        "resumed": any(bool(arrays["resumed"]) for arrays in finished),
        "peak MiB, largest process": peak_memory(),
    }
    where = {
        (block.protocol, block.details, block.method, run): (arrays, index)
        for block, arrays in zip(blocks, finished, strict=True)
        for index, run in enumerate(block.runs)
    }
    frames = {}
    for experiment in scaled:
        kind = experiment.protocol, experiment.details == "parameters", experiment.method
        found = [where[*kind, run] for run in experiment.runs()]
        store.write(experiment, _tables(experiment, found), origin, folder)
        frames[experiment.name] = store.read(experiment, folder, command(experiment.name, scale))
    return frames


def command(name: str, scale: str) -> str:
    """What to type to compute a result."""
    return f"python -m rnnlib run {name} --scale {scale}"


def _tables(experiment: Experiment, found: list[tuple[dict[str, np.ndarray], int]]) -> dict[str, Any]:
    runs = experiment.runs()
    settings = [tuple(getattr(run, column) for column in _COLUMNS) for run in runs]
    rows = []
    for setting, (arrays, index) in zip(settings, found, strict=True):
        loss, zero_loss = float(arrays["loss"][index]), float(arrays["zero_loss"][index])
        rows.append(
            (*setting, "" if math.isnan(loss) else repr(loss), repr(zero_loss), bool(arrays["diverged"][index]))
        )
    tables = {"runs": ([*_COLUMNS, "loss", "zero_loss", "diverged"], rows)}
    if experiment.details in ("curves", "coarse curves"):
        coarse, report = experiment.details == "coarse curves", experiment.protocol.report
        names = ["student", *["start"] * coarse, "heads", "rate", "seed"]
        curves = []
        for run, (arrays, index) in zip(runs, found, strict=True):
            if coarse and arrays["diverged"][index]:
                continue
            setting = [getattr(run, name) for name in names]
            for epoch, numbers in enumerate(np.column_stack([arrays["curve"][index], arrays["rates"][index]]), 1):
                if epoch % (5 if coarse else 1) == 0:
                    curves.append((*setting, epoch * report, *(f"{number:.6g}" for number in numbers)))
        tables["curves"] = ([*names, "step", "loss", "effective", "effective_plain", "negative"], curves)
    if experiment.details == "parameters":  # of the first seed: a dot a parameter
        tables["parameters"] = (
            ["student", "start", "seed", "parameter", "index", "effective", "effective_plain"],
            [
                (run.student, run.start, run.seed, name.split("/")[2], place, f"{paper:.6g}", f"{plain:.6g}")
                for run, (arrays, index) in zip(runs, found, strict=True)
                if run.seed == experiment.seeds[0]
                for name, values in arrays.items()
                if name.startswith(f"rates/{index}/")
                for place, (paper, plain) in enumerate(values.T)
            ],
        )
    return tables


@contextlib.contextmanager
def _bar(blocks: Sequence[Block], show: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar over the training steps of all members; yields ``report(block, steps done)``."""
    done = [0] * len(blocks)
    if not show:
        yield lambda index, steps: None
        return
    from tqdm.auto import tqdm

    total = sum(len(block.runs) * block.protocol.steps for block in blocks)
    students = f"{sum(len(block.runs) for block in blocks)} students"
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    pause = 0.5 if watched else 30.0  # seconds between updates: a log keeps every one
    look = {"unit": "step", "unit_scale": True, "mininterval": pause, "maxinterval": max(10.0, pause)}
    with tqdm(total=total, desc=students, **look) as bar:

        def report(index: int, steps: int) -> None:
            bar.update((steps - done[index]) * len(blocks[index].runs))
            done[index] = steps

        yield report


_counter: Any = None  # in a worker process: steps done by each block, shared with the parent


def _start_worker(counter: Any, modules: list[str]) -> None:
    global _counter
    _counter = counter
    for module in modules:  # students defined elsewhere register themselves when imported
        importlib.import_module(module)
    keep_memory()


def keep_memory() -> None:
    """Have the C library keep freed memory instead of returning it: each return costs page faults at the next step."""
    if sys.platform == "linux":
        import ctypes

        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; measured: a quarter to a third less time
        if mallopt:
            mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD


def _work(index: int, block: Block, folder: Path, checkpoint_seconds: float) -> dict[str, np.ndarray]:
    parent = os.getppid()

    def progress(steps: int) -> None:
        _counter[index] = steps
        if os.getppid() != parent:  # killed: leave the rest to whoever starts again
            os._exit(1)

    return block.train(folder, progress, checkpoint_seconds)


def _in_processes(
    blocks: Sequence[Block], workers: int, folder: Path, report: Callable[[int, int], None], checkpoint_seconds: float
) -> list[dict[str, np.ndarray]]:
    context = multiprocessing.get_context("spawn")
    counter = context.Array("q", len(blocks), lock=False)
    makers = {STUDENTS[run.student].__module__ for block in blocks for run in block.runs}
    modules = sorted(name for name in makers if not name.startswith(("rnnlib.", "__")))
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(counter, modules))
    with pool:
        futures = [pool.submit(_work, index, block, folder, checkpoint_seconds) for index, block in enumerate(blocks)]
        try:
            while not all(future.done() for future in futures):
                for index in range(len(blocks)):
                    report(index, counter[index])
                if any(future.done() and future.exception() for future in futures):
                    break
                time.sleep(0.2)
            results = [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(pool._processes.values()):
                process.terminate()
            raise
        for index, block in enumerate(blocks):
            report(index, block.protocol.steps)
    return results


def _through_dask(
    blocks: Sequence[Block], address: str, folder: Path, report: Callable[[int, int], None]
) -> list[dict[str, np.ndarray]]:
    """Blocks on the workers of a Dask cluster; finished ones are kept on this machine.

    Dask moves the blocks of a worker that dies to another, which trains them from the start, to the same numbers.
    """
    from distributed import Client, as_completed

    results: dict[int, dict[str, np.ndarray]] = {}
    with Client(address, set_as_default=False) as client:
        futures = {}
        for index, block in enumerate(blocks):
            if (folder / f"{block.key}.npz").exists():
                results[index] = block.train(folder)
            else:
                futures[client.submit(block.train, None, pure=False)] = index
        for future in as_completed(list(futures), loop=client.loop):
            index = futures[future]
            arrays = results[index] = future.result()
            _written(folder / f"{blocks[index].key}.npz", lambda path, arrays=arrays: write_arrays(path, arrays))
            report(index, blocks[index].protocol.steps)
    return [results[index] for index in range(len(blocks))]


def origin_of(device: str, workers: int | str, *, threads: int) -> dict[str, Any]:
    """Where numbers come from: commit, date, device, processes, threads of each, versions."""
    return {
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "processes": workers,
        "threads a process": threads,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "rnnlib": importlib.import_module("rnnlib").__version__,
        },
    }


def peak_memory() -> int | None:
    """MiB that this process or the largest of its finished children held at most; None where nobody counts."""
    try:
        import resource
    except ImportError:
        return None
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(most / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def _processor() -> str:
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores"


def _commit() -> str:
    """The commit of a checkout, with "+" if files of the package have changed since; "unknown" when installed."""
    package = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=package, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", "*.py", "teachers.csv") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
