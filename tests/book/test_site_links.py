"""Every link, anchor and file that the built pages name exists, and the errata page knows which figures there are."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"


@cache
def parse(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    tags = parse(path).find_all(lambda tag: tag.get("id") or (tag.name == "a" and tag.get("name")))
    return frozenset(name for tag in tags for name in (tag.get("id"), tag.get("name")) if name)


LINKS = {"a": "href", "form": "action", "img": "src", "script": "src", "iframe": "src", "link": "href"}


def broken(page: Path, element: Tag) -> str | None:
    """Why a link of a page leads nowhere, or None. Other hosts are only named: nothing may load from them."""
    parts = urlsplit(element[LINKS[element.name]])
    if parts.scheme or parts.netloc:
        only_named = element.name == "a" or "canonical" in element.get("rel", []) or parts.scheme == "data"
        return None if only_named else "asks another host"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_relative_to(SITE.resolve()):
        return "leaves the site"
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "no such file"
    if parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in anchors(target):
        return "no such anchor"
    return None


def test_every_link_and_anchor_resolves():
    if not (SITE / "index.html").is_file():
        pytest.fail("there is no site in _build/html: run `make book` first")
    faults, checked = [], 0
    for page in sorted(SITE.resolve().rglob("*.html")):
        if "_static" in page.parts:
            continue
        for tag, attribute in LINKS.items():
            for element in parse(page).find_all(tag, attrs={attribute: True}):
                checked += 1
                reason = broken(page, element)
                if reason:
                    faults.append(f"{page.relative_to(SITE.resolve())}: {element[attribute]} ({reason})")
    assert not faults, "\n".join(faults)
    assert checked > 500, "a site without links was checked"


def test_names_of_claims_in_a_text_lead_to_their_rows():
    page = SITE / "notebooks" / "beyond" / "field-guide.html"
    names = parse(page).find_all("code", string=re.compile(r"^beyond-guide-"))
    assert len(names) > 10
    for name in names:
        link = name.find_parent("a")
        assert link is not None and link["href"].endswith(f"book/claims.html#{name.get_text()}")


def test_errata_name_the_figures_that_are_missing():
    text = (ROOT / "book" / "errata.md").read_text(encoding="utf-8")
    present = {int(path.stem[3:5]) for path in (ROOT / "notebooks" / "figures").glob("fig*.ipynb")}
    sentences = re.findall(r"Figures? ([\d, and]+) (?:is|are) not yet in this book", text)
    called_missing = {int(number) for sentence in sentences for number in re.findall(r"\d+", sentence)}
    assert bool(called_missing) == (len(present) < 15), "the sentence that this test looks for has changed"
    assert called_missing & present == set(), "these figures are in the book now: give the errata page their evidence"


def test_errata_are_numbered_without_gaps():
    text = (ROOT / "book" / "errata.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)]
    assert sorted(numbers) == list(range(1, 27))  # in the order of what they change
