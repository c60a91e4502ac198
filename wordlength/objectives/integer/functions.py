"""Activation functions on integers: clipping, straight lines, and tables for the curved ones.

Each takes codes of a grid (`of`) to codes of another (`on`), and has limits (`ends`), to which the rounded output is
cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from wordlength.objectives.integer.curves import CURVES, LOWEST, ONE_SIDED, REMAINDERS, Curve
from wordlength.objectives.integer.grid import Grid, Integers, rescale

MOST_FRACTION_BITS = 16
"""Outputs finer than this get the table of this one."""
GUARD_BITS = 4
"""What the table may be wrong by lies so many binary places below the output's step, in each of three ways."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Cut to [lowest, highest]: the identity, relu, relu6 and their like. The cut itself comes after the rounding."""

    lowest: float = -math.inf
    highest: float = math.inf

    @property
    def ends(self) -> tuple[float, float]:
        """The function's limits."""
        return self.lowest, self.highest

    def on(self, grid: Grid) -> Grid:
        """Where the results lie."""
        return grid

    def of(self, codes: Integers, grid: Grid) -> Integers:
        """Codes of the grid, any shape → results."""
        return codes


@dataclass(frozen=True, slots=True)
class Fire:
    """1 above zero, else 0: what a `binary` output has in place of its function."""

    @property
    def ends(self) -> tuple[float, float]:
        """The function's limits."""
        return 0.0, 1.0

    def on(self, grid: Grid) -> Grid:
        """Where the results lie."""
        return Grid(0, 0, 1)

    def of(self, codes: Integers, grid: Grid) -> Integers:
        """Codes of the grid, any shape → results."""
        return (codes > 0).astype(np.int64)


@dataclass(frozen=True)
class Line:
    """x · above (x ≥ 0) or x · below (x < 0), plus an offset, then cut: leaky relu and hard sigmoid.

    The slopes are float32 numbers of at least 0, hence whole numbers times powers of two: nothing is rounded.
    """

    below: float
    above: float = 1.0
    offset: float = 0.0
    lowest: float = -math.inf
    highest: float = math.inf

    @property
    def ends(self) -> tuple[float, float]:
        """The function's limits."""
        return self.lowest, self.highest

    def exponent(self, grid: Grid) -> int:
        """Exponent of the result's last bit."""
        places = [grid.exponent + exponent for number, exponent in map(significand, (self.below, self.above)) if number]
        return min([*places, *([significand(self.offset)[1]] if self.offset else [])], default=grid.exponent)

    def factors(self, grid: Grid) -> tuple[int, int, int]:
        """By what codes below and above 0 are multiplied, and what is added: whole numbers of the result's last bit."""
        exponent = self.exponent(grid)
        below, above = (_whole(slope, exponent - grid.exponent) for slope in (self.below, self.above))
        return below, above, _whole(self.offset, exponent)

    def on(self, grid: Grid) -> Grid:
        """Where the results lie."""
        below, above, offset = self.factors(grid)
        lowest, highest = (code * (below if code < 0 else above) + offset for code in (grid.lowest, grid.highest))
        return Grid(self.exponent(grid), lowest, highest)

    def of(self, codes: Integers, grid: Grid) -> Integers:
        """Codes of the grid, any shape → results."""
        below, above, offset = self.factors(grid)
        return np.asarray(codes * np.where(codes < 0, below, above) + offset, np.int64)


@dataclass(frozen=True)
class Table:
    """A curved function by linear interpolation between equally spaced entries, for x ≥ 0; below by symmetry.

    Its argument is rounded (half even) to `argument_bits` binary places and its magnitude cut to what the table covers.
    The upper places choose the entry, the lower `weight_bits` weigh it against the next one. The result has
    `entry_bits` + `weight_bits` binary places: nothing is lost between the entries and the rounding to the output.

    `fraction_bits`: those of the output (at most 16 count): the fewer, the shorter the table.
    """

    name: str
    fraction_bits: int

    @property
    def _curve(self) -> Curve:
        return CURVES[self.name] if self.name in CURVES else REMAINDERS[self.name]

    @cached_property
    def _spacing_bits(self) -> int:
        # An interpolated curve lies off by at most spacing² / 8 · |f''|.
        error = 2.0 ** -(self.fraction_bits + GUARD_BITS)
        return max(0, math.ceil(-math.log2(math.sqrt(8 * error / self._curve.curvature))))

    @property
    def entry_bits(self) -> int:
        """Binary places of an entry."""
        return self.fraction_bits + GUARD_BITS

    @property
    def argument_bits(self) -> int:
        """Binary places of the argument."""
        steeper = math.ceil(math.log2(self._curve.slope))
        return max(self.fraction_bits + GUARD_BITS + steeper, self._spacing_bits)

    @property
    def weight_bits(self) -> int:
        """Binary places of the weight between two entries."""
        return self.argument_bits - self._spacing_bits

    @cached_property
    def entries(self) -> Integers:
        """(n,) values at 0, 2^−spacing, …, each the nearest whole number of 2^−entry_bits."""
        # Beyond the last entry the function is as good as its limit.
        reach = self._curve.reach(self.entry_bits)
        places = np.arange(reach * 2**self._spacing_bits + 1) / 2**self._spacing_bits
        return np.asarray(np.rint(self._curve.of(places) * 2**self.entry_bits), np.int64)

    @property
    def largest_argument(self) -> int:
        """The last magnitude between two entries, in steps of 2^−argument_bits."""
        return int((len(self.entries) - 1) << self.weight_bits) - 1

    @property
    def even(self) -> bool:
        """Whether f(−x) is f(x)."""
        return self._curve.mirror is None

    @property
    def mirror(self) -> int:
        """What f(x) + f(−x) is, in steps of the result; 0 if it is even."""
        return (self._curve.mirror or 0) << (self.entry_bits + self.weight_bits)

    @property
    def lowest(self) -> float:
        """The function's limit at −∞; the one at ∞ is 1."""
        return self.ends[0]

    @property
    def ends(self) -> tuple[float, float]:
        """The function's limits."""
        curve = self._curve
        return (curve.limit if curve.mirror is None else curve.mirror - curve.limit), curve.limit

    @property
    def result(self) -> Grid:
        """Where the results lie, before they are rounded to the output."""
        low, high = (int(end) << self.weight_bits for end in (self.entries.min(), self.entries.max()))
        exponent = -(self.entry_bits + self.weight_bits)
        return Grid(exponent, low, high) if self.even else Grid(exponent, self.mirror - high, high)

    def on(self, grid: Grid) -> Grid:
        """Where the results lie."""
        return self.result

    def of(self, codes: Integers, grid: Grid) -> Integers:
        """Codes of the grid, any shape → results."""
        return self(codes, grid.exponent)

    def cut(self, shift: int) -> tuple[int, int]:
        """To what codes are cut before they are shifted left, and how far: beyond, the argument is off the table."""
        shift = min(shift, self.largest_argument.bit_length())
        return (self.largest_argument >> shift) + 1, shift

    def __call__(self, codes: Integers, exponent: int) -> Integers:
        """codes · 2^exponent, any shape → the function, in steps of `result`."""
        places = -self.argument_bits - exponent
        if places < 0:
            end, shift = self.cut(-places)
            codes, places = np.clip(codes, -end, end), -shift
        argument = rescale(codes, places)
        magnitude = np.minimum(np.abs(argument), self.largest_argument)
        entry, weight = magnitude >> self.weight_bits, magnitude & ((1 << self.weight_bits) - 1)
        value = self.entries[entry] * ((1 << self.weight_bits) - weight) + self.entries[entry + 1] * weight
        return value if self.even else np.asarray(np.where(argument < 0, self.mirror - value, value), np.int64)

    @cached_property
    def error(self) -> float:
        """Largest distance from the function: over every argument that the table tells apart, and their rounding."""
        argument = np.arange(self.largest_argument + 1)
        exact = self._curve.of(argument / 2**self.argument_bits)
        found = self.result.to_float(self(argument, -self.argument_bits))
        beyond = abs(self._curve.limit - float(found[-1]))
        return max(float(np.abs(found - exact).max()), beyond) + self._curve.slope * 2.0 ** -(self.argument_bits + 1)


@dataclass(frozen=True)
class Ramp:
    """max(x, 0), exact, plus a tabled function of |x|: silu, gelu, softplus, elu. See `Table`."""

    name: str
    fraction_bits: int

    @cached_property
    def table(self) -> Table:
        """What is added to max(x, 0)."""
        return Table(self.name, self.fraction_bits)

    @property
    def one_sided(self) -> bool:
        """Whether nothing is added for x ≥ 0."""
        return self.name in ONE_SIDED

    @property
    def ends(self) -> tuple[float, float]:
        """The function's limits."""
        return LOWEST[self.name], math.inf

    def shifts(self, grid: Grid) -> tuple[int, int]:
        """How far x and the table's result are shifted left to their common last bit."""
        exponent = min(grid.exponent, self.table.result.exponent)
        return grid.exponent - exponent, self.table.result.exponent - exponent

    def on(self, grid: Grid) -> Grid:
        """Where the results lie."""
        linear, tabled = self.shifts(grid)
        ends = self.table.result
        lowest, highest = min(ends.lowest, 0) << tabled, max(ends.highest, 0) << tabled
        return Grid(grid.exponent - linear, lowest, (max(grid.highest, 0) << linear) + highest)

    def of(self, codes: Integers, grid: Grid) -> Integers:
        """Codes of the grid, any shape → results."""
        linear, tabled = self.shifts(grid)
        added = self.table(codes, grid.exponent) << tabled
        if self.one_sided:
            added = np.where(codes < 0, added, 0)
        return np.asarray((np.maximum(codes, 0) << linear) + added, np.int64)


Function = Clip | Fire | Line | Table | Ramp


def significand(value: float) -> tuple[int, int]:
    """A float32 number as an odd whole number (or 0) and the exponent of two that it is multiplied by."""
    if not (exact := Fraction(float(np.float32(value)))):
        return 0, 0
    twos = (exact.numerator & -exact.numerator).bit_length() - 1
    return exact.numerator >> twos, twos - (exact.denominator.bit_length() - 1)


def _whole(value: float, exponent: int) -> int:
    number, own = significand(value)
    return number << (own - exponent) if number else 0
