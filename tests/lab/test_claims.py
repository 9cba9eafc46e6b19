"""The claims table: every claim of the figures in the book is measured, and a wrong number is called wrong."""

import math

import pytest
from bs4 import BeautifulSoup

from rnnlib.__main__ import main
from rnnlib.lab import claims
from rnnlib.lab.claims import corrected, trained

# what the paper says and our numbers contradict
CONTRADICTED = {
    "The spectra are almost the same",
    "So is the closed form as printed (erratum 1)",
    "For uncorrelated inputs, as the text has it, concentration also raises the top eigenvalue (erratum 7)",
    "A: at long memory it is orders of magnitude worse",
    "B: it is the largest drop from one bar to the next",
    "B: the five other bars are within a small factor of each other",
    "A: the loss breaks down once blocks are 4x4 or smaller",
    "A: the break is the largest fall from one number of heads to its double",
    "A, ten teachers: at short memory the RNN is no worse than the LRU",
    "B, ten teachers: where gamma starts makes little difference",
    "A, ten teachers: the break is the largest fall from one number of heads to its double",
    "Check: trained by back-propagation through time, students end where those of the exact method end",
    "Encoder and decoder dominate the groups called “all but” (erratum 20)",
    "At the usual scales off-diagonal entries are small next to the diagonal",
    "The fitted autocorrelation alone is enough",
    "Gradients of the complex RNN hardly depend on the layer",
    "Gradients of the LRU hardly depend on the layer",
}


def test_every_claim_but_the_contradicted_holds():
    frame = claims.evaluate()
    assert len(frame) == len(claims.CLAIMS) >= 15
    assert list(frame["figure"]) == sorted(frame["figure"])
    failing = frame[frame["verdict"] != "holds"]
    assert set(failing["claim"]) == CONTRADICTED, failing[["figure", "claim", "measured"]].to_string()


@pytest.mark.parametrize("claim", claims.CLAIMS, ids=lambda claim: claim.statement[:40])
def test_a_number_outside_the_range_fails(claim):
    assert claim.verdict(claim.expected) == "holds"
    above, below = claim.expected + 1.01 * claim.tolerance, claim.expected - 1.01 * claim.tolerance
    if claim.at_least:
        above, below = math.inf, claim.expected - 1e-6
        assert claim.verdict(claim.expected + 100) == "holds"
    for wrong in [above, below, math.nan, math.inf, -math.inf]:
        assert claim.verdict(wrong) == "fails"


def test_the_bars_on_ten_teachers_are_the_students_of_the_paper_s():
    students = corrected._bars().index.get_level_values("student")
    assert list(students) == list(trained._ablation().index)


def test_statements_are_unique_and_say_how():
    assert len({claim.statement for claim in claims.CLAIMS}) == len(claims.CLAIMS)
    assert all(claim.how and claim.source for claim in claims.CLAIMS)


def test_table_of_one_figure():
    html = claims.table("fig02").to_html()
    assert html.count("holds") == sum(claim.figure == "fig02" for claim in claims.CLAIMS)


def test_table_of_all_figures_begins_with_what_fails(monkeypatch):
    few = [claim for claim in claims.CLAIMS if claim.figure in ("fig01", "fig08")]
    monkeypatch.setattr(claims.registry, "CLAIMS", few)
    html = claims.table().to_html()
    assert 0 < html.index("fails") < html.index("holds") and html.rindex("fails") < html.index("holds")


def test_what_a_claim_says_is_shown_as_it_is_written(monkeypatch):
    words = {name: f'{name} $x$ <script>alert("1")</script> a & b <b>' for name in ("statement", "how", "source")}
    claim = claims.Claim("fig01", expected=1.0, tolerance=0.1, measure=lambda: 1.0, **words)
    monkeypatch.setattr(claims.registry, "CLAIMS", [claim])
    html = BeautifulSoup(claims.table("fig01").to_html(), "html.parser")
    cells = [cell.get_text() for cell in html.find_all("td")]
    assert {words[name] for name in words} <= set(cells)
    assert not html.find_all(["script", "b"])
    assert {"tex2jax_ignore", "mathjax_ignore"} <= set(html.table["class"])  # else "$x$" becomes a formula


def test_a_range_is_given_once():
    for arguments in [{}, {"expected": 1}, {"expected": 1, "tolerance": 1, "at_least": 1}]:
        with pytest.raises(TypeError, match="either expected and tolerance, or at_least"):
            claims.registry.claim("fig01", "x", source="x", how="x", **arguments)


def test_unknown_figure_is_named():
    with pytest.raises(ValueError, match="no claims for 'fig99'; choose from fig01, fig02"):
        claims.evaluate("fig99")


def test_the_command_line_shows_verdicts(capsys):
    assert main(["claims", "fig02"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("holds") == sum(claim.figure == "fig02" for claim in claims.CLAIMS)
    assert main(["claims", "fig99"]) == 1
