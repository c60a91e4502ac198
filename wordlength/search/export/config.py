"""config.json: what a bundle is, in one file that others can read; its JSON schema is `wordlength schema --bundle`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wordlength.errors import BundleError
from wordlength.objectives.goals import KNOWN, Goal, GoalKind
from wordlength.space import Candidate

BUNDLE_VERSION = 2


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Objectives(_Part):
    """What was measured on the validation mixtures."""

    name: str = Field(description="Of the study's first quality, as stoi_improvement.")
    title: str = Field(description="Of the same, in words.")
    unit: str
    maximize: bool = Field(description="Whether more of it is better.")
    quality: float = Field(description="Its value.")
    standard_error: float | None = Field(description="Of the mean over the mixtures.")
    values: dict[str, float] = Field(description="Every objective of the study, as the trial reached it in the search.")
    baseline_difference: float | None = Field(description="To the float baseline, mean over the mixtures.")
    baseline_difference_error: float | None = Field(description="Paired standard error of the difference.")
    memory_bytes: int = Field(description="All parameters packed at their widths: the size of weights.bin.")


class FloatBaseline(_Part):
    """The float32 network that the candidate is compared with."""

    values: dict[str, float] = Field(description="Every objective of the study.")
    memory_bytes: int
    digest: str = Field(description="Of data, network and training settings.")


class HeldOutFigures(_Part):
    """Mixtures that guided nothing: test speakers and noises that no trial has heard."""

    quality: float
    standard_error: float
    float_quality: float
    difference: float
    difference_error: float


class Retraining(_Part):
    """How the weights were trained after the search, and what they reach on the test mixtures."""

    settings: dict[str, Any]
    test: HeldOutFigures


class Features(_Part):
    """How the network's input is made from sound."""

    kind: str = Field(description="log_mel or log_spectrum.")
    sample_rate_hz: int
    frame_samples: int
    hop_samples: int
    bins: int = Field(description="Features of a frame: Mel bands, or bins of the spectrum.")
    frames_before: int = Field(description="Past frames of a window beside the current one.")
    frames_after: int = Field(description="Future frames of a window beside the current one.")
    power_floor: float = Field(description="Added to the power before the natural logarithm.")
    mean: tuple[float, ...] = Field(description="Per bin, subtracted from the logarithm.")
    std: tuple[float, ...] = Field(description="Per bin, divided by after that.")

    @property
    def text(self) -> str:
        """Shape and kind of the network's input, as "(n, 16, 64) standardised log-Mel"."""
        frames = self.frames_before + 1 + self.frames_after
        return f"(n, {frames}, {self.bins}) standardised {self.kind.replace('_', '-').replace('mel', 'Mel')}"


class Target(_Part):
    """What the network's output is."""

    kind: str = Field(description="irm, ibm, psm: a mask of the noisy spectrum; spectrum: clean log-magnitude; score.")
    outputs: int
    measure: str | None = Field(description="What the score estimates; None for other kinds.")
    mean: tuple[float, ...] = Field(description="Per output, added after multiplying by std; 0 where not standardised.")
    std: tuple[float, ...] = Field(description="Per output; 1 where targets were not standardised.")

    @property
    def text(self) -> str:
        """Shape and kind of the network's output, as "(n, 129) mask"."""
        names = {"spectrum": "standardised log-magnitude", "score": f"estimated {self.measure}"}
        return f"(n, {self.outputs}) {names.get(self.kind, 'mask')}"


class LayerProof(_Part):
    """Integers against the QKeras model in float32, in steps of the layer's output format."""

    layer: str
    largest_alone: int = Field(description="Largest difference from equal inputs of this layer.")
    unequal_alone: float = Field(description="Share of its outputs that differ, from equal inputs.")
    largest: int = Field(description="Largest difference through the whole network.")
    unequal: float = Field(description="Share of its outputs that differ, through the whole network.")


class Arithmetic(_Part):
    """The integer arithmetic, and how far it lies from the float model."""

    input_format: str
    output_exponent: int = Field(description="A code k of the output means k · 2^output_exponent.")
    vectors: int = Field(description="Frames in vectors/.")
    layers: tuple[LayerProof, ...]
    quality: float | None = Field(description="The first quality, through the C code; None if it was not measured.")
    no_hls4ml: dict[str, str] = Field(
        description="Layers that hls4ml cannot express, and why; empty if there are none, and hls4ml/ is there."
    )


class BundleConfig(_Part):
    """One exported candidate: where it comes from, what it is, what was measured."""

    bundle_version: Literal[2] = 2
    study: str
    trial: int
    label: str
    candidate: dict[str, str] = Field(description="Slot → format.")
    candidate_digest: str = Field(pattern="^[0-9a-f]{16}$")
    objectives: Objectives
    quality_of_the_exported_model: float | None = Field(description="None if it was not measured again.")
    float_baseline: FloatBaseline
    retraining: Retraining | None = Field(description="None if the weights are the trial's own.")
    data_digest: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of all audio and of how it is prepared.")
    features: Features
    target: Target
    arithmetic: Arithmetic | None = Field(description="None if the network cannot be computed with integers.")
    no_arithmetic: str = Field(description="Why it cannot; empty if it can.")
    needs_wordlength: dict[str, str] = Field(description="Slots whose quantizer QKeras does not have, and why.")
    wider_in_qkeras: dict[str, str] = Field(description="Slots whose QKeras quantizer needs more bits than are stored.")
    study_settings: dict[str, Any] = Field(description="The study file, without places and logins.")
    versions: dict[str, str]

    @property
    def formats(self) -> Candidate:
        """The candidate. Raises FormatError or ValueError."""
        return Candidate.from_dict(self.candidate)

    @property
    def goal(self) -> Goal:
        """The first quality, as reports write it."""
        told = self.objectives
        known = KNOWN.get(told.name)
        if known is not None:
            return known[0]
        return Goal(told.name, told.title, told.unit, GoalKind.QUALITY, told.maximize, signed=True)

    @property
    def threads(self) -> int:
        """Those that the study's trials had: with others, float32 sums may differ in the last digits."""
        workers = self.study_settings.get("workers")
        cpus = workers.get("cpus") if isinstance(workers, dict) else None
        return cpus if isinstance(cpus, int) and 0 < cpus <= 1024 else 1

    def to_json(self) -> str:
        """As config.json holds it."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


def read_config(path: Path) -> BundleConfig:
    """Read config.json. Raises BundleError with file, key and value."""
    try:
        text = path.read_text(encoding="utf-8")
        plain = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path.name} must be readable JSON, but is not: {error}") from None
    version = plain.get("bundle_version") if isinstance(plain, dict) else None
    if version != BUNDLE_VERSION:
        raise BundleError(f"{path.name} must have bundle_version {BUNDLE_VERSION}, but has {version!r}")
    try:
        config = BundleConfig.model_validate(plain)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise BundleError(f"{path.name} breaks a rule at {place}: {problem['msg']}") from None
    try:
        digest = config.formats.digest
    except ValueError as error:
        raise BundleError(f"{path.name} must hold formats for slots: {error}") from None
    if digest != config.candidate_digest:
        raise BundleError(f"{path.name} must hold the candidate {config.candidate_digest}, but holds {digest}")
    return config


def json_schema() -> dict[str, Any]:
    """The JSON schema of config.json."""
    return BundleConfig.model_json_schema()
