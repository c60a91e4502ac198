"""What single formats and their texts say; what all of them must keep is in tests/contracts."""

import dataclasses
import math

import pytest

from wordlength.errors import FormatError
from wordlength.space import (
    Binary,
    Fixed,
    Float32,
    Format,
    Overflow,
    PowerOfTwo,
    Rounding,
    VirtualBitShift,
    parse_format,
)

LARGEST = (2 - 2.0**-23) * 2.0**127
"""The largest finite float32."""


def test_the_papers_3_13_is_fixed_16_2() -> None:
    fmt = parse_format("fixed<16,2>")
    assert (fmt.lowest, fmt.highest, fmt.smallest_magnitude) == (-4.0, 4 - 2.0**-13, 2.0**-13)
    assert fmt.width_bits == 16
    assert fmt.round([100, -100, 0.00007]).tolist() == [4 - 2.0**-13, -4.0, 2.0**-13]


@pytest.mark.parametrize(
    ("fmt", "lowest", "highest", "smallest"),
    [
        (PowerOfTwo(4, -1), -0.5, 0.5, 2.0**-8),
        (PowerOfTwo(4, -1, zero=True), -0.5, 0.5, 2.0**-7),
        (PowerOfTwo(1, 3), -8.0, 8.0, 8.0),
        (PowerOfTwo(8, 0), -1.0, 1.0, 2.0**-126),
        (PowerOfTwo(8, 1), -2.0, 2.0, 2.0**-126),
        (PowerOfTwo(8, 1, zero=True), -2.0, 2.0, 2.0**-125),
        (PowerOfTwo(8, 2), -4.0, 4.0, 2.0**-125),
        (PowerOfTwo(16, -32), -(2.0**-32), 2.0**-32, 2.0**-126),
        (Fixed(1, 0), -1.0, 0.0, 1.0),
        (Fixed(1, 0, signed=False), 0.0, 0.5, 0.5),
        (Fixed(4, -2), -0.25, 0.25 - 2.0**-5, 2.0**-5),
        (Fixed(4, -2, signed=False), 0.0, 0.25 - 2.0**-6, 2.0**-6),
        (Fixed(4, -2, rounding=Rounding.FLOOR, overflow=Overflow.WRAP), -0.25, 0.25 - 2.0**-5, 2.0**-5),
        (Fixed(4, (0, 2, -1)), -4.0, 4 - 0.5, 2.0**-4),
        (VirtualBitShift(4), -16.0, 14.0, 2.0**-14),
        (VirtualBitShift(2, "channel"), -16.0, 8.0, 2.0**-12),
        (Binary(), 0.0, 1.0, 1.0),
        (Float32(), -LARGEST, LARGEST, 2.0**-126),
    ],
    ids=str,
)
def test_limits(fmt: Format, lowest: float, highest: float, smallest: float) -> None:
    assert (fmt.lowest, fmt.highest, fmt.smallest_magnitude) == (lowest, highest, smallest)


def test_a_small_tensor_is_stored_shifted() -> None:
    """Values below 2^-3 leave three places unused, which the shift of 7 from 4 integer bits down wins back."""
    fmt, small = VirtualBitShift(4), [0.1, -0.06, 0.015625, -0.125]
    encoded = fmt.encode(small)
    assert encoded.shifts.tolist() == [7]
    assert encoded.codes.tolist() == [6, 16 - 4, 1, 16 - 8]
    assert fmt.decode(encoded).tolist() == [6 / 64, -4 / 64, 1 / 64, -8 / 64]


def test_the_brief_of_many_channels_is_short() -> None:
    fmt = Fixed(8, tuple(range(-3, 5)), overflow=Overflow.WRAP)
    assert str(fmt) == "fixed<8,-3/-2/-1/0/1/2/3/4,wrap>"
    assert fmt.brief == "fixed<8,-3…4,wrap>"
    assert [brief.brief for brief in (Fixed(8, 2), PowerOfTwo(4, -1), Binary())] == [
        "fixed<8,2>",
        "po2<4,-1>",
        "binary",
    ]


@pytest.mark.parametrize(
    ("text", "fmt"),
    [
        ("ufixed<8,1,wrap,floor>", Fixed(8, 1, False, Rounding.FLOOR, Overflow.WRAP)),
        ("fixed<8,+2,half_even,saturate>", Fixed(8, 2)),
        ("fixed: 8 , 1/0/-2 ", Fixed(8, (1, 0, -2))),
        ("po2:4,-1,zero", PowerOfTwo(4, -1, zero=True)),
        ("vbs<4,group=tensor>", VirtualBitShift(4)),
        ("vbs:4,group=16", VirtualBitShift(4, 16)),
        ("binary<fixed_threshold,steepness=2.5e1>", Binary(25, learn_threshold=False)),
    ],
)
def test_other_spellings(text: str, fmt: Format) -> None:
    assert parse_format(text) == fmt


FIXED_FORM = r"a format must be written fixed<bits,integer_bits>, but got '{}'{}; for example fixed<16,2>: 1 sign"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, FIXED_FORM.format(text, "")) for text in ("fixed<8.0,2>", "fixed<8,2,1>", "fixed<8,2,half>")),
        *((text, FIXED_FORM.format(text, "")) for text in ("fixed<8,1//2>", "fixed<8,2,wrap,saturate>")),
        *((text, FIXED_FORM.format(text, " without bits and integer_bits")) for text in ("fixed", "fixed<>", "fixed:")),
        ("fixed<8>", FIXED_FORM.format("fixed<8>", " without integer_bits")),
        (
            "ufixed<8>",
            r"must be written ufixed<bits,integer_bits>, but got 'ufixed<8>' without integer_bits; for example ufixed",
        ),
        (
            "po2<4>",
            r"must be written po2<bits,max_exponent>, but got 'po2<4>' without max_exponent; for example po2<4,-1>",
        ),
        ("po2<4,1,zero,zero>", r"must be written po2<bits,max_exponent>, but got 'po2<4,1,zero,zero>'"),
        ("float32<8>", r"must be written float32, but got 'float32<8>'; for example float32"),
        ("vbs<4,16>", r"must be written vbs<bits>, but got 'vbs<4,16>'; for example vbs<4>, vbs<4,group=channel>"),
        ("binary<2>", r"must be written binary, but got 'binary<2>'; for example binary or binary<steepness=25>"),
        ("binary<steepness=nan>", r"must be written binary, but got 'binary<steepness=nan>'"),
        ("po2<40,1>", r"po2 bits must be a whole number between 1 and 16, but got 40 in 'po2<40,1>'; for example po2"),
        ("po2<1,1,zero>", r"po2 bits must be at least 2 to have a zero, but got 1"),
        ("po2<4,33>", r"po2 max_exponent must be a whole number between -32 and 32, but got 33"),
        ("fixed<0,2>", r"fixed bits must be a whole number between 1 and 32, but got 0"),
        ("fixed<-8,2>", r"fixed bits must be a whole number between 1 and 32, but got -8"),
        ("ufixed<33,2>", r"fixed bits must be a whole number between 1 and 32, but got 33"),
        ("fixed<25,2,wrap>", r"fixed bits must be at most 24 to wrap, but got 25"),
        ("fixed<8,-33>", r"fixed integer_bits must be a whole number between -32 and 32, but got -33"),
        ("fixed<8,0/32>", r"integer_bits of a channel must be a whole number between -32 and 31, but got 32"),
        ("vbs<1>", r"vbs bits must be a whole number between 2 and 32, but got 1"),
        (
            "vbs<4,group=0>",
            r"vbs group \(or tensor, channel\) must be a whole number between 1 and 16777216, but got 0",
        ),
        ("vbs<4,group=row>", r"vbs group must be tensor, channel or a block's length, but got 'row'"),
        ("binary<steepness=0>", r"binary steepness must be above 0 and at most 1000, but got 0\.0"),
        ("binary<steepness=1001>", r"binary steepness must be above 0 and at most 1000, but got 1001\.0"),
        ("foo", r"format must be one of float32, fixed<.*>, ufixed<.*>, po2<.*>, vbs<bits>, binary, but got 'foo'$"),
        ("", r"format must be one of .*, but got ''"),
        ("fixed<8,2", r"format must be one of .*, but got 'fixed<8,2'"),
        ("fixed<8,2>>", r"format must be one of .*, but got 'fixed<8,2>>'"),
        ("Fixed<8,2>", r"format must be one of .*, but got 'Fixed<8,2>'; did you mean fixed<bits,integer_bits>\?"),
        ("fixed<８,2>", r"a format must be written fixed<bits,integer_bits>, but got 'fixed<８,2>'"),
        ("fixed<" + "8" * 1000, r"format must be one of .*, but got 'fixed<8{50}\.\.\."),
        ("binray", r"format must be one of .*, but got 'binray'; did you mean binary\?"),
    ],
)
def test_bad_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_format(text)


@pytest.mark.parametrize("bits", [True, 8.0, "8", None])
@pytest.mark.parametrize("kind", [Fixed, PowerOfTwo])
def test_only_whole_numbers_are_bits(kind: type, bits: object) -> None:
    with pytest.raises(FormatError, match=rf"bits must be a whole number between 1 and \d+, but got {bits!r}"):
        kind(bits, 1)
    with pytest.raises(FormatError, match=rf"must be a whole number between -32 and 32, but got {bits!r}"):
        kind(4, bits)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Fixed(8, 2, 1), r"fixed signed must be True or False, but got 1"),
        (lambda: Fixed(8, 2, rounding="up"), r"fixed rounding must be one of half_even, half_up, floor, but got 'up'"),
        (lambda: Fixed(8, 2, overflow="clip"), r"fixed overflow must be one of saturate, wrap, but got 'clip'"),
        (lambda: Fixed(8, (1,)), r"fixed integer_bits per channel must be 2 or more, but got \(1,\)"),
        (lambda: Fixed(8, (1, 0.5)), r"integer_bits of a channel must be a whole number .*, but got 0\.5"),
        (lambda: PowerOfTwo(4, 0, "zero"), r"po2 zero must be True or False, but got 'zero'"),
        (lambda: VirtualBitShift(4, True), r"vbs group .* must be a whole number .*, but got True"),
        (lambda: VirtualBitShift(4, 2.0), r"vbs group .* must be a whole number .*, but got 2\.0"),
        (lambda: VirtualBitShift(True), r"vbs bits must be a whole number between 2 and 32, but got True"),
        (lambda: Binary(math.nan), r"binary steepness must be above 0 and at most 1000, but got nan"),
        (lambda: Binary(True), r"binary steepness must be above 0 and at most 1000, but got True"),
        (lambda: Binary("10"), r"binary steepness must be above 0 and at most 1000, but got '10'"),
        (lambda: Binary(10, 0), r"binary learn_threshold must be True or False, but got 0"),
    ],
)
def test_bad_options_are_refused(build, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        build()


def test_modes_may_be_given_as_text() -> None:
    assert Fixed(8, 2, rounding="floor", overflow="wrap") == Fixed(8, 2, True, Rounding.FLOOR, Overflow.WRAP)


@pytest.mark.parametrize(
    ("fmt", "field"),
    [(Fixed(8, 2), "bits"), (PowerOfTwo(4, -1), "zero"), (VirtualBitShift(4), "group"), (Binary(), "steepness")],
    ids=str,
)
def test_formats_are_frozen(fmt: Format, field: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match=field):
        setattr(fmt, field, 2)
