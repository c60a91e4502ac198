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

_FLAGS = ("nonzero", "overflow", "underflow", "imprecise", "in_range", "zero_gradient")
_CELLS = (HIGHEST_LOG2 - LOWEST_LOG2 + 1) * 2 ** len(_FLAGS)
_NUMBERS = ("minimum", "maximum", "sum", "signal", "noise")


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
        # One graph for the values of every slot, whatever their number.
        values, flag, number = tf.TensorSpec([None]), tf.TensorSpec([], tf.bool), tf.TensorSpec([])
        signature = [values, values, values, tf.TensorSpec([None], tf.bool), flag, flag, number, number]
        self._count = tf.function(self._trace_count, signature, jit_compile=False, autograph=False)

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
        taps, gradients, probed = self._graph(self._current, self._quantized.version)
        # From here on operation by operation: the same in a graph took seconds to trace, and ran no faster.
        values = self._parameters() | {
            slot: [tap] for slot, tap in zip(self._quantized.activation_slots, taps, strict=True)
        }
        remaining = iter(gradients)
        by_slot = {slot: [next(remaining) for _ in tensors] for slot, tensors in values.items()}
        rounded = {
            slot: [quantizer.round(x) for quantizer, x in zip(self._formats[slot], tensors, strict=True)]
            for slot, tensors in values.items()
        }
        layers = []
        for slot in self._slots:
            figures = (part.numpy() for part in self._figures(slot, values[slot], rounded[slot], by_slot[slot]))
            layers.append(_layer_analysis(slot, candidate, step, epoch, *figures))
        ranges = tf.constant(self._accumulators.input_ranges(candidate))
        accumulators = self._accumulators.figures(rounded, ranges, probed).numpy()
        return EpochAnalysis(tuple(layers), self._accumulators.rows(accumulators, candidate, step, epoch))

    def _parameters(self) -> dict[Slot, list[tf.Tensor]]:
        infos = (info for info in self._quantized.slots if info.tensors)
        return {info.slot: [variable.value for variable in self._quantized.parameters(info.slot)] for info in infos}

    def _trace(self, current: tf.Tensor, version: int) -> tuple[Any, Any, Any]:
        """Activations before rounding, gradients of parameters and activations, and what the accumulators need."""
        self.traces += 1
        trained = [tensor for tensors in self._parameters().values() for tensor in tensors]
        count = len(self._quantized.activation_slots)
        with tf.GradientTape() as tape:
            tensors = self._probes(self._windows.inputs(current), training=True)
            taps, outputs, probed = tensors[:count], tensors[count], tensors[count + 1 :]
            loss = mask_error(self._windows.outputs(current), outputs)
        gradients = tape.gradient(loss, [*trained, *taps], unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return taps, gradients, probed

    def _figures(
        self, slot: Slot, tensors: list[Any], rounded: list[Any], gradients: list[Any]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Of one slot's values, flattened together: how many have which log2 and flags (_CELLS,), and numbers (5,)."""
        quantizers = self._formats[slot]
        outside = _flat([_outside(quantizer, tensor) for quantizer, tensor in zip(quantizers, tensors, strict=True)])
        about = quantizers[0]
        kinds = tf.convert_to_tensor(about.is_kind(Kind.BINARY)), tf.convert_to_tensor(about.has_zero)
        limits = tf.convert_to_tensor(about.smallest_magnitude), tf.constant(self._precision_limit, tf.float32)
        table, numbers = self._count(_flat(tensors), _flat(rounded), _flat(gradients), outside, *kinds, *limits)
        return table, numbers

    def _trace_count(
        self,
        x: tf.Tensor,
        q: tf.Tensor,
        gradient: tf.Tensor,
        outside: tf.Tensor,
        is_binary: tf.Tensor,
        has_zero: tf.Tensor,
        smallest: tf.Tensor,
        precision_limit: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        magnitude, error = tf.abs(x), tf.abs(q - x)
        nonzero = magnitude > 0
        counted = nonzero & tf.logical_not(is_binary)
        in_range = counted & ~outside
        flags = [
            nonzero,
            outside,
            counted & tf.where(has_zero, q == 0, magnitude < smallest),
            in_range & (error > precision_limit * magnitude),
            in_range,
            gradient == 0,
        ]
        # In the order of _FLAGS. Counted all at once: a pass for each took twice as long.
        cells = _log2(magnitude) * 2 ** len(flags)
        for place, flag in enumerate(flags):
            cells += tf.cast(flag, tf.int32) * 2**place
        table = tf.math.bincount(cells, minlength=_CELLS, maxlength=_CELLS, dtype=tf.int32)
        wide, noise = tf.cast(x, tf.float64), tf.cast(q, tf.float64) - tf.cast(x, tf.float64)
        numbers = [
            tf.cast(tf.reduce_min(x), tf.float64),
            tf.cast(tf.reduce_max(x), tf.float64),
            tf.reduce_sum(wide),
            tf.reduce_sum(wide * wide),
            tf.reduce_sum(noise * noise),
        ]
        return table, tf.stack(numbers)


def _flat(tensors: list[tf.Tensor]) -> tf.Tensor:
    flat = [tf.reshape(tensor, [-1]) for tensor in tensors]
    return flat[0] if len(flat) == 1 else tf.concat(flat, 0)


def _outside(quantizer: FormatQuantizer, x: tf.Tensor) -> tf.Tensor:
    lowest, highest = quantizer.limits(x)
    return (x < lowest) | (x > highest)


def _log2(magnitude: tf.Tensor) -> tf.Tensor:
    """Bin of floor(log2) of every magnitude, from 0 for LOWEST_LOG2 and less, zero among them."""
    # The exponent field of a normal float32 is floor(log2) + 127, exactly.
    exponent = tf.bitwise.right_shift(tf.bitcast(magnitude, tf.int32), 23) - 127
    return tf.clip_by_value(exponent, LOWEST_LOG2, HIGHEST_LOG2) - LOWEST_LOG2


def _layer_analysis(slot: Slot, candidate: Candidate, step: int, epoch: int, table: Any, numbers: Any) -> LayerAnalysis:
    if math.isnan(numbers[_NUMBERS.index("signal")]):
        raise TrainingDiverged(f"values must be numbers, but {slot} has NaN in step {step}, epoch {epoch}")
    table = table.reshape(-1, 2 ** len(_FLAGS))
    flagged = np.arange(table.shape[1])[:, np.newaxis] >> np.arange(len(_FLAGS)) & 1
    n = {"count": int(table.sum())} | dict(zip(_FLAGS, (int(n) for n in table.sum(0) @ flagged), strict=True))
    histogram = table @ flagged[:, _FLAGS.index("nonzero")]
    v = dict(zip(_NUMBERS, (float(value) for value in numbers), strict=True))
    mean = v["sum"] / n["count"]
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
        mean=mean,
        std=math.sqrt(max(0.0, v["signal"] / n["count"] - mean * mean)),
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
