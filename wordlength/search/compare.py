"""Two studies over each other: whose front beats whose, what one reaches at the other's cost, what differs in them.

In the plane of first quality and first cost, where the studies have more objectives and two numbers must decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wordlength.errors import SpecError
from wordlength.objectives.noise import DISTINCT, paired_difference
from wordlength.search.front import FloatPoint, FrontPoint, hypervolume
from wordlength.search.home import Home
from wordlength.search.study import load_study, remembered
from wordlength.search.study_file.unchanged import differences
from wordlength.search.trials import StudyView, picked
from wordlength.space import Format, Slot


@dataclass(frozen=True)
class Setting:
    """A setting that differs: its place in the study file, and its value in either study."""

    place: str
    first: Any
    second: Any


@dataclass(frozen=True)
class Difference:
    """One quality less another; `error`: its standard error, None if unknown; `paired`: on the same mixtures."""

    value: float
    error: float | None
    paired: bool

    @property
    def is_clear(self) -> bool:
        """Whether chance alone would hardly give it; not known without an error."""
        return self.error is not None and abs(self.value) > DISTINCT * self.error


@dataclass(frozen=True)
class Versus:
    """A front's member and what the other front has in its place; None where it has nothing.

    `beaten_by`: the best of those that are no worse in any objective, and better in one; `at_cost`: the other's best
    quality for no more than this cost; `at_quality`: the other's least cost for no less than this quality.
    """

    point: FrontPoint
    beaten_by: FrontPoint | None
    at_cost: FrontPoint | None
    at_quality: FrontPoint | None


@dataclass(frozen=True)
class Comparison:
    """Two studies with the same objectives. `settings`: what differs; `warnings`: why their figures do not compare.

    `same_mixtures`: whether both were measured on the same audio; `picked`: the two members whose formats are compared.
    """

    first: StudyView
    second: StudyView
    settings: tuple[Setting, ...]
    warnings: tuple[str, ...]
    same_mixtures: bool
    picked: tuple[FrontPoint, FrontPoint]

    @cached_property
    def common(self) -> FloatPoint:
        """From where both hypervolumes count: of the float models, in every objective the worse."""
        one, other = self.first.baseline, self.second.baseline
        values = {
            goal.name: min(one.values[goal.name], other.values[goal.name], key=goal.ahead) for goal in one.goals.goals
        }
        return FloatPoint(values, max(one.memory_bytes, other.memory_bytes), one.goals)

    @cached_property
    def hypervolumes(self) -> tuple[float, float, float]:
        """Of the first study, of the second, of both together."""
        points = self.first.points, self.second.points
        one, other, both = (hypervolume(some, self.common) for some in (*points, (*points[0], *points[1])))
        return one, other, both

    @cached_property
    def members(self) -> tuple[tuple[Versus, ...], tuple[Versus, ...]]:
        """Of the first front and of the second, each against the other."""
        fronts = self.first.front, self.second.front
        one, other = (tuple(_versus(point, theirs) for point in ours) for ours, theirs in (fronts, fronts[::-1]))
        return one, other

    @property
    def equal(self) -> bool:
        """Whether both fronts hold the same formats with the same values of all objectives."""
        one, other = (
            [(point.candidate, dict(point.values)) for point in view.front] for view in (self.first, self.second)
        )
        return one == other

    @property
    def formats(self) -> dict[Slot, tuple[Format | None, Format | None]]:
        """Slot → the two picked members' formats, where they differ; None where a network lacks the slot."""
        one, other = (point.candidate for point in self.picked)
        found = {slot: (one.get(slot), other.get(slot)) for slot in dict.fromkeys((*one, *other))}
        return {slot: pair for slot, pair in found.items() if pair[0] != pair[1]}

    def difference(self, point: FrontPoint, other: FrontPoint) -> Difference:
        """The first quality of a point less another's; paired where both heard the same mixtures."""
        value = point.quality - other.quality
        if self.same_mixtures and len(point.gains) == len(other.gains) > 1:
            return Difference(value, paired_difference(point.gains, other.gains)[1], True)
        errors = point.standard_error, other.standard_error
        known = [error**2 for error in errors if error is not None]
        return Difference(value, sum(known) ** 0.5 if len(known) == 2 else None, False)


def compare(first: str, second: str, home: Home, rules: Sequence[str] = ("knee",)) -> Comparison:
    """Two launched studies of one project. `rules`: what `front.pick` picks from both, or from each.

    Raises SpecError if their objectives differ, one has no complete trial, or a rule picks nothing.
    """
    one, other = load_study(first, home), load_study(second, home)
    _require_comparable(one, other)
    known, theirs = (remembered(home.find(view.name), home) for view in (one, other))
    return Comparison(
        one,
        other,
        tuple(_settings(known, theirs)),
        tuple(_warnings(known, theirs)),
        _is_same(known, theirs, "data_digest") is True,
        (_picked(one, rules[0]), _picked(other, rules[-1])),
    )


def _require_comparable(one: StudyView, other: StudyView) -> None:
    if one.goals != other.goals:
        mine, theirs = ({goal.name: goal for goal in view.goals.goals} for view in (one, other))
        lists = f"{one.name!r} has {', '.join(mine)} and {other.name!r} has {', '.join(theirs)}"
        if mine.keys() == theirs.keys():
            name = next((name for name in mine if mine[name] != theirs[name]), None)
            lists = f"{name} counts in another way" if name else f"{lists}, in another order"
        raise SpecError(f"studies must have the same objectives to be compared, but {lists} (objectives)")
    for view in (one, other):
        if not view.front:
            raise SpecError(f"a study must have a complete trial to be compared, but {view.name!r} has none yet")


def _settings(known: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Setting]:
    for place, old, new in differences(known.get("fingerprint", {}), theirs.get("fingerprint", {})):
        yield Setting(place, old, new)


def _warnings(known: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """Why a difference may come from something else than the formats."""
    one, other = (study.get("fingerprint", {}) for study in (known, theirs))
    same = _is_same(known, theirs, "data_digest")
    if same is False:
        named = _named(one, other, "data") or "the audio itself"
        yield f"their data differ ({named}): qualities are of other mixtures, and no difference is paired"
    elif same is None:
        yield "whether their data are the same is not known: no difference is paired"
    if named := _named(one, other, "model"):
        yield f"their networks differ ({named})"
    same = _is_same(known, theirs, "baseline_content")
    if same is False:
        named = _named(one, other, "baseline", "training", "seed", "threads")
        yield f"their float baselines differ ({named or 'trained with another result'})"
    elif same is None:
        yield "whether their float baselines are the same is not known"


def _is_same(known: Mapping[str, Any], theirs: Mapping[str, Any], key: str) -> bool | None:
    """None where one of two studies does not say it: then it is not known."""
    one, other = known.get(key), theirs.get(key)
    return None if one is None or other is None else bool(one == other)


def _named(one: Mapping[str, Any], other: Mapping[str, Any], *parts: str) -> str:
    places = [place for place, *_ in differences(one, other)]
    return ", ".join(place for place in places if place.partition(".")[0] in parts)


def _picked(view: StudyView, rule: str) -> FrontPoint:
    return picked(view, rule, f"--pick, study {view.name!r}")


def _versus(point: FrontPoint, others: Sequence[FrontPoint]) -> Versus:
    goals = point.goals
    quality, cost = goals.quality.ahead, goals.cost.ahead
    own = goals.ahead(point.values)
    no_worse = [one for one in others if all(a >= b for a, b in zip(goals.ahead(one.values), own, strict=True))]
    beating = [one for one in no_worse if goals.ahead(one.values) != own]
    cheap = [one for one in others if cost(one.cost) >= cost(point.cost)]
    good = [one for one in others if quality(one.quality) >= quality(point.quality)]

    def best(one: FrontPoint) -> tuple[float, float]:
        return quality(one.quality), cost(one.cost)

    return Versus(
        point,
        max(beating, key=best, default=None),
        max(cheap, key=best, default=None),
        max(good, key=lambda one: best(one)[::-1], default=None),
    )
