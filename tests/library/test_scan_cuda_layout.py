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

kinds = itertools.product({shapes}, {dtypes}, (False, True), (False, True))
variants = {}
for shape, dtype, per_step, adjoint in kinds:
    for kernel, constants in planned(shape, dtype, per_step, adjoint):
        variants.setdefault(json.dumps([kernel, constants]), []).append(shape)
rows = []
for key, shapes in variants.items():
    kernel, constants = json.loads(key)
    found = facts(compile_ahead(kernel, {capability}, **constants), {capability})
    rows.append(dict(kernel=kernel, shapes=shapes, layouts=sorted(found.layouts), accesses=found.accesses,
                     registers=found.registers, spills=found.spills, **constants))
print(json.dumps(rows))
"""


SHAPES = [(16, 4096, 256), (64, 1024, 512), (8, 16384, 1024), (1, 65536, 64), (1, 131072, 64), (1, 1048576, 16)]


# Layouts come from passes that do not ask for the capability, and complex kernels need more registers than real ones.
DTYPES = {80: "(torch.complex64,)", 90: "(torch.complex64, torch.float32)"}


def variants(root, cache, capability):
    """Facts of every kernel that ``SHAPES`` need, from a process whose triton does not interpret."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    path = [str(root / "tools"), str(root), *environment.get("PYTHONPATH", "").split(os.pathsep)]
    code = CODE.replace("{shapes}", repr(SHAPES)).replace("{dtypes}", DTYPES[capability])
    result = subprocess.run(
        [sys.executable, "-c", code.replace("{capability}", str(capability))],
        env=environment | {"TRITON_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module", params=[pytest.param(80, marks=pytest.mark.long), 90])
def walks(request, root, tmp_path_factory):
    return variants(root, tmp_path_factory.mktemp("cache"), request.param)


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
