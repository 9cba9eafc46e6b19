"""Requirements, pins, licences and addresses say the same thing in every file that states them; the wheel is rnnlib."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

CONDA_NAMES = {"pytorch": "torch"}
NOT_IN_PYPROJECT = {"nodejs", "pip"}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())


def requirements(project) -> dict[str, SpecifierSet]:
    extras = project["project"]["optional-dependencies"]
    texts = [*project["project"]["dependencies"], *(text for extra in extras.values() for text in extra)]
    parsed = {canonicalize_name(r.name): r.specifier for r in map(Requirement, texts)}
    parsed.pop("rnnlib")
    return parsed


def test_conda_environment_equals_pyproject(root, project):
    listed = yaml.safe_load((root / "environment.yml").read_text())["dependencies"]
    by_pip = listed.pop()["pip"]
    assert by_pip.pop() == "-e ."
    found = {canonicalize_name(r.name): r.specifier for r in map(Requirement, listed + by_pip)}
    found = {CONDA_NAMES.get(name, name): bounds for name, bounds in found.items() if name not in NOT_IN_PYPROJECT}
    bounds = found.pop("python")
    assert found == requirements(project)
    assert [v for v in range(9, 20) if Version(f"3.{v}") in bounds] == [11, 12, 13], "the versions that the book takes"


def test_every_requirement_is_pinned_within_its_bounds(root, project):
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    for name, bounds in requirements(project).items():
        assert Version(pins[name]) in bounds, f"{name}: {pins[name]} is outside {bounds}"
    assert pins["torch"] == "2.13.0"
    assert pins["triton"] == "3.7.1", "the CUDA build of torch 2.13.0 requires this triton"


def test_the_package_itself_needs_torch_and_numpy_alone(project):
    assert {Requirement(text).name for text in project["project"]["dependencies"]} == {"torch", "numpy"}


def test_npm_lock_is_exact_and_names_no_server(root):
    wanted = json.loads((root / "package.json").read_text())["dependencies"]
    text = (root / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]
    assert "resolved" not in text
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert locked[f"node_modules/{name}"]["version"] == version
        assert locked[f"node_modules/{name}"]["integrity"].startswith("sha512-")


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    options = ["-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(root)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_rnnlib_and_all_its_files(root, wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    files = {path.relative_to(root).as_posix() for path in (root / "rnnlib").rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == files
    assert any(name.endswith(".mplstyle") for name in files)
    assert "License-Expression: MIT" in metadata
    plain = re.findall(r"^Requires-Dist: ([^;\n]+)$", metadata, re.MULTILINE)
    assert {Requirement(text).name for text in plain} == {"torch", "numpy"}


def linked(target: Path, *distributions: str) -> None:
    """Put distributions of this environment, and all that they require without extras, into a folder, as links."""
    waiting, done = list(distributions), set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in done:
            continue
        done.add(name)
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (target / top).exists():
                (target / top).symlink_to(distribution.locate_file(top))
        required = [Requirement(text) for text in distribution.requires or []]
        waiting += [item.name for item in required if not item.marker or item.marker.evaluate({"extra": ""})]


def test_the_package_alone_says_what_its_command_line_needs(project, wheel, tmp_path):
    """The wheel beside torch and numpy and what they require, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "rnnlib = rnnlib.__main__:console" in archive.read(entry_points).decode()
    linked(tmp_path / "site", "torch", "numpy")
    script = f"import sys; sys.path[:0] = [{str(tmp_path / 'site')!r}]; from rnnlib.__main__ import console; console()"

    def run(*arguments):
        command = [sys.executable, "-I", "-S", "-c", script, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert run("--version").stdout.startswith("rnnlib ")
    address = project["project"]["urls"]["Repository"]
    for arguments in (["list"], ["claims"], ["show", "fig03a"], ["run", "fig03a", "--scale", "paper"]):
        done = run(*arguments)
        wanted = f'pandas, scipy, tqdm are not installed: pip install "rnnlib[lab] @ git+{address}"\n'
        assert (done.returncode, done.stdout, done.stderr) == (1, "", wanted)
    extras = project["project"]["optional-dependencies"]
    linked(tmp_path / "site", *(Requirement(text).name for text in extras["lab"] if "jinja2" not in text))
    done = run("list")
    unstored = [line.split()[0] for line in done.stdout.splitlines() if "not stored" in line]
    assert done.returncode == 0 and all(name.startswith("beyond_") for name in unstored), done.stderr


def test_one_repository_address(root, project):
    url = yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"]
    assert re.fullmatch(r"https://[\w.-]+/[\w.-]+/[\w.-]+", url)
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert project["project"]["urls"]["Repository"] == url
    assert citation["repository-code"] == url
    installs = {}
    for path in [root / "README.md", root / "book/install.md", *(root / "notebooks").rglob("*.py")]:
        installs[path.relative_to(root).as_posix()] = re.findall(r"git\+(https://[\w./-]+)", path.read_text())
    assert len(installs) > 2
    for name, found in installs.items():
        assert set(found) == {url}, f"{name} installs from {found}"


def test_the_citation_names_the_paper_and_the_same_version(root):
    import rnnlib

    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Zucchet", "Orvieto"]
    assert citation["version"] == rnnlib.__version__


def test_both_licences_are_there_and_named_in_the_readme(root):
    readme = (root / "README.md").read_text()
    assert (root / "LICENSE").read_text().startswith("MIT License")
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in (root / "LICENSE-text").read_text()
    assert "[MIT](LICENSE)" in readme
    assert "[CC BY 4.0](LICENSE-text)" in readme
