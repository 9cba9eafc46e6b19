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
import zipfile
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

    @property
    def key(self) -> str:
        """Names it in the files of blocks."""
        return content_hash((asdict(self), _teachers_hash()))


@dataclass(frozen=True)
class Block:
    """Runs that train together, in one process.

    Attributes:
        runs: what to train.
        kind: how.
        source: a finished block or a checkpoint, of an earlier command, that holds these runs and maybe others.
        places: of the runs in it.
    """

    runs: tuple[Run, ...]
    kind: Kind
    source: Path | None = None
    places: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """Names the block's files."""
        return content_hash(([asdict(run) for run in self.runs], self.kind.key))

    def train(
        self,
        folder: Path | None,
        progress: Callable[[int], None] = lambda steps: None,
        checkpoint_seconds: float = _CHECKPOINT_SECONDS,
    ) -> dict[str, np.ndarray]:
        """Train to the end, from where an earlier command left these runs.

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
        protocol = self.kind.protocol
        source = self.source if self.source and self.source.exists() else None
        if source and not source.name.endswith(_CHECKPOINT):
            with contextlib.suppress(ValueError):  # damaged: train again, to the same numbers
                return _rows(read_arrays(source), self.places)
            source = None
        with one_thread() if self.kind.device == "cpu" else contextlib.nullcontext():
            members = [run.member(protocol.length) for run in self.runs]
            ensemble = {"exact": Ensemble, "direct": DirectEnsemble}[self.kind.method](
                members, protocol, self.kind.device
            )
            if source:
                with contextlib.suppress(ValueError):
                    ensemble.restore(source, self.places)
            progress(ensemble.done)
            resumed, saved = ensemble.done > 0, time.monotonic()
            while ensemble.done < protocol.steps:
                ensemble.advance(progress)
                if folder and time.monotonic() - saved > checkpoint_seconds:
                    self._keep(folder, _CHECKPOINT, ensemble.save)
                    saved = time.monotonic()
            arrays = {**vars(ensemble.summary()), "seconds": np.array(ensemble.seconds), "resumed": np.array(resumed)}
            if self.kind.details:
                for index, rates in ensemble.effective_rates().items():
                    arrays |= {f"rates/{index}/{name}": values for name, values in rates.items()}
        if folder:
            self._keep(folder, ".npz", lambda path: write_arrays(path, arrays))
            (folder / f"{self.key}{_CHECKPOINT}").unlink(missing_ok=True)
        return arrays

    def _keep(self, folder: Path, suffix: str, write: Callable[[Path], None]) -> None:
        """Write a file of the block, and beside it which runs it holds."""
        path = folder / f"{self.key}{suffix}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write(path)
        except OSError as error:
            raise store.unwritable(path, error) from error
        runs = folder / f"{self.key}.json"
        if not runs.exists():
            store.write_text(runs, json.dumps({"kind": self.kind.key, "runs": [asdict(run) for run in self.runs]}))


_CHECKPOINT = ".checkpoint.npz"


def _rows(arrays: dict[str, np.ndarray], places: Sequence[int]) -> dict[str, np.ndarray]:
    """Those of some runs of a finished block."""
    found = {"resumed": np.array(True), "seconds": arrays["seconds"] * (len(places) / len(arrays["loss"]))}
    for name, values in arrays.items():
        if name.startswith("rates/"):
            _, index, parameter = name.split("/", 2)
            if int(index) in places:
                found[f"rates/{places.index(int(index))}/{parameter}"] = values
        elif name not in found:
            found[name] = values[list(places)]
    return found


@dataclass(frozen=True)
class _Left:
    """What an earlier command left of a block: a file and the runs in it (None: no longer wanted)."""

    path: Path
    done: float
    kind: str
    runs: tuple[Run | None, ...]


def _left(folder: Path) -> list[_Left]:
    """What earlier commands left, the most advanced first; damaged files are passed over."""
    found = []
    for listing in sorted(folder.glob("*.json")):
        for suffix, done in ((".npz", math.inf), (_CHECKPOINT, None)):
            path = listing.with_suffix(suffix)
            with contextlib.suppress(OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
                plain = json.loads(listing.read_text(encoding="utf-8"))
                runs = tuple(run and Run(**run) for run in plain["runs"])
                if done is None:
                    with np.load(path, allow_pickle=False) as arrays:
                        done = float(arrays["done"][0])
                if path.exists():
                    found.append(_Left(path, done, plain["kind"], runs))
    return sorted(found, key=lambda left: -left.done)


def _forget(folder: Path, blocks: Iterable[Block]) -> None:
    """Delete what is kept of runs that are stored; files that hold others stay, with these struck from their list."""
    stored = {(block.kind.key, run) for block in blocks for run in block.runs}
    for left in _left(folder):
        runs = [None if (left.kind, run) in stored else run for run in left.runs]
        listing = folder / f"{left.path.name.partition('.')[0]}.json"
        if any(runs) and tuple(runs) != left.runs:
            kept = {"kind": left.kind, "runs": [run and asdict(run) for run in runs]}
            store.write_text(listing, json.dumps(kept))
        elif not any(runs):
            for path in (left.path, listing):
                path.unlink(missing_ok=True)
    for block in blocks:  # what kills in the middle of writing have left
        for path in folder.glob(f"{block.key}*.tmp"):
            path.unlink(missing_ok=True)


def blocks_of(experiments: Iterable[Experiment], device: str, parts: int, folder: Path | None = None) -> list[Block]:
    """The blocks that cover the runs of some experiments, each run once, the longest first.

    Args:
        experiments: at the scale they are run.
        device: ``"cpu"`` or ``"cuda"``.
        parts: into how many blocks each protocol's data seeds are divided. A block draws its inputs for itself, so
            seeds stay together; the more of them, the fuller the tiles. Trained directly, a run is a block.
        folder: where an interrupted command, of these experiments or others, left its blocks. Their runs go on from
            there, in blocks of their own.
    """
    groups: dict[Kind, dict[Run, None]] = {}
    for experiment in experiments:
        groups.setdefault(_kind(experiment, device), {}).update(dict.fromkeys(experiment.runs()))
    blocks, earlier = [], _left(folder) if folder else []
    for kind, runs in groups.items():
        for left in earlier:
            mine = [(run, place) for place, run in enumerate(left.runs) if run in runs and left.kind == kind.key]
            if mine:
                some, places = zip(*mine, strict=True)
                blocks.append(Block(some, kind, left.path, places))
                taken = set(some)
                runs = dict.fromkeys(run for run in runs if run not in taken)
        if kind.method == "direct":  # they share nothing
            blocks += [Block((run,), kind) for run in runs]
            continue
        seeds = sorted({run.seed for run in runs})
        count = min(parts, len(seeds))
        for part in range(count):
            mine = set(seeds[part::count])
            kept = [run for run in runs if run.seed in mine]
            kept.sort(key=lambda run: (run.student, run.heads, run.width))
            blocks.append(Block(tuple(kept), kind))
    return sorted(blocks, key=lambda block: -len(block.runs) * block.kind.protocol.steps)


def _kind(experiment: Experiment, device: str) -> Kind:
    return Kind(experiment.protocol, experiment.details == "parameters", experiment.method, device)


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
        workers: processes on this machine; by default one a core. With Dask, blocks; by default one a thread of its
            workers.
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
    workers = 1 if device != "cpu" else workers or (_dask_threads(dask) if dask else os.cpu_count()) or 1
    blocks = blocks_of(scaled, device, workers, work)
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
        (block.kind, run): (arrays, index)
        for block, arrays in zip(blocks, finished, strict=True)
        for index, run in enumerate(block.runs)
    }
    frames = {}
    for experiment in scaled:
        found = [where[_kind(experiment, device), run] for run in experiment.runs()]
        store.write(experiment, _tables(experiment, found), origin, folder)
        frames[experiment.name] = store.read(experiment, folder, command(experiment.name, scale))
    _forget(work, blocks)
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
            report(index, block.kind.protocol.steps)
    return results


def _dask_threads(address: str) -> int:
    from distributed import Client

    try:
        client = Client(address, set_as_default=False)
    except OSError as error:  # a refused connection or none within Dask's own time limit
        raise ValueError(f"dask: no scheduler answers at {address!r}; start one with: dask scheduler") from error
    with client:
        return sum(client.nthreads().values())


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
            if block.source and not block.source.name.endswith(_CHECKPOINT):
                results[index] = block.train(folder)
            else:
                futures[client.submit(block.train, None, pure=False)] = index
        for future in as_completed(list(futures), loop=client.loop):
            index = futures[future]
            arrays = results[index] = future.result()
            blocks[index]._keep(folder, ".npz", lambda path, arrays=arrays: write_arrays(path, arrays))
            report(index, blocks[index].kind.protocol.steps)
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
