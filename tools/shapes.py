"""Print the shape of every page of the built site, as a reader meets it in a window of 1280 x 900 pixels.

Columns: where the first picture begins, the page's height, the share of its height that visible code takes, the size
of the smallest text in its pictures (all three in pixels), and its words. Below, what breaks the limits. Needs
`make book` and Chromium or Chrome. A test of the site holds all pages to the same limits.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from chromium import find, typeset
from matplotlib import rc_params_from_file
from matplotlib.font_manager import font_scalings

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
WINDOW = {"width": 1280, "height": 900}
STYLE = rc_params_from_file(ROOT / "rnnlib" / "lab" / "rnnlib.mplstyle", use_default_template=False)
DOTS_PER_POINT = STYLE["figure.dpi"] / 72
SIZES = {name: scale * STYLE["font.size"] for name, scale in font_scalings.items() if name}  # points

FIRST_PICTURE = 800  # pixels from the top, so that it begins in the first screen
HEIGHT = 6_000  # pixels: one page, one question
CODE = 0.25  # of the height
TEXT = 11  # pixels
# Pages that may go further, in what, how far, and why. A star stands for any ending.
EXCEPTIONS: dict[tuple[str, str], tuple[float, str]] = {
    ("book/api-*", "height"): (8_500, "the reference of a module, each entry looked up by its name"),
    ("book/answers", "height"): (7_000, "short answers, each looked up by its question"),
    ("book/teaching", "height"): (7_000, "four sessions, of which a teacher reads one"),
}

MEASURE = """() => {
  const article = document.querySelector("article.bd-article");
  if (!article) return null;
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
    style = STYLE["legend.fontsize" if "legend" in source else "font.size"]
    return min([style, *sizes])


def drawn(page: str) -> dict[str, float]:
    """Name of each figure of a notebook, and the points of its smallest text; empty for a page that is none."""
    notebook = ROOT / f"{page}.ipynb"
    if not notebook.exists():
        return {}
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    named = ((cell["metadata"].get("mystnb", {}).get("figure", {}).get("name"), cell["source"]) for cell in cells)
    return {name: points("".join(source)) for name, source in named if name}


def shape(page: str, measured: dict[str, Any]) -> Shape:
    """The shape of a page, by its name without a suffix, from what ``MEASURE`` gives in a window 1280 pixels wide."""
    sizes = drawn(page)
    text = [sizes[name] * DOTS_PER_POINT * shrunk for name, shrunk in measured["shrunk"].items() if name in sizes]
    rest = {name: value for name, value in measured.items() if name != "shrunk"}
    return Shape(**rest, text=min(text, default=None))


def measure(tab: Any, address: str, page: str) -> Shape:
    """The shape of one page in a tab of Playwright whose window is ``WINDOW``."""
    tab.goto(f"{address}{page}.html", wait_until="load", timeout=120_000)
    typeset(tab)
    return shape(page, tab.evaluate(MEASURE))


def faults(page: str, found: Shape) -> list[str]:
    """Which limits a page breaks, exceptions considered, and which exceptions it does not need any more."""
    if page.startswith(("notebooks/figures/", "notebooks/theory/")) and found.picture is None:
        return [f"{page} has no picture"]
    said = []
    for what, value, limit in [
        ("picture", found.picture if page.startswith("notebooks/") else None, FIRST_PICTURE),
        ("height", found.height, HEIGHT),
        ("code", found.code, CODE),
        ("text", found.text and TEXT / found.text, 1),  # the other way round: more is worse
    ]:
        far, reason = EXCEPTIONS.get((page, what), (limit, ""))
        if not reason:  # nor can one that holds for many pages be outgrown by one of them
            held = (one for (name, of), (one, _) in EXCEPTIONS.items() if of == what and fnmatch(page, name))
            far = next(held, limit)
        shown = f"{page}, {what}: {found.text:.1f}" if what == "text" and found.text else f"{page}, {what}: {value}"
        if value is not None and value > far:
            said.append(f"{shown} is beyond {TEXT if what == 'text' else far}")
        elif reason and (value is None or value < 0.9 * limit):
            said.append(f"{shown} is well within {limit}: it needs no exception")
    return said


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

    program = find()
    if program is None or not SITE.is_dir():
        sys.exit("tools/shapes.py measures the built site in Chromium or Chrome: run `make book`, install one of them.")
    print(f"{'page':<52} picture  height  code  text   words")
    broken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport=WINDOW)
        for page in pages():
            one = measure(tab, SITE.as_uri() + "/", page)
            picture = "-" if one.picture is None else f"{one.picture:.0f}"
            text = "-" if one.text is None else f"{one.text:.1f}"
            print(f"{page:<52} {picture:>7} {one.height:>7.0f} {one.code:>5.0%} {text:>5} {one.words:>7}", flush=True)
            broken += faults(page, one)
        browser.close()
    print("\nMay go further:")
    for (page, what), (far, reason) in EXCEPTIONS.items():
        print(f"- {page}, {what} up to {far:,}: {reason}")
    print("\n".join(["\nBeyond the limits:", *broken] if broken else ["\nAll pages are within their limits."]))


if __name__ == "__main__":
    main()
