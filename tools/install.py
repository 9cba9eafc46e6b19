"""Make .venv and node_modules: exact versions, one sentence when something is missing.

Standard library only, and syntax that an old Python can read: it has to run in order to say that it is too old.
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)  # of the book, whose packages are pinned; the package alone has no upper bound
CANDIDATES = ("python3", "python3.13", "python3.12", "python3.11", "python")
FREE_GB = 5  # .venv without CUDA is 3.1 GB, downloads and the site come on top; with CUDA pip meets the limit itself
WITHOUT_CUDA = "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"  # PyTorch's own index of CPU builds
STAMP = "installed"  # exists: everything was installed; its time is what make compares
MARKER = "incomplete"  # exists: an installation stopped half-way, perhaps inside a package

DISK_FULL = ("No space left on device", "ENOSPC")
OFFLINE = (
    *("NewConnectionError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "Temporary failure in name resolution"),
    *("Connection refused", "ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ENETUNREACH"),
)


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends an installation as Ctrl-C does."""


def terminate(number, frame):
    raise Terminated()


def stop(sentence):
    """End with one sentence and exit status 1."""
    sys.exit("make: " + sentence)


def version_of(python):
    """(major, minor) of an interpreter, (0, 0) if it cannot make virtual environments, None if it does not run."""
    # Debian ships venv without ensurepip until python3-venv is installed.
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError:
        return None
    if done.returncode:
        return (0, 0) if b"ensurepip" in done.stderr else None
    return tuple(int(part) for part in done.stdout.split())


def find_python(named):
    """The interpreter to build on: the one named by PYTHON=, else the first on PATH in range."""
    candidates = []
    for python in [named] if named else CANDIDATES:
        version = version_of(python)
        if version and OLDEST <= version <= NEWEST:
            return python
        if version:
            candidates.append((python, version))
    wanted = "Python {}.{} to {}.{} is needed for the book".format(*OLDEST + NEWEST)
    if any(version == (0, 0) for _, version in candidates):
        stop(wanted + " with its venv module, which is missing here: on Debian or Ubuntu, apt install python3-venv.")
    has = ", ".join("{} is {}.{}".format(python, *version) for python, version in candidates)
    has = has or (named + " does not run" if named else "none was found")
    return stop(wanted + " (" + has + "): install one, or name it with make PYTHON=/path/to/python3.")


def check_npm():
    if shutil.which("npm") is None:
        stop("npm is needed (it brings MathJax) and was not found: install Node.js 18 or later, which contains it.")


def check_disk(root):
    free = shutil.disk_usage(str(root)).free / 1e9
    if free < FREE_GB:
        stop("{} GB of free disk are needed at least, and {:.1f} GB are left at {}.".format(FREE_GB, free, root))


def prepare_venv(venv, named):
    """An environment on a supported Python; one left half-way, or on another Python than asked for, is made anew."""
    current = version_of(str(venv / "bin" / "python"))
    fits = current and OLDEST <= current <= NEWEST and (not named or current == version_of(named))
    if fits and not (venv / MARKER).exists():
        (venv / MARKER).touch()
        return
    python = find_python(named)
    if (venv / "bin" / "python").exists():
        (venv / "bin" / "python").unlink()  # first: an environment that is half deleted fits no more
    shutil.rmtree(str(venv), ignore_errors=True)
    venv.mkdir()
    (venv / MARKER).touch()
    run([python, "-m", "venv", str(venv)], venv, "the virtual environment")


def run(command, venv, what):
    """Run quietly; turn a failure into one sentence, with the details in a log file."""
    log = venv / "install.log"
    with open(str(log), "ab") as out:
        start = out.tell()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=str(ROOT), start_new_session=True)
        try:
            status = process.wait()
        except BaseException:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # pip's own children too; what is half-way is made anew
                process.wait()
            raise
    if status == 0:
        return
    text = log.read_bytes()[start:].decode("utf-8", "replace")
    if any(sign in text for sign in DISK_FULL):
        stop(
            "the disk is full: {} needs more (on Linux, PyTorch with CUDA takes about 9 GB; without CUDA, about 4 GB:"
            " {} make book).".format(what, WITHOUT_CUDA)
        )
    if any(sign in text for sign in OFFLINE):
        (venv / MARKER).unlink()  # downloads come before any change, so what is there is whole
        stop("{} could not be downloaded: is there a network? Details are in {}.".format(what, log))
    stop("{} could not be installed; details are in {}.".format(what, log))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="", help="interpreter to build on (default: the first on PATH in range)")
    named = parser.parse_args().python
    venv = ROOT / ".venv"
    check_npm()
    if not (venv / STAMP).exists():
        check_disk(ROOT)
    prepare_venv(venv, named)

    print("make: installing into .venv (a few minutes the first time) ...", flush=True)
    if sys.platform.startswith("linux"):
        print(
            "make: PyTorch comes with CUDA, about 9 GB; without, about 4 GB: {} make book".format(WITHOUT_CUDA),
            flush=True,
        )
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
    pip += ["-c", "constraints.txt"]  # not compiled: of 20,000 files few are ever imported, and Python compiles those
    # The build backend first, so that it too has an exact version and building rnnlib downloads nothing.
    run(pip + ["hatchling", "editables"], venv, "the build backend")
    run(pip + ["--no-build-isolation", "-e", ".[book,fast,test]"], venv, "the Python packages")
    run(["npm", "ci", "--no-audit", "--no-fund"], venv, "MathJax")
    (venv / MARKER).unlink()
    (venv / STAMP).touch()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    try:
        main()
    except KeyboardInterrupt as interrupt:
        sys.stderr.write("\nmake: interrupted; the next make repairs the installation.\n")
        sys.exit(128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT))
