"""Run this Python with the given arguments and those in the variable ARGS, split into words as a shell splits them."""

import os
import shlex
import sys

try:
    words = shlex.split(os.environ.get("ARGS", ""))
except ValueError as error:
    sys.exit(f"make: ARGS cannot be split into words: {error}.")
os.execv(sys.executable, [sys.executable, *sys.argv[1:], *words])
