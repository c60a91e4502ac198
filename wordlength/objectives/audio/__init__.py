"""Speech in noise: corpora, mixtures at a given signal-to-noise ratio, features and ideal ratio masks."""

from typing import TYPE_CHECKING

from wordlength.lazy import lazy_names

if TYPE_CHECKING:
    from wordlength.objectives.audio.dataset import prepare, subsets
    from wordlength.objectives.audio.files import SAMPLE_RATE_HZ, read_audio
    from wordlength.objectives.audio.prepared import FrameSet, MixtureSet, PreparedData
    from wordlength.objectives.audio.settings import (
        CORPUS_KINDS,
        CorpusSettings,
        DataSettings,
        PairSettings,
        RoomSettings,
    )

_HOMES = {
    "wordlength.objectives.audio.dataset": ["prepare", "subsets"],
    "wordlength.objectives.audio.files": ["SAMPLE_RATE_HZ", "read_audio"],
    "wordlength.objectives.audio.prepared": ["FrameSet", "MixtureSet", "PreparedData"],
    "wordlength.objectives.audio.settings": [
        "CORPUS_KINDS",
        "CorpusSettings",
        "DataSettings",
        "PairSettings",
        "RoomSettings",
    ],
}

__all__ = [
    "CORPUS_KINDS",
    "SAMPLE_RATE_HZ",
    "CorpusSettings",
    "DataSettings",
    "FrameSet",
    "MixtureSet",
    "PairSettings",
    "PreparedData",
    "RoomSettings",
    "prepare",
    "read_audio",
    "subsets",
]

__getattr__ = lazy_names("wordlength.objectives.audio", _HOMES)
