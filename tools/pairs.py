"""Keep the pairs NAME.py and NAME.ipynb equal, without outputs, and lose no edit of either half.

    make pairs               where one half was edited, the other follows
    make pairs KEEP=py       where both were edited, the .py is right
    make pairs KEEP=ipynb    the other way round

A half was edited if it differs from what both halves held when they last agreed: in git's last commit, or when this
program last ran. An edited half that lacks edits which this program wrote into it, as a tab of JupyterLab does that was
opened before them, is refused. What is overwritten and not in git's last commit is saved in _build/pairs first.
``jupytext --sync`` is not used because it goes by file times and can discard an edit.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from halves import HALVES, Cell, PairError, as_notebook, as_script, cells, differences, parse, without_outputs
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
WAY_OUT = (
    "make pairs KEEP=py takes the .py, make pairs KEEP=ipynb the .ipynb; the other half"
    " is saved in _build/pairs unless git holds it, so you can copy what you want of both."
)


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
    """The cells of a file in git's last commit; None without git, or if the commit lacks the file."""
    command = ["git", "show", f"HEAD:./{path.name}"]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, check=True)
        return cells(parse(done.stdout, path.suffix))
    except (OSError, subprocess.CalledProcessError, PairError):
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
        root: the folder of all notebooks; the record of the last run and what was overwritten are in ``_build/pairs``
            beside it.
        path: either half.
    """

    def __init__(self, root: Path, path: Path):
        self.name = path.with_name(path.stem).relative_to(root).as_posix()
        self.halves = {suffix: path.with_name(path.stem + suffix) for suffix in HALVES}
        self.folder = (root.parent / "_build" / "pairs" / self.name).parent
        self.record = self.folder / f"{path.stem}.agreed"

    def read(self, suffix: str) -> NotebookNode:
        return parse(self.halves[suffix].read_bytes(), suffix)

    def last_run(self) -> tuple[NotebookNode | None, dict[str, list[Cell]]]:
        """What the halves held when this program last ran, and what editors may still show.

        The second is of the half that was overwritten, if any: what it held when its user last saved it or git held it.
        """
        try:
            agreed = parse(self.record.read_bytes(), ".ipynb")
        except (OSError, PairError):
            return None, {}
        shown = agreed.metadata.pop("shown", {})
        return agreed, {suffix: [Cell(*cell) for cell in shown[suffix]] for suffix in shown}

    def source(self, notebooks: dict[str, NotebookNode]) -> str:
        """The half that the other one follows.

        Raises:
            PairError: both were edited, it is not known which, or the one that was edited may not know the other.
        """
        now = {suffix: cells(notebooks[suffix]) for suffix in HALVES}
        if now[".py"] == now[".ipynb"]:
            return ".py"
        head = {suffix: committed(path) for suffix, path in self.halves.items()}
        agreed, shown = self.last_run()
        known = [head[".py"]] if head[".py"] == head[".ipynb"] else []
        known += [cells(agreed)] if agreed else []
        edited = [suffix for suffix in HALVES if now[suffix] not in known]
        if not edited:  # perhaps an edit that was carried over and then undone by the same user
            edited = [suffix for suffix in HALVES if now[suffix] == shown.get(opposite(suffix))]
        if len(edited) != 1:
            raise PairError(f"both halves may hold edits and differ in {differences(*now.values())}")
        (source,) = edited
        in_git = now[opposite(source)] == head[opposite(source)]
        undone = reverted(shown[source], agreed, notebooks[source], source) if source in shown and not in_git else []
        if undone:
            raise PairError(f"the {source} may build on an older version: it {', '.join(undone)}")
        return source

    def update(self, keep: str | None) -> str | None:
        """Make the halves equal; return one sentence if something besides outputs had to change.

        Raises:
            PairError: see :meth:`source`; also if a half cannot be read or the .py cannot hold the .ipynb, and ``keep``
                does not say which half is right.
        """
        present = [suffix for suffix in HALVES if self.halves[suffix].exists()]
        notebooks = {}
        try:
            for suffix in present:
                notebooks[suffix] = self.read(suffix)
            source = self.source(notebooks) if len(present) == 2 else present[0]
            texts = self.texts(source, notebooks)
        except PairError:
            if len(present) < 2 or not keep:
                raise
            source, notebooks = keep, {keep: self.read(keep)} | notebooks
            texts = self.texts(source, notebooks)
        new, target, saved = cells(notebooks[source]), opposite(source), ""
        old = cells(notebooks[target]) if target in notebooks else None
        agreed, shown = self.last_run()
        if old != new:
            in_git = old is not None and old == committed(self.halves[target])
            if target in present and not in_git:
                saved = f"; the other is saved as {self.save(self.halves[target])}"
            first = shown[target] if target in shown and old == cells(agreed) and not in_git else old
            shown = {target: first} if first not in (None, new) else {}
        for suffix, text in texts.items():
            write(self.halves[suffix], text)
        self.write_record(texts[".ipynb"], shown)
        return f"{self.name}: both halves now hold the cells of the {source}{saved}" if old != new else None

    def texts(self, source: str, notebooks: dict[str, NotebookNode]) -> dict[str, str]:
        """What the files are to hold."""
        if source == ".py":
            return {".ipynb": without_outputs(as_notebook(notebooks[".py"], notebooks.get(".ipynb")))}
        path = self.halves[".py"]
        old = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return {".py": as_script(notebooks[".ipynb"], old), ".ipynb": without_outputs(notebooks[".ipynb"])}

    def write_record(self, text: str, shown: dict[str, list[Cell]]) -> None:
        record = json.loads(text)
        record["metadata"]["shown"] = shown
        self.folder.mkdir(parents=True, exist_ok=True)
        write(self.record, json.dumps(record))

    def save(self, path: Path) -> Path:
        """Copy a half that is about to be overwritten."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = (f"{path.stem}{f'-{n}' if n > 1 else ''}{path.suffix}" for n in itertools.count(1))
        target = next(self.folder / name for name in names if not (self.folder / name).exists())
        shutil.copy2(path, target)
        return target

    def problems(self) -> list[str]:
        """One sentence for everything that is not in order."""
        missing = [suffix for suffix in HALVES if not self.halves[suffix].exists()]
        if missing:
            return [f"{self.name}: the {missing[0]} of the pair is missing"]
        try:
            script, notebook = (self.read(suffix) for suffix in HALVES)
        except PairError as error:
            return [f"{self.name}: {error}"]
        sentences = []
        if cells(script) != cells(notebook):
            sentences.append(f"{self.name}: the pair disagrees in {differences(cells(script), cells(notebook))}")
        if any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells):
            sentences.append(f"{self.name}.ipynb holds outputs or execution counts")
        if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
            sentences.append(f"{self.name}.ipynb does not name the kernel python3")
        return sentences


def pairs(root: Path) -> list[Pair]:
    """All pairs under ``root``, complete or not; hidden folders are Jupyter's own."""
    by_name = {}
    for path in sorted(path for path in root.rglob("*") if path.suffix in HALVES and path.is_file()):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            pair = Pair(root, path)
            by_name.setdefault(pair.name, pair)
    return list(by_name.values())


def problems(root: Path) -> list[str]:
    """One sentence for every pair under ``root`` that is incomplete, disagrees, or holds outputs."""
    return [sentence for pair in pairs(root) for sentence in pair.problems()]


def update(root: Path, keep: str | None = None) -> list[str]:
    """Bring all pairs under ``root`` together; return one sentence for each that was refused.

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
        if sentences := problems(root):
            sys.exit("\n".join(sentences) + "\nmake pairs brings pairs together; it loses no edit.")
        return
    try:
        refused = update(root, f".{args.keep}" if args.keep else None)
    except OSError as error:
        sys.exit(f"make: {error.filename} could not be written: {error.strerror}.")
    if refused:
        sys.exit("\n".join(refused) + f"\n{WAY_OUT}")
    if sentences := problems(root):
        sys.exit("\n".join(sentences))


if __name__ == "__main__":
    main()
