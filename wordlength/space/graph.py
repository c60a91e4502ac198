"""The roundings of the formats as TensorFlow graphs over variable numbers; `formats` has the definitions.

Float32 tensors of any shape in and out, output channels along the last axis. NaN stays NaN: as a finite weight it
would hide that training has diverged.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from wordlength.space.formats import HIGHEST_VBS_POSITION, LOWEST_VBS_POSITION, SQRT2_FRACTION, PowerOfTwo

NO_ZERO = -1
"""In place of the magnitude up to which po2 rounds to zero: it has none."""
WHOLE_TENSOR = 2**30
BY_CHANNEL = 0
"""Lengths of a vbs group that stand for the whole tensor, or for an output channel."""

_BIAS = 127
_FRACTION_BITS = 23
_MAGNITUDE_MASK = 0x7FFFFFFF
_SMALLEST_NORMAL = 1 << _FRACTION_BITS
_SMALLEST_NORMAL_VALUE = np.float32(2.0**-126)
_INFINITY = 0x7F800000


def round_fixed(scaled: tf.Tensor, steps: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
    """Half even, saturating. `scaled`: x / steps; `steps`: (1,), (channels,) or x's shape; `codes`: (2,), the ends."""
    return tf.clip_by_value(tf.round(scaled), codes[0], codes[1]) * steps


def round_fixed_fast(x: tf.Tensor, bits: tf.Tensor, lowest: tf.Tensor, highest: tf.Tensor) -> tf.Tensor:
    """The same for signed formats of at most 24 bits and one step, which follows from width and range; in one pass.

    Scaling, rounding, clipping and scaling back as four passes took 2.4 times as long.
    """
    return tf.raw_ops.QuantizeAndDequantizeV3(
        input=x, input_min=lowest, input_max=highest, num_bits=bits, signed_input=True, range_given=True
    )


def within(x: tf.Tensor, ends: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """The gradient `upstream` where x lies within the two ends, both included, and 0 elsewhere; in one pass.

    Comparing, joining and selecting took 3.7 times as long.
    """
    return tf.raw_ops.QuantizeAndDequantizeV4Grad(
        gradients=upstream, input=x, input_min=ends[0], input_max=ends[1]
    ).input_backprop


def round_fixed_modes(x: tf.Tensor, steps: tf.Tensor, codes: tf.Tensor, modes: tf.Tensor) -> tf.Tensor:
    """Any rounding and overflow. `modes`: (2,), places in Rounding and Overflow."""
    # All modes are computed and one selected: nested branches took longer to trace than this takes to run.
    flushed = tf.where(tf.abs(x) < _SMALLEST_NORMAL_VALUE, tf.zeros_like(x), x)
    scaled = tf.cast(flushed, tf.float64) / tf.cast(steps, tf.float64)
    lowest, highest = tf.unstack(tf.cast(codes, tf.float64))
    down = tf.floor(scaled)
    half_up = down + tf.cast(scaled - down >= 0.5, tf.float64)
    rounding, overflow = tf.unstack(modes)
    rounded = tf.where(rounding == 0, tf.round(scaled), tf.where(rounding == 1, half_up, down))
    # Every float this large is a multiple of the range, and so is infinity in the limit.
    finite = tf.where(tf.math.is_inf(rounded), tf.zeros_like(rounded), rounded)
    # The remainder first: it is exact, while adding to a code of 2^53 and more is not.
    count = highest - lowest + 1
    wrapped = tf.math.floormod(finite, count)
    wrapped = tf.where(wrapped > highest, wrapped - count, wrapped)
    rounded = tf.where(overflow == 0, tf.clip_by_value(rounded, lowest, highest), wrapped)
    return tf.cast(rounded * tf.cast(steps, tf.float64), tf.float32)


def po2_exponents(fmt: PowerOfTwo) -> list[int]:
    """What `round_po2` needs: biased exponents of both ends, and the bit pattern up to which magnitudes become zero."""
    # Half the smallest power: the biased exponent one below, no fraction.
    zero_below = (fmt.min_exponent - 1 + _BIAS) << _FRACTION_BITS if fmt.zero else NO_ZERO
    return [fmt.min_exponent + _BIAS, fmt.max_exponent + _BIAS, zero_below]


def round_po2(x: tf.Tensor, exponents: tf.Tensor) -> tf.Tensor:
    """Nearest power in log2. `exponents`: (3,), see `po2_exponents`."""
    # On bit patterns, because log2 in float32 errs next to √2; see PowerOfTwo.round.
    pattern = tf.bitcast(x, tf.int32)
    magnitude = tf.bitwise.bitwise_and(pattern, _MAGNITUDE_MASK)
    carried = tf.cast(magnitude, tf.uint32) + (_SMALLEST_NORMAL - 1 - SQRT2_FRACTION)
    exponent = tf.cast(tf.bitwise.right_shift(carried, tf.constant(_FRACTION_BITS, tf.uint32)), tf.int32)
    power = tf.bitwise.left_shift(tf.clip_by_value(exponent, exponents[0], exponents[1]), _FRACTION_BITS)
    # The sign bit goes through except for −0 and denormals, which count as zero and so as positive.
    sign = tf.where(magnitude >= _SMALLEST_NORMAL, tf.bitwise.bitwise_and(pattern, tf.int32.min), 0)
    # Denormals count as zero: below half the smallest power whatever the threshold.
    zero_below = exponents[2]
    zeroed = (magnitude <= zero_below) | ((magnitude < _SMALLEST_NORMAL) & (zero_below >= 0))
    rounded = tf.where(zeroed, 0, tf.bitwise.bitwise_or(power, sign))
    return tf.where(magnitude > _INFINITY, x, tf.bitcast(rounded, tf.float32))


def shifted_steps(x: tf.Tensor, bits: tf.Tensor, group: tf.Tensor) -> tf.Tensor:
    """The step of every element's vbs group, in x's shape; see VirtualBitShift.positions. `group`: its length."""
    assert x.shape.rank is not None, "groups of a tensor of unknown rank"
    magnitude = tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), _MAGNITUDE_MASK)
    magnitude = tf.where(magnitude >= _SMALLEST_NORMAL, magnitude - tf.cast(x < 0, tf.int32), 0)
    flat = tf.reshape(magnitude, [-1])
    size, channels = tf.size(flat), tf.maximum(tf.shape(x)[-1], 1) if x.shape.rank else 1
    by_channel = tf.reshape(flat, [-1, channels])
    by_channel = tf.zeros_like(by_channel) + tf.reduce_max(by_channel, 0, keepdims=True)
    length = tf.clip_by_value(group, 1, tf.maximum(size, 1))
    blocks = tf.reshape(tf.pad(flat, [[0, -size % length]]), [-1, length])
    blocks = tf.zeros_like(blocks) + tf.reduce_max(blocks, 1, keepdims=True)
    largest = tf.where(group == BY_CHANNEL, tf.reshape(by_channel, [-1]), tf.reshape(blocks, [-1])[:size])
    position = tf.bitwise.right_shift(largest, _FRACTION_BITS) - (_BIAS - 1)
    position = tf.clip_by_value(position, LOWEST_VBS_POSITION, HIGHEST_VBS_POSITION)
    step = tf.bitwise.left_shift(position - (bits - 1) + _BIAS, _FRACTION_BITS)
    return tf.reshape(tf.bitcast(step, tf.float32), tf.shape(x))


def fire(x: tf.Tensor) -> tf.Tensor:
    """1 above zero, else 0."""
    return tf.where(tf.math.is_nan(x), x, tf.cast(x >= _SMALLEST_NORMAL_VALUE, tf.float32))
