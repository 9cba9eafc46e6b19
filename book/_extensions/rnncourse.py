"""The students' copies of the notebooks, to download: ``{students-copies} SESSION`` on the page Teaching.

The site carries what ``make course`` writes, as single notebooks, a zip a session and one zip of all, made anew by each
build from the same notebooks. Which of them a session needs is read off the page: those that its row of the first table
links to, and those whose exercises it assigns. Sphinx's own downloads are files that exist before the build.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

FOLDER, ZIP, ZIP_OF_SESSION = "course", "course.zip", "course-session-{}.zip"
SESSION = re.compile(r"^```{students-copies} (\d+)", re.MULTILINE)
NOTEBOOK = re.compile(r"\]\(\.\./notebooks/([\w/-]+)\.ipynb\)")
ASSIGNED = re.compile(r"\*([A-Z][^*]+)\* \d")


def title(notebook: Path) -> str:
    return re.search(r'"# ([^"\\]+)', notebook.read_text(encoding="utf-8"))[1]


def needed(text: str, session: str, titles: dict[str, str]) -> list[str]:
    """Notebooks of a session, in the order in which the page names them.

    Args:
        text: of the page, in Markdown.
        session: its number.
        titles: names of notebooks, such as "figures/fig01", by title.

    Raises:
        ExtensionError: the page has no such session.
    """
    row = re.search(rf"^\| {session} .*$", text, re.MULTILINE)
    section = re.search(rf"^## {session} .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if not row or not section:
        raise ExtensionError(f"the page on teaching has no session {session!r}")
    assigned = [titles[name] for name in ASSIGNED.findall(section[0]) if name in titles]
    return list(dict.fromkeys([*NOTEBOOK.findall(row[0]), *assigned]))


def by_title(root: Path) -> dict[str, str]:
    """Names of all notebooks, such as "figures/fig01", by title."""
    return {title(path): f"{path.parent.name}/{path.stem}" for path in root.glob("notebooks/*/*.ipynb")}


class StudentsCopies(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = Path(self.env.doc2path(self.env.docname)).read_text(encoding="utf-8")
        session, titles = self.arguments[0], by_title(Path(self.env.srcdir))
        names = {name: words for words, name in titles.items()}
        files = [(ZIP_OF_SESSION.format(session), "this session (zip)")]
        files += [(f"{FOLDER}/{name}.ipynb", names[name]) for name in needed(text, session, titles)]
        files += [(ZIP, "every notebook of the book (zip)")]
        up = "../" * self.env.docname.count("/")
        packed, *single, every = [f'<a href="{up}{file}" download>{words}</a>' for file, words in files]
        line = f"<strong>Students’ copies.</strong> {packed}: {', '.join(single)}. {every}."
        return [nodes.raw("", f'<p class="copies">{line}</p>', format="html")]


def pack(path: Path, files: dict[str, str]) -> None:
    """Write a zip; the same files give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}")  # 1980: the time of writing would change the bytes
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    path.write_bytes(packed.getvalue())


def write(app, exception) -> None:
    """Put the course into the site; the same notebooks give the same bytes."""
    root = Path(app.srcdir)
    if exception or app.builder.name != "html" or not (root / "tools" / "course.py").is_file():
        return
    sys.path.insert(0, str(root / "tools"))
    try:
        import course
    finally:
        sys.path.remove(str(root / "tools"))
    site, copies = Path(app.outdir), course.course(root)
    for name, content in copies.items():
        target = site / FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    pack(site / ZIP, copies)
    page = root / "book" / "teaching.md"  # which a book in a test need not have
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    for session in SESSION.findall(text):
        own = ["README.md", *(f"{name}.ipynb" for name in needed(text, session, by_title(root)))]
        pack(site / ZIP_OF_SESSION.format(session), {name: copies[name] for name in own})


def setup(app) -> dict:
    app.add_directive("students-copies", StudentsCopies)
    app.connect("build-finished", write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
