"""Keep the pairs NAME.py and NAME.ipynb equal, without outputs, and lose no edit of either half.

    make pairs               where one half was edited, the other follows
    make pairs KEEP=py       where both were edited, the .py is right
    make pairs KEEP=ipynb    the other way round

A half was edited if it differs from what both halves held when they last agreed: in git's last commit, or when this
program last ran. An edited half that lacks earlier edits, as a tab of JupyterLab does that was opened
before them, is refused. What is overwritten and not in git's last commit is saved in _build/pairs first.
``jupytext --sync`` is not used because it goes by file times and can discard an edit.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from jupytext.combine import combine_inputs_with_outputs
from jupytext.config import load_jupytext_config
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
CONFIG = load_jupytext_config(str(ROOT / "notebooks"))  # [tool.jupytext] of pyproject.toml
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
WAY_OUT = (
    "make pairs KEEP=py takes the .py, make pairs KEEP=ipynb the .ipynb; the other half"
    " is saved in _build/pairs unless git holds it, so you can copy what you want of both."
)


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


def parse(text: str, suffix: str) -> NotebookNode:
    """The notebook in the text of a ``.py`` or an ``.ipynb``.

    Raises:
        PairError: the text holds none.
    """
    try:
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


def read(path: Path) -> NotebookNode:
    try:
        return parse(path.read_text(encoding="utf-8"), path.suffix)
    except UnicodeDecodeError:
        raise PairError(f"the {path.suffix} cannot be read as a notebook (it is not UTF-8)") from None


def differences(script: list[Cell], notebook: list[Cell]) -> str:
    """The cells in which the halves differ, numbered from 1, in words."""
    found = []
    for operation, a, b, c, d in difflib.SequenceMatcher(None, script, notebook, autojunk=False).get_opcodes():
        if operation == "equal":
            continue
        common = min(b - a, d - c)
        for i, j in zip(range(a, a + common), range(c, c + common), strict=True):
            number = f"cell {j + 1}" if i == j else f"cell {i + 1} of the .py, {j + 1} of the .ipynb"
            only = script[i][:2] == notebook[j][:2]
            found.append(f"{number} ({'metadata of ' if only else ''}{notebook[j]})")
        found += [f"cell {i + 1}, only in the .py ({script[i]})" for i in range(a + common, b)]
        found += [f"cell {j + 1}, only in the .ipynb ({notebook[j]})" for j in range(c + common, d)]
    return "; ".join(found)


def as_notebook(script: NotebookNode, notebook: NotebookNode | None) -> NotebookNode:
    """The cells of a ``.py`` as an ``.ipynb``; cells that stay keep their ids."""
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
    if (new := cells(parse(text, ".py"))) != cells(notebook):
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


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, and only if its text changes."""
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") == text:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def committed(path: Path) -> list[Cell] | None:
    """The cells of a file in git's last commit; None without git, or if it is not there."""
    command = ["git", "show", f"HEAD:./{path.name}"]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, check=True)
        return cells(parse(done.stdout.decode("utf-8"), path.suffix))
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError, PairError):
        return None


def reverted(before: list[Cell], agreed: NotebookNode, edited: NotebookNode, suffix: str) -> list[str]:
    """The edits between ``before`` and ``agreed`` that are gone from a half which was edited since, in words.

    A cell that was edited again is not gone: its id tells in an ``.ipynb``, its text in a ``.py``, which has no ids.
    """
    old, new = cells(agreed), cells(edited)
    ids = {cell.id for cell in edited.cells}
    fresh = [cell.source for cell in new if suffix == ".py" and cell not in old and cell not in before]
    gone = []
    for cell, node in zip(old, agreed.cells, strict=True):
        if cell in before or cell in new or node.id in ids:
            continue
        if similar := difflib.get_close_matches(cell.source, fresh, n=1, cutoff=0.75):
            fresh.remove(similar[0])
        else:
            gone.append(f"lacks ({cell})")
    return gone + [f"still has ({cell})" for cell in before if cell in new and cell not in old]


def opposite(suffix: str) -> str:
    return HALVES[1 - HALVES.index(suffix)]


class Pair:
    """One notebook in both forms.

    Args:
        root: the folder of all notebooks; what the halves agreed in, and what was overwritten, lies beside it in
            ``_build/pairs``.
        path: either half.
    """

    def __init__(self, root: Path, path: Path):
        self.name = path.with_name(path.stem).relative_to(root).as_posix()
        self.halves = {suffix: path.with_name(path.stem + suffix) for suffix in HALVES}
        self.saved = root.parent / "_build" / "pairs"
        self.record = self.saved / f"{self.name}.agreed"

    def agreed(self) -> NotebookNode | None:
        """What the halves held when this program last ran."""
        try:
            return parse(self.record.read_text(encoding="utf-8"), ".ipynb")
        except (OSError, PairError):
            return None

    def source(self, notebooks: dict[str, NotebookNode]) -> str:
        """The half that the other one follows.

        Raises:
            PairError: both were edited, it is not known which, or the one that was edited may not know the other.
        """
        now = {suffix: cells(notebooks[suffix]) for suffix in HALVES}
        if now[".py"] == now[".ipynb"]:
            return ".py"
        head, agreed = [committed(path) for path in self.halves.values()], self.agreed()
        known = [head[0]] if head[0] == head[1] else []
        known += [cells(agreed)] if agreed else []
        edited = [suffix for suffix in HALVES if now[suffix] not in known]
        if len(edited) != 1:
            raise PairError(f"both halves may hold edits and differ in {differences(*now.values())}")
        (source,) = edited
        other, before = now[opposite(source)], head[HALVES.index(source)]
        if before and other != before and (undone := reverted(before, agreed, notebooks[source], source)):
            raise PairError(f"the {source} may build on an older version: it {', '.join(undone)}")
        return source

    def update(self, keep: str | None) -> str | None:
        """Make the halves equal; return one sentence if something besides outputs had to change.

        Raises:
            PairError: see :meth:`source`; also if a half cannot be read or the .py cannot hold the .ipynb, and ``keep``
                does not say which half is right.
        """
        there = [suffix for suffix in HALVES if self.halves[suffix].exists()]
        notebooks, saved = {}, ""
        try:
            for suffix in there:
                notebooks[suffix] = read(self.halves[suffix])
            source = self.source(notebooks) if len(there) == 2 else there[0]
            texts = self.texts(source, notebooks)
        except PairError:
            if len(there) < 2 or not keep:
                raise
            source = keep
            texts = self.texts(source, {keep: read(self.halves[keep])} | notebooks)
        overwritten = notebooks.get(opposite(source))
        changed = overwritten is None or cells(overwritten) != cells(notebooks[source])
        path = self.halves[opposite(source)]
        if changed and len(there) == 2 and (overwritten is None or cells(overwritten) != committed(path)):
            saved = f"; the other is saved as {self.save(path)}"
        for suffix, text in texts.items():
            write(self.halves[suffix], text)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        write(self.record, texts[".ipynb"])
        return f"{self.name}: both halves now hold the cells of the {source}{saved}" if changed else None

    def texts(self, source: str, notebooks: dict[str, NotebookNode]) -> dict[str, str]:
        """What both files shall hold."""
        if source == ".py":
            return {".ipynb": without_outputs(as_notebook(notebooks[".py"], notebooks.get(".ipynb")))}
        path = self.halves[".py"]
        old = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return {".py": as_script(notebooks[".ipynb"], old), ".ipynb": without_outputs(notebooks[".ipynb"])}

    def save(self, path: Path) -> Path:
        """Copy a half that is about to be overwritten."""
        folder = (self.saved / self.name).parent
        folder.mkdir(parents=True, exist_ok=True)
        names = (f"{path.stem}{count}{path.suffix}" for count in ["", *(f"-{n}" for n in range(2, 10_000))])
        target = next(folder / name for name in names if not (folder / name).exists())
        shutil.copy2(path, target)
        return target

    def problems(self) -> list[str]:
        """One sentence for everything that is not in order."""
        missing = [suffix for suffix in HALVES if not self.halves[suffix].exists()]
        if missing:
            return [f"{self.name}: the {missing[0]} of the pair is missing"]
        try:
            script, notebook = (read(path) for path in self.halves.values())
        except PairError as error:
            return [f"{self.name}: {error}"]
        found = []
        if cells(script) != cells(notebook):
            found.append(f"{self.name}: the pair disagrees in {differences(cells(script), cells(notebook))}")
        if any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells):
            found.append(f"{self.name}.ipynb holds outputs or execution counts")
        if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
            found.append(f"{self.name}.ipynb does not name the kernel python3")
        return found


def pairs(root: Path) -> list[Pair]:
    """All pairs under ``root``, complete or not; hidden folders are Jupyter's own."""
    found = {}
    for path in sorted(path for path in root.rglob("*") if path.suffix in HALVES and path.is_file()):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            pair = Pair(root, path)
            found.setdefault(pair.name, pair)
    return list(found.values())


def problems(root: Path) -> list[str]:
    """One sentence for every pair under ``root`` that is incomplete, disagrees, or holds outputs."""
    return [sentence for pair in pairs(root) for sentence in pair.problems()]


def update(root: Path, keep: str | None = None) -> list[str]:
    """Bring all pairs under ``root`` together; return one sentence for each that was left as it is.

    Args:
        root: the folder of all notebooks.
        keep: ``".py"`` or ``".ipynb"``, the half that is right where both may hold edits; None leaves those alone.
    """
    refused = []
    for pair in pairs(root):
        try:
            if said := pair.update(keep):
                print(said)
        except PairError as error:
            refused.append(f"{pair.name}: {error}")
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a pair is not in order")
    parser.add_argument("--keep", default="", help="py or ipynb: the half that is right where both were edited")
    args = parser.parse_args()
    if args.keep not in ("", "py", "ipynb"):
        sys.exit(f"make: KEEP is {args.keep!r}: give py or ipynb, the half of a pair to keep.")
    root = ROOT / "notebooks"
    if args.check:
        if found := problems(root):
            sys.exit("\n".join(found) + "\nmake pairs brings pairs together; it loses no edit.")
        return
    try:
        refused = update(root, f".{args.keep}" if args.keep else None)
    except OSError as error:
        sys.exit(f"make: {error.filename} could not be written: {error.strerror}.")
    if refused:
        sys.exit("\n".join(refused) + f"\n{WAY_OUT}")
    if found := problems(root):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
