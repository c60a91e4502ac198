import itertools

import numpy as np
import pytest
from format_contract import EXHAUSTIVE_BITS, FormatContract, halves_of_codes
from format_strategies import channel_formats, fixed_formats, wrap_formats

from wordlength.errors import FormatError
from wordlength.space import Fixed, Overflow, Rounding

MODES = list(Rounding)


class FixedContract(FormatContract):
    def columns(self, fmt: Fixed) -> int:
        return len(fmt.positions)

    def boundaries(self, fmt: Fixed) -> np.ndarray:
        lowest, highest = (-(2 ** (fmt.bits - 1)), 2 ** (fmt.bits - 1) - 1) if fmt.signed else (0, 2**fmt.bits - 1)
        steps = 2.0 ** np.array([position - fmt.bits + fmt.signed for position in fmt.positions])
        return halves_of_codes(lowest, highest, fmt.bits)[:, None] / 2 * steps

    def distinct_codes(self, fmt: Fixed) -> int | None:
        return 2**fmt.bits if fmt.bits <= EXHAUSTIVE_BITS else None

    def side_bits(self, fmt: Fixed, shape: tuple[int, ...]) -> int:
        return 6 * len(fmt.positions) if isinstance(fmt.integer_bits, tuple) else 0

    def saturates(self, fmt: Fixed) -> bool:
        return fmt.overflow is Overflow.SATURATE

    def slope(self, fmt: Fixed, values: np.ndarray) -> np.ndarray:
        return super().slope(fmt, values) if self.saturates(fmt) else np.ones(values.shape)

    def in_order(self, fmt: Fixed, values: np.ndarray) -> np.ndarray:
        if self.saturates(fmt):
            return super().in_order(fmt, values)
        lowest, highest = fmt.limits(values)
        return (values >= lowest) & (values <= highest)


class TestFixed(FixedContract):
    formats = fixed_formats
    examples = (
        Fixed(16, 2),
        *(Fixed(bits, 0) for bits in range(1, 13)),
        *(Fixed(bits, position) for bits, position in itertools.product((4, 8), (-32, -9, -1, 3, 32))),
        *(Fixed(bits, 31) for bits in (24, 25, 26, 31, 32)),
        Fixed(32, -32),
    )
    sweep = tuple(Fixed(b, i) for b, i in itertools.product(range(1, 33), (-32, -9, -1, 0, 2, 31, 32)))


class TestUnsigned(FixedContract):
    formats = fixed_formats
    examples = (
        *(Fixed(bits, 1, False) for bits in (1, 2, 3, 4, 5, 8, 12, 16)),
        *(Fixed(6, position, False) for position in (-32, -3, 32)),
        *(Fixed(bits, 32, False) for bits in (24, 25, 32)),
    )
    sweep = tuple(Fixed(b, i, False) for b, i in itertools.product(range(1, 33), (-32, -1, 0, 2, 32)))


class TestRoundings(FixedContract):
    formats = fixed_formats
    examples = (
        *(Fixed(b, 0, s, r) for b, s, r in itertools.product((1, 3, 8, 12), (True, False), MODES[1:])),
        *(Fixed(16, 2, True, rounding) for rounding in MODES[1:]),
        *(Fixed(bits, 32, True, rounding) for bits, rounding in itertools.product((26, 32), MODES[1:])),
    )
    sweep = tuple(
        Fixed(b, i, s, r)
        for b, i, s, r in itertools.product((1, 2, 7, 16, 24, 32), (-32, -2, 1, 32), (True, False), MODES[1:])
    )


class TestWrap(FixedContract):
    formats = wrap_formats
    examples = (
        *(Fixed(b, 0, s, r, Overflow.WRAP) for b, s, r in itertools.product((1, 3, 8), (True, False), MODES)),
        *(Fixed(bits, 2, overflow=Overflow.WRAP) for bits in (12, 16, 23, 24)),
        *(Fixed(8, position, overflow=Overflow.WRAP) for position in (-32, 32)),
        Fixed(24, 32, False, overflow=Overflow.WRAP),
    )
    sweep = tuple(
        Fixed(b, i, s, r, Overflow.WRAP)
        for b, i, s, r in itertools.product((1, 2, 7, 16, 24), (-32, -2, 1, 32), (True, False), MODES)
    )

    @pytest.mark.parametrize("rounding", Rounding)
    def test_an_accumulators_lowest_bits_stay(self, rounding: Rounding) -> None:
        fmt = Fixed(4, 3, rounding=rounding, overflow=Overflow.WRAP)
        assert fmt.round([7, 8, 9, -8, -9, 16, np.inf, -np.inf, 2.0**100]).tolist() == [7, -8, -7, -8, 7, 0, 0, 0, 0]


class TestPerChannel(FixedContract):
    formats = channel_formats
    examples = (
        Fixed(4, (0, 1)),
        Fixed(4, (0, 1), signed=False),
        Fixed(8, (-1, 0, 2, -1)),
        Fixed(8, (-32, 31)),
        Fixed(16, (2, 2, 2)),
        Fixed(12, tuple(range(-3, 3))),
        Fixed(32, (0, -5)),
        Fixed(1, (3, -3)),
        Fixed(6, (1, 0, 4), rounding=Rounding.HALF_UP),
        Fixed(6, (1, 0, 4), rounding=Rounding.FLOOR, signed=False),
        Fixed(6, (1, 0, 4), overflow=Overflow.WRAP),
        Fixed(6, (1, 0, 4), False, Rounding.FLOOR, Overflow.WRAP),
    )

    def test_each_column_is_rounded_as_alone(self, fmt: Fixed) -> None:
        values = self.values(fmt)[0]
        for channel, position in enumerate(fmt.positions):
            alone = Fixed(fmt.bits, position, fmt.signed, fmt.rounding, fmt.overflow)
            np.testing.assert_array_equal(fmt.round(values)[:, channel], alone.round(values[:, channel]))

    @pytest.mark.parametrize("shape", [(), (1,), (2, 4), (0,)])
    def test_another_number_of_channels_is_refused(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(FormatError, match=r"fixed<8,-1…2> is for 3 channels along the last axis, but the values"):
            Fixed(8, (-1, 0, 2)).round(np.zeros(shape, np.float32))

    def test_a_slots_tensors_share_the_positions_in_order(self) -> None:
        fmt = Fixed(8, (-1, 0, 2, 5), False, Rounding.FLOOR, Overflow.WRAP)
        one, other = fmt.for_tensors([3, 1])
        assert one == Fixed(8, (-1, 0, 2), False, Rounding.FLOOR, Overflow.WRAP)
        assert other == Fixed(8, 5, False, Rounding.FLOOR, Overflow.WRAP)
        with pytest.raises(FormatError, match=r"must be as many as output channels, 3\+2, but got 4"):
            fmt.for_tensors([3, 2])
