"""The Pareto front of a study: which finished trials no other trial beats.

Conventions: every goal has its own direction; values are in the goals' units. A front is a tuple ordered by the first
cost, cheapest first, and where only two goals count, with it by ascending quality. With more than two, what picks or
draws one point by two numbers looks at the plane of the first quality and the first cost.
NaN and infinities are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, assert_never

from wordlength.objectives.goals import DEFAULT_GOALS, Goal, Goals
from wordlength.objectives.noise import told_apart
from wordlength.search.hypervolume import volume
from wordlength.search.picking import Rule
from wordlength.space import Candidate


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One complete trial as a point among the study's goals.

    `values`: of every goal; `memory_bytes`: of all parameters, whether that is a goal or not. `label` names a uniform
    reference ("uniform po2<4,-1>") and is empty for a searched candidate. `standard_error` is that of the first
    quality's mean over mixtures, None if unknown; `gains` are the mixtures' own contributions, and `difference` that of
    their mean to the float baseline, with its paired standard error; empty or None if unknown.
    """

    number: int
    values: Mapping[str, float]
    memory_bytes: int
    candidate: Candidate
    label: str = ""
    standard_error: float | None = None
    gains: tuple[float, ...] = ()
    difference: float | None = None
    difference_error: float | None = None
    goals: Goals = DEFAULT_GOALS

    @property
    def quality(self) -> float:
        """The first quality's value: y in drawings."""
        return self.values[self.goals.quality.name]

    @property
    def cost(self) -> float:
        """The first cost's value: x in drawings."""
        return self.values[self.goals.cost.name]

    def _repr_html_(self) -> str:
        from wordlength.search.html import point_html

        return point_html(self)


@dataclass(frozen=True)
class FloatPoint:
    """The unquantized float32 model, which every candidate is compared with, and what it is compared by.

    `network`: what it is called, as `irm_cnn`; empty if unknown.
    """

    values: Mapping[str, float]
    memory_bytes: int
    goals: Goals = DEFAULT_GOALS
    network: str = ""

    @property
    def goal(self) -> Goal:
        """The first quality."""
        return self.goals.quality

    @property
    def quality(self) -> float:
        """Its value."""
        return self.values[self.goals.quality.name]

    @property
    def cost(self) -> float:
        """The first cost's value."""
        return self.values[self.goals.cost.name]

    def saved(self, point: FrontPoint) -> float:
        """Share of the first cost that a point saves, in percent; negative if it costs more."""
        return saved_percent(point.cost, self.cost)

    def to_json(self) -> dict[str, Any]:
        """JSON-able; inverse of `from_json`."""
        plain = {"values": dict(self.values), "memory_bytes": self.memory_bytes, "network": self.network}
        return plain | {"goals": self.goals.to_json()}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> FloatPoint:
        """Inverse of `to_json`. Studies that began before they said their network are of an unknown one."""
        goals = Goals.from_json(plain["goals"])
        return cls(plain["values"], plain["memory_bytes"], goals, plain.get("network", ""))


def saved_percent(cost: float, baseline_cost: float) -> float:
    """Share of the baseline's cost that is no longer needed, in percent; negative if more is needed."""
    if not baseline_cost > 0:
        raise ValueError(f"the reference cost must be above 0, but got {baseline_cost}")
    return 100.0 * (1.0 - cost / baseline_cost)


def pareto_front(points: Iterable[FrontPoint]) -> tuple[FrontPoint, ...]:
    """The non-dominated points, cheapest first; of points equal in all goals the lowest trial number.

    Raises ValueError naming the trial whose objectives are not finite.
    """
    every = _checked(points)
    if every and len(every[0].goals.goals) > 2:
        return tuple(sorted(_undominated(every), key=_by_cost))
    return plane(every)


def plane(points: Iterable[FrontPoint]) -> tuple[FrontPoint, ...]:
    """The points that none beats in first quality and first cost together, ascending in both."""
    front: list[FrontPoint] = []
    for point in sorted(points, key=_by_cost):
        if not front or _height(point) > _height(front[-1]):
            front.append(point)
    return tuple(front)


def hypervolume(points: Iterable[FrontPoint], baseline: FloatPoint) -> float:
    """Volume that the points dominate, from each goal's worst value on.

    By default an area, in STOI × share of float32's memory: 1 STOI at no memory at all would be 1. A point that is not
    better than the worst in every goal adds nothing. Exact (Zitzler & Thiele 1998). Raises ValueError if a point is not
    finite, or float32's own value is the worst and not above 0.
    """
    goals, own = baseline.goals.goals, baseline.values
    references = [own[goal.name] for goal in goals]
    for goal, reference in zip(goals, references, strict=True):
        goal.extent(reference, reference)  # Raises.
    return volume(
        tuple(goal.extent(point.values[goal.name], own[goal.name]) for goal in goals) for point in pareto_front(points)
    )


def knee(front: Sequence[FrontPoint]) -> FrontPoint:
    """The member farthest above the line through the front's two ends, both axes scaled to 0…1 between them.

    Beyond it, memory buys less improvement than on average. Where no member lies above that line (always so with
    two), the end with more improvement per byte. `front`: as `pareto_front` gives it, looked at in the plane of first
    quality and first cost. Raises ValueError if empty.
    """
    _require_members(front)
    line = plane(front)
    first, last = line[0], line[-1]
    if len(line) == 1:
        return first

    def above(point: FrontPoint) -> float:
        along = (_length(point) - _length(first)) / (_length(last) - _length(first))
        return (_height(point) - _height(first)) / (_height(last) - _height(first)) - along

    highest = max(line[1:-1], key=above, default=first)
    # Rounding may lift a point of the line itself by an ulp or two: that is no knee.
    if above(highest) > 1e-9:
        return highest
    return max(first, last, key=_per_cost)


def _per_cost(point: FrontPoint) -> float:
    """Quality from its worst value on, by what it costs; where a cost is maximised, the quality alone."""
    worst = point.goals.quality.worst or 0.0
    height = point.goals.quality.ahead(point.quality - worst)
    return height / point.cost if _length(point) > 0 else height


def _height(point: FrontPoint) -> float:
    return point.goals.quality.ahead(point.quality)


def _length(point: FrontPoint) -> float:
    return -point.goals.cost.ahead(point.cost)


def _by_cost(point: FrontPoint) -> tuple[float, float, int]:
    return _length(point), -_height(point), point.number


def _undominated(points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """In more than two goals: sorted, no point is beaten by a later one."""
    kept: list[tuple[tuple[float, ...], FrontPoint]] = []
    ranked = sorted(((point.goals.ahead(point.values), point) for point in points), key=lambda p: (p[0], -p[1].number))
    for values, point in reversed(ranked):
        if not any(all(a >= b for a, b in zip(other, values, strict=True)) for other, _ in kept):
            kept.append((values, point))
    return [point for _, point in kept]


def indistinct(front: Sequence[FrontPoint]) -> dict[int, tuple[int, ...]]:
    """Trial → its neighbours on the front that the validation mixtures do not tell from it, in order of the first cost.

    Two neighbours are told apart if their qualities differ by more than two paired standard errors. Trials
    that differ from both neighbours, or whose mixtures' contributions are unknown, are left out.
    """
    alike: dict[int, list[int]] = {}
    for one, other in pairwise(plane(front) if front and front[0].goals.others else front):
        if len(one.gains) == len(other.gains) > 1 and not told_apart(one.gains, other.gains):
            alike.setdefault(one.number, []).append(other.number)
            alike.setdefault(other.number, []).append(one.number)
    return {number: tuple(neighbours) for number, neighbours in alike.items()}


def pick(front: Sequence[FrontPoint], rule: str, points: Iterable[FrontPoint] = ()) -> FrontPoint:
    """One point by rule: `knee`, `best` (best first quality), `smallest` (least first cost), `trial=N`,
    `max-bytes=120kB`.

    With more than two goals all but `trial=N` choose in the plane of first quality and first cost. `max-bytes` takes
    the best member there at or below the size (as `parse_bytes` reads it), and needs a first cost in bytes. `trial=N`
    searches `points`, all complete trials, besides the front. Raises ValueError naming the rule broken: unknown rule,
    empty front, size below the smallest member, trial not complete.
    """
    asked = Rule.parse(rule)
    if asked.name == "trial":
        return _pick_trial(asked.number, (*front, *points))
    _require_members(front)
    line = plane(front)
    match asked.name:
        case "knee":
            return knee(front)
        case "best":
            return line[-1]
        case "smallest":
            return line[0]
        case "max-bytes":
            return _pick_below(line, asked.number)
        case _:
            assert_never(asked.name)


def _pick_trial(number: int, points: Sequence[FrontPoint]) -> FrontPoint:
    found = next((point for point in points if point.number == number), None)
    if found is None:
        numbers = sorted({point.number for point in points})
        known = f"{len(numbers)} known, {numbers[0]} to {numbers[-1]}" if numbers else "none known"
        raise ValueError(f"trial= takes the number of a complete trial ({known}), but got {number}")
    return found


def _pick_below(front: Sequence[FrontPoint], limit_bytes: int) -> FrontPoint:
    cost = front[0].goals.cost
    if not cost.in_bytes or cost.maximize:
        raise ValueError(f"max-bytes needs a study whose first cost counts bytes, but it is {cost.name}")
    fitting = [point for point in front if point.cost <= limit_bytes]
    if not fitting:
        smallest = front[0]
        raise ValueError(
            f"max-bytes must be at least the smallest front member's {smallest.cost:.0f} bytes "
            f"(trial {smallest.number}), but got {limit_bytes}"
        )
    return fitting[-1]


def _checked(points: Iterable[FrontPoint]) -> list[FrontPoint]:
    every = list(points)
    for point in every:
        for name in point.goals.names:
            if not math.isfinite(point.values[name]):
                raise ValueError(f"{name} must be finite, but trial {point.number} has {point.values[name]}")
    return every


def _require_members(front: Sequence[FrontPoint]) -> None:
    if not front:
        raise ValueError("a front needs at least one complete trial, but it is empty")
