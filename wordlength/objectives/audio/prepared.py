"""Prepared data as plain NumPy arrays and strings: what training, analysis and STOI read, and workers share.

Pickle protocol 5 carries every array out of band, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordlength.objectives.audio.features import HISTORY_FRAMES, MEL_BINS, SPECTRUM_BINS
from wordlength.objectives.shape import NetworkShape

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FrameSet:
    """All frames of some mixtures, one mixture after another, each behind 15 copies of its first frame.

    features: standardised log-Mel, float32 `(padded_frames, 64)`.
    targets: ideal ratio mask, float32 `(padded_frames, 129)`.
    windows: index of the current (last) frame of every window of 16 frames, int32 `(n,)`;
    window k is `features[windows[k] - 15 : windows[k] + 1]` with the target `targets[windows[k]]`.
    mixture_of_window: number of the mixture a window belongs to, int32 `(n,)`.
    """

    features: Float32
    targets: Float32
    windows: NDArray[np.int32]
    mixture_of_window: NDArray[np.int32]

    def windows_of(self, mixture: int) -> NDArray[np.int32]:
        """The windows of one mixture in time order, int32 `(frames,)`."""
        low, high = np.searchsorted(self.mixture_of_window, [mixture, mixture + 1])
        return self.windows[low:high]


@dataclass(frozen=True, slots=True, eq=False)
class MixtureSet:
    """Mixtures to be scored by STOI: waveforms at 16 kHz, features, and what the noisy mixtures score.

    clean, noisy: all waveforms end to end, float32 `(samples,)`; mixture i lies at offsets[i]:offsets[i + 1].
    offsets: int64 `(m + 1,)`. noisy_stoi: STOI of clean against noisy, float64 `(m,)`. snr_db: float64 `(m,)`.
    """

    clean: Float32
    noisy: Float32
    offsets: NDArray[np.int64]
    noisy_stoi: NDArray[np.float64]
    snr_db: NDArray[np.float64]
    speakers: tuple[str, ...]
    noise_classes: tuple[str, ...]
    names: tuple[str, ...]
    frames: FrameSet

    def __len__(self) -> int:
        """The number of mixtures."""
        return len(self.names)

    def mixture(self, index: int) -> tuple[Float32, Float32]:
        """Clean and noisy waveform of one mixture, each float32 `(samples,)`, views of the whole."""
        if not 0 <= index < len(self):
            raise IndexError(f"mixture must be between 0 and {len(self) - 1}, but got {index}")
        place = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.clean[place], self.noisy[place]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """Everything a study trains on and measures with.

    subset_windows: those of `train.windows` that belong to the representative subset, int32 `(k,)`.
    mean, std: of the training frames' log-Mel features before they were standardised, float32 `(64,)`.
    digest: SHA-256 over the contents of all audio, the settings and the features' version.
    summary: what was prepared, in JSON types.
    """

    train: FrameSet
    subset_windows: NDArray[np.int32]
    validation: MixtureSet
    test: MixtureSet
    mean: Float32
    std: Float32
    digest: str
    summary: dict[str, Any]

    @property
    def shape(self) -> NetworkShape:
        """What a network is given and gives."""
        frames = self.train
        return NetworkShape(HISTORY_FRAMES + 1, frames.features.shape[1], frames.targets.shape[1])


def join_frames(features: Sequence[Float32], targets: Sequence[Float32]) -> FrameSet:
    """Lay the mixtures' features `(frames, 64)` and targets `(frames, 129)` end to end, history included."""
    counts = np.array([len(block) for block in features], np.int64)
    starts = np.concatenate([[0], np.cumsum(counts + HISTORY_FRAMES)])
    all_features = np.empty((int(starts[-1]), MEL_BINS), np.float32)
    all_targets = np.empty((int(starts[-1]), SPECTRUM_BINS), np.float32)
    for start, feature, target in zip(starts.tolist(), features, targets, strict=False):
        first = start + HISTORY_FRAMES
        for joined, block in ((all_features, feature), (all_targets, target)):
            joined[start:first] = block[0]
            joined[first : first + len(block)] = block
    # Frames before this one in all mixtures, plus the histories of this mixture and those before it.
    owner = np.repeat(np.arange(len(counts)), counts)
    windows = np.arange(int(counts.sum())) + HISTORY_FRAMES * (owner + 1)
    return FrameSet(all_features, all_targets, windows.astype(np.int32), owner.astype(np.int32))
