"""Small networks with every layer that integers can compute, and random candidates of every format for them."""

import keras
import numpy as np
from keras import layers

from wordlength.space import Binary, Candidate, Fixed, Format, PowerOfTwo, Role, SlotInfo, VirtualBitShift, find_slots


def plane() -> keras.Model:
    """Two-dimensional: padding, strides, dilation, pooling that divides by 2, 4, 6 and by fewer at the edges."""
    inputs = keras.Input((7, 9), name="frames")
    x = layers.Reshape((7, 9, 1))(inputs)
    x = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")(x)
    x = layers.AveragePooling2D((1, 2), padding="same", name="ragged")(x)
    x = layers.SeparableConv2D(4, 3, strides=2, padding="same", depth_multiplier=2, activation="relu6", name="sep")(x)
    x = layers.MaxPooling2D((2, 1), name="largest")(x)
    x = layers.DepthwiseConv2D(2, dilation_rate=1, padding="same", use_bias=False, name="depth")(x)
    x = layers.ReLU(max_value=1.5, name="limited")(x)
    x = layers.Conv2D(4, (1, 2), dilation_rate=2, padding="same", activation="tanh", name="wide")(x)
    x = layers.AveragePooling2D((2, 3), name="sixths")(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(6, name="dense")(x)
    return keras.Model(inputs, layers.Dense(5, activation="sigmoid", name="mask")(x), name="plane")


def line() -> keras.Model:
    """One-dimensional, ending in a dense layer over time."""
    inputs = keras.Input((12, 3))
    x = layers.Conv1D(4, 3, strides=2, padding="same", activation="relu", name="first-conv")(inputs)
    x = layers.SeparableConv1D(5, 3, padding="valid", activation="linear", name="sep.1")(x)
    x = layers.Activation("tanh", name="int")(x)
    x = layers.AveragePooling1D(2, name="pool")(x)
    x = layers.Dense(3, activation="relu", use_bias=False, name="each")(x)
    x = layers.GlobalAveragePooling1D(name="all")(x)
    return keras.Model(inputs, layers.Dense(4, name="out")(x), name="line")


def stack() -> keras.Model:
    """Dense layers alone."""
    inputs = keras.Input((10,))
    x = layers.Dense(8, activation="relu", name="a")(inputs)
    x = layers.Dense(7, activation="sigmoid", name="b")(x)
    return keras.Model(inputs, layers.Dense(3, activation="tanh", name="c")(x), name="stack")


def branches() -> keras.Model:
    """Causal and dilated kernels, wrapped layers, and every way of joining branches."""
    inputs = keras.Input((6, 4))
    left = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, name="past")(inputs)
    right = layers.DepthwiseConv1D(2, padding="same", strides=1, name="depth")(inputs)
    x = layers.ReLU(name="sum_relu")(layers.Add(name="sum")([left, right, inputs]))
    y = layers.Subtract(name="less")([x, right])
    gate = layers.Dense(4, activation="sigmoid", name="gate")(layers.GlobalAveragePooling1D(keepdims=True)(left))
    y = layers.Multiply(name="gated")([gate, y])
    z = layers.Average(name="mean")([x, y])
    x = layers.Concatenate(name="beside")([x, y, layers.Maximum(name="most")([z, right])])
    x = layers.Concatenate(axis=1, name="behind")([x, x])
    x = layers.TimeDistributed(layers.Dense(3, activation="tanh"), name="each")(x)
    x = layers.Reshape((4, 3, 3))(x)
    x = layers.TimeDistributed(layers.Conv1D(2, 2, strides=2, padding="same"), name="each_conv")(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    x = layers.Minimum(name="least")([x, layers.Permute((2, 1))(x)])
    return keras.Model(inputs, layers.Dense(2, name="out")(layers.Flatten()(x)), name="branches")


def moves() -> keras.Model:
    """Padding, cropping, repetition, and transposed kernels of every padding."""
    inputs = keras.Input((3, 4, 2))
    x = layers.ZeroPadding2D(((1, 0), (2, 1)), name="framed")(inputs)
    x = layers.Conv2DTranspose(3, (3, 2), strides=2, padding="same", activation="relu", name="up")(x)
    x = layers.Cropping2D(((1, 2), (0, 3)), name="cut")(x)
    x = layers.Conv2DTranspose(2, 3, strides=(1, 2), padding="valid", use_bias=False, name="wider")(x)
    x = layers.UpSampling2D((1, 2), name="twice")(layers.Permute((2, 1, 3), name="turned")(x))
    x = layers.Conv2D(2, (3, 4), strides=(4, 3), name="conv")(x)
    x = layers.Reshape((-1, 2))(x)
    x = layers.Cropping1D((1, 0))(layers.ZeroPadding1D((0, 2))(x))
    x = layers.Conv1DTranspose(2, 2, strides=3, padding="same", name="long")(x)
    x = layers.UpSampling1D(2)(layers.GlobalMaxPooling1D(keepdims=True)(x))
    return keras.Model(inputs, x, name="moves")


def curves() -> keras.Model:
    """Every function."""
    x = inputs = keras.Input((5,))
    for name in ("leaky_relu", "silu", "hard_sigmoid", "softplus", "gelu", "elu", "hard_silu", "hard_tanh"):
        x = layers.Dense(4, activation=name, name=f"of_{name}")(x)
    x = layers.LeakyReLU(0.3, name="leaky")(layers.Dense(4, name="dense")(x))
    x = layers.ReLU(negative_slope=0.25, max_value=1.5, name="bent")(layers.ELU(name="elu")(x))
    return keras.Model(inputs, layers.RepeatVector(2, name="again")(x), name="curves")


def states() -> keras.Model:
    """Recurrent layers of every kind, in both directions."""
    inputs = keras.Input((5, 3))
    x = layers.GRU(4, return_sequences=True, name="gru")(inputs)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="lstm")(x)
    x = layers.SimpleRNN(4, activation="relu", return_sequences=True, go_backwards=True, name="simple")(x)
    x = layers.Bidirectional(layers.GRU(2, use_bias=False, recurrent_activation="hard_sigmoid"), name="both")(x)
    return keras.Model(inputs, layers.Dense(2, activation="sigmoid", name="mask")(x), name="states")


NETWORKS = {
    "plane": plane,
    "line": line,
    "stack": stack,
    "branches": branches,
    "moves": moves,
    "curves": curves,
    "states": states,
}
ENDING = ("sep", "limited", "bent", "of_hard_sigmoid", "of_hard_tanh")
"""Layers whose functions end: wrapping has no end."""


def network(name: str, seed: int = 0) -> keras.Model:
    """One of them with random weights, some of them zero: single ones, an output channel, now and then a tensor."""
    model = NETWORKS[name]()
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        values = rng.normal(0, 0.5, variable.shape) * (rng.random(variable.shape) > 0.1)
        values[..., int(rng.integers(variable.shape[-1]))] *= rng.random() < 0.7
        values *= rng.random() < 0.95
        variable.assign(values.astype(np.float32))
    return model


def random_candidate(model: keras.Model, seed: int, bits: tuple[int, int] = (2, 8)) -> Candidate:
    """A format of any kind in every slot, between so many bits."""
    rng = np.random.default_rng(seed)
    return Candidate.of((info.slot, _random_format(info, rng, bits)) for info in find_slots(model))


def _random_format(info: SlotInfo, rng: np.random.Generator, bits: tuple[int, int]) -> Format:
    def whole(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    width = whole(*bits)
    modes = {"rounding": ["half_even", "half_up", "floor"][whole(0, 2)], "overflow": ["saturate", "wrap"][whole(0, 1)]}
    if info.slot.role is Role.ACTIVATIONS:
        choices: list[Format] = [
            Fixed(width, whole(0, 2)),
            Fixed(width, whole(0, 2), signed=False),
            PowerOfTwo(min(width, 4), whole(-1, 2), zero=width > 2),
            *([] if info.no_binary else [Binary()]),
        ]
        if info.slot.layer not in ENDING:
            choices.append(Fixed(width, whole(0, 2), bool(whole(0, 1)), **modes))  # type: ignore[arg-type]
        return choices[whole(0, len(choices) - 1)]
    channels = sum(tensor.packed_shape[-1] for tensor in info.tensors)
    choices = [
        Fixed(width, whole(-2, 1)),
        Fixed(width, whole(-1, 1), bool(whole(0, 1)), **modes),  # type: ignore[arg-type]
        Fixed(width, tuple(whole(-9, 3) for _ in range(channels))),
        PowerOfTwo(min(width, 5), whole(-1, 1)),
        PowerOfTwo(min(width, 5), whole(-1, 1), zero=True),
        VirtualBitShift(width),
        VirtualBitShift(width, "channel"),
        VirtualBitShift(width, whole(1, 9)),
    ]
    return choices[whole(0, len(choices) - 1)]
