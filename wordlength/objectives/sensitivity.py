"""Sensitivity: what quantizing one slot costs by itself, and what sparing it from quantization wins back.

Nothing is trained: the float baseline's weights are measured as they are, rounded. Every difference is over the
same validation mixtures and so has a paired standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wordlength.objectives.baseline import Baseline
from wordlength.objectives.goals.quality import Measured
from wordlength.objectives.noise import DISTINCT, paired_difference
from wordlength.objectives.proposals import proposed_candidate
from wordlength.space import (
    Candidate,
    FixedRange,
    Float32,
    Format,
    KindRange,
    PowerOfTwoRange,
    Role,
    Slot,
    VirtualBitShiftRange,
)

KINDS: Mapping[str, type[KindRange]] = {
    limits.kind: limits for limits in (FixedRange, PowerOfTwoRange, VirtualBitShiftRange)
}
"""Kind → its range; all are built from `bits`."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference of the study's first quality over the same mixtures, and its paired standard error."""

    difference: float
    standard_error: float

    @property
    def clear(self) -> bool:
        """Whether the difference can be told apart from 0."""
        return abs(self.difference) > DISTINCT * self.standard_error


@dataclass(frozen=True, slots=True)
class SlotSensitivity:
    """One slot in one format.

    `only`: with this slot quantized and all others float32, less the float baseline; negative where it costs.
    `all_but`: with all slots quantized but this, less all quantized; positive where sparing it wins back.
    """

    slot: Slot
    format: Format
    only: Effect
    all_but: Effect


def everything(baseline: Baseline, kind: str, bits: int, roles: Sequence[Role] = tuple(Role)) -> Candidate:
    """Every slot of the roles at its proposal of least error in this kind and width; the others float32.

    Activations, which cannot have virtual bit shifts, are fixed point then. Raises FormatError for a width that
    the kind does not have.
    """
    return proposed_candidate(
        baseline, {role: ranged(kind, bits, role) if role in roles else Float32() for role in Role}
    )


def ranged(kind: str, bits: int, role: Role) -> tuple[KindRange, int]:
    """The range of one width, and that width, with which tensors of the role take part. Raises FormatError."""
    limits = KINDS[kind](bits=(bits, bits))  # type: ignore[call-arg]
    return (FixedRange((bits, bits)), bits) if limits.unfit(role) else (limits, bits)


def sensitivity(
    measure: Callable[[Candidate], Measured],
    candidate: Candidate,
    float_gains: Sequence[float],
    quantized_gains: Sequence[float],
) -> Iterator[SlotSensitivity]:
    """One row per slot of the candidate that is not float32, yielded as it is measured.

    `measure`: the first quality without training, as `Evaluator.measure_untrained`. `float_gains`,
    `quantized_gains`: what each mixture contributes of the float baseline and of the candidate.
    """
    for slot, fmt in candidate.pairs:
        if fmt == Float32():
            continue
        alone, spared = (
            measure(mixed).per_mixture.tolist() for mixed in (only(candidate, slot), all_but(candidate, slot))
        )
        yield SlotSensitivity(
            slot,
            fmt,
            Effect(*paired_difference(alone, float_gains)),
            Effect(*paired_difference(spared, quantized_gains)),
        )


def only(candidate: Candidate, slot: Slot) -> Candidate:
    """The candidate with every slot float32 but this."""
    return Candidate.of((other, fmt if other == slot else Float32()) for other, fmt in candidate.pairs)


def all_but(candidate: Candidate, slot: Slot) -> Candidate:
    """The candidate with this slot float32."""
    return Candidate.of((other, Float32() if other == slot else fmt) for other, fmt in candidate.pairs)
