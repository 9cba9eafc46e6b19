"""``{gallery} FOLDER``: a card with the first picture of every notebook in FOLDER, taken from the same build.

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

THUMBNAIL = 560  # pixels across: twice the width of a card, for screens of double density


class gallery(nodes.General, nodes.Element):
    """Stands for the pictures until all notebooks have run."""


class Gallery(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return [gallery(folder=self.arguments[0].strip("/") + "/")]


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
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
