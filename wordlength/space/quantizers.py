"""The formats as QKeras quantizers whose kind and numbers are variables.

One traced TensorFlow graph then serves every candidate and both training steps: `assign` changes a
format without retracing. The values equal `Format.round` exactly; only the sign of a zero, which no
format stores, may differ.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from qkeras.base_quantizer import BaseQuantizer

from wordlength.errors import FormatError
from wordlength.space.formats import _SQRT2_FRACTION, Fixed, Float32, Format, PowerOfTwo, parse_format

_FLOAT32, _FIXED, _PO2 = 0, 1, 2
_BIAS = 127
_FRACTION_BITS = 23
_MAGNITUDE_MASK = 0x7FFFFFFF
_SMALLEST_NORMAL = 1 << _FRACTION_BITS
_INFINITY = 0x7F800000


@keras.saving.register_keras_serializable(package="wordlength")
class FormatQuantizer(BaseQuantizer):  # type: ignore[misc]
    """Rounds a float32 tensor of any shape to a format that may change between calls.

    Gradient (straight-through): 1 everywhere if `clip_gradient` is false, as QKeras' `quantized_bits`
    has it, so that a parameter outside the range can return; if true, 1 inside [lowest, highest] and 0
    outside, the derivative of saturation, as suits activations.

    `format`: a Format or its text. Raises FormatError for a format without a quantizer.
    """

    def __init__(self, format: Format | str = "float32", clip_gradient: bool = False) -> None:
        super().__init__()
        self.clip_gradient = clip_gradient
        with tf.init_scope():
            # Plain tf.Variable: Keras must neither train these nor save them with the weights.
            self._kind = tf.Variable(_FLOAT32, trainable=False, dtype=tf.int32)
            self._numbers = tf.Variable([1.0, 1.0, 0.0, 0.0], trainable=False)
            self._exponents = tf.Variable([0, 0], trainable=False, dtype=tf.int32)
            self._range = tf.Variable([0.0, 0.0, 0.0], trainable=False)
        self._format: Format = Float32()
        self.assign(parse_format(format) if isinstance(format, str) else format)

    @property
    def format(self) -> Format:
        """The format in force."""
        return self._format

    def assign(self, fmt: Format) -> None:
        """Switch to `fmt`; graphs already traced follow."""
        match fmt:
            case Float32():
                self._kind.assign(_FLOAT32)
            case Fixed():
                step = fmt.step
                self._numbers.assign([1.0 / step, step, fmt.lowest_code, fmt.highest_code_float32])
                self._kind.assign(_FIXED)
            case PowerOfTwo():
                self._exponents.assign([fmt.min_exponent + _BIAS, fmt.max_exponent + _BIAS])
                self._kind.assign(_PO2)
            case _:
                raise FormatError(f"formats with a quantizer are float32, fixed and po2, but got {fmt}")
        self._range.assign(np.array([fmt.lowest, fmt.highest, fmt.smallest_magnitude], np.float32))
        self._format = fmt

    @property
    def lowest(self) -> tf.Tensor:
        """Smallest representable value, as a scalar that follows `assign`."""
        return self._range[0]

    @property
    def highest(self) -> tf.Tensor:
        """Largest representable value, as a scalar that follows `assign`."""
        return self._range[1]

    @property
    def smallest_magnitude(self) -> tf.Tensor:
        """Smallest magnitude above zero, as a scalar that follows `assign`."""
        return self._range[2]

    @property
    def has_zero(self) -> tf.Tensor:
        """Whether zero is representable, as a scalar that follows `assign`."""
        return self._kind < _PO2

    def round(self, x: tf.Tensor) -> tf.Tensor:
        """The rounding alone, without a gradient."""
        # switch_case runs one branch only: computing all and selecting made an epoch 2.1 times slower.
        branches = [lambda: tf.identity(x), lambda: self._round_fixed(x), lambda: self._round_po2(x)]
        return tf.switch_case(tf.convert_to_tensor(self._kind), branches)

    def __call__(self, x: Any) -> tf.Tensor:
        """The rounding, with the class's straight-through gradient."""

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def straight_through(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                if not self.clip_gradient:
                    return upstream
                inside = tf.logical_and(x >= self.lowest, x <= self.highest)
                return tf.where(inside, upstream, tf.zeros_like(upstream))

            return self.round(x), gradient

        return straight_through(tf.convert_to_tensor(x))

    def _round_fixed(self, x: tf.Tensor) -> tf.Tensor:
        inverse_step, step, lowest_code, highest_code = tf.unstack(self._numbers)
        return tf.clip_by_value(tf.round(x * inverse_step), lowest_code, highest_code) * step

    def _round_po2(self, x: tf.Tensor) -> tf.Tensor:
        # On bit patterns, because log2 in float32 errs next to √2; see PowerOfTwo.round.
        pattern = tf.bitcast(x, tf.int32)
        magnitude = tf.bitwise.bitwise_and(pattern, _MAGNITUDE_MASK)
        carried = tf.cast(magnitude, tf.uint32) + (_SMALLEST_NORMAL - 1 - _SQRT2_FRACTION)
        exponent = tf.cast(tf.bitwise.right_shift(carried, tf.constant(_FRACTION_BITS, tf.uint32)), tf.int32)
        power = tf.bitwise.left_shift(
            tf.clip_by_value(exponent, self._exponents[0], self._exponents[1]), _FRACTION_BITS
        )
        # The sign bit goes through except for −0 and denormals, which count as zero and so as positive.
        sign = tf.where(magnitude >= _SMALLEST_NORMAL, tf.bitwise.bitwise_and(pattern, tf.int32.min), 0)
        # NaN must stay one: as a finite weight it would hide that training has diverged.
        return tf.where(magnitude > _INFINITY, x, tf.bitcast(tf.bitwise.bitwise_or(power, sign), tf.float32))

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
        """The format's text and the gradient rule, for Keras' saving."""
        return {"format": str(self._format), "clip_gradient": self.clip_gradient}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FormatQuantizer:
        """Inverse of `get_config`."""
        return cls(**config)

    def __str__(self) -> str:
        return str(self._format)
