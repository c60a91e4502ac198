"""Synthetic noise recordings for the built-in corpus; every one is decided by its random generator alone.

All signals: 16 kHz, shape `(samples,)`, root mean square 0.1, peak at most 0.9 of full scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter, sosfilt

from wordlength.arrays import DoubleArray
from wordlength.objectives.audio.files import SAMPLE_RATE_HZ

LEVEL = 0.1  # root mean square of every recording
PEAK = 0.9
LOWEST_HZ = 40.0  # nothing below is audible, yet it would count towards the signal-to-noise ratio


def white(samples: int, rng: np.random.Generator) -> DoubleArray:
    """Equal power at every frequency."""
    return level(rng.standard_normal(samples))


def pink(samples: int, rng: np.random.Generator) -> DoubleArray:
    """Power falling by 3 dB per octave, as in wind and distant traffic."""
    frequencies_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    return level(_shape(rng.standard_normal(samples), 1 / np.sqrt(np.maximum(frequencies_hz, LOWEST_HZ))))


def speech_shaped(samples: int, rng: np.random.Generator, speech: Sequence[DoubleArray]) -> DoubleArray:
    """Stationary noise with the long-term spectrum of `speech`: it masks every voice about equally."""
    window = 1024
    power = np.zeros(window // 2 + 1)
    for signal in speech:
        blocks = signal[: signal.size // window * window].reshape(-1, window)
        power += (np.abs(np.fft.rfft(blocks * np.hanning(window), axis=1)) ** 2).sum(axis=0)
    grid = np.linspace(0, 1, samples // 2 + 1)
    magnitude = np.interp(grid, np.linspace(0, 1, power.size), np.sqrt(power))
    return level(_shape(rng.standard_normal(samples), magnitude))


def babble(samples: int, rng: np.random.Generator, talkers: Sequence[Sequence[DoubleArray]]) -> DoubleArray:
    """All talkers at once, equally loud, each reading their sentences in a loop from a random point."""
    mixture = np.zeros(samples)
    for sentences in talkers:
        loop = np.concatenate([sentences[index] for index in rng.permutation(len(sentences))])
        mixture += level(np.resize(np.roll(loop, int(rng.integers(loop.size))), samples))
    return level(mixture)


def siren(samples: int, rng: np.random.Generator) -> DoubleArray:
    """A tone with harmonics that wails between two pitches, over faint street noise."""
    seconds = np.arange(samples) / SAMPLE_RATE_HZ
    low_hz, high_hz = rng.uniform(450, 650), rng.uniform(1000, 1500)
    sweep = 0.5 - 0.5 * np.cos(2 * np.pi * (seconds / rng.uniform(0.35, 3.0) + rng.uniform()))
    phase = 2 * np.pi * np.cumsum(low_hz + (high_hz - low_hz) * sweep) / SAMPLE_RATE_HZ
    tone = sum((np.sin(k * phase) / k**1.3 for k in range(1, 6)), np.zeros(samples))
    distance = 1 + 0.5 * np.sin(2 * np.pi * (rng.uniform(0.05, 0.2) * seconds + rng.uniform()))
    return level(level(tone * distance) + 0.1 * pink(samples, rng))


def engine(samples: int, rng: np.random.Generator) -> DoubleArray:
    """Harmonics of an unsteady firing rate, with exhaust noise that pulses at that rate."""
    wander = _smooth(rng.standard_normal(samples), 1.0)
    firing_hz = rng.uniform(25, 60) * (1 + 0.03 * wander)
    phase = 2 * np.pi * np.cumsum(firing_hz) / SAMPLE_RATE_HZ
    strengths = rng.uniform(0.3, 1.0, 24) / np.sqrt(np.arange(1, 25))
    hum = sum((s * np.sin(k * phase + rng.uniform(0, 6.28)) for k, s in enumerate(strengths, 1)), np.zeros(samples))
    exhaust = pink(samples, rng) * (1 + 0.9 * np.cos(phase))
    return level(level(hum) + rng.uniform(0.4, 0.9) * level(exhaust))


def hammering(samples: int, rng: np.random.Generator) -> DoubleArray:
    """Blows at an uneven pace on something that rings: from a carpenter to a jackhammer."""
    ring_seconds = np.arange(int(0.12 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    resonances_hz, decays_per_second = rng.uniform(200, 5000, 5), rng.uniform(25, 120, 5)
    ring = np.exp(-np.outer(decays_per_second, ring_seconds)) * np.sin(
        2 * np.pi * np.outer(resonances_hz, ring_seconds)
    )
    pause_seconds = rng.uniform(0.05, 0.35)
    signal = 0.02 * pink(samples + ring_seconds.size, rng)
    position = rng.uniform(0, pause_seconds) * SAMPLE_RATE_HZ
    while position < samples:
        impact = 0.5 * rng.standard_normal(ring_seconds.size) * np.exp(-200 * ring_seconds)
        start = int(position)
        signal[start : start + ring_seconds.size] += rng.uniform(0.6, 1.0) * (ring.sum(axis=0) + impact)
        position += pause_seconds * rng.uniform(0.85, 1.15) * SAMPLE_RATE_HZ
    return level(signal[:samples])


def level(signal: DoubleArray) -> DoubleArray:
    """Scale to the common root mean square, or less where a peak would exceed 0.9 of full scale."""
    scaled = signal * (LEVEL / np.sqrt(np.mean(signal**2)))
    return np.asarray(scaled * min(1.0, PEAK / float(np.abs(scaled).max())))


def _shape(noise: DoubleArray, magnitude: DoubleArray) -> DoubleArray:
    """Filter by a magnitude per FFT bin, and remove what lies below the audible range."""
    frequencies_hz = np.fft.rfftfreq(noise.size, 1 / SAMPLE_RATE_HZ)
    return np.fft.irfft(np.fft.rfft(noise) * magnitude * (frequencies_hz >= LOWEST_HZ), n=noise.size)


def _smooth(noise: DoubleArray, cutoff_hz: float) -> DoubleArray:
    """Low-pass to slow fluctuations, scaled to [-1, 1]."""
    slow: DoubleArray = sosfilt(butter(2, cutoff_hz, fs=SAMPLE_RATE_HZ, output="sos"), noise)
    return np.asarray(slow / np.abs(slow).max())
