"""Execution, assets and repairs that no published extension gives in this form; after each colon, what falls short.

- Outputs of notebooks are cached under a hash of all that can change them: jupyter-cache hashes their code alone.
- Notebooks run in parallel, and their peak memory is recorded: jupyter-cache's parallel executor records seconds only.
- Executed notebooks are in ``_build/jupyter_execute`` with their outputs: MyST-NB writes cached ones without.
- After a warning or an error the next build reads all pages again: ``sphinx-build -E`` would do so each time.
- The parts of MathJax that pages load are in the site, 3 MB: sphinx-mathjax-offline copies all 24 MB.
- Theorems have numbers, figures do not, and each proof has its own id: sphinx-proof numbers both and repeats ids.
- Where the site's address is known, all pages are in a sitemap: sphinx-sitemap lists those that the last build wrote,
  so it forgets pages after an interrupted one.
- The search does not read the first cell of a notebook, which installs rnnlib on each of them: Sphinx leaves out whole
  pages only.
- Launch buttons are on notebooks only: the theme adds them to Markdown with code cells, which Colab cannot open.
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
import vendor
from docutils import nodes
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import create_nb_reader
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from sphinx.util import logging

CARDS = {"line_color": "#0173b2"}  # how the picture looks that other sites show beside a link to a page
MAX_CACHES = 4  # for a reader who switches between two scales or branches
RECORD = "execution_seconds peak_mib machine"  # of each run; in the key, so that caches that lack some are not used
log = logging.getLogger(__name__)
FOLD = re.compile(r"(<a [^>]*>([^<]*)</a>\s*<details[^>]*>\s*<summary)>")  # of the sidebar, below a page
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
    for stale in sorted(caches.iterdir(), key=lambda path: path.stat().st_mtime)[:-MAX_CACHES]:
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
        peak = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(peak[1]) / 1024 if peak else None


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
        client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})  # together the kernels have one thread a core
    except (CellExecutionError, CellTimeoutError):
        return None
    return {"execution_seconds": time.monotonic() - start, "peak_mib": max(filter(None, peaks), default=None)}


def execute_in_parallel(app, env, docnames) -> None:
    """Fill the cache with the outputs of the notebooks about to be read, so that MyST-NB finds them there.

    Markdown with code cells is a notebook too; it goes first, because the page of all claims takes longest. A notebook
    that fails stays out of the cache: MyST-NB runs it again and reports the failure as its own.
    """
    if app.config.nb_execution_mode != "cache":
        return
    cache = get_cache(app.config.nb_execution_cache_path)
    pending = {}
    for path in sorted((Path(env.doc2path(name)) for name in docnames), key=lambda path: path.suffix == ".ipynb"):
        text = path.read_text(encoding="utf-8")
        reader = create_nb_reader(str(path), env.myst_config, env.mystnb_config, text)
        if reader is not None:  # not for a page without code
            notebook = reader.read(text)
            try:
                cache.match_cache_notebook(notebook)
            except KeyError:
                pending[path] = notebook
    if not pending:
        return

    workers, timeout = max(2, os.cpu_count() or 1), app.config.nb_execution_timeout
    log.info("Executing %d notebooks, %d at a time", len(pending), workers)
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(execute, path, notebook, timeout): path for path, notebook in pending.items()}
        for future in as_completed(futures):
            path, record = futures[future], future.result()
            if record is None:
                continue
            log.info("Executed %s in %.0f seconds", path.relative_to(app.srcdir), record["execution_seconds"])
            bundle = CacheBundleIn(pending[path], str(path), data=record | {"machine": machine(workers)})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


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


def remove_executed_record(app) -> None:
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
    if app.builder.format == "html":
        for part in MATHJAX_PARTS:
            vendor.copy(app, f"mathjax/es5/{part}", Path(app.outdir) / "mathjax" / part)


def number_theorems_only(app) -> None:
    """Sphinx-proof switches numbers on for everything; under Figure 2 a running "Fig. 7" would mislead."""
    countable = app.env.get_domain("std").enumerable_nodes
    for kind in (nodes.figure, nodes.table, nodes.container):
        countable.pop(kind, None)


def make_proof_ids_unique(app, doctree) -> None:
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


def discard_environment(app, exception) -> None:
    """After a warning, make the next build read every page again, so that it meets the same warnings."""
    if exception or app._warncount:
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)


def clear_empty_headers(app, doctree) -> None:
    """pandas writes empty header cells above an index; one who cannot see hears a header without a name."""
    for node in list(doctree.findall(nodes.raw)):
        if node.get("format") == "html" and EMPTY_HEADER.search(node.astext()):
            node.replace_self(nodes.raw("", EMPTY_HEADER.sub("<td></td>", node.astext()), format="html"))


def search_without_first_cells(app) -> None:
    """Else a search for pip or Colab would lead to every notebook before it leads to the page on installation."""
    index_page = getattr(app.builder, "index_page", None)
    if index_page is None:
        return

    def index_rest(pagename, doctree, title) -> None:
        cells = (node for node in doctree.findall(nodes.container) if node.get("nb_element") == "cell_code")
        cell = next(cells, None) if app.env.doc2path(pagename).endswith(".ipynb") else None
        if cell is None:
            index_page(pagename, doctree, title)
            return
        parent, place = cell.parent, cell.parent.index(cell)
        parent.remove(cell)
        index_page(pagename, doctree, title)
        parent.insert(place, cell)

    app.builder.index_page = index_rest


def drop_launch_buttons(app, pagename, templatename, context, doctree) -> None:
    """Pages written in Markdown are not on the branch that Colab opens."""
    if not app.env.doc2path(pagename).endswith(".ipynb"):
        buttons = context.get("header_buttons", [])
        buttons[:] = [button for button in buttons if button.get("label") != "launch-buttons"]


def name_folds_of_the_sidebar(app, pagename, templatename, context, doctree) -> None:
    """The theme's arrows that unfold the pages below one have no name, so one who cannot see hears nothing."""
    generate = context.get("generate_toctree_html")
    if generate is None:
        return

    def with_names(*arguments, **options) -> str:
        return FOLD.sub(r'\1 aria-label="Pages under \2">', str(generate(*arguments, **options)))

    context["generate_toctree_html"] = with_names


def setup(app) -> dict:
    app.connect("config-inited", configure)
    app.connect("builder-inited", remove_executed_record)
    app.connect("builder-inited", vendor_mathjax)
    app.connect("builder-inited", number_theorems_only)
    app.connect("builder-inited", search_without_first_cells)
    app.connect("doctree-read", make_proof_ids_unique)
    app.connect("env-before-read-docs", execute_in_parallel)
    app.connect("doctree-read", clear_empty_headers)
    app.connect("html-page-context", drop_launch_buttons, priority=900)  # after the theme has added them
    app.connect("html-page-context", name_folds_of_the_sidebar, priority=900)
    app.connect("build-finished", write_executed, priority=900)  # the last one: the others may still fail
    app.connect("build-finished", write_sitemap)
    app.connect("build-finished", discard_environment)
    return {"version": "1", "env_version": 2, "parallel_read_safe": True, "parallel_write_safe": True}
