"""Experiments that measure: finished parts are saved, and results are checked as those of trained experiments are."""

import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rnnlib.lab import experiments
from rnnlib.lab.experiments import Measurement, ResultError, store

CALLS: list[str] = []
STOP_AT: set[str] = set()


@dataclasses.dataclass(frozen=True)
class Roots(Measurement):
    numbers: tuple[int, ...] = (2, 3, 5)

    def parts(self):
        return [str(number) for number in self.numbers]

    def measure(self, part, device):
        CALLS.append(part)
        if part in STOP_AT:
            raise KeyboardInterrupt
        number = int(part)
        return {
            "runs": (["number", "root"], [(number, math.sqrt(number))]),
            "powers": (["number", "power"], [(number, number**k) for k in (2, 3)]),
        }


ROOTS = Roots(name="roots", title="for tests", smaller={"book": {"numbers": (2,)}, "smoke": {"numbers": (3,)}})
EXPECTED = [math.sqrt(number) for number in (2, 3, 5)]


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    monkeypatch.setenv("RNNLIB_HOME", str(tmp_path / "home"))
    CALLS.clear()
    STOP_AT.clear()


def run(tmp_path, experiment=ROOTS):
    return experiments.run(experiment, "paper", folder=tmp_path, progress=False)


def test_tables_come_back_to_the_last_digit(tmp_path):
    frame = run(tmp_path)
    assert frame["root"].tolist() == EXPECTED
    assert experiments.load(ROOTS, "powers", folder=tmp_path)["power"].tolist() == [4, 8, 9, 27, 25, 125]
    origin = frame.attrs["origin"]
    assert origin["peak MiB, largest process"] > 50 and {
        "commit",
        "date",
        "device",
        "seconds, all parts",
        "seconds of processor",
    } <= set(origin)


def test_an_interruption_loses_no_finished_part(tmp_path):
    STOP_AT.add("5")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert CALLS == ["2", "3", "5"] and not list(tmp_path.glob("roots*"))
    STOP_AT.clear()
    assert run(tmp_path)["root"].tolist() == EXPECTED
    assert CALLS == ["2", "3", "5", "5"]


def parts(tmp_path):
    return sorted((tmp_path / "home" / "blocks").iterdir())


def interrupted(tmp_path):
    """Two parts are finished, the last is not."""
    STOP_AT.add("5")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    STOP_AT.clear()
    CALLS.clear()
    return parts(tmp_path)


def resealed(change):
    def edit(text):
        part = json.loads(text)
        change(part)
        return store.sealed(part)

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-10],
        lambda text: text.replace("1.4", "1.5").replace("1.7", "1.8"),
        lambda text: "[" * 100_000,
        lambda text: json.dumps({"tables": 1, "seconds": 1.0, "processor": 1.0, "peak": 1}),
        resealed(lambda part: part.update(tables=1)),
        resealed(lambda part: part.update(tables={"runs": 1})),
        resealed(lambda part: part.update(seconds="1")),
        resealed(lambda part: part["tables"]["runs"][1][0].pop()),
        resealed(lambda part: part.update(code="0" * 16)),
    ],
)
def test_a_damaged_part_is_measured_again(tmp_path, damage):
    first, _ = interrupted(tmp_path)
    damaged = damage(first.read_text())
    assert damaged != first.read_text()
    first.write_text(damaged)
    assert run(tmp_path)["root"].tolist() == EXPECTED
    assert len(CALLS) == 2


def test_what_is_stored_is_measured_again_when_asked_for(tmp_path):
    assert run(tmp_path).attrs["origin"]["resumed"] is False
    assert parts(tmp_path) == []
    assert run(tmp_path).attrs["origin"]["resumed"] is False
    assert CALLS == 2 * ["2", "3", "5"]


def test_a_result_says_that_it_was_resumed(tmp_path):
    interrupted(tmp_path)
    assert run(tmp_path).attrs["origin"]["resumed"] is True and CALLS == ["5"]


def test_parts_that_experiments_share_are_measured_once_a_command(tmp_path, monkeypatch):
    twins = [dataclasses.replace(ROOTS, name=name) for name in ("one", "two")]
    monkeypatch.setattr(Roots, "key", lambda self, part, device: f"shared-{part}")
    frames = experiments.run_all(twins, "paper", folder=tmp_path, progress=False)
    assert CALLS == ["2", "3", "5"] and parts(tmp_path) == []
    for frame in frames.values():
        assert frame["root"].tolist() == EXPECTED and frame.attrs["origin"]["resumed"] is False


OWN = """
import dataclasses, pathlib, sys
from rnnlib.lab import experiments

@dataclasses.dataclass(frozen=True, kw_only=True)
class Own(experiments.Measurement):
    def parts(self):
        return ["first", "second"]

    def measure(self, part, device):
        print(part)
        if part == "second" and "stop" in sys.argv:
            raise KeyboardInterrupt
        return {"runs": (["value"], [(1.0,)])}

try:
    experiments.run(Own(name="own", title=""), "paper", folder=pathlib.Path("results"), progress=False)
except KeyboardInterrupt:
    pass
"""


@pytest.mark.parametrize("edited", [None, "rnnlib/scan/sequential.py", "own.py"])
def test_parts_measured_by_other_code_are_not_used(root, tmp_path, edited):
    shutil.copytree(root / "rnnlib", tmp_path / "rnnlib", ignore=shutil.ignore_patterns("results", "__pycache__"))
    (tmp_path / "own.py").write_text(OWN)

    def measured(*arguments):
        command = [sys.executable, "own.py", *arguments]
        environment = os.environ | {"PYTHONPATH": str(tmp_path), "RNNLIB_HOME": str(tmp_path / "home")}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert measured("stop") == ["first", "second"]
    if edited:
        with (tmp_path / edited).open("a") as file:
            file.write("# changed\n")
    assert measured() == (["first", "second"] if edited else ["second"])


WITH_WORKERS = """
import dataclasses, os, pathlib, sys
from rnnlib.lab import experiments

@dataclasses.dataclass(frozen=True, kw_only=True)
class Own(experiments.Measurement):
    def parts(self):
        return ["0", "1", "2", "3"]

    def measure(self, part, device):
        if part == "3" and "stop" in sys.argv:
            raise ValueError("no such part")
        return {"runs": (["part", "process"], [(int(part), os.getpid())])}

if __name__ == "__main__":
    folder = pathlib.Path("results")
    frame = experiments.run(Own(name="own", title=""), "paper", folder=folder, workers=2, progress=False)
    print(*frame["part"], len({*frame["process"]} - {os.getpid()}), frame.attrs["origin"]["processes"])
"""


def test_workers_measure_parts_and_lose_none(tmp_path):
    """Rows come in the order of the parts, whoever was first; what was measured before an error is kept."""
    (tmp_path / "own.py").write_text(WITH_WORKERS)

    def run_it(*arguments):
        command = [sys.executable, "own.py", *arguments]
        environment = os.environ | {"RNNLIB_HOME": str(tmp_path / "home")}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    stopped = run_it("stop")
    assert stopped.returncode and "no such part" in stopped.stderr
    assert 1 <= len(parts(tmp_path)) <= 3
    done = run_it()
    *order, processes, workers = map(int, done.stdout.split())
    assert order == [0, 1, 2, 3] and 1 <= processes <= 3 and 1 <= workers <= 2, done.stderr
    assert parts(tmp_path) == []


def test_parts_of_another_definition_are_not_used(tmp_path):
    interrupted(tmp_path)
    assert run(tmp_path, dataclasses.replace(ROOTS, numbers=(2, 7)))["root"].tolist() == [math.sqrt(2), math.sqrt(7)]
    assert CALLS == ["2", "7"]


@pytest.mark.parametrize("table", ["../x", "2", "a.b", "", 3])
def test_a_table_has_a_name_that_no_other_file_has(tmp_path, monkeypatch, table):
    monkeypatch.setattr(Roots, "measure", lambda self, part, device: {"runs": (["x"], [(1,)]), table: (["x"], [(1,)])})
    with pytest.raises(ValueError, match=f"the name of a table must be letters, .*got {re.escape(repr(table))}"):
        run(tmp_path)


def test_scales():
    assert ROOTS.at("paper") is ROOTS
    assert ROOTS.at("book").parts() == ["2"] and ROOTS.at("smoke").parts() == ["3"]
    with pytest.raises(ValueError, match="unknown scale 'huge'; choose from smoke, book, paper"):
        ROOTS.at("huge")


def test_the_hash_follows_the_numbers_and_not_the_words():
    assert dataclasses.replace(ROOTS, numbers=(2, 3)).hash != ROOTS.hash
    assert dataclasses.replace(ROOTS, title="x", smaller={}).hash == ROOTS.hash


def test_a_stale_or_edited_result_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(ResultError, match=r"stale or foreign.*python -m rnnlib run roots --scale paper"):
        experiments.load(dataclasses.replace(ROOTS, numbers=(2, 3)), folder=tmp_path)
    table = tmp_path / "roots.csv"
    table.write_text(table.read_text().replace("3,", "4,", 1))
    with pytest.raises(ResultError, match="a number was changed"):
        experiments.load(ROOTS, folder=tmp_path)


MEASURED = [name for name in experiments.names() if isinstance(experiments.get(name), Measurement)]


def test_every_measurement_runs_at_smoke_scale():
    frames = experiments.run_all([experiments.get(name) for name in MEASURED], "smoke", progress=False)
    for name, frame in frames.items():
        numbers = frame.select_dtypes("number")  # where there may be none, the schema says
        assert len(frame) and not np.isinf(numbers).any(axis=None), name
    assert set(frames["fig05_draws"]["source"]) == {"first articles", "other articles", "matched", "fitted"}


def test_trained_and_measured_run_together_in_the_order_asked(tmp_path):
    tiny = experiments.get("fig09cd").at("smoke")
    frames = experiments.run_all([ROOTS, tiny], "paper", folder=tmp_path, workers=1, progress=False)
    assert list(frames) == ["roots", "fig09cd"] and "loss" in frames["fig09cd"]
