"""Retraining: a chosen candidate on the full training set, measured on mixtures that no trial has heard.

The paper's two steps from the float baseline, as in a trial (Klein et al. 2021, figure 2), but on all training
windows and for more passes. The last epoch's weights are kept, so neither validation nor test mixtures choose anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordlength.objectives.distillation import windows_to_learn
from wordlength.objectives.goals import DEFAULT_OBJECTIVES, ObjectiveSettings
from wordlength.objectives.goals.meter import Meter
from wordlength.objectives.models import ModelSettings
from wordlength.objectives.models.float_network import float_network
from wordlength.objectives.quantized_model import quantize
from wordlength.objectives.report import Weights
from wordlength.objectives.training import Predictor, Trainer, Windows, require_finite
from wordlength.space import Candidate

if TYPE_CHECKING:
    from wordlength.objectives.audio import PreparedData
    from wordlength.objectives.baseline import Baseline
    from wordlength.objectives.settings import RetrainingSettings


@dataclass(frozen=True, slots=True)
class HeldOutGains:
    """The first quality, by what every mixture contributes to it: of the validation set, and of the test set."""

    validation: tuple[float, ...]
    test: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RetrainingProgress:
    """After one epoch: the step (1 or 2), the epoch within it, its mean squared error."""

    step: int
    epoch: int
    loss: float


@dataclass(frozen=True)
class Retrained:
    """A retrained candidate: float weights in Keras' order, losses per step and epoch, gains, seconds it took."""

    weights: Weights
    losses: tuple[tuple[float, ...], ...]
    gains: HeldOutGains
    seconds: float


class Retrainer:
    """Keeps data, model and graphs warm; one `retrain` per candidate, none depending on those before."""

    def __init__(
        self,
        data: PreparedData,
        baseline: Baseline,
        model: ModelSettings,
        settings: RetrainingSettings,
        objectives: tuple[ObjectiveSettings, ...] = DEFAULT_OBJECTIVES,
    ) -> None:
        self._settings = settings
        self._baseline = baseline
        self._float_model = float_network(model, data.shape)
        self._float_model.set_weights(list(baseline.weights))
        self._quantized = quantize(self._float_model)
        windows = windows_to_learn(data.train, self._float_model, settings.distillation)
        self._trainer = Trainer(
            self._quantized.model, windows, settings.batch_size, settings.learning_rate, self._version
        )
        parts = (data.validation, data.test)
        self._held_out = [(Windows.of(part.frames), Meter(part, objectives)) for part in parts]
        self._predictors = [Predictor(self._quantized.model, part, self._version) for part, _ in self._held_out]

    def float_gains(self) -> HeldOutGains:
        """What the float baseline reaches on the same mixtures."""
        return self._measure([Predictor(self._float_model, part) for part, _ in self._held_out])

    def retrain(self, candidate: Candidate) -> Iterator[RetrainingProgress | Retrained]:
        """Two-step training from the float baseline's weights: progress after each epoch, last the Retrained.

        Raises TrainingDiverged.
        """
        started = time.perf_counter()
        losses: list[list[float]] = []
        self._quantized.admit(candidate.items())
        self._quantized.set_weights(self._baseline.weights)
        rates = (self._settings.learning_rate, self._settings.second_learning_rate)
        for step, (formats, rate) in enumerate(zip((candidate.parameters_only(), candidate), rates, strict=True), 1):
            self._quantized.assign(formats)
            losses.append([])
            seed = 2 * self._settings.seed + step  # As in a trial.
            for epoch, loss in enumerate(self._trainer.train(self._settings.epochs, seed, learning_rate=rate), 1):
                losses[-1].append(loss)
                yield RetrainingProgress(step, epoch, loss)
        weights = self._quantized.weights()
        gains = self.measure(candidate, weights)
        yield Retrained(weights, tuple(map(tuple, losses)), gains, time.perf_counter() - started)

    def measure(self, candidate: Candidate, weights: Weights) -> HeldOutGains:
        """What these float weights reach in these formats, without training."""
        self._quantized.admit(candidate.items())
        self._quantized.set_weights(weights)
        self._quantized.assign(candidate)
        return self._measure(self._predictors)

    def _version(self) -> int:
        return self._quantized.version

    def _measure(self, predictors: list[Predictor]) -> HeldOutGains:
        found = []
        for predictor, (_, meter) in zip(predictors, self._held_out, strict=True):
            outputs = predictor.outputs()
            require_finite(outputs, "the retrained model")
            found.append(tuple(meter.primary(outputs).per_mixture.tolist()))
        return HeldOutGains(*found)
