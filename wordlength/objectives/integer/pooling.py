"""Pooling: averages without a rounding where the window is a power of two, and maxima."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wordlength.objectives.integer.grid import Grid, Integers
from wordlength.objectives.integer.sums import Geometry, Shape

GUARD_BITS = 8
"""Binary places that an average gains where its divisor is no power of two."""


@dataclass(frozen=True, eq=False)
class Pool:
    """The average or the maximum of every window of a channel; what padding adds takes no part in it.

    An average over 2^k values everywhere is their sum with an exponent lower by k: exact. Any other is the sum times
    2^8, divided by the number of values, rounded half even.
    """

    layer: str
    average: bool
    geometry: Geometry
    source: int
    source_grid: Grid
    source_shape: Shape
    shape: Shape

    @property
    def sources(self) -> tuple[int, ...]:
        """The steps that it reads."""
        return (self.source,)

    @cached_property
    def counts(self) -> Integers:
        """(height, width) of the output: how many values each window holds."""
        along = []
        for axis in range(2):
            met = np.zeros(self.shape[axis], np.int64)
            for tap in range(self.geometry.kernel[axis]):
                met[self.geometry.meets(tap, axis, self.source_shape[axis], self.shape[axis])[0]] += 1
            along.append(met)
        return np.outer(*along)

    @property
    def exact(self) -> bool:
        """Whether nothing is rounded."""
        count = int(self.counts.flat[0])
        return not self.average or (count & (count - 1) == 0 and bool((self.counts == count).all()))

    @property
    def exponent(self) -> int:
        """Exponent of the result's last bit."""
        gained = int(self.counts.flat[0]).bit_length() - 1 if self.exact else GUARD_BITS
        return self.source_grid.exponent - (gained if self.average else 0)

    @cached_property
    def grid(self) -> Grid:
        """Where the results lie."""
        shift = self.source_grid.exponent - self.exponent
        return Grid(self.exponent, self.source_grid.lowest << shift, self.source_grid.highest << shift)

    @property
    def accumulator(self) -> Grid:
        """Where the sums lie, shifted before they are divided."""
        most = int(self.counts.max()) << (0 if self.exact else GUARD_BITS)
        source = self.source_grid
        if not self.average:
            return source
        return Grid(self.exponent, min(source.lowest, 0) * most, max(source.highest, 0) * most)

    def check(self) -> None:
        """Raise IntegerError if a 64-bit word cannot hold what is computed."""
        self.accumulator.require_word(f"sums of {self.layer}")

    def __call__(self, codes: Integers) -> Integers:
        """(n, *source_shape) codes → (n, *shape) codes."""
        codes = codes.reshape(-1, *self.source_shape)
        start = 0 if self.average else -(2**62)
        total = np.full((len(codes), *self.shape), start, np.int64)
        for row, column in self.geometry.taps():
            to_rows, rows = self.geometry.meets(row, 0, self.source_shape[0], self.shape[0])
            to_columns, columns = self.geometry.meets(column, 1, self.source_shape[1], self.shape[1])
            place, met = total[:, to_rows, to_columns], codes[:, rows, columns]
            np.copyto(place, place + met if self.average else np.maximum(place, met))
        return total if self.exact else _divided(total << GUARD_BITS, self.counts[..., None])


def _divided(numbers: Integers, divisors: Integers) -> Integers:
    """Quotients, rounded half even."""
    quotient = np.floor_divide(numbers, divisors)
    twice = 2 * (numbers - quotient * divisors)
    return np.asarray(quotient + ((twice > divisors) | ((twice == divisors) & (quotient & 1 == 1))), np.int64)
