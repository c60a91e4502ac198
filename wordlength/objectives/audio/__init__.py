"""Speech in noise: corpora, mixtures at a given signal-to-noise ratio, features and ideal ratio masks."""

from wordlength.objectives.audio.corpora import CORPUS_KINDS, CorpusSettings
from wordlength.objectives.audio.dataset import DataSettings, FrameSet, MixtureSet, PreparedData, prepare
from wordlength.objectives.audio.files import SAMPLE_RATE_HZ, DataError, read_audio

__all__ = [
    "CORPUS_KINDS",
    "SAMPLE_RATE_HZ",
    "CorpusSettings",
    "DataError",
    "DataSettings",
    "FrameSet",
    "MixtureSet",
    "PreparedData",
    "prepare",
    "read_audio",
]
