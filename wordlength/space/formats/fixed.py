"""Fixed point: multiples of one step, in one position for the tensor or one for each output channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wordlength.arrays import FloatArray
from wordlength.errors import FormatError
from wordlength.space.formats.base import (
    EXACT_BITS,
    MAX_POSITION,
    NO_SHIFTS,
    CodeArray,
    CodeNumbers,
    Encoded,
    Format,
    checked,
    from_numbers,
    require_int,
)

MAX_FIXED_BITS = 32
MAX_WRAP_BITS = EXACT_BITS
"""Wrapping needs every code to be a float32."""
CHANNEL_POSITION_BITS = 6
"""Bits that store one channel's position, −32…31."""


class Rounding(StrEnum):
    """How a value between two codes is rounded."""

    HALF_EVEN = "half_even"
    """To nearest, ties to the even code (ap_fixed's RND_CONV)."""
    HALF_UP = "half_up"
    """To nearest, ties upwards (RND): add half a step, cut off."""
    FLOOR = "floor"
    """Downwards (TRN): cut off."""


class Overflow(StrEnum):
    """What becomes of a value beyond the ends."""

    SATURATE = "saturate"
    """The end itself (ap_fixed's SAT)."""
    WRAP = "wrap"
    """Its lowest bits, as two's complement does without further ado (WRAP)."""


@dataclass(frozen=True)
class Fixed(Format):
    """Two's-complement fixed point: k · 2^(integer_bits − bits + s), s = 1 if signed.

    Negative `integer_bits` put all values below 1. A tuple gives every output channel its own, in the
    order of the slot's tensors; each then counts 6 stored bits. Rounds first, then saturates or wraps;
    ±∞ wraps to 0, as every large power of two does. Gradient in training: 1 for parameters; for
    activations 1 inside [lowest, highest] and 0 outside, or 1 everywhere if they wrap.

    Raises FormatError if `bits` is not 1…32 (24 to wrap) or `integer_bits` not −32…32 (31 per channel).
    """

    bits: int
    integer_bits: int | tuple[int, ...]
    signed: bool = True
    rounding: Rounding = Rounding.HALF_EVEN
    overflow: Overflow = Overflow.SATURATE

    kind: ClassVar[str] = "fixed"

    def __post_init__(self) -> None:
        require_int("bits", self.bits, 1, MAX_FIXED_BITS, self.kind)
        if isinstance(self.integer_bits, tuple):
            if len(self.integer_bits) < 2:
                raise FormatError(f"fixed integer_bits per channel must be 2 or more, but got {self.integer_bits}")
            for position in self.integer_bits:
                require_int("integer_bits of a channel", position, -MAX_POSITION, MAX_POSITION - 1, self.kind)
        else:
            require_int("integer_bits", self.integer_bits, -MAX_POSITION, MAX_POSITION, self.kind)
        if not isinstance(self.signed, bool):
            raise FormatError(f"fixed signed must be True or False, but got {self.signed!r}")
        for name, kind in (("rounding", Rounding), ("overflow", Overflow)):
            value = getattr(self, name)
            if value not in tuple(kind):
                raise FormatError(f"fixed {name} must be one of {', '.join(kind)}, but got {value!r}")
            object.__setattr__(self, name, kind(value))
        if self.overflow is Overflow.WRAP and self.bits > MAX_WRAP_BITS:
            raise FormatError(f"fixed bits must be at most {MAX_WRAP_BITS} to wrap, but got {self.bits}")

    @property
    def width_bits(self) -> int:
        return self.bits

    @property
    def per_channel(self) -> bool:
        """Whether every output channel has integer bits of its own."""
        return isinstance(self.integer_bits, tuple)

    @property
    def positions(self) -> tuple[int, ...]:
        """Integer bits of every channel, or of the whole tensor: one element."""
        return self.integer_bits if isinstance(self.integer_bits, tuple) else (self.integer_bits,)

    @property
    def unfit_for_activations(self) -> str:  # type: ignore[override]
        return "integer bits per channel are for weights and biases; give one number" if self.per_channel else ""

    @cached_property
    def step_exponents(self) -> npt.NDArray[np.int32]:
        """log2 of the distance between neighbours, (1,) or (channels,)."""
        return np.array(self.positions, np.int32) - (self.bits - int(self.signed))

    @property
    def step(self) -> float:
        """Distance between neighbouring values; the smallest of all channels."""
        return float(2.0 ** int(self.step_exponents.min()))

    @property
    def lowest_code(self) -> int:
        """Integer code of `lowest`."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def highest_code(self) -> int:
        """Integer code of `highest`."""
        return int(2 ** (self.bits - int(self.signed))) - 1

    @property
    def lowest(self) -> float:
        return self.lowest_code * float(2.0 ** int(self.step_exponents.max()))

    @property
    def highest(self) -> float:
        return self.highest_code * float(2.0 ** int(self.step_exponents.max()))

    @property
    def smallest_magnitude(self) -> float:
        return self.step

    @cached_property
    def highest_code_float32(self) -> float:
        """Largest code that float32 holds: equals `highest_code` up to 25 bits (24 unsigned)."""
        return largest_float32_code(self.highest_code)

    def limits(self, values: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        steps = np.ldexp(1.0, self._exponents(np.shape(values)))
        return (self.lowest_code * steps).astype(np.float32), (self.highest_code_float32 * steps).astype(np.float32)

    def round(self, values: npt.ArrayLike, place: object = "") -> FloatArray:
        exponents = self._exponents(np.shape(values))
        return from_numbers(self._codes(checked(values, place), exponents), exponents)

    def encode(self, values: npt.ArrayLike, place: object = "") -> Encoded:
        codes = self._codes(checked(values, place), self._exponents(np.shape(values)))
        return Encoded(packed(codes, self.bits), NO_SHIFTS)

    def numbers(self, encoded: Encoded) -> tuple[CodeNumbers, CodeNumbers]:
        codes = unpacked(encoded.codes, self.bits, self.signed)
        return codes, self._exponents(codes.shape).astype(np.int64)

    def side_bits(self, shape: Sequence[int]) -> int:
        return CHANNEL_POSITION_BITS * len(self.positions) if self.per_channel else 0

    def for_tensors(self, channels: Sequence[int]) -> tuple[Format, ...]:
        if not self.per_channel:
            return super().for_tensors(channels)
        if sum(channels) != len(self.positions):
            raise FormatError(
                f"integer bits per channel must be as many as output channels, {'+'.join(map(str, channels))}, "
                f"but got {len(self.positions)}"
            )
        parts, start = [], 0
        for count in channels:
            parts.append(self._at(self.positions[start : start + count]))
            start += count
        return tuple(parts)

    def _at(self, positions: tuple[int, ...]) -> Fixed:
        # One channel alone is the whole tensor.
        integer_bits = positions if len(positions) > 1 else positions[0]
        return Fixed(self.bits, integer_bits, self.signed, self.rounding, self.overflow)

    def _exponents(self, shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
        if not self.per_channel:
            return np.asarray(self.step_exponents[0])
        if not shape or shape[-1] != len(self.positions):
            raise FormatError(
                f"{self.brief} is for {len(self.positions)} channels along the last axis, but the values are {shape}"
            )
        return self.step_exponents

    def _codes(self, x: FloatArray, exponents: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        scaled = np.ldexp(x.astype(np.float64), -exponents)  # Exact: a power of two, and far from the ends.
        match self.rounding:
            case Rounding.HALF_EVEN:
                codes = np.rint(scaled)
            case Rounding.HALF_UP:
                codes = np.floor(scaled)
                with np.errstate(invalid="ignore"):  # ∞ − ∞
                    codes = codes + (scaled - codes >= 0.5)
            case Rounding.FLOOR:
                codes = np.floor(scaled)
        if self.overflow is Overflow.SATURATE:
            codes = np.clip(codes, self.lowest_code, self.highest_code_float32)
        else:
            # The remainder first: it is exact, while adding to a code of 2^53 and more is not.
            codes = np.mod(np.where(np.isfinite(codes), codes, 0.0), 2.0**self.bits)
            codes = np.where(codes > self.highest_code, codes - 2.0**self.bits, codes)
        return np.asarray(codes, np.int64)

    @property
    def _options(self) -> str:
        rounding = "" if self.rounding is Rounding.HALF_EVEN else f",{self.rounding}"
        return rounding + ("" if self.overflow is Overflow.SATURATE else f",{self.overflow}")

    @property
    def brief(self) -> str:
        low, high = min(self.positions), max(self.positions)
        positions = f"{low}…{high}" if self.per_channel else str(low)
        return f"{'fixed' if self.signed else 'ufixed'}<{self.bits},{positions}{self._options}>"

    def __str__(self) -> str:
        positions = "/".join(map(str, self.positions))
        return f"{'fixed' if self.signed else 'ufixed'}<{self.bits},{positions}{self._options}>"


def largest_float32_code(code: int) -> float:
    """The largest float32 that is at most `code`."""
    near = np.float32(code)
    return float(near if int(near) <= code else np.nextafter(near, np.float32(0)))


def packed(codes: npt.NDArray[np.int64], bits: int) -> CodeArray:
    """The lowest `bits` of two's complement."""
    return np.asarray(codes & (2**bits - 1), np.uint32)


def unpacked(codes: CodeArray, bits: int, signed: bool = True) -> npt.NDArray[np.int64]:
    """Inverse of `packed`."""
    wide = codes.astype(np.int64)
    return np.where(wide >= 2 ** (bits - 1), wide - 2**bits, wide) if signed else wide
