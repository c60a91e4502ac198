"""What every format offers, and float32."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wordlength.arrays import FloatArray
from wordlength.errors import FormatError

CodeArray = npt.NDArray[np.uint32]
CodeNumbers = npt.NDArray[np.int64]

MAX_POSITION = 32
"""Largest magnitude of `integer_bits` and `max_exponent`: far from float32's own range limits."""
EXACT_BITS = 24
"""float32 holds every whole number of so many bits."""
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Encoded:
    """Values as stored: `codes`, one per element in the values' shape, each below 2^width_bits, and the
    side information of the format (`shifts`, one per group), empty for most.
    """

    codes: CodeArray
    shifts: npt.NDArray[np.uint8]


NO_SHIFTS = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class Format(ABC):
    """What every format can tell. Subclasses are frozen values: equal only if the same format.

    Arrays go in and come out as float32, in any shape, a tensor's output channels along its last axis.
    Values inside float32's denormal range count as zero, as they do in TensorFlow's kernels. The methods
    that read values raise FormatError if one is NaN, naming `place`.
    """

    kind: ClassVar[str]
    unfit_for_activations = ""
    """Why layer outputs cannot have this format, with a hint; empty if they can."""
    unfit_for_parameters = ""
    """Why weights and biases cannot have this format, with a hint; empty if they can."""

    @property
    @abstractmethod
    def width_bits(self) -> int:
        """Bits that store one element, sign included."""

    @property
    @abstractmethod
    def lowest(self) -> float:
        """Smallest representable value (negative for signed formats)."""

    @property
    @abstractmethod
    def highest(self) -> float:
        """Largest representable value."""

    @property
    @abstractmethod
    def smallest_magnitude(self) -> float:
        """Smallest magnitude above zero that the format represents."""

    @abstractmethod
    def round(self, values: npt.ArrayLike, place: object = "") -> FloatArray:
        """The representable value that stands for each element; same shape."""

    @abstractmethod
    def encode(self, values: npt.ArrayLike, place: object = "") -> Encoded:
        """The stored codes of the rounded values."""

    @abstractmethod
    def numbers(self, encoded: Encoded) -> tuple[CodeNumbers, CodeNumbers]:
        """Stored codes as whole numbers k and exponents e, which broadcast: each stands for k · 2^e.

        Raises FormatError for float32, which is no such number.
        """

    def decode(self, encoded: Encoded) -> FloatArray:
        """The values of stored codes: `decode(encode(x))` is `round(x)`."""
        codes, exponents = self.numbers(encoded)
        return from_numbers(codes, exponents)

    def limits(self, values: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest value that each element could become; shapes broadcast to the values'."""
        return np.asarray(self.lowest, np.float32), np.asarray(self.highest, np.float32)

    def side_bits(self, shape: Sequence[int]) -> int:
        """Bits stored beside a tensor's elements."""
        return 0

    def stored_bits(self, shape: Sequence[int]) -> int:
        """Bits that store a tensor of this shape, side information included."""
        return self.width_bits * prod(shape) + self.side_bits(shape)

    def for_tensors(self, channels: Sequence[int]) -> tuple[Format, ...]:
        """The format of each of a slot's tensors, which have so many output channels.

        Raises FormatError if the format speaks of another number of channels.
        """
        return (self,) * len(channels)

    @property
    def brief(self) -> str:
        """The text for tables, shortened if long."""
        return str(self)


@dataclass(frozen=True)
class Float32(Format):
    """IEEE-754 single precision: quantization switched off; not even denormals change."""

    kind: ClassVar[str] = "float32"

    @property
    def width_bits(self) -> int:
        return 32

    @property
    def lowest(self) -> float:
        return float(np.finfo(np.float32).min)

    @property
    def highest(self) -> float:
        return float(np.finfo(np.float32).max)

    @property
    def smallest_magnitude(self) -> float:
        return SMALLEST_NORMAL

    def round(self, values: npt.ArrayLike, place: object = "") -> FloatArray:
        checked(values, place)
        return np.array(values, dtype=np.float32)

    def encode(self, values: npt.ArrayLike, place: object = "") -> Encoded:
        return Encoded(self.round(values, place).view(np.uint32), NO_SHIFTS)

    def numbers(self, encoded: Encoded) -> tuple[CodeNumbers, CodeNumbers]:
        raise FormatError("a format must have whole numbers for codes, but float32 has none")

    def decode(self, encoded: Encoded) -> FloatArray:
        return encoded.codes.view(np.float32)

    def __str__(self) -> str:
        return "float32"


def from_numbers(codes: npt.NDArray[np.int64], exponents: npt.ArrayLike) -> FloatArray:
    """code · 2^exponent as float32."""
    return np.asarray(np.ldexp(codes.astype(np.float64), exponents), np.float32)


def checked(values: npt.ArrayLike, place: object = "") -> FloatArray:
    """The values as float32, denormals as zeros of their sign. Raises FormatError if one is NaN."""
    array = np.asarray(values, dtype=np.float32)
    missing = int(np.isnan(array).sum())
    if missing:
        where = f" ({place})" if place else ""
        raise FormatError(f"values to round must be numbers, but got NaN in {missing} of {array.size}{where}")
    return np.where(np.abs(array) < np.float32(SMALLEST_NORMAL), np.copysign(np.float32(0), array), array)


def require_int(name: str, value: object, low: int, high: int, kind: str) -> None:
    """Raise FormatError unless `value` is a whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FormatError(f"{kind} {name} must be a whole number between {low} and {high}, but got {value!r}")
