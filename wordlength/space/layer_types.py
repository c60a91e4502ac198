"""Which Keras layers wordlength knows, and what is known of each: one table, from which docs/layers.md is written.

A layer type that is not here is refused by name before anything trains (`find_slots`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Family(StrEnum):
    """What a layer does with values: decides which slots it has."""

    INPUT = "input"
    KERNEL = "kernel"
    """Sums of products, then perhaps a function: WEIGHTS, BIASES, ACTIVATIONS."""
    RECURRENT = "recurrent"
    """A state that is also the output: WEIGHTS of both kernels, BIASES, ACTIVATIONS of the state."""
    SCALE = "scale"
    """Normalises, then scales and shifts: gamma is WEIGHTS, beta BIASES, the result ACTIVATIONS."""
    FUNCTION = "function"
    """An activation function: ACTIVATIONS."""
    MERGE = "merge"
    """Gives values that no input has, without parameters: ACTIVATIONS."""
    AVERAGE = "average"
    """Averages, or interpolates: no slot, the values keep binary places beyond their input's format."""
    PASSING = "passing"
    """Hands values on, picked or moved but not changed: no slot."""
    FOLDED = "folded"
    """Goes into the kernel before or after it: see objectives/folding.py."""
    WRAPPER = "wrapper"
    """Has the slots of the layers in it, under its own name."""


@dataclass(frozen=True, slots=True)
class LayerType:
    """One layer type. `weights`, `biases`: attributes of its tensors on the layer.

    `qkeras`, `integers` (the integer reference and C), `hls4ml`: whether an export has it there; it may still refuse
    a layer for its settings, by name. A layer without a QKeras class is exported as the Keras layer, its parameters
    rounded. `in_place`: whether its output has its input's elements one by one, so that it can take their place in
    memory. `note`: what a reader must know.
    """

    family: Family
    weights: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()
    qkeras: bool = False
    integers: bool = False
    hls4ml: bool = False
    in_place: bool = False
    note: str = ""


_DEPTHWISE = ("depthwise_kernel", "pointwise_kernel")
_CELL = LayerType(
    Family.RECURRENT,
    ("cell.kernel", "cell.recurrent_kernel"),
    ("cell.bias",),
    qkeras=True,
    integers=True,
    note="the state's format is the output's; gates stay float between; in integers a GRU with reset_after only",
)
_KERNEL = LayerType(Family.KERNEL, ("kernel",), ("bias",), qkeras=True, integers=True, hls4ml=True)
_FUNCTION = LayerType(Family.FUNCTION, qkeras=True, integers=True, in_place=True)
_MERGE = LayerType(Family.MERGE, qkeras=True, integers=True)
_PASSING = LayerType(Family.PASSING, qkeras=True, integers=True)
_SAME_ORDER = replace(_PASSING, in_place=True)
_AVERAGE = LayerType(Family.AVERAGE, qkeras=True)


def _all(kind: LayerType, *names: str) -> dict[str, LayerType]:
    return dict.fromkeys(names, kind)


def _ranks(name: str, ranks: Iterable[int] = (1, 2)) -> tuple[str, ...]:
    return tuple(f"{name}{rank}D" for rank in ranks)


LAYER_TYPES: dict[str, LayerType] = {
    **_all(LayerType(Family.INPUT, qkeras=True, integers=True, hls4ml=True), "InputLayer"),
    **_all(_KERNEL, "Dense", "Conv2D"),
    "Conv1D": replace(_KERNEL, note="causal: padded with zeros before it in QKeras; not in hls4ml"),
    "DepthwiseConv1D": replace(_KERNEL, qkeras=False, hls4ml=False),
    "DepthwiseConv2D": _KERNEL,
    **_all(replace(_KERNEL, weights=_DEPTHWISE), *_ranks("SeparableConv")),
    "Conv1DTranspose": replace(_KERNEL, qkeras=False, hls4ml=False),
    "Conv2DTranspose": replace(_KERNEL, hls4ml=False),
    "SimpleRNN": _CELL,
    "GRU": _CELL,
    "LSTM": replace(_CELL, note="the cell state has the format of the state, which is the output's; gates stay float"),
    "LayerNormalization": LayerType(Family.SCALE, ("gamma",), ("beta",), note="mean and variance stay float"),
    "BatchNormalization": LayerType(Family.FOLDED, in_place=True, note="folded before anything is quantized"),
    "Bidirectional": LayerType(
        Family.WRAPPER,
        qkeras=True,
        integers=True,
        note="of SimpleRNN, GRU or LSTM; in integers merge_mode='concat' only",
    ),
    "TimeDistributed": LayerType(
        Family.WRAPPER, integers=True, note="of a layer with a kernel, or of one without slots"
    ),
    **_all(replace(_FUNCTION, hls4ml=True), "Activation", "ReLU"),
    **_all(_FUNCTION, "LeakyReLU", "ELU"),
    "Softmax": replace(_FUNCTION, integers=False),
    **_all(_MERGE, "Add", "Subtract", "Multiply", "Average"),
    **_all(_PASSING, "Concatenate", "Maximum", "Minimum", "Permute", "RepeatVector"),
    **_all(replace(_SAME_ORDER, hls4ml=True), "Flatten", "Reshape"),
    **_all(_SAME_ORDER, "Identity", "Dropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization"),
    **_all(_SAME_ORDER, *_ranks("SpatialDropout", (1, 2, 3))),
    **_all(replace(_PASSING, hls4ml=True), *_ranks("MaxPooling"), *_ranks("GlobalMaxPooling")),
    **_all(_PASSING, *_ranks("ZeroPadding"), *_ranks("Cropping")),
    **_all(replace(_PASSING, note="interpolation: nearest only"), *_ranks("UpSampling")),
    **_all(replace(_AVERAGE, integers=True, hls4ml=True), *_ranks("AveragePooling"), *_ranks("GlobalAveragePooling")),
}
"""Layer type → what is known of it."""

COMMON_FUNCTIONS = (
    *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "hard_sigmoid"),
    *("tanh", "softmax", "softplus", "softsign", "exponential", "hard_silu", "hard_tanh", "mish", "log_softmax"),
)
"""Activation functions that the layer contract tests; a user's own is taken too: it stays float between the formats."""


def of_family(*families: Family) -> frozenset[str]:
    """The names of all layer types of these families."""
    return frozenset(name for name, kind in LAYER_TYPES.items() if kind.family in families)
