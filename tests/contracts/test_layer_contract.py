from typing import ClassVar

import keras
from keras import layers
from layer_contract import LayerContract, Network

from wordlength.space.layer_types import COMMON_FUNCTIONS


def network(shape: tuple[int, ...], *stack: keras.layers.Layer) -> keras.Model:
    x = inputs = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return keras.Model(inputs, layers.Dense(3, name="last")(x))


def merged(merge: keras.layers.Layer, tail: keras.layers.Layer | None = None) -> keras.Model:
    """Branches of other depths, so that layers beside them change their order."""
    inputs = keras.Input((4, 3))
    left = layers.Dense(3, "tanh", name="left")(inputs)
    right = layers.Dense(3, "relu", name="deep")(layers.Dense(3, name="right")(inputs))
    x = merge([left, right])
    x = tail(x) if tail else x
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.Flatten()(x)))


class TestKernels(LayerContract):
    networks: ClassVar[dict[str, Network]] = {
        "Dense": lambda: network((5,), layers.Dense(4, "relu", name="odd")),
        "Conv1D causal": lambda: network((6, 2), layers.Conv1D(3, 3, padding="causal", name="odd")),
        "Conv1D causal dilated": lambda: network(
            (6, 2), layers.Conv1D(3, 2, padding="causal", dilation_rate=2, activation="relu", name="odd")
        ),
        "Conv2D dilated": lambda: network((5, 5, 2), layers.Conv2D(2, 2, dilation_rate=2, name="odd")),
        "DepthwiseConv1D": lambda: network((6, 2), layers.DepthwiseConv1D(3, depth_multiplier=2, name="odd")),
        "DepthwiseConv2D": lambda: network((5, 5, 2), layers.DepthwiseConv2D(3, activation="relu", name="odd")),
        "SeparableConv1D": lambda: network((6, 2), layers.SeparableConv1D(3, 3, activation="relu", name="odd")),
        "SeparableConv2D": lambda: network((5, 5, 2), layers.SeparableConv2D(3, 3, padding="same", name="odd")),
        "Conv1DTranspose": lambda: network((4, 2), layers.Conv1DTranspose(3, 3, strides=2, name="odd")),
        "Conv2DTranspose": lambda: network(
            (3, 3, 2), layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu", name="odd")
        ),
        "TimeDistributed Dense": lambda: network((4, 3), layers.TimeDistributed(layers.Dense(2, "tanh"), name="odd")),
        "TimeDistributed Conv1D": lambda: network((3, 5, 2), layers.TimeDistributed(layers.Conv1D(2, 3), name="odd")),
    }
    products: ClassVar[dict[str, int]] = {
        "Dense": 5 * 4,
        "Conv1D causal": 6 * 3 * (3 * 2),
        "Conv1D causal dilated": 6 * 3 * (2 * 2),
        "Conv2D dilated": 3 * 3 * 2 * (2 * 2 * 2),
        "DepthwiseConv1D": 4 * 4 * 3,
        "DepthwiseConv2D": 3 * 3 * 2 * (3 * 3),
        "SeparableConv1D": 4 * 2 * 3 + 4 * 3 * 2,
        "SeparableConv2D": 5 * 5 * 2 * (3 * 3) + 5 * 5 * 3 * 2,
        "Conv1DTranspose": 4 * 2 * 3 * 3,
        "Conv2DTranspose": 3 * 3 * 2 * 3 * (3 * 3),
        "TimeDistributed Dense": 4 * 3 * 2,
        "TimeDistributed Conv1D": 3 * (3 * 2 * (3 * 2)),
    }


class TestRecurrent(LayerContract):
    networks: ClassVar[dict[str, Network]] = {
        "SimpleRNN": lambda: network((5, 3), layers.SimpleRNN(4, name="odd")),
        "GRU": lambda: network((5, 3), layers.GRU(4, return_sequences=True, name="odd")),
        "GRU before": lambda: network((5, 3), layers.GRU(4, reset_after=False, name="odd")),
        # QKeras has a hard_sigmoid and a hard_tanh of its own.
        "GRU of hard functions": lambda: network(
            (5, 3), layers.GRU(4, activation="hard_tanh", recurrent_activation="hard_sigmoid", name="odd")
        ),
        "SimpleRNN of a relu6": lambda: network((5, 3), layers.SimpleRNN(4, activation="relu6", name="odd")),
        "LSTM": lambda: network((5, 3), layers.LSTM(4, name="odd")),
        "LSTM without bias": lambda: network((5, 3), layers.LSTM(4, use_bias=False, go_backwards=True, name="odd")),
        "Bidirectional": lambda: network((5, 3), layers.Bidirectional(layers.GRU(3), name="odd")),
        "Bidirectional of hard functions": lambda: network(
            (5, 3), layers.Bidirectional(layers.LSTM(3, recurrent_activation="hard_sigmoid"), name="odd")
        ),
        "Bidirectional sum": lambda: network(
            (5, 3), layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum", name="odd")
        ),
    }
    products: ClassVar[dict[str, int]] = {
        "GRU of hard functions": 5 * 3 * (3 * 4 + 4 * 4),
        "SimpleRNN of a relu6": 5 * (3 * 4 + 4 * 4),
        "Bidirectional of hard functions": 2 * 5 * 4 * (3 * 3 + 3 * 3),
        "SimpleRNN": 5 * 4 * (3 + 4),
        "GRU": 5 * 3 * 4 * (3 + 4),
        "GRU before": 5 * 3 * 4 * (3 + 4),
        "LSTM": 5 * 4 * 4 * (3 + 4),
        "LSTM without bias": 5 * 4 * 4 * (3 + 4),
        "Bidirectional": 2 * 5 * 3 * 3 * (3 + 3),
        "Bidirectional sum": 2 * 5 * 4 * 3 * (3 + 3),
    }


class TestScales(LayerContract):
    networks: ClassVar[dict[str, Network]] = {
        "LayerNormalization": lambda: network((4, 6), layers.LayerNormalization(name="odd")),
        "LayerNormalization of two axes": lambda: network((4, 6), layers.LayerNormalization(axis=(1, 2), name="odd")),
    }


class TestMerges(LayerContract):
    networks: ClassVar[dict[str, Network]] = {
        "Add": lambda: merged(layers.Add(name="odd")),
        "Add then ReLU": lambda: merged(layers.Add(name="odd"), layers.ReLU()),
        "Subtract": lambda: merged(layers.Subtract(name="odd")),
        "Multiply": lambda: merged(layers.Multiply(name="odd")),
        "Average": lambda: merged(layers.Average(name="odd")),
        "Maximum": lambda: merged(layers.Maximum(name="odd")),
        "Concatenate": lambda: merged(layers.Concatenate(name="odd")),
    }


class TestMoving(LayerContract):
    networks: ClassVar[dict[str, Network]] = {
        "pooling": lambda: network(
            (8, 8, 1), layers.Conv2D(2, 2, padding="same"), layers.MaxPooling2D(2), layers.AveragePooling2D(2)
        ),
        "global pooling": lambda: network((6, 3), layers.Conv1D(3, 2), layers.GlobalAveragePooling1D()),
        "shapes": lambda: network(
            (4, 6),
            *(layers.Reshape((4, 6, 1)), layers.Conv2D(2, 2), layers.ZeroPadding2D(1)),
            *(layers.Cropping2D(((1, 0), (0, 1))), layers.UpSampling2D(2), layers.Permute((2, 1, 3))),
            layers.TimeDistributed(layers.Flatten()),
        ),
    }


def functions() -> keras.Model:
    """Every function of the table, and LeakyReLU, of one dense layer each, side by side."""
    inputs = keras.Input((5,))
    odd = [*map(layers.Activation, COMMON_FUNCTIONS), layers.LeakyReLU(0.25)]
    given = [function(layers.Dense(4)(inputs)) for function in odd]
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.Concatenate()(given)))


class TestFunctions(LayerContract):
    networks: ClassVar[dict[str, Network]] = {"all": functions}
