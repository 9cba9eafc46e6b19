"""Tables of what ran: ``{run-times} FOLDER ...`` from this build's own record, ``{stored-results}`` from the results.

Seconds are those that executing a page took; a page taken from the cache shows the seconds of the run that filled it.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.util.docutils import SphinxDirective

from rnnlib.experiments.analysis import wall_seconds


class run_times(nodes.General, nodes.Element):
    """Stands for the table until all notebooks have run."""


class RunTimes(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["gallery"] = True  # written anew in each build, as galleries are
        return [run_times(folders=[folder.strip("/") + "/" for folder in self.arguments[0].split()])]


class StoredResults(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        rows = []
        for path in sorted((Path(self.env.srcdir) / "rnnlib" / "results").glob("*.json")):
            self.env.note_dependency(str(path))
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["name"] == "bench":  # timings have a page of their own
                continue
            count = sum(one["rows"] for one in record["files"].values())
            seconds = wall_seconds(record)
            together = len(record.get("run together", [])) or 1
            rows.append(
                [
                    record["name"],
                    record["title"],
                    record["date"][:10],
                    record["scale"],
                    f"{count:,}",
                    f"{seconds:,.0f}" + (f" for {together} together" if together > 1 else ""),
                    record["device"],
                    record["commit"][:10],
                ]
            )
        heads = ["name", "what", "date", "scale", "rows", "seconds", "where", "commit"]
        return [table(heads, [[nodes.Text(cell) for cell in row] for row in rows])]


def table(heads: list[str], rows: list[list[nodes.Node]]) -> nodes.container:
    """A table that scrolls in its own box where the screen is narrow."""
    group = nodes.tgroup("", *[nodes.colspec(colwidth=1) for _ in heads], cols=len(heads))

    def row(cells: list[nodes.Node]) -> nodes.row:
        return nodes.row("", *[nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells])

    group += nodes.thead("", row([nodes.Text(head) for head in heads]))
    group += nodes.tbody("", *[row(cells) for cells in rows])
    return nodes.container("", nodes.table("", group), classes=["wide-table"])


def fill(app, doctree, docname: str) -> None:
    for place in list(doctree.findall(run_times)):
        rows, total = [], 0.0
        for name in sorted(app.env.found_docs):
            record = NbMetadataCollector.get_exec_data(app.env, name)
            if record is None or not name.startswith(tuple(place["folders"])):
                continue
            link = nodes.reference("", "", *app.env.titles[name].deepcopy().children, internal=True)
            link["refuri"] = app.builder.get_relative_uri(docname, name)
            seconds = record["runtime"] or 0.0
            total += seconds
            day = time.strftime("%Y-%m-%d", time.gmtime(record["mtime"]))
            rows.append([link, nodes.Text(f"{seconds:.0f}"), nodes.Text(day)])
        scale = os.environ.get("RNNLIB_SCALE", "book")
        rows.append([nodes.Text(f"all, at the scale “{scale}”"), nodes.Text(f"{total:.0f}"), nodes.Text("")])
        place.replace_self(table(["page", "seconds", "ran on"], rows))


def setup(app) -> dict:
    app.add_node(run_times)
    app.add_directive("run-times", RunTimes)
    app.add_directive("stored-results", StoredResults)
    app.connect("doctree-resolved", fill)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
