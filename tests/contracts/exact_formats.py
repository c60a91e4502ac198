"""The second witness: every format's rounding in exact fractions, straight from its docstring."""

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

import numpy as np

from wordlength.space import Binary, Fixed, Float32, Format, Overflow, PowerOfTwo, Rounding, VirtualBitShift

TINY = Fraction(2) ** -126
"""The smallest normal float32; below it a value counts as zero."""


def groups_of(fmt: Format, shape: tuple[int, ...]) -> np.ndarray:
    """Which elements, in stored order, are rounded by the same rule: channel, vbs group, or all."""
    order = np.arange(math.prod(shape))
    match fmt:
        case Fixed() if fmt.per_channel:
            return order % len(fmt.positions)
        case VirtualBitShift(_, "channel"):
            return order % max(shape[-1], 1) if shape else order
        case VirtualBitShift(_, int(length)):
            return order // length
    return np.zeros_like(order)


def exactly(fmt: Format, values: np.ndarray) -> list[Fraction | float]:
    """What each element stands for, in stored order; a float only for the infinities that float32 keeps."""
    elements, groups = values.ravel().tolist(), groups_of(fmt, values.shape).tolist()
    match fmt:
        case Float32():
            return [x if math.isinf(x) else Fraction(x) for x in elements]
        case Fixed():
            return [_fixed(fmt, x, fmt.positions[group]) for x, group in zip(elements, groups, strict=True)]
        case PowerOfTwo():
            return [_power_of_two(fmt, x) for x in elements]
        case VirtualBitShift():
            members: dict[int, list[float]] = {}
            for x, group in zip(elements, groups, strict=True):
                members.setdefault(group, []).append(x)
            rules = {group: Fixed(fmt.bits, _position(inside)) for group, inside in members.items()}
            return [
                _fixed(rules[group], x, rules[group].positions[0]) for x, group in zip(elements, groups, strict=True)
            ]
        case Binary():
            return [Fraction(x == math.inf or _number(x) > 0) for x in elements]
    raise AssertionError(fmt)


def _number(x: float) -> Fraction:
    """A finite value; denormals count as zero."""
    if math.isinf(x):
        return Fraction(0)
    value = Fraction(x)
    return value if abs(value) >= TINY else Fraction(0)


def _ends(bits: int, signed: bool) -> tuple[int, int]:
    """Lowest and highest code; a highest one that float32 does not hold becomes the next lower that it does."""
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    spare = max(0, highest.bit_length() - 24)
    return lowest, highest >> spare << spare


@lru_cache
def _power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def _fixed(fmt: Fixed, x: float, integer_bits: int) -> Fraction:
    lowest, highest = _ends(fmt.bits, fmt.signed)
    exponent = integer_bits - fmt.bits + (1 if fmt.signed else 0)
    scaled = _number(x) * _power(-exponent)
    match fmt.rounding:
        case Rounding.HALF_EVEN:
            code = round(scaled)  # round(Fraction) takes ties to even
        case Rounding.HALF_UP:
            code = math.floor(scaled + Fraction(1, 2))
        case Rounding.FLOOR:
            code = math.floor(scaled)
    if fmt.overflow is Overflow.WRAP:
        # Two's complement keeps the lowest bits; infinity came as 0.
        return ((code - lowest) % 2**fmt.bits + lowest) * _power(exponent)
    if math.isinf(x):
        code = highest if x > 0 else lowest
    return min(max(code, lowest), highest) * _power(exponent)


def _power_of_two(fmt: PowerOfTwo, x: float) -> Fraction:
    """±2^n with n nearest to log2|x|; log2|x| > n + 1/2 exactly if x² > 2^(2n+1), which no fraction equals."""
    smallest = max(fmt.max_exponent - 2 ** (fmt.bits - 1) + 1 + (1 if fmt.zero else 0), -126)
    if math.isinf(x):
        return (1 if x > 0 else -1) * _power(fmt.max_exponent)
    value = _number(x)
    if fmt.zero and abs(value) <= _power(smallest - 1):
        return Fraction(0)
    if value == 0:
        return _power(smallest)
    exponent = math.frexp(x)[1] - 1
    exponent += value**2 > _power(2 * exponent + 1)
    return (1 if value > 0 else -1) * _power(min(max(exponent, smallest), fmt.max_exponent))


def _position(group: Iterable[float]) -> int:
    """The fewest integer bits i from −11 to 4 with −2^i ≤ x < 2^i for the whole group, else 4."""
    lowest, highest = min(group), max(group)
    return next((i for i in range(-11, 4) if -(2.0**i) <= lowest and highest < 2.0**i), 4)
