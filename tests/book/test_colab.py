"""Colab rehearsed: what `make colab` publishes from the real build, opened where rnnlib is not installed yet."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
EXECUTED = ROOT / "_build" / "jupyter_execute"
ALL = sorted(path for path in ROOT.glob("notebooks/*/*.ipynb") if ".ipynb_checkpoints" not in path.parts)
# One of each folder, and one that reads packaged text: all notebooks run under nbmake; what can differ here is where
# rnnlib and its data come from. The first runs in a kernel, as in Colab; the others as scripts of one process, which
# import the installed package alike and share its compiled code.
FIRST = "figures/fig12.ipynb"
OTHERS = [
    "ablation/01-one-gram-matrix.ipynb",
    "beyond/field-guide.ipynb",
    "figures/fig03.ipynb",
    "lab/01-chunked-scan.ipynb",
    "play/01-landscape.ipynb",
    "theory/02-curse-of-memory.ipynb",
]
# Runs in the environment under test: executes the first notebook in a kernel and prints where rnnlib came from.
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
# Then, in the same environment: the others, one after another, each with names of its own.
SCRIPTS = """\
import json, sys
import matplotlib, nbformat

matplotlib.use("agg")
from matplotlib import pyplot

for name in sys.argv[1:]:
    print(name, file=sys.stderr)
    names = {"__name__": "__main__"}
    for cell in nbformat.read(name, as_version=4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, name, "exec"), names)
    pyplot.close("all")
import rnnlib
print(json.dumps({"after": rnnlib.__file__}))
"""
# The same for one cell, where there is neither Jupyter nor anything else but PyTorch.
USE = """
import importlib.metadata, importlib.util, json, torch
scanned = rnnlib.linear_scan(torch.tensor([0.5]), torch.ones(1, 3, 1)).flatten().tolist()
origin = json.loads(importlib.metadata.distribution("rnnlib").read_text("direct_url.json"))
others = [name for name in ("pandas", "matplotlib", "tqdm", "IPython") if importlib.util.find_spec(name)]
print(json.dumps({"file": rnnlib.__file__, "scanned": scanned, "origin": origin, "others": others}))
"""
URL = "https://github.com/someone/memory"


def run(*command, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr[-3000:] or done.stdout[-3000:]
    return done.stdout


def address() -> str:
    return yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]


def first_cell(notebook: str) -> str:
    return next(cell.source for cell in nbformat.reads(notebook, as_version=4).cells if cell.cell_type == "code")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A clone of the bare repository beside it; the only commit is the working tree, uncommitted files included."""
    base = tmp_path_factory.mktemp("colab")
    tree = base / "tree"
    for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0"):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    run("git", "init", "-q", "-b", "main", cwd=tree)
    run("git", "add", "-A", cwd=tree)
    run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-q", "-m", "tree", cwd=tree)
    run("git", "clone", "-q", "--bare", tree, base / "remote.git")
    run("git", "remote", "add", "origin", base / "remote.git", cwd=tree)
    return tree


def environment(tmp_path: Path, tree: Path, url: str) -> dict[str, str]:
    """Variables with which ``url`` leads to the bare repository, and nothing of the user is seen."""
    return {
        **{name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "TRITON_INTERPRET"}},
        "RNNLIB_SCALE": "smoke",
        "JUPYTER_PLATFORM_DIRS": "1",
        "HOME": str(tmp_path),  # no kernels, settings or packages of the user
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{(tree.parent / 'remote.git').as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": url,
        # The one difference from Colab: the build backend is the installed one, so that the rehearsal needs no network.
        # (pip reads this variable the wrong way round: 0 switches isolation off.)
        "PIP_NO_BUILD_ISOLATION": "0",
    }


def make_environment(folder: Path, entries: set[str]) -> Path:
    """The interpreter of an environment with some of this one's packages; links, because a copy would be gigabytes."""
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    for entry in entries:
        (packages / entry).symlink_to(Path(sysconfig.get_path("purelib")) / entry)
    return folder / "bin" / "python"


def entries_of(*names: str) -> set[str]:
    """What these distributions, and those that they require, have in site-packages."""
    waiting, distributions = list(names), {}
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in distributions:
            distributions[name] = importlib.metadata.distribution(name)
            requirements = map(Requirement, distributions[name].requires or [])
            waiting += [one.name for one in requirements if not one.marker or one.marker.evaluate({"extra": ""})]
    files = [file for distribution in distributions.values() for file in distribution.files or []]
    return {file.parts[0] for file in files} - {"..", "__pycache__"}


@pytest.fixture
def python(tmp_path) -> Path:
    """An environment with every package of this one but rnnlib, as in Colab."""
    packages = {entry.name for entry in Path(sysconfig.get_path("purelib")).iterdir()}
    return make_environment(
        tmp_path / "environment", {name for name in packages if "rnnlib" not in name} - {"__pycache__"}
    )


def torch_alone(folder: Path) -> Path:
    """An environment with PyTorch and NumPy, and what pip needs to install a package without a network."""
    return make_environment(folder, entries_of("torch", "numpy", "pip", "hatchling", "editables"))


def run_cell(python: Path, cell: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess:
    """Run a first cell, and use rnnlib after it, in an empty folder."""
    folder.mkdir(exist_ok=True)
    command = [str(python), "-c", cell + "\n" + USE]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)


def test_notebooks_run_alone(python, tree, tmp_path):
    for name in [FIRST, *OTHERS]:
        folder = tmp_path / "empty" / Path(name).parent
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / "notebooks" / name, folder)
    options = {"cwd": tmp_path / "empty", "env": environment(tmp_path, tree, address())}
    found = json.loads(run(python, "-c", DRIVER, FIRST, **options).splitlines()[-1])
    assert not found["before"], "rnnlib was there before the first cell"
    assert Path(found["after"]).is_relative_to(python.parent.parent), "rnnlib did not come from the first cell"
    assert json.loads(run(python, "-c", SCRIPTS, *OTHERS, **options).splitlines()[-1])["after"] == found["after"]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(ROOT / "notebooks").as_posix())
def test_the_build_left_the_notebook_executed(path):
    executed = EXECUTED / path.relative_to(ROOT)
    if not executed.exists():
        pytest.fail("there is no executed notebook in _build/jupyter_execute: run `make book` first")
    book, plain = nbformat.read(executed, as_version=4), nbformat.read(path, as_version=4)
    assert [cell.source for cell in book.cells] == [cell.source for cell in plain.cells], "run `make book` first"
    assert [cell.metadata for cell in book.cells] == [cell.metadata for cell in plain.cells]
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(cell.outputs for cell in code)


def test_first_cells_published_from_a_real_build_run_with_torch_alone(tree, tmp_path):
    """The build that `make test` made, published from a clone and opened.

    That a build from the cache leaves the same files is tested on a small book, in test_publish.py.
    """
    if not (EXECUTED / "executed.json").exists():
        pytest.fail("the book has not been built: run `make book` first")
    copy = tree / "_build" / "jupyter_execute"
    shutil.copytree(EXECUTED / "notebooks", copy / "notebooks")
    commit = run("git", "rev-parse", "HEAD", cwd=tree).strip()  # of the clone, whose files are those that were built
    record = json.loads((EXECUTED / "executed.json").read_text()) | {"commit": commit}
    (copy / "executed.json").write_text(json.dumps(record))

    run("make", "set-repository", f"URL={URL}", cwd=tree)
    assert f"pushed {len(ALL)} executed notebooks" in run("make", "colab", "REMOTE=origin", cwd=tree)
    bare = tree.parent / "remote.git"
    head = run("git", "rev-parse", "main", cwd=bare).strip()
    names = [path.relative_to(ROOT).as_posix() for path in ALL]
    cells = {}
    for name in [*names, *(name.replace("notebooks", "course", 1) for name in names)]:
        text = run("git", "show", f"colab:{name}", cwd=bare)
        cells[name] = first_cell(text)
        assert any(cell.get("outputs") for cell in json.loads(text)["cells"]) == name.startswith("notebooks")
    (cell,) = set(cells.values())
    assert f'"git+{URL}@{head}"' in cell

    python = torch_alone(tmp_path / "environment")
    done = run_cell(python, cell, tmp_path / "empty", environment(tmp_path, tree, URL))
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["file"]).is_relative_to(python.parent.parent)
    assert found["origin"]["vcs_info"]["commit_id"] == head
    assert found["scanned"] == [1, 1.5, 1.75]
    assert found["others"] == []


def test_first_cell_names_another_commit_and_trusts_a_clone(tree, tmp_path):
    python, empty = torch_alone(tmp_path / "environment"), tmp_path / "empty"
    variables = environment(tmp_path, tree, address())
    on_main = first_cell(ALL[0].read_text())
    head = run("git", "rev-parse", "main", cwd=tree).strip()
    same, other = (on_main.replace('@main"\n', f'@{commit}"\n') for commit in (head, "0" * 40))
    assert on_main != same
    for cell in (on_main, same):  # the first installs, the second finds what it needs
        done = run_cell(python, cell, empty, variables)
        assert done.returncode == 0, done.stderr[-3000:]
    refused = run_cell(python, other, empty, variables)
    assert refused.returncode != 0
    sentence = refused.stderr.splitlines()[-1]
    assert sentence.startswith("ImportError: This notebook needs ")
    assert "0" * 40 in sentence
    assert head in sentence
    assert "pip uninstall -y rnnlib" in sentence
    run(python, "-m", "pip", "uninstall", "-q", "-y", "rnnlib", env=variables)  # as it says
    done = run_cell(python, same, empty, variables)
    assert done.returncode == 0, done.stderr[-3000:]
    clone = run(sys.executable, "-c", f"{other}\nprint(rnnlib.__path__[0])", cwd=empty, env={**os.environ, **variables})
    assert Path(clone.strip()).name == "rnnlib", "what is installed from a folder has no commit to compare"


@pytest.mark.parametrize("kind", ["package", "folder"])
def test_first_cell_names_a_foreign_rnnlib(kind, tree, tmp_path):
    """Another project of that name, or a folder, such as a clone, that Python takes for a package."""
    python, empty = torch_alone(tmp_path / "environment"), tmp_path / "empty"
    (packages,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    foreign = packages / "rnnlib" if kind == "package" else empty / "rnnlib"
    foreign.mkdir(parents=True)
    if kind == "package":
        (foreign / "__init__.py").write_text("class RNN: pass\n")
    done = run_cell(python, first_cell(ALL[0].read_text()), empty, environment(tmp_path, tree, address()))
    assert done.returncode != 0
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith("ImportError: ")
    assert str(foreign) in sentence
    assert "is another project" in sentence
