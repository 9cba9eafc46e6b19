"""Imports run one way, and `import rnnlib` brings torch and numpy only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rnnlib

ROOT = Path(rnnlib.__file__).parent
# what each part may import of rnnlib; parts that do not exist yet are already held to it
ALLOWED = {
    "_checks": set(),
    "files": set(),
    "scan": set(),
    "parametrization": set(),
    "theory": set(),
    "teacher": set(),
    "text": set(),
    "style": set(),
    "interactive": {"style"},
    "layers": {"scan", "parametrization"},
    "tangents": {"layers"},
    "benchmarks": {"experiments"},
    "descent": {"theory"},
    "realizations": {"layers", "parametrization"},
    "exact": {"layers", "scan", "parametrization"},
    "networks": {"layers", "scan", "parametrization"},
    "curvature": {"exact", "networks", "layers", "scan", "parametrization", "theory", "teacher"},
    "direct": {"files", "teacher", "training"},
    "training": {"exact", "files", "networks", "layers", "scan", "parametrization", "teacher"},
}
SHARED = {"_checks"}  # which all but theory may import
FREE = {"experiments", "claims", "__main__", "__init__"}  # may import anything but what follows
NOTHING_IMPORTS = {"experiments": {"benchmarks", "claims", "__main__"}, "claims": {"__main__"}, "__main__": set()}


def part(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """Names of rnnlib's parts that a file imports, TYPE_CHECKING blocks and functions included."""
    package = ["rnnlib", *path.relative_to(ROOT).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            modules = [[*base, alias.name] for alias in node.names]
        else:
            continue
        found |= {module[1] for module in modules if module[0] == "rnnlib" and len(module) > 1}
    return found - {part(path)}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    name = part(path)
    assert name in ALLOWED or name in FREE, f"{name} is new: say in this test what it may import"
    for imported in imported_parts(path):
        if name in ALLOWED:
            allowed = ALLOWED[name] | (SHARED if name != "theory" else set())
            assert imported in allowed, f"{name} imports {imported}"
        if imported in NOTHING_IMPORTS and name != "__init__":
            assert name in NOTHING_IMPORTS[imported], f"{name} imports {imported}"


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
