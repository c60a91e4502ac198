"""Which qualities a drawing's y axis shows: those of the front, and of what can be told from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from wordlength.objectives.goals import Goal

_LEAST_SPAN = 0.02
"""Least height of the quality axis, as a share of the best quality: what differs by less is all the same."""
_NEAR = 0.3
"""From what is shown to zero, as a share of its height, up to which zero is near."""


def quality_range(
    goal: Goal, filling: Iterable[float], values: Iterable[float], reference: float
) -> tuple[float, float]:
    """Bottom and top of the y axis, the better end on top: the front and float32 fill it.

    `filling`: qualities of the front; `values`: of all trials. Members far worse than float32 or than nothing done,
    which nobody would deploy, must not squash the rest, nor may trials far below the front: neither is shown. Of an
    improvement the axis holds 0, which is to do nothing, where that is near.
    """
    heights, own = [goal.ahead(value) for value in values], goal.ahead(reference)
    top = max([*heights, own])
    lowest = _lowest(goal, top, own)
    worst = min([own, *(height for height in map(goal.ahead, filling) if height > lowest)])
    least = _LEAST_SPAN * max(abs(top), abs(own)) or 0.01
    below = [worst - height for height in heights if lowest < height < worst]
    bottom = worst - max([depth for depth in below if depth <= _room(top - worst, least, below)], default=0.0)
    if goal.signed:
        near = max(top - bottom, least) * _NEAR
        bottom, top = (0.0 if 0 < bottom < near else bottom), (0.0 if -near < top < 0 else top)
    height = max(top - bottom, least)
    spare = (height - (top - bottom)) / 2
    # Above the best member stands its name.
    return goal.ahead(bottom - spare - 0.06 * height), goal.ahead(top + spare + 0.11 * height)


def _lowest(goal: Goal, top: float, own: float) -> float:
    """Nobody would deploy what lies below; without a bound where float32 has no error, or nothing improves."""
    if not goal.maximize:
        return 3 * own if own else -math.inf
    return (-0.5 if goal.signed else 0.5) * top if top > 0 else -math.inf


def _room(height: float, least: float, below: Sequence[float]) -> float:
    """How far below the front trials are shown: half of the picture, or half of them if it is all at one height."""
    return height if height > least else max(least, median(below or [0.0]))
