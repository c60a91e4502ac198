"""Lists the clips of speech and noise corpora, in an order that depends on nothing but their names."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

from wordlength.errors import DataError
from wordlength.objectives.audio import builtin, layouts
from wordlength.objectives.audio.layouts import Clip
from wordlength.objectives.audio.settings import NOISE_KINDS, SPEECH_KINDS, CorpusSettings

__all__ = ["Clip", "read_noise", "read_speech"]


def read_speech(
    settings: CorpusSettings, cache: Path, progress: Callable[[int, int], None] | None = None
) -> list[Clip]:
    """List a speech corpus's clips; `cache` holds the built-in corpus, whose rendering calls `progress`.

    Raises DataError for a folder that is missing, holds no audio or has another layout.
    """
    match settings.kind:
        case "timit":
            clips = layouts.timit(_folder(settings))
        case "folder":
            clips = layouts.folder_speech(_folder(settings))
        case "builtin":
            clips = _builtin_speech(builtin.render(cache, progress))
        case _:
            raise DataError(
                f"speech corpora must be one of {', '.join(SPEECH_KINDS)}, but got {settings.kind!r} ({settings.path})"
            )
    return clips if settings.limit is None else _first_speakers(clips, settings.limit)


def read_noise(settings: CorpusSettings, cache: Path, progress: Callable[[int, int], None] | None = None) -> list[Clip]:
    """List a noise corpus's clips; `cache` holds the built-in corpus, whose rendering calls `progress`.

    Raises DataError for a folder that is missing, holds no audio or has another layout.
    """
    match settings.kind:
        case "urbansound8k":
            clips = layouts.urbansound(_folder(settings))
        case "esc":
            clips = layouts.esc(_folder(settings))
        case "folder":
            clips = layouts.folder_noise(_folder(settings))
        case "builtin":
            clips = _builtin_noise(builtin.render(cache, progress))
        case _:
            raise DataError(
                f"noise corpora must be one of {', '.join(NOISE_KINDS)}, but got {settings.kind!r} ({settings.path})"
            )
    return clips if settings.limit is None else _first_recordings(clips, settings.limit)


def _folder(settings: CorpusSettings) -> Path:
    assert settings.path is not None  # CorpusSettings has checked it
    if not settings.path.is_dir():
        raise DataError(f"corpus folders must exist, but got {settings.path} (corpus {settings.kind})")
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
        by_label.setdefault(clip.label, {})[clip.group] = None
    turns = zip_longest(*(by_label[label] for label in sorted(by_label)))
    kept = set([speaker for turn in turns for speaker in turn if speaker is not None][:limit])
    return [clip for clip in clips if clip.group in kept]


def _first_recordings(clips: list[Clip], limit: int) -> list[Clip]:
    recordings: dict[str, dict[str, None]] = {}
    for clip in clips:
        recordings.setdefault(clip.group, {})[clip.source] = None
    kept = {(group, source) for group, sources in recordings.items() for source in list(sources)[:limit]}
    return [clip for clip in clips if (clip.group, clip.source) in kept]
