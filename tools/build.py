"""Build the site with warnings as errors; end with the path to open and the seconds it took."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    start = time.monotonic()
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", ".", "-W", "-n", "--keep-going"]
    status = subprocess.run(command, cwd=ROOT).returncode
    seconds = time.monotonic() - start
    if status:
        sys.exit(f"make: the site was not built ({seconds:.0f} s); the errors are above.")
    print(f"\nOpen {ROOT / '_build/html/index.html'} (built in {seconds:.0f} s)")


if __name__ == "__main__":
    main()
