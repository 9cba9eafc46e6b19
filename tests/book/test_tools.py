"""What is missing at installation is said in one sentence, and what was interrupted is repaired."""

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import shapes

ROOT = Path(__file__).resolve().parents[2]


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def install(tmp_path, monkeypatch):
    """tools/install.py, working in an empty folder."""
    module = load("install")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["install.py"])
    return module


def put(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def sentence(function, *arguments) -> str:
    with pytest.raises(SystemExit) as stopped:
        function(*arguments)
    text = stopped.value.code
    assert text.startswith("make: ")
    assert "\n" not in text
    return text


def test_old_python_is_named(install, tmp_path, monkeypatch):
    put(tmp_path / "bin", "python3", "echo 3 9")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "Python 3.11 to 3.13 is needed for the book (python3 is 3.9)" in sentence(install.find_python, "")


def test_new_python_is_passed_over_for_one_in_range(install, tmp_path, monkeypatch):
    put(tmp_path / "bin", "python3", "echo 3 15")
    put(tmp_path / "bin", "python3.13", "exit 127")  # a version manager's stand-in for a version that is not installed
    put(tmp_path / "bin", "python3.12", "echo 3 12")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert install.find_python("") == "python3.12"
    assert "python3 is 3.15" in sentence(install.find_python, "python3")


def test_no_python(install, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "none was found" in sentence(install.find_python, "")


def test_python_without_venv(install, tmp_path, monkeypatch):
    put(tmp_path / "bin", "python3", "echo \"No module named 'ensurepip'\" >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "python3-venv" in sentence(install.find_python, "")


def test_no_npm(install, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "npm is needed" in sentence(install.main)


def test_little_disk(install, tmp_path, monkeypatch):
    put(tmp_path / "bin", "npm", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(1e9))
    assert "5 GB of free disk are needed at least, and 1.0 GB are left" in sentence(install.main)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("[Errno 28] No space left on device", "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make book"),
        ("NewConnectionError: Temporary failure in name resolution", "is there a network?"),
        ("npm error code ENOTFOUND", "is there a network?"),
        ("error: metadata-generation-failed", "could not be installed; details are in"),
    ],
)
def test_failures_of_pip_and_npm_become_one_sentence(install, tmp_path, words, said):
    (tmp_path / "incomplete").touch()
    assert said in sentence(install.run, ["sh", "-c", f"echo '{words}'; exit 1"], tmp_path, "something")
    assert words in (tmp_path / "install.log").read_text()
    # Without a network nothing was changed; after any other failure the environment is not trusted.
    assert (tmp_path / "incomplete").exists() == ("network" not in said)


def test_no_network_for_real(install, tmp_path, monkeypatch):
    """A closed port on this machine stands for an index out of reach."""
    (tmp_path / "constraints.txt").touch()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"CONFIG_FILE": os.devnull, "INDEX_URL": "http://127.0.0.1:9", "RETRIES": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    assert "the build backend could not be downloaded: is there a network?" in sentence(install.main)
    assert (tmp_path / ".venv/bin/python").exists()
    assert not (tmp_path / ".venv/installed").exists()


def test_interrupted_installation_starts_afresh(install, tmp_path):
    venv = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    half = venv / "half-a-package"
    half.touch()
    install.prepare_venv(venv, sys.executable)
    assert half.exists(), "a sound environment is kept"
    assert (venv / "incomplete").exists()  # and from here to the end of main() it counts as interrupted
    install.prepare_venv(venv, sys.executable)
    assert not half.exists()
    assert (venv / "bin/pip").exists()


def test_complete_installation_leaves_the_stamp_and_no_marker(install, tmp_path, monkeypatch, capsys):
    done = []
    put(tmp_path / "bin", "npm", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(install, "run", lambda command, venv, what: done.append(what))
    install.main()
    assert done == ["the virtual environment", "the build backend", "the Python packages", "MathJax"]
    assert [path.name for path in (tmp_path / ".venv").iterdir()] == ["installed"]
    cpu = "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make book"
    assert (cpu in capsys.readouterr().out) == sys.platform.startswith("linux")


def test_install_script_reads_on_old_python():
    """Nothing newer than Python 3.6 in its grammar, so that an old interpreter gets as far as the sentence."""
    import ast

    ast.parse((ROOT / "tools/install.py").read_text(), feature_version=(3, 6))


def test_pins_are_those_of_this_environment():
    """The walk through requirements reaches what rnnlib's extras need, and leaves local build tags out."""
    found = load("pin").closure(["rnnlib[book,test]"])
    assert {"torch", "numpy", "sphinx", "hypothesis", "myst-nb"} <= set(found)
    assert not any("+" in version for version in found.values())


def test_shapes_says_which_limit_a_page_breaks_and_which_exception_is_not_needed():
    good = shapes.Shape(picture=700, height=5_000, code=0.1, text=11.5, words=900)
    assert shapes.faults("notebooks/figures/fig02", good) == []
    broken = {"picture": 900, "height": 6_500, "code": 0.3, "text": 8.0}
    for name, value in broken.items():
        (said,) = shapes.faults("notebooks/figures/fig02", dataclasses.replace(good, **{name: value}))
        assert name in said and str(value) in said
    assert shapes.faults("notebooks/figures/fig02", dataclasses.replace(good, picture=None))
    (page, what), (far, _) = next(one for one in shapes.EXCEPTIONS.items() if "*" not in one[0][0])
    assert what == "height"
    assert shapes.faults(page, dataclasses.replace(good, height=far)) == []
    assert shapes.faults(page, dataclasses.replace(good, height=far + 1))
    assert what in shapes.faults(page, good)[0], "an exception that a page has outgrown"
    assert not shapes.faults("book/api-layers", dataclasses.replace(good, height=7_000))
    assert not shapes.faults("book/api-layers", good)
    assert shapes.faults("book/api-layers", dataclasses.replace(good, height=20_000))
