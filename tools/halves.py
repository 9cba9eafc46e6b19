"""The two halves of a pair, NAME.py and NAME.ipynb: what they hold, in what they differ, each made from the other."""

from __future__ import annotations

import difflib
import itertools
import json
import warnings
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from jupytext.combine import combine_inputs_with_outputs
from jupytext.config import load_jupytext_config
from nbformat import NotebookNode

CONFIG = load_jupytext_config(str(Path(__file__).parent))  # [tool.jupytext] of pyproject.toml
SCRIPT = {"extension": ".py", "format_name": "percent"}
HALVES = (".py", ".ipynb")
HEADER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
"""
END = "\n# ---\n"  # of the header
# What running a notebook, Jupyter's settings and jupytext itself leave in a cell's metadata: no edits.
TRACES = {"ExecuteTime", "autoscroll", "collapsed", "execution", "lines_to_next_cell", "scrolled", "trusted"}
DEFAULTS = {"editable": True, "slideshow": {"slide_type": ""}, "tags": []}  # JupyterLab writes them beside a first tag


class Cell(NamedTuple):
    """What a pair must agree in."""

    kind: str
    source: str
    metadata: str  # and attachments, as JSON

    def __str__(self) -> str:
        first = self.source.strip().partition("\n")[0]
        return f"{self.kind}: {first if len(first) <= 60 else first[:57] + '...'}" if first else f"{self.kind}, empty"


class PairError(ValueError):
    """A pair cannot be brought together."""


def plain_metadata(cell: NotebookNode) -> dict:
    return {
        name: value for name, value in cell.metadata.items() if name not in TRACES and DEFAULTS.get(name, ...) != value
    }


def cells(notebook: NotebookNode) -> list[Cell]:
    """The cells of a notebook, without outputs, ids and traces of running it."""
    return [
        Cell(
            cell.cell_type,
            cell.source.strip("\n"),  # a .py does not tell blank lines at either end from those between cells
            json.dumps([plain_metadata(cell), cell.get("attachments") or {}], sort_keys=True),
        )
        for cell in notebook.cells
    ]


def parse(content: bytes, suffix: str) -> NotebookNode:
    """The notebook that a ``.py`` or an ``.ipynb`` holds.

    Raises:
        PairError: there is none.
    """
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ids that older versions of Jupyter did not write
            if suffix == ".py":
                notebook = jupytext.reads(text, SCRIPT, config=CONFIG)
            else:
                notebook = nbformat.v4.upgrade(nbformat.reads(text, as_version=4))
            nbformat.validate(notebook)
    except Exception as error:  # of any kind: files may hold anything, such as the marks of a merge
        reason = str(error).partition("\n")[0][:100]
        raise PairError(f"the {suffix} cannot be read as a notebook ({reason})") from None
    if not notebook.cells:  # a file that was cut short, rather than the wish to delete everything
        raise PairError(f"the {suffix} holds no cells")
    return notebook


def differences(script: list[Cell], notebook: list[Cell]) -> str:
    """The cells in which the halves differ, numbered from 1, in words."""
    sentences = []
    for operation, a, b, c, d in difflib.SequenceMatcher(None, script, notebook, autojunk=False).get_opcodes():
        for i, j in itertools.zip_longest(range(a, b), range(c, d)) if operation != "equal" else ():
            if j is None:
                sentences.append(f"cell {i + 1}, only in the .py ({script[i]})")
            elif i is None:
                sentences.append(f"cell {j + 1}, only in the .ipynb ({notebook[j]})")
            else:
                number = f"cell {j + 1}" if i == j else f"cell {i + 1} of the .py, {j + 1} of the .ipynb"
                what = "metadata of " if script[i][:2] == notebook[j][:2] else ""
                sentences.append(f"{number} ({what}{notebook[j]})")
    return "; ".join(sentences)


def as_notebook(script: NotebookNode, notebook: NotebookNode | None) -> NotebookNode:
    """The cells of a ``.py`` as an ``.ipynb``; unchanged cells keep their ids."""
    metadata = [cell.metadata for cell in script.cells]
    new = combine_inputs_with_outputs(script, notebook, SCRIPT) if notebook else script
    for cell, own in zip(new.cells, metadata, strict=True):
        cell.metadata = own
        cell.pop("attachments", None)
    return new


def as_script(notebook: NotebookNode, old: str) -> str:
    """The text of a ``.py`` with the cells of an ``.ipynb`` and the header of its ``old`` text.

    Raises:
        PairError: a ``.py`` cannot hold them.
    """
    text = jupytext.writes(notebook, SCRIPT, config=CONFIG)
    if not old.startswith("# ---\n") or END not in old:
        old = HEADER
    text = old.partition(END)[0] + END + text.partition(END)[2]
    if (new := cells(parse(text.encode(), ".py"))) != cells(notebook):
        raise PairError(f"the .py cannot hold what the .ipynb has in {differences(new, cells(notebook))}")
    return text


def without_outputs(notebook: NotebookNode) -> str:
    """The text of an ``.ipynb`` without outputs and traces of running it."""
    for cell in notebook.cells:
        lines = {name: value for name, value in cell.metadata.items() if name == "lines_to_next_cell"}
        cell.metadata = nbformat.from_dict(plain_metadata(cell) | lines)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("language_info", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nbformat.writes(notebook) + "\n"
