"""Text: each source against an independent way to the same numbers, and refusals that say what to do."""

import bz2
import hashlib
import importlib.metadata
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from rnnlib.lab import text
from rnnlib.lab.text import Autocorrelation, SourceError, sources


@pytest.fixture(autouse=True)
def fresh():
    sources.packaged_file.cache_clear()
    yield
    sources.packaged_file.cache_clear()


@pytest.fixture
def no_cache():
    sources.packaged.cache_clear()
    yield
    sources.packaged.cache_clear()


# Packaged articles ----------------------------------------------------------------------------------------------------


def test_windows_are_the_first_of_each_long_article_then_the_second():
    loaded = text.load("wikipedia", 12, 256, articles=["Anarchism", "Albedo", "Answer", "A"])
    assert loaded.x.shape == (12, 256, 384) and loaded.x.dtype == torch.float32
    assert loaded.titles[:7] == ("Anarchism", "Albedo", "A", "Answer", "Anarchism", "Albedo", "A")
    assert loaded.titles[7] == "Anarchism", "a second window of Answer there is not"
    assert "Answer" not in text.load("wikipedia", 4, 512, articles=["Anarchism", "Albedo", "Answer", "A"]).titles
    assert bool(loaded.mask.all()) and not torch.equal(loaded.x[0], loaded.x[4])


def test_embeddings_are_those_of_the_model_run_by_transformers():
    """Tokenizer, special tokens, padding, word, segment and position embeddings, layer normalisation."""
    transformers = pytest.importorskip("transformers")
    folder = str(sources.packaged_file(*sources._WEIGHTS).parent)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    wanted = ["Actrius", "Answer"]
    articles = dict(sources._articles(sources.packaged_file(*sources._DUMP)))
    batch = tokenizer(
        [sources._plain(articles[title]) for title in wanted],
        padding="max_length",
        truncation=True,
        max_length=512,
        return_tensors="pt",
    )
    with torch.no_grad():
        expected = model(**batch, output_hidden_states=True).hidden_states[0]
    loaded = text.load("wikipedia", 2, padding=True, articles=wanted)
    assert loaded.titles == tuple(wanted)
    torch.testing.assert_close(loaded.x, expected, atol=1e-6, rtol=1e-5)
    assert torch.equal(loaded.mask, batch["attention_mask"].bool())
    assert not bool(loaded.mask.all()), "one of the two is short"


def test_positions_can_be_left_out():
    with_, without = (text.load("wikipedia", 2, 64, positions=positions) for positions in (True, False))
    assert "without positions" in without.source and not torch.equal(with_.x, without.x)
    ids = [row.tolist() for row in without.x.flatten(0, 1)]
    assert len({tuple(row) for row in ids}) < len(ids), "without positions a word that returns has the same embedding"


def test_a_seed_chooses_articles():
    first, again, other = (text.load("wikipedia", 4, 32, seed=seed) for seed in (1, 1, 2))
    assert first.titles == again.titles and torch.equal(first.x, again.x)
    assert first.titles != other.titles != text.load("wikipedia", 4, 32).titles


PAGE = "<page><title>{}</title><ns>{}</ns>{}<revision><text>{}</text></revision></page>"
MARKUP = """{{Infobox|a=b}}'''Bold''' and [[Target|a link]]&lt;ref name="x"&gt;a source&lt;/ref&gt;.
[[File:Picture.jpg|thumb|A [[nested]] caption]]
== Heading ==
{| class="wikitable"
| cell
|}
Last &amp;amp; least.[[Category:Tests]]"""


def test_markup_redirects_and_other_pages_are_stripped(tmp_path):
    pages = [
        PAGE.format("One", 0, "", MARKUP),
        PAGE.format("Two", 0, '<redirect title="One"/>', "#REDIRECT"),
        PAGE.format("Talk:One", 1, "", "chat"),
        PAGE.format("Three", 0, "", "plain"),
    ]
    dump = tmp_path / "dump.bz2"
    dump.write_bytes(bz2.compress(f'<mediawiki xmlns="http://x/">{"".join(pages)}</mediawiki>'.encode()))
    articles = dict(sources._articles(dump))
    assert list(articles) == ["One", "Three"] and sources._plain(articles["Three"]) == "plain"
    assert " ".join(sources._plain(articles["One"]).split()) == "Bold and a link. Heading Last & least."


@pytest.mark.parametrize("which", ["_DUMP", "_WEIGHTS", "_TOKENIZER"])
def test_a_file_with_another_checksum_is_refused(monkeypatch, no_cache, which):
    package, name, _ = getattr(sources, which)
    monkeypatch.setattr(sources, which, (package, name, "0" * 64))
    with pytest.raises(
        SourceError, match=r"is not the expected file: its SHA-256 is [0-9a-f]{64}.*Install its package"
    ):
        text.load("wikipedia", 1, 16)
    assert text.default_source() == "gaussian"


def test_missing_packages_are_named_and_the_default_falls_back(monkeypatch, no_cache):
    assert text.default_source() == "wikipedia"
    sources.packaged_file.cache_clear()

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    assert text.default_source() == "gaussian"
    with pytest.raises(SourceError, match=r"of the package gensim is missing: install rnnlib with its extra \[text\]"):
        text.load("wikipedia", 1, 16)
    monkeypatch.setattr(sources, "READERS", ("no_such_reader",))
    with pytest.raises(SourceError, match=r"no_such_reader must be installed.*source=\"gaussian\""):
        text.load("wikipedia", 1, 16)


WITHOUT_FILES = """
import importlib.metadata, runpy, sys
importlib.metadata.files = lambda name: []
runpy.run_path(sys.argv[1])
"""


@pytest.mark.parametrize("page", ["fig05b", "fig12"])
def test_pages_run_without_the_files_and_say_so(root, page):
    notebook = str(root / "notebooks" / "figures" / f"{page}.py")
    variables = os.environ | {"MPLBACKEND": "agg", "RNNLIB_SCALE": "smoke"}
    command = [sys.executable, "-c", WITHOUT_FILES, notebook]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Gaussian" in done.stdout and "extra [text]" in done.stdout


def test_too_little_text_is_refused_with_how_much_there_is():
    with pytest.raises(SourceError, match=r"has 2 articles; ask for at most so many \(count=3\)"):
        text.load("wikipedia", 3, padding=True, articles=["Actrius", "Answer"])


# Hub ------------------------------------------------------------------------------------------------------------------

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "memory", "of", "a", "network", "is", "long", "short"]
WORDS += ["and", "it", "explodes", "##s", "."]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A small BERT with its tokenizer, and a small Wikipedia, in the formats that the hub's have on disk."""
    transformers, datasets = pytest.importorskip("transformers"), pytest.importorskip("datasets")
    folder = tmp_path_factory.mktemp("hub")
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = transformers.BertModel(config)
    with torch.no_grad():
        model.embeddings.LayerNorm.weight.uniform_(0.5, 1.5)  # else a missing scale would not show
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = {
        "id": ["1", "2", "3"],
        "title": ["Memory", "Network", "Chaos"],
        "text": [
            "The memory of a network is long. " * 30,
            "It is short.",
            "A network explodes and networks explodes. " * 9,
        ],
    }
    (folder / "data").mkdir()
    datasets.Dataset.from_dict(rows).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder, rows


def test_the_hub_s_loading_code_gives_the_model_s_first_hidden_states(hub):
    import transformers

    folder, rows = hub
    model = transformers.AutoModel.from_pretrained(folder / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    batch = tokenizer(rows["text"], padding="max_length", truncation=True, max_length=64, return_tensors="pt")
    with torch.no_grad():
        expected = model(**batch, output_hidden_states=True).hidden_states[0]
    loaded = text.load("hub", 3, 64, padding=True, model=folder / "model", data=folder / "data")
    torch.testing.assert_close(loaded.x, expected)
    assert torch.equal(loaded.mask, batch["attention_mask"].bool()) and loaded.titles == tuple(rows["title"])


def test_the_hub_s_windows(hub):
    folder, _ = hub
    loaded = text.load("hub", 4, 50, model=folder / "model", data=folder / "data", positions=False)
    assert loaded.titles == ("Memory", "Chaos", "Memory", "Memory") and loaded.x.shape == (4, 50, 16)


def test_the_hub_s_model_must_have_its_checksum(hub, monkeypatch):
    folder, _ = hub
    monkeypatch.setattr(sources, "_HUB_MODEL", (str(folder / "model"), None))
    with pytest.raises(SourceError, match=r"model\.safetensors is not the expected file"):
        text.load("hub", 1, 16, data=folder / "data")
    weights = (folder / "model" / "model.safetensors").read_bytes()
    monkeypatch.setattr(sources, "_HUB_WEIGHTS", hashlib.sha256(weights).hexdigest())
    assert text.load("hub", 1, 16, data=folder / "data").x.shape == (1, 16, 16)


def test_a_hub_out_of_reach_is_named(hub):
    folder, _ = hub
    with pytest.raises(SourceError, match=r"could not be read .*is there a network\? Give folders as model= and data="):
        text.load("hub", 1, 16, model=folder / "model", data=folder / "nothing")


# Gaussian -------------------------------------------------------------------------------------------------------------


def test_the_gaussian_source_has_the_autocorrelation_asked_for():
    wanted = Autocorrelation(0.3, 0.2, 0.9)
    loaded = text.load("gaussian", 64, 128, size=64, autocorrelation=wanted)
    # about 4,000 independent samples of a slow process over 128 steps: 2 % of R(0)
    np.testing.assert_allclose(text.autocorrelation(loaded.x, 40), wanted(np.arange(40)), atol=0.01)
    assert abs(loaded.x.mean()) < 0.01 and bool(loaded.mask.all())
    assert torch.equal(loaded.x, text.load("gaussian", 64, 128, size=64, autocorrelation=wanted, seed=0).x)
    assert not torch.equal(loaded.x, text.load("gaussian", 64, 128, size=64, autocorrelation=wanted, seed=1).x)


def test_matched_sequences_have_the_same_mean_and_covariances():
    x = torch.randn(30, 5, 4) @ torch.randn(4, 4) + torch.arange(5.0)[:, None]
    given = text.Sequences(x, torch.ones(30, 5, dtype=torch.bool), "x")
    drawn = text.matched(given, 40_000, seed=3).x
    torch.testing.assert_close(drawn.mean(0), x.mean(0), atol=0.1, rtol=0)
    expected = (x - x.mean(0)).flatten(1)
    centred = (drawn - x.mean(0)).flatten(1)
    covariance = expected.T @ expected / 30
    error = centred.T @ centred / 40_000 - covariance
    scale = (covariance.diagonal()[:, None] * covariance.diagonal()).sqrt()
    assert float((error / scale).abs().max()) < 0.04  # five standard errors


# Autocorrelation ------------------------------------------------------------------------------------------------------


def test_autocorrelation_is_the_mean_over_pairs_and_leaves_padding_out():
    x, some = torch.randn(3, 20, 5), torch.rand(3, 20) > 0.3
    for mask in (None, some):
        R = text.autocorrelation(x, mask=mask)
        assert R.shape == (19,)
        seen = torch.ones_like(some) if mask is None else mask
        for lag in (0, 1, 7, 18):
            pairs = seen[:, : 20 - lag] & seen[:, lag:]
            products = (x[:, : 20 - lag] * x[:, lag:]).mean(-1)
            assert math.isclose(R[lag], float(products[pairs].double().mean()), rel_tol=1e-5, abs_tol=1e-7)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.997, 0.9999])
def test_a_fit_finds_what_made_the_values(decay):
    fit = text.fit_autocorrelation(Autocorrelation(0.3, 0.04, decay)(np.arange(511)))
    assert math.isclose(fit.decay, decay, rel_tol=1e-6)
    assert math.isclose(fit.amplitude, 0.04, rel_tol=1e-4) and math.isclose(fit.white, 0.3, rel_tol=1e-4)


def test_arguments_out_of_range_are_named():
    with pytest.raises(ValueError, match="unknown source 'x'; choose from wikipedia, hub, gaussian"):
        text.load("x")
    with pytest.raises(ValueError, match="count >= 1 and length >= 1, got 0 and 5"):
        text.load("gaussian", 0, 5)
    with pytest.raises(ValueError, match="length must be at most 512 with position embeddings, got 600"):
        text.load("wikipedia", 1, 600)
    with pytest.raises(ValueError, match="decay in"):
        text.load("gaussian", 1, 5, autocorrelation=Autocorrelation(1, 1, 1.0))
    with pytest.raises(ValueError, match="between 1 and the 5 steps of x, got 6"):
        text.autocorrelation(torch.zeros(1, 5, 1), 6)
    with pytest.raises(ValueError, match="three lags at least, got 2"):
        text.fit_autocorrelation(np.ones(2))


# Arguments ------------------------------------------------------------------------------------------------------------


def test_one_title_is_one_article():
    assert text.load("wikipedia", 1, 16, articles="Anarchism").titles == ("Anarchism",)
    with pytest.raises(SourceError, match=r"the choice articles=\['An'\] has 0 windows"):
        text.load("wikipedia", 1, 16, articles="An")  # "A" is an article
    # what can be gone through once only
    titles = iter(["Answer", "Anarchism"])
    assert set(text.load("wikipedia", 2, 16, articles=titles).titles) == {"Answer", "Anarchism"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 2.5}, "length must be a whole number, got 2.5"),
        ({"size": 0}, "size must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"padding": True}, "padding and articles are for text sources"),
        ({"articles": "A"}, "padding and articles are for text sources"),
        ({"model": "x"}, "model and data are for the source 'hub'"),
        ({"source": "wikipedia", "padding": True, "length": 1}, "need length >= 2, got 1"),
    ],
)
def test_arguments_of_load_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        text.load(**{"source": "gaussian", "count": 2, "length": 4} | change)


def test_arguments_of_measures_are_checked():
    x = torch.ones(3, 4, 2)
    for call, message in [
        (lambda: text.autocorrelation(x[0]), r"x must have shape \(batch, time, dimension\), got \(4, 2\)"),
        (lambda: text.autocorrelation(x, 2.5), "lags must be a whole number, got 2.5"),
        (lambda: text.autocorrelation(x, mask=torch.ones(3, 1)), r"mask must have shape \(3, 4\), got \(3, 1\)"),
        (lambda: text.autocorrelation(x, 2, torch.eye(4)[:3]), "no pair of steps at lag 1: ask for fewer lags"),
        (lambda: text.fit_autocorrelation([1, math.nan, 0.5]), "values must be finite, got nan at lag 1"),
        (lambda: text.fit_autocorrelation(np.ones((3, 2))), r"values must have shape \(lags,\), got \(3, 2\)"),
        (lambda: text.matched(text.load("gaussian", 2, 4, size=3), 0), "count must be a whole number of at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_letters_are_a_to_z_and_single_spaces():
    assert text.letters("  Élan vital: 1,000 années\n(naïve)") == "elan vital annees naive"
    assert text.letters("42!") == ""


def test_articles_are_plain_text():
    (first, plain), (second, _) = text.articles(2)
    assert (first, second) == ("Anarchism", "Autism")
    assert plain.startswith("Anarchism is a political philosophy") and "'''" not in plain
