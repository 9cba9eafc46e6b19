"""What ran: ``{run-times} FOLDER ...`` from this build's own record, ``{stored-results}`` from the results.

``{stored-columns}`` says what the columns of the results hold, as the package has it; readers of a CSV need no Python.

``{slowest-run} FOLDER ...`` is the record in one sentence. Where a notebook's first lines promise a time in words, its
own record follows. Seconds and memory are those of executing a page; a page
taken from the cache shows the run that filled it. MyST-NB's ``{nb-exec-table}`` has neither memory nor GPU, total and
machine. rnnlinks writes the page anew when a notebook ran.
"""

from __future__ import annotations

import csv
import html
import json
import os
import statistics
import time
from pathlib import Path

import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

_ASKS_FOR_GPU = ("choose_device(", "cuda.is_available(")


class run_times(nodes.General, nodes.Element):
    """Stands for the table until all notebooks have run."""


class slowest_run(nodes.General, nodes.Element):
    """Stands for the sentence until all notebooks have run."""


def folders(directive: SphinxDirective) -> list[str]:
    return [folder.strip("/") + "/" for folder in directive.arguments[0].split()]


class SlowestRun(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        return [slowest_run(folders=folders(self))]


class RunTimes(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        return [run_times(folders=folders(self))]


class StoredResults(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        from rnnlib.lab.experiments.analysis import wall_seconds  # with PyTorch, which other pages do without

        rows = []
        for path in sorted((Path(self.env.srcdir) / "rnnlib" / "lab" / "results").glob("*.json")):
            self.env.note_dependency(str(path))
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["name"] == "bench":  # timings have a page of their own
                continue
            count = sum(one["rows"] for one in record["files"].values())
            seconds = wall_seconds(record)
            together = len(record.get("run together", [])) or 1
            cells = [
                record["name"],
                record["title"],
                record["date"][:10],
                record["scale"],
                f"{count:,}",
                f"{seconds:,.0f}" + (f" for {together} together" if together > 1 else ""),
                record["device"],
                record["commit"][:10],
            ]
            rows.append([*map(nodes.Text, cells), self.downloads([*record["files"], path.name])])
        heads = ["name", "what", "date", "scale", "rows", "seconds", "where", "commit", "download"]
        return [table(heads, rows)]

    def downloads(self, files: list[str]) -> nodes.inline:
        """Links to files in the folder of results."""
        links = nodes.inline()
        for file in files:
            link = addnodes.download_reference("", file, reftarget=f"/rnnlib/lab/results/{file}")
            links += [nodes.Text(", "), link] if links.children else [link]
        return links


class StoredColumns(SphinxDirective):
    """A fold for each kind of experiment, and in it, of each of its tables, the columns that its files have."""

    def run(self) -> list[nodes.Node]:
        from rnnlib.lab.experiments.columns import TABLES, meanings  # with PyTorch, as above

        folder = Path(self.env.srcdir) / "rnnlib" / "lab" / "results"
        headers: dict[str, dict[str, dict[str, list[str]]]] = {kind: {} for kind in TABLES}
        for path in sorted(folder.glob("*.json")):
            self.env.note_dependency(str(path))
            record = json.loads(path.read_text(encoding="utf-8"))
            for file in record["files"] if "definition" in record else ():
                with (folder / file).open(encoding="utf-8", newline="") as lines:
                    header = next(csv.reader(lines))
                name = file.removeprefix(record["name"]).removesuffix(".csv").removeprefix(".") or "runs"
                headers[record["definition"].get("kind", "Experiment")].setdefault(name, {})[file] = header
        shown: list[tuple[bool, list[nodes.Node]]] = []
        for kind, tables in headers.items():
            results = sorted({file.split(".")[0] for files in tables.values() for file in files})
            many = len(results) > 5
            summary = (
                f"Training runs: {results[0]}, {results[1]} and {len(results) - 2} others"
                if many
                else ", ".join(results)
            )
            content: list[nodes.Node] = []
            for name, files in tables.items():
                columns = list(dict.fromkeys(column for header in files.values() for column in header))
                ends = "" if name == "runs" else f"{name}."
                of = f"NAME.{ends}csv" if many else ", ".join(files)
                lead = nodes.paragraph(
                    "", "", nodes.literal("", of), nodes.Text(f": a row is {TABLES[kind][name].row}.")
                )
                texts = meanings(kind, name, columns).items()
                rows = [[nodes.literal("", column), nodes.Text(text)] for column, text in texts]
                content += [lead, table(["column", "what it holds"], rows)]
            begin, end = (f"<details><summary>{html.escape(summary)}</summary>", "</details>")
            shown.append((many, [nodes.raw("", begin, format="html"), *content, nodes.raw("", end, format="html")]))
        return [node for _, fold in sorted(shown, key=lambda one: not one[0]) for node in fold]


def table(heads: list[str], rows: list[list[nodes.Node]]) -> nodes.container:
    """A table that scrolls in its own box where the screen is narrow."""
    group = nodes.tgroup("", *[nodes.colspec(colwidth=1) for _ in heads], cols=len(heads))

    def row(cells: list[nodes.Node]) -> nodes.row:
        return nodes.row("", *[nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells])

    group += nodes.thead("", row([nodes.Text(head) for head in heads]))
    group += nodes.tbody("", *[row(cells) for cells in rows])
    return nodes.container("", nodes.table("", group), classes=["wide-table"])


def record_of(app, name: str) -> dict:
    """What rnnbook recorded of a notebook's run; empty for a page of prose, whose run no table shows."""
    path = Path(app.env.doc2path(name))
    if path.suffix != ".ipynb":
        return {}
    cache = get_cache(app.config.nb_execution_cache_path)
    return cache.match_cache_notebook(nbformat.read(path, nbformat.NO_CONVERT)).data


def runs(app, node: nodes.Element) -> list[tuple[str, dict]]:
    """Pages in the folders of a node that have run, and MyST-NB's record of each."""
    pages = [name for name in sorted(app.env.found_docs) if name.startswith(tuple(node["folders"]))]
    records = [(name, NbMetadataCollector.get_exec_data(app.env, name)) for name in pages]
    return [(name, run) for name, run in records if run is not None]


def fill_sentence(app, doctree, docname: str) -> None:
    for node in list(doctree.findall(slowest_run)):
        ran = runs(app, node)
        seconds = [run["runtime"] or 0.0 for _, run in ran] or [0.0]
        machines = {record_of(app, name).get("machine") for name, _ in ran} - {None}
        text = (
            f"When this site was built, the slowest of {len(ran)} notebooks took {max(seconds):.0f} seconds and half "
            f"of them at most {statistics.median(seconds):.0f}, on {' and '.join(sorted(machines))}."
        )
        node.replace_self(nodes.paragraph("", text))


def fill_lead(app, doctree, docname: str) -> None:
    """After "**Time** under a minute" the seconds that the page took; the words are for those who read it elsewhere."""
    run = NbMetadataCollector.get_exec_data(app.env, docname)
    for label in list(doctree.findall(nodes.strong)) if run and run["runtime"] else ():
        after = label.parent.astext().partition("Time ")[2]
        if label.astext() == "Time" and ("minute" in after or "second" in after):
            label.parent += nodes.inline(
                "", f" ({run['runtime']:.0f} s when this site was built)", classes=["measured"]
            )
            return


def fill(app, doctree, docname: str) -> None:
    for node in list(doctree.findall(run_times)):
        rows, total, peaks, machines = [], 0.0, [], set()
        for name, run in runs(app, node):
            record, source = record_of(app, name), Path(app.env.doc2path(name)).read_text(encoding="utf-8")
            link = nodes.reference("", "", *app.env.titles[name].deepcopy().children, internal=True)
            link["refuri"] = app.builder.get_relative_uri(docname, name)
            seconds, peak = run["runtime"] or 0.0, record.get("peak_mib")
            total += seconds
            peaks += [peak] if peak else []
            machines |= {record["machine"]} if "machine" in record else set()
            gpu = "used if present" if any(name in source for name in _ASKS_FOR_GPU) else "not used"
            day = time.strftime("%Y-%m-%d", time.gmtime(run["mtime"]))
            rows.append([link, *map(nodes.Text, [f"{seconds:.0f}", f"{peak:.0f}" if peak else "–", gpu, day])])
        scale, most = os.environ.get("RNNLIB_SCALE", "book"), f"{max(peaks):.0f}" if peaks else "–"
        all_pages = [f"all, at the scale “{scale}” (memory: the most of one)", f"{total:.0f}", most, "", ""]
        rows.append(list(map(nodes.Text, all_pages)))
        where = nodes.paragraph("", f"Notebooks ran on: {'. '.join(sorted(machines))}.", classes=["machine"])
        node.replace_self([table(["page", "seconds", "memory, MiB", "GPU", "ran on"], rows), where])


def setup(app) -> dict:
    app.add_node(run_times)
    app.add_node(slowest_run)
    app.add_directive("slowest-run", SlowestRun)
    app.add_directive("run-times", RunTimes)
    app.add_directive("stored-results", StoredResults)
    app.add_directive("stored-columns", StoredColumns)
    app.connect("doctree-resolved", fill)
    app.connect("doctree-resolved", fill_sentence)
    app.connect("doctree-resolved", fill_lead)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
