"""What every test shares: the scale, the Triton interpreter where no GPU is, seeds, and Hypothesis profiles."""

import os
from pathlib import Path

# Two workers on two cores: more threads than cores make everything slower. Read by torch and by notebook kernels.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RNNLIB_SCALE", "smoke")

import numpy as np
import pytest
import torch

# These tests may run under make; those that run make must not be a part of it.
MAKE_SETS = "MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES ARGS HOST KEEP PORT PYTHON REMOTE URL"
for name in MAKE_SETS.split():
    os.environ.pop(name, None)

LONG = os.environ.get("RNNLIB_LONG_TESTS") == "1"
HAS_GPU = torch.cuda.is_available()
if not HAS_GPU:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports triton, which reads it once

# On a machine with a GPU, `python -m pytest -m gpu tests` needs torch, triton, numpy and pytest alone.
try:
    from hypothesis import settings
except ImportError:
    pass
else:  # Repeatable: the examples follow from the test's code. "long" is for a run by hand, see README.md.
    settings.register_profile("default", max_examples=40, deadline=None, derandomize=True, database=None)
    settings.register_profile("long", max_examples=2000, deadline=None, derandomize=True, database=None)
    settings.load_profile("long" if LONG else "default")


def pytest_ignore_collect(collection_path, config):
    """With ``-m gpu``, files without such tests are not imported."""
    if config.option.markexpr == "gpu" and collection_path.suffix == ".py":
        return "pytest.mark.gpu" not in collection_path.read_text(encoding="utf-8") or None
    return None


def pytest_collection_modifyitems(config, items):
    """Leave out what belongs to a long run, and notebooks that the build has run alike; skip what needs a GPU."""
    left_out = [item for item in items if item.get_closest_marker("long") and not LONG]
    executed = {item.callspec.params["path"] for item in items if "_the_build_left_the_notebook_" in item.name}
    left_out += [item for item in items if item.path in executed and runs_alike(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        if "gpu" in item.keywords and not HAS_GPU:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def runs_alike(item) -> bool:
    """Whether an item is a notebook that runs alike at the scales "smoke" and "book".

    The build has run it, and where the test of that is part of the same session, it does not run again.
    """
    if item.path.suffix != ".ipynb":
        return False
    source = item.path.read_text(encoding="utf-8").replace('scale_from_environment() == \\"paper\\"', "")
    return "scale_from_environment" not in source


@pytest.fixture(autouse=True)
def seeds():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - for code under test that uses the global generator


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parent.parent
