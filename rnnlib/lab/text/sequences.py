"""Batches of embeddings: windows of text, and Gaussian stand-ins for them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from .. import checks
from . import sources
from .correlations import PAPER, Autocorrelation
from .sources import SourceError, TextSource

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

SOURCES = ("wikipedia", "hub", "gaussian")


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

    Source: Zucchet and Orvieto (2024), section 5 and appendix D.1; erratum 21.
    """
    count, length = _check(source, count, length, padding, articles, model, data)
    seed = None if seed is None else checks.whole("seed", seed, 0)
    if source == "gaussian":
        return _gaussian(count, length, checks.whole("size", size), autocorrelation, seed or 0)
    if articles is not None:
        articles = (articles,) if isinstance(articles, str) else tuple(articles)
    if positions and length > 512:
        raise ValueError(f"length must be at most 512 with position embeddings, got {length}; or set positions=False")
    text = sources.packaged() if source == "wikipedia" else sources.hub(model, data)
    documents = (pair for pair in text.documents(seed) if articles is None or pair[0] in articles)
    cut = _padded if padding else _windows
    pairs = list(itertools.islice(cut(documents, text, length), count))
    if len(pairs) < count:
        unit = "articles" if padding else f"windows of {length} tokens"
        among = text.name if articles is None else f"the choice articles={list(articles)}"
        raise SourceError(f"{among} has {len(pairs)} {unit}; ask for at most so many (count={count})")
    titles, tokens = zip(*pairs, strict=True)
    x = text.embed(torch.tensor([ids + [text.pad] * (length - len(ids)) for ids in tokens]), positions)
    mask = torch.tensor([[True] * len(ids) + [False] * (length - len(ids)) for ids in tokens])
    described = f"{text.name}{'' if positions else ', without positions'}{', padded' if padding else ''}"
    return Sequences(x, mask, described, titles)


def _check(source, count, length, padding, articles, model, data) -> tuple[int, int]:
    """Arguments of :func:`load`; count and length as whole numbers."""
    if source not in SOURCES:
        raise ValueError(f"unknown source {source!r}; choose from {', '.join(SOURCES)}")
    count, length = checks.whole("count", count, None), checks.whole("length", length, None)
    if count < 1 or length < 1:
        raise ValueError(f"need count >= 1 and length >= 1, got {count} and {length}")
    if padding and length < 2:
        raise ValueError(f"padded sequences begin and end with a token of their own: need length >= 2, got {length}")
    if source == "gaussian" and (padding or articles is not None):
        raise ValueError(f"padding and articles are for text sources, got padding={padding} and articles={articles!r}")
    if source != "hub" and not (model is data is None):
        raise ValueError(f"model and data are for the source 'hub', got them with {source!r}")
    return count, length


def matched(sequences: Sequences, count: int, seed: int = 0) -> Sequences:
    r"""Gaussian sequences with the mean and all covariances that given ones have.

    Each is the mean over the given sequences plus a Gaussian combination of their deviations from it, so that every
    covariance, between any two dimensions at any two times, is the given sequences' own (expected over the
    combinations), and nothing else of them remains.

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


def _windows(documents: Iterable[tuple[str, str]], text: TextSource, length: int) -> Iterator[tuple[str, list[int]]]:
    """The first window of each document, then the second of each, and so on. Documents are read one by one."""
    longer = []
    for title, content in documents:
        ids = text.tokens(content)
        if len(ids) >= length:
            yield title, ids[:length]
            longer.append((title, ids))
    start = length
    while longer := [(title, ids) for title, ids in longer if len(ids) >= start + length]:
        for title, ids in longer:
            yield title, ids[start : start + length]
        start += length


def _padded(documents: Iterable[tuple[str, str]], text: TextSource, length: int) -> Iterator[tuple[str, list[int]]]:
    for title, content in documents:
        yield title, [text.begin, *text.tokens(content)[: length - 2], text.end]
