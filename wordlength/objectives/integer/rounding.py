"""What follows a sum: the activation function, and the rounding to the output's format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wordlength.errors import IntegerError
from wordlength.objectives.integer.functions import Clip, Fire, Function, Line
from wordlength.objectives.integer.grid import MOST_BITS, Grid, Integers, rescale
from wordlength.objectives.integer.sums import Shape
from wordlength.space import Binary, Fixed, Format, Overflow, PowerOfTwo
from wordlength.space.formats import EXACT_BITS

MOST_POWERS = 31


@dataclass(frozen=True, eq=False)
class Round:
    """Function and format of one ACTIVATIONS slot: codes of the input's grid → codes of the output's."""

    layer: str
    function: Function
    format: Format
    source: int
    source_grid: Grid
    shape: Shape

    @property
    def sources(self) -> tuple[int, ...]:
        """The steps that it reads."""
        return (self.source,)

    @cached_property
    def exponent(self) -> int:
        """Exponent of the output's last bit."""
        match self.format:
            case Fixed() as fmt:
                return int(fmt.step_exponents[0])
            case PowerOfTwo() as fmt:
                return fmt.min_exponent
        return 0

    @cached_property
    def grid(self) -> Grid:
        """Where the outputs lie: the format's values between what the function can give."""
        fmt = self.format
        if isinstance(fmt, Binary):
            return Grid(0, 0, 1)
        if isinstance(fmt, Fixed) and fmt.overflow is Overflow.WRAP:
            return Grid(self.exponent, fmt.lowest_code, fmt.highest_code)
        lowest, highest = (int(math.ldexp(float(end), -self.exponent)) for end in fmt.round(self.function.ends))
        return Grid(self.exponent, lowest, highest)

    @property
    def rounded_from(self) -> Grid:
        """The grid of what is rounded: the function's result."""
        return self.function.on(self.source_grid)

    @property
    def places(self) -> int:
        """How many binary places the rounding to fixed point drops; negative if it adds some."""
        return self.exponent - self.rounded_from.exponent

    @cached_property
    def turns(self) -> Integers:
        """(powers − 1,) of a po2 output: magnitudes in the input's steps above which the next power is nearer.

        They are √2 · 2^n, rounded down: no whole number lies on one.
        """
        fmt = self.format
        assert isinstance(fmt, PowerOfTwo)
        # √2 · 2^n as the root of 2^(2n + 1); what lies below one step counts as 0.
        powers = [2 * (n - self.rounded_from.exponent) + 1 for n in range(fmt.min_exponent, fmt.max_exponent)]
        return np.array([math.isqrt(2**power) if power >= 0 else 0 for power in powers], np.int64)

    @property
    def zero_up_to(self) -> int:
        """Of a po2 output with zero: the largest magnitude that becomes zero, in the input's steps; −1 without zero."""
        fmt = self.format
        assert isinstance(fmt, PowerOfTwo)
        places = fmt.min_exponent - 1 - self.rounded_from.exponent
        return -1 if not fmt.zero else 2**places if places >= 0 else 0

    def check(self) -> None:
        """Raise IntegerError for a format that integers cannot compute as training did."""
        match self.format:
            case Binary():
                return
            case Fixed(bits=bits) as fmt if bits <= EXACT_BITS:  # Wider ones hold what training in float32 never saw.
                self.rounded_from.require_word(f"outputs of {self.layer}")
                source, left = self.rounded_from, max(0, -self.places)
                if left > MOST_BITS - 1:
                    raise IntegerError(f"outputs of {self.layer} must fit {MOST_BITS} bits, but need {left + 1}")
                shifted = Grid(self.exponent, source.lowest << left, source.highest << left)
                shifted.require_word(f"outputs of {self.layer}")
                ends = isinstance(self.function, Clip | Line) and math.isfinite(self.function.highest)
                if fmt.overflow is Overflow.WRAP and ends:
                    raise IntegerError(
                        f"outputs of {self.layer} must saturate, because their function is cut above, but {fmt} wraps"
                    )
            case PowerOfTwo() as fmt:
                self.rounded_from.require_word(f"outputs of {self.layer}")
                powers = fmt.max_exponent - fmt.min_exponent + 1
                if powers > MOST_POWERS:
                    raise IntegerError(
                        f"outputs of {self.layer} must be at most {MOST_POWERS} powers of two, but {fmt} has {powers}"
                    )
                span = fmt.max_exponent - self.rounded_from.exponent
                if span > MOST_BITS - 2:
                    raise IntegerError(f"outputs of {self.layer} must fit {MOST_BITS} bits, but {fmt} needs {span + 2}")
            case fmt:
                raise IntegerError(
                    f"outputs of {self.layer} must be fixed of at most {EXACT_BITS} bits, po2 or binary "
                    f"to be computed with integers, but are {fmt}"
                )

    def __call__(self, codes: Integers) -> Integers:
        """Any shape → the same shape."""
        if isinstance(self.function, Fire):
            return (codes > 0).astype(np.int64)
        codes = self.function.of(codes, self.source_grid)
        if isinstance(self.format, PowerOfTwo):
            rounded = self._power(codes)
        else:
            assert isinstance(self.format, Fixed)
            if self.format.overflow is Overflow.WRAP:
                return self._wrapped(codes, self.format)
            rounded = rescale(codes, self.places, self.format.rounding)
        # Rounding never turns an order around: cutting the rounded is rounding the cut, relu included.
        return np.clip(rounded, self.grid.lowest, self.grid.highest)

    def _power(self, codes: Integers) -> Integers:
        magnitude = np.abs(codes)
        power = np.int64(1) << np.searchsorted(self.turns, magnitude, side="left")
        return np.where(magnitude <= self.zero_up_to, 0, np.where(codes < 0, -power, power))

    def _wrapped(self, codes: Integers, fmt: Fixed) -> Integers:
        if isinstance(self.function, Clip) and self.function.lowest == 0:
            codes = np.maximum(codes, 0)
        lowest_bits = rescale(codes, self.places, fmt.rounding) & (2**fmt.bits - 1)
        return np.asarray(np.where(lowest_bits > fmt.highest_code, lowest_bits - 2**fmt.bits, lowest_bits), np.int64)
