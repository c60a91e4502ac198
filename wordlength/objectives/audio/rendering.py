"""The two waveforms of a planned mixture: mixed here, given by the corpus, or heard in a room."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.errors import DataError
from wordlength.objectives.audio.files import SAMPLE_RATE_HZ, read_unscaled
from wordlength.objectives.audio.mixing import Mixture, mix, noise_at
from wordlength.objectives.audio.rooms import reverberate

LARGEST_LAG_SECONDS = 0.1
EXPLAINED_BY_LAG = 0.2
"""A pair is not aligned where a shift would explain this share of what else counts as noise."""


def rendered(
    mixture: Mixture, read: Callable[[Path], FloatArray], sample_rate_hz: int = SAMPLE_RATE_HZ
) -> tuple[FloatArray, FloatArray]:
    """Clean and noisy waveform of a mixture, float32 `(samples,)` each; `read` reads files that are mixed here.

    Raises DataError for files that cannot be read, and for pairs of unequal length or out of step.
    """
    if mixture.given:
        return read_pair(mixture.clean.path, mixture.noise.path, sample_rate_hz)
    assert mixture.snr_db is not None  # only a given mixture may be silent about its level
    rng = np.random.default_rng(mixture.seed)
    speech, noise = read(mixture.clean.path), read(mixture.noise.path)
    if mixture.room is None:
        return mix(speech, noise, mixture.snr_db, rng)
    response = _response(mixture.room.path, sample_rate_hz)
    early_samples = round(mixture.early_ms * sample_rate_hz / 1000)
    early, whole = reverberate(speech.astype(np.float64), response, early_samples)
    # The level is that of the speech as it is heard, late reflections included.
    return _within_full_scale(early, whole + noise_at(whole, noise, mixture.snr_db, rng))


def snr_db_of(mixture: Mixture, clean: FloatArray, noisy: FloatArray) -> float:
    """The level the mixture was planned or told to have, or else that of its waveforms, in dB."""
    if mixture.snr_db is not None:
        return mixture.snr_db
    speech, noise = clean.astype(np.float64), noisy.astype(np.float64) - clean
    return float(10 * np.log10(np.mean(speech**2) / np.mean(noise**2)))


def read_pair(clean: Path, noisy: Path, sample_rate_hz: int = SAMPLE_RATE_HZ) -> tuple[FloatArray, FloatArray]:
    """A clean and a noisy file, scaled down together where one exceeds full scale, float32 `(samples,)` each.

    Raises DataError where their lengths differ, they are equal, or one is shifted against the other.
    """
    speech, mixture = read_unscaled(clean, sample_rate_hz), read_unscaled(noisy, sample_rate_hz)
    if speech.size != mixture.size:
        raise DataError(
            f"noisy and clean files must be equally long, but got {mixture.size} and {speech.size} samples at "
            f"{sample_rate_hz} Hz ({noisy}, {clean})"
        )
    if np.array_equal(speech, mixture):
        raise DataError(f"noisy files must hold noise, but this one equals its clean one ({noisy})")
    if lag := _lag(speech, mixture, round(LARGEST_LAG_SECONDS * sample_rate_hz)):
        raise DataError(
            f"noisy and clean files must be aligned, but the noisy one is {abs(lag)} samples at {sample_rate_hz} Hz "
            f"{'late' if lag > 0 else 'early'} ({noisy})"
        )
    return _within_full_scale(speech, mixture)


def _lag(speech: DoubleArray, mixture: DoubleArray, largest: int) -> int:
    """By how many samples the speech in the mixture is late; 0 unless a shift makes clearly less of it noise.

    With the squared correlation r² at a lag, 1 - r² is the share of the mixture that the speech does not explain.
    """
    size = next_fast_len(2 * speech.size, real=True)
    products = irfft(rfft(mixture, size) * np.conj(rfft(speech, size)), size)
    lags = np.arange(-min(largest, speech.size - 1), min(largest, speech.size - 1) + 1)
    explained = products[lags] ** 2 / (np.sum(speech**2) * np.sum(mixture**2))
    best = int(explained.argmax())
    left, left_shifted = 1 - explained[lags == 0][0], 1 - explained[best]
    return int(lags[best]) if left_shifted < (1 - EXPLAINED_BY_LAG) * left else 0


@lru_cache(maxsize=256)
def _response(path: Path, sample_rate_hz: int) -> DoubleArray:
    """The first channel of an impulse response: an average of several microphones is no room's."""
    return read_unscaled(path, sample_rate_hz, channel=0)


def _within_full_scale(clean: DoubleArray, noisy: DoubleArray) -> tuple[FloatArray, FloatArray]:
    """Both, scaled down together where one exceeds full scale."""
    scale = 1 / max(1.0, float(np.abs(clean).max()), float(np.abs(noisy).max()))
    return (clean * scale).astype(np.float32), (noisy * scale).astype(np.float32)
