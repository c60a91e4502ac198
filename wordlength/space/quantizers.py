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
from wordlength.space.formats import (
    HIGHEST_VBS_POSITION,
    LOWEST_VBS_POSITION,
    SQRT2_FRACTION,
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

_BIAS = 127
_FRACTION_BITS = 23
_MAGNITUDE_MASK = 0x7FFFFFFF
_SMALLEST_NORMAL = 1 << _FRACTION_BITS
_SMALLEST_NORMAL_VALUE = np.float32(2.0**-126)
_INFINITY = 0x7F800000
_NO_ZERO = -1
_WHOLE_TENSOR = 2**30
_BY_CHANNEL = 0


class Kind(IntEnum):
    """How a tensor is rounded: the branches that a quantizer's graph can have."""

    FLOAT32 = 0
    FIXED = 1
    """Half even and saturating: the fast one."""
    PO2 = 2
    FIXED_MODES = 3
    """Any rounding and overflow, in float64."""
    VBS = 4
    BINARY = 5

    @classmethod
    def of(cls, fmt: Format) -> Kind:
        """The kind that rounds to `fmt`."""
        match fmt:
            case Float32():
                return cls.FLOAT32
            case Fixed(rounding=Rounding.HALF_EVEN, overflow=Overflow.SATURATE):
                return cls.FIXED
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
        self._in_use = False
        with tf.init_scope():
            # Plain tf.Variable: Keras must neither train these nor save them with the weights.
            self._branch = tf.Variable(0, trainable=False, dtype=tf.int32)
            # One element, or one per output channel.
            self._steps, self._inverse_steps, self._lowest, self._highest = (
                tf.Variable([1.0], trainable=False, shape=[None]) for _ in range(4)
            )
            self._codes = tf.Variable([0.0, 0.0], trainable=False)
            self._exponents = tf.Variable([0, 0, _NO_ZERO], trainable=False, dtype=tf.int32)
            self._modes = tf.Variable([0, 0], trainable=False, dtype=tf.int32)
            self._group = tf.Variable(_WHOLE_TENSOR, trainable=False, dtype=tf.int32)
            self._smallest = tf.Variable(0.0, trainable=False)
            self._steepness = tf.Variable(1.0, trainable=False)
            # Where an activation's gradient passes.
            self._passing = tf.Variable([0.0, 0.0], trainable=False)
            # How much of a parameter's gradient passes: 0 keeps a threshold as it is.
            self._flow = tf.Variable(1.0, trainable=False)
        self._format: Format = Float32()
        self.assign(parse_format(format) if isinstance(format, str) else format)

    @property
    def format(self) -> Format:
        """The format in force."""
        return self._format

    def extend(self, kind: Kind) -> None:
        """Admit one more kind. Graphs already traced do not have it: they must be traced again."""
        if kind not in self.kinds:
            self.kinds.append(kind)

    def assign(self, fmt: Format, learns: bool = True) -> None:
        """Switch to `fmt`; graphs already traced follow. With `learns` false, parameters get no gradient.

        Raises FormatError if graphs may have been traced without the format's kind: see `extend`.
        """
        if reason := fmt.unfit_for_activations if self.activations else fmt.unfit_for_parameters:
            role = "activations" if self.activations else "parameters"
            raise FormatError(f"{role} cannot be {fmt.brief}: {reason}")
        kind = Kind.of(fmt)
        if kind not in self.kinds and self._in_use:
            known = ", ".join(kind.name for kind in self.kinds)
            raise FormatError(f"a quantizer in use keeps its kinds ({known}), but got {fmt.brief}")
        self.extend(kind)
        lowest, highest = np.array([fmt.lowest]), np.array([fmt.highest])
        match fmt:
            case Fixed():
                self._assign_fixed(fmt)
                steps = np.ldexp(1.0, fmt.step_exponents)
                lowest, highest = fmt.lowest_code * steps, fmt.highest_code_float32 * steps
            case PowerOfTwo():
                # Magnitudes up to half the smallest become zero: the biased exponent one below, no fraction.
                zero_below = (fmt.min_exponent - 1 + _BIAS) << _FRACTION_BITS if fmt.zero else _NO_ZERO
                self._exponents.assign([fmt.min_exponent + _BIAS, fmt.max_exponent + _BIAS, zero_below])
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
        self._format = fmt

    def _assign_fixed(self, fmt: Fixed) -> None:
        steps = np.ldexp(np.float32(1), fmt.step_exponents)
        self._steps.assign(steps)
        self._inverse_steps.assign(1 / steps)
        self._codes.assign([fmt.lowest_code, fmt.highest_code_float32])
        self._modes.assign([list(Rounding).index(fmt.rounding), list(Overflow).index(fmt.overflow)])

    def _assign_shifted(self, fmt: VirtualBitShift) -> None:
        self._codes.assign([-float(2 ** (fmt.bits - 1)), fmt.highest_code_float32])
        self._exponents.assign([fmt.bits, 0, _NO_ZERO])
        groups = {"tensor": _WHOLE_TENSOR, "channel": _BY_CHANNEL}
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
        return tf.logical_not(self.is_kind(Kind.PO2)) | (self._exponents[2] != _NO_ZERO)

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
        self._in_use = True
        values = self._channels_last(x)
        roundings: dict[Kind, Callable[[tf.Tensor], tf.Tensor]] = {
            Kind.FLOAT32: tf.identity,
            Kind.FIXED: self._round_fixed,
            Kind.PO2: self._round_po2,
            Kind.FIXED_MODES: self._round_fixed_modes,
            Kind.VBS: self._round_shifted,
            Kind.BINARY: self._fire,
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
            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                if not self.activations:
                    return upstream * self._flow
                fires = self.is_kind(Kind.BINARY)
                straight, surrogate = partial(self._saturating, x, upstream), partial(self._surrogate, x, upstream)
                return straight() if fires is False else tf.cond(fires, surrogate, straight)

            return self.round(x), gradient

        return straight_through(tf.convert_to_tensor(x))

    def _saturating(self, x: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        inside = tf.logical_and(x >= self._passing[0], x <= self._passing[1])
        return tf.where(inside, upstream, tf.zeros_like(upstream))

    def _surrogate(self, x: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        return upstream / tf.square(1 + self._steepness * tf.abs(x))

    def _channels_last(self, x: tf.Tensor) -> tf.Tensor:
        if x.shape.rank == 0:
            return tf.reshape(x, [1])
        if self.channel_axes == 1:
            return x
        shape = x.shape.as_list()
        return tf.reshape(x, [*shape[: -self.channel_axes], int(np.prod(shape[-self.channel_axes :]))])

    def _round_fixed(self, x: tf.Tensor) -> tf.Tensor:
        lowest, highest = tf.unstack(self._codes)
        return tf.clip_by_value(tf.round(x * self._inverse_steps), lowest, highest) * self._steps

    def _round_fixed_modes(self, x: tf.Tensor) -> tf.Tensor:
        # All modes are computed and one selected: nested branches took longer to trace than this takes to run.
        flushed = tf.where(tf.abs(x) < _SMALLEST_NORMAL_VALUE, tf.zeros_like(x), x)
        scaled = tf.cast(flushed, tf.float64) / tf.cast(self._steps, tf.float64)
        lowest, highest = tf.unstack(tf.cast(self._codes, tf.float64))
        down = tf.floor(scaled)
        half_up = down + tf.cast(scaled - down >= 0.5, tf.float64)
        rounding, overflow = tf.unstack(self._modes)
        codes = tf.where(rounding == 0, tf.round(scaled), tf.where(rounding == 1, half_up, down))
        # Every float this large is a multiple of the range, and so is infinity in the limit.
        finite = tf.where(tf.math.is_inf(codes), tf.zeros_like(codes), codes)
        # The remainder first: it is exact, while adding to a code of 2^53 and more is not.
        count = highest - lowest + 1
        wrapped = tf.math.floormod(finite, count)
        wrapped = tf.where(wrapped > highest, wrapped - count, wrapped)
        codes = tf.where(overflow == 0, tf.clip_by_value(codes, lowest, highest), wrapped)
        return tf.cast(codes * tf.cast(self._steps, tf.float64), tf.float32)

    def _round_po2(self, x: tf.Tensor) -> tf.Tensor:
        # On bit patterns, because log2 in float32 errs next to √2; see PowerOfTwo.round.
        pattern = tf.bitcast(x, tf.int32)
        magnitude = tf.bitwise.bitwise_and(pattern, _MAGNITUDE_MASK)
        carried = tf.cast(magnitude, tf.uint32) + (_SMALLEST_NORMAL - 1 - SQRT2_FRACTION)
        exponent = tf.cast(tf.bitwise.right_shift(carried, tf.constant(_FRACTION_BITS, tf.uint32)), tf.int32)
        power = tf.bitwise.left_shift(
            tf.clip_by_value(exponent, self._exponents[0], self._exponents[1]), _FRACTION_BITS
        )
        # The sign bit goes through except for −0 and denormals, which count as zero and so as positive.
        sign = tf.where(magnitude >= _SMALLEST_NORMAL, tf.bitwise.bitwise_and(pattern, tf.int32.min), 0)
        # Denormals count as zero: below half the smallest power whatever the threshold.
        zero_below = self._exponents[2]
        zeroed = (magnitude <= zero_below) | ((magnitude < _SMALLEST_NORMAL) & (zero_below >= 0))
        rounded = tf.where(zeroed, 0, tf.bitwise.bitwise_or(power, sign))
        # NaN must stay one: as a finite weight it would hide that training has diverged.
        return tf.where(magnitude > _INFINITY, x, tf.bitcast(rounded, tf.float32))

    def _round_shifted(self, x: tf.Tensor) -> tf.Tensor:
        step = self._shifted_steps(x)
        lowest, highest = tf.unstack(self._codes)
        return tf.clip_by_value(tf.round(x / step), lowest, highest) * step

    def _shifted_steps(self, x: tf.Tensor) -> tf.Tensor:
        """The step of every element's group, in x's shape; see VirtualBitShift.positions."""
        assert x.shape.rank is not None, "groups of a tensor of unknown rank"
        pattern = tf.bitcast(x, tf.int32)
        magnitude = tf.bitwise.bitwise_and(pattern, _MAGNITUDE_MASK)
        normal = magnitude >= _SMALLEST_NORMAL
        magnitude = tf.where(normal, magnitude - tf.cast(x < 0, tf.int32), 0)
        flat = tf.reshape(magnitude, [-1])
        size, channels = tf.size(flat), tf.maximum(tf.shape(x)[-1], 1) if x.shape.rank else 1

        by_channel = tf.reshape(flat, [-1, channels])
        by_channel = tf.zeros_like(by_channel) + tf.reduce_max(by_channel, 0, keepdims=True)
        length = tf.clip_by_value(self._group, 1, tf.maximum(size, 1))
        blocks = tf.reshape(tf.pad(flat, [[0, -size % length]]), [-1, length])
        blocks = tf.zeros_like(blocks) + tf.reduce_max(blocks, 1, keepdims=True)
        largest = tf.where(self._group == _BY_CHANNEL, tf.reshape(by_channel, [-1]), tf.reshape(blocks, [-1])[:size])
        field = tf.bitwise.right_shift(largest, _FRACTION_BITS)
        position = tf.clip_by_value(field - (_BIAS - 1), LOWEST_VBS_POSITION, HIGHEST_VBS_POSITION)
        step = tf.bitwise.left_shift(position - (self._exponents[0] - 1) + _BIAS, _FRACTION_BITS)
        return tf.reshape(tf.bitcast(step, tf.float32), tf.shape(x))

    def _fire(self, x: tf.Tensor) -> tf.Tensor:
        # NaN stays one, as in the other formats.
        return tf.where(tf.math.is_nan(x), x, tf.cast(x >= _SMALLEST_NORMAL_VALUE, tf.float32))

    # QKeras asks a quantizer for these three when it builds a layer.
    @property
    def bits(self) -> int:
        """Width in bits, sign included."""
        return self._format.width_bits

    def max(self) -> float:
        """Largest representable value."""
        return self._format.highest

    def min(self) -> float:
        """Smallest representable value."""
        return self._format.lowest

    def get_config(self) -> dict[str, Any]:
        """The format's text, the role and the channel axes, for Keras' saving."""
        return {"format": str(self._format), "activations": self.activations, "channel_axes": self.channel_axes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FormatQuantizer:
        """Inverse of `get_config`; made for this one format, so that a loaded model is quick to trace."""
        return cls(**config, kinds=())

    def __str__(self) -> str:
        return str(self._format)


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
