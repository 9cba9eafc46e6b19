"""Build the site with warnings as errors; end with the path to open and the seconds it took.

Ctrl-C, SIGTERM and SIGHUP end the build, its kernels included, with one sentence and exit status 128 and the signal's
number. What has been executed by then is in the cache, and the next build goes on from there.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GRACE = 5.0  # seconds until a build that was asked to end is killed


class Interrupted(Exception):
    """One of the signals; its number is the argument."""


def run(command: list) -> int:
    """Run a command in a process group of its own; its exit status.

    Raises:
        Interrupted: this process was asked to end; the group has ended.
    """

    def interrupt(number, frame):
        for other in signals:  # once is enough
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted(number)

    signals = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        return process.wait()
    except Interrupted:
        for number in (signal.SIGTERM, signal.SIGKILL):  # the kernels end with their parent
            try:
                os.killpg(process.pid, number)
                process.wait(GRACE)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> None:
    start = time.monotonic()
    program = Path(sys.executable).with_name("jupyter-book")
    try:
        status = run([program, "build", ".", "-W", "-n", "--keep-going"])
    except Interrupted as interrupted:
        print("\nmake: interrupted; the same command goes on, notebooks that have run are kept.", file=sys.stderr)
        sys.exit(128 + interrupted.args[0])
    seconds = time.monotonic() - start
    if status:
        sys.exit(f"make: the site was not built ({seconds:.0f} s); the errors are above.")
    print(f"\nOpen {ROOT / '_build/html/index.html'} (built in {seconds:.0f} s)")


if __name__ == "__main__":
    main()
