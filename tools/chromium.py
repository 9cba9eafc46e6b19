"""The browser that prints, measures and tests the built site."""

from __future__ import annotations

import shutil
from typing import Any

PROGRAMS = ["chromium", "chromium-browser", "google-chrome"]


def find() -> str | None:
    """The path of the first of ``PROGRAMS`` on PATH; None if there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def typeset(tab: Any) -> None:
    """Wait until the formulas and fonts of the page that a tab of Playwright shows are there."""
    if tab.locator("script[src*='mathjax']").count():
        tab.wait_for_function("window.MathJax && MathJax.startup && MathJax.startup.promise")
        tab.evaluate("async () => { await MathJax.startup.promise; await document.fonts.ready; }")
