"""Small Keras models, and what several tests of quantized models need of them."""

import keras
import numpy as np
from keras import layers

from wordlength.space import Candidate, Float32, find_slots


def stack(shape: tuple[int, ...], *layer: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *layer, layers.Flatten(), layers.Dense(2, name="last")])


def seeded(build) -> keras.Model:
    """The model with random weights, biases included, large enough to saturate some formats."""
    model = build()
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, 0.6, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


def inputs_for(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1.5, (7, *model.input_shape[1:])).astype(np.float32)


def all_float(model: keras.Model) -> Candidate:
    return Candidate.of((info.slot, Float32()) for info in find_slots(model))
