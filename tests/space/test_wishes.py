"""A kind and width at the proposal, as text and back."""

import pytest

from wordlength.errors import FormatError
from wordlength.space import (
    AtProposal,
    Fixed,
    FixedRange,
    Float32,
    Overflow,
    PowerOfTwoRange,
    Role,
    Rounding,
    VirtualBitShift,
    parse_wish,
)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("fixed:8", FixedRange((8, 8))),
        ("fixed:8,channel", FixedRange((8, 8), per_channel=True)),
        (
            "fixed:8,channel,floor,wrap",
            FixedRange((8, 8), per_channel=True, rounding=Rounding.FLOOR, overflow=Overflow.WRAP),
        ),
        ("po2:4", PowerOfTwoRange((4, 4))),
        ("po2:4,zero", PowerOfTwoRange((4, 4), zero=True)),
    ],
)
def test_a_width_at_the_proposal_is_read_and_written(text: str, limits) -> None:
    wish = parse_wish(text)
    assert wish == AtProposal(limits)
    assert str(wish) == text
    assert parse_wish(f" {text} ".replace(":", " : ").replace(",", " , ")) == wish
    assert wish.bits == limits.widths[0]


def test_words_of_the_usual_are_read_and_not_written() -> None:
    assert str(parse_wish("fixed:8,half_even,saturate")) == "fixed:8"


@pytest.mark.parametrize(
    ("text", "fmt"),
    [("fixed:8,0", Fixed(8, 0)), ("fixed<8,0>", Fixed(8, 0)), ("vbs:4", VirtualBitShift(4)), ("float32", Float32())],
)
def test_a_whole_format_is_itself(text: str, fmt) -> None:
    assert parse_wish(text) == fmt


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fixed:8,chanel", "fixed options must be channel, half_even, .* but got 'chanel'; fixed:4 asks for"),
        ("po2:4,channel", "po2 options must be zero, but got 'channel'"),
        ("fixed:99", "bits must be a whole number between 1 and 32, but got 99; fixed:4"),
        ("fixd:8", "format must be one of .* did you mean fixed"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message) as told:
        parse_wish(text)
    assert "\n" not in str(told.value)


def test_parameters_alone_have_channels() -> None:
    wish = parse_wish("fixed:8,channel")
    assert wish.unfit(Role.WEIGHTS) == ""
    assert wish.unfit(Role.ACTIVATIONS).startswith("activations cannot be")
