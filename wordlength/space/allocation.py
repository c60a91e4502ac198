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


@dataclass(frozen=True)
class Alternative:
    """One choice of formats for a group's slots: the bytes it takes and the damage it does by itself, in any unit."""

    formats: Mapping[Slot, Format]
    memory_bytes: int
    damage: float = 0.0


def allocate(groups: Sequence[Sequence[Alternative]], order: Sequence[Slot], count: int) -> tuple[Candidate, ...]:
    """At most `count` candidates on the hull, from the smallest one towards the least damaged.

    They are evenly spread in the square root of damage, down to 1/count of the smallest one's: beyond, more bytes buy
    next to nothing. `groups`: each group's alternatives, at least one. `order`: the model's slots.
    """
    path = list(_path([_hull(alternatives) for alternatives in groups]))
    chosen = _spread([math.sqrt(sum(part.damage for part in parts)) for parts in path], count)
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


def _spread(roots: Sequence[float], count: int) -> list[int]:
    """Places whose roots are nearest to `count` equal steps from the first down to 1/count of it; `roots` fall."""
    wanted = [roots[0] * (count - step) / count for step in range(count)]
    nearest = (min(range(len(roots)), key=lambda place: abs(roots[place] - target)) for target in wanted)
    return list(dict.fromkeys(nearest))
