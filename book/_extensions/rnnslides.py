"""Slides from ``book/slides/*.md``, with the pictures that the notebooks of this build drew; reveal.js, no network.

A line of ``---`` ends a slide, ``Note:`` begins the speaker's notes. ``![](notebooks/figures/fig01#fig-01)`` is the
picture in the figure of that name on that page, with its alt text; it gets all the room that the rest of its slide
leaves. Beside the decks lies each chart to play with, alone and as large as the window: ``play-01-landscape.html``.
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
PICTURE = re.compile(r"!\[\]\((notebooks/[\w/-]+)#([\w-]+)\)")
FONT = re.compile(r"url\(data:font/woff;base64,([^)]+)\)")
HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="../_static/favicon.svg">
"""
PAGE = (
    HEAD
    + """\
<link rel="stylesheet" href="reveal/reset.css">
<link rel="stylesheet" href="reveal/reveal.css">
<link rel="stylesheet" href="reveal/white.css">
<style>
html, body, main {{ height: 100%; }}
.reveal {{ font-size: 32px; }}
.reveal h1 {{ font-size: 1.8em; }}
.reveal h2 {{ font-size: 1.3em; }}
.reveal :is(h1, h2) {{ text-transform: none; }}
.reveal img {{ max-height: 580px; margin: 0; }}
.reveal .slides > section.present {{
  display: flex !important;
  flex-direction: column;
  justify-content: center;
  height: 100%;
  box-sizing: border-box;
  padding: 0;
}}
.reveal section :is(h2, p, ul, ol, table) {{ margin-block: 0.3em; }}
.reveal section > p:not(:has(img)) {{ align-self: center; max-width: 92%; }}
.reveal section > p:has(img) {{ flex: 1 1 0; min-height: 0; margin: 0; }}
.reveal section > p > img {{
  display: block;
  width: 100%;
  height: 100%;
  max-width: none;
  max-height: none;
  object-fit: contain;
}}
.reveal li {{ margin-bottom: 0.4em; }}
.reveal :is(ul, ol) {{ align-self: center; max-width: 90%; }}
.reveal table {{ font-size: 0.9em; }}
</style>
</head>
<body>
<main><div class="reveal"><div class="slides">
{slides}
</div></div></main>
<script src="reveal/reveal.js"></script>
<script src="reveal/notes.js"></script>
<script>
Reveal.initialize({{
  hash: true, plugins: [RevealNotes], transition: "none", width: 1280, height: 720, margin: 0.03, slideNumber: true,
}});
MathJax = {{ tex: {{ packages: {{ "[-]": ["noundefined"] }} }}, options: {{ enableMenu: false }} }};
</script>
<script defer src="../mathjax/tex-chtml.js"></script>
</body>
</html>
"""
)

PLAY = (
    HEAD
    + """\
<link rel="stylesheet" href="../_static/rnnbook.css">
<style>
:root {{ --pst-color-text-base: #222; --pst-color-border: #ccc; color-scheme: light; }}
body {{ margin: 1rem; font: 18px/1.4 sans-serif; color: #222; background: #fff; }}
h1 {{ margin: 0 0 0.5rem; font-size: 1.3em; }}
@media (min-width: 1000px) {{
  .play {{ display: grid; grid-template: auto 1fr / 18rem minmax(0, 1fr); gap: 0 1rem; overflow: visible; }}
  .play-chart {{ grid-area: 1 / 2 / span 2; }}
}}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{chart}
<p><a href="../{page}.html">Questions and answers</a></p>
</main>
<script defer src="../vega/vega.min.js"></script>
<script defer src="../vega/vega-lite.min.js"></script>
<script defer src="../vega/vega-embed.min.js"></script>
<script defer src="../_static/rnnplay.js"></script>
</body>
</html>
"""
)
NATURAL = 680  # pixels: as wide as the charts of the book are drawn, axes included


def render_math(content: str, options: dict) -> str:
    escaped = content.replace("&", "&amp;").replace("<", "&lt;")
    return f"\\[{escaped}\\]" if options.get("display_mode") else f"\\({escaped}\\)"


def picture(app, page: str, name: str) -> str:
    """Markdown of the picture in the figure of this name."""
    figures = app.env.get_doctree(page).findall(nodes.figure) if page in app.env.found_docs else []
    named = {found: figure for figure in figures for found in figure["names"]}
    if name not in named:
        raise ExtensionError(f"slides: {page} has no figure {name!r}, only {', '.join(named) or 'none'}")
    image = next(named[name].findall(nodes.image))
    _, file = app.env.images[image["candidates"]["*"]]
    return f"![{image['alt'].replace('[', '(').replace(']', ')')}](../_images/{file})"


def deck(app, source: Path) -> str:
    """A page of slides."""
    text = PICTURE.sub(lambda match: picture(app, match[1], match[2]), source.read_text(encoding="utf-8"))
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


def write_charts(app, target: Path) -> None:
    """Each chart to play with on a page of its own, enlarged to the window."""
    for page in sorted(page for page in app.env.found_docs if app.env.metadata.get(page, {}).get("play")):
        document = app.env.get_doctree(page)
        title = next(document.findall(nodes.title)).astext()
        for node in document.findall(nodes.raw):
            if node.astext().startswith('<div class="play"'):
                chart = node.astext().replace('class="play"', f'class="play" data-natural="{NATURAL}"', 1)
                text = PLAY.format(title=title, chart=chart, page=page)
                (target / f"play-{Path(page).name}.html").write_text(text, encoding="utf-8")


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
    write_charts(app, target)


def setup(app) -> dict:
    app.connect("build-finished", write_slides)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
