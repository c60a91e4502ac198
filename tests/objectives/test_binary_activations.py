"""Binary outputs: a step in place of the activation function, a gradient for neurons that do not fire."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_models import all_float, inputs_for, seeded, stack

from wordlength.objectives.quantized_model import QuantizedModel, quantize
from wordlength.space import Binary, Role

pytestmark = pytest.mark.usefixtures("tensorflow")

FIRING = {
    "relu": lambda: stack((5,), layers.Dense(4, "relu", name="first")),
    "sigmoid": lambda: stack((5,), layers.Dense(4, "sigmoid", name="first")),
    "linear": lambda: stack((5,), layers.Dense(4, name="first")),
    "relu layer": lambda: stack((5,), layers.Dense(4, name="first"), layers.ReLU(name="then")),
    "sigmoid layer": lambda: stack((5,), layers.Dense(4, name="first"), layers.Activation("sigmoid", name="then")),
}
STEEPNESS = 3.0


def firing(kind: str, learn_threshold: bool = True) -> tuple[keras.Model, QuantizedModel, np.ndarray, np.ndarray]:
    """A model whose first output is binary and all else float; inputs and sums, neuron 0 and 1 never firing."""
    model = seeded(FIRING[kind])
    kernel, bias = model.get_layer("first").get_weights()
    model.get_layer("first").set_weights([kernel, bias + np.float32([-30, -30, 0, 0.5])])
    quantized = quantize(model)
    slot = next(info.slot for info in quantized.slots if info.slot.role is Role.ACTIVATIONS)
    quantized.assign(dict(all_float(model)) | {slot: Binary(STEEPNESS, learn_threshold)})
    x = inputs_for(model)
    kernel, bias = model.get_layer("first").get_weights()
    sums = x @ kernel + bias
    assert (sums[:, :2] < 0).all()
    assert (sums > 0).any()
    return model, quantized, x, sums


@pytest.mark.parametrize("kind", FIRING)
def test_a_binary_output_says_where_the_sum_is_above_zero(kind: str) -> None:
    model, quantized, x, sums = firing(kind)
    tap, _, outputs = (tensor.numpy() for tensor in quantized.taps(x))
    np.testing.assert_allclose(tap, sums, rtol=1e-5, atol=1e-5)  # the sum itself, not its activation
    spikes = (tap > 0).astype(np.float32)
    np.testing.assert_array_equal(outputs, model.get_layer("last")(spikes))
    np.testing.assert_array_equal(quantized.model(x), outputs)


@pytest.mark.parametrize("learn_threshold", [True, False], ids=["learned", "fixed"])
@pytest.mark.parametrize("kind", FIRING)
def test_the_surrogate_gradient_reaches_neurons_that_do_not_fire(kind: str, learn_threshold: bool) -> None:
    model, quantized, x, sums = firing(kind, learn_threshold)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(quantized.model(x))
    first = quantized.model.get_layer("first")
    by_kernel, by_bias = tape.gradient(total, [first.kernel.value, first.bias.value])
    last, _ = model.get_layer("last").get_weights()
    by_sum = last.sum(1) / (1 + STEEPNESS * np.abs(sums)) ** 2
    np.testing.assert_allclose(by_kernel, x.T @ by_sum, rtol=1e-4, atol=1e-6)
    assert (by_kernel.numpy()[:, :2] != 0).all()
    np.testing.assert_allclose(by_bias, by_sum.sum(0) if learn_threshold else np.zeros(4), rtol=1e-4, atol=1e-6)


def test_a_threshold_learns_again_once_the_output_is_a_number() -> None:
    model, quantized, x, _ = firing("linear", learn_threshold=False)
    quantized.assign(all_float(model))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(quantized.model(x))
    assert (tape.gradient(total, quantized.model.get_layer("first").bias.value).numpy() != 0).all()
