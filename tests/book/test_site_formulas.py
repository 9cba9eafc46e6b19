"""Formulas fit their column on a desk; on a phone those side by side wrap, and what is wide scrolls where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BEYOND = """() => [...document.querySelectorAll(".bd-article div.math")]
  .filter((box) => box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.querySelector("mjx-assistive-mml")?.textContent.slice(0, 60))"""
SPILLED = """() => [...document.querySelectorAll(".bd-article mjx-container:not([display], td *)")]
  .filter((one) => one.getClientRects().length && one.getBoundingClientRect().right > innerWidth)
  .map((one) => one.textContent.slice(0, 60))"""


@pytest.fixture(scope="module")
def extension(load_extension):
    return load_extension("rnnformulas")


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        (r"a = b, \qquad c = d", ["a = b,", "c = d"]),
        (r"a \quad (b < 1), \quad c" + "\n\n", ["a", "(b < 1),", "c"]),
        (r"a \qquad\text{and}\qquad b", ["a", r"\text{and}", "b"]),
        (r"\{ a \qquad b \}", [r"\{ a", r"b \}"]),
        (r"\sqrt{a \quad b}", [r"\sqrt{a \quad b}"]),
        (r"\begin{aligned} a &= b \\ c &= d \qquad e \end{aligned}", None),
        (r"a &= b \qquad c", None),
        (r"a \tag{1} \qquad b", None),
    ],
)
def test_formulas_side_by_side_are_several(extension, formula, wanted):
    assert extension.apart(formula) == (wanted or [formula])


def test_no_displayed_formula_is_wider_than_its_column_on_a_desk(visit, address, pages):
    reader, faults = visit(address, viewport={"width": 1280, "height": 900}), []
    for page in pages:
        if page.startswith(("book/", "notebooks/")):
            tab = reader.open(page)
            tab.evaluate("for (const fold of document.querySelectorAll('.bd-article details')) fold.open = true")
            faults += [f"{page}: {formula}" for formula in tab.evaluate(BEYOND)]
    assert not faults, "\n".join(faults)


def test_formulas_side_by_side_wrap_on_a_phone(visit, address):
    tab = visit(address, viewport={"width": 390, "height": 844}).open("book/proofs-inputs.html")
    tops = "row => [...row.children].map(one => Math.round(one.getBoundingClientRect().top))"
    rows = tab.locator(".formulas").evaluate_all(f"rows => rows.map({tops})")
    assert any(len(set(row)) > 1 for row in rows)


def test_a_wide_formula_in_a_sentence_scrolls_in_its_own_box(visit, address):
    tab = visit(address, viewport={"width": 390, "height": 844}).open("book/proofs-gates.html")
    tab.wait_for_selector("mjx-container.wide")
    assert tab.evaluate(SPILLED) == []
    wide = tab.locator("mjx-container.wide").first
    assert wide.evaluate("one => one.scrollWidth > one.clientWidth && one.tabIndex === 0")
