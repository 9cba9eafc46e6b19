"""Slides from ``book/slides/*.md``, with the pictures that the notebooks of this build drew; reveal.js, no network.

A line of ``---`` ends a slide, ``Note:`` begins the speaker's notes. ``![](notebooks/figures/fig01#fig-01)`` is the
picture in the figure of that name on that page, with its alt text; it gets all the room that the rest of its slide
leaves. Beside the decks is each chart to play with, alone and as large as the window: ``play-01-landscape.html``.

sphinx-revealjs is a builder of its own, which reads the book again and cannot show a figure of another page.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import vendor
from docutils import nodes
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from rnngallery import named_image

PARTS = ["reset.css", "reveal.css", "reveal.js", "theme/white.css", "plugin/notes.js"]
PICTURE = re.compile(r"!\[\]\((notebooks/[\w/-]+)#([\w-]+)\)")
FONT = re.compile(r"url\(data:font/woff;base64,([^)]+)\)")
NATURAL = 680  # pixels: as wide as the charts of the book are drawn, axes included


def render_math(content: str, options: dict) -> str:
    escaped = content.replace("&", "&amp;").replace("<", "&lt;")
    return f"\\[{escaped}\\]" if options.get("display_mode") else f"\\({escaped}\\)"


def picture(app, page: str, name: str) -> str:
    """Markdown of the picture in the figure of this name."""
    image = named_image(app, page, name)
    _, file = app.env.images[image["candidates"]["*"]]
    return f"![{image['alt'].replace('[', '(').replace(']', ')')}](../_images/{file})"


def deck(app, source: Path) -> str:
    """A page of slides."""
    text = PICTURE.sub(lambda match: picture(app, match[1], match[2]), source.read_text(encoding="utf-8"))
    markdown = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, renderer=render_math)
    slides = []
    for part in re.split(r"^---$", text, flags=re.MULTILINE):
        content, _, notes = part.partition("\nNote:\n")
        aside = f'<aside class="notes">{markdown.render(notes)}</aside>' if notes else ""
        slides.append(f"<section>\n{markdown.render(content)}{aside}\n</section>")
    title = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    return app.builder.templates.render("slides.html", {"title": title[1], "slides": "\n".join(slides)})


def extract_fonts(style: Path) -> None:
    """Take the fonts out of a style sheet: words are shown before half a megabyte of letters has come."""
    fonts = []

    def move(match: re.Match) -> str:
        fonts.append(base64.b64decode(match[1]))
        return f"url({style.stem}-{len(fonts)}.woff)"

    text = FONT.sub(move, style.read_text(encoding="utf-8"))
    style.write_text(text.replace("@font-face{", "@font-face{font-display:swap;"), encoding="utf-8")
    for number, font in enumerate(fonts, start=1):
        style.with_name(f"{style.stem}-{number}.woff").write_bytes(font)


def write_charts(app, target: Path) -> None:
    """Each chart to play with on a page of its own, enlarged to the window."""
    for page in sorted(page for page in app.env.found_docs if app.env.metadata.get(page, {}).get("play")):
        document = app.env.get_doctree(page)
        title = next(document.findall(nodes.title)).astext()
        for node in document.findall(nodes.raw):
            if node.astext().startswith('<div class="play"'):
                chart = node.astext().replace('class="play"', f'class="play" data-natural="{NATURAL}"', 1)
                text = app.builder.templates.render("chart.html", {"title": title, "chart": chart, "page": page})
                (target / f"play-{Path(page).name}.html").write_text(text, encoding="utf-8")


def write_slides(app, exception) -> None:
    sources = sorted((Path(app.srcdir) / "book" / "slides").glob("*.md"))
    if exception or app.builder.name != "html" or not sources:
        return
    target = Path(app.outdir) / "slides"
    for part in PARTS:
        vendor.copy(app, f"reveal.js/dist/{part}", target / "reveal" / Path(part).name)
    extract_fonts(target / "reveal" / "white.css")
    for source in sources:
        (target / f"{source.stem}.html").write_text(deck(app, source), encoding="utf-8")
    write_charts(app, target)


def setup(app) -> dict:
    app.connect("build-finished", write_slides)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
