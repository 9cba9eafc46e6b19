"""The built site in headless Chromium: what a reader on a desk, on a phone, in the dark or without a network meets."""

from __future__ import annotations

import fnmatch
import functools
import gzip
import re
from pathlib import Path
from typing import NamedTuple

import pytest
import shapes
import yaml
from browsing import Visit, pages
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]

FAULTS_OF_CONTENT = """() => {
  const faults = [];
  const article = document.querySelector(".bd-article") || document.body;
  const shown = (text) => text.trim().replace(/\\s+/g, " ").slice(0, 60);
  for (const math of document.querySelectorAll(".math"))
    if (!math.querySelector("mjx-container")) faults.push("math not rendered: " + shown(math.textContent));
  for (const error of document.querySelectorAll("mjx-merror, [data-mjx-error]"))
    faults.push("wrong TeX: " + shown(error.getAttribute("data-mjx-error") || error.textContent));
  for (const image of document.images) {
    const least = article.contains(image) ? 41 : 1;  // a button's symbol needs a name, a figure has to be described
    if ((image.alt || "").trim().length < least) faults.push("alt text says too little: " + image.src);
    if (!image.naturalWidth) faults.push("empty image: " + image.src);
  }
  const scripts = [...document.scripts].filter((script) => /mathjax/i.test(script.src));
  if (scripts.length > 1) faults.push("MathJax loaded " + scripts.length + " times");
  const words = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const node = words.currentNode;
    if (node.data.includes("$") && !node.parentElement.closest("pre, code, script, style, .highlight"))
      faults.push("raw $: " + shown(node.data));
  }
  return faults;
}"""

FACTS = """() => ({
  links: [...document.links].map((link) => link.href),
  files: [location.href, ...performance.getEntriesByType("resource").map((entry) => entry.name)],
  blocking: performance.getEntriesByType("resource")
    .filter((entry) => entry.renderBlockingStatus === "blocking").map((entry) => entry.name),
  fonts: [...document.fonts].filter((font) => font.display !== "swap").map((font) => font.family.replaceAll('"', "")),
  shape: (MEASURE)(),
})""".replace("MEASURE", shapes.MEASURE)

WIDE_FORMULAS = """() => [...document.querySelectorAll(".bd-article div.math")]
  .filter((box) => box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.querySelector("mjx-assistive-mml")?.textContent.slice(0, 60))"""

FAULTS_OF_WIDTH = """() => {
  const root = document.documentElement, faults = [];
  if (root.scrollWidth > innerWidth) faults.push("page is " + root.scrollWidth + " wide");
  const scrolls = (element) => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
  for (const cell of document.querySelectorAll(".bd-article td")) {
    const words = cell.innerText.trim();
    if (words.length > 60 && cell.getBoundingClientRect().width < 80) faults.push("squeezed: " + words.slice(0, 40));
  }
  for (const element of document.querySelectorAll(".bd-article *")) {
    const box = element.getBoundingClientRect();
    const hides = scrolls(element) && element.scrollWidth > element.clientWidth + 1 && box.width > 1;
    if (hides && element.tabIndex < 0 && !element.querySelector("a, button, input"))
      faults.push("out of a keyboard's reach: " + element.tagName + " " + element.textContent.trim().slice(0, 40));
    if (box.width < 2 || box.right <= innerWidth + 1 || element.closest("mjx-assistive-mml")) continue;
    let ancestor = element.parentElement;
    while (ancestor && !scrolls(ancestor)) ancestor = ancestor.parentElement;
    if (!ancestor || ancestor === root || ancestor === document.body)
      faults.push("cut off: " + element.tagName + " " + element.textContent.trim().slice(0, 40));
  }
  return faults;
}"""

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
# What the theme and docutils write and we do not: rule, and how the element begins that may break it.
NOT_OURS = [
    ("label-content-name-mismatch", ".search-button-field"),  # "Search" and the keys that open it
    ("label-content-name-mismatch", ".theme-switch-button"),  # "Color mode" and a word that scripts replace
    ("label-content-name-mismatch", "summary"),  # "Toggle hidden content" and "Show code cell source"
    ("region", ".sidebar-primary-items__start"),  # the title of the book stands outside all landmarks
    ("aria-allowed-role", ".citation"),  # docutils: a bibliography of <div role="doc-biblioentry">
    ("aria-deprecated-role", ".citation"),
    ("aria-required-children", ".citation-list"),
]
FAULTS_OF_ACCESS = """async ([notOurs, colors]) => {
  // MathJax's own boxes are left out: they double the time, and assistive technology reads the MathML beside them. So
  // does axe's rule for colours, which finds no more on a second page: FAULTS_OF_CONTRAST has every text of an article.
  const rules = { "color-contrast": { enabled: colors } };
  const options = { resultTypes: ["violations"], rules };
  const found = await axe.run({ exclude: ["mjx-container"] }, options);
  const excused = (rule, element) => notOurs.some(([name, start]) => name === rule && element.closest(start));
  return found.violations.flatMap(({ id, nodes }) => nodes
    .filter((node) => !excused(id, document.querySelector(node.target[0])))
    .map((node) => id + ": " + node.target.join(" ") + " " + node.html.slice(0, 80)));
}"""

FAULTS_OF_CONTRAST = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if (channels(color)[3] === undefined || channels(color)[3] > 0.99) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const faults = [];
  const article = document.querySelector(".bd-article");
  if (!article) return faults;  // the search page has none: its words are the theme's
  const texts = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, text = texts.currentNode.data.trim().slice(0, 40);
    if (!text || !element.getClientRects().length || element.closest("script, style, mjx-assistive-mml")) continue;
    const shades = [getComputedStyle(element).color, background(element)].map(luminance).sort((a, b) => b - a);
    const ratio = (shades[0] + 0.05) / (shades[1] + 0.05);
    if (ratio < 4.5) faults.push("contrast " + ratio.toFixed(2) + ": " + element.tagName + " " + text);
  }
  return faults;
}"""


class Seen(NamedTuple):
    """One page in a desktop window: its address in the site, faults by kind, and facts."""

    page: str
    faults: dict[str, list[str]]
    facts: dict


@pytest.fixture(scope="module")
def reader(browser, address):
    one = Visit(browser, address, color_scheme="light", viewport=shapes.WINDOW)
    yield one
    one.context.close()


@pytest.fixture(scope="module", params=pages())
def seen(request, reader) -> Seen:
    """A page, opened once for all tests of it."""
    page = request.param
    reader.faults = loading = []
    tab = reader.open(page)
    reader.look_for(FAULTS_OF_CONTENT)
    tab.wait_for_function('performance.getEntriesByName("first-contentful-paint").length')
    facts = tab.evaluate(FACTS)
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    access, formulas = tab.evaluate(FAULTS_OF_CONTRAST) + tab.evaluate(FAULTS_OF_ACCESS, [NOT_OURS, False]), []
    if not page.startswith("slides/"):  # they have one scheme
        tab.add_style_tag(content="* { transition: none !important }")  # colours on their way are no fault
        tab.emulate_media(color_scheme="dark")
        tab.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        access += [f"in the dark: {fault}" for fault in tab.evaluate(FAULTS_OF_CONTRAST)]
        tab.emulate_media(color_scheme="light")
        tab.evaluate("for (const fold of document.querySelectorAll('.bd-article details')) fold.open = true")
        formulas = tab.evaluate(WIDE_FORMULAS)
    return Seen(page, {"loading": loading, "access": access, "formulas": formulas}, facts)


def test_a_page_loads_whole_and_asks_nobody_else(seen):
    assert not seen.faults["loading"], "\n".join(seen.faults["loading"])


def test_everyone_can_read_and_reach_it(seen):
    assert not seen.faults["access"], "\n".join(seen.faults["access"])


def test_no_displayed_formula_is_wider_than_its_column_on_a_desk(seen):
    assert not seen.faults["formulas"], "\n".join(seen.faults["formulas"])


@pytest.mark.parametrize("page", ["book/index", "book/claims", "notebooks/figures/fig02", "notebooks/play/03-descent"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_one_page_of_each_kind(visit, address, page, scheme):
    """Of headers and sidebars too. The survey changes the scheme after loading, and has no eye for colours there."""
    reader = visit(address, color_scheme=scheme)
    tab = reader.open(f"{page}.html")
    assert tab.evaluate("document.documentElement.dataset.theme") == scheme
    reader.look_for(FAULTS_OF_CONTRAST)
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    reader.look_for(FAULTS_OF_ACCESS, [NOT_OURS, True])
    reader.must_be_flawless()


@functools.cache
def weight(path: Path) -> int:
    """Bytes of a file on its way to a reader: hosts of static sites compress text."""
    content = path.read_bytes()
    return len(gzip.compress(content, 6)) if path.suffix in {".html", ".js", ".css", ".svg"} else len(content)


def files(seen, site, address) -> list[Path]:
    """What the browser loaded for a page from the site."""
    urls = [url for url in seen.facts["files"] if url.startswith(address)]
    return sorted({site / re.split("[?#]", url)[0].removeprefix(address) for url in urls})


def test_a_page_is_light(seen, site, address):
    loaded = files(seen, site, address)
    assert site / seen.page in loaded and len(loaded) > 5, "the browser did not say what it loaded"
    assert sum(map(weight, loaded)) < 3e6


# Compressed bytes that may hold up the first paint: 0.75 s at the 1.6 Mbit/s of a poor mobile connection. Bytes and not
# seconds, because seconds depend on what else the machine does.
HOLDS_UP = 150_000
NO_WORDS = re.compile("MJX|Font ?Awesome")  # fonts of formulas and symbols


def test_little_holds_up_the_first_paint(seen, site, address):
    blocking = [site / re.split("[?#]", url)[0].removeprefix(address) for url in seen.facts["blocking"]]
    assert any(file.suffix == ".css" for file in blocking), "the browser did not say what holds up the page"
    heavy = {file.name: weight(file) for file in blocking}
    assert sum(heavy.values()) <= HOLDS_UP, f"it waits for {heavy}"
    scripts = {name: size for name, size in heavy.items() if name.endswith(".js")}
    assert sum(scripts.values()) <= 1_000, f"it waits for scripts: defer {scripts}"
    hidden = [family for family in seen.facts["fonts"] if not NO_WORDS.match(family)]
    assert not hidden, f"it hides words until {hidden} has come: font-display must be swap"


def test_a_page_has_its_answer_in_the_first_screen_and_one_question(seen):
    """First picture, height, visible code and text in pictures: limits and exceptions stand in tools/shapes.py."""
    if seen.facts["shape"]:  # the search page has no article
        name = seen.page.removesuffix(".html")
        faults = shapes.faults(name, shapes.shape(name, seen.facts["shape"]))
        assert not faults, "\n".join(faults)


def test_a_notebook_opens_in_colab_and_nothing_else_does(seen):
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    on_github = repository.startswith("https://github.com/")  # Colab opens nothing else, nor the placeholder
    start = f"https://colab.research.google.com/github/{repository.removeprefix('https://github.com/')}/blob/colab/"
    notebook, links = seen.page.replace(".html", ".ipynb"), seen.facts["links"]
    wanted = {start + notebook} if on_github and (ROOT / notebook).is_file() else set()
    assert {link for link in links if "colab.research" in link} == wanted
    assert not [link for link in links if "/edit/" in link], "it offers to edit the generated branch"


def test_pages_say_what_they_are(site):
    book = yaml.safe_load((ROOT / "_config.yml").read_text())["title"]
    titles, said = [], []
    for page in pages():
        head = BeautifulSoup((site / page).read_text(encoding="utf-8").partition("</head>")[0], "html.parser")
        meta = {tag.get("name") or tag.get("property"): tag.get("content", "") for tag in head.find_all("meta")}
        titles.append(head.title.text.strip())
        if "description" in meta:  # not the pages that Sphinx makes, such as the search
            said.append(meta["description"])
        if page.startswith(("book/", "notebooks/")):
            for name in ["description", "og:title", "og:description"]:
                assert meta.get(name, "").strip(), f"{page} lacks {name}"
            assert meta["og:site_name"] == book
            assert titles[-1] == f"{meta['og:title']} — {book}"
            assert meta["og:description"] == meta["description"]
    assert len(said) > 100 and len(set(said)) == len(said), "two pages describe themselves alike"
    assert len(set(titles)) == len(titles), f"each page needs its own title, got {titles}"


def test_no_exception_is_left_of_a_page_that_is_gone():
    names = [page.removesuffix(".html") for page in pages()]
    gone = [name for name, _ in shapes.EXCEPTIONS if not fnmatch.filter(names, name)]
    assert not gone, f"exceptions for pages that are gone: {gone}"


@pytest.fixture(scope="module")
def phone(browser, address):
    one = Visit(browser, address, viewport={"width": 390, "height": 844}, has_touch=True)
    yield one
    one.context.close()


@pytest.mark.parametrize("page", pages())
def test_a_page_fits_a_phone(phone, page):
    phone.faults = []
    phone.open(page)
    phone.look_for(FAULTS_OF_WIDTH)
    phone.must_be_flawless()


def test_axe_sees_a_fault(visit, address):
    tab = visit(address).open("book/running.html")
    tab.evaluate("document.querySelector('.bd-article').insertAdjacentHTML('beforeend', '<input type=text>')")
    tab.evaluate(AXE.read_text(encoding="utf-8"))
    assert [fault.split(":")[0] for fault in tab.evaluate(FAULTS_OF_ACCESS, [NOT_OURS, False])] == ["label"]


def test_dark_mode_switch(visit, address):
    reader = visit(address, color_scheme="light")
    tab = reader.open("book/index.html")
    seen = set()
    for _ in range(3):  # the switch goes round light, dark and the system's choice
        seen.add(tab.evaluate("[document.documentElement.dataset.theme, getComputedStyle(document.body).color].join()"))
        tab.locator(".theme-switch-button:visible").first.click()
    assert {colors.split(",")[0] for colors in seen} == {"light", "dark"}
    assert len(seen) == 2, "the text must change its colour with the theme"
    while tab.evaluate("document.documentElement.dataset.theme") != "dark":
        tab.locator(".theme-switch-button:visible").first.click()
    tab = reader.open("book/running.html")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark", "the choice holds for the next page"
    reader.must_be_flawless()


def test_search_finds_the_curse(visit, address, site):
    reader = visit(address)
    tab = reader.open("book/running.html")
    tab.keyboard.press("Control+k")
    tab.locator("input[type=search]:focus").fill("curse")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#search-results li a")
    links = tab.locator("#search-results li a").evaluate_all("a => a.map(b => b.href)")
    assert address + "book/index.html" in {re.split("[?#]", link)[0] for link in links}
    reader.must_be_flawless()


def test_site_works_from_disk(visit, site):
    reader = visit(site.as_uri() + "/")
    reader.where = "index.html"
    reader.tab.goto(site.as_uri() + "/index.html")
    reader.tab.wait_for_url("**/book/index.html")
    for page in ["book/ten-minutes.html", "book/errata.html", "notebooks/figures/fig02.html"]:
        tab = reader.open(page)
        reader.look_for(FAULTS_OF_CONTENT)
        assert tab.locator("mjx-container").count() > 0
        assert tab.evaluate("[...document.fonts].some(f => f.family.startsWith('MJX') && f.status == 'loaded')")
    reader.open("notebooks/play/02-complex-plane.html").wait_for_function("document.querySelector('.play').view")
    tab = reader.open("search.html?q=curse")
    tab.wait_for_selector("#search-results li a")
    reader.must_be_flawless()


def test_gallery_shows_every_figure(visit, address):
    tab = visit(address).open("book/index.html")
    links = tab.locator(".gallery a:has(img)").evaluate_all("a => a.map(b => b.href)")
    figures = sorted((ROOT / "notebooks" / "figures").glob("*.ipynb"))
    assert figures, "there are figures to show"
    assert links == [f"{address}notebooks/figures/{figure.stem}.html" for figure in figures]
