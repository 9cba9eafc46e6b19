"""What this book needs from Sphinx and no published extension gives.

- Outputs of notebooks are cached under a hash of everything that can change them, not of the notebooks alone.
- Notebooks run side by side, one a core; seconds and peak memory of each are kept.
- Executed notebooks lie in ``_build/jupyter_execute`` with their outputs, for ``make colab``.
- A build with a warning or an error is never mistaken for a finished one by the next build.
- MathJax comes from the site itself.
- Theorems have numbers, figures do not.
- Where the site's address is known, it has a sitemap and a picture for links to each page.
- ``{gallery} FOLDER`` shows the first picture of every notebook in FOLDER, taken from the same build.
"""

from __future__ import annotations

import hashlib
import html
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from PIL import Image
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

THUMBNAIL = 560  # pixels across: twice the width of a card, for screens of double density
CARDS = {"line_color": "#0173b2"}  # how the picture looks that other sites show beside a link to a page
CACHES_KEPT = 4  # a reader who switches between two scales or branches keeps both
RECORD = "execution_seconds peak_mib machine"  # what is kept of each run; caches that lack some of it are left behind
log = logging.getLogger(__name__)
EMPTY_HEADER = re.compile(r"<th(?: [^>]*)?>\s*(?:&nbsp;)?\s*</th>")
MATHJAX_PARTS = ["tex-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2"]


def execution_key(root: Path) -> str:
    """Hash of what a notebook's outputs depend on besides its own text.

    Args:
        root: the repository.

    Returns:
        Sixteen hexadecimal digits from rnnlib's files, RNNLIB_SCALE, Python and every installed package's version.
    """
    digest = hashlib.sha256()
    for path in sorted((root / "rnnlib").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    versions = sorted(f"{d.name}=={d.version}" for d in importlib.metadata.distributions())
    facts = [RECORD, os.environ.get("RNNLIB_SCALE", "book"), platform.python_version(), *versions]
    digest.update("\n".join(facts).encode())
    return digest.hexdigest()[:16]


def configure(app, config) -> None:
    caches = Path(app.outdir).parent / ".jupyter_cache"
    current = caches / execution_key(Path(app.srcdir))
    current.mkdir(parents=True, exist_ok=True)
    current.touch()
    for stale in sorted(caches.iterdir(), key=lambda path: path.stat().st_mtime)[:-CACHES_KEPT]:
        shutil.rmtree(stale, ignore_errors=True)
    config.nb_execution_cache_path = str(current)

    options = config.html_theme_options
    address = urlsplit(options["repository_url"])
    if address.hostname == "github.com":
        owner, repository = address.path.strip("/").split("/")
        config.html_baseurl = config.html_baseurl or f"https://{owner.lower()}.github.io/{repository}/"
    else:  # Colab opens notebooks from GitHub, and the theme stops at hosts that it does not know
        options.pop("launch_buttons", None)
        if address.hostname != "gitlab.com":
            options |= {"repository_url": "", "use_repository_button": False, "use_issues_button": False}
    config.ogp_site_url = config.html_baseurl
    # A card is named by a full address, so it takes a known one.
    config.ogp_social_cards = {"enable": bool(config.html_baseurl), **CARDS}
    config.mathjax_path = "../mathjax/tex-chtml.js"  # relative to _static


def peak_mib(pid: int) -> float | None:
    """Largest resident memory of a process until now, in MiB; None where the system does not tell (it is Linux's)."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


def machine(workers: int) -> str:
    """What the notebooks of this build run on, in words."""
    memory = ""
    if hasattr(os, "sysconf"):  # not on Windows
        memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB of memory, "
    gpu = "an NVIDIA GPU" if shutil.which("nvidia-smi") else "no NVIDIA GPU"
    return f"{os.cpu_count()} cores, {memory}{gpu}; at most {workers} pages at a time, one thread each"


def execute(path: Path, notebook, timeout: int) -> dict | None:
    """Run a notebook in place and give its seconds and peak memory; None if it failed."""
    peaks = []
    client = NotebookClient(
        notebook,
        timeout=timeout,
        record_timing=False,  # times in the cells would make another notebook of it, which MyST-NB would not find
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_executed=lambda **_: peaks.append(peak_mib(client.km.provisioner.pid)),
    )
    start = time.monotonic()
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError):
        return None
    return {"execution_seconds": time.monotonic() - start, "peak_mib": max(filter(None, peaks), default=None)}


def execute_side_by_side(app, env, docnames) -> None:
    """Fill the cache with the outputs of the notebooks about to be read, so that MyST-NB finds them there.

    A notebook that fails stays out of the cache: MyST-NB runs it again and reports the failure as its own.
    """
    if app.config.nb_execution_mode != "cache":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    waiting = {}
    for name in docnames:
        path = Path(env.doc2path(name))
        if path.suffix == ".ipynb":
            notebook = nbformat.read(path, nbformat.NO_CONVERT)
            try:
                cache.match_cache_notebook(notebook)
            except KeyError:
                waiting[path] = notebook
    if not waiting:
        return

    workers, timeout = max(2, os.cpu_count() or 1), app.config.nb_execution_timeout
    log.info("Executing %d notebooks, %d at a time", len(waiting), workers)
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # kernels inherit it: together they have one thread a core
    try:
        with ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(execute, path, notebook, timeout): path for path, notebook in waiting.items()}
            for future in as_completed(futures):
                path, record = futures[future], future.result()
                if record is None:
                    continue
                log.info("Executed %s in %.0f seconds", path.relative_to(app.srcdir), record["execution_seconds"])
                bundle = CacheBundleIn(waiting[path], str(path), data=record | {"machine": machine(workers)})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def commit_of_package(root: Path) -> str | None:
    """The commit whose package ran the notebooks; None if the package differs from its last commit, or without git."""
    try:
        head, changed = (
            subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "rnnlib"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return None if changed else head


def executed_record(app) -> Path:
    return Path(app.outdir).parent / "jupyter_execute" / "executed.json"


def forget_executed(app) -> None:
    """Without its record, what an unfinished build leaves in the folder is not published."""
    executed_record(app).unlink(missing_ok=True)


def write_executed(app, exception) -> None:
    """Write the executed notebooks, then the record of what ran them.

    MyST-NB puts the outputs that it finds in the cache into a copy, and writes the notebook without them.
    """
    if exception or app._warncount or app.config.nb_execution_mode != "cache":
        return
    cache, record = get_cache(app.config.nb_execution_cache_path), executed_record(app)
    for name in app.env.found_docs:
        path = Path(app.env.doc2path(name))
        if path.suffix == ".ipynb":
            _, notebook = cache.merge_match_into_notebook(nbformat.read(path, nbformat.NO_CONVERT))
            target = record.parent / f"{name}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, target)
    ran = {"commit": commit_of_package(Path(app.srcdir)), "scale": os.environ.get("RNNLIB_SCALE", "book")}
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps(ran) + "\n", encoding="utf-8")


def vendor_mathjax(app) -> None:
    if app.builder.format != "html":
        return
    source, target = Path(app.srcdir) / "node_modules/mathjax/es5", Path(app.outdir) / "mathjax"
    if not source.is_dir():
        raise ExtensionError("node_modules/mathjax is missing: run `make book`, or `npm ci` before jupyter-book")
    for part in MATHJAX_PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copy2(source / part, target / part)


def number_theorems_alone(app) -> None:
    """Sphinx-proof switches numbers on for everything; under Figure 2 a running "Fig. 7" would mislead."""
    countable = app.env.get_domain("std").enumerable_nodes
    for kind in (nodes.figure, nodes.table, nodes.container):
        countable.pop(kind, None)


def tell_proofs_apart(app, doctree) -> None:
    """Sphinx-proof gives all proofs of a page one id, and all theorems another; a page may use an id only once."""
    for shared in ("proof", "proof-content"):
        same = [node for node in doctree.findall(nodes.Element) if node.get("ids") == [shared]]
        for number, node in enumerate(same, start=1):
            node["ids"] = [f"{shared}-{number}"]


def write_sitemap(app, exception) -> None:
    """The addresses of all pages for search engines, where the site's own address is known."""
    base = app.config.html_baseurl
    if exception or app.builder.name != "html" or not base:
        return
    pages = sorted(app.builder.get_target_uri(name) for name in app.env.found_docs)
    lines = "".join(f"<url><loc>{html.escape(base.rstrip('/'))}/{page}</loc></url>\n" for page in pages)
    start = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    (Path(app.outdir) / "sitemap.xml").write_text(f"{start}{lines}</urlset>\n", encoding="utf-8")


def forget_flawed_build(app, exception) -> None:
    """Make the next build read every page again, so that it meets the same warnings."""
    if exception or app._warncount:
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)


def mend_table_corners(app, doctree) -> None:
    """pandas writes empty header cells above an index; one who cannot see hears a header without a name."""
    for node in list(doctree.findall(nodes.raw)):
        if node.get("format") == "html" and EMPTY_HEADER.search(node.astext()):
            node.replace_self(nodes.raw("", EMPTY_HEADER.sub("<td></td>", node.astext()), format="html"))


def drop_launch_buttons(app, pagename, templatename, context, doctree) -> None:
    """Pages written in Markdown are not on the branch that Colab opens."""
    if not app.env.doc2path(pagename).endswith(".ipynb"):
        buttons = context.get("header_buttons", [])
        buttons[:] = [button for button in buttons if button.get("label") != "launch-buttons"]


class gallery(nodes.General, nodes.Element):
    """Stands for the pictures until all notebooks have run."""


class Gallery(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["gallery"] = True
        return [gallery(folder=self.arguments[0].strip("/") + "/")]


def pages_with_gallery(app, env) -> list[str]:
    """Galleries are written anew in each build: their notebooks may have changed."""
    return [name for name in env.found_docs if env.metadata[name].get("gallery")]


def fill_galleries(app, doctree, docname) -> None:
    for place in list(doctree.findall(gallery)):
        names = sorted(name for name in app.env.found_docs if name.startswith(place["folder"]))
        cards = [card(app, docname, name) for name in names]
        place.replace_self(nodes.container("", *cards, classes=["gallery"]))


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
    thumbnail = Path(app.srcdir) / picture["candidates"]["*"]
    folder = "" if app.builder.name == "singlehtml" else "../" * docname.count("/")
    # The picture only repeats what the title beside it links to, but seen alone it needs its own words: keep the alt.
    source, alt = f"{folder}_thumbnails/{shrink(app, thumbnail)}", html.escape(picture["alt"])
    link = nodes.reference("", "", internal=True, refuri=app.builder.get_relative_uri(docname, name))
    link += nodes.raw("", f'<img src="{source}" alt="{alt}">', format="html")
    link += nodes.inline("", "", *app.env.titles[name].deepcopy().children)
    return nodes.paragraph("", "", link)


def setup(app) -> dict:
    app.add_node(gallery)
    app.add_directive("gallery", Gallery)
    app.connect("config-inited", configure)
    app.connect("builder-inited", forget_executed)
    app.connect("builder-inited", vendor_mathjax)
    app.connect("builder-inited", number_theorems_alone)
    app.connect("doctree-read", tell_proofs_apart)
    app.connect("env-before-read-docs", execute_side_by_side)
    app.connect("doctree-read", mend_table_corners)
    app.connect("env-updated", pages_with_gallery)
    app.connect("doctree-resolved", fill_galleries)
    app.connect("html-page-context", drop_launch_buttons, priority=900)  # after the theme has added them
    app.connect("build-finished", write_executed, priority=900)  # the last one: the others may still fail
    app.connect("build-finished", write_sitemap)
    app.connect("build-finished", forget_flawed_build)
    return {"version": "1", "env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}
