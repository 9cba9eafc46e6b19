"""Exercises keep one format: numbered, graded, each with a folded solution, its code executed with the page.

A page's last section is "## Exercises". Each exercise is one Markdown cell: a heading with its number, then its kind
and grade, the question, and the solution in ``<details>``. Code cells that follow belong to the solution: they are
tagged, begin with its number, and assert what the prose says. Where they end with ``answer = ...  # what it is`` and
assertions with messages, a check in the students' copies is made of these (tools/course.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
LEAST = {"theory": 3, "figures": 1}  # of a page in this folder; fig03b shares those of fig03
KINDS = ["Derive.", "Predict, then run.", "Break it."]
GRADES = ["Easy.", "Medium.", "Hard."]
LABEL = re.compile(rf"\*({'|'.join(map(re.escape, KINDS))}) ({'|'.join(map(re.escape, GRADES))})\*")
DETAILS = re.compile(r"<details>\n<summary>Solution (\d+)</summary>\n\n(.+?)\n\n</details>", re.DOTALL)


@dataclass
class Exercise:
    number: int
    kind: str
    grade: str
    question: str
    solution: str
    code: list = field(default_factory=list)


def section(notebook) -> list:
    """Cells from "## Exercises" on; empty where a page has none."""
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown" and re.match(r"## Exercises?\b", cell.source):
            return notebook.cells[i:]
    return []


def exercises(notebook) -> list[Exercise]:
    """The exercises of a page; a deviation from the format is an AssertionError that says where."""
    cells, found = section(notebook), []
    if not cells:
        return found
    first, *rest = cells
    assert first.source.split("\n")[0] == "## Exercises", "the section is called Exercises"
    assert "\n#" not in first.source, "each exercise has its own cell"
    for cell in rest:
        if cell.cell_type == "code":
            assert found, "code comes after an exercise"
            found[-1].code.append(cell)
            continue
        heading, _, body = cell.source.partition("\n")
        assert re.match(r"### Exercise \d+: \S", heading), f"{heading!r} is no exercise's heading"
        label = LABEL.match(body)
        assert label, f"{heading}: kind and grade must follow, as in *Derive. Easy.*"
        solutions = DETAILS.findall(body)
        assert len(solutions) == 1, f"{heading}: one folded solution in prose"
        assert body.rstrip().endswith("</details>"), f"{heading}: the solution comes last"
        number = int(re.search(r"\d+", heading)[0])
        assert int(solutions[0][0]) == number, f"{heading}: has the solution of another exercise"
        found.append(Exercise(number, *label.groups(), body[: body.index("<details>")], solutions[0][1]))
    return found


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.relative_to(ROOT / "notebooks").as_posix())
def path(request) -> Path:
    return request.param


@pytest.fixture
def page(path) -> list[Exercise]:
    return exercises(nbformat.read(path, as_version=4))


def test_every_page_has_enough(path, page):
    continued = re.fullmatch(r"fig\d\d[a-z]", path.stem)
    assert len(page) >= (0 if continued else LEAST.get(path.parent.name, 0))
    if path.parent.name == "theory":
        assert {exercise.kind for exercise in page} == set(KINDS)


def test_numbers_have_no_gap_and_grades_do_not_fall(page):
    assert [exercise.number for exercise in page] == list(range(1, len(page) + 1))
    grades = [GRADES.index(exercise.grade) for exercise in page]
    assert grades == sorted(grades)


def test_code_of_solutions_is_tagged_and_checks_itself(page):
    for exercise in page:
        for cell in exercise.code:
            assert cell.metadata.tags == ["solution", "hide-cell"]
            assert cell.source.startswith(f"# Solution {exercise.number}\n")
        if exercise.code:
            assert any(re.search(r"^\s*assert ", cell.source, re.MULTILINE) for cell in exercise.code)
        else:
            assert exercise.kind == "Derive.", f"exercise {exercise.number} is to be run: show how"


def test_solutions_stand_nowhere_else(path):
    notebook = nbformat.read(path, as_version=4)
    before = notebook.cells[: len(notebook.cells) - len(section(notebook))]
    assert not [
        cell for cell in before if "solution" in cell.metadata.get("tags", []) or "<summary>Solution" in cell.source
    ]


def cells(*parts):
    notebook = nbformat.v4.new_notebook()
    for part in parts:
        new = nbformat.v4.new_code_cell if part.startswith("# Sol") else nbformat.v4.new_markdown_cell
        notebook.cells.append(new(part))
    return notebook


GOOD = "### Exercise 1: T\n*Derive. Easy.* Why?\n\n<details>\n<summary>Solution 1</summary>\n\nBecause.\n\n</details>"


def test_the_format_is_recognised():
    (one,) = exercises(cells("# Page", "## Exercises\nFrom easy to hard.", GOOD, "# Solution 1\nassert True"))
    assert (one.kind, one.grade, one.solution, len(one.code)) == ("Derive.", "Easy.", "Because.", 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("### Exercise 1: T", "### Question"),
        ("*Derive. Easy.*", "Easy."),
        ("*Derive. Easy.*", "*Derive. Trivial.*"),
        ("Solution 1", "Solution 2"),
        ("<details>", "<details open>"),
        ("</details>", "</details>\n\nAnd more."),
    ],
)
def test_deviations_are_refused(old, new):
    assert old in GOOD
    with pytest.raises(AssertionError):
        exercises(cells("## Exercises\nFrom easy to hard.", GOOD.replace(old, new)))
