"""What a reader takes from a figure: its picture alone, and the stored numbers that it draws."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "rnnlib" / "lab" / "results"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.ipynb"))


@pytest.fixture(scope="module")
def extension(load_extension):
    return load_extension("rnnfigures")


@pytest.fixture(scope="module")
def drawn(extension) -> dict[str, dict[str, frozenset[str]]]:
    """What each figure of each notebook draws."""
    stored = frozenset(extension.tables(ROOT))
    return {path.stem: extension.drawn(nbformat.read(path, as_version=4).cells, ROOT, stored) for path in NOTEBOOKS}


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("draw(load('a'))", {"a.csv"}),
        ("draw(load('a', 'part'))", {"a.part.csv"}),
        ("draw(measure('a'))", {"a"}),
        ("names = ['a', 'b']\nfor name in names:\n    draw(load(name))", {"a", "b"}),
        ("parts = []\nparts.append(load('a'))\ndraw(parts)", {"a.csv"}),
        ("parts = {}\nparts['here'] = load('a')\ndraw(parts)", {"a.csv"}),
        ("def losses(student):\n    return load('a')[student]\ndraw(losses('rnn'))", {"a.csv"}),
        ("def losses(name):\n    return load(name)\ndraw(losses('b'))", {"b"}),
        ("frame = load('a')\nframe = fresh()\ndraw(frame)", set()),
        ("for name in ['a']:\n    pass\ndraw([name for name in 'xy'])", set()),
        ("def losses(name):\n    return load('a')\ndraw(0)", set()),
        ("if scale == 'paper':\n    run_all(['a', 'b'])\ndraw(0)", set()),
        ("draw(paper_values('a'), experiments.get('b'))", set()),
    ],
)
def test_numbers_are_followed_through_the_code(extension, code, wanted):
    *before, last = code.split("\n")
    figure = {"mystnb": {"figure": {"name": "fig"}}}
    cells = [nbformat.v4.new_code_cell("\n".join(before)), nbformat.v4.new_code_cell(last, metadata=figure)]
    if last.startswith(" "):
        cells = [nbformat.v4.new_code_cell(code, metadata=figure)]
    assert extension.drawn(cells, ROOT, frozenset("ab")) == {"fig": wanted}


def test_figures_of_the_book_draw_what_they_load(drawn):
    assert drawn["fig01"]["fig-01"] == frozenset(), "computed where it stands"
    assert drawn["fig05"]["fig-05"] == {"fig05_draws"}, "through the measures of its claims"
    assert "fig12.csv" in drawn["fig12"]["fig-12"]
    assert drawn["fig09b"]["fig-09-trained"] == {"fig09cd.parameters.csv"}


def test_files_offered_exist(extension, drawn):
    files = extension.tables(ROOT)
    for results in (results for figures in drawn.values() for results in figures.values()):
        assert all(name in files or (RESULTS / name).is_file() for name in results)


def test_each_figure_offers_its_picture_and_its_numbers(site, drawn, extension):
    files, seen = extension.tables(ROOT), 0
    for path in NOTEBOOKS:
        page = site / path.relative_to(ROOT).with_suffix(".html")
        parsed = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        for name, results in drawn[path.stem].items():
            figure = parsed.find("figure", id=name)
            assert figure.a["href"] == figure.img["src"], f"{name} cannot be enlarged"
            beneath = figure.find_next_sibling("p", class_="numbers")
            assert (beneath is not None) == bool(results), name
            offered = set()
            assert not results or beneath.find("a", string="columns")["href"].endswith("book/columns.html")
            for link in beneath.select("a[download]") if results else ():
                target = (page.parent / link["href"]).resolve()
                offered.add(target.name)
                assert target.read_bytes() == (RESULTS / target.name).read_bytes()
            assert offered == {file for result in results for file in files.get(result, [result])}
            seen += bool(results)
    assert seen > 20


def test_the_columns_of_every_file_are_described(site):
    page = BeautifulSoup((site / "book/columns.html").read_text(encoding="utf-8"), "html.parser")
    tables = {}
    for table in page.select(".wide-table"):
        names = [cell.get_text() for cell in table.select("tbody td:first-child")]
        assert all(cell.get_text(strip=True) for cell in table.select("tbody td"))
        for file in table.find_previous("p").code.get_text().split(", "):
            tables[file] = names
    for path in RESULTS.glob("*.csv"):
        columns = path.open(encoding="utf-8").readline().strip().split(",")
        described = tables.get(path.name) or tables.get(f"NAME.{path.name.partition('.')[2]}", [])
        assert set(columns) <= set(described), path.name


def test_a_picture_opens_alone(visit, address):
    tab = visit(address, viewport={"width": 390, "height": 844}, has_touch=True).open("notebooks/figures/fig02.html")
    tab.locator("#fig-02 a:has(img)").tap()
    tab.wait_for_url(re.compile(r"/_images/\w+\.png$"))
    assert tab.evaluate("document.images[0].naturalWidth") > 2 * 390


@pytest.mark.parametrize(
    ("width", "media", "hint"), [(390, "screen", True), (1280, "screen", False), (390, "print", False)]
)
def test_a_phone_says_that_a_picture_can_be_enlarged(visit, address, width, media, hint):
    tab = visit(address, viewport={"width": width, "height": 844}).open("notebooks/figures/fig02.html")
    tab.emulate_media(media=media)
    shown = tab.locator("#fig-02 a:has(img)").evaluate("link => getComputedStyle(link, '::after').content")
    assert ("Tap to enlarge" in shown) == hint
