"""A network with batch normalization: trained with it, searched without."""

from pathlib import Path

import numpy as np
import pytest

from wordlength.objectives.audio import PreparedData
from wordlength.objectives.baseline import Baseline, prepare_baseline
from wordlength.objectives.models import UserModel
from wordlength.objectives.settings import EvaluationSettings

pytestmark = pytest.mark.usefixtures("tensorflow")

NORMALIZED = UserModel(
    "net.py:build",
    {},
    """
import keras
from keras import layers


def build(inputs, outputs):
    x = keras.Input(inputs)
    y = layers.Dense(6, name="hidden")(layers.Flatten()(x))
    y = layers.ReLU(name="rectified")(layers.BatchNormalization(name="normal")(y))
    return keras.Model(x, layers.Dense(outputs, "sigmoid", name="mask")(y))
""",
)


def test_the_baseline_is_the_trained_network_folded(
    tiny_data: PreparedData, tiny_settings: EvaluationSettings, tmp_path: Path
) -> None:
    from dataclasses import replace

    from wordlength.objectives.evaluate import Evaluator
    from wordlength.space import Candidate, Float32

    settings = replace(tiny_settings, model=NORMALIZED)
    progress, baseline = prepare_baseline(tiny_data, settings, 0, tmp_path)
    assert isinstance(baseline, Baseline)
    assert {info.slot.layer for info in baseline.slots} == {"hidden", "rectified", "mask"}
    assert len(baseline.weights) == 4
    # What was measured with the normalization, its moments moved by the training, is what the folded one gives.
    assert baseline.quality == pytest.approx(progress.quality, abs=1e-5)
    evaluator = Evaluator(tiny_data, baseline, settings)
    plain = Candidate.of((info.slot, Float32()) for info in baseline.slots)
    np.testing.assert_allclose(evaluator.measure_untrained(plain).per_mixture, baseline.gains, atol=1e-5)
