"""Integers that stand for numbers, and their rounding: the ground of the integer semantics.

docs/integer-semantics.md defines every operation; the C code of an export does the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wordlength.arrays import DoubleArray
from wordlength.errors import IntegerError
from wordlength.space.formats import Rounding

Integers = npt.NDArray[np.int64]
WORD_BITS = (8, 16, 32, 64)
"""Widths of C's integers."""
MOST_BITS = 63
"""A 64-bit word, with one bit to spare for the rounding."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The whole numbers k from `lowest` to `highest`; k stands for k · 2^exponent."""

    exponent: int
    lowest: int
    highest: int

    @property
    def signed(self) -> bool:
        """Whether it holds negative numbers."""
        return self.lowest < 0

    @property
    def bits(self) -> int:
        """Width that holds every number, sign included: two's complement if signed."""
        return bits_between(self.lowest, self.highest)

    @property
    def word_bits(self) -> int:
        """Width of the smallest C integer that holds every number: 8, 16, 32 or 64; unsigned unless `signed`."""
        return next(word for word in WORD_BITS if self.bits <= word)

    @property
    def q_format(self) -> str:
        """As DSP engineers write it, "Q2.13": integer and fraction bits without the sign; "UQ" if unsigned."""
        integer_bits = self.bits - int(self.signed) + self.exponent
        return f"{'' if self.signed else 'U'}Q{integer_bits}.{-self.exponent}"

    def to_float(self, codes: Integers) -> DoubleArray:
        """The numbers that the codes stand for."""
        return np.ldexp(codes.astype(np.float64), self.exponent)

    def require_word(self, place: str) -> None:
        """Raise IntegerError, naming `place`, if no 64-bit word holds it."""
        if (bits := bits_between(min(self.lowest, 0) - 1, self.highest)) > MOST_BITS:
            raise IntegerError(f"{place} must fit {MOST_BITS} bits, but need {bits}")


def bits_between(lowest: int, highest: int) -> int:
    """Width in bits that holds all whole numbers between the two: two's complement if one is negative."""
    if lowest >= 0:
        return max(highest.bit_length(), 1)
    return max(highest.bit_length(), (-lowest - 1).bit_length()) + 1


def rescale(codes: Integers, places: int, rounding: Rounding = Rounding.HALF_EVEN) -> Integers:
    """codes · 2^−places, rounded; exact where `places` is negative. The caller knows that the result fits.

    Shifting right rounds downwards; what was shifted out then decides whether one is added.
    """
    if places <= 0:
        return codes << -places
    if places > MOST_BITS:
        # Less than half a step away from 0: only rounding downwards sees the sign.
        return np.where(codes < 0, -1, 0) if rounding is Rounding.FLOOR else np.zeros_like(codes)
    quotient = codes >> places
    if rounding is Rounding.FLOOR:
        return quotient
    rest, half = codes - (quotient << places), 1 << (places - 1)
    up = rest >= half
    if rounding is Rounding.HALF_EVEN:
        up &= (rest > half) | (quotient & 1 == 1)
    return quotient + up
