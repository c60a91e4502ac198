"""Lists the clips of speech and noise corpora, in an order that depends on nothing but their names."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

from wordlength.errors import DataError
from wordlength.objectives.audio import builtin, layouts
from wordlength.objectives.audio.corpus_settings import (
    NOISE_KINDS,
    PAIR_KINDS,
    SPEECH_KINDS,
    CorpusSettings,
    PairSettings,
    RoomSettings,
)
from wordlength.objectives.audio.dns import dns_noise, dns_pairs, dns_speech
from wordlength.objectives.audio.listing import Clip
from wordlength.objectives.audio.manifest import manifest_noise, manifest_pairs, manifest_speech
from wordlength.objectives.audio.mixing import Mixture
from wordlength.objectives.audio.paired import paired
from wordlength.objectives.audio.rooms import list_rooms
from wordlength.objectives.audio.voicebank import voicebank_pairs, voicebank_speech
from wordlength.stages import Progress


def read_speech(settings: CorpusSettings, cache: Path, progress: Progress | None = None) -> list[Clip]:
    """List a speech corpus's clips; `cache` holds the built-in corpus, whose rendering calls `progress`.

    Raises DataError for a folder that is missing, holds no audio or has another layout.
    """
    match settings.kind:
        case "timit":
            clips = layouts.timit(_folder(settings))
        case "voicebank_demand":
            clips = voicebank_speech(_folder(settings))
        case "dns_challenge":
            clips = dns_speech(_folder(settings))
        case "folder":
            clips = layouts.folder_speech(_folder(settings))
        case "manifest":
            clips = manifest_speech(_table(settings))
        case "builtin":
            clips = _builtin_speech(builtin.render(cache, progress))
        case _:
            raise DataError(
                f"speech corpora must be one of {', '.join(SPEECH_KINDS)}, but got {settings.kind!r} ({settings.path})"
            )
    return clips if settings.limit is None else _first_speakers(clips, settings.limit)


def read_noise(settings: CorpusSettings, cache: Path, progress: Progress | None = None) -> list[Clip]:
    """List a noise corpus's clips; `cache` holds the built-in corpus, whose rendering calls `progress`.

    Raises DataError for a folder that is missing, holds no audio or has another layout.
    """
    match settings.kind:
        case "urbansound8k":
            clips = layouts.urbansound(_folder(settings))
        case "esc":
            clips = layouts.esc(_folder(settings))
        case "dns_challenge":
            clips = dns_noise(_folder(settings))
        case "folder":
            clips = layouts.folder_noise(_folder(settings))
        case "manifest":
            clips = manifest_noise(_table(settings))
        case "builtin":
            clips = _builtin_noise(builtin.render(cache, progress))
        case _:
            raise DataError(
                f"noise corpora must be one of {', '.join(NOISE_KINDS)}, but got {settings.kind!r} ({settings.path})"
            )
    return clips if settings.limit is None else _first_recordings(clips, settings.limit)


def read_pairs(settings: PairSettings) -> list[Mixture]:
    """List the mixtures that a corpus gives; their seeds are still 0.

    Raises DataError for a folder that is missing or has another layout, and for a noisy file without a clean one.
    """
    match settings.kind:
        case "voicebank_demand":
            pairs = voicebank_pairs(_folder(settings))
        case "dns_challenge":
            pairs = dns_pairs(_folder(settings))
        case "paired":
            pairs = paired(_folder(settings), settings.clean, settings.noisy)
        case "manifest":
            pairs = manifest_pairs(_table(settings))
        case _:
            raise DataError(f"pairs must be one of {', '.join(PAIR_KINDS)}, but got {settings.kind!r}")
    if settings.limit is None:
        return pairs
    kept = {clip.group for clip in _first_speakers([pair.clean for pair in pairs], settings.limit)}
    return [pair for pair in pairs if pair.clean.group in kept]


def read_rooms(settings: RoomSettings) -> list[Clip]:
    """List impulse responses by room. Raises DataError for a folder that is missing or holds no audio."""
    return list_rooms(settings.path)


def _folder(settings: CorpusSettings | PairSettings) -> Path:
    assert settings.path is not None  # CorpusSettings has checked it
    if not settings.path.is_dir():
        start = "a study file's paths start at data_root, or at WORDLENGTH_DATA"
        raise DataError(f"corpus folders must exist, but got {settings.path} (corpus {settings.kind}); {start}")
    return settings.path


def _table(settings: CorpusSettings | PairSettings) -> Path:
    assert settings.path is not None  # CorpusSettings has checked it
    if not settings.path.is_file():
        raise DataError(f"a manifest must be a CSV file, but got {settings.path} (corpus {settings.kind})")
    return settings.path


def _builtin_speech(folder: Path) -> list[Clip]:
    return [
        Clip(file, "builtin", f"builtin:{voice.name}", f"builtin:{voice.name}/{file.stem}", voice.sex)
        for voice in builtin.SPEAKERS
        for file in sorted((folder / "speech" / voice.name).glob("*.wav"))
    ]


def _builtin_noise(folder: Path) -> list[Clip]:
    return [
        Clip(file, "builtin", kind, f"builtin:{kind}/{file.stem}", kind)
        for kind in builtin.NOISES
        for file in sorted((folder / "noise" / kind).glob("*.wav"))
    ]


def _first_speakers(clips: list[Clip], limit: int) -> list[Clip]:
    by_label: dict[str, dict[str, None]] = {}
    for clip in clips:
        by_label.setdefault(f"{clip.split}/{clip.label}", {})[clip.group] = None
    turns = zip_longest(*(by_label[label] for label in sorted(by_label)))
    kept = set([speaker for turn in turns for speaker in turn if speaker is not None][:limit])
    return [clip for clip in clips if clip.group in kept]


def _first_recordings(clips: list[Clip], limit: int) -> list[Clip]:
    recordings: dict[str, dict[str, None]] = {}
    for clip in clips:
        recordings.setdefault(clip.group, {})[clip.source] = None
    kept = {(group, source) for group, sources in recordings.items() for source in list(sources)[:limit]}
    return [clip for clip in clips if (clip.group, clip.source) in kept]
