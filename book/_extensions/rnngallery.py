"""What a page shows of others, taken from the same build.

- ``{gallery} FOLDER``: a card with the first picture of every notebook in FOLDER.
- ``{picture} PAGE#NAME``: the picture in the figure of that name on that page; the content is its caption.
- ``{tally}``: how many claims of each kind hold, as counted on the page of claims.

sphinx-gallery and nbsphinx make galleries of notebooks that they run themselves, sphinx-design of files that exist.
rnnlinks writes the page anew whenever a notebook may have changed.
"""

from __future__ import annotations

import html
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

CLAIMS_PAGE = "book/claims"
COUNTED = ["what the paper's text says", "beyond the paper"]  # rows of the table that is the tally
THUMBNAIL = 560  # pixels across: twice the width of a card, for screens of double density


class gallery(nodes.General, nodes.Element):
    """Stands for the pictures until all notebooks have run."""


class picture(nodes.General, nodes.Element):
    """Stands for a picture of another page; its children are the caption."""


class tally(nodes.General, nodes.Element):
    """Stands for the table that the page of claims shows first."""


class Gallery(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return [gallery(folder=self.arguments[0].strip("/") + "/")]


class Picture(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        self.assert_has_content()
        page, _, name = self.arguments[0].partition("#")
        node = picture(page=page, figure=name)
        self.state.nested_parse(self.content, self.content_offset, node)
        return [node]


class Tally(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [tally()]


def named_image(app, page: str, name: str) -> nodes.image:
    """The image in the figure of this name.

    Raises:
        ExtensionError: the page has no such figure; the message names those it has.
    """
    figures = app.env.get_doctree(page).findall(nodes.figure) if page in app.env.found_docs else []
    named = {label: figure for figure in figures for label in figure["names"]}
    if name not in named:
        raise ExtensionError(f"{page} has no figure {name!r}, only {', '.join(named) or 'none'}")
    return next(named[name].findall(nodes.image))


def fill_pictures(app, doctree, docname: str) -> None:
    for node in list(doctree.findall(picture)):
        caption = [child for paragraph in node.children for child in paragraph.children]
        image = named_image(app, node["page"], node["figure"]).deepcopy()
        node.replace_self(nodes.figure("", image, nodes.caption("", "", *caption)))


def fill_tallies(app, doctree, docname: str) -> None:
    for node in list(doctree.findall(tally)):
        tables = app.env.get_doctree(CLAIMS_PAGE).findall(nodes.raw) if CLAIMS_PAGE in app.env.found_docs else []
        counted = (raw for raw in tables if raw.get("format") == "html" and all(row in raw.astext() for row in COUNTED))
        table = next((raw for raw in counted if 'class="claim"' not in raw.astext()), None)
        if table is None:
            raise ExtensionError(f"{CLAIMS_PAGE} has no table that counts the claims of each kind")
        node.replace_self(nodes.container("", table.deepcopy(), classes=["cell_output", "tally"]))


def fill_galleries(app, doctree, docname: str) -> None:
    for node in list(doctree.findall(gallery)):
        names = sorted(name for name in app.env.found_docs if name.startswith(node["folder"]))
        cards = [card(app, docname, name) for name in names]
        node.replace_self(nodes.container("", *cards, classes=["gallery"]))


def shrink(app, picture: Path) -> str:
    """Write a picture a card wide into the site; fifteen whole ones would weigh more than the rest of the page."""
    folder = Path(app.outdir) / "_thumbnails"
    folder.mkdir(exist_ok=True)
    with Image.open(picture) as image:
        image.convert("RGB").resize((THUMBNAIL, round(image.height * THUMBNAIL / image.width))).save(
            folder / picture.name, optimize=True
        )
    return picture.name


def card(app, docname: str, name: str) -> nodes.Element:
    picture = next(app.env.get_doctree(name).findall(nodes.image), None)
    if picture is None or not picture.get("alt"):
        raise ExtensionError(f"{name} has no picture with alt text to show in the gallery")
    thumbnail = shrink(app, Path(app.srcdir) / picture["candidates"]["*"])
    folder = "" if app.builder.name == "singlehtml" else "../" * docname.count("/")
    # The picture only repeats what the title beside it links to, but seen alone it needs its own words: keep the alt.
    image = f'<img src="{folder}_thumbnails/{thumbnail}" alt="{html.escape(picture["alt"])}">'
    link = nodes.reference("", "", internal=True, refuri=app.builder.get_relative_uri(docname, name))
    link += nodes.raw("", image, format="html")
    link += nodes.inline("", "", *app.env.titles[name].deepcopy().children)
    return nodes.paragraph("", "", link)


def setup(app) -> dict:
    app.add_node(gallery)
    app.add_directive("gallery", Gallery)
    app.connect("doctree-resolved", fill_galleries)
    app.add_node(picture)
    app.add_node(tally)
    app.add_directive("picture", Picture)
    app.add_directive("tally", Tally)
    app.connect("doctree-resolved", fill_pictures)
    app.connect("doctree-resolved", fill_tallies)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
