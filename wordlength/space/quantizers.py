"""The formats as QKeras quantizers whose kind and numbers are variables.

One traced TensorFlow graph then serves every candidate and both training steps: `assign` changes a
format without retracing. The values equal `Format.round` exactly; only the sign of a zero, which no
format stores, may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from qkeras.base_quantizer import BaseQuantizer

from wordlength.errors import FormatError
from wordlength.space import graph
from wordlength.space.formats import (
    EXACT_BITS,
    Binary,
    Fixed,
    Float32,
    Format,
    Overflow,
    PowerOfTwo,
    Rounding,
    VirtualBitShift,
    parse_format,
)


class Kind(IntEnum):
    """How a tensor is rounded: the branches that a quantizer's graph can have."""

    FLOAT32 = 0
    FIXED = 1
    """Signed, at most 24 bits, one step for the whole tensor, half even and saturating: the fast one."""
    PO2 = 2
    FIXED_STEPS = 3
    """Half even and saturating, unsigned too, with any steps."""
    FIXED_MODES = 4
    """Any rounding and overflow, in float64."""
    VBS = 5
    BINARY = 6

    @classmethod
    def of(cls, fmt: Format) -> Kind:
        """The kind that rounds to `fmt`."""
        match fmt:
            case Float32():
                return cls.FLOAT32
            case Fixed(rounding=Rounding.HALF_EVEN, overflow=Overflow.SATURATE):
                quick = fmt.signed and not fmt.per_channel and fmt.bits <= EXACT_BITS
                return cls.FIXED if quick else cls.FIXED_STEPS
            case Fixed():
                return cls.FIXED_MODES
            case PowerOfTwo():
                return cls.PO2
            case VirtualBitShift():
                return cls.VBS
            case Binary():
                return cls.BINARY
        raise FormatError(f"a format must have a quantizer, but {fmt} has none")


USUAL_KINDS = (Kind.FLOAT32, Kind.FIXED, Kind.PO2)


@keras.saving.register_keras_serializable(package="wordlength")
class FormatQuantizer(BaseQuantizer):  # type: ignore[misc]
    """Rounds a float32 tensor of any shape to a format that may change between calls.

    Gradient (straight-through), parameters: 1 everywhere, as QKeras' `quantized_bits` has it, so that a
    parameter outside the range can return. With `activations`: that of saturation, 1 inside
    [lowest, highest] and 0 outside; 1 everywhere where the format wraps; for `binary` the surrogate
    1 / (1 + steepness · |x|)² (see Binary).

    `format`: a Format or its text. `channel_axes`: trailing axes that make up the output channel, 2 for
    depthwise kernels. `kinds`: what it may be assigned once it is in use, by default every kind of its role;
    each one costs time to trace. Raises FormatError for a format that the role cannot have.
    """

    def __init__(
        self,
        format: Format | str = "float32",
        activations: bool = False,
        channel_axes: int = 1,
        kinds: Iterable[Kind] | None = None,
    ) -> None:
        super().__init__()
        self.activations = activations
        self.channel_axes = channel_axes
        never = Kind.VBS if activations else Kind.BINARY
        self.kinds = [kind for kind in (Kind if kinds is None else kinds) if kind is not never]
        self.in_use = False
        """Whether a graph may have been traced with it."""
        with tf.init_scope():
            # Plain tf.Variable: Keras must neither train these nor save them with the weights.
            self._branch = tf.Variable(0, trainable=False, dtype=tf.int32)
            # One element, or one per output channel.
            self._steps, self._inverse_steps, self._lowest, self._highest = (
                tf.Variable([1.0], trainable=False, shape=[None]) for _ in range(4)
            )
            self._bits = tf.Variable(1, trainable=False, dtype=tf.int32)
            self._codes = tf.Variable([0.0, 0.0], trainable=False)
            self._exponents = tf.Variable([0, 0, graph.NO_ZERO], trainable=False, dtype=tf.int32)
            self._modes = tf.Variable([0, 0], trainable=False, dtype=tf.int32)
            self._group = tf.Variable(graph.WHOLE_TENSOR, trainable=False, dtype=tf.int32)
            self._smallest = tf.Variable(0.0, trainable=False)
            self._steepness = tf.Variable(1.0, trainable=False)
            # Where an activation's gradient passes.
            self._passing = tf.Variable([0.0, 0.0], trainable=False)
            # How much of a parameter's gradient passes: 0 keeps a threshold as it is.
            self._flow = tf.Variable(1.0, trainable=False)
        self._format: Format | None = None
        self._learns = True
        self.assign(parse_format(format) if isinstance(format, str) else format)

    @property
    def format(self) -> Format:
        """The format in force."""
        assert self._format is not None
        return self._format

    def extend(self, kind: Kind) -> None:
        """Admit one more kind. Graphs already traced do not have it: they must be traced again."""
        if kind not in self.kinds:
            self.kinds.append(kind)

    def assign(self, fmt: Format, learns: bool = True) -> None:
        """Switch to `fmt`; graphs already traced follow. With `learns` false, parameters get no gradient.

        Raises FormatError if graphs may have been traced without the format's kind: see `extend`.
        """
        if fmt == self._format and learns == self._learns:
            return  # A candidate's pinned formats are most of what there is to assign.
        if reason := fmt.unfit_for_activations if self.activations else fmt.unfit_for_parameters:
            role = "activations" if self.activations else "parameters"
            raise FormatError(f"{role} cannot be {fmt.brief}: {reason}")
        kind = Kind.of(fmt)
        if kind not in self.kinds and self.in_use:
            known = ", ".join(kind.name for kind in self.kinds)
            raise FormatError(f"a traced quantizer keeps its kinds ({known}) until it is extended, but got {fmt.brief}")
        self.extend(kind)
        lowest, highest = np.array([fmt.lowest]), np.array([fmt.highest])
        match fmt:
            case Fixed():
                self._assign_fixed(fmt)
                steps = np.ldexp(1.0, fmt.step_exponents)
                lowest, highest = fmt.lowest_code * steps, fmt.highest_code_float32 * steps
            case PowerOfTwo():
                self._exponents.assign(graph.po2_exponents(fmt))
            case VirtualBitShift():
                self._assign_shifted(fmt)
            case Binary():
                self._steepness.assign(fmt.steepness)
                lowest, highest = np.array([-np.inf]), np.array([np.inf])
        saturates = isinstance(fmt, PowerOfTwo) or (isinstance(fmt, Fixed) and fmt.overflow is Overflow.SATURATE)
        # `highest` is one that float32 holds: rounded up, the first value outside would pass.
        self._passing.assign([lowest.min(), highest.max()] if saturates else [-np.inf, np.inf])
        self._lowest.assign(lowest.astype(np.float32))
        self._highest.assign(highest.astype(np.float32))
        self._smallest.assign(fmt.smallest_magnitude)
        self._flow.assign(float(learns))
        self._branch.assign(self.kinds.index(kind))
        self._format, self._learns = fmt, learns

    def _assign_fixed(self, fmt: Fixed) -> None:
        steps = np.ldexp(np.float32(1), fmt.step_exponents)
        self._bits.assign(fmt.bits)
        self._steps.assign(steps)
        self._inverse_steps.assign(1 / steps)
        self._codes.assign([fmt.lowest_code, fmt.highest_code_float32])
        self._modes.assign([list(Rounding).index(fmt.rounding), list(Overflow).index(fmt.overflow)])

    def _assign_shifted(self, fmt: VirtualBitShift) -> None:
        self._codes.assign([-float(2 ** (fmt.bits - 1)), fmt.highest_code_float32])
        self._exponents.assign([fmt.bits, 0, graph.NO_ZERO])
        groups = {"tensor": graph.WHOLE_TENSOR, "channel": graph.BY_CHANNEL}
        self._group.assign(groups[fmt.group] if isinstance(fmt.group, str) else fmt.group)

    def is_kind(self, kind: Kind) -> tf.Tensor | bool:
        """Whether it is of this kind: a scalar that follows `assign`, or False if it never can be."""
        return self._branch == self.kinds.index(kind) if kind in self.kinds else False

    @property
    def smallest_magnitude(self) -> tf.Tensor:
        """Smallest magnitude above zero, as a scalar that follows `assign`."""
        return self._smallest

    @property
    def has_zero(self) -> tf.Tensor:
        """Whether zero is representable, as a scalar that follows `assign`."""
        return tf.logical_not(self.is_kind(Kind.PO2)) | (self._exponents[2] != graph.NO_ZERO)

    def limits(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Lowest and highest value that each element of x could become; shapes broadcast to x's."""
        if self.activations:
            return self._lowest[0], self._highest[0]
        values = self._channels_last(x)
        ends = [tf.zeros_like(values) + end for end in (self._lowest, self._highest)]
        if Kind.VBS in self.kinds:
            step = self._shifted_steps(values)
            shifted = (self._codes[0] * step, self._codes[1] * step)
            ends = [tf.where(self.is_kind(Kind.VBS), one, other) for one, other in zip(shifted, ends, strict=True)]
        return tf.reshape(ends[0], tf.shape(x)), tf.reshape(ends[1], tf.shape(x))

    def round(self, x: tf.Tensor) -> tf.Tensor:
        """The rounding alone, without a gradient."""
        self.in_use |= not tf.executing_eagerly()
        values = self._channels_last(x)
        roundings: dict[Kind, Callable[[tf.Tensor], tf.Tensor]] = {
            Kind.FLOAT32: tf.identity,
            Kind.FIXED: self._round_fixed,
            Kind.FIXED_STEPS: self._round_fixed_steps,
            Kind.PO2: self._round_po2,
            Kind.FIXED_MODES: self._round_fixed_modes,
            Kind.VBS: self._round_shifted,
            Kind.BINARY: graph.fire,
        }
        # switch_case runs one branch only: computing all and selecting made an epoch 2.1 times slower.
        branches = [partial(roundings[kind], values) for kind in self.kinds]
        rounded = tf.switch_case(tf.convert_to_tensor(self._branch), branches)
        rounded = rounded if values is x else tf.reshape(rounded, tf.shape(x))
        # Steps per channel have an unknown length while tracing.
        return tf.ensure_shape(rounded, x.shape)

    def __call__(self, x: Any) -> tf.Tensor:
        """The rounding, with the class's straight-through gradient."""

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def straight_through(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
            # Read here: within a recurrent layer's loop a gradient can capture values, but no variables.
            flow, passing, steepness = (tf.identity(one) for one in (self._flow, self._passing, self._steepness))
            fires = self.is_kind(Kind.BINARY)

            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                if not self.activations:
                    return upstream * flow
                straight = partial(graph.within, x, passing, upstream)
                surrogate = partial(_surrogate, x, steepness, upstream)
                return straight() if fires is False else tf.cond(fires, surrogate, straight)

            return self.round(x), gradient

        return straight_through(tf.convert_to_tensor(x))

    def _channels_last(self, x: tf.Tensor) -> tf.Tensor:
        if x.shape.rank == 0:
            return tf.reshape(x, [1])
        if self.channel_axes == 1:
            return x
        shape = x.shape.as_list()
        return tf.reshape(x, [*shape[: -self.channel_axes], int(np.prod(shape[-self.channel_axes :]))])

    def _round_fixed(self, x: tf.Tensor) -> tf.Tensor:
        return graph.round_fixed_fast(x, self._bits, self._lowest[0], self._highest[0])

    def _round_fixed_steps(self, x: tf.Tensor) -> tf.Tensor:
        return graph.round_fixed(x * self._inverse_steps, self._steps, self._codes)

    def _round_fixed_modes(self, x: tf.Tensor) -> tf.Tensor:
        return graph.round_fixed_modes(x, self._steps, self._codes, self._modes)

    def _round_po2(self, x: tf.Tensor) -> tf.Tensor:
        return graph.round_po2(x, self._exponents)

    def _round_shifted(self, x: tf.Tensor) -> tf.Tensor:
        step = self._shifted_steps(x)
        # Divided: TensorFlow's reciprocal of a power of two may be an ulp off.
        return graph.round_fixed(x / step, step, self._codes)

    def _shifted_steps(self, x: tf.Tensor) -> tf.Tensor:
        return graph.shifted_steps(x, self._exponents[0], self._group)

    # QKeras asks a quantizer for these three when it builds a layer.
    @property
    def bits(self) -> int:
        """Width in bits, sign included."""
        return self.format.width_bits

    def max(self) -> float:
        """Largest representable value."""
        return self.format.highest

    def min(self) -> float:
        """Smallest representable value."""
        return self.format.lowest

    def get_config(self) -> dict[str, Any]:
        """The format's text, the role and the channel axes, for Keras' saving."""
        return {"format": str(self._format), "activations": self.activations, "channel_axes": self.channel_axes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FormatQuantizer:
        """Inverse of `get_config`; made for this one format, so that a loaded model is quick to trace."""
        return cls(**config, kinds=())

    def __str__(self) -> str:
        return str(self._format)


def _surrogate(x: tf.Tensor, steepness: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    return upstream / tf.square(1 + steepness * tf.abs(x))


@keras.saving.register_keras_serializable(package="wordlength")
class SwitchedActivation(keras.layers.Layer):  # type: ignore[misc]
    """A layer's activation function, passed over while its quantizer is `binary`.

    The Heaviside step takes the place of the function, so the quantizer then needs the sum itself: after a
    relu the surrogate gradient would miss every neuron that does not fire.

    `function`: a Keras layer, called on the sum; `quantizer`: that of the layer's output.
    """

    def __init__(self, function: Any, quantizer: Any, **options: Any) -> None:
        super().__init__(**options)
        self.function = function
        self.quantizer = quantizer

    def call(self, sums: Any) -> Any:
        """Any shape → the same shape."""
        fires = self.quantizer.is_kind(Kind.BINARY)
        if fires is False:
            return self.function(sums)
        outputs = tf.cond(fires, lambda: tf.identity(sums), lambda: self.function(sums))
        return tf.ensure_shape(outputs, sums.shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Function and quantizer, for Keras' saving."""
        serialize = keras.saving.serialize_keras_object
        parts = {"function": serialize(self.function), "quantizer": serialize(self.quantizer)}
        return {**super().get_config(), **parts}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SwitchedActivation:
        """Inverse of `get_config`."""
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("function", "quantizer")}
        return cls(**config | parts)
