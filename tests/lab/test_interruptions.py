"""Commands interrupted, killed, or out of disk: one sentence, no process or file left, and the same bits later.

The real command line runs in a process of its own, with an experiment that is small but not done at once.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from rnnlib.lab import files

ROOT = Path(__file__).resolve().parents[2]
TINY = '''
"""python tiny.py: the command line of rnnlib, with one more experiment and checkpoints after every epoch."""
import errno, functools, os
from rnnlib.lab import experiments
from rnnlib.__main__ import console
from rnnlib.lab.experiments import Cell, Experiment
from rnnlib.lab.training import Protocol

cells = (Cell("lru", rates=(0.01, 0.001), nu0=(0.5,)), Cell("rnn", rates=(0.001, 1000.0), start=0.0, heads=(1, 32)))
protocol = Protocol(steps=600, report=10, batch=8, length=40)
experiments.EXPERIMENTS["tiny"] = Experiment("tiny", "t", cells, seeds=(0, 1, 2), protocol=protocol, details="curves")
experiments.run_all = functools.partial(experiments.run_all, checkpoint_seconds=0.0)
if os.environ.get("DISK_FULL"):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")
    os.fsync = full
if __name__ == "__main__":
    console()
'''


class Command:
    """``rnnlib run tiny`` in a process and session of its own."""

    def __init__(self, folder: Path, workers: int, **environment: str):
        script = folder / "tiny.py"
        script.write_text(TINY)
        self.blocks = folder / "home" / "blocks"
        arguments = ["run", "tiny", "--scale", "paper", "--workers", str(workers), "--to", str(folder / "results")]
        self.workers = workers if workers > 1 else 0
        self.process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            env=os.environ
            | {"RNNLIB_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            | environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C goes to a process group
        )

    def train(self) -> list[psutil.Process]:
        """Wait until every process trains; its workers."""
        before = self._checkpoints()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            now = self._checkpoints()
            if sum(before.get(name) != stamp for name, stamp in now.items()) >= max(1, self.workers):
                break
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.01)
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]

    def _checkpoints(self) -> dict[str, int]:
        checkpoints = {}
        for path in self.blocks.glob("*.checkpoint.npz"):
            try:
                checkpoints[path.name] = path.stat().st_mtime_ns
            except FileNotFoundError:
                pass
        return checkpoints

    def end(self) -> tuple[int, str]:
        """Exit status and what was written to the standard error, once it and all its workers have ended."""
        _, printed = self.process.communicate(timeout=120)
        return self.process.returncode, printed


def running(processes: list[psutil.Process], seconds: float = 20) -> list[psutil.Process]:
    """Those that are still there after some seconds, without the dead that nobody has waited for."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "results").glob("*.csv")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the command stores when nothing disturbs it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    status, printed = Command(folder, 1).end()
    assert status == 0, printed
    return tables(folder)


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("workers", [1, 2])
def test_whatever_ends_a_command_the_same_command_goes_on(expected, tmp_path, workers):
    status, printed = Command(tmp_path, workers, DISK_FULL="1").end()
    assert status == 1 and printed.splitlines()[-1].startswith("the disk is full: ") and "Traceback" not in printed

    for number, to_group, said, wanted in (
        (signal.SIGINT, True, "interrupted; the same command goes on", 130),  # a terminal's Ctrl-C reaches the workers
        (signal.SIGTERM, False, "interrupted; the same command goes on", 143),
        (signal.SIGKILL, False, None, -signal.SIGKILL),
    ):
        command = Command(tmp_path, workers)
        children = command.train()
        assert len(children) == command.workers
        (os.killpg if to_group else os.kill)(command.process.pid, number)
        status, printed = command.end()
        assert status == wanted and "Traceback" not in printed, printed
        assert said is None or printed.splitlines()[-1] == said
        assert not running(children)

    if workers > 1:
        command = Command(tmp_path, workers)
        victim, *others = command.train()
        victim.kill()
        status, printed = command.end()
        assert status == 1 and "Traceback" not in printed, printed
        assert printed.splitlines()[-1].startswith("a worker process ended before its work")
        assert not running(others)

    assert not tables(tmp_path)
    status, printed = Command(tmp_path, workers).end()
    assert status == 0, printed
    assert tables(tmp_path) == expected
    assert not list((tmp_path / "home" / "blocks").iterdir())  # no checkpoint, and no temporary file of those killed


SLOW_START = """
import os, signal, sys
from rnnlib.__main__ import console

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "rnnlib.lab.experiments":
            os.kill(os.getpid(), int(sys.argv.pop()))

sys.meta_path.insert(0, Interrupt())
console()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_the_command_starts_is_said_in_one_sentence(tmp_path, number):
    for arguments, said in ((["run", "fig09cd"], "interrupted; the same command goes on"), (["list"], "interrupted")):
        command = [sys.executable, "-c", SLOW_START, *arguments, str(int(number))]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "RNNLIB_HOME": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", f"{said}\n")


@pytest.mark.skipif(os.name != "posix", reason="limits of Unix")
def test_a_limit_on_the_size_of_files_is_said_in_one_sentence(tmp_path):
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)); "
    code += "from rnnlib.__main__ import console; console()"
    command = [sys.executable, "-B", "-c", code, "run", "fig09cd", "--scale", "smoke", "--workers"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RNNLIB_HOME": str(tmp_path)}
    for workers, said in (("1", "cannot be written (File too large)"), ("2", "worker processes cannot share memory")):
        done = subprocess.run([*command, workers], env=environment, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert said in done.stderr.splitlines()[-1]


def test_only_files_of_dead_writers_are_removed(tmp_path):
    code = "import sys, pathlib; from rnnlib.lab import files; file = files._locked(pathlib.Path(sys.argv[1])); "
    code += "file.write(b'half'); file.flush(); print(flush=True); sys.stdin.read()"
    dead, living = tmp_path / "a.npz.0.tmp", tmp_path / "b.npz.1.tmp"
    writers = {}
    for path in (dead, living):
        command = [sys.executable, "-c", code, str(path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        writers[path] = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes)
        writers[path].stdout.readline()
    writers[dead].kill()
    writers[dead].communicate()
    files.remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [living]
    writers[living].communicate()
    files.write(tmp_path / "c", b"whole")
    files.remove_abandoned(tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_a_file_is_written_though_its_temporary_file_is_taken_for_abandoned(tmp_path, monkeypatch):
    """The moment between creating a file and locking it."""
    fcntl = pytest.importorskip("fcntl", reason="locks of Unix")
    flock, removed = fcntl.flock, []

    def late(file, how):
        if not removed and how == fcntl.LOCK_EX:
            removed.extend(tmp_path.glob("*.tmp"))
            files.remove_abandoned(tmp_path)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    files.write(tmp_path / "a", b"whole")
    assert len(removed) == 1 and [path.name for path in tmp_path.iterdir()] == ["a"]


# make book and installation -------------------------------------------------------------------------------------------


STUB = """#!/bin/sh
echo "$$" > "$0.pid"
sleep 600 &
echo "$!" >> "$0.pid"
wait
"""


def stub(path: Path) -> Path:
    """A program that works for ten minutes, with a child; the file that then holds the two process ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUB)
    path.chmod(0o755)
    return path.with_name(f"{path.name}.pid")


def interrupted(command: list, pids: Path, number: int) -> tuple[int, list[str], list[psutil.Process]]:
    """Interrupt a command once the stub works: exit status, lines of its error output, processes that are left."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not (pids.exists() and len(pids.read_text().split()) == 2):
            assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
            time.sleep(0.02)
        workers = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
        os.kill(process.pid, number)
        _, printed = process.communicate(timeout=60)
    return process.returncode, printed.split("\n"), running(workers)


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_ends_whole_and_says_so(tmp_path, number):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)  # jupyter-book is looked for beside it
    pids = stub(tmp_path / "bin" / "jupyter-book")
    command = [tmp_path / "bin" / "python", ROOT / "tools" / "build.py"]
    status, printed, alive = interrupted(command, pids, number)
    assert (status, alive) == (128 + number, [])
    assert printed == ["", "make: interrupted; the same command goes on, notebooks that have run are kept.", ""]


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_says_that_the_next_make_repairs_it(tmp_path, number):
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    python = tmp_path / ".venv" / "bin" / "python"
    package = next((tmp_path / ".venv" / "lib").glob("*/site-packages")) / "pip"  # instead of pip
    package.mkdir()
    pids = stub(tmp_path / "work")
    (package / "__main__.py").write_text(f"import os; os.execv({str(tmp_path / 'work')!r}, ['work'])")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").symlink_to("/bin/true")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    command = ["env", f"PATH={path}", sys.executable, tmp_path / "tools" / "install.py", "--python", sys.executable]
    status, printed, alive = interrupted(command, pids, number)
    assert (status, alive) == (128 + number, [])
    assert printed == ["", "make: interrupted; the next make repairs the installation.", ""]
    assert (tmp_path / ".venv" / "incomplete").exists() and not (tmp_path / ".venv" / "installed").exists()
    assert python.exists()
