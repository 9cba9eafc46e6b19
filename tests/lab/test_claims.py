"""The claims table: every claim of the figures in the book is measured, and a wrong number is called wrong."""

import math

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from rnnlib.__main__ import main
from rnnlib.lab import claims
from rnnlib.lab.claims import registry
from rnnlib.lab.claims.ranges import at_least, within

# what the paper says and our numbers contradict
CONTRADICTED = {
    "fig03-block-drop-largest",
    "fig03-bptt-each-run",
    "fig03-other-bars",
    "fig03-rnn-at-long-memory",
    "fig03-ten-teachers-gamma-start",
    "fig03-ten-teachers-rnn-at-short-memory",
    "fig04-spectra",
    "fig05-encoder-decoder-share",
    "fig05-gaussian-with-autocorrelation",
    "fig08-closed-form-as-printed",
    "fig10-top-eigenvalue-white",
    "fig11-breakdown",
    "fig11-largest-fall",
    "fig11-ten-teachers-largest-fall",
    "fig13-crnn-gradients-by-layer",
    "fig13-lru-gradients-by-layer",
    "fig14-off-diagonal-small",
}


def of(accepted, name="fig01-an-example", **words) -> claims.Claim:
    """A claim with this range."""
    return claims.Claim(name, **{"statement": "x", "source": "x", "how": "x"} | words, accepted=accepted, measure=float)


def test_every_claim_but_the_contradicted_holds():
    frame = claims.evaluate()
    assert len(frame) == len(claims.CLAIMS) and frame["claim"].is_unique
    assert list(frame["figure"]) == sorted(frame["figure"])
    failing = frame[frame["verdict"] != "holds"]
    assert set(failing["name"]) == CONTRADICTED, failing[["name", "claim", "measured"]].to_string()


finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)


@given(finite, positive, st.floats(-0.999, 0.999), positive)
def test_a_number_holds_within_the_tolerance_and_fails_beyond(target, tolerance, part, excess):
    verdict = of(within(tolerance, of=target)).verdict
    assert verdict(target + part * tolerance) == "holds"
    assert {verdict(target + tolerance + excess), verdict(target - tolerance - excess)} == {"fails"}


@given(finite, positive)
def test_a_number_holds_from_the_least_on_and_fails_below(bound, distance):
    verdict = of(at_least(bound)).verdict
    assert {verdict(bound), verdict(bound + distance)} == {"holds"}
    assert verdict(bound - distance) == "fails"


@pytest.mark.parametrize("accepted", [within(1, of=0), at_least(0)], ids=str)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_fails(accepted, number):
    assert of(accepted).verdict(number) == "fails"


def test_table_of_one_figure():
    html = claims.table("fig02").to_html()
    assert html.count("holds") == sum(claim.figure == "fig02" for claim in claims.CLAIMS)


def test_table_of_all_figures_begins_with_what_fails(monkeypatch):
    few = [claim for claim in claims.CLAIMS if claim.figure in ("fig01", "fig08")]
    monkeypatch.setattr(registry, "CLAIMS", few)
    html = claims.table().to_html()
    assert 0 < html.index("fails") < html.index("holds") and html.rindex("fails") < html.index("holds")


def test_what_a_claim_says_is_shown_as_it_is_written(monkeypatch):
    words = {name: f'{name} $x$ <script>alert("1")</script> a & b <b>' for name in ("statement", "how", "source")}
    monkeypatch.setattr(registry, "CLAIMS", [of(at_least(0), **words)])
    html = BeautifulSoup(claims.table("fig01").to_html(), "html.parser")
    cells = [cell.get_text() for cell in html.find_all("td")]
    assert set(words.values()) <= set(cells)
    assert not html.find_all(["script", "b"])
    assert {"tex2jax_ignore", "mathjax_ignore"} <= set(html.table["class"])  # else "$x$" becomes a formula


def test_a_claim_answers_to_its_name():
    asked = ["fig04-rank-dense", "fig01-state-power-1"]
    assert set(claims.evaluate(*asked)["name"]) == set(asked)
    mixed = claims.evaluate("fig02", "fig02-state-white", "fig01-state-power-1")
    assert len(mixed) == 1 + sum(claim.figure == "fig02" for claim in claims.CLAIMS)
    html = BeautifulSoup(claims.table("fig01-state-power-1").to_html(), "html.parser")
    assert html.td.get_text() == "fig01-state-power-1"


@pytest.mark.parametrize("name", ["fig02-state-white", "block drop", "fig3-block-drop", "fig03", "fig03-Block"])
def test_a_claim_has_a_name_of_its_own_that_begins_with_its_figure(monkeypatch, name):
    monkeypatch.setattr(registry, "CLAIMS", [of(at_least(0), "fig02-state-white")])
    with pytest.raises(ValueError, match=f"{name!r}: (give a figure and words|another claim has it)"):
        registry.claim(name, "x", source="x", how="x", accepted=at_least(0))


@pytest.mark.parametrize(("name", "choices"), [("fig99", "fig01, fig02"), ("fig04-rank", "fig04-effective-rates, ")])
def test_an_unknown_name_is_answered_with_those_that_are_there(name, choices):
    with pytest.raises(ValueError, match=f"no claims for '{name}'; choose from {choices}"):
        claims.evaluate(name)


def test_the_command_line_shows_verdicts(capsys):
    assert main(["claims", "fig02"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("holds") == sum(claim.figure == "fig02" for claim in claims.CLAIMS)
    assert main(["claims", "fig02-state-white"]) == 0
    assert capsys.readouterr().out.count("holds") == 1
    assert main(["claims", "fig99"]) == 1
