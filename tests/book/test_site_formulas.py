"""Formulas side by side wrap on a phone, and what is wide scrolls where it stands; for a desk see test_site.py."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

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
