"""The examples run, and say what is true."""

import runpy
import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["stream", "variable_lengths"])
def test_scripts_end_well(root, name):
    subprocess.run([sys.executable, str(root / f"examples/{name}.py")], check=True, capture_output=True)


def test_gated_layers_learn(root):
    example = runpy.run_path(str(root / "examples/gated_layers.py"))
    for kind in ("MinGRU", "RGLRU", "Selective"):
        error, constant = example["train"](example[kind], steps=300)
        assert error < 0.5 * constant, kind


def test_a_bidirectional_stack_learns_what_one_direction_cannot(root):
    assert runpy.run_path(str(root / "examples/bidirectional.py"))["train"](200) > 0.9
