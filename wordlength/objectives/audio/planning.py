"""What a study's corpora hold, how it is split, and which mixtures each part is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wordlength.digests import file_sha256
from wordlength.errors import DataError
from wordlength.objectives.audio.corpora import read_noise, read_pairs, read_rooms, read_speech
from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.mixing import Mixture, plan_mixtures, representative_subset
from wordlength.objectives.audio.rooms import in_rooms
from wordlength.objectives.audio.settings import DataSettings
from wordlength.objectives.audio.splits import Split, SplitUnit, split_groups
from wordlength.stages import Progress

PARTS = ("train", "validation", "test")

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Material:
    """What the corpora hold: clips to be mixed, mixtures that are given, impulse responses of rooms."""

    speech: tuple[Clip, ...]
    noise: tuple[Clip, ...]
    pairs: tuple[Mixture, ...] = ()
    rooms: tuple[Clip, ...] = ()

    def clips(self) -> Iterator[Clip]:
        """Every clip, those of pairs as clean and noisy one after the other."""
        yield from self.speech
        yield from self.noise
        for pair in self.pairs:
            yield from (pair.clean, pair.noise)
        yield from self.rooms


@dataclass(frozen=True, slots=True)
class Plan:
    """The mixtures of each part."""

    train: tuple[Mixture, ...]
    validation: tuple[Mixture, ...]
    test: tuple[Mixture, ...]

    @property
    def parts(self) -> dict[str, tuple[Mixture, ...]]:
        """Name → mixtures, in the order of PARTS."""
        return {part: getattr(self, part) for part in PARTS}


def read_material(
    settings: DataSettings,
    cache: Path,
    render: Progress | None = None,
    problems: list[str] | None = None,
) -> Material:
    """List all corpora; `render` is told how far the built-in one is.

    A corpus that cannot be listed is left out and told in `problems`; without that list it raises DataError.
    """

    def found(read: Callable[[Any], Sequence[Any]], corpora: Iterable[Any]) -> Iterator[Any]:
        for corpus in corpora:
            try:
                yield from read(corpus)
            except DataError as error:
                if problems is None:
                    raise
                problems.append(str(error))

    return Material(
        speech=tuple(found(lambda corpus: read_speech(corpus, cache, render), settings.speech)),
        noise=tuple(found(lambda corpus: read_noise(corpus, cache, render), settings.noise)),
        pairs=tuple(found(read_pairs, settings.pairs)),
        rooms=tuple(found(read_rooms, settings.rooms)),
    )


def plan_of(settings: DataSettings, material: Material) -> Plan:
    """Split speakers, noise recordings and rooms, and pair them; every purpose has a seed of its own.

    The speakers of pairs are split together with the others; their noise comes along with them.
    Raises DataError where there is too little for three parts.
    """
    # A speaker, even a clip, may be both in pairs and in speech to be mixed, and is then drawn once.
    spoken = dict.fromkeys((*material.speech, *(pair.clean for pair in material.pairs)))
    voices = _split(settings, tuple(spoken), "speaker", 1)
    sounds = _split(settings, material.noise, "recording", 2) if material.noise else Split((), (), ())
    rooms = _split(settings, material.rooms, "room", 8) if material.rooms else Split((), (), ())
    known = set(material.speech)
    plans = []
    for number, part in enumerate(PARTS):
        own: tuple[Clip, ...] = getattr(voices, part)
        mixed = plan_mixtures(
            [clip for clip in own if clip in known],
            getattr(sounds, part),
            settings.snr_db,
            settings.mixtures_per_utterance,
            seed_of(settings, 3 + number),
        )
        if material.rooms:
            seed = seed_of(settings, 9 + number)
            mixed = in_rooms(mixed, getattr(rooms, part), settings.room_share, settings.early_ms, seed)
        plans.append((*mixed, *_pairs_of(material.pairs, {clip.group for clip in own}, seed_of(settings, 12 + number))))
    return Plan(plans[0], _capped(settings, plans[1]), plans[2])


def subset_of(settings: DataSettings, train: Sequence[Mixture]) -> NDArray[np.int64]:
    """Indices of the training mixtures in the representative subset, int64 `(k,)`."""
    return representative_subset(train, settings.subset_fraction, seed_of(settings, 6))


def contents_of(clips: Iterable[Clip], progress: Progress) -> dict[Path, str]:
    """SHA-256 per file. Raises OSError."""
    return file_by_file(file_sha256, clips, progress)


def file_by_file(read: Callable[[Path], Read], clips: Iterable[Clip], progress: Progress) -> dict[Path, Read]:
    """What `read` gives for each file, once; `progress(done, total)` after each."""
    paths = sorted({clip.path for clip in clips})
    found = {}
    for done, path in enumerate(paths, 1):
        found[path] = read(path)
        progress(done, len(paths))
    return found


def without_copies(material: Material, contents: Mapping[Path, str]) -> Material:
    """Drop copies of earlier clips: under two names, one clip could be in training and in test."""
    pairs: dict[tuple[str, str], Mixture] = {}
    for pair in material.pairs:
        pairs.setdefault((contents[pair.clean.path], contents[pair.noise.path]), pair)
    return Material(
        _distinct(material.speech, contents),
        _distinct(material.noise, contents),
        tuple(pairs.values()),
        _distinct(material.rooms, contents),
    )


def seed_of(settings: DataSettings, stream: int) -> int:
    """An independent seed per purpose, so that e.g. the mixtures do not change with the split."""
    return int(np.random.SeedSequence([settings.seed, stream]).generate_state(1)[0])


def _split(settings: DataSettings, clips: Sequence[Clip], by: SplitUnit, stream: int) -> Split:
    shares = {"validation_fraction": settings.validation_fraction, "test_fraction": settings.test_fraction}
    return split_groups(clips, by=by, seed=seed_of(settings, stream), **shares)


def _pairs_of(pairs: Sequence[Mixture], speakers: set[str], seed: int) -> Iterator[Mixture]:
    """The pairs of these speakers, each with a seed, for some have noise that is still to be mixed."""
    own = [pair for pair in pairs if pair.clean.group in speakers]
    seeds = np.random.SeedSequence(seed).generate_state(max(1, len(own)), np.uint64) >> np.uint64(1)
    for pair, number in zip(own, seeds.tolist(), strict=False):
        yield pair if pair.given else replace(pair, seed=number)


def _capped(settings: DataSettings, validation: tuple[Mixture, ...]) -> tuple[Mixture, ...]:
    cap = settings.validation_mixtures
    if cap is None or cap >= len(validation):
        return validation
    kept = representative_subset(validation, cap / len(validation), seed_of(settings, 7))
    return tuple(validation[index] for index in kept)


def _distinct(clips: Sequence[Clip], contents: Mapping[Path, str]) -> tuple[Clip, ...]:
    first: dict[str, Clip] = {}
    for clip in clips:
        first.setdefault(contents[clip.path], clip)
    return tuple(first.values())
