"""Greedy bit allocation: from what every format of every group costs by itself to whole candidates.

Marginal analysis after Fox (1966) and Shoham & Gersho (1988): damages add up to first order, so among all
candidates those on the lower convex hull of total damage against total bytes are found by starting from the
cheapest formats and buying, one after another, the change that takes away most damage per byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from wordlength.space.candidate import Candidate
from wordlength.space.formats import Format
from wordlength.space.slots import Slot

MOST_DAMAGE, LEAST_DAMAGE = 1 / 16, 1 / 1024
"""Shares of the smallest candidate's damage between which candidates are worth a trial."""


@dataclass(frozen=True)
class Alternative:
    """One choice of formats for a group's slots: the bytes it takes and the damage it does by itself, in any unit."""

    formats: Mapping[Slot, Format]
    memory_bytes: int
    damage: float = 0.0


def allocate(groups: Sequence[Sequence[Alternative]], order: Sequence[Slot], count: int) -> tuple[Candidate, ...]:
    """At most `count` candidates on the hull, ascending in bytes, falling in damage.

    Their bytes grow by equal factors, from where damage has fallen to MOST_DAMAGE of the smallest candidate's to where
    it has fallen to LEAST_DAMAGE: training mends no more than that, and more bytes buy next to nothing. `groups`: each
    group's alternatives, at least one. `order`: the model's slots.
    """
    path = list(_path([_hull(alternatives) for alternatives in groups]))
    totals = [(sum(part.memory_bytes for part in parts), sum(part.damage for part in parts)) for parts in path]
    chosen = _spread(totals, count)
    return tuple(
        Candidate.of((slot, formats[slot]) for slot in order)
        for formats in ({slot: fmt for part in path[place] for slot, fmt in part.formats.items()} for place in chosen)
    )


def _hull(alternatives: Sequence[Alternative]) -> list[Alternative]:
    """The lower convex hull of damage against bytes, ascending in bytes, falling in damage."""
    hull: list[Alternative] = []
    for part in sorted(alternatives, key=lambda part: (part.memory_bytes, part.damage)):
        if hull and part.damage >= hull[-1].damage:
            continue
        while hull and (
            hull[-1].memory_bytes == part.memory_bytes or (len(hull) > 1 and _gain(*hull[-2:]) <= _gain(hull[-1], part))
        ):
            hull.pop()
        hull.append(part)
    return hull


def _gain(one: Alternative, other: Alternative) -> float:
    """Damage taken away per byte."""
    return (one.damage - other.damage) / (other.memory_bytes - one.memory_bytes)


def _path(hulls: Sequence[Sequence[Alternative]]) -> Iterator[list[Alternative]]:
    """The choices of all groups, from the cheapest on, one change after another."""
    chosen = [hull[0] for hull in hulls]
    yield list(chosen)
    changes = [(_gain(one, other), group, other) for group, hull in enumerate(hulls) for one, other in pairwise(hull)]
    # On a hull gains fall, so each group's changes come in their order.
    for _, group, other in sorted(changes, key=lambda change: -change[0]):
        chosen[group] = other
        yield list(chosen)


def _spread(totals: Sequence[tuple[int, float]], count: int) -> list[int]:
    """Places nearest to `count` equal factors in bytes over the damages that matter; one alone lies in the middle."""
    worst = totals[0][1]
    start, end = (_falls_to(totals, share * worst) for share in (MOST_DAMAGE, LEAST_DAMAGE))
    start = max(0, min(start, end + 1 - count))  # Rather a worse one than too few.
    sizes = [math.log(max(1, size)) for size, _ in totals[start : end + 1]]
    shares = [step / (count - 1) for step in range(count)] if count > 1 else [0.5]
    wanted = [sizes[0] + share * (sizes[-1] - sizes[0]) for share in shares]
    nearest = (min(range(len(sizes)), key=lambda place: abs(sizes[place] - target)) for target in wanted)
    return [start + place for place in dict.fromkeys(nearest)]


def _falls_to(totals: Sequence[tuple[int, float]], limit: float) -> int:
    """First place whose damage is no more than the limit; else the last."""
    return next((place for place, (_, damage) in enumerate(totals) if damage <= limit), len(totals) - 1)
