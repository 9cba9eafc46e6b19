"""The address of the repository: ``_config.yml`` holds it, and this script writes it everywhere else it stands.

Standard library only: the publishing job runs it without an environment.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "https://github.com/OWNER/REPOSITORY"
PATTERNS = (
    "_config.yml",
    "pyproject.toml",
    "CITATION.cff",
    "README.md",
    "book/**/*.md",
    "notebooks/**/*.py",
    "notebooks/**/*.ipynb",
)


def current(root: Path) -> str:
    """The address in ``_config.yml``."""
    found = re.search(r"^repository:\n(?:[ #].*\n)*?  url: (\S+)", (root / "_config.yml").read_text(), re.MULTILINE)
    if not found:
        sys.exit("make: _config.yml has no repository.url.")
    return found[1]


def rewritten(text: str, old: str, new: str) -> str:
    """``text`` with the address ``old`` replaced, but not the longer addresses that begin like it."""
    return re.sub(re.escape(old) + r"(?![\w-]|\.\w)", lambda _: new, text)


def set_repository(root: Path, url: str) -> list[Path]:
    """Replace the current address by ``url`` in all files that hold it; return the files changed."""
    old, changed = current(root), []
    for path in sorted({path for pattern in PATTERNS for path in root.glob(pattern)}):
        text = path.read_text(encoding="utf-8")
        if (new := rewritten(text, old, url)) != text:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def main() -> None:
    url = sys.argv[1].rstrip("/").removesuffix(".git") if len(sys.argv) > 1 else ""
    if not re.fullmatch(r"https://[\w.-]+(:\d+)?(/[\w.-]+){2,}", url):
        sys.exit(f"make: give the address as https://host/owner/name, as in make set-repository URL={PLACEHOLDER}")
    changed = set_repository(ROOT, url)
    print(f"{url} now stands in {len(changed)} files" if changed else f"{url} already stood everywhere")


if __name__ == "__main__":
    main()
