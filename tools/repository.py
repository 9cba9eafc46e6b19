"""The address of the repository: ``_config.yml`` holds it, and this script writes it everywhere else it stands.

Standard library only: the publishing job runs it without an environment.
The address comes in the environment variable URL, so that no shell reads it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "https://repository.invalid/owner/name"  # nobody can own a host that ends in .invalid (RFC 2606)
LABEL, SEGMENT = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", r"(?!\.|-)[A-Za-z0-9._-]+"
ADDRESS = re.compile(rf"https://{LABEL}(?:\.{LABEL})*(?::([1-9]\d{{0,4}}))?(?:/{SEGMENT}){{2,}}", re.ASCII)
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
    match = re.search(r"^repository:\n(?:[ #].*\n)*?  url: (\S+)", (root / "_config.yml").read_text(), re.MULTILINE)
    if not match:
        sys.exit("make: _config.yml has no repository.url.")
    return match[1]


def rewritten(text: str, old: str, new: str) -> str:
    """``text`` with the address ``old`` replaced, but not the longer addresses that begin like it."""
    return re.sub(re.escape(old) + r"(?![\w-]|\.\w)", lambda _: new, text)


def set_repository(root: Path, url: str) -> list[Path]:
    """Replace the current address by ``url`` in all files that hold it; return the files changed."""
    old, changed = current(root), []
    for path in sorted({path for pattern in PATTERNS for path in root.glob(pattern)}):
        text = path.read_bytes().decode("utf-8")  # bytes: line ends stay as they are
        if (new := rewritten(text, old, url)) != text:
            path.write_bytes(new.encode("utf-8"))
            changed.append(path)
    return changed


def main() -> None:
    url = os.environ.get("URL", "").removesuffix("/").removesuffix(".git")
    deep = url.startswith("https://github.com/") and url.count("/") > 4  # a page of a repository
    match = ADDRESS.fullmatch(url)
    if not match or int(match[1] or 443) > 65535 or ".." in url or deep:
        sys.exit(
            f"make: URL is {url[:200]!r}; give the address of the repository as https://host/owner/name, of letters,"
            " digits, points, hyphens and underscores."
        )
    changed = set_repository(ROOT, url)
    print(f"{url} now stands in {len(changed)} files" if changed else f"{url} already stood everywhere")


if __name__ == "__main__":
    main()
