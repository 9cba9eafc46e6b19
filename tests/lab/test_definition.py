"""Definitions of experiments: every field is checked before anything trains, and a name stays in its folder."""

import dataclasses
import json
import math

import numpy as np
import pytest

from rnnlib.lab import experiments
from rnnlib.lab.experiments import Cell, Experiment, Measurement
from rnnlib.lab.training import Protocol

CELL = Cell("rnn", rates=(0.01,))
NEWTON = Protocol(optimizer="gauss_newton", loss="population", double=True)
EXPERIMENT = Experiment(name="one", title="for tests", cells=(CELL,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student": "gpt"}, "no student 'gpt': choose from rnn, .* or register one of your own first"),
        ({"student": {}}, "no student {}: choose from rnn"),
        ({"rates": ({},)}, "rates must be a tuple of different values, one at least, got"),
        ({"rates": ()}, "rates must be a tuple of different values, one at least, got"),
        ({"rates": 0.1}, "rates must be a tuple"),
        ({"rates": (0.1, 0.1)}, "rates must be a tuple of different values"),
        *[({"rates": (0.1, rate)}, rf"each of rates must be a number in \(0, inf\), got {rate}")
          for rate in (0.0, -0.1, math.nan, math.inf)],
        *[({"nu0": (value,)}, rf"each of nu0 must be a number in \[0, 1\), got {value}")
          for value in (-0.1, 1.0, math.nan)],
        ({"nu0": 0.9}, "nu0 must be a tuple"),
        *[({"theta0": (value,)}, rf"each of theta0 must be a number in \(0, 1\], got {value}")
          for value in (0.0, 1.1, math.nan)],
        *[({"start": value}, rf"start must be a number in \[0, 1\), got {value}") for value in (-0.1, 1.0, math.nan)],
        *[({"heads": (value,)}, f"each of heads must be a whole number of at least 1, got {value}")
          for value in (0, 1.5)],
        ({"heads": (2, 3)}, "each of heads must divide the width, got 3 heads for 64 units"),
        ({"ratios": (0.0,)}, r"each of ratios must be a number in \(0, inf\), got 0.0"),
        ({"rotations": (0,)}, "each of rotations must be a whole number of at least 1, got 0"),
        *[({"width": value}, f"width must be a whole number of at least 1, got {value}") for value in (0, -4, 2.5)],
    ],
    ids=str,
)  # fmt: skip
def test_every_field_of_a_cell_is_checked(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CELL, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"details": "nope"},
            "details must be one of none, curves, halfway, parameters, groups, got 'nope'",
        ),
        ({"method": "nope"}, "method must be one of exact, direct, got 'nope'"),
        ({"cells": ()}, "cells must be a tuple of different values, one at least"),
        ({"cells": ("lru",)}, "each of cells must be a Cell, got 'lru'"),
        ({"seeds": ()}, "seeds must be a tuple"),
        ({"seeds": "01"}, "seeds must be a tuple"),
        ({"seeds": (0, 0)}, "seeds must be a tuple of different values"),
        ({"seeds": (-1,)}, "each of seeds must be a whole number from 0 to 2047, got -1"),
        ({"seeds": (2048,)}, "each of seeds must be a whole number from 0 to 2047, got 2048"),
        ({"seeds": (31, 32), "teacher": "seed"}, "each of seeds must be a whole number from 0 to 31, got 32"),
        ({"teacher": 32}, "teacher must be a whole number from 0 to 31, got 32"),
        ({"teacher": "Seed"}, "teacher must be a teacher's number, a tuple of them or 'seed', got 'Seed'"),
        ({"teacher": (0, 32)}, "each of teacher must be a whole number from 0 to 31, got 32"),
        ({"teacher": (0, 0)}, r"teacher must be a tuple of different values, one at least, got \(0, 0\)"),
        ({"teacher": (0, 1), "seeds": (1, 20)}, "each of seeds must be a whole number from 0 to 19, got 20"),
        ({"protocol": None}, "protocol must be a Protocol, got None"),
        ({"method": "direct", "protocol": Protocol(optimizer="sgd")}, "through time students train as in the paper"),
        ({"method": "direct", "cells": (dataclasses.replace(CELL, ratios=(0.1,)),)}, "through time students train as"),
        (
            {"protocol": NEWTON, "cells": (dataclasses.replace(CELL, ratios=(0.1,)),)},
            "gauss_newton has one rate and no basis: leave out ratios",
        ),
        ({"protocol": NEWTON, "details": "groups"}, "effective rates are Adam's, so gauss_newton has no 'groups'"),
        ({"live": (("lru", -1.0),)}, r"the live rate of lru must be a number in \(0, inf\), got -1.0"),
        *[({"title": title}, "title must be one line of text, got") for title in (None, 3, b"x", "a\nb", "\ud800")],
        ({"live": None}, "live must be a tuple of pairs of a student's name and a rate, got None"),
        ({"live": (({}, 0.1),)}, "each of live must be a pair of a student's name and a rate, got"),
        ({"live": (("gpt", 0.1),)}, "each of live must be a pair of a student's name and a rate, got"),
    ],
    ids=str,
)
def test_every_field_of_an_experiment_is_checked(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(EXPERIMENT, **change)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "..",
        ".",
        ".x",
        "a/b",
        "a\\b",
        "/tmp/x",
        "C:x",
        "",
        "-x",
        "x\n",
        "é",
        "a" * 101,
        None,
        "p.curves",
        "a.b.1",
    ],
)
def test_a_name_cannot_leave_its_folder(name):
    for make in (
        lambda: dataclasses.replace(EXPERIMENT, name=name),
        lambda: Measurement(name=name, title="for tests"),
    ):
        with pytest.raises(ValueError, match="name must be letters, digits"):
            make()


def test_usual_names_are_names():
    for name in ("fig03a", "own_sweep", "v1.2-b", "_x", "A" * 100):
        assert dataclasses.replace(EXPERIMENT, name=name).name == name


def test_what_a_measurement_changes_exists():
    with pytest.raises(ValueError, match="each scale of smaller must be one of book, smoke, got 'tiny'"):
        Measurement(name="one", title="for tests", smaller={"tiny": {}})
    with pytest.raises(ValueError, match=r"each field of smaller.* must be one of name, title, smaller, got 'size'"):
        Measurement(name="one", title="for tests", smaller={"book": {"size": 1}})
    for smaller in (None, 3, {"book": None}):
        with pytest.raises(ValueError, match=r"smaller.* must map .* got (None|3)"):
            Measurement(name="one", title="for tests", smaller=smaller)
    for title in (None, 3, b"x"):
        with pytest.raises(ValueError, match="title must be one line of text, got"):
            Measurement(name="one", title=title)


def test_parts_of_a_measurement_have_names_of_their_own(tmp_path):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Named(Measurement):
        named: tuple[str, ...]

        def parts(self):
            return list(self.named)

    for named in ((), ("a", "a")):
        with pytest.raises(ValueError, match=r"one: parts\(\) must give different names, one at least, got"):
            experiments.run(Named(name="one", title="", named=named), "paper", folder=tmp_path, progress=False)


def test_a_run_is_checked_as_a_cell_is():
    (run, *_) = EXPERIMENT.runs()
    for change in ({"rate": 0.0}, {"heads": 3}, {"teacher": 32}, {"seed": -1}, {"theta0": 2.0}, {"start": 1.0}):
        with pytest.raises(ValueError, match=r"must be|must divide"):
            dataclasses.replace(run, **change)
    # a run that an earlier command left may be of a student that this one does not know
    with pytest.raises(ValueError, match="no student 'gpt': choose from"):
        dataclasses.replace(run, student="gpt").member(20)


def test_settings_that_came_later_have_a_part_in_the_hash_once_they_are_used():
    """Stored results were named before there were any."""
    plain = json.dumps(EXPERIMENT.definition())
    changes = {
        "protocol": [{"optimizer": "sgd"}, {"loss": "population"}, {"warmup": 1}, {"clip": 1.0}, {"decay": 0.1},
                     {"loss": "population", "floor": 0.1}, {"double": True}],
        "cell": [{"ratios": (0.1,)}, {"rotations": (2,)}],
    }  # fmt: skip
    changed = [dataclasses.replace(EXPERIMENT, protocol=Protocol(**change)) for change in changes["protocol"]]
    changed += [dataclasses.replace(EXPERIMENT, cells=(dataclasses.replace(CELL, **c),)) for c in changes["cell"]]
    assert len({EXPERIMENT.hash, *(experiment.hash for experiment in changed)}) == 1 + len(changed)
    for change in (*changes["protocol"], *changes["cell"]):
        assert not any(f'"{name}"' in plain for name in change)


def test_lists_ranges_and_numpy_define_the_same_experiment():
    same = Experiment(
        name="one",
        title="for tests",
        cells=[Cell("rnn", rates=np.array([0.01]), nu0=[np.float64(0.99)], heads=range(1, 2), width=np.int64(64))],
        seeds=np.arange(10),
        protocol=Protocol(steps=np.int64(10_000)),
    )
    assert same == EXPERIMENT and same.hash == EXPERIMENT.hash and hash(same) == hash(EXPERIMENT)
    assert json.dumps(same.definition()) == json.dumps(EXPERIMENT.definition())


def test_the_live_part_has_whole_epochs_and_students():
    live = dataclasses.replace(EXPERIMENT, live=(("rnn", 0.1),), protocol=Protocol(steps=600, report=300))
    assert live.at("book").protocol.steps == 1800
    with pytest.raises(ValueError, match="one has no live part: live names none of its students"):
        dataclasses.replace(EXPERIMENT, live=(("lru", 0.1),)).at("book")


def test_what_is_registered_is_checked():
    with pytest.raises(ValueError, match="name must be a text, got ''"):
        experiments.register("", lambda *arguments: None)
    with pytest.raises(ValueError, match="make must be a function that returns a layer, got 3"):
        experiments.register("number", 3)
