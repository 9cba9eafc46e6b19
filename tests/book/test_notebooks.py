"""What holds for every notebook before it runs: pairs agree, no outputs, the same start, plain Markdown, alt text."""

import ast
import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
FIRST_CELL = """\
import importlib.metadata, importlib.util, subprocess, sys

# The branch main; in a published copy, the commit that executed it.
source = "git+URL@main"
if importlib.util.find_spec("rnnlib") is None:  # Colab: everything else is already there
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", source], check=True)
import rnnlib

remedy = "run `%pip uninstall -y rnnlib`, restart the session, then run this cell again"
if not hasattr(rnnlib, "linear_scan"):
    raise ImportError(f"{rnnlib.__file__ or rnnlib.__path__} is another project: {remedy}.")
for distribution in importlib.metadata.distributions(name="rnnlib"):
    origin = distribution.read_text("direct_url.json") or ""  # names a commit if pip took one
    if "commit_id" in origin and not source.endswith("@main") and source[-40:] not in origin:
        raise ImportError(f"This notebook needs {source}, installed is {origin}: {remedy}.")"""
HEADER = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
"""
NOT_COMMONMARK = {  # what MyST reads and neither GitHub nor Colab does
    "role": r"\{[a-z][\w:.-]*\}`",
    "directive": r"^\s*(```+|~~~+|:::+)\s*\{",
    "colon fence": r"^\s*:::",
    "target": r"^\([\w.-]+\)=\s*$",
    "comment": r"^%",
    "block break": r"^\+\+\+",
    "substitution": r"\{\{",
    "mathematics without $": r"^\\begin\{|\\\(|\\\[",
    "HTML other than details": r"<(?!/?(details|summary)\b)/?[a-zA-Z][^>]*>",
}
DRAWS = re.compile(r"plt\.(subplots|figure|plot|imshow)\(|\.savefig\(|sns\.\w+plot\(")

spec = importlib.util.spec_from_file_location("pairs", ROOT / "tools" / "pairs.py")
pairs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pairs)


def markdown(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def without_code_and_math(source: str) -> str:
    """Markdown with fenced code, code spans and mathematics taken out; a fence's first line stays."""
    source = re.sub(r"^(```+[^\n]*)\n.*?^```+", r"\1", source, flags=re.MULTILINE | re.DOTALL)
    source = re.sub(r"\$\$.*?\$\$", "", source, flags=re.DOTALL)
    source = re.sub(r"(?<!\\)\$[^$]+\$", "", source)
    return re.sub(r"(?<!\})`[^`\n]+`", "", source)


def foreign(source: str) -> list[str]:
    """Names of the constructs in a Markdown cell that GitHub or Colab would show raw."""
    text = without_code_and_math(source)
    return [name for name, pattern in NOT_COMMONMARK.items() if re.search(pattern, text, re.MULTILINE)]


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.relative_to(ROOT / "notebooks").as_posix())
def path(request) -> Path:
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def test_there_are_notebooks():
    assert {path.parent.name for path in NOTEBOOKS} >= {"theory", "figures", "lab"}


def test_pairs_agree_and_hold_no_outputs():
    assert pairs.problems(ROOT / "notebooks") == []


def test_header_of_the_script_is_minimal(path):
    assert path.with_suffix(".py").read_text().startswith(HEADER)


def test_first_code_cell_is_the_same_everywhere(notebook):
    url = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.source == FIRST_CELL.replace("URL", url)
    assert first.metadata.tags == ["hide-input"]


def test_page_opens_with_what_when_and_how_long(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    opening = notebook.cells[0].source
    assert re.match(r"# \S", opening)
    for promise in ["**You will see**", "**You need**", "**Time**"]:
        assert promise in opening
    titles = [line for source in markdown(notebook) for line in source.splitlines() if line.startswith("# ")]
    assert len(titles) == 1


def test_markdown_is_plain(notebook):
    found = {name: source for source in markdown(notebook) for name in foreign(source)}
    assert found == {}


def lists_by_accident(source: str) -> list[str]:
    """Lines within a paragraph that begin with a number and a point: Markdown ends the paragraph and starts a list.

    A list that is meant has a second item, or follows a heading.
    """
    found = []
    for paragraph in re.sub(r"^#.*\n", "", source, flags=re.MULTILINE).split("\n\n"):
        first, *rest = paragraph.split("\n")
        items = [line for line in [first, *rest] if re.match(r"\d+\. ", line)]
        found += items if len(items) == 1 and items[0] in rest else []
    return found


def test_no_sentence_becomes_a_list(notebook):
    assert [line for source in markdown(notebook) for line in lists_by_accident(source)] == []


def test_a_sentence_that_becomes_a_list_is_found():
    assert lists_by_accident("which raises everything near\n1. Two maxima compete") == ["1. Two maxima compete"]
    assert lists_by_accident("Steps:\n1. one\n   more\n2. two\n\n1. alone\n\nnear 1.\nTwo") == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("see {ref}`x`", "role"),
        ("```{note}\nx\n```", "directive"),
        (":::note\nx\n:::", "colon fence"),
        ("(label)=\n# Title", "target"),
        ("% hidden", "comment"),
        ("\\begin{align}\nx\n\\end{align}", "mathematics without $"),
        ("<img src='x.png'>", "HTML other than details"),
    ],
)
def test_what_colab_cannot_show_is_refused(source, name):
    assert name in foreign(source)


def test_plain_markdown_is_accepted():
    for source in [
        "# T\n$a<b>c$ `{x}` [l](../a.ipynb)",
        "$$\n\\begin{aligned}x\\end{aligned}\n$$",
        "<details>\n</details>",
    ]:
        assert foreign(source) == []


def test_figures_have_alt_text(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code" and DRAWS.search(cell.source):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 40, f"say in mystnb.image.alt what this shows: {cell.source[:60]!r}"


def test_a_cell_with_a_figure_shows_nothing_else(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code" and "figure" in cell.metadata.get("mystnb", {}):
            shows_a_value = isinstance(ast.parse(cell.source).body[-1], ast.Expr)
            assert not shows_a_value or cell.source.rstrip().endswith(";"), f"end in ';': {cell.source[-60:]!r}"


def test_links_between_notebooks_resolve(path, notebook):
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(markdown(notebook))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.is_file(), f"{target} is no file"
        if anchor:
            is_notebook = linked.suffix == ".ipynb"
            text = "\n".join(markdown(nbformat.read(linked, as_version=4))) if is_notebook else linked.read_text()
            lines = text.splitlines()
            assert anchor in {slug(line.lstrip("#")) for line in lines if line.startswith("#")}, f"no heading {target}"
