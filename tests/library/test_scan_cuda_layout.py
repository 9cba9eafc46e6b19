"""What a GPU would run at the shapes of the performance page: layouts, widths of accesses, registers.

Compiled ahead of time, without a GPU, for the release of triton at hand. `make kernels` runs this file on the oldest
release in wide use as well.
"""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

CODE = """
import itertools, json, sys
import torch
from ahead import compile_ahead, facts, planned

kinds = itertools.product({shapes}, (torch.complex64, torch.float32), (False, True), (False, True))
variants = {}
for shape, dtype, per_step, adjoint in kinds:
    for kernel, constants in planned(shape, dtype, per_step, adjoint, {strategy!r}):
        variants.setdefault(json.dumps([kernel, constants]), []).append(shape)
rows = []
for key, shapes in variants.items():
    kernel, constants = json.loads(key)
    found = facts(compile_ahead(kernel, {capability}, **constants), {capability})
    rows.append(dict(kernel=kernel, shapes=shapes, layouts=sorted(found.layouts), accesses=found.accesses,
                     registers=found.registers, spills=found.spills, **constants))
print(json.dumps(rows))
"""


LONG = [(1, 131072, 64), (1, 1048576, 16)]  # of few channels
SHAPES = [(16, 4096, 256), (64, 1024, 512), (8, 16384, 1024), (1, 65536, 64), *LONG]


def variants(root, cache, capability, strategy, shapes):
    """Facts of every kernel that the shapes need, from a process whose triton does not interpret."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    path = [str(root / "tools"), str(root), *environment.get("PYTHONPATH", "").split(os.pathsep)]
    code = CODE.replace("{shapes}", repr(shapes)).replace("{strategy!r}", repr(strategy))
    result = subprocess.run(
        [sys.executable, "-c", code.replace("{capability}", str(capability))],
        env=environment | {"TRITON_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module", params=[80, 90])
def walks(request, root, tmp_path_factory):
    """The kernels of the default strategy: walk and chunks."""
    return variants(root, tmp_path_factory.mktemp("cache"), request.param, "auto", SHAPES)


@pytest.fixture(scope="module", params=[80, 90])
def look_backs(request, root, tmp_path_factory):
    return variants(root, tmp_path_factory.mktemp("cache"), request.param, "look-back", LONG)


def name(row):
    keys = ("kernel", "COMPLEX", "PER_STEP", "COLUMNS", "STRIPS", "STEPS", "warps", "registers")
    return " ".join(f"{key}={row[key]}" for key in keys)


def test_neighbouring_threads_access_neighbouring_channels(walks):
    """A row of a warp's threads covers the whole width of a block (32 lanes at most), in the order of memory."""
    for row in walks:
        assert row["layouts"], name(row)
        for elements, threads, order in row["layouts"]:
            (strips, columns), (_, lanes) = json.loads(f"[[{elements}], [{threads}]]")
            assert order == "1, 0" and strips == 1, name(row)
            assert lanes * columns == row["COLUMNS"], name(row)


def test_blocks_of_64_columns_load_and_store_128_bits(walks):
    """And the others a whole element. Sums, one for each chunk and channel, are float64 of any width."""
    wide = [row for row in walks if row["COLUMNS"] == 64]
    assert {row["kernel"] for row in wide} == {"_replay", "_replay_adjoint", "_reduce"}
    for row in walks:
        width = (
            ("v2.b64" if row["COMPLEX"] else "v4.b32") if row["COLUMNS"] == 64 else "b64" if row["COMPLEX"] else "b32"
        )
        loads = [access for access in row["accesses"] if access.startswith("ld")]
        stores = [access for access in row["accesses"] if access.startswith("st")]
        tensors = 1 + row["PER_STEP"] + (row["kernel"] == "_replay_adjoint")
        full = [access for access in loads if access == f"ld.global.{width}"]
        assert len(full) >= 2 * tensors * row["STEPS"], name(row)
        if row["kernel"] == "_replay":
            assert stores == [f"st.global.{width}"] * row["STEPS"], name(row)
        if row["kernel"] == "_replay_adjoint":
            outputs = 1 + row["PER_STEP"]
            assert stores.count(f"st.global.{width}") >= outputs * row["STEPS"], name(row)


def test_nothing_spills(walks):
    assert {name(row): row["spills"] for row in walks if row["spills"]} == {}


def test_two_programs_that_look_back_fit_on_a_multiprocessor(look_backs):
    """It has 65,536 registers; and none of them goes to memory."""
    for row in look_backs:
        assert 2 * 32 * row["warps"] * row["registers"] <= 65_536, name(row)
        assert row["spills"] == 0, name(row)


def test_rows_of_tiles_that_look_back_are_lines_of_the_cache(look_backs):
    """Or whole channels, if those are shorter; a thread loads and stores 64 bits. Each element is moved once."""
    for row in look_backs:
        for elements, threads, order in row["layouts"]:
            (strips, columns), (_, lanes) = json.loads(f"[[{elements}], [{threads}]]")
            assert order == "1, 0" and strips == 1 and lanes * columns == row["COLUMNS"], name(row)
        itemsize, channels = 8 if row["COMPLEX"] else 4, min(shape[2] for shape in row["shapes"])
        assert row["COLUMNS"] == min(128 // itemsize, channels), name(row)
        width = "b64" if row["COMPLEX"] else "v2.b32"
        loads = row["accesses"].count(f"ld.global.{width}")
        adjoint = row["kernel"].endswith("adjoint")
        assert loads >= (1 + row["PER_STEP"] + adjoint) * row["STEPS"], name(row)
        stores = row["accesses"].count(f"st.global.{width}")
        assert stores >= (1 + row["PER_STEP"] * adjoint) * row["STEPS"], name(row)
