"""Imports run one way, and `import rnnlib` brings torch and numpy only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rnnlib

ROOT = Path(rnnlib.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """What a file imports of rnnlib, as dotted names below it, TYPE_CHECKING blocks and functions included."""
    package = ["rnnlib", *path.relative_to(ROOT).parent.parts]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return {name.removeprefix("rnnlib.") for name in names if name.startswith("rnnlib.")}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [path for path in MODULES if not relative(path).startswith("lab/")], ids=relative)
def test_the_library_never_imports_the_laboratory(path):
    if path.name != "__main__.py":
        assert not [name for name in imported(path) if name.split(".")[0] == "lab"]


def test_theory_imports_no_sibling():
    """So theory and code check each other."""
    for path in (ROOT / "theory").glob("*.py"):
        assert {name.split(".")[0] for name in imported(path)} <= {"theory"}


def test_imports_are_seen():
    assert "lab.commandline" in imported(ROOT / "__main__.py")
    assert {"parametrization.ring", "scan.linear_scan"} <= imported(ROOT / "layers/diagonal.py")


@pytest.mark.parametrize(("package", "where"), [("triton", "scan/cuda"), ("numba", "scan/cpu")])
def test_only_the_kernels_import_their_compiler(package, where):
    importers = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == package for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package)
    }
    assert importers
    assert all(Path(name).is_relative_to(where) for name in importers)


def test_import_is_light():
    heavy = ["triton", "matplotlib", "seaborn", "pandas", "jaxtyping", "datasets", "transformers", "tokenizers", "jax"]
    heavy += ["safetensors", "mwparserfromhell", "gensim", "scipy", "sklearn", "numba", "altair"]
    code = f"import rnnlib, sys; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
