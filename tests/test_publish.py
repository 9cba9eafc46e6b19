"""`make colab` against a bare repository on this disk, `make set-repository`, and what the workflows may do."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
URL = "https://github.com/someone/memory"
NAME = "notebooks/figures/fig02.ipynb"
OTHER = "notebooks/theory/02-curse-of-memory.ipynb"


def run(*command, cwd, check=True) -> subprocess.CompletedProcess:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


def git(folder, *arguments) -> str:
    return run("git", *arguments, cwd=folder).stdout.strip()


def execute(tree: Path) -> None:
    """Stand for `make book`: notebooks with one output a code cell and the times nbclient writes."""
    for path in tree.glob("notebooks/*/*.ipynb"):
        book = json.loads(path.read_text())
        for i, cell in enumerate(cell for cell in book["cells"] if cell["cell_type"] == "code"):
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": [f"cell {i} ran"]}]
            cell["execution_count"] = i + 1
            cell["metadata"]["execution"] = {"iopub.execute_input": "2026-01-01T00:00:00"}
        target = tree / "_build/jupyter_execute" / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(book))


@pytest.fixture
def tree(tmp_path) -> Path:
    """A clone with two real notebooks and a bare remote, address set and notebooks executed, as in the workflow."""
    bare, tree = tmp_path / "remote.git", tmp_path / "tree"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", bare)
    git(tmp_path, "clone", "-q", bare, tree)
    for name in ["Makefile", ".gitignore", "_config.yml", "README.md", NAME, OTHER]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    for name in ["colab.py", "course.py", "links.py", "repository.py"]:
        (tree / "tools").mkdir(exist_ok=True)
        shutil.copy2(ROOT / "tools" / name, tree / "tools" / name)
    git(tree, "config", "user.name", "Ada")
    git(tree, "config", "user.email", "ada@localhost")
    git(tree, "checkout", "-q", "-B", "main")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "first")
    git(tree, "push", "-q", "origin", "main")
    run("make", "set-repository", f"URL={URL}", cwd=tree)
    execute(tree)
    return tree


def colab(tree) -> subprocess.CompletedProcess:
    return run("make", "colab", "REMOTE=origin", cwd=tree, check=False)


def refused(tree, words: str) -> None:
    done = colab(tree)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert git(tree, "ls-remote", "origin", "refs/heads/colab") == ""


def test_branch_holds_executed_notebooks_with_the_address(tree):
    main, status = git(tree, "ls-remote", "origin", "refs/heads/main"), git(tree, "status", "--porcelain")
    done = colab(tree)
    assert done.returncode == 0, done.stderr
    assert "pushed 2 executed notebooks" in done.stdout
    git(tree, "fetch", "-q", "origin")
    copies = [name.replace("notebooks/", "course/") for name in (NAME, OTHER)]
    assert git(tree, "ls-tree", "-r", "--name-only", "origin/colab").split() == ["README.md", *copies, NAME, OTHER]
    text = git(tree, "show", f"origin/colab:{NAME}")
    assert f"git+{URL}" in text
    assert "repository.invalid" not in text
    code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] and cell["execution_count"] for cell in code)
    assert not any("execution" in cell["metadata"] for cell in code)
    assert "](https://colab.research.google.com/github/someone/memory/blob/colab/notebooks/theory/" in text
    other = git(tree, "show", f"origin/colab:{OTHER}")
    assert f"]({URL}/blob/main/book/errata.md)" in other
    assert "](../" not in text + other
    assert git(tree, "ls-remote", "origin", "refs/heads/main") == main
    assert git(tree, "status", "--porcelain") == status
    assert git(tree, "log", "-1", "--format=%an %s", "origin/colab").startswith("Ada Executed notebooks of ")


def test_branch_folds_solutions_and_holds_copies_without(tree):
    colab(tree)
    git(tree, "fetch", "-q", "origin")
    book, student = (
        json.loads(git(tree, "show", f"origin/colab:{folder}/theory/02-curse-of-memory.ipynb"))
        for folder in ("notebooks", "course")
    )
    solutions = [cell for cell in book["cells"] if "solution" in cell["metadata"].get("tags", [])]
    assert solutions
    for cell in solutions:
        assert cell["metadata"]["cellView"] == "form"
        assert re.match(r"#@title Solution \d+\n", "".join(cell["source"]))
    text = json.dumps(student)
    assert f"git+{URL}" in text
    assert "Solution" not in text
    assert "](https://colab.research.google.com/github/someone/memory/blob/colab/course/figures/fig01.ipynb)" in text
    assert f"]({URL}/blob/main/book/errata.md)" in text
    assert not any(cell.get("outputs") for cell in student["cells"])


def test_repeated_push_changes_nothing_and_a_new_one_replaces(tree):
    colab(tree)
    first = git(tree, "ls-remote", "origin", "refs/heads/colab")
    done = colab(tree)
    assert done.returncode == 0, done.stderr
    assert "already holds" in done.stdout
    assert git(tree, "ls-remote", "origin", "refs/heads/colab") == first

    executed = tree / "_build/jupyter_execute" / NAME
    executed.write_text(executed.read_text().replace("cell 1 ran", "cell 1 ran again"))
    assert "pushed" in colab(tree).stdout
    git(tree, "fetch", "-q", "origin")
    assert "ran again" in git(tree, "show", f"origin/colab:{NAME}")
    assert git(tree, "rev-list", "--count", "origin/colab") == "1"


def test_dirty_tree_is_refused(tree):
    (tree / "README.md").write_text("other words\n")
    refused(tree, "commit first")


def test_untracked_file_is_refused(tree):
    (tree / "notes.txt").write_text("x")
    refused(tree, "notes.txt")


def test_missing_build_is_refused(tree):
    shutil.rmtree(tree / "_build")
    refused(tree, "has not been executed: run make book first")


def test_build_of_another_text_is_refused(tree):
    executed = tree / "_build/jupyter_execute" / NAME
    executed.write_text(executed.read_text().replace("import numpy as np", "import numpy"))
    refused(tree, "has changed since it was executed")


def test_build_without_outputs_is_refused(tree):
    shutil.copy2(tree / NAME, tree / "_build/jupyter_execute" / NAME)
    refused(tree, "has no outputs")


def test_missing_address_is_refused(tree):
    run("make", "set-repository", "URL=https://repository.invalid/owner/name", cwd=tree)
    execute(tree)
    refused(tree, "address is not set")


def test_unknown_remote_is_a_clear_error(tree):
    done = run("make", "colab", "REMOTE=nowhere", cwd=tree, check=False)
    assert done.returncode != 0
    assert "git ls-remote failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_set_repository_is_thorough_reversible_and_strict(tree):
    for name in [NAME, OTHER, "_config.yml", "README.md"]:
        text = (tree / name).read_text()
        assert URL in text
        assert "repository.invalid" not in text
    git_url = run("make", "set-repository", "URL=https://forge.example.org/a/b.git", cwd=tree)
    assert "https://forge.example.org/a/b now stands in 4 files" in git_url.stdout
    run("make", "set-repository", "URL=https://repository.invalid/owner/name", cwd=tree)
    assert git(tree, "status", "--porcelain") == ""
    for wrong in ["", "github.com/a/b", "https://github.com/a", "https://github.com/a/b c"]:
        done = run("make", "set-repository", f"URL={wrong}", cwd=tree, check=False)
        assert done.returncode != 0
        assert "https://host/owner/name" in done.stderr


def test_set_repository_leaves_longer_addresses_alone(tree):
    readme = tree / "README.md"
    readme.write_text(f"{URL}. {URL}-data {URL}.io {URL}/issues")
    run("make", "set-repository", "URL=https://github.com/x/y", cwd=tree)
    new = "https://github.com/x/y"
    assert readme.read_text() == f"{new}. {URL}-data {URL}.io {new}/issues"


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_are_pinned_and_do_what_make_does(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line), line
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            command = step.get("run", ".ci/run")
            assert command == ".ci/run" or command.split()[:1] == ["make"]
            assert command == ".ci/run" or command.split()[1] in targets


def test_each_publishing_job_has_the_least_it_needs():
    jobs = yaml.safe_load((ROOT / ".github/workflows/publish.yml").read_text())["jobs"]
    assert {name: job["permissions"] for name, job in jobs.items()} == {
        "build": {"contents": "read"},
        "site": {"pages": "write", "id-token": "write"},
        "colab": {"contents": "write"},
    }
    # only the job that pushes keeps the token in the clone, and it installs nothing
    keeps = {
        n for n, job in jobs.items() for s in job["steps"] if "/checkout@" in s.get("uses", "") and "with" not in s
    }
    assert keeps == {"colab"}
    assert not any("make book" in step.get("run", "") for step in jobs["colab"]["steps"])
