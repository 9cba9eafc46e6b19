"""Print the shape of every page of the built site, as a reader meets it in a window of 1280 x 900 pixels.

Columns: where the first picture begins, the page's height, the share of its height that visible code takes, the size
of the smallest text in its pictures (all three in pixels), and its words. Needs `make book` and Chromium or Chrome.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
PROGRAMS = ["chromium", "chromium-browser", "google-chrome"]
WINDOW = {"width": 1280, "height": 900}
DOTS_PER_POINT = 150 / 72  # of rnnlib.mplstyle
STYLE = {"legend": 8.5, "other": 9.0}  # points, of rnnlib.mplstyle
SIZES = {"xx-small": 5.2, "x-small": 6.2, "small": 7.5, "medium": 9.0, "large": 10.8}  # names, times its 9 points

MEASURE = """() => {
  const article = document.querySelector("article.bd-article");
  const top = (one) => one.getBoundingClientRect().top + window.scrollY;
  const height = (one) => one.getBoundingClientRect().height;
  const pictures = [...article.querySelectorAll("img, .play canvas, .play svg, .moving svg")]
    .filter((one) => height(one) > 100 && !one.closest(".gallery"));
  const code = [...article.querySelectorAll("div.highlight pre")].filter((one) => one.checkVisibility());
  return {
    picture: pictures.length ? Math.min(...pictures.map(top)) : null,
    height: document.body.scrollHeight,
    code: code.map(height).reduce((a, b) => a + b, 0) / document.body.scrollHeight,
    shrunk: Object.fromEntries(pictures.filter((one) => one.naturalWidth && one.closest("figure[id]"))
      .map((one) => [one.closest("figure").id, one.clientWidth / one.naturalWidth])),
    words: article.innerText.split(/\\s+/).length,
  };
}"""


@dataclass(frozen=True)
class Shape:
    """Of one page; pixels, but for words and the share of code.

    ``picture`` is None on a page without one, ``text`` where no picture of a notebook stands.
    """

    picture: float | None
    height: float
    code: float
    text: float | None
    words: int


def points(source: str) -> float:
    """Size of the smallest text that a cell draws: the style's, or what the cell names."""
    named = re.findall(r"""(?<![a-z_])(?:font|label|title)?_?size["']?\s*[=:]\s*["']?([\d.]+|[\w-]+)""", source)
    sizes = [SIZES[one] if one in SIZES else float(one) for one in named if one in SIZES or one[0].isdigit()]
    style = STYLE["legend"] if "legend" in source else STYLE["other"]
    return min([style, *sizes])


def drawn(page: str) -> dict[str, float]:
    """Name of each figure of a notebook, and the points of its smallest text; empty for a page that is none."""
    notebook = ROOT / f"{page}.ipynb"
    if not notebook.exists():
        return {}
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    named = ((cell["metadata"].get("mystnb", {}).get("figure", {}).get("name"), cell["source"]) for cell in cells)
    return {name: points("".join(source)) for name, source in named if name}


def measure(tab: Any, address: str, page: str) -> Shape:
    """The shape of one page, by its name without a suffix, in a tab of Playwright whose window is ``WINDOW``."""
    tab.goto(f"{address}{page}.html", wait_until="load", timeout=120_000)
    if tab.locator("script[src*='mathjax']").count():
        tab.wait_for_function("window.MathJax && MathJax.startup && MathJax.startup.promise")
        tab.evaluate("async () => { await MathJax.startup.promise; await document.fonts.ready; }")
    found = tab.evaluate(MEASURE)
    sizes = drawn(page)
    text = [sizes[name] * DOTS_PER_POINT * shrunk for name, shrunk in found.pop("shrunk").items() if name in sizes]
    return Shape(**found, text=min(text, default=None))


def pages() -> list[str]:
    """Names of the pages of the book, without a suffix."""
    found = (
        path.relative_to(SITE).with_suffix("").as_posix()
        for part in ("book", "notebooks")
        for path in sorted((SITE / part).rglob("*.html"))
    )
    return list(found)


def main() -> None:
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None or not SITE.is_dir():
        sys.exit("tools/shapes.py measures the built site in Chromium or Chrome: run `make book`, install one of them.")
    print(f"{'page':<52} picture  height  code  text   words")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport=WINDOW)
        for page in pages():
            shape = measure(tab, SITE.as_uri() + "/", page)
            picture = "-" if shape.picture is None else f"{shape.picture:.0f}"
            text = "-" if shape.text is None else f"{shape.text:.1f}"
            print(f"{page:<52} {picture:>7} {shape.height:>7.0f} {shape.code:>5.0%} {text:>5} {shape.words:>7}")
        browser.close()


if __name__ == "__main__":
    main()
