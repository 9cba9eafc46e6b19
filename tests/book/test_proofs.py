"""Pages of proofs: theorems have proofs, the tests they name exist, and statements that no other test checks hold."""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup

from rnnlib import theory
from rnnlib.theory import moments

ROOT = Path(__file__).resolve().parents[2]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
(INDEX,) = (one for part in TOC["parts"] for one in part["chapters"] if one.get("file") == "book/proofs")
PAGES = [section["file"] for section in INDEX["sections"]]  # in the order in which theorems are numbered
TEXT = "\n".join((ROOT / f"{page}.md").read_text(encoding="utf-8") for page in PAGES)
FRONT = (ROOT / "book" / "proofs.md").read_text(encoding="utf-8")


def test_every_statement_is_followed_by_its_proof():
    kinds = re.findall(r"^:::\{prf:(\w+)\}", TEXT, re.MULTILINE)
    assert kinds.count("theorem") >= 7
    assert set(kinds[1::2]) == {"proof"}
    assert "proof" not in kinds[::2]


def test_every_label_is_used_once_and_every_reference_has_one():
    labels = re.findall(r"^:label: (\S+)$", TEXT, re.MULTILINE)
    assert len(set(labels)) == len(labels)
    assert set(re.findall(r"\{prf:ref\}`([^`]+)`", TEXT)) <= set(labels)


def test_the_front_page_says_in_words_what_each_statement_is():
    labels = re.findall(r"^:label: (\S+)$", TEXT, re.MULTILINE)
    assert sorted(re.findall(r"\{prf:ref\}`([^`]+)`", FRONT)) == sorted(set(labels) - {"lem-series"})
    sections = [section for section in re.findall(r"^## (.+)$", TEXT, re.MULTILINE) if section != "Setting"]
    assert re.findall(r"^## (.+)$", FRONT, re.MULTILINE) == sections  # whose anchors other pages link to


def test_tests_that_the_pages_name_exist():
    named = re.findall(r"`(tests/\w+/\w+\.py)::(\w+)`", TEXT)
    assert len(named) >= 10
    for name, function in named:
        tree = ast.parse((ROOT / name).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"{name} has no {function}"
        )
    sections = re.findall(r"^## (?!Setting)(?:(?!^##? ).*\n)+", TEXT, re.MULTILINE)
    assert len(sections) >= 10
    assert all("*Checked by*" in section for section in sections)


def test_the_site_numbers_theorems_and_no_figures():
    site = ROOT / "_build" / "html"
    titles = []
    for name in PAGES:
        if not (site / f"{name}.html").is_file():
            pytest.fail(f"there is no {name}.html in _build/html: run `make book` first")
        page = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        titles += [title.get_text() for title in page.select("div.proof > .admonition-title")]
        ids = [tag["id"] for tag in page.find_all(id=True)]
        assert len(set(ids)) == len(ids), "proofs share an id"
    numbers = [int(re.match(r"(?:Theorem|Lemma|Corollary) (\d+) +\(", title)[1]) for title in titles]
    assert numbers == list(range(1, TEXT.count("\n:label: ") + 1))
    for path in (site / "notebooks").rglob("*.html"):
        assert "caption-number" not in path.read_text(encoding="utf-8"), f"{path.name} numbers its figures"


class Dual:
    """value + slope e with e^2 = 0, over any exact numbers: arithmetic on it is differentiation."""

    def __init__(self, value, slope=0):
        self.value, self.slope = value, slope

    def __add__(self, other):
        other = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __neg__(self):
        return Dual(-self.value, -self.slope)

    def __mul__(self, other):
        other = other if isinstance(other, Dual) else Dual(other)
        return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)

    def __truediv__(self, other):
        inverse = 1 / other.value
        return self * Dual(inverse, -(inverse * inverse) * other.slope)

    def __rtruediv__(self, other):
        return Dual(other) / self

    def __rsub__(self, other):
        return -self + other

    __rmul__ = __mul__


def test_sensitivity_is_the_mixed_derivative_exactly():
    """Over one denominator both sides are polynomials of degree below 7 in each of a, b and rho, and they agree at
    7 values of each, so they are the same. The formulas are taken below the checks of their arguments, which make
    floating-point numbers of fractions."""
    values = [Fraction(n, 10) for n in (-7, -4, -2, 1, 3, 6, 8)]
    for a, b, rho in product(values, values, values):
        F = moments._generating_function(Dual(Dual(a), Dual(Fraction(1))), Dual(Dual(b, Fraction(1))), rho)
        assert F.slope.slope == moments._cross_sensitivity(a, b, rho)


@pytest.mark.parametrize("c", [0.0, 0.3, 1.0, 5.0, 100.0])
def test_the_regimes_meet(c):
    eps = 1e-6
    scaled = eps**4 * theory.sensitivity(1 - eps, 1 - c * eps)
    np.testing.assert_allclose(scaled, (2 + c) / (2 * (1 + c) ** 2), rtol=1e-3)
    nearby = np.array([0.98e-5, 1.02e-5])
    exponent = np.diff(np.log(theory.sensitivity(1 - nearby, 1 - c * 1e-5))) / np.diff(np.log(nearby))
    np.testing.assert_allclose(exponent, -4 + c * (3 + c) / ((1 + c) * (2 + c)), atol=1e-3)


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.9, 0.999, 1.0])
def test_what_the_remedies_leave(rho):
    lam = np.linspace(0.01, 0.999, 200)
    state = (1 - lam**2) * theory.state_variance(lam, rho)
    np.testing.assert_allclose(state, (1 + rho * lam) / (1 - rho * lam))
    eps = 1e-6
    at = 1 - eps
    sensitivity = (1 - at**2) * (at * np.log(at)) ** 2 * theory.sensitivity(at, rho)
    if rho < 1:
        np.testing.assert_allclose(sensitivity, (1 + rho) / (2 * (1 - rho)), rtol=2e-3)
        assert rho < 0 or state.max() <= (1 + rho) / (1 - rho)
    else:
        np.testing.assert_allclose(eps * sensitivity, 2, rtol=1e-3)
        np.testing.assert_allclose(eps * (1 - at**2) * theory.state_variance(at, rho), 2, rtol=1e-3)
