"""The paper's own numbers, to show beside ours."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any


@functools.cache
def _values() -> dict[str, Any]:
    return json.loads((resources.files(__package__) / "paper-values.json").read_text(encoding="utf-8"))


def paper_values(figure: str) -> dict[str, Any]:
    """What the paper's figure shows, read off the authors' published pictures (within .03 to .15 decades) or printed by
    their notebooks. Each is over one teacher, one text or one draw: a fact to show, not a target.

    Args:
        figure: such as ``"fig03"``.

    Raises:
        ValueError: none are stored for it.
    """
    if figure not in _values() or figure == "about":
        raise ValueError(f"no values of the paper for {figure!r}; choose from {', '.join(sorted(_values())[1:])}")
    return _values()[figure]
