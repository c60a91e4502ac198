"""Sounds for small copies of corpora: buzzing voices, noises and rooms, written in a second."""

from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16000


def voice(number: int, seconds: float = 0.8) -> np.ndarray:
    """Syllables of a buzz of its own, without pauses that STOI would remove, `(samples,)`."""
    rng = np.random.default_rng([1, number])
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * rng.uniform(90, 240) * (time + 0.01 * np.sin(5 * time))
    buzz = sum(rng.uniform(0.2, 1) * np.sin(k * phase) / k for k in range(1, 20))
    return 0.08 * buzz * (0.15 + np.sin(4 * np.pi * time + rng.uniform(0, 6)) ** 2)


def hiss(number: int, seconds: float = 0.8) -> np.ndarray:
    """White noise, `(samples,)`."""
    return 0.05 * np.random.default_rng([2, number]).standard_normal(int(seconds * RATE_HZ)).clip(-4, 4)


def room(number: int, seconds: float = 0.3) -> np.ndarray:
    """An impulse response: direct sound after 2 ms, then decaying noise, `(samples,)`."""
    rng = np.random.default_rng([3, number])
    response = 0.1 * rng.standard_normal(int(seconds * RATE_HZ)) * np.exp(-np.arange(seconds * RATE_HZ) / 800)
    response[:32], response[32] = 0, 0.9
    return response


def write(file: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> None:
    """Write 16 bits, in whatever format the suffix says."""
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, rate_hz, subtype="PCM_16" if file.suffix != ".ogg" else None)
