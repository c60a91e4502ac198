"""Targets mixed with the float model's masks, when and where they are trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from wordlength.objectives.audio import DataSettings, FeatureSettings, PreparedData, TargetSettings, prepare
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.distillation import mixed, windows_to_learn
from wordlength.objectives.models import ModelSettings, build_model
from wordlength.objectives.shape import NetworkShape
from wordlength.objectives.training import Predictor, Trainer, Windows


@pytest.fixture(scope="module")
def teacher(tiny_model_settings: ModelSettings, tiny_baseline: Baseline):
    model = build_model(tiny_model_settings, NetworkShape(16, 64, 129), seed=0)
    model.set_weights(list(tiny_baseline.weights))
    return model


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_targets_of_trained_windows_are_mixed_by_hand(teacher, tiny_data: PreparedData, share: float) -> None:
    train = tiny_data.train
    outputs = Predictor(teacher, Windows.of(train)).outputs()
    windows = windows_to_learn(train, teacher, share)
    half = train.windows[::2]
    for part in (half, half, train.windows):  # Again, and overlapping: each is mixed once.
        windows.prepare(part)
        targets, expected = windows.wanted(np.arange(len(train.targets))).numpy(), train.targets.copy()
        place = np.isin(train.windows, part)
        expected[part] = (1 - share) * train.targets[part] + share * outputs[place]
        # 1e-5: the batches, and with them the order of sums, are others.
        np.testing.assert_allclose(targets, expected, atol=1e-5)


def test_without_distillation_targets_are_the_ideal_masks(teacher, tiny_data: PreparedData) -> None:
    windows = windows_to_learn(tiny_data.train, teacher, 0.0)
    windows.prepare(tiny_data.train.windows)
    np.testing.assert_array_equal(
        windows.wanted(tiny_data.train.windows), tiny_data.train.targets[tiny_data.train.windows]
    )


def test_the_teachers_own_masks_leave_nothing_to_learn(teacher, tiny_data: PreparedData) -> None:
    trainer = Trainer(teacher, windows_to_learn(tiny_data.train, teacher, 1.0), batch_size=128, learning_rate=1e-9)
    before = teacher.get_weights()
    plain = next(Trainer(teacher, Windows.of(tiny_data.train), batch_size=128, learning_rate=1e-9).train(1, seed=0))
    teacher.set_weights(before)
    assert next(trainer.train(1, seed=0)) < 1e-6 < plain
    teacher.set_weights(before)


def test_a_mixture_by_hand() -> None:
    assert mixed(np.float32([[0.2, 1.0]]), np.float32([[0.6, 0.0]]), 0.25).tolist() == [
        pytest.approx([0.3, 0.75], abs=1e-7)
    ]


@pytest.mark.parametrize("target", [TargetSettings("spectrum"), TargetSettings("score", segment_seconds=0.5)])
def test_other_targets_are_mixed_and_learned_as_masks_are(
    tensorflow, tiny_data_settings: DataSettings, study_cache: Path, target: TargetSettings
) -> None:
    features = FeatureSettings("log_spectrum", 8000, 128, 64)
    data = prepare(dataclasses.replace(tiny_data_settings, features=features, target=target), study_cache)
    shape = data.shape

    def small_model(seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        return keras.Sequential(
            [keras.Input(shape.inputs), keras.layers.Flatten(), keras.layers.Dense(shape.outputs, use_bias=False)]
        )

    teacher, learner = small_model(0), small_model(1)
    windows = windows_to_learn(data.train, teacher, 0.5)
    taught = Predictor(teacher, Windows.of(data.train)).outputs()
    windows.prepare(windows.current)
    wanted = (data.train.targets[windows.current] + taught) / 2
    assert wanted.shape == (windows.current.size, shape.outputs)
    np.testing.assert_allclose(windows.wanted(windows.current).numpy(), wanted, atol=1e-5)
    first, *_, last = Trainer(learner, windows, batch_size=16, learning_rate=1e-3).train(5, seed=0)
    assert last < 0.9 * first
