"""Reach: which values the float model's activations take on some of the training windows, slot by slot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from wordlength.objectives.audio import FrameSet
from wordlength.objectives.baseline import Baseline
from wordlength.objectives.proposals import proposed_candidate
from wordlength.objectives.quantized_model import QuantizedModel
from wordlength.objectives.report import integer_bits_for
from wordlength.objectives.sensitivity import ranged
from wordlength.objectives.training import Windows
from wordlength.space import Candidate, Fixed, Float32, Format, Role, Slot
from wordlength.stages import Progress


@dataclass(frozen=True, slots=True)
class SlotReach:
    """What one slot's float values reach on some windows: their ends, and the share outside each format."""

    slot: Slot
    lowest: float
    highest: float
    overflow: Mapping[str, float]

    @property
    def largest(self) -> float:
        """Largest magnitude."""
        return max(-self.lowest, self.highest)

    @property
    def integer_bits(self) -> int:
        """Integer bits, sign excluded, that hold every value."""
        return integer_bits_for(self.lowest, self.highest)

    def missed_bits(self, full: SlotReach) -> float:
        """How many integer bits, as a fraction, the largest magnitude lies below that of `full`."""
        if full.largest == 0:
            return 0.0
        return math.log2(full.largest / self.largest) if self.largest else math.inf


class ReachMeter:
    """The float model's activations on any whole mixtures, from one pass over all of their windows.

    Nothing but the ends and the counts of each mixture is kept. `formats`: label → a format per ACTIVATIONS slot,
    whose overflow is counted.
    """

    def __init__(
        self, quantized: QuantizedModel, frames: FrameSet, formats: Mapping[str, Mapping[Slot, Format]]
    ) -> None:
        self.traces = 0
        self._slots = quantized.activation_slots
        self._taps = quantized.taps
        self._frames = frames
        self._windows = Windows.of(frames)
        self._labels = tuple(formats)
        self._limits = [
            [(per_slot[slot].lowest, per_slot[slot].highest) for per_slot in formats.values()] for slot in self._slots
        ]
        mixtures = int(frames.mixture_of_window.max()) + 1
        self._lowest = np.full((mixtures, len(self._slots)), np.inf, np.float32)
        self._highest = np.full((mixtures, len(self._slots)), -np.inf, np.float32)
        self._outside = np.zeros((mixtures, len(self._slots), len(formats)), np.int64)
        self._counts = np.zeros((mixtures, len(self._slots)), np.int64)
        self._batch = tf.function(self._trace, jit_compile=False, autograph=False)

    def measure(self) -> Iterator[tuple[int, int]]:
        """Run all windows through the model as it stands; yields (batches done, batches in total)."""
        size = min(self._windows.prediction_batch, len(self._frames.windows))
        starts = range(0, len(self._frames.windows), size)
        for done, start in enumerate(starts, 1):
            # The last batch reaches back, so that all are of one size; windows seen before are cut off again.
            first = min(start, len(self._frames.windows) - size)
            part = slice(first, first + size)
            inputs = self._windows.inputs(self._frames.windows[part])
            lowest, highest, outside, sizes = (tensor.numpy() for tensor in self._batch(inputs))
            fresh, owners = slice(start - first, size), self._frames.mixture_of_window[start : first + size]
            np.minimum.at(self._lowest, owners, lowest[fresh])
            np.maximum.at(self._highest, owners, highest[fresh])
            np.add.at(self._outside, owners, outside[fresh])
            np.add.at(self._counts, owners, sizes)
            yield done, len(starts)

    def reach(self, windows: npt.NDArray[np.int32]) -> tuple[SlotReach, ...]:
        """One row per ACTIVATIONS slot, over the mixtures to which the windows belong."""
        places = np.searchsorted(self._frames.windows, windows)
        mixtures = np.unique(self._frames.mixture_of_window[places])
        lowest, highest = self._lowest[mixtures].min(0), self._highest[mixtures].max(0)
        shares = self._outside[mixtures].sum(0) / self._counts[mixtures].sum(0)[:, np.newaxis]
        return tuple(
            SlotReach(
                slot, float(lowest[n]), float(highest[n]), dict(zip(self._labels, shares[n].tolist(), strict=True))
            )
            for n, slot in enumerate(self._slots)
        )

    def _trace(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Per window and slot: lowest, highest, values outside each format; per slot: values of a window."""
        self.traces += 1
        *taps, _ = self._taps(inputs, training=False)
        flat = [tf.reshape(tap, [tf.shape(tap)[0], -1]) for tap in taps]
        outside = [
            tf.stack([tf.math.count_nonzero((x < low) | (x > high), axis=1) for low, high in limits], axis=1)
            for x, limits in zip(flat, self._limits, strict=True)
        ]
        return (
            tf.stack([tf.reduce_min(x, axis=1) for x in flat], axis=1),
            tf.stack([tf.reduce_max(x, axis=1) for x in flat], axis=1),
            tf.stack(outside, axis=1),
            tf.stack([tf.shape(x)[1] for x in flat]),
        )


def watched_formats(baseline: Baseline) -> dict[str, dict[Slot, Format]]:
    """The formats whose overflow is told: the paper's 3.13, and each slot's own proposal for 8 bits."""
    proposal = proposed_candidate(
        baseline,
        {role: ranged("fixed", 8, role) if role is Role.ACTIVATIONS else Float32() for role in Role},
    )
    slots = [slot for slot in proposal if slot.role is Role.ACTIVATIONS]
    return {
        "fixed<16,2>": dict.fromkeys(slots, Fixed(16, 2)),
        "8-bit proposal": {slot: proposal[slot] for slot in slots},
    }


def float_reach(quantized: QuantizedModel, baseline: Baseline, frames: FrameSet, progress: Progress) -> ReachMeter:
    """A meter that has seen the float baseline on all windows of the frames."""
    quantized.set_weights(baseline.weights)
    quantized.assign(Candidate.uniform((info.slot for info in baseline.slots), Float32(), Float32(), Float32()))
    meter = ReachMeter(quantized, frames, watched_formats(baseline))
    for done, total in meter.measure():
        progress(done, total)
    return meter
