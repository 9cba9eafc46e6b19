"""Write the students' copies of all notebooks into _build/course: the exercises with blanks instead of solutions.

The copies are made from the notebooks of the book and not stored: run `make course` again after every change.
Everything but the solutions stays, so a copy runs from its first cell to its last, blanks included. Where a solution's
code ends with ``answer = ...  # what it is`` and assertions about it, the blank asks for that answer, and a cell below
checks it with these same assertions, encoded so that they do not give it away at a glance. The same input gives the
same bytes. A copy that is opened where rnnlib is missing installs the commit it was made from, if that commit
is published, so it goes on working while the repository moves on.
Standard library only: the publishing job runs it without an environment.
"""

from __future__ import annotations

import base64
import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import links
import repository

FOLDER = "_build/course"
TAG = "solution"
EXERCISE = re.compile(r"^### (Exercise \d+): ", re.MULTILINE)
DERIVE = re.compile(r"^\*Derive\.", re.MULTILINE)
PROSE = re.compile(r"<details>\s*<summary>(?:Solution \d+|Answer)</summary>.*?</details>", re.DOTALL)
ANSWER = "*Your answer:*"
RESULT = re.compile(r"^answer = .*?(  # .+)$", re.MULTILINE)
CHECK = """\
# Check of exercise {number}: run it after your code. It says what is wrong, not what is right.
import base64

if answer is ...:
    print("Exercise {number}: no answer yet")
else:
    try:
        exec(base64.b64decode("{code}"), dict(globals()))
        print("Exercise {number}: right")
    except AssertionError as wrong:
        print(f"Exercise {number}: {{wrong}}")
    except (IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        print(f"Exercise {number}: that is no answer of the kind asked for ({{error}})")
"""
BRANCH = "main"  # what a notebook's first cell installs unless a commit is written there
README = """\
# Student copies

The notebooks of {url} without the solutions of their exercises, made by
`make course`. Edits here are lost when the copies are made again: hand out a copy of this folder. The first code cell
of a notebook installs `rnnlib` ({commit}) where it is missing; where it is installed, nothing here needs a network.

| notebook | exercises and questions |
| --- | --- |
{rows}
"""


def text(cell: dict) -> str:
    return "".join(cell["source"])


def pin(notebook: dict, commit: str) -> None:
    """Let the first code cell install this commit instead of the branch."""
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cell["source"] = text(cell).replace(f'@{BRANCH}"\n', f'@{commit}"\n', 1)


def published_commit(root: Path) -> str:
    """The last commit, if a remote is known to have it and nothing has changed since; else the branch."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True).stdout.strip()

    if not shutil.which("git") or git("status", "--porcelain") or not git("branch", "--remotes", "--contains", "HEAD"):
        return BRANCH
    return git("rev-parse", "HEAD")


def blanks(student: dict) -> int:
    """How many answers a copy asks for: one an exercise, one a question on a page to play with."""
    return sum(text(cell).count(ANSWER) for cell in student["cells"] if cell["cell_type"] == "markdown")


def check_of(solution: str) -> tuple[str, str] | None:
    """The line that a student completes, and the code of the cell that checks it; None if a solution has no answer."""
    result = RESULT.search(solution)
    if result is None:
        return None
    number = re.search(r"\d+", solution)[0]
    code = base64.b64encode(solution[result.end() :].strip().encode()).decode()
    return f"answer = ...{result[1]}", CHECK.format(number=number, code=code).rstrip()


def check_cell(blank: dict, code: str) -> dict:
    """A cell that stands below a blank and bears its id, with an ending."""
    named = {"id": f"{blank['id']}-check"} if "id" in blank else {}
    rest = {"execution_count": None, "metadata": {"tags": ["check"]}, "outputs": [], "source": code}
    return {"cell_type": "code"} | named | rest


def student_copy(notebook: dict, relinked: Callable[[str], str], commit: str) -> dict:
    """The notebook without outputs and without solutions.

    Folded prose becomes a line for the answer, a code cell tagged ``solution`` an empty one that names its exercise,
    followed by one that checks its answer.
    Where a derivation is asked, code is left to the student.

    Args:
        notebook: as read from its file; it is not changed.
        relinked: from Markdown to the same with links that work where the copy will be read.
        commit: what the first cell installs, a commit or the branch.
    """
    student, current, wanted, cells = copy.deepcopy(notebook), "", "", []
    pin(student, commit)
    for cell in student["cells"]:
        cells.append(cell)
        if cell["cell_type"] == "markdown":
            if names := EXERCISE.findall(text(cell)):
                current = names[-1]
                wanted = "check your result here, if you like" if DERIVE.search(text(cell)) else "your code"
            cell["source"] = relinked(PROSE.sub(ANSWER, text(cell)))
            continue
        cell["outputs"], cell["execution_count"] = [], None
        if TAG in cell["metadata"].get("tags", []):
            checked = check_of(text(cell))
            cell["metadata"] = {}  # neither folded nor described: both told of the solution
            cell["source"] = f"# {current}: {wanted}"
            if checked:
                line, code = checked
                cell["source"] += f"\n\n{line}"
                cells.append(check_cell(cell, code))
    student["cells"] = cells
    return student


def as_json(notebook: dict) -> str:
    """As the notebook stands in its file: sources as lists of lines."""
    for cell in notebook["cells"]:
        cell["source"] = text(cell).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def sources(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("notebooks/*/*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def course(root: Path) -> dict[str, str]:
    """Contents of the course folder by path: a copy of each notebook, and a README that lists them."""
    url, commit, files, rows = repository.current(root), published_commit(root), {}, []

    def address(target: str) -> str | None:  # other notebooks come along, the prose pages do not
        return None if target.endswith(".ipynb") else f"{url}/blob/main/{target}"

    for path in sources(root):
        name = path.relative_to(root).as_posix()
        student = student_copy(
            json.loads(path.read_text(encoding="utf-8")),
            lambda source, name=name: links.rewrite_links(source, name, address),
            commit,
        )
        short = name.removeprefix("notebooks/")
        files[short] = as_json(student)
        title = re.match(r"# (.*)", text(student["cells"][0]))[1]
        rows.append(f"| [{title}]({short}) | {blanks(student)} |")
    files["README.md"] = README.format(url=url, commit=commit, rows="\n".join(rows))
    return files


def write(root: Path) -> Path:
    """Write the folder under a temporary name and rename it, so that nobody meets half a course."""
    target, partial = root / FOLDER, root / f"{FOLDER}.new"
    shutil.rmtree(partial, ignore_errors=True)
    for name, content in course(root).items():
        (partial / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).write_text(content, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return target


def main() -> None:
    folder = write(repository.ROOT)
    copies = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*/*.ipynb")]
    print(f"{folder}: {len(copies)} notebooks, {sum(map(blanks, copies))} exercises")


if __name__ == "__main__":
    main()
