"""Power of two: a sign and an exponent, so that a multiplication is a shift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wordlength.arrays import FloatArray
from wordlength.errors import FormatError
from wordlength.space.formats.base import (
    MAX_POSITION,
    NO_SHIFTS,
    CodeNumbers,
    Encoded,
    Format,
    checked,
    require_int,
)

MAX_PO2_BITS = 16
MIN_NORMAL_EXPONENT = -126
"""The smallest exponent float32 holds at full precision; no `po2` value goes below it."""
SQRT2_FRACTION = 0x3504F3
"""Fraction bits of the largest float32 below the square root of two: where log2 rounding turns."""


@dataclass(frozen=True)
class PowerOfTwo(Format):
    """±2^n with n from max_exponent − 2^(bits−1) + 1 to max_exponent: one sign bit, the rest exponent.

    Rounds log2|x| to nearest, which turns at √2 · 2^n; saturates at both ends. Without `zero` there is no
    zero, and 0 becomes the smallest positive value. With it the lowest exponent code means zero instead
    of a power, so the powers begin one higher, and magnitudes up to half the smallest become zero.
    Exponents stop at −126, the last normal float32, however many bits there are. Gradient in training: 1
    for parameters; for activations 1 inside [lowest, highest] and 0 outside.

    Raises FormatError if `bits` is not 1…16 (2…16 with zero) or `max_exponent` not −32…32.
    """

    bits: int
    max_exponent: int
    zero: bool = False

    kind: ClassVar[str] = "po2"

    def __post_init__(self) -> None:
        require_int("bits", self.bits, 1, MAX_PO2_BITS, self.kind)
        require_int("max_exponent", self.max_exponent, -MAX_POSITION, MAX_POSITION, self.kind)
        if not isinstance(self.zero, bool):
            raise FormatError(f"po2 zero must be True or False, but got {self.zero!r}")
        if self.zero and self.bits < 2:
            raise FormatError("po2 bits must be at least 2 to have a zero, but got 1")

    @property
    def width_bits(self) -> int:
        return self.bits

    @property
    def first_exponent(self) -> int:
        """The exponent of code 0, were it a power."""
        return self.max_exponent - int(2 ** (self.bits - 1)) + 1

    @property
    def min_exponent(self) -> int:
        """Smallest exponent the bits reach."""
        return max(self.first_exponent + int(self.zero), MIN_NORMAL_EXPONENT)

    @property
    def lowest(self) -> float:
        return -self.highest

    @property
    def highest(self) -> float:
        return float(2.0**self.max_exponent)

    @property
    def smallest_magnitude(self) -> float:
        return float(2.0**self.min_exponent)

    def round(self, values: npt.ArrayLike, place: object = "") -> FloatArray:
        negative, exponents, zeros = self._parts(checked(values, place))
        return _values(negative, exponents, zeros)

    def encode(self, values: npt.ArrayLike, place: object = "") -> Encoded:
        negative, exponents, zeros = self._parts(checked(values, place))
        codes = (negative.astype(np.uint32) << (self.bits - 1)) | (exponents - self.first_exponent).astype(np.uint32)
        return Encoded(np.asarray(np.where(zeros, 0, codes), np.uint32), NO_SHIFTS)

    def numbers(self, encoded: Encoded) -> tuple[CodeNumbers, CodeNumbers]:
        fields = (encoded.codes & np.uint32(2 ** (self.bits - 1) - 1)).astype(np.int64)
        signs = np.where((encoded.codes >> (self.bits - 1)) == 1, -1, 1)
        return np.where((fields == 0) & self.zero, 0, signs), fields + self.first_exponent

    def _parts(self, x: FloatArray) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        # Adding (2^23 − fraction of √2) carries into the exponent exactly when |x| lies above √2 · 2^n.
        pattern = x.view(np.int32)
        magnitude = (pattern & np.int32(0x7FFFFFFF)).astype(np.int64)
        exponents = ((magnitude + (0x800000 - 1 - SQRT2_FRACTION)) >> 23) - 127
        zeros = (np.abs(x) <= np.float32(self.smallest_magnitude / 2)) & self.zero
        return (pattern < 0) & (magnitude != 0), np.clip(exponents, self.min_exponent, self.max_exponent), zeros

    def __str__(self) -> str:
        return f"po2<{self.bits},{self.max_exponent}{',zero' if self.zero else ''}>"


def _values(
    negative: npt.NDArray[np.bool_], exponents: npt.NDArray[np.int64], zeros: npt.NDArray[np.bool_]
) -> FloatArray:
    power = np.ldexp(1.0, exponents)
    return np.asarray(np.where(zeros, 0.0, np.where(negative, -power, power)), np.float32)
