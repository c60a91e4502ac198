"""What a network hears and what it learns: the study's keys `data.features` and `data.target`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from wordlength.errors import DataError
from wordlength.strict import STRICT

FEATURE_KINDS = ("log_mel", "log_spectrum")
TARGET_KINDS = ("irm", "ibm", "psm", "spectrum", "score")
SCORE_MEASURES = ("stoi", "pesq")
_LOOK_BACK = 15
_MEL_BINS = 64
_SEGMENT_SECONDS = 9.0


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """How sound becomes a network's input. Raises DataError for a value out of range."""

    __pydantic_config__: ClassVar = STRICT

    kind: Literal["log_mel", "log_spectrum"] = "log_mel"
    """log_mel: logarithm of the power in Mel bands; log_spectrum: log-magnitude of every bin of the spectrum."""
    sample_rate_hz: int = 16000
    """Everything is resampled to this rate when it is read: 8000 to 48000."""
    frame_samples: int = 256
    """Length of the Hann window that each spectrum is taken through."""
    hop_samples: int = 128
    """From one frame to the next; it divides the frame, and is at most half of it."""
    mel_bins: int | None = None
    """Mel bands, 64 by default; only for log_mel."""
    look_back: int | None = None
    """Past frames beside the current one, 15 by default."""
    look_ahead: int | None = None
    """Future frames beside the current one; by default none, so that the network waits for nothing."""

    @property
    def spectrum_bins(self) -> int:
        """Bins of a frame's spectrum, the constant component included."""
        return self.frame_samples // 2 + 1

    @property
    def bins(self) -> int:
        """Features of a frame."""
        return self.spectrum_bins if self.kind == "log_spectrum" else self._mel_bins

    @property
    def before(self) -> int:
        """Past frames beside the current one."""
        return _LOOK_BACK if self.look_back is None else self.look_back

    @property
    def after(self) -> int:
        """Future frames beside the current one."""
        return self.look_ahead or 0

    @property
    def _mel_bins(self) -> int:
        return _MEL_BINS if self.mel_bins is None else self.mel_bins

    def __post_init__(self) -> None:
        """Check every field."""
        _require_one_of("features kind", self.kind, FEATURE_KINDS)
        _require("sample_rate_hz", self.sample_rate_hz, 8000, 48000)
        _require("frame_samples", self.frame_samples, 16, 16384)
        _require("hop_samples", self.hop_samples, 1, self.frame_samples // 2, " (half a frame)")
        if self.frame_samples % self.hop_samples:
            raise DataError(
                f"hop_samples must divide frame_samples, but got {self.hop_samples} for frames of {self.frame_samples}"
            )
        if self.kind == "log_mel":
            bins = f" (the bins of a frame of {self.frame_samples} samples)"
            _require("mel_bins", self._mel_bins, 1, self.spectrum_bins, bins)
        elif self.mel_bins is not None:
            raise DataError(f"mel_bins must be left out for kind {self.kind}, but got {self.mel_bins}")
        _require("look_back", self.before, 0, 1000)
        _require("look_ahead", self.after, 0, 1000)


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """What a network learns. Raises DataError for a value out of range, or of another kind."""

    __pydantic_config__: ClassVar = STRICT

    kind: Literal["irm", "ibm", "psm", "spectrum", "score"] = "irm"
    """Ideal ratio, ideal binary or phase-sensitive mask; the clean log-magnitude spectrum; a score of each mixture."""
    criterion_db: float | None = None
    """ibm: local signal-to-noise ratio above which a bin is kept, 0 dB by default."""
    measure: Literal["stoi", "pesq"] | None = None
    """score: STOI by default, or PESQ (which needs the package pesq) of the noisy against the clean speech."""
    segment_seconds: float | None = None
    """score: length of a window, 9 s by default; a mixture is cut into such segments, a shorter one is repeated."""

    @property
    def is_mask(self) -> bool:
        """Whether the outputs are factors for the noisy spectrum."""
        return self.kind in ("irm", "ibm", "psm")

    @property
    def criterion(self) -> float:
        """Local criterion of the ideal binary mask in dB."""
        return 0.0 if self.criterion_db is None else self.criterion_db

    @property
    def score_measure(self) -> str:
        """What a mixture's score is measured by."""
        return self.measure or "stoi"

    @property
    def outputs_per_mixture(self) -> bool:
        """Whether a window's target is its mixture's, not its current frame's."""
        return self.kind == "score"

    def outputs(self, features: FeatureSettings) -> int:
        """Targets of a window."""
        return 1 if self.outputs_per_mixture else features.spectrum_bins

    def context(self, features: FeatureSettings) -> tuple[int, int]:
        """Frames of a window before and after its current one; for a score they are those of the whole segment."""
        if self.outputs_per_mixture:
            return self._segment_frames(features) - 1, 0
        return features.before, features.after

    def _segment_frames(self, features: FeatureSettings) -> int:
        seconds = _SEGMENT_SECONDS if self.segment_seconds is None else self.segment_seconds
        return round(seconds * features.sample_rate_hz / features.hop_samples)

    def __post_init__(self) -> None:
        """Check every field."""
        _require_one_of("target kind", self.kind, TARGET_KINDS)
        for name, kind in (("criterion_db", "ibm"), ("measure", "score"), ("segment_seconds", "score")):
            if (value := getattr(self, name)) is not None and self.kind != kind:
                raise DataError(f"{name} must be left out for target kind {self.kind}, but got {value}")
        _require_one_of("target measure", self.score_measure, SCORE_MEASURES)
        _require("criterion_db", self.criterion, -60, 60)
        if self.segment_seconds is not None:
            _require("segment_seconds", self.segment_seconds, 0.1, 60)


def require_fitting(features: FeatureSettings, target: TargetSettings) -> None:
    """Raises DataError where the features' windows are set, but the target has windows of its own."""
    if target.outputs_per_mixture:
        for name in ("look_back", "look_ahead"):
            if (value := getattr(features, name)) is not None:
                raise DataError(
                    f"{name} must be left out for target kind {target.kind}, but got {value}; see segment_seconds"
                )
        if target.context(features)[0] < 0:
            raise DataError(f"a segment must hold at least one frame, but {target.segment_seconds} s hold none")


def _require(name: str, value: float, low: float, high: float, what: str = "") -> None:
    if not low <= value <= high:
        raise DataError(f"{name} must be between {low:g} and {high:g}{what}, but got {value}")


def _require_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(f"{name} must be one of {', '.join(known)}, but got {value!r}")
