r"""What symbols mean: for whoever points at a formula of a page or taps it, and in a list at the end of the page.

The meanings are those of the table in book/notation.md. Of its symbols those count that mean the same on all pages,
which are Greek letters and letters with an index: a lone B or T stands for several things. Each formula that has some
says which, in ``data-symbols``; rnnbook.js shows them. The list needs no script. Sphinx's glossary knows words, not
formulas, and MathJax's ``\mathtip`` has to be written into each formula.
"""

from __future__ import annotations

import functools
import html
import re
from pathlib import Path
from typing import NamedTuple

FOLDERS = ("notebooks/theory/", "notebooks/figures/")
NOTATION = "book/notation"
OTHERWISE = {"notebooks/figures/fig02": {r"\nu"}}  # pages, and symbols that mean something else there
INDEXED = {r"\lambda"}  # with an index it means the same; a sigma or tau with one does not
SYMBOL = re.compile(r"(?:\\[A-Za-z]+|[A-Za-z](?=_))(?:_(?:\\[A-Za-z]+|\w))?(?:\^\*)?")
FORMULA = re.compile(r'(<(span|div) class="math notranslate nohighlight")([^>]*>)(.*?)(?=</\2>)', re.DOTALL)
ROW = re.compile(r"^\|[^|]*\| ([^|]*\$[^|]*) \| ([^|]+) \|$", re.MULTILINE)  # in code, symbol, meaning


class Row(NamedTuple):
    """Of the table of notation: its symbols as they are shown, each of them in TeX, and what they mean."""

    shown: str
    symbols: tuple[str, ...]
    meaning: str


def rows(text: str) -> list[Row]:
    """Those rows of the table in a text that have symbols which mean the same on all pages."""
    found = []
    for shown, meaning in ROW.findall(text):
        symbols = (part.strip() for formula in re.findall(r"\$(.+?)\$", shown) for part in formula.split(","))
        if chosen := tuple(filter(SYMBOL.fullmatch, symbols)):
            found.append(Row(shown, chosen, meaning))
    return found


def pattern(symbol: str) -> str:
    """What a symbol looks like in a formula; of a time t also t - 1 and the like."""
    if symbol.endswith("_t"):
        return rf"(?<![A-Za-z\\]){symbol[0]}_(?:t(?![A-Za-z])|\{{t\b[^{{}}]*\}})"
    before = "" if symbol[0] == "\\" else r"(?<![A-Za-z\\])"
    indexed = symbol in INDEXED or "_" in symbol or symbol.endswith("*")
    return before + re.escape(symbol) + (r"(?![A-Za-z])" if indexed else r"(?![A-Za-z_])")


@functools.cache
def matcher(symbols: tuple[str, ...]) -> re.Pattern:
    longest_first = sorted(symbols, key=len, reverse=True)  # so that the nu of an omega_nu is none
    return re.compile("|".join(f"({pattern(symbol)})" for symbol in longest_first))


def symbols_in(formula: str, symbols: tuple[str, ...]) -> set[str]:
    """Which of some symbols a formula in TeX has."""
    longest_first = sorted(symbols, key=len, reverse=True)
    return {longest_first[match.lastindex - 1] for match in matcher(symbols).finditer(formula)}


def as_html(text: str) -> str:
    """Formulas and code of a cell of the table."""
    text = re.sub(r"`(.+?)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"\$(.+?)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', text)


def explained(body: str, table: list[Row], uri: str) -> str:
    """A page whose formulas name their symbols, with the list of those it has; as it was if it has none.

    Args:
        body: of the page, HTML.
        table: what symbols mean.
        uri: of the page on notation.
    """
    symbols = tuple(symbol for row in table for symbol in row.symbols)
    formulas = (html.unescape(match[4]) for match in FORMULA.finditer(body))
    there = set().union(*(symbols_in(formula, symbols) for formula in formulas))
    used = [row for row in table if there & set(row.symbols)]
    if not used:
        return body

    def named(match: re.Match) -> str:
        own = symbols_in(html.unescape(match[4]), symbols)
        numbers = " ".join(str(number) for number, row in enumerate(used) if own & set(row.symbols))
        return f'{match[1]} data-symbols="{numbers}"{match[3]}{match[4]}' if numbers else match[0]

    entries = "".join(f"<div><dt>{as_html(row.shown)}</dt><dd>{as_html(row.meaning)}</dd></div>\n" for row in used)
    return (
        FORMULA.sub(named, body)
        + f'<details class="symbols"><summary>Symbols on this page</summary>\n<dl>\n{entries}</dl>\n'
        + "<p>Point at a formula, or tap it, to see those that it has. All others are on the page of "
        + f'<a class="reference internal" href="{uri}">notation</a>.</p></details>\n'
    )


def explain(app, pagename, templatename, context, doctree) -> None:
    """In the page alone, not in its document: a search for a word in the table should lead to the table."""
    if app.builder.name != "html" or not pagename.startswith(FOLDERS) or doctree is None:
        return
    if NOTATION not in app.env.found_docs:  # a book of a few pages
        return
    table = rows(Path(app.env.doc2path(NOTATION)).read_text(encoding="utf-8"))
    other = OTHERWISE.get(pagename, set())
    table = [row for row in table if not other & set(row.symbols)]
    context["body"] = explained(context["body"], table, app.builder.get_relative_uri(pagename, NOTATION))


def setup(app) -> dict:
    app.connect("html-page-context", explain)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
