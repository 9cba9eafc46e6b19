"""What helps to read the book: the moving figure, links between pages, the status page, downloads and slides."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from rnnlib.lab.claims import CLAIMS

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "notebooks").rglob("*.ipynb"))
DECKS = sorted(path.stem for path in (ROOT / "book" / "slides").glob("*.md"))
FRAMES = """() => [...document.querySelectorAll(".moving-frame")].map((frame) => {
  const style = getComputedStyle(frame);
  return [style.animationName !== "none" && style.animationPlayState === "running", style.opacity === "1"];
})"""


@pytest.mark.parametrize("javascript", [True, False])
def test_the_figure_moves_and_can_be_stopped(browser, address, javascript):
    context = browser.new_context(reduced_motion="no-preference", java_script_enabled=javascript)
    tab = context.new_page()
    tab.goto(address + "book/ten-minutes.html")
    assert tab.get_by_role("img", name="Loss of a recurrent unit").is_visible()
    if javascript:  # without it nothing can be asked of the page
        assert all(moves for moves, _ in tab.evaluate(FRAMES))
    picture = tab.locator(".moving svg")
    before = picture.screenshot(animations="allow")
    assert any(picture.screenshot(animations="allow") != before for _ in range(5) if not tab.wait_for_timeout(500))
    tab.get_by_label("stop the motion").focus()
    tab.keyboard.press("Space")
    seen = {picture.screenshot(animations="allow") for _ in range(3) if not tab.wait_for_timeout(400)}
    assert len(seen) == 1
    context.close()


def test_the_figure_stands_still_for_those_who_want_it(visit, address):
    tab = visit(address, reduced_motion="reduce").open("book/ten-minutes.html")
    frames = tab.evaluate(FRAMES)
    assert not any(moves for moves, _ in frames)
    assert sum(shown for _, shown in frames) == 1


def test_previous_and_next_follow_the_table_of_contents(site):
    """Read by the order of _toc.yml: each page leads to the one after it and back, and none is left out."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    order = [toc["root"]]
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    for entry in (entry for chapter in chapters for entry in (chapter, *chapter.get("sections", []))):
        found = sorted(ROOT.glob(entry["glob"] + ".ipynb")) if "glob" in entry else [ROOT / entry["file"]]
        order += [path.relative_to(ROOT).with_suffix("").as_posix() for path in found]
    assert set(NOTEBOOKS) <= set(order)
    for before, name, after in zip([None, *order], order, [*order[1:], None], strict=False):
        page = parsed(site, f"{name}.html")
        for place, neighbour in [("a.left-prev", before), ("a.right-next", after)]:
            links = [os.path.normpath(f"{name}/../{link['href']}") for link in page.select(place)]
            assert links == ([f"{neighbour}.html"] if neighbour else []), f"{name}: {place}"


CLAIMS_OF = {
    "01-is-it-adam": ("beyond-0", "beyond-10"),
    "06-history-or-curvature": "beyond-11",
    "07-plateaus": "beyond-12",
    "08-orthogonality": "beyond-13",
    "09-carry-over": "beyond-14",
    "angles": "beyond-angles-",
    "few-bits": "beyond-bits-",
    "field-guide": "beyond-guide-",
    "fixed-eigenvalues": "beyond-poles-",
    "gates-that-move": "beyond-gates-",
    "long-inputs": "beyond-inputs-",
}


def parsed(site: Path, page: str) -> BeautifulSoup:
    return BeautifulSoup((site / page).read_text(encoding="utf-8"), "html.parser")


def claims_of(name: str) -> tuple[str, list[str]]:
    """The page whose claims a notebook names, and the claims."""
    home = re.sub(r"(?<=/fig\d\d)[a-z]$", "", name)  # Figure 3b names the claims of Figure 3
    begin = CLAIMS_OF.get(Path(home).name, f"{Path(home).name}-")
    return home, [claim.name for claim in CLAIMS if claim.name.startswith(begin)]


def test_each_notebook_names_its_claims_and_they_name_it(site):
    """Read from the files; the next test clicks."""
    rows = {element["id"]: element for element in parsed(site, "book/claims.html").select("[id]")}
    for name in NOTEBOOKS:
        page = parsed(site, f"{name}.html")
        labels = [label.get_text() for label in page.select(".connections strong")]
        home, names = claims_of(name)
        assert ("Claims" in labels) == bool(names), name
        if names:
            target, _, anchor = page.select_one(".connections a")["href"].partition("#")
            assert os.path.normpath(f"{name}/../{target}") == "book/claims.html"
            assert anchor in (names[0], names[0].partition("-")[0])
            assert rows[anchor].select_one("a")["href"].endswith(f"{home}.html")
            row = rows[anchor].get_text(strip=True)
            page = page if home == name else parsed(site, f"{home}.html")
            links = [link["href"] for link in page.select("a[href]") if link.get_text() == row]
            assert row in rows and any(link.endswith(f"claims.html#{row}") for link in links), name


@pytest.mark.parametrize("name", ["figures/fig02", "figures/fig03b", "beyond/field-guide"])
def test_a_click_leads_to_the_claims_of_a_notebook_and_back(visit, address, name):
    reader = visit(address)
    home, names = claims_of(f"notebooks/{name}")
    tab = reader.open(f"notebooks/{name}.html")
    tab.locator(".connections a").first.click()
    first = tab.locator("#" + tab.url.partition("#")[2])
    first.wait_for()  # the page unfolds what a link names
    row = first.inner_text()
    first.locator("a").first.click()
    assert row in names and tab.url.partition("#")[0] == f"{address}{home}.html"
    tab.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    tab.get_by_role("link", name=row, exact=True).first.click()
    assert tab.url.endswith(f"book/claims.html#{row}")
    tab.locator(f"#{row}").wait_for()  # the page unfolds what a link names
    reader.must_be_flawless()


def test_a_phone_shows_the_verdict_beside_the_claim(visit, address):
    tab = visit(address, viewport={"width": 390, "height": 844}).open("book/claims.html")
    edges = "cells => cells.map(cell => cell.getBoundingClientRect().right)"
    right = tab.locator("table.claims").first.locator("td.verdict").evaluate_all(edges)
    assert right and max(right) <= 390


def test_the_reference_names_the_pages_that_call_a_function(site):
    (used,) = parsed(site, "book/api-theory.html").select(r"dl.py:has(> dt#rnnlib\.theory\.sensitivity) > dd")
    assert "../notebooks/figures/fig02.html" in {link["href"] for link in used.select("a[href]")}
    assert "Used in" in used.get_text()


def test_status_lists_every_page_that_ran_and_every_result(visit, address):
    tab = visit(address).open("book/status.html")
    tab.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    table = tab.locator(".wide-table").first
    links = table.locator("a").evaluate_all("a => a.map(b => b.href)")
    assert {f"{address}{name}.html" for name in NOTEBOOKS} <= set(links)
    seconds = table.locator("tbody td:nth-child(2)").all_inner_texts()
    assert sum(map(int, seconds[:-1])) == pytest.approx(int(seconds[-1]), abs=len(seconds) / 2)
    assert int(seconds[-1]) > 0
    stored = {json.loads(path.read_text())["name"] for path in (ROOT / "rnnlib" / "lab" / "results").glob("*.json")} - {
        "bench"
    }
    assert stored == set(tab.locator(".wide-table").nth(1).locator("tbody td:first-child").all_inner_texts())


@pytest.mark.parametrize("page", ["book/status.html", "book/teaching.html"])
def test_time_and_hardware_of_each_notebook_are_measured(site, page):
    parsed = BeautifulSoup((site / page).read_text(encoding="utf-8"), "html.parser")
    (table,) = (one for one in parsed.select(".wide-table") if "memory, MiB" in one.get_text())
    rows = [[cell.get_text(strip=True) for cell in row.select("td")] for row in table.select("tbody tr")]
    targets = [row.a and os.path.normpath(f"{page}/../{row.a['href']}") for row in table.select("tbody tr")]
    measured = {target.removesuffix(".html"): row for target, row in zip(targets, rows, strict=True) if target}
    assert set(NOTEBOOKS) <= set(measured)
    peaks = [int(measured[name][2]) for name in NOTEBOOKS]
    assert min(peaks) > 100, "Python with PyTorch takes more than that"
    assert int(rows[-1][2]) == max(peaks)
    uses_gpu = {name for name in NOTEBOOKS if measured[name][3] == "used if present"}
    asks = re.compile(r"choose_device\(|cuda\.is_available\(")
    assert uses_gpu == {name for name in NOTEBOOKS if asks.search((ROOT / f"{name}.py").read_text())}
    assert re.search(r"ran on: \d+ cores, \d+ GiB of memory, (no|an) NVIDIA GPU; ", parsed.select_one(".machine").text)


def test_a_page_that_promises_a_time_says_what_it_took(site):
    status = BeautifulSoup((site / "book/status.html").read_text(encoding="utf-8"), "html.parser")
    rows = [row for row in status.select_one(".wide-table").select("tbody tr") if row.a]
    seconds = {row.a["href"].removeprefix("../").removesuffix(".html"): row.select("td")[1].text for row in rows}
    promised = 0
    for name in NOTEBOOKS:
        lead = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser").find(
            "strong", string="Time"
        )
        if lead and re.search("minute|second", lead.parent.text.partition("Time ")[2].partition("(")[0]):
            promised += 1
            assert lead.parent.select_one(".measured").text == f" ({seconds[name]} s when this site was built)", name
    assert promised > 20


def test_each_notebook_can_be_downloaded(site):
    for name in NOTEBOOKS:
        page = (site / f"{name}.html").read_text()
        assert f"_sources/{name}.ipynb" in page
        assert (site / "_sources" / f"{name}.ipynb").read_bytes() == (ROOT / f"{name}.ipynb").read_bytes()


TICK_LABEL = 9 / 72 * 150  # pixels of a picture: points and dots an inch of rnnlib.mplstyle
LAST_ROW = 18  # pixels of the smallest letters that it can read


@pytest.mark.parametrize("deck", DECKS)
def test_slides_open_from_disk(visit, site, deck):
    reader = visit(site.as_uri() + "/")
    tab = reader.open(f"slides/{deck}.html")
    for number in range(tab.locator(".slides > section").count()):
        if number:
            tab.keyboard.press("ArrowRight")
        assert tab.evaluate("Reveal.getState().indexh") == number
        shown = tab.locator("section.present")
        assert shown.evaluate("s => s.scrollHeight <= 720"), f"slide {number + 1} is taller than the screen"
        assert shown.evaluate("s => s.scrollWidth <= 1280"), f"slide {number + 1} is wider than the screen"
        for image in shown.locator("img").all():
            assert len(image.get_attribute("alt")) > 40
            assert image.evaluate("i => i.naturalWidth") > 0
            shrunk = image.evaluate("i => Math.min(i.clientWidth / i.naturalWidth, i.clientHeight / i.naturalHeight)")
            shrunk *= tab.evaluate("Reveal.getScale()")
            assert TICK_LABEL * shrunk >= LAST_ROW, f"slide {number + 1}: ticks of {TICK_LABEL * shrunk:.1f} pixels"
    number, arrows = (tab.locator(f".reveal .{part}").bounding_box() for part in ("slide-number", "controls"))
    assert number["x"] + number["width"] <= arrows["x"] or arrows["x"] + arrows["width"] <= number["x"]
    words = tab.locator(".slides :is(h1, h2, p, li, td, th), .slide-number")
    sizes = words.evaluate_all("all => all.map((one) => parseFloat(getComputedStyle(one).fontSize))")
    assert min(sizes) * tab.evaluate("Reveal.getScale()") >= LAST_ROW
    assert "\\(" not in tab.locator(".slides").inner_text()
    assert tab.locator("mjx-merror").count() == 0
    reader.must_be_flawless()


@pytest.mark.parametrize("deck", DECKS)
def test_slides_are_those_of_their_text_with_the_pictures_they_name(site, deck):
    """None is lost, each has its title, and its picture is that of the figure on the page."""
    shown = BeautifulSoup((site / f"slides/{deck}.html").read_text(encoding="utf-8"), "html.parser")
    sections = shown.select(".slides > section")
    wanted = re.split(r"^---$", (ROOT / f"book/slides/{deck}.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(wanted) >= 8
    for section, text in zip(sections, wanted, strict=True):
        title = re.search(r"^#+ (.+)$", text, flags=re.MULTILINE)[1]
        if "$" not in title:
            assert section.select_one("h1, h2").text == title
        pictures = []
        for page, name in re.findall(r"!\[\]\((notebooks/[\w/-]+)#([\w-]+)\)", text):
            parsed = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
            pictures.append(Path(parsed.select_one(f"figure#{name} img")["src"]).name)
        assert [Path(image["src"]).name for image in section.select("img")] == pictures, title


def test_the_key_s_shows_the_notes_of_the_slide(visit, site):
    tab = visit(site.as_uri() + "/").open(f"slides/{DECKS[0]}.html")
    with tab.expect_popup() as popup:
        tab.keyboard.press("s")
    for time in ["0:00.", "0:02."]:
        popup.value.locator(".speaker-controls-notes", has_text=time).wait_for()
        tab.keyboard.press("ArrowRight")


LETTERS = """() => {
  const sizes = [];
  const walk = (mark) => (mark.items || []).forEach((item) => {
    if (mark.marktype === "text" && item.text) sizes.push(item.fontSize);
    (item.items || []).forEach(walk);
  });
  walk(document.querySelector(".play").view.scenegraph().root);
  return sizes;
}"""


@pytest.mark.parametrize("page", ["01-landscape", "02-complex-plane", "03-descent", "04-basis", "05-todays-models"])
def test_charts_to_play_with_fill_a_projector(visit, site, page):
    reader = visit(site.as_uri() + "/", viewport={"width": 1280, "height": 720})
    tab = reader.open(f"slides/play-{page}.html")
    tab.wait_for_function("document.querySelector('.play').view")
    box = tab.locator(".play canvas").bounding_box()
    assert box["width"] > 800
    assert box["y"] + box["height"] <= 720
    assert box["x"] + box["width"] <= 1280
    lowest = tab.locator(".play input").last.bounding_box()
    assert lowest["y"] + lowest["height"] <= 720, "a control is below the screen"
    words = tab.locator(".play :is(label, .play-readout), .play .vega-bind-name")
    sizes = words.evaluate_all("all => all.map((one) => parseFloat(getComputedStyle(one).fontSize))")
    assert min([*sizes, *tab.evaluate(LETTERS)]) >= LAST_ROW
    reader.must_be_flawless()
