"""Several tensors as one: sums, products, extremes, and one behind the other; exact on a common last bit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, reduce
from itertools import product

import numpy as np

from wordlength.errors import IntegerError
from wordlength.objectives.integer.grid import MOST_BITS, Grid, Integers
from wordlength.objectives.integer.sums import Shape


class Join(StrEnum):
    """How; by the names of Keras' layers."""

    ADD = "Add"
    SUBTRACT = "Subtract"
    MULTIPLY = "Multiply"
    AVERAGE = "Average"
    MAXIMUM = "Maximum"
    MINIMUM = "Minimum"
    CONCATENATE = "Concatenate"

    @property
    def passes(self) -> bool:
        """Whether every value of the result is one of an input's."""
        return self in (Join.MAXIMUM, Join.MINIMUM, Join.CONCATENATE)


@dataclass(frozen=True, eq=False)
class Merge:
    """One value from each input, or (concatenated along `axis`) the inputs one behind the other.

    Inputs of size 1 along an axis are repeated along it, as in Keras. Codes are shifted left to the finest of the
    inputs' last bits; those of a product are multiplied as they are. An average of 2^k is a sum with an exponent lower
    by k. Nothing is rounded.
    """

    layer: str
    join: Join
    sources: tuple[int, ...]
    source_grids: tuple[Grid, ...]
    source_shapes: tuple[Shape, ...]
    shape: Shape
    axis: int = 2

    @cached_property
    def shifts(self) -> tuple[int, ...]:
        """How far each input's codes are shifted left."""
        if self.join is Join.MULTIPLY:
            return (0,) * len(self.sources)
        finest = min(grid.exponent for grid in self.source_grids)
        return tuple(grid.exponent - finest for grid in self.source_grids)

    @property
    def exponent(self) -> int:
        """Exponent of the result's last bit."""
        exponents = [grid.exponent for grid in self.source_grids]
        if self.join is Join.MULTIPLY:
            return sum(exponents)
        return min(exponents) - (len(exponents).bit_length() - 1 if self.join is Join.AVERAGE else 0)

    @cached_property
    def grid(self) -> Grid:
        """Where the results lie."""
        ends = self._shifted_ends()
        lows, highs = [low for low, _ in ends], [high for _, high in ends]
        match self.join:
            case Join.ADD | Join.AVERAGE:
                lowest, highest = sum(lows), sum(highs)
            case Join.SUBTRACT:
                lowest, highest = lows[0] - highs[1], highs[0] - lows[1]
            case Join.MULTIPLY:
                lowest, highest = reduce(_products, ends)
            case Join.MAXIMUM:
                lowest, highest = max(lows), max(highs)
            case Join.MINIMUM:
                lowest, highest = min(lows), min(highs)
            case Join.CONCATENATE:
                lowest, highest = min(lows), max(highs)
        return Grid(self.exponent, lowest, highest)

    @cached_property
    def accumulator(self) -> Grid:
        """Where the results and everything on the way to them lie."""
        ends = self._shifted_ends()
        if self.join is Join.MULTIPLY:
            largest = reduce(lambda one, other: one * other, (max(-low, high, 1) for low, high in ends))
            return Grid(self.exponent, -largest, largest)
        parts = [
            (-high, -low) if self.join is Join.SUBTRACT and number else (low, high)
            for number, (low, high) in enumerate(ends)
        ]
        lows, highs = [min(low, 0) for low, _ in parts], [max(high, 0) for _, high in parts]
        return Grid(self.exponent, min(sum(lows), self.grid.lowest), max(sum(highs), self.grid.highest))

    def check(self) -> None:
        """Raise IntegerError for a count without a shift, or if a 64-bit word cannot hold what is computed."""
        count = len(self.sources)
        if self.join is Join.AVERAGE and count & (count - 1):
            raise IntegerError(f"averages must be of a power of two many to be exact, but {self.layer!r} is of {count}")
        if max(self.shifts) > MOST_BITS:
            raise IntegerError(f"inputs of {self.layer} must fit {MOST_BITS} bits, but need {max(self.shifts)} more")
        self.accumulator.require_word(f"results of {self.layer}")

    def __call__(self, *codes: Integers) -> Integers:
        """(n, *source_shapes[i]) codes each → (n, *shape) codes."""
        parts = [
            part.reshape(-1, *shape) << shift
            for part, shape, shift in zip(codes, self.source_shapes, self.shifts, strict=True)
        ]
        match self.join:
            case Join.ADD | Join.AVERAGE:
                return np.asarray(reduce(np.add, parts))
            case Join.SUBTRACT:
                return np.asarray(parts[0] - parts[1])
            case Join.MULTIPLY:
                return np.asarray(reduce(np.multiply, parts))
            case Join.MAXIMUM:
                return np.asarray(reduce(np.maximum, parts))
            case Join.MINIMUM:
                return np.asarray(reduce(np.minimum, parts))
            case Join.CONCATENATE:
                return np.concatenate(parts, 1 + self.axis)

    def _shifted_ends(self) -> list[tuple[int, int]]:
        shifted = zip(self.source_grids, self.shifts, strict=True)
        return [(grid.lowest << shift, grid.highest << shift) for grid, shift in shifted]


def _products(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    corners = [left * right for left, right in product(one, other)]
    return min(corners), max(corners)
