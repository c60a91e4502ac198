"""Activation functions on integers: clipping, and a table for the curved ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wordlength.objectives.integer.grid import Grid, Integers, rescale

MOST_FRACTION_BITS = 16
"""Outputs finer than this get the table of this one."""
_GUARD_BITS = 4
"""What the table may be wrong by lies so many binary places below the output's step, in each of three ways."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Cut to [lowest, highest]: the identity, relu, relu6 and their like."""

    lowest: float = -math.inf
    highest: float = math.inf


@dataclass(frozen=True, slots=True)
class Fire:
    """1 above zero, else 0: what a `binary` output has in place of its function."""


@dataclass(frozen=True, slots=True)
class _Curve:
    """A function whose negative half follows from its positive one: f(−x) = mirror − f(x)."""

    of: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
    mirror: int
    curvature: float
    """Largest |f''|."""
    slope: float
    """Largest |f'|."""
    decay: float
    """f(x) reaches 1 as fast as exp(−decay · x)."""
    lowest: float


_CURVES = {
    "sigmoid": _Curve(lambda x: 1 / (1 + np.exp(-x)), 1, 1 / (6 * math.sqrt(3)), 1 / 4, 1.0, 0.0),
    "tanh": _Curve(np.tanh, 0, 4 / (3 * math.sqrt(3)), 1.0, 2.0, -1.0),
}
CURVES = tuple(_CURVES)


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
    def _curve(self) -> _Curve:
        return _CURVES[self.name]

    @cached_property
    def _spacing_bits(self) -> int:
        # An interpolated curve lies off by at most spacing² / 8 · |f''|.
        error = 2.0 ** -(self.fraction_bits + _GUARD_BITS)
        return max(0, math.ceil(-math.log2(math.sqrt(8 * error / self._curve.curvature))))

    @property
    def entry_bits(self) -> int:
        """Binary places of an entry."""
        return self.fraction_bits + _GUARD_BITS

    @property
    def argument_bits(self) -> int:
        """Binary places of the argument."""
        steeper = math.ceil(math.log2(self._curve.slope))
        return max(self.fraction_bits + _GUARD_BITS + steeper, self._spacing_bits)

    @property
    def weight_bits(self) -> int:
        """Binary places of the weight between two entries."""
        return self.argument_bits - self._spacing_bits

    @cached_property
    def entries(self) -> Integers:
        """(n,) values at 0, 2^−spacing, …, each the nearest whole number of 2^−entry_bits."""
        # Beyond the last entry the function is as good as 1.
        reach = math.ceil((self.entry_bits + 1) * math.log(2) / self._curve.decay)
        places = np.arange(reach * 2**self._spacing_bits + 1) / 2**self._spacing_bits
        return np.asarray(np.rint(self._curve.of(places) * 2**self.entry_bits), np.int64)

    @property
    def largest_argument(self) -> int:
        """The last magnitude between two entries, in steps of 2^−argument_bits."""
        return int((len(self.entries) - 1) << self.weight_bits) - 1

    @property
    def mirror(self) -> int:
        """What f(x) + f(−x) is, in steps of the result."""
        return self._curve.mirror << (self.entry_bits + self.weight_bits)

    @property
    def lowest(self) -> float:
        """The function's limit at −∞; the one at ∞ is 1."""
        return self._curve.lowest

    @property
    def result(self) -> Grid:
        """Where the results lie, before they are rounded to the output."""
        one = int(self.entries[-1]) << self.weight_bits
        return Grid(-(self.entry_bits + self.weight_bits), self.mirror - one, one)

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
        return np.asarray(np.where(argument < 0, self.mirror - value, value), np.int64)

    @cached_property
    def error(self) -> float:
        """Largest distance from the function: over every argument that the table tells apart, and their rounding."""
        argument = np.arange(self.largest_argument + 1)
        exact = self._curve.of(argument / 2**self.argument_bits)
        off = np.abs(self.result.to_float(self(argument, -self.argument_bits)) - exact)
        beyond = 1 - float(self.result.to_float(np.array(self.result.highest)))
        return max(float(off.max()), beyond) + self._curve.slope * 2.0 ** -(self.argument_bits + 1)


Function = Clip | Fire | Table
