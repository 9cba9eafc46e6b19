"""Steps under a clock: each in a process of its own, and a whole file after each, whatever fails.

The parent never touches the device, so it can fork: a child starts with torch imported, and an error after which CUDA
refuses every call ends with the child. What a child sends is kept even if it is killed a moment later.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import math
import multiprocessing
import os
import signal
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

RESERVE = 3.0  # seconds before the deadline at which the last child is killed, for the file and the table
_STORE_SECONDS = 2.0  # between two writes of the file while a step sends rows
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Step:
    """A piece of work.

    Attributes:
        name: what it is called in the file.
        work: called with the record so far and an :class:`Emit`, in a child.
        seconds: that it is expected to take; a step for which less is left is skipped.
        limit: seconds after which it is killed.
        strategy: of the kernels that it runs; a strategy one of whose steps fails takes no part in later ones.
        required: no later step makes sense without it.
        again: also in a run that resumes an earlier one: it leaves something behind on the machine.
    """

    name: str
    work: Callable[[dict[str, Any], Emit], None]
    seconds: float
    limit: float
    strategy: str | None = None
    required: bool = False
    again: bool = False


@dataclass(frozen=True)
class Emit:
    """How a child hands over results."""

    pipe: Connection

    def row(self, section: str, row: dict[str, Any]) -> None:
        """A line of a table."""
        self.pipe.send(("row", section, finite(row)))

    def facts(self, **facts: Any) -> None:
        """Entries of the record; those of a dictionary join what is there."""
        self.pipe.send(("facts", "", finite(facts)))

    def missing(self, what: str, why: str) -> None:
        """Something that is not measured."""
        self.facts(missing={what: why})


class Missing(Exception):
    """A step cannot be done here, and nothing is wrong."""


class Clock:
    """Seconds until a deadline, of any clock that runs."""

    def __init__(self, budget: float, now: Callable[[], float] = time.monotonic):
        self.now, self.start = now, now()
        self.deadline = self.start + budget

    @property
    def elapsed(self) -> float:
        return self.now() - self.start

    @property
    def remaining(self) -> float:
        return self.deadline - self.now()


def age() -> float:
    """Seconds since this process started, most of them imports; 0 where the system does not say."""
    try:
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, float(Path("/proc/uptime").read_text().split()[0]) - started)
    except (OSError, ValueError, IndexError):
        return 0.0


class Record:
    """One JSON, replaced as a whole, and one log."""

    def __init__(self, folder: Path, content: dict[str, Any]):
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.content, self.step = folder / "bench-gpu.json", content, ""
        self.log = (folder / "bench-gpu.log").open("w", encoding="utf-8", buffering=1)

    def say(self, text: str) -> None:
        print(text, flush=True)
        self.log.write(text + "\n")

    def store(self) -> None:
        partial = self.path.with_name(self.path.name + ".tmp")
        partial.write_text(json.dumps(self.content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(self.path)

    def take(self, message: tuple[str, str, Any]) -> None:
        kind, section, value = message
        if kind == "row":
            self.content.setdefault(section, []).append(value | {"step": self.step})
            return
        for name, fact in value.items():
            before = self.content.get(name)
            self.content[name] = before | fact if isinstance(before, dict) and isinstance(fact, dict) else fact


def in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` returns, from a child: the parent leaves the device alone, so that it can fork later."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(work).result()


def same_machine(content: dict[str, Any], machine: str, versions: dict[str, str]) -> None:
    """Check that a stored record can go on here: rows of two machines, or of two compilers, are not comparable.

    Args:
        content: the record; one that has not come to know its machine has no rows either.
        machine: the name of the device here.
        versions: of the packages that decide how fast the kernels are.

    Raises:
        ValueError: the record is of another machine, or of other versions.
    """
    of_record = content.get("machine", "unknown")
    then = {name: content.get("versions", {}).get(name, version) for name, version in versions.items()}
    if of_record != "unknown" and (of_record, then) != (machine, versions):
        raise ValueError(
            f"the run to resume is of {_place(of_record, then)} and this machine is {_place(machine, versions)}: leave "
            "out --resume and name another --to FOLDER"
        )


def _place(machine: str, versions: dict[str, str]) -> str:
    return f"{machine} with {', '.join(f'{name} {version}' for name, version in versions.items())}"


def resumed(content: dict[str, Any], steps: list[Step]) -> dict[str, Any]:
    """A stored record without what steps have left that were not done, or that have to be taken again."""
    again = {step.name for step in steps if step.again}
    done = [row for row in content["steps"] if row["status"] == "done" and row["name"] not in again]
    names = {row["name"] for row in done}
    kept = {
        name: [row for row in value if row.get("step", "") in names or "step" not in row]
        for name, value in content.items()
        if isinstance(value, list) and name != "steps" and all(isinstance(row, dict) for row in value)
    }
    return content | kept | {"steps": done, "finished": False, "missing": {}}


def run(steps: list[Step], record: Record, clock: Clock) -> None:
    """All steps that the clock allows, in order, but those that ``record.content["steps"]`` says are done; there stands
    how each ended."""
    content = record.content
    before = {row["name"]: row for row in content.get("steps", [])}
    content["dropped"] = {}
    content["steps"] = rows = [
        before.get(step.name, {"name": step.name, "status": "not reached", "seconds": 0.0, "why": ""}) for step in steps
    ]
    record.store()
    without = ""
    for step, row in zip(steps, rows, strict=True):
        if row["status"] == "done":
            continue
        dropped = content["dropped"].get(step.strategy)
        left = clock.remaining - RESERVE
        if without:
            row |= {"status": "skipped", "why": without}
        elif dropped:
            row |= {"status": "skipped", "why": f"{step.strategy} was dropped: {dropped}"}
        elif left < step.seconds:
            why = f"{max(0.0, left):.0f} seconds were left and it takes about {step.seconds:.0f}"
            row |= {"status": "skipped", "why": why}
        else:
            record.say(f"-- {step.name}")
            record.step = step.name
            began = clock.now()
            row["status"] = "running"
            record.store()
            try:
                row["status"], row["why"] = _attempt(step, record, clock)
            except BaseException as error:
                row |= {"status": "interrupted", "why": type(error).__name__}
                raise
            finally:
                row["seconds"] = round(clock.now() - began, 2)
                if step.strategy and row["status"] in ("failed", "killed", "died"):
                    content["dropped"][step.strategy] = f"{step.name}: {row['why']}"
                content["seconds"] = round(clock.elapsed, 2)
                record.store()
        if row["status"] != "done" and not without:
            if step.required:
                without = f"the step {step.name!r} did not succeed"
            record.say(f"{row['status']}: {step.name}: {row['why']}")
    content["seconds"] = round(clock.elapsed, 2)
    record.store()


def _attempt(step: Step, record: Record, clock: Clock) -> tuple[str, str]:
    """The step in a child; how it ended, and why."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if not child:
        receiver.close()
        _child(step, record.content, sender, record.log.fileno())
    sender.close()
    end = min(clock.now() + step.limit, clock.deadline - RESERVE)
    stored, news = time.monotonic(), False
    try:
        while True:
            if news and time.monotonic() - stored > _STORE_SECONDS:
                record.store()
                stored, news = time.monotonic(), False
            left = end - clock.now()
            if left <= 0:
                _kill(child)
                with contextlib.suppress(EOFError, OSError):  # what it had sent by then
                    while receiver.poll(0) and (message := receiver.recv())[0] != "end":
                        record.take(message)
                out_of_time = clock.remaining <= RESERVE
                return "killed", "the time was up" if out_of_time else f"it took over {step.limit:.0f} seconds"
            try:
                if not receiver.poll(min(left, 0.2)):
                    continue
                message = receiver.recv()
            except (EOFError, OSError):
                return "died", f"its process ended with {_kill(child)}"
            if message[0] == "end":
                return message[1:]
            record.take(message)
            news = True
    finally:
        _kill(child)
        receiver.close()


def _child(step: Step, content: dict[str, Any], pipe: Connection, log: int) -> None:
    os.setpgid(0, 0)  # so that what it starts can be killed with it
    with contextlib.suppress(OSError, AttributeError):  # Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = sys.stderr = os.fdopen(os.dup(log), "w", buffering=1)
    try:
        step.work(content, Emit(pipe))
        end = ("done", "")
    except (Missing, ModuleNotFoundError) as error:
        end = ("missing", str(error))
    except BaseException as error:
        traceback.print_exc()
        end = ("failed", describe(error))
    with contextlib.suppress(OSError):
        pipe.send(("end", *end))
    os._exit(0)  # no destructor of a broken CUDA context runs


def _kill(child: int) -> str:
    """End a child and what it started, and say how it ended. One that the driver holds is left behind."""
    for _ in range(100):
        try:
            ended, status = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:
            return "an unknown status"
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return signal.Signals(-code).name if code < 0 else f"exit status {code}"
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)  # if it has no group of its own yet
        time.sleep(0.02)
    return "nothing that could be waited for"


@contextlib.contextmanager
def terminations_raise() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does: the child is killed and the file says what was interrupted."""

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def describe(error: BaseException) -> str:
    """An exception in a line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def finite(value: Any) -> Any:
    """The value as JSON can hold it: None for what is not finite."""
    if isinstance(value, dict):
        return {str(name): finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value):
        return finite(dataclasses.asdict(value))
    return value if value is None or isinstance(value, bool | int | str) else str(value)
