"""What the laboratory needs besides torch and numpy: named before work begins, with the command that installs it."""

from __future__ import annotations

import importlib
import importlib.metadata
import tomllib
from pathlib import Path


class RequirementError(ImportError):
    """A package is missing; the message has the command that installs it."""


def need(*modules: str, extra: str) -> None:
    """Check that packages can be imported.

    Args:
        modules: their names in ``import``.
        extra: rnnlib's extra that has them.

    Raises:
        RequirementError: one cannot.
    """
    missing = []
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            missing.append(module)
    if missing:
        have = "is not installed" if len(missing) == 1 else "are not installed"
        address = _repository()
        what = f'"rnnlib[{extra}] @ git+{address}"' if address else " ".join(missing)
        raise RequirementError(f"{', '.join(missing)} {have}: pip install {what}")


def _repository() -> str | None:
    """The address that this copy of rnnlib comes from: that of its checkout, or of its installation."""
    try:
        checkout = Path(__file__).resolve().parents[3] / "pyproject.toml"
        return tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        pass
    try:
        urls = importlib.metadata.metadata("rnnlib").get_all("Project-URL") or []
        return dict(url.split(", ", 1) for url in urls).get("Repository")
    except importlib.metadata.PackageNotFoundError:
        return None
