r"""Inputs with long memory: noise whose spectrum is a power, and series and texts that installed packages ship.

What a linear unit makes of them is measured by running it: second moments of state and sensitivity over time, after the
unit has forgotten its start.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import checks

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

    from .text.sources import TextSource


def fractional_noise(count: int, length: int, beta: float, seed: int) -> Float[ndarray, "B T"]:
    r"""Gaussian sequences with the spectrum :math:`|2 \sin(\omega/2)|^{-\beta}`, scaled to variance 1.

    Args:
        count: sequences.
        length: steps of each.
        beta: in (-1, 1); 0 is white.
        seed: of the draws.

    Returns:
        Sequences, exact draws by embedding in a circle.

    Raises:
        ValueError: an argument is out of range.
    """
    count, length, seed = checks.whole("count", count), checks.whole("length", length, 2), checks.whole("seed", seed, 0)
    R = fractional_autocorrelation(beta, length)
    spectrum = np.fft.rfft(np.concatenate([R, R[-2:0:-1]])).real.clip(min=0)
    around = 2 * (length - 1)
    normal = np.random.default_rng(seed).standard_normal((2, count, len(spectrum)))
    normal[1, :, [0, -1]] = 0  # real frequencies
    normal[0][:, [0, -1]] *= math.sqrt(2)
    waves = (normal[0] + 1j * normal[1]) * np.sqrt(spectrum * around / 2)
    return np.fft.irfft(waves, around)[:, :length]


def fractional_autocorrelation(beta: float, lags: int) -> Float[ndarray, "lags"]:
    """R of :func:`fractional_noise` at lags from 0; R(0) is 1."""
    checks.within("beta", beta, "(-1, 1)")
    lag = np.arange(1, lags)
    return np.cumprod(np.append(1.0, (lag - 1 + beta / 2) / (lag - beta / 2)))


def sinusoids(length: int, size: int, longest: float = 1e4) -> Float[ndarray, "T size"]:
    """Position embeddings of the first transformer: sines and cosines at frequencies from 1 down to about 1/longest.

    Args:
        length: positions.
        size: dimensions, even.
        longest: of the periods, over 2 pi.

    Returns:
        Embeddings with a mean square of one half.

    Source: Vaswani et al. (2017), section 3.5.
    """
    if checks.whole("size", size, 2) % 2:
        raise ValueError(f"size must be even, got {size}")
    frequencies = longest ** (-np.arange(size // 2) / (size // 2))
    angles = np.arange(checks.whole("length", length))[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def cooccurrence_embedding(tokens: Int[ndarray, "B T"], size: int = 64, window: int = 5) -> Float[ndarray, "B T size"]:
    """Words by the company they keep in these sequences: singular vectors of positive pointwise mutual information.

    Args:
        tokens: sequences of token numbers.
        size: dimensions.
        window: how far apart two tokens are neighbours.

    Returns:
        An embedding of each token, mean 0 and variance 1 over its dimensions, as a layer norm leaves them.

    Source: Levy and Goldberg (2014), with the square root of the singular values.
    """
    from scipy import sparse
    from scipy.sparse.linalg import svds

    words, place = np.unique(tokens, return_inverse=True)
    place = place.reshape(np.shape(tokens))
    counts = sparse.csr_matrix((len(words), len(words)))
    for distance in range(1, window + 1):
        pair = place[:, :-distance].ravel(), place[:, distance:].ravel()
        together = sparse.csr_matrix((np.ones(len(pair[0])), pair), shape=counts.shape)
        counts = counts + together + together.T
    total, each = counts.sum(), np.asarray(counts.sum(1)).ravel()
    counts = counts.tocoo()
    information = np.log(counts.data * total / (each[counts.row] * each[counts.col]))
    more = information > 0
    positive = sparse.csr_matrix((information[more], (counts.row[more], counts.col[more])), shape=counts.shape)
    vectors, strengths, _ = svds(positive, k=size, v0=np.ones(len(words)))
    vectors = vectors * np.sqrt(strengths)
    vectors -= vectors.mean(1, keepdims=True)
    vectors /= vectors.std(1, keepdims=True) + 1e-12
    return vectors[place]


def unit_moments(
    x: Float[ndarray, "B T *N"], memories: Sequence[float], burn_in: int, blocks: int = 1
) -> tuple[Float[ndarray, "B blocks M"], Float[ndarray, "B blocks M"]]:
    r"""Second moments of linear units with real :math:`\lambda = 1 - 1/m`, run on sequences from a state of 0.

    Args:
        x: inputs, time along the second axis.
        memories: m of each unit.
        burn_in: steps at the beginning that do not count.
        blocks: into how many equal stretches the others are cut; what is left over does not count.

    Returns:
        Of the state, and of its derivative by :math:`\lambda` times :math:`1 - \lambda`; means over the time of a block
        and over dimensions.

    Raises:
        ValueError: there is no step for each block.
    """
    from scipy.signal import lfilter

    x = np.asarray(x, dtype=float)
    steps = (x.shape[1] - burn_in) // blocks
    if burn_in < 0 or steps < 1:
        raise ValueError(f"burn_in must leave {blocks} or more of the {x.shape[1]} steps, got {burn_in}")
    moments = []
    for memory in memories:
        lam = 1 - 1 / memory
        h = lfilter([1.0], [1.0, -lam], x, axis=1)
        dh = lfilter([0.0, 1.0], [1.0, -lam], h, axis=1) / memory
        for values in (h, dh):
            cut = values[:, burn_in : burn_in + blocks * steps].reshape(len(x), blocks, -1)
            moments.append(np.square(cut).mean(-1))
    return np.stack(moments[::2], -1), np.stack(moments[1::2], -1)


# What packages ship ---------------------------------------------------------------------------------------------------


class MissingFileError(RuntimeError):
    """A file that an installed package should have is not there."""


def shipped(package: str, *path: str) -> Path:
    """A file of an installed package or of Python's library.

    Args:
        package: by which name it is imported.
        path: inside it.

    Raises:
        MissingFileError: it is not there; some distributions of Python leave out their tests.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder).joinpath(*path)
        if file.is_file():
            return file
    raise MissingFileError(f"{'/'.join(path)} of the package {package} is not installed here")


def digest(path: Path) -> str:
    """16 hexadecimal digits that name the content of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Series:
    """A real series.

    Attributes:
        label: how pages call it.
        origin: which package ships it, and under which terms.
        file: the arguments of :func:`shipped`.
        read: from the file to arrays ``(sequences, time)``.
        sequences: how many.
        blocks: into how many each sequence is cut, so that there are eight pieces or more.
    """

    label: str
    origin: str
    file: tuple[str, ...]
    read: Callable[[Path], ndarray]
    sequences: int = 1
    blocks: int = 16


def _wave(path: Path) -> ndarray:
    import wave

    with wave.open(str(path)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
    return frames[:, :1].T.astype(float)  # both channels hold one signal


def _mu_law(path: Path) -> ndarray:
    """An .au file of G.711 mu-law, sign and magnitude in eight bits."""
    data = path.read_bytes()
    codes = ~np.frombuffer(data[int.from_bytes(data[4:8], "big") :], np.uint8)
    magnitude = (((codes & 0x0F).astype(int) << 3) + 132 << ((codes & 0x70) >> 4)) - 132
    return np.where(codes & 0x80, -magnitude, magnitude)[None].astype(float)


def _picture(path: Path) -> ndarray:
    """Grey values, a row of pixels after the other: 640 a row."""
    from PIL import Image

    grey = np.asarray(Image.open(path).convert("L"), dtype=float)
    return grey.reshape(1, -1)


def _elevation(path: Path) -> ndarray:
    with np.load(path) as arrays:
        return arrays["elevation"].astype(float)


#: By name.
SERIES: dict[str, Series] = {
    "pluck": Series(
        "a plucked string, 11 kHz",
        "CPython's tests; Python Software Foundation License",
        ("test", "audiodata", "pluck-pcm16.wav"),
        _wave,
        blocks=8,
    ),
    "speech": Series(
        "test recording, 8 kHz",
        "CPython's tests; Python Software Foundation License",
        ("test", "audiotest.au"),
        _mu_law,
    ),
    "eeg": Series(
        "EEG, four channels",
        "sample data of matplotlib; its licence",
        ("matplotlib", "mpl-data", "sample_data", "eeg.dat"),
        lambda path: np.fromfile(path).reshape(800, 4).T,
        sequences=4,
        blocks=2,
    ),
    "membrane": Series(
        "membrane potential of a cell",
        "sample data of matplotlib; its licence",
        ("matplotlib", "mpl-data", "sample_data", "membrane.dat"),
        lambda path: np.fromfile(path, np.float32)[None].astype(float),
    ),
    "elevation": Series(
        "elevation along parallels",
        "sample data of matplotlib, United States Geological Survey",
        ("matplotlib", "mpl-data", "sample_data", "jacksboro_fault_dem.npz"),
        _elevation,
        sequences=344,
        blocks=1,
    ),
    "china": Series(
        "photograph of a temple, pixel by pixel",
        "scikit-learn; danielbuechele, CC BY 2.0",
        ("sklearn", "datasets", "images", "china.jpg"),
        _picture,
    ),
    "flower": Series(
        "photograph of a flower, pixel by pixel",
        "scikit-learn; vultilion, CC BY 2.0",
        ("sklearn", "datasets", "images", "flower.jpg"),
        _picture,
    ),
}


def reference_documents() -> list[tuple[str, str]]:
    """Titles and text of Python's language reference, as the standard library ships it for ``help()``.

    Raises:
        MissingFileError: this Python comes without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise MissingFileError("pydoc_data.topics is not part of this Python") from None
    return sorted(topics.items())


@functools.cache
def windows(source: TextSource, text: str, length: int, count: int) -> tuple[ndarray, ndarray]:
    """Windows of tokens without padding, one after the other within each document.

    Args:
        source: whose tokens, and for ``"wikipedia"`` whose documents.
        text: ``"wikipedia"`` or ``"reference"``, Python's.
        length: tokens of a window.
        count: at most so many.

    Returns:
        Tokens ``(windows, length)`` and the number of the document of each.
    """
    checks.choice("text", text, ("wikipedia", "reference"))
    documents = source.documents(None) if text == "wikipedia" else reference_documents()
    rows, numbers = [], []
    for number, (_, content) in enumerate(documents):
        ids = source.tokens(content)
        for start in range(0, len(ids) - length + 1, length):
            rows.append(ids[start : start + length])
            numbers.append(number)
        if len(rows) >= count:
            break
    return np.array(rows[:count]), np.array(numbers[:count])
