"""The library needs neither the laboratory nor a package beyond torch and NumPy."""

import os
import shutil
import subprocess
import sys

import pytest

# In a fresh interpreter, what the extras bring is not found.
WITHOUT_EXTRAS = """
import sys
from importlib.machinery import PathFinder

MISSING = "altair datasets distributed gensim jax jinja2 llvmlite matplotlib mwparserfromhell numba pandas safetensors"
MISSING += " scipy seaborn sklearn tokenizers tqdm transformers triton"


class WithoutExtras(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in MISSING.split() else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutExtras
"""
FILES = ("alone", "dense", "gru", "layers", "lstm", "parametrization", "theory")  # the others take minutes


def test_a_copy_without_laboratory_and_extras_passes_the_library_s_tests(root, tmp_path):
    shutil.copytree(root / "rnnlib", tmp_path / "rnnlib", ignore=shutil.ignore_patterns("lab", "__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copy(root / "tests/conftest.py", tmp_path / "tests")
    for name in FILES:
        shutil.copy(root / f"tests/library/test_{name}.py", tmp_path / "tests")
    (tmp_path / "extras").mkdir()
    (tmp_path / "extras/sitecustomize.py").write_text(WITHOUT_EXTRAS)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'extras'}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "tests", "-k", "not a_copy"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_this_is_the_copy_or_has_the_laboratory():
    """In the copy this shows that the test above tests what it says."""
    import rnnlib

    alone = not hasattr(rnnlib, "lab") and not any(name.startswith("rnnlib.lab") for name in sys.modules)
    if "extras" in os.environ.get("PYTHONPATH", ""):
        assert alone
        for name in ("rnnlib.lab", "numba", "pandas", "triton"):
            with pytest.raises(ModuleNotFoundError):
                __import__(name)
