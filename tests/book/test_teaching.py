"""Decks and the page Teaching say the same: order, minutes, assignments, pages. Nothing is shown before it is asked."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from rnnlib import theory

ROOT = Path(__file__).resolve().parents[2]
DECKS = sorted((ROOT / "book" / "slides").glob("*.md"))
TEACHING = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
PICTURE = re.compile(r"!\[\]\((notebooks/[\w/-]+)#([\w-]+)\)")
CHART = re.compile(r"\]\(play-([\w-]+)\.html\)")
IF_TIME = " (if time)"


@pytest.fixture(params=DECKS, ids=lambda path: path.stem)
def deck(request) -> Path:
    return request.param


def slides(deck: Path) -> list[tuple[str, str]]:
    """What is shown and what is said, slide by slide."""
    parts = re.split(r"^---$", deck.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(shown, said.strip()) for shown, _, said in (part.partition("\nNote:\n") for part in parts)]


def session(deck: Path) -> str:
    """The section of the page Teaching on a deck's session."""
    number = deck.stem[0]
    return re.search(rf"^## {number} .*?(?=^## )", TEACHING, re.MULTILINE | re.DOTALL)[0]


def items(text: str) -> list[str]:
    return [" ".join(item.split()) for item in re.findall(r"^- (\*\*.+?)(?=^- |^$|\Z)", text, re.MULTILINE | re.DOTALL)]


def test_each_slide_has_a_note_that_begins_with_its_time(deck):
    before = -1
    for shown, said in slides(deck):
        title = re.search(r"^#+ (.+)$", shown, re.MULTILINE)[1]
        if title.endswith(IF_TIME):
            assert said.startswith("If time. "), title
            continue
        time = re.match(r"(\d):(\d\d)\. ", said)
        assert time, f"{deck.stem}, {title!r}: no time"
        now = 60 * int(time[1]) + int(time[2])
        assert before < now < 90, title
        before = now


def test_the_plan_is_that_of_the_deck(deck):
    """The same minutes, 90 in all, and each part of the plan begins with a slide."""
    plan = re.search(r"^\*\*Plan\.\*\* (.+?)\n\n", session(deck), re.MULTILINE | re.DOTALL)[1]
    planned = [int(n) for n in re.findall(r"(?:^|\. )(\d+)(?= minutes)?(?= minutes: |: )", " ".join(plan.split()))]
    said = " ".join(slides(deck)[0][1].split())
    noted = [int(n) for n in re.findall(r"(?:: |, )(\d+) ", said.partition("90 minutes")[2].partition(". ")[0])]
    assert planned == noted
    assert sum(planned) == 90
    starts = {
        60 * int(h) + int(m) for h, m in (re.match(r"(\d):(\d\d)|", note).groups() for _, note in slides(deck)) if h
    }
    assert {sum(planned[:k]) for k in range(len(planned))} <= starts


def test_assignments_are_those_of_the_page(deck):
    shown = items(slides(deck)[-1][0])
    assert len(shown) >= 2
    assert [item for item in shown if "vote" not in item] == items(
        session(deck).partition("**Assign.**")[2].partition("\n**")[0]
    )
    titles = {}
    for path in (ROOT / "notebooks").glob("*/*.ipynb"):
        cells = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
        titles[cells[0].partition("\n")[0].removeprefix("# ")] = sum(cell.startswith("### Exercise") for cell in cells)
    for title, numbers in re.findall(r"\*([A-Z][^*]+)\* (\d(?: and \d)?)", " ".join(shown)):
        assert max(map(int, re.findall(r"\d", numbers))) <= titles[title]


def test_pages_shown_are_those_of_the_pictures(deck):
    row = re.search(rf"^\| {deck.stem[0]} .*slides/{deck.stem}\.html.*$", TEACHING, re.MULTILINE)[0]
    text = deck.read_text(encoding="utf-8")
    shown = [*(page for page, _ in PICTURE.findall(text)), *(f"notebooks/play/{name}" for name in CHART.findall(text))]
    assert set(re.findall(r"\]\(\.\./(notebooks/[^)]+)\.ipynb\)", row)) == set(shown)
    assert all((ROOT / f"{page}.ipynb").is_file() for page in shown)
    for page, name in PICTURE.findall(text):
        assert f'"name": "{name}"' in (ROOT / f"{page}.py").read_text(encoding="utf-8")


def test_a_question_stands_before_its_answer(deck):
    for shown, _ in slides(deck):
        assert not ("**Predict:**" in shown and PICTURE.search(shown)), shown
        for title in re.findall(r"^## (Figure \d+|Play)$", shown, re.MULTILINE):
            pytest.fail(f"{title!r} is no claim")


def test_the_powers_on_the_slide():
    """Exponents of the memory between 1 - lambda = 1e-5 and 1e-6."""
    table = next(shown for shown, _ in slides(DECKS[1]) if "One remedy is not enough" in shown)
    rows = [
        [int(n) for n in re.findall(r"\| (\d)(?= \|)", line)]
        for line in table.splitlines()
        if "| 1 |" in line or "| 0 |" in line
    ]

    def moments(remedy: int, rho: float, eps: float) -> list[float]:
        nu = 1 - eps
        scale, slope = 1 - nu**2 if remedy & 1 else 1, nu * math.log(nu) if remedy & 2 else 1
        return [scale * theory.state_variance(nu, rho), scale * slope**2 * theory.sensitivity(nu, rho)]

    for remedy, shown in enumerate(rows):
        found = []
        for rho in (0.9, 1):
            near, far = moments(remedy, rho, 1e-6), moments(remedy, rho, 1e-5)
            found += [math.log10(a / b) for a, b in zip(near, far, strict=True)]
        assert found == pytest.approx(shown, abs=0.01)
    assert len(rows) == 4
