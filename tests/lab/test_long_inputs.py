"""Inputs with long memory: noise with the autocorrelation it should have, embeddings, files, and units run on them."""

import math
import wave

import numpy as np
import pytest

from rnnlib import theory
from rnnlib.lab import long_inputs
from rnnlib.lab.long_inputs import SERIES, MissingFileError


@pytest.mark.parametrize("beta", [-0.6, 0.0, 0.7])
def test_noise_has_the_autocorrelation_of_its_spectrum(beta):
    lags = 12
    R = long_inputs.fractional_autocorrelation(beta, lags)
    omega = (np.arange(2_000_000) + 0.5) * math.pi / 2_000_000
    spectrum = (2 * np.sin(omega / 2)) ** -beta
    expected = [(spectrum * np.cos(omega * lag)).mean() for lag in range(lags)]
    np.testing.assert_allclose(R, np.array(expected) / expected[0], atol=6e-3)
    x = long_inputs.fractional_noise(4000, lags, beta, seed=3)
    np.testing.assert_allclose(x.T @ x / len(x), R[abs(np.subtract.outer(range(lags), range(lags)))], atol=0.08)


def test_noise_is_the_same_for_a_seed_and_refuses_what_has_no_variance():
    first, again, other = (long_inputs.fractional_noise(1, 50, 0.5, seed) for seed in (1, 1, 2))
    assert (first == again).all() and not (first == other).any()
    for beta in (-1, 1.0, math.nan):
        with pytest.raises(ValueError, match="beta must be"):
            long_inputs.fractional_noise(1, 50, beta, 0)


def test_sinusoids_have_the_autocorrelation_of_one_over_f_noise():
    x = long_inputs.sinusoids(300, 512)
    R = [(x[: 300 - lag] * x[lag:]).mean() for lag in (0, 10, 100)]
    expected = [0.5 * (1 - (math.log(lag) + np.euler_gamma) / math.log(1e4)) for lag in (10, 100)]
    assert R[0] == pytest.approx(0.5) and R[1:] == pytest.approx(expected, abs=5e-3)
    with pytest.raises(ValueError, match="size must be even, got 3"):
        long_inputs.sinusoids(10, 3)


def test_words_with_the_same_neighbours_are_alike():
    """Words 0 and 1 stand between 2 and 3, words 4 and 5 between 6 and 7."""
    generator = np.random.default_rng(0)
    blocks = [(2, generator.integers(2), 3) if kind else (6, 4 + generator.integers(2), 7) for kind in
              generator.integers(2, size=2000)]  # fmt: skip
    tokens = np.array(blocks).reshape(10, -1)
    x = long_inputs.cooccurrence_embedding(tokens, size=3, window=1)
    word = {number: x[tokens == number][0] for number in range(8)}
    assert np.allclose(x.mean(-1), 0) and np.allclose(x.var(-1), 1)
    assert word[0] @ word[1] > 2.9 and word[4] @ word[5] > 2.9 and word[0] @ word[4] < 1


def test_units_have_the_moments_of_theory():
    x = np.random.default_rng(0).standard_normal((4, 60_000, 2))
    state, sensitivity = long_inputs.unit_moments(x, (5.0, 20.0), 500, blocks=3)
    assert state.shape == (4, 3, 2)
    lam = 1 - 1 / np.array([5.0, 20.0])
    np.testing.assert_allclose(state.mean((0, 1)), theory.state_variance(lam, 0.0), rtol=0.03)
    np.testing.assert_allclose(sensitivity.mean((0, 1)), theory.sensitivity(lam, 0.0) * (1 - lam) ** 2, rtol=0.03)
    one, _ = long_inputs.unit_moments(x[:1, :20, 0], (5.0,), 15, blocks=2)
    h = 0.0
    squares = [(h := 0.8 * h + value) ** 2 for value in x[0, :20, 0]]
    np.testing.assert_allclose(one[0, :, 0], [np.mean(squares[15:17]), np.mean(squares[17:19])])
    with pytest.raises(ValueError, match="burn_in must leave 2 or more of the 20 steps, got 19"):
        long_inputs.unit_moments(x[:, :20], (5.0,), 19, blocks=2)


@pytest.mark.parametrize("name", SERIES)
def test_series_are_what_they_say(name):
    try:
        path = long_inputs.shipped(*SERIES[name].file)
    except MissingFileError as missing:
        pytest.skip(str(missing))  # a Python without its tests, or no scikit-learn
    x = SERIES[name].read(path)
    shapes = {"pluck": (1, 3307), "speech": (1, 28110), "eeg": (4, 800), "membrane": (1, 12000)}
    shapes |= {"elevation": (344, 403), "china": (1, 427 * 640), "flower": (1, 427 * 640)}
    assert x.shape == shapes[name] and np.isfinite(x).all() and x.std() > 0
    x = (x - x.mean()) / x.std()  # a wrong byte order or shape would make noise
    assert max(abs((x[:, :-lag] * x[:, lag:]).mean()) for lag in range(1, 9)) > 0.35


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(MissingFileError, match="a/b of the package numpy is not installed here"):
        long_inputs.shipped("numpy", "a", "b")
    with pytest.raises(MissingFileError, match="of the package no_such_package"):
        long_inputs.shipped("no_such_package", "a")


def test_mu_law_is_decoded(tmp_path):
    """Of G.711's table: the smallest step is 8 in sixteen bits, the largest value 32124."""
    path = tmp_path / "x.au"
    path.write_bytes(b".snd" + (28).to_bytes(4, "big") + bytes(20) + bytes([0xFF, 0x7F, 0xFE, 0x7E, 0x80, 0x00]))
    assert long_inputs._mu_law(path).tolist() == [[0, 0, 8, -8, 32124, -32124]]


def test_one_channel_of_a_wave_file(tmp_path):
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 8000, 3, "NONE", ""))
        file.writeframes(np.array([[1, 9], [-2, 9], [3, 9]], "<i2").tobytes())
    assert long_inputs._wave(path).tolist() == [[1, -2, 3]]


def test_windows_stay_within_documents():
    from rnnlib.lab.text.sources import TextSource

    documents = [("a", "x" * 7), ("b", "y" * 2), ("c", "z" * 3)]
    source = TextSource("", lambda seed: documents, lambda text: [ord(c) for c in text], None, 0, 0, 0)
    tokens, numbers = long_inputs.windows(source, "wikipedia", 3, 10)
    assert numbers.tolist() == [0, 0, 2] and (tokens == [[120], [120], [122]]).all()
    assert long_inputs.windows(source, "wikipedia", 3, 2)[1].tolist() == [0, 0]
    with pytest.raises(ValueError, match="text must be one of wikipedia, reference, got 'other'"):
        long_inputs.windows(source, "other", 3, 2)


def test_python_has_its_reference():
    documents = long_inputs.reference_documents()
    assert dict(documents)["lambda"].startswith("Lambdas") and len(documents) > 60
