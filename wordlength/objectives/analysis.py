"""The fixed-point analysis of Klein, Kantic & Blume 2021: what quantization does to each tensor.

Over the float values x that are about to be rounded to q(x), per slot:

- overflow: share of all x outside [lowest, highest] (the paper's boundary violation);
- underflow: share of the x ≠ 0 with q(x) = 0, or with |x| below a format's smallest magnitude where it
  has no zero (power of two);
- precision: share of the x ≠ 0 in range with |q(x) − x| > 5 % of |x| (quantization violation);
- zero gradient: share of elements whose gradient is exactly zero on every analysed batch. A weight is
  one element; an activation is one element per analysed window.

All of it runs in one traced graph, whatever the formats: activations are analysed against the format
that they have or, in step one, will get.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from wordlength.objectives.quantized_model import QuantizedModel
from wordlength.objectives.report import LayerAnalysis
from wordlength.objectives.settings import AnalysisSettings, GateSettings
from wordlength.objectives.training import Windows, mask_error
from wordlength.space import Candidate, Role, Slot
from wordlength.space.quantizers import FormatQuantizer

LOWEST_LOG2 = -32
HIGHEST_LOG2 = 31
"""Ends of the log2-magnitude histogram; magnitudes beyond them fall into the end bins."""

_SUMS = ("count", "nonzero", "overflow", "underflow", "imprecise", "in_range", "zero_gradient")
_NUMBERS = ("minimum", "maximum", "mean", "variance", "signal", "noise")


class Analyser:
    """Analyses a quantized model on a fixed set of windows.

    `current`: indices of the windows' current frames; they run through the model as one batch.
    """

    def __init__(
        self, quantized: QuantizedModel, windows: Windows, current: npt.NDArray[np.int32], settings: AnalysisSettings
    ) -> None:
        self.traces = 0
        self._quantized = quantized
        self._windows = windows
        self._current = tf.constant(current)
        self._precision_limit = settings.precision_limit
        # Formats of their own: in step one the model's activations are still float.
        self._formats = {info.slot: FormatQuantizer() for info in quantized.slots}
        self._graph = tf.function(self._trace, jit_compile=False, autograph=False)

    def analyse(self, candidate: Candidate, step: int, epoch: int) -> tuple[LayerAnalysis, ...]:
        """One LayerAnalysis per slot, for the model's present weights and formats."""
        for slot, quantizer in self._formats.items():
            quantizer.assign(candidate[slot])
        sums, numbers, histograms = (tensor.numpy() for tensor in self._graph(self._current))
        return tuple(
            _layer_analysis(info.slot, candidate, step, epoch, sums[row], numbers[row], histograms[row])
            for row, info in enumerate(self._quantized.slots)
        )

    def _trace(self, current: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        self.traces += 1
        parameters = {
            info.slot: [variable.value for variable in self._quantized.parameters(info.slot)]
            for info in self._quantized.slots
            if info.slot.role is not Role.ACTIVATIONS
        }
        trained = [variable for info in self._quantized.slots for variable in self._quantized.parameters(info.slot)]
        with tf.GradientTape() as tape:
            *taps, outputs = self._quantized.taps(self._windows.inputs(current), training=True)
            loss = mask_error(self._windows.outputs(current), outputs)
        values: dict[Slot, list[Any]] = parameters | {
            slot: [tap] for slot, tap in zip(self._quantized.activation_slots, taps, strict=True)
        }
        weight_gradients, tap_gradients = tape.gradient(
            loss, [[v.value for v in trained], taps], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        gradients = iter(weight_gradients)
        by_slot = {slot: [next(gradients) for _ in tensors] for slot, tensors in parameters.items()}
        by_slot |= {slot: [g] for slot, g in zip(self._quantized.activation_slots, tap_gradients, strict=True)}
        rows = [self._figures(info.slot, values[info.slot], by_slot[info.slot]) for info in self._quantized.slots]
        return tuple(tf.stack(column) for column in zip(*rows, strict=True))

    def _figures(self, slot: Slot, tensors: list[Any], gradients: list[Any]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Counts (7,), numbers (6,) and histogram (64,) of one slot's values, flattened together."""
        x = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0)
        gradient = tf.concat([tf.reshape(g, [-1]) for g in gradients], 0)
        quantizer = self._formats[slot]
        q = quantizer.round(x)
        magnitude, error = tf.abs(x), tf.abs(q - x)
        nonzero = magnitude > 0
        in_range = nonzero & (x >= quantizer.lowest) & (x <= quantizer.highest)
        lost = nonzero & tf.where(quantizer.has_zero, q == 0, magnitude < quantizer.smallest_magnitude)
        sums = [
            tf.ones_like(nonzero),
            nonzero,
            (x < quantizer.lowest) | (x > quantizer.highest),
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


def _log2_histogram(magnitude: tf.Tensor) -> tf.Tensor:
    # The exponent field of a normal float32 is floor(log2) + 127, exactly.
    exponent = tf.bitwise.right_shift(tf.bitcast(magnitude, tf.int32), 23) - 127
    bins = tf.clip_by_value(exponent, LOWEST_LOG2, HIGHEST_LOG2) - LOWEST_LOG2
    size = HIGHEST_LOG2 - LOWEST_LOG2 + 1
    return tf.math.bincount(bins, minlength=size, maxlength=size, dtype=tf.int32)


def _layer_analysis(
    slot: Slot, candidate: Candidate, step: int, epoch: int, sums: Any, numbers: Any, histogram: Any
) -> LayerAnalysis:
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
        sqnr_db=_ratio_db(v["signal"], v["noise"]),
        histogram=tuple((LOWEST_LOG2 + bin_, int(count)) for bin_, count in enumerate(histogram) if count),
    )


def integer_bits_for(magnitude: float) -> int:
    """Integer bits, sign excluded, with which a value of this magnitude stays below 2^integer_bits; 0 for 0."""
    return math.frexp(magnitude)[1] if magnitude else 0


def gate_constraints(analyses: Iterable[LayerAnalysis], gate: GateSettings) -> dict[str, tuple[float, LayerAnalysis]]:
    """Figure → (worst share − limit, where); a gate is violated above zero."""
    rows = tuple(analyses)
    worst = {figure: max(rows, key=lambda row: row.figures[figure]) for figure in gate.limits}
    return {figure: (worst[figure].figures[figure] - limit, worst[figure]) for figure, limit in gate.limits.items()}


def gate_reason(constraints: dict[str, tuple[float, LayerAnalysis]]) -> str:
    """One sentence that names layer, tensor and figure of every broken limit; empty if none is."""
    return "; ".join(
        f"{figure} of {row.slot} as {row.format} is {row.figures[figure]:.1%}, limit {row.figures[figure] - excess:.1%}"
        for figure, (excess, row) in constraints.items()
        if excess > 0
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _ratio_db(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
