"""No two formats are equal or written alike, whatever their classes."""

import itertools

from format_strategies import all_formats
from hypothesis import example, given

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

POSITIONS = range(-12, 13)


def many() -> list[Format]:
    modes = list(itertools.product((True, False), Rounding, Overflow))
    return [
        Float32(),
        *(Fixed(b, i, *mode) for b, i, mode in itertools.product(range(1, 18), POSITIONS, modes)),
        *(
            Fixed(b, p, *mode)
            for b, p, mode in itertools.product((4, 8), itertools.product((-1, 0, 1), repeat=3), modes)
        ),
        *(Fixed(b, p) for b, p in itertools.product((4, 8), itertools.product((-1, 0, 1, 10), repeat=2))),
        *(PowerOfTwo(b, e) for b, e in itertools.product(range(1, 17), POSITIONS)),
        *(PowerOfTwo(b, e, True) for b, e in itertools.product(range(2, 17), POSITIONS)),
        *(VirtualBitShift(b, g) for b, g in itertools.product(range(2, 33), ("tensor", "channel", *range(1, 30)))),
        *(Binary(s, learns) for s, learns in itertools.product((0.1, 1, 1.5, 10, 25, 100, 1000), (True, False))),
    ]


def test_many_formats_differ_in_value_and_text() -> None:
    formats = many()
    assert len(formats) > 7000
    assert len(set(formats)) == len({str(fmt) for fmt in formats}) == len(formats)
    assert [parse_format.__wrapped__(str(fmt)) for fmt in formats] == formats


@given(all_formats, all_formats)
@example(Fixed(4, -1), PowerOfTwo(4, -1))
@example(Fixed(4, 4), VirtualBitShift(4))
@example(Fixed(8, (1, 1)), Fixed(8, 1))
@example(Fixed(8, (1, 0)), Fixed(8, 10))
@example(Binary(10), Binary())
def test_formats_are_equal_exactly_if_written_alike(one: Format, other: Format) -> None:
    assert (one == other) == (str(one) == str(other))
    if one == other:
        assert hash(one) == hash(other)
