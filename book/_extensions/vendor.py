"""Files of npm packages that the site carries, because its pages ask no other host: not an extension itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.errors import ExtensionError


def copy(app, source: str, target: Path) -> None:
    """Copy a file or a folder out of ``node_modules``.

    Args:
        app: Sphinx.
        source: its path in ``node_modules``, with the package first.
        target: the copy's path.

    Raises:
        ExtensionError: it is not there.
    """
    path = Path(app.srcdir) / "node_modules" / source
    if not path.exists():
        package, _, part = source.partition("/")
        raise ExtensionError(
            f"node_modules/{package} is missing or has no {part}: run `make book`, or `npm ci` before jupyter-book"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
    else:
        shutil.copy2(path, target)
