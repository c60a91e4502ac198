"""Turns mixture plans into arrays: reads, mixes, takes features and scores the noisy mixtures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pystoi import stoi

from wordlength.errors import DataError
from wordlength.objectives.audio.features import ideal_ratio_mask, log_mel, stft
from wordlength.objectives.audio.files import SAMPLE_RATE_HZ, read_audio
from wordlength.objectives.audio.mixing import Mixture
from wordlength.objectives.audio.prepared import FrameSet, MixtureSet, join_frames
from wordlength.objectives.audio.rendering import rendered, snr_db_of

Float32 = NDArray[np.float32]
Progress = Callable[[int, int], None]

# pystoi compares stretches of 30 spectra; at its 10 kHz, 30 spectra of 256 samples, 128 apart, left after its
# silence removal take 4097 samples, and its resampler makes that many from 6554 samples at 16 kHz.
STOI_SHORTEST_SAMPLES = 6554
_SMALLEST_STD = 1e-3


def frames_of(plan: Sequence[Mixture], progress: Progress) -> FrameSet:
    """Features (not yet standardised) and masks of the planned mixtures; the waveforms are not kept."""
    read = lru_cache(maxsize=512)(read_audio)
    features: list[Float32] = []
    targets: list[Float32] = []
    for done, mixture in enumerate(plan, 1):
        feature, target = _frames(*_mixed(mixture, read))
        features.append(feature)
        targets.append(target)
        progress(done, len(plan))
    return join_frames(features, targets)


def mixtures_of(plan: Sequence[Mixture], progress: Progress) -> MixtureSet:
    """Waveforms, features and noisy STOI of the planned mixtures.

    Raises DataError for a clean clip with too little speech for STOI.
    """
    read = lru_cache(maxsize=512)(read_audio)
    pairs: list[tuple[Float32, Float32]] = []
    scores: list[float] = []
    for done, mixture in enumerate(plan, 1):
        clean, noisy = _mixed(mixture, read)
        pairs.append((clean, noisy))
        scores.append(noisy_stoi(clean, noisy, mixture.clean.path))
        progress(done, len(plan))
    blocks = [_frames(clean, noisy) for clean, noisy in pairs]
    return MixtureSet(
        clean=np.concatenate([clean for clean, _ in pairs]),
        noisy=np.concatenate([noisy for _, noisy in pairs]),
        offsets=np.concatenate([[0], np.cumsum([clean.size for clean, _ in pairs])]).astype(np.int64),
        noisy_stoi=np.array(scores, np.float64),
        snr_db=np.array([snr_db_of(mixture, *pair) for mixture, pair in zip(plan, pairs, strict=True)], np.float64),
        speakers=tuple(mixture.speaker for mixture in plan),
        noise_classes=tuple(mixture.noise_class for mixture in plan),
        names=tuple(mixture.name for mixture in plan),
        frames=join_frames([feature for feature, _ in blocks], [target for _, target in blocks]),
    )


def noisy_stoi(clean: Float32, noisy: Float32, path: Path) -> float:
    """STOI (not extended) of one mixture; `path` names the clip in the error.

    Raises DataError where too little speech is left for one stretch of 30 spectra:
    pystoi would answer 1e-5, which looks like a score.
    """
    if clean.size < STOI_SHORTEST_SAMPLES:
        raise _too_short(f"{clean.size / SAMPLE_RATE_HZ:.2f} s", path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(stoi(clean, noisy, SAMPLE_RATE_HZ, extended=False))
        except RuntimeWarning as warning:
            length = f"{clean.size / SAMPLE_RATE_HZ:.2f} s with too many pauses"
            raise _too_short(length, path) from warning


def standardise(frames: FrameSet, mean: Float32, std: Float32) -> None:
    """Subtract the mean and divide by the standard deviation, in place."""
    features = frames.features
    np.subtract(features, mean, out=features)
    np.divide(features, std, out=features)


def moments(frames: FrameSet) -> tuple[Float32, Float32]:
    """Mean and standard deviation per Mel band over the frames without their histories, float32 `(64,)` each."""
    total = np.zeros(frames.features.shape[1])
    squares = np.zeros_like(total)
    for start in range(0, frames.windows.size, 65536):  # in blocks: a whole corpus in float64 would not fit
        block = frames.features[frames.windows[start : start + 65536]].astype(np.float64)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    mean = total / frames.windows.size
    std = np.sqrt(np.maximum(squares / frames.windows.size - mean**2, 0))
    return mean.astype(np.float32), np.maximum(std, _SMALLEST_STD).astype(np.float32)


def _too_short(length: str, path: Path) -> DataError:
    shortest_seconds = STOI_SHORTEST_SAMPLES / SAMPLE_RATE_HZ
    return DataError(
        f"validation and test clips need at least {shortest_seconds:.2f} s of speech within 40 dB of its loudest "
        f"frame to be scored by STOI, but got {length} ({path})"
    )


def _mixed(mixture: Mixture, read: Callable[[Path], Float32]) -> tuple[Float32, Float32]:
    return rendered(mixture, read)


def _frames(clean: Float32, noisy: Float32) -> tuple[Float32, Float32]:
    """Log-Mel of the mixture `(frames, 64)` and the mask that restores the speech `(frames, 129)`."""
    noisy_spectrum = stft(noisy)
    clean_spectrum = stft(clean)
    return log_mel(noisy_spectrum), ideal_ratio_mask(clean_spectrum, noisy_spectrum - clean_spectrum)
