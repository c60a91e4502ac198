"""Greedy bit allocation: from what every format of every group costs by itself to whole candidates.

Marginal analysis after Fox (1966) and Shoham & Gersho (1988): damages add up to first order, so among all
candidates those on the lower convex hull of total damage against total bytes are found by starting from the
cheapest formats and buying, one after another, the change that takes away most damage per byte.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from wordlength.space.candidate import Candidate
from wordlength.space.formats import Format
from wordlength.space.slots import Slot

MOST_DAMAGE, LEAST_DAMAGE = 1 / 6, 1 / 256
"""Shares of the smallest candidate's damage between which candidates are worth a trial."""
GROUP_SIGMA, ALTERNATIVE_SIGMA = 0.7, 0.3
"""Of the logarithms of the factors up to which damages are known."""


@dataclass(frozen=True)
class Alternative:
    """One choice of formats for a group's slots: the bytes it takes and the damage it does by itself, in any unit."""

    formats: Mapping[Slot, Format]
    memory_bytes: int
    damage: float = 0.0


@dataclass(frozen=True)
class Allocation:
    """Candidates of least total damage for their bytes.

    `groups`: each group's alternatives, at least one. `order`: the model's slots. `budgets`: bytes that candidates
    shall fit into, none below `smallest_bytes`.
    """

    groups: Sequence[Sequence[Alternative]]
    order: Sequence[Slot]
    budgets: Sequence[int] = ()

    @property
    def smallest_bytes(self) -> int:
        """Of all candidates."""
        return sum(min(part.memory_bytes for part in parts) for parts in self.groups)

    @property
    def asked(self) -> tuple[Mapping[Slot, Format], ...]:
        """The alternatives whose damage decides: those of every group that has a choice."""
        return tuple(part.formats for parts in self.groups if len(parts) > 1 for part in parts)

    def damaged(self, damages: Sequence[float]) -> Allocation:
        """The same with these damages, in the order of `asked`."""
        found = iter(damages)
        groups = [
            [replace(part, damage=next(found)) for part in parts] if len(parts) > 1 else parts for parts in self.groups
        ]
        return replace(self, groups=groups)

    def spread(self, count: int) -> tuple[Candidate, ...]:
        """At most `count` candidates on the hull, ascending in bytes, falling in damage.

        Their bytes grow by equal factors, from where damage has fallen to MOST_DAMAGE of the smallest candidate's to
        where it has fallen to LEAST_DAMAGE: training mends no more than that, and more bytes buy next to nothing.
        """
        path = _Path.of(self.groups)
        shares = [step / (count - 1) for step in range(count)] if count > 1 else [0.5] * count
        places = dict.fromkeys(path.place(share, path.start(count)) for share in shares)
        return tuple(self._candidate(path.choices[place]) for place in places)

    def fitting(self) -> tuple[Candidate, ...]:
        """For each budget the largest candidate on the hull that fits, and whatever still fits then, in the same order.

        The rest of a budget is seldom used up, nor is it always used best: that would be the knapsack problem.
        """
        path = _Path.of(self.groups)
        return tuple(self._candidate(path.filled(budget)) for budget in self.budgets)

    def draw(self, chance: random.Random) -> Candidate:
        """A candidate near the hull, from where `spread` begins, or the smallest budget, to where damage has fallen.

        Training mends some damage more than other: damages count as known up to log-normal factors, one of each group
        and one of each alternative.
        """
        groups = []
        for alternatives in self.groups:
            factor = chance.lognormvariate(0, GROUP_SIGMA)
            drawn = [factor * chance.lognormvariate(0, ALTERNATIVE_SIGMA) for _ in alternatives]
            groups.append(
                [replace(part, damage=part.damage * by) for part, by in zip(alternatives, drawn, strict=True)]
            )
        path = _Path.of(groups)
        start = min([path.start(), *(path.within(budget) for budget in self.budgets)])
        return self._candidate(path.choices[path.place(chance.random(), start)])

    def _candidate(self, parts: Sequence[Alternative]) -> Candidate:
        formats = {slot: fmt for part in parts for slot, fmt in part.formats.items()}
        return Candidate.of((slot, formats[slot]) for slot in self.order)


def _hull(alternatives: Sequence[Alternative]) -> list[Alternative]:
    """The lower convex hull of damage against bytes, ascending in bytes, falling in damage."""
    hull: list[Alternative] = []
    for part in sorted(alternatives, key=lambda part: (part.memory_bytes, part.damage)):
        if hull and part.damage >= hull[-1].damage:
            continue
        while len(hull) > 1 and _gain(*hull[-2:]) <= _gain(hull[-1], part):
            hull.pop()
        hull.append(part)
    return hull


def _gain(one: Alternative, other: Alternative) -> float:
    """Damage taken away per byte."""
    return (one.damage - other.damage) / (other.memory_bytes - one.memory_bytes)


@dataclass(frozen=True)
class _Path:
    """From the cheapest choices of all groups on, one change after another; `totals`: bytes and damage of each.

    `changes`: (group, its next choice), by which `choices` go on.
    """

    choices: Sequence[Sequence[Alternative]]
    totals: Sequence[tuple[int, float]]
    changes: Sequence[tuple[int, Alternative]]

    @classmethod
    def of(cls, groups: Sequence[Sequence[Alternative]]) -> _Path:
        hulls = [_hull(alternatives) for alternatives in groups]
        steps = [(_gain(*pair), group, pair[1]) for group, hull in enumerate(hulls) for pair in pairwise(hull)]
        # On a hull gains fall, so each group's changes come in their order.
        changes = [(group, part) for _, group, part in sorted(steps, key=lambda step: -step[0])]
        choices = [[hull[0] for hull in hulls]]
        for group, part in changes:
            choices.append([*choices[-1][:group], part, *choices[-1][group + 1 :]])
        totals = [(sum(part.memory_bytes for part in parts), sum(part.damage for part in parts)) for parts in choices]
        return cls(choices, totals, changes)

    @property
    def end(self) -> int:
        """Where damage has fallen to LEAST_DAMAGE."""
        return self._falls_to(LEAST_DAMAGE)

    def start(self, least: int = 1) -> int:
        """Where damage has fallen to MOST_DAMAGE; before, if fewer places than `least` lie from there to `end`."""
        return max(0, min(self._falls_to(MOST_DAMAGE), self.end + 1 - least))  # Rather a worse one than too few.

    def place(self, share: float, start: int) -> int:
        """The place nearest to this share, in equal factors of bytes, between `start` and `end`."""
        sizes = [math.log(max(1, size)) for size, _ in self.totals[start : self.end + 1]]
        wanted = sizes[0] + share * (sizes[-1] - sizes[0])
        return start + min(range(len(sizes)), key=lambda place: abs(sizes[place] - wanted))

    def within(self, budget: int) -> int:
        """The last place that takes no more bytes; the first one if all do."""
        return max((place for place, (size, _) in enumerate(self.totals) if size <= budget), default=0)

    def filled(self, budget: int) -> Sequence[Alternative]:
        """The choices at that place, and every later change that fits beside those before."""
        place = self.within(budget)
        chosen, left = list(self.choices[place]), budget - self.totals[place][0]
        for group, part in self.changes[place:]:
            more = part.memory_bytes - chosen[group].memory_bytes
            if more <= left:
                chosen[group], left = part, left - more
        return chosen

    def _falls_to(self, share: float) -> int:
        """First place with no more than this share of the smallest candidate's damage; else the last."""
        limit = share * self.totals[0][1]
        places = (place for place, (_, damage) in enumerate(self.totals) if damage <= limit)
        return next(places, len(self.totals) - 1)
