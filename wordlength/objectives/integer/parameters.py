"""Stored tensors as the integers that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wordlength.errors import IntegerError
from wordlength.objectives.integer.grid import MOST_BITS, Integers
from wordlength.space import Encoded, Fixed, Float32, Format, Slot, TensorInfo, VirtualBitShift


@dataclass(frozen=True, eq=False)
class Parameter:
    """One stored tensor: its codes as `weights.bin` packs them, and what they stand for.

    `shape`: as in Keras. Codes and exponents lie in `info.packed_shape`, output channels along the last axis.
    """

    slot: Slot
    info: TensorInfo
    format: Format
    encoded: Encoded

    @classmethod
    def of(cls, slot: Slot, info: TensorInfo, fmt: Format, values: npt.ArrayLike) -> Parameter:
        """From float values, rounded to the format."""
        return cls(slot, info, fmt, fmt.encode(np.reshape(values, info.packed_shape), slot))

    @property
    def name(self) -> str:
        """`conv_2.weights.depthwise_kernel`, or `conv_2.biases.bias`."""
        return f"{self.slot}.{self.info.name}"

    @property
    def by_channel(self) -> bool:
        """Whether every output channel has a position of its own."""
        match self.format:
            case Fixed(per_channel=True) | VirtualBitShift(group="channel"):
                return True
        return False

    @cached_property
    def exponent(self) -> int:
        """Exponent of the last bit that any element uses; 0 if all are zero."""
        used = self._parts[0] != 0
        return int(self._parts[1][used].min()) if used.any() else 0

    @cached_property
    def shifts(self) -> Integers:
        """How far each code is shifted left of the last bit, packed shape. 0 where the code is 0."""
        codes, exponents = self._parts
        return np.where(codes != 0, exponents - self.exponent, 0)

    @property
    def codes(self) -> Integers:
        """Signed whole numbers before the shift, packed shape: ±1 and 0 for a power of two."""
        return self._parts[0]

    @cached_property
    def integers(self) -> Integers:
        """Element / 2^exponent, in Keras' shape. Raises IntegerError if they do not fit a 64-bit word."""
        span = int(self.shifts.max(initial=0)) + int(np.abs(self.codes).max(initial=0)).bit_length()
        if span > MOST_BITS:
            raise IntegerError(f"{self.name} must span at most {MOST_BITS} bits, but {self.format.brief} spans {span}")
        return (self.codes << self.shifts).reshape(self.info.shape)

    @cached_property
    def _parts(self) -> tuple[Integers, Integers]:
        if isinstance(self.format, Float32):
            raise IntegerError(f"{self.slot} must have a format to be computed with integers, but is float32")
        codes, exponents = self.format.numbers(self.encoded)
        return codes, np.broadcast_to(exponents, codes.shape)
