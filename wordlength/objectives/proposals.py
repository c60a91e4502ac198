"""Data-type proposals: where in the number line a slot's float values want their format.

Two rules. *Least error* takes the position (integer bits, or largest exponent) of least squared error, which
lets rare large values overflow if that resolves the many small ones better. *Least overflow* takes the
smallest position with no more than a given share of the values outside the range.

What is looked at: for activations the baseline's sample of the float model's values; for weights and biases
the same for least error, on which the search's offsets stand, and every value for all else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wordlength.arrays import FloatArray
from wordlength.objectives.report import integer_bits_for, ratio_db
from wordlength.space import Anchors, Candidate, Format, KindRange, Role, Slot
from wordlength.space.formats import MAX_POSITION
from wordlength.space.ranges import Position

if TYPE_CHECKING:
    from wordlength.objectives.baseline import Baseline


SAMPLE_VALUES = 16_384
"""Values of a slot that the proposals look at; the largest magnitude is always among them."""
_POSITIONS_BELOW_TOP = 12


class Rule(StrEnum):
    """How a position is chosen."""

    ERROR = "error"
    """Least squared error."""
    OVERFLOW = "overflow"
    """The smallest with no more than a given share of overflow."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One slot in one kind and width: the format of least error, and that of least overflow.

    `overflow` and `sqnr_db` (signal-to-quantization-noise ratio) are of the float values in the first.
    """

    slot: Slot
    bits: int
    least_error: Format
    least_overflow: Format
    overflow: float
    sqnr_db: float


def sample(values: FloatArray, seed: int = 0) -> FloatArray:
    """At most SAMPLE_VALUES of the values, flattened, the one of largest magnitude among them."""
    flat = np.ravel(values)
    if flat.size <= SAMPLE_VALUES:
        return flat.copy()
    chosen = np.random.default_rng(seed).choice(flat.size, SAMPLE_VALUES - 1, replace=False)
    return np.append(flat[chosen], flat[np.argmax(np.abs(flat))])


def propose(values: FloatArray, limits: KindRange, bits: int) -> int:
    """The position of least mean squared error over float32 values (n,).

    Ties go to the larger position, which overflows less. Zeros only: position 0.
    """
    return int(_least_error(values.reshape(-1, 1), lambda position: limits.format(bits, position))[0])


def propose_per_channel(tensors: Iterable[FloatArray], limits: KindRange, bits: int) -> tuple[int, ...]:
    """The same for every output channel of tensors (…, channels), one after the other."""

    def at(position: int) -> Format:
        # One position for all channels: rounding each of them then is rounding the tensor.
        position = min(position, MAX_POSITION - 1)
        return limits.format(bits, (position, position)).for_tensors((1, 1))[0]

    return tuple(int(p) for tensor in tensors for p in _least_error(tensor.reshape(-1, tensor.shape[-1]), at))


def propose_within(values: FloatArray, limits: KindRange, bits: int, overflow_share: float) -> int:
    """The smallest position that leaves at most this share of the float32 values (n,) outside the range.

    Tried from 12 below the largest value's; the largest position there is if none does. Zeros only: position 0.
    """
    bottom, top = (int(ends[0]) for ends in _spans(values.reshape(-1, 1)))
    for position in range(bottom, top + 1):
        if overflow_of(values, limits.format(bits, position)) <= overflow_share:
            return position
    return top


def overflow_of(values: FloatArray, fmt: Format) -> float:
    """Share of the values outside the format's range."""
    lowest, highest = fmt.limits(values)
    return float(np.mean((values < lowest) | (values > highest))) if values.size else 0.0


def anchors(baseline: Baseline, needed: Iterable[tuple[Slot, KindRange, int]]) -> Anchors:
    """Least-error positions for every (slot, range, bits) asked for, from the float model's own values."""

    def position(slot: Slot, limits: KindRange, bits: int) -> Position:
        if not limits.per_channel:
            return propose(baseline.samples[slot], limits, bits)
        positions = propose_per_channel(baseline.parameters(slot), limits, bits)
        return positions if len(positions) > 1 else positions[0]

    return Anchors({(slot, limits.kind, bits): position(slot, limits, bits) for slot, limits, bits in needed})


def proposals(
    baseline: Baseline, asked: Iterable[tuple[Slot, KindRange, int]], overflow_share: float
) -> list[Proposal]:
    """Both rules for every (slot, range, bits), measured on the float model's values."""
    rows = []
    for slot, limits, bits in asked:
        fmt, within = (proposed(baseline, slot, limits, bits, rule, overflow_share) for rule in Rule)
        rows.append(Proposal(slot, bits, fmt, within, *_figures(baseline, slot, fmt)))
    return rows


def proposed(
    baseline: Baseline, slot: Slot, limits: KindRange, bits: int, rule: Rule = Rule.ERROR, overflow_share: float = 0.0
) -> Format:
    """The format of this width that the rule proposes; where a format has no position, the only one there is."""
    if rule is Rule.ERROR or not limits.anchored:
        return anchors(baseline, [(slot, limits, bits)] if limits.anchored else []).format(slot, limits, bits)
    if not limits.per_channel:
        return limits.format(bits, propose_within(_values(baseline, slot), limits, bits, overflow_share))
    one = replace(limits, per_channel=False)  # type: ignore[call-arg]
    columns = [column for tensor in baseline.parameters(slot) for column in tensor.reshape(-1, tensor.shape[-1]).T]
    found = [min(propose_within(column, one, bits, overflow_share), MAX_POSITION - 1) for column in columns]
    return limits.format(bits, tuple(found) if len(found) > 1 else found[0])


def proposed_candidate(
    baseline: Baseline,
    wanted: Mapping[Role, tuple[KindRange, int] | Format],
    rule: Rule = Rule.ERROR,
    overflow_share: float = 0.0,
) -> Candidate:
    """For every slot the proposal in its role's kind and width, or its role's format as it is.

    Raises FormatError, naming the slot, for a format that it cannot have.
    """

    def format_of(slot: Slot) -> Format:
        wish = wanted[slot.role]
        return wish if isinstance(wish, Format) else proposed(baseline, slot, *wish, rule, overflow_share)

    candidate = Candidate.of((info.slot, format_of(info.slot)) for info in baseline.slots)
    for info in baseline.slots:
        if info.tensors:
            info.formats(candidate[info.slot])
    return candidate


def extent(baseline: Baseline, slot: Slot) -> tuple[float, int]:
    """Largest magnitude of the slot's float values, and the integer bits, sign excluded, that hold them all."""
    values = _values(baseline, slot)
    lowest, highest = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    return max(-lowest, highest), integer_bits_for(lowest, highest)


def _values(baseline: Baseline, slot: Slot) -> FloatArray:
    """All parameters of the slot, flattened, or the sample of its activations."""
    tensors = baseline.parameters(slot)
    return np.concatenate([np.ravel(tensor) for tensor in tensors]) if tensors else baseline.samples[slot]


def _figures(baseline: Baseline, slot: Slot, fmt: Format) -> tuple[float, float]:
    """Overflow and SQNR of the slot's values, tensor by tensor where the format looks at channels or groups."""
    tensors = baseline.parameters(slot) or (baseline.samples[slot],)
    parts = list(zip(tensors, fmt.for_tensors([tensor.shape[-1] for tensor in tensors]), strict=True))
    count = sum(tensor.size for tensor in tensors)
    overflow = sum(overflow_of(tensor, part) * tensor.size for tensor, part in parts) / count
    signal = sum(float(np.sum(np.square(tensor, dtype=np.float64))) for tensor in tensors)
    noise = sum(_squared_error(part.round(tensor, slot), tensor) for tensor, part in parts)
    return overflow, ratio_db(signal, noise)


def _squared_error(rounded: FloatArray, values: FloatArray) -> float:
    return float(np.sum(np.square(rounded - values, dtype=np.float64)))


def _least_error(columns: FloatArray, at: Callable[[int], Format]) -> npt.NDArray[np.int64]:
    """The position of least squared error for every column of (n, columns)."""
    bottoms, tops = _spans(columns)
    positions = np.arange(tops.max(), bottoms.min() - 1, -1)
    errors = np.array([np.sum(np.square(at(int(p)).round(columns) - columns, dtype=np.float64), 0) for p in positions])
    # Every column within its own span, so that its proposal is what it would be alone.
    outside = (positions[:, np.newaxis] > tops) | (positions[:, np.newaxis] < bottoms)
    # argmin takes the first of equals: the largest position.
    return np.asarray(positions[np.argmin(np.where(outside, np.inf, errors), 0)], np.int64)


def _spans(columns: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Smallest and largest position worth trying for every column of (n, columns): around its largest value's.

    0 to 0 for zeros only.
    """
    largest = np.abs(columns).max(0, initial=0.0)
    tops = np.clip(np.frexp(largest)[1].astype(np.int64) + 1, -MAX_POSITION, MAX_POSITION)
    bottoms = np.maximum(tops - _POSITIONS_BELOW_TOP, -MAX_POSITION)
    return np.where(largest > 0, bottoms, 0), np.where(largest > 0, tops, 0)
