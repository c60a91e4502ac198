"""The whole life of a trial, after Klein, Kantic & Blume 2021, figure 2."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wordlength.errors import TrainingDiverged
from wordlength.objectives.analysis import Analyser, gate_constraints, gate_reason
from wordlength.objectives.audio.prepared import PreparedData, spread
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.distillation import windows_to_learn
from wordlength.objectives.goals import goals_of
from wordlength.objectives.goals.meter import Meter, candidate_costs
from wordlength.objectives.goals.quality import Measured
from wordlength.objectives.memory import memory_bytes
from wordlength.objectives.models.float_network import float_network
from wordlength.objectives.noise import paired_difference
from wordlength.objectives.quantized_model import QuantizedModel, quantize
from wordlength.objectives.report import Accumulator, LayerAnalysis, TrialJob, TrialReport, TrialState, Weights
from wordlength.objectives.settings import EvaluationSettings
from wordlength.objectives.training import Predictor, Trainer, Windows, require_finite
from wordlength.space import Candidate, Format, Slot


@dataclass
class _Course:
    """What a trial has gone through so far."""

    subset: npt.NDArray[np.int32]
    losses: list[tuple[float, ...]] = field(default_factory=list)
    analyses: list[LayerAnalysis] = field(default_factory=list)
    accumulators: list[Accumulator] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - started


class Evaluator:
    """Keeps data, model and graphs warm; one `evaluate` per candidate, none depending on those before.

    `formats`: some of those to come, one of every kind and role; others are traced when they come.
    """

    def __init__(
        self,
        data: PreparedData,
        baseline: Baseline,
        settings: EvaluationSettings,
        formats: Iterable[tuple[Slot, Format]] = (),
    ) -> None:
        self._settings = settings
        self.data = data
        self.baseline = baseline
        self.float_model = float_network(settings.model, data.shape)
        self.float_model.set_weights(list(baseline.weights))
        self.quantized: QuantizedModel = quantize(self.float_model)
        training = settings.training
        train = windows_to_learn(data.train, self.float_model, training.distillation)
        self.subset = data.subset_windows
        model, version = self.quantized.model, lambda: self.quantized.version
        self.trainer = Trainer(model, train, training.batch_size, training.quantized_learning_rate, version)
        self.predictor = Predictor(model, Windows.of(data.validation.frames), version)
        analysed = spread(data.subset_windows, settings.analysis.windows)
        self._analyser = Analyser(self.quantized, train, analysed, settings.analysis)
        self.meter = Meter(data.validation, settings.objectives)
        self._admit(tuple(formats))

    @property
    def traces(self) -> dict[str, int]:
        """How often each graph was traced: once, and once more for every kind of format beyond the usual."""
        return {
            "training": self.trainer.traces,
            "analysis": self._analyser.traces,
            "prediction": self.predictor.traces,
        }

    def evaluate(self, job: TrialJob, subset: npt.NDArray[np.int32] | None = None) -> tuple[TrialReport, Weights]:
        """Two-step training, analysis and all objectives of one candidate, and the trained float weights.

        `subset`: the training windows, by default the study's representative subset. A diverged training comes
        back as a failed report; other exceptions are the caller's.
        """
        course = _Course(self.subset if subset is None else subset)
        candidate = job.candidate
        self._admit(tuple(candidate.items()))  # Step two's kinds too: one trace for both.
        self.use(self.baseline.weights)
        outcome: dict[str, Any] = {"state": TrialState.COMPLETE}
        try:
            self._train(course, candidate.parameters_only(), candidate, step=1, seed=job.seed)
            constraints = gate_constraints(course.analyses[-len(candidate) :], self._settings.gate)
            outcome["constraints"] = {figure: excess for figure, (excess, _) in constraints.items()}
            if reason := gate_reason(constraints):
                outcome |= {"state": TrialState.PRUNED, "reason": reason}
            else:
                self._train(course, candidate, candidate, step=2, seed=job.seed)
                outcome |= self._measure(course, candidate)
        except TrainingDiverged as error:
            outcome |= {"state": TrialState.FAILED, "reason": str(error)}
        report = TrialReport(
            number=job.number,
            candidate=candidate,
            memory_bytes=memory_bytes(self.baseline.slots, candidate),
            losses=tuple(course.losses),
            analyses=tuple(course.analyses),
            accumulators=tuple(course.accumulators),
            seconds=course.seconds,
            **outcome,
        )
        return report, self.quantized.weights()

    def use(self, weights: Weights) -> None:
        """Give the quantized model these float weights, in Keras' order."""
        self.quantized.set_weights(weights)

    def assign(self, candidate: Candidate) -> None:
        """Give the quantized model these formats."""
        self.quantized.admit(candidate.items())
        self.quantized.assign(candidate)

    def measure_untrained(self, candidate: Candidate) -> Measured:
        """The first quality of the float baseline's weights in these formats, without any training."""
        self.use(self.baseline.weights)
        self.assign(candidate)
        return self.meter.primary(self.predictor.outputs())

    def measure_model(self, model: Any) -> float:
        """The first quality of any Keras model with this study's inputs and outputs, as it is."""
        return self.meter.primary(Predictor(model, self.predictor.windows).outputs()).value

    def _admit(self, formats: tuple[tuple[Slot, Format], ...]) -> None:
        self.quantized.admit(formats)
        self._analyser.admit(formats)

    def _train(self, course: _Course, formats: Candidate, analysed: Candidate, step: int, seed: int) -> None:
        self.quantized.assign(formats)
        training = self._settings.training
        epochs = training.step_one_epochs if step == 1 else training.step_two_epochs
        losses: list[float] = []
        rate = training.quantized_rates[step - 1]
        states = self.trainer.train(epochs, seed=2 * seed + step, current=course.subset, learning_rate=rate)
        for epoch in range(1, epochs + 1):
            with course.timed(f"step{step}_training"):
                losses.append(next(states))
            with course.timed(f"step{step}_analysis"):
                found = self._analyser.analyse(analysed, step, epoch)
            course.analyses.extend(found.layers)
            course.accumulators.extend(found.accumulators)
        course.losses.append(tuple(losses))

    def _measure(self, course: _Course, candidate: Candidate) -> dict[str, Any]:
        with course.timed("prediction"):
            outputs = self.predictor.outputs()
        require_finite(outputs, "the trained model")
        objectives = self._settings.objectives
        with course.timed("objectives"):
            measured = self.meter.measure(outputs)
            found = {name: one.value for name, one in measured.items()}
            found |= candidate_costs(objectives, self.baseline, candidate)
        first = measured[goals_of(objectives).quality.name]
        gains = tuple(first.per_mixture.tolist())
        difference, error = paired_difference(gains, self.baseline.gains)
        return {
            "values": {name: found[name] for name in goals_of(objectives).names},
            "quality": first.value,
            "standard_error": first.standard_error,
            "baseline_difference": difference,
            "baseline_difference_error": error,
            "gains": gains,
        }
