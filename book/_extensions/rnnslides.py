"""Slides from ``book/slides/*.md``, with the pictures that the notebooks of this build drew; reveal.js, no network.

A line of ``---`` ends a slide, ``Note:`` begins the speaker's notes. ``![](notebooks/figures/fig01#1)`` is the
first picture of that page, with its alt text.
"""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

from docutils import nodes
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from sphinx.errors import ExtensionError

PARTS = ["reset.css", "reveal.css", "reveal.js", "theme/white.css", "plugin/notes.js"]
PICTURE = re.compile(r"!\[\]\((notebooks/[\w/-]+)#(\d+)\)")
FONT = re.compile(r"url\(data:font/woff;base64,([^)]+)\)")
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="../_static/favicon.svg">
<link rel="stylesheet" href="reveal/reset.css">
<link rel="stylesheet" href="reveal/reveal.css">
<link rel="stylesheet" href="reveal/white.css">
<style>
html, body, main {{ height: 100%; }}
.reveal {{ font-size: 30px; }}
.reveal h1 {{ font-size: 1.8em; }}
.reveal h2 {{ font-size: 1.3em; }}
.reveal :is(h1, h2) {{ text-transform: none; }}
.reveal img {{ max-height: 420px; margin: 0; }}
.reveal li {{ margin-bottom: 0.4em; }}
</style>
</head>
<body>
<main><div class="reveal"><div class="slides">
{slides}
</div></div></main>
<script src="reveal/reveal.js"></script>
<script src="reveal/notes.js"></script>
<script>
Reveal.initialize({{ hash: true, plugins: [RevealNotes], transition: "none", width: 1100, slideNumber: true }});
MathJax = {{ tex: {{ packages: {{ "[-]": ["noundefined"] }} }}, options: {{ enableMenu: false }} }};
</script>
<script defer src="../mathjax/tex-chtml.js"></script>
</body>
</html>
"""


def render_math(content: str, options: dict) -> str:
    escaped = content.replace("&", "&amp;").replace("<", "&lt;")
    return f"\\[{escaped}\\]" if options.get("display_mode") else f"\\({escaped}\\)"


def picture(app, page: str, number: int) -> str:
    """Markdown of the n-th picture of a page."""
    images = list(app.env.get_doctree(page).findall(nodes.image)) if page in app.env.found_docs else []
    if len(images) < number:
        raise ExtensionError(f"slides: {page} has {len(images)} pictures, so there is no number {number}")
    image = images[number - 1]
    _, name = app.env.images[image["candidates"]["*"]]
    return f"![{image['alt'].replace('[', '(').replace(']', ')')}](../_images/{name})"


def deck(app, source: Path) -> str:
    """A page of slides."""
    text = PICTURE.sub(lambda match: picture(app, match[1], int(match[2])), source.read_text(encoding="utf-8"))
    markdown = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, renderer=render_math)
    slides = []
    for part in re.split(r"^---$", text, flags=re.MULTILINE):
        shown, _, notes = part.partition("\nNote:\n")
        aside = f'<aside class="notes">{markdown.render(notes)}</aside>' if notes else ""
        slides.append(f"<section>\n{markdown.render(shown)}{aside}\n</section>")
    title = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    return PAGE.format(title=title[1], slides="\n".join(slides))


def part_fonts(style: Path) -> None:
    """Take the fonts out of a style sheet: words are shown before half a megabyte of letters has come."""
    fonts = []

    def move(match: re.Match) -> str:
        fonts.append(base64.b64decode(match[1]))
        return f"url({style.stem}-{len(fonts)}.woff)"

    text = FONT.sub(move, style.read_text(encoding="utf-8"))
    style.write_text(text.replace("@font-face{", "@font-face{font-display:swap;"), encoding="utf-8")
    for number, font in enumerate(fonts, start=1):
        style.with_name(f"{style.stem}-{number}.woff").write_bytes(font)


def write_slides(app, exception) -> None:
    sources = sorted((Path(app.srcdir) / "book" / "slides").glob("*.md"))
    if exception or app.builder.name != "html" or not sources:
        return
    reveal, target = Path(app.srcdir) / "node_modules/reveal.js/dist", Path(app.outdir) / "slides"
    (target / "reveal").mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if not (reveal / part).is_file():
            raise ExtensionError(f"node_modules/reveal.js/dist/{part} is missing: run `make book`, or `npm ci` first")
        shutil.copy2(reveal / part, target / "reveal" / Path(part).name)
    part_fonts(target / "reveal" / "white.css")
    for source in sources:
        (target / f"{source.stem}.html").write_text(deck(app, source), encoding="utf-8")


def setup(app) -> dict:
    app.connect("build-finished", write_slides)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
