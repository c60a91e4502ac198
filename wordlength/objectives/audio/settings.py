"""What a study's data is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from wordlength.errors import DataError
from wordlength.objectives.audio.corpus_settings import (
    NOISE_KINDS,
    SPEECH_KINDS,
    CorpusSettings,
    PairSettings,
    RoomSettings,
)
from wordlength.objectives.audio.signal_settings import FeatureSettings, TargetSettings, require_fitting
from wordlength.objectives.shape import NetworkShape
from wordlength.strict import STRICT


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What to train and measure on. Raises DataError for a value out of range."""

    __pydantic_config__: ClassVar = STRICT

    speech: tuple[CorpusSettings, ...] = ()
    """Corpora of clean speech, to be mixed with the noise."""
    noise: tuple[CorpusSettings, ...] = ()
    """Corpora of noise."""
    pairs: tuple[PairSettings, ...] = ()
    """Corpora of mixtures that are given, noisy beside clean, instead of or besides those mixed here."""
    rooms: tuple[RoomSettings, ...] = ()
    """Folders of room impulse responses, in which a share of the speech is heard."""
    room_share: float = 0.5
    """Share of the mixtures whose speech is heard in one of the rooms, if there are any."""
    early_ms: float = 50.0
    """Milliseconds after the direct sound up to which a room's reflections belong to the clean speech."""
    snr_db: tuple[float, ...] = (0.0,)
    """Signal-to-noise ratios to mix at, in dB, each used equally often."""
    mixtures_per_utterance: int = 1
    """Noises that every sentence is mixed with."""
    validation_fraction: float = 0.2
    """Share of the speakers and of the noise recordings that trials are measured on."""
    test_fraction: float = 0.2
    """Share of the speakers and of the noise recordings that no trial hears."""
    subset_fraction: float = 0.25
    """Share of the training mixtures in the representative subset, which trials train on."""
    validation_mixtures: int | None = None
    """At most so many validation mixtures, chosen to represent all; by default all."""
    seed: int = 0
    """Fixes splits, mixtures and subset."""
    features: FeatureSettings = field(default_factory=FeatureSettings)
    """What the network hears."""
    target: TargetSettings = field(default_factory=TargetSettings)
    """What the network learns."""

    @property
    def shape(self) -> NetworkShape:
        """What a network is given and gives."""
        frames = sum(self.target.context(self.features)) + 1
        return NetworkShape(frames, self.features.bins, self.target.outputs(self.features))

    def __post_init__(self) -> None:
        """Check every field."""
        require_fitting(self.features, self.target)
        if self.speech or self.noise or not self.pairs:
            _require_corpora("speech", self.speech, SPEECH_KINDS)
            _require_corpora("noise", self.noise, NOISE_KINDS)
        _require_rooms(self)
        if not self.snr_db or not all(math.isfinite(level) and -60 <= level <= 60 for level in self.snr_db):
            raise DataError(f"snr_db must hold one or more levels between -60 and 60, but got {self.snr_db}")
        if self.mixtures_per_utterance < 1:
            raise DataError(f"mixtures_per_utterance must be at least 1, but got {self.mixtures_per_utterance}")
        fractions = (self.validation_fraction, self.test_fraction)
        if not all(0 < fraction < 1 for fraction in fractions) or sum(fractions) >= 1:
            raise DataError(
                "validation_fraction and test_fraction must be above 0 and leave something for training, "
                f"but got {self.validation_fraction} and {self.test_fraction}"
            )
        if not 0 < self.subset_fraction <= 1:
            raise DataError(f"subset_fraction must be above 0 and at most 1, but got {self.subset_fraction}")
        if self.validation_mixtures is not None and self.validation_mixtures < 1:
            raise DataError(f"validation_mixtures must be at least 1, but got {self.validation_mixtures}")
        if self.seed < 0:
            raise DataError(f"seed must not be negative, but got {self.seed}")


def _require_corpora(role: str, corpora: Sequence[CorpusSettings], kinds: Sequence[str]) -> None:
    if not corpora:
        raise DataError(f"{role} must name at least one corpus, but got none")
    for corpus in corpora:
        if corpus.kind not in kinds:
            raise DataError(f"{role} corpora must be one of {', '.join(kinds)}, but got {corpus.kind!r}")


def _require_rooms(settings: DataSettings) -> None:
    if settings.rooms and not settings.speech:
        raise DataError(f"rooms need speech to be heard in them, but got {len(settings.rooms)} and pairs only")
    if not 0 < settings.room_share <= 1:
        raise DataError(f"room_share must be above 0 and at most 1, but got {settings.room_share}")
    if not 0 <= settings.early_ms <= 1000:
        raise DataError(f"early_ms must be between 0 and 1000, but got {settings.early_ms}")
