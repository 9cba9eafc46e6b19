"""Each column of each stored table says what it holds, once, and nothing is described that no table has."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from rnnlib.lab import experiments
from rnnlib.lab.experiments.columns import SHARED, TABLES, meanings


@pytest.fixture(scope="module")
def headers() -> dict[tuple[str, str], set[str]]:
    """Columns of all stored tables, by kind of experiment and name of the table."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path in sorted(experiments.store.PACKAGED.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for file in record["files"] if "definition" in record else ():
            table = file.removeprefix(record["name"]).removesuffix(".csv").removeprefix(".") or "runs"
            with Path(path.parent / file).open(encoding="utf-8", newline="") as lines:
                found[record["definition"].get("kind", "Experiment"), table] |= set(next(csv.reader(lines)))
    return found


def test_every_column_says_what_it_holds(headers):
    for (kind, table), columns in headers.items():
        texts = meanings(kind, table, sorted(columns))
        assert all(len(text) > 3 and "\n" not in text for text in texts.values()), (kind, table)


def test_no_text_is_left_without_a_column(headers):
    assert {(kind, table) for kind, tables in TABLES.items() for table in tables} == set(headers)
    unsaid = set()
    for (kind, table), columns in headers.items():
        own = set(TABLES[kind][table].columns)
        assert own <= columns, (kind, table)
        unsaid |= columns - own
    assert unsaid == set(SHARED)


def test_kinds_are_classes_that_define_experiments():
    kinds = {type(experiment).__name__ for experiment in experiments.EXPERIMENTS.values()}
    assert set(TABLES) == kinds
