"""What a study's data is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from wordlength.errors import DataError
from wordlength.objectives.audio.signal import FeatureSettings, TargetSettings, require_fitting
from wordlength.objectives.shape import NetworkShape
from wordlength.strict import STRICT

CORPUS_KINDS = ("timit", "urbansound8k", "esc", "folder", "builtin")
SPEECH_KINDS = ("timit", "folder", "builtin")
NOISE_KINDS = ("urbansound8k", "esc", "folder", "builtin")


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """Which corpus to read, and from where. Raises DataError for fields that do not fit each other."""

    __pydantic_config__: ClassVar = STRICT

    kind: str
    """Layout: timit, urbansound8k, esc, folder (any tree of audio files) or builtin (made by espeak-ng)."""
    path: Path | None = None
    """The corpus folder; none for builtin."""
    limit: int | None = None
    """Only the first so many speakers, in turn from both sexes, or recordings of each noise class."""

    def __post_init__(self) -> None:
        """Check the fields against each other."""
        if self.kind not in CORPUS_KINDS:
            raise DataError(f"corpus kind must be one of {', '.join(CORPUS_KINDS)}, but got {self.kind!r}")
        if self.kind == "builtin" and self.path is not None:
            raise DataError(f"the builtin corpus takes no path, but got {self.path}")
        if self.kind != "builtin" and self.path is None:
            raise DataError(f"corpus kind {self.kind!r} needs a path, but got none")
        if self.limit is not None and self.limit < 1:
            raise DataError(f"limit must be at least 1, but got {self.limit} (corpus {self.kind})")


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What to train and measure on. Raises DataError for a value out of range."""

    __pydantic_config__: ClassVar = STRICT

    speech: tuple[CorpusSettings, ...]
    """Corpora of clean speech."""
    noise: tuple[CorpusSettings, ...]
    """Corpora of noise."""
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
        _require_corpora("speech", self.speech, SPEECH_KINDS)
        _require_corpora("noise", self.noise, NOISE_KINDS)
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
