"""Short-time spectra and the features taken from them; log-Mel as in Klein, Kantic & Blume (2021).

Conventions: time is the first axis of every array. Frame t ends with block t of `hop_samples` samples: zeros precede
the signal, and no frame needs samples after its block, so everything here can run frame by frame. Frames go on until
the last block has left them, so that every sample lies in frame_samples / hop_samples of them.
"""

from __future__ import annotations

from functools import cache
from typing import assert_never

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.objectives.audio.signal_settings import FeatureSettings

POWER_FLOOR = 1e-6
"""Added to the power before the logarithm; a full-scale sine in frames of 256 samples has about 4e3."""

Spectrum = NDArray[np.complex64]


def frame_count(samples: int, settings: FeatureSettings) -> int:
    """How many frames `stft` makes of a signal of that length."""
    hop = settings.hop_samples
    return -(-samples // hop) + settings.frame_samples // hop - 1


def stft(signal: FloatArray, settings: FeatureSettings) -> Spectrum:
    """Hann-windowed spectra of a signal `(samples,)`: complex64 `(frames, spectrum_bins)`; see `frame_count`."""
    frame, hop = settings.frame_samples, settings.hop_samples
    padded = np.zeros((frame_count(signal.size, settings) - 1) * hop + frame, np.float32)
    padded[frame - hop : frame - hop + signal.size] = signal
    frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[::hop]
    return np.asarray(scipy.fft.rfft(frames * _hann(frame), axis=1), np.complex64)


def istft(spectrum: Spectrum, length: int, settings: FeatureSettings) -> FloatArray:
    """The signal `(length,)` whose `stft` is nearest to `spectrum` `(frames, spectrum_bins)` by least squares.

    An unchanged spectrum gives back its signal. Weighted overlap-add after Griffin & Lim (1984), equation 6.
    Raises ValueError if `length` needs another number of frames.
    """
    wanted = (frame_count(length, settings), settings.spectrum_bins)
    if spectrum.shape != wanted:
        raise ValueError(f"spectrum must have shape {wanted} for {length} samples, but got {spectrum.shape}")
    frame, hop = settings.frame_samples, settings.hop_samples
    frames = scipy.fft.irfft(spectrum, n=frame, axis=1) * _synthesis_window(frame, hop)
    # Block b is the last part of frame b, the last but one of frame b + 1, …: the last frames start no block.
    overlap = frame // hop
    count = len(frames) - overlap + 1
    blocks = frames[:count, frame - hop :] + frames[1 : 1 + count, frame - 2 * hop : frame - hop]
    for later in range(2, overlap):
        start = frame - (later + 1) * hop
        blocks += frames[later : later + count, start : start + hop]
    return np.asarray(blocks.reshape(-1)[:length], np.float32)


@cache
def mel_filterbank(settings: FeatureSettings) -> FloatArray:
    """Triangular filters from spectral power to Mel bands: `(spectrum_bins, mel_bins)`, read-only.

    Every column sums to 1. The bands reach from the first bin above the constant component, which carries no speech, to
    half the sampling rate. With many filters the lowest triangles are narrower than the distance between spectral bins
    and could fall between two of them. No slope is therefore shorter than one bin: a narrow filter interpolates its
    neighbours.
    """
    bin_width_hz = settings.sample_rate_hz / settings.frame_samples
    ends = _hz_to_mel(bin_width_hz), _hz_to_mel(settings.sample_rate_hz / 2)
    edges_hz = _mel_to_hz(np.linspace(*ends, settings.bins + 2))
    rise_hz = np.maximum(np.diff(edges_hz)[:-1], bin_width_hz)
    fall_hz = np.maximum(np.diff(edges_hz)[1:], bin_width_hz)
    distance_hz = np.arange(settings.spectrum_bins)[:, None] * bin_width_hz - edges_hz[1:-1]
    triangles = np.maximum(0, 1 - np.where(distance_hz < 0, -distance_hz / rise_hz, distance_hz / fall_hz))
    filters: FloatArray = (triangles / triangles.sum(axis=0)).astype(np.float32)
    filters.flags.writeable = False  # shared by all callers through the cache
    return filters


def features_of(spectrum: Spectrum, settings: FeatureSettings) -> FloatArray:
    """The features of a spectrum, not yet standardised: `(frames, spectrum_bins)` → float32 `(frames, bins)`."""
    match settings.kind:
        case "log_mel":
            return log_mel(spectrum, settings)
        case "log_spectrum":
            return log_magnitude(spectrum)
        case _:
            assert_never(settings.kind)


def log_mel(spectrum: Spectrum, settings: FeatureSettings) -> FloatArray:
    """Natural logarithm of the mean power in Mel bands: `(frames, spectrum_bins)` → float32 `(frames, mel_bins)`."""
    return np.asarray(np.log(power(spectrum) @ mel_filterbank(settings) + np.float32(POWER_FLOOR)), np.float32)


def log_magnitude(spectrum: Spectrum) -> FloatArray:
    """½ ln(|X|² + floor) of every bin: `(frames, spectrum_bins)` → float32 of the same shape."""
    return np.asarray(np.float32(0.5) * np.log(power(spectrum) + np.float32(POWER_FLOOR)), np.float32)


def power(spectrum: Spectrum) -> FloatArray:
    """|X|² of every bin."""
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)


@cache
def _hann(frame: int) -> FloatArray:
    """The periodic Hann window: with half a frame between frames, it sums to one."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)).astype(np.float32)


@cache
def _synthesis_window(frame: int, hop: int) -> FloatArray:
    """The Hann window over the sum of the squares of all windows that overlap at each sample."""
    window = _hann(frame)
    squares = window**2
    for later in range(hop, frame, hop):
        squares = squares + np.roll(window, later) ** 2
    return np.asarray(window / squares, np.float32)


def _hz_to_mel(frequency_hz: float) -> float:
    return float(2595 * np.log10(1 + frequency_hz / 700))


def _mel_to_hz(mel: DoubleArray) -> DoubleArray:
    return 700 * (10 ** (mel / 2595) - 1)
