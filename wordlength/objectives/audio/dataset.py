"""From corpora to arrays: lists the clips, splits them, mixes, takes features, and keeps the result in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordlength.objectives.audio import store
from wordlength.objectives.audio.assemble import frames_of, mixtures_of, signal_of, standardise
from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.mixing import Mixture
from wordlength.objectives.audio.planning import (
    Material,
    contents_of,
    plan_of,
    read_material,
    subset_of,
    without_copies,
)
from wordlength.objectives.audio.prepared import FrameSet, PreparedData
from wordlength.objectives.audio.scoring import require_measure
from wordlength.objectives.audio.settings import DataSettings
from wordlength.stages import StageProgress, stage

FEATURES_VERSION = 1  # part of the digest; raise it whenever the same audio would give other arrays


def prepare(settings: DataSettings, cache: Path, progress: StageProgress | None = None) -> PreparedData:
    """Prepare the data of a study, or read it from `cache` where the same data was prepared before.

    The same settings and audio give the same bits, whether the cache is warm or not; a damaged cache is rebuilt.
    Files whose path, size and time of change are known are not read again.
    `progress(stage, done, total)` is told of "render", "hash", "train", "validation" and "test".
    Raises DataError for data that cannot be used.
    """
    report = progress or (lambda stage, done, total: None)
    require_measure(settings.target.score_measure)
    material = read_material(settings, cache, stage("render", report))
    stamp = _stamp(settings, material)
    known = store.recall(stamp, cache)
    data = store.load(known, cache) if known else None
    if data is None:
        data = _prepare_from_contents(settings, material, cache, report)
        store.remember(stamp, data.digest, cache)
    return data


def subsets(
    settings: DataSettings,
    train: FrameSet,
    fractions: Iterable[float],
    cache: Path,
    progress: StageProgress | None = None,
) -> dict[float, NDArray[np.int32]]:
    """Per fraction, the training windows of the representative subset that `subset_fraction` would make of it.

    `train`: the study's training frames, which are not prepared again; the files' contents are read, since copies
    of a clip count once. Raises DataError.
    """
    report = progress or (lambda stage, done, total: None)
    material = read_material(settings, cache, stage("render", report))
    plan = plan_of(settings, without_copies(material, contents_of(material.clips(), stage("hash", report))))
    return {
        fraction: _windows_of(subset_of(replace(settings, subset_fraction=fraction), plan.train), train)
        for fraction in fractions
    }


def _prepare_from_contents(
    settings: DataSettings, material: Material, cache: Path, report: StageProgress
) -> PreparedData:
    contents = contents_of(material.clips(), stage("hash", report))
    digest = _digest(settings, material, contents)
    data = store.load(digest, cache)
    if data is None:
        data = _build(settings, without_copies(material, contents), digest, report)
        store.save(data, cache)
    return data


def _build(settings: DataSettings, material: Material, digest: str, report: StageProgress) -> PreparedData:
    plan = plan_of(settings, material)
    features, target = settings.features, settings.target
    train = frames_of(plan.train, features, target, stage("train", report))
    signal = signal_of(train, features, target)
    validation = mixtures_of(plan.validation, signal, stage("validation", report))
    test = mixtures_of(plan.test, signal, stage("test", report))
    for frames in (train, validation.frames, test.frames):
        standardise(frames, signal)
    subset = subset_of(settings, plan.train)
    return PreparedData(
        train=train,
        subset_windows=_windows_of(subset, train),
        validation=validation,
        test=test,
        signal=signal,
        digest=digest,
        summary={
            "features_version": FEATURES_VERSION,
            "snr_db": list(settings.snr_db),
            "features": features.kind,
            "sample_rate_hz": features.sample_rate_hz,
            "target": target.kind,
            "speech_corpora": sorted({clip.corpus for clip in material.speech}),
            "noise_corpora": sorted({clip.corpus for clip in material.noise}),
            "pair_corpora": sorted({pair.clean.corpus for pair in material.pairs}),
            "room_corpora": sorted({clip.corpus for clip in material.rooms}),
            "train": _summary(plan.train, _seconds(train, settings)),
            "subset": _summary([plan.train[index] for index in subset], {}),
            "validation": _summary(plan.validation, _seconds(validation.frames, settings)) | validation.noisy_scores,
            "test": _summary(plan.test, _seconds(test.frames, settings)) | test.noisy_scores,
        },
    )


def _windows_of(mixtures: NDArray[np.int64], train: FrameSet) -> NDArray[np.int32]:
    return train.windows[np.isin(train.mixture_of_window, mixtures)]


def _stamp(settings: DataSettings, material: Material) -> str:
    """A key that changes whenever a file seems changed; cheaper than its contents."""
    files = []
    for clip in material.clips():
        status = clip.path.stat()
        files.append([*_identity(clip), str(clip.path.resolve()), status.st_size, status.st_mtime_ns])
    return _hash([_choices(settings), _roles(material), files])


def _digest(settings: DataSettings, material: Material, contents: dict[Path, str]) -> str:
    """Of contents, not paths: the same corpora elsewhere, or on another machine, have the same digest."""
    files = [[*_identity(clip), contents[clip.path]] for clip in material.clips()]
    return _hash([_choices(settings), _roles(material), files])


def _identity(clip: Clip) -> list[str]:
    return [clip.corpus, clip.group, clip.source, clip.label, clip.split]


def _roles(material: Material) -> list[Any]:
    """What each clip of `Material.clips` is there for."""
    levels = [[pair.snr_db, pair.given] for pair in material.pairs]
    return [len(material.speech), len(material.noise), levels, len(material.rooms)]


def _choices(settings: DataSettings) -> list[Any]:
    """All settings but the corpora, which the clips stand for."""
    return [
        FEATURES_VERSION,
        [float(level) for level in settings.snr_db],
        settings.mixtures_per_utterance,
        float(settings.validation_fraction),
        float(settings.test_fraction),
        float(settings.subset_fraction),
        [float(settings.room_share), float(settings.early_ms)] if settings.rooms else None,
        settings.validation_mixtures,
        settings.seed,
        list(_signal_choices(settings)),
    ]


def _signal_choices(settings: DataSettings) -> Iterator[Any]:
    """Every number of features and target as it is used: a default is the same whether written out or not."""
    features, target = settings.features, settings.target
    yield from (features.kind, features.sample_rate_hz, features.frame_samples, features.hop_samples, features.bins)
    yield from (target.kind, float(target.criterion), target.score_measure, *target.context(features))


def _hash(value: list[Any]) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _seconds(frames: FrameSet, settings: DataSettings) -> dict[str, float]:
    """How long the frames are together, repeated ones left out."""
    steps = frames.windows.size * (settings.shape.frames if settings.target.outputs_per_mixture else 1)
    return {"seconds": round(steps * settings.features.hop_samples / settings.features.sample_rate_hz, 3)}


def _summary(plan: Sequence[Mixture], seconds: dict[str, float]) -> dict[str, Any]:
    return seconds | {
        "mixtures": len(plan),
        "utterances": len({mixture.clean.source for mixture in plan}),
        "speakers": sorted({mixture.speaker for mixture in plan}),
        "noise_classes": sorted({mixture.noise_class for mixture in plan}),
        "noise_recordings": len({mixture.noise.source for mixture in plan}),
    }
