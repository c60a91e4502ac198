"""Values that go elsewhere as they are: padding with zeros, cropping, repetition, and a change of axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wordlength.objectives.integer.grid import Grid, Integers
from wordlength.objectives.integer.sums import Shape


@dataclass(frozen=True, eq=False)
class Move:
    """Output place p of an axis holds the input's value at ⌊p / repeat⌋ − before, or 0 where the input has no place.

    `before`: zeros ahead of an axis, negative where values are cut off; both for height and width. `axes`: which axis
    of the input each of these three is, counted from height.
    """

    layer: str
    source: int
    source_grid: Grid
    source_shape: Shape
    shape: Shape
    before: tuple[int, int] = (0, 0)
    repeat: tuple[int, int] = (1, 1)
    axes: tuple[int, int, int] = (0, 1, 2)

    @property
    def sources(self) -> tuple[int, ...]:
        """The steps that it reads."""
        return (self.source,)

    @property
    def turned_shape(self) -> Shape:
        """The input's shape with its axes in the output's order."""
        height, width, channels = (self.source_shape[axis] for axis in self.axes)
        return height, width, channels

    @property
    def pads(self) -> bool:
        """Whether zeros come in."""
        return any(not self._inside(axis).all() for axis in range(2))

    @cached_property
    def grid(self) -> Grid:
        """The input's, with 0 if there is padding."""
        grid = self.source_grid
        return Grid(grid.exponent, min(grid.lowest, 0), max(grid.highest, 0)) if self.pads else grid

    def check(self) -> None:
        """Nothing is computed."""

    def __call__(self, codes: Integers) -> Integers:
        """(n, *source_shape) codes → (n, *shape) codes."""
        codes = codes.reshape(-1, *self.source_shape).transpose(0, *(1 + axis for axis in self.axes))
        for axis in range(2):
            inside = self._inside(axis).reshape((-1, *(1,) * (2 - axis)))
            codes = np.where(inside, codes.take(np.where(self._inside(axis), self._places(axis), 0), 1 + axis), 0)
        return codes

    def _places(self, axis: int) -> Integers:
        return np.arange(self.shape[axis]) // self.repeat[axis] - self.before[axis]

    def _inside(self, axis: int) -> npt.NDArray[np.bool_]:
        places = self._places(axis)
        return np.asarray((places >= 0) & (places < self.turned_shape[axis]))
