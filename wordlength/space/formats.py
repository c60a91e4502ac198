"""Number formats: frozen values that know their exact rounding.

A format says which numbers a tensor element may take and how many bits store it. `bits` is the
total width *including* the sign bit; `integer_bits` *excludes* it (as QKeras counts; HLS `ap_fixed`
includes it). The "3.13" of Klein, Kantic & Blume 2021 (1 sign, 2 integer, 13 fraction bits) is
`fixed<16,2>`.

Every format carries the one NumPy rounding that the TensorFlow quantizer, the analysis and the
export must reproduce bit for bit. Arrays go in and come out as float32, in any shape; values inside
float32's denormal range count as zero, as they do in TensorFlow's kernels.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from wordlength.errors import FormatError

FloatArray = npt.NDArray[np.float32]

MAX_FIXED_BITS = 32
MAX_PO2_BITS = 16
MAX_POSITION = 32
"""Largest magnitude of `integer_bits` and `max_exponent`: far from float32's own range limits."""
MIN_NORMAL_EXPONENT = -126
"""The smallest exponent float32 holds at full precision; no `po2` value goes below it."""

_SQRT2_FRACTION = 0x3504F3
"""Fraction bits of the largest float32 below the square root of two: where log2 rounding turns."""


@dataclass(frozen=True)
class Format(ABC):
    """What every format can tell. Subclasses are frozen values: equal only if the same format."""

    kind: ClassVar[str]

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
    def round(self, values: npt.ArrayLike) -> FloatArray:
        """The representable value that stands for each element; same shape.

        Raises FormatError if an element is NaN.
        """

    def stored_bits(self, count: int) -> int:
        """Bits that store `count` elements, side information included."""
        return self.width_bits * count


@dataclass(frozen=True)
class Float32(Format):
    """IEEE-754 single precision: quantization switched off."""

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
        return float(np.finfo(np.float32).tiny)

    def round(self, values: npt.ArrayLike) -> FloatArray:
        _checked(values)
        return np.array(values, dtype=np.float32)

    def __str__(self) -> str:
        return "float32"


@dataclass(frozen=True)
class Fixed(Format):
    """Two's-complement fixed point: k · 2^(integer_bits − bits + s), s = 1 if signed.

    Rounds to nearest, ties to even, and saturates. Negative `integer_bits` put all values below 1.
    Raises FormatError if `bits` is not 1…32 or `integer_bits` not −32…32.
    """

    bits: int
    integer_bits: int
    signed: bool = True

    kind: ClassVar[str] = "fixed"

    def __post_init__(self) -> None:
        _require_int("bits", self.bits, 1, MAX_FIXED_BITS, self)
        _require_int("integer_bits", self.integer_bits, -MAX_POSITION, MAX_POSITION, self)

    @property
    def width_bits(self) -> int:
        return self.bits

    @property
    def step_exponent(self) -> int:
        """log2 of the distance between neighbours."""
        return self.integer_bits - self.bits + int(self.signed)

    @property
    def step(self) -> float:
        """Distance between neighbouring values."""
        return float(2.0**self.step_exponent)

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
        return self.lowest_code * self.step

    @property
    def highest(self) -> float:
        return self.highest_code * self.step

    @property
    def smallest_magnitude(self) -> float:
        return self.step

    @cached_property
    def highest_code_float32(self) -> float:
        """Largest code that float32 holds: equals `highest_code` up to 25 bits (24 unsigned)."""
        code = np.float32(self.highest_code)
        return float(code if int(code) <= self.highest_code else np.nextafter(code, np.float32(0)))

    def round(self, values: npt.ArrayLike) -> FloatArray:
        # Scaling by a power of two is exact, so the only rounding is rint's (half to even).
        with np.errstate(over="ignore"):
            codes: FloatArray = np.rint(np.ldexp(_checked(values), -self.step_exponent))
        clipped = np.clip(codes, np.float32(self.lowest_code), np.float32(self.highest_code_float32))
        return np.asarray(np.ldexp(clipped, self.step_exponent), np.float32)

    def __str__(self) -> str:
        return f"{'fixed' if self.signed else 'ufixed'}<{self.bits},{self.integer_bits}>"


@dataclass(frozen=True)
class PowerOfTwo(Format):
    """±2^n with n from max_exponent − 2^(bits−1) + 1 to max_exponent: one sign bit, the rest exponent.

    Rounds log2|x| to nearest, which turns at √2 · 2^n; saturates at both ends; there is no zero, so 0
    becomes the smallest positive value. Exponents stop at −126, the last normal float32, however many
    bits there are. Raises FormatError if `bits` is not 1…16 or `max_exponent` not −32…32.
    """

    bits: int
    max_exponent: int

    kind: ClassVar[str] = "po2"

    def __post_init__(self) -> None:
        _require_int("bits", self.bits, 1, MAX_PO2_BITS, self)
        _require_int("max_exponent", self.max_exponent, -MAX_POSITION, MAX_POSITION, self)

    @property
    def width_bits(self) -> int:
        return self.bits

    @property
    def min_exponent(self) -> int:
        """Smallest exponent the bits reach."""
        return max(self.max_exponent - int(2 ** (self.bits - 1)) + 1, MIN_NORMAL_EXPONENT)

    @property
    def lowest(self) -> float:
        return -self.highest

    @property
    def highest(self) -> float:
        return float(2.0**self.max_exponent)

    @property
    def smallest_magnitude(self) -> float:
        return float(2.0**self.min_exponent)

    def round(self, values: npt.ArrayLike) -> FloatArray:
        # Adding (2^23 − fraction of √2) carries into the exponent exactly when |x| lies above √2 · 2^n.
        pattern = _checked(values).view(np.int32)
        magnitude = pattern & np.int32(0x7FFFFFFF)
        exponent = ((magnitude.astype(np.int64) + (0x800000 - 1 - _SQRT2_FRACTION)) >> 23) - 127
        power = np.ldexp(np.float32(1), np.clip(exponent, self.min_exponent, self.max_exponent))
        return np.asarray(np.where((pattern < 0) & (magnitude != 0), -power, power), np.float32)

    def __str__(self) -> str:
        return f"po2<{self.bits},{self.max_exponent}>"


@lru_cache(4096)
def parse_format(text: str) -> Format:
    """Read `fixed<16,2>`, `ufixed<8,1>`, `po2<4,-1>` or `float32`; `fixed:16,2` saves quoting in a shell.

    Raises FormatError naming the rule and the text.
    """
    match = re.fullmatch(r"\s*([a-z0-9]+?)\s*(?:<([^<>]*)>|:([^<>]*))?\s*", str(text))
    name = match[1] if match else ""
    if match is None or name not in _READERS:
        raise FormatError(f"format must be one of {_FORMS}, but got {text!r}")
    numbers = match[2] if match[2] is not None else match[3]
    arguments = [] if numbers is None else [part.strip() for part in numbers.split(",")]
    form, count, build = _READERS[name]
    if len(arguments) != count or not all(re.fullmatch(r"[+-]?\d{1,9}", part) for part in arguments):
        raise FormatError(f"{name} must be written {form} with whole numbers, but got {text!r}")
    return build(*(int(part) for part in arguments))


_READERS: dict[str, tuple[str, int, Callable[..., Format]]] = {
    "float32": ("float32", 0, Float32),
    "fixed": ("fixed<bits,integer_bits>", 2, Fixed),
    "ufixed": ("ufixed<bits,integer_bits>", 2, lambda b, i: Fixed(b, i, signed=False)),
    "po2": ("po2<bits,max_exponent>", 2, PowerOfTwo),
}
_FORMS = ", ".join(form for form, _, _ in _READERS.values())


def _checked(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float32)
    if np.isnan(array).any():
        raise FormatError(
            f"values to round must be numbers, but got NaN in {int(np.isnan(array).sum())} of {array.size}"
        )
    tiny = np.float32(np.finfo(np.float32).tiny)
    return np.where(np.abs(array) < tiny, np.copysign(np.float32(0), array), array)


def _require_int(name: str, value: int, low: int, high: int, owner: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        kind = type(owner).kind  # type: ignore[attr-defined]
        raise FormatError(f"{kind} {name} must be a whole number between {low} and {high}, but got {value!r}")
