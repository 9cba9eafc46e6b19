"""Push the executed notebooks of the last build to the branch ``colab``, which the launch buttons open.

Their first cells, and those of the students' copies, install the commit that executed them.
The branch holds one commit: the notebooks with outputs, the students' copies without solutions and a README, nothing
else, so the repository does not grow with every picture. The commit is put together in git's object store; the working
tree, the index and all other branches stay as they are. Standard library only: the publishing job runs it without an
environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import course
import links
import repository

BRANCH = "colab"


def stop(sentence: str) -> None:
    sys.exit(f"make: {sentence}")


def git(root: Path, *arguments: str, stdin: str | None = None, index: Path | None = None) -> str:
    """The output of a git command; a failure ends the program with git's own words."""
    environment = {**os.environ, "GIT_INDEX_FILE": str(index)} if index else None
    done = subprocess.run(
        ["git", *arguments], cwd=root, input=stdin, capture_output=True, text=True, encoding="utf-8", env=environment
    )
    if done.returncode:
        stop(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def committed_url(root: Path) -> str:
    """The repository's address in the last commit, which `make set-repository` may have replaced since."""
    match = re.search(r"^  url: (\S+)", git(root, "show", "HEAD:_config.yml"), re.MULTILINE)
    return match[1] if match else stop("the _config.yml of the last commit has no repository.url.")


def uncommitted(root: Path, old: str, url: str) -> list[str]:
    """Files that differ from the last commit by more than the repository's address, which was ``old``."""
    lines = git(root, "status", "--porcelain", "--untracked-files=all", "-z").split("\0")
    changed = []
    for state, name in ((line[:2], line[3:]) for line in lines if line):
        path = root / name
        if state.strip() == "M" and path.is_file():
            committed = repository.rewritten(git(root, "show", f"HEAD:{name}"), old, url)
            if committed == path.read_text(encoding="utf-8").rstrip("\n"):
                continue
        changed.append(name)
    return changed


def absolute_links(source: str, name: str, url: str, folder: str = "notebooks") -> str:
    """Markdown whose relative links work in Colab, where only the notebook itself is open; others are in ``folder``."""

    def address(path: str) -> str:
        if not path.endswith(".ipynb"):
            return f"{url}/blob/main/{path}"
        target = f"{url}/blob/{BRANCH}/{folder}/{path.removeprefix('notebooks/')}"
        return re.sub(r"^https://github\.com/", "https://colab.research.google.com/github/", target)

    return links.rewrite_links(source, name, address)


def fold_solution(cell: dict) -> None:
    """Hide a solution's code in Colab, which does not read the tag that hides it in the book."""
    if course.TAG in cell["metadata"].get("tags", []):
        cell["metadata"]["cellView"] = "form"  # shows the title below and a button instead of the code
        cell["source"] = re.sub(r"^# (Solution \d+)", r"#@title \1", course.text(cell))


def check_build(root: Path, commit: str) -> None:
    """Stop unless the last build succeeded, with the package of this commit and enough work in its notebooks."""
    record = root / "_build" / "jupyter_execute" / "executed.json"
    if not record.exists():
        stop("no build has executed the notebooks, or the last one failed: run make book first.")
    ran = json.loads(record.read_text(encoding="utf-8"))
    if ran["commit"] != commit:
        other = f"the commit {ran['commit'][:10]}" if ran["commit"] else "an rnnlib with uncommitted changes"
        stop(f"the notebooks were built with {other}, and the last commit is {commit[:10]}: run make book first.")
    if ran["scale"] == "smoke":
        stop("the notebooks were executed at the scale smoke, which is for tests: run make book without it first.")


def published(root: Path, name: str, old: str, url: str, commit: str) -> str:
    """The executed notebook ``name`` with absolute links, whose first cell installs the commit that executed it."""
    executed = root / "_build" / "jupyter_execute" / name
    if not executed.exists():
        stop(f"{name} has not been executed: run make book first.")
    book, plain = (json.loads(path.read_text(encoding="utf-8")) for path in (executed, root / name))
    sources = [
        [repository.rewritten(course.text(cell), old, url) for cell in notebook["cells"]] for notebook in (book, plain)
    ]
    if sources[0] != sources[1]:
        stop(f"{name} has changed since it was executed: run make book first.")
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    if not any(cell["outputs"] for cell in code):  # MyST-NB's own copy of what it read
        stop(f"{name} has no outputs: run make book first.")
    for cell, source in zip(book["cells"], sources[1], strict=True):
        cell["source"] = source if cell["cell_type"] == "code" else absolute_links(source, name, url)
    for cell in code:
        cell["metadata"].pop("execution", None)
        fold_solution(cell)
    course.pin(book, commit)
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def for_students(root: Path, name: str, url: str, commit: str) -> str:
    """The students' copy of the notebook ``name``, with links to the other copies."""
    notebook = json.loads((root / name).read_text(encoding="utf-8"))
    student = course.student_copy(notebook, lambda source: absolute_links(source, name, url, folder="course"), commit)
    return course.as_json(student)


def check_pushed(root: Path, remote: str, commit: str) -> None:
    """Stop unless the remote's main branch has the commit, because Colab installs it from there."""
    tip = git(root, "ls-remote", remote, f"refs/heads/{course.BRANCH}").partition("\t")[0]
    if tip and tip != commit:
        git(root, "fetch", "--quiet", "--no-write-fetch-head", remote, tip)
    if not tip or subprocess.run(["git", "merge-base", "--is-ancestor", commit, tip], cwd=root).returncode:
        stop(f"{remote} does not have the commit {commit[:10]} on its branch {course.BRANCH}: push it there first.")


def publish(root: Path, remote: str) -> str:
    """Push, unless the branch already holds the same notebooks; return one sentence on what happened."""
    if remote.startswith("-"):  # git would take it for an option, and some options run programs
        stop(f"REMOTE={remote} is not the name or the address of a repository.")
    url = repository.current(root)
    if url == repository.PLACEHOLDER:
        stop("the repository's address is not set: run make set-repository URL=https://... and then make book.")
    old = committed_url(root)
    if changed := uncommitted(root, old, url):
        stop(f"commit first, so that the notebooks have a commit to name; changed: {', '.join(changed[:5])}")
    commit = git(root, "rev-parse", "HEAD")
    check_build(root, commit)
    names = [path.relative_to(root).as_posix() for path in course.sources(root)]
    files = {name: published(root, name, old, url, commit) for name in names}
    files |= {name.replace("notebooks/", "course/", 1): for_students(root, name, url, commit) for name in names}
    files["README.md"] = (
        f"Executed notebooks of {url}, made from the branch `main`, and in `course/` the same without outputs\n"
        "and without solutions of the exercises, for students. Edits here are lost.\n"
    )
    check_pushed(root, remote, commit)

    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        for name, text in files.items():
            blob = git(root, "hash-object", "-w", "--stdin", stdin=text)
            git(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", index=index)
        tree = git(root, "write-tree", index=index)

    tip = git(root, "ls-remote", remote, f"refs/heads/{BRANCH}").partition("\t")[0]
    if tip:
        git(root, "fetch", "--quiet", "--no-write-fetch-head", remote, tip)
        if git(root, "rev-parse", f"{tip}^{{tree}}") == tree:
            return f"the branch {BRANCH} already holds these {len(names)} notebooks"
    author = dict(zip(("NAME", "EMAIL"), git(root, "log", "-1", "--format=%an%n%ae").split("\n"), strict=True))
    for role in ("AUTHOR", "COMMITTER"):
        os.environ.update({f"GIT_{role}_{key}": value for key, value in author.items()})
    new = git(root, "commit-tree", tree, "-m", f"Executed notebooks of {commit}")
    git(root, "push", "--quiet", f"--force-with-lease=refs/heads/{BRANCH}:{tip}", remote, f"{new}:refs/heads/{BRANCH}")
    return f"pushed {len(names)} executed notebooks to the branch {BRANCH}"


if __name__ == "__main__":
    print(publish(repository.ROOT, sys.argv[1]))
