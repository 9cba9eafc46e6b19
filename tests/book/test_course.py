"""Students' copies: no solution is left in them, everything else is, and they run up to their blanks."""

from __future__ import annotations

import ast
import base64
import builtins
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbclient
import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
URL = "https://github.com/someone/memory"


@pytest.fixture(scope="module")
def tool():
    """tools/course.py with its neighbours in tools/."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        spec = importlib.util.spec_from_file_location("course", ROOT / "tools" / "course.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return module


@pytest.fixture(scope="module")
def made(tool) -> dict[str, str]:
    return tool.course(ROOT)


SOURCES = sorted(path for path in (ROOT / "notebooks").glob("*/*.ipynb") if ".ipynb_checkpoints" not in path.parts)


@pytest.fixture(params=SOURCES, ids=lambda path: path.relative_to(ROOT / "notebooks").as_posix())
def pair(request, made):
    """A notebook and its copy."""
    name = request.param.relative_to(ROOT / "notebooks").as_posix()
    return nbformat.read(request.param, as_version=4), nbformat.reads(made[name], as_version=4)


#: What is folded and gives something away; other folded text, as a long table, is for students too.
FOLDED = re.compile(r"<details>\s*<summary>(?:Solution|Answer)\b(.*?)</details>", re.DOTALL)


def is_solution(cell) -> bool:
    return "solution" in cell.metadata.get("tags", [])


def is_check(cell) -> bool:
    return "check" in cell.metadata.get("tags", [])


def lines(source: str) -> set[str]:
    """What can give a solution away: lines of words or code, not brackets and blanks."""
    return {line.strip() for line in source.splitlines() if len(line.strip()) > 3}


def test_no_solution_is_left(pair):
    book, student = pair
    secret, public = set(), set()
    for cell in book.cells:
        folded = "\n".join(FOLDED.findall(cell.source))
        secret |= lines(cell.source if is_solution(cell) else folded)
        if not is_solution(cell):
            public |= lines(FOLDED.sub("", cell.source))
    text = "\n".join(cell.source for cell in student.cells)
    assert not {line for line in secret - public if line in lines(text)}
    for word in ["<summary>Answer", "Solution"]:
        assert word not in text
    assert not any(is_solution(cell) for cell in student.cells)


def test_everything_else_is_there_and_blanks_are_blank(pair, tool):
    book, student = pair
    student.cells = [cell for cell in student.cells if not is_check(cell)]
    assert [cell.id for cell in student.cells] == [cell.id for cell in book.cells]
    blanks, derivation = 0, False
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    first.source = first.source.replace('@main"\n', f'@{tool.published_commit(ROOT)}"\n')
    for old, new in zip(book.cells, student.cells, strict=True):
        assert old.cell_type == new.cell_type
        if is_solution(old):
            asked = "check your result here, if you like" if derivation else "your code"
            assert re.fullmatch(rf"# Exercise \d+: {asked}(\n\nanswer = \.\.\.  # .+)?", new.source)
            assert int(re.search(r"\d+", new.source)[0]) == int(re.match(r"# Solution (\d+)\n", old.source)[1])
        elif old.cell_type == "code":
            assert (new.source, new.metadata) == (old.source, old.metadata)
            assert not new.outputs
        else:
            blanks += new.source.count(tool.ANSWER)
            derivation = "\n*Derive. " in old.source if old.source.startswith("### Exercise") else derivation
    questions = sum(cell.source.count("<summary>Answer</summary>") for cell in book.cells)  # on pages to play with
    assert blanks == questions + sum(len(re.findall("^### Exercise", cell.source, re.MULTILINE)) for cell in book.cells)
    assert blanks == tool.blanks(json.loads(nbformat.writes(student)))


#: Solutions with code that no check follows, and why.
UNCHECKED = {
    "theory/04-from-diagonal-to-dense.ipynb": ({2}, "a proof: the code is a check of it"),
    "figures/fig14.ipynb": ({1}, "an estimate of one random matrix: the code compares them"),
}


def test_a_check_follows_each_blank_of_code(pair, request):
    """It is made of the solution's assertions, says what is wrong, and uses nothing that only the solution defines."""
    book, student = pair
    name = request.node.callspec.id
    solutions = {int(re.search(r"\d+", cell.source)[0]): cell.source for cell in book.cells if is_solution(cell)}
    checks = {int(re.search(r"\d+", cell.source)[0]): cell for cell in student.cells if is_check(cell)}
    assert set(solutions) - set(checks) == UNCHECKED.get(name, (set(),))[0]
    public = [cell.source for cell in student.cells if cell.cell_type == "code" and not is_check(cell)]
    known = names_of("\n".join(public), ast.Store) | {"answer", *dir(builtins)}
    for number, cell in checks.items():
        assert student.cells[student.cells.index(cell) - 1].source.startswith(f"# Exercise {number}: ")
        hidden = base64.b64decode(re.search(r'b64decode\("(.+?)"\)', cell.source)[1]).decode()
        assert f"\n{hidden}" in solutions[number]
        asserts = [one for one in ast.parse(hidden).body if isinstance(one, ast.Assert)]
        assert asserts
        assert all(one.msg is not None and "answer" in solutions[number] for one in asserts)
        assert names_of(hidden, ast.Load) <= known | names_of(hidden, ast.Store), number


def names_of(source: str, context: type) -> set[str]:
    """Names that code reads or binds."""
    found = set()
    for node in ast.walk(ast.parse("\n".join(line for line in source.splitlines() if not line.startswith(("%", "!"))))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, context):
            found.add(node.id)
        elif context is ast.Store and isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif context is ast.Store and isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
    return found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("answer = ...", "Exercise 3: no answer yet"),
        ("answer = [4, 3]", "Exercise 3: right"),
        ("answer = [4, 2]", "Exercise 3: the second is too small"),
        ("answer = [5, 3]", "Exercise 3: the first is not twice the other"),
        ("answer = 4", "Exercise 3: that is no answer of the kind asked for"),
    ],
)
def test_a_check_says_what_is_wrong_and_leaves_the_students_names_alone(tool, given, said, capsys):
    solution = """# Solution 3
both = 4, 3
assert both[0] == 4
answer = list(both)  # two numbers
twice = 2 * 2
assert answer[0] == twice, "the first is not twice the other"
assert answer[1] > 2, "the second is too small"
"""
    line, check = tool.check_of(solution)
    assert line == "answer = ...  # two numbers"
    assert "too small" not in check
    mine = {}
    exec(f"twice = 'mine'\n{given}\n{check}", mine)
    assert capsys.readouterr().out.startswith(said)
    assert mine["twice"] == "mine"
    assert tool.check_of("# Solution 1\nassert True") is None


def test_outputs_do_not_come_along(tool):
    code = {"cell_type": "code", "metadata": {}, "source": ["1"], "outputs": [{"text": "1"}], "execution_count": 3}
    (copied,) = tool.student_copy({"cells": [code]}, lambda source: source, "main")["cells"]
    assert (copied["outputs"], copied["execution_count"]) == ([], None)
    assert code["outputs"], "the notebook itself is left alone"


def test_links_lead_somewhere(made):
    for name, content in made.items():
        if name == "README.md":
            targets = re.findall(r"\]\(([^)\s]+)\)", content)
            assert set(targets) == set(made) - {"README.md"}
            counts = dict(re.findall(r"\]\((play/[^)]+)\) \| (\d+) \|", content))
            assert len(counts) == 5
            assert "0" not in counts.values()
            continue
        for cell in nbformat.reads(content, as_version=4).cells:
            for target in re.findall(r"\]\(([^)\s]+)\)", cell.source) if cell.cell_type == "markdown" else []:
                if not re.match(r"[a-z]+:|#", target):
                    place = (ROOT / "notebooks" / name).parent / target.partition("#")[0]
                    assert place.resolve().relative_to(ROOT / "notebooks").as_posix() in made


@pytest.fixture
def clone(tmp_path) -> Path:
    """The tool and three notebooks in a folder of their own."""
    for name in ["_config.yml", "Makefile", "tools/course.py", "tools/links.py", "tools/repository.py"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    for name in ["theory/02-curse-of-memory", "theory/05-hessian-at-the-optimum", "figures/fig02"]:
        (tmp_path / "notebooks" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / f"notebooks/{name}.ipynb", tmp_path / f"notebooks/{name}.ipynb")
    return tmp_path


def make(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_make_course_is_repeatable_and_leaves_nothing_old(clone):
    assert re.search(r"3 notebooks, \d+ exercises", make(clone, "course"))
    folder = clone / "_build/course"
    first = contents(folder)
    assert set(first) == {
        *("README.md", "figures/fig02.ipynb"),
        *("theory/02-curse-of-memory.ipynb", "theory/05-hessian-at-the-optimum.ipynb"),
    }
    (folder / "old.ipynb").write_text("a page that is gone")
    make(clone, "course")
    assert contents(folder) == first
    assert sorted(path.name for path in (clone / "_build").iterdir()) == ["course"]


def test_an_interrupted_run_is_not_mistaken_for_a_course(clone):
    half = clone / "_build/course.new/theory"
    half.mkdir(parents=True)
    (half / "half.ipynb").write_text("{")
    make(clone, "course")
    assert "theory/half.ipynb" not in contents(clone / "_build/course")
    assert not (clone / "_build/course.new").exists()


def test_the_site_offers_the_copies_of_each_session(site, made):
    with zipfile.ZipFile(site / "course.zip") as archive:
        packed = {name.removeprefix("course/"): archive.read(name) for name in archive.namelist()}
    assert set(packed) == set(made)
    assert packed == contents(site / "course")
    for name, content in packed.items():
        assert name == "README.md" or not re.search(r'"solution"|<summary>Solution', content.decode())
    page = BeautifulSoup((site / "book/teaching.html").read_text(encoding="utf-8"), "html.parser")
    sessions = page.select(".copies")
    assert len(sessions) == 4
    for session in sessions:
        links = [(site / "book" / link["href"]).resolve() for link in session.select("a[download]")]
        own, *single, every = links
        assert every == (site / "course.zip").resolve()
        assert len(single) >= 4 and all(path.is_file() for path in single)
        with zipfile.ZipFile(own) as archive:
            files = {name.removeprefix("course/"): archive.read(name) for name in archive.namelist()}
        assert files.pop("README.md") == packed["README.md"]
        assert files == {path.relative_to(site / "course").as_posix(): path.read_bytes() for path in single}
        assigned = {
            title.text for title in session.parent.select("li em") if re.match(r" \d", title.next_sibling or "")
        }
        assert assigned
        assert assigned <= {link.text for link in session.select("a")}


def test_copies_carry_the_address(clone):
    make(clone, "set-repository", f"URL={URL}")
    make(clone, "course")
    text = (clone / "_build/course/theory/02-curse-of-memory.ipynb").read_text()
    assert f"git+{URL}" in text
    assert f"]({URL}/blob/main/book/cross-moment.md)" in text
    assert "](../figures/fig01.ipynb)" in text


def test_copies_install_the_commit_they_were_made_from_once_it_is_published(clone, tmp_path_factory):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=clone, capture_output=True, text=True, check=True
        ).stdout

    def installed() -> str:
        make(clone, "course")
        text = (clone / "_build/course/figures/fig02.ipynb").read_text()
        return re.search(r"git\+https://[^@]+@(\w+)", text)[1]

    assert installed() == "main", "outside a repository"
    (clone / ".gitignore").write_text("_build/\n__pycache__/\n")
    remote = tmp_path_factory.mktemp("remote")
    for command in ["init -q -b main", "add -A", "commit -q -m first", f"init -q --bare {remote}"]:
        git(*command.split())
    git("remote", "add", "origin", str(remote))
    assert installed() == "main", "a commit that no remote has cannot be installed"
    git("push", "-q", "origin", "main")
    head = git("rev-parse", "HEAD").strip()
    assert installed() == head
    assert head in (clone / "_build/course/README.md").read_text()
    (clone / "_config.yml").write_text((clone / "_config.yml").read_text() + "\n")
    assert installed() == "main", "made from files that no commit has"


@pytest.mark.parametrize("name", ["theory/02-curse-of-memory.ipynb", "theory/05-hessian-at-the-optimum.ipynb"])
def test_copies_run_up_to_their_blanks(name, made, tmp_path, monkeypatch):
    monkeypatch.setenv("RNNLIB_SCALE", "smoke")
    student = nbformat.reads(made[name], as_version=4)
    assert any(re.match(r"# Exercise \d+: (your code|check)", cell.source) for cell in student.cells)
    nbclient.NotebookClient(student, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
