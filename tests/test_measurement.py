"""Experiments that measure: parts are kept, and results are checked as those of trained experiments are."""

import dataclasses
import math

import numpy as np
import pytest

from rnnlib import experiments
from rnnlib.experiments import Measurement, ResultError

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


def test_a_damaged_part_is_measured_again(tmp_path):
    run(tmp_path)
    (first, *_) = sorted((tmp_path / "home" / "blocks").iterdir())
    first.write_text(first.read_text()[:-10])
    assert run(tmp_path)["root"].tolist() == EXPECTED
    assert len(CALLS) == 4


def test_parts_of_another_definition_are_not_used(tmp_path):
    run(tmp_path)
    assert run(tmp_path, dataclasses.replace(ROOTS, numbers=(2, 7)))["root"].tolist() == [math.sqrt(2), math.sqrt(7)]
    assert CALLS == ["2", "3", "5", "2", "7"]


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
        numbers = frame.select_dtypes("number").drop(columns="error", errors="ignore")
        assert len(frame) and np.isfinite(numbers).all(axis=None), name
    assert set(frames["fig05_sources"]["source"]) == {"wikipedia", "matched", "fitted"}


def test_trained_and_measured_run_together_in_the_order_asked(tmp_path):
    tiny = experiments.get("fig09cd").at("smoke")
    frames = experiments.run_all([ROOTS, tiny], "paper", folder=tmp_path, workers=1, progress=False)
    assert list(frames) == ["roots", "fig09cd"] and "loss" in frames["fig09cd"]
