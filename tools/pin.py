"""Write constraints.txt: the versions in .venv of everything that rnnlib's extras and its build backend pull in."""

import importlib.metadata
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# The exact versions that `make` installs. Written by `make pins` from .venv; bounds are in pyproject.toml.
# triton is the version that this torch's CUDA build needs. On Linux, torch comes with CUDA from the default index.
#
# There are no hashes. A single one here makes pip demand a hash of everything that a command installs, and not
# everything has one: rnnlib is installed in place, from no file; torch is another file from the default index, from
# PyTorch's CPU index and from your own disk; its CUDA build on Linux needs NVIDIA packages of its own choice, which an
# environment without CUDA does not list. pip still compares each download with the hash that the index states.
# package-lock.json has the hashes of what npm installs, and npm checks them.
"""
ELSEWHERE = {"appnope": "0.1.4", "colorama": "0.4.6"}  # installed on macOS and on Windows only


def closure(requirements: list[str]) -> dict[str, str]:
    """Name and version of all installed distributions that the requirements reach."""
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            distribution = importlib.metadata.distribution(name)
            versions[name] = Version(distribution.version).public  # torch 2.13.0+cpu and 2.13.0 are one version
            waiting += [(Requirement(text), wanted) for text in distribution.requires or []]
    return versions


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = ",".join(project["project"]["optional-dependencies"])
    versions = closure([f"rnnlib[{extras}]", *project["build-system"]["requires"]])
    versions = {**ELSEWHERE, **{name: version for name, version in versions.items() if name != "rnnlib"}}
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    (ROOT / "constraints.txt").write_text(HEADER + "".join(lines))


if __name__ == "__main__":
    main()
