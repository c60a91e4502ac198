"""The volume that points dominate, exact in any number of dimensions.

In two it is the sum of one rectangle per point; in more, the last dimension is cut into slices at the points, and each
slice is as thick as the volume of the points that reach it, one dimension lower (While et al. 2006, "HSO").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

Extents = tuple[float, ...]


def volume(points: Iterable[Extents]) -> float:
    """Of the union of the boxes from the origin to each point; a point that is not above 0 everywhere adds nothing."""
    inside = [point for point in points if all(value > 0 for value in point)]
    return _volume(inside) if inside else 0.0


def _volume(points: Sequence[Extents]) -> float:
    if len(points[0]) == 1:
        return max(point[0] for point in points)
    if len(points[0]) == 2:
        return _area(points)
    order = sorted(points, key=lambda point: point[-1], reverse=True)
    edges = [point[-1] for point in order[1:]] + [0.0]
    slices = []
    kept: list[Extents] = []
    for point, lower in zip(order, edges, strict=True):
        kept = _undominated(kept, point[:-1])
        if point[-1] > lower:
            slices.append((point[-1] - lower) * _volume(kept))
    return math.fsum(slices)


def _area(points: Sequence[Extents]) -> float:
    """From the widest to the narrowest, what each stands higher than those before."""
    parts, height = [], 0.0
    for x, y in sorted(points, reverse=True):
        if y > height:
            parts.append(x * (y - height))
            height = y
    return math.fsum(parts)


def _undominated(points: list[Extents], new: Extents) -> list[Extents]:
    """The points and a new one, without those that another one covers."""
    if any(all(a >= b for a, b in zip(point, new, strict=True)) for point in points):
        return points
    return [point for point in points if any(a > b for a, b in zip(point, new, strict=True))] + [new]
