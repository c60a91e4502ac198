"""Virtual bit shift: fixed point whose position follows the values, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wordlength.arrays import FloatArray
from wordlength.errors import FormatError
from wordlength.space.formats.base import CodeNumbers, Encoded, Format, checked, from_numbers, require_int
from wordlength.space.formats.fixed import largest_float32_code, packed, unpacked

VBS_BITS = (2, 32)
VBS_SHIFT_BITS = 4
"""Bits that store one group's shift."""
HIGHEST_VBS_POSITION = 4
LOWEST_VBS_POSITION = HIGHEST_VBS_POSITION - 2**VBS_SHIFT_BITS + 1
MAX_BLOCK = 2**24


@dataclass(frozen=True)
class VirtualBitShift(Format):
    """Non-uniform fixed point after Nicodemo et al. 2020: leading zero fraction bits are not stored.

    The paper's abstract says that low-bit fixed-point weights gain accuracy from a virtual bit shift: a
    tensor of small values would spend its first fraction bits on zeros, so it is stored shifted left, and
    the shift is undone after the multiplication. What the abstract leaves open is decided here:

    - The shift follows the largest magnitude of a group of values: the whole tensor (`group="tensor"`),
      each output channel (`"channel"`), or blocks of n values in stored order (the tensor's elements with
      the output channel running fastest; the last block may be shorter).
    - A group's integer bits i are the fewest with −2^i ≤ x < 2^i for all its x, so the first stored bit
      after the sign is always in use. Its values are k · 2^(i − bits + 1), rounded to nearest, ties to even;
      a value that would round up to 2^i saturates.
    - i lies between 4 and −11: a shift of 0…15 places from 4 integer bits down, stored in 4 bits per group.
      Larger values saturate; smaller ones keep the last shift.
    - In training the shift follows the weights at every step. Gradient: 1 everywhere.

    Raises FormatError if `bits` is not 2…32 or `group` is not one of the above.
    """

    bits: int
    group: str | int = "tensor"

    kind: ClassVar[str] = "vbs"
    unfit_for_activations = "its shifts follow stored values; use fixed"

    def __post_init__(self) -> None:
        require_int("bits", self.bits, *VBS_BITS, self.kind)
        if self.group not in ("tensor", "channel"):
            if isinstance(self.group, str):
                raise FormatError(f"vbs group must be tensor, channel or a block's length, but got {self.group!r}")
            require_int("group (or tensor, channel)", self.group, 1, MAX_BLOCK, self.kind)

    @property
    def width_bits(self) -> int:
        return self.bits

    @property
    def lowest(self) -> float:
        return -float(2.0**HIGHEST_VBS_POSITION)

    @property
    def highest(self) -> float:
        return float(2.0**HIGHEST_VBS_POSITION) - float(2.0 ** (HIGHEST_VBS_POSITION - self.bits + 1))

    @property
    def smallest_magnitude(self) -> float:
        return float(2.0 ** (LOWEST_VBS_POSITION - self.bits + 1))

    @property
    def highest_code(self) -> int:
        """Integer code of a group's highest value."""
        return int(2 ** (self.bits - 1)) - 1

    @cached_property
    def highest_code_float32(self) -> float:
        """Largest code that float32 holds: equals `highest_code` up to 25 bits."""
        return largest_float32_code(self.highest_code)

    def groups(self, shape: Sequence[int]) -> int:
        """How many groups a tensor of this shape has."""
        match self.group:
            case "tensor":
                return 1
            case "channel":
                return shape[-1] if shape else 1
        return -(-prod(shape) // int(self.group))

    def positions(self, values: npt.ArrayLike, place: object = "") -> npt.NDArray[np.int32]:
        """Integer bits of every group, (groups,)."""
        x = checked(values, place)
        # The exponent field of |x|, less one ulp where x is negative: −2^i still fits i integer bits.
        pattern = x.view(np.int32)
        magnitude = (pattern & np.int32(0x7FFFFFFF)) - ((pattern < 0) & (x != 0))
        largest = np.zeros(self.groups(x.shape), np.int32)
        np.maximum.at(largest, self._group_of(x.shape), magnitude)
        positions = np.clip((largest >> 23) - 126, LOWEST_VBS_POSITION, HIGHEST_VBS_POSITION)
        return np.asarray(positions, np.int32)

    def limits(self, values: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        exponents = self._step_exponents(self.positions(values), np.shape(values))
        lowest, highest = -(2 ** (self.bits - 1)), int(self.highest_code_float32)
        return from_numbers(np.full(exponents.shape, lowest), exponents), from_numbers(
            np.full(exponents.shape, highest), exponents
        )

    def round(self, values: npt.ArrayLike, place: object = "") -> FloatArray:
        exponents = self._step_exponents(self.positions(values, place), np.shape(values))
        return from_numbers(self._codes(checked(values), exponents), exponents)

    def encode(self, values: npt.ArrayLike, place: object = "") -> Encoded:
        positions = self.positions(values, place)
        codes = self._codes(checked(values), self._step_exponents(positions, np.shape(values)))
        return Encoded(packed(codes, self.bits), (HIGHEST_VBS_POSITION - positions).astype(np.uint8))

    def numbers(self, encoded: Encoded) -> tuple[CodeNumbers, CodeNumbers]:
        positions = HIGHEST_VBS_POSITION - encoded.shifts.astype(np.int32)
        exponents = self._step_exponents(positions, encoded.codes.shape)
        return unpacked(encoded.codes, self.bits), exponents.astype(np.int64)

    def side_bits(self, shape: Sequence[int]) -> int:
        return VBS_SHIFT_BITS * self.groups(shape)

    def _group_of(self, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """The group of every element, in the values' shape."""
        order = np.arange(prod(shape)).reshape(shape)
        match self.group:
            case "tensor":
                return np.zeros_like(order)
            case "channel":
                return order % (shape[-1] if shape else 1)
        return order // int(self.group)

    def _step_exponents(self, positions: npt.NDArray[np.int32], shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
        exponents: npt.NDArray[np.int32] = positions[self._group_of(shape)] - np.int32(self.bits - 1)
        return exponents

    def _codes(self, x: FloatArray, exponents: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        codes = np.rint(np.ldexp(x.astype(np.float64), -exponents))
        return np.clip(codes, -(2 ** (self.bits - 1)), self.highest_code_float32).astype(np.int64)

    def __str__(self) -> str:
        return f"vbs<{self.bits}>" if self.group == "tensor" else f"vbs<{self.bits},group={self.group}>"
