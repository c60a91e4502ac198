"""How wide the sums of a layer get: in the worst case, and on the data.

The worst case is interval arithmetic over the quantized weights as they are: with an input anywhere in its
format's range (cut to what the activation function before it can give, zero always included because of
padding), no sum leaves [lowest, highest]. In two's complement that holds for the final sum whatever the
order: partial sums may wrap as long as the final one fits.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wordlength.arrays import FloatArray
from wordlength.objectives.function_ranges import ANYTHING, Range, range_of
from wordlength.objectives.quantized_model import QuantizedModel
from wordlength.objectives.report import Accumulator
from wordlength.space import Candidate, Fixed, Float32, Overflow, Role, Slot, SlotInfo
from wordlength.space.layer_types import Family, of_family
from wordlength.space.quantizers import SwitchedActivation
from wordlength.space.rounded_layer import RoundedLayer
from wordlength.space.slots import Anatomy, directions

_KEEPING = of_family(Family.PASSING) - {"Concatenate", "Maximum", "Minimum"}
"""Layers that hand values on without changing one, dropout once training is over."""
_AVERAGING = of_family(Family.AVERAGE)
_STATES = {
    function: range_of(function)
    for function in map(keras.activations.get, ("tanh", "sigmoid", "softsign", "hard_sigmoid", "hard_tanh"))
}
"""A recurrent layer's function → its states: weighed means of what it gives and of states before, or less; first 0."""
_NO_BIT = 1000


@dataclass(frozen=True)
class _Source:
    """Where a layer's input comes from: an ACTIVATIONS slot, its function's range, and binary places that averaging
    adds. Without a slot the input has no format; without places (not a power of two) no finite fraction.
    """

    slot: Slot | None = None
    function: Range = ANYTHING
    places: int | None = 0


@dataclass(frozen=True)
class _Sum:
    """One layer's sums: one per kernel, each from the one before; a recurrent layer has one of each kind by direction.

    `kernels`: number and name within the WEIGHTS slot. `depthwise`: whether each is. `bias`: number within the BIASES
    slot, and its row where it has several. `states`: where the layer's states lie among its outputs, if they are
    what is summed.
    """

    layer: Any
    parts: Anatomy
    kernels: tuple[tuple[int, str], ...]
    depthwise: tuple[bool, ...]
    source: _Source
    bias: tuple[int, int | None] | None
    states: slice | None = None

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)

    @property
    def slot(self) -> Slot:
        """The layer's ACTIVATIONS slot."""
        return Slot(self.name, Role.ACTIVATIONS)

    def gives_its_sums(self, place: int) -> bool:
        """Whether the layer's output is the sum of this kernel: the depthwise half of a separable convolution, and
        the sums within a recurrent layer, are no tensors of the model.
        """
        return self.parts.family is Family.KERNEL and place == len(self.kernels) - 1


class AccumulatorAnalyser:
    """The accumulators of every layer with a kernel.

    `probes`: tensors of the quantized model that the analysis must hand to `trace`, an input and an output per layer.
    """

    def __init__(self, quantized: QuantizedModel) -> None:
        self._sums = [
            item for info in quantized.slots if info.slot.role is Role.WEIGHTS for item in _sums(quantized, info)
        ]
        self.probes = [tensor for item in self._sums for tensor in (item.layer.input, item.layer.output)]

    def input_ranges(self, candidate: Candidate) -> FloatArray:
        """(layers, 2): lowest and highest input of every layer, NaN where its input has no format."""
        return np.array([_range(item.source, candidate) or (np.nan, np.nan) for item in self._sums], np.float32)

    def figures(
        self, rounded: Mapping[Slot, Sequence[tf.Tensor]], ranges: tf.Tensor, probed: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """(accumulators, 6) float64, in the order of `rows`: worst lowest and highest, used lowest and highest,
        exponents of the last bit of weights and bias (_NO_BIT without one).

        `rounded`: the quantized tensors of every slot; `probed`: the values of `probes`.
        """
        rows: list[tf.Tensor] = []
        for number, item in enumerate(self._sums):
            inputs, outputs = probed[2 * number : 2 * number + 2]
            seen = tf.stack([tf.minimum(tf.reduce_min(inputs), 0), tf.maximum(tf.reduce_max(inputs), 0)])
            span = tf.cast(tf.where(tf.math.is_nan(ranges[number]), seen, ranges[number]), tf.float64)
            rows += self._layer_rows(item, rounded, span, inputs, outputs)
        return tf.stack(rows)

    def rows(self, figures: Any, candidate: Candidate, step: int, epoch: int) -> tuple[Accumulator, ...]:
        """Accumulators from what `figures` gave."""
        remaining = iter(figures)
        found = []
        for item in self._sums:
            bounded = _range(item.source, candidate) is not None
            for _, kernel in item.kernels:
                lowest, highest, lowest_used, highest_used, weight_bit, bias_bit = (float(v) for v in next(remaining))
                places = _places(item, candidate)
                fraction = None if places is None else max(places - int(weight_bit), -int(bias_bit))
                found.append(
                    Accumulator(
                        item.name,
                        kernel,
                        step,
                        epoch,
                        lowest_worst=lowest,
                        highest_worst=highest,
                        lowest_used=lowest_used,
                        highest_used=highest_used,
                        fraction_bits=fraction,
                        bounded=bounded,
                    )
                )
        return tuple(found)

    def _layer_rows(
        self,
        item: _Sum,
        rounded: Mapping[Slot, Sequence[tf.Tensor]],
        span: tf.Tensor,
        inputs: tf.Tensor,
        outputs: tf.Tensor,
    ) -> list[tf.Tensor]:
        inputs = inputs if item.states is None else rounded[item.slot][0][..., item.states]
        ends, weight_bit = (span[0], span[1]), tf.constant(0)
        rows = []
        for place, (number, _) in enumerate(item.kernels):
            kernel = rounded[Slot(item.name, Role.WEIGHTS)][number]
            kernel = tf.linalg.matrix_transpose(kernel) if "Transpose" in item.parts.kind else kernel
            ends = _interval(tf.cast(kernel, tf.float64), ends, item.depthwise[place])
            last_bit = _last_bit(kernel)
            weight_bit += tf.where(last_bit == _NO_BIT, 0, last_bit)
            sums, bias_bit = outputs, tf.constant(_NO_BIT)
            if not item.gives_its_sums(place):
                sums = _sums_of(item, inputs, kernel)
            if item.bias is not None and place == len(item.kernels) - 1:
                offset = rounded[Slot(item.name, Role.BIASES)][item.bias[0]]
                offset = offset if item.bias[1] is None else offset[item.bias[1]]
                ends = tuple(end + tf.cast(offset, tf.float64) for end in ends)
                bias_bit = _last_bit(offset)
                sums = sums if item.gives_its_sums(place) else sums + offset
            extremes = [tf.reduce_min(ends[0]), tf.reduce_max(ends[1]), tf.reduce_min(sums), tf.reduce_max(sums)]
            rows.append(tf.stack([tf.cast(value, tf.float64) for value in (*extremes, weight_bit, bias_bit)]))
        return rows


def _sums(quantized: QuantizedModel, info: SlotInfo) -> Iterator[_Sum]:
    layer = quantized.model.get_layer(info.slot.layer)
    parts = quantized.anatomy[layer.name]
    source = _source(layer.input, quantized.activation_slots)
    if parts.family is Family.KERNEL:
        kernels = tuple(enumerate(tensor.name for tensor in info.tensors))
        depthwise = tuple(tensor.channel_axes == 2 for tensor in info.tensors)
        yield _Sum(layer, parts, kernels, depthwise, source, (0, None) if parts.biases else None)
    elif parts.family is Family.RECURRENT:
        yield from _recurrent_sums(layer, parts, source, info)


def _recurrent_sums(layer: Any, parts: Anatomy, source: _Source, info: SlotInfo) -> Iterator[_Sum]:
    """Input and state sums of every direction; a state that is merged with the other direction's is not seen."""
    rnns = directions(parts.core)
    for direction, rnn in enumerate(rnns):
        # A GRU that resets after its sum has a bias for each of the two.
        rows = (0, 1) if parts.biases and len(rnn.cell.bias.shape) == 2 else (None, None)
        weights, state_weights = ((2 * direction + k, info.tensors[2 * direction + k].name) for k in (0, 1))
        bias = (direction, rows[0]) if parts.biases else None
        yield _Sum(layer, parts, (weights,), (False,), source, bias)
        if len(rnns) > 1 and parts.core.merge_mode != "concat":
            continue
        state = _Source(Slot(layer.name, Role.ACTIVATIONS), _STATES.get(rnn.activation, ANYTHING))
        states = slice(direction * rnn.units, (direction + 1) * rnn.units)
        state_bias = (direction, rows[1]) if rows[1] is not None else None
        yield _Sum(layer, parts, (state_weights,), (False,), state, state_bias, states)


def _sums_of(item: _Sum, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    if item.parts.family is Family.RECURRENT:
        return tf.matmul(inputs, kernel) if inputs.shape.rank == 2 else tf.tensordot(inputs, kernel, 1)
    if item.parts.core is not item.parts.layer:
        inputs = tf.reshape(inputs, [-1, *inputs.shape[2:]])  # Every time step by itself.
    return _depthwise(item.parts.core, inputs, kernel)


def _interval(kernel: tf.Tensor, ends: tuple[tf.Tensor, ...], depthwise: bool) -> tuple[tf.Tensor, ...]:
    """Lowest and highest sum per output channel of a kernel (…, in, out); `ends` of the inputs, () or (in,) each."""
    taps = tuple(range(kernel.shape.rank - 2))
    rising, falling = (tf.reduce_sum(part, taps) for part in (tf.maximum(kernel, 0), tf.minimum(kernel, 0)))
    lowest, highest = (tf.reshape(end, [-1, 1]) for end in ends)
    sums = rising * lowest + falling * highest, rising * highest + falling * lowest
    return tuple(tf.reshape(part, [-1]) if depthwise else tf.reduce_sum(part, 0) for part in sums)


def _last_bit(values: tf.Tensor) -> tf.Tensor:
    """Exponent of the largest power of two that divides all float32 values; _NO_BIT if all are zero."""
    pattern = tf.bitcast(values, tf.int32)
    significand = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(pattern, 0x7FFFFF), 0x800000)
    lowest_bit = tf.bitcast(tf.cast(tf.bitwise.bitwise_and(significand, -significand), tf.float32), tf.int32)
    places = tf.bitwise.right_shift(lowest_bit, 23) - 127 - 23
    exponent = tf.bitwise.bitwise_and(tf.bitwise.right_shift(pattern, 23), 0xFF) - 127
    return tf.reduce_min(tf.where(values == 0, _NO_BIT, exponent + places))


def _depthwise(layer: Any, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return keras.ops.depthwise_conv(
        inputs, kernel, layer.strides, layer.padding, layer.data_format, layer.dilation_rate
    )


def _source(tensor: Any, activation_slots: tuple[Slot, ...]) -> _Source:
    """Follow a tensor of the quantized model back to the slot that it comes from."""
    operation = tensor._keras_history.operation
    kind, before = type(operation).__name__, operation.input
    slot = Slot(operation.name.removesuffix("_quantized"), Role.ACTIVATIONS)
    if kind == "QActivation" and slot in activation_slots:
        return _Source(slot, _function_range(before._keras_history.operation))
    if kind in _KEEPING:
        return _source(before, activation_slots)
    if kind in _AVERAGING:
        source = _source(before, activation_slots)
        places = _average_places(operation)
        known = None if places is None or source.places is None else source.places + places
        return dataclasses.replace(source, places=known)
    return _Source()


def _average_places(pooling: Any) -> int | None:
    """Binary places that averaging adds; None if it divides by no power of two, or by fewer at the edges."""
    spatial = pooling.input.shape[1:-1] if pooling.data_format == "channels_last" else pooling.input.shape[2:]
    pool = tuple(getattr(pooling, "pool_size", spatial))
    if None in pool:
        return None
    strides = tuple(getattr(pooling, "strides", pool))
    # With padding the windows at the edges hold fewer values, unless they tile the input.
    tiled = strides == pool and all(n is not None and n % p == 0 for n, p in zip(spatial, pool, strict=True))
    ragged = getattr(pooling, "padding", "valid") == "same" and not tiled
    count = math.prod(pool)
    return None if ragged or count & (count - 1) else count.bit_length() - 1


def _function_range(operation: Any) -> Range:
    if isinstance(operation, RoundedLayer) and operation.state is not None:
        inner = directions(operation.layer)[0]
        merged = getattr(operation.layer, "merge_mode", "concat") == "sum"
        return ANYTHING if merged else _STATES.get(inner.activation, ANYTHING)
    function = operation.function if isinstance(operation, SwitchedActivation) else None
    if isinstance(function, keras.layers.ReLU):
        return (-math.inf if function.negative_slope else 0.0, function.max_value or math.inf)
    return range_of(getattr(function, "activation", None))


def _range(source: _Source, candidate: Candidate) -> tuple[float, float] | None:
    """Lowest and highest value that the input can have, zero among them; None if it has no format."""
    fmt = candidate[source.slot] if source.slot else Float32()
    match fmt:
        case Float32():
            return None
        case Fixed(overflow=Overflow.WRAP):
            ends = fmt.lowest, fmt.highest
        case _:
            lowest, highest = fmt.round(np.array(source.function)).tolist()
            ends = lowest, highest
    return min(ends[0], 0.0), max(ends[1], 0.0)


def _places(item: _Sum, candidate: Candidate) -> int | None:
    """Binary places of the input; None if it, or the kernel, is float."""
    fmt = candidate[item.source.slot] if item.source.slot else Float32()
    floats = isinstance(fmt, Float32) or isinstance(candidate[Slot(item.name, Role.WEIGHTS)], Float32)
    biases = candidate.get(Slot(item.name, Role.BIASES))
    if floats or isinstance(biases, Float32) or item.source.places is None:
        return None
    return item.source.places - math.frexp(fmt.smallest_magnitude)[1] + 1
