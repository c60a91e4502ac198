"""Prepared data as plain NumPy arrays and strings: what training, analysis and STOI read, and workers share.

Pickle protocol 5 carries every array out of band, without a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordlength.arrays import DoubleArray, FloatArray
from wordlength.objectives.audio.signal_settings import FeatureSettings, TargetSettings
from wordlength.objectives.shape import NetworkShape


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """What features and targets are, and how both were standardised.

    mean, std: of the training frames' features before they were standardised, float32 `(bins,)`.
    target_mean, target_std: of their targets, float32 `(outputs,)`; 0 and 1 where targets stay as they are.
    """

    features: FeatureSettings
    target: TargetSettings
    mean: FloatArray
    std: FloatArray
    target_mean: FloatArray
    target_std: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FrameSet:
    """All frames of some mixtures, one mixture after another.

    A mixture stands between `before` copies of its first frame and `after` copies of its last; mixtures that are cut
    into segments have no copies.

    features: standardised, float32 `(padded_frames, bins)`. targets: float32 `(padded_frames, outputs)`.
    windows: index of the current frame of every window, int32 `(n,)`;
    window k is `features[windows[k] - before : windows[k] + after + 1]` with the target `targets[windows[k]]`.
    mixture_of_window: number of the mixture a window belongs to, int32 `(n,)`.
    before, after: frames of a window before and after its current one.
    """

    features: FloatArray
    targets: FloatArray
    windows: NDArray[np.int32]
    mixture_of_window: NDArray[np.int32]
    before: int
    after: int

    def windows_of(self, mixture: int) -> NDArray[np.int32]:
        """The windows of one mixture in time order, int32 `(frames,)`."""
        low, high = np.searchsorted(self.mixture_of_window, [mixture, mixture + 1])
        return self.windows[low:high]


@dataclass(frozen=True, slots=True, eq=False)
class MixtureSet:
    """Mixtures to be measured on: waveforms, features, and what the noisy mixtures score by STOI.

    clean, noisy: all waveforms end to end, float32 `(samples,)`, at the rate of `signal.features`; mixture i lies at
    offsets[i]:offsets[i + 1].
    offsets: int64 `(m + 1,)`. noisy_stoi: STOI of clean against noisy, float64 `(m,)`. snr_db: float64 `(m,)`.
    """

    clean: FloatArray
    noisy: FloatArray
    offsets: NDArray[np.int64]
    noisy_stoi: DoubleArray
    snr_db: DoubleArray
    speakers: tuple[str, ...]
    noise_classes: tuple[str, ...]
    names: tuple[str, ...]
    frames: FrameSet
    signal: Signal

    def __len__(self) -> int:
        """The number of mixtures."""
        return len(self.names)

    def mixture(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Clean and noisy waveform of one mixture, each float32 `(samples,)`, views of the whole."""
        if not 0 <= index < len(self):
            raise IndexError(f"mixture must be between 0 and {len(self) - 1}, but got {index}")
        place = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.clean[place], self.noisy[place]

    @property
    def noisy_scores(self) -> dict[str, float]:
        """What the noisy mixtures score: mean STOI; where scores are what is learned, the lowest and highest."""
        target = self.signal.target
        if not target.outputs_per_mixture:
            return {"noisy_stoi": float(self.noisy_stoi.mean())}
        scores, measure = self.frames.targets, target.score_measure
        return {f"lowest_{measure}": float(scores.min()), f"highest_{measure}": float(scores.max())}


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """Everything a study trains on and measures with.

    subset_windows: those of `train.windows` that belong to the representative subset, int32 `(k,)`.
    digest: SHA-256 over the contents of all audio, the settings and the features' version.
    summary: what was prepared, in JSON types.
    """

    train: FrameSet
    subset_windows: NDArray[np.int32]
    validation: MixtureSet
    test: MixtureSet
    signal: Signal
    digest: str
    summary: dict[str, Any]

    @property
    def features(self) -> FeatureSettings:
        """How sound became the network's input."""
        return self.signal.features

    @property
    def target(self) -> TargetSettings:
        """What the network learns."""
        return self.signal.target

    @property
    def shape(self) -> NetworkShape:
        """What a network is given and gives."""
        frames = self.train
        return NetworkShape(frames.before + 1 + frames.after, frames.features.shape[1], frames.targets.shape[1])


def spread(windows: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """At most `count` of the windows, evenly spaced over all of them."""
    chosen = np.linspace(0, len(windows) - 1, min(count, len(windows))).astype(int)
    return np.asarray(windows[chosen], np.int32)


def join_frames(features: Sequence[FloatArray], targets: Sequence[FloatArray], before: int, after: int) -> FrameSet:
    """Lay the mixtures' features `(frames, bins)` and targets `(frames, outputs)` end to end; each frame is a window.

    The first frame of a mixture is repeated before it, the last one after it.
    """
    counts = np.array([len(block) for block in features], np.int64)
    starts = np.concatenate([[0], np.cumsum(counts + before + after)])
    all_features = np.empty((int(starts[-1]), features[0].shape[1]), np.float32)
    all_targets = np.empty((int(starts[-1]), targets[0].shape[1]), np.float32)
    for start, feature, target in zip(starts.tolist(), features, targets, strict=False):
        first, end = start + before, start + before + len(feature)
        for joined, block in ((all_features, feature), (all_targets, target)):
            joined[start:first] = block[0]
            joined[first:end] = block
            joined[end : end + after] = block[-1]
    # Frames before this one in all mixtures, plus the copies around those mixtures, and before this one.
    owner = np.repeat(np.arange(len(counts)), counts)
    windows = np.arange(int(counts.sum())) + before * (owner + 1) + after * owner
    return FrameSet(all_features, all_targets, windows.astype(np.int32), owner.astype(np.int32), before, after)


def join_segments(features: Sequence[FloatArray], targets: Sequence[FloatArray], frames: int) -> FrameSet:
    """Lay mixtures of whole segments of so many frames each end to end; each segment is a window."""
    counts = np.array([len(block) // frames for block in features], np.int64)
    assert all(len(block) == count * frames for block, count in zip(features, counts.tolist(), strict=True))
    windows = np.arange(1, int(counts.sum()) + 1) * frames - 1
    owner = np.repeat(np.arange(len(counts)), counts)
    all_features, all_targets = np.concatenate(features), np.concatenate(targets)
    return FrameSet(all_features, all_targets, windows.astype(np.int32), owner.astype(np.int32), frames - 1, 0)
