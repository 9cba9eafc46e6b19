"""Colab rehearsed: a notebook alone in an empty folder, where rnnlib is absent until the first cell installs it."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# One of each folder, and one that reads packaged text: all notebooks run under nbmake; what can differ here is where
# rnnlib and its data come from.
NOTEBOOKS = sorted(
    ROOT / "notebooks" / name
    for name in [
        "ablation/01-one-gram-matrix.ipynb",
        "figures/fig03.ipynb",
        "figures/fig12.ipynb",
        "lab/01-chunked-scan.ipynb",
        "play/01-landscape.ipynb",
        "theory/02-curse-of-memory.ipynb",
    ]
)
# Runs in the environment under test: executes the notebook in the current folder and prints where rnnlib came from.
DRIVER = """\
import importlib.util, json, sys
import nbclient, nbformat

(name,) = sys.argv[1:]
book = nbformat.read(name, as_version=4)
before = importlib.util.find_spec("rnnlib") is not None
book.cells.append(nbformat.v4.new_code_cell("import rnnlib; print(rnnlib.__file__)"))
nbclient.NotebookClient(book, timeout=300).execute()
print(json.dumps({"before": before, "after": book.cells[-1].outputs[0].text.strip()}))
"""


def run(*command, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr[-3000:] or done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> str:
    """A bare repository with the working tree as its only commit, uncommitted files included."""
    tree = tmp_path_factory.mktemp("tree")
    for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    run("git", "init", "-q", "-b", "main", cwd=tree)
    run("git", "add", "-A", cwd=tree)
    run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-q", "-m", "tree", cwd=tree)
    bare = tmp_path_factory.mktemp("bare") / "rnnlib.git"
    run("git", "clone", "-q", "--bare", tree, bare)
    return bare.as_uri()


@pytest.fixture
def python(tmp_path) -> Path:
    """An environment with every package of this one but rnnlib; links, because a copy would be gigabytes."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "rnnlib" not in entry.name and entry.name != "__pycache__":
            (packages / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT / "notebooks").as_posix())
def test_notebook_runs_alone(path, python, repository, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    text, count = re.subn(r"git\+https://[\w./-]+", f"git+{repository}", path.read_text())
    assert count == 1
    (empty / path.name).write_text(text)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "TRITON_INTERPRET"}},
        "RNNLIB_SCALE": "smoke",
        "JUPYTER_PLATFORM_DIRS": "1",
        "HOME": str(tmp_path),  # no kernels, settings or packages of the user
        # The one difference from Colab: the build backend is the installed one, so that the rehearsal needs no network.
        # (pip reads this variable the wrong way round: 0 switches isolation off.)
        "PIP_NO_BUILD_ISOLATION": "0",
    }
    found = json.loads(run(python, "-c", DRIVER, path.name, cwd=empty, env=environment).splitlines()[-1])
    assert not found["before"], "rnnlib was there before the first cell"
    assert Path(found["after"]).is_relative_to(python.parent.parent), "rnnlib did not come from the first cell"
