"""The publishing workflow, step by step on this disk: a small book is built and pushed to a bare repository.

Nothing stands in for the build: `make book` runs here as it does there, cold and then from its cache.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
URL = "https://github.com/someone/memory"
PLACEHOLDER = re.search(r'^PLACEHOLDER = "(.*)"', (ROOT / "tools/repository.py").read_text(), re.MULTILINE)[1]
NAME = "notebooks/figures/fig01.ipynb"
OTHER = "notebooks/theory/01-sums.ipynb"
JOBS = yaml.safe_load((ROOT / ".github/workflows/publish.yml").read_text())["jobs"]
VARIABLES = {name: value for name, value in os.environ.items() if name not in {"RNNLIB_SCALE", "MAKEFLAGS"}} | {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "someone/memory",
    "GIT_CONFIG_GLOBAL": os.devnull,  # a runner has no name and no address
}


def run(*command, cwd, check=True, **variables) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, env=VARIABLES | variables
    )
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def git(folder, *arguments) -> str:
    return run("git", *arguments, cwd=folder).stdout.strip()


def steps(job: str, folder: Path) -> str:
    """Run what the workflow's job runs, and give what it printed."""
    commands = [step["run"] for step in JOBS[job]["steps"] if "run" in step]
    return "".join(run("bash", "-e", "-c", command, cwd=folder).stdout for command in commands)


def write_notebook(path: Path, title: str, target: str) -> None:
    """A page with the first cell of all notebooks, links, an output and an exercise with its solution."""
    real = nbformat.read(ROOT / "notebooks/figures/fig02.ipynb", as_version=4)
    first = next(cell for cell in real.cells if cell.cell_type == "code")
    solution = nbformat.v4.new_code_cell("# Solution 1\nassert sum(range(4)) == 6", metadata={"tags": ["solution"]})
    cells = [
        nbformat.v4.new_markdown_cell(f"# {title}\n\nSee [the other]({target}) and [errata](../../book/errata.md)."),
        nbformat.v4.new_code_cell(first.source, metadata=first.metadata),
        nbformat.v4.new_code_cell(f"print('{title}:', 6 * 7)"),
        nbformat.v4.new_markdown_cell("## Exercises\n\n### Exercise 1: a sum\n\n*Predict, then run.* What is the sum?"),
        solution,
    ]
    path.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=real.metadata), path)


def check_out(bare: Path, folder: Path) -> Path:
    """A shallow clone, as the runner makes it."""
    git(bare, "clone", "-q", "--depth=1", bare.as_uri(), folder)
    return folder


def equip(tree: Path) -> None:
    """Give a clone this environment, as `make` would: links, and the stamp that says it is complete."""
    (tree / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != "installed":
            (tree / ".venv" / entry.name).symlink_to(entry)
    (tree / ".venv" / "installed").touch()
    (tree / "node_modules").mkdir()
    (tree / "node_modules" / "mathjax").symlink_to((ROOT / "node_modules" / "mathjax").resolve())


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> dict[str, Path]:
    """A bare repository and two clones in which the jobs `build` and `colab` have run."""
    if not (ROOT / "node_modules" / "mathjax").is_dir():
        pytest.fail("node_modules/mathjax is missing: run `make book` first")
    base = tmp_path_factory.mktemp("publish")
    bare, source = base / "remote.git", base / "source"
    git(base, "init", "-q", "--bare", "-b", "main", bare)
    git(base, "clone", "-q", bare, source)
    for name in ["Makefile", ".gitignore", "_config.yml", "README.md"]:
        shutil.copy2(ROOT / name, source / name)
    for name in ["book/_extensions", "book/_static", "book/_templates", "tools"]:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ["pyproject.toml", "constraints.txt", "package.json", "package-lock.json", "book/references.bib"]:
        (source / name).touch()
    (source / "rnnlib").mkdir()
    (source / "rnnlib" / "__init__.py").touch()  # the cells import the installed one; git watches this one
    (source / "book/errata.md").write_text("# Errata\n")
    write_notebook(source / NAME, "products", "../theory/01-sums.ipynb")
    write_notebook(source / OTHER, "sums", "../figures/fig01.ipynb")
    pages = [{"file": name.removesuffix(".ipynb")} for name in (NAME, OTHER)]
    (source / "_toc.yml").write_text(yaml.safe_dump({"format": "jb-book", "root": "book/errata", "chapters": pages}))
    git(source, "checkout", "-q", "-B", "main")
    git(source, "add", "-A")
    git(source, "-c", "user.name=Ada", "-c", "user.email=ada@localhost", "commit", "-q", "-m", "first")
    git(source, "push", "-q", "origin", "main")

    build, colab = check_out(bare, base / "build"), check_out(bare, base / "colab")
    equip(build)
    built = steps("build", build)
    assert len(re.findall(r"^Executed notebooks/", built, re.MULTILINE)) == 2
    (path,) = {step["with"]["path"] for job in JOBS.values() for step in job["steps"] if hands_over(step)}
    shutil.copytree(build / path, colab / path)
    assert "pushed 2 executed notebooks" in steps("colab", colab)
    return {"bare": bare, "build": build, "colab": colab}


def hands_over(step: dict) -> bool:
    """Whether a step uploads or downloads the executed notebooks."""
    return step.get("with", {}).get("name") == "executed"


@pytest.fixture
def tree(published, tmp_path) -> Path:
    """A copy of the clone that was built, with a remote of its own from which nothing has been published."""
    shutil.copytree(published["build"], tmp_path / "tree", symlinks=True)
    git(tmp_path, "clone", "-q", "--bare", published["bare"], "remote.git")
    git(tmp_path / "remote.git", "update-ref", "-d", "refs/heads/colab")
    git(tmp_path / "tree", "remote", "set-url", "origin", (tmp_path / "remote.git").as_uri())
    (tmp_path / "tree/.venv/installed").touch()
    return tmp_path / "tree"


def colab(tree) -> subprocess.CompletedProcess:
    return run("make", "colab", "REMOTE=origin", cwd=tree, check=False)


def refused(tree, words: str) -> None:
    done = colab(tree)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert git(tree, "ls-remote", "origin", "refs/heads/colab") == ""


def commit(tree: Path, *options) -> None:
    git(tree, "-c", "user.name=Ada", "-c", "user.email=ada@localhost", "commit", "-q", *options)


def test_branch_holds_executed_notebooks_with_the_address(published):
    bare = published["bare"]
    copies = [name.replace("notebooks/", "course/") for name in (NAME, OTHER)]
    assert git(bare, "ls-tree", "-r", "--name-only", "colab").split() == ["README.md", *copies, NAME, OTHER]
    text = git(bare, "show", f"colab:{NAME}")
    assert f"git+{URL}" in text
    assert PLACEHOLDER not in text
    code = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert [output["text"] for cell in code for output in cell["outputs"]] == [["products: 42\n"]]
    assert not any("execution" in cell["metadata"] for cell in code)
    assert "](https://colab.research.google.com/github/someone/memory/blob/colab/notebooks/theory/" in text
    assert f"]({URL}/blob/main/book/errata.md)" in text
    assert "](../" not in text
    assert git(bare, "log", "-1", "--format=%an %s", "colab").startswith("Ada Executed notebooks of ")
    assert git(bare, "rev-list", "--count", "main") == "1"


def test_first_cells_install_the_commit_that_executed_them(published):
    bare = published["bare"]
    head = git(bare, "rev-parse", "main")
    for name in (NAME, OTHER, NAME.replace("notebooks", "course")):
        cells = json.loads(git(bare, "show", f"colab:{name}"))["cells"]
        first = "".join(next(cell for cell in cells if cell["cell_type"] == "code")["source"])
        assert f'"git+{URL}@{head}"' in first
        assert '@main"\n' not in first


def test_branch_folds_solutions_and_holds_copies_without(published):
    book, student = (
        json.loads(git(published["bare"], "show", f"colab:{folder}/theory/01-sums.ipynb"))
        for folder in ("notebooks", "course")
    )
    solutions = [cell for cell in book["cells"] if "solution" in cell["metadata"].get("tags", [])]
    assert solutions
    for cell in solutions:
        assert cell["metadata"]["cellView"] == "form"
        assert re.match(r"#@title Solution \d+\n", "".join(cell["source"]))
    text = json.dumps(student)
    assert "Solution" not in text
    assert "](https://colab.research.google.com/github/someone/memory/blob/colab/course/figures/fig01.ipynb)" in text
    assert f"]({URL}/blob/main/book/errata.md)" in text
    assert not any(cell.get("outputs") for cell in student["cells"])


def test_a_build_from_the_cache_publishes_the_same_once(tree):
    main, status = git(tree, "ls-remote", "origin", "refs/heads/main"), git(tree, "status", "--porcelain")
    assert "pushed" in colab(tree).stdout
    first = git(tree, "ls-remote", "origin", "refs/heads/colab")
    for path in (tree / "_build").iterdir():
        if path.name != ".jupyter_cache":
            shutil.rmtree(path)
    again = run("make", "book", cwd=tree)
    assert "Executed notebooks/" not in again.stdout + again.stderr, "everything was in the cache"
    done = colab(tree)
    assert done.returncode == 0, done.stderr
    assert "already holds" in done.stdout
    assert git(tree, "ls-remote", "origin", "refs/heads/colab") == first
    assert git(tree, "ls-remote", "origin", "refs/heads/main") == main
    assert git(tree, "status", "--porcelain") == status


def test_a_new_push_replaces_the_old_one(tree):
    colab(tree)
    (tree / "book/errata.md").write_text("# Errata\n\nOne more.\n")
    commit(tree, "-m", "second", "book/errata.md")
    done = colab(tree)
    assert "run make book first" in done.stderr, "the record names the first commit"
    run("make", "book", cwd=tree)
    assert "does not have the commit" in colab(tree).stderr, "Colab could not install what is not pushed"
    git(tree, "push", "-q", "origin", "main")
    assert "pushed" in colab(tree).stdout
    git(tree, "fetch", "-q", "origin", "colab")
    assert git(tree, "rev-parse", "HEAD") in git(tree, "show", f"FETCH_HEAD:{NAME}")
    assert git(tree, "rev-list", "--count", "FETCH_HEAD") == "1"


def test_a_remote_that_went_on_has_the_commit(tree, tmp_path):
    ahead = tmp_path / "ahead"
    git(tmp_path, "clone", "-q", "remote.git", ahead)
    commit(ahead, "--allow-empty", "-m", "later")
    git(ahead, "push", "-q", "origin", "main")
    assert "pushed" in colab(tree).stdout


def test_a_failed_build_is_not_published(tree):
    book = nbformat.read(tree / NAME, as_version=4)
    book.cells[2].source = "raise RuntimeError('this cell fails')"
    nbformat.write(book, tree / NAME)
    assert run("make", "book", cwd=tree, check=False).returncode != 0
    git(tree, "checkout", "-q", NAME)
    run("make", "set-repository", f"URL={PLACEHOLDER}", cwd=tree)
    run("make", "set-repository", f"URL={URL}", cwd=tree)
    refused(tree, "the last one failed: run make book first")


def test_a_build_with_an_uncommitted_package_is_refused(tree):
    (tree / "rnnlib/__init__.py").write_text("x = 1\n")
    run("make", "book", cwd=tree)
    (tree / "rnnlib/__init__.py").write_text("")
    refused(tree, "an rnnlib with uncommitted changes")


def test_a_build_for_tests_is_refused(tree):
    run("make", "book", cwd=tree, RNNLIB_SCALE="smoke")
    refused(tree, "at the scale smoke")


def test_the_address_may_be_set_after_the_build(tree):
    run("make", "set-repository", "URL=https://github.com/x/y", cwd=tree)
    assert colab(tree).returncode != 0, "built with an address that is neither committed nor set"
    run("make", "set-repository", f"URL={PLACEHOLDER}", cwd=tree)
    run("make", "book", cwd=tree)
    run("make", "set-repository", "URL=https://github.com/x/y", cwd=tree)
    assert "pushed" in colab(tree).stdout
    git(tree, "fetch", "-q", "origin", "colab")
    assert "git+https://github.com/x/y@" in git(tree, "show", f"FETCH_HEAD:{NAME}")


def test_dirty_tree_is_refused(tree):
    (tree / "README.md").write_text("other words\n")
    refused(tree, "commit first")


def test_untracked_file_is_refused(tree):
    (tree / "notes.txt").write_text("x")
    refused(tree, "notes.txt")


def test_missing_build_is_refused(tree):
    shutil.rmtree(tree / "_build")
    refused(tree, "no build has executed the notebooks, or the last one failed: run make book first")


def test_a_page_outside_the_book_is_refused(tree):
    (tree / "_build/jupyter_execute" / NAME).unlink()
    refused(tree, "has not been executed: run make book first")


def test_build_of_another_text_is_refused(tree):
    executed = tree / "_build/jupyter_execute" / NAME
    executed.write_text(executed.read_text().replace("6 * 7", "6 * 8"))
    refused(tree, "has changed since it was executed")


def test_build_without_outputs_is_refused(tree):
    shutil.copy2(tree / NAME, tree / "_build/jupyter_execute" / NAME)
    refused(tree, "has no outputs")


def test_missing_address_is_refused(tree):
    run("make", "set-repository", f"URL={PLACEHOLDER}", cwd=tree)
    refused(tree, "address is not set")


def test_unknown_remote_is_a_clear_error(tree):
    done = run("make", "colab", "REMOTE=nowhere", cwd=tree, check=False)
    assert done.returncode != 0
    assert "git ls-remote failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_option_is_no_remote(tree):
    done = run("make", "colab", "REMOTE=--upload-pack=touch${IFS}stolen", cwd=tree, check=False)
    assert "is not the name or the address of a repository" in done.stderr
    assert not (tree / "stolen").exists()


def test_set_repository_is_thorough_reversible_and_strict(tree):
    for name in [NAME, OTHER, "_config.yml", "README.md"]:
        text = (tree / name).read_text()
        assert URL in text
        assert PLACEHOLDER not in text
    git_url = run("make", "set-repository", "URL=https://forge.example.org/a/b.git", cwd=tree)
    assert "https://forge.example.org/a/b now stands in 4 files" in git_url.stdout
    run("make", "set-repository", f"URL={PLACEHOLDER}", cwd=tree)
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
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "build": {"contents": "read"},
        "site": {"pages": "write", "id-token": "write"},
        "colab": {"contents": "write"},
    }
    # only the job that pushes keeps the token in the clone, and it installs nothing
    keeps = {
        n for n, job in JOBS.items() for s in job["steps"] if "/checkout@" in s.get("uses", "") and "with" not in s
    }
    assert keeps == {"colab"}
    assert not any("make book" in step.get("run", "") for step in JOBS["colab"]["steps"])


def test_publishing_is_for_the_default_branch_alone():
    """`workflow_dispatch` can be started on any branch; what may write runs on one."""
    writing = {name for name, job in JOBS.items() if "write" in job["permissions"].values()}
    assert writing == {"site", "colab"}
    for name in writing:
        assert JOBS[name]["if"] == "github.ref_name == github.event.repository.default_branch"


def test_the_executed_notebooks_are_handed_over_whole():
    up, down = ([s["with"] for s in JOBS[name]["steps"] if hands_over(s)] for name in ("build", "colab"))
    assert len(up) == len(down) == 1
    assert up[0]["path"] == down[0]["path"] == "_build/jupyter_execute"
    assert up[0]["if-no-files-found"] == "error"
