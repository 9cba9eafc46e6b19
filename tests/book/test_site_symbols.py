"""Readers see what a symbol means: on a formula under the pointer or a finger, and in the list at the page's end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = "notebooks/figures/fig06.html"


@pytest.fixture(scope="module")
def extension(load_extension):
    return load_extension("rnnsymbols")


@pytest.fixture(scope="module")
def table(extension):
    return extension.rows((ROOT / "book" / "notation.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def symbols(table) -> tuple[str, ...]:
    return tuple(symbol for row in table for symbol in row.symbols)


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        (r"1 - \lvert\lambda\rvert^2", {r"\lambda"}),
        (r"\bar\lambda_i + \lambda^2", {r"\lambda"}),
        (r"\lambda - \lambda^*", {r"\lambda", r"\lambda^*"}),
        (r"\omega_\nu", {r"\omega_\nu"}),
        (r"\nu_0 = .99", {r"\nu_0"}),
        (r"\nu \ge \nu_0", {r"\nu", r"\nu_0"}),
        (r"\mathrm{d}_\theta h_{t-1}", {r"\theta", "h_t"}),
        (r"h_{\tau} + \vartheta + \sigma_x", set()),  # other things than the table's
        (r"\hat h_t", {"h_t"}),
        (r"\phi_t + W_t", set()),
        ("T = B", set()),  # several things
    ],
)
def test_symbols_are_told_from_others(extension, symbols, formula, wanted):
    assert extension.symbols_in(formula, symbols) == wanted


def test_the_table_means_one_thing_by_each(symbols):
    assert len(symbols) == len(set(symbols)) and {r"\lambda", r"\gamma", r"\theta_0", "z_t", "n_t", r"\sigma"} <= set(
        symbols
    )


def test_a_page_lists_what_its_formulas_have(extension, table):
    body = r'<p><span class="math notranslate nohighlight">\(\rho &lt; 1\)</span></p>'
    html = extension.explained(body, table, "notation.html")
    assert r'<span class="math notranslate nohighlight" data-symbols="0">\(\rho &lt; 1\)</span>' in html
    assert html.count("<dt>") == 1 and "correlation of consecutive inputs" in html
    assert not re.search(r"[$`]", html)
    assert extension.explained("<p>none</p>", table, "notation.html") == "<p>none</p>"


def test_a_pointer_and_a_finger_find_out(visit, address):
    desk, phone = visit(address), visit(address, viewport={"width": 390, "height": 844}, has_touch=True)
    for reader in (desk, phone):
        tab = reader.open(PAGE)
        formula, box = tab.locator("p > [data-symbols]").first, tab.locator(".symbol-box")
        formula.scroll_into_view_if_needed()
        assert not box.is_visible()
        formula.hover() if reader is desk else formula.tap()
        box.locator("mjx-container").first.wait_for()
        assert len(box.inner_text()) > 20
        edges = box.bounding_box()
        assert edges["x"] >= 0 and edges["x"] + edges["width"] <= tab.evaluate("innerWidth")
        tab.keyboard.press("Escape")
        assert not box.is_visible()
        reader.must_be_flawless()


def test_a_keyboard_reaches_the_list_and_it_agrees_with_the_formulas(visit, address):
    tab = visit(address).open(PAGE)
    summary = tab.locator(".symbols > summary")
    summary.focus()
    tab.keyboard.press("Enter")
    entries = tab.locator(".symbols dl > div")
    assert entries.first.is_visible()
    numbers = tab.locator("[data-symbols]").evaluate_all("all => all.flatMap(one => one.dataset.symbols.split(' '))")
    assert set(map(int, numbers)) == set(range(entries.count()))


def test_figure_2_keeps_the_letter_of_the_paper(visit, address):
    """There nu is a raw parameter, so a reader must not be told that it is a modulus."""
    tab = visit(address).open("notebooks/figures/fig02.html")
    assert tab.locator(".symbols dt").count() and "its modulus" not in tab.locator(".symbols").text_content()
