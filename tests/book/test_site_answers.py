"""The built pages that answer first: their numbers are those of the page of claims, and what fails there is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from test_pages import NUMBER, PICTURE, is_quoted

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.stem for path in (ROOT / "book").glob("*.md"))
POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def parse(site: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module")
def rows(site) -> dict[str, dict[str, str]]:
    """Number, verdict and kind of each claim, as the page of claims shows them."""
    found = {}
    for anchor in parse(site, "book/claims").select(".chapters code.claim [id]"):
        cells = anchor.find_parent("tr").select("td")
        kind = cells[0].select_one("details").get_text(" ", strip=True).removeprefix("how ").partition(";")[0]
        verdict = cells[4].get_text(" ", strip=True).split()[0]
        if "-" in anchor["id"]:  # the first of a figure is an anchor of the figure, too
            found[anchor["id"]] = {"ours": cells[2].get_text(" ", strip=True), "verdict": verdict, "kind": kind}
    assert len(found) > 100
    return found


def numbers(ours: str) -> list[float]:
    """Value and interval from "1.8 (1.42 to 2.87), 32 teachers"; the value alone where there is no interval."""
    text = re.sub(r" × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda match: "e" + match[1].translate(POWERS), ours).replace("−", "-")
    return [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text.partition("),")[0])][:3]


def agrees(words: str, ours: str) -> bool:
    """Whether a number, or a value with its interval, is a claim's: as it is, its size, or the factor of its decades.

    The page of claims shows three digits, so a number that lies at the end of a rounding may be either.
    """
    shown, measured = NUMBER.findall(words), numbers(ours)[: len(NUMBER.findall(words))]
    for form in (float, abs, lambda value: 10**value, lambda value: 10**-value):
        candidates = sorted(map(form, measured[1:])) if len(measured) == 3 else measured[1:]
        exact = [form(measured[0]), *candidates]
        if len(shown) == len(exact) and all(
            any(is_quoted(text, value * slack) for slack in (0.994, 1, 1.006))
            for text, value in zip(shown, exact, strict=True)
        ):
            return True
    return False


def links_to_claims(page: BeautifulSoup) -> list[tuple[str, str]]:
    """Words and names of the links that lead to a claim's row."""
    links = page.select("article a[href*='claims.html#']")
    return [(link.get_text(" ", strip=True), link["href"].partition("#")[2]) for link in links]


def test_numbers_agree_as_meant():
    assert agrees("63 (26 to 740)", "1.8 (1.42 to 2.87), 32 teachers")
    assert agrees("3.3 (3.3 to 3.4)", "−0.525 (−0.537 to −0.516), 32 networks")
    assert agrees("0.5", "0.5") and agrees("3", "−3") and agrees("0.00031", "3.1 × 10⁻⁴")
    assert not agrees("63 (26 to 740)", "1.9 (1.42 to 2.87), 32 teachers")
    assert agrees("63", "1.8 (1.42 to 2.87), 32 teachers") and not agrees("64 (26 to 740)", "1.8 (1.42 to 2.88)")
    assert not agrees("0.5", "0.6")


@pytest.mark.parametrize("name", PAGES)
def test_numbers_that_lead_to_a_claim_are_measured_there(site, rows, name):
    faults = []
    for words, claim in links_to_claims(parse(site, f"book/{name}")):
        if claim not in rows:
            if "-" in claim:
                faults.append(f"{claim} has no row")
        elif NUMBER.match(words) and not agrees(words, rows[claim]["ours"]):
            faults.append(f"{claim}: the page says {words}, its row {rows[claim]['ours']}")
    assert not faults, "\n".join(faults)


def test_answers_list_every_claim_of_the_paper_that_fails_and_no_other(site, rows):
    heading = parse(site, "book/answers").find(id="what-fails-and-does-it-matter")
    section = heading if heading.name == "section" else heading.find_parent("section")
    listed = {
        link["href"].partition("#")[2]
        for row in section.select("tbody tr")
        for link in row.select("td")[1].select("a[href*='claims.html#']")
    }
    papers = {"what the paper's text says", "what its pictures show"}
    fails = {name for name, row in rows.items() if row["verdict"] == "fails" and row["kind"] in papers}
    assert listed == fails
    verdicts = [row.select("td")[2].get_text(strip=True) for row in section.select("tbody tr")]
    assert all(re.match(r"No|Yes|A little|Only", verdict) for verdict in verdicts)


def test_the_landing_page_answers_first(site, rows):
    page = parse(site, "book/index")
    assert page.select_one("article a[href='https://arxiv.org/abs/2405.21064']")
    sentences = page.select("article ol > li")
    assert len(sentences) == 5
    for sentence in sentences:
        assert len(sentence.select("a[href*='claims.html#'], a[href*='notebooks/']")) == 1, sentence.get_text()
    kinds = [row.select_one("th").get_text() for row in page.select("table tbody tr")]
    assert kinds[0] == "what the paper's text says" and len(kinds) == 5
    counted = [int(cell.get_text()) for cell in page.select("table tbody tr")[0].select("td")]
    text = [row["verdict"] for row in rows.values() if row["kind"] == kinds[0]]
    assert counted == [text.count(verdict) for verdict in ("holds", "fails", "undecided")]
    (figure,) = page.select("article figure")
    assert len(figure.img["alt"]) > 40 and (site / "book" / figure.img["src"]).resolve().is_file()
    assert figure.figcaption.select_one("a[href$='fig03.html']")
    cards = page.select(".sd-card a[href]")
    routes = ["ten-minutes", "fig03", "using", "teaching"]
    assert all(any(route in link["href"] for link in cards) for route in routes)


def test_every_page_says_its_licence_and_how_to_cite(site):
    for path in site.glob("*/**/*.html"):
        if path.parts[-2] in {"slides"} or "_static" in path.parts or "mathjax" in path.parts:
            continue
        (footer,) = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").select(".component-licence")
        target = (path.parent / footer.a["href"].partition("#")[0]).resolve()
        assert target == (site / "book/cite.html").resolve() or footer.a["href"] == "#"
        assert "CC BY 4.0" in footer.get_text() and "MIT" in footer.get_text()


@pytest.mark.parametrize("name", PAGES)
def test_a_picture_of_another_page_is_the_one_that_page_shows(site, name):
    text = (ROOT / f"book/{name}.md").read_text(encoding="utf-8")
    wanted = [
        Path(parse(site, page).select_one(f"figure#{figure} img")["src"]).name for page, figure in PICTURE.findall(text)
    ]
    shown = [Path(image["src"]).name for image in parse(site, f"book/{name}").select("article figure img")]
    assert [image for image in shown if image in wanted] == wanted


def test_stored_results_can_be_downloaded(site):
    links = parse(site, "book/status").select("a.download")
    names = {path.name for path in (ROOT / "rnnlib/lab/results").glob("*.csv")}
    assert names <= {link.get_text(strip=True) for link in links}
    for link in links:
        stored = ROOT / "rnnlib/lab/results" / link.get_text(strip=True)
        assert (site / "book" / link["href"]).resolve().read_bytes() == stored.read_bytes()
