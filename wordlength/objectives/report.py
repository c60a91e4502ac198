"""What goes to a worker and what comes back: frozen values that survive JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from wordlength.arrays import FloatArray
from wordlength.space import Candidate, Format, Role, Slot, parse_format

Weights = tuple[FloatArray, ...]
"""A model's float weights, in Keras' order."""


class TrialState(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrialJob:
    """One candidate to train and measure; `seed` fixes the order of the training windows."""

    number: int
    candidate: Candidate
    seed: int = 0


FIGURES = (
    "overflow",
    "underflow",
    "precision",
    "zero_gradient",
    "max_magnitude",
    "integer_bits_needed",
    "minimum",
    "maximum",
    "mean",
    "std",
    "sqnr_db",
)
"""The numeric columns of a LayerAnalysis, in order."""


def integer_bits_for(*values: float) -> int:
    """Integer bits i, sign excluded, with which two's complement holds these values: −2^i ≤ x < 2^i; 0 for zeros.

    ±∞ needs as many as float32 has: 128.
    """
    return max((_integer_bits(value) for value in values if value), default=0)


def _integer_bits(value: float) -> int:
    if math.isinf(value):
        return 128
    fraction, exponent = math.frexp(value)
    return exponent - (fraction == -0.5)  # −2^i itself fits.


def ratio_db(signal: float, noise: float) -> float:
    """10 · log10(signal / noise) of two energies; infinite without noise, −infinite without signal."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


@dataclass(frozen=True, slots=True)
class LayerAnalysis:
    """The fixed-point analysis of one slot after one epoch (terms: `objectives.analysis`).

    Shares are between 0 and 1; `step` is 1 (parameters quantized) or 2 (everything); `epoch` counts
    from 1 within its step; `histogram` maps floor(log2|x|) to the number of elements there.
    """

    slot: Slot
    format: Format
    step: int
    epoch: int
    count: int
    overflow: float
    underflow: float
    precision: float
    zero_gradient: float
    max_magnitude: float
    integer_bits_needed: int
    minimum: float
    maximum: float
    mean: float
    std: float
    sqnr_db: float
    histogram: tuple[tuple[int, int], ...] = ()

    @property
    def figures(self) -> dict[str, float]:
        """Name → number, in the order of FIGURES."""
        return {name: self.figure(name) for name in FIGURES}

    def figure(self, name: str) -> float:
        """One of the FIGURES."""
        return float(getattr(self, name))

    def _repr_html_(self) -> str:
        from wordlength.objectives.html import analyses_html

        return analyses_html([self])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; inverse of `from_dict`."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return plain | {
            "slot": str(self.slot),
            "format": str(self.format),
            "histogram": [list(p) for p in self.histogram],
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> LayerAnalysis:
        """Inverse of `to_dict`."""
        return cls(
            **{
                **plain,
                "slot": Slot.parse(plain["slot"]),
                "format": parse_format(plain["format"]),
                "histogram": tuple((int(b), int(n)) for b, n in plain["histogram"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Accumulator:
    """What one sum of a layer needs: kernel times input, and with the last kernel the bias.

    A layer has one per kernel tensor: a separable convolution first sums depthwise, then pointwise.
    `lowest_worst` … `highest_worst`: the range that no input within its format can leave, for the quantized
    weights as they are (for a float input: no input within the range seen, `bounded` false).
    `lowest_used` … `highest_used`: the range of the sums on the analysed windows; in step one, where inputs are
    not rounded yet, it may go beyond. `fraction_bits`: binary places of the exact sum, None if a factor is float or
    an average is no power of two.
    """

    layer: str
    kernel: str
    step: int
    epoch: int
    lowest_worst: float
    highest_worst: float
    lowest_used: float
    highest_used: float
    fraction_bits: int | None
    bounded: bool

    @property
    def integer_bits_worst(self) -> int:
        """Integer bits, sign excluded, with which the sum can never overflow."""
        return integer_bits_for(self.lowest_worst, self.highest_worst)

    @property
    def integer_bits_used(self) -> int:
        """Integer bits, sign excluded, that the data needed; sums that were all 0 need none of their own."""
        silent = self.lowest_used == self.highest_used == 0
        return min(0, self.integer_bits_worst) if silent else integer_bits_for(self.lowest_used, self.highest_used)

    @property
    def bits_worst(self) -> int | None:
        """Width of an exact accumulator that cannot overflow, sign included."""
        return None if self.fraction_bits is None else max(1 + self.integer_bits_worst + self.fraction_bits, 1)

    @property
    def bits_used(self) -> int | None:
        """Width of an exact accumulator that the data did not overflow, sign included."""
        return None if self.fraction_bits is None else max(1 + self.integer_bits_used + self.fraction_bits, 1)


@dataclass(frozen=True, slots=True)
class TrialReport:
    """All that is known of a finished trial.

    `values`: every objective's, empty unless complete; `quality`: of the first quality, to which `standard_error`, over
    the validation mixtures, and `gains`, what each of them contributes, belong. `baseline_difference` is the quality
    less the float baseline's, with the standard error of that paired difference, which is far smaller. `constraints`
    maps a gate to (worst figure − limit), above zero if violated; `losses` are the mean training losses per epoch of
    step one, then two.
    """

    number: int
    candidate: Candidate
    state: TrialState
    memory_bytes: int
    values: Mapping[str, float] = field(default_factory=dict)
    quality: float | None = None
    standard_error: float | None = None
    baseline_difference: float | None = None
    baseline_difference_error: float | None = None
    gains: tuple[float, ...] = ()
    reason: str = ""
    constraints: Mapping[str, float] = field(default_factory=dict)
    losses: tuple[tuple[float, ...], ...] = ()
    analyses: tuple[LayerAnalysis, ...] = ()
    accumulators: tuple[Accumulator, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def last_analyses(self) -> tuple[LayerAnalysis, ...]:
        """The newest analysis of every slot, in slot order."""
        newest = {analysis.slot: analysis for analysis in self.analyses}
        return tuple(newest[slot] for slot in self.candidate if slot in newest)

    def last_accumulators(self) -> tuple[Accumulator, ...]:
        """The newest of every layer and kernel."""
        return tuple({(row.layer, row.kernel): row for row in self.accumulators}.values())

    def worst(self, figure: str, role: Role | None = None) -> LayerAnalysis | None:
        """The newest analysis with the largest `figure`, of one role or of all."""
        rows = [row for row in self.last_analyses() if role in (None, row.slot.role)]
        return max(rows, key=lambda row: row.figure(figure), default=None)

    def _repr_html_(self) -> str:
        from wordlength.objectives.html import report_html

        return report_html(self)

    def to_json(self) -> str:
        """JSON text; inverse of `from_json`."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain |= {
            "candidate": self.candidate.to_dict(),
            "values": dict(self.values),
            "constraints": dict(self.constraints),
            "seconds": dict(self.seconds),
            "analyses": [analysis.to_dict() for analysis in self.analyses],
            "accumulators": [dataclasses.asdict(row) for row in self.accumulators],
        }
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str) -> TrialReport:
        """Inverse of `to_json`."""
        plain = json.loads(text)
        return cls(
            **{
                **plain,
                "candidate": Candidate.from_dict(plain["candidate"]),
                "state": TrialState(plain["state"]),
                "losses": tuple(tuple(step) for step in plain["losses"]),
                "gains": tuple(plain.get("gains", ())),
                "analyses": tuple(LayerAnalysis.from_dict(row) for row in plain["analyses"]),
                "accumulators": tuple(Accumulator(**row) for row in plain.get("accumulators", ())),
            }
        )
