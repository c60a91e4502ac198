"""Retraining: the trial's two steps on all windows, and figures of mixtures that nobody chose by."""

import dataclasses

import numpy as np
import pytest

from wordlength.errors import TrainingDiverged
from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.models import ModelSettings
from wordlength.objectives.report import TrialJob
from wordlength.objectives.settings import RetrainingSettings
from wordlength.space import Candidate, Fixed, Format, PowerOfTwo

pytestmark = pytest.mark.usefixtures("tensorflow")

PLAIN = RetrainingSettings(
    epochs=1, learning_rate=1e-2, second_learning_rate=1e-2, distillation=0, batch_size=64, seed=3
)


def uniform(baseline: Baseline, weights: Format) -> Candidate:
    return Candidate.uniform([info.slot for info in baseline.slots], weights, Fixed(16, 2), Fixed(16, 4))


@pytest.fixture(scope="module")
def candidate(tiny_baseline: Baseline) -> Candidate:
    return uniform(tiny_baseline, PowerOfTwo(3, 0))


@pytest.fixture(scope="module")
def retrainer_of(tiny_data: PreparedData, tiny_baseline: Baseline, tiny_model_settings: ModelSettings):
    """A retrainer of the tiny study with these settings."""
    from wordlength.objectives.retraining import Retrainer

    return lambda settings: Retrainer(tiny_data, tiny_baseline, tiny_model_settings, settings)


@pytest.fixture(scope="module")
def plain(retrainer_of):
    return retrainer_of(PLAIN)


def test_without_distillation_it_is_a_trial_on_all_windows(plain, candidate, tiny_data, tiny_evaluator) -> None:
    *progress, found = plain.retrain(candidate)
    report, weights = tiny_evaluator.evaluate(TrialJob(0, candidate, PLAIN.seed), tiny_data.train.windows)
    assert found.losses == report.losses
    assert found.gains.validation == report.gains
    for mine, its in zip(found.weights, weights, strict=True):
        np.testing.assert_array_equal(mine, its)
    assert [(state.step, state.epoch) for state in progress] == [(1, 1), (2, 1)]
    assert tuple((state.loss,) for state in progress) == found.losses
    assert found.seconds > 0


def test_test_mixtures_are_measured_as_the_validation_mixtures_are(plain, candidate, tiny_data) -> None:
    from wordlength.objectives.goals import DEFAULT_OBJECTIVES
    from wordlength.objectives.goals.meter import Meter
    from wordlength.objectives.training import Predictor, Windows

    *_, found = plain.retrain(candidate)
    model = plain._quantized.model  # Left as retrained.
    outputs = Predictor(model, Windows.of(tiny_data.test.frames)).outputs()
    assert found.gains.test == tuple(Meter(tiny_data.test, DEFAULT_OBJECTIVES).primary(outputs).per_mixture.tolist())
    assert len(found.gains.test) == len(tiny_data.test)
    assert plain.measure(candidate, found.weights) == found.gains


def test_no_candidate_depends_on_those_before(plain, candidate, tiny_baseline: Baseline) -> None:
    *_, first = plain.retrain(candidate)
    *_, other = plain.retrain(uniform(tiny_baseline, Fixed(4, 0)))
    *_, again = plain.retrain(candidate)
    assert (again.losses, again.gains) == (first.losses, first.gains) != (other.losses, other.gains)


def test_every_step_has_its_passes_and_step_size(plain, candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, before = plain.retrain(candidate)
    monkeypatch.setattr(plain, "_settings", dataclasses.replace(PLAIN, epochs=2, second_learning_rate=1e-9))
    *progress, found = plain.retrain(candidate)
    assert [(state.step, state.epoch) for state in progress] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert [len(step) for step in found.losses] == [2, 2]
    assert found.losses[0][0] != before.losses[0][0]  # Over two passes the step size falls half as fast.
    # Hardly a step: the losses differ by the order of the windows, of which the last few take no part.
    assert found.losses[1][0] == pytest.approx(found.losses[1][1], rel=0.05)


def test_float32_is_the_baselines(plain, tiny_baseline: Baseline, tiny_data: PreparedData) -> None:
    gains = plain.float_gains()
    assert gains.validation == tiny_baseline.gains
    assert len(gains.test) == len(tiny_data.test)


def test_training_that_diverges_says_so(plain, tiny_baseline, candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tuple(np.full_like(weight, np.nan) for weight in tiny_baseline.weights)
    monkeypatch.setattr(plain, "_baseline", dataclasses.replace(tiny_baseline, weights=weights))
    with pytest.raises(TrainingDiverged, match="in epoch 1"):
        list(plain.retrain(candidate))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs must be between 1 and 10000, but got 0"),
        ({"distillation": 1.5}, r"distillation must be between 0 and 1, but got 1\.5"),
        ({"distillation": float("nan")}, "distillation must be between 0 and 1, but got nan"),
        ({"batch_size": 0}, "batch_size must be between 1 and 65536, but got 0"),
        ({"learning_rate": 0}, "learning_rate must be above 0 and at most 1, but got 0"),
        ({"second_learning_rate": 2}, "second_learning_rate must be above 0 and at most 1, but got 2"),
    ],
)
def test_settings_have_limits(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PLAIN, **wrong)
