"""What users have that `make` did not install: few packages, another Python, odd values for make."""

import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = "https://repository.invalid/owner/name"


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def reached(*names: str) -> set[str]:
    """Names of the installed distributions that some need, themselves included."""
    found, waiting = set(), list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            parsed = map(Requirement, importlib.metadata.requires(name) or [])
            waiting += [r.name for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A Python with torch, triton, numpy, pytest and what these need; links, because a copy would be gigabytes."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is made for Linux")
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in reached("torch", "triton", "numpy", "pytest"):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files if file.parts[0] not in ("..", "__pycache__")}:
            (packages / top).symlink_to(distribution.locate_file(top))
    return folder / "bin" / "python"


def alone(python: Path, *arguments, **variables) -> subprocess.CompletedProcess:
    names = ("PYTHON", "PYTEST", "TRITON", "CUDA", "RNNLIB")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"} | variables
    command = [str(python), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_bare_environment_has_no_more(bare):
    code = "import importlib.util as u; print([n for n in ('hypothesis', 'pandas', 'scipy', 'tqdm', 'numba', 'rnnlib') "
    done = alone(bare, "-P", "-c", code + "if u.find_spec(n)])")
    assert done.stdout.strip() == "[]", done.stderr


def test_gpu_tests_need_few_packages(bare):
    done = alone(bare, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"=+ \d+ skipped, \d+ deselected", done.stdout), done.stdout
    assert "needs a CUDA device" in done.stdout
    marked = [
        path.name
        for path in (ROOT / "tests").glob("test_*.py")
        if re.search(r"^@pytest.mark.gpu", path.read_text(), re.M)
    ]
    assert all(name in done.stdout for name in marked)


def test_the_gpu_benchmark_needs_few_packages(bare, tmp_path):
    done = alone(bare, "tools/bench_gpu.py", "--help", PYTHONPATH=".")
    assert done.returncode == 0, done.stderr
    # one step of each kind: the whole rehearsal is in test_bench_gpu.py
    names = ["device", "compile", "check auto", "bfloat16 scan", "doubles and reverse, walk", "beyond 2^31 elements"]
    names.append("torch.compile of the scan")
    code = "import bench_gpu, sys\nevery = bench_gpu.steps\n"
    code += f"bench_gpu.steps = lambda *given: [step for step in every(*given) if step.name in {names}]\n"
    code += "sys.exit(bench_gpu.main(sys.argv[1:]))"
    variables = {"PYTHONPATH": f".{os.pathsep}tools", "TRITON_INTERPRET": "1"}
    done = alone(bare, "-c", code, "--to", tmp_path, "--only-check", **variables)
    assert done.returncode == 0, done.stderr
    steps = json.loads((tmp_path / "bench-gpu.json").read_text())["steps"]
    assert [(step["name"], step["status"]) for step in steps] == [(name, "done") for name in names]


def admitted(requirement: Requirement, version: str) -> bool:
    marker = requirement.marker
    return marker is None or marker.evaluate({"python_version": version, "python_full_version": f"{version}.0"})


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14", "3.15", "3.20"])
def test_the_package_has_no_upper_bound_on_python(project, version):
    assert version in SpecifierSet(project["project"]["requires-python"])
    needed = [Requirement(text) for text in project["project"]["dependencies"]]
    assert {r.name for r in needed if admitted(r, version)} == {"numpy", "torch"}
    assert not any(spec.operator in ("<", "<=", "==", "~=") for r in needed for spec in r.specifier)


def test_packages_without_builds_for_a_new_python_are_left_out_there(project):
    text = [Requirement(line) for line in project["project"]["optional-dependencies"]["text"]]
    left_out = {r.name for r in text if not admitted(r, "3.14")}
    assert left_out == {"gensim", "mwparserfromhell"}
    assert all(admitted(r, "3.13") for r in text)


def test_the_wheel_is_typed_and_open_to_new_pythons(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run([str(word) for word in command], check=True)
    with zipfile.ZipFile(*tmp_path.glob("*.whl")) as archive:
        metadata = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
        assert {"rnnlib/py.typed", "rnnlib/scan/cuda/tuning.json"} <= set(archive.namelist())
    assert "Requires-Python: >=3.11\n" in metadata
    assert "Classifier: Typing :: Typed\n" in metadata


@pytest.mark.parametrize("name", ["README.md", "book/install.md"])
def test_where_the_package_is_installed_the_index_of_cpu_builds_is_named(name):
    (block,) = (part for part in (ROOT / name).read_text().split("```") if "pip install git+" in part)
    assert "pip install torch --index-url https://download.pytorch.org/whl/cpu" in block


# What a shell or make would run, each in a different kind of quotes; {} is a file that must not come to be.
RUNS = [
    '"; touch {}; "',
    "'; touch {}; '",
    "; touch {} ;",
    "$(touch {})",
    "`touch {}`",
    "$(shell touch {})",
    "$${{IFS}}$(touch {})",
]
RECORD = """\
import json, os, pathlib, sys
values = {name: os.environ.get(name) for name in ("URL", "REMOTE", "KEEP", "PYTHON", "ARGS", "PORT")}
pathlib.Path("record.json").write_text(json.dumps([sys.argv[1:], values]))
"""


@pytest.fixture
def clone(tmp_path) -> Path:
    """The Makefile with programs that note what reaches them."""
    for name in ["Makefile", "tools/with_args.py"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    for name in ["install", "repository", "colab", "course", "bench", "pairs"]:
        (tmp_path / "tools" / f"{name}.py").write_text(RECORD)
    for name in ["rnnlib", "http"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "rnnlib/__main__.py").write_text(RECORD)
    (tmp_path / "http/server.py").write_text(RECORD)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    for name in ["pyproject.toml", "constraints.txt", "package.json", "package-lock.json"]:
        (tmp_path / name).touch()
    return tmp_path


def reaches(clone: Path, target: str, *values: str):
    """Arguments and variables with which a make target starts its program; None if it does not."""
    names = ("MAKE", "MFLAGS", "URL", "REMOTE", "KEEP", "PYTHON", "ARGS", "PORT", "HOST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    command = [
        "make",
        "-o",
        "book",
        *([] if target == ".venv/installed" else ["-o", ".venv/installed"]),
        target,
        *values,
    ]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    record = clone / "record.json"
    return json.loads(record.read_text()) if record.exists() else pytest.fail(done.stdout + done.stderr)


TARGETS = {
    "URL": "set-repository",
    "REMOTE": "colab",
    "KEEP": "pairs",
    "PYTHON": ".venv/installed",
    "ARGS": "bench",
    "PORT": "serve",
}


@pytest.mark.parametrize("attack", RUNS)
@pytest.mark.parametrize(("variable", "target"), TARGETS.items())
def test_make_runs_nothing_that_a_variable_holds(clone, variable, target, attack):
    value = attack.format(clone / "ran")
    arguments, values = reaches(clone, target, f"{variable}={value}")
    assert not (clone / "ran").exists()
    assert values[variable] == value, "it arrives as it was typed"
    if variable == "ARGS":
        assert arguments == shlex.split(value)
    elif variable != "URL":
        assert arguments[-1].removeprefix("--python=").removeprefix("--keep=") == value


@pytest.mark.parametrize("name", ["BIN", "INSTALLED", "HOST", "CURDIR"])
def test_make_runs_nothing_in_its_own_variables(clone, name):
    reaches(clone, "bench", f"{name}=x; touch {clone / 'ran'};")
    assert not (clone / "ran").exists()


def test_make_passes_words_and_defaults(clone):
    assert reaches(clone, "bench", "ARGS=--runs 3 --beside 'two things'")[0] == [
        "--runs",
        "3",
        "--beside",
        "two things",
    ]
    to = ["--scale", "paper", "--to", "rnnlib/lab/results", "--device", "cuda"]
    for target, what in [("reproduce", "paper"), ("reproduce-all", "all")]:
        assert reaches(clone, target, "ARGS=--device cuda")[0] == ["run", what, *to]
    assert reaches(clone, "colab")[0] == ["origin"]
    assert reaches(clone, "serve")[0][-1] == "8000"
    assert reaches(clone, "pairs") == [["--keep="], dict.fromkeys(TARGETS)]
    done = subprocess.run(
        [sys.executable, "tools/with_args.py", "x"], cwd=clone, env={"ARGS": "'"}, capture_output=True
    )
    assert done.stderr.decode() == "make: ARGS cannot be split into words: No closing quotation.\n"


def test_jupyter_starts_with_the_books_kernel_and_leaves_its_environment_alone(clone):
    """JupyterLab is a program of another environment; the kernel in it is that of .venv."""
    jupyter = clone / ".venv/jupyter/bin"
    jupyter.mkdir(parents=True)
    (jupyter / "python").symlink_to(sys.executable)
    (jupyter / "jupyter-lab").touch(mode=0o755)
    for name in ["ipykernel", "jupyterlab"]:
        (clone / name).mkdir()
        (clone / name / "__init__.py").touch()
        where = "kernel.json" if name == "ipykernel" else "record.json"
        (clone / name / "__main__.py").write_text(RECORD.replace("record.json", where))
    assert reaches(clone, "lab", "ARGS=--no-browser")[0] == ["--no-browser"]
    kernel, _ = json.loads((clone / "kernel.json").read_text())
    assert kernel == ["install", "--prefix", ".venv/jupyter", "--name", "python3"]
    (clone / "ipykernel/__main__.py").write_text("raise SystemExit('no')")
    done = subprocess.run(["make", "-o", ".venv/installed", "lab"], cwd=clone, capture_output=True, text=True)
    assert "make: the book's kernel could not be put into .venv/jupyter; remove that folder" in done.stderr


@pytest.fixture
def addressed(tmp_path) -> Path:
    """What `make set-repository` needs of a clone, and files that hold the address."""
    for name in ["Makefile", "tools/repository.py", "_config.yml", "README.md"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def set_repository(folder: Path, url: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", "set-repository", f"URL={url}"], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    "url",
    [
        *("", "github.com/a/b", "http://github.com/a/b", "git@github.com:a/b", "https://github.com/a", "https://a/b"),
        *(
            "https://github.com/a/b c",
            "https://github.com/a/b\t",
            "https://github.com/a/b\n",
        ),
        *(
            "https://github.com/../b",
            "https://github.com/a/..",
            "https://github.com/a/b/..",
            "https://github.com/a/./b",
        ),
        *(
            "https://github.com/a/b..c",
            "https://github.com/a/-b",
            "https://github.com/a//b",
            "https://github.com/a/b//",
        ),
        *("https://me@github.com/a/b", "https://me:secret@github.com/a/b", "https://github.com/a/b?x=1"),
        *("https://github.com/a/b#x", "https://github.com/a/%2e%2e", "https://github.com/a/b/tree/main"),
        *("https://-github.com/a/b", "https://github..com/a/b", "https://.github.com/a/b", "https://github_.com/a/b"),
        *("https://github.com:0/a/b", "https://github.com:65536/a/b", "https://github.com:/a/b"),
        *(
            "https://github.com/a/b'",
            'https://github.com/a/b"',
            "https://github.com/a/$HOME",
            "https://github.com/a\\b/c",
        ),
        *("https://g\u00eft.org/a/b", "https://github.com/a/b\u0661", "https://github.com/a/.git", "file:///a/b"),
    ],
)
def test_an_address_that_is_none_is_refused_in_one_sentence(addressed, url):
    before = (addressed / "README.md").read_bytes()
    done = set_repository(addressed, url)
    assert done.returncode != 0
    sentences = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert len(sentences) == 1
    assert "https://host/owner/name" in sentences[0]
    assert (addressed / "README.md").read_bytes() == before


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("https://github.com/some-one/a.b_c", "https://github.com/some-one/a.b_c"),
        ("https://github.com/a/b.git", "https://github.com/a/b"),
        ("https://github.com/a/b/", "https://github.com/a/b"),
        ("https://forge.example.org:8443/group/team/book", "https://forge.example.org:8443/group/team/book"),
        (PLACEHOLDER, PLACEHOLDER),
    ],
)
def test_an_address_is_written_everywhere(addressed, typed, written):
    config = (addressed / "_config.yml").read_bytes()
    done = set_repository(addressed, typed)
    assert done.returncode == 0, done.stderr
    assert f"  url: {written}\n" in (addressed / "_config.yml").read_text()
    assert f"git+{written}\n" in (addressed / "README.md").read_text()
    assert set_repository(addressed, PLACEHOLDER).returncode == 0
    assert (addressed / "_config.yml").read_bytes() == config


def test_line_ends_of_windows_survive_a_new_address(addressed):
    for name in ["_config.yml", "README.md"]:
        text = (addressed / name).read_bytes().replace(b"\r\n", b"\n")
        (addressed / name).write_bytes(text.replace(b"\n", b"\r\n"))
    assert set_repository(addressed, "https://github.com/a/b").returncode == 0
    text = (addressed / "README.md").read_bytes()
    assert b"git+https://github.com/a/b\r\n" in text
    assert text.count(b"\n") == text.count(b"\r\n")


def test_nobody_can_own_the_placeholder():
    """Hosts that end in .invalid are never given away, so no command in the text installs a stranger's code."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    text = [(ROOT / name) for name in tracked.split("\0") if name and not name.startswith("tests/")]
    holders = [p for p in text if p.is_file() and re.search(r"(?i)github\.com/owner/", p.read_text(errors="replace"))]
    assert holders == []
