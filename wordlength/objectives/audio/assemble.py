"""Turns mixture plans into arrays: reads, mixes, takes features and targets, and scores the noisy mixtures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from wordlength.arrays import FloatArray
from wordlength.objectives.audio.features import features_of, stft
from wordlength.objectives.audio.files import read_audio
from wordlength.objectives.audio.mixing import Mixture
from wordlength.objectives.audio.prepared import FrameSet, MixtureSet, Signal, join_frames, join_segments
from wordlength.objectives.audio.rendering import rendered, snr_db_of
from wordlength.objectives.audio.scoring import score_of, stoi_of
from wordlength.objectives.audio.signal_settings import FeatureSettings, TargetSettings
from wordlength.objectives.audio.targets import frame_targets
from wordlength.stages import Progress

Block = tuple[FloatArray, FloatArray]
"""Features and targets of one mixture: `(frames, bins)`, `(frames, outputs)`."""
_SMALLEST_STD = 1e-3


def frames_of(
    plan: Sequence[Mixture], features: FeatureSettings, target: TargetSettings, progress: Progress
) -> FrameSet:
    """Features and targets (not yet standardised) of the planned mixtures; the waveforms are not kept.

    Raises DataError for a clip that cannot be scored, if the target is a score.
    """
    read = _reader(features)
    blocks: list[Block] = []
    for done, mixture in enumerate(plan, 1):
        clean, noisy = rendered(mixture, read, features.sample_rate_hz)
        score = _score(target, clean, noisy, features, mixture.clean.path) if target.outputs_per_mixture else None
        blocks.append(_block(clean, noisy, features, target, score))
        progress(done, len(plan))
    return _joined(blocks, features, target)


def mixtures_of(plan: Sequence[Mixture], signal: Signal, progress: Progress) -> MixtureSet:
    """Waveforms, features and targets (not yet standardised) and noisy STOI of the planned mixtures.

    Raises DataError for a clean clip with too little speech for STOI.
    """
    features, target = signal.features, signal.target
    read = _reader(features)
    pairs: list[tuple[FloatArray, FloatArray]] = []
    noisy_stoi: list[float] = []
    blocks: list[Block] = []
    for done, mixture in enumerate(plan, 1):
        clean, noisy = rendered(mixture, read, features.sample_rate_hz)
        pairs.append((clean, noisy))
        noisy_stoi.append(stoi_of(clean, noisy, features.sample_rate_hz, mixture.clean.path))
        score = noisy_stoi[-1]
        if target.outputs_per_mixture and target.score_measure != "stoi":
            score = _score(target, clean, noisy, features, mixture.clean.path)
        blocks.append(_block(clean, noisy, features, target, score))
        progress(done, len(plan))
    return MixtureSet(
        clean=np.concatenate([clean for clean, _ in pairs]),
        noisy=np.concatenate([noisy for _, noisy in pairs]),
        offsets=np.concatenate([[0], np.cumsum([clean.size for clean, _ in pairs])]).astype(np.int64),
        noisy_stoi=np.array(noisy_stoi, np.float64),
        snr_db=np.array([snr_db_of(mixture, *pair) for mixture, pair in zip(plan, pairs, strict=True)], np.float64),
        speakers=tuple(mixture.speaker for mixture in plan),
        noise_classes=tuple(mixture.noise_class for mixture in plan),
        names=tuple(mixture.name for mixture in plan),
        frames=_joined(blocks, features, target),
        signal=signal,
    )


def signal_of(train: FrameSet, features: FeatureSettings, target: TargetSettings) -> Signal:
    """What the training frames, not yet standardised, say about the signal."""
    mean, std = _moments(train.features, train, target)
    if target.kind == "spectrum":
        target_mean, target_std = _moments(train.targets, train, target)
    else:
        outputs = target.outputs(features)
        target_mean, target_std = np.zeros(outputs, np.float32), np.ones(outputs, np.float32)
    return Signal(features, target, mean, std, target_mean, target_std)


def standardise(frames: FrameSet, signal: Signal) -> None:
    """Subtract the mean and divide by the standard deviation, in place."""
    scaled = [(frames.features, signal.mean, signal.std)]
    if signal.target.kind == "spectrum":
        scaled.append((frames.targets, signal.target_mean, signal.target_std))
    for values, mean, std in scaled:
        np.subtract(values, mean, out=values)
        np.divide(values, std, out=values)


def _moments(values: FloatArray, frames: FrameSet, target: TargetSettings) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation per column over all frames, their copies left out: float32 `(columns,)` each."""
    rows = np.arange(len(values)) if target.outputs_per_mixture else frames.windows
    total = np.zeros(values.shape[1])
    squares = np.zeros_like(total)
    for start in range(0, rows.size, 65536):  # in blocks: a whole corpus in float64 would not fit
        block = values[rows[start : start + 65536]].astype(np.float64)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    mean = total / rows.size
    std = np.sqrt(np.maximum(squares / rows.size - mean**2, 0))
    return mean.astype(np.float32), np.maximum(std, _SMALLEST_STD).astype(np.float32)


def _reader(features: FeatureSettings) -> Callable[[Path], FloatArray]:
    @lru_cache(maxsize=512)
    def read(path: Path) -> FloatArray:
        return read_audio(path, features.sample_rate_hz)

    return read


def _score(
    target: TargetSettings, clean: FloatArray, noisy: FloatArray, features: FeatureSettings, path: Path
) -> float:
    return score_of(target.score_measure, clean, noisy, features.sample_rate_hz, path)


def _block(
    clean: FloatArray, noisy: FloatArray, features: FeatureSettings, target: TargetSettings, score: float | None
) -> Block:
    if target.outputs_per_mixture:
        assert score is not None
        heard = _segments(noisy, features, sum(target.context(features)) + 1)
        return heard, np.full((len(heard), 1), score, np.float32)
    noisy_spectrum = stft(noisy, features)
    return features_of(noisy_spectrum, features), frame_targets(stft(clean, features), noisy_spectrum, target)


def _segments(noisy: FloatArray, features: FeatureSettings, frames: int) -> FloatArray:
    """Features of whole segments of so many frames, end to end; what is left over at the end is not heard.

    Speech that is shorter than a segment is repeated, as a whole, until it fills one.
    """
    needed = frames * features.hop_samples
    repeated = np.tile(noisy, -(-needed // noisy.size))
    count = repeated.size // needed
    return features_of(stft(repeated, features), features)[: count * frames]


def _joined(blocks: Sequence[Block], features: FeatureSettings, target: TargetSettings) -> FrameSet:
    arrays = [block[0] for block in blocks], [block[1] for block in blocks]
    before, after = target.context(features)
    if target.outputs_per_mixture:
        return join_segments(*arrays, before + 1 + after)
    return join_frames(*arrays, before, after)
