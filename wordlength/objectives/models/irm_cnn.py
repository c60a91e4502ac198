"""The case-study CNN of Klein, Kantic & Blume 2021, table 1: log-Mel frames → ideal ratio mask.

Input (n, 16, 64): the current and 15 past frames of 64 Mel bins. Output (n, 129): the mask at the bins
of a 256-point FFT. 468,953 parameters. Table 1 prints 64 outputs, but its 66,177 parameters belong to
129 = 512 · 129 + 129.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from wordlength.objectives.shape import NetworkShape

_STRIDES = (1, 1, 1, 1, 2, 1)
_POOLS = (None, None, (1, 2), (1, 2), None, (4, 4))


def build(filters: Sequence[int], dense: Sequence[int], shape: NetworkShape, seed: int) -> Any:
    """Layers conv_1 … conv_6 (the first a full, the others separable convolutions), dense_1 … dense_3."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape.inputs, name="log_mel")
    x = layers.Reshape((*shape.inputs, 1), name="image")(inputs)
    for number, (count, stride, pool) in enumerate(zip(filters, _STRIDES, _POOLS, strict=True), start=1):
        kind = layers.Conv2D if number == 1 else layers.SeparableConv2D
        x = kind(count, 3, strides=stride, padding="same", activation="relu", name=f"conv_{number}")(x)
        if pool:
            x = layers.AveragePooling2D(pool, name=f"pool_{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    for number, units in enumerate(dense, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense_{number}")(x)
    mask = layers.Dense(shape.outputs, activation="sigmoid", name=f"dense_{len(dense) + 1}")(x)
    return keras.Model(inputs, mask, name="irm_cnn")
