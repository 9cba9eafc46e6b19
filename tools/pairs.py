"""Keep the pairs NAME.py and NAME.ipynb equal: people edit the .py, and the .ipynb follows it, without outputs.

``jupytext --sync`` is not used because it goes by file times and can discard an edit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str, dict]]:
    """What must agree in a pair: type, source and metadata of each cell."""
    return [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]


def faults(root: Path) -> list[str]:
    """One sentence for every pair under ``root`` that is incomplete, disagrees, or holds outputs."""
    found = []
    for path in sorted({path.with_suffix("") for path in root.rglob("*.*") if path.suffix in {".py", ".ipynb"}}):
        if ".ipynb_checkpoints" in path.parts:
            continue
        name, script, notebook = path.relative_to(root), path.with_suffix(".py"), path.with_suffix(".ipynb")
        if not script.exists() or not notebook.exists():
            found.append(f"{name}: the {'.ipynb' if script.exists() else '.py'} of the pair is missing")
            continue
        text, book = jupytext.read(script), nbformat.read(notebook, as_version=4)
        if cells(text) != cells(book):
            where = next(
                (i for i, pair in enumerate(zip(cells(text), cells(book), strict=False)) if pair[0] != pair[1]), -1
            )
            found.append(
                f"{name}: the pair disagrees " + (f"in cell {where}" if where >= 0 else "in the number of cells")
            )
        if any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells):
            found.append(f"{name}.ipynb holds outputs or execution counts")
        if book.metadata.get("kernelspec", {}).get("name") != "python3":
            found.append(f"{name}.ipynb does not name the kernel python3")
    return found


def update(root: Path) -> None:
    """Write every .ipynb from its .py; cells that stay keep their ids."""
    scripts = sorted(path for path in root.rglob("*.py") if ".ipynb_checkpoints" not in path.parts)
    command = [sys.executable, "-m", "jupytext", "--quiet", "--to", "ipynb", "--update", *map(str, scripts)]
    subprocess.run(command, check=True)
    for script in scripts:
        path = script.with_suffix(".ipynb")
        book = nbformat.read(path, as_version=4)
        for cell in book.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(book, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a pair is not in order")
    if not parser.parse_args().check:
        update(ROOT / "notebooks")
    found = faults(ROOT / "notebooks")
    if found:
        sys.exit("\n".join(found) + "\nEdit the .py and run: make pairs")


if __name__ == "__main__":
    main()
