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

The model and its gradients run in one traced graph, whatever the formats; the counting is NumPy's. Activations are
analysed against the format that they have or, in step one, will get.
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

from wordlength.arrays import FloatArray
from wordlength.errors import TrainingDiverged
from wordlength.objectives.accumulators import AccumulatorAnalyser
from wordlength.objectives.quantized_model import QuantizedModel, admit, assign
from wordlength.objectives.report import Accumulator, LayerAnalysis, integer_bits_for, ratio_db
from wordlength.objectives.settings import AnalysisSettings, GateSettings
from wordlength.objectives.training import Windows, mean_squared_error
from wordlength.space import Candidate, Format, Slot
from wordlength.space.quantizers import USUAL_KINDS, FormatQuantizer, Kind

LOWEST_LOG2 = -32
HIGHEST_LOG2 = 31
"""Ends of the log2-magnitude histogram; magnitudes beyond them fall into the end bins."""


_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EpochAnalysis:
    """What one epoch's analysis found, in slot order and in layer order."""

    layers: tuple[LayerAnalysis, ...]
    accumulators: tuple[Accumulator, ...]


@dataclass(frozen=True, eq=False)
class _Tensors:
    """A slot's tensors about to be rounded, the same rounded, and the loss's gradients of them."""

    values: list[Any]
    rounded: list[Any]
    gradients: list[Any]


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
        self._windows, self._current = windows, current
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
        inputs, targets = self._windows.inputs(self._current), self._windows.wanted(self._current)
        taps, gradients, probed = self._graph(inputs, targets, self._quantized.version)
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
        layers = tuple(
            self._layer(slot, candidate, step, epoch, _Tensors(values[slot], rounded[slot], by_slot[slot]))
            for slot in self._slots
        )
        ranges = tf.constant(self._accumulators.input_ranges(candidate))
        accumulators = self._accumulators.figures(rounded, ranges, probed).numpy()
        return EpochAnalysis(layers, self._accumulators.rows(accumulators, candidate, step, epoch))

    def _parameters(self) -> dict[Slot, list[tf.Tensor]]:
        infos = (info for info in self._quantized.slots if info.tensors)
        return {info.slot: [variable.value for variable in self._quantized.parameters(info.slot)] for info in infos}

    def _trace(self, inputs: tf.Tensor, targets: tf.Tensor, version: int) -> tuple[Any, Any, Any]:
        """Activations before rounding, gradients of parameters and activations, and what the accumulators need."""
        self.traces += 1
        trained = [tensor for tensors in self._parameters().values() for tensor in tensors]
        count = len(self._quantized.activation_slots)
        with tf.GradientTape() as tape:
            tensors = self._probes(inputs, training=True)
            taps, outputs, probed = tensors[:count], tensors[count], tensors[count + 1 :]
            loss = mean_squared_error(targets, outputs)
        gradients = tape.gradient(loss, [*trained, *taps], unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return taps, gradients, probed

    def _layer(self, slot: Slot, candidate: Candidate, step: int, epoch: int, tensors: _Tensors) -> LayerAnalysis:
        """One slot's values, flattened together. In NumPy, which counts several times faster than TensorFlow."""
        x, q = _flat(tensors.values), _flat(tensors.rounded)
        if np.isnan(x.min()):
            raise TrainingDiverged(f"values must be numbers, but {slot} has NaN in step {step}, epoch {epoch}")
        magnitude, noise = np.abs(x), q - x
        nonzero = magnitude > 0
        overflow, underflow, precision = self._violations(slot, tensors, q, magnitude, nonzero, noise)
        largest, signal, mean = float(magnitude.max()), _squares(x), float(x.sum(dtype=np.float64)) / x.size
        return LayerAnalysis(
            slot=slot,
            format=candidate[slot],
            step=step,
            epoch=epoch,
            count=x.size,
            overflow=overflow,
            underflow=underflow,
            precision=precision,
            zero_gradient=_count(_flat(tensors.gradients) == 0) / x.size,
            max_magnitude=largest,
            integer_bits_needed=integer_bits_for(largest),
            minimum=float(x.min()),
            maximum=float(x.max()),
            mean=mean,
            std=math.sqrt(max(0.0, signal / x.size - mean * mean)),
            sqnr_db=ratio_db(signal, _squares(noise)),
            histogram=_log2_histogram(magnitude, x.size - _count(nonzero)),
        )

    def _violations(
        self, slot: Slot, tensors: _Tensors, q: FloatArray, magnitude: FloatArray, nonzero: _Flags, noise: FloatArray
    ) -> tuple[float, float, float]:
        """Overflow, underflow and precision, as shares."""
        quantizers = self._formats[slot]
        outside = _flat([_outside(quantizer, x) for quantizer, x in zip(quantizers, tensors.values, strict=True)])
        counted = np.zeros_like(nonzero) if _holds(quantizers[0].is_kind(Kind.BINARY)) else nonzero
        in_range = counted & ~outside
        small = q == 0 if _holds(quantizers[0].has_zero) else magnitude < float(quantizers[0].smallest_magnitude)
        imprecise = in_range & (np.abs(noise) > np.float32(self._precision_limit) * magnitude)
        return (
            _count(outside) / outside.size,
            _share(_count(counted & small), _count(nonzero)),
            _share(_count(imprecise), _count(in_range)),
        )


def _flat(tensors: list[Any]) -> npt.NDArray[Any]:
    flat = [np.ravel(tensor) for tensor in tensors]
    return flat[0] if len(flat) == 1 else np.concatenate(flat)


def _outside(quantizer: FormatQuantizer, x: Any) -> tf.Tensor:
    lowest, highest = quantizer.limits(x)
    return (x < lowest) | (x > highest)


def _count(flags: _Flags) -> int:
    return int(np.count_nonzero(flags))


def _holds(flag: Any) -> bool:
    return bool(np.asarray(flag))


def _squares(x: FloatArray) -> float:
    """Sum of squares, exact products added up in double precision."""
    return float(np.einsum("i,i->", x, x, dtype=np.float64, casting="safe"))


def _log2_histogram(magnitude: FloatArray, zeros: int) -> tuple[tuple[int, int], ...]:
    """(floor(log2), how many of the magnitudes above zero have it), smallest first; `zeros` of them are zero."""
    # The exponent field of a normal float32 is floor(log2) + 127, exactly.
    counts = np.bincount(magnitude.view(np.int32) >> 23, minlength=256)
    counts[0] -= zeros
    bins = np.clip(np.arange(256) - 127, LOWEST_LOG2, HIGHEST_LOG2) - LOWEST_LOG2
    binned = np.bincount(bins, counts).astype(np.int64)
    return tuple((LOWEST_LOG2 + place, int(count)) for place, count in enumerate(binned) if count)


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
