"""``python -m rnnlib``, or ``rnnlib`` once installed: the commands of the laboratory, which nothing else here knows."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 1 after an error, 128 and the signal's number after an interruption."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        from .lab import commandline  # takes seconds, in which Ctrl-C may come

        return commandline.execute(arguments)
    except ModuleNotFoundError as error:
        if error.name != "rnnlib.lab":
            raise
        print("this copy of rnnlib is the library alone: its commands are those of rnnlib.lab", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        goes_on = "; the same command goes on" if arguments[:1] == ["run"] else ""
        print(f"interrupted{goes_on}", file=sys.stderr)
        return 128 + (signal.SIGTERM if isinstance(interrupt, _Terminated) else signal.SIGINT)
    except BrokenPipeError:  # ``| head`` has seen enough; the interpreter must not try to write the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def console() -> None:
    """Run the command of this process and exit."""

    def terminate(number, frame):
        raise _Terminated

    signal.signal(signal.SIGTERM, terminate)
    sys.exit(main())


if __name__ == "__main__":
    console()
