"""The fixed-point analysis of Klein, Kantic & Blume 2021: what quantization does to each tensor.

Over the float values x that are about to be rounded to q(x), per slot:

- overflow: share of all x outside [lowest, highest] (the paper's boundary violation);
- underflow: share of the x ≠ 0 with q(x) = 0, or with |x| below a format's smallest magnitude where it
  has no zero (power of two);
- precision: share of the x ≠ 0 in range with |q(x) − x| > 5 % of |x| (quantization violation);
- zero gradient: share of elements whose gradient is exactly zero on every analysed batch. A weight is
  one element; an activation is one element per analysed window.

Where the range differs within a tensor (integer bits per channel, virtual bit shift) each value is held
against its own. For binary activations only the gradients and the values' statistics count.

All of it runs in one traced graph, whatever the formats: activations are analysed against the format
that they have or, in step one, will get.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from wordlength.errors import TrainingDiverged
from wordlength.objectives.accumulators import AccumulatorAnalyser
from wordlength.objectives.quantized_model import QuantizedModel, admit, assign
from wordlength.objectives.report import Accumulator, LayerAnalysis, integer_bits_for, ratio_db
from wordlength.objectives.settings import AnalysisSettings, GateSettings
from wordlength.objectives.training import Windows, mask_error
from wordlength.space import Candidate, Format, Slot
from wordlength.space.quantizers import USUAL_KINDS, FormatQuantizer, Kind

LOWEST_LOG2 = -32
HIGHEST_LOG2 = 31
"""Ends of the log2-magnitude histogram; magnitudes beyond them fall into the end bins."""

_SUMS = ("count", "nonzero", "overflow", "underflow", "imprecise", "in_range", "zero_gradient")
_NUMBERS = ("minimum", "maximum", "mean", "variance", "signal", "noise")


@dataclass(frozen=True)
class EpochAnalysis:
    """What one epoch's analysis found, in slot order and in layer order."""

    layers: tuple[LayerAnalysis, ...]
    accumulators: tuple[Accumulator, ...]


class Analyser:
    """Analyses a quantized model on a fixed set of windows.

    `current`: indices of the windows' current frames; they run through the model as one batch.
    """

    def __init__(
        self, quantized: QuantizedModel, windows: Windows, current: npt.NDArray[np.int32], settings: AnalysisSettings
    ) -> None:
        self.traces = 0
        self._quantized = quantized
        self._slots = tuple(info.slot for info in quantized.slots)
        self._windows = windows
        self._current = tf.constant(current)
        self._precision_limit = settings.precision_limit
        # Formats of their own: in step one the model's activations are still float.
        self._formats = {
            slot: tuple(FormatQuantizer("float32", q.activations, q.channel_axes, USUAL_KINDS) for q in quantizers)
            for slot, quantizers in quantized.quantizers.items()
        }
        self._accumulators = AccumulatorAnalyser(quantized)
        self._probes = keras.Model(quantized.taps.inputs, [*quantized.taps.outputs, *self._accumulators.probes])
        self._graph = tf.function(self._trace, jit_compile=False, autograph=False)

    def admit(self, formats: Iterable[tuple[Slot, Format]]) -> None:
        """Prepare for formats to come, so that all are traced at once: see QuantizedModel.admit."""
        admit(self._formats, formats)

    def analyse(self, candidate: Candidate, step: int, epoch: int) -> EpochAnalysis:
        """Every slot and every accumulator, for the model's present weights and formats.

        Raises TrainingDiverged, naming the slot, if a value is NaN.
        """
        self.admit(candidate.items())
        for info in self._quantized.slots:
            assign(self._formats[info.slot], info, candidate)
        ranges = tf.constant(self._accumulators.input_ranges(candidate))
        # In step one the model has not met the kinds of the activations yet: both can grow.
        version = (self._quantized.version, *(len(parts[0].kinds) for parts in self._formats.values()))
        sums, numbers, histograms, accumulators = (t.numpy() for t in self._graph(self._current, ranges, version))
        layers = tuple(
            _layer_analysis(info.slot, candidate, step, epoch, sums[row], numbers[row], histograms[row])
            for row, info in enumerate(self._quantized.slots)
        )
        return EpochAnalysis(layers, self._accumulators.rows(accumulators, candidate, step, epoch))

    def _trace(self, current: tf.Tensor, ranges: tf.Tensor, version: tuple[int, ...]) -> tuple[tf.Tensor, ...]:
        self.traces += 1
        parameters = {
            info.slot: [variable.value for variable in self._quantized.parameters(info.slot)]
            for info in self._quantized.slots
            if info.tensors
        }
        trained = [tensor for tensors in parameters.values() for tensor in tensors]
        count = len(self._quantized.activation_slots)
        with tf.GradientTape() as tape:
            tensors = self._probes(self._windows.inputs(current), training=True)
            taps, outputs, probed = tensors[:count], tensors[count], tensors[count + 1 :]
            loss = mask_error(self._windows.outputs(current), outputs)
        values = parameters | {slot: [tap] for slot, tap in zip(self._quantized.activation_slots, taps, strict=True)}
        gradients = iter(tape.gradient(loss, [*trained, *taps], unconnected_gradients=tf.UnconnectedGradients.ZERO))
        by_slot = {slot: [next(gradients) for _ in tensors] for slot, tensors in values.items()}
        rounded = {
            slot: [quantizer.round(x) for quantizer, x in zip(self._formats[slot], tensors, strict=True)]
            for slot, tensors in values.items()
        }
        rows = [self._figures(slot, values[slot], rounded[slot], by_slot[slot]) for slot in self._slots]
        columns = (tf.stack(column) for column in zip(*rows, strict=True))
        return (*columns, self._accumulators.trace(rounded, ranges, probed))

    def _figures(
        self, slot: Slot, tensors: list[Any], rounded: list[Any], gradients: list[Any]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Counts (7,), numbers (6,) and histogram (64,) of one slot's values, flattened together."""
        quantizers = self._formats[slot]
        x, gradient = _flat(tensors), _flat(gradients)
        q = _flat(rounded)
        outside = _flat([_outside(quantizer, tensor) for quantizer, tensor in zip(quantizers, tensors, strict=True)])
        magnitude, error = tf.abs(x), tf.abs(q - x)
        nonzero = magnitude > 0
        counted = nonzero & tf.logical_not(quantizers[0].is_kind(Kind.BINARY))
        in_range = counted & ~outside
        lost = counted & tf.where(quantizers[0].has_zero, q == 0, magnitude < quantizers[0].smallest_magnitude)
        sums = [
            tf.ones_like(nonzero),
            nonzero,
            outside,
            lost,
            in_range & (error > self._precision_limit * magnitude),
            in_range,
            gradient == 0,
        ]
        wide, noise = tf.cast(x, tf.float64), tf.cast(q, tf.float64) - tf.cast(x, tf.float64)
        numbers = [
            tf.reduce_min(wide),
            tf.reduce_max(wide),
            tf.reduce_mean(wide),
            tf.math.reduce_variance(wide),
            tf.reduce_sum(wide * wide),
            tf.reduce_sum(noise * noise),
        ]
        counts = tf.stack([tf.math.count_nonzero(flags) for flags in sums])
        return counts, tf.stack(numbers), _log2_histogram(tf.boolean_mask(magnitude, nonzero))


def _flat(tensors: list[tf.Tensor]) -> tf.Tensor:
    flat = [tf.reshape(tensor, [-1]) for tensor in tensors]
    return flat[0] if len(flat) == 1 else tf.concat(flat, 0)


def _outside(quantizer: FormatQuantizer, x: tf.Tensor) -> tf.Tensor:
    lowest, highest = quantizer.limits(x)
    return (x < lowest) | (x > highest)


def _log2_histogram(magnitude: tf.Tensor) -> tf.Tensor:
    # The exponent field of a normal float32 is floor(log2) + 127, exactly.
    exponent = tf.bitwise.right_shift(tf.bitcast(magnitude, tf.int32), 23) - 127
    bins = tf.clip_by_value(exponent, LOWEST_LOG2, HIGHEST_LOG2) - LOWEST_LOG2
    size = HIGHEST_LOG2 - LOWEST_LOG2 + 1
    return tf.math.bincount(bins, minlength=size, maxlength=size, dtype=tf.int32)


def _layer_analysis(
    slot: Slot, candidate: Candidate, step: int, epoch: int, sums: Any, numbers: Any, histogram: Any
) -> LayerAnalysis:
    if math.isnan(numbers[_NUMBERS.index("signal")]):
        raise TrainingDiverged(f"values must be numbers, but {slot} has NaN in step {step}, epoch {epoch}")
    n = dict(zip(_SUMS, (int(value) for value in sums), strict=True))
    v = dict(zip(_NUMBERS, (float(value) for value in numbers), strict=True))
    largest = max(abs(v["minimum"]), abs(v["maximum"]))
    return LayerAnalysis(
        slot=slot,
        format=candidate[slot],
        step=step,
        epoch=epoch,
        count=n["count"],
        overflow=n["overflow"] / n["count"],
        underflow=_share(n["underflow"], n["nonzero"]),
        precision=_share(n["imprecise"], n["in_range"]),
        zero_gradient=n["zero_gradient"] / n["count"],
        max_magnitude=largest,
        integer_bits_needed=integer_bits_for(largest),
        minimum=v["minimum"],
        maximum=v["maximum"],
        mean=v["mean"],
        std=math.sqrt(v["variance"]),
        sqnr_db=ratio_db(v["signal"], v["noise"]),
        histogram=tuple((LOWEST_LOG2 + bin_, int(count)) for bin_, count in enumerate(histogram) if count),
    )


def gate_constraints(analyses: Iterable[LayerAnalysis], gate: GateSettings) -> dict[str, tuple[float, LayerAnalysis]]:
    """Figure → (worst share − limit, where); a gate is violated above zero."""
    rows = tuple(analyses)
    worst = {figure: max(rows, key=lambda row: row.figure(figure)) for figure in gate.limits}
    return {figure: (worst[figure].figure(figure) - limit, worst[figure]) for figure, limit in gate.limits.items()}


def gate_reason(constraints: dict[str, tuple[float, LayerAnalysis]]) -> str:
    """One sentence that names layer, tensor and figure of every broken limit; empty if none is."""
    return "; ".join(
        f"{figure} of {row.slot} as {row.format.brief} is {row.figure(figure):.1%}, "
        f"limit {row.figure(figure) - excess:.1%}"
        for figure, (excess, row) in constraints.items()
        if excess > 0
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
