"""Types as hls4ml and the HLS compilers write them: `ap_fixed<width, integer bits, rounding, overflow>`.

Integer bits count the sign.
"""

from __future__ import annotations

import re

import numpy as np

from wordlength.arrays import FloatArray
from wordlength.errors import IntegerError
from wordlength.objectives.integer import Grid, Parameter, Pool
from wordlength.space import Fixed, Overflow, Rounding

_ROUNDING = {Rounding.HALF_EVEN: "AP_RND_CONV", Rounding.HALF_UP: "AP_RND", Rounding.FLOOR: "AP_TRN"}
_OVERFLOW = {Overflow.SATURATE: "AP_SAT", Overflow.WRAP: "AP_WRAP"}


def written(bits: int, exponent: int, signed: bool, modes: str = "") -> str:
    """The type of so many bits, sign included, whose last one stands for 2^exponent."""
    return f"ap_{'' if signed else 'u'}fixed<{bits},{bits + exponent}{modes}>"


def type_of_grid(grid: Grid, scale: int = 0) -> str:
    """The narrowest type that holds every number of the grid, times 2^scale: nothing is rounded, nothing overflows."""
    return written(grid.bits, grid.exponent + scale, grid.signed)


def type_of_format(fmt: Fixed) -> str:
    """The format itself, with its rounding and what it does beyond its ends."""
    modes = f",{_ROUNDING[fmt.rounding]},{_OVERFLOW[fmt.overflow]}"
    return written(fmt.bits, int(fmt.step_exponents[0]), fmt.signed, modes)


def type_of_parameter(parameter: Parameter, scale: int = 0) -> str:
    """Of a stored tensor: the format's width if it is fixed point in one position, else what encloses its values."""
    fmt = parameter.format
    if isinstance(fmt, Fixed) and not fmt.per_channel:
        return written(fmt.bits, int(fmt.step_exponents[0]) + scale, fmt.signed)
    integers = parameter.integers
    return type_of_grid(Grid(parameter.exponent, int(integers.min()), int(integers.max())), scale)


def parameter_values(parameter: Parameter, scale: int = 0) -> FloatArray:
    """A stored tensor's values, times 2^scale, in Keras' shape. Raises IntegerError if float32 does not hold them."""
    exact = np.ldexp(parameter.integers.astype(np.float64), parameter.exponent + scale)
    values = exact.astype(np.float32)
    if not np.array_equal(values, exact):
        raise IntegerError(f"{parameter.name} must be exact in float32, times 2^{scale}, but is not")
    return values


def exponent_bits(values: FloatArray, source: str) -> int:
    """Width of an ExponentPrecisionType for these weights, exact with inputs of the type `source`; 0 if there is none.

    It has sign and exponent: no zero. hls4ml gives a product as many integer bits, and as many fraction bits, as
    exponent and input have bits together; wider exponents make room.
    """
    fractions, exponents = np.frexp(np.abs(values.astype(np.float64)))
    if (fractions != 0.5).any():
        return 0
    lowest, highest = int(exponents.min()) - 1, int(exponents.max()) - 1
    width, whole = (int(number) for number in re.findall(r"-?\d+", source)[:2])
    places = width - whole
    products = max(places - min(lowest, 0), whole + 1 + max(highest, 0))
    return max(Grid(0, min(lowest, -1), highest).bits, products - width)


def averaging_type(pool: Pool, scale: int = 0) -> str:
    """What the values of an average are summed and divided in.

    hls4ml divides in the type of the sums, and cuts what lies beyond its last place. An exact quotient needs the
    result's places and no more. Any other is rounded half even after that; with an odd divisor it lies at least
    1 / (2 · divisor) of a step from the middle between two steps, so that places finer than this decide rightly.
    """
    count, source = int(pool.counts.flat[0]), pool.source_grid
    sums = Grid(source.exponent, min(source.lowest, 0) * count, max(source.highest, 0) * count)
    odd = count // (count & -count)
    last = pool.exponent - (0 if pool.exact else odd.bit_length() + 1)
    return written(sums.bits + sums.exponent - last, last + scale, sums.signed)
