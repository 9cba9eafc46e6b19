"""Prose pages: what they quote is what is stored, what they name exists, and their code runs. No build is needed."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest
import yaml

import rnnlib
from rnnlib.lab import claims, experiments, field_guide, statistics, storage
from rnnlib.lab.claims import CLAIMS, beyond, beyond_angles, carry_over, few_bits
from rnnlib.lab.claims.measures import decades
from rnnlib.lab.experiments.analysis import best
from rnnlib.lab.paper_values import paper_values

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("*.md"))}
REFERENCE = [page for page in PAGES if page.startswith("api-")]
FIGURES = {
    (path.relative_to(ROOT).with_suffix("").as_posix(), name)
    for path in (ROOT / "notebooks").glob("*/*.py")
    for name in re.findall(r'"name": "([\w-]+)"', path.read_text(encoding="utf-8"))
}
PICTURE = re.compile(r"^```\{picture\} ([\w/-]+)#([\w-]+)$", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")


def roles(name: str) -> list[tuple[str, str]]:
    """Words and targets of a role, on all pages."""
    return [found for text in PAGES.values() for found in re.findall(rf"{{{name}}}`([^`]+?)\s*<([^<>]+)>`", text)]


def unit(shown: str) -> float:
    """What the last digit of a number that is not a filling zero is worth: 10 in 380, a thousandth in 0.030."""
    whole, point, fraction = shown.replace(",", "").partition(".")
    return 10 ** -len(fraction) if point else 10 ** (len(whole) - len(whole.rstrip("0")))


def is_quoted(shown: str, number: float) -> bool:
    return abs(float(shown.replace(",", "")) - number) <= unit(shown) / 2 * (1 + 1e-9)


def gap(first, second) -> list[float]:
    """The factor between the losses of two students on the same teacher: median and interval."""
    return factor(statistics.paired_median(first, second))


def factor(estimate) -> list[float]:
    """Decades as a factor and its interval."""
    return [10**estimate.value, 10**estimate.low, 10**estimate.high]


def stored() -> dict[tuple[str, str], list[float]]:
    """What the numbers that lead to a figure are, by the words of the pages."""
    rnn = decades("fig03a_teachers", "rnn", start=0.0)
    lru = decades("fig03a_teachers", "lru")
    block = decades("fig03b_teachers", "block", start=0.0, heads=32)
    protocol = experiments.load("fig03a")
    means = best(protocol, ["student", "nu0"]).query("nu0 == 0.99").set_index("student")
    runs = protocol[protocol["nu0"] == 0.99]
    medians = {
        student: runs[(runs["student"] == student) & (runs["rate"] == means["rate"][student])]["loss"].median()
        for student in means.index
    }
    paper = paper_values("fig03")["A"]
    return {
        ("380 (150 to 2,000)", "fig-03-teachers"): gap(rnn, lru),
        ("31", "fig-03-teachers"): [(statistics.difference(rnn, lru) > 0).sum()],
        ("870 (150 to 9,700)", "fig-ablation-steps"): gap(rnn, block),
        ("1,650", "fig-03"): [means["loss"]["rnn"] / means["loss"]["lru"]],
        ("470", "fig-03"): [medians["rnn"] / medians["lru"]],
        ("17,000", "fig-03-teachers"): [paper["RNN"][-1] / paper["LRU"][-1]],
        ("870", "fig-ablation-steps"): gap(rnn, block)[:1],
        ("25 (0.16 to 3,500)", "fig-what-else"): factor(beyond.gap("fairer_adam_wider")),
        ("4.8 (2.0 to 18)", "fig-carry-over"): factor(carry_over.gap("digits", "adam", True)),
        ("1.5 (1.3 to 2.3)", "fig-carry-over"): factor(carry_over.gap("digits", "adam", False)),
    }


def test_numbers_that_lead_to_a_figure_are_the_stored_ones():
    known = stored()
    assert {quoted for quoted in roles("ref") if NUMBER.search(quoted[0])} == set(known)
    for (words, _), numbers in known.items():
        shown = NUMBER.findall(words)
        assert len(shown) == len(numbers)
        assert all(is_quoted(text, number) for text, number in zip(shown, numbers, strict=True)), (words, numbers)


def test_a_wrong_number_is_seen():
    assert is_quoted("380", 377.4) and is_quoted("9,700", 9736) and is_quoted("0.030", 0.0296)
    assert not is_quoted("380", 391) and not is_quoted("9,700", 9760) and not is_quoted("0.030", 0.0289)


def test_single_teachers_range_as_far_as_the_page_says():
    ratio = 10 ** statistics.difference(decades("fig03a_teachers", "rnn", start=0.0), decades("fig03a_teachers", "lru"))
    low, high = re.search(r"single teachers range from ([\d.]+) to ([\d,]+)\.", PAGES["answers"]).groups()
    assert is_quoted(low, ratio.min()) and is_quoted(high, ratio.max())


def test_roles_and_pictures_name_what_is_there():
    names = {claim.name for claim in CLAIMS}
    assert len(roles("claim")) > 20
    assert {target for _, target in roles("claim")} <= names
    assert {target for _, target in roles("ref")} <= {name for _, name in FIGURES}
    shown = [found for text in PAGES.values() for found in PICTURE.findall(text)]
    assert len(shown) >= 4
    assert set(shown) <= FIGURES


def over_sign_descent(name):
    """How much larger Adam's gap is."""
    return statistics.median(beyond.gaps(f"headline_{name}") - beyond.gaps("headline_sign"))


@pytest.mark.parametrize(
    ("page", "measures"),
    [
        (
            "01-is-it-adam",
            [
                *(functools.partial(beyond.gap, table) for table in ("headline_adam", "fairer_adam_wider")),
                *(beyond.gap_under_sign_descent, beyond.soap_against_adam),
            ],
        ),
        ("04-beta2", [functools.partial(beyond.gap, f"beta2_{beta}_adam") for beta in ("9", "9999")]),
        (
            "05-what-else",
            [
                *(functools.partial(beyond.gap, f"fairer_{name}_wider") for name in ("adam", "adam95")),
                *(functools.partial(beyond.gap, table) for table in ("headline_sign", "population_lbfgs")),
                *(functools.partial(over_sign_descent, name) for name in ("adam", "adam95")),
                beyond.soap_against_adam,
            ],
        ),
    ],
)
def test_factors_in_prose_beyond_the_paper_are_the_stored_ones(page, measures):
    text = (ROOT / f"notebooks/beyond/{page}.py").read_text(encoding="utf-8")
    text = " ".join(re.sub(r"^# ?", "", text, flags=re.MULTILINE).split())
    text = re.sub(r"(\d)\.0+(?=[ )])|(\.\d*[1-9])0+(?=[ )])", r"\1\2", text)  # prose has 3.0 where tables have 3
    for measure in measures:
        assert claims.factor(measure()) in text


def test_small_angles_are_quoted_as_their_rows_measure_them():
    """Their committed measures: without the second look at larger rates, which came after the first result."""
    text = " ".join((ROOT / "notebooks/beyond/angles.py").read_text(encoding="utf-8").replace("\n# ", " ").split())
    shrinks, grows = (
        claims.factor(beyond_angles.cost_over_polar(f"lru_{n}", 0.0316)) for n in ("mamba3", "oscillator")
    )
    assert f"factors of {shrinks} and {grows}." in text


def test_the_slide_on_single_changes_has_the_stored_factors():
    slides = (ROOT / "book/slides/4-the-optimiser.md").read_text(encoding="utf-8")
    (shown,) = [part for part in slides.split("\n---\n") if "## One change at a time" in part]
    shown = re.sub(r"(\d)\.0+(?=[ )])|(\.\d*[1-9])0+(?=[ )])", r"\1\2", shown)
    tables = [f"with_{name}_adam" for name in ("clip", "warmup", "decay", "width32", "width128")]
    cases = [(table, 0.0, {}) for table in (*tables, "population_adam")] + [("map_sign", 0.99, {})]
    cases += [(f"{table}_adam", 0.0, {"ratio": 1}) for table in ("beta2_999", "nu90")]
    for table, start, one in cases:
        dense = beyond.best(table, ("rnn",), start=start, **one)
        gap = statistics.difference(dense, beyond.best(table, ("crnn_gamma",), **one))
        assert claims.factor(statistics.median(gap)) in shown, table


def test_gaps_on_other_tasks_are_quoted_as_they_are_stored():
    text = " ".join(
        (ROOT / "notebooks/beyond/09-carry-over.py").read_text(encoding="utf-8").replace("\n# ", " ").split()
    )
    for task in ("tanh", "digits"):
        value, interval = claims.factor(carry_over.gap(task, "adam", shared=False)).split(" ", 1)
        assert re.search(rf"{re.escape(value)} [^.]{{0,20}}{re.escape(interval)}", text), task
    for task, unit in (("digits", "times as many"), ("copying", "times as high"), ("adding", "times")):
        value = claims.factor(carry_over.gap(task, "adam", shared=True)).partition(" ")[0]
        assert f" {value} {unit}" in text, task
    nats = carry_over.gap("text", "adam", shared=True)
    assert f"loses {nats.value:.2f} nats on the text ({nats.low:.2f} to {nats.high:.2f})" in text


def test_hypotheses_that_fail_are_quoted_with_their_numbers():
    pages = {name: " ".join((ROOT / f"notebooks/beyond/{name}.py").read_text(encoding="utf-8").split()) for name in (
        "06-history-or-curvature", "08-orthogonality",
    )}  # fmt: skip
    v, predicted = 10 ** beyond.memory_of_v().value, beyond.orthogonality_against_loss().value
    assert f"{float(f'{v:.2g}'):.0f} times as large" in pages["06-history-or-curvature"]
    assert f"{predicted:.2f} (" in pages["08-orthogonality"]


def lead(page: str) -> str:
    """The words of a page beyond the paper before its first code."""
    text = (ROOT / f"notebooks/beyond/{page}.py").read_text(encoding="utf-8")
    first = re.split(r"^# %%.*$", text, flags=re.MULTILINE)[1]
    return " ".join(re.sub(r"^# ?", "", first, flags=re.MULTILINE).split())


IN_WORDS = ["zero", "one", "two", "three", "four", "five", "six"]
POWERS = {"a hundredth": -2, "a thousandth": -3, "a ten-thousandth": -4, "a hundred-thousandth": -5}


def test_the_lead_on_plateaus_says_what_is_stored():
    text, runs = lead("07-plateaus"), experiments.load("beyond_plateaus").query("optimizer == 'adam'")
    ends = runs.groupby("teacher")[["loss", "newton"]].mean().median()
    assert experiments.get("beyond_plateaus").newton_steps == 20 and "twenty steps of Gauss-Newton" in text
    (decades,) = re.findall(r"lower the median loss by (\w+) more decades", text)
    assert IN_WORDS.index(decades) == round(ends["loss"] - ends["newton"])
    above, below = re.search(r"Runs that stop above (a \S+) .* those below (a \S+) lack none", text).groups()
    assert (runs[runs["loss"] > POWERS[above]]["lacking"] > 0.5).all(), "most of the loss is in missing modes"
    assert (runs[runs["loss"] < POWERS[below]]["lacking"].fillna(0) < 0.01).all()
    share = beyond.loss_of_missing_eigenvalues()
    (quoted,) = re.findall(r"undecided \((\d+) % of the loss, (\d+) to (\d+) %\)", text)
    assert [int(number) for number in quoted] == [round(100 * end) for end in (share.value, share.low, share.high)]


def test_the_lead_of_the_field_guide_counts_its_models():
    assert re.findall(r"of (\d+) recurrences", lead("field-guide")) == [str(len(field_guide.MODELS))]


def test_the_lead_on_few_bits_states_the_measured_rule():
    text, (significant, *_) = lead("few-bits"), storage.FORMATS["bfloat16"]
    (bits, steps) = re.findall(r"needs (\w+) bits more than .* bfloat16 suffices for (\d+) steps", text)[0]
    more = IN_WORDS.index(bits)
    assert {round(rule().value) for rule in (few_bits.rule_for_parts, few_bits.rule_for_angle)} == {more}
    assert few_bits.bits_of_modulus().value < 1 < few_bits.bits_of_parts().value, "every parameter but the modulus"
    assert int(steps) == 2 ** (significant - more)


def test_every_claim_leads_to_the_page_that_shows_it(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "_extensions")
    page_of = importlib.import_module("rnnlinks").page_of
    to_come = {"notebooks/beyond/01-is-it-adam"}
    for claim in CLAIMS:
        notebook = ROOT / f"{page_of(claim.name)}.py"
        if page_of(claim.name) not in to_come:
            text = notebook.read_text(encoding="utf-8")
            if number := re.match(r"beyond-(\d\d)", claim.name):
                assert f'claims.hypotheses("{number[1]}")' in text, f"{claim.name}: {notebook.name}"
                continue
            begin = re.match(r"fig\d\d|sec\d\d|beyond-[a-z]+", claim.name)[0]  # of a page's claims
            assert begin in text and ("claims.table(" in text or claim.name in text), f"{claim.name}: {notebook.name}"


def test_every_page_is_in_the_book_and_the_argument_comes_first():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    entries = [entry for chapter in chapters for entry in (chapter, *chapter.get("sections", []))]
    order = [entry.get("file", entry.get("glob")) for entry in entries]
    assert {f"book/{name}" for name in PAGES} == {toc["root"], *(name for name in order if name.startswith("book/"))}
    argument = ["book/ten-minutes", "notebooks/theory/*", "notebooks/figures/*", "book/claims", "book/install"]
    assert sorted(argument, key=order.index) == argument
    assert order[0] == "book/ten-minutes"
    assert order.index("book/notation") > order.index("notebooks/theory/*"), "not before the first idea"


def test_each_question_is_a_heading_with_a_short_answer():
    parts = re.split(r"^## (.+)$", PAGES["answers"], flags=re.MULTILINE)
    questions = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert len(questions) >= 18
    assert all(question.endswith("?") for question in questions)
    for question, answer in questions.items():
        first = answer.strip().split("\n\n")[0]
        assert len(re.findall(r"[.?](?=\s|$)", first)) <= 4, question


@pytest.mark.parametrize("page", ["using", *REFERENCE])
def test_the_code_of_a_page_runs(page):
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGES[page], re.DOTALL)
    assert len(blocks) >= (5 if page == "using" else 1)
    for block in blocks:
        exec(compile(block, f"book/{page}.md", "exec"), names)


INTERNAL = {  # modules of the laboratory that nobody imports for their own sake
    *("checks", "commandline", "files", "impulse_responses", "lockstep", "minibatches", "optimizers"),
    *("paper_values", "protocol", "provenance", "results"),
}


def test_every_public_name_has_an_entry_in_the_reference():
    entries = "\n".join(PAGES[page] for page in REFERENCE)
    named = set(re.findall(r"\brnnlib(?:\.\w+)+", entries))
    members = {name for line in re.findall(r":members: (.+)", entries) for name in line.split(", ")}
    assert {f"rnnlib.{name}" for name in rnnlib.__all__} - {"rnnlib.DenseRNN"} <= named
    assert "rnnlib.layers.dense" in named  # shows DenseRNN
    closed_forms = {name.rpartition(".")[2] for name in named if name.startswith("rnnlib.theory.")}
    assert set(rnnlib.theory.__all__) == closed_forms | members & set(rnnlib.theory.__all__)
    laboratory = {module.name for module in pkgutil.iter_modules(rnnlib.lab.__path__)}
    described = {name.split(".")[2] for name in named if name.startswith("rnnlib.lab.")}
    assert laboratory - INTERNAL <= described


def test_the_front_page_of_the_reference_leads_to_each_of_its_pages():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    (entry,) = (one for part in toc["parts"] for one in part["chapters"] if one.get("file") == "book/api")
    order = [section["file"].removeprefix("book/") for section in entry["sections"]]
    assert re.findall(r"\]\((api-[\w-]+)\.md\)", PAGES["api"]) == order
    for page in REFERENCE:
        assert re.match(r"# .+\n\n.+[.?]\n\n```python\n", PAGES[page]), f"{page}: a purpose and an example come first"


def test_errata_say_how_many_change_a_verdict():
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", PAGES["errata"], re.MULTILINE)
    assert len(rows) == 26
    kinds = {"a verdict": [], "unknown": [], "a number": [], "numbers": [], "a label": [], "nothing": []}
    for number, words in rows:
        (kind,) = [kind for kind in kinds if words.startswith(kind)]
        kinds[kind].append(int(number))
    (listed,) = re.findall(r"Items (\d+(?:, \d+)* and \d+) change a\s+verdict", PAGES["errata"])
    assert sorted(kinds["a verdict"]) == sorted(map(int, re.findall(r"\d+", listed)))
    (unknown,) = re.findall(r"what item (\d+) changes is not known", PAGES["errata"])
    assert kinds["unknown"] == [int(unknown)]
    for words, names in {"change numbers alone": ("a number", "numbers"), "nothing": ("nothing",)}.items():
        (count,) = re.findall(rf"\b(\w+),? {words}", PAGES["errata"].lower())
        assert count == "ten" and sum(len(kinds[name]) for name in names) == 10
    for number, words in rows:  # the same in full
        item = PAGES["errata-in-full"].partition(f"(erratum-{number})=\n")[2].partition("\n(erratum-")[0]
        assert item.startswith(f"**{number}. ") and "*Evidence:*" in item
        assert re.split(r"[:,;]", words)[0] in item, "it says otherwise what the item changes"


def test_errata_say_where_each_slip_is():
    """In text, figure or code; what is a slip of the code is among the places in the code, or said not to be."""
    rows = re.findall(r"^\| (\d+) \| .* \| ([^|]+) \| [^|]+ \|$", PAGES["errata"], re.MULTILINE)
    assert len(rows) == 26
    of = {int(number): re.split(r", | \(|: ", where) for number, where in rows}
    assert {where[0] for where in of.values()} == {"text", "figure", "code", "neither"}
    section = PAGES["errata-in-full"].partition("\n## Where in the code\n")[2]
    named = {
        int(n) for items in re.findall(r"^\| `.*?` \| ([\d, ]+) \|", section, re.MULTILINE) for n in items.split(", ")
    }
    (others,) = re.findall(r"Items ([\d, and]+) compare", section)
    elsewhere = set(map(int, re.findall(r"\d+", others)))
    assert not named & elsewhere and {number for number, where in of.items() if "code" in where} <= named | elsewhere


@pytest.fixture(scope="module")
def citation() -> dict:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_what_is_cited_is_the_same_everywhere(citation):
    entry = dict(re.findall(r"^  (\w+) = \{+(.*?)\}+,$", PAGES["cite"].partition("@software")[2], re.MULTILINE))
    assert (entry["title"], entry["version"], entry["url"]) == (
        citation["title"],
        citation["version"],
        citation["repository-code"],
    )
    assert entry["author"] == citation["authors"][0]["name"]
    assert f"(c) {entry['year']} " in (ROOT / "LICENSE").read_text()
    record = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert (record["title"], record["version"]) == (citation["title"], citation["version"])
    assert record["creators"] == citation["authors"]
    assert record["license"] in citation["license"]
    (paper,) = citation["references"]
    assert [one["identifier"] for one in record["related_identifiers"]] == [paper["identifiers"][0]["value"]]
    bibliography = (ROOT / "book/references.bib").read_text(encoding="utf-8")
    first = re.search(r'start-at: "(.+)"\n:end-before: "(.+)"', PAGES["cite"]).groups()
    assert all(bibliography.count(line) == 1 for line in first)


def test_the_changelog_begins_with_the_version(citation):
    newest = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert newest == citation["version"]


def test_the_container_runs_what_the_readme_says():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert container["updateContentCommand"] in re.findall(r"^(make \w+)", readme, re.MULTILINE)
    for program in ["npm", "chromium"]:
        assert program in container["onCreateCommand"].split()
    assert f"PIP_EXTRA_INDEX_URL={container['containerEnv']['PIP_EXTRA_INDEX_URL']}" in readme


@pytest.mark.parametrize("page", ["install", "using", "running", "forking"])
def test_pages_name_targets_that_make_has(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^|&& )make ([a-z-]+)", PAGES[page], re.MULTILINE))
    assert named or page == "using"
    assert named <= targets
