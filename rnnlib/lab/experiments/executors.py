"""Where blocks train: processes of this machine or a Dask cluster, both as a concurrent.futures.Executor."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .requirements import need
from .store import ResultError

if TYPE_CHECKING:
    import multiprocessing.connection

    import distributed

_CONNECT_SECONDS = 5.0

_steps: Any = None  # in a process of this machine: steps done by each block, shared with the parent


def count(index: int, done: int) -> None:
    """Tell the parent how many steps a block has done; to a Dask cluster's workers it means nothing."""
    if _steps is not None:
        _steps[index] = done


@contextlib.contextmanager
def processes(workers: int, blocks: int) -> Iterator[tuple[Executor, Sequence[int]]]:
    """Processes of this machine. They end with the context, whatever ends it, a kill of this process included.

    Args:
        workers: how many.
        blocks: how many will train.

    Yields:
        The executor, and the number of steps that each block has done.

    Raises:
        ResultError: one of them died, or there is no memory that they can share.
    """
    context = multiprocessing.get_context("spawn")
    try:
        steps = context.Array("q", blocks, lock=False)
    except OSError as error:  # it is a file in memory or in the folder for temporary files
        raise ResultError(
            f"worker processes cannot share memory here ({error.strerror}): allow larger files, free some space in "
            f"{tempfile.gettempdir()}, or train in this process with --workers 1."
        ) from error
    theirs, ours = context.Pipe(duplex=False)
    pool = _Pool(workers, mp_context=context, initializer=_start, initargs=(theirs, steps))
    try:
        yield pool, steps
    except BaseException as error:
        ours.close()
        if isinstance(error, concurrent.futures.BrokenExecutor):
            raise ResultError(
                "a worker process ended before its work: it was killed, perhaps for want of memory (fewer --workers "
                "need less), or its own message is above. Give the same command again; it goes on from checkpoints."
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


class _Pool(ProcessPoolExecutor):
    def submit(self, *arguments: Any, **options: Any) -> concurrent.futures.Future:
        """Starts a process if need be. With Ctrl-C blocked it never sees it: its parent ends it."""
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            return super().submit(*arguments, **options)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(*arguments, **options)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(parent: multiprocessing.connection.Connection, steps: Any) -> None:
    global _steps
    _steps = steps
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.connection.Connection) -> None:
    """Nothing is ever sent: the pipe's other end closes when the parent wants no more, or is no more."""
    with contextlib.suppress(EOFError, OSError):
        parent.poll(None)
    os._exit(1)


def connect(address: str) -> distributed.Client:
    """A client of a Dask scheduler, or one sentence within 15 seconds.

    Raises:
        RequirementError: Dask is not installed.
        ValueError: no scheduler answers there.
    """
    need("distributed", extra="lab,dask")
    from distributed import Client, rpc

    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        complete = bool(parts.scheme and parts.hostname and parts.port)
    except ValueError:  # no such port
        complete = False
    if not complete:
        raise ValueError(f"dask: {address!r} is not the address of a scheduler, such as tcp://127.0.0.1:8786")

    async def greet() -> None:
        async with asyncio.timeout(_CONNECT_SECONDS), rpc(address) as remote:
            if (await remote.identity())["type"] != "Scheduler":
                raise ValueError("it is a worker's address")

    # a Client that fails takes 10 seconds more to be deleted, and complains; so the first contact is without one
    try:
        thread = concurrent.futures.ThreadPoolExecutor(1)  # in a notebook this one has an event loop already
        thread.submit(asyncio.run, greet()).result(2 * _CONNECT_SECONDS)
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # what answers there may be anything
        raise ValueError(f"dask: no scheduler answers at {address!r}; start one with: dask scheduler") from error


def threads(client: distributed.Client) -> int:
    """How many threads the workers of a cluster have together.

    Raises:
        ValueError: it has no workers.
    """
    count = sum(client.nthreads().values())
    if not count:
        raise ValueError(
            "dask: the scheduler has no workers; start one with: dask worker ADDRESS, or say --workers for a cluster "
            "that grows with its tasks"
        )
    return count


@contextlib.contextmanager
def cluster(client: distributed.Client) -> Iterator[tuple[Executor, None]]:
    """The workers of a Dask cluster, which say nothing of steps. Blocks of one that dies go to another, which trains
    them to the same numbers."""
    from distributed import KilledWorker

    executor = client.get_executor(pure=False)
    try:
        yield executor, None
    except (KilledWorker, concurrent.futures.CancelledError) as error:
        raise ResultError(
            f"dask: the cluster lost its workers or its scheduler ({type(error).__name__}): start them and give the "
            "same command again; finished blocks are not trained again."
        ) from error
    finally:
        executor.shutdown(wait=False)
