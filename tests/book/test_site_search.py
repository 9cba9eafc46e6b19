"""What readers type into the search field leads to the page that answers it, first."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup

ANSWERED_BY = {
    "install": "book/install",
    "pip": "book/install",
    "colab": "book/install",
    "cite": "book/cite",
    "licence": "book/cite",
    "gpu": "book/running",
    "exercise": "book/teaching",
}


@pytest.fixture(scope="module")
def tab(browser, site):
    """The page of results, from disk, where it fetches no summaries."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def results(tab, site, query: str) -> list[str]:
    """Pages that the search names, best first."""
    tab.goto(f"{site.as_uri()}/search.html?q={query}")
    tab.wait_for_function("/finished|did not match/.test(document.querySelector('#search-results p')?.innerText)")
    links = tab.locator("#search-results li a").evaluate_all("a => a.map(b => b.href)")
    return [re.split("[?#]", link.removeprefix(f"{site.as_uri()}/"))[0].removesuffix(".html") for link in links]


@pytest.mark.parametrize("query", ANSWERED_BY, ids=lambda query: f"query-{query}")  # "gpu" alone is a mark
def test_the_right_page_comes_first(tab, site, query):
    assert results(tab, site, query)[0] == ANSWERED_BY[query]


def test_first_cells_are_not_searched(tab, site):
    page = BeautifulSoup((site / "notebooks/figures/fig01.html").read_text(encoding="utf-8"), "html.parser")
    assert "find_spec" in page.select_one("div.cell").text, "the first cell is on the page"
    assert not [page for page in results(tab, site, "find_spec") if page.startswith("notebooks/figures/fig0")]
