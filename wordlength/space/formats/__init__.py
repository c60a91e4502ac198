"""Number formats: frozen values that know their exact rounding.

A format says which numbers a tensor element may take and how many bits store it. `bits` is the
total width *including* the sign bit; `integer_bits` *excludes* it (as QKeras counts; HLS `ap_fixed`
includes it). The "3.13" of Klein, Kantic & Blume 2021 (1 sign, 2 integer, 13 fraction bits) is
`fixed<16,2>`.
"""

from wordlength.space.formats.base import EXACT_BITS, MAX_POSITION, Encoded, Float32, Format
from wordlength.space.formats.binary import Binary
from wordlength.space.formats.fixed import (
    CHANNEL_POSITION_BITS,
    MAX_FIXED_BITS,
    MAX_WRAP_BITS,
    Fixed,
    Overflow,
    Rounding,
)
from wordlength.space.formats.power_of_two import MAX_PO2_BITS, SQRT2_FRACTION, PowerOfTwo
from wordlength.space.formats.text import parse_format
from wordlength.space.formats.virtual_bit_shift import (
    HIGHEST_VBS_POSITION,
    LOWEST_VBS_POSITION,
    VBS_BITS,
    VBS_SHIFT_BITS,
    VirtualBitShift,
)

__all__ = [
    "CHANNEL_POSITION_BITS",
    "EXACT_BITS",
    "HIGHEST_VBS_POSITION",
    "LOWEST_VBS_POSITION",
    "MAX_FIXED_BITS",
    "MAX_PO2_BITS",
    "MAX_POSITION",
    "MAX_WRAP_BITS",
    "SQRT2_FRACTION",
    "VBS_BITS",
    "VBS_SHIFT_BITS",
    "Binary",
    "Encoded",
    "Fixed",
    "Float32",
    "Format",
    "Overflow",
    "PowerOfTwo",
    "Rounding",
    "VirtualBitShift",
    "parse_format",
]
