import dataclasses

import numpy as np
import pytest

from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.evaluate import Evaluator
from wordlength.objectives.goals import DEFAULT_OBJECTIVES
from wordlength.objectives.goals.meter import Meter
from wordlength.objectives.memory import memory_bytes
from wordlength.objectives.quantized_model import frozen
from wordlength.objectives.report import FIGURES, TrialJob, TrialReport, TrialState
from wordlength.objectives.settings import EvaluationSettings, GateSettings
from wordlength.objectives.training import Predictor, Windows
from wordlength.space import Candidate, Fixed, Float32, Format, PowerOfTwo, Role

pytestmark = pytest.mark.usefixtures("tensorflow")


def uniform(baseline: Baseline, weights: Format, biases: Format, activations: Format) -> Candidate:
    return Candidate.uniform([info.slot for info in baseline.slots], weights, biases, activations)


@pytest.fixture(scope="module")
def papers(tiny_baseline: Baseline) -> Candidate:
    """Weights as powers of two, the rest 3.13."""
    return uniform(tiny_baseline, PowerOfTwo(4, 0), Fixed(16, 2), Fixed(16, 2))


@pytest.fixture(scope="module")
def small(tiny_baseline: Baseline) -> Candidate:
    return uniform(tiny_baseline, Fixed(4, 0), Fixed(8, 0), Fixed(6, 2))


@pytest.fixture(scope="module")
def completed(tiny_evaluator: Evaluator, papers: Candidate) -> tuple[TrialReport, tuple[np.ndarray, ...]]:
    report, weights = tiny_evaluator.evaluate(TrialJob(7, papers, seed=3))
    assert report.state is TrialState.COMPLETE
    return report, weights


def without_seconds(report: TrialReport) -> TrialReport:
    return dataclasses.replace(report, seconds={})


def assert_same_weights(one: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...]) -> None:
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_complete_report(completed, papers: Candidate, tiny_baseline: Baseline) -> None:
    report, weights = completed
    assert (report.number, report.candidate, report.reason) == (7, papers, "")
    assert report.memory_bytes == memory_bytes(tiny_baseline.slots, papers) < tiny_baseline.memory_bytes
    assert [len(step) for step in report.losses] == [1, 1]
    assert all(0 < loss < 1 for step in report.losses for loss in step)
    assert set(report.constraints) == {"overflow", "underflow", "precision"}
    assert max(report.constraints.values()) <= 0
    assert report.standard_error >= 0
    assert [weight.shape for weight in weights] == [weight.shape for weight in tiny_baseline.weights]
    assert any((a != b).any() for a, b in zip(weights, tiny_baseline.weights, strict=True))


def test_phases_are_timed(completed) -> None:
    report, _ = completed
    phases = ["step1_training", "step1_analysis", "step2_training", "step2_analysis", "prediction", "objectives"]
    assert list(report.seconds) == phases
    assert all(seconds > 0 for seconds in report.seconds.values())


def test_every_slot_is_analysed_after_every_epoch_of_both_steps(completed, papers: Candidate) -> None:
    report, _ = completed
    slots = list(papers)
    assert [row.slot for row in report.analyses] == slots + slots
    assert [row.step for row in report.analyses] == [1] * len(slots) + [2] * len(slots)
    assert {row.epoch for row in report.analyses} == {1}
    assert all(row.format == papers[row.slot] for row in report.analyses)  # step one: the format to come
    assert all(np.isfinite(row.figures[figure]) for row in report.analyses for figure in FIGURES if figure != "sqnr_db")


def test_the_improvement_is_that_of_the_quantized_trained_model(
    completed, tiny_evaluator: Evaluator, tiny_data: PreparedData
) -> None:
    """A model of its own with the trial's weights and formats, predicted and scored apart from the evaluator."""
    report, weights = completed
    model = frozen(weights, tiny_evaluator.float_model, report.candidate).model
    outputs = Predictor(model, Windows.of(tiny_data.validation.frames)).outputs()
    improvement = Meter(tiny_data.validation, DEFAULT_OBJECTIVES).primary(outputs)
    assert report.quality == improvement.value
    assert report.standard_error == improvement.standard_error
    last = report.candidate[next(slot for slot in reversed(tuple(report.candidate)) if slot.role is Role.ACTIVATIONS)]
    np.testing.assert_array_equal(last.round(outputs), outputs)


def test_the_report_survives_json(completed) -> None:
    report, _ = completed
    assert TrialReport.from_json(report.to_json()) == report


def test_the_order_of_candidates_does_not_matter(
    completed, tiny_evaluator: Evaluator, papers: Candidate, small: Candidate
) -> None:
    report, weights = completed
    other, other_weights = tiny_evaluator.evaluate(TrialJob(8, small, seed=3))
    assert other.state is TrialState.COMPLETE
    assert any((a != b).any() for a, b in zip(weights, other_weights, strict=True))
    again, weights_again = tiny_evaluator.evaluate(TrialJob(7, papers, seed=3))
    assert without_seconds(again) == without_seconds(report)
    assert_same_weights(weights_again, weights)


def test_another_seed_trains_otherwise(completed, tiny_evaluator: Evaluator, papers: Candidate) -> None:
    report, weights = completed
    other, other_weights = tiny_evaluator.evaluate(TrialJob(7, papers, seed=4))
    assert other.losses != report.losses
    assert any((a != b).any() for a, b in zip(weights, other_weights, strict=True))


def test_a_hopeless_candidate_is_pruned_after_step_one(
    completed, tiny_evaluator: Evaluator, tiny_baseline: Baseline, papers: Candidate
) -> None:
    hopeless = uniform(tiny_baseline, Fixed(4, -20), Fixed(16, 2), Fixed(16, 2))
    report, weights = tiny_evaluator.evaluate(TrialJob(9, hopeless))
    assert report.state is TrialState.PRUNED
    assert report.quality is report.standard_error is None
    assert "overflow of " in report.reason
    assert ".weights as fixed<4,-20> is " in report.reason
    assert "limit 50.0%" in report.reason
    assert report.constraints["overflow"] > 0
    assert len(report.losses) == 1
    assert len(report.analyses) == len(hopeless)
    assert list(report.seconds) == ["step1_training", "step1_analysis"]
    assert TrialReport.from_json(report.to_json()) == report
    assert len(weights) == len(tiny_baseline.weights)
    after, weights_after = tiny_evaluator.evaluate(TrialJob(7, papers, seed=3))
    assert without_seconds(after) == without_seconds(completed[0])
    assert_same_weights(weights_after, completed[1])


def test_one_trace_of_every_graph_serves_all(completed, tiny_evaluator: Evaluator, tiny_baseline: Baseline) -> None:
    floats = uniform(tiny_baseline, Float32(), Float32(), Float32())
    report, _ = tiny_evaluator.evaluate(TrialJob(10, floats))
    assert report.state is TrialState.COMPLETE
    assert report.memory_bytes == tiny_baseline.memory_bytes
    assert tiny_evaluator.traces == {"training": 1, "analysis": 1, "prediction": 1}


def test_the_float_model_measures_as_the_baseline_did(tiny_evaluator: Evaluator, tiny_baseline: Baseline) -> None:
    assert tiny_evaluator.measure_model(tiny_evaluator.float_model) == tiny_baseline.quality


def test_a_diverged_training_is_a_failed_report(
    tiny_data: PreparedData, tiny_baseline: Baseline, tiny_settings: EvaluationSettings, papers: Candidate
) -> None:
    broken = dataclasses.replace(
        tiny_baseline, weights=tuple(np.full_like(weight, np.nan) for weight in tiny_baseline.weights)
    )
    report, _ = Evaluator(tiny_data, broken, tiny_settings).evaluate(TrialJob(11, papers))
    assert report.state is TrialState.FAILED
    assert report.reason.startswith("training must stay finite, but ")
    assert report.reason.endswith(" in epoch 1")
    assert report.quality is report.standard_error is None
    assert report.memory_bytes > 0
    assert report.analyses == ()
    assert TrialReport.from_json(report.to_json()) == report


def test_several_epochs_and_a_gate_of_its_own(
    tiny_data: PreparedData, tiny_baseline: Baseline, tiny_settings: EvaluationSettings, papers: Candidate
) -> None:
    """A gate that nothing passes, after two epochs: only the last epoch decides, and every one is told of."""
    settings = dataclasses.replace(
        tiny_settings,
        training=dataclasses.replace(tiny_settings.training, step_one_epochs=2),
        gate=GateSettings(overflow=1, underflow=1, precision=0),
    )
    report, _ = Evaluator(tiny_data, tiny_baseline, settings).evaluate(TrialJob(12, papers))
    assert report.state is TrialState.PRUNED
    assert [len(step) for step in report.losses] == [2]
    assert [row.epoch for row in report.analyses] == [1] * len(papers) + [2] * len(papers)
    newest = max(row.precision for row in report.analyses if row.epoch == 2)
    assert report.constraints["precision"] == newest == report.worst("precision").precision > 0
    assert report.reason.startswith("precision of ")
    assert "overflow" not in report.reason
