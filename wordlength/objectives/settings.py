"""What a study fixes for all its trials: training, analysis, gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from wordlength.objectives.goals import DEFAULT_OBJECTIVES, ObjectiveSettings
from wordlength.objectives.models import KerasFile, ModelSettings
from wordlength.strict import STRICT


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}, but got {value:g}")


@dataclass(frozen=True)
class TrainingSettings:
    """Float baseline and two-step quantized training (Klein et al. 2021, figure 2)."""

    __pydantic_config__: ClassVar = STRICT

    baseline_epochs: int = 20
    """Passes of the float baseline over the full training set; its best epoch is kept."""
    baseline_patience: int = 0
    """Passes without a better validation score after which the float baseline's training ends early; 0: never."""
    step_one_epochs: int = 1
    """Passes over the representative subset with weights and biases quantized."""
    step_two_epochs: int = 1
    """Passes over the representative subset with activations quantized too."""
    batch_size: int = 128
    """Windows per training step."""
    learning_rate: float = 1e-3
    """Adam's step size at the start of the float baseline; it falls along a half cosine to a tenth."""
    quantized_learning_rate: float = 3e-4
    """The same for each of the two quantized steps, which start from trained weights."""
    step_one_learning_rate: float | None = None
    """The same for step one alone; by default that of both."""
    distillation: float = 0.0
    """Share of the float model's outputs in what the quantized steps learn; the rest are the data's targets."""

    def __post_init__(self) -> None:
        _require("baseline_epochs", self.baseline_epochs, 1, 10_000)
        _require("baseline_patience", self.baseline_patience, 0, 10_000)
        _require("step_one_epochs", self.step_one_epochs, 1, 10_000)
        _require("step_two_epochs", self.step_two_epochs, 1, 10_000)
        _require("batch_size", self.batch_size, 1, 65_536)
        _require("distillation", self.distillation, 0, 1)
        for name in ("learning_rate", "quantized_learning_rate", "step_one_learning_rate"):
            if (rate := getattr(self, name)) is not None and not 0 < rate <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, but got {rate:g}")

    @property
    def quantized_rates(self) -> tuple[float, float]:
        """Step sizes at the start of step one and step two."""
        both = self.quantized_learning_rate
        return (both if self.step_one_learning_rate is None else self.step_one_learning_rate, both)


@dataclass(frozen=True)
class RetrainingSettings:
    """Two-step training of a chosen candidate on all training windows, from the float baseline."""

    epochs: int = 2
    """Passes over the full training set in each of the two steps; the last one's weights are kept."""
    learning_rate: float = 1e-3
    """Adam's step size at the start of step one; it falls along a half cosine to a tenth."""
    second_learning_rate: float = 3e-4
    """The same for step two, which starts from step one's weights."""
    distillation: float = 1.0
    """Share of the float model's own outputs in what is learned; the rest are the data's targets."""
    batch_size: int = 128
    """Windows per training step."""
    seed: int = 0
    """Fixes the order of windows."""

    def __post_init__(self) -> None:
        _require("epochs", self.epochs, 1, 10_000)
        _require("distillation", self.distillation, 0, 1)
        _require("batch_size", self.batch_size, 1, 65_536)
        for name in ("learning_rate", "second_learning_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, but got {getattr(self, name):g}")

    @property
    def loss_title(self) -> str:
        """What the loss is called: with distillation it falls far below any error that the targets would leave."""
        return "distillation loss" if self.distillation else "loss"


@dataclass(frozen=True)
class AnalysisSettings:
    """The fixed-point analysis after every epoch."""

    __pydantic_config__: ClassVar = STRICT

    windows: int = 256
    """Training windows, spread over the representative subset, whose activations and gradients are analysed."""
    precision_limit: float = 0.05
    """Relative error above which a rounded value counts as a precision violation (5 % in the paper)."""

    def __post_init__(self) -> None:
        _require("windows", self.windows, 1, 100_000)
        _require("precision_limit", self.precision_limit, 0, 1)


@dataclass(frozen=True)
class GateSettings:
    """Largest shares, of any one layer and tensor, with which a trial goes on from step one to step two."""

    __pydantic_config__: ClassVar = STRICT

    overflow: float = 0.5
    """Share of values outside the format's range."""
    underflow: float = 0.95
    """Share of non-zero values too small to be represented."""
    precision: float = 1.0
    """Share of non-zero values in range that rounding moves by more than the precision limit."""

    def __post_init__(self) -> None:
        for name, limit in self.limits.items():
            _require(name, limit, 0, 1)

    @property
    def limits(self) -> Mapping[str, float]:
        """Figure of the analysis → its limit."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class EvaluationSettings:
    """What all trials of a study share."""

    model: ModelSettings
    training: TrainingSettings
    analysis: AnalysisSettings
    gate: GateSettings
    objectives: tuple[ObjectiveSettings, ...] = DEFAULT_OBJECTIVES
    pretrained: KerasFile | None = None
    """The file that holds the float baseline, where it is not trained."""
