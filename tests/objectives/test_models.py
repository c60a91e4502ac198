from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

from wordlength.objectives.memory import float_bytes
from wordlength.objectives.models import IrmCnn, QualityCnn, SpectrumDnn, build_model
from wordlength.objectives.quantized_model import quantize
from wordlength.objectives.shape import NetworkShape
from wordlength.space import Binary, Float32, Role, find_slots

pytestmark = pytest.mark.usefixtures("tensorflow")

SHAPE = NetworkShape(frames=16, bins=64, outputs=129)
TABLE_1 = {
    "conv_1": 80,
    "conv_2": 216,
    "conv_3": 416,
    "conv_4": 688,
    "conv_5": 2400,
    "conv_6": 4736,
    "dense_1": 131_584,
    "dense_2": 262_656,
    "dense_3": 66_177,
}
"""Parameters per layer, Klein et al. 2021."""


@pytest.fixture(scope="module")
def case_study():
    return build_model(IrmCnn(), SHAPE, seed=0)


def test_parameters_per_layer_are_those_of_the_paper(case_study) -> None:
    counts = {layer.name: layer.count_params() for layer in case_study.layers if layer.weights}
    assert counts == TABLE_1
    assert case_study.count_params() == sum(TABLE_1.values()) == 468_953


def test_slots_are_weights_biases_and_activations_of_every_layer(case_study) -> None:
    slots = find_slots(case_study)
    assert [(info.slot.layer, info.slot.role) for info in slots] == [(name, role) for name in TABLE_1 for role in Role]
    assert sum(info.count for info in slots) == 468_953
    assert float_bytes(slots) == 1_875_812


def test_shapes(case_study) -> None:
    assert case_study.input_shape == (None, 16, 64)
    assert case_study.output_shape == (None, 129)
    shapes = {layer.name: layer.output.shape[1:] for layer in case_study.layers}
    assert shapes["conv_3"] == (16, 64, 16)
    assert shapes["pool_3"] == (16, 32, 16)
    assert shapes["pool_4"] == (16, 16, 32)
    assert shapes["conv_5"] == (8, 8, 64)
    assert shapes["pool_6"] == (2, 2, 64)


def test_activations_are_relu_and_last_a_sigmoid(case_study) -> None:
    names = [layer.activation.__name__ for layer in case_study.layers if layer.weights]
    assert names == ["relu"] * 8 + ["sigmoid"]


def test_same_seed_same_weights_another_seed_others(tiny_model_settings) -> None:
    one, same, other = (build_model(tiny_model_settings, SHAPE, seed).get_weights() for seed in (1, 1, 2))
    assert len(one) == len(same) == len(other) > 0
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert all((a != b).any() for a, b in zip(one, other, strict=True) if a.any())


def test_a_smaller_network_has_the_same_layers(case_study, tiny_model_settings) -> None:
    tiny = build_model(tiny_model_settings, SHAPE, seed=0)
    assert [layer.name for layer in tiny.layers] == [layer.name for layer in case_study.layers]
    assert tiny.count_params() < 2000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": (8, 16, 16, 0, 64, 64)}, "filters and dense units must be between 1 and 4096, but got 0"),
        ({"dense": (512, 5000)}, "filters and dense units must be between 1 and 4096, but got 5000"),
    ],
)
def test_bad_settings_are_refused(changes, message) -> None:
    with pytest.raises(ValueError, match=message):
        IrmCnn(**changes)


def test_the_quality_network_has_dnsmos_layers() -> None:
    network = build_model(QualityCnn(), NetworkShape(100, 64, 1), seed=0)
    kernels = {layer.name: layer.get_weights()[0].shape for layer in network.layers if layer.weights}
    assert kernels == {
        "conv_1": (3, 3, 1, 128),
        "conv_2": (3, 3, 128, 64),
        "conv_3": (3, 3, 64, 64),
        "conv_4": (3, 3, 64, 32),
        "conv_5": (3, 3, 32, 32),
        "conv_6": (3, 3, 32, 32),
        "conv_7": (3, 3, 32, 64),
        "dense_1": (64, 128),
        "dense_2": (128, 64),
        "dense_3": (64, 1),
    }
    assert network.count_params() == 184_097
    assert network.get_layer("pool_6").output.shape == (None, 12, 8, 32)
    assert network.layers[-1].activation.__name__ == "linear"


def test_width_scales_filters_and_units() -> None:
    half = build_model(QualityCnn(width=0.5), NetworkShape(16, 64, 1), seed=0)
    assert [half.get_layer(f"conv_{n}").filters for n in range(1, 8)] == [64, 32, 32, 16, 16, 16, 32]
    assert [half.get_layer(f"dense_{n}").units for n in range(1, 4)] == [64, 32, 1]


def test_binary_maps_reach_through_pooling_to_the_score() -> None:
    """Pooled bits are bits, and every kernel has a gradient through the surrogate."""
    network = build_model(QualityCnn(width=0.1), NetworkShape(16, 32, 1), seed=0)
    quantized = quantize(network)
    maps = [s for s in quantized.activation_slots if s.layer != "dense_3"]
    formats = {info.slot: Binary() if info.slot in maps else Float32() for info in quantized.slots}
    quantized.admit(formats.items())
    quantized.assign(formats)
    x = np.random.default_rng(0).normal(size=(4, 16, 32)).astype(np.float32)
    names = [f"conv_{n}_quantized" for n in range(1, 8)] + ["pool_4", "pool_6", "peak"]
    probe = keras.Model(quantized.model.inputs[0], [quantized.model.get_layer(name).output for name in names])
    for name, values in zip(names, probe(x), strict=True):
        assert set(np.unique(values)) <= {0.0, 1.0}, name
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(quantized.model(x) - 1))
    kernels = [quantized.model.get_layer(f"conv_{n}").kernel.value for n in range(1, 8)]
    assert all(np.abs(gradient).max() > 0 for gradient in tape.gradient(loss, kernels))


def test_the_spectrum_network_is_fully_connected_and_linear_at_last() -> None:
    network = build_model(SpectrumDnn(), NetworkShape(11, 129, 129), seed=0)
    widths = [11 * 129, 512, 512, 512, 129]
    assert network.count_params() == sum((a + 1) * b for a, b in pairwise(widths))
    names = [layer.activation.__name__ for layer in network.layers if layer.weights]
    assert names == ["relu"] * 3 + ["linear"]
