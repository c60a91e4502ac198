import dataclasses
import itertools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wordlength.errors import FormatError
from wordlength.space import Fixed, Float32, Format, PowerOfTwo, parse_format
from wordlength.space.formats import MAX_FIXED_BITS, MAX_PO2_BITS, MAX_POSITION

TINY = Fraction(2) ** -126
"""The smallest normal float32; below it a value counts as zero."""
LARGEST = float(np.finfo(np.float32).max)

fixed_formats = st.builds(
    Fixed, st.integers(1, MAX_FIXED_BITS), st.integers(-MAX_POSITION, MAX_POSITION), st.booleans()
)
po2_formats = st.builds(PowerOfTwo, st.integers(1, MAX_PO2_BITS), st.integers(-MAX_POSITION, MAX_POSITION))
rounding_formats = st.one_of(fixed_formats, po2_formats)
all_formats = st.one_of(rounding_formats, st.just(Float32()))
numbers = st.floats(width=32, allow_nan=False)
"""Every float32 but NaN: zeros of both signs, denormals and infinities included."""


def exactly_fixed(x: float, bits: int, integer_bits: int, signed: bool) -> Fraction:
    """Nearest of the codes, ties to the even one, saturated; in exact fractions, straight from the definition.

    A highest code that float32 does not hold becomes the largest one below it that float32 does.
    """
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    spare = max(0, highest.bit_length() - 24)
    highest = highest >> spare << spare
    step = Fraction(2) ** (integer_bits - bits + (1 if signed else 0))
    if math.isinf(x):
        return (highest if x > 0 else lowest) * step
    value = Fraction(x) if abs(Fraction(x)) >= TINY else Fraction(0)
    return min(max(round(value / step), lowest), highest) * step  # round(Fraction) takes ties to even


def exactly_po2(x: float, bits: int, max_exponent: int) -> Fraction:
    """±2^n with n nearest to log2|x|; log2|x| > n + 1/2 exactly if x² > 2^(2n+1), which no fraction equals."""
    lowest = max(max_exponent - 2 ** (bits - 1) + 1, -126)
    sign = -1 if x < 0 and (math.isinf(x) or abs(Fraction(x)) >= TINY) else 1
    if math.isinf(x):
        return sign * Fraction(2) ** max_exponent
    magnitude = abs(Fraction(x))
    if magnitude < TINY:
        return Fraction(2) ** lowest
    exponent = math.frexp(float(magnitude))[1] - 1
    exponent += magnitude**2 > Fraction(2) ** (2 * exponent + 1)
    return sign * Fraction(2) ** min(max(exponent, lowest), max_exponent)


def exactly(fmt: Format, x: float) -> Fraction:
    match fmt:
        case Fixed(bits, integer_bits, signed):
            return exactly_fixed(x, bits, integer_bits, signed)
        case PowerOfTwo(bits, max_exponent):
            return exactly_po2(x, bits, max_exponent)
    raise AssertionError(fmt)


def neighbourhood(values: np.ndarray) -> np.ndarray:
    """The float32 values next to each value on both sides, and itself; both signs."""
    middle = np.asarray(values, np.float32)
    infinity = np.float32(np.inf)
    near = np.concatenate([middle, np.nextafter(middle, infinity), np.nextafter(middle, -infinity)])
    return np.concatenate([near, -near])


def fixed_grid(fmt: Fixed) -> np.ndarray:
    """Codes and ties around zero, around both ends, and far outside, with their neighbours."""
    centres = (0, fmt.lowest_code, fmt.highest_code, fmt.highest_code // 2)
    halves = [2 * centre + offset for centre in centres for offset in range(-9, 10)]
    far = [4 * fmt.highest_code + 4, LARGEST / fmt.step / 4]
    return neighbourhood(np.array([*halves, *far], np.float64) / 2 * fmt.step)


def po2_grid(fmt: PowerOfTwo) -> np.ndarray:
    """Powers and the turning points √2 · 2^n around both ends, with their neighbours."""
    exponents = {end + offset for end in (fmt.min_exponent, fmt.max_exponent, 0) for offset in range(-3, 4)}
    powers = 2.0 ** np.array(sorted(exponents), np.float64)
    return neighbourhood(np.concatenate([powers, powers * math.sqrt(2), powers * 1.5]))


SPECIAL = np.array(
    [
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        1.1754942e-38,
        -1.1754942e-38,
        2.0**-126,
        -(2.0**-126),
        np.inf,
        -np.inf,
        LARGEST,
        -LARGEST,
    ],
    np.float32,
)


def assert_exact(fmt: Format, values: np.ndarray) -> None:
    """`fmt.round` gives the exact reference for every value, in float32."""
    assert values.size > 0
    rounded = fmt.round(values)
    assert rounded.dtype == np.float32
    assert rounded.shape == values.shape
    wrong = [
        (x, q, exactly(fmt, x))
        for x, q in zip(values.tolist(), rounded.tolist(), strict=True)
        if Fraction(q) != exactly(fmt, x)
    ]
    assert not wrong, f"{fmt}: {len(wrong)} of {values.size} wrong, e.g. (x, rounded, exact) {wrong[:5]}"


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", range(1, 33))
def test_fixed_rounds_exactly_on_a_grid(bits: int, signed: bool) -> None:
    for integer_bits in (-32, -9, -2, -1, 0, 1, 2, bits, 31, 32):
        fmt = Fixed(bits, integer_bits, signed)
        assert_exact(fmt, np.concatenate([fixed_grid(fmt), SPECIAL]))


@pytest.mark.parametrize("bits", [*range(1, 10), 16])
def test_po2_rounds_exactly_on_a_grid(bits: int) -> None:
    for max_exponent in (-32, -9, -2, -1, 0, 1, 7, 32):
        fmt = PowerOfTwo(bits, max_exponent)
        assert_exact(fmt, np.concatenate([po2_grid(fmt), SPECIAL]))


@given(rounding_formats, st.lists(numbers, min_size=1, max_size=20))
def test_random_values_round_exactly(fmt: Format, values: list[float]) -> None:
    assert_exact(fmt, np.array(values, np.float32))


@given(rounding_formats, st.floats(0, 1), st.booleans())
def test_values_inside_the_range_round_exactly(fmt: Format, place: float, negative: bool) -> None:
    """Uniform over the format's own range: random float32 values mostly lie far outside."""
    value = fmt.highest * place * (-1 if negative else 1)
    assert_exact(fmt, np.array([value], np.float32))


@given(all_formats, st.lists(numbers, min_size=2, max_size=20))
def test_rounding_is_idempotent_monotonic_and_in_range(fmt: Format, values: list[float]) -> None:
    rounded = fmt.round(np.sort(np.array(values, np.float32)))
    np.testing.assert_array_equal(fmt.round(rounded), rounded)
    assert (np.diff(rounded[np.isfinite(rounded)]) >= 0).all()
    if not isinstance(fmt, Float32):
        assert (rounded.astype(np.float64) >= fmt.lowest).all()
        assert (rounded.astype(np.float64) <= fmt.highest).all()


@pytest.mark.parametrize(
    "fmt",
    [
        *(Fixed(b, i, s) for b, i, s in itertools.product((1, 2, 3, 5, 8), (-3, 0, 4), (True, False))),
        *(PowerOfTwo(b, e) for b, e in itertools.product((1, 2, 3, 5, 8), (-3, 0, 4))),
    ],
    ids=str,
)
def test_every_code_and_no_more_is_used(fmt: Format) -> None:
    """2^bits values, but for powers below float32's smallest normal one, which are left out."""
    sweep = np.concatenate(
        [np.linspace(1.5 * fmt.lowest - 1, 1.5 * fmt.highest + 1, 40_001), fmt.highest * 2.0 ** -np.arange(300)]
    )
    codes = np.unique(fmt.round(np.concatenate([sweep, -sweep]).astype(np.float32)))
    lost = max(0, -126 - (fmt.max_exponent - 2 ** (fmt.bits - 1) + 1)) if isinstance(fmt, PowerOfTwo) else 0
    assert codes.size == 2**fmt.width_bits - 2 * lost
    assert codes[0] == fmt.lowest
    assert codes[-1] == fmt.highest
    assert np.min(np.abs(codes[codes != 0])) == fmt.smallest_magnitude


def test_the_papers_3_13_is_fixed_16_2() -> None:
    fmt = parse_format("fixed<16,2>")
    assert (fmt.lowest, fmt.highest, fmt.smallest_magnitude) == (-4.0, 4 - 2.0**-13, 2.0**-13)
    assert fmt.width_bits == 16
    assert fmt.round([100, -100, 0.00007]).tolist() == [4 - 2.0**-13, -4.0, 2.0**-13]


@pytest.mark.parametrize(
    ("fmt", "lowest", "highest", "smallest"),
    [
        (PowerOfTwo(4, -1), -0.5, 0.5, 2.0**-8),
        (PowerOfTwo(1, 3), -8.0, 8.0, 8.0),
        (PowerOfTwo(8, 0), -1.0, 1.0, 2.0**-126),
        (PowerOfTwo(8, 1), -2.0, 2.0, 2.0**-126),
        (PowerOfTwo(8, 2), -4.0, 4.0, 2.0**-125),
        (PowerOfTwo(16, -32), -(2.0**-32), 2.0**-32, 2.0**-126),
        (Fixed(1, 0), -1.0, 0.0, 1.0),
        (Fixed(1, 0, signed=False), 0.0, 0.5, 0.5),
        (Fixed(4, -2), -0.25, 0.25 - 2.0**-5, 2.0**-5),
        (Fixed(4, -2, signed=False), 0.0, 0.25 - 2.0**-6, 2.0**-6),
        (Float32(), -LARGEST, LARGEST, 2.0**-126),
    ],
    ids=str,
)
def test_limits(fmt: Format, lowest: float, highest: float, smallest: float) -> None:
    assert (fmt.lowest, fmt.highest, fmt.smallest_magnitude) == (lowest, highest, smallest)


def test_zeros_and_denormals_are_the_smallest_positive_power() -> None:
    rounded = PowerOfTwo(4, -1).round(np.array([0.0, -0.0, 1e-45, -1e-45, -(2.0**-126)], np.float32))
    assert rounded.tolist() == [2.0**-8] * 4 + [-(2.0**-8)]


def test_float32_changes_nothing() -> None:
    values = np.array([1.1, -3e38, 2.0**-126, np.inf, -np.inf, 1e-45, -1e-45, -0.0], np.float32)
    assert Float32().round(values).view(np.int32).tolist() == values.view(np.int32).tolist()


@pytest.mark.parametrize("fmt", [Float32(), Fixed(8, 2), Fixed(8, 2, signed=False), PowerOfTwo(4, -1)], ids=str)
def test_nan_is_refused(fmt: Format) -> None:
    with pytest.raises(FormatError, match=r"values to round must be numbers, but got NaN in 2 of 3"):
        fmt.round([1.0, math.nan, math.nan])


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4)])
@pytest.mark.parametrize("fmt", [Float32(), Fixed(8, 2), PowerOfTwo(4, -1)], ids=str)
def test_any_shape_keeps_its_shape_and_the_input_its_values(fmt: Format, shape: tuple[int, ...]) -> None:
    values = np.full(shape, 0.3, np.float32)
    assert fmt.round(values).shape == shape
    assert fmt.round(values).dtype == np.float32
    np.testing.assert_array_equal(values, np.full(shape, 0.3, np.float32))


@given(all_formats, st.integers(0, 1000))
def test_stored_bits(fmt: Format, count: int) -> None:
    assert fmt.stored_bits(count) == fmt.width_bits * count


@given(all_formats)
@example(Fixed(16, 2))
@example(Fixed(1, -32, signed=False))
def test_text_round_trip(fmt: Format) -> None:
    text = str(fmt)
    assert parse_format(text) == fmt
    assert parse_format(f"  {text} ") == fmt
    assert parse_format(text.replace("<", ":").replace(">", "")) == fmt
    assert hash(parse_format(text)) == hash(fmt)


@given(all_formats)
def test_pickle_keeps_a_format_even_after_use(fmt: Format) -> None:
    fmt.round([0.5])
    assert pickle.loads(pickle.dumps(fmt)) == fmt


def test_different_formats_differ_in_value_and_text() -> None:
    formats: list[Format] = [Float32()]
    for bits, position in itertools.product(range(1, 18), range(-12, 13)):
        formats += [Fixed(bits, position), Fixed(bits, position, signed=False)]
        formats += [PowerOfTwo(bits, position)] if bits <= MAX_PO2_BITS else []
    assert len(formats) > 1000
    assert len(set(formats)) == len({str(fmt) for fmt in formats}) == len(formats)
    assert Fixed(4, -1) != PowerOfTwo(4, -1) != Fixed(4, -1, signed=False)


def test_formats_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError, match="bits"):
        Fixed(8, 2).bits = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fixed<8>", r"fixed must be written fixed<bits,integer_bits> with whole numbers, but got 'fixed<8>'"),
        ("fixed<8,2,1>", r"fixed must be written .* but got 'fixed<8,2,1>'"),
        ("fixed<8.0,2>", r"fixed must be written .* with whole numbers, but got 'fixed<8.0,2>'"),
        ("fixed", r"fixed must be written .* but got 'fixed'"),
        ("po2<4>", r"po2 must be written po2<bits,max_exponent> with whole numbers, but got 'po2<4>'"),
        ("float32<8>", r"float32 must be written float32 with whole numbers, but got 'float32<8>'"),
        ("po2<40,1>", r"po2 bits must be a whole number between 1 and 16, but got 40"),
        ("po2<4,33>", r"po2 max_exponent must be a whole number between -32 and 32, but got 33"),
        ("fixed<0,2>", r"fixed bits must be a whole number between 1 and 32, but got 0"),
        ("fixed<-8,2>", r"fixed bits must be a whole number between 1 and 32, but got -8"),
        ("ufixed<33,2>", r"fixed bits must be a whole number between 1 and 32, but got 33"),
        ("fixed<8,-33>", r"fixed integer_bits must be a whole number between -32 and 32, but got -33"),
        ("foo", r"format must be one of float32, fixed<.*>, ufixed<.*>, po2<.*>, but got 'foo'"),
        ("", r"format must be one of .*, but got ''"),
        ("fixed<8,2", r"format must be one of .*, but got 'fixed<8,2'"),
        ("fixed<8,2>>", r"format must be one of .*, but got 'fixed<8,2>>'"),
        ("Fixed<8,2>", r"format must be one of .*, but got 'Fixed<8,2>'"),
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
