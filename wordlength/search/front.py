"""The Pareto front of a study: which finished trials no other trial beats.

Conventions: `stoi_improvement` (STOI units, about −0.5…0.3) is maximised, `memory_bytes` minimised. A front is a
tuple ordered by ascending memory, and with it by ascending improvement. NaN and infinities are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from wordlength.objectives.noise import told_apart
from wordlength.space import Candidate

RULES = ("knee", "best", "smallest", "trial=N", "max-bytes=SIZE")
"""How `pick` may be asked to choose; SIZE as in 120kB."""

UNIT_BYTES = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2}
"""Size unit → bytes."""


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One complete trial as a point of the objective plane.

    `label` names a uniform reference ("uniform po2<4,-1>") and is empty for a searched candidate;
    `stoi_standard_error` is the standard error of the mean over mixtures, None if unknown; `gains` are the
    mixtures' own improvements, and `difference` that of their mean to the float baseline, with its paired
    standard error; empty or None if unknown.
    """

    number: int
    stoi_improvement: float
    memory_bytes: int
    candidate: Candidate
    label: str = ""
    stoi_standard_error: float | None = None
    gains: tuple[float, ...] = ()
    difference: float | None = None
    difference_error: float | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """The unquantized float32 model, which every candidate is compared with."""

    stoi_improvement: float
    memory_bytes: int


def saved_percent(memory_bytes: int, baseline_bytes: int) -> float:
    """Share of the baseline's memory that is no longer needed, in percent; negative if more is needed."""
    _require_reference(baseline_bytes)
    return 100.0 * (1.0 - memory_bytes / baseline_bytes)


def pareto_front(points: Iterable[FrontPoint]) -> tuple[FrontPoint, ...]:
    """The non-dominated points, ascending in memory; of points equal in both objectives the lowest trial number.

    Raises ValueError naming the trial whose objectives are not finite.
    """
    front: list[FrontPoint] = []
    for point in sorted(_checked(points), key=lambda p: (p.memory_bytes, -p.stoi_improvement, p.number)):
        if not front or point.stoi_improvement > front[-1].stoi_improvement:
            front.append(point)
    return tuple(front)


def hypervolume(
    points: Iterable[FrontPoint], reference_memory_bytes: int, reference_stoi_improvement: float = 0.0
) -> float:
    """Area that the points dominate up to the reference, in STOI × share of the reference memory.

    1 STOI at no memory at all would be 1. A point that does not beat the reference in both objectives adds nothing.
    Exact in two dimensions: one rectangle per front member (Zitzler & Thiele 1998). Raises ValueError if the
    reference memory is not above zero or a point is not finite.
    """
    _require_reference(reference_memory_bytes)
    inside = [
        point
        for point in pareto_front(points)
        if point.memory_bytes < reference_memory_bytes and point.stoi_improvement > reference_stoi_improvement
    ]
    edges = [point.memory_bytes for point in inside] + [reference_memory_bytes]
    return math.fsum(
        (right - left) / reference_memory_bytes * (point.stoi_improvement - reference_stoi_improvement)
        for point, (left, right) in zip(inside, pairwise(edges), strict=True)
    )


def knee(front: Sequence[FrontPoint]) -> FrontPoint:
    """The member farthest above the line through the front's two ends, both axes scaled to 0…1 between them.

    Beyond it, memory buys less improvement than on average. Where no member lies above that line (always so with
    two), the end with more improvement per byte. `front`: as `pareto_front` gives it. Raises ValueError if empty.
    """
    _require_members(front)
    first, last = front[0], front[-1]
    if len(front) == 1:
        return first

    def height(point: FrontPoint) -> float:
        along = (point.memory_bytes - first.memory_bytes) / (last.memory_bytes - first.memory_bytes)
        return (point.stoi_improvement - first.stoi_improvement) / (
            last.stoi_improvement - first.stoi_improvement
        ) - along

    highest = max(front[1:-1], key=height, default=first)
    # Rounding may lift a point of the line itself by an ulp or two: that is no knee.
    if height(highest) > 1e-9:
        return highest
    return max(first, last, key=lambda point: point.stoi_improvement / point.memory_bytes)


def indistinct(front: Sequence[FrontPoint]) -> dict[int, tuple[int, ...]]:
    """Trial → its neighbours on the front that the validation mixtures do not tell from it, in order of memory.

    Two neighbours are told apart if their improvements differ by more than two paired standard errors. Trials
    that differ from both neighbours, or whose mixtures' improvements are unknown, are left out.
    """
    alike: dict[int, list[int]] = {}
    for one, other in pairwise(front):
        if len(one.gains) == len(other.gains) > 1 and not told_apart(one.gains, other.gains):
            alike.setdefault(one.number, []).append(other.number)
            alike.setdefault(other.number, []).append(one.number)
    return {number: tuple(neighbours) for number, neighbours in alike.items()}


def pick(front: Sequence[FrontPoint], rule: str, points: Iterable[FrontPoint] = ()) -> FrontPoint:
    """One point by rule: `knee`, `best` (most improvement), `smallest`, `trial=N` or `max-bytes=120kB`.

    `max-bytes` takes the best front member at or below the size (B, kB = 1000 B, KiB, MB, MiB; a plain whole number
    is bytes). `trial=N` searches `points`, all complete trials, besides the front. Raises ValueError naming the
    rule broken: unknown rule, empty front, size below the smallest member, trial not complete.
    """
    name, _, value = rule.strip().partition("=")
    if name == "trial" and value:
        return _pick_trial(value, (*front, *points))
    _require_members(front)
    match (name, value):
        case ("knee", ""):
            return knee(front)
        case ("best", ""):
            return front[-1]
        case ("smallest", ""):
            return front[0]
        case ("max-bytes", _) if value:
            return _pick_below(front, parse_bytes(value))
    raise ValueError(f"a front member is picked by one of {', '.join(RULES)}, but got {rule!r}")


def parse_bytes(text: str) -> int:
    """Read a size: `120kB`, `1.5 MiB`, `236506`; fractions of a byte are dropped. Raises ValueError naming the text."""
    match = re.fullmatch(rf"\s*(\d{{1,15}})(\.\d{{1,9}})?\s*({'|'.join(UNIT_BYTES)})?\s*", text)
    if match is None or (match[2] and not match[3]):
        units = ", ".join(UNIT_BYTES)
        raise ValueError(f"a size is a number and one of {units} (or whole bytes), such as 120kB, but got {text!r}")
    # Decimal: 1.001 kB is 1000.99… bytes in binary fractions, and would lose one.
    return int(Decimal(match[1] + (match[2] or "")) * UNIT_BYTES[match[3] or "B"])


def _pick_trial(value: str, points: Sequence[FrontPoint]) -> FrontPoint:
    if not re.fullmatch(r"\d{1,12}", value):
        raise ValueError(f"trial= takes a trial number, but got {value!r}")
    found = next((point for point in points if point.number == int(value)), None)
    if found is None:
        numbers = sorted({point.number for point in points})
        known = f"{len(numbers)} known, {numbers[0]} to {numbers[-1]}" if numbers else "none known"
        raise ValueError(f"trial= takes the number of a complete trial ({known}), but got {value}")
    return found


def _pick_below(front: Sequence[FrontPoint], limit_bytes: int) -> FrontPoint:
    fitting = [point for point in front if point.memory_bytes <= limit_bytes]
    if not fitting:
        smallest = front[0]
        raise ValueError(
            f"max-bytes must be at least the smallest front member's {smallest.memory_bytes} bytes "
            f"(trial {smallest.number}), but got {limit_bytes}"
        )
    return fitting[-1]


def _checked(points: Iterable[FrontPoint]) -> Iterable[FrontPoint]:
    for point in points:
        for name in ("stoi_improvement", "memory_bytes"):
            if not math.isfinite(getattr(point, name)):
                raise ValueError(f"{name} must be finite, but trial {point.number} has {getattr(point, name)}")
        yield point


def _require_members(front: Sequence[FrontPoint]) -> None:
    if not front:
        raise ValueError("a front needs at least one complete trial, but it is empty")


def _require_reference(memory_bytes: int) -> None:
    if not memory_bytes > 0:
        raise ValueError(f"the reference memory must be above 0 bytes, but got {memory_bytes}")
