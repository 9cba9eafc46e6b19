"""Relative links in the Markdown of a notebook that is read away from its folder.

Standard library only: the publishing job runs it without an environment.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

LINK = re.compile(r"(\]\()(?![a-z][a-z+.-]*:|#|/)([^)\s]+)(\))")


def rewrite_links(source: str, name: str, address: Callable[[str], str | None]) -> str:
    """Markdown with other targets for its relative links.

    Args:
        source: the Markdown of one cell.
        name: the notebook's path in the repository.
        address: from a path in the repository to the new target, without anchor; None leaves the link as it is.
    """

    def replace(match: re.Match) -> str:
        target, _, anchor = match[2].partition("#")
        new = address(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)))
        return match[0] if new is None else match[1] + new + (f"#{anchor}" if anchor else "") + match[3]

    return LINK.sub(replace, source)
