"""Blocks: runs that train together, in one process, with files of their own until their results are stored."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..direct import DirectEnsemble
from ..files import read_arrays, write_arrays
from ..provenance import code_hash, teachers_hash
from ..systems import TEACHERS
from ..training import Ensemble, Protocol, one_thread
from . import store
from .definition import Experiment, Run, content_hash
from .students import STUDENTS

Arrays = dict[str, np.ndarray]
_ENGINES = {"exact": Ensemble, "direct": DirectEnsemble}


@dataclass(frozen=True)
class Kind:
    """What runs that train together share."""

    protocol: Protocol
    details: bool  # record the effective rates of every parameter
    method: str
    device: str

    @classmethod
    def of(cls, experiment: Experiment, device: str) -> Kind:
        """That of the runs of an experiment."""
        return cls(experiment.protocol, experiment.details in ("parameters", "groups"), experiment.method, device)


@dataclass(frozen=True)
class Block:
    """Runs that train together, in one process."""

    runs: tuple[Run, ...]
    kind: Kind
    modules: tuple[str, ...] = ()  # to import in a worker: students that are defined elsewhere register themselves

    @property
    def key(self) -> str:
        """Names the block's files: other runs, or other code, have files of their own."""
        runs, sources = [asdict(run) for run in self.runs], (teachers_hash(TEACHERS - 1), code_hash())
        return content_hash((runs, asdict(self.kind), *sources))

    def train(self, folder: Path | None, progress: Callable[[int], None], checkpoint_seconds: float) -> Arrays:
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
        for module in self.modules:
            importlib.import_module(module)
        protocol = self.kind.protocol
        with one_thread() if self.kind.device == "cpu" else contextlib.nullcontext():
            members = [run.member(protocol.length) for run in self.runs]
            ensemble = _ENGINES[self.kind.method](members, protocol, self.kind.device)
            if folder:
                with contextlib.suppress(ValueError):  # none, or damaged: train from the start, to the same numbers
                    ensemble.restore(self._checkpoint(folder))
            progress(ensemble.done)
            resumed, saved = ensemble.done > 0, time.monotonic()
            while ensemble.done < protocol.steps:
                ensemble.advance(progress)
                if folder and time.monotonic() - saved > checkpoint_seconds:
                    with store.writing(self._checkpoint(folder)) as path:
                        ensemble.save(path)
                    saved = time.monotonic()
            arrays = {**vars(ensemble.summary()), "seconds": np.array(ensemble.seconds), "resumed": np.array(resumed)}
            if self.kind.details:
                for index, rates in ensemble.effective_rates().items():
                    arrays |= {f"rates/{index}/{name}": values for name, values in rates.items()}
        return arrays

    def save(self, folder: Path, arrays: Arrays) -> None:
        """Store what :meth:`train` returned until it is part of a result; the checkpoint is no longer needed."""
        with store.writing(self._trained(folder)) as path:
            write_arrays(path, arrays)
        self._checkpoint(folder).unlink(missing_ok=True)

    def load(self, folder: Path) -> Arrays | None:
        """What an interrupted command saved; None if it did not come so far, or if the file is damaged."""
        with contextlib.suppress(ValueError):
            return read_arrays(self._trained(folder)) | {"resumed": np.array(True)}
        return None

    def delete(self, folder: Path) -> None:
        """Delete the block's files, once its results are stored."""
        for path in (self._trained(folder), self._checkpoint(folder)):
            path.unlink(missing_ok=True)

    def _trained(self, folder: Path) -> Path:
        return folder / f"{self.key}.npz"

    def _checkpoint(self, folder: Path) -> Path:
        return folder / f"{self.key}.checkpoint.npz"


def blocks_of(experiments: Iterable[Experiment], device: str, parts: int) -> list[Block]:
    """The blocks that cover the runs of some experiments, each run once, the longest first.

    Args:
        experiments: at the scale they are run.
        device: ``"cpu"`` or ``"cuda"``.
        parts: into how many blocks each protocol's data seeds are divided. A block draws its inputs for itself, so
            seeds stay together; the more of them, the fuller the tiles. Trained directly, a run is a block.
    """
    kinds: dict[Kind, dict[Run, None]] = {}
    for experiment in experiments:
        kinds.setdefault(Kind.of(experiment, device), {}).update(dict.fromkeys(experiment.runs()))
    blocks = []
    for kind, runs in kinds.items():
        makers = {STUDENTS[run.student].__module__ for run in runs}
        modules = tuple(sorted(name for name in makers if not name.startswith(("rnnlib.", "__"))))
        seeds = sorted({run.seed for run in runs})
        groups = [[run for run in runs if run.seed in seeds[part::parts]] for part in range(min(parts, len(seeds)))]
        if kind.method == "direct":  # they share nothing
            groups = [[run] for run in runs]
        blocks += [Block(tuple(group), kind, modules) for group in groups]
    return sorted(blocks, key=lambda block: -len(block.runs) * block.kind.protocol.steps)
