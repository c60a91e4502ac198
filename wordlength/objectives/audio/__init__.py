"""Speech in noise: corpora, mixtures at a given signal-to-noise ratio, features and training targets."""

from typing import TYPE_CHECKING

from wordlength.lazy import lazy_names

if TYPE_CHECKING:
    from wordlength.objectives.audio.corpus_settings import CorpusSettings, PairSettings, RoomSettings
    from wordlength.objectives.audio.dataset import prepare, subsets
    from wordlength.objectives.audio.files import SAMPLE_RATE_HZ, read_audio
    from wordlength.objectives.audio.prepared import FrameSet, MixtureSet, PreparedData, Signal
    from wordlength.objectives.audio.settings import DataSettings
    from wordlength.objectives.audio.signal_settings import FeatureSettings, TargetSettings
    from wordlength.objectives.audio.targets import Enhancer, scores

_HOMES = {
    "wordlength.objectives.audio.corpus_settings": ["CorpusSettings", "PairSettings", "RoomSettings"],
    "wordlength.objectives.audio.dataset": ["prepare", "subsets"],
    "wordlength.objectives.audio.files": ["SAMPLE_RATE_HZ", "read_audio"],
    "wordlength.objectives.audio.prepared": ["FrameSet", "MixtureSet", "PreparedData", "Signal"],
    "wordlength.objectives.audio.settings": ["DataSettings"],
    "wordlength.objectives.audio.signal_settings": ["FeatureSettings", "TargetSettings"],
    "wordlength.objectives.audio.targets": ["Enhancer", "scores"],
}

__all__ = [
    "SAMPLE_RATE_HZ",
    "CorpusSettings",
    "DataSettings",
    "Enhancer",
    "FeatureSettings",
    "FrameSet",
    "MixtureSet",
    "PairSettings",
    "PreparedData",
    "RoomSettings",
    "Signal",
    "TargetSettings",
    "prepare",
    "read_audio",
    "scores",
    "subsets",
]

__getattr__ = lazy_names("wordlength.objectives.audio", _HOMES)
