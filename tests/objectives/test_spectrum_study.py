"""A study that maps spectra directly goes through baseline, trial and screening as one of masks does."""

import dataclasses
from pathlib import Path

import pytest

from wordlength.objectives.audio import DataSettings, FeatureSettings, TargetSettings, prepare
from wordlength.objectives.goals import ObjectiveSettings
from wordlength.objectives.report import TrialJob, TrialState
from wordlength.objectives.settings import EvaluationSettings
from wordlength.space import Candidate, Fixed, Role


@pytest.fixture(scope="module")
def evaluator(
    tensorflow,
    tiny_data_settings: DataSettings,
    tiny_settings: EvaluationSettings,
    study_cache: Path,
):
    from wordlength.objectives.baseline import prepare_baseline
    from wordlength.objectives.evaluate import Evaluator

    features = FeatureSettings("log_spectrum", 8000, 128, 64, look_back=13, look_ahead=2)
    settings = dataclasses.replace(tiny_data_settings, features=features, target=TargetSettings("spectrum"))
    data = prepare(settings, study_cache)
    aims = (ObjectiveSettings("stoi"), ObjectiveSettings("memory_bytes"))
    settings = dataclasses.replace(tiny_settings, objectives=aims)
    *_, baseline = prepare_baseline(data, settings, 0, study_cache)
    distilled = dataclasses.replace(settings.training, distillation=0.5)
    return Evaluator(data, baseline, dataclasses.replace(settings, training=distilled))


def uniform(evaluator, bits: int) -> Candidate:
    slots = [info.slot for info in evaluator.baseline.slots]
    return Candidate.uniform(slots, Fixed(bits, 0), Fixed(16, 2), Fixed(16, 4))


def test_a_trial_is_trained_and_measured(evaluator) -> None:
    report, _ = evaluator.evaluate(TrialJob(0, uniform(evaluator, 8), seed=0))
    assert report.state is TrialState.COMPLETE
    assert all(loss > 0 for step in report.losses for loss in step)
    assert 0 < report.quality < 1
    assert 0 < evaluator.baseline.quality < 1
    assert report.values == {"stoi": report.quality, "memory_bytes": report.memory_bytes}


def test_fewer_bits_do_more_damage_to_the_spectra(evaluator) -> None:
    from wordlength.objectives.screening import Screener

    weights = [info.slot for info in evaluator.baseline.slots if info.slot.role is Role.WEIGHTS]
    coarse, fine = Screener(evaluator).damages([dict.fromkeys(weights, Fixed(bits, 0)) for bits in (3, 10)])
    assert coarse > 3 * fine > 0
