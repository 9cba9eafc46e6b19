"""The book's own Sphinx extension, on a tiny book: what must fail fails each time, what changed runs again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from jupyter_cache import get_cache
from PIL import Image

from rnnlib.lab.claims import CLAIMS

ROOT = Path(__file__).resolve().parents[2]

NOTEBOOK = """---
file_format: mystnb
kernelspec: {name: python3, display_name: Python 3}
---
# A page

```{code-cell} python
%s
```
"""


@pytest.fixture
def book(tmp_path) -> Path:
    """A book of one page with this book's configuration, extension and MathJax, and an rnnlib of one line."""
    if not (ROOT / "node_modules" / "mathjax").is_dir():
        pytest.fail("node_modules/mathjax is missing: run `make book` first")
    for folder in ["_extensions", "_static", "_templates"]:
        shutil.copytree(ROOT / "book" / folder, tmp_path / "book" / folder)
    (tmp_path / "book" / "references.bib").touch()
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "mathjax").symlink_to((ROOT / "node_modules" / "mathjax").resolve())
    (tmp_path / "_config.yml").write_text((ROOT / "_config.yml").read_text())
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump({"format": "jb-book", "root": "page"}))
    (tmp_path / "rnnlib").mkdir()
    (tmp_path / "rnnlib" / "__init__.py").write_text("answer = 41\n")
    (tmp_path / "page.md").write_text(NOTEBOOK % "import rnnlib\nprint('the answer is', rnnlib.answer)")
    return tmp_path


def build(book: Path, scale: str = "book") -> subprocess.CompletedProcess:
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(book), "-W", "-n", "--keep-going"]
    variables = os.environ | {"PYTHONPATH": str(book), "RNNLIB_SCALE": scale}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def page(book: Path) -> str:
    return (book / "_build" / "html" / "page.html").read_text()


def test_failing_cell_fails_every_build(book):
    (book / "page.md").write_text(NOTEBOOK % "raise RuntimeError('this cell fails')")
    for _ in range(2):
        result = build(book)
        assert result.returncode != 0
        assert "this cell fails" in result.stdout + result.stderr
    (book / "page.md").write_text(NOTEBOOK % "print(6 * 7)")
    assert build(book).returncode == 0


def notebooks(book: Path, **cells: str) -> None:
    """Add a notebook of one cell for each name."""
    for name, source in cells.items():
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_markdown_cell(f"# {name}"), nbformat.v4.new_code_cell(source)],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, book / f"{name}.ipynb")
    chapters = [{"file": name} for name in cells]
    (book / "_toc.yml").write_text(yaml.safe_dump({"format": "jb-book", "root": "page", "chapters": chapters}))


def test_notebooks_run_in_parallel_on_one_thread_each_and_their_memory_is_recorded(book, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    meet = (
        "import pathlib, time\n"
        "pathlib.Path('{0}.here').touch()\n"
        "start = time.monotonic()\n"
        "while not pathlib.Path('{1}.here').exists() and time.monotonic() - start < 60: time.sleep(0.05)\n"
        "print('{0} met {1}:', pathlib.Path('{1}.here').exists())"
    )
    large = "x = b'x' * (300 * 2**20)\n"
    threads = "import os\nprint('threads:', os.environ.get('OMP_NUM_THREADS'))\n"
    notebooks(book, one=large + meet.format("one", "two"), two=threads + meet.format("two", "one"))
    assert build(book).returncode == 0
    assert "one met two: True" in (book / "_build/html/one.html").read_text()
    assert "two met one: True" in (book / "_build/html/two.html").read_text()
    (folder,) = (book / "_build" / ".jupyter_cache").iterdir()
    runs = get_cache(str(folder)).list_cache_records()
    records = {Path(one.uri).stem: one.data for one in runs}
    assert len(runs) == len(records) == 3, "each page ran once"
    assert records["one"]["peak_mib"] - records["two"]["peak_mib"] == pytest.approx(300, abs=30)
    assert re.match(r"\d+ cores, \d+ GiB of memory, ", records["two"]["machine"])
    assert "threads: 1" in (book / "_build/html/two.html").read_text()


def test_a_gallery_follows_its_notebooks(book):
    """Its own page does not change, nor is it above them in the table of contents."""
    (book / "pictures").mkdir()
    notebooks(book, **{"pictures/one": ""})
    one = nbformat.read(book / "pictures/one.ipynb", as_version=4)
    one.cells[1].metadata["mystnb"] = {"image": {"alt": "An area of one colour."}}
    (book / "cards.md").write_text("# Cards\n\n```{gallery} pictures\n```\n")
    toc = {"format": "jb-book", "root": "page", "chapters": [{"file": "cards"}, {"file": "pictures/one"}]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc))
    for title, color in [("First title", "red"), ("Second title", "blue"), ("Second title", "blue")]:
        one.cells[0].source = f"# {title}"
        one.cells[1].source = f"from PIL import Image\nImage.new('RGB', (800, 400), '{color}')"
        nbformat.write(one, book / "pictures/one.ipynb")
        result = build(book)
        assert result.returncode == 0, result.stdout + result.stderr
        cards = (book / "_build/html/cards.html").read_text()
        (link,) = BeautifulSoup(cards, "html.parser").select(".gallery a")
        assert link["href"] == "pictures/one.html"
        assert link.text.strip() == title
        assert link.img["alt"] == "An area of one colour."
        with Image.open(book / "_build/html" / link.img["src"]) as thumbnail:
            assert thumbnail.size == (560, 280)
            pixel = thumbnail.getpixel((280, 140))
        assert pixel == pytest.approx((255, 0, 0) if color == "red" else (0, 0, 255), abs=2)  # resizing rounds


def test_a_page_shows_pictures_counts_and_numbers_of_others(book):
    """And a picture or a claim that is not there fails the build, which names it."""
    claim = CLAIMS[0]
    notebooks(book, one="import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    one = nbformat.read(book / "one.ipynb", as_version=4)
    one.cells[1].metadata["mystnb"] = {
        "figure": {"name": "fig-one", "caption": "Its own."},
        "image": {"alt": "A line."},
    }
    nbformat.write(one, book / "one.ipynb")
    table = "<table><tr><th>what the paper's text says</th><td>7</td></tr><tr><th>beyond the paper</th></tr></table>"
    (book / "book" / "claims.md").write_text(NOTEBOOK % f"from IPython.display import HTML\nHTML({table!r})")
    text = (
        "# A page\n\n{{claim}}`3 <{}>`\n\n```{{tally}}\n```\n\n```{{picture}} one#{}\nFrom [there](one.ipynb).\n```\n"
    )
    toc = {"format": "jb-book", "root": "page", "chapters": [{"file": "one"}, {"file": "book/claims"}]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc))
    for name, figure, missing in [("fig01-y", "fig-one", "'fig01-y'"), (claim.name, "fig-two", "only fig-one")]:
        (book / "page.md").write_text(text.format(name, figure))
        result = build(book)
        assert result.returncode != 0 and missing in result.stdout + result.stderr
    (book / "page.md").write_text(text.format(claim.name, "fig-one"))
    result = build(book)
    assert result.returncode == 0, result.stdout + result.stderr
    shown, origin = (
        BeautifulSoup((book / f"_build/html/{name}.html").read_text(), "html.parser") for name in ("page", "one")
    )
    (number,) = [link for link in shown.select("article a") if link.get_text() == "3"]
    assert (number["href"], number["title"]) == (f"book/claims.html#{claim.name}", claim.statement)
    assert shown.select_one("article .tally td").get_text() == "7"
    assert shown.select_one("figure img")["src"] == origin.select_one("figure#fig-one img")["src"]
    assert shown.select_one("figcaption a")["href"] == "one.html"


def test_failing_notebook_fails_every_build(book):
    notebooks(book, good="print(6 * 7)", bad="raise RuntimeError('this notebook fails')")
    for _ in range(2):
        result = build(book)
        assert result.returncode != 0
        assert "this notebook fails" in result.stdout + result.stderr


def test_warning_fails_every_build(book):
    (book / "page.md").write_text(NOTEBOOK % "1" + "\n[a link](nowhere.md)\n")
    for _ in range(2):
        result = build(book)
        assert result.returncode != 0
        assert "nowhere.md" in result.stdout + result.stderr


def test_outputs_follow_the_package_and_the_scale(book):
    assert build(book).returncode == 0
    assert "the answer is 41" in page(book)
    again = build(book)
    assert again.returncode == 0
    assert "Executed " not in again.stdout + again.stderr, "nothing changed, so nothing should run"
    (book / "rnnlib" / "__init__.py").write_text("answer = 42\n")
    assert build(book).returncode == 0
    assert "the answer is 42" in page(book)
    other_scale = build(book, scale="smoke")
    assert "Executed " in other_scale.stdout + other_scale.stderr


def test_missing_mathjax_is_named(book):
    (book / "node_modules" / "mathjax").unlink()
    result = build(book)
    assert result.returncode != 0
    assert "node_modules/mathjax is missing" in result.stdout + result.stderr


def test_the_buttons_are_those_that_work_for_the_address(book):
    (book / "page.md").write_text("# A page\n")
    notebooks(book, one="print(1)")
    for address, links in {
        "https://forge.example.org/group/team/book": [],
        "https://gitlab.com/ann/reed": ["https://gitlab.com/ann/reed"],
        "https://github.com/ann/reed": [
            "https://colab.research.google.com/github/ann/reed/blob/colab/one.ipynb",
            "https://github.com/ann/reed",
        ],
    }.items():
        config = yaml.safe_load((book / "_config.yml").read_text())
        config["repository"]["url"] = address
        (book / "_config.yml").write_text(yaml.safe_dump(config))
        result = build(book)
        assert result.returncode == 0, result.stdout + result.stderr
        parsed = BeautifulSoup((book / "_build/html/one.html").read_text(), "html.parser")
        found = {link["href"] for link in parsed.select("a[href]") if re.search("ann/reed|colab|forge", link["href"])}
        assert sorted(link for link in found if "/issues/" not in link) == links
        assert any("/issues/" in link for link in found) == bool(links)


def test_a_known_address_brings_a_sitemap_and_cards(book):
    (book / "more").mkdir()
    (book / "more" / "second.md").write_text("# Another page\n\nWith another description.\n")
    toc = {"format": "jb-book", "root": "page", "chapters": [{"file": "more/second"}]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc))
    assert build(book).returncode == 0
    out = book / "_build" / "html"
    assert not (out / "sitemap.xml").exists(), "without an address there is nothing to name"
    assert "repository.invalid" not in page(book)
    assert 'property="og:image"' not in page(book)
    config = (book / "_config.yml").read_text()
    (book / "_config.yml").write_text(
        config.replace("https://repository.invalid/owner/name", "https://github.com/Ann/reed")
    )
    shutil.rmtree(book / "_build")
    assert build(book).returncode == 0
    home = "https://ann.github.io/reed/"
    addresses = {home + "page.html": "page.html", home + "more/second.html": "more/second.html"}
    (out / "page.html").unlink()  # as if the build had been interrupted: the next one writes this page alone
    assert build(book).returncode == 0
    sitemap = ElementTree.parse(out / "sitemap.xml")
    assert sorted(loc.text for loc in sitemap.findall("{*}url/{*}loc")) == sorted(addresses)
    cards = set()
    for address, file in addresses.items():
        parsed = BeautifulSoup((out / file).read_text(), "html.parser")
        said = {meta.get("property"): meta["content"] for meta in parsed.select("meta[content]")}
        assert said["og:url"] == address
        assert said["og:image"].startswith(home)
        cards.add((out / said["og:image"].removeprefix(home)).read_bytes())
    assert len(cards) == 2, "each page has its own card"
    assert min(map(len, cards)) > 5_000
