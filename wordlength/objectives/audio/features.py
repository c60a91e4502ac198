"""Short-time spectra, log-Mel features and ideal ratio masks, as in Klein, Kantic & Blume (2021).

Conventions: 16 kHz; frames of 256 samples, 128 apart (8 ms); time is the first axis of every array.
Half a frame of zeros precedes the signal, so frame t covers the samples from 128·(t - 1) up to 128·(t + 1)
and needs none after them: everything here can run frame by frame, with 8 ms to wait for a frame's second half.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from wordlength.objectives.audio.files import SAMPLE_RATE_HZ

FRAME_SAMPLES = 256
HOP_SAMPLES = 128  # half a frame; stft and istft rely on it
SPECTRUM_BINS = FRAME_SAMPLES // 2 + 1  # 129, 62.5 Hz apart
MEL_BINS = 64
MEL_LOWEST_HZ = 62.5  # the first bin above the constant component, which carries no speech
MEL_HIGHEST_HZ = SAMPLE_RATE_HZ / 2
HISTORY_FRAMES = 15  # past frames in a network input beside the current one
POWER_FLOOR = 1e-6  # added to the Mel power before the logarithm; a full-scale sine has about 4e3

Spectrum = NDArray[np.complex64]


def frame_count(samples: int) -> int:
    """How many frames `stft` makes of a signal of that length."""
    return -(-samples // HOP_SAMPLES) + 1


def stft(signal: NDArray[np.float32]) -> Spectrum:
    """Hann-windowed spectra of a signal `(samples,)`: complex64 `(frames, 129)`, frames = ceil(samples / 128) + 1."""
    padded = np.zeros((frame_count(signal.size) + 1) * HOP_SAMPLES, np.float32)
    padded[HOP_SAMPLES : HOP_SAMPLES + signal.size] = signal
    halves = padded.reshape(-1, HOP_SAMPLES)
    frames = np.concatenate([halves[:-1], halves[1:]], axis=1)
    return np.asarray(scipy.fft.rfft(frames * _hann(), axis=1), np.complex64)


def istft(spectrum: Spectrum, length: int) -> NDArray[np.float32]:
    """The signal `(length,)` whose `stft` is nearest to `spectrum` `(frames, 129)` in the least-squares sense.

    An unchanged spectrum gives back its signal. Weighted overlap-add after Griffin & Lim (1984), equation 6.
    Raises ValueError if `length` needs another number of frames.
    """
    if spectrum.shape != (frame_count(length), SPECTRUM_BINS):
        raise ValueError(
            f"spectrum must have shape {(frame_count(length), SPECTRUM_BINS)} for {length} samples, "
            f"but got {spectrum.shape}"
        )
    frames = scipy.fft.irfft(spectrum, n=FRAME_SAMPLES, axis=1) * _synthesis_window()
    # Frame t ends in block t: its first half adds to the second half of frame t - 1.
    blocks = frames[:-1, HOP_SAMPLES:] + frames[1:, :HOP_SAMPLES]
    return np.asarray(blocks.reshape(-1)[:length], np.float32)


@cache
def mel_filterbank(bins: int = MEL_BINS) -> NDArray[np.float32]:
    """Triangular filters from spectral power to Mel bands: `(129, bins)`, every column sums to 1, read-only.

    With 64 filters the lowest triangles are narrower than the 62.5 Hz between spectral bins and could fall
    between two of them. No slope is therefore shorter than one bin: a narrow filter interpolates its neighbours.
    """
    if not 1 <= bins <= SPECTRUM_BINS:
        raise ValueError(f"bins must be between 1 and {SPECTRUM_BINS}, but got {bins}")
    edges_hz = _mel_to_hz(np.linspace(_hz_to_mel(MEL_LOWEST_HZ), _hz_to_mel(MEL_HIGHEST_HZ), bins + 2))
    bin_width_hz = SAMPLE_RATE_HZ / FRAME_SAMPLES
    rise_hz = np.maximum(np.diff(edges_hz)[:-1], bin_width_hz)
    fall_hz = np.maximum(np.diff(edges_hz)[1:], bin_width_hz)
    distance_hz = np.arange(SPECTRUM_BINS)[:, None] * bin_width_hz - edges_hz[1:-1]
    triangles = np.maximum(0, 1 - np.where(distance_hz < 0, -distance_hz / rise_hz, distance_hz / fall_hz))
    filters: NDArray[np.float32] = (triangles / triangles.sum(axis=0)).astype(np.float32)
    filters.flags.writeable = False  # shared by all callers through the cache
    return filters


def log_mel(spectrum: Spectrum) -> NDArray[np.float32]:
    """Natural logarithm of the mean power in 64 Mel bands: `(frames, 129)` → float32 `(frames, 64)`."""
    return np.asarray(np.log(_power(spectrum) @ mel_filterbank() + np.float32(POWER_FLOOR)), np.float32)


def ideal_ratio_mask(clean_spectrum: Spectrum, noise_spectrum: Spectrum) -> NDArray[np.float32]:
    """sqrt(S² / (S² + N²)) per bin, in [0, 1], 0 where both are 0: float32 `(frames, 129)`.

    After Wang, Narayanan & Wang (2014), "On training targets for supervised speech separation", with β = 0.5.
    """
    speech, noise = _power(clean_spectrum), _power(noise_spectrum)
    total = speech + noise
    share = np.divide(speech, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(np.sqrt(share), np.float32)


def _power(spectrum: Spectrum) -> NDArray[np.float32]:
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)


@cache
def _hann() -> NDArray[np.float32]:
    """The periodic Hann window: with half a frame between frames, it sums to one."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)).astype(np.float32)


@cache
def _synthesis_window() -> NDArray[np.float32]:
    """The Hann window over the sum of the squares of the two windows that overlap at each sample."""
    window = _hann()
    return np.asarray(window / (window**2 + np.roll(window, HOP_SAMPLES) ** 2), np.float32)


def _hz_to_mel(frequency_hz: float) -> float:
    return float(2595 * np.log10(1 + frequency_hz / 700))


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)
