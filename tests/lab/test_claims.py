"""The claims: every one is measured, bounds have a commit, and a wrong number is called wrong."""

import json
import math

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from rnnlib.__main__ import main
from rnnlib.lab import claims
from rnnlib.lab.claims import above, at_least, at_most, between, near, registry, significantly, similar
from rnnlib.lab.statistics import Estimate

# what the paper, errata or checks of ours say and our numbers contradict, or do not decide
FAILS = {
    "beyond-08-beta2-alone",
    "beyond-14a-tanh",
    "beyond-14c-text",
    "beyond-11-v-follows-the-gradients",
    "beyond-13-orthogonality-predicts",
    "beyond-angles-narrow-optimal-costs-little",
    "beyond-angles-narrow-polar-beats-exponential",
    "beyond-angles-polar-arrives",
    "beyond-angles-fresh-scaled-steps-are-faster",
    "beyond-inputs-second-text",
    "beyond-inputs-second-embedding",
    "beyond-inputs-positions-decay",
    "fig03-gamma-start",
    "fig03-step-of-ring",
    "fig04-spectra",
    "fig04-dense-learns",
    "fig05-lru-almost-perfect",
    "fig05-gru-gradients-constant",
    "fig05-gaussian-with-autocorrelation",
    "fig08-closed-form-as-printed",
    "fig09-lru-spectrum",
    "fig09-s4-rate-of-recurrent",
    "fig12-long-lags",
    "fig12-exponential-fit",
    "fig13-crnn-gradients-by-layer",
    "fig13-lru-spread-of-a-network",
    "fig13-crnn-offset",
    "fig14-gates-leave-slow-decay",
    "fig14-strength-3-explodes",
    "fig15-constant-gates-as-predicted",
    "fig15-context-gates-as-predicted",
    "fig15-state-over-time-constants",
    "fig15-sensitivity-over-time-constants",
    "fig15-theory-over-time-constants",
}
UNDECIDED = {
    "beyond-angles-rectangular-has-both",
    "beyond-angles-scaled-steps-have-both",
    "beyond-angles-scaled-steps-are-faster",
    "beyond-angles-task-half-angle-is-stuck",
    "beyond-inputs-bounds",
    "beyond-inputs-second-embedding-beyond-50",
    "beyond-inputs-gamma-fails-on-slow-series",
    "fig03-rnn-orders-of-magnitude",
    "fig03-rnn-at-short-memory",
    "fig03-other-bars",
    "fig03-step-of-arithmetic",
    "fig03-bptt-on-average",
    "fig03-again",
    "fig05-batch-norm-like-layer-norm",
    "fig10-lru-below-crnn",
    "fig13-lru-gradients-by-layer",
    "fig10-top-eigenvalue-white",
    "fig11-16-heads-like-32",
    "fig11-largest-fall",
    "fig11-rates-rise-each-step",
    "fig15-constant-gates",
    "fig15-input-gates",
    "fig15-state-gates",
    "sec23-eigenvalues-dominate",
    "beyond-04a-rotation-costs-adam",
    "beyond-04b-rotation-costs-more-in-larger-blocks",
    "beyond-05-rotation-costs-neither-sgd-nor-the-dense",
    "beyond-06-random-basis-of-the-state",
    "beyond-09a-ring-under-adam",
    "beyond-09b-ring-under-muon",
    "beyond-gates-text",
    "beyond-bits-rule-parts",
    "beyond-bits-rule-angle",
    "beyond-bits-fixed-point",
    "beyond-bits-mended",
    "beyond-12-plateaus-lack-eigenvalues",
    "beyond-14b-digits",
    "beyond-14d-copying",
    "beyond-14e-adding",
    "beyond-angles-narrow-half-angle-moves",
    "beyond-angles-others-cayley-like-half-angle",
    "beyond-07-two-rates",
    "beyond-10-noise-or-landscape",
    "beyond-poles-concentrated",
    "beyond-poles-endless",
    "beyond-poles-memory",
    "beyond-poles-trained-readout",
}


@pytest.fixture(scope="module")
def frame():
    return claims.evaluate()


def of(accepted, name="fig01-an-example", measure=lambda: 0.0, **words) -> claims.Claim:
    """A claim with this range."""
    settings = {"statement": "x", "kind": "ours", "source": "x", "how": "x"} | words
    return claims.Claim(name, accepted=accepted, measure=measure, **settings)


def estimate(low: float, value: float, high: float) -> Estimate:
    return Estimate(value, low, high, 32, "teachers")


def test_every_claim_but_those_named_holds(frame):
    assert len(frame) == len(claims.CLAIMS) and frame["claim"].is_unique
    assert list(frame["figure"]) == sorted(frame["figure"], key=lambda figure: (figure == "beyond", figure))
    for verdict, expected in [("fails", FAILS), ("undecided", UNDECIDED)]:
        rows = frame[frame["verdict"] == verdict]
        assert set(rows["name"]) == expected, rows[["name", "measured", "low", "high"]].to_string()


def test_undecided_rows_say_what_would_decide(frame):
    assert (frame["decides"].ne("") == frame["verdict"].eq("undecided")).all()


def test_every_bound_has_a_reason_and_the_commit_that_wrote_it():
    """A range that changes is a new range: ``make bounds`` names its commit."""
    record = registry.bounds()
    every = {claim.name: claim for claim in (*claims.CLAIMS, *claims.HYPOTHESES)}  # some await their results
    assert set(record) == set(every)
    for claim in every.values():
        assert len(claim.accepted.reason) > 10 and claim.kind in claims.KINDS
        assert record[claim.name]["range"] == str(claim.accepted), claim.name


finite = st.floats(-1e6, 1e6)
positive = st.floats(1e-6, 1e6)


@given(finite, positive, st.floats(-0.999, 0.999), positive)
def test_a_number_holds_within_the_range_and_fails_beyond(target, tolerance, part, excess):
    accepted = near(target, tolerance, "x")
    verdicts = [
        accepted.verdict(Estimate.exact(number))
        for number in (target + part * tolerance, target + tolerance + excess, target - tolerance - excess)
    ]
    assert verdicts == ["holds", "fails", "fails"]


@given(finite, positive)
def test_one_sided_ranges(bound, distance):
    below, at, beyond = (Estimate.exact(number) for number in (bound - distance, bound, bound + distance))
    for accepted, expected in [
        (at_least(bound, "x"), ["fails", "holds", "holds"]),
        (above(bound, "x"), ["fails", "fails", "holds"]),
        (at_most(bound, "x"), ["holds", "holds", "fails"]),
    ]:
        assert [accepted.verdict(number) for number in (below, at, beyond)] == expected


@pytest.mark.parametrize(
    ("accepted", "interval", "verdict"),
    [
        (significantly(), (0.1, 0.2, 0.3), "holds"),
        (significantly(), (0.0, 0.2, 0.3), "undecided"),
        (significantly(), (-0.1, 0.2, math.inf), "undecided"),
        (significantly(), (-0.3, -0.2, 0.0), "fails"),
        (significantly(), (0.1, math.inf, math.inf), "holds"),
        (similar(), (-0.3, 0.0, 0.3), "holds"),
        (similar(), (-0.2, 0.1, 0.4), "undecided"),
        (similar(), (-0.5, 0.1, 0.5), "undecided"),
        (similar(), (0.31, 0.4, 0.5), "fails"),
        (between(1, 2, "x"), (0.0, 0.5, 1.0), "undecided"),
        (at_most(1, "x"), (0.5, 0.9, 1.0), "holds"),
        (at_most(1, "x"), (0.5, 0.9, math.inf), "undecided"),
    ],
)
def test_an_interval_holds_inside_fails_outside_and_is_undecided_between(accepted, interval, verdict):
    assert accepted.verdict(estimate(*interval)) == verdict


@pytest.mark.parametrize("accepted", [near(0, 1, "x"), at_least(0, "x"), at_most(0, "x")], ids=str)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_exact_number_that_is_none_fails(accepted, number):
    assert accepted.verdict(Estimate.exact(number)) == "fails"


def test_how_many_teachers_would_decide():
    """Four times as many halve the interval."""
    assert at_most(1.0, "x").units_to_decide(estimate(0.0, 0.5, 1.5)) == pytest.approx(4 * 32)
    assert math.isinf(at_most(1.0, "x").units_to_decide(estimate(0.0, 1.0, 1.5)))


def test_table_of_one_figure():
    html = BeautifulSoup(claims.table("fig02").to_html(), "html.parser")
    verdicts = [cell.get_text() for cell in html.select("td.verdict")]
    assert verdicts == ["holds"] * sum(claim.figure == "fig02" for claim in claims.CLAIMS)


@pytest.mark.parametrize(
    ("decades", "text"),
    [
        ((2.176, 2.94, 3.987), "870 (150 to 9,700)"),
        ((-math.inf, -0.91, 0.0), "0.12 (0 to 1)"),
        ((-5.0, 2.0, math.inf), "100 (1 × 10⁻⁵ to ∞)"),
        ((1.0, 5.98, 8.301), "950,000 (10 to 2 × 10⁸)"),
    ],
)
def test_decades_are_shown_as_factors(decades, text):
    low, value, high = decades
    assert claims.factor(estimate(low, value, high)) == text
    assert claims.factor(Estimate.exact(value)) == text.partition(" (")[0]


def test_hypotheses_are_listed_before_they_are_measured(monkeypatch):
    entries = [
        of(at_least(0, "x"), f"beyond-{name}", lambda: estimate(1.0, 2.0, 3.0), kind="beyond")
        for name in ("01-a", "04a-b", "04b-c")
    ]
    monkeypatch.setattr("rnnlib.lab.claims.beyond.HYPOTHESES", entries)
    monkeypatch.setattr(registry, "CLAIMS", entries[:2])
    rows = BeautifulSoup(claims.hypotheses().to_html(), "html.parser").select("tr")
    texts = [[cell.get_text() for cell in row.select("th, td")] for row in rows]
    assert texts[0] == ["claim", "ours", "agrees if", "verdict"]
    assert [text[1:] for text in texts[1:]] == [["2 (1 to 3), 32 teachers", "≥ 0", "holds"]] * 2 + [
        ["–", "≥ 0", "not run yet"]
    ]
    assert claims.hypotheses("04").frame["name"].tolist() == ["beyond-04a-b", "beyond-04b-c"]
    with pytest.raises(ValueError, match="no hypothesis '05'; choose from 01-a, 04a-b, 04b-c"):
        claims.hypotheses("01", "05")


def test_chapters_count_what_holds(monkeypatch):
    few = [of(at_least(0, "x"), "fig01-a"), of(at_least(1, "x"), "fig01-b"), of(at_least(0, "x"), "sec23-c")]
    monkeypatch.setattr(registry, "CLAIMS", few)
    html = BeautifulSoup(claims.Chapters(claims.evaluate()).to_html(), "html.parser")
    heads = [summary.get_text() for summary in html.select("details > summary") if ":" in summary.get_text()]
    assert heads == ["Figure 1: 1 hold, 1 fail", "Section 2.3: 1 hold"]


def test_kinds_are_counted_apart(monkeypatch):
    few = [
        of(at_least(0, "x"), "fig01-a", kind="text"),
        of(at_least(1, "x"), "fig01-b"),
        of(at_least(1, "x"), "fig01-c"),
    ]
    monkeypatch.setattr(registry, "CLAIMS", few)
    counts = claims.tally(claims.evaluate())
    assert counts.loc[claims.KINDS["text"]].tolist() == [1, 0, 0]
    assert counts.loc[claims.KINDS["ours"]].tolist() == [0, 2, 0]
    assert counts.to_numpy().sum() == 3 and len(counts) == len(claims.KINDS)


def test_a_picture_shows_where_numbers_lie(monkeypatch):
    """What agrees is between 0 and 1, whatever the units, and has no end where the range has none."""
    few = [
        of(near(100, 10, "x"), "fig01-inside", lambda: estimate(95.0, 105.0, 108.0)),
        of(at_most(-3, "x"), "fig01-outside", lambda: -2.0),
        of(at_least(0, "x"), "fig01-endless", lambda: estimate(1.0, 2.0, math.inf)),
        of(near(0, 1, "x"), "fig01-far", lambda: estimate(-math.inf, 70.0, 80.0)),
    ]
    monkeypatch.setattr(registry, "CLAIMS", few)
    (ax,) = claims.picture("fig01").axes
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert rows == ["far", "endless", "outside", "inside"]

    def drawn(label: str, row: str) -> list[float]:
        found = [line for line in ax.lines if line.get_label() == label and line.get_ydata()[0] == rows.index(row)]
        return sorted(float(x) for line in found for x in line.get_xdata())

    left, right = ax.get_xlim()
    for row, dot, interval, beyond, band in [
        ("inside", [0.75], [0.25, 0.9], [], (0, 1)),
        ("outside", [1 + 1 / 2.4], [1 + 1 / 2.4] * 2, [], (left, 1)),
        ("endless", [2 / 2.4], [1 / 2.4, right], [right], (0, right)),
        ("far", [], [left, right], [left, right, right], (0, 1)),
    ]:
        shaded = ax.patches[rows.index(row)]
        assert drawn("dot", row) == pytest.approx(dot)
        assert drawn("interval", row) == pytest.approx(interval)
        assert drawn("beyond", row) == pytest.approx(beyond)
        assert (shaded.get_x(), shaded.get_x() + shaded.get_width()) == pytest.approx(band)
    words = [text.get_text().split()[0] for text in ax.texts]
    assert sorted(words) == sorted(["−∞", "undecided", "70", "∞", "holds", "2", "fails", "−2", "holds", "105"])


def test_what_a_claim_says_is_shown_as_it_is_written(monkeypatch):
    words = {
        name: f'{name} $x$ <script>alert("1")</script> a & b <b>' for name in ("statement", "how", "source", "paper")
    }
    monkeypatch.setattr(registry, "CLAIMS", [of(at_least(0, words["how"]), **words)])
    html = BeautifulSoup(claims.table("fig01").to_html(), "html.parser")
    for text in words.values():
        assert text in html.get_text()
    assert not html.find_all(["script", "b"])
    assert {"tex2jax_ignore", "mathjax_ignore"} <= set(html.table["class"])  # else "$x$" becomes a formula


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.123456, "0.123"),
        (-1234.5, "−1.23 × 10³"),
        (1.7e-5, "1.7 × 10⁻⁵"),
        (math.inf, "∞"),
        (math.nan, "not a number"),
        (2, "2"),
    ],
)
def test_numbers_are_shown_in_one_way(number, text):
    assert claims.display.number(number) == text


def test_a_claim_answers_to_its_name():
    asked = ["fig04-rank-dense", "fig01-state-power-1"]
    assert set(claims.evaluate(*asked)["name"]) == set(asked)
    mixed = claims.evaluate("fig02", "fig02-state-white", "fig01-state-power-1")
    assert len(mixed) == 1 + sum(claim.figure == "fig02" for claim in claims.CLAIMS)


@pytest.mark.parametrize("name", ["fig02-state-white", "block drop", "fig3-block-drop", "fig03", "fig03-Block"])
def test_a_claim_has_a_name_of_its_own_that_begins_with_its_figure(monkeypatch, name):
    monkeypatch.setattr(registry, "CLAIMS", [of(at_least(0, "x"), "fig02-state-white")])
    with pytest.raises(ValueError, match=f"{name!r}: (give a figure or section and words|another claim has it)"):
        registry.claim(name, "x", kind="ours", source="x", how="x", accepted=at_least(0, "x"))


def test_a_claim_is_of_a_known_kind():
    with pytest.raises(ValueError, match="kind of a claim 'texts': choose from text, picture, erratum, ours, beyond"):
        registry.claim("fig02-x", "x", kind="texts", source="x", how="x", accepted=at_least(0, "x"))


@pytest.mark.parametrize(("name", "choices"), [("fig99", "fig01, fig02"), ("fig04-rank", "fig04-dense-learns, ")])
def test_an_unknown_name_is_answered_with_those_that_are_there(name, choices):
    with pytest.raises(ValueError, match=f"no claims for '{name}'; choose from .*{choices}"):
        claims.evaluate(name)


def test_the_command_line_shows_verdicts(capsys):
    assert main(["claims", "fig02"]) == 0
    printed = capsys.readouterr().out
    rows = sum(claim.figure == "fig02" for claim in claims.CLAIMS)
    assert sum(line.endswith("holds") for line in printed.splitlines()[:-7]) == rows
    assert max(map(len, printed.splitlines())) <= 100
    assert main(["claims", "fig99"]) == 1


def test_the_command_line_gives_json(capsys, monkeypatch):
    few = [of(at_least(0, "x"), "fig01-a", lambda: estimate(1.0, 2.0, math.inf))]
    monkeypatch.setattr(registry, "CLAIMS", few)
    assert main(["claims", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["verdict"] == "holds" and row["high"] is None and row["n"] == 32
