"""From corpora to arrays: lists the clips, splits them, mixes, takes features, and keeps the result in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordlength.objectives.audio import store
from wordlength.objectives.audio.assemble import frames_of, mixtures_of, signal_of, standardise
from wordlength.objectives.audio.corpora import Clip, read_noise, read_speech
from wordlength.objectives.audio.files import file_sha256
from wordlength.objectives.audio.mixing import Mixture, plan_mixtures, representative_subset, split_groups
from wordlength.objectives.audio.prepared import FrameSet, MixtureSet, PreparedData
from wordlength.objectives.audio.scoring import require_measure
from wordlength.objectives.audio.settings import DataSettings

__all__ = ["FEATURES_VERSION", "DataSettings", "FrameSet", "MixtureSet", "PreparedData", "prepare", "subsets"]

FEATURES_VERSION = 1  # part of the digest; raise it whenever the same audio would give other arrays
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class _Plan:
    train: tuple[Mixture, ...]
    validation: tuple[Mixture, ...]
    test: tuple[Mixture, ...]


def prepare(settings: DataSettings, cache: Path, progress: Progress | None = None) -> PreparedData:
    """Prepare the data of a study, or read it from `cache` where the same data was prepared before.

    The same settings and audio give the same bits, whether the cache is warm or not; a damaged cache is rebuilt.
    Files whose path, size and time of change are known are not read again.
    `progress(stage, done, total)` is told of "render", "hash", "train", "validation" and "test".
    Raises DataError for data that cannot be used.
    """
    report = progress or (lambda stage, done, total: None)
    require_measure(settings.target.score_measure)
    speech, noise = _clips(settings, cache, report)
    stamp = _stamp(settings, speech, noise)
    known = store.recall(stamp, cache)
    data = store.load(known, cache) if known else None
    if data is None:
        data = _prepare_from_contents(settings, speech, noise, cache, report)
        store.remember(stamp, data.digest, cache)
    return data


def subsets(
    settings: DataSettings, train: FrameSet, fractions: Iterable[float], cache: Path, progress: Progress | None = None
) -> dict[float, NDArray[np.int32]]:
    """Per fraction, the training windows of the representative subset that `subset_fraction` would make of it.

    `train`: the study's training frames, which are not prepared again; the files' contents are read, since copies
    of a clip count once. Raises DataError.
    """
    report = progress or (lambda stage, done, total: None)
    speech, noise = _clips(settings, cache, report)
    contents = _contents((*speech, *noise), _stage("hash", report))
    plan = _plan(settings, _distinct(speech, contents), _distinct(noise, contents))
    return {
        fraction: _windows_of(_subset(replace(settings, subset_fraction=fraction), plan.train), train)
        for fraction in fractions
    }


def _prepare_from_contents(
    settings: DataSettings, speech: Sequence[Clip], noise: Sequence[Clip], cache: Path, report: Progress
) -> PreparedData:
    contents = _contents((*speech, *noise), _stage("hash", report))
    digest = _digest(settings, speech, noise, contents)
    data = store.load(digest, cache)
    if data is None:
        data = _build(settings, _distinct(speech, contents), _distinct(noise, contents), digest, report)
        store.save(data, cache)
    return data


def _build(
    settings: DataSettings, speech: Sequence[Clip], noise: Sequence[Clip], digest: str, report: Progress
) -> PreparedData:
    plan = _plan(settings, speech, noise)
    features, target = settings.features, settings.target
    train = frames_of(plan.train, features, target, _stage("train", report))
    signal = signal_of(train, features, target)
    validation = mixtures_of(plan.validation, signal, _stage("validation", report))
    test = mixtures_of(plan.test, signal, _stage("test", report))
    for frames in (train, validation.frames, test.frames):
        standardise(frames, signal)
    subset = _subset(settings, plan.train)
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
            "speech_corpora": sorted({clip.corpus for clip in speech}),
            "noise_corpora": sorted({clip.corpus for clip in noise}),
            "train": _summary(plan.train, _seconds(train, settings)),
            "subset": _summary([plan.train[index] for index in subset], {}),
            "validation": _summary(plan.validation, _seconds(validation.frames, settings))
            | {"noisy_stoi": float(validation.noisy_stoi.mean())},
            "test": _summary(plan.test, _seconds(test.frames, settings))
            | {"noisy_stoi": float(test.noisy_stoi.mean())},
        },
    )


def _subset(settings: DataSettings, train: Sequence[Mixture]) -> NDArray[np.int64]:
    return representative_subset(train, settings.subset_fraction, _seed(settings, 6))


def _windows_of(mixtures: NDArray[np.int64], train: FrameSet) -> NDArray[np.int32]:
    return train.windows[np.isin(train.mixture_of_window, mixtures)]


def _clips(settings: DataSettings, cache: Path, report: Progress) -> tuple[list[Clip], list[Clip]]:
    render = _stage("render", report)
    speech = [clip for corpus in settings.speech for clip in read_speech(corpus, cache, render)]
    noise = [clip for corpus in settings.noise for clip in read_noise(corpus, cache, render)]
    return speech, noise


def _plan(settings: DataSettings, speech: Sequence[Clip], noise: Sequence[Clip]) -> _Plan:
    """Split speakers and noise recordings, and pair them; every part has a seed of its own."""
    shares = {"validation_fraction": settings.validation_fraction, "test_fraction": settings.test_fraction}
    voices = split_groups(speech, by="speaker", seed=_seed(settings, 1), **shares)
    sounds = split_groups(noise, by="recording", seed=_seed(settings, 2), **shares)
    plans = [
        plan_mixtures(voice, sound, settings.snr_db, settings.mixtures_per_utterance, _seed(settings, stream))
        for voice, sound, stream in (
            (voices.train, sounds.train, 3),
            (voices.validation, sounds.validation, 4),
            (voices.test, sounds.test, 5),
        )
    ]
    cap = settings.validation_mixtures
    if cap is not None and cap < len(plans[1]):
        kept = representative_subset(plans[1], cap / len(plans[1]), _seed(settings, 7))
        plans[1] = tuple(plans[1][index] for index in kept)
    return _Plan(*plans)


def _seed(settings: DataSettings, stream: int) -> int:
    """An independent seed per purpose, so that e.g. the mixtures do not change with the split."""
    return int(np.random.SeedSequence([settings.seed, stream]).generate_state(1)[0])


def _contents(clips: Iterable[Clip], progress: Callable[[int, int], None]) -> dict[Path, str]:
    paths = sorted({clip.path for clip in clips})
    hashes = {}
    for done, path in enumerate(paths, 1):
        hashes[path] = file_sha256(path)
        progress(done, len(paths))
    return hashes


def _distinct(clips: Sequence[Clip], contents: dict[Path, str]) -> list[Clip]:
    """Drop copies of earlier clips: under two names, one clip could be in training and in test."""
    first: dict[str, Clip] = {}
    for clip in clips:
        first.setdefault(contents[clip.path], clip)
    return list(first.values())


def _stamp(settings: DataSettings, speech: Sequence[Clip], noise: Sequence[Clip]) -> str:
    """A key that changes whenever a file seems changed; cheaper than its contents."""
    files = []
    for clip in (*speech, *noise):
        status = clip.path.stat()
        files.append([*_identity(clip), str(clip.path.resolve()), status.st_size, status.st_mtime_ns])
    return _hash([_choices(settings), len(speech), files])


def _digest(settings: DataSettings, speech: Sequence[Clip], noise: Sequence[Clip], contents: dict[Path, str]) -> str:
    """Of contents, not paths: the same corpora elsewhere, or on another machine, have the same digest."""
    files = [[*_identity(clip), contents[clip.path]] for clip in (*speech, *noise)]
    return _hash([_choices(settings), len(speech), files])


def _identity(clip: Clip) -> list[str]:
    return [clip.corpus, clip.group, clip.source, clip.label]


def _choices(settings: DataSettings) -> list[Any]:
    """All settings but the corpora, which the clips stand for."""
    return [
        FEATURES_VERSION,
        [float(level) for level in settings.snr_db],
        settings.mixtures_per_utterance,
        float(settings.validation_fraction),
        float(settings.test_fraction),
        float(settings.subset_fraction),
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


def _stage(name: str, report: Progress) -> Callable[[int, int], None]:
    return lambda done, total: report(name, done, total)
